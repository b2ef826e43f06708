"""Months of local days, in compiled code and back."""

from datetime import date

import numpy as np

from services.detector.engine.codegen.jit import entry
from services.detector.engine.customer import calendars
from services.detector.engine.customer.bills import years_since_joining
from services.detector.engine.customer.kernel import DAY0, first_day_of, month_of


@entry
def _months(days: np.ndarray, found: np.ndarray) -> None:
    for i in range(days.size):
        found[i] = month_of(days[i])


@entry
def _first_days(months: np.ndarray, found: np.ndarray) -> None:
    for i in range(months.size):
        found[i] = first_day_of(months[i])


@entry
def _years(days: np.ndarray, joined: int, found: np.ndarray) -> None:
    for i in range(days.size):
        found[i] = years_since_joining(found, i, days[i], joined)


def test_every_day_of_a_century_has_its_month() -> None:
    table = calendars.months_of_days().astype(np.int64)
    days = np.arange(DAY0, DAY0 + table.size, dtype=np.int64)
    found = np.zeros_like(days)
    _months(days, found)
    assert (found == table).all()


def test_a_month_begins_where_the_one_before_ends() -> None:
    months = np.arange(0, 1200, dtype=np.int64)
    found = np.zeros_like(months)
    _first_days(months, found)
    assert [calendars.date_of(int(day)).day for day in found] == [1] * 1200
    assert [calendars.date_of(int(day)).month for day in found[:12]] == list(range(1, 13))


def _anniversaries(joined: int) -> dict[str, int]:
    days = np.arange(joined, joined + 2_190, dtype=np.int64)
    found = np.zeros_like(days)
    _years(days, joined, found)
    return {
        calendars.date_of(int(day)).isoformat(): int(years) for day, years in zip(days, found, strict=True) if years
    }


def test_anniversaries_of_a_leap_day_are_on_the_28th_but_for_leap_years() -> None:
    leap_day = (date(2020, 2, 29) - date(1970, 1, 1)).days
    assert _anniversaries(leap_day) == {
        "2021-02-28": 1, "2022-02-28": 2, "2023-02-28": 3, "2024-02-29": 4, "2025-02-28": 5,
    }  # fmt: skip


def test_anniversaries_of_an_ordinary_day() -> None:
    ordinary = (date(2021, 12, 31) - date(1970, 1, 1)).days
    assert list(_anniversaries(ordinary)) == ["2022-12-31", "2023-12-31", "2024-12-31", "2025-12-31", "2026-12-31"]
