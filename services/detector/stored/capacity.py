"""What of a backtest's moments would have fitted the people there are: per city and day, by priority, then risk. Pure.

Each moment that asks for a call takes one contact; those by SMS or self-service take none.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from schemas.cities import CITIES

_EPOCH = date(1970, 1, 1)
Seat = tuple[int, int, str]
"""Priority, 100 - risk, rule: the order in which calls are made."""


@dataclass(frozen=True)
class Capacity:
    """Phone managers of the province, spread evenly over its cities, and what one of them does in a day."""

    managers: int = 1_250
    contacts_per_manager: int = 60
    cities: int = len(CITIES)

    def __post_init__(self) -> None:
        if self.managers < 0 or self.contacts_per_manager < 0 or self.cities < 1:
            raise ValueError("managers and contacts want numbers from 0, cities from 1")

    @property
    def contacts_a_day(self) -> int:
        """Contacts of the province in a day."""
        return self.managers * self.contacts_per_manager

    @property
    def contacts_a_city(self) -> int:
        """Contacts of one city in a day."""
        return self.contacts_a_day // self.cities


@dataclass
class Tally:
    """Moments counted as they are found; what counts is the first revision. Tallies of partitions add up."""

    revisions: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    cities: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    calls: dict[tuple[str, str], Counter[Seat]] = field(default_factory=dict)

    def add(self, moment: Mapping[str, Any]) -> None:
        """Count one revision of a moment."""
        self.revisions += 1
        if moment["revision"] != 1:
            return
        day, city = (_EPOCH + timedelta(days=moment["nominal_date"])).isoformat(), moment["city"] or "?"
        self.rules[moment["rule_id"]] += 1
        self.cities[city] += 1
        self.days[day] += 1
        self.channels[moment["channel"]] += 1
        self.cells[moment["rule_id"], city, day] += 1
        if moment["channel"] == "CALL":
            seat = (moment["priority"], 100 - round(moment["risk_score"]), moment["rule_id"])
            self.calls.setdefault((city, day), Counter())[seat] += 1

    def join(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        self.revisions += other.revisions
        for mine, theirs in ((self.rules, other.rules), (self.cities, other.cities), (self.days, other.days),
                             (self.channels, other.channels)):  # fmt: skip
            mine.update(theirs)
        self.cells.update(other.cells)
        for key, seats in other.calls.items():
            self.calls.setdefault(key, Counter()).update(seats)


@dataclass(frozen=True)
class Fit:
    """Calls that were asked for and calls that fitted, by rule, city and day."""

    asked: Mapping[str, Counter[str]]
    fitted: Mapping[str, Counter[str]]

    @property
    def share(self) -> float:
        """Share of the calls that fitted; 1 when none was asked for."""
        asked = self.asked["rule"].total()
        return self.fitted["rule"].total() / asked if asked else 1.0


def fit(tally: Tally, capacity: Capacity) -> Fit:
    """Return what fits when each city makes the most urgent calls of a day first; what is left over is not carried."""
    asked: dict[str, Counter[str]] = {"rule": Counter(), "city": Counter(), "day": Counter()}
    fitted: dict[str, Counter[str]] = {"rule": Counter(), "city": Counter(), "day": Counter()}
    for (city, day), seats in tally.calls.items():
        room = capacity.contacts_a_city
        for seat in sorted(seats):
            taken = min(room, seats[seat])
            room -= taken
            for by, word in (("rule", seat[2]), ("city", city), ("day", day)):
                asked[by][word] += seats[seat]
                fitted[by][word] += taken
    return Fit(asked, fitted)
