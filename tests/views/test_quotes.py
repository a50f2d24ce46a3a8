"""The quotes board, one quote, a new one, and what can be done with one."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from tests import book, cast

LIVE = {"HX-Request": "true"}


def shown(client: Client, path: str = "/quotes/") -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode().replace("<wbr>", "")


def rows(page: str) -> list[str]:
    return re.findall(r'<tr id="q-(\S+?)"', page)


def token_in(page: str) -> str:
    found = re.search(r'name="token"[^>]* value="([0-9a-f]+)"|name="token" value="([0-9a-f]+)"', page)
    assert found
    return found[1] or found[2]


def policies_made(store: Redis) -> int:
    return len(list(store.scan_iter("policy:*:status")))


class TestBoard:
    def test_shows_the_next_to_end_first(self, agent_client: Client) -> None:
        slow, fast = book.quote("life"), book.quote(risk_level="HIGH")
        assert rows(shown(agent_client)) == [f"auto-{fast}", f"life-{slow}"]

    def test_an_empty_board_says_what_to_do(self, agent_client: Client) -> None:
        assert "New quote" in shown(agent_client)

    def test_filters_by_product_risk_agent_and_customer(self, supervisor_client: Client) -> None:
        wanted = book.quote(risk_level="LOW", customer="CUST009", agent="AG003")
        book.quote()
        book.quote("home")
        for query in ("risk=LOW", "customer=CUST009", "agent=AG003", "product=auto&risk=LOW&customer=CUST009"):
            assert rows(shown(supervisor_client, f"/quotes/?{query}")) == [f"auto-{wanted}"], query

    @pytest.mark.parametrize(
        "query", ["product=boat", "risk=%00", "agent=a:b", "at=nonsense", "at=%3E9~x", "customer=" + "x" * 999]
    )
    def test_a_bad_parameter_is_clamped(self, agent_client: Client, query: str) -> None:
        number = book.quote()
        assert rows(shown(agent_client, f"/quotes/?{query}")) in ([f"auto-{number}"], [])

    def test_an_agent_without_life_sees_no_life_quote_nor_another_branch(self, second_agent_client: Client) -> None:
        book.quote("life", agent="AG002")
        book.quote(agent="AG001")
        own, nobodys = book.quote(agent="AG002"), book.quote(agent="")
        page = shown(second_agent_client)
        assert set(rows(page)) == {f"auto-{own}", f"auto-{nobodys}"}
        assert "All" in page and ">2<" in page

    def test_a_live_request_gets_the_regions_alone_with_a_fresh_token(self, agent_client: Client) -> None:
        number = book.quote()
        first, second = (agent_client.get("/quotes/", headers=LIVE).content.decode() for _ in range(2))
        assert "<html" not in first and f'id="q-auto-{number}"' in first
        assert token_in(first) != token_in(second)

    def test_a_broken_quote_shows_what_is_wrong_and_the_page_stands(self, agent_client: Client, store: Redis) -> None:
        fine = book.quote()
        broken = book.quote()
        store.set(keys.quote_field("auto", broken, "premium"), "lots", keepttl=True)
        store.delete(keys.quote_field("auto", broken, "vehicle"))
        store.lpush(keys.quote_field("auto", broken, "vehicle"), "x")
        store.execute_command("SET", keys.quote_field("auto", broken, "created"), b"\xff\xfe")
        store.set(keys.quote("auto", broken), "x" * 1_000_000, keepttl=True)
        page = shown(agent_client)
        assert set(rows(page)) == {f"auto-{fine}", f"auto-{broken}"}
        for words in (
            "is not an amount: lots",
            "holds a list, not a text",
            "is not valid UTF-8",
            "1,000,000 characters",
        ):
            assert words in page
        assert len(page) < 100_000

    def test_what_other_tools_wrote_is_escaped(self, agent_client: Client, store: Redis) -> None:
        number = book.quote()
        store.set(keys.quote_field("auto", number, "vehicle"), "<script>alert(1)</script>", keepttl=True)
        page = shown(agent_client)
        assert "<script>alert" not in page and "&lt;script&gt;alert" in page


class TestDetail:
    def test_shows_the_facts_and_how_it_is_stored(self, agent_client: Client) -> None:
        number = book.quote()
        page = shown(agent_client, f"/quotes/auto/{number}/")
        assert "Honda Civic 2023" in page and f"quote:auto:{number}:premium" in page

    def test_an_unknown_number_is_not_found(self, agent_client: Client) -> None:
        assert agent_client.get("/quotes/auto/Q999/").status_code == 404
        assert agent_client.get("/quotes/boat/Q001/").status_code == 404

    def test_a_quote_that_one_may_not_see_is_not_found_alive_or_ended(
        self, second_agent_client: Client, store: Redis
    ) -> None:
        life, dallas = book.quote("life", agent="AG002"), book.quote()
        for address in (f"/quotes/life/{life}/", f"/quotes/auto/{dallas}/"):
            assert second_agent_client.get(address).status_code == 404
        store.delete(keys.quote("life", life), keys.quote("auto", dallas))
        for address in (f"/quotes/life/{life}/", f"/quotes/auto/{dallas}/", f"/quotes/auto/{dallas}/bind/"):
            assert second_agent_client.get(address).status_code == 404

    def test_an_expired_quote_says_so_and_offers_to_quote_again(self, agent_client: Client, store: Redis) -> None:
        number = book.quote()
        store.delete(*keys.quote_keys("auto", number))
        page = shown(agent_client, f"/quotes/auto/{number}/")
        assert "expired" in page and f"from=auto:{number}" in page
        again = shown(agent_client, f"/quotes/new/?product=auto&from=auto:{number}")
        assert 'value="Honda Civic 2023"' in again and 'value="CUST004"' in again


class TestNew:
    path = "/quotes/new/"
    typed = {
        "product": "auto",
        "customer": "cust004",
        "vehicle": "Kia Rio 2022",
        "premium": "$1,250.50",
        "risk_level": "LOW",
    }

    def test_makes_a_quote_that_lives_as_long_as_was_said(self, agent_client: Client, store: Redis) -> None:
        term = agent_client.get(self.path, {**self.typed}, headers=LIVE).content.decode()
        assert "10 minutes" in term and "Low risk" in term
        response = agent_client.post(self.path, {**self.typed, "token": "t1"})
        assert response.status_code == 302
        number = response.headers["Location"].split("/")[3]
        assert store.get(f"quote:auto:{number}") == "Kia Rio 2022 - Customer: CUST004 - Premium: $1,250.50/year"
        assert store.get(f"quote:auto:{number}:agent") == cast.AGENT
        assert 590_000 < store.pttl(f"quote:auto:{number}") <= 600_000

    def test_sent_twice_makes_one(self, agent_client: Client, store: Redis) -> None:
        places = {agent_client.post(self.path, {**self.typed, "token": "t1"}).headers["Location"] for _ in range(3)}
        assert len(places) == 1
        assert len(list(store.scan_iter("quote:auto:*:premium"))) == 1

    def test_errors_stand_beside_their_fields_and_nothing_typed_is_lost(self, agent_client: Client) -> None:
        response = agent_client.post(self.path, {**self.typed, "premium": "plenty", "vehicle": "Kia|Rio"})
        page = response.content.decode()
        assert response.status_code == 200
        assert 'value="plenty"' in page and 'id="id_premium_error"' in page
        assert 'value="Kia|Rio"' in page and 'id="id_vehicle_error"' in page

    def test_an_agent_without_life_gets_no_life_form(self, second_agent_client: Client, store: Redis) -> None:
        assert "Sum insured" not in shown(second_agent_client, "/quotes/new/?product=life")
        second_agent_client.post(
            self.path, {"product": "life", "customer": "C1", "coverage_amount": "1", "premium_monthly": "9"}
        )
        assert not list(store.scan_iter("quote:life:*"))

    def test_an_agent_quotes_for_themselves_whatever_the_form_says(self, agent_client: Client, store: Redis) -> None:
        agent_client.post(self.path, {**self.typed, "agent": "AG002"})
        assert [store.get(key) for key in store.scan_iter("quote:auto:*:agent")] == [cast.AGENT]

    def test_an_admin_may_not(self, admin_client: Client, store: Redis) -> None:
        assert admin_client.get(self.path).status_code == 403
        assert admin_client.post(self.path, self.typed).status_code == 403
        assert not list(store.scan_iter("quote:*"))


class TestExtend:
    def test_lengthens_every_key_of_it(self, agent_client: Client, store: Redis) -> None:
        number = book.quote()
        before = store.pexpiretime(f"quote:auto:{number}")
        agent_client.post(f"/quotes/auto/{number}/extend/", {"token": "a"})
        ends = {store.pexpiretime(key) for key in keys.quote_keys("auto", number)} - {-2}
        assert ends == {before + 5 * clock.MINUTE}

    def test_sent_twice_extends_once(self, agent_client: Client, store: Redis) -> None:
        number = book.quote()
        for _ in range(3):
            agent_client.post(f"/quotes/auto/{number}/extend/", {"token": "a"})
        assert store.hget(keys.quote_terms("auto", number), "extensions") == "1"

    def test_an_agent_stops_at_the_cap_and_a_supervisor_goes_on(
        self, agent_client: Client, supervisor_client: Client, store: Redis
    ) -> None:
        number = book.quote()
        for token in "abc":
            page = agent_client.post(f"/quotes/auto/{number}/extend/", {"token": token}, follow=True).content.decode()
        assert "A supervisor can extend it further" in page
        supervisor_client.post(f"/quotes/auto/{number}/extend/", {"token": "a"})
        assert store.hget(keys.quote_terms("auto", number), "extensions") == "3"

    def test_goes_back_to_the_list_it_came_from_and_nowhere_else(self, agent_client: Client) -> None:
        path = f"/quotes/auto/{book.quote()}/extend/"
        assert agent_client.post(path, {"next": "/quotes/?risk=LOW"}).headers["Location"] == "/quotes/?risk=LOW"
        for evil in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
            assert agent_client.post(path, {"next": evil}).headers["Location"] == "/quotes/"


class TestBind:
    def bind(self, client: Client, number: str, **typed: str) -> object:
        typed = {"effective": clock.today().isoformat(), "token": "b1", **typed}
        return client.post(f"/quotes/auto/{number}/bind/", typed)

    def test_makes_the_policy_and_ends_the_quote(self, agent_client: Client, store: Redis) -> None:
        number = book.quote()
        response = self.bind(agent_client, number, vehicle_vin="1HGBH41JXMN109186")
        policy = response.headers["Location"].split("/")[3]
        assert store.get(f"policy:auto:{policy}:premium") == "950"
        assert store.get(f"policy:auto:{policy}:vehicle_vin") == "1HGBH41JXMN109186"
        assert store.get("customer:CUST004:policies") == f"auto:{policy}"
        assert store.get(f"metrics:daily:{clock.today()}:policies_sold") == "1"
        assert store.get(f"metrics:daily:{clock.today()}:agent:AG001:revenue") == "950"
        assert store.get("session:agent:AG001:policies_sold_today") == "1"
        assert list(store.scan_iter(f"audit:policy:auto:{policy}:change:*"))
        assert not list(store.scan_iter(f"quote:auto:{number}*"))

    def test_sent_twice_or_by_back_makes_one_policy(self, agent_client: Client, store: Redis) -> None:
        number = book.quote()
        places = {self.bind(agent_client, number).headers["Location"] for _ in range(3)}
        assert len(places) == 1 and policies_made(store) == 1

    def test_a_colleague_who_was_faster_is_named(
        self, agent_client: Client, supervisor_client: Client, store: Redis
    ) -> None:
        number = book.quote()
        self.bind(supervisor_client, number)
        response = self.bind(agent_client, number)
        assert response.status_code == 409
        assert f"was bound as policy auto 100001 by {cast.SUPERVISOR}" in response.content.decode()
        assert policies_made(store) == 1

    def test_a_quote_that_expired_while_the_form_was_open_is_not_bound(
        self, agent_client: Client, store: Redis
    ) -> None:
        number = book.quote()
        store.delete(*keys.quote_keys("auto", number))
        response = self.bind(agent_client, number, effective="2031-01-01")
        assert response.status_code == 409
        page = response.content.decode()
        assert "expired" in page and 'value="2031-01-01"' in page
        assert policies_made(store) == 0

    def test_a_bad_date_stands_beside_its_field(self, agent_client: Client, store: Redis) -> None:
        page = self.bind(agent_client, book.quote(), effective="1999-01-01").content.decode()
        assert 'id="id_effective_error"' in page and 'value="1999-01-01"' in page
        assert policies_made(store) == 0

    def test_only_those_who_may(self, admin_client: Client, second_agent_client: Client, store: Redis) -> None:
        number = book.quote()
        assert self.bind(admin_client, number).status_code == 403
        assert self.bind(second_agent_client, number).status_code == 404
        assert policies_made(store) == 0


class TestWithdraw:
    def test_ends_the_quote_and_tells_the_next_reader(self, agent_client: Client, store: Redis) -> None:
        number = book.quote()
        for _ in range(2):
            answer = agent_client.post(f"/quotes/auto/{number}/withdraw/", {"token": "w"}, follow=True)
            assert "was withdrawn" in answer.content.decode()
        assert not list(store.scan_iter(f"quote:auto:{number}*"))
        assert "was withdrawn by AG001" in shown(agent_client, f"/quotes/auto/{number}/")

    def test_only_those_who_may(self, admin_client: Client, second_agent_client: Client, store: Redis) -> None:
        number = book.quote()
        assert admin_client.post(f"/quotes/auto/{number}/withdraw/").status_code == 403
        second_agent_client.post(f"/quotes/auto/{number}/withdraw/")
        assert store.exists(f"quote:auto:{number}")


@pytest.mark.parametrize("verb", ["extend", "withdraw"])
def test_a_verb_refuses_get(agent_client: Client, verb: str) -> None:
    assert agent_client.get(f"/quotes/auto/{book.quote()}/{verb}/").status_code == 405
