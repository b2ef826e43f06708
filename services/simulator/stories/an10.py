"""AN10, make-up charge: 20 yuan, or any in two cycles running."""

from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at, month_before, past_bills

RULE = "AN10"


def plant(cast: Cast) -> None:
    """One of each."""
    for before, fen, name in (
        (0, 2_000, "an10/20-yuan"),
        (0, 1_999, "an10/a-fen-less"),
        (1, 1, "an10/twice"),
    ):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        fee, cycle = customer.plan_fee_fen, month_before(cast.span.first_day)
        history = past_bills(cast, past, fee, make_up_fen=before)
        bill = pen.bill(beat(cast.span, 1), cycle, fee, due_ms=cast.span.at(1), make_up_fen=fen)
        truth = [found_at(bill, RULE, "make-up charge", final_priority=3)] if fen != 1_999 else []
        cast.tell(name, customer, history=history, live=[bill], truth=truth)
