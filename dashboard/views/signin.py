"""The sign-in page and its second step, signing out, and the appearance."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from dashboard import clock, letters, second_factor, signin
from dashboard.browser_sessions import SessionStore
from dashboard.context import THEMES
from dashboard.errors import Forbidden
from dashboard.forms.signin import RecoveryCode, SignIn, SixDigits
from dashboard.middleware import as_domain_error
from dashboard.repository import lockouts
from dashboard.second_factor import Method
from dashboard.signin import Half, Stage
from dashboard.views import authenticators, web

_OVER = "Your session is over. Sign in to go on."
_HALF_OVER = "That took longer than five minutes, or your account has changed. Sign in anew."
_WRONG_CODE = "This code is not right, or it was used before."
_YEAR = 365 * 24 * 60 * 60


# -- the first step


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _try_to_sign_in(request)
    if signin.viewer(request, touch=False):
        return redirect(_next(request.GET.get("next", ""), request))
    ended = signin.how_it_ended(request) or (_OVER if "ended" in request.GET else "")
    return _page(request, SignIn(), request.GET.get("next", ""), ended=ended)


def _try_to_sign_in(request: HttpRequest) -> HttpResponse:
    form = SignIn(request.POST)
    target = request.POST.get("next", "")
    if not form.is_valid():
        return _page(request, form, target)
    try:
        stage = signin.first_step(request, form.cleaned_data["username"], form.cleaned_data["password"], target)
    except signin.WrongPassword:
        form.add_error(None, "This name and password do not belong together.")
    except lockouts.Closed as closed:
        form.add_error(None, closed_words(closed))
    except Forbidden as error:
        form.add_error(None, str(error))
    else:
        return _on(request, stage, target)
    return _page(request, form, target)


def _on(request: HttpRequest, stage: Stage, target: str) -> HttpResponse:
    """To what a step led to."""
    if stage == "in":
        return redirect(_next(target, request))
    if stage == "enrol":
        return redirect("login_authenticator")
    half = signin.half_of(request, "code")
    if half.factors.methods[:1] == ("email",):
        with web.told(request):
            second_factor.send_code(half.user)
    return redirect("login_code")


# -- the second step

HalfView = Callable[[HttpRequest, Half], HttpResponse]


def _halfway(stage: Stage) -> Callable[[HalfView], Callable[[HttpRequest], HttpResponse]]:
    """For who waits in this browser for this step; others are led to the beginning."""

    def decorate(view: HalfView) -> Callable[[HttpRequest], HttpResponse]:
        @sensitive_post_parameters("code")
        @never_cache
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponse:
            try:
                return view(request, signin.half_of(request, stage))
            except signin.HalfOver:
                if signin.viewer(request, touch=False):
                    return redirect("overview")  # a second click: the first one let them in
                messages.warning(request, _HALF_OVER)
                return redirect("login")

        return guarded

    return decorate


@require_http_methods(["GET", "HEAD", "POST"])
@_halfway("code")
def code(request: HttpRequest, half: Half) -> HttpResponse:
    method = _method(request, half)
    form = _code_form(method, request.POST if request.method == "POST" else None)
    if form.is_valid():
        found = _try(request, form, lambda code: signin.second_step(request, half, method, code))
        if isinstance(found, HttpResponse):
            return found
        if found:
            return _on(request, found, half.target)
    context = {
        "form": form,
        "half": half,
        "method": method,
        "others": [each for each in half.factors.methods if each != method],
        "address": letters.masked(half.factors.email) if half.factors.email else "",
    }
    return render(request, "login/code.html", context)


@require_POST
@_halfway("code")
def send_code(request: HttpRequest, half: Half) -> HttpResponse:
    """Another code by e-mail; one address may ask for so many, and one account (`codes.ISSUES`)."""
    if "email" in half.factors.methods:
        try:
            lockouts.from_address(signin.address_of(request), "letters")
        except lockouts.Closed as closed:
            return _closed(request, closed)
        with web.told(request):
            second_factor.send_code(half.user)
            messages.success(request, "A code is on its way. Those before it hold no longer.")
    return redirect(f"{reverse('login_code')}?{urlencode({'by': 'email'})}")


@require_http_methods(["GET", "HEAD", "POST"])
@_halfway("enrol")
def authenticator(request: HttpRequest, half: Half) -> HttpResponse:
    """Setting up the authenticator that the role requires, before anything else."""
    device = half.authenticator
    if device is None:
        raise signin.HalfOver
    form = SixDigits(request.POST if request.method == "POST" else None)
    if form.is_valid():
        found = _try(request, form, lambda code: signin.enrol(request, half, code))
        if isinstance(found, HttpResponse):
            return found
        if found:
            return render(request, "login/recovery.html", {"codes": found, "target": _next(half.target, request)})
    context = {"form": form, "half": half, **authenticators.shown(device)}
    return render(request, "login/authenticator.html", context)


def _try(request: HttpRequest, form: BaseForm, act: Callable[[str], Any]) -> Any:
    """What the code led to; None where it was wrong, which stands on the form. Somebody who is locked out begins anew."""
    try:
        return act(form.cleaned_data["code"])
    except signin.WrongPassword:
        form.add_error("code", _WRONG_CODE)
        return None
    except lockouts.Closed as closed:
        return _closed(request, closed)


def _closed(request: HttpRequest, closed: lockouts.Closed) -> HttpResponse:
    request.session.flush()
    return _page(request, SignIn(), "", ended=closed_words(closed))


def _method(request: HttpRequest, half: Half) -> Method:
    methods = half.factors.methods
    if not methods:  # switched off since
        raise signin.HalfOver
    wanted = request.POST.get("by") or request.GET.get("by")
    return next((method for method in methods if method == wanted), methods[0])


def _code_form(method: Method, data: Any) -> BaseForm:
    if method == "recovery":
        return RecoveryCode(data)
    form = SixDigits(data)
    form.fields["code"].label = "Code from the app" if method == "authenticator" else "Code from the e-mail"
    return form


# -- out, and how it looks


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Out of this browser in any case. A store that takes no writes keeps the session, which an admin then has to end."""
    try:
        signin.sign_out(request)
    except Exception as error:
        if as_domain_error(error) is None:
            raise
        request.session = SessionStore()  # an empty one: its cookie is taken back
        messages.warning(request, "You are signed out here. The data store could not end your session itself just now.")
    else:
        messages.success(request, "You are signed out.")
    return redirect("login")


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    response = redirect(_next(request.POST.get("next", ""), request))
    chosen = request.POST.get("theme")
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=_YEAR, samesite="Lax", secure=request.is_secure(), httponly=True)
    return response


def closed_words(closed: lockouts.Closed) -> str:
    at = clock.moment(closed.until).astimezone(clock.zone())
    when = f"until {at:%H:%M}" if closed.until - clock.now_ms() < clock.DAY else "for now"
    if isinstance(closed, lockouts.AddressClosed):
        return f"{closed} Nothing more is taken from there {when}."
    return f"Too many failed attempts: sign-in for this name is closed {when}. An administrator can open it sooner."


def _page(request: HttpRequest, form: SignIn, target: str, *, ended: str = "") -> HttpResponse:
    return render(request, "login.html", {"form": form, "next": target, "ended": ended})


def _next(target: str, request: HttpRequest) -> str:
    """Where to go: to a page of ours, never to this one again or straight out, else to the overview."""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    inside = safe and target.startswith("/") and not target.startswith((reverse("login"), reverse("logout")))
    return target if inside else reverse("overview")
