"""The real thing as a test sees it: `manage.py serve` in a folder of its own."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from django.conf import settings
from redis import Redis

from dashboard.redis import connect, socket_url

READY = "Ctrl-C stops it"
"""The last line of what it says once everything answers."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _as_a_terminal_would() -> None:
    """Whoever runs the tests in the background has SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Dashboard:
    """One `manage.py serve`. `lines` is what it has said so far, to either stream."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.lines: list[str] = []
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        self._environment = {
            **kept,
            "DJANGO_SETTINGS_MODULE": "insurance_site.settings",
            "DATA_DIR": str(data_dir),
            "PORT": str(self.port),
            **environment,
        }
        self._news: queue.Queue[str | None] = queue.Queue()

    def start(self) -> Dashboard:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=settings.BASE_DIR,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C of a test reaches all of its session, as a terminal's does
            preexec_fn=_as_a_terminal_would,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def start_and_wait(self, seconds: float = 60) -> Dashboard:
        self.start()
        self.await_line(READY, seconds)
        return self

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> Redis:
        return connect(socket_url(self.data_dir))

    @property
    def password(self) -> str:
        return (self.data_dir / "demo_password").read_text().strip()

    def await_line(self, part: str, seconds: float = 20) -> str:
        """The first line from now on that holds `part`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                line = self._news.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                break
            if line is None:
                break
            if part in line:
                return line
        raise AssertionError(f"never said {part!r}, but:\n{self.said}")

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def ctrl_c(self) -> None:
        """As a terminal does it: to the whole group in the foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, seconds: float = 20) -> int:
        return self.process.wait(seconds)

    def stop(self) -> None:
        """End it, whatever state a test left it in."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._news.put(line)
        self._news.put(None)
