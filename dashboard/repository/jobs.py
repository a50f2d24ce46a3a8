"""Bulk work: previewed, confirmed, then done in slices, each member in a transaction of its own, exactly on what was seen.

A kind of work is a function that does one member; it is registered under a name, so that whichever process holds the
lease can go on with a job that another one began. Each member's step carries a token made of job and member: a slice
that is repeated after a crash does nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from redis import Redis

from dashboard import clock, keys, redis
from dashboard.errors import Conflict, DomainError, NotFound
from dashboard.repository.store import Change, change
from dashboard.repository.values import readable

SLICE = 50
"""Members done before the progress is written and others get their turn."""
PREVIEW_LIFE = clock.HOUR
KEPT = 7 * clock.DAY
MOST = 200_000
NAMED = 200
"""Members and failures that a page names; all are counted."""

State = Literal["previewed", "running", "stopped", "done"]
Step = Callable[[str, Mapping[str, str], str, str], str]
"""(member, params, by, token) -> a word for the report; raises a domain error that says why it could not be done."""

_steps: dict[str, Step] = {}


@dataclass(frozen=True)
class Job:
    """One piece of bulk work; `failures` are the first of (member, why), `members` the first of all."""

    id: str
    kind: str
    title: str
    state: State
    total: int
    done: int
    failed: int
    by: str
    params: Mapping[str, str]
    created: datetime
    started: datetime | None
    ended: datetime | None
    members: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]

    @property
    def share(self) -> int:
        """Percent done."""
        return 100 * self.done // self.total if self.total else 100

    @property
    def succeeded(self) -> int:
        return self.done - self.failed


def register(kind: str, step: Step) -> None:
    _steps[kind] = step


def preview(kind: str, members: Sequence[str], params: Mapping[str, str], *, by: str, title: str) -> str:
    """Keep what is to be done, for an hour, until somebody confirms. Gives the job's id. One round trip a 1,000."""
    if kind not in _steps:
        raise LookupError(f"no such kind of work: {kind}")
    if not members:
        raise Conflict("Nothing fits: there is nothing to do.")
    if len(members) > MOST:
        raise Conflict(f"{len(members):,} is more than can be done at once ({MOST:,}). Narrow the filter.")
    job, client, until = secrets.token_hex(8), redis.client(), clock.now_ms() + PREVIEW_LIFE
    facts = {
        "kind": kind,
        "title": title,
        "state": "previewed",
        "total": len(members),
        "done": 0,
        "failed": 0,
        "by": by,
    }
    pipe = client.pipeline(transaction=True)
    pipe.hset(keys.job(job), mapping={**facts, "params": json.dumps(dict(params)), "created": clock.now_ms()})
    for start in range(0, len(members), 1_000):
        pipe.rpush(keys.job_members(job), *members[start : start + 1_000])
    for name in (keys.job(job), keys.job_members(job)):
        pipe.pexpireat(name, until)
    pipe.execute()
    return job


def start(job: str, *, by: str) -> None:
    """Confirm. Raises NotFound when the preview has ended, Conflict when it was started already."""
    _turn(job, {"previewed": "running", "stopped": "running"}, by, "was started already")


def stop(job: str, *, by: str) -> None:
    """End it after the slice under way. What was done stays done; it can be started again where it stopped."""
    _turn(job, {"running": "stopped"}, by, "is not running")


def get(client: Redis, job: str) -> Job:
    """Three reads, one round trip. Raises NotFound."""
    facts, members, failures = (
        client.pipeline(transaction=False)
        .hgetall(_key(job))
        .lrange(keys.job_members(job), 0, NAMED - 1)
        .lrange(keys.job_failures(job), 0, NAMED - 1)
        .execute()
    )
    if not facts:
        raise NotFound("This job is no longer kept. A preview that nobody confirms ends after an hour.")
    return Job(
        id=job,
        kind=facts["kind"],
        title=facts["title"],
        state=facts["state"],
        total=int(facts["total"]),
        done=int(facts["done"]),
        failed=int(facts["failed"]),
        by=facts["by"],
        params=json.loads(facts["params"]),
        created=clock.moment(int(facts["created"])),
        started=_moment(facts.get("started")),
        ended=_moment(facts.get("ended")),
        members=tuple(members),
        failures=tuple(_failure(line) for line in failures),
    )


def work_once(client: Redis) -> bool:
    """Do one slice of each running job. Whether there was anything to do. For the process that holds the lease."""
    running = client.smembers(keys.jobs_running())
    for job in sorted(running):
        try:
            _slice(client, job)
        except NotFound:
            client.srem(keys.jobs_running(), job)
    return bool(running)


def _slice(client: Redis, job: str) -> None:
    found = get(client, job)
    members = client.lrange(keys.job_members(job), found.done, found.done + SLICE - 1)
    failures = []
    for member in members if found.state == "running" else ():
        try:
            _steps[found.kind](member, found.params, found.by, _token(job, member))
        except DomainError as error:
            failures.append(f"{member}\t{error}")

    def action(draft: Change) -> None:
        name = keys.job(job)
        draft.watch(name)
        state, done = draft.client.hmget(name, "state", "done")
        if state is None or int(done) != found.done:
            return
        done_now = found.done + len(members)
        draft.record("HSET", name, "done", done_now)
        draft.record("HINCRBY", name, "failed", len(failures))
        if failures:
            draft.record("RPUSH", keys.job_failures(job), *failures)
            draft.expire_at(clock.now_ms() + KEPT, keys.job_failures(job))
        if state == "running" and done_now >= found.total:
            draft.record("HSET", name, "state", "done", "ended", clock.now_ms())
        if state != "running" or done_now >= found.total:
            draft.record("SREM", keys.jobs_running(), job)
        draft.event("jobs", job)

    change(action)


def _turn(job: str, allowed: Mapping[str, str], by: str, otherwise: str) -> None:
    def action(draft: Change) -> None:
        draft.watch(_key(job))
        state = draft.client.hget(keys.job(job), "state")
        if state is None:
            raise NotFound("This job is no longer kept. A preview that nobody confirms ends after an hour.")
        if state not in allowed:
            raise Conflict(f"This job {otherwise}.")
        turned = allowed[state]
        moment = "started" if turned == "running" else "ended"
        draft.record("HSET", keys.job(job), "state", turned, moment, clock.now_ms(), f"{moment}_by", by)
        draft.record("SADD" if turned == "running" else "SREM", keys.jobs_running(), job)
        draft.expire_at(clock.now_ms() + KEPT, keys.job(job), keys.job_members(job))
        draft.event("jobs", job)

    change(action)


def _key(job: str) -> str:
    if not keys.is_identifier(job):
        raise NotFound("There is no such job.")
    return keys.job(job)


def _token(job: str, member: str) -> str:
    return hashlib.sha256(f"{job}\n{member}".encode(errors="surrogateescape")).hexdigest()[:40]


def _failure(line: str) -> tuple[str, str]:
    member, _, why = readable(line).partition("\t")
    return member, why


def _moment(ms: str | None) -> datetime | None:
    return clock.moment(int(ms)) if ms and ms.isdigit() else None
