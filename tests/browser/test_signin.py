"""Coming in with a second factor, and a forgotten password, in a real browser against the real thing."""

from __future__ import annotations

import re
import time
from base64 import b32decode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django_otp.oath import TOTP
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.browser.test_every_page import DESK, inspect
from tests.processes import Dashboard

NEW = "a-wholly-new-quay-8"


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One of this module's own: what happens to its accounts is nobody else's business."""
    running = Dashboard(tmp_path_factory.mktemp("signing-in"), WORKERS="1").start_and_wait()
    yield running
    running.stop()


@pytest.fixture
def enter(browser: Browser, dashboard: Dashboard) -> Iterator[Callable[[], Page]]:
    """A window of its own each time. What is told on its console as an error fails the test."""
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def hear(told: ConsoleMessage) -> None:
        if told.type == "error" and "410 (Gone)" not in told.text:
            said.append(told.text)

    def come() -> Page:
        context = browser.new_context(base_url=dashboard.address, viewport=DESK, reduced_motion="reduce")
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield come
    for context in contexts:
        context.close()
    assert said == []


def sign_in(page: Page, person: str, password: str) -> None:
    page.goto("/login/")
    page.fill("[name=username]", person)
    page.fill("[name=password]", password)
    page.press("[name=password]", "Enter")


def look(page: Page) -> None:
    """It is fit for everybody; then on at the desk."""
    inspect(page)
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")


def code_of(secret: str, *, ahead: int = 0) -> str:
    """What an authenticator app shows for this secret now, or so many steps of 30 s later."""
    letters = secret.replace(" ", "")
    totp = TOTP(b32decode(letters + "=" * (-len(letters) % 8)))
    totp.time = time.time() + ahead * 30
    return f"{totp.token():06d}"


def letter(dashboard: Dashboard, pattern: str) -> str:
    """The latest of what was sent that fits: the demo prints its letters."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = re.findall(pattern, "\n".join(dashboard.lines))
        if found:
            return str(found[-1])
        time.sleep(0.1)
    raise AssertionError(f"no letter fits {pattern}")


def test_an_authenticator_is_set_up_signed_in_with_and_replaced_by_a_recovery_code(
    enter: Callable[[], Page], dashboard: Dashboard
) -> None:
    page = enter()
    sign_in(page, "AG001", dashboard.password)
    page.click("#me a")
    expect(page.locator("h1")).to_have_text("Your account")
    page.click("text=Set up…")
    page.fill("[name=password]", dashboard.password)
    page.click(".form-acts button")
    expect(page.locator("svg.qr")).to_be_visible()
    secret = page.inner_text("#secret")
    look(page)
    page.fill("[name=code]", "000000")
    page.click(".form-acts button")
    expect(page.locator(".error")).to_contain_text("not the code")
    page.fill("[name=code]", code_of(secret))
    page.click(".form-acts button")
    expect(page.locator(".codes code")).to_have_count(10)
    recovery = page.locator(".codes code").first.inner_text()
    look(page)
    page.click("text=I have them")
    page.click("text=Sign out >> nth=0")
    expect(page).to_have_url(re.compile("/login/$"))
    expect(page.locator("#toasts")).to_contain_text("You are signed out.")

    sign_in(page, "AG001", dashboard.password)
    expect(page).to_have_url(re.compile("/login/code/$"))
    look(page)
    page.goto("/quotes/")
    expect(page).to_have_url(re.compile("/login/"))
    page.goto("/login/code/")
    page.fill("[name=code]", code_of(secret, ahead=1))
    page.press("[name=code]", "Enter")
    expect(page.locator("#me")).to_contain_text("Dana Whitfield")

    page = enter()
    sign_in(page, "AG001", dashboard.password)
    page.click("text=Use a recovery code")
    page.fill("[name=code]", recovery)
    page.press("[name=code]", "Enter")
    page.goto("/account/")
    expect(page.locator("main")).to_contain_text("9 left")


def test_a_code_by_e_mail_lets_in(enter: Callable[[], Page], dashboard: Dashboard) -> None:
    page = enter()
    sign_in(page, "AG002", dashboard.password)
    page.goto("/account/email/")
    page.fill("[name=password]", dashboard.password)
    page.click(".form-acts button")
    expect(page.locator(".codes code")).to_have_count(10)
    page = enter()
    sign_in(page, "AG002", dashboard.password)
    expect(page.locator("main")).to_contain_text("m•••@example.com")
    page.fill("[name=code]", letter(dashboard, r"signing in to Tideline: (\d{6})"))
    page.press("[name=code]", "Enter")
    expect(page.locator("#me")).to_contain_text("Marcus Reyes")


def test_a_forgotten_password_is_replaced_with_the_link_of_a_letter(
    enter: Callable[[], Page], dashboard: Dashboard
) -> None:
    page = enter()
    page.goto("/login/")
    page.click("text=Forgot your password?")
    look(page)
    page.fill("[name=username]", "ag003")
    page.press("[name=username]", "Enter")
    expect(page.locator("main")).to_contain_text("If this account exists, a letter is on its way.")
    link = letter(dashboard, r"http://\S+/login/reset/AG003/\S+/")
    page.goto(link)
    expect(page).to_have_url(re.compile("/login/reset/AG003/choose/$"))
    look(page)
    page.fill("[name=new_password]", NEW)
    page.fill("[name=new_password_again]", NEW)
    page.click("button:text-is('Change password')")
    expect(page.locator("#toasts")).to_contain_text("Your password is changed")
    page.goto(link)
    expect(page.locator("h1")).to_have_text("This link holds no longer")
    sign_in(page, "AG003", NEW)
    expect(page.locator("#me")).to_contain_text("Priya Nair")


@pytest.fixture
def strict(dashboard: Dashboard, tmp_path: Path) -> Iterator[Dashboard]:
    """The same accounts over the same store, as an outside one: that is what makes it no demo."""
    running = Dashboard(
        tmp_path,
        REDIS_URL=f"unix://{dashboard.data_dir}/valkey.sock",
        DATABASE_URL=f"sqlite:///{dashboard.data_dir}/accounts.sqlite3",
        SECRET_KEY="not-the-demos-own-secret-but-long-enough-for-every-check-there-is",
        DEBUG="1",
        WORKERS="1",
    ).start_and_wait()
    yield running
    running.stop()


def test_outside_the_demo_an_admin_sets_up_an_authenticator_before_anything_else(
    browser: Browser, dashboard: Dashboard, strict: Dashboard
) -> None:
    context = browser.new_context(base_url=strict.address, reduced_motion="reduce")
    page = context.new_page()
    sign_in(page, "ADM001", dashboard.password)
    expect(page).to_have_url(re.compile("/login/authenticator/$"))
    look(page)
    page.goto("/sessions/")
    expect(page).to_have_url(re.compile("/login/"))
    page.goto("/login/authenticator/")
    page.fill("[name=code]", code_of(page.inner_text("#secret")))
    page.press("[name=code]", "Enter")
    expect(page.locator(".codes code")).to_have_count(10)
    page.click("text=I have them")
    expect(page.locator("#me")).to_contain_text("Tomas Eriksen")
    context.close()
