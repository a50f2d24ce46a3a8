"""What all pages share: rendering a page or just its live regions, form tokens, and telling what an action did."""

from __future__ import annotations

import csv
import hashlib
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme

from dashboard import clock, redis
from dashboard.errors import Conflict, DomainError, Expired, Forbidden, Invalid, StoreDown
from dashboard.forms.fields import refuse
from dashboard.live import stream
from dashboard.permissions import viewer_of
from dashboard.repository import filters, store
from dashboard.repository.index import Page

T = TypeVar("T")

_SHARED_SECONDS = 2.0
"""How long an answer may be given to others while no event says that its area changed."""
_MOST_SHARED = 200


def live_page(
    request: HttpRequest,
    folder: str,
    areas: Sequence[str],
    context: Callable[[], Mapping[str, Any]],
    *,
    shared: bool = True,
) -> HttpResponse:
    """A page whose regions are live: `<folder>/page.html`, or `<folder>/_regions.html` alone when htmx asks.

    Shared regions hold nothing personal: everybody with the same rights who has the same address open gets one
    rendering for each change of its areas. What is personal (notices, a fresh form token) is added behind, in live.html.
    """
    if not is_live(request):
        saved = filters.of_page(redis.client(), viewer_of(request).id, request.path)
        return render(request, f"{folder}/page.html", {**context(), "areas": ",".join(areas), "saved": saved})
    # A notice means that this person has just done something: its event may not have come round yet.
    fresh = not shared or len(messages.get_messages(request)) > 0
    regions = _regions(request, folder, context()) if fresh else _shared(request, folder, areas, context)
    return render(request, "live.html", {"regions": regions})


def form_page(
    request: HttpRequest, folder: str, context: Mapping[str, Any], *, areas: Sequence[str] = (), status: int = 200
) -> HttpResponse:
    """A page with a form, which no update touches: only what stands in `<folder>/_regions.html` beside it is live."""
    if not is_live(request):
        return render(request, f"{folder}/page.html", {**context, "areas": ",".join(areas)}, status=status)
    return render(request, "live.html", {"regions": _regions(request, folder, context)})


def _regions(request: HttpRequest, folder: str, context: Mapping[str, Any]) -> str:
    return render_to_string(f"{folder}/_regions.html", dict(context), request)


def is_live(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def new_token() -> str:
    return uuid.uuid4().hex


def token_of(request: HttpRequest) -> str:
    """Digest of person, address and the form's token: the same form sent twice has the same; nobody else's has."""
    secret = request.POST.get("token") or new_token()
    return hashlib.sha256(f"{viewer_of(request).id}\n{request.path}\n{secret}".encode()).hexdigest()[:40]


def done_before(token: str) -> bool:
    """Whether this very form was sent and done already: what it was about may be gone by now. One round trip."""
    return store.is_done(token)


def attempt(form: forms.BaseForm, act: Callable[[], T]) -> tuple[T | None, int]:
    """Do what a form asks for, once it is filled in rightly. What keeps it from being done stands on the form, which
    keeps what was typed: beside its field, or above all of them when a colleague was faster (409) or it is for
    somebody else to do (403).

    Gives what was done and 200; None and the page's status where nothing was.
    """
    if not (form.is_bound and form.is_valid()):
        return None, 200
    try:
        return act(), 200
    except Invalid as error:
        refuse(form, error)
        return None, 200
    except (Conflict, Expired, Forbidden) as error:
        form.add_error(None, str(error))
        return None, 403 if isinstance(error, Forbidden) else 409


@contextmanager
def told(request: HttpRequest) -> Iterator[None]:
    """Tell the person what kept an action from being done, on the page they come back to."""
    try:
        yield
    except StoreDown:
        raise
    except DomainError as error:
        messages.error(request, str(error))


def back(request: HttpRequest, otherwise: str) -> HttpResponse:
    """To the page the form was sent from, filters and all."""
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return redirect(target if safe and target.startswith("/") else otherwise)


# -- files


def csv_answer(filename: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> StreamingHttpResponse:
    """A file of any length, sent while it is read. None is an empty cell; a text that a spreadsheet would take for a
    formula is made text.
    """
    answer = StreamingHttpResponse(_lines(header, rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{filename}"'
    return answer


def _lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, line: str) -> str:
        return line


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a formula may begin with; spreadsheets take the wide forms for the others."""


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.astimezone(clock.zone()).isoformat(timespec="seconds")
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


# -- addresses, chips and pages of lists


@dataclass(frozen=True)
class Chip:
    """One choice of a filter, as a link."""

    label: str
    url: str
    count: int | None
    current: bool


def address(request: HttpRequest, **changes: object) -> str:
    """This page's address with other parameters; None takes one away. Whatever changes, paging starts anew."""
    query = request.GET.copy()
    query.pop("at", None)
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = str(value)
    return f"{request.path}?{query.urlencode()}" if query else request.path


def pager(request: HttpRequest, page: Page[Any]) -> dict[str, object]:
    """What templates/parts/pager.html shows: ranks, the total, and addresses of the neighbouring pages."""
    return {
        "start": page.first,
        "end": page.last,
        "total": page.total,
        "first": address(request) if page.previous else "",
        "previous": address(request, at=page.previous) if page.previous else "",
        "next": address(request, at=page.next) if page.next else "",
    }


def yesterday() -> date:
    return clock.today() - timedelta(days=1)


# -- shared renderings: one for all who would get the same


class _Rendering:
    """One rendering, made by the first who asks while the others wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made = 0.0
        self.text: str | None = None


_renderings: OrderedDict[tuple[Any, ...], _Rendering] = OrderedDict()
_lock = threading.Lock()


def _shared(request: HttpRequest, folder: str, areas: Sequence[str], context: Callable[[], Mapping[str, Any]]) -> str:
    # The version is taken before the store is read: an event in between makes a new key, never a stale answer.
    key = (request.get_full_path(), viewer_of(request).shares_with, stream.version(areas), clock.today())
    with _lock:
        rendering = _renderings.setdefault(key, _Rendering())
        while len(_renderings) > _MOST_SHARED:
            _renderings.popitem(last=False)
    with rendering.lock:
        if rendering.text is None or time.monotonic() - rendering.made > _SHARED_SECONDS:
            rendering.text = _regions(request, folder, context())
            rendering.made = time.monotonic()
        return rendering.text
