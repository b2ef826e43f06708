"""What the producer keeps per partition: records that wait, calls that are half sent, and the sizes that bound them."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.transport.errors import RecordTooLarge
from services.transport.kafka_frames import FramedRecords

RECORD_BYTES_MAX: Final = 1_000_000  # the brokers take batches of 1,048,588 bytes; headroom for framing
_RECORD_OVERHEAD_BYTES: Final = 40  # what a record may add to key, value and headers: lengths, deltas, counts
_HEADER_OVERHEAD_BYTES: Final = 20


class OutRecord(NamedTuple):
    """A record to append; its timestamp is the real clock when it is put into a batch."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(eq=False, slots=True)
class Call:
    """One append: its records, how far they are put into batches, and who waits."""

    records: Sequence[OutRecord] | FramedRecords
    future: "asyncio.Future[int]"
    bytes_left: int
    next_index: int = 0
    is_abandoned: bool = False


class Slice(NamedTuple):
    """The part of a call that travels in one batch."""

    call: Call
    size_bytes: int
    end_in_batch: int
    is_last: bool


@dataclass(eq=False, slots=True)
class Lane:
    """What waits for one partition, and the task that sends it while something waits."""

    topic: str
    partition: int
    waiting: deque[Call] = field(default_factory=deque)
    batches_open: int = 0
    may_send: asyncio.Event = field(default_factory=asyncio.Event)
    pump: "asyncio.Task[None] | None" = None


def checked_size(topic: str, records: Sequence[OutRecord] | FramedRecords) -> int:
    """Bytes of all records; raises RecordTooLarge for one that no broker would take."""
    if isinstance(records, FramedRecords):
        total, largest = records.sizes()
        if largest > RECORD_BYTES_MAX:
            raise RecordTooLarge(topic, size_bytes=largest, limit_bytes=RECORD_BYTES_MAX)
        return total
    total = 0
    for key, value, headers in records:
        size = _RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
        for name, text in headers:
            size += _HEADER_OVERHEAD_BYTES + len(name) + len(text)
        if size > RECORD_BYTES_MAX:
            raise RecordTooLarge(topic, size_bytes=size, limit_bytes=RECORD_BYTES_MAX)
        total += size
    return total
