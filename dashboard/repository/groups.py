"""Groups of customers: risk segments and lifetime value tiers, sets that other tools read. Whoever is in one segment is
in no other, and the same for tiers (trap 12): a move is one SMOVE in a transaction, on record. No score decides.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Invalid, NotFound
from dashboard.repository import audit, customers
from dashboard.repository.customers import Customer
from dashboard.repository.index import Entry, Index
from dashboard.repository.store import Change, change
from dashboard.repository.values import amount, answered

Kind = Literal["segment", "tier"]
KINDS: tuple[Kind, ...] = ("segment", "tier")
USUAL: dict[Kind, tuple[str, ...]] = {
    "segment": ("high_risk", "medium_risk", "low_risk"),
    "tier": ("platinum", "gold", "silver"),
}
"""The document's (lines 63 to 72); others that are found are offered, too."""

MOST = 100
"""Groups of one kind that are shown."""

AT_ONCE = 2_000
"""Members whose premiums are added up while somebody waits; larger groups are added up behind, now and then."""

SLICE = 1_000

UNDO_LIFE = 10 * clock.MINUTE
"""ms for which a move can be taken back."""

INDEX = Index("groups", patterns=(("kind",),), sorts=("size",), domains={"kind": KINDS})

_families = {"segment": keys.segment, "tier": keys.tier}


@dataclass(frozen=True)
class Figures:
    """The sum of members' stored total premiums, dollars a year; `counted` members have one; `at` when added up."""

    premium: Decimal
    counted: int
    at: datetime


@dataclass(frozen=True)
class Group:
    """One segment or tier. `figures` None: not added up yet, or not asked for. `broken`: its key holds no set, so nobody
    stands in it.
    """

    kind: Kind
    name: str
    size: int
    figures: Figures | None = None
    broken: bool = False

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def key(self) -> str:
        return _families[self.kind](self.name)


@dataclass(frozen=True)
class Membership:
    """Where a customer stands, by kind; more than one name of a kind is a contradiction that a move ends."""

    segment: tuple[str, ...]
    tier: tuple[str, ...]

    @property
    def any(self) -> bool:
        return bool(self.segment or self.tier)


@dataclass(frozen=True)
class Undo:
    """The latest move, while it can be taken back: from where to where ("" for no group), until when (Unix ms)."""

    id: str
    was: str
    now: str
    by: str
    deadline: int


# -- reading


def names(client: Redis, kind: Kind) -> list[str]:
    """The usual ones first, then what else was found. One round trip."""
    found = client.zrange(INDEX.key(INDEX.cell(kind=kind), "size"), 0, MOST - 1, desc=True)
    others = sorted(member.partition(":")[2] for member in found)
    return list(dict.fromkeys((*USUAL[kind], *(name for name in others if keys.is_identifier(name)))))


def overview(client: Redis, kind: Kind, *, figures: bool) -> list[Group]:
    """Every group of a kind with its size; with `figures`, also what its members pay. Three round trips, and two for
    each thousand members of groups below AT_ONCE.
    """
    wanted = names(client, kind)
    pipe = client.pipeline(transaction=False)
    for name in wanted:
        pipe.scard(_families[kind](name))
    sizes = dict(zip(wanted, answered(pipe), strict=True))
    kept = _kept(client, kind, wanted) if figures else {}
    found = []
    for name in wanted:
        size = sizes[name] or 0
        figure = kept.get(name)
        if figures and size <= AT_ONCE:
            figure = _add_up(client, kind, name)
        found.append(Group(kind, name, size, figure, broken=sizes[name] is None))
    return found


def get(client: Redis, kind: str, name: str) -> Group:
    """Raises NotFound for a kind that is none, and for a group that is neither usual nor there. One round trip."""
    if kind not in KINDS or not keys.is_identifier(name):
        raise NotFound("There is no such group.")
    size = answered(client.pipeline(transaction=False).scard(_families[kind](name)))[0]
    if not size and name not in USUAL[kind]:
        raise NotFound(f"There is no {kind} {name}.")
    return Group(kind, name, size or 0, broken=size is None)


@dataclass(frozen=True)
class Members:
    """Some of a group's members, and the cursor that leads on to others; 0: these were the last."""

    rows: list[Customer]
    cursor: int


def members(client: Redis, group: Group, *, cursor: int = 0, size: int = 50) -> Members:
    """About `size` members, in the set's own order: each that stays is met once or more. Two or three round trips."""
    found: dict[str, None] = {}
    for _ in range(20):
        scan = client.pipeline(transaction=False).sscan(_families[group.kind](group.name), cursor, count=size)
        cursor, part = answered(scan)[0] or (0, [])
        found |= dict.fromkeys(part)
        if cursor == 0 or len(found) >= size:
            break
    loaded = customers.load(client, found, always=True)
    return Members([loaded[each] for each in found if each in loaded], int(cursor))


def everybody(client: Redis, group: Group) -> Iterator[Customer]:
    """All of a group's members, each once, in no order. Three round trips at most for each thousand."""
    met: set[str] = set()
    cursor = 0
    while True:
        scan = client.pipeline(transaction=False).sscan(_families[group.kind](group.name), cursor, count=SLICE)
        cursor, part = answered(scan)[0] or (0, [])
        fresh = [each for each in part if each not in met]
        met.update(fresh)
        yield from customers.load(client, fresh, always=True).values()
        if int(cursor) == 0:
            return


def membership(client: Redis, customer: str) -> Membership:
    """Three round trips."""
    known = {kind: names(client, kind) for kind in KINDS}
    pipe = client.pipeline(transaction=False)
    for kind, each in known.items():
        for name in each:
            pipe.sismember(_families[kind](name), customer)
    answers = iter(answered(pipe))
    found = {kind: tuple(name for name in each if next(answers)) for kind, each in known.items()}
    return Membership(found["segment"], found["tier"])


# -- writing


def move(customer: str, kind: str, to: str, *, seen: str, by: str, token: str | None = None) -> str:
    """Move a customer into another group of this kind, or out of all ("" as `to`). `seen` are the names, comma between,
    that the mover saw them in. Gives what was done, in words. Raises Conflict when they stand elsewhere by now, Invalid.

    The sets are watched: two moves at once never leave somebody in two groups.
    """
    if kind not in KINDS or (to and not keys.is_identifier(to)):
        raise Invalid({"to": "There is no such group."})

    def action(draft: Change) -> str:
        known = names(draft.client, kind)
        if to and to not in known:
            raise Invalid({"to": f"There is no {kind} {to}."})
        stands = _watched(draft, customer, kind, known)
        if ",".join(stands) != seen:
            raise Conflict(f"Somebody moved {customer} meanwhile: the {kind} is {_spoken(stands)} now.")
        if stands == ([to] if to else []):
            return "Nothing was changed."
        _shift(draft, customer, kind, stands, to)
        words = f"{kind.capitalize()} changed from {_spoken(stands)} to {_spoken([to])}"
        audit.append(draft, audit.CUSTOMER, customer, text=f"{words} by {by}", by=by)
        name = keys.move_undo(kind, customer)
        if len(stands) > 1:  # a contradiction that this has ended is not brought back
            draft.delete(name)
        else:
            kept = {"id": uuid.uuid4().hex, "was": "".join(stands), "now": to, "by": by}
            draft.set_until(name, json.dumps(kept), clock.now_ms() + UNDO_LIFE)
        return words + "."

    return change(action, token=token)


def undoable(client: Redis, customer: str, stands: Membership) -> dict[Kind, Undo]:
    """The latest move of each kind, if it can be taken back still. One round trip."""
    pipe = client.pipeline(transaction=False)
    for kind in KINDS:
        pipe.get(keys.move_undo(kind, customer))
        pipe.pexpiretime(keys.move_undo(kind, customer))
    answers = answered(pipe)
    found: dict[Kind, Undo] = {}
    for kind, raw, deadline in zip(KINDS, answers[0::2], answers[1::2], strict=True):
        kept = _kept_move(raw)
        if kept and deadline and deadline > 0 and [kept["now"]] == [*(getattr(stands, kind) or ("",))]:
            found[kind] = Undo(kept["id"], kept["was"], kept["now"], kept["by"], deadline)
    return found


def undo(customer: str, kind: str, of: str, *, by: str, token: str | None = None) -> str:
    """Take the latest move back; `of` is the Undo.id that was looked at. Gives what was done, in words. Raises Expired
    after ten minutes, Conflict when they were moved since, Invalid for a kind that is none.
    """
    if kind not in KINDS:
        raise Invalid({"kind": "There is no such group."})

    def action(draft: Change) -> str:
        name = keys.move_undo(kind, customer)
        draft.watch(name)
        draft.require("string", [name])
        kept = _kept_move(draft.client.get(name))
        if not kept:
            raise Expired(f"There is nothing to undo: that is open for {UNDO_LIFE // clock.MINUTE} minutes.")
        met = [each for each in (kept["was"], kept["now"]) if each]
        stands = _watched(draft, customer, kind, dict.fromkeys([*names(draft.client, kind), *met]))
        if kept["id"] != of or stands != [kept["now"]][: bool(kept["now"])]:
            raise Conflict(f"{customer} was moved since: the {kind} is {_spoken(stands)} now.")
        _shift(draft, customer, kind, stands, kept["was"])
        words = f"{kind.capitalize()} changed back from {_spoken(stands)} to {_spoken([kept['was']])}"
        audit.append(
            draft, audit.CUSTOMER, customer, text=f"{words} by {by}: the move of {kept['by']} was undone", by=by
        )
        draft.delete(name)
        return words + "."

    return change(action, token=token)


def _watched(draft: Change, customer: str, kind: Kind, known: Iterable[str]) -> list[str]:
    """In which of these groups they stand; from here on a change of any of them undoes this attempt. Four round trips."""
    sets = {name: _families[kind](name) for name in known}
    draft.watch(*sets.values())
    draft.require("set", sets.values())
    pipe = draft.client.pipeline(transaction=False)
    for key in sets.values():
        pipe.sismember(key, customer)
    return [name for name, there in zip(sets, pipe.execute(), strict=True) if there]


def _shift(draft: Change, customer: str, kind: Kind, stands: Sequence[str], to: str) -> None:
    """From wherever they stand into this group alone; "" for none."""
    key = _families[kind]
    for at, name in enumerate(stands):
        if at == 0 and to and to not in stands:
            draft.record("SMOVE", key(name), key(to), customer)
        elif name != to:
            draft.record("SREM", key(name), customer)
    if to and not stands:
        draft.record("SADD", key(to), customer)
    draft.event("groups", f"{kind}:{to or stands[0]}")
    draft.event("customers", customer)


def _kept_move(raw: Any) -> dict[str, str] | None:
    """What an undo is made from; None for what is not there, or is nothing of ours."""
    try:
        kept = json.loads(raw or "")
        texts = {name: kept[name] for name in ("id", "was", "now", "by")}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    whole = all(isinstance(each, str) for each in texts.values())
    return texts if whole and all(not texts[n] or keys.is_identifier(texts[n]) for n in ("was", "now")) else None


def _spoken(stands: Sequence[str]) -> str:
    return " and ".join(name.replace("_", " ") for name in stands if name) or "none"


# -- figures


def tally(client: Redis, *, pause: float = 0.0, stop: Callable[[], bool] | None = None) -> None:
    """Add up the premiums of every large group, and keep the figures. Two round trips for each thousand members."""
    for kind in KINDS:
        for name in names(client, kind):
            size = answered(client.pipeline(transaction=False).scard(_families[kind](name)))[0] or 0
            if size <= AT_ONCE:
                client.unlink(keys.group_figures(kind, name))
                continue
            figures = _add_up(client, kind, name, pause=pause, stop=stop)
            if stop and stop():
                return
            kept = {"premium": f"{figures.premium:f}", "counted": figures.counted, "at": clock.ms(figures.at)}
            client.hset(keys.group_figures(kind, name), mapping=kept)  # type: ignore[arg-type]


def _add_up(
    client: Redis, kind: Kind, name: str, *, pause: float = 0.0, stop: Callable[[], bool] | None = None
) -> Figures:
    premium, counted, cursor = Decimal(0), 0, 0
    seen: set[str] = set()  # SSCAN may give a member twice
    while True:
        answer = answered(client.pipeline(transaction=False).sscan(_families[kind](name), cursor, count=SLICE))[0]
        cursor, part = answer or (0, [])
        fresh = [each for each in dict.fromkeys(part) if each not in seen and keys.is_customer(each)]
        seen.update(fresh)
        texts = client.mget([keys.customer_field(each, "total_premium") for each in fresh]) if fresh else []
        found = [value for text in texts if text and (value := amount(text)) is not None]
        premium, counted = premium + sum(found, Decimal(0)), counted + len(found)
        if int(cursor) == 0 or (stop and stop()):
            return Figures(premium, counted, clock.now())
        if pause:
            time.sleep(pause)


def _kept(client: Redis, kind: Kind, wanted: Sequence[str]) -> dict[str, Figures]:
    pipe = client.pipeline(transaction=False)
    for name in wanted:
        pipe.hgetall(keys.group_figures(kind, name))
    found = {}
    for name, kept in zip(wanted, answered(pipe), strict=True):
        premium, counted, at = (amount((kept or {}).get(part, "")) for part in ("premium", "counted", "at"))
        if premium is not None and counted is not None and at is not None:
            found[name] = Figures(premium, int(counted), clock.moment(int(at)))
    return found


# -- the index


def refresh(client: Redis, found: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the sizes of these groups (`segment:high_risk`). Three round trips."""
    split = {member: member.partition(":")[::2] for member in found}
    known = {member: each for member, each in split.items() if each[0] in KINDS and keys.is_identifier(each[1])}
    pipe = client.pipeline(transaction=False)
    for kind, name in known.values():
        pipe.scard(_families[kind](name))
    sizes: Mapping[str, int] = dict(zip(known, answered(pipe), strict=True)) if known else {}
    entries = {m: Entry({"kind": known[m][0]}, {"size": size}) for m, size in sizes.items() if size}
    return INDEX.settle(client, dict.fromkeys(found) | entries, force=force)
