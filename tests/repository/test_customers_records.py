"""A customer made and changed: numbers, the document's forms, colleagues in between, the index, the lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from dashboard import keys
from dashboard.errors import Conflict, Invalid
from dashboard.repository import agents, areas, audit, customers, dossier, drift, payments, policies, quotes
from dashboard.repository import store as recording
from dashboard.repository.agents import Scope
from dashboard.repository.customers import Filter
from dashboard.repository.reindex import reconcile
from tests import book

FACTS = {
    "name": "John Smith", "born": "1985-03-15", "phone": "555-0123", "email": "john.smith@email.com",
    "address": "456 Oak St, Dallas TX 75201", "risk_score": "750", "credit_score": "720",
    "customer_since": "2018-05-20", "communication_preference": "email", "marketing_opt_in": "yes",
    "preferred_agent": "AG001", "payment_method": "AUTO_PAY",
}  # fmt: skip
DOCUMENT = {
    "profile": "John Smith|DOB:1985-03-15|Phone:555-0123|Email:john.smith@email.com",
    "address": "456 Oak St, Dallas TX 75201", "risk_score": "750", "credit_score": "720",
    "customer_since": "2018-05-20", "communication_preference": "email", "marketing_opt_in": "yes",
    "preferred_agent": "AG001", "payment_method": "AUTO_PAY",
}  # fmt: skip


def create(**facts: str) -> str:
    return dossier.create({**FACTS, **facts}, by="AG001")


def edit(store: Redis, number: str, *, seen: str | None = None, **facts: str) -> str:
    found = customers.get(store, number)
    return dossier.edit(number, {**customers.facts_of(found), **facts}, seen=seen or found.seen, by="AG002")


def stored(store: Redis, number: str) -> dict[str, str]:
    return {name: value for name in keys.CUSTOMER_FIELDS if (value := store.get(keys.customer_field(number, name)))}


def listed(store: Redis, wanted: Filter = Filter()) -> list[str]:  # noqa: B008
    return [row.id for row in customers.listing(store, wanted).rows]


class TestCreate:
    def test_the_keys_are_the_documents_with_its_types_and_no_lifetime(self, store: Redis) -> None:
        number = create()
        assert stored(store, number) == DOCUMENT
        for name in DOCUMENT:
            key = keys.customer_field(number, name)
            assert (store.type(key), store.ttl(key)) == ("string", -1)

    def test_numbers_follow_each_other_and_step_over_those_that_others_took(self, store: Redis) -> None:
        store.set(keys.customer_field("CUST002", "risk_score"), "1")
        assert [create(), create(), create()] == ["CUST001", "CUST003", "CUST004"]

    def test_nobody_gets_a_number_that_anything_names_already(self, store: Redis) -> None:
        """Trap 8: CUST010 of the document has a quote and no profile; what is theirs is not the next one's."""
        book.quote(customer="CUST001")
        lapsed = book.quote(customer="CUST002")
        quotes.withdraw("auto", lapsed, by="AG001")
        store.set("policy:auto:100001:customer", "CUST003")
        store.set("claim:CLM001:customer", "CUST004")
        store.set(keys.payment_audit("TXN001"), "Customer: CUST005 | Amount: 1200 | Date: 2024-08-18")
        store.sadd("segment:high_risk", "CUST006")
        store.sadd("tier:vip", "CUST007")
        store.sadd("customer:multi_policy", "CUST008")
        store.set("session:customer:CUST009:portal", "authenticated|login_time:2024-08-18T10:30:00Z", ex=1800)
        reconcile(store)
        store.set(keys.sequence("customer"), 0)  # whatever the slow look has counted
        assert all(dossier.known(store, f"CUST00{each}") for each in range(1, 9))
        assert not dossier.known(store, "CUST009"), "or somebody of the staff who is signed in would be a customer"
        assert create() == "CUST010"

    def test_who_is_quoted_at_the_very_moment_keeps_their_number(
        self, store: Redis, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        meanwhile(lambda: book.quote(customer="CUST001"))
        assert create() == "CUST002"

    def test_it_is_listed_and_on_record(self, store: Redis) -> None:
        number = create()
        assert listed(store) == listed(store, Filter(agent="AG001")) == [number]
        (record,) = audit.history(store, audit.CUSTOMER, number)
        assert record.text == "Created by AG001: John Smith"

    def test_what_is_not_said_is_not_written(self, store: Redis) -> None:
        number = dossier.create({"name": "Ana Ruiz", "phone": "", "address": ""}, by="AG001")
        assert stored(store, number) == {"profile": "Ana Ruiz"}

    @pytest.mark.parametrize(
        "field, value",
        [
            ("name", ""), ("name", " "), ("name", "a|b"), ("name", "a:b"), ("phone", "1|2"), ("address", "a\nb"),
            ("preferred_agent", "a b"), ("born", "soon"), ("born", "2999-01-01"), ("customer_since", "2024-13-01"),
        ],
    )  # fmt: skip
    def test_what_would_break_other_tools_is_refused(self, store: Redis, field: str, value: str) -> None:
        with pytest.raises(Invalid) as refused:
            create(**{field: value})
        assert set(refused.value.fields) == {field}
        assert not store.keys("customer:*")

    def test_a_form_sent_twice_makes_one(self, store: Redis) -> None:
        assert {dossier.create(FACTS, by="AG001", token="t") for _ in range(3)} == {"CUST001"}
        assert recording.next_number("customer", 1) == 2


class TestEdit:
    def test_says_what_was_changed_and_keeps_the_rest(self, store: Redis) -> None:
        number = create()
        store.set(keys.customer_field(number, "login_count"), "147")
        words = edit(store, number, phone="555-9999", marketing_opt_in="")
        assert "555-9999" in words and "Marketing opt in updated from yes to nothing" in words
        assert stored(store, number) == {
            **{name: value for name, value in DOCUMENT.items() if name != "marketing_opt_in"},
            "profile": "John Smith|DOB:1985-03-15|Phone:555-9999|Email:john.smith@email.com",
            "login_count": "147",
        }
        assert words[:-1] + " by AG002" == audit.history(store, audit.CUSTOMER, number)[0].text

    def test_parts_of_a_profile_that_only_other_tools_know_stay(self, store: Redis) -> None:
        store.set(keys.customer_field("CUST001", "profile"), "John Smith|Loyalty:gold|Phone:1|VIP|Email:a@b.c")
        edit(store, "CUST001", phone="2")
        assert stored(store, "CUST001")["profile"].startswith("John Smith, VIP|Phone:2|Email:a@b.c|Loyalty:gold")

    def test_nothing_changed_writes_nothing(self, store: Redis) -> None:
        number = create()
        assert edit(store, number) == "Nothing was changed."
        assert len(audit.history(store, audit.CUSTOMER, number)) == 1

    @pytest.mark.parametrize("layout", ["strings", "hash"])
    def test_trap_7_a_name_is_changed_in_the_details_of_their_policies_too(
        self, store: Redis, settings: Any, layout: str
    ) -> None:
        settings.POLICY_LAYOUT = layout
        number = create()
        told, other = book.policy(customer=number, vehicle="Kia Rio 2020"), book.policy(customer="CUST900")
        edit(store, number, phone="555-9999")
        edit(store, number, name="John Jones")
        policy = policies.get(store, "auto", told)
        assert policy.details == "Kia Rio 2020 - John Jones - $1,200 premium"
        first, *_ = audit.history(store, audit.POLICY, "auto", told)
        assert first.text == (
            f"{number} is called John Jones: Details updated from Kia Rio 2020 - John Smith - $1,200 premium "
            "to Kia Rio 2020 - John Jones - $1,200 premium by AG002"
        )
        assert len(audit.history(store, audit.POLICY, "auto", told)) == 2
        assert len(audit.history(store, audit.POLICY, "auto", other)) == 1

    def test_details_in_another_tools_own_words_stay(self, store: Redis) -> None:
        number = create()
        policy = book.policy(customer=number)
        store.set(keys.policy_field("auto", policy, "details"), "See file 12")
        edit(store, number, name="John Jones")
        assert store.get(keys.policy_field("auto", policy, "details")) == "See file 12"

    def test_what_another_tool_writes_at_the_very_moment_is_in_the_details_too(
        self, store: Redis, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        number = create()
        policy = book.policy(customer=number, vehicle="Kia Rio 2020")
        meanwhile(lambda: store.set(keys.policy_field("auto", policy, "premium"), "1300"))
        edit(store, number, name="John Jones")
        assert policies.get(store, "auto", policy).details == "Kia Rio 2020 - John Jones - $1,300 premium"

    def test_a_colleagues_change_in_between_is_told(self, store: Redis) -> None:
        number = create()
        seen = customers.get(store, number).seen
        edit(store, number, phone="555-1111")
        with pytest.raises(Conflict, match="Somebody changed"):
            edit(store, number, seen=seen, phone="555-2222")
        assert "555-1111" in stored(store, number)["profile"]

    def test_a_sign_in_in_between_is_none_of_its_business(self, store: Redis) -> None:
        number = create()
        seen = customers.get(store, number).seen
        store.set(keys.customer_field(number, "last_login"), "2024-08-18T10:30:00Z")
        assert "555-1111" in edit(store, number, seen=seen, phone="555-1111")

    def test_a_field_that_another_tool_broke_is_mended(self, store: Redis) -> None:
        store.rpush(keys.customer_field("CUST001", "address"), "a", "list")
        store.set(keys.customer_field("CUST001", "profile"), "John")
        assert customers.get(store, "CUST001").problems
        edit(store, "CUST001", address="1 Elm St, Austin TX 78701")
        assert not customers.get(store, "CUST001").problems

    def test_another_agent_moves_them_in_the_list(self, store: Redis) -> None:
        number = create()
        edit(store, number, preferred_agent="AG002")
        assert (listed(store, Filter(agent="AG001")), listed(store, Filter(agent="AG002"))) == ([], [number])


class TestList:
    def test_pages_are_in_the_order_of_numbers_and_cost_the_same_everywhere(self, store: Redis) -> None:
        made = [create() for _ in range(7)]
        first = customers.listing(store, Filter(), size=3)
        second = customers.listing(store, Filter(), size=3, cursor=first.next)
        assert [row.id for row in (*first.rows, *second.rows)] == made[:6]
        assert (first.total, second.first) == (7, 4)
        down = customers.listing(store, Filter(), size=3, descending=True)
        assert [row.id for row in down.rows] == made[:-4:-1]

    def test_by_name_the_last_name_leads_and_who_has_none_comes_last(self, store: Redis) -> None:
        names = ("Ana Ruiz", "Émile Zola", "Zoe Adams", "Ben Adams", "王 小明", "Ana Rueda", "Madonna")
        made = {name: create(name=name) for name in names}
        store.set(keys.customer_field("CUST900", "address"), "1 Elm St, Austin TX 78701")
        areas.refresh(store, "customers", ["CUST900"])
        wanted = ["Ben Adams", "Zoe Adams", "Madonna", "Ana Rueda", "Ana Ruiz", "Émile Zola", "王 小明"]
        found = [row.id for row in customers.listing(store, Filter(), sort="name").rows]
        assert found == [*(made[name] for name in wanted), "CUST900"]

    def test_hundreds_of_one_name_are_paged_through_each_once(self, store: Redis) -> None:
        for number in range(150):
            store.set(keys.customer_field(f"CUST{number:03}", "profile"), "John Smith")
        areas.refresh(store, "customers", [f"CUST{number:03}" for number in range(150)])
        found = [each.id for each in customers.every(store, Filter(), sort="name")]
        pages, cursor = [], None
        while (page := customers.listing(store, Filter(), sort="name", size=20, cursor=cursor)).rows:
            pages += [row.id for row in page.rows]
            cursor = page.next
            if cursor is None:
                break
        assert found == pages == [f"CUST{number:03}" for number in range(150)]

    @pytest.mark.parametrize("by", ["a policy", "another tool", "a repair"])
    def test_by_total_premium_follows_whoever_changes_it(self, store: Redis, by: str) -> None:
        one, two, three = create(), create(), create()
        book.policy(customer=one, premium="500")
        number = book.policy(customer=two, premium="1200.50")
        if by == "a policy":
            policies.edit("auto", number, {"premium": "400"}, seen=policies.get(store, "auto", number).seen, by="AG001")
        else:
            store.set(keys.customer_field(two, "total_premium"), "400")
            areas.refresh(store, "customers", [two])
        wanted = [one, two, three]
        if by == "a repair":
            drift.repair(two, by="AG001")
            wanted = [two, one, three]
        for agent in (None, "AG001"):
            rows = customers.listing(store, Filter(agent=agent), sort="premium", descending=True).rows
            assert [row.id for row in rows] == wanted

    def test_amounts_of_any_size_and_none_have_their_place(self, store: Redis) -> None:
        totals = {"CUST001": "999999999", "CUST002": "0", "CUST003": "-5", "CUST004": "oops", "CUST005": "0.01"}
        for number, total in totals.items():
            store.set(keys.customer_field(number, "total_premium"), total)
        areas.refresh(store, "customers", [*totals])
        found = [row.id for row in customers.listing(store, Filter(), sort="premium").rows]
        assert (found[0], found[-2:]) == ("CUST004", ["CUST005", "CUST001"])

    def test_those_who_are_gone_are_taken_out_as_they_are_met(self, store: Redis) -> None:
        made = [create() for _ in range(4)]
        store.delete(*keys.customer_keys(made[1]))
        assert listed(store) == [made[0], *made[2:]]
        assert customers.total(store, Filter()) == 3

    def test_those_of_whom_nothing_is_left_are_taken_out_though_they_drifted(self, store: Redis) -> None:
        number = book.policy(customer="CUST050")
        store.set(keys.customer_field("CUST050", "policies"), "")
        areas.refresh(store, "customers", ["CUST050"])
        store.delete(*keys.customer_keys("CUST050"), *keys.policy_keys("auto", number))
        store.srem("customer:multi_policy", "CUST050")
        areas.refresh(store, "policies", [f"auto:{number}"])
        assert listed(store) == []

    def test_a_customer_known_by_their_first_policy_is_listed(self, store: Redis) -> None:
        book.policy(customer="CUST050")
        assert listed(store) == ["CUST050"]


class TestDossier:
    def test_trap_8_a_number_with_a_quote_and_no_profile_is_known(self, store: Redis) -> None:
        book.quote(customer="CUST010")
        assert dossier.known(store, "CUST010") and not dossier.known(store, "CUST011")
        found = dossier.of(store, Scope(), "CUST010")
        assert not found.customer.known and len(found.quotes.rows) == 1

    def test_only_what_this_person_may_see_is_in_it(self, store: Redis) -> None:
        agents.save(store, {"AG001": "dallas", "AG002": "houston"})
        mine, theirs = book.policy(), book.policy(agent="AG002")
        book.quote(customer="CUST001", agent="AG002")
        found = dossier.of(store, Scope(frozenset({"dallas"})), "CUST001")
        assert [each.number for each in found.policies] == [mine]
        assert (found.hidden, len(found.drift.held), found.quotes.total) == (1, 2, 0)
        assert theirs not in " ".join(each.what + each.text for each in found.timeline)

    def test_the_timeline_tells_everything_newest_first(self, store: Redis) -> None:
        number = create(customer_since="2018-05-20")
        policy = book.policy(customer=number)
        book.quote(customer=number)
        store.set(keys.payment_audit("TXN001"), f"Customer: {number} | Amount: 1200 | Date: 2024-08-18")
        areas.refresh(store, "payments", ["TXN001"])
        found = dossier.of(store, Scope(), number)
        kinds = [each.kind for each in found.timeline]
        assert {"customer", "policy", "quote", "payment"} <= set(kinds)
        assert found.timeline[-1].text == "A customer since this day."
        assert [each.at for each in found.timeline] == sorted((each.at for each in found.timeline), reverse=True)
        assert any(policy in each.what for each in found.timeline)

    def test_who_looked_at_them_is_not_part_of_it(self, store: Redis) -> None:
        number = create()
        key = keys.access_audit(number, "20240818")
        store.set(key, "Viewed by AG001 at 2024-08-18T10:30:00Z")
        audit.note(store, key, keys.parse(key))  # type: ignore[arg-type]
        found = dossier.of(store, Scope(), number)
        assert not any("Viewed" in each.text for each in found.timeline)

    @pytest.mark.parametrize(
        "text",
        ["Customer: CUST001", "Customer: CUST001 | Amount: a lot | Date: soon", "Customer:CUST001|Date:0001-01-01"],
    )
    def test_a_payment_that_tells_little_breaks_nothing(self, store: Redis, text: str) -> None:
        store.set(keys.payment_audit("TXN9"), text)
        areas.refresh(store, "payments", ["TXN9"])
        assert [each.transaction for each in payments.of_customer(store, "CUST001").rows] == ["TXN9"]
        dossier.of(store, Scope(), "CUST001")


def test_policies_of_a_customer_are_those_the_index_has(store: Redis) -> None:
    one, two = book.policy(), book.policy("home")
    assert policies.of_customer(store, "CUST001") == [f"auto:{one}", f"home:{two}"]
