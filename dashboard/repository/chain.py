"""The chain over the audit records: what others remove, alter or let end too early does not go unnoticed.

Each record stands in a queue from the moment it is written. Behind the writers, in order and within about a second, one
process seals what waits there: a link holds the record's key, a digest of its value, and when it may end, and is itself
a digest of all that and of the link before it, made with the site's own key, which the store does not know. So a link
cannot be altered, left out or made up by whoever can write to the store alone; that the chain's end is missing is told
by the anchors, which are kept with the accounts.

    dash:chain:000000   list   ["audit:policy:...", "<digest>", 1787043600000, "<link>"]   a thousand in each
    dash:chain-head     hash   links 1234, last <link>

Other tools write a payment and give it its end in two commands (the document, lines 303-304). One that has none yet when
it is sealed is to stand as long as its family does, counted from then.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from django.conf import settings
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.repository import audit, holds
from dashboard.repository.store import Change, change
from dashboard.repository.values import answered

SLICE = 500
"""Links that are sealed, or verified, in one go."""
IN_BUCKET = 1_000
_FIRST = ""
_MOST_GAPS = 100
"""Buckets without any link, one after the other, behind which no more are looked for: a head that was made up may say
that there are any number.
"""


class Link(NamedTuple):
    """One link, the how manieth it is (from 0): `ends` Unix ms, 0 for never."""

    number: int
    key: str
    digest: str
    ends: int
    link: str


@dataclass(frozen=True)
class Head:
    """How many links there are, and the last one's digest."""

    links: int
    last: str


@dataclass(frozen=True)
class Break:
    """Where the chain does not hold: the number of the link (from 1), the record's key, and what is wrong, in words."""

    number: int
    key: str
    what: str


@dataclass
class Verdict:
    """What a look at the whole chain found. `ended`: records whose time was over. `waiting`: not sealed yet."""

    links: int = 0
    standing: int = 0
    ended: int = 0
    waiting: int = 0
    breaks: int = 0
    first: Break | None = None
    heads: dict[int, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return self.first is None

    def broken(self, found: Break) -> None:
        self.breaks += 1
        if self.first is None or found.number < self.first.number:
            self.first = found


# -- sealing


def seal(client: Redis, *, most: int = SLICE) -> int:
    """Seal what waits, up to `most` records, in order. Gives how many. One round trip where nothing waits, else eight.
    Two processes that seal at once: the head is watched, and the second begins anew. Raises Conflict where the chain was
    broken so that it cannot be gone on with: records go on waiting.
    """
    if not waiting(client):
        return 0

    def action(draft: Change) -> int:
        draft.watch(keys.chain_head())
        draft.require("hash", [keys.chain_head()])
        names = draft.client.lrange(keys.chain_queue(), 0, most - 1)
        at = _goes_on_at(draft.client)
        draft.require("list", sorted({_bucket(at.links), _bucket(at.links + len(names))}))
        last = at.last
        found = list(_as_they_are(draft.client, names))
        # What a legal hold keeps from ending is sealed with its own end, which it gets again.
        own = holds.deadlines(draft.client, [name for name, _, ends in found if not ends])
        links: dict[str, list[str]] = {}
        for number, (name, digest, now) in enumerate(found, at.links):
            ends = now or own.get(name, 0) or _due(name, digest)
            last = _link(_key(), last, number, name, digest, ends)
            told = json.dumps([name, digest, ends, last], separators=(",", ":"))
            links.setdefault(_bucket(number), []).append(told)
        for bucket, told_there in links.items():
            draft.record("RPUSH", bucket, *told_there)
        draft.record("HSET", keys.chain_head(), "links", str(at.links + len(names)), "last", last)
        draft.record("LTRIM", keys.chain_queue(), len(names), -1)
        return len(names)

    return change(action)


def _due(name: str, digest: str) -> int:
    """When a record without end may end at the earliest, in Unix ms; 0 for what is gone, or is of no family."""
    parsed = keys.parse(name)
    return clock.now_ms() + parsed.family.lives[0] * clock.SECOND if digest and parsed and parsed.family.lives else 0


def head(client: Redis) -> Head:
    """One round trip. A head that cannot be read is the beginning: `verify` says so."""
    (found,) = answered(client.pipeline(transaction=False).hgetall(keys.chain_head()))
    links = (found or {}).get("links", "")
    if not (links.isascii() and links.isdecimal() and len(links) < 16):
        return Head(0, _FIRST)
    return Head(int(links), found.get("last", _FIRST))


def _goes_on_at(client: Redis) -> Head:
    """The head. Raises Conflict where it is lost and there are links. Two round trips."""
    begun = client.exists(_bucket(0))  # before the head, which whoever begins the chain at this moment writes with it
    at = head(client)
    if begun and not at.links:
        raise Conflict("The chain has links, and its head is gone or cannot be read: nobody knows where it goes on.")
    return at


def waiting(client: Redis) -> int:
    """How many records are not sealed yet. One round trip. A queue of another type has none: the next record's writing
    drops it, and `unsealed` finds those that stood there.
    """
    return answered(client.pipeline(transaction=False).llen(keys.chain_queue()))[0] or 0


# -- verifying


def verify(
    client: Redis,
    *,
    anchors: Mapping[int, str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Look at every link and at every record that should be there. Two round trips for each SLICE of links.

    `anchors`: number of links -> the last link then, as it was known elsewhere.
    """
    at = head(client)
    verdict = Verdict(links=at.links, waiting=waiting(client))
    last, number = _FIRST, 0
    for links in _slices(_links(client, at.links), SLICE):
        for link in links:
            if link.number != number:
                verdict.broken(Break(number + 1, "", f"{link.number - number} links are missing from the chain"))
                number, last = link.number, _before(client, link.number)
            if not _holds(link, last):
                verdict.broken(Break(link.number + 1, link.key, "the link was altered, or one before it left out"))
            last, number = link.link, number + 1
            if anchors and anchors.get(number, last) != last:
                verdict.broken(Break(number, link.key, "the chain up to here is another than it was"))
        _look_at_records(client, links, verdict)
        progress(number, at.links)
    if number != at.links or last != at.last:
        verdict.broken(Break(number + 1, "", f"the chain has {number} links where its head says {at.links}"))
    known = max(anchors or (0,))
    if known > number:
        verdict.broken(Break(number + 1, "", f"the chain ends at {number} links, and had {known}"))
    return verdict


def _look_at_records(client: Redis, links: Sequence[Link], verdict: Verdict) -> None:
    """Whether each record is there, says what it said, and will live as long, or is held beyond that. One round trip,
    two where the time of some was over.
    """
    now = clock.now_ms()
    over = {link.key for link in links if link.ends and link.ends <= now}
    held = holds.held(client, sorted(over))
    live = [link for link in links if link.key not in over or link.key in held]
    verdict.ended += len(links) - len(live)
    for link, (_, digest, ends) in zip(live, _as_they_are(client, [link.key for link in live]), strict=True):
        what = _what_befell(link, digest, ends)
        if what and _should_stand(client, link):
            verdict.broken(Break(link.number + 1, link.key, what))
        else:
            verdict.standing += 1


def _should_stand(client: Redis, link: Link) -> bool:
    """Whether it should be there at this moment: time goes on, and holds are released, while the chain is looked at."""
    return not link.ends or link.ends > clock.now_ms() or bool(holds.held(client, [link.key]))


def _what_befell(link: Link, digest: str, ends: int) -> str:
    if not link.digest:
        return "the record was gone before it was sealed"
    if not digest:
        return "the record was removed"
    if digest != link.digest:
        return f"the record was altered{_or_written_over(link.key)}"
    if ends and (not link.ends or ends < link.ends):
        return "the record ends earlier than it should"
    return ""


def _or_written_over(key: str) -> str:
    """Other tools have one key a day (the document, lines 297-300): the day's second record takes the place of the first.
    That is a loss like any, and who reads of it should know how it may have come about.
    """
    parsed = keys.parse(key)
    stamp = parsed.parts.get("stamp", "T") if parsed else "T"
    return "" if "T" in stamp else ", or another tool wrote the day's next one over it"


def unsealed(client: Redis) -> list[str]:
    """Audit keys that are in no link and not in the queue: it was lost, or they were written while nobody listened.
    One SCAN, beside everybody's work; holds a number for each link in memory.
    """
    sealed = {hash(link.key) for link in _links(client, head(client).links)}
    (queued,) = answered(client.pipeline(transaction=False).lrange(keys.chain_queue(), 0, -1))
    sealed |= {hash(name) for name in queued or ()}
    found = client.scan_iter(match=f"{keys.AUDIT}*", count=SLICE)
    return [name for name in found if hash(name) not in sealed and audit.kind_of(name)]


def catch_up(client: Redis, *, said: Callable[[], None] = lambda: None) -> int:
    """Seal all that waits, and what no queue knew, as it is. Gives how many of the latter were sealed. Where the chain
    cannot be gone on with, what is wrong with it is for `verify` to name.
    """
    try:
        _goes_on_at(client)
        _seal_all(client, said)
        late = unsealed(client)
        for start in range(0, len(late), SLICE):  # all of them in one command would make everybody wait
            part = late[start : start + SLICE]
            change(lambda draft, part=part: draft.record("RPUSH", keys.chain_queue(), *part))  # type: ignore[misc]
            _seal_all(client, said)
    except Conflict:
        return 0
    return len(late)


def _seal_all(client: Redis, said: Callable[[], None]) -> None:
    while seal(client):
        said()


# -- links


def _links(client: Redis, count: int) -> Iterator[Link]:
    """All links in order; what is not one of ours is passed over, and so missing."""
    gaps = 0
    for bucket in range(0, max(count, 1), IN_BUCKET):
        (rows,) = answered(client.pipeline(transaction=False).lrange(_bucket(bucket), 0, -1))
        gaps = 0 if rows else gaps + 1
        if gaps > _MOST_GAPS:
            return
        for offset, raw in enumerate(rows or ()):
            link = _parsed(bucket + offset, raw)
            if link:
                yield link


def _parsed(number: int, raw: str) -> Link | None:
    try:
        key, digest, ends, link = json.loads(raw)
        str(key).encode(errors="surrogateescape")  # no key is called by what has no bytes
        return Link(number, str(key), str(digest), int(ends), str(link))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def _before(client: Redis, number: int) -> str:
    """The link before this one, as it stands."""
    if not number:
        return _FIRST
    (raw,) = answered(client.pipeline(transaction=False).lindex(_bucket(number - 1), (number - 1) % IN_BUCKET))
    link = _parsed(number - 1, raw) if raw else None
    return link.link if link else _FIRST


def _holds(link: Link, last: str) -> bool:
    made = (_link(key, last, link.number, link.key, link.digest, link.ends) for key in _keys())
    return any(hmac.compare_digest(each.encode(), link.link.encode(errors="replace")) for each in made)


def _link(key: bytes, last: str, number: int, name: str, digest: str, ends: int) -> str:
    content = json.dumps([last, number, name, digest, ends]).encode()
    return hmac.new(key, content, hashlib.sha256).hexdigest()[:32]


def _as_they_are(client: Redis, names: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Name, digest of the value ("" for none) and end (Unix ms, 0 for never) of each. One round trip."""
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.get(name)
        pipe.pexpiretime(name)
    answers = pipe.execute(raise_on_error=False) if names else []
    for name, value, end in zip(names, answers[0::2], answers[1::2], strict=True):
        for answer in (value, end):
            if isinstance(answer, Exception) and "WRONGTYPE" not in str(answer):
                raise answer
        yield name, _digest(value), max(int(end), 0)


def _digest(value: Any) -> str:
    if value is None:
        return ""
    content = b"of another type" if isinstance(value, Exception) else value.encode(errors="surrogateescape")
    return hashlib.sha256(content).hexdigest()[:32]


def _bucket(number: int) -> str:
    return keys.chain(f"{number // IN_BUCKET:06d}")


def _key() -> bytes:
    return _keys()[0]


def _keys() -> list[bytes]:
    """The site's key, then those it had before."""
    return [each.encode() for each in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def _slices(links: Iterator[Link], size: int) -> Iterator[list[Link]]:
    while part := list(islice(links, size)):
        yield part
