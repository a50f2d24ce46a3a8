"""Batch extension, quotes that have ended, the funnel, comparison, the sheet, and underwriting."""

from __future__ import annotations

import csv
import re
from datetime import timedelta

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import jobs, quotes
from tests import book


def shown(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def lapse(store: Redis, number: str, product: str = "auto") -> None:
    store.delete(*keys.quote_keys(product, number))
    quotes.refresh(store, [f"{product}:{number}"])


def extensions(store: Redis, number: str, product: str = "auto") -> str | None:
    return store.hget(keys.quote_terms(product, number), "extensions")


def work(store: Redis) -> None:
    while jobs.work_once(store):
        pass


class TestBatchExtension:
    def test_is_previewed_confirmed_and_done_to_just_those(self, agent_client: Client, store: Redis) -> None:
        """Trap 18."""
        high, low = book.quote(risk_level="HIGH"), book.quote(risk_level="LOW")
        preview = agent_client.post("/quotes/extend/?risk=HIGH", {"token": "x"}, follow=True)
        assert "Do it to 1" in preview.content.decode() and extensions(store, high) == "0"
        job = preview.redirect_chain[-1][0]
        later = book.quote(risk_level="HIGH")
        agent_client.post(f"{job}start/")
        work(store)
        assert (extensions(store, high), extensions(store, low), extensions(store, later)) == ("1", "0", "0")
        assert "1 done" in shown(agent_client, job)

    def test_takes_the_chosen_ones_alone(self, agent_client: Client, store: Redis) -> None:
        chosen, other = book.quote(), book.quote()
        job = agent_client.post("/quotes/extend/", {"q": f"auto:{chosen}"}).headers["Location"]
        agent_client.post(f"{job}start/")
        work(store)
        assert (extensions(store, chosen), extensions(store, other)) == ("1", "0")

    def test_chosen_ones_that_one_may_not_see_never_become_all(self, second_agent_client: Client, store: Redis) -> None:
        hidden, own = book.quote(), book.quote(agent="AG002")
        answer = second_agent_client.post("/quotes/extend/", {"q": f"auto:{hidden}"}, follow=True)
        assert "Nothing fits" in answer.content.decode()
        work(store)
        assert (extensions(store, hidden), extensions(store, own)) == ("0", "0")

    def test_says_what_failed_and_why(self, agent_client: Client, store: Redis) -> None:
        gone, capped = book.quote(), book.quote()
        for _ in range(quotes.EXTENSIONS):
            quotes.extend("auto", capped, by="AG001")
        job = agent_client.post("/quotes/extend/").headers["Location"]
        lapse(store, gone)
        agent_client.post(f"{job}start/")
        work(store)
        page = shown(agent_client, job)
        assert "2 failed" in page and "was extended 2 times already" in page and "expired" in page

    def test_a_job_is_its_makers_alone(self, agent_client: Client, supervisor_client: Client) -> None:
        book.quote()
        job = agent_client.post("/quotes/extend/").headers["Location"]
        assert supervisor_client.get(job).status_code == 404
        assert supervisor_client.post(f"{job}start/").status_code == 404
        assert agent_client.get(f"{job}start/").status_code == 405

    def test_roles_and_get(self, admin_client: Client) -> None:
        assert admin_client.post("/quotes/extend/").status_code == 403
        assert admin_client.get("/quotes/extend/").status_code in (404, 405)


def test_the_board_as_a_file_has_the_whole_filter(agent_client: Client) -> None:
    numbers = [book.quote(risk_level="LOW") for _ in range(3)]
    book.quote(risk_level="HIGH")
    text = b"".join(agent_client.get("/quotes/csv/?risk=LOW").streaming_content).decode()
    assert [row["number"] for row in csv.DictReader(text.splitlines())] == numbers


class TestLapsed:
    def test_shows_what_lapsed_and_quotes_it_again_with_everything_filled_in(
        self, agent_client: Client, store: Redis
    ) -> None:
        number = book.quote(vehicle_vin="1HGBH41JXMN109186")
        lapse(store, number)
        page = shown(agent_client, "/quotes/lapsed/")
        link = re.search(r'href="(/quotes/new/[^"]+)"', page)
        assert link and "Honda Civic 2023" in page
        again = shown(agent_client, link[1].replace("&amp;", "&"))
        for value in ("CUST004", "Honda Civic 2023", "950", "1HGBH41JXMN109186"):
            assert f'value="{value}"' in again

    def test_the_page_of_one_says_what_was_quoted(
        self, agent_client: Client, admin_client: Client, store: Redis
    ) -> None:
        store.set("customer:CUST004:profile", "Priya Nair|DOB:1990-01-01|Phone:555-0104|Email:priya@example.com")
        number = book.quote(coverage_limits="100/300/50", deductible="500")
        lapse(store, number)
        page = shown(agent_client, f"/quotes/auto/{number}/")
        for fact in (
            f"Quote {number} expired",
            "Honda Civic 2023",
            "$950",
            "Priya Nair",
            "100/300/50",
            "$500",
            "AG001",
        ):
            assert fact in page, fact
        assert "Underwriting" not in page and "Quote again" in page
        assert "Quote again" not in shown(admin_client, f"/quotes/auto/{number}/")

    def test_an_appointment_outlives_its_quote_and_stays_in_sight(self, agent_client: Client, store: Redis) -> None:
        """Trap 17."""
        number = book.quote("life")
        store.set(f"underwriting:medical_exam:{number}", "Scheduled for 2031-08-20T09:00:00Z", ex=7_200)
        lapse(store, number, "life")
        page = shown(agent_client, f"/quotes/life/{number}/")
        assert "20 Aug 2031" in page and "/underwriting/" not in page

    def test_bound_ones_have_a_list_of_their_own(self, agent_client: Client) -> None:
        quotes.bind("auto", book.quote(), {}, effective=clock.today(), by="AG001")
        assert "Policy 100001" in shown(agent_client, "/quotes/lapsed/?how=bound")
        assert "No quote has ended this way" in shown(agent_client, "/quotes/lapsed/")

    def test_shows_no_more_than_one_may_see(self, second_agent_client: Client, store: Redis) -> None:
        lapse(store, book.quote())
        lapse(store, book.quote("life", agent="AG002"), "life")
        assert "No quote has ended" in shown(second_agent_client, "/quotes/lapsed/")
        text = b"".join(second_agent_client.get("/quotes/lapsed/csv/").streaming_content).decode()
        assert len(text.splitlines()) == 1

    def test_the_file_has_the_whole_list_and_no_formula(self, agent_client: Client, store: Redis) -> None:
        for _ in range(3):
            lapse(store, book.quote(vehicle="=HYPERLINK(1)"))
        text = b"".join(agent_client.get("/quotes/lapsed/csv/").streaming_content).decode()
        assert [row["subject"] for row in csv.DictReader(text.splitlines())] == ["'=HYPERLINK(1)"] * 3


class TestFunnel:
    def test_counts_the_steps(self, agent_client: Client, store: Redis) -> None:
        quotes.bind("auto", book.quote(), {}, effective=clock.today(), by="AG001")
        lapse(store, book.quote(risk_level="HIGH"))
        page = shown(agent_client, "/quotes/funnel/")
        assert "50% of quoted" in page and 'id="by-risk"' in page
        for split, words in {"product": "Auto: quoted 2", "agent": "AG001: quoted 2", "risk": "High: quoted 1"}.items():
            assert f"Quoted and bound by {split}" in page and words in page
        assert "Quoted and bound by hour" in page

    @pytest.mark.parametrize("day", ["nonsense", "1999-01-01", "9999-12-31"])
    def test_a_bad_day_is_clamped(self, agent_client: Client, day: str) -> None:
        shown(agent_client, f"/quotes/funnel/?day={day}")

    def test_an_agent_sees_their_branches_alone(self, second_agent_client: Client) -> None:
        book.quote()
        assert "No quote took a step" in shown(second_agent_client, "/quotes/funnel/")


class TestCompareAndSheet:
    def test_two_quotes_stand_side_by_side(self, agent_client: Client) -> None:
        one, two = book.quote(), book.quote("life")
        answer = agent_client.post("/quotes/compare/", {"q": [f"auto:{one}", f"life:{two}", "nonsense", "auto:*"]})
        page = shown(agent_client, answer.headers["Location"])
        assert one in page and two in page and "$540" in page

    def test_one_that_ended_is_named(self, agent_client: Client, store: Redis) -> None:
        gone = book.quote()
        lapse(store, gone)
        assert f"Quote {gone} expired" in shown(agent_client, f"/quotes/compare/?q=auto:{gone}")

    def test_hidden_ones_are_not_shown(self, second_agent_client: Client) -> None:
        assert "Honda" not in shown(second_agent_client, f"/quotes/compare/?q=auto:{book.quote()}")

    def test_how_a_hidden_one_ended_is_not_told(self, second_agent_client: Client) -> None:
        gone = book.quote()
        quotes.withdraw("auto", gone, by="AG001")
        page = shown(second_agent_client, f"/quotes/compare/?q=auto:{gone}")
        assert f"There is no auto quote {gone}" in page and "withdrawn" not in page
        answer = second_agent_client.post(f"/quotes/auto/{gone}/extend/", {"token": "x"}, follow=True)
        assert "withdrawn" not in answer.content.decode()

    def test_the_sheet_says_until_when_it_holds(self, agent_client: Client, second_agent_client: Client) -> None:
        number = book.quote()
        assert "This price holds until" in shown(agent_client, f"/quotes/auto/{number}/sheet/")
        assert second_agent_client.get(f"/quotes/auto/{number}/sheet/").status_code == 404


class TestUnderwriting:
    def test_the_exam_lives_until_its_appointment(self, agent_client: Client, store: Redis) -> None:
        """Trap 17."""
        number = book.quote("life")
        at = (clock.now() + timedelta(days=3)).astimezone(clock.zone()).replace(second=0, microsecond=0)
        typed = {"doing": "schedule", "exam": f"{at:%Y-%m-%dT%H:%M}", "token": "t"}
        for _ in range(2):
            assert agent_client.post(f"/quotes/life/{number}/underwriting/", typed).status_code == 302
        assert store.pexpiretime(f"underwriting:medical_exam:{number}") == clock.ms(at)
        assert len(list(store.scan_iter(f"audit:quote:life:{number}:change:*"))) == 2

    def test_the_assessment_is_kept_for_an_hour(self, agent_client: Client, store: Redis) -> None:
        number = book.quote("life")
        typed = {"doing": "assess", "assessment": "Age: 35, Health: Good, Smoker: No, Risk: Low"}
        agent_client.post(f"/quotes/life/{number}/underwriting/", typed)
        assert 3_590 < store.ttl(f"underwriting:assessment:{number}") <= 3_600
        assert "Smoker: No" in shown(agent_client, f"/quotes/life/{number}/")

    def test_what_is_wrong_stands_beside_its_field(self, agent_client: Client, store: Redis) -> None:
        number = book.quote("life")
        for typed in ({"doing": "schedule", "exam": "2001-01-01T10:00"}, {"doing": "assess", "assessment": "a|b"}):
            page = agent_client.post(f"/quotes/life/{number}/underwriting/", typed).content.decode()
            assert "_error" in page
        assert not list(store.scan_iter("underwriting:*"))

    def test_roles_and_other_products(self, admin_client: Client, second_agent_client: Client) -> None:
        number = book.quote("life", agent="AG002")
        assert admin_client.get(f"/quotes/life/{number}/underwriting/").status_code == 403
        assert second_agent_client.get(f"/quotes/life/{number}/underwriting/").status_code == 404


class TestSavedFilters:
    def test_a_filter_is_saved_found_again_and_taken_away(
        self, agent_client: Client, supervisor_client: Client
    ) -> None:
        here = "/quotes/?risk=HIGH&product=auto"
        agent_client.post("/filters/save/", {"next": here, "name": "  Hot   cars "})
        page = shown(agent_client, "/quotes/")
        assert "Hot cars" in page and "risk=HIGH&amp;product=auto" in page
        assert "Hot cars" not in shown(supervisor_client, "/quotes/")
        agent_client.post("/filters/remove/", {"next": "/quotes/", "name": "Hot cars"})
        assert "Hot cars" not in shown(agent_client, "/quotes/")

    @pytest.mark.parametrize(
        "here",
        [
            "/policies/?status=ACTIVE&sort=premium", "/policies/renewals/?product=auto", "/quotes/lapsed/?product=auto",
            "/claims/?stage=reported", "/customers/?q=john", "/locations/?city=dallas", "/sessions/?kind=portal",
        ],
    )  # fmt: skip
    def test_every_list_with_filters_keeps_them(self, admin_client: Client, here: str) -> None:
        path, _, query = here.partition("?")
        assert "Name this filter" in shown(admin_client, here)
        assert "Name this filter" not in shown(admin_client, path)
        admin_client.post("/filters/save/", {"next": f"{here}&at=%3E1~x", "name": "Mine"})
        assert f'href="{path}?{query.replace("&", "&amp;")}">Mine' in shown(admin_client, path)
        assert "Mine" not in shown(admin_client, "/quotes/")

    @pytest.mark.parametrize("name", ["", "x" * 99, "a\tb\x00"])
    def test_a_name_has_to_be_one(self, agent_client: Client, store: Redis, name: str) -> None:
        agent_client.post("/filters/save/", {"next": "/quotes/?risk=HIGH", "name": name})
        assert store.hlen(keys.saved_filters("AG001")) <= (name == "a\tb\x00")

    def test_get_is_refused(self, agent_client: Client) -> None:
        assert agent_client.get("/filters/save/").status_code == 405
        assert agent_client.get("/filters/remove/").status_code == 405


def test_a_lapsed_quote_of_which_hardly_anything_is_known_is_listed(agent_client: Client, store: Redis) -> None:
    store.set("quote:auto:Q010", "x", ex=60)
    quotes.refresh(store, ["auto:Q010"])
    lapse(store, "Q010")
    assert "Q010" in shown(agent_client, "/quotes/lapsed/")
