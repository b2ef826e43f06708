"""Where a log comes from: the archive, the brokers, or the archive and then what the brokers have beyond it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.detector.records.decode import DecodedChunk
from services.detector.stored.archive_layout import Archive
from services.detector.stored.archive_source import bounds, gaps, read_chunks


class SourceTorn(Exception):
    """What is there does not join up; said in a sentence for people."""


@dataclass(frozen=True)
class Part:
    """One partition of a source.

    archive_next: where the archive ends and the brokers' log begins to be read; log_first: what the brokers still have.
    """

    number: int
    first_offset: int
    archive_next: int
    next_offset: int
    log_first: int = 0


@dataclass(frozen=True)
class LogSource:
    """Names of what is read, nothing open: it can be handed to another process."""

    archive: Path | None = None
    bootstrap: str = ""

    def parts(self) -> list[Part]:
        """Return the partitions with what there is of each. Raises SourceTorn, ArchiveBroken, TransportError."""
        kept = self._archived()
        live = self._live()
        return [self._part(number, kept.get(number), live.get(number)) for number in sorted(kept.keys() | live.keys())]

    def chunks(self, part: Part, *, end: int | None = None, copies: bool = False) -> Iterator[DecodedChunk]:
        """Yield the chunks of a partition in log order, up to an offset. copies: with customer records in bytes."""
        end = part.next_offset if end is None else end
        archive_next = min(part.archive_next, end)
        if archive_next > part.first_offset:
            assert self.archive is not None
            span = (part.first_offset, archive_next)
            yield from read_chunks(Archive(self.archive), part.number, *span, copies=copies)
        if end > part.archive_next:
            from services.detector.stored.kafka_source import read_log

            yield from read_log(self.bootstrap, part.number, part.archive_next, end)

    def rule_sets(self) -> Mapping[int, Mapping[str, Any]]:
        """Return the rule sets that were published, by offset: those of the archive, and of the brokers."""
        found: dict[int, Mapping[str, Any]] = {}
        if self.archive is not None:
            found |= Archive(self.archive).rule_sets()
        if self.bootstrap:
            import asyncio

            from services.detector.stored.archive_rules import read_rule_sets

            found |= asyncio.run(read_rule_sets(self.bootstrap))[0]
        return found

    def gaps(self, part: Part) -> list[tuple[int, int]]:
        """Return what is missing in the archive of a partition: (first, next) offsets."""
        return [] if self.archive is None else gaps(Archive(self.archive), part.number)

    def _archived(self) -> dict[int, tuple[int, int]]:
        if self.archive is None:
            return {}
        archive = Archive(self.archive)
        if not archive.is_there:
            raise SourceTorn(f"{self.archive} holds no archive")
        return {number: bounds(archive, number) for number in archive.partitions()}

    def _live(self) -> dict[int, tuple[int, int]]:
        if not self.bootstrap:
            return {}
        from services.detector.stored.kafka_source import log_bounds

        return log_bounds(self.bootstrap)

    def _part(self, number: int, kept: tuple[int, int] | None, live: tuple[int, int] | None) -> Part:
        if kept is None:
            assert live is not None
            return Part(number, live[0], live[0], live[1], live[0])
        if live is None or live[1] <= kept[1]:
            return Part(number, kept[0], kept[1], kept[1], kept[1] if live is None else live[0])
        if live[0] > kept[1]:
            raise SourceTorn(
                f"partition {number}: the archive ends at {kept[1]}, the log begins at {live[0]}: "
                f"what is between is in neither"
            )
        return Part(number, kept[0], kept[1], live[1], live[0])
