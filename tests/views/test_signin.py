"""Coming in, staying in, going out: and nobody who may not."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import MD5PasswordHasher, make_password
from django.contrib.auth.models import Group
from django.test import Client
from redis import Redis

from dashboard import accounts, clock, keys, signin
from dashboard.browser_sessions import SessionStore
from dashboard.errors import StoreDown
from dashboard.models import Staff
from dashboard.redis import EmbeddedServer
from dashboard.repository import agents, sessions
from insurance_site import settings as real_settings
from tests import cast

User = get_user_model()
WRONG = "This name and password do not belong together."
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/quotes/?risk=HIGH"}


def attempt(name: str = cast.AGENT, password: str = "wrong", **fields: str) -> str:
    """The answer to a sign-in, in words; its address if it leads on."""
    response = Client().post("/login/", {"username": name, "password": password, **fields})
    return response["Location"] if response.status_code == 302 else response.content.decode()


class TestComingIn:
    def test_strangers_are_led_to_the_sign_in_page_and_back(self, anonymous_client: Client) -> None:
        response = anonymous_client.get("/quotes/?risk=HIGH")
        assert response["Location"] == "/login/?next=%2Fquotes%2F%3Frisk%3DHIGH"
        page = anonymous_client.get(response["Location"])
        assert b'name="next" value="/quotes/?risk=HIGH"' in page.content
        assert page["Cache-Control"].startswith("max-age=0")
        assert attempt(password=cast.PASSWORD, next="/quotes/?risk=HIGH") == "/quotes/?risk=HIGH"

    @pytest.mark.parametrize(
        "next", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/login/", "\\\\x", ""]
    )
    def test_and_never_to_somebody_elses_page(self, demo: None, next: str) -> None:
        assert attempt(password=cast.PASSWORD, next=next) == "/"

    @pytest.mark.parametrize("name", ["AG001", "ag001", " Ag001 ", "ＡＧ００１"])
    def test_a_name_may_be_typed_in_any_case(self, demo: None, store: Redis, name: str) -> None:
        assert attempt(name, cast.PASSWORD) == "/"
        assert store.exists(keys.workstation("AG001"))

    def test_signing_in_begins_the_working_day_in_the_customers_keys(self, agent_client: Client, store: Redis) -> None:
        assert store.get("session:agent:AG001:branch_access") == "dallas,fort_worth"
        assert store.get("session:agent:AG001:product_access") == "auto,home,life"
        assert agents.directory(store).branches == {"AG001": "dallas", "AG002": "houston", "AG003": "fort_worth"}
        for name in keys.workstation_keys("AG001"):
            assert 0 < store.pttl(name) <= 8 * clock.HOUR

    def test_the_browsers_secret_is_nowhere_in_the_customers_keys(self, agent_client: Client, store: Redis) -> None:
        _, nonce = agent_client.session[signin.ENTRY]
        assert all(nonce not in store.get(name) for name in store.keys("session:*"))

    def test_a_signed_in_person_is_led_past_the_sign_in_page(self, agent_client: Client) -> None:
        assert agent_client.get("/login/?next=/quotes/")["Location"] == "/quotes/"

    def test_another_person_in_the_same_browser_ends_the_first_ones_session(
        self, agent_client: Client, store: Redis
    ) -> None:
        agent_client.post("/login/", {"username": cast.SUPERVISOR, "password": cast.PASSWORD})
        assert not store.exists(keys.workstation("AG001"))
        assert store.exists(keys.workstation("SUP001"))

    @pytest.mark.parametrize("fields", [{}, {"username": "AG001"}, {"username": "x" * 200, "password": "x" * 5000}])
    def test_missing_and_endless_fields_are_told_beside_them(
        self, demo: None, store: Redis, fields: dict[str, str]
    ) -> None:
        response = Client().post("/login/", fields)
        assert response.status_code == 200
        assert b'aria-invalid="true"' in response.content
        assert store.keys("security:*") == []


class TestStrangers:
    def test_a_wrong_password_and_a_name_nobody_has_get_the_same_answer(self, demo: None) -> None:
        known, unknown = attempt("AG001"), attempt("AG999")
        assert WRONG in known
        assert _bare(known).replace("AG001", "AG999") == _bare(unknown)

    def test_and_cost_the_same_work(self, demo: None) -> None:
        assert _hashes("AG001") == _hashes("AG999") == _hashes("a:b *") == 1

    def test_what_was_typed_as_name_stays_and_the_password_does_not(self, demo: None) -> None:
        page = attempt("AG001", "s3cret-words")
        assert 'value="AG001"' in page
        assert "s3cret-words" not in page

    def test_the_third_failure_closes_sign_in_even_for_the_right_password(self, demo: None, store: Redis) -> None:
        pages = [attempt("ag001") for _ in range(3)]
        assert [WRONG in page for page in pages] == [True, True, False]
        assert "Too many failed attempts" in pages[2]
        assert store.get("security:lockout:AG001:level1") == "3_attempts"
        assert "Too many failed attempts" in attempt("AG001", cast.PASSWORD)
        assert not store.exists(keys.workstation("AG001"))
        assert _hashes("AG001") == 0, "a closed account's passwords are not even looked at"

    def test_so_it_does_for_a_name_nobody_has(self, demo: None) -> None:
        assert "Too many failed attempts" in [attempt("nobody here") for _ in range(3)][-1]

    def test_success_starts_the_count_anew(self, demo: None, store: Redis) -> None:
        for _ in range(2):
            attempt()
        attempt(password=cast.PASSWORD)
        assert not store.exists(keys.failed_logins("AG001"))

    def test_a_closed_account_gets_the_answer_of_a_wrong_password(self, demo: None) -> None:
        User.objects.filter(username="AG001").update(is_active=False)
        assert WRONG in attempt(password=cast.PASSWORD)

    def test_an_account_without_a_role_is_told_so(self, demo: None, store: Redis) -> None:
        User.objects.get(username="AG001").groups.clear()
        assert "has no role here" in attempt(password=cast.PASSWORD)
        assert not store.exists(keys.workstation("AG001"))

    def test_passwords_are_kept_as_argon2(self, demo: None, settings: object) -> None:
        settings.PASSWORD_HASHERS = real_settings.PASSWORD_HASHERS  # type: ignore[attr-defined]
        User.objects.filter(username="AG001").update(password=make_password("harbour"))
        assert User.objects.get(username="AG001").password.startswith("argon2$argon2id$")
        assert attempt(password="harbour") == "/"

    def test_forms_from_elsewhere_are_refused_with_a_page_of_ours(self, demo: None) -> None:
        response = Client(enforce_csrf_checks=True).post("/login/", {"username": "AG001", "password": cast.PASSWORD})
        assert response.status_code == 403
        assert b"This form is too old" in response.content


class TestStaying:
    def test_a_revoked_session_is_out_on_the_very_next_request_and_told_by_whom(
        self, agent_client: Client, store: Redis
    ) -> None:
        sessions.revoke(["agent:AG001:workstation"], by="ADM001")
        response = agent_client.get("/quotes/")
        assert response["Location"] == "/login/?next=%2Fquotes%2F&ended=1"
        page = agent_client.get(response["Location"])
        assert b"ADM001 ended your session at" in page.content
        assert signin.ENTRY not in agent_client.session
        assert store.keys("session:*") == []

    def test_whatever_its_browser_session_says(self, agent_client: Client) -> None:
        """Django saves browser sessions by GET then SET, so one may come back: it opens nothing."""
        kept = dict(agent_client.session.items())
        sessions.revoke(["agent:AG001:workstation"], by="ADM001")
        agent_client.get("/quotes/")
        revived = SessionStore(agent_client.session.session_key)
        revived.update(kept)
        revived.save()
        assert agent_client.get("/quotes/").status_code == 302

    def test_the_live_page_of_a_revoked_person_goes_to_the_sign_in_page_as_a_whole(self, agent_client: Client) -> None:
        sessions.revoke(["agent:AG001:workstation"], by="ADM001")
        for method in (agent_client.get, agent_client.post):
            response = method("/quotes/?risk=HIGH", headers=HTMX)
            assert response.status_code == 200
            assert response.content == b""
            assert response["HX-Redirect"] == "/login/?next=%2Fquotes%2F%3Frisk%3DHIGH&ended=1"

    def test_a_form_sent_too_late_leads_back_to_the_page_it_was_on(self, agent_client: Client) -> None:
        sessions.revoke(["agent:AG001:workstation"], by="ADM001")
        response = agent_client.post("/quotes/new/", headers={"Referer": "http://testserver/quotes/new/?product=auto"})
        assert response["Location"] == "/login/?next=%2Fquotes%2Fnew%2F%3Fproduct%3Dauto&ended=1"

    def test_the_later_of_two_browsers_has_the_session(self, agent_client: Client) -> None:
        later = cast.signed_in(cast.AGENT)
        response = agent_client.get("/quotes/", follow=True)
        assert b"You signed in somewhere else" in response.content
        assert later.get("/quotes/").status_code == 200

    def test_a_session_that_ran_out_is_told_so(self, agent_client: Client, store: Redis) -> None:
        store.delete(*keys.workstation_keys("AG001"))
        assert b"Your session is over" in agent_client.get("/quotes/", follow=True).content

    def test_a_deactivated_account_is_out_and_its_session_gone(self, agent_client: Client, store: Redis) -> None:
        User.objects.filter(username="AG001").update(is_active=False)
        assert agent_client.get("/quotes/").status_code == 302
        assert store.keys("session:*") == []

    def test_a_changed_password_ends_the_session(self, agent_client: Client, store: Redis) -> None:
        user = User.objects.get(username="AG001")
        user.set_password("another")
        user.save()
        assert agent_client.get("/quotes/").status_code == 302
        assert store.keys("session:*") == []

    def test_rights_are_those_of_this_very_moment(self, admin_client: Client, store: Redis) -> None:
        assert admin_client.get("/sessions/").status_code == 200
        User.objects.get(username="ADM001").groups.set([Group.objects.get(name="supervisor")])
        assert admin_client.get("/sessions/").status_code == 403
        User.objects.get(username="ADM001").groups.clear()
        assert admin_client.get("/sessions/").status_code == 302

    def test_activity_slides_with_each_request_but_not_when_a_page_refreshes_itself(
        self, agent_client: Client, store: Redis
    ) -> None:
        active = keys.workstation_field("AG001", "last_activity")
        old = clock.iso(clock.now() - timedelta(minutes=5))
        store.set(active, old, keepttl=True)
        agent_client.get("/metrics/", headers={**HTMX, "HX-Trigger": "main"})
        assert store.get(active) == old
        agent_client.get("/metrics/")
        assert store.get(active) > old
        assert 0 < store.pttl(active) <= 8 * clock.HOUR

    def test_private_pages_are_not_kept_by_the_browser(self, agent_client: Client) -> None:
        assert agent_client.get("/quotes/")["Cache-Control"] == "no-store"


class TestGoingOut:
    def test_signing_out_removes_every_key(self, agent_client: Client, store: Redis) -> None:
        response = agent_client.post("/logout/", follow=True)
        assert b"You are signed out." in response.content
        assert store.keys("session:*") == []
        assert agent_client.get("/quotes/").status_code == 302

    def test_it_takes_a_form_not_a_link(self, agent_client: Client) -> None:
        assert agent_client.get("/logout/").status_code == 405
        assert agent_client.get("/quotes/").status_code == 200

    def test_a_replaced_browser_that_signs_out_leaves_the_other_alone(self, agent_client: Client) -> None:
        later = cast.signed_in(cast.AGENT)
        agent_client.post("/logout/")
        assert later.get("/quotes/").status_code == 200


class TestAppearance:
    @pytest.mark.parametrize("theme", ["light", "dark", "system"])
    def test_is_kept_in_a_cookie_and_shown_by_the_server(self, anonymous_client: Client, theme: str) -> None:
        assert anonymous_client.post("/theme/", {"theme": theme, "next": "/metrics/"})["Location"] == "/metrics/"
        assert f'data-theme="{theme}"'.encode() in anonymous_client.get("/login/").content

    def test_nonsense_is_not(self, anonymous_client: Client) -> None:
        response = anonymous_client.post("/theme/", {"theme": '"><script>', "next": "//evil.example"})
        assert response["Location"] == "/"
        assert "theme" not in response.cookies
        anonymous_client.cookies["theme"] = "neon"
        assert b'data-theme="system"' in anonymous_client.get("/login/").content
        assert anonymous_client.get("/theme/").status_code == 405


class TestTheLiveStream:
    def test_is_for_those_who_are_signed_in_and_ends_with_their_session(self, agent_client: Client) -> None:
        cookies = {name: morsel.value for name, morsel in agent_client.cookies.items()}
        reader = signin.stream_viewer(cookies)
        assert reader and reader.person == "AG001"
        assert reader.alive()
        sessions.revoke(["agent:AG001:workstation"], by="ADM001")
        assert not reader.alive()
        assert signin.stream_viewer(cookies) is None

    def test_ends_with_the_account_too(self, agent_client: Client) -> None:
        reader = signin.stream_viewer({"sessionid": agent_client.cookies["sessionid"].value})
        User.objects.filter(username="AG001").update(is_active=False)
        assert reader and not reader.alive()

    @pytest.mark.parametrize("cookies", [{}, {"sessionid": ""}, {"sessionid": "x" * 32}, {"sessionid": "*" * 5000}])
    def test_is_for_nobody_else(self, demo: None, cookies: dict[str, str]) -> None:
        assert signin.stream_viewer(cookies) is None


class TestAccounts:
    def test_an_agent_sees_their_branches_and_products(self, demo: None) -> None:
        viewer = accounts.viewer_for(User.objects.get(username="AG001"), 1)
        assert (viewer.role, viewer.branch, viewer.name) == ("agent", "dallas", "Dana Whitfield")
        assert viewer.scope == agents.Scope(frozenset({"dallas", "fort_worth"}), frozenset(keys.PRODUCTS))
        second = accounts.viewer_for(User.objects.get(username="AG002"), 1)
        assert second.scope == agents.Scope(frozenset({"houston"}), frozenset({"auto", "home"}))

    @pytest.mark.parametrize("name", [cast.SUPERVISOR, cast.ADMIN])
    def test_supervisors_and_admins_see_all(self, demo: None, name: str) -> None:
        assert accounts.viewer_for(User.objects.get(username=name), 1).scope == agents.Scope()

    def test_the_demo_can_be_made_again_and_again(self, demo: None) -> None:
        before = User.objects.get(username="AG001").password
        Staff.objects.filter(staff_id="AG001").update(branch="nowhere")
        assert accounts.create_demo(cast.PASSWORD) == ["AG001", "AG002", "AG003", "SUP001", "ADM001"]
        assert User.objects.count() == Staff.objects.count() == 5
        assert User.objects.get(username="AG001").password == before, "sessions go on"
        assert Staff.objects.get(staff_id="AG001").branch == "dallas"

    def test_a_moved_agent_is_moved_in_the_store(
        self, demo: None, store: Redis, django_capture_on_commit_callbacks: object
    ) -> None:
        profile = Staff.objects.get(staff_id="AG002")
        profile.branch = "dallas"
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
            profile.save()
        assert agents.directory(store).branch_of("AG002") == "dallas"

    def test_an_agent_without_a_profile_sees_only_what_belongs_to_no_branch(self, demo: None) -> None:
        Staff.objects.filter(staff_id="AG001").delete()
        scope = accounts.viewer_for(User.objects.get(username="AG001"), 1).scope
        assert scope == agents.Scope(frozenset(), frozenset())

    def test_a_superuser_without_a_group_is_an_admin(self, db: None) -> None:
        assert accounts.role_of(User.objects.create_superuser("root", password="x")) == "admin"


class TestErrorPages:
    def test_an_unknown_address_has_a_page_with_a_way_back(self, agent_client: Client) -> None:
        response = agent_client.get("/nowhere/at/all/")
        assert response.status_code == 404
        assert b"There is nothing here" in response.content
        unknown = agent_client.get("/policies/auto/999/")
        assert unknown.status_code == 404
        assert b'href="/policies/"' in unknown.content

    def test_an_address_of_a_button_has_a_page_with_a_way_back(self, agent_client: Client) -> None:
        response = agent_client.get("/quotes/auto/Q001/extend/")
        assert response.status_code == 405 and response.headers["Allow"] == "POST"
        assert b"Nothing to look at here" in response.content and b'href="/quotes/"' in response.content

    def test_a_store_that_is_away_is_said_and_nobody_is_signed_out(
        self, agent_client: Client, server: EmbeddedServer
    ) -> None:
        server.stop()
        try:
            page = agent_client.get("/quotes/")
            part = agent_client.get("/quotes/", headers=HTMX)
            written = agent_client.post("/logout/")
            login = Client().post("/login/", {"username": "AG001", "password": cast.PASSWORD})
        finally:
            server.start()
        assert [r.status_code for r in (page, part, written, login)] == [503] * 4
        assert page["Retry-After"] == "5"
        assert b"The data store is away" in page.content
        assert part.content == b"<p data-message>The data store does not answer.</p>"
        assert "sessionid" not in page.cookies
        assert agent_client.get("/quotes/").status_code == 200

    def test_what_was_typed_can_be_sent_again_once_the_store_is_back(
        self, agent_client: Client, server: EmbeddedServer
    ) -> None:
        typed = {"product": "auto", "token": "t1", "customer": "CUST004", "vehicle": 'Kia "Rio" 2022', "premium": "900"}
        server.stop()
        try:
            page = agent_client.post("/quotes/new/", typed)
            login = Client().post("/login/", {"username": "AG001", "password": cast.PASSWORD})
        finally:
            server.start()
        form = page.content.decode().partition('<form method="post" action="/quotes/new/">')[2].partition("</form>")[0]
        again = dict(re.findall(r'name="([^"]*)" value="([^"]*)"', form))
        assert {name: unescape(text) for name, text in again.items()} == typed
        assert cast.PASSWORD not in login.content.decode() and "<form" not in login.content.decode()
        assert agent_client.post("/quotes/new/", typed).status_code == 302

    def test_a_full_store_can_still_be_read(self, agent_client: Client, store: Redis) -> None:
        store.set(keys.workstation_field("AG001", "last_activity"), "broken", keepttl=True)
        store.config_set("maxmemory", "1")
        try:
            assert agent_client.get("/metrics/").status_code == 200
            response = Client().post("/login/", {"username": "AG002", "password": cast.PASSWORD})
        finally:
            store.config_set("maxmemory", "0")
        assert response.status_code == 503
        assert b"takes no writes" in response.content

    def test_a_store_that_goes_while_the_browsers_session_is_saved_is_said_too(self, demo: None) -> None:
        with patch.object(SessionStore, "save", side_effect=StoreDown):
            response = Client().post("/login/", {"username": "AG001", "password": cast.PASSWORD})
        assert response.status_code == 503

    def test_a_mistake_of_ours_is_no_store_that_is_away(self, agent_client: Client) -> None:
        agent_client.raise_request_exception = False
        with patch("dashboard.signin.viewer", side_effect=RuntimeError):
            assert agent_client.get("/quotes/").status_code == 500

    def test_no_value_gets_into_the_log(
        self, agent_client: Client, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.stop()
        try:
            agent_client.get("/policies/?customer=CUST007")
            Client().post("/login/", {"username": "AG001", "password": "s3cret-words"})
        finally:
            server.start()
        ours = [record.getMessage() for record in caplog.records if record.name.startswith("dashboard")]
        assert ours
        assert not re.search("CUST007|s3cret|AG001", " ".join(ours))


def _bare(page: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page)


def _hashes(name: str) -> int:
    with patch.object(MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode) as encode:
        attempt(name, "wrong")
    return encode.call_count
