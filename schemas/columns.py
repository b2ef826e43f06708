"""Bodies of one schema → columns, by one call of polars for a whole chunk.

The bodies of one schema, joined, are exactly one block of an Avro container file. Enums are read as their index and
booleans as a number, so that impossible values are seen; then every row's own encoded length is compared with its
body's. Rows are read one after the other, so equal lengths prove that each began where its body began: what is
returned is what decoding the records one by one would have given, or an UndecodableChunk.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.codec import FRAME_BYTES, INT_MAX, INT_MIN, RECORD_BYTES_MAX, without_logical_types
from schemas.errors import UndecodableChunk
from schemas.registry import REGISTRY, LockedSchema, Registry, Schema

ROWS_MAX = 1_000_000
"""More bodies in one call are refused: a chunk is bounded long before that."""
_SYNC = b"kairos-sync-mark"
_VARINT_BYTES_MAX = 10
_VARINT_STEPS = tuple(1 << (7 * size) for size in range(1, 10))

Numbers = npt.NDArray[np.int64]
ExpectedBytes = tuple[Numbers, npt.NDArray[np.uint8]]
"""Places in the joined bodies, and what has to be there."""


@dataclass(frozen=True)
class Column:
    """One flat field: its name, base type, whether null is allowed, and the symbols of an enum."""

    name: str
    base: str
    nullable: bool
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """The columns of a schema, and the head of a container file that polars reads them by."""

    columns: tuple[Column, ...]
    header: bytes


class Columns:
    """Columnar reading by one registry; keeps the container header and the columns of each schema."""

    def __init__(self, registry: Registry) -> None:
        """Keep the registry; schemas are prepared when they are first used."""
        self._registry = registry
        self._layouts: dict[int, Layout] = {}

    def decode(self, name: str, bodies: Sequence[bytes | memoryview], *, schema_id: int | None = None) -> pl.DataFrame:
        """Return one row per body, in order, with the fields of the newest schema as columns; raises UndecodableChunk.

        Instants and dates are integers. Enums are `pl.Enum` in the order of the schema: `to_physical()` is the Avro
        index. schema_id: the version that all bodies were written with, the newest by default; fields it lacks get
        their default. The caller still compares `customer_id` with the record keys.
        """
        newest = self._registry.newest(name)
        written = newest if schema_id is None else self._registry.by_id(schema_id)
        if written.name != name:
            raise UndecodableChunk(name, f"schema {schema_id} is {written.name}")
        layout = self._layout(written)
        frame = _typed(name, _read_block(name, bodies, layout), layout.columns)
        if written is newest:
            return frame
        return _as_newest(frame, self._layout(newest).columns, newest.schema)

    def _layout(self, locked: LockedSchema) -> Layout:
        layout = self._layouts.get(locked.schema_id)
        if layout is None:
            layout = self._layouts[locked.schema_id] = layout_of(locked)
        return layout


def layout_of(locked: LockedSchema) -> Layout:
    """Return the layout of a schema; raises UndecodableChunk when it nests and has to be decoded per record."""
    fields = without_logical_types(locked.schema)["fields"]
    columns = tuple(_column(locked.name, field) for field in fields)
    return Layout(columns, _container_header(columns))


def _column(name: str, field: Schema) -> Column:
    kind, nullable = field["type"], False
    if isinstance(kind, list):
        if len(kind) != 2 or kind[0] != "null":
            raise UndecodableChunk(name, f"{field['name']} is a union of other than null and one type")
        kind, nullable = kind[1], True
    if isinstance(kind, dict) and kind["type"] == "enum":
        return Column(field["name"], "enum", nullable, tuple(kind["symbols"]))
    if kind == {"type": "array", "items": "string"} and not nullable:
        return Column(field["name"], "strings", nullable, ())
    if kind not in ("long", "int", "double", "boolean", "string"):
        raise UndecodableChunk(name, f"{field['name']} nests")
    return Column(field["name"], kind, nullable, ())


_READ_AS: dict[str, Any] = {
    "enum": "long",
    "boolean": "long",
    "int": "long",
    "strings": {"type": "array", "items": "string"},
}


def _container_header(columns: Sequence[Column]) -> bytes:
    fields = []
    for column in columns:
        kind = _READ_AS.get(column.base, column.base)
        fields.append({"name": column.name, "type": ["null", kind] if column.nullable else kind})
    schema = json.dumps({"type": "record", "name": "Row", "fields": fields}).encode()
    entries = ((b"avro.schema", schema), (b"avro.codec", b"null"))
    metadata = b"".join(_varint(len(part)) + part for entry in entries for part in entry)
    return b"Obj\x01" + _varint(len(entries)) + metadata + b"\x00" + _SYNC


def _varint(value: int) -> bytes:
    """Return a non-negative number as Avro writes a long."""
    value <<= 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass(frozen=True)
class Block:
    """What polars made of the joined bodies, with the bytes and the length of each body to judge it by."""

    frame: pl.DataFrame
    joined: bytes
    lengths: Numbers


def _read_block(name: str, bodies: Sequence[bytes | memoryview], layout: Layout) -> Block:
    if len(bodies) > ROWS_MAX:
        raise UndecodableChunk(name, f"{len(bodies)} bodies are more than {ROWS_MAX}")
    lengths = np.fromiter(map(len, bodies), dtype=np.int64, count=len(bodies))
    if len(bodies) and int(lengths.max()) > RECORD_BYTES_MAX - FRAME_BYTES:
        raise UndecodableChunk(name, "a body is larger than a record may be")
    joined = b"".join(bodies)
    block = (_varint(len(bodies)), _varint(len(joined)), joined, _SYNC) if len(bodies) else ()
    try:
        frame = pl.read_avro(BytesIO(b"".join((layout.header, *block))))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, MemoryError) as fault:
        raise UndecodableChunk(name, type(fault).__name__) from None
    if frame.height != len(bodies):
        raise UndecodableChunk(name, f"{frame.height} rows from {len(bodies)} bodies")
    return Block(frame, joined, lengths)


def _typed(name: str, block: Block, columns: Sequence[Column]) -> pl.DataFrame:
    out: list[pl.Series] = []
    row_ends = np.cumsum(block.lengths)
    ends = row_ends - block.lengths
    expected: list[ExpectedBytes] = []
    for column in columns:
        series = block.frame.get_column(column.name)
        lengths = _encoded_lengths(series, column)
        if column.nullable:
            present = series.is_not_null().to_numpy()
            expected.append((ends, np.where(present, 2, 0).astype(np.uint8)))
            lengths = np.where(present, 1 + lengths, 1)
        ends = ends + lengths
        if column.base == "long":
            longest = ends[lengths >= _VARINT_BYTES_MAX + column.nullable] - 1
            expected.append((longest, np.ones(len(longest), dtype=np.uint8)))
        out.append(_checked(name, series, column))
    if not np.array_equal(ends, row_ends):
        raise UndecodableChunk(name, "a row is not as long as its body")
    _check_bytes(name, block.joined, expected)
    return pl.DataFrame(out)


def _check_bytes(name: str, joined: bytes, expected: Sequence[ExpectedBytes]) -> None:
    """Raise UndecodableChunk on what polars reads without a word although it is no encoding of the value.

    A union's branch is 0 for null and 2 for a value, where polars takes all but 0 for a value. A number of ten bytes
    ends in 1, where polars drops what is beyond 64 bits.
    """
    data = np.frombuffer(joined, dtype=np.uint8)
    for places, values in expected:
        if not np.array_equal(data[places], values):
            raise UndecodableChunk(name, "a union branch or a number has an encoding that does not exist")


def _checked(name: str, series: pl.Series, column: Column) -> pl.Series:
    """Return the series in its own type; raises UndecodableChunk on an enum index or boolean that does not exist."""
    if column.base == "boolean":
        # Read as a number, the byte 1 is -1.
        _expect_between(name, series, -1, 0)
        return series == -1
    if column.base == "enum":
        _expect_between(name, series, 0, len(column.symbols) - 1)
        return series.cast(pl.UInt8 if len(column.symbols) < 256 else pl.UInt32).cat.to(pl.Enum(column.symbols))
    if column.base == "int":
        _expect_between(name, series, INT_MIN, INT_MAX)
        return series.cast(pl.Int32)
    return series


def _expect_between(name: str, series: pl.Series, least: int, most: int) -> None:
    if series.len() == series.null_count():
        return
    if int(series.min()) < least or int(series.max()) > most:  # type: ignore[arg-type]  # not all null, numbers
        raise UndecodableChunk(name, f"{series.name} has a value that does not exist")


def _encoded_lengths(series: pl.Series, column: Column) -> Numbers:
    """Return how many bytes each value takes when written as short as possible; of null, any number."""
    if column.base == "strings":
        return _strings_lengths(series)
    if column.base == "double":
        return np.full(series.len(), 8, dtype=np.int64)
    if column.base == "string":
        size = series.str.len_bytes().fill_null(0).to_numpy().astype(np.int64)
        total: Numbers = size + _varint_lengths(size)
        return total
    return _varint_lengths(series.fill_null(0).to_numpy().astype(np.int64, copy=False))


def _strings_lengths(series: pl.Series) -> Numbers:
    counts = series.list.len().to_numpy().astype(np.int64)
    ends = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
    items = series.explode(empty_as_null=False) if int(ends[-1]) else pl.Series([], dtype=pl.String)
    size = items.str.len_bytes().to_numpy().astype(np.int64)
    sums = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(size + _varint_lengths(size))))
    block = np.where(counts > 0, _varint_lengths(counts), 0)
    lengths: Numbers = 1 + block + sums[ends[1:]] - sums[ends[:-1]]
    return lengths


def _varint_lengths(values: Numbers) -> Numbers:
    zigzag = ((values << 1) ^ (values >> 63)).view(np.uint64)
    lengths = np.ones(len(values), dtype=np.int64)
    most = int(zigzag.max()) if len(values) else 0
    for step in _VARINT_STEPS:
        if most < step:
            break
        lengths += zigzag >= np.uint64(step)
    return lengths


def _as_newest(frame: pl.DataFrame, columns: Sequence[Column], schema: Schema) -> pl.DataFrame:
    defaults = {field["name"]: field.get("default") for field in schema["fields"]}
    series = []
    for column in columns:
        if column.name in frame.columns:
            series.append(_widened(frame.get_column(column.name), column))
        else:
            series.append(pl.Series(column.name, [defaults[column.name]] * frame.height, dtype=_dtype(column)))
    return pl.DataFrame(series)


def _widened(series: pl.Series, column: Column) -> pl.Series:
    """Return an older version's column in the type of the newest; a symbol that is gone becomes the first, UNKNOWN."""
    if column.base != "enum":
        return series.cast(_dtype(column))
    known = series.cast(pl.String).replace_strict(
        {symbol: symbol for symbol in column.symbols}, default=column.symbols[0], return_dtype=pl.String
    )
    return known.cast(_dtype(column))


def _dtype(column: Column) -> pl.DataType:
    if column.base == "enum":
        return pl.Enum(column.symbols)
    kinds: dict[str, pl.DataType] = {
        "long": pl.Int64(),
        "int": pl.Int32(),
        "double": pl.Float64(),
        "boolean": pl.Boolean(),
        "string": pl.String(),
        "strings": pl.List(pl.String()),
    }
    return kinds[column.base]


SHIPPED = Columns(REGISTRY)
"""Columnar reading by the schemas of this release."""
