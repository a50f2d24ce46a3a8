"""What is done about sessions: one person's devices, a portal session's activity level, what a running workstation session
may, calls, and the list of sessions that ended.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import accounts, clock, keys, redis
from dashboard.errors import Conflict, Expired, Forbidden, Invalid, NotFound
from dashboard.permissions import SESSION_PERMISSIONS, customer_for, requires, viewer_of
from dashboard.repository import agents, audit, customers, sessions
from dashboard.repository.sessions import HOWS, KINDS, RIGHT_WORDS, RIGHTS, Ended, EndedFilter, How, Right, Session
from dashboard.views import params, web
from dashboard.views.sessions import KIND_WORDS, levels

AREAS = ("sessions", "security")
HOW_WORDS: dict[How, str] = {
    "signed_out": "Signed out",
    "expired": "Expired",
    "revoked": "Revoked",
    "replaced": "Replaced",
    "removed": "Removed elsewhere",
}
LATEST = 20
"""Ended sessions and records that one person's page shows."""


# -- one person


@require_safe
@requires("manage_sessions")
def person(request: HttpRequest, person: str) -> HttpResponse:
    """Where a customer or staff member is signed in, and how their latest sessions ended."""
    if not keys.is_identifier(person):
        raise NotFound("Nobody can be called that.")
    return web.live_page(request, "sessions/person", AREAS, lambda: _person(request, person), shared=False)


def _person(request: HttpRequest, person: str) -> dict[str, Any]:
    client = redis.client()
    found = sessions.of_person(client, person)
    return {
        "person": person,
        "found": found,
        "is_customer": keys.is_customer(person) and customers.exists(client, person),
        "name": customers.names(client, [person]).get(person, "") if keys.is_customer(person) else "",
        "workstation": next((session for session in found if session.is_staff), None),
        "ended": sessions.ended(client, person, size=LATEST),
        "history": audit.history(client, audit.SESSION, person, limit=LATEST),
        "own": sessions.member_of(viewer_of(request).id),
        "levels": levels(),
        "how_words": HOW_WORDS,
        "right_words": RIGHT_WORDS,
    }


# -- the activity level of a portal session


@require_POST
@requires("manage_sessions")
def activity(request: HttpRequest, session: str) -> HttpResponse:
    with web.told(request):
        words = sessions.set_activity(
            session, request.POST.get("level", ""), by=viewer_of(request).id, token=web.token_of(request)
        )
        messages.success(request, words)
    return web.back(request, reverse("sessions"))


# -- what a running session may


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_sessions")
def rights(request: HttpRequest, person: str) -> HttpResponse:
    """What a staff member's running session may: all that the account allows is offered, all that is ticked holds from
    their next request.
    """
    viewer = viewer_of(request)
    if viewer.id == person:
        raise Forbidden("Your own session is for another administrator to restrict.")
    session = _workstation(person)
    allowed = _allowed(person)
    status = 200
    problems: list[str] = []
    if request.method == "POST":
        chosen = {right: request.POST.getlist(right) for right in RIGHTS}
        try:
            words = sessions.restrict(
                person,
                chosen,
                account=allowed,
                seen=request.POST.get("seen", ""),
                by=viewer.id,
                token=web.token_of(request),
            )
        except (Conflict, Expired, Invalid) as error:
            problems, status = [str(error)], 200 if isinstance(error, Invalid) else 409
            session = _workstation(person)
        else:
            messages.success(request, words)
            return redirect("session_person", person)
    held = sessions.rights_held(redis.client(), person)
    context = {
        "session": session,
        "person": person,
        "problems": problems,
        "seen": sessions.fingerprint(held),
        "groups": [(right, RIGHT_WORDS[right], _choices(allowed[right], held[right])) for right in RIGHTS],
    }
    return web.form_page(request, "sessions/rights", context, status=status)


def _workstation(person: str) -> Session:
    member = sessions.member_of(person)
    found = sessions.load(redis.client(), [member]).get(member)
    if found is None:
        raise NotFound(f"{person[:64]} is not signed in.")
    return found


def _choices(allowed: list[str], held: list[str] | None) -> list[tuple[str, bool]]:
    """What may be ticked, and whether it is."""
    return [(each, held is None or each in held) for each in allowed]


def _allowed(person: str) -> dict[Right, list[str]]:
    """What the account behind a session allows. Raises NotFound for one without account, such as another tool's."""
    account = accounts.acting_as(person)
    if account is None:
        raise NotFound(f"There is no account behind the session of {person[:64]}.")
    branches = account.scope.branches
    if branches is None:
        branches = frozenset(agents.directory(redis.client()).branches.values())
    return {
        "permissions": list(SESSION_PERMISSIONS[account.role]),
        "branch_access": sorted(branches),
        "product_access": [each for each in keys.PRODUCTS if each in account.scope.products],
    }


# -- calls


@require_POST
@requires("edit_customers")
def call(request: HttpRequest, customer: str) -> HttpResponse:
    """The person at work has spoken with this customer."""
    viewer = viewer_of(request)
    customer_for(viewer, customer)
    with web.told(request):
        calls = sessions.log_call(viewer.id, customer, token=web.token_of(request))
        messages.success(request, f"Call with {customer} logged: {calls} today.")
    return web.back(request, reverse("customer", args=(customer,)))


# -- sessions that ended


@require_safe
@requires("manage_sessions")
def ended(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "sessions/ended", AREAS, lambda: _ended(request))


def _ended(request: HttpRequest) -> dict[str, Any]:
    wanted, client = _wanted(request), redis.client()
    page = sessions.ended(client, **wanted.__dict__, cursor=params.cursor(request))
    return {
        "page": page,
        "pager": web.pager(request, page),
        "wanted": wanted,
        "kinds": list(KIND_WORDS.items()),
        "since": params.day(request, "since"),
        "until": params.day(request, "until"),
        "filtered": wanted != EndedFilter(),
        "query": request.GET.urlencode(),
        "chips": _chips(request, wanted),
        "how_words": HOW_WORDS,
    }


def _chips(request: HttpRequest, wanted: EndedFilter) -> list[web.Chip]:
    open_to_all = replace(wanted, how=None) == EndedFilter()
    totals = sessions.ended_totals(redis.client()) if open_to_all else {}
    chips = [web.Chip("All", web.address(request, how=None), totals.get(""), wanted.how is None)]
    for how, words in HOW_WORDS.items():
        chips.append(web.Chip(words, web.address(request, how=how), totals.get(how), wanted.how == how))
    return chips


@require_safe
@requires("manage_sessions")
def ended_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The list with its filter, whole, sent while it is read."""
    header = (
        "Ended", "Person", "Kind", "How", "By", "Reason", "Device", "Network address", "Signed in", "Last activity",
    )  # fmt: skip
    rows = map(_csv_row, sessions.every_ended(redis.client(), _wanted(request)))
    return web.csv_answer(f"ended-sessions-{clock.today()}.csv", header, rows)


def _csv_row(each: Ended) -> tuple[object, ...]:
    return (
        each.at, each.person, each.kind, each.how, each.by, each.why, each.device, each.address, each.signed_in,
        each.last_activity,
    )  # fmt: skip


def _wanted(request: HttpRequest) -> EndedFilter:
    """`since` and `until` are days of the business, the latter with all of its hours."""
    until = params.day(request, "until")
    return EndedFilter(
        kind=params.choice(request, "kind", KINDS),  # type: ignore[arg-type]
        person=params.identifier(request, "person"),
        how=params.choice(request, "how", HOWS),  # type: ignore[arg-type]
        since=_midnight(params.day(request, "since")),
        until=_midnight(until + timedelta(days=1)) if until else None,
    )


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), clock.zone()) if day else None
