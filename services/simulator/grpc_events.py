"""Events in the JSON form as messages of kairos.ingest.v1."""

from typing import Any

from kairos.ingest.v1 import ingest_pb2

from services.simulator.events import Event

COMMON_FIELDS = frozenset({"event_id", "customer_id", "occurred_at", "source"})
# JSON name → name in the message, where they differ.
RENAMED = {"suspension_expected_at": "suspension_expected_at_ms"}


def to_message(event: Event) -> ingest_pb2.Event:
    """The message of an event; fields that the event does not have stay unset."""
    body = event.body
    message = ingest_pb2.Event(
        event_id=str(body["event_id"]),
        customer_id=int(str(body["customer_id"])),
        occurred_at_ms=event.occurred_at_ms,
        source=str(body["source"]),
    )
    part: Any = getattr(message, event.kind.replace("-", "_"))
    part.SetInParent()
    for name, value in body.items():
        if name not in COMMON_FIELDS:
            fill(part, RENAMED.get(name, name), value)
    return message


def fill(part: Any, name: str, value: Any) -> None:
    """Set one field of a message, whatever its shape."""
    if isinstance(value, list):
        getattr(part, name).extend(value)
    elif isinstance(value, dict):
        getattr(part, name).update(value)
    else:
        setattr(part, name, value)
