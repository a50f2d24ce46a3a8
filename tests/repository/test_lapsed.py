"""Quotes after their end, and the funnel they went through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import agents, funnel, lapsed, quotes, reindex
from dashboard.repository.agents import Scope
from dashboard.repository.values import plain
from tests import book

ALL = Scope()
ANY = lapsed.Filter(hows=lapsed.HOWS)


@pytest.fixture(autouse=True)
def branches(store: Redis) -> None:
    agents.save(store, {"AG001": "dallas", "AG002": "houston"})


def lapse(store: Redis, number: str, product: str = "auto") -> None:
    """As time does it, and the follower finds out."""
    store.delete(*keys.quote_keys(product, number))
    quotes.refresh(store, [f"{product}:{number}"])


def listed(store: Redis, wanted: lapsed.Filter = ANY, scope: Scope = ALL) -> dict[str, str]:
    return {each.number: each.how for each in lapsed.listing(store, scope, wanted).rows}


def steps(store: Redis, scope: Scope = ALL) -> tuple[int, int, int, int]:
    row = funnel.total(funnel.day(store, clock.today(), scope, agents.directory(store)))
    return row.quoted, row.extended, row.bound, row.lapsed


def test_each_way_to_end_is_listed_the_latest_first(store: Redis) -> None:
    numbers = [book.quote() for _ in range(3)]
    lapse(store, numbers[0])
    time.sleep(0.002)
    quotes.withdraw("auto", numbers[1], by="AG001")
    time.sleep(0.002)
    quotes.bind("auto", numbers[2], {}, effective=clock.today(), by="AG001")
    assert list(listed(store).items()) == [(numbers[2], "bound"), (numbers[1], "withdrawn"), (numbers[0], "expired")]
    assert listed(store, lapsed.Filter()) == {numbers[1]: "withdrawn", numbers[0]: "expired"}


def test_the_list_is_restricted_to_what_one_may_see(store: Redis) -> None:
    for agent in ("AG001", "AG002"):
        lapse(store, book.quote(agent=agent))
    lapse(store, book.quote("life", agent="AG002"), "life")
    assert len(listed(store, scope=Scope(frozenset({"houston"}), frozenset({"auto"})))) == 1
    assert len(listed(store, lapsed.Filter(agent="AG002"))) == 2
    assert len(listed(store, lapsed.Filter(customer="CUST008"))) == 1


def test_a_quote_of_another_tool_is_kept_and_counted_from_its_first_sight(store: Redis) -> None:
    store.set("quote:auto:Q010", "Sports car - Customer: CUST003 - Premium: $3,500/year", ex=180)
    for _ in range(3):
        quotes.refresh(store, ["auto:Q010"])
    assert steps(store) == (1, 0, 0, 0)
    lapse(store, "Q010")
    assert steps(store) == (1, 0, 0, 1)
    (row,) = lapsed.listing(store, ALL, ANY).rows
    assert (row.subject, row.premium, row.facts["customer"]) == ("Sports car", 3500, "CUST003")


def test_a_quote_that_another_tool_writes_key_by_key_is_kept_whole_and_counted_for_its_agent(store: Redis) -> None:
    """As one types the document's commands: its text is met first, and the rest with the next look."""
    store.set("quote:auto:Q001", "Honda Civic 2023 - Customer: CUST004 - Premium: $950/year", ex=300)
    quotes.refresh(store, ["auto:Q001"])
    for name, value in {"vehicle": "Honda Civic 2023", "agent": "AG002", "risk_level": "LOW"}.items():
        store.set(f"quote:auto:Q001:{name}", value, ex=300)
    quotes.refresh(store, ["auto:Q001"])
    lapse(store, "Q001")
    (row,) = lapsed.listing(store, ALL, lapsed.Filter(agent="AG002")).rows
    assert (row.facts["vehicle"], row.facts["risk_level"], row.branch) == ("Honda Civic 2023", "LOW", "houston")
    cells = funnel.day(store, clock.today(), ALL, agents.directory(store))
    assert [(cell.stage, cell.agent, cell.risk, cell.count) for cell in sorted(cells, key=lambda cell: cell.stage)] == [
        ("lapsed", "AG002", "LOW", 1),
        ("quoted", "AG002", "LOW", 1),
    ]


def test_what_another_tool_changes_on_a_quote_is_kept_as_it_was_last(store: Redis) -> None:
    number = book.quote()
    store.set(f"quote:auto:{number}:premium", "999", keepttl=True)
    store.expire(f"quote:auto:{number}", 3_600)
    deadline = store.pexpiretime(f"quote:auto:{number}")
    quotes.refresh(store, [f"auto:{number}"])
    store.delete(f"quote:auto:{number}:vehicle")  # its parts end one by one, and take no fact along
    quotes.refresh(store, [f"auto:{number}"])
    kept = store.hgetall(keys.quote_snapshot("auto", number))
    assert (kept["premium"], kept["vehicle"], kept["deadline"]) == ("999", "Honda Civic 2023", str(deadline))
    assert store.pexpiretime(keys.quote_snapshot("auto", number)) == deadline + lapsed.KEPT
    assert steps(store) == (1, 0, 0, 0)


def test_looking_at_a_quote_of_our_own_writes_nothing(store: Redis) -> None:
    made = {product: quotes.load(store, [f"{product}:{book.quote(product)}"]) for product in keys.PRODUCTS}
    before = store.info("commandstats").get("cmdstat_hset", {}).get("calls")
    for product, found in made.items():
        quotes.refresh(store, list(found))
        assert found, product
    assert store.info("commandstats").get("cmdstat_hset", {}).get("calls") == before


def test_a_quote_that_is_bound_while_the_follower_looks_at_it_stays_bound(
    store: Redis, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    number = anothers(store)
    meanwhile(lambda: quotes.bind("auto", number, {}, effective=clock.today(), by="AG001"))
    quotes.refresh(store, [f"auto:{number}"])
    assert listed(store) == {number: "bound"}
    assert steps(store) == (1, 0, 1, 0)


def test_an_expiry_that_nobody_watched_is_told_and_counted_at_its_time(store: Redis) -> None:
    """The dashboard was off for two days."""
    number = book.quote()
    until = quotes.get(store, "auto", number).deadline or 0
    store.delete(*keys.quote_keys("auto", number))
    with time_machine.travel(clock.now() + timedelta(days=2), tick=False):
        quotes.refresh(store, [f"auto:{number}"])
        (row,) = lapsed.listing(store, ALL, ANY).rows
        assert row.at == clock.moment(until)
        assert store.pexpiretime(keys.quote_snapshot("auto", number)) == until + lapsed.KEPT
        assert steps(store) == (0, 0, 0, 0), "it is no step of today's"
    day = clock.moment(until).astimezone(clock.zone()).date()
    assert (
        sum(cell.count for cell in funnel.day(store, day, ALL, agents.directory(store)) if cell.stage == "lapsed") == 1
    )


@pytest.mark.parametrize("look", [lambda store: lapsed.refresh(store, ["auto:Q001"]), reindex.reconcile])
def test_an_expiry_is_counted_though_whoever_found_out_was_cut_off_before(
    store: Redis, look: Callable[[Redis], object]
) -> None:
    """The list of live quotes was brought in step, and then the process was killed."""
    number = book.quote()
    lapsed.refresh(store, [f"auto:{number}"])
    assert listed(store) == {}, "it lives"
    store.delete(*keys.quote_keys("auto", number))
    quotes.INDEX.settle(store, {f"auto:{number}": None})
    for _ in range(2):
        look(store)
    assert listed(store) == {number: "expired"}
    assert steps(store) == (1, 0, 0, 1)


def test_one_that_another_tool_took_away_ended_then_and_not_at_its_deadline(store: Redis) -> None:
    number = book.quote()
    lapse(store, number)
    (row,) = lapsed.listing(store, ALL, ANY).rows
    assert row.at is not None and row.at <= clock.now()


@pytest.mark.parametrize(
    ("product", "text", "wanted"),
    [
        ("auto", "High-risk driver - Sports car - Premium: $3,500/year", {"vehicle": "High-risk driver - Sports car", "premium": "3500"}),
        ("home", "1 Elm St, Dallas TX 75201 - Premium: $800/year", {"property_address": "1 Elm St, Dallas TX 75201"}),
        ("life", "Term Life $500K 20Y - Customer: CUST008 - Premium: $45/month",
         {"coverage_amount": "500000", "term_years": "20", "premium_monthly": "45", "customer": "CUST008"}),
        ("life", "Whole Life - Premium: $45/month", {"premium_monthly": "45"}),
    ],
)  # fmt: skip
def test_a_quote_of_one_line_is_quoted_again_with_all_that_the_line_tells(
    store: Redis, product: str, text: str, wanted: dict[str, str]
) -> None:
    store.set(f"quote:{product}:Q010", text, ex=180)
    quotes.refresh(store, [f"{product}:Q010"])
    lapse(store, "Q010", product)
    (row,) = lapsed.listing(store, ALL, ANY).rows
    assert row.again.items() >= wanted.items()
    assert plain(quotes.as_it_was(store, row).coverage_amount or Decimal(0)) == wanted.get("coverage_amount", "0")
    assert row.subject == text.partition(" - Customer:")[0].partition(" - Premium:")[0]


def anothers(store: Redis) -> str:
    """A quote that another tool wrote just now, before the follower has seen it."""
    store.set("quote:auto:Q010", "Sports car - Customer: CUST003 - Premium: $3,500/year", ex=180)
    store.set("quote:auto:Q010:agent", "AG002", ex=180)
    return "Q010"


def test_a_quote_of_another_tool_extended_before_it_was_seen_is_kept_whole_and_counted_once(store: Redis) -> None:
    number = anothers(store)
    deadline = quotes.extend("auto", number, by="AG001")
    kept = store.hgetall(keys.quote_snapshot("auto", number))
    assert (kept["customer"], kept["agent"], kept["premium"], kept["deadline"]) == (
        "CUST003",
        "AG002",
        "3500",
        str(deadline),
    )
    assert store.pexpiretime(keys.quote_snapshot("auto", number)) == deadline + lapsed.KEPT
    quotes.refresh(store, [f"auto:{number}"])
    assert steps(store) == (1, 1, 0, 0)
    lapse(store, number)
    (row,) = lapsed.listing(store, ALL, ANY).rows
    assert (row.subject, row.premium, row.agent) == ("Sports car", 3500, "AG002")


def test_extending_brings_what_is_kept_up_to_date(store: Redis) -> None:
    number = anothers(store)
    quotes.refresh(store, [f"auto:{number}"])
    store.set(f"quote:auto:{number}:vehicle", "Porsche 911", ex=180)
    quotes.extend("auto", number, by="AG001")
    assert store.hget(keys.quote_snapshot("auto", number), "vehicle") == "Porsche 911"
    assert steps(store) == (1, 1, 0, 0)


@pytest.mark.parametrize("end", ["bound", "withdrawn"])
def test_a_quote_of_another_tool_ended_before_it_was_seen_is_kept_whole(store: Redis, end: str) -> None:
    number = anothers(store)
    if end == "bound":
        quotes.bind("auto", number, {"vehicle": "Porsche 911"}, effective=clock.today(), by="AG001")
    else:
        quotes.withdraw("auto", number, by="AG001")
    (row,) = lapsed.listing(store, ALL, ANY).rows
    assert (row.how, row.facts["customer"], row.premium) == (end, "CUST003", 3500)
    assert steps(store)[0] == 1


def test_an_earlier_quotes_end_does_not_stick_to_one_that_is_extended_before_it_was_seen(store: Redis) -> None:
    number = anothers(store)
    quotes.withdraw("auto", number, by="AG001")
    anothers(store)
    quotes.extend("auto", number, by="AG001")
    assert listed(store) == {}
    assert "ended" not in store.hgetall(keys.quote_snapshot("auto", number))
    assert not store.exists(keys.quote_outcome("auto", number))


@pytest.mark.parametrize("kind", ["string", "list"])
def test_a_broken_snapshot_keeps_no_quote_from_being_extended(store: Redis, kind: str) -> None:
    number = anothers(store)
    name = keys.quote_snapshot("auto", number)
    _ = store.set(name, "junk") if kind == "string" else store.rpush(name, "junk")
    quotes.extend("auto", number, by="AG001")
    assert store.hget(name, "customer") == "CUST003"


def test_an_extension_and_the_first_sight_at_once_count_one_quote(store: Redis) -> None:
    for _ in range(30):
        store.flushall()
        agents.save(store, {"AG001": "dallas", "AG002": "houston"})
        number, gate = anothers(store), threading.Barrier(2)

        def run(act: Callable[[], object], gate: threading.Barrier = gate) -> None:
            gate.wait()
            act()

        contenders = (
            lambda number=number: quotes.extend("auto", number, by="AG001"),
            lambda number=number: quotes.refresh(store, [f"auto:{number}"]),
        )
        threads = [threading.Thread(target=run, args=(each,)) for each in contenders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert steps(store) == (1, 1, 0, 0)
        kept = store.hgetall(keys.quote_snapshot("auto", number))
        assert kept["customer"] == "CUST003"
        assert kept["deadline"] == str(store.pexpiretime(keys.quote("auto", number)))


def test_a_number_that_lives_again_is_a_new_quote(store: Redis) -> None:
    number = book.quote()
    lapse(store, number)
    store.set(f"quote:auto:{number}", "Kia - Customer: CUST009 - Premium: $500/year", ex=60)
    quotes.refresh(store, [f"auto:{number}"])
    assert listed(store) == {}
    lapse(store, number)
    assert steps(store) == (2, 0, 0, 2)
    assert lapsed.listing(store, ALL, ANY).rows[0].facts["customer"] == "CUST009"


def test_a_quote_goes_through_the_funnel_once_however_often_it_is_extended(store: Redis) -> None:
    number = book.quote()
    quotes.extend("auto", number, by="AG001")
    quotes.extend("auto", number, by="AG001")
    quotes.bind("auto", number, {}, effective=clock.today(), by="AG001")
    assert steps(store) == (1, 1, 1, 0)
    row = funnel.by(funnel.day(store, clock.today(), ALL, agents.directory(store)), lambda cell: cell.agent)[0]
    assert (row.name, row.bound_share) == ("AG001", 100)


def test_a_burst_of_another_tools_quotes_is_kept_and_counted_in_few_transactions(store: Redis) -> None:
    """Each waits for the disk, and open pages wait for all of them."""
    members = [f"auto:Q{number}" for number in range(120)]
    store.mset({f"quote:{member}": "Car - Customer: CUST004 - Premium: $950/year" for member in members})
    before = store.info("commandstats").get("cmdstat_exec", {}).get("calls", 0)
    quotes.refresh(store, members)
    store.delete(*(f"quote:{member}" for member in members))
    quotes.refresh(store, members)
    assert store.info("commandstats")["cmdstat_exec"]["calls"] - before <= 10
    assert steps(store) == (120, 0, 0, 120)
    assert lapsed.listing(store, ALL, ANY).total == 120


def test_an_expiry_is_counted_once_though_many_find_out(store: Redis) -> None:
    numbers = [book.quote() for _ in range(20)]
    for number in numbers:
        store.delete(*keys.quote_keys("auto", number))
    members = [f"auto:{number}" for number in numbers]
    threads = [threading.Thread(target=quotes.refresh, args=(store, members)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert steps(store) == (20, 0, 0, 20)
    assert len(listed(store)) == 20


def test_what_other_tools_broke_is_left_alone(store: Redis) -> None:
    number = book.quote()
    store.delete(keys.funnel(clock.today().isoformat()))
    store.set(keys.funnel(clock.today().isoformat()), "broken")
    quotes.withdraw("auto", number, by="AG001")
    assert steps(store) == (0, 0, 0, 0)
    assert listed(store) == {number: "withdrawn"}


def test_an_entry_whose_facts_have_ended_is_pruned(store: Redis) -> None:
    number = book.quote()
    quotes.withdraw("auto", number, by="AG001")
    store.delete(keys.quote_snapshot("auto", number), keys.quote_outcome("auto", number))
    assert listed(store) == {}
    assert lapsed.listing(store, ALL, ANY).total == 0
