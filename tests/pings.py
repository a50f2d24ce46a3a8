"""A client that asks a server all the time, in a process of its own: `python -m tests.pings SOCKET`. It ends with its
standard input, and then says how often it asked and the longest that it waited, in ms.
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
    """`longest` in ms; both are known once the pings have ended."""

    asked = 0
    longest = 0.0


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
        asked, longest = client.stdout.readline().split()
        waits.asked, waits.longest = int(asked), float(longest)


@contextmanager
def urgent(process: int) -> Iterator[None]:
    with suppress(OSError):
        os.sched_setscheduler(process, os.SCHED_FIFO, os.sched_param(URGENT))
    yield
    with suppress(OSError):
        os.sched_setscheduler(process, os.SCHED_OTHER, os.sched_param(0))


def main(socket: str) -> None:
    client, asked, longest = Redis(unix_socket_path=socket), 0, 0.0
    client.ping()
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(URGENT + 1))
    print("asking", flush=True)
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        began = time.perf_counter()
        client.ping()
        longest = max(longest, 1_000 * (time.perf_counter() - began))
        asked += 1
    print(asked, f"{longest:.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
