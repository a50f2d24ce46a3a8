"""Bulk work: what will be done to what, confirmed by the server; then how far it is, and what failed."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from dashboard import redis
from dashboard.errors import NotFound
from dashboard.permissions import viewer_of
from dashboard.repository import jobs
from dashboard.repository.jobs import Job
from dashboard.views import web


def job_for(request: HttpRequest, job: str) -> Job:
    """A job of this person's own. Raises NotFound: what is in it was seen with its maker's rights."""
    found = jobs.get(redis.client(), job)
    if found.by != viewer_of(request).id:
        raise NotFound("There is no such job.")
    return found


@require_GET
def detail(request: HttpRequest, job: str) -> HttpResponse:
    return web.live_page(request, "jobs", ("jobs",), lambda: _detail(request, job), shared=False)


def _detail(request: HttpRequest, job: str) -> dict[str, Any]:
    return {"job": job_for(request, job), "named": jobs.NAMED}


@require_POST
def start(request: HttpRequest, job: str) -> HttpResponse:
    job_for(request, job)
    with web.told(request):
        jobs.start(job, by=viewer_of(request).id)
        messages.success(request, "It is under way.")
    return web.back(request, reverse("job", args=(job,)))


@require_POST
def stop(request: HttpRequest, job: str) -> HttpResponse:
    job_for(request, job)
    with web.told(request):
        jobs.stop(job, by=viewer_of(request).id)
        messages.success(request, "It stops after the slice under way.")
    return web.back(request, reverse("job", args=(job,)))
