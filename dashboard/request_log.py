"""One line of log for each request, and its share in the measures: which page, who, how it went, how long it took.
Never what was typed: no path, no query string, no value. The same id stands in every line that the request leads to.
"""

from __future__ import annotations

import re
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse

from dashboard import measures
from insurance_site.logs import failure

HEADER = "X-Request-ID"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

_well_formed = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}").fullmatch

log = structlog.get_logger("dashboard.requests")


class RequestLog:
    """The first of the middleware: what it times is all of the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        got_request_exception.connect(_tell_failure, dispatch_uid="request log")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        begun = time.monotonic()
        name = request_id(request.headers.get(HEADER, ""))
        with structlog.contextvars.bound_contextvars(request_id=name):
            response = self.get_response(request)
            took = time.monotonic() - begun
            _tell(request, response.status_code, took)
        response.headers[HEADER] = name
        return response


def request_id(given: str) -> str:
    """The id that a proxy in front gave, if it is one; else a new one."""
    return given if _well_formed(given) else uuid.uuid4().hex


def route_of(request: HttpRequest) -> str:
    """The name of the page, as in urls.py: few, and none holds a value."""
    if request.resolver_match is not None:
        return request.resolver_match.view_name or "unnamed"
    return "static" if request.path.startswith(f"/{settings.STATIC_URL.strip('/')}/") else "none"


def method_of(request: HttpRequest) -> str:
    return request.method if request.method in METHODS else "other"


def _tell(request: HttpRequest, status: int, seconds: float) -> None:
    person = getattr(getattr(request, "viewer", None), "id", None)
    route, method = route_of(request), method_of(request)
    measures.request(route, method, status, seconds)
    told: dict[str, Any] = {"route": route, "method": method, "status": status, "ms": round(seconds * 1000, 1)}
    tell = log.error if status >= 500 else log.info
    tell("request", **told, **({"person": person} if person else {}))


def _tell_failure(sender: object, request: HttpRequest | None = None, **_: object) -> None:
    """Django turned an error of ours into a 500: this is the only place that is told which."""
    error = sys.exc_info()[1]
    if error is not None:
        log.error("failed", route=route_of(request) if request else "none", **failure(error))
