"""Columns of whole chunks: types, poison, older versions."""

import contextlib
import copy

import polars as pl
import pytest

from schemas import codec
from schemas.codec import Codecs
from schemas.columns import Columns
from schemas.errors import Undecodable, UndecodableChunk
from schemas.registry import REGISTRY, Schema
from tests.avro_records import registry_of

USAGE = "kairos.events.v1.UsageEvent"
HANDSET = "kairos.events.v1.HandsetChangeEvent"


def usage_body(number: int, **changes: object) -> bytes:
    record = {"customer_id": number, "occurred_at": number, "event_id": f"e-{number}", "source": "s"}
    return codec.encode_body(USAGE, {**record, "service": "VOICE", "quantity": number, **changes})


def usage_schema() -> Schema:
    return copy.deepcopy(REGISTRY.newest(USAGE).schema)


def test_columns_are_in_the_order_and_types_of_the_schema() -> None:
    frame = codec.decode_columns(USAGE, [usage_body(5, area="南京", counterpart_key=2**62), usage_body(6)])

    assert frame.columns == [field["name"] for field in REGISTRY.newest(USAGE).schema["fields"]]
    assert frame.schema["occurred_at"] == pl.Int64()
    assert frame.schema["succeeded"] == pl.Boolean()
    assert frame["service"].to_physical().to_list() == [1, 1]
    assert frame["area"].to_list() == ["南京", None]
    assert frame["counterpart_key"].to_list() == [2**62, None]


def test_dates_stay_days() -> None:
    name = "kairos.events.v1.ServiceOrderEvent"
    record = {"customer_id": 1, "occurred_at": 1, "event_id": "e", "source": "s", "order_id": "o"}
    body = codec.encode_body(name, {**record, "action": "CANCEL", "category": "TV", "effective_on": 20_703})

    assert codec.decode_columns(name, [body])["effective_on"].to_list() == [20_703]


def test_lists_of_texts_are_kept_per_row() -> None:
    record = {"customer_id": 1, "occurred_at": 1, "event_id": "e", "source": "s", "device_model": "m"}
    lists: list[list[str]] = [[], ["4G", "5G"], [], ["2G"]]
    bodies = [codec.encode_body(HANDSET, {**record, "capabilities": each}) for each in lists]

    assert codec.decode_columns(HANDSET, bodies)["capabilities"].to_list() == lists
    assert codec.decode_columns(HANDSET, bodies[:1])["capabilities"].to_list() == [[]]


def test_no_bodies_give_no_rows_but_all_columns() -> None:
    frame = codec.decode_columns(USAGE, [])

    assert frame.height == 0
    assert frame.schema == codec.decode_columns(USAGE, [usage_body(1)]).schema


def test_memoryviews_are_read_too() -> None:
    body = usage_body(1)

    assert codec.decode_columns(USAGE, [memoryview(body)]).to_dicts() == codec.decode_columns(USAGE, [body]).to_dicts()


HUGE_LENGTH = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
POISON = {
    "empty": b"",
    "truncated": usage_body(3)[:-2],
    "trailing": usage_body(3) + b"\x00\x00",
    "not_utf8": usage_body(3).replace(b"\x06e-3", b"\x06e-\xff"),
    "enum_beyond": usage_body(3).replace(b"\x02s\x02", b"\x02s\x63"),
    "enum_before": usage_body(3).replace(b"\x02s\x02", b"\x02s\x01"),
    "boolean_seven": usage_body(3)[:-1] + b"\x07",
    "overlong_boolean": usage_body(3)[:-1] + b"\x80\x00",
    "huge_length": usage_body(3).replace(b"\x06e-3", HUGE_LENGTH + b"e-3"),  # panics inside polars
    "negative_length": usage_body(3).replace(b"\x06e-3", b"\x05e-3"),
    "branch_before": usage_body(3, area="x").replace(b"\x02\x02x", b"\x01\x02x"),
    "branch_beyond": usage_body(3, area="x").replace(b"\x02\x02x", b"\x04\x02x"),
    "over_64_bits": usage_body(2**63 - 1)[:9] + b"\x03" + usage_body(2**63 - 1)[10:],
    "json": b'{"customer_id": 3}',
}


@pytest.mark.parametrize("poison", POISON.values(), ids=list(POISON))
def test_one_poison_record_refuses_the_chunk_and_only_itself(poison: bytes) -> None:
    bodies = [usage_body(1), usage_body(2), poison, usage_body(4)]
    with pytest.raises(UndecodableChunk):
        codec.decode_columns(USAGE, bodies)

    survivors = []
    for body in bodies:
        with contextlib.suppress(Undecodable):
            survivors.append(codec.decode_body(REGISTRY.id_of(USAGE), body)["customer_id"])

    assert survivors == [1, 2, 4]


def test_bodies_cut_at_other_places_are_refused_though_their_join_is_the_same() -> None:
    joined = usage_body(1) + usage_body(2)

    with pytest.raises(UndecodableChunk):
        codec.decode_columns(USAGE, [joined[:10], joined[10:]])


def test_nested_records_have_no_columns() -> None:
    with pytest.raises(UndecodableChunk):
        codec.decode_columns("kairos.events.v1.CustomerEvent", [])


def test_schema_of_another_record_is_refused() -> None:
    with pytest.raises(UndecodableChunk):
        codec.decode_columns(USAGE, [usage_body(1)], schema_id=1)


def test_bodies_of_an_older_version_get_the_columns_of_the_newest() -> None:
    older, newer = usage_schema(), usage_schema()
    newer["fields"].append({"name": "cell", "type": ["null", "string"], "default": None})
    newer["fields"].append({"name": "currency", "type": "string", "default": "CNY"})
    newer["fields"][6]["type"]["symbols"].append("MMS")
    registry = registry_of(older, newer)

    frame = Columns(registry).decode(USAGE, [usage_body(1), usage_body(2)], schema_id=1)

    expected = [Codecs(registry).decode_body(1, usage_body(number)) for number in (1, 2)]
    assert frame.to_dicts() == expected
    assert frame["currency"].to_list() == ["CNY", "CNY"]
    assert frame.schema["service"] == pl.Enum(["UNKNOWN", "VOICE", "SMS", "DATA", "MMS"])


def test_word_that_the_newest_version_lacks_becomes_unknown() -> None:
    wide, narrow = usage_schema(), usage_schema()
    wide["fields"][6]["type"]["symbols"].append("MMS")
    registry = registry_of(wide, narrow)
    body = Codecs(registry_of(wide)).encode_body(USAGE, codec.decode_body(2, usage_body(1)) | {"service": "MMS"})

    frame = Columns(registry).decode(USAGE, [body], schema_id=1)

    assert frame["service"].to_list() == ["UNKNOWN"]
    assert frame.to_dicts() == [Codecs(registry).decode_body(1, body)]
