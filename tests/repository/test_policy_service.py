"""Servicing a policy: what each service changes, in both layouts, what it leaves alone, and how it is taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Invalid, NotFound
from dashboard.repository import agents, audit, jobs, policies
from dashboard.repository import policy_service as service
from dashboard.repository.agents import Scope
from dashboard.repository.policies import Filter, Policy
from tests import book


@pytest.fixture(autouse=True)
def directory(store: Redis) -> None:
    agents.save(store, {"AG001": "dallas", "AG002": "houston", "AG003": "dallas"})


def day(offset: int) -> str:
    return (clock.today() + timedelta(days=offset)).isoformat()


def as_hash(store: Redis, product: str, number: str) -> None:
    """Bring a policy into the other layout, as another tool would write it."""
    names = [keys.policy_field(product, number, name) for name in policies.FIELDS[product]]
    facts = {name: value for name, value in zip(policies.FIELDS[product], store.mget(names), strict=True) if value}
    store.delete(*names)
    store.hset(keys.policy(product, number), mapping=facts)
    policies.refresh(store, [f"{product}:{number}"])


@pytest.fixture(params=["strings", "hash"])
def make(request: pytest.FixtureRequest, store: Redis) -> Callable[..., str]:
    """A policy in each of the layouts."""

    def made(product: str = "auto", **facts: str) -> str:
        number = book.policy(product, **facts)
        if request.param == "hash":
            as_hash(store, product, number)
        return number

    return made


def get(store: Redis, number: str, product: str = "auto") -> Policy:
    return policies.get(store, product, number)


def seen(store: Redis, number: str, product: str = "auto") -> str:
    return get(store, number, product).seen


def history(store: Redis, number: str, product: str = "auto") -> list[str]:
    return [record.text for record in audit.history(store, audit.POLICY, product, number)]


def endorse(store: Redis, number: str, product: str = "auto", *, effective: int = 0, **facts: str) -> str:
    on = clock.today() + timedelta(days=effective)
    fingerprint = seen(store, number, product)
    return service.endorse(product, number, facts, effective=on, reason="new car", seen=fingerprint, by="AG001")


def renew(store: Redis, number: str, product: str = "auto", *, begins: Any = None, **facts: str) -> str:
    policy = get(store, number, product)
    ends = service.term_end(policy, service.new_term(policy, begins))
    return service.renew(product, number, facts, begins=begins, ends=ends, seen=policy.seen, by="AG001")


def cancel(store: Redis, number: str, effective: int = 0, by: str = "AG001") -> str:
    on = clock.today() + timedelta(days=effective)
    return service.cancel("auto", number, effective=on, reason="sold the car", seen=seen(store, number), by=by)


def reinstate(store: Redis, number: str) -> str:
    return service.reinstate("auto", number, reason="paid after all", seen=seen(store, number), by="AG001")


def undo(store: Redis, number: str) -> str:
    return service.undo("auto", number, seen(store, number), by="AG003")


def reassign(number: str, agent: str, **more: Any) -> str:
    return service.reassign("auto", number, agent=agent, reason="moved away", by="SUP001", **more)


# -- endorsement


def test_an_endorsement_changes_facts_details_relations_index_and_record(
    store: Redis, make: Callable[..., str]
) -> None:
    number = make(vehicle="Kia Rio 2020", deductible="500")
    layout = get(store, number).layout
    endorse(store, number, vehicle="Kia Ceed 2024", premium="1350", deductible="250", effective=-3)
    policy = get(store, number)
    assert (policy.vehicle, policy.premium, policy.deductible) == ("Kia Ceed 2024", Decimal(1350), Decimal(250))
    assert policy.details == "Kia Ceed 2024 - CUST001 - $1,350 premium" and policy.layout == layout
    assert store.get("customer:CUST001:total_premium") == "1350"
    latest = history(store, number)[0]
    assert latest.startswith(f"Endorsed as of {day(-3)}, new car (additional premium $")
    for words in ("Vehicle updated from Kia Rio 2020 to Kia Ceed 2024", "Premium updated from 1200 to 1350"):
        assert words in latest
    assert latest.endswith("by AG001")


def test_an_endorsed_address_moves_the_policy_to_another_zip(store: Redis, make: Callable[..., str]) -> None:
    number = make("home", property_address="1 Elm St, Dallas TX 75201")
    endorse(store, number, "home", property_address="2 Oak St, Austin TX 78701")
    assert store.get("location:dallas:75201:policies") == ""
    assert store.get("location:austin:78701:policies") == f"home:{number}"
    assert [p.number for p in policies.listing(store, Scope(), Filter(zip="78701")).rows] == [number]


def test_the_premium_of_the_rest_of_the_term_is_told_by_the_day(store: Redis) -> None:
    number = book.policy(effective_date=day(-265), expiration_date=day(100))
    words = service.endorse(
        "auto", number, {"premium": "1565"}, effective=clock.today(), reason="x", by="AG001",
        seen=seen(store, number),
    )  # fmt: skip
    assert "(additional premium $100 for 100 days)" in words


@pytest.mark.parametrize(("offset", "field"), [(400, "effective"), (-31, "effective")])
def test_an_endorsement_takes_effect_within_the_term(store: Redis, offset: int, field: str) -> None:
    number = book.policy()
    with pytest.raises(Invalid) as refused:
        endorse(store, number, premium="1", effective=offset)
    assert field in refused.value.fields and get(store, number).premium == 1200


def test_an_endorsement_changes_nothing_else(store: Redis) -> None:
    number = book.policy()
    for facts in ({"customer": "CUST009"}, {"status": "CANCELLED"}, {"premium_monthly": "3"}):
        with pytest.raises(Invalid):
            endorse(store, number, **facts)
    with pytest.raises(Invalid, match="Nothing differs"):
        endorse(store, number, premium="1200")
    with pytest.raises(NotFound):
        service.endorse("auto", "9", {}, effective=clock.today(), reason="", seen="", by="AG001")


@pytest.mark.parametrize("facts", [{"status": "CANCELLED"}, {"status": "LAPSED"}, {"expiration_date": day(-1)}])
def test_what_is_not_in_force_is_not_endorsed(store: Redis, facts: dict[str, str]) -> None:
    number = book.policy(**facts)
    with pytest.raises(Conflict):
        endorse(store, number, premium="1")


# -- life: a year and twelve months


def test_a_life_policys_premiums_stay_in_step(store: Redis, make: Callable[..., str]) -> None:
    number = make("life", premium="540", premium_monthly="45", coverage_amount="500000", term_years="20")
    endorse(store, number, "life", premium="540", premium_monthly="50")
    assert (get(store, number, "life").premium, get(store, number, "life").premium_monthly) == (600, 50)
    endorse(store, number, "life", premium="1000", premium_monthly="50")
    assert get(store, number, "life").premium_monthly == Decimal("83.33")
    with pytest.raises(Invalid) as refused:
        endorse(store, number, "life", premium="900", premium_monthly="45")
    assert "$45 a month is $540 a year" in refused.value.fields["premium"]
    assert store.get("customer:CUST001:total_premium") == "1000"


def test_another_length_moves_a_life_policys_end(store: Redis) -> None:
    number = book.policy("life", premium="540", premium_monthly="45", term_years="20", effective_date="2024-02-29")
    endorse(store, number, "life", term_years="11", premium="540", premium_monthly="45")
    assert get(store, number, "life").expires.isoformat() == "2035-02-28"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("yearly", "monthly", "was", "wanted"),
    [
        (None, 45, (None, None), (540, 45)),
        (540, None, (None, None), (540, 45)),
        (1000, Decimal("83.33"), (None, None), (1000, Decimal("83.33"))),
        (540, 50, (540, 45), (600, 50)),
        (600, 45, (540, 45), (600, 50)),
        (600, 45, (600, 45), (600, 45)),
        (None, Decimal("83.33"), (1000, None), (1000, Decimal("83.33"))),
    ],
)
def test_the_premium_that_was_changed_leads(yearly: Any, monthly: Any, was: Any, wanted: Any) -> None:
    def money(value: Any) -> Decimal | None:
        return None if value is None else Decimal(value)

    assert service.in_step(money(yearly), money(monthly), was) == wanted


# -- renewal


def test_a_renewal_follows_on_without_a_gap_and_the_policy_stays_in_force(
    store: Redis, make: Callable[..., str]
) -> None:
    number = make(effective_date=day(-345), expiration_date=day(20))
    renew(store, number, premium="1236", begins=clock.today() - timedelta(days=300))
    policy = get(store, number)
    assert policy.expires == clock.years_later(clock.today() + timedelta(days=20), 1)
    assert policy.effective and policy.effective.isoformat() == day(-345) and policy.state == "ACTIVE"
    assert policy.premium == 1236 and store.get("customer:CUST001:total_premium") == "1236"
    assert history(store, number)[0].startswith(f"Renewed for {day(20)} to ")


def test_a_policy_past_its_end_gets_a_new_beginning(store: Redis, make: Callable[..., str]) -> None:
    number = make(effective_date=day(-400), expiration_date=day(-35))
    renew(store, number, premium="1236", begins=clock.today())
    policy = get(store, number)
    assert policy.effective == clock.today() and policy.state == "ACTIVE"


def test_a_lapsed_policy_can_be_renewed(store: Redis) -> None:
    number = book.policy(status="LAPSED", effective_date=day(-400), expiration_date=day(-35))
    renew(store, number, premium="1236")
    policy = get(store, number)
    assert policy.status == "ACTIVE" and policy.effective and policy.effective.isoformat() == day(-35)


@pytest.mark.parametrize(
    "facts", [{"status": "CANCELLED"}, {"status": "SUSPENDED"}, {"status": "PENDING"}, {"expiration_date": day(91)}]
)
def test_what_cannot_be_renewed_says_why(store: Redis, facts: dict[str, str]) -> None:
    number = book.policy(**facts)
    with pytest.raises(Conflict):
        renew(store, number, premium="1236")


def test_a_new_term_ends_after_it_begins(store: Redis) -> None:
    number = book.policy(expiration_date=day(20))
    with pytest.raises(Invalid):
        service.renew(
            "auto", number, {}, begins=None, ends=clock.today(), seen=seen(store, number), by="AG001"
        )  # fmt: skip


def test_the_proposal_is_the_present_premium_and_three_percent() -> None:
    assert service.proposal(Decimal(1200)) == 1236 and service.proposal(Decimal(45)) == Decimal("46.35")
    assert service.proposal(None) is None


def test_what_nobody_renewed_lapses(store: Redis, make: Callable[..., str]) -> None:
    number = make(expiration_date=day(-1))
    service.lapse("auto", number, by="AG001")
    assert get(store, number).status == "LAPSED"
    with pytest.raises(Conflict):
        service.lapse("auto", book.policy(), by="AG001")


# -- cancellation, reinstatement


def test_a_cancelled_policy_stays_in_its_customers_list_count_and_total(store: Redis, make: Callable[..., str]) -> None:
    """Trap 7: the relations tell what is on file; the status is the policy's own."""
    number = make(expiration_date=day(73))
    words = cancel(store, number)
    assert words == f"Cancelled as of {day(0)}, sold the car (unearned premium $240)."
    assert get(store, number).status == "CANCELLED"
    assert store.get("customer:CUST001:policies") == f"auto:{number}"
    assert (store.get("customer:CUST001:policy_count"), store.get("customer:CUST001:total_premium")) == ("1", "1200")
    assert [p.number for p in policies.listing(store, Scope(), Filter(status="CANCELLED")).rows] == [number]
    with pytest.raises(Conflict):
        cancel(store, number)


def test_a_cancelled_policy_is_reinstated_within_its_term(store: Redis, make: Callable[..., str]) -> None:
    number = make()
    cancel(store, number)
    reinstate(store, number)
    assert get(store, number).status == "ACTIVE"
    assert history(store, number)[0] == ("Reinstated, paid after all: Status updated from CANCELLED to ACTIVE by AG001")
    over = book.policy(status="CANCELLED", expiration_date=day(-1))
    for other in (number, over):
        with pytest.raises(Conflict):
            reinstate(store, other)


def test_delimiters_in_a_reason_are_refused(store: Redis) -> None:
    number = book.policy()
    with pytest.raises(Invalid):
        service.reassign("auto", number, agent="AG002", reason="a|b", by="SUP001")


# -- change of agent


def test_another_agent_takes_the_policy_to_their_branch(store: Redis, make: Callable[..., str]) -> None:
    number = make()
    reassign(number, "AG002")
    assert get(store, number).branch == "houston"
    for agent, wanted in (("AG002", [number]), ("AG001", [])):
        assert [p.number for p in policies.listing(store, Scope(), Filter(agent=agent)).rows] == wanted
    with pytest.raises(Invalid, match="already"):
        reassign(number, "AG002")
    with pytest.raises(Invalid, match="No agent"):
        reassign(number, "AG999")


def test_bulk_reassignment_acts_on_what_was_previewed_and_tells_what_failed(store: Redis) -> None:
    first, second, same = book.policy(), book.policy(), book.policy(agent="AG003")
    wanted = [service.reassignable(get(store, number)) for number in (first, second, same)]
    job = jobs.preview(
        service.REASSIGN, [*wanted, "auto:9|", "odd"], {"agent": "AG003", "reason": "retired"}, by="SUP001", title="x"
    )
    later = book.policy()
    jobs.start(job, by="SUP001")
    while jobs.work_once(store):
        pass
    report = jobs.get(store, job)
    assert (report.total, report.succeeded, report.failed) == (5, 2, 3)
    assert dict(report.failures)[f"auto:{same} (AG003)"] == "AG003 is its agent already."
    assert [get(store, number).agent for number in (first, second, later)] == ["AG003", "AG003", "AG001"]
    assert history(store, first)[0] == ("Given to agent AG003, retired: Agent updated from AG001 to AG003 by SUP001")


# -- undo


def test_the_latest_service_is_taken_back_as_it_was(store: Redis, make: Callable[..., str]) -> None:
    number = make(vehicle="Kia Rio 2020", expiration_date=day(20))
    services = (
        lambda: endorse(store, number, vehicle="Kia Ceed", premium="1300", coverage_limits="1/2/3"),
        lambda: renew(store, number, premium="1236"),
        lambda: cancel(store, number),
        lambda: reassign(number, "AG002"),
    )
    for serve in services:
        before = get(store, number)
        serve()
        found = service.undoable(store, get(store, number))
        assert found and 0 < found.deadline - clock.now_ms() <= service.UNDO_LIFE
        undo(store, number)
        assert get(store, number) == before
        assert store.get("customer:CUST001:total_premium") == "1200"
        assert "was undone: " in history(store, number)[0] and history(store, number)[0].endswith("by AG003")
        with pytest.raises(Expired):
            undo(store, number)


def test_what_others_did_since_is_not_undone(store: Redis, make: Callable[..., str]) -> None:
    number = make()
    cancel(store, number)
    policies.edit("auto", number, {"premium": "1"}, seen=seen(store, number), by="AG003")
    assert service.undoable(store, get(store, number)) is None
    with pytest.raises(Conflict):
        undo(store, number)
    assert get(store, number).status == "CANCELLED"


def test_what_another_tool_broke_is_no_obstacle(store: Redis) -> None:
    """Bytes that are no UTF-8 go through an undo unharmed."""
    number = book.policy()
    store.set(keys.policy_field("auto", number, "vehicle"), b"Kia \xff")
    endorse(store, number, vehicle="Kia Rio")
    undo(store, number)
    assert store.get(keys.policy_field("auto", number, "vehicle")) == "Kia \udcff"


@pytest.mark.parametrize("broken", ["no json", "[]", '{"what": 1}', None])
def test_a_broken_undo_is_none(store: Redis, broken: str | None) -> None:
    number = book.policy()
    cancel(store, number)
    name = keys.policy_undo("auto", number)
    if broken is None:
        store.delete(name)
        store.rpush(name, "a list")
        store.expire(name, 100)
    else:
        store.set(name, broken, keepttl=True)
    assert service.undoable(store, get(store, number)) is None
    with pytest.raises((Expired, Conflict)):
        undo(store, number)


# -- nothing twice, nobody's work lost


def test_a_form_sent_twice_is_done_once(store: Redis) -> None:
    number = book.policy()
    stamp = seen(store, number)
    told = {
        service.cancel(
            "auto", number, effective=clock.today(), reason="r", seen=stamp, by="AG001", token="t"
        )
        for _ in range(3)
    }  # fmt: skip
    assert len(told) == 1 and len(history(store, number)) == 2


def test_a_form_made_from_an_older_state_is_refused(store: Redis) -> None:
    number = book.policy()
    stamp = seen(store, number)
    endorse(store, number, premium="1300")
    with pytest.raises(Conflict, match="Somebody changed"):
        service.cancel("auto", number, effective=clock.today(), reason="r", seen=stamp, by="AG001")


def at_once(*acts: Callable[[], Any]) -> list[str]:
    """Run these at the same moment; the names of what they raised."""
    gate, raised = threading.Barrier(len(acts)), []

    def run(act: Callable[[], Any]) -> None:
        gate.wait()
        try:
            act()
        except Exception as error:
            raised.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_of_two_who_renew_at_once_one_is_told(store: Redis) -> None:
    """Beside it the naive way, read then write, which adds two years or takes the other's premium."""
    for _ in range(20):
        number = book.policy(expiration_date=day(20))
        policy = get(store, number)
        ends = service.term_end(policy, service.new_term(policy))

        def go(premium: str, policy: Policy = policy, ends: Any = ends) -> str:
            return service.renew(
                "auto", policy.number, {"premium": premium}, begins=None, ends=ends, seen=policy.seen, by="AG001"
            )

        raised = at_once(lambda: go("1300"), lambda: go("1400"))
        assert raised == ["Conflict"]
        assert get(store, number).expires == ends
        assert sum("Renewed for" in text for text in history(store, number)) == 1


def test_the_naive_way_loses_one_of_two(store: Redis) -> None:
    """The control: without WATCH both believe that they renewed."""
    both, name, lock = 0, "naive", threading.Barrier(2)
    for _ in range(20):
        store.set(name, "2026")
        done: list[int] = []

        def naive() -> None:
            year = int(store.get(name))  # type: ignore[arg-type]
            lock.wait()
            store.set(name, year + 1)
            done.append(year + 1)  # noqa: B023

        at_once(naive, naive)
        both += len(done) == 2 and store.get(name) == "2027"
    assert both == 20


def test_a_service_and_an_undo_at_once_leave_one_of_the_two(store: Redis) -> None:
    for _ in range(10):
        number = book.policy()
        cancel(store, number)
        stamp = seen(store, number)
        raised = at_once(
            lambda number=number, stamp=stamp: service.undo("auto", number, stamp, by="AG001"),
            lambda number=number, stamp=stamp: service.reinstate(
                "auto", number, reason="r", seen=stamp, by="AG003"
            ),
        )  # fmt: skip
        assert len(raised) == 1 and get(store, number).status == "ACTIVE"
        assert len(history(store, number)) == 3


# -- lists


def test_weeks_count_what_ends_in_each_stretch_of_seven_days(store: Redis) -> None:
    for offset in (-1, 0, 6, 7, 20, 400):
        book.policy(expiration_date=day(offset))
    book.policy(expiration_date=day(1), status="CANCELLED")
    weeks = [Filter(status="ACTIVE", week=week) for week in range(4)]
    assert policies.counts(store, Scope(), weeks) == [2, 1, 1, 0]
    page = policies.listing(store, Scope(), Filter(status="ACTIVE", week=0))
    assert [policy.days_left for policy in page.rows] == [0, 6]


def test_a_whole_list_is_read_page_by_page(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "EXPORTED", 3)
    made = [book.policy() for _ in range(8)]
    assert [policy.number for policy in policies.every(store, Scope(), Filter())] == made
    down = policies.every(store, Scope(), Filter(), sort="expiry", descending=True)
    assert [policy.number for policy in down] == made[::-1]
