"""The log: one JSON line for each request with its id and person, and never what was typed or stored."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from redis import Redis

from dashboard import request_log
from dashboard.repository import areas, policies
from insurance_site import logs
from tests import book, cast

NAME, STREET, PHONE = "Wilhelmina Quackenbush", "77 Larkspur Lane", "214-555-0177"
PROFILE = f"{NAME}|DOB:1985-03-15|Email:w.quackenbush@example.com|Phone:{PHONE}"


class Log:
    """What the process writes, in the form of a server with a store of its own."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def lines(self, event: str = "request") -> list[dict[str, Any]]:
        told = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in told if line["event"] == event]

    def clear(self) -> None:
        self.stream.seek(0)
        self.stream.truncate()


def listening(form: str) -> Iterator[Log]:
    log = Log()
    configuration = logs.configuration(form)
    configuration["handlers"]["console"]["stream"] = log.stream
    before = logging.getLogger().handlers[:]
    logging.config.dictConfig(configuration)
    yield log
    logging.config.dictConfig(logs.configuration("console"))
    logging.getLogger().handlers[:] = before


@pytest.fixture
def log() -> Iterator[Log]:
    yield from listening("json")


@pytest.fixture
def console() -> Iterator[Log]:
    yield from listening("console")


def test_each_request_is_one_line_that_says_who_what_and_how_it_went(agent_client: Client, log: Log) -> None:
    answer = agent_client.get("/policies/?status=ACTIVE")
    (line,) = log.lines()
    assert {name: line[name] for name in ("route", "method", "status", "person", "level")} == {
        "route": "policies", "method": "GET", "status": 200, "person": "AG001", "level": "info",
    }  # fmt: skip
    assert line["ms"] > 0 and line["timestamp"].endswith("Z")
    assert line["request_id"] == answer[request_log.HEADER]


def test_a_line_has_no_place_for_anything_else(agent_client: Client, log: Log) -> None:
    agent_client.get("/customers/CUST001/?q=secret")
    told = {"event", "level", "logger", "timestamp", "request_id", "route", "method", "status", "ms", "person"}
    assert set(log.lines()[0]) == told


@pytest.mark.parametrize("given", ["a1b2c3d4", "f3b0c442-98fc-4c14-9afb-f4c8996fb924", "edge.7_x-" + "9" * 50])
def test_the_id_that_a_proxy_gave_is_kept(anonymous_client: Client, log: Log, given: str) -> None:
    assert anonymous_client.get("/login/", headers={"X-Request-ID": given})["X-Request-ID"] == given
    assert log.lines()[0]["request_id"] == given


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 65, "w.quackenbush@example.com", "a b c d e f", "--------", "é" * 9]
)
def test_an_id_that_is_none_is_replaced(anonymous_client: Client, log: Log, given: str) -> None:
    made = anonymous_client.get("/login/", headers={"X-Request-ID": given})["X-Request-ID"]
    assert made != given and len(made) == 32
    assert given == "" or given not in log.text


def test_two_requests_have_two_ids(anonymous_client: Client, log: Log) -> None:
    anonymous_client.get("/login/")
    anonymous_client.get("/login/")
    assert len({line["request_id"] for line in log.lines()}) == 2


def test_what_happens_on_the_way_carries_the_requests_id(
    agent_client: Client, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listing(*args: object, **options: object) -> None:
        logging.getLogger("dashboard.repository.policies").info("Looked at %s policies.", 3)
        raise ConnectionError

    monkeypatch.setattr(policies, "listing", listing)
    agent_client.raise_request_exception = False
    answer = agent_client.get("/policies/")
    assert log.lines("Looked at 3 policies.")[0]["request_id"] == answer["X-Request-ID"]


def test_a_wrong_password_leaves_neither_name_nor_password(anonymous_client: Client, log: Log) -> None:
    answer = anonymous_client.post("/login/", {"username": "w.quackenbush", "password": "correct horse 77"})
    assert answer.status_code == 200
    assert "quackenbush" not in log.text and "horse" not in log.text
    assert log.lines()[0]["route"] == "login" and "person" not in log.lines()[0]


def test_a_search_for_a_customer_leaves_no_trace_of_them(agent_client: Client, store: Redis, log: Log) -> None:
    store.set("customer:CUST777:profile", PROFILE)
    areas.refresh(store, "customers", ["CUST777"])
    for address in ("/search/?q=quackenbush", "/customers/?q=Wilhelmina", "/go/?q=Quackenbush", "/customers/CUST777/"):
        agent_client.get(address)
    assert len(log.lines()) == 4
    for part in ("uackenbush", "Wilhelmina", PHONE, "CUST777"):
        assert part not in log.text


def test_an_error_of_ours_leaves_its_kind_and_place_and_none_of_its_words(
    agent_client: Client, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **options: object) -> None:
        try:
            int(f"{NAME}, {STREET}")
        except ValueError as error:
            raise LookupError(f"{NAME} of {STREET}, {PHONE}") from error

    monkeypatch.setattr(policies, "listing", broken)
    agent_client.raise_request_exception = False
    assert agent_client.get(f"/policies/?customer={NAME}&q={PHONE}").status_code == 500
    for part in (NAME, "uackenbush", STREET, PHONE, "?customer"):
        assert part not in log.text
    (failed,), (request,) = log.lines("failed"), log.lines()
    assert (failed["error"], failed["because"], failed["route"]) == ("LookupError", "ValueError", "policies")
    assert failed["at"][-1].startswith("tests/views/test_logs.py:") and failed["at"][-1].endswith(" broken")
    assert failed["request_id"] == request["request_id"] and request["level"] == "error"
    assert len(log.text.splitlines()) == 2


def test_a_librarys_traceback_loses_its_words_too(log: Log) -> None:
    try:
        raise ValueError(NAME)
    except ValueError:
        logging.getLogger("dashboard.live.follower").exception("It could not be sealed.")
    (line,) = log.lines("It could not be sealed.")
    assert line["error"] == "ValueError" and NAME not in log.text


@pytest.mark.parametrize("path", ["/nothing/Quackenbush/", "/policies/auto/Quackenbush/", "/customers/Quackenbush/"])
def test_what_was_typed_into_the_address_bar_is_not_kept(agent_client: Client, log: Log, path: str) -> None:
    assert agent_client.get(path).status_code == 404
    assert "Quackenbush" not in log.text
    assert log.lines()[0]["status"] == 404


def test_a_refused_host_or_form_says_neither_host_nor_path(anonymous_client: Client, log: Log, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["dash.example"]
    assert anonymous_client.get("/login/", headers={"Host": "quackenbush.example"}).status_code == 400
    checked = Client(enforce_csrf_checks=True)
    assert checked.post("/login/", {"username": "quackenbush"}, headers={"Host": "dash.example"}).status_code == 403
    assert "quackenbush" not in log.text
    assert [line["status"] for line in log.lines()] == [400, 403]


def test_a_method_that_nobody_knows_is_no_text_of_the_log(anonymous_client: Client, log: Log) -> None:
    anonymous_client.generic("QUACKENBUSH", "/login/")
    assert log.lines()[0]["method"] == "other"


def test_a_console_is_told_of_requests_that_failed_alone(
    agent_client: Client, console: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_client.get("/policies/")
    assert console.text == ""
    monkeypatch.setattr(policies, "listing", lambda *args, **options: 1 / 0)
    agent_client.raise_request_exception = False
    agent_client.get("/policies/")
    assert "ZeroDivisionError" in console.text and "route=policies" in console.text


def test_a_change_writes_nothing_of_the_policy(agent_client: Client, log: Log) -> None:
    number = book.policy(vehicle=f"Car of {NAME}")
    agent_client.get(f"/policies/auto/{number}/")
    assert log.lines()[0]["route"] == "policy" and "uackenbush" not in log.text and number not in log.text
    assert cast.PASSWORD not in log.text
