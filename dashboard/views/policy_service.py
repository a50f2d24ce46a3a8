"""Servicing policies: each step a small form of its own, the renewal queue, and another agent for many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import charts, clock, keys, redis, vin
from dashboard.errors import Conflict, Invalid
from dashboard.forms.policy_service import Cancel, ChangeAgent, Endorse, Reassign, Reinstate, Renew, Served
from dashboard.permissions import Viewer, policy_for, requires, viewer_of
from dashboard.repository import agents, audit, claims, jobs, planned, policies
from dashboard.repository import policy_service as service
from dashboard.repository.policies import Filter, Policy
from dashboard.views import params, web
from dashboard.views.policies import filter_of, own_branch, sort_of, typed_vin

WEEKS = 13
"""Stretches of seven days that the renewal queue looks ahead: a quarter."""
MOST_REASSIGNED = 20_000


# -- the steps


@dataclass(frozen=True)
class Step:
    """One service. `name` goes before the policy's number; `note` says what it means; `why_not` why it is not open;
    `run` does it (policy, form, by, token) and gives the words to tell.
    """

    name: str
    verb: str
    note: str
    form: type[Served]
    why_not: Callable[[Policy], str | None]
    run: Callable[[Policy, Any, str, str], str]
    danger: bool = False


ENDORSE = Step(
    "Endorse", "Endorse policy",
    "From a day on something else is insured, or at another premium. The details, the customer’s total and the lists follow.",
    Endorse, service.why_not_endorse,
    lambda policy, form, by, token: service.endorse(
        policy.product, policy.number, form.facts, effective=form.cleaned_data["effective"],
        reason=form.cleaned_data["reason"], seen=form.cleaned_data["seen"], by=by, token=token,
    ),
)  # fmt: skip
RENEW = Step(
    "Renew", "Renew policy", "A new term. The premium is stored as that of the new term at once.",
    Renew, service.why_not_renew,
    lambda policy, form, by, token: service.renew(
        policy.product, policy.number, form.facts, begins=form.cleaned_data["begins"],
        ends=form.cleaned_data["ends"], seen=form.cleaned_data["seen"], by=by, token=token,
    ),
)  # fmt: skip
CANCEL = Step(
    "Cancel", "Cancel policy",
    "It ends before its time. It stays in its customer’s list, and can be reinstated within its term.",
    Cancel, service.why_not_cancel,
    lambda policy, form, by, token: service.cancel(
        policy.product, policy.number, **form.cleaned_data, by=by, token=token
    ),
    danger=True,
)  # fmt: skip
REINSTATE = Step(
    "Reinstate", "Reinstate policy", "It is in force again, for the rest of its term, as it was.",
    Reinstate, service.why_not_reinstate,
    lambda policy, form, by, token: service.reinstate(
        policy.product, policy.number, **form.cleaned_data, by=by, token=token
    ),
)  # fmt: skip
AGENT = Step(
    "Another agent for", "Change agent", "It moves to that agent’s branch, with all of its history.",
    ChangeAgent, lambda policy: None,
    lambda policy, form, by, token: service.reassign(
        policy.product, policy.number, **form.cleaned_data, by=by, token=token
    ),
)  # fmt: skip


def _step(step: Step) -> Callable[..., HttpResponse]:
    """The page of a step."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @requires("edit_policies")
    def page(request: HttpRequest, product: str, number: str) -> HttpResponse:
        return _take(request, product, number, step)

    return page


endorse = _step(ENDORSE)
renew = _step(RENEW)
cancel = _step(CANCEL)
reinstate = _step(REINSTATE)
change_agent = _step(AGENT)


def _take(request: HttpRequest, product: str, number: str, step: Step) -> HttpResponse:
    """A step's form beside the policy as it stands, live. A colleague who was faster is told on the form, which keeps
    what was typed and, sent once more, is done.
    """
    viewer, client = viewer_of(request), redis.client()
    policy = policy_for(viewer, product, number)
    form = step.form(request.POST or None, policy=policy, stored=policies.raw_facts(client, policy))

    def run() -> str:
        own_branch(viewer, form.cleaned_data.get("agent"))
        return step.run(policy, form, viewer.id, web.token_of(request))

    words, status = web.attempt(form, run)
    if words is not None:
        messages.success(request, words)
        return redirect("policy", product, number)
    if status == 409:
        form.renew(policy)
    shown = {"step": step, "form": form, "why_not": step.why_not(policy), "vin": typed_vin(form, policy)}
    shown |= _standing(viewer, policy)
    return web.form_page(request, "policies/step", shown, areas=("policies", "claims"), status=status)


def _standing(viewer: Viewer, policy: Policy) -> dict[str, Any]:
    client = redis.client()
    return {
        "policy": policy,
        "claims": claims.for_policy(client, viewer.scope, policy.id),
        "history": audit.history(client, audit.POLICY, policy.product, policy.number, limit=5),
        "agents": agents.directory(client).agents(viewer.scope),
    }


@require_POST
@requires("edit_policies")
def undo(request: HttpRequest, product: str, number: str) -> HttpResponse:
    viewer = viewer_of(request)
    policy_for(viewer, product, number)
    with web.told(request):
        of = request.POST.get("of", "")
        messages.success(request, service.undo(product, number, of, by=viewer.id, token=web.token_of(request)))
    return web.back(request, reverse("policy", args=(product, number)))


@require_POST
@requires("edit_policies")
def withdraw_plan(request: HttpRequest, product: str, number: str) -> HttpResponse:
    viewer = viewer_of(request)
    policy_for(viewer, product, number)
    with web.told(request):
        messages.success(request, planned.withdraw(product, number, by=viewer.id, token=web.token_of(request)))
    return web.back(request, reverse("policy", args=(product, number)))


@require_POST
@requires("edit_policies")
def lapse(request: HttpRequest, product: str, number: str) -> HttpResponse:
    viewer = viewer_of(request)
    policy_for(viewer, product, number)
    with web.told(request):
        service.lapse(product, number, by=viewer.id, token=web.token_of(request))
        messages.success(request, f"Policy {number} has lapsed. That can be undone on its page.")
    return web.back(request, reverse("policy", args=(product, number)))


@require_safe
@requires("edit_policies")
def read_vin(request: HttpRequest) -> HttpResponse:
    """What the VIN that is being typed says; only ever asked by a form in the background."""
    if not web.is_live(request):
        return redirect("policies")
    reading = vin.read(request.GET.get("vehicle_vin", "")[:64], request.GET.get("vehicle", "")[:200])
    return web.form_page(request, "policies/vin", {"vin": reading})


# -- the renewal queue


@dataclass(frozen=True)
class Week:
    """Policies that end in one stretch of seven days."""

    first: date
    count: int
    url: str
    current: bool

    @property
    def label(self) -> str:
        """22–28 Nov, 29 Nov–5 Dec."""
        last = self.first + timedelta(days=6)
        begin = f"{self.first.day}" if self.first.month == last.month else f"{self.first.day} {self.first:%b}"
        return f"{begin}–{last.day} {last:%b}"


@require_safe
def renewals(request: HttpRequest) -> HttpResponse:
    """Active policies by days left; `?past=1` those that are past their end and active still."""
    return web.live_page(request, "policies/renewals", ("policies",), lambda: _renewals(request))


def _renewals(request: HttpRequest) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    past = request.GET.get("past") == "1"
    every = Filter(
        status="ACTIVE",
        product=params.choice(request, "product", keys.PRODUCTS),
        agent=params.identifier(request, "agent"),
    )
    week = None if past else params.whole(request, "week", 0, WEEKS - 1)
    ahead = replace(every, week=week) if week is not None else replace(every, within=7 * WEEKS - 1)
    wanted = replace(every, within=-1) if past else ahead
    # Those whose end passed last come first: they are the ones that can be saved.
    page = policies.listing(client, viewer.scope, wanted, descending=past, cursor=params.cursor(request))
    windows = [replace(every, week=each) for each in range(WEEKS)]
    overdue, *counts = policies.counts(client, viewer.scope, [replace(every, within=-1), *windows])
    weeks = _weeks(request, counts, week)
    return {
        "page": page,
        "pager": web.pager(request, page),
        "wanted": wanted,
        "filtered": bool(every.product or every.agent),
        "past": past,
        "week": weeks[week] if week is not None else None,
        "weeks": weeks,
        "chart": charts.histogram(
            [charts.Bin(f"{each.first.day} {each.first:%b}", each.count, each.current) for each in weeks],
            title="Active policies that end, by week from",
        ),
        "tiles": _tiles(request, overdue, counts),
        "products": _product_chips(request, every),
        "plans": _plans(viewer),
        "csv": _csv_url(wanted, past),
        "may_edit": viewer.may("edit_policies"),
    }


def _plans(viewer: Viewer) -> list[tuple[planned.Planned, Policy]]:
    """What is planned for policies that this person may see, the next first. Five round trips."""
    client = redis.client()
    plans = planned.upcoming(client)
    found = policies.load(client, [each.policy for each in plans]) if plans else {}
    rows = [(each, found[each.policy]) for each in plans if each.policy in found]
    return [(each, policy) for each, policy in rows if viewer.scope.sees(policy.product, policy.branch)]


def _weeks(request: HttpRequest, counts: Sequence[int], chosen: int | None) -> list[Week]:
    today = clock.today()
    return [
        Week(today + timedelta(days=7 * at), count, web.address(request, week=at, past=None), at == chosen)
        for at, count in enumerate(counts)
    ]


def _tiles(request: HttpRequest, overdue: int, counts: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "id": "overdue", "label": "Past their end, active still", "value": f"{overdue:,}",
            "note": "Renew or let lapse", "url": web.address(request, past=1, week=None),
            "current": "past" in request.GET,
        },
        {
            "id": "week", "label": "End within 7 days", "value": f"{counts[0]:,}",
            "note": "The first to call", "url": web.address(request, week=0, past=None),
            "current": request.GET.get("week") == "0",
        },
        {"id": "month", "label": "End within 28 days", "value": f"{sum(counts[:4]):,}", "note": "Four weeks"},
        {
            "id": "quarter", "label": f"End within {7 * WEEKS} days", "value": f"{sum(counts):,}",
            "note": "The whole queue", "url": web.address(request, week=None, past=None),
        },
    ]  # fmt: skip


def _product_chips(request: HttpRequest, wanted: Filter) -> list[web.Chip]:
    chips = [web.Chip("All", web.address(request, product=None), None, wanted.product is None)]
    for product in viewer_of(request).scope.products & set(keys.PRODUCTS):
        chips.append(web.Chip(product.title(), web.address(request, product=product), None, wanted.product == product))
    return [chips[0], *sorted(chips[1:], key=lambda chip: chip.label)]


def _csv_url(wanted: Filter, past: bool) -> str:
    query: dict[str, object] = {"status": wanted.status, "product": wanted.product, "agent": wanted.agent}
    query |= {"within": wanted.within, "week": wanted.week, "order": "down" if past else None}
    return _address("policies_csv", query)


# -- files


@require_safe
def csv_file(request: HttpRequest) -> HttpResponseBase:
    """The list with its filter and order, whole, sent while it is read: 500 policies at a time."""
    viewer, wanted = viewer_of(request), filter_of(request)
    sort, down = sort_of(request, wanted), request.GET.get("order") == "down"
    rows = policies.every(redis.client(), viewer.scope, wanted, sort=sort, descending=down)
    header = ("product", "number", "state", *_FACTS)
    lines = ((row.product, row.number, row.state, *(getattr(row, name) for name in _FACTS)) for row in rows)
    return web.csv_answer(f"policies-{clock.today()}.csv", header, lines)


_FACTS = (
    "status", "customer", "customer_name", "agent", "branch", "premium", "premium_monthly", "effective", "expires",
    "deductible", "vehicle", "vin", "coverage_limits", "property_address", "property_value", "coverage_type",
    "coverage_amount", "term_years", "quote", "details",
)  # fmt: skip


# -- many at once


@require_http_methods(["GET", "POST"])
@requires("reassign_policies")
def reassign(request: HttpRequest) -> HttpResponse:
    """Give all policies of a filter, or those that were ticked (`pick`), to another agent: the form, then a preview of
    exactly these, to be confirmed.
    """
    viewer = viewer_of(request)
    picked = _picked(viewer, request.GET.getlist("pick"))
    form = Reassign(request.POST or None)

    def preview() -> str:
        _known_agent(form.cleaned_data["agent"])
        members = picked if picked is not None else _all_of(request)
        title = f"Give {len(members):,} polic{'y' if len(members) == 1 else 'ies'} to {form.cleaned_data['agent']}"
        return jobs.preview(service.REASSIGN, members, form.cleaned_data, by=viewer.id, title=title)

    job, status = web.attempt(form, preview)
    if job is not None:
        return redirect("job", job)
    wanted = filter_of(request)
    total = len(picked) if picked is not None else _total(viewer, wanted)
    shown = {
        "form": form,
        "total": total,
        "picked": picked,
        "everything": picked is None and wanted == Filter(),
        "back": _address("policies", {} if picked is not None else request.GET.dict()),
        "agents": agents.directory(redis.client()).agents(viewer.scope),
        "most": MOST_REASSIGNED,
    }
    return web.form_page(request, "policies/reassign", shown, status=status)


def _picked(viewer: Viewer, members: list[str]) -> list[str] | None:
    """Those of the ticked that are policies this person may see, as the work names them; None where none were ticked. Two
    round trips.
    """
    if not members:
        return None
    found = policies.load(redis.client(), [member for member in dict.fromkeys(members[:500]) if _is_policy(member)])
    seen = [policy for policy in found.values() if viewer.scope.sees(policy.product, policy.branch)]
    return [service.reassignable(policy) for policy in seen]


def _is_policy(member: str) -> bool:
    product, _, number = member.partition(":")
    return product in keys.PRODUCTS and keys.is_identifier(number)


def _all_of(request: HttpRequest) -> list[str]:
    """The whole list, as the work names policies. Raises Conflict when there are too many for one piece of work."""
    members = []
    for policy in policies.every(redis.client(), viewer_of(request).scope, filter_of(request), fields=policies.LISTED):
        members.append(service.reassignable(policy))
        if len(members) > MOST_REASSIGNED:
            raise Conflict(f"More than {MOST_REASSIGNED:,} policies fit. Narrow the filter, and do it in parts.")
    return members


def _total(viewer: Viewer, wanted: Filter) -> int:
    return policies.listing(redis.client(), viewer.scope, wanted, size=1).total


def _known_agent(agent: str) -> None:
    if agent not in agents.directory(redis.client()).branches:
        raise Invalid({"agent": f"No agent has the number {agent}."})


def _address(name: str, query: Mapping[str, object]) -> str:
    """The address of a page with the parts of a query that are there."""
    told = {key: value for key, value in query.items() if value not in (None, "")}
    return f"{reverse(name)}?{urlencode(told)}" if told else reverse(name)
