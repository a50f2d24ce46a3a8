"""A stream that is open on the browser's side alone is noticed: "Live" is never said for long of a page that hears
nothing.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter, live
from tests.processes import Dashboard


class Relay:
    """A proxy before the dashboard whose streams can fall silent: they stay open and carry nothing more."""

    def __init__(self, port: int) -> None:
        self._goal = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self._silent: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self._streams: set[socket.socket] = set()
        self.address = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._welcome, daemon=True).start()

    def fall_silent(self) -> None:
        self._silent |= self._streams

    def close(self) -> None:
        for each in (self._door, *self._open):
            each.close()

    def _welcome(self) -> None:
        while True:
            try:
                browser, _ = self._door.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._goal))
            self._open |= {browser, server}
            for source, sink in ((browser, server), (server, browser)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if data.startswith(b"GET /live"):
                    self._streams |= {source, sink}
                if source not in self._silent:
                    sink.sendall(data)
            if source not in self._silent:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture
def relay(dashboard: Dashboard) -> Iterator[Relay]:
    between = Relay(int(dashboard.address.rpartition(":")[2]))
    yield between
    between.close()


def test_a_stream_that_falls_silent_is_opened_anew(enter: Enter, relay: Relay) -> None:
    page = enter("AG001", "/quotes/")
    page.clock.install()
    page.goto(f"{relay.address}/quotes/")
    live(page)
    relay.fall_silent()
    with page.expect_request("**/live?*"):
        page.clock.fast_forward(26_000)
    live(page)


def test_a_stream_of_a_quiet_day_is_kept(enter: Enter, relay: Relay) -> None:
    page = enter("AG001", "/quotes/new/")
    page.clock.install()
    page.goto(f"{relay.address}/quotes/new/")
    live(page)
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if "/live?" in request.url else None)
    page.clock.fast_forward(12_000)
    page.wait_for_timeout(11_000)  # one beat of the server, by its own clock
    page.clock.fast_forward(14_000)
    page.wait_for_timeout(500)
    expect(page.locator("#live")).to_have_text("Live")
    assert not streams
