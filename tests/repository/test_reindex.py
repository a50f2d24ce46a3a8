"""Making the indexes anew: everything that is stored is found, nothing that is gone stays, at any moment, at any size."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from redis.client import Pipeline

from dashboard import clock, keys
from dashboard.repository import agents, areas, audit, claims, metrics, policies, quotes, reindex, security, sessions
from dashboard.repository.agents import Scope
from dashboard.repository.areas import AREAS
from dashboard.repository.reindex import reconcile
from tests.contents import indexes

ALL = Scope()

AS_WRITTEN = {
    "policies": {"auto:100001", "auto:100002", "home:200001"},
    "quotes": {"auto:Q001", "life:Q007"},
    "claims": {"CLM001", "CLM003", "CLM004"},
    "sessions": {"customer:CUST001:portal", "mobile:CUST001:device123", "agent:AG001:workstation"},
    "security": {"lock:CUST001", "failures:CUST002"},
}
"""What each area's index should hold of what follows."""


def written_by_others(store: Redis) -> None:
    """One of each, by plain commands, as in the customer's document; nothing is indexed."""
    agents.save(store, {"AG001": "dallas"})
    pipe = store.pipeline()
    for name, value in {
        "policy:auto:100001:status": "ACTIVE",
        "policy:auto:100001:agent": "AG001",
        "policy:auto:100001:customer": "CUST001",
        "policy:home:200001:premium": "800",
        "claim:CLM001:status": "APPROVED",
        "claim:CLM001:final_amount": "3200",
    }.items():
        pipe.set(name, value)
    pipe.hset("policy:auto:100002", mapping={"status": "ACTIVE", "agent": "AG001"})
    for name in ("quote:auto:Q001", "quote:life:Q007", "claim:temp:CLM003", "claim:temp:CLM003:reporter"):
        pipe.set(name, "CUST001", ex=300)
    for name in (
        "investigation:CLM004",
        "session:customer:CUST001:portal",
        "session:mobile:CUST001:device123",
    ):
        pipe.set(name, "ADJ001", ex=300)
    pipe.set("session:agent:AG001:workstation", "authenticated|branch:dallas", ex=300)
    pipe.set("security:lockout:CUST001:level1", "3_attempts", ex=300)
    pipe.set("security:failed_logins:CUST002", "1", ex=300)
    pipe.set("audit:policy:auto:100001:change:20240818", "Premium updated from 1200 to 1350 by AG001", ex=300)
    pipe.set("audit:access:customer:CUST001:20240818", "Viewed by AG001", ex=300)
    pipe.set(f"metrics:daily:{clock.today()}:agent:AG009:policies_sold", "5", ex=300)
    pipe.execute()


def members(store: Redis, area: str) -> set[str]:
    return {member for name in store.keys(f"dash:indexed:{area}:*") for member in store.hkeys(name)}


# -- what is there


def test_whatever_others_wrote_is_found(store: Redis) -> None:
    written_by_others(store)
    done = reconcile(store)
    assert done.finished
    assert {area: members(store, area) for area in AS_WRITTEN} == AS_WRITTEN
    assert metrics.agents_with_figures(store, clock.today()) == {"AG009"}
    assert [each.text for each in audit.history(store, audit.POLICY, "auto", "100001")] == [
        "Premium updated from 1200 to 1350 by AG001"
    ]


def test_a_second_time_changes_nothing(store: Redis) -> None:
    written_by_others(store)
    reconcile(store)
    before = indexes(store)
    done = reconcile(store)
    assert (done.written, done.removed) == (0, 0)
    assert indexes(store) == before
    done = reconcile(store, thorough=True)
    assert done.removed == 0
    assert indexes(store) == before


def test_what_others_changed_is_followed(store: Redis) -> None:
    written_by_others(store)
    reconcile(store)
    store.set("policy:auto:100001:status", "CANCELLED")
    store.set("policy:home:200001:agent", "AG001")  # of a policy without status
    reconcile(store)
    cancelled = policies.listing(store, ALL, policies.Filter(status="CANCELLED"))
    assert [row.id for row in cancelled.rows] == ["auto:100001"]
    assert {row.id for row in policies.listing(store, ALL, policies.Filter(agent="AG001")).rows} == {
        "auto:100001", "auto:100002", "home:200001"
    }  # fmt: skip


def test_a_policy_is_looked_at_once_not_for_each_of_its_keys(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        for field in ("status", "premium", "customer", "agent", "details", "deductible"):
            store.set(f"policy:auto:{number}:{field}", "1")
    reconcile(store)
    asked: list[str] = []
    refresh = areas.refresh

    def counted(client: Redis, area: str, found: Any, **options: Any) -> int:
        asked.extend(found)
        return refresh(client, area, found, **options)

    monkeypatch.setattr(reindex, "SLICE", 10)
    monkeypatch.setattr(areas, "refresh", counted)
    reconcile(store)
    customer = "1"  # known by the policies alone
    assert sorted(asked) == sorted([customer, *(f"auto:{number}" for number in range(100))])


# -- what is gone


@pytest.mark.parametrize("thorough", [False, True])
def test_what_is_gone_is_taken_out(store: Redis, thorough: bool) -> None:
    written_by_others(store)
    reconcile(store)
    kept = ("dash:index", "dash:history", "dash:sequence", "dash:agents", "audit:")
    gone = [name for name in store.keys("*") if not name.startswith(kept)]  # what we keep of the ended, too
    store.delete(*gone)
    done = reconcile(store, thorough=thorough)
    assert done.removed
    left = {name for name in store.keys("dash:index*") if name.split(":")[2] != "ended"}
    assert not left  # of the quotes it is known that they have ended


def test_what_ended_by_its_own_is_taken_out(store: Redis) -> None:
    store.set("quote:auto:Q001", "Honda", px=40)
    store.set("quote:auto:Q002", "BMW", ex=60)
    reconcile(store)
    while store.exists("quote:auto:Q001"):
        pass
    reconcile(store)
    assert members(store, "quotes") == {"auto:Q002"}


# -- thoroughly


def test_a_lost_cell_is_made_again(store: Redis) -> None:
    written_by_others(store)
    reconcile(store)
    whole = indexes(store)
    store.delete(*store.keys("dash:index:policies:*"))
    reconcile(store)
    assert not store.keys("dash:index:policies:*")  # the quick way trusts what the index says of itself
    reconcile(store, thorough=True)
    assert indexes(store) == whole


def test_a_lost_index_is_made_again(store: Redis) -> None:
    written_by_others(store)
    reconcile(store)
    whole = indexes(store)
    store.delete(*whole)
    reconcile(store, thorough=True)
    assert indexes(store) == whole


def test_strays_in_a_cell_are_taken_out(store: Redis) -> None:
    written_by_others(store)
    reconcile(store)
    whole = indexes(store)
    for cell in ("branch=houston,product=auto", "agent=AG001,product=auto,status=LAPSED", "customer=CUST001"):
        store.zadd(keys.index("policies", cell, "number"), {"auto:100002": 5, "auto:999": 6})
    store.zadd(keys.index("quotes", "all", "deadline"), {"auto:Q999": 6})
    done = reconcile(store, thorough=True)
    assert done.removed == 7
    assert indexes(store) == whole


def test_cells_that_no_list_has_any_more_are_dropped(store: Redis) -> None:
    written_by_others(store)
    reconcile(store)
    whole = indexes(store)
    for area, cell, sort in (
        ("policies", "colour=red", "number"),
        ("policies", "customer=", "number"),
        ("policies", "customer=CUST001", "age"),
        ("boats", "all", "deadline"),
    ):
        store.zadd(keys.index(area, cell, sort), {"auto:100001": 1})
    reconcile(store, thorough=True)
    assert indexes(store) == whole


def test_histories_lose_records_that_have_ended(store: Redis) -> None:
    written_by_others(store)
    reconcile(store)
    store.delete("audit:policy:auto:100001:change:20240818")
    reconcile(store, thorough=True)
    assert not store.exists(keys.history("policies", "auto.100001"))


def test_a_record_that_is_listed_is_not_listed_again(store: Redis) -> None:
    policies.create({"status": "ACTIVE", "premium": "900"}, "auto", by="AG001")
    listed = keys.history("policies", "auto.100001")
    before = store.pexpiretime(listed), store.zrange(listed, 0, -1, withscores=True)
    assert reconcile(store).written == 0
    assert (store.pexpiretime(listed), store.zrange(listed, 0, -1, withscores=True)) == before


# -- numbers


def test_new_numbers_are_beyond_those_in_use(store: Redis) -> None:
    for name in ("policy:auto:100450:status", "policy:auto:100007:premium", "policy:home:boat-9:status"):
        store.set(name, "x")
    store.set("quote:life:Q0120", "x", ex=60)
    store.set("claim:CLM017:status", "DENIED")
    reconcile(store)
    assert recorded(store) == {"policy-auto": "100450", "quote": "120", "claim": "17"}


def test_a_number_is_never_lowered(store: Redis) -> None:
    store.set(keys.sequence("policy-auto"), 200_000)
    store.set("policy:auto:100450:status", "x")
    reconcile(store)
    assert recorded(store) == {"policy-auto": "200000"}


def test_numbers_of_another_kind_do_not_carry_ours_away(store: Redis) -> None:
    for number in ("20240818103000123", "١٢٣", "12a", "0x12"):
        store.set(f"policy:auto:{number}:status", "x")
    store.set("quote:auto:99", "x", ex=60)
    reconcile(store)
    assert recorded(store) == {}


def test_a_number_given_meanwhile_is_not_given_again(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sequence passes the highest known number between the look and the leap: the leap is made anew."""
    given: list[int] = []
    mget = Pipeline.mget

    def look(self: Any, names: Any) -> Any:
        found = mget(self, names)
        if not given:
            given.append(store.incrby(names[0], 10))
        return found

    monkeypatch.setattr(Pipeline, "mget", look)
    reindex.raise_sequence(store, "claim", 5)
    assert store.get(keys.sequence("claim")) == "10"


def recorded(store: Redis) -> dict[str, str]:
    return {name.removeprefix("dash:sequence:"): store.get(name) for name in store.keys("dash:sequence:*")}


# -- on the way


def test_it_can_be_stopped_at_any_slice_and_begun_again(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex, "SLICE", 10)
    for number in range(300):
        store.set(f"policy:auto:{number}:status", "ACTIVE")
    slices = iter(range(6))
    done = reconcile(store, stop=lambda: next(slices) == 5)
    assert not done.finished
    assert 0 < len(members(store, "policies")) < 300
    assert reconcile(store).finished
    assert policies.listing(store, ALL, policies.Filter()).total == 300


def test_it_tells_how_far_it_came(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex, "SLICE", 10)
    for number in range(100):
        store.set(f"policy:auto:{number}:status", "ACTIVE")
    told: list[tuple[int, int]] = []
    reconcile(store, progress=lambda done, total: told.append((done, total)))
    assert len(told) > 5
    assert told == sorted(told) and all(done <= total for done, total in told)


def test_it_rests_in_proportion_to_its_work(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(reindex, "SLICE", 10)
    monkeypatch.setattr(reindex.time, "sleep", rests.append)
    for number in range(100):
        store.set(f"policy:auto:{number}:status", "ACTIVE")
    reconcile(store)
    assert not rests
    reconcile(store, pause=0.000_001)
    assert len(rests) > 5 and all(rest > 0.000_1 for rest in rests)


def test_broken_keys_of_any_kind_stop_nothing(store: Redis) -> None:
    written_by_others(store)
    pipe = store.pipeline()
    pipe.sadd("policy:auto:1:status", "a set")
    pipe.set("policy:auto:2", "a string where a hash belongs")
    pipe.hset("quote:auto:Q009", "a", "hash")
    pipe.lpush("session:customer:CUST009:portal", "a list")
    pipe.sadd("claim:temp:CLM009", "a set")
    pipe.set("metrics:daily:2024-08-18:agent:AG001:revenue", "no number", ex=60)
    pipe.set("audit:policy:auto:1:change:99999999", "no day")
    pipe.set("nobody knows this", "1")
    pipe.execute()
    store.execute_command("SET", b"policy:auto:\xff\xfe:status", "ACTIVE")
    store.execute_command("SET", b"policy:auto:100009:status", b"\xff\xfe")
    assert reconcile(store, thorough=True).finished
    assert reconcile(store).finished
    assert "auto:100009" in members(store, "policies")


@pytest.mark.parametrize("area", AS_WRITTEN)
def test_each_area_knows_the_anchors_of_its_things(store: Redis, area: str) -> None:
    written_by_others(store)
    reconcile(store)
    anchorless = {"home:200001"}
    for member in members(store, area):
        names = AREAS[area].anchor_keys(member)
        assert names
        assert bool(store.exists(*names)) == (member not in anchorless)
        for name in names:
            parsed = keys.parse(name)
            assert parsed and parsed.subject == member and AREAS[area].is_anchor(parsed)


def test_pages_show_it_all_afterwards(store: Redis) -> None:
    written_by_others(store)
    reconcile(store)
    assert policies.listing(store, ALL, policies.Filter()).total == 3
    assert quotes.listing(store, ALL, quotes.Filter()).total == 2
    stages = {column.stage: column.total for column in claims.pipeline(store, ALL, claims.Filter()) if column.total}
    assert stages == {"reported": 1, "investigating": 1, "approved": 1}
    assert sessions.listing(store, sessions.Filter()).total == 3
    assert security.locks(store).total == 1
