"""AN6, monthly spend decline: a bill of 70 % of the mean of three or less."""

from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at, month_before, past_bills

RULE = "AN6"


def plant(cast: Cast) -> None:
    """One of each."""
    for total, name in ((7_000, "an6/declines"), (7_001, "an6/a-fen-more")):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        bill = pen.bill(beat(cast.span, 1), month_before(cast.span.first_day), total, due_ms=cast.span.at(1))
        truth = [found_at(bill, RULE, "70 % of the mean", final_priority=3)] if total == 7_000 else []
        cast.tell(name, customer, history=past_bills(cast, past, 9_000, 10_000, 11_000), live=[bill], truth=truth)
    customer = cast.take()
    past, pen = cast.pens(customer, "an6/two-bills")
    bill = pen.bill(beat(cast.span, 1), month_before(cast.span.first_day), 2_000, due_ms=cast.span.at(1))
    cast.tell("an6/two-bills", customer, history=past_bills(cast, past, 9_000, 10_000), live=[bill])
