"""The first page: today's figures, and what needs attention first."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dashboard import clock, redis
from dashboard.permissions import Viewer, viewer_of
from dashboard.repository import claims, metrics, policies, quotes, reviews, security, verification
from dashboard.repository.metrics import Figures
from dashboard.views import web
from dashboard.views.metrics import tiles

AREAS = ("quotes", "claims", "policies", "customers", "metrics", "security")
COMPLIANCE_AREAS = ("reviews", "compliance")
"""More of them for who sees compliance."""
SHOWN = 6


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    areas = (*AREAS, *COMPLIANCE_AREAS) if viewer.may("see_compliance") else AREAS
    shared = viewer.may("view_company_metrics")
    return web.live_page(request, "overview", areas, lambda: _overview(request), shared=shared)


def _overview(request: HttpRequest) -> dict[str, Any]:
    viewer, client = viewer_of(request), redis.client()
    return {
        "own": not viewer.may("view_company_metrics"),
        "tiles": tiles(_figures(viewer, 0), _figures(viewer, 1)),
        "quotes": quotes.listing(client, viewer.scope, quotes.Filter(), size=SHOWN),
        "claims": claims.ending_soon(client, viewer.scope, size=SHOWN),
        "claim_ends": claims.escalations(client, viewer.scope),
        "renewals": policies.expiring(client, viewer.scope, size=SHOWN),
        "days": policies.RENEWAL_DAYS,
        "locks": security.locks(client) if viewer.may("unlock_accounts") else None,
        **_compliance(viewer),
        "may_quote": viewer.may("create_quotes"),
        "may_claim": viewer.may("process_claims"),
        "today": clock.today(),
    }


def _compliance(viewer: Viewer) -> dict[str, Any]:
    """Reviews that lapse within a week, and how many have lapsed undecided; whether the chain over the audit records was
    found broken. Six round trips, none for who does not see it.
    """
    if not viewer.may("see_compliance"):
        return {}
    client = redis.client()
    _, last = verification.standing(client)
    return {
        "reviews": reviews.listing(client, ["pending"], within=reviews.URGENT, size=SHOWN),
        "lapsed": reviews.counts(client).lapsed,
        "broken_chain": last if last and not last.holds else None,
        "may_review": viewer.may("review_compliance"),
    }


def _figures(viewer: Viewer, days_ago: int) -> Figures:
    """The company's, or an agent's own."""
    client, on = redis.client(), web.yesterday() if days_ago else clock.today()
    if viewer.may("view_company_metrics"):
        return metrics.day(client, on).company
    return metrics.day(client, on, agents=[viewer.id]).agents[viewer.id]
