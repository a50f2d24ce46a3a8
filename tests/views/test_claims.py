"""The claims pages: the pipeline, one claim, the first notice of loss and the steps to a decision."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit, claims

REPORT = {
    "summary": "Auto Accident",
    "incident_date": "2025-03-01T14:30",
    "location": "I-35 and Main St, Dallas TX",
    "policy": "auto:100001",
    "customer": "CUST001",
    "reporter": "",
    "estimated_amount": "$3,500",
    "token": "one",
}
STEPS: dict[str, dict[str, str]] = {
    "assign": {"adjuster": "ADJ001", "estimate": "", "instead_of": "ADJ001"},
    "investigation": {"photos": "12", "witness_statements": "2", "estimate": "3200", "notes": "ok"},
    "approve": {"final_amount": "3200"},
    "deny": {"reason": "Not covered"},
}


@pytest.fixture
def policy(demo: None, store: Redis) -> str:
    """AG001's, so of Dallas."""
    facts = {"details": "2020 Toyota Camry LE", "status": "ACTIVE", "customer": "CUST001", "agent": "AG001"}
    for name, value in facts.items():
        store.set(keys.policy_field("auto", "100001", name), value)
    store.set(keys.customer_field("CUST001", "profile"), "John Smith|DOB:1985-03-15")
    return "auto:100001"


@pytest.fixture
def claim(policy: str) -> str:
    """A claim under investigation."""
    number = claims.report(summary="Auto Accident", policy=policy, estimated_amount=Decimal(3500), by="AG001")
    claims.assign(number, "ADJ001", by="AG001")
    return number


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", response.content.decode())))


def keys_of(store: Redis, number: str) -> dict[str, str]:
    return {name: store.get(name) for name in claims.all_keys(number) if store.exists(name)}


# -- the pipeline


def test_the_pipeline_has_four_columns_that_say_what_to_do_next(agent_client: Client) -> None:
    page = agent_client.get("/claims/")
    for words in (
        "Reported",
        "Investigating",
        "Approved",
        "Denied",
        "Report a claim",
        "Assign an adjuster to a reported",
        "Nothing is approved and unpaid",
        "No denied claim is open",
    ):
        assert words in text_of(page)


def test_a_card_shows_claim_customer_amount_adjuster_and_the_time_the_store_keeps_it(
    agent_client: Client, store: Redis, claim: str
) -> None:
    page = agent_client.get("/claims/").content.decode()
    card = page[page.index(f'id="claim-{claim}"') :].partition("</li>")[0]
    for words in (claim, "John Smith", "$3,500", "ADJ001", "auto:100001", f"/claims/{claim}/approve/"):
        assert words in card
    assert f'data-deadline="{store.pexpiretime(f"investigation:{claim}")}"' in card


def test_a_live_update_gets_the_regions_alone(agent_client: Client, claim: str) -> None:
    update = agent_client.get("/claims/", headers={"HX-Request": "true"}).content.decode()
    assert f'id="claim-{claim}"' in update
    assert "<html" not in update


def test_the_filters_are_in_the_address_and_bad_ones_are_left_out(agent_client: Client, policy: str) -> None:
    first = claims.report(summary="Hail", policy=policy, by="AG001")
    second = claims.report(summary="Fire", customer="CUST002", by="AG001")
    for query, shown, hidden in (
        ("product=auto", first, second),
        ("product=none", second, first),
        ("customer=CUST002", second, first),
        ("stage=reported&product=auto", first, second),
    ):
        page = agent_client.get(f"/claims/?{query}").content.decode()
        assert f'id="claim-{shown}"' in page and f'id="claim-{hidden}"' not in page, query
    odd = "product=boat&customer=a:b*&adjuster=%00&stage=x&at=%3E9999999999999999999~x"
    page = agent_client.get(f"/claims/?{odd}").content.decode()
    assert f'id="claim-{first}"' in page and f'id="claim-{second}"' in page
    assert agent_client.get("/claims/?stage=denied&at=>0~x").status_code == 200


def test_a_stage_is_a_list_of_any_length(agent_client: Client, policy: str) -> None:
    for _ in range(53):
        claims.report(summary="Hail", policy=policy, by="AG001")
    board = text_of(agent_client.get("/claims/"))
    assert "All 53" in board
    page = agent_client.get("/claims/?stage=reported").content.decode()
    assert page.count('id="claim-') == 50
    assert "1–50 of 53" in page
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following
    assert (
        agent_client.get("/claims/" + unescape(following[1]).partition("/claims/")[2]).content.count(b'id="claim-') == 3
    )


def test_nobody_sees_other_branches_or_products_by_address_either(
    agent_client: Client, second_agent_client: Client, supervisor_client: Client, store: Redis, claim: str
) -> None:
    store.set("policy:life:300001:status", "ACTIVE")
    life = claims.report(summary="Death benefit", policy="life:300001", by="SUP001")
    nobodys = claims.report(summary="Hail", by="SUP001")
    board = second_agent_client.get("/claims/").content.decode()
    assert f'id="claim-{claim}"' not in board, "Dallas"
    assert f'id="claim-{life}"' not in board, "AG002 has no life"
    assert f'id="claim-{nobodys}"' in board
    for number in (claim, life):
        assert second_agent_client.get(f"/claims/{number}/").status_code == 404
        for step, typed in STEPS.items():
            assert second_agent_client.get(f"/claims/{number}/{step}/").status_code == 404
            assert second_agent_client.post(f"/claims/{number}/{step}/", typed).status_code == 404
    assert agent_client.get(f"/claims/{claim}/").status_code == 200
    assert supervisor_client.get(f"/claims/{life}/").status_code == 200


def test_strangers_are_sent_to_the_sign_in_page(anonymous_client: Client) -> None:
    for address in ("/claims/", "/claims/new/", "/claims/CLM001/", "/claims/CLM001/approve/"):
        response = anonymous_client.get(address)
        assert response.status_code == 302 and response["Location"].startswith("/login/")


# -- one claim


def test_a_claim_shows_its_facts_its_history_and_how_it_is_stored(agent_client: Client, claim: str) -> None:
    page = text_of(agent_client.get(f"/claims/{claim}/"))
    for words in ("Under investigation", "John Smith", "ADJ001", "Reported by AG001", "Assigned to ADJ001 by AG001"):
        assert words in page
    assert "As stored 13 keys" in page


def test_trap_25_what_was_told_of_a_claim_outlives_its_record(
    agent_client: Client, supervisor_client: Client, store: Redis
) -> None:
    number = claims.report(summary="Hail", location="Elm St, Dallas TX", by="AG001")
    store.delete(*keys_of(store, number))
    ended = supervisor_client.get(f"/claims/{number}/")
    assert ended.status_code == 200
    assert "ended" in text_of(ended) and "Elm St, Dallas TX" in text_of(ended)
    store.delete(keys.claim_snapshot(number))
    ended = supervisor_client.get(f"/claims/{number}/")
    assert "The record of this claim has ended" in text_of(ended) and "Elm St, Dallas TX" in text_of(ended)
    assert "Elm St" not in text_of(agent_client.get(f"/claims/{number}/")), "whose it was is not known any more"


def test_an_unknown_claim_and_one_whose_record_ended_say_so(agent_client: Client, store: Redis) -> None:
    assert agent_client.get("/claims/CLM999/").status_code == 404
    assert agent_client.get("/claims/a%2Ab/").status_code == 404
    number = claims.report(summary="Hail", by="AG001")
    store.delete(*keys_of(store, number), keys.claim_snapshot(number))
    ended = agent_client.get(f"/claims/{number}/")
    assert ended.status_code == 410
    assert "has ended" in text_of(ended)


def test_another_tools_approval_that_leaves_keys_to_end_is_named(agent_client: Client, store: Redis) -> None:
    store.set("claim:CLM003:status", "APPROVED")
    store.set("investigation:CLM003:status", "IN_PROGRESS", ex=1000)
    page = text_of(agent_client.get("/claims/CLM003/"))
    assert "1 key of its earlier records will still end" in page and "did not keep 1 fact of it" in page
    assert agent_client.get("/claims/CLM003/restore/").status_code == 405
    agent_client.post("/claims/CLM003/restore/", {"token": "t"})
    assert store.ttl("investigation:CLM003:status") == -1
    page = text_of(agent_client.get("/claims/CLM003/"))
    assert "will still end" not in page and "did not keep" not in page


BROKEN: list[tuple[list[Any], str]] = [
    (["RPUSH", "claim:temp:CLM009:location", "a"], "ocation holds a list"),
    (["HSET", "claim:temp:CLM009", "a", "b"], "holds a hash"),
    (["SET", "claim:temp:CLM009:location", b"\xff\xfe"], "not valid UTF-8"),
    (["SET", "claim:temp:CLM009", "x" * 1_000_000], "1,000,000 characters long"),
    (["SET", "claim:temp:CLM009:estimated_amount", "lots"], "is not an amount: lots"),
    (["SET", "claim:temp:CLM009:incident_date", "yesterday"], "is not a point in time: yesterday"),
    (["SET", "claim:CLM009:final_amount", "12,x"], "is not an amount"),
    (["SET", "claim:CLM009:status", "<b>MAYBE</b>"], "neither APPROVED nor DENIED"),
    (["SET", "investigation:CLM009", "Photos: <script>alert(1)</script>"], "no number after Photos"),
    (["SET", "claim:temp:CLM009:policy", "a'\"><b>"], "is not a policy"),
]


@pytest.mark.parametrize(("command", "words"), BROKEN)
def test_a_broken_claim_shows_what_is_wrong_and_the_page_stands(
    agent_client: Client, store: Redis, command: list[Any], words: str
) -> None:
    whole = claims.report(summary="Hail", by="AG001")
    store.execute_command(*command)
    claims.refresh(store, ["CLM009"])
    stage = claims.get(store, "CLM009").stage
    for address in ("/claims/", f"/claims/?stage={stage}", "/claims/CLM009/", "/claims/CLM009/deny/"):
        page = agent_client.get(address)
        assert page.status_code == 200
        assert words in text_of(page), address
        assert b"<script>alert" not in page.content and b"<b>" not in page.content
        assert len(page.content) < 100_000
    assert f'id="claim-{whole}"' in agent_client.get("/claims/").content.decode()


# -- reporting


def test_a_report_leads_to_the_claim(agent_client: Client, store: Redis, policy: str) -> None:
    response = agent_client.post("/claims/new/", REPORT)
    assert response.status_code == 302 and response["Location"] == "/claims/CLM001/"
    record = keys_of(store, "CLM001")
    assert record["claim:temp:CLM001"] == "Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500"
    assert record["claim:temp:CLM001:agent"] == "AG001"
    local = clock.moment(clock.ms(claims.get(store, "CLM001").incident)).astimezone(clock.zone())  # type: ignore[arg-type]
    assert f"{local:%Y-%m-%dT%H:%M}" == "2025-03-01T14:30", "typed in the business's zone"
    assert "Claim CLM001 is reported" in text_of(agent_client.get("/claims/CLM001/"))


def test_a_report_sent_twice_makes_one_claim(agent_client: Client, store: Redis, policy: str) -> None:
    first, second = agent_client.post("/claims/new/", REPORT), agent_client.post("/claims/new/", REPORT)
    assert first["Location"] == second["Location"] == "/claims/CLM001/"
    assert store.get(keys.daily_metric(clock.today().isoformat(), "claims_filed")) == "1"


def test_the_form_is_filled_in_from_a_policy(agent_client: Client, second_agent_client: Client, policy: str) -> None:
    page = agent_client.get("/claims/new/?policy=auto:100001").content.decode()
    assert 'value="auto:100001"' in page and 'value="CUST001"' in page and "2020 Toyota Camry LE" in page
    other = second_agent_client.get("/claims/new/?policy=auto:100001").content.decode()
    assert "2020 Toyota Camry LE" not in other and "CUST001" not in other


def test_a_report_may_leave_policy_and_customer_open_and_name_a_policy_by_its_number(
    agent_client: Client, store: Redis, policy: str
) -> None:
    agent_client.post("/claims/new/", {"summary": "Hail", "token": "a"})
    agent_client.post("/claims/new/", {"summary": "Hail", "policy": "100001", "token": "b"})
    assert claims.get(store, "CLM001").policy is None
    assert claims.get(store, "CLM002").policy == "auto:100001"
    assert claims.get(store, "CLM002").customer == "CUST001"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("summary", "", "This field is required"),
        ("summary", "a | b", "No |"),
        ("summary", "Hail - Customer: CUST9", "the stored line is divided by them"),
        ("policy", "auto:999999", "There is no such policy that you may see"),
        ("policy", "* * *", "There is no such policy that you may see"),
        ("customer", "a b", "No spaces"),
        ("incident_date", "2999-01-01T00:00", "cannot lie in the future"),
        ("incident_date", "nonsense", "Enter a valid date/time"),
        ("estimated_amount", "lots", "Give an amount"),
        ("estimated_amount", "-3", "More than 0"),
    ],
)
def test_errors_stand_beside_their_field_and_nothing_typed_is_lost(
    agent_client: Client, store: Redis, policy: str, field: str, value: str, words: str
) -> None:
    response = agent_client.post("/claims/new/", REPORT | {field: value})
    page = response.content.decode()
    assert response.status_code == 200
    error = re.search(rf'id="id_{field}_error">(.*?)</p>', page, re.DOTALL)
    assert error and words in unescape(error[1])
    for name, typed in (REPORT | {field: value}).items():
        if typed:
            assert f'value="{typed}"' in unescape(page), name
    assert not store.keys("claim:*")


# -- the steps


def test_a_claim_is_moved_from_report_to_approval(
    agent_client: Client, supervisor_client: Client, store: Redis, policy: str
) -> None:
    supervisor_client.post("/claims/new/", REPORT)
    for step, typed in (
        ("assign", {"adjuster": "adj001", "estimate": "3500", "instead_of": "", "token": "a"}),
        ("investigation", {**STEPS["investigation"], "token": "b"}),
        ("approve", {"final_amount": "3,200", "token": "c"}),
    ):
        assert agent_client.get(f"/claims/CLM001/{step}/").status_code == 200
        response = agent_client.post(f"/claims/CLM001/{step}/", typed)
        assert (response.status_code, response["Location"]) == (302, "/claims/CLM001/"), response.content.decode()
    claim = claims.get(store, "CLM001")
    assert (claim.stage, claim.final_amount, claim.deadline) == ("approved", Decimal(3200), None)
    assert (claim.location, claim.photos, claim.notes) == ("I-35 and Main St, Dallas TX", 12, "ok")
    page = text_of(agent_client.get("/claims/CLM001/"))
    assert "For good" in page and "Approved by AG001 with $3,200" in page


def test_a_claim_is_denied_with_a_reason(agent_client: Client, store: Redis, claim: str) -> None:
    response = agent_client.post(f"/claims/{claim}/deny/", {"reason": "Not covered", "token": "a"})
    assert response.status_code == 302
    assert claims.get(store, claim).denial_reason == "Not covered"
    assert "Not covered" in text_of(agent_client.get(f"/claims/{claim}/"))


@pytest.mark.parametrize("step", STEPS)
def test_looking_at_a_step_changes_nothing(agent_client: Client, store: Redis, claim: str, step: str) -> None:
    before = keys_of(store, claim)
    assert agent_client.get(f"/claims/{claim}/{step}/", STEPS[step]).status_code == 200
    assert agent_client.head(f"/claims/{claim}/{step}/").status_code in (200, 405)
    assert agent_client.put(f"/claims/{claim}/{step}/").status_code == 405
    assert keys_of(store, claim) == before


@pytest.mark.parametrize("step", STEPS)
def test_an_admin_reads_claims_and_takes_no_step(admin_client: Client, store: Redis, claim: str, step: str) -> None:
    before = keys_of(store, claim)
    assert admin_client.post(f"/claims/{claim}/{step}/", STEPS[step]).status_code == 403
    assert admin_client.get(f"/claims/{claim}/{step}/").status_code == 403
    assert admin_client.post("/claims/new/", REPORT).status_code == 403
    page = admin_client.get(f"/claims/{claim}/")
    assert page.status_code == 200 and f"/claims/{claim}/approve/" not in page.content.decode()
    assert f"/claims/{claim}/approve/" not in admin_client.get("/claims/").content.decode()
    assert keys_of(store, claim) == before


@pytest.mark.parametrize("step", STEPS)
def test_a_step_sent_twice_is_taken_once(agent_client: Client, store: Redis, claim: str, step: str) -> None:
    typed = {**STEPS[step], "token": "same"}
    if step == "assign":
        typed |= {"adjuster": "ADJ002"}
    first = agent_client.post(f"/claims/{claim}/{step}/", typed)
    records = len(audit.history(store, audit.CLAIM, claim))
    second = agent_client.post(f"/claims/{claim}/{step}/", typed)
    assert first.status_code == second.status_code == 302
    assert len(audit.history(store, audit.CLAIM, claim)) == records


def test_the_second_to_decide_is_told_who_decided_what_and_keeps_what_they_typed(
    agent_client: Client, supervisor_client: Client, store: Redis, claim: str
) -> None:
    supervisor_client.post(f"/claims/{claim}/approve/", {"final_amount": "3200", "token": "a"})
    before = keys_of(store, claim)
    late = agent_client.post(f"/claims/{claim}/deny/", {"reason": "Typed with care", "token": "b"})
    assert late.status_code == 409
    assert "already approved by SUP001 with $3,200" in text_of(late)
    assert "Typed with care" in late.content.decode()
    assert keys_of(store, claim) == before


def test_an_update_made_on_an_older_state_is_told_and_can_be_sent_again(
    agent_client: Client, store: Redis, claim: str
) -> None:
    seen = claims.get(store, claim).seen
    claims.update_investigation(claim, by="SUP001", photos=5)
    typed = {**STEPS["investigation"], "seen": seen, "token": "a"}
    late = agent_client.post(f"/claims/{claim}/investigation/", typed)
    assert late.status_code == 409 and "while you were editing" in text_of(late)
    fresh = re.search(r'name="seen" value="(\w+)"', late.content.decode())
    assert fresh and fresh[1] == claims.get(store, claim).seen
    again = agent_client.post(f"/claims/{claim}/investigation/", typed | {"seen": fresh[1]})
    assert again.status_code == 302
    assert claims.get(store, claim).photos == 12


@pytest.mark.parametrize(
    ("step", "field", "value"),
    [
        ("assign", "adjuster", "a b"),
        ("assign", "estimate", "x"),
        ("investigation", "photos", "-1"),
        ("investigation", "witness_statements", "many"),
        ("investigation", "notes", "x" * 2_001),
        ("approve", "final_amount", ""),
        ("approve", "final_amount", "0"),
        ("approve", "final_amount", "1e9"),
        ("approve", "final_amount", "1.234"),
        ("deny", "reason", ""),
        ("deny", "reason", "a|b"),
    ],
)
def test_what_a_step_refuses_is_said_beside_its_field(
    agent_client: Client, store: Redis, claim: str, step: str, field: str, value: str
) -> None:
    before = keys_of(store, claim)
    response = agent_client.post(f"/claims/{claim}/{step}/", {**STEPS[step], field: value, "token": "a"})
    assert response.status_code == 200
    assert f'id="id_{field}_error"' in response.content.decode()
    assert keys_of(store, claim) == before


def test_a_step_that_the_stage_does_not_allow_says_what_comes_first(agent_client: Client, store: Redis) -> None:
    number = claims.report(summary="Hail", by="AG001")
    assert "Nobody investigates this claim yet" in text_of(agent_client.get(f"/claims/{number}/approve/"))
    early = agent_client.post(f"/claims/{number}/approve/", {"final_amount": "1", "token": "a"})
    assert early.status_code == 409 and "assign an adjuster first" in text_of(early)
    claims.deny(number, "no", by="AG001")
    assert "This claim is decided" in text_of(agent_client.get(f"/claims/{number}/assign/"))
