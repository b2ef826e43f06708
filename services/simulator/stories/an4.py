"""AN4, low balance: the floor of 10 yuan, twice the mean daily spend, hysteresis, cool-down, auto-pay, lateness."""

from collections.abc import Iterator
from datetime import timedelta

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.events import Event, Pen, sent_again
from services.simulator.province import Customer
from services.simulator.span import Span
from services.simulator.stories.beats import beat
from services.simulator.stories.found import found_at
from services.simulator.truth import Truth, expected

RULE = "AN4"
TOP_ARPU_FEN = 60_000
SPEND_FEN_A_DAY = 2_000


def plant(cast: Cast) -> None:
    """One of each."""
    just_below(cast)
    exactly_at(cast)
    with_auto_pay(cast)
    between_the_two_thresholds(cast)
    topped_up(cast)
    topped_up_too_little_to_re_arm(cast)
    cooling_down(cast)
    again_after_cool_down(cast)
    sent_twice(cast)
    falls_and_recovers_at_once(cast)
    spends_much(cast)
    spends_much_but_is_new(cast)
    older_than_the_newest(cast)
    told_late(cast)
    without_profile(cast)


def plant_calls(cast: Cast, *, day: int, count: int, part: str = "am") -> None:
    """Customers of high revenue who run low, for a call at once: what the latency of the whole path is measured on."""
    for number in range(count):
        customer = cast.take(tier="TOP", arpu_fen=TOP_ARPU_FEN + number * 100)
        _, pen = cast.pens(customer, "an4/call")
        low = pen.balance(beat(cast.span, day, number % 40, part), 900 - number % 50, due_ms=cast.span.at(day, part))
        cast.tell("an4/call", customer, live=[low], truth=[found(low, "balance below the floor, high revenue: call")])


def found(event: Event, why: str, *, final_state: str | None = None) -> Truth:
    """The moment that a balance must raise."""
    customer_id = event.body["customer_id"]
    assert isinstance(customer_id, int)
    day = local_time.local_date(event.occurred_at_ms)
    return expected(customer_id, RULE, day, why, final_state=final_state, trigger=event.identity)


def just_below(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/just-below-floor")
    low = at_beat(pen, cast.span, 0, 0, 999)
    cast.tell("an4/just-below-floor", customer, live=[low], truth=[found(low, "999 fen is below 1,000")])
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/arrears")
    low = at_beat(pen, cast.span, 1, 0, -500)
    truth = [found(low, "negative balance"), found_at(low, "AN11", "arrears, too")]
    cast.tell("an4/arrears", customer, live=[low], truth=truth)


def exactly_at(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/exactly-at-floor")
    cast.tell("an4/exactly-at-floor", customer, live=[at_beat(pen, cast.span, 0, 0, 1_000)])


def with_auto_pay(cast: Cast) -> None:
    customer = cast.take(auto_pay=True)
    _, pen = cast.pens(customer, "an4/auto-pay")
    cast.tell("an4/auto-pay", customer, live=[at_beat(pen, cast.span, 0, 0, 100)])


def between_the_two_thresholds(cast: Cast) -> None:
    """Above the fire threshold by a charge correction, never a top-up, never twice it: one episode."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/hovers")
    low = at_beat(pen, cast.span, 0, 0, 900)
    hovering = [at_beat(pen, cast.span, 0, 1, 1_500, "ADJUSTMENT"), at_beat(pen, cast.span, 0, 2, 800)]
    truth = found(low, "first fall; the second is the same episode", final_state="RAISED")
    cast.tell("an4/hovers", customer, live=[low, *hovering], truth=[truth])


def topped_up(cast: Cast) -> None:
    customer = cast.take(tier="TOP", arpu_fen=TOP_ARPU_FEN)
    _, pen = cast.pens(customer, "an4/topped-up")
    low = at_beat(pen, cast.span, 0, 0, 700)
    paid = at_beat(pen, cast.span, 0, 0, 10_700, "TOP_UP", part="pm")
    cast.tell("an4/topped-up", customer, live=[low, paid], truth=[found(low, "ends by top-up", final_state="RESOLVED")])


def topped_up_too_little_to_re_arm(cast: Cast) -> None:
    """A top-up to 12 yuan ends the episode, but the next arms only above 20."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/not-re-armed")
    low = at_beat(pen, cast.span, 0, 0, 600)
    live = [low, at_beat(pen, cast.span, 0, 1, 1_200, "TOP_UP"), at_beat(pen, cast.span, 0, 2, 500)]
    # Long after the cool-down it is still not armed; a good balance follows so that nothing is left hanging.
    live += [at_beat(pen, cast.span, 4, 0, 400), at_beat(pen, cast.span, 4, 1, 15_000, "TOP_UP")]
    truth = found(low, "a top-up below the re-arm threshold", final_state="RESOLVED")
    cast.tell("an4/not-re-armed", customer, live=live, truth=[truth])


def cooling_down(cast: Cast) -> None:
    """Armed again within the hour, low again the same day: the cool-down of 3 days swallows it."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/cooling-down")
    low = at_beat(pen, cast.span, 0, 0, 600)
    live = [low, at_beat(pen, cast.span, 0, 1, 9_000, "TOP_UP")]
    live += [at_beat(pen, cast.span, 0, 0, 500, part="pm"), at_beat(pen, cast.span, 1, 0, 9_000, "TOP_UP")]
    cast.tell("an4/cooling-down", customer, live=live, truth=[found(low, "the second fall is in the cool-down")])


def again_after_cool_down(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/again")
    low = at_beat(pen, cast.span, 0, 0, 600)
    again = at_beat(pen, cast.span, 4, 0, 500)
    live = [low, at_beat(pen, cast.span, 1, 0, 9_000, "TOP_UP"), again]
    truth = [found(low, "first fall", final_state="RESOLVED"), found(again, "second fall, four days later")]
    cast.tell("an4/again", customer, live=live, truth=truth)


def sent_twice(cast: Cast) -> None:
    """The same event three times, once on the next day after the customer recovered: it counts once."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/duplicate")
    low = at_beat(pen, cast.span, 0, 0, 850)
    good = at_beat(pen, cast.span, 0, 1, 30_000, "TOP_UP")
    repeats = [sent_again(low, due_ms=low.due_ms), good, sent_again(low, due_ms=cast.span.at(1))]
    cast.tell("an4/duplicate", customer, live=[low, *repeats], truth=[found(low, "one event, sent three times")])


def falls_and_recovers_at_once(cast: Cast) -> None:
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/within-one-chunk")
    low = at_beat(pen, cast.span, 1, 0, 300)
    good = pen.balance(low.occurred_at_ms + 1, 20_300, "TOP_UP", due_ms=low.due_ms)
    truth = found(low, "every event is judged, not every batch", final_state="RESOLVED")
    cast.tell("an4/within-one-chunk", customer, live=[low, good], truth=[truth])


def spends_much(cast: Cast) -> None:
    """20 yuan on each of the 28 closed days: the threshold is 40 yuan, to the fen."""
    for fen, name in ((3_999, "an4/below-two-days-spend"), (4_000, "an4/exactly-two-days-spend")):
        customer = cast.take(tier="TOP", arpu_fen=TOP_ARPU_FEN)
        past, pen = cast.pens(customer, name)
        low = at_beat(pen, cast.span, 0, 0, fen)
        truth = [found(low, "below twice the mean daily spend")] if fen < 2 * SPEND_FEN_A_DAY else []
        if cast.span.days > 7:
            truth.append(expected(customer.customer_id, "AN3", cast.span.day(7), "spends nothing any more"))
        cast.tell(name, customer, history=list(spend(past, cast.span, days=28)), live=[low], truth=truth)


def spends_much_but_is_new(cast: Cast) -> None:
    """Observed for 20 days only: the floor alone counts."""
    customer = cast.take()
    name = "an4/cold"
    past, pen = cast.pens(customer, name)
    history = [past.profile(local_time.at(cast.span.day(-20), 0, 30)), *spend(past, cast.span, days=20)]
    history.append(past.balance(local_time.at(cast.span.day(-2), 12), 20_000, "SNAPSHOT"))
    live = [at_beat(pen, cast.span, 0, 0, 2_500)]
    cast.tell(name, customer, history=history, whole_history=True, live=live)
    customer = cast.take()
    name = "an4/cold-below-floor"
    past, pen = cast.pens(customer, name)
    history = [past.profile(local_time.at(cast.span.day(-20), 0, 30)), *spend(past, cast.span, days=20)]
    history.append(past.balance(local_time.at(cast.span.day(-2), 12), 20_000, "SNAPSHOT"))
    low = at_beat(pen, cast.span, 0, 0, 990)
    cast.tell(name, customer, history=history, whole_history=True, live=[low], truth=[found(low, "the floor, cold")])


def older_than_the_newest(cast: Cast) -> None:
    """A low balance of an hour ago arrives after a good one of a minute ago."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/overtaken")
    good = at_beat(pen, cast.span, 0, 3, 12_000, "TOP_UP")
    stale = pen.balance(good.occurred_at_ms - local_time.HOUR_MS, 200, due_ms=good.due_ms)
    cast.tell("an4/overtaken", customer, live=[good, stale])


def told_late(cast: Cast) -> None:
    """The newest balance, ten hours late: raised for the evening before, when it happened."""
    customer = cast.take()
    _, pen = cast.pens(customer, "an4/late")
    low = pen.balance(local_time.at(cast.span.day(0), 23, 50), 450, due_ms=cast.span.at(1))
    cast.tell("an4/late", customer, live=[low], truth=[found(low, "late, but still true")])


def without_profile(cast: Cast) -> None:
    customer = cast.take(has_profile=False)
    _, pen = cast.pens(customer, "an4/no-profile")
    cast.tell("an4/no-profile", customer, live=[at_beat(pen, cast.span, 0, 0, 100)])


def at_beat(
    pen: Pen, span: Span, day: int, number: int, fen: int, reason: str = "CHARGE", *, part: str = "am"
) -> Event:
    """A balance in a session."""
    return pen.balance(beat(span, day, number, part), fen, reason, due_ms=span.at(day, part))


def spend(pen: Pen, span: Span, *, days: int) -> Iterator[Event]:
    """The same charge on each of the last closed days."""
    for back in range(1, days + 1):
        at_ms = local_time.at(span.first_day - timedelta(days=back), 20, back % 60)
        yield pen.usage(at_ms, "DATA", 5_000, charge_fen=SPEND_FEN_A_DAY)


def runs_low_for_a_call(pen: Pen, span: Span, day: int, *, part: str = "am") -> Event:
    """A balance below the floor, for stories about gates."""
    return at_beat(pen, span, day, 5, 650, part=part)


def high_revenue(cast: Cast, **changes: object) -> Customer:
    """A customer whom a low balance brings a call."""
    return cast.take(**({"tier": "TOP", "arpu_fen": TOP_ARPU_FEN} | changes))
