"""FT4, first fee inquiry in two months: found at 06:00 of the next day; urgent when the last bill rose."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import past_bills
from services.simulator.truth import expected

RULE = "FT4"


def plant(cast: Cast) -> None:
    """One of each."""
    after_bills(cast)
    asked_before(cast)
    other_topic(cast)


def after_bills(cast: Cast) -> None:
    """Without bills, after a bill 20 % greater than the one before, and after one a fen short of it."""
    for bills, priority, name in (
        ((), 4, "ft4/asks"),
        ((5_000, 6_000), 2, "ft4/asks-after-a-rise"),
        ((5_000, 5_999), 4, "ft4/asks-after-a-small-rise"),
    ):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        asked = pen.inquiry(beat(cast.span, 1), "Q1", "FEE", "COMPLETED", due_ms=cast.span.at(1))
        again = pen.inquiry(beat(cast.span, 1, 5), "Q2", "FEE", "COMPLETED", due_ms=cast.span.at(1))
        why = f"first fee inquiry, bills {bills}"
        truth = expected(customer.customer_id, RULE, cast.span.day(2), why, final_priority=priority)
        cast.tell(name, customer, history=past_bills(cast, past, *bills), live=[asked, again], truth=[truth])


def asked_before(cast: Cast) -> None:
    """On the last day of the sixty before, and a day earlier."""
    for back, name in ((60, "ft4/asked-60-days-before"), (61, "ft4/asked-61-days-before")):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        before = past.inquiry(local_time.at(cast.span.day(1 - back), 12), "Q0", "FEE", "COMPLETED")
        asked = pen.inquiry(beat(cast.span, 1), "Q1", "FEE", "COMPLETED", due_ms=cast.span.at(1))
        truth = [expected(customer.customer_id, RULE, cast.span.day(2), "61 days")] if back == 61 else []
        cast.tell(name, customer, history=[before], live=[asked], truth=truth)


def other_topic(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "ft4/other-topic")
    cast.tell(
        "ft4/other-topic",
        customer,
        live=[pen.inquiry(beat(cast.span, 1), "Q1", "TARIFF", "COMPLETED", due_ms=cast.span.at(1))],
    )
