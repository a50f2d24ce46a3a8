"""Changing one key: said first, done to exactly what was said, refused where a key is not this page's to change."""

from __future__ import annotations

import threading

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired
from dashboard.repository import audit, key_change, one_key
from dashboard.repository.key_change import Verb

NAME = "session:mobile:CUST001:d1"
QUOTE = ("quote:auto:Q001", "quote:auto:Q001:customer", "quote:auto:Q001:premium")


def soon(minutes: int = 30) -> int:
    return clock.now_ms() + minutes * clock.MINUTE


def do(
    store: Redis, name: str, verb: Verb, *, whole: bool = False, deadline: int | None = None, token: str = ""
) -> str:
    plan = key_change.plan(store, name, verb, whole=whole, deadline=deadline)
    return key_change.act(name, verb, seen=plan.seen, by="ADM001", whole=whole, deadline=deadline, token=token or None)


def test_an_end_is_moved_taken_away_and_the_key_deleted_each_on_record(store: Redis) -> None:
    store.set(NAME, "iPhone", ex=60)
    end = soon()
    do(store, NAME, "until", deadline=end)
    assert store.pexpiretime(NAME) == end and store.get(NAME) == "iPhone"
    do(store, NAME, "persist")
    assert store.ttl(NAME) == -1
    do(store, NAME, "delete")
    assert not store.exists(NAME)
    told = [record.text for record in key_change.history(store, NAME)]
    assert len(told) == 3 and "deleted" in told[0] and all("by ADM001" in each and NAME in each for each in told)


def test_it_stands_among_the_audit_records_and_in_the_queue_of_the_chain(store: Redis) -> None:
    store.set(NAME, "iPhone", ex=60)
    do(store, NAME, "delete")
    (record,) = audit.search(store, audit.Search(kind="key")).records
    assert record.by == "ADM001" and store.lrange(keys.chain_queue(), 0, -1) == [record.key]


@pytest.mark.parametrize("change", ["value", "deadline", "type", "gone"])
def test_what_changed_since_it_was_looked_at_is_left_alone(store: Redis, change: str) -> None:
    store.set(NAME, "iPhone", ex=60)
    seen = key_change.plan(store, NAME, "delete").seen
    if change == "value":
        store.set(NAME, "iPad", keepttl=True)
    elif change == "deadline":
        store.expire(NAME, 1_800)
    else:
        store.delete(NAME)
    if change == "type":
        store.rpush(NAME, "iPhone")
    with pytest.raises(Expired if change == "gone" else Conflict):
        key_change.act(NAME, "delete", seen=seen, by="ADM001")
    assert store.exists(NAME) == (change != "gone")


def test_a_key_that_changes_at_the_very_moment_is_never_deleted_changed(store: Redis) -> None:
    """Beside a control that looks first and deletes then: that one loses what was written in between."""
    lost = {"watched": 0, "naive": 0}
    for way in lost:
        for number in range(60):
            name = f"test:{way}:{number}"
            store.set(name, "old")
            seen = key_change.plan(store, name, "delete").seen
            start = threading.Barrier(2)

            def write(name: str = name, start: threading.Barrier = start) -> None:
                start.wait()
                store.set(name, "new", xx=True, get=True)

            writer = threading.Thread(target=write)
            writer.start()
            start.wait()
            if way == "watched":
                try:
                    key_change.act(name, "delete", seen=seen, by="ADM001")
                    deleted = True
                except Conflict:
                    deleted = False
                writer.join()
                lost[way] += deleted and store.get(name) == "new"
                lost[way] += not deleted and store.get(name) != "new"
            else:
                same = one_key.fingerprints(store, [name])[name] != ""
                writer.join()
                lost[way] += same and store.get(name) == "new" and bool(store.delete(name))
    assert lost["watched"] == 0
    assert lost["naive"] > 0


def test_sent_twice_it_is_done_once(store: Redis) -> None:
    store.set(NAME, "iPhone", ex=60)
    plan = key_change.plan(store, NAME, "delete")
    first = key_change.act(NAME, "delete", seen=plan.seen, by="ADM001", token="the-same")
    store.set(NAME, "iPhone", ex=60)
    assert key_change.act(NAME, "delete", seen=plan.seen, by="ADM001", token="the-same") == first
    assert store.exists(NAME) and len(key_change.history(store, NAME)) == 1


def test_one_part_alone_is_warned_of_and_the_whole_thing_goes_together(store: Redis) -> None:
    names = [f"session:customer:CUST001:{field}" for field in ("portal", "device", "permissions")]
    for name in names:
        store.set(name, "x", ex=1_800)
    alone = key_change.plan(store, names[1], "until", deadline=soon())
    assert alone.others == 2 and any("splits" in words for words in alone.warnings)
    end = soon(45)
    do(store, names[1], "until", whole=True, deadline=end)
    assert [store.pexpiretime(name) for name in names] == [end] * 3


@pytest.mark.parametrize("verb", ["until", "persist"])
@pytest.mark.parametrize("whole", [False, True])
def test_trap_15_a_quote_is_not_extended_by_its_keys(store: Redis, verb: Verb, whole: bool) -> None:
    for name in QUOTE:
        store.set(name, "x", ex=300)
    with pytest.raises(Conflict, match="extended whole"):
        do(store, QUOTE[0], verb, whole=whole, deadline=soon())
    assert all(0 < store.ttl(name) <= 300 for name in QUOTE)


@pytest.mark.parametrize("verb", key_change.VERBS)
def test_audit_records_are_only_read(store: Redis, verb: Verb) -> None:
    name = f"audit:policy:auto:100001:change:{clock.today():%Y%m%d}"
    store.set(name, "x", ex=31_536_000)
    end = store.pexpiretime(name)
    for deadline in (end - 1_000, end + clock.DAY):
        with pytest.raises(Conflict, match="only read here"):
            do(store, name, verb, deadline=deadline)
    assert store.pexpiretime(name) == end and store.get(name) == "x"


@pytest.mark.parametrize("name", ["dash:chain:000000", "dash:chain-queue", "dash:chain-head", "dash:archive:2024-08"])
def test_what_is_kept_for_good_is_neither_deleted_nor_given_an_end(store: Redis, name: str) -> None:
    store.hset(name, "x", "1") if name in ("dash:chain-head", "dash:archive:2024-08") else store.rpush(name, "x")
    for verb, deadline in (("delete", None), ("until", soon(10**6))):
        with pytest.raises(Conflict):
            do(store, name, verb, deadline=deadline)  # type: ignore[arg-type]
    assert store.ttl(name) == -1


@pytest.mark.parametrize("name", ["security:2fa:CUST001:code789", "security:password_reset:CUST001:token123"])
def test_codes_and_tokens_are_taken_back_elsewhere_and_never_named(store: Redis, name: str) -> None:
    store.set(name, "x", ex=300)
    with pytest.raises(Conflict):
        do(store, name, "delete")
    look = one_key.look(store, name)
    assert look.secret and look.text is None and name.rpartition(":")[2] not in look.shown


def test_a_name_of_any_bytes_can_be_looked_at_and_deleted(store: Redis) -> None:
    store.set(b"\xff\xfe <b>\x00", "x")
    (name,) = store.scan_iter()
    assert one_key.look(store, name).text == "x"
    do(store, name, "delete")
    assert not store.exists(name)


class TestLooking:
    def test_a_string_is_cut_and_made_visible(self, store: Redis) -> None:
        store.set("test:long", "x" + "é" * 1_500)
        found = one_key.look(store, "test:long")
        assert found.cut and found.text == "x" + "é" * 999 and found.size == 3_001
        store.set("test:odd", b"\x00\xff")
        assert one_key.look(store, "test:odd").text == "\\u0000\\xff"

    @pytest.mark.parametrize("kind", ["hash", "set", "zset", "list"])
    def test_elements_are_paged_to_the_last(self, store: Redis, kind: str) -> None:
        wanted = [f"element-{number:04}" * 10 for number in range(700)]
        if kind == "hash":
            store.hset("test:it", mapping=dict.fromkeys(wanted, "v"))
        elif kind == "set":
            store.sadd("test:it", *wanted)
        elif kind == "zset":
            store.zadd("test:it", {name: at for at, name in enumerate(wanted)})
        else:
            store.rpush("test:it", *wanted)
        seen, at = set(), 0
        while True:
            page = one_key.look(store, "test:it", at=at)
            assert page.elements and page.size == 700 and len(page.elements.rows) <= 3 * one_key.PAGE
            seen |= {two if kind == "list" else one for one, two in page.elements.rows}
            if page.elements.next is None:
                break
            at = page.elements.next
        assert seen == set(wanted)

    def test_the_reference_of_a_session_is_masked(self, store: Redis) -> None:
        store.set("session:agent:AG001:workstation", "authenticated|ref:0123456789abcdef|branch:dallas", ex=60)
        assert one_key.look(store, "session:agent:AG001:workstation").text == "authenticated|ref:•••|branch:dallas"

    def test_lists_of_the_security_page_show_nothing(self, store: Redis) -> None:
        store.zadd("dash:index:security:all:deadline", {"code:CUST001:code789": 1})
        found = one_key.look(store, "dash:index:security:all:deadline")
        assert found.secret and found.elements is None and found.size == 1
