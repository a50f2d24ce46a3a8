"""Figures: raised with their deadline in one step, never more broken than they were, missing and not zero."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest
import time_machine
from django.conf import LazySettings
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import metrics
from dashboard.repository.metrics import Counter
from dashboard.repository.store import change


def add(amounts: Mapping[Counter, Decimal | int], product: str | None = "auto", agent: str | None = "AG001") -> None:
    change(lambda draft: metrics.add(draft, amounts, product=product, agent=agent))


def today() -> str:
    return clock.today().isoformat()


def hours(count: float) -> int:
    return round(count * clock.HOUR)


# -- lifetimes


@pytest.mark.parametrize(
    ("zone", "day", "ends"),
    [
        ("America/Chicago", date(2026, 8, 18), "2026-08-20T05:00:00Z"),
        ("America/Chicago", date(2026, 3, 8), "2026-03-10T05:00:00Z"),  # 23 hours long
        ("America/Chicago", date(2026, 11, 1), "2026-11-03T06:00:00Z"),  # 25 hours long
        ("America/Chicago", date(2026, 12, 31), "2027-01-02T06:00:00Z"),
        ("UTC", date(2028, 2, 29), "2028-03-02T00:00:00Z"),
        ("Asia/Kathmandu", date(2026, 8, 18), "2026-08-19T18:15:00Z"),
    ],
)
def test_trap_27_a_figure_ends_a_day_after_its_own_day_ends_in_the_business_zone(
    settings: LazySettings, zone: str, day: date, ends: str
) -> None:
    settings.TIME_ZONE = zone
    assert clock.iso(clock.moment(metrics.daily_deadline(day))) == ends


@pytest.mark.parametrize(("day", "length"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-06-01", 24)])
def test_a_day_is_as_long_as_its_clocks_make_it(settings: LazySettings, day: str, length: int) -> None:
    settings.TIME_ZONE = "America/Chicago"
    on = date.fromisoformat(day)
    assert clock.end_of_day(on) - clock.end_of_day(date.fromordinal(on.toordinal() - 1)) == hours(length)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-23T05:59:59Z", "2026-11-22"),
        ("2026-11-23T06:00:00Z", "2026-11-23"),
        ("2026-07-01T04:59:59Z", "2026-06-30"),
    ],
)
def test_a_figure_belongs_to_the_business_day(settings: LazySettings, moment: str, day: str) -> None:
    settings.TIME_ZONE = "America/Chicago"
    with time_machine.travel(moment):
        assert today() == day


def test_trap_27_every_increment_has_its_deadline(store: Redis) -> None:
    add({"policies_sold": 1, "revenue": Decimal("1200.50")})
    names = store.keys("metrics:daily:*")
    assert len(names) == 6
    assert {store.pexpiretime(name) for name in names} == {metrics.daily_deadline(clock.today())}
    assert all(store.ttl(name) > 0 for name in store.keys("*"))


def test_trap_27_a_figure_that_another_tool_left_immortal_or_short_lived_gets_its_deadline(store: Redis) -> None:
    sold, revenue = keys.daily_metric(today(), "policies_sold"), keys.daily_metric(today(), "revenue")
    store.set(sold, "15")
    store.set(revenue, "28500", ex=10)
    add({"policies_sold": 1, "revenue": Decimal(950)})
    assert store.mget(sold, revenue) == ["16", "29450"]
    deadline = metrics.daily_deadline(clock.today())
    assert store.pexpiretime(sold) == store.pexpiretime(revenue) == deadline


# -- raising


def test_a_figure_is_raised_for_the_company_the_department_and_the_agent(store: Redis) -> None:
    add({"policies_sold": 1, "revenue": Decimal("950.5")})
    add({"policies_sold": 2, "revenue": Decimal("0.25")}, product="home")
    day = metrics.day(store, clock.today(), agents=["AG001", "AG002"])
    assert (day.company.policies_sold, day.company.revenue) == (3, Decimal("950.75"))
    assert (day.departments["auto"].policies_sold, day.departments["home"].policies_sold) == (1, 2)
    assert (day.agents["AG001"].policies_sold, day.agents["AG001"].revenue) == (3, Decimal("950.75"))
    assert metrics.agents_with_figures(store, clock.today()) == {"AG001"}


def test_a_thing_of_no_product_and_no_agent_counts_for_the_company_alone(store: Redis) -> None:
    add({"claims_filed": 1}, product=None, agent=None)
    assert store.keys("metrics:daily:*") == [keys.daily_metric(today(), "claims_filed")]
    assert store.keys("*:agent:*") == []


def test_an_agent_whose_number_could_not_stand_in_a_key_is_not_counted_for(store: Redis) -> None:
    add({"claims_filed": 1}, product=None, agent="no agent")
    assert store.keys("metrics:daily:*") == [keys.daily_metric(today(), "claims_filed")]
    assert store.keys("*:agent:*") == []


@pytest.mark.parametrize("broken", ["lots", "", "007", "1.5", "١٢", " 1", "1e3", "9" * 18, "-0"])
def test_a_broken_figure_is_left_alone_and_the_others_are_raised(store: Redis, broken: str) -> None:
    """INCRBY would refuse it in the middle of the transaction, which then would be done in half."""
    store.set(keys.daily_metric(today(), "policies_sold"), broken)
    add({"policies_sold": 1})
    assert store.get(keys.daily_metric(today(), "policies_sold")) == broken
    assert store.get(keys.daily_department_metric(today(), "auto", "policies_sold")) == "1"
    assert store.get(keys.daily_agent_metric(today(), "AG001", "policies_sold")) == "1"


@pytest.mark.parametrize("good", ["0", "-3", "15", "9" * 17])
def test_whatever_can_be_raised_is_raised(store: Redis, good: str) -> None:
    store.set(keys.daily_metric(today(), "policies_sold"), good)
    add({"policies_sold": 1})
    assert store.get(keys.daily_metric(today(), "policies_sold")) == str(int(good) + 1)


@pytest.mark.parametrize("good", ["0.15", "-3.5", "007", "28500"])
def test_revenue_takes_fractions(store: Redis, good: str) -> None:
    store.set(keys.daily_metric(today(), "revenue"), good)
    add({"revenue": Decimal("10.25")})
    assert Decimal(store.get(keys.daily_metric(today(), "revenue"))) == Decimal(good) + Decimal("10.25")


def test_a_figure_of_another_type_is_left_alone_and_told(store: Redis) -> None:
    store.rpush(keys.daily_metric(today(), "policies_sold"), "a list")
    add({"policies_sold": 1})
    day = metrics.day(store, clock.today())
    assert day.company.policies_sold is None
    assert [problem.what for problem in day.company.problems] == ["holds a list, not a text"]
    assert day.departments["auto"].policies_sold == 1


# -- reading


def test_trap_27_what_is_missing_is_not_zero(store: Redis) -> None:
    store.set(keys.daily_metric(today(), "claims_filed"), "0")
    day = metrics.day(store, clock.today(), agents=["AG009"])
    assert (day.company.claims_filed, day.company.policies_sold) == (0, None)
    assert not day.company.empty
    assert day.departments["life"].empty
    assert day.agents["AG009"].empty


def test_agents_whose_figures_another_tool_wrote_are_remembered(store: Redis) -> None:
    key = keys.daily_agent_metric(today(), "AG007", "policies_sold")
    parsed = keys.parse(key)
    assert parsed
    metrics.note_agents(store, [parsed])
    assert metrics.agents_with_figures(store, clock.today()) == {"AG007"}
    assert store.ttl(keys.metric_agents(today())) > 0


# -- the copy in the session (trap 23)


def test_the_sessions_own_counter_is_raised_and_ends_with_it(store: Redis) -> None:
    store.set(keys.workstation("AG001"), "authenticated", ex=100)
    store.set(keys.workstation_field("AG001", "quotes_today"), "8", ex=50)
    change(lambda draft: metrics.tally(draft, "AG001", "quotes_today"))
    counter = keys.workstation_field("AG001", "quotes_today")
    assert store.get(counter) == "9"
    assert store.pexpiretime(counter) == store.pexpiretime(keys.workstation("AG001"))


@pytest.mark.parametrize("agent", [None, "", "no agent", "AG001"])
def test_no_session_gets_a_counter_that_is_not_there(store: Redis, agent: str | None) -> None:
    change(lambda draft: metrics.tally(draft, agent, "quotes_today"))
    assert store.keys("*") == []


def test_trap_20_a_session_revoked_meanwhile_is_not_brought_back_by_its_counter(store: Redis) -> None:
    store.set(keys.workstation("AG001"), "authenticated", ex=100)

    def act(draft: metrics.Change) -> None:
        metrics.tally(draft, "AG001", "quotes_today")
        store.delete(*keys.workstation_keys("AG001"))

    change(act)
    assert store.keys("*") == []
