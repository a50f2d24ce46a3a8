"""Small charts as SVG: labelled directly, drawn in currentColor, with title and description for those who cannot see
them. Each page shows the same figures as a table beside.

Nothing is scaled: lengths along are percent, heights are px, so that a chart fits a phone and its text stays readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

ROW = 44
HEAD = 18
"""px above the highest value: room for its label."""
FOOT = 20
"""px below the axis: room for the names of the periods."""
MOST_NAMES = 5


@dataclass(frozen=True)
class Bar:
    """One pair of bars: now, and what it is compared with. None is missing, not zero."""

    label: str
    value: Decimal | None
    before: Decimal | None
    value_text: str
    before_text: str


@dataclass(frozen=True)
class Point:
    """One period of a trend: its name along the axis, its value (None: missing) and the value in words."""

    name: str
    value: Decimal | None
    text: str


@dataclass(frozen=True)
class Scale:
    """What the height of a plot means: from `low` to `high`, over `height` px, `top` px below its upper edge."""

    low: Decimal
    high: Decimal
    height: int
    top: int

    def y(self, value: Decimal) -> float:
        return self.top + self.height * float((self.high - value) / (self.high - self.low))


def scale(values: Iterable[Decimal | None], height: int, top: int = HEAD) -> Scale:
    """From zero, or below it where a value is, to the highest value."""
    known = [value for value in values if value is not None]
    low, high = min([Decimal(0), *known]), max([Decimal(0), *known])
    return Scale(low, high if high > low else low + 1, height, top)


# -- bars along: who has how much, against before


def bars(rows: Sequence[Bar], *, title: str, description: str) -> SafeString:
    """A pair of bars for each, the present one above the paler former one, name and values written over them."""
    known = [amount for row in rows for amount in (row.value, row.before) if amount is not None and amount > 0]
    largest = max(known, default=Decimal(1))
    drawn = format_html_join("", "{}", ((_row(row, at * ROW, largest),) for at, row in enumerate(rows)))
    return _drawing(drawn, ROW * len(rows), title, description)


def _row(row: Bar, top: int, largest: Decimal) -> SafeString:
    before = format_html(
        '<tspan class="aside" dx="8">{}</tspan>', row.before_text) if row.before_text else ""  # fmt: skip
    return format_html(
        '<text x="0" y="{}">{}</text><text class="strong" x="100%" y="{}" text-anchor="end">{}{}</text>{}{}',
        top + 13, row.label, top + 13, row.value_text, before,
        _bar("bar", top + 20, 8, row.value, largest),
        _bar("before", top + 30, 3, row.before, largest),
    )  # fmt: skip


def _bar(kind: str, top: int, height: int, amount: Decimal | None, largest: Decimal) -> SafeString:
    if amount is None:
        return SafeString("")
    length = max(float(amount / largest) * 100, 0)
    return format_html(
        '<rect class="{}" x="0" y="{}" width="{}%" height="{}" rx="1.5"/>', kind, top, f"{length:.2f}", height
    )


# -- trends: one value for each period


def columns(points: Sequence[Point], *, title: str, height: int = 150, within: Scale | None = None) -> SafeString:
    """A thin column for each period; the highest and the last one have their values written on them."""
    plot = within or scale((point.value for point in points), height)
    zero = plot.y(Decimal(0))
    drawn = format_html_join("", "{}", ((_column(at, point, points, plot, zero),) for at, point in enumerate(points)))
    return _trend(points, drawn, plot, title)


def _column(at: int, point: Point, points: Sequence[Point], plot: Scale, zero: float) -> SafeString:
    if point.value is None:
        return SafeString("")
    step = 100 / len(points)
    y = plot.y(point.value)
    return format_html(
        '<rect class="{}" x="{}%" y="{}" width="{}%" height="{}" rx="1"/>',
        "bar" if at == len(points) - 1 else "bar past", f"{step * (at + 0.22):.3f}", f"{min(y, zero):.1f}",
        f"{step * 0.56:.3f}", f"{max(abs(y - zero), 0.75):.1f}",
    )  # fmt: skip


def line(points: Sequence[Point], *, title: str, height: int = 150, within: Scale | None = None) -> SafeString:
    """A thin line over the periods, broken where a value is missing; the highest and the last point are labelled."""
    plot = within or scale((point.value for point in points), height)
    total = plot.top + plot.height
    paths = format_html_join("", "{}", ((_stroke(run, len(points), plot),) for run in _runs(points)))
    # Strokes are drawn on a canvas of their own, stretched to the width there is; its lines keep their thickness.
    drawn = format_html(
        '<svg width="100%" height="{}" viewBox="0 0 1000 {}" preserveAspectRatio="none">{}</svg>{}',
        total, total, paths, format_html_join("", "{}", ((_dot(at, points, plot),) for at in _marked(points))),
    )  # fmt: skip
    return _trend(points, drawn, plot, title)


def _runs(points: Sequence[Point]) -> list[list[tuple[int, Decimal]]]:
    """The stretches without a gap: (place, value)."""
    runs: list[list[tuple[int, Decimal]]] = [[]]
    for at, point in enumerate(points):
        if point.value is not None:
            runs[-1].append((at, point.value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _stroke(run: Sequence[tuple[int, Decimal]], count: int, plot: Scale) -> SafeString:
    spots = [(1000 * (at + 0.5) / count, plot.y(value)) for at, value in run]
    if len(spots) == 1:  # a point between two gaps
        spots = [(spots[0][0] - 2, spots[0][1]), (spots[0][0] + 2, spots[0][1])]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    zero = f"{plot.y(Decimal(0)):.1f}"
    ground = f"{spots[0][0]:.1f},{zero} {path} {spots[-1][0]:.1f},{zero}"
    return format_html(
        '<polygon class="area" points="{}"/><polyline class="line" points="{}" vector-effect="non-scaling-stroke"/>',
        ground, path,
    )  # fmt: skip


def _dot(at: int, points: Sequence[Point], plot: Scale) -> SafeString:
    value = points[at].value
    if value is None:
        return SafeString("")
    x, y = f"{100 * (at + 0.5) / len(points):.3f}", f"{plot.y(value):.1f}"
    return format_html('<circle class="dot" cx="{}%" cy="{}" r="3"/>', x, y)


def _trend(points: Sequence[Point], drawn: SafeString, plot: Scale, title: str) -> SafeString:
    """What all trends share: the axis, labels on the highest and the last value, names below, values on hover."""
    zero, bottom = plot.y(Decimal(0)), plot.top + plot.height
    axis = format_html('<line class="axis" x1="0" x2="100%" y1="{}" y2="{}"/>', f"{zero:.1f}", f"{zero:.1f}")
    labels = format_html_join("", "{}", ((_label(at, points, plot),) for at in _marked(points)))
    names = format_html_join("", "{}", ((_name(at, points, bottom + 15),) for at in _named(points)))
    hits = format_html_join("", "{}", ((_hit(at, point, len(points), bottom),) for at, point in enumerate(points)))
    words = "; ".join(f"{point.name}: {point.text}" for point in points)
    return _drawing(format_html("{}{}{}{}{}", axis, drawn, labels, names, hits), bottom + FOOT, title, words)


def _marked(points: Sequence[Point]) -> list[int]:
    """The highest and the last value there is; one that would stand too near the other is left out."""
    known = [(point.value, at) for at, point in enumerate(points) if point.value is not None]
    if not known:
        return []
    last, highest = known[-1][1], max(known)[1]
    near = abs(last - highest) < max(len(points) * 0.2, 1)
    return [last] if near else [highest, last]


def _label(at: int, points: Sequence[Point], plot: Scale) -> SafeString:
    value = points[at].value
    if value is None:
        return SafeString("")
    x, anchor = _place(at, len(points))
    y = max(plot.y(max(value, Decimal(0))) - 6, 11)
    return format_html('<text class="strong" x="{}%" y="{}" text-anchor="{}">{}</text>', x, f"{y:.1f}", anchor, points[at].text)  # fmt: skip


def _named(points: Sequence[Point]) -> list[int]:
    """The periods whose names stand below: the first, the last, and a few at even steps between."""
    last = len(points) - 1
    if last < MOST_NAMES:
        return list(range(last + 1))
    return sorted({round(last * part / (MOST_NAMES - 1)) for part in range(MOST_NAMES)})


def _name(at: int, points: Sequence[Point], y: int) -> SafeString:
    x, anchor = _place(at, len(points))
    return format_html('<text x="{}%" y="{}" text-anchor="{}">{}</text>', x, y, anchor, points[at].name)


def _place(at: int, count: int) -> tuple[str, str]:
    """Where a text belongs, in percent, and which end of it: texts at the edges stay inside."""
    middle = 100 * (at + 0.5) / count
    if count > 4 and middle > 88:
        return "100", "end"
    return ("0", "start") if count > 4 and middle < 12 else (f"{middle:.3f}", "middle")


def _hit(at: int, point: Point, count: int, height: int) -> SafeString:
    step = 100 / count
    return format_html(
        '<rect class="hit" x="{}%" y="0" width="{}%" height="{}"><title>{}: {}</title></rect>',
        f"{step * at:.3f}", f"{step:.3f}", height, point.name, point.text,
    )  # fmt: skip


def spark(points: Sequence[Point], within: Scale, *, title: str) -> SafeString:
    """A small column for each period and nothing else: its name and latest value stand in words beside it."""
    zero = within.y(Decimal(0))
    drawn = format_html_join("", "{}", ((_column(at, point, points, within, zero),) for at, point in enumerate(points)))
    bottom = within.top + within.height
    axis = format_html('<line class="axis" x1="0" x2="100%" y1="{}" y2="{}"/>', f"{zero:.1f}", f"{zero:.1f}")
    hits = format_html_join("", "{}", ((_hit(at, point, len(points), bottom),) for at, point in enumerate(points)))
    words = "; ".join(f"{point.name}: {point.text}" for point in points)
    return _drawing(format_html("{}{}{}", axis, drawn, hits), bottom + 1, title, words)


def _drawing(content: SafeString, height: int, title: str, description: str) -> SafeString:
    return format_html(
        '<svg class="plot" width="100%" height="{}" role="img" aria-label="{}"><title>{}</title><desc>{}</desc>{}</svg>',
        height, title, title, description, content,
    )  # fmt: skip


# -- ranks: one bar a row, for a narrow card

RANK = 22


@dataclass(frozen=True)
class Rank:
    """One row: what it is about, how many, and whether it is the one that is looked at."""

    label: str
    count: int
    current: bool = False


def ranks(rows: Sequence[Rank], *, title: str) -> SafeString:
    """Name, count and bar of each, one under the other."""
    largest = max((row.count for row in rows), default=0) or 1
    drawn = format_html_join("", "{}", ((_rank(row, at * RANK, largest),) for at, row in enumerate(rows)))
    words = "; ".join(f"{row.label}: {row.count}" for row in rows)
    return _drawing(drawn, RANK * len(rows), title, words)


def _rank(row: Rank, top: int, largest: int) -> SafeString:
    # The names take up to 92 px, the counts 40 more; half of the narrowest card is left for the bars.
    return format_html(
        '<text class="{}" x="0" y="{}">{}</text><text class="strong" x="132" y="{}" text-anchor="end">{}</text>'
        '<rect class="bar" x="140" y="{}" width="{}%" height="12" rx="2"/>',
        "strong" if row.current else "", top + 15, row.label, top + 15, f"{row.count:,}",
        top + 5, f"{row.count / largest * 50:.2f}",
    )  # fmt: skip
