"""AN15, several cancellations: two add-ons within 30 days, or a core one."""

from services.simulator.cast import Cast
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at

RULE = "AN15"


def plant(cast: Cast) -> None:
    """One of each."""
    core(cast)
    two_addons(cast)
    resubscribes(cast)
    one_addon(cast)


def core(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an15/core")
    cancel = pen.order(beat(cast.span, 1), "CANCEL", "BROADBAND", due_ms=cast.span.at(1), addon=True, core=True)
    cast.tell("an15/core", customer, live=[cancel], truth=[found_at(cancel, RULE, "core", final_priority=2)])


def two_addons(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an15/two")
    first = pen.order(beat(cast.span, 1), "CANCEL", "TV", due_ms=cast.span.at(1), addon=True)
    second = pen.order(beat(cast.span, 3), "CANCEL", "MUSIC", due_ms=cast.span.at(3), addon=True)
    truth = [found_at(second, RULE, "two add-ons", final_state="RAISED")]
    cast.tell("an15/two", customer, live=[first, second], truth=truth)


def resubscribes(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an15/resubscribes")
    cancel = pen.order(beat(cast.span, 1), "CANCEL", "BROADBAND", due_ms=cast.span.at(1), core=True)
    back = pen.order(beat(cast.span, 3), "SUBSCRIBE", "BROADBAND", due_ms=cast.span.at(3), core=True)
    truth = [found_at(cancel, RULE, "core, taken back", final_state="RESOLVED")]
    cast.tell("an15/resubscribes", customer, live=[cancel, back], truth=truth)


def one_addon(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an15/one")
    cast.tell(
        "an15/one",
        customer,
        live=[pen.order(beat(cast.span, 1), "CANCEL", "TV", due_ms=cast.span.at(1), addon=True)],
    )
