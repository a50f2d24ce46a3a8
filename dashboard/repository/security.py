"""Failed sign-ins and lockouts, in the customer's keys (their document, lines 254-262).

An attempt is counted before its password is verified and forgiven when it was right. So of any number of attempts at
once no more than LIMIT are verified: the rest find the count full and are refused unseen.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import NotFound
from dashboard.repository import audit
from dashboard.repository.index import NEVER, Entry, Index, Page
from dashboard.repository.store import Change, change
from dashboard.repository.values import Problem, Raw, Reader, read_strings

LIMIT = 5
WINDOW = 5 * clock.MINUTE
"""Each failure keeps the count for so long, so five within any five minutes are never missed."""

LEVEL = "level2"
LEVEL_LIFE = {"level1": 15 * clock.MINUTE, "level2": clock.HOUR, "level3": clock.DAY}

INDEX = Index("security", patterns=((),), sorts=("deadline",), domains={})


@dataclass(frozen=True)
class Attempt:
    """A place taken for one verification: the how manieth it is."""

    account: str
    number: int


class Closed(Exception):
    """Sign-in is closed for this account until `until` (Unix ms), whether it exists or not."""

    def __init__(self, until: int) -> None:
        super().__init__("Sign-in is closed for this account.")
        self.until = until


@dataclass(frozen=True)
class Lock:
    """The lockout in force for an account: the longest, where it has several. `deadline` None: it has no end."""

    account: str
    level: str
    attempts: int | None
    deadline: int | None
    lifetime: int
    problems: tuple[Problem, ...] = ()


# -- names


def fold(name: str) -> str:
    """What all ways of typing a name have in common: `ag001`, `ＡＧ００１` and ` AG001 ` are one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def account_of(name: str) -> str:
    """The identifier under which a typed name is counted: in capitals, as the customer's are; a digest of what
    cannot stand in a key.
    """
    account = fold(name).upper()
    if keys.is_identifier(account):
        return account
    return "name-" + hashlib.sha256(account.encode(errors="surrogatepass")).hexdigest()[:32]


# -- signing in


def begin(account: str) -> Attempt:
    """Take a place for one verification, counting it as failed until it is known to be right. Raises Closed.
    Three round trips; of many at once each is tried anew for at most LIMIT others.
    """

    def action(draft: Change) -> int | Closed:
        draft.watch(*_all_keys(account))
        closed, count = _state(draft, account)
        if closed:
            return closed
        draft.set_until(keys.failed_logins(account), str(count + 1), clock.now_ms() + WINDOW)
        return count + 1

    outcome = change(action)
    if isinstance(outcome, Closed):
        raise outcome
    return Attempt(account, outcome)


def failed(attempt: Attempt) -> int | None:
    """The password was wrong. The deadline (Unix ms) of the lockout if this was the last one allowed."""

    def action(draft: Change) -> int | None:
        draft.watch(*_all_keys(attempt.account))
        counted = _counted(draft.client, attempt.account)
        # Fewer are counted when somebody who knew the password came in between.
        if attempt.number < LIMIT or counted < LIMIT:
            return None
        deadline = clock.now_ms() + LEVEL_LIFE[LEVEL]
        draft.set_until(keys.lockout(attempt.account, LEVEL), f"{LIMIT}_attempts", deadline)
        known = INDEX.known_places(draft.client, [attempt.account])[attempt.account]
        INDEX.put(draft, attempt.account, _entry(deadline), known)
        draft.event("security", attempt.account)
        return deadline

    return change(action)


def succeeded(attempt: Attempt) -> None:
    """The password was right: forgives this attempt and those before it, but not those that began after it. A lockout
    that fell while it was under way is lifted.
    """

    def action(draft: Change) -> None:
        draft.watch(*_all_keys(attempt.account))
        counter = keys.failed_logins(attempt.account)
        later = max(_counted(draft.client, attempt.account) - attempt.number, 0)
        if later:
            draft.set_until(counter, str(later), clock.now_ms() + WINDOW)
        else:
            draft.delete(counter)
        if draft.client.exists(*_lock_keys(attempt.account)):
            _lift(draft, attempt.account)

    change(action)


def _state(draft: Change, account: str) -> tuple[Closed | None, int]:
    """Whether sign-in is closed, and how many attempts are counted. One round trip."""
    counter, locks = keys.failed_logins(account), _lock_keys(account)
    pipe = draft.client.pipeline(transaction=False)
    pipe.type(counter)
    pipe.get(counter)
    for name in (counter, *locks):
        pipe.pexpiretime(name)
    kind, raw, counter_end, *ends = pipe.execute(raise_on_error=False)
    count = _count(raw) if kind == "string" else 0
    standing = [NEVER if end == -1 else end for end in ends if end != -2]
    if standing:
        return Closed(max(standing)), count
    if count < LIMIT:
        return None, count
    # Full, but not locked: the last one allowed is being verified, or another tool counted. The count's end opens it.
    if counter_end == -1:
        counter_end = clock.now_ms() + WINDOW
        draft.expire_at(counter_end, counter)
    return Closed(counter_end), count


def _counted(client: Redis, account: str) -> int:
    counter = keys.failed_logins(account)
    return _count(read_strings(client, [counter])[counter])


def _count(raw: object) -> int:
    text = raw if isinstance(raw, str) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


# -- for admins


def locks(client: Redis, *, size: int = 50) -> Page[Lock]:
    """The lockouts in force, the next to end first. Four round trips at most."""
    return INDEX.things(
        client,
        {},
        "deadline",
        size,
        load=partial(_load, client),
        facets=lambda lock: {},
        refresh=refresh,
        low=clock.now_ms(),
    )


def unlock(account: str, *, by: str, token: str | None = None) -> None:
    """Open sign-in for an account again and forget its failed attempts. Raises NotFound when it is not closed."""
    if not keys.is_identifier(account):
        raise NotFound("There is no such account.")

    def action(draft: Change) -> None:
        draft.watch(*_all_keys(account))
        if not draft.client.exists(*_all_keys(account)):
            raise NotFound(f"Sign-in is open for {account}: nothing was locked any more.")
        draft.delete(keys.failed_logins(account))
        _lift(draft, account)
        audit.append(draft, audit.SESSION, account, text=f"Sign-in opened again by {by}")

    change(action, token=token)


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the lockouts of these accounts. Four round trips. Gives how many entries changed."""
    accounts = [member for member in members if keys.is_identifier(member)]
    loaded = _load(client, accounts)
    entries = dict.fromkeys(members) | {account: _entry(lock.deadline) for account, lock in loaded.items()}
    return INDEX.settle(client, entries, force=force)


def _lift(draft: Change, account: str) -> None:
    """One round trip."""
    draft.delete(*_lock_keys(account))
    INDEX.put(draft, account, None, INDEX.known_places(draft.client, [account])[account])
    draft.event("security", account)


def _load(client: Redis, accounts: Sequence[str]) -> dict[str, Lock]:
    """The longest lockout of each account that has one. Three round trips at most."""
    names = {account: dict(zip(keys.LOCKOUT_LEVELS, _lock_keys(account), strict=True)) for account in accounts}
    every = [name for each in names.values() for name in each.values()]
    if not every:
        return {}
    pipe = client.pipeline(transaction=False)
    for name in every:
        pipe.pexpiretime(name)
    ends = {name: end for name, end in zip(every, pipe.execute(), strict=True) if end != -2}
    values = read_strings(client, list(ends))
    found = {}
    for account in accounts:
        standing = {level: name for level, name in names[account].items() if name in ends}
        if standing:
            level = max(standing, key=lambda each: _order(ends[standing[each]]))
            found[account] = _lock(account, level, standing[level], ends[standing[level]], values)
    return found


def _lock(account: str, level: str, name: str, end: int, values: dict[str, Raw]) -> Lock:
    reader = Reader(values, {"value": name})
    text = reader.text("value") or ""
    return Lock(
        account=account,
        level=level,
        attempts=_count(text.partition("_")[0]) or None,
        deadline=end if end > 0 else None,
        lifetime=max(LEVEL_LIFE[level], end - clock.now_ms()) if end > 0 else 0,
        problems=tuple(reader.problems),
    )


def _order(end: int) -> int:
    return NEVER if end == -1 else end


def _entry(deadline: int | None) -> Entry:
    return Entry(facets={}, scores={"deadline": NEVER if deadline is None else deadline})


def _lock_keys(account: str) -> list[str]:
    return [keys.lockout(account, level) for level in keys.LOCKOUT_LEVELS]


def _all_keys(account: str) -> list[str]:
    return [keys.failed_logins(account), *_lock_keys(account)]
