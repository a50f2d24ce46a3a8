"""Whatever another tool writes into any key of the customer's: every page still answers, shows it as text that can be seen,
and sends no formula into a spreadsheet.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from io import StringIO

import pytest
from django.http import HttpResponse
from django.test import Client
from redis import Redis

from dashboard import keys, sample
from dashboard.repository import reindex
from tests import cast
from tests.views.test_access import TABLE, address, names

MARK = "<script>alert('owned')</script>"
HOSTILE: dict[str, bytes] = {
    "script": f"\"'>{MARK}<img src=x onerror=alert(1)>".encode(),
    "formula": b'=HYPERLINK("http://evil.example","x")',
    "line ends": b"one\r\nSet-Cookie: owned=1\r\n\r\n<b>two</b>",
    "NUL": b"\x00\x00|\x00:\x00",
    "bad UTF-8": b"caf\xe9 \xff\xfe \xed\xa0\x80",
    "turned around": "\u202eevil\u202c \u2066x\u2069 \u200f".encode(),
    "long": b"A" * 50_000,
    "a megabyte": b"A" * 1_000_000,
    "delimiters": b"|||:::,,,{}[]*?" * 20,
    "numbers out of range": b"9" * 400,
    "nothing": b"",
}
INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
WHOLE = ("/edit/", "/endorse/")
"""Forms that hold a value whole: one that was cut would be stored so."""
QUICK = ("script", "formula", "long", "bad UTF-8")
"""Those of every run; the others are of the long form."""

TYPES: dict[str, Callable[[Redis, str], object]] = {
    "a list": lambda store, name: store.rpush(name, "x"),
    "a set": lambda store, name: store.sadd(name, "x"),
    "a hash": lambda store, name: store.hset(name, "x", "y"),
    "a sorted set": lambda store, name: store.zadd(name, {"x": 1}),
    "a string": lambda store, name: store.set(name, "x"),
}


@pytest.fixture
def book(demo: None, store: Redis) -> Redis:
    sample.load(store)
    return store


def customers_keys(store: Redis) -> list[str]:
    """Theirs, but for the sessions that the test's own people are signed in with."""
    people = (cast.SUPERVISOR, cast.ADMIN, cast.AGENT)
    return [
        name
        for name in sorted(store.scan_iter(count=1_000))
        if not name.startswith("dash:") and not any(name.startswith(f"session:agent:{person}:") for person in people)
    ]


def spoil(store: Redis, value: bytes) -> None:
    """Every string of theirs gets this value; lifetimes stay."""
    for name in customers_keys(store):
        if store.type(name) == "string":
            store.set(name, value, keepttl=True)
        elif store.type(name) == "set":
            store.sadd(name, value)
        elif store.type(name) == "hash":
            store.hset(name, mapping=dict.fromkeys(store.hkeys(name), value))
    reindex.reconcile(store)


def walk(client: Client, person: str) -> Iterator[tuple[str, HttpResponse, bytes]]:
    """Every page this person may read: its address, and the answer with its content."""
    for name, slots in names():
        takes, who = TABLE[name]
        if "G" in takes and person in who.split():
            path = address(name, slots)
            answer = client.get(path)
            yield path, answer, answer.getvalue()


def faults(store: Redis) -> dict[str, str]:
    """What is wrong with which page, for a supervisor and an admin."""
    found = {}
    for role, person in (("supervisor", cast.SUPERVISOR), ("admin", cast.ADMIN)):
        client = cast.signed_in(person)
        for path, answer, content in walk(client, role):
            kind = answer.headers.get("Content-Type", "")
            if answer.status_code >= 500:
                found[f"{role} {path}"] = str(answer.status_code)
            elif "html" in kind and (b"<img src=x" in content or MARK.encode() in content):
                found[f"{role} {path}"] = "as it is"
            elif "csv" in kind and (cells := formulas(content)):
                found[f"{role} {path}"] = cells[0]
            elif kind.startswith("text/") and (seen := INVISIBLE.search(content.decode())):
                found[f"{role} {path}"] = f"U+{ord(seen[0]):04X}"
            elif len(content) > 500_000 and not path.endswith(WHOLE):
                found[f"{role} {path}"] = f"{len(content):,} bytes"
    return found


def formulas(content: bytes) -> list[str]:
    rows = csv.reader(StringIO(content.decode()))
    return [cell for row in rows for cell in row if cell[:1] in ("=", "+", "@") or cell.startswith("-=") or cell == "'"]


@pytest.mark.parametrize("kind", QUICK)
def test_no_page_breaks_or_lets_it_through(book: Redis, kind: str) -> None:
    spoil(book, HOSTILE[kind])
    assert faults(book) == {}


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind not in QUICK])
def test_nor_with_any_of_these(book: Redis, kind: str) -> None:
    spoil(book, HOSTILE[kind])
    assert faults(book) == {}


@pytest.mark.parametrize("kind", ["a list"])
def test_no_page_breaks_over_keys_of_another_type(book: Redis, kind: str) -> None:
    mistype(book, kind)
    assert faults(book) == {}


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "a list"])
def test_nor_over_any_of_these_types(book: Redis, kind: str) -> None:
    mistype(book, kind)
    assert faults(book) == {}


def mistype(store: Redis, kind: str) -> None:
    for name in customers_keys(store):
        deadline = store.pexpiretime(name)
        store.delete(name)
        TYPES[kind](store, name)
        if deadline > 0:
            store.pexpireat(name, deadline)
    reindex.reconcile(store)


def test_every_family_of_the_customers_is_in_the_book(book: Redis) -> None:
    """Or the walk would leave one out."""
    there = {parsed.family.pattern for name in book.scan_iter(count=1_000) if (parsed := keys.parse(name))}
    ours = (
        "dash:",
        "audit:security",
        "audit:session",
        "audit:quote",
        "audit:claim",
        "audit:customer",
        "audit:location",
        "audit:key",
    )
    missing = {f.pattern for f in keys.CATALOGUE.values() if not f.pattern.startswith(ours)} - there
    assert missing == set()
