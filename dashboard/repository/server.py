"""The server itself: how it is set up, how it has been doing for the last minutes, and what is wrong with it.

The holder of the follower's lease takes a sample every few seconds (`take`); pages read those and ask the server once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from dashboard import clock, keys
from dashboard.repository.quotes import INDEX as QUOTES

EVERY = 5 * clock.SECOND
"""Between two samples, in ms."""
KEPT = 60
"""Samples kept: five minutes."""
SAMPLES_LIFE = 10 * clock.MINUTE
FOLLOWER_LIFE = clock.MINUTE
SLOW = 64
"""Entries of the slow log that are looked at."""
LEASE = "follower"

_SETTINGS = (
    "appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy", "maxclients", "notify-keyspace-events",
    "slowlog-log-slower-than", "hash-max-listpack-value", "hash-max-listpack-entries",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """The server at one moment. `lag`: ms from a change to its being told, None where that is not known.
    `commands`, `hits` and `misses` count since the server's start. Memory in bytes.
    """

    at: int
    memory: int
    resident: int
    clients: int
    commands: int
    hits: int
    misses: int
    lag: int | None


@dataclass(frozen=True)
class Reading:
    """One stretch of EVERY ms, as it is drawn: what was then, and what was done since the sample before. None: not
    known, or nothing was read of which a share could be told.
    """

    at: datetime
    memory: int | None = None
    fragmentation: float | None = None
    clients: int | None = None
    operations: float | None = None
    hit_rate: float | None = None
    lag: int | None = None


@dataclass(frozen=True)
class Slow:
    """One entry of the slow log. What the command was given is left out but for the kind of its first key: values and
    names may be personal, or secret.
    """

    id: int
    at: datetime
    took: timedelta
    command: str
    kind: str


@dataclass(frozen=True)
class Follower:
    """Who keeps the indexes in step. `leased_for`: ms until another may take over, None when nobody holds the lease."""

    holder: str
    leased_for: int | None
    seen: datetime | None
    since: datetime | None
    lag: int | None
    notified: bool


@dataclass(frozen=True)
class Look:
    """One look at the server. `settings` has what CONFIG tells, nothing where that is not allowed."""

    info: Mapping[str, Any]
    settings: Mapping[str, str]
    follower: Follower = field(default_factory=lambda: Follower("", None, None, None, None, False))
    samples: Sequence[Sample] = ()
    slow: Sequence[Slow] = ()

    def number(self, name: str) -> float:
        """A figure of INFO; 0 where it is not told."""
        value = self.info.get(name)
        return value if isinstance(value, int | float) else 0

    @property
    def uptime(self) -> timedelta:
        return timedelta(seconds=self.number("uptime_in_seconds"))

    @property
    def saved(self) -> datetime | None:
        """The last snapshot, None if there never was one. Beside an append-only file one counts that was made since the
        start: until then the server tells its start instead.
        """
        at = int(self.number("rdb_last_save_time"))
        is_told = self.number("rdb_saves") or not self.info.get("aof_enabled")
        return clock.moment(at * 1000) if at and is_told else None

    @property
    def name(self) -> str:
        """`Valkey 9.1.2`."""
        if self.info.get("valkey_version"):
            return f"Valkey {self.info['valkey_version']}"
        return f"Redis {self.info.get('redis_version', 'of an unknown version')}"

    @property
    def slower_than(self) -> timedelta | None:
        """What the slow log takes for slow; None where it is off or not told."""
        text = self.settings.get("slowlog-log-slower-than", "")
        return timedelta(microseconds=int(text)) if text.isdecimal() else None


# -- looking


def look(client: Redis) -> Look:
    """Everything about the server at once. One round trip, seven commands, whatever the store holds."""
    pipe = client.pipeline(transaction=False)
    pipe.info()
    pipe.config_get(*_SETTINGS)
    pipe.slowlog_get(SLOW)
    pipe.lrange(keys.server_samples(), -KEPT, -1)
    pipe.hgetall(keys.follower_status())
    pipe.pttl(keys.lease(LEASE))
    info, settings, slow, samples, status, leased = _allowed(pipe)
    return Look(
        info=info if isinstance(info, dict) else {},
        settings={name: str(value) for name, value in (settings or {}).items()},
        follower=_follower(status if isinstance(status, dict) else {}, leased),
        samples=[found for text in samples or () if (found := _sample(text))],
        slow=[_slow(entry) for entry in slow or ()],
    )


def _allowed(pipe: Any) -> list[Any]:
    """A pipeline's answers, None for what this server does not let us ask."""
    return [None if isinstance(answer, ResponseError) else answer for answer in pipe.execute(raise_on_error=False)]


def _follower(status: Mapping[str, str], leased: int | None) -> Follower:
    def ms(name: str) -> int | None:
        text = status.get(name, "")
        return int(text) if text.isdecimal() and len(text) < 16 else None

    seen, since = ms("seen"), ms("since")
    return Follower(
        holder=status.get("holder", "")[:8],
        leased_for=leased if leased and leased > 0 else None,
        seen=clock.moment(seen) if seen else None,
        since=clock.moment(since) if since else None,
        lag=ms("lag"),
        notified=status.get("notified") == "1",
    )


def _sample(text: str) -> Sample | None:
    """What anybody may have written there: None for what is no sample."""
    try:
        facts = json.loads(text)
        numbers = {name: facts[name] for name in Sample.__dataclass_fields__}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    lag = numbers.pop("lag")
    sound = all(isinstance(value, int) and 0 <= value < 2**53 for value in numbers.values())
    return Sample(**numbers, lag=lag if isinstance(lag, int) and 0 <= lag < 2**53 else None) if sound else None


def _slow(entry: Mapping[str, Any]) -> Slow:
    words = entry.get("command", b"")
    text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    command, _, rest = text.partition(" ")
    parsed = next((found for word in rest.split(" ")[:4] if (found := keys.parse(word))), None)
    return Slow(
        id=int(entry["id"]),
        at=clock.moment(int(entry["start_time"]) * 1000),
        took=timedelta(microseconds=int(entry["duration"])),
        command=command.upper()[:24] if command.isascii() and command.isalpha() else "?",
        kind=parsed.family.pattern if parsed else "",
    )


def readings(samples: Sequence[Sample], now: int) -> list[Reading]:
    """The last minutes in stretches of about EVERY ms, oldest first, up to the latest sample. Where none was taken for
    longer than that there are empty ones.
    """
    latest = samples[-1].at if samples else now
    found: dict[int, Reading] = {}
    at, later = -1, latest
    for each, before in reversed(list(zip(samples, [None, *samples], strict=False))):
        # Counted from one to the next: samples that come a little late never open a gap between two of them.
        at += max(1, round((later - each.at) / EVERY))
        later = each.at
        found[at] = _reading(each, before)
    return [found.get(at) or Reading(clock.moment(latest - at * EVERY)) for at in range(KEPT - 1, -1, -1)]


def _reading(now: Sample, before: Sample | None) -> Reading:
    operations = hit_rate = None
    # A server that was started again counts from zero.
    if before and now.at > before.at and now.commands >= before.commands:
        operations = (now.commands - before.commands) * 1000 / (now.at - before.at)
        hits, misses = now.hits - before.hits, now.misses - before.misses
        if hits >= 0 and misses >= 0 and hits + misses:
            hit_rate = 100 * hits / (hits + misses)
    return Reading(
        at=clock.moment(now.at),
        memory=now.memory,
        fragmentation=now.resident / now.memory if now.memory else None,
        clients=now.clients,
        operations=operations,
        hit_rate=hit_rate,
        lag=now.lag,
    )


# -- gathering, by the holder of the lease


def take(client: Redis, *, holder: str, since: int, lag: int | None, notified: bool) -> int:
    """Take one sample, keep it with the last minutes', and say that the follower is at work. Gives the moment it was
    taken, Unix ms. Two round trips. Open pages of the server are told in the same transaction; others are not woken.
    """
    info = client.info()
    at = clock.now_ms()
    sample = Sample(
        at=at,
        memory=int(info.get("used_memory", 0)),
        resident=int(info.get("used_memory_rss", 0)),
        clients=int(info.get("connected_clients", 0)),
        commands=int(info.get("total_commands_processed", 0)),
        hits=int(info.get("keyspace_hits", 0)),
        misses=int(info.get("keyspace_misses", 0)),
        lag=lag,
    )
    status = {"holder": holder, "since": since, "seen": at, "notified": int(notified)}
    names = keys.server_samples(), keys.follower_status()
    pipe = client.pipeline(transaction=True)
    pipe.rpush(names[0], json.dumps(sample.__dict__))
    pipe.ltrim(names[0], -KEPT, -1)
    pipe.pexpireat(names[0], at + SAMPLES_LIFE)
    pipe.hset(names[1], mapping=status if lag is None else {**status, "lag": lag})
    pipe.pexpireat(names[1], at + FOLLOWER_LIFE)
    pipe.publish(keys.LIVE_CHANNEL, json.dumps({"server": []}))
    try:
        pipe.execute()
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        client.unlink(*names)  # another tool wrote there; they are filled again
    return at


# -- for machines


@dataclass(frozen=True)
class Ready:
    writes: bool
    leased: bool


def readiness(client: Redis) -> Ready:
    """Whether writes are taken, and whether some process holds the follower's lease. One round trip.

    SETRANGE with nothing to write, on a key that is not there, changes nothing and reaches no log; but the server
    refuses it whenever it would refuse a real write: no memory, no disk, a replica, too few replicas.
    """
    pipe = client.pipeline(transaction=False)
    pipe.setrange(keys.lease("probe"), 0, "")
    pipe.exists(keys.lease(LEASE))
    writes, leased = pipe.execute(raise_on_error=False)
    if isinstance(leased, Exception):
        raise leased
    return Ready(not isinstance(writes, Exception), bool(leased))


@dataclass(frozen=True)
class Measured:
    """For Prometheus. `lag` in seconds, `memory` in bytes; `commands`: calls and seconds by command since the start."""

    quotes: int | None
    jobs: int | None
    lag: float | None
    leased: bool
    memory: int | None
    clients: int | None
    commands: Mapping[str, tuple[int, float]]


def measured(client: Redis) -> Measured:
    """One round trip."""
    pipe = client.pipeline(transaction=False)
    pipe.zcount(QUOTES.key("all", "deadline"), f"({clock.now_ms()}", "+inf")
    pipe.scard(keys.jobs_running())
    pipe.hget(keys.follower_status(), "lag")
    pipe.exists(keys.lease(LEASE))
    pipe.info("memory")
    pipe.info("clients")
    pipe.info("commandstats")
    quotes, jobs, lag, leased, memory, clients, commands = _allowed(pipe)
    return Measured(
        quotes=quotes,
        jobs=jobs,
        lag=int(lag) / 1000 if lag and lag.isdecimal() else None,
        leased=bool(leased),
        memory=(memory or {}).get("used_memory"),
        clients=(clients or {}).get("connected_clients"),
        commands={
            name.removeprefix("cmdstat_"): (int(each["calls"]), each["usec"] / 1_000_000)
            for name, each in (commands or {}).items()
            if isinstance(each, dict) and {"calls", "usec"} <= each.keys()
        },
    )
