"""What every operation asks of a request, one after the other: each is tried on all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from redis import Redis

from dashboard import api_clients, clock
from dashboard.api import operations
from dashboard.api.gate import LARGEST
from dashboard.api.openapi import example
from dashboard.api.operations import BASE, OPERATIONS, Operation
from dashboard.api.schemas import REQUESTS
from dashboard.repository import lockouts
from tests import cast
from tests.api.conftest import JSON, Caller
from tests.contents import contents

SLOTS = {"id": "portal:CUST001:0011223344556677", "person": "CUST001", "account": "CUST001"}
REST = ("PUT", "PATCH", "OPTIONS", "TRACE")

every = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
with_body = pytest.mark.parametrize("operation", [e for e in OPERATIONS if e.takes], ids=lambda each: each.name)


def path_of(operation: Operation) -> str:
    return operation.path.format(**SLOTS)


def sent(operation: Operation) -> object:
    return example(operation.takes) if operation.takes else None


def problem(answer: Any) -> dict[str, Any]:
    assert answer["Content-Type"] == "application/problem+json"
    return dict(json.loads(answer.content))


@every
class TestToken:
    @pytest.mark.parametrize(
        "token", [None, "", "tdl_wrong", "x" * 300, "tdl_wrong extra", "'; DROP TABLE", "tdl_\u00e9"]
    )
    def test_without_a_token_in_force_nobody_gets_in(
        self, portal: Caller, store: Redis, operation: Operation, token: str | None
    ) -> None:
        before = contents(store)
        answer = Caller(token)(operation.method, path_of(operation), sent(operation))
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert contents(store) == before

    def test_a_revoked_token_is_worth_nothing_from_the_next_request_on(
        self, portal: Caller, operation: Operation
    ) -> None:
        assert portal(operation.method, path_of(operation), sent(operation)).status_code != 401
        api_clients.revoke("client0", by=cast.ADMIN)
        assert portal(operation.method, path_of(operation), sent(operation)).status_code == 401

    def test_a_client_does_only_what_it_was_given_the_ability_for(
        self, caller: Callable[..., Caller], store: Redis, operation: Operation
    ) -> None:
        others = [each for each in api_clients.ABILITIES if each != operation.ability]
        client = caller(*others)
        before = contents(store, "s*")
        answer = client(operation.method, path_of(operation), sent(operation))
        assert answer.status_code == 403 and operation.ability in problem(answer)["detail"]
        assert contents(store, "s*") == before

    def test_a_signed_in_browser_is_nobody_here(self, staff: None, portal: Caller, operation: Operation) -> None:
        browser = cast.signed_in(cast.AGENT)
        assert browser.generic(operation.method, BASE + path_of(operation)).status_code == 401


@every
class TestMethod:
    def test_other_methods_are_refused_by_name(self, portal: Caller, operation: Operation) -> None:
        here = operations.by_path()[operation.path]
        for method in (*REST, *({"GET", "POST", "DELETE"} - here.keys())):
            answer = portal(method, path_of(operation), sent(operation))
            assert answer.status_code == 405, method
            assert answer["Allow"] == ", ".join(sorted(here))


@with_body
class TestBody:
    @pytest.mark.parametrize(
        "body",
        [
            b" ", b"{", b"nonsense", b"[" * 5_000, b'{"account": "\xed\xa0\x80"}', b'{"account": "\\ud800"}',
            b'{"account": NaN}', b'{"account": "A", "account": "B"}',
        ],
        ids=["none", "begun", "words", "deep", "no UTF-8", "half a character", "no number", "two readings"],
    )  # fmt: skip
    def test_what_is_no_json_or_not_one_reading_of_it_is_refused(
        self, portal: Caller, operation: Operation, body: bytes
    ) -> None:
        assert portal.post(path_of(operation), body).status_code == 400

    @pytest.mark.parametrize("body", ["[]", "null", "1", '"text"'])
    def test_what_is_no_object_is_refused(self, portal: Caller, operation: Operation, body: str) -> None:
        answer = portal.post(path_of(operation), body)
        assert answer.status_code == 422 and problem(answer)["errors"][0]["pointer"] == "#"

    def test_another_type_of_content_is_refused(self, portal: Caller, operation: Operation) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            answer = Client().generic(
                "POST",
                BASE + path_of(operation),
                json.dumps(sent(operation)),
                content_type=kind,
                headers={"Authorization": f"Bearer {portal.token}"},
            )
            assert answer.status_code == 415, kind

    def test_one_too_large_is_refused_unread(self, portal: Caller, operation: Operation) -> None:
        large = json.dumps({**example(operation.takes), "more": "x" * LARGEST})
        assert portal.post(path_of(operation), large).status_code == 413

    def test_an_unknown_field_is_refused_by_name(self, portal: Caller, operation: Operation) -> None:
        answer = portal.post(path_of(operation), {**example(operation.takes), "colour": "blue"})
        assert answer.status_code == 422
        assert problem(answer)["errors"][0]["pointer"] == "#/colour"

    def test_each_field_is_refused_when_it_is_missing_or_of_another_kind(
        self, portal: Caller, operation: Operation
    ) -> None:
        whole = example(operation.takes)
        required = {name for name in whole if refuses(portal, operation, {k: v for k, v in whole.items() if k != name})}
        assert required == set(REQUESTS[operation.takes]["required"])
        for name in whole:
            for wrong in (None, 5, True, "", {}, ["x", 5], "x" * 1_000):
                assert refuses(portal, operation, {**whole, name: wrong}) == name, (name, wrong)


def refuses(portal: Caller, operation: Operation, body: dict[str, Any]) -> str:
    """The field that is named as wrong; "" where none is."""
    answer = portal.post(path_of(operation), body)
    if answer.status_code != 422:
        return ""
    return str(problem(answer)["errors"][0]["pointer"]).split("/")[1]


class TestRate:
    def test_beyond_its_rate_a_client_is_told_when_it_may_again(
        self, caller: Callable[..., Caller], store: Redis
    ) -> None:
        client, other = caller(rate=3), caller(rate=3)
        answers = [client.get("sign-ins/CUST001") for _ in range(5)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
        assert 0 < int(answers[-1]["Retry-After"]) <= 60
        assert other.get("sign-ins/CUST001").status_code == 200
        assert 0 < store.pttl("dash:api:client0") <= clock.MINUTE

    def test_refused_requests_count_too(self, caller: Callable[..., Caller]) -> None:
        client = caller("codes", rate=2)
        statuses = [client.get(path).status_code for path in ("sign-ins/A", "nowhere", "nowhere")]
        assert statuses == [403, 404, 429]


class TestRepeatKey:
    @pytest.mark.parametrize("key", ["", "x" * 129, "two words", "tab\tbed"])
    def test_one_that_is_none_is_refused(self, portal: Caller, key: str) -> None:
        answer = portal.post("codes", {"account": "CUST001"}, Idempotency_Key=key)
        assert answer.status_code == 400

    def test_it_is_the_clients_own(self, caller: Callable[..., Caller]) -> None:
        body = {"account": "CUST001"}
        counts = [
            json.loads(each.post("sign-ins/failures", body, Idempotency_Key="k").content)["failures"]
            for each in (caller(), caller())
        ]
        assert counts == [1, 2]


class TestElsewhere:
    def test_an_address_that_is_none_is_a_problem_too(self, portal: Caller) -> None:
        for path in ("", "nothing", "sessions/portal/", "sessions", "%00", "../../sessions/"):
            assert portal.get(path).status_code == 404, path

    def test_a_stranger_learns_of_no_address(self, portal: Caller) -> None:
        assert Caller(None).get("nothing").status_code == 401

    def test_the_last_day_on_which_a_client_asked_is_kept(self, portal: Caller) -> None:
        assert api_clients.listing()[0].used is None
        portal.get("nothing")
        assert api_clients.listing()[0].used == clock.today()


class TestTrouble:
    def test_a_store_that_is_away_is_a_problem_that_says_when_to_repeat(self, portal: Caller, settings: Any) -> None:
        settings.REDIS_URL = "unix:///nowhere/valkey.sock"
        answer = portal.get("sign-ins/CUST001")
        assert answer.status_code == 503 and answer["Retry-After"]

    def test_what_another_tool_broke_is_a_problem_that_says_what(self, portal: Caller, store: Redis) -> None:
        store.sadd("security:failed_logins:CUST001", "x")
        assert portal.get("sign-ins/CUST001").status_code == 200
        assert portal.post("sign-ins/failures", {"account": "CUST001"}).status_code == 200

    def test_an_error_of_ours_is_a_problem_and_noted(self, portal: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a secret")

        monkeypatch.setattr(lockouts, "begin", broken)
        with pytest.raises(RuntimeError):  # the test client hears what Django's listeners are told
            portal.post("sign-ins/failures", {"account": "CUST001"})
        quiet = Client(raise_request_exception=False)
        answer = quiet.post(
            BASE + "sign-ins/failures",
            {"account": "CUST001"},
            content_type=JSON,
            headers={"Authorization": f"Bearer {portal.token}"},
        )
        assert answer.status_code == 500 and "secret" not in problem(answer)["detail"]


def test_what_only_reads_is_answered_by_a_store_that_takes_no_writes(portal: Caller, store: Redis) -> None:
    store.config_set("min-replicas-to-write", 1)
    try:
        assert portal.get("sign-ins/CUST001").status_code == 200
        assert portal.post("sign-ins/failures", {"account": "CUST001"}).status_code == 503
    finally:
        store.config_set("min-replicas-to-write", 0)
