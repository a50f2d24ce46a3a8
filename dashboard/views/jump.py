"""The box on every page that jumps to anything by its number."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.errors import NotFound
from dashboard.permissions import Viewer, claim_for, ended_quote_for, policy_for, quote_for, viewer_of
from dashboard.repository import customers, sessions
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from dashboard import keys, redis


@dataclass(frozen=True)
class Place:
    """Something the typed number may mean."""

    kind: str
    name: str
    text: str
    url: str


@require_safe
def go(request: HttpRequest) -> HttpResponse:
    """To the one thing that has this number; a choice where several have; a helpful page where none has."""
    typed = request.GET.get("q", "").strip()[:64]
    found = _places(viewer_of(request), typed)
    if len(found) == 1:
        return redirect(found[0].url)
    return render(request, "jump/page.html", {"typed": typed, "found": found}, status=200 if found else 404)


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
                found += _claim(viewer, spelt) + _customer(spelt) + _session(viewer, spelt)
    return found


def _policy(viewer: Viewer, product: str, number: str) -> list[Place]:
    try:
        policy = policy_for(viewer, product, number)
    except NotFound:
        return []
    return [Place("Policy", f"{number} {product.title()}", policy.subject, reverse("policy", args=(product, number)))]


def _quote(viewer: Viewer, product: str, number: str) -> list[Place]:
    url = reverse("quote", args=(product, number))
    try:
        return [Place("Quote", f"{number} {product.title()}", quote_for(viewer, product, number).subject, url)]
    except NotFound:
        pass
    try:
        return [Place("Quote", f"{number} {product.title()}", ended_quote_for(viewer, product, number).sentence, url)]
    except NotFound:
        return []


def _claim(viewer: Viewer, number: str) -> list[Place]:
    try:
        claim = claim_for(viewer, number)
    except NotFound:
        return []
    return [Place("Claim", number, claim.stage, reverse("claim", args=(number,)))]


def _customer(number: str) -> list[Place]:
    client = redis.client()
    if not customers.exists(client, number):
        return []
    name = customers.names(client, [number]).get(number, "")
    return [Place("Customer", number, name, f"{reverse('policies')}?{urlencode({'customer': number})}")]


def _session(viewer: Viewer, person: str) -> list[Place]:
    if not viewer.may("manage_sessions") or not sessions.of_person(redis.client(), person):
        return []
    return [Place("Sessions", person, "", f"{reverse('sessions')}?{urlencode({'person': person})}")]
