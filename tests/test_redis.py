"""The store's client and its embedded server."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from pytest_django import Settings
from redis import Redis
from redis.exceptions import DataError, RedisError

from dashboard import redis
from dashboard.redis import AlreadyRunning, EmbeddedServer, EmbeddedServerError


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own, with the settings that people get."""
    server = EmbeddedServer(tmp_path)
    server.start()
    yield server
    server.stop()


def test_client_is_one_for_the_process(store: Redis) -> None:
    assert redis.client() is store
    assert store.ping()


def test_client_survives_a_restart_of_the_server(own: EmbeddedServer) -> None:
    client = redis.connect(own.url)
    client.set("policy:auto:100001:premium", "1200")
    own.restart()
    assert client.get("policy:auto:100001:premium") == "1200"


def test_broken_utf8_survives_a_round_trip(store: Redis) -> None:
    store.execute_command("SET", b"broken", b"caf\xe9")
    text = store.get("broken")
    store.set("copy", text)
    assert store.get("copy") == text == "caf\udce9"
    assert store.strlen("copy") == 4


def test_a_key_with_a_broken_name_can_be_asked_for(store: Redis) -> None:
    store.execute_command("SET", b"policy:\xff", b"1")
    (name,) = store.keys("policy:*")
    assert store.get(name) == "1"
    with pytest.raises(DataError):
        store.set("lone surrogate", "\ud800")


def test_a_write_is_never_sent_twice(own: EmbeddedServer) -> None:
    """redis-py by default repeats a command whose answer was late: here one INCR must count once or be an
    error.
    """
    slow = redis.connect.__wrapped__(own.url)
    slow.connection_pool.connection_kwargs["socket_timeout"] = 0.3
    assert own.pid
    slow.ping()
    os.kill(own.pid, signal.SIGSTOP)
    threading.Timer(0.8, os.kill, [own.pid, signal.SIGCONT]).start()
    with pytest.raises(RedisError):
        slow.incr("count")
    time.sleep(0.8)
    assert redis.connect(own.url).get("count") == "1"


def test_embedded_server_loses_nothing_that_it_acknowledged_when_killed(own: EmbeddedServer) -> None:
    client = redis.connect(own.url)
    assert own.pid
    client.set("policy:auto:100001:premium", "1350")
    os.kill(own.pid, signal.SIGKILL)
    own.start()
    assert client.get("policy:auto:100001:premium") == "1350"


def test_embedded_server_has_the_settings_the_data_needs(own: EmbeddedServer) -> None:
    config = redis.connect(own.url).config_get("*")
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "always"
    assert config["maxmemory-policy"] == "noeviction"
    assert config["port"] == "0"
    assert set(redis.NOTIFICATIONS) <= set(config["notify-keyspace-events"])


def test_embedded_server_is_reachable_by_its_user_alone(own: EmbeddedServer) -> None:
    assert stat.S_IMODE(own.socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(own.folder.stat().st_mode) == 0o700


def test_stop_ends_the_process_and_removes_the_socket(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    pid = server.pid
    server.stop()
    assert not server.alive()
    assert not server.socket.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_server_left_over_from_a_killed_run_is_ended_first(tmp_path: Path, state: str) -> None:
    orphan = EmbeddedServer(tmp_path)
    orphan.start()
    redis.connect(orphan.url).set("kept", "yes")
    if state == "paused":
        os.kill(orphan.pid or 0, signal.SIGSTOP)
    server = EmbeddedServer(tmp_path)
    server.start()
    try:
        assert not orphan.alive()
        assert redis.connect(server.url).get("kept") == "yes"
    finally:
        server.stop()


def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("long-" * 30)
    deep.mkdir()
    server = EmbeddedServer(deep)
    assert len(os.fsencode(server.socket)) <= redis.LONGEST_SOCKET_PATH
    assert server.socket == redis.socket_path(deep) != redis.socket_path(tmp_path / ("long " * 30))
    server.start()
    try:
        assert redis.connect(server.url).ping()
        assert (server.folder / "appendonlydir").is_dir()
    finally:
        server.stop()
        server.socket.parent.rmdir()


@pytest.mark.parametrize("name", ["with space", "percent%41", "question?db=3", "comma,comma", "ünï"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    server = EmbeddedServer(folder)
    server.start()
    try:
        assert redis.connect(server.url).ping()
    finally:
        server.stop()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, {"appendfsync": "sometimes"})
    with pytest.raises(EmbeddedServerError, match="did not start"):
        server.start()


def test_without_any_binary_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "_bundled_binary", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EmbeddedServerError, match=r"install valkey-server .* or set REDIS_URL"):
        redis.embedded_binary()


def test_a_server_on_path_serves_where_no_bundled_one_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)
    monkeypatch.setattr(redis, "_bundled_binary", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis.embedded_binary() == program


def test_a_folder_is_claimed_by_one_process_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(AlreadyRunning, match=f"process {os.getpid()}")
    with redis.claimed(tmp_path), refused, redis.claimed(tmp_path):
        pass
    with redis.claimed(tmp_path):
        pass


def test_a_command_runs_the_store_itself_when_nobody_does(tmp_path: Path, settings: Settings) -> None:
    settings.DATA_DIR = tmp_path
    settings.REDIS_URL = redis.socket_url(tmp_path)
    assert not redis.answers(settings.REDIS_URL)
    with redis.store_running():
        redis.client().set("kept", "yes")
    assert not redis.answers(settings.REDIS_URL)
    with redis.store_running():
        assert redis.client().get("kept") == "yes"


def test_a_command_uses_the_store_that_runs(store: Redis) -> None:
    with redis.store_running():
        assert redis.client() is store
    assert redis.answers(settings.REDIS_URL)


# -- notifications


def test_notifications_are_added_to_those_that_others_set(own: EmbeddedServer) -> None:
    client = redis.connect(own.url)
    client.config_set("notify-keyspace-events", "Kl")
    assert redis.enable_notifications(client)
    assert {"K", "l", *redis.NOTIFICATIONS} <= set(client.config_get()["notify-keyspace-events"])


def test_notifications_that_may_not_be_set_are_left_as_they_are(own: EmbeddedServer) -> None:
    admin = redis.connect(own.url)
    admin.config_set("notify-keyspace-events", "")
    admin.execute_command("ACL SETUSER limited on nopass ~* &* +@all -config")
    limited = Redis.from_url(own.url.replace("unix://", "unix://limited:x@"), decode_responses=True)
    assert not redis.enable_notifications(limited)


@pytest.mark.parametrize(("present", "enough"), [("KEA", True), ("KEg$shzxe", True), ("KE$shzxe", False), ("", False)])
def test_is_told_enough_or_not(present: str, enough: bool) -> None:
    assert redis.notifies(present) == enough


def test_an_address_is_shown_without_its_password() -> None:
    assert redis.shown("rediss://user:secret@store.example:6380/2") == "rediss://store.example:6380/2"
    assert redis.shown("unix:///var/lib/x.sock?db=0") == "unix:///var/lib/x.sock"


def test_a_server_whose_start_was_interrupted_at_the_fork_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[int] = []

    def interrupted(*args: Any, **options: Any) -> Any:
        launched.append(popen(*args, **options).pid)
        raise KeyboardInterrupt

    popen = subprocess.Popen
    monkeypatch.setattr("dashboard.redis.subprocess.Popen", interrupted)
    server = EmbeddedServer(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    server.stop()
    os.waitpid(launched[0], 0)  # it has ended: this returns
    assert not redis.answers(server.url)
