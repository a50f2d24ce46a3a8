"""The business's figures: counters of one day, for the company, a department (product) and an agent.

Each ends with its period plus the document's retention, so yesterday can be read all through today. An increment and
its deadline are one transaction; a missing figure is missing, not zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.repository.store import Change
from dashboard.repository.values import Problem, Raw, Reader, Wrong, plain, read_strings

Metric = Literal["policies_sold", "revenue", "claims_filed", "quotes_generated"]
DAILY: tuple[Metric, ...] = ("policies_sold", "revenue", "claims_filed", "quotes_generated")


@dataclass(frozen=True)
class Figures:
    """One row of figures; None where none was written. Revenue is in dollars, the rest are counts."""

    policies_sold: Decimal | None
    revenue: Decimal | None
    claims_filed: Decimal | None
    quotes_generated: Decimal | None
    problems: tuple[Problem, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.problems and all(getattr(self, metric) is None for metric in DAILY)


@dataclass(frozen=True)
class Day:
    """All figures of one day."""

    day: date
    company: Figures
    departments: Mapping[str, Figures]
    agents: Mapping[str, Figures]


def day(client: Redis, on: date, *, agents: Sequence[str] = ()) -> Day:
    """The day's figures, for these agents. One round trip, two where figures are missing."""
    groups: dict[tuple[str, ...], dict[str, str]] = {("company",): _names(on)}
    groups |= {("department", product): _names(on, product=product) for product in keys.PRODUCTS}
    groups |= {("agent", agent): _names(on, agent=agent) for agent in agents}
    values = read_strings(client, [name for names in groups.values() for name in names.values()])
    figures = {group: _figures(values, names) for group, names in groups.items()}
    return Day(
        day=on,
        company=figures[("company",)],
        departments={product: figures[("department", product)] for product in keys.PRODUCTS},
        agents={agent: figures[("agent", agent)] for agent in agents},
    )


def agents_with_figures(client: Redis, on: date) -> set[str]:
    """Agents that have a figure on this day, known to the accounts or not."""
    return {agent for agent in client.smembers(keys.metric_agents(on.isoformat())) if keys.is_identifier(agent)}


def add(change: Change, amounts: Mapping[Metric, Decimal | int], *, product: str | None, agent: str | None) -> None:
    """Raise today's figures, in the three forms that apply. Two round trips, for the look before the leap: INCR on
    a value that another tool broke would fail in the middle of EXEC, so such a figure is left as it is.
    """
    today = clock.today()
    deadline = daily_deadline(today)
    forms = [_names(today)]
    if product:
        forms.append(_names(today, product=product))
    if agent and keys.is_identifier(agent):
        forms.append(_names(today, agent=agent))
        listed = keys.metric_agents(today.isoformat())
        change.record("SADD", listed, agent)
        change.expire_at(deadline, listed)
    raised = [(names[metric], by) for names in forms for metric, by in amounts.items()]
    values = read_strings(change.client, [name for name, _ in raised])
    for name, by in raised:
        if _can_grow(values[name], by):
            change.record("INCRBYFLOAT" if isinstance(by, Decimal) else "INCRBY", name, _step(by))
            change.expire_at(deadline, name)
    change.event("metrics")


def tally(change: Change, agent: str | None, counter: str) -> None:
    """Raise the copy of a figure in the agent's running session (document, lines 151-153); nothing when they have none.
    Three round trips. The session is watched: one that is revoked meanwhile is not brought back by its counter.
    """
    if not agent or not keys.is_identifier(agent):
        return
    session, name = keys.workstation(agent), keys.workstation_field(agent, counter)
    change.watch(session)
    deadline = change.client.pexpiretime(session)
    if deadline > 0 and _can_grow(read_strings(change.client, [name])[name], 1):
        change.record("INCRBY", name, 1)
        change.expire_at(deadline, name)


def daily_deadline(on: date) -> int:
    """Unix ms at which this day's figures end: its own end, and the document's 24 hours (line 226)."""
    return clock.end_of_day(on) + keys.METRIC_RETENTION["daily"] * clock.SECOND


def note_agents(client: Redis, names: Iterable[keys.Parsed]) -> None:
    """Remember agents whose figures another tool wrote. One round trip."""
    pipe = client.pipeline(transaction=True)
    for parsed in names:
        listed = keys.metric_agents(parsed.parts["date"])
        pipe.sadd(listed, parsed.parts["agent"])
        pipe.pexpireat(listed, clock.now_ms() + 2 * clock.DAY)
    pipe.execute()


def _names(on: date, *, product: str | None = None, agent: str | None = None) -> dict[str, str]:
    day_text = on.isoformat()
    if product:
        return {metric: keys.daily_department_metric(day_text, product, metric) for metric in DAILY}
    if agent:
        return {metric: keys.daily_agent_metric(day_text, agent, metric) for metric in DAILY}
    return {metric: keys.daily_metric(day_text, metric) for metric in DAILY}


def _figures(values: dict[str, Raw], names: dict[str, str]) -> Figures:
    reader = Reader(values, names)
    return Figures(**{metric: reader.amount(metric) for metric in DAILY}, problems=tuple(reader.problems))


def _can_grow(raw: Raw, by: Decimal | int) -> bool:
    """Whether Redis itself can add to this value. INCRBY takes no 007; neither takes digits of other scripts."""
    number = r"-?[0-9]{1,17}(?:\.[0-9]{1,17})?" if isinstance(by, Decimal) else r"0|-?[1-9][0-9]{0,16}"
    return raw is None or (not isinstance(raw, Wrong) and bool(re.fullmatch(number, raw)))


def _step(by: Decimal | int) -> str:
    return plain(by) if isinstance(by, Decimal) else str(by)
