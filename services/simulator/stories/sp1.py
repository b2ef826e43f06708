"""SP1, birthday: everybody with a birthday in the span, 29 February, the lunar calendar, open complaints.

The birthdays of ordinary customers are truth too; `birthdays` finds them all.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from services.simulator.cast import Cast
from services.simulator.province import Customer
from services.simulator.span import Span
from services.simulator.stories.beats import beat
from services.simulator.truth import Truth, expected

RULE = "SP1"
# First day of the eighth lunar month of 2026 and its solar date, from the almanac.
LUNAR_BIRTHDAY, LUNAR_AS_SOLAR = "08-01", date(2026, 9, 11)


def plant(cast: Cast) -> None:
    """One of each; their truth comes from `birthdays`, apart from the two that only a calendar knows."""
    on_each_tier(cast)
    leap_day(cast)
    lunar(cast)
    with_open_complaint(cast)
    with_confirmed_complaint(cast)
    while_suspended(cast)


def on_each_tier(cast: Cast) -> None:
    for number, tier in enumerate(("TOP", "HIGH", "MID", "LOW")):
        customer = cast.take(tier=tier, birthday=on_day(cast.span, 1 + number % 3, year=1970 + number))
        cast.tell(f"sp1/{tier.lower()}", customer)


def leap_day(cast: Cast) -> None:
    """Not in February: no birthday."""
    cast.tell("sp1/leap-day", cast.take(birthday="1988-02-29"))


def lunar(cast: Cast) -> None:
    """The same month and day by the moon; by the sun it would be another day."""
    customer = cast.take(birthday=LUNAR_BIRTHDAY, birthday_calendar="LUNAR")
    covered = date_in(cast.span, LUNAR_AS_SOLAR)
    truth = [expected(customer.customer_id, RULE, LUNAR_AS_SOLAR, "lunar birthday")] if covered else []
    cast.tell("sp1/lunar", customer, truth=truth)
    customer = cast.take(birthday=on_day(cast.span, 2, year=1979), birthday_calendar="LUNAR")
    cast.tell("sp1/lunar-but-solar-day", customer)


def with_open_complaint(cast: Cast) -> None:
    """Closed is not confirmed: at midnight the complaint is still open."""
    for state in ("OPENED", "CLOSED"):
        name = f"sp1/complaint-{state.lower()}"
        customer = cast.take(birthday=on_day(cast.span, 3, year=1990))
        _, pen = cast.pens(customer, name)
        live = [pen.complaint(beat(cast.span, 2), "SP1-open", "OPENED", due_ms=cast.span.at(2))]
        if state == "CLOSED":
            live.append(pen.complaint(beat(cast.span, 2, 4), "SP1-open", "CLOSED", due_ms=cast.span.at(2)))
        truth = expected(
            customer.customer_id, "AN1", cast.span.day(2), "the complaint itself", trigger=live[0].identity
        )
        cast.tell(name, customer, live=live, truth=[truth])


def with_confirmed_complaint(cast: Cast) -> None:
    customer = cast.take(birthday=on_day(cast.span, 4, year=1991))
    _, pen = cast.pens(customer, "sp1/complaint-confirmed")
    live = [
        pen.complaint(beat(cast.span, 2, 2 * number), "SP1-done", state, due_ms=cast.span.at(2))
        for number, state in enumerate(("OPENED", "CLOSED", "CONFIRMED"))
    ]
    truth = expected(customer.customer_id, "AN1", cast.span.day(2), "confirmed at once", final_state="RESOLVED")
    cast.tell("sp1/complaint-confirmed", customer, live=live, truth=[truth])


def while_suspended(cast: Cast) -> None:
    """The birthday is one all the same; the router keeps the line silent."""
    customer = cast.take(tier="TOP", birthday=on_day(cast.span, 2, year=1975))
    _, pen = cast.pens(customer, "sp1/suspended")
    stop = pen.line_status(beat(cast.span, 0), "SUSPENDED_VOLUNTARY", due_ms=cast.span.at(0))
    truth = expected(customer.customer_id, "NS2", cast.span.day(0), "suspended", trigger=stop.identity)
    cast.tell("sp1/suspended", customer, live=[stop], truth=[truth])


def birthdays(people: Iterable[Customer], span: Span, *, except_for: frozenset[int]) -> Iterator[Truth]:
    """The solar birthdays of everybody on the days whose early morning is lived through.

    except_for: customers with a complaint open on that morning.
    """
    covered = {span.day(number).strftime("%m-%d"): span.day(number) for number in range(1, span.days)}
    for person in people:
        if person.birthday is None or person.birthday_calendar != "SOLAR" or not person.has_profile:
            continue
        day = covered.get(person.birthday[-5:])
        if day is not None and person.customer_id not in except_for:
            yield expected(person.customer_id, RULE, day, "birthday")


def on_day(span: Span, number: int, *, year: int) -> str:
    """A birthday on a live day."""
    return span.day(number).replace(year=year).isoformat()


def date_in(span: Span, day: date) -> bool:
    """True when the early morning of a day is lived through."""
    return span.first_day + timedelta(days=1) <= day <= span.last_day
