"""Finding anything by what it begins with, as one types: names, phone numbers, e-mails, places, policy numbers, VINs.

Words stand in order (Index.prefixed), numbers are stretches of the index by number: the cost is that of the few that are
shown, at a hundred customers and at a million. What is found is read again, so nobody is shown what they may not see,
and a word that leads to something else by now is taken out.

Everybody may find every customer: whoever picks up the phone has to know who calls. Policies, quotes and claims are
found as they are seen elsewhere, by branch and product.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from dashboard.repository.values import answered, distinct

SHORTEST = 2
"""Characters from which on anything is looked for."""

LONGEST = 80
EXPORTED = 500
"""Customers read in one go where all that are found are."""

HELD = 20
"""Policies by which customers are looked for while somebody types: reading five times as many (_SPARE) is what it costs."""

Fields = Mapping[str, Sequence[str]]
"""Which fields of a policy are read, by product."""

_OWNED: Fields = {
    "auto": ("customer", "agent", "vehicle_vin"),
    "home": ("customer", "agent"),
    "life": ("customer", "agent"),
}
"""What tells whose a policy is, who may see it, and by which VIN it is found."""

_LONGEST_NUMBER = 9
"""Digits of the numbers that a few typed ones may begin."""

_SHORTEST_END = 4
"""Characters from which on the end of a VIN is looked for: fewer begin too many."""

_STALE = 2
"""Things more than are shown that are read, for those that are gone by now."""

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
        quotes=_quotes(client, scope, directory, text, size),
        claims=_claims(client, scope, directory, text, size),
        places=_places(client, text, size),
    )


def people(client: Redis, scope: Scope, typed: str, *, size: int = 50) -> tuple[list[Customer], bool]:
    """The customers whom the text finds, by themselves or by a policy that this person may see, and whether there may be
    more. Six round trips.
    """
    text = folded(typed)[:LONGEST]
    if len(text) < SHORTEST:
        return [], False
    found, _ = _customers(client, text, size)
    if len(found) == size:
        return found, True
    held = _policies(client, scope, agents.directory(client), text, HELD, _OWNED)
    rows = list(_met_first(set(), [*found, *_owners(client, held)]))
    return rows[:size], len(rows) > size or len(held) == HELD


def everybody(client: Redis, scope: Scope, typed: str) -> Iterator[Customer]:
    """All customers whom `people` finds, each once, however many. Some four round trips for each 500."""
    text = folded(typed)[:LONGEST]
    if len(text) < SHORTEST:
        return
    met: set[str] = set()
    for low, high in _customer_ranges(text):
        yield from _met_first(
            met, (each for each in _in_range(client, low, high) if each.id.casefold().startswith(text))
        )
    for kind, asked in _asked(text):
        for words in customers.INDEX.begun(client, kind, asked, EXPORTED):
            loaded = customers.load(client, [each.member for each in words])
            fitting = [loaded[each.member] for each in words if _leads(each, loaded.get(each.member))]
            yield from _met_first(met, fitting)
    for held in _every_policy(client, scope, agents.directory(client), text):
        yield from _met_first(met, _owners(client, held))


def _in_range(client: Redis, low: int, high: int) -> Iterator[Customer]:
    for members in _pages(client, customers.INDEX, {}, low, high):
        yield from customers.listed(client, members).values()


def _pages(client: Redis, index: Index, wanted: Wanted, low: int, high: int) -> Iterator[Sequence[str]]:
    """The members whose number is from low to high, EXPORTED at a time. One round trip for each."""
    cursor = None
    while True:
        found = index.page(client, wanted, "number", EXPORTED, cursor=cursor, low=low, high=high)
        yield found.members
        cursor = found.next
        if cursor is None:
            return


def _owners(client: Redis, held: Sequence[Policy]) -> list[Customer]:
    """Whom these policies name, in their order. Two round trips at most, none for no policies."""
    named = distinct(each.customer for each in held)
    loaded = customers.load(client, named, always=True) if named else {}
    return [loaded[each] for each in named if each in loaded]


def _met_first(met: set[str], found: Iterable[Customer]) -> Iterator[Customer]:
    for each in found:
        if each.id not in met:
            met.add(each.id)
            yield each


# -- customers


def _customers(client: Redis, text: str, size: int) -> tuple[list[Customer], dict[str, str]]:
    for _ in range(3):
        words = customers.INDEX.prefixed(client, list(_asked(text)), size)
        numbered = _by_number(client, customers.INDEX, {}, _customer_ranges(text), size)
        leads = {each.member: each for found in reversed(words) for each in reversed(found)}
        wanted = list(dict.fromkeys([*numbered, *(each.member for found in words for each in found)]))
        loaded = customers.listed(client, wanted)
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


def _policies(
    client: Redis, scope: Scope, directory: Directory, text: str, size: int, fields: Fields = policies.LISTED
) -> list[Policy]:
    numbered: list[str] = []
    if ranges := _policy_ranges(text):
        numbered = _by_number(client, policies.INDEX, _of_product(scope, directory, text), ranges, size)
    asked = _asked_vins(scope, text)
    words = [each for part in policies.INDEX.prefixed(client, asked, size * _SPARE) for each in part] if asked else []
    if not numbered and not words:
        return []
    wanted = dict.fromkeys([*numbered, *(each.member for each in words)])
    loaded = policies.load(client, wanted, fields=fields, directory=directory)
    stale = [each for each in words if not _leads_to_vin(each, loaded.get(each.member))]
    if stale:
        _forget(client, policies.INDEX, stale)
    rows = [each for each in loaded.values() if each.id in numbered or _has_vin(each, text)]
    rows = [each for each in rows if scope.sees(each.product, each.branch)]
    rows.sort(key=lambda each: (len(each.number), each.number) if each.id in numbered else (99, each.number))
    return policies.with_names(client, rows[:size])


def _every_policy(client: Redis, scope: Scope, directory: Directory, text: str) -> Iterator[list[Policy]]:
    """All policies that `_policies` finds, some more than once, EXPORTED at a time. Three round trips for each."""

    def read(members: Iterable[str]) -> list[Policy]:
        loaded = policies.load(client, members, fields=_OWNED, directory=directory)
        return [each for each in loaded.values() if scope.sees(each.product, each.branch)]

    for low, high in _policy_ranges(text):
        for members in _pages(client, policies.INDEX, _of_product(scope, directory, text), low, high):
            yield read(members)
    for kind, asked in _asked_vins(scope, text):
        for words in policies.INDEX.begun(client, kind, asked, EXPORTED):
            yield [each for each in read(word.member for word in words) if _has_vin(each, text)]


def _policy_ranges(text: str) -> list[tuple[int, int]]:
    found = _NUMBERED.fullmatch(text)
    return _ranges(found[3]) if found and not found[2] else []


def _of_product(scope: Scope, directory: Directory, text: str) -> Wanted:
    """The cells of the policies this person may see, of one product where the text names it."""
    found = _NUMBERED.fullmatch(text)
    return directory.facets(scope, product=found[1] if found else None)


def _asked_vins(scope: Scope, text: str) -> list[tuple[str, str]]:
    """Which kinds of words of VINs may begin with the text."""
    if "auto" not in scope.products or not re.fullmatch(r"[a-z0-9]{2,17}", text):
        return []
    end = text[-policies.VIN_END :] if len(text) > policies.VIN_END else text
    return [("vin", text)] + ([("vin-end", end)] if len(text) >= _SHORTEST_END else [])


def _leads_to_vin(word: Word, policy: Policy | None) -> bool:
    return policy is not None and word.text in policies.vin_words(policy.vin).get(word.kind, ())


def _has_vin(policy: Policy, text: str) -> bool:
    """Whether its VIN begins so, or ends so, or its last characters begin so, as one types them."""
    whole = policies.folded_vin(policy.vin)
    return whole.startswith(text) or whole.endswith(text) or whole[-policies.VIN_END :].startswith(text)


# -- quotes and claims


def _quotes(client: Redis, scope: Scope, directory: Directory, text: str, size: int) -> list[Quote]:
    found = _NUMBERED.fullmatch(text)
    if not found or not found[2]:
        return []
    number = found[2] + found[3]
    products = [found[1]] if found[1] else [product for product in keys.PRODUCTS if product in scope.products]
    exact = [f"{product}:{number.upper()}" for product in products]
    begun: list[str] = []
    if found[2] == "q":
        wanted = {} if scope == Scope() and not found[1] else directory.facets(scope, product=found[1])
        begun = _begun(_by_number(client, quotes.INDEX, wanted, _ranges(found[3]), size), number)[: size + _STALE]
    loaded = quotes.load(client, list(dict.fromkeys([*exact, *begun])), directory=directory)
    return [each for each in loaded.values() if scope.sees(each.product, each.branch)][:size]


def _claims(client: Redis, scope: Scope, directory: Directory, text: str, size: int) -> list[Claim]:
    """Of every stage. What is another product's is left out once it is read: cells by branch alone are fewer."""
    found = re.fullmatch(r"clm([0-9]{1,9})", text)
    if not found:
        return []
    wanted = {} if scope.branches is None else {"branch": directory.visible(scope)}
    # The cells by branch hold other products' claims, too, for those who do not see every product.
    most = size + _STALE if scope.products >= set(keys.PRODUCTS) else size * _SPARE
    begun = _begun(_by_number(client, claims.INDEX, wanted, _ranges(found[1]), size), text)[:most]
    loaded = claims.load(client, list(dict.fromkeys([text.upper(), *begun])), directory=directory)
    return [each for each in loaded.values() if scope.sees(each.product, each.branch)][:size]


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


def _begun(members: Iterable[str], text: str) -> list[str]:
    """Those whose number, as it is written, begins so, the shortest first."""
    numbers = {member: member.rpartition(":")[2].casefold() for member in members}
    fitting = [member for member, number in numbers.items() if number.startswith(text)]
    return sorted(fitting, key=lambda each: (len(numbers[each]), numbers[each]))


def _forget(client: Redis, index: Index, stale: Sequence[Word]) -> None:
    """Take out words that lead nowhere by now. One round trip."""
    pipe = client.pipeline(transaction=True)
    for each in stale:
        index.forget(Pipe(pipe), each.member, {each.kind: [each.text]})
    pipe.execute()
