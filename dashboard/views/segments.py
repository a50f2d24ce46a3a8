"""Segments and tiers: how many customers each has, who they are, and what they pay."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_safe

from dashboard import redis
from dashboard.permissions import requires, viewer_of
from dashboard.repository import groups
from dashboard.views import params, web
from dashboard.views.customers import file_of

AREAS = ("groups", "customers")


@require_safe
@requires("view_customer_data")
def overview(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "segments", AREAS, lambda: _overview(request))


def _overview(request: HttpRequest) -> dict[str, Any]:
    figures = viewer_of(request).may("view_company_metrics")
    found = [(kind, groups.overview(redis.client(), kind, figures=figures)) for kind in groups.KINDS]
    rows = [(kind, each, max((group.size for group in each), default=0)) for kind, each in found]
    return {"kinds": rows, "figures": figures}


@require_safe
@requires("view_customer_data")
def members(request: HttpRequest, kind: str, name: str) -> HttpResponse:
    return web.live_page(request, "segments/members", AREAS, lambda: _members(request, kind, name))


def _members(request: HttpRequest, kind: str, name: str) -> dict[str, Any]:
    client = redis.client()
    group = groups.get(client, kind, name)
    cursor = params.scan_cursor(request)
    found = groups.members(client, group, cursor=cursor)
    more = web.address(request, at=found.cursor) if found.cursor else ""
    return {"group": group, "found": found, "started": bool(cursor), "more": more, "again": web.address(request)}


@require_safe
@requires("view_customer_data")
def members_file(request: HttpRequest, kind: str, name: str) -> StreamingHttpResponse:
    """All of a group's members, however many."""
    client = redis.client()
    group = groups.get(client, kind, name)
    return file_of(
        request, f"{group.kind}-{group.name}", f"of the {group.kind} {group.name}", groups.everybody(client, group)
    )
