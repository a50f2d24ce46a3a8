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
FEW = 8
"""So many periods are wide enough for their names to stand in the middle of them, at the edges, too."""


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


def columns(points: Sequence[Point], *, title: str, height: int = 150) -> SafeString:
    """A thin column for each period; the highest and the last one have their values written on them."""
    plot = scale((point.value for point in points), height)
    zero = plot.y(Decimal(0))
    drawn = format_html_join("", "{}", ((_column(at, point, points, plot, zero),) for at, point in enumerate(points)))
    return _trend(points, drawn, plot, title, _marked(points))


def _column(at: int, point: Point, points: Sequence[Point], plot: Scale, zero: float) -> SafeString:
    if point.value is None:
        return SafeString("")
    step = 100 / len(points)
    y = plot.y(point.value)
    return format_html(
        '<rect class="{}" x="{}%" y="{}" width="{}%" height="{}" rx="1"/>',
        "bar" if at == len(points) - 1 else "bar past", f"{step * (at + 0.28):.3f}", f"{min(y, zero):.1f}",
        f"{step * 0.44:.3f}", f"{max(abs(y - zero), 0.75):.1f}",
    )  # fmt: skip


def line(points: Sequence[Point], *, title: str, height: int = 150) -> SafeString:
    """A thin line over the periods, broken where a value is missing; the highest and the last point are labelled, the
    lowest too where the line does not stand on zero.
    """
    plot = course(point.value for point in points)
    plot = Scale(plot.low, plot.high, height, HEAD)
    marked = _marked(points, lowest=plot.low > 0)
    drawn = format_html(
        "{}{}", _path(points, plot), format_html_join("", "{}", ((_dot(at, points, plot),) for at in marked))
    )
    return _trend(points, drawn, plot, title, marked, stepped=False)


def course(values: Iterable[Decimal | None], height: int = 44, top: int = 4) -> Scale:
    """The scale of lines: from zero, unless all values lie so far above it that their course could not be seen."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=Decimal(0)), max(known, default=Decimal(0))
    if low <= high / 2:
        return scale(known, height, top)
    margin = (high - low) / 4 or high / 10
    return Scale(low - margin, high, height, top)


def _path(points: Sequence[Point], plot: Scale) -> SafeString:
    """Strokes, on a canvas of their own that is stretched to the width there is; lines keep their thickness."""
    total = plot.top + plot.height
    paths = format_html_join("", "{}", ((_stroke(run, len(points), plot),) for run in _runs(points)))
    return format_html(
        '<svg width="100%" height="{}" viewBox="0 0 1000 {}" preserveAspectRatio="none">{}</svg>', total, total, paths
    )


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
    area = SafeString("")
    if plot.low <= 0:
        zero = f"{plot.y(Decimal(0)):.1f}"
        ground = f"{spots[0][0]:.1f},{zero} {path} {spots[-1][0]:.1f},{zero}"
        area = format_html('<polygon class="area" points="{}"/>', ground)
    return format_html('{}<polyline class="line" points="{}" vector-effect="non-scaling-stroke"/>', area, path)


def _dot(at: int, points: Sequence[Point], plot: Scale) -> SafeString:
    value = points[at].value
    if value is None:
        return SafeString("")
    x, y = f"{100 * (at + 0.5) / len(points):.3f}", f"{plot.y(value):.1f}"
    return format_html('<circle class="dot" cx="{}%" cy="{}" r="3"/>', x, y)


def _trend(
    points: Sequence[Point], drawn: SafeString, plot: Scale, title: str, marked: Sequence[int], *, stepped: bool = True
) -> SafeString:
    """What all trends share: the ground line, labels on some values, names below, every value on hover."""
    bottom = plot.top + plot.height
    labels = format_html_join("", "{}", ((_label(at, points, plot, stepped),) for at in marked))
    names = format_html_join("", "{}", ((_name(at, points, bottom + 15),) for at in _named(points)))
    content = format_html("{}{}{}{}{}", _ground(plot), drawn, labels, names, _hits(points, bottom))
    return _drawing(content, bottom + FOOT, title, _words(points))


def _ground(plot: Scale) -> SafeString:
    """The axis at zero; only a hairline below what does not stand on it."""
    kind, y = ("axis", plot.y(Decimal(0))) if plot.low <= 0 else ("grid", plot.top + plot.height)
    return format_html('<line class="{}" x1="0" x2="100%" y1="{}" y2="{}"/>', kind, f"{y:.1f}", f"{y:.1f}")


def _hits(points: Sequence[Point], height: int) -> SafeString:
    return format_html_join("", "{}", ((_hit(at, point, len(points), height),) for at, point in enumerate(points)))


def _words(points: Sequence[Point]) -> str:
    return "; ".join(f"{point.name}: {point.text}" for point in points)


def _marked(points: Sequence[Point], *, lowest: bool = False) -> list[int]:
    """The last value there is and the highest, and the lowest if wanted; one too near another is left out."""
    known = [(point.value, at) for at, point in enumerate(points) if point.value is not None]
    if not known:
        return []
    chosen = [known[-1][1]]
    for at in (max(known)[1], *((min(known)[1],) if lowest else ())):
        if all(abs(at - other) >= max(len(points) * 0.2, 1) for other in chosen):
            chosen.append(at)
    return sorted(chosen)


def _label(at: int, points: Sequence[Point], plot: Scale, stepped: bool) -> SafeString:
    """The value over its column or point; under a point to which the line comes down, where there is room."""
    value = points[at].value
    if value is None:
        return SafeString("")
    x, anchor = _place(at, len(points))
    y = plot.y(max(value, Decimal(0)) if stepped else value)
    sides = [points[near].value for near in (at - 1, at + 1) if 0 <= near < len(points)]
    falls = not stepped and any(side is not None and side > value for side in sides)
    y = y + 17 if falls and y + 20 < plot.top + plot.height else max(y - 7, 11)
    return format_html(
        '<text class="strong" x="{}%" y="{}" text-anchor="{}">{}</text>', x, f"{y:.1f}", anchor, points[at].text
    )


def _named(points: Sequence[Point]) -> list[int]:
    """The periods whose names stand below: the last, and those at even steps before it."""
    last = len(points) - 1
    return sorted(range(last, -1, -max(1, -(-last // (MOST_NAMES - 1)))))


def _name(at: int, points: Sequence[Point], y: int) -> SafeString:
    x, anchor = _place(at, len(points))
    return format_html('<text x="{}%" y="{}" text-anchor="{}">{}</text>', x, y, anchor, points[at].name)


def _place(at: int, count: int) -> tuple[str, str]:
    """Where a text belongs, in percent, and which end of it: texts at the edges stay inside."""
    middle = 100 * (at + 0.5) / count
    if count > FEW and middle > 88:
        return "100", "end"
    return ("0", "start") if count > FEW and middle < 12 else (f"{middle:.3f}", "middle")


def _hit(at: int, point: Point, count: int, height: int) -> SafeString:
    step = 100 / count
    return format_html(
        '<rect class="hit" x="{}%" y="0" width="{}%" height="{}"><title>{}: {}</title></rect>',
        f"{step * at:.3f}", f"{step:.3f}", height, point.name, point.text,
    )  # fmt: skip


def spark(points: Sequence[Point], within: Scale, *, title: str, lined: bool = False) -> SafeString:
    """A small trend and nothing else, in columns or `lined`: its name and latest value stand in words beside it."""
    if lined:
        drawn = format_html("{}{}", _path(points, within), _dot(len(points) - 1, points, within))
    else:
        zero = within.y(Decimal(0))
        drawn = format_html_join(
            "", "{}", ((_column(at, point, points, within, zero),) for at, point in enumerate(points))
        )
    bottom = within.top + within.height
    return _drawing(
        format_html("{}{}{}", _ground(within), drawn, _hits(points, bottom)), bottom + 2, title, _words(points)
    )


def _drawing(content: SafeString, height: int, title: str, description: str) -> SafeString:
    return format_html(
        '<svg class="plot" width="100%" height="{}" role="img" aria-label="{}"><title>{}</title><desc>{}</desc>{}</svg>',
        height, title, title, description, content,
    )  # fmt: skip


# -- a histogram: how many in each stretch

BIN = 64


@dataclass(frozen=True)
class Bin:
    """One stretch: its name, how many are in it, and whether it is the one that is looked at."""

    label: str
    count: int
    current: bool = False


def histogram(bins: Sequence[Bin], *, title: str) -> SafeString:
    """A column for each stretch with its count on top and its name below; on a phone every fourth name is left."""
    largest = max((each.count for each in bins), default=0) or 1
    chosen = any(each.current for each in bins)
    drawn = format_html_join("", "{}", ((_bin(at, each, len(bins), largest, chosen),) for at, each in enumerate(bins)))
    axis = format_html('<line class="axis" x1="0" x2="100%" y1="{}" y2="{}"/>', HEAD + BIN, HEAD + BIN)
    words = "; ".join(f"{each.label}: {each.count}" for each in bins)
    return _drawing(format_html("{}{}", drawn, axis), HEAD + BIN + FOOT, title, words)


def _bin(at: int, each: Bin, count: int, largest: int, chosen: bool) -> SafeString:
    step, height = 100 / count, each.count / largest * BIN
    middle, top = f"{step * (at + 0.5):.3f}", HEAD + BIN - height
    return format_html(
        '<rect class="{}" x="{}%" y="{}" width="{}%" height="{}" rx="2"/>'
        '<text class="strong" x="{}%" y="{}" text-anchor="middle">{}</text>'
        '<text class="{}" x="{}%" y="{}" text-anchor="middle">{}</text>',
        "bar past" if chosen and not each.current else "bar", f"{step * (at + 0.2):.3f}", f"{top:.1f}",
        f"{step * 0.6:.3f}", f"{height:.1f}", middle, f"{top - 5:.1f}", f"{each.count:,}",
        f"{'strong' if each.current else ''}{'' if at % 4 == 0 else ' opt'}".strip(), middle,
        HEAD + BIN + FOOT - 5, each.label,
    )  # fmt: skip
