"""Facts of the router's decisions: defaults for all but what a test is about."""

from typing import Any

from services.router.model import CustomerFacts, CustomerView, Moment
from tests.doubles.router_records import DAY_MS, NOW_MS


def a_moment(moment_id: str = "m1", rule_id: str = "AN17", **fields: Any) -> Moment:
    """A raised service moment for a call, of use for three days."""
    values: dict[str, Any] = {
        "moment_id": moment_id,
        "revision": 1,
        "customer_id": 1,
        "rule_id": rule_id,
        "group": "SERVICE",
        "dimension": "SERVICE",
        "state": "RAISED",
        "priority": 2,
        "channel": "CALL",
        "detected_at_ms": NOW_MS,
        "expires_at_ms": NOW_MS + 3 * DAY_MS,
        **fields,
    }
    return Moment(**values)


def a_view(**fields: Any) -> CustomerView:
    """A customer of Nanjing without wishes."""
    values: dict[str, Any] = {"customer_id": 1, "city": "NJ", "tier": "HIGH", "arpu_fen": 20_000, **fields}
    return CustomerView(**values)


def facts(*moments: Moment, view: CustomerView | None = None, known: bool = True, **fields: Any) -> CustomerFacts:
    """What is known of customer 1."""
    seen = (view or a_view()) if known else None
    return CustomerFacts(customer_id=1, view=seen, moments=moments, **fields)
