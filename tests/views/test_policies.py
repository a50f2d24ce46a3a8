"""The list of policies, one policy, a new one, and changes to one."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from tests import book


def shown(client: Client, path: str = "/policies/") -> str:
    response = client.get(path)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode().replace("<wbr>", "")


def rows(page: str) -> list[str]:
    return re.findall(r'<tr id="p-(\S+?)"', page)


def next_page(page: str) -> str:
    found = re.search(r'rel="next" href="([^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else ""


class TestList:
    def test_filters(self, supervisor_client: Client) -> None:
        soon = (clock.today() + timedelta(days=5)).isoformat()
        one = book.policy(
            "home", status="CANCELLED", agent="AG003", customer="CUST007", property_address="1 Elm St, Austin TX 78701"
        )
        two = book.policy(expiration_date=soon)
        three = book.policy("life", expiration_date=(clock.today() - timedelta(days=1)).isoformat())
        for query, wanted in {
            "product=home": [f"home-{one}"],
            "status=CANCELLED": [f"home-{one}"],
            "agent=AG003": [f"home-{one}"],
            "customer=CUST007": [f"home-{one}"],
            "zip=78701": [f"home-{one}"],
            "zip=78701&agent=AG003&status=CANCELLED": [f"home-{one}"],
            "within=7": [f"auto-{two}"],
            "within=-1": [f"life-{three}"],
            "sort=expiry": [f"life-{three}", f"auto-{two}", f"home-{one}"],
            "sort=expiry&order=down": [f"home-{one}", f"auto-{two}", f"life-{three}"],
            "order=down": [f"life-{three}", f"home-{one}", f"auto-{two}"],
        }.items():
            assert rows(shown(supervisor_client, f"/policies/?{query}")) == wanted, query

    def test_pages_hold_fifty_and_say_which_of_how_many(self, supervisor_client: Client) -> None:
        made = [book.policy() for _ in range(51)]
        first = shown(supervisor_client)
        assert len(rows(first)) == 50 and "1–50 of 51" in first
        second = shown(supervisor_client, next_page(first))
        assert rows(second) == [f"auto-{made[-1]}"] and "51–51 of 51" in second

    @pytest.mark.parametrize(
        "query", ["within=-99999", "within=x", "zip=1", "status=NONE", "sort=%27", "at=%3C1~auto:1"]
    )
    def test_a_bad_parameter_is_clamped(self, agent_client: Client, query: str) -> None:
        book.policy()
        shown(agent_client, f"/policies/?{query}")

    def test_an_agent_sees_their_branches_and_products(self, second_agent_client: Client) -> None:
        book.policy(agent="AG001")
        book.policy("life", agent="AG002")
        own, nobodys = book.policy(agent="AG002"), book.policy(agent="")
        page = shown(second_agent_client)
        assert set(rows(page)) == {f"auto-{own}", f"auto-{nobodys}"} and "2 on the books" in page

    def test_active_after_its_end_reads_expired(self, agent_client: Client) -> None:
        """Trap 9."""
        book.policy(expiration_date=(clock.today() - timedelta(days=1)).isoformat())
        page = shown(agent_client)
        assert "Expired" in page and "stored active" in page

    def test_a_broken_policy_shows_what_is_wrong_and_the_page_stands(self, agent_client: Client, store: Redis) -> None:
        fine, broken = book.policy(), book.policy()
        store.set(keys.policy_field("auto", broken, "premium"), "a lot")
        store.set(keys.policy_field("auto", broken, "expiration_date"), "soon")
        store.delete(keys.policy_field("auto", broken, "details"))
        store.sadd(keys.policy_field("auto", broken, "details"), "x")
        page = shown(agent_client)
        assert set(rows(page)) == {f"auto-{fine}", f"auto-{broken}"}
        for words in ("is not an amount", "is not a date", "holds a set, not a text"):
            assert words in page


class TestDetail:
    def test_shows_facts_customer_history_and_keys(self, agent_client: Client, store: Redis) -> None:
        store.set("customer:CUST001:profile", "John Smith|DOB:1985-03-15|Phone:555-0123|Email:john@example.com")
        number = book.policy(vehicle="2020 Toyota Camry LE", deductible="500")
        page = shown(agent_client, f"/policies/auto/{number}/")
        for words in (
            "2020 Toyota Camry LE",
            "John Smith",
            "555-0123",
            "Created by AG001",
            f"policy:auto:{number}:premium",
        ):
            assert words in page

    def test_a_policy_kept_as_a_hash_is_shown(self, agent_client: Client, store: Redis) -> None:
        """Trap 3."""
        store.hset("policy:auto:500", mapping={"status": "ACTIVE", "premium": "1200", "customer": "CUST001"})
        page = shown(agent_client, "/policies/auto/500/")
        assert "$1,200" in page and "hash" in page

    def test_the_documents_home_policy_without_agent_and_dates_is_shown(
        self, second_agent_client: Client, store: Redis
    ) -> None:
        """Trap 8; without an agent it is visible to every branch."""
        store.mset({"policy:home:200001:status": "ACTIVE", "policy:home:200001:premium": "800"})
        assert "$800" in shown(second_agent_client, "/policies/home/200001/")

    def test_strangers_get_not_found(self, second_agent_client: Client) -> None:
        dallas, life = book.policy(), book.policy("life", agent="AG002")
        for address in (
            f"/policies/auto/{dallas}/",
            f"/policies/life/{life}/",
            f"/policies/auto/{dallas}/edit/",
            "/policies/auto/9/",
        ):
            assert second_agent_client.get(address).status_code == 404


class TestNew:
    typed = {
        "product": "auto",
        "status": "ACTIVE",
        "customer": "CUST004",
        "premium": "1,200",
        "vehicle": "Kia Rio",
        "agent": "AG001",
    }

    def test_creates_one_however_often_it_is_sent(self, agent_client: Client, store: Redis) -> None:
        places = {
            agent_client.post("/policies/new/", {**self.typed, "token": "n"}).headers["Location"] for _ in range(3)
        }
        assert places == {"/policies/auto/100001/"}
        assert store.get("policy:auto:100001:details") == "Kia Rio - CUST004 - $1,200 premium"
        assert store.get("customer:CUST004:policy_count") == "1"

    def test_errors_keep_what_was_typed(self, agent_client: Client, store: Redis) -> None:
        typed = {
            **self.typed,
            "premium": "-3",
            "effective_date": "2026-02-01",
            "expiration_date": "2026-01-01",
            "customer": "a b",
        }
        page = agent_client.post("/policies/new/", typed).content.decode()
        for name, value in (("premium", "-3"), ("expiration_date", "2026-01-01"), ("customer", "a b")):
            assert f'id="id_{name}_error"' in page and f'value="{value}"' in page
        assert not list(store.scan_iter("policy:*"))

    def test_what_another_tool_broke_is_told_and_nothing_typed_is_lost(
        self, agent_client: Client, store: Redis
    ) -> None:
        store.sadd("customer:CUST004:policies", "a set")
        answer = agent_client.post("/policies/new/", self.typed)
        page = answer.content.decode()
        assert answer.status_code == 409 and 'value="Kia Rio"' in page
        assert "customer:CUST004:policies holds a set where a string belongs" in page
        assert not store.keys("policy:*")

    def test_an_agent_cannot_give_it_to_a_branch_they_do_not_see(self, agent_client: Client, store: Redis) -> None:
        page = agent_client.post("/policies/new/", {**self.typed, "agent": "AG002"}).content.decode()
        assert 'id="id_agent_error"' in page and not list(store.scan_iter("policy:*"))

    def test_an_admin_may_not(self, admin_client: Client) -> None:
        assert admin_client.get("/policies/new/").status_code == 403
        assert admin_client.post("/policies/new/", self.typed).status_code == 403


class TestEdit:
    def form(self, client: Client, number: str) -> dict[str, str]:
        page = shown(client, f"/policies/auto/{number}/edit/")
        return dict(re.findall(r'<input type="\w+" name="(\w+)" value="([^"]*)"', page)) | {"status": "ACTIVE"}

    def test_changes_what_was_changed_and_says_before_and_after(self, agent_client: Client, store: Redis) -> None:
        number = book.policy(vehicle="Kia Rio")
        typed = {**self.form(agent_client, number), "premium": "1350"}
        assert agent_client.post(f"/policies/auto/{number}/edit/", typed).status_code == 302
        assert store.get(f"policy:auto:{number}:premium") == "1350"
        assert store.get("customer:CUST001:total_premium") == "1350"
        page = shown(agent_client, f"/policies/auto/{number}/")
        assert "Premium updated from 1200 to 1350" in page and "by AG001" in page

    def test_sent_twice_is_recorded_once(self, agent_client: Client, store: Redis) -> None:
        number = book.policy()
        typed = {**self.form(agent_client, number), "premium": "1350", "token": "e"}
        for _ in range(2):
            agent_client.post(f"/policies/auto/{number}/edit/", typed)
        assert len(list(store.scan_iter(f"audit:policy:auto:{number}:change:*"))) == 2

    def test_a_colleagues_change_in_between_is_told_and_nothing_typed_is_lost(
        self, agent_client: Client, supervisor_client: Client, store: Redis
    ) -> None:
        number = book.policy()
        mine, theirs = self.form(agent_client, number), self.form(supervisor_client, number)
        supervisor_client.post(f"/policies/auto/{number}/edit/", {**theirs, "premium": "1400"})
        page = agent_client.post(f"/policies/auto/{number}/edit/", {**mine, "deductible": "750"}).content.decode()
        assert "Somebody changed this policy" in page and "1400" in page and 'value="750"' in page
        assert store.get(f"policy:auto:{number}:premium") == "1400"
        assert not store.exists(f"policy:auto:{number}:deductible")

    def test_roles(self, admin_client: Client, second_agent_client: Client) -> None:
        path = f"/policies/auto/{book.policy()}/edit/"
        assert admin_client.post(path, {}).status_code == 403
        assert second_agent_client.post(path, {}).status_code == 404
