"""What each request of the API passes: token, method, ability, rate, body; and the answer, whatever comes of it.

No cookie is read and none is set, so there is nothing that another site could make a browser send along: requests need
no CSRF token. Nothing that was sent is ever written to a log.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from dashboard import api_clients
from dashboard.api import problems, schemas
from dashboard.api.operations import Answer, Call, Operation
from dashboard.api.problems import Refused
from dashboard.api_clients import Client
from dashboard.keys import BadIdentifier
from dashboard.middleware import as_domain_error
from dashboard.repository.lockouts import Closed

LARGEST = 16_384
"""Bytes of a body."""

_bearer = re.compile(r"[Bb]earer +([\x21-\x7e]{1,200})").fullmatch
_repeat_key = re.compile(r"[\x21-\x7e]{1,128}").fullmatch
_WRONG_TOKEN = "Send a token of this API that is in force: Authorization: Bearer tdl_..."  # noqa: S105


def address(operations: Mapping[str, Operation]) -> Callable[..., HttpResponse]:
    """The view of one address, for its operations by method."""

    @csrf_exempt
    def view(request: HttpRequest, **slots: str) -> HttpResponse:
        return _answered(request, lambda: _done(request, operations, slots))

    return view


@csrf_exempt
def nowhere(request: HttpRequest) -> HttpResponse:
    """Every other address under the API's."""

    def refuse() -> Answer:
        _client(request)
        raise Refused(problems.NOT_FOUND, "The API has no such address. See /api/v1/openapi.json.")

    return _answered(request, refuse)


# -- in


def _done(request: HttpRequest, operations: Mapping[str, Operation], slots: dict[str, str]) -> Answer:
    client = _client(request)
    operation = operations.get("GET" if request.method == "HEAD" else str(request.method))
    if operation is None:
        allowed = ", ".join(sorted(operations))
        raise Refused(problems.WRONG_METHOD, f"This address takes {allowed}.", headers={"Allow": allowed})
    if not client.may(operation.ability):
        raise Refused(problems.NOT_ALLOWED, f"This client was not given the ability {operation.ability}.")
    body = _body(request, operation.takes) if operation.takes else {}
    secret = request.headers.get("Session-Secret", "") if operation.secret else ""
    token = _repeat_token(request, client, body) if operation.repeats else None
    return operation.act(Call(client, body, secret, token), **slots)


def _client(request: HttpRequest) -> Client:
    """Whose token was sent, while its rate lasts. One query and one round trip."""
    sent = _bearer(request.headers.get("Authorization", ""))
    client = api_clients.find(sent[1]) if sent else None
    if client is None:
        raise Refused(problems.UNKNOWN_TOKEN, _WRONG_TOKEN, headers={"WWW-Authenticate": 'Bearer realm="Tideline API"'})
    again = api_clients.spend(client, reads=request.method in ("GET", "HEAD"))
    if again is not None:
        wait = str(max(1, problems.seconds_left(again) or 0))
        raise Refused(
            problems.TOO_MANY, f"This client may ask {client.rate} times a minute.", headers={"Retry-After": wait}
        )
    return client


def _body(request: HttpRequest, schema: str) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise Refused(problems.NOT_JSON, "Send the body as application/json.")
    told = request.META.get("CONTENT_LENGTH") or "0"  # before it is read
    if not told.isdecimal() or int(told) > LARGEST:
        raise Refused(problems.TOO_LARGE, f"A body has {LARGEST // 1024} KB at most, and says how many.")
    body = _parsed(request.body)
    schemas.check(schema, body)
    return body


def _parsed(sent: bytes) -> Any:
    """One reading alone: no name twice, no number that JSON does not have, no half of a character."""
    try:
        body = json.loads(sent.decode(), object_pairs_hook=_object, parse_constant=_no_number)
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # what is no UTF-8 is a ValueError, too
        raise Refused(problems.MALFORMED, "The body is not JSON, or not one reading of it alone.") from None
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(text)


def _repeat_token(request: HttpRequest, client: Client, body: dict[str, Any]) -> str | None:
    """What a repeat has in common with the first: client, address, body and the key it chose. With the site's own key: a
    body holds codes, of which there are a million.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _repeat_key(key):
        raise Refused(problems.MALFORMED, "An Idempotency-Key has 1 to 128 visible ASCII characters.")
    same = json.dumps([client.account, request.method, request.path, key, body], sort_keys=True)
    return hmac.new(settings.SECRET_KEY.encode(), same.encode(), hashlib.sha256).hexdigest()[:40]


# -- out


def _answered(request: HttpRequest, act: Callable[[], Answer]) -> HttpResponse:
    try:
        response = _response(act())
    except Exception as error:
        response = problems.answer(_refused(request, error))
    response.headers["Cache-Control"] = "no-store"
    return response


def _response(answer: Answer) -> HttpResponse:
    if answer.body is None:
        return HttpResponse(status=answer.status, headers=answer.headers)
    return JsonResponse(answer.body, status=answer.status, headers=answer.headers)


def _refused(request: HttpRequest, error: Exception) -> Refused:
    """Every error as a problem. One that is nobody's is told to whoever listens for errors, as Django's own views do."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, Closed):
        return problems.locked(error)
    if isinstance(error, BadIdentifier):
        return Refused(problems.NOT_FOUND, "Nothing can be called that.")
    found = as_domain_error(error)
    if found:
        return problems.of(found)
    got_request_exception.send(sender=None, request=request)
    return Refused(problems.FAILURE, "Something went wrong here. It has been noted.")
