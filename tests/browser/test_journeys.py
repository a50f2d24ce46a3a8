"""What people do all day, in a real browser against the real thing."""

from __future__ import annotations

import os
import re
import signal

from playwright.sync_api import Page, expect

from tests.browser.conftest import Enter, live
from tests.processes import Dashboard


def write_quote(dashboard: Dashboard, number: str, seconds: int = 300) -> None:
    """As another tool writes one, with plain commands (the document, line 92)."""
    text = "Kia Rio 2022 - Customer: CUST004 - Premium: $700/year"
    dashboard.store.set(f"quote:auto:{number}", text, ex=seconds)
    for field, value in {"customer": "CUST004", "premium": "700", "agent": "AG001"}.items():
        dashboard.store.set(f"quote:auto:{number}:{field}", value, ex=seconds)


def row(page: Page, number: str) -> object:
    return page.locator(f"#q-auto-{number}")


def test_a_quote_counts_down_turns_red_and_leaves_with_a_notice(enter: Enter, dashboard: Dashboard) -> None:
    page = live(enter("AG001", "/quotes/"))
    write_quote(dashboard, "Q801", seconds=6)
    time_left = page.locator("#q-auto-Q801 .time")
    expect(time_left).to_have_class(re.compile("bad"))
    first = time_left.inner_text()
    page.wait_for_function("first => document.querySelector('#q-auto-Q801 .digits')?.textContent !== first", arg=first)
    expect(page.locator("#q-auto-Q801")).to_have_count(0)
    expect(page.locator("#toasts")).to_contain_text("Quote Q801 expired")


def test_a_quote_is_made_and_bound(enter: Enter) -> None:
    page = enter("AG001", "/quotes/")
    page.click("text=New quote")
    page.fill("[name=customer]", "CUST004")
    page.fill("[name=vehicle]", "Honda Civic 2023")
    page.fill("[name=premium]", "2500")
    expect(page.locator("#term")).to_contain_text("15 minutes")
    page.select_option("[name=risk_level]", "HIGH")
    expect(page.locator("#term")).to_contain_text("3 minutes")
    page.click("text=Start quote")
    page.wait_for_url(re.compile(r"/quotes/auto/Q\d+/$"))
    page.click("text=Bind…")
    page.dblclick("button:text-is('Bind policy')")
    page.wait_for_url(re.compile(r"/policies/auto/\d+/$"))
    expect(page.locator("main")).to_contain_text("Bound from quote")


def test_a_colleague_who_binds_first_is_shown_on_the_open_form(enter: Enter, dashboard: Dashboard) -> None:
    write_quote(dashboard, "Q802")
    slow = live(enter("AG001", "/quotes/auto/Q802/bind/"))
    slow.fill("[name=vehicle_vin]", "1HGBH41JXMN109186")
    fast = enter("SUP001", "/quotes/auto/Q802/bind/")
    fast.click("button:text-is('Bind policy')")
    fast.wait_for_url(re.compile(r"/policies/auto/\d+/$"))
    expect(slow.locator("#standing")).to_contain_text("by SUP001")
    assert slow.input_value("[name=vehicle_vin]") == "1HGBH41JXMN109186"


def test_extending_on_the_board_stays_there(enter: Enter, dashboard: Dashboard) -> None:
    write_quote(dashboard, "Q803", seconds=45)
    page = live(enter("AG001", "/quotes/?agent=AG001"))
    page.locator("#q-auto-Q803 button").click()
    expect(page.locator("#toasts")).to_contain_text("Quote Q803 now holds until")
    assert page.url.endswith("/quotes/?agent=AG001")
    assert dashboard.store.ttl("quote:auto:Q803:customer") > 100


def test_a_revoked_person_is_out_at_once(enter: Enter) -> None:
    thrown_out = live(enter("AG002", "/policies/"))
    admin = enter("ADM001", "/sessions/?person=AG002")
    admin.check("[name=session] >> nth=0")
    admin.click("button:has-text('Revoke') >> nth=0")
    admin.click("main button.danger, .form-acts button")
    expect(thrown_out).to_have_url(re.compile("/login/"))
    thrown_out.goto("/policies/")
    expect(thrown_out).to_have_url(re.compile("/login/"))


def test_a_write_by_another_tool_arrives_and_disturbs_nothing(enter: Enter, dashboard: Dashboard) -> None:
    for number in range(10, 40):
        write_quote(dashboard, f"Q7{number}")
    page = live(enter("AG001", "/quotes/"))
    page.fill("[name=customer]", "half-ty")
    page.evaluate("scrollTo(0, 300)")
    write_quote(dashboard, "Q799")
    expect(page.locator("#q-auto-Q799")).to_have_count(1)
    dashboard.store.set("quote:auto:Q710:premium", "4321", keepttl=True)
    expect(page.locator("#q-auto-Q710")).to_contain_text("$4,321")
    assert page.input_value("[name=customer]") == "half-ty"
    assert page.evaluate("document.activeElement.name") == "customer"
    assert page.evaluate("scrollY") == 300
    dashboard.store.delete(*dashboard.store.keys("quote:auto:Q7*"))


def test_the_store_goes_away_and_comes_back(enter: Enter, dashboard: Dashboard) -> None:
    write_quote(dashboard, "Q804", seconds=300)
    page = live(enter("AG001", "/quotes/", quiet=False))
    pid = int(dashboard.store.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        expect(page.locator("#live")).to_have_attribute("data-state", "down", timeout=20_000)
        expect(page.locator("#q-auto-Q804")).to_have_count(1)
        expect(page.locator("#q-auto-Q804 button")).to_be_disabled()
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=20_000)
    expect(page.locator("#q-auto-Q804 button")).to_be_enabled()


def test_everything_works_without_javascript(enter: Enter, dashboard: Dashboard) -> None:
    write_quote(dashboard, "Q805")
    page = enter("AG001", "/quotes/?customer=CUST004", java_script_enabled=False)
    for _ in range(50):  # the follower has to hear of it, and this page does not hear of the follower
        if page.locator("#q-auto-Q805").count():
            break
        page.wait_for_timeout(100)
        page.reload()
    page.locator("#q-auto-Q805 button").click()
    assert page.url.endswith("/quotes/?customer=CUST004")
    assert "now holds until" in page.locator("#toasts").inner_text()
    page.locator("#q-auto-Q805 a:text('Bind')").click()
    page.click("button:text-is('Bind policy')")
    assert re.search(r"/policies/auto/\d+/$", page.url)


def test_the_jump_box_answers_the_keyboard(enter: Enter) -> None:
    page = enter("AG001", "/quotes/")
    page.keyboard.press("/")
    page.keyboard.type("auto:100001")
    page.keyboard.press("Enter")
    page.wait_for_url("**/policies/auto/100001/")
