"""The sample book: the document's own data, live, beside nobody else's, and safe to load again."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dashboard import accounts, clock, keys, sample, things
from dashboard.repository import (
    archive,
    claims,
    drift,
    lapsed,
    lockouts,
    metrics,
    periods,
    places,
    policies,
    quotes,
    security,
    sessions,
)
from dashboard.repository import store as recording
from dashboard.repository.agents import Scope
from dashboard.repository.reindex import reconcile
from tests import cast
from tests.contents import contents, indexes

ALL = Scope()

AS_WRITTEN = {
    "policy:auto:100001:details": "2020 Toyota Camry LE - John Smith - $1,200 premium",
    "policy:auto:100001:status": "ACTIVE",
    "policy:auto:100001:premium": "1200",
    "policy:auto:100001:customer": "CUST001",
    "policy:auto:100001:agent": "AG001",
    "policy:auto:100001:vehicle_vin": "1HGBH41JXMN109186",
    "policy:auto:100001:coverage_limits": "100/300/50",
    "policy:auto:100001:deductible": "500",
    "policy:home:200001:details": "123 Main St Dallas TX - Jane Doe - $800 premium",
    "policy:home:200001:customer": "CUST002",
    "policy:home:200001:property_address": "123 Main St, Dallas TX 75201",
    "policy:home:200001:property_value": "350000",
    "policy:home:200001:coverage_type": "FULL_REPLACEMENT",
    "location:dallas:75201:policies": "home:200001,auto:100001",
    "location:dallas:75201:risk_score": "750",
    "customer:CUST001:profile": "John Smith|DOB:1985-03-15|Phone:555-0123|Email:john.smith@email.com",
    "customer:CUST001:address": "456 Oak St, Dallas TX 75201",
    "customer:CUST001:credit_score": "720",
    "customer:CUST001:customer_since": "2018-05-20",
    "customer:CUST001:policies": "auto:100001,home:200001",
    "customer:CUST001:policy_count": "2",
    "customer:CUST001:total_premium": "2000",
    "customer:CUST001:login_count": "147",
    "quote:auto:Q001": "Honda Civic 2023 - Customer: CUST004 - Premium: $950/year",
    "quote:auto:Q002:coverage_type": "PREMIUM",
    "quote:life:Q001": "Term Life $500K 20Y - Customer: CUST008 - Premium: $45/month",
    "quote:life:Q001:medical_exam_required": "yes",
    "quote:auto:Q010": "High-risk driver - Sports car - Premium: $3,500/year",
    "quote:auto:Q010:risk_level": "HIGH",
    "underwriting:assessment:Q001": "Age: 35, Health: Good, Smoker: No, Risk: Low",
    "session:customer:CUST001:device": "Chrome 115.0|Windows 10",
    "session:customer:CUST004:activity_level": "vip",
    "session:mobile:CUST001:device123": "iPhone 12|iOS 15.0|app_version:2.1.0",
    "session:tablet:CUST001:device456": "iPad Pro|iOS 15.0|app_version:2.1.0",
    "session:agent:AG001:branch_access": "dallas,fort_worth",
    "session:agent:AG001:quotes_today": "8",
    "claim:temp:CLM003": "Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500",
    "claim:temp:CLM003:location": "I-35 and Main St, Dallas TX",
    "security:lockout:CUST001:level2": "5_attempts",
    "security:2fa:CUST001:code789": "123456",
    "compliance:review:policy:auto:100001": "Pending regulatory review",
}
"""The customer's document, key for key."""

LIFETIMES = {
    "quote:auto:Q001": 300, "quote:auto:Q001:created": 300, "quote:auto:Q002": 900, "quote:life:Q001": 1_800,
    "quote:auto:Q010": 180, "quote:auto:Q010:risk_level": 180, "quote:auto:Q011": 300, "quote:auto:Q012": 600,
    "underwriting:assessment:Q001": 3_600, "claim:temp:CLM003": 604_800, "claim:temp:CLM003:reporter": 604_800,
    "security:failed_logins:CUST001": 300, "security:lockout:CUST001:level1": 900,
    "security:lockout:CUST001:level3": 86_400, "security:password_reset:CUST001:token123": 900,
    "compliance:review:policy:auto:100001": 2_592_000,
}  # fmt: skip


@pytest.fixture
def agents(db: None, store: Redis) -> None:
    cast.accounts_made()
    accounts.sync_directory()


@pytest.fixture
def loaded(store: Redis, agents: None) -> Redis:
    sample.load(store)
    return store


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("load_sample", *arguments, stdout=out)
    return out.getvalue()


# -- what is in it


def test_what_the_document_writes_is_there_as_it_writes_it(loaded: Redis) -> None:
    assert {name: loaded.get(name) for name in AS_WRITTEN} == AS_WRITTEN


def test_groups_of_customers_are_the_documents(loaded: Redis) -> None:
    assert loaded.smembers("segment:high_risk") == {"CUST001", "CUST003", "CUST007"}
    assert loaded.smembers("tier:platinum") == {"CUST001", "CUST005"}
    assert loaded.smembers("customer:multi_policy") == {"CUST001", "CUST002", "CUST005"}


def test_lifetimes_begin_now_and_are_the_documents(loaded: Redis) -> None:
    left = {name: loaded.ttl(name) for name in LIFETIMES}
    assert all(seconds - 5 <= left[name] <= seconds for name, seconds in LIFETIMES.items()), left


def test_the_gaps_of_the_document_are_kept(loaded: Redis) -> None:
    assert not loaded.exists("policy:home:200001:agent", "policy:home:200001:expiration_date")
    assert not loaded.keys("customer:CUST010:*")
    assert not loaded.exists("quote:auto:Q010:customer")


def test_every_kind_of_key_that_the_document_has_is_there(loaded: Redis) -> None:
    ours = {name for name, family in keys.CATALOGUE.items() if "(ours)" in family.meaning}
    wanted = {name for name, family in keys.CATALOGUE.items() if not family.pattern.startswith("dash:")}
    found = {keys.parse(name).family for name in loaded.keys("*")}  # type: ignore[union-attr]
    missing = {name for name in wanted if keys.CATALOGUE[name] not in found}
    assert missing == ours


def test_every_key_has_the_type_and_a_lifetime_where_the_catalogue_says_so(loaded: Redis) -> None:
    for name in loaded.keys("*"):
        found = keys.parse(name)
        assert found, name
        assert loaded.type(name) == found.family.kind, name
        stays = ("CLM001", "CLM002", "CLM007", "CLM010", "CLM011", "CLM012")
        decided = found.parts.get("claim") in stays
        if not name.startswith("dash:"):
            assert (loaded.ttl(name) > 0) == (found.family.lives is not None and not decided), name


def test_the_examination_outlives_its_own_appointment(loaded: Redis) -> None:
    name = keys.underwriting_exam("Q001")
    appointment = loaded.get(name).removeprefix("Scheduled for ")  # type: ignore[union-attr]
    assert clock.iso(clock.moment(loaded.pexpiretime(name))) == appointment


def test_a_payment_is_kept_to_the_day_seven_years_from_now(loaded: Redis) -> None:
    ends = clock.moment(loaded.pexpiretime(keys.payment_audit("TXN001")))
    assert ends.date() == clock.years_later(clock.now().date(), 7)


def test_customers_hold_what_their_lists_say_but_for_the_documents_own_contradiction(loaded: Redis) -> None:
    held: dict[str, set[str]] = {}
    for row in policies.listing(loaded, ALL, policies.Filter(), size=100).rows:
        held.setdefault(row.customer or "", set()).add(row.id)
    for customer in sample.NAMES:
        listed = set((loaded.get(keys.customer_field(customer, "policies")) or "").split(","))
        assert listed - held[customer] == ({"home:200001"} if customer == "CUST001" else set())
        assert held[customer] <= listed
        assert loaded.sismember("customer:multi_policy", customer) == (len(listed) > 1)


def test_figures_of_departments_and_agents_add_up_to_the_companys(loaded: Redis) -> None:
    for on in (clock.today(), clock.today() - timedelta(days=1)):
        found = metrics.day(loaded, on, agents=["AG001", "AG002", "AG003"])
        for metric in metrics.DAILY:
            total = getattr(found.company, metric)
            assert sum(getattr(row, metric) for row in found.departments.values()) == total
            assert sum(getattr(row, metric) for row in found.agents.values()) == total
        assert metrics.agents_with_figures(loaded, on) == {"AG001", "AG002", "AG003"}


# -- what the pages see


def test_lists_show_all_of_it(loaded: Redis) -> None:
    assert policies.listing(loaded, ALL, policies.Filter()).total == 12
    assert quotes.listing(loaded, ALL, quotes.Filter()).total == 12
    stages = {column.stage: column.total for column in claims.pipeline(loaded, ALL, claims.Filter())}
    assert stages == {
        "reported": 4, "investigating": 3, "waiting": 1, "approved": 2, "paid": 1, "denied": 1, "closed": 1,
    }  # fmt: skip
    assert claims.counts(loaded, ALL, claims.Filter(), claims.LAPSED) == {"lapsed": 1}
    assert claims.escalations(loaded, ALL) == claims.Escalations(critical=1, urgent=2)
    assert [load.adjuster for load in claims.workloads(loaded)] == ["ADJ001", "ADJ002", "ADJ003"]
    assert drift.listing(loaded).total == 1
    assert [where.zip for where, _ in places.drifting(loaded).rows] == ["76109"]
    assert [row.number for row in lapsed.listing(loaded, ALL, lapsed.Filter()).rows] == ["Q013", "Q014", "Q015"]
    assert sessions.listing(loaded, sessions.Filter()).total == 9
    assert [lock.account for lock in security.locks(loaded).rows] == ["CUST001"]
    assert policies.expiring(loaded, ALL).total == 3


def test_nothing_in_it_is_unreadable_to_the_pages(loaded: Redis) -> None:
    rows = [
        *policies.listing(loaded, ALL, policies.Filter(), size=50).rows,
        *quotes.listing(loaded, ALL, quotes.Filter()).rows,
        *(row for column in claims.pipeline(loaded, ALL, claims.Filter()) for row in column.rows),
        *sessions.listing(loaded, sessions.Filter()).rows,
    ]
    assert [row.problems for row in rows if row.problems] == []


def test_a_claim_of_each_stage_can_be_carried_on(loaded: Redis) -> None:
    claims.approve("CLM009", Decimal(7_300), by="SUP001")
    claims.close("CLM010", by="AG001")
    claims.reopen("CLM011", "Another bill", by="SUP001")
    claims.deny("CLM012", "The same as before", by="AG002")
    claims.restore("CLM013", by="AG003")
    claims.assign("CLM014", "ADJ001", by="AG001")
    stages = [claims.get(loaded, f"CLM{number:03}").stage for number in range(9, 15)]
    assert stages == ["approved", "closed", "investigating", "denied", "reported", "investigating"]
    assert claims.get(loaded, "CLM012").deadline is None


def test_quotes_of_every_age_are_on_the_board(loaded: Redis) -> None:
    board = quotes.listing(loaded, ALL, quotes.Filter()).rows
    shares = sorted(((row.deadline or 0) - clock.now_ms()) / row.lifetime for row in board)
    assert shares[0] < 0.7 < 0.97 < shares[-1]
    after_ten_minutes = [row for row in board if (row.deadline or 0) > clock.now_ms() + 10 * clock.MINUTE]
    assert len(after_ten_minutes) >= 5


def test_the_index_is_what_reindexing_makes_of_it(loaded: Redis) -> None:
    before = indexes(loaded)
    done = reconcile(loaded)
    assert (done.written, done.removed) == (0, 0)
    reconcile(loaded, thorough=True)
    assert indexes(loaded) == before


def test_new_numbers_go_on_behind_those_of_the_sample(loaded: Redis) -> None:
    assert recording.next_number("policy-auto", 100_001) == 100_008
    assert recording.next_number("policy-home", 200_001) == 200_004
    assert recording.next_number("quote", 1) == 16
    assert recording.next_number("claim", 1) == 15


# -- loading it again


def test_loading_twice_changes_nothing(loaded: Redis) -> None:
    before = contents(loaded)
    again = sample.load(loaded)
    after = contents(loaded)
    assert not again.new
    assert {name for name in after if after[name] != before.get(name)} <= {keys.book("sample")}


def test_what_has_ended_comes_back(loaded: Redis) -> None:
    loaded.delete(*(keys.quote_keys("auto", "Q001")), *keys.portal_keys("CUST003"))
    assert sample.load(loaded).new == {"quotes": 1, "sessions": 1}
    assert quotes.get(loaded, "auto", "Q001").agent == "AG001"
    assert sessions.listing(loaded, sessions.Filter()).total == 9


def test_a_bound_quote_begins_anew_and_its_policy_stays(loaded: Redis) -> None:
    policy = quotes.bind("auto", "Q001", {}, effective=clock.today(), by="AG001")
    sample.load(loaded)
    assert quotes.get(loaded, "auto", "Q001").extensions == 0
    assert not loaded.exists(keys.quote_outcome("auto", "Q001"))
    assert policies.get(loaded, *policy.split(":")).quote == "Q001"


def test_a_quote_comes_back_while_its_examination_is_still_to_come(loaded: Redis) -> None:
    appointment = loaded.get(keys.underwriting_exam("Q001"))
    loaded.delete(*keys.quote_keys("life", "Q001"), keys.underwriting_assessment("Q001"))
    assert sample.load(loaded).new == {"quotes": 1}
    assert quotes.get(loaded, "life", "Q001").customer == "CUST008"
    assert loaded.get(keys.underwriting_exam("Q001")) == appointment


def test_an_open_quote_keeps_the_time_it_has(loaded: Redis) -> None:
    deadline = quotes.extend("auto", "Q001", by="AG001")
    sample.load(loaded)
    assert loaded.pexpiretime(keys.quote("auto", "Q001")) == deadline


def test_what_somebody_changed_stays_changed(loaded: Redis) -> None:
    loaded.set("policy:auto:100001:premium", "1350")
    loaded.delete("policy:auto:100001:deductible")
    loaded.incrby(keys.daily_metric(clock.today().isoformat(), "policies_sold"), 4)
    sample.load(loaded)
    assert loaded.get("policy:auto:100001:premium") == "1350"
    assert not loaded.exists("policy:auto:100001:deductible")
    assert loaded.get(keys.daily_metric(clock.today().isoformat(), "policies_sold")) == "19"


def test_nobody_who_is_signed_in_loses_their_session(store: Redis, agents: None) -> None:
    staff = sessions.Staff("AG001", "dallas", ["create_quotes"], ["dallas"], ["auto"], "Firefox", "127.0.0.1")
    sessions.open_workstation(staff, "nonce")
    sample.load(store)
    assert sessions.check(store, "AG001", "nonce").lives
    assert store.get(keys.workstation_field("AG001", "product_access")) == "auto"


def test_a_session_that_an_admin_ended_does_not_come_back(loaded: Redis) -> None:
    sessions.revoke(["agent:AG002:workstation"], by="ADM001")
    sample.load(loaded)
    assert not loaded.exists(keys.workstation("AG002"))


def test_a_claim_that_went_on_is_not_reported_again(loaded: Redis) -> None:
    claims.assign("CLM003", "ADJ001", by="AG001")
    claims.deny("CLM005", "No cover", by="AG001")
    loaded.delete(*keys.claim_temp_keys("CLM003"), *keys.investigation_keys("CLM003"))
    sample.load(loaded)
    assert not loaded.exists(keys.claim_temp("CLM003"), keys.claim_temp("CLM005"))
    assert claims.get(loaded, "CLM005").stage == "denied"


def test_a_load_that_was_stopped_is_finished_by_the_next(
    loaded: Redis, agents: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contents(loaded)
    loaded.flushall()
    accounts.sync_directory()
    written = 0

    def stop_half_way(client: Redis, thing: things.Thing) -> None:
        nonlocal written
        written += 1
        if written == 40:
            raise KeyboardInterrupt
        write(client, thing)

    write = things.write_one
    with monkeypatch.context() as patch:
        patch.setattr(things, "write_one", stop_half_way)
        with pytest.raises(KeyboardInterrupt):
            sample.load(loaded)
    assert run().startswith("Accounts")
    assert contents(loaded).keys() == whole.keys()


# -- whose store it is


def test_the_command_makes_the_accounts_and_the_book(store: Redis, db: None) -> None:
    told = run()
    assert "AG001, AG002, AG003, SUP001, ADM001" in told
    assert "12 policies" in told
    assert get_user_model().objects.count() == 5
    assert store.hgetall(keys.agents()) == {"AG001": "dallas", "AG002": "houston", "AG003": "fort_worth"}
    assert "nothing, all of it is there" in run()


def test_accounts_only_writes_no_book(store: Redis, db: None) -> None:
    store.set("policy:auto:7:status", "ACTIVE")
    run("--accounts-only")
    assert set(store.keys("*")) == {"policy:auto:7:status", keys.agents()}
    assert get_user_model().objects.count() == 5


@pytest.mark.parametrize("name", ["policy:auto:7:status", "customer:X:profile", "metrics:of:another:kind", "anything"])
def test_a_store_with_data_of_its_own_is_refused(store: Redis, db: None, name: str) -> None:
    store.set(name, "theirs")
    with pytest.raises(CommandError, match="data of its own"):
        run()
    assert set(store.keys("*")) == {name}
    assert not get_user_model().objects.exists()


def test_signing_in_before_does_not_make_it_somebodys(store: Redis, agents: None) -> None:
    staff = sessions.Staff("AG001", "dallas", [], [], [], "Firefox", "127.0.0.1")
    sessions.open_workstation(staff, "nonce")
    lockouts.begin("AG001")
    assert things.may_write(store, things.SAMPLE)


def test_force_adds_it_beside_what_is_there_and_replaces_nothing(store: Redis, db: None) -> None:
    store.set("policy:auto:100001:status", "CANCELLED")
    store.set("customer:X:profile", "theirs")
    told = run("--force")
    assert "11 policies" in told
    assert "Left as they are: 1 policies" in told
    assert store.keys("policy:auto:100001:*") == ["policy:auto:100001:status"]
    assert store.get("policy:auto:100001:status") == "CANCELLED"


def test_no_store_is_one_clear_line(db: None, settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.management.store.redis.client", lambda: Redis(port=1, retry=Retry(NoBackoff(), 0)))
    monkeypatch.setattr("dashboard.management.store.store_running", _nothing)
    with pytest.raises(CommandError, match="does not answer"):
        run()


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_trends_are_not_empty_and_longer_periods_are_sums_of_shorter_ones(loaded: Redis) -> None:
    for kind in periods.KINDS:
        found = archive.statements(
            loaded, kind, ["company", "product=auto", "product=home", "product=life", "agent=AG001"]
        )
        assert len(found) >= archive.SHOWN[kind] - 1
        for each in found[:-1]:
            departments = [row.revenue or 0 for row in each.departments.values()]
            assert each.company.revenue == sum(departments)
            assert (each.agents["AG001"].revenue or 0) <= (each.company.revenue or 0)
    months = {each.period.name: each.company for each in archive.statements(loaded, "monthly", ["company"])}
    for quarter in archive.statements(loaded, "quarterly", ["company"])[1:-1]:
        inside = [row for name, row in months.items() if periods.of("quarterly", _first(name)) == quarter.period]
        assert sum(row.revenue or 0 for row in inside) == quarter.company.revenue


def _first(month: str) -> date:
    return date.fromisoformat(f"{month}-01")
