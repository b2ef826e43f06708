"""An engine for tests of the detector's shell: counts events per customer, with the pages and promises of the real one.

Every third event of a customer is a moment; customer records are copied; pages hold four customers each. Its results
are a function of the log alone, and easy to compute again.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.codec import Undecodable, decode

PAGE_ROWS = 4
TICK = "kairos.control.v1.Tick"
CUSTOMER = "kairos.events.v1.CustomerEvent"
HAND_OVER = "kairos.control.v1.HandOver"
_SPACE = uuid.UUID("00000000-0000-0000-0000-000000000001")


class RulesNotLoaded(Exception):
    """As the engine's: args[0] is the offset."""


class StateUnreadable(Exception):
    """As the engine's."""


@dataclass(frozen=True)
class Bad:
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str


@dataclass(frozen=True)
class Mark:
    offset: int
    engine_version: int


@dataclass(frozen=True)
class CountingPage:
    next_offset: int
    rows: int
    payload: bytes


@dataclass
class CountingChunk:
    first_offset: int
    next_offset: int
    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    poison: list[Bad] = field(default_factory=list)
    customers: list[tuple[bytes, bytes, int]] = field(default_factory=list)
    hand_overs: list[Mark] = field(default_factory=list)


@dataclass
class CountingApplied:
    moments: list[dict[str, Any]] = field(default_factory=list)
    bulk: frozenset[str] = frozenset()
    counts: dict[str, int] = field(default_factory=dict)


def decode_chunk(partition: int, records: Sequence[Any]) -> CountingChunk:
    chunk = CountingChunk(records[0].offset, records[-1].offset + 1)
    for record in records:
        try:
            if record.value is None:
                raise ValueError("empty")
            found = decode(record.value)
        except (Undecodable, ValueError) as fault:
            chunk.poison.append(Bad(record.offset, record.key, record.value, str(fault)))
            continue
        if found.name == HAND_OVER:
            chunk.hand_overs.append(Mark(record.offset, found.record["engine_version"]))
            continue
        chunk.events.append((record.offset, found.name, found.record))
        if found.name == CUSTOMER:
            chunk.customers.append((record.key, record.value, record.offset))
    return chunk


class CountingPartition:
    """Rows by customer in order of appearance; a page skips what it contains."""

    moment_every = 3

    def __init__(self, number: int, first_offset: int = 0) -> None:
        self.number = number
        self.next_offset = first_offset
        self.tick_now_ms = 0
        self.rules_offset = -1
        self.sweep_pending = 0
        self._slots: dict[int, int] = {}
        self._rows: list[tuple[int, int]] = []  # customer, events
        self._page_offsets: dict[int, int] = {}

    @property
    def customers(self) -> int:
        return len(self._rows)

    def apply(self, chunk: CountingChunk, rules: Mapping[int, Any]) -> CountingApplied:
        assert chunk.first_offset == self.next_offset
        for _, name, record in chunk.events:
            if name == TICK and record["rules_offset"] > self.rules_offset and record["rules_offset"] not in rules:
                raise RulesNotLoaded(record["rules_offset"])
        applied = CountingApplied()
        for offset, name, record in chunk.events:
            if name == TICK:
                self.tick_now_ms = max(self.tick_now_ms, record["now"])
                self.rules_offset = max(self.rules_offset, record["rules_offset"])
            else:
                self._count(offset, record, applied)
        self.next_offset = chunk.next_offset
        return applied

    def _count(self, offset: int, record: dict[str, Any], applied: CountingApplied) -> None:
        customer = record["customer_id"]
        slot = self._slots.get(customer)
        if slot is not None and offset < self._page_offsets.get(slot // PAGE_ROWS, 0):
            return
        if slot is None:
            slot = self._slots[customer] = len(self._rows)
            self._rows.append((customer, 0))
        events = self._rows[slot][1] + 1
        self._rows[slot] = (customer, events)
        if events % self.moment_every == 0:
            applied.moments.append(_moment(customer, events, record["occurred_at"], self.tick_now_ms))

    def sweep(self, customers_at_most: int) -> CountingApplied:
        return CountingApplied()

    def owes(self, page: int) -> bool:
        return False

    def sweep_page(self, page: int, customers_at_most: int) -> CountingApplied:
        return CountingApplied()

    def pages(self) -> int:
        return -(-len(self._rows) // PAGE_ROWS)

    def dump_page(self, n: int) -> CountingPage:
        rows = self._rows[n * PAGE_ROWS : (n + 1) * PAGE_ROWS]
        return CountingPage(self.next_offset, len(rows), json.dumps(rows).encode())

    def expect_pages(self, pages: int) -> None: ...

    def load_page(self, n: int, page: CountingPage) -> None:
        assert len(self._rows) == n * PAGE_ROWS
        for customer, events in json.loads(page.payload):
            self._slots[customer] = len(self._rows)
            self._rows.append((customer, events))
        self._page_offsets[n] = page.next_offset

    def finish_loading(self, tick_now_ms: int, rules_offset: int, next_offset: int) -> None:
        self.tick_now_ms, self.rules_offset, self.next_offset = tick_now_ms, rules_offset, next_offset


def _moment(customer: int, events: int, occurred_at: int, now_ms: int) -> dict[str, Any]:
    return {
        "moment_id": str(uuid.uuid5(_SPACE, f"{customer}/{events}")),
        "revision": 1,
        "customer_id": customer,
        "rule_id": "AN4",
        "rule_version": "test@1",
        "moment_class": "CHANGE",
        "state": "RAISED",
        "priority": 3,
        "episode": str(events),
        "occurred_at": occurred_at,
        "detected_at": now_ms,
        "expires_at": occurred_at + 1,
    }


def compile_rule_set(documents: Mapping[str, str], version: str, effective_from_ms: int) -> Any:
    if any("broken" in text for text in documents.values()):
        raise ValueError("rules/an4.yaml:1:1: broken")
    return (version, dict(documents))


class CountingEngine:
    """Fits services.detector.ports.Engine."""

    engine_version = 1
    state_version = 1
    rules_not_loaded = RulesNotLoaded
    state_unreadable = StateUnreadable
    new_partition = CountingPartition
    new_page = CountingPage
    decode_chunk = staticmethod(decode_chunk)
    kinds_of = staticmethod(lambda chunk: {"any": len(chunk.events)})
    compile_rule_set = staticmethod(compile_rule_set)


class OftenPartition(CountingPartition):
    """Finds more in the same log."""

    moment_every = 2


class NextEngine(CountingEngine):
    """The engine of a later release: the same state, other moments."""

    engine_version = 2
    new_partition = OftenPartition


ENGINE = CountingEngine()
NEXT_ENGINE = NextEngine()
