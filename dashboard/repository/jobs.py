"""Bulk work: previewed, confirmed, then done in slices, each member in a transaction of its own, exactly on what was seen.

A kind of work is a function that does one member, or a slice of them in one transaction; it is registered under a name,
so that whichever process holds the lease can go on with a job that another one began. Each step carries a token made of
job and member: a slice that is repeated after a crash does nothing twice.

What a job is to be done to may have to be looked for among all keys. That is a slow walk, too, and done by the same
process before there is anything to preview: the job is `gathering` until then.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from redis import Redis
from redis.exceptions import ResponseError

from dashboard import clock, keys, redis
from dashboard.errors import Conflict, DomainError, NotFound, StoreDown
from dashboard.repository.store import Change, change
from dashboard.repository.values import answered, readable

log = logging.getLogger(__name__)

SLICE = 50
"""Members done before the progress is written and others get their turn."""
PREVIEW_LIFE = clock.HOUR
KEPT = 7 * clock.DAY
MOST = 200_000
LATEST = 10
"""Jobs of a person that are listed."""
NAMED = 200
"""Members and failures that a page names; all are counted."""

State = Literal["gathering", "previewed", "running", "stopped", "done"]
Step = Callable[[str, Mapping[str, str], str, str], str]
"""(member, params, by, token) -> a word for the report; raises a domain error that says why it could not be done."""
Bulk = Callable[[Sequence[str], Mapping[str, str], str, str], Mapping[str, str]]
"""(members, params, by, token) -> why it could not be done, by member, for those to which it was not."""
Gather = Callable[[Redis, int, Mapping[str, str]], tuple[int, list[str], int]]
"""(client, cursor, params) -> where to go on (0: nowhere), members found, keys looked at. One small step of a walk."""


@dataclass(frozen=True)
class Work:
    """A kind of bulk work. One of `step` and `bulk` does it, `size` members at a time; `gather` looks for its members;
    `shown` is how a member is named on pages.
    """

    step: Step | None = None
    bulk: Bulk | None = None
    gather: Gather | None = None
    shown: Callable[[str], str] = readable
    size: int = SLICE


_kinds: dict[str, Work] = {}


@dataclass(frozen=True)
class Job:
    """One piece of bulk work; `failures` are the first of (member, why), `members` the first of all. While it gathers,
    `looked` of about `among` keys were looked at, and the walk goes on at `cursor`; `cut`: there were more than can be done at once.
    """

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
    looked: int = 0
    among: int = 0
    cursor: int = 0
    cut: bool = False

    @property
    def gathered(self) -> int:
        """Percent of the keys looked at."""
        return min(100, 100 * self.looked // self.among) if self.among else 0

    @property
    def share(self) -> int:
        """Percent done."""
        return 100 * self.done // self.total if self.total else 100

    @property
    def succeeded(self) -> int:
        return self.done - self.failed


def register(kind: str, step: Step) -> None:
    register_work(kind, Work(step))


def register_work(kind: str, work: Work) -> None:
    _kinds[kind] = work


def preview(kind: str, members: Sequence[str], params: Mapping[str, str], *, by: str, title: str) -> str:
    """Keep what is to be done, for an hour, until somebody confirms. Gives the job's id. One round trip a 1,000."""
    if not members:
        raise Conflict("Nothing fits: there is nothing to do.")
    if len(members) > MOST:
        raise Conflict(f"{len(members):,} is more than can be done at once ({MOST:,}). Narrow the filter.")
    job, client, until = secrets.token_hex(8), redis.client(), clock.now_ms() + PREVIEW_LIFE
    facts = _facts(kind, params, by, title) | {"state": "previewed", "total": len(members)}
    pipe = client.pipeline(transaction=True)
    pipe.hset(keys.job(job), mapping=facts)
    for start in range(0, len(members), 1_000):
        pipe.rpush(keys.job_members(job), *members[start : start + 1_000])
    for name in (keys.job(job), keys.job_members(job)):
        pipe.pexpireat(name, until)
    pipe.execute()
    change(lambda draft: _list(draft, job, by))
    return job


def gather(kind: str, params: Mapping[str, str], *, by: str, title: str, token: str | None = None) -> str:
    """Have the members looked for among all keys; the preview follows by itself. Gives the job's id. Four round trips."""
    facts = _facts(kind, params, by, title) | {"state": "gathering", "total": 0, "cursor": 0, "looked": 0}

    def action(draft: Change) -> str:
        job = secrets.token_hex(8)
        among = draft.client.dbsize()
        fields = [part for pair in (facts | {"among": among}).items() for part in pair]
        draft.record("HSET", keys.job(job), *fields)
        draft.expire_at(clock.now_ms() + KEPT, keys.job(job))
        draft.require("set", [keys.jobs_running()])
        draft.record("SADD", keys.jobs_running(), job)
        _list(draft, job, by)
        return job

    return change(action, token=token)


def _list(draft: Change, job: str, person: str) -> None:
    """Put it among this person's, for as long as jobs are kept; whatever another tool put there goes. One round trip."""
    name, now = keys.jobs_of(person), clock.now_ms()
    if draft.client.type(name) not in ("none", "zset"):
        draft.delete(name)
    draft.record("ZADD", name, now, job)
    draft.record("ZREMRANGEBYSCORE", name, "-inf", now - KEPT)
    draft.expire_at(now + KEPT, name)
    draft.event("jobs", job)


def _facts(kind: str, params: Mapping[str, str], by: str, title: str) -> dict[str, str | int]:
    if kind not in _kinds:
        raise LookupError(f"no such kind of work: {kind}")
    kept = {"kind": kind, "title": title, "done": 0, "failed": 0, "by": by, "params": json.dumps(dict(params))}
    return kept | {"created": clock.now_ms()}


def start(job: str, *, by: str) -> None:
    """Confirm. Raises NotFound when the preview has ended, Conflict when it was started already."""
    _turn(job, {"previewed": "running", "stopped": "running"}, by, "was started already")


def stop(job: str, *, by: str) -> None:
    """End it after the slice under way. What was done stays done; it can be started again where it stopped."""
    _turn(job, {"running": "stopped", "gathering": "done"}, by, "is not running")


def get(client: Redis, job: str) -> Job:
    """Three reads, one round trip. Raises NotFound, also for what another tool made unreadable."""
    if not keys.is_identifier(job):
        raise NotFound("There is no such job.")
    found = _load(client, [job])[job]
    if found is None:
        raise NotFound("This job is no longer kept. A preview that nobody confirms ends after an hour.")
    return found


def running(client: Redis) -> list[Job]:
    """The jobs under way. Two round trips."""
    return [job for job in _load(client, _under_way(client)).values() if job]


def latest(client: Redis, person: str) -> list[Job]:
    """This person's latest bulk work that is still kept, the newest first: to come back to it. Two round trips."""
    (members,) = answered(client.pipeline(transaction=False).zrange(keys.jobs_of(person), 0, LATEST - 1, desc=True))
    return [job for job in _load(client, members or ()).values() if job and job.by == person]


def _load(client: Redis, jobs: Iterable[str]) -> dict[str, Job | None]:
    """Each of these, None where it is gone or unreadable. One round trip, none for no jobs."""
    named = [job for job in jobs if keys.is_identifier(job)]
    pipe = client.pipeline(transaction=False)
    for job in named:
        pipe.hgetall(keys.job(job))
        pipe.lrange(keys.job_members(job), 0, NAMED - 1)
        pipe.lrange(keys.job_failures(job), 0, NAMED - 1)
    answers = answered(pipe) if named else []
    return {
        job: _job(job, facts or {}, members or (), failures or ())
        for job, facts, members, failures in zip(named, answers[0::3], answers[1::3], answers[2::3], strict=True)
    }


def _job(job: str, facts: Mapping[str, str], members: Sequence[str], failures: Sequence[str]) -> Job | None:
    """None for what is gone, or what another tool made unreadable."""
    shown = _kinds[facts["kind"]].shown if facts.get("kind") in _kinds else readable
    try:
        return Job(
            id=job,
            kind=facts["kind"],
            title=readable(facts["title"]),
            state=facts["state"],  # type: ignore[arg-type]
            total=int(facts["total"]),
            done=int(facts["done"]),
            failed=int(facts["failed"]),
            by=facts["by"],
            params=dict(json.loads(facts["params"])),
            created=clock.moment(int(facts["created"])),
            started=_moment(facts.get("started")),
            ended=_moment(facts.get("ended")),
            members=tuple(map(shown, members)),
            failures=tuple((shown(member), why) for member, why in map(_failure, failures)),
            looked=int(facts.get("looked", 0)),
            among=int(facts.get("among", 0)),
            cursor=int(facts.get("cursor", 0)),
            cut="cut" in facts,
        )
    except (LookupError, ValueError, TypeError, OverflowError, RecursionError):
        return None


def _under_way(client: Redis) -> list[str]:
    """One round trip."""
    return sorted(answered(client.pipeline(transaction=False).smembers(keys.jobs_running()))[0] or ())


def work_once(client: Redis) -> bool:
    """Do one slice of each running job. Whether there was anything to do. For the process that holds the lease."""
    running = _under_way(client)
    for job in running:
        try:
            _slice(client, job)
        except NotFound:
            client.srem(keys.jobs_running(), job)
        except (LookupError, ValueError, TypeError, ResponseError) as error:
            if isinstance(error, ResponseError) and "WRONGTYPE" not in str(error):
                raise
            # What another tool wrote into it must not keep the others waiting.
            log.exception("Bulk work cannot be gone on with, and is stopped.")
            _turn(job, {"running": "stopped", "gathering": "done"}, "", "is not running")
    return bool(running)


def _slice(client: Redis, job: str) -> None:
    found = get(client, job)
    work = _kinds[found.kind]
    if found.state == "gathering":
        _gather_on(client, found, work)
        return
    members = client.lrange(keys.job_members(job), found.done, found.done + work.size - 1)
    failures = _do(found, work, members) if found.state == "running" and members else []

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


def _do(job: Job, work: Work, members: Sequence[str]) -> list[str]:
    """Do one slice; a line for each member to which it could not be done."""
    if work.bulk:
        # The slices of a job are the same ones whoever goes on with it: where it begins names one.
        try:
            why = work.bulk(members, job.params, job.by, _token(job.id, f"{job.done}"))
        except Conflict as error:
            why = dict.fromkeys(members, str(error))
        return [f"{member}\t{words}" for member, words in why.items()]
    failures = []
    for member in members:
        try:
            work.step(member, job.params, job.by, _token(job.id, member))  # type: ignore[misc]
        except StoreDown:
            raise  # nobody knows whether it was done: the slice is repeated, which does nothing twice
        except DomainError as error:
            failures.append(f"{member}\t{error}")
    return failures


def _gather_on(client: Redis, job: Job, work: Work) -> None:
    """One step of the walk, and as long a rest. Where it goes on is kept with what was found: another process that goes
    on after a crash finds nothing twice.
    """
    began = time.monotonic()
    name, at = keys.job(job.id), job.cursor
    cursor, members, looked = work.gather(client, at, job.params)  # type: ignore[misc]

    def action(draft: Change) -> None:
        draft.watch(name)
        state, where, total = draft.client.hmget(name, "state", "cursor", "total")
        if state != "gathering" or int(where) != at:
            return
        taken = members[: max(0, MOST - int(total))]
        if taken:
            draft.record("RPUSH", keys.job_members(job.id), *taken)
        draft.record("HINCRBY", name, "total", len(taken))
        draft.record("HINCRBY", name, "looked", looked)
        draft.record("HSET", name, "cursor", cursor)
        full = len(taken) < len(members)
        if full:
            draft.record("HSET", name, "cut", 1)
        if full or cursor == 0:
            any_found = int(total) + len(taken) > 0
            draft.record(
                "HSET", name, *(("state", "previewed") if any_found else ("state", "done", "ended", clock.now_ms()))
            )
            draft.record("SREM", keys.jobs_running(), job.id)
        life = PREVIEW_LIFE if full or cursor == 0 else KEPT
        draft.expire_at(clock.now_ms() + life, name, keys.job_members(job.id))
        draft.event("jobs", job.id)

    change(action)
    time.sleep(time.monotonic() - began)


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
        draft.require("set", [keys.jobs_running()])
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
    member, _, why = readable(line).rpartition("\t")
    return member, why


def _moment(ms: str | None) -> datetime | None:
    return clock.moment(int(ms)) if ms and ms.isdigit() else None
