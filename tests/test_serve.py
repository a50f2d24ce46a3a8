"""`manage.py serve` as a process: it starts, says what is wrong, keeps things running, and stops in order."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from dashboard.redis import EmbeddedServer, answers, connect, socket_url
from tests.processes import READY, Dashboard

pytestmark = pytest.mark.fault
WARM_START_SECONDS = 3.0


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One that has started for the first time and runs; tests leave it running."""
    dashboard = Dashboard(tmp_path_factory.mktemp("serve")).start_and_wait()
    yield dashboard
    dashboard.stop()


@pytest.fixture
def dashboard_of(tmp_path: Path) -> Iterator[Callable[..., Dashboard]]:
    """Makes dashboards, by default in one folder of the test's own, and ends what the test leaves running."""
    made: list[Dashboard] = []

    def make(data_dir: Path = tmp_path / "data", **environment: str) -> Dashboard:
        made.append(Dashboard(data_dir, **environment))
        return made[-1]

    yield make
    for dashboard in made:
        dashboard.stop()


def answer(dashboard: Dashboard, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def status(dashboard: Dashboard, path: str = "/login/") -> int:
    return answer(dashboard, path)[0]


def children(dashboard: Dashboard) -> set[int]:
    """Workers and store: whoever has the parent as its parent."""
    listing = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = (map(int, line.split()) for line in listing.splitlines())
    return {pid for pid, parent in pairs if parent == dashboard.process.pid} - {dashboard.process.pid}


def commands(dashboard: Dashboard, word: str) -> list[int]:
    listing = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    found = {int(line.split()[0]) for line in listing.splitlines() if word in line}
    return sorted(found & children(dashboard))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text()


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


# -- starting


def test_it_says_where_it_is_and_who_may_sign_in(started: Dashboard) -> None:
    assert started.address in started.said
    for name in ("AG001", "AG002", "AG003", "SUP001", "ADM001", started.password):
        assert name in started.said


def test_it_answers_when_it_says_it_is_ready(started: Dashboard) -> None:
    assert status(started) == 200
    assert started.store.exists("policy:auto:100001:premium")


def test_its_secrets_are_for_its_user_alone(started: Dashboard) -> None:
    for name in ("secret_key", "demo_password"):
        assert stat.S_IMODE((started.data_dir / name).stat().st_mode) == 0o600
    assert (started.data_dir / "secret_key").read_text().strip() not in started.said


def test_static_files_are_served_hashed_for_ever(started: Dashboard) -> None:
    hashed = next(path.name for path in (started.data_dir / "static" / "django_htmx").glob("htmx-2.min.*.js"))
    connection = http.client.HTTPConnection("127.0.0.1", started.port, timeout=10)
    connection.request("GET", f"/static/django_htmx/{hashed}", headers={"Accept-Encoding": "gzip"})
    response = connection.getresponse()
    assert response.status == 200
    assert response.getheader("Content-Encoding") == "gzip"
    assert "immutable" in (response.getheader("Cache-Control") or "")
    connection.close()


def test_a_page_that_is_not_there_shows_no_settings(started: Dashboard) -> None:
    assert status(started, "/no/such/page/") in (302, 404)


# -- what stands in the way: one line, the remedy, not 0


def test_a_taken_port_is_one_line(dashboard_of: Callable[..., Dashboard]) -> None:
    dashboard = dashboard_of()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", dashboard.port))
        taken.listen()
        assert dashboard.start().wait() == 1
    assert dashboard.said.splitlines() == [
        f"Tideline cannot start: port {dashboard.port} is taken: stop what uses it, or choose another, "
        f"for example PORT={dashboard.port + 1}."
    ]


def test_a_second_one_in_the_same_folder_is_one_line(
    started: Dashboard, dashboard_of: Callable[..., Dashboard]
) -> None:
    second = dashboard_of(started.data_dir).start()
    assert second.wait() == 1
    (line,) = second.said.splitlines()
    assert f"process {started.process.pid}" in line and "set DATA_DIR" in line


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"REDIS_URL": "redis://user:hidden@127.0.0.1:1/0", "SECRET_KEY": "x" * 50},
            ["redis://127.0.0.1:1", "correct REDIS_URL"],
        ),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, ["SECRET_KEY is required", "REDIS_URL is set"]),
        ({"REDIS_URL": "localhost:6379"}, ["REDIS_URL", "redis://localhost:6379/0"]),
        ({"PORT": "web"}, ["PORT is 'web'", "whole number"]),
        ({"WORKERS": "0"}, ["WORKERS is '0'"]),
        ({"DEBUG": "perhaps"}, ["DEBUG is 'perhaps'", "1 or 0"]),
        ({"TIME_ZONE": "Dallas"}, ["TIME_ZONE is 'Dallas'", "America/Chicago"]),
        ({"HOST": "203.0.113.7"}, ["203.0.113.7", "HOST"]),
        ({"DATABASE_URL": "nonsense"}, ["DATABASE_URL", "postgresql://"]),
    ],
)
def test_a_wrong_setting_is_one_line(
    dashboard_of: Callable[..., Dashboard], environment: dict[str, str], words: list[str]
) -> None:
    dashboard = dashboard_of(**environment).start()
    assert dashboard.wait() == 1
    (line,) = dashboard.said.splitlines()
    assert all(word in line for word in words), line
    assert "hidden" not in line


def test_a_data_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, dashboard_of: Callable[..., Dashboard]
) -> None:
    (tmp_path / "file").touch()  # also for root, whom no mode keeps out
    dashboard = dashboard_of(tmp_path / "file" / "data").start()
    assert dashboard.wait() == 1
    (line,) = dashboard.said.splitlines()
    assert str(tmp_path) in line and "DATA_DIR" in line


# -- an external store


def test_an_existing_store_is_used_as_it_is(tmp_path: Path, dashboard_of: Callable[..., Dashboard]) -> None:
    store = EmbeddedServer(tmp_path / "theirs", {"appendonly": "no", "maxmemory-policy": "volatile-lru"})
    store.start()
    try:
        dashboard = dashboard_of(REDIS_URL=store.url, SECRET_KEY="s" * 50).start_and_wait()
        assert "audit records" in dashboard.said
        assert "Persistence is off" in dashboard.said
        assert "--accounts-only" in dashboard.said
        assert dashboard.password not in dashboard.said
        assert commands(dashboard, "valkey-server") == []
        assert list(connect(store.url).scan_iter("policy:*")) == []
        dashboard.stop()
        assert store.alive()
    finally:
        store.stop()


# -- stopping


@pytest.mark.long
def test_ctrl_c_stops_all_of_it_and_the_next_start_finds_all_data(
    dashboard_of: Callable[..., Dashboard],
) -> None:
    dashboard = dashboard_of().start_and_wait()
    dashboard.store.set("policy:auto:100001:premium", "4711")
    everything = children(dashboard)
    assert len(everything) == 3
    dashboard.ctrl_c()
    assert dashboard.wait() == 0
    assert "Traceback" not in dashboard.said
    assert all(gone(pid) for pid in everything)
    assert not answers(socket_url(dashboard.data_dir))

    again = dashboard_of().start_and_wait()
    assert again.store.get("policy:auto:100001:premium") == "4711"
    assert "loading the sample" not in again.said


@pytest.mark.long
def test_a_warm_start_is_quick(dashboard_of: Callable[..., Dashboard]) -> None:
    """The best of three, and on a machine with more work than cores proportionally more: other tests run too."""
    dashboard_of().start_and_wait().stop()
    best = min(warm_start(dashboard_of()) for _ in range(3))
    assert best < WARM_START_SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def warm_start(dashboard: Dashboard) -> float:
    began = time.monotonic()
    dashboard.start_and_wait()
    took = time.monotonic() - began
    dashboard.stop()
    return took


@pytest.mark.parametrize(
    "moments", [(0.4, 1.0), pytest.param((0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0), marks=pytest.mark.long)]
)
def test_ctrl_c_while_starting_leaves_nothing_behind(
    dashboard_of: Callable[..., Dashboard], moments: tuple[float, ...]
) -> None:
    """One moment after the other in the same folder, so that each finds what the ones before have left."""
    for moment in moments:
        dashboard = dashboard_of().start()
        time.sleep(moment)
        everything = children(dashboard)
        dashboard.ctrl_c()
        dashboard.wait()
        assert "cannot start" not in dashboard.said, moment
        assert eventually(lambda everything=everything: all(gone(pid) for pid in everything)), moment
        assert not answers(socket_url(dashboard.data_dir)), moment
    assert dashboard_of().start_and_wait().store.exists("policy:auto:100001:premium")


def test_workers_end_when_the_parent_is_killed_and_the_next_start_takes_over(
    dashboard_of: Callable[..., Dashboard],
) -> None:
    dashboard = dashboard_of().start_and_wait()
    workers = commands(dashboard, "dashboard.worker")
    (store,) = commands(dashboard, "valkey-server")
    dashboard.store.set("kept", "yes")
    dashboard.process.kill()
    dashboard.wait()
    assert len(workers) == 2
    assert eventually(lambda: all(gone(pid) for pid in workers))
    again = dashboard_of().start_and_wait()
    assert gone(store)
    assert again.store.get("kept") == "yes"


# -- what machines ask


def test_every_worker_answers_for_all(started: Dashboard) -> None:
    def logins() -> float:
        said, body = answer(started, "/prometheus")
        assert said == 200
        found = [line for line in body.splitlines() if 'route="login"' in line and "requests_total" in line]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    before = logins()
    for _ in range(30):  # each on a connection of its own, so that both workers get some
        assert status(started) == 200
    # However often it is asked, and whoever is: had one worker answered for itself, some of these would differ.
    assert {logins() for _ in range(12)} == {before + 30}


def test_it_is_alive_and_ready_whatever_host_is_asked_for(started: Dashboard) -> None:
    assert answer(started, "/healthz", Host="10.0.0.7:8000") == (200, "ok\n")
    said, body = answer(started, "/readyz", Host="10.0.0.7:8000")
    assert said == 200
    assert json.loads(body) == {"ready": True, "store": "ok", "writes": "ok", "follower": "ok", "accounts": "ok"}


# -- keeping it running


def test_a_killed_store_is_started_again_with_its_data(started: Dashboard) -> None:
    started.store.set("kept", "yes")
    (store,) = commands(started, "valkey-server")
    os.kill(store, signal.SIGKILL)
    started.await_line("The store ended")
    assert eventually(lambda: answers(socket_url(started.data_dir)), 3)
    assert started.store.get("kept") == "yes"
    assert status(started) == 200


def test_a_killed_worker_is_started_again(started: Dashboard) -> None:
    before = commands(started, "dashboard.worker")
    os.kill(before[0], signal.SIGKILL)
    started.await_line("Worker")
    assert eventually(lambda: len(commands(started, "dashboard.worker")) == len(before))
    assert commands(started, "dashboard.worker") != before
    assert status(started) == 200


def test_every_command_says_a_wrong_setting_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate"],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "insurance_site.settings",
            "PORT": "x",
            "DATA_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert READY not in done.stdout
