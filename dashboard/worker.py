"""One server process: pages and live streams on a socket that the parent listens on. Started by serving.py as
`python -m dashboard.worker LISTENER PARENT READY`, three inherited descriptors.
"""

from __future__ import annotations

import os
import socket
import sys
import threading

import uvicorn
from django.urls import get_resolver

from dashboard import measures
from dashboard.live.stream import hub
from insurance_site.asgi import application

GRACE_SECONDS = 3
"""How long requests under way may take when the worker ends."""


class PageServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: int) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        os.write(self._ready, b"+")
        os.close(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        hub.end_streams()  # an open stream would use up all of the grace
        await super().shutdown(sockets)

    def end_with(self, parent: int) -> None:
        """End when the parent does, however it ended: the kernel then closes its side of the pipe."""
        os.read(parent, 1)
        self.should_exit = True


def main(listener: int, parent: int, ready: int) -> None:
    hub.tell_count = measures.streams
    get_resolver().url_patterns  # noqa: B018 - imports every view now, so a broken one stops the start
    config = uvicorn.Config(
        application,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = PageServer(config, ready)
    threading.Thread(target=server.end_with, args=[parent], daemon=True).start()
    server.run(sockets=[socket.socket(fileno=listener)])
    sys.stderr.flush()
    os._exit(0)  # a page still blocked in its thread has had its grace; a plain exit would wait for it


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
