"""Tables of stored events: one per kind, with the Avro fields by name, typed so that foreign readers understand them.

Owns the types of their columns, the defaults of fields that an older table lacks, and the way from records to tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from schemas.events import EVENTS_TOPIC, KINDS
from schemas.registry import REGISTRY

LOG_KINDS: Mapping[str, str] = {kind.name: kind.record for kind in KINDS.values() if kind.topic == EVENTS_TOPIC}
"""Kinds of the event log, with their Avro records."""
CONTROL, POISON = "control", "poison"
"""Kinds of tables beside those of events: control records, and records that cannot be decoded."""
PLACE: Mapping[str, Any] = {"partition": pl.Int32, "offset": pl.Int64, "timestamp": pl.Int64, "schema_id": pl.Int32}
"""Where a record stands in the log: columns of every archived table."""
_PAIR = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
_PLAIN: Mapping[str, Any] = {
    "long": pl.Int64, "int": pl.Int32, "double": pl.Float64, "boolean": pl.Boolean, "string": pl.String,
}  # fmt: skip
_LOGICAL: Mapping[str, Any] = {"timestamp-millis": pl.Datetime("ms", "UTC"), "date": pl.Date}


def columns_of(record: str) -> dict[str, Any]:
    """Return the columns of a record's newest schema: field → polars type."""
    return {field["name"]: _dtype(field["type"]) for field in REGISTRY.newest(record).schema["fields"]}


def defaults_of(record: str) -> dict[str, Any]:
    """Return the defaults of the fields that have one."""
    return {field["name"]: field["default"] for field in REGISTRY.newest(record).schema["fields"] if "default" in field}


def _dtype(avro: Any) -> Any:
    if isinstance(avro, list):
        return _dtype(next(branch for branch in avro if branch != "null"))
    if isinstance(avro, str):
        return _PLAIN[avro]
    if avro.get("logicalType") in _LOGICAL:
        return _LOGICAL[avro["logicalType"]]
    if avro["type"] == "enum":
        return pl.Enum(avro["symbols"])
    return {"array": pl.List(pl.String), "map": _PAIR}.get(avro["type"]) or _PLAIN[avro["type"]]


def frame_of(record: str, rows: Sequence[Mapping[str, Any]], extra: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """Return records as a table; fields that are absent get their default. extra: further columns, with their types."""
    types = columns_of(record)
    defaults = defaults_of(record)
    found = []
    for name, dtype in types.items():
        default = defaults.get(name)
        values = [row.get(name, default) for row in rows]
        if dtype == _PAIR:
            values = [[{"key": key, "value": value} for key, value in (each or {}).items()] for each in values]
        found.append(_series(name, values, dtype))
    found += [_series(name, [row[name] for row in rows], dtype) for name, dtype in (extra or {}).items()]
    return pl.DataFrame(found)


def _series(name: str, values: list[Any], dtype: Any) -> pl.Series:
    if isinstance(dtype, pl.Datetime):
        return pl.Series(name, values, pl.Int64).cast(dtype)
    if dtype == pl.Date:
        return pl.Series(name, values, pl.Int32).cast(dtype)
    return pl.Series(name, values, dtype)


def as_newest(record: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table of an older release with the columns and symbols of this one; other columns stay as they are."""
    columns, defaults = [], defaults_of(record)
    for name, dtype in columns_of(record).items():
        if name not in frame.columns:
            columns.append(_series(name, [_default(dtype, defaults.get(name))] * frame.height, dtype))
        elif frame.schema[name] != dtype:
            columns.append(_converted(frame.get_column(name), dtype))
    return frame.with_columns(columns) if columns else frame


def _default(dtype: Any, value: Any) -> Any:
    return [] if dtype == _PAIR and not value else value


def _converted(series: pl.Series, dtype: Any) -> pl.Series:
    if isinstance(dtype, pl.Enum):
        words = series.cast(pl.String)
        known = words.is_in(dtype.categories.to_list()) | words.is_null()
        return pl.select(pl.when(known).then(words).otherwise(pl.lit(dtype.categories[0]))).to_series().cast(dtype)
    return series.cast(dtype)


def records_of(record: str, frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a table as records of the Avro form: instants and dates whole numbers, maps objects."""
    types = columns_of(record)
    numbers = [pl.col(n).to_physical() for n, t in types.items() if isinstance(t, pl.Datetime) or t == pl.Date]
    maps = [name for name, dtype in types.items() if dtype == _PAIR]
    rows = frame.select(list(types)).with_columns(numbers).to_dicts()
    for row in rows:
        for name in maps:
            row[name] = {pair["key"]: pair["value"] for pair in row[name] or ()}
    return rows
