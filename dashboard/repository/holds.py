"""Legal holds: what must not end while a dispute or an inquiry lasts is kept, and goes on as it was once that is over.

    dash:hold:3f2a...   hash  kind claim, of CLM003, reason, by, at, names (JSON: the keys that it keeps)
    dash:held           hash  key -> "1787043600000 3f2a..."   the key's own end, and the holds on it

A hold takes the lifetime from each key that it is on, and remembers it. What is written to such a key afterwards may
give it a lifetime again, and a claim may get keys it did not have: `enforce`, now and then, by the lease holder, sees to
both. Nothing but the lifetime is touched: this is the one place where an audit record's is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Invalid, NotFound
from dashboard.repository import audit
from dashboard.repository.index import Cursor, Entry, Index, Page
from dashboard.repository.store import Change, change
from dashboard.repository.values import Wrong, answered, fits_text, read_strings, readable

Kind = Literal["record", "claim", "quote", "review"]
KINDS: dict[Kind, str] = {
    "record": "Audit record or payment",
    "claim": "Claim, with its records",
    "quote": "Quote, as kept after its end",
    "review": "Compliance review",
}
LONGEST = 500
MOST_RECORDS = 1_000
"""Audit records of one thing that its hold keeps."""

INDEX = Index("holds", patterns=((), ("kind",)), sorts=("placed",), domains={"kind": tuple(KINDS)})


@dataclass(frozen=True)
class Hold:
    """One hold. `of`: an audit key, a claim's number, `auto:Q001`, `auto:100001`. `names`: the keys it keeps, `ends`:
    their own ends, Unix ms.
    """

    id: str
    kind: Kind
    of: str
    reason: str
    by: str
    at: datetime
    names: tuple[str, ...] = ()
    ends: dict[str, int] = field(default_factory=dict)

    @property
    def over(self) -> list[str]:
        """Keys whose own time has passed: they end when the hold is released."""
        now = clock.now_ms()
        return sorted(name for name, end in self.ends.items() if end <= now)

    @property
    def label(self) -> str:
        return self.of if self.kind == "record" else f"{self.kind} {self.of}"


# -- reading


def listing(client: Redis, kind: Kind | None = None, *, cursor: Cursor | None = None, size: int = 50) -> Page[Hold]:
    """Holds in force, the latest first. Five round trips at most."""
    return INDEX.things(
        client, {"kind": [kind]} if kind else {}, "placed", size, load=partial(load, client),
        facets=lambda hold: {"kind": hold.kind}, refresh=refresh, cursor=cursor, descending=True,
    )  # fmt: skip


def totals(client: Redis) -> dict[str, int]:
    """How many holds there are of each kind. One round trip."""
    counted = INDEX.count(client, [({"kind": [kind]}, "placed", None, None) for kind in KINDS])
    return dict(zip(KINDS, counted, strict=True))


def get(client: Redis, hold: str) -> Hold:
    """Raises NotFound. Two round trips."""
    found = load(client, [hold]).get(hold)
    if not found:
        raise NotFound("There is no such hold: it was released, or never put on.")
    return found


def load(client: Redis, members: Sequence[str]) -> dict[str, Hold]:
    """By id. Two round trips."""
    known = [member for member in members if keys.is_identifier(member)]
    pipe = client.pipeline(transaction=False)
    for member in known:
        pipe.hgetall(keys.hold(member))
    answers = answered(pipe) if known else []
    found = {
        member: facts for member, facts in zip(known, answers, strict=True) if facts and facts.get("kind") in KINDS
    }
    names = {member: _names(facts) for member, facts in found.items()}
    ends = deadlines(client, [name for each in names.values() for name in each])
    return {member: _hold(member, facts, names[member], ends) for member, facts in found.items()}


def deadlines(client: Redis, names: Sequence[str]) -> dict[str, int]:
    """The own ends, Unix ms, of those of these keys that a hold keeps. One round trip, none for no names."""
    return {name: end for name, (end, _) in _held(client, names).items()}


def held(client: Redis, names: Sequence[str]) -> set[str]:
    """Those of these keys that a hold keeps from ending. One round trip, none for no names."""
    return set(deadlines(client, names))


def on(client: Redis, kind: Kind, of: str) -> str | None:
    """The id of the hold on this thing, if there is one. One round trip."""
    hold = hold_id(kind, of)
    return hold if client.exists(keys.hold(hold)) else None


def hold_id(kind: str, of: str) -> str:
    return hashlib.sha256(f"{kind}|{of}".encode(errors="surrogateescape")).hexdigest()[:16]


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these."""

    def read(members: Sequence[str]) -> dict[str, Entry | None]:
        return {member: _entry(hold) for member, hold in load(client, members).items()}

    return INDEX.follow(client, members, read, force=force)


# -- writing


def place(kind: Kind, of: str, reason: str, *, by: str, token: str | None = None) -> str:
    """Keep this thing from ending. Gives a sentence. Raises Invalid, NotFound, Conflict (held already, or without an
    end).
    """
    reason, of = reason.strip(), of.strip()
    if not reason or len(reason) > LONGEST or not fits_text(reason):
        raise Invalid({"reason": f"Say why, in one line of at most {LONGEST} characters, without |."})
    hold = hold_id(kind, of)

    def action(draft: Change) -> str:
        draft.watch(keys.hold(hold), keys.held())
        draft.require("hash", [keys.hold(hold), keys.held()])
        if draft.client.exists(keys.hold(hold)):
            raise Conflict(f"{of} is under a hold already.")
        names = targets(draft.client, kind, of)
        if not names:
            raise NotFound(f"Nothing is kept of {of[:100]}: there is nothing to hold.")
        draft.watch(*names)
        ends = _own_ends(draft.client, names)
        if not ends:
            raise Conflict(f"{of} has no end: it is kept for good as it is.")
        at = clock.now_ms()
        _note(draft, kind, of, f"Legal hold on {_called(kind, of)} put on by {by}: {reason}", by)
        _persist(draft, hold, ends)
        facts = {"kind": kind, "of": of, "reason": reason, "by": by, "at": str(at), "names": json.dumps(sorted(ends))}
        draft.record("HSET", keys.hold(hold), *(part for pair in facts.items() for part in pair))
        INDEX.put(draft, hold, _entry_of(kind, at), INDEX.known_places(draft.client, [hold])[hold])
        draft.event("holds", hold)
        return f"{len(ends)} record{'s are' if len(ends) > 1 else ' is'} kept until the hold is released."

    return change(action, token=token)


def release(hold: str, *, ending: int, by: str, token: str | None = None) -> str:
    """Let things go on as they were: each key gets its own end again. What has passed it meanwhile ends at once;
    `ending` is how many of these the releaser has confirmed. Gives a sentence. Raises NotFound, Conflict.
    """

    def action(draft: Change) -> str:
        draft.watch(keys.hold(hold), keys.held())
        found = get(draft.client, hold)
        # Also what it is on, should another tool have broken the list of what it keeps.
        names = list(dict.fromkeys((*found.names, *targets(draft.client, found.kind, found.of))))
        if names:
            draft.watch(*names)
        now, over = clock.now_ms(), 0
        stands = {name: held for name, held in _held(draft.client, names).items() if hold in held[1]}
        current = _ends(draft.client, names)
        freed: list[tuple[str, int]] = []
        for name, (end, on) in stands.items():
            others = on - {hold}
            if others:
                draft.record("HSET", keys.held(), name, _told(end, others))
                continue
            draft.record("HDEL", keys.held(), name)
            if current.get(name) == -1:  # with an end of its own again, it goes on with that
                freed.append((name, end))
                over += end <= now
        if over > ending:
            raise Conflict(f"The time of {over} of these has passed: they end at once. Confirm that, and nothing else.")
        draft.delete(keys.hold(hold))
        _note(draft, found.kind, found.of, f"Legal hold on {_called(found.kind, found.of)} released by {by}", by)
        latest = now + keys.SEVEN_YEARS * clock.SECOND + 3 * clock.DAY
        for listed in _lists(draft.client, [name for name, _ in freed]):
            # A list lives as long as anything that may stand in it.
            draft.record("PEXPIREAT", listed, latest, "NX")
            draft.record("PEXPIREAT", listed, latest, "GT")
        for name, end in freed:
            draft.expire_at(end, name)
        INDEX.put(draft, hold, None, INDEX.known_places(draft.client, [hold])[hold])
        draft.event("holds", hold)
        gone = f" {over} had passed their time and ended." if over else ""
        return f"The hold on {_called(found.kind, found.of)} is released.{gone}"

    return change(action, token=token)


def enforce(client: Redis) -> int:
    """See that what is held has no lifetime, and that what a held thing got since is held, too. For the lease holder,
    now and then. Three round trips for each hold. Gives how many keys were taken hold of.
    """
    return sum(_enforce(client, hold) for hold in every(client))


def every(client: Redis) -> Iterator[Hold]:
    cursor: Cursor | None = None
    while True:
        page = listing(client, cursor=cursor, size=200)
        yield from page.rows
        if page.next is None:
            return
        cursor = page.next


def _enforce(client: Redis, hold: Hold) -> int:
    names = list(dict.fromkeys((*hold.names, *targets(client, hold.kind, hold.of))))
    lists = _lists(client, names)
    passing = [name for name, end in _ends(client, [*names, *lists]).items() if end > 0]
    if not passing:
        return 0

    def action(draft: Change) -> int:
        draft.watch(keys.hold(hold.id), keys.held(), *names)
        if not draft.client.exists(keys.hold(hold.id)):
            return 0
        ends = _own_ends(draft.client, names)
        _persist(draft, hold.id, ends)
        draft.record("HSET", keys.hold(hold.id), "names", json.dumps(sorted({*hold.names, *ends})))
        return len(ends)

    return change(action)


def _persist(draft: Change, hold: str, ends: dict[str, int]) -> None:
    """Take the lifetime from these keys, and from the lists that lead to the audit records among them."""
    stands = _held(draft.client, list(ends))
    for name, end in ends.items():
        on = stands.get(name, (0, frozenset[str]()))[1]
        draft.record("HSET", keys.held(), name, _told(end, on | {hold}))
    draft.persist(*ends, *_lists(draft.client, list(ends)))


def _note(draft: Change, kind: Kind, of: str, text: str, by: str) -> None:
    family, parts = _subject(draft.client, kind, of, by)
    audit.append(draft, family, *parts, text=text, by=by)


# -- what a hold is on


def targets(client: Redis, kind: str, of: str) -> list[str]:
    """The keys that a hold on this thing keeps, those that are there. Two round trips at most."""
    try:
        names = _possible(client, kind, of)
    except (keys.BadIdentifier, TypeError):
        return []
    there = _ends(client, list(dict.fromkeys(names)))
    return [name for name, end in there.items() if end != -2]


def _possible(client: Redis, kind: str, of: str) -> list[str]:
    if kind == "record":
        parsed = keys.parse(of)
        return [of] if parsed and parsed.family in audit.FAMILIES else []
    if kind == "claim":
        own = [*keys.claim_temp_keys(of), *keys.investigation_keys(of), keys.claim_snapshot(of)]
        return [*own, *audit.names_of(client, audit.CLAIM, of, limit=MOST_RECORDS)]
    product, _, number = of.partition(":")
    if kind == "quote":
        own = [keys.quote_snapshot(product, number), keys.quote_outcome(product, number)]
        return [*own, *audit.names_of(client, audit.QUOTE, product, number, limit=MOST_RECORDS)]
    if kind == "review":
        return [keys.compliance_review(product, number), keys.review_snapshot(product, number)]
    return []


def _subject(client: Redis, kind: Kind, of: str, by: str) -> tuple[keys.Family, tuple[str, ...]]:
    """In whose history it is told that a hold was put on, or released."""
    if kind == "claim":
        return audit.CLAIM, (of,)
    if kind in ("quote", "review"):
        product, _, number = of.partition(":")
        return (audit.QUOTE if kind == "quote" else audit.POLICY), (product, number)
    parsed = keys.parse(of)
    if parsed is None or parsed.family is audit.PAYMENT:
        (raw,) = answered(client.pipeline(transaction=False).get(of))
        customer = audit.customer_of(readable(raw or ""))
        return (audit.CUSTOMER, (customer,)) if customer else (audit.SECURITY, (by,))
    parts = tuple(value for slot, value in parsed.parts.items() if slot != "stamp")
    return (audit.CUSTOMER if parsed.family is audit.ACCESS else parsed.family), parts


def _called(kind: Kind, of: str) -> str:
    return of if kind == "record" else f"{kind} {of.replace(':', ' ')}"


# -- from and to what is stored


def _ends(client: Redis, names: Sequence[str]) -> dict[str, int]:
    """PEXPIRETIME of each: -1 without an end, -2 where there is none. One round trip, none for no names."""
    if not names:
        return {}
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.pexpiretime(name)
    return dict(zip(names, pipe.execute(), strict=True))


def _own_ends(client: Redis, names: Sequence[str]) -> dict[str, int]:
    """The own end of each of these keys that has one: as it is, or as another hold remembers it; the later of both."""
    now = _ends(client, names)
    before = _held(client, names)
    ends = {name: max(end, before.get(name, (0,))[0]) for name, end in now.items() if end != -2}
    return {name: end for name, end in ends.items() if end > 0}


def _lists(client: Redis, names: Iterable[str]) -> list[str]:
    """The lists in which the audit records among these keys stand. One or two round trips."""
    records = [name for name in names if name.startswith(keys.AUDIT)]
    values = read_strings(client, records)
    texts = {name: "" if raw is None or isinstance(raw, Wrong) else readable(raw) for name, raw in values.items()}
    return sorted({listed for name, text in texts.items() for listed in audit.lists_of(name, text)})


def _held(client: Redis, names: Sequence[str]) -> dict[str, tuple[int, frozenset[str]]]:
    """By key: its own end, and the holds on it. One round trip, none for no names."""
    if not names:
        return {}
    (told,) = answered(client.pipeline(transaction=False).hmget(keys.held(), list(names)))
    found = {}
    for name, text in zip(names, told or [None] * len(names), strict=True):
        end, _, rest = (text or "").partition(" ")
        if end.isascii() and end.isdecimal() and len(end) < 16:
            found[name] = int(end), frozenset(rest.split())
    return found


def _told(end: int, on: Iterable[str]) -> str:
    return " ".join((str(end), *sorted(on)))


def _names(facts: dict[str, str]) -> tuple[str, ...]:
    try:
        found: Any = json.loads(facts.get("names", "[]"))
    except (ValueError, RecursionError):
        return ()
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()


def _hold(member: str, facts: dict[str, str], names: tuple[str, ...], ends: dict[str, int]) -> Hold:
    return Hold(
        id=member,
        kind=facts["kind"],  # type: ignore[arg-type]
        of=readable(facts.get("of", "")),
        reason=readable(facts.get("reason", ""))[:LONGEST],
        by=readable(facts.get("by", ""))[:64],
        at=clock.moment(_at(facts)),
        names=names,
        ends={name: ends[name] for name in names if name in ends},
    )


def _at(facts: dict[str, str]) -> int:
    text = facts.get("at", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 15 else 0


def _entry(hold: Hold) -> Entry:
    return _entry_of(hold.kind, clock.ms(hold.at))


def _entry_of(kind: str, at: int) -> Entry:
    return Entry({"kind": kind}, {"placed": at})
