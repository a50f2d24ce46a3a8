"""The live areas and how each is kept in step with the truth: who refreshes, and which keys stand for a whole thing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from redis import Redis

from dashboard import keys, redis
from dashboard.repository import (
    claims,
    customers,
    drift,
    groups,
    holds,
    jobs,
    lapsed,
    payments,
    places,
    policies,
    quotes,
    reviews,
    security,
    sessions,
)
from dashboard.repository.index import Index
from dashboard.repository.layouts import CONVERT  # noqa: F401 (its bulk work is known where the areas are)
from dashboard.repository.lifting import LIFT  # noqa: F401 (as is the next: bulk work is known where the areas are)
from dashboard.repository.policy_service import REASSIGN  # noqa: F401
from dashboard.repository.store import Change, change

MEMBERS = 200
"""How many things are refreshed in one go."""

LONGEST_NUMBER = 9
"""Digits. What other tools number beyond that is a scheme of their own, and does not push ours up there."""


@dataclass(frozen=True)
class Area:
    """One area with an index.

    anchors   kinds of keys of which every whole thing has at least one: family, and field or level where it has one
    number    the sequence that a thing's number comes from, and the number; None for one that is not numbered by us
    words     the words that lead to these things now, by thing and kind, for finding those that lead there no more
    marks     ms before a thing's deadline at which its pages have more to say
    """

    index: Index
    refresh: Callable[..., int]
    anchors: frozenset[tuple[keys.Family, str]]
    number: Callable[[str], tuple[str, int] | None] = lambda member: None
    words: Callable[[Redis, Sequence[str]], Mapping[str, Mapping[str, Sequence[str]]]] = lambda client, members: {}
    marks: tuple[int, ...] = ()

    def is_anchor(self, parsed: keys.Parsed) -> bool:
        return (parsed.family, parsed.parts.get("field") or parsed.parts.get("level", "")) in self.anchors

    def anchor_keys(self, member: str) -> list[str]:
        """The anchors that a thing with this id would have."""
        return [key for family, part in self.anchors if (key := _anchor_key(family, part, member))]


def _anchor_key(family: keys.Family, part: str, member: str) -> str | None:
    parts = _parts(family.subject, member)
    if parts is None:
        return None
    named = {"field": part, "level": part, **parts}
    try:
        return family(*(named[slot] for slot in family.slots))
    except keys.BadIdentifier:
        return None


def _parts(subject: str, member: str) -> dict[str, str] | None:
    """`{product}:{number}` and `auto:100001` -> the parts; None for a member of another form."""
    names, values = subject.split(":"), member.split(":")
    if len(names) != len(values):
        return None
    parts = {}
    for name, value in zip(names, values, strict=True):
        if name.startswith("{"):
            parts[name[1:-1]] = value
        elif name != value:
            return None
    return parts


def _policy_number(member: str) -> tuple[str, int] | None:
    product, _, number = member.partition(":")
    return _counted(f"policy-{product}", "", number)


def _quote_number(member: str) -> tuple[str, int] | None:
    return _counted("quote", "Q", member.partition(":")[2])


def _counted(sequence: str, prefix: str, number: str) -> tuple[str, int] | None:
    found = re.fullmatch(rf"{prefix}([0-9]{{1,{LONGEST_NUMBER}}})", number)
    return (sequence, int(found[1])) if found else None


AREAS: dict[str, Area] = {
    "policies": Area(
        policies.INDEX,
        policies.refresh,
        frozenset({(keys.policy_field, "status"), (keys.policy, "")}),
        _policy_number,
        policies.words_of,
    ),
    # Behind the policies: what customers and places hold is read from those.
    "customers": Area(
        customers.INDEX,
        drift.refresh,
        frozenset({(keys.customer_field, "profile")}),
        lambda member: _counted("customer", "CUST", member),
        customers.words_of,
    ),
    "places": Area(
        places.INDEX,
        places.refresh,
        frozenset({(keys.location_policies, ""), (keys.location_risk, "")}),
        words=places.words_of,
    ),
    "groups": Area(groups.INDEX, groups.refresh, frozenset({(keys.segment, ""), (keys.tier, "")})),
    "payments": Area(
        payments.INDEX,
        payments.refresh,
        frozenset({(keys.payment_audit, "")}),
        lambda member: _counted("transaction", "TXN-", member),
    ),
    "reviews": Area(
        reviews.INDEX,
        reviews.refresh,
        frozenset({(keys.compliance_review, ""), (keys.review_snapshot, "")}),  # the latter is left of one that lapsed
        marks=(reviews.URGENT, reviews.CRITICAL),
    ),
    "holds": Area(holds.INDEX, holds.refresh, frozenset({(keys.hold, "")})),
    "quotes": Area(quotes.INDEX, quotes.refresh, frozenset({(keys.quote, "")}), _quote_number),
    "ended": Area(lapsed.INDEX, lapsed.refresh, frozenset({(keys.quote_snapshot, "")}), _quote_number),
    "claims": Area(
        claims.INDEX,
        claims.refresh,
        frozenset(
            {
                (keys.claim_temp, ""),
                (keys.investigation, ""),
                (keys.claim_field, "status"),
                (keys.claim_field, "details"),
                (keys.claim_snapshot, ""),  # all that is left of one that lapsed
            }
        ),
        lambda member: _counted("claim", "CLM", member),
        marks=(claims.URGENT, claims.CRITICAL),
    ),
    "sessions": Area(
        sessions.INDEX,
        sessions.refresh,
        frozenset({(keys.portal, ""), (keys.device_session, ""), (keys.workstation, ""), (keys.session_facts, "")}),
    ),
    "ended_sessions": Area(sessions.ENDED, sessions.refresh_ended, frozenset({(keys.ended_session, "")})),
    "security": Area(
        security.INDEX,
        security.refresh,
        frozenset(
            {
                *((keys.lockout, level) for level in keys.LOCKOUT_LEVELS),
                (keys.failed_logins, ""),
                (keys.two_factor, ""),
                (keys.password_reset, ""),
            }
        ),
    ),
}


def refresh(client: Redis, area: str, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the area's index in step with the truth for these things. Gives how many entries changed. A handful of
    round trips for each MEMBERS of them.
    """
    changed = 0
    for start in range(0, len(members), MEMBERS):
        part = members[start : start + MEMBERS]
        if area == "policies":
            changed += _refresh_policies(client, part, force=force)
        else:
            changed += AREAS[area].refresh(client, part, force=force)
    return changed


def _refresh_policies(client: Redis, members: Sequence[str], *, force: bool) -> int:
    """Whose policies are others than the index had: their relations are compared anew, before and after."""
    before = policies.owners(client, members)
    changed = policies.refresh(client, members, force=force)
    if changed:
        compare(client, members, before)
    return changed


def compare(client: Redis, members: Sequence[str], owners: Sequence[str] = ()) -> None:
    """Compare the relations of these policies' customers with what the policies say, and of `owners` besides. Eight
    round trips for each MEMBERS of them.
    """
    concerned = list(dict.fromkeys((*owners, *policies.owners(client, members))))
    for start in range(0, len(concerned), MEMBERS):
        drift.refresh(client, concerned[start : start + MEMBERS])


# -- as bulk work

REFRESH = "refresh"
"""The kind of bulk work that this is; `named` makes its members."""


def named(area: str, member: str) -> str:
    """How bulk work names a thing: `policies auto:100001`."""
    return f"{area} {member}"


def _refresh_named(members: Sequence[str], params: Mapping[str, str], by: str, token: str) -> Mapping[str, str]:
    """Bring these in step, and tell open pages. Done twice it changes nothing, so the token is not asked for."""
    things: dict[str, list[str]] = {}
    for each in members:
        area, _, member = each.partition(" ")
        things.setdefault(area, []).append(member)
    for area, ids in things.items():
        refresh(redis.client(), area, ids)

    def tell(draft: Change) -> None:
        for area in things:
            draft.event(area)

    change(tell)
    return {}


jobs.register_work(REFRESH, jobs.Work(bulk=_refresh_named, size=MEMBERS))
