"""The claims pages beyond the report: what waits, what is paid, what ends soon, what lapsed; who may do what."""
# ruff: noqa: F811 (fixtures are taken by name)

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit, claims
from tests.views.test_claims import claim, keys_of, policy, text_of  # noqa: F401 (fixtures)

STEPS: dict[str, dict[str, str]] = {
    "reserve": {"reserve": "4000", "instead_of": ""},
    "return": {"reason": "A second estimate"},
    "pay": {"amount": "3200", "paid_before": "0"},
    "close": {},
    "reopen": {"reason": "Hidden damage"},
}
SUPERVISORS_ONLY = ("return", "reopen")


@pytest.fixture
def at_step(claim: str) -> dict[str, str]:
    """A claim for each step, where it can be taken."""

    def another() -> str:
        number = claims.report(summary="Auto Accident", policy="auto:100001", by="AG003")
        claims.assign(number, "ADJ001", by="AG003")
        return number

    found = {"reserve": claim, "return": another(), "pay": another(), "close": another(), "reopen": another()}
    claims.approve(found["return"], Decimal(9000), by="AG001", authority=Decimal(5000))
    for step in ("pay", "close", "reopen"):
        claims.approve(found[step], Decimal(3200), by="SUP001")
    claims.pay(found["close"], Decimal(3200), by="AG001")
    return found


def post(client: Client, number: str, step: str, **typed: str) -> Any:
    return client.post(f"/claims/{number}/{step}/", {**STEPS.get(step, {}), "token": "one", **typed})


# -- roles, methods, repeats


@pytest.mark.parametrize("step", STEPS)
def test_looking_at_a_step_changes_nothing(
    supervisor_client: Client, store: Redis, at_step: dict[str, str], step: str
) -> None:
    number = at_step[step]
    before = keys_of(store, number)
    assert supervisor_client.get(f"/claims/{number}/{step}/", STEPS[step]).status_code == 200
    assert supervisor_client.head(f"/claims/{number}/{step}/").status_code == 200
    assert supervisor_client.put(f"/claims/{number}/{step}/").status_code == 405
    assert keys_of(store, number) == before


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_taken_once_however_often_it_is_sent(
    supervisor_client: Client, store: Redis, at_step: dict[str, str], step: str
) -> None:
    number = at_step[step]
    first, records = post(supervisor_client, number, step), len(audit.history(store, audit.CLAIM, number))
    second = post(supervisor_client, number, step)
    assert (first.status_code, second.status_code) == (302, 302), first.content.decode()
    assert len(audit.history(store, audit.CLAIM, number)) == records


@pytest.mark.parametrize("step", STEPS)
def test_who_may_not_take_a_step_is_refused(
    agent_client: Client,
    second_agent_client: Client,
    admin_client: Client,
    store: Redis,
    at_step: dict[str, str],
    step: str,
) -> None:
    number = at_step[step]
    before = keys_of(store, number)
    assert post(admin_client, number, step).status_code == 403
    assert post(second_agent_client, number, step).status_code == (403 if step in SUPERVISORS_ONLY else 404)
    if step in SUPERVISORS_ONLY:
        assert post(agent_client, number, step).status_code == 403
        assert f"/claims/{number}/{step}/" not in agent_client.get(f"/claims/{number}/").content.decode()
    assert f"/claims/{number}/{step}/" not in admin_client.get(f"/claims/{number}/").content.decode()
    assert keys_of(store, number) == before


def test_a_step_from_the_wrong_stage_says_so_and_does_nothing(
    supervisor_client: Client, store: Redis, at_step: dict[str, str]
) -> None:
    number = at_step["reserve"]
    before = keys_of(store, number)
    for step in ("return", "pay", "close", "reopen"):
        answer = post(supervisor_client, number, step)
        assert answer.status_code == 409 and "is under investigation by now" in text_of(answer), step
        assert "This claim is under investigation" in text_of(supervisor_client.get(f"/claims/{number}/{step}/"))
    assert keys_of(store, number) == before


# -- approval by another


def test_what_is_above_an_agents_authority_waits_for_a_supervisor(
    agent_client: Client,
    supervisor_client: Client,
    store: Redis,
    policy: str,
) -> None:
    number = claims.report(summary="Auto Accident", policy=policy, by="AG003")
    claims.assign(number, "ADJ001", by="AG003")
    assert "Above your authority of $5,000" in text_of(agent_client.get(f"/claims/{number}/approve/"))
    answer = post(agent_client, number, "approve", final_amount="5000.01")
    assert answer.status_code == 302
    page = text_of(agent_client.get(f"/claims/{number}/"))
    assert "waits for a supervisor" in page and "$5,000.01 proposed by AG001" in page
    late = post(agent_client, number, "approve", final_amount="10", token="two")
    assert late.status_code == 403 and "waits for a supervisor" in text_of(late)
    assert post(agent_client, number, "deny", reason="no", token="three").status_code == 403
    assert f'id="claim-{number}"' in supervisor_client.get("/claims/?stage=waiting").content.decode()
    assert post(supervisor_client, number, "approve", final_amount="5000.01").status_code == 302
    assert claims.get(store, number).approved_by == "SUP001"


def test_the_authority_is_a_setting(agent_client: Client, store: Redis, policy: str, settings: Any) -> None:
    settings.CLAIM_AUTHORITY = 100
    number = claims.report(summary="Hail", policy=policy, by="AG003")
    claims.assign(number, "ADJ001", by="AG003")
    post(agent_client, number, "approve", final_amount="101")
    assert claims.get(store, number).stage == "waiting"


def test_nobody_approves_what_they_reported(
    agent_client: Client,
    supervisor_client: Client,
    store: Redis,
    policy: str,
) -> None:
    supervisor_client.post("/claims/new/", {"summary": "Hail", "policy": policy, "token": "a"})
    agent_client.post("/claims/CLM001/assign/", {"adjuster": "ADJ001", "instead_of": "", "token": "b"})
    assert "You reported this claim" in text_of(supervisor_client.get("/claims/CLM001/approve/"))
    post(supervisor_client, "CLM001", "approve", final_amount="10")
    assert claims.get(store, "CLM001").stage == "waiting"
    again = post(supervisor_client, "CLM001", "approve", final_amount="10", token="two")
    assert again.status_code == 403 and "You reported claim CLM001" in text_of(again)
    assert "/claims/CLM001/approve/" not in supervisor_client.get("/claims/CLM001/").content.decode()


# -- payment


def test_a_claim_goes_from_approval_through_payment_to_its_end_and_back(
    agent_client: Client, supervisor_client: Client, store: Redis, at_step: dict[str, str]
) -> None:
    number = at_step["pay"]
    assert "$3,200 is left to pay" in text_of(agent_client.get(f"/claims/{number}/pay/"))
    post(agent_client, number, "pay", amount="1,200")
    page = text_of(agent_client.get(f"/claims/{number}/"))
    assert "$1,200 $2,000 to pay" in page
    stale = post(agent_client, number, "pay", token="two", amount="2000")
    assert stale.status_code == 409 and "$1,200" in text_of(stale)
    assert 'name="paid_before" value="1200"' in stale.content.decode(), "who sends once more has been told"
    post(agent_client, number, "pay", token="three", amount="2000", paid_before="1200")
    post(agent_client, number, "close")
    assert claims.get(store, number).stage == "closed"
    assert post(agent_client, number, "reopen").status_code == 403
    post(supervisor_client, number, "reopen")
    assert "Reopened" in text_of(agent_client.get(f"/claims/{number}/"))
    assert claims.get(store, number).stage == "investigating"
    assert "Reopened: Hidden damage" in text_of(agent_client.get("/claims/"))


@pytest.mark.parametrize(
    ("step", "field", "value"),
    [
        ("reserve", "reserve", ""),
        ("reserve", "reserve", "-1"),
        ("return", "reason", ""),
        ("return", "reason", "a|b"),
        ("pay", "amount", "0"),
        ("pay", "amount", "3201"),
        ("pay", "amount", "lots"),
        ("reopen", "reason", ""),
    ],
)
def test_what_a_step_refuses_is_said_beside_its_field(
    supervisor_client: Client, store: Redis, at_step: dict[str, str], step: str, field: str, value: str
) -> None:
    before = keys_of(store, at_step[step])
    answer = post(supervisor_client, at_step[step], step, **{field: value})
    assert answer.status_code == 200
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert keys_of(store, at_step[step]) == before


# -- what ends soon, what has ended


def end(store: Redis, number: str) -> None:
    store.delete(*keys_of(store, number))
    claims.refresh(store, [number])


def test_a_claim_that_ends_soon_is_marked_counted_and_listed(
    agent_client: Client,
    second_agent_client: Client,
    supervisor_client: Client,
    store: Redis,
    claim: str,
) -> None:
    for left, mark in ((20 * clock.HOUR, "Ends within a day"), (clock.HOUR // 2, "Ends within the hour")):
        store.pexpire(f"claim:temp:{claim}", left)
        claims.refresh(store, [claim])
        for address in ("/claims/", "/claims/escalated/", f"/claims/{claim}/", "/claims/?stage=investigating"):
            assert mark in text_of(agent_client.get(address)), (address, mark)
    assert "1 record ends within a day, 1 within the hour" in text_of(supervisor_client.get("/claims/"))
    assert claim in text_of(supervisor_client.get("/"))
    assert "within the hour" not in text_of(second_agent_client.get("/claims/"))
    assert "No claim ends within a day" in text_of(second_agent_client.get("/claims/escalated/"))


def test_a_lapsed_claim_is_listed_shown_and_restored_by_those_who_saw_it(
    agent_client: Client,
    second_agent_client: Client,
    admin_client: Client,
    store: Redis,
    claim: str,
) -> None:
    end(store, claim)
    assert f'id="claim-{claim}"' in agent_client.get("/claims/?stage=lapsed").content.decode()
    assert f'id="claim-{claim}"' not in second_agent_client.get("/claims/?stage=lapsed").content.decode()
    assert "This is its snapshot" in text_of(agent_client.get(f"/claims/{claim}/"))
    assert second_agent_client.get(f"/claims/{claim}/").status_code in (404, 410)
    assert agent_client.get(f"/claims/{claim}/restore/").status_code == 405
    assert admin_client.post(f"/claims/{claim}/restore/").status_code == 403
    second_agent_client.post(f"/claims/{claim}/restore/")
    assert not keys_of(store, claim)
    for _ in range(2):
        answer = agent_client.post(f"/claims/{claim}/restore/", {"token": "a"})
        assert (answer.status_code, answer["Location"]) == (302, f"/claims/{claim}/")
    assert claims.get(store, claim).stage == "investigating"
    restored = [each for each in audit.history(store, audit.CLAIM, claim) if each.text.startswith("Restored by AG001")]
    assert len(restored) == 1


# -- lists


def test_ageing_and_adjusters_have_pages(
    agent_client: Client,
    supervisor_client: Client,
    second_agent_client: Client,
    claim: str,
) -> None:
    assert claim in text_of(agent_client.get("/claims/ageing/"))
    assert claim not in text_of(second_agent_client.get("/claims/ageing/"))
    assert "ADJ001" in text_of(supervisor_client.get("/claims/adjusters/"))
    assert agent_client.get("/claims/adjusters/").status_code == 403
    assert f'id="claim-{claim}"' in agent_client.get("/claims/adjusters/ADJ001/").content.decode()
    assert f'id="claim-{claim}"' not in second_agent_client.get("/claims/adjusters/ADJ001/").content.decode()
    assert agent_client.get("/claims/adjusters/a*b/").status_code == 404


def rows_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_a_stage_is_a_file_of_its_whole_filter_guarded_against_formulas(
    agent_client: Client,
    second_agent_client: Client,
    anonymous_client: Client,
    store: Redis,
    claim: str,
) -> None:
    for _ in range(60):
        claims.report(summary="Hail", policy="auto:100001", by="AG001")
    store.set("claim:temp:CLM900", "=1+1 - Policy: auto:100001", ex=1000)
    claims.refresh(store, ["CLM900"])
    answer = agent_client.get("/claims/csv/?stage=reported&product=auto")
    assert 'filename="claims-reported-' in answer["Content-Disposition"]
    rows = rows_of(answer)
    assert len(rows) == 61
    assert next(row for row in rows if row["Claim"] == "CLM900")["What happened"] == "'=1+1"
    assert claim in [row["Claim"] for row in rows_of(agent_client.get("/claims/csv/"))]
    assert rows_of(second_agent_client.get("/claims/csv/")) == []
    assert anonymous_client.get("/claims/csv/").status_code == 302


def test_what_is_empty_stays_empty_in_a_file(agent_client: Client, store: Redis) -> None:
    store.set("claim:temp:CLM901", "Fire", ex=1000)
    claims.refresh(store, ["CLM901"])
    (row,) = rows_of(agent_client.get("/claims/csv/?stage=reported"))
    assert (row["What happened"], row["Policy"], row["Branch"]) == ("Fire", "", "")


def test_a_list_is_sorted_by_how_long_its_claims_are_there(agent_client: Client, policy: str) -> None:
    claims.report(summary="Hail", policy=policy, by="AG001")
    page = agent_client.get("/claims/?stage=reported&sort=since").content.decode()
    assert 'aria-sort="ascending"' in page and "Longest at this stage first" in page
    assert agent_client.get("/claims/?stage=reported&sort=nonsense").status_code == 200


def test_cover_stands_on_the_claim_and_beside_the_approval_as_advice(
    agent_client: Client,
    store: Redis,
    claim: str,
) -> None:
    dates = {"effective_date": "2024-01-15", "expiration_date": "2025-01-15", "deductible": "500"}
    store.mset({keys.policy_field("auto", "100001", name): value for name, value in dates.items()})
    store.set(f"claim:temp:{claim}:incident_date", "2025-06-01T12:00:00Z", keepttl=True)
    for address in (f"/claims/{claim}/", f"/claims/{claim}/approve/"):
        page = text_of(agent_client.get(address))
        assert "after the policy ended on 15 Jan 2025" in page and "leaves $3,000" in page, address
    claims.approve(claim, Decimal(3000), by="SUP001")


@pytest.mark.parametrize(
    "command",
    [
        ["SET", "investigation:CLM009:status", "AWAITING_APPROVAL"],
        ["SET", "investigation:CLM009:proposed_amount", "lots"],
        ["RPUSH", "investigation:CLM009:reserve", "a"],
        ["SET", "claim:CLM009:status", "PAID"],
        ["SET", "claim:CLM009:status", "CLOSED"],
        ["SET", "claim:CLM009:status", "REOPENED"],
        ["SET", "claim:CLM009:paid_amount", "x"],
        ["SET", "claim:CLM009:paid_date", "soon"],
        ["SET", "claim:temp:CLM009:policy", "auto:100001"],
    ],
)
def test_whatever_another_tool_wrote_no_page_breaks(
    supervisor_client: Client,
    store: Redis,
    policy: str,
    command: list[str],
) -> None:
    store.set("investigation:CLM009", "Adjuster: ADJ001", ex=1000)
    store.execute_command(*command)
    claims.refresh(store, ["CLM009"])
    stage = claims.get(store, "CLM009").stage
    steps = ("assign", "investigation", "reserve", "approve", "return", "deny", "pay", "close", "reopen")
    for address in (
        "/claims/", f"/claims/?stage={stage}", "/claims/CLM009/", "/claims/ageing/", "/claims/adjusters/",
        "/claims/adjusters/ADJ001/", "/claims/escalated/", *(f"/claims/CLM009/{step}/" for step in steps),
    ):  # fmt: skip
        assert supervisor_client.get(address).status_code == 200, address
    assert rows_of(supervisor_client.get("/claims/csv/"))
