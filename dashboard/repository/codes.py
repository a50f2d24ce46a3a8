"""Six-digit codes and password reset tokens, in the customer's keys (their document, lines 261-265).

Of ours the store keeps digests alone: a code's in the value of `security:2fa:<account>:sent`, a token's in the value of
`security:password_reset:<account>:sent` beside the document's `valid|issued:...`. As each has one name, the next one
takes the place of the one before. Codes that other tools wrote in plain hold as well, and end with ours.

Each holds once, for a few minutes, and for GUESSES guesses, counted before they are compared.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.repository import audit, security
from dashboard.repository.counters import count
from dashboard.repository.security import CODE_LIFE, RESET_LIFE, note
from dashboard.repository.store import Change, change, is_done, secret_of
from dashboard.repository.values import Raw, read_strings

Secret = Literal["code", "reset"]

GUESSES = 5
"""How often one code or token may be tried."""

ISSUES, ISSUES_WINDOW = 5, 15 * clock.MINUTE
"""How many an account is sent within so long: each new one brings new guesses, and a letter to its owner."""

_SENT = "sent"
_LIFE: dict[Secret, int] = {"code": CODE_LIFE, "reset": RESET_LIFE}
_FAMILY: dict[Secret, keys.Family] = {"code": keys.two_factor, "reset": keys.password_reset}
_ISSUED: dict[Secret, str] = {"code": "A sign-in code was sent", "reset": "A password reset was sent"}
_USED: dict[Secret, str] = {"code": "A sign-in code was used", "reset": "A password reset was used"}


@dataclass(frozen=True)
class Issued:
    """A code or token, and its deadline (Unix ms)."""

    secret: str
    deadline: int


def issue(kind: Secret, account: str, *, by: str = "") -> str:
    """A new code (six digits) or token for this account; see `issue_once`."""
    return issue_once(kind, account, by=by).secret


def issue_once(kind: Secret, account: str, *, by: str = "", token: str | None = None) -> Issued:
    """A new code (six digits) or token for this account; those before it hold no longer. Only the caller ever knows it:
    it is sent, never stored. `by`: who asked for it, where it was not the account itself.

    With a `token` a repeat gets the same one again: what is kept for that is a salt, from which nobody makes the secret
    without the site's own key. Raises Conflict when the account was sent ISSUES of them lately. Seven round trips.
    """
    if not (token and is_done(token)):
        _count_issue(kind, account)
    name = _FAMILY[kind](account, _SENT)

    def action(draft: Change) -> list[str | int]:
        draft.watch(name)
        deadline = clock.now_ms() + _LIFE[kind]
        salt = secrets.token_urlsafe(32)
        secret = _secret(kind, account, salt)
        _drop(draft, kind, account)
        draft.set_until(name, _value(kind, account, secret), deadline)
        draft.delete(_counter("guesses", kind, account))
        note(draft, {f"{kind}:{account}:{_SENT}": deadline})
        text = _ISSUED[kind] + (f", asked for by {by}" if by else "")
        audit.append(draft, audit.SECURITY, account, text=text, by=by)
        return [salt, deadline]

    salt, deadline = change(action, token=token)
    return Issued(_secret(kind, account, str(salt)), int(deadline))


def _count_issue(kind: Secret, account: str) -> None:
    issued, _ = count(_counter("issues", kind, account), clock.now_ms() + ISSUES_WINDOW)
    if issued > ISSUES:
        raise Conflict("Too many were sent already. Use the latest one, or wait a quarter of an hour.")


def _secret(kind: Secret, account: str, salt: str) -> str:
    made = secret_of(salt, kind, account)
    if kind == "code":
        return f"{int.from_bytes(made, 'big') % 1_000_000:06d}"
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def redeem(kind: Secret, account: str, secret: str, *, token: str | None = None) -> bool:
    """Whether this is the account's code or token, which it ends: of any number who bring the right one at once, one is
    told yes. A wrong one is counted; the last of GUESSES ends the code or token, too, and those beyond are not compared.
    With a `token` a repeat is told the same again, and counts for nothing. Seven round trips.
    """
    if not keys.is_identifier(account):
        return False
    guessed = 0 if token and is_done(token) else _count_guess(kind, account)
    if guessed > GUESSES:
        return False

    def action(draft: Change) -> bool:
        names = _outstanding(draft.client, kind, account)
        draft.watch(*names)
        values = read_strings(draft.client, names)
        right = _one_is(kind, account, secret, values)
        if right or guessed == GUESSES:
            _drop(draft, kind, account)
        if right:
            draft.delete(_counter("guesses", kind, account), _counter("issues", kind, account))
            audit.append(draft, audit.SECURITY, account, text=_USED[kind])
        return right

    return bool(change(action, token=token))


def _count_guess(kind: Secret, account: str) -> int:
    guessed, _ = count(_counter("guesses", kind, account), clock.now_ms() + _LIFE[kind])
    return guessed


def holds(client: Redis, kind: Secret, account: str, secret: str) -> bool:
    """Whether this token is good still, without using it: for the page it leads to. Not for codes: it counts no guess.
    Three round trips.
    """
    if not keys.is_identifier(account):
        return False
    return _one_is(kind, account, secret, read_strings(client, _outstanding(client, kind, account)))


def end_all(account: str) -> None:
    """End what the account was sent and has not used: a link to a new password must not outlive the password that it
    was to replace. Eight round trips.
    """

    def action(draft: Change) -> None:
        for kind in _FAMILY:
            _drop(draft, kind, account)

    change(action)


# -- what is outstanding


def _outstanding(client: Redis, kind: Secret, account: str) -> list[str]:
    """Ours, and those of other tools that the follower heard of. Three round trips."""
    family = _FAMILY[kind]
    found = security.listing(client, kind, [account], size=20).rows
    ids = [matter.id.split(":", 2)[2] for matter in found]
    return list(dict.fromkeys([family(account, _SENT), *(family(account, each) for each in ids)]))


def _drop(draft: Change, kind: Secret, account: str) -> None:
    """Record the end of all of this kind that the account has."""
    names = _outstanding(draft.client, kind, account)
    draft.delete(*names)
    note(draft, {f"{kind}:{account}:{name.rpartition(':')[2]}": None for name in names})


# -- comparing


def _value(kind: Secret, account: str, secret: str) -> str:
    digest = f"sha256:{_digest(kind, account, secret)}"
    return digest if kind == "code" else f"valid|issued:{clock.iso(clock.now())}|{digest}"


def _digest(kind: str, account: str, secret: str) -> str:
    """With the site's own key, so that who reads the store cannot try the million codes there are."""
    message = f"{kind}|{account}|{secret}".encode(errors="surrogatepass")
    return hmac.new(settings.SECRET_KEY.encode(), message, hashlib.sha256).hexdigest()


def _one_is(kind: Secret, account: str, secret: str, values: dict[str, Raw]) -> bool:
    """All are compared, whichever is right: the time it takes tells nothing."""
    found = [_is(kind, account, secret, name, raw) for name, raw in values.items()]
    return any(found)


def _is(kind: Secret, account: str, secret: str, name: str, raw: Raw) -> bool:
    """Compared in constant time. What other tools wrote: a code stands in the value, a token in the key's name."""
    if not isinstance(raw, str) or not secret:
        return False
    if "sha256:" in raw:
        return _same(raw.rpartition("sha256:")[2], _digest(kind, account, secret))
    if kind == "code":
        return _same(raw, secret)
    return raw.startswith("valid") and _same(name.rpartition(":")[2], secret)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))


# -- counting


def _counter(what: Literal["guesses", "issues"], kind: Secret, account: str) -> str:
    family = keys.guesses if what == "guesses" else keys.issues
    return family(hashlib.sha256(f"{kind}|{account}".encode()).hexdigest()[:32])
