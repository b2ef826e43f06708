"""Records of one partition laid end to end: bytes, and where each key and value lies. A sequence of records for those
who want them one by one; arrays for the engine."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from services.detector.engine.log_format.frames import KEY, KEY_END, SPANS, VALUE, VALUE_END, read_frames
from services.detector.ports import RawRecord
from services.detector.records.batches import RawBatch

Int64s = npt.NDArray[np.int64]


class LogRecord(NamedTuple):
    """One of them. timestamp: the newest of all, ms; single ones are not kept."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int


class TornBatch(ValueError):
    """Records of a batch do not fill it as they say."""


class LogRecords(Sequence[LogRecord]):
    """See the module. data (bytes,) uint8; offsets (n,) int64; spans (n, 4) int64: columns of `log_format.frames`."""

    def __init__(self, data: npt.NDArray[np.uint8], offsets: Int64s, spans: Int64s, timestamp: int) -> None:
        self.data = data
        self.offsets = offsets
        self.spans = spans
        self.timestamp = timestamp

    @classmethod
    def of_batches(cls, batches: Sequence[RawBatch]) -> "LogRecords":
        """Lay out batches of one partition; what lies before a batch's `wanted` is left out. Raises TornBatch."""
        counts = np.array([batch.records for batch in batches], np.int64)
        data = _array(batches[0].data if len(batches) == 1 else b"".join([batch.data for batch in batches]))
        ends = np.cumsum(np.array([len(batch.data) for batch in batches], np.int64), dtype=np.int64)
        bases = np.array([batch.base_offset for batch in batches], np.int64)
        offsets, spans = np.empty(int(counts.sum()), np.int64), np.empty((int(counts.sum()), SPANS), np.int64)
        n = read_frames(data, ends, counts, bases, batches[0].wanted, offsets, spans)
        if n < 0:
            raise TornBatch(f"the batch at offset {batches[-1 - n].base_offset} is not what its header says")
        return cls(data, offsets[:n], spans[:n], max(batch.timestamp for batch in batches))

    @classmethod
    def of(cls, records: Sequence[RawRecord]) -> "LogRecords":
        """Lay out single records: the same without Kafka, for tests and tools."""
        if isinstance(records, LogRecords):
            return records
        sizes = np.array([(len(r.key or b""), len(r.value or b"")) for r in records], np.int64).reshape(len(records), 2)
        ends = np.cumsum(sizes, dtype=np.int64).reshape(len(records), 2)
        spans = np.stack((ends[:, 0] - sizes[:, 0], ends[:, 0], ends[:, 1] - sizes[:, 1], ends[:, 1]), axis=1)
        spans[[r.key is None for r in records], KEY : KEY_END + 1] = -1
        spans[[r.value is None for r in records], VALUE : VALUE_END + 1] = -1
        data = _array(b"".join([part or b"" for r in records for part in (r.key, r.value)]))
        offsets = np.fromiter((r.offset for r in records), np.int64, len(records))
        return cls(data, offsets, np.ascontiguousarray(spans), records[-1].timestamp if records else 0)

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, at: int) -> LogRecord: ...
    @overload
    def __getitem__(self, at: slice) -> "LogRecords": ...
    def __getitem__(self, at: int | slice) -> "LogRecord | LogRecords":
        if isinstance(at, slice):
            return self.taken(at)
        return next(self.at(np.array([at])))

    def __iter__(self) -> Iterator[LogRecord]:
        return self.at(np.arange(len(self)))

    def taken(self, places: Int64s | slice) -> "LogRecords":
        """The records at these places, laid out as they are."""
        return LogRecords(self.data, self.offsets[places], self.spans[places], self.timestamp)

    def at(self, places: Int64s) -> Iterator[LogRecord]:
        """The records at these places: all at once, for taking one out of an array alone costs more than to read it."""
        data, timestamp = self.data.data, self.timestamp
        spans = self.spans[places][:, [KEY, KEY_END, VALUE, VALUE_END]].tolist()
        for offset, (key, key_end, value, value_end) in zip(self.offsets[places].tolist(), spans, strict=True):
            yield LogRecord(
                offset,
                None if key < 0 else bytes(data[key:key_end]),
                None if value < 0 else bytes(data[value:value_end]),
                timestamp,
            )


def _array(data: bytes | memoryview) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data or b"\0", np.uint8)
