"""Customers, and the relations that other tools read beside a policy: their lists, counts and totals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from redis import Redis

from dashboard import keys
from dashboard.repository.store import Change
from dashboard.repository.values import (
    Problem,
    Raw,
    Reader,
    amount,
    comma_list,
    labelled,
    plain,
    read_strings,
    readable,
)

_SHOWN = ("profile", "address", "risk_score", "credit_score", "customer_since", "preferred_agent", "policies")
_RELATIONS = ("policies", "policy_count", "total_premium")


@dataclass(frozen=True)
class Customer:
    """Who somebody is. A customer may be known by number alone: then everything else is None."""

    id: str
    name: str | None
    born: str | None
    phone: str | None
    email: str | None
    address: str | None
    risk_score: str | None
    credit_score: str | None
    since: str | None
    agent: str | None
    problems: tuple[Problem, ...]

    @property
    def known(self) -> bool:
        return bool(self.name or self.address)


def get(client: Redis, customer: str) -> Customer:
    """One or two round trips."""
    names = {name: keys.customer_field(customer, name) for name in _SHOWN}
    reader = Reader(read_strings(client, list(names.values())), names)
    profile = labelled(reader.text("profile") or "")
    return Customer(
        id=customer,
        name=profile.get("") or None,
        born=profile.get("dob"),
        phone=profile.get("phone"),
        email=profile.get("email"),
        address=reader.text("address"),
        risk_score=reader.text("risk_score"),
        credit_score=reader.text("credit_score"),
        since=reader.text("customer_since"),
        agent=reader.text("preferred_agent"),
        problems=tuple(reader.problems),
    )


def exists(client: Redis, customer: str) -> bool:
    return bool(client.exists(*(keys.customer_field(customer, name) for name in keys.CUSTOMER_FIELDS)))


def names(client: Redis, customers: Sequence[str]) -> dict[str, str]:
    """Name by customer, of those who have one. One round trip."""
    return _texts(client, customers, "profile", lambda text: labelled(text).get("", ""))


def addresses(client: Redis, customers: Sequence[str]) -> dict[str, str]:
    """Address by customer, of those who have one. One round trip."""
    return _texts(client, customers, "address", lambda text: text)


def relate(
    change: Change,
    policy: str,
    *,
    customer: str | None,
    premium: Decimal | None,
    before: tuple[str | None, Decimal | None],
) -> None:
    """Keep customers' lists, counts and totals in step with one policy (`auto:100001`) that now belongs to `customer`
    at `premium` a year, and was as `before` says. Five round trips for each customer touched.

    The lists are read, changed and written under WATCH, so two policies of one customer never lose each other.
    """
    former, former_premium = before
    if former and former != customer and keys.is_identifier(former):
        _rewrite(change, former, policy, held=False, premium=None, former=former_premium)
    if customer and keys.is_identifier(customer):
        was = former_premium if former == customer else None
        _rewrite(change, customer, policy, held=True, premium=premium, former=was)


def locate(change: Change, policy: str, *, now: tuple[str, str], before: tuple[str, str]) -> None:
    """Keep the ZIP areas' lists in step with a policy whose property stands in (city, ZIP) `now`, and `before`."""
    if now == before:
        return
    for (city, zip_code), present in ((before, False), (now, True)):
        if not city or not zip_code:
            continue
        name = keys.location_policies(city, zip_code)
        change.watch(name)
        change.require("string", [name])
        listed = comma_list(change.client.get(name))
        change.set(name, ",".join(_with(listed, policy) if present else _without(listed, policy)))


def _rewrite(
    change: Change, customer: str, policy: str, *, held: bool, premium: Decimal | None, former: Decimal | None
) -> None:
    """A policy whose premium is unknown (None) is the customer's all the same, and adds nothing to the total."""
    listed_key, count_key, total_key = (keys.customer_field(customer, name) for name in _RELATIONS)
    change.watch(listed_key, count_key, total_key)
    change.require("string", [listed_key, count_key, total_key])
    change.require("set", [keys.multi_policy()])
    listed_text, total_text = change.client.mget(listed_key, total_key)
    listed = comma_list(listed_text)
    was_listed = policy in listed
    listed = _with(listed, policy) if held else _without(listed, policy)
    total = amount(total_text or "") or Decimal(0)
    total += (premium or Decimal(0)) - ((former or Decimal(0)) if was_listed else Decimal(0))
    change.set(listed_key, ",".join(listed))
    change.set(count_key, str(len(listed)))
    change.set(total_key, plain(max(total, Decimal(0))))
    change.record("SADD" if len(listed) > 1 else "SREM", keys.multi_policy(), customer)
    change.event("customers", customer)


def _with(listed: list[str], policy: str) -> list[str]:
    return listed if policy in listed else [*listed, policy]


def _without(listed: list[str], policy: str) -> list[str]:
    return [item for item in listed if item != policy]


def _texts(client: Redis, customers: Sequence[str], field: str, take) -> dict[str, str]:  # type: ignore[no-untyped-def]
    wanted = [customer for customer in dict.fromkeys(customers) if keys.is_identifier(customer)]
    if not wanted:
        return {}
    raws: list[Raw] = client.mget([keys.customer_field(customer, field) for customer in wanted])
    found = {c: take(readable(str(raw))[:200]) for c, raw in zip(wanted, raws, strict=True) if raw is not None}
    return {customer: text for customer, text in found.items() if text}
