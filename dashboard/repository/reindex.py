"""Making the indexes anew from the truth, by a slow SCAN in slices.

The live follower does it to find what it was not told of; `manage.py reindex` does it thoroughly. It can be stopped at
any slice and begun again: each step is right by itself, whatever others do meanwhile.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from redis import Redis

from dashboard import keys
from dashboard.repository import areas, audit, groups, holds, metrics, places, policies
from dashboard.repository.areas import AREAS
from dashboard.repository.index import Index

SLICE = 1_000
"""Keys looked at in one go."""

SHARE = 4
"""A reconciliation that rests, rests so many times as long as it works: a fifth of one processor, at any size."""

Report = Callable[[int, int], None]
"""Is told how many keys were looked at, and how many there are about."""


@dataclass
class Outcome:
    """What was done: things looked at, index entries written or removed, and whether it came to the end."""

    things: int = 0
    written: int = 0
    removed: int = 0
    finished: bool = False


def reconcile(
    client: Redis,
    *,
    pause: float = 0.0,
    progress: Report | None = None,
    stop: Callable[[], bool] | None = None,
    thorough: bool = False,
) -> Outcome:
    """Bring every index in step with what is stored, resting at least `pause` seconds after each slice.

    `thorough` also writes anew what seems to stand, and looks at each cell for what has no business there: for when
    part of the index itself was lost. Without, it costs about a round trip for each hundred keys.
    """
    work = _Reconciliation(client, thorough)
    total, seen, cursor = client.dbsize(), 0, 0
    while not (stop and stop()):
        began = time.monotonic()
        cursor, names = client.scan(cursor, count=SLICE)
        work.look_at(names)  # type: ignore[arg-type]
        seen += len(names)
        if progress:
            progress(seen, max(seen, total))
        if cursor == 0:
            work.finish(pause=pause, stop=stop)
            work.outcome.finished = True
            break
        if pause:
            time.sleep(max(pause, SHARE * (time.monotonic() - began)))
    return work.outcome


def raise_sequence(client: Redis, thing: str, number: int) -> None:
    """See that the next number given to a `thing` (as store.next_number names it) is beyond `number`. Never lowers."""
    raise_sequences(client, {thing: number})


def raise_sequences(client: Redis, numbers: Mapping[str, int]) -> None:
    """One round trip where nothing is to be raised. Watched: a number given out meanwhile is not given again."""
    names = {keys.sequence(thing): number for thing, number in numbers.items()}
    if not names:
        return

    def action(pipe: Redis) -> None:
        given = dict(zip(names, pipe.mget(list(names)), strict=True))
        pipe.multi()  # type: ignore[attr-defined]
        for name, number in names.items():
            if number > int(given[name] or 0):
                pipe.set(name, number)

    client.transaction(action, *names)


class _Reconciliation:
    def __init__(self, client: Redis, thorough: bool) -> None:
        self._client = client
        self._thorough = thorough
        self._highest: dict[str, int] = {}
        self._spots: set[str] = set()
        self.outcome = Outcome()

    def look_at(self, names: Sequence[str]) -> None:
        """One slice of the key space: about six round trips for each area that has keys in it."""
        parsed = [(name, found) for name in names if (found := keys.parse(name))]
        self._follow_things(found for _, found in parsed)
        self._follow_records(parsed)
        self._follow_metrics(found for _, found in parsed)
        self._follow_places([name for name, found in parsed if found.family is keys.indexed])
        if self._thorough:
            self._follow_cells([(name, found.parts) for name, found in parsed if found.family is keys.index])
            self._follow_history([name for name, found in parsed if found.family in (keys.history, keys.audit_list)])
            self._follow_words([(name, found.parts) for name, found in parsed if found.family is keys.words])

    def finish(self, *, pause: float, stop: Callable[[], bool] | None) -> None:
        """What can be told only once everything was looked at: places compare their lists with all policies, and large
        groups are added up.
        """
        met = self._spots.union(places.all_of(self._client))
        self.outcome.written += areas.refresh(self._client, "places", sorted(met))
        groups.tally(self._client, pause=pause, stop=stop)
        holds.enforce(self._client)

    # -- from the truth to the index

    def _follow_things(self, found: Iterable[keys.Parsed]) -> None:
        """A thing is refreshed when its anchor comes by; for the sake of its other keys only if nobody knows it yet."""
        anchored: dict[str, set[str]] = defaultdict(set)
        others: dict[str, set[str]] = defaultdict(set)
        for parsed in found:
            name = parsed.family.area
            area = AREAS.get(name)
            if area and parsed.subject and "stamp" not in parsed.parts:
                (anchored if area.is_anchor(parsed) else others)[name].add(parsed.subject)
        for name, area in AREAS.items():
            loose = sorted(others[name] - anchored[name])
            unknown = [member for member, place in _places(self._client, area.index, loose) if place is None]
            self._refresh(name, [*sorted(anchored[name]), *unknown])
            self._count(area, anchored[name] | others[name])

    def _refresh(self, name: str, members: Sequence[str]) -> None:
        self.outcome.things += len(members)
        self.outcome.written += areas.refresh(self._client, name, members, force=self._thorough)
        if name == "policies" and members:
            self._follow_policies(members)

    def _follow_policies(self, members: Sequence[str]) -> None:
        """Whom and where these policies name, though nothing is stored of it and nobody knows it yet. Four round trips."""
        owners = _places(self._client, AREAS["customers"].index, policies.owners(self._client, members))
        self._refresh("customers", [customer for customer, place in owners if place is None])
        self._spots.update(places.of_policies(self._client, members))

    def _count(self, area: areas.Area, members: Iterable[str]) -> None:
        """Raise the sequences to the highest numbers met."""
        raised: dict[str, int] = {}
        for thing, number in filter(None, map(area.number, members)):
            if number > self._highest.get(thing, 0):
                self._highest[thing] = raised[thing] = number
        raise_sequences(self._client, raised)

    def _follow_records(self, parsed: Iterable[tuple[str, keys.Parsed]]) -> None:
        """Audit records that no history lists yet."""
        records = [(name, found) for name, found in parsed if found.family in audit.FAMILIES]
        for (name, found), listed in zip(records, audit.is_listed(self._client, records), strict=True):
            if not listed or self._thorough:
                audit.note(self._client, name, found, anew=self._thorough)
                self.outcome.written += not listed

    def _follow_metrics(self, found: Iterable[keys.Parsed]) -> None:
        figures = [parsed for parsed in found if parsed.family in keys.AGENT_METRICS]
        if figures:
            metrics.note_agents(self._client, figures)

    # -- from the index to the truth

    def _follow_places(self, names: Sequence[str]) -> None:
        """Things the index knows whose anchor is gone: refreshing takes them out, or sees that they live without."""
        members: dict[str, list[str]] = defaultdict(list)
        for name, hashed in zip(names, _read(self._client, "hkeys", names), strict=True):
            members[name.split(":")[2]] += hashed
        for name, known in members.items():
            if name not in AREAS:
                continue
            for part in _slices(known, areas.MEMBERS):
                loose = self._without_anchor(AREAS[name], part)
                if loose:
                    self.outcome.removed += areas.refresh(self._client, name, loose)
                if loose and self._thorough:
                    self._refresh(name, loose)

    def _without_anchor(self, area: areas.Area, members: Sequence[str]) -> list[str]:
        pipe = self._client.pipeline(transaction=False)
        for member in members:
            pipe.exists(*area.anchor_keys(member))
        return [member for member, there in zip(members, pipe.execute(), strict=True) if not there]

    def _follow_cells(self, cells: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Members of a cell that the index has elsewhere, or nowhere."""
        for name, parts in cells:
            area = AREAS.get(parts["area"])
            facets = _facets_of_cell(area.index, parts["cell"], parts["sort"]) if area else None
            if area is None or facets is None:
                self._client.unlink(name)
                continue
            for part in _slices(_members(self._client, name), SLICE):
                places = _places(self._client, area.index, part)
                strays = [member for member, place in places if not _stands_in(area.index, facets, place)]
                if strays:
                    self.outcome.removed += self._client.zrem(name, *strays)

    def _follow_words(self, found: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Words that lead to a thing no more: it is gone, or called something else."""
        for name, parts in found:
            area = AREAS.get(parts["area"])
            if area is None:
                self._client.unlink(name)
                continue
            for part in _slices(_members(self._client, name), areas.MEMBERS):
                leads = [(word, *word.rpartition("\0")[::2]) for word in part]
                now = area.words(self._client, list(dict.fromkeys(member for _, _, member in leads)))
                strays = [w for w, text, m in leads if text not in now.get(m, {}).get(parts["words"], ())]
                if strays:
                    self.outcome.removed += self._client.zrem(name, *strays)

    def _follow_history(self, names: Sequence[str]) -> None:
        """Records that have ended."""
        for name in names:
            for part in _slices(_members(self._client, name), SLICE):
                there = _read(self._client, "exists", part)
                gone = [record for record, exists in zip(part, there, strict=True) if not exists]
                if gone:
                    self.outcome.removed += self._client.zrem(name, *gone)


def _places(client: Redis, index: Index, members: Sequence[str]) -> list[tuple[str, str | None]]:
    return list(index.known_places(client, members).items()) if members else []


def _facets_of_cell(index: Index, cell: str, sort: str) -> dict[str, str] | None:
    """What the members of this cell have in common; None when the index has no such cells (any more)."""
    facets = dict(part.partition("=")[::2] for part in cell.split(",")) if cell != "all" else {}
    if sort not in index.sorts or tuple(facets) not in index.patterns:
        return None
    return facets if all(facets[facet] for facet in facets if facet in index.lookups) else None


def _stands_in(index: Index, facets: Mapping[str, str], place: str | None) -> bool:
    if place is None:
        return False
    actual = index.facets_of(place)
    return all(actual.get(facet) == value for facet, value in facets.items())


def _members(client: Redis, name: str) -> Iterator[str]:
    return (member for member, _ in client.zscan_iter(name, count=SLICE))


def _read(client: Redis, command: str, names: Sequence[str]) -> list[Any]:
    """The same command for each key. One round trip, none for no keys."""
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.execute_command(command, name)
    return pipe.execute() if names else []


def _slices(items: Iterable[str], size: int) -> Iterator[list[str]]:
    source = iter(items)
    while part := list(islice(source, size)):
        yield part
