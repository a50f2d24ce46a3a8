"""How figures are said: titles, definitions, units, and the names of periods."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from dashboard.repository.metrics import METRICS, Metric
from dashboard.repository.periods import Kind, Period
from dashboard.templatetags.tideline import NONE, money, number, span

Tone = Literal["good", "bad", ""]
Form = Literal["count", "money", "fraction", "percent", "hours"]


@dataclass(frozen=True)
class Term:
    """One figure in words. `more` is what more of it is: good, bad or neither."""

    name: str
    title: str
    unit: str
    definition: str
    form: Form
    more: Tone = ""

    @property
    def adds_up(self) -> bool:
        """Whether a whole period has all of it: ratios and means have none."""
        return self.form in ("count", "money")

    def text(self, value: Decimal | None) -> str:
        """The value with its unit, ready to show; a dash for what is missing."""
        if value is None:
            return NONE
        if self.form == "money":
            return str(money(value))
        if self.form == "hours":
            return span(value * 3600)
        if self.form == "percent":
            return f"{_signed(number(abs(value)), value)}%"
        return f"{value:.2f}" if self.form == "fraction" else _signed(number(abs(value)), value)


def _signed(text: str, value: Decimal) -> str:
    return f"−{text}" if value < 0 else text


TERMS: dict[str, Term] = {
    each.name: each
    for each in (
        Term("policies_sold", "Policies sold", "policies", "Quotes that were bound as a policy.", "count", "good"),
        Term("revenue", "Revenue", "dollars", "Yearly premium of the policies sold.", "money", "good"),
        Term("claims_filed", "Claims filed", "claims", "First notices of a loss.", "count"),
        Term("quotes_generated", "Quotes generated", "quotes", "Quotes that were made, whatever became of them.", "count", "good"),
        Term(
            "customer_acquisition", "New customers", "customers",
            "Customer acquisition: customers whose first policy was written.", "count", "good",
        ),
        Term(
            "claims_ratio", "Claims ratio", "dollars for each dollar of revenue",
            "What was approved on claims, divided by the revenue of the same period: 0.15 is 15 cents for each dollar. Of a "
            "claim that was reopened, what the new decision makes more or less counts when it is made.",
            "fraction", "bad",
        ),
        Term(
            "growth_rate", "Growth rate", "percent",
            "Revenue against that of the period before. Known once the period is over.", "percent", "good",
        ),
        Term(
            "customer_retention", "Customer retention", "percent",
            "Policies renewed, of all that were renewed, cancelled or lapsed; one that was reinstated is not among these.",
            "percent", "good",
        ),
        Term(
            "quote_to_bind", "Quote to bind", "percent",
            "Policies sold, of the quotes generated in the same period.", "percent", "good",
        ),
        Term(
            "closing_hours", "Claims closing time", "days and hours",
            "From report to first decision: the mean of the claims decided, where the report was made here.", "hours", "bad",
        ),
    )
}  # fmt: skip
"""The document's eight, then the two that are only ever made of others."""

TITLES: dict[Metric, str] = {metric: TERMS[metric].title for metric in METRICS}

WORDS: dict[str, Kind] = {"day": "daily", "week": "weekly", "month": "monthly", "quarter": "quarterly"}
"""Kinds of periods by the word that addresses and pages have."""
WORD_OF: dict[Kind, str] = {kind: word for word, kind in WORDS.items()}


def title(period: Period) -> str:
    """Sunday, 22 Nov 2026 · Week 47, 16 – 22 Nov 2026 · November 2026 · Q4 2026, Oct – Dec"""
    first, last = period.first, period.last
    if period.kind == "daily":
        return f"{first:%A}, {first.day} {first:%b} {first.year}"
    if period.kind == "monthly":
        return f"{first:%B} {first.year}"
    if period.kind == "quarterly":
        return f"{period.name[5:]} {first.year}, {first:%b} – {last:%b}"
    begins = f"{first.day}" if first.month == last.month else f"{first.day} {first:%b}"
    return f"Week {int(period.name[6:])}, {begins} – {last.day} {last:%b} {last.year}"


def short(period: Period) -> str:
    """22 Nov · W47 · Nov 26 · Q4 26, for axes and buttons."""
    if period.kind == "daily":
        return f"{period.first.day} {period.first:%b}"
    if period.kind == "weekly":
        return f"W{int(period.name[6:])}"
    head = f"{period.first:%b}" if period.kind == "monthly" else period.name[5:]
    return f"{head} {period.first:%y}"
