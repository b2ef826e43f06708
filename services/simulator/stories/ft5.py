"""FT5, first landing abroad: a country not seen for a year; ends with the return."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at

RULE = "FT5"


def plant(cast: Cast) -> None:
    """One of each."""
    for leaves, name in ((False, "ft5/lands"), (True, "ft5/lands-and-leaves")):
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        landed = pen.roaming(beat(cast.span, 1), "JP", "LANDED", due_ms=cast.span.at(1))
        left = [pen.roaming(beat(cast.span, 3), "JP", "LEFT", due_ms=cast.span.at(3))] if leaves else []
        truth = found_at(landed, RULE, "first landing in JP", final_state="RESOLVED" if leaves else "RAISED")
        cast.tell(name, customer, live=[landed, *left], truth=[truth])
    been_there(cast)


def been_there(cast: Cast) -> None:
    customer = cast.take()
    past, pen = cast.pens(customer, "ft5/been-there")
    trip = [
        past.roaming(local_time.at(cast.span.day(-60), 9), "JP", "LANDED"),
        past.roaming(local_time.at(cast.span.day(-55), 9), "JP", "LEFT"),
    ]
    landed = pen.roaming(beat(cast.span, 1), "JP", "LANDED", due_ms=cast.span.at(1))
    cast.tell("ft5/been-there", customer, history=trip, live=[landed])
