"""Bulk work: what will be done to what, confirmed by the server; then how far it is, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from dashboard import redis
from dashboard.errors import Forbidden, NotFound
from dashboard.permissions import Ability, viewer_of
from dashboard.repository import jobs
from dashboard.repository.areas import REFRESH
from dashboard.repository.jobs import Job
from dashboard.repository.layouts import CONVERT
from dashboard.repository.lifting import LIFT
from dashboard.repository.policy_service import REASSIGN
from dashboard.views import web

STARTED_BY: Mapping[str, Ability] = {
    "extend_quotes": "create_quotes",
    REASSIGN: "reassign_policies",
    LIFT: "unlock_accounts",
    REFRESH: "manage_staff",
    **dict.fromkeys((CONVERT, "lifetimes", "extend_quotes_found", "cleanup", "fix_keys"), "manage_keys"),
}
"""What one has to be allowed to start each kind of work: asked anew, for the preview may be older than one's rights."""


def job_for(request: HttpRequest, job: str) -> Job:
    """A job of this person's own. Raises NotFound: what is in it was seen with its maker's rights."""
    found = jobs.get(redis.client(), job)
    if found.by != viewer_of(request).id:
        raise NotFound("There is no such job.")
    return found


def is_over_keys(job: Job) -> bool:
    """Whether whoever manages the keys sees it under way, and may stop it, whoever began it."""
    return STARTED_BY.get(job.kind) == "manage_keys"


def stoppable(request: HttpRequest, job: str) -> Job:
    """One of this person's own, or bulk work over the keys for whoever manages them. Raises NotFound."""
    found = jobs.get(redis.client(), job)
    if is_over_keys(found) and viewer_of(request).may("manage_keys"):
        return found
    return job_for(request, job)


@require_GET
def detail(request: HttpRequest, job: str) -> HttpResponse:
    return web.live_page(request, "jobs", ("jobs",), lambda: _detail(request, job), shared=False)


def _detail(request: HttpRequest, job: str) -> dict[str, Any]:
    return {"job": job_for(request, job), "named": jobs.NAMED}


@require_POST
def start(request: HttpRequest, job: str) -> HttpResponse:
    found = job_for(request, job)
    if found.kind not in STARTED_BY or not viewer_of(request).may(STARTED_BY[found.kind]):
        raise Forbidden("Your role does not allow this any more.")
    with web.told(request):
        jobs.start(job, by=viewer_of(request).id)
        messages.success(request, "It is under way.")
    return web.back(request, reverse("job", args=(job,)))


@require_POST
def stop(request: HttpRequest, job: str) -> HttpResponse:
    found = stoppable(request, job)
    with web.told(request):
        jobs.stop(job, by=viewer_of(request).id)
        messages.success(request, "It stops after the slice under way.")
    own = found.by == viewer_of(request).id
    return web.back(request, reverse("job", args=(job,)) if own else reverse("keys_batch"))
