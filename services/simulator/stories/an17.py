"""AN17, intent to leave: asks for porting or termination."""

from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at

RULE = "AN17"


def plant(cast: Cast) -> None:
    """One of each."""
    for topic, after, name in (
        ("PORTING", None, "an17/porting"),
        ("TERMINATION", "WITHDRAWN", "an17/stays"),
        ("PORTING", "COMPLETED", "an17/answered"),
    ):
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        asks = pen.inquiry(beat(cast.span, 1), "L1", topic, "OPENED", due_ms=cast.span.at(1))
        later = [pen.inquiry(beat(cast.span, 2), "L1", topic, after, due_ms=cast.span.at(2))] if after else []
        state = "RESOLVED" if after == "WITHDRAWN" else "RAISED"
        truth = [found_at(asks, RULE, f"asks for {topic}", final_state=state, final_priority=1)]
        cast.tell(name, customer, live=[asks, *later], truth=truth)
    customer = cast.take()
    _, pen = cast.pens(customer, "an17/asks-about-tariffs")
    asks = pen.inquiry(beat(cast.span, 1), "L1", "TARIFF", "OPENED", due_ms=cast.span.at(1))
    cast.tell("an17/asks-about-tariffs", customer, live=[asks])
