"""AN9, over allowance: 80 %, 100 %, and the bill's extra fee."""

from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at, month_before

RULE = "AN9"
ALLOWANCE_SECONDS = 1_000


def plant(cast: Cast) -> None:
    """One of each."""
    by_minutes(cast)
    by_bill(cast)


def by_minutes(cast: Cast) -> None:
    """A second short of 80 %, 80 %, and both steps at once, of which the higher counts; incoming calls do not."""
    for seconds, direction, name in (
        (799, "OUT", "an9/nearly"),
        (800, "OUT", "an9/80-percent"),
        (1_000, "OUT", "an9/100-percent"),
        (1_000, "IN", "an9/called-by-others"),
    ):
        customer = cast.take(plan_voice_seconds=ALLOWANCE_SECONDS)
        _, pen = cast.pens(customer, name)
        call = pen.voice(beat(cast.span, 1), seconds, direction=direction, due_ms=cast.span.at(1))
        is_found = seconds >= 800 and direction == "OUT"
        truth = [found_at(call, RULE, f"{seconds} of 1000 seconds", final_priority=3)] if is_found else []
        cast.tell(name, customer, live=[call], truth=truth)


def by_bill(cast: Cast) -> None:
    """30 yuan outside the plan; 30 % of a plan of 58 yuan, and a fen less."""
    for fen, fee, name in (
        (3_000, 12_800, "an9/bill-30-yuan"),
        (1_740, 5_800, "an9/bill-30-percent"),
        (1_739, 5_800, "an9/bill-a-fen-less"),
    ):
        customer = cast.take(plan_fee_fen=fee)
        _, pen = cast.pens(customer, name)
        cycle = month_before(cast.span.first_day)
        bill = pen.bill(beat(cast.span, 1), cycle, fee + fen, due_ms=cast.span.at(1), out_of_bundle_fen=fen)
        truth = [found_at(bill, RULE, f"{fen} outside a plan of {fee}")] if fen != 1_739 else []
        cast.tell(name, customer, live=[bill], truth=truth)
