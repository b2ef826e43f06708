"""Dead letters that are laid out all at once are, byte for byte, what a client makes of them one by one."""

import struct
from typing import Any

import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from services.detector.records.dead_letters import DEAD_LETTER_BYTES_MAX, dead_letters
from services.detector.records.log_records import LogRecord, LogRecords
from services.detector.records.poison_records import Poison, PoisonRecords
from services.transport.kafka_frames import FramedBatch, FramedRecords
from services.transport.kafka_lanes import OutRecord, checked_size
from tests.doubles.framed import framed, records_in, single_records

TEXTS = st.none() | st.binary(max_size=40) | st.binary(min_size=60, max_size=70).map(lambda text: text * 130)
REASONS = ("unknown_schema_id", "", "truncated_body", "原因" * 20)
POISON = st.lists(st.tuples(st.integers(0, 2**50), TEXTS, TEXTS, st.sampled_from(REASONS)), min_size=1, max_size=40)
RECORDS = st.lists(
    st.builds(OutRecord, TEXTS, TEXTS, st.lists(st.tuples(st.text(max_size=9), st.binary()))), min_size=1
)


def letter(partition: int, poison: Poison) -> OutRecord:
    """What docs/topics.md and decision 0052 promise."""
    at, key, value = b"%d" % poison.offset, poison.key, poison.value
    headers = [("topic", b"kairos.events.v1"), ("partition", b"%d" % partition), ("offset", at)]
    headers.append(("reason", poison.reason.encode()))
    if len(value or b"") + len(key or b"") > DEAD_LETTER_BYTES_MAX:
        headers.append(("cut_from_bytes", b"%d" % len(value or b"")))
        value = (value or b"")[:DEAD_LETTER_BYTES_MAX]
    elif key is not None:
        headers.append(("key", key))
    return OutRecord(b"kairos.events.v1/%d/%s" % (partition, at), value, headers)


def by_client(records: list[OutRecord], timestamp_ms: int) -> bytes:
    """The batch that aiokafka makes of them, not compressed."""
    builder: Any = DefaultRecordBatchBuilder(2, 0, 0, 7, 1, 12, 1 << 28)
    for at, (key, value, headers) in enumerate(records):
        builder.append(at, timestamp_ms, key, value, list(headers))
    return bytes(builder.build())


def at_once(records: FramedRecords, compression: str | None) -> bytes:
    """All of them in one batch."""
    batch = FramedBatch(1 << 28, compression)
    assert batch.put(records, 0) == len(records) == batch.record_count()
    batch._set_producer_state(7, 1, 12)
    return bytes(batch._build())


@settings(deadline=None)
@given(POISON, st.integers(0, 4096))
def test_letters_are_what_they_would_be_one_by_one(found: list[tuple[Any, ...]], partition: int) -> None:
    poison = [Poison(*each) for each in sorted(found, key=lambda each: each[0])]

    letters = dead_letters(partition, PoisonRecords.of(poison))

    assert single_records(letters) == [letter(partition, each) for each in poison]
    assert checked_size("t", letters) >= sum(len(each.value or b"") + len(each.key or b"") for each in poison)


@pytest.mark.parametrize("size", [DEAD_LETTER_BYTES_MAX - 3, DEAD_LETTER_BYTES_MAX - 2, 1_048_000])
@pytest.mark.parametrize("key", [None, b"key"])
@pytest.mark.parametrize("is_key", [False, True])
def test_large_records_are_cut(size: int, key: bytes | None, is_key: bool) -> None:
    poison = Poison(5, b"k" * size, key, "x") if is_key else Poison(5, key, b"v" * size, "x")
    letters = dead_letters(1, PoisonRecords.of([poison]))
    checked_size("t", letters)
    assert single_records(letters) == [letter(1, poison)]


@settings(deadline=None)
@given(POISON, st.data())
def test_poison_of_a_chunk_is_joined_by_offset(found: list[tuple[Any, ...]], data: st.DataObject) -> None:
    records = LogRecords.of([LogRecord(at, key, value, 0) for at, (_, key, value, _) in enumerate(found)])
    reasons = [reason for *_, reason in found]
    first = data.draw(st.sets(st.sampled_from(range(len(found)))))
    places = np.array(sorted(first), np.int64)
    known = ("", "none", *REASONS)
    codes = np.array([known.index(reasons[at]) for at in sorted(first)], np.int64)
    rest = [at for at in range(len(found)) if at not in first]

    poison = PoisonRecords(records.taken(places), codes, known).joined(
        records.taken(np.array(rest, np.int64)), [reasons[at] for at in rest]
    )

    assert list(poison) == [Poison(at, key, value, reason) for at, (_, key, value, reason) in enumerate(found)]
    assert [poison[at] for at in range(len(poison))] == list(poison)
    assert poison.counted() == {reason: reasons.count(reason) for reason in REASONS if reason in reasons}


@settings(deadline=None)
@given(RECORDS)
def test_a_batch_is_what_the_client_would_make(records: list[OutRecord]) -> None:
    batch = at_once(framed(records), None)
    (timestamp_ms,) = struct.unpack_from(">q", batch, 27)
    assert batch == by_client(records, timestamp_ms)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_is_packed_when_that_makes_it_smaller(compression: str) -> None:
    few, many = [OutRecord(b"k", b"v", [])], [OutRecord(b"k", b"v" * 40, [("h", b"")])] * 100
    assert at_once(framed(few), compression)[22] == 0
    batch = at_once(framed(many), compression)
    assert batch[22] != 0
    assert len(batch) < 1_000
    assert records_in(batch) == many


@settings(deadline=None)
@given(RECORDS, st.integers(62, 400), st.integers(0, 10))
def test_batches_take_all_in_order_and_no_more_than_they_may(records: list[OutRecord], most: int, cut: int) -> None:
    calls = [each for each in (framed(records)[:cut], framed(records)[cut:]) if len(each)]
    found: list[OutRecord] = []
    index = 0
    while calls:
        batch = FramedBatch(most, None)
        while calls:
            index = batch.put(calls[0], index)
            if index < len(calls[0]):
                break
            calls.pop(0)
            index = 0
        read = records_in(bytes(batch._build()))
        assert len(batch._build()) == batch.size() <= most or len(read) == 1
        found += read
    assert found == records
