"""Whole batches instead of records: what aiokafka would have read, without an object per record."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from services.detector import chunks
from services.detector.records.batches import RawBatch, read_batches
from services.detector.records.log_records import LogRecord, LogRecords, TornBatch

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
Content = Sequence[tuple[bytes | None, bytes | None]]


@dataclass
class Raw:
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 7


def batch(base: int, content: Content, *, codec: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 24)
    for at, (key, value) in enumerate(content):
        builder.append(at, 1_000 + base + at, key, value, [("header", b"told")] if at % 3 == 0 else [])
    raw = bytearray(builder.build())
    raw[:8] = base.to_bytes(8, "big")
    return bytes(raw)


def as_control(raw: bytes) -> bytes:
    """The same batch marked as control, its checksum made right."""
    from aiokafka.record.util import calc_crc32c

    changed = bytearray(raw)
    changed[22] |= 0x20
    changed[17:21] = calc_crc32c(bytes(changed[21:])).to_bytes(4, "big")
    return bytes(changed)


def found(fetched: bytes, wanted: int) -> list[RawBatch]:
    return [each for each, _ in read_batches(fetched, wanted) if each is not None]


def by_aiokafka(fetched: bytes, wanted: int) -> list[tuple[int, bytes | None, bytes | None]]:
    records, read = MemoryRecords(fetched), []
    while records.has_next():
        read += [(r.offset, r.key, r.value) for r in records.next_batch() if r.offset >= wanted]
    return read


def plain(records: Iterable[Any]) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(r.offset, r.key, r.value) for r in records]


CONTENT: Content = [(b"42", b"value"), (None, b"tick"), (b"7", None), (b"", b""), (b"9" * 300, b"x" * 5_000)]


@pytest.mark.parametrize("codec", CODECS)
def test_every_compression_is_read(codec: str) -> None:
    fetched = batch(10, CONTENT, codec=CODECS[codec]) + batch(15, CONTENT, codec=CODECS[codec])
    assert plain(LogRecords.of_batches(found(fetched, 10))) == by_aiokafka(fetched, 10)


@given(
    contents=st.lists(
        st.lists(st.tuples(st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=200)), min_size=1),
        min_size=1,
        max_size=5,
    ),
    codec=st.sampled_from([0, 3]),
    skipped=st.integers(0, 20),
    cut=st.integers(0, 60),
)
def test_batches_hold_what_aiokafka_reads(contents: list[Content], codec: int, skipped: int, cut: int) -> None:
    fetched, base = b"", 1_000
    for content in contents:
        fetched += batch(base, content, codec=codec)
        base += len(content)
    fetched += batch(base, CONTENT)[: cut + 1]  # brokers cut the last batch where the fetch is full
    wanted = 1_000 + skipped
    batches = found(fetched, wanted)
    expected = by_aiokafka(fetched, wanted)
    assert (plain(LogRecords.of_batches(batches)) if batches else []) == expected


def test_control_batches_are_passed_over_and_their_offset_counts() -> None:
    fetched = batch(5, CONTENT[:2]) + as_control(batch(7, [(b"k", b"v")])) + batch(8, CONTENT[:1])
    read = list(read_batches(fetched, 5))
    assert [(each is None, following) for each, following in read] == [(False, 7), (True, 8), (False, 9)]


def test_a_damaged_batch_is_refused() -> None:
    damaged = bytearray(batch(0, CONTENT))
    damaged[-3] ^= 1
    with pytest.raises(CorruptRecordException):
        found(bytes(damaged), 0)


def test_records_that_do_not_fill_their_batch_are_refused() -> None:
    whole = found(batch(0, CONTENT), 0)[0]
    for data in (bytes(whole.data)[:-1], bytes(whole.data) + b"\0", b"\xff" * 40):
        torn = RawBatch(0, 5, 0, whole.records, 0, data)
        with pytest.raises(TornBatch, match="offset 0"):
            LogRecords.of_batches([torn])


def test_records_laid_out_are_the_records() -> None:
    records = [Raw(at + 3, key, value) for at, (key, value) in enumerate(CONTENT)]
    laid_out = LogRecords.of(records)
    assert plain(laid_out) == plain(records)
    assert plain(laid_out[2:]) == plain(records[2:])
    assert laid_out[-1] == LogRecord(7, b"9" * 300, b"x" * 5_000, 7)
    assert len(LogRecords.of([])) == 0
    assert LogRecords.of(laid_out) is laid_out


def test_spans_stay_inside_the_data() -> None:
    laid_out = LogRecords.of_batches(found(batch(0, CONTENT, codec=3), 0))
    known = laid_out.spans[laid_out.spans[:, 0] >= 0]
    assert np.all(known[:, 1] <= laid_out.data.size)


@pytest.fixture
def raw_topic(monkeypatch: pytest.MonkeyPatch) -> str:
    """aiokafka hands out batches of this topic, for one test."""
    monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
    monkeypatch.setattr(fetcher.PartitionRecords, "_unpack_records", fetcher.PartitionRecords._unpack_records)
    chunks.install_raw_batches("raw")
    return "raw"


def fetched_by_aiokafka(topic: str, fetched: bytes, wanted: int) -> Any:
    records = fetcher.MemoryRecords(fetched)
    return fetcher.PartitionRecords(TopicPartition(topic, 0), records, [], wanted, None, None, True, 0)


def test_aiokafka_hands_out_batches_of_one_topic_only(raw_topic: str) -> None:
    fetched = batch(0, CONTENT) + batch(5, CONTENT) + as_control(batch(10, CONTENT[:1]))
    batches = fetched_by_aiokafka(raw_topic, fetched, 6)
    assert [(each.base_offset, each.wanted) for each in batches] == [(5, 6)]
    assert batches.next_fetch_offset == 11
    assert [record.offset for record in fetched_by_aiokafka("other", fetched, 3)] == [3, 4, 5, 6, 7, 8, 9]
