"""The census: every key counted by its family, weighed by sample, judged by the linter's rules; asked for, seen as it goes,
and made anew when it was broken off.
"""

from __future__ import annotations

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.repository import census
from dashboard.repository.census import Census


def taken(store: Redis) -> Census:
    assert census.take(store, rest=0)
    latest, now = census.read(store)
    assert latest and now is None
    return latest


def test_counts_each_family_and_what_has_no_lifetime(store: Redis) -> None:
    store.set("quote:auto:Q001", "x", ex=300)
    store.set("quote:auto:Q002", "x")
    store.set("policy:auto:100001:premium", "1200")
    store.set("nobody:knows", "x")
    found = taken(store)
    assert (found.state, found.keys, found.share) == ("done", 4, 100)
    assert found.families["quote"].keys == 2 and found.families["quote"].lasting_share == 50
    assert found.families["policy_field"].lasting == 1
    assert found.families["unknown"].keys == 1


def test_what_the_server_gives_twice_is_counted_once(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    store.set("policy:auto:100001:premium", "1200")
    monkeypatch.setattr(store, "scan", lambda cursor, count: (0, ["policy:auto:100001:premium"] * 3))
    found = taken(store)
    assert found.keys == found.families["policy_field"].keys == 1


def test_weighs_a_sample_and_tells_all(store: Redis) -> None:
    value, number = "x" * 1_000, 300
    store.mset({f"policy:auto:{each}:premium": value for each in range(100_000, 100_000 + number)})
    count = taken(store).families["policy_field"]
    alone = store.memory_usage("policy:auto:100000:premium")
    assert count.memory is not None
    assert 0.9 * number * alone < count.memory < 1.1 * number * alone


def test_keeps_names_of_each_family_whatever_bytes_they_are_made_of(
    store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "SAMPLE", 20)
    store.mset({f"policy:auto:{each}:premium": "1" for each in range(100)})
    store.set(b"\xff\x00odd", "x")
    taken(store)
    names, total = census.sample(store, "policy_field", 0, 5)
    assert total == 20 and len(names) == 5 and names == sorted(names)
    (odd,), _ = census.sample(store, "unknown", 0, 5)
    assert store.get(odd) == "x"


def test_a_name_longer_than_a_page_can_ask_for_is_counted_and_not_kept(store: Redis) -> None:
    short, long = "x" * 1_024, "é" * 600
    store.mset({short: "1", long: "1"})
    found = taken(store)
    assert found.families["unknown"].keys == found.findings["unknown"].total == 2
    assert found.findings["unknown"].examples == (short,) and census.sample(store, "unknown", 0, 5) == ([short], 1)


def test_a_family_that_is_gone_leaves_no_names_behind(store: Redis) -> None:
    store.set("tier:gold:what", "x")
    taken(store)
    store.delete("tier:gold:what")
    taken(store)
    assert census.sample(store, "unknown", 0, 5) == ([], 0)


def test_counts_what_breaks_a_rule_exactly_and_names_the_first(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "EXAMPLES", 3)
    for number in range(7):
        store.set(f"quote:auto:Q{number}:risk_level", "HIGH")
    found = taken(store).findings["ghost"]
    assert found.total == 7 and dict(found.families) == {"quote_field": 7} and len(found.examples) == 3


def test_is_seen_as_it_goes_on_and_can_be_stopped(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "BEAT", 0.0)
    monkeypatch.setattr(census, "SLICE", 10)
    store.mset({f"policy:auto:{each}:premium": "1" for each in range(300)})
    steps = iter(range(100))
    assert not census.take(store, rest=0, stop=lambda: next(steps) == 5)
    latest, now = census.read(store)
    assert latest is None and now and now.under_way
    assert 0 < now.keys < 300 and now.total == 300
    assert now.families["policy_field"].keys in (now.keys, now.keys - 1), "the census' own key may be among them"
    assert census.is_due(store), "whoever holds the lease next makes it anew"


def test_one_is_due_when_asked_for_when_there_is_none_and_when_it_is_old(store: Redis) -> None:
    assert census.is_due(store)
    taken(store)
    assert not census.is_due(store)
    census.ask(by="ADM001")
    assert census.is_due(store)
    assert taken(store).by == "ADM001"
    store.hset(keys.census("latest"), "ended", clock.now_ms() - census.EVERY - 1)
    assert census.is_due(store)


def test_is_not_asked_for_twice_but_again_when_it_was_broken_off(store: Redis) -> None:
    census.ask(by="ADM001")
    with pytest.raises(Conflict):
        census.ask(by="ADM001")
    store.hset(keys.census("now"), "beat", clock.now_ms() - census.SILENT - 1)
    _, now = census.read(store)
    assert now and now.state == "broken"
    census.ask(by="ADM001")


def test_what_other_tools_wrote_over_it_is_as_good_as_nothing(store: Redis) -> None:
    store.set(keys.census("latest"), "x")
    store.hset(keys.census("now"), mapping={"state": "running", "beat": "no", "families": "[", "findings": '"x"'})
    latest, now = census.read(store)
    assert latest is None and now and now.families == {} and now.findings == {}
    assert census.take(store, rest=0)


@pytest.mark.parametrize(
    "facts",
    [
        {"families": '{"quote": 5, "policy": ["a", "b", "c"], "tier": [1, 0, "c"], "job": [1, 0, 1e400], "hold": [1]}'},
        {
            "families": '{"quote": [-1, 0, null]}',
            "findings": '{"ghost": 3, "ends": [[], []], "unknown": [{"x": "y"}, []]}',
        },
        {"findings": '{"never heard of": [{}, []]}', "keys": "9" * 5_000, "ended": "9" * 19, "started": "\u0663"},
    ],
)
def test_an_entry_that_another_tool_spoilt_is_left_out(store: Redis, facts: dict[str, str]) -> None:
    store.hset(keys.census("latest"), mapping={"state": "done", **facts})
    latest, _ = census.read(store)
    assert latest and (latest.families, latest.findings, latest.keys) == ({}, {}, 0)
    assert (latest.started, latest.ended) == (None, None)


def test_a_name_that_no_key_can_have_is_none_that_was_found(store: Redis) -> None:
    store.hset(
        keys.census("latest"), "findings", r'{"ghost": [{"quote_field": 3}, ["\ud800", 5, "quote:auto:Q1:agent"]]}'
    )
    latest, _ = census.read(store)
    assert latest and latest.findings["ghost"].examples == ("quote:auto:Q1:agent",)
