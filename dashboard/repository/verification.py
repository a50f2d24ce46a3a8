"""Looking at the whole chain of audit records when somebody asks for it, behind the pages, by the process that holds the
lease; what was found is kept for a year.

    dash:verification   hash   run   {"by": "ADM001", "asked": ms, "beat": ms, "done": 500, "total": 1200}
                               last  {"by": "ADM001", "ended": ms, "links": 1200, ...}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.repository import chain
from dashboard.repository.store import Change, change
from dashboard.repository.values import answered

AREA = "compliance"
SILENT = 15 * clock.SECOND
"""ms without a word after which a run is taken to have ended with its process; the next one begins it anew."""
KEPT = keys.YEAR * clock.SECOND
_EVERY = 300
"""ms between two words of a run on how far it is."""


@dataclass(frozen=True)
class Run:
    """A look that was asked for, or is under way. Moments in Unix ms; `beat` 0 while nobody has begun."""

    by: str = ""
    asked: int = 0
    beat: int = 0
    done: int = 0
    total: int = 0

    @property
    def is_lost(self) -> bool:
        return bool(self.beat) and clock.now_ms() - self.beat > SILENT

    @property
    def is_due(self) -> bool:
        return not self.beat or self.is_lost


@dataclass(frozen=True)
class Result:
    """What the latest look found; `number`, `key`, `what`: the first link that does not hold, 0 and "" for none.
    `late`: records that were in no link, and were sealed as they were found.
    """

    by: str = ""
    ended: int = 0
    links: int = 0
    standing: int = 0
    over: int = 0
    breaks: int = 0
    late: int = 0
    number: int = 0
    key: str = ""
    what: str = ""

    @property
    def holds(self) -> bool:
        return not self.breaks


def standing(client: Redis) -> tuple[Run | None, Result | None]:
    """What is under way, and what the latest look found. One round trip."""
    (found,) = answered(client.pipeline(transaction=False).hmget(keys.verification(), ["run", "last"]))
    run, last = found or (None, None)
    return _told(Run, run), _told(Result, last)


def ask(*, by: str, token: str | None = None) -> None:
    """Have the chain looked at. Raises Conflict where that is under way."""

    def action(draft: Change) -> None:
        draft.watch(keys.verification())
        run, _ = standing(draft.client)
        if run and not run.is_lost:
            raise Conflict(f"It is under way already: {run.by} asked for it.")
        _write(draft, "run", Run(by=by, asked=clock.now_ms()))

    change(action, token=token)


def keep(verdict: chain.Verdict, *, by: str, late: int = 0) -> None:
    """Keep what a look found, and that none is under way."""
    first = verdict.first
    found = Result(
        by=by, ended=clock.now_ms(), links=verdict.links, standing=verdict.standing, over=verdict.ended,
        breaks=verdict.breaks, late=late, number=first.number if first else 0, key=first.key if first else "",
        what=first.what if first else "",
    )  # fmt: skip

    def action(draft: Change) -> None:
        _write(draft, "last", found)
        draft.record("HDEL", keys.verification(), "run")

    change(action)


def run_if_asked(
    client: Redis,
    *,
    anchors: Callable[[], Mapping[int, str]] = dict,
    anchor: Callable[[chain.Head], None] = lambda head: None,
    holding: Callable[[], bool] = lambda: True,
) -> chain.Verdict | None:
    """Look at the chain if somebody asked for it, or who began it fell silent. `holding`: whether the lease is ours; the
    run ends where it is not, and the next holder begins it anew. One round trip where nobody asked.
    """
    run, _ = standing(client)
    if run is None or not run.is_due:
        return None
    beat = _Beat(client, run, holding)
    try:
        beat.say(0, 0)
        late = chain.catch_up(client, said=lambda: beat.say(0, 0))
        known, head = anchors(), chain.head(client)
        verdict = chain.verify(client, anchors=known, progress=beat.say)
    except _LeaseLost:
        return None
    keep(verdict, by=run.by, late=late)
    if verdict.holds:
        anchor(head)
    return verdict


class _LeaseLost(Exception):
    pass


class _Beat:
    """Tells how far a run is, now and then."""

    def __init__(self, client: Redis, run: Run, holding: Callable[[], bool]) -> None:
        self._client, self._run, self._holding = client, run, holding
        self._said = 0

    def say(self, done: int, total: int) -> None:
        if not self._holding():
            raise _LeaseLost
        now = clock.now_ms()
        if now - self._said < _EVERY:
            return
        self._said = now
        run = Run(by=self._run.by, asked=self._run.asked, beat=now, done=done, total=total)
        change(lambda draft: _write(draft, "run", run))


def _write(draft: Change, name: str, what: Run | Result) -> None:
    if draft.client.type(keys.verification()) not in ("none", "hash"):
        draft.delete(keys.verification())
    draft.record("HSET", keys.verification(), name, json.dumps(asdict(what)))
    draft.expire_at(clock.now_ms() + KEPT, keys.verification())
    draft.event(AREA)


def _told(kind: type[Any], text: str | None) -> Any:
    """What was kept; None where there is none, or another tool wrote there."""
    try:
        found = json.loads(text or "")
        known = {each.name: type(each.default) for each in fields(kind)}
        return kind(**{name: known[name](value) for name, value in found.items() if name in known})
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
