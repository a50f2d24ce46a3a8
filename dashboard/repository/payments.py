"""Payments: `audit:payment:transaction:TXN001`, a line of text kept for seven years to the day, listed by time and by
customer. Recorded here, or by the payment of a claim, or by other tools.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Invalid
from dashboard.repository import audit, customers
from dashboard.repository.index import UNKNOWN, Cursor, Entry, Index, Page
from dashboard.repository.store import Change, change, next_number
from dashboard.repository.values import amount, dollars, fits_text, labelled, moment, plain, read_strings, readable

INDEX = Index("payments", patterns=((), ("customer",)), sorts=("date",), domains={}, lookups=("customer",))

LARGEST = Decimal(1_000_000_000)
"""Dollars; more than this is a slip of the hand."""
LONGEST = 200
EXPORTED = 500
_FIRST = 1_001
"""The first number that we give: TXN-1001, a form of its own. Other tools count TXN001 on, and never meet ours."""


@dataclass(frozen=True)
class Filter:
    """What the list is restricted to. `since`, `until`: Unix ms, the second not included."""

    customer: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class Payment:
    """One payment as its record tells it: `Customer: CUST001 | Amount: 1200 | Date: 2024-08-18`. Dollars."""

    transaction: str
    customer: str | None
    amount: Decimal | None
    at: datetime | None
    text: str

    @property
    def key(self) -> str:
        return keys.payment_audit(self.transaction)

    @property
    def day(self) -> date | None:
        """Where no more than the day is told."""
        return self.at.date() if self.at and "T" not in labelled(self.text).get("date", "") else None


def of_customer(client: Redis, customer: str, *, size: int = 20) -> Page[Payment]:
    """A customer's payments, the latest first. Four round trips at most."""
    return INDEX.things(
        client, {"customer": [customer]}, "date", size, load=partial(load, client),
        facets=lambda each: {"customer": each.customer or UNKNOWN}, refresh=refresh, descending=True,
    )  # fmt: skip


def listing(client: Redis, wanted: Filter, *, cursor: Cursor | None = None, size: int = 50) -> Page[Payment]:
    """One page of payments, the latest first. Four round trips at most."""
    return INDEX.things(
        client, {"customer": [wanted.customer]} if wanted.customer else {}, "date", size, load=partial(load, client),
        facets=lambda each: {"customer": each.customer or UNKNOWN}, refresh=refresh, cursor=cursor, descending=True,
        low=wanted.since, high=None if wanted.until is None else wanted.until - 1,
    )  # fmt: skip


def every(client: Redis, wanted: Filter) -> Iterator[Payment]:
    """All payments that the filter finds, the latest first, read a page at a time."""
    cursor: Cursor | None = None
    while True:
        page = listing(client, wanted, cursor=cursor, size=EXPORTED)
        yield from page.rows
        if page.next is None:
            return
        cursor = page.next


def record(customer: str, paid: Decimal, on: date, *, by: str, note: str = "", token: str | None = None) -> str:
    """Put a payment on record, for seven years to the day. `paid`: dollars; `on`: the day it came in. Gives its number.
    Raises Invalid. The customer's `last_payment` follows, where this is the latest.
    """
    note = note.strip()
    _check(customer, paid, on, note)

    def action(draft: Change) -> str:
        if not customers.exists(draft.client, customer):
            raise Invalid({"customer": f"There is no customer {customer}."})
        transaction = _free_number(draft)
        latest = keys.customer_field(customer, "last_payment")
        draft.watch(latest)
        draft.require("string", [latest])
        parts = [f"Customer: {customer}", f"Amount: {plain(paid)}", f"Date: {on.isoformat()}"]
        text = " | ".join([*parts, *([f"Note: {note}"] if note else []), f"By: {by}"])
        at, today = clock.now_ms(), clock.today()
        until = clock.end_of_day(clock.years_later(today, audit.PAYMENT_YEARS))
        audit.add(draft, keys.payment_audit(transaction), text, at, until, by=by)
        told = clock.iso(clock.now()) if on == today else f"{on.isoformat()}T00:00:00Z"
        before = moment(draft.client.get(latest) or "")
        if before is None or before < datetime.fromisoformat(told):
            draft.set(latest, told)
        known = INDEX.known_places(draft.client, [transaction])[transaction]
        INDEX.put(draft, transaction, _entry(_payment(transaction, text)), known)
        draft.event("payments", transaction)
        draft.event("customers", customer)
        return transaction

    return change(action, token=token)


def _free_number(draft: Change) -> str:
    """A number that no tool has given. Two round trips for each that is tried."""
    while True:
        transaction = f"TXN-{next_number('transaction', _FIRST)}"
        name = keys.payment_audit(transaction)
        draft.watch(name)
        if not draft.client.exists(name):
            return transaction


def _check(customer: str, paid: Decimal, on: date, note: str) -> None:
    wrong = {
        "customer": "" if keys.is_customer(customer) else "Give a customer's number, such as CUST001.",
        "amount": "" if 0 < paid <= LARGEST and paid == round(paid, 2) else f"More than 0, at most {dollars(LARGEST)}.",
        "day": "" if date(1900, 1, 1) <= on <= clock.today() else "It cannot lie in the future.",
        "note": ""
        if len(note) <= LONGEST and fits_text(note)
        else f"One line of at most {LONGEST} characters, without |.",
    }
    found = {name: words for name, words in wrong.items() if words}
    if found:
        raise Invalid(found)


def load(client: Redis, transactions: Iterable[str]) -> dict[str, Payment]:
    """Payments by transaction, those that are on record. One or two round trips."""
    names = {each: keys.payment_audit(each) for each in transactions if keys.is_identifier(each)}
    values = read_strings(client, list(names.values()))
    return {each: _payment(each, raw) for each, key in names.items() if isinstance(raw := values[key], str)}


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these payments. Four round trips."""
    entries = {each: _entry(payment) for each, payment in load(client, members).items()}
    return INDEX.settle(client, dict.fromkeys(members) | entries, force=force)


def _payment(transaction: str, raw: str) -> Payment:
    text = readable(raw)[:2_000]
    told = labelled(text)
    customer = told.get("customer", "")
    return Payment(
        transaction=transaction,
        customer=customer if keys.is_customer(customer) else None,
        amount=amount(told.get("amount", "")),
        at=moment(told.get("date", "")),
        text=text,
    )


def _entry(payment: Payment) -> Entry:
    at = max(clock.ms(payment.at), 0) if payment.at else 0
    return Entry({"customer": payment.customer or UNKNOWN}, {"date": at})
