"""An agent in another branch: their policies, quotes and claims are the new branch's to see from then on.

Who may see a thing is told by its agent's branch, and lists are kept by branch (`index.py`). So each thing's place in the
lists is brought in step, as bulk work. Until that has reached a thing, readers find it out of place, skip it and mend
it; what a crash leaves undone the follower's slow look at everything finds.
"""

from __future__ import annotations

from collections.abc import Iterator

from redis import Redis

from dashboard import redis
from dashboard.repository import areas, claims, jobs, lapsed, policies, quotes
from dashboard.repository.index import UNKNOWN, Index, Wanted

_READ = 5_000
"""Ids read in one go."""


def follow(agent: str, was: str, *, by: str) -> str | None:
    """Have everything of this agent brought in step with their branch as the directory has it by now; `was`: the branch
    before, "" for none. Gives the job's id, None where the agent has nothing. A few round trips for each _READ things.
    """
    found = list(_things(redis.client(), agent, was or UNKNOWN))[: jobs.MOST]
    if not found:
        return None
    title = f"Bring what {agent} has in step with another branch"
    job = jobs.preview(areas.REFRESH, found, {}, by=by, title=title)
    jobs.start(job, by=by)
    return job


def _things(client: Redis, agent: str, was: str) -> Iterator[str]:
    """Claims are listed by branch and not by agent: all of the branch are looked at, those of others stay where they are."""
    theirs = {"agent": [agent]}
    for area, index, wanted in (
        ("quotes", quotes.INDEX, theirs),
        ("policies", policies.INDEX, theirs),
        ("claims", claims.INDEX, {"branch": [was]}),
        ("ended", lapsed.INDEX, theirs),
    ):
        for member in _members(client, index, wanted):
            yield areas.named(area, member)


def _members(client: Redis, index: Index, wanted: Wanted) -> Iterator[str]:
    cursor = None
    while True:
        page = index.page(client, wanted, index.sorts[0], _READ, cursor=cursor)
        yield from page.members
        cursor = page.next
        if cursor is None:
            return
