"""The customer's document, as any other tool would send its commands: whole in document.md, and piece by piece here,
letter for letter.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from redis import Redis

# Policies, customers and areas: lines 7 to 40, and 318 to 325.
AUTO = """
SET policy:auto:100001:details "2020 Toyota Camry LE - John Smith - $1,200 premium"
SET policy:auto:100001:status "ACTIVE"
SET policy:auto:100001:premium 1200
SET policy:auto:100001:customer "CUST001"
SET policy:auto:100001:agent "AG001"
SET policy:auto:100001:effective_date "2024-01-15"
SET policy:auto:100001:expiration_date "2025-01-15"
SET policy:auto:100001:vehicle_vin "1HGBH41JXMN109186"
SET policy:auto:100001:coverage_limits "100/300/50"
SET policy:auto:100001:deductible 500
"""
HOME = """
SET policy:home:200001:details "123 Main St Dallas TX - Jane Doe - $800 premium"
SET policy:home:200001:status "ACTIVE"
SET policy:home:200001:premium 800
SET policy:home:200001:customer "CUST002"
SET policy:home:200001:property_address "123 Main St, Dallas TX 75201"
SET policy:home:200001:property_value 350000
SET policy:home:200001:coverage_type "FULL_REPLACEMENT"
SET policy:home:200001:deductible 1000
SET location:dallas:75201:policies "home:200001,auto:100001"
"""
CUSTOMER = """
SET customer:CUST001:profile "John Smith|DOB:1985-03-15|Phone:555-0123|Email:john.smith@email.com"
SET customer:CUST001:address "456 Oak St, Dallas TX 75201"
SET customer:CUST001:policies "auto:100001,home:200001"
SET customer:CUST001:policy_count 2
SET customer:CUST001:total_premium 2000
"""
HASH = 'HMSET policy:auto:100001 customer "CUST001" premium 1200 status "ACTIVE" agent "AG001"'

# Quotes: lines 91 to 136, and 200 to 210.
AUTO_QUOTE = """
SETEX quote:auto:Q001 300 "Honda Civic 2023 - Customer: CUST004 - Premium: $950/year"
SETEX quote:auto:Q001:customer 300 "CUST004"
SETEX quote:auto:Q001:vehicle 300 "Honda Civic 2023"
SETEX quote:auto:Q001:premium 300 "950"
SETEX quote:auto:Q001:agent 300 "AG001"
SETEX quote:auto:Q001:created 300 "2024-08-18T10:30:00Z"
"""
HIGH_VALUE_QUOTE = """
SETEX quote:auto:Q002 900 "BMW X5 2023 - Customer: CUST010 - Premium: $2,500/year"
SETEX quote:auto:Q002:customer 900 "CUST010"
SETEX quote:auto:Q002:vehicle 900 "BMW X5 2023"
SETEX quote:auto:Q002:premium 900 "2500"
SETEX quote:auto:Q002:coverage_type 900 "PREMIUM"
"""
LIFE_QUOTE = """
SETEX quote:life:Q001 1800 "Term Life $500K 20Y - Customer: CUST008 - Premium: $45/month"
SETEX quote:life:Q001:customer 1800 "CUST008"
SETEX quote:life:Q001:coverage_amount 1800 "500000"
SETEX quote:life:Q001:term_years 1800 "20"
SETEX quote:life:Q001:premium_monthly 1800 "45"
SETEX quote:life:Q001:medical_exam_required 1800 "yes"
SETEX underwriting:assessment:Q001 3600 "Age: 35, Health: Good, Smoker: No, Risk: Low"
SETEX underwriting:medical_exam:Q001 7200 "Scheduled for 2024-08-20T09:00:00Z"
"""
HALF_EXTENDED = """
EXPIRE quote:life:Q001 3600
EXPIRE quote:life:Q001:customer 3600
EXPIRE quote:life:Q001:coverage_amount 3600
"""
RISKS = """
SETEX quote:auto:Q010 180 "High-risk driver - Sports car - Premium: $3,500/year"
SET quote:auto:Q010:risk_level "HIGH"
SETEX quote:auto:Q011 300 "Average driver - Sedan - Premium: $1,200/year"
SET quote:auto:Q011:risk_level "MEDIUM"
SETEX quote:auto:Q012 600 "Excellent driver - Economy car - Premium: $800/year"
SET quote:auto:Q012:risk_level "LOW"
"""


def run(store: Redis, commands: str) -> None:
    """Each command as redis-cli would send it; what stands behind a # is a remark (trap 1), and a quoted script may have
    many lines.
    """
    for command in _commands(commands):
        store.execute_command(*command)


def _commands(text: str) -> Iterator[list[str]]:
    pending = ""
    for line in text.splitlines():
        pending += line + "\n"
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quotation goes on in the next line
            continue
        pending = ""
        if words:
            yield words


def blocks() -> dict[str, str]:
    """The document's command blocks by their headings, in its order."""
    found, heading, inside = {}, "", False
    for line in (Path(__file__).parent / "document.md").read_text().splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ")
        elif line.startswith("```"):
            inside = not inside
        elif inside:
            found[heading] = found.get(heading, "") + line + "\n"
    return found
