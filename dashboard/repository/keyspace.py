"""Keys as the server has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis


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
