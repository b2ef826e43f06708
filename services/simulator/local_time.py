"""Local calendar of the simulated province: Asia/Shanghai, which is UTC+8 all year round.

Owns the conversions between local dates and UTC milliseconds. Kept apart from every rule on purpose: the truth file
must share no code with what it judges.
"""

from datetime import date, datetime, timedelta, timezone

LOCAL_ZONE = timezone(timedelta(hours=8))
SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def at(day: date, hour: int = 0, minute: int = 0, second: int = 0, milli: int = 0) -> int:
    """UTC milliseconds of a local time of day."""
    local = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=LOCAL_ZONE)
    return int(local.timestamp()) * SECOND_MS + milli


def local_datetime(at_ms: int) -> datetime:
    """The local wall clock at an instant."""
    return datetime.fromtimestamp(at_ms / 1000, tz=LOCAL_ZONE)


def local_date(at_ms: int) -> date:
    """The local calendar day of an instant."""
    return local_datetime(at_ms).date()


def rfc3339(at_ms: int) -> str:
    """An instant as RFC 3339 text with the local offset, to the millisecond."""
    return local_datetime(at_ms).isoformat(timespec="milliseconds")


def monday_of(day: date) -> date:
    """The Monday that begins the week of a day."""
    return day - timedelta(days=day.weekday())
