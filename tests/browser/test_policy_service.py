"""From quote to bind to endorsement, and the renewal queue, in a real browser."""

from __future__ import annotations

import re
from datetime import timedelta

from playwright.sync_api import expect

from dashboard import clock
from tests.browser.conftest import Enter, live
from tests.processes import Dashboard

VIN = "1HGBH41JXMN109186"


def write_policy(dashboard: Dashboard, number: str, ends: int, **facts: str) -> None:
    """As another tool writes one, with plain commands (the document, line 8)."""
    days = {"effective_date": clock.today() - timedelta(days=300), "expiration_date": clock.today() + timedelta(ends)}
    first = {"status": "ACTIVE", "premium": "1200", "customer": "CUST001", "agent": "AG001", "vehicle": "Kia Rio 2020"}
    for name, value in {**first, **{name: day.isoformat() for name, day in days.items()}, **facts}.items():
        dashboard.store.set(f"policy:auto:{number}:{name}", value)


def test_a_quote_is_bound_and_the_policy_endorsed_and_the_endorsement_undone(
    enter: Enter, dashboard: Dashboard
) -> None:
    page = enter("AG001", "/quotes/new/")
    page.fill("[name=customer]", "CUST004")
    page.fill("[name=vehicle]", "2020 Toyota Camry LE")
    page.fill("[name=premium]", "1200")
    page.click("text=Start quote")
    page.wait_for_url(re.compile(r"/quotes/auto/Q\d+/$"))
    page.click("text=Bind…")
    page.click("button:text-is('Bind policy')")
    page.wait_for_url(re.compile(r"/policies/auto/\d+/$"))
    number = page.url.split("/")[-2]
    colleague = live(enter("SUP001", f"/policies/auto/{number}/"))

    page.click("main a:has-text('Endorse…')")
    page.fill("[name=vehicle_vin]", VIN)
    expect(page.locator("#vin")).to_contain_text("Honda, United States")
    page.fill("[name=vehicle]", "2021 Toyota Camry XLE")
    expect(page.locator("#vin")).to_contain_text("the vehicle is called 2021 Toyota Camry XLE")
    page.fill("[name=vehicle]", "2021 Honda Civic")
    expect(page.locator("#vin .warn")).to_have_count(0)
    page.fill("[name=premium]", "1,350")
    page.fill("[name=reason]", "new car")
    page.dblclick("button:text-is('Endorse policy')")
    page.wait_for_url(re.compile(rf"/policies/auto/{number}/$"))
    expect(page.locator("main")).to_contain_text("Premium updated from 1200 to 1350")
    assert dashboard.store.get(f"policy:auto:{number}:premium") == "1350"
    assert "2021 Honda Civic" in dashboard.store.get(f"policy:auto:{number}:details")
    assert len(dashboard.store.keys(f"audit:policy:auto:{number}:change:*")) == 2
    expect(colleague.locator("main")).to_contain_text("2021 Honda Civic")

    live(page).click("#undo button")
    expect(page.locator("#toasts")).to_contain_text("is undone")
    expect(page.locator("#undo")).to_have_count(0)
    assert dashboard.store.get(f"policy:auto:{number}:premium") == "1200"
    assert not dashboard.store.exists(f"policy:auto:{number}:vehicle_vin")


def test_the_renewal_queue_follows_what_others_do(enter: Enter, dashboard: Dashboard) -> None:
    page = live(enter("AG001", "/policies/renewals/?agent=AG001"))
    write_policy(dashboard, "190001", ends=1)
    row = page.locator("#r-auto-190001")
    expect(row).to_contain_text("tomorrow")
    other = enter("SUP001", "/policies/auto/190001/renew/")
    assert other.input_value("[name=premium]") == "1236"
    other.click("button:text-is('Renew policy')")
    other.wait_for_url("**/policies/auto/190001/")
    expect(row).to_have_count(0)


def test_a_picked_policy_stays_picked_through_live_updates_and_goes_to_another_agent(
    enter: Enter, dashboard: Dashboard
) -> None:
    write_policy(dashboard, "190002", ends=100, customer="CUST777")
    write_policy(dashboard, "190003", ends=100, customer="CUST777")
    page = live(enter("SUP001", "/policies/?customer=CUST777"))
    expect(page.locator("#p-auto-190002")).to_have_count(1)
    page.check("#p-auto-190002 [name=pick]")
    dashboard.store.set("policy:auto:190003:premium", "999")
    expect(page.locator("#p-auto-190003")).to_contain_text("$999")
    assert page.is_checked("#p-auto-190002 [name=pick]")
    page.click("button:has-text('Another agent for those picked')")
    page.fill("[name=agent]", "AG003")
    page.fill("[name=reason]", "moved to Fort Worth")
    page.click("button:text-is('Preview')")
    live(page).click("button:has-text('Do it to 1')")
    expect(page.locator("main")).to_contain_text("1 done", timeout=20_000)
    assert dashboard.store.mget("policy:auto:190002:agent", "policy:auto:190003:agent") == ["AG003", "AG001"]
