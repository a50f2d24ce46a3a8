"""A supervisor's morning: what needs attention, a claim above an agent's authority, renewals, policies for another
agent, the figures.
"""

from __future__ import annotations

import re

from playwright.sync_api import expect

from dashboard import clock
from tests.browser.conftest import Enter, live
from tests.browser.test_journeys import write_quote
from tests.processes import Dashboard


def test_a_supervisors_morning(enter: Enter, dashboard: Dashboard) -> None:
    agent = enter("AG001", "/claims/CLM004/approve/")
    agent.fill("[name=final_amount]", "18700")
    agent.click("main button.prime")
    agent.wait_for_url("**/claims/CLM004/")

    page = live(enter("SUP001", "/"))
    page.click("nav >> text=Claims")
    page.wait_for_url("**/claims/")
    page.click("main a:text-is('CLM004')")
    page.wait_for_url("**/claims/CLM004/")
    page.click(".acts a[href$='/approve/']")
    page.wait_for_url("**/approve/")
    page.click("main button.prime")
    expect(page.locator("#decision")).to_contain_text("Approved")
    expect(agent.locator("#decision")).to_contain_text("Approved")

    page.goto("/policies/renewals/")
    page.click("#rows a[href$='/renew/'] >> nth=0")
    page.wait_for_url("**/renew/")
    page.click("main button.prime")
    page.wait_for_url(re.compile(r"/policies/\w+/\d+/$"))
    expect(page.locator("main")).to_contain_text("Renewed")

    page.goto("/metrics/")
    expect(page.locator("main")).to_contain_text("Policies sold")
    page.click("text=Trends")
    expect(page.locator("main .chart svg").first).to_be_visible()


def test_bulk_work_is_previewed_done_and_reported_live(enter: Enter, dashboard: Dashboard) -> None:
    for number in ("Q901", "Q902"):
        write_quote(dashboard, number)
    page = live(enter("AG001", "/quotes/?agent=AG001"))
    for number in ("Q901", "Q902"):
        page.check(f"#q-auto-{number} [name=q]")
    page.click("button:has-text('Extend…')")
    page.wait_for_url("**/jobs/*/")
    page.click("button:has-text('Do it to 2')")
    expect(page.locator("#progress")).to_contain_text("2 done")
    expect(page.locator("progress")).to_have_js_property("value", 2)
    assert dashboard.store.pttl("quote:auto:Q901:customer") > 6 * clock.MINUTE
