"""The archive's tables → chunks of the log, one stretch in memory at a time."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from services.detector.decode import DecodedChunk, HandOver, Poison
from services.detector.stored.archive_layout import Archive, Stretch
from services.detector.stored.columns import windows
from services.detector.stored.frames import CONTROL, LOG_KINDS, POISON, as_newest, columns_of


def read_chunks(archive: Archive, partition: int, *, first_offset: int = 0) -> Iterator[DecodedChunk]:
    """Yield the chunks of a partition from an offset on, ticks and poison included. Raises ArchiveBroken, OSError."""
    for stretch in archive.stretches(partition):
        if stretch.next_offset > first_offset:
            yield from _chunks(archive, stretch, max(first_offset, stretch.first_offset))


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


def _chunks(archive: Archive, stretch: Stretch, first: int) -> Iterator[DecodedChunk]:
    tables: dict[str, list[pl.DataFrame]] = {}
    for each in stretch.files:
        tables.setdefault(each.kind, []).append(_read(archive, each.path, each.kind))
    frames = {kind: pl.concat(parts).sort("offset") for kind, parts in tables.items()}
    control, poison = frames.pop(CONTROL, None), frames.pop(POISON, None)
    ticks = None if control is None else control.filter(pl.col("rules_offset").is_not_null())
    hand_overs = [] if control is None else control.filter(pl.col("engine_version").is_not_null()).rows(named=True)
    bad = [] if poison is None else poison.rows(named=True)
    for chunk in windows(stretch.partition, first, stretch.next_offset, frames, ticks):
        chunk.poison = [Poison(row["offset"], row["key"], row["value"], row["reason"]) for row in _within(bad, chunk)]
        chunk.hand_overs = [HandOver(row["offset"], row["engine_version"]) for row in _within(hand_overs, chunk)]
        yield chunk


def _read(archive: Archive, path: str, kind: str) -> pl.DataFrame:
    """Return one file with the columns that chunks need; an older release's tables in the form of this one."""
    frame = pl.read_parquet(archive.root / path, hive_partitioning=False)
    if kind in LOG_KINDS:
        record = LOG_KINDS[kind]
        return as_newest(record, frame).select([*columns_of(record), "offset"])
    return frame.with_columns(pl.col("now").to_physical()) if kind == CONTROL else frame


def _within(rows: list[dict[str, Any]], chunk: DecodedChunk) -> list[Mapping[str, Any]]:
    return [row for row in rows if chunk.first_offset <= row["offset"] < chunk.next_offset]
