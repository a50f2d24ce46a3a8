"""What may be wrong with the server for our purpose, as one table: each rule says what it found, in words, and what to do
about it. The server's page shows what holds now; the start says those that have to do with how the server is set up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from redis import Redis

from dashboard import clock, redis
from dashboard.repository import server
from dashboard.repository.server import Look

Tone = Literal["bad", "warn"]

NEAR = 0.9
"""Share of maxmemory, or of the machine's memory, that is near its end."""
FRAGMENTED = 1.5
WORTH = 100 * 1024 * 1024
"""Bytes that fragmentation has to waste before anybody needs to know: a small store always looks fragmented."""
RECENT = timedelta(minutes=15)
"""How long an entry of the slow log is news."""
SILENT = timedelta(seconds=20)
BEHIND = 2_000
"""ms."""


@dataclass(frozen=True)
class Rule:
    """`says` gives what is wrong, None where nothing is. `at_start`: has to do with the set-up, not with the moment."""

    name: str
    tone: Tone
    says: Callable[[Look], str | None]
    remedy: str
    at_start: bool = True


@dataclass(frozen=True)
class Finding:
    """A rule that holds."""

    name: str
    tone: Tone
    words: str
    remedy: str


def found(look: Look) -> list[Finding]:
    """What is wrong, the worst first."""
    held = [(rule, words) for rule in RULES if (words := rule.says(look))]
    told = [Finding(rule.name, rule.tone, words, rule.remedy) for rule, words in held]
    return sorted(told, key=lambda each: each.tone != "bad")


def at_start(client: Redis) -> list[str]:
    """What is wrong with how the server is set up, a sentence and its remedy each. Turns on the notifications we need
    where that is allowed. Four round trips at most.
    """
    redis.enable_notifications(client)
    look = server.look(client)
    return [f"{words} {rule.remedy}" for rule in RULES if rule.at_start and (words := rule.says(look))]


# -- what each looks at


def _old(look: Look) -> str | None:
    version = str(look.info.get("redis_version", "0"))
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) >= 7:
        return None
    return f"The server is version {version}; 7 or later is needed."


def _no_persistence(look: Look) -> str | None:
    if look.info.get("aof_enabled") or look.settings.get("save") != "":
        return None
    return "Persistence is off: a restart of the server loses everything."


def _snapshots_only(look: Look) -> str | None:
    if look.info.get("aof_enabled") or look.settings.get("save") == "":
        return None
    return "Only snapshots are kept: a crash of the server loses minutes."


def _late_sync(look: Look) -> str | None:
    sync = look.settings.get("appendfsync", "always")
    if not look.info.get("aof_enabled") or sync == "always":
        return None
    lost = "the last second" if sync == "everysec" else "what the system had not written yet, half a minute or so"
    return f"appendfsync is {sync}: if the machine fails, {lost} of what was already confirmed to people is gone."


def _append_failed(look: Look) -> str | None:
    failed = [name for name in ("aof_last_write_status", "aof_last_bgrewrite_status") if look.info.get(name) == "err"]
    return f"The append-only file could not be written ({', '.join(failed)})." if failed else None


def _save_failed(look: Look) -> str | None:
    return "The last snapshot failed." if look.info.get("rdb_last_bgsave_status") == "err" else None


def _evicts_lifetimes(look: Look) -> str | None:
    policy = str(look.info.get("maxmemory_policy", ""))
    if not policy.startswith("volatile-"):
        return None
    return (
        f"maxmemory-policy is {policy}: when memory is short, everything with a lifetime may vanish, audit records "
        "among the first."
    )


def _evicts_all(look: Look) -> str | None:
    policy = str(look.info.get("maxmemory_policy", ""))
    if not policy.startswith("allkeys-"):
        return None
    return f"maxmemory-policy is {policy}: when memory is short, any record may vanish."


def _evicted(look: Look) -> str | None:
    count = int(look.number("evicted_keys"))
    return f"The server has thrown away {count:,} keys for want of memory since it started." if count else None


def _near_maxmemory(look: Look) -> str | None:
    used, most = look.number("used_memory"), look.number("maxmemory")
    if not most or used / most < NEAR:
        return None
    return f"Memory is {used / most:.0%} of maxmemory: at 100% every write is refused."


def _near_machine(look: Look) -> str | None:
    used, most = look.number("used_memory_rss"), look.number("total_system_memory")
    if not most or used / most < NEAR:
        return None
    return f"The server uses {used / most:.0%} of the machine's memory: the system may end it at any moment."


def _fragmented(look: Look) -> str | None:
    used, resident = look.number("used_memory"), look.number("used_memory_rss")
    if not used or resident / used < FRAGMENTED or resident - used < WORTH:
        return None
    return f"Memory is fragmented: the server holds {resident / used:.1f} times what its data needs."


def _unnotified(look: Look) -> str | None:
    present = look.settings.get("notify-keyspace-events")
    if present is not None and redis.notifies(present):
        return None
    return (
        "Keyspace notifications are off and may not be set by us: changes by other tools show only after "
        f"{'minutes' if present is None else 'a quarter of a minute or more'}."
    )


def _slow(look: Look) -> str | None:
    news = [each for each in look.slow if clock.now() - each.at < RECENT]
    if not news:
        return None
    worst = max(news, key=lambda each: each.took)
    more = "" if len(news) < server.SLOW else " or more"
    return (
        f"{len(news)}{more} slow command{'s' if len(news) > 1 else ''} in the last {RECENT.seconds // 60} minutes, the "
        f"slowest {worst.command} with {worst.took.total_seconds() * 1000:,.0f} ms; everybody waits as long."
    )


def _rejected(look: Look) -> str | None:
    count = int(look.number("rejected_connections"))
    return f"{count:,} connections were rejected since the server started: maxclients was reached." if count else None


def _replica(look: Look) -> str | None:
    return "This server is a replica: it takes no writes." if look.info.get("role") == "slave" else None


def _silent(look: Look) -> str | None:
    seen = look.follower.seen
    if look.follower.leased_for is None:
        return "Nobody holds the follower's lease: what other tools change is not seen, and nothing is told to pages."
    if seen is None or clock.now() - seen > SILENT:
        return "The follower holds its lease but has been silent: lists may be behind."
    return None


def _behind(look: Look) -> str | None:
    lag = look.follower.lag
    if lag is None or lag < BEHIND or look.follower.leased_for is None:
        return None
    return f"The follower is {lag / 1000:.1f} s behind what happens in the store."


RULES: tuple[Rule, ...] = (
    Rule("version", "bad", _old, "Use Redis or Valkey 7 or later."),
    Rule("persistence", "bad", _no_persistence, "Set appendonly to yes."),
    Rule("snapshots", "bad", _snapshots_only, "Set appendonly to yes."),
    Rule("append", "bad", _append_failed, "Free space on the server's disk; its log says what failed."),
    Rule("save", "bad", _save_failed, "Free space and memory for the snapshot; the server's log says what failed."),
    Rule("replica", "bad", _replica, "Set REDIS_URL to the primary."),
    Rule("volatile", "bad", _evicts_lifetimes, "Set maxmemory-policy to noeviction."),
    Rule("allkeys", "bad", _evicts_all, "Set maxmemory-policy to noeviction."),
    Rule("evicted", "bad", _evicted, "Raise maxmemory, set maxmemory-policy to noeviction, and run manage.py verify_audit."),
    Rule("maxmemory", "bad", _near_maxmemory, "Raise maxmemory, or convert policies to hashes (Memory).", at_start=False),
    Rule("machine", "bad", _near_machine, "Give the machine more memory, or the store one of its own.", at_start=False),
    Rule("silent", "bad", _silent, "See whether `manage.py serve` runs, and what its log says.", at_start=False),
    Rule("fsync", "warn", _late_sync, "Set appendfsync to always, where the disk is fast enough."),
    Rule("notifications", "warn", _unnotified, f"Set notify-keyspace-events to {redis.NOTIFICATIONS} on the server."),
    Rule("fragmented", "warn", _fragmented, "Set activedefrag to yes, or restart the server in a quiet hour.", at_start=False),
    Rule("slow", "warn", _slow, "See which tool sends them: KEYS, SMEMBERS and long scripts are the usual ones.", at_start=False),
    Rule("rejected", "warn", _rejected, "Raise maxclients, and look for a tool that leaves connections open.", at_start=False),
    Rule("behind", "warn", _behind, "Look for a tool that writes in bulk; it catches up by itself.", at_start=False),
)  # fmt: skip
