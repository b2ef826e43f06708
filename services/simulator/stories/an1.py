"""AN1, complaint: one episode per complaint, repeated topics and long ones, closing and confirming."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.events import Event, sent_again
from services.simulator.stories.beats import beat
from services.simulator.truth import Truth, expected

RULE = "AN1"


def plant(cast: Cast) -> None:
    """One of each."""
    stays_open(cast)
    confirmed(cast)
    closed_only(cast)
    same_topic_again(cast)
    other_topic(cast)
    updated_is_no_other(cast)
    open_from_the_past(cast)
    confirmed_in_the_past(cast)
    sent_twice(cast)
    without_profile(cast)


def found(event: Event, why: str, *, final_state: str | None = None, final_priority: int | None = None) -> Truth:
    """The moment of a complaint."""
    customer_id = event.body["customer_id"]
    assert isinstance(customer_id, int)
    day = local_time.local_date(event.occurred_at_ms)
    return expected(
        customer_id,
        RULE,
        day,
        why,
        final_state=final_state,
        final_priority=final_priority,
        trigger=event.identity,
    )


def stays_open(cast: Cast) -> None:
    """Open for more than 48 hours: the same moment becomes urgent."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an1/open-too-long")
    opened = pen.complaint(beat(cast.span, 0), "AN1-long", "OPENED", due_ms=cast.span.at(0))
    truth = found(opened, "open for more than 48 h", final_state="UPDATED", final_priority=1)
    cast.tell("an1/open-too-long", customer, live=[opened], truth=[truth])


def confirmed(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an1/confirmed")
    opened = pen.complaint(beat(cast.span, 0), "AN1-confirmed", "OPENED", due_ms=cast.span.at(0))
    closed = pen.complaint(beat(cast.span, 0, 0, "pm"), "AN1-confirmed", "CLOSED", due_ms=cast.span.at(0, "pm"))
    done = pen.complaint(beat(cast.span, 1), "AN1-confirmed", "CONFIRMED", due_ms=cast.span.at(1))
    truth = found(opened, "closed and confirmed", final_state="RESOLVED")
    cast.tell("an1/confirmed", customer, live=[opened, closed, done], truth=[truth])


def closed_only(cast: Cast) -> None:
    """Closed within hours: the owner calls at closing."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an1/closed")
    opened = pen.complaint(beat(cast.span, 1), "AN1-closed", "OPENED", due_ms=cast.span.at(1))
    closed = pen.complaint(beat(cast.span, 1, 0, "pm"), "AN1-closed", "CLOSED", due_ms=cast.span.at(1, "pm"))
    cast.tell("an1/closed", customer, live=[opened, closed], truth=[found(opened, "closed, not yet confirmed")])


def same_topic_again(cast: Cast) -> None:
    """Two complaints about billing in 30 days: the second is urgent at once."""
    customer = cast.take()
    past, pen = cast.pens(customer, "an1/same-topic")
    history = [
        past.complaint(local_time.at(cast.span.day(-back), 10), "AN1-before", state, "BILLING")
        for back, state in ((12, "OPENED"), (11, "CLOSED"), (10, "CONFIRMED"))
    ]
    opened = pen.complaint(beat(cast.span, 2), "AN1-again", "OPENED", "BILLING", due_ms=cast.span.at(2))
    closed = pen.complaint(beat(cast.span, 3), "AN1-again", "CLOSED", "BILLING", due_ms=cast.span.at(3))
    truth = found(opened, "same topic twice in 30 days", final_priority=1)
    cast.tell("an1/same-topic", customer, history=history, live=[opened, closed], truth=[truth])


def other_topic(cast: Cast) -> None:
    """A confirmed complaint about the tariff does not make one about the network urgent."""
    customer = cast.take()
    past, pen = cast.pens(customer, "an1/other-topic")
    history = [
        past.complaint(local_time.at(cast.span.day(-back), 10), "AN1-tariff", state, "TARIFF")
        for back, state in ((12, "OPENED"), (11, "CLOSED"), (10, "CONFIRMED"))
    ]
    opened = pen.complaint(beat(cast.span, 2), "AN1-network", "OPENED", "NETWORK", due_ms=cast.span.at(2))
    closed = pen.complaint(beat(cast.span, 3), "AN1-network", "CLOSED", "NETWORK", due_ms=cast.span.at(3))
    truth = found(opened, "another topic", final_priority=2)
    cast.tell("an1/other-topic", customer, history=history, live=[opened, closed], truth=[truth])


def updated_is_no_other(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an1/updated")
    opened = pen.complaint(beat(cast.span, 1), "AN1-updated", "OPENED", due_ms=cast.span.at(1))
    updated = pen.complaint(beat(cast.span, 1, 3), "AN1-updated", "UPDATED", due_ms=cast.span.at(1))
    cast.tell("an1/updated", customer, live=[opened, updated], truth=[found(opened, "one complaint, updated")])


def open_from_the_past(cast: Cast) -> None:
    """Still open when the history has been loaded: raised although it is history."""
    customer = cast.take()
    past, _ = cast.pens(customer, "an1/open-since-friday")
    opened = past.complaint(local_time.at(cast.span.day(-3), 16), "AN1-history", "OPENED", "SERVICE")
    cast.tell("an1/open-since-friday", customer, history=[opened], truth=[found(opened, "open since before the start")])


def confirmed_in_the_past(cast: Cast) -> None:
    customer = cast.take()
    past, _ = cast.pens(customer, "an1/over-before-the-start")
    history = [
        past.complaint(local_time.at(cast.span.day(-back), 11), "AN1-over", state, "NETWORK")
        for back, state in ((6, "OPENED"), (5, "CLOSED"), (3, "CONFIRMED"))
    ]
    cast.tell("an1/over-before-the-start", customer, history=history)


def sent_twice(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an1/duplicate")
    opened = pen.complaint(beat(cast.span, 3), "AN1-twice", "OPENED", due_ms=cast.span.at(3))
    again = sent_again(opened, due_ms=cast.span.at(3))
    cast.tell("an1/duplicate", customer, live=[opened, again], truth=[found(opened, "one complaint, sent twice")])


def without_profile(cast: Cast) -> None:
    customer = cast.take(has_profile=False)
    _, pen = cast.pens(customer, "an1/no-profile")
    opened = pen.complaint(beat(cast.span, 2), "AN1-nobody", "OPENED", due_ms=cast.span.at(2))
    cast.tell("an1/no-profile", customer, live=[opened])
