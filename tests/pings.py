"""A client that asks a server all the time, in a process of its own: `python -m tests.pings SOCKET`. It ends with its
standard input, and then says the longest that it waited in each second, in ms.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from redis import Redis

PAUSE = 0.0005
URGENT = 10
"""Before everybody else's work, where the kernel allows: to wait for a processor is no wait for the server."""


class Waits:
    """ms, known once the pings have ended: the longest in each second; what else the machine does is in a few of them."""

    seconds: tuple[float, ...] = ()

    @property
    def longest(self) -> float:
        return max(self.seconds)

    @property
    def usual(self) -> float:
        """What 95 of 100 seconds stay below."""
        return sorted(self.seconds)[int(0.95 * (len(self.seconds) - 1))]


@contextmanager
def pings(socket: str, server: int) -> Iterator[Waits]:
    """Ask this server (its socket, and its process) until the block ends."""
    waits = Waits()
    command = [sys.executable, "-m", "tests.pings", socket]
    with (
        urgent(server),
        subprocess.Popen(command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client,
    ):
        assert client.stdin and client.stdout and client.stdout.readline() == b"asking\n"
        yield waits
        client.stdin.close()
        waits.seconds = tuple(map(float, client.stdout.readline().split()))


@contextmanager
def urgent(process: int) -> Iterator[None]:
    with suppress(OSError):
        os.sched_setscheduler(process, os.SCHED_FIFO, os.sched_param(URGENT))
    yield
    with suppress(OSError):
        os.sched_setscheduler(process, os.SCHED_OTHER, os.sched_param(0))


def main(socket: str) -> None:
    client = Redis(unix_socket_path=socket)
    client.ping()
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(URGENT + 1))
    print("asking", flush=True)
    seconds: dict[int, float] = {}
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        began = time.perf_counter()
        client.ping()
        waited = 1_000 * (time.perf_counter() - began)
        seconds[int(began)] = max(waited, seconds.get(int(began), 0.0))
    print(*(f"{longest:.3f}" for longest in seconds.values()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
