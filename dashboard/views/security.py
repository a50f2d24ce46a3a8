"""Security, for admins: what stands against or for the accounts of customers and staff, lifting it, and what befell one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from dashboard import clock, keys, redis, staff
from dashboard.errors import NotFound
from dashboard.permissions import requires, viewer_of
from dashboard.repository import customers, jobs, lifting, security, sessions
from dashboard.repository.lifting import Lifted
from dashboard.repository.security import KINDS, Kind, Matter
from dashboard.views import params, web

AREAS = ("security", "sessions")
KIND_WORDS: dict[Kind, str] = {"lock": "Locks", "failures": "Failures", "code": "Codes", "reset": "Reset tokens"}
MOST_AT_ONCE = 200
"""What a page names and one transaction lifts; more are bulk work."""


@require_safe
@requires("unlock_accounts")
def listing(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "security", AREAS, lambda: _listing(request))


def _listing(request: HttpRequest) -> dict[str, Any]:
    kind, account = _wanted(request.GET)
    accounts = security.spellings(account)
    page = security.listing(redis.client(), kind, accounts, cursor=params.cursor(request))
    return {
        "page": page,
        "pager": web.pager(request, page),
        "kind": kind,
        "account": account,
        "filtered": bool(kind or account),
        "query": _query(kind, account),
        "chips": _chips(request, security.totals(redis.client(), accounts), kind),
    }


@require_safe
@requires("unlock_accounts")
def csv_file(request: HttpRequest) -> StreamingHttpResponse:
    """The list with its filter, whole, sent while it is read. Codes and tokens by reference alone."""
    header = (
        "Account", "Kind", "Level", "Failures", "Cause", "Next level at", "Issued", "Ends", "Reference",
    )  # fmt: skip
    rows = map(_csv_row, security.every(redis.client(), *_lists(*_wanted(request.GET))))
    return web.csv_answer(f"security-{clock.today()}.csv", header, rows)


def _csv_row(matter: Matter) -> tuple[object, ...]:
    return (
        matter.account, matter.kind, matter.level, matter.failures, matter.cause,
        matter.next.failures if matter.next else None, matter.issued,
        clock.moment(matter.deadline) if matter.deadline else None, matter.reference,
    )  # fmt: skip


def _wanted(query: QueryDict) -> tuple[Kind | None, str]:
    """Kind and account that the list is restricted to."""
    kind, account = query.get("kind", ""), query.get("account", "").strip()
    return kind if kind in KINDS else None, account if keys.is_identifier(account) else ""  # type: ignore[return-value]


def _lists(kind: Kind | None, account: str) -> tuple[Sequence[Kind], Sequence[str]]:
    return [kind] if kind else [], security.spellings(account)


def _query(kind: Kind | None, account: str) -> str:
    return urlencode({name: value for name, value in (("kind", kind), ("account", account)) if value})


def _chips(request: HttpRequest, totals: dict[str, int], kind: Kind | None) -> list[web.Chip]:
    chips = [web.Chip("All", web.address(request, kind=None), sum(totals.values()), kind is None)]
    for each, words in KIND_WORDS.items():
        chips.append(web.Chip(words, web.address(request, kind=each), totals[each], kind == each))
    return chips


# -- lifting: one at once, several and all of a filter after a page that names them


@require_http_methods(["GET", "HEAD", "POST"])
@requires("unlock_accounts")
def lift(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _ask(request)
    named = request.POST.getlist("matter")[:MOST_AT_ONCE]
    if "all" in request.POST:
        return _preview(request)
    if len(named) > 1 and "confirmed" not in request.POST:
        return _to_the_question(request, named)
    with web.told(request):
        _tell(request, lifting.lift(named, by=viewer_of(request).id, token=web.token_of(request)))
    return web.back(request, reverse("security"))


def _ask(request: HttpRequest) -> HttpResponse:
    """What would be lifted, as it stands now: that which was ticked, or all that fits the filter."""
    named = list(dict.fromkeys(request.GET.getlist("matter")))[:MOST_AT_ONCE]
    wanted = _wanted(request.GET)
    fits = _references(wanted, MOST_AT_ONCE + 1) if "all" in request.GET else named
    found = lifting.chosen(redis.client(), fits[:MOST_AT_ONCE])
    context = {
        "chosen": sorted(found, key=lambda matter: (matter.account, KINDS.index(matter.kind))),
        "gone": len(set(named) - {matter.reference for matter in found}),
        "too_many": len(fits) > MOST_AT_ONCE,
        "most": MOST_AT_ONCE,
        "kind": wanted[0],
        "account": wanted[1],
        "next": request.GET.get("next", ""),
    }
    return web.form_page(request, "security/lift", context)


def _references(wanted: tuple[Kind | None, str], most: int) -> list[str]:
    found = security.every(redis.client(), *_lists(*wanted))
    return [matter.reference for matter in islice(found, most)]


def _preview(request: HttpRequest) -> HttpResponse:
    """More than a page names: the job's own page says what they are, and asks."""
    with web.told(request):
        named = _references(_wanted(request.POST), jobs.MOST + 1)
        title = f"Lift {len(named):,} lockouts, failures, codes and tokens"
        return redirect("job", jobs.preview(lifting.LIFT, named, {}, by=viewer_of(request).id, title=title))
    return web.back(request, reverse("security"))


def _to_the_question(request: HttpRequest, named: Sequence[str]) -> HttpResponse:
    asked = [("matter", each) for each in named] + [("next", request.POST.get("next", ""))]
    address = f"{reverse('security_lift')}?{urlencode(asked)}"
    return HttpResponse(headers={"HX-Redirect": address}) if web.is_live(request) else redirect(address)


def _tell(request: HttpRequest, done: Lifted) -> None:
    if len(done.opened) == 1:
        messages.success(request, f"Sign-in is open for {done.opened[0]}, with no failures counted.")
    elif done.opened:
        messages.success(request, f"Sign-in is open for {len(done.opened)} accounts, with no failures counted.")
    if done.taken_back:
        s = "s" if done.taken_back > 1 else ""
        messages.success(request, f"{done.taken_back} code{s} or token{s} taken back.")
    if done.gone:
        messages.warning(request, f"{done.gone} {'were' if done.gone > 1 else 'was'} over already.")
    if not (done.opened or done.taken_back or done.gone):
        messages.warning(request, "Nothing was chosen.")


# -- one account


@require_safe
@requires("unlock_accounts")
def account(request: HttpRequest, account: str) -> HttpResponse:
    return web.live_page(request, "security/account", AREAS, lambda: _account(request, account), shared=False)


def _account(request: HttpRequest, account: str) -> dict[str, Any]:
    """Everything that befell an account, and what stands. Its failures are counted under one way of writing it, its
    sessions under the number of the person.
    """
    if not keys.is_identifier(account):
        raise NotFound("There is no such account.")
    client, profile = redis.client(), staff.find(account)
    names = list(dict.fromkeys([*security.spellings(account), *([profile.id] if profile else [])]))
    return {
        "account": profile.id if profile else account,
        "profile": profile,
        "factors": staff.factors(profile.id) if profile else None,
        "self": profile is not None and profile.id == viewer_of(request).id,
        "is_customer": profile is None and customers.get(client, account).known if keys.is_customer(account) else False,
        "matters": list(islice(security.every(client, (), names), MOST_AT_ONCE)),
        "sessions": [session for name in names for session in sessions.of_person(client, name)],
        "history": security.timeline(client, *names),
        "own": sessions.member_of(viewer_of(request).id),
    }
