"""What stands for or against accounts is found, and shown without its secrets."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit, codes, lifting, lockouts, security
from dashboard.repository.store import change


def fail(account: str, times: int) -> None:
    for _ in range(times):
        lockouts.begin(account)


def test_lockouts_are_listed_the_next_to_end_first(store: Redis) -> None:
    fail("AG001", 3)
    fail("AG002", 3)
    found = security.locks(store)
    assert [lock.account for lock in found.rows] == ["AG001", "AG002"]
    assert (found.total, found.rows[0].failures, found.rows[0].lifetime) == (2, 3, 15 * clock.MINUTE)


def test_a_lockout_and_a_count_tell_which_rung_is_next(store: Redis) -> None:
    fail("AG001", 3)
    fail("AG002", 1)
    lock, *counts = security.listing(store).rows[-1], *security.listing(store, "failures").rows
    assert [each.next.name for each in (lock, *counts) if each.next] == ["level2", "level1", "level2"]


def test_those_of_other_tools_are_listed_once_the_follower_heard_of_them(store: Redis) -> None:
    store.set(keys.lockout("CUST001", "level1"), "3_attempts", ex=900)
    store.rpush(keys.lockout("CUST002", "level3"), "x")
    store.set(keys.two_factor("CUST001", "code789"), "123456", ex=300)
    store.set(keys.password_reset("CUST001", "token123"), "valid|issued:2024-08-18T10:30:00Z", ex=900)
    heard = ["lock:CUST001", "lock:CUST002", "code:CUST001:code789", "reset:CUST001:token123", "lock:nobody", "odd"]
    assert security.refresh(store, heard) == 4
    first, second = security.locks(store).rows
    assert (first.account, first.level, first.failures) == ("CUST001", "level1", 3)
    assert second.deadline is None
    assert second.problems
    (reset,) = security.listing(store, "reset").rows
    assert reset.issued == datetime(2024, 8, 18, 10, 30, tzinfo=UTC)
    assert security.totals(store) == {"lock": 2, "failures": 0, "code": 1, "reset": 1}


def test_one_account_can_be_asked_for(store: Redis) -> None:
    fail("AG001", 3)
    codes.issue("code", "AG001")
    fail("AG002", 1)
    assert {matter.kind for matter in security.listing(store, accounts=["AG001"]).rows} == {"lock", "failures", "code"}


def test_what_ended_is_pruned(store: Redis) -> None:
    fail("AG001", 3)
    store.delete(keys.lockout("AG001", "level1"))
    assert security.locks(store).rows == []
    assert security.locks(store).total == 0


def test_a_reference_tells_nothing_of_what_may_be_a_secret(store: Redis, settings: Any) -> None:
    store.set(keys.two_factor("CUST001", "code789"), "123456", ex=300)
    security.refresh(store, ["code:CUST001:code789"])
    (code,) = security.listing(store, "code").rows
    assert code.reference.startswith("code:CUST001:")
    assert "code789" not in code.reference
    assert "123456" not in repr(code)
    told, settings.SECRET_KEY = code.reference, "another site's"
    assert code.reference != told, "who reads the page cannot try all codes there are"


def test_a_lockout_that_no_count_led_to_says_why(store: Redis) -> None:
    store.set(keys.lockout("CUST001", "level3"), "fraud_suspected", ex=900)
    fail("AG001", 3)
    security.refresh(store, ["lock:CUST001"])
    assert [lock.cause for lock in security.locks(store).rows] == ["fraud_suspected", None]


def test_whole_lists_are_read_page_by_page(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "READ", 4)
    accounts = [f"AG{number:03}" for number in range(11)]
    for account in accounts:
        fail(account, 1)
    time.sleep(0.002)  # both live for five minutes: of one millisecond they would stand in the order of their names
    codes.issue("code", "AG003")
    assert [matter.account for matter in security.every(store, ["failures"])] == accounts
    assert [matter.id for matter in security.every(store, (), ["AG003", "AG010"])] == [
        "failures:AG003", "failures:AG010", "code:AG003:sent",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("ag001", ["ag001", "AG001"]), (" AG001 ", ["AG001"]), ("ＡＧ００１", ["ＡＧ００１", "AG001"])],
)
def test_a_typed_name_means_each_way_it_may_be_written(typed: str, meant: list[str]) -> None:
    assert security.spellings(typed) == meant


def test_totals_of_one_account(store: Redis) -> None:
    fail("AG001", 3)
    fail("AG002", 1)
    assert security.totals(store, ["AG002"]) == {"lock": 0, "failures": 1, "code": 0, "reset": 0}


def test_the_timeline_joins_what_befell_the_account_and_its_sessions(store: Redis) -> None:
    fail("AG001", 3)
    lifting.lift(["lock:AG001"], by="ADM001")
    change(lambda draft: audit.append(draft, audit.SESSION, "AG001", text="Workstation ended by ADM001"))
    verbs = [record.text.split(" ")[1] for record in security.timeline(store, "AG001")]
    assert verbs == ["ended", "opened", "closed"]
