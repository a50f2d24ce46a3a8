"""Audit records: one key for each change, appended in the transaction that makes it. Nothing here alters or deletes one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from redis import Redis

from dashboard import clock, keys
from dashboard.repository.store import Change
from dashboard.repository.values import Wrong, answered, read_strings, readable

POLICY, QUOTE, CLAIM, SESSION = keys.policy_audit, keys.quote_audit, keys.claim_audit, keys.session_audit
CUSTOMER, PLACE, SECURITY = keys.customer_audit, keys.place_audit, keys.security_audit

_RETENTION = keys.YEAR * clock.SECOND


@dataclass(frozen=True)
class Record:
    """One audit record: when (to the day where another tool wrote it), what, under which key."""

    at: datetime
    to_the_day: bool
    text: str
    key: str


def append(change: Change, family: keys.Family, *parts: str, text: str) -> None:
    """Record `text` (what, and by whom) for the thing that `parts` name, for a year."""
    at = clock.now_ms()
    name = family(*parts, _stamp(at))
    change.set_once(name, text, at + _RETENTION)
    listed = _history_key(family, parts)
    change.record("ZADD", listed, at, name)
    change.expire_at(at + _RETENTION, listed)


def history(client: Redis, family: keys.Family, *parts: str, limit: int = 100) -> list[Record]:
    """The latest records of one thing, newest first. Two round trips."""
    names = client.zrange(_history_key(family, parts), 0, limit - 1, desc=True)
    values = read_strings(client, names)
    return [record for name in names if (record := _record(name, values.get(name)))]


def histories(
    client: Redis, of: Sequence[tuple[keys.Family, tuple[str, ...]]], limit: int = 50
) -> list[tuple[keys.Family, tuple[str, ...], Record]]:
    """The latest records of several things together, newest first, each with what it is of. Two round trips."""
    pipe = client.pipeline(transaction=False)
    for family, parts in of:
        pipe.zrange(_history_key(family, parts), 0, limit - 1, desc=True, withscores=True)
    answers = answered(pipe)
    found = [(at, name, thing) for thing, rows in zip(of, answers, strict=True) for name, at in rows or ()]
    latest = sorted(found, reverse=True, key=lambda each: each[:2])[:limit]
    values = read_strings(client, [name for _, name, _ in latest])
    records = [(family, parts, _record(name, values.get(name))) for _, name, (family, parts) in latest]
    return [(family, parts, record) for family, parts, record in records if record]


def note(client: Redis, key: str, parsed: keys.Parsed) -> None:
    """Index an audit record that another tool wrote. One round trip."""
    *parts, stamp = parsed.parts.values()
    listed = _history_key(parsed.family, tuple(parts))
    pipe = client.pipeline(transaction=True)
    pipe.zadd(listed, {key: clock.ms(_moment(stamp))})
    pipe.pexpireat(listed, clock.now_ms() + _RETENTION)
    pipe.execute()


def _record(name: str, raw: object) -> Record | None:
    if raw is None:
        return None
    stamp = name.rpartition(":")[2]
    text = f"unreadable: the key holds a {raw.kind}" if isinstance(raw, Wrong) else readable(str(raw))
    return Record(at=_moment(stamp), to_the_day="T" not in stamp, text=text, key=name)


def _stamp(at: int) -> str:
    """20240818T103000123-9f86d081: sortable, and never the same twice."""
    return f"{clock.moment(at):%Y%m%dT%H%M%S}{at % 1000:03d}-{secrets.token_hex(4)}"


def _moment(stamp: str) -> datetime:
    """The moment in a stamp, the day's first where it is a date alone; 1970 for a date that no calendar has."""
    try:
        at = datetime.strptime(stamp[:15] if "T" in stamp else f"{stamp}T000000", "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
    return at.replace(microsecond=int(stamp[15:18]) * 1000) if "T" in stamp else at


def _history_key(family: keys.Family, parts: tuple[str, ...]) -> str:
    return keys.history(family.area, ".".join(parts))
