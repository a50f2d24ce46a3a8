"""Our own keys, broken or taken away by other tools: mended in passing, never in the way of the business."""

from __future__ import annotations

import pytest
from django.test import Client
from redis import Redis

from dashboard import keys
from dashboard.errors import Conflict
from dashboard.repository import agents, policies, quotes, reindex
from dashboard.repository.agents import Scope
from tests import book, cast

ALL = Scope()


def total(store: Redis) -> int:
    return policies.listing(store, ALL, policies.Filter()).total


def break_cells(store: Redis) -> None:
    for name in store.keys("dash:index:policies:*") + store.keys("dash:indexed:policies:*"):
        store.set(name, "broken")


def test_a_change_drops_what_is_broken_and_is_whole(store: Redis) -> None:
    book.policy()
    break_cells(store)
    number = book.policy()
    assert store.get(f"policy:auto:{number}:premium") == "1200"
    assert [row.number for row in policies.listing(store, ALL, policies.Filter()).rows] == [number]


def test_reindex_makes_the_lists_anew(store: Redis) -> None:
    for _ in range(3):
        book.policy()
    break_cells(store)
    reindex.reconcile(store, thorough=True)
    assert total(store) == 3


def test_a_quote_with_an_unreadable_value_is_not_made_a_policy(store: Redis) -> None:
    number = book.quote()
    store.set(keys.quote_field("auto", number, "vehicle"), "x" * 10_000, keepttl=True)
    with pytest.raises(Conflict, match="10,000 characters"):
        quotes.bind("auto", number, {}, effective=policies.clock.today(), by="AG001")
    assert not store.keys("policy:*")


def test_branches_taken_away_open_nothing(store: Redis, demo: None) -> None:
    number = book.policy(agent=cast.AGENT)
    houston = cast.signed_in(cast.SECOND_AGENT)
    assert houston.get(f"/policies/auto/{number}/").status_code == 404
    store.delete(keys.agents())
    assert houston.get(f"/policies/auto/{number}/").status_code == 404
    assert agents.directory(store).branch_of(cast.AGENT) == "dallas"


@pytest.mark.parametrize("path", ["/customers/", "/policies/", "/locations/"])
def test_saved_filters_that_were_broken_keep_nobody_from_a_list(store: Redis, demo: None, path: str) -> None:
    client: Client = cast.signed_in(cast.AGENT)
    store.set(keys.saved_filters(cast.AGENT), "broken")
    assert client.get(path).status_code == 200
    assert client.post("/filters/remove/", {"next": path, "name": "Mine"}).status_code == 302
    client.post("/filters/save/", {"next": f"{path}?order=down", "name": "Mine"})
    assert f'href="{path}?order=down"' in client.get(path).content.decode()
    assert store.hgetall(keys.saved_filters(cast.AGENT)) == {f"{path}\tMine": "order=down"}


def test_a_date_that_cannot_be_read_outlives_an_edit(store: Redis, demo: None) -> None:
    client: Client = cast.signed_in(cast.AGENT)
    number = book.policy()
    store.set(f"policy:auto:{number}:expiration_date", "next spring")
    seen = policies.get(store, "auto", number).seen
    typed = {"status": "ACTIVE", "customer": "CUST001", "agent": "AG001", "premium": "1300", "seen": seen}
    assert client.post(f"/policies/auto/{number}/edit/", typed).status_code == 302
    assert store.get(f"policy:auto:{number}:expiration_date") == "next spring"


def test_what_was_typed_to_bind_outlives_the_quote(store: Redis, demo: None) -> None:
    client: Client = cast.signed_in(cast.AGENT)
    number = book.quote()
    store.delete(*keys.quote_keys("auto", number))
    typed = {"effective": "2031-01-01", "vehicle_vin": "1HGBH41JXMN109186", "deductible": "750"}
    page = client.post(f"/quotes/auto/{number}/bind/", typed).content.decode()
    assert 'value="1HGBH41JXMN109186"' in page and 'value="750"' in page


def test_invisible_characters_are_made_visible(store: Redis, demo: None) -> None:
    number = book.quote()
    store.set(keys.quote_field("auto", number, "vehicle"), "Kia\u202eoiR\x00", keepttl=True)
    page = cast.signed_in(cast.AGENT).get("/quotes/").content.decode()
    assert "\\u202e" in page and "\\u0000" in page and "holds invisible characters" in page
    assert "\x00" not in page and "\u202e" not in page
