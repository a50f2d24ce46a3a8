"""Staff accounts: for admins only, made and changed by forms, with the way to a password handed over once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from redis import Redis

from dashboard import staff
from dashboard.repository import agents, audit, codes, jobs, policies, quotes
from dashboard.repository.agents import Scope
from tests import book, cast

NEW = {
    "id": "ag007", "first": "Lena", "last": "Fischer", "email": "", "role": "agent", "branch": "austin",
    "branches": "dallas, fort_worth", "products": ["auto", "home"],
}  # fmt: skip
EDIT = {
    "first": "Dana", "last": "Whitfield", "email": "", "role": "agent", "branch": "dallas",
    "branches": "dallas, fort_worth", "products": ["auto", "home", "life"],
}  # fmt: skip
READ = ("/staff/", "/staff/new/", "/staff/AG002/edit/", "/staff/AG002/reset/")
WRITTEN = ("/staff/new/", *(f"/staff/AG002/{verb}/" for verb in ("edit", "close", "reopen", "reset", "factor")))


def shown(client: Client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status
    return response.content.decode()


def seen(client: Client, person: str) -> str:
    found = re.search(r'name="seen" value="([^"]+)"', shown(client, f"/staff/{person}/edit/"))
    assert found
    return found[1]


def until(condition: Callable[[], object]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")


class TestWho:
    @pytest.mark.parametrize("who", ["agent_client", "supervisor_client"])
    def test_only_admins_see_them_or_change_them(self, who: str, request: pytest.FixtureRequest) -> None:
        client: Client = request.getfixturevalue(who)
        before = staff.get("AG002")
        assert {client.get(address).status_code for address in READ} == {403}
        assert {client.post(address, NEW).status_code for address in WRITTEN} == {403}
        assert (staff.get("AG002"), staff.find("AG007")) == (before, None)

    def test_strangers_are_sent_to_sign_in(self, anonymous_client: Client) -> None:
        for address in WRITTEN:
            assert anonymous_client.post(address, NEW)["Location"].startswith("/login/")

    @pytest.mark.parametrize("verb", ["close", "reopen", "factor"])
    def test_a_change_takes_a_form_not_a_link(self, admin_client: Client, verb: str) -> None:
        assert admin_client.get(f"/staff/AG002/{verb}/").status_code == 405

    @pytest.mark.parametrize("address", ["/staff/NOBODY/edit/", "/staff/NOBODY/reset/", "/staff/a%00b/edit/"])
    def test_what_is_no_account_is_not_found(self, admin_client: Client, address: str) -> None:
        assert admin_client.get(address).status_code == 404


class TestListing:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", ["ADM001", "AG001", "AG002", "AG003", "SUP001"]),
            ("role=agent&q=reyes", ["AG002"]),
            ("state=closed", ["AG003"]),
            ("state=active&role=agent", ["AG001", "AG002"]),
            ("q=%00%25&role=x&state=x&at=nonsense", []),
        ],
    )
    def test_filters_are_in_the_address(self, admin_client: Client, query: str, found: list[str]) -> None:
        staff.close("AG003", by="ADM001")
        page = shown(admin_client, f"/staff/?{query}")
        assert re.findall(r'<tr id="a-([^"]+)"', page) == found

    def test_hostile_names_are_text(self, admin_client: Client) -> None:
        facts = staff.Facts("<script>alert(1)</script>", "\u202eevil", "", "supervisor")
        staff.create("SUP009", facts, by="ADM001")
        for address in ("/staff/", "/security/SUP009/", "/staff/SUP009/edit/", "/staff/SUP009/reset/"):
            assert "<script>alert" not in shown(admin_client, address)


class TestMaking:
    def test_without_an_address_the_link_is_shown_once_and_leads_to_a_password(
        self, admin_client: Client, store: Redis
    ) -> None:
        response = admin_client.post("/staff/new/", NEW)
        link = re.search(r'value="http://testserver(/login/reset/[^"]+)"', response.content.decode())
        assert link and response["Cache-Control"] == "no-store"
        token = link[1].strip("/").rpartition("/")[2]
        for address in ("/security/AG007/", "/security/", "/staff/"):
            assert token not in shown(admin_client, address)
        assert all(token not in record.text for record in audit.history(store, audit.SECURITY, "AG007"))
        browser = Client()
        choose = browser.get(link[1], follow=True)
        browser.post(choose.request["PATH_INFO"], dict.fromkeys(("new_password", "new_password_again"), cast.PASSWORD))
        assert cast.comes_in("AG007")
        made = staff.get("AG007")
        assert (made.branch, made.branches, made.products) == ("austin", ("dallas", "fort_worth"), ("auto", "home"))

    def test_with_an_address_a_letter_goes_there_and_no_link_is_shown(
        self, admin_client: Client, settings: Any
    ) -> None:
        settings.LETTERS_ARE_SENT = True
        response = admin_client.post("/staff/new/", {**NEW, "email": "lena@example.com"}, follow=True)
        assert b"A letter is on its way to l" in response.content
        assert b"/login/reset/" not in response.content
        until(lambda: mail.outbox)
        (letter,) = mail.outbox
        assert letter.to == ["lena@example.com"]
        assert "ADM001 asks you to choose a password for your account AG007" in letter.body
        assert "http://testserver/login/reset/AG007/" in letter.body

    def test_sent_twice_it_is_one_account_and_one_link(self, admin_client: Client, store: Redis) -> None:
        first = admin_client.post("/staff/new/", {**NEW, "token": "the-same"})
        again = admin_client.post("/staff/new/", {**NEW, "token": "the-same"})
        assert b"/login/reset/" in first.content
        assert again["Location"] == "/security/AG007/"
        texts = [record.text for record in audit.history(store, audit.SECURITY, "AG007")]
        assert sum(text.startswith("Account created") for text in texts) == 1

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"id": "AG001"}, "There is an account with this number"),
            ({"id": "a b"}, "No spaces"),
            ({"id": ""}, "required"),
            ({"branch": ""}, "An agent belongs to a branch"),
            ({"branches": "dallas, a*b"}, "in the name of a branch"),
            ({"products": []}, "Without a product"),
            ({"products": ["boat"]}, "not one of the available choices"),
            ({"role": "owner"}, "not one of the available choices"),
            ({"email": "nobody"}, "valid email"),
            ({"first": "a|b"}, "No |"),
        ],
    )
    def test_what_is_wrong_stands_beside_its_field(
        self, admin_client: Client, wrong: dict[str, Any], words: str
    ) -> None:
        response = admin_client.post("/staff/new/", {**NEW, **wrong})
        assert response.status_code == 200
        assert words in response.content.decode()
        assert "Fischer" in response.content.decode(), "what was typed stays"
        assert staff.find("AG007") is None


class TestChanging:
    def test_other_facts_are_saved_and_on_record(self, admin_client: Client) -> None:
        order = {**EDIT, "role": "supervisor", "branch": "", "seen": seen(admin_client, "AG001")}
        response = admin_client.post("/staff/AG001/edit/", order, follow=True)
        assert response.redirect_chain == [("/security/AG001/", 302)]
        assert "role from agent to supervisor; branch from dallas to none" in response.content.decode()

    def test_a_colleague_who_was_faster_is_told_and_what_was_typed_stays(self, admin_client: Client) -> None:
        before = seen(admin_client, "AG001")
        admin_client.post("/staff/AG001/edit/", {**EDIT, "first": "Dina", "seen": before})
        response = admin_client.post("/staff/AG001/edit/", {**EDIT, "first": "Dora", "seen": before})
        assert response.status_code == 409
        assert "Somebody has changed this account since" in response.content.decode()
        assert 'value="Dora"' in response.content.decode()
        assert staff.get("AG001").first == "Dina"

    def test_sent_twice_it_is_done_once(self, admin_client: Client, store: Redis) -> None:
        order = {**EDIT, "first": "Dina", "seen": seen(admin_client, "AG001"), "token": "the-same"}
        for _ in range(2):
            assert admin_client.post("/staff/AG001/edit/", order).status_code == 302
        texts = [record.text for record in audit.history(store, audit.SECURITY, "AG001")]
        assert sum(text.startswith("Account changed") for text in texts) == 1

    def test_nobody_takes_their_own_role_away(self, admin_client: Client) -> None:
        order = {**EDIT, "role": "supervisor", "seen": seen(admin_client, "ADM001")}
        response = admin_client.post("/staff/ADM001/edit/", order)
        assert "Nobody takes their own role away" in response.content.decode()
        page = shown(admin_client, "/security/ADM001/")
        assert "Close account" not in page and "Reset password" not in page


@pytest.mark.django_db(transaction=True)
class TestAnotherBranch:
    @pytest.fixture(autouse=True)
    def alone(self, transactional_db: None) -> None:
        """The agents' branches are copied into the store on commit."""

    def test_what_an_agent_has_follows_in_the_background(self, admin_client: Client, store: Redis) -> None:
        policy, quote = book.policy(), book.quote()
        others = book.policy(agent="AG003")
        order = {**EDIT, "branch": "houston", "branches": "", "seen": seen(admin_client, "AG001")}
        job = admin_client.post("/staff/AG001/edit/", order)["Location"]
        assert "Bring what AG001 has in step" in shown(admin_client, job)
        while jobs.work_once(store):
            pass
        found = jobs.get(store, job.strip("/").rpartition("/")[2])
        assert (found.state, found.failed, found.total) == ("done", 0, 2)
        assert agents.directory(store).branches["AG001"] == "houston"
        houston, dallas = Scope(frozenset({"houston"})), Scope(frozenset({"dallas", "fort_worth"}))
        assert [each.number for each in policies.listing(store, houston, policies.Filter()).rows] == [policy]
        assert [each.number for each in policies.listing(store, dallas, policies.Filter()).rows] == [others]
        assert [each.number for each in quotes.listing(store, houston, quotes.Filter()).rows] == [quote]

    def test_without_anything_there_is_no_work(self, admin_client: Client, store: Redis) -> None:
        order = {**EDIT, "branch": "houston", "seen": seen(admin_client, "AG001")}
        assert admin_client.post("/staff/AG001/edit/", order)["Location"] == "/security/AG001/"


class TestClosing:
    def test_closed_it_is_out_at_once_and_opened_it_is_back(self, admin_client: Client, agent_client: Client) -> None:
        response = admin_client.post("/staff/AG001/close/", {"next": "/security/AG001/"}, follow=True)
        assert "The account AG001 is closed" in response.content.decode()
        assert agent_client.get("/quotes/")["Location"].startswith("/login/")
        assert "Open account again" in shown(admin_client, "/security/AG001/")
        admin_client.post("/staff/AG001/reopen/")
        assert cast.comes_in("AG001")

    def test_ones_own_is_refused(self, admin_client: Client) -> None:
        response = admin_client.post("/staff/ADM001/close/", follow=True)
        assert "Nobody closes their own account" in response.content.decode()
        assert shown(admin_client, "/staff/")


class TestResetting:
    def test_looking_resets_nothing(self, admin_client: Client, agent_client: Client) -> None:
        assert "Reset the password of Dana Whitfield?" in shown(admin_client, "/staff/AG001/reset/")
        assert agent_client.get("/quotes/").status_code == 200

    def test_the_old_password_opens_nothing_and_the_link_a_new_one(
        self, admin_client: Client, agent_client: Client, store: Redis, settings: Any
    ) -> None:
        settings.LETTERS_ARE_SENT = False
        response = admin_client.post("/staff/AG001/reset/", {"token": "the-same"})
        link = re.search(r"/login/reset/AG001/([^/]+)/", response.content.decode())
        assert link and codes.holds(store, "reset", "AG001", link[1])
        assert agent_client.get("/quotes/")["Location"].startswith("/login/")
        assert not staff.get("AG001").has_password
        again = admin_client.post("/staff/AG001/reset/", {"token": "the-same"}, follow=True)
        assert b"This form was sent before" in again.content
        assert codes.holds(store, "reset", "AG001", link[1]), "the link that was handed over holds still"

    def test_too_many_links_are_told(self, admin_client: Client) -> None:
        for _ in range(codes.ISSUES):
            codes.issue("reset", "AG001")
        response = admin_client.post("/staff/AG001/reset/", follow=True)
        assert b"Too many were sent already" in response.content


class TestSecondFactor:
    def test_without_one_there_is_nothing_to_remove(self, admin_client: Client) -> None:
        assert "Remove second factor" not in shown(admin_client, "/security/AG001/")
        response = admin_client.post("/staff/AG001/factor/", follow=True)
        assert b"AG001 has no second factor." in response.content

    def test_a_lost_one_is_removed_after_asking(self, admin_client: Client) -> None:
        staff.Staff.objects.filter(staff_id="AG001").update(email_codes=True)
        staff.get_user_model().objects.filter(username="AG001").update(email="dana@example.com")
        assert "Remove second factor" in shown(admin_client, "/security/AG001/")
        admin_client.post("/staff/AG001/factor/")
        assert not staff.factors("AG001").any
