"""What load_sample and generate write by: keys that come and go together, in the forms that the customer's document has.

They are written as other tools write them, and indexed as the live follower would. What is there is never replaced.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import (
    archive,
    areas,
    audit,
    claim_records,
    claim_snapshots,
    lapsed,
    metrics,
    periods,
    reindex,
)
from dashboard.repository.periods import Period
from dashboard.repository.values import dollars

SAMPLE, GENERATED = "sample", "generated"
"""Names of our marks in the store (keys.book)."""

Value = str | Mapping[str, str] | frozenset[str]
"""A string, a hash or a set."""


@dataclass(frozen=True)
class Thing:
    """Keys that come and go together.

    what      in the plural: policies, quotes, ...
    values    value by key
    deadline  Unix ms of all of them; None: they stay. `other` has those of keys with one of their own
    traces    keys that show that the thing was here and went on: then it is not written again
    forget    our records of its former end, gone when it begins anew
    """

    what: str
    values: Mapping[str, Value]
    deadline: int | None = None
    other: Mapping[str, int] | None = None
    traces: Sequence[str] = ()
    forget: Sequence[str] = ()

    @property
    def signs(self) -> list[str]:
        """Keys any of which shows that it is there. What outlives the rest does not."""
        return [*(key for key in self.values if key not in (self.other or {})), *self.traces]

    def deadline_of(self, key: str) -> int | None:
        return (self.other or {}).get(key, self.deadline)


@dataclass
class Written:
    """How many things were written, and how many were there and were left as they are, by kind."""

    new: dict[str, int]
    kept: dict[str, int]


# -- writing


def write(client: Redis, things: Sequence[Thing]) -> Written:
    """Write those of which nothing is there, each in one transaction, then index them. What is there is left alone,
    whoever wrote it; so this may be repeated at any time, and brings back what has ended.
    """
    result = Written({}, {})
    pipe = client.pipeline(transaction=False)
    for thing in things:
        pipe.exists(*thing.signs)
    for thing, there in zip(things, pipe.execute(), strict=True):
        tally = result.kept if there else result.new
        tally[thing.what] = tally.get(thing.what, 0) + 1
        if not there:
            write_one(client, thing)
    index(client, [key for thing in things for key in thing.values])
    return result


def write_one(client: Redis, thing: Thing) -> None:
    """NX on each key closes the race with whoever makes the same thing now."""
    pipe = client.pipeline(transaction=True)
    if thing.forget:
        pipe.unlink(*thing.forget)
    for key, value in thing.values.items():
        deadline = thing.deadline_of(key)
        if isinstance(value, str):
            pipe.set(key, value, nx=True, pxat=deadline)
        elif isinstance(value, frozenset):
            pipe.sadd(key, *sorted(value))
        else:
            pipe.hset(key, mapping=dict(value))  # type: ignore[arg-type]
        if deadline is not None and not isinstance(value, str):
            pipe.pexpireat(key, deadline)
    pipe.execute()


def index(client: Redis, names: Iterable[str]) -> None:
    """Index what these keys are part of, as the live follower would for what others write."""
    parsed = [(name, found) for name in names if (found := keys.parse(name))]
    for area in areas.AREAS:
        members = [found.subject for _, found in parsed if found.family.area == area and found.subject]
        areas.refresh(client, area, list(dict.fromkeys(members)))
    for name, found in parsed:
        if found.family in audit.FAMILIES:
            audit.note(client, name, found)
    metrics.note_agents(client, [found for _, found in parsed if found.family in keys.AGENT_METRICS])
    reindex.raise_sequences(client, _highest(found for _, found in parsed))


def announce(client: Redis) -> None:
    """Tell every open page to look again."""
    client.publish(keys.LIVE_CHANNEL, json.dumps({area: [] for area in (*areas.AREAS, "metrics", "customers")}))


def _highest(found: Iterable[keys.Parsed]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for parsed in found:
        area = areas.AREAS.get(parsed.family.area)
        thing = area.number(parsed.subject) if area and parsed.subject else None
        if thing:
            numbers[thing[0]] = max(thing[1], numbers.get(thing[0], 0))
    return numbers


# -- whose store this is

_SIGNING_IN = (keys.workstation, keys.workstation_field, keys.failed_logins, keys.lockout, keys.session_audit)


def may_write(client: Redis, *marks: str) -> bool:
    """Whether the store is empty of customers' data, or has one of our own books in it. The scan ends at the first key
    that is somebody's; what signing in wrote, and our own bookkeeping, do not count.
    """
    if client.exists(*(keys.book(mark) for mark in marks)):
        return True
    return not any(_is_data(name) for name in client.scan_iter(count=1_000))


def _is_data(name: str) -> bool:
    if name.startswith("dash:"):
        return False
    found = keys.parse(name)
    return found is None or found.family not in _SIGNING_IN


# -- quotes


def open_quote(
    now: datetime, product: str, number: str, *, life: int, age: int, facts: Mapping[str, str], text: str = ""
) -> Thing:
    """A quote that began `age` seconds ago and lives `life` seconds in all. `facts` by field; `text` is its root."""
    values = {keys.quote(product, number): text or _root(product, facts)}
    values |= {keys.quote_field(product, number, name): value for name, value in facts.items()}
    ours = [family(product, number) for family in (keys.quote_outcome, keys.quote_snapshot, keys.quote_terms)]
    return Thing("quotes", values, clock.ms(now) + (life - age) * clock.SECOND, forget=ours)


def _root(product: str, facts: Mapping[str, str]) -> str:
    """The document's one-line form of a quote."""
    if product == "life":
        subject = f"Term Life ${int(facts['coverage_amount']) // 1_000}K {facts['term_years']}Y"
        price = f"${facts['premium_monthly']}/month"
    else:
        subject = facts.get("vehicle") or facts["property_address"]
        price = f"{dollars(Decimal(facts['premium']))}/year"
    return f"{subject} - Customer: {facts['customer']} - Premium: {price}"


def lapsed_quote(now: datetime, product: str, number: str, *, hours: float, facts: Mapping[str, str]) -> Thing:
    """A quote that nobody took, expired so many hours ago: what is kept of it."""
    ended = clock.ms(now - timedelta(hours=hours))
    kept = {**facts, "summary": _root(product, facts), "how": "expired", "ended": str(ended), "deadline": str(ended)}
    values = {keys.quote_snapshot(product, number): kept}
    return Thing("lapsed quotes", values, ended + lapsed.KEPT, traces=keys.quote_keys(product, number))


# -- sessions


def portal_session(
    now: datetime, person: str, life: int, level: str, minutes: int, address: str, device: str, *, last_activity: int
) -> Thing:
    """Signed in so many minutes ago; each activity gives it its whole life again."""
    active = now - timedelta(minutes=last_activity)
    facts = {
        "device": device,
        "permissions": "view_policies,make_payments,update_profile",
        "last_activity": clock.iso(active),
        "activity_level": level,
    }
    values = {
        keys.portal(person): f"authenticated|login_time:{clock.iso(now - timedelta(minutes=minutes))}|ip:{address}"
    }
    values |= {keys.portal_field(person, name): value for name, value in facts.items()}
    return Thing("sessions", values, clock.ms(active) + life * clock.SECOND)


def device_session(now: datetime, device: str, person: str, number: str, minutes: int, text: str) -> Thing:
    deadline = clock.ms(now - timedelta(minutes=minutes)) + 2 * clock.HOUR
    return Thing("sessions", {keys.device_session(device, person, number): text}, deadline)


def workstation_session(
    now: datetime, agent: str, minutes: int, branch: str, branches: str, products: str, figures: tuple[int, int, int]
) -> Thing:
    """At work for so many minutes. Never in the place of somebody who is signed in: what is there is left alone."""
    signed_in = now - timedelta(minutes=minutes)
    names = ("quotes_today", "policies_sold_today", "customer_calls_today")
    facts = {
        "permissions": "create_quotes,bind_policies,process_claims,view_customer_data",
        "branch_access": branches,
        "product_access": products,
        **{name: str(figure) for name, figure in zip(names, figures, strict=True)},
    }
    values = {keys.workstation(agent): f"authenticated|login_time:{clock.iso(signed_in)}|branch:{branch}"}
    values |= {keys.workstation_field(agent, name): value for name, value in facts.items()}
    return Thing("sessions", values, clock.ms(signed_in) + 8 * clock.HOUR, traces=[keys.tombstone(agent)])


# -- claims


@dataclass(frozen=True)
class Loss:
    """What a claim is about. `estimate` in dollars."""

    number: str
    what: str
    policy: str
    customer: str
    agent: str
    estimate: int
    where: str


@dataclass(frozen=True)
class Findings:
    """What an investigation has."""

    adjuster: str
    photos: int
    statements: int


def claim(number: str, deadline: int | None, values: Mapping[str, str]) -> Thing:
    """Not written again when it has become anything else, or was looked at by us and has ended."""
    traces = [*keys.claim_temp_keys(number), *keys.investigation_keys(number), *keys.claim_keys(number)]
    return Thing("claims", values, deadline, traces=[*traces, keys.history("claims", number)])


def reported_claim(now: datetime, loss: Loss, *, days: float) -> Thing:
    """Reported so many days ago."""
    happened = now - timedelta(days=days)
    return claim(loss.number, clock.ms(happened) + 7 * clock.DAY, _report(loss, happened))


def investigated_claim(now: datetime, loss: Loss, findings: Findings, *, days: float) -> Thing:
    """Under investigation for so many days; its first report is carried along for as long."""
    assigned = now - timedelta(days=days)
    values = _report(loss, assigned - timedelta(days=1))
    values |= _investigation(loss, findings, "IN_PROGRESS")
    return claim(loss.number, clock.ms(assigned) + 30 * clock.DAY, values)


def decided_claim(
    now: datetime, loss: Loss, findings: Findings, *, days: float, paid: int | None = None, reason: str = ""
) -> Thing:
    """Approved with `paid` dollars, or denied for a `reason`, so many days ago and a week after it happened."""
    at = clock.iso(now - timedelta(days=days))
    amount, status = (f" - Amount: ${paid:,}", "APPROVED") if paid is not None else ("", "DENIED")
    facts = {
        "details": f"{loss.what} - Policy: {loss.policy}{amount} - Status: {status}",
        "status": status,
        **_known(loss, now - timedelta(days=days + 7)),
        "adjuster": findings.adjuster,
    }
    if paid is None:
        facts |= {"denial_date": at, "denial_reason": reason}
    else:
        facts |= {"approval_date": at, "final_amount": str(paid)}
    values = {keys.claim_field(loss.number, name): value for name, value in facts.items()}
    return claim(loss.number, None, values | _investigation(loss, findings, "CLOSED"))


@dataclass(frozen=True)
class Payout:
    """A claim's payment: its transaction, dollars, and how many days ago; `closed`: days since it was closed, too."""

    transaction: str
    amount: int
    days: int
    closed: int | None = None


def waiting_claim(now: datetime, loss: Loss, findings: Findings, *, proposed: int, by: str, hours: int) -> Thing:
    """Proposed so many hours ago, above the authority of whoever proposed it: it waits for a supervisor."""
    assigned = now - timedelta(days=5)
    investigation = {
        "status": claim_records.AWAITING,
        "assigned_date": clock.iso(assigned),
        "proposed_amount": str(proposed),
        "proposed_by": by,
        "proposed_date": clock.iso(now - timedelta(hours=hours)),
    }
    values = investigated_claim(now, loss, findings, days=5).values
    fields = {keys.investigation_field(loss.number, name): value for name, value in investigation.items()}
    return claim(loss.number, clock.ms(assigned) + 30 * clock.DAY, {**_texts(values), **fields})


def paid_claim(now: datetime, loss: Loss, findings: Findings, payout: Payout, *, by: str) -> Thing:
    """Approved three days before it was paid in full; closed where the payout says so."""
    approved = decided_claim(now, loss, findings, days=payout.days + 3, paid=payout.amount)
    status = "PAID" if payout.closed is None else "CLOSED"
    facts = {
        "details": f"{loss.what} - Policy: {loss.policy} - Amount: ${payout.amount:,} - Status: {status}",
        "status": status,
        "approved_by": by,
        "paid_amount": str(payout.amount),
        "paid_date": clock.iso(now - timedelta(days=payout.days)),
        "payment": payout.transaction,
    }
    if payout.closed is not None:
        facts["closed_date"] = clock.iso(now - timedelta(days=payout.closed))
    fields = {keys.claim_field(loss.number, name): value for name, value in facts.items()}
    return claim(loss.number, None, {**_texts(approved.values), **fields})


def reopened_claim(now: datetime, loss: Loss, findings: Findings, *, reason: str, days: int) -> Thing:
    """Denied once, and taken up again so many days ago: it is to be decided anew, and its record stays."""
    facts = {
        **_known(loss, now - timedelta(days=days + 30)),
        "details": f"{loss.what} - Policy: {loss.policy} - Status: {claim_records.REOPENED}",
        "status": claim_records.REOPENED,
        "adjuster": findings.adjuster,
        "reopened_date": clock.iso(now - timedelta(days=days)),
        "reopened_reason": reason,
    }
    values = {keys.claim_field(loss.number, name): value for name, value in facts.items()}
    return claim(loss.number, None, values | _investigation(loss, findings, claim_records.IN_PROGRESS))


def lapsed_claim(now: datetime, loss: Loss, *, days: float) -> Thing:
    """Reported, and ended undecided so many days ago: its snapshot is what is left."""
    ended = now - timedelta(days=days)
    facts = _report(loss, ended - timedelta(days=7))
    record = claim_records.Record(loss.number, dict(facts), {})
    deadline = clock.ms(ended)
    kept = {keys.claim_snapshot(loss.number): claim_snapshots.fields(record, deadline)}
    return replace(claim(loss.number, deadline + claim_snapshots.KEPT, {}), values=kept)


def _texts(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _known(loss: Loss, happened: datetime) -> dict[str, str]:
    return {
        "reporter": loss.customer,
        "incident_date": clock.iso(happened),
        "location": loss.where,
        "policy": loss.policy,
        "customer": loss.customer,
        "agent": loss.agent,
        "estimated_amount": str(loss.estimate),
    }


def _report(loss: Loss, happened: datetime) -> dict[str, str]:
    text = f"{loss.what} - Initial Report - Customer: {loss.customer} - Estimated: ${loss.estimate:,}"
    fields = {keys.claim_temp_field(loss.number, name): value for name, value in _known(loss, happened).items()}
    return {keys.claim_temp(loss.number): text, **fields}


def _investigation(loss: Loss, findings: Findings, status: str) -> dict[str, str]:
    text = f"Adjuster: {findings.adjuster} | Photos: {findings.photos} | Witness Statements: {findings.statements}"
    return {
        keys.investigation(loss.number): text,
        keys.investigation_field(loss.number, "adjuster"): findings.adjuster,
        keys.investigation_field(loss.number, "status"): status,
        keys.investigation_field(loss.number, "estimated_amount"): str(loss.estimate),
    }


# -- figures


def daily_key(day: date, owner: str, metric: str) -> str:
    """Of the company (owner ""), a department (a product) or an agent."""
    if not owner:
        return keys.daily_metric(day.isoformat(), metric)
    family = keys.daily_department_metric if owner in keys.PRODUCTS else keys.daily_agent_metric
    return family(day.isoformat(), owner, metric)


Amounts = dict[str, dict[str, int]]
"""Counters and parts of ratios by owner (`company`, `product=auto`, `agent=AG001`)."""


class History:
    """Plausible figures of days gone by, the same for the same seed: busier from Monday to Friday and in spring, growing
    a little each month. Longer periods are sums of their days, the company's figures sums of its agents'.
    """

    def __init__(self, seed: int, agents: Mapping[str, Sequence[str]]) -> None:
        """`agents`: the products of each."""
        self._seed = seed
        self._agents = agents

    def closed_periods(self) -> Iterator[Thing]:
        """The archive of the last periods but the very last of each kind, whose own figures still stand to be closed.
        One pass over the days, with one open period of each kind in memory.
        """
        wanted = {kind: periods.latest(kind, archive.SHOWN[kind])[:-1] for kind in periods.KINDS}
        day = min(found[0].first for found in wanted.values())
        last = max(found[-1].last for found in wanted.values())
        names = {period.name for found in wanted.values() for period in found}
        open_ones: dict[str, Amounts] = {}
        while day <= last:
            figures = self.day(day)
            for period in (periods.of(kind, day) for kind in periods.KINDS):
                if period.name in names:
                    _add_up(open_ones.setdefault(period.name, {}), figures)
                    if day == period.last:
                        yield _archive_of(period, open_ones.pop(period.name))
            day += timedelta(days=1)

    def total(self, first: date, last: date) -> Amounts:
        """The sum over these days; nothing where the last is before the first."""
        found: Amounts = {}
        for ahead in range((last - first).days + 1):
            _add_up(found, self.day(first + timedelta(days=ahead)))
        return found

    def day(self, day: date) -> Amounts:
        rng = Random(f"{self._seed} {day}")
        found: Amounts = {}
        for agent, products in self._agents.items():
            for product in products:
                amounts = _plausible(rng, day, agent, product)
                _add_up(found, dict.fromkeys((metrics.COMPANY, f"product={product}", f"agent={agent}"), amounts))
        return found


def figure_keys(period: Period, amounts: Amounts) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Amounts by key: the counters; and the parts of ratios as a hash."""
    counters = {
        metrics.names_of(period, owner)[name]: amount
        for owner, found in amounts.items()
        for name, amount in found.items()
        if name in metrics.COUNTERS
    }
    parts = metrics.part_fields(amounts)
    return counters, {keys.metric_parts(period.name): parts} if parts else {}


def _archive_of(period: Period, amounts: Amounts) -> Thing:
    rows = {}
    for owner, found in amounts.items():
        counters = {name: Decimal(found.get(name, 0)) for name in metrics.COUNTERS}
        parts = {name: Decimal(found[name]) for name in metrics.PARTS if name in found}
        rows[owner] = metrics.Figures(**counters, parts=parts)
    fields = archive.frozen(rows, by=archive.BY_ITSELF, at=period.end + 2 * clock.MINUTE)
    return Thing("closed periods", {keys.archive(period.name): fields})


def _add_up(total: Amounts, figures: Mapping[str, Mapping[str, int]]) -> None:
    for owner, amounts in figures.items():
        row = total.setdefault(owner, {})
        for name, amount in amounts.items():
            row[name] = row.get(name, 0) + amount


_SHARES = {"auto": 1.5, "home": 0.9, "life": 0.6}
"""How much of each product is sold, on average over the products."""
_PREMIUMS = {"auto": 1_250, "home": 1_480, "life": 720}
"""Dollars a year."""


def _plausible(rng: Random, day: date, agent: str, product: str) -> dict[str, int]:
    """One agent's day with one product."""
    season = 1 + 0.22 * math.sin((day.timetuple().tm_yday - 20) / 365 * 2 * math.pi)
    growth = 1 + 0.0004 * (day - date(2024, 1, 1)).days
    weekday = 1.0 if day.weekday() < 5 else 0.3
    skill = 0.75 + zlib.crc32(agent.encode()) % 60 / 100
    pace = 1.2 * _SHARES[product] * season * growth * weekday * skill
    sold, decided = _about(rng, pace), _about(rng, pace * 0.38)
    premium = _PREMIUMS[product]
    amounts = {
        "policies_sold": sold,
        "revenue": sold * rng.randrange(premium - 300, premium + 500, 25),
        "claims_filed": _about(rng, pace * 0.42),
        "quotes_generated": sold + _about(rng, pace * 1.6),
        "customer_acquisition": min(sold, _about(rng, sold * 0.4)),
        "claims_approved": decided * rng.randrange(250, 900, 25),
        "claims_decided": decided,
        "claims_timed": decided,
        "closing_hours": decided * rng.randrange(60, 260),
        "policies_renewed": _about(rng, pace * 1.5),
        "policies_ended": _about(rng, pace * 0.1),
    }
    return {name: amount for name, amount in amounts.items() if amount}


def _about(rng: Random, mean: float) -> int:
    """A whole number around `mean`."""
    return max(0, int(rng.gauss(mean, math.sqrt(max(mean, 0.1)) * 0.8) + rng.random()))
