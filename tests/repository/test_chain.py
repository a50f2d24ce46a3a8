"""The chain over the audit records: whatever others remove, alter, shorten or cut off is named."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
from django.core.management import call_command
from redis import Redis

from dashboard import anchors, clock, keys
from dashboard.errors import Conflict
from dashboard.models import Anchor
from dashboard.repository import audit, chain
from dashboard.repository.store import Change, change

AUTO = (audit.POLICY, "auto", "100001")
BUCKET = "dash:chain:000000"


def append(count: int = 1) -> None:
    def action(draft: Change) -> None:
        for number in range(count):
            audit.append(draft, *AUTO, text=f"change {number} by AG001", by="AG001")

    change(action)


def seal(store: Redis) -> None:
    while chain.seal(store):
        pass


@pytest.fixture
def sealed(store: Redis) -> list[str]:
    """Five records that are in the chain, in its order."""
    for _ in range(5):
        append()
    seal(store)
    return [json.loads(raw)[0] for raw in store.lrange(BUCKET, 0, -1)]


def test_every_record_waits_from_the_moment_it_is_written_and_is_sealed_in_order(store: Redis) -> None:
    append(3)
    assert chain.waiting(store) == 3
    assert chain.seal(store) == 3
    assert chain.waiting(store) == 0
    verdict = chain.verify(store)
    assert (verdict.links, verdict.standing, verdict.holds) == (3, 3, True)


def test_nothing_to_seal_costs_one_look(store: Redis) -> None:
    store.config_resetstat()
    assert chain.seal(store) == 0
    ran = {name: told["calls"] for name, told in store.info("commandstats").items() if "config" not in name}
    assert ran == {"cmdstat_llen": 1}
    assert store.keys("*") == []


def test_a_record_that_another_tool_wrote_is_sealed_once_it_was_heard_of(store: Redis) -> None:
    key = keys.policy_audit("auto", "100001", "20240818")
    store.set(key, "Premium updated from 1200 to 1350 by AG001", ex=31_536_000)
    parsed = keys.parse(key)
    assert parsed
    for _ in range(2):
        audit.note(store, key, parsed)
    seal(store)
    assert chain.head(store).links == 1, "heard of twice, sealed once"


TAMPERING: dict[str, tuple[Callable[[Redis, list[str]], object], int, str]] = {
    "a record removed": (lambda store, names: store.delete(names[2]), 3, "removed"),
    "a record altered": (lambda store, names: store.set(names[1], "nothing happened", keepttl=True), 2, "altered"),
    "a record of another type": (
        lambda store, names: (store.delete(names[1]), store.rpush(names[1], "x")),
        2,
        "altered",
    ),
    "a lifetime shortened": (lambda store, names: store.expire(names[3], 60), 4, "earlier"),
    "a link altered": (lambda store, names: store.lset(BUCKET, 1, _with(store, 1, digest="0" * 32)), 2, "altered"),
    "a link taken out": (lambda store, names: store.lrem(BUCKET, 1, store.lindex(BUCKET, 2)), 3, "altered"),
    "a link that is none": (lambda store, names: store.lset(BUCKET, 2, "{}"), 3, "missing"),
    "a link of an end without end": (lambda store, names: store.lset(BUCKET, 2, '["a", "", 1e400, ""]'), 3, "missing"),
    "a link of no key": (lambda store, names: store.lset(BUCKET, 2, r'["\ud800", "", 0, ""]'), 3, "missing"),
    "the end cut off": (lambda store, names: store.ltrim(BUCKET, 0, 2), 4, "head"),
    "all links gone": (lambda store, names: store.delete(BUCKET), 1, "0 links"),
    "the head altered": (lambda store, names: store.hset(keys.chain_head(), "last", "0" * 32), 6, "head"),
    "the head gone": (lambda store, names: store.delete(keys.chain_head()), 6, "head says 0"),
    "the head of another type": (lambda store, names: _replace_head(store), 6, "head says 0"),
    "the head no number": (lambda store, names: store.hset(keys.chain_head(), "links", "9" * 5_000), 6, "head says 0"),
    "the head beyond all bounds": (lambda store, names: store.hset(keys.chain_head(), "links", 10**14), 6, "head says"),
    "two links exchanged": (lambda store, names: _exchange(store), 2, "altered"),
}


def _replace_head(store: Redis) -> None:
    store.delete(keys.chain_head())
    store.set(keys.chain_head(), "x")


def _with(store: Redis, number: int, *, digest: str) -> str:
    name, _, ends, link = json.loads(store.lindex(BUCKET, number) or "")
    return json.dumps([name, digest, ends, link])


def _exchange(store: Redis) -> None:
    one, two = store.lindex(BUCKET, 1), store.lindex(BUCKET, 2)
    store.lset(BUCKET, 1, two)
    store.lset(BUCKET, 2, one)


@pytest.mark.parametrize("what", TAMPERING)
def test_the_first_link_that_does_not_hold_is_named(store: Redis, sealed: list[str], what: str) -> None:
    tamper, number, words = TAMPERING[what]
    tamper(store, sealed)
    verdict = chain.verify(store)
    assert verdict.first is not None
    assert verdict.first.number == number
    assert words in verdict.first.what


def test_who_can_write_to_the_store_cannot_make_a_chain_of_their_own(store: Redis, sealed: list[str]) -> None:
    """Without the site's key even a chain that is made anew from the beginning does not hold."""
    store.delete(sealed[2])
    made, last = [], ""
    for number, name in enumerate(each for each in sealed if store.exists(each)):
        digest = chain._digest(store.get(name))
        ends = store.pexpiretime(name)
        last = chain._link(b"a guess", last, number, name, digest, ends)
        made.append(json.dumps([name, digest, ends, last]))
    store.delete(BUCKET)
    store.rpush(BUCKET, *made)
    store.hset(keys.chain_head(), mapping={"links": len(made), "last": last})
    assert chain.verify(store).first is not None


def test_records_whose_time_was_over_are_no_fault(store: Redis, sealed: list[str]) -> None:
    def brief(draft: Change) -> None:
        now = clock.now_ms()
        audit.add(draft, audit.ACCESS("CUST001", "20240818"), "Viewed by AG001", now, now + 500)

    change(brief)
    seal(store)
    while store.exists(audit.ACCESS("CUST001", "20240818")):
        threading.Event().wait(0.02)
    verdict = chain.verify(store)
    assert verdict.holds
    assert (verdict.standing, verdict.ended) == (5, 1)


def test_a_record_that_is_held_beyond_its_time_is_no_fault(store: Redis, sealed: list[str]) -> None:
    store.persist(sealed[0])
    store.expire(sealed[1], 10 * keys.YEAR)
    assert chain.verify(store).holds


@pytest.mark.parametrize(("life", "holds"), [(keys.SEVEN_YEARS, True), (keys.SEVEN_YEARS - 60, False)])
def test_a_payment_that_gets_its_end_by_a_second_command_is_to_have_seven_years(
    store: Redis, life: int, holds: bool
) -> None:
    """The document's lines 303-304: SET, then EXPIRE. Between the two it may be sealed."""
    key = keys.payment_audit("TXN001")
    store.set(key, "Customer: CUST001 | Amount: 1200 | Date: 2024-08-18")
    parsed = keys.parse(key)
    assert parsed
    audit.note(store, key, parsed)
    seal(store)
    assert chain.verify(store).holds
    store.expire(key, life)
    first = chain.verify(store).first
    assert (first.what if first else "") == ("" if holds else "the record ends earlier than it should")


def test_trap_30_a_record_that_another_tool_wrote_over_on_the_same_day_is_told_as_what_it_may_be(
    store: Redis, sealed: list[str]
) -> None:
    key = keys.access_audit("CUST001", f"{clock.today():%Y%m%d}")
    for who in ("AG001", "AG002"):
        store.set(key, f"Viewed by {who}", ex=7_776_000)
        audit.note(store, key, keys.parse(key))  # type: ignore[arg-type]
        seal(store)
    first = chain.verify(store).first
    assert first is not None and (first.number, first.key) == (6, key)
    assert first.what == "the record was altered, or another tool wrote the day's next one over it"


def test_the_sites_former_keys_still_tell_the_chain_from_a_forged_one(
    store: Redis, sealed: list[str], settings: object
) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]  # type: ignore[attr-defined]
    settings.SECRET_KEY = "a new one" * 8  # type: ignore[attr-defined]
    append()
    seal(store)
    assert chain.verify(store).holds
    settings.SECRET_KEY_FALLBACKS = []  # type: ignore[attr-defined]
    assert not chain.verify(store).holds


def test_buckets_are_filled_one_after_the_other(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "IN_BUCKET", 4)
    append(10)
    seal(store)
    assert [store.llen(keys.chain(f"{number:06d}")) for number in range(3)] == [4, 4, 2]
    assert chain.verify(store).standing == 10
    store.delete(keys.chain("000001"))
    first = chain.verify(store).first
    assert first is not None
    assert (first.number, "4 links are missing" in first.what) == (5, True)


def test_two_that_seal_at_once_seal_each_record_once(store: Redis) -> None:
    append(200)
    threads = [threading.Thread(target=lambda: [chain.seal(store, most=7) for _ in range(30)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seal(store)
    assert chain.head(store).links == 200
    assert chain.verify(store).holds


def test_control_sealing_without_watching_the_head_breaks_the_chain(store: Redis) -> None:
    def naive(count: int) -> None:
        for _ in range(count):
            at = int(store.hget(keys.chain_head(), "links") or 0)
            store.rpush(BUCKET, json.dumps([f"audit:{at}", "", 0, "x"]))
            store.hset(keys.chain_head(), "links", at + 1)

    threads = [threading.Thread(target=naive, args=(100,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int(store.hget(keys.chain_head(), "links") or 0) != store.llen(BUCKET)


def _replace_bucket(store: Redis) -> None:
    store.delete(BUCKET)
    store.set(BUCKET, "x")


@pytest.mark.parametrize("break_it", [_replace_bucket, _replace_head, lambda store: store.delete(keys.chain_head())])
def test_a_chain_that_cannot_be_gone_on_with_stops_sealing_and_loses_nothing(
    store: Redis, sealed: list[str], break_it: Callable[[Redis], object]
) -> None:
    break_it(store)
    append()
    with pytest.raises(Conflict):
        chain.seal(store)
    assert chain.waiting(store) == 1
    assert chain.catch_up(store) == 0 and chain.waiting(store) >= 1
    assert not chain.verify(store).holds


def test_a_queue_that_another_tool_broke_loses_nothing(store: Redis, sealed: list[str]) -> None:
    append(2)
    store.delete(keys.chain_queue())
    store.set(keys.chain_queue(), "x")
    assert chain.seal(store) == 0 and chain.waiting(store) == 0
    assert chain.catch_up(store) == 2
    verdict = chain.verify(store)
    assert (verdict.links, verdict.holds) == (7, True)


class TestAnchors:
    pytestmark = pytest.mark.django_db

    def test_a_chain_that_was_cut_with_its_head_is_told_by_what_is_kept_with_the_accounts(
        self, store: Redis, sealed: list[str]
    ) -> None:
        anchors.keep(chain.head(store))
        rows = [json.loads(raw) for raw in store.lrange(BUCKET, 0, -1)]
        store.ltrim(BUCKET, 0, 2)
        store.hset(keys.chain_head(), mapping={"links": 3, "last": rows[2][3]})
        assert chain.verify(store).holds, "by itself it cannot know"
        first = chain.verify(store, anchors=anchors.known()).first
        assert first is not None
        assert "had 5" in first.what

    def test_another_chain_of_the_same_length_is_told_too(self, store: Redis, sealed: list[str]) -> None:
        anchors.keep(chain.head(store))
        store.flushall()
        for _ in range(6):
            append()
        seal(store)
        first = chain.verify(store, anchors=anchors.known()).first
        assert first is not None
        assert first.number == 5

    def test_the_first_anchor_of_a_length_stands(self, store: Redis) -> None:
        anchors.keep(chain.Head(3, "one"))
        anchors.keep(chain.Head(3, "two"))
        anchors.keep(chain.Head(0, ""))
        assert anchors.known() == {3: "one"}
        assert Anchor.objects.count() == 1


class TestCommand:
    pytestmark = pytest.mark.django_db

    def test_it_says_that_the_chain_holds_and_keeps_an_anchor(
        self, store: Redis, sealed: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        call_command("verify_audit")
        assert "5 links: 5 records stand, 0 had their time.\nThe chain holds." in capsys.readouterr().out
        assert list(anchors.known()) == [5]

    def test_it_names_the_first_broken_link_and_ends_with_1(
        self, store: Redis, sealed: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        store.delete(sealed[3], sealed[4])
        with pytest.raises(SystemExit) as ended:
            call_command("verify_audit")
        assert ended.value.code == 1
        out = capsys.readouterr().out
        assert f"Link 4 does not hold: the record was removed. {sealed[3]} There are 1 more." in out

    def test_records_that_no_queue_knew_are_sealed_and_told(
        self, store: Redis, sealed: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        append(2)
        store.delete(keys.chain_queue())
        call_command("verify_audit")
        out = capsys.readouterr().out
        assert "2 records were in no link" in out
        assert "7 links" in out
