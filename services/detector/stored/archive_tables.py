"""Records of a stretch of the log → tables by kind, and back. What is no event for the detector is poison here too."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from schemas.codec import FRAME_BYTES, UndecodableChunk, decode, decode_columns, schema_id_of
from schemas.events import HAND_OVER, TICK
from schemas.registry import REGISTRY
from services.detector.engine.log_format.wire import LATEST_MS
from services.detector.ports import RawRecord
from services.detector.records.decode import decode_chunk
from services.detector.stored.frames import (
    CONTROL,
    LOG_KINDS,
    PLACE,
    POISON,
    as_newest,
    columns_of,
    frame_of,
)

_KIND_OF: Final[Mapping[str, str]] = {record: kind for kind, record in LOG_KINDS.items()}
_SLICE: Final = 50_000
_TZ_MS: Final = 8 * 3_600_000
_TIMES: Final = pl.Datetime("ms", "UTC")
CONTROL_COLUMNS: Final[Mapping[str, Any]] = {
    "record": pl.String, "now": pl.Int64, "rules_offset": pl.Int64, "engine_version": pl.Int32, "by": pl.String,
}  # fmt: skip
POISON_COLUMNS: Final[Mapping[str, Any]] = {"key": pl.Binary, "value": pl.Binary, "reason": pl.String}

log = logging.getLogger(__name__)


def tables_of(partition: int, records: Sequence[RawRecord]) -> dict[str, pl.DataFrame]:
    """Return kind → table with the Avro fields and the place in the log, ascending by offset; no kind is empty.

    Every table has `day`, its local day: of acceptance for events (of history: of the event), of the clock for ticks.
    """
    parts: dict[str, list[pl.DataFrame]] = {}
    for first in range(0, len(records), _SLICE):
        for kind, frame in _slice_of(partition, records[first : first + _SLICE]):
            parts.setdefault(kind, []).append(frame)
    return {kind: pl.concat(frames).sort("offset") for kind, frames in parts.items()}


def _slice_of(partition: int, records: Sequence[RawRecord]) -> list[tuple[str, pl.DataFrame]]:
    poison = {each.offset: each.reason for each in decode_chunk(partition, records).poison}
    groups: dict[int, list[RawRecord]] = {}
    bad: list[RawRecord] = []
    for record in records:
        if record.offset in poison:
            bad.append(record)
        else:
            assert record.value is not None
            groups.setdefault(schema_id_of(record.value), []).append(record)
    found = [_table(partition, schema_id, group) for schema_id, group in groups.items()]
    if bad:
        found.append((POISON, _poison(partition, bad, poison)))
    return found


def _table(partition: int, schema_id: int, records: Sequence[RawRecord]) -> tuple[str, pl.DataFrame]:
    name = REGISTRY.by_id(schema_id).name
    place = _places(partition, records, schema_id)
    if name not in _KIND_OF:
        return CONTROL, _control(name, records).hstack(place).with_columns(_day("now"))
    frame = as_newest(name, _decoded(name, schema_id, records)).select(list(columns_of(name)))
    return _KIND_OF[name], frame.hstack(place).with_columns(_day("ingested_at"))


def _decoded(name: str, schema_id: int, records: Sequence[RawRecord]) -> pl.DataFrame:
    """Decode a group by columns; what nests, or is refused as a whole, record by record."""
    if name != LOG_KINDS["customer"]:
        try:
            bodies = [memoryview(record.value or b"")[FRAME_BYTES:] for record in records]
            return decode_columns(name, bodies, schema_id=schema_id)
        except UndecodableChunk as refused:
            log.warning("detector.archive.one_by_one", extra={"reason": str(refused), "records": len(records)})
    return frame_of(name, [decode(record.value or b"").record for record in records])


def _control(name: str, records: Sequence[RawRecord]) -> pl.DataFrame:
    assert name in (TICK, HAND_OVER)
    rows = []
    for record in records:
        fields = decode(record.value or b"").record
        by = fields.get("owner") or fields.get("author") or ""
        now = fields["now"] if name == TICK else fields["at"]
        rows.append((name, now, fields.get("rules_offset"), fields.get("engine_version"), by))
    return pl.DataFrame(rows, schema=dict(CONTROL_COLUMNS), orient="row").with_columns(pl.col("now").cast(_TIMES))


def _poison(partition: int, records: Sequence[RawRecord], reasons: Mapping[int, str]) -> pl.DataFrame:
    raw = [(record.key, record.value, reasons[record.offset]) for record in records]
    frame = pl.DataFrame(raw, schema=dict(POISON_COLUMNS), orient="row")
    return frame.hstack(_places(partition, records, None)).with_columns(_day("timestamp"))


def _places(partition: int, records: Sequence[RawRecord], schema_id: int | None) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "partition": [partition] * len(records),
            "offset": [record.offset for record in records],
            "timestamp": [record.timestamp for record in records],
            "schema_id": [schema_id] * len(records),
        },
        schema=dict(PLACE),
    )
    return frame.with_columns(pl.col("timestamp").cast(_TIMES))


def _day(column: str) -> pl.Expr:
    """The local day of an instant; one that no calendar has counts as the first or the last day there is."""
    at = pl.col(column).to_physical().clip(0, LATEST_MS - 1)
    return (at + _TZ_MS).cast(_TIMES).dt.date().cast(pl.String).alias("day")
