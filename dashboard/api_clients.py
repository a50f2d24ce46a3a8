"""The systems that use the API: what each may do, its token (kept as a digest), and how often it may ask.

A token has 256 random bits, so a plain digest is enough: there is nothing to guess that a slow one would protect.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from redis.exceptions import ResponseError

from dashboard import clock, keys
from dashboard.errors import Conflict, NotFound
from dashboard.models import ApiClient
from dashboard.repository import audit
from dashboard.repository.counters import count
from dashboard.repository.store import Change, change

Ability = Literal["sessions", "sign-ins", "codes"]
ABILITIES: dict[Ability, str] = {
    "sessions": "Open, refresh, read and end customers' sessions",
    "sign-ins": "Report failed and right sign-ins, ask whether sign-in is closed",
    "codes": "Issue and verify codes and reset tokens",
}
RATES = (60, 600, 6_000)
"""Requests a minute that a client may be allowed."""

TOKEN_BEGINS = "tdl_"  # noqa: S105  (how tokens are recognised, by people and by scanners for leaked ones)


@dataclass(frozen=True)
class Client:
    """A system that uses the API. `rate`: requests a minute. `used`: the last day on which it asked for something."""

    name: str
    abilities: tuple[Ability, ...]
    rate: int
    made_by: str
    made: datetime
    used: date | None
    revoked: datetime | None
    revoked_by: str

    @property
    def account(self) -> str:
        """Its name in the records."""
        return account_of(self.name)

    def may(self, ability: Ability) -> bool:
        return ability in self.abilities


def account_of(name: str) -> str:
    return f"api-{name}"


def listing() -> list[Client]:
    """All of them, those that work first. One query."""
    return [_client(row) for row in ApiClient.objects.order_by(F("revoked").asc(nulls_first=True), "name")]


def create(name: str, abilities: Sequence[Ability], rate: int, *, by: str) -> str:
    """A new client, and its token: nobody is ever told it again. Raises Conflict when there is one of that name, also
    a revoked one: their records would be taken for each other's.
    """
    token = TOKEN_BEGINS + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            ApiClient.objects.create(
                name=name, digest=_digest(token), abilities=list(abilities), rate=rate, made_by=by
            )  # fmt: skip
            _record(name, f"API client made by {by}: may use {', '.join(abilities)}, {rate} requests a minute", by)
    except IntegrityError as error:
        raise Conflict(
            f"There is, or was, a client called {name}. Its token was shown once; take another name."
        ) from error
    return token


def revoke(name: str, *, by: str) -> None:
    """From the next request on, its token is worth nothing. Raises NotFound when there is none that works."""
    with transaction.atomic():
        if not ApiClient.objects.filter(name=name, revoked=None).update(revoked=timezone.now(), revoked_by=by):
            raise NotFound("There is no such client, or it was revoked already.")
        _record(name, f"API client revoked by {by}", by)


def find(token: str) -> Client | None:
    """Whose token this is; None for one that is unknown or was revoked. One query, and one more once a day."""
    digest = _digest(token)
    row = ApiClient.objects.filter(digest=digest, revoked=None).first()
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    today = clock.today()
    if row.used != today:
        ApiClient.objects.filter(pk=row.pk).update(used=today)
    return _client(row)


def spend(client: Client, *, reads: bool = False) -> int | None:
    """Count one request of this client. None while it may go on; else when it may again (Unix ms). One round trip, atomic:
    of any number at once, no more than its rate go through in the minute that began with the first. One that only
    `reads` goes through uncounted where the store takes no writes.
    """
    try:
        counted, end = _count(client)
    except ResponseError:
        if reads:
            return None
        raise
    return end if counted > client.rate else None


def _count(client: Client) -> tuple[int, int]:
    return count(keys.api_requests(client.name), clock.now_ms() + clock.MINUTE)


def _record(name: str, text: str, by: str) -> None:
    """Within the transaction that saves it: what cannot be recorded is not done."""

    def action(draft: Change) -> None:
        audit.append(draft, audit.SECURITY, account_of(name), text=text, by=by)
        draft.event("security")

    change(action)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _client(row: ApiClient) -> Client:
    return Client(
        name=row.name,
        abilities=tuple(ability for ability in ABILITIES if ability in row.abilities),
        rate=row.rate,
        made_by=row.made_by,
        made=row.made,
        used=row.used,
        revoked=row.revoked,
        revoked_by=row.revoked_by,
    )
