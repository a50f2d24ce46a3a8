"""docs/data-layout.md says what the catalogue says: each family has its row, and there is no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from dashboard import keys
from dashboard.keys import DAY, HOUR, MINUTE, YEAR, Family
from dashboard.repository.areas import AREAS

PAGE = Path(settings.BASE_DIR) / "docs" / "data-layout.md"
OURS = "dash:"
UNITS = ((YEAR, "year"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1, "second"))


def row(family: Family) -> str:
    """How the page shows a family."""
    cells = [f"`{family.pattern}`", family.kind, lifetime(family), family.meaning]
    if family.pattern.startswith(OURS):
        cells.append("rebuilt" if family.rebuilt else "for good" if family.precious else "lost")
    return f"| {' | '.join(cells)} |"


def field_line(pattern: str, fields: tuple[str, ...]) -> str:
    return f"- `{pattern}`: {', '.join(fields)}"


def cells(area: str) -> str:
    """How the page begins an area's row in the table of cells."""
    index = AREAS[area].index
    patterns = " · ".join(", ".join(pattern) or "all" for pattern in index.patterns)
    return f"| {area} | {patterns} | {', '.join(f'`{sort}`' for sort in index.sorts)} |"


def lifetime(family: Family) -> str:
    if family.lives is None:
        return "permanent"
    shortest, longest = map(span, family.lives)
    return shortest if shortest == longest else f"{shortest} to {longest}"


def span(seconds: int) -> str:
    """28800 -> 8 hours, 90000 -> 1 day 1 hour."""
    parts = []
    for size, unit in UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts)


def page_rows() -> list[str]:
    return [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("name", keys.CATALOGUE)
def test_the_page_shows_each_family_as_the_catalogue_has_it(name: str) -> None:
    expected = row(keys.CATALOGUE[name])
    assert page_rows().count(expected) == 1, f"docs/data-layout.md should have this row once:\n{expected}"


@pytest.mark.parametrize(
    "family",
    [family for family in keys.CATALOGUE.values() if family.fields],
    ids=lambda family: family.pattern,
)
def test_the_page_lists_the_fields_of_each_family_that_has_some(family: Family) -> None:
    expected = field_line(family.pattern, family.fields)
    assert expected in PAGE.read_text(), f"docs/data-layout.md should have this line:\n{expected}"


def test_the_page_shows_no_key_that_the_catalogue_does_not_know() -> None:
    known = {row(family) for family in keys.CATALOGUE.values()}
    assert [line for line in page_rows() if line not in known] == []


@pytest.mark.parametrize("area", AREAS)
def test_the_page_names_the_cells_and_sorts_of_each_area(area: str) -> None:
    expected = cells(area)
    assert expected in PAGE.read_text(), f"docs/data-layout.md should have a row that begins:\n{expected}"


def test_a_lifetime_is_said_in_words() -> None:
    assert [span(seconds) for seconds in (1, 180, 3_600, 7_200, 86_400, 90_000, 31_536_000)] == [
        "1 second",
        "3 minutes",
        "1 hour",
        "2 hours",
        "1 day",
        "1 day 1 hour",
        "1 year",
    ]
