"""Customers: who they are and what they prefer; and the relations that other tools read beside a policy: their lists,
counts and totals.

    customer:CUST001:profile   John Smith|DOB:1985-03-15|Phone:555-0123|Email:john.smith@email.com

What they hold is told by the policies' own fields; where the stored relations disagree, see `drift`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Invalid
from dashboard.repository import audit
from dashboard.repository.index import NEVER, UNKNOWN, Cursor, Entry, Index, Page, clean, number_score
from dashboard.repository.keyspace import StoredKey, stored
from dashboard.repository.store import Change
from dashboard.repository.values import (
    Problem,
    Raw,
    Reader,
    amount,
    comma_list,
    fits_text,
    labelled,
    place,
    plain,
    read_strings,
    readable,
)

PREFERENCES = ("communication_preference", "marketing_opt_in", "preferred_agent", "payment_method")
PROFILE = (("DOB", "born"), ("Phone", "phone"), ("Email", "email"))
"""Labels of the profile's parts, and what we call them; the name stands before them without one."""

_RELATIONS = ("policies", "policy_count", "total_premium")
_LISTED = ("profile", "address", "risk_score", "customer_since", "preferred_agent", *_RELATIONS)

INDEX = Index(
    "customers",
    patterns=((), ("agent",), ("drift",)),
    sorts=("number", "name", "premium"),
    domains={},
    # Those whose relations agree with their policies need not stand in a cell of their own.
    lookups=("agent", "drift"),
)

Sort = Literal["number", "name", "premium"]
SORTS: tuple[Sort, ...] = ("number", "name", "premium")

_SORTED_LETTERS = 11
"""Letters of a name that its order is told by: as many as a score holds."""
_HIGHEST_PREMIUM = Decimal(80_000_000)
"""Dollars above which amounts stand together in a list, so that a score stays below 2^53."""

EXPORTED = 500
"""Customers read in one go where a whole list is."""

DRIFTED = "yes"
"""Facet of a customer whose stored relations disagree with the policies' own fields."""

LONGEST_WORD = 80
"""Characters of a name or an address that can be searched by."""


@dataclass(frozen=True)
class Customer:
    """Who somebody is, as their own keys tell it. What is missing or unreadable is None; a customer may be known by
    number alone. `listed`, `count` and `total` are the stored relations, which other tools read.
    """

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
    communication: str | None
    marketing: str | None
    payment: str | None
    listed: tuple[str, ...]
    count: str | None
    total: Decimal | None
    last_login: datetime | None
    logins: str | None
    last_payment: datetime | None
    extra: Mapping[str, str]
    problems: tuple[Problem, ...]

    @property
    def known(self) -> bool:
        return bool(self.name or self.address)

    @property
    def place(self) -> tuple[str, str]:
        """City, as key names have it, and ZIP of their address; ("", "") where it has none."""
        return place(self.address)

    @property
    def seen(self) -> str:
        """Fingerprint of what the form shows, so that an edit made on an older state is noticed."""
        told = (self.name, self.born, self.phone, self.email, self.address, self.risk_score, self.credit_score)
        return _fingerprint(*told, self.since, self.agent, self.communication, self.marketing, self.payment)

    @property
    def words(self) -> dict[str, list[str]]:
        """What leads to them, by kind: each word of the name with the rest behind it, the digits of the phone number,
        the e-mail, and the place by city and by ZIP.
        """
        city, zip_code = self.place
        town = city.replace("_", " ")
        return {
            "name": rotations(self.name or ""),
            "phone": [digits] if (digits := re.sub(r"\D", "", self.phone or "")[:20]) else [],
            "email": [folded(self.email)] if self.email else [],
            "place": [f"{town} {zip_code}", f"{zip_code} {town}"] if zip_code else [],
        }


@dataclass(frozen=True)
class Filter:
    """What the list of customers is restricted to."""

    agent: str | None = None
    drifted: bool = False


def folded(text: str) -> str:
    """Text as words are compared: lower case, no accents lost, spaces single."""
    return " ".join(readable(text).casefold().replace("\0", " ").split())[:LONGEST_WORD]


def rotations(name: str) -> list[str]:
    """`Ana Maria Lopez` -> "ana maria lopez", "maria lopez ana", "lopez ana maria": found by any part, typed in any
    order that goes on from there. Of long names the first four parts and the last one.
    """
    parts = folded(name).replace(",", " ").split()
    starts = range(len(parts)) if len(parts) <= 5 else [0, 1, 2, 3, len(parts) - 1]
    return [" ".join(parts[at:] + parts[:at]) for at in starts]


# -- reading


def get(client: Redis, customer: str) -> Customer:
    """One or two round trips."""
    found = load(client, [customer], fields=keys.CUSTOMER_FIELDS, always=True)
    # Another tool may have a policy name somebody whom no key can be about.
    return found.get(customer) or customer_of(customer, Reader({}, {name: name for name in keys.CUSTOMER_FIELDS}))


def load(
    client: Redis, customers: Iterable[str], *, fields: Sequence[str] = _LISTED, always: bool = False
) -> dict[str, Customer]:
    """Customers by number, those that have any of these fields; all of them if `always`. One or two round trips."""
    wanted = [customer for customer in dict.fromkeys(customers) if keys.is_customer(customer)]
    names = {customer: {name: keys.customer_field(customer, name) for name in fields} for customer in wanted}
    values = read_strings(client, [key for each in names.values() for key in each.values()])
    there = {c: each for c, each in names.items() if always or any(values[key] is not None for key in each.values())}
    return {customer: customer_of(customer, Reader(values, each)) for customer, each in there.items()}


def listed(client: Redis, customers: Iterable[str]) -> dict[str, Customer]:
    """As lists show them: those that have any field, and those without one whom a policy names, which the index has among
    those that drift (see `drift.refresh`). One or two round trips, two more where some have none.
    """
    wanted = list(customers)
    found = load(client, wanted)
    bare = [customer for customer in wanted if customer not in found]
    known = INDEX.known_places(client, bare) if bare else {}
    named = [customer for customer, place in known.items() if drift_facet(place) == DRIFTED]
    return found | load(client, named, always=True) if named else found


def listing(
    client: Redis,
    wanted: Filter,
    *,
    sort: Sort = "number",
    cursor: Cursor | None = None,
    descending: bool = False,
    size: int = 50,
) -> Page[Customer]:
    """One page of the customers. Four round trips at most, whatever their number; some more where hundreds share a name."""
    asked = {"agent": [wanted.agent]} if wanted.agent else {}
    asked |= {"drift": [DRIFTED]} if wanted.drifted else {}
    return INDEX.things(
        client, asked, sort, size, load=partial(listed, client), facets=_facets, refresh=_leave,
        cursor=cursor, descending=descending,
    )  # fmt: skip


def every(client: Redis, wanted: Filter, *, sort: Sort = "number", descending: bool = False) -> Iterator[Customer]:
    """All of a list, page by page as they are asked for. Four round trips for each 500."""
    cursor = None
    while True:
        page = listing(client, wanted, sort=sort, cursor=cursor, descending=descending, size=EXPORTED)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def total(client: Redis, wanted: Filter) -> int:
    """One round trip."""
    asked = {"drift": [DRIFTED]} if wanted.drifted else {"agent": [wanted.agent]} if wanted.agent else {}
    return INDEX.count(client, [(asked, "number", None, None)])[0]


def words_of(client: Redis, members: Iterable[str]) -> dict[str, Mapping[str, Sequence[str]]]:
    """The words that lead to each of these. One or two round trips."""
    return {customer: each.words for customer, each in load(client, members).items()}


def stored_as(client: Redis, customer: str) -> list[StoredKey]:
    """The keys this customer is made of. One round trip."""
    return stored(client, keys.customer_keys(customer))


def raw_facts(client: Redis, customer: str) -> dict[str, str]:
    """Their fields as they are stored, by field. One or two round trips."""
    names = {keys.customer_field(customer, name): name for name in keys.CUSTOMER_FIELDS}
    values = read_strings(client, list(names))
    return {names[key]: raw for key, raw in values.items() if isinstance(raw, str)}


# -- writing


def add(draft: Change, number: str, facts: Mapping[str, str], *, by: str) -> None:
    """Record a new customer from the form's facts (as `facts_of` names them), within a change. Raises Invalid."""
    _check(facts)
    written = _stored_form(facts, {})
    for name, value in written.items():
        if value:
            draft.set(keys.customer_field(number, name), value)
    audit.append(draft, audit.CUSTOMER, number, text=f"Created by {by}: {written['profile'].partition('|')[0]}", by=by)
    _index(draft, number, written, None)
    draft.event("customers", number)


@dataclass(frozen=True)
class Rewritten:
    """What a change of a customer does, in words; and what they were called and are called now."""

    words: str
    was: str | None
    name: str | None


def rewrite(draft: Change, customer: str, facts: Mapping[str, str], *, seen: str, by: str) -> Rewritten | None:
    """Record who somebody is by now and what they prefer; fields that `facts` lacks stay. `seen` is the Customer.seen that
    the editor looked at. None, and nothing recorded, where nothing differs. Raises Conflict when it is another by now, and
    Invalid.
    """
    draft.watch(*keys.customer_keys(customer))
    before = get(draft.client, customer)
    if before.seen != seen:
        raise Conflict("Somebody changed this customer while you were editing. Saving again keeps what you have here.")
    told = facts_of(before)
    # What another tool wrote in a form of its own may stay.
    _check({name: value for name, value in facts.items() if value != told[name]}, whole=False)
    old = raw_facts(draft.client, customer)
    wanted = _stored_form(facts, old)
    # A form shows broken UTF-8 escaped; what comes back as it was shown was not changed.
    changed = {name: value for name, value in wanted.items() if value != readable(old.get(name, ""))}
    if not changed:
        return None
    for name, value in changed.items():
        # A plain SET replaces a value of any type, so a field that another tool broke is mended by an edit.
        field_key = keys.customer_field(customer, name)
        draft.record(*(("SET", field_key, value) if value else ("UNLINK", field_key)))
    words = "; ".join(
        f"{name.replace('_', ' ').capitalize()} updated from {readable(old.get(name, '')) or 'nothing'} "
        f"to {value or 'nothing'}"
        for name, value in changed.items()
    )
    audit.append(draft, audit.CUSTOMER, customer, text=f"{words} by {by}", by=by)
    after = _index(draft, customer, {**old, **changed}, before)
    draft.event("customers", customer)
    return Rewritten(f"{words}.", before.name, after.name)


def facts_of(customer: Customer) -> dict[str, str]:
    """What the form shows of a customer, by its field."""
    told = {
        "name": customer.name, "born": customer.born, "phone": customer.phone, "email": customer.email,
        "address": customer.address, "risk_score": customer.risk_score, "credit_score": customer.credit_score,
        "customer_since": customer.since, "preferred_agent": customer.agent, "payment_method": customer.payment,
        "communication_preference": customer.communication, "marketing_opt_in": customer.marketing,
    }  # fmt: skip
    return {name: value or "" for name, value in told.items()}


def _stored_form(facts: Mapping[str, str], old: Mapping[str, str]) -> dict[str, str]:
    """The form's facts as the customer's tools store them. Parts of a profile that the form does not know are kept."""
    told = {name: value for name, value in facts.items() if name in keys.CUSTOMER_FIELDS}
    if "name" not in facts:
        return told
    ours = {label.lower() for label, _ in PROFILE}
    others = [
        part for part in old.get("profile", "").split("|")[1:] if part.partition(":")[0].strip().lower() not in ours
    ]
    parts = [f"{label}:{facts[name]}" for label, name in PROFILE if facts.get(name)]
    profile = "|".join([facts["name"], *parts, *map(readable, others)])
    return {"profile": profile if facts["name"] or parts or others else "", **told}


def _check(facts: Mapping[str, str], *, whole: bool = True) -> None:
    wrong = {name: "No | or control characters, please." for name, value in facts.items() if not fits_text(value)}
    if (whole or "name" in facts) and not facts.get("name", "").strip():
        wrong["name"] = "Say who this is."
    if ":" in facts.get("name", ""):
        wrong["name"] = "A name has no colon: other tools would take it for a label."
    if facts.get("preferred_agent") and not keys.is_identifier(facts["preferred_agent"]):
        wrong["preferred_agent"] = "An identifier has no spaces and none of : * ? [ ] { } | , /"
    for name in ("born", "customer_since"):
        if facts.get(name) and _day(facts[name]) is None:
            wrong[name] = "Give a date, such as 1985-03-15."
        elif facts.get(name) and facts[name][:10] > clock.today().isoformat():
            wrong[name] = "This day is yet to come."
    if wrong:
        raise Invalid(wrong)


# -- the index


def entry(customer: Customer, drifted: str) -> Entry:
    """Where a customer stands; `drifted` is DRIFTED, or UNKNOWN for one whose relations agree."""
    return Entry(
        {"agent": customer.agent or UNKNOWN, "drift": drifted},
        {
            "number": number_score(customer.id),
            "name": _name_score(customer.name),
            "premium": premium_score(customer.total, customer.id),
        },
        customer.words,
    )


def _name_score(name: str | None) -> int:
    """Sorts by the last name, then the others, as far as _SORTED_LETTERS go. Letters of other scripts come behind ours,
    who has no name behind all.
    """
    parts = folded(name or "").replace(",", " ").split()
    if not parts:
        return NEVER
    plain_text = unicodedata.normalize("NFKD", " ".join([parts[-1], *parts[:-1]]))
    letters = [each for each in plain_text if not unicodedata.combining(each)][:_SORTED_LETTERS]
    score = 0
    for letter in letters + [" "] * (_SORTED_LETTERS - len(letters)):
        score = score * 28 + (ord(letter) - 96 if "a" <= letter <= "z" else 27 if letter > "z" else 0)
    return score


def premium_score(premium: Decimal | None, number: str) -> float:
    """Sorts by an amount, then by the number of whose it is; what is unknown is below all that is known."""
    cents = -1 if premium is None else int(min(max(premium, Decimal(0)), _HIGHEST_PREMIUM) * 100)
    return cents * 1_000_000 + number_score(number) % 1_000_000


def _index(draft: Change, customer: str, facts: Mapping[str, str], before: Customer | None) -> Customer:
    """Gives the customer that these facts make. One round trip. Whether the relations agree is not changed by who somebody
    is.
    """
    known = INDEX.known_places(draft.client, [customer])[customer]
    names = {name: keys.customer_field(customer, name) for name in keys.CUSTOMER_FIELDS}
    after = customer_of(customer, Reader({names[name]: facts.get(name) or None for name in names}, names))
    INDEX.put(draft, customer, entry(after, drift_facet(known)), known)
    if before:
        gone = {kind: set(words) - set(after.words[kind]) for kind, words in before.words.items()}
        INDEX.forget(draft, customer, gone)
    return after


def drift_facet(known: str | None) -> str:
    """Whether the index has a customer as drifted."""
    return INDEX.facets_of(known).get("drift", UNKNOWN) if known else UNKNOWN


def _facets(customer: Customer) -> dict[str, str]:
    return {"agent": clean(customer.agent)}


def _leave(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """What a list finds gone is taken out; what has moved is for the follower, who knows what they hold, too."""
    there = listed(client, members)
    known = INDEX.known_places(client, [*there])
    entries = {c: entry(each, drift_facet(known[c])) for c, each in there.items()}
    return INDEX.settle(client, dict.fromkeys(members) | entries, force=force)


def customer_of(customer: str, reader: Reader) -> Customer:
    """The customer that a reader of their stored facts tells."""
    profile = labelled(reader.text("profile") or "")
    ours = {"", *(label.lower() for label, _ in PROFILE)}
    return Customer(
        id=customer,
        name=profile.get("") or None,
        born=profile.get("dob") or None,
        phone=profile.get("phone") or None,
        email=profile.get("email") or None,
        address=reader.text("address"),
        risk_score=reader.text("risk_score"),
        credit_score=reader.optional("credit_score", reader.text),
        since=reader.text("customer_since"),
        agent=reader.identifier("preferred_agent"),
        communication=reader.optional("communication_preference", reader.text),
        marketing=reader.optional("marketing_opt_in", reader.text),
        payment=reader.optional("payment_method", reader.text),
        listed=tuple(comma_list(reader.text("policies"))),
        count=reader.text("policy_count"),
        total=reader.amount("total_premium"),
        last_login=reader.optional("last_login", reader.moment),
        logins=reader.optional("login_count", reader.text),
        last_payment=reader.optional("last_payment", reader.moment),
        extra={label: text for label, text in profile.items() if label not in ours},
        problems=tuple(reader.problems),
    )


def _fingerprint(*facts: object) -> str:
    return hashlib.sha256(repr(facts).encode(errors="surrogateescape")).hexdigest()[:16]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


# -- what others read of them


def exists(client: Redis, customer: str) -> bool:
    """Whether they have a key of their own, or a policy names them. One round trip where they have one."""
    if not keys.is_customer(customer):
        return False
    return bool(client.exists(*keys.customer_keys(customer))) or bool(listed(client, [customer]))


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
    at `premium` a year, and was as `before` says. Six round trips for each customer touched.

    The lists are read, changed and written under WATCH, so two policies of one customer never lose each other.
    """
    former, former_premium = before
    if former and former != customer and keys.is_customer(former):
        _rewrite(change, former, policy, held=False, premium=None, former=former_premium)
    if customer and keys.is_customer(customer):
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
    _stand(change, customer, max(total, Decimal(0)))
    change.event("customers", customer)


def _stand(change: Change, customer: str, total: Decimal) -> None:
    """List a customer by the total they will have, also one who has just got their first key. Two round trips."""
    known = INDEX.known_places(change.client, [customer])[customer]
    after = replace(load(change.client, [customer], always=True)[customer], total=total)
    INDEX.put(change, customer, entry(after, drift_facet(known)), known)


def _with(listed: list[str], policy: str) -> list[str]:
    return listed if policy in listed else [*listed, policy]


def _without(listed: list[str], policy: str) -> list[str]:
    return [item for item in listed if item != policy]


def _texts(client: Redis, customers: Sequence[str], field: str, take: Callable[[str], str]) -> dict[str, str]:
    wanted = [customer for customer in dict.fromkeys(customers) if keys.is_customer(customer)]
    if not wanted:
        return {}
    raws: list[Raw] = client.mget([keys.customer_field(customer, field) for customer in wanted])
    found = {c: take(readable(str(raw))[:200]) for c, raw in zip(wanted, raws, strict=True) if raw is not None}
    return {customer: text for customer, text in found.items() if text}
