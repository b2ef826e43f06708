"""What is remembered of one customer, and how an event changes it.

It forgets what the engine documents that it forgets: usage older than the rings, cases beyond eight, event ids beyond
the last ten of usage and six of all other kinds.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeVar

from tests.reference.local_time import HOUR, local_date, month_of
from tests.reference.order import Record, identity, newest, order

if TYPE_CHECKING:
    from tests.reference.episodes import Episode

DAYS_KEPT = 42
HOURS_KEPT = 24
MONTHS_KEPT = 6
CASES_KEPT = 8
MOST = 2**31 - 1
"""Where a sum stops."""

Ring = dict[date, int]
K = TypeVar("K")


@dataclass
class Customer:
    """Everything that is remembered of one customer."""

    customer_id: int
    profile: Record | None = None
    first_day: date | None = None
    newest_usage_at: int | None = None
    usage_ids: list[tuple[str, str]] = field(default_factory=list)
    other_ids: list[tuple[str, str]] = field(default_factory=list)
    seconds: Ring = field(default_factory=dict)
    successes: Ring = field(default_factory=dict)
    data: Ring = field(default_factory=dict)
    charge: Ring = field(default_factory=dict)
    charge_of_hour: dict[int, int] = field(default_factory=dict)
    month: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    balance: Record | None = None
    line: Record | None = None
    swaps: list[Record] = field(default_factory=list)
    complaints: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    episodes: "dict[tuple[str, object], Episode]" = field(default_factory=dict)
    disarmed: set[str] = field(default_factory=set)
    pending: bool = False


def days_sum(ring: Ring, first: date, last: date) -> int:
    """The sum over local days, both included."""
    return sum(amount for day, amount in ring.items() if first <= day <= last)


def is_duplicate(customer: Customer, kind: str, record: Record) -> bool:
    """True when the event id is remembered; else it is from now on."""
    ids, size = (customer.usage_ids, 10) if kind == "usage" else (customer.other_ids, 6)
    name = identity(record)
    if name in ids:
        return True
    ids.append(name)
    del ids[:-size]
    return False


def take(customer: Customer, kind: str, record: Record) -> bool:
    """Remember an event; False when it is older than what it would replace, so that no rule looks at it."""
    if kind != "customer":
        day = local_date(record["occurred_at"])
        customer.first_day = min(customer.first_day or day, day)
    return TAKERS[kind](customer, record)


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
        _add(customer.month["charge"], month, charge)
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


def _amount(value: int) -> int:
    return min(max(value, 0), MOST)


def _add(ring: dict[K, int], key: K, value: int, most: int = MOST) -> None:
    ring[key] = min(ring.get(key, 0) + value, most)


# --- last values ---------------------------------------------------------------------------------------------------


def take_balance(customer: Customer, record: Record) -> bool:
    """The newest balance."""
    if customer.balance is not None and order(record) < order(customer.balance):
        return False
    customer.balance = record
    return True


def take_line_status(customer: Customer, record: Record) -> bool:
    """The newest status of the line."""
    if customer.line is not None and order(record) < order(customer.line):
        return False
    customer.line = record
    return True


def take_customer(customer: Customer, record: Record) -> bool:
    """The newest customer record."""
    if customer.profile is not None and order(record) < order(customer.profile):
        return False
    customer.profile = record
    return True


# --- cases ---------------------------------------------------------------------------------------------------------


def take_handset_change(customer: Customer, record: Record) -> bool:
    """The eight newest handset changes."""
    if any(identity(each) == identity(record) for each in customer.swaps):
        return False
    if len(customer.swaps) == CASES_KEPT:
        oldest = min(customer.swaps, key=order)
        if order(record) < order(oldest):
            return False
        customer.swaps.remove(oldest)
    customer.swaps.append(record)
    return True


def take_complaint(customer: Customer, record: Record) -> bool:
    """All events of the eight complaints with the newest events."""
    key = (record["source"], record["complaint_id"])
    if key not in customer.complaints and len(customer.complaints) == CASES_KEPT:
        oldest = min(customer.complaints, key=lambda each: order(newest(customer.complaints[each])))
        if order(record) < order(newest(customer.complaints[oldest])):
            return True
        del customer.complaints[oldest]
    customer.complaints.setdefault(key, []).append(record)
    return True


def take_nothing(customer: Customer, record: Record) -> bool:
    """A kind of which nothing is remembered yet."""
    return True


TAKERS: dict[str, Callable[[Customer, Record], bool]] = {
    "usage": take_usage,
    "balance": take_balance,
    "line-status": take_line_status,
    "customer": take_customer,
    "handset-change": take_handset_change,
    "complaint": take_complaint,
    "bill": take_nothing,
    "service-order": take_nothing,
    "roaming": take_nothing,
    "inquiry": take_nothing,
}
