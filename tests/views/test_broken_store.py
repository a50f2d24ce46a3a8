"""What other tools may do to the keys, of theirs and of ours: no page breaks, and nothing wrong is made permanent."""

from __future__ import annotations

import pytest
from django.db import OperationalError
from django.test import Client
from redis import Redis

from dashboard import accounts, clock, keys
from dashboard.errors import Conflict
from dashboard.repository.store import change
from tests import book, cast


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, response.content.decode()
    return response.content.decode().replace("<wbr>", "")


@pytest.mark.parametrize("deadline", [253_402_300_800_000, 10**15, 2**62])
def test_a_deadline_beyond_the_calendar_is_shown(agent_client: Client, store: Redis, deadline: int) -> None:
    number = book.quote()
    store.pexpireat(keys.quote("auto", number), deadline)
    assert number in text(agent_client, f"/quotes/auto/{number}/")
    assert agent_client.get("/quotes/").status_code == 200
    assert agent_client.post(f"/quotes/auto/{number}/extend/").status_code == 302


@pytest.mark.parametrize("written", ["²", "9" * 5000, "-1", "soon"])
def test_a_quotes_terms_that_are_no_numbers_are_left_aside(agent_client: Client, store: Redis, written: str) -> None:
    number = book.quote()
    store.hset(keys.quote_terms("auto", number), mapping={"lifetime": written, "extensions": written})
    assert number in text(agent_client, "/quotes/")


def test_a_quotes_terms_and_snapshot_of_another_type_are_left_aside(agent_client: Client, store: Redis) -> None:
    number = book.quote()
    store.set(keys.quote_terms("auto", number), "x")
    store.set(keys.quote_snapshot("auto", number), "x")
    assert number in text(agent_client, "/quotes/")
    text(agent_client, f"/quotes/new/?from=auto:{number}")


@pytest.mark.parametrize("years", ["99999", "-3000", "999999999999999"])
def test_a_term_that_no_calendar_has_is_not_bound(agent_client: Client, store: Redis, years: str) -> None:
    number = book.quote("life")
    store.set(keys.quote_field("life", number, "term_years"), years, keepttl=True)
    answer = agent_client.post(f"/quotes/life/{number}/bind/", {"effective": clock.today().isoformat()})
    assert "cannot be insured" in answer.content.decode()
    assert store.exists(keys.quote("life", number))


def test_a_premium_below_zero_is_not_bound(agent_client: Client, store: Redis) -> None:
    number = book.quote()
    store.set(keys.quote_field("auto", number, "premium"), "-5", keepttl=True)
    answer = agent_client.post(f"/quotes/auto/{number}/bind/", {"effective": clock.today().isoformat()})
    assert "no premium" in answer.content.decode()
    assert store.exists(keys.quote("auto", number))


def test_broken_utf8_can_be_edited_around(agent_client: Client, store: Redis) -> None:
    number = book.policy()
    store.set(keys.policy_field("auto", number, "status"), b"\xff\xfeodd")
    assert "\\xff\\xfeodd" in text(agent_client, f"/policies/auto/{number}/edit/")


def test_a_member_of_the_index_that_names_nothing_is_skipped(supervisor_client: Client, store: Redis) -> None:
    number = book.policy()
    (cell,) = store.scan_iter("dash:index:policies:branch=*,product=auto:number")
    store.zadd(cell, {"nonsense": 1, "boat:1": 2, "auto:a b": 3})
    assert number in text(supervisor_client, "/policies/")
    assert store.zcard(cell) == 1


def test_a_key_of_ours_of_another_type_is_named_with_its_remedy(agent_client: Client, store: Redis) -> None:
    book.policy()
    for cell in store.scan_iter("dash:index:policies:*"):
        store.set(cell, "x")
    page = text(agent_client, "/policies/", 409)
    assert "dash:index:policies:" in page
    assert "manage.py reindex" in page


def test_signing_in_mends_the_copy_of_the_branches(demo: None, store: Redis) -> None:
    store.delete(keys.agents())
    store.set(keys.agents(), "x")
    cast.signed_in(cast.AGENT)
    assert store.hget(keys.agents(), cast.AGENT) == "dallas"
    accounts.sync_directory()


def test_accounts_that_cannot_be_reached_are_told_and_sign_nobody_out(
    agent_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr("dashboard.accounts.viewer_for", locked)
        assert "accounts cannot be reached" in text(agent_client, "/quotes/", 503)
        answer = Client().post("/login/", {"username": cast.SECOND_AGENT, "password": cast.PASSWORD})
        assert answer.status_code == 503
    text(agent_client, "/quotes/")


@pytest.mark.parametrize("path", ["/", "/quotes/", "/policies/", "/metrics/", "/go/?q=CUST001"])
def test_a_page_may_be_asked_for_its_head(agent_client: Client, path: str) -> None:
    assert agent_client.head(path).status_code in (200, 404)


@pytest.mark.parametrize("written", ["not json", "[]", "{}", '"x"', "[" * 100_000])
def test_a_token_that_cannot_be_read_does_nothing_twice(store: Redis, written: str) -> None:
    store.set(keys.token("a" * 40), written)
    with pytest.raises(Conflict, match="sent before"):
        change(lambda draft: draft.set("policy:auto:1:status", "x"), token="a" * 40)
    assert not store.exists("policy:auto:1:status")
