"""State in: the last complete turn of a partition, or a clear refusal.

Owns which turn to take, and what must not be continued from. A load that is trimmed under its feet starts over.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.detector import metrics
from services.detector.durability.state_log import StateLog
from services.detector.durability.state_records import STATE_TOPIC, Manifest, PageCopy
from services.detector.errors import EngineNotHandedOver, EngineTooOld, StateTrimmed, StateUnusable
from services.detector.ports import Engine, Partition
from services.detector.shard import EVENTS_TOPIC, LastTurn

_ATTEMPTS: Final = 5

log = logging.getLogger(__name__)


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
        self.log = StateLog(bootstrap)

    async def __aenter__(self) -> "StateLoader":
        await self.log.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.log.close()

    async def load(self, number: int) -> Loaded:
        """Return the newest state of a partition; raises StateUnusable where moments would be wrong."""
        for _ in range(_ATTEMPTS):
            try:
                return await self._load(number)
            except StateTrimmed:
                log.warning("detector.state.trimmed_while_loading", extra={"partition": number})
        raise StateUnusable(number, f"the state topic was trimmed while it was read, {_ATTEMPTS} times")

    async def _load(self, number: int) -> Loaded:
        begin, end = await self.log.bounds(STATE_TOPIC, number)
        log_begin, log_end = await self.log.bounds(EVENTS_TOPIC, number)
        faults: list[str] = []
        for whole_log in (False, True):
            candidates = await self.log.manifests(number, begin, end, whole_log=whole_log)
            for manifest in self._of_this_engine(number, candidates, is_all=whole_log):
                if manifest.next_log_offset > log_end:  # records that the state contains are gone: nothing later holds
                    faults.append(f"the turn at {manifest.offset} is ahead of the event log, which ends at {log_end}")
                    break
                fault = _fault_of(manifest, log_begin, self._engine.state_version)
                pages = None if fault else await self.log.pages(number, manifest, begin, end)
                partition = None if pages is None else await self.build(number, manifest, pages)
                if partition is not None:
                    return Loaded(partition, _last_turn(manifest, self._engine.engine_version))
                faults.append(fault or f"the turn at {manifest.offset} is not complete")
        if log_begin > 0:
            reason = faults[0] if faults else "no complete turn was found"
            raise StateUnusable(number, f"{reason}, and the event log begins at {log_begin}")
        if faults:
            log.error("detector.state.from_the_log_alone", extra={"partition": number, "reason": faults[0]})
        return Loaded(self._engine.new_partition(number, 0), None, trim_before=end)

    def _of_this_engine(self, number: int, candidates: list[Manifest], *, is_all: bool) -> list[Manifest]:
        """Those that this engine may go on from: its own, else what an older one left when it handed over.

        Raises StateUnusable where there are only others: moments of the replay would differ from those that are out.
        """
        own = self._engine.engine_version
        newest = max((each.engine_version for each in candidates), default=own)
        if newest > own:
            raise EngineTooOld(number, newest, own)
        fitting = [each for each in candidates if each.engine_version == own or each.is_final]
        if candidates and not fitting and is_all:
            raise EngineNotHandedOver(number, newest, own)
        return sorted(fitting, key=lambda each: (each.engine_version, each.offset), reverse=True)

    async def build(self, number: int, manifest: Manifest, pages: Sequence[PageCopy]) -> Partition | None:
        """The partition made of these pages; None when the engine refuses one."""
        partition = self._engine.new_partition(number, manifest.next_log_offset)
        partition.expect_pages(len(pages))
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


def _fault_of(manifest: Manifest, log_begin: int, state_version: int) -> str | None:
    """Why this turn cannot be continued from; None when it can."""
    if manifest.state_version != state_version:
        return f"the turn at {manifest.offset} has state version {manifest.state_version}, wanted {state_version}"
    if manifest.next_log_offset < log_begin:
        return f"the turn at {manifest.offset} continues at log offset {manifest.next_log_offset}"
    return None


def _last_turn(manifest: Manifest, engine_version: int) -> LastTurn:
    first = manifest.first_state_offset if manifest.pages else manifest.offset
    is_final = manifest.is_final and manifest.engine_version == engine_version
    return LastTurn(manifest.offset, first, manifest.next_log_offset, is_final=is_final)
