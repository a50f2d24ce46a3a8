"""Customers: the list, the whole of one, a new one, changes, moves, repairs, places, groups, and the box that finds all."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from redis import Redis

from dashboard import accounts, keys
from dashboard.repository import areas, audit, customers, dossier
from dashboard.repository.reindex import reconcile
from tests import book, cast

PAGES = (
    "/customers/", "/customers/?q=john", "/customers/CUST001/", "/locations/", "/locations/dallas/75201/", "/segments/",
    "/segments/segment/high_risk/",
)  # fmt: skip
TYPED = {
    "name": "Ana Ruiz", "born": "1990-02-03", "phone": "555-0200", "email": "ana@example.com",
    "address": "1 Elm St, Austin TX 78701", "customer_since": "2024-01-01", "risk_score": "700", "credit_score": "",
    "communication_preference": "sms", "marketing_opt_in": "no", "payment_method": "INVOICE",
    "preferred_agent": "AG001",
}  # fmt: skip


@pytest.fixture
def john(store: Redis) -> str:
    """The document's first customer with the document's contradiction, as other tools write them."""
    store.mset(
        {
            "customer:CUST001:profile": "John Smith|DOB:1985-03-15|Phone:555-0123|Email:john.smith@email.com",
            "customer:CUST001:address": "456 Oak St, Dallas TX 75201", "customer:CUST001:risk_score": "750",
            "customer:CUST001:credit_score": "720", "customer:CUST001:customer_since": "2018-05-20",
            "customer:CUST001:communication_preference": "email", "customer:CUST001:marketing_opt_in": "yes",
            "customer:CUST001:preferred_agent": "AG001", "customer:CUST001:payment_method": "AUTO_PAY",
            "customer:CUST001:policies": "auto:100001,home:200001", "customer:CUST001:policy_count": "2",
            "customer:CUST001:total_premium": "2000", "customer:CUST001:last_login": "2024-08-18T10:30:00Z",
            "customer:CUST001:login_count": "147", "customer:CUST001:last_payment": "2024-08-01T15:30:00Z",
            "policy:auto:100001:details": "2020 Toyota Camry LE - John Smith - $1,200 premium",
            "policy:auto:100001:status": "ACTIVE", "policy:auto:100001:premium": "1200",
            "policy:auto:100001:customer": "CUST001", "policy:auto:100001:agent": "AG001",
            "policy:auto:100001:vehicle_vin": "1HGBH41JXMN109186",
            "policy:home:200001:status": "ACTIVE", "policy:home:200001:premium": "800",
            "policy:home:200001:customer": "CUST002",
            "policy:home:200001:property_address": "123 Main St, Dallas TX 75201",
            "location:dallas:75201:policies": "home:200001,auto:100001", "location:dallas:75201:risk_score": "750",
            "audit:payment:transaction:TXN001": "Customer: CUST001 | Amount: 1200 | Date: 2024-08-18",
        }
    )  # fmt: skip
    store.sadd("segment:high_risk", "CUST001", "CUST003", "CUST007")
    store.sadd("tier:platinum", "CUST001", "CUST005")
    store.sadd("customer:multi_policy", "CUST001")
    store.set("session:customer:CUST001:portal", "authenticated|login_time:2024-08-18T10:30:00Z|ip:1.2.3.4", ex=1800)
    store.set("quote:auto:Q001", "Honda Civic 2023 - Customer: CUST001 - Premium: $950/year", ex=300)
    store.set("claim:temp:CLM003", "Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500", ex=9_999)
    store.set("claim:temp:CLM003:reporter", "CUST001", ex=9_999)
    reconcile(store, thorough=True)
    return "CUST001"


def shown(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, response.content.decode()
    return response.content.decode().replace("<wbr>", "")


def rows(page: str) -> list[str]:
    return re.findall(r'<tr id="k-(\S+?)"', page)


def file(client: Client, path: str) -> list[str]:
    """The lines of a file without its head."""
    return b"".join(client.get(path).streaming_content).decode().splitlines()[1:]  # type: ignore[attr-defined]


class TestList:
    def test_everybody_sees_every_customer(
        self, agent_client: Client, second_agent_client: Client, admin_client: Client, john: str
    ) -> None:
        for client in (agent_client, second_agent_client, admin_client):
            assert rows(shown(client, "/customers/")) == [john, "CUST002"]

    @pytest.mark.parametrize("typed", ["john", "555", "john.smith@", "Dallas", "752", "cust0"])
    def test_the_search(self, agent_client: Client, john: str, typed: str) -> None:
        dossier.create({"name": "Ana Ruiz", "phone": "9"}, by="AG001")
        # CUST002 is known by a policy, CUST003 by a segment.
        wanted = [john, "CUST002", "CUST004"] if typed == "cust0" else [john]
        assert rows(shown(agent_client, f"/customers/?q={typed}")) == wanted

    @pytest.mark.parametrize("query", ["q=%00", "q=%ff", "at=%3C1~x", "order=%27", "agent=a%20b", "q=" + "x" * 900])
    def test_a_bad_parameter_is_clamped(self, agent_client: Client, john: str, query: str) -> None:
        shown(agent_client, f"/customers/?{query}")

    def test_csv_has_them_all_and_no_formula(self, agent_client: Client, store: Redis, john: str) -> None:
        store.set("customer:CUST666:profile", "=HYPERLINK(1)|Phone:1")
        areas.refresh(store, "customers", ["CUST666"])
        answer = agent_client.get("/customers/csv/")
        text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
        assert "CUST001,John Smith" in text and ",=HYPERLINK" not in text and len(text.splitlines()) == 4

    def test_csv_is_what_the_page_shows(self, agent_client: Client, store: Redis, john: str) -> None:
        """The search, or the filter, in the list's order."""
        store.set("customer:CUST002:profile", "Ana Ruiz")
        store.set("customer:CUST002:total_premium", "9000")
        areas.refresh(store, "customers", ["CUST002"])
        for query, wanted in (
            ("q=ruiz", ["CUST002"]), ("q=zzz", []), ("agent=AG001", [john]), ("q=ruiz&agent=AG001", ["CUST002"]),
            ("sort=premium&order=down", ["CUST002", john]), ("sort=name", ["CUST002", john]),
            ("sort=name&order=down", [john, "CUST002"]),
        ):  # fmt: skip
            page = shown(agent_client, f"/customers/?{query}")
            link = re.search(r'href="(/customers/csv/[^"]*)"', page)
            assert bool(link) == bool(wanted), query
            address = link[1].replace("&amp;", "&") if link else f"/customers/csv/?{query}"
            assert [line.partition(",")[0] for line in file(agent_client, address)] == wanted, query
            assert re.findall(r'id="k-(\w+)"', page) == wanted, query


class TestWhole:
    def test_every_fact_of_the_document_is_on_one_page(self, agent_client: Client, john: str) -> None:
        page = shown(agent_client, f"/customers/{john}/")
        for fact in (
            "John Smith", "1985-03-15", "555-0123", "john.smith@email.com", "456 Oak St, Dallas TX 75201", "750", "720",
            "2018-05-20", "Email", "Auto pay", "AG001", "2020 Toyota Camry LE", "$1,200", "Honda Civic 2023", "CLM003",
            "TXN001", "High risk", "Platinum", "147", "18 Aug 2024", "1 Aug 2024",
        ):  # fmt: skip
            assert fact in page, fact

    def test_everybody_sees_how_long_they_are_signed_in_and_admins_which_session_that_is(
        self, agent_client: Client, admin_client: Client, store: Redis, john: str
    ) -> None:
        page = shown(admin_client, f"/customers/{john}/")
        assert 'id="s-customer:CUST001:portal"' in page and "/sessions/revoke/" in page
        page = shown(agent_client, f"/customers/{john}/")
        assert 'id="s-1"' in page and "Portal" in page
        assert "CUST001:portal" not in page and "/sessions/" not in page
        store.delete("session:customer:CUST001:portal")
        assert "Not signed in now" in shown(agent_client, f"/customers/{john}/")

    def test_more_policies_than_are_shown_are_said_to_be(
        self, agent_client: Client, john: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        book.policy()
        assert "The first" not in shown(agent_client, f"/customers/{john}/")
        monkeypatch.setattr("dashboard.repository.dossier.MOST", 1)
        page = shown(agent_client, f"/customers/{john}/")
        assert "The first 1 of 2. The list has all of them." in page and page.count('id="p-auto-') == 1

    def test_an_admin_is_offered_no_changes(self, admin_client: Client, john: str) -> None:
        page = shown(admin_client, f"/customers/{john}/")
        assert "/edit/" not in page and "/repair/" not in page and "/move/" not in page

    def test_trap_8_a_customer_without_profile(self, agent_client: Client, store: Redis) -> None:
        book.quote(customer="CUST010")
        assert "No profile is on file" in shown(agent_client, "/customers/CUST010/")

    @pytest.mark.parametrize("number", ["CUST999", "multi_policy", "a:b", "%2A", "%00", "x" * 300])
    def test_strangers_are_not_found(self, agent_client: Client, number: str) -> None:
        shown(agent_client, f"/customers/{number}/", 404)

    def test_a_policy_of_nobody_who_could_be_breaks_no_page(self, agent_client: Client, store: Redis) -> None:
        """A reserved word in a customer's place, as another tool may write it (trap 2)."""
        number = book.policy()
        store.set(f"policy:auto:{number}:customer", "multi_policy")
        reconcile(store, thorough=True)
        for path in ("/policies/", f"/policies/auto/{number}/", "/customers/", "/go/?q=1hgb", f"/search/?q={number}"):
            assert agent_client.get(path).status_code in (200, 302, 404)
        shown(agent_client, "/go/?q=multi_policy", 404)

    def test_what_is_broken_is_named_and_the_page_stands(self, agent_client: Client, store: Redis, john: str) -> None:
        store.set("customer:CUST001:last_login", "yesterday")
        store.set("customer:CUST001:customer_since", "0001-01-01")
        store.set("customer:CUST001:total_premium", "a lot")
        store.delete("customer:CUST001:address")
        store.rpush("customer:CUST001:address", "a list")
        store.delete("segment:high_risk")
        store.set("segment:high_risk", "CUST001")
        page = shown(agent_client, f"/customers/{john}/")
        for words in ("is not a point in time", "is not an amount", "holds a list, not a text"):
            assert words in page
        for path in PAGES:
            shown(agent_client, path)


class TestNewAndEdit:
    def test_creates_one_however_often_it_is_sent(self, agent_client: Client, store: Redis) -> None:
        sent = [agent_client.post("/customers/new/", {**TYPED, "token": "n"}) for _ in range(3)]
        assert {answer.headers["Location"] for answer in sent} == {"/customers/CUST001/"}
        assert store.get("customer:CUST001:profile") == "Ana Ruiz|DOB:1990-02-03|Phone:555-0200|Email:ana@example.com"
        assert store.exists("customer:CUST001:credit_score") == 0 and not store.exists("customer:CUST002:profile")

    def test_errors_keep_what_was_typed(self, agent_client: Client, store: Redis) -> None:
        page = agent_client.post("/customers/new/", {**TYPED, "name": "a|b", "email": "no"}).content.decode()
        assert 'id="id_name_error"' in page and 'value="a|b"' in page and 'id="id_email_error"' in page
        assert not store.keys("customer:*")

    def form(self, client: Client, number: str) -> dict[str, str]:
        page = shown(client, f"/customers/{number}/edit/")
        fields = dict(re.findall(r'<input type="\w+" name="(\w+)" value="([^"]*)"', page))
        chosen = dict(re.findall(r'<select name="(\w+)".*?<option value="([^"]*)" selected', page, re.DOTALL))
        return fields | chosen

    def test_an_edit_that_changes_nothing_changes_nothing(self, agent_client: Client, store: Redis, john: str) -> None:
        before = {key: store.get(key) for key in keys.customer_keys(john)}
        assert agent_client.post(f"/customers/{john}/edit/", self.form(agent_client, john)).status_code == 302
        assert {key: store.get(key) for key in keys.customer_keys(john)} == before

    def test_preferences_are_changed(self, agent_client: Client, store: Redis, john: str) -> None:
        typed = {**self.form(agent_client, john), "communication_preference": "sms", "marketing_opt_in": "no"}
        agent_client.post(f"/customers/{john}/edit/", typed)
        assert store.mget("customer:CUST001:communication_preference", "customer:CUST001:marketing_opt_in") == [
            "sms",
            "no",
        ]
        assert "Marketing opt in updated from yes to no by AG001" in shown(agent_client, f"/customers/{john}/")

    def test_what_other_tools_wrote_in_a_form_of_their_own_stays(self, agent_client: Client, store: Redis) -> None:
        store.set("customer:CUST001:profile", "John|DOB:March 1985|Email:none")
        store.set("customer:CUST001:payment_method", "BARTER")
        typed = {**self.form(agent_client, "CUST001"), "phone": "1"}
        assert agent_client.post("/customers/CUST001/edit/", typed).status_code == 302
        assert store.get("customer:CUST001:profile") == "John|DOB:March 1985|Phone:1|Email:none"
        assert store.get("customer:CUST001:payment_method") == "BARTER"

    def test_a_colleagues_change_in_between_is_told_and_nothing_typed_is_lost(
        self, agent_client: Client, supervisor_client: Client, store: Redis, john: str
    ) -> None:
        mine, theirs = self.form(agent_client, john), self.form(supervisor_client, john)
        supervisor_client.post(f"/customers/{john}/edit/", {**theirs, "phone": "1"})
        page = agent_client.post(f"/customers/{john}/edit/", {**mine, "phone": "2"}).content.decode()
        assert (
            "Somebody changed this customer" in page and "Phone is now 1; you have 2." in page and 'value="2"' in page
        )

    def test_roles(self, admin_client: Client, john: str) -> None:
        for path in ("/customers/new/", f"/customers/{john}/edit/"):
            assert admin_client.get(path).status_code == admin_client.post(path, TYPED).status_code == 403


class TestVerbs:
    verbs = (
        "/customers/CUST001/move/segment/", "/customers/CUST001/repair/", "/locations/dallas/75201/repair/",
        "/customers/CUST001/move/segment/undo/",
    )  # fmt: skip

    @pytest.mark.parametrize("path", verbs)
    def test_roles_and_get(self, agent_client: Client, admin_client: Client, john: str, path: str) -> None:
        assert agent_client.get(path).status_code == 405
        assert admin_client.post(path).status_code == 403

    def test_a_move(self, agent_client: Client, store: Redis, john: str) -> None:
        sent = {
            "segment": "low_risk",
            "seen_segment": "high_risk",
            "tier": "gold",
            "seen_tier": "platinum",
            "token": "t",
        }
        for _ in range(2):
            assert agent_client.post(self.verbs[0], sent).status_code == 302
        assert store.smembers("segment:low_risk") == {john} and store.sismember("tier:platinum", john)
        assert "Segment changed from high risk to low risk by AG001" in shown(agent_client, f"/customers/{john}/")

    def test_a_move_is_taken_back_from_the_page(self, agent_client: Client, store: Redis, john: str) -> None:
        sent = {"segment": "low_risk", "seen_segment": "high_risk", "token": "m"}
        agent_client.post(f"/customers/{john}/move/segment/", sent)
        page = shown(agent_client, f"/customers/{john}/")
        assert "Segment moved from high risk to low risk by AG001" in page
        of = re.search(r'name="of" value="(\w+)"', page)
        assert of
        for _ in range(2):
            agent_client.post(f"/customers/{john}/move/segment/undo/", {"of": of[1], "token": "u"})
            assert store.sismember("segment:high_risk", john) and not store.sismember("segment:low_risk", john)
        page = shown(agent_client, f"/customers/{john}/")
        assert "/undo/" not in page and "changed back from low risk to high risk by AG001" in page
        again = agent_client.post(f"/customers/{john}/move/segment/undo/", {"of": of[1]}, follow=True)
        assert "There is nothing to undo" in again.content.decode()
        assert agent_client.post(f"/customers/{john}/move/nonsense/undo/", {"of": "x"}).status_code == 302

    def test_an_admin_is_offered_no_undo(self, agent_client: Client, admin_client: Client, john: str) -> None:
        agent_client.post(f"/customers/{john}/move/segment/", {"segment": "low_risk", "seen_segment": "high_risk"})
        assert "/undo/" not in shown(admin_client, f"/customers/{john}/")

    def test_a_repair(self, agent_client: Client, store: Redis, john: str) -> None:
        page = shown(agent_client, f"/customers/{john}/")
        assert "home:200001 stands in the stored list, but belongs to CUST002." in page
        for _ in range(2):
            assert agent_client.post(self.verbs[1], {"token": "r"}).status_code == 302
        assert store.get("customer:CUST001:policies") == "auto:100001"
        page = shown(agent_client, f"/customers/{john}/")
        assert "Relations repaired by AG001" in page and "disagree" not in page


class TestDriftList:
    def test_a_supervisor_sees_all_and_repairs(self, supervisor_client: Client, store: Redis, john: str) -> None:
        page = shown(supervisor_client, "/customers/drift/")
        assert 'id="d-CUST001"' in page and 'id="d-CUST002"' in page and "2 customers and 0 places" in page
        for customer in (john, "CUST002"):
            supervisor_client.post(f"/customers/{customer}/repair/", {"next": "/customers/drift/"})
        assert "Every customer agrees" in shown(supervisor_client, "/customers/drift/")

    def test_an_agent_may_not_and_an_admin_reads(self, agent_client: Client, admin_client: Client, john: str) -> None:
        shown(agent_client, "/customers/drift/", 403)
        assert "/repair/" not in shown(admin_client, "/customers/drift/")

    def test_all_places_are_paged_through_and_all_of_it_is_a_file(
        self, supervisor_client: Client, store: Redis, john: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dashboard.views.customers.PLACES", 1)
        for zip_code in ("75001", "75002", "75003"):
            store.set(f"location:dallas:{zip_code}:policies", "home:9")
        reconcile(store)
        page = shown(supervisor_client, "/customers/drift/")
        assert "The first 1 of 3" in page and 'href="/customers/drift/?of=places"' in page
        page = shown(supervisor_client, "/customers/drift/?of=places")
        assert page.count('id="l-dallas-') == 3 and "2 customers and 3 places" in page and 'id="d-CUST001"' not in page
        assert file(supervisor_client, "/customers/drift/csv/?of=places")[0] == (
            'dallas,75001,"home:9 stands in the list of Dallas 75001, but there is no such policy."'
        )
        lines = file(supervisor_client, "/customers/drift/csv/")
        assert "CUST001,John Smith,The stored count is 2; there are 1.,2,1,2000,1200" in lines
        assert {line.partition(",")[0] for line in lines} == {john, "CUST002"}
        record, *_ = audit.history(store, audit.SECURITY, "SUP001")
        assert record.text.startswith("Customers (contradictions) exported by SUP001")


class TestPlacesAndGroups:
    def test_their_lists_are_files_in_their_order(self, agent_client: Client, store: Redis, john: str) -> None:
        store.set("location:fort_worth:76109:risk_score", "900")
        areas.refresh(store, "places", ["fort_worth:76109"])
        both = ["76109,fort_worth,0,900", "75201,dallas,2,750"]
        assert file(agent_client, "/locations/csv/?sort=risk&order=down") == both
        assert file(agent_client, "/locations/csv/?city=Fort+Worth") == both[:1]
        assert file(agent_client, "/locations/csv/?city=752&sort=risk") == both[1:]
        page = shown(agent_client, "/locations/?city=752&sort=risk")
        assert "1 ZIP area begins with 752" in page and 'id="l-fort_worth' not in page and 'value="752"' in page
        lines = file(agent_client, "/segments/segment/high_risk/csv/")
        assert sorted(line.partition(",")[0] for line in lines) == [john, "CUST003", "CUST007"]
        shown(agent_client, "/segments/segment/none/csv/", 404)

    def test_a_place_shows_its_policies_and_risk(self, agent_client: Client, john: str) -> None:
        page = shown(agent_client, "/locations/dallas/75201/")
        assert "Risk score 750" in page and "100001" in page and "200001" in page

    def test_what_is_anothers_is_not_sent(self, second_agent_client: Client, john: str) -> None:
        assert "100001" not in shown(second_agent_client, "/locations/dallas/75201/")

    def test_nor_where_the_lists_disagree(
        self, agent_client: Client, second_agent_client: Client, store: Redis, john: str
    ) -> None:
        store.set("customer:CUST001:policies", "home:200001,auto:999,nonsense")
        store.set("policy:home:200001:agent", "AG001")
        store.set("policy:home:200001:property_address", "1 Elm St, Austin TX 78701")
        for path in (f"/customers/{john}/", "/locations/dallas/75201/"):
            assert "home:200001 stands in the" in shown(agent_client, path)
            page = shown(second_agent_client, path)
            assert "100001" not in page and "200001" not in page and "more" in page
        page = shown(second_agent_client, f"/customers/{john}/")
        assert "auto:999" in page and "nonsense" in page, "what is no policy at all is nobody's"

    def test_nor_in_the_records_of_their_repair(
        self, agent_client: Client, second_agent_client: Client, store: Redis, john: str
    ) -> None:
        store.set("customer:CUST001:policies", "home:200001")
        store.set("policy:home:200001:agent", "AG001")
        store.set("policy:home:200001:property_address", "1 Elm St, Austin TX 78701")
        for path in ("/locations/dallas/75201/", f"/customers/{john}/"):
            agent_client.post(f"{path}repair/")
            assert "home:200001 stands in the" in shown(agent_client, path)
            page = shown(second_agent_client, path)
            assert "repaired by AG001" in page and "another&#x27;s policy stands in the" in page
            assert "100001" not in page and "200001" not in page

    def test_no_place_that_can_be_none_is_repaired(self, agent_client: Client) -> None:
        answer = agent_client.post("/locations/{{7*7}}/null/repair/", follow=True)
        assert answer.status_code == 404

    @pytest.mark.parametrize(
        "path", ["/locations/nowhere/1/", "/locations/a:b/1/", "/segments/segment/none/", "/segments/x/y/"]
    )
    def test_what_is_none_is_not_found(self, agent_client: Client, path: str) -> None:
        shown(agent_client, path, 404)

    def test_sums_are_for_those_who_see_the_companys_figures(
        self, agent_client: Client, supervisor_client: Client, john: str
    ) -> None:
        assert "$2,000" in shown(supervisor_client, "/segments/")
        assert "$2,000" not in shown(agent_client, "/segments/")

    def test_a_group_whose_key_another_tool_broke_is_said_to_be(
        self, supervisor_client: Client, store: Redis, john: str
    ) -> None:
        store.set("tier:silver", "nobody")
        for path in ("/segments/", "/segments/tier/silver/"):
            assert "holds no set" in shown(supervisor_client, path)

    @pytest.mark.parametrize("at", ["x", "-1", "9" * 30, "123"])
    def test_members(self, agent_client: Client, john: str, at: str) -> None:
        assert set(rows(shown(agent_client, "/segments/segment/high_risk/"))) == {john, "CUST003", "CUST007"}
        shown(agent_client, f"/segments/segment/high_risk/?at={at}")


class TestBox:
    def suggested(self, client: Client, typed: str) -> str:
        response = client.get("/search/", {"q": typed}, headers={"HX-Request": "true"})
        assert response.status_code == 200
        return response.content.decode()

    def test_results_are_grouped_options_with_addresses(self, agent_client: Client, john: str) -> None:
        page = self.suggested(agent_client, "john")
        assert 'role="option"' in page and 'href="/customers/CUST001/"' in page and ">Customers<" in page
        page = self.suggested(agent_client, "752")
        assert ">Customers<" in page and ">Places<" in page

    def test_what_may_not_be_seen_is_not_sent(self, second_agent_client: Client, john: str) -> None:
        assert "100001" not in self.suggested(second_agent_client, "1000")
        assert "100001" not in self.suggested(second_agent_client, "1hgb")

    def test_enter_goes_to_the_one_and_shows_a_choice_of_many(
        self, agent_client: Client, store: Redis, john: str
    ) -> None:
        for typed in ("john", "CUST001", "cust001", "555-0123"):
            assert agent_client.get("/go/", {"q": typed}).headers["Location"] == "/customers/CUST001/"
        for typed in ("CUST002", "CUST003"):  # known by a policy, and by a segment
            assert agent_client.get("/go/", {"q": typed}).headers["Location"] == f"/customers/{typed}/"
            assert "No profile is on file" in shown(agent_client, f"/customers/{typed}/")
        store.set("customer:CUST002:profile", "Johanna Smith")
        areas.refresh(store, "customers", ["CUST002"])
        page = shown(agent_client, "/go/?q=smith")
        assert "2 found" in page and "/customers/CUST002/" in page
        assert "2 found" in shown(agent_client, "/search/?q=smith")  # without JavaScript
        assert "Nothing found" in shown(agent_client, "/go/?q=zzz", 404)

    def test_strangers_sign_in_first(self, anonymous_client: Client) -> None:
        assert anonymous_client.get("/search/?q=john").status_code in (302, 403)

    def test_the_box_is_on_the_page_with_its_list(self, agent_client: Client) -> None:
        page = shown(agent_client, "/")
        assert 'id="jump-list" role="listbox"' in page and 'action="/go/"' in page and "js/search" in page


@pytest.mark.parametrize("path", PAGES)
def test_each_page_answers_a_live_request_with_its_regions(agent_client: Client, john: str, path: str) -> None:
    answer = agent_client.get(path, headers={"HX-Request": "true"}).content.decode()
    assert "data-region" in answer and "<html" not in answer


class TestWhoLooked:
    def records(self, store: Redis, customer: str) -> list[str]:
        return [record.by for record in audit.history(store, audit.ACCESS, customer)]

    def test_the_page_and_the_form_write_the_access_log_once_for_each_person(
        self, agent_client: Client, second_agent_client: Client, store: Redis, john: str
    ) -> None:
        for path in (f"/customers/{john}/", f"/customers/{john}/edit/", f"/customers/{john}/"):
            shown(agent_client, path)
        assert self.records(store, john) == ["AG001"]
        shown(second_agent_client, f"/customers/{john}/edit/")
        assert sorted(self.records(store, john)) == ["AG001", "AG002"]

    @pytest.mark.parametrize("path", ["/customers/{john}/", "/policies/auto/{number}/", "/policies/?customer={john}"])
    def test_a_live_answer_that_was_made_for_another_is_a_look_too(
        self, agent_client: Client, demo: None, store: Redis, john: str, path: str
    ) -> None:
        address = path.format(john=john, number=book.policy(customer=john))
        accounts.sync_directory()
        for client in (agent_client, cast.signed_in(cast.SUPERVISOR), agent_client):
            assert client.get(address, headers={"HX-Request": "true"}).status_code == 200
        assert sorted(self.records(store, john)) == ["AG001", "SUP001"]

    def test_an_admin_who_looks_at_the_customers_keys_has_looked(
        self, admin_client: Client, store: Redis, john: str
    ) -> None:
        assert admin_client.get(f"/keys/key/?key=customer:{john}:profile").status_code == 200
        assert self.records(store, john) == ["ADM001"]

    def test_nobodys_policies_and_one_of_another_branch_are_no_looks(
        self, second_agent_client: Client, demo: None, store: Redis, john: str
    ) -> None:
        accounts.sync_directory()
        hidden = book.policy(customer=john, agent="AG001")
        assert second_agent_client.get(f"/policies/auto/{hidden}/").status_code == 404
        assert second_agent_client.get("/policies/?customer=CUST999").status_code == 200
        assert store.keys("audit:access:*") == []

    @pytest.mark.parametrize(
        ("query", "words"),
        [("", "all of them"), ("?agent=AG002", "of AG002"), ("?q=john by EVE", "found by john by EVE")],
    )
    def test_who_takes_a_file_of_customers_is_on_record(
        self, agent_client: Client, store: Redis, john: str, query: str, words: str
    ) -> None:
        assert agent_client.get(f"/customers/csv/{query}").status_code == 200
        record = audit.history(store, audit.SECURITY, "AG001")[0]
        assert record.by == "AG001" and record.text.startswith(f"Customers ({words}) exported by AG001")

    def test_a_stranger_is_nobodys_look(self, agent_client: Client, store: Redis, demo: None) -> None:
        shown(agent_client, "/customers/CUST999/", 404)
        assert store.keys("audit:access:*") == []

    def test_it_is_one_command_where_it_was_noted_today(self, agent_client: Client, store: Redis, john: str) -> None:
        shown(agent_client, f"/customers/{john}/")
        before = store.info("commandstats").get("cmdstat_exists", {"calls": 0})["calls"]
        writes = store.info("commandstats")["cmdstat_exec"]["calls"]
        audit.looked(john, "AG001")
        after = store.info("commandstats")
        assert (after["cmdstat_exists"]["calls"] - before, after["cmdstat_exec"]["calls"] - writes) == (1, 0)

    def test_looks_do_not_push_changes_out_of_the_history(self, store: Redis, john: str, demo: None) -> None:
        dossier.edit(john, {**customers.facts_of(customers.get(store, john)), "risk_score": "760"},
                       seen=customers.get(store, john).seen, by="AG001")  # fmt: skip
        for number in range(120):
            audit.accessed(john, f"AG{number:03}")
        texts = [record.text for record in audit.history(store, audit.CUSTOMER, john)]
        assert texts and not any("Viewed" in text for text in texts)

    def test_the_list_is_for_those_who_review(
        self, agent_client: Client, supervisor_client: Client, admin_client: Client, john: str
    ) -> None:
        shown(agent_client, f"/customers/{john}/")
        looked = re.compile(
            r'<li id="l-audit:access:customer:CUST001:[^>]*>.*?<p class="two">Viewed by AG001</p>', re.DOTALL
        )
        for client in (supervisor_client, admin_client):
            assert looked.search(shown(client, f"/customers/{john}/"))
        page = shown(agent_client, f"/customers/{john}/")
        assert "audit:access" not in page and "Who looked" not in page
