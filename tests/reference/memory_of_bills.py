"""What is remembered of bills: the newest cycle and the three before it."""

from tests.reference.local_time import MINUTE, local_date, month_number, month_of
from tests.reference.memory import Customer
from tests.reference.order import Record, order

CYCLES_KEPT = 4
MONTHS_AHEAD = 1
"""No bill is about a later month than that of its bill run and this many more."""


def take_bill(customer: Customer, record: Record) -> bool:
    """Keep a bill; True when it is judged: it counts for the newest cycle, which is neither old nor yet to come."""
    cycle, bills = month_number(record["cycle"]), customer.bills
    newest = max(bills, default=cycle)
    months_ago = month_of(local_date(record["occurred_at"])) - cycle
    if months_ago < -MONTHS_AHEAD:
        return False
    if cycle <= newest - CYCLES_KEPT:
        return False
    known = bills.get(cycle)
    if known is not None:
        is_later = order(record) >= order(known)
        if cycle != newest:
            is_later = record["occurred_at"] // MINUTE >= known["occurred_at"] // MINUTE
        if not is_later:
            return False
    bills[cycle] = record
    for old in [each for each in bills if each <= max(bills) - CYCLES_KEPT]:
        del bills[old]
    return cycle == max(bills) and 0 <= months_ago <= 2


def newest_bill(customer: Customer) -> Record | None:
    """The bill of the newest cycle."""
    return customer.bills[max(customer.bills)] if customer.bills else None


def bill_before(customer: Customer, cycle: int) -> Record | None:
    """The bill of the cycle before."""
    return customer.bills.get(cycle - 1)


def three_before(customer: Customer, cycle: int) -> tuple[int, int]:
    """Of the three cycles before one: how many bills are known, and their sum."""
    known = [customer.bills[each] for each in range(cycle - 3, cycle) if each in customer.bills]
    return len(known), sum(bill["total_fen"] for bill in known)


def plan_fee(customer: Customer, bill: Record) -> int:
    """The fee that a bill names, else that of the customer record; 0 when unknown."""
    if bill["plan_fee_fen"]:
        return int(bill["plan_fee_fen"])
    profile = customer.profile
    return int(profile["plan_fee_fen"] or 0) if profile else 0
