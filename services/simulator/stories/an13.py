"""AN13, data use jump or fall: a week against four, with a least mean."""

from collections.abc import Iterator

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.events import Event, Pen
from services.simulator.stories.beats import beat
from services.simulator.truth import expected

RULE = "AN13"
WEEK_KIB = 600_000


def plant(cast: Cast) -> None:
    """One of each; the evaluation is at 06:00 of the second Monday."""
    if cast.span.days <= 7:
        return
    for mean, week, is_found, name in (
        (WEEK_KIB, 240_000, True, "an13/falls"),
        (WEEK_KIB, 240_001, False, "an13/falls-a-little-less"),
        (WEEK_KIB, 1_500_000, True, "an13/jumps"),
        (WEEK_KIB, 1_499_999, False, "an13/jumps-a-little-less"),
        (512_000, 1_000, True, "an13/least-mean"),
        (511_999, 1_000, False, "an13/below-the-least-mean"),
    ):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        live = [pen.usage(beat(cast.span, 2), "DATA", week, due_ms=cast.span.at(2))]
        why = f"{week} KiB against {mean}"
        truth = [expected(customer.customer_id, RULE, cast.span.day(7), why, final_priority=3)] if is_found else []
        cast.tell(name, customer, history=list(four_weeks(cast, past, mean)), live=live, truth=truth)


def four_weeks(cast: Cast, pen: Pen, week_kib: int) -> Iterator[Event]:
    """Data in each of the four weeks before."""
    for back in range(1, 5):
        yield pen.usage(local_time.at(cast.span.day(-7 * back + 3), 20), "DATA", week_kib)
