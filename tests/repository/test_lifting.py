"""Lockouts are opened and codes taken back: all that was named in one transaction, once, on record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from dashboard import keys
from dashboard.repository import audit, codes, jobs, lifting, lockouts, security

COUNTER = keys.failed_logins("AG001")


def fail(account: str, times: int) -> None:
    for _ in range(times):
        lockouts.begin(account)


def told(store: Redis, account: str) -> list[str]:
    return [record.text for record in audit.history(store, audit.SECURITY, account)]


def references(store: Redis, *kinds: security.Kind) -> list[str]:
    return [matter.reference for matter in security.every(store, kinds)]


class TestOpening:
    @pytest.mark.parametrize("named", ["lock:AG001", "failures:AG001"])
    def test_it_clears_the_count_and_every_level_and_is_on_record(self, store: Redis, named: str) -> None:
        fail("AG001", 3)
        store.set(keys.lockout("AG001", "level3"), "10_attempts", ex=86_400)
        done = lifting.lift([named], by="ADM001")
        assert (done.opened, done.taken_back, done.gone) == (("AG001",), 0, 0)
        assert store.keys("security:*") == []
        assert security.listing(store).total == 0
        assert told(store, "AG001") == [
            "Sign-in opened again by ADM001",
            "Sign-in closed for 15 minutes at the third failed attempt in a row",
        ]
        assert lockouts.begin("AG001").number == 1

    def test_a_count_that_closed_nothing_is_forgotten(self, store: Redis) -> None:
        fail("AG001", 2)
        assert lifting.lift(["failures:AG001"], by="ADM001").opened == ("AG001",)
        assert told(store, "AG001") == ["Failed sign-ins forgotten by ADM001"]
        assert lockouts.begin("AG001").number == 1

    def test_one_that_the_index_never_heard_of_is_opened(self, store: Redis) -> None:
        store.set(keys.lockout("CUST001", "level2"), "5_attempts", ex=3_600)
        assert lifting.lift(["lock:CUST001"], by="ADM001").opened == ("CUST001",)
        assert store.keys("security:*") == []

    def test_one_of_another_type_is_opened(self, store: Redis) -> None:
        store.rpush(keys.lockout("CUST001", "level3"), "x")
        assert lifting.lift(["lock:CUST001"], by="ADM001").opened == ("CUST001",)
        assert store.keys("security:*") == []

    def test_several_are_one_transaction_each_on_record_and_others_stay(self, store: Redis) -> None:
        for account in ("AG001", "AG002", "AG003"):
            fail(account, 3)
        done = lifting.lift(["lock:AG001", "lock:AG002", "lock:CUST009"], by="ADM001")
        assert (done.opened, done.gone) == (("AG001", "AG002"), 1)
        assert [lock.account for lock in security.locks(store).rows] == ["AG003"]
        assert [told(store, account)[0] for account in done.opened] == ["Sign-in opened again by ADM001"] * 2

    @pytest.mark.parametrize("named", ["", "lock:", "AG001", "lock:no*body", "odd:AG001", "code:AG001", "code::x"])
    def test_what_is_no_reference_lifts_nothing(self, store: Redis, named: str) -> None:
        fail("AG001", 1)
        codes.issue("code", "AG001")
        done = lifting.lift([named], by="ADM001")
        assert (done.opened, done.taken_back, done.gone) == ((), 0, 1)
        assert len(references(store)) == 2

    def test_twice_with_one_form_is_once(self, store: Redis) -> None:
        fail("AG001", 3)
        first = lifting.lift(["lock:AG001"], by="ADM001", token="f" * 40)
        fail("AG001", 3)
        assert lifting.lift(["lock:AG001"], by="ADM001", token="f" * 40) == first
        assert security.locks(store).total == 1, "the one that began since stands"


class TestTakingBack:
    def test_codes_and_tokens_of_ours_and_of_other_tools_hold_no_longer(self, store: Redis) -> None:
        code, reset = codes.issue("code", "AG001"), codes.issue("reset", "CUST001")
        store.set(keys.two_factor("CUST001", "code789"), "123456", ex=300)
        security.refresh(store, ["code:CUST001:code789"])
        assert lifting.lift(references(store, "code", "reset"), by="ADM001").taken_back == 3
        assert store.keys("security:*") == []
        assert not codes.redeem("code", "AG001", code)
        assert not codes.redeem("code", "CUST001", "123456")
        assert not codes.redeem("reset", "CUST001", reset)
        assert {"Password reset taken back by ADM001", "Sign-in code taken back by ADM001"} < set(
            told(store, "CUST001")
        )

    def test_only_the_one_that_was_named_ends(self, store: Redis) -> None:
        for code in ("one", "two"):
            store.set(keys.two_factor("CUST001", code), "123456", ex=300)
        security.refresh(store, ["code:CUST001:one", "code:CUST001:two"])
        first, second = references(store, "code")
        assert lifting.lift([first], by="ADM001").taken_back == 1
        assert references(store, "code") == [second]
        assert lifting.lift([first], by="ADM001").gone == 1

    def test_a_code_sent_since_is_another_only_by_what_it_opens(self, store: Redis) -> None:
        """Ours have one name for each account: what is taken back is whichever stands, never none."""
        codes.issue("code", "AG001")
        (named,) = references(store, "code")
        later = codes.issue("code", "AG001")
        lifting.lift([named], by="ADM001")
        assert not codes.redeem("code", "AG001", later)

    def test_the_command_count_does_not_grow_with_the_accounts(self, store: Redis) -> None:
        def trips(accounts: int) -> int:
            store.flushall()
            for number in range(accounts):
                fail(f"AG{number:03}", 3)
            before = store.info("commandstats")["cmdstat_exec"]["calls"]
            lifting.lift(references(store, "lock"), by="ADM001")
            return store.info("commandstats")["cmdstat_exec"]["calls"] - before

        assert trips(2) == trips(40)


class TestChosen:
    def test_a_lockout_brings_the_count_that_goes_with_it(self, store: Redis) -> None:
        fail("AG001", 3)
        fail("AG002", 1)
        codes.issue("code", "AG001")
        assert {matter.id for matter in lifting.chosen(store, ["lock:AG001"])} == {"lock:AG001", "failures:AG001"}


class TestAsBulkWork:
    def test_each_is_lifted_and_what_was_over_is_told(self, store: Redis) -> None:
        for account in ("AG001", "AG002"):
            fail(account, 3)
        job = jobs.preview(lifting.LIFT, ["lock:AG001", "lock:AG002", "lock:GONE"], {}, by="ADM001", title="Lift")
        jobs.start(job, by="ADM001")
        while jobs.work_once(store):
            pass
        ended = jobs.get(store, job)
        assert (ended.succeeded, ended.failures) == (2, (("lock:GONE", "It was over already."),))
        assert security.listing(store).total == 0


class TestAgainstANewFailure:
    """Whichever comes first: an unlocking leaves either nothing, or the first failure of a new row."""

    def test_a_failure_at_the_same_moment_closes_nothing_behind_it(self, store: Redis) -> None:
        for _ in range(30):
            assert self.left_by(store, lambda: lifting.lift(["lock:AG001"], by="ADM001")) in ([], ["1"])

    def test_one_between_looking_and_lifting_is_lifted_with_the_rest(
        self, store: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail("AG001", 2)
        record, late = lifting._record, iter([1])

        def meanwhile(*args: Any) -> None:
            fail("AG001", next(late, 0))
            record(*args)

        monkeypatch.setattr(lifting, "_record", meanwhile)
        lifting.lift(["failures:AG001"], by="ADM001")
        assert store.keys("security:*") == [], "not closed with nothing counted"

    def test_control_one_key_after_the_other_leaves_it_closed_or_counted(self, store: Redis) -> None:
        def naive() -> None:
            for level in keys.LOCKOUT_LEVELS:
                store.delete(keys.lockout("AG001", level))
            time.sleep(0.02)
            store.delete(COUNTER)

        left = [self.left_by(store, naive) for _ in range(10)]
        assert any(each not in ([], ["1"]) for each in left)

    def left_by(self, store: Redis, unlock: Callable[[], object]) -> list[str]:
        """What stands after one failure and an unlocking at once: the fifth failure closes for an hour."""
        store.flushall()
        fail("AG001", 3)
        store.set(COUNTER, "4", keepttl=True)
        start = threading.Barrier(2)

        def attempt() -> None:
            start.wait()
            for _ in range(200):
                try:
                    lockouts.begin("AG001")
                    return
                except lockouts.Closed:
                    time.sleep(0.0005)

        def open_again() -> None:
            start.wait()
            unlock()

        threads = [threading.Thread(target=attempt), threading.Thread(target=open_again)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [store.get(name) for name in sorted(store.keys("security:*"))]
