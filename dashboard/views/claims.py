"""Claims: the pipeline, lists of one stage, what ends soon, how old it is, adjusters' desks, one claim, and files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from dashboard import clock, keys, redis
from dashboard.errors import Expired, NotFound
from dashboard.permissions import claim_authority, claim_for, lapsed_claim_for, requires, viewer_of
from dashboard.repository import audit, claims
from dashboard.repository.agents import Scope
from dashboard.repository.claims import LAPSED, STAGES, UNDECIDED, WORKED, Claim, Filter, Sort, Stage
from dashboard.repository.index import UNKNOWN
from dashboard.views import params, web
from dashboard.views.compliance import holding

AREAS = ("claims",)
NO_POLICY = "none"
"""The parameter `product` for claims of no known policy."""

BOARD: tuple[Stage, ...] = ("reported", "investigating", "waiting", "approved", "denied")
"""The columns side by side: what waits for somebody. The others are lists of their own."""

NAMES: dict[Stage, str] = {
    "reported": "Reported", "investigating": "Investigating", "waiting": "Waiting", "approved": "Approved",
    "paid": "Paid", "denied": "Denied", "closed": "Closed", "lapsed": "Lapsed",
}  # fmt: skip
TITLES: dict[Stage, str] = {
    "reported": "Reported claims", "investigating": "Claims under investigation",
    "waiting": "Claims waiting for approval", "approved": "Approved claims", "paid": "Paid claims",
    "denied": "Denied claims", "closed": "Closed claims", "lapsed": "Lapsed claims",
}  # fmt: skip


# -- the pipeline and its lists


@require_safe
def pipeline(request: HttpRequest) -> HttpResponse:
    """The stages at which a claim waits for somebody, side by side; `?stage=` is one as a list of any length."""
    return web.live_page(request, "claims", AREAS, lambda: _pipeline(request))


def _pipeline(request: HttpRequest) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    wanted, product, stage = _filter(request), _product(request), _stage(request)
    counted = claims.counts(client, viewer.scope, wanted, *STAGES, LAPSED)
    totals = claims.totals(client, viewer.scope, wanted, stages=(stage,) if stage else STAGES)
    shown: dict[str, Any] = {
        "wanted": wanted,
        "product": product,
        "stage": stage,
        "title": TITLES[stage] if stage else "Claims",
        "filtered": wanted != Filter(),
        "chips": _chips(request, totals, product),
        "stages": _stage_chips(request, counted, stage),
        "ends": claims.escalations(client, viewer.scope),
        "may_work": viewer.may("process_claims"),
        "may_decide": viewer.may("approve_claims"),
        "may_see_desks": viewer.may("view_company_metrics"),
    }
    if not stage:
        columns = claims.pipeline(client, viewer.scope, wanted, stages=BOARD)
        # What waits for a supervisor is an exception, and has a column only while there is one.
        columns = [column for column in columns if column.total or column.stage != "waiting"]
        return shown | {
            "columns": [(column, NAMES[column.stage], web.address(request, stage=column.stage)) for column in columns],
            "waiting": sum(column.total for column in columns if column.stage in UNDECIDED),
        }
    sort = _sort(request)
    page = claims.listing(client, viewer.scope, wanted, stage, sort=sort, cursor=params.cursor(request))
    return shown | {
        "page": page,
        "pager": web.pager(request, page),
        "sort": sort,
        "by_deadline": web.address(request, sort=None),
        "by_age": web.address(request, sort="since"),
        "board_url": web.address(request, stage=None, sort=None),
        "csv_url": f"{reverse('claims_csv')}?{request.GET.urlencode()}",
    }


def _filter(request: HttpRequest) -> Filter:
    product = _product(request)
    return Filter(
        product=UNKNOWN if product == NO_POLICY else product,
        customer=params.identifier(request, "customer"),
        adjuster=params.identifier(request, "adjuster"),
    )


def _product(request: HttpRequest) -> str | None:
    return params.choice(request, "product", (*keys.PRODUCTS, NO_POLICY))


def _stage(request: HttpRequest) -> Stage | None:
    return next((each for each in (*STAGES, LAPSED) if each == request.GET.get("stage")), None)


def _sort(request: HttpRequest) -> Sort:
    return "since" if request.GET.get("sort") == "since" else "deadline"


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


def _stage_chips(request: HttpRequest, counted: dict[str, int], chosen: Stage | None) -> list[web.Chip]:
    """The pipeline, and each stage as a list."""
    chips = [web.Chip("Pipeline", web.address(request, stage=None, sort=None), None, chosen is None)]
    return chips + [
        web.Chip(NAMES[stage], web.address(request, stage=stage), counted.get(stage), chosen == stage)
        for stage in (*STAGES, LAPSED)
    ]


# -- what has to be seen in time


@require_safe
def escalated(request: HttpRequest) -> HttpResponse:
    """Claims whose record the store ends within a day, and within the hour."""
    return web.live_page(request, "claims/escalated", AREAS, lambda: _escalated(request))


def _escalated(request: HttpRequest) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    page = claims.escalated(client, viewer.scope, cursor=params.cursor(request))
    return {
        "page": page,
        "pager": web.pager(request, page),
        "ends": claims.escalations(client, viewer.scope),
        "may_work": viewer.may("process_claims"),
        "may_decide": viewer.may("approve_claims"),
    }


@require_safe
def ageing(request: HttpRequest) -> HttpResponse:
    """How long claims have been at each stage."""
    return web.live_page(request, "claims/ageing", AREAS, lambda: _ageing(request))


def _ageing(request: HttpRequest) -> dict[str, Any]:
    rows = claims.ageing(redis.client(), viewer_of(request).scope)
    return {"rows": [(age, NAMES[age.stage]) for age in rows], "ages": [words for words, _ in claims.AGES]}


@require_safe
@requires("view_company_metrics")
def adjusters(request: HttpRequest) -> HttpResponse:
    """Everybody who has claims on the desk."""
    return web.live_page(request, "claims/adjusters", AREAS, lambda: {"rows": claims.workloads(redis.client())})


@require_safe
def adjuster(request: HttpRequest, adjuster: str) -> HttpResponse:
    """One adjuster's work list, as far as the viewer may see it."""
    if not keys.is_identifier(adjuster):
        raise NotFound("There is no such adjuster.")
    return web.live_page(request, "claims/adjuster", AREAS, lambda: _adjuster(request, adjuster))


def _adjuster(request: HttpRequest, adjuster: str) -> dict[str, Any]:
    viewer = viewer_of(request)
    columns = claims.pipeline(redis.client(), viewer.scope, Filter(adjuster=adjuster), size=50, stages=WORKED)
    return {
        "adjuster": adjuster,
        "columns": [(column, NAMES[column.stage]) for column in columns],
        "total": sum(column.total for column in columns),
        "may_work": viewer.may("process_claims"),
        "may_decide": viewer.may("approve_claims"),
        "may_see_desks": viewer.may("view_company_metrics"),
    }


# -- one claim


@require_safe
def detail(request: HttpRequest, claim: str) -> HttpResponse:
    """A claim, or what is kept of one whose record has ended. Not shared: it says what this person may do."""
    return web.live_page(request, "claims/detail", (*AREAS, "holds"), lambda: _detail(request, claim), shared=False)


def _detail(request: HttpRequest, number: str) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    try:
        claim = claim_for(viewer, number)
    except Expired:
        return _ended(request, number)
    stored = claims.stored_as(client, number)
    return {
        **_about(request, claim),
        "stored": stored,
        # Another tool's approval drops the report, keeps two keys of the investigation and lets the others end.
        "ending": [each for each in stored if each.deadline] if claim.is_decided else [],
        "missing": claims.missing(client, claim),
    }


def _about(request: HttpRequest, claim: Claim) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    return {
        "number": claim.number,
        "claim": claim,
        "policy": claim.policy.split(":") if claim.policy else None,
        "coverage": claims.coverage(client, claim),
        "history": audit.history(client, audit.CLAIM, claim.number),
        "may_work": viewer.may("process_claims"),
        "may_decide": viewer.may("approve_claims"),
        "own": claim.is_reported_by(viewer.id),
        "authority": claim_authority(viewer),
        **holding(viewer, "claim", claim.number),
    }


def _ended(request: HttpRequest, number: str) -> dict[str, Any]:
    """The snapshot; without one, the history is for those who see every branch and product: whose it was went with it."""
    viewer, client = viewer_of(request), redis.client()
    try:
        return {**_about(request, lapsed_claim_for(viewer, number)), "stored": []}
    except NotFound:
        # A stranger's snapshot is no more theirs than the claim was.
        if viewer.scope != Scope():
            raise Expired(f"The record of claim {number} has ended.") from None
        return {
            "number": number,
            "history": audit.history(client, audit.CLAIM, number),
            **holding(viewer, "claim", number),
        }


# -- files

_COLUMNS = (
    "Claim", "Stage", "Since", "Days at stage", "Record ends", "What happened", "Policy", "Customer", "Name",
    "Reported by", "Agent", "Branch", "Incident", "Where", "Reported", "Adjuster", "Estimate", "Reserve", "Final amount",
    "Paid", "Decided", "Denied because",
)  # fmt: skip


@require_safe
def csv_file(request: HttpRequest) -> HttpResponseBase:
    """Every claim of the filter, at the stage or at all of them."""
    stage = _stage(request)
    name = f"claims-{stage or 'all'}-{clock.today().isoformat()}.csv"
    return web.csv_answer(name, _COLUMNS, _rows(request, (stage,) if stage else (*STAGES, LAPSED)))


def _rows(request: HttpRequest, stages: tuple[Stage, ...]) -> Iterator[tuple[object, ...]]:
    found = claims.every(redis.client(), viewer_of(request).scope, _filter(request), *stages, sort=_sort(request))
    for claim in found:
        age = None if claim.in_stage is None else claim.in_stage // clock.DAY
        yield (
            claim.number, NAMES[claim.stage], claim.since, age, clock.moment(claim.deadline) if claim.deadline else None,
            claim.summary, claim.policy, claim.customer, claim.customer_name, claim.reporter, claim.agent, claim.branch,
            claim.incident, claim.location, claim.reported, claim.adjuster, claim.estimated, claim.reserve,
            claim.final_amount, claim.paid, claim.decided, claim.denial_reason,
        )  # fmt: skip
