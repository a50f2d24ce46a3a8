"""A plausible book of any size, the same for the same seed: customers and their policies, quotes, claims, sessions.

Every household follows from (seed, its place in the row) alone, so memory does not grow with the book, and a run that
was stopped goes on where it was. How far it came, and the numbers it took, stand in the store (`dash:book:generated`)
and move in the same transaction as what they tell of.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from redis import Redis

from dashboard import clock, keys, things
from dashboard.errors import Conflict
from dashboard.repository import agents as agents_repository
from dashboard.repository import areas, customers, groups, metrics, periods, policies, quotes
from dashboard.repository.agents import Directory
from dashboard.repository.values import Reader

BATCH = 400
"""Households written in one go, some 560 policies."""

PER_AGENT = 5_000
MOST_AGENTS = 200

# What the households of a row hold; each twentieth is alike, so that all numbers can be told beforehand.
_PATTERN: tuple[tuple[str, ...], ...] = (
    ("auto",), ("home",), ("auto", "home"), ("auto",), ("auto",), ("life",), ("auto", "auto"), ("auto",), ("home",),
    ("auto", "home"), ("auto",), ("auto", "home", "life"), ("auto",), ("life",), ("auto", "home"), ("auto",), ("home",),
    ("auto", "auto"), ("auto", "home"), ("auto",),
)  # fmt: skip
_PER_ROUND = sum(map(len, _PATTERN))


# -- who works here


@dataclass(frozen=True)
class Agent:
    id: str
    first: str
    last: str
    branch: str
    branches: tuple[str, ...]
    products: tuple[str, ...]


def agents_for(size: int, known: Sequence[Agent]) -> list[Agent]:
    """The agents of a book of `size` policies: those that are known, and more in all branches where it is large."""
    wanted = min(max(-(-size // PER_AGENT), len(known)), MOST_AGENTS)
    return [*known, *(_agent(number) for number in range(len(known) + 1, wanted + 1))]


def _agent(number: int) -> Agent:
    rng = Random(number)
    slugs = list(PLACES)
    home = slugs[number % len(slugs)]
    second = slugs[(number * 5 + 3) % len(slugs)]
    products = keys.PRODUCTS if number % 4 else ("auto", "home")
    branches = (home,) if number % 3 or second == home else (home, second)
    return Agent(f"AG{number:03}", rng.choice(FIRST), rng.choice(LAST), home, branches, products)


# -- the state of a book in the store


@dataclass
class Book:
    """One generated book: what it is to be, the first number of each kind that is its own, and how far it came."""

    seed: int
    size: int
    day: str
    first: dict[str, int]
    households: int = 0
    claims: int = 0
    figures: str = ""

    @property
    def today(self) -> date:
        """The day it was begun on: a run that goes on later tells of the same households."""
        return date.fromisoformat(self.day)

    @property
    def all_households(self) -> int:
        rounds, rest = divmod(self.size, _PER_ROUND)
        count, covered = rounds * len(_PATTERN), 0
        while covered < rest:
            covered += len(_PATTERN[count % len(_PATTERN)])
            count += 1
        return count

    @property
    def done(self) -> int:
        """Policies written."""
        return min(_policies_before(self.households), self.size)

    @property
    def counts(self) -> dict[str, int]:
        """How many quotes, claims and sessions go with it."""
        return {
            "quote": min(max(self.size // 1_000, 12), 1_000),
            "claim": min(max(self.size // 250, 8), 4_000),
            "session": min(max(self.size // 1_000, 8), 500),
        }

    def customer(self, household: int) -> str:
        return f"CUST{self.first['customer'] + household}"

    def contracts(self, household: int) -> list[tuple[str, str]]:
        """(product, number) of each policy of a household. The last one's are cut so that the size is exact."""
        before = dict(_before(household))
        found = []
        for product in _PATTERN[household % len(_PATTERN)][: self.size - _policies_before(household)]:
            found.append((product, str(self.first[f"policy-{product}"] + before[product])))
            before[product] += 1
        return found

    def record(self, pipe: Any) -> None:
        pipe.hset(keys.book(things.GENERATED), str(self.seed), json.dumps(asdict(self)))


def _policies_before(household: int) -> int:
    return sum(_before(household).values())


def _before(household: int) -> Mapping[str, int]:
    """How many policies of each product the households before this one hold."""
    rounds, place = divmod(household, len(_PATTERN))
    return {product: rounds * _TOTALS[product] + _PASSED[place][product] for product in keys.PRODUCTS}


_PASSED = [
    {product: sum(held.count(product) for held in _PATTERN[:place]) for product in keys.PRODUCTS}
    for place in range(len(_PATTERN))
]
_TOTALS = {product: sum(held.count(product) for held in _PATTERN) for product in keys.PRODUCTS}

# Above the sample's numbers, so that neither takes what is the other's, whichever came first.
_FLOORS = {f"policy-{product}": floor + 100 for product, floor in policies.FLOORS.items()}
_FLOORS |= {"customer": 100_001, "quote": 101, "claim": 101}


def open_book(client: Redis, size: int, seed: int) -> Book:
    """The book of this seed as it stands in the store, or a new one with numbers of its own. Raises Conflict when the
    seed has a book of another size. Numbers are taken as the pages take them, under WATCH, so none is given twice.
    """

    def action(pipe: Any) -> Book:
        known = pipe.hget(keys.book(things.GENERATED), str(seed))
        if known:
            pipe.multi()
            return Book(**json.loads(known))
        book = Book(seed, size, clock.today().isoformat(), {})
        needs = {f"policy-{product}": _before(book.all_households)[product] for product in keys.PRODUCTS}
        needs |= {"customer": book.all_households, "quote": book.counts["quote"], "claim": book.counts["claim"]}
        given = dict(zip(needs, pipe.mget([keys.sequence(thing) for thing in needs]), strict=True))
        pipe.multi()
        for thing, count in needs.items():
            book.first[thing] = max(int(given[thing] or 0) + 1, _FLOORS[thing])
            pipe.set(keys.sequence(thing), book.first[thing] + count - 1)
        book.record(pipe)
        return book

    watched = [keys.sequence(thing) for thing in _FLOORS]
    book: Book = client.transaction(  # type: ignore[assignment]
        action,  # type: ignore[arg-type]
        keys.book(things.GENERATED),
        *watched,
        value_from_callable=True,
    )
    if book.size != size:
        raise Conflict(
            f"seed {seed} has a book of {book.size:,} policies here already: give that number to finish or refresh it, "
            "or another --seed for a book beside it."
        )
    return book


def generate(
    client: Redis, book: Book, agents: Sequence[Agent], *, progress: Callable[[int], None] = lambda done: None
) -> things.Written:
    """Write what is missing of the book, and begin anew what has ended of its quotes and sessions. `progress` is told
    how many policies there are. May be stopped anywhere and called again.
    """
    staff = _Staff(agents, agents_repository.directory(client))
    while book.households < book.all_households:
        _write_households(client, book, staff)
        progress(book.done)
    _index_wholes(client)
    written = _write_claims(client, book, staff)
    now = clock.now()
    others = things.write(client, [*_quotes(book, staff, now), *_sessions(book, agents, now)])
    closed = things.Written({}, {})
    if not book.figures:  # its first run
        closed = things.write(client, list(_history(book, agents).closed_periods()))
    _raise_figures(client, book, agents)
    things.announce(client)
    return things.Written({**written.new, **others.new, **closed.new}, {**written.kept, **others.kept, **closed.kept})


class _Staff:
    """The agents by what they may sell, and the branches the store knows for them."""

    def __init__(self, agents: Sequence[Agent], directory: Directory) -> None:
        self.directory = directory
        self._selling: dict[str, list[Agent]] = {
            product: [agent for agent in agents if product in agent.products] for product in keys.PRODUCTS
        }

    def choose(self, rng: Random, products: Sequence[str]) -> Agent:
        """One who sells all of these. Whoever sells life sells everything."""
        return rng.choice(self._selling["life" if "life" in products else products[0]])


def _rng(book: Book, kind: int, place: int) -> Random:
    """The dice of one thing: 0 households, 1 claims, 2 quotes, 3 sessions."""
    return Random(book.seed << 40 | kind << 36 | place)


# -- households


@dataclass
class Household:
    """A customer and their policies: facts (field -> stored text) by (product, number)."""

    customer: str
    name: str
    city: str
    zip: str
    agent: Agent
    facts: dict[str, str]
    segment: str
    tier: str
    policies: dict[tuple[str, str], dict[str, str]]


def household(book: Book, place: int, staff: _Staff) -> Household:
    """The same for the same book and place, whatever was asked before."""
    rng = _rng(book, 0, place)
    contracts = book.contracts(place)
    agent = staff.choose(rng, [product for product, _ in contracts])
    first, last = rng.choice(FIRST), rng.choice(LAST)
    town = PLACES[agent.branch]
    zip_code = rng.choice(town.zips)
    address = f"{rng.randrange(100, 9_900)} {rng.choice(STREETS)}, {town.name} TX {zip_code}"
    customer, name = book.customer(place), f"{first} {last}"
    held = {
        (product, number): _contract(rng, book.today, product, name, customer, agent.id, address)
        for product, number in contracts
    }
    born = date(1940 + rng.randrange(64), rng.randrange(1, 13), rng.randrange(1, 29))
    mail = f"{first}.{last}{place % 997}@email.com".lower()
    since = book.today - timedelta(days=rng.randrange(400, 5_200))
    facts = {
        "profile": f"{name}|DOB:{born}|Phone:555-{rng.randrange(10_000):04}|Email:{mail}",
        "address": address,
        "risk_score": str(rng.randrange(300, 900)),
        "credit_score": str(rng.randrange(520, 850)),
        "customer_since": since.isoformat(),
        "communication_preference": rng.choice(("email", "email", "phone", "sms")),
        "marketing_opt_in": rng.choice(("yes", "no")),
        "preferred_agent": agent.id,
        "payment_method": rng.choice(("AUTO_PAY", "AUTO_PAY", "INVOICE")),
        "policies": ",".join(f"{product}:{number}" for product, number in held),
        "policy_count": str(len(held)),
        "total_premium": str(sum(int(each["premium"]) for each in held.values())),
    }
    segment = rng.choice(("high_risk", "medium_risk", "medium_risk", "low_risk"))
    tier = rng.choice(("platinum", "gold", "gold", "silver", "silver", "silver", "", "", "", ""))
    return Household(customer, name, agent.branch, zip_code, agent, facts, segment, tier, held)


def _contract(
    rng: Random, today: date, product: str, name: str, customer: str, agent: str, address: str
) -> dict[str, str]:
    status = rng.choices(("ACTIVE", "PENDING", "SUSPENDED", "CANCELLED", "LAPSED"), (86, 3, 2, 5, 4))[0]
    years = rng.choice((10, 15, 20, 25, 30)) if product == "life" else 1
    effective = today + timedelta(days=_begins(rng, status, years))
    subject, facts = _INSURED[product](rng, address, years)
    return {
        "details": f"{subject} - {name} - ${int(facts['premium']):,} premium",
        "status": status,
        "premium": facts.pop("premium"),
        "customer": customer,
        "agent": agent,
        "effective_date": effective.isoformat(),
        "expiration_date": clock.years_later(effective, years).isoformat(),
        **facts,
    }


def _begins(rng: Random, status: str, years: int) -> int:
    """Days from today to the first day of a policy."""
    if status == "PENDING":
        return rng.randrange(1, 31)
    if status in ("CANCELLED", "LAPSED"):
        return -rng.randrange(30, 700)
    if years == 1 and rng.random() < 0.03:
        return -365 - rng.randrange(1, 40)  # past its end and still ACTIVE, as happens
    return -rng.randrange(0, min(365 * years, 3_650))


def _car(rng: Random, address: str, years: int) -> tuple[str, dict[str, str]]:
    model, vin_head = rng.choice(CARS)
    year = rng.randrange(2012, 2025)
    return f"{year} {model}", {
        "premium": str(rng.randrange(620, 2_900, 5)),
        "deductible": rng.choice(("250", "500", "500", "1000")),
        "vehicle": f"{year} {model}",
        "vehicle_vin": vin(vin_head, year, rng.choice("ABCEGKLNPRTUVWX"), rng.randrange(100_000, 999_999)),
        "coverage_limits": rng.choice(("50/100/50", "100/300/50", "100/300/100", "250/500/100")),
    }


def _house(rng: Random, address: str, years: int) -> tuple[str, dict[str, str]]:
    value = rng.randrange(140_000, 900_000, 1_000)
    return address, {
        "premium": str(value // 340 + rng.randrange(-150, 300)),
        "deductible": rng.choice(("1000", "1000", "2500", "5000")),
        "property_address": address,
        "property_value": str(value),
        "coverage_type": rng.choice(("FULL_REPLACEMENT", "FULL_REPLACEMENT", "ACTUAL_CASH_VALUE")),
    }


def _life(rng: Random, address: str, years: int) -> tuple[str, dict[str, str]]:
    amount = rng.randrange(100_000, 1_050_000, 50_000)
    monthly = max(9, amount * (years + rng.randrange(4, 30)) // 5_000_000 * 5 // 2)
    return f"Term life ${amount:,}, {years} years", {
        "premium": str(monthly * 12),
        "premium_monthly": str(monthly),
        "coverage_amount": str(amount),
        "term_years": str(years),
    }


_INSURED: dict[str, Callable[..., tuple[str, dict[str, str]]]] = {"auto": _car, "home": _house, "life": _life}


# -- writing households


class Bulk:
    """Takes an index's commands and sends them grouped by key: one ZADD for a thousand members of a cell."""

    def __init__(self) -> None:
        self._commands: dict[tuple[str, str], list[Any]] = defaultdict(list)

    def record(self, *command: Any) -> None:
        name, key, *rest = command
        if name not in ("ZADD", "HSET", "SADD"):
            raise ValueError(f"{name} cannot be grouped")
        self._commands[name, key] += rest

    def send(self, pipe: Any) -> None:
        for (name, key), rest in self._commands.items():
            pipe.execute_command(name, key, *rest)


def _write_households(client: Redis, book: Book, staff: _Staff) -> None:
    """The next batch. Two round trips: the truth, nothing of which replaces anything that is there; then, in one
    transaction, what follows from it, and how far we came. Stopped in between, it is done again, to the same end.
    """
    until = min(book.households + BATCH, book.all_households)
    batch = [household(book, place, staff) for place in range(book.households, until)]
    areas_seen = {(each.city, each.zip) for each in batch}
    pipe = client.pipeline(transaction=False)
    for city, zip_code in areas_seen:
        pipe.exists(keys.location_policies(city, zip_code))
    for each in batch:
        _write_truth(pipe, each)
    answers = iter(pipe.execute())
    listed = {area for area in areas_seen if next(answers)}
    bulk, taken, known = Bulk(), [], []
    for each in batch:
        whole = bool(next(answers))
        for product, number in each.policies:
            member = f"{product}:{number}"
            if next(answers):
                policies.INDEX.put(bulk, member, _entry(each, product, number, staff.directory), None)
            else:
                taken.append(member)
                whole = False
        if whole:
            customers.INDEX.put(bulk, each.customer, _listed(each), None)
        else:
            known.append(each.customer)
    # Written by the run before, or by somebody else.
    areas.refresh(client, "policies", taken)
    for each in batch:
        _group(bulk, each)
    book.households = until
    pipe = client.pipeline(transaction=True)
    bulk.send(pipe)
    _list_places(pipe, batch, listed)
    book.record(pipe)
    pipe.execute()
    # Compared with what all of the batch tells; a run that is killed just here leaves them to the next reconciliation.
    areas.refresh(client, "customers", known)


def _write_truth(pipe: Any, each: Household) -> None:
    pipe.msetnx(dict(zip(_names(keys.customer_field, each.facts, each.customer), each.facts.values(), strict=True)))
    for (product, number), facts in each.policies.items():
        pipe.msetnx(dict(zip(_names(keys.policy_field, facts, product, number), facts.values(), strict=True)))


def _names(family: keys.Family, fields: Mapping[str, str], *parts: str) -> list[str]:
    """Names of one thing's keys. The parts are checked once, not for each of its fields."""
    example = family(*parts, next(iter(fields)))
    head = example[: example.rindex(":") + 1]
    return [head + name for name in fields]


def _entry(each: Household, product: str, number: str, directory: Directory) -> Any:
    """As policies.refresh would make it of what is stored; a test compares the two."""
    facts = each.policies[product, number]
    fields = policies.FIELDS[product]
    # Named by field, not by key: key names would only serve to report problems, and making them costs the most.
    reader = Reader({name: facts.get(name) for name in fields}, {name: name for name in fields})
    policy = policies.policy_of(product, number, "strings", reader, directory)
    return policies.entry(policy, each.facts["address"])


def _listed(each: Household) -> Any:
    """As drift.refresh would make it of what is stored: relations that agree; a test compares the two."""
    fields = keys.CUSTOMER_FIELDS
    reader = Reader({name: each.facts.get(name) for name in fields}, {name: name for name in fields})
    return customers.entry(customers.customer_of(each.customer, reader), "")


def _group(bulk: Bulk, each: Household) -> None:
    bulk.record("SADD", keys.segment(each.segment), each.customer)
    if each.tier:
        bulk.record("SADD", keys.tier(each.tier), each.customer)
    if len(each.policies) > 1:
        bulk.record("SADD", keys.multi_policy(), each.customer)


def _list_places(pipe: Any, batch: Sequence[Household], listed: set[tuple[str, str]]) -> None:
    """Add the homes to their ZIP areas' lists: appended, for rewriting a long list in each batch would cost more than
    all the rest.
    """
    homes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in batch:
        found = [f"home:{number}" for product, number in each.policies if product == "home"]
        if found:
            homes[each.city, each.zip] += found
    for (city, zip_code), members in homes.items():
        comma = "," if (city, zip_code) in listed else ""
        pipe.append(keys.location_policies(city, zip_code), comma + ",".join(members))
        pipe.set(keys.location_risk(city, zip_code), 400 + int(zip_code) * 7 % 450, nx=True)


def _index_wholes(client: Redis) -> None:
    """What is listed as a whole, once all households are there."""
    spots = [f"{city}:{zip_code}" for city, town in PLACES.items() for zip_code in town.zips]
    areas.refresh(client, "places", spots)
    areas.refresh(client, "groups", [f"{kind}:{name}" for kind in groups.KINDS for name in groups.USUAL[kind]])
    groups.tally(client)


# -- what goes on today


def _write_claims(client: Redis, book: Book, staff: _Staff) -> things.Written:
    """Once each: a claim that has ended since does not come back."""
    total = book.counts["claim"]
    before = book.claims
    while book.claims < total:
        until = min(book.claims + areas.MEMBERS, total)
        now = clock.now()
        things.write(client, [_claim(book, number, staff, now) for number in range(book.claims, until)])
        book.claims = until
        book.record(client)
    return things.Written({"claims": total - before} if total > before else {}, {"claims": before} if before else {})


def _claim(book: Book, place: int, staff: _Staff, now: datetime) -> things.Thing:
    rng = _rng(book, 1, place)
    of = household(book, rng.randrange(book.all_households), staff)
    (product, contract), facts = rng.choice(list(of.policies.items()))
    where = facts.get("property_address", f"{rng.choice(STREETS)}, {PLACES[of.city].name} TX")
    loss = things.Loss(
        number=f"CLM{book.first['claim'] + place:03}",
        what=rng.choice(LOSSES[product]),
        policy=f"{product}:{contract}",
        customer=of.customer,
        agent=of.agent.id,
        estimate=int(facts["coverage_amount"]) if product == "life" else rng.randrange(400, 24_000, 50),
        where=where,
    )
    findings = things.Findings(f"ADJ{rng.randrange(1, 13):03}", rng.randrange(0, 40), rng.randrange(0, 4))
    stage = rng.choices(("reported", "investigating", "approved", "denied"), (35, 30, 25, 10))[0]
    if stage == "reported":
        return things.reported_claim(now, loss, days=rng.uniform(0, 6.9))
    if stage == "investigating":
        return things.investigated_claim(now, loss, findings, days=rng.uniform(0, 29.5))
    days = rng.randrange(1, 300)
    if stage == "denied":
        return things.decided_claim(now, loss, findings, days=days, reason=rng.choice(REASONS))
    return things.decided_claim(now, loss, findings, days=days, paid=loss.estimate * rng.randrange(70, 101) // 100)


def _quotes(book: Book, staff: _Staff, now: datetime) -> Iterator[things.Thing]:
    """Open quotes at every age. On a later run those that have ended begin anew."""
    for place in range(book.counts["quote"]):
        rng = _rng(book, 2, place)
        of = household(book, rng.randrange(book.all_households), staff)
        product = rng.choices(keys.PRODUCTS, (60, 25, 15))[0]
        agent = of.agent if product in of.agent.products else staff.choose(rng, [product])
        _, facts = _INSURED[product](rng, of.facts["address"], rng.choice((10, 20, 30)))
        facts["risk_level"] = rng.choices(quotes.RISKS, (20, 50, 30))[0]
        if product == "life":
            facts["medical_exam_required"] = rng.choice(("yes", "no"))
            del facts["premium"]
        premium = Decimal(facts["premium"]) if "premium" in facts else None
        life = quotes.term(product, premium, facts["risk_level"]).ms // clock.SECOND
        age = rng.randrange(0, life * 6 // 10)
        number = f"Q{book.first['quote'] + place:03}"
        told = {"customer": of.customer, "agent": agent.id, "created": clock.iso(now - timedelta(seconds=age))}
        yield things.open_quote(now, product, number, life=life, age=age, facts=told | facts)


def _sessions(book: Book, agents: Sequence[Agent], now: datetime) -> Iterator[things.Thing]:
    """Customers in the portal and the apps, and some of the agents that we made at their workstations."""
    for place in range(book.counts["session"]):
        rng = _rng(book, 3, place)
        customer = book.customer(rng.randrange(book.all_households))
        address = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        level, life = rng.choice((("normal", 1_800), ("normal", 1_800), ("high", 3_600), ("idle", 900), ("vip", 7_200)))
        active = rng.randrange(0, life // 90)
        yield things.portal_session(
            now, customer, life, level, active + rng.randrange(60), address, rng.choice(BROWSERS), last_activity=active
        )
        if place % 4 == 0:
            device, text = rng.choice(DEVICES)
            name = f"device{rng.randrange(1_000, 9_999)}"
            yield things.device_session(now, device, customer, name, rng.randrange(100), text)
    for agent in agents[3::3]:
        rng = Random(agent.id)
        figures = (rng.randrange(12), rng.randrange(5), rng.randrange(20))
        places, sold = ",".join(agent.branches), ",".join(agent.products)
        yield things.workstation_session(now, agent.id, rng.randrange(10, 420), agent.branch, places, sold, figures)


def _history(book: Book, agents: Sequence[Agent]) -> things.History:
    return things.History(book.seed, {agent.id: agent.products for agent in agents})


def _raise_figures(client: Redis, book: Book, agents: Sequence[Agent]) -> None:
    """Add the book's share to the day's figures, once a day, and on its first day to yesterday's and to those of the
    running and the last week, month and quarter. In one transaction with the note that it was done; a figure that
    another tool broke stays as it is.
    """
    today = clock.today()
    if book.figures == today.isoformat():
        return
    raised = [(periods.of("daily", today), _figures(book, agents, today))]
    for kind in periods.KINDS[1:]:
        raised.append((periods.current(kind), raised[0][1]))
    if not book.figures:
        raised += _past(book, agents, today)
    book.figures = today.isoformat()
    pipe = client.pipeline(transaction=True)
    for period, amounts in raised:
        counters, parts = things.figure_keys(period, amounts)
        for key, amount in counters.items():
            pipe.incrby(key, amount)
            pipe.pexpireat(key, period.deadline)
        for key, found in parts.items():
            for name, amount in found.items():
                pipe.hincrby(key, name, amount)
            pipe.pexpireat(key, period.deadline)
        listed = keys.metric_agents(period.name)
        pipe.sadd(listed, *(agent.id for agent in agents))
        pipe.pexpireat(listed, period.deadline)
    book.record(pipe)
    pipe.execute(raise_on_error=False)


def _past(book: Book, agents: Sequence[Agent], today: date) -> list[tuple[periods.Period, things.Amounts]]:
    """Yesterday, what of the running periods is past, and the whole of those before, where their figures still live."""
    history, yesterday = _history(book, agents), today - timedelta(days=1)
    past = [(periods.of("daily", yesterday), _figures(book, agents, yesterday))]
    for kind in periods.KINDS[1:]:
        running = periods.current(kind)
        past.append((running, history.total(running.first, yesterday)))
        past.append((running.before, history.total(running.before.first, running.before.last)))
    return past


def _figures(book: Book, agents: Sequence[Agent], day: date) -> things.Amounts:
    """By owner, so that the company's are the sums of the departments' and of the agents'."""
    found: things.Amounts = {}
    for agent in agents:
        for product in agent.products:
            rng = Random(f"{book.seed} {day} {agent.id} {product}")
            sold = rng.randrange(0, 4)
            figures = {
                "policies_sold": sold,
                "revenue": sold * rng.randrange(700, 2_100, 25),
                "claims_filed": rng.randrange(0, 3) // 2,
                "quotes_generated": sold * 2 + rng.randrange(0, 5),
            }
            for owner in (metrics.COMPANY, f"product={product}", f"agent={agent.id}"):
                row = found.setdefault(owner, {})
                for metric, amount in figures.items():
                    row[metric] = row.get(metric, 0) + amount
    return found


# -- the world


@dataclass(frozen=True)
class Town:
    name: str
    zips: tuple[str, ...]


PLACES: dict[str, Town] = {
    "dallas": Town("Dallas", ("75201", "75204", "75206", "75214", "75219", "75225", "75230", "75240")),
    "houston": Town("Houston", ("77002", "77006", "77007", "77019", "77024", "77025", "77056", "77077", "77098")),
    "fort_worth": Town("Fort Worth", ("76102", "76104", "76107", "76109", "76110", "76116", "76132")),
    "austin": Town("Austin", ("78701", "78704", "78745", "78751", "78757")),
    "san_antonio": Town("San Antonio", ("78205", "78209", "78216", "78230", "78249")),
    "el_paso": Town("El Paso", ("79902", "79912", "79925", "79936")),
    "plano": Town("Plano", ("75023", "75024", "75074", "75093")),
    "arlington": Town("Arlington", ("76010", "76012", "76013", "76017")),
    "corpus_christi": Town("Corpus Christi", ("78401", "78411", "78412", "78418")),
    "lubbock": Town("Lubbock", ("79401", "79410", "79423", "79424")),
    "irving": Town("Irving", ("75038", "75061", "75062", "75063")),
    "frisco": Town("Frisco", ("75033", "75034", "75035")),
}
"""Twelve cities in Texas and ZIP codes in them, by the name that keys have."""

STREETS = (
    "Oak St", "Main St", "Elm St", "Cedar Ave", "Pecan St", "Maple Ave", "Magnolia Blvd", "Lakeview Dr", "Hillcrest Rd",
    "Ridgewood Ln", "Sunset Blvd", "Park Ln", "Live Oak Dr", "Bluebonnet Ln", "Mockingbird Ln", "Preston Rd",
    "Greenville Ave", "Westheimer Rd", "Lamar Blvd", "Congress Ave", "Travis St", "Houston St", "Crockett St",
    "Willow Creek Dr", "Stonebridge Dr", "Legacy Dr", "Coit Rd", "Montana Ave", "Mesa St", "Ocean Dr", "Shoreline Blvd",
    "University Ave", "Quaker Ave", "Slide Rd", "Cooper St", "Collins St", "Camp Bowie Blvd", "Hulen St", "Forest Ln",
    "Royal Ln", "Walnut Hill Ln", "Meadow Brook Dr", "Cypress St", "Juniper Dr", "Mesquite Trl", "Canyon Rim",
)  # fmt: skip

FIRST = (
    "James", "Maria", "Robert", "Linda", "Michael", "Patricia", "David", "Jennifer", "William", "Elena", "Jose",
    "Susan", "Carlos", "Karen", "Daniel", "Nancy", "Luis", "Betty", "Anthony", "Sandra", "Juan", "Ashley", "Kevin",
    "Donna", "Brian", "Emily", "Jorge", "Michelle", "Ahmed", "Carol", "Minh", "Amanda", "Raj", "Melissa", "Wei",
    "Deborah", "Andre", "Stephanie", "Tomas", "Rebecca", "Hector", "Laura", "Tyler", "Aisha", "Victor", "Mei", "Owen",
    "Grace", "Isaac", "Hannah", "Diego", "Naomi", "Felix", "Ruth", "Marcus", "Ingrid", "Leo", "Yolanda", "Samuel",
    "Priscilla", "Curtis", "Lucia", "Wesley", "Monica", "Darnell", "Camila", "Travis", "Latoya", "Clara", "Emmanuel",
)  # fmt: skip

LAST = (
    "Garcia", "Johnson", "Williams", "Martinez", "Brown", "Rodriguez", "Davis", "Hernandez", "Miller", "Lopez",
    "Wilson", "Gonzalez", "Anderson", "Perez", "Thomas", "Sanchez", "Taylor", "Ramirez", "Moore", "Torres", "Jackson",
    "Nguyen", "Martin", "Flores", "Lee", "Rivera", "Thompson", "Gomez", "White", "Diaz", "Harris", "Cruz", "Clark",
    "Morales", "Lewis", "Ortiz", "Robinson", "Gutierrez", "Walker", "Chavez", "Young", "Tran", "Allen", "Ramos",
    "King", "Patel", "Wright", "Reyes", "Scott", "Kim", "Hill", "Mendoza", "Green", "Castillo", "Adams", "Vasquez",
    "Baker", "Chen", "Nelson", "Moreno", "Carter", "Khan", "Mitchell", "Guerra", "Roberts", "Okafor", "Turner",
    "Salazar", "Phillips", "Singh", "Campbell", "Delgado", "Parker", "Schmidt", "Evans", "Fuentes", "Edwards",
    "Kowalski", "Collins", "Haddad", "Stewart", "Ibarra", "Morris", "Lindgren", "Murphy", "Pham", "Cook",
    "Villarreal", "Rogers", "Abbott",
)  # fmt: skip

CARS = (
    ("Toyota Camry LE", "4T1G11AK"), ("Toyota RAV4 XLE", "2T3P1RFV"), ("Toyota Corolla LE", "5YFEPRAE"),
    ("Honda Civic EX", "2HGFC2F7"), ("Honda Accord Sport", "1HGCV1F3"), ("Honda CR-V EX", "2HKRW2H5"),
    ("Ford F-150 XLT", "1FTFW1E5"), ("Ford Escape SE", "1FMCU0G6"), ("Ford Mustang GT", "1FA6P8CF"),
    ("Chevrolet Silverado LT", "1GCUYDED"), ("Chevrolet Malibu LT", "1G1ZD5ST"), ("Chevrolet Equinox LS", "3GNAXHEV"),
    ("Nissan Altima SV", "1N4BL4DV"), ("Nissan Rogue SV", "5N1AT2MV"), ("Hyundai Elantra SEL", "5NPLM4AG"),
    ("Hyundai Tucson SEL", "5NMJB3AE"), ("Kia Sorento LX", "5XYRG4LC"), ("Kia Telluride EX", "5XYP34HC"),
    ("Jeep Wrangler Sport", "1C4HJXDG"), ("Ram 1500 Big Horn", "1C6SRFFT"), ("Subaru Outback Premium", "4S4BTACC"),
    ("Tesla Model 3", "5YJ3E1EA"), ("BMW X5 xDrive40i", "5UXCR6C0"), ("Volkswagen Jetta SE", "3VWC57BU"),
    ("GMC Sierra 1500 SLE", "1GTU9BED"), ("Mazda CX-5 Touring", "JM3KFBCM"), ("Lexus RX 350", "2T2HZMAA"),
)  # fmt: skip
"""Models, each with the first eight characters of vehicle identification numbers its maker gives them."""

LOSSES = {
    "auto": (
        "Auto Accident",
        "Rear-End Collision",
        "Hail Damage",
        "Windshield Damage",
        "Theft From Vehicle",
        "Flooding",
    ),
    "home": ("Hail Damage", "Water Leak", "Kitchen Fire", "Wind Damage", "Burglary", "Burst Pipe"),
    "life": ("Death Benefit",),
}
REASONS = (
    "The loss is excluded by this policy", "The policy had lapsed before the loss",
    "The damage is below the deductible", "The damage was there before the policy began",
    "No report was made to the police",
)  # fmt: skip

BROWSERS = (
    "Chrome 126.0|Windows 11", "Safari 17.5|macOS 14.5", "Firefox 127.0|Windows 10", "Edge 125.0|Windows 11",
    "Chrome 126.0|ChromeOS",
)  # fmt: skip
DEVICES = (
    ("mobile", "iPhone 15|iOS 17.5|app_version:2.3.1"), ("mobile", "Galaxy S24|Android 14|app_version:2.3.0"),
    ("mobile", "Pixel 8|Android 14|app_version:2.3.1"), ("tablet", "iPad Air|iPadOS 17.5|app_version:2.3.1"),
    ("tablet", "Galaxy Tab S9|Android 14|app_version:2.2.4"),
)  # fmt: skip

_VIN_VALUES = {letter: index % 9 + 1 for index, letter in enumerate("ABCDEFGH")} | {
    **dict(zip("JKLMN", (1, 2, 3, 4, 5), strict=True)), "P": 7, "R": 9,
    **dict(zip("STUVWXYZ", (2, 3, 4, 5, 6, 7, 8, 9), strict=True)),
    **{str(digit): digit for digit in range(10)},
}  # fmt: skip
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VIN_YEARS = "CDEFGHJKLMNPR"
"""Letters of the model years from 2012."""


def vin(head: str, year: int, plant: str, serial: int) -> str:
    """A vehicle identification number with its check digit (ISO 3779, and 49 CFR 565.15 for the digit)."""
    bare = f"{head}0{_VIN_YEARS[year - 2012]}{plant}{serial:06}"
    rest = sum(_VIN_VALUES[letter] * weight for letter, weight in zip(bare, _VIN_WEIGHTS, strict=True)) % 11
    return f"{head}{'X' if rest == 10 else rest}{bare[9:]}"
