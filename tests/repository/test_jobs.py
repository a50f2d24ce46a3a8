"""Bulk work: previewed, confirmed, done in slices, stopped, gone on with, and nothing done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, NotFound
from dashboard.repository import jobs
from dashboard.repository.store import Change, change


@pytest.fixture
def counting(store: Redis) -> Iterator[Redis]:
    """A kind of work that counts what it is done to, and cannot do `bad`."""

    def step(member: str, params: Mapping[str, str], by: str, token: str) -> str:
        def action(draft: Change) -> str:
            if member == "bad":
                raise Conflict("It is bad.")
            draft.record("HINCRBY", "done", member, 1)
            return params["word"]

        return change(action, token=token)

    jobs.register("count", step)
    yield store
    del jobs._kinds["count"]


def preview(*members: str) -> str:
    return jobs.preview("count", members, {"word": "counted"}, by="AG001", title="Count")


def finish(store: Redis) -> None:
    for _ in range(100):
        if not jobs.work_once(store):
            return
    raise AssertionError("it never ended")


def test_nothing_is_done_before_it_is_confirmed(counting: Redis) -> None:
    job = preview("a", "b")
    finish(counting)
    assert jobs.get(counting, job).state == "previewed" and not counting.exists("done")
    assert 0 < counting.pttl(keys.job(job)) <= jobs.PREVIEW_LIFE


def test_is_done_to_each_once_and_says_what_failed_and_why(counting: Redis) -> None:
    members = [f"m{n}" for n in range(120)]
    job = preview(*members, "bad")
    jobs.start(job, by="AG001")
    finish(counting)
    ended = jobs.get(counting, job)
    assert (ended.state, ended.done, ended.failed, ended.share) == ("done", 121, 1, 100)
    assert ended.failures == (("bad", "It is bad."),)
    assert counting.hgetall("done") == dict.fromkeys(members, "1")


def test_a_slice_that_is_repeated_does_nothing_twice(counting: Redis) -> None:
    job = preview("a", "b")
    jobs.start(job, by="AG001")
    finish(counting)
    counting.hset(keys.job(job), mapping={"done": 0, "state": "running"})
    counting.sadd(keys.jobs_running(), job)
    finish(counting)
    assert counting.hgetall("done") == {"a": "1", "b": "1"}


def test_two_workers_at_once_do_nothing_twice(counting: Redis) -> None:
    members = [f"m{n}" for n in range(300)]
    job = preview(*members)
    jobs.start(job, by="AG001")
    threads = [threading.Thread(target=finish, args=(counting,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.hgetall("done") == dict.fromkeys(members, "1")
    assert jobs.get(counting, job).done == 300


def test_can_be_stopped_and_gone_on_with(counting: Redis) -> None:
    job = preview(*(f"m{n}" for n in range(120)))
    jobs.start(job, by="AG001")
    jobs.work_once(counting)
    jobs.stop(job, by="AG001")
    finish(counting)
    assert counting.hlen("done") == jobs.SLICE
    jobs.start(job, by="AG001")
    finish(counting)
    assert counting.hlen("done") == 120


def test_is_started_once(counting: Redis) -> None:
    job = preview("a")
    jobs.start(job, by="AG001")
    with pytest.raises(Conflict):
        jobs.start(job, by="AG001")


def test_an_empty_or_ended_preview_is_refused(counting: Redis) -> None:
    with pytest.raises(Conflict):
        preview()
    for job in ("gone", "a:b", "*"):
        with pytest.raises(NotFound):
            jobs.start(job, by="AG001")


SPOILT: dict[str, Callable[[Redis, str], object]] = {
    "a kind that there is not": lambda store, job: store.hset(keys.job(job), "kind", "nothing"),
    "a total that is none": lambda store, job: store.hset(keys.job(job), "total", "many"),
    "a total beyond all bounds": lambda store, job: store.hset(keys.job(job), "total", "9" * 5_000),
    "parameters that are none": lambda store, job: store.hset(keys.job(job), "params", "["),
    "parameters that are missing": lambda store, job: store.hset(keys.job(job), "params", "{}"),
    "a fact that is gone": lambda store, job: store.hdel(keys.job(job), "created"),
    "members of another type": lambda store, job: (
        store.delete(keys.job_members(job)),
        store.set(keys.job_members(job), "x"),
    ),
    "another type": lambda store, job: (store.delete(keys.job(job)), store.set(keys.job(job), "x")),
}


@pytest.mark.parametrize("how", SPOILT)
def test_one_that_another_tool_spoilt_is_told_and_keeps_no_other_waiting(counting: Redis, how: str) -> None:
    spoilt, sound = preview("a"), preview("b")
    for job in (spoilt, sound):
        jobs.start(job, by="AG001")
    SPOILT[how](counting, spoilt)
    finish(counting)
    assert counting.hgetall("done") == {"b": "1"} and jobs.get(counting, sound).state == "done"
    assert jobs.running(counting) == [] and not counting.smembers(keys.jobs_running())
    try:
        assert jobs.get(counting, spoilt).state in ("running", "stopped")
    except NotFound:
        assert jobs.latest(counting, "AG001") == [jobs.get(counting, sound)]


def test_a_list_of_jobs_that_another_tool_broke_is_named_and_not_written_over_half_way(counting: Redis) -> None:
    job = preview("a")
    counting.set(keys.jobs_running(), "x")
    with pytest.raises(Conflict, match="dash:jobs-running holds a string"):
        jobs.start(job, by="AG001")
    assert jobs.get(counting, job).state == "previewed"
    assert jobs.running(counting) == [] and not jobs.work_once(counting)


def test_a_persons_latest_are_found_again_whatever_has_become_of_them(counting: Redis) -> None:
    made = [preview(f"m{number}") for number in range(jobs.LATEST + 1)]
    # All of them may have been made within one millisecond.
    counting.zadd(keys.jobs_of("AG001"), {job: clock.now_ms() + number for number, job in enumerate(made)})
    jobs.preview("count", ["a"], {"word": "counted"}, by="AG002", title="Another's")
    counting.delete(keys.job(made[-1]))
    jobs.start(made[-2], by="AG001")
    jobs.stop(made[-2], by="AG001")
    found = jobs.latest(counting, "AG001")
    assert [job.id for job in found] == made[-2:0:-1] and found[0].state == "stopped"
    assert 0 < counting.pttl(keys.jobs_of("AG001")) <= jobs.KEPT


def test_a_list_of_a_persons_jobs_that_another_tool_broke_is_begun_anew(counting: Redis) -> None:
    counting.set(keys.jobs_of("AG001"), "x")
    assert jobs.latest(counting, "AG001") == []
    job = preview("a")
    assert [each.id for each in jobs.latest(counting, "AG001")] == [job]
