"""Records that their owner has laid out already, and the batches they travel in: a call for each would cost too much.

Message format v2: a record is its length, attributes, the differences in time and offset to its batch, and then a tail:
key, value and headers. Tails do not depend on the batch, so what several calls hand over shares one.
"""

import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from aiokafka import codec
from aiokafka.record.util import calc_crc32c

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, checksum, attributes, last offset delta, first and newest timestamp,
producer id, producer epoch, base sequence, records."""
_CHECKSUM: Final = struct.Struct(">I")
_CHECKSUM_AT, _CHECKED_FROM, _LENGTH_COUNTS_FROM = 17, 21, 12
_PACK: Final[Mapping[str, tuple[int, Callable[[bytes], bytes]]]] = {
    "gzip": (1, codec.gzip_encode),
    "snappy": (2, codec.snappy_encode),
    "lz4": (3, partial(codec.lz4_encode, level=1)),  # the client's 9 costs six times as much
    "zstd": (4, codec.zstd_encode),
}


class FramedRecords(ABC):
    """Records of an append; grows and is cut like a list."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, part: slice) -> "FramedRecords": ...

    @abstractmethod
    def extend(self, others: Any) -> None:
        """Append others of the same class."""

    @abstractmethod
    def sizes(self) -> tuple[int, int]:
        """Most bytes that all together may take, and the largest alone."""

    @abstractmethod
    def framed(self, first: int, delta: int, bytes_max: int) -> tuple[bytes, int]:
        """The records from `first` on as a batch has them, the first at this difference in offset: as many as fit, but
        the first of a batch in any case. And how many they are."""


class FramedBatch:
    """A record batch as aiokafka's `send_batch` wants it, of framed records, at the real time at which it was begun."""

    def __init__(self, bytes_max: int, compression: str | None) -> None:
        self._bytes_max = bytes_max
        self._compression = compression
        self._timestamp_ms = time.time_ns() // 1_000_000
        self._producer = (-1, -1, -1)  # id, epoch, first sequence number
        self._parts: list[bytes] = []
        self._records = 0
        self._size = _HEADER.size
        self._built: bytes | None = None

    def put(self, records: FramedRecords, index: int) -> int:
        """Take records from this one on, as many as fit, but one in any case; return the index of the next."""
        part, taken = records.framed(index, self._records, self._bytes_max - self._size)
        self._parts.append(part)
        self._records += taken
        self._size += len(part)
        return index + taken

    def close(self) -> None:
        """Nothing to do: only `put` adds to it."""

    def closed(self) -> bool:
        """True: the client's own `send` may not add to it."""
        return True

    def size(self) -> int:
        """Bytes before compression."""
        return self._size

    def record_count(self) -> int:
        """How many records it has."""
        return self._records

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytes:
        if self._built is None:
            self._built = self._bytes()
        return self._built

    def _bytes(self) -> bytes:
        count, data, packed_as = self._records, b"".join(self._parts), 0
        if self._compression is not None:
            number, pack = _PACK[self._compression]
            packed = pack(data)
            if len(packed) < len(data):
                data, packed_as = packed, number
        length = _HEADER.size - _LENGTH_COUNTS_FROM + len(data)
        times = (self._timestamp_ms, self._timestamp_ms)
        head = _HEADER.pack(0, length, -1, 2, 0, packed_as, count - 1, *times, *self._producer, count)
        batch = bytearray(head + data)
        _CHECKSUM.pack_into(batch, _CHECKSUM_AT, calc_crc32c(memoryview(batch)[_CHECKED_FROM:]))
        return bytes(batch)
