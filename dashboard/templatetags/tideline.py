"""The words and shapes the templates are written with: icons, money, times, pills, countdowns, fields, links.

Nothing here reads the store; each filter takes a complete value and never fails on a missing or odd one.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import lucide
from django import template
from django.forms import BoundField, CheckboxInput
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboard import clock

register = template.Library()

NONE = "–"
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PAGING = ("at",)

# status word -> (tone, icon); what is unknown is shown as it is, without a colour.
STATUS: dict[str, tuple[str, str]] = {
    "ACTIVE": ("good", "circle-check"),
    "APPROVED": ("good", "circle-check"),
    "BOUND": ("good", "circle-check"),
    "PAID": ("good", "circle-check"),
    "SIGNED IN": ("good", "circle-check"),
    "OPEN": ("info", "circle-dot"),
    "REPORTED": ("info", "circle-dot"),
    "IN_PROGRESS": ("info", "search"),
    "INVESTIGATION": ("info", "search"),
    "INVESTIGATING": ("info", "search"),
    "UNDER_INVESTIGATION": ("info", "search"),
    "AWAITING_APPROVAL": ("warn", "hourglass"),
    "WAITING": ("warn", "hourglass"),
    "CLOSED": ("", "archive"),
    "PENDING": ("warn", "circle-dashed"),
    "UPCOMING": ("info", "calendar-clock"),
    "NOT_YET_EFFECTIVE": ("info", "calendar-clock"),
    "RENEWAL_DUE": ("warn", "calendar-clock"),
    "EXPIRING": ("warn", "clock-alert"),
    "EXPIRED": ("bad", "clock-alert"),
    "LAPSED": ("bad", "clock-alert"),
    "CANCELLED": ("bad", "ban"),
    "CANCELED": ("bad", "ban"),
    "SUSPENDED": ("bad", "ban"),
    "DENIED": ("bad", "circle-x"),
    "WITHDRAWN": ("", "circle-x"),
    "LOCKED": ("bad", "lock"),
    "HIGH": ("bad", "triangle"),
    "MEDIUM": ("", "square"),
    "LOW": ("good", "chevron-down"),
    "NORMAL": ("", "circle-dot"),
    "IDLE": ("", "moon"),
    "VIP": ("info", "diamond"),
}


# ---------------------------------------------------------------- icons


@register.simple_tag
def icon(name: str, css: str = "", label: str = "") -> SafeString:
    """A lucide icon as inline SVG; silent to screen readers unless it is given a label."""
    return _icon(str(name), str(css), str(label))


@lru_cache(maxsize=512)
def _icon(name: str, css: str, label: str) -> SafeString:
    voice = {"role": "img", "aria_label": label} if label else {"aria_hidden": "true"}
    attributes = {"class": f"icon {css}".strip(), **voice}
    return mark_safe(lucide._render_icon(name, 16, **attributes))  # noqa: S308 (the package's own drawing)


# ---------------------------------------------------------------- figures


def _decimal(value: object) -> Decimal | None:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


@register.filter
def money(value: object, unit: str = "") -> str | SafeString:
    """Dollars: whole ones without cents. `{{ premium|money:"yr" }}` adds the unit, small."""
    amount = _decimal(value)
    if amount is None:
        return NONE if value in (None, "") else str(value)
    digits = 0 if amount == amount.to_integral_value() else 2
    text = f"{'−' if amount < 0 else ''}${abs(amount):,.{digits}f}"
    return format_html('{}<span class="unit">/{}</span>', text, unit) if unit else text


@register.filter
def number(value: object) -> str:
    """A count with thousands separated: 1,234."""
    amount = _decimal(value)
    if amount is None:
        return NONE if value in (None, "") else str(value)
    whole = amount == amount.to_integral_value()
    return f"{amount:,.0f}" if whole else f"{amount.normalize():,f}"


@register.filter
def words(value: object) -> str:
    """A stored word as prose: `UNDER_INVESTIGATION` is "Under investigation"."""
    text = str(value if value is not None else "").replace("_", " ").strip()
    return text.upper() if text.upper() in {"VIP", "ZIP"} else text.capitalize()


@register.filter
def key(name: object) -> SafeString:
    """A key's name that may be broken after its colons, and nowhere else while there is room."""
    return format_html_join(mark_safe(":<wbr>"), "{}", ((part,) for part in str(name).split(":")))


@register.filter
def email(address: object) -> SafeString:
    """An address that may be broken behind its @, and nowhere else while there is room."""
    return format_html_join(mark_safe("@<wbr>"), "{}", ((part,) for part in str(address).split("@")))


# ---------------------------------------------------------------- times


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _date_text(day: date) -> str:
    return f"{day.day} {day:%b} {day.year}"


@register.filter
def when(moment: object) -> str | SafeString:
    """A moment in the business's zone, today's by its time alone; UTC on hover."""
    if not isinstance(moment, datetime):
        return NONE if moment in (None, "") else str(moment)
    local = timezone.localtime(moment)
    today = local.date() == timezone.localdate()
    text = f"Today, {local:%H:%M}" if today else f"{_date_text(local.date())}, {local:%H:%M}"
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), _utc(moment), text)


STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")


@register.filter
def moments(text: object) -> str | SafeString:
    """A record's text with its UTC stamps as people read them: in the business's zone, UTC on hover."""
    parts = STAMP.split(str(text))
    return format_html_join("", "{}", ((_moment(part) if at % 2 else part,) for at, part in enumerate(parts)))


def _moment(stamp: str) -> str | SafeString:
    try:
        return when(datetime.fromisoformat(stamp))
    except ValueError:  # looks like one, and is none: 2026-02-30T...
        return stamp


@register.filter
def day(value: object) -> str | SafeString:
    """A date, one written as 2025-03-05, or the date of a moment in the business's zone: 5 Mar 2025."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            pass
    if isinstance(value, datetime):
        value = timezone.localtime(value).date()
    if not isinstance(value, date):
        return NONE if value in (None, "") else str(value)
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), _date_text(value))


@register.filter
def ago(moment: object) -> str | SafeString:
    """How long ago a moment was; it ticks in the browser by `data-since`."""
    if not isinstance(moment, datetime):
        return NONE if moment in (None, "") else str(moment)
    since = int(moment.timestamp() * 1000)
    text = ago_text(int((timezone.now() - moment) / timedelta(milliseconds=1)))
    return format_html(
        '<time datetime="{}" title="{}" data-since="{}">{}</time>',
        timezone.localtime(moment).isoformat(),
        _utc(moment),
        since,
        text,
    )


def ago_text(passed: int) -> str:
    """The words for `passed` ms; tick.js says the same."""
    if passed < MINUTE:
        return "just now"
    return f"{long_text(passed)} ago"


def clock_text(left: int) -> str:
    """Digits for `left` ms: 4:09, 7:03:20, 5 d 3 h, 41 d, 6 y 278 d; tick.js says the same."""
    if left <= 0:
        return "ended"
    seconds = -(-left // 1000)
    if seconds >= 86_400:
        return _days_text(seconds // 3600)
    if seconds >= 3600:
        return f"{seconds // 3600}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
    return f"{seconds // 60}:{seconds % 60:02}"


def long_text(left: int) -> str:
    """Words for a span of ms: 45 s, 12 min, 6 h 12 min, 5 d 3 h, 41 d, 6 y 278 d."""
    if left < MINUTE:
        return f"{max(left, 0) // 1000} s"
    if left < HOUR:
        return f"{left // MINUTE} min"
    if left < 2 * DAY:
        return f"{left // HOUR} h {left % HOUR // MINUTE} min"
    return _days_text(left // HOUR)


def _days_text(hours: int) -> str:
    """The two greatest units; from a month on nobody asks for hours."""
    days, hours = divmod(hours, 24)
    parts = ((days // 365, "y"), (days % 365, "d")) if days >= 730 else ((days, "d"), (hours if days < 30 else 0, "h"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def tone_of_time(left: int, lifetime: int, warn_at: int | None = None) -> str:
    """ok, warn (a fifth of its life, or 3 min), bad (1 min; of what lives for days, a fiftieth), ended."""
    red = lifetime // 50 if lifetime > DAY else MINUTE
    amber = warn_at if warn_at is not None else max(3 * MINUTE, lifetime // 5)
    if left <= 0:
        return "ended"
    return "bad" if left < red else "warn" if left < amber else "ok"


@register.filter
def span(value: object) -> str:
    """A length of time in words: a timedelta, or seconds."""
    if isinstance(value, timedelta):
        return long_text(int(value / timedelta(milliseconds=1)))
    seconds = _decimal(value)
    return NONE if seconds is None else long_text(int(seconds * 1000))


@register.inclusion_tag("parts/countdown.html", takes_context=True)
def countdown(
    context: template.Context,
    deadline: int | datetime | None,
    lifetime: int | None = None,
    words: bool = False,
    warn_at: int | None = None,
) -> dict[str, Any]:
    """Time left until `deadline` (Unix ms or a datetime) of a `lifetime` in ms; None never ends."""
    if isinstance(deadline, datetime):
        deadline = int(deadline.timestamp() * 1000)
    now = context.get("now_ms") or int(timezone.now().timestamp() * 1000)
    if deadline is None:
        return {"deadline": None}
    left, life = int(deadline) - now, int(lifetime or 0)
    text = long_text(left) if words and left > 0 else clock_text(left)
    return {
        "deadline": str(int(deadline)),
        "lifetime": str(life) if life else "",
        "share": min(100, max(0, round(100 * left / life))) if life else 100,
        "text": text,
        "tone": tone_of_time(left, life, warn_at),
        "words": words,
        "warn_at": "" if warn_at is None else str(warn_at),
        "title": _utc(clock.moment(int(deadline))),
    }


# ---------------------------------------------------------------- status


@register.filter
def tone(status: object) -> str:
    """good, warn, bad, info or nothing for a status word."""
    return STATUS.get(str(status).upper(), ("", ""))[0]


@register.filter
def status_icon(status: object) -> str:
    return STATUS.get(str(status).upper(), ("", "circle"))[1]


@register.inclusion_tag("parts/pill.html", name="pill")
def pill_tag(status: object, label: str = "", tone: str | None = None, icon: str = "") -> dict[str, Any]:
    """A status as shape, word and colour; `label`, `tone` and `icon` override what the word means."""
    meaning = STATUS.get(str(status).upper(), ("", "circle"))
    return {
        "label": label or globals()["words"](status) or NONE,
        "tone": meaning[0] if tone is None else tone,
        "icon": icon or meaning[1],
    }


# ---------------------------------------------------------------- links and forms


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: object) -> str:
    """This page's query string with `changes`; None or "" removes. A new filter starts at the first page."""
    request = context.get("request")
    params = request.GET.copy() if request is not None else None
    pairs: dict[str, list[str]] = {k: params.getlist(k) for k in params} if params is not None else {}
    if not set(changes) & set(PAGING):
        changes = dict.fromkeys(PAGING) | changes
    for name, value in changes.items():
        pairs.pop(name, None)
        if value not in (None, ""):
            pairs[name] = [str(value)]
    return "?" + urlencode(pairs, doseq=True)


@register.inclusion_tag("parts/field.html")
def field(bound: BoundField, wide: bool = False) -> dict[str, Any]:
    """A form field: label, control, hint and error, tied together for those who cannot see them. A field of money has its sign
    (`prefix`) before the control.
    """
    hint = f"{bound.auto_id}_hint" if bound.help_text else ""
    error = f"{bound.auto_id}_error" if bound.errors else ""
    attrs: dict[str, str] = {}
    described = " ".join(filter(None, (error, hint)))
    if described:
        attrs["aria-describedby"] = described
    if error:
        attrs["aria-invalid"] = "true"
    return {
        "field": bound,
        "control": bound.as_widget(attrs=attrs),
        "hint_id": hint,
        "error_id": error,
        "check": isinstance(bound.field.widget, CheckboxInput),
        "group": bound.use_fieldset,
        "wide": wide,
        "prefix": getattr(bound.field, "prefix", ""),
    }
