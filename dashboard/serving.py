"""What `manage.py serve` does: start the store, the pages and the live follower, keep them running, stop them
in order.

One parent process holds the data folder and listens on the port. It starts the embedded server (where there
is no REDIS_URL) and the workers, which share its socket, and runs the follower in a thread. All children live
in sessions of their own, so Ctrl-C reaches the parent only, and the parent ends them in the right order:
workers, follower, store.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import CommandError, call_command
from redis.exceptions import BusyLoadingError, RedisError

from dashboard import measures
from dashboard.accounts import sync_directory
from dashboard.redis import EmbeddedServer, EmbeddedServerError, claimed, client, shown
from dashboard.repository import server_rules

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK = 0.2
"""Seconds between two looks at what should be running."""
READY_SECONDS = 30
STOP_SECONDS = 6
"""How long a worker may take to end: its own grace and a little."""
BACKOFF = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Seconds before something that ended is started again, from its first end to its fifth and later."""
STEADY_SECONDS = 60
"""What ran this long has recovered: its next end counts as the first."""

DEMO_ACCOUNTS = {"agents": ("AG001", "AG002", "AG003"), "supervisor": ("SUP001",), "admin": ("ADM001",)}


class StartFailed(RuntimeError):
    """`str(error)` is one line that names the remedy."""


class Interrupted(BaseException):
    """Ctrl-C, or a polite request to end, before everything was ready."""


def say(line: str = "") -> None:
    print(line, flush=True)


def serve() -> None:
    """Until told to stop. Raises StartFailed, EmbeddedServerError, AlreadyRunning, Interrupted."""
    with Signals() as signals, ExitStack() as running:
        running.enter_context(claimed(settings.DATA_DIR))
        listener = running.enter_context(listen(settings.HOST, settings.PORT))
        store = running.enter_context(the_store())
        signals.check()
        prepare()
        signals.check()
        follower = running.enter_context(Follower())
        workers = running.enter_context(Workers(listener, settings.WORKERS))
        workers.await_ready()
        await_answer(listener)
        signals.from_now_on_only_note()
        greet(listener)
        supervised = [Supervised(part) for part in (store, follower, *workers.all) if part is not None]
        while not signals.wait(TICK):
            for part in supervised:
                part.look()
        say("\nStopping.")


class Signals:
    """Ctrl-C and its like: while starting they interrupt, later they are noted and waited for."""

    def __init__(self) -> None:
        self._interrupting = True
        self._noted = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._arrived) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        first = not self._noted
        self._noted = True
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            pass  # the pipe is full of the same news
        if first and self._interrupting:
            raise Interrupted

    def check(self) -> None:
        """A command that we called may have taken the interruption for itself."""
        if self._noted:
            raise Interrupted

    def from_now_on_only_note(self) -> None:
        self._interrupting = False
        self.check()

    def wait(self, seconds: float) -> bool:
        """True as soon as a signal arrived. A pipe, not an Event: a handler may not take an Event's lock."""
        return bool(select.select([self._read], [], [], seconds)[0])


# -- before anything runs


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """The listening socket that all workers share. Connections wait in it while workers start."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        raise StartFailed(_why_not_listening(host, port, error)) from error
    with listener:
        yield listener


def _why_not_listening(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken: stop what uses it, or choose another, for example PORT={port % 65535 + 1}."
    if error.errno == errno.EACCES:
        return f"port {port} needs special rights: choose one above 1023, for example PORT=8000."
    return f"cannot listen on {host} port {port} ({error.strerror or error}): set HOST to an address of this machine."


@contextmanager
def the_store() -> Iterator[StorePart | None]:
    """The embedded server running, or the external one answering; what is wrong with it is said."""
    if not settings.REDIS_EMBEDDED:
        _await_external()
        yield None
        return
    server = EmbeddedServer(settings.DATA_DIR)
    try:
        server.start()
        yield StorePart(server)
    finally:
        server.stop()


def _await_external() -> None:
    said = False
    while True:
        try:
            for warning in server_rules.at_start(client()):
                say(f"Note: {warning}")
            return
        except BusyLoadingError:
            if not said:
                say("The store is loading its data; waiting for it.")
            said = True
            time.sleep(0.5)
        except (RedisError, OSError) as error:
            where = shown(settings.REDIS_URL)
            raise StartFailed(f"no store answers at {where} ({error}): start it, or correct REDIS_URL.") from error


def prepare() -> None:
    """Tables, static files, on the very first start of the demo the sample book, and the agents' branches."""
    call_command("migrate", verbosity=0, interactive=False)
    collect_static()
    load_sample_once()
    if get_user_model().objects.exists():
        sync_directory()


def collect_static() -> None:
    """Hashed and compressed copies of all static files in STATIC_ROOT, made again only when one changed."""
    if settings.DEBUG:
        return
    stamp = Path(settings.STATIC_ROOT) / ".made-from"
    made_from = _static_fingerprint()
    if stamp.exists() and stamp.read_text() == made_from:
        return
    call_command("collectstatic", verbosity=0, interactive=False, clear=True)
    stamp.write_text(made_from)


def _static_fingerprint() -> str:
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = Path(storage.path(path)).stat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def load_sample_once() -> None:
    """Only into a store of our own that was never used. The mark tells an interrupted load from a finished
    one.
    """
    if not settings.DEMO:
        return
    mark = Path(settings.DATA_DIR) / "sample"
    state = mark.read_text() if mark.exists() else ""
    if state == "loaded" or (not state and get_user_model().objects.exists()):
        return
    say("First start: loading the sample book.")
    mark.write_text("loading")
    try:
        call_command("load_sample")
    except CommandError as refusal:
        # The store has data of its own: it gets the accounts alone, and is left as it is.
        say(str(refusal))
        call_command("load_sample", accounts_only=True)
    mark.write_text("loaded")


# -- what runs


class StorePart:
    """The embedded server, as something to keep running."""

    name = "The store"

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server

    def alive(self) -> bool:
        return self._server.alive()

    def start(self) -> None:
        self._server.start()

    def last_words(self) -> str:
        return self._server.log_tail()


class Follower:
    """The live follower in a thread of this process."""

    name = "The live follower"

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Follower:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join(STOP_SECONDS)

    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def last_words(self) -> str:
        return ""

    def _run(self) -> None:
        from dashboard import anchors
        from dashboard.live import follower

        try:
            follower.Follower(client(), anchors.keep, anchors.known).run(self._stop)
        except Exception:
            log.exception("The live follower failed.")


class Worker:
    """One server process on the shared socket. It ends by itself when this process is gone: `lifeline` then
    closes.
    """

    def __init__(self, number: int, listener: socket.socket, lifeline: int) -> None:
        self.name = f"Worker {number}"
        self._listener = listener
        self._lifeline = lifeline
        self._process: subprocess.Popen[bytes] | None = None
        self.ready = -1

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self.close_ready()
        if self._process:
            measures.ended(settings.METRICS_FOLDER, self._process.pid)
        self.ready, ready = os.pipe()
        descriptors = (self._listener.fileno(), self._lifeline, ready)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.worker", *map(str, descriptors)],
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                "DATA_DIR": str(settings.DATA_DIR),
                measures.FOLDER: str(settings.METRICS_FOLDER),
            },
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,
        )
        os.close(ready)

    def close_ready(self) -> None:
        if self.ready >= 0:
            os.close(self.ready)
        self.ready = -1

    def last_words(self) -> str:
        code = self._process.poll() if self._process else None
        return f"exit code {code}" if code else ""

    def tell_to_end(self) -> None:
        if self._process and self.alive():
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Workers:
    def __init__(self, listener: socket.socket, count: int) -> None:
        # The workers hold the reading end and this process alone the writing end, so its death is an end of file.
        lifeline, self._held = os.pipe()
        self._lifeline = lifeline
        self.all = [Worker(number, listener, lifeline) for number in range(1, count + 1)]

    def __enter__(self) -> Workers:
        measures.prepare(settings.METRICS_FOLDER)
        try:
            for worker in self.all:
                worker.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self.all:
            worker.tell_to_end()
        for worker in self.all:
            worker.wait(deadline - time.monotonic())
            worker.close_ready()
        os.close(self._lifeline)
        os.close(self._held)

    def await_ready(self) -> None:
        """Each worker writes one byte when it serves; a closed pipe means it ended before."""
        deadline = time.monotonic() + READY_SECONDS
        for worker in self.all:
            if not select.select([worker.ready], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise StartFailed(
                    f"{worker.name.lower()} is not ready after {READY_SECONDS} s: is the machine overloaded?"
                )
            if not os.read(worker.ready, 1):
                raise StartFailed(f"{worker.name.lower()} ended while starting: the lines above say why.")


class Supervised:
    """Something that must run: started again when it ended, ever more patiently while it keeps ending."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self._ends = 0
        self._started = time.monotonic()
        self._due: float | None = None

    def look(self) -> None:
        if self._part.alive():
            return
        now = time.monotonic()
        if self._due is None:
            self._note_end(now)
        if self._due is not None and now >= self._due:
            self._start_again()

    def _note_end(self, now: float) -> None:
        if now - self._started > STEADY_SECONDS:
            self._ends = 0
        wait = BACKOFF[min(self._ends, len(BACKOFF) - 1)]
        self._ends += 1
        self._due = now + wait
        words = self._part.last_words()
        when = f"again in {wait:g} s" if wait else "again"
        say(f"{self._part.name} ended{f' ({words})' if words else ''}; starting it {when}.")

    def _start_again(self) -> None:
        self._due = None
        self._started = time.monotonic()
        try:
            self._part.start()
        except (EmbeddedServerError, OSError) as error:
            say(f"{self._part.name} does not start: {error}")


# -- telling the person who started it


def await_answer(listener: socket.socket) -> None:
    """Ready is when a page answers, not when a process runs."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(reachable, port, timeout=READY_SECONDS)
    try:
        connection.request("GET", "/login/", headers={"Host": _own_host(port)})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise StartFailed(f"the pages do not answer ({error}): the lines above say why.") from error
    finally:
        connection.close()


def _own_host(port: int) -> str:
    plain = [host for host in settings.ALLOWED_HOSTS if not host.startswith((".", "*"))]
    return f"{plain[0] if plain else 'localhost'}:{port}"


def greet(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    place = f"[{host}]" if ":" in host else host
    say(f"\nTideline is ready: http://{place}:{port}\n")
    if settings.DEMO:
        _say_accounts()
    elif not get_user_model().objects.exists():
        say("  There are no accounts yet: `manage.py load_sample --accounts-only` makes the five of the demo.")
    say("  Ctrl-C stops it; what was entered stays.\n")


def _say_accounts() -> None:
    accounts = {user.get_username(): user for user in get_user_model().objects.filter(is_active=True)}
    present = []
    for role, names in DEMO_ACCOUNTS.items():
        known = [name for name in names if name in accounts]
        present += known
        if known:
            say(f"  {role:<12}{'  '.join(known)}")
    if present:
        fits = accounts[present[0]].check_password(settings.DEMO_PASSWORD)
        other = "changed since; `manage.py load_sample --accounts-only` sets DEMO_PASSWORD again"
        say(f"  {'password':<12}{settings.DEMO_PASSWORD if fits else other}\n")
