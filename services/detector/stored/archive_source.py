"""The archive's tables → chunks of the log, one stretch in memory at a time."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from schemas.codec import encode
from services.detector.records.decode import DecodedChunk, HandOver
from services.detector.records.poison_records import Poison
from services.detector.stored.archive_layout import Archive, Stretch
from services.detector.stored.columns import windows
from services.detector.stored.frames import CONTROL, LOG_KINDS, POISON, as_newest, columns_of, records_of


def read_chunks(
    archive: Archive, partition: int, first_offset: int = 0, next_offset: int | None = None, *, copies: bool = False
) -> Iterator[DecodedChunk]:
    """Yield the chunks of [first_offset, next_offset), ticks and poison included. Raises ArchiveBroken, OSError.

    copies: with the customer records as bytes, as the log had them.
    """
    for stretch in archive.stretches(partition):
        first = max(first_offset, stretch.first_offset)
        last = stretch.next_offset if next_offset is None else min(next_offset, stretch.next_offset)
        if first < last:
            yield from _chunks(archive, stretch, first, last, copies=copies)


def bounds(archive: Archive, partition: int) -> tuple[int, int]:
    """Return the first archived offset of a partition and the one after the last. Raises ArchiveBroken."""
    stretches = archive.stretches(partition)
    return (stretches[0].first_offset, stretches[-1].next_offset) if stretches else (0, 0)


def gaps(archive: Archive, partition: int) -> list[tuple[int, int]]:
    """Return the stretches of the log that were gone before they were archived: (first, next) offsets."""
    return [
        (each.first_offset - each.gap_before, each.first_offset)
        for each in archive.stretches(partition)
        if each.gap_before
    ]


def _chunks(archive: Archive, stretch: Stretch, first: int, last: int, *, copies: bool) -> Iterator[DecodedChunk]:
    tables: dict[str, list[pl.DataFrame]] = {}
    for each in stretch.files:
        tables.setdefault(each.kind, []).append(_read(archive, each.path, each.kind))
    frames = {kind: _in_order(pl.concat(parts)) for kind, parts in tables.items()}
    control, poison = frames.pop(CONTROL, None), frames.pop(POISON, None)
    ticks = None if control is None else control.filter(pl.col("rules_offset").is_not_null())
    hand_overs = [] if control is None else control.filter(pl.col("engine_version").is_not_null()).rows(named=True)
    bad = [] if poison is None else poison.rows(named=True)
    customers = _copies(frames["customer"]) if copies and "customer" in frames else []
    for chunk in windows(stretch.partition, first, last, frames, ticks):
        chunk.poison = [Poison(row["offset"], row["key"], row["value"], row["reason"]) for row in _within(bad, chunk)]
        chunk.customers = [each for each in customers if chunk.first_offset <= each[2] < chunk.next_offset]
        chunk.hand_overs = [HandOver(row["offset"], row["engine_version"]) for row in _within(hand_overs, chunk)]
        yield chunk


def _read(archive: Archive, path: str, kind: str) -> pl.DataFrame:
    """Return one file with the columns that chunks need; an older release's tables in the form of this one."""
    file = archive.root / path
    if kind in LOG_KINDS:
        record = LOG_KINDS[kind]
        wanted = [*columns_of(record), "offset"]
        there = pl.read_parquet_schema(file)
        frame = pl.read_parquet(file, columns=[name for name in wanted if name in there], hive_partitioning=False)
        return as_newest(record, frame).select(wanted)
    frame = pl.read_parquet(file, hive_partitioning=False)
    return frame.with_columns(pl.col("now").to_physical()) if kind == CONTROL else frame


def _in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows by offset; those of one day are so already."""
    return frame if frame.get_column("offset").is_sorted() else frame.sort("offset")


def _copies(frame: pl.DataFrame) -> list[tuple[bytes, bytes, int]]:
    """Return customer records as the log had them: key, value, offset."""
    record = LOG_KINDS["customer"]
    return [
        (b"%d" % fields["customer_id"], encode(record, fields), offset)
        for fields, offset in zip(records_of(record, frame), frame.get_column("offset").to_list(), strict=True)
    ]


def _within(rows: list[dict[str, Any]], chunk: DecodedChunk) -> list[Mapping[str, Any]]:
    return [row for row in rows if chunk.first_offset <= row["offset"] < chunk.next_offset]
