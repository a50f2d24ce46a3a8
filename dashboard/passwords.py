"""A staff account's password: changed by who knows the old one, or by who was sent a letter.

Either way the person's sessions end: whoever is in with the old password is out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import HttpRequest

from dashboard import accounts, letters, redis, signin
from dashboard.letters import Letter
from dashboard.repository import codes, lifting, lockouts, security, sessions

Link = Callable[[str, str], str]
"""From account and token to the address that the letter tells."""

_CHANGED = "the password was changed"


def change(request: HttpRequest, user: Any, password: str) -> None:
    """A new password; every session of the person ends, but this one, and every link and code that is on its way."""
    _set(user, password)
    codes.end_all(security.account_of(user.get_username()))
    signin.keep(request, user)
    person = accounts.person_of(user)
    sessions.end_all(person, person, _CHANGED, but=[sessions.member_of(person)])
    signin.note(request, user, "Password changed")


def send_reset(request: HttpRequest, name: str, link: Link) -> None:
    """Send the account that is meant a letter that leads to a new password, if it is in use and has an address. The
    answer to every name is the same and takes the same work: one query. Raises lockouts.Closed for an address that asks
    too often.
    """
    lockouts.from_address(signin.address_of(request), "letters")
    user = accounts.called(name)
    to = user.email if user else ""
    letters.post(partial(_reset_letter, to, security.account_of(name), link))


def resets(account: str, token: str) -> bool:
    """Whether this token is good still; looking uses nothing up."""
    return codes.holds(redis.client(), "reset", account, token)


def reset(request: HttpRequest, account: str, token: str, password: str) -> bool:
    """A new password for who brings a good token, which is used up by it. Every session of the person ends, and the
    failed sign-ins of this account are forgotten: its owner may have been locked out by somebody else.

    A token that is not good is not counted as a guess: there are 2^256, and who guesses must not use up the owner's.
    """
    user = accounts.called(account)
    if user is None or not resets(account, token) or not codes.redeem("reset", account, token):
        return False
    _set(user, password)
    codes.end_all(account)
    person = accounts.person_of(user)
    sessions.end_all(person, person, _CHANGED)
    lifting.lift([f"lock:{account}", f"failures:{account}"], by=person)
    signin.note(request, user, "Password reset", ", with the link of a letter")
    return True


def _reset_letter(to: str, account: str, link: Link) -> Letter | None:
    if not to:
        return None
    token = codes.issue("reset", account)
    return Letter(to, "A new password", "reset", {"account": account, "link": link(account, token)})


def _set(user: Any, password: str) -> None:
    user.set_password(password)
    user.save(update_fields=["password"])
