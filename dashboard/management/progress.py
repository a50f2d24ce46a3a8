"""How far a long command has come: a bar with rate and time left on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

WIDTH = 28
REDRAW = 0.1
"""Seconds between two pictures of the bar."""
LINE = 5.0
"""Seconds between two lines where nobody watches."""


class Progress:
    """`with Progress("policies", total=1_000_000) as progress: progress.update(5_000)`"""

    def __init__(self, what: str, total: int, *, done: int = 0, stream: TextIO | None = None) -> None:
        """`done`: where an earlier run came to, so that the rate is this run's."""
        self._what = what
        self._total = total
        self._done = self._first = done
        self._stream = stream or sys.stderr
        self._watched = self._stream.isatty()
        self._began = self._shown = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watched:
            self._stream.write("\r\x1b[K")
        state = f"{self._done:,} {self._what}" if kind is None else f"{self._done:,} of {self._total:,} {self._what}"
        self._stream.write(f"{state} in {_duration(self._elapsed)} ({self._rate:,.0f}/s)\n")
        self._stream.flush()

    def update(self, done: int, total: int | None = None) -> None:
        self._done = done
        self._total = total or self._total
        now = time.monotonic()
        if now - self._shown >= (REDRAW if self._watched else LINE):
            self._shown = now
            self._stream.write(f"\r\x1b[K{self}" if self._watched else f"{self}\n")
            self._stream.flush()

    def __str__(self) -> str:
        share = min(self._done / self._total, 1) if self._total else 1
        filled = round(share * WIDTH)
        bar = "█" * filled + "░" * (WIDTH - filled)
        return (
            f"{bar} {share:4.0%}  {self._done:,} of {self._total:,} {self._what}  "
            f"{self._rate:,.0f}/s  {self._left} left"
        )

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def _rate(self) -> float:
        return (self._done - self._first) / max(self._elapsed, 1e-6)

    @property
    def _left(self) -> str:
        return _duration((self._total - self._done) / self._rate) if self._rate else "unknown time"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
