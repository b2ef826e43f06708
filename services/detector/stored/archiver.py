"""The archive process: reads the event log where the archive ends, holds a bounded part of it, writes stretches.

There is no consumer group: where to read on follows from the archive's own files, so nothing has to agree with them.
"""

import asyncio
import contextlib
import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas.events import EVENTS_TOPIC
from services.detector.broker_admin import BrokerAdmin
from services.detector.errors import LogTorn
from services.detector.stored import metrics
from services.detector.stored.archive_layout import Archive, Stretch
from services.detector.stored.archive_rules import RulesCopy
from services.detector.stored.archive_settings import ArchiveSettings
from services.detector.stored.archive_writer import Written, write_records
from services.transport.errors import TransportUnavailable

_POLL_MS: Final = 200
_COMPARE_MS: Final = 10_000
_ENDS_SECONDS: Final = 2.0
_CALL_SECONDS: Final = 15.0
_RECORD_BYTES: Final = 64  # of a record beside its value

log = logging.getLogger(__name__)


class LogGone(Exception):
    """Records were trimmed from the log before they were archived, or the archive is of another log."""


@dataclass
class Waiting:
    """Records of one partition that are not archived yet, in log order."""

    number: int
    next_offset: int
    records: list[Any] = field(default_factory=list)
    bytes: int = 0
    since: float = 0.0
    gap_before: int = 0

    def take(self, records: Sequence[Any]) -> None:
        """Add what was fetched; raises LogTorn when something is missing."""
        for record in records:
            if record.offset != self.next_offset:
                raise LogTorn(self.number, self.next_offset, record.offset)
            self.next_offset += 1
            self.bytes += len(record.value or b"") + _RECORD_BYTES
        if records and not self.records:
            self.since = time.monotonic()
        self.records += records


@dataclass
class Summary:
    """What a run archived."""

    records: int = 0
    stretches: int = 0
    files: int = 0
    bytes: int = 0
    leftovers: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    next_offsets: dict[int, int] = field(default_factory=dict)

    def add(self, records: int, written: Written) -> None:
        """Take over one batch."""
        self.records += records
        self.stretches += written.stretches
        self.files += written.files
        self.bytes += written.bytes
        self.counts.update(written.counts)


class Archiver:
    """One process. `run` until stopped, or until the end that the log had at the start."""

    def __init__(
        self, settings: ArchiveSettings, partitions: Sequence[int], *, accept_gap: bool = False,
        tell: Callable[[str, int, int], object] = lambda *_: None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._archive = Archive(settings.folder)
        self._wanted = partitions
        self._accept_gap = accept_gap
        self._tell = tell
        self._waiting: dict[int, Waiting] = {}
        self._ends: dict[int, int] = {}
        self._stop = asyncio.Event()
        self._seen_at = time.monotonic()
        self.summary = Summary()
        self.is_reading = False
        self._client: Any = None
        self._rules = RulesCopy(settings.kafka_bootstrap, self._archive)

    def stop(self) -> None:
        """Let `run` write what it has and return."""
        self._stop.set()

    async def run(self, *, until_end: bool) -> Summary:
        """Archive. Raises ArchiveBroken, ArchiveLocked, LogGone, LogTorn, TransportUnavailable."""
        settings = self._settings
        async with contextlib.AsyncExitStack() as stack:
            self._client = AIOKafkaConsumer(
                bootstrap_servers=settings.kafka_bootstrap,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                max_partition_fetch_bytes=settings.fetch_bytes,
                fetch_max_wait_ms=_POLL_MS,
            )
            try:
                await self._client.start()
            except (KafkaError, OSError) as exc:
                raise TransportUnavailable("kafka", type(exc).__name__) from exc
            stack.push_async_callback(self._client.stop)
            await self._open(stack)
            self.is_reading = True
            ends = dict(self._ends)
            ends_at = time.monotonic()
            while not self._stop.is_set() and not (until_end and self._has(ends)):
                await self._step()
                if time.monotonic() - ends_at > _ENDS_SECONDS:
                    ends_at = time.monotonic()
                    await self._look_at_ends()
            for waiting in self._waiting.values():
                await self._write(waiting)
        return self.summary

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        numbers = sorted(self._wanted or range(await self._partitions()))
        tps = {number: TopicPartition(EVENTS_TOPIC, number) for number in numbers}
        self._client.assign(list(tps.values()))
        begins = await self._call(self._client.beginning_offsets(list(tps.values())))
        ends = await self._call(self._client.end_offsets(list(tps.values())))
        self._ends = {tp.partition: at for tp, at in ends.items()}
        for number, tp in tps.items():
            stack.callback(self._archive.lock(number))
            self.summary.leftovers += self._archive.sweep_leftovers(number)
            self._waiting[number] = self._resumed(number, begins[tp])
            self._client.seek(tp, self._waiting[number].next_offset)
        for number, tp in tps.items():
            last = self._archive.last(number)
            if last is not None and begins[tp] < last.next_offset:
                await self._refuse_other_log(tp, last)
        await self._rules.copy()
        self._show()

    async def _partitions(self) -> int:
        admin = BrokerAdmin(self._settings.kafka_bootstrap)
        try:
            return await admin.partitions()
        finally:
            await admin.close()

    def _resumed(self, number: int, begin: int) -> Waiting:
        """Where to read on; raises LogGone when that is not where the archive ends."""
        last, end = self._archive.last(number), self._ends[number]
        if last is None:
            return Waiting(number, begin)
        if last.next_offset > end:
            raise LogGone(
                f"partition {number}: the archive ends at {last.next_offset}, the log at {end}: it is another log, and "
                f"wants another folder"
            )
        if last.next_offset >= begin:
            return Waiting(number, last.next_offset)
        if not self._accept_gap:
            raise LogGone(
                f"partition {number}: records {last.next_offset} to {begin - 1} were trimmed before they were "
                f"archived. --accept-gap goes on behind them; nothing can be rebuilt across such a gap"
            )
        return Waiting(number, begin, gap_before=begin - last.next_offset)

    async def _refuse_other_log(self, tp: TopicPartition, last: Stretch) -> None:
        """Compare the last archived record with the one that the log has in its place."""
        self._client.seek(tp, last.next_offset - 1)
        found = (await self._call(self._client.getmany(tp, timeout_ms=_COMPARE_MS, max_records=1))).get(tp)
        self._client.seek(tp, last.next_offset)
        if found and zlib.crc32(found[0].value or b"") != last.last_crc32:
            raise LogGone(f"partition {tp.partition}: this is not the log that was archived; it wants another folder")

    def _has(self, ends: Mapping[int, int]) -> bool:
        return all(waiting.next_offset >= ends[number] for number, waiting in self._waiting.items())

    async def _step(self) -> None:
        try:
            found = await self._client.getmany(timeout_ms=_POLL_MS)
        except OffsetOutOfRangeError as exc:
            raise LogGone(f"records were trimmed before they were archived: {exc}") from exc
        for tp, records in found.items():
            self._waiting[tp.partition].take(records)
        for waiting in self._due():
            await self._write(waiting)
        metrics.WAITING_RECORDS.set(sum(len(each.records) for each in self._waiting.values()))

    def _due(self) -> list[Waiting]:
        """Return the partitions to be written now: full, old, or the fullest while memory is short."""
        settings, now = self._settings, time.monotonic()
        due = [
            each
            for each in self._waiting.values()
            if len(each.records) >= settings.batch_records
            or (each.records and now - each.since >= settings.batch_seconds)
        ]
        rest = sorted((each for each in self._waiting.values() if each not in due), key=lambda each: each.bytes)
        while rest and (
            sum(len(each.records) for each in rest) > settings.memory_records
            or sum(each.bytes for each in rest) > settings.memory_bytes
        ):
            due.append(rest.pop())
        return due

    async def _write(self, waiting: Waiting) -> None:
        if not waiting.records:
            return
        records, gap = waiting.records, waiting.gap_before
        waiting.records, waiting.bytes, waiting.gap_before = [], 0, 0
        await self._rules.copy()
        started = time.monotonic()
        written = await asyncio.to_thread(write_records, self._archive, waiting.number, records, gap_before=gap)
        metrics.WRITE_SECONDS.observe(time.monotonic() - started)
        metrics.STRETCHES_TOTAL.inc(written.stretches)
        metrics.FILES_TOTAL.inc(written.files)
        metrics.BYTES_TOTAL.inc(written.bytes)
        for kind, count in written.counts.items():
            metrics.RECORDS_TOTAL.labels(kind=kind).inc(count)
        self.summary.add(len(records), written)
        self.summary.next_offsets[waiting.number] = waiting.next_offset
        log.info(
            "detector.archive.written",
            extra={"partition": waiting.number, "records": len(records), "next_offset": waiting.next_offset},
        )
        self._show()

    async def _look_at_ends(self) -> None:
        """Learn the log's ends, for the gauges; ends the run when Kafka stays away."""
        try:
            ends = await self._call(self._client.end_offsets(list(self._client.assignment())))
        except TransportUnavailable as exc:
            if time.monotonic() - self._seen_at > self._settings.kafka_away_seconds:
                raise
            log.warning("detector.kafka.away", extra={"reason": exc.reason})
            return
        self._seen_at = time.monotonic()
        self._ends = {tp.partition: at for tp, at in ends.items()}
        self._show()

    def _show(self) -> None:
        done = {number: each.next_offset - len(each.records) for number, each in self._waiting.items()}
        for number, at in done.items():
            metrics.LAG_RECORDS.labels(partition=str(number)).set(max(0, self._ends.get(number, at) - at))
        self._tell("records", sum(done.values()), sum(self._ends.values()))

    async def _call(self, call: Any) -> Any:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                return await call
        except (KafkaError, OSError, TimeoutError) as exc:
            raise TransportUnavailable("kafka", type(exc).__name__) from exc
