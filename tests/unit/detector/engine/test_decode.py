"""Decoding: the compiled walk agrees with the codec on every input; poison is isolated."""

import random
from typing import Any

import pytest

from schemas.codec import Undecodable, decode, encode
from schemas.events import HAND_OVER, KINDS
from services.detector.engine.log_format import scan, wire
from services.detector.records.decode import decode_chunk
from tests.reference.logs import Raw, full, random_log, raw_records

COMMON = {"customer_id": 42, "occurred_at": 1_788_746_400_000, "ingested_at": 1_788_746_400_001, "source": "crm"}
BODIES: dict[str, dict[str, Any]] = {
    "usage": {"service": "VOICE", "quantity": 60, "counterpart_key": 2**62, "area": "A-1"},
    "balance": {"balance_fen": -(2**40), "change_fen": -1, "reason": "TOP_UP"},
    "handset-change": {"device_model": "X", "device_tac": "12345678", "capabilities": ["5G", "2G", "9G"]},
    "complaint": {"complaint_id": "k", "state": "CLOSED", "topic": "SPAM", "severity": "HIGH"},
    "bill": {"cycle": "2026-08", "total_fen": 10**12, "make_up_fen": 3},
    "service-order": {"order_id": "o", "action": "CANCEL", "category": "TV", "effective_on": 20_000, "core": True},
    "roaming": {"country": "JP", "state": "LANDED", "time_zone": "Asia/Tokyo"},
    "inquiry": {"inquiry_id": "q", "topic": "FAULT", "service": "DATA", "state": "COMPLETED"},
    "customer": {"city": "NJ", "tier": "MID", "brand": "B"},
    "line-status": {"status": "ACTIVE", "suspension_expected_at": 1_788_746_400_000},
}


def value_of(kind: str, **fields: Any) -> bytes:
    return encode(KINDS[kind].record, {**COMMON, "event_id": "e-1", **BODIES[kind], **fields})


def columns(value: bytes, key: bytes = b"42") -> Any:
    chunk = decode_chunk(0, [Raw(0, key, value)])
    assert not chunk.poison
    return (
        chunk.kind.tolist(), chunk.customer.tolist(), chunk.occurred.tolist(), chunk.ingested.tolist(),
        chunk.history.tolist(), chunk.ident.tolist(), chunk.rank.tolist(), chunk.payload.tolist(), chunk.code.tolist(),
        chunk.texts,
    )  # fmt: skip


@pytest.mark.parametrize("kind", list(BODIES))
def test_the_walk_and_reading_alone_fill_the_same_columns(kind: str) -> None:
    value = value_of(kind, event_id="Zz-09:_~", history=True)
    walked = columns(value)
    assert columns_read_alone(value) == walked


def columns_read_alone(value: bytes) -> Any:
    """The same columns, when the walk knows no schema."""
    kept = wire.OF_SCHEMA.copy()
    wire.OF_SCHEMA[:] = -1
    try:
        return columns(value)
    finally:
        wire.OF_SCHEMA[:] = kept


def test_texts_that_are_not_ascii_are_read_alone() -> None:
    chunk = decode_chunk(0, [Raw(0, b"42", value_of("complaint", complaint_id="投诉", event_id="事件"))])
    assert list(chunk.texts.values()) == ["投诉"]
    assert chunk.ident.tolist() == [scan.source_text_key("crm", "事件")]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"43", value_of("usage"), "key_mismatch"),
        (b"042", value_of("usage"), "key_mismatch"),
        (None, value_of("usage"), "key_mismatch"),
        (b"42", None, "no_value"),
        (b"42", b"", "truncated_frame"),
        (b"42", b"\0\0\0", "truncated_frame"),
        (b"42", b"\1" + value_of("usage")[1:], "not_framed"),
        (b"42", b"\0\0\0\xff\xff" + value_of("usage")[5:], "unknown_schema_id"),
        (b"42", b"\0\x7f\xff\xff\xff" + value_of("usage")[5:], "unknown_schema_id"),
        (b"42", value_of("usage")[:-1], "truncated_body"),
        (b"42", value_of("usage") + b"\0", "trailing_bytes"),
        (b"42", value_of("usage", event_id=""), "out_of_range"),
        (b"42", value_of("usage", event_id="e" * 65), "out_of_range"),
        (b"42", value_of("usage", occurred_at=1), "out_of_range"),
        (b"42", value_of("usage", occurred_at=2**60), "out_of_range"),
        (b"42", value_of("usage", ingested_at=0), "out_of_range"),
        (b"42", value_of("handset-change", device_model="机" * 400), "out_of_range"),
        (b"42", value_of("complaint", area="x" * 300_000), "record_too_large"),
        (b"42", value_of("bill", cycle="2026-13"), "out_of_range"),
        (b"42", value_of("customer", brand="x" * 1_025), "out_of_range"),
        (b"7", encode("kairos.control.v1.Tick", {"now": 1, "rules_offset": 0}), "tick_with_key"),
        (None, encode("kairos.control.v1.Tick", {"now": -1, "rules_offset": 0}), "out_of_range"),
    ],
)
def test_one_bad_record_is_isolated_with_its_reason(key: bytes | None, value: bytes | None, reason: str) -> None:
    good = Raw(0, b"42", value_of("balance"))
    chunk = decode_chunk(3, [good, Raw(1, key, value), Raw(2, b"42", value_of("usage"))])
    assert [(p.offset, p.key, p.value, p.reason) for p in chunk.poison] == [(1, key, value, reason)]
    assert chunk.offset.tolist() == [0, 2]
    assert (chunk.first_offset, chunk.next_offset) == (0, 3)


@pytest.mark.parametrize("size", [-1, 65, 2**31, 2**62, 2**63 - 1, -(2**63)])
def test_a_text_of_a_list_that_says_a_senseless_length_is_poison(size: int) -> None:
    """In a compiled walk without bounds such a length once read far outside of the record, which ends the process."""
    value = value_of("handset-change", capabilities=["4G"])
    assert value.count(b"\x02\x044G\0") == 1
    damaged = value.replace(b"\x02\x044G\0", b"\x02" + zigzag(size) + b"4G\0")
    assert len(decode_chunk(0, [Raw(0, b"42", damaged)]).poison) == 1


@pytest.mark.parametrize(("day", "is_date"), [(2**31 - 1, True), (2**31, False), (-(2**31), True), (-(2**40), False)])
def test_a_date_has_32_bits(day: int, is_date: bool) -> None:
    value = value_of("service-order", effective_on=20_000)
    assert value.count(zigzag(20_000)) == 1
    chunk = decode_chunk(0, [Raw(0, b"42", value.replace(zigzag(20_000), zigzag(day)))])
    assert [p.reason for p in chunk.poison] == ([] if is_date else ["invalid_body"])


def zigzag(number: int) -> bytes:
    """A whole number as Avro writes it."""
    left, found = (number << 1) ^ (number >> 63), bytearray()
    left &= 2**64 - 1
    while left > 127:
        found.append(left & 127 | 128)
        left >>= 7
    return bytes([*found, left])


def test_event_of_another_topic_is_poison() -> None:
    value = encode("kairos.events.v1.ContactEvent", {**COMMON, "event_id": "e", "channel": "SMS"})
    assert [p.reason for p in decode_chunk(0, [Raw(0, b"42", value)]).poison] == ["unexpected_schema"]


def test_poison_is_told_in_log_order_whoever_found_it() -> None:
    """What the walk refuses and what is read alone is found one after the other; runs are counted in order."""
    good = encode("kairos.events.v1.UsageEvent", full("usage", {**COMMON, "event_id": "a", **BODIES["usage"]}))
    values = [(b"42", good[:12]), (b"7", good), (b"42", b"nonsense"), (b"42", good), (b"42", b"\0")]
    chunk = decode_chunk(0, [Raw(offset, key, value) for offset, (key, value) in enumerate(values)])
    told = [(0, "truncated_body"), (1, "key_mismatch"), (2, "not_framed"), (4, "truncated_frame")]
    assert [(each.offset, each.reason) for each in chunk.poison] == told
    assert chunk.offset.tolist() == [3]


def test_ticks_keep_their_place_between_events() -> None:
    first, second = (full("usage", {**COMMON, "event_id": name, **BODIES["usage"]}) for name in ("a", "b"))
    records = raw_records([("event", "usage", first), ("tick", 60_000), ("event", "usage", second)])
    chunk = decode_chunk(0, records)
    assert [(tick.offset, tick.row, tick.now_ms, tick.rules_offset) for tick in chunk.ticks] == [(1, 1, 60_000, 0)]
    assert chunk.events == 2


def test_poison_leaves_what_is_around_it_in_its_place() -> None:
    """Nobody's bytes take no row, what is read alone and refused gives its row back."""
    good = [encode("kairos.events.v1.UsageEvent", full("usage", {**COMMON, "event_id": name, **BODIES["usage"]}))
            for name in "abc"]  # fmt: skip
    alone = encode("kairos.events.v1.CustomerEvent", full("customer", {**COMMON, "event_id": "d", "city": "NJ"}))
    tick = encode("kairos.control.v1.Tick", {"now": 60_000, "rules_offset": 0})
    values = [(b"42", b"\0"), (b"42", good[0]), (b"42", good[0][:12]), (None, tick), (b"7", good[0]), (b"42", alone),
              (None, tick), (b"42", good[1]), (None, b"nonsense"), (None, tick), (b"42", good[2])]  # fmt: skip
    chunk = decode_chunk(0, [Raw(offset, key, value) for offset, (key, value) in enumerate(values)])
    assert [(tick.offset, tick.row) for tick in chunk.ticks] == [(3, 1), (6, 2), (9, 3)]
    assert chunk.offset.tolist() == [1, 5, 7, 10]
    assert chunk.kind.tolist() == [wire.USAGE, wire.CUSTOMER, wire.USAGE, wire.USAGE]
    assert [each.offset for each in chunk.poison] == [0, 2, 4, 8]
    singles = [decode_chunk(0, [Raw(at, *values[at])]) for at in (1, 7, 10)]
    assert chunk.ident[[0, 2, 3]].tolist() == [int(single.ident[0]) for single in singles]


def test_random_damage_never_raises_and_never_reads_what_the_codec_refuses() -> None:
    rng = random.Random(5)
    records = [record for record in raw_records(random_log(3, 400)) if record.value is not None]
    for _ in range(4000):
        record = rng.choice(records)
        assert record.value is not None
        damaged = bytearray(record.value)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        chunk = decode_chunk(0, [Raw(0, record.key, bytes(damaged))])
        refusal = refusal_of(bytes(damaged))
        told = [p.reason for p in chunk.poison]
        if told == ["truncated_body"]:  # the codec calls a text that is cut off invalid
            assert refusal in ("truncated_body", "invalid_body")
        else:
            assert refusal is None or told == [refusal]
        assert len(chunk.poison) + chunk.events + len(chunk.ticks) == 1


def refusal_of(value: bytes) -> str | None:
    """Why the codec refuses these bytes; None when it does not."""
    try:
        decode(value, allowed=(*wire.RECORDS, HAND_OVER))
    except Undecodable as refused:
        return str(refused.reason)
    return None


def test_order_of_event_ids_is_that_of_text_up_to_what_is_kept() -> None:
    names = ["a", "a-1", "a1", "aA", "aa", "b", "b0", "bill-0009", "bill-0010", "e9", "E9", "9", "~"]
    ranks = [scan.text_rank("crm", name) for name in sorted(names)]
    assert ranks == sorted(ranks)
    assert scan.text_rank("boss", "z") < scan.text_rank("crm", "a")


def test_an_empty_chunk_is_nothing() -> None:
    assert decode_chunk(0, []).events == 0
