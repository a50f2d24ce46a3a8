"""A forgotten password: asking for a letter, and the page that its link leads to.

The link's token goes from the address into a cookie of that page alone at once: so it stands in no history, no log and
no Referer. (Not into the browser's session: that is kept in the store, which keeps digests alone.)
Answers under an address with a token are sent on without any Referer; the page that a form is sent from cannot be, for a
browser then names no origin, and the form would be taken for a stranger's.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from dashboard import accounts, clock, passwords, signin
from dashboard.forms.signin import Forgotten, NewPassword
from dashboard.repository import lockouts
from dashboard.repository.security import RESET_LIFE
from dashboard.views.signin import closed_words

COOKIE = "reset"
_IN_COOKIE = "choose"
"""Stands in the address where the token was."""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def forgotten(request: HttpRequest) -> HttpResponse:
    form = Forgotten(request.POST if request.method == "POST" else None)
    asked = False
    if settings.LETTERS_ARE_SENT and form.is_valid():
        base = request.build_absolute_uri("/").rstrip("/")
        try:
            passwords.send_reset(request, form.cleaned_data["username"], lambda *parts: base + _address(*parts))
            asked = True
        except lockouts.Closed as closed:
            form.add_error(None, closed_words(closed))
    context = {"form": form, "asked": asked, "letters": settings.LETTERS_ARE_SENT}
    return render(request, "login/forgotten.html", context)


@sensitive_variables("token", "given")
@sensitive_post_parameters("new_password", "new_password_again")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def reset(request: HttpRequest, account: str, token: str) -> HttpResponse:
    given = request.COOKIES.get(COOKIE, "") if token == _IN_COOKIE else token
    try:
        good = _is_good(request, account, given)
    except lockouts.Closed as closed:
        return _no_good(request, closed_words(closed))
    if token == _IN_COOKIE:
        return _choose(request, account, given) if good else _no_good(request)
    response = _into_cookie(request, account, token) if good else _no_good(request)
    response["Referrer-Policy"] = "no-referrer"
    return response


def _is_good(request: HttpRequest, account: str, token: str) -> bool:
    """Whether the token holds. Those that do not count against the network address: other tools' tokens may be short.
    Raises lockouts.Closed.
    """
    address = signin.address_of(request)
    lockouts.from_address(address, "letters")
    good = passwords.resets(account, token)
    if good:
        lockouts.forgive_address(address, "letters")
    return good


def _choose(request: HttpRequest, account: str, token: str) -> HttpResponse:
    form = NewPassword(request.POST if request.method == "POST" else None, user=accounts.called(account))
    if not form.is_valid():
        return render(request, "login/reset.html", {"form": form, "account": account})
    if not passwords.reset(request, account, token, form.cleaned_data["new_password"]):
        return _no_good(request)
    messages.success(request, "Your password is changed. Sign in with the new one.")
    response = redirect("login")
    response.delete_cookie(COOKIE, path=_folder(account))
    return response


def _into_cookie(request: HttpRequest, account: str, token: str) -> HttpResponse:
    response = redirect(_address(account, _IN_COOKIE))
    response.set_cookie(
        COOKIE, token, max_age=RESET_LIFE // clock.SECOND, path=_folder(account), httponly=True, samesite="Lax",
        secure=request.is_secure(),
    )  # fmt: skip
    return response


def _no_good(request: HttpRequest, closed: str = "") -> HttpResponse:
    return render(request, "login/reset.html", {"over": True, "closed": closed}, status=429 if closed else 410)


def _address(account: str, token: str) -> str:
    return reverse("login_reset", args=[account, token])


def _folder(account: str) -> str:
    """The addresses that the cookie is sent to: of this account's reset, and no other."""
    return _address(account, _IN_COOKIE).removesuffix(f"{_IN_COOKIE}/")
