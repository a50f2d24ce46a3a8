"""What is kept how long: each family of records that is kept for its own sake, how many there are, and which ends next."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit, chain, claims, holds, lapsed, reviews
from dashboard.repository.index import NEVER
from dashboard.repository.values import answered


@dataclass(frozen=True)
class Row:
    """One family of records. `lives`: seconds, shortest and longest, None for good; `next_key`, `next_end`: which ends
    next, and when (Unix ms); `ours`: whether the family is an addition to the customer's document.
    """

    name: str
    pattern: str
    meaning: str
    lives: tuple[int, int] | None
    count: int
    next_key: str = ""
    next_end: int | None = None
    kind: str = ""

    @property
    def kept(self) -> str:
        """`90 days`, `3 minutes to 6 hours`."""
        told = [_span(seconds) for seconds in self.lives or ()]
        return " to ".join(dict.fromkeys(told))

    @property
    def lifetime(self) -> int:
        """ms, for a countdown."""
        return (self.lives[1] if self.lives else 0) * clock.SECOND


def table(client: Redis) -> list[Row]:
    """Every family. Twelve round trips, whatever the number of records."""
    totals, ending = audit.totals(client), audit.oldest(client)
    rows = []
    for kind, family in audit.KINDS.items():
        found = ending[kind]
        rows.append(_row(kind, family, totals[kind], found, kind=kind))
    waiting = _first(client, reviews.INDEX.key(reviews.INDEX.cell(stage="pending"), "deadline"))
    tallied = reviews.counts(client)
    rows.append(_row("review", keys.compliance_review, tallied.pending, waiting))
    rows.append(_row("past review", keys.review_snapshot, tallied.lapsed + tallied.decided, None))
    rows.append(_row("ended quote", keys.quote_snapshot, *_ended_quotes(client)))
    claim = _first(client, claims.INDEX.key("all", "deadline"))
    open_claims = client.zcount(claims.INDEX.key("all", "deadline"), 0, clock.now_ms() + 3 * keys.YEAR * clock.SECOND)
    rows.append(_row("undecided claim", keys.claim_temp, int(open_claims), claim))
    rows.append(_row("link of the chain", keys.chain, chain.head(client).links, None))
    rows.append(_row("legal hold", keys.hold, sum(holds.totals(client).values()), None))
    return rows


def _row(name: str, family: keys.Family, count: int, ending: tuple[str, int] | None, *, kind: str = "") -> Row:
    key, end = ending or ("", None)
    return Row(name, family.pattern, family.meaning, family.lives, count, key, end, kind)


def _first(client: Redis, listed: str) -> tuple[str, int] | None:
    """The first of a list by deadline, if it has one. One round trip."""
    (found,) = answered(client.pipeline(transaction=False).zrange(listed, 0, 0, withscores=True))
    if not found or found[0][1] > NEVER / 2:
        return None
    return found[0][0], int(found[0][1])


def _ended_quotes(client: Redis) -> tuple[int, tuple[str, int] | None]:
    """How many ended quotes are kept, and which of them ends first. Two round trips."""
    listed = lapsed.INDEX.key("all", "ended")
    pipe = client.pipeline(transaction=False)
    count, first = answered(pipe.zcard(listed).zrange(listed, 0, 0))
    named = keys.numbered(first or [])
    if not named:
        return count or 0, None
    member, product, number = named[0]
    (end,) = answered(client.pipeline(transaction=False).pexpiretime(keys.quote_snapshot(product, number)))
    return count or 0, (member, end) if end and end > 0 else None


_UNITS = ((keys.YEAR, "year"), (keys.DAY, "day"), (keys.HOUR, "hour"), (keys.MINUTE, "minute"))


def _span(seconds: int) -> str:
    """31536000 -> 1 year. What is less than a thousandth of the whole is left out."""
    size, unit = next(each for each in _UNITS if seconds >= each[0])
    count, rest = divmod(seconds, size)
    more = "" if rest * 50 < seconds else f" {rest // keys.DAY} days" if unit == "year" else ""
    return f"{count} {unit}{'' if count == 1 else 's'}{more}"
