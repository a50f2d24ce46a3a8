"""Claims beyond the report: reserve, another's approval, payment, closing, reopening; and what two at once come to."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, DomainError, Forbidden, Invalid
from dashboard.repository import agents, audit, claims, reindex
from dashboard.repository.agents import Scope
from dashboard.repository.claims import Filter
from tests.repository.test_claims import (
    a_policy,
    at_once,
    commands_of,
    deadlines_of,
    investigated,
    record_of,
    reported,
)

AUTHORITY = Decimal(5000)
EVERYTHING = Scope()
ROUNDS = [pytest.param(25, id="quick"), pytest.param(500, id="long", marks=pytest.mark.long)]


def stage_of(store: Redis, number: str) -> str:
    return claims.get(store, number).stage


def approved(amount: int = 3200) -> str:
    number = investigated(policy=None)
    claims.approve(number, Decimal(amount), by="SUP001")
    return number


def waiting(amount: int = 9000, by: str = "AG002") -> str:
    number = investigated(policy=None)
    claims.approve(number, Decimal(amount), by=by, authority=AUTHORITY)
    return number


def told(store: Redis, number: str) -> list[str]:
    """The history, newest first."""
    return [record.text for record in audit.history(store, audit.CLAIM, number)]


# -- who reported it, and since when


def test_who_reported_it_here_is_a_fact_of_the_claim_and_stays_one(store: Redis) -> None:
    number = investigated(policy=None, reporter="Jane Roe")
    assert (claims.get(store, number).reported_by, claims.get(store, number).reporter) == ("AG001", "Jane Roe")
    claims.approve(number, Decimal(1), by="SUP001")
    assert store.get(f"claim:{number}:reported_by") == "AG001"
    assert claims.get(store, number).is_reported_by("ag001")


def test_time_at_a_stage_is_told_by_what_is_written_else_by_the_time_that_is_left(store: Redis) -> None:
    number = reported(policy=None)
    assert claims.get(store, number).in_stage < 5_000
    store.set("claim:temp:CLM800", "Hail", ex=7 * 86_400 - 7_200)
    store.set("investigation:CLM801", "Adjuster: ADJ001", ex=30 * 86_400 - 86_400)
    store.set("claim:temp:CLM802", "Hail", ex=900 * 86_400)
    hours = [claims.load(store, [each])[each].in_stage for each in ("CLM800", "CLM801", "CLM802")]
    assert 7_200_000 <= hours[0] < 7_205_000 and 86_400_000 <= hours[1] < 86_405_000
    assert hours[2] is None, "no stage lives that long: it is not known"


# -- reserve


def test_a_reserve_is_set_aside_changed_and_released_when_the_claim_is_closed(store: Redis) -> None:
    number = investigated(policy=None)
    before = deadlines_of(store, number)
    claims.set_reserve(number, Decimal(4000), by="AG001")
    assert claims.get(store, number).reserve == 4000
    assert deadlines_of(store, number) == before, "the record keeps the time it has"
    claims.set_reserve(number, Decimal(3500), by="AG001", instead_of=Decimal(4000))
    assert told(store, number)[0] == "Reserve updated from $4,000 to $3,500 by AG001"
    claims.approve(number, Decimal(3200), by="SUP001")
    assert store.get(f"claim:{number}:reserve") == "3500"
    claims.pay(number, Decimal(3200), by="AG001")
    claims.close(number, by="AG001")
    assert store.get(f"claim:{number}:reserve") == "0"
    assert told(store, number)[0] == "Closed by AG001; reserve of $3,500 released"


def test_a_reserve_set_by_somebody_else_meanwhile_is_not_overwritten(store: Redis) -> None:
    number = investigated(policy=None)
    claims.set_reserve(number, Decimal(4000), by="AG001")
    with pytest.raises(Conflict, match=r"\$4,000 by now"):
        claims.set_reserve(number, Decimal(1), by="AG002")
    with pytest.raises(Invalid):
        claims.set_reserve(number, Decimal(-1), by="AG002")
    with pytest.raises(Conflict, match="only reported"):
        claims.set_reserve(reported(policy=None), Decimal(1), by="AG001")


# -- approval by another


def test_an_amount_within_the_authority_is_approved_alone(store: Redis) -> None:
    number = investigated(policy=None)
    claims.approve(number, AUTHORITY, by="AG002", authority=AUTHORITY)
    assert stage_of(store, number) == "approved"
    assert claims.get(store, number).approved_by == "AG002"


def test_an_amount_above_the_authority_waits_for_a_supervisor_with_the_time_it_has(store: Redis) -> None:
    number = investigated(policy=None)
    before = deadlines_of(store, number)
    words = claims.approve(number, Decimal("5000.01"), by="AG002", authority=AUTHORITY)
    assert "waits for a supervisor" in words
    claim = claims.get(store, number)
    assert (claim.stage, claim.proposed, claim.proposed_by) == ("waiting", Decimal("5000.01"), "AG002")
    assert store.get(f"investigation:{number}:status") == "AWAITING_APPROVAL"
    assert deadlines_of(store, number) == before
    assert [row.number for row in claims.listing(store, EVERYTHING, Filter(), "waiting").rows] == [number]
    claims.approve(number, Decimal(8000), by="SUP001")
    assert (stage_of(store, number), claims.get(store, number).final_amount) == ("approved", 8000)
    assert not [name for name in record_of(store, number) if "proposed" in name]


def test_nobody_approves_a_claim_they_reported_whatever_their_role(store: Redis) -> None:
    ours = investigated(policy=None, by="SUP001")
    claims.approve(ours, Decimal(10), by="SUP001")
    assert stage_of(store, ours) == "waiting", "it waits for another's approval"
    with pytest.raises(Forbidden, match="You reported"):
        claims.approve(ours, Decimal(10), by="sup001")
    claims.approve(ours, Decimal(10), by="SUP002")
    assert stage_of(store, ours) == "approved"
    told_by_phone = investigated(policy=None, by="AG002", reporter="SUP001")
    claims.approve(told_by_phone, Decimal(10), by="SUP001")
    assert stage_of(store, told_by_phone) == "waiting", "nor one they told of"


def test_what_waits_is_decided_by_supervisors_alone_and_not_by_who_proposed_it(store: Redis) -> None:
    number = waiting(by="AG002")
    for act in (
        lambda: claims.approve(number, Decimal(10), by="AG003", authority=AUTHORITY),
        lambda: claims.approve(number, Decimal(10), by="AG002"),
        lambda: claims.deny(number, "no", by="AG003", supervisor=False),
    ):
        with pytest.raises(Forbidden):
            act()
    with pytest.raises(Conflict, match="waits for a supervisor"):
        claims.assign(number, "ADJ002", by="AG003", instead_of="ADJ001")
    with pytest.raises(Conflict, match="waits for a supervisor"):
        claims.update_investigation(number, by="AG003", photos=1)
    assert stage_of(store, number) == "waiting"
    claims.deny(number, "not covered", by="SUP001")
    assert stage_of(store, number) == "denied"


def test_a_supervisor_sends_a_proposal_back_with_a_word(store: Redis) -> None:
    number = waiting()
    claims.send_back(number, "Get a second estimate", by="SUP001")
    claim = claims.get(store, number)
    assert (claim.stage, claim.returned_reason, claim.proposed) == ("investigating", "Get a second estimate", None)
    assert "proposed_amount" not in str(store.hgetall(keys.claim_snapshot(number)))
    with pytest.raises(Conflict):
        claims.send_back(number, "again", by="SUP001")
    with pytest.raises(Invalid):
        claims.send_back(number, "a|b", by="SUP001")
    claims.approve(number, Decimal(9000), by="AG002", authority=AUTHORITY)
    assert claims.get(store, number).returned_reason is None


# -- payment


def test_a_payment_is_told_by_the_claim_its_text_and_a_record_of_seven_years(store: Redis) -> None:
    a_policy(store)
    number = investigated()
    claims.approve(number, Decimal(3200), by="SUP001")
    claims.pay(number, Decimal(3200), by="AG001")
    claim = claims.get(store, number)
    assert (claim.stage, claim.paid, claim.unpaid) == ("paid", 3200, 0)
    assert store.get(f"claim:{number}:details") == "Auto Accident - Policy: auto:100001 - Amount: $3,200 - Status: PAID"
    name = keys.payment_audit(claim.payment)
    today = clock.today()
    assert store.get(name) == (
        f"Customer: CUST001 | Amount: 3200 | Date: {today.isoformat()} | Claim: {number} | By: AG001"
    )
    assert store.pexpiretime(name) == clock.end_of_day(clock.years_later(today, 7)), "a calendar date, trap 30"
    assert store.ttl(name) >= keys.SEVEN_YEARS


def test_a_claim_may_be_paid_in_parts_and_never_more_than_was_approved(store: Redis) -> None:
    number = approved(3200)
    claims.pay(number, Decimal(1000), by="AG001")
    assert (stage_of(store, number), claims.get(store, number).unpaid) == ("approved", 2200)
    with pytest.raises(Invalid, match=r"\$2,200"):
        claims.pay(number, Decimal(2201), by="AG001", paid_before=Decimal(1000))
    with pytest.raises(Conflict, match=r"\$1,000 of claim .* is paid by now"):
        claims.pay(number, Decimal(1000), by="AG001")
    claims.pay(number, Decimal(2200), by="AG001", paid_before=Decimal(1000))
    assert (stage_of(store, number), claims.get(store, number).paid) == ("paid", 3200)
    with pytest.raises(Conflict, match="is paid by now"):
        claims.pay(number, Decimal(1), by="AG001", paid_before=Decimal(3200))


def test_only_an_approved_claim_is_paid(store: Redis) -> None:
    for number in (reported(policy=None), investigated(policy=None), waiting()):
        with pytest.raises(Conflict):
            claims.pay(number, Decimal(1), by="AG001")
    store.set("claim:CLM900:status", "APPROVED")
    with pytest.raises(Conflict, match="without an amount"):
        claims.pay("CLM900", Decimal(1), by="AG001")
    assert not store.keys("audit:payment:*")


def test_the_same_payment_sent_twice_is_made_once(store: Redis) -> None:
    number = approved()
    first = claims.pay(number, Decimal(3200), by="AG001", token="t")
    assert claims.pay(number, Decimal(3200), by="AG001", token="t") == first
    assert len(store.keys("audit:payment:*")) == 1


# -- closing and reopening


def test_a_paid_or_denied_claim_is_closed_and_tells_how_it_ended(store: Redis) -> None:
    denied = reported(policy=None)
    claims.deny(denied, "not covered", by="AG001")
    claims.close(denied, by="AG001")
    claim = claims.get(store, denied)
    assert (claim.stage, claim.denial_reason, claim.final_amount) == ("closed", "not covered", None)
    assert store.get(f"claim:{denied}:details").endswith("Status: CLOSED")
    with pytest.raises(Conflict):
        claims.close(approved(), by="AG001")


def test_a_reopened_claim_is_undecided_again_keeps_what_was_paid_and_never_ends(store: Redis) -> None:
    number = approved(3200)
    claims.pay(number, Decimal(3200), by="AG001")
    claims.reopen(number, "Hidden damage", by="SUP001")
    claim = claims.get(store, number)
    assert (claim.stage, claim.final_amount, claim.paid, claim.deadline) == ("investigating", None, 3200, None)
    assert store.get(f"claim:{number}:status") == "REOPENED"
    assert store.get(f"claim:{number}:location") == "I-35 and Main St, Dallas TX"
    assert deadlines_of(store, number) == {-1}
    claims.assign(number, "ADJ002", by="AG001", instead_of="ADJ001")
    claims.update_investigation(number, by="AG001", photos=3)
    claims.approve(number, Decimal(9000), by="AG002", authority=AUTHORITY)
    claims.send_back(number, "why?", by="SUP001")
    assert deadlines_of(store, number) == {-1}, "whatever is done with it"
    claims.approve(number, Decimal(4000), by="SUP001")
    assert claims.get(store, number).unpaid == 800
    claims.pay(number, Decimal(800), by="AG001", paid_before=Decimal(3200))
    assert (stage_of(store, number), claims.get(store, number).paid) == ("paid", 4000)


def test_a_denied_claim_nobody_investigated_is_reported_again_when_reopened(store: Redis) -> None:
    number = reported(policy=None)
    claims.deny(number, "late", by="AG001")
    claims.reopen(number, "It was in time", by="SUP001")
    assert stage_of(store, number) == "reported"
    claims.assign(number, "ADJ001", by="AG001")
    assert (stage_of(store, number), deadlines_of(store, number)) == ("investigating", {-1})


def test_a_claim_decided_by_other_tools_is_reopened_with_all_that_is_left(store: Redis) -> None:
    store.mset({"claim:CLM700:status": "APPROVED", "claim:CLM700:final_amount": "10"})
    store.set("investigation:CLM700:notes", "ours", ex=1000)
    claims.reopen("CLM700", "look again", by="SUP001")
    assert store.ttl("investigation:CLM700:notes") == -1
    with pytest.raises(Conflict):
        claims.reopen("CLM700", "again", by="SUP001")


# -- lists


def test_ageing_counts_each_stage_by_how_long_it_took(store: Redis) -> None:
    a_policy(store)
    number = investigated()
    fresh = reported()
    store.set(f"investigation:{number}:assigned_date", "2025-01-01T00:00:00Z", keepttl=True)
    store.set("claim:temp:CLM900", "Hail - Policy: auto:100001", ex=900 * 86_400)
    claims.refresh(store, [number, "CLM900"])
    ages = {age.stage: age for age in claims.ageing(store, EVERYTHING)}
    assert ages["reported"].counts == (1, 0, 0, 0, 0, 1), "one fresh, one of which it is not known"
    assert ages["investigating"].counts == (0, 0, 0, 0, 1, 0)
    assert (ages["investigating"].oldest.number, ages["reported"].oldest.number) == (number, fresh)
    assert [age.total for age in claims.ageing(store, Scope(frozenset({"houston"})))] == [0] * 5
    longest = claims.listing(store, EVERYTHING, Filter(), "reported", sort="since")
    assert [row.number for row in longest.rows] == [fresh, "CLM900"]


def test_escalations_count_the_last_day_and_the_last_hour(store: Redis) -> None:
    a_policy(store)
    far, day, hour = reported(), reported(), reported()
    store.pexpire(f"claim:temp:{day}", 20 * clock.HOUR)
    store.pexpire(f"claim:temp:{hour}", clock.HOUR // 2)
    claims.refresh(store, [far, day, hour])
    found = claims.escalations(store, EVERYTHING)
    assert (found.urgent, found.critical) == (2, 1)
    page = claims.escalated(store, EVERYTHING)
    assert [(row.number, row.escalation) for row in page.rows] == [(hour, "critical"), (day, "urgent")]
    assert claims.get(store, far).escalation == ""
    assert claims.escalated(store, Scope(frozenset({"houston"}))).rows == []


def test_adjusters_have_their_desks_counted(store: Redis) -> None:
    investigated(policy=None)
    second = investigated(policy=None)
    claims.assign(second, "ADJ002", by="AG001", instead_of="ADJ001")
    claims.approve(second, Decimal(9000), by="AG002", authority=AUTHORITY)
    store.set("investigation:CLM900", "Adjuster: ADJ009", ex=3_600)
    claims.refresh(store, ["CLM900"])
    desks = {each.adjuster: (dict(each.stages), each.urgent) for each in claims.workloads(store)}
    assert desks["ADJ001"] == ({"investigating": 1, "waiting": 0, "approved": 0}, 0)
    assert desks["ADJ002"] == ({"investigating": 0, "waiting": 1, "approved": 0}, 0)
    assert desks["ADJ009"] == ({"investigating": 1, "waiting": 0, "approved": 0}, 1)


def test_every_claim_of_a_filter_comes_once_however_many_there_are(store: Redis) -> None:
    numbers = [f"CLM{at:05d}" for at in range(450)]
    pipe = store.pipeline()
    for number in numbers:
        pipe.set(f"claim:temp:{number}", "Hail", ex=600_000)
    pipe.execute()
    claims.refresh(store, numbers)
    claims.deny(numbers[0], "no", by="AG001")
    found = [claim.number for claim in claims.every(store, EVERYTHING, Filter(), "reported", "denied")]
    assert (len(found), len(set(found)), found[-1]) == (450, 450, numbers[0])


LISTS = {
    "waiting": lambda store: claims.listing(store, EVERYTHING, Filter(), "waiting"),
    "longest": lambda store: claims.listing(store, EVERYTHING, Filter(), "investigating", sort="since"),
    "lapsed": lambda store: claims.listing(store, EVERYTHING, Filter(), "lapsed"),
    "escalated": lambda store: claims.escalated(store, EVERYTHING),
    "escalations": lambda store: claims.escalations(store, EVERYTHING),
    "ageing": lambda store: claims.ageing(store, EVERYTHING),
    "desk": lambda store: claims.pipeline(store, EVERYTHING, Filter(adjuster="ADJ001"), stages=claims.WORKED),
    "desks": lambda store: claims.workloads(store),
    "counts": lambda store: claims.counts(store, EVERYTHING, Filter(), *claims.STAGES, claims.LAPSED),
}


def fill(store: Redis, first: int, last: int) -> None:
    """As many claims again at each stage: ending soon, waiting, lapsed."""
    numbers = [f"CLM{at:05d}" for at in range(first, last)]
    pipe = store.pipeline(transaction=False)
    for at, number in enumerate(numbers):
        if at % 3 == 0:
            pipe.hset(keys.claim_snapshot(number), mapping={"temp": "Hail - Policy: auto:100001", "~deadline": "1"})
            continue
        pipe.set(f"investigation:{number}", "Adjuster: ADJ001", ex=50_000)
        pipe.set(f"claim:temp:{number}", "Hail - Policy: auto:100001 - Customer: CUST001", ex=50_000)
        if at % 3 == 1:
            pipe.set(f"investigation:{number}:status", "AWAITING_APPROVAL", ex=50_000)
    pipe.execute()
    claims.refresh(store, numbers)


def test_no_list_costs_more_commands_for_more_claims(store: Redis) -> None:
    """Beyond a full page: one key read costs the same command, and intersections are dropped where they are made."""
    a_policy(store)
    fill(store, 0, 300)
    few = {name: calls_of(store, look) for name, look in LISTS.items()}
    fill(store, 300, 1_500)
    assert {name: calls_of(store, look) for name, look in LISTS.items()} == few
    assert claims.listing(store, EVERYTHING, Filter(), "lapsed").total == 500
    assert max(few.values()) < 1_000, few


def calls_of(store: Redis, look: Callable[[Redis], object]) -> int:
    look(store)
    # A connection that is opened meanwhile sends a few of its own.
    return min(commands_of(store, lambda: look(store)) for _ in range(3))


def test_a_claim_of_details_alone_is_found_by_reconciling_too(store: Redis) -> None:
    store.set("claim:CLM950:details", "Hail - Policy: auto:100001 - Amount: $10 - Status: APPROVED")
    reindex.reconcile(store)
    assert [row.number for row in claims.listing(store, EVERYTHING, Filter(), "approved").rows] == ["CLM950"]


# -- cover


def of(store: Redis, **facts: str) -> claims.Coverage:
    a_policy(store)
    pairs = {"effective_date": "2024-01-15", "expiration_date": "2025-01-15", "deductible": "500", **facts}
    store.mset({keys.policy_field("auto", "100001", name): value for name, value in pairs.items()})
    return claims.coverage(store, claims.get(store, reported()))


def test_cover_is_told_from_the_policys_dates_and_deductible(store: Redis) -> None:
    found = of(store)
    assert (found.tone, found.payable) == ("good", 3000)
    assert "leaves $3,000" in found.findings[-1].words
    assert of(store, effective_date="2024-09-01").tone == "bad"
    assert (
        "after the policy ended"
        in of(store, effective_date="2023-01-01", expiration_date="2024-01-01").findings[0].words
    )
    assert of(store, deductible="3500").payable == 0


def test_cover_says_what_is_not_known(store: Redis) -> None:
    bare = claims.coverage(store, claims.get(store, claims.report(summary="Hail", by="AG001")))
    assert (bare.tone, bare.payable, bare.policy) == ("warn", None, None)
    gone = claims.coverage(store, claims.get(store, reported(policy="auto:999")))
    assert gone.findings[0].words == "There is no policy auto:999."
    store.set("policy:home:200009:status", "CANCELLED")
    odd = claims.coverage(store, claims.get(store, reported(policy="home:200009")))
    assert (odd.tone, odd.payable) == ("warn", None)
    assert any("cancelled" in finding.words for finding in odd.findings)


def test_a_claim_of_somebody_elses_policy_is_named(store: Redis) -> None:
    a_policy(store)
    found = claims.coverage(store, claims.get(store, reported(customer="CUST009")))
    assert found.tone == "bad" and any("CUST009" in finding.words for finding in found.findings)


# -- races


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_payments_at_once_have_one_winner(store: Redis, rounds: int) -> None:
    for _ in range(rounds):
        number = approved()
        results = at_once(
            lambda n=number: claims.pay(n, Decimal(3200), by="AG001"),
            lambda n=number: claims.pay(n, Decimal(3200), by="AG002"),
        )
        assert len([each for each in results if isinstance(each, Conflict)]) == 1, results
        assert store.get(f"claim:{number}:paid_amount") == "3200"
    assert len(store.keys("audit:payment:*")) == rounds


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_parts_paid_at_once_by_two_people_are_not_added_unseen(store: Redis, rounds: int) -> None:
    for _ in range(rounds):
        number = approved()
        results = at_once(
            lambda n=number: claims.pay(n, Decimal(1000), by="AG001"),
            lambda n=number: claims.pay(n, Decimal(1000), by="AG002"),
        )
        assert len([each for each in results if isinstance(each, DomainError)]) == 1, results
        assert store.get(f"claim:{number}:paid_amount") == "1000"


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_payment_and_a_reopening_at_once_leave_one_whole_state(store: Redis, rounds: int) -> None:
    seen = set()
    for _ in range(rounds):
        number = approved()
        results = at_once(
            lambda n=number: claims.pay(n, Decimal(3200), by="AG001"),
            lambda n=number: claims.reopen(n, "look again", by="SUP001"),
        )
        claim = claims.get(store, number)
        paid_first = not isinstance(results[0], DomainError)
        assert not isinstance(results[1], DomainError), "reopening fits a paid claim as well"
        assert (claim.stage, claim.paid) == ("investigating", Decimal(3200) if paid_first else None)
        seen.add(paid_first)
    assert seen == {True, False} or rounds < 100


@pytest.mark.parametrize("rounds", ROUNDS)
def test_an_approval_and_a_return_at_once_have_one_winner(store: Redis, rounds: int) -> None:
    for _ in range(rounds):
        number = waiting()
        results = at_once(
            lambda n=number: claims.approve(n, Decimal(9000), by="SUP001"),
            lambda n=number: claims.send_back(n, "no", by="SUP002"),
        )
        sent_back = not isinstance(results[1], DomainError)
        if sent_back and not isinstance(results[0], DomainError):
            # The approval came second and found the claim under investigation: a supervisor may approve that, too.
            assert stage_of(store, number) == "approved"
        else:
            assert stage_of(store, number) == ("investigating" if sent_back else "approved")


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_restorations_at_once_have_one_winner(store: Redis, rounds: int) -> None:
    for _ in range(rounds):
        number = reported(policy=None)
        store.delete(*record_of(store, number))
        results = at_once(lambda n=number: claims.restore(n, by="A"), lambda n=number: claims.restore(n, by="B"))
        assert len([each for each in results if isinstance(each, Conflict)]) == 1, results
        assert len([each for each in told(store, number) if each.startswith("Restored")]) == 1


def test_the_naive_way_of_paying_pays_twice(store: Redis) -> None:
    """The control: reading the status and then writing, without WATCH, lets two payments through."""
    store.config_set("notify-keyspace-events", "")

    def naive(number: str) -> bool:
        if store.get(f"claim:{number}:status") != "APPROVED":
            return False
        time.sleep(0)
        store.set(f"claim:{number}:status", "PAID")
        return True

    both = 0
    for at in range(200):
        store.set(f"claim:P{at}:status", "APPROVED")
        both += at_once(lambda n=f"P{at}": naive(n), lambda n=f"P{at}": naive(n)) == [True, True]
    assert both > 20, both


# -- branches


def test_a_claim_goes_where_its_policys_agent_goes_though_it_names_the_one_before(store: Redis) -> None:
    a_policy(store)
    agents.save(store, {"AG001": "dallas", "AG002": "houston"})
    number = reported()
    assert store.get(f"claim:temp:{number}:agent") == "AG001"
    store.set("policy:auto:100001:agent", "AG002")
    assert claims.of_policies(store, ["auto:100001"]) == [number]
    claims.refresh(store, [number])
    houston = claims.listing(store, Scope(frozenset({"houston"})), Filter(), "reported")
    assert [row.number for row in houston.rows] == [number]
    assert claims.get(store, number).incident == datetime(2024, 8, 18, 14, 30, tzinfo=UTC)
