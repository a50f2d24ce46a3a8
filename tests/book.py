"""Things on the books, made through the repository as the dashboard makes them."""

from __future__ import annotations

from datetime import timedelta

from dashboard import clock
from dashboard.repository import policies, quotes

_AUTO_QUOTE = {"customer": "CUST004", "agent": "AG001", "vehicle": "Honda Civic 2023", "premium": "950"}
_LIFE_QUOTE = {
    "customer": "CUST008", "agent": "AG001", "premium_monthly": "45", "coverage_amount": "500000", "term_years": "20",
}  # fmt: skip
_HOME_QUOTE = {
    "customer": "CUST002",
    "agent": "AG001",
    "property_address": "1 Elm St, Dallas TX 75201",
    "premium": "800",
}
_QUOTES = {"auto": _AUTO_QUOTE, "home": _HOME_QUOTE, "life": _LIFE_QUOTE}


def quote(product: str = "auto", **facts: str) -> str:
    """A live quote's number."""
    return quotes.create(product, {**_QUOTES[product], **facts}, by="AG001").partition(":")[2]


def policy(product: str = "auto", **facts: str) -> str:
    """A policy's number. In force since a month ago, for a year."""
    begins = clock.today() - timedelta(days=30)
    first = {
        "status": "ACTIVE",
        "premium": "1200",
        "customer": "CUST001",
        "agent": "AG001",
        "effective_date": begins.isoformat(),
        "expiration_date": clock.years_later(begins, 1).isoformat(),
    }
    return policies.create({**first, **facts}, product, by="AG001").partition(":")[2]
