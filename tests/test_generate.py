"""The generated book: plausible, the same for the same seed, exactly what the pages would have made, safe to stop."""

from __future__ import annotations

import os
import tracemalloc
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command
from redis import Redis

from dashboard import accounts, clock, generator, keys, sample, things
from dashboard.errors import Conflict
from dashboard.generator import Agent, Book
from dashboard.management.progress import Progress
from dashboard.repository import agents as agents_repository
from dashboard.repository import claims, metrics, policies, quotes, sessions
from dashboard.repository import store as recording
from dashboard.repository.agents import Scope
from dashboard.repository.reindex import reconcile
from dashboard.repository.values import place
from tests.contents import contents, indexes

ALL = Scope()
DEMO = [
    Agent(each.id, each.first, each.last, each.branch, each.branches, each.products)
    for each in accounts.DEMO
    if each.role == "agent"
]


def generate(
    store: Redis, size: int, seed: int = 1, progress: Callable[[int], None] = lambda done: None
) -> things.Written:
    agents = generator.agents_for(size, DEMO)
    agents_repository.save(store, {agent.id: agent.branch for agent in agents})
    return generator.generate(store, generator.open_book(store, size, seed), agents, progress=progress)


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("generate", *arguments, stdout=out)
    return out.getvalue()


def everything(store: Redis) -> dict[str, object]:
    """All but what tells the time of writing."""
    passing = (
        "quote:",
        "session:",
        "claim:",
        "investigation:",
        "dash:snapshot:",
        "dash:index:",
        "dash:indexed:",
        "dash:claim:",
        "dash:session-snapshot:",
    )
    return {name: value for name, value in contents(store).items() if not name.startswith(passing)}


def policies_of(store: Redis) -> dict[str, object]:
    return {**contents(store, "policy:*"), **contents(store, "dash:index:policies:*")}


# -- the book


def test_it_has_exactly_so_many_policies(store: Redis) -> None:
    for size, seed in ((1, 1), (28, 2), (113, 3)):
        generate(store, size, seed)
    assert policies.listing(store, ALL, policies.Filter()).total == 1 + 28 + 113


def test_the_same_seed_makes_the_same_book(store: Redis) -> None:
    generate(store, 120, seed=7)
    first = everything(store)
    store.flushall()
    generate(store, 120, seed=7)
    assert everything(store) == first
    store.flushall()
    generate(store, 120, seed=8)
    assert contents(store, "policy:*") != {name: value for name, value in first.items() if name.startswith("policy:")}


def test_its_indexes_are_what_reindexing_makes_of_it(store: Redis) -> None:
    generate(store, 300)
    before = indexes(store)
    done = reconcile(store)
    assert (done.written, done.removed) == (0, 0)
    reconcile(store, thorough=True)
    assert indexes(store) == before


def test_its_indexes_are_what_reindexing_makes_of_nothing(store: Redis) -> None:
    generate(store, 300)
    before = indexes(store)
    store.delete(*before)
    reconcile(store, thorough=True)
    assert {name: value for name, value in indexes(store).items() if "sequence" not in name} == {
        name: value for name, value in before.items() if "sequence" not in name
    }


def test_lists_show_all_of_it(store: Redis) -> None:
    generate(store, 300)
    assert policies.listing(store, ALL, policies.Filter()).total == 300
    assert quotes.listing(store, ALL, quotes.Filter()).total == 12
    stages = {column.stage: column.total for column in claims.pipeline(store, ALL, claims.Filter())}
    assert all(stages[stage] for stage in ("reported", "investigating", "approved", "denied"))
    assert sessions.listing(store, sessions.Filter()).total >= 8
    assert 0 < policies.expiring(store, ALL).total < 60


def test_nothing_in_it_is_unreadable_to_the_pages(store: Redis) -> None:
    generate(store, 300)
    rows = [
        *policies.listing(store, ALL, policies.Filter(), size=300).rows,
        *quotes.listing(store, ALL, quotes.Filter()).rows,
        *(row for column in claims.pipeline(store, ALL, claims.Filter(), size=50) for row in column.rows),
        *sessions.listing(store, sessions.Filter()).rows,
    ]
    assert [row.problems for row in rows if row.problems] == []


def test_it_is_plausible(store: Redis) -> None:
    generate(store, 600)
    rows = policies.listing(store, ALL, policies.Filter(), size=600).rows
    statuses = Counter(row.status for row in rows)
    assert statuses["ACTIVE"] > 450 and set(statuses) == {"ACTIVE", "PENDING", "SUSPENDED", "CANCELLED", "LAPSED"}
    products = Counter(row.product for row in rows)
    assert products["auto"] > products["home"] > products["life"] > 0
    assert all(300 < (row.premium or 0) < 4_000 for row in rows if row.product != "life")
    assert all(row.customer_name and row.agent and row.expires for row in rows)
    assert "EXPIRED" in {row.state for row in rows}


def test_nobody_sells_what_they_may_not_and_everybody_lives_where_their_agent_works(store: Redis) -> None:
    generate(store, 300)
    for row in policies.listing(store, ALL, policies.Filter(), size=300).rows:
        seller = next(agent for agent in DEMO if agent.id == row.agent)
        assert row.product in seller.products
        city, zip_code = place(store.get(keys.customer_field(row.customer or "", "address")))
        assert city == seller.branch
        assert zip_code in generator.PLACES[city].zips


def test_relations_agree_with_the_policies(store: Redis) -> None:
    generate(store, 300)
    rows = policies.listing(store, ALL, policies.Filter(), size=300).rows
    held: dict[str, list[policies.Policy]] = {}
    for row in rows:
        held.setdefault(row.customer or "", []).append(row)
    for customer, owned in held.items():
        names = [keys.customer_field(customer, name) for name in ("policies", "policy_count", "total_premium")]
        listed, count, total = store.mget(names)
        assert set(listed.split(",")) == {row.id for row in owned}
        assert (int(count), int(total)) == (len(owned), sum(row.premium or 0 for row in owned))
        assert store.sismember(keys.multi_policy(), customer) == (len(owned) > 1)
    homes = ",".join(store.get(name) for name in store.keys("location:*:policies")).split(",")
    assert sorted(homes) == sorted(row.id for row in rows if row.product == "home")


def test_figures_add_up_and_are_added_once_a_day(store: Redis) -> None:
    for _ in range(2):
        generate(store, 300)
        for on in (clock.today(), clock.today() - timedelta(days=1)):
            found = metrics.day(store, on, agents=[agent.id for agent in DEMO])
            for metric in metrics.DAILY:
                total = getattr(found.company, metric)
                assert sum(getattr(row, metric) for row in found.departments.values()) == total
                assert sum(getattr(row, metric) for row in found.agents.values()) == total
    once = metrics.day(store, clock.today()).company
    generate(store, 60, seed=2)
    assert metrics.day(store, clock.today()).company.quotes_generated > (once.quotes_generated or 0)


def test_everything_that_ends_has_its_end(store: Redis) -> None:
    generate(store, 300)
    for name in store.keys("*"):
        found = keys.parse(name)
        assert found, name
        if found.family.lives and not name.startswith(("claim:", "investigation:")):
            assert store.ttl(name) > 0, name


@pytest.mark.parametrize(
    "head, year, plant, serial, number",
    [("1M8GDM9A", 2019, "P", 42_788, "1M8GDM9AXKP042788"), ("11111111", 2012, "1", 111_111, None)],
)
def test_vehicle_numbers_have_their_check_digit(
    head: str, year: int, plant: str, serial: int, number: str | None
) -> None:
    made = generator.vin(head, year, plant, serial)
    assert len(made) == 17
    assert number in (None, made)


def test_new_numbers_go_on_behind_those_of_the_book(store: Redis) -> None:
    generate(store, 280)
    assert recording.next_number("policy-auto", 100_001) == 100_271
    assert recording.next_number("policy-home", 200_001) == 200_181
    assert recording.next_number("policy-life", 300_001) == 300_131
    assert recording.next_number("quote", 1) == 113
    assert recording.next_number("claim", 1) == 109


# -- beside others, and again


def test_it_goes_beside_the_sample(store: Redis) -> None:
    agents_repository.save(store, {agent.id: agent.branch for agent in DEMO})
    sample.load(store)
    before = contents(store, "policy:*")
    generate(store, 100)
    after = contents(store, "policy:*")
    assert before.items() <= after.items()
    assert policies.listing(store, ALL, policies.Filter()).total == 112
    assert quotes.listing(store, ALL, quotes.Filter()).total == 24


def test_the_sample_goes_beside_it_only_when_told_to(store: Redis, db: None) -> None:
    command("--policies", "60")
    with pytest.raises(CommandError, match="data of its own"):
        call_command("load_sample")
    call_command("load_sample", "--force", stdout=StringIO())
    assert policies.listing(store, ALL, policies.Filter()).total == 72
    assert quotes.listing(store, ALL, quotes.Filter()).total == 24


def test_a_policy_of_another_tool_is_never_replaced(store: Redis) -> None:
    store.set("policy:auto:100105:status", "THEIRS")
    generate(store, 60)
    assert store.keys("policy:auto:100105:*") == ["policy:auto:100105:status"]
    before = indexes(store)
    reconcile(store, thorough=True)
    assert indexes(store) == before


def test_another_size_for_a_seed_is_refused(store: Redis) -> None:
    generate(store, 60)
    with pytest.raises(Conflict, match="book of 60 policies"):
        generator.open_book(store, 61, 1)


def test_running_it_again_changes_nothing_but_begins_anew_what_has_ended(store: Redis) -> None:
    generate(store, 100)
    before = contents(store)
    again = generate(store, 100)
    assert not any(again.new.values())
    assert contents(store) == before
    ended = store.keys("quote:*:Q103*")
    store.delete(*ended)
    assert generate(store, 100).new == {"quotes": 1}
    assert sorted(store.keys("quote:*:Q103*")) == sorted(ended)


def test_a_claim_that_has_ended_does_not_come_back(store: Redis) -> None:
    generate(store, 100)
    gone = store.keys("claim:*CLM10*")
    store.delete(*gone, *store.keys("investigation:*"))
    generate(store, 100)
    assert not store.keys("claim:*")


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_a_run_that_was_stopped_goes_on_where_it_was(
    store: Redis, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr(generator, "BATCH", 20)
    generate(store, 120)
    whole = everything(store)
    store.flushall()
    seen: list[int] = []

    def stop(done: int) -> None:
        seen.append(done)
        if len(seen) == batches:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(store, 120, progress=stop)
    assert policies.listing(store, ALL, policies.Filter()).total == seen[-1] < 120
    generate(store, 120)
    assert everything(store) == whole


def test_a_run_that_was_killed_between_its_two_steps_goes_on_too(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "BATCH", 20)
    generate(store, 120)
    whole = {**everything(store), **policies_of(store)}
    store.flushall()
    with monkeypatch.context() as patch:

        def killed(self: object, pipe: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(generator.Bulk, "send", killed)
        with pytest.raises(KeyboardInterrupt):
            generate(store, 120)
    assert store.keys("policy:*") and not store.keys("dash:index:*")
    generate(store, 120)
    assert {**everything(store), **policies_of(store)} == whole


# -- the size


def test_agents_grow_with_the_book(store: Redis) -> None:
    assert len(generator.agents_for(1_000, DEMO)) == 3
    assert len(generator.agents_for(50_000, DEMO)) == 10
    many = generator.agents_for(5_000_000, DEMO)
    assert len(many) == len({agent.id for agent in many}) == 200
    assert {agent.branch for agent in many} == set(generator.PLACES)
    assert all(agent.branch in agent.branches and agent.products for agent in many)


@pytest.mark.long
def test_memory_does_not_grow_with_the_book(store: Redis) -> None:
    """Peaks of what Python holds, of books of 2 and of 8 batches."""
    assert _peak(store, 4_500, seed=2) < 1.5 * _peak(store, 1_200, seed=1)


def _peak(store: Redis, size: int, seed: int) -> int:
    tracemalloc.start()
    generate(store, size, seed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.long
@pytest.mark.skipif(not os.environ.get("MILLION"), reason="takes ten minutes and 4 GB: set MILLION=1")
def test_a_million_policies(store: Redis) -> None:
    done: list[int] = []
    generate(store, 1_000_000, progress=done.append)
    assert done[-1] == 1_000_000
    assert policies.listing(store, ALL, policies.Filter()).total == 1_000_000


def test_a_household_is_the_same_whoever_asks(store: Redis) -> None:
    book = Book(5, 1_000, "2024-08-18", {f"policy-{product}": 1 for product in keys.PRODUCTS} | {"customer": 1})
    staff = generator._Staff(DEMO, agents_repository.directory(store))
    once = [generator.household(book, number, staff) for number in range(40)]
    assert [generator.household(book, number, staff) for number in reversed(range(40))] == once[::-1]
    numbers = [contract for each in once for contract in each.policies]
    assert len(numbers) == len(set(numbers)) == 56


# -- the command


def test_the_command_makes_accounts_that_nobody_can_sign_in_with(store: Redis, db: None) -> None:
    told = command("--policies", "60")
    assert "3 agents" in told and "12 quotes" in told
    from dashboard.management.commands.generate import _make_accounts

    _make_accounts([generator._agent(4)])
    user = get_user_model().objects.get(username="AG004")
    assert not user.has_usable_password()
    assert authenticate(username="AG004", password="") is None
    assert accounts.role_of(user) == "agent"


def test_the_command_refuses_a_store_with_data_of_its_own(store: Redis, db: None) -> None:
    store.set("policy:auto:7:status", "ACTIVE")
    with pytest.raises(CommandError, match="data of its own"):
        command("--policies", "60")
    assert not get_user_model().objects.exists()
    command("--policies", "60", "--force")


@pytest.mark.parametrize("size, seed", [("0", "1"), ("-5", "1"), ("99999999", "1"), ("10", "-1")])
def test_absurd_numbers_are_refused(store: Redis, db: None, size: str, seed: str) -> None:
    with pytest.raises(CommandError, match="must be from"):
        command(f"--policies={size}", f"--seed={seed}")


def test_the_command_says_what_to_do_when_the_seed_is_taken(store: Redis, db: None) -> None:
    command("--policies", "60")
    with pytest.raises(CommandError, match="--seed"):
        command("--policies", "70")


def test_the_bar_tells_how_far_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("dashboard.management.progress.time.monotonic", lambda: now)
    shown = StringIO()
    monkeypatch.setattr(shown, "isatty", lambda: True)
    with Progress("policies", 1_000, done=200, stream=shown) as progress:
        now = 110.0
        progress.update(600)
        assert "60%  600 of 1,000 policies  40/s  10 s left" in shown.getvalue()
        now = 120.0
        progress.update(1_000)
    assert shown.getvalue().endswith("1,000 policies in 20 s (40/s)\n")


def test_where_nobody_watches_it_writes_a_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("dashboard.management.progress.time.monotonic", lambda: now)
    shown = StringIO()
    with Progress("policies", 100, stream=shown) as progress:
        for second in range(12):
            now = float(second)
            progress.update(second)
    assert len(shown.getvalue().splitlines()) == 3
    assert "\r" not in shown.getvalue()


def test_a_stop_says_how_far_it_came() -> None:
    shown = StringIO()
    with pytest.raises(KeyboardInterrupt), Progress("policies", 100, stream=shown) as progress:
        progress.update(40)
        raise KeyboardInterrupt
    assert shown.getvalue().startswith("40 of 100 policies")
