"""One key as the server has it: type, lifetime, memory, encoding, value; and a digest of all that, by which a change is
done to exactly what was seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from dashboard import keys
from dashboard.errors import NotFound
from dashboard.keys import Parsed
from dashboard.repository import families
from dashboard.repository.values import readable

LONGEST_NAME = 1_024
"""Bytes of a name that is asked for."""
SHOWN = 2_000
"""Bytes of a value that are shown."""
ELEMENT = 300
"""Characters of an element that are shown."""
PAGE = 50
"""Elements on a page."""
WHOLE = 65_536
"""Bytes of memory up to which a value's digest is made of all of it."""

GONE = "none"


@dataclass(frozen=True)
class Elements:
    """A page of a hash, set, sorted set or list: (field, value or score, or "" where it has none). `next`: where the next
    page goes on, None after the last.
    """

    rows: tuple[tuple[str, str], ...]
    next: int | None


@dataclass(frozen=True)
class OneKey:
    """`deadline` in Unix ms (None: it stays), `memory` in bytes, `size` in bytes of a string or elements of others.
    `text`: a string's value as it may be shown, cut and made visible; `secret`: it may not be.
    """

    name: str
    parsed: Parsed | None
    type: str
    deadline: int | None
    memory: int
    encoding: str
    size: int
    text: str | None
    cut: bool
    elements: Elements | None
    secret: bool

    @property
    def shown(self) -> str:
        """Its name as it may be shown."""
        return shown(self.name)

    @property
    def family(self) -> str:
        return families.name_of(self.parsed)

    @property
    def lifetime(self) -> int:
        """ms that its family lives at most, for a countdown; 0 where it is not known."""
        return self.parsed.family.lives[1] * 1_000 if self.parsed and self.parsed.family.lives else 0


def shown(name: str) -> str:
    """A key's name as it may be shown: secrets masked, odd bytes made visible, cut."""
    text = families.masked(readable(name))
    return text if len(text) <= ELEMENT else text[:ELEMENT] + "…"


# -- reading


def look(client: Redis, name: str, *, at: int = 0) -> OneKey:
    """The key and, of a collection, the page that begins at `at`. Two round trips. Raises NotFound."""
    pipe = client.pipeline(transaction=False)
    pipe.type(name)
    pipe.pexpiretime(name)
    pipe.memory_usage(name)
    pipe.execute_command("OBJECT", "ENCODING", name)
    kind, end, memory, encoding = pipe.execute(raise_on_error=False)
    if kind == GONE or end == -2:
        raise NotFound(f"There is no key {shown(name)}. If it was there, it has ended.")
    parsed = keys.parse(name)
    secret = families.has_secret_value(parsed)
    size, text, cut, elements = _content(client, name, kind, at, secret)
    return OneKey(
        name=name,
        parsed=parsed,
        type=kind,
        deadline=end if isinstance(end, int) and end > 0 else None,
        memory=memory if isinstance(memory, int) else 0,
        encoding=encoding if isinstance(encoding, str) else "",
        size=size,
        text=text,
        cut=cut,
        elements=elements,
        secret=secret,
    )


def _content(
    client: Redis, name: str, kind: str, at: int, secret: bool
) -> tuple[int, str | None, bool, Elements | None]:
    """Size, text, whether that is cut, and elements. One round trip. A key that changed its type meanwhile has none."""
    if kind not in _READ:
        return 0, None, False, None
    length, part = _READ[kind]
    pipe = client.pipeline(transaction=False)
    getattr(pipe, length)(name)
    if not secret:
        part(pipe, name, at)
    size, *content = pipe.execute(raise_on_error=False)
    if any(isinstance(each, ResponseError) for each in (size, *content)):
        return 0, None, False, None
    if secret:
        return size, None, False, None
    if kind == "string":
        cut = size > SHOWN
        return size, families.masked(readable(_to_a_character(content[0]) if cut else content[0])), cut, None
    return size, None, False, _elements(kind, content[0], at, size)


_READ: dict[str, tuple[str, Callable[[Any, str, int], Any]]] = {
    "string": ("strlen", lambda pipe, name, at: pipe.getrange(name, 0, SHOWN - 1)),
    "hash": ("hlen", lambda pipe, name, at: pipe.hscan(name, at, count=PAGE)),
    "set": ("scard", lambda pipe, name, at: pipe.sscan(name, at, count=PAGE)),
    "zset": ("zcard", lambda pipe, name, at: pipe.zrange(name, at, at + PAGE - 1, withscores=True)),
    "list": ("llen", lambda pipe, name, at: pipe.lrange(name, at, at + PAGE - 1)),
}


def _elements(kind: str, content: Any, at: int, size: int) -> Elements:
    """A hash or set goes on where its walk says, a list or sorted set by rank."""
    if kind in ("hash", "set"):
        cursor, found = content
        rows = found.items() if kind == "hash" else [(member, "") for member in found]
        return Elements(tuple((_element(one), _element(two)) for one, two in rows), int(cursor) or None)
    following = at + PAGE if at + PAGE < size else None
    if kind == "zset":
        return Elements(tuple((_element(member), f"{score:.17g}") for member, score in content), following)
    rows = ((str(number), _element(each)) for number, each in enumerate(content, at))
    return Elements(tuple(rows), following)


def _element(text: str) -> str:
    seen = families.masked(readable(text[: 2 * ELEMENT]))
    return (
        seen if len(seen) <= ELEMENT and len(text) <= 2 * ELEMENT else f"{seen[:ELEMENT]}… ({len(text):,} characters)"
    )


def _to_a_character(text: str) -> str:
    """Without the bytes of a character that the cut went through."""
    while text and "\udc80" <= text[-1] <= "\udcff":
        text = text[:-1]
    return text


@dataclass(frozen=True)
class Standing:
    """A key as a list shows it: `deadline` in Unix ms (None: it stays), `memory` in bytes."""

    name: str
    type: str
    deadline: int | None
    memory: int

    @property
    def shown(self) -> str:
        return shown(self.name)


def standing(
    client: Redis, names: Sequence[str], *, lasting: bool = False, start: int = 0, size: int = PAGE
) -> tuple[list[Standing], int]:
    """One page of those of these keys that are still there, with `lasting` of those without lifetime, and how many there
    are. Two round trips.
    """
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.pexpiretime(name)
    ends = dict(zip(names, pipe.execute(), strict=True)) if names else {}
    there = [name for name, end in ends.items() if end == -1 or (end != -2 and not lasting)]
    page = there[start : start + size]
    pipe = client.pipeline(transaction=False)
    for name in page:
        pipe.type(name)
        pipe.memory_usage(name)
    answers = pipe.execute() if page else []
    rows = zip(page, answers[0::2], answers[1::2], strict=True)
    found = [Standing(name, kind, ends[name] if ends[name] > 0 else None, memory or 0) for name, kind, memory in rows]
    return [row for row in found if row.type != GONE], len(there)


# -- the digest


def fingerprints(client: Redis, names: Sequence[str]) -> dict[str, str]:
    """By name: a digest of type, deadline and value; "" for a key that is not there. Two round trips.

    Of what takes more than WHOLE bytes the value's size, encoding and memory stand for it: to read all of it would hold
    up everybody.
    """
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
        pipe.pexpiretime(name)
        pipe.memory_usage(name)
        pipe.execute_command("OBJECT", "ENCODING", name)
    answers = pipe.execute(raise_on_error=False) if names else []
    told = dict(zip(names, zip(*(answers[each::4] for each in range(4)), strict=True), strict=True))
    there = {name: facts for name, facts in told.items() if facts[0] != GONE and facts[1] != -2}
    small = [name for name, facts in there.items() if isinstance(facts[2], int) and facts[2] <= WHOLE]
    pipe = client.pipeline(transaction=False)
    for name in small:
        pipe.dump(name)
    dumps = dict(zip(small, pipe.execute(raise_on_error=False), strict=True)) if small else {}
    found = dict.fromkeys(names, "")
    for name, (kind, end, memory, encoding) in there.items():
        content = dumps.get(name, f"{memory} {encoding}")
        if content is not None:
            found[name] = _digest(kind, str(end), content if isinstance(content, str) else repr(content))
    return found


def digest_of(seen: dict[str, str]) -> str:
    """One digest for several keys together."""
    return _digest(json.dumps(sorted(seen.items())))


def digest_of_name(name: str) -> str:
    """Names a key where its own name may not stand, such as in another key."""
    return _digest(name)


def _digest(*parts: str) -> str:
    content = "\0".join(parts).encode(errors="surrogateescape")
    return hashlib.sha256(content).hexdigest()[:24]
