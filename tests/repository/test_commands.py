"""What a list costs does not depend on how many things there are: ceilings on commands and on round trips, and the
same figures for a small book and for a large one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from redis import Redis
from redis.connection import AbstractConnection

from dashboard import clock, keys
from dashboard.repository import (
    agents,
    archive,
    areas,
    claims,
    customers,
    dossier,
    drift,
    funnel,
    lapsed,
    metrics,
    periods,
    policies,
    quotes,
    search,
    sessions,
)
from dashboard.repository import places as zip_areas
from dashboard.repository.agents import Scope
from dashboard.repository.policies import INDEX, Filter

EVERYTHING = Scope()
DALLAS = Scope(frozenset({"dallas"}))
BRANCHES = {f"AG{number:03}": branch for number, branch in enumerate(("dallas", "houston", "fort_worth", "austin"))}
AGENTS = list(BRANCHES)
PAGE = 5


@dataclass(frozen=True)
class Cost:
    """Commands that the server ran, and times that we waited for it."""

    commands: int
    trips: int


@pytest.fixture
def cost_of(store: Redis, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Cost]:
    """What a call costs; it is made once before, so that no connection has to be opened."""
    sent = []
    send = AbstractConnection.send_packed_command

    def counted(self: AbstractConnection, *args: Any, **kwargs: Any) -> None:
        sent.append(1)
        send(self, *args, **kwargs)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)

    def measure(call: Callable[[], object]) -> Cost:
        call()
        store.config_resetstat()
        sent.clear()
        call()
        trips = len(sent)
        ran = sum(each["calls"] for name, each in store.info("commandstats").items() if "config" not in name)
        return Cost(ran, trips)

    return measure


# -- books of any size


class Bulk:
    """Takes what an index records, and writes it a cell at a time."""

    def __init__(self) -> None:
        self._sets: dict[str, dict[str, float]] = defaultdict(dict)
        self._hashes: dict[str, dict[str, str]] = defaultdict(dict)

    def record(self, *command: Any) -> None:
        verb, name, first, second = command
        if verb == "ZADD":
            self._sets[name][second] = first
        else:
            assert verb == "HSET"
            self._hashes[name][first] = second

    def write(self, store: Redis) -> None:
        pipe = store.pipeline(transaction=False)
        for name, scores in self._sets.items():
            for some in chunks(scores, 10_000):
                pipe.zadd(name, some)
        for name, places in self._hashes.items():
            pipe.hset(name, mapping=places)
        pipe.execute()


def chunks(content: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    items = iter(content.items())
    while some := dict(islice(items, size)):
        yield some


def write_policies(store: Redis, count: int) -> None:
    """A book of `count` policies: every product, branch, ZIP area and a few customers, all whole."""
    agents.save(store, BRANCHES)
    directory, bulk = agents.directory(store), Bulk()
    soon = clock.today() + timedelta(days=10)
    values: dict[str, str] = {}
    for at in range(count):
        product = keys.PRODUCTS[at % 3]
        number = str(policies.FLOORS[product] + at)
        facts = policies.facts_of(
            details="A policy",
            status=policies.STATUSES[at % 2],
            premium=1200,
            customer=f"CUST{at % 4}",
            agent=AGENTS[at // 3 % 4],
            expiration_date=soon,
            vehicle="A car" if product == "auto" else None,
            property_address=f"1 Main St, Dallas TX 7520{at // 2 % 2}",
        )
        for name, value in facts.items():
            if value:
                values[keys.policy_field(product, number, name)] = value
        policy = policies.from_facts(product, number, facts, directory)
        INDEX.put(bulk, policy.id, policies.entry(policy, f"1 Main St, Dallas TX 7520{at // 2 % 2}"), None)
    for some in chunks(values, 10_000):
        store.mset(some)
    bulk.write(store)


FILTERS = {
    "all": Filter(),
    "product": Filter(product="auto"),
    "status": Filter(status="ACTIVE"),
    "agent": Filter(agent="AG001"),
    "customer": Filter(customer="CUST1"),
    "zip": Filter(zip="75201"),
    "within": Filter(within=30),
    "zip and agent": Filter(zip="75201", agent="AG001"),
    "customer and status": Filter(customer="CUST1", status="PENDING"),
    "everything": Filter(product="auto", status="ACTIVE", within=30, zip="75200"),
}


def policy_lists(store: Redis) -> dict[str, Callable[[], Any]]:
    """Each way to ask for a page of policies."""
    calls: dict[str, Callable[[], Any]] = {
        f"{name}, {who}": lambda wanted=wanted, scope=scope: policies.listing(store, scope, wanted, size=PAGE)
        for name, wanted in FILTERS.items()
        for who, scope in (("a supervisor", EVERYTHING), ("an agent", DALLAS))
        if scope is EVERYTHING or not wanted.agent
    }
    second = policies.listing(store, EVERYTHING, Filter(), size=PAGE).next
    calls["by expiry, downwards"] = lambda: policies.listing(
        store, EVERYTHING, Filter(), sort="expiry", descending=True, size=PAGE
    )
    calls["by premium"] = lambda: policies.listing(store, DALLAS, Filter(), sort="premium", descending=True, size=PAGE)
    calls["second page"] = lambda: policies.listing(store, EVERYTHING, Filter(), cursor=second, size=PAGE)
    calls["chips"] = lambda: policies.totals(store, EVERYTHING, Filter())
    return calls


TRIPS = 6
COMMANDS = 300
"""A page merges its cells, with three questions to each: for five branches and three products 15 of them, for a ZIP area
once more for each of six statuses. A number of cells, and never of policies.
"""


@pytest.mark.parametrize("many", [3_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_list_of_policies_costs_the_same_for_a_hundred_and_for_many(
    store: Redis, cost_of: Callable[[Callable[[], object]], Cost], many: int
) -> None:
    costs, totals = [], []
    for count in (100, many):
        store.flushall()
        write_policies(store, count)
        calls = policy_lists(store)
        assert all(len(page.rows) == PAGE for name, call in calls.items() if name != "chips" for page in [call()])
        totals.append(policies.listing(store, EVERYTHING, Filter(), size=PAGE).total)
        costs.append({name: cost_of(call) for name, call in calls.items()})
    assert totals == [100, many]
    assert costs[0] == costs[1]
    for name, cost in costs[0].items():
        print(f"{name}: {cost}")
        assert cost.trips <= TRIPS, name
        assert cost.commands <= COMMANDS, name


def write_quotes(store: Redis, count: int) -> None:
    agents.save(store, BRANCHES)
    pipe = store.pipeline(transaction=False)
    for at in range(count):
        number = f"Q{at:05}"
        text = "Honda Civic 2023 - Customer: CUST1 - Premium: $950/year"
        facts = {"customer": "CUST1", "agent": AGENTS[at % 4], "premium": "950", "vehicle": "Honda Civic 2023"}
        pipe.set(keys.quote("auto", number), text, px=600_000 + at)
        for name, value in facts.items():
            pipe.set(keys.quote_field("auto", number, name), value, px=600_000 + at)
    pipe.execute()
    members = [f"auto:Q{at:05}" for at in range(count)]
    for start in range(0, count, 500):
        quotes.refresh(store, members[start : start + 500])


def write_ended(store: Redis, count: int) -> None:
    """Quotes that have expired, been withdrawn and been bound."""
    agents.save(store, BRANCHES)
    pipe, now = store.pipeline(transaction=False), clock.now_ms()
    for at in range(count):
        number = f"Q{at:05}"
        facts = {"customer": "CUST1", "agent": AGENTS[at % 4], "premium": "950", "vehicle": "Honda Civic 2023"}
        pipe.hset(keys.quote_snapshot("auto", number), mapping=facts | {"ended": str(now - at)})
        if how := ("", "withdrawn", "bound")[at % 3]:
            pipe.set(keys.quote_outcome("auto", number), f"{how}|AG000||auto:{at}")
    pipe.execute()
    members = [f"auto:Q{at:05}" for at in range(count)]
    for start in range(0, count, 500):
        lapsed.refresh(store, members[start : start + 500])


def write_claims(store: Redis, count: int, branches: Mapping[str, str] = BRANCHES) -> None:
    agents.save(store, branches)
    owners = list(branches)
    pipe = store.pipeline(transaction=False)
    for at in range(count):
        number = f"CLM{at:05}"
        text = "Auto Accident - Initial Report - Customer: CUST1 - Estimated: $3,500"
        pipe.set(keys.claim_temp(number), text, px=600_000 + at)
        pipe.set(keys.claim_temp_field(number, "agent"), owners[at // 2 % len(owners)], px=600_000 + at)
        if at % 2:
            pipe.set(keys.investigation(number), "Adjuster: ADJ001 | Photos: 12", px=600_000 + at)
    pipe.execute()
    members = [f"CLM{at:05}" for at in range(count)]
    for start in range(0, count, 500):
        claims.refresh(store, members[start : start + 500])


def write_sessions(store: Redis, count: int) -> None:
    pipe = store.pipeline(transaction=False)
    for at in range(count):
        pipe.set(keys.portal(f"CUST{at:05}"), "authenticated|ip:192.168.1.100", px=600_000 + at)
        pipe.set(keys.device_session("mobile", f"CUST{at:05}", "device1"), "iPhone 12|iOS 15.0", px=600_000 + at)
    pipe.execute()
    members = [f"customer:CUST{at:05}:portal" for at in range(count)]
    members += [f"mobile:CUST{at:05}:device1" for at in range(count)]
    for start in range(0, len(members), 500):
        sessions.refresh(store, members[start : start + 500])


@pytest.mark.parametrize(
    ("write", "calls", "trips", "commands"),
    [
        pytest.param(
            write_quotes,
            {
                "board": lambda store: quotes.listing(store, EVERYTHING, quotes.Filter(), size=PAGE),
                "agent": lambda store: quotes.listing(store, DALLAS, quotes.Filter(agent="AG000"), size=PAGE),
                "risk": lambda store: quotes.listing(store, EVERYTHING, quotes.Filter(risk="NONE"), size=PAGE),
                "customer": lambda store: quotes.listing(store, DALLAS, quotes.Filter(customer="CUST1"), size=PAGE),
                "counts": lambda store: quotes.counts(store, EVERYTHING),
            },
            7,
            250,
            id="quotes",
        ),
        pytest.param(
            write_ended,
            {
                "lapsed": lambda store: lapsed.listing(store, EVERYTHING, lapsed.Filter(), size=PAGE),
                "agent": lambda store: lapsed.listing(store, DALLAS, lapsed.Filter(agent="AG000"), size=PAGE),
                "customer": lambda store: lapsed.listing(store, DALLAS, lapsed.Filter(customer="CUST1"), size=PAGE),
                "bound": lambda store: lapsed.listing(store, EVERYTHING, lapsed.Filter(hows=("bound",)), size=PAGE),
            },
            5,
            120,
            id="ended quotes",
        ),
        pytest.param(
            write_claims,
            {
                "pipeline": lambda store: claims.pipeline(store, EVERYTHING, claims.Filter(), size=PAGE),
                "own": lambda store: claims.pipeline(store, DALLAS, claims.Filter(), size=PAGE),
                "totals": lambda store: claims.totals(store, EVERYTHING, claims.Filter()),
                "desks": lambda store: claims.workloads(store),
            },
            12,
            150,
            id="claims",
        ),
        pytest.param(
            write_sessions,
            {
                "all": lambda store: sessions.listing(store, sessions.Filter(), size=PAGE),
                "kind": lambda store: sessions.listing(store, sessions.Filter(kind="mobile"), size=PAGE),
                "totals": lambda store: sessions.totals(store, sessions.Filter()),
            },
            4,
            100,
            id="sessions",
        ),
    ],
)
def test_a_live_list_costs_the_same_at_a_hundred_and_at_fifteen_hundred(
    store: Redis,
    cost_of: Callable[[Callable[[], object]], Cost],
    write: Callable[[Redis, int], None],
    calls: dict[str, Callable[[Redis], object]],
    trips: int,
    commands: int,
) -> None:
    costs = []
    for count in (100, 1_500):
        store.flushall()
        write(store, count)
        costs.append({name: cost_of(lambda call=call: call(store)) for name, call in calls.items()})
    assert costs[0] == costs[1]
    for name, cost in costs[0].items():
        print(f"{name}: {cost}")
        assert cost.trips <= trips, name
        assert cost.commands <= commands, name


CLAIMS: dict[str, tuple[Callable[[Redis, Scope], object], int]] = {
    "pipeline": (lambda store, scope: claims.pipeline(store, scope, claims.Filter(), size=PAGE), 130),
    "of a product": (lambda store, scope: claims.pipeline(store, scope, claims.Filter(product="auto"), size=PAGE), 130),
    "of a customer": (
        lambda store, scope: claims.pipeline(store, scope, claims.Filter(customer="CUST1"), size=PAGE),
        130,
    ),
    "of an adjuster": (
        lambda store, scope: claims.pipeline(store, scope, claims.Filter(adjuster="ADJ001"), size=PAGE),
        130,
    ),
    "counts by stage": (lambda store, scope: claims.counts(store, scope, claims.Filter(), *claims.STAGES), 20),
    "counts by product": (lambda store, scope: claims.totals(store, scope, claims.Filter()), 60),
    "one stage": (lambda store, scope: claims.listing(store, scope, claims.Filter(), "reported", size=PAGE), 50),
    "escalated": (lambda store, scope: claims.escalated(store, scope, size=PAGE), 50),
    "escalations": (claims.escalations, 15),
    "ageing": (claims.ageing, 120),
}
"""Lists of claims, with the most commands that each may cost a supervisor or an agent, at any number of branches."""


def test_a_list_of_claims_costs_the_same_however_many_branches_there_are(
    store: Redis, cost_of: Callable[[Callable[[], object]], Cost]
) -> None:
    costs: list[dict[tuple[str, str], Cost]] = []
    for count in (4, 15):
        store.flushall()
        branches = {f"AG{number:03}": f"branch{number}" for number in range(count)}
        write_claims(store, 300, branches)
        people = {"a supervisor": EVERYTHING, "an agent": Scope(frozenset({"branch0"}))}
        costs.append(
            {
                (name, who): cost_of(lambda call=call, scope=scope: call(store, scope))
                for name, (call, _) in CLAIMS.items()
                for who, scope in people.items()
            }
        )
    assert costs[0] == costs[1]
    for (name, who), cost in costs[0].items():
        print(f"{name}, {who}: {cost}")
        assert cost.commands <= CLAIMS[name][1], (name, who)


def test_figures_cost_the_same_for_many_agents_as_for_few(
    store: Redis, cost_of: Callable[[Callable[[], object]], Cost]
) -> None:
    week = periods.current("weekly")
    few, many = ([f"AG{number:03}" for number in range(count)] for count in (2, 200))
    for agent in many:
        store.set(keys.METRIC_FAMILIES["weekly"]["agent"](week.name, agent, "policies_sold"), "3")
        store.hincrby(keys.funnel(clock.today().isoformat()), f"quoted|auto|LOW|{agent}|9", 1)
    statement, trend = Cost(4, 4), Cost(archive.SHOWN["weekly"], 1)
    for names in (few, many):
        assert cost_of(lambda names=names: metrics.statement(store, week, agents=names)) == statement
        owners = [f"agent={name}" for name in names]
        assert cost_of(lambda owners=owners: archive.statements(store, "weekly", owners)) == trend
    directory = agents.directory(store)
    assert cost_of(lambda: funnel.day(store, clock.today(), EVERYTHING, directory)) == Cost(2, 2)


def test_no_list_asks_for_the_key_space(store: Redis, cost_of: Callable[[Callable[[], object]], Cost]) -> None:
    write_policies(store, 100)
    for call in policy_lists(store).values():
        cost_of(call)
        assert not {"cmdstat_keys", "cmdstat_scan", "cmdstat_sort"} & store.info("commandstats").keys()


# -- customers


def write_customers(store: Redis, count: int) -> None:
    """Half of them with a policy that they do not list, all in one ZIP area."""
    pipe = store.pipeline(transaction=False)
    for number in range(count):
        name = f"CUST{number:04}"
        pipe.set(keys.customer_field(name, "profile"), f"John Smith|Phone:555-{number:04}")
        pipe.set(keys.customer_field(name, "address"), "456 Oak St, Dallas TX 75201")
        pipe.set(keys.customer_field(name, "preferred_agent"), "AG001")
        pipe.set(keys.location_risk("dallas", f"{number:05}"), "700")
        if number % 2:
            for field, value in {"status": "ACTIVE", "premium": "1", "customer": name, "agent": "AG001"}.items():
                pipe.set(keys.policy_field("auto", str(number), field), value)
    pipe.execute()
    for area, members in (
        ("policies", [f"auto:{number}" for number in range(1, count, 2)]),
        ("customers", [f"CUST{number:04}" for number in range(count)]),
        ("places", [f"dallas:{number:05}" for number in range(count)]),
    ):
        areas.refresh(store, area, members)


CUSTOMERS: dict[str, tuple[Callable[[Redis], object], int]] = {
    "the list": (lambda store: customers.listing(store, customers.Filter(), size=PAGE), 4),
    "an agent's": (lambda store: customers.listing(store, customers.Filter(agent="AG001"), size=PAGE), 4),
    "by total premium": (
        lambda store: customers.listing(store, customers.Filter(), sort="premium", descending=True, size=PAGE), 4,
    ),
    "an agent's by total premium": (
        lambda store: customers.listing(store, customers.Filter(agent="AG001"), sort="premium", size=PAGE), 4,
    ),
    "all drift": (lambda store: drift.listing(store, size=PAGE), 9),
    "places": (lambda store: zip_areas.listing(store, zip_areas.Filter(), sort="risk", size=PAGE), 4),
    "places by ZIP": (lambda store: zip_areas.listing(store, zip_areas.Filter(zip="000"), size=PAGE), 4),
    "the list's search": (lambda store: search.people(store, EVERYTHING, "smith", size=1_000), 6),
    "the search": (lambda store: search.find(store, EVERYTHING, "smith"), 10),
    "the search by phone": (lambda store: search.find(store, EVERYTHING, "555-00"), 10),
    "the search by number": (lambda store: search.find(store, DALLAS, "cust00"), 10),
}  # fmt: skip


@pytest.mark.parametrize("name", CUSTOMERS)
def test_a_list_of_customers_costs_the_same_however_many_there_are(
    store: Redis, cost_of: Callable[[Callable[[], object]], Cost], name: str
) -> None:
    call, most = CUSTOMERS[name]
    agents.save(store, BRANCHES)
    write_customers(store, 30)
    few = cost_of(lambda: call(store))
    write_customers(store, 600)
    many = cost_of(lambda: call(store))
    assert many == few
    assert many.trips <= most, many


def test_the_whole_of_a_customer_costs_no_more_trips_with_more_in_it(
    store: Redis, cost_of: Callable[[Callable[[], object]], Cost]
) -> None:
    agents.save(store, BRANCHES)
    trips = []
    for count in (2, 40):
        for number in range(count):
            for field, value in {"status": "ACTIVE", "premium": "1", "customer": "CUST001", "agent": "AG001"}.items():
                store.set(keys.policy_field("auto", str(number), field), value)
            store.set(keys.claim_temp(f"CLM{number}"), "Hail - Initial Report - Customer: CUST001", ex=999)
            store.set(keys.payment_audit(f"T{number}"), "Customer: CUST001 | Amount: 1")
        for area, head in (("policies", "auto:"), ("claims", "CLM"), ("payments", "T")):
            areas.refresh(store, area, [f"{head}{number}" for number in range(count)])
        trips.append(cost_of(lambda: dossier.of(store, EVERYTHING, "CUST001")).trips)
    assert trips[1] <= trips[0] + 2 and max(trips) <= 55, trips
