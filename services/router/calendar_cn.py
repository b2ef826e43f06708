"""Chinese public holidays and make-up working days, from chinesecalendar's data; beyond its years it says so."""

import datetime as dt
import functools

import chinese_calendar

_EPOCH = dt.date(1970, 1, 1)


@functools.lru_cache(maxsize=4096)
def is_rest_day(day: int) -> bool | None:
    """True on weekends and public holidays, False on working days (make-up days too), None beyond the data.

    day: local calendar day since 1970-01-01.
    """
    date = _EPOCH + dt.timedelta(days=day)
    try:
        return bool(chinese_calendar.is_holiday(date))
    except NotImplementedError:
        return None


def last_known_year() -> int:
    """The newest year whose holidays are known; an operator updates the package before it ends."""
    return int(max(date.year for date in chinese_calendar.holidays))
