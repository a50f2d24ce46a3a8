"""Small charts as SVG: labelled directly, drawn in currentColor, with title and description for those who cannot see
them. Each page shows the same figures as a table beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH = 480
ROW = 40
LABEL = 78
VALUE = 92


@dataclass(frozen=True)
class Bar:
    """One pair of bars: now, and what it is compared with. None is missing, not zero."""

    label: str
    value: Decimal | None
    before: Decimal | None
    value_text: str
    before_text: str


def bars(rows: Sequence[Bar], *, title: str, description: str) -> SafeString:
    """Horizontal pairs of bars, the present one above the paler former one, values written at their ends."""
    largest = max((amount for row in rows for amount in (row.value, row.before) if amount), default=Decimal(1))
    height = ROW * len(rows) + 4
    drawn = format_html_join("", "{}", ((_row(row, at * ROW, largest),) for at, row in enumerate(rows)))
    return format_html(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title><desc>{}</desc>'
        '<line class="axis" x1="{}" y1="0" x2="{}" y2="{}"/>{}</svg>',
        WIDTH, height, title, title, description, LABEL, LABEL, height, drawn,
    )  # fmt: skip


def _row(row: Bar, top: int, largest: Decimal) -> SafeString:
    return format_html(
        '<text class="strong" x="{}" y="{}" text-anchor="end">{}</text>{}{}',
        LABEL - 8, top + 20, row.label,
        _bar("bar", top + 6, 13, row.value, row.value_text, largest, "strong"),
        _bar("before", top + 22, 9, row.before, row.before_text, largest, ""),
    )  # fmt: skip


def _bar(
    kind: str, top: int, height: int, amount: Decimal | None, text: str, largest: Decimal, weight: str
) -> SafeString:
    length = float((amount or Decimal(0)) / largest) * (WIDTH - LABEL - VALUE)
    return format_html(
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="2"/><text class="{}" x="{}" y="{}">{}</text>',
        kind, LABEL, top, f"{max(length, 0):.1f}", height, weight, f"{LABEL + max(length, 0) + 6:.1f}",
        top + height - (1 if height < 12 else 2), text,
    )  # fmt: skip
