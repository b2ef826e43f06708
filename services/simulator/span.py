"""The span of business time that a simulated run covers: history before it, then sessions of live events.

A session is a short stretch of working time at speed 1. Its events have happened in the minutes before it and are sent
in it; between sessions the clock may be moved as far as the runner likes.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from services.simulator import local_time

HISTORY_WEEKS = 9
# Local times of the two sessions of a day. Ten o'clock opens weekends, half past leaves the first hour's jitter behind.
MORNING = (10, 30)
MORNING_FIRST_DAY = (10, 0)
MORNING_WEEKEND = (11, 30)
AFTERNOON = (15, 10)
DEFAULT_FIRST_DAY = date(2026, 9, 7)


@dataclass(frozen=True, kw_only=True)
class Session:
    """One stretch of live events; `day` counts from the first live day."""

    day: int
    part: str
    at_ms: int


@dataclass(frozen=True, kw_only=True)
class Span:
    """First live day (a Monday), how many days are lived through, and which of them have an afternoon session."""

    first_day: date = DEFAULT_FIRST_DAY
    days: int = 8
    afternoons: frozenset[int] = frozenset({0, 1})

    def __post_init__(self) -> None:
        assert self.first_day.weekday() == 0, "the span begins on a Monday"

    @property
    def history_first_day(self) -> date:
        """The Monday nine weeks before the first live day."""
        return self.first_day - timedelta(weeks=HISTORY_WEEKS)

    @property
    def start_ms(self) -> int:
        """When the clock of a run begins: 09:50 of the first live day."""
        return local_time.at(self.first_day, 9, 50)

    @property
    def last_day(self) -> date:
        """The last day of which the morning is lived through."""
        return self.day(self.days - 1)

    def day(self, number: int) -> date:
        """The live day with this number, 0 = the first; negative numbers reach into history."""
        return self.first_day + timedelta(days=number)

    def at(self, number: int, part: str = "am") -> int:
        """When the session of a day begins, UTC milliseconds."""
        day = self.day(number)
        if part == "pm":
            assert number in self.afternoons, f"day {number} has no afternoon session"
            return local_time.at(day, *AFTERNOON)
        if number == 0:
            return local_time.at(day, *MORNING_FIRST_DAY)
        return local_time.at(day, *(MORNING_WEEKEND if day.weekday() >= 5 else MORNING))

    def sessions(self) -> list[Session]:
        """All sessions in order of time."""
        parts = ((day, part) for day in range(self.days) for part in ("am", "pm"))
        return [
            Session(day=day, part=part, at_ms=self.at(day, part))
            for day, part in parts
            if part == "am" or day in self.afternoons
        ]
