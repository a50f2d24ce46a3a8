"""The business's periods: days, ISO weeks, months and quarters, by the names that keys have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from dashboard import clock, keys

Kind = Literal["daily", "weekly", "monthly", "quarterly"]
KINDS: tuple[Kind, ...] = ("daily", "weekly", "monthly", "quarterly")

FIRST, LAST = date(1990, 1, 1), date(2200, 1, 1)
"""Days beyond which there is no period: an address may ask for any."""

_FORMS: dict[Kind, re.Pattern[str]] = {
    "daily": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "weekly": re.compile(r"([0-9]{4})-W([0-9]{2})"),
    "monthly": re.compile(r"([0-9]{4})-([0-9]{2})"),
    "quarterly": re.compile(r"([0-9]{4})-Q([1-4])"),
}


@dataclass(frozen=True)
class Period:
    """One day, week, month or quarter. `name` as in keys (2024-W33); `first` and `last` are its days."""

    kind: Kind
    name: str
    first: date
    last: date

    @property
    def end(self) -> int:
        """Unix ms: the first that is not of this period, in the business's zone."""
        return clock.end_of_day(self.last)

    @property
    def deadline(self) -> int:
        """Unix ms at which its figures end: its own end, and the document's retention (lines 224-256)."""
        return self.end + keys.METRIC_RETENTION[self.kind] * clock.SECOND

    @property
    def is_running(self) -> bool:
        return self.first <= clock.today() <= self.last

    @property
    def is_over(self) -> bool:
        return self.last < clock.today()

    @property
    def before(self) -> Period:
        return of(self.kind, self.first - timedelta(days=1))

    @property
    def after(self) -> Period:
        return of(self.kind, self.last + timedelta(days=1))


def of(kind: Kind, day: date) -> Period:
    """The period that `day` is in."""
    if kind == "daily":
        return Period(kind, day.isoformat(), day, day)
    if kind == "weekly":
        first = day - timedelta(days=day.weekday())
        return Period(kind, f"{day:%G-W%V}", first, first + timedelta(days=6))
    months = 1 if kind == "monthly" else 3
    first = day.replace(month=(day.month - 1) // months * months + 1, day=1)
    after = (first + timedelta(days=31 * months)).replace(day=1)
    name = f"{day:%Y-%m}" if kind == "monthly" else f"{day:%Y}-Q{(day.month + 2) // 3}"
    return Period(kind, name, first, after - timedelta(days=1))


def current(kind: Kind) -> Period:
    return of(kind, clock.today())


def named(text: str) -> Period | None:
    """The period of this name; None for what is none, the 53rd week of a year that has 52 among them."""
    for kind, form in _FORMS.items():
        found = form.fullmatch(text)
        if found:
            day = _first_day(kind, text, found)
            return of(kind, day) if day and FIRST <= day < LAST else None
    return None


def _first_day(kind: Kind, text: str, found: re.Match[str]) -> date | None:
    try:
        if kind == "daily":
            return date.fromisoformat(text)
        year, part = int(found[1]), int(found[2])
        if kind == "weekly":
            return date.fromisocalendar(year, part, 1)
        return date(year, part if kind == "monthly" else 3 * part - 2, 1)
    except ValueError:
        return None


def latest(kind: Kind, count: int) -> list[Period]:
    """The last `count` periods that are over, the oldest first."""
    found, period = [], current(kind)
    for _ in range(count):
        period = period.before
        found.append(period)
    return found[::-1]
