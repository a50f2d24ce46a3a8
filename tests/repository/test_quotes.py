"""Quotes: alive as long as their root, extended and ended as a whole, remembered when they are gone."""

from __future__ import annotations

import time
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Invalid, NotFound
from dashboard.repository import agents, audit, lapsed, metrics, policies, quotes
from dashboard.repository.agents import Scope
from dashboard.repository.quotes import INDEX, Filter, Quote
from tests import document
from tests.document import AUTO_QUOTE, HALF_EXTENDED, HIGH_VALUE_QUOTE, LIFE_QUOTE, RISKS

EVERYTHING = Scope()
DALLAS = Scope(frozenset({"dallas"}))
NO_LIFE = Scope(None, frozenset({"auto", "home"}))
MINUTE = clock.MINUTE


@pytest.fixture(autouse=True)
def directory(store: Redis) -> None:
    agents.save(store, {"AG001": "dallas", "AG002": "houston"})


def by_other_tools(store: Redis, commands: str) -> None:
    """Run commands as redis-cli would, and let the index hear of them as the follower lets it."""
    document.run(store, commands)
    heard = {parsed.subject for name in store.keys("quote:*") if (parsed := keys.parse(name))}
    quotes.refresh(store, sorted(subject for subject in heard if subject))


def create(product: str = "auto", *, token: str | None = None, **facts: str) -> str:
    standing = {
        "auto": {"vehicle": "Honda Civic 2023", "premium": "950"},
        "home": {"property_address": "9 Elm St, Dallas TX 75201", "premium": "800", "property_value": "350000"},
        "life": {"coverage_amount": "500000", "term_years": "20", "premium_monthly": "45"},
    }[product]
    everybody = {"customer": "CUST004", "agent": "AG001"}
    return quotes.create(product, {**everybody, **standing, **facts}, by="AG001", token=token)


def get(store: Redis, member: str) -> Quote:
    return quotes.get(store, *member.split(":"))


def extend(member: str, **options: Any) -> int:
    return quotes.extend(*member.split(":"), by="AG001", **options)


def bind(member: str, extra: dict[str, str] | None = None, **options: Any) -> str:
    return quotes.bind(*member.split(":"), extra or {}, effective=clock.today(), by="AG002", **options)


def withdraw(member: str) -> str:
    return quotes.withdraw(*member.split(":"), by="AG002")


def listed(store: Redis, wanted: Filter | None = None, scope: Scope = EVERYTHING) -> list[str]:
    page = quotes.listing(store, scope, wanted or Filter())
    assert page.total == len(page.rows)
    return [quote.id for quote in page.rows]


def deadlines(store: Redis, *patterns: str) -> set[int]:
    return {store.pexpiretime(name) for pattern in patterns for name in store.keys(pattern)}


def history(store: Redis, member: str) -> list[str]:
    return [record.text for record in audit.history(store, audit.QUOTE, *member.split(":"))]


# -- what other tools wrote


def test_quotes_as_the_document_writes_them_are_on_the_board_next_to_end_first(store: Redis) -> None:
    by_other_tools(store, AUTO_QUOTE + HIGH_VALUE_QUOTE + LIFE_QUOTE + RISKS)
    assert listed(store) == ["auto:Q010", "auto:Q001", "auto:Q011", "auto:Q012", "auto:Q002", "life:Q001"]
    quote = get(store, "auto:Q001")
    assert (quote.customer, quote.agent, quote.branch, quote.vehicle, quote.premium) == (
        "CUST004",
        "AG001",
        "dallas",
        "Honda Civic 2023",
        950,
    )
    assert (quote.extensions, quote.problems) == (0, ())
    assert 0 < (quote.deadline or 0) - clock.now_ms() <= 5 * MINUTE


def test_a_quote_without_fields_is_read_from_its_text(store: Redis) -> None:
    by_other_tools(store, 'SETEX quote:auto:Q009 300 "Kia Rio 2021 - Customer: CUST007 - Premium: $1,150/year"')
    quote = get(store, "auto:Q009")
    assert (quote.customer, quote.premium, quote.yearly, quote.subject) == ("CUST007", 1150, 1150, "Kia Rio 2021")
    assert listed(store, Filter(customer="CUST007")) == ["auto:Q009"]


def test_trap_13_a_premium_a_month_keeps_its_unit(store: Redis) -> None:
    by_other_tools(store, 'SETEX quote:life:Q009 300 "Term Life $250K 10Y - Customer: CUST007 - Premium: $45/month"')
    quote = get(store, "life:Q009")
    assert (quote.premium, quote.premium_monthly, quote.yearly) == (None, 45, 540)


def test_trap_4_one_number_is_two_quotes_of_two_products(store: Redis) -> None:
    by_other_tools(store, AUTO_QUOTE + LIFE_QUOTE)
    withdraw("auto:Q001")
    assert listed(store) == ["life:Q001"]
    assert store.exists("underwriting:assessment:Q001", "underwriting:medical_exam:Q001") == 2


def test_trap_4_a_number_is_never_given_again_in_whatever_product(store: Redis) -> None:
    by_other_tools(store, AUTO_QUOTE + HIGH_VALUE_QUOTE)
    store.set("quote:life:Q003", "theirs", ex=100)
    assert create() == "auto:Q004"
    assert create("life") == "life:Q005"


def test_trap_14_what_is_left_of_a_quote_without_its_root_is_none(store: Redis) -> None:
    by_other_tools(store, RISKS)
    store.delete("quote:auto:Q010")
    assert store.get("quote:auto:Q010:risk_level") == "HIGH"
    assert "auto:Q010" not in listed(store)
    with pytest.raises(NotFound):
        get(store, "auto:Q010")
    by_other_tools(store, "")
    assert "auto:Q010" not in INDEX.page(store, {}, "deadline", 50).members


def test_trap_14_our_own_risk_level_ends_with_its_root(store: Redis) -> None:
    member = create(risk_level="HIGH")
    assert len(deadlines(store, f"quote:{member}*", f"dash:quote:{member}")) == 1


def test_a_root_without_a_lifetime_is_shown_as_such_and_cannot_be_extended(store: Redis) -> None:
    by_other_tools(store, 'SET quote:auto:Q009 "Kia Rio 2021 - Customer: CUST007 - Premium: $1,150/year"')
    assert get(store, "auto:Q009").deadline is None
    assert listed(store) == ["auto:Q009"]
    with pytest.raises(Conflict):
        extend("auto:Q009")


@pytest.mark.parametrize(
    ("name", "command", "what"),
    [
        ("premium", ("SET", "lots"), "is not an amount: lots"),
        ("created", ("SET", "yesterday"), "is not a point in time: yesterday"),
        ("customer", ("SET", "{x}"), "is not an identifier: {x}"),
        ("vehicle", ("RPUSH", "a"), "holds a list, not a text"),
        ("agent", ("SET", b"\xff"), "is not valid UTF-8"),
    ],
)
def test_a_broken_value_is_named_and_the_board_stands(
    store: Redis, name: str, command: tuple[Any, ...], what: str
) -> None:
    by_other_tools(store, AUTO_QUOTE)
    key = keys.quote_field("auto", "Q001", name)
    store.delete(key)
    store.execute_command(command[0], key, *command[1:])
    quotes.refresh(store, ["auto:Q001"])
    assert (key, what) in [(problem.key, problem.what) for problem in get(store, "auto:Q001").problems]
    assert listed(store) == ["auto:Q001"]


# -- how long


@pytest.mark.parametrize(
    ("product", "premium", "risk", "minutes"),
    [
        ("auto", 950, None, 5),
        ("auto", 950, "MEDIUM", 5),
        ("auto", 950, "LOW", 10),
        ("auto", 950, "HIGH", 3),
        ("auto", 2500, None, 15),
        ("auto", 2000, "LOW", 15),
        ("auto", 1999, "LOW", 10),
        ("auto", 3500, "HIGH", 3),
        ("auto", None, None, 5),
        ("home", 800, None, 15),
        ("home", 800, "HIGH", 3),
        ("home", 2500, "LOW", 15),
        ("life", 540, None, 30),
        ("life", 9000, "HIGH", 30),
    ],
)
def test_trap_16_one_table_says_how_long_a_quote_lives(
    product: str, premium: int | None, risk: str | None, minutes: int
) -> None:
    term = quotes.term(product, None if premium is None else Decimal(premium), risk)
    assert term.minutes == minutes
    assert term.why.endswith(".")


@pytest.mark.parametrize(
    ("product", "risk", "minutes"), [("auto", "", 5), ("auto", "HIGH", 3), ("home", "", 15), ("life", "", 30)]
)
def test_a_new_quote_lives_as_long_as_the_table_says_and_all_of_it_ends_at_once(
    store: Redis, product: str, risk: str, minutes: int
) -> None:
    before = clock.now_ms()
    member = create(product, risk_level=risk)
    (deadline,) = deadlines(store, f"quote:{member}*", f"dash:quote:{member}")
    assert minutes * MINUTE <= deadline - before <= minutes * MINUTE + 5_000
    quote = get(store, member)
    assert (quote.deadline, quote.lifetime_minutes, quote.extensions) == (deadline, minutes, 0)


def test_a_new_quote_is_written_as_the_document_writes_one(store: Redis) -> None:
    assert store.get(f"quote:{create()}") == "Honda Civic 2023 - Customer: CUST004 - Premium: $950/year"
    assert store.get(f"quote:{create('life')}") == "Term Life $500K 20Y - Customer: CUST004 - Premium: $45/month"
    assert store.mget("quote:auto:Q001:customer", "quote:auto:Q001:premium") == ["CUST004", "950"]


def test_a_new_quote_counts(store: Redis) -> None:
    create()
    day = metrics.day(store, clock.today(), agents=["AG001"])
    assert [each.quotes_generated for each in (day.company, day.departments["auto"], day.agents["AG001"])] == [1, 1, 1]


def test_a_form_sent_twice_makes_one_quote(store: Redis) -> None:
    assert create(token="form") == create(token="form") == "auto:Q001"
    assert listed(store) == ["auto:Q001"]
    assert store.get(keys.daily_metric(clock.today().isoformat(), "quotes_generated")) == "1"


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"customer": ""}, "customer"),
        ({"customer": "CUST:1"}, "customer"),
        ({"agent": "A B"}, "agent"),
        ({"premium": "lots"}, "premium"),
        ({"premium": "0"}, "premium"),
        ({"vehicle": "a|b"}, "vehicle"),
    ],
)
def test_a_quote_that_makes_no_sense_is_refused(store: Redis, facts: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as raised:
        create(**facts)
    assert list(raised.value.fields) == [field]
    assert store.keys("quote:*") == []


# -- extending


def test_trap_15_the_whole_quote_is_extended_by_its_own_lifetime(store: Redis) -> None:
    member = create()
    before = get(store, member)
    deadline = extend(member)
    assert deadline == (before.deadline or 0) + 5 * MINUTE
    assert deadlines(store, f"quote:{member}*", f"dash:quote:{member}") == {deadline}
    assert (get(store, member).extensions, get(store, member).lifetime_minutes) == (1, 5)
    assert INDEX.page(store, {}, "deadline", 5).scores == (deadline,)
    assert history(store, member)[0].startswith("Extended to ")


def test_trap_15_a_quote_that_was_split_is_whole_again_and_no_part_of_it_shorter(store: Redis) -> None:
    by_other_tools(store, LIFE_QUOTE + HALF_EXTENDED)
    assert len(deadlines(store, "quote:life:Q001*")) > 1
    exam = store.pexpiretime("underwriting:medical_exam:Q001")
    deadline = extend("life:Q001")
    assert deadlines(store, "quote:life:Q001*", "underwriting:assessment:*") == {deadline}
    assert deadline - clock.now_ms() > 85 * MINUTE
    assert exam == store.pexpiretime("underwriting:medical_exam:Q001"), "it lives longer by itself (trap 17)"


def test_trap_17_an_examination_is_never_cut_and_lives_at_least_as_long_as_its_quote(store: Redis) -> None:
    by_other_tools(store, LIFE_QUOTE)
    for _ in range(6):
        extend("life:Q001", limit=10)
    assert store.pexpiretime("underwriting:medical_exam:Q001") == get(store, "life:Q001").deadline


def test_trap_15_a_ghost_without_lifetime_gets_that_of_the_quote(store: Redis) -> None:
    by_other_tools(store, RISKS)
    deadline = extend("auto:Q010")
    assert deadlines(store, "quote:auto:Q010*") == {deadline}


def test_trap_15_extensions_are_capped_and_a_supervisor_may_exceed_the_cap(store: Redis) -> None:
    member = create()
    for _ in range(quotes.EXTENSIONS):
        extend(member)
    with pytest.raises(Conflict, match="2 times already"):
        extend(member)
    extend(member, limit=quotes.SUPERVISOR_EXTENSIONS)
    assert get(store, member).extensions == 3


def test_trap_15_a_dead_quote_is_never_revived(store: Redis) -> None:
    member = create()
    for name in store.keys(f"quote:{member}*"):
        store.pexpire(name, 1)
    time.sleep(0.01)
    with pytest.raises(Expired, match="Quote Q001 expired"):
        extend(member)
    assert store.keys("quote:*") == []


def test_trap_15_a_form_sent_twice_extends_once(store: Redis) -> None:
    member = create()
    assert extend(member, token="form") == extend(member, token="form")
    assert get(store, member).extensions == 1


def test_what_never_was_cannot_be_extended(store: Redis) -> None:
    with pytest.raises(NotFound) as raised:
        extend("auto:Q001")
    assert not isinstance(raised.value, Expired)


# -- the end


def test_a_withdrawn_quote_is_gone_with_all_its_keys_and_says_by_whom(store: Redis) -> None:
    by_other_tools(store, LIFE_QUOTE)
    withdraw("life:Q001")
    assert store.keys("quote:*") == store.keys("underwriting:*") == store.keys("dash:quote:*") == []
    assert listed(store) == []
    with pytest.raises(Expired, match="Quote Q001 was withdrawn by AG002"):
        get(store, "life:Q001")
    assert history(store, "life:Q001") == ["Withdrawn by AG002"]


def test_trap_19_what_a_quote_was_is_kept_beyond_its_end(store: Redis) -> None:
    member = create(risk_level="HIGH")
    store.delete(*store.keys(f"quote:{member}*"))
    past = lapsed.get(store, *member.split(":"))
    assert past
    assert (past.how, past.facts["customer"], past.facts["vehicle"], past.facts["premium"], past.branch) == (
        "expired",
        "CUST004",
        "Honda Civic 2023",
        "950",
        "dallas",
    )
    assert store.pexpiretime(keys.quote_snapshot(*member.split(":"))) - clock.now_ms() > 30 * clock.DAY


def test_trap_19_the_facts_of_another_tools_quote_are_kept_once_it_was_seen(store: Redis) -> None:
    by_other_tools(store, AUTO_QUOTE)
    store.delete(*store.keys("quote:*"))
    past = lapsed.get(store, "auto", "Q001")
    assert past
    assert (past.how, past.facts["customer"], past.facts["premium"]) == ("expired", "CUST004", "950")


def test_nothing_is_told_of_a_quote_that_never_was(store: Redis) -> None:
    assert lapsed.get(store, "auto", "Q001") is None


# -- binding


def test_binding_makes_the_policy_and_all_that_follows_in_one_step(store: Redis) -> None:
    member = create()
    policy_id = bind(member)
    policy = policies.get(store, *policy_id.split(":"))
    assert (policy.status, policy.premium, policy.customer, policy.agent, policy.vehicle, policy.quote) == (
        "ACTIVE",
        950,
        "CUST004",
        "AG001",
        "Honda Civic 2023",
        "Q001",
    )
    assert (policy.effective, policy.expires) == (clock.today(), clock.years_later(clock.today(), 1))
    assert store.mget("customer:CUST004:policies", "customer:CUST004:total_premium") == [policy_id, "950"]
    day = metrics.day(store, clock.today(), agents=["AG001"])
    for figures in (day.company, day.departments["auto"], day.agents["AG001"]):
        assert (figures.policies_sold, figures.revenue) == (1, 950)
    assert store.keys(f"quote:{member}*") == store.keys("dash:quote:*") == []
    assert history(store, member)[0] == f"Bound as policy {policy_id} by AG002"
    assert audit.history(store, audit.POLICY, *policy_id.split(":"))[0].text.startswith(
        "Bound from quote Q001 by AG002"
    )
    assert [found.id for found in policies.listing(store, EVERYTHING, policies.Filter()).rows] == [policy_id]
    assert listed(store) == []


def test_a_bound_quote_says_by_whom_and_as_what(store: Redis) -> None:
    member = create()
    policy = bind(member)
    past = lapsed.get(store, *member.split(":"))
    assert past
    assert (past.how, past.by, past.policy, past.policy_parts) == ("bound", "AG002", policy, policy.split(":"))
    with pytest.raises(Expired, match="was bound as policy auto 100001 by AG002"):
        bind(member)


def test_another_tools_quote_can_be_bound(store: Redis) -> None:
    by_other_tools(store, LIFE_QUOTE)
    policy = policies.get(store, *bind("life:Q001").split(":"))
    assert (policy.premium, policy.premium_monthly, policy.coverage_amount, policy.term_years) == (540, 45, 500000, 20)
    assert (policy.agent, policy.customer) == ("AG002", "CUST008"), "the agent is who bound it"
    assert policy.expires == clock.years_later(clock.today(), 20)
    assert store.keys("quote:*") == []


def test_trap_17_what_the_underwriters_wrote_outlives_a_bound_quote_by_its_own_deadline(store: Redis) -> None:
    by_other_tools(store, LIFE_QUOTE)
    before = deadlines(store, "underwriting:*")
    bind("life:Q001")
    assert len(before) == 2 and deadlines(store, "underwriting:*") == before


def test_binding_adds_what_the_quote_lacks(store: Redis) -> None:
    by_other_tools(store, 'SETEX quote:auto:Q009 300 "Kia Rio - Premium: $1,150/year"')
    with pytest.raises(Invalid) as raised:
        bind("auto:Q009")
    assert list(raised.value.fields) == ["customer"]
    policy = policies.get(store, *bind("auto:Q009", {"customer": "CUST007", "vehicle_vin": "V1"}).split(":"))
    assert (policy.customer, policy.vin, policy.premium, policy.vehicle) == ("CUST007", "V1", 1150, "Kia Rio")


def test_a_quote_without_a_readable_premium_cannot_be_bound(store: Redis) -> None:
    by_other_tools(store, 'SETEX quote:auto:Q009 300 "Kia Rio - Customer: CUST007"')
    with pytest.raises(Invalid) as raised:
        bind("auto:Q009")
    assert list(raised.value.fields) == ["premium"]
    assert store.keys("policy:*") == []


def test_an_expired_quote_makes_no_policy(store: Redis) -> None:
    member = create()
    for name in store.keys(f"quote:{member}*"):
        store.pexpire(name, 1)
    time.sleep(0.01)
    with pytest.raises(Expired):
        bind(member)
    assert store.keys("policy:*") == []


def test_a_quote_that_ends_while_it_is_bound_makes_no_policy(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    member, add = create(), policies.add

    def slow(*args: Any, **kwargs: Any) -> str:
        store.pexpire(f"quote:{member}", 1)
        time.sleep(0.01)
        return add(*args, **kwargs)

    monkeypatch.setattr(policies, "add", slow)
    with pytest.raises(Expired):
        bind(member)
    assert store.keys("policy:*") == store.keys("customer:*") == []


def test_a_relation_of_another_type_stops_the_whole_binding(store: Redis) -> None:
    member = create()
    store.rpush("customer:CUST004:policies", "broken")
    with pytest.raises(Conflict):
        bind(member)
    assert store.keys("policy:*") == []
    assert listed(store) == [member]


def test_a_leap_day_binds_to_the_end_of_february(store: Redis) -> None:
    policy = quotes.bind(*create().split(":"), {}, effective=date(2028, 2, 29), by="AG001")
    assert policies.get(store, *policy.split(":")).expires == date(2029, 2, 28)


# -- the board


@pytest.fixture
def board(store: Redis) -> dict[str, str]:
    return {
        "high": create(risk_level="HIGH"),
        "auto": create(customer="CUST002"),
        "houston": create(agent="AG002", risk_level="LOW"),
        "home": create("home"),
        "life": create("life", agent=""),
    }


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(), ["high", "auto", "houston", "home", "life"]),
        (Filter(product="auto"), ["high", "auto", "houston"]),
        (Filter(agent="AG001"), ["high", "auto", "home"]),
        (Filter(agent="AG001", product="auto", risk="HIGH"), ["high"]),
        (Filter(agent="AG009"), []),
        (Filter(customer="CUST002"), ["auto"]),
        (Filter(customer="CUST004", risk="LOW"), ["houston"]),
        (Filter(risk="NONE"), ["auto", "home", "life"]),
        (Filter(risk="HIGH", product="home"), []),
    ],
)
def test_the_board_shows_what_fits_its_filters(
    store: Redis, board: dict[str, str], wanted: Filter, names: list[str]
) -> None:
    assert listed(store, wanted) == [board[name] for name in names]


def test_the_board_shows_what_its_reader_may_see(store: Redis, board: dict[str, str]) -> None:
    assert listed(store, scope=DALLAS) == [board[name] for name in ("high", "auto", "home", "life")]
    assert listed(store, scope=NO_LIFE) == [board[name] for name in ("high", "auto", "houston", "home")]
    assert listed(store, Filter(agent="AG002"), DALLAS) == []
    assert listed(store, Filter(product="life"), NO_LIFE) == []
    counted = quotes.counts(store, DALLAS)
    assert (counted.products, counted.high_risk, counted.total) == ({"auto": 2, "home": 1, "life": 1}, 1, 4)
    assert (counted.within_minute, counted.within_five) == (0, 2)


def test_a_quote_that_ends_leaves_the_board_before_anybody_sweeps(store: Redis, board: dict[str, str]) -> None:
    """Its entry is still there; the time has passed."""
    for name in store.keys(f"quote:{board['high']}*"):
        store.pexpire(name, 1)
    time.sleep(0.01)
    assert board["high"] not in listed(store)


def test_quotes_that_vanished_are_taken_out_and_the_page_is_filled(store: Redis) -> None:
    members = [create() for _ in range(6)]
    for member in members[:3]:
        store.delete(f"quote:{member}")
    page = quotes.listing(store, EVERYTHING, Filter(), size=2)
    assert [quote.id for quote in page.rows] == members[3:5]
    assert page.total == 3


def test_a_quote_prolonged_by_another_tool_moves_on_the_board(store: Redis, board: dict[str, str]) -> None:
    store.expire(f"quote:{board['high']}", 7_200)
    quotes.refresh(store, [board["high"]])
    assert listed(store)[-1] == board["high"]


def test_what_has_expired_is_taken_out_and_listed_among_the_ended(store: Redis, board: dict[str, str]) -> None:
    store.pexpire(f"quote:{board['auto']}", 1)
    time.sleep(0.01)
    assert quotes.refresh(store, [board["auto"]]) == 1
    assert board["auto"] not in [quote.id for quote in quotes.listing(store, EVERYTHING, Filter()).rows]
    assert [each.id for each in lapsed.listing(store, EVERYTHING, lapsed.Filter()).rows] == [board["auto"]]


def test_own_writes_leave_the_index_as_a_refresh_would(store: Redis, board: dict[str, str]) -> None:
    extend(board["auto"])
    withdraw(board["home"])
    assert quotes.refresh(store, list(board.values())) == 0


def test_the_keys_of_a_quote_are_shown_as_stored(store: Redis) -> None:
    by_other_tools(store, LIFE_QUOTE)
    names = {key.name for key in quotes.stored_as(store, get(store, "life:Q001"))}
    assert {"quote:life:Q001", "quote:life:Q001:premium_monthly", "underwriting:medical_exam:Q001"} <= names


def test_days_of_a_policy_begin_when_they_are_told_to(store: Redis) -> None:
    tomorrow = clock.today() + timedelta(days=1)
    policy = quotes.bind(*create().split(":"), {}, effective=tomorrow, by="AG001")
    assert policies.get(store, *policy.split(":")).state == "FUTURE"
