"""What every test may ask for: the store (a real server of this test process's own), and the browser's
whereabouts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from dashboard.redis import EmbeddedServer, client
from dashboard.repository import store as writing

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The embedded server that settings.REDIS_URL means. Durability is left out: it costs time and proves
    nothing.
    """
    server = EmbeddedServer(settings.DATA_DIR, {"appendfsync": "no", "enable-debug-command": "local"})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def store(server: EmbeddedServer) -> Iterator[Redis]:
    """An empty store, by the dashboard's own client. Emptying is safe: the server is this test process's own."""
    if not server.alive():
        server.start()
    store = client()
    store.flushall()
    yield store


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """`meanwhile(act)`: the next change that has looked and is about to write waits until `act` was done, once. So what others
    do at the very moment meets it each time, and an action that does not watch what it looked at does the wrong thing.
    """

    def lie_in_wait(act: Callable[[], object]) -> None:
        write, once = writing._execute, iter([act])

        def late(watcher: Any, commands: Iterable[tuple[Any, ...]]) -> None:
            for happens in once:
                happens()
            write(watcher, commands)

        monkeypatch.setattr(writing, "_execute", late)

    return lie_in_wait


def browser_path() -> Path | None:
    """The system's Chromium: CHROMIUM, or one of the usual names on PATH."""
    for name in (os.environ.get("CHROMIUM", ""), *BROWSERS):
        found = shutil.which(name) if name else None
        if found:
            return Path(found)
    return None


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, object]) -> dict[str, object]:
    """pytest-playwright's own fixture, pointed at the system's Chromium. As root it has no sandbox to use."""
    args = [*browser_type_launch_args.get("args", [])]  # type: ignore[misc]
    if os.geteuid() == 0:
        args.append("--no-sandbox")
    return {**browser_type_launch_args, "executable_path": str(browser_path()), "args": args}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: their driver keeps an event loop running in this process, which others stumble over."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") is None or browser_path() is not None:
        return
    reason = f"no Chromium: install one ({BROWSERS[0]}) or name it in CHROMIUM"
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
