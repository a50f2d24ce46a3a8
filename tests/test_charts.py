"""Charts: every value in words beside the picture, missing is not drawn, nothing is scaled, nothing escapes."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from dashboard import charts
from dashboard.charts import Bar, Point


def points(*values: float | None) -> list[Point]:
    return [
        Point(f"W{at}", None if value is None else Decimal(str(value)), "none" if value is None else f"{value}")
        for at, value in enumerate(values)
    ]


def parsed(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)


def texts(drawing: str) -> list[str]:
    return ["".join(found.itertext()) for found in parsed(drawing).iter("text")]


@pytest.mark.parametrize(
    "values", [(), (None,), (0,), (0, 0), (5,), (1, None, 3), (-5, 5), (-5, -2), (91, 92, 93), (1e12,)]
)
def test_whatever_there_is_can_be_drawn(values: tuple[float | None, ...]) -> None:
    for draw in (charts.columns, charts.line):
        found = parsed(draw(points(*values), title="Sold"))
        assert found.get("role") == "img" and found.get("aria-label") == "Sold"
        assert not re.search(r"nan|inf", ElementTree.tostring(found, "unicode"))
    within = charts.course(point.value for point in points(*values))
    if values:
        parsed(charts.spark(points(*values), within, title="Sold", lined=True))
        parsed(charts.spark(points(*values), charts.scale([Decimal(1)], 40), title="Sold"))


def test_trap_27_what_is_missing_is_a_gap_and_not_zero() -> None:
    found = parsed(charts.columns(points(3, None, 0, 5), title="Sold"))
    assert len([each for each in found.iter("rect") if "bar" in (each.get("class") or "")]) == 3
    line = parsed(charts.line(points(3, 4, None, 5, 6), title="Sold"))
    assert len(list(line.iter("polyline"))) == 2
    bars = parsed(charts.bars([Bar("Auto", None, None, "none recorded", "")], title="Sold", description=""))
    assert not list(bars.iter("rect"))


def test_each_value_is_said_on_hover_and_to_those_who_cannot_see() -> None:
    drawing = charts.line(points(3, None, 5), title="Sold")
    assert [found.text for found in parsed(drawing).iter("title")][1:] == ["W0: 3", "W1: none", "W2: 5"]
    assert parsed(drawing).findtext("desc") == "W0: 3; W1: none; W2: 5"


def test_the_highest_and_the_last_are_labelled_and_do_not_collide() -> None:
    assert texts(charts.columns(points(1, 9, 2, 3, 4, 5, 6, 7, 4), title="Sold"))[:2] == ["9", "4"]
    assert texts(charts.columns(points(*range(20)), title="Sold"))[0] == "19"
    assert texts(charts.columns(points(1, 2, 3, 4, 5, 6, 7, 9, 8), title="Sold"))[0] == "8", "its neighbour gives way"


def test_a_line_far_from_zero_does_not_stand_on_it_and_says_its_lowest() -> None:
    drawing = charts.line(points(91, 90, 92, 93, 92, 94, 95, 95.5, 96), title="Retention")
    assert {"90", "96"} <= set(texts(drawing))
    assert 'class="axis"' not in drawing and 'class="area"' not in drawing
    assert 'class="axis"' in charts.line(points(1, 2, 9), title="Ratio")


@pytest.mark.parametrize("count", [1, 2, 5, 8, 9, 26, 28])
def test_names_stand_at_even_steps_and_end_with_the_last(count: int) -> None:
    named = [text for text in texts(charts.columns(points(*range(count)), title="Sold")) if text.startswith("W")]
    places = [int(name[1:]) for name in named]
    assert places[-1] == count - 1 and len(places) <= charts.MOST_NAMES
    assert len({after - before for before, after in pairwise(places)}) <= 1


def test_lengths_along_are_percent_so_that_text_keeps_its_size() -> None:
    rows = [Bar("Auto", Decimal(8), Decimal(4), "8", "4 before"), Bar("Home", Decimal(2), None, "2", "")]
    found = parsed(charts.bars(rows, title="Sold", description="words"))
    assert found.get("viewBox") is None and found.get("width") == "100%"
    assert [each.get("width") for each in found.iter("rect")] == ["100.00%", "50.00%", "25.00%"]


def test_a_negative_bar_has_no_length() -> None:
    found = parsed(charts.bars([Bar("Auto", Decimal(-8), Decimal(4), "-8", "")], title="Growth", description=""))
    assert [each.get("width") for each in found.iter("rect")] == ["0.00%", "100.00%"]


def test_names_are_escaped() -> None:
    nasty = "<script>&\"'"
    for drawing in (
        charts.bars([Bar(nasty, Decimal(1), Decimal(1), nasty, nasty)], title=nasty, description=nasty),
        charts.columns([Point(nasty, Decimal(1), nasty)], title=nasty),
        charts.line([Point(nasty, Decimal(1), nasty)], title=nasty),
    ):
        assert "<script" not in drawing
        parsed(drawing)
