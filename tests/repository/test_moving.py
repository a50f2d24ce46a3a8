"""An agent in another branch: everything of theirs is the new branch's to see, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from dashboard.repository import agents, claims, jobs, lapsed, moving, policies, quotes
from dashboard.repository.agents import Scope
from dashboard.repository.index import UNKNOWN
from tests import book

DALLAS, HOUSTON = Scope(frozenset({"dallas"})), Scope(frozenset({"houston"}))


@pytest.fixture
def office(store: Redis) -> Iterator[Redis]:
    agents.save(store, {"AG001": "dallas", "AG002": "houston", "AG003": "dallas"})
    yield store


def move(store: Redis, branch: str, was: str) -> jobs.Job | None:
    agents.save(store, {**agents.directory(store).branches, "AG001": branch})
    job = moving.follow("AG001", was, by="ADM001")
    while jobs.work_once(store):
        pass
    return jobs.get(store, job) if job else None


def cells(store: Redis, area: str, branch: str) -> set[str]:
    """What the index itself has under a branch, before any reader mends it."""
    return {
        member
        for name in store.scan_iter(f"dash:index:{area}:*branch={branch}*")
        for member in store.zrange(name, 0, -1)
    }


def test_policies_and_quotes_stand_under_the_new_branch_and_those_of_others_stay(office: Redis) -> None:
    policy, quote, others = book.policy(), book.quote("home"), book.policy(agent="AG003")
    withdrawn = book.quote()
    quotes.withdraw("auto", withdrawn, by="AG001")
    done = move(office, "houston", "dallas")
    assert done and (done.state, done.failed) == ("done", 0)
    assert cells(office, "policies", "houston") == {f"auto:{policy}"}
    assert cells(office, "policies", "dallas") == {f"auto:{others}"}
    assert cells(office, "quotes", "houston") == {f"home:{quote}"}
    assert cells(office, "quotes", "dallas") == set()
    assert [each.number for each in lapsed.listing(office, HOUSTON, lapsed.Filter()).rows] == [withdrawn]


def test_claims_go_where_their_policies_go(office: Redis) -> None:
    mine, others = book.policy(), book.policy(agent="AG003")
    claim = claims.report(summary="Hail", policy=f"auto:{mine}", by="AG001")
    foreign = claims.report(summary="Fire", policy=f"auto:{others}", by="AG003")
    decided = claims.report(summary="Theft", policy=f"auto:{mine}", by="AG001")
    claims.deny(decided, "No cover", by="SUP001")
    move(office, "houston", "dallas")
    assert cells(office, "claims", "houston") == {claim, decided}
    assert cells(office, "claims", "dallas") == {foreign}


def test_control_without_it_the_index_has_them_where_they_were(office: Redis) -> None:
    policy = book.policy()
    agents.save(office, {"AG001": "houston", "AG003": "dallas"})
    assert cells(office, "policies", "dallas") == {f"auto:{policy}"}
    assert cells(office, "policies", "houston") == set()


def test_pages_that_were_open_are_told(office: Redis) -> None:
    book.policy()
    with office.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe("dash:live")
        heard.get_message(timeout=1)
        move(office, "houston", "dallas")
        said = []
        while message := heard.get_message(timeout=0.2):
            said.append(message["data"])
    assert any('"policies"' in each for each in said)


def test_who_becomes_an_agent_takes_what_nobody_knew(office: Redis) -> None:
    agents.save(office, {"AG002": "houston"})
    policy = book.policy()
    assert cells(office, "policies", "houston") == set()
    move(office, "houston", UNKNOWN)
    assert cells(office, "policies", "houston") == {f"auto:{policy}"}


def test_who_has_nothing_is_no_work(office: Redis) -> None:
    book.policy(agent="AG003")
    assert move(office, "houston", "dallas") is None


def test_what_is_sold_while_it_goes_on_is_where_it_belongs(office: Redis) -> None:
    first = book.policy()
    agents.save(office, {"AG001": "houston"})
    job = moving.follow("AG001", "dallas", by="ADM001")
    second = book.policy()
    while jobs.work_once(office):
        pass
    assert job and cells(office, "policies", "houston") == {f"auto:{first}", f"auto:{second}"}
    assert [each.number for each in policies.listing(office, DALLAS, policies.Filter()).rows] == []


def test_ids_are_read_in_parts(office: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "_READ", 3)
    made = {f"auto:{book.policy()}" for _ in range(8)}
    done = move(office, "houston", "dallas")
    assert done and done.total == 8
    assert cells(office, "policies", "houston") == made
