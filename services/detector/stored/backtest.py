"""The live engine over stored events of one partition: chunks in, moments out, the clock included.

Owns what a backtest adds to the engine: which rules hold, from when on moments are told, where the run ends. Where the
chunks come from is the matter of `sources`; what the moments amount to, of `capacity`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from services.detector.engine.customer.layout import PAGE_ROWS
from services.detector.engine.log_format.wire import KINDS
from services.detector.engine.partition import Applied, Partition
from services.detector.engine.rule_set import CompiledRuleSet
from services.detector.records.decode import DecodedChunk
from services.detector.stored.columns import chunk_of
from services.detector.stored.ticking import DRAFT, MINUTE_MS, OwnClock, before, cut_at, drafted, hours_of, minute_of

_NAMES: Final = {code: kind for kind, code in KINDS.items()}


@dataclass(frozen=True)
class Span:
    """Of what time moments are told. from_ms: those found earlier only fill state; until_ms: None = the last event."""

    from_ms: int | None = None
    until_ms: int | None = None

    def __post_init__(self) -> None:
        if self.from_ms is not None and self.until_ms is not None and self.from_ms > self.until_ms:
            raise ValueError("--from is later than --until")


class Backtest:
    """One partition's state, and how far it is. `take` hears every revision of a moment within the span."""

    def __init__(
        self, number: int, first_offset: int, rules: Mapping[int, CompiledRuleSet], *, span: Span,
        take: Callable[[Mapping[str, Any]], object],
    ) -> None:  # fmt: skip
        self.partition = Partition(number, first_offset)
        self.events: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.poison = 0
        self.is_cut = False
        self._rules = rules
        self._span = span
        self._take = take

    def run_log(
        self, chunks: Iterable[DecodedChunk], *, is_draft: bool, from_start: bool, on_chunk: Callable[[int], object]
    ) -> None:
        """Apply a log with its own control records; beyond its end the clock goes on to the end of the span.

        is_cut tells afterwards whether the log goes on beyond the span.
        """
        until = self._span.until_ms
        for chunk in chunks:
            read = chunk.next_offset - chunk.first_offset
            if is_draft:
                chunk = drafted(chunk, from_start=from_start)
            if until is not None:
                chunk, self.is_cut = cut_at(chunk, until)
            self.apply(chunk)
            on_chunk(read)
            if self.is_cut:
                return
        now = self.partition.tick_now_ms
        if until is not None and now:
            offset = DRAFT if is_draft else self.partition.rules_offset
            clock = OwnClock(now, until_ms=until, rules_offset=offset)
            self._advance(clock, until)

    def run_events(
        self, chunks: Iterable[DecodedChunk], *, first_ms: int, last_ms: int, on_chunk: Callable[[int], object]
    ) -> None:
        """Apply events that have no control records, with a tick each minute from a minute before the first."""
        until = last_ms + MINUTE_MS if self._span.until_ms is None else self._span.until_ms
        start = minute_of(min(first_ms, until, first_ms if self._span.from_ms is None else self._span.from_ms))
        clock = OwnClock(start - 2 * MINUTE_MS, until_ms=until)
        self._advance(clock, start - MINUTE_MS)
        for chunk in chunks:
            for part in clock.ticked(before(chunk, until)):
                self.apply(part)
            on_chunk(chunk.events)
        self._advance(clock, until)

    def apply(self, chunk: DecodedChunk) -> None:
        """Apply a chunk and all that its ticks ask for."""
        found = np.bincount(chunk.kind, minlength=len(_NAMES))
        self.events.update({_NAMES[code]: int(n) for code, n in enumerate(found.tolist()) if n})
        self.poison += len(chunk.poison)
        for part in hours_of(chunk):
            self._tell(self.partition.apply(part, self._rules))
            for page in range(self.partition.pages()):  # in whole pages: nothing waits for the next event here
                if self.partition.owes(page):
                    self._tell(self.partition.sweep_page(page, PAGE_ROWS))

    def _advance(self, clock: OwnClock, to_ms: int) -> None:
        for chunk in clock.advance(to_ms, _nothing(self.partition.number, self.partition.next_offset)):
            self.apply(chunk)

    def _tell(self, applied: Applied) -> None:
        self.counts.update(applied.counts)
        first = self._span.from_ms or 0
        for moment in applied.moments:
            if moment["detected_at"] >= first:
                self._take(moment)


def _nothing(number: int, offset: int) -> DecodedChunk:
    return chunk_of(number, offset, offset, {})
