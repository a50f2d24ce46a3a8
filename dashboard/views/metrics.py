"""Metrics: the figures of a day, week, month or quarter against the period before, and trends over those that were
closed; company, departments and agents for those who lead, one's own for an agent. The same as files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from dashboard import charts, clock, keys, redis
from dashboard.charts import Bar, Point
from dashboard.errors import NotFound
from dashboard.permissions import Viewer, requires, viewer_of
from dashboard.repository import agents, archive, metrics, periods
from dashboard.repository.metrics import COMPANY, DAILY, METRICS, RATIOS, Figures, Metric, Shown, Statement
from dashboard.repository.periods import Kind, Period
from dashboard.views import params, web
from dashboard.views.metric_words import TERMS, TITLES, WORD_OF, WORDS, Term, short, title

MOST_AGENTS = 200
MOST_ROWS = 40
"""Agents in the table of all figures; the file has everybody."""
LEADERS = 12
MADE = ("quote_to_bind", "closing_hours")
"""Figures that are made of others for each row."""
LINED = (*RATIOS, *MADE)
"""What is drawn as a line: there is no sum of it."""


# -- what rows and tiles are made of


@dataclass(frozen=True)
class Cell:
    """One figure of a period and of the one before, ready to show. `marks` are what has to be said about it."""

    term: Term
    value: Decimal | None
    before: Decimal | None
    so_far: bool
    before_name: str
    marks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.term.text(self.value)

    @property
    def before_text(self) -> str:
        return "" if self.before is None else self.term.text(self.before)

    @property
    def before_at(self) -> str:
        """on 21 Nov, in W46"""
        return f"{'on' if self.before_name[:1].isdigit() else 'in'} {self.before_name}"

    @property
    def delta(self) -> Decimal | None:
        """What it is more than before; None while the period runs: a part against a whole says nothing."""
        if self.so_far or self.value is None or self.before is None:
            return None
        return self.value - self.before

    @property
    def delta_text(self) -> str:
        if not self.delta:
            return "="
        points = f"{abs(self.delta):f} points" if self.term.form == "percent" else self.term.text(abs(self.delta))
        return f"{'▲' if self.delta > 0 else '▼'} {points}"

    @property
    def tone(self) -> str:
        if not self.delta or not self.term.more:
            return ""
        better = (self.delta > 0) == (self.term.more == "good")
        return "good" if better else "bad"


@dataclass(frozen=True)
class Row:
    """One line of the table: somebody's figures of the period and of the one before."""

    owner: str
    now: Statement
    before: Statement
    two_before: Statement

    @property
    def group(self) -> str:
        return {"company": "Company", "product": "Department", "agent": "Agent"}[self.owner.partition("=")[0]]

    @property
    def name(self) -> str:
        return self.owner.partition("=")[2] or "Company"

    @property
    def label(self) -> str:
        return self.name.title() if self.group == "Department" else self.name

    @property
    def figures(self) -> Figures:
        return self.now.of(self.owner)

    def shown(self, metric: Metric) -> Shown:
        return self.now.shown(self.owner, metric, self.before)

    def shown_before(self, metric: Metric) -> Shown:
        return self.before.shown(self.owner, metric, self.two_before)

    def cell(self, name: str) -> Cell:
        term, running = TERMS[name], not self.now.period.is_over
        words = short(self.before.period)
        if name in MADE:
            pair = (getattr(each.of(self.owner), name) for each in (self.now, self.before))
            return Cell(term, *pair, running, words)
        shown = self.shown(name)  # type: ignore[arg-type]
        before = self.shown_before(name).value  # type: ignore[arg-type]
        return Cell(term, shown.value, before, running, words, (*self._unreadable(name), *_marks(term, shown)))

    def _unreadable(self, name: str) -> list[str]:
        """What is wrong with this figure's own key."""
        return [f"It {each.what}" for each in self.figures.problems if each.key.endswith(f":{name}")]

    @property
    def cells(self) -> list[Cell]:
        return [self.cell(name) for name in TERMS]


def _marks(term: Term, shown: Shown) -> tuple[str, ...]:
    marks = []
    if shown.of_parts is not None:
        marks.append(f"Stored by another tool; its parts give {term.text(shown.of_parts)}")
    elif shown.foreign:
        marks.append("Stored by another tool")
    if shown.late is not None:
        marks.append(f"{term.text(shown.late)} written since it was closed")
    return tuple(marks)


def tiles(now: Figures, before: Figures) -> list[dict[str, str]]:
    """The day's four figures as templates/parts/tile.html takes them."""
    return [tile(now, before, metric, TITLES[metric]) for metric in DAILY]


def tile(now: Figures, before: Figures, metric: Metric, label: str) -> dict[str, str]:
    term, former = TERMS[metric], getattr(before, metric)
    note = "none recorded yesterday" if former is None else f"{term.text(former)} yesterday"
    return {"id": f"tile-{metric}", "label": label, "value": term.text(getattr(now, metric)), "note": note}


# -- one period


@require_safe
def day(request: HttpRequest) -> HttpResponse:
    """A period's figures: today's, or what `period` (day, week, month, quarter) and `of` (2026-W46) say."""
    # An agent's own figures are theirs alone.
    shared = viewer_of(request).may("view_company_metrics")
    return web.live_page(request, "metrics", ("metrics",), lambda: _period(request), shared=shared)


def _period(request: HttpRequest) -> dict[str, Any]:
    viewer, period = viewer_of(request), _asked(request)
    metric = _metric(request, "policies_sold")
    rows = _rows(viewer, period)
    departments = [row for row in rows if row.group == "Department"]
    people = [row for row in rows if row.group == "Agent"] if departments else []
    leaders = _leaders(people, metric)
    listed = people if len(people) <= MOST_ROWS else [place.row for place in leaders[:MOST_ROWS]]
    now = rows[0].now
    return {
        "period": period,
        "title": title(period),
        "before": title(period.before),
        "own": not departments,
        "closed": now.closed,
        "closed_at": clock.moment(now.closed.at) if now.closed else None,
        "ends": _ends(rows[0]),
        "retention": _lifetime(period),
        "may_close": _may_close(viewer, now),
        "close_url": reverse("metrics_close", args=[period.name]),
        "switch": _switch(request, period),
        "steps": _steps(request, period),
        "total": rows[0],
        "terms": list(TERMS.values()),
        "departments": departments,
        "agents": listed,
        "agents_in_all": len(people),
        "metric": metric,
        "metric_title": TERMS[metric].title,
        "metrics": _metric_chips(request, metric),
        "department_chart": _bars(departments, metric, "by department") if departments else "",
        "leaders": leaders[:LEADERS],
        "trends": f"{reverse('metrics_trends')}?period={WORD_OF[period.kind]}&metric={metric}",
        "csv": f"{reverse('metrics_csv')}?of={period.name}",
    }


def _ends(total: Row) -> int | None:
    """When the first of the figures shown ends; None where they are archived, or there are none. One round trip."""
    if total.now.closed or total.figures.empty:
        return None
    return metrics.first_end(redis.client(), total.now.period, total.owner)


def _lifetime(period: Period) -> int:
    """ms for which the period's figures live in all, for the ring beside their end."""
    return period.deadline - clock.end_of_day(period.before.last)


def _asked(request: HttpRequest) -> Period:
    """The period that the address asks for; the running one of its kind where it asks for none or for a future one."""
    found = periods.named(request.GET.get("of", ""))
    if found and (found.is_over or found.is_running):
        return found
    return periods.current(_kind(request, "daily"))


def _kind(request: HttpRequest, otherwise: Kind) -> Kind:
    word = params.choice(request, "period", tuple(WORDS))
    return WORDS[word] if word else otherwise


def _metric(request: HttpRequest, otherwise: str) -> str:
    return params.choice(request, "metric", tuple(TERMS)) or otherwise


def _metric_chips(request: HttpRequest, metric: str) -> list[web.Chip]:
    return [
        web.Chip(each.title, web.address(request, metric=each.name), None, each.name == metric)
        for each in TERMS.values()
    ]


def _switch(request: HttpRequest, period: Period) -> list[web.Chip]:
    """The same time as a day, week, month or quarter; from a running period to the running ones."""
    chips = []
    for word, kind in WORDS.items():
        of = None if period.is_running else periods.of(kind, period.first).name
        chips.append(web.Chip(word.title(), web.address(request, period=word, of=of), None, kind == period.kind))
    return chips


@dataclass(frozen=True)
class Step:
    """A way to another period, with its name; an empty address is none."""

    words: str
    url: str


def _steps(request: HttpRequest, period: Period) -> dict[str, Step | None]:
    def to(other: Period) -> Step:
        of = None if other.is_running else other.name
        return Step(short(other), web.address(request, period=WORD_OF[other.kind], of=of))

    back = to(period.before) if period.before.first > periods.FIRST else None
    return {
        "back": back,
        "forward": None if period.is_running else to(period.after),
        "present": None if period.is_running else to(periods.current(period.kind)),
    }


def _rows(viewer: Viewer, period: Period) -> list[Row]:
    """The first row is the total that this person may see. Thirteen round trips at most, however many agents."""
    if not viewer.may("view_company_metrics"):
        return [Row(f"agent={viewer.id}", *_three(period, [viewer.id]))]
    names = _agents(viewer, (period, period.before))
    three = _three(period, names)
    owners = [COMPANY, *(f"product={name}" for name in three[0].departments), *(f"agent={name}" for name in names)]
    return [Row(owner, *three) for owner in owners]


def _three(period: Period, names: Sequence[str]) -> tuple[Statement, Statement, Statement]:
    """The period, the one before, and of that before it the revenue, which that one's growth is made of."""
    client, before = redis.client(), period.before
    return (
        metrics.statement(client, period, agents=names),
        metrics.statement(client, before, agents=names),
        metrics.statement(client, before.before, agents=names, only=("revenue",)),
    )


def _agents(viewer: Viewer, around: Sequence[Period]) -> list[str]:
    """Agents with a figure in one of these periods, and all others where they are few."""
    client = redis.client()
    seen: set[str] = set()
    for period in around:
        seen |= metrics.agents_with_figures(client, period) | metrics.archived_agents(client, period)
    known = agents.directory(client).agents(viewer.scope)
    return sorted(seen | set(known if len(known) <= MOST_AGENTS else ()))


def _bars(rows: Sequence[Row], metric: str, what: str) -> SafeString:
    drawn = []
    for row in rows:
        cell = row.cell(metric)
        before = f"{cell.before_text} before" if cell.before_text else ""
        drawn.append(
            Bar(row.label, cell.value, cell.before, cell.text if cell.value is not None else "none recorded", before)
        )
    words = "; ".join(", ".join(filter(None, (f"{row.label}: {row.value_text}", row.before_text))) for row in drawn)
    return charts.bars(drawn, title=f"{TERMS[metric].title} {what}", description=words)


@dataclass(frozen=True)
class Leader:
    """A place on the leader board. Equal figures share a rank; `share` is percent of the first one's, for a bar."""

    rank: int | None
    row: Row
    cell: Cell
    share: str


def _leaders(people: Sequence[Row], metric: str) -> list[Leader]:
    """Those with the most first; for a ratio of which less is better, the least. Who has none stands last, unranked."""
    sign = 1 if TERMS[metric].more == "bad" else -1
    cells = [(row, row.cell(metric)) for row in people]
    known = [(row, cell, cell.value) for row, cell in cells if cell.value is not None]
    known.sort(key=lambda each: (sign * each[2], each[0].name))
    largest = max((abs(value) for _, _, value in known), default=Decimal(0)) or Decimal(1)
    values = [value for _, _, value in known]
    board = [
        Leader(values.index(value) + 1, row, cell, f"{max(value, Decimal(0)) / largest * 100:.1f}")
        for row, cell, value in known
    ]
    board += [Leader(None, row, cell, "0") for row, cell in cells if cell.value is None]
    return board


# -- closing


def _may_close(viewer: Viewer, now: Statement) -> bool:
    over = clock.now_ms() >= now.period.end + archive.GRACE
    return viewer.may("close_periods") and over and not now.closed and not now.empty


@require_POST
@requires("close_periods")
def close(request: HttpRequest, span: str) -> HttpResponse:
    """Freeze a period's figures to the archive. Whoever comes second is told that it was done."""
    period = periods.named(span)
    if period is None:
        raise NotFound("There is no such period.")
    with web.told(request):
        done = archive.close(period, by=viewer_of(request).id, token=web.token_of(request))
        messages.success(
            request,
            f"{title(period)} is closed." if done else f"{title(period)} was closed before: nothing was changed.",
        )
    return web.back(request, f"{reverse('metrics')}?of={period.name}")


# -- trends


@dataclass(frozen=True)
class Trend:
    """One owner's course over the closed periods: a picture, and the same as words."""

    name: str
    label: str
    latest: str
    drawing: SafeString


@require_safe
def trends(request: HttpRequest) -> HttpResponse:
    """One figure over the closed periods: `period` (day, week, month, quarter) and `metric`."""
    shared = viewer_of(request).may("view_company_metrics")
    return web.live_page(request, "metrics/trends", ("metrics",), lambda: _trends(request), shared=shared)


def _trends(request: HttpRequest) -> dict[str, Any]:
    viewer, kind, metric = viewer_of(request), _kind(request, "monthly"), _metric(request, "revenue")
    people, known = _trend_agents(viewer, kind, metric)
    owners = _trend_owners(viewer, people)
    found = archive.statements(redis.client(), kind, owners)
    term = TERMS[metric]
    # Growth is told from the period before, which for the oldest one is not drawn.
    former = archive.preceding(redis.client(), found[0].period, owners) if found and metric == "growth_rate" else None
    points = {owner: _points(found, owner, metric, former) for owner in owners}
    departments = [owner for owner in owners if owner.startswith("product=")]
    small = [owner for owner in owners if owner.startswith("agent=") and owner != owners[0]]
    return {
        "word": WORD_OF[kind],
        "term": term,
        "kinds": [
            web.Chip(word.title(), web.address(request, period=word), None, WORDS[word] == kind) for word in WORDS
        ],
        "metrics": _metric_chips(request, metric),
        "own": owners[0] != COMPANY,
        "statements": found,
        "span": f"{title(found[0].period)} to {title(found[-1].period)}" if found else "",
        "whole": _whole(points[owners[0]], metric, _label(owners[0])),
        "departments": _panels(departments, points, term),
        "agents": _panels(small, points, term),
        "agents_known": known,
        "owners": [_label(owner) for owner in owners],
        "table": _table(found, owners, points),
        "csv": f"{reverse('metrics_trends_csv')}?period={WORD_OF[kind]}",
        "metrics_url": f"{reverse('metrics')}?period={WORD_OF[kind]}",
    }


def _trend_agents(viewer: Viewer, kind: Kind, metric: str) -> tuple[list[str], int]:
    if viewer.may("view_company_metrics"):
        return archive.leading_agents(redis.client(), kind, metric, most=LEADERS)
    return [viewer.id], 1


def _trend_owners(viewer: Viewer, people: Sequence[str]) -> list[str]:
    """The first is the one whose trend is drawn large."""
    named = [f"agent={name}" for name in people]
    if not viewer.may("view_company_metrics"):
        return named
    return [COMPANY, *(f"product={product}" for product in keys.PRODUCTS), *named]


def _points(found: Sequence[Statement], owner: str, metric: str, former: Statement | None) -> list[Point]:
    term, points = TERMS[metric], []
    for before, each in zip([former, *found], found, strict=False):
        value = _value(each, owner, metric, before) if each.closed else None
        text = term.text(value) if value is not None else ("none recorded" if each.closed else "never closed")
        points.append(Point(short(each.period), value, text))
    return points


def _value(found: Statement, owner: str, name: str, before: Statement | None) -> Decimal | None:
    if name in MADE:
        return getattr(found.of(owner), name)
    return found.shown(owner, name, before).value  # type: ignore[arg-type]


def _whole(points: Sequence[Point], metric: str, label: str) -> SafeString:
    draw = charts.line if metric in LINED else charts.columns
    return draw(points, title=f"{TERMS[metric].title}, {label}", height=170) if points else SafeString("")


def _panels(owners: Sequence[str], points: dict[str, list[Point]], term: Term) -> list[Trend]:
    """Small multiples: all on one scale, so that they can be compared."""
    values = [point.value for owner in owners for point in points[owner]]
    lined = term.name in LINED
    within = charts.course(values) if lined else charts.scale(values, 44, 4)
    return [
        Trend(
            name=owner.replace("=", "-"),
            label=_label(owner),
            latest=points[owner][-1].text if points[owner] else "",
            drawing=charts.spark(points[owner], within, title=f"{term.title}, {_label(owner)}", lined=lined),
        )
        for owner in owners
        if points[owner]
    ]


def _label(owner: str) -> str:
    kind, _, name = owner.partition("=")
    return "Company" if kind == COMPANY else name.title() if kind == "product" else name


def _table(
    found: Sequence[Statement], owners: Sequence[str], points: dict[str, list[Point]]
) -> list[dict[str, object]]:
    """The newest period first, one text for each owner."""
    rows = [
        {
            "period": each.period,
            "title": title(each.period),
            "url": f"{reverse('metrics')}?of={each.period.name}",
            "texts": [points[owner][at].text for owner in owners],
        }
        for at, each in enumerate(found)
    ]
    return rows[::-1]


# -- files

_FIGURE_COLUMNS = (*METRICS, "quote_to_bind_percent", "claims_closing_hours")


@require_safe
def csv_file(request: HttpRequest) -> StreamingHttpResponse:
    """The figures of a period and of the one before: one line for each company, department or agent and period."""
    period = _asked(request)
    rows = _rows(viewer_of(request), period)
    return web.csv_answer(f"metrics-{period.name}.csv", ("period", "group", "name", *_FIGURE_COLUMNS), _lines(rows))


def _lines(rows: Sequence[Row]) -> Iterator[Sequence[object]]:
    for row in rows:
        for now, before in ((row.now, row.before), (row.before, row.two_before)):
            yield _line(now, before, row.owner, row.group, row.name)


@require_safe
def trends_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Every closed period that the archive goes back to, with every figure of everybody this person may see."""
    viewer, kind = viewer_of(request), _kind(request, "monthly")
    if viewer.may("view_company_metrics"):
        found: Iterator[Statement] = archive.everything(redis.client(), kind)
    else:
        own = archive.statements(redis.client(), kind, [f"agent={viewer.id}"])
        found = iter(each for each in own if each.closed)
    header = ("period", "group", "name", *_FIGURE_COLUMNS)
    return web.csv_answer(f"metrics-{WORD_OF[kind]}s.csv", header, _trend_lines(found, viewer))


def _trend_lines(found: Iterator[Statement], viewer: Viewer) -> Iterator[Sequence[object]]:
    before: Statement | None = None
    for each in found:
        if before is None:
            former = archive.preceding(redis.client(), each.period, [f"agent={name}" for name in each.agents])
        else:
            former = before if before.period == each.period.before else None
        if viewer.may("view_company_metrics"):
            yield _line(each, former, COMPANY, "Company", "Company")
        for name in each.departments:
            yield _line(each, former, f"product={name}", "Department", name)
        for name in each.agents:
            yield _line(each, former, f"agent={name}", "Agent", name)
        before = each


def _line(now: Statement, before: Statement | None, owner: str, group: str, name: str) -> Sequence[object]:
    figures = now.of(owner)
    shown = (now.shown(owner, metric, before).value for metric in METRICS)
    return (now.period.name, group, name, *shown, figures.quote_to_bind, figures.closing_hours)
