"""Sessions by the API: what opening, using, asking and ending do to the customer's keys."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from redis import Redis

from dashboard.repository import lockouts, portal_sessions, sessions
from tests import cast
from tests.api.conftest import Caller

PORTAL = {
    "person": "CUST001", "device": "Chrome 115.0|Windows 10", "address": "192.168.1.100",
    "permissions": ["view_policies", "make_payments", "update_profile"],
}  # fmt: skip
PHONE = {
    "kind": "mobile", "person": "CUST001", "device_id": "device123", "device": "iPhone 12|iOS 15.0", "app_version": "2.1.0",
}  # fmt: skip
NOBODYS = [
    "nonsense",
    "portal:CUST001:0011",
    "mobile:CUST001:device123",
    "agent:ADM001:workstation",
    "customer:CUST001:portal",
    "portal:%2A:x",
    "%00",
]


def opened(portal: Caller, path: str = "sessions/portal", body: dict[str, Any] | None = None, **headers: str) -> Any:
    answer = portal.post(path, body or PORTAL, **headers)
    assert answer.status_code == 201
    return json.loads(answer.content)


def secret_of(session: dict[str, Any]) -> dict[str, str]:
    return {"Session_Secret": session["secret"]}


class TestOpening:
    def test_a_portal_session_is_in_the_customers_keys_as_the_document_has_it(
        self, portal: Caller, store: Redis
    ) -> None:
        session = opened(portal)
        wanted = {
            "device": "Chrome 115.0|Windows 10",
            "permissions": "view_policies,make_payments,update_profile",
            "activity_level": "normal",
        }
        for field, value in wanted.items():
            assert store.get(f"session:customer:CUST001:{field}") == value
        form = r"authenticated\|login_time:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|ip:192\.168\.1\.100\|ref:[0-9a-f]{32}"
        assert re.fullmatch(form, store.get("session:customer:CUST001:portal"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", store.get("session:customer:CUST001:last_activity"))
        for name in store.keys("session:customer:CUST001:*"):
            assert store.type(name) == "string" and 1_780 < store.ttl(name) <= 1_800
        assert session["seconds_left"] in (1_799, 1_800)
        assert abs(datetime.fromisoformat(session["until"]).timestamp() - time.time() - 1_800) < 5

    def test_an_app_session_is_in_the_customers_key_as_the_document_has_it(self, portal: Caller, store: Redis) -> None:
        session = opened(portal, "sessions/device", PHONE)
        assert session["id"] == "mobile:CUST001:device123"
        text = store.get("session:mobile:CUST001:device123")
        assert re.fullmatch(r"iPhone 12\|iOS 15\.0\|app_version:2\.1\.0\|ref:[0-9a-f]{32}", text)
        assert 7_180 < store.ttl("session:mobile:CUST001:device123") <= 7_200

    def test_the_activity_sets_the_timeout(self, portal: Caller, store: Redis) -> None:
        for activity, seconds in (("idle", 900), ("high", 3_600), ("vip", 7_200)):
            session = opened(portal, body={**PORTAL, "activity": activity})
            assert session["seconds_left"] in (seconds - 1, seconds)
            assert store.get("session:customer:CUST001:activity_level") == activity

    def test_its_secret_stands_nowhere(self, portal: Caller, store: Redis) -> None:
        session = opened(portal, Idempotency_Key="k")
        kept = "".join(f"{name} {store.get(name)}" for name in store.scan_iter() if store.type(name) == "string")
        assert session["secret"] not in kept

    def test_a_second_one_leaves_the_first_alive(self, portal: Caller) -> None:
        first, second = opened(portal), opened(portal)
        for session in (first, second):
            assert portal.get(f"sessions/{session['id']}", **secret_of(session)).status_code == 200

    @pytest.mark.parametrize(("path", "body"), [("sessions/portal", PORTAL), ("sessions/device", PHONE)])
    def test_sent_twice_with_its_key_it_is_one_session(
        self, portal: Caller, store: Redis, path: str, body: dict[str, Any]
    ) -> None:
        answers = [opened(portal, path, body, Idempotency_Key="k") for _ in range(2)]
        assert {each["id"] for each in answers} == {answers[0]["id"]}
        assert {each["secret"] for each in answers} == {answers[0]["secret"]}
        assert sessions.totals(store, sessions.Filter())[""] == 1
        assert (
            opened(portal, path, {**body, "address": "10.0.0.1"}, Idempotency_Key="k")["secret"] != answers[0]["secret"]
        )

    def test_the_answer_says_where_it_is(self, portal: Caller) -> None:
        answer = portal.post("sessions/portal", PORTAL)
        session = json.loads(answer.content)
        path = answer["Location"].removeprefix("/api/v1/")
        assert portal.get(path, **secret_of(session)).status_code == 200

    def test_while_sign_in_is_closed_none_is_opened(self, portal: Caller, store: Redis) -> None:
        for _ in range(3):
            lockouts.begin("CUST001", by="test")
        for path, body in (("sessions/portal", {**PORTAL, "person": "cust001"}), ("sessions/device", PHONE)):
            answer = portal.post(path, body)
            told = json.loads(answer.content)
            assert answer.status_code == 423 and 890 < told["seconds_left"] <= 900
            assert int(answer["Retry-After"]) == told["seconds_left"]
        assert store.keys("session:*") == []

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("person", "a:b"), ("person", "CUST 1"), ("person", "*"), ("person", "multi_policy"), ("device", "x\nSET a"),
            ("device", "Chrome|ref:00"), ("address", "1|2"), ("permissions", ["a,b"]), ("permissions", ["a", "a"]),
            ("permissions", ["x"] * 51), ("activity", "frantic"),
        ],
    )  # fmt: skip
    def test_what_would_break_a_key_or_its_text_is_refused(
        self, portal: Caller, store: Redis, field: str, value: object
    ) -> None:
        answer = portal.post("sessions/portal", {**PORTAL, field: value})
        assert answer.status_code == 422
        assert json.loads(answer.content)["errors"][0]["pointer"].startswith(f"#/{field}")
        assert store.keys("session:*") == []

    @pytest.mark.parametrize("person", [cast.ADMIN, cast.AGENT, "adm001"])
    def test_none_is_for_staff(self, staff: None, portal: Caller, store: Redis, person: str) -> None:
        assert portal.post("sessions/portal", {**PORTAL, "person": person}).status_code == 403
        assert portal.post("sessions/device", {**PHONE, "person": person}).status_code == 403
        assert store.keys("session:*") == []


class TestAsking:
    def test_it_tells_what_was_told(self, portal: Caller) -> None:
        session = opened(portal)
        told = json.loads(portal.get(f"sessions/{session['id']}", **secret_of(session)).content)
        assert (told["person"], told["kind"], told["device"]) == ("CUST001", "portal", "Chrome 115.0, Windows 10")
        assert (told["address"], told["permissions"]) == ("192.168.1.100", PORTAL["permissions"])
        assert told["activity"] == "normal" and told["until"] == session["until"]

    @pytest.mark.parametrize("id", NOBODYS)
    def test_nothing_is_told_of_those_that_are_none_of_its(self, portal: Caller, store: Redis, id: str) -> None:
        store.set("session:mobile:CUST001:device123", "iPhone 12|ref:00", ex=60)
        for secret in ({}, {"Session_Secret": "x"}, {"Session_Secret": ""}):
            assert portal.get(f"sessions/{id}", **secret).status_code == 404
            assert portal.post(f"sessions/{id}/refresh", {}, **secret).status_code == 404
            assert portal.delete(f"sessions/{id}", **secret).status_code == 404

    def test_another_sessions_secret_is_no_use(self, portal: Caller) -> None:
        mine, other = opened(portal), opened(portal)
        for method, path in (("GET", ""), ("POST", "/refresh"), ("DELETE", "")):
            body = {} if method == "POST" else None
            answer = portal(method, f"sessions/{mine['id']}{path}", body, **secret_of(other))
            assert answer.status_code == 404
        assert portal.get(f"sessions/{mine['id']}", **secret_of(mine)).status_code == 200


class TestRefreshing:
    def test_it_is_prolonged_with_its_keys_and_keeps_what_it_tells(self, portal: Caller, store: Redis) -> None:
        session = opened(portal)
        answer = portal.post(f"sessions/{session['id']}/refresh", {"activity": "high"}, **secret_of(session))
        assert answer.status_code == 200 and json.loads(answer.content)["seconds_left"] in (3_599, 3_600)
        text = store.get("session:customer:CUST001:portal")
        assert "|ip:192.168.1.100|" in text and "|last_activity:2" in text
        for name in store.keys("session:customer:CUST001:*"):
            assert 3_580 < store.ttl(name) <= 3_600

    def test_one_that_was_revoked_never_comes_back(self, portal: Caller, store: Redis) -> None:
        session = opened(portal)
        sessions.revoke([session["id"]], by=cast.ADMIN)
        assert portal.post(f"sessions/{session['id']}/refresh", {}, **secret_of(session)).status_code == 404
        assert store.keys("session:*") == []


class TestEnding:
    @pytest.mark.django_db(transaction=True)
    def test_it_ends_at_once_and_once(self, portal: Caller, store: Redis) -> None:
        session = opened(portal)
        statuses = [portal.delete(f"sessions/{session['id']}", **secret_of(session)).status_code for _ in range(2)]
        assert statuses == [204, 404]
        assert store.keys("session:*") == []
        (ended,) = sessions.ended(store, "CUST001").rows
        assert ended.how == "signed_out"

    def test_everywhere_ends_all_of_that_customer_and_no_others(self, portal: Caller, store: Redis) -> None:
        opened(portal), opened(portal), opened(portal, "sessions/device", PHONE)
        other = opened(portal, body={**PORTAL, "person": "CUST002"})
        answers = [portal.delete("people/CUST001/sessions") for _ in range(2)]
        assert [json.loads(each.content)["ended"] for each in answers] == [3, 0]
        assert portal.get(f"sessions/{other['id']}", **secret_of(other)).status_code == 200
        ended = sessions.ended(store, "CUST001").rows
        assert {(each.how, each.by, each.why) for each in ended} == {
            ("revoked", "api-client0", "signed out everywhere")
        }

    def test_the_staffs_are_not_the_apis(self, staff: None, portal: Caller) -> None:
        admin = cast.signed_in(cast.AGENT)
        for person in (cast.AGENT, "ag001", "multi_policy", "%2A"):
            assert portal.delete(f"people/{person}/sessions").status_code in (403, 422)
        assert admin.get("/metrics/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_ending_wins_over_refreshing_at_the_same_time(
    portal: Caller, store: Redis, at_once: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal_sessions, "USE_EVERY", 0)
    for _ in range(20):
        session = opened(portal)
        path, secret = f"sessions/{session['id']}", secret_of(session)
        end = partial(portal.delete, path, **secret)
        refresh = partial(portal.post, f"{path}/refresh", {}, **secret)
        acts = [end, *[refresh] * 3]
        statuses = [answer.status_code for answer in at_once(acts)]
        assert statuses[0] == 204 and set(statuses[1:]) <= {200, 404}
        assert store.keys("session:*") == [] and portal.get(path, **secret).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_control_a_refresh_as_the_document_has_it_brings_an_ended_session_back(
    portal: Caller, store: Redis, at_once: Callable[..., list[Any]]
) -> None:
    """SET with EX, as in line 109 of the document: read, end, write."""
    name, back = "session:customer:CUST001:portal", 0
    for _ in range(50):
        session = opened(portal)

        def refresh() -> None:
            text = store.get(name)
            if text:
                time.sleep(0.05)
                store.set(name, text, ex=1_800)

        end = partial(portal.delete, f"sessions/{session['id']}", **secret_of(session))
        at_once([end, *[refresh] * 3])
        back += store.exists(name)
        store.delete(name)
        if back:
            return
    raise AssertionError("the naive way should fail in this harness")
