"""Sessions: of customers in the portal and the apps, of staff at their workstations (the document, lines 95-137).

A session lives while its anchor does (portal, workstation, device key); the other keys are its attributes and share its
deadline. Nothing here writes an attribute of a session whose anchor is not known to live, other than with SET XX, so a
session that was ended stays ended.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit, metrics
from dashboard.repository.index import NEVER, UNKNOWN, Cursor, Entry, Index, Page
from dashboard.repository.keyspace import StoredKey, stored
from dashboard.repository.store import Change, change
from dashboard.repository.values import (
    Problem,
    Raw,
    Reader,
    comma_list,
    labelled,
    moment,
    plain,
    read_strings,
    shorten,
)

Kind = Literal["portal", "mobile", "tablet", "workstation"]
KINDS: tuple[Kind, ...] = ("portal", "mobile", "tablet", "workstation")

# A portal session's lifetime follows its activity level (lines 207-218); the others have one each.
ACTIVITY_LIFE = {
    "normal": 30 * clock.MINUTE,
    "high": clock.HOUR,
    "idle": 15 * clock.MINUTE,
    "vip": 2 * clock.HOUR,
}
DEVICE_LIFE = 2 * clock.HOUR
WORKSTATION_LIFE = 8 * clock.HOUR

AGENT_PERMISSIONS = ("create_quotes", "bind_policies", "process_claims", "view_customer_data")

TOUCH_EVERY = 10 * clock.SECOND
"""`last_activity` is true to so much: a write for each request would be more than anybody reads."""

EXPORTED = 500
"""Sessions read in one go where a whole list is."""

INDEX = Index(
    "sessions",
    patterns=((), ("kind",), ("person",), ("activity",)),
    sorts=("deadline",),
    domains={"kind": KINDS, "activity": (*ACTIVITY_LIFE, UNKNOWN)},
)


@dataclass(frozen=True)
class Session:
    """A session as its own keys tell it. What is missing or unreadable is None; `problems` says what is unreadable.

    id        e.g. agent:AG001:workstation, customer:CUST001:portal, mobile:CUST001:device123
    device    what it runs on, in words; `device_id` names it, for the apps
    deadline  Unix ms; None: it has no end
    lifetime  ms from its beginning to its end, as far as that is known
    """

    id: str
    kind: Kind
    person: str
    device_id: str | None
    device: str | None
    address: str | None
    signed_in: datetime | None
    last_activity: datetime | None
    permissions: tuple[str, ...]
    activity: str | None
    branch: str | None
    deadline: int | None
    lifetime: int
    problems: tuple[Problem, ...]

    @property
    def is_staff(self) -> bool:
        return self.kind == "workstation"


@dataclass(frozen=True)
class Filter:
    """What a list of sessions is restricted to."""

    kind: Kind | None = None
    person: str | None = None
    activity: str | None = None


@dataclass(frozen=True)
class Staff:
    """Who signs in at a workstation, as their session's keys will say it."""

    id: str
    branch: str
    permissions: Sequence[str]
    branches: Sequence[str]
    products: Sequence[str]
    device: str
    address: str


@dataclass(frozen=True)
class Standing:
    """What a workstation's check found: its deadline (Unix ms) if it lives and is this browser's; else why not."""

    deadline: int | None
    reason: Literal["", "ended", "replaced"] = ""

    @property
    def lives(self) -> bool:
        return self.deadline is not None


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


# -- reading


def listing(client: Redis, wanted: Filter, *, cursor: Cursor | None = None, size: int = 50) -> Page[Session]:
    """One page of the live sessions, the next to end first. Four round trips; more only where entries are stale."""
    return INDEX.things(
        client, _wanted_facets(wanted), "deadline", size, load=partial(load, client), facets=_facets, refresh=refresh,
        cursor=cursor, low=clock.now_ms(),
    )  # fmt: skip


def every(client: Redis, wanted: Filter) -> Iterator[Session]:
    """All of a list, page by page as they are asked for. Four round trips for each 500."""
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


def load(client: Redis, ids: Sequence[str]) -> dict[str, Session]:
    """Sessions by id, those that live. Three round trips at most."""
    found = {member: names for member in ids if (names := _names(member))}
    if not found:
        return {}
    anchors = [names["anchor"] for names in found.values()]
    pipe = client.pipeline(transaction=False)
    for anchor in anchors:
        pipe.pexpiretime(anchor)
    ends = dict(zip(anchors, pipe.execute(), strict=True))
    values = read_strings(client, [name for names in found.values() for name in names.values()])
    sessions = {}
    for member, names in found.items():
        end = ends[names["anchor"]]
        if end != -2 and values[names["anchor"]] is not None:
            sessions[member] = _session(member, names, values, None if end == -1 else end)
    return sessions


def stored_as(client: Redis, member: str) -> list[StoredKey]:
    """The keys this session is made of. One round trip."""
    names = _names(member)
    return stored(client, list(names.values())) if names else []


def tombstone(client: Redis, person: str) -> Tombstone | None:
    """Who ended this staff member's last session, if somebody did. One round trip."""
    if not keys.is_identifier(person):
        return None
    name = keys.tombstone(person)
    raw = read_strings(client, [name])[name]
    try:
        content = json.loads(raw) if isinstance(raw, str) else {}
        return Tombstone(by=str(content["by"]), at=clock.moment(int(content["at"])))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


# -- a staff member's own session


def reference(nonce: str) -> str:
    """What the workstation key keeps of a browser's secret: whoever reads the key cannot take the session over."""
    return hashlib.sha256(nonce.encode()).hexdigest()[:32]


def open_workstation(staff: Staff, nonce: str) -> int:
    """Begin the working day: all keys of the session with one deadline, in one transaction. Gives it, in Unix ms.

    A session this person has elsewhere is replaced: its browser finds another reference in the key. Six round trips.
    """
    member = f"agent:{staff.id}:workstation"

    def action(draft: Change) -> int:
        now = clock.now()
        deadline = clock.ms(now) + WORKSTATION_LIFE
        values = _workstation_values(draft.client, staff, nonce, now)
        for name in keys.workstation_keys(staff.id):
            if name in values:
                draft.set_until(name, values[name], deadline)
            else:
                draft.delete(name)
        draft.delete(keys.tombstone(staff.id))
        facets = {"kind": "workstation", "person": staff.id}
        known = INDEX.known_places(draft.client, [member])[member]
        INDEX.put(draft, member, Entry(facets, {"deadline": deadline}), known)
        draft.event("sessions", member)
        return deadline

    return change(action)


def check(client: Redis, person: str, nonce: str, *, touch: bool = True) -> Standing:
    """Whether this browser's workstation session lives, and note that its owner is active. One round trip; a second
    one at most every TOUCH_EVERY.

    An admin who ends the session at this very moment wins: the notes are written with SET XX, which makes no key, and
    KEEPTTL, which prolongs none.
    """
    if not keys.is_identifier(person):
        return Standing(None, "ended")
    anchor, last = keys.workstation(person), keys.workstation_field(person, "last_activity")
    pipe = client.pipeline(transaction=False)
    pipe.get(anchor)
    pipe.pexpiretime(anchor)
    pipe.get(last)
    value, deadline, active = pipe.execute(raise_on_error=False)
    _raise_trouble(value, deadline)
    if not isinstance(value, str) or deadline == -2:
        return Standing(None, "ended")
    if not hmac.compare_digest(labelled(value).get("ref", "").encode(errors="replace"), reference(nonce).encode()):
        return Standing(None, "replaced")
    if touch and _is_old(active):
        _touch(client, person)
    return Standing(deadline if deadline > 0 else clock.now_ms() + WORKSTATION_LIFE)


def close(person: str, nonce: str) -> bool:
    """Sign out: end the session if it is still this browser's. Whether it was."""
    if not keys.is_identifier(person):
        return False
    member, anchor = f"agent:{person}:workstation", keys.workstation(person)

    def action(draft: Change) -> bool:
        draft.watch(anchor)
        if not check(draft.client, person, nonce, touch=False).lives:
            return False
        _end(draft, [member])
        return True

    return change(action)


def _touch(client: Redis, person: str) -> None:
    """Note activity, and bring the session's copies of the day's figures in step. Two round trips."""
    noted = {"last_activity": clock.iso(clock.now()), **_figures(client, person)}
    pipe = client.pipeline(transaction=False)
    for field, value in noted.items():
        pipe.set(keys.workstation_field(person, field), value, xx=True, keepttl=True)
    pipe.execute(raise_on_error=False)  # a store that is full or read-only can still be read


def _is_old(active: object) -> bool:
    at = moment(active) if isinstance(active, str) else None
    return at is None or abs(clock.now_ms() - clock.ms(at)) >= TOUCH_EVERY


def _raise_trouble(*answers: object) -> None:
    """A wrong type is an answer, a store that is loading or away is none."""
    for answer in answers:
        if isinstance(answer, Exception) and "WRONGTYPE" not in str(answer):
            raise answer


def _workstation_values(client: Redis, staff: Staff, nonce: str, now: datetime) -> dict[str, str]:
    """The session's keys and what they say (lines 122-136); what there is nothing to say of is left out."""
    at = clock.iso(now)
    branch = f"branch:{staff.branch}" if staff.branch else ""
    parts = ["authenticated", f"login_time:{at}", branch, f"ref:{reference(nonce)}"]
    calls = keys.workstation_field(staff.id, "customer_calls_today")
    called = read_strings(client, [calls])[calls]
    fields = {
        "permissions": ",".join(staff.permissions),
        "branch_access": ",".join(staff.branches),
        "product_access": ",".join(staff.products),
        "customer_calls_today": called if isinstance(called, str) else "0",
        "last_activity": at,
        "device": staff.device,
        "address": staff.address,
        "quotes_today": "0",
        "policies_sold_today": "0",
        **_figures(client, staff.id),
    }
    values = {keys.workstation_field(staff.id, field): value for field, value in fields.items() if value}
    return {keys.workstation(staff.id): "|".join(filter(None, parts)), **values}


def _figures(client: Redis, person: str) -> dict[str, str]:
    """The day's figures of this agent, of which the session keeps copies. One round trip, or two."""
    today = metrics.day(client, clock.today(), agents=[person]).agents[person]
    figures = {"quotes_today": today.quotes_generated, "policies_sold_today": today.policies_sold}
    return {field: plain(value) for field, value in figures.items() if value is not None}


# -- ending sessions of others


def revoke(ids: Sequence[str], *, by: str, token: str | None = None) -> Revoked:
    """End these sessions, all in one transaction: each key of each, with a record of it, and for staff a note that
    tells its owner who did it. Effective on the very next request. Seven round trips, however many sessions.
    """
    wanted = [member for member in dict.fromkeys(ids) if _names(member)]

    def action(draft: Change) -> list[list[str]]:
        if not wanted:
            return [[], list(ids)]
        draft.watch(*[names["anchor"] for member in wanted if (names := _names(member))])
        living = load(draft.client, wanted)
        for session in living.values():
            audit.append(draft, audit.SESSION, session.person, text=f"{_described(session)} ended by {by}")
            if session.is_staff:
                note = json.dumps({"by": by, "at": clock.now_ms()})
                draft.set_until(keys.tombstone(session.person), note, clock.now_ms() + WORKSTATION_LIFE)
        _end(draft, list(living))
        return [list(living), [member for member in dict.fromkeys(ids) if member not in living]]

    ended, gone = change(action, token=token)
    return Revoked(tuple(ended), tuple(gone))


def _end(draft: Change, members: Sequence[str]) -> None:
    """Record the end of these sessions: every key, the index, the event. One round trip."""
    if not members:
        return
    known = INDEX.known_places(draft.client, members)
    for member in members:
        draft.delete(*(_names(member) or {}).values())
        INDEX.put(draft, member, None, known[member])
        draft.event("sessions", member)


def _described(session: Session) -> str:
    since = f", signed in {clock.iso(session.signed_in)}" if session.signed_in else ""
    where = f", {shorten(session.device)}" if session.device else ""
    return f"{session.kind.capitalize()} session of {session.person}{since}{where}"


# -- the index


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these sessions. Five round trips. Gives how many entries changed."""

    def read(members: Sequence[str]) -> dict[str, Entry]:
        return {member: _entry(session) for member, session in load(client, members).items()}

    return INDEX.follow(client, members, read, force=force)


def _entry(session: Session) -> Entry:
    return Entry(_facets(session), {"deadline": NEVER if session.deadline is None else session.deadline})


def _facets(session: Session) -> dict[str, str]:
    activity = session.activity if session.activity in ACTIVITY_LIFE else UNKNOWN
    return {"kind": session.kind, "person": session.person, "activity": activity}


def _wanted_facets(wanted: Filter) -> dict[str, list[str]]:
    given = {"kind": wanted.kind, "person": wanted.person, "activity": wanted.activity}
    return {facet: [value] for facet, value in given.items() if value}


# -- from what is stored


def _names(member: str) -> dict[str, str] | None:
    """A session's keys by field, its anchor first; None for what is no session's id."""
    parsed = keys.parse(f"session:{member}")
    if parsed is None or parsed.subject != member:
        return None
    person = parsed.parts["person"]
    if parsed.family is keys.portal:
        return {"anchor": keys.portal(person)} | {name: keys.portal_field(person, name) for name in keys.PORTAL_FIELDS}
    if parsed.family is keys.workstation:
        fields = {name: keys.workstation_field(person, name) for name in keys.WORKSTATION_FIELDS}
        return {"anchor": keys.workstation(person)} | fields
    return {"anchor": keys.device_session(*parsed.parts.values())}


def _session(member: str, names: Mapping[str, str], values: dict[str, Raw], deadline: int | None) -> Session:
    reader = Reader(values, dict(names))
    kind, person, device_id = _identity(member)
    text = reader.text("anchor") or ""
    labels = {} if device_id else labelled(text)
    activity = (reader.optional("activity_level", reader.text) or "").strip().lower() or None
    signed_in = _moment(reader, names["anchor"], labels, "login_time")
    seen = [
        reader.optional("last_activity", reader.moment),
        _moment(reader, names["anchor"], labels, "last_activity"),
    ]
    return Session(
        id=member,
        kind=kind,
        person=person,
        device_id=device_id,
        device=_device(text) if device_id else _device(reader.optional("device", reader.text)),
        address=labels.get("ip") or reader.optional("address", reader.text),
        signed_in=signed_in,
        last_activity=max(filter(None, seen), default=None),
        permissions=tuple(comma_list(reader.optional("permissions", reader.text))),
        activity=activity,
        branch=labels.get("branch"),
        deadline=deadline,
        lifetime=_lifetime(kind, activity, deadline),
        problems=tuple(reader.problems),
    )


def _identity(member: str) -> tuple[Kind, str, str | None]:
    role, person, last = member.split(":")
    if role in keys.DEVICES:
        return role, person, last  # type: ignore[return-value]
    return ("portal" if role == "customer" else "workstation"), person, None


def _lifetime(kind: Kind, activity: str | None, deadline: int | None) -> int:
    lives = {"mobile": DEVICE_LIFE, "tablet": DEVICE_LIFE, "workstation": WORKSTATION_LIFE}
    usual = lives.get(kind) or ACTIVITY_LIFE.get(activity or "normal", ACTIVITY_LIFE["normal"])
    return max(usual, deadline - clock.now_ms()) if deadline else usual


def _moment(reader: Reader, key: str, labels: Mapping[str, str], label: str) -> datetime | None:
    text = labels.get(label)
    at = moment(text) if text else None
    if text and at is None:
        reader.problems.append(Problem(key, f"{label} is not a point in time: {shorten(text)}"))
    return at


def _device(text: str | None) -> str | None:
    """`iPhone 12|iOS 15.0|app_version:2.1.0` -> iPhone 12, iOS 15.0, app 2.1.0"""
    if not text:
        return None
    parts = [part.strip().replace("app_version:", "app ") for part in text.split("|")]
    return ", ".join(filter(None, parts)) or None
