"""The API's own pages, for admins: its clients and their tokens, and what it can do. The API itself is in dashboard/api."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import api_clients
from dashboard.api import openapi, problems, schemas
from dashboard.api.operations import BASE, Operation, every
from dashboard.api_clients import ABILITIES
from dashboard.forms.api import NewClient
from dashboard.permissions import requires, viewer_of
from dashboard.views import web

AREAS = ("security",)


@require_safe
@requires("manage_api")
def clients(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "api/clients", AREAS, lambda: {"clients": api_clients.listing()})


@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_api")
def new_client(request: HttpRequest) -> HttpResponse:
    """The answer to the form shows the token: it is kept nowhere, so no other page could."""
    form = NewClient(request.POST if request.method == "POST" else None)
    token, status = web.attempt(
        form,
        lambda: api_clients.create(**form.cleaned_data, by=viewer_of(request).id),
    )
    if token is None:
        return web.form_page(request, "api/new", {"form": form}, status=status)
    name = form.cleaned_data["name"]
    first = _address(request, f"{BASE}sign-ins/CUST001")
    return web.form_page(request, "api/token", {"name": name, "token": token, "first": first})


@require_POST
@requires("manage_api")
def revoke_client(request: HttpRequest, name: str) -> HttpResponse:
    with web.told(request):
        api_clients.revoke(name, by=viewer_of(request).id)
        messages.success(request, f"{name} is revoked: its token is worth nothing any more.")
    return web.back(request, reverse("api_clients"))


# -- what it can do


@dataclass(frozen=True)
class Field:
    """One field of a body or an answer, in words."""

    name: str
    kind: str
    needed: bool
    description: str


@dataclass(frozen=True)
class Shown:
    """One operation, as the page has it."""

    operation: Operation
    path: str
    fields: list[Field]
    answer: str
    curl: str


@require_safe
@requires("manage_api")
def docs(request: HttpRequest) -> HttpResponse:
    shown = [_shown(request, operation) for operation in every()]
    groups = [(words, [each for each in shown if each.operation.ability == name]) for name, words in ABILITIES.items()]
    context = {"groups": groups, "problems": problems.KINDS, "document": _address(request, reverse("api_document"))}
    return web.form_page(request, "api/docs", context)


def _shown(request: HttpRequest, operation: Operation) -> Shown:
    path = BASE + operation.path
    answer = json.dumps(openapi.example(operation.gives), indent=2, ensure_ascii=False) if operation.gives else ""
    return Shown(operation, path, list(_fields(operation.takes)), answer, _curl(request, operation))


def _fields(schema: str) -> Iterator[Field]:
    if schema:
        told = schemas.REQUESTS[schema]
        for name, field in told["properties"].items():
            yield Field(name, _kind(field), name in told["required"], field["description"])


def _kind(field: dict[str, Any]) -> str:
    if "enum" in field:
        return "one of " + ", ".join(field["enum"])
    if field["type"] == "array":
        return f"list of up to {field['maxItems']} texts"
    return f"text of up to {field['maxLength']} characters"


def _curl(request: HttpRequest, operation: Operation) -> str:
    """A call to try: with the token from the environment, so that it stands in no shell's history."""
    slots = {"id": "portal:CUST001:9f2c41d07e55a1b3", "person": "CUST001", "account": "CUST001"}
    parts = [f"curl -X {operation.method} {_address(request, BASE + operation.path.format(**slots))}"]
    parts.append('-H "Authorization: Bearer $TIDELINE_TOKEN"')
    if operation.secret:
        parts.append('-H "Session-Secret: $SESSION_SECRET"')
    if operation.repeats:
        parts.append("-H 'Idempotency-Key: 5f0c8a1e'")
    if operation.takes:
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {shlex.quote(json.dumps(openapi.example(operation.takes)))}")
    return " \\\n  ".join(parts)


def _address(request: HttpRequest, path: str) -> str:
    return request.build_absolute_uri(path)
