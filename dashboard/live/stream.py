"""Live streams: one subscription to the store's changes in each worker, handed on to every open page by
Server-Sent Events. A plain ASGI application, so an open stream costs a coroutine and no thread.

A stream says which areas changed, never what is in them: the page asks for its own fragment with its reader's
rights. Nothing queues: what a slow reader has not taken yet is a set of area names, at most one of each.

Events: `hello` {"now": ms} · `change` {"areas": [...], "now": ms} · `beat` {"now": ms} · `store` down|up · `signed-out`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from http.cookies import CookieError, SimpleCookie
from typing import Any, Protocol
from urllib.parse import parse_qs

import redis.asyncio
from django.conf import settings
from django.db import close_old_connections
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from dashboard import clock, keys
from dashboard.asgi import Receive, Scope, Send
from dashboard.errors import StoreDown
from dashboard.redis import CONNECTION

AREAS = frozenset(
    {
        "quotes",
        "policies",
        "claims",
        "sessions",
        "metrics",
        "customers",
        "places",
        "groups",
        "payments",
        "security",
        "jobs",
        "server",
        "keyspace",
        "compliance",
        "reviews",
        "holds",
    }
)

PACE = 0.25
"""Seconds between two `change` events of one stream."""
HEARTBEAT = 10.0
"""Seconds of silence after which a `beat` is sent. An event and no comment: a page sees the former alone, and so
notices a connection that is open on its side only (QUIET in live.js: two and a half of these).
"""
RECHECK = 5.0
"""Seconds after which it is asked again whether the reader is still signed in."""
CHECK_SECONDS = 1.0
"""How long that question may hold up what else there is to tell."""
SILENCE = 1.5
"""Seconds without a message after which the store is asked for a sign of life; as many again, and it is down."""
PATIENCE = 30.0
"""Seconds a reader may leave a full connection unread before its stream is closed."""
STREAMS_PER_PERSON = 20
"""In one worker. The next one is refused, and that page asks every few seconds instead."""
AUTH_THREADS = 4

log = logging.getLogger(__name__)


class StreamPass(Protocol):
    """Who reads a stream, and whether they still may. `alive` asks the store and may raise StoreDown."""

    @property
    def person(self) -> str: ...

    def alive(self) -> bool: ...


class Stream:
    """One open page: which areas it shows, and what it has not been told yet."""

    def __init__(self, areas: frozenset[str], reader: StreamPass) -> None:
        self.areas = areas
        self.reader = reader
        self.changed: set[str] = set()
        self.store: str | None = None
        self.check = False
        self.ended = False
        self.wake = asyncio.Event()

    def tell_changed(self, areas: Iterable[str]) -> None:
        concerned = self.areas & frozenset(areas)
        if concerned:
            self.changed |= concerned
            self.wake.set()

    def tell_store(self, state: str) -> None:
        """Going down and up again between two sends is still told as `up`, and that everything may have
        changed.
        """
        self.store = state
        if state == "up":
            self.changed |= self.areas
            self.check = True
        self.wake.set()

    def tell_check(self) -> None:
        self.check = True
        self.wake.set()

    def tell_end(self) -> None:
        self.ended = True
        self.wake.set()

    def take(self) -> list[str]:
        """The events to send now; then there is nothing more to tell."""
        events = []
        if self.store:
            events.append(event("store", self.store))
        if self.changed:
            events.append(event("change", {"areas": sorted(self.changed), "now": clock.now_ms()}))
        self.store = None
        self.changed = set()
        return events


class Hub:
    """The worker's one subscription. Lives in the worker's event loop; `version` may be called from any
    thread.
    """

    def __init__(self) -> None:
        self.streams: set[Stream] = set()
        self.connected = False
        self.tell_count: Callable[[int], None] = lambda count: None
        self._versions: Counter[str] = Counter()
        self._unknown = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self.ending = False

    # -- for pages, from their threads

    def version(self, areas: Iterable[str]) -> tuple[int, ...]:
        """Changes whenever something in these areas did: what was rendered for one version may be shown again
        while it stands. Without a connection to the store nobody can know, so every answer is new.
        """
        if not self.connected:
            return (-1, next(self._unknown))
        return tuple(self._versions[area] for area in sorted(areas))

    # -- for the worker

    async def start(self) -> None:
        self.ending = False
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        self.end_streams()
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self.connected = False

    def end_streams(self) -> None:
        """The worker is going: every stream ends now, and its page comes back to another worker."""
        self.ending = True
        for stream in self.streams:
            stream.tell_end()

    # -- for streams

    def admit(self, stream: Stream) -> bool:
        person = stream.reader.person
        if sum(other.reader.person == person for other in self.streams) >= STREAMS_PER_PERSON:
            return False
        self.streams.add(stream)
        self.tell_count(len(self.streams))
        return True

    def release(self, stream: Stream) -> None:
        self.streams.discard(stream)
        self.tell_count(len(self.streams))

    # -- the subscription

    async def _follow(self) -> None:
        """Subscribe, read, and when the store goes away try again until it is back."""
        waits = itertools.chain((0.1, 0.2, 0.5), itertools.repeat(1.0))
        while True:
            try:
                async with _connection() as client, client.pubsub() as channel:
                    await client.ping()  # a server still loading its data takes a subscription, but not this
                    await channel.subscribe(keys.LIVE_CHANNEL)
                    await channel.get_message(timeout=SILENCE)
                    waits = itertools.chain((0.1, 0.2, 0.5), itertools.repeat(1.0))
                    self._up()
                    await self._read(channel)
            except (RedisError, OSError, TimeoutError):
                pass
            except Exception:
                log.exception("The live subscription failed and starts again")
            self._down()
            await asyncio.sleep(next(waits))

    async def _read(self, channel: PubSub) -> None:
        asked = False
        while True:
            message = await channel.get_message(timeout=SILENCE)
            if message is None:
                if asked:
                    raise TimeoutError
                await channel.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "message":
                self.publish(parse(message["data"]))

    def publish(self, changes: dict[str, frozenset[str]]) -> None:
        """Hand on what changed: area -> identifiers."""
        self._versions.update(changes.keys())
        sessions = changes.get("sessions", frozenset())
        for stream in self.streams:
            stream.tell_changed(changes)
            if sessions and _names(sessions, stream.reader.person):
                stream.tell_check()

    def _up(self) -> None:
        self._versions.update(AREAS)  # anything may have changed while nobody listened
        self.connected = True
        for stream in self.streams:
            stream.tell_store("up")

    def _down(self) -> None:
        if not self.connected:
            return
        self.connected = False
        for stream in self.streams:
            stream.tell_store("down")


hub = Hub()


def version(areas: Iterable[str]) -> tuple[int, ...]:
    """See Hub.version."""
    return hub.version(areas)


# -- the application


async def lifespan(receive: Receive, send: Send) -> None:
    """The worker's start and end, as ASGI tells them."""
    await receive()
    await hub.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await hub.stop()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /live?areas=quotes,metrics"""
    if scope["method"] != "GET":
        await _answer(send, 405, "Only GET.", (b"allow", b"GET"))
        return
    if hub.ending:
        await _answer(send, 503, "This worker ends.", (b"retry-after", b"1"))
        return
    try:
        reader = await _in_thread(_authenticate, cookies(scope))
    except StoreDown:
        await _one_event(send, event("store", "down"))
        return
    if reader is None:
        await _one_event(send, event("signed-out", ""))
        return
    stream = Stream(requested_areas(scope), reader)
    if not hub.admit(stream):
        await _answer(send, 429, "Too many open pages.", (b"retry-after", b"10"))
        return
    try:
        await _until_either(_serve(stream, send), _left(receive))
    except TimeoutError:
        pass  # a reader who takes nothing: the connection is closed unfinished
    finally:
        hub.release(stream)


async def _until_either(*works: Coroutine[Any, Any, None]) -> None:
    """Until the first of them ends; the others are cancelled. Raises what the first one raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _serve(stream: Stream, send: Send) -> None:
    """Say hello, then tell what changes until the reader may no longer know or the worker ends."""
    await _start(send)
    hello = event("hello", {"now": clock.now_ms()})
    await _write(send, retry() + hello + ("" if hub.connected else event("store", "down")))
    checked = heard = time.monotonic()
    while not stream.ended:
        await _woken(stream, min(checked + RECHECK, heard + HEARTBEAT) - time.monotonic())
        now = time.monotonic()
        if stream.check or now >= checked + RECHECK:
            stream.check, checked = False, now
            if not await _still_signed_in(stream.reader):
                await _write(send, event("signed-out", ""))
                break
        events = stream.take() or ([_beat()] if now >= heard + HEARTBEAT else [])
        if events:
            await _write(send, "".join(events))
            heard = time.monotonic()
            await asyncio.sleep(0 if stream.ended else PACE)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _woken(stream: Stream, seconds: float) -> None:
    try:
        await asyncio.wait_for(stream.wake.wait(), max(seconds, 0))
    except TimeoutError:
        pass
    stream.wake.clear()


async def _left(receive: Receive) -> None:
    """Until the browser closes the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _still_signed_in(reader: StreamPass) -> bool:
    """While the store does not answer nobody can say; it is asked again as soon as it is back."""
    if not hub.connected:
        return True
    try:
        return bool(await asyncio.wait_for(_in_thread(reader.alive), CHECK_SECONDS))
    except (StoreDown, TimeoutError):
        return True


def _authenticate(cookies: dict[str, str]) -> StreamPass | None:
    from dashboard.signin import stream_viewer  # after Django's start: it reads accounts

    return stream_viewer(cookies)


_threads = ThreadPoolExecutor(AUTH_THREADS, thread_name_prefix="live")


async def _in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    """Accounts and the store's client block, so they are asked in a few threads of their own."""

    def run() -> Any:
        close_old_connections()
        try:
            return call(*arguments)
        except (RedisError, OSError) as error:
            raise StoreDown from error
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(_threads, run)


# -- reading what came


def parse(text: Any) -> dict[str, frozenset[str]]:
    """A message of the channel: area -> identifiers. Anybody may publish there: what is not in form is left
    out.
    """
    try:
        data = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {area: _identifiers(data[area]) for area in AREAS & data.keys()}


def _identifiers(value: Any) -> frozenset[str]:
    if not isinstance(value, list):
        return frozenset()
    return frozenset(item for item in value if isinstance(item, str))


def _names(identifiers: Iterable[str], person: str) -> bool:
    """Whether a session's identifier (agent:AG001:workstation) names the person."""
    return any(person in identifier.split(":") for identifier in identifiers)


def requested_areas(scope: Scope) -> frozenset[str]:
    """Those of the address that there are; none of one with more parameters than any page asks with."""
    try:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=20)
    except ValueError:
        return frozenset()
    return AREAS & frozenset(",".join(query.get("areas", [])).split(","))


def cookies(scope: Scope) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                jar.load(value.decode("latin-1"))
            except CookieError:
                continue
    return {name: morsel.value for name, morsel in jar.items()}


# -- writing


def event(name: str, data: Any) -> str:
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n"


def _beat() -> str:
    return event("beat", {"now": clock.now_ms()})


def retry() -> str:
    """After a worker's end its pages come back spread over a second, not all at once."""
    return f"retry: {random.randint(500, 1500)}\n"


async def _start(send: Send) -> None:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _write(send: Send, text: str) -> None:
    """Waits while the reader's connection is full; raises TimeoutError when it stays so."""
    message = {"type": "http.response.body", "body": text.encode(), "more_body": True}
    await asyncio.wait_for(send(message), PATIENCE)


async def _one_event(send: Send, text: str) -> None:
    await _start(send)
    await send({"type": "http.response.body", "body": (retry() + text).encode(), "more_body": False})


async def _answer(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
    await send({"type": "http.response.body", "body": text.encode(), "more_body": False})


def _connection() -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, **CONNECTION, socket_timeout=2 * SILENCE, retry=Retry(NoBackoff(), 0)
    )
