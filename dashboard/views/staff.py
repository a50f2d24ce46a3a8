"""Staff accounts, for admins: the list, a new one, other rights, closing and opening, a reset of the password, and taking
a lost second factor away. What befell an account is on its page under Security.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import letters, staff
from dashboard.errors import Conflict
from dashboard.forms.staff import Account as AccountForm
from dashboard.forms.staff import NewAccount
from dashboard.letters import Letter
from dashboard.permissions import ROLES, requires, viewer_of
from dashboard.repository import codes, moving, security
from dashboard.staff import Account, Facts, Filter
from dashboard.views import params, web


@require_safe
@requires("manage_staff")
def listing(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "staff", ("security",), lambda: _listing(request), shared=False)


def _listing(request: HttpRequest) -> dict[str, Any]:
    wanted = _wanted(request)
    page = staff.listing(wanted, params.cursor(request))
    return {
        "page": page,
        "pager": web.pager(request, page),
        "wanted": wanted,
        "filtered": wanted != Filter(),
        "chips": _chips(request, wanted),
        "self": viewer_of(request).id,
    }


def _wanted(request: HttpRequest) -> Filter:
    words = "".join(filter(str.isprintable, request.GET.get("q", "")))[:80].strip()
    state = params.choice(request, "state", ("active", "closed"))
    return Filter(words, params.choice(request, "role", ROLES), None if state is None else state == "active")  # type: ignore[arg-type]


def _chips(request: HttpRequest, wanted: Filter) -> list[web.Chip]:
    """Roles, and beside them the closed ones of all roles."""
    totals = staff.totals(wanted)
    chips = [web.Chip("All", web.address(request, role=None), totals[""], wanted.role is None)]
    for role in ROLES:
        chips.append(
            web.Chip(f"{role.capitalize()}s", web.address(request, role=role), totals[role], wanted.role == role)
        )
    return chips


# -- who somebody is, and what they may


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_staff")
def new(request: HttpRequest) -> HttpResponse:
    form = NewAccount(request.POST or None)

    def create() -> bool:
        return staff.create(
            form.cleaned_data["id"], _facts(form), by=viewer_of(request).id, token=web.token_of(request)
        )

    made, status = web.attempt(form, create)
    if made is None:
        return _form(request, form, status)
    person = form.cleaned_data["id"]
    if not made:
        return redirect("security_account", person)
    messages.success(request, f"The account {person} is made.")
    _follow_branch(request, person, "")
    return _send_to_a_new_password(request, staff.get(person))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_staff")
def edit(request: HttpRequest, person: str) -> HttpResponse:
    account = staff.get(person)
    form = AccountForm(request.POST or None, initial=account.facts)
    seen = request.POST.get("seen", "") if form.is_bound else account.seal

    def save() -> Account:
        return staff.edit(account.id, _facts(form), seen=seen, by=viewer_of(request).id, token=web.token_of(request))

    before, status = web.attempt(form, save)
    if before is None:
        return _form(request, form, status, account=account, seen=seen)
    messages.success(request, f"The account {account.id} is changed.")
    job = _follow_branch(request, account.id, _branch(before))
    return redirect("job", job) if job else redirect("security_account", account.id)


def _form(request: HttpRequest, form: AccountForm, status: int, **shown: Any) -> HttpResponse:
    return web.form_page(request, "staff/form", {"form": form, "branches": staff.branches(), **shown}, status=status)


def _facts(form: AccountForm) -> Facts:
    names = ("first", "last", "email", "role", "branch", "branches", "products")
    return Facts(**{name: form.cleaned_data[name] for name in names})


def _branch(account: Account) -> str:
    """The branch whose lists have what this person has: an agent's own."""
    return account.branch if account.role == "agent" else ""


def _follow_branch(request: HttpRequest, person: str, was: str) -> str | None:
    """The number of the work that brings everything of an agent in step with another branch, where there is any."""
    if _branch(staff.get(person)) == was:
        return None
    return moving.follow(person, was, by=viewer_of(request).id)


# -- closed, open, without a password, without a second factor


@require_POST
@requires("manage_staff")
def close(request: HttpRequest, person: str) -> HttpResponse:
    with web.told(request):
        staff.close(person, by=viewer_of(request).id, token=web.token_of(request))
        messages.success(request, f"The account {person} is closed, and its sessions are ended.")
    return web.back(request, reverse("security_account", args=(person,)))


@require_POST
@requires("manage_staff")
def reopen(request: HttpRequest, person: str) -> HttpResponse:
    with web.told(request):
        staff.reopen(person, by=viewer_of(request).id, token=web.token_of(request))
        messages.success(request, f"The account {person} is open again.")
    return web.back(request, reverse("security_account", args=(person,)))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_staff")
def reset(request: HttpRequest, person: str) -> HttpResponse:
    """The password holds no longer, and its owner gets the way to a new one."""
    account = staff.get(person)
    if request.method != "POST":
        return web.form_page(request, "staff/reset", {"account": account, "by_letter": _gets_letters(account)})
    with web.told(request):
        if staff.revoke_password(person, by=viewer_of(request).id, token=web.token_of(request)):
            return _send_to_a_new_password(request, account)
        messages.warning(request, "This form was sent before. If the link was lost, reset the password again.")
    return redirect("security_account", account.id)


@require_POST
@requires("manage_staff")
def remove_factor(request: HttpRequest, person: str) -> HttpResponse:
    with web.told(request):
        staff.remove_second_factor(person, by=viewer_of(request).id, token=web.token_of(request))
        messages.success(
            request, f"{person} signs in with the password alone, until they set up a second factor again."
        )
    return web.back(request, reverse("security_account", args=(person,)))


# -- the way to a new password


def _gets_letters(account: Account) -> bool:
    return bool(settings.LETTERS_ARE_SENT and account.email)


def _send_to_a_new_password(request: HttpRequest, account: Account) -> HttpResponse:
    """By letter; to somebody who gets none the admin hands the link over, which is shown in this answer alone."""
    name, by = security.account_of(account.username), viewer_of(request).id
    try:
        link = _link(request, name, by)
    except Conflict as error:
        messages.error(request, str(error))
        return redirect("security_account", account.id)
    if not _gets_letters(account):
        return render(request, "staff/link.html", {"account": account, "link": link})
    letter = Letter(account.email, "Choose your password", "welcome", {"account": name, "by": by, "link": link})
    letters.post(lambda: letter)
    messages.success(request, f"A letter is on its way to {letters.masked(account.email)}.")
    return redirect("security_account", account.id)


def _link(request: HttpRequest, account: str, by: str) -> str:
    """Raises Conflict where too many were made lately."""
    token = codes.issue("reset", account, by=by)
    return request.build_absolute_uri(reverse("login_reset", args=(account, token)))
