"""The seven statutory festivals, and the working day before each. Pure.

Dates follow from the solar and lunar calendars, so they are known for every year; which days are worked is announced
year by year: what chinesecalendar does not know yet is Monday to Friday.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache

import chinese_calendar
from lunardate import LunarDate

FESTIVALS = (
    "", "new-year", "spring-festival", "qingming", "labour-day", "dragon-boat", "mid-autumn", "national-day",
)  # fmt: skip
"""Codes of the festivals by number."""
MOST = 2
"""How many festivals can have the same working day before."""
_EPOCH = date(1970, 1, 1)
_HORIZON_DAYS = 16
"""No festival is further from the working day before."""
_FRIDAY = 4


def is_working_day(day: date) -> bool:
    """True for days on which offices work, make-up working days included."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() <= _FRIDAY


@lru_cache(maxsize=8)
def festivals_of(year: int) -> tuple[tuple[date, int], ...]:
    """Return the festivals of a year in order: date, number."""
    of_century = year % 100
    qingming = int(of_century * 0.2422 + 4.81) - of_century // 4
    found = (
        date(year, 1, 1),
        LunarDate(year, 1, 1).to_solar_date(),
        date(year, 4, qingming),
        date(year, 5, 1),
        LunarDate(year, 5, 5).to_solar_date(),
        LunarDate(year, 8, 15).to_solar_date(),
        date(year, 10, 1),
    )
    return tuple(sorted((day, number) for number, day in enumerate(found, 1)))


@lru_cache(maxsize=256)
def festivals_after(day: int) -> tuple[int, int, int, int]:
    """Return the festivals before which a local day is the last working day: number and local day, twice; 0 = none."""
    found = [0, 0, 0, 0]
    for n, (festival, number) in enumerate(_eves(_EPOCH + timedelta(days=day))):
        found[2 * n : 2 * n + 2] = number, (festival - _EPOCH).days
    return found[0], found[1], found[2], found[3]


def _eves(today: date) -> Iterator[tuple[date, int]]:
    if not is_working_day(today):
        return
    last = today + timedelta(days=_HORIZON_DAYS)
    following = next(d for n in range(1, 2 * _HORIZON_DAYS) if is_working_day(d := today + timedelta(days=n)))
    for year in sorted({today.year, last.year}):
        for festival, number in festivals_of(year):
            if today < festival <= min(following, last):
                yield festival, number
