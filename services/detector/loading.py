"""State in: the last complete turn of a partition, or a clear refusal.

Owns reading the state topic: which manifest to take, which copy of each page, what is broken. Interleaved writers do no
harm: of each page the copy that contains most of the log counts. A load that is trimmed under its feet starts over.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from schemas.codec import Undecodable, decode
from services.detector import metrics
from services.detector.errors import StateTrimmed, StateUnusable
from services.detector.ports import Engine, Partition
from services.detector.shard import EVENTS_TOPIC, LastTurn
from services.detector.state_records import (
    MANIFEST,
    PAGE,
    STATE_TOPIC,
    Manifest,
    PageCopy,
    PageParts,
    checksum_of,
    read_manifest,
)
from services.transport.errors import TransportUnavailable

_TAIL_RECORDS: Final = 64  # looked at for the newest manifest, before the whole log is
_POLL_MS: Final = 200
_FETCH_BYTES: Final = 8 * 1024 * 1024
_READ_SECONDS: Final = 30.0  # without any record while there should be some, the broker is taken for gone
_ATTEMPTS: Final = 5

log = logging.getLogger(__name__)


@dataclass
class Tail:
    """What the end of the state log says about manifests."""

    manifests: dict[int, Manifest] = field(default_factory=dict)
    pointers: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Loaded:
    """A partition's state, ready to replay from its `next_offset`."""

    partition: Partition
    last_turn: LastTurn | None
    trim_before: int = 0  # state records before this were of no use and must go before anything is written


class StateLoader:
    """Loads partitions, one after the other. One client, opened and closed with the loader."""

    def __init__(self, bootstrap: str, engine: Engine) -> None:
        self._engine = engine
        self._client = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=20,
        )

    async def __aenter__(self) -> "StateLoader":
        try:
            await self._client.start()
        except (KafkaError, OSError) as exc:
            raise TransportUnavailable("kafka", f"cannot load state: {type(exc).__name__}") from exc
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.stop()

    async def load(self, number: int) -> Loaded:
        """Return the newest state of a partition; raises StateUnusable where moments would be wrong."""
        for _ in range(_ATTEMPTS):
            try:
                return await self._load(number)
            except StateTrimmed:
                log.warning("detector.state.trimmed_while_loading", extra={"partition": number})
        raise StateUnusable(number, f"the state topic was trimmed while it was read, {_ATTEMPTS} times")

    async def _load(self, number: int) -> Loaded:
        state, events = TopicPartition(STATE_TOPIC, number), TopicPartition(EVENTS_TOPIC, number)
        begin, end = await self._bounds(state)
        log_begin, log_end = await self._bounds(events)
        faults = []
        for whole_log in (False, True):
            for manifest in await self._candidates(state, begin, end, whole_log=whole_log):
                if manifest.next_log_offset > log_end:  # records that the state contains are gone: nothing later holds
                    faults.append(f"the turn at {manifest.offset} is ahead of the event log, which ends at {log_end}")
                    break
                fault = _fault_of(manifest, log_begin, self._engine.state_version)
                pages = None if fault else await self._pages(state, manifest, begin, end)
                partition = None if pages is None else await self._build(number, manifest, pages)
                if partition is not None:
                    return Loaded(partition, _last_turn(manifest))
                faults.append(fault or f"the turn at {manifest.offset} is not complete")
        if log_begin > 0:
            reason = faults[0] if faults else "no complete turn was found"
            raise StateUnusable(number, f"{reason}, and the event log begins at {log_begin}")
        if faults:
            log.error("detector.state.from_the_log_alone", extra={"partition": number, "reason": faults[0]})
        return Loaded(self._engine.new_partition(number, 0), None, trim_before=end)

    async def _candidates(self, tp: TopicPartition, begin: int, end: int, *, whole_log: bool) -> list[Manifest]:
        """Manifests worth trying, the latest written first."""
        tail = Tail()
        start = begin if whole_log else max(begin, end - _TAIL_RECORDS)
        await self._scan(tp, start, end, tail)
        if not whole_log:
            for pointer in sorted(tail.pointers - tail.manifests.keys(), reverse=True):
                if begin <= pointer < end:
                    await self._scan(tp, pointer, pointer + 1, tail)
        return sorted(tail.manifests.values(), key=lambda each: each.offset, reverse=True)

    async def _scan(self, tp: TopicPartition, start: int, end: int, tail: Tail) -> None:
        """Note manifests, and what pages say about the manifest before them."""
        async for batch in _Reading(self._client, tp, start, end):
            for record in batch:
                name, fields = _decoded(record)
                if name == MANIFEST:
                    tail.manifests[record.offset] = read_manifest(record.offset, fields)
                elif name == PAGE and fields["previous_manifest_offset"] >= 0:
                    tail.pointers.add(fields["previous_manifest_offset"])

    async def _pages(self, tp: TopicPartition, manifest: Manifest, begin: int, end: int) -> Sequence[PageCopy] | None:
        """Of each page the copy with the highest offset, from the turn's first page to its manifest; None if broken."""
        newest: dict[int, PageCopy] = {}
        own: dict[int, int] = {}
        parts = PageParts()
        start = max(begin, manifest.first_state_offset)
        async for batch in _Reading(self._client, tp, start if manifest.pages else end, manifest.offset):
            for record in batch:
                name, fields = _decoded(record)
                if name != PAGE or fields["next_offset"] < manifest.next_log_offset:
                    continue
                copy = _page_copy(parts, record.offset, fields)
                if copy is None:
                    continue
                if copy.turn_id == manifest.turn_id:
                    own[copy.number] = copy.checksum
                known = newest.get(copy.number)
                if (copy.state_version, copy.engine_version) != (manifest.state_version, manifest.engine_version):
                    continue
                if known is None or copy.next_offset >= known.next_offset:
                    newest[copy.number] = copy
        if len(own) == manifest.pages and checksum_of([own[n] for n in sorted(own)]) != manifest.checksum:
            log.error("detector.state.manifest_broken", extra={"partition": tp.partition, "offset": manifest.offset})
            return None
        if any(number not in newest for number in range(manifest.pages)):
            return None
        return [newest[number] for number in range(manifest.pages)]

    async def _build(self, number: int, manifest: Manifest, pages: Sequence[PageCopy]) -> Partition | None:
        """The partition made of these pages; None when the engine refuses one."""
        partition = self._engine.new_partition(number, manifest.next_log_offset)
        for at, copy in enumerate(pages):
            try:
                partition.load_page(at, self._engine.new_page(copy.next_offset, copy.rows, copy.payload))
            except self._engine.state_unreadable as fault:
                metrics.BROKEN_PAGES_TOTAL.inc()
                log.error("detector.state.page_unreadable", extra={"page": at, "reason": str(fault)})
                return None
            if at % 8 == 7:
                await asyncio.sleep(0)
        partition.finish_loading(manifest.tick_now_ms, manifest.rules_offset, manifest.next_log_offset)
        metrics.LOADED_BYTES_TOTAL.inc(sum(len(copy.payload) for copy in pages))
        return partition

    async def _bounds(self, tp: TopicPartition) -> tuple[int, int]:
        async with asyncio.timeout(_READ_SECONDS):
            begins, ends = await self._client.beginning_offsets([tp]), await self._client.end_offsets([tp])
        return begins[tp], ends[tp]


class _Reading:
    """Batches of records from `start` up to `end`, exclusive. Raises StateTrimmed, TransportUnavailable."""

    def __init__(self, client: Any, tp: TopicPartition, start: int, end: int) -> None:
        self._client = client
        self._tp = tp
        self._next = start
        self._end = end
        self._is_open = False

    def __aiter__(self) -> "_Reading":
        return self

    async def __anext__(self) -> list[Any]:
        if self._next >= self._end:
            raise StopAsyncIteration
        if not self._is_open:
            self._client.assign([self._tp])
            self._client.seek(self._tp, self._next)
            self._is_open = True
        deadline = asyncio.get_running_loop().time() + _READ_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            try:
                found = (await self._client.getmany(self._tp, timeout_ms=_POLL_MS)).get(self._tp)
            except (OffsetOutOfRangeError, NoOffsetForPartitionError) as exc:
                raise StateTrimmed(str(self._tp)) from exc
            if found:
                self._next = found[-1].offset + 1
                return [record for record in found if record.offset < self._end]
        raise TransportUnavailable("kafka", f"no state record of {self._tp} for {_READ_SECONDS:g} s")


def _decoded(record: Any) -> tuple[str, dict[str, Any]]:
    """Name and fields of a state record; an unreadable one is counted and has no name."""
    try:
        found = decode(record.value or b"", allowed=(PAGE, MANIFEST))
    except Undecodable as fault:
        metrics.BROKEN_PAGES_TOTAL.inc()
        log.error("detector.state.undecodable", extra={"offset": record.offset, "reason": str(fault)})
        return "", {}
    return found.name, found.record


def _page_copy(parts: PageParts, offset: int, fields: dict[str, Any]) -> PageCopy | None:
    """The page that this record completes; a broken record is counted and left out."""
    try:
        return parts.add(offset, fields)
    except ValueError:
        metrics.BROKEN_PAGES_TOTAL.inc()
        log.error("detector.state.page_broken", extra={"page": fields["page"], "offset": offset})
        return None


def _fault_of(manifest: Manifest, log_begin: int, state_version: int) -> str | None:
    """Why this turn cannot be continued from; None when it can."""
    if manifest.state_version != state_version:
        return f"the turn at {manifest.offset} has state version {manifest.state_version}, wanted {state_version}"
    if manifest.next_log_offset < log_begin:
        return f"the turn at {manifest.offset} continues at log offset {manifest.next_log_offset}"
    return None


def _last_turn(manifest: Manifest) -> LastTurn:
    first = manifest.first_state_offset if manifest.pages else manifest.offset
    return LastTurn(manifest.offset, first, manifest.next_log_offset)
