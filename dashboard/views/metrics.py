"""Metrics: the day's figures against yesterday's; company, departments and agents for those who lead, one's own for an
agent. The same as a file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from dashboard.charts import Bar, bars
from dashboard.permissions import Viewer, viewer_of
from dashboard.repository import agents, metrics
from dashboard.repository.metrics import DAILY, Figures, Metric
from dashboard.templatetags.tideline import money, number
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_safe

from dashboard import clock, redis
from dashboard.views import params, web

TITLES: dict[Metric, str] = {
    "policies_sold": "Policies sold",
    "revenue": "Revenue",
    "claims_filed": "Claims filed",
    "quotes_generated": "Quotes generated",
}
MOST_AGENTS = 200


@dataclass(frozen=True)
class Row:
    """One line of the table: somebody's figures of the day and of the day before."""

    group: str
    name: str
    now: Figures
    before: Figures

    @property
    def cells(self) -> list[tuple[Metric, Decimal | None, Decimal | None]]:
        return [(metric, getattr(self.now, metric), getattr(self.before, metric)) for metric in DAILY]


@require_safe
def day(request: HttpRequest) -> HttpResponse:
    # An agent's own figures are theirs alone.
    shared = viewer_of(request).may("view_company_metrics")
    return web.live_page(request, "metrics", ("metrics",), lambda: _day(request), shared=shared)


def _day(request: HttpRequest) -> dict[str, Any]:
    metric: Metric = params.choice(request, "metric", DAILY) or "policies_sold"  # type: ignore[assignment]
    rows = _rows(viewer_of(request))
    departments = [row for row in rows if row.group == "Department"]
    people = [row for row in rows if row.group == "Agent"]
    return {
        "day": clock.today(),
        "yesterday": web.yesterday(),
        "total": rows[0],
        "tiles": tiles(rows[0].now, rows[0].before),
        "departments": departments,
        "agents": people,
        "metric": metric,
        "metric_title": TITLES[metric],
        "metrics": [web.Chip(TITLES[each], web.address(request, metric=each), None, each == metric) for each in DAILY],
        "titles": list(TITLES.values()),
        "department_chart": _chart(departments, metric, "by department") if departments else "",
        "agent_chart": _chart(_leading(people, metric), metric, "by agent") if people else "",
    }


def _rows(viewer: Viewer) -> list[Row]:
    """The first row is the total that this person may see. Five round trips at most."""
    client, today, yesterday = redis.client(), clock.today(), web.yesterday()
    if not viewer.may("view_company_metrics"):
        now, before = (metrics.day(client, on, agents=[viewer.id]).agents for on in (today, yesterday))
        return [Row("Agent", viewer.id, now[viewer.id], before[viewer.id])]
    seen = metrics.agents_with_figures(client, today) | metrics.agents_with_figures(client, yesterday)
    known = agents.directory(client).agents(viewer.scope)
    names = sorted(seen | set(known if len(known) <= MOST_AGENTS else ()))
    now_day, before_day = (metrics.day(client, on, agents=names) for on in (today, yesterday))
    rows = [Row("Company", "Company", now_day.company, before_day.company)]
    rows += _paired("Department", now_day.departments, before_day.departments)
    return rows + _paired("Agent", now_day.agents, before_day.agents)


def _paired(group: str, now: Mapping[str, Figures], before: Mapping[str, Figures]) -> list[Row]:
    return [Row(group, name, now[name], before[name]) for name in now]


def tiles(now: Figures, before: Figures) -> list[dict[str, str]]:
    """The four figures as templates/parts/tile.html takes them."""
    return [tile(now, before, metric, title) for metric, title in TITLES.items()]


def tile(now: Figures, before: Figures, metric: Metric, label: str) -> dict[str, str]:
    note = _before_text(metric, getattr(before, metric)) or "none recorded yesterday"
    return {"id": f"tile-{metric}", "label": label, "value": _text(metric, getattr(now, metric)), "note": note}


def _leading(rows: list[Row], metric: Metric, most: int = 12) -> list[Row]:
    return sorted(rows, key=lambda row: getattr(row.now, metric) or Decimal(-1), reverse=True)[:most]


def _chart(rows: list[Row], metric: Metric, what: str) -> str:
    pairs = [(row, getattr(row.now, metric), getattr(row.before, metric)) for row in rows]
    drawn = [
        Bar(
            label=row.name if row.group == "Agent" else row.name.title(),
            value=now,
            before=before,
            value_text=_text(metric, now) if now is not None else "none recorded",
            before_text=_before_text(metric, before),
        )
        for row, now, before in pairs
    ]
    words = "; ".join(", ".join(filter(None, (f"{row.label}: {row.value_text}", row.before_text))) for row in drawn)
    return bars(drawn, title=f"{TITLES[metric]} {what}, today so far", description=words)


def _text(metric: Metric, value: Decimal | None) -> str:
    return str(money(value) if metric == "revenue" else number(value))


def _before_text(metric: Metric, value: Decimal | None) -> str:
    return "" if value is None else f"{_text(metric, value)} yesterday"


@require_safe
def csv_file(request: HttpRequest) -> StreamingHttpResponse:
    """The same figures, today and yesterday, one line for each company, department or agent and day."""
    rows = _rows(viewer_of(request))
    response = StreamingHttpResponse(
        _lines(rows, clock.today(), web.yesterday()), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="metrics-{clock.today():%Y-%m-%d}.csv"'
    return response


def _lines(rows: list[Row], today: date, yesterday: date) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["day", "group", "name", *DAILY])
    for row in rows:
        for on, figures in ((today, row.now), (yesterday, row.before)):
            values = ["" if value is None else f"{value:f}" for value in (getattr(figures, metric) for metric in DAILY)]
            yield writer.writerow([on.isoformat(), row.group, _harmless(row.name), *values])


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, line: str) -> str:
        return line


def _harmless(text: str) -> str:
    """A name that a spreadsheet would take for a formula, made text."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text
