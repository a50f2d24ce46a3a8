"""Live streams, over the real application on a real port, with a real store. Who may read is stubbed here:
the real rule is tested with signing in, and both together in the browser.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
import uvicorn
from redis import Redis

from dashboard.errors import StoreDown
from dashboard.live import stream
from dashboard.live.stream import AREAS, Hub, Stream, event
from dashboard.redis import EmbeddedServer
from tests.processes import free_port

WAIT = 6.0


class Reader:
    """A StreamPass of the test's making: signed in until `revoked`."""

    revoked: set[str] = set()

    def __init__(self, person: str) -> None:
        self.person = person
        self.asked = 0

    def alive(self) -> bool:
        self.asked += 1
        return self.person not in self.revoked


def stub_viewer(cookies: dict[str, str]) -> Reader | None:
    if cookies.get("who") == "store-down":
        raise StoreDown
    return Reader(cookies["who"]) if "who" in cookies else None


class Site:
    """The stream application in a real uvicorn, on a thread."""

    def __init__(self, port: int, server: uvicorn.Server) -> None:
        self.port = port
        self.server = server

    def open(self, areas: str = "quotes", who: str | None = "AG001", method: str = "GET") -> Page:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        headers = {"Cookie": f"theme=dark; who={who}"} if who else {}
        connection.request(method, f"/live?areas={areas}", headers=headers)
        return Page(connection, connection.getresponse())


class Page:
    """What a browser's EventSource sees."""

    def __init__(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        self.connection = connection
        self.response = response
        self.status = response.status

    def next(self, name: str | None = None) -> tuple[str, Any]:
        """The next event (of that name): (name, data)."""
        while True:
            kind, data = self._event()
            if name in (None, kind):
                return kind, data

    def ended(self) -> bool:
        return self.response.read() == b""

    def close(self) -> None:
        self.response.close()
        self.connection.close()

    def _event(self) -> tuple[str, Any]:
        fields = dict(line.split(": ", 1) for line in self._block() if not line.startswith(":"))
        data = fields.get("data", "")
        return fields.get("event", ""), json.loads(data) if data.startswith("{") else data

    def _block(self) -> list[str]:
        lines: list[str] = []
        while line := self.response.readline().decode():
            if line == "\n":
                return lines
            lines.append(line.removesuffix("\n"))
        raise EOFError("the stream ended")


@pytest.fixture
def site(store: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(stream, "_authenticate", stub_viewer)
    monkeypatch.setattr(stream, "hub", Hub())
    monkeypatch.setattr(Reader, "revoked", set())
    port = free_port()
    config = uvicorn.Config(with_lifespan, port=port, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started and stream.hub.connected)
    yield Site(port, server)
    stream.hub.end_streams()
    server.should_exit = True
    thread.join(WAIT)


async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await stream.lifespan(receive, send)
    else:
        await stream.app(scope, receive, send)


def until(condition: Callable[[], object], seconds: float = WAIT) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def tell(store: Redis, **changes: Any) -> None:
    store.publish("dash:live", json.dumps(changes))


# -- what a page hears


def test_a_page_is_greeted_with_the_servers_clock(site: Site) -> None:
    page = site.open()
    assert page.status == 200
    assert page.response.getheader("content-type") == "text/event-stream; charset=utf-8"
    assert page.response.getheader("cache-control") == "no-store"
    kind, data = page.next()
    assert kind == "hello"
    assert abs(data["now"] - time.time() * 1000) < 1000


def test_a_change_reaches_the_pages_of_its_area_and_no_other(site: Site, store: Redis) -> None:
    quotes, claims = site.open("quotes,metrics"), site.open("claims")
    quotes.next("hello"), claims.next("hello")
    started = time.monotonic()
    tell(store, quotes=["auto:Q001"])
    assert quotes.next()[1]["areas"] == ["quotes"]
    assert time.monotonic() - started < 0.5
    tell(store, claims=["CLM003"])
    assert claims.next()[1]["areas"] == ["claims"]


def test_identifiers_are_not_sent_along(site: Site, store: Redis) -> None:
    page = site.open("quotes")
    page.next("hello")
    tell(store, quotes=["life:Q001"])
    assert set(page.next("change")[1]) == {"areas", "now"}


def test_many_changes_become_at_most_four_events_a_second(site: Site, store: Redis) -> None:
    page = site.open("quotes,metrics,policies")
    page.next("hello")
    started = time.monotonic()
    while time.monotonic() - started < 1.0:
        tell(store, quotes=["auto:Q001"], metrics=[])
        time.sleep(0.002)
    tell(store, policies=["auto:100001"])
    events = 1
    while "policies" not in page.next("change")[1]["areas"]:
        events += 1
    assert 3 <= events <= 6


def test_a_silent_stream_has_a_heartbeat(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.2)
    page = site.open()
    page.next("hello")
    kind, data = page.next()
    assert kind == "beat"  # an event, which a page's script sees, and no comment, which it does not
    assert abs(data["now"] - time.time() * 1000) < 1000


@pytest.mark.parametrize("message", ["", "no json", "[]", "7", '{"unknown": ["x"]}', "[" * 5000, '{"quotes', "\udcff"])
def test_a_message_not_in_form_is_left_out(site: Site, store: Redis, message: str) -> None:
    page = site.open("quotes")
    page.next("hello")
    store.publish("dash:live", message)
    store.publish("dash:live", '{"quotes": [1, null, "auto:Q1"]}')
    assert page.next("change")[1]["areas"] == ["quotes"]


# -- who may read


def test_a_stranger_is_told_to_sign_in_and_nothing_else(site: Site) -> None:
    page = site.open(who=None)
    assert page.next() == ("signed-out", "")
    assert page.ended()


def test_a_revoked_person_loses_the_stream_at_once_and_others_keep_theirs(site: Site, store: Redis) -> None:
    revoked, other = site.open("sessions", who="AG001"), site.open("sessions", who="AG002")
    revoked.next("hello"), other.next("hello")
    Reader.revoked.add("AG001")
    started = time.monotonic()
    tell(store, sessions=["agent:AG001:workstation"])
    assert revoked.next("signed-out") == ("signed-out", "")
    assert time.monotonic() - started < 1.0
    assert revoked.ended()
    assert other.next("change")[1]["areas"] == ["sessions"]


def test_a_session_that_ends_unheard_loses_the_stream_at_the_next_check(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECHECK", 0.3)
    page = site.open("quotes")
    page.next("hello")
    Reader.revoked.add("AG001")
    assert page.next("signed-out")


def test_one_person_has_a_bounded_number_of_streams(site: Site) -> None:
    pages = [site.open() for _ in range(stream.STREAMS_PER_PERSON)]
    assert {page.status for page in pages} == {200}
    assert site.open().status == 429
    other = site.open(who="AG002")
    assert other.status == 200
    pages.pop().close()
    until(lambda: len(stream.hub.streams) == stream.STREAMS_PER_PERSON)
    assert site.open().status == 200


def test_only_get_is_answered(site: Site) -> None:
    page = site.open(method="POST")
    assert page.status == 405
    assert page.response.getheader("allow") == "GET"


def test_a_closed_page_is_forgotten(site: Site) -> None:
    page = site.open()
    page.next("hello")
    assert len(stream.hub.streams) == 1
    page.close()
    until(lambda: not stream.hub.streams)


# -- the store goes and comes back


def test_a_store_that_ends_and_returns_is_told(site: Site, store: Redis, server: EmbeddedServer) -> None:
    page = site.open("quotes,claims")
    page.next("hello")
    server.stop()
    assert page.next() == ("store", "down")
    server.start()
    assert page.next() == ("store", "up")
    assert page.next()[1]["areas"] == ["claims", "quotes"]
    tell(store, quotes=[])
    assert page.next("change")[1]["areas"] == ["quotes"]


@pytest.mark.fault
def test_a_store_that_hangs_is_told(site: Site, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SILENCE", 0.3)
    page = site.open()
    page.next("hello")
    os.kill(server.pid or 0, signal.SIGSTOP)
    try:
        assert page.next() == ("store", "down")
    finally:
        os.kill(server.pid or 0, signal.SIGCONT)
    assert page.next() == ("store", "up")


def test_who_comes_while_the_store_is_down_is_told_and_comes_again(site: Site) -> None:
    page = site.open(who="store-down")
    assert page.next() == ("store", "down")
    assert page.ended()


def test_the_workers_end_closes_the_streams(site: Site) -> None:
    page = site.open()
    page.next("hello")
    started = time.monotonic()
    stream.hub.end_streams()
    assert page.ended()
    assert time.monotonic() - started < 1.0
    assert site.open().status == 503


# -- the hub and its streams by themselves


def test_version_changes_with_its_areas_alone(site: Site, store: Redis) -> None:
    quotes, claims = stream.version(["quotes"]), stream.version(["claims", "metrics"])
    tell(store, quotes=["auto:Q001"])
    until(lambda: stream.version(["quotes"]) != quotes)
    assert stream.version(["claims", "metrics"]) == claims == stream.version(["metrics", "claims"])


def test_version_is_new_each_time_while_nobody_can_know() -> None:
    hub = Hub()
    assert hub.version(["quotes"]) != hub.version(["quotes"])


def test_version_changes_over_an_interruption() -> None:
    hub = Hub()
    hub._up()
    before = hub.version(["quotes"])
    hub._down()
    hub._up()
    assert hub.version(["quotes"]) != before


def test_what_a_slow_reader_has_not_taken_is_bounded() -> None:
    slow = Stream(AREAS, Reader("AG001"))
    for number in range(10_000):
        slow.tell_changed({"quotes": [str(number)], "metrics": []})
        slow.tell_store("down" if number % 2 else "up")
    store, change = slow.take()
    assert store == event("store", "down")
    assert len(change) < 400
    assert slow.take() == []


def test_a_reader_who_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch, store: Redis) -> None:
    monkeypatch.setattr(stream, "_authenticate", stub_viewer)
    monkeypatch.setattr(stream, "PATIENCE", 0.1)
    monkeypatch.setattr(stream, "hub", Hub())

    async def never(message: Any = None) -> Any:
        if message is None or message["type"] == "http.response.body":
            await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "headers": [(b"cookie", b"who=AG001")], "query_string": b""}
    asyncio.run(asyncio.wait_for(stream.app(scope, never, never), WAIT))
    assert not stream.hub.streams


@pytest.mark.parametrize(
    ("query", "areas"),
    [
        (b"areas=quotes,metrics", {"quotes", "metrics"}),
        (b"areas=quotes&areas=claims", {"quotes", "claims"}),
        (b"areas=passwords,%00,../x", set()),
        (b"", set()),
        (b"\xff&areas=quotes", {"quotes"}),
        (b"areas=quotes&" + b"a=1&" * 40, set()),
    ],
)
def test_only_known_areas_can_be_asked_for(query: bytes, areas: set[str]) -> None:
    assert stream.requested_areas({"query_string": query}) == areas


def test_broken_cookies_are_left_out() -> None:
    headers = [(b"cookie", b"bad[name=1; who=AG001"), (b"cookie", b"sessionid=abc; theme=dark"), (b"x", b"y")]
    assert stream.cookies({"headers": headers})["sessionid"] == "abc"


def test_pages_of_compliance_are_told_of_what_they_show() -> None:
    assert {"compliance", "reviews", "holds", "payments", "security"} <= AREAS
