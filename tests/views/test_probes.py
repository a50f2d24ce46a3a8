"""What machines ask: alive, ready, and the measures; told truly in every state of the store, and to nobody else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from dashboard import clock, keys, probes
from dashboard.redis import EmbeddedServer
from dashboard.repository import server
from insurance_site.asgi import application
from tests import book

LOCAL, ELSEWHERE = ("127.0.0.1", 40000), ("203.0.113.9", 40000)


class Answer:
    def __init__(self, sent: list[dict[str, Any]]) -> None:
        self.status: int = sent[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        self.body: str = b"".join(message.get("body", b"") for message in sent[1:]).decode()


def ask(path: str, method: str = "GET", client: Any = LOCAL, **headers: str) -> Answer:
    """Through the application that uvicorn serves. No Host is sent: none is needed."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "client": client,
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    asyncio.run(application(scope, receive, send))
    return Answer(sent)


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """No look of an earlier test is shared."""
    probes._latest.found = {}


@pytest.fixture
def leased(db: None, store: Redis) -> Redis:
    store.set(keys.lease(server.LEASE), "somebody", px=5_000)
    return store


def readiness() -> dict[str, Any]:
    answer = ask("/readyz")
    told: dict[str, Any] = json.loads(answer.body)
    assert (answer.status == 200) == told["ready"]
    return told


OK = {"ready": True, "store": "ok", "writes": "ok", "follower": "ok", "accounts": "ok"}


@pytest.mark.django_db(transaction=True)
class TestReady:
    def test_when_all_is_well(self, leased: Redis) -> None:
        assert readiness() == OK

    def test_changes_nothing_in_the_store(self, leased: Redis) -> None:
        leased.delete(keys.lease(server.LEASE))
        before = leased.info("persistence")["rdb_changes_since_last_save"]
        readiness()
        assert leased.dbsize() == 0
        assert leased.info("persistence")["rdb_changes_since_last_save"] == before

    def test_not_without_a_follower(self, store: Redis) -> None:
        assert readiness() == OK | {"ready": False, "follower": "silent"}

    @pytest.mark.parametrize(
        ("setting", "refusing", "usual"),
        [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")],
        ids=["no memory", "too few replicas"],
    )
    def test_not_while_the_store_takes_no_writes(self, leased: Redis, setting: str, refusing: str, usual: str) -> None:
        leased.config_set(setting, refusing)
        try:
            assert readiness() == OK | {"ready": False, "writes": "refused"}
        finally:
            leased.config_set(setting, usual)

    def test_not_on_a_replica(self, leased: Redis) -> None:
        leased.replicaof("127.0.0.1", "1")
        try:
            assert readiness()["writes"] == "refused"
        finally:
            leased.replicaof("NO", "ONE")

    def test_not_while_the_store_is_away(self, store: Redis, server: EmbeddedServer) -> None:
        server.stop()
        told = readiness()
        assert told == {"ready": False, "store": "away", "writes": "unknown", "follower": "unknown", "accounts": "ok"}
        assert ask("/healthz").status == 200

    def test_not_without_accounts(self, leased: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(*args: object) -> None:
            raise OperationalError("the password is secret-77")

        monkeypatch.setattr(get_user_model().objects.all().__class__, "exists", gone)
        answer = ask("/readyz")
        assert json.loads(answer.body) == OK | {"ready": False, "accounts": "away"}
        assert "secret-77" not in answer.body

    def test_is_looked_at_once_however_often_strangers_ask(self, leased: Redis) -> None:
        def calls() -> int:
            return int(leased.info("commandstats").get("cmdstat_setrange", {"calls": 0})["calls"])

        before = calls()
        for _ in range(20):
            readiness()
        assert calls() - before <= 2


class TestHealth:
    def test_needs_nothing(self) -> None:
        answer = ask("/healthz", client=ELSEWHERE)
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, "ok\n", "no-store")

    @pytest.mark.parametrize("path", sorted(probes.PATHS))
    def test_is_asked_and_never_told(self, path: str) -> None:
        assert ask(path, "POST").status == 405

    def test_head_has_no_body(self) -> None:
        answer = ask("/healthz", "HEAD")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, "", "3")


def measured(answer: Answer) -> dict[tuple[str, ...], float]:
    assert answer.status == 200, answer.body
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
    }


class TestMeasures:
    def test_count_requests_by_page_and_answer(self, admin_client: Client) -> None:
        before = measured(ask("/prometheus")).get(("tideline_requests_total", "GET", "policies", "200"), 0)
        for path in ("/policies/", "/policies/?status=ACTIVE", "/policies/auto/NONE/", "/nothing/"):
            admin_client.get(path)
        found = measured(ask("/prometheus"))
        assert found[("tideline_requests_total", "GET", "policies", "200")] == before + 2
        assert found[("tideline_requests_total", "GET", "policy", "404")] >= 1
        assert found[("tideline_request_seconds_count", "policies")] >= 2

    def test_no_label_holds_what_was_typed(self, agent_client: Client) -> None:
        agent_client.get("/customers/Quackenbush/?q=Quackenbush")
        agent_client.generic("QUACKENBUSH", "/Quackenbush/")
        assert "uackenbush" not in ask("/prometheus").body.lower()

    def test_tell_what_the_store_knows(self, store: Redis) -> None:
        book.quote()
        store.sadd(keys.jobs_running(), "a")
        store.hset(keys.follower_status(), "lag", 70)
        found = measured(ask("/prometheus"))
        told = {name[0]: value for name, value in found.items() if len(name) == 1}
        assert told["tideline_store_up"] == 1 and told["tideline_quotes_live"] == 1
        assert told["tideline_jobs_running"] == 1 and told["tideline_follower_lag_seconds"] == 0.07
        assert told["tideline_follower_leased"] == 0 and told["tideline_store_memory_bytes"] > 0
        assert found[("tideline_store_commands_total", "sadd")] >= 1

    def test_an_ended_quote_does_not_live(self, store: Redis) -> None:
        number = book.quote()
        store.zadd(server.QUOTES.key("all", "deadline"), {f"auto:{number}": clock.now_ms() - 1})
        assert measured(ask("/prometheus"))[("tideline_quotes_live",)] == 0

    @pytest.mark.parametrize(
        "wrong", [keys.jobs_running(), keys.follower_status(), server.QUOTES.key("all", "deadline")]
    )
    def test_what_another_tool_broke_is_left_out(self, store: Redis, wrong: str) -> None:
        store.set(wrong, "x", ex=60)
        assert measured(ask("/prometheus"))[("tideline_store_up",)] == 1

    def test_say_so_when_the_store_is_away(self, store: Redis, server: EmbeddedServer) -> None:
        server.stop()
        assert measured(ask("/prometheus"))[("tideline_store_up",)] == 0


class TestWhoReadsMeasures:
    def test_this_machine_alone_without_a_token(self, store: Redis) -> None:
        assert ask("/prometheus").status == 200
        assert ask("/prometheus", client=("::1", 1)).status == 200
        assert ask("/prometheus", client=ELSEWHERE).status == 403
        assert ask("/prometheus", client=None).status == 403

    @pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "via", "x_real_ip", "x_forwarded_host"])
    def test_not_what_a_proxy_on_this_machine_passes_on(self, store: Redis, header: str) -> None:
        assert ask("/prometheus", **{header: "127.0.0.1"}).status == 403

    def test_whoever_shows_the_token(self, store: Redis, settings: Any) -> None:
        settings.METRICS_TOKEN = "kelp-and-tide-4711"
        assert ask("/prometheus", client=ELSEWHERE, authorization="Bearer kelp-and-tide-4711").status == 200
        for wrong in ("", "Bearer kelp-and-tide-471", "kelp-and-tide-4711", "Bearer é"):
            answer = ask("/prometheus", authorization=wrong)
            assert answer.status == 401 and "kelp" not in answer.body and "tideline" not in answer.body
