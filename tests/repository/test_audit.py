"""Audit records: one for each change, in the transaction that makes it, and none ever lost to another."""

from __future__ import annotations

import inspect
import threading
from datetime import UTC, datetime

import pytest
import time_machine
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.repository import audit
from dashboard.repository.store import Change, change

AUTO = (audit.POLICY, "auto", "100001")


def append(text: str) -> None:
    change(lambda draft: audit.append(draft, *AUTO, text=text))


def texts(store: Redis) -> list[str]:
    return [record.text for record in audit.history(store, *AUTO)]


def test_trap_30_two_changes_of_one_day_are_two_records(store: Redis) -> None:
    append("first")
    append("second")
    assert sorted(texts(store)) == ["first", "second"]
    assert len(store.keys("audit:policy:auto:100001:change:*")) == 2


def test_trap_30_two_changes_of_one_millisecond_are_two_records(store: Redis) -> None:
    with time_machine.travel(clock.now(), tick=False):
        for number in range(20):
            append(str(number))
    assert sorted(texts(store), key=int) == [str(number) for number in range(20)]


def test_trap_30_changes_of_many_people_at_once_are_all_recorded(store: Redis) -> None:
    threads = [threading.Thread(target=append, args=(f"by {number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts(store)) == sorted(f"by {number}" for number in range(16))


def test_trap_30_nothing_here_alters_or_deletes_a_record(store: Redis) -> None:
    append("first")
    (name,) = store.keys("audit:*")
    change(lambda draft: draft.set_once(name, "forged", clock.now_ms() + clock.DAY))
    assert store.get(name) == "first"
    source = inspect.getsource(audit)
    assert not any(verb in source for verb in (".delete(", "UNLINK", '"DEL"', ".set(", "set_keeping", ".expire("))


def test_a_record_lives_a_year_and_its_listing_as_long(store: Redis) -> None:
    append("first")
    for name in store.keys("audit:*") + store.keys("dash:history:*"):
        assert store.pexpiretime(name) - clock.now_ms() == pytest.approx(keys.YEAR * 1_000, abs=60_000)


def test_a_change_that_is_refused_leaves_no_record(store: Redis) -> None:
    def act(draft: Change) -> None:
        audit.append(draft, *AUTO, text="never happened")
        raise Conflict("No.")

    with pytest.raises(Conflict):
        change(act)
    assert store.keys("*") == []


def test_the_history_of_a_thing_is_newest_first_and_its_own(store: Redis) -> None:
    with time_machine.travel(clock.now(), tick=False) as now:
        for number in range(3):
            append(str(number))
            now.shift(1)
    change(lambda draft: audit.append(draft, audit.POLICY, "auto", "100002", text="another's"))
    change(lambda draft: audit.append(draft, audit.QUOTE, "auto", "100001", text="a quote's"))
    assert texts(store) == ["2", "1", "0"]
    assert [record.text for record in audit.history(store, *AUTO, limit=2)] == ["2", "1"]


def test_a_record_that_another_tool_wrote_is_told_to_the_day(store: Redis) -> None:
    key = keys.policy_audit("auto", "100001", "20240818")
    store.set(key, "Premium updated from 1200 to 1350 by AG001", ex=31_536_000)
    parsed = keys.parse(key)
    assert parsed
    audit.note(store, key, parsed)
    (record,) = audit.history(store, *AUTO)
    assert (record.text, record.at, record.to_the_day) == (
        "Premium updated from 1200 to 1350 by AG001",
        datetime(2024, 8, 18, tzinfo=clock.zone()),
        True,
    )


def test_our_own_records_are_told_to_the_millisecond(store: Redis) -> None:
    with time_machine.travel(datetime(2026, 8, 18, 10, 30, 0, 123_000, UTC), tick=False):
        append("now")
    (record,) = audit.history(store, *AUTO)
    assert (record.at, record.to_the_day) == (datetime(2026, 8, 18, 10, 30, 0, 123_000, UTC), False)


def test_records_that_are_gone_or_unreadable_do_not_break_the_history(store: Redis) -> None:
    for day, write in (
        ("20240818", lambda key: None),
        ("20240819", lambda key: store.rpush(key, "a list")),
        ("20249999", lambda key: store.set(key, b"caf\xe9")),
    ):
        key = keys.policy_audit("auto", "100001", day)
        write(key)
        parsed = keys.parse(key)
        assert parsed
        audit.note(store, key, parsed)
    assert texts(store) == ["unreadable: the key holds a list", "caf\\xe9"]
