"""The ladder of lockouts: exact under concurrency, never without a lifetime, the same for names nobody has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from dashboard import clock, keys, signin
from dashboard.repository import audit, lockouts, security
from dashboard.repository.lockouts import Closed

COUNTER = "security:failed_logins:AG001"
FIRST, SECOND, THIRD = (keys.lockout("AG001", level) for level in keys.LOCKOUT_LEVELS)


def fail(account: str = "AG001", times: int = 1) -> int | None:
    until = None
    for _ in range(times):
        until = lockouts.begin(account).closes
    return until


def serve_out(store: Redis, *locks: str) -> None:
    """The lockout's time passes; the count lives on."""
    store.delete(*locks)


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


class TestLadder:
    """Trap 28."""

    def test_failures_are_counted_for_five_minutes_in_the_customers_key(self, store: Redis) -> None:
        fail(times=2)
        assert store.get(COUNTER) == "2"
        assert 299_000 < store.pttl(COUNTER) <= 300_000

    @pytest.mark.parametrize(
        ("served", "more", "lock", "value", "life"),
        [
            ([], 3, FIRST, "3_attempts", 15 * clock.MINUTE),
            ([FIRST], 2, SECOND, "5_attempts", clock.HOUR),
            ([FIRST, SECOND], 5, THIRD, "10_attempts", clock.DAY),
        ],
    )
    def test_three_five_and_ten_failures_close_as_the_document_has_it(
        self, store: Redis, served: list[str], more: int, lock: str, value: str, life: int
    ) -> None:
        for rung, failures in zip(served, (3, 2), strict=False):
            fail(times=failures)
            serve_out(store, rung)
        assert fail(times=more - 1) is None
        until = fail()
        assert until and abs(until - clock.now_ms() - life) < 2_000
        assert store.get(lock) == value
        assert until == store.pexpiretime(lock)
        assert store.pexpiretime(COUNTER) == until + 5 * clock.MINUTE, "or the next rung could not be reached"

    def test_a_failure_after_the_lockout_shortens_the_counts_life_by_nothing(self, store: Redis) -> None:
        fail(times=3)
        end = store.pexpiretime(COUNTER)
        serve_out(store, FIRST)
        assert fail() is None
        assert store.pexpiretime(COUNTER) == end

    def test_each_failure_beyond_the_tenth_closes_for_a_day_again(self, store: Redis) -> None:
        store.set(COUNTER, "10", ex=300)
        until = fail()
        assert until and abs(until - clock.now_ms() - clock.DAY) < 2_000
        assert store.get(THIRD) == "11_attempts"

    def test_attempts_while_locked_are_neither_verified_nor_counted(self, store: Redis) -> None:
        fail(times=3)
        before = store.get(COUNTER), store.pexpiretime(FIRST)
        for _ in range(3):
            with pytest.raises(Closed) as refused:
                signin.verified("ag001", lambda: pytest.fail("verified"))
            assert refused.value.until == before[1]
        assert (store.get(COUNTER), store.pexpiretime(FIRST)) == before

    @pytest.mark.parametrize("level", keys.LOCKOUT_LEVELS)
    def test_a_lockout_that_another_tool_wrote_closes_too(self, store: Redis, level: str) -> None:
        store.set(keys.lockout("AG001", level), "9_attempts", ex=60)
        with pytest.raises(Closed):
            lockouts.begin("AG001")

    def test_of_several_lockouts_the_longest_is_in_force(self, store: Redis) -> None:
        store.set(FIRST, "3_attempts", ex=900)
        store.set(THIRD, "10_attempts", ex=86_400)
        with pytest.raises(Closed) as refused:
            lockouts.begin("AG001")
        assert refused.value.until == store.pexpiretime(THIRD)

    def test_a_failure_that_another_tool_counted_is_one_of_ours(self, store: Redis) -> None:
        store.set(COUNTER, "1", ex=300)
        store.incr(COUNTER)
        assert fail() == store.pexpiretime(FIRST)

    def test_a_counter_left_without_a_lifetime_gets_one(self, store: Redis) -> None:
        store.set(COUNTER, "1")
        fail()
        assert store.get(COUNTER) == "2"
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


class TestBeingRight:
    def test_success_forgets_the_failures(self, store: Redis) -> None:
        fail(times=2)
        lockouts.succeeded(lockouts.begin("AG001"))
        assert store.keys("security:*") == []
        assert fail(times=2) is None

    def test_success_forgives_what_came_before_it_but_not_what_began_after(self, store: Redis) -> None:
        right, _later = lockouts.begin("AG001"), lockouts.begin("AG001")
        lockouts.succeeded(right)
        assert store.get(COUNTER) == "1"
        assert store.pttl(COUNTER) > 0

    def test_the_last_attempt_allowed_may_be_right(self, store: Redis) -> None:
        fail(times=2)
        third = lockouts.begin("AG001")
        assert store.exists(FIRST), "closed behind it, until it is known to be right"
        lockouts.succeeded(third)
        assert store.keys("security:*") == []
        assert security.locks(store).total == 0

    def test_a_right_password_tells_nothing_when_the_account_was_closed_meanwhile(self, store: Redis) -> None:
        right = lockouts.begin("AG001")
        fail(times=2)
        with pytest.raises(Closed):
            lockouts.succeeded(right)
        assert (store.get(COUNTER), store.exists(FIRST)) == ("3", 1)

    def test_a_failure_at_the_very_moment_is_not_forgiven_with_those_before(
        self, store: Redis, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        right = lockouts.begin("AG001")
        meanwhile(fail)
        lockouts.succeeded(right)
        assert store.get(COUNTER) == "1"

    def test_an_account_that_is_closed_at_the_very_moment_stays_so(
        self, store: Redis, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        right = lockouts.begin("AG001")
        meanwhile(lambda: fail(times=2))
        with pytest.raises(Closed):
            lockouts.succeeded(right)
        assert (store.get(COUNTER), store.exists(FIRST)) == ("3", 1)

    def test_a_right_password_before_a_second_step_forgives_no_wrong_codes(self, store: Redis) -> None:
        fail(times=2)
        lockouts.passed(lockouts.begin("AG001"))
        assert store.get(COUNTER) == "2"
        assert not store.exists(FIRST)
        assert fail() is not None, "the third wrong one, whatever was right in between"


class TestReported:
    """Sign-ins that another system verifies climb the same ladder."""

    def test_a_reported_failure_counts_as_one_of_ours(self, store: Redis) -> None:
        fail(times=2)
        found = lockouts.begin("AG001", by="api-portal")
        assert (found.number, lockouts.level_at(found.number)) == (3, "level1")
        assert store.get(FIRST) == "3_attempts" and found.closes == store.pexpiretime(FIRST)
        (record,) = audit.history(store, audit.SECURITY, "AG001")
        assert record.text.endswith("at the third failed attempt in a row, reported by api-portal")

    def test_reported_twice_with_its_token_it_counts_once(self, store: Redis) -> None:
        found = [lockouts.begin("AG001", by="api-portal", token="t") for _ in range(4)]
        assert [each.number for each in found] == [1, 1, 1, 1]
        assert store.get(COUNTER) == "1"

    def test_while_locked_nothing_is_counted_or_forgiven(self, store: Redis) -> None:
        fail(times=3)
        with pytest.raises(Closed):
            lockouts.begin("AG001", by="api-portal")
        with pytest.raises(Closed):
            lockouts.forgive("AG001")
        assert store.get(COUNTER) == "3" and store.exists(FIRST)

    def test_a_right_one_forgives_and_a_late_repeat_of_it_forgives_nothing_more(self, store: Redis) -> None:
        fail(times=2)
        lockouts.forgive("AG001", token="t")
        assert not store.exists(COUNTER) and security.totals(store)["failures"] == 0
        fail()
        lockouts.forgive("AG001", token="t")
        assert store.get(COUNTER) == "1"


class TestAddresses:
    def test_one_address_is_closed_after_its_share_whatever_the_accounts(self, store: Redis) -> None:
        for number in range(lockouts.ADDRESS_LIMIT):
            with pytest.raises(signin.WrongPassword):
                signin.verified(f"AG{number}", lambda: None, "192.0.2.7")
        with pytest.raises(Closed):
            signin.verified("AG001", lambda: pytest.fail("verified"), "192.0.2.7")
        assert signin.verified("AG001", lambda: "somebody", "192.0.2.8") == "somebody"

    def test_what_was_right_does_not_count(self, store: Redis) -> None:
        for _ in range(lockouts.ADDRESS_LIMIT + 5):
            signin.verified("AG001", lambda: "somebody", "192.0.2.7")
        (name,) = store.keys("dash:address:*")
        assert store.get(name) == "0"
        assert 0 < store.pttl(name) <= lockouts.ADDRESS_WINDOW
        assert "192.0.2.7" not in name

    @pytest.mark.parametrize(
        ("one", "other", "is_one"),
        [
            ("2001:db8:0:7::1", "2001:db8:0:7:ffff:ffff:ffff:ffff", True),
            ("2001:db8:0:7::1", "2001:db8:0:8::1", False),
            ("192.0.2.7", "::ffff:192.0.2.7", True),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
            ("192.0.2.7", "192.0.2.8", False),
        ],
    )
    def test_who_has_a_network_of_ipv6_has_one_address(self, store: Redis, one: str, other: str, is_one: bool) -> None:
        lockouts.from_address(one)
        lockouts.from_address(other)
        assert len(store.keys("dash:address:*")) == (1 if is_one else 2)

    @pytest.mark.parametrize("value", ["x", ["a", "list"]])
    def test_a_broken_count_begins_anew(self, store: Redis, value: object) -> None:
        lockouts.from_address("192.0.2.7")
        (name,) = store.keys("dash:address:*")
        store.delete(name)
        store.set(name, value) if isinstance(value, str) else store.rpush(name, *value)  # type: ignore[misc]
        lockouts.from_address("192.0.2.7")
        assert store.get(name) == "1"
        assert store.pttl(name) > 0


class TestManyAtOnce:
    def test_of_fifty_wrong_passwords_at_once_three_are_verified(self, store: Redis) -> None:
        verified, outcomes = many(signin.verified)
        assert len(verified) == 3
        assert outcomes.count("wrong") == 2, "the third one is told that sign-in is closed"
        assert outcomes.count("closed") == 48
        assert (store.get(COUNTER), store.get(FIRST)) == ("3", "3_attempts")

    def test_control_counting_after_the_verification_lets_more_through(self, store: Redis) -> None:
        def naive(name: str, verify: Callable[[], object]) -> None:
            if int(store.get(COUNTER) or 0) >= 3:
                raise Closed(0)
            verify()
            store.incr(COUNTER)
            raise signin.WrongPassword

        verified, _ = many(naive)
        assert len(verified) > 3

    def test_the_right_password_among_them_opens_the_one_try_that_it_forgives(self, store: Redis) -> None:
        let_in = 0
        for number in range(20):
            store.flushall()
            right, told = lockouts.begin("AG001"), []

            def succeed(right: lockouts.Attempt = right, told: list[bool] = told) -> None:
                try:
                    lockouts.succeeded(right)
                    told.append(True)
                except Closed:
                    told.append(False)

            verified, _outcomes = many(signin.verified, 40, beside=succeed, late=number / 1_000)
            assert len(verified) == (3 if told[0] else 2), "of three places it has taken the first, and gives it back"
            assert (store.get(COUNTER), store.get(FIRST)) == ("3", "3_attempts")
            let_in += told[0]
        assert let_in, "or nothing was forgiven at all"


def many(
    sign_in: Callable[..., object],
    count: int = 50,
    *,
    beside: Callable[[], object] = lambda: None,
    late: float = 0,
) -> tuple[list[int], list[str]]:
    """So many wrong attempts at once, and what else happens, by so many seconds before them: the numbers of those verified,
    and how each ended.
    """
    verified: list[int] = []
    outcomes: list[str] = []
    start = threading.Barrier(count + 1)

    def attempt(number: int) -> None:
        def verify() -> None:
            verified.append(number)
            time.sleep(0.02)

        start.wait()
        time.sleep(late)
        try:
            sign_in("AG001", verify)
        except signin.WrongPassword:
            outcomes.append("wrong")
        except Closed:
            outcomes.append("closed")

    def another() -> None:
        start.wait()
        beside()

    threads = [threading.Thread(target=attempt, args=[number]) for number in range(count)]
    threads.append(threading.Thread(target=another))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == count
    return verified, outcomes


@pytest.mark.long
def test_ten_thousand_attempts_by_fifty_workers_pass_exactly_at_the_levels(store: Redis) -> None:
    """Each time the ladder's lockout is served out the next attempts come: 3, 2, 5, and then one for each day."""
    allowed = [3, 2, 5, *[1] * 6]
    passed = []
    for _ in allowed:
        passed.append(storm(2_000 if not passed else 1_000))
        store.delete(FIRST, SECOND, THIRD)
    assert passed == allowed


def storm(attempts: int) -> int:
    """So many wrong attempts by fifty workers: how many were verified."""
    verified: list[int] = []
    left = iter(range(attempts))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            try:
                signin.verified("AG001", lambda: verified.append(number))  # noqa: B023
            except (signin.WrongPassword, Closed):
                pass

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(verified)
