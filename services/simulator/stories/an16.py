"""AN16, contract ends: 60, 30 and 7 days before, unless renewed; a step that passed before the run is not raised."""

from datetime import timedelta

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.truth import expected

RULE = "AN16"


def plant(cast: Cast) -> None:
    """One of each; the evaluation is at 00:05."""
    for days in (60, 30, 7):
        customer = cast.take(contract_ends_on=(cast.span.day(2) + timedelta(days=days)).isoformat())
        truth = [expected(customer.customer_id, RULE, cast.span.day(2), f"{days} days before", final_priority=3)]
        cast.tell(f"an16/{days}-days", customer, truth=truth)
    cast.tell("an16/passed", cast.take(contract_ends_on=(cast.span.day(0) + timedelta(days=30)).isoformat()))
    renewed(cast)


def renewed(cast: Cast) -> None:
    """Renewed after the moment, and a month before it."""
    ends_on = (cast.span.day(2) + timedelta(days=30)).isoformat()
    customer = cast.take(contract_ends_on=ends_on)
    _, pen = cast.pens(customer, "an16/renews")
    renew = pen.order(beat(cast.span, 4), "RENEW", "VOICE_PLAN", due_ms=cast.span.at(4))
    truth = expected(customer.customer_id, RULE, cast.span.day(2), "renewed two days later", final_state="RESOLVED")
    cast.tell("an16/renews", customer, live=[renew], truth=[truth])
    customer = cast.take(contract_ends_on=ends_on)
    past, _ = cast.pens(customer, "an16/renewed-before")
    before = past.order(local_time.at(cast.span.day(-20), 10), "RENEW", "VOICE_PLAN")
    cast.tell("an16/renewed-before", customer, history=[before])
