"""Lines of events.md, or rows of tables → tables of events in log order, and those that are refused.

A line is an event as ingest takes it, with its `kind` and, if need be, `ingested_at` and `history`; `{"kind": "tick",
"now": …}` is a control record. One bad line never harms its neighbours.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from schemas.events import KINDS
from schemas.json_form.checks import instant
from schemas.json_form.faults import Fault, Rejection, rejected
from schemas.json_form.lines import json_event
from schemas.json_form.validation import VALIDATORS, DoorRules
from schemas.limits import EARLIEST_MS
from schemas.reasons import Reason
from services.detector.engine.log_format.wire import LATEST_MS
from services.detector.stored.frames import LOG_KINDS, frame_of
from services.detector.stored.log_rows import HELD_ROWS, LogRows, Stretch
from services.detector.stored.rows import Row, blocks_of, files_of, kind_of

TICK: Final = "tick"
CUSTOMER: Final = "customer"
_RULES: Final = DoorRules()
_NOT_OURS: Final = ("phone", "phone_token", "phone_masked")
"""Fields of customer records that no rule uses; a number in clear goes no further than this module."""
_SEQUENCE: Final[Mapping[str, Any]] = {"line": pl.Int64}
_check_ingested = instant(KINDS["usage"].fields_by_name["occurred_at"])


@dataclass(frozen=True)
class Refused:
    """A line that is no event: where it stands, what it says, and every fault with the value that has it."""

    file: str
    line: int
    faults: tuple[Fault, ...]
    values: tuple[Any, ...]
    text: str

    def as_json(self) -> str:
        """The line of the rejects file; the first fault's field, value and reason stand by themselves."""
        faults = [
            {"field": fault.field, "value": value, "reason": str(fault.reason), "message": fault.message}
            for fault, value in zip(self.faults, self.values, strict=True)
        ]
        first = {key: faults[0][key] for key in ("field", "value", "reason", "message")}
        body = {"file": self.file, "line": self.line, **first, "faults": faults, "text": self.text}
        return json.dumps(body, ensure_ascii=False)


@dataclass
class Tables:
    """What was read. ticks: control records by `offset`, None where there is none; lines: how many were read."""

    rows: LogRows
    ticks: pl.DataFrame | None = None
    lines: int = 0
    read: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    nothing_in: list[Path] = field(default_factory=list)
    """Files and folders, as they were given, without a single event or control record."""

    def stretches(self) -> Iterator[Stretch]:
        """Yield all events in log order, as many at a time as memory may hold."""
        return self.rows.by_ingest() if self.ticks is None else self.rows.by_line(self.lines)


class _Reader:
    """Collects rows per kind, and makes tables of them block by block."""

    def __init__(self, on_refused: Callable[[Refused], object], rows: LogRows) -> None:
        self.tables = Tables(rows)
        self._on_refused = on_refused
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._ticks: list[tuple[int, int, int]] = []
        self._line = 0

    @property
    def found(self) -> int:
        """Events and control records so far."""
        return self.tables.read.total() + len(self._ticks)

    def take(self, file: str, number: int, row: Row, *, default_kind: str, is_history: bool) -> None:
        """Read one line, or one row of a table."""
        self._line += 1
        value = row if isinstance(row, dict) else json_event(row)
        found = value if isinstance(value, Rejection) else self._record(value, default_kind, is_history=is_history)
        if isinstance(found, Rejection):
            self._refuse(file, number, row, value, found.faults)
        elif found is not None:
            kind, record = found
            record["line"] = self._line
            self._rows.setdefault(kind, []).append(record)
            self.tables.read[kind] += 1

    def _record(self, value: Any, default_kind: str, *, is_history: bool) -> Any:
        """Return kind and record of an event, None for what is no part of the event log, or a Rejection."""
        if value.__class__ is not dict:
            return rejected(Reason.NOT_AN_OBJECT, "want an object")
        kind = value.get("kind", default_kind)
        if kind == TICK:
            return self._tick(value)
        if kind.__class__ is not str or kind not in VALIDATORS:
            reason = Reason.UNKNOWN_KIND if kind else Reason.MISSING
            return rejected(reason, f"want a kind, one of {', '.join(VALIDATORS)}", field="kind")
        if kind not in LOG_KINDS:
            self.tables.read[kind] += 1
            return None
        fields = {name: each for name, each in value.items() if name not in _NOT_OURS}
        fields.pop("kind", None)
        ingested, history = fields.pop("ingested_at", None), fields.pop("history", is_history)
        if is_history:
            history = True
        if is_history and default_kind == CUSTOMER:
            fields = {"event_id": f"known-{self._line}", "occurred_at": EARLIEST_MS, "source": "customers", **fields}
        faults = _faults_of_log(ingested, history)
        record = VALIDATORS[kind].validate(fields, now_ms=LATEST_MS, rules=_RULES)
        if isinstance(record, Rejection):
            return Rejection((*record.faults, *faults))
        if record["occurred_at"] >= LATEST_MS:
            faults += (Fault("occurred_at", Reason.OUT_OF_RANGE, "want an instant before 2100-01-01"),)
        if faults:
            return Rejection(faults)
        record["ingested_at"] = record["occurred_at"] if ingested is None else _check_ingested(ingested)
        record["history"] = history
        return kind, record

    def _tick(self, value: Mapping[str, Any]) -> Rejection | None:
        now, rules = value.get("now"), value.get("rules_offset", 0)
        if now.__class__ is not int or not 0 <= now < LATEST_MS:
            return rejected(Reason.OUT_OF_RANGE, "want UTC milliseconds", field="now")
        if rules.__class__ is not int or rules < -1:
            return rejected(Reason.OUT_OF_RANGE, "want an offset, or -1", field="rules_offset")
        self._ticks.append((self._line, now, rules))
        return None

    def _refuse(self, file: str, number: int, row: Row, value: Any, faults: tuple[Fault, ...]) -> None:
        fields = value if value.__class__ is dict else {}
        values = tuple(
            None if fault.field == "phone" else fields.get(fault.field.partition("[")[0]) for fault in faults
        )
        text = json.dumps({n: v for n, v in fields.items() if n != "phone"}, ensure_ascii=False) if fields else ""
        self.tables.refused += 1
        self.tables.reasons.update({str(fault.reason) for fault in faults})
        if not text and isinstance(row, bytes):
            text = row.decode(errors="replace")
        self._on_refused(Refused(file, number, faults, values, text))

    def end_block(self) -> None:
        """Turn what was collected into columns, which take a tenth of the memory."""
        for kind, rows in self._rows.items():
            self.tables.rows.add(kind, frame_of(LOG_KINDS[kind], rows, _SEQUENCE))
        self._rows.clear()
        self.tables.rows.end_block()

    def finish(self) -> Tables:
        """Return what was read. Lines with control records are a log already: they stay as they are."""
        self.end_block()
        if self._ticks:
            self.tables.ticks = pl.DataFrame(self._ticks, schema=["offset", "now", "rules_offset"], orient="row")
        self.tables.lines = self._line
        return self.tables


def read_lines(
    paths: Sequence[Path], *, customers: Sequence[Path] = (), history: Sequence[Path] = (),
    on_refused: Callable[[Refused], object], on_rows: Callable[[int], object] = lambda _: None,
    folder: Path | None = None, held_rows: int = HELD_ROWS,
) -> Tables:  # fmt: skip
    """Read files of events. `customers` and `history` are the past: they come first. Raises OSError, ValueError.

    A row without a kind has the one that its file is named for. `customers` may be a plain list of customers: what
    makes a row an event (event_id, occurred_at, source) is filled in. folder: takes what is more than held_rows.
    """
    reader = _Reader(on_refused, LogRows(folder, held_rows=held_rows))
    for files, kind, is_history in ((customers, CUSTOMER, True), (history, "", True), (paths, "", False)):
        for given in files:
            before = reader.found
            for path in files_of([given]):
                name, default_kind = str(path), kind or kind_of(path)
                for block in blocks_of(path):
                    for number, row in block:
                        reader.take(name, number, row, default_kind=default_kind, is_history=is_history)
                    reader.end_block()
                    on_rows(len(block))
            if reader.found == before:
                reader.tables.nothing_in.append(given)
    return reader.finish()


def _faults_of_log(ingested: Any, history: Any) -> tuple[Fault, ...]:
    """Faults of what ingest would have added."""
    faults: list[Fault] = []
    if ingested is not None:
        at = _check_ingested(ingested)
        if at.__class__ is Fault:
            faults.append(at._replace(field="ingested_at"))
        elif not EARLIEST_MS <= at < LATEST_MS:
            faults.append(Fault("ingested_at", Reason.OUT_OF_RANGE, "want an instant before 2100-01-01"))
    if history.__class__ is not bool:
        faults.append(Fault("history", Reason.WRONG_TYPE, "want true or false"))
    return tuple(faults)
