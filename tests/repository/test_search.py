"""Finding by what a word begins with: everybody, in step with what is stored, at the same cost however many there are."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from dashboard import keys
from dashboard.repository import agents, areas, customers, dossier, search
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
        dossier.edit("CUST001", {**customers.facts_of(found), "name": "John Jones"}, seen=found.seen, by="AG001")
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

    @pytest.mark.parametrize("typed", ["1091", "10918", "109186", "mn109186", "XMN109186"])
    def test_a_vin_is_found_by_its_last_characters_as_they_are_typed(self, store: Redis, typed: str) -> None:
        agents.save(store, {"AG001": "dallas"})
        number = book.policy(vehicle_vin=VIN)
        book.policy(vehicle_vin="2T3P1RFV0LC100001")
        assert [each.number for each in search.find(store, ALL, typed).policies] == [number]

    def test_a_vin_that_is_written_with_spaces_and_dashes_is_found_without(self, store: Redis) -> None:
        number = book.policy(vehicle_vin="1HG BH41-JXM N109186")
        for typed in ("1hgbh41jxm", "109186"):
            assert [each.number for each in search.find(store, ALL, typed).policies] == [number]

    @pytest.mark.parametrize("typed", ["100", "auto:100001", "1hgb", "109186"])
    def test_customers_are_found_by_their_policies_as_far_as_one_may_see_these(
        self, store: Redis, monkeypatch: pytest.MonkeyPatch, typed: str
    ) -> None:
        agents.save(store, {"AG001": "dallas", "AG002": "houston"})
        monkeypatch.setattr(search, "EXPORTED", 1)
        write(store, "CUST007", phone="1")
        book.policy(customer="CUST007", vehicle_vin=VIN)
        for scope, wanted in ((ALL, ["CUST007"]), (Scope(frozenset({"houston"})), [])):
            assert [each.id for each in search.people(store, scope, typed)[0]] == wanted
            assert [each.id for each in search.everybody(store, scope, typed)] == wanted

    def test_customers_of_more_policies_than_are_looked_at_are_said_to_be_more(
        self, store: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "HELD", 2)
        for number in range(3):
            book.policy(customer=f"CUST00{number}", vehicle_vin=f"{VIN[:-1]}{number}")
        found, more = search.people(store, ALL, VIN[:4])
        assert ([each.id for each in found], more) == (["CUST000", "CUST001"], True)
        assert len(list(search.everybody(store, ALL, VIN[:4]))) == 3
        assert search.people(store, ALL, f"{VIN[:-1]}1") == ([customers.load(store, ["CUST001"])["CUST001"]], False)

    @pytest.mark.parametrize("typed", ["109", "0918", "9x109186", "1091860"])
    def test_what_is_no_end_of_a_vin_finds_none(self, store: Redis, typed: str) -> None:
        book.policy(vehicle_vin=VIN)
        assert not search.find(store, ALL, typed).policies

    def test_a_vins_end_that_was_changed_leads_nowhere_any_more(self, store: Redis) -> None:
        number = book.policy(vehicle_vin=VIN)
        store.set(keys.policy_field("auto", number, "vehicle_vin"), "2T3P1RFV0LC100001")
        areas.refresh(store, "policies", [f"auto:{number}"])
        assert store.zcard(keys.words("policies", "vin-end")) == 2
        assert not search.find(store, ALL, "109186").policies
        assert store.zcard(keys.words("policies", "vin-end")) == 1

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


class TestQuotesAndClaims:
    @pytest.fixture(autouse=True)
    def branches(self, store: Redis) -> None:
        agents.save(store, {"AG001": "dallas", "AG002": "houston"})

    def quotes(self, store: Redis, typed: str, scope: Scope = ALL) -> list[str]:
        return [each.number for each in search.find(store, scope, typed).quotes]

    def claims(self, store: Redis, typed: str, scope: Scope = ALL) -> list[str]:
        return [each.number for each in search.find(store, scope, typed).claims]

    def report(self, store: Redis, number: str, agent: str, *, denied: bool = False) -> str:
        if denied:
            store.set(keys.claim_field(number, "status"), "DENIED")
            store.set(keys.claim_field(number, "agent"), agent)
        else:
            store.set(keys.claim_temp(number), "Hail - Initial Report - Customer: CUST001", ex=999)
            store.set(keys.claim_temp_field(number, "agent"), agent, ex=999)
        areas.refresh(store, "claims", [number])
        return number

    def test_quotes_are_found_by_the_beginning_of_their_number(self, store: Redis) -> None:
        made = [book.quote() for _ in range(12)]
        assert made[0] == "Q001" and made[9] == "Q010"
        assert self.quotes(store, "q01") == ["Q010", "Q011", "Q012"]
        assert self.quotes(store, "Q00") == made[:6]
        assert self.quotes(store, "auto:q01") == ["Q010", "Q011", "Q012"]
        assert self.quotes(store, "home:q01") == self.quotes(store, "q1") == []

    def test_quotes_of_other_branches_and_products_are_not_found(self, store: Redis) -> None:
        mine, theirs, life = book.quote(), book.quote(agent="AG002"), book.quote("life")
        dallas = Scope(frozenset({"dallas"}), frozenset({"auto", "home"}))
        assert self.quotes(store, "q00", dallas) == self.quotes(store, mine, dallas) == [mine]
        assert self.quotes(store, theirs, dallas) == self.quotes(store, life, dallas) == []

    def test_a_quote_that_ended_is_found_no_more(self, store: Redis) -> None:
        number = book.quote()
        store.delete(keys.quote("auto", number))
        assert self.quotes(store, "q00") == []

    def test_claims_of_every_stage_are_found_by_the_beginning_of_their_number(self, store: Redis) -> None:
        self.report(store, "CLM010", "AG001")
        self.report(store, "CLM011", "AG001", denied=True)
        self.report(store, "CLM100", "AG001")
        assert self.claims(store, "clm01") == ["CLM010", "CLM011"]
        assert self.claims(store, "CLM1") == ["CLM100"]
        assert self.claims(store, "clm2") == []

    def test_another_branchs_claims_are_not_found_nor_do_they_crowd_out_ones_own(self, store: Redis) -> None:
        for number in range(60):
            self.report(store, f"CLM0{number + 10}", "AG002")
        mine = self.report(store, "CLM098", "AG001")
        dallas = Scope(frozenset({"dallas"}))
        assert self.claims(store, "clm0", dallas) == [mine]
        assert self.claims(store, "clm010", dallas) == []
        assert len(self.claims(store, "clm0")) == 6


def test_a_whole_search_is_read_to_its_end_each_customer_once(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "EXPORTED", 10)
    for number in range(35):
        write(store, f"CUST{number:03}", "Dallas Smith")
    write(store, "CUST900", "Ana Ruiz", address="1 Elm St, Austin TX 78701", email="ana@x.com")
    everybody = [f"CUST{number:03}" for number in range(35)]
    assert sorted(each.id for each in search.everybody(store, ALL, "dallas")) == everybody
    assert [each.id for each in search.everybody(store, ALL, "cust00")] == everybody[:10]
    assert [each.id for each in search.everybody(store, ALL, "d")] == []


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
    numbers = [f"CUST{number:04}" for number in range(10, 2_000)]
    address = "456 Oak St, Dallas TX 75201"
    pipe = store.pipeline(transaction=False)
    for number in numbers:
        pipe.set(keys.customer_field(number, "profile"), "John Smith|Phone:555-0123|Email:john.smith@email.com")
        pipe.set(keys.customer_field(number, "address"), address)
    pipe.execute()
    for start in range(0, len(numbers), 500):
        areas.refresh(store, "customers", numbers[start : start + 500])
    assert {typed: commands(store, typed) for typed in few} == few
    began = time.perf_counter()
    for typed in few:
        search.find(store, ALL, typed)
    assert (time.perf_counter() - began) / len(few) < 0.1  # measured 3 ms; a busy machine takes its time
