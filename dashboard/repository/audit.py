"""Audit records: one key for each change, access and payment, appended in the transaction that it records. Nothing here
alters or deletes one.

A record is found three ways, each a list by time: what befell one thing (`history`), what was done of one kind, and
what one person did. The chain that makes tampering evident is in `chain`; each record stands in its queue at once.

    audit:policy:auto:100001:change:20240818T103000123-9f86d081    "Premium from 1200 to 1350 by AG001"
    dash:history:policies:auto.100001     zset   the record's key by Unix ms: whom it is about
    dash:history:access:CUST001           zset   looks at a customer, apart from what befell them
    dash:history:payments:CUST001         zset   a customer's payments, as their texts name them, beside each by its number
    dash:audit:kind:policy                zset   the same: what it is about
    dash:audit:who:AG001                  zset   the same: who did it
"""

from __future__ import annotations

import hashlib
import heapq
import logging
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from redis import Redis
from redis.exceptions import RedisError

from dashboard import clock, keys, redis
from dashboard.errors import DomainError
from dashboard.repository.store import Change, change
from dashboard.repository.values import Wrong, answered, labelled, read_strings, readable

log = logging.getLogger(__name__)

POLICY, QUOTE, CLAIM, SESSION = keys.policy_audit, keys.quote_audit, keys.claim_audit, keys.session_audit
CUSTOMER, PLACE, SECURITY = keys.customer_audit, keys.place_audit, keys.security_audit
ACCESS, PAYMENT = keys.access_audit, keys.payment_audit

KINDS: dict[str, keys.Family] = {
    "policy": POLICY,
    "quote": QUOTE,
    "claim": CLAIM,
    "customer": CUSTOMER,
    "payment": PAYMENT,
    "access": ACCESS,
    "session": SESSION,
    "security": SECURITY,
    "location": PLACE,
    "key": keys.key_audit,
}
FAMILIES = frozenset(KINDS.values())
_KIND_OF = {family: kind for kind, family in KINDS.items()}

_RETENTION = keys.YEAR * clock.SECOND
ACCESS_RETENTION = 90 * clock.DAY
PAYMENT_YEARS = 7

_LOOKED_AT = 500
"""Records that are read at once while a search passes over those it does not want."""
_SLICES = 20
"""How often it does so before it gives what it has, and where to go on."""


@dataclass(frozen=True)
class Record:
    """One audit record: when (to the day where another tool wrote it), what, under which key; `kind` as in KINDS,
    `about` whom or what (`auto:100001`, `CUST001`), `by` whom, if it says so. `listed_at`: its place in the lists, Unix ms.
    """

    at: datetime
    to_the_day: bool
    text: str
    key: str
    kind: str = ""
    about: str = ""
    by: str = ""
    listed_at: int = 0


@dataclass(frozen=True)
class Search:
    """What records are asked for; None and "" ask for any. `since`, `until`: Unix ms, the second not included."""

    who: str = ""
    kind: str = ""
    about: str = ""
    words: str = ""
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class Found:
    """One page of a search, newest first. `more`: the `before` of the next page, None when there is none. A search for
    something rare may give few records, or none, and more to look at.
    """

    records: tuple[Record, ...]
    more: int | None


# -- writing


def append(change: Change, family: keys.Family, *parts: str, text: str, by: str = "") -> None:
    """Record `text` (what, and by whom) for the thing that `parts` name, for a year; `by` as `add` has it."""
    at = clock.now_ms()
    add(change, family(*parts, _stamp(at)), text, at, at + _RETENTION, by=by)


def add(change: Change, name: str, text: str, at: int, until: int, *, by: str = "") -> None:
    """Record one audit key, its place in the lists, and in the queue of the chain. `at`, `until`: Unix ms. `by`: who did
    it; the text is signed with them where it does not name them, or somebody else before.
    """
    parsed = keys.parse(name)
    if parsed is None:
        raise keys.BadIdentifier(name)
    if by and author(text) != by:
        text = f"{text} | By: {by}"  # what was typed may name others, and is never taken for who did it
    change.set_once(name, text, until)
    for listed in _lists(parsed, text):
        change.record("ZADD", listed, at, name)
        # As long as the longest-lived record in it: never shortened by one that lives less.
        change.record("PEXPIREAT", listed, until, "NX")
        change.record("PEXPIREAT", listed, until, "GT")
    change.record("RPUSH", keys.chain_queue(), name)


def accessed(customer: str, by: str) -> bool:
    """Note that `by` looked at this customer, once a day; whether it was the first time. One round trip where it was
    noted before, else six.
    """
    today = clock.today()
    noted = keys.access_noted(today.isoformat(), hashlib.sha256(f"{customer}|{by}".encode()).hexdigest()[:32])
    if redis.client().exists(noted):
        return False

    def action(draft: Change) -> bool:
        draft.watch(noted)
        if draft.client.exists(noted):
            return False
        at = clock.now_ms()
        draft.set_until(noted, "", clock.end_of_day(today))
        name = ACCESS(customer, _stamp(at))
        add(draft, name, f"Viewed by {by} at {clock.iso(clock.now())}", at, at + ACCESS_RETENTION, by=by)
        return True

    return change(action)


def looked(customer: str, by: str) -> None:
    """`accessed`, for a page that is only read: a store that takes no writes keeps nobody from reading."""
    try:
        accessed(customer, by)
    except (RedisError, DomainError) as error:
        log.warning("A look at a customer could not be recorded: %s", type(error).__name__)


def exported(what: str, *, by: str) -> None:
    """Record that somebody took a file of many customers' data: one record with their account, not one for each customer."""
    change(lambda draft: append(draft, SECURITY, by, text=f"{readable(what)} exported by {by}", by=by))


def note(client: Redis, key: str, parsed: keys.Parsed, *, anew: bool = False) -> None:
    """List an audit record that another tool wrote, and put it in the queue of the chain; not one that is listed
    already, as ours are from the beginning: with `anew` its other lists get it again. Two round trips.
    """
    listed, raw, end = _listed_text_and_end(client, key, parsed)
    if (listed and not anew) or raw is None:
        return
    at = clock.ms(_moment(parsed.parts["stamp"]) if "stamp" in parsed.parts else told_moment(raw))
    pipe = client.pipeline(transaction=True)
    for name in _lists(parsed, raw):
        pipe.zadd(name, {key: at})
        pipe.pexpireat(name, end, nx=True)
        pipe.pexpireat(name, end, gt=True)
    if not listed:
        pipe.rpush(keys.chain_queue(), key)
    pipe.execute()


def is_listed(client: Redis, found: Sequence[tuple[str, keys.Parsed]]) -> list[bool]:
    """Which of these audit keys stand in their lists. One round trip."""
    pipe = client.pipeline(transaction=False)
    for name, parsed in found:
        pipe.zscore(_history_list(parsed), name)
    return [score is not None for score in answered(pipe)] if found else []


# -- reading


def history(client: Redis, family: keys.Family, *parts: str, limit: int = 100) -> list[Record]:
    """The latest records of one thing, newest first. Two round trips."""
    return _records(client, client.zrange(_history_key(family, parts), 0, limit - 1, desc=True, withscores=True))


def names_of(client: Redis, family: keys.Family, *parts: str, limit: int) -> list[str]:
    """The keys of one thing's records, the latest first. One round trip."""
    (names,) = answered(client.pipeline(transaction=False).zrange(_history_key(family, parts), 0, limit - 1, desc=True))
    return names or []


def histories(
    client: Redis, of: Sequence[tuple[keys.Family, tuple[str, ...]]], limit: int = 50
) -> list[tuple[keys.Family, tuple[str, ...], Record]]:
    """The latest records of several things together, newest first, each with what it is of. Two round trips."""
    pipe = client.pipeline(transaction=False)
    for family, parts in of:
        pipe.zrange(_history_key(family, parts), 0, limit - 1, desc=True, withscores=True)
    answers = answered(pipe)
    found = [(at, name, thing) for thing, rows in zip(of, answers, strict=True) for name, at in rows or ()]
    latest = sorted(found, reverse=True, key=lambda each: each[:2])[:limit]
    values = read_strings(client, [name for _, name, _ in latest])
    records = [(family, parts, _record(name, at, values.get(name))) for at, name, (family, parts) in latest]
    return [(family, parts, record) for family, parts, record in records if record]


def search(client: Redis, wanted: Search, *, before: int | None = None, size: int = 50) -> Found:
    """Records by who, what, whom and when, newest first. Two round trips where the list it reads has nothing but what
    is wanted, else two for each _LOOKED_AT records that it passes over, and at most _SLICES times.

    `before`: Unix ms; only records before it (the `more` of the page before).
    """
    sources = _sources(wanted)
    bounds = [each for each in (before, wanted.until) if each is not None]
    end: int | None = min(bounds) if bounds else None
    found: list[Record] = []
    for _ in range(_SLICES):
        rows, end = _slice(client, sources, wanted.since, end)
        named = [(name, at) for name, at in rows if _may_be_wanted(name, wanted)]
        found += [record for record in _records(client, named) if _is_wanted(record, wanted)]
        if len(found) > size:
            return _cut(found, size)
        if end is None:
            break
    return Found(tuple(found), end)


def every(client: Redis, wanted: Search) -> Iterator[Record]:
    """All records that a search finds, newest first, read a page at a time."""
    before: int | None = None
    while True:
        page = search(client, wanted, before=before, size=_LOOKED_AT)
        yield from page.records
        if page.more is None:
            return
        before = page.more


def _cut(found: Sequence[Record], size: int) -> Found:
    """Records of one millisecond stay together, so that the next page can begin at a moment."""
    last = found[size - 1].listed_at
    shown = tuple(record for number, record in enumerate(found) if number < size or record.listed_at == last)
    return Found(shown, last)


def totals(client: Redis) -> dict[str, int]:
    """How many records of each kind are listed. One round trip."""
    pipe = client.pipeline(transaction=False)
    for kind in KINDS:
        pipe.zcard(keys.audit_list("kind", kind))
    return dict(zip(KINDS, [count or 0 for count in answered(pipe)], strict=True))


def oldest(client: Redis, *, size: int = 100) -> dict[str, tuple[str, int] | None]:
    """Of each kind the record that ends next, among the oldest `size`, as (key, Unix ms); None where none of them ends.
    Those that have ended are taken out of the list of their kind. Three round trips.
    """
    listed = {kind: keys.audit_list("kind", kind) for kind in KINDS}
    pipe = client.pipeline(transaction=False)
    for name in listed.values():
        pipe.zrange(name, 0, size - 1)
    found = dict(zip(listed, [names or [] for names in answered(pipe)], strict=True))
    pipe = client.pipeline(transaction=False)
    for name in (each for names in found.values() for each in names):
        pipe.pexpiretime(name)
    ends = iter(pipe.execute())
    timed = {kind: [(name, next(ends)) for name in names] for kind, names in found.items()}
    for kind, rows in timed.items():
        gone = [name for name, end in rows if end == -2]
        if gone:
            pipe.zrem(listed[kind], *gone)
    answered(pipe)
    ending = {kind: [row for row in rows if row[1] > 0] for kind, rows in timed.items()}
    return {kind: min(rows, key=lambda row: row[1]) if rows else None for kind, rows in ending.items()}


# -- before and after, and what must not be shown


@dataclass(frozen=True)
class Changed:
    """One value that a record says was changed."""

    name: str
    before: str
    after: str


_FROM, _TO = " from ", " to "
_LONGEST_NAME, _LONGEST_VALUE = 60, 200
_NAME_BEGINS = re.compile(r"[,;:.]")
_VALUE_ENDS = re.compile(r"; |[.:|]? by |: ")


def changes(text: str) -> list[Changed]:
    """`Premium updated from 1200 to 1350 by AG001` -> premium, 1200, 1350. None for what says no such thing. Read from the
    left without looking back: whoever writes a record cannot make it slow to read.
    """
    found: list[Changed] = []
    text, begun = text[:2_000], 0
    at = text.find(_FROM)
    while at >= 0:
        after, change = _change_at(text, begun, at)
        if change:
            found.append(change)
            begun = after
        at = text.find(_FROM, after)
    return found


def _change_at(text: str, begun: int, at: int) -> tuple[int, Changed | None]:
    """The change whose " from " stands at `at`, if it is one, and where to read on."""
    name = _NAME_BEGINS.split(text[max(begun, at - _LONGEST_NAME) : at])[-1].strip()
    name = name.removesuffix(" updated").removesuffix(" changed")
    start = at + len(_FROM)
    to = text.find(_TO, start + 1, start + _LONGEST_VALUE + len(_TO))
    if not name or to < 0:
        return start, None
    value = to + len(_TO)
    ends = _VALUE_ENDS.search(text, value + 1, value + _LONGEST_VALUE + 6)
    end = ends.start() if ends else len(text)
    if not value < end <= value + _LONGEST_VALUE:
        return start, None
    return end, Changed(name, text[start:to], text[value:end])


_SECRET = re.compile(
    r"(?P<kept>\bsecurity:(?:2fa|password_reset):[^\s:]+:|(?<!zip )\b(?:token|code|password|secret|pin)\s*[:=]\s*)[^\s|,;]+",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """Without the codes, tokens and passwords that another tool may have written into a record."""
    return _SECRET.sub(lambda found: f"{found['kept']}•••", text)


# -- who, what, whom

_BY = re.compile(r"\b[Bb]y:? (?P<who>[^\s:*?\[\]^\\{}|,/]{1,64}?)(?=[.:,;]?(?:\s|$))")


_SIGNED = re.compile(r"\| By: (?P<who>\S{1,64})$")


def author(text: str) -> str:
    """Whom a record names: `Premium updated from 1200 to 1350 by AG001` -> AG001. "" when it names nobody."""
    found = _SIGNED.search(text) or _BY.search(text)
    return found["who"] if found and keys.is_identifier(found["who"]) else ""


def customer_of(text: str) -> str:
    """Whom a payment's record names: `Customer: CUST001 | Amount: 1200` -> CUST001. "" for none."""
    told = labelled(text).get("customer", "")
    return told if keys.is_customer(told) else ""


def kind_of(key: str) -> str:
    parsed = keys.parse(key)
    return _KIND_OF.get(parsed.family, "") if parsed else ""


def about(key: str) -> str:
    """What a record is about: `auto:100001`, `CUST001`, `dallas:75201`."""
    parsed = keys.parse(key)
    return ":".join(_subject(parsed)) if parsed else ""


def _subject(parsed: keys.Parsed) -> tuple[str, ...]:
    return tuple(value for slot, value in parsed.parts.items() if slot != "stamp")


def lists_of(key: str, text: str) -> list[str]:
    """The lists that the record under this key, with this text, stands in."""
    parsed = keys.parse(key)
    return _lists(parsed, text) if parsed else []


def _lists(parsed: keys.Parsed, text: str) -> list[str]:
    """The lists that a record with this text stands in."""
    lists, who = [_history_list(parsed)], author(text)
    if parsed.family is PAYMENT and (customer := customer_of(text)):
        lists.append(_history_key(PAYMENT, (customer,)))
    if parsed.family in _KIND_OF:
        lists.append(keys.audit_list("kind", _KIND_OF[parsed.family]))
    if who:
        lists.append(keys.audit_list("who", who))
    return lists


def _history_list(parsed: keys.Parsed) -> str:
    return _history_key(parsed.family, _subject(parsed))


def _history_key(family: keys.Family, parts: tuple[str, ...]) -> str:
    # Looks are many and changes are few: a list of their own keeps the latest hundred changes of a customer readable.
    return keys.history("access" if family is ACCESS else family.area, ".".join(parts))


# -- searching


def _sources(wanted: Search) -> list[str]:
    """The lists to read: the one that holds least of what is not wanted."""
    if wanted.about:
        kinds = [wanted.kind] if wanted.kind in KINDS else list(KINDS)
        parts = tuple(wanted.about.split(":"))
        lists = [_history_key(KINDS[kind], parts) for kind in kinds if _may_name(KINDS[kind], parts)]
        return list(dict.fromkeys(lists))
    if wanted.who:
        return [keys.audit_list("who", wanted.who)] if keys.is_identifier(wanted.who) else []
    kinds = [wanted.kind] if wanted.kind in KINDS else list(KINDS)
    return [keys.audit_list("kind", kind) for kind in kinds]


def _may_name(family: keys.Family, parts: tuple[str, ...]) -> bool:
    slots = [slot for slot in family.slots if slot != "stamp"]
    return len(slots) == len(parts) and all(keys.is_identifier(part) for part in parts)


def _slice(
    client: Redis, sources: Sequence[str], since: int | None, before: int | None
) -> tuple[list[tuple[str, float]], int | None]:
    """The next names, with their places in time, of all these lists together, newest first, and before when the rest
    is: None when there are no more. A slice ends between two milliseconds. One round trip.
    """
    low, high = "-inf" if since is None else since, "+inf" if before is None else f"({before}"
    pipe = client.pipeline(transaction=False)
    for name in sources:
        pipe.zrange(name, high, low, byscore=True, desc=True, offset=0, num=_LOOKED_AT, withscores=True)
    rows = [row or [] for row in (answered(pipe) if sources else [])]
    merged = list(heapq.merge(*rows, key=lambda each: -each[1]))
    cut = [int(row[-1][1]) for row in rows if len(row) == _LOOKED_AT]
    if not cut:
        return merged, None
    # Beyond the last of a list that was cut, the others are not known to be next.
    floor = max(cut)
    kept = [(name, at) for name, at in merged if at > floor]
    if kept:
        return kept, floor + 1
    return [(name, at) for name, at in merged if at == floor], floor  # more than a slice in one millisecond


def _may_be_wanted(name: str, wanted: Search) -> bool:
    """What a record's name tells without reading it. Whose a payment is, its text tells alone."""
    kind = kind_of(name)
    told = not wanted.about or about(name) == wanted.about or kind == "payment"
    return told and (not wanted.kind or kind == wanted.kind)


def _is_wanted(record: Record, wanted: Search) -> bool:
    if wanted.who and wanted.about and record.by != wanted.who:
        return False
    if wanted.about and wanted.about not in (record.about, customer_of(record.text)):
        return False
    return wanted.words.casefold() in record.text.casefold() if wanted.words else True


def _records(client: Redis, rows: Sequence[tuple[str, float]]) -> list[Record]:
    """Those that are there still. One or two round trips, none for no names."""
    values = read_strings(client, [name for name, _ in rows])
    return [record for name, at in rows if (record := _record(name, at, values.get(name)))]


def _record(name: str, listed_at: float, raw: object) -> Record | None:
    if raw is None:
        return None
    text = f"unreadable: the key holds a {raw.kind}" if isinstance(raw, Wrong) else masked(readable(str(raw))[:2_000])
    parsed = keys.parse(name)
    stamp = parsed.parts.get("stamp", "") if parsed else ""
    return Record(
        at=_moment(stamp) if stamp else clock.moment(int(listed_at)),
        to_the_day="T" not in stamp if stamp else _is_midnight(int(listed_at)),
        text=text,
        key=name,
        kind=_KIND_OF.get(parsed.family, "") if parsed else "",
        about=":".join(_subject(parsed)) if parsed else "",
        by=author(text),
        listed_at=int(listed_at),
    )


def told_moment(text: str) -> datetime:
    """A payment's key has no stamp: its text says when, to the day; 1970 for one that does not."""
    found = re.search(r"\bDate: (\d{4}-\d\d-\d\d)", text)
    return _midnight(found[1].replace("-", "") if found else "")


def _listed_text_and_end(client: Redis, key: str, parsed: keys.Parsed) -> tuple[bool, str | None, int]:
    """Whether a record is listed, its text, and its end in Unix ms: a year from now where it has none. One round trip."""
    pipe = client.pipeline(transaction=False)
    pipe.zscore(_history_list(parsed), key)
    pipe.get(key)
    pipe.pexpiretime(key)
    listed, raw, end = pipe.execute(raise_on_error=False)
    for answer in (listed, raw, end):
        if isinstance(answer, Exception) and "WRONGTYPE" not in str(answer):
            raise answer
    if end == -2:
        return False, None, 0
    text = raw if isinstance(raw, str) else ""
    return isinstance(listed, float), text, end if end > 0 else clock.now_ms() + _RETENTION


def _stamp(at: int) -> str:
    """20240818T103000123-9f86d081: sortable, and never the same twice."""
    return f"{clock.moment(at):%Y%m%dT%H%M%S}{at % 1000:03d}-{secrets.token_hex(4)}"


def _moment(stamp: str) -> datetime:
    """The moment in a stamp, the business day's first where it is a date alone; 1970 for a date that no calendar has."""
    if "T" not in stamp:
        return _midnight(stamp)
    try:
        at = datetime.strptime(stamp[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
    # timedelta, not a new count of microseconds: a stamp's last digits may be anything.
    return at + timedelta(milliseconds=int(stamp[15:18]))


def _midnight(day: str) -> datetime:
    """20240818 -> its first moment in the business's zone, so that a search for that day finds it."""
    try:
        found = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
    # The first and the last year have moments that other zones cannot name.
    return found.replace(tzinfo=clock.zone() if 1 < found.year < 9999 else UTC)


def _is_midnight(at: int) -> bool:
    """Whether it is a day's first moment, to the ms: where no more than the day was told."""
    told = clock.moment(at).astimezone(clock.zone())
    return (told.hour, told.minute, told.second, told.microsecond) == (0, 0, 0, 0)
