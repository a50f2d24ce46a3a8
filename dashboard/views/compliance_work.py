"""Compliance at work: payments, reviews and legal holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from dashboard import clock, redis
from dashboard.errors import NotFound
from dashboard.forms import compliance as forms
from dashboard.permissions import requires, viewer_of
from dashboard.repository import holds, payments, policies, reviews
from dashboard.views import params, web
from dashboard.views.compliance import counted

NAMED = 100
"""Keys of a hold that its release names."""
STAGES: dict[str, tuple[str, tuple[reviews.Stage, ...], int | None]] = {
    "pending": ("Pending", ("pending",), None),
    "escalated": ("Escalated", ("pending",), reviews.URGENT),
    "lapsed": ("Lapsed", ("lapsed",), None),
    "decided": ("Decided", ("cleared", "action"), None),
}


# -- payments


@require_safe
@requires("see_compliance")
def payment_list(request: HttpRequest) -> HttpResponse:
    areas = ("payments", "reviews", "holds")
    return web.live_page(request, "compliance/payments", areas, lambda: _payments(request))


def _payments(request: HttpRequest) -> dict[str, Any]:
    client, wanted = redis.client(), _wanted_payments(request)
    page = payments.listing(client, wanted, cursor=params.cursor(request))
    held = holds.held(client, [each.key for each in page.rows])
    return {
        "page": page,
        "rows": page.rows,
        "held_keys": held,
        "pager": web.pager(request, page),
        "typed": {name: request.GET.get(name, "")[:64] for name in ("customer", "from", "to")},
        "filtered": wanted != payments.Filter(),
        "query": request.GET.urlencode(),
        "may_record": viewer_of(request).may("review_compliance"),
        **counted(client),
    }


def _wanted_payments(request: HttpRequest) -> payments.Filter:
    """Records of payments tell the day alone, wherever it was."""
    since, until = params.day(request, "from"), params.day(request, "to")
    return payments.Filter(
        params.identifier(request, "customer"),
        _at_utc(since) if since else None,
        _at_utc(until + timedelta(days=1)) if until else None,
    )


def _at_utc(of: date) -> int:
    return clock.ms(datetime(of.year, of.month, of.day, tzinfo=UTC))


@require_safe
@requires("see_compliance")
def payments_csv(request: HttpRequest) -> StreamingHttpResponse:
    header = ("Transaction", "Customer", "Amount", "Day", "Record")
    rows = (
        (each.transaction, each.customer, each.amount, each.day or each.at, each.text)
        for each in payments.every(redis.client(), _wanted_payments(request))
    )
    return web.csv_answer(f"payments-{clock.today()}.csv", header, rows)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("review_compliance")
def payment_new(request: HttpRequest) -> HttpResponse:
    form = forms.Payment(request.POST or None, customer=params.identifier(request, "customer") or "")

    def act() -> str:
        told = form.cleaned_data
        return payments.record(
            told["customer"], told["amount"], told["day"], note=told["note"], by=viewer_of(request).id,
            token=web.token_of(request),
        )  # fmt: skip

    transaction, status = web.attempt(form, act)
    if transaction is not None:
        messages.success(request, f"Payment {transaction} is on record for seven years.")
        return redirect(f"{reverse('payments')}?{urlencode({'customer': form.cleaned_data['customer']})}")
    page = {"title": "Record a payment", "verb": "Record", "form": form, "home": reverse("payments")}
    page |= {"note": "It is kept for seven years to the day, and cannot be changed or taken back.", "wide": ("note",)}
    return web.form_page(request, "compliance/form", page | {"home_name": "Payments"}, status=status)


# -- reviews


@require_safe
@requires("see_compliance")
def review_list(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "compliance/reviews", ("reviews", "holds"), lambda: _reviews(request))


def _reviews(request: HttpRequest) -> dict[str, Any]:
    client, stage = redis.client(), params.choice(request, "stage", tuple(STAGES)) or "pending"
    _, stages, within = STAGES[stage]
    page = reviews.listing(client, stages, within=within, cursor=params.cursor(request))
    tallied = counted(client)
    tally = tallied["tally"]
    numbers = (tally.pending, tally.urgent, tally.lapsed, tally.decided)
    chips = [
        web.Chip(STAGES[name][0], web.address(request, stage=name), number, name == stage)
        for name, number in zip(STAGES, numbers, strict=True)
    ]
    return {
        "page": page,
        "pager": web.pager(request, page),
        "stage": stage,
        "chips": chips,
        "held_keys": holds.held(client, [each.key for each in page.rows]),
        "may_review": viewer_of(request).may("review_compliance"),
        **tallied,
    }


@require_http_methods(["GET", "HEAD", "POST"])
@requires("review_compliance")
def review_new(request: HttpRequest) -> HttpResponse:
    form = forms.Review(request.POST or None, policy=request.GET.get("policy", "")[:80])

    def act() -> str:
        product, number = form.cleaned_data["policy"]
        reason, by = form.cleaned_data["reason"], viewer_of(request).id
        return reviews.begin(product, number, reason, by=by, token=web.token_of(request))

    words, status = _tried(form, act, "policy")
    if words is not None:
        messages.success(request, words)
        return redirect("reviews")
    page = {"title": "Open a review", "verb": "Open", "form": form, "home": reverse("reviews"), "home_name": "Reviews"}
    page |= {"note": "It is to be decided within 30 days, and is escalated a week before that.", "wide": ("reason",)}
    return web.form_page(request, "compliance/form", page, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("review_compliance")
def review_decide(request: HttpRequest, product: str, number: str) -> HttpResponse:
    """The decision beside the review as it stands, live."""
    client, member = redis.client(), f"{product}:{number}"
    review = reviews.get(client, product, number)
    form = forms.Decide(request.POST or None, review=review)

    def act() -> str:
        told = form.cleaned_data
        return reviews.decide(
            product, number, told["outcome"], told["note"], seen=told["seen"], by=viewer_of(request).id,
            token=web.token_of(request),
        )  # fmt: skip

    words, status = web.attempt(form, act)
    if words is not None:
        messages.success(request, words)
        return redirect("reviews")
    if status == 409:
        form.data = {**form.data.dict(), "seen": review.seen}
    page = {
        "form": form,
        "review": review,
        "policy": policies.load(client, [member]).get(member),
        "is_held": review.key in holds.held(client, [review.key]),
    }
    return web.form_page(request, "compliance/decide", page, areas=("reviews", "policies", "holds"), status=status)


# -- legal holds


@require_safe
@requires("see_compliance")
def hold_list(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "compliance/holds", ("holds", "reviews"), lambda: _holds(request))


def _holds(request: HttpRequest) -> dict[str, Any]:
    client, kind = redis.client(), params.choice(request, "kind", tuple(holds.KINDS))
    page = holds.listing(client, kind, cursor=params.cursor(request))  # type: ignore[arg-type]
    totals = holds.totals(client)
    chips = [web.Chip("All", web.address(request, kind=None), sum(totals.values()), kind is None)]
    for name, words in holds.KINDS.items():
        chips.append(web.Chip(words, web.address(request, kind=name), totals[name], kind == name))
    return {
        "page": page,
        "pager": web.pager(request, page),
        "chips": chips,
        "kinds": holds.KINDS,
        "may_release": viewer_of(request).may("review_compliance"),
        **counted(client),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@requires("see_compliance")
def hold_new(request: HttpRequest) -> HttpResponse:
    kind = params.choice(request, "kind", tuple(holds.KINDS)) or ""
    form = forms.Hold(request.POST or None, kind=kind, of=request.GET.get("of", "")[:300])

    def act() -> str:
        told = form.cleaned_data
        by, token = viewer_of(request).id, web.token_of(request)
        return holds.place(told["kind"], told["of"], told["reason"], by=by, token=token)

    words, status = _tried(form, act, "of")
    if words is not None:
        messages.success(request, words)
        return redirect("holds")
    page = {
        "title": "New legal hold",
        "verb": "Hold",
        "form": form,
        "home": reverse("holds"),
        "home_name": "Legal holds",
    }
    page |= {"note": "What is held does not end until a supervisor releases it.", "wide": ("of", "reason")}
    return web.form_page(request, "compliance/form", page, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("review_compliance")
def hold_release(request: HttpRequest, hold: str) -> HttpResponse:
    """What would happen, and the question; only what was shown ends."""
    found = holds.get(redis.client(), hold)
    form = forms.Release(request.POST or None, over=len(found.over))

    def act() -> str:
        return holds.release(hold, ending=form.accepted, by=viewer_of(request).id, token=web.token_of(request))

    words, status = web.attempt(form, act)
    if words is not None:
        messages.success(request, words)
        return redirect("holds")
    ends = [(name, clock.moment(end)) for name, end in sorted(found.ends.items(), key=lambda each: each[1])]
    page = {"form": form, "hold": found, "kind": holds.KINDS[found.kind], "ends": ends[:NAMED]}
    return web.form_page(request, "compliance/release", page, areas=("holds",), status=status)


def _tried(form: Any, act: Any, field: str) -> tuple[str | None, int]:
    """As web.attempt does; a thing that is not there is told beside the field that names it."""
    try:
        return web.attempt(form, act)
    except NotFound as error:
        form.add_error(field, str(error))
        return None, 200
