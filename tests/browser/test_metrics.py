"""Metrics in a real browser: definitions at hand, periods to step through, trends with their table."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Enter, live


def test_a_definition_opens_on_hover_on_focus_and_on_a_press(enter: Enter) -> None:
    page = live(enter("SUP001", "/metrics/"))
    term, hint = page.locator("#term-tile-revenue"), page.locator("#def-tile-revenue")
    expect(hint).not_to_be_visible()
    term.hover()
    expect(hint).to_be_visible()
    hint.hover()
    expect(hint).to_be_visible()
    page.mouse.move(5, 5)
    expect(hint).not_to_be_visible()
    page.locator("#periods a").last.focus()
    page.keyboard.press("Tab")
    expect(page.locator("#def-tile-policies_sold")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#def-tile-policies_sold")).not_to_be_visible()
    term.click()
    page.mouse.move(5, 5)
    expect(hint).to_be_visible()
    term.click()
    page.mouse.move(5, 5)
    expect(hint).not_to_be_visible()


def test_from_a_week_back_in_time_to_its_trend(enter: Enter) -> None:
    page = live(enter("SUP001", "/metrics/"))
    page.get_by_role("link", name="Week", exact=True).click()
    expect(page.locator("h1 + p")).to_contain_text("so far")
    page.locator("#periods [rel=prev]").click()
    expect(page.locator("h1 + p")).to_contain_text("closed")
    page.get_by_role("link", name="Trends").click()
    expect(page.locator("h1")).to_have_text("Trends")
    expect(page.locator("#whole svg.plot")).to_be_visible()
    page.get_by_text("The same as a table").click()
    expect(page.locator("#table tbody tr").first).to_contain_text("Week")
