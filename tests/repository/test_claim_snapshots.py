"""Trap 25: no unhandled claim is ever lost. Its facts are kept from first sight, listed when the record ends, restored."""

from __future__ import annotations

from decimal import Decimal

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, NotFound
from dashboard.repository import audit, claims, reindex
from dashboard.repository.agents import Scope
from dashboard.repository.claims import Filter
from tests.repository.test_claims import (
    APPROVE,
    ASSIGN,
    REPORT,
    a_policy,
    by_other_tools,
    deadlines_of,
    investigated,
    record_of,
    reported,
)

EVERYTHING = Scope()
YEAR = keys.YEAR * clock.SECOND


def end(store: Redis, number: str) -> dict[str, str]:
    """The record as its time runs out; gives what it was. The index hears of it as the follower lets it."""
    record = record_of(store, number)
    for name in record:
        store.pexpireat(name, clock.now_ms() - 1)
    claims.refresh(store, [number])
    return record


def lapsed(store: Redis, scope: Scope = EVERYTHING) -> list[str]:
    return [row.number for row in claims.listing(store, scope, Filter(), "lapsed").rows]


def test_trap_25_a_report_nobody_handled_is_listed_when_it_has_ended_and_kept_a_year(store: Redis) -> None:
    a_policy(store)
    number = reported()
    (deadline,) = deadlines_of(store, number)
    assert store.pexpiretime(keys.claim_snapshot(number)) == deadline + YEAR
    end(store, number)
    assert lapsed(store) == [number]
    assert lapsed(store, Scope(frozenset({"houston"}))) == [], "only to whom the claim was visible"
    claim = claims.lapsed(store, number)
    assert (claim.stage, claim.summary, claim.customer_name) == ("lapsed", "Auto Accident", "John Smith")
    assert (claim.branch, claim.location) == ("dallas", "I-35 and Main St, Dallas TX")
    with pytest.raises(Expired, match="restore it"):
        claims.get(store, number)


def test_trap_25_a_claim_of_another_tool_is_kept_from_first_sight(store: Redis) -> None:
    by_other_tools(store, REPORT + ASSIGN)
    before = end(store, "CLM003")
    assert lapsed(store) == ["CLM003"]
    claims.restore("CLM003", by="AG001")
    assert record_of(store, "CLM003") == before
    assert claims.get(store, "CLM003").photos == 12


def test_a_restored_report_has_its_seven_days_an_investigation_its_thirty_and_a_record_of_it(store: Redis) -> None:
    for number, life in ((reported(policy=None), claims.REPORTED_LIFE), (investigated(policy=None), 30 * clock.DAY)):
        before = end(store, number)
        claims.restore(number, by="AG001")
        assert record_of(store, number) == before
        (deadline,) = deadlines_of(store, number)
        assert 0 <= clock.now_ms() + life - deadline < 5_000
        assert audit.history(store, audit.CLAIM, number)[0].text.startswith("Restored by AG001: the claim")
        assert number not in lapsed(store)
        with pytest.raises(Conflict, match="restored already"):
            claims.restore(number, by="AG001")


def test_a_restoration_sent_twice_is_made_once_and_nothing_comes_of_nothing(store: Redis) -> None:
    number = reported(policy=None)
    end(store, number)
    assert claims.restore(number, by="AG001", token="t") == claims.restore(number, by="AG001", token="t")
    for unknown in ("CLM999", "temp", "a b"):
        with pytest.raises(NotFound):
            claims.restore(unknown, by="AG001")


def test_trap_26_what_another_tools_approval_drops_or_leaves_to_end_can_be_kept(store: Redis) -> None:
    a_policy(store)
    by_other_tools(store, REPORT + ASSIGN)
    by_other_tools(store, APPROVE)
    before = claims.get(store, "CLM003")
    assert (before.stage, before.location, before.incident, before.reporter) == ("approved", None, None, None)
    assert claims.missing(store, before) == 7
    words = claims.restore("CLM003", by="AG001", token="t")
    assert claims.restore("CLM003", by="AG001", token="t") == words
    after = claims.get(store, "CLM003")
    assert (after.location, after.reporter, after.first_estimate) == ("I-35 and Main St, Dallas TX", "CUST001", 3500)
    assert (after.final_amount, after.decided, after.stage) == (before.final_amount, before.decided, "approved")
    assert store.get("claim:CLM003:incident_date") == "2024-08-18T14:30:00Z"
    assert store.get("investigation:CLM003:status") == "CLOSED"
    assert deadlines_of(store, "CLM003") == {-1} and not store.keys("claim:temp:CLM003*")
    assert claims.missing(store, after) == 0
    assert audit.history(store, audit.CLAIM, "CLM003")[0].text.startswith("Completed by AG001")
    with pytest.raises(Conflict, match="already approved"):
        claims.restore("CLM003", by="AG001")


def test_a_decision_of_which_nothing_else_was_ever_known_lacks_nothing(store: Redis) -> None:
    by_other_tools(store, APPROVE.partition("DEL ")[0])
    assert claims.missing(store, claims.get(store, "CLM003")) == 0
    number = investigated(policy=None)
    claims.approve(number, Decimal(100), by="SUP001")
    assert claims.missing(store, claims.get(store, number)) == 0


def test_restoring_a_fact_gives_no_end_to_a_record_that_another_tool_keeps_for_good(store: Redis) -> None:
    store.set("claim:temp:CLM900", "Fire - Initial Report")
    store.set("claim:temp:CLM900:location", "Houston", ex=60)
    claims.refresh(store, ["CLM900"])
    store.delete("claim:temp:CLM900:location")
    claims.restore("CLM900", by="AG001")
    assert claims.get(store, "CLM900").location == "Houston"
    assert deadlines_of(store, "CLM900") == {-1}


def test_the_last_keys_of_a_claim_do_not_take_what_the_first_ones_told(store: Redis) -> None:
    """As the document writes it: the report ends after 7 days, its investigation after 30."""
    by_other_tools(store, REPORT + ASSIGN)
    for name in store.keys("claim:temp:CLM003*"):
        store.delete(name)
    claims.refresh(store, ["CLM003"])
    assert claims.get(store, "CLM003").location is None
    assert claims.missing(store, claims.get(store, "CLM003")) == 4
    ends = max(deadlines_of(store, "CLM003"))
    claims.restore("CLM003", by="AG001")
    assert claims.get(store, "CLM003").location == "I-35 and Main St, Dallas TX"
    assert deadlines_of(store, "CLM003") == {ends}, "with the time the claim has"
    assert claims.missing(store, claims.get(store, "CLM003")) == 0


def test_a_decision_of_ours_needs_no_snapshot_any_more(store: Redis) -> None:
    number = investigated(policy=None)
    assert store.exists(keys.claim_snapshot(number))
    claims.approve(number, Decimal(1), by="SUP001")
    assert not store.exists(keys.claim_snapshot(number))
    assert lapsed(store) == []


def test_a_record_that_was_taken_away_before_its_end_is_told_by_when_it_was_missed(store: Redis) -> None:
    number = reported(policy=None)
    store.delete(*record_of(store, number))
    claims.refresh(store, [number])
    missed = claims.lapsed(store, number).since
    assert missed and abs(clock.ms(missed) - clock.now_ms()) < 5_000
    claims.refresh(store, [number], force=True)
    assert claims.lapsed(store, number).since == missed


def test_a_lapsed_claim_is_found_by_reindexing_and_forgotten_with_its_snapshot(store: Redis) -> None:
    number = reported(policy=None)
    end(store, number)
    store.delete(*store.keys("dash:index*"))
    reindex.reconcile(store, thorough=True)
    assert lapsed(store) == [number]
    store.delete(keys.claim_snapshot(number))
    reindex.reconcile(store, thorough=True)
    assert lapsed(store) == []
    assert not store.keys("dash:indexed:claims:*")


def test_the_number_of_a_lapsed_claim_is_not_given_again(store: Redis) -> None:
    number = reported(policy=None)
    end(store, number)
    store.delete(keys.sequence("claim"), keys.history("claims", number))
    assert reported(policy=None) != number


@pytest.mark.parametrize("broken", ["a string", "a list"])
def test_a_snapshots_place_that_holds_something_else_breaks_no_page(store: Redis, broken: str) -> None:
    name = keys.claim_snapshot("CLM003")
    store.set(name, "x") if broken == "a string" else store.rpush(name, "x")
    by_other_tools(store, REPORT)
    assert claims.get(store, "CLM003").stage == "reported"
    with pytest.raises(Conflict, match="has to be mended first"):
        claims.assign("CLM003", "ADJ001", by="AG001")
    end(store, "CLM003")
    assert lapsed(store) == []


def test_what_is_no_text_is_left_out_and_what_is_huge_is_cut(store: Redis) -> None:
    by_other_tools(store, "SETEX claim:temp:CLM003 1000 Hail\nRPUSH claim:temp:CLM003:location a")
    store.set("claim:temp:CLM003:reporter", "x" * 1_000_000, ex=1000)
    claims.refresh(store, ["CLM003"])
    kept = store.hgetall(keys.claim_snapshot("CLM003"))
    assert "temp.location" not in kept and len(kept["temp.reporter"]) == 10_000


def test_reconciling_writes_no_snapshot_that_stands_already(store: Redis) -> None:
    by_other_tools(store, REPORT + ASSIGN)
    before = store.info("commandstats")["cmdstat_hset"]["calls"]
    claims.refresh(store, ["CLM003"])
    assert store.info("commandstats")["cmdstat_hset"]["calls"] == before
