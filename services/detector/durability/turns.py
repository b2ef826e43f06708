"""State out: turns, in the background and at a steady pace.

A turn is every page of a partition and then a manifest. The order that keeps a restart exact:
outputs of all that a page contains are acknowledged → the page is written; all pages are acknowledged → the manifest;
the manifest is acknowledged → the group offset may be committed to its log offset → what is older than the last two
complete turns is trimmed. A turn that is cut off anywhere leaves the turns before it as they were.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from aiokafka.record.util import calc_crc32c

from schemas.codec import encode
from services.detector import metrics
from services.detector.chaos import Chaos
from services.detector.durability.state_records import MANIFEST, PAGE, STATE_TOPIC, checksum_of, page_records
from services.detector.outbox import Appender
from services.detector.ports import Engine, Page
from services.detector.shard import LastTurn, Shard
from services.transport.errors import TransportError
from services.transport.kafka_producer import OutRecord

_PACE: Final = 0.8  # share of the time between turns that writing the pages is spread over
_LOOK_SECONDS: Final = 0.5
_SWEEP_SLICE: Final = 64  # customers of a page, visited without looking at anything else

log = logging.getLogger(__name__)


class Trimmer(Protocol):
    """Removes the beginning of a partition of the state topic."""

    async def trim(self, partition: int, before_offset: int) -> None: ...


class TurnWriter:
    """Writes turn after turn of one partition until it is cancelled, which is safe at any point."""

    def __init__(
        self,
        shard: Shard,
        *,
        engine: Engine,
        producer: Appender,
        trimmer: Trimmer,
        commit: Callable[[], Awaitable[None]],
        turn_seconds: float,
        chaos: Chaos,
    ) -> None:
        self._shard = shard
        self._engine = engine
        self._producer = producer
        self._trimmer = trimmer
        self._commit = commit
        self._turn_seconds = turn_seconds
        self._chaos = chaos

    async def run(self) -> None:
        """Write a turn per period; none while nothing was applied."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            await self._rest(self._turn_seconds * (1 - _PACE))
            if self._is_due():
                await self.write(spread_seconds=self._turn_seconds * _PACE)
            await self._rest(started + self._turn_seconds - loop.time())

    def _is_due(self) -> bool:
        last = self._shard.last_turn
        if last is None or last.next_log_offset != self._shard.next_offset:
            return True
        return self._shard.is_handed_over and not last.is_final

    async def _rest(self, seconds: float) -> None:
        """Wait; not for long when there is only one more turn to write."""
        ends = asyncio.get_running_loop().time() + seconds
        await asyncio.sleep(0)
        while (left := ends - asyncio.get_running_loop().time()) > 0:
            if self._shard.is_handed_over and self._is_due():
                return
            await asyncio.sleep(min(left, _LOOK_SECONDS))

    async def write(self, *, spread_seconds: float) -> None:
        """Write one turn, its pages spread over this time."""
        loop, shard = asyncio.get_running_loop(), self._shard
        partition, started, written = shard.partition, loop.time(), 0
        await self._swept(0)
        # From here to the first page nothing is awaited: the manifest tells the instant of the first page, and every
        # customer who is not in one of these pages came later than that.
        pages, tick_now, rules_offset = partition.pages(), partition.tick_now_ms, partition.rules_offset
        next_log_offset, customers, turn_id = partition.next_offset, partition.customers, uuid.uuid4().hex
        first_offset, checksums, is_final = -1, [], shard.is_handed_over
        for number in range(pages):
            await self._swept(number)
            page = partition.dump_page(number)
            next_log_offset = min(next_log_offset, page.next_offset)
            checksums.append(calc_crc32c(page.payload))
            await shard.outbox.until(shard.outbox.ticket)
            self._chaos.after("outputs")
            offset = await self._append_page(page, turn_id, number, pages)
            first_offset = offset if number == 0 else first_offset
            written += len(page.payload)
            self._chaos.after("page")
            await self._rest(started + spread_seconds * (number + 1) / pages - loop.time())
        if not pages:
            await shard.outbox.until(shard.outbox.ticket)
        self._chaos.after("pages")
        manifest = {
            "turn_id": turn_id,
            "partition": shard.number,
            "pages": pages,
            "first_state_offset": first_offset,
            "next_log_offset": next_log_offset,
            "tick_now": tick_now,
            "rules_offset": rules_offset,
            "customers": customers,
            "engine_version": self._engine.engine_version,
            "state_version": self._engine.state_version,
            "checksum": checksum_of(checksums),
            "is_final": is_final,
        }
        manifest_offset = await self._append(MANIFEST, manifest)
        self._chaos.after("manifest")
        await self._close(
            LastTurn(manifest_offset, first_offset if pages else manifest_offset, next_log_offset, is_final=is_final),
            seconds=loop.time() - started,
            written=written,
        )

    async def _close(self, turn: LastTurn, *, seconds: float, written: int) -> None:
        """The turn counts from now on: commit, then trim what came before the turn before it."""
        before, self._shard.last_turn = self._shard.last_turn, turn
        metrics.TURNS_TOTAL.inc()
        metrics.TURN_SECONDS.observe(seconds)
        metrics.TURN_BYTES_TOTAL.inc(written)
        await self._commit()
        self._chaos.after("committed")
        if before is not None:
            try:
                await self._trimmer.trim(self._shard.number, before.first_state_offset)
            except TransportError as exc:  # the next turn trims as well
                log.warning("detector.state.not_trimmed", extra={"partition": self._shard.number, "reason": str(exc)})
            self._chaos.after("trimmed")

    async def _swept(self, page: int) -> None:
        """Let a page's customers make the visits that they owe to passed ticks; nothing is awaited after the last."""
        while page < self._shard.partition.pages() and self._shard.partition.owes(page):
            self._shard.sweep_page(page, _SWEEP_SLICE)
            if self._shard.partition.owes(page):
                await asyncio.sleep(0)
                await self._shard.outbox.room()

    async def _append(self, name: str, record: dict[str, Any]) -> int:
        """Append one record to the state topic and return its offset, once it is acknowledged."""
        out = OutRecord(None, encode(name, record))
        return await self._producer.append(STATE_TOPIC, self._shard.number, [out]) - 1

    async def _append_page(self, page: Page, turn_id: str, number: int, pages: int) -> int:
        """Append a page, part by part, and return the offset of its first one, once all are acknowledged."""
        last = self._shard.last_turn
        records = page_records(
            page,
            turn_id=turn_id,
            partition=self._shard.number,
            number=number,
            pages=pages,
            previous_manifest_offset=-1 if last is None else last.manifest_offset,
            engine_version=self._engine.engine_version,
            state_version=self._engine.state_version,
        )
        first = await self._append(PAGE, records[0])
        for record in records[1:]:
            self._chaos.after("part")
            await self._append(PAGE, record)
        return first
