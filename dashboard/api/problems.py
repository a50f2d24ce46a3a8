"""What goes wrong, as RFC 9457 has it: `application/problem+json` with a kind, a title, and one sentence of detail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import JsonResponse

from dashboard import clock, errors
from dashboard.repository.index import NEVER
from dashboard.repository.lockouts import Closed

PAGE = "/api/docs/"
"""Where each kind is told, under its own anchor."""

RETRY_SECONDS = 5


@dataclass(frozen=True)
class Kind:
    """One kind of problem. `means`: what the caller is to make of it."""

    name: str
    status: int
    title: str
    means: str

    @property
    def type(self) -> str:
        return f"{PAGE}#{self.name}"


MALFORMED = Kind("malformed", 400, "Not understood", "The body is no JSON object, or a header is not as it should be.")
UNKNOWN_TOKEN = Kind("unknown-token", 401, "Unknown token", "No token was sent, or it is unknown, or was revoked.")
NOT_ALLOWED = Kind(
    "not-allowed", 403, "Not allowed", "The token was not given this ability, or the account is a staff member's."
)
NOT_FOUND = Kind(
    "not-found", 404, "Not found", "There is no such address; or the session is over, or the secret is another's."
)
WRONG_METHOD = Kind("wrong-method", 405, "Wrong method", "The header Allow names those that this address takes.")
CONFLICT = Kind("conflict", 409, "Not possible now", "Things are not in a state that allows it. The detail says why.")
OVER = Kind("over", 410, "Over", "It existed, and its time has run out.")
TOO_LARGE = Kind("too-large", 413, "Too large", "No request needs a body of more than 16 KB.")
NOT_JSON = Kind("not-json", 415, "Not JSON", "A body is sent as application/json.")
INVALID = Kind(
    "invalid",
    422,
    "Not valid",
    "A field is missing, unknown or not as it should be: `errors` names it by JSON pointer.",
)
LOCKED = Kind(
    "locked",
    423,
    "Sign-in is closed",
    "Too many failed sign-ins: nothing is verified for this account, and nobody let in, until `until`.",
)
TOO_MANY = Kind(
    "too-many-requests",
    429,
    "Too many requests",
    "The client's own limit for a minute is spent. Retry-After says when.",
)
FAILURE = Kind(
    "failure",
    500,
    "Our mistake",
    "An error here. What was asked for may have been done: repeat it with the same Idempotency-Key.",
)
AWAY = Kind(
    "store-away",
    503,
    "The data store is away",
    "Nothing can be read or written just now. Repeat it with the same Idempotency-Key after Retry-After.",
)

KINDS = (
    MALFORMED, UNKNOWN_TOKEN, NOT_ALLOWED, NOT_FOUND, WRONG_METHOD, CONFLICT, OVER, TOO_LARGE, NOT_JSON, INVALID, LOCKED,
    TOO_MANY, FAILURE, AWAY,
)  # fmt: skip

# The most special first: Expired is a NotFound.
_KIND: tuple[tuple[type[errors.DomainError], Kind], ...] = (
    (errors.StoreDown, AWAY),
    (errors.Expired, OVER),
    (errors.NotFound, NOT_FOUND),
    (errors.Forbidden, NOT_ALLOWED),
    (errors.Conflict, CONFLICT),
    (errors.Invalid, INVALID),
)


class Refused(Exception):
    """A request that is answered with a problem. `told`: members of the answer beside the usual ones."""

    def __init__(self, kind: Kind, detail: str, *, headers: dict[str, str] | None = None, **told: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.headers = headers or {}
        self.told = told


def answer(refused: Refused) -> JsonResponse:
    kind = refused.kind
    told = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": str(refused), **refused.told}
    return JsonResponse(told, status=kind.status, content_type="application/problem+json", headers=refused.headers)


def of(error: errors.DomainError) -> Refused:
    """A domain error as its problem, in its own words."""
    kind = next(kind for family, kind in _KIND if isinstance(error, family))
    if isinstance(error, errors.Invalid):
        return invalid(error.fields)
    headers = {"Retry-After": str(RETRY_SECONDS)} if kind is AWAY else {}
    return Refused(kind, str(error), headers=headers)


def invalid(fields: dict[str, str]) -> Refused:
    """What is wrong with which field."""
    wrong = [{"pointer": f"#/{name}" if name else "#", "detail": words} for name, words in fields.items()]
    return Refused(INVALID, "; ".join(fields.values()), errors=wrong)


def locked(closed: Closed) -> Refused:
    left = seconds_left(closed.until)
    headers = {"Retry-After": str(left)} if left is not None else {}
    return Refused(LOCKED, str(closed), headers=headers, **until(closed.until))


# -- moments, as all answers tell them


def until(deadline: int | None) -> dict[str, str | int | None]:
    """A deadline (Unix ms) as a moment and as seconds from now; null for what has no end."""
    if deadline is None or deadline >= NEVER:
        return {"until": None, "seconds_left": None}
    return {"until": clock.iso(clock.moment(deadline)), "seconds_left": seconds_left(deadline)}


def seconds_left(deadline: int) -> int | None:
    return None if deadline >= NEVER else max(0, -((clock.now_ms() - deadline) // clock.SECOND))
