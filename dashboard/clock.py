"""Time: aware datetimes in UTC inside, one business time zone outside, deadlines in Unix milliseconds."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def now() -> datetime:
    return datetime.now(UTC)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def zone() -> ZoneInfo:
    """The business's time zone (setting TIME_ZONE): its days begin and end there."""
    return ZoneInfo(settings.TIME_ZONE)


def today() -> date:
    return now().astimezone(zone()).date()


_LAST = 253_370_764_800_000  # 9999-01-01: later moments have no name in every zone


def moment(ms: int) -> datetime:
    """Never fails: other tools set deadlines thousands of years away, which are named as the last year there is."""
    return datetime.fromtimestamp(max(0, min(ms, _LAST)) / 1000, UTC)


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def end_of_day(day: date) -> int:
    """The first millisecond after `day` in the business's zone: 23 or 25 hours away where clocks change."""
    following = day + timedelta(days=1)
    return ms(datetime(following.year, following.month, following.day, tzinfo=zone()))


def iso(at: datetime) -> str:
    """The customer's form of a moment: 2024-08-18T10:30:00Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def years_later(day: date, years: int) -> date:
    """The same day so many years on; 28 February for the 29th."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)
