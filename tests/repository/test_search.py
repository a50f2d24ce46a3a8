"""Finding by what a word begins with: everybody, in step with what is stored, at the same cost however many there are."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from dashboard import keys
from dashboard.repository import agents, areas, customers, search
from dashboard.repository.agents import Scope
from dashboard.repository.reindex import reconcile
from tests import book

ALL = Scope()
VIN = "1HGBH41JXMN109186"


def write(store: Redis, number: str, name: str = "John Smith", **facts: str) -> None:
    """As another tool writes a customer."""
    told = {"phone": "555-0123", "email": "john.smith@email.com", "address": "456 Oak St, Dallas TX 75201", **facts}
    profile = f"{name}|DOB:1985-03-15|Phone:{told.pop('phone')}|Email:{told.pop('email')}"
    store.mset({keys.customer_field(number, field): text for field, text in {"profile": profile, **told}.items()})
    areas.refresh(store, "customers", [number])


def people(store: Redis, typed: str) -> list[str]:
    return [each.id for each in search.find(store, ALL, typed).customers]


@pytest.mark.parametrize(
    "typed",
    [
        "jo", "John", "john s", "JOHN SMITH", "smith", "smith j", "Smith, John", "555-01", "(555) 012", "5550123",
        "john.smith@", "JOHN.SMITH@EMAIL.COM", "dallas", "Dallas 752", "75201", "752", "cust001", "CUST0", "cust00",
    ],
)  # fmt: skip
def test_a_customer_is_found_by_what_anything_of_theirs_begins_with(store: Redis, typed: str) -> None:
    write(store, "CUST001")
    write(store, "CUST200", "Ana Ruiz", phone="999-9999", email="ana@x.com", address="1 Elm St, Austin TX 78701")
    assert people(store, typed) == ["CUST001"]


@pytest.mark.parametrize(
    "typed", ["", "j", " ", "ohn", "mith", "0123", "@", "zzz", "|", "*", "\0", "\udcff", "x" * 500]
)
def test_what_nothing_begins_with_finds_nothing_and_breaks_nothing(store: Redis, typed: str) -> None:
    write(store, "CUST001")
    assert not search.find(store, ALL, typed)


def test_names_of_many_parts_and_other_scripts(store: Redis) -> None:
    write(store, "CUST001", "Ana María de la Cruz Ángeles Peña")
    write(store, "CUST002", "王 小明")
    for typed in ("maría", "MARÍA DE", "peña", "ana m"):
        assert people(store, typed) == ["CUST001"]
    assert people(store, "小明") == ["CUST002"]


class TestInStep:
    def test_an_own_edit_moves_the_words(self, store: Redis) -> None:
        write(store, "CUST001")
        found = customers.get(store, "CUST001")
        customers.edit("CUST001", {**customers.facts_of(found), "name": "John Jones"}, seen=found.seen, by="AG001")
        assert (people(store, "jones"), people(store, "smith")) == (["CUST001"], [])
        assert store.zrangebylex(keys.words("customers", "name"), "[smith", "[smith\xff") == []

    def test_what_another_tool_renamed_is_found_by_the_new_name_and_the_old_word_goes_when_it_is_met(
        self, store: Redis
    ) -> None:
        write(store, "CUST001")
        write(store, "CUST001", "John Jones")
        assert people(store, "jones") == ["CUST001"]
        assert store.zscore(keys.words("customers", "name"), "smith john\0CUST001") is not None
        assert people(store, "smith") == []
        assert store.zscore(keys.words("customers", "name"), "smith john\0CUST001") is None

    def test_those_who_are_gone_do_not_crowd_out_those_who_are_there(self, store: Redis) -> None:
        for number in range(30):
            write(store, f"CUST{number:03}", "Smith")
        store.delete(*(keys.customer_field(f"CUST{n:03}", f) for n in range(11) for f in ("profile", "address")))
        assert len(search.find(store, ALL, "smith", size=6).customers) == 6

    def test_reindexing_makes_the_words_anew_and_takes_out_strays(self, store: Redis) -> None:
        write(store, "CUST001")
        book.policy(vehicle_vin=VIN)
        before = store.zrange(keys.words("customers", "name"), 0, -1)
        store.delete(keys.words("customers", "name"), keys.words("policies", "vin"))
        store.zadd(keys.words("customers", "phone"), {"1\0CUST777": 0})
        reconcile(store, thorough=True)
        assert store.zrange(keys.words("customers", "name"), 0, -1) == before
        assert store.zcard(keys.words("policies", "vin")) == 1
        assert store.zscore(keys.words("customers", "phone"), "1\0CUST777") is None


class TestPolicies:
    @pytest.mark.parametrize("typed", ["100", "1000", "100001", "auto:1", "auto:100001", "1hgb", VIN, VIN.lower()])
    def test_a_policy_is_found_by_the_beginning_of_its_number_or_vin(self, store: Redis, typed: str) -> None:
        agents.save(store, {"AG001": "dallas"})
        number = book.policy(vehicle_vin=VIN)
        book.policy("home", property_address="1 Elm St, Austin TX 78701")
        assert [each.number for each in search.find(store, ALL, typed).policies] == [number]

    def test_only_what_this_person_may_see_is_found(self, store: Redis) -> None:
        agents.save(store, {"AG001": "dallas", "AG002": "houston"})
        mine, theirs = book.policy(vehicle_vin=VIN), book.policy(agent="AG002", vehicle_vin=VIN)
        for typed in ("1000", "1hgb"):
            for branch, number in (("dallas", mine), ("houston", theirs)):
                found = search.find(store, Scope(frozenset({branch})), typed)
                assert [each.number for each in found.policies] == [number]
            assert not search.find(store, Scope(frozenset({"dallas"}), frozenset({"home"})), typed).policies

    def test_a_vin_that_was_changed_leads_nowhere_any_more(self, store: Redis) -> None:
        number = book.policy(vehicle_vin=VIN)
        store.set(keys.policy_field("auto", number, "vehicle_vin"), "2T3P1RFV0LC100001")
        areas.refresh(store, "policies", [f"auto:{number}"])
        assert not search.find(store, ALL, "1hgb").policies
        assert [each.number for each in search.find(store, ALL, "2t3p").policies] == [number]


def test_quotes_claims_and_places_are_found_too(store: Redis) -> None:
    number = book.quote()
    store.set(keys.location_policies("fort_worth", "76110"), "home:200003")
    store.set(keys.claim_temp("CLM003"), "Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500")
    areas.refresh(store, "places", ["fort_worth:76110"])
    assert [each.number for each in search.find(store, ALL, number.lower()).quotes] == [number]
    assert [each.number for each in search.find(store, ALL, "clm003").claims] == ["CLM003"]
    for typed in ("fort", "Fort Worth", "7611"):
        assert [each.id for each in search.find(store, ALL, typed).places] == ["fort_worth:76110"]


def test_what_other_tools_wrote_never_breaks_it(store: Redis) -> None:
    store.set(keys.customer_field("CUST001", "profile"), "|||:::")
    store.rpush(keys.customer_field("CUST002", "profile"), "a list")
    store.execute_command("SET", b"customer:CUST003:profile", b"Jos\xff|Phone:\xff")
    areas.refresh(store, "customers", ["CUST001", "CUST002", "CUST003"])
    for typed in ("jos", "cust0", "::", "|||"):
        search.find(store, ALL, typed)
    assert people(store, "jos\\xff") == ["CUST003"]


def commands(store: Redis, typed: str) -> int:
    before = store.info("stats")["total_commands_processed"]
    search.find(store, ALL, typed)
    return store.info("stats")["total_commands_processed"] - before - 1


def test_the_cost_is_the_same_at_ten_and_at_two_thousand(store: Redis) -> None:
    for number in range(10):
        write(store, f"CUST{number:04}")
    few = {typed: commands(store, typed) for typed in ("smith", "555", "dallas", "cust00", "john.s")}
    for number in range(10, 2_000):
        write(store, f"CUST{number:04}")
    assert {typed: commands(store, typed) for typed in few} == few
    began = time.perf_counter()
    for typed in few:
        search.find(store, ALL, typed)
    assert (time.perf_counter() - began) / len(few) < 0.1  # measured 3 ms; a busy machine takes its time
