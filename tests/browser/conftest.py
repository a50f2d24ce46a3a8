"""A real dashboard in a real browser. Whatever a page says on the console that is an error fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect

from tests.processes import Dashboard

Enter = Callable[..., Page]

expect.set_options(timeout=15_000)  # far beyond what it takes, so that a busy machine fails nothing


@pytest.fixture(scope="session")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One for all tests of this process: with the sample book on it."""
    running = Dashboard(tmp_path_factory.mktemp("dashboard"), WORKERS="1").start_and_wait()
    yield running
    running.stop()


@pytest.fixture
def enter(browser: Browser, dashboard: Dashboard) -> Iterator[Enter]:
    """Sign somebody in, in a window of their own: `enter("AG001", "/quotes/")`."""
    windows: list[BrowserContext] = []
    faults: list[str] = []

    def note(response: Response) -> None:
        if response.status >= 500 and response.status != 503:
            faults.append(f"{response.status} {response.url}")

    def sign_in(person: str, path: str = "/", *, quiet: bool = True, **options: object) -> Page:
        window = browser.new_context(
            base_url=dashboard.address, **{"viewport": {"width": 1280, "height": 800}, **options}
        )  # type: ignore[arg-type]
        windows.append(window)
        window.set_default_timeout(15_000)
        page = window.new_page()
        if quiet:
            page.on(
                "console", lambda told: faults.append(f"{told.text} {told.location}") if told.type == "error" else None
            )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("response", note)
        page.goto("/login/")
        page.fill("[name=username]", person)
        page.fill("[name=password]", dashboard.password)
        page.press("[name=password]", "Enter")
        page.wait_for_url("**/")
        if path != "/":
            page.goto(path)
        return page

    yield sign_in
    for window in windows:
        window.close()
    assert not faults


def live(page: Page) -> Page:
    """The page, once its stream is open."""
    page.wait_for_selector("#live[data-state=live]")
    return page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
