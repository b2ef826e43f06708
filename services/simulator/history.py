"""Nine ordinary weeks of one customer, written so that nothing in them can raise a moment by itself.

Margins are wide: balances are far above every floor, talkers keep their weekly minutes, suspensions and complaints of
the past ended in the past. A story replaces what it needs and keeps the rest.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from services.simulator import local_time
from services.simulator.events import Event, Pen
from services.simulator.province import Customer
from services.simulator.span import HISTORY_WEEKS, Span

# Balance of an ordinary day: 80 to 300 yuan, when the floor of a low balance is 10.
BALANCE_FEN = (8_000, 30_000)
# A customer who hardly calls stays below this in every week, seconds; a weekly baseline of 1,800 is out of reach.
LIGHT_WEEK_SECONDS = 240
# Data of a week stays below the least mean (512,000 KiB) that a jump or fall is judged by.
WEEK_DATA_KIB_MAX = 300_000
HANDSET_MODELS = ("Aster 4", "Birch X", "Cedar 9", "Dahlia Pro", "Elm Mini", "Fir Max")
HANDSET_RATIO = 0.15
OLD_COMPLAINT_RATIO = 0.04
OLD_SUSPENSION_RATIO = 0.03
TRAVEL_RATIO = 0.04


def ordinary_history(customer: Customer, *, span: Span, seed: int) -> Iterator[Event]:
    """All events of the nine weeks, in no particular order."""
    random = Random(f"{seed}/history/{customer.index}")
    pen = Pen(customer, prefix=f"h{seed}")
    first = span.history_first_day
    if customer.has_profile:
        yield pen.profile(local_time.at(first, 0, 30, customer.index % 60))
    for week in range(HISTORY_WEEKS):
        monday = first + timedelta(weeks=week)
        yield from talking_week(pen, monday, seconds=customer.weekly_voice_seconds, random=random)
        yield from other_use(pen, monday, random)
    yield from money(pen, first, random)
    yield from old_matters(pen, first, random)


def opening(customer: Customer, *, span: Span, seed: int) -> Iterator[Event]:
    """The least history a story can stand on: a profile, one small use in the first week, one good balance."""
    pen = Pen(customer, prefix=f"o{seed}")
    first = span.history_first_day
    if customer.has_profile:
        yield pen.profile(local_time.at(first, 0, 30, customer.index % 60))
    yield pen.usage(local_time.at(first, 8, 15), "DATA", 2_048)
    yield pen.balance(local_time.at(first + timedelta(days=3), 9), 20_000, "SNAPSHOT")


def talking_week(pen: Pen, monday: date, *, seconds: int, random: Random) -> Iterator[Event]:
    """Calls of a week: near the customer's mean for talkers, next to nothing for the others."""
    if seconds == 0:
        yield pen.voice(random_time(random, monday), random.randrange(5, LIGHT_WEEK_SECONDS))
        return
    total = round(seconds * random.uniform(0.95, 1.05))
    parts = (total * 4 // 10, total * 3 // 10, total - total * 4 // 10 - total * 3 // 10)
    for part in parts:
        direction = random.choice(("OUT", "OUT", "IN"))
        yield pen.voice(random_time(random, monday), part, direction=direction, charge_fen=random.randrange(40))


def other_use(pen: Pen, monday: date, random: Random) -> Iterator[Event]:
    """Data, and sometimes messages, of a week."""
    yield pen.usage(
        random_time(random, monday), "DATA", random.randrange(1_000, WEEK_DATA_KIB_MAX), charge_fen=random.randrange(30)
    )
    if random.random() < 0.3:
        yield pen.usage(random_time(random, monday), "SMS", random.randrange(1, 5), charge_fen=10)


def money(pen: Pen, first: date, random: Random) -> Iterator[Event]:
    """Balances and the two bills of the nine weeks; the last balance is a snapshot of the last days."""
    for day, reason in ((10, "TOP_UP"), (34, "CHARGE"), (59, "SNAPSHOT")):
        yield pen.balance(
            random_time(random, first + timedelta(days=day), days=2), random.randint(*BALANCE_FEN), reason
        )
    last_month = (first + timedelta(weeks=HISTORY_WEEKS)).replace(day=1)
    for run_on in ((last_month - timedelta(days=1)).replace(day=1), last_month):
        yield bill(pen, run_on, random)


def bill(pen: Pen, run_on: date, random: Random) -> Event:
    """The bill of the month before, made on the first day of a month."""
    fee = pen.customer.plan_fee_fen
    cycle = (run_on - timedelta(days=1)).strftime("%Y-%m")
    at_ms = local_time.at(run_on, 3, random.randrange(60), random.randrange(60))
    return pen.write("bill", at_ms, cycle=cycle, total_fen=fee + random.randrange(300), plan_fee_fen=fee)


def old_matters(pen: Pen, first: date, random: Random) -> Iterator[Event]:
    """Things of July that ended in July: handsets, complaints, suspensions, orders, travel, questions."""
    july = first + timedelta(days=2)
    if random.random() < HANDSET_RATIO:
        before, after = random.sample(HANDSET_MODELS, 2)
        yield pen.handset(random_time(random, july, days=3), before)
        yield pen.handset(random_time(random, july + timedelta(days=8), days=3), after, before)
    if random.random() < OLD_COMPLAINT_RATIO:
        complaint_id = f"C-{pen.prefix}-{pen.customer.index}"
        for days, state in ((0, "OPENED"), (1, "UPDATED"), (2, "CLOSED"), (4, "CONFIRMED")):
            yield pen.complaint(
                random_time(random, july + timedelta(days=days), days=1), complaint_id, state, "SERVICE"
            )
    if random.random() < OLD_SUSPENSION_RATIO:
        yield pen.line_status(random_time(random, july, days=1), "SUSPENDED_VOLUNTARY")
        yield pen.line_status(random_time(random, july + timedelta(days=9), days=1), "ACTIVE")
    if random.random() < TRAVEL_RATIO:
        left = july + timedelta(days=12)
        yield pen.write(
            "roaming", random_time(random, left, days=1), country="TH", state="LANDED", time_zone="Asia/Bangkok"
        )
        yield pen.write("roaming", random_time(random, left + timedelta(days=5), days=1), country="TH", state="LEFT")
    if random.random() < 0.1:
        yield order(pen, random_time(random, july, days=20), random)
    if random.random() < 0.1:
        yield inquiry(pen, random_time(random, july, days=20), random)


def order(pen: Pen, at_ms: int, random: Random) -> Event:
    """A subscription to some service."""
    category = random.choice(("DATA_PACK", "TV", "MUSIC", "SECURITY", "BROADBAND"))
    return pen.write(
        "service-order",
        at_ms,
        order_id=f"O-{pen.prefix}-{pen.customer.index}-{pen.written}",
        action="SUBSCRIBE",
        category=category,
        product=f"{category.lower()}-{random.randrange(1, 9)}",
        addon=True,
        effective_on=local_time.local_date(at_ms).isoformat(),
    )


def inquiry(pen: Pen, at_ms: int, random: Random) -> Event:
    """A question that was answered at once."""
    return pen.write(
        "inquiry",
        at_ms,
        inquiry_id=f"Q-{pen.prefix}-{pen.customer.index}-{pen.written}",
        topic=random.choice(("OTHER", "TARIFF", "COVERAGE")),
        channel=random.choice(("APP", "WEB", "HOTLINE")),
        state="COMPLETED",
    )


def random_time(random: Random, day: date, *, days: int = 7) -> int:
    """An instant between 07:00 and 22:00 of one of some days."""
    chosen = day + timedelta(days=random.randrange(days))
    return local_time.at(chosen, random.randrange(7, 22), random.randrange(60), random.randrange(60))
