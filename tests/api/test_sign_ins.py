"""Sign-ins and codes by the API: the same ladder, the same keys, for customers' accounts alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from redis import Redis

from dashboard.repository import audit, codes, lockouts
from tests import cast
from tests.api.conftest import Caller

WHO = {"account": "CUST001"}


def told(answer: Any) -> dict[str, Any]:
    return dict(json.loads(answer.content))


def fail(portal: Caller, times: int = 1, account: str = "CUST001", **headers: str) -> list[Any]:
    return [portal.post("sign-ins/failures", {"account": account}, **headers) for _ in range(times)]


class TestFailures:
    def test_they_are_counted_in_the_customers_keys_and_close_as_the_document_has_it(
        self, portal: Caller, store: Redis
    ) -> None:
        first, second, third, fourth = fail(portal, 4)
        assert [(told(each)["failures"], told(each)["closed"]) for each in (first, second, third)] == [
            (1, False), (2, False), (3, True),
        ]  # fmt: skip
        assert told(third)["level"] == "level1" and told(third)["seconds_left"] in (899, 900)
        assert store.get("security:failed_logins:CUST001") == "3"
        assert store.get("security:lockout:CUST001:level1") == "3_attempts"
        assert 880 < store.ttl("security:lockout:CUST001:level1") <= 900
        assert fourth.status_code == 423 and told(fourth)["until"] == told(third)["until"]
        assert store.get("security:failed_logins:CUST001") == "3", "while it is closed nothing counts"

    def test_the_second_and_third_level_are_reached(self, portal: Caller, store: Redis) -> None:
        levels = []
        for _ in range(10):
            (answer,) = fail(portal)
            levels.append(told(answer)["level"])
            store.delete(*(store.keys("security:lockout:*") or ["nothing"]))
        assert levels == [None, None, "level1", None, "level2", None, None, None, None, "level3"]

    def test_however_it_is_spelt_it_is_one_account(self, portal: Caller) -> None:
        counts = [told(fail(portal, account=name)[0])["failures"] for name in ("cust001", " CUST001", "ＣＵＳＴ００１")]
        assert counts == [1, 2, 3]
        assert told(portal.get("sign-ins/Cust001"))["closed"]

    def test_reported_twice_with_its_key_it_counts_once(self, portal: Caller, store: Redis) -> None:
        answers = fail(portal, 4, Idempotency_Key="k")
        assert [told(each)["failures"] for each in answers] == [1] * 4

    def test_the_third_repeated_gets_its_answer_and_no_refusal(self, portal: Caller) -> None:
        fail(portal, 2)
        answers = fail(portal, 2, Idempotency_Key="third")
        assert [(each.status_code, told(each)["closed"]) for each in answers] == [(200, True)] * 2

    @pytest.mark.django_db(transaction=True)
    def test_of_many_at_once_no_more_count_than_the_ladder_lets_in(
        self, portal: Caller, store: Redis, at_once: Callable[..., list[Any]]
    ) -> None:
        answers = at_once([lambda: fail(portal)[0]] * 12)
        assert sorted(each.status_code for each in answers) == [200] * 3 + [423] * 9
        assert store.get("security:failed_logins:CUST001") == "3"

    def test_who_reported_the_last_one_is_on_record(self, portal: Caller, store: Redis) -> None:
        fail(portal, 3)
        (record,) = audit.history(store, audit.SECURITY, "CUST001")
        assert record.text.endswith("reported by api-client0") and record.by == "api-client0"


class TestSuccesses:
    def test_one_forgives_those_before_it(self, portal: Caller, store: Redis) -> None:
        fail(portal, 2)
        answer = portal.post("sign-ins/successes", WHO)
        assert (answer.status_code, told(answer)["failures"]) == (200, 0)
        assert not store.exists("security:failed_logins:CUST001")

    def test_a_repeat_with_its_key_forgives_nothing_since(self, portal: Caller, store: Redis) -> None:
        portal.post("sign-ins/successes", WHO, Idempotency_Key="k")
        fail(portal)
        portal.post("sign-ins/successes", WHO, Idempotency_Key="k")
        assert store.get("security:failed_logins:CUST001") == "1"

    def test_while_sign_in_is_closed_it_is_refused(self, portal: Caller, store: Redis) -> None:
        fail(portal, 3)
        assert portal.post("sign-ins/successes", WHO).status_code == 423
        assert store.get("security:failed_logins:CUST001") == "3"


class TestAsking:
    def test_an_account_that_nobody_has_answers_like_every_other(self, portal: Caller) -> None:
        open_one = {"closed": False, "failures": 0, "level": None, "until": None, "seconds_left": None}
        for name in ("CUST001", "NOBODY"):
            assert told(portal.get(f"sign-ins/{name}")) == {"account": name, **open_one}

    def test_the_longest_lockout_is_told_also_another_tools(self, portal: Caller, store: Redis) -> None:
        store.set("security:lockout:CUST001:level2", "5_attempts", ex=3_600)
        fail(portal)
        answer = told(portal.get("sign-ins/CUST001"))
        assert answer["closed"] and answer["level"] == "level2" and answer["seconds_left"] > 3_500
        store.set("security:lockout:CUST001:level1", "for good")
        assert told(portal.get("sign-ins/CUST001"))["until"] is None
        assert portal.post("sign-ins/failures", WHO).status_code == 423


KINDS = [
    pytest.param("codes", "code", "security:2fa:CUST001:sent", 300, id="code"),
    pytest.param("resets", "token", "security:password_reset:CUST001:sent", 900, id="reset"),
]


@pytest.mark.parametrize(("path", "field", "name", "life"), KINDS)
class TestCodesAndResets:
    def check(self, portal: Caller, path: str, field: str, secret: str, **headers: str) -> Any:
        return portal.post(f"{path}/verify", {**WHO, field: secret}, **headers)

    def test_it_is_told_to_the_caller_and_kept_as_a_digest_in_the_customers_key(
        self, portal: Caller, store: Redis, path: str, field: str, name: str, life: int
    ) -> None:
        answer = portal.post(path, WHO, Idempotency_Key="k")
        secret = told(answer)[field]
        assert answer.status_code == 201 and told(answer)["seconds_left"] in (life - 1, life)
        assert field == "token" or re.fullmatch(r"\d{6}", secret)
        assert store.type(name) == "string" and life - 20 < store.ttl(name) <= life
        form = r"sha256:[0-9a-f]{64}" if field == "code" else r"valid\|issued:[0-9T:-]{19}Z\|sha256:[0-9a-f]{64}"
        assert re.fullmatch(form, store.get(name))
        kept = "".join(f"{each} {store.get(each)}" for each in store.scan_iter() if store.type(each) == "string")
        assert secret not in kept
        (record,) = audit.history(store, audit.SECURITY, "CUST001")
        assert record.text.endswith("asked for by api-client0")

    def test_it_is_right_once(self, portal: Caller, store: Redis, path: str, field: str, name: str, life: int) -> None:
        secret = told(portal.post(path, WHO))[field]
        answers = [self.check(portal, path, field, secret) for _ in range(2)]
        assert [told(each)["right"] for each in answers] == [True, False]
        assert not store.exists(name)

    def test_sent_twice_with_its_key_it_is_the_same_and_verified_twice_the_answer_is(
        self, portal: Caller, store: Redis, path: str, field: str, name: str, life: int
    ) -> None:
        secrets = {told(portal.post(path, WHO, Idempotency_Key="i"))[field] for _ in range(7)}
        assert len(secrets) == 1
        (secret,) = secrets
        for _ in range(2):
            assert not told(self.check(portal, path, field, "000000x", Idempotency_Key="w"))["right"]
        assert store.get("security:failed_logins:CUST001") in ("1", None)
        for _ in range(2):
            assert told(self.check(portal, path, field, secret, Idempotency_Key="v"))["right"]
        assert not told(self.check(portal, path, field, secret))["right"]

    @pytest.mark.django_db(transaction=True)
    def test_ten_who_bring_it_at_once_are_told_yes_once(
        self,
        portal: Caller,
        store: Redis,
        at_once: Callable[..., list[Any]],
        path: str,
        field: str,
        name: str,
        life: int,
    ) -> None:
        for _ in range(3):
            secret = told(portal.post(path, WHO))[field]
            answers = at_once([partial(self.check, portal, path, field, secret)] * 10)
            right = [each for each in answers if each.status_code == 200 and told(each)["right"]]
            assert len(right) == 1
            store.delete(*(store.keys("security:*") or ["nothing"]), *(store.keys("dash:issues:*") or ["nothing"]))

    @pytest.mark.django_db(transaction=True)
    def test_control_comparing_before_it_is_taken_away_says_yes_to_several(
        self,
        portal: Caller,
        store: Redis,
        at_once: Callable[..., list[Any]],
        path: str,
        field: str,
        name: str,
        life: int,
    ) -> None:
        kind: codes.Secret = "code" if field == "code" else "reset"

        def naive() -> bool:
            right = codes.holds(store, kind, "CUST001", secret)
            store.delete(name)
            return right

        for _ in range(codes.ISSUES):
            secret = codes.issue(kind, "CUST001")
            if at_once([naive] * 10).count(True) > 1:
                return
        raise AssertionError("the naive way should fail in this harness")

    def test_the_fifth_wrong_one_ends_it(
        self, portal: Caller, store: Redis, path: str, field: str, name: str, life: int
    ) -> None:
        secret = told(portal.post(path, WHO))[field]
        for _ in range(codes.GUESSES):
            self.check(portal, path, field, "wrong")
            store.delete(*(store.keys("security:lockout:*") or ["nothing"]))
        assert not told(self.check(portal, path, field, secret))["right"]

    def test_no_more_than_five_are_sent(self, portal: Caller, path: str, field: str, name: str, life: int) -> None:
        answers = [portal.post(path, WHO).status_code for _ in range(codes.ISSUES + 1)]
        assert answers == [201] * codes.ISSUES + [409]

    def test_a_lock_in_force_refuses_and_does_not_tell_whether_it_was_right(
        self, portal: Caller, store: Redis, path: str, field: str, name: str, life: int
    ) -> None:
        secret = told(portal.post(path, WHO))[field]
        fail(portal, 3)
        before = store.get(name)
        answers = [self.check(portal, path, field, each) for each in (secret, "wrong")]
        assert [each.status_code for each in answers] == [423, 423]
        assert {**told(answers[0]), "seconds_left": 0} == {**told(answers[1]), "seconds_left": 0}
        assert portal.post(path, WHO).status_code == 423
        assert store.get(name) == before


def test_a_wrong_code_counts_as_a_failed_sign_in_and_a_right_one_forgives_itself_alone(
    portal: Caller, store: Redis
) -> None:
    fail(portal)
    code = told(portal.post("codes", WHO))["code"]
    portal.post("codes/verify", {**WHO, "code": "wrong"})
    assert store.get("security:failed_logins:CUST001") == "2"
    assert told(portal.post("codes/verify", {**WHO, "code": code}))["right"]
    assert store.get("security:failed_logins:CUST001") == "2" and lockouts.standing(store, "CUST001") is None


OF_STAFF = [
    ("POST", "sign-ins/failures", {}), ("POST", "sign-ins/successes", {}), ("POST", "codes", {}), ("POST", "resets", {}),
    ("POST", "codes/verify", {"code": "123456"}), ("POST", "resets/verify", {"token": "x"}), ("GET", "sign-ins/{}", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), OF_STAFF)
def test_no_staff_account_is_touched_by_it(
    staff: None, portal: Caller, store: Redis, method: str, path: str, body: dict[str, str] | None
) -> None:
    """A portal's token would be a way into an administrator's account by a reset, or to keep them all out."""
    for name in (cast.ADMIN, "adm001", " Adm001", "ＡＤＭ００１"):
        sent = None if body is None else {"account": name, **body}
        assert portal(method, path.format(name), sent).status_code == 403
    assert store.keys("security:*") == []
