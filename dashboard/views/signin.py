"""The sign-in page, signing out, and the appearance."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from dashboard import clock, signin
from dashboard.context import THEMES
from dashboard.errors import Forbidden
from dashboard.forms.signin import SignIn
from dashboard.repository import lockouts

_OVER = "Your session is over. Sign in to go on."
_YEAR = 365 * 24 * 60 * 60


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


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    signin.sign_out(request)
    messages.success(request, "You are signed out.")
    return redirect("login")


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    response = redirect(_next(request.POST.get("next", ""), request))
    chosen = request.POST.get("theme")
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=_YEAR, samesite="Lax", secure=request.is_secure(), httponly=True)
    return response


def _try_to_sign_in(request: HttpRequest) -> HttpResponse:
    form = SignIn(request.POST)
    target = request.POST.get("next", "")
    if not form.is_valid():
        return _page(request, form, target)
    try:
        user = signin.authenticated(request, form.cleaned_data["username"], form.cleaned_data["password"])
        signin.sign_in(request, user)
    except signin.WrongPassword:
        form.add_error(None, "This name and password do not belong together.")
    except lockouts.Closed as closed:
        form.add_error(None, _closed_words(closed.until))
    except Forbidden as error:
        form.add_error(None, str(error))
    else:
        return redirect(_next(target, request))
    return _page(request, form, target)


def _closed_words(until: int) -> str:
    at = clock.moment(until).astimezone(clock.zone())
    when = f"until {at:%H:%M}" if until - clock.now_ms() < clock.DAY else "for now"
    return f"Too many failed attempts: sign-in for this name is closed {when}. An administrator can open it sooner."


def _page(request: HttpRequest, form: SignIn, target: str, *, ended: str = "") -> HttpResponse:
    return render(request, "login.html", {"form": form, "next": target, "ended": ended})


def _next(target: str, request: HttpRequest) -> str:
    """Where to go: to a page of ours, never to this one again or straight out, else to the overview."""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    inside = safe and target.startswith("/") and not target.startswith((reverse("login"), reverse("logout")))
    return target if inside else reverse("overview")
