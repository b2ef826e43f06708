"""Local time in Asia/Shanghai, in plain dates: days, weeks from Monday, months."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

MINUTE = 60_000
HOUR = 3_600_000
DAY = 24 * HOUR
FAR = 4_102_444_800_000 - 1
"""The expiry of what never expires."""


@lru_cache(maxsize=4096)
def _date_of_number(number: int) -> date:
    return date(1970, 1, 1) + timedelta(number)


def local_date(at: int) -> date:
    """The date at an instant."""
    return _date_of_number((at + 8 * HOUR) // DAY)


@lru_cache(maxsize=4096)
def midnight(day: date) -> int:
    """The instant at which a local day begins."""
    return int((datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=8)).timestamp() * 1000)


def days(count: int) -> timedelta:
    """So many days."""
    return timedelta(count)


def monday_of(day: date) -> date:
    """The Monday of the week."""
    return day - timedelta(day.weekday())


def month_of(day: date) -> int:
    """The month as a number that counts on over years."""
    return day.year * 12 + day.month - 1


def month_text(month: int) -> str:
    """A month as `YYYY-MM`."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def month_number(text: str) -> int:
    """The month of `YYYY-MM`."""
    year, month = text.split("-")
    return int(year) * 12 + int(month) - 1


def first_day(month: int) -> date:
    """The first day of a month."""
    return date(month // 12, month % 12 + 1, 1)
