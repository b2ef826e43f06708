"""Local days, months, nominal hours and birthdays. Pure; the zone is Asia/Shanghai, which has had no summer time
since 1992."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from lunardate import LunarDate

from services.detector.engine.customer.festivals import festivals_after

TZ_MS = 8 * 3_600_000
DAY_MS = 86_400_000
MINUTE_MS = 60_000
DAY0 = 10_957
CATCH_UP_DAYS_MAX = 62
"""How many local days of missed nominal hours are caught up; the rings hold nothing older."""
EVERY = ("day", "monday", "month")
_EPOCH = date(1970, 1, 1)
_MONDAY = 3  # day 0 of the epoch was a Thursday; (day + 3) % 7 is 0 on Mondays


def months_of_days() -> npt.NDArray[np.int32]:
    """Return, per local day from 2000-01-01 to 2100, its month: months since 2000."""
    days = np.arange("2000-01-01", "2100-01-03", dtype="datetime64[D]")
    return (days.astype("datetime64[M]").astype(np.int32) - 360).astype(np.int32)


def local_day(at_ms: int) -> int:
    """Return the local day of an instant, days since 1970."""
    return (at_ms + TZ_MS) // DAY_MS


def local_midnight(day: int) -> int:
    """Return the instant at which a local day begins."""
    return day * DAY_MS - TZ_MS


def date_of(day: int) -> date:
    """Return the date of a local day."""
    return _EPOCH + timedelta(days=day)


def local_text(at_ms: int) -> str:
    """Return an instant as local date and minute."""
    day, of_day = divmod(at_ms + TZ_MS, DAY_MS)
    minute = of_day // MINUTE_MS
    return f"{date_text(day)} {minute // 60:02d}:{minute % 60:02d}"


@lru_cache(maxsize=1_024)
def date_text(day: int) -> str:
    """Return a local day as YYYY-MM-DD."""
    return date_of(day).isoformat()


def is_monday(day: int) -> bool:
    """True for Mondays."""
    return (day + _MONDAY) % 7 == 0


@dataclass(frozen=True, order=True)
class Slot:
    """A nominal hour: minute of the local day; every day, on Mondays, or on the first day of the month."""

    minute: int
    every: str

    def is_on(self, day: int) -> bool:
        """True when this slot exists on the day."""
        if self.every == "monday":
            return is_monday(day)
        return self.every == "day" or date_of(day).day == 1


def nominal_instants(after_ms: int, until_ms: int, minutes: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield (instant, local day, minute of the day) of every nominal minute in (after, until], in order of time.

    Of a longer outage only the last CATCH_UP_DAYS_MAX days are caught up.
    """
    last_day = local_day(until_ms)
    first_day = max(local_day(after_ms), last_day - CATCH_UP_DAYS_MAX)
    for day in range(first_day, last_day + 1):
        for minute in sorted(minutes):
            at = local_midnight(day) + minute * MINUTE_MS
            if after_ms < at <= until_ms:
                yield at, day, minute


def calendar_of(day: int) -> tuple[int, ...]:
    """Return what rules may ask of a local day: its birthdays, then the festivals of which it is the working day
    before."""
    return (*birthdays_of(day), *festivals_after(day))


@lru_cache(maxsize=256)
def birthdays_of(day: int) -> tuple[int, int, int, int]:
    """Return the birthdays (month * 100 + day) that are kept on a local day: solar, solar extra, lunar, lunar extra.

    Extra: 29 February in years without it, on the 28th; the 30th of a lunar month that has 29 days, on the 29th.
    A leap lunar month has no birthdays of its own; 0 = none.
    """
    today = date_of(day)
    solar = today.month * 100 + today.day
    has_29_february = (date(today.year, 3, 1) - timedelta(days=1)).day == 29
    extra = 229 if solar == 228 and not has_29_february else 0
    lunar = LunarDate.from_solar_date(today.year, today.month, today.day)
    if lunar.is_leap_month:
        return solar, extra, 0, 0
    tomorrow = today + timedelta(days=1)
    next_lunar = LunarDate.from_solar_date(tomorrow.year, tomorrow.month, tomorrow.day)
    lunar_extra = lunar.month * 100 + 30 if lunar.day == 29 and next_lunar.day == 1 else 0
    return solar, extra, lunar.month * 100 + lunar.day, lunar_extra
