"""A backtest from its options to its result: which source, which rules, what is written where."""

import contextlib
import gc
import multiprocessing
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from services.detector.engine.errors import RuleError
from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set
from services.detector.stored.backtest import Backtest, Span
from services.detector.stored.capacity import Tally
from services.detector.stored.columns import windows
from services.detector.stored.frames import LOG_KINDS
from services.detector.stored.moment_lines import moment_line
from services.detector.stored.ndjson import Refused, Tables, read_lines
from services.detector.stored.rows import files_of
from services.detector.stored.sources import LogSource, Part
from services.detector.stored.ticking import DRAFT

Progress = Callable[[str, int, int], object]
"""Hears what is done now, how much of it, and how much there is."""
_WRITE_BYTES: Final = 1 << 20


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """Let the cyclic collector come seldom: every moment is tracked, and none of what is kept is a cycle."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 100, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@dataclass(frozen=True)
class EventFiles:
    """Files of lines or rows; customers and history are the past."""

    events: Sequence[Path]
    customers: Sequence[Path] = ()
    history: Sequence[Path] = ()


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
    after_until: Counter[str] = field(default_factory=Counter)
    """What came after the end of the span and was left out: `events` of files, or `records` of a log."""
    nothing_in: Sequence[Path] = ()
    """Files and folders in which nothing was found."""

    @property
    def not_read(self) -> dict[str, int]:
        """Lines of kinds that are no part of the event log."""
        return {kind: count for kind, count in self.read.items() if kind not in LOG_KINDS}

    def add(self, run: Backtest) -> None:
        """Take over what one partition's run did."""
        self.applied.update(run.events)
        self.counts.update(run.counts)
        self.poison += run.poison
        self.customers += run.partition.customers
        self.clock_ms = max(self.clock_ms, run.partition.tick_now_ms)

    def join(self, other: "Result") -> None:
        """Add another partition's result."""
        self.applied.update(other.applied)
        self.counts.update(other.counts)
        self.poison += other.poison
        self.customers += other.customers
        self.clock_ms = max(self.clock_ms, other.clock_ms)
        self.after_until.update(other.after_until)
        self.tally.join(other.tally)


class NothingToRun(Exception):
    """There is no event, or none that is not history and no time to run over; said in a sentence for people."""


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
    files: EventFiles, rules: Mapping[int, CompiledRuleSet], *, span: Span, out: Path, rejects: Path, tell: Progress
) -> Result:
    """Run over files of lines. Raises NothingToRun, OSError, ValueError."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".backtest-", dir=out.parent) as folder:
        return _run_lines(files, rules, span=span, out=out, rejects=rejects, tell=tell, folder=Path(folder))


def _run_lines(
    files: EventFiles, rules: Mapping[int, CompiledRuleSet], *, span: Span, out: Path, rejects: Path, tell: Progress,
    folder: Path,
) -> Result:  # fmt: skip
    result = Result()
    tables = _read(files, rejects, tell, folder)
    result.read, result.refused, result.reasons = tables.read, tables.refused, tables.reasons
    result.nothing_in = tables.nothing_in
    if not tables.rows.rows and tables.ticks is None:
        raise NothingToRun(_nothing(files, result, rejects))
    started = time.monotonic()
    with MomentFile(out, result.tally) as file, _seldom_collected():
        run = Backtest(0, 0, rules, span=span, take=file.take)
        done = 0

        def on_chunk(events: int) -> None:
            nonlocal done
            done += events
            tell("events", done, tables.rows.rows if tables.ticks is None else tables.lines + 1)

        chunks = (
            chunk
            for each in tables.stretches()
            for chunk in windows(0, each.first_offset, each.next_offset, each.frames, tables.ticks)
        )
        if tables.ticks is not None:
            run.run_log(chunks, is_draft=True, from_start=False, on_chunk=on_chunk)
        else:
            first, last = tables.rows.live_span or _given_span(span)
            run.run_events(chunks, first_ms=first, last_ms=last, on_chunk=on_chunk)
        result.add(run)
    result.after_until = +Counter(events=tables.rows.rows - result.applied.total())
    result.apply_seconds = time.monotonic() - started
    return result


def _nothing(files: EventFiles, result: Result, rejects: Path) -> str:
    """Say where no event was found, and what was found in its place."""
    why = [f"no event found in {', '.join(map(str, files.events))} / 未找到任何事件"]
    why += [
        f"{path} is neither an archive nor a folder with .ndjson, .jsonl, .parquet or .csv files"
        for path in files.events
        if path.is_dir() and not files_of([path])
    ]
    if result.refused:
        why.append(f"{result.refused:,} lines were refused ({counted(result.reasons)}), see {rejects}")
    if result.not_read:
        why.append(f"the detector does not read: {counted(result.not_read)}")
    return "; ".join(why)


def counted(counts: Mapping[str, int]) -> str:
    """Return names with their counts, the most frequent first."""
    return ", ".join(f"{name} {count:,}" for name, count in Counter(counts).most_common())


@dataclass(frozen=True)
class RulesSpec:
    """Which rules a log is run with; may be handed to another process.

    announced: the sets as published, by offset: each holds from where the log announces it. Else the one draft.
    """

    draft: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    from_start: bool = False
    announced: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def compiled(self) -> dict[int, CompiledRuleSet]:
        """Return the sets by offset; raises RuleError for a draft. A published set that is not right is left out."""
        if not self.announced:
            return draft_rules(self.draft, self.version)
        found, keys = {}, set()
        for offset, fields in sorted(self.announced.items()):
            if fields["key"] not in keys:
                keys.add(fields["key"])
                documents = {each["path"]: each["text"] for each in fields["documents"]}
                with contextlib.suppress(RuleError):
                    version = f"{fields['rule_set']}@{fields['version']}"
                    found[offset] = compile_rule_set(documents, version, fields["effective_from"])
        return found


def run_log(
    source: LogSource, rules: RulesSpec, *, span: Span, out: Path, jobs: int, tell: Progress
) -> Result:  # fmt: skip
    """Run over a log, its partitions one after the other or in so many processes.

    Raises NothingToRun, SourceTorn, TransportError.
    """
    result, started = Result(), time.monotonic()
    parts = [part for part in source.parts() if part.next_offset > part.first_offset]
    if not parts:
        raise NothingToRun(f"no event found in {source.archive or source.bootstrap} / 未找到任何事件")
    total, done = sum(part.next_offset - part.first_offset for part in parts), 0
    files = {part.number: out.with_name(f".{out.name}.{part.number}") for part in parts}

    def on_records(count: int) -> None:
        nonlocal done
        done += count
        tell("records", done, total)

    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        if jobs > 1 and len(parts) > 1:
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(min(jobs, len(parts)), mp_context=spawn) as pool:
                running = {
                    pool.submit(run_part, source, part, rules, span=span, out=files[part.number]): part
                    for part in parts
                }
                for each in as_completed(running):
                    result.join(each.result())
                    on_records(running[each].next_offset - running[each].first_offset)
        else:
            compiled = rules.compiled()
            for part in parts:
                result.join(_run_part(source, part, compiled, rules, span=span, out=files[part.number], on=on_records))
        _join_files(list(files.values()), out)
    finally:
        for path in files.values():
            path.unlink(missing_ok=True)
    result.apply_seconds = time.monotonic() - started
    return result


def run_part(source: LogSource, part: Part, rules: RulesSpec, *, span: Span, out: Path) -> Result:
    """Run one partition in a process of its own."""
    return _run_part(source, part, rules.compiled(), rules, span=span, out=out, on=lambda _: None)


def _run_part(
    source: LogSource, part: Part, compiled: Mapping[int, CompiledRuleSet], rules: RulesSpec, *, span: Span, out: Path,
    on: Callable[[int], object],
) -> Result:  # fmt: skip
    result = Result()
    with MomentFile(out, result.tally) as file, _seldom_collected():
        run = Backtest(part.number, part.first_offset, compiled, span=span, take=file.take)
        run.run_log(source.chunks(part), is_draft=not rules.announced, from_start=rules.from_start, on_chunk=on)
        if run.is_cut:
            result.after_until["records"] = part.next_offset - run.partition.next_offset
        result.add(run)
    return result


def _join_files(parts: Sequence[Path], out: Path) -> None:
    joined = out.with_name(f".{out.name}.part")
    with joined.open("wb") as whole:
        for path in parts:
            with path.open("rb") as part:
                shutil.copyfileobj(part, whole, _WRITE_BYTES)
    joined.replace(out)


def _read(files: EventFiles, rejects: Path, tell: Progress, folder: Path) -> Tables:
    done = 0

    def on_rows(count: int) -> None:
        nonlocal done
        done += count
        tell("lines", done, 0)

    with contextlib.ExitStack() as stack:
        opened: list[Any] = []

        def refuse(refused: Refused) -> None:
            if not opened:  # no file where nothing is refused
                rejects.parent.mkdir(parents=True, exist_ok=True)
                opened.append(stack.enter_context(rejects.open("w", encoding="utf-8")))
            opened[0].write(refused.as_json() + "\n")

        return read_lines(
            files.events, customers=files.customers, history=files.history, on_refused=refuse, on_rows=on_rows,
            folder=folder,
        )  # fmt: skip


def _given_span(span: Span) -> tuple[int, int]:
    """Return the span that was asked for, where every event is history."""
    given = span.until_ms if span.from_ms is None else span.from_ms
    if given is None:
        raise NothingToRun("no event that is not history, and neither --from nor --until")
    return given, given if span.until_ms is None else span.until_ms
