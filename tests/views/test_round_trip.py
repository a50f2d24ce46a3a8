"""Their plain commands and our forms live together, both ways: each command block of the customer's document run as it
stands (its dates brought to today) shows on the pages, all facts of it; and what our forms write has the names, types
and lifetimes that the document gives.
"""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock
from dashboard.repository import reindex
from tests import cast, document

TODAY = clock.today()
DAY, WEEK = TODAY.isoformat(), f"{TODAY:%G-W%V}"
MONTH, QUARTER = f"{TODAY:%Y-%m}", f"{TODAY.year}-Q{(TODAY.month + 2) // 3}"
SOON = (TODAY + timedelta(days=100)).isoformat()

# What is only shown while it holds is brought to a day to come.
DOCUMENT = "".join(
    [
        document.AUTO.replace("2025-01-15", SOON),
        document.HOME,
        document.CUSTOMER,
        document.AUTO_QUOTE,
        document.HIGH_VALUE_QUOTE,
        document.LIFE_QUOTE.replace("2024-08-20", SOON),
        document.RISKS,
    ]
)
DOCUMENT += f"""
SET location:dallas:75201:policies "home:200001,auto:100001"
SET location:dallas:75201:risk_score 750
SET customer:CUST001:risk_score 750
SET customer:CUST001:credit_score 720
SET customer:CUST001:customer_since "2018-05-20"
SET customer:CUST001:communication_preference "email"
SET customer:CUST001:marketing_opt_in "yes"
SET customer:CUST001:preferred_agent "AG001"
SET customer:CUST001:payment_method "AUTO_PAY"
SET customer:CUST001:last_login "2024-08-18T10:30:00Z"
SET customer:CUST001:login_count 147
SET customer:CUST001:last_payment "2024-08-01T15:30:00Z"
SADD segment:high_risk "CUST001" "CUST003" "CUST007"
SADD segment:medium_risk "CUST002" "CUST004" "CUST008"
SADD tier:platinum "CUST001" "CUST005"
SADD customer:multi_policy "CUST001" "CUST002" "CUST005"
SETEX quote:auto:Q001:created 300 "2024-08-18T10:30:00Z"
SETEX quote:auto:Q002:coverage_type 900 "PREMIUM"
SETEX underwriting:medical_exam:Q001 7200 "Scheduled for {SOON}T09:00:00Z"
SETEX session:customer:CUST001:portal 1800 "authenticated|login_time:2024-08-18T10:30:00Z|ip:192.168.1.100"
SETEX session:customer:CUST001:device 1800 "Chrome 115.0|Windows 10"
SETEX session:customer:CUST001:permissions 1800 "view_policies,make_payments,update_profile"
SETEX session:customer:CUST001:last_activity 1800 "2024-08-18T10:45:00Z"
SETEX session:customer:CUST004:activity_level 7200 "vip"
SETEX session:customer:CUST004:portal 7200 "authenticated|login_time:2024-08-18T10:30:00Z|ip:192.168.1.104"
SETEX session:mobile:CUST001:device123 7200 "iPhone 12|iOS 15.0|app_version:2.1.0"
SETEX session:tablet:CUST001:device456 7200 "iPad Pro|iOS 15.0|app_version:2.1.0"
SETEX session:agent:AG003:workstation 28800 "authenticated|login_time:2024-08-18T08:00:00Z|branch:dallas"
SETEX session:agent:AG003:permissions 28800 "create_quotes,bind_policies,process_claims,view_customer_data"
SETEX claim:temp:CLM003 604800 "Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500"
SETEX claim:temp:CLM003:reporter 604800 "CUST001"
SETEX claim:temp:CLM003:incident_date 604800 "2024-08-18T14:30:00Z"
SETEX claim:temp:CLM003:location 604800 "I-35 and Main St, Dallas TX"
SETEX investigation:CLM003 2592000 "Adjuster: ADJ001 | Photos: 12 | Witness Statements: 2"
SETEX investigation:CLM003:adjuster 2592000 "ADJ001"
SETEX investigation:CLM003:status 2592000 "IN_PROGRESS"
SETEX investigation:CLM003:estimated_amount 2592000 "3200"
SET claim:CLM009:details "Auto Accident - Policy: auto:100001 - Amount: $3,200 - Status: APPROVED"
SET claim:CLM009:final_amount 3200
SET claim:CLM009:status "APPROVED"
SET claim:CLM009:approval_date "2024-08-25T16:00:00Z"
SETEX metrics:daily:{DAY}:policies_sold 86400 "15"
SETEX metrics:daily:{DAY}:revenue 86400 "28500"
SETEX metrics:daily:{DAY}:claims_filed 86400 "7"
SETEX metrics:daily:{DAY}:quotes_generated 86400 "42"
SETEX metrics:daily:{DAY}:auto:policies_sold 86400 "8"
SETEX metrics:daily:{DAY}:agent:AG002:policies_sold 86400 "6"
SETEX metrics:weekly:{WEEK}:customer_acquisition 604800 "23"
SETEX metrics:weekly:{WEEK}:revenue 604800 "167300"
SETEX metrics:monthly:{MONTH}:policies_sold 2592000 "245"
SETEX metrics:monthly:{MONTH}:claims_ratio 2592000 "0.15"
SETEX metrics:quarterly:{QUARTER}:growth_rate 7776000 "12.5"
SETEX metrics:quarterly:{QUARTER}:customer_retention 7776000 "94.2"
HMSET policy:auto:100002 customer "CUST001" premium 1300 status "ACTIVE" agent "AG001"
SETEX audit:policy:auto:100001:change:20240818 31536000 "Premium updated from 1200 to 1350 by AG001"
"""

PAGES: dict[str, tuple[str, ...]] = {
    "/policies/": ("100001", "200001", "100002", "$1,300", "John Smith"),
    "/policies/?zip=75201": ("200001", "100001"),
    "/policies/auto/100001/": (
        "2020 Toyota Camry LE", "$1,200", "CUST001", "AG001", "15 Jan 2024", "1HGBH41JXMN109186", "100/300/50", "$500",
        "Premium updated from 1200 to 1350 by AG001", "CLM009",
    ),
    "/policies/home/200001/": ("123 Main St, Dallas TX 75201", "$350,000", "Full replacement", "$1,000", "CUST002"),
    "/customers/CUST001/": (
        "John Smith", "15 Mar 1985", "555-0123", "john.smith@email.com", "456 Oak St, Dallas TX 75201", "750", "720",
        "20 May 2018", "AG001", "147", "High risk", "latinum", "home:200001", "$2,000",
    ),
    "/locations/": ("75201", "750"),
    "/segments/": ("3",),
    "/quotes/": ("Q001", "Q002", "Q010", "Honda Civic 2023", "BMW X5 2023", "Sports car", "$3,500", "$45", "High"),
    "/quotes/life/Q001/": ("$500,000", "20 years", "$45", "Yes", "Age: 35, Health: Good", "CUST008"),
    "/quotes/auto/Q002/": ("PREMIUM", "$2,500", "CUST010"),
    "/claims/": ("CLM003", "CLM009", "Auto Accident", "ADJ001", "$3,200"),
    "/claims/CLM003/": ("Auto Accident", "CUST001", "I-35 and Main St, Dallas TX", "ADJ001", "12", "$3,200"),
    "/claims/CLM009/": ("$3,200", "100001", "Approved"),
    "/metrics/": ("15", "$28,500", "7", "42", "8", "AG002"),
    "/metrics/?period=week": ("23", "$167,300"),
    "/metrics/?period=month": ("245", "0.15"),
    "/metrics/?period=quarter": ("12.5", "94.2"),
}  # fmt: skip
ADMINS_PAGES: dict[str, tuple[str, ...]] = {
    "/sessions/": ("CUST001", "192.168.1.100", "Chrome 115.0", "iPhone 12", "iPad Pro", "AG003", "Dallas", "VIP"),
}


@pytest.fixture
def written(store: Redis, demo: None) -> Redis:
    """The document's commands, as redis-cli would send them; what the follower would do as they come, done at once."""
    document.run(store, DOCUMENT)
    reindex.reconcile(store, thorough=True)
    return store


def text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, (path, response.status_code)
    bare = re.sub(r"<[^>]+>", "", response.content.decode().replace("<wbr>", ""))
    return " ".join(bare.replace("&#x27;", "'").split())


def test_what_their_commands_write_our_pages_show(written: Redis) -> None:
    missing = {}
    for person, pages in ((cast.SUPERVISOR, PAGES), (cast.ADMIN, ADMINS_PAGES)):
        client = cast.signed_in(person)
        for path, facts in pages.items():
            shown = text(client, path)
            missing[path] = [fact for fact in facts if fact not in shown]
    assert not {path: facts for path, facts in missing.items() if facts}


def kept(store: Redis, name: str) -> tuple[str, str | None, int]:
    return store.type(name), store.get(name), store.ttl(name)


def near(seconds: int, wanted: int) -> bool:
    return wanted - 20 < seconds <= wanted


def test_what_our_forms_write_their_commands_read(store: Redis, demo: None) -> None:
    agent = cast.signed_in(cast.AGENT)
    store.set("customer:CUST004:profile", "Priya Nair|DOB:1990-01-01|Phone:555-0104|Email:priya@example.com")
    typed = {"product": "auto", "customer": "CUST004", "vehicle": "Honda Civic 2023", "premium": "950"}
    number = agent.post("/quotes/new/", typed).headers["Location"].split("/")[3]
    text_of = "Honda Civic 2023 - Customer: CUST004 - Premium: $950/year"
    for name, value in {
        "": text_of,
        ":customer": "CUST004",
        ":vehicle": "Honda Civic 2023",
        ":premium": "950",
        ":agent": "AG001",
    }.items():
        kind, stored, left = kept(store, f"quote:auto:{number}{name}")
        assert (kind, stored) == ("string", value) and near(left, 300), name
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", store.get(f"quote:auto:{number}:created") or "")

    bound = agent.post(
        f"/quotes/auto/{number}/bind/", {"effective": DAY, "vehicle_vin": "1HGBH41JXMN109186", "deductible": "500"}
    )
    policy = bound.headers["Location"].split("/")[3]
    wanted = {
        "details": "Honda Civic 2023 - Priya Nair - $950 premium", "status": "ACTIVE", "premium": "950", "customer": "CUST004",
        "agent": "AG001", "effective_date": DAY, "vehicle_vin": "1HGBH41JXMN109186", "deductible": "500",
    }  # fmt: skip
    for field, value in wanted.items():
        assert kept(store, f"policy:auto:{policy}:{field}") == ("string", value, -1), field
    assert store.get("customer:CUST004:policies") == f"auto:{policy}"
    assert store.get("customer:CUST004:policy_count") == "1"
    assert (
        store.get(f"metrics:daily:{DAY}:policies_sold") == "1" and store.ttl(f"metrics:daily:{DAY}:revenue") >= 86_400
    )
    assert store.ttl(f"metrics:weekly:{WEEK}:revenue") >= 604_800

    report = {
        "summary": "Auto Accident",
        "policy": f"auto:{policy}",
        "location": "I-35",
        "estimated_amount": "3500",
        "reporter": "CUST004",
    }
    claim = agent.post("/claims/new/", report).headers["Location"].split("/")[2]
    kind, stored, left = kept(store, f"claim:temp:{claim}")
    assert (kind, stored) == ("string", "Auto Accident - Initial Report - Customer: CUST004 - Estimated: $3,500")
    assert near(left, 604_800) and near(store.ttl(f"claim:temp:{claim}:location"), 604_800)
    agent.post(f"/claims/{claim}/assign/", {"adjuster": "ADJ001", "estimate": "3200"})
    for field, value in {
        "": "Adjuster: ADJ001",
        ":adjuster": "ADJ001",
        ":status": "IN_PROGRESS",
        ":estimated_amount": "3200",
    }.items():
        kind, stored, left = kept(store, f"investigation:{claim}{field}")
        assert kind == "string" and (stored or "").startswith(value) and near(left, 2_592_000), field
    cast.signed_in(cast.SUPERVISOR).post(f"/claims/{claim}/approve/", {"final_amount": "3200"})
    assert (
        store.get(f"claim:{claim}:details")
        == f"Auto Accident - Policy: auto:{policy} - Amount: $3,200 - Status: APPROVED"
    )
    assert kept(store, f"claim:{claim}:final_amount") == ("string", "3200", -1)
    assert store.ttl(f"investigation:{claim}") == store.ttl(f"investigation:{claim}:adjuster") == -1
    assert not store.exists(f"claim:temp:{claim}", f"claim:temp:{claim}:reporter", f"claim:temp:{claim}:location")

    assert near(store.ttl("session:agent:AG001:workstation"), 28_800)
    assert store.get("session:agent:AG001:branch_access") == "dallas,fort_worth"
    assert store.get("session:agent:AG001:product_access") == "auto,home,life"
    assert (
        store.get("session:agent:AG001:permissions") == "create_quotes,bind_policies,process_claims,view_customer_data"
    )
