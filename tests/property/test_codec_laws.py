"""Laws of the codec: what is written is read back, by us and by Apache's reader; columns are the records one by one."""

import json
from io import BytesIO
from typing import Any

import avro.io
import avro.schema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.columns import layout_of
from schemas.errors import Undecodable, UndecodableChunk
from schemas.registry import REGISTRY
from tests.avro_records import records_of

USAGE = "kairos.events.v1.UsageEvent"


def is_flat(name: str) -> bool:
    try:
        layout_of(REGISTRY.newest(name))
    except UndecodableChunk:
        return False
    return True


FLAT_NAMES = tuple(filter(is_flat, REGISTRY.names))


def test_all_events_but_the_customer_are_flat() -> None:
    events = {name for name in REGISTRY.names if name.startswith("kairos.events.")}

    assert events - set(FLAT_NAMES) == {"kairos.events.v1.CustomerEvent"}


@pytest.mark.parametrize("name", REGISTRY.names)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_encoded_is_decoded_again(name: str, data: st.DataObject) -> None:
    record = data.draw(records_of(REGISTRY.newest(name).schema))

    framed = codec.encode(name, record)

    assert codec.decode(framed) == codec.Decoded(name, REGISTRY.id_of(name), record)
    assert framed == codec.frame_header(name) + codec.encode_body(name, record)


@pytest.mark.parametrize("name", REGISTRY.names)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_apaches_reader_reads_the_same(name: str, data: st.DataObject) -> None:
    schema = REGISTRY.newest(name).schema
    record = data.draw(records_of(schema))

    assert read_with_apache_avro(codec.without_logical_types(schema), codec.encode_body(name, record)) == record


@pytest.mark.parametrize("name", FLAT_NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_columns_hold_what_the_records_hold(name: str, data: st.DataObject) -> None:
    records = data.draw(st.lists(records_of(REGISTRY.newest(name).schema), max_size=8))

    frame = codec.decode_columns(name, [codec.encode_body(name, record) for record in records])

    assert frame.to_dicts() == records


@pytest.mark.parametrize("name", [USAGE, "kairos.events.v1.HandsetChangeEvent", "kairos.events.v1.ServiceOrderEvent"])
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_columns_are_refused_exactly_when_a_record_is(name: str, data: st.DataObject) -> None:
    """Whatever bytes are damaged: both ways of reading agree, so a poison record cannot shift its neighbours."""
    records = data.draw(st.lists(records_of(REGISTRY.newest(name).schema), min_size=1, max_size=4))
    bodies = [codec.encode_body(name, record) for record in records]
    victim = data.draw(st.integers(0, len(bodies) - 1))
    for _ in range(data.draw(st.integers(1, 3))):
        bodies[victim] = data.draw(damaged(bodies[victim]))

    expected = one_by_one(name, bodies)

    if expected is None:
        with pytest.raises(UndecodableChunk):
            codec.decode_columns(name, bodies)
    else:
        assert codec.decode_columns(name, bodies).to_dicts() == expected


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=80))
def test_any_bytes_are_decoded_or_refused_with_a_reason(data: bytes) -> None:
    framed = b"\x00\x00\x00\x00" + data
    try:
        decoded = codec.decode(framed)
    except Undecodable:
        return

    assert codec.encode(decoded.name, decoded.record) == framed


def damaged(body: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for the body with a byte set, with bytes cut out, or with bytes put in."""
    places = st.integers(0, len(body))
    overwritten = st.builds(lambda at, byte: body[:at] + bytes([byte]) + body[at + 1 :], places, st.integers(0, 255))
    cut = st.builds(lambda at, count: body[:at] + body[at + count :], places, st.integers(1, 9))
    inserted = st.builds(lambda at, extra: body[:at] + extra + body[at:], places, st.binary(min_size=1, max_size=12))
    return st.one_of(overwritten, cut, inserted)


def one_by_one(name: str, bodies: list[bytes]) -> list[dict[str, Any]] | None:
    try:
        return [codec.decode_body(REGISTRY.id_of(name), body) for body in bodies]
    except Undecodable:
        return None


def read_with_apache_avro(schema: dict[str, Any], body: bytes) -> object:
    reader = avro.io.DatumReader(avro.schema.parse(json.dumps(schema)))
    return reader.read(avro.io.BinaryDecoder(BytesIO(body)))
