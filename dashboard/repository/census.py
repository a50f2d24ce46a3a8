"""The census of the key space: how many keys of each family there are, what they weigh, which have no lifetime, and what
the linter finds; one slow walk over everything, beside everybody's work.

It is made by the process that holds the follower's lease, in small steps with rests: a step asks for some hundred names
and looks at each once, so nobody waits for it longer than for any other command. What it finds as it goes is kept every
second; a walk whose process ended is begun anew.

    dash:census:latest     hash   started, ended, by, keys 1234567, families {...}, findings {...} as JSON
    dash:census:now        hash   the same of the one under way, its state, and how far it is; `beat` tells that it lives
    dash:census-sample:quote   list   up to 1,000 names of the family, each key as likely as any other
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.repository import families, linter, one_key
from dashboard.repository.store import Change, change
from dashboard.repository.values import answered

SLICE = 250
"""Keys looked at in one go."""
REST = 1.0
"""Rests so many times as long as it works: half of one processor's time at most."""
SAMPLE = 1_000
"""Names kept of each family."""
WEIGHED = 50
"""Keys of each family whose memory is measured."""
EXAMPLES = 200
"""Keys that are named for each rule; all are counted."""
EVERY = clock.HOUR
"""ms after which a census is made anew by itself."""
BEAT = 1.0
"""Seconds between two notes of how far it is."""
SILENT = 15 * clock.SECOND
"""ms after which a census without a word of progress counts as broken off."""

_LATEST, _NOW = "latest", "now"


@dataclass(frozen=True)
class Count:
    """Of one family: keys, those without lifetime, and bytes of one on average (None: not weighed)."""

    keys: int
    lasting: int
    each: float | None

    @property
    def memory(self) -> int | None:
        """Bytes of all, as the sample tells."""
        return None if self.each is None else round(self.keys * self.each)

    @property
    def lasting_share(self) -> int:
        """Percent without lifetime."""
        return 100 * self.lasting // self.keys if self.keys else 0


@dataclass(frozen=True)
class Found:
    """What breaks one rule: how many keys, of each family, and the first that were met."""

    total: int
    families: Mapping[str, int]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Census:
    """What a walk found, or has so far. `state`: asked, running, broken or done; `keys` looked at, of `total` about."""

    state: str
    by: str
    started: datetime | None
    ended: datetime | None
    keys: int
    total: int
    families: Mapping[str, Count]
    findings: Mapping[str, Found]

    @property
    def share(self) -> int:
        """Percent looked at."""
        return min(100, 100 * self.keys // self.total) if self.total else 0

    @property
    def under_way(self) -> bool:
        return self.state in ("asked", "running")


# -- reading and asking


def read(client: Redis) -> tuple[Census | None, Census | None]:
    """The latest that came to its end, and the one under way. One round trip."""
    pipe = client.pipeline(transaction=False)
    pipe.hgetall(keys.census(_LATEST))
    pipe.hgetall(keys.census(_NOW))
    latest, now = (_parsed(facts or {}) for facts in answered(pipe))
    return latest, now


def sample(client: Redis, family: str, start: int, size: int) -> tuple[list[str], int]:
    """Names of one family, in order, from the latest census, and how many it has. One round trip."""
    pipe = client.pipeline(transaction=False)
    pipe.lrange(keys.census_sample(family), start, start + size - 1)
    pipe.llen(keys.census_sample(family))
    names, total = answered(pipe)
    return list(names or ()), total or 0


def ask(*, by: str, token: str | None = None) -> None:
    """Have a census made now. Raises Conflict where one is under way."""

    def action(draft: Change) -> None:
        name = keys.census(_NOW)
        draft.watch(name)
        draft.require("hash", [name])
        now = _parsed(draft.client.hgetall(name))
        if now and now.under_way:
            raise Conflict("The keys are being counted already.")
        draft.delete(name)
        draft.record("HSET", name, "state", "asked", "by", by, "beat", clock.now_ms())
        draft.event("keyspace")

    change(action, token=token)


def is_due(client: Redis) -> bool:
    """Whether one was asked for, none was ever made, or the latest is old. One round trip."""
    pipe = client.pipeline(transaction=False)
    pipe.hget(keys.census(_NOW), "state")
    pipe.hget(keys.census(_LATEST), "ended")
    state, ended = answered(pipe)
    return state in ("asked", "running") or not _number(ended) or clock.now_ms() - _number(ended) > EVERY


# -- making one, by the process that holds the lease


def take(client: Redis, *, rest: float = REST, stop: Callable[[], bool] = lambda: False) -> bool:
    """Walk over all keys once. Whether it came to the end."""
    by = answered(client.pipeline(transaction=False).hget(keys.census(_NOW), "by"))[0] or ""
    walk = _Walk(client, by)
    cursor = 0
    while not stop():
        began = time.monotonic()
        cursor, names = client.scan(cursor, count=SLICE)
        walk.look_at(list(dict.fromkeys(names)))  # a server that makes room gives some twice
        walk.tell_now_and_then()
        if cursor == 0:
            walk.finish(rest)
            return True
        time.sleep(rest * (time.monotonic() - began))
    return False


@dataclass
class _Tally:
    keys: int = 0
    lasting: int = 0
    names: list[str] = field(default_factory=list)
    each: float | None = None


class _Walk:
    def __init__(self, client: Redis, by: str) -> None:
        self._client = client
        self._by = by
        self._started = clock.now_ms()
        self._total = client.dbsize()
        self._seen = 0
        self._tallies: dict[str, _Tally] = defaultdict(_Tally)
        self._broken: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._examples: dict[str, list[str]] = defaultdict(list)
        self._told = 0.0

    def look_at(self, names: Sequence[str]) -> None:
        """Two round trips."""
        now = clock.now_ms()
        for fact in linter.facts(self._client, names):
            family = families.name_of(fact.parsed)
            self._count(self._tallies[family], fact)
            rule = linter.judged(fact, now)
            if rule:
                self._broken[rule][family] += 1
                if len(self._examples[rule]) < EXAMPLES and _is_short(fact.name):
                    self._examples[rule].append(fact.name)
        self._seen += len(names)

    def _count(self, tally: _Tally, fact: linter.Fact) -> None:
        tally.keys += 1
        tally.lasting += fact.deadline is None
        if not _is_short(fact.name):
            return
        # Each key is in the sample with the same chance, however many follow.
        if len(tally.names) < SAMPLE:
            tally.names.append(fact.name)
        elif (place := random.randrange(tally.keys)) < SAMPLE:
            tally.names[place] = fact.name

    def tell_now_and_then(self) -> None:
        """One round trip, once a second."""
        if time.monotonic() - self._told >= BEAT:
            self._told = time.monotonic()
            self._write(_NOW, state="running")

    def finish(self, rest: float) -> None:
        for tally in self._tallies.values():
            began = time.monotonic()
            self._weigh(tally)
            self.tell_now_and_then()
            time.sleep(rest * (time.monotonic() - began))
        self._keep_samples()
        self._write(_LATEST, state="done", ended=clock.now_ms())

    def _weigh(self, tally: _Tally) -> None:
        """One round trip. MEMORY USAGE looks at five elements of a key, however large."""
        pipe = self._client.pipeline(transaction=False)
        for name in tally.names if len(tally.names) <= WEIGHED else random.sample(tally.names, WEIGHED):
            pipe.memory_usage(name)
        weights = [weight for weight in pipe.execute(raise_on_error=False) if isinstance(weight, int)]
        tally.each = sum(weights) / len(weights) if weights else None

    def _keep_samples(self) -> None:
        """One round trip for each family."""
        for family in (*keys.CATALOGUE, families.UNKNOWN):
            name = keys.census_sample(family)
            names = sorted(self._tallies[family].names) if family in self._tallies else []
            pipe = self._client.pipeline(transaction=True)
            pipe.unlink(name)
            if names:
                pipe.rpush(name, *names)
            pipe.execute()

    def _write(self, where: str, **facts: object) -> None:
        counts = {name: (each.keys, each.lasting, each.each) for name, each in self._tallies.items()}
        found = {rule: (dict(of), self._examples[rule]) for rule, of in self._broken.items()}
        shown = {
            "by": self._by,
            "started": self._started,
            "keys": self._seen,
            "total": max(self._total, self._seen),
            "families": json.dumps(counts),
            "findings": json.dumps(found),
            "beat": clock.now_ms(),
            **facts,
        }
        pipe = self._client.pipeline(transaction=True)
        pipe.unlink(keys.census(where))
        pipe.hset(keys.census(where), mapping=shown)  # type: ignore[arg-type]
        if where == _LATEST:
            pipe.unlink(keys.census(_NOW))
        pipe.publish(keys.LIVE_CHANNEL, json.dumps({"keyspace": []}))
        try:
            pipe.execute()
        except ResponseError as error:  # a store that takes no writes: the next look is due soon enough
            if "WRONGTYPE" in str(error):
                raise


def _is_short(name: str) -> bool:
    """Whether a page can ask for it. Longer ones are counted; to keep a thousand of any length would fill the store."""
    return len(name.encode(errors="surrogateescape")) <= one_key.LONGEST_NAME


# -- from what is stored


def _parsed(facts: Mapping[str, str]) -> Census | None:
    if not facts:
        return None
    state = facts.get("state", "")
    if state != "done" and clock.now_ms() - _number(facts.get("beat")) > SILENT:
        state = "broken"
    return Census(
        state=state,
        by=facts.get("by", ""),
        started=_moment(facts.get("started")),
        ended=_moment(facts.get("ended")),
        keys=_number(facts.get("keys")),
        total=_number(facts.get("total")),
        families={name: count for name, told in _json(facts.get("families")) if (count := _count(told))},
        findings={
            rule: found
            for rule, told in _json(facts.get("findings"))
            if rule in linter.RULES and (found := _found(told))
        },
    )


def _json(text: str | None) -> Iterable[tuple[str, Any]]:
    """What another tool spoilt, all of it or one entry, is as good as nothing: the next census is right."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return ()
    return found.items() if isinstance(found, dict) else ()


def _count(told: Any) -> Count | None:
    match told:
        case [int(count), int(lasting), None | int() | float() as each] if _sound(count, lasting, each or 0):
            return Count(count, lasting, each)
    return None


def _found(told: Any) -> Found | None:
    match told:
        case [dict(of), list(names)] if all(isinstance(count, int) and _sound(count) for count in of.values()):
            return Found(sum(of.values()), of, tuple(name for name in names if _may_be_a_name(name)))
    return None


def _sound(*numbers: float) -> bool:
    return all(0 <= number < 2**53 for number in numbers)


def _may_be_a_name(name: Any) -> bool:
    try:
        return isinstance(name, str) and bool(name.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        return False


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _moment(text: str | None) -> datetime | None:
    return clock.moment(_number(text)) if _number(text) else None
