"""FT1, first activation of a kind of service: 24 hours after the order, if it still stands."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at

RULE = "FT1"


def plant(cast: Cast) -> None:
    """One of each."""
    ordered(cast)
    cancelled_afterwards(cast)
    cancelled_within_the_day(cast)
    known_by_the_record(cast)
    had_it_in_summer(cast)
    bundle_of_joining(cast)


def ordered(cast: Cast) -> None:
    customer = cast.take(active_categories=())
    _, pen = cast.pens(customer, "ft1/ordered")
    order = pen.order(beat(cast.span, 1), "SUBSCRIBE", "TV", due_ms=cast.span.at(1), addon=True)
    cast.tell("ft1/ordered", customer, live=[order], truth=[found_at(order, RULE, "first TV", final_state="RAISED")])


def cancelled_afterwards(cast: Cast) -> None:
    """Raised on Wednesday for Tuesday's order, cancelled on Thursday."""
    customer = cast.take(active_categories=())
    _, pen = cast.pens(customer, "ft1/cancelled")
    order = pen.order(beat(cast.span, 1), "SUBSCRIBE", "MUSIC", due_ms=cast.span.at(1), addon=True)
    cancel = pen.order(beat(cast.span, 3), "CANCEL", "MUSIC", due_ms=cast.span.at(3), addon=True)
    truth = found_at(order, RULE, "first music, cancelled later", final_state="RESOLVED")
    cast.tell("ft1/cancelled", customer, live=[order, cancel], truth=[truth])


def cancelled_within_the_day(cast: Cast) -> None:
    customer = cast.take(active_categories=())
    _, pen = cast.pens(customer, "ft1/regretted")
    order = pen.order(beat(cast.span, 0), "SUBSCRIBE", "TV", due_ms=cast.span.at(0), addon=True)
    cancel = pen.order(beat(cast.span, 0, 0, "pm"), "CANCEL", "TV", due_ms=cast.span.at(0, "pm"), addon=True)
    cast.tell("ft1/regretted", customer, live=[order, cancel])


def known_by_the_record(cast: Cast) -> None:
    """The customer record names the service."""
    customer = cast.take(active_categories=("TV",))
    _, pen = cast.pens(customer, "ft1/has-it")
    order = pen.order(beat(cast.span, 1), "SUBSCRIBE", "TV", due_ms=cast.span.at(1), addon=True)
    cast.tell("ft1/has-it", customer, live=[order])


def had_it_in_summer(cast: Cast) -> None:
    customer = cast.take(active_categories=())
    past, pen = cast.pens(customer, "ft1/had-it")
    summer = [
        past.order(local_time.at(cast.span.day(-60), 9), "SUBSCRIBE", "SECURITY", addon=True),
        past.order(local_time.at(cast.span.day(-50), 9), "CANCEL", "SECURITY", addon=True),
    ]
    order = pen.order(beat(cast.span, 1), "SUBSCRIBE", "SECURITY", due_ms=cast.span.at(1), addon=True)
    cast.tell("ft1/had-it", customer, history=summer, live=[order])


def bundle_of_joining(cast: Cast) -> None:
    """Comes with the line within three days of joining; a day later the same is news."""
    for joined, name in ((-2, "ft1/bundle"), (-3, "ft1/bundle-late")):
        customer = cast.take(active_categories=(), joined_on=cast.span.day(joined).isoformat())
        _, pen = cast.pens(customer, name)
        order = pen.order(
            beat(cast.span, 1), "SUBSCRIBE", "DATA_PACK", due_ms=cast.span.at(1), addon=True, bundled=True
        )
        truth = [found_at(order, RULE, "four days after joining")] if joined == -3 else []
        cast.tell(name, customer, live=[order], truth=truth)
