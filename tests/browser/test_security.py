"""Security and staff accounts, by the admin's browser: lifting after a question, another branch, and being closed out."""

from __future__ import annotations

from playwright.sync_api import expect

from dashboard import clock
from tests.browser.conftest import Enter, live
from tests.processes import Dashboard


def test_what_other_tools_lock_appears_and_is_lifted_after_asking(enter: Enter, dashboard: Dashboard) -> None:
    page = live(enter("ADM001", "/security/?kind=lock"))
    for person in ("CUST801", "CUST802"):
        dashboard.store.set(f"security:lockout:{person}:level1", "3_attempts", px=15 * clock.MINUTE)
    for person in ("CUST801", "CUST802"):
        page.check(f"[id='m-lock:{person}'] [name=matter]")
    page.click("text=Lift chosen")
    expect(page.locator("h1")).to_contain_text("Lift these 2?")
    page.click("form.form .prime")
    expect(page.locator("main")).not_to_contain_text("CUST801")
    assert not dashboard.store.exists("security:lockout:CUST801:level1", "security:lockout:CUST802:level1")


def test_an_account_that_is_closed_is_out_of_its_open_page(enter: Enter) -> None:
    agent = live(enter("AG003", "/quotes/"))
    admin = live(enter("ADM001", "/security/AG003/"))
    admin.click("text=Close account…")
    admin.click(".ask:popover-open .danger")
    expect(admin.locator("h1")).to_contain_text("Closed")
    agent.wait_for_url("**/login/**")
    admin.click("text=Open account again")
    expect(admin.locator("h1")).not_to_contain_text("Closed")
