"""Claims: the pipeline, one claim, the first notice of loss, and each step towards a decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from dashboard import keys, redis
from dashboard.errors import Conflict, Expired, Invalid
from dashboard.forms.claims import KINDS, Approve, Assign, Deny, Investigation, Report
from dashboard.forms.fields import refuse
from dashboard.permissions import Viewer, claim_for, requires, viewer_of
from dashboard.repository import audit, claims, policies
from dashboard.repository.agents import Scope
from dashboard.repository.claims import STAGES, UNDECIDED, Claim, Filter, Stage
from dashboard.repository.index import UNKNOWN
from dashboard.views import params, web

AREAS = ("claims",)
NO_POLICY = "none"
"""The parameter `product` for claims of no known policy."""


# -- looking


@require_GET
def pipeline(request: HttpRequest) -> HttpResponse:
    """The four stages side by side; `?stage=` is one of them as a list of any length."""
    return web.live_page(request, "claims", AREAS, lambda: _pipeline(request))


def _pipeline(request: HttpRequest) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    product = params.choice(request, "product", (*keys.PRODUCTS, NO_POLICY))
    wanted = Filter(
        product=UNKNOWN if product == NO_POLICY else product,
        customer=params.identifier(request, "customer"),
        adjuster=params.identifier(request, "adjuster"),
    )
    stage = next((each for each in STAGES if each == request.GET.get("stage")), None)
    totals = claims.totals(client, viewer.scope, wanted, stages=(stage,) if stage else STAGES)
    shown: dict[str, Any] = {
        "wanted": wanted,
        "product": product,
        "stage": stage,
        "filtered": wanted != Filter(),
        "chips": _chips(request, totals, product),
        "urgent": claims.urgent(client, viewer.scope),
        "may_work": viewer.may("process_claims"),
    }
    if stage:
        page = claims.listing(client, viewer.scope, wanted, stage, cursor=params.cursor(request))
        return shown | {"page": page, "pager": web.pager(request, page), "board_url": web.address(request, stage=None)}
    columns = claims.pipeline(client, viewer.scope, wanted)
    return shown | {
        "columns": [(column, web.address(request, stage=column.stage)) for column in columns],
        "waiting": sum(column.total for column in columns if column.stage in UNDECIDED),
    }


def _chips(request: HttpRequest, totals: dict[str, int], chosen: str | None) -> list[web.Chip]:
    """All, each product that is open to the viewer, and those of no policy where there are any."""
    everything = sum(totals.values()) if totals else None
    chips = [web.Chip("All", web.address(request, product=None), everything, chosen is None)]
    for product in keys.PRODUCTS:
        url = web.address(request, product=product)
        chips.append(web.Chip(product.title(), url, totals.get(product), chosen == product))
    if totals.get(UNKNOWN) or chosen == NO_POLICY:
        url = web.address(request, product=NO_POLICY)
        chips.append(web.Chip("No policy", url, totals.get(UNKNOWN), chosen == NO_POLICY))
    return chips


@require_GET
def detail(request: HttpRequest, claim: str) -> HttpResponse:
    return web.live_page(request, "claims/detail", AREAS, lambda: _detail(request, claim))


def _detail(request: HttpRequest, number: str) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    try:
        claim = claim_for(viewer, number)
    except Expired:
        # Whose it was went with it: what is left is for those who see every branch and product.
        if viewer.scope != Scope():
            raise
        return {"number": number, "history": audit.history(client, audit.CLAIM, number)}
    stored = claims.stored_as(client, number)
    return {
        "number": number,
        "claim": claim,
        "policy": claim.policy.split(":") if claim.policy else None,
        "history": audit.history(client, audit.CLAIM, number),
        "stored": stored,
        # Another tool's approval keeps two keys of its investigation and lets the others end.
        "ending": [each for each in stored if each.deadline] if claim.is_decided else [],
        "may_work": viewer.may("process_claims"),
    }


# -- the first notice of loss


@require_http_methods(["GET", "POST"])
@requires("process_claims")
def new(request: HttpRequest) -> HttpResponse:
    """`?policy=auto:100001` fills in the policy and its customer."""
    viewer = viewer_of(request)
    policy = _policy_named(viewer, request.POST.get("policy") or request.GET.get("policy", ""))
    form = Report(request.POST or None, initial=_first(request, policy))
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data["policy"]
        try:
            if typed and not policy:
                raise Invalid(
                    {"policy": "There is no such policy that you may see. Leave it empty if it is not known."}
                )
            number = claims.report(
                **{**form.cleaned_data, "policy": policy.id if policy else None},
                agent=_agent(viewer, policy),
                by=viewer.id,
                token=web.token_of(request),
            )
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, f"Claim {number} is reported. Assign an adjuster within 7 days.")
            return redirect("claim", number)
    return web.form_page(request, "claims/new", {"form": form, "policy": policy, "kinds": KINDS})


def _first(request: HttpRequest, policy: policies.Policy | None) -> dict[str, str | None]:
    customer = params.identifier(request, "customer") or (policy.customer if policy else None)
    return {"policy": policy.id if policy else params.identifier(request, "policy"), "customer": customer}


def _policy_named(viewer: Viewer, text: str) -> policies.Policy | None:
    """The policy `auto:100001`, or the one with the number 100001, if this person may see it. Three round trips."""
    product, colon, number = text.strip().partition(":")
    ids = [f"{product.lower()}:{number}"] if colon else [f"{each}:{product}" for each in keys.PRODUCTS]
    known = [each for each in ids if claims.is_policy(each)]
    found = policies.load(redis.client(), known)
    return next((policy for policy in found.values() if viewer.scope.sees(policy.product, policy.branch)), None)


def _agent(viewer: Viewer, policy: policies.Policy | None) -> str | None:
    """Whose claim it is: the policy's agent's, else the agent's who takes the call."""
    if policy and policy.agent:
        return policy.agent
    return viewer.id if viewer.role == "agent" else None


# -- the steps


@dataclass(frozen=True)
class Step:
    """One way on for a claim.

    name      goes before the claim's number in the title; `verb` stands on the button
    note      what the step means for the record
    open_to   the stages it leads on from
    run       takes it (number, what was typed, by whom, token), and gives the words to tell
    """

    name: str
    verb: str
    note: str
    form: Callable[..., forms.Form]
    open_to: tuple[Stage, ...]
    run: Callable[[str, dict[str, Any], str, str], str]
    danger: bool = False


def _assigned(number: str, typed: dict[str, Any], by: str, token: str) -> str:
    adjuster = claims.assign(number, **typed, by=by, token=token)
    return f"{adjuster} investigates claim {number} now."


ASSIGN = Step(
    "Assign an adjuster to",
    "Assign",
    "The report and the investigation are then kept together, 30 days from the first assignment.",
    Assign,
    UNDECIDED,
    _assigned,
)
INVESTIGATE = Step(
    "Investigation of",
    "Save",
    "The record keeps the time it has.",
    Investigation,
    ("investigating",),
    lambda number, typed, by, token: claims.update_investigation(number, **typed, by=by, token=token),
)
APPROVE = Step(
    "Approve",
    "Approve claim",
    "This is final. The claim and its whole investigation are then kept for good.",
    Approve,
    ("investigating",),
    lambda number, typed, by, token: claims.approve(number, **typed, by=by, token=token),
)
DENY = Step(
    "Deny",
    "Deny claim",
    "This is final. The claim is then kept for good, with the reason.",
    Deny,
    UNDECIDED,
    lambda number, typed, by, token: claims.deny(number, **typed, by=by, token=token),
    danger=True,
)


@require_http_methods(["GET", "POST"])
@requires("process_claims")
def assign(request: HttpRequest, claim: str) -> HttpResponse:
    return _take(request, claim, ASSIGN)


@require_http_methods(["GET", "POST"])
@requires("process_claims")
def investigate(request: HttpRequest, claim: str) -> HttpResponse:
    return _take(request, claim, INVESTIGATE)


@require_http_methods(["GET", "POST"])
@requires("process_claims")
def approve(request: HttpRequest, claim: str) -> HttpResponse:
    return _take(request, claim, APPROVE)


@require_http_methods(["GET", "POST"])
@requires("process_claims")
def deny(request: HttpRequest, claim: str) -> HttpResponse:
    return _take(request, claim, DENY)


def _take(request: HttpRequest, number: str, step: Step) -> HttpResponse:
    """A step's form beside the claim as it stands, live. A colleague who was faster is told on the form, which keeps
    what was typed.
    """
    viewer = viewer_of(request)
    claim = claim_for(viewer, number)
    form = step.form(request.POST or None, claim=claim)
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            words = step.run(number, form.cleaned_data, viewer.id, web.token_of(request))
        except Invalid as error:
            refuse(form, error)
        except (Conflict, Expired) as error:
            form.add_error(None, str(error))
            status = 409
        else:
            messages.success(request, words)
            return redirect("claim", number)
    shown = {"claim": claim, "step": step, "form": _renewed(form, claim), "open": claim.stage in step.open_to}
    return web.form_page(request, "claims/step", shown, areas=AREAS, status=status)


def _renewed(form: forms.Form, claim: Claim) -> forms.Form:
    """The form with the claim's present fingerprint: who saves once more has been told what changed."""
    if form.is_bound and form.non_field_errors():
        renewed: dict[str, Any] = {name: form.initial[name] for name in ("seen", "instead_of") if name in form.fields}
        form.data = {**form.data.dict(), **renewed}  # type: ignore[attr-defined]
    return form
