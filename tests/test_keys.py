"""The key catalogue: every key of the customer's document is known, and building and parsing are inverse."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import keys
from dashboard.keys import BadIdentifier, Family

# Every key the customer's document writes: its type, and the seconds it is given there (None: none).
DOCUMENT = """
policy:auto:100001:details string -
policy:auto:100001:status string -
policy:auto:100001:premium string -
policy:auto:100001:customer string -
policy:auto:100001:agent string -
policy:auto:100001:effective_date string -
policy:auto:100001:expiration_date string -
policy:auto:100001:vehicle_vin string -
policy:auto:100001:coverage_limits string -
policy:auto:100001:deductible string -
policy:home:200001:details string -
policy:home:200001:status string -
policy:home:200001:premium string -
policy:home:200001:customer string -
policy:home:200001:property_address string -
policy:home:200001:property_value string -
policy:home:200001:coverage_type string -
policy:home:200001:deductible string -
policy:auto:100001 hash -
location:dallas:75201:policies string -
location:dallas:75201:risk_score string -
customer:CUST001:profile string -
customer:CUST001:address string -
customer:CUST001:risk_score string -
customer:CUST001:credit_score string -
customer:CUST001:customer_since string -
customer:CUST001:communication_preference string -
customer:CUST001:marketing_opt_in string -
customer:CUST001:preferred_agent string -
customer:CUST001:payment_method string -
customer:CUST001:policies string -
customer:CUST001:policy_count string -
customer:CUST001:total_premium string -
customer:CUST001:last_login string -
customer:CUST001:login_count string -
customer:CUST001:last_payment string -
segment:high_risk set -
segment:medium_risk set -
segment:low_risk set -
tier:platinum set -
tier:gold set -
tier:silver set -
customer:multi_policy set -
quote:auto:Q001 string 300
quote:auto:Q001:customer string 300
quote:auto:Q001:vehicle string 300
quote:auto:Q001:premium string 300
quote:auto:Q001:agent string 300
quote:auto:Q001:created string 300
quote:auto:Q002 string 900
quote:auto:Q002:customer string 900
quote:auto:Q002:vehicle string 900
quote:auto:Q002:premium string 900
quote:auto:Q002:coverage_type string 900
quote:life:Q001 string 1800
quote:life:Q001:customer string 1800
quote:life:Q001:coverage_amount string 1800
quote:life:Q001:term_years string 1800
quote:life:Q001:premium_monthly string 1800
quote:life:Q001:medical_exam_required string 1800
quote:life:Q001 string 3600
quote:life:Q001:customer string 3600
quote:life:Q001:coverage_amount string 3600
underwriting:assessment:Q001 string 3600
underwriting:medical_exam:Q001 string 7200
session:customer:CUST001:portal string 1800
session:customer:CUST001:device string 1800
session:customer:CUST001:permissions string 1800
session:customer:CUST001:last_activity string 1800
session:mobile:CUST001:device123 string 7200
session:tablet:CUST001:device456 string 7200
session:agent:AG001:workstation string 28800
session:agent:AG001:permissions string 28800
session:agent:AG001:branch_access string 28800
session:agent:AG001:product_access string 28800
session:agent:AG001:quotes_today string 28800
session:agent:AG001:policies_sold_today string 28800
session:agent:AG001:customer_calls_today string 28800
claim:temp:CLM003 string 604800
claim:temp:CLM003:reporter string 604800
claim:temp:CLM003:incident_date string 604800
claim:temp:CLM003:location string 604800
investigation:CLM003 string 2592000
investigation:CLM003:adjuster string 2592000
investigation:CLM003:status string 2592000
investigation:CLM003:estimated_amount string 2592000
claim:CLM003:details string -
claim:CLM003:final_amount string -
claim:CLM003:status string -
claim:CLM003:approval_date string -
quote:auto:Q010 string 180
quote:auto:Q011 string 300
quote:auto:Q012 string 600
session:customer:CUST001:activity_level string 1800
session:customer:CUST002:activity_level string 3600
session:customer:CUST003:activity_level string 900
session:customer:CUST004:activity_level string 7200
metrics:daily:2024-08-18:policies_sold string 86400
metrics:daily:2024-08-18:revenue string 86400
metrics:daily:2024-08-18:claims_filed string 86400
metrics:daily:2024-08-18:quotes_generated string 86400
metrics:daily:2024-08-18:auto:policies_sold string 86400
metrics:daily:2024-08-18:home:policies_sold string 86400
metrics:daily:2024-08-18:life:policies_sold string 86400
metrics:daily:2024-08-18:agent:AG001:policies_sold string 86400
metrics:daily:2024-08-18:agent:AG002:policies_sold string 86400
metrics:daily:2024-08-18:agent:AG003:policies_sold string 86400
metrics:weekly:2024-W33:policies_sold string 604800
metrics:weekly:2024-W33:revenue string 604800
metrics:weekly:2024-W33:customer_acquisition string 604800
metrics:monthly:2024-08:policies_sold string 2592000
metrics:monthly:2024-08:revenue string 2592000
metrics:monthly:2024-08:claims_ratio string 2592000
metrics:quarterly:2024-Q3:growth_rate string 7776000
metrics:quarterly:2024-Q3:customer_retention string 7776000
security:failed_logins:CUST001 string 300
security:lockout:CUST001:level1 string 900
security:lockout:CUST001:level2 string 3600
security:lockout:CUST001:level3 string 86400
security:password_reset:CUST001:token123 string 900
security:2fa:CUST001:code789 string 300
audit:policy:auto:100001:change:20240818 string 31536000
audit:access:customer:CUST001:20240818 string 7776000
audit:payment:transaction:TXN001 string 220752000
compliance:review:policy:auto:100001 string 2592000
"""

# Trap 14: written without a lifetime, though their quotes have one. They must be recognised, and are never enough
# to make a quote.
GHOSTS = ("quote:auto:Q010:risk_level", "quote:auto:Q011:risk_level", "quote:auto:Q012:risk_level")

ROWS = [tuple(line.split()) for line in DOCUMENT.split("\n") if line]

# Each with how its slot may not be filled: what delimits names, globs, hash tags, texts, lists and addresses, white
# space and what cannot be seen.
REFUSED = [
    "",
    *":*?[]^\\{}|,/",
    " ",
    "\t",
    "\n",
    "\x00",
    "\x1f",
    "\x7f",
    "\x85",
    "\u00a0",
    "\u200b",
    "\u2028",
    "\ufeff",
]
REFUSED += ["\udcff", "\u202e"]  # a byte that was no UTF-8; a turn of the writing's direction


@pytest.mark.parametrize(("key", "kind", "seconds"), ROWS)
def test_a_key_of_the_customers_document_is_known_with_its_type_and_lifetime(key: str, kind: str, seconds: str) -> None:
    parsed = keys.parse(key)
    assert parsed is not None
    assert parsed.family.kind == kind
    if seconds == "-":
        assert parsed.family.lives is None
    else:
        assert parsed.family.lives is not None
        shortest, longest = parsed.family.lives
        assert shortest <= int(seconds) <= longest


@pytest.mark.parametrize("key", GHOSTS)
def test_trap_14_a_risk_level_is_part_of_its_quote_though_the_document_gives_it_no_lifetime(key: str) -> None:
    parsed = keys.parse(key)
    assert parsed is not None
    assert parsed.family is keys.quote_field
    assert parsed.family.lives is not None, "ours share the root's deadline"
    assert parsed.subject == key.removeprefix("quote:").removesuffix(":risk_level")


def test_every_family_that_is_not_ours_stands_in_the_document() -> None:
    found = {parsed.family for row in ROWS if (parsed := keys.parse(row[0]))}
    missing = {
        family.pattern
        for family in set(keys.CATALOGUE.values()) - found
        if not family.pattern.startswith("dash:") and "(ours)" not in family.meaning
    }
    # Each form of a metric stands there once for some period, and may stand for any.
    assert {pattern for pattern in missing if not pattern.startswith("metrics:")} == set()


@pytest.mark.parametrize(
    ("key", "family"),
    [
        ("claim:temp:CLM003", keys.claim_temp),
        ("claim:temp:status", keys.claim_temp),
        ("claim:CLM003:status", keys.claim_field),
        ("customer:multi_policy", keys.multi_policy),
        ("metrics:daily:2024-08-18:auto:revenue", keys.daily_department_metric),
        ("metrics:daily:2024-08-18:agent:AG001:revenue", keys.daily_agent_metric),
        ("metrics:daily:2024-08-18:agent:auto:revenue", keys.daily_agent_metric),
        ("session:agent:AG001:device", keys.workstation_field),
        ("session:mobile:agent:device", keys.device_session),
        ("policy:auto:details", keys.policy),
    ],
)
def test_trap_2_a_reserved_word_is_never_taken_for_an_identifier(key: str, family: Family) -> None:
    parsed = keys.parse(key)
    assert parsed is not None
    assert parsed.family is family


def test_trap_2_an_identifier_is_never_a_reserved_word() -> None:
    for build in (lambda: keys.claim_field("temp", "status"), lambda: keys.customer_field("multi_policy", "profile")):
        with pytest.raises(BadIdentifier):
            build()


@pytest.mark.parametrize(
    ("key", "session", "is_one"),
    [
        ("session:customer:CUST001:portal", "customer:CUST001:portal", True),
        ("session:customer:CUST001:device", "customer:CUST001:portal", False),
        ("session:customer:CUST001:activity_level", "customer:CUST001:portal", False),
        ("session:agent:AG001:workstation", "agent:AG001:workstation", True),
        ("session:agent:AG001:quotes_today", "agent:AG001:workstation", False),
        ("session:mobile:CUST001:device123", "mobile:CUST001:device123", True),
        ("session:tablet:CUST001:portal", "tablet:CUST001:portal", True),
    ],
)
def test_trap_5_portal_workstation_and_devices_are_sessions_and_the_rest_are_attributes_of_one(
    key: str, session: str, is_one: bool
) -> None:
    parsed = keys.parse(key)
    assert parsed is not None
    assert parsed.subject == session
    assert (parsed.family in (keys.portal, keys.workstation, keys.device_session)) is is_one


@pytest.mark.parametrize("role", ["desktop", "supervisor", "portal", ""])
def test_trap_5_no_other_word_stands_in_the_second_place(role: str) -> None:
    assert keys.parse(f"session:{role}:CUST001:portal") is None
    assert keys.parse(f"session:{role}:CUST001:device123") is None


def test_trap_4_a_quote_is_named_by_product_and_number() -> None:
    auto, life = keys.parse("quote:auto:Q001"), keys.parse("quote:life:Q001")
    assert auto is not None
    assert life is not None
    assert (auto.subject, life.subject) == ("auto:Q001", "life:Q001")
    underwriting = keys.parse("underwriting:assessment:Q001")
    assert underwriting is not None
    assert underwriting.subject == "life:Q001", "underwriting belongs to life"


@pytest.mark.parametrize(
    "key",
    [
        "",
        ":",
        "policy",
        "policy:",
        "policy:boat:1:status",
        "policy:auto:100001:colour",
        "policy:auto::status",
        "policy:auto:100001:status:more",
        "policy:auto:100 001:status",
        "quote:auto:Q*",
        "quote:auto:{Q1}",
        "Quote:auto:Q001",
        " quote:auto:Q001",
        "quote:auto:Q001\n",
        "session:desktop:CUST001:device1",
        "session:customer:CUST001:colour",
        "metrics:daily:2024-8-18:revenue",
        "metrics:hourly:2024-08-18:revenue",
        "security:lockout:CUST001:level4",
        "audit:policy:auto:100001:change:yesterday",
        "test:1",
        "temp:1",
        "\udcff\udcfe",
        "quote:auto:" + "Q" * 65,
    ],
)
def test_what_is_none_of_ours_is_not_recognised(key: str) -> None:
    assert keys.parse(key) is None


@pytest.mark.parametrize("part", REFUSED)
def test_what_must_not_stand_in_a_key_name_is_no_identifier(part: str) -> None:
    assert not keys.is_identifier(part)
    assert not keys.is_identifier(f"Q{part}1" if part else "")
    with pytest.raises(BadIdentifier):
        keys.quote("auto", f"Q{part}1" if part else "")
    assert keys.parse(f"quote:auto:Q{part}1" if part else "quote:auto:") is None


def test_a_family_wants_all_its_parts() -> None:
    with pytest.raises(TypeError):
        keys.policy_field("auto", "100001")


def test_the_longest_identifier_has_64_characters() -> None:
    assert keys.is_identifier("Q" * 64)
    assert not keys.is_identifier("Q" * 65)


# -- inverse

IDENTIFIERS = st.text(min_size=1, max_size=64).filter(keys.is_identifier) | st.from_regex(
    r"[A-Za-z]{1,6}[0-9]{1,8}", fullmatch=True
)
FREE = ("rest",)
"""Slots that hold names of others: the web framework's own."""

SLOTS = {
    "product": st.sampled_from(keys.PRODUCTS),
    "date": st.dates().map(lambda day: f"{day:%Y-%m-%d}".rjust(10, "0")),
    "week": st.from_regex(r"20[0-9]{2}-W[0-5][0-9]", fullmatch=True),
    "month": st.from_regex(r"20[0-9]{2}-[01][0-9]", fullmatch=True),
    "quarter": st.from_regex(r"20[0-9]{2}-Q[1-4]", fullmatch=True),
    "stamp": st.from_regex(r"[0-9]{8}(?:T[0-9]{9}-[0-9a-f]{8})?", fullmatch=True),
    "device": st.sampled_from(keys.DEVICES),
    "level": st.sampled_from(keys.LOCKOUT_LEVELS),
    "metric": st.sampled_from(keys.METRICS),
    "cell": st.from_regex(r"all|[a-z]{1,9}=[A-Za-z0-9]{0,9}(?:,[a-z]{1,9}=[A-Za-z0-9]{0,9})?", fullmatch=True),
    "rest": st.text(min_size=1).filter(lambda text: "\n" not in text),
}


def parts_of(family: Family) -> st.SearchStrategy[tuple[str, ...]]:
    return st.tuples(*(slot_of(family, slot) for slot in family.slots))


def slot_of(family: Family, slot: str) -> st.SearchStrategy[str]:
    if slot == "field":
        return st.sampled_from(family.fields)
    if slot in keys._SLOTS:
        return SLOTS[slot] if slot in SLOTS else st.from_regex(re.compile(keys._SLOTS[slot], re.ASCII), fullmatch=True)
    return IDENTIFIERS.filter(lambda text: text not in ("temp", "multi_policy"))


@pytest.mark.parametrize("name", keys.CATALOGUE)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_no_family_takes_a_part_that_must_not_stand_in_a_key_name(name: str, data: st.DataObject) -> None:
    family = keys.CATALOGUE[name]
    parts = list(data.draw(parts_of(family)))
    for at, slot in enumerate(family.slots):
        if slot in FREE:
            continue
        bad = data.draw(st.sampled_from(REFUSED))
        spoiled = [*parts[:at], f"{parts[at]}{bad}" if bad else "", *parts[at + 1 :]]
        if slot == "cell" and bad == ",":
            continue  # a cell is a list of facets
        with pytest.raises(BadIdentifier):
            family(*spoiled)
            pytest.fail(f"{name} takes {bad!r} in its {slot}")


@pytest.mark.parametrize("name", keys.CATALOGUE)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_a_key_that_was_built_is_parsed_back_to_its_parts(name: str, data: st.DataObject) -> None:
    family = keys.CATALOGUE[name]
    parts = data.draw(parts_of(family))
    parsed = keys.parse(family(*parts))
    assert parsed is not None
    assert parsed.family is family
    assert tuple(parsed.parts[slot] for slot in family.slots) == parts


@st.composite
def names_like_ours(draw: st.DrawFn) -> str:
    """Known names, with a part or two replaced."""
    parts = draw(st.sampled_from([row[0] for row in ROWS])).split(":")
    for _ in range(draw(st.integers(0, 2))):
        parts[draw(st.integers(0, len(parts) - 1))] = draw(st.text(max_size=8) | st.sampled_from(parts))
    return ":".join(parts)


@settings(max_examples=300, deadline=None)
@given(names_like_ours() | st.text())
def test_a_key_that_was_parsed_is_built_again_from_its_parts(key: str) -> None:
    parsed = keys.parse(key)
    if parsed is not None:
        assert parsed.family(*(parsed.parts[slot] for slot in parsed.family.slots)) == key


@settings(max_examples=300, deadline=None)
@given(names_like_ours())
def test_a_key_is_of_one_family_only_but_for_the_reserved_words_that_come_first(key: str) -> None:
    fitting = [family for family in keys.CATALOGUE.values() if family.match(key) is not None]
    parsed = keys.parse(key)
    assert (parsed.family if parsed else None) is (fitting[0] if fitting else None)


# -- all keys of one thing


@pytest.mark.parametrize(
    ("names", "subject"),
    [
        (keys.policy_keys("auto", "100001"), "auto:100001"),
        (keys.quote_keys("life", "Q001"), "life:Q001"),
        (keys.claim_temp_keys("CLM003"), "CLM003"),
        (keys.investigation_keys("CLM003"), "CLM003"),
        (keys.claim_keys("CLM003"), "CLM003"),
        (keys.portal_keys("CUST001"), "customer:CUST001:portal"),
        (keys.workstation_keys("AG001"), "agent:AG001:workstation"),
    ],
)
def test_all_keys_of_a_thing_are_recognised_as_its_own(names: list[str], subject: str) -> None:
    assert len(set(names)) == len(names)
    assert {parsed.subject for name in names if (parsed := keys.parse(name))} == {subject}
    assert all(keys.parse(name) for name in names)


def test_our_own_bookkeeping_is_not_followed() -> None:
    assert "dash" not in keys.FOLLOWED_PREFIXES
    assert {"policy", "quote", "session", "claim", "investigation", "metrics"} <= set(keys.FOLLOWED_PREFIXES)
