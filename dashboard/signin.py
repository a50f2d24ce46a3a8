"""Signing in and out: the browser's session (Django's, in the store) tied to the workstation session that admins see.

Whoever has a second factor comes in by two steps. After the right password the browser's session holds who waits for
the second one, for five minutes, and nothing else that is worth anything: neither Django's sign-in nor a workstation's.

The browser holds a random nonce, the workstation key its digest. A browser session is worth nothing without a living
workstation key that carries its digest, so ending the key ends the browser's session, whatever else may bring it back.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, Literal

from django.conf import settings
from django.contrib import auth
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django_otp.plugins.otp_totp.models import TOTPDevice
from redis.exceptions import RedisError

from dashboard import accounts, clock, redis, second_factor
from dashboard.browser_sessions import SessionStore
from dashboard.errors import DomainError, Forbidden
from dashboard.permissions import SESSION_PERMISSIONS, Viewer, restricted
from dashboard.repository import agents, audit, lockouts, security, sessions
from dashboard.repository.store import change
from dashboard.second_factor import Factors, Method, Proof

ENTRY = "workstation"
"""Where the browser's session keeps [person, nonce]."""
PROOF = "proof"
"""Where it keeps by what they came in."""
HALF = "half"
"""Where it keeps who gave the right password and has another step to go."""
HALF_LIFE = 5 * clock.MINUTE

Stage = Literal["in", "code", "enrol"]
"""What a step led to: in, or to being asked for a code, or for setting up the authenticator that the role requires."""


class WrongPassword(Exception):
    """No account has this name and password; or, at the second step, this code."""


class HalfOver(Exception):
    """Nobody in this browser has a step to go: five minutes are over, or the account has changed since."""


# -- who it is


def verified(
    name: str,
    verify: Callable[[], Any | None],
    address: str = "",
    *,
    is_last: Callable[[Any], bool] = lambda found: True,
) -> Any:
    """What `verify` finds, with the attempt counted as the customer's keys have it.

    `verify` checks name and password, or a code, and is called no more often than the ladder of lockouts allows,
    however many people try at once. Raises WrongPassword, and lockouts.Closed without having called it, or when it was
    the last one allowed, or when the account was closed while it was under way: even if what was given was right.

    Only what was the last step (`is_last`, of what was found) forgives failures before it.
    """
    lockouts.from_address(address)
    attempt = lockouts.begin(security.account_of(name))
    try:
        found = verify()
    except Exception:
        # Nobody knows whether it was right: accounts that cannot be reached are no failure of whoever signs in.
        with suppress(RedisError, DomainError, lockouts.Closed):
            lockouts.passed(attempt)
            lockouts.forgive_address(address)
        raise
    if found is not None:
        settle = lockouts.succeeded if is_last(found) else lockouts.passed
        settle(attempt)
        lockouts.forgive_address(address)
        return found
    if attempt.closes is not None:
        raise lockouts.Closed(attempt.closes)
    raise WrongPassword


def confirmed(request: HttpRequest, user: Any, password: str) -> None:
    """That somebody who is signed in is at their keyboard still: their password, counted like one at sign-in, but
    forgiving nothing. Raises WrongPassword and lockouts.Closed.
    """

    def verify() -> Any | None:
        return user if user.check_password(password) else None

    verified(user.get_username(), verify, address_of(request), is_last=lambda found: False)


# -- the first step


@dataclass(frozen=True)
class _Known:
    """Whose name and password were right, and what comes next."""

    user: Any
    stage: Stage


def first_step(request: HttpRequest, name: str, password: str, target: str = "") -> Stage:
    """Name and password. The answer to an unknown name takes the same work (one hash) and says the same.

    Raises WrongPassword, lockouts.Closed, and Forbidden for an account that has no role. `target`: the address that
    was asked for.
    """

    def verify() -> _Known | None:
        user = auth.authenticate(request, username=accounts.username_of(name), password=password)
        return _Known(user, _stage_of(user)) if user is not None else None

    known = verified(name, verify, address_of(request), is_last=lambda found: found.stage == "in")
    if known.stage == "in":
        sign_in(request, known.user)
    else:
        accounts.viewer_for(known.user, clock.now_ms())
        _wait_for(request, known.user, known.stage, target)
    return known.stage


def _stage_of(user: Any) -> Stage:
    role = accounts.role_of(user)
    if second_factor.of(user, role).any:
        return "code"
    return "enrol" if second_factor.is_required(role) else "in"


# -- the steps between


@dataclass(frozen=True)
class Half:
    """Somebody whose password was right. `begun`: number of the authenticator that this browser sets up."""

    user: Any
    target: str
    begun: int | None

    @cached_property
    def factors(self) -> Factors:
        return second_factor.of(self.user, accounts.role_of(self.user))

    @property
    def authenticator(self) -> TOTPDevice | None:
        return second_factor.begun_authenticator(self.user, self.begun)


def half_of(request: HttpRequest, stage: Stage) -> Half:
    """Who waits in this browser for this step. Raises HalfOver. One query."""
    kept = request.session.get(HALF)
    try:
        lives = kept["stage"] == stage and kept["until"] > clock.now_ms()
        user = get_user_model().objects.filter(pk=kept["user"], is_active=True).first() if lives else None
        if user is None or not constant_time_compare(kept["hash"], _fingerprint(user)):
            raise HalfOver
        return Half(user, str(kept["target"]), kept["begun"])
    except (KeyError, TypeError, ValueError):  # another tool wrote there
        raise HalfOver from None


def second_step(request: HttpRequest, half: Half, method: Method, code: str) -> Stage:
    """A code. Wrong ones count with the wrong passwords, and the lock is looked at again behind a right one.
    Raises WrongPassword, lockouts.Closed and Forbidden.
    """
    role = accounts.role_of(half.user)
    enrols = second_factor.is_required(role) and not half.factors.authenticator

    def verify() -> Any | None:
        if method in half.factors.methods and second_factor.verify(half.user, method, code):
            return half.user
        _record(half.user, f"Wrong code after the right password, on {_device(request)}")
        return None

    verified(half.user.get_username(), verify, address_of(request), is_last=lambda found: not enrols)
    if enrols:
        _wait_for(request, half.user, "enrol", half.target)
        return "enrol"
    sign_in(request, half.user, method)
    return "in"


def enrol(request: HttpRequest, half: Half, code: str) -> list[str]:
    """The first code of the authenticator that the role requires: the last step. Gives the recovery codes.
    Raises WrongPassword, lockouts.Closed and Forbidden.
    """

    def verify() -> Any | None:
        return half.user if second_factor.confirm_authenticator(half.user, half.begun, code) else None

    verified(half.user.get_username(), verify, address_of(request))
    note(request, half.user, "Authenticator app set up")
    sign_in(request, half.user, "authenticator")
    return second_factor.new_recovery_codes(half.user)


def _wait_for(request: HttpRequest, user: Any, stage: Stage, target: str) -> None:
    """From now on this browser waits for the next step, and is nobody: under a new number, whoever knew the old one."""
    _close_entry(request)
    request.session.flush()
    request.session[HALF] = {
        "user": user.pk,
        "hash": _fingerprint(user),
        "stage": stage,
        "until": clock.now_ms() + HALF_LIFE,
        "target": target[:2_000],
        "begun": second_factor.begin_authenticator(user) if stage == "enrol" else None,
    }
    request.session.set_expiry(HALF_LIFE // clock.SECOND)


def _fingerprint(user: Any) -> str:
    """Changes with the password."""
    return str(user.get_session_auth_hash())


# -- in and out


def sign_in(request: HttpRequest, user: Any, proof: Proof = "password") -> Viewer:
    """Begin the person's working day in this browser; what it was signed in as before ends. Raises Forbidden."""
    viewer = accounts.viewer_for(user, clock.now_ms() + sessions.WORKSTATION_LIFE)
    _close_entry(request)
    accounts.sync_directory()
    nonce = secrets.token_urlsafe(32)
    sessions.open_workstation(_staff(viewer, request), nonce)
    note(request, user, "Signed in", f", with {second_factor.PROOF_WORDS[proof]}")
    request.session.flush()
    auth.login(request, user)
    request.session[ENTRY] = [viewer.id, nonce]
    request.session[PROOF] = proof
    return viewer


def sign_out(request: HttpRequest) -> None:
    """End the workstation session, if it is this browser's, and the browser's."""
    if _close_entry(request):
        note(request, request.user, "Signed out")
    auth.logout(request)


def keep(request: HttpRequest, user: Any) -> None:
    """This browser stays signed in although the password is another by now."""
    auth.update_session_auth_hash(request, user)


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
            if known.id == entry[0] and second_factor.suffices(known.role, request.session.get(PROOF)):
                if known.branch and not agents.knows(redis.client(), known.id):
                    # Another tool took the branches away: without them every object would be everybody's.
                    accounts.sync_directory()
                return restricted(known, found.rights)
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


def _close_entry(request: HttpRequest) -> bool:
    entry = entry_of(request.session)
    return entry is not None and sessions.close(*entry)


def _staff(viewer: Viewer, request: HttpRequest) -> sessions.Staff:
    branches = viewer.scope.branches
    if branches is None:
        branches = frozenset(agents.directory(redis.client()).branches.values())
    return sessions.Staff(
        id=viewer.id,
        branch=viewer.branch,
        permissions=SESSION_PERMISSIONS[viewer.role],
        branches=sorted(branches),
        products=sorted(viewer.scope.products),
        device=device_of(request.headers.get("User-Agent", "")),
        address=address_of(request),
    )


# -- what is on record


def note(request: HttpRequest, user: Any, what: str, rest: str = "") -> None:
    """Put on record what somebody did with their own account, and from which kind of device; no address, no secret.
    One query, one transaction.
    """
    person = accounts.person_of(user)
    _record(user, f"{what} by {person} on {_device(request)}{rest}", by=person)


def _record(user: Any, text: str, *, by: str = "") -> None:
    account = security.account_of(user.get_username())
    change(lambda draft: audit.append(draft, audit.SECURITY, account, text=text, by=by))


def _device(request: HttpRequest) -> str:
    """`Chrome 115.0, Windows`: enough to know it again."""
    return device_of(request.headers.get("User-Agent", "")).replace("|", ", ")


# -- what it runs on


def address_of(request: HttpRequest) -> str:
    """The network address; "" for what a proxy passed on that is none."""
    told = request.META.get("REMOTE_ADDR") or ""
    try:
        return str(ip_address(told))
    except ValueError:
        return ""


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
