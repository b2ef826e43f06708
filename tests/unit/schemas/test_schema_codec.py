"""The codec on single records: framing, strictness, reading of older versions."""

import copy
from typing import Any

import pytest

from schemas import codec
from schemas.codec import Codecs
from schemas.errors import Undecodable, Unencodable
from schemas.reasons import DecodeReason
from schemas.registry import REGISTRY, Schema
from tests.avro_records import registry_of

BALANCE = "kairos.events.v1.BalanceEvent"
LEAST = {"customer_id": 7, "occurred_at": 1, "event_id": "e", "source": "s", "balance_fen": 250}


def balance(**changes: Any) -> dict[str, Any]:
    return {**LEAST, **changes}


def balance_schema() -> Schema:
    return copy.deepcopy(REGISTRY.newest(BALANCE).schema)


def test_frame_is_a_zero_and_the_schema_id_big_endian() -> None:
    assert codec.frame_header(BALANCE) == b"\x00\x00\x00\x00\x01"
    assert codec.frame_header("kairos.control.v1.Tick") == b"\x00\x00\x00\x00\x15"


def test_absent_fields_take_their_default() -> None:
    record = codec.decode(codec.encode(BALANCE, LEAST)).record

    assert record == {**LEAST, "ingested_at": 0, "history": False, "change_fen": None, "reason": "SNAPSHOT"}


def test_memoryviews_are_decoded_too() -> None:
    framed = codec.encode(BALANCE, LEAST)

    assert codec.decode(memoryview(framed)) == codec.decode(framed)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DecodeReason.TRUNCATED_FRAME),
        (b"\x00\x00\x00\x00", DecodeReason.TRUNCATED_FRAME),
        (b"\x01\x00\x00\x00\x01" + codec.encode_body(BALANCE, LEAST), DecodeReason.NOT_FRAMED),
        (b'{"event_id": "e"}', DecodeReason.NOT_FRAMED),
        (b"\x00\x00\x00\x00\x63" + codec.encode_body(BALANCE, LEAST), DecodeReason.UNKNOWN_SCHEMA_ID),
        (b"\x00\xff\xff\xff\xff" + codec.encode_body(BALANCE, LEAST), DecodeReason.UNKNOWN_SCHEMA_ID),
        (codec.encode(BALANCE, LEAST)[:5], DecodeReason.TRUNCATED_BODY),
        (codec.encode(BALANCE, LEAST)[:-1], DecodeReason.TRUNCATED_BODY),
        (codec.encode(BALANCE, LEAST) + b"\x00", DecodeReason.TRAILING_BYTES),
        (codec.encode(BALANCE, LEAST)[:-1] + b"\x63", DecodeReason.INVALID_BODY),  # enum index beyond the symbols
        (codec.encode(BALANCE, LEAST)[:-1] + b"\x01", DecodeReason.NOT_CANONICAL),  # enum index -1
        (codec.encode(BALANCE, LEAST).replace(b"\x02e", b"\x02\xff"), DecodeReason.INVALID_BODY),  # not UTF-8
        (codec.encode(BALANCE, LEAST).replace(b"\x02e", b"\x01e"), DecodeReason.TRUNCATED_BODY),  # length -1
        (b"\x00\x00\x00\x00\x01\x8e\x00" + codec.encode_body(BALANCE, LEAST)[1:], DecodeReason.NOT_CANONICAL),
        (b"\x00\x00\x00\x00\x01" + b"\xff" * 100, DecodeReason.INVALID_BODY),
        (b"\x00\x00\x00\x00\x01" + bytes(codec.RECORD_BYTES_MAX), DecodeReason.RECORD_TOO_LARGE),
    ],
)
def test_bad_bytes_are_refused_with_their_reason(data: bytes, reason: DecodeReason) -> None:
    with pytest.raises(Undecodable) as refusal:
        codec.decode(data)

    assert refusal.value.reason is reason


def test_refusal_tells_nothing_of_the_contents() -> None:
    body = codec.encode(BALANCE, balance(source="13800000001")).replace(b"\x02e", b"\x02\xff")

    with pytest.raises(Undecodable) as refusal:
        codec.decode(body)

    assert "13800000001" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_boolean_above_one_is_refused() -> None:
    usage = {**LEAST, "service": "VOICE", "quantity": 3}
    del usage["balance_fen"]
    framed = codec.encode("kairos.events.v1.UsageEvent", usage)

    with pytest.raises(Undecodable) as refusal:
        codec.decode(framed[:-1] + b"\x07")

    assert refusal.value.reason is DecodeReason.NOT_CANONICAL


def test_record_of_another_topic_is_refused() -> None:
    with pytest.raises(Undecodable) as refusal:
        codec.decode(codec.encode(BALANCE, LEAST), allowed={"kairos.moments.v1.Moment"})

    assert refusal.value.reason is DecodeReason.UNEXPECTED_SCHEMA


def test_number_beyond_32_bits_in_an_int_field_is_refused() -> None:
    wide = balance_schema()
    wide["fields"].append({"name": "steps", "type": "long"})
    narrow = copy.deepcopy(wide)
    narrow["fields"][-1]["type"] = "int"
    body = Codecs(registry_of(wide)).encode_body(BALANCE, balance(steps=2**31))

    with pytest.raises(Undecodable) as refusal:
        Codecs(registry_of(narrow)).decode_body(1, body)

    assert refusal.value.reason is DecodeReason.INVALID_BODY


@pytest.mark.parametrize(
    "record",
    [
        {key: value for key, value in LEAST.items() if key != "balance_fen"},
        balance(colour="red"),
        balance(balance_fen="250"),
        balance(balance_fen=2.5),
        balance(change_fen=-0.5),
        balance(balance_fen=True),
        balance(balance_fen=None),
        balance(balance_fen=2**63),
        balance(event_id=7),
        balance(event_id="\ud800"),
        balance(reason="GIFT"),
        balance(reason=None),
        balance(event_id="e" * codec.RECORD_BYTES_MAX),
    ],
)
def test_record_that_does_not_fit_is_not_encoded(record: dict[str, Any]) -> None:
    with pytest.raises(Unencodable):
        codec.encode(BALANCE, record)


def test_record_of_an_older_version_is_read_by_the_newest() -> None:
    older, newer = balance_schema(), balance_schema()
    newer["fields"].append({"name": "currency", "type": "string", "default": "CNY"})
    written = Codecs(registry_of(older)).encode(BALANCE, LEAST)

    decoded = Codecs(registry_of(older, newer)).decode(written)

    assert decoded.schema_id == 1
    assert decoded.record["currency"] == "CNY"
    assert decoded.record["balance_fen"] == 250


def test_word_of_a_newer_version_is_unknown_to_an_older_reader() -> None:
    older, newer = balance_schema(), balance_schema()
    newer["fields"][-1]["type"]["symbols"].append("GIFT")
    written = Codecs(registry_of(older, newer)).encode(BALANCE, balance(reason="GIFT"))

    # A reader whose newest version is the older one, as after a roll-back.
    rolled_back = Codecs(registry_of(older, newer, older))

    assert rolled_back.decode(written).record["reason"] == "UNKNOWN"


def test_every_default_can_be_written() -> None:
    """A wrong default in a schema file would show only when a field is left out."""
    values = {"long": 1, "int": 1, "string": "x", "bytes": b"", "double": 0.5, "boolean": True}
    for name in REGISTRY.names:
        plain = codec.without_logical_types(REGISTRY.newest(name).schema)
        least: dict[str, Any] = {}
        for field in (each for each in plain["fields"] if "default" not in each):
            kind = field["type"]
            nested = {"enum": "UNKNOWN", "array": [], "map": {}}
            least[field["name"]] = values[kind] if isinstance(kind, str) else nested[kind["type"]]

        decoded = codec.decode(codec.encode(name, least)).record

        assert decoded.keys() == {field["name"] for field in plain["fields"]}
        for field in plain["fields"]:
            if "default" in field:
                assert decoded[field["name"]] == field["default"]
