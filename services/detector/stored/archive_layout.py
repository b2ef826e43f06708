"""The archive's files: their names, and what makes records count as archived.

    events/kind=usage/day=2026-09-07/0003-<first>-<next>.parquet   records of [first, next) of partition 3
    committed/0003/<first>-<next>.json                              says that all files of this stretch are there
    rules/<offset>.json                                             rule sets of kairos.rules.v1

A stretch counts once its commit is there, which is written last; where a partition ends is read from the commits. What
lies beyond is what a crash left behind, and goes before anything is written. So each offset is archived exactly once.
"""

import fcntl
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

EVENTS, COMMITTED, RULES = "events", "committed", "rules"
FORMAT: Final = 1
_DIGITS: Final = 20
_COMMIT_NAME: Final = re.compile(r"([0-9]{20})-([0-9]{20})\.json")
_DATA_NAME: Final = re.compile(r"([0-9]{4,})-([0-9]{20})-([0-9]{20})\.parquet")
PART: Final = ".part"


class ArchiveBroken(Exception):
    """The files contradict each other. Nothing is written; a person looks."""


class ArchiveLocked(Exception):
    """Another process writes this partition of the archive."""


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a stretch. path: from the archive's root."""

    path: str
    kind: str
    day: str
    rows: int
    bytes: int
    crc32: int


@dataclass(frozen=True)
class Stretch:
    """Records [first_offset, next_offset) of a partition, all archived.

    last_crc32: checksum of the last record's value, by which another log under the same name is found out.
    gap_before: records that were gone from the log before they could be archived.
    """

    partition: int
    first_offset: int
    next_offset: int
    files: tuple[DataFile, ...]
    last_timestamp: int
    last_crc32: int
    gap_before: int = 0
    format: int = FORMAT
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of its commit."""
        return f"{self.first_offset:0{_DIGITS}d}-{self.next_offset:0{_DIGITS}d}.json"


def data_path(kind: str, day: str, partition: int, first_offset: int, next_offset: int) -> str:
    """Return where the rows of a kind and local day of a stretch go, from the root."""
    name = f"{partition:04d}-{first_offset:0{_DIGITS}d}-{next_offset:0{_DIGITS}d}.parquet"
    return f"{EVENTS}/kind={kind}/day={day}/{name}"


class Archive:
    """A folder that holds an archive, or will."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def is_there(self) -> bool:
        """True when something was ever archived here."""
        return (self.root / COMMITTED).is_dir()

    def partitions(self) -> list[int]:
        """Return the partitions that have stretches."""
        folder = self.root / COMMITTED
        found = [int(each.name) for each in folder.iterdir() if each.name.isdigit()] if folder.is_dir() else []
        return sorted(number for number in found if any(True for _ in self._commits(number)))

    def stretches(self, partition: int) -> list[Stretch]:
        """Return the stretches of a partition in log order; raises ArchiveBroken when they overlap or leave a hole."""
        found = sorted((_read_stretch(path) for path in self._commits(partition)), key=lambda each: each.first_offset)
        for before, after in itertools.pairwise(found):
            if before.next_offset + after.gap_before != after.first_offset:
                raise ArchiveBroken(
                    f"partition {partition}: a stretch ends at {before.next_offset}, the next begins at "
                    f"{after.first_offset}"
                )
        return found

    def last(self, partition: int) -> Stretch | None:
        """Return the newest stretch of a partition; None when there is none. Raises ArchiveBroken."""
        found = self.stretches(partition)
        return found[-1] if found else None

    def commit(self, stretch: Stretch) -> None:
        """Let a stretch count; its files must be in place. Returns when that is on disk."""
        path = self.root / COMMITTED / f"{stretch.partition:04d}" / stretch.name
        write_durably(path, json.dumps(asdict(stretch), indent=1).encode())

    def sweep_leftovers(self, partition: int) -> int:
        """Remove what a crash left beyond the newest commit of a partition; returns how many files that were."""
        last = self.last(partition)
        end = 0 if last is None else last.next_offset
        removed = 0
        for path in list(self.root.glob(f"{EVENTS}/kind=*/day=*/{partition:04d}-*")):
            name = _DATA_NAME.fullmatch(path.name)
            if path.name.endswith(PART) or (name is not None and int(name[2]) >= end):
                path.unlink()
                removed += 1
        for path in (self.root / COMMITTED / f"{partition:04d}").glob(f"*{PART}"):
            path.unlink()
            removed += 1
        return removed

    def lock(self, partition: int) -> Callable[[], None]:
        """Take a partition for writing, and return what gives it back; raises ArchiveLocked."""
        folder = self.root / COMMITTED / f"{partition:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise ArchiveLocked(f"another process archives partition {partition} to {self.root}") from None
        return lambda: os.close(handle)

    def rule_sets(self) -> dict[int, dict[str, Any]]:
        """Return the archived rule sets by offset."""
        return {int(path.stem): json.loads(path.read_bytes()) for path in sorted((self.root / RULES).glob("*.json"))}

    def keep_rule_set(self, offset: int, fields: Mapping[str, Any]) -> None:
        """Keep one rule set; it never changes."""
        path = self.root / RULES / f"{offset:0{_DIGITS}d}.json"
        if not path.exists():
            write_durably(path, json.dumps(fields, ensure_ascii=False, indent=1).encode())

    def _commits(self, partition: int) -> Iterator[Path]:
        for path in (self.root / COMMITTED / f"{partition:04d}").glob("*.json"):
            if _COMMIT_NAME.fullmatch(path.name):
                yield path


def write_durably(path: Path, content: bytes) -> None:
    """Write a file under a passing name, and give it its own when it is on disk, and the name too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    with part.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
    sync_folders([path.parent])


def sync_folders(folders: Sequence[Path]) -> None:
    """Return when the names in these folders, and in those above them, are on disk."""
    for folder in {each for path in folders for each in (path, path.parent, path.parent.parent)}:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read_stretch(path: Path) -> Stretch:
    try:
        fields = json.loads(path.read_bytes())
        files = tuple(DataFile(**each) for each in fields.pop("files"))
        stretch = Stretch(files=files, **fields)
    except (ValueError, TypeError, KeyError) as fault:
        raise ArchiveBroken(f"{path} cannot be read: {fault}") from fault
    if stretch.format != FORMAT or stretch.name != path.name:
        raise ArchiveBroken(f"{path} is not what its name says, or of another format")
    return stretch
