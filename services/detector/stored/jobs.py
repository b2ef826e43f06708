"""A backtest from its options to its result: which source, which rules, what is written where."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import polars as pl

from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set
from services.detector.stored.backtest import Backtest, Span
from services.detector.stored.capacity import Tally
from services.detector.stored.columns import windows
from services.detector.stored.moment_lines import moment_line
from services.detector.stored.ndjson import Refused, Tables, read_lines
from services.detector.stored.ticking import DRAFT

Progress = Callable[[str, int, int], object]
"""Hears what is done now, how much of it, and how much there is."""
_WRITE_BYTES: Final = 1 << 20


@dataclass
class Result:
    """What a backtest read and found."""

    read: Counter[str] = field(default_factory=Counter)
    applied: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    poison: int = 0
    customers: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    clock_ms: int = 0
    apply_seconds: float = 0.0

    def add(self, run: Backtest) -> None:
        """Take over what one partition's run did."""
        self.applied.update(run.events)
        self.counts.update(run.counts)
        self.poison += run.poison
        self.customers += run.partition.customers
        self.clock_ms = max(self.clock_ms, run.partition.tick_now_ms)


class NothingToRun(Exception):
    """The source has no event, and no time was given to run over."""


class MomentFile:
    """Writes moments as they are found, and counts them; appears under its name when it is whole."""

    def __init__(self, path: Path, tally: Tally) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._tally = tally
        self._file: BinaryIO | None = None

    def __enter__(self) -> "MomentFile":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb", buffering=_WRITE_BYTES)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._file is not None
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def take(self, moment: Mapping[str, Any]) -> None:
        """Write one revision."""
        assert self._file is not None
        self._tally.add(moment)
        self._file.write(moment_line(moment))


def draft_rules(documents: Mapping[str, str], version: str) -> dict[int, CompiledRuleSet]:
    """Return the one rule set of a draft; raises RuleError."""
    return {DRAFT: compile_rule_set(documents, version)}


def run_lines(
    paths: Sequence[Path], customers: Sequence[Path], rules: Mapping[int, CompiledRuleSet], *, span: Span, out: Path,
    rejects: Path, tell: Progress,
) -> Result:  # fmt: skip
    """Run over files of lines. Raises NothingToRun, OSError."""
    result = Result()
    tables = _read(paths, customers, rejects, tell)
    result.read, result.refused, result.reasons = tables.read, tables.refused, tables.reasons
    started = time.monotonic()
    with MomentFile(out, result.tally) as file:
        run = Backtest(0, 0, rules, span=span, take=file.take)
        done = 0

        def on_chunk(events: int) -> None:
            nonlocal done
            done += events
            tell("events", done, tables.next_offset)

        chunks = windows(0, 0, tables.next_offset, tables.frames, tables.ticks)
        if tables.ticks is not None:
            run.run_log(chunks, is_draft=True, from_start=False, on_chunk=on_chunk)
        else:
            first, last = _live_span(tables.frames, span)
            run.run_events(chunks, first_ms=first, last_ms=last, on_chunk=on_chunk)
        result.add(run)
    result.apply_seconds = time.monotonic() - started
    return result


def _read(paths: Sequence[Path], customers: Sequence[Path], rejects: Path, tell: Progress) -> Tables:
    total = sum(path.stat().st_size for path in (*paths, *customers))
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        tell("bytes", min(done, total), total)

    with contextlib.ExitStack() as stack:
        opened: list[Any] = []

        def refuse(refused: Refused) -> None:
            if not opened:  # no file where nothing is refused
                rejects.parent.mkdir(parents=True, exist_ok=True)
                opened.append(stack.enter_context(rejects.open("w", encoding="utf-8")))
            opened[0].write(refused.as_json() + "\n")

        return read_lines(paths, customers=customers, on_refused=refuse, on_bytes=on_bytes)


def _live_span(frames: Mapping[str, pl.DataFrame], span: Span) -> tuple[int, int]:
    """Return when the first and the last event that is no history was accepted; else the span that was asked for."""
    bounds = []
    for frame in frames.values():
        live = frame.filter(~pl.col("history")).get_column("ingested_at").to_physical()
        if live.len():
            bounds.append((int(live.min()), int(live.max())))  # type: ignore[arg-type]  # numbers, not empty
    if bounds:
        return min(first for first, _ in bounds), max(last for _, last in bounds)
    given = span.until_ms if span.from_ms is None else span.from_ms
    if given is None:
        raise NothingToRun("no event that is not history, and neither --from nor --until")
    return given, given if span.until_ms is None else span.until_ms
