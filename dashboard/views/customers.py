"""Customers: the list and its search, one customer as a whole, a new one, changes, moves between groups, and repairs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import clock, redis
from dashboard.errors import Conflict, Invalid
from dashboard.forms.customers import CustomerForm
from dashboard.forms.fields import refuse
from dashboard.permissions import customer_for, requires, viewer_of
from dashboard.repository import audit, customers, dossier, drift, groups, places, search
from dashboard.repository.customers import Customer, Filter
from dashboard.views import params, web

AREAS = ("customers", "policies")
PAGE_AREAS = ("customers", "policies", "quotes", "claims", "groups", "payments", "places", "sessions")
MATCHES = 100
"""Most customers that a search shows."""
PLACES = 20
"""Places that disagree which stand below the customers who do."""
LOOKS = 8
"""Latest looks at a customer that the page shows."""


@require_safe
@requires("view_customer_data")
def listing(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "customers", AREAS, lambda: _listing(request))


def _listing(request: HttpRequest) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    typed = request.GET.get("q", "").strip()[: search.LONGEST]
    searching = len(typed) >= search.SHORTEST  # among all customers, whomever they prefer
    wanted = Filter() if searching else Filter(agent=params.identifier(request, "agent"))
    shown: dict[str, Any] = {
        "typed": typed,
        "wanted": wanted,
        "sort": _sort(request),
        "descending": request.GET.get("order") == "down",
        "csv": _csv_url(request),
        "total": customers.total(client, Filter()),
        "drifting": customers.total(client, Filter(drifted=True)) if viewer.may("review_drift") else 0,
        "may_edit": viewer.may("edit_customers"),
    }
    if searching:
        rows, more = search.people(client, viewer.scope, typed, size=MATCHES)
        return shown | {"rows": rows, "more": more}
    page = customers.listing(
        client, wanted, sort=shown["sort"], cursor=params.cursor(request), descending=shown["descending"]
    )
    return shown | {"page": page, "rows": page.rows, "pager": web.pager(request, page)}


def _sort(request: HttpRequest) -> customers.Sort:
    return params.choice(request, "sort", customers.SORTS) or "number"  # type: ignore[return-value]


def _csv_url(request: HttpRequest) -> str:
    asked = {name: request.GET[name] for name in ("q", "agent", "sort", "order") if request.GET.get(name)}
    return f"{reverse('customers_csv')}?{urlencode(asked)}" if asked else reverse("customers_csv")


@require_safe
@requires("view_customer_data")
def csv_file(request: HttpRequest) -> StreamingHttpResponse:
    """All that the page's search, or its filter in its order, finds, however many."""
    typed = request.GET.get("q", "").strip()[: search.LONGEST]
    if len(typed) >= search.SHORTEST:
        found, which = search.everybody(redis.client(), viewer_of(request).scope, typed), f"found by {typed}"
    else:
        wanted, descending = Filter(agent=params.identifier(request, "agent")), request.GET.get("order") == "down"
        found = customers.every(redis.client(), wanted, sort=_sort(request), descending=descending)
        which = f"of {wanted.agent}" if wanted.agent else "all of them"
    return file_of(request, "customers", which, found)


def file_of(request: HttpRequest, name: str, which: str, found: Iterable[Customer]) -> StreamingHttpResponse:
    """These customers as a file, `<name>-<today>.csv`. That it was taken is on record."""
    audit.exported(f"Customers ({which})", by=viewer_of(request).id)
    header = (
        "Customer", "Name", "Phone", "E-mail", "Address", "Since", "Risk score", "Preferred agent", "Policies",
        "Total premium, as stored",
    )  # fmt: skip
    rows = (
        (
            each.id, each.name, each.phone, each.email, each.address, each.since, each.risk_score, each.agent,
            each.count, each.total,
        )
        for each in found
    )  # fmt: skip
    return web.csv_answer(f"{name}-{clock.today()}.csv", header, rows)


# -- one customer


@require_safe
def detail(request: HttpRequest, customer: str) -> HttpResponse:
    answer = web.live_page(request, "customers/detail", PAGE_AREAS, lambda: _detail(request, customer))
    # Behind the page, so that there is such a customer; also where a rendering was shared: this person sees it, too.
    audit.looked(customer, viewer_of(request).id)
    return answer


def _detail(request: HttpRequest, customer: str) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    customer_for(viewer, customer)
    may_see = viewer.may("see_compliance")
    found = dossier.of(client, viewer.scope, customer)
    return {
        "found": found,
        "customer": found.customer,
        "most": dossier.MOST,
        "events": [_event(each) for each in found.timeline],
        "choices": [
            (kind, getattr(found.groups, kind), ",".join(getattr(found.groups, kind)), groups.names(client, kind))
            for kind in groups.KINDS
        ],
        "undos": list(groups.undoable(client, customer, found.groups).items()) if viewer.may("edit_customers") else [],
        "undo_life": groups.UNDO_LIFE,
        "stored": customers.stored_as(client, customer),
        "may_edit": viewer.may("edit_customers"),
        "may_quote": viewer.may("create_quotes"),
        "may_end_sessions": viewer.may("manage_sessions"),
        "may_record": viewer.may("review_compliance"),
        "looks": audit.history(client, audit.ACCESS, customer, limit=LOOKS) if may_see else None,
    }


_ICONS = {
    "customer": "user", "policy": "shield-check", "quote": "timer", "claim": "life-buoy", "payment": "banknote",
    "login": "log-in",
}  # fmt: skip


def _event(event: dossier.Event) -> dict[str, object]:
    return {
        "at": event.at,
        "title": event.what,
        "text": event.text,
        "icon": _ICONS[event.kind],
        "day": event.day,
    }


@require_http_methods(["GET", "POST"])
@requires("edit_customers")
def new(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    first = {
        "customer_since": clock.today().isoformat(),
        "preferred_agent": viewer.id if viewer.role == "agent" else "",
    }
    form = CustomerForm(request.POST or None, initial=first)

    def create() -> str:
        return dossier.create(form.facts, by=viewer.id, token=web.token_of(request))

    number, status = web.attempt(form, create)
    if number is not None:
        messages.success(request, f"{form.cleaned_data['name']} is customer {number}.")
        return redirect("customer", number)
    return web.form_page(request, "customers/form", {"form": form}, status=status)


@require_http_methods(["GET", "POST"])
@requires("edit_customers")
def edit(request: HttpRequest, customer: str) -> HttpResponse:
    """Change a customer. A colleague's change in between is told, and what was typed stays."""
    viewer = viewer_of(request)
    found = customer_for(viewer, customer)
    audit.looked(customer, viewer.id)
    seen = request.POST.get("seen") or found.seen
    form = CustomerForm(request.POST or None, customer=found)
    if request.method == "POST" and form.is_valid():
        try:
            words = dossier.edit(customer, form.facts, seen=seen, by=viewer.id, token=web.token_of(request))
        except Invalid as error:
            refuse(form, error)
        except Conflict as error:
            form.add_error(None, [str(error), *_differences(form, found)])
            seen = found.seen
        else:
            messages.success(request, words)
            return redirect("customer", customer)
    return web.form_page(request, "customers/form", {"form": form, "customer": found, "seen": seen})


def _differences(form: CustomerForm, now: Customer) -> list[str]:
    """Where what was typed is another than what is stored by now."""
    stored = customers.facts_of(now)
    return [
        f"{form.fields[name].label} is now {stored[name] or 'empty'}; you have {typed or 'nothing'}."
        for name, typed in form.facts.items()
        if stored.get(name, "") != typed
    ]


@require_POST
@requires("edit_customers")
def move(request: HttpRequest, customer: str, kind: str) -> HttpResponse:
    """Into another segment or tier: `<kind>` is where to, `seen_<kind>` where they were seen."""
    viewer = viewer_of(request)
    customer_for(viewer, customer)
    with web.told(request):
        to, seen = request.POST.get(kind, ""), request.POST.get(f"seen_{kind}", "")
        words = groups.move(customer, kind, to, seen=seen, by=viewer.id, token=web.token_of(request))
        messages.success(request, words)
    return web.back(request, reverse("customer", args=(customer,)))


@require_POST
@requires("edit_customers")
def undo_move(request: HttpRequest, customer: str, kind: str) -> HttpResponse:
    """Take the latest move of this kind back; `of` says which one was looked at."""
    viewer = viewer_of(request)
    customer_for(viewer, customer)
    with web.told(request):
        of = request.POST.get("of", "")
        messages.success(request, groups.undo(customer, kind, of, by=viewer.id, token=web.token_of(request)))
    return web.back(request, reverse("customer", args=(customer,)))


# -- drift


@require_POST
@requires("edit_customers")
def repair(request: HttpRequest, customer: str) -> HttpResponse:
    viewer = viewer_of(request)
    customer_for(viewer, customer)
    with web.told(request):
        words = drift.repair(customer, by=viewer.id, token=web.token_of(request))
        messages.success(request, f"{customer}: {words}")
    return web.back(request, reverse("customer", args=(customer,)))


@require_safe
@requires("review_drift")
def drifting(request: HttpRequest) -> HttpResponse:
    """Every customer and every place whose stored relations disagree with the policies; `?of=places` these alone."""
    return web.live_page(request, "customers/drift", (*AREAS, "places"), lambda: _drifting(request))


def _drifting(request: HttpRequest) -> dict[str, Any]:
    client, cursor = redis.client(), params.cursor(request)
    alone = _of_places(request)
    wrong = places.drifting(client, cursor=cursor) if alone else places.drifting(client, size=PLACES)
    page = wrong if alone else drift.listing(client, cursor=cursor)
    return {
        "page": page,
        "pager": web.pager(request, page),
        "places": wrong,
        "alone": alone,
        "customers": customers.total(client, Filter(drifted=True)) if alone else page.total,
        "may_edit": viewer_of(request).may("edit_customers"),
    }


def _of_places(request: HttpRequest) -> bool:
    return request.GET.get("of") == "places"


@require_safe
@requires("review_drift")
def drift_file(request: HttpRequest) -> StreamingHttpResponse:
    """All that disagrees, a line for each contradiction, which is on record; `?of=places` that of places."""
    client = redis.client()
    if _of_places(request):
        lines = ((where.city, where.zip, each.sentence) for where, wrong in places.all_wrong(client) for each in wrong)
        return web.csv_answer(f"contradictions-places-{clock.today()}.csv", ("City", "ZIP", "What disagrees"), lines)
    audit.exported("Customers (contradictions)", by=viewer_of(request).id)
    header = (
        "Customer", "Name", "What disagrees", "Policies, as stored", "Policies", "Total premium, as stored",
        "Total premium, by the policies",
    )  # fmt: skip
    rows = (
        (
            each.customer.id, each.customer.name, said, each.customer.count, len(each.held), each.customer.total,
            each.total,
        )
        for each in drift.every(client)
        for said in each.sentences
    )  # fmt: skip
    return web.csv_answer(f"contradictions-{clock.today()}.csv", header, rows)
