"""The sample book: the customer's document's own data, its clock shifted to now, and enough beside it to look alive.

What stands in the document is taken as it stands, contradictions and gaps included (home:200001 belongs to CUST002
while CUST001 lists it, has no agent and no dates; CUST010 has no profile). The rest is plausible company for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import metrics, periods
from dashboard.things import (
    SAMPLE,
    Findings,
    History,
    Loss,
    Payout,
    Thing,
    Written,
    announce,
    claim,
    daily_key,
    decided_claim,
    device_session,
    figure_keys,
    investigated_claim,
    lapsed_claim,
    lapsed_quote,
    open_quote,
    paid_claim,
    portal_session,
    reopened_claim,
    reported_claim,
    waiting_claim,
    workstation_session,
    write,
)


def load(client: Redis) -> Written:
    """The whole sample into the store. Safe to stop and to repeat: what is there stays, what has ended comes back."""
    now = clock.now()
    client.hset(keys.book(SAMPLE), mapping={"state": "loading", "at": clock.iso(now)})
    written = write(client, list(things(now)))
    client.hset(keys.book(SAMPLE), "state", "loaded")
    announce(client)
    return written


def things(now: datetime) -> Iterator[Thing]:
    """The sample as it stands at `now`."""
    yield from _policies()
    yield from _customers(now)
    yield from _places()
    yield from _quotes(now)
    yield from _sessions(now)
    yield from _claims(now)
    yield from _metrics()
    yield from _security(now)
    yield from _records(now)


# -- policies, lines 5-45 of the document

NAMES = {
    "CUST001": "John Smith", "CUST002": "Jane Doe", "CUST003": "Marisol Vega", "CUST004": "Kevin Tran",
    "CUST005": "Ruth Klein", "CUST006": "Sam Ortiz", "CUST007": "Tyrone Banks", "CUST008": "Omar Aziz",
    "CUST009": "Lena Fox",
}  # fmt: skip
"""CUST010 has quotes but no profile, as in the document."""


def _policies() -> Iterator[Thing]:
    # The document's clock stands at 2024-08-18: its policy began 216 days before.
    auto = _auto("CUST001", "AG001", 1_200, -216, "2020 Toyota Camry LE", "1HGBH41JXMN109186")
    yield _policy("auto", "100001", _without(auto, "vehicle"))
    home = _home("CUST002", "", 800, None, "123 Main St, Dallas TX 75201", 350_000, 1_000)
    yield _policy("home", "200001", {**home, "details": "123 Main St Dallas TX - Jane Doe - $800 premium"})
    yield _policy("auto", "100002", _auto("CUST002", "AG001", 1_085, -342, "2021 Honda Accord EX", "1HGCV1F38MA041287"))
    yield _policy("auto", "100003", _auto("CUST003", "AG002", 1_940, -119, "2019 Ford Mustang GT", "1FA6P8CF9K5127734"))
    yield _policy(
        "auto", "100004", _auto("CUST004", "AG002", 1_310, -356, "2022 Hyundai Elantra SEL", "5NPLM4AG8NH062518")
    )
    # Past its end and still ACTIVE: what is stored outlives the date.
    yield _policy("auto", "100005", _auto("CUST006", "AG003", 990, -389, "2018 Toyota RAV4 XLE", "2T3RFREV1JW708821"))
    yield _policy(
        "auto",
        "100006",
        _auto("CUST007", "AG003", 2_260, -61, "2023 Ram 1500 Laramie", "1C6SRFJT4PN560943", status="SUSPENDED"),
    )
    # One policy in the hash layout (lines 318-330); the others are strings.
    hashed = _auto("CUST005", "AG001", 1_475, -204, "2021 Tesla Model 3", "5YJ3E1EAXMF918402")
    yield Thing("policies", {keys.policy("auto", "100007"): hashed}, traces=keys.policy_keys("auto", "100007"))
    yield _policy(
        "home", "200002", _home("CUST005", "AG001", 1_640, -348, "2210 Swiss Ave, Dallas TX 75204", 515_000, 2_500)
    )
    yield _policy(
        "home", "200003", _home("CUST009", "AG003", 1_215, -90, "3108 Hemphill St, Fort Worth TX 76110", 288_000, 1_500)
    )
    yield _policy("life", "300001", _life("CUST008", "AG003", 38, -412, 250_000, 20))
    yield _policy("life", "300002", _life("CUST005", "AG001", 64, 6, 750_000, 30, status="PENDING"))


def _policy(product: str, number: str, facts: Mapping[str, str]) -> Thing:
    values = {keys.policy_field(product, number, name): value for name, value in facts.items()}
    return Thing("policies", values, traces=keys.policy_keys(product, number))


def _auto(
    customer: str, agent: str, premium: int, begins: int, vehicle: str, vin: str, status: str = "ACTIVE"
) -> dict[str, str]:
    facts = _facts(vehicle, customer, agent, premium, begins, 1, status)
    return {**facts, "vehicle": vehicle, "vehicle_vin": vin, "coverage_limits": "100/300/50", "deductible": "500"}


def _home(
    customer: str, agent: str, premium: int, begins: int | None, address: str, value: int, deductible: int
) -> dict[str, str]:
    facts = _facts(address, customer, agent, premium, begins, 1, "ACTIVE")
    facts |= {"property_address": address, "property_value": str(value), "coverage_type": "FULL_REPLACEMENT"}
    return {**facts, "deductible": str(deductible)}


def _life(
    customer: str, agent: str, monthly: int, begins: int, amount: int, years: int, status: str = "ACTIVE"
) -> dict[str, str]:
    subject = f"Term life ${amount:,}, {years} years"
    facts = _facts(subject, customer, agent, monthly * 12, begins, years, status)
    return {**facts, "premium_monthly": str(monthly), "coverage_amount": str(amount), "term_years": str(years)}


def _facts(
    subject: str, customer: str, agent: str, premium: int, begins: int | None, years: int, status: str
) -> dict[str, str]:
    """`begins`: days from today, None for a policy without dates."""
    facts = {
        "details": f"{subject} - {NAMES[customer]} - ${premium:,} premium",
        "status": status,
        "premium": str(premium),
        "customer": customer,
    }
    if agent:
        facts["agent"] = agent
    if begins is not None:
        effective = clock.today() + timedelta(days=begins)
        facts["effective_date"] = effective.isoformat()
        facts["expiration_date"] = clock.years_later(effective, years).isoformat()
    return facts


def _without(facts: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in facts.items() if key != name}


# -- places and customers, lines 35-79


def _places() -> Iterator[Thing]:
    for city, zip_code, policies, risk in (
        ("dallas", "75201", "home:200001,auto:100001", "750"),
        ("dallas", "75204", "home:200002", "690"),
        ("fort_worth", "76110", "home:200003", "610"),
        # Lists a policy that stands in the area beside it: the list of drift has a place, too.
        ("fort_worth", "76109", "home:200003", "655"),
    ):
        yield Thing(
            "places",
            {keys.location_policies(city, zip_code): policies, keys.location_risk(city, zip_code): risk},
        )


@dataclass(frozen=True)
class _Person:
    id: str
    born: str
    phone: str
    address: str
    risk: int
    credit: int
    since: str
    agent: str
    policies: str
    premium: int
    payment: str = "AUTO_PAY"


_PEOPLE = (
    _Person("CUST001", "1985-03-15", "555-0123", "456 Oak St, Dallas TX 75201", 750, 720, "2018-05-20", "AG001",
            "auto:100001,home:200001", 2_000),
    _Person("CUST002", "1979-11-02", "555-0134", "123 Main St, Dallas TX 75201", 640, 701, "2016-02-11", "AG001",
            "home:200001,auto:100002", 1_885),
    _Person("CUST003", "1998-06-27", "555-0145", "815 W Alabama St, Houston TX 77006", 810, 612, "2022-09-30", "AG002",
            "auto:100003", 1_940, "INVOICE"),
    _Person("CUST004", "1991-01-19", "555-0156", "4402 Bellaire Blvd, Houston TX 77025", 600, 688, "2020-04-06",
            "AG002", "auto:100004", 1_310),
    _Person("CUST005", "1968-08-08", "555-0167", "2210 Swiss Ave, Dallas TX 75204", 410, 795, "2011-10-17", "AG001",
            "auto:100007,home:200002,life:300002", 3_883),
    _Person("CUST006", "1987-12-30", "555-0178", "1616 Park Place Ave, Fort Worth TX 76110", 395, 742, "2017-07-01",
            "AG003", "auto:100005", 990),
    _Person("CUST007", "1995-05-05", "555-0189", "2920 Stadium Dr, Fort Worth TX 76109", 790, 588, "2024-01-22",
            "AG003", "auto:100006", 2_260, "INVOICE"),
    _Person("CUST008", "1989-09-14", "555-0190", "5201 Birchman Ave, Fort Worth TX 76107", 560, 731, "2019-03-03",
            "AG003", "life:300001", 456),
    _Person("CUST009", "1982-04-21", "555-0112", "3108 Hemphill St, Fort Worth TX 76110", 380, 768, "2015-06-25",
            "AG003", "home:200003", 1_215),
)  # fmt: skip


def _customers(now: datetime) -> Iterator[Thing]:
    for person in _PEOPLE:
        facts = _profile(person)
        if person.id == "CUST001":
            facts["last_login"] = clock.iso(now - timedelta(minutes=20))
            facts["login_count"] = "147"
            facts["last_payment"] = clock.iso(now - timedelta(days=17))
        values = {keys.customer_field(person.id, name): value for name, value in facts.items()}
        yield Thing("customers", values)
    sets = {
        keys.segment("high_risk"): {"CUST001", "CUST003", "CUST007"},
        keys.segment("medium_risk"): {"CUST002", "CUST004", "CUST008"},
        keys.segment("low_risk"): {"CUST005", "CUST006", "CUST009"},
        keys.tier("platinum"): {"CUST001", "CUST005"},
        keys.tier("gold"): {"CUST002", "CUST004"},
        keys.tier("silver"): {"CUST003", "CUST006"},
        keys.multi_policy(): {"CUST001", "CUST002", "CUST005"},
    }
    for name, members in sets.items():
        yield Thing("groups of customers", {name: frozenset(members)})


def _profile(person: _Person) -> dict[str, str]:
    name = NAMES[person.id]
    mail = f"{name.lower().replace(' ', '.')}@email.com"
    return {
        "profile": f"{name}|DOB:{person.born}|Phone:{person.phone}|Email:{mail}",
        "address": person.address,
        "risk_score": str(person.risk),
        "credit_score": str(person.credit),
        "customer_since": person.since,
        "communication_preference": "email",
        "marketing_opt_in": "yes",
        "preferred_agent": person.agent,
        "payment_method": person.payment,
        "policies": person.policies,
        "policy_count": str(person.policies.count(",") + 1),
        "total_premium": str(person.premium),
    }


# -- quotes, lines 85-121 and 186-202

_UNDER_WAY = (
    # product, number, lifetime and age in seconds, facts
    ("auto", "Q003", 900, 95, {
        "customer": "CUST007", "agent": "AG003", "risk_level": "MEDIUM", "vehicle": "2024 Ford F-150 XLT",
        "vehicle_vin": "1FTFW1E57RFA40217", "premium": "2140"}),
    ("auto", "Q004", 600, 210, {
        "customer": "CUST009", "agent": "AG003", "risk_level": "LOW", "vehicle": "2020 Toyota Corolla LE",
        "vehicle_vin": "5YFEPRAE2LP104466", "premium": "810"}),
    ("home", "Q005", 900, 480, {
        "customer": "CUST004", "agent": "AG002", "risk_level": "MEDIUM", "premium": "1390",
        "property_address": "4402 Bellaire Blvd, Houston TX 77025", "property_value": "402000",
        "coverage_type": "FULL_REPLACEMENT", "deductible": "2000"}),
    ("home", "Q006", 900, 40, {
        "customer": "CUST006", "agent": "AG003", "risk_level": "LOW", "premium": "1120",
        "property_address": "1616 Park Place Ave, Fort Worth TX 76110", "property_value": "265000",
        "coverage_type": "FULL_REPLACEMENT", "deductible": "1000"}),
    ("life", "Q007", 1_800, 640, {
        "customer": "CUST009", "agent": "AG003", "risk_level": "LOW", "premium_monthly": "31",
        "coverage_amount": "250000", "term_years": "20", "medical_exam_required": "no"}),
    ("life", "Q008", 1_800, 150, {
        "customer": "CUST002", "agent": "AG001", "risk_level": "MEDIUM", "premium_monthly": "72",
        "coverage_amount": "600000", "term_years": "25", "medical_exam_required": "yes"}),
)  # fmt: skip


_LAPSED_QUOTES = (
    # product, number, hours ago, facts
    ("auto", "Q013", 3.4, {
        "customer": "CUST003", "agent": "AG002", "risk_level": "HIGH", "vehicle": "2022 Dodge Charger R/T",
        "premium": "3180"}),
    ("home", "Q014", 26.0, {
        "customer": "CUST007", "agent": "AG003", "risk_level": "LOW", "premium": "1260",
        "property_address": "2920 Stadium Dr, Fort Worth TX 76109", "property_value": "318000",
        "coverage_type": "FULL_REPLACEMENT", "deductible": "1500"}),
    ("life", "Q015", 50.5, {
        "customer": "CUST001", "agent": "AG001", "risk_level": "MEDIUM", "premium_monthly": "54",
        "coverage_amount": "400000", "term_years": "25", "medical_exam_required": "yes"}),
)  # fmt: skip


def _quotes(now: datetime) -> Iterator[Thing]:
    """The document's own begin now, with its lifetimes; the others began a while ago, so that every age is seen."""
    civic = {"customer": "CUST004", "vehicle": "Honda Civic 2023", "premium": "950", "agent": "AG001"}
    yield open_quote(now, "auto", "Q001", life=300, age=0, facts={**civic, "created": clock.iso(now)})
    bmw = {"customer": "CUST010", "vehicle": "BMW X5 2023", "premium": "2500", "coverage_type": "PREMIUM"}
    yield open_quote(now, "auto", "Q002", life=900, age=0, facts=bmw)
    yield _life_quote(now)
    for number, life, text, risk in (
        ("Q010", 180, "High-risk driver - Sports car - Premium: $3,500/year", "HIGH"),
        ("Q011", 300, "Average driver - Sedan - Premium: $1,200/year", "MEDIUM"),
        ("Q012", 600, "Excellent driver - Economy car - Premium: $800/year", "LOW"),
    ):
        # The document gives the risk no lifetime, so it would outlive its quote for ever. Here it ends with it.
        yield open_quote(now, "auto", number, life=life, age=0, facts={"risk_level": risk}, text=text)
    for product, number, life, age, facts in _UNDER_WAY:
        created = {"created": clock.iso(now - timedelta(seconds=age))}
        yield open_quote(now, product, number, life=life, age=age, facts=facts | created)
    for product, number, hours, facts in _LAPSED_QUOTES:
        yield lapsed_quote(now, product, number, hours=hours, facts=facts)


def _life_quote(now: datetime) -> Thing:
    facts = {"customer": "CUST008", "coverage_amount": "500000", "term_years": "20", "premium_monthly": "45"}
    quote = open_quote(now, "life", "Q001", life=1_800, age=0, facts={**facts, "medical_exam_required": "yes"})
    # The document lets the examination's key end two hours from now, two days before the examination itself.
    examined = (now + timedelta(days=2)).replace(hour=14, minute=0, second=0, microsecond=0)
    assessment, examination = keys.underwriting_assessment("Q001"), keys.underwriting_exam("Q001")
    told = {
        assessment: "Age: 35, Health: Good, Smoker: No, Risk: Low",
        examination: f"Scheduled for {clock.iso(examined)}",
    }
    ends = {assessment: clock.ms(now) + clock.HOUR, examination: clock.ms(examined)}
    return replace(quote, values={**quote.values, **told}, other=ends)


# -- sessions, lines 123-157 and 207-218


def _sessions(now: datetime) -> Iterator[Thing]:
    yield portal_session(
        now, "CUST001", 1_800, "normal", 20, "192.168.1.100", "Chrome 115.0|Windows 10", last_activity=5
    )
    # Of these the document has the activity level, which is what sets their lifetimes.
    yield portal_session(now, "CUST002", 3_600, "high", 44, "192.168.7.21", "Safari 17.4|macOS 14.5", last_activity=1)
    yield portal_session(now, "CUST003", 900, "idle", 31, "10.20.4.9", "Firefox 126.0|Ubuntu 24.04", last_activity=11)
    yield portal_session(now, "CUST004", 7_200, "vip", 73, "172.16.40.2", "Edge 124.0|Windows 11", last_activity=8)
    yield device_session(now, "mobile", "CUST001", "device123", 34, "iPhone 12|iOS 15.0|app_version:2.1.0")
    yield device_session(now, "tablet", "CUST001", "device456", 86, "iPad Pro|iOS 15.0|app_version:2.1.0")
    yield device_session(now, "mobile", "CUST005", "device207", 12, "Pixel 8|Android 14|app_version:2.3.1")
    yield workstation_session(now, "AG001", 150, "dallas", "dallas,fort_worth", "auto,home,life", (8, 3, 12))
    yield workstation_session(now, "AG002", 65, "houston", "houston", "auto,home", (5, 2, 9))


# -- claims, lines 163-188: one or more at each stage

_REPORTED = (
    # loss, days ago
    (Loss("CLM005", "Hail Damage", "home:200002", "CUST005", "AG001", 9_400, "2210 Swiss Ave, Dallas TX"), 6.6),
    (
        Loss("CLM008", "Rear-End Collision", "auto:100004", "CUST004", "AG002", 2_150, "US-59 at Kirby Dr, Houston TX"),
        1.2,
    ),
    # Its record ends within the hour: escalated, and listed as lapsed when nobody takes it up.
    (
        Loss("CLM014", "Broken Windshield", "auto:100002", "CUST002", "AG001", 640, "I-635 at Preston Rd, Dallas TX"),
        6.965,
    ),
)
_INVESTIGATED = (
    (Loss("CLM004", "Kitchen Fire", "home:200003", "CUST009", "AG003", 18_700, "3108 Hemphill St, Fort Worth TX"),
     Findings("ADJ002", 24, 1), 8.0),
    (Loss("CLM006", "Single Vehicle Accident", "auto:100006", "CUST007", "AG003", 7_800, "I-30 near Hulen St, Fort Worth TX"),
     Findings("ADJ001", 12, 2), 28.3),
)  # fmt: skip
_APPROVED = (
    # ..., paid
    (Loss("CLM001", "Auto Accident", "auto:100001", "CUST001", "AG001", 3_400, "Elm St and Griffin St, Dallas TX"),
     Findings("ADJ001", 9, 2), 41, 3_200),
    (Loss("CLM007", "Water Leak", "home:200002", "CUST005", "AG001", 5_100, "2210 Swiss Ave, Dallas TX"),
     Findings("ADJ002", 31, 0), 23, 4_650),
)  # fmt: skip
_WAITING = Loss(
    "CLM009", "Intersection Collision", "auto:100003", "CUST003", "AG002", 8_600, "Main St at Bell St, Houston TX"
)
_PAID = (
    (Loss("CLM010", "Burst Pipe", "home:200002", "CUST005", "AG001", 3_050, "2210 Swiss Ave, Dallas TX"),
     Findings("ADJ002", 14, 0), Payout("TXN002", 2_850, 9)),
    (Loss("CLM011", "Parking Lot Collision", "auto:100002", "CUST002", "AG001", 1_420, "NorthPark Center, Dallas TX"),
     Findings("ADJ001", 6, 1), Payout("TXN003", 1_310, 52, closed=45)),
)  # fmt: skip
_REOPENED = Loss("CLM012", "Flooded Street", "auto:100004", "CUST004", "AG002", 4_300, "Braeswood Blvd, Houston TX")
_LAPSED = Loss("CLM013", "Scratched Door", "auto:100005", "CUST006", "AG003", 700, "Park Place Ave, Fort Worth TX")
_THEFT = Loss("CLM002", "Theft From Vehicle", "auto:100003", "CUST003", "AG002", 1_900, "Westheimer Rd, Houston TX")


def _claims(now: datetime) -> Iterator[Thing]:
    # As the document writes it: neither policy nor agent, and the estimate inside the text.
    first = {
        keys.claim_temp("CLM003"): "Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500",
        keys.claim_temp_field("CLM003", "reporter"): "CUST001",
        keys.claim_temp_field("CLM003", "incident_date"): clock.iso(now - timedelta(hours=2)),
        keys.claim_temp_field("CLM003", "location"): "I-35 and Main St, Dallas TX",
    }
    yield claim("CLM003", clock.ms(now) + 7 * clock.DAY, first)
    for loss, days in _REPORTED:
        yield reported_claim(now, loss, days=days)
    for loss, findings, days in _INVESTIGATED:
        yield investigated_claim(now, loss, findings, days=days)
    for loss, findings, days, paid in _APPROVED:
        yield decided_claim(now, loss, findings, days=days, paid=paid)
    reason = "No comprehensive cover on this policy"
    yield decided_claim(now, _THEFT, Findings("ADJ003", 3, 0), days=34, reason=reason)
    yield waiting_claim(now, _WAITING, Findings("ADJ003", 18, 3), proposed=7_300, by="AG002", hours=5)
    for loss, findings, payout in _PAID:
        yield paid_claim(now, loss, findings, payout, by="SUP001")
    words = "The customer sent the meteorological report"
    yield reopened_claim(now, _REOPENED, Findings("ADJ003", 8, 1), reason=words, days=2)
    yield lapsed_claim(now, _LAPSED, days=3)


# -- figures, lines 224-256

_TODAY = {
    "": (15, 28_500, 7, 42),
    "auto": (8, 13_600, 4, 24), "home": (4, 9_700, 2, 11), "life": (3, 5_200, 1, 7),
    "AG001": (5, 9_400, 3, 14), "AG002": (6, 11_600, 2, 16), "AG003": (4, 7_500, 2, 12),
}  # fmt: skip
_YESTERDAY = {
    "": (12, 24_150, 9, 36),
    "auto": (7, 12_250, 6, 21), "home": (3, 7_400, 2, 9), "life": (2, 4_500, 1, 6),
    "AG001": (4, 8_300, 4, 13), "AG002": (5, 9_650, 3, 12), "AG003": (3, 6_200, 2, 11),
}  # fmt: skip
_LONGER: dict[periods.Kind, dict[str, tuple[str, str]]] = {
    "weekly": {"policies_sold": ("89", "81"), "revenue": ("167300", "154900"), "customer_acquisition": ("23", "19")},
    "monthly": {"policies_sold": ("245", "231"), "revenue": ("487600", "461200"), "claims_ratio": ("0.15", "0.17")},
    "quarterly": {"growth_rate": ("12.5", "9.8"), "customer_retention": ("94.2", "93.6")},
}
"""Of the running period and the one before."""
_LONGER_KEYS = {
    "weekly": keys.weekly_metric,
    "monthly": keys.monthly_metric,
    "quarterly": keys.quarterly_metric,
}
_SELLING = {"AG001": keys.PRODUCTS, "AG002": ("auto", "home"), "AG003": keys.PRODUCTS}


def _metrics() -> Iterator[Thing]:
    """Each figure by itself, so that one which somebody has raised is left alone. The past ones that have ended by
    the document's retention are left out.
    """
    today = clock.today()
    for day, rows in ((today, _TODAY), (today - timedelta(days=1), _YESTERDAY)):
        for owner, figures in rows.items():
            for metric, figure in zip(metrics.DAILY, figures, strict=True):
                yield Thing("figures", {daily_key(day, owner, metric): str(figure)}, metrics.daily_deadline(day))
    for kind, longer in _LONGER.items():
        running = periods.current(kind)
        for name, (now, then) in longer.items():
            for each, amount in ((running, now), (running.before, then)):
                if each.deadline > clock.now_ms():
                    yield Thing("figures", {_LONGER_KEYS[kind](each.name, name): amount}, each.deadline)
    yield from _history()


def _history() -> Iterator[Thing]:
    """What the document leaves out of the running and the last periods, and the archive of those before."""
    history, today = History(0, _SELLING), clock.today()
    given = {key for rows, day in ((_TODAY, today), (_YESTERDAY, today - timedelta(days=1)))
             for owner in rows for key in (daily_key(day, owner, metric) for metric in metrics.DAILY)}  # fmt: skip
    for kind in periods.KINDS:
        running = periods.current(kind)
        for period in (running, running.before):
            counters, parts = figure_keys(period, history.total(period.first, min(period.last, today)))
            for key, amount in counters.items():
                if key not in given:
                    yield Thing("figures", {key: str(amount)}, period.deadline)
            for key, found in parts.items():
                fields = {name: str(amount) for name, amount in found.items()}
                yield Thing("figures", {key: fields}, period.deadline)
    yield from history.closed_periods()


# -- security and records, lines 262-300


def _security(now: datetime) -> Iterator[Thing]:
    at = clock.ms(now)
    yield Thing("security keys", {keys.failed_logins("CUST001"): "2"}, at + 5 * clock.MINUTE)
    for level, value, seconds in (
        ("level1", "3_attempts", 900),
        ("level2", "5_attempts", 3_600),
        ("level3", "10_attempts", 86_400),
    ):
        yield Thing("security keys", {keys.lockout("CUST001", level): value}, at + seconds * clock.SECOND)
    reset = keys.password_reset("CUST001", "token123")
    yield Thing("security keys", {reset: f"valid|issued:{clock.iso(now)}"}, at + 15 * clock.MINUTE)
    yield Thing("security keys", {keys.two_factor("CUST001", "code789"): "123456"}, at + 5 * clock.MINUTE)


def _records(now: datetime) -> Iterator[Thing]:
    at, stamp = clock.ms(now), f"{now.astimezone(clock.zone()):%Y%m%d}"
    yield Thing(
        "records",
        {keys.policy_audit("auto", "100001", stamp): "Premium updated from 1200 to 1350 by AG001"},
        at + keys.YEAR * clock.SECOND,
    )
    yield Thing(
        "records",
        {keys.access_audit("CUST001", stamp): f"Viewed by AG001 at {clock.iso(now)}"},
        at + 90 * clock.DAY,
    )
    yield _payment(now, "TXN001", "CUST001", 1_200)
    for loss, _, payout in _PAID:
        told = f"Claim: {loss.number} | By: {loss.agent}"
        paid = now - timedelta(days=payout.days)
        yield _payment(paid, payout.transaction, loss.customer, payout.amount, told)
    for transaction, customer, amount, days in _PREMIUMS:
        yield _payment(now - timedelta(days=days), transaction, customer, amount)
    yield Thing("records", {keys.compliance_review("auto", "100001"): "Pending regulatory review"}, at + 30 * clock.DAY)


_PREMIUMS = (
    # transaction, customer, dollars, days ago
    ("TXN004", "CUST002", 1_085, 27), ("TXN005", "CUST004", 1_310, 12), ("TXN006", "CUST009", 1_215, 88),
)  # fmt: skip


def _payment(at: datetime, transaction: str, customer: str, amount: int, told: str = "") -> Thing:
    # Seven years are a date, leap days and all.
    until = datetime.combine(clock.years_later(at.date(), 7), at.time(), at.tzinfo)
    text = f"Customer: {customer} | Amount: {amount} | Date: {at:%Y-%m-%d}"
    values = {keys.payment_audit(transaction): f"{text} | {told}" if told else text}
    return Thing("records", values, clock.ms(until))
