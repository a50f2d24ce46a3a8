"""The business's figures: counters of a day, an ISO week, a month and a quarter, for the company, a department (product)
and an agent.

Each ends with its own period plus the document's retention, so the period before can be read all through this one. An
increment and its deadline are one transaction; a missing figure is missing, not zero. Ratios are never added: they are
made from their parts, which are counted beside (`dash:parts`); what another tool wrote in a ratio's place is shown as it
is, and told from ours. A closed period's figures are those of the archive (`repository/archive.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, TypeVar

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import periods
from dashboard.repository.periods import Period
from dashboard.repository.store import Change
from dashboard.repository.values import Problem, Raw, Reader, Wrong, amount, answered, plain, read_strings

T = TypeVar("T")

Counter = Literal["policies_sold", "revenue", "claims_filed", "quotes_generated", "customer_acquisition"]
Ratio = Literal["claims_ratio", "growth_rate", "customer_retention"]
Metric = Counter | Ratio
DAILY: tuple[Counter, ...] = ("policies_sold", "revenue", "claims_filed", "quotes_generated")
COUNTERS: tuple[Counter, ...] = (*DAILY, "customer_acquisition")
RATIOS: tuple[Ratio, ...] = ("claims_ratio", "growth_rate", "customer_retention")
METRICS: tuple[Metric, ...] = (*COUNTERS, *RATIOS)

Part = Literal[
    "claims_approved", "claims_decided", "claims_timed", "closing_hours", "policies_renewed", "policies_ended"
]
PARTS: tuple[Part, ...] = (
    "claims_approved", "claims_decided", "claims_timed", "closing_hours", "policies_renewed", "policies_ended",
)  # fmt: skip
"""What ratios are made of. claims_approved: dollars; claims_timed: decided claims whose report has a known moment, of
which closing_hours adds the hours from report to decision; policies_ended: cancelled or lapsed at their renewal.
"""

COMPANY = "company"
"""The owner of the company's figures. The others are `product=auto` and `agent=AG001`."""
CLOSED = "closed"
"""Field of an archive that says when it was made and by whom."""


@dataclass(frozen=True)
class Figures:
    """One row of figures; None where none was written. Revenue is in dollars, counters are counts, `claims_ratio` is a
    fraction (0.15), `growth_rate` and `customer_retention` are percent (12.5) as the document has them.

    The ratios here are what stands stored, by whatever tool; `computed` and `shown` make them of their parts.
    """

    policies_sold: Decimal | None = None
    revenue: Decimal | None = None
    claims_filed: Decimal | None = None
    quotes_generated: Decimal | None = None
    customer_acquisition: Decimal | None = None
    claims_ratio: Decimal | None = None
    growth_rate: Decimal | None = None
    customer_retention: Decimal | None = None
    parts: Mapping[str, Decimal] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.problems and not self.parts and all(getattr(self, metric) is None for metric in METRICS)

    @property
    def quote_to_bind(self) -> Decimal | None:
        """Percent: policies sold of quotes generated in the same period."""
        return _percent(self.policies_sold, self.quotes_generated)

    @property
    def closing_hours(self) -> Decimal | None:
        """Mean hours from a claim's report to its decision, of those decided in the period whose report is known."""
        return _quotient(self.parts.get("closing_hours"), self.parts.get("claims_timed"), "0.1")

    def computed(self, ratio: Ratio, before: Figures | None = None) -> Decimal | None:
        """The ratio made of its parts; None where one is missing. Growth is over `before`, the period before."""
        if ratio == "claims_ratio":
            return _quotient(self.parts.get("claims_approved"), self.revenue, "0.01")
        if ratio == "customer_retention":
            kept, gone = self.parts.get("policies_renewed"), self.parts.get("policies_ended")
            if kept is None and gone is None:
                return None
            return _percent(kept or Decimal(0), (kept or Decimal(0)) + (gone or Decimal(0)))
        former = before.revenue if before else None
        return _percent(self.revenue - former, former) if self.revenue is not None and former else None

    def as_json(self) -> str:
        """What the archive keeps: exact amounts as text, what is missing left out."""
        known = {metric: getattr(self, metric) for metric in METRICS}
        kept: dict[str, Any] = {name: plain(value) for name, value in known.items() if value is not None}
        if self.parts:
            kept["parts"] = {name: plain(value) for name, value in self.parts.items()}
        return json.dumps(kept, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, key: str) -> Figures:
        """Never fails: what is unreadable is a problem of the archive `key`."""
        try:
            kept = json.loads(text)
            parts = _amounts(kept.pop("parts", {}), PARTS)
            return cls(**_amounts(kept, METRICS), parts=parts)  # type: ignore[arg-type]
        except (ValueError, AttributeError, TypeError):
            return cls(problems=(Problem(key, "holds what is no archive"),))


NOTHING = Figures()


@dataclass(frozen=True)
class Shown:
    """One figure as a page shows it. `value` is the stored one where something is stored, else the one made of its
    parts; `of_parts` is what the parts give where that is not what is stored: then another tool wrote it. `late` is
    what stands stored now where the period was closed with something else.
    """

    metric: Metric
    value: Decimal | None
    of_parts: Decimal | None = None
    foreign: bool = False
    late: Decimal | None = None


@dataclass(frozen=True)
class Closing:
    """When a period was closed (Unix ms) and by whom."""

    at: int
    by: str


@dataclass(frozen=True)
class Statement:
    """All figures of one period. `frozen` says that they are the archive's; `now` then has what is stored at present,
    by owner.
    """

    period: Period
    company: Figures
    departments: Mapping[str, Figures]
    agents: Mapping[str, Figures]
    closed: Closing | None = None
    now: Mapping[str, Figures] = field(default_factory=dict)

    def of(self, owner: str) -> Figures:
        """Figures of `company`, `product=auto` or `agent=AG001`."""
        kind, _, name = owner.partition("=")
        if kind == COMPANY:
            return self.company
        return (self.departments if kind == "product" else self.agents).get(name, NOTHING)

    def shown(self, owner: str, metric: Metric, before: Statement | None = None) -> Shown:
        figures = self.of(owner)
        value = getattr(figures, metric)
        late = getattr(self.now.get(owner, NOTHING), metric)
        late = late if late is not None and late != value else None
        if metric not in RATIOS:
            return Shown(metric, value, late=late)
        if metric == "growth_rate" and not self.period.is_over:
            made = None  # part of a period against the whole of another says nothing
        else:
            made = figures.computed(metric, before.of(owner) if before else None)
        if value is None:
            return Shown(metric, made, late=late)
        differs = made is not None and made != value
        return Shown(metric, value, made if differs else None, foreign=made is None or differs, late=late)

    @property
    def empty(self) -> bool:
        rows = (self.company, *self.departments.values(), *self.agents.values())
        return all(row.empty for row in rows)


# -- reading


def day(client: Redis, on: date, *, agents: Sequence[str] = ()) -> Statement:
    """The day's figures, for these agents. Four round trips at most, as `statement` has them."""
    return statement(client, periods.of("daily", on), agents=agents)


def statement(
    client: Redis, period: Period, *, agents: Sequence[str] = (), only: Sequence[Metric] = METRICS
) -> Statement:
    """The period's figures (or some `only`), for these agents: the archive's where it is closed. Four round trips with a
    command each, however many agents; two round trips more where a figure has another type.
    """
    owners = [COMPANY, *(f"product={product}" for product in keys.PRODUCTS), *(f"agent={agent}" for agent in agents)]
    standing = _standing(client, period, owners, only)
    archived = _archived(client, period, owners)
    closed = closing_of(archived[CLOSED])
    figures = {owner: frozen_figures(period, archived[owner]) for owner in owners} if closed else standing
    return Statement(
        period=period,
        company=figures[COMPANY],
        departments={product: figures[f"product={product}"] for product in keys.PRODUCTS},
        agents={agent: figures[f"agent={agent}"] for agent in agents},
        closed=closed,
        now=standing if closed else {},
    )


def first_end(client: Redis, period: Period, owner: str = COMPANY) -> int | None:
    """Unix ms at which the first of somebody's figures ends: ours all at the period's deadline, another tool's so long after
    it was written (trap 27), which may be before the period is over. None where nothing ends. One round trip.
    """
    pipe = client.pipeline(transaction=False)
    for name in (*names_of(period, owner).values(), keys.metric_parts(period.name)):
        pipe.pexpiretime(name)
    return min((until for until in pipe.execute() if until > 0), default=None)


def agents_with_figures(client: Redis, on: date | Period) -> set[str]:
    """Agents that have a figure in this period (a date is its day), known to the accounts or not. One round trip."""
    span = on.name if isinstance(on, Period) else on.isoformat()
    (members,) = answered(client.pipeline(transaction=False).smembers(keys.metric_agents(span)))
    return {agent for agent in members or () if keys.is_identifier(agent)}


def archived_agents(client: Redis, period: Period) -> set[str]:
    """Agents whose figures the archive of this period has. One round trip."""
    (owners,) = answered(client.pipeline(transaction=False).hkeys(keys.archive(period.name)))
    return {name for kind, _, name in (owner.partition("=") for owner in owners or ()) if kind == "agent" and name}


def _standing(client: Redis, period: Period, owners: Sequence[str], only: Sequence[Metric]) -> dict[str, Figures]:
    names = {owner: names_of(period, owner, only) for owner in owners}
    values = read_strings(client, [name for each in names.values() for name in each.values()])
    parts = _parts(client, period, owners) if set(only) & set(RATIOS) else {}
    return {owner: _figures(values, names[owner], parts.get(owner, {})) for owner in owners}


def _parts(client: Redis, period: Period, owners: Sequence[str]) -> dict[str, dict[str, Decimal]]:
    """One round trip and one command. What is no amount is left out: it is ours, and a repair is to count anew."""
    fields = [_part_field(owner, part) for owner in owners for part in PARTS]
    (held,) = answered(client.pipeline(transaction=False).hmget(keys.metric_parts(period.name), fields))
    found = dict(zip(fields, held or [None] * len(fields), strict=True))
    return {owner: _amounts({part: found[_part_field(owner, part)] for part in PARTS}, PARTS) for owner in owners}


def part_fields(rows: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """The fields of a period's parts, `agent=AG001:claims_decided`, from the parts by owner."""
    return {_part_field(owner, part): row[part] for owner, row in rows.items() for part in PARTS if part in row}


def _part_field(owner: str, part: str) -> str:
    return f"{owner}:{part}"


def _archived(client: Redis, period: Period, owners: Sequence[str]) -> dict[str, str | None]:
    """One round trip."""
    fields = [CLOSED, *owners]
    (kept,) = answered(client.pipeline(transaction=False).hmget(keys.archive(period.name), fields))
    return dict(zip(fields, kept or [None] * len(fields), strict=True))


def closing_of(text: str | None) -> Closing | None:
    at, _, by = (text or "").partition("|")
    return Closing(int(at), by) if re.fullmatch("[0-9]{1,15}", at) else None


def frozen_figures(period: Period, text: str | None) -> Figures:
    return Figures.from_json(text, keys.archive(period.name)) if text else NOTHING


def names_of(period: Period, owner: str, only: Sequence[Metric] = METRICS) -> dict[str, str]:
    """Key by metric, of `company`, `product=auto` or `agent=AG001`."""
    families = keys.METRIC_FAMILIES[period.kind]
    kind, _, name = owner.partition("=")
    if kind == COMPANY:
        return {metric: families["company"](period.name, metric) for metric in only}
    family = families["department" if kind == "product" else "agent"]
    return {metric: family(period.name, name, metric) for metric in only}


def _figures(values: dict[str, Raw], names: dict[str, str], parts: Mapping[str, Decimal]) -> Figures:
    reader = Reader(values, names)
    read = {metric: reader.amount(metric) for metric in names}
    return Figures(**read, parts=parts, problems=tuple(reader.problems))


def _amounts(found: Mapping[str, Any], known: Sequence[str]) -> dict[str, Decimal]:
    """Those of the `known` names that hold an amount."""
    read = {name: amount(str(found[name])) for name in known if found.get(name) is not None}
    return {name: value for name, value in read.items() if value is not None}


def _percent(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return _quotient(part * 100 if part is not None else None, whole, "0.1")


def _quotient(part: Decimal | None, whole: Decimal | None, step: str) -> Decimal | None:
    """Rounded to `step`; None where there is nothing to divide, or nothing to divide by."""
    return (part / whole).quantize(Decimal(step), ROUND_HALF_UP) if part is not None and whole and whole > 0 else None


# -- raising


def add(
    change: Change, amounts: Mapping[Counter | Part, Decimal | int], *, product: str | None, agent: str | None
) -> None:
    """Raise the figures of the day, week, month and quarter, in the three forms that apply, each to its own period's
    deadline. Two round trips, for the look before the leap: INCR on a value that another tool broke would fail in the
    middle of EXEC, so such a figure is left as it is.
    """
    _add(change, [periods.current(kind) for kind in periods.KINDS], amounts, product, agent)


def correct(
    change: Change,
    amounts: Mapping[Counter | Part, Decimal | int],
    *,
    on: date,
    product: str | None,
    agent: str | None,
) -> None:
    """Take back what was counted on a day (amounts below zero), or count it for that day again: in those of its periods
    that still have figures and are not closed. What is frozen stays as it is; the archives are watched, so that one that
    is closed meanwhile is left alone, too. Four round trips.
    """
    now = clock.now_ms()
    of_day = [period for kind in periods.KINDS if (period := periods.of(kind, on)).deadline > now]
    if not of_day:
        return
    change.watch(*(keys.archive(period.name) for period in of_day))
    pipe = change.client.pipeline(transaction=False)
    for period in of_day:
        pipe.hexists(keys.archive(period.name), CLOSED)
    still_open = [period for period, closed in zip(of_day, answered(pipe), strict=True) if not closed]
    if still_open:
        _add(change, still_open, amounts, product, agent)


def _add(
    change: Change,
    spans: Sequence[Period],
    amounts: Mapping[Counter | Part, Decimal | int],
    product: str | None,
    agent: str | None,
) -> None:
    owners = [COMPANY]
    if product in keys.PRODUCTS:
        owners.append(f"product={product}")
    if agent and keys.is_identifier(agent):
        owners.append(f"agent={agent}")
    _raise_counters(change, spans, owners, {name: by for name, by in amounts.items() if name in COUNTERS})
    _raise_parts(change, spans, owners, {name: by for name, by in amounts.items() if name in PARTS})
    if len(owners) > 1 and owners[-1].startswith("agent="):
        _list_agent(change, spans, agent or "")
    change.event("metrics")


def _raise_counters(
    change: Change, spans: Sequence[Period], owners: Sequence[str], amounts: Mapping[str, Decimal | int]
) -> None:
    raised = [
        (names_of(period, owner)[metric], by, period.deadline)
        for period in spans
        for owner in owners
        for metric, by in amounts.items()
    ]
    values = read_strings(change.client, [name for name, _, _ in raised])
    for name, by, deadline in raised:
        if _can_grow(values[name], by):
            change.record("INCRBYFLOAT" if isinstance(by, Decimal) else "INCRBY", name, _step(by))
            change.expire_at(deadline, name)


def _raise_parts(
    change: Change, spans: Sequence[Period], owners: Sequence[str], amounts: Mapping[str, Decimal | int]
) -> None:
    if not amounts:
        return
    raised = {_part_field(owner, part): by for owner in owners for part, by in amounts.items()}
    pipe = change.client.pipeline(transaction=False)
    for period in spans:
        pipe.hmget(keys.metric_parts(period.name), list(raised))
    for period, held in zip(spans, answered(pipe), strict=True):
        if held is None:
            continue
        name = keys.metric_parts(period.name)
        for (field_, by), value in zip(raised.items(), held, strict=True):
            if _can_grow(value, by) and not _falls_below_nothing(value, by):
                change.record("HINCRBYFLOAT" if isinstance(by, Decimal) else "HINCRBY", name, field_, _step(by))
        change.expire_at(period.deadline, name)


def _list_agent(change: Change, spans: Sequence[Period], agent: str) -> None:
    """Another tool's value in the list's place is left alone: the list is a hint. One round trip."""
    lists = {keys.metric_agents(period.name): period.deadline for period in spans}
    pipe = change.client.pipeline(transaction=False)
    for name in lists:
        pipe.type(name)
    for (name, deadline), kind in zip(lists.items(), pipe.execute(), strict=True):
        if kind in ("none", "set"):
            change.record("SADD", name, agent)
            change.expire_at(deadline, name)


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


def add_decision(
    change: Change,
    claim: str,
    *,
    product: str | None,
    agent: str | None,
    paid: Decimal | None = None,
    reported: datetime | None = None,
) -> None:
    """Count a claim decided now: what was approved, and how long it took since it was `reported`, else since when its
    history tells that it was. Five round trips.

    A claim that was decided before, and reopened, counts once: as decided, and in the closing time, with its first
    decision. Of the amount the difference counts now; what went to another agent's figures is taken out of theirs.
    The claim's own keys are watched by whoever decides, so two decisions cannot both find the same one before.
    """
    before = _counted(change, claim)
    amounts: dict[Counter | Part, Decimal | int] = {} if before else {"claims_decided": 1}
    former = before.approved if before else Decimal(0)
    if before and former and (before.product, before.agent) != (product or None, agent):
        add(change, {"claims_approved": -former}, product=before.product, agent=before.agent)
        former = Decimal(0)
    if paid is not None or former:
        amounts["claims_approved"] = (paid or Decimal(0)) - former
    since = None if before else clock.ms(reported) if reported else _reported(change.client, claim)
    if since is not None:
        hours = Decimal(max(clock.now_ms() - since, 0)) / clock.HOUR
        amounts |= {"claims_timed": 1, "closing_hours": hours.quantize(Decimal("0.001"))}
    if any(amounts.values()):
        add(change, amounts, product=product or None, agent=agent)
    _keep_counted(change, claim, Decision(paid or Decimal(0), product or None, agent))


@dataclass(frozen=True)
class Decision:
    """A claim's decision as it was counted: dollars approved (0 for a denied one), and for whom."""

    approved: Decimal
    product: str | None
    agent: str | None


def _counted(change: Change, claim: str) -> Decision | None:
    """One round trip, and one to watch."""
    name = keys.decision(claim)
    change.watch(name)
    (kept,) = answered(change.client.pipeline(transaction=False).hgetall(name))
    approved = amount((kept or {}).get("approved", ""))
    if approved is None:
        return None
    return Decision(approved, kept.get("product") or None, kept.get("agent") or None)


def _keep_counted(change: Change, claim: str, decision: Decision) -> None:
    name = keys.decision(claim)
    change.delete(name)  # whatever another tool made of it
    kept = {"approved": plain(decision.approved), "product": decision.product, "agent": decision.agent}
    change.record("HSET", name, *(part for pair in kept.items() if pair[1] for part in pair))


def _reported(client: Redis, claim: str) -> int | None:
    """Unix ms of the claim's report, if it was made here. Two round trips."""
    first = client.zrange(keys.history("claims", claim), 0, 2, withscores=True)
    texts = read_strings(client, [name for name, _ in first])
    return next((int(at) for name, at in first if str(texts[name]).startswith("Reported by ")), None)


def daily_deadline(on: date) -> int:
    """Unix ms at which this day's figures end: its own end, and the document's 24 hours (line 226)."""
    return periods.of("daily", on).deadline


def note_agents(client: Redis, names: Iterable[keys.Parsed]) -> None:
    """Remember agents whose figures another tool wrote. One round trip."""
    pipe = client.pipeline(transaction=True)
    for parsed in names:
        span = next(iter(parsed.parts.values()))
        period = periods.named(span)
        if period:
            listed = keys.metric_agents(span)
            pipe.sadd(listed, parsed.parts["agent"])
            # Their lifetimes run from the write (trap 27): the list lives as long as the longest of them can.
            pipe.pexpireat(listed, max(period.deadline, clock.now_ms() + 2 * clock.DAY))
    pipe.execute(raise_on_error=False)


def _can_grow(raw: Raw, by: Decimal | int) -> bool:
    """Whether Redis itself can add to this value. INCRBY takes no 007; neither takes digits of other scripts."""
    number = r"-?[0-9]{1,17}(?:\.[0-9]{1,17})?" if isinstance(by, Decimal) else r"0|-?[1-9][0-9]{0,16}"
    return raw is None or (not isinstance(raw, Wrong) and bool(re.fullmatch(number, raw)))


def _falls_below_nothing(raw: Raw, by: Decimal | int) -> bool:
    """Whether a count would: what was counted once is lost, and cannot be taken back. (An amount may.)"""
    return isinstance(by, int) and by < 0 and int(str(raw or 0)) + by < 0


def _step(by: Decimal | int) -> str:
    return plain(by) if isinstance(by, Decimal) else str(by)
