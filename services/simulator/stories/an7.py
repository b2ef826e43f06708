"""AN7, weekly minutes decline: the 60 %, the baseline of 1,800 seconds, warm-up, silence, recovery."""

from collections.abc import Iterator, Sequence

from services.simulator import local_time
from services.simulator.cast import Cast
from services.simulator.events import Event, Pen
from services.simulator.stories.beats import beat
from services.simulator.truth import Truth, expected

RULE = "AN7"
BASELINE_WEEKS = 4
MEAN_SECONDS = 3_600


def plant(cast: Cast) -> None:
    """One of each; the evaluation is at 06:00 of the second Monday."""
    if cast.span.days <= 7:
        return
    around_sixty_percent(cast)
    around_the_baseline(cast)
    silent(cast)
    warm_to_the_day(cast)
    incoming_counts(cast)
    recovers(cast)
    late_use_counts(cast)


def found(cast: Cast, customer_id: int, why: str, **final: object) -> Truth:
    """The moment of the second Monday."""
    state, priority = final.get("final_state"), final.get("final_priority")
    return expected(
        customer_id,
        RULE,
        cast.span.day(7),
        why,
        final_state=state if isinstance(state, str) else None,
        final_priority=priority if isinstance(priority, int) else None,
    )


def around_sixty_percent(cast: Cast) -> None:
    for seconds, name in ((2_160, "an7/exactly-60-percent"), (2_161, "an7/just-above-60-percent")):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        truth = [found(cast, customer.customer_id, "60 % of the mean", final_priority=3)] if seconds == 2_160 else []
        week = calls_of_the_week(cast, pen, seconds)
        cast.tell(name, customer, history=list(baseline(cast, past)), live=week, truth=truth)


def around_the_baseline(cast: Cast) -> None:
    """A mean of exactly 1,800 seconds counts, a quarter of a second less does not."""
    for weeks, name in (((1_800,) * 4, "an7/smallest-baseline"), ((1_800, 1_800, 1_800, 1_799), "an7/small-baseline")):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        truth = [found(cast, customer.customer_id, "mean of 1,800 s")] if sum(weeks) == 7_200 else []
        week = calls_of_the_week(cast, pen, 500)
        cast.tell(name, customer, history=list(baseline(cast, past, weeks)), live=week, truth=truth)


def silent(cast: Cast) -> None:
    """No call for seven days: more urgent. Data use does not count as minutes."""
    customer = cast.take()
    past, pen = cast.pens(customer, "an7/silent")
    truth = found(cast, customer.customer_id, "seven silent days", final_priority=2)
    live = [pen.write("usage", beat(cast.span, 2), due_ms=cast.span.at(2), service="DATA", quantity=9_000)]
    cast.tell("an7/silent", customer, history=list(baseline(cast, past)), live=live, truth=[truth])


def warm_to_the_day(cast: Cast) -> None:
    """First seen on the first day of the baseline: warm. A day later: cold, and the rule stays silent."""
    baseline_first = -7 * BASELINE_WEEKS
    for first_seen, name in ((baseline_first, "an7/just-warm"), (baseline_first + 1, "an7/cold")):
        customer = cast.take()
        past, pen = cast.pens(customer, name)
        history = [past.profile(local_time.at(cast.span.history_first_day, 1))]
        history.append(past.voice(local_time.at(cast.span.day(first_seen), 9), MEAN_SECONDS))
        history += [past.voice(local_time.at(cast.span.day(-7 * n + 2), 9), MEAN_SECONDS) for n in (2, 1)]
        history.append(past.balance(local_time.at(cast.span.day(-2), 9), 20_000, "SNAPSHOT"))
        truth = [found(cast, customer.customer_id, "warm to the day")] if first_seen == baseline_first else []
        live = calls_of_the_week(cast, pen, 900)
        cast.tell(name, customer, history=history, whole_history=True, live=live, truth=truth)


def incoming_counts(cast: Cast) -> None:
    """Few calls out, many in: both directions are minutes."""
    customer = cast.take()
    past, pen = cast.pens(customer, "an7/called-by-others")
    live = calls_of_the_week(cast, pen, 600)
    live.append(pen.voice(beat(cast.span, 4), 2_400, direction="IN", due_ms=cast.span.at(4)))
    cast.tell("an7/called-by-others", customer, history=list(baseline(cast, past)), live=live)


def recovers(cast: Cast) -> None:
    """Raised on Monday at six, talked enough by the morning's session."""
    customer = cast.take()
    past, pen = cast.pens(customer, "an7/recovers")
    live = calls_of_the_week(cast, pen, 700)
    live.append(pen.voice(beat(cast.span, 7), 2_880, due_ms=cast.span.at(7)))
    truth = found(cast, customer.customer_id, "back to 80 % in the running week", final_state="RESOLVED")
    cast.tell("an7/recovers", customer, history=list(baseline(cast, past)), live=live, truth=[truth])


def late_use_counts(cast: Cast) -> None:
    """Calls of Wednesday that arrive on Saturday, long after the lateness of usage, still belong to Wednesday."""
    customer = cast.take()
    past, pen = cast.pens(customer, "an7/late-calls")
    live = calls_of_the_week(cast, pen, 600)
    live.append(pen.voice(local_time.at(cast.span.day(2), 19), 2_400, due_ms=cast.span.at(5)))
    cast.tell("an7/late-calls", customer, history=list(baseline(cast, past)), live=live)


def baseline(cast: Cast, pen: Pen, weeks: Sequence[int] = (MEAN_SECONDS,) * BASELINE_WEEKS) -> Iterator[Event]:
    """Calls in each of the four weeks before the live one, which is the week that the second Monday judges."""
    for back, seconds in enumerate(weeks, start=1):
        monday = cast.span.day(-7 * back)
        half = seconds // 2
        yield pen.voice(local_time.at(monday, 12, 30), half)
        yield pen.voice(local_time.at(cast.span.day(-7 * back + 5), 18), seconds - half, direction="IN")


def calls_of_the_week(cast: Cast, pen: Pen, seconds: int) -> list[Event]:
    """Calls of the first live week that sum to so many seconds."""
    first, second = seconds // 3, seconds - seconds // 3
    return [
        pen.voice(beat(cast.span, 1), first, due_ms=cast.span.at(1)),
        pen.voice(beat(cast.span, 3), second, direction="IN", due_ms=cast.span.at(3)),
    ]
