"""Bulk work over the key space: found by a slow walk, shown, then done in slices to just what was seen."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.repository import audit, jobs, key_batch, quotes
from dashboard.repository.jobs import Job


def walk(store: Redis, job: str) -> Job:
    """Go on until it stands still: everything looked at, or everything done."""
    for _ in range(1_000):
        if not jobs.work_once(store):
            return jobs.get(store, job)
    raise AssertionError("it never ended")


def lifetimes(**params: str) -> str:
    return key_batch.gather_lifetimes(params, by="ADM001", title="Lifetimes")


def done(store: Redis, job: str) -> Job:
    assert walk(store, job).state == "previewed"
    jobs.start(job, by="ADM001")
    return walk(store, job)


class TestCleanup:
    """Trap 32: the document's script deletes live keys, and fails past 8,000."""

    def test_deletes_exactly_what_the_prefixes_name(self, store: Redis) -> None:
        live = [
            "claim:temp:CLM003",
            "claim:temp:CLM003:reporter",
            "latest:test:1",
            "tests:1",
            "template:1",
            "contest:test:",
        ]
        store.mset(dict.fromkeys(live, "x"))
        store.mset({f"test:{number}": "x" for number in range(450)} | {"temp:1": "x"})
        store.rpush("test:list", "a")
        job = done(store, key_batch.gather_cleanup(by="ADM001"))
        assert (job.state, job.total, job.failed) == ("done", 452, 0)
        assert sorted(name for name in store.scan_iter() if not name.startswith(("dash:", "audit:"))) == sorted(live)

    def test_says_how_many_and_which_before_anything_is_done(self, store: Redis) -> None:
        store.mset({"test:a": "1", "temp:b": "2"})
        job = walk(store, key_batch.gather_cleanup(by="ADM001"))
        assert (job.state, job.total, sorted(job.members)) == ("previewed", 2, ["temp:b", "test:a"])
        assert store.exists("test:a", "temp:b") == 2

    def test_what_changed_or_came_since_is_left(self, store: Redis) -> None:
        store.mset({"test:same": "1", "test:value": "1", "test:end": "1", "test:gone": "1"})
        job = walk(store, key_batch.gather_cleanup(by="ADM001"))
        store.set("test:value", "2")
        store.expire("test:end", 100)
        store.delete("test:gone")
        store.set("test:new", "1")
        jobs.start(job.id, by="ADM001")
        ended = walk(store, job.id)
        assert sorted(store.scan_iter("test:*")) == ["test:end", "test:new", "test:value"]
        assert dict(ended.failures) == {
            "test:value": key_batch.CHANGED, "test:end": key_batch.CHANGED, "test:gone": key_batch.GONE,
        }  # fmt: skip

    def test_a_slice_that_is_repeated_after_a_crash_deletes_nothing_new(self, store: Redis) -> None:
        store.mset({f"test:{number}": "x" for number in range(5)})
        job = done(store, key_batch.gather_cleanup(by="ADM001"))
        store.mset({f"test:{number}": "x" for number in range(5)})
        store.hset(keys.job(job.id), mapping={"done": 0, "state": "running"})
        store.sadd(keys.jobs_running(), job.id)
        walk(store, job.id)
        assert len(list(store.scan_iter("test:*"))) == 5

    def test_each_slice_is_on_record_with_how_many(self, store: Redis) -> None:
        store.mset({f"test:{number:03}": "x" for number in range(250)})
        done(store, key_batch.gather_cleanup(by="ADM001"))
        told = [record.text for record in audit.search(store, audit.Search(kind="key")).records]
        assert sorted(text.split(":")[1].split(" keys")[0].strip() for text in told) == ["200", "50"]

    def test_nothing_to_clean_up_says_so(self, store: Redis) -> None:
        job = walk(store, key_batch.gather_cleanup(by="ADM001"))
        assert (job.state, job.total) == ("done", 0)


class TestLifetimes:
    def test_extends_by_thing_never_beyond_its_familys_longest(self, store: Redis) -> None:
        for name in ("session:customer:CUST001:portal", "session:customer:CUST001:device"):
            store.set(name, "x", ex=1_200)
        store.set("session:customer:CUST002:portal", "x", ex=7_000)
        job = done(store, lifetimes(family="portal", verb="extend", ms=str(clock.HOUR)))
        assert (job.total, job.failed) == (2, 0)
        ends = [store.pexpiretime(f"session:customer:{name}") for name in ("CUST001:portal", "CUST001:device")]
        assert ends[0] == ends[1] and 4_700 < store.ttl("session:customer:CUST001:portal") <= 4_800
        assert 7_100 < store.ttl("session:customer:CUST002:portal") <= 7_200

    def test_shortens_and_never_lengthens(self, store: Redis) -> None:
        store.set("session:mobile:CUST001:d1", "x", ex=7_000)
        store.set("session:mobile:CUST001:d2", "x", ex=60)
        job = done(store, lifetimes(family="device_session", verb="shorten", ms=str(10 * clock.MINUTE)))
        assert job.failed == 1
        assert 590 < store.ttl("session:mobile:CUST001:d1") <= 600 and store.ttl("session:mobile:CUST001:d2") <= 60

    def test_persists_what_may_stay(self, store: Redis) -> None:
        for name in ("investigation:CLM001", "investigation:CLM001:notes"):
            store.set(name, "x", ex=1_000)
        done(store, lifetimes(family="investigation", verb="persist"))
        assert store.ttl("investigation:CLM001") == store.ttl("investigation:CLM001:notes") == -1

    @pytest.mark.parametrize(
        "params",
        [
            {"family": "portal", "verb": "persist"},
            {"family": "lockout", "verb": "persist"},
            {"family": "quote", "verb": "persist"},
            {"family": "quote", "verb": "shorten", "ms": "1"},
            {"family": "two_factor", "verb": "extend", "ms": "1"},
            {"family": "policy_audit", "verb": "shorten", "ms": "1"},
            {"family": "policy_field", "verb": "shorten", "ms": "1"},
            {"family": "quote_field", "verb": "extend", "ms": "1"},
            {"family": "token", "verb": "extend", "ms": "1"},
            {"family": "nonsense", "verb": "extend", "ms": "1"},
        ],
    )
    def test_trap_18_what_must_end_or_is_not_for_this_is_refused(self, store: Redis, params: Mapping[str, str]) -> None:
        with pytest.raises(Conflict):
            lifetimes(**params)

    def test_finds_by_what_is_left_by_product_and_by_name(self, store: Redis) -> None:
        for product, number, left in (
            ("auto", "1", 100),
            ("auto", "2", 1_000),
            ("home", "3", 100),
            ("auto", "14", 100),
        ):
            store.set(f"compliance:review:policy:{product}:{number}", "x", ex=left)
        found = walk(
            store,
            lifetimes(
                family="compliance_review",
                verb="extend",
                ms="1000",
                low="0",
                high=str(500_000),
                product="auto",
                holds="1",
            ),
        )
        assert sorted(found.members) == ["compliance:review:policy:auto:1", "compliance:review:policy:auto:14"]

    def test_what_no_longer_fits_is_left(self, store: Redis) -> None:
        store.set("session:mobile:CUST001:d1", "x", ex=60)
        job = walk(store, lifetimes(family="device_session", verb="extend", ms=str(clock.HOUR), high=str(clock.MINUTE)))
        store.expire("session:mobile:CUST001:d1", 600)
        jobs.start(job.id, by="ADM001")
        assert walk(store, job.id).failures == (("session:mobile:CUST001:d1", key_batch.CHANGED),)
        assert store.ttl("session:mobile:CUST001:d1") <= 600

    def test_trap_18_quotes_are_extended_by_quote_by_their_own_lifetime_and_capped(self, store: Redis) -> None:
        facts = {"customer": "CUST001", "agent": "AG001", "premium": "900", "vehicle": "Honda"}
        made = [quotes.create("auto", facts, by="AG001").partition(":")[2] for _ in range(2)]
        before = store.pexpiretime(f"quote:auto:{made[0]}")
        for round_ in range(quotes.EXTENSIONS + 1):
            job = done(store, lifetimes(family="quote", verb="extend"))
            assert job.total == 2 and job.failed == (2 if round_ == quotes.EXTENSIONS else 0)
        names = [name for name in keys.quote_keys("auto", made[0]) if store.exists(name)]
        assert len(names) > 3
        assert {store.pexpiretime(name) for name in names} == {before + quotes.EXTENSIONS * quotes.STANDARD.ms}


class TestFixes:
    def test_all_that_break_a_rule_are_put_right(self, store: Redis) -> None:
        for number in range(3):
            store.set(f"quote:auto:Q{number}:risk_level", "HIGH")
        store.set("quote:auto:Q9", "x", ex=300)
        store.set("quote:auto:Q9:risk_level", "LOW", ex=300)
        job = done(store, key_batch.gather_fix("ghost", by="ADM001"))
        assert (job.total, job.failed) == (3, 0)
        assert sorted(store.scan_iter("quote:*")) == ["quote:auto:Q9", "quote:auto:Q9:risk_level"]

    def test_chosen_ones_are_previewed_and_the_rest_is_left(self, store: Redis) -> None:
        store.mset({"quote:auto:Q1:risk_level": "x", "quote:auto:Q2:risk_level": "x"})
        job = key_batch.preview_fix("ghost", ["quote:auto:Q1:risk_level", "policy:auto:1:premium"], by="ADM001")
        assert jobs.get(store, job).members == ("quote:auto:Q1:risk_level",)
        done(store, job)
        assert list(store.scan_iter("quote:*")) == ["quote:auto:Q2:risk_level"]

    def test_a_ghost_whose_quote_came_back_is_left(self, store: Redis) -> None:
        store.set("quote:auto:Q1:risk_level", "HIGH")
        job = key_batch.preview_fix("ghost", ["quote:auto:Q1:risk_level"], by="ADM001")
        store.set("quote:auto:Q1", "x", ex=300)
        jobs.start(job, by="ADM001")
        assert walk(store, job).failed == 1
        assert store.exists("quote:auto:Q1:risk_level")

    def test_a_root_without_end_gets_one_with_its_parts(self, store: Redis) -> None:
        store.set("quote:auto:Q1", "Honda - Customer: CUST001 - Premium: $950/year")
        store.set("quote:auto:Q1:risk_level", "HIGH")
        done(store, key_batch.preview_fix("never_ends", ["quote:auto:Q1"], by="ADM001"))
        assert store.pexpiretime("quote:auto:Q1") == store.pexpiretime("quote:auto:Q1:risk_level")
        assert 170 < store.ttl("quote:auto:Q1") <= 180

    def test_a_permanent_fact_stays_and_a_part_follows_its_root(self, store: Redis) -> None:
        store.set("policy:auto:1:premium", "1", ex=100)
        store.set("quote:auto:Q1", "x", ex=300)
        store.set("quote:auto:Q1:risk_level", "HIGH")
        done(store, key_batch.gather_fix("ends", by="ADM001"))
        done(store, key_batch.gather_fix("outlives", by="ADM001"))
        assert store.ttl("policy:auto:1:premium") == -1
        assert store.pexpiretime("quote:auto:Q1:risk_level") == store.pexpiretime("quote:auto:Q1")

    def test_unknown_names_have_no_fix(self, store: Redis) -> None:
        store.set("nobody:knows", "x")
        with pytest.raises(Conflict):
            key_batch.gather_fix("unknown", by="ADM001")
        with pytest.raises(Conflict):
            key_batch.preview_fix("unknown", ["nobody:knows"], by="ADM001")

    def test_a_code_is_put_right_and_never_named(self, store: Redis) -> None:
        store.set("security:2fa:CUST001:code789", "x")
        job = walk(store, key_batch.gather_fix("never_ends", by="ADM001"))
        assert job.members == ("security:2fa:CUST001:•••",)
        jobs.start(job.id, by="ADM001")
        walk(store, job.id)
        assert 0 < store.ttl("security:2fa:CUST001:code789") <= 300
        assert "code789" not in str([store.get(name) for name in store.scan_iter("audit:*")])


def test_looking_can_be_stopped_and_nothing_was_done(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_batch, "LOOK", 10)
    store.mset({f"test:{number}": "x" for number in range(300)})
    job = key_batch.gather_cleanup(by="ADM001")
    jobs.work_once(store)
    assert jobs.get(store, job).state == "gathering" and 0 < jobs.get(store, job).looked < 300
    jobs.stop(job, by="ADM001")
    assert walk(store, job).state == "done" and len(list(store.scan_iter("test:*"))) == 300


def test_more_than_can_be_done_at_once_is_cut_and_said(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST", 30)
    store.mset({f"test:{number}": "x" for number in range(100)})
    job = walk(store, key_batch.gather_cleanup(by="ADM001"))
    assert (job.state, job.total, job.cut) == ("previewed", 30, True)
