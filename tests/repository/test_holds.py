"""Legal holds: what is held does not end, its own end is kept, and nothing but its lifetime is touched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Invalid, NotFound
from dashboard.repository import areas, audit, chain, claims, holds, lapsed, payments, quotes
from dashboard.repository.audit import Search
from dashboard.repository.reindex import reconcile
from dashboard.repository.store import change
from tests import book

AUTO = (audit.POLICY, "auto", "100001")


@pytest.fixture
def record(store: Redis) -> str:
    change(lambda draft: audit.append(draft, *AUTO, text="Premium updated from 1 to 2 by AG001"))
    while chain.seal(store):
        pass
    (name,) = store.keys("audit:policy:*")
    return str(name)


def lists(store: Redis) -> list[str]:
    return [*store.keys("dash:history:*"), *store.keys("dash:audit:*")]


def place(kind: holds.Kind, of: str, reason: str = "Case 12") -> str:
    holds.place(kind, of, reason, by="SUP001")
    return holds.hold_id(kind, of)


def test_a_record_is_kept_as_it_is_and_gets_its_own_end_again(store: Redis, record: str) -> None:
    text, end = store.get(record), store.pexpiretime(record)
    hold = place("record", record)
    assert (store.get(record), store.pttl(record)) == (text, -1)
    assert holds.get(store, hold).ends == {record: end}
    assert holds.held(store, [record, "another"]) == {record}
    holds.release(hold, ending=0, by="SUP001")
    assert (store.get(record), store.pexpiretime(record)) == (text, end)
    assert holds.held(store, [record]) == set() and store.hlen(keys.held()) == 0


def test_the_lists_that_lead_to_a_record_live_as_long_as_it(store: Redis, record: str) -> None:
    hold = place("record", record)
    assert record in {each.key for each in audit.search(store, Search()).records}
    standing = [name for name in lists(store) if store.zscore(name, record) is not None]
    assert len(standing) == 3, "by thing, by kind, by person"
    assert all(store.pttl(name) == -1 for name in standing)
    holds.release(hold, ending=0, by="SUP001")
    assert all(store.pexpiretime(name) >= store.pexpiretime(record) for name in standing)
    assert all(store.pttl(name) > 0 for name in lists(store))


def test_an_end_that_is_changed_at_the_very_moment_is_the_one_that_is_remembered(
    store: Redis, record: str, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    later = store.pexpiretime(record) + clock.DAY
    meanwhile(lambda: store.pexpireat(record, later))
    hold = place("record", record)
    assert store.pttl(record) == -1
    assert holds.get(store, hold).ends == {record: later}


def test_putting_it_on_and_releasing_it_are_on_record(store: Redis, record: str) -> None:
    holds.release(place("record", record), ending=0, by="SUP002")
    texts = [each.text for each in audit.history(store, *AUTO)]
    assert texts[0] == f"Legal hold on {record} released by SUP002"
    assert texts[1] == f"Legal hold on {record} put on by SUP001: Case 12"


def test_a_payment_is_held_and_that_stands_with_its_customer(store: Redis) -> None:
    store.set("customer:CUST001:profile", "John Smith")
    name = keys.payment_audit(payments.record("CUST001", Decimal(5), clock.today(), by="SUP001"))
    end = store.pexpiretime(name)
    hold = place("record", name)
    assert store.pttl(name) == -1
    holds.release(hold, ending=0, by="SUP001")
    assert store.pexpiretime(name) == end
    assert len(audit.history(store, audit.CUSTOMER, "CUST001")) == 2


def test_a_claim_is_held_whole_and_what_it_gets_later_is_held_too(store: Redis) -> None:
    number = claims.report(summary="Fire", by="AG001")
    hold = place("claim", number)
    kept = holds.get(store, hold)
    assert keys.claim_temp(number) in kept.ends and keys.claim_snapshot(number) in kept.ends
    claims.assign(number, "ADJ001", by="AG001")
    assert holds.enforce(store) > 0
    standing = [name for name in claims.all_keys(number) if store.exists(name)]
    assert standing and all(store.pttl(name) == -1 for name in standing)
    assert all(store.pttl(each.key) == -1 for each in audit.history(store, audit.CLAIM, number))
    assert holds.enforce(store) == 0, "once is enough"
    holds.release(hold, ending=0, by="SUP001")
    assert all(store.pttl(name) > 29 * clock.DAY for name in standing)


def test_an_ended_quote_is_held(store: Redis) -> None:
    number = book.quote()
    quotes.withdraw("auto", number, by="AG001")
    hold = place("quote", f"auto:{number}")
    assert store.pttl(keys.quote_snapshot("auto", number)) == -1
    assert lapsed.get(store, "auto", number) is not None
    holds.release(hold, ending=0, by="SUP001")
    assert 29 * clock.DAY < store.pttl(keys.quote_snapshot("auto", number)) <= 31 * clock.DAY


def test_an_end_that_another_tool_sets_meanwhile_does_not_end_what_is_held(store: Redis, record: str) -> None:
    end = store.pexpiretime(record)
    hold = place("record", record)
    store.expire(record, 60)
    assert holds.enforce(store) == 1
    assert store.pttl(record) == -1
    holds.release(hold, ending=0, by="SUP001")
    assert store.pexpiretime(record) == end, "never earlier than its own"


def test_what_two_holds_keep_is_free_when_both_are_released(store: Redis) -> None:
    number = claims.report(summary="Fire", by="AG001")
    (name,) = store.keys("audit:claim:*")
    end = store.pexpiretime(name)
    whole, single = place("claim", number), place("record", name)
    holds.release(whole, ending=0, by="SUP001")
    assert store.pttl(name) == -1
    holds.release(single, ending=0, by="SUP001")
    assert store.pexpiretime(name) == end


class TestBeyondItsTime:
    @pytest.fixture
    def over(self, store: Redis) -> str:
        """A record whose time passed while it was held."""

        def action(draft: object) -> str:
            now, name = clock.now_ms(), audit.CUSTOMER("CUST001", "20240818")
            audit.add(draft, name, "by AG001", now, now + 300)  # type: ignore[arg-type]
            return name

        name = change(action)
        place("record", name)
        while chain.seal(store):
            pass
        threading.Event().wait(0.35)
        return name

    def test_it_ends_when_that_was_confirmed_and_not_before(self, store: Redis, over: str) -> None:
        hold = holds.hold_id("record", over)
        assert holds.get(store, hold).over == [over]
        with pytest.raises(Conflict, match="The time of 1"):
            holds.release(hold, ending=0, by="SUP001")
        assert store.exists(over)
        assert "1 had passed their time" in holds.release(hold, ending=1, by="SUP001")
        assert not store.exists(over)

    def test_the_chain_still_misses_it_and_does_not_once_it_was_released(self, store: Redis, over: str) -> None:
        assert chain.verify(store).holds
        text = store.get(over)
        store.set(over, "another")
        first = chain.verify(store).first
        assert first is not None and first.key == over
        assert first.what == "the record was altered, or another tool wrote the day's next one over it"
        store.set(over, text or "")
        holds.release(holds.hold_id("record", over), ending=1, by="SUP001")
        assert chain.verify(store).holds

    def test_one_that_was_held_before_it_was_sealed_is_no_fault_once_it_is_released(self, store: Redis) -> None:
        change(lambda draft: audit.append(draft, *AUTO, text="by AG001"))
        (name,) = store.keys("audit:policy:*")
        hold = place("record", name)
        while chain.seal(store):
            pass
        holds.release(hold, ending=0, by="SUP001")
        while chain.seal(store):
            pass
        assert chain.verify(store).holds


def test_what_cannot_be_held(store: Redis, record: str) -> None:
    for kind, of in (("record", "policy:auto:1"), ("claim", "CLM9"), ("quote", "x"), ("review", "auto:1")):
        with pytest.raises(NotFound):
            place(kind, of)  # type: ignore[arg-type]
    for reason in ("", "a|b", "x" * 501):
        with pytest.raises(Invalid):
            place("record", record, reason)
    store.persist(record)
    with pytest.raises(Conflict, match="no end"):
        place("record", record)


def test_a_thing_is_held_once(store: Redis, record: str) -> None:
    place("record", record)
    with pytest.raises(Conflict, match="already"):
        place("record", record)


def test_the_list_of_holds_is_made_anew(store: Redis, record: str) -> None:
    hold = place("record", record)
    store.delete(*store.keys("dash:index*"))
    reconcile(store, thorough=True)
    assert [each.id for each in holds.listing(store).rows] == [hold]
    assert holds.totals(store)["record"] == 1


def test_a_hold_that_another_tool_broke_breaks_nothing(store: Redis, record: str) -> None:
    hold = place("record", record)
    for written in ("[1", "{}", '["a", 3]', "[" * 9_000):
        store.hset(keys.hold(hold), "names", written)
        store.hset(keys.held(), "x", written)
        holds.listing(store)
        areas.refresh(store, "holds", [hold])
    holds.enforce(store)
    holds.release(hold, ending=0, by="SUP001")
    assert store.pttl(record) > 0, "found again from what it is on"


def test_two_who_put_it_on_and_two_who_release_it_at_once(store: Redis, record: str) -> None:
    end = store.pexpiretime(record)
    with ThreadPoolExecutor(4) as pool:

        def tried(act: object) -> bool:
            try:
                act()  # type: ignore[operator]
            except (Conflict, NotFound):
                return False
            return True

        for _ in range(25):
            assert sum(pool.map(tried, [lambda: place("record", record)] * 4)) == 1
            assert store.pttl(record) == -1
            hold = holds.hold_id("record", record)
            release = [lambda: holds.release(hold, ending=0, by="SUP001")] * 4  # noqa: B023
            assert sum(pool.map(tried, release)) == 1
            assert store.pexpiretime(record) == end


def test_control_taking_the_lifetime_without_watching_loses_the_own_end(store: Redis, record: str) -> None:
    remembered: list[int] = []
    first = threading.Barrier(2)

    def naive(waits: bool) -> None:
        if waits:
            first.wait(10)
        remembered.append(store.pexpiretime(record))
        store.persist(record)
        if not waits:
            first.wait(10)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(naive, [True, False]))
    assert -1 in remembered, "the second remembers that there is no end"
