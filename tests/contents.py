"""What a store holds, for comparing it with itself later."""

from __future__ import annotations

from typing import Any

from redis import Redis

_READ = {
    "list": lambda store, name: store.lrange(name, 0, -1),
    "string": lambda store, name: store.get(name),
    "hash": lambda store, name: store.hgetall(name),
    "set": lambda store, name: store.smembers(name),
    "zset": lambda store, name: store.zrange(name, 0, -1, withscores=True),
}


def contents(store: Redis, match: str = "*") -> dict[str, Any]:
    """Every key with its value, lifetimes left out."""
    return {name: _READ[store.type(name)](store, name) for name in sorted(store.keys(match))}


def indexes(store: Redis) -> dict[str, Any]:
    """What can be made anew from the customer's keys."""
    return {
        name: value
        for name, value in contents(store, "dash:*").items()
        if name.startswith(
            (
                "dash:index:",
                "dash:indexed:",
                "dash:search:",
                "dash:history:",
                "dash:audit:",
                "dash:sequence:",
                "dash:metric-agents:",
            )
        )
    }
