"""SP3, joining anniversary: everybody who joined on a day of the span in another year; milestones are more urgent."""

from collections.abc import Iterable, Iterator
from datetime import date

from services.simulator.cast import Cast
from services.simulator.province import Customer
from services.simulator.span import Span
from services.simulator.truth import Truth, expected

RULE = "SP3"
MILESTONES = (5, 10, 15)


def plant(cast: Cast) -> None:
    """One of each; their truth comes from `anniversaries`."""
    for number, years in enumerate((1, 4, 5, 10, 15, 20)):
        cast.tell(f"sp3/{years}-years", cast.take(joined_on=on_day(cast.span, 1 + number % 4, years)))
    cast.tell("sp3/joined-this-week", cast.take(joined_on=on_day(cast.span, 2, 0)))
    cast.tell("sp3/day-before-the-run", cast.take(joined_on=on_day(cast.span, 0, 6)))
    joined = on_day(cast.span, 2, 3)
    cast.tell("sp3/no-profile", cast.take(joined_on=joined, has_profile=False))


def on_day(span: Span, number: int, years: int) -> str:
    """The day of the span with this number, so many years before; 29 February does not lie in it."""
    day = span.day(number)
    return day.replace(year=day.year - years).isoformat()


def anniversaries(people: Iterable[Customer], span: Span) -> Iterator[Truth]:
    """The moments of all days whose first minutes are lived through."""
    days = [span.day(number) for number in range(1, span.days)]
    for person in people:
        joined = date.fromisoformat(person.joined_on)
        for day in days:
            years = day.year - joined.year
            if person.has_profile and years >= 1 and day.strftime("%m-%d") == kept_on(joined, day):
                priority = 4 if years in MILESTONES else 5
                yield expected(person.customer_id, RULE, day, f"{years} years", final_priority=priority)


def kept_on(joined: date, day: date) -> str:
    """Month and day on which the year's anniversary is kept: of 29 February on the 28th in other years."""
    is_leap = day.year % 4 == 0 and (day.year % 100 != 0 or day.year % 400 == 0)
    return "02-28" if (joined.month, joined.day) == (2, 29) and not is_leap else joined.strftime("%m-%d")
