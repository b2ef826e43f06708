"""Bytes ⇄ records in Confluent framing: byte 0, the schema id in four bytes, the Avro body.

Owns: framing, per-record encoding and decoding with fastavro, and the strictness of both. Instants and dates stay plain
integers (UTC milliseconds, days since 1970): logical types are for foreign readers. Whole chunks are read by
`schemas.columns`, which `decode_columns` loads on first use so that services without polars can import this module.
"""

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from numbers import Integral
from typing import TYPE_CHECKING, Any

import fastavro

from schemas.errors import Undecodable as Undecodable
from schemas.errors import UndecodableChunk as UndecodableChunk
from schemas.errors import Unencodable as Unencodable
from schemas.reasons import DecodeReason
from schemas.registry import REGISTRY, LockedSchema, Registry, Schema, UnknownSchema

if TYPE_CHECKING:
    import polars

FRAME_BYTES = 5
RECORD_BYTES_MAX = 1_048_576
"""Kafka's default message limit: nothing larger can come from a topic, nothing larger may be written to one."""
INT_MIN, INT_MAX = -(2**31), 2**31 - 1

Record = dict[str, Any]

_INTEGERS = frozenset({int, type(None)})
_FRAME = struct.Struct(">bI")
# What fastavro raises on bytes that are no record, and on records that do not fit their schema.
_READ_FAULTS = (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError, struct.error)
_WRITE_FAULTS = (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError, struct.error)


@dataclass(frozen=True)
class Decoded:
    """A record by its newest schema; `schema_id` tells which version it was written with."""

    name: str
    schema_id: int
    record: Record


@dataclass(frozen=True)
class Codec:
    """What fastavro needs for one locked schema: it, parsed, without logical types.

    integer_fields, int_fields: names of its top-level fields of whole numbers, and of those of 32 bits among them.
    """

    locked: LockedSchema
    parsed: Schema
    integer_fields: tuple[str, ...]
    int_fields: tuple[str, ...]


class Codecs:
    """Encoding and decoding by one registry; keeps what fastavro prepared per schema."""

    def __init__(self, registry: Registry) -> None:
        """Keep the registry; schemas are prepared when they are first used."""
        self._registry = registry
        self._by_id: dict[int, Codec] = {}
        self._writers: dict[str, tuple[bytes, Codec]] = {}

    def encode(self, name: str, record: Record) -> bytes:
        """Return a framed record of the newest schema; raises Unencodable on wrong, missing and unknown fields."""
        header, codec = self._writer(name)
        return header + _write(codec, record)

    def encode_body(self, name: str, record: Record) -> bytes:
        """Return the Avro body alone; fields with a default may be left out; raises Unencodable."""
        return _write(self._writer(name)[1], record)

    def frame_header(self, name: str) -> bytes:
        """Return the five bytes that precede every body of the newest schema of this name."""
        return self._writer(name)[0]

    def decode(self, data: bytes | memoryview, *, allowed: Collection[str] | None = None) -> Decoded:
        """Return the record of a framed message, resolved to the newest schema of its name; raises Undecodable.

        allowed: the record names that may be here (those of the topic); None allows all.
        """
        schema_id = schema_id_of(data)
        codec = self._codec(schema_id)
        if allowed is not None and codec.locked.name not in allowed:
            raise Undecodable(DecodeReason.UNEXPECTED_SCHEMA, codec.locked.name)
        return Decoded(codec.locked.name, schema_id, self.decode_body(schema_id, bytes(data[FRAME_BYTES:])))

    def decode_body(self, schema_id: int, body: bytes) -> Record:
        """Return the record in a body written with this schema, resolved to the newest one; raises Undecodable.

        Strict: the body must be exactly what this codec would write for the record, so that per-record and columnar
        reading agree on every input.
        """
        codec = self._codec(schema_id)
        if len(body) > RECORD_BYTES_MAX - FRAME_BYTES:
            raise Undecodable(DecodeReason.RECORD_TOO_LARGE, f"{len(body)} bytes")
        record = _read(codec, body)
        newest = self._registry.newest(codec.locked.name)
        if newest is codec.locked:
            return record
        return _resolve(codec, self._codec(newest.schema_id), body)

    def _writer(self, name: str) -> tuple[bytes, Codec]:
        writer = self._writers.get(name)
        if writer is None:
            schema_id = self._registry.id_of(name)
            writer = self._writers[name] = (_FRAME.pack(0, schema_id), self._codec(schema_id))
        return writer

    def _codec(self, schema_id: int) -> Codec:
        codec = self._by_id.get(schema_id)
        if codec is None:
            try:
                codec = self._by_id[schema_id] = codec_for(self._registry.by_id(schema_id))
            except UnknownSchema:
                raise Undecodable(DecodeReason.UNKNOWN_SCHEMA_ID, str(schema_id)) from None
        return codec


_SHIPPED = Codecs(REGISTRY)
encode = _SHIPPED.encode
encode_body = _SHIPPED.encode_body
frame_header = _SHIPPED.frame_header
decode = _SHIPPED.decode
decode_body = _SHIPPED.decode_body


def schema_id_of(data: bytes | memoryview) -> int:
    """Return the schema id of a framed message, known or not; raises Undecodable."""
    if len(data) < FRAME_BYTES:
        raise Undecodable(DecodeReason.TRUNCATED_FRAME, f"{len(data)} bytes")
    magic, schema_id = _FRAME.unpack_from(data)
    if magic != 0:
        raise Undecodable(DecodeReason.NOT_FRAMED)
    return int(schema_id)


def decode_columns(
    name: str, bodies: Sequence[bytes | memoryview], *, schema_id: int | None = None
) -> "polars.DataFrame":
    """Return one row per body, in order, with the fields of the newest schema as columns; raises UndecodableChunk.

    See `schemas.columns.Columns.decode`.
    """
    from schemas import columns

    return columns.SHIPPED.decode(name, bodies, schema_id=schema_id)


def codec_for(locked: LockedSchema) -> Codec:
    """Return what is needed to read and write a schema."""
    plain = without_logical_types(locked.schema)
    parsed = fastavro.parse_schema(plain)
    assert isinstance(parsed, dict)
    return Codec(locked, parsed, _fields_of(plain, "long", "int"), _fields_of(plain, "int"))


def without_logical_types(schema: Any) -> Any:
    """Return a schema whose instants and dates are their underlying types; a type by itself loses its braces."""
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if "logicalType" in schema or schema.keys() == {"type"}:
        return schema["type"]
    return {
        key: without_logical_types(value) if key in ("type", "items", "values", "fields") else value
        for key, value in schema.items()
    }


def _fields_of(schema: Schema, *types: str) -> tuple[str, ...]:
    wanted = [*types, *(["null", each] for each in types)]
    return tuple(field["name"] for field in schema["fields"] if field["type"] in wanted)


def _write(codec: Codec, record: Record) -> bytes:
    buffer = BytesIO()
    try:
        fastavro.schemaless_writer(buffer, codec.parsed, record, strict_allow_default=True)
    except _WRITE_FAULTS as fault:
        raise Unencodable(codec.locked.name, str(fault)) from fault
    if not _INTEGERS.issuperset(map(type, map(record.get, codec.integer_fields))):
        _refuse_other_numbers(codec, record)
    if codec.int_fields and _int_beyond(codec, record):
        raise Unencodable(codec.locked.name, "an int field has more than 32 bits")
    if buffer.tell() > RECORD_BYTES_MAX - FRAME_BYTES:
        raise Unencodable(codec.locked.name, f"{buffer.tell()} bytes are more than a record may have")
    return buffer.getvalue()


def _refuse_other_numbers(codec: Codec, record: Record) -> None:
    """Raise Unencodable on fractions and booleans in integer fields: fastavro would cut them to whole numbers."""
    for field in codec.integer_fields:
        value = record.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
            raise Unencodable(codec.locked.name, f"{field} is not a whole number")


def _read(codec: Codec, body: bytes) -> Record:
    buffer = BytesIO(body)
    try:
        record = fastavro.schemaless_reader(buffer, codec.parsed, None)
    except EOFError:
        raise Undecodable(DecodeReason.TRUNCATED_BODY, codec.locked.name) from None
    except _READ_FAULTS as fault:
        raise Undecodable(DecodeReason.INVALID_BODY, f"{codec.locked.name}: {type(fault).__name__}") from None
    if not isinstance(record, dict) or _int_beyond(codec, record):
        raise Undecodable(DecodeReason.INVALID_BODY, codec.locked.name)
    if buffer.tell() != len(body):
        raise Undecodable(DecodeReason.TRAILING_BYTES, f"{codec.locked.name}: {len(body) - buffer.tell()} bytes")
    _refuse_other_encodings(codec, record, body)
    return record


def _refuse_other_encodings(codec: Codec, record: Record, body: bytes) -> None:
    """Raise Undecodable unless writing the record gives the same bytes.

    fastavro reads over-long numbers, enum index -1 and booleans above 1 without a word; polars reads them otherwise.
    """
    again = BytesIO()
    try:
        fastavro.schemaless_writer(again, codec.parsed, record)
    except _WRITE_FAULTS:
        raise Undecodable(DecodeReason.INVALID_BODY, codec.locked.name) from None
    if again.getvalue() != body:
        raise Undecodable(DecodeReason.NOT_CANONICAL, codec.locked.name)


def _resolve(writer: Codec, reader: Codec, body: bytes) -> Record:
    try:
        record = fastavro.schemaless_reader(BytesIO(body), writer.parsed, reader.parsed)
    except _READ_FAULTS as fault:
        raise Undecodable(DecodeReason.INVALID_BODY, f"{reader.locked.name}: {type(fault).__name__}") from None
    assert isinstance(record, dict)
    return record


def _int_beyond(codec: Codec, record: Record) -> bool:
    return any(
        value is not None and not INT_MIN <= value <= INT_MAX
        for value in (record.get(field) for field in codec.int_fields)
    )
