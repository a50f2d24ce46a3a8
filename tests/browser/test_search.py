"""The box on every page as people use it: a few letters, the arrow keys, Enter; and without JavaScript."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Enter, live
from tests.processes import Dashboard


def found(page: Page) -> Locator:
    return page.locator("#jump-list [role=option]")


def typed(page: Page, text: str) -> None:
    page.keyboard.press("/")
    expect(page.locator("#jump")).to_be_focused()
    page.keyboard.type(text, delay=20)


def test_a_few_letters_the_arrow_keys_and_enter_lead_to_a_customer(enter: Enter) -> None:
    page = live(enter("AG001", "/quotes/"))
    typed(page, "smi")
    option = page.get_by_role("option", name=re.compile("John Smith"))
    expect(option).to_be_visible()
    box = page.locator("#jump")
    expect(box).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("group", name="Customers")).to_be_visible()
    expect(page.locator("#jump-status")).to_have_text(re.compile(r"\d+ results?"))
    page.keyboard.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", re.compile("jump-o1-1"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/customers/CUST001/")
    expect(page.locator("h1")).to_contain_text("John Smith")


def test_escape_closes_it_and_keeps_what_was_typed(enter: Enter) -> None:
    page = enter("AG001", "/policies/")
    page.keyboard.press("Control+k")
    page.keyboard.type("dallas")
    expect(found(page).first).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(found(page).last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#jump-list [aria-selected=true]")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#jump-list")).to_be_hidden()
    expect(page.locator("#jump")).to_have_value("dallas")


def test_enter_without_a_choice_goes_where_the_number_leads(enter: Enter) -> None:
    page = enter("AG001", "/")
    typed(page, "100001")
    page.keyboard.press("Enter")
    page.wait_for_url("**/policies/auto/100001/")


def test_what_another_tool_writes_is_found_as_soon_as_it_is_shown(enter: Enter, dashboard: Dashboard) -> None:
    page = live(enter("AG001", "/customers/"))
    dashboard.store.set("customer:CUST801:profile", "Quincy Adler|Phone:555-0801|Email:q@example.com")
    expect(page.locator("#k-CUST801")).to_be_visible()
    typed(page, "quin")
    page.get_by_role("option", name=re.compile("Quincy Adler")).click()
    page.wait_for_url("**/customers/CUST801/")


def test_the_open_list_survives_a_live_update(enter: Enter, dashboard: Dashboard) -> None:
    page = live(enter("AG001", "/customers/"))
    typed(page, "john s")
    expect(found(page).first).to_be_visible()
    dashboard.store.set("customer:CUST802:profile", "Zed Live|Phone:1")
    expect(page.locator("#k-CUST802")).to_be_visible()
    expect(found(page).first).to_be_visible()
    expect(page.locator("#jump")).to_have_value("john s")


def test_the_list_of_customers_follows_what_is_typed_and_stays_with_it(enter: Enter, dashboard: Dashboard) -> None:
    page = live(enter("AG001", "/customers/"))
    box = page.locator("#f-q")
    box.press_sequentially("john sm", delay=20)
    rows = page.locator("#rows tr:not(.gone)")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/customers/\?q=john\+sm$"))
    expect(box).to_be_focused()
    dashboard.store.set(
        "customer:CUST804:profile", "John Smithers|Phone:2"
    )  # a live update asks for what was typed last
    dashboard.store.set("customer:CUST805:profile", "Zoe Other|Phone:3")
    expect(rows).to_have_count(2)
    expect(page.locator("#k-CUST804")).to_be_visible()
    expect(page.get_by_role("link", name="CSV")).to_have_attribute("href", "/customers/csv/?q=john+sm")
    box.fill("")
    expect(page.locator("#k-CUST805")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/customers/$"))


def test_without_javascript_the_form_shows_what_was_found(browser: Browser, dashboard: Dashboard) -> None:
    window = browser.new_context(base_url=dashboard.address, java_script_enabled=False)
    page = window.new_page()
    page.goto("/login/")
    page.fill("[name=username]", "AG001")
    page.fill("[name=password]", dashboard.password)
    page.press("[name=password]", "Enter")
    page.fill("#jump", "dallas")
    page.press("#jump", "Enter")
    expect(page.locator("h1")).to_contain_text("found for “dallas”")
    page.get_by_role("link", name="John Smith").click()
    expect(page.locator("h1")).to_contain_text("John Smith")
    window.close()
