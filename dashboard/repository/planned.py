"""Services of a day to come: an endorsement or a cancellation that is agreed on today and holds from then on.

The customer's tools read what holds now, so the policy stays as it is until that day. What is planned stands beside it,
one for each policy, and is done soon after the day has begun by whoever holds the lease (`policy_service.carry_out`), as
if its author sent the form then: what has become impossible meanwhile is kept, with the reason, for somebody to see.

    dash:plan:auto:100001   string   {"what": "cancellation", "effective": "2026-12-01", "reason": "sold", "by": "AG001", ...}
    dash:plans              zset     auto:100001 by the first millisecond of that day; those refused stand at NEVER
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, NotFound
from dashboard.repository import audit
from dashboard.repository.index import NEVER
from dashboard.repository.store import Change, change
from dashboard.repository.values import answered

What = Literal["endorsement", "cancellation"]

AT_ONCE = 50
"""Planned services that are looked at in one go."""


@dataclass(frozen=True)
class Planned:
    """One planned service. `facts`: field -> text to store, of an endorsement. `refused`: why it could not be done when
    its day came, "" while it waits.
    """

    product: str
    number: str
    what: What
    effective: date
    reason: str
    by: str
    facts: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""

    @property
    def policy(self) -> str:
        return f"{self.product}:{self.number}"


# -- reading


def get(client: Redis, product: str, number: str) -> Planned | None:
    """What is planned for a policy. One round trip."""
    return load(client, [f"{product}:{number}"]).get(f"{product}:{number}")


def load(client: Redis, ids: Sequence[str]) -> dict[str, Planned]:
    """By policy, those for which something is planned. One round trip."""
    known = keys.numbered(ids)
    pipe = client.pipeline(transaction=False)
    for _, product, number in known:
        pipe.get(keys.plan(product, number))
    found = zip(known, answered(pipe) if known else [], strict=True)
    return {each: plan for (each, *parts), raw in found if (plan := _planned(*parts, raw))}


def upcoming(client: Redis, *, most: int = 200) -> list[Planned]:
    """The next to come, those that could not be done last. Two round trips."""
    (ids,) = answered(client.pipeline(transaction=False).zrange(keys.plans(), 0, most - 1))
    return list(load(client, ids or []).values())


def due(client: Redis) -> list[Planned]:
    """Those whose day has come, at most AT_ONCE. One round trip where there are none, else two. What the list has and
    nobody planned is taken out.
    """
    pipe = client.pipeline(transaction=False)
    (ids,) = answered(pipe.zrange(keys.plans(), 0, clock.now_ms(), byscore=True, offset=0, num=AT_ONCE))
    if not ids:
        return []
    found = load(client, ids)
    gone = [each for each in ids if each not in found]
    if gone:
        client.zrem(keys.plans(), *gone)
    return list(found.values())


# -- writing


def keep(draft: Change, plan: Planned) -> str:
    """Record a plan. Gives words. Raises Conflict where one stands. One round trip."""
    name = keys.plan(plan.product, plan.number)
    draft.watch(name)
    standing = get(draft.client, plan.product, plan.number)
    if standing:
        raise Conflict(
            f"There is {_a(standing.what)} planned for {standing.effective} by {standing.by}. Withdraw it first."
        )
    _write(draft, plan, _begins(plan.effective))
    words = f"{plan.what.capitalize()} planned for {plan.effective}, {plan.reason}"
    audit.append(draft, audit.POLICY, plan.product, plan.number, text=f"{words}, by {plan.by}", by=plan.by)
    return f"{words}."


def withdraw(product: str, number: str, *, by: str, token: str | None = None) -> str:
    """Take a plan back. Gives words. Raises NotFound where nothing is planned (any more)."""

    def action(draft: Change) -> str:
        draft.watch(keys.plan(product, number))
        plan = get(draft.client, product, number)
        if plan is None:
            raise NotFound(f"Nothing is planned for {number} any more.")
        forget(draft, product, number)
        draft.event("policies", plan.policy)
        words = f"The {plan.what} planned for {plan.effective} was withdrawn"
        audit.append(draft, audit.POLICY, product, number, text=f"{words} by {by}", by=by)
        return f"{words}."

    return change(action, token=token)


def refuse(plan: Planned, why: str) -> None:
    """Keep why a plan could not be done, unless it was withdrawn or changed meanwhile."""

    def action(draft: Change) -> None:
        draft.watch(keys.plan(plan.product, plan.number))
        if get(draft.client, plan.product, plan.number) != plan:
            return
        _write(draft, replace(plan, refused=why), NEVER)
        text = f"The {plan.what} planned for {plan.effective} by {plan.by} could not be done: {why}"
        audit.append(draft, audit.POLICY, plan.product, plan.number, text=text, by=plan.by)

    change(action)


def forget(draft: Change, product: str, number: str) -> None:
    """Record that nothing is planned for a policy."""
    draft.delete(keys.plan(product, number))
    draft.record("ZREM", keys.plans(), f"{product}:{number}")


def _write(draft: Change, plan: Planned, at: int) -> None:
    kept = {
        "what": plan.what, "effective": plan.effective.isoformat(), "reason": plan.reason, "by": plan.by,
        "facts": dict(plan.facts), "refused": plan.refused,
    }  # fmt: skip
    draft.set(keys.plan(plan.product, plan.number), json.dumps(kept))
    draft.record("ZADD", keys.plans(), at, plan.policy)
    draft.event("policies", plan.policy)


def _planned(product: str, number: str, raw: Any) -> Planned | None:
    """None for what is not there, or is nothing of ours."""
    try:
        kept = json.loads(raw or "")
        whole = {"what": str, "effective": str, "reason": str, "by": str, "facts": dict, "refused": str}
        if not all(isinstance(kept[name], kind) for name, kind in whole.items()):
            return None
        if kept["what"] not in ("endorsement", "cancellation"):
            return None
        effective = date.fromisoformat(kept["effective"])
        return Planned(product, number, **{**kept, "effective": effective})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _begins(day: date) -> int:
    """The first millisecond of a day in the business's zone."""
    return clock.end_of_day(day - timedelta(days=1))


def _a(what: str) -> str:
    return f"an {what}" if what[0] == "e" else f"a {what}"
