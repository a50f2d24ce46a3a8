"""The funnel: how many quotes were quoted, extended, bound and lapsed on a day, by product, risk, agent and hour.

One hash a day; each step of a quote adds one, in the transaction that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.repository.agents import Directory, Scope
from dashboard.repository.index import clean
from dashboard.repository.store import Change
from dashboard.repository.values import readable

Stage = Literal["quoted", "extended", "bound", "lapsed"]
STAGES: tuple[Stage, ...] = ("quoted", "extended", "bound", "lapsed")
KEPT_DAYS = 35


@dataclass(frozen=True)
class Cell:
    """One count. `hour` of the business's day; product, risk and agent as the quote had them, "" for none."""

    stage: Stage
    product: str
    risk: str
    agent: str
    hour: int
    count: int


@dataclass(frozen=True)
class Row:
    """The four counts of one product, risk, agent or hour, or of all."""

    name: str
    quoted: int
    extended: int
    bound: int
    lapsed: int

    @property
    def bound_share(self) -> int | None:
        """Bound in percent of what was quoted; None where nothing was."""
        return round(100 * self.bound / self.quoted) if self.quoted else None


def add(
    change: Change,
    stage: Stage,
    *,
    product: str,
    risk: str | None,
    agent: str | None,
    at: int | None = None,
    by: int = 1,
) -> None:
    """Count one step, now or `at` Unix ms; `by` -1 takes it back. One round trip for each day, for the look whether another tool broke
    the day's hash: such a one is left alone, and so is one that is over.
    """
    moment = (clock.moment(at) if at else clock.now()).astimezone(clock.zone())
    name, until = keys.funnel(moment.date().isoformat()), clock.end_of_day(moment.date()) + KEPT_DAYS * clock.DAY
    if until <= clock.now_ms() or change.kind(name) not in ("none", "hash"):
        return
    change.record("HINCRBY", name, f"{stage}|{product}|{clean(risk)}|{clean(agent)}|{moment.hour}", by)
    change.expire_at(until, name)


def day(client: Redis, on: date, scope: Scope, directory: Directory) -> list[Cell]:
    """The day's counts that this person may see. One round trip."""
    if client.type(keys.funnel(on.isoformat())) != "hash":
        return []
    cells = [
        cell for field, count in client.hgetall(keys.funnel(on.isoformat())).items() if (cell := _cell(field, count))
    ]
    return [cell for cell in cells if scope.sees(cell.product, directory.branch_of(cell.agent))]


def total(cells: Sequence[Cell]) -> Row:
    return _row("All", cells)


def by(cells: Sequence[Cell], name: Callable[[Cell], str]) -> list[Row]:
    """The counts for each name, in the names' order."""
    names = sorted({name(cell) for cell in cells})
    return [_row(each, [cell for cell in cells if name(cell) == each]) for each in names]


def _row(name: str, cells: Sequence[Cell]) -> Row:
    counts = {stage: sum(cell.count for cell in cells if cell.stage == stage) for stage in STAGES}
    return Row(name, **counts)


def _cell(field: str, count: str) -> Cell | None:
    """None for a field that is none of ours, and for a count that was taken back."""
    stage, product, risk, agent, hour = (readable(field) + "||||").split("|")[:5]
    if stage not in STAGES or not hour.isdecimal() or not count.isdecimal() or int(hour) > 23 or int(count) == 0:
        return None
    return Cell(stage, product, risk, agent, int(hour), int(count))
