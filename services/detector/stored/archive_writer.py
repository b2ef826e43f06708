"""A stretch of the log → its files, then its commit. Synchronous; may be killed at any instruction."""

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from services.detector.ports import RawRecord
from services.detector.stored.archive_layout import PART, Archive, DataFile, Stretch, data_path, sync_folders
from services.detector.stored.archive_tables import tables_of

FILES_MAX: Final = 1_000
"""Kinds × days of one stretch. History of more days is cut into more stretches."""
_ROW_GROUP: Final = 131_072
_READ_BYTES: Final = 1 << 20
_COMPRESSION_LEVEL: Final = 3


@dataclass(frozen=True)
class Written:
    """What one flush put into the archive."""

    stretches: int
    files: int
    bytes: int
    counts: dict[str, int]


def write_records(archive: Archive, partition: int, records: Sequence[RawRecord], *, gap_before: int = 0) -> Written:
    """Archive consecutive records of a partition, as one stretch or several; returns when all of them count."""
    tables = tables_of(partition, records)
    pairs = sum(frame.get_column("day").n_unique() for frame in tables.values())
    if pairs > FILES_MAX and len(records) > 1:
        half = len(records) // 2
        first = write_records(archive, partition, records[:half], gap_before=gap_before)
        return _sum(first, write_records(archive, partition, records[half:]))
    first_offset, next_offset = records[0].offset, records[-1].offset + 1
    files = [
        _write(archive.root, part.drop("day"), kind, str(day), partition, first_offset, next_offset)
        for kind, frame in sorted(tables.items())
        for (day,), part in frame.partition_by("day", as_dict=True, maintain_order=True).items()
    ]
    sync_folders([(archive.root / each.path).parent for each in files])
    counts = {kind: frame.height for kind, frame in tables.items()}
    archive.commit(
        Stretch(
            partition=partition,
            first_offset=first_offset,
            next_offset=next_offset,
            files=tuple(files),
            last_timestamp=records[-1].timestamp,
            last_crc32=zlib.crc32(records[-1].value or b""),
            gap_before=gap_before,
            counts=counts,
        )
    )
    return Written(1, len(files), sum(each.bytes for each in files), counts)


def _write(
    root: Path, frame: pl.DataFrame, kind: str, day: str, partition: int, first_offset: int, next_offset: int
) -> DataFile:
    relative = data_path(kind, day, partition, first_offset, next_offset)
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    frame.write_parquet(
        part, compression="zstd", compression_level=_COMPRESSION_LEVEL, statistics=True, row_group_size=_ROW_GROUP
    )
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    found = DataFile(relative, kind, day, frame.height, part.stat().st_size, checksum_of(part))
    part.replace(path)
    return found


def checksum_of(path: Path) -> int:
    """Return the CRC-32 of a file."""
    found = 0
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            found = zlib.crc32(block, found)
    return found


def faults_of(archive: Archive, partition: int) -> list[str]:
    """Return what is wrong with the files of a partition; none when each offset is there once. Raises ArchiveBroken."""
    faults = []
    for stretch in archive.stretches(partition):
        offsets: list[pl.Series] = []
        for each in stretch.files:
            path = archive.root / each.path
            if not path.is_file():
                faults.append(f"{each.path} is missing")
            elif path.stat().st_size != each.bytes or checksum_of(path) != each.crc32:
                faults.append(f"{each.path} is not what was written")
            else:
                offsets.append(pl.read_parquet(path, columns=["offset"], hive_partitioning=False).to_series())
        found = pl.concat(offsets).sort() if offsets else pl.Series([], dtype=pl.Int64)
        wanted = pl.int_range(stretch.first_offset, stretch.next_offset, dtype=pl.Int64, eager=True)
        if not faults and not found.equals(wanted, check_names=False):
            faults.append(f"partition {partition}: offsets from {stretch.first_offset} are not there once each")
    return faults


def _sum(one: Written, other: Written) -> Written:
    counts = {kind: one.counts.get(kind, 0) + other.counts.get(kind, 0) for kind in one.counts | other.counts}
    return Written(one.stretches + other.stretches, one.files + other.files, one.bytes + other.bytes, counts)
