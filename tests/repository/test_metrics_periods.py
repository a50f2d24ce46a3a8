"""Days, ISO weeks, months and quarters: their names and ends, ratios made of parts, and closing to the archive, once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.conf import LazySettings
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.live.follower import Follower
from dashboard.repository import agents, archive, claims, metrics, periods, policies, policy_service, quotes
from dashboard.repository.metrics import COMPANY, Figures
from dashboard.repository.periods import Kind, Period
from dashboard.repository.store import change
from tests import book

TUESDAY = "2026-11-24T15:00:00Z"


def add(amounts: dict[str, Decimal | int], product: str | None = "auto", agent: str | None = "AG001") -> None:
    change(lambda draft: metrics.add(draft, amounts, product=product, agent=agent))  # type: ignore[arg-type]


def past(store: Redis, kind: Kind = "weekly", **figures: str) -> Period:
    """The last period of a kind, with these figures of the company, as another tool writes them."""
    period = periods.current(kind).before
    for metric, value in figures.items():
        store.set(metrics.names_of(period, COMPANY)[metric], value, ex=86_400)
    return period


# -- names and ends


@pytest.mark.parametrize(
    ("kind", "day", "name", "first", "last"),
    [
        ("daily", "2026-11-22", "2026-11-22", "2026-11-22", "2026-11-22"),
        ("weekly", "2024-08-18", "2024-W33", "2024-08-12", "2024-08-18"),
        ("weekly", "2024-12-31", "2025-W01", "2024-12-30", "2025-01-05"),
        ("weekly", "2026-12-31", "2026-W53", "2026-12-28", "2027-01-03"),
        ("weekly", "2027-01-03", "2026-W53", "2026-12-28", "2027-01-03"),
        ("weekly", "2027-01-04", "2027-W01", "2027-01-04", "2027-01-10"),
        ("monthly", "2024-02-29", "2024-02", "2024-02-01", "2024-02-29"),
        ("monthly", "2026-12-31", "2026-12", "2026-12-01", "2026-12-31"),
        ("quarterly", "2024-08-18", "2024-Q3", "2024-07-01", "2024-09-30"),
        ("quarterly", "2024-12-31", "2024-Q4", "2024-10-01", "2024-12-31"),
    ],
)
def test_a_day_belongs_to_its_period(kind: Kind, day: str, name: str, first: str, last: str) -> None:
    found = periods.of(kind, date.fromisoformat(day))
    assert (found.name, str(found.first), str(found.last)) == (name, first, last)
    assert periods.named(name) == found
    assert found.before.last == found.first - timedelta(days=1)
    assert found.after.first == found.last + timedelta(days=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-W53",
        "2026-W54",
        "2026-W00",
        "2026-13",
        "2026-02-30",
        "2026-Q5",
        "1889-01",
        "9999-12",
        "٢٠٢٦-01",
        "W47",
    ],
)
def test_what_no_calendar_has_is_no_period(text: str) -> None:
    assert periods.named(text) is None


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("2026-W45", "2026-11-16T06:00:00Z"),
        (
            "2026-W44",
            "2026-11-09T06:00:00Z",
        ),  # ends on the day the clocks go back: 2026-11-01, and lives into winter time
        ("2026-03", "2026-05-01T05:00:00Z"),
        ("2026-08", "2026-10-01T05:00:00Z"),  # 31 days of August, then the document's 30
        ("2026-Q3", "2026-12-30T05:00:00Z"),  # 92 days, then 90 of 24 hours, the clocks going back in between
        ("2026-W53", "2027-01-11T06:00:00Z"),
        ("2026-12", "2027-01-31T06:00:00Z"),
    ],
)
def test_trap_27_figures_end_with_their_own_period_and_its_retention(
    settings: LazySettings, name: str, ends: str
) -> None:
    settings.TIME_ZONE = "America/Chicago"
    period = periods.named(name)
    assert period and clock.iso(clock.moment(period.deadline)) == ends


@pytest.mark.parametrize(("name", "hours"), [("2026-W10", 167), ("2026-W44", 169), ("2026-W30", 168)])
def test_a_week_is_as_long_as_its_clocks_make_it(settings: LazySettings, name: str, hours: int) -> None:
    settings.TIME_ZONE = "America/Chicago"
    period = periods.named(name)
    assert period and period.end - period.before.end == hours * clock.HOUR


# -- counting


def test_trap_27_an_action_counts_in_all_four_periods(store: Redis) -> None:
    add({"policies_sold": 1, "revenue": Decimal("950.50")})
    add({"policies_sold": 1, "revenue": Decimal(800)}, product="home")
    for kind in periods.KINDS:
        found = metrics.statement(store, periods.current(kind), agents=["AG001"])
        assert (found.company.policies_sold, found.company.revenue) == (2, Decimal("1750.50"))
        assert found.departments["home"].revenue == 800
        assert found.agents["AG001"].policies_sold == 2
        assert metrics.agents_with_figures(store, periods.current(kind)) == {"AG001"}


def test_at_the_turn_of_the_year_a_sale_counts_for_the_old_week_and_the_new_year(store: Redis) -> None:
    with time_machine.travel("2027-01-01T15:00:00Z", tick=False):
        add({"policies_sold": 1})
        names = {name.rpartition(":policies_sold")[0] for name in store.keys("metrics:*") if "AG001" not in name}
    spans = {name.split(":")[2] for name in names}
    assert spans == {"2027-01-01", "2026-W53", "2027-01", "2027-Q1"}


def test_a_broken_figure_of_one_period_keeps_no_other_from_being_raised(store: Redis) -> None:
    week, month = (metrics.names_of(periods.current(kind), COMPANY)["policies_sold"] for kind in ("weekly", "monthly"))
    store.set(week, "lots", ex=60)
    store.lpush(month, "x")
    store.set(keys.metric_parts(periods.current("daily").name), "no hash")
    store.set(keys.metric_agents(periods.current("weekly").name), "no set")
    add({"policies_sold": 1, "claims_decided": 1})
    assert store.get(week) == "lots" and store.type(month) == "list"
    found = metrics.statement(store, periods.current("quarterly"))
    assert found.company.policies_sold == 1 and found.company.parts["claims_decided"] == 1
    assert metrics.agents_with_figures(store, periods.current("weekly")) == set()


def test_a_customers_first_policy_is_an_acquisition_and_the_second_is_none(store: Redis) -> None:
    book.policy(customer="CUST700", agent="AG002")
    book.policy("home", customer="CUST700")
    book.policy(customer="")
    found = metrics.statement(store, periods.current("monthly"), agents=["AG001", "AG002"])
    assert found.company.customer_acquisition == 1
    assert found.agents["AG002"].customer_acquisition == 1
    assert found.agents["AG001"].customer_acquisition is None


def test_a_customer_whose_list_another_tool_lost_is_not_acquired_twice(store: Redis) -> None:
    book.policy(customer="CUST700")
    store.delete(keys.customer_field("CUST700", "policies"))
    book.policy(customer="CUST700")
    assert metrics.statement(store, periods.current("daily")).company.customer_acquisition == 1


def test_two_first_policies_at_once_are_one_acquisition(store: Redis) -> None:
    at_once(lambda: book.policy(customer="CUST700"), 6)
    assert store.get(metrics.names_of(periods.current("daily"), COMPANY)["customer_acquisition"]) == "1"


def test_binding_counts_a_new_customer_beside_the_sale(store: Redis) -> None:
    quotes.bind("auto", book.quote(), {}, effective=clock.today(), by="AG001")
    found = metrics.statement(store, periods.current("weekly"), agents=["AG001"]).agents["AG001"]
    assert (found.policies_sold, found.customer_acquisition, found.revenue) == (1, 1, 950)
    assert found.quote_to_bind == 100


# -- ratios


def test_ratios_are_made_of_their_parts_and_never_added(store: Redis) -> None:
    add({"revenue": Decimal(1000), "claims_approved": Decimal(300)})
    add({"revenue": Decimal(3000), "claims_approved": Decimal(300)}, product="home", agent="AG002")
    add({"policies_renewed": 9, "policies_ended": 1})
    found = metrics.statement(store, periods.current("weekly"), agents=["AG001", "AG002"])
    ratios = [
        found.shown(owner, "claims_ratio").value for owner in (COMPANY, "product=auto", "product=home", "agent=AG002")
    ]
    assert ratios == [Decimal("0.15"), Decimal("0.30"), Decimal("0.10"), Decimal("0.10")]
    assert found.shown(COMPANY, "customer_retention").value == 90
    assert found.shown("product=home", "customer_retention").value is None


def test_what_cannot_be_divided_is_missing_and_not_zero() -> None:
    assert Figures(revenue=Decimal(0), parts={"claims_approved": Decimal(5)}).computed("claims_ratio") is None
    assert Figures(revenue=Decimal(10)).computed("claims_ratio") is None
    assert Figures(revenue=Decimal(10)).computed("growth_rate", Figures(revenue=Decimal(0))) is None
    assert Figures(quotes_generated=Decimal(0), policies_sold=Decimal(1)).quote_to_bind is None
    assert Figures().computed("customer_retention") is None
    assert Figures(parts={"policies_ended": Decimal(2)}).computed("customer_retention") == 0


def test_another_tools_ratio_is_shown_as_it_is_and_told_from_ours(store: Redis) -> None:
    period = past(store, "monthly", claims_ratio="0.15", revenue="1000")
    found = metrics.statement(store, period)
    assert found.shown(COMPANY, "claims_ratio").value == Decimal("0.15")
    assert found.shown(COMPANY, "claims_ratio").of_parts is None
    store.hset(keys.metric_parts(period.name), "company:claims_approved", "170")
    shown = metrics.statement(store, period).shown(COMPANY, "claims_ratio")
    assert (shown.value, shown.of_parts, shown.foreign) == (Decimal("0.15"), Decimal("0.17"), True)
    store.hset(keys.metric_parts(period.name), "company:claims_approved", "150")
    shown = metrics.statement(store, period).shown(COMPANY, "claims_ratio")
    assert (shown.of_parts, shown.foreign) == (None, False)


def test_growth_is_known_once_the_period_is_over(store: Redis) -> None:
    before = past(store, "weekly", revenue="800")
    add({"revenue": Decimal(900)})
    running = metrics.statement(store, before.after)
    former = metrics.statement(store, before)
    assert running.shown(COMPANY, "growth_rate", former).value is None
    with time_machine.travel(clock.moment(before.after.end)):
        assert running.shown(COMPANY, "growth_rate", former).value == Decimal("12.5")


def test_claims_give_what_was_approved_and_how_long_they_took(store: Redis) -> None:
    with time_machine.travel(TUESDAY, tick=False):
        number = claims.report(summary="Hail", by="AG001", policy=f"auto:{book.policy()}")
        claims.assign(number, "ADJ001", by="AG001")
    with time_machine.travel("2026-11-26T03:00:00Z", tick=False):
        claims.approve(number, Decimal(320), by="SUP001")
        found = metrics.statement(store, periods.current("weekly"), agents=["AG001"])
    assert found.company.parts["claims_approved"] == 320
    assert found.company.closing_hours == found.agents["AG001"].closing_hours == 36


def test_a_claim_that_another_tool_reported_counts_without_a_closing_time(store: Redis) -> None:
    store.set("claim:temp:CLM900", "Hail - Initial Report - Customer: CUST001", ex=604_800)
    claims.assign("CLM900", "ADJ001", by="AG001")
    claims.deny("CLM900", "Not covered", by="SUP001")
    found = metrics.statement(store, periods.current("daily")).company
    assert found.parts["claims_decided"] == 1 and found.closing_hours is None
    assert "claims_approved" not in found.parts


# -- closing


def test_a_closed_period_outlives_its_figures_and_what_is_written_after(store: Redis) -> None:
    period = past(store, policies_sold="89", revenue="167300.5")
    assert archive.close(period, by="SUP001")
    store.set(metrics.names_of(period, COMPANY)["policies_sold"], "1")
    found = metrics.statement(store, period)
    assert found.company.policies_sold == 89 and found.closed and found.closed.by == "SUP001"
    assert found.shown(COMPANY, "policies_sold").late == 1
    store.delete(*store.keys("metrics:*"))
    found = metrics.statement(store, period)
    assert (found.company.revenue, found.company.claims_filed) == (Decimal("167300.5"), None)
    assert store.ttl(keys.archive(period.name)) == -1


def test_a_period_is_closed_once_whoever_does_it(store: Redis) -> None:
    period = past(store, policies_sold="89")
    assert archive.close(period, by="SUP001")
    kept = store.hgetall(keys.archive(period.name))
    store.set(metrics.names_of(period, COMPANY)["policies_sold"], "90")
    assert not archive.close(period, by="SUP002")
    assert archive.close_due(store) == []
    assert store.hgetall(keys.archive(period.name)) == kept


def test_a_running_period_and_the_minute_behind_it_cannot_be_closed(store: Redis) -> None:
    add({"policies_sold": 1})
    period = periods.current("daily")
    for moment in (clock.now_ms(), period.end + archive.GRACE - 2_000):
        with time_machine.travel(clock.moment(moment), tick=False), pytest.raises(Conflict, match="not over yet"):
            archive.close(period, by="SUP001")
    with time_machine.travel(clock.moment(period.end + archive.GRACE), tick=False):
        assert archive.close(period, by="SUP001")


def test_a_period_without_figures_is_not_closed(store: Redis) -> None:
    with pytest.raises(Conflict, match="Nothing was recorded"):
        archive.close(periods.current("weekly").before, by="SUP001")
    assert store.keys("*") == []


def test_another_tools_key_in_the_archives_place_is_left_alone(store: Redis) -> None:
    period = past(store, policies_sold="89")
    store.set(keys.archive(period.name), "mine")
    with pytest.raises(Conflict, match="holds a string"):
        archive.close(period, by="SUP001")
    assert archive.close_due(store) == []
    assert metrics.statement(store, period).company.policies_sold == 89
    assert archive.statements(store, "weekly", [COMPANY]) == []


@pytest.mark.parametrize("junk", ["", "[]", "null", "{", '{"parts": 7}', '{"revenue": "lots", "policies_sold": {}}'])
def test_what_is_unreadable_in_an_archive_is_missing(store: Redis, junk: str) -> None:
    period = past(store)
    store.hset(keys.archive(period.name), mapping={"company": junk, "closed": f"{period.end}|SUP001"})
    assert metrics.statement(store, period).company.revenue is None
    assert archive.statements(store, "weekly", [COMPANY])[0].company.policies_sold is None


def at_once(act: Callable[[], object], count: int = 8) -> list[object]:
    """What each of so many threads got, all let go at the same moment."""
    gate, results = threading.Barrier(count), []

    def run() -> None:
        gate.wait()
        results.append(act())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_many_who_close_at_once_one_does_it(store: Redis) -> None:
    for round_ in range(10):
        period = periods.of("weekly", clock.today() - timedelta(weeks=round_ + 2))
        store.set(metrics.names_of(period, COMPANY)["policies_sold"], "89")
        done = at_once(lambda period=period: archive.close(period, by=threading.current_thread().name))
        assert sorted(done) == [False] * 7 + [True]  # type: ignore[type-var]
        assert archive.statements(store, "weekly", [COMPANY])[0].company.policies_sold == 89


def test_the_plain_way_closes_more_than_once(store: Redis) -> None:
    """The control: look, then write. Late figures get into what was frozen already."""
    closings = 0
    for round_ in range(20):
        period = periods.of("weekly", clock.today() - timedelta(weeks=round_ + 2))
        name = keys.archive(period.name)

        def naive(name: str = name) -> bool:
            if store.exists(name):
                return False
            store.hset(name, mapping={"company": json.dumps({"policies_sold": "89"})})
            return True

        closings += sum(map(bool, at_once(naive)))
    assert closings > 20


# -- who closes by themselves


def test_all_kinds_are_closed_soon_after_their_end(store: Redis) -> None:
    with time_machine.travel("2026-12-31T18:00:00Z", tick=False):
        add({"policies_sold": 1})
        ends = {kind: periods.current(kind) for kind in periods.KINDS}
    with time_machine.travel("2027-01-01T06:00:30Z", tick=False):
        assert archive.close_due(store) == []
    with time_machine.travel("2027-01-01T06:01:00Z", tick=False):
        closed = {period.name for period in archive.close_due(store)}
    assert closed == {ends[kind].name for kind in ("daily", "monthly", "quarterly")}, "the week goes on to Sunday"
    with time_machine.travel("2027-01-04T06:01:00Z", tick=False):
        assert [period.name for period in archive.close_due(store)] == ["2026-W53"]


def test_the_follower_closes_what_is_due_when_it_starts(store: Redis) -> None:
    period = past(store, "daily", policies_sold="12")
    stop = threading.Event()
    thread = threading.Thread(target=Follower(store).run, args=(stop,))
    thread.start()
    try:
        for _ in range(200):
            if store.exists(keys.archive(period.name)):
                break
            stop.wait(0.05)
        found = metrics.statement(store, period)
        assert found.closed and found.closed.by == archive.BY_ITSELF
    finally:
        stop.set()
        thread.join()


# -- trends


def test_a_trend_has_a_gap_where_nothing_was_closed(store: Redis) -> None:
    week = periods.current("weekly")
    for back, sold in ((2, "7"), (4, "5")):
        period = week
        for _ in range(back):
            period = period.before
        store.set(metrics.names_of(period, COMPANY)["policies_sold"], sold)
        archive.close(period, by="SUP001")
    found = archive.statements(store, "weekly", [COMPANY])
    assert [each.company.policies_sold for each in found] == [5, None, 7, None]
    assert [bool(each.closed) for each in found] == [True, False, True, False]


def test_the_leading_agents_are_those_of_the_latest_closed_period(store: Redis) -> None:
    period = periods.current("monthly").before
    for agent, sold in (("AG001", "3"), ("AG002", "9"), ("AG003", "3"), ("AG004", None)):
        store.sadd(keys.metric_agents(period.name), agent)
        names = metrics.names_of(period, f"agent={agent}")
        store.set(names["policies_sold"] if sold else names["revenue"], sold or "1")
    archive.close(period, by="SUP001")
    assert archive.leading_agents(store, "monthly", "policies_sold", most=3) == (["AG002", "AG001", "AG003"], 4)
    assert archive.leading_agents(store, "weekly", "policies_sold", most=3) == ([], 0)
    assert metrics.archived_agents(store, period) == {"AG001", "AG002", "AG003", "AG004"}


def test_a_statement_costs_as_much_for_many_agents_as_for_few(store: Redis) -> None:
    add({"policies_sold": 1})

    def trips(count: int) -> int:
        names = [f"AG{number:03}" for number in range(count)]
        before = store.info("stats")["total_net_input_bytes"], store.info("commandstats")["cmdstat_mget"]["calls"]
        metrics.statement(store, periods.current("weekly"), agents=names)
        return store.info("commandstats")["cmdstat_mget"]["calls"] - before[1]

    metrics.statement(store, periods.current("weekly"))
    assert trips(2) == trips(200) == 1


def test_policies_still_know_nothing_of_figures_when_edited(store: Redis) -> None:
    number = book.policy(customer="CUST001")
    before = store.keys("metrics:*")
    seen = policies.get(store, "auto", number).seen
    policies.edit("auto", number, {"deductible": "750"}, seen=seen, by="AG001")
    assert store.keys("metrics:*") == before


def test_retention_is_made_of_renewals_and_of_what_was_not_renewed(store: Redis) -> None:
    agents.save(store, {"AG001": "dallas"})
    soon = (clock.today() + timedelta(days=20)).isoformat()
    numbers = [book.policy(customer=f"CUST70{each}", expiration_date=soon) for each in range(4)]

    def seen(number: str) -> str:
        return policies.get(store, "auto", number).seen

    for number in numbers[:3]:
        ends = clock.today() + timedelta(days=385)
        facts = {"premium": "1236"}
        policy_service.renew("auto", number, facts, begins=None, ends=ends, seen=seen(number), by="AG001")
    last = numbers[3]
    policy_service.cancel("auto", last, effective=clock.today(), reason="Car sold", seen=seen(last), by="AG001")
    found = metrics.statement(store, periods.current("quarterly"), agents=["AG001"])
    assert found.shown("agent=AG001", "customer_retention").value == 75
    policy_service.undo("auto", last, seen(last), by="AG001")
    found = metrics.statement(store, periods.current("quarterly"))
    assert found.shown(COMPANY, "customer_retention").value == 100
