"""The lifetime linter: each rule finds what breaks it, and nothing that is in order; what puts it right."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis import Redis

from dashboard import clock, sample
from dashboard.errors import Conflict
from dashboard.repository import holds, key_change, linter
from tests import document

NOW_DAY = f"{clock.today():%Y%m%d}"


def rules(store: Redis, *names: str) -> dict[str, str | None]:
    return {fact.name: linter.judged(fact, clock.now_ms()) for fact in linter.facts(store, names)}


def rule_of(store: Redis, name: str) -> str | None:
    return rules(store, name)[name]


def remedy_of(store: Redis, name: str) -> linter.Remedy | None:
    (fact,) = linter.facts(store, [name])
    rule = linter.judged(fact, clock.now_ms())
    assert rule
    return linter.remedy(store, fact, rule, clock.now_ms())


def test_a_quote_without_end_gets_its_own_lifetime(store: Redis) -> None:
    store.set("quote:life:Q001", "Term Life $500K 20Y - Customer: CUST001 - Premium: $45/month")
    assert rule_of(store, "quote:life:Q001") == "never_ends"
    remedy = remedy_of(store, "quote:life:Q001")
    assert remedy and remedy.verb == "until" and remedy.deadline
    assert abs(remedy.deadline - clock.now_ms() - 30 * clock.MINUTE) < 5_000


def test_a_figure_that_never_ends_gets_the_end_of_its_period(store: Redis) -> None:
    """Trap 27: INCR on a missing key is immortal."""
    name = f"metrics:daily:{clock.today()}:policies_sold"
    store.incr(name)
    remedy = remedy_of(store, name)
    assert remedy and remedy.deadline == clock.end_of_day(clock.today()) + clock.DAY


def test_trap_14_a_risk_level_without_its_quote_is_a_ghost(store: Redis) -> None:
    store.set("quote:auto:Q010:risk_level", "HIGH")
    assert rule_of(store, "quote:auto:Q010:risk_level") == "ghost"
    assert remedy_of(store, "quote:auto:Q010:risk_level") == linter.Remedy("delete")


def test_trap_14_a_risk_level_without_lifetime_outlives_its_quote(store: Redis) -> None:
    store.set("quote:auto:Q010", "x", ex=180)
    store.set("quote:auto:Q010:risk_level", "HIGH")
    assert rules(store, "quote:auto:Q010", "quote:auto:Q010:risk_level") == {
        "quote:auto:Q010": None,
        "quote:auto:Q010:risk_level": "outlives",
    }
    assert remedy_of(store, "quote:auto:Q010:risk_level") == linter.Remedy(
        "until", store.pexpiretime("quote:auto:Q010")
    )


def test_trap_15_a_quote_that_was_extended_in_part_is_split(store: Redis) -> None:
    for field in ("", ":customer", ":premium"):
        store.set(f"quote:auto:Q001{field}", "x", ex=300)
    for field in ("", ":customer"):
        store.expire(f"quote:auto:Q001{field}", 600)
    assert rule_of(store, "quote:auto:Q001:premium") == "underlives"
    assert rule_of(store, "quote:auto:Q001:customer") is None


@pytest.mark.parametrize("seconds", [300, 303])
def test_parts_that_were_typed_one_after_another_are_together(store: Redis, seconds: int) -> None:
    store.set("quote:auto:Q001", "x", ex=300)
    store.set("quote:auto:Q001:premium", "1", ex=seconds)
    assert rule_of(store, "quote:auto:Q001:premium") is None


def test_a_fact_of_a_policy_that_would_vanish_is_made_permanent(store: Redis) -> None:
    store.set("policy:auto:100001:premium", "1200", ex=300)
    assert rule_of(store, "policy:auto:100001:premium") == "ends"
    assert remedy_of(store, "policy:auto:100001:premium") == linter.Remedy("persist")


def test_what_lives_longer_than_its_family_is_brought_to_its_longest(store: Redis) -> None:
    store.set("session:mobile:CUST001:d1", "x", ex=3 * 3_600)
    assert rule_of(store, "session:mobile:CUST001:d1") == "too_late"
    remedy = remedy_of(store, "session:mobile:CUST001:d1")
    assert remedy and remedy.deadline and abs(remedy.deadline - clock.now_ms() - 2 * clock.HOUR) < 5_000


def test_an_audit_record_that_ends_too_early_has_its_end_put_off(store: Redis) -> None:
    name = f"audit:policy:auto:100001:change:{NOW_DAY}"
    store.set(name, "Premium from 1200 to 1350 by AG001", ex=86_400)
    assert rule_of(store, name) == "too_early"
    remedy = remedy_of(store, name)
    assert remedy and remedy.deadline and remedy.deadline > store.pexpiretime(name)
    store.pexpireat(name, remedy.deadline)
    assert rule_of(store, name) is None


@pytest.mark.parametrize(
    ("text", "seconds", "rule"),
    [
        ("Customer: CUST001 | Amount: 1200 | Date: {today}", 86_400, "too_early"),
        ("Customer: CUST001 | Amount: 1200 | Date: {today}", 220_752_000, None),
        ("Customer: CUST001 | Amount: 1200 | Date: 2019-03-01", 86_400, None),
        ("Customer: CUST001 | Amount: 1200", 86_400, None),
    ],
)
def test_a_payment_is_to_be_kept_for_seven_years_from_the_day_that_its_text_tells(
    store: Redis, text: str, seconds: int, rule: str | None
) -> None:
    store.set("audit:payment:transaction:T1", text.format(today=clock.today()), ex=seconds)
    assert rule_of(store, "audit:payment:transaction:T1") == rule
    if rule:
        remedy = remedy_of(store, "audit:payment:transaction:T1")
        assert remedy and remedy.deadline and remedy.deadline >= clock.now_ms() + 6 * 365 * clock.DAY


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_a_date_at_the_end_of_all_calendars_is_one_like_any(store: Redis, year: str) -> None:
    store.set(f"audit:policy:auto:1:change:{year}0101", "x", ex=86_400)
    store.set("audit:payment:transaction:T1", f"Date: {year}-12-31", ex=86_400)
    assert set(rules(store, *store.scan_iter()).values()) == {None if year == "0001" else "too_early"}


def test_an_audit_record_is_never_brought_nearer_its_end_nor_deleted(store: Redis) -> None:
    store.set(f"audit:policy:auto:100001:change:{NOW_DAY}", "x")
    store.set("audit:payment:transaction:T1", "x", ex=8 * 365 * 86_400)
    store.rpush(f"audit:claim:CLM001:change:{NOW_DAY}", "x")
    assert remedy_of(store, f"audit:policy:auto:100001:change:{NOW_DAY}") is None
    assert remedy_of(store, "audit:payment:transaction:T1") is None
    assert remedy_of(store, f"audit:claim:CLM001:change:{NOW_DAY}") is None


def test_of_a_wrong_type_only_what_can_be_made_anew_is_deleted(store: Redis) -> None:
    store.rpush("policy:auto:100001:premium", "1200")
    store.set("dash:agents", "x")
    assert rules(store, "policy:auto:100001:premium", "dash:agents") == dict.fromkeys(
        ("policy:auto:100001:premium", "dash:agents"), "wrong_type"
    )
    assert remedy_of(store, "policy:auto:100001:premium") is None
    assert remedy_of(store, "dash:agents") == linter.Remedy("delete")


def test_unknown_names_are_found_and_left_alone(store: Redis) -> None:
    store.set("polcy:auto:100001:premium", "x")
    assert rule_of(store, "polcy:auto:100001:premium") == "unknown"
    assert remedy_of(store, "polcy:auto:100001:premium") is None


def test_a_decided_claims_investigation_is_rightly_permanent(store: Redis) -> None:
    """Trap 26: two of its four keys were left to end."""
    store.set("investigation:CLM001", "Adjuster: ADJ001")
    store.set("investigation:CLM001:status", "COMPLETED")
    store.set("investigation:CLM001:notes", "x", ex=86_400)
    assert rule_of(store, "investigation:CLM001") == "never_ends"
    store.set("claim:CLM001:status", "APPROVED")
    names = [f"investigation:CLM001{field}" for field in ("", ":status", ":notes")]
    assert list(rules(store, *names).values()) == [None, None, "underlives"]
    assert remedy_of(store, "investigation:CLM001:notes") == linter.Remedy("persist")


def test_a_key_that_is_gone_is_no_finding(store: Redis) -> None:
    assert linter.facts(store, ["quote:auto:Q001"]) == []


def test_what_the_document_writes_is_in_order_but_for_the_ghosts_to_be(store: Redis) -> None:
    document.run(store, document.AUTO + document.HOME + document.CUSTOMER + document.AUTO_QUOTE)
    names = sorted(store.scan_iter())
    assert {name: rule for name, rule in rules(store, *names).items() if rule} == {}
    document.run(store, document.RISKS)
    broken = {name: rule for name, rule in rules(store, *store.scan_iter()).items() if rule}
    assert set(broken.values()) == {"outlives"} and all(name.endswith(":risk_level") for name in broken)


def test_periods_are_not_called_too_early_while_they_are_within_the_documents_own_lifetimes(store: Redis) -> None:
    yesterday = clock.today() - timedelta(days=1)
    store.set(f"metrics:daily:{yesterday}:policies_sold", "1", ex=60)
    store.set(f"metrics:daily:{clock.today()}:policies_sold", "1", ex=86_400)
    assert set(rules(store, *store.scan_iter()).values()) == {None}


def test_what_the_sample_book_and_the_dashboard_itself_write_is_in_order(store: Redis) -> None:
    sample.load(store)
    broken = {name: rule for name, rule in rules(store, *store.scan_iter()).items() if rule}
    assert broken == {}


def test_what_a_legal_hold_keeps_is_rightly_without_end(store: Redis) -> None:
    name = "audit:payment:transaction:TXN001"
    store.set(name, "Amount: $1,200", ex=7 * 365 * 86_400)
    holds.place("record", name, "A dispute", by="SUP001")
    assert store.ttl(name) == -1 and rule_of(store, name) is None
    with pytest.raises(Conflict, match="legal hold"):
        end = clock.now_ms() + clock.DAY
        plan = key_change.plan(store, name, "until", deadline=end)
        key_change.act(name, "until", seen=plan.seen, by="ADM001", deadline=end)
