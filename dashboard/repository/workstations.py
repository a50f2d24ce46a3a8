"""A staff member's session: the working day at a workstation (the document, lines 120-136).

It lives while its anchor does, with this browser's digest in it. Its permissions, branches and products are copies of the
account's: they may narrow what the account allows, for this session, and never widen it (trap 24). Its counts of the day
are copies of the figures, but for the calls, which stand here alone (trap 23).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Invalid
from dashboard.repository import audit, metrics, session_ends
from dashboard.repository.security import count_of
from dashboard.repository.session_records import (
    INDEX,
    WORKSTATION_LIFE,
    entry_for,
    is_ended,
    is_secret_of,
    reference,
)
from dashboard.repository.store import Change, change
from dashboard.repository.values import Raw, answered, comma_list, labelled, moment, plain, read_strings

AGENT_PERMISSIONS = ("create_quotes", "bind_policies", "process_claims", "view_customer_data")

TOUCH_EVERY = 10 * clock.SECOND
"""`last_activity` is true to so much: a write for each request would be more than anybody reads."""

Right = Literal["permissions", "branch_access", "product_access"]
RIGHTS: tuple[Right, ...] = ("permissions", "branch_access", "product_access")
RIGHT_WORDS: dict[Right, str] = {
    "permissions": "Permissions",
    "branch_access": "Branches",
    "product_access": "Products",
}


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
class Rights:
    """What a running session is restricted to; None: no more than its account.

    narrowed   those of them of which an admin has taken something away since it began
    """

    permissions: frozenset[str] | None = None
    branches: frozenset[str] | None = None
    products: frozenset[str] | None = None
    narrowed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Standing:
    """What a workstation's check found: its deadline (Unix ms) if it lives and is this browser's, and what it is restricted
    to; else why not.
    """

    deadline: int | None
    reason: Literal["", "ended", "replaced"] = ""
    rights: Rights = Rights()

    @property
    def lives(self) -> bool:
        return self.deadline is not None


# -- a staff member's own session


def open_workstation(staff: Staff, nonce: str) -> int:
    """Begin the working day: all keys of the session with one deadline, in one transaction. Gives it, in Unix ms.

    A session this person has elsewhere is replaced: its browser finds another reference in the key. A dozen round trips.
    """
    member = member_of(staff.id)

    def action(draft: Change) -> int:
        before = session_ends.watched(draft, [member]).get(member)
        if before:
            session_ends.remember(draft, [before])
            session_ends.note_end(draft, member, session_ends.snapshot_of(before), "replaced")
        now = clock.now()
        deadline = clock.ms(now) + WORKSTATION_LIFE
        values = _values(draft.client, staff, nonce, now)
        for name in keys.workstation_keys(staff.id):
            if name in values:
                draft.set_until(name, values[name], deadline)
            else:
                draft.delete(name)
        draft.delete(keys.tombstone(staff.id))
        INDEX.put(
            draft, member, entry_for("workstation", staff.id, None, deadline),
            INDEX.known_places(draft.client, [member])[member],
        )  # fmt: skip
        session_ends.keep(draft, member, _snapshot(staff, now, deadline))
        draft.event("sessions", member)
        return deadline

    return change(action)


def check(client: Redis, person: str, nonce: str, *, touch: bool = True) -> Standing:
    """Whether this browser's workstation session lives and what it is restricted to, and note that its owner is active.
    One round trip; a second one at most every TOUCH_EVERY.

    An admin who ends the session at this very moment wins: the notes are written with SET XX, which makes no key, and
    KEEPTTL, which prolongs none. One that was ended and that another tool writes back is none.
    """
    if not keys.is_identifier(person):
        return Standing(None, "ended")
    anchor = keys.workstation(person)
    pipe = client.pipeline(transaction=False)
    fields = (keys.workstation_field(person, name) for name in ("last_activity", *RIGHTS))
    pipe.mget(anchor, keys.refs_ended(person), *fields)
    pipe.pexpiretime(anchor)
    (value, ended, active, *rights), deadline = pipe.execute()
    if not isinstance(value, str) or deadline == -2 or is_ended(value, ended):
        return Standing(None, "ended")
    if not is_secret_of(value, nonce):
        return Standing(None, "replaced")
    if touch and _is_old(active):
        _touch(client, person)
    return Standing(deadline if deadline > 0 else clock.now_ms() + WORKSTATION_LIFE, rights=_rights(value, rights))


def close(person: str, nonce: str) -> bool:
    """Sign out: end the session if it is still this browser's. Whether it was."""
    if not keys.is_identifier(person):
        return False
    member = member_of(person)

    def action(draft: Change) -> bool:
        living = session_ends.watched(draft, [member])
        if member not in living or not check(draft.client, person, nonce, touch=False).lives:
            return False
        session_ends.finish(draft, [living[member]], "signed_out")
        return True

    return change(action)


# -- what a running session may


def restrict(
    person: str,
    rights: Mapping[Right, Collection[str]],
    *,
    account: Mapping[Right, Collection[str]],
    seen: str,
    by: str,
    token: str | None = None,
) -> str:
    """An admin says what a running session may from now on: of each right a part of what the `account` allows. Its end
    stays as it is. `seen` is the fingerprint of what the admin saw (`fingerprint`). Gives what was done, in words.

    Raises Invalid for what the account does not allow, Expired where the session is over, Conflict where somebody else
    changed it meanwhile. Eight round trips.
    """
    beyond = [name for name in RIGHTS if set(rights[name]) - set(account[name])]
    if beyond:
        raise Invalid(dict.fromkeys(beyond, "The account does not allow that."))
    anchor, member = keys.workstation(person), member_of(person)
    names = {name: keys.workstation_field(person, name) for name in RIGHTS}

    def action(draft: Change) -> str:
        draft.watch(anchor, *names.values())
        draft.require("string", (anchor, *names.values()))
        stored = read_strings(draft.client, [anchor, *names.values()])
        text, deadline = stored[anchor], draft.client.pexpiretime(anchor)
        if not isinstance(text, str) or deadline == -2:
            raise Expired(f"The session of {person} is over.")
        before = {name: _told(stored[key]) for name, key in names.items()}
        if fingerprint(before) != seen:
            raise Conflict("Somebody changed what this session may meanwhile. This is what holds now.")
        changed = [name for name in RIGHTS if set(before[name] or ()) != set(rights[name]) or before[name] is None]
        if not changed:
            return "Nothing was changed."
        until = deadline if deadline > 0 else clock.now_ms() + WORKSTATION_LIFE
        for name in changed:
            kept = ",".join(sorted(rights[name], key=list(account[name]).index))
            if before[name] is None:
                draft.set_until(names[name], kept, until)
            else:
                draft.record("SET", names[name], kept, "XX", "KEEPTTL")
        narrowed = [name for name in RIGHTS if set(rights[name]) < set(account[name])]
        draft.record("SET", anchor, _with_narrowed(text, narrowed), "XX", "KEEPTTL")
        words = "; ".join(f"{RIGHT_WORDS[n]}: {_spoken(before[n])} to {_spoken(rights[n])}" for n in changed)
        audit.append(draft, audit.SESSION, person, text=f"Session of {person} by {by}. {words}", by=by)
        draft.event("sessions", member)
        return f"{person} works on with what you chose, from the next request."

    return change(action, token=token)


def rights_held(client: Redis, person: str) -> dict[Right, list[str] | None]:
    """What this person's session is restricted to, as its keys say it; None where they say nothing. One round trip."""
    names: dict[Right, str] = {name: keys.workstation_field(person, name) for name in RIGHTS}
    stored = read_strings(client, list(names.values()))
    return {name: _told(stored[key]) for name, key in names.items()}


def fingerprint(rights: Mapping[Right, Sequence[str] | None]) -> str:
    """Changes when what a session may was changed."""
    told = json.dumps([None if rights[name] is None else sorted(rights[name] or ()) for name in RIGHTS])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _told(raw: Raw) -> list[str] | None:
    return comma_list(raw) if isinstance(raw, str) else None


def _spoken(values: Collection[str] | None) -> str:
    return "as the account" if values is None else ", ".join(sorted(values)) or "none"


def _with_narrowed(text: str, names: Sequence[str]) -> str:
    """The anchor's text with a note of what was taken away, without which a list of all branches is no restriction."""
    parts = [part for part in text.split("|") if not part.startswith("narrowed:")]
    return "|".join([*parts, f"narrowed:{','.join(names)}"] if names else parts)


# -- calls of the day


def log_call(person: str, customer: str, *, token: str | None = None) -> int:
    """A call with a customer, counted in the running session and on the customer's record. Gives the day's calls. Raises
    Expired where the session is over: a count without one would never end. Six round trips.
    """
    anchor, name = keys.workstation(person), keys.workstation_field(person, "customer_calls_today")

    def action(draft: Change) -> int:
        draft.watch(anchor, name)
        draft.require("string", [name])
        pipe = draft.client.pipeline(transaction=False)
        pipe.get(name)
        pipe.pexpiretime(anchor)
        counted, deadline = answered(pipe)
        if deadline == -2:
            raise Expired("Your session is over: the call was not counted.")
        calls = count_of(counted) + 1
        draft.set_until(name, str(calls), deadline if deadline > 0 else clock.now_ms() + WORKSTATION_LIFE)
        audit.append(draft, audit.CUSTOMER, customer, text=f"Call with {customer} logged by {person}", by=person)
        draft.event("sessions", member_of(person))
        draft.event("customers", customer)
        return calls

    return change(action, token=token)


def member_of(person: str) -> str:
    """The id of this staff member's session."""
    return f"agent:{person}:workstation"


def _rights(text: str, stored: Sequence[str | None]) -> Rights:
    """A right that was narrowed, and whose key is gone or broken, is none: another tool that takes the key away gives
    nothing back.
    """
    narrowed = frozenset(comma_list(labelled(text).get("narrowed")))
    told = (
        frozenset(comma_list(each)) if each is not None else frozenset[str]() if name in narrowed else None
        for name, each in zip(RIGHTS, stored, strict=True)
    )
    permissions, branches, products = told
    return Rights(permissions, branches, products, narrowed)


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


def _snapshot(staff: Staff, now: datetime, deadline: int) -> dict[str, object]:
    return {
        "device": ", ".join(part.strip() for part in staff.device.split("|") if part.strip()) or None,
        "address": staff.address or None,
        "since": clock.ms(now) // 1000 * 1000,
        "seen": clock.ms(now),
        "deadline": deadline,
    }


def _values(client: Redis, staff: Staff, nonce: str, now: datetime) -> dict[str, str]:
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
