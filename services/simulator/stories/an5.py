"""AN5, service unusable: a fault is reported, or a line that was used every day is silent for a day."""

from collections.abc import Iterator

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.events import Event, Pen
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at
from services.simulator.truth import expected

RULE = "AN5"


def plant(cast: Cast) -> None:
    """One of each."""
    reported(cast)
    answered_at_once(cast)
    silent(cast)


def reported(cast: Cast) -> None:
    """Ends with the third use that succeeds, not with the second."""
    for uses, name in ((2, "an5/fault"), (3, "an5/works-again")):
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        fault = pen.inquiry(beat(cast.span, 1), "F1", "FAULT", "OPENED", due_ms=cast.span.at(1))
        after = [pen.usage(beat(cast.span, 2, n), "DATA", 10, due_ms=cast.span.at(2)) for n in range(uses)]
        state = "RESOLVED" if uses == 3 else "RAISED"
        truth = found_at(fault, RULE, f"fault, {uses} uses after it", final_state=state, final_priority=1)
        cast.tell(name, customer, live=[fault, *after], truth=[truth])


def answered_at_once(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an5/solved")
    fault = pen.inquiry(beat(cast.span, 1), "F1", "FAULT", "COMPLETED", due_ms=cast.span.at(1))
    cast.tell("an5/solved", customer, live=[fault])


def silent(cast: Cast) -> None:
    """Five uses a day for two weeks, the last on Sunday at 21:30: found at 22:00 on Monday. One less is no habit."""
    for missing, name in ((0, "an5/silent"), (1, "an5/silent-but-rare")):
        customer = cast.take()
        past, _ = cast.pens(customer, name)
        history = list(habit(cast, past))[missing:]
        why = "70 uses in 14 days, then a day without one"
        truth = [expected(customer.customer_id, RULE, cast.span.day(0), why)] if not missing else []
        cast.tell(name, customer, history=history, truth=truth)


def habit(cast: Cast, pen: Pen) -> Iterator[Event]:
    """Five small uses on each of the fourteen days before the run."""
    for back in range(14, 0, -1):
        for hour in (8, 11, 15, 18, 21):
            yield pen.usage(local_time.at(cast.span.day(-back), hour, 30), "DATA", 100)
