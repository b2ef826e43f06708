"""What is remembered of one customer, and how an event changes it.

It forgets what the engine documents that it forgets: usage older than the rings, cases beyond eight, event ids beyond
the last eight of usage and six of all other kinds.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeVar

from tests.reference.contacts import TopContacts
from tests.reference.local_time import HOUR, local_date, month_of
from tests.reference.order import Record, identity, order

if TYPE_CHECKING:
    from tests.reference.episodes import Episode

DAYS_KEPT = 42
HOURS_KEPT = 24
MONTHS_KEPT = 5
MOST = 2**31 - 1
"""Where a sum stops."""

Ring = dict[date, int]
K = TypeVar("K")
NAMED_LATER = timedelta(1)
"""A record may name a category so long before the order of it, in local days, and still be about that order."""


@dataclass
class RunningMonth:
    """What is kept of the month of the newest usage alone."""

    month: int = -1
    charge: int = 0
    voice_out: int = 0
    sms_out: int = 0
    data: int = 0


@dataclass
class Category:
    """A category of services: active or not, and when that was last noted."""

    is_active: bool
    noted_on: date


Categories = dict[str, Category]


@dataclass
class Named:
    """A category that a customer record newly named: when, and what was known of it without that record."""

    on: date
    without: Categories


@dataclass
class Customer:
    """Everything that is remembered of one customer."""

    customer_id: int
    profile: Record | None = None
    first_day: date | None = None
    """Of usage."""
    newest_usage_at: int | None = None
    usage_ids: list[tuple[str, str]] = field(default_factory=list)
    other_ids: list[tuple[str, str]] = field(default_factory=list)
    seconds: Ring = field(default_factory=dict)
    successes: Ring = field(default_factory=dict)
    data: Ring = field(default_factory=dict)
    charge: Ring = field(default_factory=dict)
    charge_of_hour: dict[int, int] = field(default_factory=dict)
    month: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    running: RunningMonth = field(default_factory=RunningMonth)
    last_success_at: int | None = None
    contacts: TopContacts = field(default_factory=TopContacts)
    balance: Record | None = None
    topped_up_at: int = 0
    line: Record | None = None
    swaps: list[Record] = field(default_factory=list)
    complaints: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    orders: list[Record] = field(default_factory=list)
    inquiries: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    countries: dict[str, Record] = field(default_factory=dict)
    roaming: Record | None = None
    categories: Categories = field(default_factory=dict)
    named: dict[str, Named] = field(default_factory=dict)
    waiting: list[Record] = field(default_factory=list)
    bills: dict[int, Record] = field(default_factory=dict)
    plan_days: list[date] = field(default_factory=list)
    """The two latest, the later one first."""
    renewal_day: date | None = None
    suspension_day: date | None = None
    travel_day: date | None = None
    calls_declined: dict[date, bool] = field(default_factory=dict)
    episodes: "dict[tuple[str, object], Episode]" = field(default_factory=dict)
    disarmed: set[str] = field(default_factory=set)
    pending: bool = False


def days_sum(ring: Ring, first: date, last: date) -> int:
    """The sum over local days, both included."""
    return sum(amount for day, amount in ring.items() if first <= day <= last)


def is_duplicate(customer: Customer, kind: str, record: Record) -> bool:
    """True when the event id is remembered; else it is from now on."""
    ids, size = (customer.usage_ids, 8) if kind == "usage" else (customer.other_ids, 6)
    name = identity(record)
    if name in ids:
        return True
    ids.append(name)
    del ids[:-size]
    return False


# --- usage ---------------------------------------------------------------------------------------------------------


def take_usage(customer: Customer, record: Record) -> bool:
    """Add to the rings of hours, days and months, as far back as they reach."""
    at = record["occurred_at"]
    day, hour, month = local_date(at), (at + 8 * HOUR) // HOUR, month_of(local_date(at))
    if customer.newest_usage_at is None or at > customer.newest_usage_at:
        customer.newest_usage_at = at
        forget_old_usage(customer, day, hour, month)
    newest_day = local_date(customer.newest_usage_at)
    quantity, charge = _amount(record["quantity"]), _amount(record["charge_fen"])
    is_voice, is_data = record["service"] == "VOICE", record["service"] == "DATA"
    if hour > (customer.newest_usage_at + 8 * HOUR) // HOUR - HOURS_KEPT:
        _add(customer.charge_of_hour, hour, charge)
    if month > month_of(newest_day) - MONTHS_KEPT:
        network = record["counterpart_network"]
        _add(customer.month["on_net"], month, quantity if is_voice and network == "ON_NET" else 0)
        _add(customer.month["off_net"], month, quantity if is_voice and network == "OFF_NET" else 0)
        _add(customer.month["out_of_bundle"], month, _amount(record["out_of_bundle_fen"]))
    if month == month_of(newest_day):
        add_to_running_month(customer.running, record, month, quantity, charge)
    if record["succeeded"]:
        customer.last_success_at = max(customer.last_success_at or 0, at)
    if record["roaming"]:
        customer.travel_day = max(customer.travel_day or day, day)
    customer.contacts.take(record, day)
    if day > newest_day - timedelta(DAYS_KEPT):
        _add(customer.seconds, day, quantity if is_voice else 0, most=2**18 - 1)
        _add(customer.successes, day, int(record["succeeded"]), most=2**13 - 1)
        _add(customer.data, day, quantity if is_data else 0)
        _add(customer.charge, day, charge)
    return True


def forget_old_usage(customer: Customer, day: date, hour: int, month: int) -> None:
    """Drop what the rings no longer reach from a new newest day, hour and month."""
    for ring in (customer.seconds, customer.successes, customer.data, customer.charge):
        for old_day in [each for each in ring if each <= day - timedelta(DAYS_KEPT)]:
            del ring[old_day]
    for old in [each for each in customer.charge_of_hour if each <= hour - HOURS_KEPT]:
        del customer.charge_of_hour[old]
    for months in customer.month.values():
        for old in [each for each in months if each <= month - MONTHS_KEPT]:
            del months[old]


def add_to_running_month(running: RunningMonth, record: Record, month: int, quantity: int, charge: int) -> None:
    """Charges, and what counts against allowances: outgoing calls and messages, all data, nothing abroad."""
    if running.month != month:
        running.month, running.charge, running.voice_out, running.sms_out, running.data = month, 0, 0, 0, 0
    running.charge = min(running.charge + charge, MOST)
    if record["roaming"]:
        return
    if record["service"] == "DATA":
        running.data = min(running.data + quantity, MOST)
    elif record["service"] == "VOICE" and record["direction"] == "OUT":
        running.voice_out = min(running.voice_out + quantity, MOST)
    elif record["service"] == "SMS" and record["direction"] == "OUT":
        running.sms_out = min(running.sms_out + quantity, MOST)


def _amount(value: int) -> int:
    return min(max(value, 0), MOST)


def _add(ring: dict[K, int], key: K, value: int, most: int = MOST) -> None:
    ring[key] = min(ring.get(key, 0) + value, most)


# --- last values ---------------------------------------------------------------------------------------------------


def take_balance(customer: Customer, record: Record) -> bool:
    """The newest balance, and when a top-up left no arrears last."""
    if record["reason"] == "TOP_UP" and record["balance_fen"] >= 0:
        customer.topped_up_at = max(customer.topped_up_at, record["occurred_at"])
    if customer.balance is not None and order(record) < order(customer.balance):
        return False
    customer.balance = record
    return True


def take_line_status(customer: Customer, record: Record) -> bool:
    """The newest status of the line, and the day of the newest suspension or resumption."""
    known = customer.line
    is_newest = known is None or order(record) >= order(known)
    if record["status"] in SUSPENDED:
        note_suspension(customer, record)
        if known is not None and known["status"] == "ACTIVE" and not is_newest:
            note_suspension(customer, known)
    elif record["status"] == "ACTIVE" and known is not None and known["status"] in SUSPENDED and is_newest:
        note_suspension(customer, record)
    if is_newest:
        customer.line = record
    return is_newest


SUSPENDED = {"SUSPENDED_VOLUNTARY", "SUSPENDED_ARREARS", "SUSPENDED_LOST", "SUSPENDED_DISPUTE", "TERMINATED"}


def note_suspension(customer: Customer, record: Record) -> None:
    """Keep the newest day of a suspension, or of the status that ended one."""
    day = local_date(record["occurred_at"])
    customer.suspension_day = max(customer.suspension_day or day, day)


def take_customer(customer: Customer, record: Record) -> bool:
    """The newest customer record, and the categories that it names or no longer names."""
    if customer.profile is not None and order(record) < order(customer.profile):
        return False
    before = set(customer.profile["active_categories"]) if customer.profile else set()
    now, day = set(record["active_categories"]), local_date(record["occurred_at"])
    without = dict(customer.categories)
    for name in (before | now) & CATEGORIES:
        note_category(customer.categories, name, name in now, day)
        is_change = is_active(customer.categories, name) and not is_active(without, name)
        if name in now - before and is_change and (customer.profile is not None or has_just_joined(record, day)):
            customer.named[name] = Named(day, {name: without[name]} if name in without else {})
    customer.profile = record
    return True


def has_just_joined(record: Record, day: date) -> bool:
    """True when a record is of the day of joining, or of the day before or after."""
    joined = record["joined_on"]
    return bool(joined) and abs(date(1970, 1, 1) + timedelta(joined) - day) <= NAMED_LATER


CATEGORIES = {"VOICE_PLAN", "DATA_PACK", "BROADBAND", "ROAMING", "TV", "MUSIC", "SECURITY", "OTHER"}


def note_category(categories: Categories, name: str, active: bool, day: date) -> None:
    """Note that a category is active, or no longer, from a day on; what was noted of a later day stays."""
    known = categories.get(name)
    if known is None or day >= known.noted_on:
        categories[name] = Category(active, day)


def is_active(categories: Categories, name: str) -> bool:
    """True while a category is noted as active."""
    return name in categories and categories[name].is_active


def as_before(customer: Customer, name: str, day: date) -> list[Categories]:
    """Where to note an order of a day: first what was known without a record that named the category in its place."""
    named = customer.named.get(name)
    return [*([named.without] if named is not None and day - NAMED_LATER <= named.on else []), customer.categories]
