"""The API's own pages: clients made, shown once and revoked by admins; what it can do, rendered from its document."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.test import Client
from redis import Redis

from dashboard import api_clients
from dashboard.api.operations import OPERATIONS
from dashboard.api.problems import KINDS
from dashboard.models import ApiClient
from dashboard.repository import audit
from tests import cast

PORTAL = {"name": "portal", "rate": "600", "abilities": ["sessions", "sign-ins"]}


def token_on(page: bytes) -> str:
    found = re.search(rb'<code id="token">(tdl_[\w-]{43})</code>', page)
    assert found, page.decode()
    return found[1].decode()


def ask(token: str) -> int:
    return Client().get("/api/v1/sign-ins/CUST001", headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.mark.parametrize("who", ["agent_client", "second_agent_client", "supervisor_client"])
def test_only_admins_see_or_make_or_revoke_one(who: str, request: pytest.FixtureRequest) -> None:
    client: Client = request.getfixturevalue(who)
    api_clients.create("portal", ["codes"], 600, by=cast.ADMIN)
    assert client.get("/api/clients/").status_code == 403
    assert client.get("/api/docs/").status_code == 403
    assert client.post("/api/clients/new/", {**PORTAL, "name": "mine"}).status_code == 403
    assert client.post("/api/clients/portal/revoke/").status_code == 403
    assert [each.name for each in api_clients.listing() if not each.revoked] == ["portal"]


class TestMaking:
    def test_its_token_works_and_is_shown_once(self, admin_client: Client, store: Redis) -> None:
        page = admin_client.post("/api/clients/new/", PORTAL)
        token = token_on(page.content)
        assert page["Cache-Control"] == "no-store"
        assert ask(token) == 200
        for path in ("/api/clients/", "/api/clients/new/", "/security/api-portal/"):
            assert token.encode() not in admin_client.get(path).content
        kept = json.dumps(list(ApiClient.objects.values()), default=str)
        kept += "".join(f"{name} {store.get(name)}" for name in store.scan_iter() if store.type(name) == "string")
        assert token not in kept and token.removeprefix("tdl_") not in kept

    def test_it_may_do_what_was_ticked_and_no_more(self, admin_client: Client) -> None:
        admin_client.post("/api/clients/new/", PORTAL)
        (made,) = api_clients.listing()
        assert (made.abilities, made.rate, made.made_by) == (("sessions", "sign-ins"), 600, cast.ADMIN)

    def test_it_is_on_record(self, admin_client: Client, store: Redis) -> None:
        admin_client.post("/api/clients/new/", PORTAL)
        (record,) = audit.history(store, audit.SECURITY, "api-portal")
        assert record.text == "API client made by ADM001: may use sessions, sign-ins, 600 requests a minute"

    def test_the_same_form_twice_makes_one_whose_token_stays_good(self, admin_client: Client) -> None:
        token = token_on(admin_client.post("/api/clients/new/", PORTAL).content)
        again = admin_client.post("/api/clients/new/", PORTAL)
        assert again.status_code == 409 and b"take another name" in again.content
        assert ask(token) == 200 and len(api_clients.listing()) == 1

    def test_a_name_is_never_used_again(self, admin_client: Client) -> None:
        admin_client.post("/api/clients/new/", PORTAL)
        admin_client.post("/api/clients/portal/revoke/")
        assert admin_client.post("/api/clients/new/", PORTAL).status_code == 409

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""), ("name", "Portal"), ("name", "a b"), ("name", "a:b"), ("name", "x" * 41), ("name", "a\n"),
            ("name", "<b>"), ("rate", "7"), ("rate", ""), ("abilities", []), ("abilities", ["everything"]),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_said_and_makes_none(self, admin_client: Client, field: str, value: object) -> None:
        response = admin_client.post("/api/clients/new/", {**PORTAL, field: value})
        if (field, value) == ("name", "a\n"):
            assert [each.name for each in api_clients.listing()] == ["a"], "the end of a line is no part of it"
            return
        assert response.status_code == 200 and b'class="error"' in response.content
        assert api_clients.listing() == []

    def test_what_cannot_be_recorded_is_not_made(self, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise ConnectionError("no store")

        monkeypatch.setattr(api_clients, "_record", full)
        with pytest.raises(ConnectionError):
            admin_client.post("/api/clients/new/", PORTAL)
        assert api_clients.listing() == []


class TestRevoking:
    @pytest.fixture
    def token(self, admin_client: Client) -> str:
        return token_on(admin_client.post("/api/clients/new/", PORTAL).content)

    def test_from_the_next_request_on_its_token_is_worth_nothing(
        self, admin_client: Client, store: Redis, token: str
    ) -> None:
        response = admin_client.post("/api/clients/portal/revoke/", follow=True)
        assert response.redirect_chain == [("/api/clients/", 302)]
        assert b"portal is revoked" in response.content and b"Revoked" in response.content
        assert ask(token) == 401
        assert audit.history(store, audit.SECURITY, "api-portal")[0].text == "API client revoked by ADM001"

    def test_it_takes_a_form_not_a_link(self, admin_client: Client, token: str) -> None:
        assert admin_client.get("/api/clients/portal/revoke/").status_code == 405
        assert ask(token) == 200

    @pytest.mark.parametrize("name", ["portal", "nobody", "%3Cb%3E"])
    def test_one_that_is_revoked_already_or_never_was_says_so(
        self, admin_client: Client, store: Redis, token: str, name: str
    ) -> None:
        admin_client.post("/api/clients/portal/revoke/")
        before = len(audit.history(store, audit.SECURITY, "api-portal"))
        response = admin_client.post(f"/api/clients/{name}/revoke/", follow=True)
        assert b"There is no such client" in response.content
        assert len(audit.history(store, audit.SECURITY, "api-portal")) == before


class TestPages:
    def test_the_list_tells_what_each_may_and_when_it_asked_last(self, admin_client: Client) -> None:
        token = token_on(admin_client.post("/api/clients/new/", PORTAL).content)
        assert b"Never" in admin_client.get("/api/clients/").content
        ask(token)
        page = admin_client.get("/api/clients/").content
        assert b"Never" not in page and b"Sessions, Sign-ins" in page.replace(b"Sign ins", b"Sign-ins")

    def test_an_empty_list_says_what_to_do(self, admin_client: Client) -> None:
        assert b"No system uses the API" in admin_client.get("/api/clients/").content

    def test_every_operation_is_told_with_a_request_to_copy(self, admin_client: Client) -> None:
        page = html.unescape(admin_client.get("/api/docs/").content.decode())
        for operation in OPERATIONS:
            assert f'id="{operation.name}"' in page and operation.description.replace("`", "") in page
            assert f"curl -X {operation.method} http://testserver/api/v1/{operation.path.split('{')[0]}" in page
        for kind in KINDS:
            assert f'id="{kind.name}"' in page, "problems lead here by their type"

    def test_it_is_within_the_pages_policy(self, admin_client: Client) -> None:
        response = admin_client.get("/api/docs/")
        assert "'unsafe" not in response["Content-Security-Policy"]
        scripts = re.findall(r"<script[^>]*>", response.content.decode())
        assert scripts and all('src="/' in each for each in scripts)
