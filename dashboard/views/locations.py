"""Places: ZIP areas with their policies and risk scores."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dashboard import clock, redis
from dashboard.permissions import requires, viewer_of
from dashboard.repository import audit, places, policies
from dashboard.repository.places import Filter
from dashboard.views import params, web

SIZE = 50
NAMED = 20
"""Contradictions that a place's page names."""
AREAS = ("places", "policies", "customers")


@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "locations", AREAS, lambda: _listing(request))


def _listing(request: HttpRequest) -> dict[str, Any]:
    wanted, order = _wanted(request), _order(request)
    page = places.listing(redis.client(), wanted, cursor=params.cursor(request), **order)
    return {
        "page": page,
        "pager": web.pager(request, page),
        "wanted": wanted,
        "query": request.GET.urlencode(),
        "may_review": viewer_of(request).may("review_drift"),
        **order,
    }


def _wanted(request: HttpRequest) -> Filter:
    """What the address restricts the list to: a city's name, or what a ZIP begins with."""
    typed = request.GET.get("city", "").strip().lower()
    if re.fullmatch("[0-9]{1,5}", typed):
        return Filter(zip=typed)
    return Filter(city=re.sub(r"[ .'-]+", "_", typed)[:64] or None)


def _order(request: HttpRequest) -> dict[str, Any]:
    """How the address wants the list sorted, as `places.listing` takes it."""
    sort = "zip" if _wanted(request).zip else params.choice(request, "sort", ("zip", "risk")) or "zip"
    return {"sort": sort, "descending": request.GET.get("order") == "down"}


@require_safe
def csv_file(request: HttpRequest) -> StreamingHttpResponse:
    """The list with its filter and order, whole."""
    found = places.every(redis.client(), _wanted(request), **_order(request))
    header = ("ZIP", "City", "Policies listed", "Risk score")
    rows = ((each.zip, each.city, len(each.listed), each.risk) for each in found)
    return web.csv_answer(f"locations-{clock.today()}.csv", header, rows)


@require_safe
def detail(request: HttpRequest, city: str, zip_code: str) -> HttpResponse:
    return web.live_page(request, "locations/detail", AREAS, lambda: _detail(request, city, zip_code))


def _detail(request: HttpRequest, city: str, zip_code: str) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    where = places.get(client, city, zip_code)
    start = params.whole(request, "from", 0, len(where.listed)) or 0
    rows, total = places.policies_in(client, viewer.scope, where, start=start, size=SIZE)
    end = min(start + SIZE, total)
    all_wrong = places.compare(client, where)
    named = policies.named_to(client, viewer.scope, [each.policy for each in all_wrong])
    wrong = [each for each in all_wrong if each.policy in named][:NAMED]
    records = audit.history(client, audit.PLACE, city, zip_code)
    texts = policies.told_to(client, viewer.scope, [record.text for record in records])
    return {
        "where": where,
        "rows": rows,
        "hidden": end - start - len(rows),
        "pager": {
            "start": start + 1,
            "end": end,
            "total": total,
            "first": web.address(request, **{"from": None}) if start else "",
            "previous": web.address(request, **{"from": max(start - SIZE, 0)}) if start else "",
            "next": web.address(request, **{"from": end}) if end < total else "",
        },
        "wrong": wrong,
        "more_wrong": len(all_wrong) - len(wrong),
        "history": [replace(record, text=text) for record, text in zip(records, texts, strict=True)],
        "may_edit": viewer.may("edit_customers"),
    }


@require_POST
@requires("edit_customers")
def repair(request: HttpRequest, city: str, zip_code: str) -> HttpResponse:
    with web.told(request):
        words = places.repair(city, zip_code, by=viewer_of(request).id, token=web.token_of(request))
        messages.success(request, words)
    return web.back(request, reverse("location", args=(city, zip_code)))
