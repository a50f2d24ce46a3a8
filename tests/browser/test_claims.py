"""A claim from its first notice to payment, by the people who do it, in real browsers against the real thing."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Enter, live
from tests.processes import Dashboard


def step(page: Page, name: str, **typed: str) -> None:
    """Open a step from the claim's page, fill it in and send it, impatiently."""
    page.click(f".head .acts a:has-text('{name}')")
    for field, value in typed.items():
        page.fill(f"[name={field}]", value)
    page.dblclick(".form-acts button")
    page.wait_for_url(re.compile(r"/claims/CLM\d+/$"))


def test_a_claim_goes_from_first_notice_to_payment(enter: Enter, dashboard: Dashboard) -> None:
    agent = enter("AG001", "/claims/new/?policy=auto:100001")
    agent.fill("[name=summary]", "Auto Accident")
    agent.fill("[name=incident_date]", "2026-01-20T10:00")
    agent.fill("[name=location]", "I-35 and Main St, Dallas TX")
    agent.fill("[name=estimated_amount]", "9000")
    agent.click("main button.prime")
    agent.wait_for_url(re.compile(r"/claims/CLM\d+/$"))
    number = agent.url.split("/")[-2]
    step(agent, "Assign an adjuster", adjuster="ADJ001")
    step(agent, "Update investigation", photos="12", witness_statements="2", notes="Bumper and hood")
    step(agent, "Reserve", reserve="9500")
    supervisor = live(enter("SUP001", "/claims/?stage=waiting"))
    step(agent, "Approve", final_amount="8500")
    expect(agent.locator("h1")).to_contain_text("Awaiting approval")
    expect(supervisor.locator(f"#claim-{number}")).to_contain_text("$8,500")
    supervisor.click(f"#claim-{number} a:has-text('{number}')")
    step(supervisor, "Send back", reason="Show the second estimate")
    expect(live(agent).locator("#body")).to_contain_text("Show the second estimate")
    step(agent, "Approve", final_amount="8200")
    step(supervisor, "Approve")
    expect(agent.locator("#decision")).to_contain_text("Approved")
    step(agent, "Pay")
    expect(agent.locator("#decision")).to_contain_text("$8,200")
    step(agent, "Close")
    expect(supervisor.locator("h1")).to_contain_text("Closed")
    kept = dashboard.store
    assert kept.mget(f"claim:{number}:status", f"claim:{number}:paid_amount") == ["CLOSED", "8200"]
    assert kept.get(f"claim:{number}:location") == "I-35 and Main St, Dallas TX"
    assert kept.ttl(f"investigation:{number}") == -1
    assert not kept.exists(f"claim:temp:{number}", f"claim:temp:{number}:location")
    assert len(kept.keys(f"audit:payment:transaction:TXN-{number}-*")) == 1
    step(supervisor, "Reopen", reason="Hidden damage")
    expect(supervisor.locator("h1")).to_contain_text("Under investigation")
    agent.goto("/claims/")
    expect(agent.locator("#col-investigating")).to_contain_text(number)


def test_a_claim_that_ends_unhandled_is_restored_in_one_click(enter: Enter, dashboard: Dashboard) -> None:
    page = live(enter("SUP001", "/claims/"))
    dashboard.store.set("claim:temp:CLM870", "Hail - Initial Report - Customer: CUST005 - Estimated: $700", ex=3)
    expect(page.locator("#claim-CLM870")).to_contain_text("Ends within the hour")
    expect(page.locator("#claim-CLM870")).to_have_count(0)
    page.goto("/claims/?stage=lapsed")
    page.click("#claim-CLM870 button:text('Restore')")
    expect(page.locator("#toasts")).to_contain_text("Claim CLM870 is restored")
    assert dashboard.store.ttl("claim:temp:CLM870") > 6 * 86_400


def test_a_claim_moves_with_its_policys_agent_at_once(enter: Enter, dashboard: Dashboard) -> None:
    store = dashboard.store
    store.mset({"policy:auto:770001:status": "ACTIVE", "policy:auto:770001:agent": "AG001"})
    store.set("claim:temp:CLM871", "Hail - Policy: auto:770001", ex=900_000)
    houston = live(enter("AG002", "/claims/"))
    expect(houston.locator("#col-reported")).to_be_visible()
    expect(houston.locator("#claim-CLM871")).to_have_count(0)
    store.set("policy:auto:770001:agent", "AG002")
    expect(houston.locator("#claim-CLM871")).to_have_count(1)
