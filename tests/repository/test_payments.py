"""Payments: recorded once, numbered once, kept for seven years to the day, and the customer's last payment in step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Invalid
from dashboard.repository import audit, payments
from dashboard.repository.payments import Filter
from dashboard.repository.reindex import reconcile
from dashboard.repository.values import moment

LAST = "customer:CUST001:last_payment"


@pytest.fixture
def customer(store: Redis) -> str:
    store.set("customer:CUST001:profile", "John Smith")
    return "CUST001"


def pay(customer: str = "CUST001", amount: str = "10", days: int = 0) -> str:
    return payments.record(customer, Decimal(amount), clock.today() - timedelta(days=days), by="SUP001")


def test_other_tools_read_it_as_the_document_writes_it(store: Redis, customer: str) -> None:
    name = keys.payment_audit(pay(amount="1200"))
    assert (store.get(name) or "").startswith(f"Customer: CUST001 | Amount: 1200 | Date: {clock.today()}")
    assert [each.text for each in audit.search(store, audit.Search(kind="payment", who="SUP001")).records]


def test_seven_years_are_a_date_also_on_a_leap_day(store: Redis, customer: str) -> None:
    with time_machine.travel("2028-02-29T18:00:00Z", tick=False):
        end = store.pexpiretime(keys.payment_audit(pay()))
        assert clock.moment(end - 1).astimezone(clock.zone()).date().isoformat() == "2035-02-28"


def test_the_customers_last_payment_follows_and_never_goes_back(store: Redis, customer: str) -> None:
    pay(days=3)
    assert store.get(LAST) == f"{clock.today() - timedelta(days=3)}T00:00:00Z"
    pay()
    latest = store.get(LAST)
    pay(days=1)
    assert store.get(LAST) == latest and (latest or "").endswith("Z")


def test_who_is_known_by_a_policy_alone_can_pay(store: Redis) -> None:
    store.mset({"policy:auto:100001:customer": "CUST001", "policy:auto:100001:premium": "1200"})
    with pytest.raises(Invalid, match="There is no customer"):
        pay("CUST002")
    reconcile(store)
    assert pay() and moment(store.get(LAST) or "")


def test_what_another_tool_left_as_the_last_payment(store: Redis, customer: str) -> None:
    store.set(LAST, "nonsense")
    pay()
    assert store.get(LAST) != "nonsense"
    store.delete(LAST)
    store.rpush(LAST, "x")
    with pytest.raises(Conflict, match="holds a list"):
        pay()
    assert len(store.keys("audit:payment:*")) == 1


def test_our_numbers_never_meet_those_of_other_tools(store: Redis, customer: str) -> None:
    store.set("audit:payment:transaction:TXN-1001", "Customer: CUST001 | Amount: 1")
    assert pay() == "TXN-1002"
    assert store.get("audit:payment:transaction:TXN-1001") == "Customer: CUST001 | Amount: 1"


def test_nor_one_that_is_given_at_the_very_moment(
    store: Redis, customer: str, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    theirs = keys.payment_audit("TXN-1001")
    meanwhile(lambda: store.set(theirs, "Customer: CUST009 | Amount: 1"))
    number = pay()
    assert number == "TXN-1002" and store.get(theirs) == "Customer: CUST009 | Amount: 1"
    assert (store.get(keys.payment_audit(number)) or "").startswith("Customer: CUST001")


def test_a_number_is_not_given_again_when_the_sequence_was_lost(store: Redis, customer: str) -> None:
    first = pay()
    store.delete(keys.sequence("transaction"))
    reconcile(store, thorough=True)
    assert pay() != first


@pytest.mark.parametrize(
    ("customer", "amount", "days"),
    [("CUST999", "1", 0), ("a:b", "1", 0), ("CUST001", "0", 0), ("CUST001", "-1", 0), ("CUST001", "1.001", 0),
     ("CUST001", "1000000001", 0), ("CUST001", "1", -1), ("CUST001", "1", 60_000)],
)  # fmt: skip
def test_what_is_refused_leaves_nothing(store: Redis, customer: str, amount: str, days: int) -> None:
    store.set("customer:CUST001:profile", "John Smith")
    with pytest.raises(Invalid):
        pay(customer, amount, days)
    assert store.keys("audit:*") == [] and not store.exists(LAST)


def test_the_list_by_customer_and_by_day(store: Redis, customer: str) -> None:
    store.set("customer:CUST002:profile", "Ana Ruiz")
    mine, theirs = [pay(days=days) for days in (0, 5)], pay("CUST002", days=5)
    assert [each.transaction for each in payments.listing(store, Filter("CUST001")).rows] == mine
    five_days_ago = clock.now_ms() - 7 * clock.DAY, clock.now_ms() - 3 * clock.DAY
    found = {each.transaction for each in payments.listing(store, Filter(None, *five_days_ago)).rows}
    assert found == {mine[1], theirs}
    assert {each.transaction for each in payments.every(store, Filter())} == {*mine, theirs}


def test_ten_at_once_get_ten_numbers_and_the_latest_day_stands(store: Redis, customer: str) -> None:
    barrier = threading.Barrier(10)

    def run(days: int) -> str:
        barrier.wait(10)
        return pay(amount=str(days + 1), days=days)

    with ThreadPoolExecutor(10) as pool:
        for _ in range(5):
            store.delete(LAST)
            made = list(pool.map(run, range(10)))
            assert len(set(made)) == 10
            latest = moment(store.get(LAST) or "")
            assert latest is not None and abs(clock.now() - latest) < timedelta(minutes=1), "today's, to the second"
    assert payments.listing(store, Filter()).total == len(store.keys("audit:payment:*")) == 50


def test_control_the_next_number_by_looking_at_the_last_is_given_twice(store: Redis) -> None:
    store.set("naive", 7)
    barrier = threading.Barrier(10)

    def naive(_: int) -> int:
        number = int(store.get("naive") or 0) + 1
        barrier.wait(10)
        store.set("naive", number)
        return number

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(naive, range(10)))) < 10
