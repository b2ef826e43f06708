"""Ordinary live events of one session, which can raise nothing.

Talkers keep talking (more than their weekly mean by Sunday, so that no week declines), balances stay high, handsets go
back to a model of July, lines are active, who lands lands at home, orders are of services that everybody has, nobody
asks about fees, and complaints do not occur: every complaint and suspension is somebody's story.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random

from services.simulator import local_time
from services.simulator.events import Event, Pen, minutes_before
from services.simulator.history import BALANCE_FEN, inquiry, order
from services.simulator.province import Customer
from services.simulator.span import Session, Span

# Two calls of a talker in the first five days make together 1.3 times the weekly mean.
TALKING_DAYS = 5
CALL_SHARE_OF_WEEK = 0.65
# Events of the other kinds per session, as a share of the customers.
OTHERS_RATIO = 0.18
# Forecasts of suspension lie far enough ahead that none comes near within a run.
FORECAST_DAYS = 40
# Minutes before the session in which its events happened; below the lateness of balances (10 minutes).
SPREAD_MINUTES = (0.5, 8.0)


def session_events(people: Sequence[Customer], session: Session, *, span: Span, seed: int) -> list[Event]:
    """The background of one session, in order of event time."""
    random = Random(f"{seed}/session/{session.day}{session.part}")
    prefix = f"b{seed}-{session.day}{session.part}"
    events = [event for person in people for event in calls(person, session, random, prefix=prefix)]
    for person in random.sample(people, k=round(len(people) * OTHERS_RATIO)):
        events.extend(something(person, session, span, random, prefix=prefix))
    return sorted(events, key=lambda event: (event.occurred_at_ms, event.identity))


def calls(person: Customer, session: Session, random: Random, *, prefix: str) -> Iterator[Event]:
    """This session's share of a talker's week: a long call on two of the first five mornings."""
    if session.part != "am" or person.weekly_voice_seconds == 0:
        return
    first = person.index % TALKING_DAYS
    if session.day % 7 in {first, (first + 2) % TALKING_DAYS}:
        pen = Pen(person, prefix=f"{prefix}v")
        seconds = round(person.weekly_voice_seconds * CALL_SHARE_OF_WEEK)
        yield pen.voice(moment_before(session.at_ms, random), seconds, due_ms=session.at_ms)


def something(person: Customer, session: Session, span: Span, random: Random, *, prefix: str) -> Iterator[Event]:
    """One or two harmless events of some kind."""
    pen = Pen(person, prefix=prefix)
    at_ms = moment_before(session.at_ms, random)
    choice = random.randrange(11)
    if choice <= 2:
        reason = ("CHARGE", "TOP_UP", "SNAPSHOT")[choice]
        yield pen.balance(at_ms, random.randint(*BALANCE_FEN), reason)
    elif choice == 3:
        yield pen.usage(at_ms, "DATA", random.randrange(1_000, 90_000), charge_fen=random.randrange(20))
    elif choice == 4:
        yield pen.usage(at_ms, "SMS", 1, charge_fen=10)
    elif choice == 5:
        yield inquiry(pen, at_ms, random)
    elif choice == 6:
        yield order(pen, at_ms, random)
    elif choice == 7:
        yield pen.roaming(at_ms, "CN", "LANDED")
    elif choice == 8:
        forecast = session.at_ms + FORECAST_DAYS * local_time.DAY_MS if random.random() < 0.5 else None
        yield pen.line_status(at_ms, "ACTIVE", expected=forecast)
    elif choice == 9:
        yield pen.profile(at_ms, plan_id="P66")
        yield pen.write("contact", at_ms, channel="SHOP", direction="IN", outcome="REACHED", dimension="SERVICE")
    else:
        last_month = (span.first_day.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
        yield pen.write(
            "bill", at_ms, cycle=last_month, total_fen=person.plan_fee_fen, plan_fee_fen=person.plan_fee_fen
        )


def moment_before(session_ms: int, random: Random) -> int:
    """An instant in the minutes before a session."""
    return minutes_before(session_ms, random.uniform(*SPREAD_MINUTES))
