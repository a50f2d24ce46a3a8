"""Quotes: the board by time left, one quote, a new one, and what can be done with one while it lives."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import clock, keys, redis
from dashboard.errors import DomainError, Expired, Invalid, NotFound, StoreDown
from dashboard.forms.fields import refuse
from dashboard.forms.quotes import FORMS, RISKS, Bind, NewQuote, yearly_premium
from dashboard.permissions import Viewer, ended_quote_for, quote_for, requires, viewer_of
from dashboard.repository import agents, audit, lapsed, metrics, quotes, underwriting
from dashboard.views import params, web
from dashboard.views.compliance import holding
from dashboard.views.metrics import tile

TODAY: dict[metrics.Metric, str] = {"quotes_generated": "Quoted today", "policies_sold": "Policies sold today"}
BOARD_AREAS = ("quotes", "customers", "metrics")


@require_safe
def board(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "quotes", BOARD_AREAS, lambda: _board(request))


def _board(request: HttpRequest) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    wanted = wanted_quotes(request)
    page = quotes.listing(client, viewer.scope, wanted, cursor=params.cursor(request))
    live = quotes.counts(client, viewer.scope)
    return {
        "page": page,
        "pager": web.pager(request, page),
        "wanted": wanted,
        "filtered": wanted != quotes.Filter(),
        "counts": live,
        "chips": _chips(request, live, wanted),
        "risks": [risk for risk in RISKS if risk[0]],
        "tiles": _tiles(viewer),
        "may_quote": viewer.may("create_quotes"),
        "may_bind": viewer.may("bind_policies"),
        "limit": limit_of(viewer),
        "query": request.GET.urlencode(),
        "demo": settings.DEMO,
    }


def wanted_quotes(request: HttpRequest) -> quotes.Filter:
    """The board's filter in the address."""
    return quotes.Filter(
        product=params.choice(request, "product", keys.PRODUCTS),
        agent=params.identifier(request, "agent"),
        customer=params.identifier(request, "customer"),
        risk=params.choice(request, "risk", quotes.RISKS),
        within=params.whole(request, "within", 1, 60),
    )


def _tiles(viewer: Viewer) -> list[dict[str, str]]:
    """Today's quotes and sales against yesterday's, for those who may see the company's."""
    if not viewer.may("view_company_metrics"):
        return []
    now, before = (metrics.day(redis.client(), on).company for on in (clock.today(), web.yesterday()))
    return [tile(now, before, metric, title) for metric, title in TODAY.items()]


def _chips(request: HttpRequest, live: quotes.Counts, wanted: quotes.Filter) -> list[web.Chip]:
    chips = [web.Chip("All", web.address(request, product=None), live.total, wanted.product is None)]
    for product, count in live.products.items():
        chips.append(web.Chip(product.title(), web.address(request, product=product), count, wanted.product == product))
    ends = web.Chip("About to expire", web.address(request, within=5), live.within_five, wanted.within == 5)
    return [*chips, ends]


@require_safe
def detail(request: HttpRequest, product: str, number: str) -> HttpResponse:
    areas = (*BOARD_AREAS, "holds")
    return web.live_page(request, "quotes/detail", areas, lambda: _detail(request, product, number))


def _detail(request: HttpRequest, product: str, number: str) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    shown: dict[str, Any] = {
        "product": product,
        "number": number,
        "history": audit.history(client, audit.QUOTE, product, number),
        "underwriting": underwriting.get(client, number) if product == "life" else None,
        "may_quote": viewer.may("create_quotes"),
    }
    try:
        quote = quote_for(viewer, product, number)
    except Expired:
        ended = ended_quote_for(viewer, product, number)
        shown |= holding(viewer, "quote", f"{product}:{number}")
        return shown | {"ended": ended, "was": quotes.as_it_was(client, ended)}
    return shown | {
        "quote": quote,
        "stored": quotes.stored_as(client, quote),
        "may_bind": viewer.may("bind_policies"),
        "limit": limit_of(viewer),
    }


@require_http_methods(["GET", "POST"])
@requires("create_quotes")
def new(request: HttpRequest) -> HttpResponse:
    """The form of the chosen product; `?from=auto:Q001` fills it from another quote, alive or ended."""
    viewer = viewer_of(request)
    products = [product for product in keys.PRODUCTS if product in viewer.scope.products]
    if not products:
        raise NotFound("No product is open to you.")
    asked = request.POST.get("product") or params.choice(request, "product", products)
    product = asked if asked in products else _product_of(request.GET.get("from", ""), products)
    own = viewer.id if viewer.role == "agent" else ""
    whom = agents.directory(redis.client()).agents(viewer.scope)
    if request.method == "POST":
        form = FORMS[product](request.POST, agents=whom, agent=own)
        if form.is_valid():
            created = _create(request, form)
            if created:
                return created
    elif web.is_live(request):
        form = FORMS[product](request.GET, agents=whom, agent=own)
        form.is_valid()
    else:
        form = FORMS[product](agents=whom, agent=own, initial=_from(request, product))
    term = quotes.term(product, yearly_premium(form), form.data.get("risk_level") or None)
    shown = {"form": form, "product": product, "products": products, "term": term, "terms": quotes.TERMS}
    return web.form_page(request, "quotes/new", shown)


def _create(request: HttpRequest, form: NewQuote) -> HttpResponse | None:
    by = viewer_of(request).id
    try:
        created = quotes.create(form.product, form.facts, by=by, token=web.token_of(request))
    except Invalid as error:
        refuse(form, error)
        return None
    product, number = created.split(":")
    messages.success(request, f"Quote {number} is live.")
    return redirect("quote", product, number)


def _product_of(source: str, products: list[str]) -> str:
    product = source.partition(":")[0]
    return product if product in products else products[0]


def _from(request: HttpRequest, product: str) -> dict[str, Any]:
    """What another quote was about, for quoting again."""
    _, _, number = request.GET.get("from", "").partition(":")
    if not keys.is_identifier(number):
        return {"customer": params.identifier(request, "customer")}
    ended = lapsed.get(redis.client(), product, number)
    visible = ended and viewer_of(request).scope.sees(product, ended.branch)
    return ended.again if ended and visible else {}


@require_POST
@requires("create_quotes")
def extend(request: HttpRequest, product: str, number: str) -> HttpResponse:
    viewer, token = viewer_of(request), web.token_of(request)
    with web.told(request):
        if not web.done_before(token):
            quote_for(viewer, product, number)
        deadline = quotes.extend(product, number, by=viewer.id, limit=limit_of(viewer), token=token)
        until = clock.moment(deadline).astimezone(clock.zone())
        messages.success(request, f"Quote {number} now holds until {until:%H:%M:%S}.")
    return web.back(request, reverse("quotes"))


@require_POST
@requires("create_quotes")
def withdraw(request: HttpRequest, product: str, number: str) -> HttpResponse:
    viewer, token = viewer_of(request), web.token_of(request)
    with web.told(request):
        if not web.done_before(token):
            quote_for(viewer, product, number)
        quotes.withdraw(product, number, by=viewer.id, token=token)
        messages.success(request, f"Quote {number} was withdrawn.")
    return web.back(request, reverse("quotes"))


@require_http_methods(["GET", "POST"])
@requires("bind_policies")
def bind(request: HttpRequest, product: str, number: str) -> HttpResponse:
    """Look at the quote once more, say when the policy begins, and make it. The quote's time goes on running meanwhile:
    when it ends, or a colleague is faster, the page says so and keeps what was typed.
    """
    viewer, token = viewer_of(request), web.token_of(request)
    ended = None
    try:
        quote = None if web.done_before(token) else quote_for(viewer, product, number)
    except Expired:
        quote, ended = None, ended_quote_for(viewer, product, number)
    form = Bind(request.POST or None, quote=quote)
    if request.method == "POST" and not ended and form.is_valid():
        try:
            policy = quotes.bind(
                product, number, form.extra, effective=form.cleaned_data["effective"], by=viewer.id, token=token
            )
        except StoreDown:
            raise
        except Expired:
            quote, ended = None, ended_quote_for(viewer, product, number)
        except Invalid as error:
            refuse(form, error)
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            policy_product, policy_number = policy.split(":")
            messages.success(request, f"Policy {policy_number} is bound.")
            return redirect("policy", policy_product, policy_number)
    shown = {"form": form, "quote": quote, "ended": ended, "product": product, "number": number}
    shown["may_quote"] = viewer.may("create_quotes")
    status = 409 if ended and request.method == "POST" else 200
    return web.form_page(request, "quotes/bind", shown, areas=("quotes",), status=status)


def limit_of(viewer: Viewer) -> int:
    return quotes.SUPERVISOR_EXTENSIONS if viewer.may("exceed_extensions") else quotes.EXTENSIONS
