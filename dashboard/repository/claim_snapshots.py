"""What is kept of a claim so that none is ever lost (trap 25): the facts of an undecided one, beyond its record's end.

dash:claim:CLM003   hash: each fact under its place in the record (`temp`, `temp.location`, `investigation.adjuster`),
                    `~deadline` Unix ms of the record's end, `~seal` over the facts, `~gone` Unix ms when it was missed

A snapshot only ever gains facts, bar those that our own steps take away: another tool's keys of one claim end one by
one, and the last to end must not take what the first ones told.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from redis import Redis

from dashboard import clock, keys
from dashboard.repository.claim_records import Record, passing_keys
from dashboard.repository.index import Recorder
from dashboard.repository.values import answered

KEPT = keys.YEAR * clock.SECOND
"""ms that a snapshot stays beyond its record's end."""

LARGEST = 10_000
"""Characters of one fact; more than that is no fact but an accident."""

_DEADLINE, _SEAL, _GONE = "~deadline", "~seal", "~gone"


@dataclass(frozen=True)
class Snapshot:
    """A claim's facts by the key they stood in, and when its record was to end or was found gone."""

    number: str
    values: Mapping[str, str]
    deadline: int | None
    gone: int | None

    @property
    def lapsed(self) -> datetime:
        """When the record ended: at its deadline, or when somebody took it away before."""
        moments = [at for at in (self.deadline, self.gone) if at]
        return clock.moment(min(moments, default=clock.now_ms()))

    @property
    def record(self) -> Record:
        """The record as it would be, if it were there."""
        return Record(self.number, {**dict.fromkeys(passing_keys(self.number)), **self.values}, {})

    def missing_in(self, record: Record) -> dict[str, str]:
        """Facts that the record does not hold any more."""
        return {name: value for name, value in self.values.items() if record.values.get(name) is None}


def read(client: Redis, numbers: Sequence[str]) -> dict[str, Snapshot]:
    """Those that are kept. One round trip, none for no numbers."""
    if not numbers:
        return {}
    pipe = client.pipeline(transaction=False)
    for number in numbers:
        pipe.hgetall(keys.claim_snapshot(number))
    found = zip(numbers, answered(pipe), strict=True)
    return {number: snapshot for number, kept in found if (snapshot := _snapshot(number, kept or {}))}


def seals(client: Redis, numbers: Sequence[str]) -> dict[str, str | None]:
    """What `seal` gave for the facts last kept, None for none; without those whose place holds something else. One round
    trip, none for no numbers.
    """
    if not numbers:
        return {}
    pipe = client.pipeline(transaction=False)
    for number in numbers:
        pipe.type(keys.claim_snapshot(number))
        pipe.hget(keys.claim_snapshot(number), _SEAL)
    answers = answered(pipe)
    found = zip(numbers, answers[0::2], answers[1::2], strict=True)
    return {number: kept for number, kind, kept in found if kind in ("none", "hash")}


def seal(record: Record) -> str:
    """The same for the same facts and the same end."""
    told = "\n".join(f"{name} {value}" for name, value in sorted(_facts(record).items()))
    return f"{zlib.crc32(told.encode(errors='surrogateescape')):x}-{record.latest(passing_keys(record.number))}"


def keep(to: Recorder, record: Record, deadline: int | None, *, without: Sequence[str] = ()) -> None:
    """Record the commands that keep the undecided record's facts; `without` are keys that a step of ours took away."""
    name = keys.claim_snapshot(record.number)
    to.record("HSET", name, *(part for pair in fields(record, deadline).items() for part in pair))
    to.record("HDEL", name, _GONE, *(_place(record.number, key) for key in without))
    to.record("PEXPIREAT", name, (deadline or clock.now_ms()) + KEPT)


def fields(record: Record, deadline: int | None) -> dict[str, str]:
    """What is kept of a record, as the hash has it."""
    facts = {_place(record.number, key): value for key, value in _facts(record).items()}
    return {**facts, _SEAL: seal(record), _DEADLINE: str(deadline or "")}


def drop(to: Recorder, number: str) -> None:
    to.record("UNLINK", keys.claim_snapshot(number))


def miss(to: Recorder, snapshot: Snapshot) -> None:
    """Remember since when the record is known to be gone."""
    if snapshot.gone is None:
        to.record("HSET", keys.claim_snapshot(snapshot.number), _GONE, clock.now_ms())


def _facts(record: Record) -> dict[str, str]:
    passing = passing_keys(record.number)
    values = {name: record.values.get(name) for name in passing}
    return {name: value[:LARGEST] for name, value in values.items() if isinstance(value, str)}


def _place(number: str, key: str) -> str:
    """`claim:temp:CLM003:location` -> `temp.location`."""
    return _places(number)[key]


def _places(number: str) -> dict[str, str]:
    temporary = {keys.claim_temp_field(number, name): f"temp.{name}" for name in keys.CLAIM_TEMP_FIELDS}
    found = {keys.investigation_field(number, name): f"investigation.{name}" for name in keys.INVESTIGATION_FIELDS}
    return {keys.claim_temp(number): "temp", **temporary, keys.investigation(number): "investigation", **found}


def _snapshot(number: str, kept: Mapping[str, str]) -> Snapshot | None:
    values = {name: kept[place] for name, place in _places(number).items() if place in kept}
    return Snapshot(number, values, _ms(kept.get(_DEADLINE)), _ms(kept.get(_GONE))) if values else None


def _ms(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 15 else None
