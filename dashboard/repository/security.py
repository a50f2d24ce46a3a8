"""What stands against or for an account just now: lockouts, failed sign-ins, codes and reset tokens (the document,
lines 250-268). `lockouts` and `codes` write them; here they are found and shown, and `lifting` takes them back.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from django.conf import settings
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit
from dashboard.repository.index import NEVER, Cursor, Entry, Index, Page
from dashboard.repository.store import Change
from dashboard.repository.values import Problem, Raw, Reader, moment, read_strings, shorten

Kind = Literal["lock", "failures", "code", "reset"]
KINDS: tuple[Kind, ...] = ("lock", "failures", "code", "reset")

INDEX = Index("security", patterns=((), ("kind",), ("account", "kind")), sorts=("deadline",), domains={"kind": KINDS})


@dataclass(frozen=True)
class Level:
    """One rung of the ladder: so many failures in a row close sign-in for `life` ms."""

    name: str
    failures: int
    life: int

    @property
    def span(self) -> str:
        """`15 minutes`, `an hour`, `a day`."""
        return {clock.HOUR: "an hour", clock.DAY: "a day"}.get(self.life, f"{self.life // clock.MINUTE} minutes")


LADDER = (
    Level("level1", 3, 15 * clock.MINUTE),
    Level("level2", 5, clock.HOUR),
    Level("level3", 10, clock.DAY),
)

WINDOW = 5 * clock.MINUTE
"""Each failure keeps the count for so long, so those within any five minutes are never missed."""

CODE_LIFE = 5 * clock.MINUTE
RESET_LIFE = 15 * clock.MINUTE

READ = 500
"""Matters read in one go where a whole list is."""

_LIFE: dict[Kind, int] = {"failures": WINDOW, "code": CODE_LIFE, "reset": RESET_LIFE}


@dataclass(frozen=True)
class Matter:
    """Something that stands for or against an account until `deadline` (Unix ms; None: it has no end).

    id        `lock:AG001`, `failures:AG001`, `code:CUST001:code789`, `reset:CUST001:token123`; never shown: it may
              hold a secret that another tool wrote. `reference` stands for it on pages
    level     of a lockout: the longest, where an account has several
    failures  counted: those that led to a lockout, or those so far
    cause     of a lockout that no count led to, what the tool that wrote it says
    next      the rung that the account's next failures lead to, None for codes and tokens
    lifetime  ms from its beginning to its end, as far as that is known
    issued    of a reset token, when, if it says so
    """

    id: str
    kind: Kind
    account: str
    deadline: int | None
    lifetime: int
    level: str | None = None
    failures: int | None = None
    cause: str | None = None
    issued: datetime | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def next(self) -> Level | None:
        if self.kind not in ("lock", "failures"):
            return None
        above = [level for level in LADDER if level.failures > (self.failures or 0)]
        return above[0] if above else LADDER[-1]

    @property
    def reference(self) -> str:
        """Names it on pages and in forms. What may be a secret in its name is told by a digest, with the site's own key:
        there are a million codes alone.
        """
        kind, account, *secret = self.id.split(":")
        if not secret:
            return self.id
        digest = hmac.new(settings.SECRET_KEY.encode(), self.id.encode(errors="surrogatepass"), hashlib.sha256)
        return f"{kind}:{account}:{digest.hexdigest()[:16]}"


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


def spellings(name: str) -> list[str]:
    """The accounts that a typed name may mean: as it is typed, as other tools may have written it, and as we count it."""
    typed = name.strip()
    return list(dict.fromkeys(filter(keys.is_identifier, (typed, account_of(typed))))) if typed else []


# -- reading


def listing(
    client: Redis,
    kind: Kind | None = None,
    accounts: Sequence[str] = (),
    *,
    cursor: Cursor | None = None,
    size: int = 50,
) -> Page[Matter]:
    """What stands against or for these accounts (none: all), the next to end first. Four round trips at most; more only
    where entries are stale.
    """
    return _page(client, _wanted([kind] if kind else [], accounts), cursor, size)


def every(client: Redis, kinds: Sequence[Kind] = (), accounts: Sequence[str] = ()) -> Iterator[Matter]:
    """All that stands of these kinds against or for these accounts (none: all), page by page as they are asked for.
    Four round trips for each READ.
    """
    cursor = None
    while True:
        page = _page(client, _wanted(kinds, accounts), cursor, READ)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def _wanted(kinds: Sequence[str], accounts: Sequence[str]) -> dict[str, list[str]]:
    return {facet: list(given) for facet, given in (("kind", kinds), ("account", accounts)) if given}


def _page(client: Redis, wanted: dict[str, list[str]], cursor: Cursor | None, size: int) -> Page[Matter]:
    return INDEX.things(
        client,
        wanted,
        "deadline",
        size,
        load=partial(load, client),
        facets=lambda matter: {"kind": matter.kind, "account": matter.account},
        refresh=refresh,
        cursor=cursor,
        low=clock.now_ms(),
    )


def locks(client: Redis, *, size: int = 50) -> Page[Matter]:
    """The lockouts in force, the next to end first."""
    return listing(client, "lock", size=size)


def totals(client: Redis, accounts: Sequence[str] = ()) -> dict[str, int]:
    """How many there are of each kind, of these accounts (none: all). One round trip."""
    now = clock.now_ms()
    counted = INDEX.count(client, [(_wanted([kind], accounts), "deadline", now, None) for kind in KINDS])
    return dict(zip(KINDS, counted, strict=True))


def load(client: Redis, members: Sequence[str]) -> dict[str, Matter]:
    """By id, those that stand. Three round trips at most."""
    names = {member: found for member in members if (found := names_of(member))}
    every = [name for found in names.values() for name in found]
    if not every:
        return {}
    pipe = client.pipeline(transaction=False)
    for name in every:
        pipe.pexpiretime(name)
    ends = {name: end for name, end in zip(every, pipe.execute(), strict=True) if end != -2}
    values = read_strings(client, list(ends))
    loaded = {}
    for member, found in names.items():
        standing = [name for name in found if name in ends]
        if standing:
            name = max(standing, key=lambda each: _order(ends[each]))
            loaded[member] = _matter(member, name, ends[name], values)
    return loaded


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these. Five round trips. Gives how many entries changed."""
    loaded = load(client, members)
    entries = {member: _entry(member, loaded[member].deadline) if member in loaded else None for member in members}
    return INDEX.settle(client, entries, force=force)


def timeline(client: Redis, *accounts: str, limit: int = 50) -> list[audit.Record]:
    """What befell an account (under each of its spellings) and its sessions, newest first: both stand in one history.
    Two round trips.
    """
    of = [(audit.SECURITY, (account,)) for account in accounts]
    return [record for _, _, record in audit.histories(client, of, limit=limit)]


# -- writing, with `lockouts` and `codes`


def note(draft: Change, entries: dict[str, int | None]) -> None:
    """Record where these ids stand in the index: their deadline, or None for those that are no more. One round trip."""
    known = INDEX.known_places(draft.client, list(entries))
    for member, deadline in entries.items():
        INDEX.put(draft, member, None if deadline is None else _entry(member, deadline), known[member])
        draft.event("security", member.split(":")[1])


# -- from what is stored


def names_of(member: str) -> list[str]:
    """The keys that this one may stand in; none for what is no id."""
    kind, _, rest = member.partition(":")
    parts = rest.split(":")
    try:
        if kind == "lock":
            return lock_keys(*parts)
        if kind == "failures":
            return [keys.failed_logins(*parts)]
        family = {"code": keys.two_factor, "reset": keys.password_reset}.get(kind)
        return [family(*parts)] if family else []
    except (TypeError, keys.BadIdentifier):
        return []


def lock_keys(account: str) -> list[str]:
    return [keys.lockout(account, level) for level in keys.LOCKOUT_LEVELS]


def count_of(raw: object) -> int:
    """The failures that a counter tells; 0 for what is no number."""
    text = raw if isinstance(raw, str) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _matter(member: str, name: str, end: int, values: dict[str, Raw]) -> Matter:
    kind: Kind = member.partition(":")[0]  # type: ignore[assignment]
    reader = Reader(values, {"value": name})
    text = reader.text("value") or ""
    level = name.rpartition(":")[2] if kind == "lock" else None
    life = next((rung.life for rung in LADDER if rung.name == level), _LIFE.get(kind, 0))
    return Matter(
        id=member,
        kind=kind,
        account=member.split(":")[1],
        deadline=end if end > 0 else None,
        lifetime=max(life, end - clock.now_ms()) if end > 0 else 0,
        level=level,
        failures=_failures(kind, text),
        cause=_cause(text) if kind == "lock" else None,
        issued=_issued(text) if kind == "reset" else None,
        problems=tuple(reader.problems),
    )


def _failures(kind: Kind, text: str) -> int | None:
    if kind == "lock":
        return count_of(text.partition("_")[0]) or None
    return count_of(text) if kind == "failures" else None


def _cause(text: str) -> str | None:
    """`3_attempts` is a count; everything else is another tool's own words."""
    head, _, tail = text.partition("_")
    return None if count_of(head) and tail in ("", "attempts") else shorten(text.strip()) or None


def _issued(text: str) -> datetime | None:
    """`valid|issued:2024-08-18T10:30:00Z` -> the moment, if it is one."""
    told = (part.partition(":") for part in text.split("|"))
    return next((at for label, _, value in told if label == "issued" and (at := moment(value))), None)


def _order(end: int) -> int:
    return NEVER if end == -1 else end


def _entry(member: str, deadline: int | None) -> Entry:
    kind, account = member.split(":")[:2]
    facets = {"kind": kind, "account": account}
    return Entry(facets, {"deadline": NEVER if deadline is None else deadline})
