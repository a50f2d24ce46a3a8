"""The server over the last minutes: samples that are kept for a while, and what is read from them."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import server
from dashboard.repository.server import EVERY, KEPT, Sample


def take(store: Redis, lag: int | None = 60) -> int:
    return server.take(store, holder="abcdef0123456789", since=clock.now_ms(), lag=lag, notified=True)


def sample(at: int, **facts: int) -> Sample:
    usual = {"memory": 1_000, "resident": 1_500, "clients": 3, "commands": 0, "hits": 0, "misses": 0}
    return Sample(at=at, lag=None, **{**usual, **facts})


def test_the_last_minutes_are_kept_and_no_more(store: Redis) -> None:
    for number in range(KEPT + 20):
        take(store, lag=number)
    look = server.look(store)
    assert [each.lag for each in look.samples] == list(range(20, KEPT + 20))
    assert store.llen(keys.server_samples()) == KEPT


def test_nothing_outlives_a_follower_that_is_gone(store: Redis) -> None:
    take(store)
    assert 0 < store.pttl(keys.server_samples()) <= server.SAMPLES_LIFE
    assert 0 < store.pttl(keys.follower_status()) <= server.FOLLOWER_LIFE


def test_open_pages_of_the_server_are_told_with_each_sample(store: Redis) -> None:
    with store.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.LIVE_CHANNEL)
        channel.get_message(timeout=1)
        take(store)
        message = channel.get_message(timeout=5)
    assert message and json.loads(message["data"]) == {"server": []}


def test_what_another_tool_put_in_place_of_the_samples_is_replaced(store: Redis) -> None:
    store.set(keys.server_samples(), "x")
    store.set(keys.follower_status(), "x")
    assert server.look(store).samples == []
    take(store)
    take(store)
    look = server.look(store)
    assert len(look.samples) == 1 and look.follower.holder == "abcdef01"


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"at": 1}', "[" * 9_000, '{"at": "now"}', "null"])
def test_what_is_no_sample_is_left_out(store: Redis, text: str) -> None:
    store.rpush(keys.server_samples(), text)
    take(store)
    assert len(server.look(store).samples) == 1


def test_a_follower_whose_state_was_spoilt_is_shown_as_far_as_it_goes(store: Redis) -> None:
    store.hset(keys.follower_status(), mapping={"seen": "²", "lag": "9" * 40, "since": "-1", "holder": "x" * 900})
    found = server.look(store).follower
    assert (found.seen, found.lag, found.since, found.leased_for, len(found.holder)) == (None, None, None, None, 8)


def test_rates_are_told_from_one_sample_to_the_next() -> None:
    now = clock.now_ms()
    first = sample(now - EVERY, commands=1_000, hits=100, misses=0)
    second = sample(now, commands=1_500, hits=190, misses=10)
    found = server.readings([first, second], now)
    assert len(found) == KEPT
    assert found[-2].operations is None and found[-2].clients == 3
    assert (found[-1].operations, found[-1].hit_rate, found[-1].fragmentation) == (100, 90, 1.5)


def test_a_hit_rate_of_no_reads_is_none_and_not_zero() -> None:
    found = server.readings([sample(0), sample(EVERY, commands=5)], EVERY)
    assert found[-1].hit_rate is None and found[-1].operations == 1


def test_a_server_that_was_started_again_counts_from_zero() -> None:
    found = server.readings([sample(0, commands=9_000, hits=500), sample(EVERY, commands=3)], EVERY)
    assert found[-1].operations is None and found[-1].hit_rate is None


def test_a_time_without_samples_is_a_gap() -> None:
    now = 100 * EVERY
    found = server.readings([sample(now - 10 * EVERY), sample(now)], now)
    shown = [at for at, each in enumerate(found) if each.memory is not None]
    assert shown == [KEPT - 11, KEPT - 1]
    assert found[0].at == clock.moment(now - (KEPT - 1) * EVERY)


def test_samples_that_come_a_little_late_leave_no_gap() -> None:
    found = server.readings([sample(at * (EVERY + 130)) for at in range(KEPT)], KEPT * EVERY)
    assert all(each.memory is not None for each in found)


def test_without_any_sample_there_are_only_gaps() -> None:
    assert all(each.memory is None for each in server.readings([], clock.now_ms()))


def test_a_look_is_one_round_trip(store: Redis) -> None:
    take(store)
    before = store.info("stats")["total_reads_processed"]
    server.look(store)
    assert store.info("stats")["total_reads_processed"] - before == 2  # the look, and this question
