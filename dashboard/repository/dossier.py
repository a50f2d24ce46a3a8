"""Everything about one customer, put together from the aggregates that hold it; a new one, of whom there is nothing yet;
and changes to one, which their policies tell, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.repository import (
    agents,
    audit,
    claims,
    customers,
    drift,
    groups,
    lapsed,
    payments,
    policies,
    quotes,
    sessions,
)
from dashboard.repository.agents import Scope
from dashboard.repository.audit import Record
from dashboard.repository.claim_records import Claim
from dashboard.repository.customers import Customer
from dashboard.repository.drift import Drift
from dashboard.repository.groups import Membership
from dashboard.repository.index import Page
from dashboard.repository.lapsed import Ended
from dashboard.repository.payments import Payment
from dashboard.repository.policies import Policy
from dashboard.repository.quotes import Quote
from dashboard.repository.sessions import Session
from dashboard.repository.store import Change, change, next_number
from dashboard.repository.values import answered, day

MOST = 50
"""Policies, quotes and claims of one customer that the page shows of each."""

EVENTS = 60

Kind = Literal["customer", "policy", "quote", "claim", "payment", "login"]


@dataclass(frozen=True)
class Event:
    """One moment in a customer's time with the company; `day` where no more of it is known."""

    at: datetime
    kind: Kind
    what: str
    text: str
    day: date | None = None


@dataclass(frozen=True)
class Dossier:
    """One customer as a whole, as far as this person may see it. `hidden` counts the policies of other branches."""

    customer: Customer
    drift: Drift
    policies: Sequence[Policy]
    hidden: int
    quotes: Page[Quote]
    ended: Page[Ended]
    claims: Sequence[Claim]
    sessions: Sequence[Session]
    payments: Page[Payment]
    groups: Membership
    moves: Sequence[Record]
    timeline: Sequence[Event]


def known(client: Redis, customer: str) -> bool:
    """Whether anything at all is known of this number: a key of theirs, something that names them, or a group that they
    stand in. One round trip, four more where nothing but a group may know them.
    """
    pipe = client.pipeline(transaction=False)
    pipe.exists(*_naming(customer))
    pipe.sismember(keys.multi_policy(), customer)
    return any(answered(pipe)) or groups.membership(client, customer).any


def _naming(customer: str) -> list[str]:
    """What is there as soon as anything is theirs: their keys, and the cells of the indexes of what names a customer."""
    cells = (
        (policies.INDEX, "number"), (quotes.INDEX, "deadline"), (lapsed.INDEX, "ended"), (claims.INDEX, "deadline"),
        (payments.INDEX, "date"),
    )  # fmt: skip
    named = [index.key(index.cell(customer=customer), sort) for index, sort in cells]
    return [*keys.customer_keys(customer), *named]


def create(facts: Mapping[str, str], *, by: str, token: str | None = None) -> str:
    """A new customer from the form's facts (as `customers.facts_of` names them). Gives their number, CUST011. Raises
    Invalid.
    """

    def action(draft: Change) -> str:
        number = _free_number(draft)
        customers.add(draft, number, facts, by=by)
        return number

    return change(action, token=token)


def edit(customer: str, facts: Mapping[str, str], *, seen: str, by: str, token: str | None = None) -> str:
    """Change who somebody is and what they prefer; fields that `facts` lacks stay. Where they are called something else by
    now, the details of their policies, which tell it, follow. Gives what was changed, in words. `seen` is the Customer.seen
    that the editor looked at. Raises Conflict when it is another by now, and Invalid.
    """

    def action(draft: Change) -> str:
        done = customers.rewrite(draft, customer, facts, seen=seen, by=by)
        if done is None:
            return "Nothing was changed."
        if done.was and done.name != done.was:
            policies.rename(draft, customer, done.was, done.name, by=by)
        return done.words

    return change(action, token=token)


def _free_number(draft: Change) -> str:
    """A number of which nothing is known, watched so that it stays so. Customers are known by number alone, too: a quote
    of CUST010, who has no profile, must not become that of whoever comes next. Seven round trips for each that is taken.
    """
    while True:
        number = f"CUST{next_number('customer', 1):03}"
        # Sessions have the number of a person, who may be of the staff: by themselves they make nobody a customer.
        sessions_of = sessions.INDEX.key(sessions.INDEX.cell(person=number), "deadline")
        draft.watch(*_naming(number), sessions_of)
        if not known(draft.client, number) and not draft.client.exists(sessions_of):
            return number


def of(client: Redis, scope: Scope, customer: str) -> Dossier:
    """Some 45 round trips, whatever the number of things."""
    found = drift.of(client, customer)
    directory = agents.directory(client)
    loaded = policies.load(client, found.held[:MOST], directory=directory)
    held = [each for each in loaded.values() if scope.sees(each.product, each.branch)]
    live = quotes.listing(client, scope, quotes.Filter(customer=customer), size=MOST)
    ended = lapsed.listing(client, scope, lapsed.Filter(customer=customer, hows=lapsed.HOWS), size=MOST)
    filed = _claims(client, scope, customer)
    paid = payments.of_customer(client, customer)
    moves = [each for each in audit.history(client, audit.CUSTOMER, customer) if _is_move(each)]
    things = _things(customer, held, [*live.rows, *ended.rows], filed)
    records = list(audit.histories(client, things, limit=EVENTS))
    texts = policies.told_to(client, scope, [record.text for _, _, record in records])
    records = [(*of, replace(record, text=text)) for (*of, record), text in zip(records, texts, strict=True)]
    events = [*_recorded(records), *_told(found.customer), *_paid(paid.rows), *_begun(held), *_filed(filed)]
    return Dossier(
        customer=found.customer,
        drift=found.to(policies.named_to(client, scope, found.policies)) if found.policies else found,
        policies=held,
        hidden=len(found.held) - len(held) if len(found.held) <= MOST else 0,
        quotes=live,
        ended=ended,
        claims=filed,
        sessions=sessions.of_person(client, customer, size=MOST),
        payments=paid,
        groups=groups.membership(client, customer),
        moves=moves,
        timeline=sorted(events, key=lambda each: each.at, reverse=True)[:EVENTS],
    )


def _claims(client: Redis, scope: Scope, customer: str) -> list[Claim]:
    """Undecided ones first. Seven round trips or so."""
    names = client.zrange(claims.INDEX.key(claims.INDEX.cell(customer=customer), "deadline"), 0, MOST - 1)
    loaded = claims.load(client, names)
    rows = [loaded[name] for name in names if name in loaded and loaded[name].customer == customer]
    return [each for each in rows if scope.sees(each.product, each.branch)]


def _things(
    customer: str, held: Iterable[Policy], quoted: Iterable[Quote | Ended], filed: Iterable[Claim]
) -> list[tuple[keys.Family, tuple[str, ...]]]:
    """What has a history of its own."""
    found: list[tuple[keys.Family, tuple[str, ...]]] = [(audit.CUSTOMER, (customer,))]
    found += [(audit.POLICY, (each.product, each.number)) for each in held]
    found += [(audit.QUOTE, (each.product, each.number)) for each in quoted]
    return found + [(audit.CLAIM, (each.number,)) for each in filed]


_KINDS: dict[keys.Family, Kind] = {
    audit.CUSTOMER: "customer", audit.POLICY: "policy", audit.QUOTE: "quote", audit.CLAIM: "claim",
}  # fmt: skip


def _recorded(records: Iterable[tuple[keys.Family, tuple[str, ...], Record]]) -> Iterator[Event]:
    for family, parts, record in records:
        kind = _KINDS[family]
        what = "Customer" if kind == "customer" else f"{kind.capitalize()} {' '.join(reversed(parts))}"
        yield Event(record.at, kind, what, record.text, record.at.date() if record.to_the_day else None)


def _told(customer: Customer) -> Iterator[Event]:
    since = day(customer.since or "")
    if since and _named(since):
        yield Event(_midnight(since), "customer", "Customer", "A customer since this day.", since)
    if customer.last_login:
        yield Event(customer.last_login, "login", "Portal", "Signed in last.")
    if customer.last_payment:
        yield Event(customer.last_payment, "payment", "Payment", "Paid last.")


def _paid(paid: Iterable[Payment]) -> Iterator[Event]:
    for each in paid:
        if each.at:
            yield Event(each.at, "payment", f"Payment {each.transaction}", each.text, each.day)


def _begun(held: Iterable[Policy]) -> Iterator[Event]:
    for each in held:
        if each.effective and each.effective <= clock.today() and _named(each.effective):
            text = f"In force: {each.subject}" if each.subject else "In force."
            yield Event(
                _midnight(each.effective), "policy", f"Policy {each.number} {each.product}", text, each.effective
            )


def _filed(filed: Iterable[Claim]) -> Iterator[Event]:
    for each in filed:
        if each.incident:
            yield Event(each.incident, "claim", f"Claim {each.number}", f"It happened: {each.summary or 'a loss'}")


def _named(day: date) -> bool:
    """The first and the last year have moments that other zones cannot name."""
    return 1 < day.year < 9999


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=clock.zone())


def _is_move(record: Record) -> bool:
    return record.text.startswith(("Segment changed", "Tier changed"))
