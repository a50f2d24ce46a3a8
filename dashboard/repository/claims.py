"""Claims: a reported loss lives 7 days (`claim:temp:*`), under investigation 30 (`investigation:*`), decided for ever.

A claim's stage is told from its own keys, whoever wrote them. Here are the lists; how one claim is read stands in
`claim_records`, its steps in `claim_steps`, what is kept beyond its end in `claim_snapshots`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import NotFound
from dashboard.repository import agents, claim_snapshots, customers
from dashboard.repository.agents import Directory, Scope
from dashboard.repository.claim_coverage import Coverage, coverage
from dashboard.repository.claim_index import INDEX, facets_of, load, of_policies, policy_facet, refresh
from dashboard.repository.claim_records import (
    CRITICAL,
    INVESTIGATION_LIFE,
    LAPSED,
    OPEN,
    REPORTED_LIFE,
    STAGES,
    UNDECIDED,
    URGENT,
    Claim,
    Stage,
    all_keys,
    is_number,
    is_policy,
    read,
)
from dashboard.repository.claim_steps import (
    approve,
    assign,
    close,
    deny,
    gone,
    left_behind,
    needs_another,
    pay,
    reopen,
    report,
    restore,
    send_back,
    set_reserve,
    update_investigation,
)
from dashboard.repository.index import NEVER, UNKNOWN, Cursor, Page, clean
from dashboard.repository.keyspace import StoredKey, stored
from dashboard.repository.values import distinct

__all__ = [
    "CRITICAL", "INDEX", "INVESTIGATION_LIFE", "LAPSED", "OPEN", "REPORTED_LIFE", "STAGES", "UNDECIDED", "URGENT",
    "Claim", "Coverage", "Stage", "all_keys", "approve", "assign", "close", "coverage", "deny", "is_policy", "load",
    "needs_another", "of_policies", "pay", "refresh", "reopen", "report", "restore", "send_back", "set_reserve",
    "update_investigation",
]  # fmt: skip

Sort = Literal["deadline", "since"]


@dataclass(frozen=True)
class Filter:
    """What the claims shown are restricted to. `product` UNKNOWN ("") means those of no known policy."""

    product: str | None = None
    customer: str | None = None
    adjuster: str | None = None


@dataclass(frozen=True)
class Column:
    """The head of one stage's claims. `total` counts all of them, `shown_amount` adds the amounts of `rows` alone."""

    stage: Stage
    rows: list[Claim]
    total: int

    @property
    def shown_amount(self) -> Decimal:
        return sum((row.amount for row in self.rows if row.amount is not None), Decimal(0))

    @property
    def hidden(self) -> int:
        return max(self.total - len(self.rows), 0)


@dataclass(frozen=True)
class Escalations:
    """Undecided claims whose record the store will end: within an hour, and within a day, those among them."""

    critical: int
    urgent: int


@dataclass(frozen=True)
class Age:
    """How long the claims of one stage have been at it: how many for each of AGES, in the order of AGES, then those of
    which it is not known. `oldest`: the one that has been there for longest.
    """

    stage: Stage
    counts: tuple[int, ...]
    total: int
    oldest: Claim | None


@dataclass(frozen=True)
class Workload:
    """What one adjuster has on the desk: claims by stage, and how many records the store will end within a day."""

    adjuster: str
    stages: Mapping[str, int]
    urgent: int

    @property
    def total(self) -> int:
        return sum(self.stages.values())


AGES: tuple[tuple[str, int | None], ...] = (
    ("under a day", clock.DAY), ("1–3 days", 3 * clock.DAY), ("3–7 days", 7 * clock.DAY), ("7–30 days", 30 * clock.DAY),
    ("over 30 days", None),
)  # fmt: skip
"""What ages are counted as: the words, and the ms that it ends before."""

WORKED: tuple[Stage, ...] = ("investigating", "waiting", "approved")
"""The stages at which an adjuster has a claim on the desk."""

_MOST_ADJUSTERS = 500
_AT_ONCE = 200
"""Claims read in one go for a file."""


# -- reading


def get(client: Redis, number: str) -> Claim:
    """One claim. Raises NotFound, or Expired when only its history is left. Four to eight round trips."""
    found = load(client, [number]) if is_number(number) else {}
    if number not in found or found[number].stage == LAPSED:
        raise gone(client, number)
    return _with_names(client, [found[number]])[0]


def lapsed(client: Redis, number: str) -> Claim:
    """What is kept of a claim whose record ended undecided. Raises NotFound. Three to six round trips."""
    found = load(client, [number]) if is_number(number) else {}
    if number not in found or found[number].stage != LAPSED:
        raise NotFound(f"Nothing is kept of a claim {number} that ended.")
    return _with_names(client, [found[number]])[0]


def missing(client: Redis, claim: Claim) -> int:
    """How many facts of an undecided claim have ended before the others, and could be restored; of a decided one, how many
    the tool that decided it did not keep. Five round trips.
    """
    (record,) = read(client, [claim.number])
    kept = claim_snapshots.read(client, [claim.number]).get(claim.number)
    if claim.is_decided:
        return len(left_behind(record, kept, agents.directory(client)))
    return len(kept.missing_in(record)) if kept else 0


def pipeline(
    client: Redis, scope: Scope, wanted: Filter, *, size: int = 12, stages: Sequence[Stage] = STAGES
) -> list[Column]:
    """Each stage with the first `size` of its claims: undecided ones by the time left to them, the others newest first.
    Ten round trips or so, whatever the number of claims.
    """
    directory = agents.directory(client)
    places = [_facets(scope, directory, wanted, stage) for stage in stages]
    pages, loaded = _pages(client, places, size, "deadline", directory)
    named = {claim.number: claim for claim in _with_names(client, list(loaded.values()))}
    return [
        Column(stage, [named[number] for number in members], total)
        for stage, (members, total) in zip(stages, pages, strict=True)
    ]


def listing(
    client: Redis,
    scope: Scope,
    wanted: Filter,
    stage: Stage,
    *,
    sort: Sort = "deadline",
    cursor: Cursor | None = None,
    size: int = 50,
) -> Page[Claim]:
    """One page of one stage's claims, in the pipeline's order, or the longest at their stage first. Eight round trips or
    so.
    """
    directory = agents.directory(client)
    return _page(client, _facets(scope, directory, wanted, stage), size, directory, sort=sort, cursor=cursor)


def every(client: Redis, scope: Scope, wanted: Filter, *stages: Stage, sort: Sort = "deadline") -> Iterator[Claim]:
    """All claims at these stages, read while they are taken, so many in one go."""
    for stage in stages:
        cursor: Cursor | None = None
        while True:
            page = listing(client, scope, wanted, stage, sort=sort, cursor=cursor, size=_AT_ONCE)
            yield from page.rows
            cursor = page.next
            if cursor is None:
                break


def totals(client: Redis, scope: Scope, wanted: Filter, *, stages: Sequence[Stage] = STAGES) -> dict[str, int]:
    """How many claims at these stages there are of each product this person may see, UNKNOWN among them; nothing where
    a list restricted to one customer or adjuster would have to be made for it. Two round trips.
    """
    if wanted.customer or wanted.adjuster:
        return {}
    directory = agents.directory(client)
    products = _products(scope)
    places = [_facets(scope, directory, Filter(product=product), *stages) for product in products]
    counts = INDEX.count(client, [(facets, "deadline", None, None) for facets in places])
    return dict(zip(products, counts, strict=True))


def urgent(client: Redis, scope: Scope, *, within: int = clock.DAY) -> int:
    """How many undecided claims the store will drop within so many ms. Two round trips."""
    directory = agents.directory(client)
    now = clock.now_ms()
    return INDEX.count(client, [(_facets(scope, directory, Filter(), *UNDECIDED), "deadline", now, now + within)])[0]


def escalations(client: Redis, scope: Scope) -> Escalations:
    """Two round trips."""
    facets, now = _facets(scope, agents.directory(client), Filter(), *UNDECIDED), clock.now_ms()
    ends = [now + CRITICAL, now + URGENT]
    return Escalations(*INDEX.count(client, [(facets, "deadline", now, end) for end in ends]))


def escalated(client: Redis, scope: Scope, *, cursor: Cursor | None = None, size: int = 50) -> Page[Claim]:
    """Undecided claims whose record the store will end within a day, the soonest first. Eight round trips or so."""
    facets = _facets(scope, agents.directory(client), Filter(), *UNDECIDED)
    high = clock.now_ms() + URGENT
    return _page(client, facets, size, agents.directory(client), cursor=cursor, high=high)


def counts(client: Redis, scope: Scope, wanted: Filter, *stages: Stage) -> dict[str, int]:
    """How many claims there are at each of these stages; nothing where a list restricted to one customer or adjuster
    would have to be made for it. Two round trips.
    """
    if wanted.customer or wanted.adjuster:
        return {}
    directory = agents.directory(client)
    found = INDEX.count(
        client, [(_facets(scope, directory, wanted, stage), "deadline", None, None) for stage in stages]
    )
    return dict(zip(stages, found, strict=True))


def ageing(client: Redis, scope: Scope) -> list[Age]:
    """How long claims have been at each stage at which somebody has to do something. Ten round trips or so."""
    directory, now = agents.directory(client), clock.now_ms()
    places = [_facets(scope, directory, Filter(), stage) for stage in OPEN]
    ends = [now - age if age else 0 for _, age in AGES]
    begins = [now + clock.DAY, *ends]
    queries = [(facets, "since", end + 1, begin) for facets in places for end, begin in zip(ends, begins, strict=False)]
    found = INDEX.count(client, [*queries, *((facets, "since", None, None) for facets in places)])
    pages, loaded = _pages(client, places, 1, "since", directory)
    named = {claim.number: claim for claim in _with_names(client, list(loaded.values()))}
    ages = []
    for at, stage in enumerate(OPEN):
        counted = found[at * len(AGES) : (at + 1) * len(AGES)]
        total = found[len(queries) + at]
        first = next((named[number] for number in pages[at][0]), None)
        unknown = max(total - sum(counted), 0)
        ages.append(Age(stage, (*counted, unknown), total, first if first and first.since else None))
    return ages


def workloads(client: Redis) -> list[Workload]:
    """Everybody who has a claim on the desk, the busiest first. Two round trips."""
    everybody = sorted(name for name in client.smembers(keys.adjusters()) if keys.is_identifier(name))
    now = clock.now_ms()
    queries: list[tuple[dict[str, list[str]], str, float | None, float | None]] = []
    for adjuster in everybody[:_MOST_ADJUSTERS]:
        queries += [({"adjuster": [adjuster], "stage": [stage]}, "deadline", None, None) for stage in WORKED]
        queries.append(({"adjuster": [adjuster], "stage": list(UNDECIDED)}, "deadline", now, now + URGENT))
    found = iter(INDEX.count(client, queries) if queries else [])
    loads = [
        Workload(adjuster, {stage: next(found) for stage in WORKED}, next(found))
        for adjuster in everybody[:_MOST_ADJUSTERS]
    ]
    return sorted((each for each in loads if each.total), key=lambda each: (-each.total, each.adjuster))


def ending_soon(client: Redis, scope: Scope, size: int = 5, *, within: int | None = None) -> Page[Claim]:
    """Undecided claims whose record the store will drop, the soonest first; `within` so many ms from now."""
    directory = agents.directory(client)
    high = NEVER - 1 if within is None else clock.now_ms() + within
    return _page(client, _facets(scope, directory, Filter(), *UNDECIDED), size, directory, high=high)


def for_policy(client: Redis, scope: Scope, policy: str, *, size: int = 20) -> list[Claim]:
    """The claims on one policy (`auto:100001`): the undecided first, then the latest decided. Six round trips."""
    directory = agents.directory(client)
    found = _page(client, {"policy": [policy_facet(policy)]}, size, directory)
    return [claim for claim in found.rows if claim.policy == policy and scope.sees(claim.product, claim.branch)]


def stored_as(client: Redis, number: str) -> list[StoredKey]:
    """The keys this claim is made of. One round trip."""
    return stored(client, all_keys(number))


def _products(scope: Scope) -> list[str]:
    return [*(product for product in keys.PRODUCTS if product in scope.products), UNKNOWN]


def _facets(scope: Scope, directory: Directory, wanted: Filter, *stages: Stage) -> dict[str, list[str]]:
    """What a list is restricted to. A branch or a product that does not matter is left out, so that the coarse cells
    serve: a supervisor's list costs the same at two branches and at fifty.
    """
    facets: dict[str, list[str]] = {"stage": list(stages)}
    if scope.branches is not None:
        facets["branch"] = directory.visible(scope)
    allowed = _products(scope)
    if wanted.product is not None or len(allowed) <= len(keys.PRODUCTS):
        facets["product"] = [product for product in allowed if wanted.product is None or product == wanted.product]
    for name in ("customer", "adjuster"):
        if value := getattr(wanted, name):
            facets[name] = [value]
    return facets


def _page(
    client: Redis,
    facets: dict[str, list[str]],
    size: int,
    directory: Directory,
    *,
    sort: Sort = "deadline",
    cursor: Cursor | None = None,
    high: float | None = None,
) -> Page[Claim]:
    page = INDEX.things(
        client, facets, sort, size, load=partial(load, client, directory=directory), facets=facets_of, refresh=refresh,
        cursor=cursor, high=high,
    )  # fmt: skip
    return replace(page, rows=_with_names(client, page.rows))


def _pages(
    client: Redis, places: Sequence[dict[str, list[str]]], size: int, sort: Sort, directory: Directory
) -> tuple[list[tuple[list[str], int]], dict[str, Claim]]:
    """The first members of several lists with the total of each, and all their claims in one reading. As INDEX.things:
    entries whose claim is gone or moved on behind our back are taken out, and the lists are read again.
    """
    for _ in range(3):
        slices = [INDEX.page(client, facets, sort, size) for facets in places]
        loaded = load(client, distinct(number for found in slices for number in found.members), directory=directory)
        stale = [
            {number for number in found.members if not _belongs(loaded.get(number), facets)}
            for facets, found in zip(places, slices, strict=True)
        ]
        if not any(stale):
            break
        for facets, misplaced in zip(places, stale, strict=True):
            if misplaced:
                INDEX.evict(client, sorted(misplaced), facets)
                refresh(client, sorted(misplaced), force=True)
    pages = [
        ([number for number in found.members if number not in misplaced], found.total)
        for found, misplaced in zip(slices, stale, strict=True)
    ]
    return pages, loaded


def _belongs(claim: Claim | None, facets: Mapping[str, Sequence[str]]) -> bool:
    """Whether a claim read just now stands rightly in a list."""
    if claim is None:
        return False
    actual = facets_of(claim)
    return all(clean(actual[name]) in allowed for name, allowed in facets.items())


def _with_names(client: Redis, rows: Sequence[Claim]) -> list[Claim]:
    """One round trip."""
    known = customers.names(client, distinct(row.customer for row in rows))
    return [replace(row, customer_name=known.get(row.customer or "")) for row in rows]
