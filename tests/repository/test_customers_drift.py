"""Where stored relations disagree with the policies' own fields: seen, found, repaired, never half."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from dashboard import keys
from dashboard.errors import Conflict, NotFound
from dashboard.repository import areas, audit, customers, drift, places, policies
from dashboard.repository.customers import Filter
from dashboard.repository.reindex import reconcile
from dashboard.repository.values import comma_list
from tests import book


def document(store: Redis) -> None:
    """As the document writes it: CUST001 lists a policy of CUST002 (lines 8 to 61)."""
    store.mset(
        {
            "policy:auto:100001:status": "ACTIVE", "policy:auto:100001:premium": "1200",
            "policy:auto:100001:customer": "CUST001", "policy:home:200001:status": "ACTIVE",
            "policy:home:200001:premium": "800", "policy:home:200001:customer": "CUST002",
            "policy:home:200001:property_address": "123 Main St, Dallas TX 75201",
            "customer:CUST001:profile": "John Smith", "customer:CUST001:address": "456 Oak St, Dallas TX 75201",
            "customer:CUST001:policies": "auto:100001,home:200001", "customer:CUST001:policy_count": "2",
            "customer:CUST001:total_premium": "2000",
            "location:dallas:75201:policies": "home:200001,auto:100001", "location:dallas:75201:risk_score": "750",
        }
    )  # fmt: skip
    store.sadd("customer:multi_policy", "CUST001", "CUST002", "CUST005")
    reconcile(store, thorough=True)


def relations(store: Redis, customer: str = "CUST001") -> tuple[str | None, ...]:
    names = ("policies", "policy_count", "total_premium")
    return tuple(store.mget([keys.customer_field(customer, name) for name in names]))


def drifting(store: Redis) -> list[str]:
    return [each.customer.id for each in drift.listing(store).rows]


class TestSeen:
    def test_trap_7_the_documents_own_contradiction_in_words(self, store: Redis) -> None:
        document(store)
        found = drift.of(store, "CUST001")
        assert found.sentences == [
            "home:200001 stands in the stored list, but belongs to CUST002.",
            "The stored count is 2; there are 1.",
            "The stored total premium is $2,000; their policies add up to $1,200.",
            "They stand among customers with several policies, and should not.",
        ]
        assert drifting(store) == ["CUST001", "CUST002"]

    def test_who_is_known_by_a_policy_alone_stands_in_the_lists_until_nothing_names_them(self, store: Redis) -> None:
        """CUST002 of the document has a policy, and neither profile nor list, count or total (lines 22 and 59)."""
        document(store)
        assert customers.get(store, "CUST002").known is False
        for _ in range(2):  # being read takes nobody out
            assert [row.id for row in customers.listing(store, Filter()).rows] == ["CUST001", "CUST002"]
            assert drifting(store) == ["CUST001", "CUST002"]
        drift.repair("CUST002", by="SUP001")
        assert (relations(store, "CUST002"), drifting(store)) == (("home:200001", "1", "800"), ["CUST001"])
        store.delete(*keys.customer_keys("CUST002"), *keys.policy_keys("home", "200001"))
        areas.refresh(store, "policies", ["home:200001"])
        assert [row.id for row in customers.listing(store, Filter()).rows] == ["CUST001"]

    def test_relations_we_write_agree(self, store: Redis) -> None:
        book.policy(), book.policy("home", property_address="1 Elm St, Austin TX 78701")
        reconcile(store)
        assert not drift.of(store, "CUST001").any and drifting(store) == []

    def test_trap_13_a_premium_a_month_counts_twelve_times_a_year(self, store: Redis) -> None:
        """Other tools may write a life policy's premium a month alone, as the document does a quote's (line 99)."""
        store.mset({"policy:life:300001:customer": "CUST001", "policy:life:300001:premium_monthly": "45"})
        reconcile(store)
        assert drift.of(store, "CUST001").total == 540
        drift.repair("CUST001", by="SUP001")
        policies.edit("life", "300001", {"premium_monthly": "50", "premium": "600"},
                      seen=policies.get(store, "life", "300001").seen, by="AG001")  # fmt: skip
        assert relations(store) == ("life:300001", "1", "600") and not drift.of(store, "CUST001").any

    @pytest.mark.parametrize(
        "break_it",
        [
            lambda store: store.set("customer:CUST001:policies", ""),
            lambda store: store.set("customer:CUST001:policies", "auto:100001,auto:999"),
            lambda store: store.set("customer:CUST001:policy_count", "7"),
            lambda store: store.set("customer:CUST001:policy_count", "many"),
            lambda store: store.delete("customer:CUST001:total_premium"),
            lambda store: store.set("customer:CUST001:total_premium", "oops"),
            lambda store: store.sadd("customer:multi_policy", "CUST001"),
            lambda store: store.set("policy:auto:100001:premium", "1350"),
            lambda store: store.set("policy:auto:100001:customer", "CUST002"),
        ],
    )
    def test_each_way_to_disagree_is_found_and_repaired(
        self, store: Redis, break_it: Callable[[Redis], object]
    ) -> None:
        book.policy()
        break_it(store)
        reconcile(store)
        assert "CUST001" in drifting(store)
        drift.repair("CUST001", by="SUP001")
        assert not drift.of(store, "CUST001").any and "CUST001" not in drifting(store)

    def test_a_list_that_agrees_by_now_leaves_the_supervisors_list_as_it_is_read(self, store: Redis) -> None:
        document(store)
        store.mset({"customer:CUST001:policies": "auto:100001", "customer:CUST001:policy_count": "1"})
        store.set("customer:CUST001:total_premium", "1200")
        store.srem("customer:multi_policy", "CUST001")
        assert customers.total(store, Filter(drifted=True)) == 2
        assert drifting(store) == ["CUST002"]
        assert customers.total(store, Filter(drifted=True)) == 1

    def test_what_other_tools_broke_breaks_nothing(self, store: Redis) -> None:
        document(store)
        for name in ("policies", "policy_count", "total_premium"):
            store.delete(f"customer:CUST001:{name}")
            store.rpush(f"customer:CUST001:{name}", "a list")
        store.delete("location:dallas:75201:policies")
        store.sadd("location:dallas:75201:policies", "a set")
        reconcile(store, thorough=True)
        assert drifting(store) == ["CUST001", "CUST002"]
        drift.repair("CUST001", by="SUP001")
        assert relations(store) == ("auto:100001", "1", "1200")


class TestRepair:
    def test_the_policies_own_fields_win_and_what_was_there_is_on_record(self, store: Redis) -> None:
        document(store)
        assert drift.repair("CUST001", by="SUP001") == "Put right: 4 contradictions."
        assert relations(store) == ("auto:100001", "1", "1200")
        assert not store.sismember("customer:multi_policy", "CUST001")
        text = audit.history(store, audit.CUSTOMER, "CUST001")[0].text
        assert text.startswith("Relations repaired by SUP001. Before: home:200001 stands in the stored list")
        assert drifting(store) == ["CUST002"]

    def test_once_is_enough(self, store: Redis) -> None:
        document(store)
        assert drift.repair("CUST001", by="SUP001", token="r") == drift.repair("CUST001", by="SUP001", token="r")
        with pytest.raises(Conflict, match="Nothing disagrees"):
            drift.repair("CUST001", by="SUP001", token="another")
        assert len(audit.history(store, audit.CUSTOMER, "CUST001")) == 1

    def test_it_meets_a_new_policy_and_neither_is_lost(self, store: Redis) -> None:
        """Trap 11: whatever their order, the list has what the policies say."""
        for round_ in range(30):
            customer = f"CUST{round_}"
            book.policy(customer=customer)
            store.set(keys.customer_field(customer, "policies"), "")
            barrier = threading.Barrier(2)

            def repair(customer: str = customer, barrier: threading.Barrier = barrier) -> None:
                barrier.wait(10)
                drift.repair(customer, by="SUP001")

            def sell(customer: str = customer, barrier: threading.Barrier = barrier) -> None:
                barrier.wait(10)
                book.policy(customer=customer)

            with ThreadPoolExecutor(2) as pool:
                for done in [pool.submit(repair), pool.submit(sell)]:
                    done.result()
            listed, count, total = relations(store, customer)
            assert (len(comma_list(listed)), count, total) == (2, "2", "2400")

    def test_trap_11_the_plain_way_loses_it_beside(self, store: Redis) -> None:
        book.policy()
        held = drift.of(store, "CUST001").held
        book.policy()  # meanwhile
        store.set("customer:CUST001:policies", ",".join(held))
        assert drift.of(store, "CUST001").missing


class TestPlaces:
    home = "123 Main St, Dallas TX 75201"

    def test_a_list_that_lacks_a_home_is_found_by_customer_and_by_place(self, store: Redis) -> None:
        number = book.policy("home", property_address=self.home)
        store.set("location:dallas:75201:policies", "")
        reconcile(store)
        assert [each.policy for each in drift.of(store, "CUST001").misplaced] == [f"home:{number}"]
        ((where, wrong),) = places.drifting(store).rows
        assert (where.id, [each.lacking for each in wrong]) == ("dallas:75201", [True])
        places.repair("dallas", "75201", by="SUP001")
        assert store.get("location:dallas:75201:policies") == f"home:{number}"
        assert not places.drifting(store).rows
        assert "List repaired by SUP001" in audit.history(store, audit.PLACE, "dallas", "75201")[0].text

    @pytest.mark.parametrize("thorough", [False, True])
    def test_a_place_of_which_nothing_is_stored_is_found_by_the_home_that_stands_there(
        self, store: Redis, thorough: bool
    ) -> None:
        number = book.policy("home", property_address=self.home)
        store.delete("location:dallas:75201:policies")
        areas.refresh(store, "places", ["dallas:75201"])
        for _ in range(2):  # being read takes no place out, nor does the slow look
            assert [each.id for each in places.listing(store, places.Filter()).rows] == ["dallas:75201"]
            assert [each.id for each, _ in places.drifting(store).rows] == ["dallas:75201"]
            reconcile(store, thorough=thorough)
        assert places.get(store, "dallas", "75201").listed == ()
        places.repair("dallas", "75201", by="SUP001")
        assert store.get("location:dallas:75201:policies") == f"home:{number}"
        assert not places.drifting(store).rows
        store.delete("location:dallas:75201:policies", *keys.policy_keys("home", number))
        assert not places.listing(store, places.Filter()).rows
        with pytest.raises(NotFound):
            places.get(store, "dallas", "75201")

    @pytest.mark.parametrize("thorough", [False, True])
    def test_the_slow_look_finds_whom_and_where_a_policy_names(self, store: Redis, thorough: bool) -> None:
        """Though the index has the policy, and neither its customer nor its place."""
        number = book.policy("home", customer="CUST050", property_address=self.home)
        store.delete("location:dallas:75201:policies", *keys.customer_keys("CUST050"))
        for index, member in ((customers.INDEX, "CUST050"), (places.INDEX, "dallas:75201")):
            index.settle(store, {member: None})
        reconcile(store, thorough=thorough)
        assert drifting(store) == ["CUST050"]
        assert [wrong[0].policy for _, wrong in places.drifting(store).rows] == [f"home:{number}"]

    def test_a_policy_that_stands_elsewhere_or_is_gone_is_taken_out(self, store: Redis) -> None:
        number = book.policy("home", property_address="1 Elm St, Austin TX 78701")
        store.set("location:dallas:75201:policies", f"home:{number},home:999")
        reconcile(store)
        sentences = [each.sentence for each in places.compare(store, places.get(store, "dallas", "75201"))]
        assert sentences == [
            f"home:{number} stands in the list of Dallas 75201, but it stands elsewhere.",
            "home:999 stands in the list of Dallas 75201, but there is no such policy.",
        ]
        places.repair("dallas", "75201", by="SUP001")
        assert store.get("location:dallas:75201:policies") == ""

    def test_a_car_may_stand_where_its_owner_lives(self, store: Redis) -> None:
        """The document lists auto:100001 in 75201, where CUST001 lives."""
        document(store)
        assert not places.drifting(store).rows

    def test_repairing_a_customer_mends_their_places_too(self, store: Redis) -> None:
        number = book.policy("home", property_address=self.home)
        store.set("location:dallas:75201:policies", "home:1")
        drift.repair("CUST001", by="SUP001")
        assert store.get("location:dallas:75201:policies") == f"home:1,home:{number}"

    def test_lists_by_zip_and_by_risk(self, store: Redis) -> None:
        for city, zip_code, risk in (
            ("dallas", "75201", "750"),
            ("dallas", "75204", "690"),
            ("austin", "78701", "900"),
        ):
            store.set(keys.location_risk(city, zip_code), risk)
        reconcile(store)
        assert [each.zip for each in places.listing(store, places.Filter()).rows] == ["75201", "75204", "78701"]
        assert places.listing(store, places.Filter(), sort="risk", descending=True).rows[0].zip == "78701"
        assert [each.zip for each in places.listing(store, places.Filter(city="dallas")).rows] == ["75201", "75204"]
        for begun, wanted in (("752", ["75201", "75204"]), ("75204", ["75204"]), ("7", ["75201", "75204", "78701"])):
            found = places.listing(store, places.Filter(zip=begun), sort="risk")
            assert ([each.zip for each in found.rows], found.total) == (wanted, len(wanted))
        assert not places.listing(store, places.Filter(zip="0752")).rows


def test_a_premium_that_another_tool_wrote_is_compared_at_once(store: Redis) -> None:
    """What the follower does when it hears of a policy."""
    number = book.policy()
    store.set(keys.policy_field("auto", number, "premium"), "1")
    areas.compare(store, [f"auto:{number}"])
    assert drifting(store) == ["CUST001"]
