"""Records of the event log in great numbers: a pattern is encoded once, and what differs is patched in by arrays.

Every patched field has a constant width, which is why customer ids, amounts and event ids come from narrow ranges. Each
pattern is compared with the real encoder when it is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.codec import encode, encode_body
from services.transport.kafka_producer import OutRecord

USAGE, BALANCE, CUSTOMER = (f"kairos.events.v1.{name}Event" for name in ("Usage", "Balance", "Customer"))
TICK: Final = "kairos.control.v1.Tick"
START_MS: Final = 1_788_746_400_000  # Monday 2026-09-07 10:00 +08:00
DAY_MS: Final = 86_400_000
BATCH: Final = 20_000
LOW_BALANCES: Final = 0.0005  # share of events that bring a customer under the threshold: what a busy day has
_FIRST_ID, _ID_STEP = 320_000_000_000, 7
_EVENT_ID_DIGITS = 9
_QUANTITY = (64, 4_096)  # two bytes each
_CHARGE = (0, 64)  # one byte each
_SERVICES = np.array([1, 2, 3])  # VOICE, SMS, DATA
Ints = np.ndarray[Any, np.dtype[np.int64]]


def customer_ids(numbers: Ints) -> Ints:
    """The ids of customers by their number."""
    return _FIRST_ID + _ID_STEP * numbers


def keys_of(ids: Ints) -> list[bytes]:
    """The record keys of these ids."""
    return [b"%d" % each for each in ids.tolist()]


class Pattern:
    """Records of one kind, as rows of equal length."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        """fields: of every record; customer_id, occurred_at, ingested_at and event_id are patched in."""
        self._name, self._fields = name, fields
        self._row = np.frombuffer(self._encoded(0, START_MS, 0), np.uint8)
        first = len(encode(name, self._common(0, START_MS, 0) | fields)) - len(
            encode_body(name, self._common(0, START_MS, 0) | fields)
        )
        self._id, self._at, self._ingested = first, first + 6, first + 12
        self._event_id = first + 18 + 1 + 1  # history, length
        self.tail = self._event_id + _EVENT_ID_DIGITS + 2  # source
        self._check()

    def rows(self, ids: Ints, at_ms: Ints, numbers: Ints) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """One row per record; numbers: of the events, for their ids."""
        rows = np.tile(self._row, (len(ids), 1))
        put_varint(rows, self._id, ids, 6)
        put_varint(rows, self._at, at_ms, 6)
        rows[:, self._ingested : self._ingested + 6] = rows[:, self._at : self._at + 6]
        for digit in range(_EVENT_ID_DIGITS):
            rows[:, self._event_id + _EVENT_ID_DIGITS - 1 - digit] = 48 + numbers // 10**digit % 10
        return rows

    def _common(self, number: int, at_ms: int, event: int) -> dict[str, Any]:
        return {
            "customer_id": _FIRST_ID + _ID_STEP * number,
            "occurred_at": at_ms,
            "ingested_at": at_ms,
            "event_id": f"{event:09d}",
            "source": "b",
        }

    def _encoded(self, number: int, at_ms: int, event: int) -> bytes:
        return encode(self._name, self._common(number, at_ms, event) | self._fields)

    def _check(self) -> None:
        numbers = np.array([3_999_999])
        row = self.rows(customer_ids(numbers), numbers * 0 + START_MS + 80 * DAY_MS, numbers + 123)
        expected = self._encoded(3_999_999, START_MS + 80 * DAY_MS, 4_000_122)
        assert row.tobytes() == expected, f"the first six fields of {self._name} are written here by hand"


class UsagePattern(Pattern):
    """Usage events: service, quantity and charge differ as well."""

    def __init__(self) -> None:
        super().__init__(USAGE, {"service": "VOICE", "quantity": 100, "charge_fen": 0})

    def usage(self, ids: Ints, at_ms: Ints, numbers: Ints, rng: np.random.Generator) -> list[bytes]:
        """Encoded events of random services and amounts."""
        rows = self.rows(ids, at_ms, numbers)
        put_varint(rows, self.tail, _SERVICES[numbers % 3], 1)
        put_varint(rows, self.tail + 2, rng.integers(*_QUANTITY, len(ids)), 2)
        put_varint(rows, self.tail + 4, rng.integers(*_CHARGE, len(ids)), 1)
        return cut(rows)


def put_varint(rows: np.ndarray[Any, np.dtype[np.uint8]], column: int, values: Ints, width: int) -> None:
    """Write values ≥ 0 as zigzag varints of a width that all of them need."""
    rest = values.astype(np.int64) << 1
    for i in range(width):
        more = 0x80 if i < width - 1 else 0
        rows[:, column + i] = rest & 0x7F | more
        rest >>= 7


def cut(rows: np.ndarray[Any, np.dtype[np.uint8]]) -> list[bytes]:
    """The rows as bytes."""
    text, width = rows.tobytes(), rows.shape[1]
    return [text[at : at + width] for at in range(0, len(text), width)]


@dataclass(frozen=True, kw_only=True)
class RingsLog:
    """The log of the workload: a few busy customers over 38 days, then a record or so of all the others over 38 days,
    then the stream: 38 hours of everybody. Every event has an instant of its own, later than all before it."""

    customers: int
    events: int
    seed: int = 1
    start_ms: int = START_MS

    @property
    def busy(self) -> int:
        """Busy customers; they have ten events each before anybody else has one, so that rules fire early."""
        return max(1, min(2_000, self.customers // 10, self.events // 100))

    @property
    def stretches(self) -> list[tuple[int, int, int]]:
        """Events, and milliseconds between two of them, and the first customer, per stretch."""
        first, second = 10 * self.busy, self.events // 6
        third = self.events - first - second
        past = 38 * DAY_MS
        return [(first, past // first, 0), (second, past // second, self.busy), (third, 38 * 3_600_000 // third, 0)]

    def customer_records(self) -> Iterator[list[OutRecord]]:
        """A record of each customer, all long in the network."""
        fields = {"city": "NJ", "segment": "GO", "tier": "HIGH", "arpu_fen": 8_000, "joined_on": 12_000}
        pattern = Pattern(CUSTOMER, fields)
        for first in range(0, self.customers, BATCH):
            numbers = np.arange(first, min(first + BATCH, self.customers))
            ids = customer_ids(numbers)
            values = cut(pattern.rows(ids, numbers * 0 + self.start_ms - DAY_MS, numbers))
            yield [OutRecord(key, value) for key, value in zip(keys_of(ids), values, strict=True)]

    def usage_records(self) -> Iterator[list[OutRecord]]:
        """All usage events, with a few low balances among those of the stream."""
        rng = np.random.default_rng(self.seed)
        usage, low = UsagePattern(), Pattern(BALANCE, {"balance_fen": 500})
        number, at_ms = 0, self.start_ms
        for stretch, (count, step_ms, first) in enumerate(self.stretches):
            for done in range(0, count, BATCH):
                size = min(BATCH, count - done)
                numbers = np.arange(number, number + size)
                at = at_ms + step_ms * np.arange(1, size + 1)
                chosen = numbers % self.busy if stretch == 0 else rng.integers(first, self.customers, size)
                ids = customer_ids(chosen)
                values = usage.usage(ids, at, numbers, rng)
                batch = [OutRecord(key, value) for key, value in zip(keys_of(ids), values, strict=True)]
                if stretch == 2:
                    few = np.arange(round(size * LOW_BALANCES))
                    ids = customer_ids(rng.integers(0, self.customers, len(few)))
                    lows = cut(low.rows(ids, few * 0 + at[-1], numbers[: len(few)]))
                    batch += [OutRecord(key, value) for key, value in zip(keys_of(ids), lows, strict=True)]
                yield batch
                number, at_ms = number + size, int(at[-1])


def tick(now_ms: int, *, rules_offset: int) -> OutRecord:
    """A control record of the log."""
    return OutRecord(None, encode(TICK, {"now": now_ms, "rules_offset": rules_offset, "owner": "bench"}))
