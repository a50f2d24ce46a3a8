"""The steps of a claim: the first notice of loss, and each way on from there to payment, closing and taking it up again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from dashboard import keys, redis
from dashboard.errors import Expired, Invalid
from dashboard.forms.claims import (
    KINDS,
    Approve,
    Assign,
    Close,
    Deny,
    Investigation,
    Pay,
    Reopen,
    Report,
    Reserve,
    SendBack,
)
from dashboard.permissions import (
    Ability,
    Viewer,
    claim_authority,
    claim_for,
    lapsed_claim_for,
    requires,
    viewer_of,
)
from dashboard.repository import claims, policies
from dashboard.repository.claims import UNDECIDED, Claim, Stage
from dashboard.views import params, web
from dashboard.views.claims import AREAS

# -- the first notice of loss


@require_http_methods(["GET", "POST"])
@requires("process_claims")
def new(request: HttpRequest) -> HttpResponse:
    """`?policy=auto:100001` fills in the policy and its customer."""
    viewer = viewer_of(request)
    policy = _policy_named(viewer, request.POST.get("policy") or request.GET.get("policy", ""))
    form = Report(request.POST or None, initial=_first(request, policy))

    def report() -> str:
        if form.cleaned_data["policy"] and not policy:
            raise Invalid({"policy": "There is no such policy that you may see. Leave it empty if it is not known."})
        return claims.report(
            **{**form.cleaned_data, "policy": policy.id if policy else None},
            agent=_agent(viewer, policy),
            by=viewer.id,
            token=web.token_of(request),
        )

    number, status = web.attempt(form, report)
    if number is not None:
        messages.success(request, f"Claim {number} is reported. Assign an adjuster within 7 days.")
        return redirect("claim", number)
    shown = {"form": form, "policy": policy, "kinds": KINDS}
    return web.form_page(request, "claims/new", shown, status=status)


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
    covered   whether what the policy says about it stands beside the form
    """

    name: str
    verb: str
    note: str
    form: Callable[..., forms.Form]
    open_to: tuple[Stage, ...]
    run: Callable[[str, dict[str, Any], Viewer, str], str]
    danger: bool = False
    covered: bool = False


def _assigned(number: str, typed: dict[str, Any], viewer: Viewer, token: str) -> str:
    adjuster = claims.assign(number, **typed, by=viewer.id, token=token)
    return f"{adjuster} investigates claim {number} now."


ASSIGN = Step(
    "Assign an adjuster to",
    "Assign",
    "The report and the investigation are then kept together, 30 days from the first assignment.",
    Assign,
    ("reported", "investigating"),
    _assigned,
)
INVESTIGATE = Step(
    "Investigation of",
    "Save",
    "The record keeps the time it has.",
    Investigation,
    ("investigating",),
    lambda number, typed, viewer, token: claims.update_investigation(number, **typed, by=viewer.id, token=token),
)
RESERVE = Step(
    "Reserve for",
    "Set aside",
    "What the company sets aside for this claim, in dollars. It is released when the claim is closed.",
    Reserve,
    ("investigating", "waiting", "approved"),
    lambda number, typed, viewer, token: claims.set_reserve(number, **typed, by=viewer.id, token=token),
)
APPROVE = Step(
    "Approve",
    "Approve claim",
    "The claim and its whole investigation are then kept for good.",
    Approve,
    ("investigating", "waiting"),
    lambda number, typed, viewer, token: claims.approve(
        number, **typed, by=viewer.id, authority=claim_authority(viewer), token=token
    ),
    covered=True,
)
SEND_BACK = Step(
    "Send back",
    "Send back",
    "The claim goes back to its investigation, with your words for the adjuster. The record keeps the time it has.",
    SendBack,
    ("waiting",),
    lambda number, typed, viewer, token: claims.send_back(number, **typed, by=viewer.id, token=token),
)
DENY = Step(
    "Deny",
    "Deny claim",
    "The claim is then kept for good, with the reason.",
    Deny,
    UNDECIDED,
    lambda number, typed, viewer, token: claims.deny(
        number, **typed, by=viewer.id, supervisor=viewer.may("approve_claims"), token=token
    ),
    danger=True,
    covered=True,
)
PAY = Step(
    "Pay",
    "Record payment",
    "The payment is logged for seven years. Once all of the final amount is paid, the claim is paid.",
    Pay,
    ("approved",),
    lambda number, typed, viewer, token: claims.pay(number, **typed, by=viewer.id, token=token),
)
CLOSE = Step(
    "Close",
    "Close claim",
    "Nothing more is expected. What is still set aside for it is released.",
    Close,
    ("paid", "denied"),
    lambda number, typed, viewer, token: claims.close(number, by=viewer.id, token=token),
)
REOPEN = Step(
    "Reopen",
    "Reopen claim",
    "The decision is taken back: the claim has to be decided anew. What was paid stays paid, and the record stays for good.",
    Reopen,
    ("approved", "paid", "denied", "closed"),
    lambda number, typed, viewer, token: claims.reopen(number, **typed, by=viewer.id, token=token),
    danger=True,
)


def _step(step: Step, ability: Ability = "process_claims") -> Callable[..., HttpResponse]:
    """The page of a step, for those who have the ability."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @requires(ability)
    def page(request: HttpRequest, claim: str) -> HttpResponse:
        return _take(request, claim, step)

    return page


assign = _step(ASSIGN)
investigate = _step(INVESTIGATE)
reserve = _step(RESERVE)
approve = _step(APPROVE)
send_back = _step(SEND_BACK, "approve_claims")
deny = _step(DENY)
pay = _step(PAY)
close = _step(CLOSE)
reopen = _step(REOPEN, "approve_claims")


def _take(request: HttpRequest, number: str, step: Step) -> HttpResponse:
    """A step's form beside the claim as it stands, live. A colleague who was faster is told on the form, which keeps
    what was typed.
    """
    viewer = viewer_of(request)
    claim = claim_for(viewer, number)
    form = step.form(request.POST or None, claim=claim)
    words, status = web.attempt(form, lambda: step.run(number, form.cleaned_data, viewer, web.token_of(request)))
    if words is not None:
        messages.success(request, words)
        return redirect("claim", number)
    shown = {
        "claim": claim,
        "step": step,
        "form": _renewed(form, claim),
        "open": claim.stage in step.open_to,
        "coverage": claims.coverage(redis.client(), claim) if step.covered else None,
        "hint": _hint(viewer, claim, step),
    }
    return web.form_page(request, "claims/step", shown, areas=AREAS, status=status)


def _hint(viewer: Viewer, claim: Claim, step: Step) -> str:
    """What this person should know before approving."""
    authority = claim_authority(viewer)
    if step is not APPROVE:
        return ""
    if claim.stage == "waiting" and authority is not None:
        return "This claim waits for a supervisor: only they can approve it now."
    if claim.is_reported_by(viewer.id):
        return "You reported this claim, so somebody else has to approve it: it will wait for a supervisor."
    if authority is not None:
        return f"Above your authority of ${authority:,.0f} it will wait for a supervisor."
    return ""


def _renewed(form: forms.Form, claim: Claim) -> forms.Form:
    """The form with the claim's present fingerprint: who saves once more has been told what changed."""
    if form.is_bound and form.non_field_errors():
        hidden = ("seen", "instead_of", "paid_before")
        renewed: dict[str, Any] = {name: form.initial[name] for name in hidden if name in form.fields}
        form.data = {**form.data.dict(), **renewed}  # type: ignore[attr-defined]
    return form


@require_POST
@requires("process_claims")
def restore(request: HttpRequest, claim: str) -> HttpResponse:
    """Bring back a lapsed claim, or those facts of a living one that have ended."""
    viewer, token = viewer_of(request), web.token_of(request)
    with web.told(request):
        if not web.done_before(token):
            _restorable(viewer, claim)
        messages.success(request, claims.restore(claim, by=viewer.id, token=token))
    return web.back(request, reverse("claim", args=(claim,)))


def _restorable(viewer: Viewer, number: str) -> Claim:
    """The claim, lapsed or not, if this person may see it. Raises NotFound."""
    try:
        return claim_for(viewer, number)
    except Expired:
        return lapsed_claim_for(viewer, number)
