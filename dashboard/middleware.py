"""What every request passes: errors of the domain become pages here and nowhere else, and nobody without a living
workstation session gets further than the sign-in page.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dashboard import errors, signin

GetResponse = Callable[[HttpRequest], HttpResponse]

RETRY_SECONDS = 5

API = "/api/v1/"

log = logging.getLogger(__name__)

# The most special first: Expired is a NotFound.
_STATUS: tuple[tuple[type[errors.DomainError], int], ...] = (
    (errors.StoreDown, 503),
    (errors.Expired, 410),
    (errors.NotFound, 404),
    (errors.Forbidden, 403),
    (errors.Conflict, 409),
    (errors.Invalid, 400),
)
_AWAY = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    MasterDownError,
    TryAgainError,
    ConnectionInterrupted,
)
_REFUSING = (ReadOnlyError, OutOfMemoryError)
_REFUSALS = ("MISCONF", "NOREPLICAS", "READONLY", "OOM")

_SECTIONS = {
    "policies": "To the policies",
    "quotes": "To the quotes",
    "claims": "To the claims",
    "sessions": "To the sessions",
    "security": "To what stands",
    "staff": "To the staff accounts",
    "metrics": "To the metrics",
    "keys": "To the keys",
}


class DomainErrors:
    """Turns what went wrong in the business's words, or with the store, into the page that says so."""

    def __init__(self, get_response: GetResponse) -> None:
        # Django makes a plain 500 of what a middleware raises, one layer above it. The layer below this one is the
        # browser's session, whose saving may find the store gone: so it is called without that wrapping.
        self.get_response: GetResponse = getattr(get_response, "__wrapped__", get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith("//"):  # in a link or a form it would be the address of another host
            return redirect("/" + request.get_full_path().lstrip("/"))
        try:
            return _in_words(request, self.get_response(request))
        except Exception as error:
            response = error_page(request, error)
            if response is None:
                raise
            return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return error_page(request, error)


class Workstation:
    """Lets a request through when the person behind it has a living session, and says who that is: request.viewer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.viewer = None  # type: ignore[attr-defined]
        if is_open(request):
            return self.get_response(request)
        try:
            request.viewer = signin.viewer(request, touch=not refreshes_itself(request))  # type: ignore[attr-defined]
        except Exception as error:
            response = error_page(request, error)
            if response is None:
                raise
            return response
        if request.viewer is None:  # type: ignore[attr-defined]
            return to_sign_in(request)
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


# -- errors


def error_page(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """The answer for a domain error, or for a store that is away or takes no writes; None for every other error.
    The log tells the kind of error and of address, never a value.
    """
    found = as_domain_error(error)
    if found is None:
        return None
    status = next(status for kind, status in _STATUS if isinstance(found, kind))
    if status == 503:
        route = request.resolver_match.route if request.resolver_match else "a page"
        log.warning("503 for %s %s: %s", request.method, route or "/", type(error).__name__)
    response = _short(found, status) if is_htmx(request) else _page(request, found, status)
    response.headers["Cache-Control"] = "no-store"
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def as_domain_error(error: Exception) -> errors.DomainError | None:
    """A domain error, or what a store or database that is away amounts to; None for every other error."""
    if isinstance(error, errors.DomainError):
        return error
    if isinstance(error, _REFUSING) or (isinstance(error, ResponseError) and _refuses(error)):
        return errors.StoreDown("The data store takes no writes just now. Nothing was saved.")
    if isinstance(error, ResponseError) and "WRONGTYPE" in str(error):
        return errors.Conflict(_misplaced(str(error)))
    if isinstance(error, OperationalError | InterfaceError):
        return errors.StoreDown("The accounts cannot be reached just now. Nothing was saved; try again in a moment.")
    return errors.StoreDown() if isinstance(error, _AWAY) else None


def _misplaced(words: str) -> str:
    """What to do about a key of another type, by name where it is one of ours: no other name may be shown."""
    found = re.search(r"\b[A-Z]+ (dash:[^\s)]+)", words)
    what = f"The key {found[1]}" if found else "A key of the dashboard's own (under dash:)"
    return (
        f"{what} holds another type than it should: another tool wrote there. Delete it and run manage.py reindex. "
        "What you did may have been done in part: look before you repeat it."
    )


def _refuses(error: ResponseError) -> bool:
    return any(word in str(error) for word in _REFUSALS)


def _short(error: errors.DomainError, status: int) -> HttpResponse:
    """For a page that is open: its script shows the words and leaves the rest as it is."""
    return HttpResponse(format_html("<p data-message>{}</p>", str(error)), status=status)


def _page(request: HttpRequest, error: errors.DomainError, status: int) -> HttpResponse:
    context = {"message": str(error), "was_write": request.method not in ("GET", "HEAD"), **_way_back(request, status)}
    if status == 503:
        context["typed"] = _typed(request)
    return render(request, f"errors/{status}.html", context, status=status)


def _in_words(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """A 405 comes without a word, and a browser would show a page of its own making in its place."""
    if response.status_code != 405 or response.content or request.path.startswith(API):
        return response
    page = render(request, "errors/405.html", _way_back(request, 405), status=405)
    page.headers["Allow"], page.headers["Cache-Control"] = response.headers["Allow"], "no-store"
    return page


def _typed(request: HttpRequest) -> list[tuple[str, str]]:
    """What a form sent, to be sent again as it is: its own tokens with it, so that neither a stranger's form nor one
    that was done after all gains anything. Nothing of signing in.
    """
    if request.method != "POST" or is_open(request):
        return []
    return [(name, text) for name, texts in request.POST.lists() for text in texts if "password" not in name]


def _way_back(request: HttpRequest, status: int) -> dict[str, str]:
    """Where to go on: to the page a form was sent from, else to the list the address belongs to."""
    if request.method not in ("GET", "HEAD"):
        sent_from = _own_page(request, request.headers.get("Referer", ""))
        return {"back": sent_from, "back_label": "Back"} if sent_from else {}
    section = request.path.strip("/").partition("/")[0]
    if status != 503 and section in _SECTIONS and request.path.count("/") > 2:
        return {"back": f"/{section}/", "back_label": _SECTIONS[section]}
    return {}


# -- strangers


def is_open(request: HttpRequest) -> bool:
    """Addresses that everybody may ask for, and the API's, which asks for a token of its own."""
    return request.path == reverse("theme") or request.path.startswith(
        (reverse("login"), f"/{settings.STATIC_URL.strip('/')}/", API)
    )


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def refreshes_itself(request: HttpRequest) -> bool:
    """A live page asking again is no sign of somebody at work."""
    return request.method == "GET" and is_htmx(request) and request.headers.get("HX-Trigger") == "main"


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page and from there back: the whole page, also where only a part of it was asked for."""
    query = {"next": _wanted_page(request)}
    if signin.entry_of(request.session) is not None:
        query["ended"] = "1"
    address = f"{reverse('login')}?{urlencode(query)}"
    if is_htmx(request):
        return HttpResponse(headers={"HX-Redirect": address, "Cache-Control": "no-store"})
    response = redirect(address)
    response.headers["Cache-Control"] = "no-store"
    return response


def _wanted_page(request: HttpRequest) -> str:
    """The page in the browser's address bar: what is asked for by a form or a part of a page is none."""
    if is_htmx(request):
        return _own_page(request, request.headers.get("HX-Current-URL", "")) or "/"
    if request.method not in ("GET", "HEAD"):
        return _own_page(request, request.headers.get("Referer", "")) or "/"
    return request.get_full_path()


def _own_page(request: HttpRequest, address: str) -> str:
    """Path and query of an address of ours; "" for every other."""
    if not address or not url_has_allowed_host_and_scheme(address, {request.get_host()}):
        return ""
    parts = urlsplit(address)
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path
