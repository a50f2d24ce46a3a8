"""The permanent archive: figures of periods that are over, frozen once, so that trends outlive the figures' own keys.

    dash:archive:2026-W46   hash   company -> {"policies_sold":"89",...,"parts":{...}}, product=auto, agent=AG001, ...
                                   closed -> 1794812460000|AG001

A period is closed once, by whoever comes first: the live follower soon after its end, or a supervisor. What other tools
write to its figures afterwards changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.repository import metrics, periods
from dashboard.repository.metrics import CLOSED, COMPANY, Figures, Statement
from dashboard.repository.periods import Kind, Period
from dashboard.repository.store import Change, change
from dashboard.repository.values import answered

GRACE = clock.MINUTE
"""ms after a period's end for which it is not closed: what began before midnight may be stored behind it."""

BY_ITSELF = "itself"
"""Who closed what the follower closed."""

KEPT_BACK: dict[Kind, int] = {"daily": 2, "weekly": 2, "monthly": 2, "quarterly": 2}
"""How many periods back figures may still stand, by the document's retention."""

SHOWN: dict[Kind, int] = {"daily": 28, "weekly": 26, "monthly": 24, "quarterly": 8}
"""How many periods a trend goes back."""


# -- closing


def close(period: Period, *, by: str, token: str | None = None) -> bool:
    """Freeze a period's figures. Whether this call did it: False when it was closed before, by whomever.

    Raises Conflict while the period (and the minute behind it) runs, and where nothing was recorded in it. The archive
    is watched: of two that close at once, one EXEC is refused, reads again and finds it closed. So are the parts: what is
    taken back meanwhile (`metrics.correct`, which watches the archive) is frozen as it is then. Six round trips.
    """

    def action(draft: Change) -> bool:
        name = keys.archive(period.name)
        draft.watch(name, keys.metric_parts(period.name))
        draft.require("hash", [name])
        if draft.client.hexists(name, CLOSED):
            return False
        if clock.now_ms() < period.end + GRACE:
            raise Conflict(f"{period.name} is not over yet: it can be closed a minute after its end.")
        agents = sorted(metrics.agents_with_figures(draft.client, period))
        found = metrics.statement(draft.client, period, agents=agents)
        if found.empty:
            raise Conflict(f"Nothing was recorded in {period.name}: there is nothing to close.")
        draft.record("HSET", name, *_fields(found, by))
        draft.event("metrics")
        return True

    return change(action, token=token)


def frozen(rows: Mapping[str, Figures], *, by: str, at: int) -> dict[str, str]:
    """The archive's fields for these figures by owner; `at` in Unix ms."""
    kept = {owner: row.as_json() for owner, row in rows.items() if not row.empty}
    return {**kept, CLOSED: f"{at}|{by}"}


def _fields(found: Statement, by: str) -> list[str]:
    rows = {COMPANY: found.company}
    rows |= {f"product={name}": row for name, row in found.departments.items()}
    rows |= {f"agent={name}": row for name, row in found.agents.items()}
    fields = frozen(rows, by=by, at=clock.now_ms())
    return [text for pair in fields.items() for text in pair]


def due(client: Redis) -> list[Period]:
    """Periods that are over, are not closed, and have figures, the oldest first. Two round trips."""
    now = clock.now_ms()
    over = [
        period
        for kind in periods.KINDS
        for period in periods.latest(kind, KEPT_BACK[kind])
        if now >= period.end + GRACE
    ]
    pipe = client.pipeline(transaction=False)
    for period in over:
        pipe.exists(keys.archive(period.name))
    waiting = [period for period, closed in zip(over, pipe.execute(), strict=True) if not closed]
    return _with_figures(client, waiting)


def _with_figures(client: Redis, waiting: Sequence[Period]) -> list[Period]:
    if not waiting:
        return []
    owners = [COMPANY, *(f"product={product}" for product in keys.PRODUCTS)]
    pipe = client.pipeline(transaction=False)
    for period in waiting:
        names = [name for owner in owners for name in metrics.names_of(period, owner).values()]
        pipe.exists(*names, keys.metric_parts(period.name), keys.metric_agents(period.name))
    return [period for period, there in zip(waiting, pipe.execute(), strict=True) if there]


def close_due(client: Redis) -> list[Period]:
    """Close what is due. Gives what this call closed."""
    closed = []
    for period in due(client):
        try:
            if close(period, by=BY_ITSELF):
                closed.append(period)
        except Conflict:
            continue  # a list of agents whose figures are gone, or another tool's value in the archive's place
    return closed


# -- trends


def statements(client: Redis, kind: Kind, owners: Sequence[str], *, count: int | None = None) -> list[Statement]:
    """The closed periods' figures of these owners, the oldest first; one that was never closed has none. Periods before
    the first closed one are left out. One round trip.
    """
    over = periods.latest(kind, count or SHOWN[kind])
    pipe = client.pipeline(transaction=False)
    for period in over:
        pipe.hmget(keys.archive(period.name), [CLOSED, *owners])
    found = [_statement(period, owners, kept) for period, kept in zip(over, answered(pipe), strict=True)]
    first = next((at for at, each in enumerate(found) if each.closed), len(found))
    return found[first:]


def everything(client: Redis, kind: Kind) -> Iterator[Statement]:
    """The closed periods with everybody's figures, the oldest first. One round trip each."""
    for period in periods.latest(kind, SHOWN[kind]):
        (kept,) = answered(client.pipeline(transaction=False).hgetall(keys.archive(period.name)))
        owners = sorted(owner for owner in kept or () if owner != CLOSED)
        found = _statement(period, owners, [kept.get(name) for name in (CLOSED, *owners)] if kept else None)
        if found.closed:
            yield found


def preceding(client: Redis, oldest: Period, owners: Sequence[str]) -> Statement:
    """The period before the oldest of a trend, of which that one's growth is made: its revenue, from the archive, else
    as it still stands. Three round trips, whatever the number of owners.
    """
    agents = [owner.partition("=")[2] for owner in owners if owner.startswith("agent=")]
    return metrics.statement(client, oldest.before, agents=agents, only=("revenue",))


def leading_agents(client: Redis, kind: Kind, metric: str, *, most: int) -> tuple[list[str], int]:
    """Agents of the latest closed period, those with the most of `metric` first, and how many there are. Two round
    trips.
    """
    over = periods.latest(kind, SHOWN[kind])
    pipe = client.pipeline(transaction=False)
    for period in over:
        pipe.hexists(keys.archive(period.name), CLOSED)
    closed = [period for period, there in zip(over, answered(pipe), strict=True) if there]
    if not closed:
        return [], 0
    kept = client.hgetall(keys.archive(closed[-1].name))
    rows = {owner: Figures.from_json(text, "") for owner, text in kept.items() if owner.startswith("agent=")}

    def rank(owner: str) -> tuple[bool, Any, str]:
        row = rows[owner]
        value = getattr(row, metric)
        value = row.computed(metric) if value is None and metric in metrics.RATIOS else value  # type: ignore[arg-type]
        return value is None, -(value or 0), owner

    names = [owner.partition("=")[2] for owner in sorted(rows, key=rank)]
    return names[:most], len(names)


def _statement(period: Period, owners: Sequence[str], kept: Sequence[str | None] | None) -> Statement:
    kept = kept or [None] * (len(owners) + 1)
    rows = {owner: metrics.frozen_figures(period, text) for owner, text in zip(owners, kept[1:], strict=True)}
    return Statement(
        period=period,
        company=rows.get(COMPANY, metrics.NOTHING),
        departments=_named(rows, "product"),
        agents=_named(rows, "agent"),
        closed=metrics.closing_of(kept[0]),
    )


def _named(rows: Mapping[str, Figures], kind: str) -> dict[str, Figures]:
    return {owner.partition("=")[2]: row for owner, row in rows.items() if owner.partition("=")[0] == kind}
