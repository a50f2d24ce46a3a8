"""Codes and reset tokens: digests alone are kept, each holds once, for so many guesses, until the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.repository import audit, codes, security

KINDS: tuple[codes.Secret, ...] = ("code", "reset")
NAME = {"code": "security:2fa:AG001:sent", "reset": "security:password_reset:AG001:sent"}
LIFE = {"code": 300, "reset": 900}


@pytest.mark.parametrize("kind", KINDS)
class TestEither:
    def test_it_holds_once(self, store: Redis, kind: codes.Secret) -> None:
        secret = codes.issue(kind, "AG001")
        assert codes.redeem(kind, "AG001", secret)
        assert not codes.redeem(kind, "AG001", secret), "replayed"
        assert store.keys("security:*") == []
        assert security.totals(store)[kind] == 0

    def test_it_lives_as_long_as_the_document_says_and_is_kept_as_a_digest(
        self, store: Redis, kind: codes.Secret
    ) -> None:
        secret = codes.issue(kind, "AG001")
        assert LIFE[kind] - 1 <= store.ttl(NAME[kind]) <= LIFE[kind]
        everything = "".join(f"{name} {store.get(name)}" for name in store.scan_iter() if store.type(name) == "string")
        assert secret not in everything

    def test_asked_for_again_with_its_token_it_is_the_same_and_nothing_kept_tells_it(
        self, store: Redis, kind: codes.Secret, settings: Any
    ) -> None:
        first = codes.issue_once(kind, "AG001", token="t1")
        before = len(audit.history(store, audit.SECURITY, "AG001"))
        for _ in range(codes.ISSUES + 1):
            assert codes.issue_once(kind, "AG001", token="t1") == first
        assert len(audit.history(store, audit.SECURITY, "AG001")) == before == 1
        kept = "".join(f"{name} {store.get(name)}" for name in store.scan_iter() if store.type(name) == "string")
        assert first.secret not in kept
        settings.SECRET_KEY = "of another site"
        assert codes.issue_once(kind, "AG001", token="t1").secret != first.secret, "the salt alone tells nothing"

    def test_brought_again_with_its_token_it_is_told_the_same_and_counts_for_nothing(
        self, store: Redis, kind: codes.Secret
    ) -> None:
        secret = codes.issue(kind, "AG001")
        for _ in range(codes.GUESSES + 1):
            assert not codes.redeem(kind, "AG001", "wrong", token="w")
        assert codes.redeem(kind, "AG001", secret, token="r")
        assert codes.redeem(kind, "AG001", secret, token="r")
        assert not codes.redeem(kind, "AG001", secret), "used up, for everybody else"

    def test_the_next_one_ends_those_before_it(self, store: Redis, kind: codes.Secret) -> None:
        older = codes.issue(kind, "AG001")
        newer = codes.issue(kind, "AG001")
        if older != newer:  # of two codes in a million
            assert not codes.redeem(kind, "AG001", older)
        assert codes.redeem(kind, "AG001", newer)

    def test_it_is_for_its_account_alone(self, store: Redis, kind: codes.Secret) -> None:
        secret, other = codes.issue(kind, "AG001"), codes.issue(kind, "AG002")
        if secret != other:  # of two codes in a million
            assert not codes.redeem(kind, "AG002", secret)
        assert codes.redeem(kind, "AG001", secret)

    def test_what_is_kept_for_one_account_opens_no_other(self, store: Redis, kind: codes.Secret) -> None:
        """Or who can write to the store would come in as anybody, with a secret of their own."""
        secret = codes.issue(kind, "AG001")
        store.set(NAME[kind].replace("AG001", "AG002"), store.get(NAME[kind]), ex=300)
        assert not codes.redeem(kind, "AG002", secret)

    def test_it_ends_after_so_many_guesses_even_for_the_right_one(self, store: Redis, kind: codes.Secret) -> None:
        secret = codes.issue(kind, "AG001")
        for _ in range(codes.GUESSES):
            assert not codes.redeem(kind, "AG001", "wrong")
        assert not codes.redeem(kind, "AG001", secret)
        assert not store.exists(NAME[kind])

    def test_a_new_one_brings_new_guesses_but_only_so_many_are_sent(self, store: Redis, kind: codes.Secret) -> None:
        for _ in range(codes.ISSUES):
            secret = codes.issue(kind, "AG001")
            assert not codes.redeem(kind, "AG001", "wrong")
        with pytest.raises(Conflict):
            codes.issue(kind, "AG001")
        assert codes.redeem(kind, "AG001", secret), "the latest still holds"
        assert codes.issue(kind, "AG001"), "and who proved to be the owner may ask again"

    @pytest.mark.parametrize("secret", ["", "0", "١٢٣٤٥٦", "\ud800", "sent", "x" * 10_000])
    def test_hostile_secrets_are_wrong(self, store: Redis, kind: codes.Secret, secret: str) -> None:
        codes.issue(kind, "AG001")
        assert codes.redeem(kind, "AG001", secret) is False

    @pytest.mark.parametrize("account", ["no:body", "", "*"])
    def test_no_account_is_no_error(self, store: Redis, kind: codes.Secret, account: str) -> None:
        assert codes.redeem(kind, account, "123456") is False

    def test_broken_counters_begin_anew(self, store: Redis, kind: codes.Secret) -> None:
        secret = codes.issue(kind, "AG001")
        codes.redeem(kind, "AG001", "wrong")
        for name in store.keys("dash:guesses:*") + store.keys("dash:issues:*"):
            store.delete(name)
            store.rpush(name, "x")
        assert codes.redeem(kind, "AG001", secret)

    def test_issuing_and_using_are_on_record(self, store: Redis, kind: codes.Secret) -> None:
        codes.redeem(kind, "AG001", codes.issue(kind, "AG001", by="ADM001"))
        used, sent = audit.history(store, audit.SECURITY, "AG001")
        assert used.text.endswith("was used")
        assert sent.text.endswith("was sent, asked for by ADM001")


def test_codes_of_other_tools_hold_and_end_with_ours(store: Redis) -> None:
    plain, other = keys.two_factor("CUST001", "code789"), keys.two_factor("CUST001", "code790")
    store.set(plain, "123456", ex=300)
    store.set(other, "654321", ex=300)
    security.refresh(store, ["code:CUST001:code789", "code:CUST001:code790"])
    assert not codes.redeem("code", "CUST001", "code789")
    assert codes.redeem("code", "CUST001", "123456")
    assert store.exists(plain, other) == 0


@pytest.mark.parametrize(("kind", "family"), [("code", keys.two_factor), ("reset", keys.password_reset)])
def test_one_of_another_tool_ends_when_the_next_is_sent(store: Redis, kind: codes.Secret, family: keys.Family) -> None:
    name = family("CUST001", "other789")
    store.set(name, "123456" if kind == "code" else "valid|issued:2024-08-18T10:30:00Z", ex=300)
    security.refresh(store, [f"{kind}:CUST001:other789"])
    codes.issue(kind, "CUST001")
    assert not store.exists(name)
    assert not codes.redeem(kind, "CUST001", "123456" if kind == "code" else "other789")


def test_a_token_of_another_tool_stands_in_its_name(store: Redis) -> None:
    name = keys.password_reset("CUST001", "token123")
    store.set(name, f"valid|issued:{clock.iso(clock.now())}", ex=900)
    security.refresh(store, ["reset:CUST001:token123"])
    assert codes.holds(store, "reset", "CUST001", "token123")
    assert codes.redeem("reset", "CUST001", "token123")
    assert not codes.redeem("reset", "CUST001", "token123")


def test_looking_at_a_token_uses_nothing(store: Redis) -> None:
    token = codes.issue("reset", "AG001")
    assert all(codes.holds(store, "reset", "AG001", token) for _ in range(10))
    assert not codes.holds(store, "reset", "AG001", "other")
    assert codes.redeem("reset", "AG001", token)


class TestManyAtOnce:
    def test_of_twenty_who_bring_the_right_token_at_once_one_is_let_in(self, store: Redis) -> None:
        for _ in range(10):
            store.flushall()
            token = codes.issue("reset", "AG001")
            assert sum(together(20, lambda token=token: codes.redeem("reset", "AG001", token))) == 1  # type: ignore[misc]

    def test_exactly_one_of_as_many_as_may_guess(self, store: Redis) -> None:
        for _ in range(10):
            store.flushall()
            token = codes.issue("reset", "AG001")
            right = together(codes.GUESSES, lambda token=token: codes.redeem("reset", "AG001", token))  # type: ignore[misc]
            assert sum(right) == 1

    def test_control_looking_and_then_ending_lets_several_in(self, store: Redis) -> None:
        def naive() -> bool:
            found = store.get("naive") == "token"
            store.delete("naive")
            return found

        admitted = 0
        for _ in range(50):
            store.set("naive", "token", ex=60)
            admitted = max(admitted, sum(together(20, naive)))
        assert admitted > 1

    def test_two_issued_at_once_leave_one(self, store: Redis) -> None:
        for _ in range(10):
            store.flushall()
            issued: list[str] = together(2, lambda: codes.issue("reset", "AG001"))  # type: ignore[assignment]
            assert sum(codes.holds(store, "reset", "AG001", token) for token in issued) == 1


@pytest.mark.parametrize("guesses", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_however_many_guesses_by_fifty_never_exceed_the_cap(
    store: Redis, monkeypatch: pytest.MonkeyPatch, guesses: int
) -> None:
    codes.issue("code", "AG001")
    compared: set[str] = set()
    real = codes._one_is

    def counting(*asked: Any) -> bool:
        compared.add(asked[2])
        return real(*asked)

    monkeypatch.setattr(codes, "_one_is", counting)
    right = guessed(guesses, lambda guess: codes.redeem("code", "AG001", guess))
    assert len(right) == guesses
    assert not any(right)
    assert len(compared) == codes.GUESSES
    assert not store.exists(NAME["code"])


def test_control_counting_behind_the_comparison_exceeds_it(store: Redis) -> None:
    compared: set[str] = set()

    def naive(guess: str) -> bool:
        if int(store.get("guesses") or 0) >= codes.GUESSES:
            return False
        compared.add(guess)
        store.incr("guesses")
        return False

    guessed(300, naive)
    assert len(compared) > codes.GUESSES


def guessed(count: int, guess: Callable[[str], bool]) -> list[bool]:
    """What came of so many guesses by fifty workers."""
    numbers, lock = iter(range(count)), threading.Lock()
    right: list[bool] = []

    def work() -> bool:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return True
            right.append(guess(f"x{number:05d}"))

    together(50, work)
    return right


def together(count: int, act: object) -> list[bool]:
    """What so many threads got that began at the same moment."""
    found: list[bool] = []
    start = threading.Barrier(count)

    def work() -> None:
        start.wait()
        found.append(act())  # type: ignore[operator]

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == count
    return found
