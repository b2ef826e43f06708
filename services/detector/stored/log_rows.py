"""Rows of files in the order of a log, however many: tables in memory while they are few, else sorted files on disk.

Owns the order: history first, then by ingest; or as they stand, where control records make them a log already.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

HELD_ROWS: Final = 1_000_000
"""Rows in memory at a time, of some 300 bytes each."""
_SAMPLED: Final = 4_096
"""Of so many rows one is remembered, to cut all of them into stretches that fit into memory."""
_GROUP_ROWS: Final = 65_536
_INSTANT: Final = pl.Datetime("ms", "UTC")
Place = tuple[int, int]
"""Where a row of the past, or a live one, stands: ingested_at, line."""
Frames = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Stretch:
    """The rows of [first_offset, next_offset). frames: kind → table with `offset`, ascending."""

    first_offset: int
    next_offset: int
    frames: Frames


@dataclass(frozen=True)
class _Run:
    """A file of one kind's rows: the lines and instants in it."""

    kind: str
    path: Path
    lines: tuple[int, int]
    ingested: tuple[int, int]


class LogRows:
    """Takes tables with `line`, `ingested_at` and `history`; gives them back in order. folder: None = hold them all."""

    def __init__(self, folder: Path | None = None, *, held_rows: int = HELD_ROWS) -> None:
        self.rows = 0
        self.live_span: tuple[int, int] | None = None
        self._folder = folder
        self._held_rows = held_rows
        self._held: dict[str, list[pl.DataFrame]] = {}
        self._held_now = 0
        self._runs: list[_Run] = []
        self._samples: dict[bool, list[Place]] = {True: [], False: []}

    def add(self, kind: str, frame: pl.DataFrame) -> None:
        """Take the rows of one kind; `line` numbers all rows of all kinds as they come."""
        self._held.setdefault(kind, []).append(frame)
        self.rows += frame.height
        self._held_now += frame.height
        live = frame.filter(~pl.col("history")).get_column("ingested_at").to_physical()
        if live.len():
            first, last = self.live_span or (live[0], live[0])
            self.live_span = (min(first, int(live.min())), max(last, int(live.max())))  # type: ignore[arg-type]

    def end_block(self) -> None:
        """Put on disk what is held, when it is much."""
        if self._folder is not None and self._held_now >= self._held_rows:
            self._spill()

    def by_ingest(self) -> Iterator[Stretch]:
        """Yield all rows numbered from 0: history, then by ingest, then as they stand."""
        first = 0
        if self._runs:
            self._spill()
        for frames in self._cut_by_ingest() if self._runs else [self._all_held()]:
            stretch = _ordered_by_ingest(frames, first)
            first = stretch.next_offset
            yield stretch

    def by_line(self, lines: int) -> Iterator[Stretch]:
        """Yield all rows with their line as offset, up to the last of so many lines."""
        step = self._held_rows if self._runs else lines + 1
        for first in range(0, lines + 1, step):
            last = min(first + step, lines + 1)
            within = pl.col("line").is_between(first, last, closed="left")
            frames = self._read(within, lambda run, a=first, b=last: run.lines[0] < b and run.lines[1] >= a)
            by_offset = {kind: frame.rename({"line": "offset"}).sort("offset") for kind, frame in frames.items()}
            yield Stretch(first, last, by_offset)

    def _spill(self) -> None:
        for kind, parts in self._held.items():
            self._write(kind, pl.concat(parts).sort("history", "ingested_at", "line"))
        self._held.clear()
        self._held_now = 0

    def _write(self, kind: str, frame: pl.DataFrame) -> None:
        assert self._folder is not None
        path = self._folder / f"{len(self._runs)}.parquet"
        frame.write_parquet(path, row_group_size=_GROUP_ROWS)
        bounds: list[Any] = []
        for name in ("line", "ingested_at"):
            column = frame.get_column(name).to_physical()
            bounds.append((column.min(), column.max()))
        self._runs.append(_Run(kind, path, *bounds))
        for is_history, samples in self._samples.items():
            rows = frame.filter(pl.col("history") == is_history).gather_every(_SAMPLED)
            samples += rows.select(pl.col("ingested_at").to_physical(), "line").rows()

    def _cut_by_ingest(self) -> Iterator[Frames]:
        step = max(1, self._held_rows // _SAMPLED)
        for past, samples in self._samples.items():
            cuts = sorted(samples)[step::step]
            for low, high in zip([None, *cuts], [*cuts, None], strict=True):
                within = pl.col("history") == past
                within = within if low is None else within & _from(low)
                within = within if high is None else within & _before(high)
                yield self._read(within, lambda run, a=low, b=high: _meets(run.ingested, a, b))

    def _read(self, within: pl.Expr, may_have: Any) -> Frames:
        """Return the rows that are meant, of the files that may have some and of what is held."""
        found: dict[str, list[pl.DataFrame]] = {}
        for run in self._runs:
            if may_have(run):
                found.setdefault(run.kind, []).append(pl.scan_parquet(run.path).filter(within).collect())
        for kind, parts in self._held.items():
            found.setdefault(kind, []).extend(part.filter(within) for part in parts)
        return {kind: whole for kind, parts in found.items() if (whole := pl.concat(parts)).height}

    def _all_held(self) -> Frames:
        return {kind: pl.concat(parts) for kind, parts in self._held.items()}


def _from(place: Place) -> pl.Expr:
    """True for rows at a place or beyond it. The instant stands by itself, so that groups of rows are passed over."""
    at, instant = pl.col("ingested_at"), pl.lit(place[0]).cast(_INSTANT)
    return (at >= instant) & ((at > instant) | (pl.col("line") >= place[1]))


def _before(place: Place) -> pl.Expr:
    at, instant = pl.col("ingested_at"), pl.lit(place[0]).cast(_INSTANT)
    return (at <= instant) & ((at < instant) | (pl.col("line") < place[1]))


def _meets(span: tuple[int, int], low: Place | None, high: Place | None) -> bool:
    return (low is None or span[1] >= low[0]) and (high is None or span[0] <= high[0])


def _ordered_by_ingest(frames: Frames, first_offset: int) -> Stretch:
    """Number rows by (history first, ingested_at, line), and sort each table so."""
    if not frames:
        return Stretch(first_offset, first_offset, {})
    line = np.concatenate([frame.get_column("line").to_numpy() for frame in frames.values()])
    ingested = np.concatenate([frame.get_column("ingested_at").to_physical().to_numpy() for frame in frames.values()])
    is_live = np.concatenate([~frame.get_column("history").to_numpy() for frame in frames.values()])
    order = np.lexsort((line, ingested, is_live))
    offsets = np.empty(len(order), np.int64)
    offsets[order] = np.arange(first_offset, first_offset + len(order))
    start, numbered = 0, {}
    for kind, frame in frames.items():
        column = pl.Series("offset", offsets[start : start + frame.height])
        numbered[kind] = frame.drop("line").with_columns(column).sort("offset")
        start += frame.height
    return Stretch(first_offset, first_offset + len(order), numbered)
