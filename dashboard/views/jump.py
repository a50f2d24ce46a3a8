"""The box on every page: what one types is looked for as one types; Enter goes to the thing that has this number."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from dashboard import keys, redis
from dashboard.errors import NotFound
from dashboard.permissions import Viewer, claim_for, ended_quote_for, policy_for, quote_for, viewer_of
from dashboard.repository import customers, dossier, search, sessions
from dashboard.repository.search import Found
from dashboard.templatetags.tideline import words
from dashboard.views import web

AS_TYPED, ON_PAGE = 5, 25
"""How many of each kind are shown under the box, and on the page of results."""

_BY = {"phone": "phone", "email": "email", "place": "address"}


@dataclass(frozen=True)
class Place:
    """Something the typed text may mean: its number or name, what it is, and more about it."""

    kind: str
    name: str
    text: str
    url: str
    icon: str = "circle-dot"
    id: str = ""


@dataclass
class Group:
    """What was found of one kind."""

    kind: str
    rows: list[Place] = field(default_factory=list)


@require_safe
def go(request: HttpRequest) -> HttpResponse:
    """To the one thing that has this number; else to what begins so; a helpful page where nothing does."""
    viewer, typed = viewer_of(request), request.GET.get("q", "").strip()[: search.LONGEST]
    exact = _places(viewer, typed)
    if len(exact) == 1:
        return redirect(exact[0].url)
    groups = _by_kind(exact) if exact else _groups(viewer, typed, ON_PAGE)
    rows = [row for group in groups for row in group.rows]
    if len(rows) == 1:
        return redirect(rows[0].url)
    status = 200 if rows else 404
    return render(request, "jump/page.html", {"typed": typed, "groups": groups, "count": len(rows)}, status=status)


@require_safe
def suggest(request: HttpRequest) -> HttpResponse:
    """What is shown under the box while one types: a part of a page for the script, the page of results without it."""
    if not web.is_live(request):
        return go(request)
    typed = request.GET.get("q", "").strip()[: search.LONGEST]
    groups = _groups(viewer_of(request), typed, AS_TYPED)
    rows = sum(len(group.rows) for group in groups)
    answer = render(request, "jump/_options.html", {"typed": typed, "groups": groups, "count": rows})
    answer["Cache-Control"] = "no-store"
    return answer


# -- what begins with it


def _groups(viewer: Viewer, typed: str, size: int) -> list[Group]:
    found = search.find(redis.client(), viewer.scope, typed, size=size)
    people = _found_people(found) if viewer.may("view_customer_data") else []
    rows = [*people, *_found_business(found), *_found_places(found), *_found_sessions(viewer, typed)]
    return _by_kind(rows)


def _by_kind(rows: list[Place]) -> list[Group]:
    groups: dict[str, Group] = {}
    for row in rows:
        groups.setdefault(row.kind, Group(row.kind)).rows.append(row)
    return list(groups.values())


def _found_people(found: Found) -> list[Place]:
    rows = []
    for each in found.customers:
        told = getattr(each, _BY.get(found.by.get(each.id, ""), "address")) or each.address or ""
        text = " · ".join(filter(None, (each.id if each.name else "", told)))
        rows.append(
            Place("Customers", each.name or each.id, text, reverse("customer", args=(each.id,)), "user", each.id)
        )
    return rows


def _found_business(found: Found) -> list[Place]:
    rows = []
    for policy in found.policies:
        url = reverse("policy", args=(policy.product, policy.number))
        text = " · ".join(filter(None, (policy.subject, policy.customer_name or policy.customer)))
        rows.append(Place("Policies", f"{policy.number} {words(policy.product)}", text, url, "shield-check", policy.id))
    for quote in found.quotes:
        url = reverse("quote", args=(quote.product, quote.number))
        rows.append(Place("Quotes", f"{quote.number} {words(quote.product)}", quote.subject, url, "timer", quote.id))
    for claim in found.claims:
        url = reverse("claim", args=(claim.number,))
        rows.append(Place("Claims", claim.number, claim.summary or words(claim.stage), url, "life-buoy", claim.number))
    return rows


def _found_places(found: Found) -> list[Place]:
    return [
        Place(
            "Places", f"{words(each.city)} {each.zip}", f"{len(each.listed):,} {'policy' if len(each.listed) == 1 else 'policies'} listed",
            reverse("location", args=(each.city, each.zip)), "map-pin", each.id,
        )
        for each in found.places
    ]  # fmt: skip


def _found_sessions(viewer: Viewer, typed: str) -> list[Place]:
    person = typed.upper()
    return _session(viewer, person) if keys.is_identifier(person) else []


# -- what has just this number


def _places(viewer: Viewer, typed: str) -> list[Place]:
    """`auto:100001`, `100001`, `Q001`, `CLM003`, `CUST001`, `AG001`, in whatever case. About 20 round trips at most."""
    product, colon, number = typed.lower().partition(":")
    number = typed.partition(":")[2] if colon and product in keys.PRODUCTS else typed
    products = [product] if colon and product in keys.PRODUCTS else list(keys.PRODUCTS)
    found: list[Place] = []
    for spelt in dict.fromkeys((number, number.upper())):
        if keys.is_identifier(spelt) and not found:
            for each in products:
                found += _policy(viewer, each, spelt) + _quote(viewer, each, spelt)
            if not colon:
                found += _claim(viewer, spelt) + _customer(viewer, spelt) + _session(viewer, spelt)
    return found


def _policy(viewer: Viewer, product: str, number: str) -> list[Place]:
    try:
        policy = policy_for(viewer, product, number)
    except NotFound:
        return []
    url = reverse("policy", args=(product, number))
    return [Place("Policies", f"{number} {product.title()}", policy.subject, url, "shield-check")]


def _quote(viewer: Viewer, product: str, number: str) -> list[Place]:
    url = reverse("quote", args=(product, number))
    name = f"{number} {product.title()}"
    try:
        return [Place("Quotes", name, quote_for(viewer, product, number).subject, url, "timer")]
    except NotFound:
        pass
    try:
        return [Place("Quotes", name, ended_quote_for(viewer, product, number).sentence, url, "timer")]
    except NotFound:
        return []


def _claim(viewer: Viewer, number: str) -> list[Place]:
    try:
        claim = claim_for(viewer, number)
    except NotFound:
        return []
    return [Place("Claims", number, words(claim.stage), reverse("claim", args=(number,)), "life-buoy")]


def _customer(viewer: Viewer, number: str) -> list[Place]:
    client = redis.client()
    if not viewer.may("view_customer_data") or not keys.is_customer(number) or not dossier.known(client, number):
        return []
    name = customers.names(client, [number]).get(number, "")
    return [Place("Customers", number, name, reverse("customer", args=(number,)), "user")]


def _session(viewer: Viewer, person: str) -> list[Place]:
    if not viewer.may("manage_sessions") or not sessions.of_person(redis.client(), person):
        return []
    url = reverse("session_person", args=(person,))
    return [Place("Sessions", person, "", url, "monitor-smartphone")]
