"""Policies: kept for ever as strings (`policy:auto:100001:premium`) or as one hash, each wholly in one of the two."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Literal

from django.conf import settings
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Invalid, NotFound
from dashboard.repository import agents, audit, customers, metrics
from dashboard.repository.agents import Directory, Scope
from dashboard.repository.index import NEVER, UNKNOWN, Cursor, Entry, Index, Page, number_score
from dashboard.repository.keyspace import StoredKey, stored
from dashboard.repository.store import Change, change, next_number
from dashboard.repository.values import (
    Problem,
    Raw,
    Reader,
    Wrong,
    distinct,
    dollars,
    fits_text,
    place,
    plain,
    read_strings,
    readable,
)

STATUSES = ("ACTIVE", "PENDING", "SUSPENDED", "CANCELLED", "LAPSED")
OTHER = "OTHER"
"""Facet of a status that is none of STATUSES, or missing."""

RENEWAL_DAYS = 30
EXPORTED = 500
"""Policies read in one go where a whole list is."""
VIN_END = 6
"""Characters of a VIN's end, its serial number, that it is found by."""
FLOORS = {"auto": 100_001, "home": 200_001, "life": 300_001}

_COMMON = (
    "details",
    "status",
    "premium",
    "customer",
    "agent",
    "effective_date",
    "expiration_date",
    "deductible",
    "quote",
)
FIELDS = {
    "auto": (*_COMMON, "vehicle", "vehicle_vin", "coverage_limits"),
    "home": (*_COMMON, "property_address", "property_value", "coverage_type"),
    "life": (*_COMMON, "premium_monthly", "coverage_amount", "term_years"),
}
_LISTED = ("details", "status", "premium", "customer", "agent", "expiration_date")
LISTED = {
    "auto": (*_LISTED, "vehicle", "vehicle_vin"),
    "home": (*_LISTED, "property_address"),
    "life": (*_LISTED, "premium_monthly", "coverage_amount", "term_years"),
}

INDEX = Index(
    "policies",
    patterns=(
        ("branch", "product"),
        ("branch", "product", "status"),
        ("agent", "product", "status"),
        ("zip", "branch", "product"),
        ("customer",),
    ),
    sorts=("number", "expiry", "premium"),
    domains={"product": keys.PRODUCTS, "status": (*STATUSES, OTHER)},
    lookups=("agent", "zip", "customer"),
)

Layout = Literal["strings", "hash"]
Sort = Literal["number", "expiry", "premium"]
SORTS: tuple[Sort, ...] = ("number", "expiry", "premium")


@dataclass(frozen=True)
class Policy:
    """A policy as its own keys tell it. What is missing or unreadable is None; `problems` says what is unreadable.
    Premiums: `premium` in dollars a year, `premium_monthly` a month.
    """

    product: str
    number: str
    layout: Layout
    details: str | None
    status: str | None
    premium: Decimal | None
    premium_monthly: Decimal | None
    customer: str | None
    agent: str | None
    effective: date | None
    expires: date | None
    deductible: Decimal | None
    vehicle: str | None
    vin: str | None
    coverage_limits: str | None
    property_address: str | None
    property_value: Decimal | None
    coverage_type: str | None
    coverage_amount: Decimal | None
    term_years: int | None
    quote: str | None
    branch: str
    customer_name: str | None
    problems: tuple[Problem, ...]

    @property
    def id(self) -> str:
        return f"{self.product}:{self.number}"

    @property
    def subject(self) -> str:
        """What is insured, in a few words."""
        if self.product == "life" and self.coverage_amount:
            return f"Term life {dollars(self.coverage_amount)}" + (
                f", {self.term_years} years" if self.term_years else ""
            )
        return self.vehicle or self.property_address or (self.details or "").partition(" - ")[0]

    @property
    def yearly(self) -> Decimal | None:
        """The premium in dollars a year, whichever of the two the policy has."""
        if self.premium is None and self.premium_monthly is not None:
            return self.premium_monthly * 12
        return self.premium

    @property
    def state(self) -> str:
        """The status that the dates make of the stored one: ACTIVE after its end is EXPIRED, before its start FUTURE."""
        if self.status != "ACTIVE":
            return self.status or "UNKNOWN"
        today = clock.today()
        if self.expires and self.expires < today:
            return "EXPIRED"
        return "FUTURE" if self.effective and self.effective > today else "ACTIVE"

    @property
    def days_left(self) -> int | None:
        return (self.expires - clock.today()).days if self.expires else None

    @property
    def seen(self) -> str:
        """Fingerprint of what a form shows, so that an edit made on an older state is noticed."""
        apart = ("problems", "customer_name", "layout")  # how it is kept is no fact of it
        facts = [getattr(self, name) for name in self.__dataclass_fields__ if name not in apart]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Filter:
    """What a list of policies is restricted to. `within`: days until the expiration date; -1: those that are past it.
    `week`: in which stretch of seven days from today it ends; 0 is the one that begins today.
    """

    product: str | None = None
    status: str | None = None
    agent: str | None = None
    customer: str | None = None
    zip: str | None = None
    within: int | None = None
    week: int | None = None

    @property
    def by_expiry(self) -> bool:
        """Whether this is a stretch of the index by expiry, so that such a list is in that order."""
        return self.within is not None or self.week is not None


# -- reading


def get(client: Redis, product: str, number: str) -> Policy:
    """One policy with every field. Raises NotFound. Three or four round trips."""
    found = load(client, [f"{product}:{number}"], fields=FIELDS)
    if not found:
        raise NotFound(f"There is no {product} policy {number}.")
    return found[f"{product}:{number}"]


def listing(
    client: Redis,
    scope: Scope,
    wanted: Filter,
    *,
    sort: Sort = "number",
    descending: bool = False,
    cursor: Cursor | None = None,
    size: int = 50,
    fields: Mapping[str, Sequence[str]] = LISTED,
) -> Page[Policy]:
    """One page of the policies this person may see. Six round trips at most, whatever the number of policies.

    Entries whose policy is gone or changed behind our back are taken out and the page is read again.
    """
    directory = agents.directory(client)
    facets = _wanted_facets(scope, directory, wanted)
    if wanted.by_expiry:
        sort = "expiry"
    low, high = _window(wanted)
    page = INDEX.things(
        client, facets, sort, size, load=partial(load, client, fields=fields, directory=directory), facets=_facets,
        refresh=refresh, cursor=cursor, descending=descending, low=low, high=high,
    )  # fmt: skip
    return replace(page, rows=with_names(client, page.rows))


def every(
    client: Redis,
    scope: Scope,
    wanted: Filter,
    *,
    sort: Sort = "number",
    descending: bool = False,
    fields: Mapping[str, Sequence[str]] = FIELDS,
) -> Iterator[Policy]:
    """All of a list, page by page as they are asked for. Six round trips for each 500."""
    cursor = None
    while True:
        page = listing(
            client, scope, wanted, sort=sort, descending=descending, cursor=cursor, size=EXPORTED, fields=fields
        )
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def totals(client: Redis, scope: Scope, wanted: Filter) -> dict[str, int]:
    """How many policies of each product the list would show, for the chips above it. Two round trips."""
    if wanted.zip or wanted.customer or wanted.agent:
        return {}
    products = [product for product in keys.PRODUCTS if product in scope.products]
    found = counts(client, scope, [replace(wanted, product=product) for product in products])
    return dict(zip(products, found, strict=True))


def counts(client: Redis, scope: Scope, wanted: Sequence[Filter]) -> list[int]:
    """How many policies each list would show; none of them by customer or ZIP. Two round trips for all."""
    directory = agents.directory(client)
    queries = [(_wanted_facets(scope, directory, each), *_order_and_window(each)) for each in wanted]
    return INDEX.count(client, queries)


def expiring(client: Redis, scope: Scope, *, days: int = RENEWAL_DAYS, size: int = 5) -> Page[Policy]:
    """Active policies up for renewal within so many days, the next one first."""
    return listing(client, scope, Filter(status="ACTIVE", within=days), sort="expiry", size=size)


def of_customer(client: Redis, customer: str, *, limit: int = 1_000) -> list[str]:
    """Ids of a customer's policies, as the index has them. One round trip."""
    return client.zrange(INDEX.key(INDEX.cell(customer=customer), "number"), 0, limit - 1)


def words_of(client: Redis, members: Iterable[str]) -> dict[str, Mapping[str, Sequence[str]]]:
    """The words that lead to each of these. Three round trips at most."""
    return {member: entry(policy, None).words for member, policy in load(client, members).items()}


def owners(client: Redis, members: Sequence[str]) -> list[str]:
    """The customers under whom the index has these policies. One round trip."""
    places = INDEX.known_places(client, members)
    return distinct(INDEX.facets_of(each).get("customer") for each in places.values() if each)


def zips(client: Redis, members: Sequence[str]) -> dict[str, str]:
    """The ZIP under which the index has each of these, "" where it has none. One round trip."""
    known = INDEX.known_places(client, members) if members else {}
    return {member: INDEX.facets_of(at).get("zip", "") if at else "" for member, at in known.items()}


def named_to(client: Redis, scope: Scope, ids: Iterable[str]) -> frozenset[str]:
    """Those of these ids that may be named to this person: of what they may see, or of nothing at all. Four round trips
    at most, none for who sees everything.
    """
    every = frozenset(ids)
    if scope == Scope():
        return every
    loaded = load(client, every, fields=dict.fromkeys(keys.PRODUCTS, ("agent", "customer", "premium")))
    return every - {each for each, policy in loaded.items() if not scope.sees(policy.product, policy.branch)}


_NAMED = re.compile(rf"\b(?:{'|'.join(keys.PRODUCTS)}):[^\s:*?\[\]{{}}|,;/]*[^\s:*?\[\]{{}}|,;/.]")


def told_to(client: Redis, scope: Scope, texts: Sequence[str]) -> list[str]:
    """These texts (of records) without the ids of policies that this person may not see. Four round trips at most, none
    for who sees everything or where none is named.
    """
    ids = {each for text in texts for each in _NAMED.findall(text)}
    named = named_to(client, scope, ids) if ids else ids
    return [_NAMED.sub(lambda id: id[0] if id[0] in named else "another's policy", text) for text in texts]


def load(
    client: Redis,
    ids: Iterable[str],
    *,
    fields: Mapping[str, Sequence[str]] = LISTED,
    directory: Directory | None = None,
) -> dict[str, Policy]:
    """Policies by id (`auto:100001`), those that exist. Three round trips at most, two for policies kept as strings
    with nothing missing; two more where one is in neither layout.
    """
    wanted = keys.numbered(ids)
    directory = directory or agents.directory(client)
    names = {
        member: {name: keys.policy_field(product, number, name) for name in fields[product]}
        for member, product, number in wanted
    }
    values = read_strings(client, [name for each in names.values() for name in each.values()])
    bare = [each for each in wanted if all(values[name] is None for name in names[each[0]].values())]
    hashes = _read_hashes(client, bare)
    turned = [name for each in bare if each[0] not in hashes for name in names[each[0]].values()]
    if turned:  # gone, or converted from a hash to strings between the two looks
        values |= read_strings(client, turned)
    found = {}
    for member, product, number in wanted:
        if member in hashes:
            found[member] = _from_hash(product, number, hashes[member], directory)
        elif any(values[name] is not None for name in names[member].values()):
            found[member] = policy_of(product, number, "strings", Reader(values, names[member]), directory)
    return found


def branch_of(client: Redis, agent: str) -> str:
    """The branch a policy of this agent belongs to. One round trip."""
    return agents.directory(client).branch_of(agent)


def stored_as(client: Redis, policy: Policy) -> list[StoredKey]:
    """The keys this policy is made of. One round trip."""
    return stored(client, keys.policy_keys(policy.product, policy.number))


# -- writing


def create(facts: Mapping[str, str], product: str, *, by: str, token: str | None = None) -> str:
    """A new policy from its facts (field -> stored text). Gives its id, e.g. `auto:100245`. Raises Invalid."""
    return change(lambda draft: add(draft, product, facts, by=by, why="Created"), token=token)


def add(draft: Change, product: str, facts: Mapping[str, str], *, by: str, why: str) -> str:
    """Record a new policy with its relations and audit record, within a change. Gives its id."""
    check(facts)
    number = _free_number(draft, product)
    member = f"{product}:{number}"
    policy = _with_name(draft.client, from_facts(product, number, facts, agents.directory(draft.client)))
    facts = {**facts, "details": _details(policy)}
    _store_new(draft, product, number, {name: facts[name] for name in FIELDS[product] if facts.get(name)})
    customers.relate(draft, member, customer=policy.customer, premium=policy.yearly, before=(None, None))
    customers.locate(draft, member, now=place(policy.property_address), before=("", ""))
    if _is_first(draft.client, policy.customer):
        metrics.add(draft, {"customer_acquisition": 1}, product=product, agent=policy.agent)
    audit.append(draft, audit.POLICY, product, number, text=f"{why} by {by}: {facts['details']}", by=by)
    _index(draft, policy)
    draft.event("policies", member)
    return member


def _is_first(client: Redis, customer: str | None) -> bool:
    """Whether the customer has no policy yet, by their own list (watched since their relations were recorded) and by
    the index. One round trip.
    """
    if not customer or not keys.is_identifier(customer):
        return False
    pipe = client.pipeline(transaction=False)
    pipe.get(keys.customer_field(customer, "policies"))
    pipe.exists(INDEX.key(INDEX.cell(customer=customer), "number"))
    return not any(pipe.execute())


def edit(product: str, number: str, facts: Mapping[str, str], *, seen: str, by: str, token: str | None = None) -> str:
    """Change a policy's facts (field -> stored text, "" takes one away). Gives what was changed, in words.

    `seen` is the Policy.seen that the editor looked at. Raises Conflict when it is another by now, NotFound, Invalid.
    """
    check(facts)

    def action(draft: Change) -> str:
        draft.watch(*keys.policy_keys(product, number))
        before = get(draft.client, product, number)
        if before.seen != seen:
            raise Conflict(
                "Somebody changed this policy while you were editing it. Saving again keeps what you have here."
            )
        done = rewrite(draft, before, facts, by=by)
        return f"{done.words}." if done else "Nothing was changed."

    return change(action, token=token)


@dataclass(frozen=True)
class Rewritten:
    """What a change does: the policy as it will be, the changed fields as they were stored ("" for none), in words."""

    after: Policy
    was: Mapping[str, str]
    words: str


def rewrite(draft: Change, before: Policy, facts: Mapping[str, str], *, by: str, why: str = "") -> Rewritten | None:
    """Record other facts of a (watched) policy with all that follows from them: details, relations, audit record,
    index, event. `why` goes before the words of the audit record. None, and nothing recorded, where nothing differs.
    """
    product, number, member = before.product, before.number, before.id
    old = raw_facts(draft.client, before)
    # A form shows broken UTF-8 escaped; what comes back as it was shown was not changed.
    changed = {name: value for name, value in facts.items() if value != readable(old.get(name, ""))}
    if not changed:
        return None
    merged = {**old, **changed}
    directory = agents.directory(draft.client)
    after = _with_name(draft.client, from_facts(product, number, merged, directory))
    merged["details"] = changed["details"] = _details(after)
    if merged["details"] == old.get("details"):
        del changed["details"]
    _store(draft, before, changed)
    former = (before.customer, before.yearly)
    customers.relate(draft, member, customer=after.customer, premium=after.yearly, before=former)
    customers.locate(draft, member, now=place(after.property_address), before=place(before.property_address))
    words = "; ".join(
        f"{name.replace('_', ' ').capitalize()} updated from {old.get(name) or 'nothing'} to {value or 'nothing'}"
        for name, value in changed.items()
    )
    audit.append(
        draft, audit.POLICY, product, number, text=f"{why}: {words} by {by}" if why else f"{words} by {by}", by=by
    )
    _index(draft, after)
    draft.event("policies", member)
    now = replace(from_facts(product, number, merged, directory), layout=before.layout)
    return Rewritten(now, {name: old.get(name, "") for name in changed}, words)


def rename(draft: Change, customer: str, was: str, name: str | None, *, by: str) -> None:
    """Record anew the details of a customer's policies that tell their former name. Four round trips, whatever their
    number, and one for each that is kept as a hash.
    """
    held = keys.numbered(of_customer(draft.client, customer))
    if not held:
        return
    draft.watch(*(key for _, product, number in held for key in keys.policy_keys(product, number)))
    for policy in load(draft.client, [member for member, _, _ in held], fields=FIELDS).values():
        if policy.customer != customer or was not in (policy.details or ""):
            continue
        details = _details(replace(policy, customer_name=name))
        _store(draft, policy, {"details": details})
        text = f"{customer} is called {name or 'nothing'}: Details updated from {policy.details} to {details} by {by}"
        audit.append(draft, audit.POLICY, policy.product, policy.number, text=text, by=by)
        draft.event("policies", policy.id)


def _store_new(draft: Change, product: str, number: str, facts: Mapping[str, str]) -> None:
    """Write a new policy in the layout that the setting chooses."""
    if settings.POLICY_LAYOUT == "hash":
        draft.record("HSET", keys.policy(product, number), *(part for pair in facts.items() for part in pair))
        return
    for name, value in facts.items():
        draft.set(keys.policy_field(product, number, name), value)


def _store(draft: Change, policy: Policy, changed: Mapping[str, str]) -> None:
    """Write fields in the layout the policy is in."""
    if policy.layout == "hash":
        root = keys.policy(policy.product, policy.number)
        draft.require("hash", [root])
        for name, value in changed.items():
            draft.record(*(("HSET", root, name, value) if value else ("HDEL", root, name)))
        return
    for name, value in changed.items():
        # A plain SET replaces a value of any type, so a field that another tool broke is mended by an edit.
        field_key = keys.policy_field(policy.product, policy.number, name)
        draft.record(*(("SET", field_key, value) if value else ("UNLINK", field_key)))


def _free_number(draft: Change, product: str) -> str:
    """A number no policy has, watched so that it stays free. Three round trips, more only where others took some."""
    while True:
        number = str(next_number(f"policy-{product}", FLOORS[product]))
        names = keys.policy_keys(product, number)
        draft.watch(*names)
        if not draft.client.exists(*names):
            return number


def check(facts: Mapping[str, str]) -> None:
    """Refuse facts that cannot stand in what is stored. Raises Invalid."""
    wrong = {name: "No | or control characters, please." for name, value in facts.items() if not fits_text(value)}
    for name in ("customer", "agent"):
        if facts.get(name) and not keys.is_identifier(facts[name]):
            wrong[name] = "An identifier has no spaces and none of : * ? [ ] { } | , /"
    if (
        facts.get("effective_date")
        and facts.get("expiration_date")
        and facts["effective_date"] > facts["expiration_date"]
    ):
        wrong["expiration_date"] = "It cannot end before it begins."
    if wrong:
        raise Invalid(wrong)


def _details(policy: Policy) -> str:
    """The customer's one-line form: 2020 Toyota Camry LE - John Smith - $1,200 premium."""
    who = policy.customer_name or policy.customer or ""
    # Where nothing else says what is insured, the subject is what former details began with: not the customer again.
    what = "" if policy.subject in (who, policy.customer) or policy.subject.endswith(" premium") else policy.subject
    parts = [what, who, ""]
    if policy.premium is not None:
        parts[2] = f"{dollars(policy.premium)} premium"
    return " - ".join(part for part in parts if part)


# -- the index


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these policies. Five round trips. Gives how many entries changed.

    Own changes do this in their transaction; this is for what other tools wrote.
    """

    def read(members: Sequence[str]) -> dict[str, Entry]:
        loaded = load(client, members)
        homes = customers.addresses(client, [policy.customer for policy in loaded.values() if policy.customer])
        return {member: entry(policy, homes.get(policy.customer or "")) for member, policy in loaded.items()}

    return INDEX.follow(client, members, read, force=force)


def _index(draft: Change, policy: Policy) -> None:
    """Two round trips."""
    known = INDEX.known_places(draft.client, [policy.id])
    home = customers.addresses(draft.client, [policy.customer or ""]).get(policy.customer or "")
    INDEX.put(draft, policy.id, entry(policy, home), known[policy.id])


def entry(policy: Policy, home: str | None) -> Entry:
    """Where a policy stands in the index. `home` is its customer's address, for one that insures no place."""
    number = number_score(policy.number)
    day = policy.expires.toordinal() if policy.expires else None
    return Entry(
        facets={**_facets(policy), "zip": place(policy.property_address)[1] or place(home)[1]},
        # Unique scores: the day first, then the number.
        scores={
            "number": number,
            "expiry": NEVER if day is None else _day_score(day) + number % 10_000_000_000,
            "premium": customers.premium_score(policy.yearly, policy.number),
        },
        words=vin_words(policy.vin),
    )


def _facets(policy: Policy) -> dict[str, str]:
    """What a policy tells by itself. Its ZIP may be its customer's."""
    return {
        "branch": policy.branch,
        "product": policy.product,
        "status": policy.status if policy.status in STATUSES else OTHER,
        "agent": policy.agent or UNKNOWN,
        "customer": policy.customer or UNKNOWN,
    }


def _day_score(day: int) -> int:
    # Ordinals of all years up to 2191; the product stays below 2^53.
    return min(day, 800_000) * 10_000_000_000


def folded_vin(vin: str | None) -> str:
    """As VINs are compared: lower case, without the spaces and dashes that some write them with."""
    return re.sub(r"[\s-]", "", customers.folded(vin or ""))


def vin_words(vin: str | None) -> dict[str, list[str]]:
    """The whole of a VIN, and its end, which is what people read aloud."""
    whole = folded_vin(vin)
    if not whole:
        return {}
    return {"vin": [whole]} | ({"vin-end": [whole[-VIN_END:]]} if len(whole) > VIN_END else {})


def _order_and_window(wanted: Filter) -> tuple[Sort, float | None, float | None]:
    return ("expiry" if wanted.by_expiry else "number", *_window(wanted))


def _window(wanted: Filter) -> tuple[float | None, float | None]:
    """The stretch of the index by expiry that a filter means."""
    today = clock.today().toordinal()
    if wanted.week is not None:
        first = today + 7 * wanted.week
        return _day_score(first), _day_score(first + 7) - 1
    if wanted.within is None:
        return None, None
    if wanted.within < 0:
        return None, _day_score(today) - 1
    return _day_score(today), _day_score(today + wanted.within + 1) - 1


def _wanted_facets(scope: Scope, directory: Directory, wanted: Filter) -> dict[str, list[str]]:
    facets = directory.facets(
        scope,
        product=wanted.product,
        agent=wanted.agent,
        status=wanted.status,
        zip=wanted.zip,
        customer=wanted.customer,
    )
    if wanted.agent and wanted.zip:
        facets["branch"] = [directory.branch_of(wanted.agent)]  # the cells of a ZIP area are kept by branch
    return facets


# -- from and to what is stored


def _read_hashes(client: Redis, wanted: Sequence[tuple[str, str, str]]) -> dict[str, Raw | dict[str, str]]:
    """What stands at the root keys of policies that have no strings. One round trip, none when there are none."""
    if not wanted:
        return {}
    pipe = client.pipeline(transaction=False)
    for _, product, number in wanted:
        pipe.type(keys.policy(product, number))
        pipe.hgetall(keys.policy(product, number))
    answers = pipe.execute(raise_on_error=False)
    found: dict[str, Raw | dict[str, str]] = {}
    for (member, _, _), kind, content in zip(wanted, answers[0::2], answers[1::2], strict=True):
        if kind != "none":
            found[member] = content if kind == "hash" else Wrong(kind)
    return found


def _from_hash(product: str, number: str, content: Raw | dict[str, str], directory: Directory) -> Policy:
    root = keys.policy(product, number)
    fields = FIELDS[product]
    if not isinstance(content, dict):
        kind = content.kind if isinstance(content, Wrong) else "string"
        wrong = Problem(root, f"holds a {kind}, not a hash")
        empty = policy_of(product, number, "hash", Reader({}, dict.fromkeys(fields, root)), directory)
        return replace(empty, problems=(wrong,))
    names = {name: f"{root} {name}" for name in fields}
    values: dict[str, Raw] = {names[name]: content.get(name) for name in fields}
    return policy_of(product, number, "hash", Reader(values, names), directory)


def from_facts(product: str, number: str, facts: Mapping[str, str], directory: Directory) -> Policy:
    """The policy that these stored texts make, kept as strings."""
    names = {name: keys.policy_field(product, number, name) for name in FIELDS[product]}
    values: dict[str, Raw] = {names[name]: facts.get(name) or None for name in FIELDS[product]}
    return policy_of(product, number, "strings", Reader(values, names), directory)


def policy_of(product: str, number: str, layout: Layout, reader: Reader, directory: Directory) -> Policy:
    """The policy that a reader of its stored facts tells."""
    agent = reader.optional("agent", reader.identifier)
    return Policy(
        product=product,
        number=number,
        layout=layout,
        details=reader.optional("details", reader.text),
        status=reader.optional("status", reader.text),
        premium=reader.optional("premium", reader.amount),
        premium_monthly=reader.optional("premium_monthly", reader.amount),
        customer=reader.optional("customer", reader.identifier),
        agent=agent,
        effective=reader.optional("effective_date", reader.day),
        expires=reader.optional("expiration_date", reader.day),
        deductible=reader.optional("deductible", reader.amount),
        vehicle=reader.optional("vehicle", reader.text),
        vin=reader.optional("vehicle_vin", reader.text),
        coverage_limits=reader.optional("coverage_limits", reader.text),
        property_address=reader.optional("property_address", reader.text),
        property_value=reader.optional("property_value", reader.amount),
        coverage_type=reader.optional("coverage_type", reader.text),
        coverage_amount=reader.optional("coverage_amount", reader.amount),
        term_years=reader.optional("term_years", reader.whole),
        quote=reader.optional("quote", reader.identifier),
        branch=directory.branch_of(agent),
        customer_name=None,
        problems=tuple(reader.problems),
    )


def raw_facts(client: Redis, policy: Policy) -> dict[str, str]:
    """The fields as they are stored, for before and after. One or two round trips."""
    if policy.layout == "hash":
        return client.hgetall(keys.policy(policy.product, policy.number))
    names = {keys.policy_field(policy.product, policy.number, name): name for name in FIELDS[policy.product]}
    values = read_strings(client, list(names))
    return {names[key]: raw for key, raw in values.items() if isinstance(raw, str)}


def _with_name(client: Redis, policy: Policy) -> Policy:
    return with_names(client, [policy])[0]


def with_names(client: Redis, rows: Sequence[Policy]) -> list[Policy]:
    """The same policies with their customers' names. One round trip."""
    known = customers.names(client, [row.customer for row in rows if row.customer])
    return [replace(row, customer_name=known.get(row.customer or "")) for row in rows]


def facts_of(**values: object) -> dict[str, str]:
    """Form values as stored texts: Decimal 1200.00 -> "1200", date -> ISO, None -> ""."""
    return {name: _stored_text(value) for name, value in values.items()}


def _stored_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat() if isinstance(value, date) else str(value).strip()
