"""Audit records are found by who, what, whom and when, without a look at all of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from redis import Redis
from redis.exceptions import RedisError

from dashboard import clock, keys
from dashboard.repository import agents, audit, payments, policies, policy_service
from dashboard.repository.audit import Search
from dashboard.repository.store import change
from tests import book

DAY = datetime(2026, 8, 18, 10, tzinfo=UTC)


@pytest.fixture
def records(store: Redis) -> Redis:
    """Nine records by three people, a minute apart."""
    with time_machine.travel(DAY, tick=False) as now:
        for number in range(3):
            for who, family, parts in (
                ("AG001", audit.POLICY, ("auto", f"10000{number}")),
                ("AG002", audit.CUSTOMER, ("CUST001",)),
                ("SUP001", audit.CLAIM, (f"CLM00{number}",)),
            ):
                text = f"Step {number} by {who}"
                change(lambda draft, f=family, p=parts, t=text: audit.append(draft, f, *p, text=t))  # type: ignore[misc]
                now.shift(60)
    return store


def found(store: Redis, **wanted: object) -> list[str]:
    return [record.text for record in audit.search(store, Search(**wanted)).records]  # type: ignore[arg-type]


def test_all_of_them_newest_first(records: Redis) -> None:
    assert found(records) == [f"Step {number} by {who}" for number in (2, 1, 0) for who in ("SUP001", "AG002", "AG001")]


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        ({"who": "AG002"}, ["Step 2 by AG002", "Step 1 by AG002", "Step 0 by AG002"]),
        ({"kind": "claim"}, ["Step 2 by SUP001", "Step 1 by SUP001", "Step 0 by SUP001"]),
        ({"about": "CUST001"}, ["Step 2 by AG002", "Step 1 by AG002", "Step 0 by AG002"]),
        ({"about": "auto:100001"}, ["Step 1 by AG001"]),
        ({"about": "auto:100001", "who": "AG002"}, []),
        ({"who": "AG001", "kind": "claim"}, []),
        ({"words": "STEP 1 by s"}, ["Step 1 by SUP001"]),
        ({"who": "AG001", "words": "step 0"}, ["Step 0 by AG001"]),
        ({"who": "no:body"}, []),
        ({"about": "a:b:c:d:e"}, []),
        ({"kind": "nothing"}, []),
    ],
)
def test_each_way_of_asking(records: Redis, wanted: dict[str, str], texts: list[str]) -> None:
    assert found(records, **wanted) == texts


def test_a_customers_payments_are_found_by_whom_they_are_of(store: Redis) -> None:
    store.set("customer:CUST001:profile", "John Smith")
    ours = payments.record("CUST001", Decimal(12), clock.today(), by="SUP001")
    for transaction, customer in (("TXN001", "CUST001"), ("TXN002", "CUST002"), ("CUST001", "CUST002")):
        key = keys.payment_audit(transaction)
        store.set(key, f"Customer: {customer} | Amount: 1200 | Date: 2024-08-18", ex=keys.SEVEN_YEARS)
        audit.note(store, key, keys.parse(key))  # type: ignore[arg-type]
    for kind in ("", "payment"):
        found = audit.search(store, audit.Search(about="CUST001", kind=kind)).records
        assert sorted(record.about for record in found) == sorted(["CUST001", ours, "TXN001"]), (
            "the transaction so called, too"
        )
    assert audit.search(store, audit.Search(about="CUST001", who="SUP001")).records[0].about == ours
    assert [each.about for each in audit.search(store, audit.Search(about="TXN002")).records] == ["TXN002"]


def test_a_span_of_time_holds_its_beginning_and_not_its_end(records: Redis) -> None:
    since, until = (clock.ms(DAY + timedelta(minutes=minutes)) for minutes in (3, 6))
    assert found(records, since=since, until=until) == ["Step 1 by SUP001", "Step 1 by AG002", "Step 1 by AG001"]


def test_pages_follow_each_other_without_gap_or_repeat(records: Redis) -> None:
    seen, before = [], None
    while True:
        page = audit.search(records, Search(), before=before, size=2)
        seen += [record.key for record in page.records]
        before = page.more
        if before is None:
            break
    assert seen == [record.key for record in audit.search(records, Search()).records]
    assert len(set(seen)) == 9


def test_records_of_one_moment_stay_on_one_page(store: Redis) -> None:
    with time_machine.travel(DAY, tick=False):
        for _ in range(7):
            change(lambda draft: audit.append(draft, audit.CUSTOMER, "CUST001", text="by AG001"))
    page = audit.search(store, Search(), size=3)
    assert len(page.records) == 7
    assert audit.search(store, Search(), before=page.more, size=3).records == ()


def test_a_search_for_something_rare_stops_and_says_where_to_go_on(
    records: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_LOOKED_AT", 2)
    monkeypatch.setattr(audit, "_SLICES", 2)
    texts: list[str] = []
    before, pages = None, 0
    while True:
        page = audit.search(records, Search(words="step 0"), before=before)
        texts += [record.text for record in page.records]
        before, pages = page.more, pages + 1
        if before is None:
            break
    assert texts == ["Step 0 by SUP001", "Step 0 by AG002", "Step 0 by AG001"]
    assert 1 < pages < 9


def test_what_another_tool_wrote_is_found_by_whom_it_names(store: Redis) -> None:
    key = keys.access_audit("CUST001", "20240818")
    store.set(key, "Viewed by AG001 at 2024-08-18T10:30:00Z", ex=7_776_000)
    paid = keys.payment_audit("TXN001")
    store.set(paid, "Customer: CUST001 | Amount: 1200 | Date: 2024-08-18", ex=220_752_000)
    for name in (key, paid):
        parsed = keys.parse(name)
        assert parsed
        audit.note(store, name, parsed)
    assert found(store, who="AG001") == ["Viewed by AG001 at 2024-08-18T10:30:00Z"]
    (payment,) = audit.search(store, Search(kind="payment")).records
    assert (payment.about, payment.to_the_day) == ("TXN001", True)
    assert payment.at == datetime(2024, 8, 18, tzinfo=clock.zone())
    assert audit.totals(store)["access"] == 1


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("Premium updated from 1200 to 1350 by AG001", "AG001"),
        ("Viewed by AG001 at 2024-08-18T10:30:00Z", "AG001"),
        ("Assessed by AG002: standard", "AG002"),
        ("Relations repaired by SUP001. Before: nothing", "SUP001"),
        ("Customer: CUST001 | Amount: 1200 | Date: 2024-08-18 | Claim: CLM1 | By: AG001", "AG001"),
        ("Customer: CUST001 | Amount: 1 | Note: by cheque | By: SUP001", "SUP001"),
        ("Nobody", ""),
        ("by *", ""),
        ("", ""),
    ],
)
def test_whom_a_text_names(text: str, who: str) -> None:
    assert audit.author(text) == who


class TestAccess:
    def test_a_look_is_recorded_once_for_each_person_customer_and_day(self, store: Redis) -> None:
        with time_machine.travel(datetime.now(UTC), tick=True) as now:
            assert audit.accessed("CUST001", "AG001")
            assert not audit.accessed("CUST001", "AG001")
            assert audit.accessed("CUST001", "AG002")
            assert audit.accessed("CUST002", "AG001")
            for name in store.keys("dash:access-noted:*"):
                assert 0 < store.pttl(name) <= 25 * clock.HOUR
                store.delete(name)  # midnight: the store's clock is not the test's
            now.shift(86_400)
            assert audit.accessed("CUST001", "AG001")
        records = audit.history(store, audit.ACCESS, "CUST001")
        assert len(records) == 3
        assert records[0].text.startswith("Viewed by AG001 at ")

    def test_two_looks_at_the_very_moment_are_one(
        self, store: Redis, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        meanwhile(lambda: audit.accessed("CUST001", "AG001"))
        assert not audit.accessed("CUST001", "AG001")
        assert len(audit.history(store, audit.ACCESS, "CUST001")) == 1

    def test_looks_stand_apart_from_what_befell_the_customer(self, store: Redis) -> None:
        """Or a hundred of them would hide it."""
        audit.accessed("CUST001", "AG001")
        assert audit.history(store, audit.CUSTOMER, "CUST001") == []
        assert found(store, about="CUST001") != []

    def test_it_is_kept_for_ninety_days(self, store: Redis) -> None:
        audit.accessed("CUST001", "AG001")
        (name,) = store.keys("audit:access:*")
        assert store.ttl(name) == pytest.approx(7_776_000, abs=5)

    def test_a_store_that_takes_no_writes_keeps_nobody_from_reading(
        self, store: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            with pytest.raises(RedisError):
                audit.accessed("CUST001", "AG001")
            audit.looked("CUST001", "AG001")
        finally:
            store.execute_command("REPLICAOF", "NO", "ONE")
        assert "could not be recorded" in caplog.text
        assert "CUST001" not in caplog.text, "logs name no customers"


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("Premium updated from 1200 to 1350 by AG001", [("Premium", "1200", "1350")]),
        ("Endorsed: Premium updated from 1 to 2; Status updated from A to nothing by AG001",
         [("Premium", "1", "2"), ("Status", "A", "nothing")]),
        ("Address updated from 1 Elm St, Dallas TX 75201 to 2 Oak St, Austin TX 78701 by AG001",
         [("Address", "1 Elm St, Dallas TX 75201", "2 Oak St, Austin TX 78701")]),
        ("Tier changed from gold to none by AG001: the move of AG002 was undone", [("Tier", "gold", "none")]),
        ("Viewed by AG001 at 2024-08-18T10:30:00Z", []),
        ("from to " * 500, None),
    ],
)  # fmt: skip
def test_before_and_after(text: str, changes: list[tuple[str, str, str]] | None) -> None:
    found = [(each.name, each.before, each.after) for each in audit.changes(text)]
    assert changes is None or found == changes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Code security:2fa:CUST001:code789 sent", "Code security:2fa:CUST001:••• sent"),
        ("password: hunter2, by AG001", "password: •••, by AG001"),
        ("Token=abc|by AG001", "Token=•••|by AG001"),
        ("Password changed by AG001", "Password changed by AG001"),
        ("ZIP code: 75201", "ZIP code: 75201"),
    ],
)
def test_trap_29_a_secret_that_another_tool_wrote_into_a_record_is_masked(store: Redis, text: str, shown: str) -> None:
    assert audit.masked(text) == shown
    key = keys.customer_audit("CUST001", "20240818")
    store.set(key, text, ex=999)
    parsed = keys.parse(key)
    assert parsed
    audit.note(store, key, parsed)
    assert [record.text for record in audit.history(store, audit.CUSTOMER, "CUST001")] == [shown]


def test_the_next_to_end_of_each_kind_and_what_has_ended_leaves_its_list(store: Redis) -> None:
    names = [keys.customer_audit(f"CUST00{number}", "20240818") for number in range(3)]
    for life, name in zip((50, 60, 70), names, strict=True):
        store.set(name, "by AG001", ex=life)
        parsed = keys.parse(name)
        assert parsed
        audit.note(store, name, parsed)
    store.delete(names[0])
    ending = audit.oldest(store)
    assert ending["customer"] is not None and ending["customer"][0] == names[1]
    assert ending["policy"] is None
    assert audit.totals(store)["customer"] == 2


def test_a_list_lives_as_long_as_the_longest_lived_of_its_records_whoever_wrote_them(store: Redis) -> None:
    now = clock.now_ms()
    listed = [
        keys.history("customers", "CUST001"),
        keys.audit_list("kind", "customer"),
        keys.audit_list("who", "AG001"),
    ]
    for day, minutes, longest in ((10, 5, 5), (11, 20, 20), (12, 10, 20)):
        name = keys.customer_audit("CUST001", f"202408{day}")
        change(lambda draft, n=name, end=now + minutes * clock.MINUTE: audit.add(draft, n, "by AG001", now, end))  # type: ignore[misc]
        assert [store.pexpiretime(each) for each in listed] == [now + longest * clock.MINUTE] * 3
    for day, minutes, longest in ((13, 40, 40), (14, 30, 40)):
        name = keys.customer_audit("CUST001", f"202408{day}")
        store.set(name, "by AG001", pxat=now + minutes * clock.MINUTE)
        audit.note(store, name, keys.parse(name))  # type: ignore[arg-type]
        assert [store.pexpiretime(each) for each in listed] == [now + longest * clock.MINUTE] * 3


def test_every_record_of_a_search_is_exported_once(records: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_LOOKED_AT", 2)
    exported = [record.key for record in audit.every(records, Search())]
    assert len(exported) == len(set(exported)) == 9


class TestWhoIsNamed:
    """What was typed may name others: they are never taken for who did it."""

    def test_a_reason_that_names_somebody_else_is_not_theirs(self, store: Redis) -> None:
        text = "Cancelled as of 2026-08-18, sold by ADM001 (unearned premium $10). Status from ACTIVE to CANCELLED by AG001"
        change(lambda draft: audit.append(draft, audit.POLICY, "auto", "100001", text=text, by="AG001"))
        assert found(store, who="ADM001") == []
        (record,) = audit.search(store, Search(who="AG001")).records
        assert record.by == "AG001"
        assert record.text == f"{text} | By: AG001"

    def test_nor_one_that_is_signed_for_them(self, store: Redis) -> None:
        text = "Called by AG001: John | By: ADM001"
        change(lambda draft: audit.append(draft, audit.CUSTOMER, "CUST001", text=text, by="AG001"))
        assert found(store, who="ADM001") == []
        assert [record.by for record in audit.history(store, audit.CUSTOMER, "CUST001")] == ["AG001"]

    def test_one_that_names_its_author_alone_stays_as_the_document_has_it(self, store: Redis) -> None:
        text = "Premium updated from 1200 to 1350 by AG001"
        change(lambda draft: audit.append(draft, audit.POLICY, "auto", "100001", text=text, by="AG001"))
        assert found(store) == [text]

    def test_the_cancelling_agent_is_found_whatever_the_reason_says(self, store: Redis) -> None:
        agents.save(store, {"AG001": "dallas"})
        number = book.policy()
        seen = policies.get(store, "auto", number).seen
        policy_service.cancel(
            "auto", number, effective=clock.today(), reason="sold by ADM001", seen=seen, by="AG001"
        )  # fmt: skip
        assert found(store, who="ADM001") == []
        assert any("sold by ADM001" in text for text in found(store, who="AG001"))


def test_a_record_that_was_written_to_be_slow_is_read_at_once() -> None:
    """Two thousand characters took seconds with an expression that looks back."""
    assert len(audit.changes("a from b to " * 180)) < 200
    assert audit.changes("x from " + "a to " * 500) == []
    assert audit.changes(" from " * 400) == []
