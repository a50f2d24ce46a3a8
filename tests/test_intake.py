"""A request reaches the pages once all of it is there: whoever sends a form that never arrives holds up nobody."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest
import uvicorn
from a2wsgi import WSGIMiddleware

from dashboard import intake
from tests.processes import free_port

Sent = list[dict[str, Any]]


def told(*messages: dict[str, Any], app: Callable[..., Any] | None = None) -> tuple[Sent, list[bytes]]:
    """What was answered to a request that arrives so, and the bodies that the application was given."""
    sent: Sent = []
    given: list[bytes] = []
    coming = iter(messages)

    async def receive() -> dict[str, Any]:
        for message in coming:
            return message
        await asyncio.Event().wait()  # nothing more comes
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async def pages(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        given.append(message["body"])
        assert not message["more_body"]

    asyncio.run(intake.whole(app or pages)({"type": "http"}, receive, send))
    return sent, given


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts_is_given_whole() -> None:
    assert told(part(b"name="), part(b"AG001", more=False)) == ([], [b"name=AG001"])


def test_the_end_of_the_connection_is_told_behind_it() -> None:
    heard = []

    async def pages(scope: Any, receive: Any, send: Any) -> None:
        heard.extend([(await receive())["type"], (await receive())["type"]])

    told(part(b"", more=False), {"type": "http.disconnect"}, app=pages)
    assert heard == ["http.request", "http.disconnect"]


def test_one_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "SECONDS", 0.02)
    sent, given = told(part(b"name="))
    assert (sent[0]["status"], given) == (408, [])
    assert (b"connection", b"close") in sent[0]["headers"]


def test_one_that_is_too_large_is_refused_before_all_of_it_is_there() -> None:
    sent, given = told(part(b"x" * intake.LARGEST), part(b"x"))
    assert (sent[0]["status"], given) == (413, [])
    assert told(part(b"x" * intake.LARGEST, more=False))[1] == [b"x" * intake.LARGEST]


def test_who_leaves_is_given_no_answer() -> None:
    assert told(part(b"name="), {"type": "http.disconnect"}) == ([], [])


# -- over a real connection

THREADS = 2


def reads_its_form(environ: Any, start: Any) -> list[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start("200 OK", [])
    return [b"a page"]


@contextmanager
def serving(app: Any) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), lifespan="off", log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.config.port
    server.force_exit = server.should_exit = True
    thread.join()


def answers_beside_unfinished_forms(app: Any) -> bool:
    """Whether a page comes while more forms than there are threads wait for their end."""
    with serving(app) as port:
        forms = [socket.create_connection(("127.0.0.1", port)) for _ in range(3 * THREADS)]
        for form in forms:
            form.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nname=")
        time.sleep(0.1)
        asking = HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            asking.request("GET", "/")
            return asking.getresponse().read() == b"a page"
        except TimeoutError:
            return False
        finally:
            for connection in (asking, *forms):
                connection.close()


def test_forms_that_never_arrive_hold_up_nobody() -> None:
    assert answers_beside_unfinished_forms(intake.whole(WSGIMiddleware(reads_its_form, workers=THREADS)))  # type: ignore[arg-type]


def test_control_threads_that_wait_for_them_hold_up_everybody() -> None:
    assert not answers_beside_unfinished_forms(WSGIMiddleware(reads_its_form, workers=THREADS))
