"""Sessions, for admins: who is signed in where, and ending sessions."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from dashboard import clock, redis
from dashboard.permissions import requires, viewer_of
from dashboard.repository import audit, security, sessions
from dashboard.repository.sessions import KINDS, Filter, Kind, Session
from dashboard.views import params, web

AREAS = ("sessions", "security")
KIND_WORDS: dict[Kind, str] = {
    "portal": "Portal",
    "mobile": "Mobile app",
    "tablet": "Tablet app",
    "workstation": "Workstation",
}
MOST_AT_ONCE = 200


@require_safe
@requires("manage_sessions")
def listing(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "sessions", AREAS, lambda: _listing(request), shared=False)


def _listing(request: HttpRequest) -> dict[str, Any]:
    client, wanted = redis.client(), _wanted(request)
    page = sessions.listing(client, wanted, cursor=params.cursor(request))
    return {
        "page": page,
        "pager": web.pager(request, page),
        "wanted": wanted,
        "filtered": wanted != Filter(),
        "query": request.GET.urlencode(),
        "chips": _chips(request, sessions.totals(client, wanted), wanted),
        "activities": list(sessions.ACTIVITY_LIFE),
        "locked": security.totals(client)["lock"],
        "history": audit.history(client, audit.SESSION, wanted.person, limit=20) if wanted.person else [],
        "own": _own(request),
        "levels": levels(),
        "rules": sessions.RULES,
    }


def levels() -> list[tuple[str, int]]:
    """The activity levels that an admin may choose, and their timeouts in minutes."""
    return [(level, life // clock.MINUTE) for level, life in sessions.ACTIVITY_LIFE.items()]


@require_safe
@requires("manage_sessions")
def csv_file(request: HttpRequest) -> StreamingHttpResponse:
    """The list with its filter, whole, sent while it is read."""
    header = (
        "Person", "Kind", "Device", "Device number", "Network address", "Branch", "Signed in", "Last activity",
        "Activity", "Permissions", "Ends",
    )  # fmt: skip
    rows = map(_csv_row, sessions.every(redis.client(), _wanted(request)))
    return web.csv_answer(f"sessions-{clock.today()}.csv", header, rows)


def _csv_row(session: Session) -> tuple[object, ...]:
    return (
        session.person, session.kind, session.device, session.device_id, session.address, session.branch,
        session.signed_in, session.last_activity, session.activity, " ".join(session.permissions),
        clock.moment(session.deadline) if session.deadline else None,
    )  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_sessions")
def revoke(request: HttpRequest) -> HttpResponse:
    """Choosing leads to a page that lists what would end; only what that page sends, marked confirmed, ends."""
    if request.method != "POST":
        return _ask(request)
    if "confirmed" not in request.POST:
        return _to_the_question(request)
    ids = request.POST.getlist("session")[:MOST_AT_ONCE]
    with web.told(request):
        _tell(request, sessions.revoke(ids, by=viewer_of(request).id, token=web.token_of(request)))
    return web.back(request, reverse("sessions"))


def _wanted(request: HttpRequest) -> Filter:
    return Filter(
        kind=params.choice(request, "kind", KINDS),  # type: ignore[arg-type]
        person=params.identifier(request, "person"),
        activity=params.choice(request, "activity", tuple(sessions.ACTIVITY_LIFE)),
    )


def _chips(request: HttpRequest, totals: dict[str, int], wanted: Filter) -> list[web.Chip]:
    chips = [web.Chip("All", web.address(request, kind=None), totals.get(""), wanted.kind is None)]
    for kind, words in KIND_WORDS.items():
        chips.append(web.Chip(words, web.address(request, kind=kind), totals.get(kind), wanted.kind == kind))
    return chips


def _own(request: HttpRequest) -> str:
    return sessions.member_of(viewer_of(request).id)


# -- asking first


def _ask(request: HttpRequest) -> HttpResponse:
    chosen, gone = _chosen(request.GET)
    context = {
        "chosen": chosen,
        "gone": gone,
        "person": params.identifier(request, "person"),
        "next": request.GET.get("next", ""),
        "own": _own(request),
    }
    return web.form_page(request, "sessions/revoke", context)


def _chosen(query: QueryDict) -> tuple[list[Session], int]:
    """The sessions meant, as they are now, and how many of those named are over already."""
    person = query.get("person", "").strip()
    if person:
        return sessions.of_person(redis.client(), person, size=MOST_AT_ONCE), 0
    ids = list(dict.fromkeys(query.getlist("session")))[:MOST_AT_ONCE]
    found = sessions.load(redis.client(), ids)
    return list(found.values()), len(ids) - len(found)


def _to_the_question(request: HttpRequest) -> HttpResponse:
    asked = [("session", member) for member in request.POST.getlist("session")[:MOST_AT_ONCE]]
    asked += [(name, request.POST[name]) for name in ("person", "next") if request.POST.get(name)]
    address = f"{reverse('session_revoke')}?{urlencode(asked)}"
    return HttpResponse(headers={"HX-Redirect": address}) if web.is_live(request) else redirect(address)


def _tell(request: HttpRequest, revoked: sessions.Revoked) -> None:
    ended, gone = len(revoked.ended), len(revoked.gone)
    if ended:
        messages.success(request, f"{ended} session{'s' if ended > 1 else ''} ended.")
    if gone:
        messages.warning(request, f"{gone} {'were' if gone > 1 else 'was'} over already.")
    if not ended and not gone:
        messages.warning(request, "No session was chosen.")
