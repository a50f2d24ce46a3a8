"""How sessions end: all their keys at once, with a note of how, when and by whom, kept for 30 days.

    dash:session-snapshot:mobile:CUST001:device123        its facts while it lives, and beyond
    dash:ended-session:CUST001:20240818T103000000-9f2c41d0   how it ended

Whoever ends a session records that in the same transaction. Those that nobody ended, because their time ran out or
another tool took their keys, are found by the index, at their deadline, and told from the snapshot: once, whoever finds
out, for the snapshot goes with it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from redis import Redis

from dashboard import clock, keys, redis
from dashboard.repository import audit, session_records
from dashboard.repository.index import Cursor, Entry, Index, Page
from dashboard.repository.session_records import INDEX, KINDS, WORKSTATION_LIFE, Facts, Kind, Session, names_of
from dashboard.repository.store import Change, change
from dashboard.repository.values import Raw, labelled, read_strings, readable, shorten

How = Literal["signed_out", "expired", "revoked", "replaced", "removed"]
HOWS: tuple[How, ...] = ("signed_out", "expired", "revoked", "replaced", "removed")

KEPT = 30 * clock.DAY
"""How long the end of a session is on record, in ms."""

REMEMBERED = 8 * clock.HOUR
"""How long a session that was ended is not let back in, in ms: as long as the longest of them lives by itself."""
_MOST_REMEMBERED = 50

EXPORTED = 500
"""Records read in one go where a whole list is."""

ENDED = Index(
    "ended_sessions",
    patterns=((), ("kind",), ("person",), ("how",)),
    sorts=("deadline",),  # of the record: the order in which they ended
    domains={"kind": KINDS, "how": HOWS},
)


@dataclass(frozen=True)
class Tombstone:
    """Who ended a staff member's session, and when."""

    by: str
    at: datetime


@dataclass(frozen=True)
class Revoked:
    """What an order to end sessions came to: ids of those that were ended, and of those that were gone already."""

    ended: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """A session that is over.

    id       of the record; `session` is what the session was called
    how      `removed`: another tool took its keys away before their time
    by       who ended it, where it was somebody else than its owner
    why      what for, if that was said
    """

    id: str
    session: str
    kind: Kind
    person: str
    device: str | None
    address: str | None
    signed_in: datetime | None
    last_activity: datetime | None
    at: datetime
    how: How
    by: str | None
    why: str | None


@dataclass(frozen=True)
class EndedFilter:
    """What the list is restricted to; `since` and `until` are moments of the end."""

    kind: Kind | None = None
    person: str | None = None
    how: How | None = None
    since: datetime | None = None
    until: datetime | None = None


# -- ending sessions of others


def revoke(ids: Sequence[str], *, by: str, why: str = "", token: str | None = None) -> Revoked:
    """End these sessions, all in one transaction: each key of each, with a record of it, and for staff a note that
    tells its owner who did it. Effective on the very next request. A dozen round trips, however many sessions.
    """
    wanted = [member for member in dict.fromkeys(ids) if names_of(member)]

    def action(draft: Change) -> list[list[str]]:
        if not wanted:
            return [[], list(dict.fromkeys(ids))]
        living = watched(draft, wanted)
        for session in living.values():
            words = f"{described(session)} ended by {by}" + (f": {why}" if why else "")
            audit.append(draft, audit.SESSION, session.person, text=words, by=by)
            if session.is_staff:
                note = json.dumps({"by": by, "at": clock.now_ms()})
                draft.set_until(keys.tombstone(session.person), note, clock.now_ms() + WORKSTATION_LIFE)
        finish(draft, list(living.values()), "revoked", by=by, why=why)
        return [list(living), [member for member in dict.fromkeys(ids) if member not in living]]

    ended, gone = change(action, token=token)
    return Revoked(tuple(ended), tuple(gone))


def end_all(person: str, by: str, reason: str, *, but: Collection[str] = ()) -> int:
    """End every session of a customer or staff member, but those with these ids; `reason` in words, e.g. "the password
    was changed". Gives how many. Those opened while this goes on are ended, too.
    """
    ended = 0
    while ids := [member for member in ids_of(redis.client(), person) if member not in but]:
        found = revoke(ids, by=by, why=reason)
        ended += len(found.ended)
        if not found.ended:  # the index named what is no more
            break
    return ended


def ids_of(client: Redis, person: str, *, size: int = 200) -> list[str]:
    """Ids of this person's sessions: those that the index knows, the next to end first, and those that have one name for
    each person, whether the index has heard of them or not. Two round trips.
    """
    if not keys.is_identifier(person):
        return []
    known = INDEX.page(client, {"person": [person]}, "deadline", size, low=clock.now_ms()).members
    return list(dict.fromkeys([*known, *_named_after(client, person)]))


def _named_after(client: Redis, person: str) -> list[str]:
    """The workstation's, the portal's, and the one opened here that the portal key tells of. One round trip."""
    workstation = keys.workstation.subject.format(person=person)
    if not keys.is_customer(person):
        return [workstation]
    latest = read_strings(client, [keys.portal_latest(person)])[keys.portal_latest(person)]
    ours = [f"portal:{person}:{latest}"] if isinstance(latest, str) and keys.is_identifier(latest) else []
    return [workstation, session_records.told_by(person), *ours]


def tombstone(client: Redis, person: str) -> Tombstone | None:
    """Who ended this staff member's last session, if somebody did. One round trip."""
    if not keys.is_identifier(person):
        return None
    name = keys.tombstone(person)
    content = _parsed(read_strings(client, [name])[name])
    try:
        return Tombstone(by=str(content["by"]), at=clock.moment(int(content["at"])))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def described(session: Session) -> str:
    since = f", signed in {clock.iso(session.signed_in)}" if session.signed_in else ""
    where = f", {shorten(session.device)}" if session.device else ""
    return f"{session.kind.capitalize()} session of {session.person}{since}{where}"


# -- as part of the transactions that end sessions


def watched(draft: Change, members: Sequence[str]) -> dict[str, Session]:
    """Those of these sessions that live; whoever opens or ends one of them from here on undoes this attempt, and who uses
    one through us. Eight round trips.

    Anchors are watched only of those of which nothing is kept yet: other tools may write them many times a second, and
    that must never keep anybody from ending a session.
    """
    draft.watch(*names_watched(members))
    kept = read_snapshots(draft.client, [member for member in members if names_of(member)])
    bare = [names_of(member)["anchor"] for member, snapshot in kept.items() if snapshot is None]
    if bare:
        draft.watch(*bare)
    return session_records.load(draft.client, members)


def names_watched(members: Sequence[str]) -> list[str]:
    """The keys of ours that say whether these sessions live, whom the customer's portal key tells of, how they ended."""
    names = {
        name: None
        for member in members
        if (found := names_of(member))
        for name in (found.get("facts"), keys.session_snapshot(member), *_beside(member))
        if name
    }
    return list(names)


def _beside(member: str) -> tuple[str, ...]:
    kind, person, _ = session_records.identity(member)
    return (keys.portal_latest(person), keys.portal_ended(person)) if kind == "portal" else (keys.refs_ended(person),)


def finish(draft: Change, sessions: Sequence[Session], how: How, *, by: str = "", why: str = "") -> None:
    """Record the end of these (watched) sessions: every key, the index, how they ended, the event. The customer's portal
    key goes to the latest that is left. Three round trips, and four more where a portal session was the latest.
    """
    if not sessions:
        return
    known = INDEX.known_places(draft.client, [session.id for session in sessions])
    for session in sessions:
        draft.delete(*_keys_of(session))
        INDEX.put(draft, session.id, None, known[session.id])
        draft.event("sessions", session.id)
    portals = [session for session in sessions if session.kind == "portal"]
    remember(draft, sessions)
    _hand_over(draft, [session for session in portals if session.latest], {session.id for session in sessions})
    for session in sessions:
        note_end(draft, session.id, snapshot_of(session), how, by=by, why=why)


def _keys_of(session: Session) -> list[str]:
    names = names_of(session.id)
    return list(names.values()) if session.latest else [names["facts"]]


def remember(draft: Change, ending: Sequence[Session]) -> None:
    """By what one of these (watched) sessions that end here is known again: one that another tool writes back is none.
    Of portal sessions when they began, of the others their digest. Two round trips.
    """
    anchors = {session.id: names_of(session.id)["anchor"] for session in ending if session.kind != "portal"}
    texts = read_strings(draft.client, list(anchors.values()))
    marks: dict[str, list[str]] = {}
    for session in ending:
        if session.kind == "portal":
            name, mark = keys.portal_ended(session.person), session.signed_in and clock.iso(session.signed_in)
        else:
            name, mark = keys.refs_ended(session.person), labelled(str(texts[anchors[session.id]])).get("ref")
        if mark:
            marks.setdefault(name, []).append(mark)
    for name, kept in read_strings(draft.client, list(marks)).items():
        told = list(dict.fromkeys([*session_records.remembered(kept), *marks[name]]))[-_MOST_REMEMBERED:]
        draft.set_until(name, json.dumps(told), clock.now_ms() + REMEMBERED)


def _hand_over(draft: Change, ending: Sequence[Session], but: Collection[str]) -> None:
    """The customer's portal key tells of the latest session that is left; of none, it is gone."""
    for person in dict.fromkeys(session.person for session in ending):
        draft.delete(keys.portal_latest(person))
        left = [m for m in ids_of(draft.client, person) if m.startswith("portal:") and m not in but]
        if not left:
            continue
        draft.watch(*(names_of(member)["facts"] for member in left))  # whoever ends one now undoes this
        heirs = session_records.own_facts(draft.client, left)
        if heirs:
            heir = max(heirs, key=lambda member: heirs[member][0].began)
            write_portal(draft, heir, *heirs[heir])


def write_portal(draft: Change, member: str, facts: Facts, deadline: int) -> None:
    """The customer's portal keys tell of this session, all until its deadline. Whether it lives is for the caller to know,
    under WATCH.
    """
    _, person, number = member.split(":")
    names = session_records.portal_names(person)
    draft.set_until(names["anchor"], facts.text, deadline)
    for name in keys.PORTAL_FIELDS:
        if facts.fields.get(name):
            draft.set_until(names[name], facts.fields[name], deadline)
        else:
            draft.delete(names[name])
    draft.set_until(keys.portal_latest(person), number, deadline)


# -- what is kept


def snapshot_of(session: Session) -> dict[str, Any]:
    return {
        "device": session.device,
        "address": session.address,
        "since": clock.ms(session.signed_in) if session.signed_in else None,
        "seen": clock.ms(session.last_activity) if session.last_activity else None,
        "deadline": session.deadline,
    }


def keep(draft: Change, member: str, snapshot: Mapping[str, Any]) -> None:
    """A copy of a live session's facts that outlives it."""
    until = (snapshot["deadline"] or clock.now_ms()) + KEPT
    draft.set_until(keys.session_snapshot(member), json.dumps(snapshot), until)


def note_end(
    draft: Change,
    member: str,
    snapshot: Mapping[str, Any],
    how: How,
    *,
    by: str = "",
    why: str = "",
    at: int | None = None,
) -> None:
    """Record how a session ended, at `at` (Unix ms; now), and that nothing more is to be told of it. No round trip: the
    record is new.
    """
    kind, person, _ = session_records.identity(member)
    at = clock.now_ms() if at is None else at
    record = f"{clock.moment(at):%Y%m%dT%H%M%S}{at % 1000:03}-{secrets.token_hex(4)}"
    facts = {**snapshot, "session": member, "how": how, "by": by, "why": why, "at": at}
    draft.delete(keys.session_snapshot(member))
    draft.set_until(keys.ended_session(person, record), json.dumps(facts), at + KEPT)
    where = Entry({"kind": kind, "person": person, "how": how}, {"deadline": at + KEPT})
    ENDED.put(draft, f"{person}:{record}", where, None)
    draft.event("sessions", member)


def notice(client: Redis, members: Sequence[str], living: Mapping[str, Session]) -> None:
    """Keep the facts of those that live, and record the end of those that nobody ended. One or two round trips where
    nothing is new.
    """
    known = [member for member in members if names_of(member)]
    kept = read_snapshots(client, known)
    if all(_is_told(kept[member], living.get(member)) for member in known):
        return
    news = [member for member in known if not _is_told(kept[member], living.get(member))]

    def action(draft: Change) -> None:
        found = watched(draft, news)
        kept = read_snapshots(draft.client, news)
        for member in news:
            _tell(draft, member, kept[member], found.get(member))

    change(action)


def _is_told(kept: Mapping[str, Any] | None, session: Session | None) -> bool:
    if session is None:
        return kept is None
    now = snapshot_of(session)
    return kept is not None and all(kept.get(name) == now[name] for name in ("since", "deadline", "device", "address"))


def _tell(draft: Change, member: str, kept: Mapping[str, Any] | None, session: Session | None) -> None:
    if session is None:
        if kept:
            deadline = _whole(kept.get("deadline"))
            expired = deadline is not None and deadline <= clock.now_ms() + clock.SECOND
            note_end(draft, member, kept, "expired" if expired else "removed", at=deadline if expired else None)
        return
    now = snapshot_of(session)
    if kept and kept.get("since") and now["since"] and kept["since"] != now["since"]:
        note_end(draft, member, kept, "replaced")
    keep(draft, member, now)


def read_snapshots(client: Redis, members: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    """What is kept of these sessions. One round trip, or two."""
    names = {member: keys.session_snapshot(member) for member in members}
    values = read_strings(client, list(names.values()))
    return {member: _parsed(values[name]) or None for member, name in names.items()}


def _parsed(raw: Raw) -> dict[str, Any]:
    """{} for what is not there, or is no JSON object."""
    try:
        content = json.loads(raw) if isinstance(raw, str) else {}
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


# -- the list of those that ended


def ended(
    client: Redis,
    person: str | None = None,
    *,
    kind: Kind | None = None,
    how: How | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    cursor: Cursor | None = None,
    size: int = 50,
) -> Page[Ended]:
    """One page of the sessions that ended within 30 days, the latest first. Three round trips; more only where entries
    are stale.
    """
    given = {"kind": kind, "person": person, "how": how}
    return ENDED.things(
        client,
        {facet: [value] for facet, value in given.items() if value},
        "deadline",
        size,
        load=partial(load_ended, client),
        facets=lambda each: {"kind": each.kind, "person": each.person, "how": each.how},
        refresh=refresh_ended,
        cursor=cursor,
        descending=True,
        low=max(clock.now_ms(), clock.ms(since) + KEPT if since else 0),
        high=clock.ms(until) + KEPT if until else None,
    )


def ended_totals(client: Redis) -> dict[str, int]:
    """How many sessions ended within 30 days, by how, under "" all. One round trip."""
    now = clock.now_ms()
    queries = [({"how": [how]} if how else {}, "deadline", now, None) for how in ("", *HOWS)]
    return dict(zip(("", *HOWS), ENDED.count(client, queries), strict=True))


def every_ended(client: Redis, wanted: EndedFilter) -> Iterator[Ended]:
    """All of a list, page by page as they are asked for. Three round trips for each 500."""
    cursor = None
    while True:
        page = ended(client, **wanted.__dict__, cursor=cursor, size=EXPORTED)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def load_ended(client: Redis, members: Sequence[str]) -> dict[str, Ended]:
    """Records by id, those that are kept. One round trip, or two."""
    names = {}
    for member in members:
        person, _, record = member.rpartition(":")
        try:
            names[member] = keys.ended_session(person, record)
        except keys.BadIdentifier:
            continue
    values = read_strings(client, list(names.values()))
    return {m: found for m, name in names.items() if (found := _ended(m, _parsed(values[name])))}


def refresh_ended(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the list in step with the records. Four round trips. Gives how many entries changed."""

    def read(members: Sequence[str]) -> dict[str, Entry]:
        return {
            member: Entry(
                {"kind": each.kind, "person": each.person, "how": each.how}, {"deadline": clock.ms(each.at) + KEPT}
            )
            for member, each in load_ended(client, members).items()
        }

    return ENDED.follow(client, members, read, force=force)


def _ended(member: str, kept: Mapping[str, Any]) -> Ended | None:
    """None for what is no record of ours."""
    at, how, session = _whole(kept.get("at")), kept.get("how"), kept.get("session")
    if at is None or how not in HOWS or not isinstance(session, str) or not names_of(session):
        return None
    kind, _, _ = session_records.identity(session)
    return Ended(
        id=member,
        session=session,
        kind=kind,
        person=member.rpartition(":")[0],
        device=_text(kept.get("device")),
        address=_text(kept.get("address")),
        signed_in=_at(kept.get("since")),
        last_activity=_at(kept.get("seen")),
        at=clock.moment(at),
        how=how,
        by=_text(kept.get("by")),
        why=_text(kept.get("why")),
    )


def _text(value: object) -> str | None:
    return shorten(readable(value), 200) or None if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15 else None


def _at(value: object) -> datetime | None:
    ms = _whole(value)
    return None if ms is None else clock.moment(ms)
