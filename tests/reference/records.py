"""Records made from a few words, and logs of them: `log.event("balance", at, balance_fen=5)`, `log.tick(at)`."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from schemas.codec import decode_body, encode
from schemas.events import KINDS
from schemas.registry import REGISTRY
from tests.reference.local_time import HOUR, midnight

MONDAY = date(2026, 9, 7)
TICK = "kairos.control.v1.Tick"
Entry = tuple[Any, ...]


@dataclass(frozen=True)
class Raw:
    """A record of the log."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 0


class Log:
    """Builds a log."""

    def __init__(self, customer_id: int = 7) -> None:
        self.entries: list[Entry] = []
        self._customer_id = customer_id
        self._numbers = itertools.count(1)

    def event(
        self, kind: str, at: int, *, arrives: int | None = None, history: bool = False, **fields: Any
    ) -> dict[str, Any]:
        """Append an event; defaults for all that is not given. Returns its record."""
        record = {
            "customer_id": self._customer_id,
            "occurred_at": at,
            "ingested_at": at if arrives is None else arrives,
            "history": history,
            "event_id": f"e{next(self._numbers):06d}",
            "source": "crm",
            **fields,
        }
        self.entries.append(("event", kind, full(kind, record)))
        return record

    def profile(self, at: int, **fields: Any) -> dict[str, Any]:
        """Append a customer record."""
        return self.event("customer", at, **{"city": "NJ", "segment": "GO", "tier": "MID", **fields})

    def again(self, kind: str, record: dict[str, Any]) -> None:
        """Append the same event once more."""
        self.entries.append(("event", kind, full(kind, record)))

    def tick(self, at: int) -> None:
        """Append a tick that announces the rules."""
        self.entries.append(("tick", at))


def full(kind: str, record: dict[str, Any]) -> dict[str, Any]:
    """The record with every field, as the log has it."""
    name = KINDS[kind].record
    return decode_body(REGISTRY.id_of(name), encode(name, record)[5:])


def local(day: date, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """An instant by local date and time."""
    return midnight(day) + hour * HOUR + minute * 60_000 + second * 1000


def raw_records(entries: Iterable[Entry], first_offset: int = 0) -> list[Raw]:
    """The log as bytes. A tick's third element is the number of the rule set that it announces."""
    found = []
    for offset, entry in enumerate(entries, first_offset):
        if entry[0] == "tick":
            announced = entry[2] if len(entry) > 2 else 0
            found.append(Raw(offset, None, encode(TICK, {"now": entry[1], "rules_offset": announced})))
        else:
            _, kind, record = entry
            found.append(Raw(offset, b"%d" % record["customer_id"], encode(KINDS[kind].record, record)))
    return found
