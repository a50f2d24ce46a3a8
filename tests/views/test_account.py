"""One's own account: what it shows, and that what weakens it asks for the password."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from redis import Redis

from dashboard import keys, second_factor
from dashboard.models import Staff
from dashboard.repository import audit, codes, lockouts, sessions
from tests import cast
from tests.views.test_second_factor import app, user, with_authenticator, wrong

User = get_user_model()
NEW = "a-wholly-new-quay-8"
MINE = {"password": cast.PASSWORD}

ASKING = ("password", "authenticator", "authenticator/remove", "email", "recovery")
"""Pages that ask for the password once more."""


def history(store: Redis) -> list[str]:
    return [record.text for record in audit.history(store, audit.SECURITY, cast.AGENT)]


def words(page: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode()).split())


def change(client: Client, old: str = cast.PASSWORD, new: str = NEW, again: str | None = None) -> Any:
    fields = {"password": old, "new_password": new, "new_password_again": new if again is None else again}
    return client.post("/account/password/", fields)


@pytest.fixture
def secured(agent_client: Client) -> Client:
    """An agent with an authenticator, codes by e-mail and recovery codes: each page that asks is open to them."""
    with_authenticator()
    second_factor.switch_email(user(), True)
    second_factor.new_recovery_codes(user())
    return agent_client


class TestThePage:
    def test_says_who_one_is_and_what_one_sees(self, agent_client: Client) -> None:
        page = words(agent_client.get("/account/"))
        for told in ("Dana Whitfield", "AG001", "Agent", "dana.whitfield@example.com", "Dallas, Fort Worth", "Auto"):
            assert told in page

    def test_supervisors_and_admins_see_all_branches(self, supervisor_client: Client, admin_client: Client) -> None:
        for client in (supervisor_client, admin_client):
            assert "Branches you see All" in words(client.get("/account/"))

    def test_is_linked_from_the_name_in_the_menu(self, agent_client: Client) -> None:
        assert '<a class="clip" href="/account/"' in agent_client.get("/metrics/").content.decode()

    def test_shows_ones_own_sessions_and_history_and_nobody_elses(
        self, agent_client: Client, second_agent_client: Client
    ) -> None:
        sessions.open_device("tablet", "AG001", "t1", device="iPad Air")
        page = words(agent_client.get("/account/"))
        assert "iPad Air" in page
        assert "this one" in page
        assert "Signed in by AG001" in page
        assert "iPad Air" not in words(second_agent_client.get("/account/"))

    def test_is_live(self, agent_client: Client) -> None:
        answer = agent_client.get("/account/", headers={"HX-Request": "true"})
        assert 'id="body"' in answer.content.decode()
        assert "<html" not in answer.content.decode()

    @pytest.mark.parametrize("path", ["", *(f"{path}/" for path in ASKING)])
    def test_no_page_fails_when_its_live_part_is_asked_for(self, secured: Client, path: str) -> None:
        assert secured.get(f"/account/{path}", headers={"HX-Request": "true"}).status_code == 200

    def test_stands_whatever_another_tool_wrote(self, agent_client: Client, store: Redis) -> None:
        store.set("session:tablet:AG001:t<script>1", "\x00\u202e<script>" + "x" * 100_000, ex=300)
        store.set("audit:security:AG001:20240818", "<script>alert(1)</script>", ex=300)
        sessions.refresh(store, ["tablet:AG001:t<script>1"])
        page = agent_client.get("/account/")
        assert page.status_code == 200
        assert b"<script>alert" not in page.content

    def test_does_not_cost_more_with_more_sessions(self, agent_client: Client, store: Redis) -> None:
        def commands() -> int:
            before = store.info("stats")["total_commands_processed"]
            agent_client.get("/account/")
            return int(store.info("stats")["total_commands_processed"]) - before

        agent_client.get("/account/")
        few = commands()
        for number in range(20):
            sessions.open_device("tablet", "AG001", f"t{number}", device="iPad")
        agent_client.get("/account/")
        assert commands() - few <= 20 * 3, "the keys of each session, in the same round trips"


class TestWhatAsksForThePassword:
    @pytest.mark.parametrize("path", ASKING)
    def test_does_nothing_without_it(self, secured: Client, path: str) -> None:
        before = _state()
        for given in ({}, {"password": ""}, {"password": "wrong"}):
            fields = {"new_password": NEW, "new_password_again": NEW, **given}
            assert secured.post(f"/account/{path}/", fields).status_code == 200
        assert _state() == before

    @pytest.mark.parametrize("path", ASKING)
    def test_wrong_ones_climb_the_ladder_and_then_the_right_one_does_nothing_either(
        self, secured: Client, store: Redis, path: str
    ) -> None:
        fields = {"new_password": NEW, "new_password_again": NEW}
        pages = [secured.post(f"/account/{path}/", {**fields, "password": "wrong"}).content for _ in range(3)]
        assert [b"This is not your password." in page for page in pages] == [True, True, False]
        assert store.get("security:lockout:AG001:level1") == "3_attempts"
        before = _state()
        assert b"Too many failed attempts" in secured.post(f"/account/{path}/", {**fields, **MINE}).content
        assert _state() == before

    def test_a_right_one_forgives_no_wrong_ones_of_sign_in(self, secured: Client, store: Redis) -> None:
        for _ in range(2):
            lockouts.begin("AG001")
        secured.post("/account/recovery/", MINE)
        assert store.get(keys.failed_logins("AG001")) == "2"

    @pytest.mark.parametrize("path", ASKING)
    def test_forms_from_elsewhere_are_refused(self, secured: Client, path: str) -> None:
        secured.handler.enforce_csrf_checks = True
        before = _state()
        assert secured.post(f"/account/{path}/", MINE).status_code == 403
        assert _state() == before

    @pytest.mark.parametrize("path", ASKING)
    def test_the_password_never_comes_back_in_the_page(self, secured: Client, path: str) -> None:
        assert b"s3cret-words" not in secured.post(f"/account/{path}/", {"password": "s3cret-words"}).content


class TestPassword:
    def test_a_new_one_holds_from_now_on_and_one_stays_signed_in(self, agent_client: Client, store: Redis) -> None:
        assert change(agent_client)["Location"] == "/account/"
        assert agent_client.get("/quotes/").status_code == 200
        assert Client().post("/login/", {"username": "AG001", "password": cast.PASSWORD}).status_code == 200
        assert history(store)[0] == "Password changed by AG001 on Unknown device"

    def test_the_number_of_the_browsers_session_changes(self, agent_client: Client) -> None:
        before = agent_client.cookies["sessionid"].value
        change(agent_client)
        assert agent_client.cookies["sessionid"].value != before
        thief = Client()
        thief.cookies["sessionid"] = before
        assert thief.get("/quotes/").status_code == 302

    def test_other_sessions_of_the_person_end(self, agent_client: Client, store: Redis) -> None:
        sessions.open_device("tablet", "AG001", "t1", device="iPad")
        sessions.open_device("tablet", "AG002", "t2", device="iPad")
        change(agent_client)
        assert [session.kind for session in sessions.of_person(store, "AG001")] == ["workstation"]
        assert len(sessions.of_person(store, "AG002")) == 1

    def test_links_and_codes_that_are_on_their_way_hold_no_longer(self, agent_client: Client, store: Redis) -> None:
        token, code = codes.issue("reset", "AG001"), codes.issue("code", "AG001")
        others = codes.issue("reset", "AG002")
        change(agent_client)
        assert not codes.holds(store, "reset", "AG001", token)
        assert not codes.redeem("code", "AG001", code)
        assert codes.holds(store, "reset", "AG002", others)

    @pytest.mark.parametrize(
        ("new", "again", "told"),
        [
            ("q7-Zv", "q7-Zv", "too short"),
            ("danawhitfield", "danawhitfield", "too similar"),
            (NEW, "other-quay-12", "not the same"),
            ("", "", "A new password."),
        ],
    )
    def test_a_weak_one_is_refused_before_the_old_one_is_looked_at(
        self, agent_client: Client, store: Redis, new: str, again: str, told: str
    ) -> None:
        assert told in change(agent_client, "wrong", new, again).content.decode()
        assert not store.exists(keys.failed_logins("AG001"))

    def test_twice_with_one_form_changes_it_once(self, agent_client: Client) -> None:
        assert change(agent_client).status_code == 302
        assert "This is not your password." in change(agent_client).content.decode()


class TestAuthenticator:
    def begin(self, client: Client) -> TOTPDevice:
        assert client.post("/account/authenticator/", MINE)["Location"] == "/account/authenticator/code/"
        return TOTPDevice.objects.get(user=user(), confirmed=False)

    def test_is_set_up_by_a_first_code_and_comes_with_recovery_codes(self, agent_client: Client, store: Redis) -> None:
        device = self.begin(agent_client)
        page = agent_client.get("/account/authenticator/code/").content.decode()
        assert 'class="qr"' in page
        assert "style=" not in page
        shown = agent_client.post("/account/authenticator/code/", {"code": app(device)}).content.decode()
        made = re.findall(r"<code>([a-z2-9-]{14})</code>", shown)
        assert len(made) == 10
        assert history(store)[0] == "Authenticator app set up by AG001 on Unknown device"
        assert not any(code in str(history(store)) for code in made)
        answer = Client().post("/login/", {"username": "AG001", **MINE})
        assert answer["Location"] == "/login/code/"

    def test_a_wrong_first_code_sets_up_nothing(self, agent_client: Client) -> None:
        device = self.begin(agent_client)
        page = agent_client.post("/account/authenticator/code/", {"code": wrong(device)})
        assert b"not the code" in page.content
        assert not TOTPDevice.objects.filter(confirmed=True).exists()

    def test_the_secret_is_shown_to_the_browser_that_began_alone(self, agent_client: Client) -> None:
        self.begin(agent_client)
        later = cast.signed_in(cast.AGENT)
        assert later.get("/account/authenticator/code/")["Location"] == "/account/authenticator/"

    def test_and_never_again_once_it_is_set_up(self, agent_client: Client) -> None:
        device = self.begin(agent_client)
        agent_client.post("/account/authenticator/code/", {"code": app(device)})
        assert agent_client.get("/account/authenticator/code/").status_code == 302
        secret = agent_client.get("/account/").content.decode()
        assert device.key not in secret

    def test_a_new_one_takes_the_place_of_the_old_one_and_keeps_the_recovery_codes(self, agent_client: Client) -> None:
        old = with_authenticator()
        code = second_factor.new_recovery_codes(user())[0]
        device = self.begin(agent_client)
        assert second_factor.verify(user(), "authenticator", app(old)), "until then the old one holds"
        assert agent_client.post("/account/authenticator/code/", {"code": app(device)}).status_code == 302
        assert list(TOTPDevice.objects.values_list("key", flat=True)) == [device.key]
        assert second_factor.verify(user(), "recovery", code)

    def test_it_is_removed_with_its_recovery_codes(self, agent_client: Client, store: Redis) -> None:
        with_authenticator()
        second_factor.new_recovery_codes(user())
        assert agent_client.post("/account/authenticator/remove/", MINE)["Location"] == "/account/"
        assert not TOTPDevice.objects.exists()
        assert not StaticToken.objects.exists()
        assert history(store)[0] == "Authenticator app removed by AG001 on Unknown device"

    def test_where_it_is_required_it_is_replaced_but_not_removed(self, admin_client: Client, settings: Any) -> None:
        device = with_authenticator(cast.ADMIN)
        settings.DEMO = False
        client = Client()
        client.post("/login/", {"username": "ADM001", **MINE})
        client.post("/login/code/", {"code": app(device)})
        assert client.post("/account/authenticator/remove/", MINE).status_code == 403
        page = words(client.get("/account/"))
        assert "Remove" not in page
        assert "Your role signs in with an authenticator app instead." in page
        client.post("/account/email/", MINE)
        assert not Staff.objects.filter(email_codes=True).exists()
        assert client.post("/account/authenticator/", MINE).status_code == 302


class TestCodesByEmail:
    def test_are_switched_on_with_recovery_codes_and_off_again(self, agent_client: Client, store: Redis) -> None:
        assert "d•••@example.com" in words(agent_client.get("/account/email/"))
        assert b"Your recovery codes" in agent_client.post("/account/email/", MINE).content
        assert Staff.objects.get(staff_id="AG001").email_codes
        assert agent_client.post("/account/email/", MINE)["Location"] == "/account/"
        assert not Staff.objects.get(staff_id="AG001").email_codes
        assert not StaticToken.objects.exists()
        off, on = history(store)[:2]
        assert (off, on) == (
            "E-mail codes switched off by AG001 on Unknown device",
            "E-mail codes switched on by AG001 on Unknown device",
        )

    def test_need_an_address(self, agent_client: Client) -> None:
        User.objects.filter(username="AG001").update(email="")
        assert agent_client.post("/account/email/", MINE)["Location"] == "/account/"
        assert "An administrator can add yours" in words(agent_client.get("/account/"))
        assert not Staff.objects.filter(email_codes=True).exists()

    def test_and_a_mail_server(self, agent_client: Client, settings: Any) -> None:
        settings.LETTERS_ARE_SENT = False
        agent_client.post("/account/email/", MINE)
        assert not Staff.objects.filter(email_codes=True).exists()


class TestRecoveryCodes:
    def test_new_ones_are_shown_once_and_never_kept_by_the_browser(self, secured: Client, store: Redis) -> None:
        shown = secured.post("/account/recovery/", MINE)
        assert len(set(re.findall(r"<code>([a-z2-9-]{14})</code>", shown.content.decode()))) == 10
        assert shown["Cache-Control"] == "no-store"
        assert not re.search(r"<code>[a-z2-9-]{14}</code>", secured.get("/account/").content.decode())
        assert history(store)[0] == "New recovery codes made by AG001 on Unknown device"

    def test_are_for_those_who_have_a_second_factor(self, agent_client: Client) -> None:
        assert agent_client.post("/account/recovery/", MINE)["Location"] == "/account/"
        assert not StaticToken.objects.exists()


class TestSigningOutEverywhere:
    def test_ends_every_session_of_ones_own(
        self, agent_client: Client, second_agent_client: Client, store: Redis
    ) -> None:
        sessions.open_device("tablet", "AG001", "t1", device="iPad")
        assert agent_client.post("/account/sessions/end/")["Location"] == "/login/"
        assert sessions.of_person(store, "AG001") == []
        assert agent_client.get("/quotes/").status_code == 302
        assert second_agent_client.get("/quotes/").status_code == 200
        assert "Signed out everywhere by AG001 on Unknown device" in history(store)

    def test_takes_a_form_not_a_link(self, agent_client: Client) -> None:
        assert agent_client.get("/account/sessions/end/").status_code == 405
        assert agent_client.get("/quotes/").status_code == 200


def _state() -> list[Any]:
    """All that these pages could change."""
    return [
        list(User.objects.order_by("pk").values_list("password", flat=True)),
        list(Staff.objects.order_by("pk").values_list("email_codes", flat=True)),
        sorted(TOTPDevice.objects.values_list("pk", "confirmed")),
        sorted(StaticToken.objects.values_list("token", flat=True)),
    ]
