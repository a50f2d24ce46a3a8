"""The server, for admins: how it is doing, what is wrong with it, and what the layout of policies costs in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from dashboard import charts, clock, redis
from dashboard.charts import Bar, Point
from dashboard.forms.server import Compare, Convert, product_of
from dashboard.permissions import requires, viewer_of
from dashboard.repository import jobs, layouts, server, server_rules
from dashboard.repository.layouts import Comparison
from dashboard.repository.policies import Layout
from dashboard.repository.server import Look, Reading
from dashboard.views import web

SHOWN_SLOW = 12


def size(count: float | None) -> str:
    """1536 -> 1.5 KB."""
    if count is None:
        return "–"
    for unit in ("B", "KB", "MB", "GB"):
        if abs(count) < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TB"


@dataclass(frozen=True)
class Figure:
    """One figure of the server: what it is called, how it is read from a stretch, how it is said."""

    name: str
    title: str
    of: Callable[[Reading], float | None]
    words: Callable[[float], str]

    def text(self, reading: Reading) -> str:
        value = self.of(reading)
        return "–" if value is None else self.words(value)


FIGURES = (
    Figure("memory", "Memory used", lambda reading: reading.memory, size),
    Figure("operations", "Operations a second", lambda reading: reading.operations, lambda value: f"{value:,.0f}"),
    Figure("hits", "Hit rate", lambda reading: reading.hit_rate, lambda value: f"{value:.1f}%"),
    Figure("clients", "Clients", lambda reading: reading.clients, lambda value: f"{value:,.0f}"),
    Figure("lag", "Follower’s lag", lambda reading: reading.lag, lambda value: f"{value:,.0f} ms"),
    Figure("fragmentation", "Fragmentation", lambda reading: reading.fragmentation, lambda value: f"{value:.2f}"),
)


# -- how it is doing


@require_safe
@requires("see_server")
def detail(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "server", ("server",), _detail)


def _detail() -> dict[str, Any]:
    look = server.look(redis.client())
    found = server.readings(look.samples, clock.now_ms())
    known = [reading for reading in found if reading.memory is not None]
    return {
        "look": look,
        "warnings": server_rules.found(look),
        "panels": [_panel(figure, found) for figure in FIGURES],
        "figures": FIGURES,
        "rows": [(reading.at, [figure.text(reading) for figure in FIGURES]) for reading in reversed(known)],
        "facts": _facts(look),
        "slow": [(each, f"{each.took.total_seconds() * 1000:,.1f} ms") for each in look.slow[:SHOWN_SLOW]],
        "slower_than": f"{look.slower_than.total_seconds() * 1000:,.0f} ms" if look.slower_than else "",
    }


def _panel(figure: Figure, found: Sequence[Reading]) -> dict[str, Any]:
    points = [
        Point(f"{reading.at.astimezone(clock.zone()):%H:%M:%S}", _decimal(figure.of(reading)), figure.text(reading))
        for reading in found
    ]
    within = charts.course(point.value for point in points)
    title = f"{figure.title}, the last {server.KEPT * server.EVERY // clock.MINUTE} minutes"
    return {
        "name": figure.name,
        "title": figure.title,
        "latest": points[-1].text,
        "drawing": charts.spark(points, within, title=title, lined=True),
    }


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _facts(look: Look) -> Sequence[tuple[str, str, str]]:
    """Name, value and a note of what the server is set up as."""
    info, told = look.info, look.settings
    most = int(look.number("maxmemory"))
    replicas = int(look.number("connected_slaves"))
    clients = told.get("maxclients", "")
    clients = f"{int(clients):,}" if clients.isdigit() else "an unknown number"
    return (
        ("Persistence", _persistence(look), _saved(look)),
        ("Eviction", str(info.get("maxmemory_policy", "not told")), f"up to {size(most)}" if most else "no limit of its own"),
        ("Memory", size(look.number("used_memory")), f"{size(look.number('used_memory_rss'))} taken from the system, {size(look.number('used_memory_peak'))} used at most"),
        ("Clients", f"{int(look.number('connected_clients')):,}", f"{int(look.number('rejected_connections')):,} rejected, of {clients} at most"),
        ("Replication", "Replica" if info.get("role") == "slave" else "Primary", f"{replicas:,} replica{'' if replicas == 1 else 's'}"),
        ("Notifications", told.get("notify-keyspace-events") or "off or not told", "enough for live pages" if look.follower.notified else "not enough: changes by others show late"),
    )  # fmt: skip


def _persistence(look: Look) -> str:
    if look.info.get("aof_enabled"):
        return f"Append-only file, fsync {look.settings.get('appendfsync', 'not told')}"
    return "Snapshots" if look.settings.get("save") else "None"


def _saved(look: Look) -> str:
    saved = f"last save {look.saved.astimezone(clock.zone()):%d %b, %H:%M}" if look.saved else ""
    if look.info.get("aof_enabled"):
        written = look.info.get("aof_last_write_status", "not told")
        told = f"last write {written}, {size(look.number('aof_current_size'))}"
        return f"{told}; {saved}" if saved else told
    return saved or "nothing was ever saved"


# -- what the layout of policies costs


@require_safe
@requires("see_server")
def memory(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "server/memory", ("server", "jobs"), lambda: _memory(request), shared=False)


def _memory(request: HttpRequest) -> dict[str, Any]:
    found = layouts.latest(redis.client())
    own = jobs.latest(redis.client(), viewer_of(request).id)
    return {
        "comparison": found,
        "chart": _compared(found) if found else "",
        "rows": [_row(row) for row in found.rows] if found else [],
        "saves": size(abs(found.saves)) if found else "",
        "costs": bool(found and found.saves < 0),
        "compare": Compare(),
        "convert": Convert(),
        "new_layout": settings.POLICY_LAYOUT,
        "latest": [each for each in own if each.kind == layouts.CONVERT],
    }


def _compared(found: Comparison) -> SafeString:
    bars = []
    for row in found.rows:
        strings, hashed = row.each
        bars.append(Bar(row.product.title(), Decimal(str(hashed)), Decimal(str(strings)), size(hashed), size(strings)))
    return charts.bars(bars, title="Memory of one policy", description="As a hash, and as strings")


def _row(row: layouts.Measured) -> Mapping[str, Any]:
    strings, hashed = row.each
    return {
        "of": row,
        "fields": f"{row.fields / row.policies:.1f}",
        "strings": size(strings),
        "hash": size(hashed),
        "less": f"{1 - hashed / strings:.0%}" if strings else "–",
        "as_hash": f"{row.as_hash / row.policies:.0%}",
        "saves": size(row.saves),
    }


@require_POST
@requires("see_server")
def compare(request: HttpRequest) -> HttpResponse:
    """Measure over the sample that was asked for; once, however often the form is sent."""
    form = Compare(request.POST)
    if not form.is_valid():
        return _refused(request, form)
    with web.told(request):
        count = layouts.compare(
            product_of(form), form.cleaned_data["size"], by=viewer_of(request).id, token=web.token_of(request)
        )
        messages.success(request, f"{count:,} policies were measured in both layouts.")
    return redirect("memory")


@require_POST
@requires("manage_keys")
def convert(request: HttpRequest) -> HttpResponse:
    """Look for what is to be converted: it is shown, and done once it is confirmed."""
    form = Convert(request.POST)
    if not form.is_valid():
        return _refused(request, form)
    layout: Layout = form.cleaned_data["layout"]
    job = layouts.gather(product_of(form), layout, by=viewer_of(request).id, token=web.token_of(request))
    return redirect("job", job)


def _refused(request: HttpRequest, form: forms.Form) -> HttpResponse:
    """Back to the page, with what was wrong with the form."""
    for name, errors in form.errors.items():
        messages.error(request, f"{form.fields[name].label}: {' '.join(errors)}")
    return redirect("memory")
