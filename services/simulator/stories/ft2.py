"""FT2, new handset: 24 hours and the second local date, testers, models seen before, found at 06:00."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.events import sent_again
from services.simulator.stories.beats import beat
from services.simulator.truth import expected

RULE = "FT2"
NEW_MODEL = "Ginkgo 12"


def plant(cast: Cast) -> None:
    """One of each."""
    changes_in_the_morning(cast)
    around_six(cast)
    swaps_twice(cast)
    tester(cast)
    seen_before(cast)
    back_within_the_day(cast)
    sent_twice(cast)
    without_profile(cast)


def changes_in_the_morning(cast: Cast) -> None:
    """Changed on Monday morning: at six on Tuesday a day has not passed, at six on Wednesday it has."""
    for tier, name in (("MID", "ft2/new"), ("TOP", "ft2/new-top-tier")):
        customer = cast.take(tier=tier)
        _, pen = cast.pens(customer, name)
        change = pen.handset(beat(cast.span, 0), NEW_MODEL, due_ms=cast.span.at(0))
        truth = expected(customer.customer_id, RULE, cast.span.day(2), "new model, 24 h passed at Wednesday's 06:00")
        cast.tell(name, customer, live=[change], truth=[truth])


def around_six(cast: Cast) -> None:
    """Exactly 24 hours at the evaluation, and one second less."""
    for second, found_day, name in ((0, 2, "ft2/exactly-24h"), (1, 3, "ft2/one-second-short")):
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        change = pen.handset(local_time.at(cast.span.day(1), 6, 0, second), NEW_MODEL, due_ms=cast.span.at(1))
        truth = expected(customer.customer_id, RULE, cast.span.day(found_day), f"changed at 06:00:0{second} on Tuesday")
        cast.tell(name, customer, live=[change], truth=[truth])


def swaps_twice(cast: Cast) -> None:
    """Two swaps in two days are no tester; the later one counts, 24 hours after itself."""
    customer = cast.take()
    _, pen = cast.pens(customer, "ft2/two-swaps")
    first = pen.handset(beat(cast.span, 0), "Hazel 1", due_ms=cast.span.at(0))
    second = pen.handset(beat(cast.span, 1), NEW_MODEL, "Hazel 1", due_ms=cast.span.at(1))
    truth = expected(customer.customer_id, RULE, cast.span.day(3), "the second of two swaps")
    cast.tell("ft2/two-swaps", customer, live=[first, second], truth=[truth])


def tester(cast: Cast) -> None:
    """Three and four swaps in two days."""
    for swaps in (3, 4):
        name = f"ft2/tester-{swaps}"
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        times = [(0, "am", 0), (0, "pm", 0), (1, "am", 0), (1, "am", 8)][:swaps]
        live = [
            pen.handset(beat(cast.span, day, number, part), f"Test {index}", due_ms=cast.span.at(day, part))
            for index, (day, part, number) in enumerate(times)
        ]
        cast.tell(name, customer, live=live)


def seen_before(cast: Cast) -> None:
    """Back to the model of July."""
    customer = cast.take()
    past, pen = cast.pens(customer, "ft2/seen-before")
    july = cast.span.history_first_day
    history = [
        past.handset(local_time.at(july, 9), "Iris 7"),
        past.handset(local_time.at(cast.span.day(-50), 9), "Jade 2"),
    ]
    change = pen.handset(beat(cast.span, 0), "Iris 7", "Jade 2", due_ms=cast.span.at(0))
    cast.tell("ft2/seen-before", customer, history=history, live=[change])


def back_within_the_day(cast: Cast) -> None:
    """A borrowed handset for a few hours: the old one of July is current again before 24 hours have passed."""
    customer = cast.take()
    past, pen = cast.pens(customer, "ft2/borrowed")
    history = [past.handset(local_time.at(cast.span.day(-60), 9), "Iris 7")]
    borrowed = pen.handset(beat(cast.span, 0), "Kale 3", "Iris 7", due_ms=cast.span.at(0))
    back = pen.handset(beat(cast.span, 0, 0, "pm"), "Iris 7", "Kale 3", due_ms=cast.span.at(0, "pm"))
    cast.tell("ft2/borrowed", customer, history=history, live=[borrowed, back])


def sent_twice(cast: Cast) -> None:
    """Three copies of one change are one swap, no tester."""
    customer = cast.take()
    _, pen = cast.pens(customer, "ft2/duplicate")
    change = pen.handset(beat(cast.span, 1), NEW_MODEL, due_ms=cast.span.at(1))
    again = [sent_again(change, due_ms=cast.span.at(1)), sent_again(change, due_ms=cast.span.at(1, "pm"))]
    truth = expected(customer.customer_id, RULE, cast.span.day(3), "one change, sent three times")
    cast.tell("ft2/duplicate", customer, live=[change, *again], truth=[truth])


def without_profile(cast: Cast) -> None:
    customer = cast.take(has_profile=False)
    _, pen = cast.pens(customer, "ft2/no-profile")
    cast.tell("ft2/no-profile", customer, live=[pen.handset(beat(cast.span, 0), NEW_MODEL, due_ms=cast.span.at(0))])
