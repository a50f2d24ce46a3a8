"""Compliance: the audit records by who, what, whom and when, and as files; who looked at a customer; what is kept how
long; whether the chain holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_POST, require_safe

from dashboard import clock, keys, redis
from dashboard.permissions import Viewer, customer_for, requires, viewer_of
from dashboard.repository import audit, chain, customers, holds, retention, reviews, verification
from dashboard.views import params, web

RECORD_AREAS = (
    "compliance", "policies", "quotes", "claims", "customers", "payments", "places", "security", "reviews", "holds",
)  # fmt: skip
KIND_WORDS = {
    "policy": "Policies", "quote": "Quotes", "claim": "Claims", "customer": "Customers", "payment": "Payments",
    "access": "Access", "session": "Sessions", "security": "Accounts", "location": "Places",
    "key": "Keys",
}  # fmt: skip
SIZE = 50
LONGEST = 100
"""Characters of the words that are searched for."""


# -- the records


@dataclass(frozen=True)
class Row:
    """A record as the page shows it: with what was changed, and where what it is about is found."""

    record: audit.Record
    changes: list[audit.Changed]
    about_url: str
    held: bool


@require_safe
@requires("see_compliance")
def records(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "compliance", RECORD_AREAS, lambda: _records(request))


def _records(request: HttpRequest) -> dict[str, Any]:
    client, wanted = redis.client(), _wanted(request)
    before = _before(request)
    found = audit.search(client, wanted, before=before, size=SIZE)
    held = holds.held(client, [record.key for record in found.records])
    return {
        "rows": [Row(each, audit.changes(each.text), address_of(each), each.key in held) for each in found.records],
        "older": web.address(request, before=found.more) if found.more is not None else "",
        "newest": web.address(request, before=None) if before is not None else "",
        "wanted": wanted,
        "typed": {name: request.GET.get(name, "")[:64] for name in ("who", "about", "from", "to")},
        "filtered": wanted != audit.Search(),
        "query": request.GET.urlencode(),
        "chips": _chips(request, wanted),
        **counted(client),
    }


def counted(client: Any) -> dict[str, Any]:
    """What the tabs say beside their names."""
    return {"tally": reviews.counts(client), "held": sum(holds.totals(client).values())}


def holding(viewer: Viewer, kind: holds.Kind, of: str) -> dict[str, Any]:
    """What the page of a thing says of its legal hold, to those who may put one on. One round trip, none for others."""
    if not viewer.may("see_compliance"):
        return {"may_hold": False}
    return {"may_hold": True, "hold": holds.on(redis.client(), kind, of), "hold_kind": kind, "hold_of": of}


def _wanted(request: HttpRequest) -> audit.Search:
    return audit.Search(
        who=params.identifier(request, "who") or "",
        kind=params.choice(request, "kind", tuple(audit.KINDS)) or "",
        about=request.GET.get("about", "").strip()[:200],
        words=request.GET.get("q", "").strip()[:LONGEST],
        since=beginning(params.day(request, "from")),
        until=end(params.day(request, "to")),
    )


def beginning(of: date | None) -> int | None:
    """Unix ms of a day's first moment in the business's zone."""
    return clock.ms(datetime(of.year, of.month, of.day, tzinfo=clock.zone())) if of else None


def end(of: date | None) -> int | None:
    """Unix ms of the first moment after a day."""
    return clock.end_of_day(of) if of else None


def _before(request: HttpRequest) -> int | None:
    value = request.GET.get("before", "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 16 else None


def _chips(request: HttpRequest, wanted: audit.Search) -> list[web.Chip]:
    totals = audit.totals(redis.client())
    chips = [web.Chip("All", web.address(request, kind=None, before=None), sum(totals.values()), not wanted.kind)]
    for kind, count in totals.items():
        url = web.address(request, kind=kind, before=None)
        chips.append(web.Chip(KIND_WORDS[kind], url, count, wanted.kind == kind))
    return chips


_PAGES = {"policy": "policy", "quote": "quote", "claim": "claim", "customer": "customer", "access": "customer"}


def address_of(record: audit.Record) -> str:
    """Where what a record is about is shown; "" where it has no page."""
    parts = record.about.split(":")
    try:
        if record.kind == "location":
            return reverse("location", args=parts)
        if record.kind == "payment":
            told = audit.customer_of(record.text)
            return reverse("customer", args=(told,)) if told else ""
        return reverse(_PAGES[record.kind], args=parts) if record.kind in _PAGES else ""
    except NoReverseMatch:
        return ""


# -- files


@require_safe
@requires("see_compliance")
def csv_file(request: HttpRequest) -> StreamingHttpResponse:
    """All that the page's filter finds, however many."""
    header = ("When", "Kind", "About", "By", "Text", "Changed", "Before", "After", "Key")
    rows = (_csv_row(each) for each in audit.every(redis.client(), _wanted(request)))
    return web.csv_answer(f"audit-{clock.today()}.csv", header, rows)


def _csv_row(each: audit.Record) -> tuple[object, ...]:
    changes = audit.changes(each.text)
    return (
        _told(each), each.kind, each.about, each.by, each.text, *(
            "; ".join(getattr(change, name) for change in changes) for name in ("name", "before", "after")
        ), each.key,
    )  # fmt: skip


@require_safe
@requires("see_compliance")
def json_lines(request: HttpRequest) -> StreamingHttpResponse:
    """The same, a JSON object a line."""
    answer = StreamingHttpResponse(
        _json_lines(audit.every(redis.client(), _wanted(request))), content_type="application/x-ndjson; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="audit-{clock.today()}.jsonl"'
    return answer


def _json_lines(found: Iterator[audit.Record]) -> Iterator[str]:
    for each in found:
        changes = [{"name": c.name, "before": c.before, "after": c.after} for c in audit.changes(each.text)]
        line = {"when": _told(each), "kind": each.kind, "about": each.about, "by": each.by, "text": each.text}
        yield json.dumps({**line, "changes": changes, "key": each.key}) + "\n"


def _told(each: audit.Record) -> str:
    """A day where no more is known."""
    return f"{each.at:%Y-%m-%d}" if each.to_the_day else clock.iso(each.at)


# -- who looked at a customer


@require_safe
@requires("see_compliance")
def access(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "compliance/access", ("customers", "reviews", "holds"), lambda: _access(request))


def _access(request: HttpRequest) -> dict[str, Any]:
    client, customer = redis.client(), params.identifier(request, "customer")
    shown: dict[str, Any] = {"typed": request.GET.get("customer", "").strip()[:64], **counted(client)}
    if not customer or not keys.is_customer(customer):
        return shown | {"customer": None}
    wanted, before = audit.Search(kind="access", about=customer), _before(request)
    found = audit.search(client, wanted, before=before, size=SIZE)
    customer_for(viewer_of(request), customer)
    return shown | {
        "customer": customers.get(client, customer),
        "records": found.records,
        "older": web.address(request, before=found.more) if found.more is not None else "",
        "newest": web.address(request, before=None) if before is not None else "",
    }


# -- retention, and the chain


@require_safe
@requires("see_compliance")
def retained(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "compliance/retention", RECORD_AREAS, lambda: _retained(request))


def _retained(request: HttpRequest) -> dict[str, Any]:
    client = redis.client()
    run, last = verification.standing(client)
    return {
        "table": retention.table(client),
        "by_kind": [(holds.KINDS[kind], count) for kind, count in holds.totals(client).items()],  # type: ignore[index]
        "chain": chain.head(client),
        "waiting": chain.waiting(client),
        "run": run,
        "last": last,
        "last_at": clock.moment(last.ended) if last else None,
        **counted(client),
    }


@require_POST
@requires("see_compliance")
def verify(request: HttpRequest) -> HttpResponse:
    with web.told(request):
        verification.ask(by=viewer_of(request).id, token=web.token_of(request))
        messages.success(request, "The chain is being looked at. What is found stands here.")
    return web.back(request, reverse("retention"))
