"""What machines ask, answered before Django: /healthz, /readyz and /prometheus. No host name, session or page thread is
needed for them, so they tell the truth while pages wait for a store that hangs. Nothing secret or personal is in them.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import Error as DatabaseError
from django.db import close_old_connections
from redis.exceptions import RedisError

from dashboard import measures, redis
from dashboard.asgi import Receive, Scope, Send
from dashboard.repository import server

log = logging.getLogger(__name__)

HEALTH, READY, MEASURES = "/healthz", "/readyz", "/prometheus"
PATHS = frozenset((HEALTH, READY, MEASURES))
SHARED_SECONDS = 1.0
"""How long one look at whether all is ready answers everybody: however often strangers ask, the store is asked once."""


_threads = ThreadPoolExecutor(2, thread_name_prefix="probes")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """GET and HEAD of one of PATHS."""
    if scope["method"] not in ("GET", "HEAD"):
        await _answer(scope, send, 405, b"Only GET.\n", (b"allow", b"GET, HEAD"))
    elif scope["path"] == HEALTH:
        await _answer(scope, send, 200, b"ok\n")
    elif scope["path"] == READY:
        found = await asyncio.get_running_loop().run_in_executor(_threads, readiness)
        body = json.dumps({"ready": all(each == "ok" for each in found.values()), **found}).encode() + b"\n"
        ready = all(each == "ok" for each in found.values())
        await _answer(scope, send, 200 if ready else 503, body, kind=b"application/json")
    else:
        refusal = _refusal(scope)
        if refusal:
            await _answer(scope, send, *refusal)
            return
        text = await asyncio.get_running_loop().run_in_executor(_threads, measures.text, redis.client())
        await _answer(scope, send, 200, text, kind=b"text/plain; version=0.0.4; charset=utf-8")


# -- ready


class _Latest:
    """The latest look, shared."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at = 0.0
        self.found: dict[str, str] = {}


_latest = _Latest()


def readiness() -> dict[str, str]:
    """store, writes, follower and accounts: "ok", or what is wrong in a word. One round trip and one query, no oftener
    than every SHARED_SECONDS.
    """
    with _latest.lock:
        if not _latest.found or time.monotonic() - _latest.at >= SHARED_SECONDS:
            _latest.found = {**_store(), "accounts": _accounts()}
            _latest.at = time.monotonic()
        return _latest.found


def _store() -> dict[str, str]:
    try:
        found = server.readiness(redis.client())
    except (RedisError, OSError):
        return {"store": "away", "writes": "unknown", "follower": "unknown"}
    return {
        "store": "ok",
        "writes": "ok" if found.writes else "refused",
        "follower": "ok" if found.leased else "silent",
    }


def _accounts() -> str:
    close_old_connections()
    try:
        get_user_model().objects.exists()
    except DatabaseError:
        return "away"
    finally:
        close_old_connections()
    return "ok"


# -- who may read the measures


def _refusal(scope: Scope) -> tuple[int, bytes, tuple[bytes, bytes]] | None:
    """With METRICS_TOKEN set, whoever shows it; without, this machine alone, and not what a proxy on it passes on."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    if settings.METRICS_TOKEN:
        wanted = f"Bearer {settings.METRICS_TOKEN}".encode()
        if hmac.compare_digest(headers.get(b"authorization", b""), wanted):
            return None
        return 401, b"Show METRICS_TOKEN as a bearer token.\n", (b"www-authenticate", b"Bearer")
    passed_on = {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"} & headers.keys()
    if not passed_on and _is_loopback((scope.get("client") or ("",))[0]):
        return None
    return 403, b"Only from this machine, unless METRICS_TOKEN is set.\n", (b"vary", b"authorization")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def _answer(
    scope: Scope, send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes], kind: bytes = b"text/plain"
) -> None:
    told = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
