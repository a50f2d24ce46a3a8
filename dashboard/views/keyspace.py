"""The key space, for admins: its tree by family as last counted, the keys of a family, and one key.

No request walks over the keys. Counts, and the names that a family's page lists, are those that the last census kept: a
sample of a thousand where there are more, so that a page of the rarest family costs what one of the most frequent does.
A key whose name is known is always found, by that name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard import clock, keys, redis
from dashboard.errors import Invalid, NotFound
from dashboard.forms.keyspace import Lifetime
from dashboard.keys import CATALOGUE, Family, Parsed
from dashboard.permissions import requires, viewer_of
from dashboard.repository import audit, census, families, key_batch, key_change, linter, one_key
from dashboard.repository.census import Census, Count
from dashboard.views import params, web

AREAS = ("keyspace",)
ROWS = 50


@dataclass(frozen=True)
class Row:
    """One family of the tree. `rule`: how long its keys live, in words."""

    name: str
    pattern: str
    meaning: str
    rule: str
    count: Count


@dataclass(frozen=True)
class Branch:
    """Families whose names begin with the same word, and all of their keys together."""

    name: str
    rows: tuple[Row, ...]

    @property
    def keys(self) -> int:
        return sum(row.count.keys for row in self.rows)

    @property
    def memory(self) -> int:
        return sum(row.count.memory or 0 for row in self.rows)


@dataclass(frozen=True)
class Kind:
    """What a page says of a family. (A family itself is called by a template that names it.)"""

    pattern: str
    kind: str
    meaning: str


def kind_of(family: Family | None) -> Kind | None:
    return Kind(family.pattern, family.kind, family.meaning) if family else None


# -- the tree


@require_safe
@requires("manage_keys")
def tree(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "keyspace", AREAS, lambda: _tree(request))


def _tree(request: HttpRequest) -> dict[str, Any]:
    latest, now = census.read(redis.client())
    shown = latest or now
    every = params.choice(request, "all", ("1",)) is not None
    branches = _branches(shown, every) if shown else []
    return {
        "tab": "tree",
        "latest": latest,
        "now": now,
        "shown": shown,
        "branches": branches,
        "memory": sum(branch.memory for branch in branches),
        "lasting": sum(count.lasting for count in shown.families.values()) if shown else 0,
        "broken": sum(found.total for found in shown.findings.values()) if shown else 0,
        "unknown": _count(shown, families.UNKNOWN),
        "every": every,
    }


def _branches(found: Census, every: bool) -> list[Branch]:
    grouped = [(group, [_row(found, name, family) for name, family in members]) for group, members in families.groups()]
    kept = [(group, tuple(row for row in rows if every or row.count.keys)) for group, rows in grouped]
    return [Branch(group, rows) for group, rows in kept if rows]


def _row(found: Census, name: str, family: Family) -> Row:
    return Row(name, family.pattern, family.meaning, rule_of(family), _count(found, name))


def _count(found: Census | None, name: str) -> Count:
    return (found.families.get(name) if found else None) or Count(0, 0, None)


def rule_of(family: Family) -> str:
    """How long a key of this family lives, in words."""
    if family.lives is None:
        return "Permanent"
    shortest, longest = (span(seconds) for seconds in family.lives)
    return shortest if shortest == longest else f"{shortest} to {longest}"


def span(seconds: int) -> str:
    """`300` -> 5 min, `31536000` -> 365 days: whole units, the largest that say it exactly."""
    for size, unit in ((keys.DAY, "day"), (keys.HOUR, "h"), (keys.MINUTE, "min")):
        if seconds >= size and seconds % size == 0:
            number = seconds // size
            return f"{number} {unit}{'s' if unit == 'day' and number != 1 else ''}"
    return f"{seconds} s" if seconds < keys.MINUTE else f"{seconds // keys.MINUTE} min"


@require_POST
@requires("manage_keys")
def count(request: HttpRequest) -> HttpResponse:
    with web.told(request):
        census.ask(by=viewer_of(request).id, token=web.token_of(request))
        messages.success(request, "The keys are being counted.")
    return web.back(request, reverse("keys"))


# -- a family's keys


@require_safe
@requires("manage_keys")
def family(request: HttpRequest, name: str) -> HttpResponse:
    if name != families.UNKNOWN and name not in CATALOGUE:
        raise NotFound("The catalogue has no such family.")
    return web.live_page(request, "keyspace/family", AREAS, lambda: _family(request, name))


def _family(request: HttpRequest, name: str) -> dict[str, Any]:
    client, start = redis.client(), params.scan_cursor(request)
    latest, now = census.read(client)
    lasting = params.choice(request, "lasting", ("1",)) is not None
    names, _ = census.sample(client, name, 0, census.SAMPLE)
    rows, total = one_key.standing(client, names, lasting=lasting, start=start, size=ROWS)
    known = CATALOGUE.get(name)
    return {
        "tab": "tree",
        "name": name,
        "family": kind_of(known),
        "rule": rule_of(known) if known else "",
        "lives": known.lives[1] * clock.SECOND if known and known.lives else 0,
        "latest": latest,
        "now": now,
        "count": _count(latest, name),
        "rows": [(row, "" if families.has_secret_name(keys.parse(row.name)) else address_of(row.name)) for row in rows],
        "sampled": _count(latest, name).keys > census.SAMPLE,
        "most": census.SAMPLE,
        "lasting": lasting,
        "pager": _pager(request, start, len(rows), total),
        "may_batch": known is not None and name in {each for each, _ in key_batch.families_offered()},
    }


def _pager(request: HttpRequest, start: int, shown: int, total: int) -> dict[str, object]:
    before = max(0, start - ROWS)
    return {
        "start": start + 1 if shown else 0,
        "end": start + shown,
        "total": total,
        "first": web.address(request) if start else "",
        "previous": (web.address(request, at=before) if before else web.address(request)) if start else "",
        "next": web.address(request, at=start + ROWS) if start + ROWS < total else "",
    }


# -- one key


def address_of(name: str) -> str:
    return f"{reverse('keys_key')}?{urlencode({'key': families.quoted(name)})}"


def named(request: HttpRequest) -> str:
    """The key that a request is about, whatever bytes its name is made of. Raises NotFound."""
    given = (request.POST if request.method == "POST" else request.GET).get("key", "")
    name = families.unquoted(given)
    if not name or len(name.encode(errors="surrogateescape")) > one_key.LONGEST_NAME:
        raise NotFound("Give the exact name of a key, of at most 1,024 bytes.")
    return name


@require_safe
@requires("manage_keys")
def find(request: HttpRequest) -> HttpResponse:
    """A key by its exact name, as typed."""
    typed = request.GET.get("name", "").strip()
    if not typed:
        return redirect("keys")
    return redirect(address_of(typed))


@require_safe
@requires("manage_keys")
def key(request: HttpRequest) -> HttpResponse:
    name = named(request)
    parsed = keys.parse(name)
    areas = (*AREAS, parsed.family.area) if parsed and parsed.family.area else AREAS
    answer = web.live_page(request, "keyspace/key", areas, lambda: _key(request, name), shared=False)
    if parsed and parsed.family is keys.customer_field:
        audit.looked(parsed.parts["customer"], viewer_of(request).id)
    return answer


def _key(request: HttpRequest, name: str) -> dict[str, Any]:
    client, at = redis.client(), params.scan_cursor(request)
    found = one_key.look(client, name, at=at)
    (fact,) = linter.facts(client, [name]) or (None,)
    rule = linter.judged(fact, clock.now_ms()) if fact else None
    secret = families.has_secret_name(found.parsed)
    return {
        "tab": "tree",
        "found": found,
        "quoted": "" if secret else families.quoted(name),
        "secret_name": secret,
        "at": at,
        "family": kind_of(found.parsed.family if found.parsed else None),
        "rule": rule_of(found.parsed.family) if found.parsed else "",
        "finding": linter.RULES[rule] if rule else None,
        "thing": thing_of(found.parsed),
        "together": families.whole(found.parsed) if found.parsed else [],
        "lifetime_form": Lifetime(),
        "may_end": not (found.parsed and found.parsed.family in families.OF_QUOTES)
        and not families.is_kept(found.parsed),
        "is_record": families.is_record(found.parsed),
        "may_delete": not families.is_kept(found.parsed),
        "may_persist": found.deadline is not None
        and not (found.parsed and found.parsed.family in families.OF_QUOTES)
        and not families.is_record(found.parsed),
        "is_quote": bool(found.parsed and found.parsed.family in families.OF_QUOTES),
        "history": key_change.history(client, name),
    }


def thing_of(parsed: Parsed | None) -> tuple[str, str] | None:
    """What a key belongs to, in words, and the address of its page; None where it is nobody's page."""
    if parsed is None:
        return None
    parts, area = parsed.parts, parsed.family.area
    if area in ("quotes", "ended") and {"product", "number"} <= parts.keys():
        return f"Quote {parts['number']}", reverse("quote", args=(parts["product"], parts["number"]))
    if area == "quotes":
        return f"Quote {parts['number']}", reverse("quote", args=("life", parts["number"]))
    if {"product", "number"} <= parts.keys():
        return f"Policy {parts['number']}", reverse("policy", args=(parts["product"], parts["number"]))
    if "claim" in parts:
        return f"Claim {parts['claim']}", reverse("claim", args=(parts["claim"],))
    if area == "customers" and "customer" in parts:
        return f"Customer {parts['customer']}", reverse("customer", args=(parts["customer"],))
    if area == "sessions" and "person" in parts:
        return f"Sessions of {parts['person']}", f"{reverse('sessions')}?{urlencode({'person': parts['person']})}"
    if area == "places":
        return f"ZIP area {parts['zip']}", reverse("location", args=(parts["city"], parts["zip"]))
    if area == "groups":
        kind = "segment" if "segment" in parts else "tier"
        return f"{kind.capitalize()} {parts[kind]}", reverse("segment", args=(kind, parts[kind]))
    if area == "metrics":
        return "Metrics", reverse("metrics")
    return None


# -- changing one, asked first


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_keys")
def change(request: HttpRequest) -> HttpResponse:
    """GET says exactly what would happen; only what that page sends is done."""
    if request.method == "POST":
        return _do(request)
    name, verb = named(request), _verb(request.GET.get("verb"))
    if families.has_secret_name(keys.parse(name)):
        raise NotFound("Codes, tokens and signed-in browsers are taken back on the security and sessions pages.")
    whole = request.GET.get("whole") == "1"
    deadline, wrong = _deadline(request) if verb == "until" else (None, "")
    plan = key_change.plan(redis.client(), name, verb, whole=whole, deadline=deadline)
    context = {
        "plan": plan,
        "shown": one_key.shown(name),
        "quoted": families.quoted(name),
        "key_url": address_of(name),
        "whole_url": f"{request.path}?{_with(request, whole='1')}" if plan.others and not plan.refusal else "",
        "wrong": wrong or plan.refusal,
    }
    return web.form_page(request, "keyspace/change", context)


def _do(request: HttpRequest) -> HttpResponse:
    name, verb = named(request), _verb(request.POST.get("verb"))
    deadline = _whole(request.POST.get("deadline", ""))
    with web.told(request):
        told = key_change.act(
            name,
            verb,
            seen=request.POST.get("seen", ""),
            by=viewer_of(request).id,
            whole=request.POST.get("whole") == "1",
            deadline=deadline,
            token=web.token_of(request),
        )
        messages.success(request, f"{told}.")
        if verb == "delete":
            return redirect("keys_family", families.name_of(keys.parse(name)))
    return redirect(address_of(name))


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else None


def _verb(given: str | None) -> key_change.Verb:
    if given not in key_change.VERBS:
        raise Invalid({"verb": "Say what is to be done to the key."})
    return given  # type: ignore[return-value]


def _deadline(request: HttpRequest) -> tuple[int | None, str]:
    """The end asked for, in Unix ms, and what is wrong with it."""
    form = Lifetime(request.GET)
    if form.is_valid():
        return clock.now_ms() + form.ms, ""
    return None, "Give a whole number of minutes, hours or days, from 1 to 100,000."


def _with(request: HttpRequest, **changes: str) -> str:
    return urlencode({**request.GET.dict(), **changes})
