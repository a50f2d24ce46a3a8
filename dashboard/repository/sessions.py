"""Sessions: of customers in the portal and the apps, of staff at their workstations (the document, lines 95-137 and
207-218). Who is signed in where; what is done about it stands beside:

    session_records     what a session is, as stored
    session_ends        how they end, and the list of those that did
    portal_sessions     customers' sessions, by those who hold their secret
    workstations        staff members' sessions

A session lives while its anchor does; its other keys are its attributes and share its deadline. Nothing anywhere writes an
attribute of a session whose anchor is not known to live, so a session that was ended stays ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import session_ends
from dashboard.repository.index import Cursor, Entry, Page
from dashboard.repository.portal_sessions import (
    BY_RULE,
    RULES,
    Opened,
    Rule,
    end,
    open_device,
    open_portal,
    refresh_session,
    set_activity,
)
from dashboard.repository.session_ends import (
    ENDED,
    HOWS,
    Ended,
    EndedFilter,
    How,
    Revoked,
    Tombstone,
    end_all,
    ended,
    ended_totals,
    every_ended,
    refresh_ended,
    revoke,
    tombstone,
)
from dashboard.repository.session_records import (
    ACTIVITY_LIFE,
    DEVICE_LIFE,
    INDEX,
    KINDS,
    WORKSTATION_LIFE,
    Kind,
    Session,
    entry,
    facets,
    identity,
    is_brought_back,
    is_ended,
    load,
    names_of,
    own_facts,
    stored_as,
)
from dashboard.repository.store import Change, change
from dashboard.repository.values import Raw, read_strings
from dashboard.repository.workstations import (
    AGENT_PERMISSIONS,
    RIGHT_WORDS,
    RIGHTS,
    Right,
    Rights,
    Staff,
    Standing,
    check,
    close,
    fingerprint,
    log_call,
    member_of,
    open_workstation,
    restrict,
    rights_held,
)

__all__ = (
    "ACTIVITY_LIFE", "AGENT_PERMISSIONS", "BY_RULE", "DEVICE_LIFE", "ENDED", "HOWS", "INDEX", "KINDS", "RIGHTS", "RIGHT_WORDS", "RULES",
    "WORKSTATION_LIFE", "Ended", "EndedFilter", "Filter", "How", "Kind", "Opened", "Revoked", "Right", "Rights", "Rule",
    "Session", "Staff", "Standing", "Tombstone", "check", "close", "end", "end_all", "ended", "ended_totals", "every",
    "every_ended",
    "fingerprint", "listing", "load", "log_call", "member_of", "of_person", "open_device", "open_portal",
    "open_workstation", "refresh", "refresh_ended", "refresh_session", "restrict", "revoke", "rights_held", "set_activity", "stored_as",
    "tombstone", "totals",
)  # fmt: skip

EXPORTED = 500
"""Sessions read in one go where a whole list is."""


@dataclass(frozen=True)
class Filter:
    """What a list of sessions is restricted to."""

    kind: Kind | None = None
    person: str | None = None
    activity: str | None = None


def listing(client: Redis, wanted: Filter, *, cursor: Cursor | None = None, size: int = 50) -> Page[Session]:
    """One page of the live sessions, the next to end first. Six round trips at most; more only where entries are stale."""
    return INDEX.things(
        client, _wanted_facets(wanted), "deadline", size, load=partial(load, client), facets=facets, refresh=refresh,
        cursor=cursor, low=clock.now_ms(),
    )  # fmt: skip


def every(client: Redis, wanted: Filter) -> Iterator[Session]:
    """All of a list, page by page as they are asked for. Six round trips for each 500."""
    cursor = None
    while True:
        page = listing(client, wanted, cursor=cursor, size=EXPORTED)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def totals(client: Redis, wanted: Filter) -> dict[str, int]:
    """How many live sessions of each kind there are, under "" all; {} where a list is restricted by more than
    that. One round trip.
    """
    if wanted.person or wanted.activity:
        return {}
    now = clock.now_ms()
    queries = [({"kind": [kind]} if kind else {}, "deadline", now, None) for kind in ("", *KINDS)]
    return dict(zip(("", *KINDS), INDEX.count(client, queries), strict=True))


def of_person(client: Redis, person: str, *, size: int = 200) -> list[Session]:
    """The live sessions of one customer or staff member."""
    return listing(client, Filter(person=person), size=size).rows


def _wanted_facets(wanted: Filter) -> dict[str, list[str]]:
    given = {"kind": wanted.kind, "person": wanted.person, "activity": wanted.activity}
    return {facet: [value] for facet, value in given.items() if value}


# -- the index


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these sessions, and with them what is kept of their ends. Eight round
    trips, more where something is new. Gives how many entries changed.

    Where a customer's portal key changed, the sessions opened here that it told of are looked at, too.
    """
    members = [*dict.fromkeys((*members, *_beside(client, members)))]
    living: dict[str, Session] = {}

    def read(members: Sequence[str]) -> dict[str, Entry]:
        found = load(client, members)
        living.update(found)
        return {member: entry(session) for member, session in found.items()}

    changed = INDEX.follow(client, members, read, force=force)
    session_ends.notice(client, members, living)
    _turn_away(client, members, living)
    return changed


def _beside(client: Redis, members: Sequence[str]) -> list[str]:
    """The sessions opened here that these customers' portal keys told of last. One round trip, none without portal keys."""
    people = [parts[1] for member in members if (parts := member.split(":"))[0] == "customer" and len(parts) == 3]
    names = {person: keys.portal_latest(person) for person in people if keys.is_customer(person)}
    latest = read_strings(client, list(names.values()))
    told = {person: latest[name] for person, name in names.items()}
    return [f"portal:{person}:{number}" for person, number in told.items() if keys.is_identifier(str(number or ""))]


def _turn_away(client: Redis, members: Sequence[str], living: dict[str, Session]) -> None:
    """Keys of sessions that were ended and that another tool wrote back (trap 20) are taken away again. One round trip,
    none where all that have a key live.
    """
    gone = [member for member in members if member not in living and "anchor" in names_of(member)]
    names = {member: names_of(member)["anchor"] for member in gone if not member.startswith("portal:")}
    kept = read_strings(client, [each for member, name in names.items() for each in (name, _ended_key(member))])
    for member, name in names.items():
        if _was_ended(member, kept[name], kept[_ended_key(member)]):
            change(partial(_take_away, member=member))


def _ended_key(member: str) -> str:
    kind, person, _ = identity(member)
    return keys.portal_ended(person) if kind == "portal" else keys.refs_ended(person)


def _was_ended(member: str, text: Raw, ended: Raw) -> bool:
    known_again = is_brought_back if identity(member)[0] == "portal" else is_ended
    return isinstance(text, str) and known_again(text, ended)


def _take_away(draft: Change, *, member: str) -> None:
    kind, person, _ = identity(member)
    names = [names_of(member)["anchor"], _ended_key(member)]
    draft.watch(*names, *([keys.portal_latest(person)] if kind == "portal" else []))
    own = own_facts(draft.client, _beside(draft.client, [member]))
    text, ended = read_strings(draft.client, names).values()
    if _was_ended(member, text, ended) and not any(facts.are_of(str(text)) for facts, _ in own.values()):
        draft.delete(*(keys.portal_keys(person) if kind == "portal" else names_of(member).values()))
        draft.event("sessions", member)
