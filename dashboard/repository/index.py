"""Lists over a million things without looking at a million: sorted sets, one for each cell of a list.

A thing has *facets* (branch, product, status, ...). A *pattern* is a tuple of facets; for each pattern the thing
stands in exactly one *cell*, e.g. `branch=dallas,product=auto`, once for each way of sorting. A page is a merge of a
few cells: each is asked for one page by score, in one pipeline. The cost depends on the cells, never on the things.

    dash:index:policies:branch=dallas,product=auto:expiry   zset  member auto:100001, score as the aggregate says
    dash:indexed:policies:auto.1000                         hash  auto:100001 -> facets and a seal over the scores

    dash:search:customers:name                              zset  "smith john", a NUL, "CUST001": all of score 0

The second says where a member stands, so that it can be taken out when its facets change without anybody knowing what
they were. The third is for searching by what a word begins with (`prefixed`): a word that no longer holds stays until
somebody finds it, for readers look at the thing itself. Scores should be nearly unique within a cell: pages are cut by (score, member), so that a page stays where it
is while others come and go.

Everything here is a hint. Readers skip and prune what is gone; `manage.py reindex` makes it anew.
"""

from __future__ import annotations

import heapq
import re
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product as combinations
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from redis import Redis
from redis.exceptions import WatchError

from dashboard import keys
from dashboard.repository.keyspace import broken
from dashboard.repository.values import answered

T = TypeVar("T")

Cell = tuple[str, ...]
"""Names of the cells (without area and sort) whose intersection is meant; mostly just one."""

Wanted = Mapping[str, Sequence[str]]
"""What a list is restricted to: the values allowed for each facet."""

UNKNOWN = ""
"""A facet's value where the thing has none, or one that cannot stand in a key name."""

NEVER = 9_000_000_000_000_000
"""Score of what has no end; below 2^53, so exact."""

_TIES = 8
"""How many members of equal score a page may be cut between in one round trip; more of them cost more round trips."""

_LAST = chr(0x10FFFF)
"""Sorts behind every member."""

_TRIES, _TRIES_FOR_ONE = 3, 50
"""How often members are read anew because somebody placed one of them meanwhile."""

_LONGEST_BUCKET = 40
"""Characters of a member, without its number, that may name a bucket."""


class Recorder(Protocol):
    """A Change, or a pipeline behind `Pipe`: takes plain commands."""

    def record(self, *command: Any) -> None: ...


class Recording:
    """Commands kept for later."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []

    def record(self, *command: Any) -> None:
        self.commands.append(command)


class Pipe:
    """Lets a pipeline stand where a Change is expected."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def record(self, *command: Any) -> None:
        self.pipeline.execute_command(*command)


@dataclass(frozen=True)
class Entry:
    """Where a thing stands: its facets, a score for each way of sorting, and the words, by kind, that lead to it."""

    facets: Mapping[str, str]
    scores: Mapping[str, float]
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Word(NamedTuple):
    """A word of one kind, as it is found: `smith john`, and the member it leads to."""

    kind: str
    text: str
    member: str


@dataclass(frozen=True)
class Cursor:
    """A place between two rows: the page after it, or before it."""

    score: float
    member: str
    before: bool = False

    def __str__(self) -> str:
        return f"{'<' if self.before else '>'}{self.score:.0f}~{self.member}"

    @classmethod
    def parse(cls, text: str | None) -> Cursor | None:
        found = re.fullmatch(r"([<>])(-?\d{1,17})~([^\s]{1,200})", text or "")
        return cls(float(found[2]), found[3], found[1] == "<") if found else None


@dataclass(frozen=True)
class Slice:
    """One page of members, with their scores; `first` is the rank of the first (1 is the top), `total` counts all."""

    members: tuple[str, ...]
    scores: tuple[float, ...]
    first: int
    total: int
    previous: Cursor | None
    next: Cursor | None


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of things: `first` is the rank of the first row (0 when empty), `total` counts the whole list."""

    rows: list[T]
    first: int
    total: int
    previous: Cursor | None
    next: Cursor | None

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1 if self.rows else 0


class Index:
    """The cells of one area."""

    def __init__(
        self,
        area: str,
        *,
        patterns: Sequence[tuple[str, ...]],
        sorts: Sequence[str],
        domains: Mapping[str, Sequence[str]],
        lookups: Sequence[str] = (),
    ) -> None:
        """`domains`: all values of a facet, for those that a list may leave open. `lookups`: facets that a list asks
        for by value only, so that things without one need not stand in their cells.
        """
        self.area = area
        self.patterns = tuple(patterns)
        self.sorts = tuple(sorts)
        self.domains = domains
        self.lookups = frozenset(lookups)
        self.facets = tuple(dict.fromkeys(facet for pattern in patterns for facet in pattern))
        # Part of every seal: what was indexed before there was one of these cells counts as changed, and is written anew.
        self._layout = repr((self.patterns, self.sorts))

    # -- writing

    def put(self, to: Recorder, member: str, entry: Entry | None, known: str | None, *, force: bool = False) -> bool:
        """Record the commands that bring `member` from where it is `known` to stand (from `known_places`) to `entry`,
        or out of the index for None. Whether there was anything to do; `force` writes even what seems to stand.
        """
        if entry is None:
            if known is None:
                return False
            self._take_out(to, member, self._cells(self.facets_of(known)))
            to.record("HDEL", self._place_key(member), member)
            return True
        place = self._place(entry)
        if place == known and not force:
            return False
        cells = self._cells(entry.facets)
        if known is not None:
            self._take_out(to, member, self._cells(self.facets_of(known)) - cells)
        for cell in sorted(cells):
            for sort in self.sorts:
                to.record("ZADD", self.key(cell, sort), f"{entry.scores[sort]:.0f}", member)
        for kind, texts in entry.words.items():
            for text in texts:
                to.record("ZADD", keys.words(self.area, kind), "0", _word(text, member))
        to.record("HSET", self._place_key(member), member, place)
        return True

    def follow(
        self,
        client: Redis,
        members: Sequence[str],
        read: Callable[[Sequence[str]], Mapping[str, Entry | None]],
        *,
        force: bool = False,
    ) -> int:
        """Bring the index in step for these members with what `read` finds; whom it does not find is taken out. Three
        round trips and those of `read`. Gives how many changed.

        Where they stand is watched from before they are read: if somebody places one of them meanwhile, what was read is
        older than that, and is read anew instead of put over it. Neighbours share a hash, so on a busy book a large slice
        is cut in halves.
        """
        if not members:
            return 0
        for _ in range(_TRIES if len(members) > 1 else _TRIES_FOR_ONE):
            with client.pipeline(transaction=True) as pipe:
                pipe.watch(*{self._place_key(member) for member in members})
                try:
                    return self._write(client, pipe, dict.fromkeys(members) | dict(read(members)), force)
                except WatchError:
                    continue
        if len(members) == 1:
            return self.settle(client, dict.fromkeys(members) | dict(read(members)), force=force)
        half = len(members) // 2
        return sum(self.follow(client, part, read, force=force) for part in (members[:half], members[half:]))

    def settle(self, client: Redis, entries: Mapping[str, Entry | None], *, force: bool = False) -> int:
        """Bring the index in step for these members; None takes one out. Three round trips. Gives how many changed.
        For what nobody places but who finds it: others `follow`.
        """
        return self._write(client, client.pipeline(transaction=True), entries, force)

    def _write(self, client: Redis, pipe: Any, entries: Mapping[str, Entry | None], force: bool) -> int:
        """A key of the index that another tool broke is dropped, and begun anew with these. Raises WatchError where
        `pipe` watches and has to.
        """
        known = self.known_places(client, list(entries))
        written = Recording()
        changed = 0
        for member, entry in entries.items():
            changed += self.put(written, member, entry, known[member], force=force)
        if not written.commands:
            return 0
        lost = broken(client, written.commands)
        if pipe.watching:
            pipe.multi()
        if lost:
            pipe.unlink(*lost)
        for command in written.commands:
            pipe.execute_command(*command)
        pipe.execute()
        return changed

    def evict(self, client: Redis, members: Sequence[str], wanted: Wanted) -> None:
        """Take members out of the cells that a list was read from, where they have no business. One round trip."""
        pipe = client.pipeline(transaction=False)
        for name in {name for cell in self.plan(wanted) for name in cell}:
            for sort in self.sorts:
                pipe.zrem(self.key(name, sort), *members)
        pipe.execute()

    def known_places(self, client: Redis, members: Sequence[str]) -> dict[str, str | None]:
        """Where the index has these members, as `put` wants it. One round trip."""
        pipe = client.pipeline(transaction=False)
        for member in members:
            pipe.hget(self._place_key(member), member)
        return dict(zip(members, answered(pipe), strict=True))

    def key(self, cell: str, sort: str) -> str:
        return _key(self.area, cell, sort)

    def cell(self, **facets: str) -> str:
        """A cell's name from its facets, in the pattern's order."""
        return _cell_name(facets)

    def _take_out(self, to: Recorder, member: str, cells: Iterable[str]) -> None:
        for cell in sorted(cells):
            for sort in self.sorts:
                to.record("ZREM", self.key(cell, sort), member)

    def _cells(self, facets: Mapping[str, str]) -> set[str]:
        known = {facet: clean(facets.get(facet)) for facet in self.facets}
        asked = [p for p in self.patterns if all(known[facet] for facet in p if facet in self.lookups)]
        return {_cell_name({facet: known[facet] for facet in pattern}) for pattern in asked}

    def _place_key(self, member: str) -> str:
        # About a hundred neighbours share a small hash, which Redis keeps packed: a third of the memory of a large one.
        head, number = _tail_number(member)
        numbered = number is not None and len(head) <= _LONGEST_BUCKET
        return keys.indexed(self.area, f"{head}{number // 100}" if numbered else f"x{_crc(member) % 512}")

    def _place(self, entry: Entry) -> str:
        facets = "|".join(clean(entry.facets.get(facet, UNKNOWN)) for facet in self.facets)
        sealed = [self._layout, *(f"{entry.scores[sort]:.0f}" for sort in self.sorts)]
        sealed += [f"{kind}={text}" for kind, texts in entry.words.items() for text in texts]
        seal = _crc(",".join(sealed))
        return f"{facets}|{seal:x}"

    def facets_of(self, place: str) -> dict[str, str]:
        """The facets under which a member stands, from its place (`known_places`)."""
        return dict(zip(self.facets, place.split("|"), strict=False))

    # -- words

    def prefixed(self, client: Redis, asked: Sequence[tuple[str, str]], limit: int) -> list[list[Word]]:
        """For each (kind, text) the first `limit` words of this kind that begin so, in order. One round trip, and
        server time for `limit` words, whatever their number.
        """
        pipe = client.pipeline(transaction=False)
        for kind, text in asked:
            pipe.zrange(
                keys.words(self.area, kind), f"[{text}", f"[{text}{_LAST}", bylex=True, offset=0, num=limit
            )  # fmt: skip
        return [
            [_split_word(kind, each) for each in found] for (kind, _), found in zip(asked, pipe.execute(), strict=True)
        ]

    def begun(self, client: Redis, kind: str, text: str, size: int) -> Iterator[list[Word]]:
        """All words of this kind that begin so, in order, `size` at a time. One round trip for each."""
        start = f"[{text}"
        while True:
            found = client.zrange(
                keys.words(self.area, kind), start, f"[{text}{_LAST}", bylex=True, offset=0, num=size
            )  # fmt: skip
            if found:
                yield [_split_word(kind, each) for each in found]
            if len(found) < size:
                return
            start = f"({found[-1]}"

    def forget(self, to: Recorder, member: str, words: Mapping[str, Iterable[str]]) -> None:
        """Record that these words lead to the member no more."""
        for kind, texts in words.items():
            gone = [_word(text, member) for text in texts]
            if gone:
                to.record("ZREM", keys.words(self.area, kind), *gone)

    # -- reading

    def plan(self, wanted: Wanted) -> list[Cell]:
        """The cells to merge for a list restricted to `wanted`. Where no pattern has all its facets, two or more
        patterns' cells are intersected.
        """
        chosen: list[tuple[str, ...]] = []
        open_facets = set(wanted)
        while open_facets or not chosen:
            usable = [p for p in self.patterns if all(f in wanted or f in self.domains for f in p)]
            best = max(usable, key=lambda p: (len(open_facets & set(p)), -self._width(p, wanted)))
            if open_facets and not open_facets & set(best):
                raise LookupError(f"no pattern of {self.area} has {sorted(open_facets)}")
            chosen.append(best)
            open_facets -= set(best)
        facets = tuple(dict.fromkeys(facet for pattern in chosen for facet in pattern))
        values = [wanted[facet] if facet in wanted else self.domains[facet] for facet in facets]
        cells = []
        for combination in combinations(*values):
            named = dict(zip(facets, combination, strict=True))
            cells.append(tuple(_cell_name({facet: named[facet] for facet in pattern}) for pattern in chosen))
        return cells

    def _width(self, pattern: tuple[str, ...], wanted: Wanted) -> int:
        width = 1
        for facet in pattern:
            width *= len(wanted[facet]) if facet in wanted else len(self.domains[facet])
        return width

    def page(
        self,
        client: Redis,
        wanted: Wanted,
        sort: str,
        size: int,
        *,
        cursor: Cursor | None = None,
        descending: bool = False,
        low: float | None = None,
        high: float | None = None,
    ) -> Slice:
        """One page in one round trip: at most `size` members from each cell, and two counts for each. One more where
        the list has shrunk away from under the cursor, and some where many members share the cursor's score.
        """

        def read(at: Cursor | None) -> Slice:
            return self._read(client, wanted, sort, size, at, descending, low, high, _TIES)

        cursor = _clamped(cursor, low, high) if cursor else None
        found = read(cursor)
        if cursor and cursor.before and len(found.members) < size and found.total > len(found.members):
            return read(None)
        if cursor and not cursor.before and found.total and not found.members:
            # All that is left may be the cursor's own row, which is neither before nor behind it.
            found = read(replace(cursor, before=True))
            return found if found.members else read(None)
        return found

    def _read(
        self,
        client: Redis,
        wanted: Wanted,
        sort: str,
        size: int,
        cursor: Cursor | None,
        descending: bool,
        low: float | None,
        high: float | None,
        ties: int,
    ) -> Slice:
        floor, ceiling = _bound(low, "-inf"), _bound(high, "+inf")
        backwards = bool(cursor and cursor.before) != descending
        start, stop = (ceiling, floor) if backwards else (floor, ceiling)
        passed = "(-inf", "(-inf"
        if cursor:
            start = f"{cursor.score:.0f}"
            # Of the cursor's own score, those that the reading meets first are told apart by name in `_cut`.
            here = start if cursor.before else f"({start}"
            passed = (here, ceiling) if descending else (floor, here)
        cells = self.plan(wanted)
        pipe = client.pipeline(transaction=any(len(cell) > 1 for cell in cells))
        names, scratch = self._sources(pipe, cells, sort)
        num = size + 1 + ties
        for name in names:
            pipe.zrange(name, start, stop, byscore=True, desc=backwards, offset=0, num=num, withscores=True)
            pipe.zcount(name, floor, ceiling)
            pipe.zcount(name, *passed)
        if scratch:
            pipe.unlink(*scratch)
        answers = pipe.execute()[len(scratch) :][: 3 * len(names)]
        if cursor and any(len(row) == num and len(_beyond(row, cursor, backwards)) <= size for row in answers[0::3]):
            return self._read(client, wanted, sort, size, cursor, descending, low, high, ties * 8)
        merged = self._merge(answers[0::3], backwards)
        return self._cut(merged, size, sum(answers[1::3]), sum(answers[2::3]), cursor, descending)

    def things(
        self,
        client: Redis,
        wanted: Wanted,
        sort: str,
        size: int,
        *,
        load: Callable[[Sequence[str]], Mapping[str, T]],
        facets: Callable[[T], Mapping[str, str]],
        refresh: Callable[..., int],
        **where: Any,
    ) -> Page[T]:
        """One page of what the members stand for, read by `load`. Entries whose thing is gone, or is no longer what the
        list is restricted to, are taken out, brought in step, and the page is read again. `where` as `page` takes it.
        """
        for _ in range(3):
            found = self.page(client, wanted, sort, size, **where)
            loaded = load(found.members)
            stale = {member for member in found.members if not _belongs(loaded.get(member), facets, wanted)}
            if not stale:
                break
            self.evict(client, sorted(stale), wanted)
            refresh(client, sorted(stale), force=True)
        rows = [loaded[member] for member in found.members if member not in stale]
        return Page(rows, found.first, found.total, found.previous, found.next)

    def count(self, client: Redis, queries: Sequence[tuple[Wanted, str, float | None, float | None]]) -> list[int]:
        """How many there are for each (wanted, sort, low, high). One round trip for all; no intersections."""
        pipe = client.pipeline(transaction=False)
        widths = []
        for wanted, sort, low, high in queries:
            cells = self.plan(wanted)
            widths.append(len(cells))
            for (name,) in cells:
                pipe.zcount(self.key(name, sort), _bound(low, "-inf"), _bound(high, "+inf"))
        answers = iter(pipe.execute())
        return [sum(next(answers) for _ in range(width)) for width in widths]

    def _sources(self, pipe: Any, cells: Sequence[Cell], sort: str) -> tuple[list[str], list[str]]:
        """The sorted sets to read; intersections are made within the same MULTI and dropped at its end."""
        names, scratch = [], []
        for cell in cells:
            if len(cell) == 1:
                names.append(self.key(cell[0], sort))
                continue
            name = keys.scratch(uuid.uuid4().hex)
            pipe.zinterstore(name, [self.key(part, sort) for part in cell], aggregate="MIN")
            scratch.append(name)
            names.append(name)
        return names, scratch

    @staticmethod
    def _merge(rows: Sequence[Sequence[tuple[str, float]]], backwards: bool) -> list[tuple[str, float]]:
        ordered = [sorted(row, key=_order, reverse=backwards) for row in rows]
        return list(heapq.merge(*ordered, key=_order, reverse=backwards))

    @staticmethod
    def _cut(
        merged: list[tuple[str, float]], size: int, total: int, passed: int, cursor: Cursor | None, descending: bool
    ) -> Slice:
        """The page beyond the cursor. `passed` counts the rows above the cursor's score, those of that score among them
        when the page before it is read: of these, the ones from the cursor on are what the reading met first.
        """
        if cursor is None:
            rows, more = merged[:size], len(merged) > size
            return _slice(rows, 1, total, earlier=False, later=more)
        ahead = _beyond(merged, cursor, backwards=cursor.before != descending)
        rows, more = ahead[:size], len(ahead) > size
        met = sum(1 for row in merged if row[1] == cursor.score) - sum(1 for row in ahead if row[1] == cursor.score)
        if cursor.before:
            rows.reverse()
            return _slice(rows, passed - met - len(rows) + 1, total, earlier=more, later=passed - met < total)
        return _slice(rows, passed + met + 1, total, earlier=passed + met > 0, later=more)


def _belongs(thing: T | None, facets: Callable[[T], Mapping[str, str]], wanted: Wanted) -> bool:
    """Whether a thing read just now is what the list is restricted to, as far as it tells."""
    if thing is None:
        return False
    return all(clean(value) in wanted[facet] for facet, value in facets(thing).items() if facet in wanted)


def _slice(rows: list[tuple[str, float]], first: int, total: int, *, earlier: bool, later: bool) -> Slice:
    if not rows:
        return Slice((), (), 0, total, None, None)
    head, tail = rows[0], rows[-1]
    return Slice(
        members=tuple(member for member, _ in rows),
        scores=tuple(score for _, score in rows),
        first=first,
        total=total,
        previous=Cursor(head[1], head[0], before=True) if earlier else None,
        next=Cursor(tail[1], tail[0]) if later else None,
    )


def clean(value: str | None) -> str:
    """A facet's value as it can stand in a cell's name: itself, or UNKNOWN."""
    return value if value and keys.is_identifier(value) and "=" not in value else UNKNOWN


def number_score(number: str) -> float:
    """Sorts numbers as people do; what is no number comes after all that are."""
    digits = re.sub(r"\D", "", number)
    return float(digits) if digits and len(digits) < 13 else 10_000_000_000_000 + _crc(number)


def _word(text: str, member: str) -> str:
    return f"{text}\0{member}"


def _split_word(kind: str, stored: str) -> Word:
    text, _, member = stored.rpartition("\0")
    return Word(kind, text, member)


@lru_cache(maxsize=4_096)
def _key(area: str, cell: str, sort: str) -> str:
    return keys.index(area, cell, sort)


def _cell_name(facets: Mapping[str, str]) -> str:
    return ",".join(f"{facet}={clean(value)}" for facet, value in facets.items()) or "all"


def _order(row: tuple[str, float]) -> tuple[float, str]:
    return row[1], row[0]


def _beyond(rows: Sequence[tuple[str, float]], cursor: Cursor, backwards: bool) -> list[tuple[str, float]]:
    """Those of these rows that the reading meets after the cursor's place."""
    here = (cursor.score, cursor.member)
    return [row for row in rows if (_order(row) < here if backwards else _order(row) > here)]


def _clamped(cursor: Cursor, low: float | None, high: float | None) -> Cursor:
    """A cursor may be older than the window it pages in."""
    if low is not None and cursor.score < low:
        return replace(cursor, score=low, member="")
    if high is not None and cursor.score > high:
        return replace(cursor, score=high, member=_LAST)
    return cursor


def _bound(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:.0f}"


def _crc(text: str) -> int:
    return zlib.crc32(text.encode(errors="surrogateescape"))


def _tail_number(member: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(.*?)(\d{1,12})", member)
    return (found[1].replace(":", "."), int(found[2])) if found else (member, None)
