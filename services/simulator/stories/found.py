"""Rows of the truth and months of the calendar, as the stories of many rules write them."""

from datetime import date, timedelta

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.events import Event, Pen
from services.simulator.truth import Truth, expected


def found_at(
    event: Event, rule_id: str, why: str, *, final_state: str | None = None, final_priority: int | None = None
) -> Truth:
    """The moment of an event, for its local date."""
    customer_id = event.body["customer_id"]
    assert isinstance(customer_id, int)
    return expected(
        customer_id,
        rule_id,
        local_time.local_date(event.occurred_at_ms),
        why,
        final_state=final_state,
        final_priority=final_priority,
        trigger=event.identity,
    )


def month_before(day: date, months: int = 1) -> str:
    """The month so many before that of a day, as a bill's cycle."""
    first = day.replace(day=1)
    for _ in range(months):
        first = (first - timedelta(days=1)).replace(day=1)
    return first.strftime("%Y-%m")


def past_bills(cast: Cast, pen: Pen, *totals_fen: int, **fields: int) -> list[Event]:
    """Bills of the months before the last closed one, the newest last; each made at the beginning of the next month."""
    bills = []
    for back, total in enumerate(reversed(totals_fen), start=2):
        made_on = date.fromisoformat(f"{month_before(cast.span.first_day, back - 1)}-01")
        cycle = month_before(cast.span.first_day, back)
        bills.append(pen.bill(local_time.at(made_on, 3, back), cycle, total, **fields))
    return bills[::-1]
