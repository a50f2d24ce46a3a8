"""Servicing a policy: each step's own form, undo, the renewal queue, files, and another agent for many."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import areas, jobs, policy_service
from dashboard.views.jobs import STARTED_BY
from tests import book
from tests.views.test_policies import rows, shown

STEPS = ("endorse", "renew", "cancel", "reinstate", "agent")
VERBS = ("undo", "lapse")


def day(offset: int) -> str:
    return (clock.today() + timedelta(days=offset)).isoformat()


def form(client: Client, path: str) -> dict[str, str]:
    """What a browser would send back, untouched."""
    page = shown(client, path)
    found = re.findall(r'<input type="\w+" name="(\w+)"(?: value="([^"]*)")?', page)
    chosen = re.findall(r'<select name="(\w+)".*?<option value="([^"]*)" selected', page, re.DOTALL)
    return dict(found) | dict(chosen)


def take(client: Client, number: str, step: str, product: str = "auto", **typed: str) -> str:
    """Fill in a step's form and send it; the page that follows."""
    path = f"/policies/{product}/{number}/{step}/"
    response = client.post(path, {**form(client, path), **typed}, follow=True)
    return response.content.decode().replace("<wbr>", "")


def field(store: Redis, number: str, name: str, product: str = "auto") -> str | None:
    return store.get(keys.policy_field(product, number, name))


def finish_jobs(store: Redis) -> None:
    while jobs.work_once(store):
        pass


class TestSteps:
    def test_an_endorsement_tells_before_and_after(self, agent_client: Client, store: Redis) -> None:
        number = book.policy(vehicle="Kia Rio 2020", deductible="500")
        page = take(agent_client, number, "endorse", vehicle="Kia Ceed 2024", premium="1,350", reason="new car")
        assert "Endorsed as of" in page and "Vehicle updated from Kia Rio 2020 to Kia Ceed 2024" in page
        assert field(store, number, "premium") == "1350" and field(store, number, "deductible") == "500"

    def test_a_home_and_a_life_policy_are_endorsed_too(self, agent_client: Client, store: Redis) -> None:
        home = book.policy("home", property_address="1 Elm St, Dallas TX 75201", coverage_type="AS_OTHERS_WRITE")
        take(agent_client, home, "endorse", "home", property_value="400000", reason="extension built")
        assert field(store, home, "property_value", "home") == "400000"
        assert field(store, home, "coverage_type", "home") == "AS_OTHERS_WRITE"
        life = book.policy("life", premium="540", premium_monthly="45", coverage_amount="500000", term_years="20")
        take(agent_client, life, "endorse", "life", premium_monthly="50", reason="smoker")
        assert field(store, life, "premium", "life") == "600"

    def test_a_renewal_proposes_term_and_premium(self, agent_client: Client, store: Redis) -> None:
        number = book.policy(effective_date=day(-345), expiration_date=day(20))
        proposed = form(agent_client, f"/policies/auto/{number}/renew/")
        assert (proposed["begins"], proposed["premium"]) == (day(20), "1236")
        take(agent_client, number, "renew")
        assert field(store, number, "expiration_date") == proposed["ends"]
        assert field(store, number, "premium") == "1236" and field(store, number, "effective_date") == day(-345)

    def test_cancel_then_undo_then_cancel_and_reinstate(self, agent_client: Client, store: Redis) -> None:
        number = book.policy()
        page = take(agent_client, number, "cancel", reason="sold the car")
        assert "The cancellation by AG001 can be undone" in page and "Reinstate…" in page
        of = re.search(r'name="of" value="(\w+)"', page)
        assert of
        agent_client.post(f"/policies/auto/{number}/undo/", {"of": of[1], "token": "u"})
        assert field(store, number, "status") == "ACTIVE"
        again = agent_client.post(f"/policies/auto/{number}/undo/", {"of": of[1]}, follow=True).content.decode()
        assert "There is nothing to undo" in again
        take(agent_client, number, "cancel", reason="sold the car")
        take(agent_client, number, "reinstate", reason="bought it back")
        assert field(store, number, "status") == "ACTIVE"

    def test_another_agent_must_be_one_of_the_viewers_branches(self, agent_client: Client, store: Redis) -> None:
        number = book.policy()
        for agent, words in (("AG002", "you do not work for"), ("AG999", "No agent has the number")):
            assert words in take(agent_client, number, "agent", agent=agent, reason="r")
        take(agent_client, number, "agent", agent="ag003", reason="moved")
        assert field(store, number, "agent") == "AG003"

    def test_a_policy_kept_as_a_hash_is_served(self, agent_client: Client, store: Redis) -> None:
        """Trap 3."""
        facts = {"status": "ACTIVE", "premium": "1200", "customer": "CUST001", "agent": "AG001", "deductible": "500"}
        store.hset("policy:auto:500", mapping=facts)
        take(agent_client, "500", "endorse", premium="1300", reason="r")
        take(agent_client, "500", "cancel", reason="r")
        assert store.hget("policy:auto:500", "premium") == "1300"
        assert store.hget("policy:auto:500", "status") == "CANCELLED"
        assert not store.exists("policy:auto:500:premium", "policy:auto:500:status")

    def test_the_documents_policies_can_be_opened_in_every_step(self, agent_client: Client, store: Redis) -> None:
        """Traps 8 and 9: no agent, no dates; active past its end."""
        store.mset({"policy:home:200001:status": "ACTIVE", "policy:home:200001:premium": "800"})
        store.mset({"policy:auto:100001:status": "ACTIVE", "policy:auto:100001:expiration_date": "2025-01-15"})
        store.set("policy:life:300001:premium", "what?")
        for policy in ("home/200001", "auto/100001", "life/300001"):
            for step in STEPS:
                shown(agent_client, f"/policies/{policy}/{step}/")

    def test_errors_keep_what_was_typed(self, agent_client: Client, store: Redis) -> None:
        number = book.policy(vehicle="Kia Rio")
        page = take(agent_client, number, "endorse", premium="-3", vehicle="Kia Ceed", reason="", effective=day(1))
        for wrong in ("premium", "reason"):
            assert f'id="id_{wrong}_error"' in page
        assert 'value="Kia Ceed"' in page and field(store, number, "vehicle") == "Kia Rio"
        later = take(agent_client, number, "endorse", vehicle="Kia Ceed", reason="r", effective=day(800))
        assert 'id="id_effective_error"' in later

    def test_a_colleague_who_was_faster_is_told_on_the_form(
        self, agent_client: Client, supervisor_client: Client, store: Redis
    ) -> None:
        number = book.policy()
        path = f"/policies/auto/{number}/endorse/"
        typed = {**form(agent_client, path), "premium": "1300", "reason": "new car"}
        take(supervisor_client, number, "endorse", deductible="750", reason="asked for")
        response = agent_client.post(path, typed)
        page = response.content.decode()
        assert response.status_code == 409 and "Somebody changed this policy" in page and 'value="1300"' in page
        again = dict(re.findall(r'name="(seen|token)" value="([^"]*)"', page))
        assert agent_client.post(path, {**typed, **again}).status_code == 302
        assert (field(store, number, "premium"), field(store, number, "deductible")) == ("1300", None)

    @pytest.mark.parametrize("step", STEPS)
    def test_sent_twice_is_done_once(self, agent_client: Client, store: Redis, step: str) -> None:
        facts = {"status": "CANCELLED"} if step == "reinstate" else {}
        number = book.policy(expiration_date=day(20), **facts)
        path = f"/policies/auto/{number}/{step}/"
        typed = {**form(agent_client, path), "reason": "r", "token": "t"}
        typed |= {"agent": "AG003"} if step == "agent" else {"premium": "1300"}
        for _ in range(3):
            assert agent_client.post(path, typed).status_code == 302
        assert len(list(store.scan_iter(f"audit:policy:auto:{number}:change:*"))) == 2

    @pytest.mark.parametrize("step", [*STEPS, *VERBS])
    def test_roles(self, admin_client: Client, second_agent_client: Client, step: str) -> None:
        path = f"/policies/auto/{book.policy()}/{step}/"
        assert admin_client.post(path, {}).status_code == 403
        assert second_agent_client.post(path, {}).status_code == 404
        assert second_agent_client.post(f"/policies/boat/1/{step}/", {}).status_code == 404

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_verb_is_no_page(self, agent_client: Client, verb: str) -> None:
        assert agent_client.get(f"/policies/auto/{book.policy()}/{verb}/").status_code == 405

    def test_the_policy_page_offers_what_is_open(self, agent_client: Client, admin_client: Client) -> None:
        offered = {
            "active": (book.policy(), {"endorse", "agent", "edit", "cancel"}),
            "due": (book.policy(expiration_date=day(9)), {"endorse", "renew", "agent", "edit", "cancel"}),
            "over": (book.policy(expiration_date=day(-9)), {"renew", "lapse", "agent", "edit", "cancel"}),
            "cancelled": (book.policy(status="CANCELLED"), {"reinstate", "agent", "edit"}),
        }
        for name, (number, wanted) in offered.items():
            page = shown(agent_client, f"/policies/auto/{number}/")
            assert set(re.findall(rf"/policies/auto/{number}/(\w+)/\"", page)) == wanted, name
            assert not re.findall(
                rf"/policies/auto/{number}/(\w+)/\"", shown(admin_client, f"/policies/auto/{number}/")
            )


class TestVin:
    def test_what_it_says_stands_beside_it_and_nothing_is_refused(self, agent_client: Client, store: Redis) -> None:
        """Trap 10."""
        number = book.policy(vehicle="2020 Toyota Camry LE", vehicle_vin="1HGBH41JXMN109186")
        for page in ("", "edit/", "endorse/"):
            text = shown(agent_client, f"/policies/auto/{number}/{page}")
            assert "Honda, United States" in text and "The VIN is a Honda’s" in text, page
        take(agent_client, number, "endorse", deductible="250", reason="r")
        assert field(store, number, "deductible") == "250"

    def test_one_that_is_written_oddly_stands_in_nobodys_way(self, agent_client: Client, store: Redis) -> None:
        number = book.policy(vehicle_vin="1HG BH41-JXM N109186 ?")
        take(agent_client, number, "endorse", premium="1300", reason="r")
        assert field(store, number, "premium") == "1300"
        assert field(store, number, "vehicle_vin") == "1HG BH41-JXM N109186 ?"

    def test_it_is_read_while_it_is_typed(self, agent_client: Client, admin_client: Client) -> None:
        query = {"vehicle_vin": "1HGBH41JXMN109186", "vehicle": "Honda"}
        page = agent_client.get("/policies/vin/", query, headers={"HX-Request": "true"}).content.decode()
        assert 'id="vin"' in page and "Honda, United States" in page
        assert agent_client.get("/policies/vin/").status_code == 302
        assert admin_client.get("/policies/vin/").status_code == 403

    def test_a_new_life_policy_needs_one_of_two_premiums(self, agent_client: Client, store: Redis) -> None:
        typed = {"product": "life", "status": "ACTIVE", "customer": "CUST008", "agent": "AG001"}
        typed |= {"coverage_amount": "500000", "term_years": "20"}
        assert 'id="id_premium_monthly_error"' in agent_client.post("/policies/new/", typed).content.decode()
        typed |= {"effective_date": "2026-02-01", "premium_monthly": "45"}
        place = agent_client.post("/policies/new/", typed).headers["Location"]
        number = place.split("/")[-2]
        assert field(store, number, "expiration_date", "life") == "2046-02-01"
        assert field(store, number, "premium", "life") == "540"
        page = shown(agent_client, f"{place}edit/")
        first = dict(re.findall(r'<input type="\w+" name="(\w+)" value="([^"]*)"', page)) | {"status": "ACTIVE"}
        agent_client.post(f"{place}edit/", {**first, "premium": "600"})
        assert field(store, number, "premium_monthly", "life") == "50"

    def test_premiums_out_of_step_are_shown(self, agent_client: Client, store: Redis) -> None:
        store.mset({"policy:life:9:premium": "600", "policy:life:9:premium_monthly": "45"})
        assert "not twelve months’ premium" in shown(agent_client, "/policies/life/9/")


def due(page: str) -> list[str]:
    return re.findall(r'<tr id="r-(\S+?)"', page)


class TestRenewals:
    def test_orders_by_days_left_and_counts_per_week(self, agent_client: Client) -> None:
        third, first, second = (book.policy(expiration_date=day(offset)) for offset in (30, 2, 9))
        book.policy(expiration_date=day(200))
        book.policy(expiration_date=day(5), status="CANCELLED")
        book.policy(expiration_date=day(5), agent="AG002")
        page = shown(agent_client, "/policies/renewals/")
        assert due(page) == [f"auto-{number}" for number in (first, second, third)]
        counts = re.findall(r'<tr id="w-\d+">.*?<td class="num">(\d+)</td>', page)
        assert counts == ["1", "1", "0", "0", "1", *["0"] * 8]
        assert due(shown(agent_client, "/policies/renewals/?week=1")) == [f"auto-{second}"]
        assert "in 2 days" in page and "<svg" in page

    def test_those_past_their_end_are_a_list_of_their_own(self, agent_client: Client, store: Redis) -> None:
        """Trap 9."""
        first = {"effective_date": day(-400)}
        long_ago, lately = (book.policy(**first, expiration_date=day(offset)) for offset in (-90, -2))
        page = shown(agent_client, "/policies/renewals/?past=1")
        assert due(page) == [f"auto-{lately}", f"auto-{long_ago}"] and "2 days ago" in page
        assert due(shown(agent_client, "/policies/renewals/")) == []
        sent = {"next": "/policies/renewals/?past=1", "token": "t"}
        answers = [agent_client.post(f"/policies/auto/{lately}/lapse/", sent) for _ in range(2)]
        assert {answer.headers["Location"] for answer in answers} == {"/policies/renewals/?past=1"}
        assert field(store, lately, "status") == "LAPSED"
        assert due(shown(agent_client, "/policies/renewals/?past=1")) == [f"auto-{long_ago}"]

    @pytest.mark.parametrize("query", ["week=99", "week=-1", "week=x", "past=2", "product=boat", "agent=a:b", "at=x"])
    def test_a_bad_parameter_is_clamped(self, agent_client: Client, query: str) -> None:
        book.policy(expiration_date=day(3))
        shown(agent_client, f"/policies/renewals/?{query}")

    def test_the_commands_do_not_depend_on_the_number_of_policies(
        self, supervisor_client: Client, store: Redis
    ) -> None:
        def commands(path: str) -> int:
            shown(supervisor_client, path)
            before = store.info("stats")["total_commands_processed"]
            shown(supervisor_client, path)
            return int(store.info("stats")["total_commands_processed"]) - int(before)

        def more(count: int) -> None:
            for _ in range(count):
                book.policy(expiration_date=day(3))
                book.policy(effective_date=day(-400), expiration_date=day(-3))

        paths = ("/policies/renewals/", "/policies/renewals/?past=1")
        more(51)
        full = [commands(path) for path in paths]
        more(30)
        assert [commands(path) for path in paths] == full and max(full) < 400


class TestFiles:
    def rows(self, client: Client, query: str = "") -> list[dict[str, str]]:
        response = client.get(f"/policies/csv/?{query}")
        assert response.headers["Content-Type"].startswith("text/csv") and response.streaming
        text = b"".join(response).decode()  # type: ignore[arg-type]
        return list(csv.DictReader(io.StringIO(text)))

    def test_holds_the_whole_filter_and_no_formula(self, agent_client: Client) -> None:
        made = [book.policy(vehicle="=HYPERLINK(1)", vehicle_vin="X") for _ in range(60)]
        book.policy(status="CANCELLED")
        book.policy(agent="AG002")
        found = self.rows(agent_client, "status=ACTIVE")
        assert [row["number"] for row in found] == made
        assert found[0]["vehicle"] == "'=HYPERLINK(1)" and found[0]["premium"] == "1200"

    def test_what_is_not_known_is_an_empty_cell(self, supervisor_client: Client, store: Redis) -> None:
        """A policy without agent is of no branch."""
        store.set("policy:auto:100900:status", "ACTIVE")
        areas.refresh(store, "policies", ["auto:100900"])
        (row,) = self.rows(supervisor_client)
        assert {value for name, value in row.items() if name not in ("product", "number", "state", "status")} == {""}

    def test_follows_the_lists_order(self, agent_client: Client) -> None:
        far, near = book.policy(expiration_date=day(20)), book.policy(expiration_date=day(10))
        assert [row["number"] for row in self.rows(agent_client, "within=30")] == [near, far]
        assert [row["number"] for row in self.rows(agent_client, "sort=expiry&order=down")] == [far, near]
        dear = book.policy(premium="9000", expiration_date=day(15))
        assert self.rows(agent_client, "sort=premium&order=down")[0]["number"] == dear
        assert [row["number"] for row in self.rows(agent_client, "sort=premium&within=30")] == [near, dear, far]


class TestReassign:
    @pytest.fixture(autouse=True)
    def ended(self, store: Redis) -> Iterator[None]:
        yield
        finish_jobs(store)

    def test_gives_the_whole_filter_to_another_agent_once_it_is_confirmed(
        self, supervisor_client: Client, store: Redis
    ) -> None:
        mine, other = [book.policy() for _ in range(3)], book.policy(agent="AG003")
        page = shown(supervisor_client, "/policies/reassign/?agent=AG001")
        assert "Another agent for 3 policies" in page
        sent = supervisor_client.post("/policies/reassign/?agent=AG001", {"agent": "ag002", "reason": "retired"})
        place = sent.headers["Location"]
        preview = shown(supervisor_client, place)
        assert "Give 3 policies to AG002" in preview and f"auto:{mine[0]}" in preview
        assert field(store, mine[0], "agent") == "AG001"
        late = book.policy()
        supervisor_client.post(f"{place}start/", {})
        finish_jobs(store)
        assert [field(store, number, "agent") for number in (*mine, other, late)] == [
            *["AG002"] * 3, "AG003", "AG001",
        ]  # fmt: skip
        assert "3 done" in shown(supervisor_client, place)

    def test_what_a_colleague_gave_away_meanwhile_is_left_where_it_is(
        self, supervisor_client: Client, store: Redis
    ) -> None:
        """The preview was of AG001's, and this one is AG003's by now."""
        mine, given = book.policy(), book.policy()
        sent = supervisor_client.post("/policies/reassign/?agent=AG001", {"agent": "AG002", "reason": "retired"})
        assert f"auto:{given} (AG001)" in shown(supervisor_client, sent.headers["Location"])
        take(supervisor_client, given, "agent", agent="AG003", reason="asked for her")
        supervisor_client.post(f"{sent.headers['Location']}start/", {})
        finish_jobs(store)
        assert [field(store, number, "agent") for number in (mine, given)] == ["AG002", "AG003"]
        page = shown(supervisor_client, sent.headers["Location"])
        assert "1 failed" in page and "Its agent is AG003 by now, and was AG001 when that was decided." in page

    def test_acts_on_those_that_were_ticked(self, supervisor_client: Client, store: Redis) -> None:
        first, _, third = (book.policy() for _ in range(3))
        query = f"pick=auto:{first}&pick=auto:{third}&pick=auto:9&pick=odd&pick=boat:1"
        assert "Another agent for 2 policies" in shown(supervisor_client, f"/policies/reassign/?{query}")
        page = shown(supervisor_client)
        assert page.count('name="pick"') == 3 and len(rows(page)) == 3

    def test_what_is_wrong_is_told_beside_the_field(self, supervisor_client: Client) -> None:
        book.policy()
        path = "/policies/reassign/"
        unknown = supervisor_client.post(path, {"agent": "AG999", "reason": "r"}).content.decode()
        assert 'id="id_agent_error"' in unknown
        nothing = supervisor_client.post(f"{path}?agent=AG003", {"agent": "AG002", "reason": "r"}).content.decode()
        assert "Nothing fits" in nothing

    def test_who_may_no_longer_do_it_cannot_start_what_they_previewed(self, agent_client: Client, store: Redis) -> None:
        """As of a supervisor who has become an agent since."""
        number = book.policy()
        members, typed = [f"auto:{number}|AG001"], {"agent": "AG002", "reason": "r"}
        job = jobs.preview(policy_service.REASSIGN, members, typed, by="AG001", title="Give 1 policy to AG002")
        assert agent_client.post(f"/jobs/{job}/start/", {}).status_code == 403
        finish_jobs(store)
        assert field(store, number, "agent") == "AG001"

    def test_every_kind_of_work_says_who_may_start_it(self) -> None:
        assert set(STARTED_BY) == set(jobs._kinds)

    def test_is_for_supervisors(self, agent_client: Client, admin_client: Client) -> None:
        book.policy()
        for client in (agent_client, admin_client):
            assert client.get("/policies/reassign/").status_code == 403
            assert client.post("/policies/reassign/", {"agent": "AG002", "reason": "r"}).status_code == 403
        assert 'name="pick"' not in shown(agent_client)
