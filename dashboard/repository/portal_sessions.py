"""Customers' sessions in the portal and the apps, opened, used and ended by those who hold their secret.

Each use prolongs a session to its activity level's timeout (lines 207-218). Nothing here writes a key of a session that
is not known to live, under WATCH; so one that was ended, or has expired, never comes back (trap 20).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from redis import Redis

from dashboard import clock, keys, redis
from dashboard.errors import Conflict, Expired, Invalid
from dashboard.repository import audit, lockouts, session_ends, session_records
from dashboard.repository.session_records import (
    ACTIVITY_LIFE,
    DEVICE_LIFE,
    INDEX,
    Facts,
    Session,
    facts_from,
    is_secret_of,
    names_of,
    reference,
)
from dashboard.repository.store import Change, change, secret_of
from dashboard.repository.values import answered, fits_text, labelled

VIP_TIERS = ("platinum",)
HIGH_USES, HIGH_WINDOW = 10, 5 * clock.MINUTE
IDLE_AFTER = 10 * clock.MINUTE

USE_EVERY = clock.SECOND
"""A use within so long of the one before writes nothing: a thousand at once are one, and keep nobody from ending the
session."""

BY_RULE = "by rule"
"""An admin's choice that gives a session's activity level back to the rules."""


@dataclass(frozen=True)
class Rule:
    """How a session comes by its activity level; of those that fit, the first holds."""

    level: str
    when: str

    @property
    def life(self) -> int:
        """ms from each use."""
        return ACTIVITY_LIFE[self.level]

    @property
    def minutes(self) -> int:
        return self.life // clock.MINUTE


RULES = (
    Rule("vip", f"The customer is in tier {' or '.join(VIP_TIERS)}"),
    Rule("idle", f"Not used for {IDLE_AFTER // clock.MINUTE} minutes before this use"),
    Rule("high", f"Used {HIGH_USES} times within {HIGH_WINDOW // clock.MINUTE} minutes"),
    Rule("normal", "Everything else"),
)


@dataclass(frozen=True)
class Opened:
    """A session that has begun: its id, the secret that only its owner has, and its deadline (Unix ms)."""

    id: str
    secret: str
    deadline: int


# -- opening


def open_portal(
    person: str,
    *,
    device: str,
    address: str,
    permissions: Sequence[str] = (),
    activity: str = "normal",
    account: str = "",
    token: str | None = None,
) -> Opened:
    """Begin a session of this customer in the portal. Their own portal keys tell of it, as the latest; those they had
    before live on. With a `token` a repeat gets the first one again. Raises Invalid, and Closed while sign-in is closed
    for `account`, looked at in the same transaction. A dozen round trips.

    `activity` is what the portal knows of the customer's activity; a rule may make more of "normal".
    """
    _refuse(person, device=device, address=address, permissions=permissions, activity=activity)
    number, salt = secrets.token_hex(8), secrets.token_urlsafe(32)
    member, foreign, secret = f"portal:{person}:{number}", session_records.told_by(person), _secret(salt)

    def action(draft: Change) -> list[str | int]:
        if account:
            lockouts.require_open(draft, account)
        overtaken = session_ends.watched(draft, [foreign]).get(foreign)
        if overtaken:
            session_ends.note_end(draft, foreign, session_ends.snapshot_of(overtaken), "replaced")
            INDEX.put(draft, foreign, None, INDEX.known_places(draft.client, [foreign])[foreign])
        now = clock.now()
        level = "vip" if activity == "normal" and _is_vip(draft.client, person) else activity
        text = "|".join(filter(None, _beginning(now, address, secret)))
        fields = {"device": device, "permissions": ",".join(permissions), "address": address}
        fields |= {"last_activity": clock.iso(now), "activity_level": level}
        at = clock.ms(now)
        facts = Facts(text, {name: value for name, value in fields.items() if value}, at, at, (at,))
        deadline = at + ACTIVITY_LIFE[level]
        draft.set_until(names_of(member)["facts"], str(facts), deadline)
        session_ends.write_portal(draft, member, facts, deadline)
        _note_open(draft, member, _told(member, facts, deadline))
        return [member, salt, deadline]

    return _opened(change(action, token=token))


def open_device(
    kind: str,
    person: str,
    device_id: str,
    *,
    device: str,
    app_version: str = "",
    address: str = "",
    account: str = "",
    token: str | None = None,
) -> Opened:
    """Begin a session in the app (`kind`: mobile, tablet) on this customer's device; one it had before is replaced.
    With a `token` a repeat gets the first one again. Raises Invalid, and Closed as `open_portal` does. Ten round trips.
    """
    if kind not in keys.DEVICES or not keys.is_identifier(device_id):
        raise Invalid({"device_id": "There is no such kind of device, or it cannot be called that."})
    _refuse(person, device=device, address=address, app_version=app_version)
    salt, member = secrets.token_urlsafe(32), f"{kind}:{person}:{device_id}"
    secret, names = _secret(salt), names_of(member)

    def action(draft: Change) -> list[str | int]:
        if account:
            lockouts.require_open(draft, account)
        before = session_ends.watched(draft, [member]).get(member)
        if before:
            session_ends.remember(draft, [before])
            session_ends.note_end(draft, member, session_ends.snapshot_of(before), "replaced")
        at = clock.now_ms()
        deadline = at + DEVICE_LIFE
        version = f"app_version:{app_version}" if app_version else ""
        text = "|".join(filter(None, (device, version, f"ref:{reference(secret)}")))
        facts = Facts(text, {"address": address} if address else {}, at, at, (at,))
        draft.set_until(names["anchor"], text, deadline)
        draft.set_until(names["facts"], str(facts), deadline)
        _note_open(draft, member, _told(member, facts, deadline))
        return [member, salt, deadline]

    return _opened(change(action, token=token))


def _opened(kept: Sequence[str | int]) -> Opened:
    """From what a repeat gets again: the salt, not the secret."""
    member, salt, deadline = kept
    return Opened(str(member), _secret(str(salt)), int(deadline))


def _secret(salt: str) -> str:
    return secret_of(salt, "session").hex()


def _beginning(now: datetime, address: str, secret: str) -> Sequence[str]:
    """The parts of the document's text, line 97, and the digest."""
    ip = f"ip:{address}" if address else ""
    return "authenticated", f"login_time:{clock.iso(now)}", ip, f"ref:{reference(secret)}"


def _note_open(draft: Change, member: str, snapshot: Mapping[str, object]) -> None:
    """Where it stands in the index, and what is kept of it. One round trip."""
    session_ends.keep(draft, member, snapshot)
    _place(draft, member, snapshot["deadline"], snapshot.get("activity"))


def _place(draft: Change, member: str, deadline: object, level: object) -> None:
    kind, person, _ = session_records.identity(member)
    entry = session_records.entry_for(kind, person, str(level or ""), int(str(deadline)))
    INDEX.put(draft, member, entry, INDEX.known_places(draft.client, [member])[member])
    draft.event("sessions", member)


def _told(member: str, facts: Facts, deadline: int) -> dict[str, object]:
    """The snapshot of a session, from its facts."""
    return {
        "device": session_records.device_of(facts, member),
        "address": facts.fields.get("address"),
        "since": facts.began // 1000 * 1000 if member.startswith("portal:") else facts.began,
        "seen": facts.seen,
        "deadline": deadline,
        "activity": facts.fields.get("activity_level"),
    }


def _refuse(
    person: str,
    *,
    device: str,
    address: str = "",
    app_version: str = "",
    permissions: Sequence[str] = (),
    activity: str | None = None,
) -> None:
    """Raises Invalid for what may not stand in a key's name, or in its text."""
    wrong = {}
    if not keys.is_customer(person):
        wrong["person"] = "No customer can be called that."
    if len(device) > 200 or any(part.strip().startswith("ref:") or not fits_text(part) for part in device.split("|")):
        wrong["device"] = "A device is told in up to 200 characters."
    if len(address) > 64 or (address and not fits_text(address)):
        wrong["address"] = "This is no network address."
    if len(app_version) > 32 or not fits_text(app_version):
        wrong["app_version"] = "A version is told in up to 32 characters."
    if len(permissions) > 50 or not all(keys.is_identifier(each) for each in permissions):
        wrong["permissions"] = "A permission is one word of up to 64 characters."
    if activity is not None and activity not in ACTIVITY_LIFE:
        wrong["activity"] = f"An activity level is one of {', '.join(ACTIVITY_LIFE)}."
    if wrong:
        raise Invalid(wrong)


# -- using


@dataclass(frozen=True)
class _Standing:
    """A session that lives: its facts, its deadline, and of a portal session whether the customer's keys tell of it, or
    of none at all.
    """

    facts: Facts
    deadline: int
    text: str | None
    told: bool


def refresh_session(id: str, secret: str, *, activity: str | None = None) -> int | None:
    """Note that a session is used: it is prolonged to its activity level's timeout, all its keys at once, and keeps what
    it tells. Its new deadline (Unix ms), or None when it lives no more, or the secret is another's.

    `activity` is what the portal knows of the customer's activity; None leaves it to the rules; an admin's choice goes
    before both. One round trip for one used a moment ago, else ten. Raises Invalid.
    """
    if activity is not None and activity not in ACTIVITY_LIFE:
        raise Invalid({"activity": f"An activity level is one of {', '.join(ACTIVITY_LIFE)}."})
    found = _standing(redis.client(), id)
    if found is None or not is_secret_of(found.facts.text, secret):
        return None
    if _is_fresh(found, activity):
        return found.deadline

    def action(draft: Change) -> int | None:
        draft.watch(*session_ends.names_watched([id]), *names_of(id).values())
        found = _standing(draft.client, id)
        if found is None or not is_secret_of(found.facts.text, secret):
            return None
        if _is_fresh(found, activity):
            return found.deadline
        level = _level(draft.client, id, found, activity)
        return _prolong(draft, id, found, level, pinned=_is_pinned(draft.client, id, found))

    return change(action)


def get(client: Redis, id: str, secret: str) -> Session | None:
    """A session that lives, for who holds its secret. Asking is no use of it. Six round trips."""
    found = _standing(client, id)
    if found is None or not is_secret_of(found.facts.text, secret):
        return None
    return session_records.load(client, [id]).get(id)


def end(id: str, secret: str, *, reason: str = "signed out") -> bool:
    """Its owner ends a session. Whether it lived, and was theirs. A dozen round trips."""
    if "facts" not in names_of(id):
        return False

    def action(draft: Change) -> bool:
        living = session_ends.watched(draft, [id])
        found = _standing(draft.client, id)
        if id not in living or found is None or not is_secret_of(found.facts.text, secret):
            return False
        why = "" if reason == "signed out" else reason
        session_ends.finish(draft, [living[id]], "signed_out", why=why)
        return True

    return change(action)


def _standing(client: Redis, member: str) -> _Standing | None:
    """A session opened here, if it lives. One round trip."""
    names = names_of(member)
    if "facts" not in names:
        return None
    _, person, number = member.split(":")
    pipe = client.pipeline(transaction=False)
    for name in (names["facts"], names["anchor"]):
        pipe.get(name)
        pipe.pexpiretime(name)
    pipe.get(keys.portal_latest(person))
    kept, facts_end, text, end, latest = answered(pipe)
    facts = facts_from(kept)
    if facts is None or facts_end <= 0:
        return None
    if text is not None and facts.are_of(text):
        return _Standing(facts, end if end > 0 else facts_end, text, told=True)
    if not member.startswith("portal:") or (end == -2 and latest == number):
        return None  # the anchor is another's by now, or another tool took it away
    return _Standing(facts, facts_end, None, told=False)


def _is_fresh(found: _Standing, activity: str | None) -> bool:
    same = activity is None or activity == found.facts.fields.get("activity_level")
    return same and 0 <= clock.now_ms() - found.facts.seen < USE_EVERY


def _is_pinned(client: Redis, member: str, found: _Standing) -> bool:
    """Whether its level was chosen by an admin, or by another tool in the customer's key."""
    return found.facts.pinned or _stored_level(client, member, found) != found.facts.fields.get("activity_level")


def _stored_level(client: Redis, member: str, found: _Standing) -> str | None:
    own = found.facts.fields.get("activity_level")
    if not (found.told and member.startswith("portal:")):
        return own
    (text,) = answered(client.pipeline(transaction=False).get(names_of(member)["activity_level"]))
    level = (text or "").strip().lower()
    return level if level in ACTIVITY_LIFE else own


def _level(client: Redis, member: str, found: _Standing, activity: str | None) -> str:
    if _is_pinned(client, member, found):
        return _stored_level(client, member, found) or "normal"
    return activity or level_by_rule(client, member.split(":")[1], found.facts)


def level_by_rule(client: Redis, person: str, facts: Facts) -> str:
    """The activity level of a session that is used now. One round trip."""
    now = clock.now_ms()
    if _is_vip(client, person):
        return "vip"
    if now - facts.seen >= IDLE_AFTER:
        return "idle"
    return "high" if len(_recent(facts, now)) >= HIGH_USES else "normal"


def _recent(facts: Facts, now: int) -> tuple[int, ...]:
    """The uses that count, this one with them."""
    return (*(at for at in facts.uses if now - HIGH_WINDOW < at <= now), now)[-HIGH_USES:]


def _is_vip(client: Redis, person: str) -> bool:
    pipe = client.pipeline(transaction=False)
    for tier in VIP_TIERS:
        pipe.sismember(keys.tier(tier), person)
    return any(answered(pipe))


def _prolong(draft: Change, member: str, found: _Standing, level: str, *, pinned: bool) -> int:
    """All keys of a living (watched) session to the level's timeout from now. Two round trips."""
    now, names = clock.now(), names_of(member)
    at = clock.ms(now)
    is_portal = member.startswith("portal:")
    deadline = at + (ACTIVITY_LIFE[level] if is_portal else DEVICE_LIFE)
    text = _with_activity(found.facts.text, now) if is_portal else found.facts.text
    fields = dict(found.facts.fields)
    if is_portal:
        fields |= {"last_activity": clock.iso(now), "activity_level": level}
    facts = replace(
        found.facts, text=text, fields=fields, seen=at, uses=_recent(found.facts, at), pinned=pinned
    )  # fmt: skip
    draft.record("SET", names["facts"], str(facts), "XX", "PXAT", deadline)
    if found.told:
        draft.record("SET", names["anchor"], text, "XX", "PXAT", deadline)
    if is_portal and found.told:
        _prolong_told(draft, member, names, fields, deadline)
    elif is_portal and not draft.client.exists(names["anchor"]):
        session_ends.write_portal(draft, member, facts, deadline)  # the one that had overtaken it is over
    _note_open(draft, member, _told(member, facts, deadline))
    return deadline


def _prolong_told(
    draft: Change, member: str, names: Mapping[str, str], fields: Mapping[str, str], deadline: int
) -> None:
    """The customer's keys beside the anchor: these two say more, the rest stays as it is, with the same deadline."""
    for name in ("last_activity", "activity_level"):
        draft.set_until(names[name], fields[name], deadline)
    others = [names[name] for name in keys.PORTAL_FIELDS if name not in ("last_activity", "activity_level")]
    draft.expire_at(deadline, *others)
    draft.set_until(keys.portal_latest(member.split(":")[1]), member.split(":")[2], deadline)


def _with_activity(text: str, now: datetime) -> str:
    """The text with its `last_activity` (line 143), before the digest; every other part stays."""
    parts = [part for part in text.split("|") if not part.startswith(("last_activity:", "ref:"))]
    digest = labelled(text).get("ref", "")
    return "|".join((*parts, f"last_activity:{clock.iso(now)}", f"ref:{digest}"))


# -- an admin's choice


def set_activity(member: str, level: str, *, by: str, token: str | None = None) -> str:
    """An admin chooses a portal session's activity level, or BY_RULE: from now on it has that level's timeout, at once
    (trap 22). Gives what was done, in words. Raises Invalid, Expired where it lives no more, Conflict.
    """
    if level != BY_RULE and level not in ACTIVITY_LIFE:
        raise Invalid({"level": f"An activity level is one of {', '.join(ACTIVITY_LIFE)}."})

    def action(draft: Change) -> str:
        names = names_of(member)
        if not names or session_records.identity(member)[0] != "portal":
            raise Invalid({"level": "Only a portal session has an activity level."})
        draft.watch(*names.values())
        session = session_ends.watched(draft, [member]).get(member)
        if session is None:
            raise Expired("This session is over.")
        draft.require("string", names.values())
        found = _standing(draft.client, member)
        if found:
            chosen = level_by_rule(draft.client, session.person, found.facts) if level == BY_RULE else level
            _prolong(draft, member, found, chosen, pinned=level != BY_RULE)
        elif level == BY_RULE:
            raise Conflict("This session was opened by another tool: no rule here knows how it is used.")
        else:
            chosen = level
            _prolong_foreign(draft, session, level)
        how = "by rule" if level == BY_RULE else f"by {by}"
        words = (
            f"Activity of the portal session of {session.person}: {session.activity or 'not set'} to {chosen}, {how}"
        )
        audit.append(
            draft, audit.SESSION, session.person, text=f"{words} (by {by})" if level == BY_RULE else words, by=by
        )
        return f"{session.person}: {chosen} activity, {ACTIVITY_LIFE[chosen] // clock.MINUTE} minutes from now."

    return change(action, token=token)


def _prolong_foreign(draft: Change, session: Session, level: str) -> None:
    """A session of another tool: its keys as they are, with the level and its timeout."""
    names = names_of(session.id)
    deadline = clock.now_ms() + ACTIVITY_LIFE[level]
    draft.expire_at(deadline, *(name for field, name in names.items() if field != "activity_level"))
    draft.set_until(names["activity_level"], level, deadline)
    _note_open(draft, session.id, {**session_ends.snapshot_of(session), "deadline": deadline, "activity": level})
