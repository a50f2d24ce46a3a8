"""One person's sessions, their timeouts and rights, calls, and the list of those that ended."""

from __future__ import annotations

import csv
import io
import re

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit, sessions
from dashboard.repository.sessions import Opened
from tests import cast

HTMX = {"HX-Request": "true", "HX-Trigger": "main"}
PERSON, AGENT = "/sessions/person/CUST001/", "/sessions/person/AG001/"
RIGHTS = "/sessions/person/AG001/rights/"


@pytest.fixture
def portal(store: Redis) -> Opened:
    return sessions.open_portal(
        "CUST001", device="Chrome 115.0|Windows 10", address="192.168.1.100", permissions=["view_policies"]
    )


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def rights(client: Client, **chosen: list[str]) -> dict[str, object]:
    """What the form would send, with these choices of the administrator's."""
    shown = page(client, RIGHTS)
    seen = re.search(r'name="seen" value="(\w+)"', shown)
    ticked = {
        name: re.findall(rf'name="{name}" value="([^"]+)" checked', shown)
        for name in ("permissions", "branch_access", "product_access")
    }
    assert seen
    return {"seen": seen[1], "token": "the-same", **ticked, **chosen}


class TestWho:
    @pytest.mark.parametrize("who", ["agent_client", "second_agent_client", "supervisor_client"])
    def test_only_admins(self, who: str, request: pytest.FixtureRequest, portal: Opened, store: Redis) -> None:
        client: Client = request.getfixturevalue(who)
        before = store.pexpiretime(keys.portal("CUST001"))
        for address in (PERSON, RIGHTS, "/sessions/ended/", "/sessions/ended/csv/"):
            assert client.get(address).status_code == 403
        assert client.post(f"/sessions/{portal.id}/activity/", {"level": "vip"}).status_code == 403
        assert client.post(RIGHTS, {"product_access": "auto"}).status_code == 403
        assert store.pexpiretime(keys.portal("CUST001")) == before

    def test_what_writes_takes_a_form_not_a_link(self, admin_client: Client, agent_client: Client) -> None:
        assert admin_client.get("/sessions/customer:CUST001:portal/activity/").status_code == 405
        assert agent_client.get("/customers/CUST001/call/").status_code == 405


class TestPerson:
    def test_every_device_with_its_facts_and_the_way_out(self, admin_client: Client, portal: Opened) -> None:
        sessions.open_device("mobile", "CUST001", "device123", device="iPhone 12|iOS 15.0", app_version="2.1.0")
        shown = page(admin_client, PERSON)
        for words in (
            "Chrome 115.0, Windows 10",
            "192.168.1.100",
            "iPhone 12, iOS 15.0, app 2.1.0",
            "Signed in at 2 places",
        ):
            assert words in shown
        assert 'href="/sessions/revoke/?person=CUST001&amp;next=/sessions/person/CUST001/"' in shown
        assert "ref:" not in shown

    def test_sign_out_everywhere_asks_and_then_leaves_the_reason(self, admin_client: Client, portal: Opened) -> None:
        asked = page(admin_client, "/sessions/revoke/?person=CUST001&next=/sessions/person/CUST001/")
        ids = re.findall(r'name="session" value="([^"]+)"', asked)
        assert ids == [portal.id]
        order = {"session": ids, "confirmed": "1", "next": PERSON}
        shown = admin_client.post("/sessions/revoke/", order, follow=True).content.decode()
        assert "Signed in nowhere" in shown and "Revoked" in shown and "by ADM001" in shown
        assert sessions.refresh_session(portal.id, portal.secret) is None

    def test_a_working_day_with_its_counts_and_what_it_may(self, admin_client: Client, agent_client: Client) -> None:
        shown = page(admin_client, AGENT)
        for words in ("This working day", "Calls today", "Create quotes, bind policies", "Dallas, Fort Worth", RIGHTS):
            assert words in shown

    @pytest.mark.parametrize("person", ["NOBODY", "CUST999"])
    def test_nobody_at_all_says_so(self, admin_client: Client, person: str) -> None:
        assert "Signed in nowhere" in page(admin_client, f"/sessions/person/{person}/")

    def test_what_cannot_be_a_name_is_not_found(self, admin_client: Client) -> None:
        assert admin_client.get("/sessions/person/a:b*/").status_code == 404

    def test_it_is_live(self, admin_client: Client, portal: Opened) -> None:
        response = admin_client.get(PERSON, headers=HTMX)
        assert b"<html" not in response.content and b'id="list"' in response.content

    def test_the_rules_of_the_timeout_are_told(self, admin_client: Client) -> None:
        shown = page(admin_client, "/sessions/")
        for rule in sessions.RULES:
            assert rule.when in shown and f"{rule.minutes} min" in shown


class TestActivity:
    def set(self, client: Client, session: Opened, level: str) -> str:
        order = {"level": level, "token": "the-same", "next": PERSON}
        response = client.post(f"/sessions/{session.id}/activity/", order, follow=True)
        assert response.redirect_chain == [(PERSON, 302)]
        return response.content.decode()

    def test_an_admin_gives_another_timeout(self, admin_client: Client, portal: Opened, store: Redis) -> None:
        assert "CUST001: vip activity, 120 minutes from now." in self.set(admin_client, portal, "vip")
        assert store.get("session:customer:CUST001:activity_level") == "vip"
        assert abs(store.pexpiretime(keys.portal("CUST001")) - clock.now_ms() - 2 * clock.HOUR) < 5_000

    def test_sent_twice_it_is_one_change(self, admin_client: Client, portal: Opened, store: Redis) -> None:
        for _ in range(2):
            self.set(admin_client, portal, "high")
        assert len(audit.history(store, audit.SESSION, "CUST001")) == 1

    @pytest.mark.parametrize("level", ["", "frantic"])
    def test_what_is_no_level_is_refused(self, admin_client: Client, portal: Opened, store: Redis, level: str) -> None:
        assert "An activity level is one of" in self.set(admin_client, portal, level)
        assert store.get("session:customer:CUST001:activity_level") == "normal"

    def test_one_that_is_over_says_so(self, admin_client: Client, portal: Opened, store: Redis) -> None:
        sessions.end(portal.id, portal.secret)
        assert "This session is over." in self.set(admin_client, portal, "vip")
        assert store.keys("session:customer:*") == []


class TestRights:
    def test_what_is_ticked_holds_from_the_next_request(self, admin_client: Client, agent_client: Client) -> None:
        assert agent_client.get("/quotes/new/").status_code == 200
        order = rights(admin_client, permissions=["view_customer_data"], product_access=["home"])
        response = admin_client.post(RIGHTS, order, follow=True)
        assert response.redirect_chain == [(AGENT, 302)]
        assert b"works on with what you chose" in response.content
        assert agent_client.get("/quotes/new/").status_code == 403
        assert agent_client.get("/customers/").status_code == 200
        assert cast.signed_in(cast.AGENT).get("/quotes/new/").status_code == 200, "the next session has it all again"

    def test_without_customers_data_there_are_no_customers(
        self, admin_client: Client, agent_client: Client, store: Redis
    ) -> None:
        store.set("customer:CUST001:profile", "John Smith|DOB:1985-03-15")
        assert agent_client.get("/customers/CUST001/").status_code == 200
        admin_client.post(RIGHTS, rights(admin_client, permissions=["create_quotes"]))
        for address in ("/customers/", "/customers/csv/", "/customers/CUST001/", "/segments/"):
            assert agent_client.get(address).status_code == 403, address
        assert b"John Smith" not in agent_client.get("/go/?q=CUST001").content

    def test_a_session_never_widens_what_the_account_allows(self, agent_client: Client, store: Redis) -> None:
        """Trap 24: whatever another tool writes there, the account is asked on each request."""
        store.set("session:agent:AG001:permissions", "manage_sessions,approve_claims,create_quotes", keepttl=True)
        store.set("session:agent:AG001:branch_access", "dallas,houston", keepttl=True)
        assert agent_client.get("/sessions/").status_code == 403
        assert agent_client.get("/quotes/new/").status_code == 200
        viewer = agent_client.get("/quotes/").context["viewer"]
        assert (viewer.scope.branches, viewer.may("approve_claims")) == ({"dallas"}, False)

    def test_a_supervisor_sees_every_branch_until_one_is_taken(
        self, admin_client: Client, supervisor_client: Client
    ) -> None:
        assert supervisor_client.get("/quotes/").context["viewer"].scope.branches is None
        address = RIGHTS.replace("AG001", "SUP001")
        shown = page(admin_client, address)
        seen = re.search(r'name="seen" value="(\w+)"', shown)
        assert seen
        order = {"seen": seen[1], "branch_access": ["dallas"], "product_access": ["auto", "home", "life"]}
        order["permissions"] = re.findall(r'name="permissions" value="([^"]+)" checked', shown)
        assert admin_client.post(address, order).status_code == 302
        viewer = supervisor_client.get("/quotes/").context["viewer"]
        assert viewer.scope.branches == {"dallas"} and viewer.may("approve_claims")

    def test_sent_twice_it_is_one_change(self, admin_client: Client, agent_client: Client, store: Redis) -> None:
        order = rights(admin_client, product_access=["auto"])
        for _ in range(2):
            assert admin_client.post(RIGHTS, order).status_code == 302
        told = [record.text for record in audit.history(store, audit.SESSION, "AG001")]
        assert sum("Products: auto, home, life to auto" in text for text in told) == 1

    def test_more_than_the_account_has_is_refused(
        self, admin_client: Client, agent_client: Client, store: Redis
    ) -> None:
        response = admin_client.post(RIGHTS, rights(admin_client, permissions=["manage_sessions"]))
        assert b"The account does not allow that." in response.content
        assert "manage" not in store.get("session:agent:AG001:permissions")

    def test_a_colleague_who_was_faster_is_told_and_shown(self, admin_client: Client, agent_client: Client) -> None:
        order = rights(admin_client, product_access=["auto"])
        store_now = rights(admin_client, product_access=["home"])
        admin_client.post(RIGHTS, {**store_now, "token": "another"})
        response = admin_client.post(RIGHTS, order)
        assert response.status_code == 409
        assert b'value="home" checked' in response.content and b'value="auto" checked' not in response.content

    def test_ones_own_session_is_for_somebody_else(self, admin_client: Client) -> None:
        assert admin_client.get("/sessions/person/ADM001/rights/").status_code == 403
        assert b"/sessions/person/ADM001/rights/" not in admin_client.get("/sessions/person/ADM001/").content

    def test_nobody_who_is_not_signed_in_or_has_no_account(self, admin_client: Client, store: Redis) -> None:
        assert admin_client.get(RIGHTS).status_code == 404
        store.set(keys.workstation("AG900"), "authenticated", ex=600)
        assert admin_client.get("/sessions/person/AG900/rights/").status_code == 404


class TestCalls:
    @pytest.fixture(autouse=True)
    def _customer(self, store: Redis) -> None:
        store.set("customer:CUST001:profile", "John Smith|DOB:1985-03-15")

    def test_an_agent_logs_a_call_and_the_session_counts_it(self, agent_client: Client, store: Redis) -> None:
        assert "/customers/CUST001/call/" in page(agent_client, "/customers/CUST001/")
        response = agent_client.post("/customers/CUST001/call/", {"token": "x"}, follow=True)
        assert b"Call with CUST001 logged: 1 today." in response.content
        name = "session:agent:AG001:customer_calls_today"
        assert (store.get(name), store.pexpiretime(name)) == ("1", store.pexpiretime(keys.workstation("AG001")))

    def test_sent_twice_it_is_one_call(self, agent_client: Client, store: Redis) -> None:
        for _ in range(2):
            agent_client.post("/customers/CUST001/call/", {"token": "x"})
        assert store.get("session:agent:AG001:customer_calls_today") == "1"

    def test_not_admins_and_not_with_nobody(self, admin_client: Client, agent_client: Client, store: Redis) -> None:
        assert admin_client.post("/customers/CUST001/call/").status_code == 403
        assert agent_client.post("/customers/CUST777/call/").status_code == 404
        assert store.get("session:agent:AG001:customer_calls_today") == "0"


class TestEnded:
    @pytest.fixture(autouse=True)
    def _ended(self, portal: Opened, demo: None) -> None:
        sessions.end(portal.id, portal.secret)
        phone = sessions.open_device("mobile", "CUST005", "d1", device="=HYPERLINK(1)", address="10.0.0.5")
        sessions.revoke([phone.id], by="ADM001", why="lost")

    def rows(self, client: Client, query: str = "") -> list[str]:
        return re.findall(r'href="/sessions/person/(CUST\d+)/"', page(client, f"/sessions/ended/?{query}"))

    @pytest.mark.parametrize(
        ("query", "people"),
        [
            ("", ["CUST005", "CUST001"]),
            ("how=revoked", ["CUST005"]),
            ("how=signed_out", ["CUST001"]),
            ("kind=portal", ["CUST001"]),
            ("person=CUST005&how=revoked", ["CUST005"]),
            ("since=2099-01-01", []),
            ("until=2020-01-01", []),
            ("until=2199-12-31&since=2001-01-01", ["CUST005", "CUST001"]),
            ("how=x&kind=x&since=9999-99-99&until=0001-01-01&at=x&person=%00", ["CUST005", "CUST001"]),
        ],
    )
    def test_filters_are_in_the_address(self, admin_client: Client, query: str, people: list[str]) -> None:
        assert [each for each in self.rows(admin_client, query) if each != "ADM001"] == people

    def test_each_says_how_and_by_whom(self, admin_client: Client) -> None:
        shown = page(admin_client, "/sessions/ended/")
        for words in ("Revoked", "by ADM001", "lost", "Signed out", "10.0.0.5"):
            assert words in shown

    def test_csv_has_the_filter_and_no_formula(self, admin_client: Client) -> None:
        response = admin_client.get("/sessions/ended/csv/?how=revoked")
        (row,) = csv.DictReader(io.StringIO(b"".join(response).decode()))  # type: ignore[arg-type]
        assert (row["Person"], row["How"], row["By"], row["Reason"]) == ("CUST005", "revoked", "ADM001", "lost")
        assert row["Device"] == "'=HYPERLINK(1)"

    def test_hostile_records_break_nothing(self, admin_client: Client, store: Redis) -> None:
        for name in store.keys("dash:ended-session:*"):
            store.set(name, '{"at": 1e400, "how": ["x"], "session": {}}', keepttl=True)
        assert self.rows(admin_client) == []
