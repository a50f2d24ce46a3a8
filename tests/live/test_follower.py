"""The live follower, running beside a real server: what other tools do with plain commands reaches index and pages."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from redis.client import PubSub

from dashboard import clock, keys
from dashboard.errors import StoreDown
from dashboard.live.follower import Follower
from dashboard.repository import (
    agents,
    audit,
    customers,
    drift,
    groups,
    payments,
    places,
    policies,
    quotes,
    search,
    server,
    sessions,
)
from dashboard.repository.agents import Scope
from tests import book

PATIENCE = 10.0
"""Seconds; far beyond what it takes, so that a slow machine fails nothing."""


@pytest.fixture
def follower(store: Redis) -> Iterator[Follower]:
    stop = threading.Event()
    running = Follower(store)
    thread = threading.Thread(target=running.run, args=(stop,))
    thread.start()
    until(lambda: store.pubsub_numpat() > 0)
    yield running
    stop.set()
    thread.join()


@pytest.fixture
def told(store: Redis) -> Iterator[PubSub]:
    """What open pages are told."""
    with store.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.LIVE_CHANNEL)
        channel.get_message(timeout=1)
        yield channel


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def hears(channel: PubSub, area: str, thing: str) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        message = channel.get_message(timeout=0.1)
        if message and thing in json.loads(message["data"]).get(area, ()):
            return True
    return False


def open_quotes(store: Redis, **wanted: str) -> list[str]:
    return [quote.id for quote in quotes.listing(store, Scope(), quotes.Filter(**wanted)).rows]


def test_a_plain_write_is_indexed_before_pages_are_told(store: Redis, follower: Follower, told: PubSub) -> None:
    store.set("quote:auto:Q010", "Sports car - Customer: CUST003 - Premium: $3,500/year", ex=180)
    assert hears(told, "quotes", "auto:Q010")
    assert open_quotes(store) == ["auto:Q010"]
    assert open_quotes(store, customer="CUST003") == ["auto:Q010"]


def test_a_change_of_a_facet_moves_it(store: Redis, follower: Follower) -> None:
    number = book.quote(risk_level="LOW")
    store.set(keys.quote_field("auto", number, "risk_level"), "HIGH", keepttl=True)
    until(lambda: open_quotes(store, risk="HIGH"))
    assert not open_quotes(store, risk="LOW")


def test_an_expiry_is_told_when_it_is_due(store: Redis, follower: Follower, told: PubSub) -> None:
    store.set("quote:auto:Q020", "x", px=600)
    until(lambda: quotes.INDEX.known_places(store, ["auto:Q020"])["auto:Q020"])
    until(lambda: not quotes.INDEX.known_places(store, ["auto:Q020"])["auto:Q020"])
    assert hears(told, "quotes", "auto:Q020")


def test_an_expire_by_others_moves_the_deadline(store: Redis, follower: Follower) -> None:
    number = book.quote()
    deadline = clock.now_ms() + clock.HOUR
    store.pexpireat(f"quote:auto:{number}", deadline)
    score = quotes.INDEX.key("all", "deadline")
    until(lambda: store.zscore(score, f"auto:{number}") == deadline)


def test_a_customers_move_takes_their_policies_along(store: Redis, follower: Follower) -> None:
    number = book.policy(customer="CUST001")
    store.set("customer:CUST001:address", "1 Elm St, Austin TX 78701")
    wanted = policies.Filter(zip="78701")
    until(lambda: policies.listing(store, Scope(), wanted).total == 1)
    assert policies.listing(store, Scope(), wanted).rows[0].number == number


@pytest.mark.parametrize("who", ["policy:home:200001:property_address", "customer:CUST001:address"])
def test_the_list_of_the_area_that_others_move_a_policy_out_of_is_drift_at_once(
    store: Redis, follower: Follower, who: str
) -> None:
    store.set("customer:CUST001:address", "1 Oak St, Dallas TX 75201")
    car, home = book.policy(), book.policy("home", property_address="2 Oak St, Dallas TX 75201")
    store.set("location:dallas:75201:policies", f"auto:{car},home:{home}")
    until(lambda: policies.listing(store, Scope(), policies.Filter(zip="75201")).total == 2)
    until(lambda: places.listing(store, places.Filter()).total == 1)
    assert not places.drifting(store).rows
    store.set(who, "1 Elm St, Austin TX 78701")
    moved = f"home:{home}" if who.startswith("policy") else f"auto:{car}"
    until(lambda: [wrong[0].policy for where, wrong in places.drifting(store).rows if where.zip == "75201"] == [moved])


def test_trap_7_a_premium_or_a_list_that_others_change_is_drift_at_once_and_none_when_it_agrees(
    store: Redis, follower: Follower
) -> None:
    number = book.policy()

    def drifting() -> list[str]:
        return [each.customer.id for each in drift.listing(store).rows]

    def found() -> int:
        return customers.total(store, customers.Filter(drifted=True))

    store.set(f"policy:auto:{number}:premium", "1350")
    until(lambda: found() == 1)
    assert drifting() == ["CUST001"]
    store.set("customer:CUST001:total_premium", "1350")
    until(lambda: found() == 0)


def test_what_others_write_of_a_customer_is_found(store: Redis, follower: Follower) -> None:
    store.set("customer:CUST001:profile", "John Smith|Phone:555-0123")
    until(lambda: search.people(store, Scope(), "smi")[0])
    store.sadd("segment:high_risk", "CUST001")
    until(lambda: groups.names(store, "segment") and store.zcard(groups.INDEX.key("kind=segment", "size")))
    store.set("location:dallas:75201:risk_score", "750")
    until(lambda: places.listing(store, places.Filter()).total == 1)
    store.set("audit:payment:transaction:TXN001", "Customer: CUST001 | Amount: 1200 | Date: 2024-08-18")
    until(lambda: payments.of_customer(store, "CUST001").total == 1)


def test_audit_records_of_others_are_listed(store: Redis, follower: Follower) -> None:
    store.set("audit:policy:auto:100001:change:20240818", "Premium updated from 1200 to 1350 by AG001", ex=3600)
    until(lambda: audit.history(store, audit.POLICY, "auto", "100001"))
    assert audit.history(store, audit.POLICY, "auto", "100001")[0].to_the_day


def test_sessions_and_metrics_are_told(store: Redis, follower: Follower, told: PubSub) -> None:
    store.set(
        "session:customer:CUST001:portal", "authenticated|login_time:2024-08-18T10:30:00Z|ip:192.168.1.100", ex=1800
    )
    assert hears(told, "sessions", "customer:CUST001:portal")
    assert [each.person for each in sessions.of_person(store, "CUST001")] == ["CUST001"]
    store.set(f"metrics:daily:{clock.today()}:agent:AG009:policies_sold", "5", ex=86400)
    until(lambda: store.sismember(keys.metric_agents(clock.today().isoformat()), "AG009"))


def test_what_was_written_before_it_started_is_found(store: Redis) -> None:
    agents.save(store, {"AG001": "dallas"})
    store.mset({"policy:auto:100001:status": "ACTIVE", "policy:auto:100001:agent": "AG001"})
    stop = threading.Event()
    thread = threading.Thread(target=Follower(store).run, args=(stop,))
    thread.start()
    try:
        until(lambda: policies.listing(store, Scope(), policies.Filter(agent="AG001")).total == 1)
    finally:
        stop.set()
        thread.join()


def test_one_of_two_does_the_work_and_the_other_takes_over(store: Redis) -> None:
    stops = [threading.Event(), threading.Event()]
    threads = [threading.Thread(target=Follower(store).run, args=(stop,)) for stop in stops]
    for thread in threads:
        thread.start()
    try:
        until(lambda: store.pubsub_numpat() > 0)
        first = store.get(keys.lease("follower"))
        time.sleep(0.3)
        assert store.get(keys.lease("follower")) == first
        assert store.pubsub_numpat() == len(keys.FOLLOWED_PREFIXES)
        stops[0].set()
        threads[0].join()
        stops[1].set()
        threads[1].join()
        assert store.get(keys.lease("follower")) is None
    finally:
        for stop, thread in zip(stops, threads, strict=True):
            stop.set()
            thread.join()


def test_nothing_it_hears_can_stop_it(store: Redis, follower: Follower, told: PubSub) -> None:
    store.execute_command("SET", b"policy:auto:\xff\xfe:status", "x")
    store.set("quote:::", "x")
    store.lpush("quote:auto:Q666", "x")
    store.set("session:customer:a b:portal", "x")
    store.set("policy:auto:" + "9" * 500 + ":status", "x")
    store.set("quote:auto:Q667", "fine", ex=60)
    assert hears(told, "quotes", "auto:Q667")


def test_says_how_far_behind_it_is_and_that_it_is_at_work(store: Redis, follower: Follower) -> None:
    until(lambda: server.look(store).follower.seen)
    first = server.look(store)
    assert first.follower.leased_for and first.follower.notified and first.follower.lag is None
    follower._sampled = 0.0  # do not wait for the next one to be due
    until(lambda: server.look(store).follower.lag is not None)
    found = server.look(store)
    # Its own sample was heard of after a tick at the least: no guess, and nothing that a clock alone could give.
    assert (found.follower.lag or 0) < PATIENCE * 1_000
    assert found.samples[-1].memory > 0


@pytest.mark.parametrize("work", ["chain.seal", "holds.enforce", "policy_service.carry_out"])
def test_a_store_that_goes_away_while_it_writes_does_not_end_it(
    store: Redis, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    """A change says so by an error of its own, not by the client's."""
    failed = threading.Event()

    def gone(*_: object, **__: object) -> int:
        failed.set()
        raise StoreDown

    with monkeypatch.context() as patch:
        patch.setattr(f"dashboard.repository.{work}", gone)
        stop = threading.Event()
        running = Follower(store)
        thread = threading.Thread(target=running.run, args=(stop,))
        thread.start()
        assert failed.wait(PATIENCE)
    number = book.quote()
    until(lambda: store.exists(keys.quote_snapshot("auto", number)))
    assert thread.is_alive()
    stop.set()
    thread.join()
