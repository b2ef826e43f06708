"""The bytes of a Kafka fetch → record batches, checked and unpacked, their records not yet read.

A record of its own for every event would cost more than all that is done with it. Message format v2, which is all that
Apache Kafka 4 has.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka import codec
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.util import calc_crc32c

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, checksum, attributes, last offset delta, first and newest timestamp,
producer id, producer epoch, base sequence, records."""
_LENGTH: Final = struct.Struct(">i")
_LENGTH_AT: Final = 8
_BEFORE_LENGTH_COUNTS: Final = 12
_CHECKED_FROM: Final = 21
_CODEC_MASK, _CONTROL_MASK = 0x07, 0x20
_UNPACK: Final[Mapping[int, Callable[[memoryview], bytes]]] = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Records of one batch, laid end to end in `data`. wanted: what lies before this offset is not asked for.

    next_offset: the one after the batch. timestamp: newest of its records, ms.
    """

    base_offset: int
    next_offset: int
    wanted: int
    records: int
    timestamp: int
    data: bytes | memoryview

    @property
    def offset(self) -> int:
        """The last offset, as a single record would have it."""
        return self.next_offset - 1


def read_batches(fetched: bytes, wanted: int, *, check_crc: bool = True) -> Iterator[tuple[RawBatch | None, int]]:
    """Yield each whole batch that reaches `wanted` or beyond, with the offset to read next; None for control batches.

    The last batch of a fetch may be cut off: it is left out. Raises CorruptRecordException.
    """
    at, whole = 0, memoryview(fetched)
    while at + _HEADER.size <= len(fetched):
        end = at + _BEFORE_LENGTH_COUNTS + _LENGTH.unpack_from(fetched, at + _LENGTH_AT)[0]
        if end > len(fetched):
            return
        batch, at = whole[at:end], end
        base, _, _, magic, crc, attributes, delta, _, newest, _, _, _, count = _HEADER.unpack_from(batch)
        if magic != 2:
            raise CorruptRecordException(f"batch at offset {base} has format v{magic}; this reads v2 only")
        if check_crc and calc_crc32c(batch[_CHECKED_FROM:]) != crc:
            raise CorruptRecordException(f"batch at offset {base}: checksum does not match")
        following = base + delta + 1
        if following <= wanted:
            continue
        if attributes & _CONTROL_MASK or count == 0:
            yield None, following
            continue
        data = _unpacked(batch[_HEADER.size :], attributes & _CODEC_MASK)
        yield RawBatch(base, following, wanted, count, newest, data), following
        wanted = following


def _unpacked(data: memoryview, packed_as: int) -> bytes | memoryview:
    if packed_as == 0:
        return data
    if packed_as not in _UNPACK:
        raise UnsupportedCodecError(f"compression {packed_as} is not known")
    return _UNPACK[packed_as](data)
