"""FT3, international roaming opened: never before or not for 180 days. A first time is FT1's too, a day later."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.stories import ft1
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at

RULE = "FT3"


def plant(cast: Cast) -> None:
    """One of each."""
    for off, name in ((False, "ft3/opened"), (True, "ft3/opened-and-closed")):
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        on = pen.order(beat(cast.span, 1), "SUBSCRIBE", "ROAMING", due_ms=cast.span.at(1))
        state = "RESOLVED" if off else "RAISED"
        truth = [
            found_at(on, RULE, "roaming for the first time", final_state=state),
            found_at(on, ft1.RULE, "roaming is a service, too", final_state=state),
        ]
        end = [pen.order(beat(cast.span, 3), "CANCEL", "ROAMING", due_ms=cast.span.at(3))] if off else []
        cast.tell(name, customer, live=[on, *end], truth=truth)
    had_it_lately(cast)


def had_it_lately(cast: Cast) -> None:
    customer = cast.take()
    past, pen = cast.pens(customer, "ft3/had-it")
    summer = [
        past.order(local_time.at(cast.span.day(-60), 9), "SUBSCRIBE", "ROAMING"),
        past.order(local_time.at(cast.span.day(-40), 9), "CANCEL", "ROAMING"),
    ]
    on = pen.order(beat(cast.span, 1), "SUBSCRIBE", "ROAMING", due_ms=cast.span.at(1))
    cast.tell("ft3/had-it", customer, history=summer, live=[on])
