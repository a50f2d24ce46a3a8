"""Saving a list's filter under a name, and taking it away."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from dashboard import redis
from dashboard.permissions import viewer_of
from dashboard.repository import filters
from dashboard.views import web


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """`next` is the address whose filter is saved, `name` what it is called."""
    here = urlsplit(request.POST.get("next", ""))
    query = urlencode([(name, value) for name, value in parse_qsl(here.query) if name != "at"])
    with web.told(request):
        filters.save(redis.client(), viewer_of(request).id, here.path, request.POST.get("name", ""), query)
        messages.success(request, "The filter is saved.")
    return web.back(request, "/")


@require_POST
def remove(request: HttpRequest) -> HttpResponse:
    path = urlsplit(request.POST.get("next", "")).path
    if filters.remove(redis.client(), viewer_of(request).id, path, request.POST.get("name", "")):
        messages.success(request, "The filter is gone.")
    return web.back(request, "/")
