"""Quotes after their end: expired, bound or withdrawn. Their facts are kept for 30 days, so that they can be told about,
counted and quoted again (trap 19).

    dash:snapshot:auto:Q001   hash  the quote's facts, its last deadline; `met` Unix ms when it was counted as quoted;
                                    `how` and `ended` once it has ended
    dash:outcome:auto:Q001    string  bound|AG001|2024-08-18T10:30:00Z|auto:100245
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import agents, customers, funnel
from dashboard.repository.agents import Directory, Scope
from dashboard.repository.index import NEVER, UNKNOWN, Cursor, Entry, Index, Page
from dashboard.repository.store import Change, change_many
from dashboard.repository.values import amount, answered, dollars, moment, readable

How = Literal["expired", "bound", "withdrawn"]
HOWS: tuple[How, ...] = ("expired", "bound", "withdrawn")

KEPT = 30 * clock.DAY
"""How long the facts and the outcome of an ended quote are kept, in ms."""

_MET = "met"

Live = tuple[Mapping[str, str], int | None]
"""A live quote's facts, and Unix ms of its deadline, None for one without."""

INDEX = Index(
    "ended",
    patterns=((), ("branch", "product", "how"), ("agent", "product", "how"), ("customer",)),
    sorts=("ended",),
    domains={"product": keys.PRODUCTS, "how": HOWS},
    lookups=("agent", "customer"),
)


@dataclass(frozen=True)
class Ended:
    """A quote that is no more: its facts, and how it ended."""

    product: str
    number: str
    how: str
    by: str | None
    at: datetime | None
    policy: str | None
    facts: Mapping[str, str]
    branch: str
    customer_name: str | None = None

    @property
    def id(self) -> str:
        return f"{self.product}:{self.number}"

    @property
    def customer(self) -> str | None:
        return self.facts.get("customer") or None

    @property
    def agent(self) -> str | None:
        return self.facts.get("agent") or None

    @property
    def policy_parts(self) -> list[str]:
        """Product and number of the policy it became."""
        parts = (self.policy or "").split(":")
        return parts if len(parts) == 2 else []

    @property
    def sentence(self) -> str:
        """What happened to it, in words."""
        if self.how == "bound":
            where = f" as policy {(self.policy or '').replace(':', ' ')}"
            return f"Quote {self.number} was bound{where} by {self.by} at {_at(self.at)}."
        if self.how == "withdrawn":
            return f"Quote {self.number} was withdrawn by {self.by} at {_at(self.at)}."
        return f"Quote {self.number} expired" + (f" at {_at(self.at)}." if self.at else ".")

    @property
    def subject(self) -> str:
        sum_insured = amount(self.facts.get("coverage_amount", ""))
        if self.product == "life" and sum_insured is not None:
            return f"Term life {dollars(sum_insured)}, {self.facts.get('term_years', '?')} years"
        return (
            self.facts.get("vehicle") or self.facts.get("property_address") or subject_of(self.facts.get("summary", ""))
        )

    @property
    def again(self) -> dict[str, str]:
        """Its facts for a new quote; what stands in its one line alone, as it was understood."""
        told = subject_of(self.facts.get("summary", ""))
        understood = {"auto": {"vehicle": told}, "home": {"property_address": told}}.get(self.product, {})
        if self.product == "life" and (found := re.fullmatch(r"Term Life \$(\d{1,9})K (\d{1,2})Y", told)):
            understood = {"coverage_amount": f"{found[1]}000", "term_years": found[2]}
        return {**understood, **self.facts}

    @property
    def premium(self) -> Decimal | None:
        """In dollars a year."""
        return amount(self.facts.get("premium", ""))

    @property
    def premium_monthly(self) -> Decimal | None:
        return amount(self.facts.get("premium_monthly", ""))


@dataclass(frozen=True)
class Filter:
    """What the list is restricted to; `hows` are the ways to end that are shown."""

    product: str | None = None
    agent: str | None = None
    customer: str | None = None
    hows: tuple[How, ...] = ("expired", "withdrawn")


# -- reading


def get(client: Redis, product: str, number: str) -> Ended | None:
    """What is kept of a quote after its end. Two round trips."""
    return load(client, [f"{product}:{number}"]).get(f"{product}:{number}")


def listing(
    client: Redis, scope: Scope, wanted: Filter, *, cursor: Cursor | None = None, size: int = 50
) -> Page[Ended]:
    """One page of ended quotes this person may see, the latest first. Five round trips at most."""
    directory = agents.directory(client)
    facets = directory.facets(scope, product=wanted.product, agent=wanted.agent, customer=wanted.customer)
    page = INDEX.things(
        client,
        facets | {"how": list(wanted.hows)},
        "ended",
        size,
        load=partial(load, client, directory=directory),
        facets=_facets,
        refresh=refresh,
        cursor=cursor,
        descending=True,
    )
    known = customers.names(client, [row.facts.get("customer", "") for row in page.rows])
    return replace(
        page, rows=[replace(row, customer_name=known.get(row.facts.get("customer", ""))) for row in page.rows]
    )


def load(client: Redis, ids: Sequence[str], *, directory: Directory | None = None) -> dict[str, Ended]:
    """Ended quotes by id, those of which something is kept. Two round trips."""
    wanted = keys.numbered(ids)
    if not wanted:
        return {}
    directory = directory or agents.directory(client)
    pipe = client.pipeline(transaction=False)
    for _, product, number in wanted:
        pipe.hgetall(keys.quote_snapshot(product, number))
        pipe.get(keys.quote_outcome(product, number))
    answers = answered(pipe)
    found = {}
    for (member, product, number), kept, outcome in zip(wanted, answers[0::2], answers[1::2], strict=True):
        if kept or outcome:
            facts = {name: readable(text) for name, text in (kept or {}).items()}
            found[member] = _ended(product, number, facts, readable(outcome or ""), directory)
    return found


def _ended(product: str, number: str, facts: dict[str, str], outcome: str, directory: Directory) -> Ended:
    how, by, at, policy = ((outcome or "expired") + "|||").split("|")[:4]
    ms = _ms(facts.get("ended")) or _ms(facts.get("deadline"))
    when = moment(at) if at else (clock.moment(ms) if ms else None)
    branch = directory.branch_of(facts.get("agent"))
    return Ended(product, number, how if how in HOWS else "expired", by or None, when, policy or None, facts, branch)


def subject_of(summary: str) -> str:
    """`Sports car - Customer: CUST003 - Premium: $3,500/year` -> "Sports car"."""
    return " - ".join(part for part in summary.split(" - ") if not re.match(r"(Customer|Premium):", part))


def _ms(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 15 else None


# -- a quote's course, as the quotes' own transactions record it


def keep(draft: Change, product: str, number: str, facts: Mapping[str, str], deadline: int | None) -> None:
    """A copy of a new quote's facts that outlives it, and its first step in the funnel."""
    draft.delete(keys.quote_snapshot(product, number))
    _write(draft, product, number, {**facts, _MET: str(clock.now_ms())}, deadline)
    funnel.add(draft, "quoted", product=product, risk=facts.get("risk_level"), agent=facts.get("agent"))


def keep_on(draft: Change, found: Mapping[str, Live]) -> None:
    """The same of those (by id) that go on, or are about to end, whoever made them: what is kept is brought up to date, and
    never loses a fact, for another tool's keys end one by one. What is kept of none, or of an earlier quote of that number,
    is begun anew, and counted. Four round trips, however many.
    """
    kept, places = _kept(draft, list(found)), INDEX.known_places(draft.client, list(found))
    for member, (facts, deadline) in found.items():
        product, _, number = member.partition(":")
        before = kept[member]
        if not before or "ended" in before:
            keep(draft, product, number, facts, deadline)
            draft.delete(keys.quote_outcome(product, number))
            INDEX.put(draft, member, None, places[member])
        else:
            _recount(draft, product, before, facts)
            _write(draft, product, number, facts, deadline)


def _kept(draft: Change, ids: Sequence[str]) -> dict[str, dict[str, str] | None]:
    """What is kept of these, watched. Two round trips."""
    draft.watch(*(keys.quote_snapshot(product, number) for _, product, number in keys.numbered(ids)))
    return snapshots(draft.client, ids)


def _write(draft: Change, product: str, number: str, facts: Mapping[str, str], deadline: int | None) -> None:
    name = keys.quote_snapshot(product, number)
    flat = [part for pair in facts.items() if pair[1] for part in pair]
    draft.record("HSET", name, *flat, "deadline", deadline or "")
    draft.expire_at((deadline or clock.now_ms()) + KEPT, name)


def _recount(draft: Change, product: str, kept: Mapping[str, str], facts: Mapping[str, str]) -> None:
    """A quote that another tool writes key by key may have been met before its agent or risk was there: it was quoted by
    this agent, at this risk, in the hour in which it was met.
    """
    met, counted = _ms(kept.get(_MET)), [kept.get(name, "") for name in ("risk_level", "agent")]
    now = [facts.get(name) or was for name, was in zip(("risk_level", "agent"), counted, strict=True)]
    if met is None or now == counted:
        return
    for (risk, agent), by in ((counted, -1), (now, 1)):
        funnel.add(draft, "quoted", product=product, risk=risk, agent=agent, at=met, by=by)


def is_kept(kept: Mapping[str, str] | None, facts: Mapping[str, str], deadline: int | None) -> bool:
    """Whether what is kept (`snapshots`) is up to date with a live quote's facts."""
    if not kept or "ended" in kept or kept.get("deadline") != str(deadline or ""):
        return False
    return all(kept.get(name) == value for name, value in facts.items())


def snapshots(client: Redis, ids: Sequence[str]) -> dict[str, dict[str, str] | None]:
    """What is kept of these quotes, by id; None for what another tool broke. One round trip."""
    pipe = client.pipeline(transaction=False)
    for _, product, number in (wanted := keys.numbered(ids)):
        pipe.hgetall(keys.quote_snapshot(product, number))
    return {member: kept for (member, _, _), kept in zip(wanted, answered(pipe), strict=True)}


def mark(draft: Change, how: How, ended: Mapping[str, tuple[Mapping[str, str], int]]) -> None:
    """These quotes (by id: facts, and Unix ms of the end) have ended: in the list, and counted. Three round trips."""
    directory, places = agents.directory(draft.client), INDEX.known_places(draft.client, list(ended))
    stage: funnel.Stage = "bound" if how == "bound" else "lapsed"
    for member, (facts, at) in ended.items():
        product, _, number = member.partition(":")
        name, agent = keys.quote_snapshot(product, number), facts.get("agent")
        draft.record("HSET", name, "how", how, "ended", at)
        draft.expire_at(at + KEPT, name)
        facets = {"branch": directory.branch_of(agent), "product": product, "how": how}
        facets |= {"agent": agent or UNKNOWN, "customer": facts.get("customer") or UNKNOWN}
        INDEX.put(draft, member, Entry(facets, {"ended": at}), places[member])
        funnel.add(draft, stage, product=product, risk=facts.get("risk_level"), agent=agent, at=at)


def expired(ids: Sequence[str]) -> None:
    """These quotes' keys are gone. Those that nobody ended have expired, at their deadline, however late somebody finds
    out; or before, where another tool took them away. Once, whoever finds out.
    """

    def action(draft: Change, members: Sequence[str]) -> None:
        roots = [keys.quote(*member.split(":", 1)) for member in members]
        draft.watch(*roots)
        kept = _kept(draft, members)
        pipe = draft.client.pipeline(transaction=False)
        for root in roots:
            pipe.exists(root)
        alive, now = dict(zip(members, pipe.execute(), strict=True)), clock.now_ms()
        over = {member: facts for member in members if (facts := kept[member]) and not alive[member]}
        ended = {
            member: (facts, min(_ms(facts.get("deadline")) or now, now))
            for member, facts in over.items()
            if "ended" not in facts
        }
        if ended:
            mark(draft, "expired", ended)

    change_many([member for member, _, _ in keys.numbered(ids)], action)


# -- the index


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the list in step with what is kept. Four round trips, some more for each quote that ended while nobody was
    there to count it: whoever found out may have been cut off before. Gives how many entries changed.
    """
    over: set[str] = set()

    def read(members: Sequence[str]) -> dict[str, Entry]:
        loaded = load(client, members)
        pipe = client.pipeline(transaction=False)
        for member in members:
            pipe.exists(keys.quote(*member.split(":", 1)))
        live = {member for member, there in zip(members, pipe.execute(), strict=True) if there}
        over.difference_update(members)
        over.update(m for m, each in loaded.items() if each.facts and m not in live and "ended" not in each.facts)
        return {
            member: Entry(_facets(each), {"ended": clock.ms(each.at) if each.at else NEVER})
            for member, each in loaded.items()
            if member not in live and "ended" in each.facts
        }

    changed = INDEX.follow(client, members, read, force=force)
    expired(sorted(over))
    return changed


def _facets(ended: Ended) -> dict[str, str]:
    return {
        "branch": ended.branch,
        "product": ended.product,
        "how": ended.how,
        "agent": ended.facts.get("agent") or UNKNOWN,
        "customer": ended.facts.get("customer") or UNKNOWN,
    }


def _at(at: datetime | None) -> str:
    return f"{at.astimezone(clock.zone()):%H:%M:%S}" if at else "an unknown time"
