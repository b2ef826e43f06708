"""AN2, sudden rise: a bill against the three before, and a day against thirty."""

from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at, month_before, past_bills

RULE = "AN2"


def plant(cast: Cast) -> None:
    """One of each."""
    bill_form(cast)
    cold_bill(cast)
    day_form(cast)


def bill_form(cast: Cast) -> None:
    """Twice the mean and 50 yuan more; 50 yuan more but not half as much again; half as much again but not 50 yuan."""
    for before, total, name in (
        (5_000, 10_000, "an2/bill"),
        (5_000, 9_999, "an2/bill-a-fen-less"),
        (20_000, 29_999, "an2/bill-less-than-half-more"),
    ):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        cycle = month_before(cast.span.first_day)
        bill = pen.bill(beat(cast.span, 1), cycle, total, due_ms=cast.span.at(1))
        truth = [found_at(bill, RULE, "the bill rose", final_priority=2)] if name == "an2/bill" else []
        cast.tell(name, customer, history=past_bills(cast, past, before, before, before), live=[bill], truth=truth)


def cold_bill(cast: Cast) -> None:
    """Two bills are no baseline."""
    customer = cast.take()
    past, pen = cast.pens(customer, "an2/two-bills")
    bill = pen.bill(beat(cast.span, 1), month_before(cast.span.first_day), 30_000, due_ms=cast.span.at(1))
    cast.tell("an2/two-bills", customer, history=past_bills(cast, past, 5_000, 5_000), live=[bill])


def day_form(cast: Cast) -> None:
    """Thirty yuan within a day, and a fen less."""
    for fen, name in ((3_000, "an2/day"), (2_999, "an2/day-a-fen-less")):
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        used = pen.usage(beat(cast.span, 1), "DATA", 50_000, charge_fen=fen, due_ms=cast.span.at(1))
        truth = [found_at(used, RULE, "thirty yuan in a day", final_priority=2)] if fen == 3_000 else []
        cast.tell(name, customer, live=[used], truth=truth)
