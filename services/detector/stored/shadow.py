"""A draft beside live: from the live state, over the same log, without a group and without writing anything.

Both sides are run here, from one turn: the rule sets that the log announces, and the draft in their place. What live
publishes is a pure function of the log, so the one side is what is published; and both begin at one record.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from services.detector.durability.loading import StateLoader
from services.detector.engine.errors import RulesNotLoaded
from services.detector.engine.partition import Partition
from services.detector.engine.rule_set import CompiledRuleSet
from services.detector.ports import Engine
from services.detector.records.decode import DecodedChunk
from services.detector.stored.archive_rules import read_rule_sets
from services.detector.stored.comparing import Comparison
from services.detector.stored.jobs import RulesSpec
from services.detector.stored.kafka_source import log_bounds, read_log
from services.detector.stored.ticking import DRAFT, drafted

_LOOK_SECONDS: Final = 1.0
_SWEEP_SLICE: Final = 65_536
Rules = Mapping[int, CompiledRuleSet]


@dataclass
class Beside:
    """One partition, twice: under the live rules and under the draft."""

    number: int
    live: Partition
    draft: Partition

    @property
    def next_offset(self) -> int:
        """Offset to read next."""
        return self.live.next_offset

    def apply(self, chunk: DecodedChunk, live_rules: Rules, draft_rules: Rules, comparison: Comparison) -> None:
        """Apply a chunk to both. Raises RulesNotLoaded before anything is changed."""
        for moment in _applied(self.live, chunk, live_rules):
            comparison.take_live(moment)
        for moment in _applied(self.draft, drafted(replace(chunk), from_start=False), draft_rules):
            comparison.take_draft(moment)


def beside(partition: Partition) -> Beside:
    """Return a loaded partition together with a copy of it for the draft."""
    copy = Partition(partition.number, partition.next_offset)
    for number in range(partition.pages()):
        copy.load_page(number, partition.dump_page(number))
    rules_offset = DRAFT if partition.rules_offset >= 0 else -1
    copy.finish_loading(partition.tick_now_ms, rules_offset, partition.next_offset)
    return Beside(partition.number, partition, copy)


def _applied(partition: Partition, chunk: DecodedChunk, rules: Rules) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = [*partition.apply(chunk, rules).moments]
    while partition.sweep_pending:
        found += partition.sweep(_SWEEP_SLICE).moments
    return found


class Shadow:
    """A run over the partitions of one installation. Raises StateUnusable, TransportError, RulesNotLoaded."""

    def __init__(self, bootstrap: str, engine: Engine, draft: Rules, comparison: Comparison) -> None:
        self._bootstrap = bootstrap
        self._engine = engine
        self._draft = draft
        self._comparison = comparison
        self._live: Rules = {}
        self._partitions: list[Beside] = []
        self.records = 0

    def open(self, numbers: Sequence[int]) -> int:
        """Load the newest turns; return how many customers there are."""
        bounds = log_bounds(self._bootstrap)
        self._partitions = asyncio.run(self._loaded(sorted(numbers or bounds)))
        self._read_rules()
        return sum(each.live.customers for each in self._partitions)

    def follow(self, *, until: Callable[[], bool], until_end: bool, tell: Callable[[str, int, int], object]) -> None:
        """Apply what the log has, and what is appended, until told to stop."""
        while True:
            started = time.monotonic()
            ends = {number: end for number, (_, end) in log_bounds(self._bootstrap).items()}
            for each in self._partitions:
                for chunk in read_log(self._bootstrap, each.number, each.next_offset, ends[each.number]):
                    self._apply(each, chunk)
                    tell("records", self.records, self.records + self._left(ends))
                    if until():
                        return
            if until_end or until():
                return
            time.sleep(max(0.0, started + _LOOK_SECONDS - time.monotonic()))

    def _left(self, ends: Mapping[int, int]) -> int:
        return sum(max(0, ends[each.number] - each.next_offset) for each in self._partitions)

    def _apply(self, each: Beside, chunk: DecodedChunk) -> None:
        try:
            each.apply(chunk, self._live, self._draft, self._comparison)
        except RulesNotLoaded:  # published since the last look
            self._read_rules()
            each.apply(chunk, self._live, self._draft, self._comparison)
        self.records += chunk.next_offset - chunk.first_offset

    def _read_rules(self) -> None:
        announced = asyncio.run(read_rule_sets(self._bootstrap))[0]
        self._live = RulesSpec(announced=announced).compiled() if announced else {}

    async def _loaded(self, numbers: Sequence[int]) -> list[Beside]:
        async with StateLoader(self._bootstrap, self._engine) as loader:
            found = []
            for number in numbers:
                partition = (await loader.load(number)).partition
                assert isinstance(partition, Partition)
                found.append(beside(partition))
            return found
