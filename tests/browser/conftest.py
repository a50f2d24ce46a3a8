"""A real dashboard in a real browser. Whatever a page says on the console that is an error fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, StorageState, expect

from tests.processes import Dashboard

Enter = Callable[..., Page]
Visit = Callable[[str, str], Page]

CALLED_OFF = ("htmx:afterRequest", "htmx:sendAbort")
"""What htmx tells as an error although the page means it: a request that its own leaving cuts off, or that one of its actions
calls off, for the answer would show what was before (`live.js`).
"""

expect.set_options(timeout=15_000)  # far beyond what it takes, so that a busy machine fails nothing


@pytest.fixture(scope="session")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One for all tests of this process: with the sample book on it."""
    running = Dashboard(tmp_path_factory.mktemp("dashboard"), WORKERS="1").start_and_wait()
    yield running
    running.stop()


class Door:
    """Brings people in. Each signs in through the page once; the windows after that carry the same session, until it
    is worth nothing any more.
    """

    def __init__(self, browser: Browser, dashboard: Dashboard) -> None:
        self.browser, self.dashboard = browser, dashboard
        self.faults: list[str] = []
        self._sessions: dict[str, StorageState] = {}

    def window(self, person: str, path: str, *, quiet: bool = True, **options: Any) -> Page:
        """A new window at this address. `quiet` when nothing may be told on its console as an error."""
        known = {"base_url": self.dashboard.address, "viewport": {"width": 1280, "height": 800}}
        window = self.browser.new_context(**{**known, "storage_state": self._sessions.get(person), **options})
        window.set_default_timeout(15_000)
        page = window.new_page()
        if quiet:
            page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("response", self._answered)
        page.goto(path)
        if "/login/" in page.url:
            self._sign_in(page, person)
            self._sessions[person] = window.storage_state()
            page.goto(path)
        return page

    def _sign_in(self, page: Page, person: str) -> None:
        page.fill("[name=username]", person)
        page.fill("[name=password]", self.dashboard.password)
        page.press("[name=password]", "Enter")
        page.wait_for_url(lambda url: "/login/" not in url)

    def _heard(self, told: ConsoleMessage) -> None:
        if told.type == "error" and not told.text.startswith(CALLED_OFF):
            self.faults.append(f"{told.text} {told.location}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500 and response.status != 503:
            self.faults.append(f"{response.status} {response.url}")


@pytest.fixture(scope="session")
def door(browser: Browser, dashboard: Dashboard) -> Door:
    return Door(browser, dashboard)


@pytest.fixture
def enter(door: Door) -> Iterator[Enter]:
    """Somebody comes in, in a window of their own: `enter("AG001", "/quotes/")`."""
    pages: list[Page] = []

    def come_in(person: str, path: str = "/", **options: Any) -> Page:
        pages.append(door.window(person, path, **options))
        return pages[-1]

    yield come_in
    said = list(door.faults)
    for page in pages:
        page.context.close()
    door.faults.clear()
    assert not said


@pytest.fixture(scope="session")
def _standing(door: Door) -> Iterator[dict[str, Page]]:
    windows: dict[str, Page] = {}
    yield windows
    for page in windows.values():
        page.context.close()


@pytest.fixture
def visit(door: Door, _standing: dict[str, Page]) -> Iterator[Visit]:
    """To look only: each person has one window for all tests, at a desk and in the light."""

    def look(person: str, path: str) -> Page:
        if person not in _standing:
            _standing[person] = door.window(person, "/", reduced_motion="reduce", quiet=person != "ADM001")
        page = _standing[person]
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="light")
        page.goto(path)
        return page

    yield look
    said, door.faults = door.faults, []
    for page in _standing.values():
        page.goto("about:blank")  # its stream ends, so that what later tests do to the server is none of its business
    assert not said


def live(page: Page) -> Page:
    """The page, once its stream is open."""
    page.wait_for_selector("#live[data-state=live]")
    return page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
