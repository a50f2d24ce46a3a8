"""One's own account: who one is here, the password, the second factor, and where one is signed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_otp.plugins.otp_totp.models import TOTPDevice

from dashboard import letters, passwords, redis, second_factor, signin
from dashboard.errors import Forbidden
from dashboard.forms.account import ChangePassword, Password
from dashboard.forms.signin import SixDigits
from dashboard.permissions import viewer_of
from dashboard.repository import lockouts, security, sessions
from dashboard.second_factor import Factors
from dashboard.views import authenticators, web
from dashboard.views.signin import closed_words

AREAS = ("sessions", "security")
BEGUN = "begun"
"""Where the browser's session keeps which authenticator is set up in it."""


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "account", AREAS, lambda: _overview(request), shared=False)


def _overview(request: HttpRequest) -> dict[str, Any]:
    client, viewer, user = redis.client(), viewer_of(request), request.user
    factors = _factors(request)
    return {
        "email": user.email,  # type: ignore[union-attr]
        "factors": factors,
        "device": TOTPDevice.objects.filter(user=user, confirmed=True).first(),
        "required": second_factor.is_required(viewer.role),
        "sessions": sessions.of_person(client, viewer.id),
        "own": sessions.member_of(viewer.id),
        "history": security.timeline(client, security.account_of(user.get_username()), limit=15),
        "letters": settings.LETTERS_ARE_SENT,
        "wants_email": second_factor.wants_email(user),
        "branches": sorted(viewer.scope.branches or ()),
        "all_branches": viewer.scope.branches is None,
        "products": sorted(viewer.scope.products),
    }


# -- what asks for the password once more


@dataclass(frozen=True)
class Step:
    """A page with one form: its title, what it says, its button's word, and the form it has."""

    title: str
    note: str
    verb: str
    danger: bool = False
    form: Callable[..., BaseForm] = Password


Act = Callable[[HttpRequest, BaseForm], HttpResponse]


def _step(request: HttpRequest, step: Step, act: Act) -> HttpResponse:
    """The page; once its form holds the person's password, what it is for. Wrong ones count as at sign-in."""
    form = step.form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            signin.confirmed(request, request.user, form.cleaned_data["password"])
            return act(request, form)
        except signin.WrongPassword:
            form.add_error("password", "This is not your password.")
        except lockouts.Closed as closed:
            form.add_error(None, closed_words(closed))
    return web.form_page(request, "account/step", {"form": form, "step": step})


_PASSWORD_FIELDS = ("password", "new_password", "new_password_again")


@sensitive_post_parameters(*_PASSWORD_FIELDS)
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    step = Step(
        "Change your password",
        "Your other sessions end, wherever they are. You stay signed in here.",
        "Change password",
        form=lambda data: ChangePassword(data, user=request.user),
    )
    return _step(request, step, _change_password)


def _change_password(request: HttpRequest, form: BaseForm) -> HttpResponse:
    passwords.change(request, request.user, form.cleaned_data["new_password"])
    messages.success(request, "Your password is changed.")
    return redirect("account")


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def authenticator(request: HttpRequest) -> HttpResponse:
    replaced = _factors(request).authenticator
    note = "An app on your phone shows six digits, new ones every 30 seconds: Aegis, Google Authenticator, 1Password…"
    step = Step(
        "Replace your authenticator" if replaced else "Set up an authenticator",
        f"{note} The one you have goes on until the new one is set up." if replaced else note,
        "Go on",
    )
    return _step(request, step, _begin_authenticator)


def _begin_authenticator(request: HttpRequest, form: BaseForm) -> HttpResponse:
    request.session[BEGUN] = second_factor.begin_authenticator(request.user)
    return redirect("account_authenticator_code")


@require_http_methods(["GET", "HEAD", "POST"])
def authenticator_code(request: HttpRequest) -> HttpResponse:
    """The new secret, for this browser alone, until a first code shows that it has arrived."""
    begun = request.session.get(BEGUN)
    device = second_factor.begun_authenticator(request.user, begun)
    if device is None:
        return redirect("account_authenticator")
    form = SixDigits(request.POST if request.method == "POST" else None)
    if form.is_valid():
        if second_factor.confirm_authenticator(request.user, begun, form.cleaned_data["code"]):
            del request.session[BEGUN]
            signin.note(request, request.user, "Authenticator app set up")
            return _switched_on(request, "Your authenticator is set up.")
        form.add_error("code", "This is not the code that the app should show now. Is the phone's clock right?")
    return web.form_page(request, "account/authenticator", {"form": form, **authenticators.shown(device)})


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def authenticator_removal(request: HttpRequest) -> HttpResponse:
    if second_factor.is_required(viewer_of(request).role):
        raise Forbidden("Administrators need an authenticator. You can replace yours.")
    step = Step(
        "Remove your authenticator", "From then on no code of the app is asked for at sign-in.", "Remove", danger=True
    )
    return _step(request, step, _remove_authenticator)


def _remove_authenticator(request: HttpRequest, form: BaseForm) -> HttpResponse:
    if second_factor.remove_authenticator(request.user):
        signin.note(request, request.user, "Authenticator app removed")
        messages.success(request, "Your authenticator is removed.")
    return redirect("account")


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def email_codes(request: HttpRequest) -> HttpResponse:
    if _wants_email(request):
        step = Step("Stop codes by e-mail", "From then on no code is sent to you at sign-in.", "Stop them", danger=True)
        return _step(request, step, _stop_email)
    if second_factor.is_required(viewer_of(request).role):
        return _not_now(request, "Your role signs in with an authenticator app instead.")
    if not _may_have_letters(request):
        return _not_now(request, "There is no address on file to send codes to. An administrator can add yours.")
    address = letters.masked(request.user.email)  # type: ignore[union-attr]
    step = Step("Codes by e-mail", f"At each sign-in a code of six digits is sent to {address}.", "Switch on")
    return _step(request, step, _start_email)


def _start_email(request: HttpRequest, form: BaseForm) -> HttpResponse:
    if not second_factor.switch_email(request.user, True):
        return _not_now(request, "This account has no staff profile that could hold the choice.")
    signin.note(request, request.user, "E-mail codes switched on")
    return _switched_on(request, "A code is sent to you at each sign-in from now on.")


def _stop_email(request: HttpRequest, form: BaseForm) -> HttpResponse:
    if second_factor.switch_email(request.user, False):
        signin.note(request, request.user, "E-mail codes switched off")
        messages.success(request, "No more codes are sent to you.")
    return redirect("account")


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def recovery(request: HttpRequest) -> HttpResponse:
    if not _factors(request).any:
        return _not_now(request, "Recovery codes stand in for a second factor. Set one up first.")
    step = Step("New recovery codes", "Ten new ones. Those you have hold no longer.", "Make new codes")
    return _step(request, step, _new_recovery)


def _new_recovery(request: HttpRequest, form: BaseForm) -> HttpResponse:
    signin.note(request, request.user, "New recovery codes made")
    return _show_recovery(request)


def _switched_on(request: HttpRequest, words: str) -> HttpResponse:
    """The first second factor comes with recovery codes; one who has some keeps them."""
    if _factors(request).recovery:
        messages.success(request, words)
        return redirect("account")
    return _show_recovery(request, words)


def _show_recovery(request: HttpRequest, words: str = "") -> HttpResponse:
    """In the answer itself: they are kept nowhere, so no other page could show them."""
    context = {"codes": second_factor.new_recovery_codes(request.user), "words": words, "areas": ""}
    return render(request, "account/recovery/page.html", context)


# -- sessions


@require_POST
def end_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere, here too."""
    viewer = viewer_of(request)
    signin.note(request, request.user, "Signed out everywhere")
    sessions.end_all(viewer.id, viewer.id, "signed out everywhere")
    signin.sign_out(request)
    messages.success(request, "You are signed out everywhere.")
    return redirect("login")


def _not_now(request: HttpRequest, words: str) -> HttpResponse:
    messages.warning(request, words)
    return redirect("account")


def _factors(request: HttpRequest) -> Factors:
    return second_factor.of(request.user, viewer_of(request).role)


def _wants_email(request: HttpRequest) -> bool:
    return second_factor.wants_email(request.user)


def _may_have_letters(request: HttpRequest) -> bool:
    return bool(request.user.email) and settings.LETTERS_ARE_SENT  # type: ignore[union-attr]
