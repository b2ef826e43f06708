"""Events that every door must refuse, each with the reason that it must be given; and poison for the log itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.simulator.events import SOURCES, Body, Event

# Beyond the tolerance of five minutes.
FUTURE_MS = 3_600_000


@dataclass(frozen=True, kw_only=True)
class BadEvent:
    """An event and the reason code with which it must be refused."""

    event: Event
    reason: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A change that makes a good event bad."""

    kind: str
    field: str
    value: Any
    reason: str


GOOD: dict[str, Body] = {
    "balance": {"balance_fen": 9_000},
    "usage": {"service": "DATA", "quantity": 100},
    "handset-change": {"device_model": "Aster 4"},
    "complaint": {"complaint_id": "BAD", "state": "OPENED", "topic": "NETWORK"},
    "bill": {"cycle": "2026-08", "total_fen": 100},
    "service-order": {"order_id": "BAD", "action": "SUBSCRIBE", "category": "TV"},
    "roaming": {"country": "JP", "state": "LANDED"},
    "inquiry": {"inquiry_id": "BAD", "topic": "FEE"},
    "line-status": {"status": "ACTIVE"},
    "contact": {"channel": "CALL"},
    "customer": {"city": "NJ"},
}
# Faults that both live doors can carry: a gRPC message has types of its own.
FAULTS = (
    Fault(kind="usage", field="quantity", value=-1, reason="out_of_range"),
    Fault(kind="usage", field="service", value="FAX", reason="unknown_value"),
    Fault(kind="complaint", field="state", value="FORGOTTEN", reason="unknown_value"),
    Fault(kind="bill", field="cycle", value="2026-13", reason="bad_format"),
    Fault(kind="customer", field="city", value="XX", reason="unknown_value"),
    Fault(kind="customer", field="quiet_windows", value=["25:00-26:00"], reason="bad_format"),
    Fault(kind="line-status", field="status", value="ASLEEP", reason="unknown_value"),
    Fault(kind="roaming", field="country", value="JPN", reason="unknown_value"),
    Fault(kind="handset-change", field="device_tac", value="12AB", reason="bad_format"),
    Fault(kind="service-order", field="effective_on", value="2026-02-30", reason="bad_format"),
    Fault(kind="inquiry", field="topic", value="WEATHER", reason="unknown_value"),
    Fault(kind="contact", field="channel", value="PIGEON", reason="unknown_value"),
    Fault(kind="balance", field="occurred_at", value=FUTURE_MS, reason="in_the_future"),
    Fault(kind="balance", field="occurred_at", value=-1, reason="too_old"),
    Fault(kind="usage", field="source", value="Bad Source", reason="bad_format"),
)
# Faults that only JSON can have.
JSON_FAULTS = (
    Fault(kind="balance", field="balance_fen", value="much", reason="wrong_type"),
    Fault(kind="balance", field="balance_fen", value=None, reason="missing"),
    Fault(kind="usage", field="colour", value="red", reason="unknown_field"),
    Fault(kind="customer", field="attributes", value={"a": 1}, reason="wrong_type"),
    Fault(kind="complaint", field="severity", value=3, reason="wrong_type"),
)


def bad_events(customer_id: int, now_ms: int, *, prefix: str, faults: tuple[Fault, ...]) -> Iterator[BadEvent]:
    """One bad event per fault."""
    for number, fault in enumerate(faults):
        body: Body = {
            "event_id": f"{prefix}-{number}",
            "customer_id": customer_id,
            "occurred_at": now_ms,
            "source": SOURCES[fault.kind],
            **GOOD[fault.kind],
        }
        if fault.field == "occurred_at":
            body["occurred_at"] = now_ms + FUTURE_MS if fault.value == FUTURE_MS else 1
        elif fault.value is None:
            del body[fault.field]
        else:
            body[fault.field] = fault.value
        event = Event(kind=fault.kind, body=body, due_ms=now_ms, story="bad")
        yield BadEvent(event=event, reason=fault.reason)


POISON = (
    b"\x00\x00\x00\xff\xff" + b"an unknown schema id",
    b"not a frame at all",
    b"\x00\x00\x00\x00\x01\x80\x80\x80",
)
"""Record values that no decoder can read; with a key of a real customer."""
