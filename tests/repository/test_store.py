"""One action, one recorded change: all of it or nothing, once for each form, and told when nobody can know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dashboard import clock, keys, redis
from dashboard.errors import Conflict, StoreDown
from dashboard.repository.store import ATTEMPTS, Change, change, change_many, is_done, next_number

COUNT, FLAG = keys.sequence("tries"), keys.sequence("flag")


def count_up(draft: Change) -> int:
    """Read, then write what was read and one more: wrong as soon as two of them are not one after the other."""
    draft.watch(COUNT)
    seen = int(draft.client.get(COUNT) or 0)
    draft.set(COUNT, str(seen + 1))
    return seen + 1


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Run them in threads that start together; gives results or errors, in order."""
    barrier, results = threading.Barrier(len(actions)), [None] * len(actions)

    def run(at: int) -> None:
        barrier.wait()
        try:
            results[at] = actions[at]()
        except Exception as error:
            results[at] = error

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# -- once for each form


def test_a_form_sent_twice_has_one_effect_and_the_same_answer(store: Redis) -> None:
    assert change(count_up, token="form") == 1
    assert change(count_up, token="form") == 1
    assert store.get(COUNT) == "1"


def test_another_form_has_its_own_effect(store: Redis) -> None:
    assert [change(count_up, token="one"), change(count_up, token="two"), change(count_up)] == [1, 2, 3]


def test_a_double_click_has_one_effect(store: Redis) -> None:
    for round_ in range(30):
        store.delete(COUNT)
        assert at_once(*[lambda token=f"click{round_}": change(count_up, token=token)] * 2) == [1, 1]
        assert store.get(COUNT) == "1"


def test_the_result_is_kept_for_a_day_and_no_longer(store: Redis) -> None:
    assert not is_done("form")
    change(count_up, token="form")
    assert is_done("form")
    assert 0 < store.pexpiretime(keys.token("form")) - clock.now_ms() <= clock.DAY


def test_a_form_that_was_refused_may_be_sent_again(store: Redis) -> None:
    def refuse(draft: Change) -> None:
        draft.set(COUNT, "9")
        raise Conflict("Not now.")

    with pytest.raises(Conflict):
        change(refuse, token="form")
    assert store.get(COUNT) is None
    assert change(count_up, token="form") == 1


def test_a_form_that_does_nothing_is_done_all_the_same(store: Redis) -> None:
    assert change(lambda draft: "Nothing was changed.", token="form") == "Nothing was changed."
    assert is_done("form")


# -- all or nothing


def test_two_that_read_and_write_the_same_key_are_one_after_the_other(store: Redis) -> None:
    results = at_once(*[lambda: [change(count_up) for _ in range(25)]] * 4)
    assert store.get(COUNT) == "100"
    assert sorted(number for each in results for number in each) == list(range(1, 101))  # type: ignore[attr-defined]


def test_a_key_that_expires_after_it_was_looked_at_undoes_the_attempt(store: Redis) -> None:
    store.set(FLAG, "here", px=30)
    seen = []

    def act(draft: Change) -> None:
        draft.watch(FLAG)
        seen.append(draft.client.get(FLAG))
        time.sleep(0.04)
        draft.set(COUNT, f"written when it was {seen[-1]}")

    change(act)
    assert seen == ["here", None]
    assert store.get(COUNT) == "written when it was None"


def test_what_never_comes_to_rest_is_given_up_with_nothing_written(store: Redis) -> None:
    attempts = []

    def act(draft: Change) -> None:
        draft.watch(FLAG)
        attempts.append(store.incr(FLAG))
        draft.set(COUNT, "1")

    with pytest.raises(Conflict):
        change(act, token="form")
    assert len(attempts) == ATTEMPTS
    assert store.get(COUNT) is None
    assert not is_done("form")


def test_a_key_of_another_type_is_refused_before_anything_is_written(store: Redis) -> None:
    store.rpush(FLAG, "a list")

    def act(draft: Change) -> None:
        draft.set(COUNT, "1")
        draft.watch(FLAG)
        draft.require("string", [COUNT, FLAG])
        draft.record("INCR", FLAG)

    with pytest.raises(Conflict, match="holds a list where a string belongs"):
        change(act)
    assert store.get(COUNT) is None


def test_a_lifetime_is_written_with_its_value(store: Redis) -> None:
    deadline = clock.now_ms() + 60_000

    def act(draft: Change) -> None:
        draft.set_until(FLAG, "1", deadline)
        draft.set_keeping(FLAG, "2")
        draft.set_once(FLAG, "3", deadline)
        draft.set(COUNT, "1")
        draft.expire_at(deadline, COUNT)
        draft.delete()

    change(act)
    assert (store.get(FLAG), store.pexpiretime(FLAG), store.pexpiretime(COUNT)) == ("2", deadline, deadline)
    change(lambda draft: draft.persist(FLAG, COUNT))
    assert (store.pexpiretime(FLAG), store.pexpiretime(COUNT)) == (-1, -1)


def test_every_open_page_hears_of_a_change_once_and_only_when_it_is_made(store: Redis) -> None:
    def act(draft: Change) -> None:
        draft.event("quotes", "auto:Q001")
        draft.event("quotes", "auto:Q001")
        draft.event("metrics")

    with store.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(keys.LIVE_CHANNEL)
        heard.get_message(timeout=1)
        change(act, token="form")
        change(act, token="form")
        messages = [heard.get_message(timeout=0.2) for _ in range(2)]
    assert [message and message["data"] for message in messages] == ['{"quotes": ["auto:Q001"], "metrics": []}', None]


# -- when the store goes away


def test_a_connection_that_breaks_while_it_is_saved_is_told_and_not_tried_anew(store: Redis) -> None:
    """redis-py calls this a WatchError, and one tried anew could be done twice."""
    attempts = []

    def act(draft: Change) -> None:
        draft.watch(FLAG)
        attempts.append(1)
        draft.set(COUNT, "1")
        store.client_kill_filter(_id=draft._watcher.execute_command("CLIENT", "ID"))

    with pytest.raises(StoreDown) as raised:
        change(act)
    assert raised.value.uncertain
    assert attempts == [1]


def test_a_connection_that_breaks_before_anything_was_sent_is_told_as_nothing_saved(store: Redis) -> None:
    def act(draft: Change) -> None:
        draft.watch(FLAG)
        store.client_kill_filter(_id=draft._watcher.execute_command("CLIENT", "ID"))
        draft.watch(COUNT)
        draft.set(COUNT, "1")

    with pytest.raises(StoreDown) as raised:
        change(act)
    assert not raised.value.uncertain
    assert store.get(COUNT) is None


def test_a_form_whose_answer_was_lost_is_done_once_when_it_is_sent_again(
    store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = Redis.from_url(settings.REDIS_URL, **redis.CONNECTION, socket_timeout=0.1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(redis, "client", lambda: impatient)

    def slow(draft: Change) -> int:
        draft.record("DEBUG", "SLEEP", "0.3")  # the server does it all, but its answer comes too late
        return count_up(draft)

    with pytest.raises(StoreDown) as raised:
        change(slow, token="form")
    assert raised.value.uncertain
    assert store.get(COUNT) == "1"
    assert change(slow, token="form") == 1
    assert store.get(COUNT) == "1"


# -- numbers


def test_numbers_begin_at_their_floor_and_are_never_given_twice(store: Redis) -> None:
    taken = at_once(*[lambda: [next_number("policy-auto", 100_001) for _ in range(50)]] * 4)
    assert sorted(number for each in taken for number in each) == list(range(100_001, 100_201))  # type: ignore[attr-defined]


def test_a_slice_that_others_keep_changing_is_halved_until_the_rest_goes_through(store: Redis) -> None:
    """One of the members is written to whenever somebody looks at it together with others."""
    sizes: list[int] = []

    def action(draft: Change, members: Sequence[str]) -> None:
        sizes.append(len(members))
        draft.watch(*members)
        if "busy" in members and len(members) > 1:
            store.incr("busy")
        for member in members:
            draft.record("INCR", f"{member}:done")

    members = ["a", "b", "c", "busy"]
    change_many(members, action)
    assert [store.get(f"{member}:done") for member in members] == ["1"] * 4
    assert sizes == [4, 4, 4, 2, 2, 2, 2, 1, 1]


def test_a_member_that_cannot_be_changed_at_all_is_told(store: Redis) -> None:
    def action(draft: Change, members: Sequence[str]) -> None:
        draft.watch(*members)
        store.incr(members[0])
        draft.set("done", "1")

    with pytest.raises(Conflict, match="Too many people"):
        change_many(["a", "b"], action)
    assert not store.exists("done")
