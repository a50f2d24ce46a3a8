"""Reading values that anybody may have written: text in, typed values and named problems out. Nothing here raises."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from redis import Redis

from dashboard import keys

T = TypeVar("T")

LONGEST = 2_000
"""Characters of one value that are shown; a longer one is cut and named as a problem."""

_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_HALF = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates but those that stand for bytes."""
_DELIMITERS = re.compile(r"[|\x00-\x1f\x7f]")
_AMOUNT = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?")


@dataclass(frozen=True)
class Wrong:
    """Stands where a key holds another Redis type than it should."""

    kind: str


Raw = str | Wrong | None


@dataclass(frozen=True)
class Problem:
    """What is wrong with one stored value: the key it is in, and words for it."""

    key: str
    what: str


def read_strings(client: Redis, names: Sequence[str]) -> dict[str, Raw]:
    """The values of string keys. One round trip and one command, a second (EXISTS) where some are missing; only where a
    key of another type hides among those, two more to find it.
    """
    if not names:
        return {}
    found: dict[str, Raw] = dict(zip(names, client.mget(names), strict=True))
    absent = [name for name, value in found.items() if value is None]
    if absent:
        found |= _of_other_types(client, absent)
    return found


_FEW = 50
"""Keys that are asked for their type each, once one of them is known to be there."""


def _of_other_types(client: Redis, absent: Sequence[str]) -> dict[str, Raw]:
    """Those of the keys that MGET gave nothing for which are there all the same. One command where none is."""
    if not client.exists(*absent):
        return {}
    suspects = list(absent)
    if len(absent) > _FEW:
        parts = [absent[at : at + _FEW] for at in range(0, len(absent), _FEW)]
        pipe = client.pipeline(transaction=False)
        for part in parts:
            pipe.exists(*part)
        suspects = [name for part, there in zip(parts, pipe.execute(), strict=True) if there for name in part]
    pipe = client.pipeline(transaction=False)
    for name in suspects:
        pipe.type(name)
    # A string here appeared between the round trips; it is as good as missing until the next look.
    kinds = zip(suspects, pipe.execute(), strict=True)
    return {name: Wrong(kind) for name, kind in kinds if kind not in ("none", "string")}


def answered(pipe: Any) -> list[Any]:
    """A pipeline's answers, None for what a key of another type has none to. Other errors are raised."""
    answers = pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception) and "WRONGTYPE" not in str(answer):
            raise answer
    return [None if isinstance(answer, Exception) else answer for answer in answers]


class Reader:
    """Typed access to one thing's raw values, collecting what is wrong with them in `problems`."""

    def __init__(self, values: dict[str, Raw], names: dict[str, str]) -> None:
        """`values`: raw by key; `names`: key by field."""
        self._values = values
        self._names = names
        self.problems: list[Problem] = []

    def has(self, field: str) -> bool:
        return self._values.get(self._names[field]) is not None

    def text(self, field: str) -> str | None:
        """The value as text that can be shown: broken UTF-8 escaped, too long cut; None when missing or no string."""
        raw = self._values.get(self._names[field])
        if raw is None:
            return None
        if isinstance(raw, Wrong):
            return self._problem(field, f"holds a {raw.kind}, not a text")
        shown = readable(raw)
        if decoded(raw) != raw:
            self._problem(field, "is not valid UTF-8")
        elif shown != raw:
            self._problem(field, "holds invisible characters")
        if len(shown) > LONGEST:
            self._problem(field, f"is {len(shown):,} characters long")
            shown = shown[:LONGEST] + "…"
        return shown

    def identifier(self, field: str) -> str | None:
        text = self.text(field)
        if text is None or keys.is_identifier(text):
            return text
        return self._problem(field, f"is not an identifier: {shorten(text)}")

    def amount(self, field: str) -> Decimal | None:
        text = self.text(field)
        if text is None:
            return None
        value = amount(text)
        return value if value is not None else self._problem(field, f"is not an amount: {shorten(text)}")

    def whole(self, field: str) -> int | None:
        value = self.amount(field)
        return int(value) if value is not None else None

    def day(self, field: str) -> date | None:
        text = self.text(field)
        if text is None:
            return None
        value = day(text)
        return value if value is not None else self._problem(field, f"is not a date: {shorten(text)}")

    def moment(self, field: str) -> datetime | None:
        text = self.text(field)
        if text is None:
            return None
        value = moment(text)
        return value if value is not None else self._problem(field, f"is not a point in time: {shorten(text)}")

    def optional(self, field: str, read: Callable[[str], T | None]) -> T | None:
        """`read(field)`, or None for a field that this kind of thing does not have."""
        return read(field) if field in self._names else None

    def _problem(self, field: str, what: str) -> None:
        self.problems.append(Problem(self._names[field], what))


def readable(raw: str) -> str:
    """Text that can be shown and sent: bytes that were not UTF-8 (surrogates here) become \\xNN; control characters and
    marks that turn the direction of what follows become visible.
    """
    return _INVISIBLE.sub(_told, decoded(raw))


def decoded(raw: str) -> str:
    """Bytes that were not UTF-8 (surrogates here) become \\xNN; halves of characters, as JSON can have them, \\uNNNN."""
    try:
        raw.encode()
    except UnicodeEncodeError:
        whole = _HALF.sub(_told, raw)
        return whole.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return raw


def _told(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def shorten(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[:length] + "…"


def named(identifier: str) -> str:
    """What stands where an identifier belongs, as it can be shown in a sentence: whatever it is."""
    return shorten(readable(identifier))


def amount(text: str) -> Decimal | None:
    """`1200`, `"$1,200"`, `$45/month` -> Decimal; None when it is none."""
    bare = text.strip().removeprefix("$").partition("/")[0].replace(",", "").strip()
    if not _AMOUNT.fullmatch(bare):
        return None
    try:
        return Decimal(bare)
    except InvalidOperation:
        return None


def day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None


def moment(text: str) -> datetime | None:
    """An ISO moment, with or without zone (UTC is meant), or a date alone."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    # The first and the last year have moments that other zones cannot name.
    if not 1 < found.year < 9999:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def labelled(text: str) -> dict[str, str]:
    """`John Smith|DOB:1985-03-15|Phone:555` -> {"": "John Smith", "dob": "1985-03-15", ...}: parts split at |, then at
    the first colon; labels in lower case; unlabelled parts join under "".
    """
    found: dict[str, str] = {}
    for part in text.split("|"):
        label, colon, value = part.partition(":")
        if colon and " " not in label.strip():
            found[label.strip().lower()] = value.strip()
        else:
            found[""] = f"{found['']}, {part.strip()}" if found.get("") else part.strip()
    return found


def fits_text(text: str) -> bool:
    """Whether input may stand inside one of the customer's `|`-separated texts."""
    return not _DELIMITERS.search(text)


def comma_list(text: str | None) -> list[str]:
    """`auto:100001,home:200001` -> its parts, in order, each once."""
    return list(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))


def plain(value: Decimal) -> str:
    """An amount as the customer's tools write it: 1200, 950.5, never 1.2E+3."""
    return f"{value.normalize():f}"


def dollars(value: Decimal) -> str:
    """An amount inside the customer's texts: $1,200 or $950.50."""
    return f"${value:,.0f}" if value == value.to_integral_value() else f"${value:,.2f}"


_PLACE = re.compile(r"(?P<city>[A-Za-z][A-Za-z .'-]*?),?\s+(?P<state>[A-Z]{2})\s+(?P<zip>\d{5})(?:-\d{4})?\s*$")
_PLACE_WITHIN = 200
"""Characters at an address's end that are looked at: the time that the search takes grows with their square."""


def place(address: str | None) -> tuple[str, str]:
    """City (as key names have it: `dallas`, `fort_worth`) and ZIP of `123 Main St, Dallas TX 75201`; ("", "") when
    the address does not end that way.
    """
    ending = (address or "")[-_PLACE_WITHIN:]
    found = _PLACE.search(ending.rpartition(",")[2].strip()) or _PLACE.search(ending)
    if not found:
        return "", ""
    return re.sub(r"[ .'-]+", "_", found["city"].strip().lower()), found["zip"]


def distinct(items: Iterable[str | None]) -> list[str]:
    """The items that are there, each once, in order."""
    return list(dict.fromkeys(item for item in items if item))
