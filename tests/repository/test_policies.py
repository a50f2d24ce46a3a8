"""Policies: read in both layouts, listed for who may see them, and changed with all that follows from it in one step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Invalid, NotFound
from dashboard.repository import agents, audit, customers, policies
from dashboard.repository.agents import Scope
from dashboard.repository.policies import INDEX, Filter, Policy
from dashboard.repository.store import change
from tests import document
from tests.document import AUTO, CUSTOMER, HASH, HOME

EVERYTHING = Scope()
DALLAS = Scope(frozenset({"dallas"}))
NO_LIFE = Scope(None, frozenset({"auto", "home"}))
BRANCHES = {"AG001": "dallas", "AG002": "houston", "AG003": "fort_worth"}


@pytest.fixture(autouse=True)
def directory(store: Redis) -> None:
    agents.save(store, BRANCHES)


def by_other_tools(store: Redis, commands: str) -> None:
    """Run commands as redis-cli would, and let the index hear of them as the follower lets it."""
    document.run(store, commands)
    heard = [parsed.subject for name in store.keys("policy:*") if (parsed := keys.parse(name))]
    policies.refresh(store, sorted(subject for subject in set(heard) if subject))


def create(product: str = "auto", **facts: Any) -> str:
    standing: dict[str, Any] = {
        "status": "ACTIVE",
        "premium": Decimal(1200),
        "customer": "CUST001",
        "agent": "AG001",
        "effective_date": clock.today(),
        "expiration_date": clock.today() + timedelta(days=365),
    }
    return policies.create(policies.facts_of(**{**standing, **facts}), product, by="AG001")


def get(store: Redis, member: str) -> Policy:
    return policies.get(store, *member.split(":"))


def edit(store: Redis, member: str, **facts: Any) -> str:
    seen = get(store, member).seen
    return policies.edit(*member.split(":"), policies.facts_of(**facts), seen=seen, by="AG002")


def listed(store: Redis, wanted: Filter | None = None, scope: Scope = EVERYTHING, **order: Any) -> list[str]:
    page = policies.listing(store, scope, wanted or Filter(), **order)
    assert page.total == len(page.rows) or page.next or page.previous
    return [policy.id for policy in page.rows]


def field(store: Redis, member: str, name: str) -> str | None:
    return store.get(keys.policy_field(*member.split(":"), name))


def history(store: Redis, member: str) -> list[str]:
    return [record.text for record in audit.history(store, audit.POLICY, *member.split(":"))]


# -- what other tools wrote


def test_a_policy_as_the_document_writes_it_is_read_whole(store: Redis) -> None:
    by_other_tools(store, AUTO + CUSTOMER)
    policy = get(store, "auto:100001")
    assert (policy.layout, policy.status, policy.premium, policy.customer, policy.agent) == (
        "strings",
        "ACTIVE",
        1200,
        "CUST001",
        "AG001",
    )
    assert (policy.effective, policy.expires) == (date(2024, 1, 15), date(2025, 1, 15))
    assert (policy.vin, policy.coverage_limits, policy.deductible) == ("1HGBH41JXMN109186", "100/300/50", 500)
    assert (policy.subject, policy.branch, policy.problems) == ("2020 Toyota Camry LE", "dallas", ())
    assert listed(store) == ["auto:100001"]
    assert policies.listing(store, EVERYTHING, Filter()).rows[0].customer_name == "John Smith"


def test_trap_3_a_policy_in_one_hash_is_read_like_one_in_strings(store: Redis) -> None:
    by_other_tools(store, HASH)
    policy = get(store, "auto:100001")
    assert (policy.layout, policy.customer, policy.premium, policy.status, policy.agent) == (
        "hash",
        "CUST001",
        1200,
        "ACTIVE",
        "AG001",
    )
    assert listed(store, Filter(status="ACTIVE", agent="AG001")) == ["auto:100001"]
    assert [(key.name, key.type) for key in policies.stored_as(store, policy)] == [("policy:auto:100001", "hash")]


def test_trap_8_a_policy_without_agent_and_dates_is_valid_and_seen_by_every_branch(store: Redis) -> None:
    by_other_tools(store, HOME)
    policy = get(store, "home:200001")
    assert (policy.agent, policy.branch, policy.effective, policy.expires, policy.days_left) == (
        None,
        "",
        None,
        None,
        None,
    )
    assert (policy.state, policy.property_value, policy.problems) == ("ACTIVE", 350000, ())
    assert listed(store, scope=DALLAS) == ["home:200001"]
    assert listed(store, Filter(zip="75201")) == ["home:200001"]


def test_trap_9_an_active_policy_past_its_end_shows_as_expired_beside_what_is_stored(store: Redis) -> None:
    by_other_tools(store, AUTO)
    policy = get(store, "auto:100001")
    assert (policy.status, policy.state) == ("ACTIVE", "EXPIRED")


@pytest.mark.parametrize(
    ("status", "starts", "ends", "state"),
    [
        ("ACTIVE", -10, 0, "ACTIVE"),
        ("ACTIVE", -10, -1, "EXPIRED"),
        ("ACTIVE", 1, 10, "FUTURE"),
        ("CANCELLED", -10, -1, "CANCELLED"),
        ("odd", -10, 10, "odd"),
        (None, -10, 10, "UNKNOWN"),
    ],
)
def test_trap_9_the_dates_make_the_status(store: Redis, status: str | None, starts: int, ends: int, state: str) -> None:
    today = clock.today()
    dates = {"effective_date": today + timedelta(starts), "expiration_date": today + timedelta(ends)}
    assert get(store, create(status=status, **dates)).state == state


def test_a_policy_that_does_not_exist_is_not_found(store: Redis) -> None:
    with pytest.raises(NotFound):
        policies.get(store, "auto", "100001")


# -- broken values


@pytest.mark.parametrize(
    ("name", "command", "what"),
    [
        ("premium", ("SET", "lots"), "is not an amount: lots"),
        ("expiration_date", ("SET", "soon"), "is not a date: soon"),
        ("customer", ("SET", "CUST 1"), "is not an identifier: CUST 1"),
        ("status", ("RPUSH", "ACTIVE"), "holds a list, not a text"),
        ("vehicle", ("SET", b"caf\xe9"), "is not valid UTF-8"),
        ("details", ("SET", "x" * 1_000_000), "is 1,000,000 characters long"),
        ("agent", ("HSET", "a", "b"), "holds a hash, not a text"),
    ],
)
def test_a_broken_value_is_named_and_the_rest_stands(
    store: Redis, name: str, command: tuple[Any, ...], what: str
) -> None:
    by_other_tools(store, AUTO)
    key = keys.policy_field("auto", "100001", name)
    store.delete(key)
    store.execute_command(command[0], key, *command[1:])
    policies.refresh(store, ["auto:100001"])
    policy = get(store, "auto:100001")
    assert [(problem.key, problem.what) for problem in policy.problems] == [(key, what)]
    assert policy.deductible == 500
    assert listed(store) == ["auto:100001"]


@pytest.mark.parametrize("command", ["SET policy:auto:100001 text", "RPUSH policy:auto:100001 item"])
def test_a_root_of_another_type_is_named(store: Redis, command: str) -> None:
    by_other_tools(store, command)
    policy = get(store, "auto:100001")
    assert [problem.key for problem in policy.problems] == ["policy:auto:100001"]
    assert listed(store) == ["auto:100001"]


def test_a_broken_value_is_mended_by_an_edit(store: Redis) -> None:
    by_other_tools(store, AUTO)
    store.delete("policy:auto:100001:premium")
    store.rpush("policy:auto:100001:premium", "broken")
    edit(store, "auto:100001", premium=Decimal(1300))
    assert field(store, "auto:100001", "premium") == "1300"
    assert get(store, "auto:100001").problems == ()


# -- a new one


def test_a_new_policy_is_written_as_the_document_writes_one(store: Redis) -> None:
    by_other_tools(store, CUSTOMER)
    store.delete(keys.customer_field("CUST001", "policies"), keys.customer_field("CUST001", "total_premium"))
    member = create(vehicle="2020 Toyota Camry LE", deductible=Decimal(500), coverage_limits="100/300/50")
    assert member == "auto:100001"
    assert field(store, member, "details") == "2020 Toyota Camry LE - John Smith - $1,200 premium"
    assert field(store, member, "premium") == "1200"
    assert {store.ttl(name) for name in store.keys("policy:*")} == {-1}
    assert store.mget(
        "customer:CUST001:policies", "customer:CUST001:policy_count", "customer:CUST001:total_premium"
    ) == [
        "auto:100001",
        "1",
        "1200",
    ]
    assert history(store, member) == ["Created by AG001: 2020 Toyota Camry LE - John Smith - $1,200 premium"]
    assert listed(store) == [member]


def test_a_new_home_stands_in_its_area_too(store: Redis) -> None:
    by_other_tools(store, HOME)
    member = create("home", property_address="9 Elm St, Dallas TX 75201")
    assert store.get("location:dallas:75201:policies") == f"home:200001,auto:100001,{member}"
    assert set(listed(store, Filter(zip="75201"))) == {"home:200001", member}


def test_a_new_policy_never_takes_a_number_that_is_taken(store: Redis) -> None:
    by_other_tools(store, AUTO + HASH.replace("100001", "100002"))
    store.set("policy:auto:100003:status", "ACTIVE")
    assert create() == "auto:100004"


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({"vehicle": "a|b"}, ["vehicle"]),
        ({"customer": "CUST 1"}, ["customer"]),
        ({"agent": "A:1"}, ["agent"]),
        ({"effective_date": date(2026, 2, 1), "expiration_date": date(2026, 1, 1)}, ["expiration_date"]),
    ],
)
def test_facts_that_would_break_the_keys_or_the_texts_are_refused(
    store: Redis, facts: Mapping[str, Any], names: list[str]
) -> None:
    with pytest.raises(Invalid) as raised:
        create(**facts)
    assert list(raised.value.fields) == names
    assert store.keys("policy:*") == store.keys("audit:*") == []


# -- an edit


def test_an_edit_is_recorded_with_before_and_after_in_the_same_step(store: Redis) -> None:
    by_other_tools(store, AUTO + CUSTOMER)
    words = edit(store, "auto:100001", premium=Decimal(1350))
    assert words.startswith("Premium updated from 1200 to 1350")
    assert history(store, "auto:100001")[0].startswith("Premium updated from 1200 to 1350")
    assert history(store, "auto:100001")[0].endswith(" by AG002")


def test_trap_7_the_line_of_details_is_made_anew_and_recorded(store: Redis) -> None:
    by_other_tools(store, AUTO + CUSTOMER)
    edit(store, "auto:100001", premium=Decimal(1350))
    line = "2020 Toyota Camry LE - John Smith - $1,350 premium"
    assert field(store, "auto:100001", "details") == line
    assert line in history(store, "auto:100001")[0]


def test_trap_7_totals_that_were_wrong_before_move_by_the_difference_only(store: Redis) -> None:
    by_other_tools(store, AUTO + CUSTOMER)
    edit(store, "auto:100001", premium=Decimal(1350))
    assert store.get("customer:CUST001:total_premium") == "2150"
    assert store.get("customer:CUST001:policies") == "auto:100001,home:200001"


def test_an_edit_of_a_policy_in_a_hash_keeps_the_hash(store: Redis) -> None:
    by_other_tools(store, HASH)
    edit(store, "auto:100001", premium=Decimal(1350), agent="")
    assert store.keys("policy:*") == ["policy:auto:100001"]
    content = store.hgetall("policy:auto:100001")
    assert (content["premium"], content["customer"], "agent" in content) == ("1350", "CUST001", False)
    assert get(store, "auto:100001").premium == 1350


def test_an_edit_that_changes_nothing_writes_nothing(store: Redis) -> None:
    by_other_tools(store, AUTO)
    before = {name: store.dump(name) for name in store.keys("*")}
    assert edit(store, "auto:100001", premium=Decimal(1200), status="ACTIVE") == "Nothing was changed."
    assert {name: store.dump(name) for name in store.keys("*")} == before


def test_a_field_can_be_taken_away(store: Redis) -> None:
    by_other_tools(store, AUTO)
    edit(store, "auto:100001", deductible=None)
    assert field(store, "auto:100001", "deductible") is None


def test_an_edit_moves_the_policy_between_the_lists(store: Redis) -> None:
    member = create()
    edit(store, member, status="CANCELLED", agent="AG002", customer="CUST002")
    assert listed(store, Filter(status="ACTIVE")) == listed(store, Filter(agent="AG001")) == []
    assert listed(store, scope=DALLAS) == listed(store, Filter(customer="CUST001")) == []
    assert listed(store, Filter(status="CANCELLED", agent="AG002")) == [member]
    assert customers.get(store, "CUST002").id == "CUST002"
    assert store.mget("customer:CUST001:policies", "customer:CUST002:policies") == ["", member]


def test_an_edit_on_an_older_state_is_a_conflict(store: Redis) -> None:
    member = create()
    seen = get(store, member).seen
    edit(store, member, premium=Decimal(1300))
    with pytest.raises(Conflict):
        policies.edit(*member.split(":"), {"premium": "1400"}, seen=seen, by="AG001")
    assert field(store, member, "premium") == "1300"


def test_an_edit_that_another_tool_overtakes_is_a_conflict(store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tool writes between our look and our EXEC."""
    member = create()
    relate = customers.relate

    def overtaken(*args: Any, **kwargs: Any) -> None:
        store.set(keys.policy_field(*member.split(":"), "premium"), "1")
        relate(*args, **kwargs)

    monkeypatch.setattr(customers, "relate", overtaken)
    with pytest.raises(Conflict):
        edit(store, member, premium=Decimal(1300))
    assert field(store, member, "premium") == "1"


def test_an_edit_of_what_is_gone_is_not_found(store: Redis) -> None:
    with pytest.raises(NotFound):
        policies.edit("auto", "100001", {"premium": "1"}, seen="", by="AG001")


def test_trap_11_a_relation_of_another_type_stops_the_whole_change(store: Redis) -> None:
    store.hset("customer:CUST001:policies", "a", "b")
    with pytest.raises(Conflict):
        create()
    assert store.keys("policy:*") == store.keys("audit:*") == []


# -- lists


@pytest.fixture
def book(store: Redis) -> dict[str, str]:
    """Five policies of three products, three branches and two customers."""
    store.set(keys.customer_field("CUST002", "address"), "1 Oak St, Austin TX 73301")
    today = clock.today()
    return {
        "auto": create(expiration_date=today + timedelta(days=20)),
        "houston": create(agent="AG002", expiration_date=today + timedelta(days=5)),
        "home": create(
            "home", property_address="9 Elm St, Dallas TX 75201", expiration_date=today + timedelta(days=40)
        ),
        "life": create("life", customer="CUST002", agent="AG003", status="PENDING", expiration_date=None),
        "orphan": create(customer="CUST002", agent="", effective_date=None, expiration_date=today - timedelta(days=3)),
    }


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(), {"auto", "houston", "home", "life", "orphan"}),
        (Filter(product="auto"), {"auto", "houston", "orphan"}),
        (Filter(status="PENDING"), {"life"}),
        (Filter(agent="AG001"), {"auto", "home"}),
        (Filter(agent="AG001", product="home"), {"home"}),
        (Filter(agent="AG009"), set()),
        (Filter(customer="CUST002"), {"life", "orphan"}),
        (Filter(customer="CUST002", product="auto"), {"orphan"}),
        (Filter(zip="75201"), {"home"}),
        (Filter(zip="73301"), {"life", "orphan"}),
        (Filter(zip="73301", agent="AG003"), {"life"}),
        (Filter(zip="73301", status="ACTIVE", product="auto"), {"orphan"}),
        (Filter(within=30), {"auto", "houston"}),
        (Filter(within=0), set()),
        (Filter(within=5), {"houston"}),
        (Filter(within=-1), {"orphan"}),
        (Filter(within=60, agent="AG001", status="ACTIVE"), {"auto", "home"}),
        (Filter(within=60, customer="CUST001", zip="75201"), {"home"}),
    ],
)
def test_a_list_shows_what_fits_its_filters(
    store: Redis, book: dict[str, str], wanted: Filter, names: set[str]
) -> None:
    assert set(listed(store, wanted)) == {book[name] for name in names}
    assert policies.listing(store, EVERYTHING, wanted).total == len(names)


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        (EVERYTHING, {"auto", "houston", "home", "life", "orphan"}),
        (DALLAS, {"auto", "home", "orphan"}),
        (NO_LIFE, {"auto", "houston", "home", "orphan"}),
        (Scope(frozenset()), {"orphan"}),
        (Scope(None, frozenset()), set()),
    ],
)
def test_a_list_shows_what_its_reader_may_see_with_true_totals(
    store: Redis, book: dict[str, str], scope: Scope, names: set[str]
) -> None:
    assert set(listed(store, scope=scope)) == {book[name] for name in names}
    assert policies.listing(store, scope, Filter()).total == len(names)
    assert sum(policies.totals(store, scope, Filter()).values()) == len(names)


def test_no_filter_widens_what_its_reader_may_see(store: Redis, book: dict[str, str]) -> None:
    for wanted in (Filter(agent="AG002"), Filter(agent="AG002", zip="75201"), Filter(status="PENDING")):
        assert listed(store, wanted, DALLAS) == []
    assert listed(store, Filter(product="life"), NO_LIFE) == []
    assert listed(store, Filter(customer="CUST002"), DALLAS) == [book["orphan"]]
    assert policies.totals(store, NO_LIFE, Filter()).keys() == {"auto", "home"}


def test_a_list_is_in_order_of_number_or_expiry_either_way(store: Redis, book: dict[str, str]) -> None:
    by_number = [book[name] for name in ("auto", "houston", "orphan", "home", "life")]
    by_expiry = [book[name] for name in ("orphan", "houston", "auto", "home", "life")]
    assert listed(store) == by_number
    assert listed(store, descending=True) == by_number[::-1]
    assert listed(store, sort="expiry") == by_expiry
    assert listed(store, sort="expiry", descending=True) == by_expiry[::-1]


def test_by_premium_a_year_follows_each_change_and_the_unknown_is_lowest(store: Redis, book: dict[str, str]) -> None:
    for name, premium in (("auto", "900"), ("home", "1200.5"), ("houston", "80"), ("orphan", "oops")):
        store.set(keys.policy_field(*book[name].split(":"), "premium"), premium)
    product, number = book["life"].split(":")
    store.delete(keys.policy_field(product, number, "premium"))
    store.set(keys.policy_field(product, number, "premium_monthly"), "80")
    policies.refresh(store, list(book.values()))
    up = [book[name] for name in ("orphan", "houston", "auto", "life", "home")]
    assert listed(store, sort="premium") == up
    assert listed(store, sort="premium", descending=True) == up[::-1]
    edit(store, book["auto"], premium="5000")
    assert listed(store, sort="premium", descending=True)[0] == book["auto"]


def test_pages_follow_each_other(store: Redis, book: dict[str, str]) -> None:
    first = policies.listing(store, EVERYTHING, Filter(), size=2)
    second = policies.listing(store, EVERYTHING, Filter(), size=2, cursor=first.next)
    assert (first.first, first.last, first.total) == (1, 2, 5)
    assert (second.first, second.last) == (3, 4)
    assert policies.listing(store, EVERYTHING, Filter(), size=2, cursor=second.previous) == first


def test_renewals_are_the_next_to_end_first(store: Redis, book: dict[str, str]) -> None:
    assert [policy.id for policy in policies.expiring(store, EVERYTHING).rows] == [book["houston"], book["auto"]]


# -- the index is a hint


def test_entries_whose_policy_is_gone_are_taken_out_and_the_page_is_filled(store: Redis) -> None:
    members = [create() for _ in range(8)]
    for member in members[:3]:
        store.delete(*keys.policy_keys(*member.split(":")))
    page = policies.listing(store, EVERYTHING, Filter(), size=4)
    assert [policy.id for policy in page.rows] == members[3:7]
    assert page.total == 5
    assert INDEX.known_places(store, members[:3]) == dict.fromkeys(members[:3])


def test_an_entry_that_another_tool_made_untrue_moves_to_where_it_belongs(store: Redis) -> None:
    member, other = create(), create()
    store.set(keys.policy_field(*member.split(":"), "status"), "CANCELLED")
    assert listed(store, Filter(status="ACTIVE")) == [other]
    assert listed(store, Filter(status="CANCELLED")) == [member]


def test_what_does_not_belong_is_not_shown_however_many_there_are(store: Redis) -> None:
    members = [create() for _ in range(10)]
    for member in members:
        store.set(keys.policy_field(*member.split(":"), "agent"), "AG002")
    assert policies.listing(store, DALLAS, Filter(), size=2).rows == []


def test_an_index_that_was_lost_is_made_anew_from_the_policies(store: Redis, book: dict[str, str]) -> None:
    before = listed(store, Filter(zip="73301"), sort="expiry")
    store.delete(*store.keys("dash:index*"))
    assert listed(store) == []
    policies.refresh(store, list(book.values()))
    assert listed(store, Filter(zip="73301"), sort="expiry") == before
    assert policies.refresh(store, list(book.values())) == 0, "nothing is written for what stands"


def test_own_writes_leave_the_index_as_a_refresh_would(store: Redis, book: dict[str, str]) -> None:
    edit(store, book["home"], property_address="1 Oak St, Austin TX 73301", status="LAPSED")
    assert policies.refresh(store, list(book.values())) == 0


def test_a_change_within_a_change_is_one(store: Redis) -> None:
    """As binding a quote does it."""

    def act(draft: Any) -> None:
        policies.add(draft, "auto", policies.facts_of(customer="CUST001", premium=1), by="AG001", why="Bound")
        raise Conflict("Not after all.")

    with pytest.raises(Conflict):
        change(act)
    assert store.keys("policy:*") == store.keys("customer:*") == store.keys("audit:*") == []
