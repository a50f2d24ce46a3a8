"""Every page, looked at once as everybody may meet it: axe finds nothing by day or by night, on a desk or on a phone,
and nothing scrolls sideways. Contrast alone depends on the theme, so the whole set of rules is asked once.
"""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, live
from tests.browser.test_journeys import write_quote
from tests.browser.test_policy_service import VIN, write_policy
from tests.processes import Dashboard

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
ROOM = [
    "aria-hidden-focus",
    "button-name",
    "link-name",
    "nested-interactive",
    "scrollable-region-focusable",
    "target-size",
]
"""Rules that what is shown, hidden or squeezed on a phone may break."""

PAGES = (
    "/",
    "/quotes/", "/quotes/new/", "/quotes/lapsed/", "/quotes/funnel/", "/quotes/compare/",
    "/quotes/auto/Q806/", "/quotes/auto/Q806/bind/", "/quotes/auto/Q806/sheet/",
    "/policies/", "/policies/new/", "/policies/renewals/", "/policies/renewals/?past=1", "/policies/reassign/",
    "/policies/auto/100001/", "/policies/auto/190004/", "/policies/auto/190005/",
    *(f"/policies/auto/190005/{step}/" for step in ("endorse", "renew", "cancel", "agent", "reinstate")),
    "/claims/", "/claims/?stage=reported", "/claims/?stage=lapsed", "/claims/new/", "/claims/escalated/",
    "/claims/ageing/", "/claims/adjusters/", "/claims/adjusters/ADJ001/",
    "/claims/CLM001/", "/claims/CLM001/pay/", "/claims/CLM003/", "/claims/CLM003/assign/", "/claims/CLM006/approve/",
    "/customers/", "/customers/CUST001/", "/customers/CUST001/edit/", "/customers/new/", "/customers/drift/",
    "/locations/", "/segments/",
    "/account/", "/account/password/", "/account/authenticator/",
    "/metrics/", "/metrics/?period=month", "/metrics/trends/", "/metrics/trends/?period=week&metric=claims_ratio",
    "/compliance/", "/compliance/access/", "/compliance/payments/", "/compliance/payments/new/",
    "/compliance/reviews/", "/compliance/reviews/new/", "/compliance/holds/", "/compliance/retention/",
)  # fmt: skip
"""As a supervisor sees them."""
PAGES_OF_ADMINS = (
    "/sessions/",
    "/security/", "/security/?kind=lock", "/security/lift/?all=1", "/security/AG002/", "/security/CUST001/",
    "/staff/", "/staff/new/", "/staff/AG002/edit/", "/staff/AG002/reset/",
    "/api/clients/", "/api/clients/new/", "/api/docs/#open_portal_session",
    "/server/", "/server/memory/",
    "/keys/", "/keys/?all=1", "/keys/family/policy_field/", "/keys/key/?key=policy:auto:100001:premium",
    "/keys/change/?key=policy:auto:100001:premium&verb=until&amount=2&unit=days", "/keys/lint/", "/keys/batch/",
    "/policies/auto/9/",
)  # fmt: skip
"""The last is that of an address without anything behind it."""


@pytest.fixture(scope="session")
def things(dashboard: Dashboard) -> None:
    """What the pages above are about, beside the sample book."""
    write_quote(dashboard, "Q806", seconds=3_600)
    write_policy(dashboard, "190004", ends=-3, vehicle_vin=VIN)
    write_policy(dashboard, "190005", ends=3, vehicle_vin=VIN)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_fit_for_everybody(visit: Visit, things: None, path: str) -> None:
    inspect(visit("SUP001", path))


@pytest.mark.parametrize("path", PAGES_OF_ADMINS)
def test_an_admins_page_is_fit_for_everybody(visit: Visit, path: str) -> None:
    inspect(visit("ADM001", path))


@pytest.mark.long
@pytest.mark.parametrize(
    ("person", "path"), [("SUP001", path) for path in PAGES] + [("ADM001", path) for path in PAGES_OF_ADMINS]
)
def test_on_a_phone_it_is_fit_by_every_rule(visit: Visit, things: None, person: str, path: str) -> None:
    page = visit(person, path)
    page.set_viewport_size(PHONE)
    page.evaluate(Axe().axe_script)
    assert not violations(page, {"rules": {"color-contrast": {"enabled": False}}})


def test_the_open_list_of_the_box_is_fit_for_everybody(visit: Visit) -> None:
    page = live(visit("SUP001", "/customers/"))
    page.locator("#jump").fill("dallas")
    expect(page.locator("#jump-list [role=option]").first).to_be_visible()
    inspect(page)
    expect(page.locator("#jump-list [role=option]").first).to_be_visible()


def inspect(page: Page) -> None:
    """All rules by day; by night the one that colours can break; on a phone those that room can break."""
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")
    page.evaluate(Axe().axe_script)
    found = {"light": violations(page, {})}
    page.emulate_media(color_scheme="dark")
    found["dark"] = violations(page, {"runOnly": ["color-contrast"]})
    page.set_viewport_size(PHONE)
    found["phone"] = violations(page, {"runOnly": ROOM})
    assert not {view: each for view, each in found.items() if each}
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def violations(page: Page, options: dict[str, object]) -> list[str]:
    found = page.evaluate(
        "options => axe.run(options).then(told => told.violations)", {"resultTypes": ["violations"], **options}
    )
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes']][:3]}" for each in found]
