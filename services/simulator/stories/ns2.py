"""NS2, line suspended: each kind, resumption, forecasts, order of arrival, history; and what it blocks."""

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.events import Event, sent_again
from services.simulator.stories import an4
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at
from services.simulator.truth import Truth, expected

RULE = "NS2"
SUSPENSIONS = ("SUSPENDED_VOLUNTARY", "SUSPENDED_ARREARS", "SUSPENDED_LOST", "SUSPENDED_DISPUTE", "TERMINATED")


def plant(cast: Cast) -> None:
    """One of each."""
    each_kind(cast)
    resumes(cast)
    again_after_resuming(cast)
    one_kind_after_another(cast)
    forecast_only(cast)
    overtaken(cast)
    from_the_past(cast)
    over_in_the_past(cast)
    without_profile(cast)
    sent_twice(cast)
    suspended_customer_runs_low(cast)
    suspended_with_work_waiting(cast)


def found(event: Event, why: str, *, final_state: str | None = None) -> Truth:
    """The moment of a suspension."""
    customer_id = event.body["customer_id"]
    assert isinstance(customer_id, int)
    day = local_time.local_date(event.occurred_at_ms)
    return expected(customer_id, RULE, day, why, final_state=final_state, trigger=event.identity)


def each_kind(cast: Cast) -> None:
    for status in SUSPENSIONS:
        name = f"ns2/{status.lower()}"
        customer = cast.take()
        _, pen = cast.pens(customer, name)
        stop = pen.line_status(beat(cast.span, 0), status, due_ms=cast.span.at(0))
        cast.tell(name, customer, live=[stop], truth=[found(stop, status, final_state="RAISED")])


def resumes(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "ns2/resumes")
    stop = pen.line_status(beat(cast.span, 0), "SUSPENDED_ARREARS", due_ms=cast.span.at(0))
    go = pen.line_status(beat(cast.span, 1), "ACTIVE", due_ms=cast.span.at(1))
    cast.tell("ns2/resumes", customer, live=[stop, go], truth=[found(stop, "resumed", final_state="RESOLVED")])


def again_after_resuming(cast: Cast) -> None:
    """A gate has no cool-down: each suspension is one."""
    customer = cast.take()
    _, pen = cast.pens(customer, "ns2/again")
    stop = pen.line_status(beat(cast.span, 0), "SUSPENDED_LOST", due_ms=cast.span.at(0))
    go = pen.line_status(beat(cast.span, 1), "ACTIVE", due_ms=cast.span.at(1))
    stop_again = pen.line_status(beat(cast.span, 2), "SUSPENDED_LOST", due_ms=cast.span.at(2))
    truth = [found(stop, "first", final_state="RESOLVED"), found(stop_again, "second", final_state="RAISED")]
    cast.tell("ns2/again", customer, live=[stop, go, stop_again], truth=truth)


def one_kind_after_another(cast: Cast) -> None:
    """From arrears into dispute without a day of service between: one suspension."""
    customer = cast.take()
    _, pen = cast.pens(customer, "ns2/changes-kind")
    stop = pen.line_status(beat(cast.span, 1), "SUSPENDED_ARREARS", due_ms=cast.span.at(1))
    other = pen.line_status(beat(cast.span, 1, 6), "SUSPENDED_DISPUTE", due_ms=cast.span.at(1))
    cast.tell("ns2/changes-kind", customer, live=[stop, other], truth=[found(stop, "one suspension of two kinds")])


def forecast_only(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "ns2/forecast")
    expected_at = cast.span.at(1) + local_time.DAY_MS
    active = pen.line_status(beat(cast.span, 1), "ACTIVE", due_ms=cast.span.at(1), expected=expected_at)
    near = found_at(active, "AN11", "a suspension within 72 hours is arrears' matter", final_state="RESOLVED")
    cast.tell("ns2/forecast", customer, live=[active], truth=[near])


def overtaken(cast: Cast) -> None:
    """The suspension of an hour ago arrives after the resumption of a minute ago: it was over before it was known."""
    customer = cast.take()
    _, pen = cast.pens(customer, "ns2/overtaken")
    go = pen.line_status(beat(cast.span, 1), "ACTIVE", due_ms=cast.span.at(1))
    at_ms = go.occurred_at_ms - local_time.HOUR_MS
    stop = pen.line_status(at_ms, "SUSPENDED_VOLUNTARY", due_ms=cast.span.at(1))
    cast.tell("ns2/overtaken", customer, live=[go, stop])


def from_the_past(cast: Cast) -> None:
    """Suspended when the history has been loaded: it still blocks."""
    customer = cast.take()
    past, _ = cast.pens(customer, "ns2/since-august")
    stop = past.line_status(local_time.at(cast.span.day(-10), 14), "SUSPENDED_VOLUNTARY")
    cast.tell("ns2/since-august", customer, history=[stop], truth=[found(stop, "suspended before the start")])


def over_in_the_past(cast: Cast) -> None:
    customer = cast.take()
    past, _ = cast.pens(customer, "ns2/over-before-the-start")
    stop = past.line_status(local_time.at(cast.span.day(-10), 14), "SUSPENDED_ARREARS")
    go = past.line_status(local_time.at(cast.span.day(-8), 14), "ACTIVE")
    cast.tell("ns2/over-before-the-start", customer, history=[stop, go])


def without_profile(cast: Cast) -> None:
    """The one rule that needs no profile."""
    customer = cast.take(has_profile=False)
    _, pen = cast.pens(customer, "ns2/no-profile")
    stop = pen.line_status(beat(cast.span, 0), "SUSPENDED_LOST", due_ms=cast.span.at(0))
    cast.tell("ns2/no-profile", customer, live=[stop], truth=[found(stop, "without a customer record")])


def sent_twice(cast: Cast) -> None:
    """The suspension is sent again after the line is active: an old event, not a new suspension."""
    customer = cast.take()
    _, pen = cast.pens(customer, "ns2/duplicate")
    stop = pen.line_status(beat(cast.span, 0), "SUSPENDED_LOST", due_ms=cast.span.at(0))
    go = pen.line_status(beat(cast.span, 0, 8), "ACTIVE", due_ms=cast.span.at(0))
    again = sent_again(stop, due_ms=cast.span.at(1))
    truth = found(stop, "one suspension, sent twice", final_state="RESOLVED")
    cast.tell("ns2/duplicate", customer, live=[stop, go, again], truth=[truth])


def suspended_customer_runs_low(cast: Cast) -> None:
    """Suspended on Monday morning; on Monday afternoon and Tuesday the balance is low: a moment, but nobody calls."""
    for day, part in ((0, "pm"), (1, "am")):
        name = f"ns2/suspended-then-low-{day}{part}"
        customer = an4.high_revenue(cast)
        _, pen = cast.pens(customer, name)
        stop = pen.line_status(beat(cast.span, 0), "SUSPENDED_ARREARS", due_ms=cast.span.at(0))
        low = an4.runs_low_for_a_call(pen, cast.span, day, part=part)
        truth = [found(stop, "suspended", final_state="RAISED"), an4.found(low, "found, but not to be worked")]
        cast.tell(name, customer, live=[stop, low], truth=truth)


def suspended_with_work_waiting(cast: Cast) -> None:
    """A complaint and a low balance first, the suspension in the afternoon: what waits is withdrawn."""
    customer = an4.high_revenue(cast)
    _, pen = cast.pens(customer, "ns2/work-withdrawn")
    low = an4.runs_low_for_a_call(pen, cast.span, 0)
    stop = pen.line_status(beat(cast.span, 0, 0, "pm"), "SUSPENDED_LOST", due_ms=cast.span.at(0, "pm"))
    truth = [an4.found(low, "before the suspension"), found(stop, "suspended later", final_state="RAISED")]
    cast.tell("ns2/work-withdrawn", customer, live=[low, stop], truth=truth)
