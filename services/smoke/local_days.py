"""Local calendar for the checks: Asia/Shanghai is UTC+8 all year. On purpose not the product's own calendar."""

from datetime import date, timedelta

OFFSET_MS = 8 * 3_600_000
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)


def local_date_of_days(days: int | None) -> str:
    """An Avro date (days since 1970) as YYYY-MM-DD; empty for none."""
    return "" if days is None else (EPOCH + timedelta(days=days)).isoformat()


def local_minute_of_day(at_ms: int) -> int:
    """Minutes since local midnight."""
    return (at_ms + OFFSET_MS) % DAY_MS // 60_000


def local_weekday(at_ms: int) -> int:
    """0 = Monday."""
    return (EPOCH + timedelta(days=(at_ms + OFFSET_MS) // DAY_MS)).weekday()
