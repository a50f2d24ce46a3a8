"""The sessions page: for admins only, lists what lives, ends what was chosen after asking."""

from __future__ import annotations

import csv
import io
import re
import time
from datetime import UTC, datetime

import pytest
from django.test import Client
from redis import Redis

from dashboard import keys
from dashboard.repository import audit, sessions
from dashboard.views import web
from tests import cast

AGENT, PORTAL, MOBILE = "agent:AG001:workstation", "customer:CUST001:portal", "mobile:CUST001:device123"
HTMX = {"HX-Request": "true", "HX-Trigger": "main"}


@pytest.fixture
def customer(store: Redis) -> None:
    """A customer in the portal and in the app, as the document has them."""
    store.set(
        "session:customer:CUST001:portal", "authenticated|login_time:2024-08-18T10:30:00Z|ip:192.168.1.100", ex=1800
    )
    store.set("session:customer:CUST001:device", "Chrome 115.0|Windows 10", ex=1800)
    store.set("session:customer:CUST001:permissions", "view_policies,make_payments,update_profile", ex=1800)
    store.set("session:customer:CUST001:activity_level", "high", ex=1800)
    store.set("session:mobile:CUST001:device123", "iPhone 12|iOS 15.0|app_version:2.1.0", ex=7200)
    sessions.refresh(store, [PORTAL, MOBILE])


def rows(client: Client, address: str = "/sessions/", **headers: str) -> list[str]:
    response = client.get(address, headers=headers)
    assert response.status_code == 200
    return re.findall(r'<tr id="s-([^"]+)"', response.content.decode())


class TestWho:
    @pytest.mark.parametrize("who", ["agent_client", "second_agent_client", "supervisor_client"])
    def test_only_admins_see_it_or_act_on_it(self, who: str, request: pytest.FixtureRequest, store: Redis) -> None:
        client: Client = request.getfixturevalue(who)
        assert client.get("/sessions/").status_code == 403
        assert client.get("/sessions/csv/").status_code == 403
        assert client.get(f"/sessions/revoke/?session={AGENT}").status_code == 403
        assert client.post("/sessions/revoke/", {"session": AGENT, "confirmed": "1"}).status_code == 403
        assert b'href="/sessions/"' not in client.get("/metrics/").content

    def test_strangers_are_sent_to_sign_in(self, anonymous_client: Client) -> None:
        for address in ("/sessions/", "/sessions/revoke/"):
            assert anonymous_client.post(address)["Location"].startswith("/login/")


class TestListing:
    def test_shows_every_kind_with_its_facts(self, admin_client: Client, customer: None) -> None:
        page = admin_client.get("/sessions/").content.decode()
        for words in ("CUST001", "Chrome 115.0, Windows 10", "192.168.1.100", "High", "make payments", "Mobile app"):
            assert words in page
        assert rows(admin_client) == [PORTAL, MOBILE, "agent:ADM001:workstation"]

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ("kind=portal", [PORTAL]),
            ("person=CUST001", [PORTAL, MOBILE]),
            ("activity=high", [PORTAL]),
            ("kind=mobile&activity=high", []),
            ("person=NOBODY", []),
            ("kind=nonsense&activity=nonsense&person=%00&at=nonsense", [PORTAL, MOBILE, "agent:ADM001:workstation"]),
        ],
    )
    def test_filters_are_in_the_address(self, admin_client: Client, customer: None, query: str, ids: list[str]) -> None:
        assert rows(admin_client, f"/sessions/?{query}") == ids

    def test_a_live_update_brings_the_regions_alone(self, admin_client: Client, customer: None) -> None:
        response = admin_client.get("/sessions/", headers=HTMX)
        assert b"<html" not in response.content
        assert b'id="list"' in response.content
        assert rows(admin_client, **HTMX) == [PORTAL, MOBILE, "agent:ADM001:workstation"]

    def test_what_another_tool_wrote_is_escaped(self, admin_client: Client, store: Redis) -> None:
        store.set("session:mobile:CUST001:device123", "<script>alert(1)</script>", ex=60)
        sessions.refresh(store, [MOBILE])
        page = admin_client.get("/sessions/").content
        assert b"<script>alert" not in page
        assert b"&lt;script&gt;alert" in page

    def test_the_secret_of_a_workstation_is_not_shown(self, admin_client: Client, store: Redis) -> None:
        reference = store.get(keys.workstation("ADM001")).rpartition("ref:")[2]
        assert reference.encode() not in admin_client.get("/sessions/").content

    def test_ended_sessions_of_a_person_are_on_record(self, admin_client: Client, customer: None) -> None:
        sessions.revoke([PORTAL], by="ADM001")
        page = admin_client.get("/sessions/?person=CUST001").content.decode()
        assert "Portal session of CUST001" in page
        assert "ended by ADM001" in page


class TestCsv:
    def rows(self, client: Client, query: str = "") -> list[dict[str, str]]:
        response = client.get(f"/sessions/csv/?{query}")
        assert response.streaming and response["Content-Type"].startswith("text/csv")
        return list(csv.DictReader(io.StringIO(b"".join(response).decode())))  # type: ignore[arg-type]

    def test_holds_the_whole_filter_beyond_the_page_and_no_formula(
        self, admin_client: Client, store: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions, "EXPORTED", 7)
        made = [f"CUST{number:03}" for number in range(60)]
        for at, person in enumerate(made):
            store.set(keys.device_session("mobile", person, "d1"), "=HYPERLINK(1)", px=600_000 + at)
        sessions.refresh(store, [f"mobile:{person}:d1" for person in made])
        found = self.rows(admin_client, "kind=mobile")
        assert [row["Person"] for row in found] == made
        assert found[0]["Device"] == "'=HYPERLINK(1)"
        assert found[0]["Permissions"] == "", "what is empty is no formula"
        assert self.rows(admin_client, "kind=tablet") == []

    @pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＠"])
    def test_whatever_a_formula_may_begin_with_is_made_text(self, begins: str) -> None:
        assert web._cell(f"{begins}1+1") == f"'{begins}1+1"

    def test_tells_each_fact_and_never_the_secret(self, admin_client: Client, store: Redis, customer: None) -> None:
        (row,) = self.rows(admin_client, "kind=portal&person=CUST001")
        assert row["Device"] == "Chrome 115.0, Windows 10" and row["Network address"] == "192.168.1.100"
        assert row["Permissions"] == "view_policies make_payments update_profile" and row["Activity"] == "high"
        assert datetime.fromisoformat(row["Signed in"]) == datetime(2024, 8, 18, 10, 30, tzinfo=UTC)
        assert datetime.fromisoformat(row["Ends"]).timestamp() > time.time()
        reference = store.get(keys.workstation("ADM001")).rpartition("ref:")[2]
        assert reference not in str(self.rows(admin_client))

    def test_the_pages_link_carries_its_filter(self, admin_client: Client, customer: None) -> None:
        page = admin_client.get("/sessions/?kind=portal&activity=high").content.decode()
        assert 'href="/sessions/csv/?kind=portal&amp;activity=high"' in page


class TestRevoking:
    def ask(self, client: Client, query: str) -> str:
        response = client.get(f"/sessions/revoke/?{query}")
        assert response.status_code == 200
        return response.content.decode()

    def test_looking_ends_nothing(self, admin_client: Client, agent_client: Client, customer: None) -> None:
        page = self.ask(admin_client, f"session={AGENT}&session={PORTAL}")
        assert "Revoke these 2 sessions?" in page
        assert "Revoke 2 sessions" in page
        assert re.findall(r'name="session" value="([^"]+)"', page) == [AGENT, PORTAL]
        assert agent_client.get("/metrics/").status_code == 200

    def test_an_order_without_the_answer_leads_to_the_question(self, admin_client: Client, customer: None) -> None:
        order = {"session": [PORTAL, MOBILE], "next": "/sessions/?kind=portal"}
        plain = admin_client.post("/sessions/revoke/", order)
        live = admin_client.post("/sessions/revoke/", order, headers={"HX-Request": "true"})
        assert plain["Location"] == live["HX-Redirect"]
        assert "Revoke these 2 sessions?" in self.ask(admin_client, plain["Location"].partition("?")[2])
        assert rows(admin_client)[:2] == [PORTAL, MOBILE]

    def test_the_answer_ends_exactly_those_and_says_how_many(self, admin_client: Client, customer: None) -> None:
        order = {"session": [PORTAL, "tablet:CUST001:gone"], "confirmed": "1", "next": "/sessions/?person=CUST001"}
        response = admin_client.post("/sessions/revoke/", order, follow=True)
        assert response.redirect_chain == [("/sessions/?person=CUST001", 302)]
        assert b"1 session ended." in response.content
        assert b"1 was over already." in response.content
        assert rows(admin_client, "/sessions/?person=CUST001") == [MOBILE]

    def test_all_of_a_person_are_named_before_they_end(
        self, admin_client: Client, customer: None, store: Redis
    ) -> None:
        page = self.ask(admin_client, "person=CUST001")
        named = re.findall(r'name="session" value="([^"]+)"', page)
        assert named == [PORTAL, MOBILE]
        store.set("session:tablet:CUST001:later", "iPad Pro", ex=60)
        sessions.refresh(store, ["tablet:CUST001:later"])
        admin_client.post("/sessions/revoke/", {"session": named, "confirmed": "1"})
        assert rows(admin_client, "/sessions/?person=CUST001") == ["tablet:CUST001:later"]

    def test_a_revoked_agent_is_out_on_their_very_next_request(
        self, admin_client: Client, agent_client: Client
    ) -> None:
        admin_client.post("/sessions/revoke/", {"session": AGENT, "confirmed": "1"})
        assert agent_client.get("/metrics/")["Location"].startswith("/login/")

    def test_sent_twice_it_is_done_once(self, admin_client: Client, agent_client: Client, store: Redis) -> None:
        order = {"session": AGENT, "confirmed": "1", "token": "the-same"}
        admin_client.post("/sessions/revoke/", order)
        cast.signed_in(cast.AGENT)
        response = admin_client.post("/sessions/revoke/", order, follow=True)
        assert b"1 session ended." in response.content
        assert store.exists(keys.workstation("AG001")), "the one that began since lives on"
        told = [record.text for record in audit.history(store, audit.SESSION, "AG001")]
        assert sum("ended by ADM001" in text for text in told) == 1

    def test_ones_own_session_is_warned_of(self, admin_client: Client) -> None:
        page = self.ask(admin_client, "session=agent:ADM001:workstation")
        assert "you will be signed out" in page

    @pytest.mark.parametrize("query", ["", "session=nonsense", "person=NOBODY", "person=a:b*", "session=" + "x" * 3000])
    def test_nothing_to_revoke_says_so(self, admin_client: Client, query: str) -> None:
        assert "Nothing to revoke" in self.ask(admin_client, query)

    def test_an_answer_that_names_nothing_says_so(self, admin_client: Client) -> None:
        response = admin_client.post("/sessions/revoke/", {"confirmed": "1"}, follow=True)
        assert b"No session was chosen." in response.content
