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

from schemas.codec import FRAME_BYTES, RECORD_BYTES_MAX, without_logical_types
from schemas.errors import UndecodableChunk
from schemas.registry import REGISTRY, LockedSchema, Registry, Schema

ROWS_MAX = 1_000_000
"""More bodies in one call are refused: a chunk is bounded long before that."""
_SYNC = b"kairos-sync-mark"
_VARINT_STEPS = tuple(1 << (7 * size) for size in range(1, 10))

Lengths = npt.NDArray[np.int64]


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


_READ_AS: dict[str, Any] = {"enum": "int", "boolean": "int", "strings": {"type": "array", "items": "string"}}


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


def _read_block(name: str, bodies: Sequence[bytes | memoryview], layout: Layout) -> tuple[pl.DataFrame, Lengths]:
    if len(bodies) > ROWS_MAX:
        raise UndecodableChunk(name, f"{len(bodies)} bodies are more than {ROWS_MAX}")
    lengths = np.fromiter(map(len, bodies), dtype=np.int64, count=len(bodies))
    if len(bodies) and int(lengths.max()) > RECORD_BYTES_MAX - FRAME_BYTES:
        raise UndecodableChunk(name, "a body is larger than a record may be")
    block = (_varint(len(bodies)), _varint(int(lengths.sum())), *bodies, _SYNC) if len(bodies) else ()
    try:
        frame = pl.read_avro(BytesIO(b"".join((layout.header, *block))))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, MemoryError) as fault:
        raise UndecodableChunk(name, type(fault).__name__) from None
    if frame.height != len(bodies):
        raise UndecodableChunk(name, f"{frame.height} rows from {len(bodies)} bodies")
    return frame, lengths


def _typed(name: str, read: tuple[pl.DataFrame, Lengths], columns: Sequence[Column]) -> pl.DataFrame:
    frame, lengths = read
    out: list[pl.Series] = []
    encoded = np.zeros(frame.height, dtype=np.int64)
    for column in columns:
        series = frame.get_column(column.name)
        encoded += _encoded_lengths(series, column)
        out.append(_checked(name, series, column))
    if not np.array_equal(encoded, lengths):
        raise UndecodableChunk(name, f"row {int(np.argmax(encoded != lengths))} is not as long as its body")
    return pl.DataFrame(out)


def _checked(name: str, series: pl.Series, column: Column) -> pl.Series:
    """Return the series in its own type; raises UndecodableChunk on an enum index or boolean that does not exist."""
    if column.base == "boolean":
        # Read as a number, the byte 1 is -1.
        _expect_between(name, series, -1, 0)
        return series == -1
    if column.base == "enum":
        _expect_between(name, series, 0, len(column.symbols) - 1)
        return series.cast(pl.UInt8 if len(column.symbols) < 256 else pl.UInt32).cat.to(pl.Enum(column.symbols))
    return series


def _expect_between(name: str, series: pl.Series, least: int, most: int) -> None:
    if series.len() == series.null_count():
        return
    if int(series.min()) < least or int(series.max()) > most:  # type: ignore[arg-type]  # not all null, numbers
        raise UndecodableChunk(name, f"{series.name} has a value that does not exist")


def _encoded_lengths(series: pl.Series, column: Column) -> Lengths:
    """Return how many bytes each value takes when written as short as possible."""
    present = series.is_not_null().to_numpy() if column.nullable else None
    if column.base == "strings":
        return _strings_lengths(series)
    size: Lengths
    if column.base == "string":
        size = series.str.len_bytes().fill_null(0).to_numpy().astype(np.int64)
        size += _varint_lengths(size)
    elif column.base == "double":
        size = np.full(series.len(), 8, dtype=np.int64)
    else:
        size = _varint_lengths(series.fill_null(0).to_numpy().astype(np.int64, copy=False))
    if present is None:
        return size
    with_branch: Lengths = np.where(present, 1 + size, 1)
    return with_branch


def _strings_lengths(series: pl.Series) -> Lengths:
    counts = series.list.len().to_numpy().astype(np.int64)
    ends = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
    items = series.explode(empty_as_null=False) if int(ends[-1]) else pl.Series([], dtype=pl.String)
    size = items.str.len_bytes().to_numpy().astype(np.int64)
    sums = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(size + _varint_lengths(size))))
    block = np.where(counts > 0, _varint_lengths(counts), 0)
    lengths: Lengths = 1 + block + sums[ends[1:]] - sums[ends[:-1]]
    return lengths


def _varint_lengths(values: Lengths) -> Lengths:
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
