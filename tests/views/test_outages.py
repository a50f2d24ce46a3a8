"""What goes wrong around signing in and ending sessions, and what it must not cost anybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client
from redis import Redis

from dashboard import keys, signin
from dashboard.repository import lockouts, sessions
from tests import book, cast
from tests.views.test_second_factor import app, first_step, with_authenticator

COUNTER = keys.failed_logins("AG001")


@pytest.fixture
def read_only(store: Redis) -> Iterator[Redis]:
    """A store that refuses every write from now on."""
    store.config_set("min-replicas-to-write", 1)
    yield store
    store.config_set("min-replicas-to-write", 0)


def sign_in(client: Client, name: str = cast.AGENT, password: str = cast.PASSWORD) -> Any:
    return client.post("/login/", {"username": name, "password": password})


class TestAccountsAway:
    def test_they_lock_nobody_out(self, demo: None, store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: object, **__: object) -> None:
            raise OperationalError("no such table")

        with monkeypatch.context() as patch:
            patch.setattr("dashboard.signin.auth.authenticate", away)
            assert [sign_in(Client()).status_code for _ in range(5)] == [503] * 5
        assert store.keys("security:*") == []
        assert {store.get(name) for name in store.keys("dash:address:*")} == {"0"}
        assert sign_in(Client()).status_code == 302

    def test_failures_before_it_stand(self, demo: None, store: Redis) -> None:
        lockouts.begin("AG001")

        def broken() -> None:
            raise OperationalError

        with pytest.raises(OperationalError):
            signin.verified("AG001", broken)
        assert store.get(COUNTER) == "1"


class TestOneAddress:
    def test_who_asks_for_letters_closes_nobodys_sign_in(self, demo: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lockouts, "ADDRESS_LIMIT", 3)
        asked = [Client().post("/login/forgotten/", {"username": f"nobody{number}"}) for number in range(5)]
        assert b"Too many attempts came from this network address" in asked[-1].content
        assert sign_in(Client()).status_code == 302

    def test_it_is_told_apart_from_a_name_that_is_closed(self, demo: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lockouts, "ADDRESS_LIMIT", 1)
        sign_in(Client(), "nobody", "wrong")
        page = sign_in(Client()).content.decode()
        assert "Too many attempts came from this network address" in page
        assert "administrator" not in page

    @pytest.mark.parametrize("told", ["<script>", "x" * 5_000, "192.0.2.7, 192.0.2.8", ""])
    def test_what_a_proxy_passes_on_that_is_none_is_not_kept(self, demo: None, store: Redis, told: str) -> None:
        sign_in(Client(REMOTE_ADDR=told))
        assert store.get(keys.workstation_field("AG001", "address")) is None
        assert store.exists(keys.workstation("AG001"))


class TestRestrictions:
    @pytest.mark.parametrize("right", ["permissions", "product_access"])
    @pytest.mark.parametrize("how", ["taken away", "broken"])
    def test_another_tool_that_takes_a_narrowed_right_gives_nothing_back(
        self, agent_client: Client, store: Redis, right: str, how: str
    ) -> None:
        path = "/quotes/new/" if right == "permissions" else f"/policies/auto/{book.policy()}/"
        assert agent_client.get(path).status_code == 200
        anchor, name = keys.workstation("AG001"), keys.workstation_field("AG001", right)
        store.set(anchor, f"{store.get(anchor)}|narrowed:{right}", keepttl=True)
        store.delete(name)
        if how == "broken":
            store.rpush(name, "x")
        assert agent_client.get(path).status_code == (403 if right == "permissions" else 404)

    def test_one_that_nobody_narrowed_is_the_accounts(self, agent_client: Client, store: Redis) -> None:
        store.delete(keys.workstation_field("AG001", "permissions"))
        assert agent_client.get("/quotes/new/").status_code == 200


class TestEndingAll:
    def test_a_lost_index_hides_no_session_that_has_a_name_of_its_own(self, agent_client: Client, store: Redis) -> None:
        opened = sessions.open_portal("CUST004", device="Firefox", address="192.0.2.7")
        for name in store.keys("dash:index:sessions:*"):
            store.delete(name)
        assert sessions.end_all("CUST004", "ADM001", "asked for") == 1
        assert sessions.refresh_session(opened.id, opened.secret) is None
        assert sessions.end_all("AG001", "ADM001", "asked for") == 1
        assert agent_client.get("/").status_code == 302

    def test_one_that_another_tool_wrote_a_moment_ago_ends_too(self, store: Redis) -> None:
        store.set(keys.portal("CUST004"), "authenticated|login_time:2026-11-22T10:00:00Z", ex=600)
        assert sessions.end_all("CUST004", "ADM001", "asked for") == 1
        assert not store.exists(keys.portal("CUST004"))


class TestStoreTakesNoWrites:
    def test_one_signs_out_of_this_browser_all_the_same_and_is_told(
        self, agent_client: Client, read_only: Redis
    ) -> None:
        response = agent_client.post("/logout/")
        assert response.status_code == 302
        assert response.cookies[settings.SESSION_COOKIE_NAME].value == ""
        assert b"could not end your session itself" in agent_client.get("/login/").content
        assert agent_client.get("/").status_code == 302


class TestTheBrowsersSession:
    def test_one_of_another_type_is_none_and_the_way_in_is_open(self, agent_client: Client, store: Redis) -> None:
        (name,) = store.keys("dash:cache:*")
        store.delete(name)
        store.rpush(name, "x")
        assert agent_client.get("/").status_code == 302
        assert agent_client.get("/login/").status_code == 200
        assert sign_in(agent_client).status_code == 302
        assert agent_client.get("/").status_code == 200


def test_a_second_click_on_the_code_leads_on(demo: None) -> None:
    device = with_authenticator()
    client = first_step()
    code = app(device)
    assert client.post("/login/code/", {"code": code}).headers["Location"] == "/"
    assert client.post("/login/code/", {"code": code}).headers["Location"] == "/"
    assert client.get("/").status_code == 200


@pytest.mark.django_db
def test_a_locked_out_admin_is_let_in_from_the_servers_own_keyboard(
    demo: None, store: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        lockouts.begin("ADM001")
    call_command("unlock", "adm001")
    assert "Sign-in is open for ADM001." in capsys.readouterr().out
    assert sign_in(Client(), cast.ADMIN).status_code == 302
    call_command("unlock", "adm001")
    assert "Nothing stood against ADM001." in capsys.readouterr().out
