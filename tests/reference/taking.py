"""Which memory an event belongs to."""

from collections.abc import Callable

from tests.reference import memory, memory_of_bills, memory_of_cases
from tests.reference.local_time import local_date
from tests.reference.memory import Customer
from tests.reference.order import Record

TAKERS: dict[str, Callable[[Customer, Record], bool]] = {
    "usage": memory.take_usage,
    "balance": memory.take_balance,
    "line-status": memory.take_line_status,
    "customer": memory.take_customer,
    "bill": memory_of_bills.take_bill,
    "handset-change": memory_of_cases.take_handset_change,
    "complaint": memory_of_cases.take_complaint,
    "service-order": memory_of_cases.take_service_order,
    "inquiry": memory_of_cases.take_inquiry,
    "roaming": memory_of_cases.take_roaming,
}


def take(customer: Customer, kind: str, record: Record) -> bool:
    """Remember an event; False when it is older than what it would replace, so that no rule looks at it."""
    if kind == "usage":
        day = local_date(record["occurred_at"])
        customer.first_day = min(customer.first_day or day, day)
    return TAKERS[kind](customer, record)
