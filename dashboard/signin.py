"""Signing in and out: the browser's session (Django's, in the store) tied to the workstation session that admins see.

The browser holds a random nonce, the workstation key its digest. A browser session is worth nothing without a living
workstation key that carries its digest, so ending the key ends the browser's session, whatever else may bring it back.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth import get_user_model
from django.http import HttpRequest

from dashboard import accounts, clock, redis
from dashboard.browser_sessions import SessionStore
from dashboard.errors import Forbidden
from dashboard.permissions import Role, Viewer
from dashboard.repository import agents, lockouts, security, sessions

ENTRY = "workstation"
"""Where the browser's session keeps [person, nonce]."""

_PERMISSIONS: dict[Role, tuple[str, ...]] = {
    "agent": sessions.AGENT_PERMISSIONS,
    "supervisor": (*sessions.AGENT_PERMISSIONS, "exceed_extensions", "view_company_metrics"),
    "admin": ("view_customer_data", "view_company_metrics", "manage_sessions", "unlock_accounts"),
}


class WrongPassword(Exception):
    """No account has this name and password."""


# -- who it is


def verified(name: str, verify: Callable[[], Any | None], address: str = "") -> Any:
    """The account that `verify` finds, with the attempt counted as the customer's keys have it.

    `verify` checks name and password and is called no more often than the ladder of lockouts allows, however many
    people try at once. Raises WrongPassword, and lockouts.Closed without having called it, or when it was the last
    one allowed, or when the account was closed while it was under way: even if the password was right.
    """
    lockouts.from_address(address)
    attempt = lockouts.begin(security.account_of(name))
    user = verify()
    if user is not None:
        lockouts.succeeded(attempt)
        lockouts.forgive_address(address)
        return user
    until = lockouts.failed(attempt)
    if until is not None:
        raise lockouts.Closed(until)
    raise WrongPassword


def authenticated(request: HttpRequest, name: str, password: str) -> Any:
    """The account with this name and password. The answer to an unknown name takes the same work (one hash) and says
    the same. Raises WrongPassword and lockouts.Closed.
    """

    def verify() -> Any | None:
        return auth.authenticate(request, username=accounts.username_of(name), password=password)

    return verified(name, verify, request.META.get("REMOTE_ADDR") or "")


# -- in and out


def sign_in(request: HttpRequest, user: Any) -> Viewer:
    """Begin the person's working day in this browser; what it was signed in as before ends. Raises Forbidden."""
    viewer = accounts.viewer_for(user, clock.now_ms() + sessions.WORKSTATION_LIFE)
    _close_entry(request)
    accounts.sync_directory()
    nonce = secrets.token_urlsafe(32)
    sessions.open_workstation(_staff(viewer, request), nonce)
    auth.login(request, user)
    request.session[ENTRY] = [viewer.id, nonce]
    return viewer


def sign_out(request: HttpRequest) -> None:
    """End the workstation session, if it is this browser's, and the browser's."""
    _close_entry(request)
    auth.logout(request)


def standing(request: HttpRequest, *, touch: bool = True) -> sessions.Standing:
    """Whether this browser's workstation session lives. One round trip for the browser's session and one for this."""
    entry = entry_of(request.session)
    if entry is None:
        return sessions.Standing(None, "ended")
    return sessions.check(redis.client(), *entry, touch=touch)


def viewer(request: HttpRequest, *, touch: bool = True) -> Viewer | None:
    """The person behind a request, with their rights as they are now; None for everybody without a living session.
    Somebody whose account was closed or has lost its role is signed out.
    """
    entry = entry_of(request.session)
    if entry is None:
        return None
    found = sessions.check(redis.client(), *entry, touch=touch)
    if found.deadline is None:
        return None
    try:
        if request.user.is_authenticated:
            known = accounts.viewer_for(request.user, found.deadline)
            if known.id == entry[0]:
                if known.branch and not agents.knows(redis.client(), known.id):
                    # Another tool took the branches away: without them every object would be everybody's.
                    accounts.sync_directory()
                return known
    except Forbidden:
        pass
    sessions.close(*entry)  # not from request.session: Django empties it when the password is another by now
    auth.logout(request)
    return None


def how_it_ended(request: HttpRequest) -> str:
    """What a person is told who had a session here that is over; "" for everybody else. Clears what is left of it."""
    entry = entry_of(request.session)
    if entry is None:
        return ""
    found = sessions.check(redis.client(), *entry, touch=False)
    if found.lives:
        return ""
    words = _ending(entry[0], found)
    auth.logout(request)
    return words


def entry_of(session: Any) -> tuple[str, str] | None:
    """Person and nonce of a browser's session."""
    entry = session.get(ENTRY)
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry):
        return entry[0], entry[1]
    return None


def _ending(person: str, found: sessions.Standing) -> str:
    if found.reason == "replaced":
        return "You signed in somewhere else, so you were signed out here."
    grave = sessions.tombstone(redis.client(), person)
    if grave is None:
        return "Your session is over. Sign in to go on."
    return f"{grave.by} ended your session at {grave.at.astimezone(clock.zone()):%H:%M}. Sign in to go on."


def _close_entry(request: HttpRequest) -> None:
    entry = entry_of(request.session)
    if entry is not None:
        sessions.close(*entry)


def _staff(viewer: Viewer, request: HttpRequest) -> sessions.Staff:
    branches = viewer.scope.branches
    if branches is None:
        branches = frozenset(agents.directory(redis.client()).branches.values())
    return sessions.Staff(
        id=viewer.id,
        branch=viewer.branch,
        permissions=_PERMISSIONS[viewer.role],
        branches=sorted(branches),
        products=sorted(viewer.scope.products),
        device=device_of(request.headers.get("User-Agent", "")),
        address=request.META.get("REMOTE_ADDR") or "",
    )


# -- what it runs on

_BROWSERS = (
    ("Edge", r"Edg(?:e|A|iOS)?/(\d+\.\d+)"),
    ("Opera", r"OPR/(\d+\.\d+)"),
    ("Firefox", r"(?:Firefox|FxiOS)/(\d+\.\d+)"),
    ("Chrome", r"(?:HeadlessChrome|Chrome|CriOS)/(\d+\.\d+)"),
    ("Safari", r"Version/(\d+\.\d+).*Safari/"),
)
_SYSTEMS = (
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Android", r"Android"),
    ("Windows", r"Windows NT"),
    ("ChromeOS", r"CrOS"),
    ("macOS", r"Mac OS X"),
    ("Linux", r"Linux"),
)


def device_of(user_agent: str) -> str:
    """The document's form of a device, `Chrome 115.0|Windows`, from what the browser says of itself."""
    user_agent = user_agent[:400]
    found = [f"{name} {match[1]}" for name, form in _BROWSERS if (match := re.search(form, user_agent))]
    system = [name for name, form in _SYSTEMS if re.search(form, user_agent)]
    return "|".join(found[:1] + system[:1]) or "Unknown device"


# -- the live stream's reader


@dataclass(frozen=True)
class Reader:
    """Who reads a live stream: `alive` asks again whether they still may. Two round trips at most, and two queries."""

    person: str
    nonce: str
    user: Any

    def alive(self) -> bool:
        """Raises what the store's client raises."""
        if not sessions.check(redis.client(), self.person, self.nonce, touch=False).lives:
            return False
        account = get_user_model().objects.filter(pk=self.user, is_active=True).first()
        return account is not None and accounts.role_of(account) is not None


def stream_viewer(cookies: Mapping[str, str]) -> Reader | None:
    """The signed-in person behind these cookies, for the live stream, which is answered before Django.
    Raises StoreDown, and what the store's client raises.
    """
    session = SessionStore(cookies.get(settings.SESSION_COOKIE_NAME) or None)
    entry = entry_of(session)
    user = auth.get_user(SimpleNamespace(session=session)) if entry else None  # type: ignore[arg-type]
    if entry is None or user is None or not user.is_authenticated:
        return None
    reader = Reader(*entry, user=user.pk)
    return reader if reader.alive() else None
