"""Query parameters, clamped: whatever an address holds, a view gets a value it can use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from django.http import HttpRequest

from dashboard import keys
from dashboard.repository.index import Cursor


def choice(request: HttpRequest, name: str, allowed: Sequence[str]) -> str | None:
    value = request.GET.get(name, "")
    return value if value in allowed else None


def identifier(request: HttpRequest, name: str) -> str | None:
    value = request.GET.get(name, "").strip()
    return value if keys.is_identifier(value) else None


def zip_code(request: HttpRequest, name: str = "zip") -> str | None:
    value = request.GET.get(name, "").strip()
    return value if re.fullmatch(r"[0-9]{5}", value) else None


def whole(request: HttpRequest, name: str, low: int, high: int) -> int | None:
    """The number, brought between low and high; None when it is none."""
    value = request.GET.get(name, "").strip()
    return max(low, min(high, int(value))) if re.fullmatch(r"-?[0-9]{1,9}", value) else None


def day(request: HttpRequest, name: str) -> date | None:
    """A day as date fields send it, 2024-08-18; None for what is none, or has no midnight in every zone."""
    try:
        found = date.fromisoformat(request.GET.get(name, "").strip())
    except ValueError:
        return None
    return found if 1970 < found.year < 2200 else None


def cursor(request: HttpRequest) -> Cursor | None:
    return Cursor.parse(request.GET.get("at"))


def scan_cursor(request: HttpRequest) -> int:
    """Where a walk through a set goes on; 0, its beginning, for what is no such place."""
    value = request.GET.get("at", "")
    return int(value) if re.fullmatch(r"[0-9]{1,19}", value) else 0
