"""What the linter finds and puts right, and bulk work over the key space, for admins. Everything that is done is a job: it
is shown first, and done on being confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import redis
from dashboard.errors import Conflict, Invalid
from dashboard.forms.keyspace import Batch
from dashboard.keys import parse
from dashboard.permissions import requires, viewer_of
from dashboard.repository import census, customers, families, jobs, key_batch, linter, one_key, places
from dashboard.repository.census import Found
from dashboard.repository.linter import Rule
from dashboard.views import params, web
from dashboard.views.jobs import is_over_keys
from dashboard.views.keyspace import address_of

EXAMPLES = 20
"""Keys named for each rule, until one of them is looked at by itself."""


@dataclass(frozen=True)
class Example:
    """A key that breaks a rule: its name as it may be shown, and for forms and addresses; "" for a secret's."""

    shown: str
    quoted: str
    url: str


@dataclass(frozen=True)
class Finding:
    rule: Rule
    found: Found
    examples: tuple[Example, ...]


# -- the linter


@require_safe
@requires("manage_keys")
def lint(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "keyspace/lint", ("keyspace", "customers", "places"), lambda: _lint(request))


def _lint(request: HttpRequest) -> dict[str, Any]:
    client = redis.client()
    latest, now = census.read(client)
    # What is being found is more true than what was found before, as soon as there is anything.
    shown = now if now and now.findings and now.under_way else latest or now
    wanted = params.choice(request, "rule", tuple(linter.RULES))
    findings = [
        Finding(rule, found, tuple(map(_example, found.examples[: None if wanted else EXAMPLES])))
        for name, rule in linter.RULES.items()
        if shown and (found := shown.findings.get(name)) and wanted in (None, name)
    ]
    return {
        "tab": "lint",
        "latest": latest,
        "now": now,
        "shown": shown,
        "partial": shown is now and now is not None,
        "findings": findings,
        "rules": [name for name, rule in linter.RULES.items() if rule.fix],
        "wanted": wanted,
        "drifting": customers.total(client, customers.Filter(drifted=True)) + places.drifting(client, size=1).total,
    }


def _example(name: str) -> Example:
    if families.has_secret_name(parse(name)):
        return Example(one_key.shown(name), "", "")
    return Example(one_key.shown(name), families.quoted(name), address_of(name))


@require_POST
@requires("manage_keys")
def fix(request: HttpRequest) -> HttpResponse:
    """Some of what breaks a rule, or all of it, on the way to a preview."""
    rule, by = request.POST.get("rule", ""), viewer_of(request).id
    if rule not in linter.RULES:
        raise Invalid({"rule": "There is no such rule."})
    with web.told(request):
        if request.POST.get("all") == "1":
            return _to(request, key_batch.gather_fix(rule, by=by, token=web.token_of(request)))
        names = [families.unquoted(each) for each in request.POST.getlist(f"{rule}_key")[: census.EXAMPLES]]
        if not names:
            raise Conflict("Nothing was chosen.")
        return _to(request, key_batch.preview_fix(rule, names, by=by))
    return web.back(request, reverse("keys_lint"))


def _to(request: HttpRequest, job: str) -> HttpResponse:
    address = reverse("job", args=(job,))
    return HttpResponse(headers={"HX-Redirect": address}) if web.is_live(request) else redirect(address)


# -- bulk work


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_keys")
def batch(request: HttpRequest) -> HttpResponse:
    """Which keys, and what is done to them: their preview is looked for in the background."""
    by = viewer_of(request).id
    family = params.choice(request, "family", tuple(name for name, _ in key_batch.families_offered()))
    form = Batch(request.POST) if request.method == "POST" else Batch(initial={"family": family} if family else None)

    def act() -> str:
        return key_batch.gather_lifetimes(form.params, by=by, title=form.title, token=web.token_of(request))

    job, status = web.attempt(form, act)
    if job is not None:
        return redirect("job", job)
    context = {
        "tab": "batch",
        "form": form,
        "latest": jobs.latest(redis.client(), by),
        "others": [each for each in jobs.running(redis.client()) if each.by != by and is_over_keys(each)],
        "prefixes": key_batch.PREFIXES,
    }
    return web.form_page(request, "keyspace/batch", context, areas=("jobs",), status=status)


@require_POST
@requires("manage_keys")
def clean_up(request: HttpRequest) -> HttpResponse:
    with web.told(request):
        return _to(request, key_batch.gather_cleanup(by=viewer_of(request).id, token=web.token_of(request)))
    return web.back(request, reverse("keys_batch"))
