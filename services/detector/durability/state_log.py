"""Reading the state topic: manifests, and the pages of a turn. Nothing is judged here, nothing written.

Of each page the copy that contains most of the log counts, so interleaved writers do no harm.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from schemas.codec import Undecodable, decode
from services.detector import metrics
from services.detector.durability.state_records import (
    MANIFEST,
    PAGE,
    STATE_TOPIC,
    Manifest,
    PageCopy,
    PageParts,
    checksum_of,
)
from services.detector.errors import StateTrimmed
from services.transport.errors import TransportUnavailable

_TAIL_RECORDS: Final = 64  # looked at for the newest manifest, before the whole log is
_POLL_MS: Final = 200
_FETCH_BYTES: Final = 8 * 1024 * 1024
_READ_SECONDS: Final = 30.0  # without any record while there should be some, the broker is taken for gone

log = logging.getLogger(__name__)


@dataclass
class Tail:
    """What the end of the state log says about manifests."""

    manifests: dict[int, Manifest] = field(default_factory=dict)
    pointers: set[int] = field(default_factory=set)


class StateLog:
    """A client of its own, open as a context. Raises StateTrimmed when it is trimmed under its feet."""

    def __init__(self, bootstrap: str) -> None:
        self._client = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=20,
        )

    async def open(self) -> None:
        """Connect. Raises TransportUnavailable."""
        try:
            await self._client.start()
        except (KafkaError, OSError) as exc:
            raise TransportUnavailable("kafka", f"cannot load state: {type(exc).__name__}") from exc

    async def close(self) -> None:
        """Disconnect."""
        await self._client.stop()

    async def bounds(self, topic: str, number: int) -> tuple[int, int]:
        """First offset that is kept, and the next one to be written."""
        tp = TopicPartition(topic, number)
        async with asyncio.timeout(_READ_SECONDS):
            begins, ends = await self._client.beginning_offsets([tp]), await self._client.end_offsets([tp])
        return begins[tp], ends[tp]

    async def manifests(self, number: int, begin: int, end: int, *, whole_log: bool) -> list[Manifest]:
        """Manifests between these offsets, or near the end of them, the latest written first."""
        tp, tail = TopicPartition(STATE_TOPIC, number), Tail()
        start = begin if whole_log else max(begin, end - _TAIL_RECORDS)
        await self._scan(tp, start, end, tail)
        if not whole_log:
            for pointer in sorted(tail.pointers - tail.manifests.keys(), reverse=True):
                if begin <= pointer < end:
                    await self._scan(tp, pointer, pointer + 1, tail)
        return sorted(tail.manifests.values(), key=lambda each: each.offset, reverse=True)

    async def pages(self, number: int, manifest: Manifest, begin: int, end: int) -> Sequence[PageCopy] | None:
        """Of each page the copy with the highest offset, from the turn's first page to its manifest; None if broken."""
        tp = TopicPartition(STATE_TOPIC, number)
        newest: dict[int, PageCopy] = {}
        own: dict[int, int] = {}
        parts = PageParts()
        start = max(begin, manifest.first_state_offset)
        async for batch in _Reading(self._client, tp, start if manifest.pages else end, manifest.offset):
            for record in batch:
                name, fields = decoded_state(record)
                if name != PAGE or fields["next_offset"] < manifest.next_log_offset:
                    continue
                copy = page_of(parts, record.offset, fields)
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
        if any(page not in newest for page in range(manifest.pages)):
            return None
        return [newest[page] for page in range(manifest.pages)]

    async def read(self, topic: str, number: int, start: int, end: int) -> AsyncIterator[list[Any]]:
        """Yield records of a partition from `start` up to `end`, exclusive, in batches."""
        async for batch in _Reading(self._client, TopicPartition(topic, number), start, end):
            yield batch

    async def _scan(self, tp: TopicPartition, start: int, end: int, tail: Tail) -> None:
        """Note manifests, and what pages say about the manifest before them."""
        async for batch in _Reading(self._client, tp, start, end):
            for record in batch:
                name, fields = decoded_state(record)
                if name == MANIFEST:
                    tail.manifests[record.offset] = Manifest.of(record.offset, fields)
                elif name == PAGE and fields["previous_manifest_offset"] >= 0:
                    tail.pointers.add(fields["previous_manifest_offset"])


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


def decoded_state(record: Any) -> tuple[str, dict[str, Any]]:
    """Name and fields of a state record; an unreadable one is counted and has no name."""
    try:
        found = decode(record.value or b"", allowed=(PAGE, MANIFEST))
    except Undecodable as fault:
        metrics.BROKEN_PAGES_TOTAL.inc()
        log.error("detector.state.undecodable", extra={"offset": record.offset, "reason": str(fault)})
        return "", {}
    return found.name, found.record


def page_of(parts: PageParts, offset: int, fields: dict[str, Any]) -> PageCopy | None:
    """The page that this record completes; a broken record is counted and left out."""
    try:
        return parts.add(offset, fields)
    except ValueError:
        metrics.BROKEN_PAGES_TOTAL.inc()
        log.error("detector.state.page_broken", extra={"page": fields["page"], "offset": offset})
        return None
