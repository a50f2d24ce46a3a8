"""Finding anything by what it begins with, as one types: names, phone numbers, e-mails, places, policy numbers, VINs.

Words stand in order (Index.prefixed), numbers are stretches of the index by number: the cost is that of the few that are
shown, at a hundred customers and at a million. What is found is read again, so nobody is shown what they may not see,
and a word that leads to something else by now is taken out.

Everybody may find every customer: whoever picks up the phone has to know who calls. Policies, quotes and claims are
found as they are seen elsewhere, by branch and product.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from redis import Redis

from dashboard import keys
from dashboard.repository import agents, claims, customers, places, policies, quotes
from dashboard.repository.agents import Directory, Scope
from dashboard.repository.claim_records import Claim
from dashboard.repository.customers import Customer, folded
from dashboard.repository.index import Index, Pipe, Wanted, Word
from dashboard.repository.places import Place
from dashboard.repository.policies import Policy
from dashboard.repository.quotes import Quote
from dashboard.repository.values import answered

SHORTEST = 2
"""Characters from which on anything is looked for."""

LONGEST = 80

_LONGEST_NUMBER = 9
"""Digits of the numbers that a few typed ones may begin."""

_SPARE = 5
"""Times as many policies are read as are shown: some may be another branch's."""

_NUMBERED = re.compile(r"(?:(auto|home|life):)?([a-z]{0,6})([0-9]{1,9})")


@dataclass(frozen=True)
class Found:
    """What begins with the typed text, by kind, the best first; `by` says what of a customer it was."""

    customers: Sequence[Customer] = ()
    by: dict[str, str] = field(default_factory=dict)
    policies: Sequence[Policy] = ()
    quotes: Sequence[Quote] = ()
    claims: Sequence[Claim] = ()
    places: Sequence[Place] = ()

    def __bool__(self) -> bool:
        return bool(self.customers or self.policies or self.quotes or self.claims or self.places)


def find(client: Redis, scope: Scope, typed: str, *, size: int = 6) -> Found:
    """At most `size` of each kind. Some ten round trips, whatever the number of things."""
    text = folded(typed)[:LONGEST]
    if len(text) < SHORTEST:
        return Found()
    directory = agents.directory(client)
    people, by = _customers(client, text, size)
    return Found(
        customers=people,
        by=by,
        policies=_policies(client, scope, directory, text, size),
        quotes=_quotes(client, scope, directory, text),
        claims=_claims(client, scope, text),
        places=_places(client, text, size),
    )


def people(client: Redis, typed: str, *, size: int = 50) -> tuple[list[Customer], dict[str, str]]:
    """The customers whom the text finds, and by what of them. Five round trips at most."""
    text = folded(typed)[:LONGEST]
    return _customers(client, text, size) if len(text) >= SHORTEST else ([], {})


# -- customers


def _customers(client: Redis, text: str, size: int) -> tuple[list[Customer], dict[str, str]]:
    for _ in range(3):
        words = customers.INDEX.prefixed(client, list(_asked(text)), size)
        numbered = _by_number(client, customers.INDEX, {}, _customer_ranges(text), size)
        leads = {each.member: each for found in reversed(words) for each in reversed(found)}
        wanted = list(dict.fromkeys([*numbered, *(each.member for found in words for each in found)]))
        loaded = customers.load(client, wanted)
        stale = [each for found in words for each in found if not _leads(each, loaded.get(each.member))]
        if not stale:
            break
        _forget(client, customers.INDEX, stale)
    gone = {each.member for each in stale}
    rows = [loaded[each] for each in wanted if each in loaded and (each not in gone or each in numbered)]
    mine = [each for each in rows if each.id not in numbered or each.id.casefold().startswith(text)]
    return mine[:size], {member: word.kind for member, word in leads.items()}


def _asked(text: str) -> Iterator[tuple[str, str]]:
    """Which kinds of words may begin with the text."""
    digits = re.sub(r"[\s().+/-]", "", text)
    if digits.isdigit() and len(digits) >= 3:
        yield "phone", digits
    if text[0].isdigit() or "@" not in text:
        yield "place", text.replace(",", "")
    if not text[0].isdigit():
        yield "name", text.replace(",", "")
    if " " not in text:
        yield "email", text


def _leads(word: Word, found: Customer | None) -> bool:
    return found is not None and word.text in found.words[word.kind]


def _customer_ranges(text: str) -> list[tuple[int, int]]:
    found = re.fullmatch(r"cust([0-9]{1,9})", text)
    return _ranges(found[1]) if found else []


# -- policies


def _policies(client: Redis, scope: Scope, directory: Directory, text: str, size: int) -> list[Policy]:
    found = _NUMBERED.fullmatch(text)
    numbered: list[str] = []
    if found and not found[2]:
        wanted = directory.facets(scope, product=found[1])
        numbered = _by_number(client, policies.INDEX, wanted, _ranges(found[3]), size)
    words: list[Word] = []
    if re.fullmatch(r"[a-z0-9]{2,17}", text) and scope.products & {"auto"}:
        (words,) = policies.INDEX.prefixed(client, [("vin", text)], size * _SPARE)
    if not numbered and not words:
        return []
    loaded = policies.load(
        client, list(dict.fromkeys([*numbered, *(each.member for each in words)])), directory=directory
    )
    stale = [each for each in words if not _names(each, loaded.get(each.member))]
    if stale:
        _forget(client, policies.INDEX, stale)
        loaded = {member: each for member, each in loaded.items() if member not in {word.member for word in stale}}
    rows = [each for each in loaded.values() if scope.sees(each.product, each.branch)]
    rows.sort(key=lambda each: (len(each.number), each.number) if each.id in numbered else (99, each.number))
    return policies._with_names(client, rows[:size])


def _names(word: Word, policy: Policy | None) -> bool:
    return policy is not None and word.text == folded(policy.vin or "")


# -- what is found by its whole number


def _quotes(client: Redis, scope: Scope, directory: Directory, text: str) -> list[Quote]:
    found = _NUMBERED.fullmatch(text)
    if not found or not found[2]:
        return []
    products = [found[1]] if found[1] else [product for product in keys.PRODUCTS if product in scope.products]
    number = f"{found[2]}{found[3]}".upper()
    loaded = quotes.load(client, [f"{product}:{number}" for product in products], directory=directory)
    return [each for each in loaded.values() if scope.sees(each.product, each.branch)]


def _claims(client: Redis, scope: Scope, text: str) -> list[Claim]:
    if not re.fullmatch(r"clm[0-9]{1,9}", text):
        return []
    return [each for each in claims.load(client, [text.upper()]).values() if scope.sees(each.product, each.branch)]


# -- places


def _places(client: Redis, text: str, size: int) -> list[Place]:
    (words,) = places.INDEX.prefixed(client, [("name", text.replace(",", ""))], size)
    loaded = places.load(client, [each.member for each in words]) if words else {}
    stale = [each for each in words if each.member not in loaded]
    if stale:
        _forget(client, places.INDEX, stale)
    return list(loaded.values())


# -- numbers


def _ranges(digits: str) -> list[tuple[int, int]]:
    """`1000` -> 1000, 10000 to 10009, 100000 to 100099 and so on: the numbers that begin so. Leading zeros are part of
    no number's score; CUST001 is 1.
    """
    value, zeros = int(digits), len(digits) - len(digits.lstrip("0"))
    longest = 3 - len(digits) if zeros else _LONGEST_NUMBER - len(digits)
    return [(value * 10**more, (value + 1) * 10**more - 1) for more in range(max(longest, 0) + 1)]


def _by_number(client: Redis, index: Index, wanted: Wanted, ranges: Sequence[tuple[int, int]], size: int) -> list[str]:
    """The first members whose number is in one of these ranges, the shortest numbers first. One round trip."""
    if not ranges:
        return []
    pipe = client.pipeline(transaction=False)
    for low, high in ranges:
        for (cell,) in index.plan(wanted):
            pipe.zrange(index.key(cell, "number"), low, high, byscore=True, offset=0, num=size)
    return [member for part in answered(pipe) for member in part or ()]


def _forget(client: Redis, index: Index, stale: Sequence[Word]) -> None:
    """Take out words that lead nowhere by now. One round trip."""
    pipe = client.pipeline(transaction=True)
    for each in stale:
        index.forget(Pipe(pipe), each.member, {each.kind: [each.text]})
    pipe.execute()
