"""Records of an append, laid out by their owner or not: one into the other, and read back as a consumer would."""

from collections.abc import Sequence

import numpy as np
from aiokafka.record.memory_records import MemoryRecords

from services.detector.records.dead_letters import Letters
from services.transport.kafka_frames import FramedBatch, FramedRecords
from services.transport.kafka_lanes import OutRecord


def single_records(records: Sequence[OutRecord] | FramedRecords) -> list[OutRecord]:
    """Return the records of an append."""
    if not isinstance(records, FramedRecords):
        return list(records)
    found: list[OutRecord] = []
    while len(found) < len(records):
        batch = FramedBatch(1 << 20, "lz4")
        batch.put(records, len(found))
        found += records_in(bytes(batch._build()))
    return found


def records_in(batch: bytes) -> list[OutRecord]:
    """Return the records of a batch as aiokafka reads them."""
    read = MemoryRecords(batch).next_batch()
    assert read.validate_crc()
    return [
        OutRecord(
            None if each.key is None else bytes(each.key),
            None if each.value is None else bytes(each.value),
            [(name, bytes(value)) for name, value in each.headers],
        )
        for each in read
    ]


def framed(records: Sequence[OutRecord]) -> Letters:
    """Return records as their owner would have laid them out, one after the other."""
    found = Letters()
    for key, value, headers in records:
        names = b"".join(_part(name.encode()) + _part(text) for name, text in headers)
        tail = _part(key) + _part(value) + _number(len(headers)) + names
        found.extend(Letters(tail, np.array([len(tail)])))
    return found


def _part(text: bytes | None) -> bytes:
    return b"\x01" if text is None else _number(len(text)) + text


def _number(n: int) -> bytes:
    left, found = n << 1, bytearray()
    while left > 127:
        found.append(left & 127 | 128)
        left >>= 7
    return bytes([*found, left])
