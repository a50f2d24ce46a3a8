"""Keys as the server has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from dashboard import keys

_NEEDS = {
    "ZADD": "zset", "ZREM": "zset", "HSET": "hash", "HDEL": "hash", "HINCRBY": "hash", "SADD": "set", "SREM": "set",
    "RPUSH": "list",
}  # fmt: skip


@dataclass(frozen=True)
class StoredKey:
    """One key: its Redis type, and its deadline in Unix ms (None: it stays)."""

    name: str
    type: str
    deadline: int | None


def stored(client: Redis, names: Sequence[str]) -> list[StoredKey]:
    """Those of these keys that exist. One round trip."""
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
        pipe.pexpiretime(name)
    answers = pipe.execute()
    rows = zip(names, answers[0::2], answers[1::2], strict=True)
    return [StoredKey(name, kind, until if until > 0 else None) for name, kind, until in rows if kind != "none"]


def broken(client: Redis, commands: Iterable[tuple[Any, ...]]) -> list[str]:
    """Keys of ours, such as can be made anew, that hold another type than these commands need: another tool wrote there.
    EXEC would stop half way at them. One round trip.
    """
    needed = {command[1]: _NEEDS[command[0]] for command in commands if command[0] in _NEEDS}
    ours = [name for name in needed if name.startswith("dash:")]
    pipe = client.pipeline(transaction=False)
    for name in ours:
        pipe.type(name)
    kinds = zip(ours, pipe.execute(), strict=True)
    return [name for name, kind in kinds if kind not in ("none", needed[name]) and _rebuilt(name)]


def _rebuilt(name: str) -> bool:
    parsed = keys.parse(name)
    return bool(parsed and parsed.family.rebuilt)
