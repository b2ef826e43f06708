"""FT6, first bill after joining or a change of plan."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at, month_before

RULE = "FT6"


def plant(cast: Cast) -> None:
    """One of each; the bill is of the last closed month."""
    cycle = month_before(cast.span.first_day)
    for joined, name in (
        (f"{cycle}-15", "ft6/joined"),
        (f"{month_before(cast.span.first_day, 2)}-15", "ft6/second-bill"),
    ):
        customer = cast.take(joined_on=joined)
        _, pen = cast.pens(customer, name)
        bill = pen.bill(beat(cast.span, 1), cycle, customer.plan_fee_fen, due_ms=cast.span.at(1))
        truth = [found_at(bill, RULE, "first bill after joining", final_priority=3)] if joined.startswith(cycle) else []
        cast.tell(name, customer, live=[bill], truth=truth)
    customer = cast.take()
    past, pen = cast.pens(customer, "ft6/new-plan")
    change = past.order(local_time.at(cast.span.day(-30), 9), "CHANGE", "VOICE_PLAN", effective_on=f"{cycle}-20")
    bill = pen.bill(beat(cast.span, 1), cycle, customer.plan_fee_fen, due_ms=cast.span.at(1))
    truth = [found_at(bill, RULE, "first bill of the new plan")]
    cast.tell("ft6/new-plan", customer, history=[change], live=[bill], truth=truth)
