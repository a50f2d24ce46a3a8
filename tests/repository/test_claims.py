"""Claims: read whoever wrote them, carried from step to step without losing a fact, decided once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, DomainError, Expired, Invalid, NotFound
from dashboard.repository import agents, audit, claims, policies
from dashboard.repository.agents import Scope
from dashboard.repository.claims import Filter
from tests import document

EVERYTHING = Scope()
DALLAS = Scope(frozenset({"dallas"}))
NO_AUTO = Scope(None, frozenset({"home", "life"}))
ALL = Filter()
WEEK, MONTH = 7 * clock.DAY, 30 * clock.DAY

# The customer's document, lines 180 to 204, as any other tool would send it.
REPORT = """
SETEX claim:temp:CLM003 604800 "Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500"
SETEX claim:temp:CLM003:reporter 604800 "CUST001"
SETEX claim:temp:CLM003:incident_date 604800 "2024-08-18T14:30:00Z"
SETEX claim:temp:CLM003:location 604800 "I-35 and Main St, Dallas TX"
"""
ASSIGN = """
SETEX investigation:CLM003 2592000 "Adjuster: ADJ001 | Photos: 12 | Witness Statements: 2"
SETEX investigation:CLM003:adjuster 2592000 "ADJ001"
SETEX investigation:CLM003:status 2592000 "IN_PROGRESS"
SETEX investigation:CLM003:estimated_amount 2592000 "3200"
"""
APPROVE = """
SET claim:CLM003:details "Auto Accident - Policy: auto:100001 - Amount: $3,200 - Status: APPROVED"
SET claim:CLM003:final_amount 3200
SET claim:CLM003:status "APPROVED"
SET claim:CLM003:approval_date "2024-08-25T16:00:00Z"
DEL claim:temp:CLM003
DEL claim:temp:CLM003:reporter
DEL claim:temp:CLM003:incident_date
DEL claim:temp:CLM003:location
PERSIST investigation:CLM003
PERSIST investigation:CLM003:adjuster
"""


def by_other_tools(store: Redis, commands: str) -> None:
    """Run commands as redis-cli would, and let the index hear of them as the follower lets it."""
    document.run(store, commands)
    claims.refresh(store, sorted(subjects(store)))


def subjects(store: Redis) -> set[str]:
    parsed = [keys.parse(name) for name in store.keys("*")]
    return {found.subject for found in parsed if found and found.family.area == "claims" and found.subject}


def a_policy(store: Redis) -> None:
    for name, value in {
        "details": "2020 Toyota Camry LE",
        "status": "ACTIVE",
        "customer": "CUST001",
        "agent": "AG001",
    }.items():
        store.set(keys.policy_field("auto", "100001", name), value)
    store.set(keys.customer_field("CUST001", "profile"), "John Smith|DOB:1985-03-15")
    agents.save(store, {"AG001": "dallas", "AG002": "houston"})


def reported(**changes: Any) -> str:
    facts: dict[str, Any] = {
        "summary": "Auto Accident",
        "policy": "auto:100001",
        "customer": "CUST001",
        "incident_date": datetime(2024, 8, 18, 14, 30, tzinfo=UTC),
        "location": "I-35 and Main St, Dallas TX",
        "estimated_amount": Decimal("3500"),
        "by": "AG001",
    }
    return claims.report(**{**facts, **changes})


def investigated(**changes: Any) -> str:
    number = reported(**changes)
    claims.assign(number, "ADJ001", by="AG001")
    return number


def record_of(store: Redis, number: str) -> dict[str, str]:
    return {name: store.get(name) for name in claims.all_keys(number) if store.exists(name)}


def told_in(store: Redis, number: str) -> dict[str, str]:
    """The record without the moments at which its steps were taken: those are told in test_claim_steps."""
    moments = ("reported_date", "assigned_date")
    return {name: value for name, value in record_of(store, number).items() if not name.endswith(moments)}


def deadlines_of(store: Redis, number: str) -> set[int]:
    return {store.pexpiretime(name) for name in record_of(store, number)}


def board(store: Redis, scope: Scope = EVERYTHING, wanted: Filter = ALL) -> dict[str, list[str]]:
    """The stages up to a decision; what comes after one is told in test_claim_steps."""
    columns = claims.pipeline(store, scope, wanted, stages=("reported", "investigating", "approved", "denied"))
    return {column.stage: [row.number for row in column.rows] for column in columns}


# -- what other tools wrote


def test_a_claim_reported_as_the_document_does_it_shows(store: Redis) -> None:
    by_other_tools(store, REPORT)
    claim = claims.get(store, "CLM003")
    assert (claim.stage, claim.summary, claim.customer) == ("reported", "Auto Accident", "CUST001")
    assert (claim.estimated, claim.reporter, claim.location) == (
        Decimal(3500),
        "CUST001",
        "I-35 and Main St, Dallas TX",
    )
    assert claim.incident == datetime(2024, 8, 18, 14, 30, tzinfo=UTC)
    assert 0 < claim.deadline - clock.now_ms() <= WEEK
    assert (claim.policy, claim.product, claim.branch, claim.problems) == (None, "", "", ())
    assert board(store) == {"reported": ["CLM003"], "investigating": [], "approved": [], "denied": []}


def test_an_assignment_as_the_document_does_it_shows_the_time_the_first_key_has(store: Redis) -> None:
    by_other_tools(store, REPORT + ASSIGN)
    claim = claims.get(store, "CLM003")
    assert (claim.stage, claim.adjuster, claim.photos, claim.witness_statements) == ("investigating", "ADJ001", 12, 2)
    assert (claim.estimated, claim.first_estimate) == (Decimal(3200), Decimal(3500))
    assert claim.deadline - clock.now_ms() <= WEEK, "the incident is told by keys that end after seven days"


def test_an_approval_as_the_document_does_it_shows_with_policy_and_customer_from_its_text(store: Redis) -> None:
    a_policy(store)
    by_other_tools(store, REPORT + ASSIGN + APPROVE)
    claim = claims.get(store, "CLM003")
    assert (claim.stage, claim.final_amount, claim.deadline) == ("approved", Decimal(3200), None)
    assert (claim.policy, claim.product, claim.summary) == ("auto:100001", "auto", "Auto Accident")
    assert (claim.agent, claim.branch) == ("AG001", "dallas"), "of its policy"
    assert (claim.customer, claim.customer_name) == ("CUST001", "John Smith")
    assert claim.decided == datetime(2024, 8, 25, 16, 0, tzinfo=UTC)
    assert board(store)["approved"] == ["CLM003"]
    assert [each.number for each in claims.for_policy(store, EVERYTHING, "auto:100001")] == ["CLM003"]


@pytest.mark.parametrize(
    ("commands", "stage"),
    [
        ("SET claim:temp:CLM009:location Dallas", "reported"),
        ("SET claim:CLM009:details 'Hail - Policy: auto:100001 - Amount: $10 - Status: DENIED'", "denied"),
        ("SET claim:CLM009:denial_reason 'not covered'", "denied"),
        ("SET claim:CLM009:final_amount 10", "approved"),
        ("SET claim:CLM009:status denied", "denied"),
        ("SET claim:CLM009:status OPEN", "reported"),
        ("SET claim:CLM009:details Hail", "reported"),
        ("SET investigation:CLM009 'Photos: many'", "investigating"),
        ("SET investigation:CLM009:notes hello", "investigating"),
    ],
)
def test_a_partial_claim_is_on_the_board(store: Redis, commands: str, stage: str) -> None:
    by_other_tools(store, commands)
    assert board(store)[stage] == ["CLM009"]
    assert claims.get(store, "CLM009").stage == stage


@pytest.mark.parametrize(
    ("commands", "key", "words"),
    [
        (["SET", "investigation:CLM009", "Photos: many"], "investigation:CLM009", "no number after Photos: many"),
        (
            ["SET", "claim:temp:CLM009", "Hail - Estimated: lots"],
            "claim:temp:CLM009",
            "no amount after Estimated: lots",
        ),
        (["SET", "claim:temp:CLM009", "Hail - Policy: boat:7"], "claim:temp:CLM009", "is not a policy: boat:7"),
        (["SET", "claim:temp:CLM009", "Hail - Customer: a b"], "claim:temp:CLM009", "no identifier as customer"),
        (["SET", "claim:temp:CLM009:policy", "banana"], "claim:temp:CLM009:policy", "is not a policy: banana"),
        (["SET", "claim:temp:CLM009:estimated_amount", "NaN"], "claim:temp:CLM009:estimated_amount", "not an amount"),
        (["SET", "claim:temp:CLM009:incident_date", "soon"], "claim:temp:CLM009:incident_date", "not a point in time"),
        (["SET", "claim:temp:CLM009:location", b"\xff\xfe"], "claim:temp:CLM009:location", "not valid UTF-8"),
        (["SET", "claim:temp:CLM009", "x" * 1_000_000], "claim:temp:CLM009", "1,000,000 characters long"),
        (["RPUSH", "claim:temp:CLM009:location", "a"], "claim:temp:CLM009:location", "holds a list"),
        (["RPUSH", "claim:temp:CLM009", "a"], "claim:temp:CLM009", "holds a list"),
        (["HSET", "claim:CLM009:details", "a", "b"], "claim:CLM009:details", "holds a hash"),
        (["SET", "claim:CLM009:status", "MAYBE"], "claim:CLM009:status", "neither APPROVED nor DENIED"),
    ],
)
def test_what_is_broken_is_named_and_the_board_stands(store: Redis, commands: list[Any], key: str, words: str) -> None:
    store.execute_command(*commands)
    claims.refresh(store, ["CLM009"])
    (row,) = [row for column in claims.pipeline(store, EVERYTHING, Filter()) for row in column.rows]
    assert any(problem.key == key and words in problem.what for problem in row.problems), row.problems


def test_nothing_is_found_under_a_number_that_is_none(store: Redis) -> None:
    for number in ("CLM999", "temp", "a b", "*", "", "x" * 100):
        with pytest.raises(NotFound):
            claims.get(store, number)


# -- reporting


def test_a_report_writes_the_documents_keys_and_one_deadline(store: Redis) -> None:
    a_policy(store)
    number = reported()
    assert number == "CLM001"
    assert told_in(store, number) == {
        "claim:temp:CLM001": "Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500",
        "claim:temp:CLM001:reporter": "CUST001",
        "claim:temp:CLM001:incident_date": "2024-08-18T14:30:00Z",
        "claim:temp:CLM001:location": "I-35 and Main St, Dallas TX",
        "claim:temp:CLM001:policy": "auto:100001",
        "claim:temp:CLM001:customer": "CUST001",
        "claim:temp:CLM001:agent": "AG001",
        "claim:temp:CLM001:estimated_amount": "3500",
        "claim:temp:CLM001:reported_by": "AG001",
    }
    (deadline,) = deadlines_of(store, number)
    assert 0 <= clock.now_ms() + WEEK - deadline < 5_000
    claim = claims.get(store, number)
    assert (claim.stage, claim.product, claim.branch, claim.deadline) == ("reported", "auto", "dallas", deadline)


def test_a_report_raises_claims_filed_and_leaves_all_it_knew_in_the_history(store: Redis) -> None:
    a_policy(store)
    number = reported()
    day = clock.today().isoformat()
    filed = [keys.daily_metric(day, "claims_filed"), keys.daily_department_metric(day, "auto", "claims_filed")]
    assert store.mget(*filed, keys.daily_agent_metric(day, "AG001", "claims_filed")) == ["1", "1", "1"]
    (told,) = audit.history(store, audit.CLAIM, number)
    assert told.text.startswith("Reported by AG001: Auto Accident - Initial Report")
    assert "location: I-35 and Main St, Dallas TX" in told.text


def test_a_report_may_know_hardly_anything(store: Redis) -> None:
    number = claims.report(summary="Hail", by="AG001")
    assert told_in(store, number) == {
        f"claim:temp:{number}": "Hail - Initial Report",
        f"claim:temp:{number}:reported_by": "AG001",
    }
    assert board(store, DALLAS)["reported"] == [number], "nobody's branch, so everybody's"


def test_a_report_takes_agent_and_customer_from_its_policy(store: Redis) -> None:
    a_policy(store)
    claim = claims.get(store, claims.report(summary="Hail", policy="auto:100001", by="SUP001"))
    assert (claim.agent, claim.customer, claim.reporter, claim.branch) == ("AG001", "CUST001", "CUST001", "dallas")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("summary", ""),
        ("summary", "A | B"),
        ("summary", "Hail - Customer: CUST009"),
        ("summary", "customer: CUST009"),
        ("summary", "x" * 121),
        ("policy", "boat:1"),
        ("customer", "a:b"),
        ("location", "here\nthere"),
        ("reporter", "a|b"),
        ("estimated_amount", Decimal("-1")),
        ("estimated_amount", Decimal("0.001")),
        ("estimated_amount", Decimal("1e12")),
        ("estimated_amount", Decimal("NaN")),
        ("incident_date", datetime(2999, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_report_that_would_spoil_the_record_is_refused(store: Redis, field: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        reported(**{field: value})
    assert list(refused.value.fields) == [field]
    assert not store.keys("claim*")


@pytest.mark.parametrize("taken", ["claim:temp:CLM001", "claim:CLM001:details", "investigation:CLM001:notes"])
def test_a_number_that_exists_in_any_form_is_never_given_again(store: Redis, taken: str) -> None:
    store.set(taken, "theirs")
    assert reported(policy=None) == "CLM002"


def test_a_number_whose_record_has_ended_is_not_given_again(store: Redis) -> None:
    number = reported(policy=None)
    store.delete(*record_of(store, number), keys.sequence("claim"))
    assert reported(policy=None) == "CLM002"
    with pytest.raises(Expired):
        claims.get(store, number)


def test_the_same_form_sent_twice_reports_one_claim(store: Redis) -> None:
    assert reported(policy=None, token="t") == reported(policy=None, token="t")
    assert subjects(store) == {"CLM001"}


# -- investigating


def test_trap_25_an_assignment_carries_the_temporary_record_to_the_investigations_30_days(store: Redis) -> None:
    a_policy(store)
    number = reported()
    before = told_in(store, number)
    claims.assign(number, "ADJ001", by="AG001")
    assert told_in(store, number) == before | {
        f"investigation:{number}": "Adjuster: ADJ001 | Photos: 0 | Witness Statements: 0",
        f"investigation:{number}:adjuster": "ADJ001",
        f"investigation:{number}:status": "IN_PROGRESS",
        f"investigation:{number}:estimated_amount": "3500",
    }
    (deadline,) = deadlines_of(store, number)
    assert 0 <= clock.now_ms() + MONTH - deadline < 5_000
    assert claims.get(store, number).deadline == deadline
    assert board(store)["investigating"] == [number]


def test_trap_25_a_claim_that_ends_soon_is_named_before_it_is_lost(store: Redis) -> None:
    a_policy(store)
    first, second, third = reported(), reported(), investigated()
    store.pexpireat(f"claim:temp:{second}:location", clock.now_ms() + clock.HOUR)
    claims.refresh(store, [second])
    soon = claims.ending_soon(store, DALLAS, 2)
    assert [claim.number for claim in soon.rows] == [second, first]
    assert soon.total == 3
    assert claims.urgent(store, DALLAS) == 1
    assert [claim.number for claim in claims.ending_soon(store, DALLAS, within=clock.DAY).rows] == [second]
    assert third not in [claim.number for claim in soon.rows]


def test_another_adjuster_goes_on_with_the_time_there_is(store: Redis) -> None:
    number = investigated(policy=None)
    deadline = clock.now_ms() + clock.DAY
    for name in record_of(store, number):
        store.pexpireat(name, deadline)
    claims.assign(number, "ADJ002", by="SUP001", instead_of="ADJ001")
    assert deadlines_of(store, number) == {deadline}
    assert store.get(f"investigation:{number}").startswith("Adjuster: ADJ002 |")


def test_two_people_assigning_do_not_overwrite_each_other(store: Redis) -> None:
    number = investigated(policy=None)
    with pytest.raises(Conflict, match="assigned to ADJ001"):
        claims.assign(number, "ADJ002", by="AG002")
    assert claims.get(store, number).adjuster == "ADJ001"


def test_an_investigation_is_updated_within_its_deadline(store: Redis) -> None:
    number = investigated(policy=None)
    before = deadlines_of(store, number)
    told = claims.update_investigation(
        number, by="AG001", photos=12, witness_statements=2, estimate=Decimal(3200), notes="Seen the car.\nBumper gone."
    )
    assert deadlines_of(store, number) == before
    assert store.get(f"investigation:{number}") == "Adjuster: ADJ001 | Photos: 12 | Witness Statements: 2"
    assert store.get(f"investigation:{number}:estimated_amount") == "3200"
    assert store.get(f"claim:temp:{number}:estimated_amount") == "3500"
    assert "Photos updated from 0 to 12" in told
    assert claims.get(store, number).notes == "Seen the car.\nBumper gone."


def test_an_update_keeps_what_other_tools_put_into_the_text_and_heals_a_split_record(store: Redis) -> None:
    by_other_tools(store, REPORT + ASSIGN)
    store.set("investigation:CLM003", "Adjuster: ADJ001 | Police Report: yes | urgent | Photos: 1", keepttl=True)
    claims.update_investigation("CLM003", by="AG001", photos=3, witness_statements=0)
    text = store.get("investigation:CLM003")
    assert text == "Adjuster: ADJ001 | Photos: 3 | Witness Statements: 0 | Police Report: yes | urgent"
    (deadline,) = deadlines_of(store, "CLM003")
    assert deadline - clock.now_ms() > MONTH - clock.HOUR


def test_an_update_made_on_an_older_state_is_noticed(store: Redis) -> None:
    number = investigated(policy=None)
    seen = claims.get(store, number).seen
    claims.update_investigation(number, by="AG001", photos=1, seen=seen)
    with pytest.raises(Conflict, match="while you were editing"):
        claims.update_investigation(number, by="AG002", photos=2, seen=seen)
    assert claims.get(store, number).photos == 1


def test_nobody_updates_or_approves_what_nobody_investigates(store: Redis) -> None:
    number = reported(policy=None)
    with pytest.raises(Conflict, match="assign an adjuster first"):
        claims.update_investigation(number, by="AG001", photos=1)
    with pytest.raises(Conflict, match="assign an adjuster first"):
        claims.approve(number, Decimal(1), by="AG001")


# -- deciding


def test_trap_26_an_approval_copies_every_fact_and_persists_the_whole_investigation(store: Redis) -> None:
    a_policy(store)
    number = investigated()
    claims.update_investigation(number, by="AG001", photos=12, witness_statements=2, estimate=Decimal(3200), notes="ok")
    claims.approve(number, Decimal("3200"), by="SUP001")
    decided = store.get(f"claim:{number}:approval_date")
    assert told_in(store, number) == {
        f"claim:{number}:approved_by": "SUP001",
        f"claim:{number}:reported_by": "AG001",
        f"claim:{number}:details": "Auto Accident - Policy: auto:100001 - Amount: $3,200 - Status: APPROVED",
        f"claim:{number}:final_amount": "3200",
        f"claim:{number}:status": "APPROVED",
        f"claim:{number}:approval_date": decided,
        f"claim:{number}:reporter": "CUST001",
        f"claim:{number}:incident_date": "2024-08-18T14:30:00Z",
        f"claim:{number}:location": "I-35 and Main St, Dallas TX",
        f"claim:{number}:policy": "auto:100001",
        f"claim:{number}:customer": "CUST001",
        f"claim:{number}:agent": "AG001",
        f"claim:{number}:adjuster": "ADJ001",
        f"claim:{number}:estimated_amount": "3500",
        f"investigation:{number}": "Adjuster: ADJ001 | Photos: 12 | Witness Statements: 2",
        f"investigation:{number}:adjuster": "ADJ001",
        f"investigation:{number}:status": "CLOSED",
        f"investigation:{number}:estimated_amount": "3200",
        f"investigation:{number}:notes": "ok",
    }
    assert deadlines_of(store, number) == {-1}, "for ever, all of it"
    assert not store.keys("claim:temp:*")
    claim = claims.get(store, number)
    assert (claim.stage, claim.deadline, claim.estimated, claim.first_estimate) == ("approved", None, 3200, 3500)
    assert board(store)["approved"] == [number]


def test_trap_26_a_claim_of_other_tools_loses_nothing_either(store: Redis) -> None:
    by_other_tools(store, REPORT + ASSIGN)
    store.set("claim:temp:CLM003:location", b"caf\xe9", ex=1000)
    claims.approve("CLM003", Decimal("3200.50"), by="SUP001")
    assert store.get("claim:CLM003:details") == "Auto Accident - Amount: $3,200.50 - Status: APPROVED"
    assert store.get("claim:CLM003:customer") == "CUST001", "it stood inside the text alone"
    assert store.get("claim:CLM003:estimated_amount") == "3500", "so did this"
    assert store.get("claim:CLM003:location").encode(errors="surrogateescape") == b"caf\xe9", "byte for byte"
    assert store.mget("investigation:CLM003:status", "investigation:CLM003:estimated_amount") == ["CLOSED", "3200"]
    assert deadlines_of(store, "CLM003") == {-1}


def test_a_denial_may_come_before_any_investigation_and_leaves_no_trace_of_one(store: Redis) -> None:
    a_policy(store)
    number = reported()
    claims.deny(number, "Not covered: wear and tear", by="AG001")
    record = record_of(store, number)
    assert record[f"claim:{number}:details"] == "Auto Accident - Policy: auto:100001 - Status: DENIED"
    assert record[f"claim:{number}:denial_reason"] == "Not covered: wear and tear"
    assert record[f"claim:{number}:location"] == "I-35 and Main St, Dallas TX"
    assert not [name for name in record if not name.startswith(f"claim:{number}:")]
    claim = claims.get(store, number)
    assert (claim.stage, claim.denial_reason, claim.final_amount) == ("denied", "Not covered: wear and tear", None)


def test_the_second_to_decide_is_told_who_decided_what(store: Redis) -> None:
    number = investigated(policy=None)
    claims.approve(number, Decimal(3200), by="SUP001")
    before = record_of(store, number)
    with pytest.raises(Conflict, match=r"already approved by SUP001 with \$3,200"):
        claims.approve(number, Decimal(9999), by="AG001")
    with pytest.raises(Conflict, match=r"already approved by SUP001 with \$3,200"):
        claims.deny(number, "no", by="AG001")
    other = reported(policy=None)
    claims.deny(other, "fraud: staged", by="AG002")
    with pytest.raises(Conflict, match=r"already denied by AG002 \(fraud: staged\)"):
        claims.assign(other, "ADJ001", by="AG001")
    assert record_of(store, number) == before


def test_the_second_to_decide_is_told_when_it_happened_elsewhere(store: Redis) -> None:
    by_other_tools(store, REPORT + ASSIGN + APPROVE)
    with pytest.raises(Conflict, match=r"already approved elsewhere with \$3,200"):
        claims.approve("CLM003", Decimal(1), by="AG001")


def test_the_same_decision_sent_twice_is_made_once(store: Redis) -> None:
    number = investigated(policy=None)
    first = claims.approve(number, Decimal(3200), by="SUP001", token="t")
    assert claims.approve(number, Decimal(3200), by="SUP001", token="t") == first
    assert len([each for each in audit.history(store, audit.CLAIM, number) if each.text.startswith("Approved")]) == 1


@pytest.mark.parametrize("broken", ["claim:temp:CLM003:location", "investigation:CLM003:notes", "claim:CLM003:agent"])
def test_a_decision_that_would_break_half_way_is_refused_with_nothing_done(store: Redis, broken: str) -> None:
    by_other_tools(store, REPORT + ASSIGN)
    store.delete(broken)
    store.rpush(broken, "a list")
    before = {name: store.dump(name) for name in store.keys("[ci]*:*CLM003*")}
    with pytest.raises(Conflict, match=f"{broken} holds a list"):
        claims.approve("CLM003", Decimal(1), by="AG001")
    assert {name: store.dump(name) for name in store.keys("[ci]*:*CLM003*")} == before


def test_a_claim_that_ended_cannot_be_decided(store: Redis) -> None:
    number = investigated(policy=None)
    store.delete(*record_of(store, number))
    with pytest.raises(Expired):
        claims.approve(number, Decimal(1), by="AG001")
    assert not record_of(store, number)


def test_a_reason_and_an_amount_are_needed(store: Redis) -> None:
    number = investigated(policy=None)
    for reason in ("", "   ", "a|b", "x" * 501):
        with pytest.raises(Invalid):
            claims.deny(number, reason, by="AG001")
    for wrong in ("0", "-5", "NaN", "Infinity", "1e12", "1.234"):
        with pytest.raises(Invalid):
            claims.approve(number, Decimal(wrong), by="AG001")


# -- lists


def test_the_board_shows_the_soonest_end_first_and_the_newest_decision_first(store: Redis) -> None:
    a_policy(store)
    numbers = [reported() for _ in range(4)]
    store.pexpire(f"claim:temp:{numbers[2]}", clock.HOUR)
    claims.refresh(store, numbers)
    decided = [investigated() for _ in range(3)]
    for at, number in enumerate(decided):
        claims.approve(number, Decimal(100 + at), by="SUP001")
        store.set(f"claim:{number}:approval_date", f"2025-0{(1, 3, 2)[at]}-01T00:00:00Z")
    claims.refresh(store, decided)
    assert board(store)["reported"][0] == numbers[2]
    assert board(store)["approved"] == [decided[1], decided[2], decided[0]]
    (approved,) = claims.pipeline(store, EVERYTHING, Filter(), size=2, stages=("approved",))
    assert (approved.total, approved.hidden, approved.shown_amount) == (3, 1, Decimal(203))
    page = claims.listing(store, EVERYTHING, Filter(), "approved", size=2)
    following = claims.listing(store, EVERYTHING, Filter(), "approved", size=2, cursor=page.next)
    assert [row.number for row in page.rows + following.rows] == [decided[1], decided[2], decided[0]]


def test_each_sees_what_is_of_their_branches_and_products_or_of_nobodys(store: Redis) -> None:
    a_policy(store)
    store.mset({"policy:auto:100002:status": "ACTIVE", "policy:auto:100002:agent": "AG002"})
    ours, theirs, nobodys = reported(), reported(policy="auto:100002"), claims.report(summary="Hail", by="SUP001")
    assert set(board(store)["reported"]) == {ours, theirs, nobodys}
    assert set(board(store, DALLAS)["reported"]) == {ours, nobodys}
    assert board(store, NO_AUTO)["reported"] == [nobodys]
    assert claims.totals(store, DALLAS, Filter()) == {"auto": 1, "home": 0, "life": 0, "": 1}
    assert [claim.number for claim in claims.for_policy(store, DALLAS, "auto:100001")] == [ours]
    assert [claim.number for claim in claims.ending_soon(store, NO_AUTO).rows] == [nobodys]


def test_the_board_is_filtered_by_product_customer_and_adjuster(store: Redis) -> None:
    a_policy(store)
    first = investigated()
    second = investigated(policy=None, customer="CUST002")
    claims.assign(second, "ADJ002", by="AG001", instead_of="ADJ001")
    assert board(store, wanted=Filter(product="auto"))["investigating"] == [first]
    assert board(store, wanted=Filter(product=""))["investigating"] == [second]
    assert board(store, DALLAS, Filter(customer="CUST001"))["investigating"] == [first]
    assert board(store, DALLAS, Filter(adjuster="ADJ002"))["investigating"] == [second]
    assert board(store, DALLAS, Filter(customer="CUST001", adjuster="ADJ002"))["investigating"] == []
    assert not store.keys("dash:scratch:*")


def test_what_ended_or_moved_on_unnoticed_is_pruned_while_reading(store: Redis) -> None:
    a_policy(store)
    gone, moved, stays = reported(), reported(), reported()
    store.delete(*record_of(store, gone))
    store.set(f"claim:{moved}:status", "DENIED")
    assert board(store) == {"reported": [stays], "investigating": [], "approved": [], "denied": [moved]}
    assert claims.totals(store, EVERYTHING, Filter())["auto"] == 2


def test_a_claim_follows_its_policys_agent_into_another_branch(store: Redis) -> None:
    a_policy(store)
    store.set("claim:temp:CLM009", "Hail - Policy: auto:100001")
    claims.refresh(store, ["CLM009"])
    assert board(store, DALLAS)["reported"] == ["CLM009"]
    store.set("policy:auto:100001:agent", "AG002")
    assert board(store, DALLAS)["reported"] == []
    assert board(store, Scope(frozenset({"houston"})))["reported"] == ["CLM009"]


def commands_of(store: Redis, action: Callable[[], object]) -> int:
    before = store.info("commandstats")
    action()
    after = store.info("commandstats")
    names = [name for name in after if name not in ("cmdstat_info",)]
    return sum(after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in names)


def test_the_board_costs_the_same_however_many_claims_there_are(store: Redis) -> None:
    a_policy(store)

    def fill(first: int, last: int) -> None:
        pipe = store.pipeline(transaction=False)
        numbers = [f"CLM{number:05d}" for number in range(first, last)]
        for number in numbers:
            pipe.set(f"claim:temp:{number}", "Hail - Policy: auto:100001 - Customer: CUST001", ex=600_000)
        pipe.execute()
        claims.refresh(store, numbers)

    fill(0, 50)
    few = commands_of(store, lambda: claims.pipeline(store, EVERYTHING, Filter()))
    for start in range(50, 2_050, 500):
        fill(start, start + 500)
    many = commands_of(store, lambda: claims.pipeline(store, EVERYTHING, Filter()))
    assert many == few
    assert claims.pipeline(store, EVERYTHING, Filter())[0].total == 2_050


# -- races: real threads, each against the store


def at_once(*actions: Callable[[], object]) -> list[object]:
    """What each gave, or the domain error it ended with."""
    gate = threading.Barrier(len(actions))
    results: list[object] = [None] * len(actions)

    def run(at: int, action: Callable[[], object]) -> None:
        gate.wait()
        try:
            results[at] = action()
        except DomainError as error:
            results[at] = error

    threads = [threading.Thread(target=run, args=(at, action)) for at, action in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def whole(store: Redis, number: str) -> str:
    """The one state a claim is in, all of its keys considered; fails for one that is half done."""
    record = record_of(store, number)
    temporary = [name for name in record if name.startswith("claim:temp:")]
    final = [name for name in record if name.startswith(f"claim:{number}:")]
    if not record:
        return "gone"
    if not final:
        assert len(deadlines_of(store, number)) == 1, record
        return "undecided"
    assert not temporary, record
    assert deadlines_of(store, number) == {-1}
    assert record[f"investigation:{number}:status"] == "CLOSED"
    assert record[f"claim:{number}:location"] == "I-35 and Main St, Dallas TX"
    status = record[f"claim:{number}:status"]
    assert record[f"claim:{number}:details"].endswith(f"Status: {status}")
    told = [f"claim:{number}:{name}" in record for name in ("final_amount", "approval_date")]
    refused = [f"claim:{number}:{name}" in record for name in ("denial_reason", "denial_date")]
    assert (all(told), any(refused)) == ((True, False) if status == "APPROVED" else (False, True)), record
    return status


def decisions(store: Redis, number: str) -> int:
    history = audit.history(store, audit.CLAIM, number)
    return len([each for each in history if each.text.startswith(("Approved", "Denied"))])


def rounds_of(quick: int, long: int) -> list[Any]:
    """How often a race is run, in the suite and in its long form."""
    return [pytest.param(quick, id="quick"), pytest.param(long, id="long", marks=pytest.mark.long)]


ROUNDS = rounds_of(30, 1_000)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_approvals_at_once_have_one_winner(store: Redis, rounds: int) -> None:
    for _ in range(rounds):
        number = investigated(policy=None)
        results = at_once(
            lambda n=number: claims.approve(n, Decimal(111), by="SUP001"),
            lambda n=number: claims.approve(n, Decimal(222), by="SUP002"),
        )
        lost = [result for result in results if isinstance(result, Conflict)]
        assert len(lost) == 1, results
        winner, paid = ("SUP002", "222") if isinstance(results[0], Conflict) else ("SUP001", "111")
        assert f"already approved by {winner} with ${paid}" in str(lost[0])
        assert whole(store, number) == "APPROVED"
        assert store.get(f"claim:{number}:final_amount") == paid
        assert decisions(store, number) == 1


@pytest.mark.parametrize("rounds", ROUNDS)
def test_an_approval_and_a_denial_at_once_have_one_winner(store: Redis, rounds: int) -> None:
    for _ in range(rounds):
        number = investigated(policy=None)
        results = at_once(
            lambda n=number: claims.approve(n, Decimal(111), by="SUP001"),
            lambda n=number: claims.deny(n, "not covered", by="AG001"),
        )
        lost = [result for result in results if isinstance(result, Conflict)]
        assert len(lost) == 1, results
        status = whole(store, number)
        assert status == ("DENIED" if isinstance(results[0], Conflict) else "APPROVED")
        assert f"already {status.lower()} by" in str(lost[0])
        assert decisions(store, number) == 1


@pytest.mark.parametrize("rounds", rounds_of(80, 1_000))
def test_an_approval_as_the_record_ends_is_whole_or_was_too_late(store: Redis, rounds: int) -> None:
    """Each round starts a little nearer to the end, or farther from it, than the last one that failed or came through:
    so most rounds meet the moment itself, however fast or busy the machine is.
    """
    outcomes = []
    margin = 10
    for _ in range(rounds):
        number = investigated(policy=None)
        names = record_of(store, number)
        deadline = clock.now_ms() + margin
        pipe = store.pipeline(transaction=True)
        for name in names:
            pipe.pexpireat(name, deadline)
        pipe.execute()
        (result,) = at_once(lambda n=number: claims.approve(n, Decimal(111), by="SUP001"))
        time.sleep(max(0, deadline + 2 - clock.now_ms()) / 1000)
        state = whole(store, number)
        assert state == ("gone" if isinstance(result, Expired) else "APPROVED"), result
        outcomes.append(state)
        margin = margin + 2 if state == "gone" else max(0, margin - 2)
    assert min(outcomes.count("gone"), outcomes.count("APPROVED")) > rounds // 10, "the moment was hardly ever met"


def test_the_naive_way_of_reading_then_writing_has_two_winners(store: Redis) -> None:
    """The control: the same race without WATCH does go wrong, so the race is a real one."""
    store.config_set("notify-keyspace-events", "")

    def naive(number: str, status: str) -> bool:
        if store.get(f"claim:{number}:status") is not None:
            return False
        store.get(f"investigation:{number}")
        store.set(f"claim:{number}:status", status)
        return True

    both = 0
    for each in range(200):
        number = f"N{each}"
        results = at_once(lambda n=number: naive(n, "APPROVED"), lambda n=number: naive(n, "DENIED"))
        both += results == [True, True]
    assert both > 20, both


def test_the_policy_page_hears_of_its_claim(store: Redis) -> None:
    a_policy(store)
    listener = store.pubsub()
    listener.subscribe(keys.LIVE_CHANNEL)
    listener.get_message(timeout=1)
    number = reported()
    assert number in listener.get_message(timeout=1)["data"]
    assert policies.get(store, "auto", "100001").id == "auto:100001"
    listener.close()
