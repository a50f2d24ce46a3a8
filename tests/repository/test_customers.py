"""Customers, and the lists, counts and totals that follow their policies."""

from __future__ import annotations

from decimal import Decimal

import pytest
from redis import Redis

from dashboard import keys
from dashboard.errors import Conflict
from dashboard.repository import customers
from dashboard.repository.store import change

NOBODY: tuple[None, None] = (None, None)


def relate(
    policy: str, customer: str | None, premium: int | None, before: tuple[str | None, int | None] = NOBODY
) -> None:
    was = before[0], None if before[1] is None else Decimal(before[1])
    now = None if premium is None else Decimal(premium)
    change(lambda draft: customers.relate(draft, policy, customer=customer, premium=now, before=was))


def relations(store: Redis, customer: str = "CUST001") -> tuple[str | None, ...]:
    names = ("policies", "policy_count", "total_premium")
    return tuple(store.mget([keys.customer_field(customer, name) for name in names]))


def holds_many(store: Redis, customer: str = "CUST001") -> bool:
    return bool(store.sismember(keys.multi_policy(), customer))


def test_a_customer_as_the_document_writes_one(store: Redis) -> None:
    profile = "John Smith|DOB:1985-03-15|Phone:555-0123|Email:john.smith@email.com"
    store.set(keys.customer_field("CUST001", "profile"), profile)
    store.set(keys.customer_field("CUST001", "address"), "456 Oak St, Dallas TX 75201")
    found = customers.get(store, "CUST001")
    assert (found.name, found.born, found.phone, found.email) == (
        "John Smith",
        "1985-03-15",
        "555-0123",
        "john.smith@email.com",
    )
    assert (found.address, found.known, found.problems) == ("456 Oak St, Dallas TX 75201", True, ())


def test_trap_8_a_customer_without_profile_is_valid(store: Redis) -> None:
    found = customers.get(store, "CUST010")
    assert (found.id, found.name, found.address, found.known, found.problems) == ("CUST010", None, None, False, ())
    assert not customers.exists(store, "CUST010")


def test_names_are_read_of_those_who_have_one(store: Redis) -> None:
    store.set(keys.customer_field("CUST001", "profile"), "John Smith|DOB:1985-03-15")
    store.set(keys.customer_field("CUST002", "profile"), "DOB:1985-03-15")
    store.rpush(keys.customer_field("CUST003", "profile"), "a list")
    asked = ["CUST001", "CUST002", "CUST003", "CUST004", "not one", ""]
    assert customers.names(store, asked) == {"CUST001": "John Smith"}
    assert customers.names(store, []) == {}


def test_a_new_policy_joins_its_customers_list_count_and_total(store: Redis) -> None:
    relate("auto:1", "CUST001", 1200)
    assert relations(store) == ("auto:1", "1", "1200")
    assert not holds_many(store)
    relate("home:2", "CUST001", 800)
    assert relations(store) == ("auto:1,home:2", "2", "2000")
    assert holds_many(store)


def test_a_new_premium_moves_the_total_by_the_difference(store: Redis) -> None:
    relate("auto:1", "CUST001", 1200)
    relate("auto:1", "CUST001", 1350, ("CUST001", 1200))
    assert relations(store) == ("auto:1", "1", "1350")


def test_a_policy_that_changes_hands_leaves_one_list_for_the_other(store: Redis) -> None:
    relate("auto:1", "CUST001", 1200)
    relate("home:2", "CUST001", 800)
    relate("auto:1", "CUST002", 1300, ("CUST001", 1200))
    assert relations(store) == ("home:2", "1", "800")
    assert relations(store, "CUST002") == ("auto:1", "1", "1300")
    assert not holds_many(store)


def test_a_policy_whose_premium_cannot_be_read_stays_its_customers(store: Redis) -> None:
    relate("auto:1", "CUST001", 1200)
    relate("auto:1", "CUST001", None, ("CUST001", 1200))
    assert relations(store) == ("auto:1", "1", "0")
    relate("auto:1", "CUST001", 1300, ("CUST001", None))
    assert relations(store) == ("auto:1", "1", "1300")


def test_trap_7_a_list_that_did_not_have_the_policy_does_not_lose_its_premium(store: Redis) -> None:
    store.set(keys.customer_field("CUST001", "policies"), "auto:100001,home:200001")
    store.set(keys.customer_field("CUST001", "total_premium"), "2000")
    relate("life:3", "CUST001", 540, ("CUST001", 500))
    assert relations(store) == ("auto:100001,home:200001,life:3", "3", "2540")


def test_a_total_never_falls_below_nothing(store: Redis) -> None:
    store.set(keys.customer_field("CUST001", "policies"), "auto:1")
    store.set(keys.customer_field("CUST001", "total_premium"), "oops")
    relate("auto:1", None, None, ("CUST001", 1200))
    assert relations(store) == ("", "0", "0")


@pytest.mark.parametrize("field", ["policies", "policy_count", "total_premium"])
def test_a_relation_of_another_type_is_refused_before_anything_is_written(store: Redis, field: str) -> None:
    store.rpush(keys.customer_field("CUST001", field), "broken")
    with pytest.raises(Conflict):
        relate("auto:1", "CUST001", 1200)
    assert store.keys("*") == [keys.customer_field("CUST001", field)]


def test_a_customer_whose_number_could_not_stand_in_a_key_is_left_alone(store: Redis) -> None:
    relate("auto:1", "not one", 1200)
    assert store.keys("*") == []


def test_an_address_moves_a_policy_from_one_area_to_another(store: Redis) -> None:
    dallas, austin = ("dallas", "75201"), ("austin", "73301")
    store.set(keys.location_policies(*dallas), "home:200001,auto:100001")
    change(lambda draft: customers.locate(draft, "home:5", now=dallas, before=("", "")))
    assert store.get(keys.location_policies(*dallas)) == "home:200001,auto:100001,home:5"
    change(lambda draft: customers.locate(draft, "home:5", now=austin, before=dallas))
    assert store.get(keys.location_policies(*dallas)) == "home:200001,auto:100001"
    assert store.get(keys.location_policies(*austin)) == "home:5"


def test_an_address_that_stays_costs_nothing(store: Redis) -> None:
    change(lambda draft: customers.locate(draft, "home:5", now=("dallas", "75201"), before=("dallas", "75201")))
    assert store.keys("*") == []
