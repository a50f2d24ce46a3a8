"""The second factor of a staff account: a code from an authenticator app, a code by e-mail, or a recovery code.

Authenticators are django-otp's TOTP devices: each code holds once, as the device keeps the step of the last one.
Recovery codes are its static tokens, kept as digests. Codes by e-mail are the customer's keys (`repository/codes.py`).
Who guesses is counted by the caller, on the ladder of lockouts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from dashboard import letters
from dashboard.letters import Letter
from dashboard.models import Staff
from dashboard.permissions import Role
from dashboard.repository import codes, security

Method = Literal["authenticator", "email", "recovery"]
Proof = Literal["password", "authenticator", "email", "recovery"]
PROOF_WORDS: dict[str, str] = {
    "password": "password",
    "authenticator": "password and authenticator app",
    "email": "password and e-mail code",
    "recovery": "password and recovery code",
}

RECOVERY_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without look-alikes."""


@dataclass(frozen=True)
class Factors:
    """What an account has switched on. `email`: the address that codes go to, "" where none are asked for;
    `recovery`: how many recovery codes are left.
    """

    authenticator: bool
    email: str
    recovery: int

    @property
    def any(self) -> bool:
        return self.authenticator or bool(self.email)

    @property
    def methods(self) -> tuple[Method, ...]:
        """The ways to prove oneself, the strongest first."""
        has: dict[Method, object] = {
            "authenticator": self.authenticator,
            "email": self.email,
            "recovery": self.any and self.recovery,
        }
        return tuple(method for method, there in has.items() if there)


def of(user: Any, role: Role | None) -> Factors:
    """Three queries."""
    authenticator = TOTPDevice.objects.filter(user=user, confirmed=True).exists()
    recovery = StaticToken.objects.filter(device__user=user).count()
    # Where the stronger one is required, the weaker one does not stand in for it.
    by_email = bool(user.email) and wants_email(user) and not (authenticator and is_required(role))
    return Factors(authenticator, user.email if by_email else "", recovery)


def wants_email(user: Any) -> bool:
    return Staff.objects.filter(user=user, email_codes=True).exists()


def is_required(role: Role | None) -> bool:
    """Whether people of this role need an authenticator: admins do, but in the demo."""
    return role == "admin" and not settings.DEMO


def suffices(role: Role, proof: object) -> bool:
    """Whether somebody who came in with this proof may act in this role."""
    return not is_required(role) or proof in ("authenticator", "recovery")


def verify(user: Any, method: Method, code: str) -> bool:
    """Whether this code is right, which uses it up: of any number who bring it at once one is told yes."""
    if method == "authenticator":
        return _verify_authenticator(user, code)
    if method == "email":
        return codes.redeem("code", security.account_of(user.get_username()), code)
    return _verify_recovery(user, code)


# -- authenticator


@transaction.atomic
def _verify_authenticator(user: Any, code: str) -> bool:
    """The row is locked (SQLite: the database is), so that two with the same code do not both find it unused."""
    device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True).first()
    return device is not None and device.verify_token(code)


@transaction.atomic
def begin_authenticator(user: Any) -> int:
    """A new secret, for an authenticator that counts once a code of it was given. Those begun before are gone: whoever
    saw their secret has nothing. Gives its number, for who began it alone.
    """
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    return int(TOTPDevice.objects.create(user=user, name="Authenticator app", confirmed=False).pk)


def begun_authenticator(user: Any, number: object) -> TOTPDevice | None:
    """The authenticator that was begun under this number, if it waits for its first code still."""
    if not isinstance(number, int):
        return None
    return TOTPDevice.objects.filter(user=user, pk=number, confirmed=False).first()


@transaction.atomic
def confirm_authenticator(user: Any, number: object, code: str) -> bool:
    """Whether the code is right; then this is the account's one authenticator from now on."""
    devices = TOTPDevice.objects.select_for_update().filter(user=user)
    device = devices.filter(pk=number, confirmed=False).first() if isinstance(number, int) else None
    if device is None or not device.verify_token(code):
        return False
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    devices.exclude(pk=device.pk).delete()
    return True


@transaction.atomic
def remove_authenticator(user: Any) -> bool:
    """Whether there was one."""
    removed, _ = TOTPDevice.objects.filter(user=user).delete()
    _forget_idle_recovery(user)
    return removed > 0


# -- codes by e-mail


def send_code(user: Any) -> None:
    """Send the account a code; those before it hold no longer. The letter goes behind the answer. Raises Conflict when
    enough were sent already.
    """
    code = codes.issue("code", security.account_of(user.get_username()))
    letter = Letter(user.email, "Your sign-in code", "code", {"code": code})
    letters.post(lambda: letter)


@transaction.atomic
def switch_email(user: Any, on: bool) -> bool:
    """Ask for codes by e-mail from now on, or no longer. Whether that is new."""
    changed = Staff.objects.filter(user=user, email_codes=not on).update(email_codes=on) > 0
    if not on:
        _forget_idle_recovery(user)
    return changed


# -- recovery codes


@transaction.atomic
def new_recovery_codes(user: Any) -> list[str]:
    """Ten new ones, in the only moment in which anybody knows them; those before hold no longer."""
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="Recovery codes")
    made = ["-".join(_letters(4) for _ in range(3)) for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=_digest(user, code)) for code in made)
    return made


def _verify_recovery(user: Any, code: str) -> bool:
    """One DELETE, which of any number at once one finds something to delete."""
    deleted, _ = StaticToken.objects.filter(device__user=user, token=_digest(user, code)).delete()
    return deleted > 0


def _forget_idle_recovery(user: Any) -> None:
    """Recovery codes stand in for a second factor; without one there is nothing to stand in for."""
    if not wants_email(user) and not TOTPDevice.objects.filter(user=user, confirmed=True).exists():
        StaticDevice.objects.filter(user=user).delete()


def _letters(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


def _digest(user: Any, code: str) -> str:
    """96 bits, which is what the field holds; keyed, so that who reads the accounts cannot try codes against it."""
    message = f"recovery|{user.pk}|{''.join(filter(str.isalnum, code.casefold()))}"
    digest = hmac.new(settings.SECRET_KEY.encode(), message.encode(errors="surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:12]).decode()
