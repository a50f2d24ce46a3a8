"""Failed sign-ins and the ladder of lockouts that they climb, in the customer's keys (their document, lines 252-259).

An attempt is counted before it is verified, and the one that reaches a rung closes the account behind itself, all in
one transaction; it is forgiven when it was right. So of any number of attempts at once no more are verified than the
ladder allows: the rest find the account closed and are refused unseen.

    3 failures close for 15 minutes, 5 for an hour, 10 and each further one for a day

The count outlives the lockout it led to by five minutes, or the second and third rung could never be reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit
from dashboard.repository.counters import count
from dashboard.repository.index import NEVER
from dashboard.repository.security import LADDER, WINDOW, Level, count_of, lock_keys, note
from dashboard.repository.store import Change, change

ADDRESS_LIMIT = 100
ADDRESS_WINDOW = 15 * clock.MINUTE
"""So many failures from one network address close it, whatever the accounts: for those who try one password on many.
An office behind one address shares the number, so it is generous.
"""


@dataclass(frozen=True)
class Attempt:
    """A place taken for one verification: the how manieth failure it is unless it is known to be right. `closes`: the end
    (Unix ms) of the lockout that it led to, None for none.
    """

    account: str
    number: int
    closes: int | None = None


class Closed(Exception):
    """Sign-in is closed until `until` (Unix ms) for this account, whether it exists or not."""

    def __init__(self, until: int, words: str = "Sign-in is closed for this account.") -> None:
        super().__init__(words)
        self.until = until


class AddressClosed(Closed):
    """Too much came from one network address; it may go on at `until` (Unix ms)."""

    def __init__(self, until: int) -> None:
        super().__init__(until, "Too many attempts came from this network address.")


# -- signing in


def begin(account: str, *, by: str = "", token: str | None = None) -> Attempt:
    """Take a place for one verification, counting it as failed until it is known to be right. Raises Closed: what is tried
    then is neither verified nor counted. `by`: another system that verifies, or has verified. Four round trips; of many at
    once each is tried anew only as often as others were let in.
    """

    def action(draft: Change) -> list[int | None]:
        draft.watch(*_all_keys(account))
        closed, counted, end = _state(draft.client, account)
        if closed:
            raise closed
        attempt = _count(draft, account, counted + 1, end, by=by)
        return [attempt.number, attempt.closes]

    number, closes = change(action, token=token)
    return Attempt(account, int(number or 0), closes)


def passed(attempt: Attempt) -> None:
    """It was right, and another step follows: this attempt no longer counts, but those before it do, so that who knows
    the password cannot forgive themselves wrong codes with it. Raises Closed when the account was closed meanwhile.
    """
    _settle(attempt, lambda counted: max(counted - 1, 0))


def succeeded(attempt: Attempt) -> None:
    """It was right, and the last step: forgives this attempt and those before it, but not those that began after it.
    Raises Closed when the account was closed meanwhile: then nothing is forgiven.
    """
    _settle(attempt, lambda counted: max(counted - attempt.number, 0))


def forgive(account: str, *, token: str | None = None) -> None:
    """A right sign-in that another system verified: nothing counts any longer. Raises Closed: then nothing is forgiven."""
    _settle(Attempt(account, 0), lambda counted: 0, token=token)


def require_open(draft: Change, account: str) -> None:
    """Raises Closed while sign-in is closed for this account; whoever closes it from here on undoes this attempt. Two
    round trips.
    """
    draft.watch(*lock_keys(account))
    closed, _, _ = _state(draft.client, account)
    if closed:
        raise closed


def level_at(failures: int) -> str | None:
    """The level of the lockout that this many failures in a row lead to."""
    rung = _rung(failures)
    return rung.name if rung else None


def standing(client: Redis, account: str) -> int | None:
    """The end (Unix ms) of the lockout in force, None while sign-in is open. One round trip."""
    closed, _, _ = _state(client, account)
    return closed.until if closed else None


# -- one network address


Purpose = Literal["sign-in", "letters"]
"""What an address is counted for: who asks for many letters closes nobody's sign-in with that."""


def from_address(address: str, purpose: Purpose = "sign-in") -> None:
    """Count an attempt from this address until `forgive_address`. Raises AddressClosed beyond ADDRESS_LIMIT within
    ADDRESS_WINDOW of the first. One round trip, atomic: of any number at once no more than the limit pass.
    """
    counted, end = _count_address(address, purpose, 1) if address else (0, 0)
    if counted > ADDRESS_LIMIT:
        raise AddressClosed(end)


def forgive_address(address: str, purpose: Purpose = "sign-in") -> None:
    """The attempt was right: it no longer counts. One round trip."""
    if address:
        _count_address(address, purpose, -1)


def _count_address(address: str, purpose: Purpose, by: int) -> tuple[int, int]:
    told = f"{purpose}|{_network(address)}".encode(errors="replace")
    name = keys.address_failures(hashlib.sha256(told).hexdigest()[:32])
    return count(name, clock.now_ms() + ADDRESS_WINDOW, by)


def _network(address: str) -> str:
    """What counts as one address: of IPv6 a network of /64, for who has one address of it has all 2^64."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


# -- the ladder


def _rung(failures: int) -> Level | None:
    """The level that this many failures in a row lead to: each beyond the last rung's leads to the last."""
    if failures >= LADDER[-1].failures:
        return LADDER[-1]
    return next((level for level in LADDER if level.failures == failures), None)


def _count(draft: Change, account: str, number: int, counter_end: int, *, by: str = "") -> Attempt:
    """Record one more failure (that `by` reported), and the lockout where it reaches a rung. One round trip."""
    now, rung = clock.now_ms(), _rung(number)
    lock_end = now + rung.life if rung else None
    counted_until = max(counter_end, (lock_end or now) + WINDOW)
    draft.set_until(keys.failed_logins(account), str(number), counted_until)
    standing: dict[str, int | None] = {f"failures:{account}": counted_until}
    if rung and lock_end:
        draft.set_until(keys.lockout(account, rung.name), f"{number}_attempts", lock_end)
        standing[f"lock:{account}"] = lock_end
        text = f"Sign-in closed for {rung.span} at the {_ordinal(number)} failed attempt in a row"
        told = f"{text}, reported by {by}" if by else text
        audit.append(draft, audit.SECURITY, account, text=told, by=by)
    note(draft, standing)
    return Attempt(account, number, lock_end)


def _settle(attempt: Attempt, left: Callable[[int], int], *, token: str | None = None) -> None:
    """A right attempt: `left` says how many failures remain of those counted. The lock is looked at once more, in the
    transaction that forgives.
    """
    account = attempt.account

    def action(draft: Change) -> None:
        draft.watch(*_all_keys(account))
        closed, counted, _ = _state(draft.client, account)
        if closed and closed.until != attempt.closes:
            raise closed
        remaining = left(counted)
        until = clock.now_ms() + WINDOW
        if remaining:
            draft.set_until(keys.failed_logins(account), str(remaining), until)
        else:
            draft.delete(keys.failed_logins(account))
        standing: dict[str, int | None] = {f"failures:{account}": until if remaining else None}
        if closed:
            draft.delete(*lock_keys(account))
            standing[f"lock:{account}"] = None
            audit.append(draft, audit.SECURITY, account, text="Sign-in opened again: that attempt was right")
        note(draft, standing)

    change(action, token=token)


def _state(client: Redis, account: str) -> tuple[Closed | None, int, int]:
    """Whether sign-in is closed, how many failures are counted, and until when (Unix ms; 0 for none). One round trip."""
    counter, locks = keys.failed_logins(account), lock_keys(account)
    pipe = client.pipeline(transaction=False)
    pipe.get(counter)
    for name in (counter, *locks):
        pipe.pexpiretime(name)
    raw, counter_end, *ends = pipe.execute(raise_on_error=False)
    for answer in (counter_end, *ends):
        if isinstance(answer, Exception):
            raise answer
    standing = [NEVER if end == -1 else end for end in ends if end != -2]
    return Closed(max(standing)) if standing else None, count_of(raw), max(counter_end, 0)


def _all_keys(account: str) -> list[str]:
    return [keys.failed_logins(account), *lock_keys(account)]


def _ordinal(number: int) -> str:
    return {3: "third", 5: "fifth", 10: "tenth"}.get(number, f"{number}th")
