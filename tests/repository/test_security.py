"""Failed sign-ins and lockouts: exact under concurrency, never without a lifetime, the same for names nobody has."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from dashboard import clock, keys, signin
from dashboard.errors import NotFound
from dashboard.repository import audit, security
from dashboard.repository.security import Closed

COUNTER, LOCK = "security:failed_logins:AG001", "security:lockout:AG001:level2"


def fail(account: str = "AG001", times: int = 1) -> int | None:
    until = None
    for _ in range(times):
        until = security.failed(security.begin(account))
    return until


class TestNames:
    def test_every_way_of_typing_a_name_is_counted_as_one(self) -> None:
        ways = ["AG001", "ag001", " Ag001 ", "ＡＧ００１", "ag００1"]
        assert {security.account_of(name) for name in ways} == {"AG001"}

    def test_names_that_cannot_stand_in_a_key_are_counted_under_a_digest(self) -> None:
        odd = ["a:b", "*", "", "x" * 500, "two words", "null\0", "\ud800"]
        accounts = {security.account_of(name) for name in odd}
        assert len(accounts) == len(odd)
        assert all(keys.is_identifier(account) and account.startswith("name-") for account in accounts)

    @given(st.text())
    def test_any_name_at_all_gives_an_identifier(self, name: str) -> None:
        assert keys.is_identifier(security.account_of(name))
        assert security.account_of(name) == security.account_of(name.swapcase()) or not name.isascii()


class TestCounting:
    def test_failures_are_counted_for_five_minutes_in_the_customers_key(self, store: Redis) -> None:
        fail(times=2)
        assert store.get(COUNTER) == "2"
        assert 299_000 < store.pttl(COUNTER) <= 300_000

    def test_a_failure_a_little_later_still_sees_those_before_it(self, store: Redis) -> None:
        fail(times=4)
        store.pexpire(COUNTER, 1_000)
        assert fail() is not None, "the fifth within five minutes"

    def test_the_fifth_failure_closes_sign_in_for_an_hour_as_the_document_has_it(self, store: Redis) -> None:
        assert fail(times=4) is None
        until = fail()
        assert until and abs(until - clock.now_ms() - clock.HOUR) < 2_000
        assert store.get(LOCK) == "5_attempts"
        assert 3_598_000 < store.pttl(LOCK) <= 3_600_000

    def test_attempts_while_locked_are_neither_verified_nor_counted(self, store: Redis) -> None:
        fail(times=5)
        before = store.get(COUNTER), store.pexpiretime(LOCK)
        for _ in range(3):
            with pytest.raises(Closed) as refused:
                signin.verified("ag001", lambda: pytest.fail("verified"))
            assert refused.value.until == before[1]
        assert (store.get(COUNTER), store.pexpiretime(LOCK)) == before

    @pytest.mark.parametrize("level", keys.LOCKOUT_LEVELS)
    def test_a_lockout_that_another_tool_wrote_closes_too(self, store: Redis, level: str) -> None:
        store.set(keys.lockout("AG001", level), "9_attempts", ex=60)
        with pytest.raises(Closed):
            security.begin("AG001")

    def test_of_several_lockouts_the_longest_is_in_force(self, store: Redis) -> None:
        store.set(keys.lockout("AG001", "level1"), "3_attempts", ex=900)
        store.set(keys.lockout("AG001", "level3"), "10_attempts", ex=86_400)
        with pytest.raises(Closed) as refused:
            security.begin("AG001")
        assert refused.value.until == store.pexpiretime(keys.lockout("AG001", "level3"))

    def test_success_forgets_the_failures(self, store: Redis) -> None:
        fail(times=4)
        security.succeeded(security.begin("AG001"))
        assert not store.exists(COUNTER)
        assert fail(times=4) is None

    def test_success_forgives_what_came_before_it_but_not_what_began_after(self, store: Redis) -> None:
        fail()
        right, later = security.begin("AG001"), security.begin("AG001")
        security.succeeded(right)
        assert store.get(COUNTER) == "1"
        assert security.failed(later) is None
        assert store.pttl(COUNTER) > 0

    def test_a_counter_left_without_a_lifetime_gets_one(self, store: Redis) -> None:
        store.set(COUNTER, "7")
        with pytest.raises(Closed):
            security.begin("AG001")
        assert 0 < store.pttl(COUNTER) <= 300_000

    @pytest.mark.parametrize("broken", ["many", "-3", "1" * 400, "٣", "\udcff"])
    def test_a_broken_counter_counts_as_none(self, store: Redis, broken: str) -> None:
        store.set(COUNTER, broken)
        fail()
        assert store.get(COUNTER) == "1"
        assert store.pttl(COUNTER) > 0

    def test_a_counter_of_another_type_is_replaced(self, store: Redis) -> None:
        store.rpush(COUNTER, "x")
        fail()
        assert store.get(COUNTER) == "1"


class TestManyAtOnce:
    def test_of_fifty_wrong_passwords_at_once_five_are_verified(self, store: Redis) -> None:
        verified, outcomes = self._fifty(signin.verified)
        assert len(verified) == security.LIMIT
        assert outcomes.count("closed") == 50 - security.LIMIT + 1, "all but the first four wrong ones"
        assert store.get(COUNTER) == "5"
        assert store.get(LOCK) == "5_attempts"

    def test_control_counting_after_the_verification_lets_more_through(self, store: Redis) -> None:
        def naive(name: str, verify: object) -> None:
            if int(store.get(COUNTER) or 0) >= security.LIMIT:
                raise Closed(0)
            verify()  # type: ignore[operator]
            store.incr(COUNTER)
            raise signin.WrongPassword

        verified, _ = self._fifty(naive)
        assert len(verified) > security.LIMIT

    def test_the_right_password_among_them_may_come_too_late_but_never_opens_a_sixth_try(self, store: Redis) -> None:
        for _ in range(20):
            store.flushall()
            verified, _ = self._fifty(signin.verified, right=25)
            wrong = [number for number in verified if number != 25]
            assert len(wrong) <= 2 * security.LIMIT, "five before the success forgave them, five after"
            assert store.pttl(COUNTER) != -1

    @staticmethod
    def _fifty(sign_in: object, right: int | None = None) -> tuple[list[int], list[str]]:
        verified: list[int] = []
        outcomes: list[str] = []
        start = threading.Barrier(50)

        def attempt(number: int) -> None:
            def verify() -> object | None:
                verified.append(number)
                time.sleep(0.02)
                return object() if number == right else None

            start.wait()
            try:
                sign_in("AG001", verify)  # type: ignore[operator]
                outcomes.append("in")
            except signin.WrongPassword:
                outcomes.append("wrong")
            except Closed:
                outcomes.append("closed")

        threads = [threading.Thread(target=attempt, args=[number]) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 50
        return verified, outcomes


class TestForAdmins:
    def test_lockouts_are_listed_the_next_to_end_first_without_a_scan(self, store: Redis) -> None:
        fail(times=5)
        fail("AG002", 5)
        found = security.locks(store)
        assert [lock.account for lock in found.rows] == ["AG001", "AG002"]
        assert (found.total, found.rows[0].attempts, found.rows[0].lifetime) == (2, 5, clock.HOUR)

    def test_those_of_other_tools_are_listed_once_the_follower_heard_of_them(self, store: Redis) -> None:
        store.set(keys.lockout("CUST001", "level1"), "3_attempts", ex=900)
        store.rpush(keys.lockout("CUST002", "level3"), "x")
        assert security.refresh(store, ["CUST001", "CUST002", "not there"]) == 2
        first, second = security.locks(store).rows
        assert (first.account, first.level, first.attempts) == ("CUST001", "level1", 3)
        assert second.deadline is None
        assert second.problems

    def test_one_that_ended_is_pruned(self, store: Redis) -> None:
        fail(times=5)
        store.delete(LOCK)
        assert security.locks(store).rows == []
        assert security.locks(store).total == 0

    def test_unlocking_clears_the_count_and_every_level_and_is_on_record(self, store: Redis) -> None:
        fail(times=5)
        store.set(keys.lockout("AG001", "level3"), "10_attempts", ex=86_400)
        security.unlock("AG001", by="ADM001")
        assert store.keys("security:*") == []
        assert security.locks(store).total == 0
        assert [record.text for record in audit.history(store, audit.SESSION, "AG001")] == [
            "Sign-in opened again by ADM001"
        ]
        assert security.begin("AG001").number == 1

    @pytest.mark.parametrize("account", ["AG001", "no:body", ""])
    def test_unlocking_what_is_not_locked_says_so(self, store: Redis, account: str) -> None:
        with pytest.raises(NotFound):
            security.unlock(account, by="ADM001")

    def test_unlocking_twice_with_one_form_is_one_unlocking(self, store: Redis) -> None:
        fail(times=5)
        for _ in range(2):
            security.unlock("AG001", by="ADM001", token="f" * 40)
        assert len(audit.history(store, audit.SESSION, "AG001")) == 1
