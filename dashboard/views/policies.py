"""Policies: the list, one policy, a new one, and changes to one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from dashboard import keys, redis, vin
from dashboard.errors import Conflict, Invalid, NotFound
from dashboard.forms.fields import refuse
from dashboard.forms.policies import FORMS, PolicyForm, year_from_today
from dashboard.permissions import Viewer, policy_for, requires, viewer_of
from dashboard.repository import audit, claims, customers, planned, policies
from dashboard.repository import policy_service as service
from dashboard.repository.policies import Filter, Policy
from dashboard.views import params, web

WITHIN = ((-1, "Past their end"), (7, "End within 7 days"), (30, "End within 30 days"), (90, "End within 90 days"))


@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    answer = web.live_page(request, "policies", ("policies", "customers"), lambda: _listing(request))
    _looked(request, params.identifier(request, "customer"))
    return answer


def _listing(request: HttpRequest) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    wanted = filter_of(request)
    sort = sort_of(request, wanted)
    descending = request.GET.get("order") == "down"
    page = policies.listing(
        client, viewer.scope, wanted, sort=sort, descending=descending, cursor=params.cursor(request)
    )
    return {
        "page": page,
        "pager": web.pager(request, page),
        "wanted": wanted,
        "filtered": wanted != Filter(),
        "chips": _chips(request, policies.totals(client, viewer.scope, wanted), wanted),
        "statuses": [*policies.STATUSES, policies.OTHER],
        "within": WITHIN,
        "sort": sort,
        "descending": descending,
        "customer": customers.get(client, wanted.customer) if wanted.customer else None,
        "query": request.GET.urlencode(),
        "may_edit": viewer.may("edit_policies"),
        "may_reassign": viewer.may("reassign_policies"),
    }


def filter_of(request: HttpRequest) -> Filter:
    """What the address restricts a list of policies to."""
    return Filter(
        product=params.choice(request, "product", keys.PRODUCTS),
        status=params.choice(request, "status", (*policies.STATUSES, policies.OTHER)),
        agent=params.identifier(request, "agent"),
        customer=params.identifier(request, "customer"),
        zip=params.zip_code(request),
        within=params.whole(request, "within", -1, 3660),
        week=params.whole(request, "week", 0, 520),
    )


def sort_of(request: HttpRequest, wanted: Filter) -> policies.Sort:
    """How the address wants a list of policies sorted."""
    asked = params.choice(request, "sort", policies.SORTS)
    return "expiry" if wanted.by_expiry else asked or "number"  # type: ignore[return-value]


def _chips(request: HttpRequest, totals: dict[str, int], wanted: Filter) -> list[web.Chip]:
    everything = sum(totals.values()) if totals else None
    chips = [web.Chip("All", web.address(request, product=None), everything, wanted.product is None)]
    for product in keys.PRODUCTS:
        url = web.address(request, product=product)
        chips.append(web.Chip(product.title(), url, totals.get(product), wanted.product == product))
    return chips


@require_safe
def detail(request: HttpRequest, product: str, number: str) -> HttpResponse:
    areas = ("policies", "claims", "customers")
    answer = web.live_page(request, "policies/detail", areas, lambda: _detail(request, product, number))
    # Behind the page, so that it was theirs to see; read again, for it may have been rendered for somebody else.
    policy = policies.load(redis.client(), [f"{product}:{number}"]).get(f"{product}:{number}")
    _looked(request, policy.customer if policy else None)
    return answer


def _looked(request: HttpRequest, customer: str | None) -> None:
    """The customer's own data stand on the page, too. Two round trips where that was noted before."""
    if customer and customers.exists(redis.client(), customer):
        audit.looked(customer, viewer_of(request).id)


def _detail(request: HttpRequest, product: str, number: str) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    policy = policy_for(viewer, product, number)
    return {
        "policy": policy,
        "customer": customers.get(client, policy.customer) if policy.customer else None,
        "claims": claims.for_policy(client, viewer.scope, policy.id),
        "history": audit.history(client, audit.POLICY, product, number),
        "stored": policies.stored_as(client, policy),
        "vin": vin.read(policy.vin, policy.subject),
        "plan": planned.get(client, product, number),
        "undo": service.undoable(client, policy),
        "undo_life": service.UNDO_LIFE,
        "open": _open_services(policy),
        "in_step": service.agree(policy.premium, policy.premium_monthly),
        "may_edit": viewer.may("edit_policies"),
        "may_claim": viewer.may("process_claims"),
    }


def _open_services(policy: Policy) -> dict[str, bool]:
    """Which services are open to a policy; the buttons of the others are left out."""
    return {
        "endorse": service.why_not_endorse(policy) is None,
        "renew": service.why_not_renew(policy) is None,
        "lapse": service.why_not_lapse(policy) is None,
        "cancel": service.why_not_cancel(policy) is None,
        "reinstate": service.why_not_reinstate(policy) is None,
    }


@require_http_methods(["GET", "POST"])
@requires("edit_policies")
def new(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    products = [product for product in keys.PRODUCTS if product in viewer.scope.products]
    asked = request.POST.get("product") or request.GET.get("product")
    product = asked if asked in products else next(iter(products), "")
    if not product:
        raise NotFound("No product is open to you.")
    first = year_from_today(product) | {"agent": viewer.id if viewer.role == "agent" else ""}
    first["customer"] = params.identifier(request, "customer")
    form = FORMS[product](request.POST or None, initial=first)

    def create() -> str:
        own_branch(viewer, form.cleaned_data.get("agent"))
        return policies.create(form.facts, product, by=viewer.id, token=web.token_of(request))

    created, status = web.attempt(form, create)
    if created is not None:
        messages.success(request, f"Policy {created.partition(':')[2]} is on the books.")
        return redirect("policy", *created.split(":"))
    shown = {"form": form, "product": product, "products": products, "vin": typed_vin(form, None)}
    return web.form_page(request, "policies/form", shown, status=status)


@require_http_methods(["GET", "POST"])
@requires("edit_policies")
def edit(request: HttpRequest, product: str, number: str) -> HttpResponse:
    """Change a policy. The form carries a fingerprint of what it was made from: a colleague's change in between is
    told, and what was typed stays.
    """
    viewer, policy = viewer_of(request), policy_for(viewer_of(request), product, number)
    seen = request.POST.get("seen") or policy.seen
    form = FORMS[product](request.POST or None, policy=policy, stored=policies.raw_facts(redis.client(), policy))
    if request.method == "POST" and form.is_valid():
        try:
            own_branch(viewer, form.cleaned_data.get("agent"))
            words = policies.edit(product, number, form.facts, seen=seen, by=viewer.id, token=web.token_of(request))
        except Invalid as error:
            refuse(form, error)
        except Conflict as error:
            form.add_error(None, [str(error), *_differences(form, policy)])
            seen = policy.seen
        else:
            messages.success(request, words)
            return redirect("policy", product, number)
    shown = {"form": form, "product": product, "policy": policy, "seen": seen, "vin": typed_vin(form, policy)}
    return web.form_page(request, "policies/form", shown)


def typed_vin(form: Form, policy: Policy | None) -> vin.Reading | None:
    """What the VIN in a form says, beside the field."""
    if "vehicle_vin" not in form.fields:
        return None
    return vin.read(form["vehicle_vin"].value(), form["vehicle"].value() or (policy.subject if policy else ""))


def _differences(form: PolicyForm, policy: Policy) -> list[str]:
    """Where what was typed is another than what is stored by now."""
    now = policies.raw_facts(redis.client(), policy)
    pairs = [(form.fields[name].label, now.get(name, ""), typed) for name, typed in form.facts.items()]
    return [
        f"{label} is now {stored or 'empty'}; you have {typed or 'nothing'}."
        for label, stored, typed in pairs
        if stored != typed
    ]


def own_branch(viewer: Viewer, agent: str | None) -> None:
    """An agent cannot give a policy to a branch they do not see: it would vanish from under their own eyes."""
    if agent and not viewer.scope.sees(None, policies.branch_of(redis.client(), agent)):
        raise Invalid({"agent": "This agent belongs to a branch that you do not work for."})
