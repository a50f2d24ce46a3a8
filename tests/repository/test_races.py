"""Two people at the same moment: never two winners, nothing half done. Real threads, real connections, many rounds;
and beside each race the plain way of doing it, which fails in the same harness.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Expired
from dashboard.repository import agents, audit, customers, metrics, policies, quotes
from dashboard.repository.agents import Scope
from dashboard.repository.values import comma_list

Contender = Callable[[str], object]

rounds = pytest.mark.parametrize(
    "rounds", [pytest.param(50, id="50 rounds"), pytest.param(1_000, id="1,000 rounds", marks=pytest.mark.long)]
)

QUOTE_PARTS = 7  # the root, customer, agent, created, premium, vehicle, and our terms


class Arena:
    """Two threads that start each round together."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2)
        self._barrier = threading.Barrier(2)

    def meet(self, subject: str, first: Contender, second: Contender) -> list[object]:
        """What each of the two made of it: its result, or its error."""
        return list(self._pool.map(lambda contender: self._run(contender, subject), (first, second)))

    def _run(self, contender: Contender, subject: str) -> object:
        self._barrier.wait(10)
        try:
            return contender(subject)
        except Exception as error:
            return error

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def arena(store: Redis) -> Iterator[Arena]:
    agents.save(store, {"AG001": "dallas", "AG002": "houston"})
    arena = Arena()
    yield arena
    arena.close()


def a_quote(customer: str) -> str:
    facts = {"customer": customer, "agent": "AG001", "vehicle": "Honda Civic 2023", "premium": "950"}
    return quotes.create("auto", facts, by="AG001")


def bind(member: str, by: str = "AG001") -> str:
    return quotes.bind(*member.split(":"), {}, effective=clock.today(), by=by)


def withdraw(member: str) -> str:
    quotes.withdraw(*member.split(":"), by="AG002")
    return "withdrawn"


def extend(member: str) -> str:
    quotes.extend(*member.split(":"), by="AG002")
    return "extended"


def quote_keys(member: str) -> list[str]:
    product, number = member.split(":")
    return [*keys.quote_keys(product, number), keys.quote_terms(product, number)]


def winners(results: list[object]) -> list[str]:
    """Results of those who won; whoever lost was told that the quote is no more."""
    lost = [result for result in results if not isinstance(result, str)]
    assert all(isinstance(error, Expired) for error in lost), lost
    return [result for result in results if isinstance(result, str)]


def owned(store: Redis, customer: str) -> tuple[list[str], str | None, str | None]:
    names = ("policies", "policy_count", "total_premium")
    listed, count, total = store.mget([keys.customer_field(customer, name) for name in names])
    return comma_list(listed), count, total


def assert_bound_whole(store: Redis, member: str, policy: str, customer: str) -> None:
    assert store.exists(*quote_keys(member)) == 0
    assert store.get(keys.policy_field(*policy.split(":"), "quote")) == member.split(":")[1]
    assert owned(store, customer) == ([policy], "1", "950")
    assert len(audit.history(store, audit.POLICY, *policy.split(":"))) == 1
    assert (store.get(keys.quote_outcome(*member.split(":"))) or "").startswith("bound|")


def assert_books_agree(store: Redis, sold: int) -> None:
    """Policies, their list, and the figures of the day tell the same number."""
    day = metrics.day(store, clock.today(), agents=["AG001"])
    for figures in (day.company, day.departments["auto"], day.agents["AG001"]):
        assert ((figures.policies_sold or 0), figures.revenue or 0) == (sold, sold * 950)
    assert policies.listing(store, Scope(), policies.Filter()).total == sold
    assert sum(name.endswith(":status") for name in store.scan_iter("policy:*", count=5_000)) == sold
    assert quotes.listing(store, Scope(), quotes.Filter()).total == 0


# -- one quote


@rounds
def test_a_quote_bound_by_two_at_once_makes_one_policy(store: Redis, arena: Arena, rounds: int) -> None:
    for number in range(rounds):
        customer = f"CUST{number}"
        member = a_quote(customer)
        won = winners(arena.meet(member, bind, lambda member: bind(member, "AG002")))
        assert len(won) == 1
        assert_bound_whole(store, member, won[0], customer)
    assert_books_agree(store, sold=rounds)


@rounds
def test_a_quote_bound_and_withdrawn_at_once_is_one_of_the_two(store: Redis, arena: Arena, rounds: int) -> None:
    bound = 0
    for number in range(rounds):
        customer = f"CUST{number}"
        member = a_quote(customer)
        won = winners(arena.meet(member, bind, withdraw))
        assert len(won) == 1
        if won == ["withdrawn"]:
            assert store.exists(*quote_keys(member)) == 0
            assert owned(store, customer) == ([], None, None)
            assert (store.get(keys.quote_outcome(*member.split(":"))) or "").startswith("withdrawn|")
        else:
            bound += 1
            assert_bound_whole(store, member, won[0], customer)
    assert_books_agree(store, sold=bound)


@rounds
def test_a_quote_extended_and_bound_at_once_is_bound_and_not_revived(store: Redis, arena: Arena, rounds: int) -> None:
    for number in range(rounds):
        customer = f"CUST{number}"
        member = a_quote(customer)
        won = winners(arena.meet(member, extend, bind))
        (policy,) = [result for result in won if result != "extended"]
        assert_bound_whole(store, member, policy, customer)
    assert_books_agree(store, sold=rounds)


@rounds
def test_a_quote_extended_at_the_moment_of_its_expiry_is_whole_or_gone(store: Redis, rounds: int) -> None:
    agents.save(store, {"AG001": "dallas"})
    outcomes = {"extended": 0, "expired": 0}
    for number in range(rounds):
        member = a_quote("CUST1")
        deadline = clock.now_ms() + 12
        pipe = store.pipeline(transaction=True)
        for name in quote_keys(member):
            pipe.pexpireat(name, deadline)
        pipe.execute()
        # From 10 ms before the moment to 2 ms behind it, so that it falls between any two commands of ours.
        begin = deadline - 10 + 12 * (number % 50) / 50
        time.sleep(max(begin / 1000 - time.time(), 0))
        try:
            extended = quotes.extend(*member.split(":"), by="AG001")
        except Expired:
            outcomes["expired"] += 1
            time.sleep(max((deadline + 2) / 1000 - time.time(), 0))
            assert store.exists(*quote_keys(member)) == 0, "split, or revived"
        else:
            outcomes["extended"] += 1
            until = [store.pexpiretime(name) for name in quote_keys(member)]
            assert [at for at in until if at != -2] == [extended] * QUOTE_PARTS
    assert all(outcomes.values()), f"the moment was not met: {outcomes}"


def naive_bind(store: Redis, member: str) -> str:
    """Look whether the quote lives, then write the policy and end the quote: as one would without WATCH."""
    product, number = member.split(":")
    text = store.get(keys.quote(product, number))
    if text is None:
        raise Expired("Gone.")
    policy = str(store.incr(keys.sequence("naive")))
    store.mset(
        {keys.policy_field(product, policy, "details"): text, keys.policy_field(product, policy, "quote"): number}
    )
    store.unlink(*quote_keys(member))
    return policy


def test_the_plain_way_binds_a_quote_twice_in_the_same_arena(store: Redis, arena: Arena) -> None:
    rounds, doubled = 50, 0
    for _ in range(rounds):
        member = a_quote("CUST1")

        def contender(member: str) -> str:
            return naive_bind(store, member)

        doubled += len(winners(arena.meet(member, contender, contender))) == 2
    print(f"The plain way bound {doubled} of {rounds} quotes twice.")
    assert doubled > 0, "an arena in which nobody can lose proves nothing"


# -- one customer


def a_policy(customer: str) -> str:
    facts = policies.facts_of(customer=customer, agent="AG001", premium=Decimal(1200), status="ACTIVE")
    return policies.create(facts, "auto", by="AG001")


@rounds
def test_trap_11_two_policies_of_one_customer_at_once_are_both_in_the_list(
    store: Redis, arena: Arena, rounds: int
) -> None:
    for number in range(rounds):
        customer = f"CUST{number}"
        results = winners(arena.meet(customer, a_policy, a_policy))
        listed, count, total = owned(store, customer)
        assert (sorted(listed), count, total) == (sorted(results), "2", "2400")
        assert store.sismember(keys.multi_policy(), customer)


@rounds
def test_trap_11_binding_and_creating_for_one_customer_at_once_lose_nothing(
    store: Redis, arena: Arena, rounds: int
) -> None:
    for number in range(rounds):
        customer = f"CUST{number}"
        member = a_quote(customer)

        def create(_: str, customer: str = customer) -> str:
            return a_policy(customer)

        results = winners(arena.meet(member, bind, create))
        listed, count, total = owned(store, customer)
        assert (sorted(listed), count, total) == (sorted(results), "2", "2150")


def naive_join(store: Redis, customer: str, policy: str) -> str:
    """Read the comma list, add to it, write it back."""
    name = keys.customer_field(customer, "policies")
    listed = comma_list(store.get(name))
    store.set(name, ",".join([*listed, policy]))
    return policy


def test_trap_11_the_plain_way_loses_a_policy_in_the_same_arena(store: Redis, arena: Arena) -> None:
    rounds, lost = 50, 0
    for number in range(rounds):
        customer = f"CUST{number}"
        arena.meet(
            customer,
            lambda customer: naive_join(store, customer, "auto:1"),
            lambda customer: naive_join(store, customer, "auto:2"),
        )
        lost += len(owned(store, customer)[0]) < 2
    print(f"The plain way lost a policy in {lost} of {rounds} rounds.")
    assert lost > 0
    assert customers.exists(store, "CUST0")
