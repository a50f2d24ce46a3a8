"""Counters that end: how many, in one step, within a window that begins with the first."""

from __future__ import annotations

from redis.exceptions import ResponseError

from dashboard import redis


def count(name: str, deadline: int, by: int = 1) -> tuple[int, int]:
    """Add to the counter, which ends at `deadline` (Unix ms) if it begins now: what it says then, and when it ends.

    One round trip, atomic: of any number at once, no more than n see n or less, and it is never without a lifetime.
    A counter that another tool broke begins anew.
    """
    pipe = redis.client().pipeline(transaction=True)
    pipe.set(name, 0, nx=True, pxat=deadline)
    pipe.incrby(name, by)
    pipe.pexpiretime(name)
    try:
        _, counted, end = pipe.execute()
    except ResponseError as error:
        if "not an integer" not in str(error) and "WRONGTYPE" not in str(error):
            raise
        redis.client().set(name, by, pxat=deadline)
        return by, deadline
    if end == -1:
        redis.client().pexpireat(name, deadline)
    return counted, end if end > 0 else deadline
