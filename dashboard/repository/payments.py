"""Payments: `audit:payment:transaction:TXN001`, a line of text kept for seven years, listed by customer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial

from redis import Redis

from dashboard import clock, keys
from dashboard.repository.index import UNKNOWN, Entry, Index, Page
from dashboard.repository.values import amount, labelled, moment, read_strings, readable

INDEX = Index("payments", patterns=(("customer",),), sorts=("date",), domains={}, lookups=("customer",))


@dataclass(frozen=True)
class Payment:
    """One payment as its record tells it: `Customer: CUST001 | Amount: 1200 | Date: 2024-08-18`. Dollars."""

    transaction: str
    customer: str | None
    amount: Decimal | None
    at: datetime | None
    text: str

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
