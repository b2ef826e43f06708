"""Random logs from a seed, with everything that makes trouble: history, late and early arrivals, duplicates, missed
ticks and leaps of time, ties, shuffled bills, people who fall silent, travel, owe, complain and ask.

A log has a theme, so that short logs see much of one thing; long ones see everything. Numbers come from small sets in
which neighbours lie on both sides of the catalogue's thresholds, and often on them.
"""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tests.reference.local_time import DAY, HOUR, first_day, local_date, midnight, month_of, month_text
from tests.reference.records import MONDAY, Entry, full

THEMES: dict[str, dict[str, int]] = {
    "everything": {"usage": 50, "balance": 8, "complaint": 4, "handset-change": 3, "line-status": 3, "customer": 4,
                   "service-order": 8, "roaming": 4, "inquiry": 9, "bill": 1},
    "usage": {"usage": 90, "customer": 2, "bill": 1, "line-status": 1, "roaming": 1},
    "cases": {"usage": 20, "complaint": 12, "inquiry": 25, "service-order": 20, "handset-change": 8, "roaming": 8,
              "customer": 4, "line-status": 3},
    "money": {"usage": 40, "balance": 30, "line-status": 8, "bill": 8, "customer": 5, "service-order": 3},
}  # fmt: skip
"""Weights of the kinds. Bills come monthly besides."""

MOODS = ("steady", "steady", "silent", "falling", "surging", "off_net", "abroad", "owing")
CATEGORIES = ("VOICE_PLAN", "DATA_PACK", "BROADBAND", "ROAMING", "TV", "MUSIC", "SECURITY", "OTHER")
COUNTRIES = ("JP", "TH", "US", "FR", "KE", "BR", "IS", "NZ", "EG", "PE")
TOPICS = ("FEE", "FEE", "FAULT", "FAULT", "PORTING", "TERMINATION", "TARIFF", "OTHER", "UNKNOWN")
ATTRIBUTES = {
    "contract": ("Two year", "One year", "Month-to-month", "Never"),
    "internet_service": ("No", "DSL", " Fiber optic ", ""),
    "total_charges": ("0", "118.3", "401.49", "1258.34", "99999", ""),
    "senior_citizen": ("0", "1"),
}
"""Some that the shipped risk card asks for, and words that it does not know."""
MODELS = tuple(f"Aster {n}" for n in range(14))
BIRTHDAYS = ("09-10", "1990-09-30", "10-05", "10-20", "02-29", "1984-02-29", "08-15", "08-30", "12-30", "01-01")
TOTALS = (0, 3000, 5000, 7000, 7001, 9999, 10_000, 15_000, 20_000)


@dataclass
class Person:
    """A customer of the log, with a mood that changes how they use their phone."""

    customer_id: int
    rng: random.Random
    mood: str = "steady"
    contacts: list[int] = field(default_factory=list)
    inquiries: int = 0
    total: int = 10_000
    topic: str = "FEE"

    @property
    def never(self) -> set[str]:
        """What does not happen to some people, so that they are judged by the rest."""
        found = {"complaint"} if self.customer_id % 3 == 1 else set()
        return found | ({"line-status", "roaming"} if self.customer_id % 4 == 2 else set())

    def changes_mood(self) -> None:
        """Once in a while."""
        if self.rng.random() < 0.03:
            self.mood = self.rng.choice(MOODS)


@dataclass(order=True)
class Arrival:
    """An event on its way into the log."""

    at: int
    number: int
    kind: str = field(compare=False)
    record: dict[str, Any] = field(compare=False)


def random_log(
    seed: int, events: int, customers: int = 6, weeks: int = 8, past_weeks: int = 9, theme: str | None = None,
    calm: bool = False,
) -> list[Entry]:  # fmt: skip
    """A log of about so many events: `past_weeks` before MONDAY as history, then `weeks` that are lived.

    calm: ticks come at least daily, without leaps, and time is not mended.
    """
    rng = random.Random(seed)
    weights = THEMES[theme or rng.choice(list(THEMES))]
    people = [Person(100 + i, random.Random(rng.random())) for i in range(customers)]
    start, live_from = midnight(MONDAY) - past_weeks * 7 * DAY, midnight(MONDAY)
    span = (past_weeks + weeks) * 7 * DAY
    maker = _Maker(rng, live_from)
    at = start
    arrivals = [maker.arrival(person, "customer", start + 1) for person in people if rng.random() < 0.8]
    for _ in range(events):
        at += int(rng.expovariate(events / span)) + rng.randrange(2)
        at -= at % rng.choice((1, 1, 1000, 60_000))
        person = rng.choice(people)
        person.changes_mood()
        kind = rng.choices(list(weights), list(weights.values()))[0]
        is_settled = person.customer_id % 4 == 2 and rng.random() < 0.85
        if kind in person.never or (kind == "service-order" and is_settled):
            kind = "usage"
        if person.mood == "silent" and kind == "usage" and rng.random() < 0.97:
            continue
        arrivals.append(maker.arrival(person, kind, at))
        if kind in ("inquiry", "service-order") and rng.random() < 0.3:  # things of a kind come together
            arrivals += [maker.arrival(person, kind, at + rng.choice((1, HOUR, 20 * HOUR))) for _ in range(2)]
    for person in people:
        for month in range(month_of(local_date(start)), month_of(local_date(at)) + 1):
            run = midnight(first_day(month)) + rng.choice((0, 1, 9 * HOUR, 2 * DAY + HOUR))
            if start <= run <= at and rng.random() < 0.93:
                arrivals.append(maker.arrival(person, "bill", run))
    arrivals.sort()
    return list(_with_ticks(rng, arrivals, live_from, calm))


def _with_ticks(rng: random.Random, arrivals: list[Arrival], live_from: int, calm: bool) -> list[Entry]:
    """The log: arrivals, some of them twice, and ticks, of which some are missed and some go back."""
    entries: list[Entry] = []
    next_tick = live_from
    for arrival in arrivals:
        while arrival.at >= next_tick:
            entries.append(("tick", next_tick))
            if not calm and rng.random() < 0.02:
                entries.append(("tick", next_tick - rng.choice((60_000, DAY))))
            next_tick += 60_000 * rng.choice((1, 60, 360, 360, 720, 1440) if calm else (1, 60, 360, 720, 1440, 4320))
            if not calm:
                next_tick = max(next_tick, arrival.at - 3 * DAY)
            next_tick -= next_tick % 60_000
        entries.append(("event", arrival.kind, arrival.record))
        if rng.random() < 0.05:
            again = rng.choice(entries[-20:])
            entries.append(again)
    return entries


class _Maker:
    """Makes records; all of them have names of their own."""

    def __init__(self, rng: random.Random, live_from: int) -> None:
        self._rng = rng
        self._live_from = live_from
        self._number = 0

    def arrival(self, person: Person, kind: str, at: int) -> Arrival:
        """An event that arrives at an instant, and happened then, or before, or claims to be of the future."""
        rng = self._rng
        self._number += 1
        occurred = at - rng.choice((0, 0, 0, 0, 1, 60_000, HOUR, 30 * HOUR, 12 * DAY, 60 * DAY)) * (rng.random() < 0.2)
        if rng.random() < 0.01:
            occurred = at + rng.choice((1000, 299_999, 300_001, 10 * HOUR))
        is_history = at < self._live_from or rng.random() < 0.005
        record = full(kind, {
            "customer_id": person.customer_id,
            "occurred_at": occurred,
            "ingested_at": occurred if is_history else at,
            "history": is_history,
            "event_id": rng.choice(("", "a-very-long-event-id-")) + f"{self._number:x}",
            "source": rng.choice(("crm", "boss")),
            **FIELDS[kind](person, rng, local_date(occurred)),
        })  # fmt: skip
        return Arrival(at, self._number, kind, record)


Fields = dict[str, Any]


def usage(person: Person, rng: random.Random, day: date) -> Fields:
    """Calls, messages and data, more or less of them by mood."""
    service = rng.choice(("VOICE", "VOICE", "VOICE", "DATA", "DATA", "SMS"))
    scale = {"falling": 4, "owing": 2}.get(person.mood, 1)
    quantity = {"VOICE": (0, 60, 450, 900, 1800, 4000), "DATA": (0, 1024, 102_400, 256_000, 512_000), "SMS": (1, 2, 9)}
    amount = rng.choice(quantity[service]) // scale * (5 if person.mood == "surging" else 1)
    if rng.random() < 0.002:
        amount = rng.choice((2**31 - 1, 2**31, 2**40))
    charge = rng.choice((0, 0, 10, 100, 300, 500, 1000)) * (6 if person.mood == "surging" else 1) // scale
    is_within = person.customer_id % 4 == 2 and person.mood != "surging"
    contact = rng.randrange(16)
    moved = person.mood == "off_net" and contact % 2 == 0
    network = (
        rng.choice(("FIXED", "NONE", "UNKNOWN"))
        if contact == 15
        else "OFF_NET"
        if moved or contact % 5 == 4
        else "ON_NET"
    )
    return {
        "service": service,
        "direction": rng.choice(("OUT", "OUT", "IN")),
        "quantity": amount,
        "charge_fen": charge,
        "out_of_bundle_fen": 0 if is_within else rng.choice((0, 0, 0, charge // 2, charge)),
        "counterpart_network": network if service == "VOICE" else "NONE",
        "counterpart_key": 1000 + contact if rng.random() < 0.9 else None,
        "succeeded": rng.random() < (0.3 if person.mood == "owing" else 0.95),
        "roaming": "roaming" not in person.never and person.mood == "abroad" and rng.random() < 0.8,
        "area": rng.choice((None, "A1", "B2")),
    }


def balance(person: Person, rng: random.Random, day: date) -> Fields:
    """On both sides of nought, of the floor and of twice the floor."""
    return {
        "balance_fen": rng.choice((-500, -1, 0, 300, 999, 1000, 1500, 2000, 2001, 4000, 30_000)),
        "reason": rng.choice(("TOP_UP", "CHARGE", "SNAPSHOT")),
    }


def complaint(person: Person, rng: random.Random, day: date) -> Fields:
    """Few ids, so that they are told again; some people have more than are kept."""
    return {
        "complaint_id": f"k{rng.randrange(4 if person.customer_id % 3 else 12)}",
        "topic": rng.choice(("NETWORK", "BILLING")),
        "state": rng.choice(("OPENED", "OPENED", "UPDATED", "CLOSED", "CONFIRMED", "CONFIRMED")),
    }


def handset_change(person: Person, rng: random.Random, day: date) -> Fields:
    """Models that come back."""
    return {
        "device_model": rng.choice(MODELS),
        "previous_device_model": rng.choice((None, None, *MODELS)),
        "capabilities": rng.sample(["4G", "5G", "VOLTE", "ESIM", "7G"], 2),
    }


def line_status(person: Person, rng: random.Random, day: date) -> Fields:
    """Mostly active, sometimes with a forecast of suspension on either side of 72 hours."""
    expected = midnight(day) + rng.choice((HOUR, 71 * HOUR, 72 * HOUR, 80 * HOUR, 96 * HOUR))
    status = rng.choice(("ACTIVE", "ACTIVE", "ACTIVE", "SUSPENDED_ARREARS", "SUSPENDED_LOST", "TERMINATED"))
    is_forecast = status == "ACTIVE" and rng.random() < 0.4
    return {"status": status, "suspension_expected_at": expected if is_forecast else None}


def customer(person: Person, rng: random.Random, day: date) -> Fields:
    """A full record; birthday and calendar stay, the rest changes."""
    near = (day - date(1970, 1, 1)).days
    joined = near - rng.choice((0, 3, 20, 340, 365, 366, 1826, 1827, 3652, 3653, 5479, 7305)) + rng.randrange(40)
    leap = (date(2016, 2, 29) - date(1970, 1, 1)).days
    return {
        "city": rng.choice(("NJ", "SZ")),
        "segment": rng.choice((None, "GO", "EASY")),
        "tier": rng.choice(("TOP", "HIGH", "MID", "LOW")),
        "birthday": BIRTHDAYS[person.customer_id % len(BIRTHDAYS)] if person.customer_id % 11 else None,
        "birthday_calendar": ("SOLAR", "LUNAR")[person.customer_id // 3 % 2],
        "auto_pay": rng.random() < 0.2,
        "arpu_fen": rng.choice((None, 4000, 60_000)),
        "joined_on": leap if person.customer_id % 7 == 0 else rng.choice((None, joined, joined)),
        "plan_fee_fen": rng.choice((None, 0, 5000, 10_000)),
        "plan_id": rng.choice((None, "p1", "p2")),
        "plan_voice_seconds": rng.choice((None, 0, 1800, 9000)),
        "plan_data_kib": rng.choice((None, 0, 512_000, 2_048_000)),
        "plan_sms": rng.choice((None, 10, 100)),
        "plan_capabilities": ["4G"],
        "active_categories": rng.sample(CATEGORIES, rng.randrange(4)) if person.customer_id % 5 == 4 else [],
        "attributes": {name: rng.choice(values) for name, values in ATTRIBUTES.items() if rng.random() < 0.5},
        "contract_ends_on": rng.choice((None, near + 6, near + 8, near + 31, near + 61, near + 75)),
    }


def bill(person: Person, rng: random.Random, day: date) -> Fields:
    """Of the month before, sometimes of another one; the total stays or leaps."""
    month = month_of(day) - rng.choice((1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 0))
    if rng.random() < 0.4:
        person.total = rng.choice(TOTALS)
    fee = rng.choice((0, 5000, 5000, 10_000))
    return {
        "cycle": month_text(month),
        "total_fen": person.total,
        "plan_fee_fen": min(fee, person.total),
        "out_of_bundle_fen": 0 if person.customer_id % 4 == 2 else rng.choice((0, 0, 0, 499, 500, 1500, 3000)),
        "make_up_fen": rng.choice((0, 0, 0, 1, 1999, 2000)),
        "roaming_fen": 0,
    }


def service_order(person: Person, rng: random.Random, day: date) -> Fields:
    """Subscriptions and cancellations, bundled or not, of add-ons or core."""
    return {
        "order_id": f"o{rng.randrange(6)}",
        "action": rng.choice(("SUBSCRIBE", "SUBSCRIBE", "SUBSCRIBE", "CANCEL", "CANCEL", "CHANGE", "RENEW")),
        "category": rng.choice(CATEGORIES[1:] if person.customer_id % 4 == 2 else CATEGORIES),
        "product": rng.choice((None, "tv-1", "music-2")),
        "addon": rng.random() < 0.5,
        "bundled": rng.random() < 0.2,
        "core": rng.random() < 0.1,
        "effective_on": None,
        "ends_on": rng.choice((None, None, (day + timedelta(rng.choice((7, 30, 60, 90))) - date(1970, 1, 1)).days)),
    }


def roaming(person: Person, rng: random.Random, day: date) -> Fields:
    """Landing and leaving."""
    return {
        "country": rng.choice(COUNTRIES[: 3 if person.customer_id % 2 else 10]),
        "state": rng.choice(("LANDED", "LANDED", "LEFT")),
        "time_zone": "Asia/Tokyo",
    }


def inquiry(person: Person, rng: random.Random, day: date) -> Fields:
    """Asked, asked again, completed, withdrawn."""
    person.inquiries += rng.random() < 0.7
    if rng.random() < 0.4:
        person.topic = rng.choice(
            ("FEE", "FEE", "FAULT", "FAULT", "PORTING", "TERMINATION", "TARIFF", "OTHER", "UNKNOWN")
        )
    return {
        "inquiry_id": f"q{person.inquiries % (9 if person.customer_id % 3 else 1000)}",
        "topic": person.topic,
        "state": rng.choice(("OPENED", "OPENED", "OPENED", "COMPLETED", "WITHDRAWN")),
        "area": rng.choice((None, "A1")),
        "service": rng.choice(("UNKNOWN", "VOICE", "SMS", "DATA")),
    }


FIELDS = {
    "usage": usage, "balance": balance, "complaint": complaint, "handset-change": handset_change,
    "line-status": line_status, "customer": customer, "bill": bill, "service-order": service_order,
    "roaming": roaming, "inquiry": inquiry,
}  # fmt: skip
