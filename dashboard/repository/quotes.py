"""Quotes: alive as long as their root key, 3 to 30 minutes, longer when extended. All keys of one share one deadline."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Invalid, NotFound
from dashboard.repository import agents, audit, customers, funnel, jobs, lapsed, metrics, policies
from dashboard.repository.agents import Directory, Scope
from dashboard.repository.index import NEVER, UNKNOWN, Cursor, Entry, Index, Page, number_score
from dashboard.repository.keyspace import StoredKey, stored
from dashboard.repository.store import Change, change, change_many, next_number
from dashboard.repository.values import (
    Problem,
    Reader,
    amount,
    answered,
    dollars,
    fits_text,
    plain,
    read_strings,
)

RISKS = ("HIGH", "MEDIUM", "LOW")
NO_RISK = "NONE"
"""Facet of a quote whose risk is unknown."""

EXTENSIONS = 2
"""How often an agent may extend a quote; each time by its own lifetime."""
SUPERVISOR_EXTENSIONS = 10

LONGEST_TERM = 60
"""Years that a life policy may run."""

_COMMON = ("customer", "agent", "created", "premium", "risk_level")
FIELDS = {
    "auto": (*_COMMON, "vehicle", "vehicle_vin", "coverage_type", "coverage_limits", "deductible"),
    "home": (*_COMMON, "property_address", "property_value", "coverage_type", "deductible"),
    "life": (*_COMMON, "premium_monthly", "coverage_amount", "term_years", "medical_exam_required"),
}

INDEX = Index(
    "quotes",
    patterns=(
        (),
        ("branch", "product"),
        ("branch", "product", "risk"),
        ("agent", "product", "risk"),
        ("customer",),
    ),
    # By number for the search alone, which looks for what a number begins with.
    sorts=("deadline", "number"),
    domains={"product": keys.PRODUCTS, "risk": (*RISKS, NO_RISK)},
    lookups=("agent", "customer"),
)


# -- how long a quote lives


@dataclass(frozen=True)
class Term:
    """A quote's lifetime in ms, and why it is that long."""

    ms: int
    why: str

    @property
    def minutes(self) -> int:
        return self.ms // clock.MINUTE


HIGH_VALUE = Decimal(2_000)
"""Yearly premium from which an auto quote counts as high in value."""

# The document gives three tables that contradict each other (lines 90-113, 199-212). This is the one that holds: the
# first line that fits decides.
LIFE = Term(30 * clock.MINUTE, "Life quotes hold 30 minutes: the customer has medical questions to think over.")
HIGH_RISK = Term(3 * clock.MINUTE, "High risk: the price holds 3 minutes.")
HIGH_PRICE = Term(15 * clock.MINUTE, "From $2,000 a year a customer gets 15 minutes to decide.")
HOME = Term(15 * clock.MINUTE, "Home quotes hold 15 minutes.")
LOW_RISK = Term(10 * clock.MINUTE, "Low risk: the price holds 10 minutes.")
STANDARD = Term(5 * clock.MINUTE, "The auto market moves fast: the price holds 5 minutes.")
TERMS: tuple[tuple[str, Term, Callable[[str, Decimal | None, str | None], bool]], ...] = (
    ("Life", LIFE, lambda product, premium, risk: product == "life"),
    ("High risk", HIGH_RISK, lambda product, premium, risk: risk == "HIGH"),
    ("Home", HOME, lambda product, premium, risk: product == "home"),
    (
        "Auto from $2,000 a year",
        HIGH_PRICE,
        lambda product, premium, risk: premium is not None and premium >= HIGH_VALUE,
    ),
    ("Auto, low risk", LOW_RISK, lambda product, premium, risk: risk == "LOW"),
    ("Auto", STANDARD, lambda product, premium, risk: True),
)
"""The table as it is shown, and when each line fits: by product, yearly premium in dollars, and risk."""


def term(product: str, premium: Decimal | None, risk: str | None) -> Term:
    """How long a new quote lives. `premium` in dollars a year."""
    return next(life for _, life, fits in TERMS if fits(product, premium, risk))


# -- what a quote is


@dataclass(frozen=True)
class Quote:
    """A live quote. `premium` in dollars a year, `premium_monthly` a month; `deadline` and `lifetime` in (Unix) ms,
    None for a root that another tool wrote without lifetime.
    """

    product: str
    number: str
    summary: str | None
    customer: str | None
    customer_name: str | None
    agent: str | None
    branch: str
    created: datetime | None
    premium: Decimal | None
    premium_monthly: Decimal | None
    risk: str | None
    vehicle: str | None
    vin: str | None
    coverage_type: str | None
    coverage_limits: str | None
    deductible: Decimal | None
    property_address: str | None
    property_value: Decimal | None
    coverage_amount: Decimal | None
    term_years: int | None
    medical_exam: str | None
    deadline: int | None
    lifetime: int
    extensions: int
    problems: tuple[Problem, ...]

    @property
    def id(self) -> str:
        return f"{self.product}:{self.number}"

    @property
    def subject(self) -> str:
        """What is to be insured, in a few words."""
        if self.product == "life" and self.coverage_amount:
            years = f", {self.term_years} years" if self.term_years else ""
            return f"Term life {dollars(self.coverage_amount)}{years}"
        return self.vehicle or self.property_address or lapsed.subject_of(self.summary or "")

    @property
    def yearly(self) -> Decimal | None:
        """The premium in dollars a year, whichever of the two the quote has."""
        if self.premium is not None:
            return self.premium
        return self.premium_monthly * 12 if self.premium_monthly is not None else None

    @property
    def lifetime_minutes(self) -> int:
        return self.lifetime // clock.MINUTE


@dataclass(frozen=True)
class Filter:
    """What a list of quotes is restricted to. `within`: those that end within so many minutes."""

    product: str | None = None
    agent: str | None = None
    customer: str | None = None
    risk: str | None = None
    within: int | None = None


# -- reading


def get(client: Redis, product: str, number: str) -> Quote:
    """A live quote. Raises Expired when it lived once, NotFound when nothing is known of it. Four round trips."""
    found = load(client, [f"{product}:{number}"])
    if found:
        return _with_names(client, list(found.values()))[0]
    past = lapsed.get(client, product, number)
    if past:
        raise Expired(past.sentence)
    raise NotFound(f"There is no {product} quote {number}.")


def listing(
    client: Redis, scope: Scope, wanted: Filter, *, cursor: Cursor | None = None, size: int = 50
) -> Page[Quote]:
    """One page of the live quotes this person may see, the next one to end first. Seven round trips at most."""
    directory = agents.directory(client)
    facets, now = _wanted_facets(scope, directory, wanted), clock.now_ms()
    page = INDEX.things(
        client, facets, "deadline", size, load=partial(load, client, directory=directory), facets=_facets, refresh=refresh,
        cursor=cursor, low=now, high=None if wanted.within is None else now + wanted.within * clock.MINUTE,
    )  # fmt: skip
    return replace(page, rows=_with_names(client, page.rows))


def ids(client: Redis, scope: Scope, wanted: Filter, *, most: int) -> list[str]:
    """Ids of all live quotes of a list, up to `most`, the next to end first. Three round trips for each 200."""
    found: list[str] = []
    cursor = None
    while len(found) < most:
        page = listing(client, scope, wanted, cursor=cursor, size=200)
        found += [quote.id for quote in page.rows]
        cursor = page.next
        if cursor is None:
            break
    return found[:most]


@dataclass(frozen=True)
class Counts:
    """Live quotes: of each product, with high risk, and those that end within a minute and within five."""

    products: Mapping[str, int]
    high_risk: int
    within_minute: int
    within_five: int

    @property
    def total(self) -> int:
        return sum(self.products.values())


def counts(client: Redis, scope: Scope) -> Counts:
    """Two round trips."""
    directory = agents.directory(client)
    now = clock.now_ms()

    def ask(until: float | None = None, **facets: str) -> tuple[dict[str, list[str]], str, float | None, float | None]:
        return _wanted_facets(scope, directory, Filter(**facets)), "deadline", now, until

    products = [product for product in keys.PRODUCTS if product in scope.products]
    queries = [ask(product=product) for product in products]
    queries += [ask(risk="HIGH"), ask(now + clock.MINUTE), ask(now + 5 * clock.MINUTE)]
    *each, high, minute, five = INDEX.count(client, queries)
    return Counts(dict(zip(products, each, strict=True)), high, minute, five)


def load(client: Redis, ids: Iterable[str], *, directory: Directory | None = None) -> dict[str, Quote]:
    """Live quotes by id (`auto:Q001`). A quote without its root is none. Three or four round trips."""
    wanted = keys.numbered(ids)
    if not wanted:
        return {}
    directory = directory or agents.directory(client)
    names = {
        member: {"summary": keys.quote(product, number)}
        | {name: keys.quote_field(product, number, name) for name in FIELDS[product]}
        for member, product, number in wanted
    }
    values = read_strings(client, [name for each in names.values() for name in each.values()])
    pipe = client.pipeline(transaction=False)
    for _, product, number in wanted:
        pipe.pexpiretime(keys.quote(product, number))
        pipe.hmget(keys.quote_terms(product, number), "lifetime", "extensions")
    answers = answered(pipe)
    found = {}
    for (member, product, number), until, kept in zip(wanted, answers[0::2], answers[1::2], strict=True):
        if values[names[member]["summary"]] is not None and until != -2:
            found[member] = _quote(product, number, Reader(values, names[member]), until, kept, directory)
    return found


def as_it_was(client: Redis, ended: lapsed.Ended) -> Quote:
    """A quote that has ended, as far as its facts are kept. Two round trips."""
    reader = Reader(dict(ended.again), {name: name for name in ("summary", *FIELDS[ended.product])})
    quote = _quote(ended.product, ended.number, reader, 0, (), agents.directory(client))
    return _with_names(client, [quote])[0]


def stored_as(client: Redis, quote: Quote) -> list[StoredKey]:
    """The keys this quote is made of. One round trip."""
    return stored(client, _all_keys(quote.product, quote.number))


# -- writing


def create(product: str, facts: Mapping[str, str], *, by: str, token: str | None = None) -> str:
    """A new quote from its facts (field -> stored text). Gives its id, e.g. `auto:Q013`. Raises Invalid."""
    _check(product, facts)

    def action(draft: Change) -> str:
        number = _free_number(draft)
        now = clock.now_ms()
        premium = _yearly(facts)
        life = term(product, premium, facts.get("risk_level") or None)
        deadline = now + life.ms
        kept = {name: facts[name] for name in FIELDS[product] if facts.get(name)}
        kept["created"] = clock.iso(clock.moment(now))
        draft.set_until(keys.quote(product, number), _summary(product, facts), deadline)
        for name, value in kept.items():
            draft.set_until(keys.quote_field(product, number, name), value, deadline)
        terms = keys.quote_terms(product, number)
        draft.record("HSET", terms, "lifetime", life.ms, "extensions", 0)
        draft.expire_at(deadline, terms)
        lapsed.keep(draft, product, number, kept | {"summary": _summary(product, facts)}, deadline)
        metrics.add(draft, {"quotes_generated": 1}, product=product, agent=facts.get("agent"))
        metrics.tally(draft, facts.get("agent"), "quotes_today")
        audit.append(draft, audit.QUOTE, product, number, text=f"Quoted by {by}: {_summary(product, facts)}", by=by)
        _index(draft, product, number, kept, deadline)
        draft.event("quotes", f"{product}:{number}")
        return f"{product}:{number}"

    return change(action, token=token)


def extend(product: str, number: str, *, by: str, limit: int = EXTENSIONS, token: str | None = None) -> int:
    """Give a quote its own lifetime once more, all keys at once. Gives the new deadline in Unix ms. Raises Expired,
    NotFound, or Conflict when it has been extended `limit` times or has no lifetime to extend.
    """

    def action(draft: Change) -> int:
        quote = _watched(draft, product, number)
        if quote.deadline is None:
            raise Conflict(f"Quote {number} has no end that could be moved.")
        if quote.extensions >= limit:
            times = "once" if limit == 1 else f"{limit} times"
            raise Conflict(f"Quote {number} was extended {times} already. A supervisor can extend it further.")
        deadline = quote.deadline + quote.lifetime
        names = _all_keys(product, number)
        pipe = draft.client.pipeline(transaction=False)
        for name in names:
            pipe.pexpiretime(name)
        for name, until in zip(names, pipe.execute(), strict=True):
            # -2: not there. A part that lives longer already (an examination, say) is never cut.
            if until != -2 and until < deadline:
                draft.expire_at(deadline, name)
        terms = keys.quote_terms(product, number)
        draft.record("HSET", terms, "lifetime", quote.lifetime, "extensions", quote.extensions + 1)
        draft.expire_at(deadline, terms)
        lapsed.keep_on(draft, {quote.id: (_stored_facts(quote), deadline)})
        if quote.extensions == 0:
            funnel.add(draft, "extended", product=product, risk=quote.risk, agent=quote.agent)
        until_text = clock.iso(clock.moment(deadline))
        audit.append(draft, audit.QUOTE, product, number, text=f"Extended to {until_text} by {by}", by=by)
        _reindex(draft, quote, deadline)
        draft.event("quotes", quote.id)
        return deadline

    return change(action, token=token)


def withdraw(product: str, number: str, *, by: str, token: str | None = None) -> str:
    """End a quote before its time. Raises Expired, NotFound."""

    def action(draft: Change) -> str:
        quote = _watched(draft, product, number)
        _end(draft, quote, "withdrawn", by)
        audit.append(draft, audit.QUOTE, product, number, text=f"Withdrawn by {by}", by=by)
        return quote.id

    return change(action, token=token)


def bind(
    product: str, number: str, extra: Mapping[str, str], *, effective: date, by: str, token: str | None = None
) -> str:
    """Make the policy: its keys, the customer's relations, the figures, the audit record and the quote's end in one
    transaction. `extra` adds facts (field -> stored text) that the quote lacks. Gives the policy's id. Raises Expired,
    NotFound, Conflict, Invalid.

    Two people at once: the quote's keys are watched, so the second EXEC is refused, reads again, and tells who bound it.
    """

    def action(draft: Change) -> str:
        quote = _watched(draft, product, number)
        for problem in quote.problems:
            # What is shown of such a value is not what is stored: it must not become a policy's.
            raise Conflict(
                f"{problem.key} {problem.what}. It has to be mended, or quoted anew, before it can be bound."
            )
        facts = _policy_facts(quote, extra, effective, by)
        policy = policies.add(draft, product, facts, by=by, why=f"Bound from quote {number}")
        sold = {"policies_sold": 1, "revenue": quote.yearly or Decimal(0)}
        metrics.add(draft, sold, product=product, agent=facts["agent"])  # type: ignore[arg-type]
        metrics.tally(draft, facts["agent"], "policies_sold_today")
        _end(draft, quote, "bound", by, policy)
        audit.append(draft, audit.QUOTE, product, number, text=f"Bound as policy {policy} by {by}", by=by)
        return policy

    return change(action, token=token)


def _watched(draft: Change, product: str, number: str) -> Quote:
    """The quote, with every key of it watched: whatever happens to it from here on undoes this attempt."""
    draft.watch(*_all_keys(product, number))
    return get(draft.client, product, number)


def _end(draft: Change, quote: Quote, how: lapsed.How, by: str, policy: str = "") -> None:
    names = _all_keys(quote.product, quote.number)
    if how == "bound":
        # What the underwriters assessed, and the appointment, have deadlines of their own: the policy does not end them.
        names = [*keys.quote_keys(quote.product, quote.number), keys.quote_terms(quote.product, quote.number)]
    draft.delete(*names)
    lapsed.keep_on(draft, {quote.id: (_stored_facts(quote), quote.deadline)})
    outcome = f"{how}|{by}|{clock.iso(clock.now())}|{policy}"
    draft.set_until(keys.quote_outcome(quote.product, quote.number), outcome, clock.now_ms() + lapsed.KEPT)
    lapsed.mark(draft, how, {quote.id: (_stored_facts(quote), clock.now_ms())})
    known = INDEX.known_places(draft.client, [quote.id])
    INDEX.put(draft, quote.id, None, known[quote.id])
    draft.event("quotes", quote.id)


def _all_keys(product: str, number: str) -> list[str]:
    names = [*keys.quote_keys(product, number), keys.quote_terms(product, number)]
    if product == "life":
        # Underwriting belongs to life quotes alone, whatever other product has the same number.
        names += [keys.underwriting_assessment(number), keys.underwriting_exam(number)]
    return names


def _free_number(draft: Change) -> str:
    """A number no quote has or had, of whatever product, watched so that it stays free."""
    while True:
        number = f"Q{next_number('quote', 1):03}"
        names = [name for product in keys.PRODUCTS for name in _all_keys(product, number)]
        names += [keys.quote_snapshot(product, number) for product in keys.PRODUCTS]
        draft.watch(*names)
        if not draft.client.exists(*names):
            return number


def _policy_facts(quote: Quote, extra: Mapping[str, str], effective: date, by: str) -> dict[str, str]:
    years = quote.term_years or 1 if quote.product == "life" else 1
    if not 1 <= years <= LONGEST_TERM:
        raise Invalid({"term_years": f"The quote's term of {years:,} years cannot be insured. Quote it anew."})
    facts = policies.facts_of(
        status="ACTIVE",
        premium=quote.yearly,
        premium_monthly=quote.premium_monthly,
        customer=quote.customer,
        agent=quote.agent or by,
        effective_date=effective,
        expiration_date=clock.years_later(effective, years),
        deductible=quote.deductible,
        vehicle=quote.vehicle or (quote.subject if quote.product == "auto" else None),
        vehicle_vin=quote.vin,
        coverage_limits=quote.coverage_limits or (quote.coverage_type if quote.product == "auto" else None),
        property_address=quote.property_address,
        property_value=quote.property_value,
        coverage_type=quote.coverage_type,
        coverage_amount=quote.coverage_amount,
        term_years=quote.term_years,
        quote=quote.number,
    )
    facts |= {name: value for name, value in extra.items() if value}
    if not facts["customer"]:
        raise Invalid({"customer": "Say who the customer is: the quote does not."})
    if quote.yearly is None or quote.yearly <= 0:
        raise Invalid({"premium": "The quote has no premium that could be read. Quote it anew."})
    return facts


def _check(product: str, facts: Mapping[str, str]) -> None:
    wrong = {name: "No | or control characters, please." for name, value in facts.items() if not fits_text(value)}
    if not keys.is_identifier(facts.get("customer", "")):
        wrong["customer"] = "A customer number has no spaces and none of : * ? [ ] { } | , /"
    if facts.get("agent") and not keys.is_identifier(facts["agent"]):
        wrong["agent"] = "An agent's number has no spaces and none of : * ? [ ] { } | , /"
    premium = _yearly(facts)
    if premium is None or premium <= 0:
        wrong["premium_monthly" if product == "life" else "premium"] = "Give the premium in dollars, such as 950."
    if wrong:
        raise Invalid(wrong)


def _yearly(facts: Mapping[str, str]) -> Decimal | None:
    monthly = amount(facts.get("premium_monthly", ""))
    return monthly * 12 if monthly is not None else amount(facts.get("premium", ""))


def _summary(product: str, facts: Mapping[str, str]) -> str:
    """The customer's one-line forms: Honda Civic 2023 - Customer: CUST004 - Premium: $950/year."""
    price = f"Premium: {dollars(amount(facts.get('premium', '')) or Decimal(0))}/year"
    subject = facts.get("vehicle") or facts.get("property_address") or "Quote"
    if product == "life":
        sum_insured = (amount(facts.get("coverage_amount", "")) or Decimal(0)) / 1000
        subject = f"Term Life ${plain(sum_insured)}K {facts.get('term_years', '')}Y"
        price = f"Premium: {dollars(amount(facts.get('premium_monthly', '')) or Decimal(0))}/month"
    return f"{subject} - Customer: {facts['customer']} - {price}"


# -- the index


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these quotes; keep the facts that others wrote, and count the quotes
    that have expired. Seven round trips, a dozen more for each AT_ONCE that are new, other or gone. Gives how many entries
    changed.
    """
    known = INDEX.known_places(client, members)
    loaded: dict[str, Quote] = {}

    def read(members: Sequence[str]) -> dict[str, Entry]:
        for member in members:
            loaded.pop(member, None)
        loaded.update(found := load(client, members))
        return {member: _entry(quote) for member, quote in found.items()}

    changed = INDEX.follow(client, members, read, force=force)
    kept = lapsed.snapshots(client, list(loaded))
    other = [m for m, quote in loaded.items() if not lapsed.is_kept(kept[m], _stored_facts(quote), quote.deadline)]
    change_many(other, _keep_facts)
    lapsed.expired([member for member in members if member not in loaded and known[member] is not None])
    return changed


def _keep_facts(draft: Change, members: Sequence[str]) -> None:
    """Another tool wrote these quotes, key by key maybe, or changed them: what is kept of them follows. They are read anew,
    under WATCH: what was found before may be older than what one of us has done to them since.
    """
    draft.watch(*(name for _, product, number in keys.numbered(members) for name in _all_keys(product, number)))
    found = load(draft.client, members)
    if found:
        lapsed.keep_on(draft, {member: (_stored_facts(quote), quote.deadline) for member, quote in found.items()})


def _stored_facts(quote: Quote) -> dict[str, str]:
    """A quote's facts as stored texts, whichever tool wrote it; what it lacks is left out."""
    facts = policies.facts_of(
        summary=quote.summary,
        customer=quote.customer,
        agent=quote.agent,
        risk_level=quote.risk,
        premium=quote.premium,
        premium_monthly=quote.premium_monthly,
        vehicle=quote.vehicle,
        vehicle_vin=quote.vin,
        coverage_type=quote.coverage_type,
        coverage_limits=quote.coverage_limits,
        deductible=quote.deductible,
        property_address=quote.property_address,
        property_value=quote.property_value,
        coverage_amount=quote.coverage_amount,
        term_years=quote.term_years,
        medical_exam_required=quote.medical_exam,
    )
    return {name: text for name, text in facts.items() if text}


def _index(draft: Change, product: str, number: str, facts: Mapping[str, str], deadline: int) -> None:
    member = f"{product}:{number}"
    branch = agents.directory(draft.client).branch_of(facts.get("agent"))
    facets = _facets_of(branch, product, facts.get("risk_level"), facts.get("agent"), facts.get("customer"))
    entry = Entry(facets, _scores(number, deadline))
    INDEX.put(draft, member, entry, INDEX.known_places(draft.client, [member])[member])


def _reindex(draft: Change, quote: Quote, deadline: int) -> None:
    known = INDEX.known_places(draft.client, [quote.id])
    INDEX.put(draft, quote.id, _entry(replace(quote, deadline=deadline)), known[quote.id])


def _entry(quote: Quote) -> Entry:
    return Entry(_facets(quote), _scores(quote.number, quote.deadline))


def _scores(number: str, deadline: int | None) -> dict[str, float]:
    return {"deadline": NEVER if deadline is None else deadline, "number": number_score(number)}


def _wanted_facets(scope: Scope, directory: Directory, wanted: Filter) -> dict[str, list[str]]:
    return directory.facets(
        scope, product=wanted.product, agent=wanted.agent, risk=wanted.risk, customer=wanted.customer
    )


def _facets(quote: Quote) -> dict[str, str]:
    return _facets_of(quote.branch, quote.product, quote.risk, quote.agent, quote.customer)


def _facets_of(branch: str, product: str, risk: str | None, agent: str | None, customer: str | None) -> dict[str, str]:
    return {
        "branch": branch,
        "product": product,
        "risk": risk if risk in RISKS else NO_RISK,
        "agent": agent or UNKNOWN,
        "customer": customer or UNKNOWN,
    }


# -- from what is stored


def _quote(
    product: str, number: str, reader: Reader, until: int, kept: Sequence[str | None], directory: Directory
) -> Quote:
    summary = reader.text("summary")
    told = _told(summary or "")
    premium = reader.amount("premium")
    monthly = reader.optional("premium_monthly", reader.amount)
    if premium is None and monthly is None:
        premium, monthly = told.get("year"), told.get("month")
    risk = (reader.text("risk_level") or "").upper() or None
    agent = reader.identifier("agent")
    yearly = monthly * 12 if monthly is not None else premium
    lifetime, extensions = map(_small_number, kept or (None, None))
    return Quote(
        product=product,
        number=number,
        summary=summary,
        customer=reader.identifier("customer") or _customer_of(summary or ""),
        customer_name=None,
        agent=agent,
        branch=directory.branch_of(agent),
        created=reader.moment("created"),
        premium=premium,
        premium_monthly=monthly,
        risk=risk,
        vehicle=reader.optional("vehicle", reader.text),
        vin=reader.optional("vehicle_vin", reader.text),
        coverage_type=reader.optional("coverage_type", reader.text),
        coverage_limits=reader.optional("coverage_limits", reader.text),
        deductible=reader.optional("deductible", reader.amount),
        property_address=reader.optional("property_address", reader.text),
        property_value=reader.optional("property_value", reader.amount),
        coverage_amount=reader.optional("coverage_amount", reader.amount),
        term_years=reader.optional("term_years", reader.whole),
        medical_exam=reader.optional("medical_exam_required", reader.text),
        deadline=until if until > 0 else None,
        lifetime=lifetime or term(product, yearly, risk).ms,
        extensions=extensions or 0,
        problems=tuple(reader.problems),
    )


def _small_number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch("[0-9]{1,15}", text) else None


def _told(summary: str) -> dict[str, Decimal | None]:
    """The premium in a root's text, by its unit: `... - Premium: $45/month` -> {"month": 45}."""
    found = re.search(r"Premium:\s*(\$?[\d,.]+)/(year|month)", summary)
    return {found[2]: amount(found[1])} if found else {}


def _customer_of(summary: str) -> str | None:
    found = re.search(r"Customer:\s*([^\s|]+)", summary)
    return found[1] if found and keys.is_identifier(found[1]) else None


def _with_names(client: Redis, rows: Sequence[Quote]) -> list[Quote]:
    """One round trip."""
    known = customers.names(client, [row.customer for row in rows if row.customer])
    return [replace(row, customer_name=known.get(row.customer or "")) for row in rows]


def _at(moment_: datetime | None) -> str:
    return f"{moment_.astimezone(clock.zone()):%H:%M:%S}" if moment_ else "an unknown time"


# -- bulk work


def _extend_one(member: str, params: Mapping[str, str], by: str, token: str) -> str:
    product, _, number = member.partition(":")
    extend(product, number, by=by, limit=int(params["limit"]), token=token)
    return "extended"


jobs.register("extend_quotes", _extend_one)
