"""AN14, repeated inquiry: two of one topic within a day or three within a week, none of them completed."""

from services.simulator.cast import Cast
from services.simulator.events import Event, Pen
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at

RULE = "AN14"


def plant(cast: Cast) -> None:
    """One of each."""
    within_a_day(cast)
    within_a_week(cast)
    near_misses(cast)


def within_a_day(cast: Cast) -> None:
    for completed, name in ((False, "an14/twice-in-a-day"), (True, "an14/then-completed")):
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        asked = [
            pen.inquiry(beat(cast.span, 1, n), f"Q{n}", "COVERAGE", "OPENED", due_ms=cast.span.at(1)) for n in (1, 2)
        ]
        done = (
            [pen.inquiry(beat(cast.span, 3), "Q2", "COVERAGE", "COMPLETED", due_ms=cast.span.at(3))]
            if completed
            else []
        )
        truth = found_at(asked[1], RULE, "two within a day", final_state="RESOLVED" if completed else "RAISED")
        cast.tell(name, customer, live=[*asked, *done], truth=[truth])


def within_a_week(cast: Cast) -> None:
    """Three on different days."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an14/three-in-a-week")
    asked = [asks(cast, pen, day, "TARIFF") for day in (0, 2, 4)]
    truth = found_at(asked[2], RULE, "three within a week", final_priority=2)
    cast.tell("an14/three-in-a-week", customer, live=asked, truth=[truth])


def near_misses(cast: Cast) -> None:
    """Two topics; two that were answered at once; two in a week."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an14/two-topics")
    asked = [asks(cast, pen, 1, topic) for topic in ("TARIFF", "COVERAGE")]
    cast.tell("an14/two-topics", customer, live=asked)
    customer = cast.take()
    _, pen = cast.pens(customer, "an14/answered")
    answered = [
        pen.inquiry(beat(cast.span, 1, n), f"Q{n}", "OTHER", "COMPLETED", due_ms=cast.span.at(1)) for n in range(3)
    ]
    cast.tell("an14/answered", customer, live=answered)
    customer = cast.take()
    _, pen = cast.pens(customer, "an14/two-in-a-week")
    cast.tell("an14/two-in-a-week", customer, live=[asks(cast, pen, day, "OTHER") for day in (1, 3)])


def asks(cast: Cast, pen: Pen, day: int, topic: str) -> Event:
    """One more question that nobody answered."""
    number = pen.written + 1
    return pen.inquiry(beat(cast.span, day, number), f"Q{number}", topic, "OPENED", due_ms=cast.span.at(day))
