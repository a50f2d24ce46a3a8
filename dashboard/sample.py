"""The sample book: the customer's document's own data, its clock shifted to now, and enough beside it to look alive.

What stands in the document is taken as it stands, contradictions and gaps included (home:200001 belongs to CUST002
while CUST001 lists it, has no agent and no dates; CUST010 has no profile). The rest is plausible company for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import areas, audit, metrics, reindex
from dashboard.repository.values import dollars

BOOK = "sample"
"""Name of our mark in the store (keys.book)."""

Value = str | Mapping[str, str] | frozenset[str]
"""A string, a hash or a set."""


@dataclass(frozen=True)
class Thing:
    """Keys that come and go together.

    what      in the plural: policies, quotes, ...
    values    value by key
    deadline  Unix ms of all of them; None: they stay. `other` has those of keys with one of their own
    traces    keys that show that the thing was here and went on: then it is not written again
    forget    our records of its former end, gone when it begins anew
    """

    what: str
    values: Mapping[str, Value]
    deadline: int | None = None
    other: Mapping[str, int] | None = None
    traces: Sequence[str] = ()
    forget: Sequence[str] = ()

    def deadline_of(self, key: str) -> int | None:
        return (self.other or {}).get(key, self.deadline)


@dataclass
class Written:
    """How many things were written, and how many were there and were left as they are, by kind."""

    new: dict[str, int]
    kept: dict[str, int]


# -- writing


def write(client: Redis, things: Sequence[Thing]) -> Written:
    """Write those of which nothing is there, each in one transaction, then index them. What is there is left alone,
    whoever wrote it; so this may be repeated at any time, and brings back what has ended.
    """
    result = Written({}, {})
    pipe = client.pipeline(transaction=False)
    for thing in things:
        pipe.exists(*thing.values, *thing.traces)
    for thing, there in zip(things, pipe.execute(), strict=True):
        tally = result.kept if there else result.new
        tally[thing.what] = tally.get(thing.what, 0) + 1
        if not there:
            _write(client, thing)
    index(client, [key for thing in things for key in thing.values])
    return result


def _write(client: Redis, thing: Thing) -> None:
    """NX on each key closes the race with whoever makes the same thing now."""
    pipe = client.pipeline(transaction=True)
    if thing.forget:
        pipe.unlink(*thing.forget)
    for key, value in thing.values.items():
        deadline = thing.deadline_of(key)
        if isinstance(value, str):
            pipe.set(key, value, nx=True, pxat=deadline)
        elif isinstance(value, frozenset):
            pipe.sadd(key, *sorted(value))
        else:
            pipe.hset(key, mapping=dict(value))  # type: ignore[arg-type]
    pipe.execute()


def index(client: Redis, names: Iterable[str]) -> None:
    """Index what these keys are part of, as the live follower would for what others write."""
    parsed = [(name, found) for name in names if (found := keys.parse(name))]
    for area in areas.AREAS:
        members = [found.subject for _, found in parsed if found.family.area == area and found.subject]
        areas.refresh(client, area, list(dict.fromkeys(members)))
    for name, found in parsed:
        if "stamp" in found.parts:
            audit.note(client, name, found)
    metrics.note_agents(client, [found for _, found in parsed if found.family is keys.daily_agent_metric])
    reindex.raise_sequences(client, _highest(found for _, found in parsed))


def announce(client: Redis) -> None:
    """Tell every open page to look again."""
    client.publish(keys.LIVE_CHANNEL, json.dumps({area: [] for area in (*areas.AREAS, "metrics", "customers")}))


def _highest(found: Iterable[keys.Parsed]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for parsed in found:
        area = areas.AREAS.get(parsed.family.area)
        thing = area.number(parsed.subject) if area and parsed.subject else None
        if thing:
            numbers[thing[0]] = max(thing[1], numbers.get(thing[0], 0))
    return numbers


# -- whose store this is

_SIGNING_IN = (keys.workstation, keys.workstation_field, keys.failed_logins, keys.lockout, keys.session_audit)


def may_write(client: Redis) -> bool:
    """Whether the store is empty of customers' data, or has a book of ours in it. The scan ends at the first key that
    is somebody's; what signing in wrote, and our own bookkeeping, do not count.
    """
    if client.exists(keys.book(BOOK), keys.book("generated")):
        return True
    return not any(_is_data(name) for name in client.scan_iter(count=1_000))


def _is_data(name: str) -> bool:
    if name.startswith("dash:"):
        return False
    found = keys.parse(name)
    return found is None or found.family not in _SIGNING_IN


# -- the book


def load(client: Redis) -> Written:
    """The whole sample into the store. Safe to stop and to repeat: what is there stays, what has ended comes back."""
    now = clock.now()
    client.hset(keys.book(BOOK), mapping={"state": "loading", "at": clock.iso(now)})
    written = write(client, list(things(now)))
    client.hset(keys.book(BOOK), "state", "loaded")
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
            facts["last_login"] = _ago(now, minutes=20)
            facts["login_count"] = "147"
            facts["last_payment"] = _ago(now, days=17)
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


def _quotes(now: datetime) -> Iterator[Thing]:
    """The document's own begin now, with its lifetimes; the others began a while ago, so that every age is seen."""
    yield _quote(
        now,
        "auto",
        "Q001",
        300,
        0,
        "Honda Civic 2023 - Customer: CUST004 - Premium: $950/year",
        {
            "customer": "CUST004",
            "vehicle": "Honda Civic 2023",
            "premium": "950",
            "agent": "AG001",
            "created": clock.iso(now),
        },
    )
    yield _quote(
        now,
        "auto",
        "Q002",
        900,
        0,
        "BMW X5 2023 - Customer: CUST010 - Premium: $2,500/year",
        {"customer": "CUST010", "vehicle": "BMW X5 2023", "premium": "2500", "coverage_type": "PREMIUM"},
    )
    yield _life_quote(now)
    for number, life, text, risk in (
        ("Q010", 180, "High-risk driver - Sports car - Premium: $3,500/year", "HIGH"),
        ("Q011", 300, "Average driver - Sedan - Premium: $1,200/year", "MEDIUM"),
        ("Q012", 600, "Excellent driver - Economy car - Premium: $800/year", "LOW"),
    ):
        # The document gives the risk no lifetime, so it would outlive its quote for ever. Here it ends with it.
        yield _quote(now, "auto", number, life, 0, text, {"risk_level": risk})
    yield open_quote(
        now,
        "auto",
        "Q003",
        900,
        95,
        "CUST007",
        "AG003",
        risk_level="MEDIUM",
        vehicle="2024 Ford F-150 XLT",
        vehicle_vin="1FTFW1E57RFA40217",
        premium="2140",
    )
    yield open_quote(
        now,
        "auto",
        "Q004",
        600,
        210,
        "CUST009",
        "AG003",
        risk_level="LOW",
        vehicle="2020 Toyota Corolla LE",
        vehicle_vin="5YFEPRAE2LP104466",
        premium="810",
    )
    yield open_quote(
        now,
        "home",
        "Q005",
        900,
        480,
        "CUST004",
        "AG002",
        risk_level="MEDIUM",
        premium="1390",
        property_address="4402 Bellaire Blvd, Houston TX 77025",
        property_value="402000",
        coverage_type="FULL_REPLACEMENT",
        deductible="2000",
    )
    yield open_quote(
        now,
        "home",
        "Q006",
        900,
        40,
        "CUST006",
        "AG003",
        risk_level="LOW",
        premium="1120",
        property_address="1616 Park Place Ave, Fort Worth TX 76110",
        property_value="265000",
        coverage_type="FULL_REPLACEMENT",
        deductible="1000",
    )
    yield open_quote(
        now,
        "life",
        "Q007",
        1_800,
        640,
        "CUST009",
        "AG003",
        risk_level="LOW",
        premium_monthly="31",
        coverage_amount="250000",
        term_years="20",
        medical_exam_required="no",
    )
    yield open_quote(
        now,
        "life",
        "Q008",
        1_800,
        150,
        "CUST002",
        "AG001",
        risk_level="MEDIUM",
        premium_monthly="72",
        coverage_amount="600000",
        term_years="25",
        medical_exam_required="yes",
    )


def _life_quote(now: datetime) -> Thing:
    quote = _quote(
        now,
        "life",
        "Q001",
        1_800,
        0,
        "Term Life $500K 20Y - Customer: CUST008 - Premium: $45/month",
        {
            "customer": "CUST008",
            "coverage_amount": "500000",
            "term_years": "20",
            "premium_monthly": "45",
            "medical_exam_required": "yes",
        },
    )
    # The document lets the examination's key end two hours from now, two days before the examination itself.
    examined = (now + timedelta(days=2)).replace(hour=14, minute=0, second=0, microsecond=0)
    assessment, examination = keys.underwriting_assessment("Q001"), keys.underwriting_exam("Q001")
    return replace(
        quote,
        values={
            **quote.values,
            assessment: "Age: 35, Health: Good, Smoker: No, Risk: Low",
            examination: f"Scheduled for {clock.iso(examined)}",
        },
        other={assessment: clock.ms(now) + 3_600 * clock.SECOND, examination: clock.ms(examined)},
        traces=[*quote.traces],
    )


def open_quote(
    now: datetime, product: str, number: str, life: int, age: int, customer: str, agent: str, **facts: str
) -> Thing:
    """A quote that began `age` seconds ago and lives `life` seconds in all."""
    created = clock.iso(now - timedelta(seconds=age))
    facts = {"customer": customer, "agent": agent, "created": created, **facts}
    return _quote(now, product, number, life, age, _root(product, facts), facts)


def _quote(now: datetime, product: str, number: str, life: int, age: int, text: str, facts: Mapping[str, str]) -> Thing:
    values = {keys.quote(product, number): text}
    values |= {keys.quote_field(product, number, name): value for name, value in facts.items()}
    ours = [family(product, number) for family in (keys.quote_outcome, keys.quote_snapshot, keys.quote_terms)]
    return Thing("quotes", values, clock.ms(now) + (life - age) * clock.SECOND, forget=ours)


def _root(product: str, facts: Mapping[str, str]) -> str:
    """The document's one-line form of a quote."""
    if product == "life":
        subject = f"Term Life ${int(facts['coverage_amount']) // 1_000}K {facts['term_years']}Y"
        price = f"${facts['premium_monthly']}/month"
    else:
        subject = facts.get("vehicle") or facts["property_address"]
        price = f"{dollars(Decimal(facts['premium']))}/year"
    return f"{subject} - Customer: {facts['customer']} - Premium: {price}"


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


def portal_session(
    now: datetime, person: str, life: int, level: str, minutes: int, address: str, device: str, *, last_activity: int
) -> Thing:
    """Signed in so many minutes ago; each activity gives it its whole life again."""
    active = now - timedelta(minutes=last_activity)
    facts = {
        "device": device,
        "permissions": "view_policies,make_payments,update_profile",
        "last_activity": clock.iso(active),
        "activity_level": level,
    }
    values = {keys.portal(person): f"authenticated|login_time:{_ago(now, minutes=minutes)}|ip:{address}"}
    values |= {keys.portal_field(person, name): value for name, value in facts.items()}
    return Thing("sessions", values, clock.ms(active) + life * clock.SECOND)


def device_session(now: datetime, device: str, person: str, number: str, minutes: int, text: str) -> Thing:
    deadline = clock.ms(now - timedelta(minutes=minutes)) + 2 * clock.HOUR
    return Thing("sessions", {keys.device_session(device, person, number): text}, deadline)


def workstation_session(
    now: datetime, agent: str, minutes: int, branch: str, branches: str, products: str, figures: tuple[int, int, int]
) -> Thing:
    """At work for so many minutes. Never in the place of somebody who is signed in: what is there is left alone."""
    signed_in = now - timedelta(minutes=minutes)
    names = ("quotes_today", "policies_sold_today", "customer_calls_today")
    facts = {
        "permissions": "create_quotes,bind_policies,process_claims,view_customer_data",
        "branch_access": branches,
        "product_access": products,
        **{name: str(figure) for name, figure in zip(names, figures, strict=True)},
    }
    values = {keys.workstation(agent): f"authenticated|login_time:{clock.iso(signed_in)}|branch:{branch}"}
    values |= {keys.workstation_field(agent, name): value for name, value in facts.items()}
    return Thing("sessions", values, clock.ms(signed_in) + 8 * clock.HOUR, traces=[keys.tombstone(agent)])


# -- claims, lines 163-188: one or more at each stage


def _claims(now: datetime) -> Iterator[Thing]:
    # As the document writes it: neither policy nor agent, and the estimate inside the text.
    reported = clock.ms(now) + 7 * clock.DAY
    yield _claim(
        "CLM003",
        reported,
        {
            keys.claim_temp("CLM003"): "Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500",
            keys.claim_temp_field("CLM003", "reporter"): "CUST001",
            keys.claim_temp_field("CLM003", "incident_date"): _ago(now, hours=2),
            keys.claim_temp_field("CLM003", "location"): "I-35 and Main St, Dallas TX",
        },
    )
    yield reported_claim(
        now, "CLM005", "Hail Damage", "home:200002", "CUST005", "AG001", 9_400, 6.6, "2210 Swiss Ave, Dallas TX"
    )
    yield reported_claim(
        now,
        "CLM008",
        "Rear-End Collision",
        "auto:100004",
        "CUST004",
        "AG002",
        2_150,
        1.2,
        "US-59 at Kirby Dr, Houston TX",
    )
    yield investigated_claim(
        now,
        "CLM004",
        "Kitchen Fire",
        "home:200003",
        "CUST009",
        "AG003",
        18_700,
        8.0,
        "3108 Hemphill St, Fort Worth TX",
        "ADJ002",
        24,
        1,
    )
    yield investigated_claim(
        now,
        "CLM006",
        "Single Vehicle Accident",
        "auto:100006",
        "CUST007",
        "AG003",
        7_800,
        28.3,
        "I-30 near Hulen St, Fort Worth TX",
        "ADJ001",
        12,
        2,
    )
    yield decided_claim(
        now,
        "CLM001",
        "Auto Accident",
        "auto:100001",
        "CUST001",
        "AG001",
        3_400,
        41,
        "Elm St and Griffin St, Dallas TX",
        "ADJ001",
        9,
        2,
        paid=3_200,
    )
    yield decided_claim(
        now,
        "CLM007",
        "Water Leak",
        "home:200002",
        "CUST005",
        "AG001",
        5_100,
        23,
        "2210 Swiss Ave, Dallas TX",
        "ADJ002",
        31,
        0,
        paid=4_650,
    )
    yield decided_claim(
        now,
        "CLM002",
        "Theft From Vehicle",
        "auto:100003",
        "CUST003",
        "AG002",
        1_900,
        34,
        "Westheimer Rd, Houston TX",
        "ADJ003",
        3,
        0,
        reason="No comprehensive cover on this policy",
    )


def _claim(number: str, deadline: int | None, values: Mapping[str, str]) -> Thing:
    """Not written again when it has become anything else, or was looked at by us and has ended."""
    traces = [*keys.claim_temp_keys(number), *keys.investigation_keys(number), *keys.claim_keys(number)]
    return Thing("claims", values, deadline, traces=[*traces, keys.history("claims", number)])


def reported_claim(
    now: datetime,
    number: str,
    what: str,
    policy: str,
    customer: str,
    agent: str,
    estimate: int,
    days: float,
    where: str,
) -> Thing:
    """Reported so many days ago."""
    happened = now - timedelta(days=days)
    values = _report(number, happened, what, policy, customer, agent, estimate, where)
    return _claim(number, clock.ms(happened) + 7 * clock.DAY, values)


def investigated_claim(
    now: datetime, number: str, what: str, policy: str, customer: str, agent: str, estimate: int, days: float,
    where: str, adjuster: str, photos: int, statements: int,
) -> Thing:  # fmt: skip
    """Under investigation for so many days; its first report is carried along for as long."""
    assigned = now - timedelta(days=days)
    values = _report(number, assigned - timedelta(days=1), what, policy, customer, agent, estimate, where)
    values |= _investigation(number, adjuster, photos, statements, estimate, "IN_PROGRESS")
    return _claim(number, clock.ms(assigned) + 30 * clock.DAY, values)


def decided_claim(
    now: datetime, number: str, what: str, policy: str, customer: str, agent: str, estimate: int, days: int,
    where: str, adjuster: str, photos: int, statements: int, *, paid: int | None = None, reason: str = "",
) -> Thing:  # fmt: skip
    """Decided so many days ago, a week after it happened."""
    facts = {
        "details": f"{what} - Policy: {policy} - Amount: ${paid:,} - Status: APPROVED"
        if paid is not None
        else f"{what} - Policy: {policy} - Status: DENIED",
        "status": "DENIED" if paid is None else "APPROVED",
        "reporter": customer,
        "incident_date": _ago(now, days=days + 7),
        "location": where,
        "policy": policy,
        "customer": customer,
        "agent": agent,
        "adjuster": adjuster,
        "estimated_amount": str(estimate),
    }
    if paid is None:
        facts |= {"denial_date": _ago(now, days=days), "denial_reason": reason}
    else:
        facts |= {"approval_date": _ago(now, days=days), "final_amount": str(paid)}
    values = {keys.claim_field(number, name): value for name, value in facts.items()}
    values |= _investigation(number, adjuster, photos, statements, paid or estimate, "CLOSED")
    return _claim(number, None, values)


def _report(
    number: str, happened: datetime, what: str, policy: str, customer: str, agent: str, estimate: int, where: str
) -> dict[str, str]:
    facts = {
        "reporter": customer,
        "incident_date": clock.iso(happened),
        "location": where,
        "policy": policy,
        "customer": customer,
        "agent": agent,
        "estimated_amount": str(estimate),
    }
    text = f"{what} - Initial Report - Customer: {customer} - Estimated: ${estimate:,}"
    fields = {keys.claim_temp_field(number, name): value for name, value in facts.items()}
    return {keys.claim_temp(number): text, **fields}


def _investigation(
    number: str, adjuster: str, photos: int, statements: int, estimate: int, status: str
) -> dict[str, str]:
    return {
        keys.investigation(number): f"Adjuster: {adjuster} | Photos: {photos} | Witness Statements: {statements}",
        keys.investigation_field(number, "adjuster"): adjuster,
        keys.investigation_field(number, "status"): status,
        keys.investigation_field(number, "estimated_amount"): str(estimate),
    }


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
_LONGER = {
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


def _metrics() -> Iterator[Thing]:
    """Each figure by itself, so that one which somebody has raised is left alone. The past ones that have ended by
    the document's retention are left out.
    """
    today = clock.today()
    for day, rows in ((today, _TODAY), (today - timedelta(days=1), _YESTERDAY)):
        for owner, figures in rows.items():
            for metric, figure in zip(metrics.DAILY, figures, strict=True):
                yield Thing("figures", {daily_key(day, owner, metric): str(figure)}, metrics.daily_deadline(day))
    for period, longer in _LONGER.items():
        running = period_of(period, today)
        before = period_of(period, running.first - timedelta(days=1))
        for name, (now, then) in longer.items():
            for each, amount in ((running, now), (before, then)):
                deadline = clock.end_of_day(each.last) + keys.METRIC_RETENTION[period] * clock.SECOND
                if deadline > clock.now_ms():
                    yield Thing("figures", {_LONGER_KEYS[period](each.name, name): amount}, deadline)


def daily_key(day: date, owner: str, metric: str) -> str:
    """Of the company (owner ""), a department (a product) or an agent."""
    if not owner:
        return keys.daily_metric(day.isoformat(), metric)
    family = keys.daily_department_metric if owner in keys.PRODUCTS else keys.daily_agent_metric
    return family(day.isoformat(), owner, metric)


class Period(NamedTuple):
    """A week, month or quarter: its name in keys (2024-W33), its first and its last day."""

    name: str
    first: date
    last: date


def period_of(period: str, day: date) -> Period:
    """The one that `day` is in. Weeks are ISO weeks."""
    if period == "weekly":
        first = day - timedelta(days=day.weekday())
        return Period(f"{day:%G-W%V}", first, first + timedelta(days=6))
    months = 1 if period == "monthly" else 3
    first = day.replace(month=(day.month - 1) // months * months + 1, day=1)
    after = (first + timedelta(days=31 * months)).replace(day=1)
    name = f"{day:%Y-%m}" if months == 1 else f"{day:%Y}-Q{(day.month + 2) // 3}"
    return Period(name, first, after - timedelta(days=1))


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
    at, stamp = clock.ms(now), f"{now:%Y%m%d}"
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
    # Seven years are a date, leap days and all.
    kept_until = datetime.combine(clock.years_later(now.date(), 7), now.time(), now.tzinfo)
    yield Thing(
        "records",
        {keys.payment_audit("TXN001"): f"Customer: CUST001 | Amount: 1200 | Date: {now:%Y-%m-%d}"},
        clock.ms(kept_until),
    )
    yield Thing("records", {keys.compliance_review("auto", "100001"): "Pending regulatory review"}, at + 30 * clock.DAY)


def _ago(now: datetime, **span: float) -> str:
    return clock.iso(now - timedelta(**span))
