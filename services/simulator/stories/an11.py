"""AN11, arrears or a suspension that is near: at once by an event, or at 09:30 when a forecast has come near."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at
from services.simulator.truth import expected

RULE = "AN11"


def plant(cast: Cast) -> None:
    """One of each; who pays automatically is spared AN4."""
    in_arrears(cast)
    forecast(cast)
    comes_near(cast)


def in_arrears(cast: Cast) -> None:
    for fen, pays, name in ((-1, False, "an11/arrears"), (-5_000, True, "an11/pays"), (0, False, "an11/nothing-left")):
        customer = cast.take(auto_pay=True)
        _, pen = cast.pens(customer, name)
        low = pen.balance(beat(cast.span, 1), fen, due_ms=cast.span.at(1))
        paid = [pen.balance(beat(cast.span, 2), 10_000, "TOP_UP", due_ms=cast.span.at(2))] if pays else []
        state = "RESOLVED" if pays else "RAISED"
        truth = [found_at(low, RULE, "in arrears", final_state=state, final_priority=1)] if fen < 0 else []
        cast.tell(name, customer, live=[low, *paid], truth=truth)


def forecast(cast: Cast) -> None:
    """Suspension in exactly 72 hours; it passes without one, and the next 09:30 clears it."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an11/forecast")
    at_ms = beat(cast.span, 1)
    told = pen.line_status(at_ms, "ACTIVE", due_ms=cast.span.at(1), expected=at_ms + 72 * local_time.HOUR_MS)
    truth = found_at(told, RULE, "forecast within 72 hours", final_state="RESOLVED")
    cast.tell("an11/forecast", customer, live=[told], truth=[truth])


def comes_near(cast: Cast) -> None:
    """Told on Monday for Friday: within 72 hours at 09:30 on Wednesday."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an11/comes-near")
    at_ms = beat(cast.span, 0)
    told = pen.line_status(at_ms, "ACTIVE", due_ms=cast.span.at(0), expected=at_ms + 100 * local_time.HOUR_MS)
    truth = expected(customer.customer_id, RULE, cast.span.day(2), "the forecast came near", final_state="RESOLVED")
    cast.tell("an11/comes-near", customer, live=[told], truth=[truth])
