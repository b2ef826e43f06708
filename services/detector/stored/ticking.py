"""The clock of a backtest: control records where stored events have none of their own, up to the end that is wanted.

Pure. Ticks come each full minute, as live, because waits and findings are dated by them.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np

from services.detector.records.decode import DecodedChunk, Tick

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DRAFT: Final = 0
"""Offset of the one rule set of a backtest that does not use the announced ones."""
_TICKS_MAX: Final = 10_000
"""Ticks of one chunk between two events: a longer silence is passed in steps, so that memory stays bounded."""
_ROWS = ("kind", "offset", "customer", "occurred", "ingested", "history", "ident", "rank", "payload", "code")


def minute_of(at_ms: int) -> int:
    """Return the full minute at or before an instant."""
    return at_ms - at_ms % MINUTE_MS


def rows_of(chunk: DecodedChunk, first: int, last: int) -> DecodedChunk:
    """Return the events first..last-1 of a chunk, without its ticks."""
    starts = chunk.first_offset if first == 0 else _offset_of(chunk, first)
    part = replace(chunk, first_offset=starts, next_offset=_offset_of(chunk, last), ticks=[], poison=[], customers=[])
    for name in _ROWS:
        setattr(part, name, getattr(chunk, name)[first:last])
    return part


def _offset_of(chunk: DecodedChunk, row: int) -> int:
    return chunk.next_offset if row == chunk.events else int(chunk.offset[row])


def hours_of(chunk: DecodedChunk) -> Iterator[DecodedChunk]:
    """Yield the chunk in parts that end with the first tick of an hour.

    Such a tick asks something of every customer. If they are visited before the next tick comes, later ticks are only
    for those who wait for something; else each of them is one more to look at for everybody.
    """
    row = done = 0
    for at, (before, tick) in enumerate(pairwise(chunk.ticks), 1):
        if before.now_ms // HOUR_MS != tick.now_ms // HOUR_MS:
            yield _ticked(chunk, row, tick.row, chunk.ticks[done : at + 1])
            row, done = tick.row, at + 1
    yield _ticked(chunk, row, chunk.events, chunk.ticks[done:])


def _ticked(chunk: DecodedChunk, first: int, last: int, ticks: list[Tick]) -> DecodedChunk:
    part = rows_of(chunk, first, last)
    part.ticks = [replace(tick, row=tick.row - first) for tick in ticks]
    return part


class OwnClock:
    """Ticks up to until_ms, with what they announce. now_ms: time of the newest tick; the first comes a minute later.

    rules_offset: what the ticks announce; it may be raised.
    """

    def __init__(self, now_ms: int, *, until_ms: int, rules_offset: int = DRAFT) -> None:
        self.now_ms = minute_of(now_ms)
        self.until_ms = minute_of(until_ms)
        self.rules_offset = rules_offset

    def ticked(self, chunk: DecodedChunk) -> Iterator[DecodedChunk]:
        """Yield the chunk with ticks before the first event of every new minute. History does not move the clock."""
        minutes = np.where(chunk.history, 0, chunk.ingested - chunk.ingested % MINUTE_MS)
        newest = np.maximum.accumulate(np.minimum(np.maximum(minutes, self.now_ms), self.until_ms))
        steps = np.diff(newest, prepend=self.now_ms)
        silences = np.flatnonzero(steps > _TICKS_MAX * MINUTE_MS).tolist()
        first = 0
        for last in (*silences, chunk.events):
            if last > first:
                part = rows_of(chunk, first, last)
                for row in (np.flatnonzero(steps[first:last]) + first).tolist():
                    part.ticks += self._up_to(int(newest[row]), int(chunk.offset[row]), row - first)
                yield part
            if last < chunk.events:
                yield from self.advance(int(newest[last]), rows_of(chunk, last, last))
                steps[last] = 0
            first = last

    def advance(self, to_ms: int, nothing: DecodedChunk) -> Iterator[DecodedChunk]:
        """Yield ticks alone, up to an instant at most. nothing: a chunk without events, where they stand."""
        end = min(minute_of(to_ms), self.until_ms)
        while self.now_ms < end:
            step = min(end, self.now_ms + _TICKS_MAX * MINUTE_MS)
            yield replace(nothing, ticks=self._up_to(step, nothing.first_offset, 0))

    def _up_to(self, to_ms: int, offset: int, row: int) -> list[Tick]:
        found = [
            Tick(offset, row, at, self.rules_offset) for at in range(self.now_ms + MINUTE_MS, to_ms + 1, MINUTE_MS)
        ]
        self.now_ms = max(self.now_ms, to_ms)
        return found


def drafted(chunk: DecodedChunk, *, from_start: bool) -> DecodedChunk:
    """Let the draft hold where the log announced any rule set; or from its first tick."""
    chunk.ticks = [
        replace(tick, rules_offset=DRAFT if from_start or tick.rules_offset >= 0 else -1) for tick in chunk.ticks
    ]
    return chunk


def cut_at(chunk: DecodedChunk, until_ms: int) -> tuple[DecodedChunk, bool]:
    """Return what of a chunk comes before the log's clock passes until_ms, and whether there was more."""
    late = next((i for i, tick in enumerate(chunk.ticks) if tick.now_ms > until_ms), None)
    if late is None:
        return chunk, False
    kept = rows_of(chunk, 0, chunk.ticks[late].row)
    kept.ticks = chunk.ticks[:late]
    return kept, True


def before(chunk: DecodedChunk, until_ms: int) -> DecodedChunk:
    """Return the events of a chunk that were accepted up to an instant, and history; for chunks without ticks."""
    late = np.flatnonzero(~chunk.history & (chunk.ingested > until_ms))
    return rows_of(chunk, 0, int(late[0])) if late.size else chunk
