"""The first page, metrics, and the box that jumps to a number."""

from __future__ import annotations

import csv
from datetime import timedelta

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import quotes, reviews, verification
from dashboard.repository.chain import Break, Verdict
from tests import book


def shown(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def bound() -> None:
    quotes.bind("auto", book.quote(), {}, effective=clock.today(), by="AG001")


class TestOverview:
    def test_shows_what_needs_attention(self, agent_client: Client) -> None:
        number = book.quote()
        policy = book.policy(expiration_date=(clock.today() + timedelta(days=3)).isoformat())
        page = shown(agent_client, "/")
        assert f'id="oq-auto-{number}"' in page and f'id="op-auto-{policy}"' in page

    def test_an_agent_reads_their_own_figures_and_a_supervisor_the_companys(
        self, second_agent_client: Client, supervisor_client: Client
    ) -> None:
        bound()
        assert "$950" not in shown(second_agent_client, "/")
        assert "$950" in shown(supervisor_client, "/")

    def test_lockouts_are_for_admins(self, admin_client: Client, supervisor_client: Client, store: Redis) -> None:
        from dashboard.repository import security

        store.set("security:lockout:CUST001:level2", "5_attempts", ex=3600)
        security.refresh(store, ["lock:CUST001"])
        assert "CUST001" in shown(admin_client, "/")
        assert "CUST001" not in shown(supervisor_client, "/")

    def test_reviews_before_they_lapse_and_a_broken_chain_are_for_who_sees_compliance(
        self, agent_client: Client, supervisor_client: Client, admin_client: Client, store: Redis
    ) -> None:
        soon, later = book.policy(), book.policy()
        for number, days in ((soon, 6), (later, 8)):
            store.set(f"compliance:review:policy:auto:{number}", "Pending regulatory review", ex=days * 86_400)
        reviews.refresh(store, [f"auto:{soon}", f"auto:{later}"])
        found = Break(3, "audit:policy:auto:1:change:20240818", "the record was removed")
        verification.keep(Verdict(links=5, breaks=1, first=found), by="SUP001")
        for client, may_decide in ((supervisor_client, True), (admin_client, False)):
            page = shown(client, "/")
            assert f'id="ov-auto-{soon}"' in page and f'id="ov-auto-{later}"' not in page
            assert (f"/compliance/reviews/auto/{soon}/" in page) is may_decide
            assert "does not hold: the record was removed" in page and "reviews,compliance" in page
        page = shown(agent_client, "/")
        assert "ov-auto" not in page and "does not hold" not in page and "compliance" not in page

    def test_a_review_that_lapsed_undecided_is_said(self, supervisor_client: Client, store: Redis) -> None:
        number = book.policy()
        store.set(f"compliance:review:policy:auto:{number}", "Pending regulatory review", ex=86_400)
        reviews.refresh(store, [f"auto:{number}"])
        store.delete(f"compliance:review:policy:auto:{number}")
        reviews.refresh(store, [f"auto:{number}"])
        assert "1 lapsed undecided" in shown(supervisor_client, "/")

    def test_an_empty_store_is_no_error(self, agent_client: Client) -> None:
        page = shown(agent_client, "/")
        assert "No quote is open" in page and "No active policy ends" in page


class TestMetrics:
    def test_missing_is_a_dash_and_not_zero(self, supervisor_client: Client) -> None:
        """Trap 27."""
        bound()
        page = shown(supervisor_client, "/metrics/")
        row = page.partition('id="m-Department-home"')[2].partition("</tr>")[0]
        assert "–" in row and ">0<" not in row

    def test_figures_of_other_tools_show_and_broken_ones_say_so(self, supervisor_client: Client, store: Redis) -> None:
        store.set(f"metrics:daily:{clock.today()}:policies_sold", "15", ex=86400)
        store.set(f"metrics:daily:{clock.today()}:revenue", "lots", ex=86400)
        page = shown(supervisor_client, "/metrics/")
        assert ">15<" in page and "is not an amount: lots" in page

    def test_an_agent_gets_nobody_elses(self, second_agent_client: Client) -> None:
        bound()
        page = shown(second_agent_client, "/metrics/")
        assert "AG001" not in page and "$950" not in page and "Department" not in page
        assert "AG001" not in b"".join(second_agent_client.get("/metrics/csv/").streaming_content).decode()

    def test_the_file_has_the_same_figures(self, supervisor_client: Client, store: Redis) -> None:
        bound()
        store.set(f"metrics:daily:{clock.today()}:agent:=HYPERLINK:policies_sold", "1", ex=60)
        store.sadd(keys.metric_agents(clock.today().isoformat()), "=HYPERLINK")
        text = b"".join(supervisor_client.get("/metrics/csv/").streaming_content).decode()
        lines = {(row["period"], row["name"]): row for row in csv.DictReader(text.splitlines())}
        assert lines[(str(clock.today()), "Company")]["revenue"] == "950"
        assert lines[(str(clock.today()), "home")]["revenue"] == ""
        assert (str(clock.today()), "'=HYPERLINK") in lines

    @pytest.mark.parametrize("metric", ["revenue", "claims_filed", "nonsense"])
    def test_any_figure_can_be_drawn(self, supervisor_client: Client, metric: str) -> None:
        bound()
        assert "<svg" in shown(supervisor_client, f"/metrics/?metric={metric}")


class TestJump:
    def test_one_thing_is_gone_to_in_whatever_case(self, agent_client: Client, store: Redis) -> None:
        quote, policy = book.quote(), book.policy("home")
        store.set("customer:CUST050:profile", "Ann Poe")
        for typed, place in {
            quote.lower(): f"/quotes/auto/{quote}/",
            policy: f"/policies/home/{policy}/",
            f"home:{policy}": f"/policies/home/{policy}/",
            "cust050": "/customers/CUST050/",
        }.items():
            assert agent_client.get("/go/", {"q": typed}).headers["Location"] == place, typed

    def test_several_are_a_choice(self, agent_client: Client, store: Redis) -> None:
        """Trap 4: Q001 is an auto quote and a life quote."""
        store.set("quote:auto:Q001", "x", ex=60)
        store.set("quote:life:Q001", "x", ex=60)
        page = shown(agent_client, "/go/?q=Q001")
        assert "/quotes/auto/Q001/" in page and "/quotes/life/Q001/" in page

    @pytest.mark.parametrize("typed", ["", "nothing", "*", "a:b:c", "x" * 500, "\x00", "auto:*"])
    def test_nothing_found_is_a_page_with_the_way_back(self, agent_client: Client, typed: str) -> None:
        response = agent_client.get("/go/", {"q": typed})
        assert response.status_code == 404 and "All customers" in response.content.decode()

    def test_what_one_may_not_see_is_not_found(self, second_agent_client: Client) -> None:
        assert second_agent_client.get("/go/", {"q": book.quote("life", agent="AG002")}).status_code == 404

    def test_sessions_are_for_admins(self, agent_client: Client, admin_client: Client) -> None:
        assert agent_client.get("/go/", {"q": "AG001"}).status_code == 404
        assert admin_client.get("/go/", {"q": "ag001"}).headers["Location"] == "/sessions/person/AG001/"
