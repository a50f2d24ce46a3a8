"""The body of a request is awaited here, in a coroutine, before one of the few threads that render pages is taken: else
as many strangers as there are threads, each with a form that never arrives, would hold up everybody.
"""

from __future__ import annotations

import asyncio

from dashboard.asgi import App, Message, Receive, Scope, Send

LARGEST = 1_000_000
"""Bytes of a body. The largest form names some hundred keys."""
SECONDS = 15.0
"""How long a body may take to arrive."""


class TooLarge(Exception):
    """More than LARGEST bytes."""


class Left(Exception):
    """The connection was closed before all of it was there."""


def whole(app: App) -> App:
    """The application, asked only once all of a request is there. 408 for one that takes too long, 413 for one that is too
    large; whoever leaves gets no answer.
    """

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await asyncio.wait_for(_body(receive), SECONDS)
        except TimeoutError:
            await _refuse(send, 408, b"The request took too long to arrive.\n")
        except TooLarge:
            await _refuse(send, 413, b"The request is too large.\n")
        except Left:
            pass
        else:
            await app(scope, _at_once(body, receive), send)

    return asked


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        body += message.get("body", b"")
        if len(body) > LARGEST:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(body)


def _at_once(body: bytes, receive: Receive) -> Receive:
    """What was received, in one message; behind it what else there is to tell."""
    first = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def given() -> Message:
        return next(first, None) or await receive()

    return given


async def _refuse(send: Send, status: int, words: bytes) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(words)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words})
