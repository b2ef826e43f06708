"""Files as batches of rows: CSV, NDJSON, Parquet. Bounded: a line, a batch, never the whole file in memory.

A position is where the next batch begins; reading from it again gives the same rows with the same numbers.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from schemas.json_form.faults import Rejection, rejected
from schemas.json_form.lines import json_event
from schemas.limits import EVENT_BYTES_MAX
from schemas.reasons import Reason
from services.ingest.errors import FileRefused
from services.ingest.files.mapping import FILE, LINE, CsvForm
from services.ingest.files.plain import plain

_BOM = b"\xef\xbb\xbf"
_QUOTED_LINES_MAX = 200  # a quoted cell may run over so many lines; more is an unclosed quote
_PARQUET_ROWS = 20_000


@dataclass(frozen=True)
class Position:
    """Where reading goes on: the byte (CSV, NDJSON) or row (Parquet), and the number of the last line or row read."""

    offset: int = 0
    line: int = 0


class Item(NamedTuple):
    """One row: its line or row number, the row or what is wrong with it, and its bytes for the rejects."""

    number: int
    row: Any
    raw: bytes


Batch = tuple[list[Item], Position]


class _Lines:
    """Lines of a file with their byte positions, each bounded in length; lines can be put back."""

    def __init__(self, file: BinaryIO, position: Position) -> None:
        self._file = file
        self._back: list[tuple[int, bytes, int]] = []
        self.offset, self.number = position.offset, position.line
        file.seek(position.offset)

    def next(self) -> tuple[int, bytes, int] | None:
        """Return number, bytes without line end, and the offset after it; None at the end of the file."""
        if self._back:
            found = self._back.pop()
            self.number, self.offset = found[0], found[2]
            return found
        line = self._file.readline(EVENT_BYTES_MAX + 2)
        if not line:
            return None
        self.number += 1
        self.offset += len(line)
        if not line.endswith(b"\n") and len(line) > EVENT_BYTES_MAX:
            self._skip_line()
        return self.number, line.rstrip(b"\r\n"), self.offset

    def put_back(self, lines: Sequence[tuple[int, bytes, int]], before: tuple[int, int]) -> None:
        """Read these lines again; `before` is number and offset before the first of them."""
        self._back.extend(reversed(lines))
        self.number, self.offset = before

    def position(self) -> Position:
        """Return where reading goes on."""
        return Position(self.offset, self.number)

    def _skip_line(self) -> None:
        while rest := self._file.readline(EVENT_BYTES_MAX):
            self.offset += len(rest)
            if rest.endswith(b"\n"):
                return


def ndjson_batches(path: Path, start: Position, *, rows: int) -> Iterator[Batch]:
    """Yield batches of decoded lines; blank lines are skipped."""
    with path.open("rb") as file:
        lines = _Lines(file, start)
        batch: list[Item] = []
        while (found := lines.next()) is not None:
            number, line, _ = found
            line = line.removeprefix(_BOM) if number == 1 else line
            if line and not line.isspace():
                batch.append(Item(number, json_event(line), line))
            if len(batch) >= rows:
                yield batch, lines.position()
                batch = []
        if batch:
            yield batch, lines.position()


def csv_batches(path: Path, form: CsvForm, start: Position, *, rows: int) -> Iterator[Batch]:
    """Yield batches of rows by column name; a row of another width, or not of the encoding, is a rejection."""
    columns, first = csv_columns(path, form)
    with path.open("rb") as file:
        lines = _Lines(file, start if start.offset else first)
        to_row = _row_maker(columns, form, path.name)
        batch: list[Item] = []
        while (found := lines.next()) is not None:
            number, line, _ = found
            line = line.removeprefix(_BOM) if number == 1 else line
            if not line:
                continue
            if b'"' in line:
                line = _quoted_record(lines, found)
            batch.append(Item(number, to_row(number, line), line))
            if len(batch) >= rows:
                yield batch, lines.position()
                batch = []
        if batch:
            yield batch, lines.position()


def csv_columns(path: Path, form: CsvForm) -> tuple[tuple[str, ...], Position]:
    """Return the column names and where the rows begin. Raises FileRefused when there is no usable header."""
    if not form.has_header:
        return form.columns, Position()
    with path.open("rb") as file:
        lines = _Lines(file, Position())
        found = lines.next()
        if found is None:
            return (), Position()
        header = _cells(found[1].removeprefix(_BOM), form)
        if isinstance(header, Rejection):
            raise FileRefused(f"{path}: the header cannot be read: {header.faults[0].message}")
        columns = tuple(name.strip() for name in header)
        if len(set(columns)) != len(columns) or not all(columns):
            raise FileRefused(f"{path}: want a different, non-empty name for every column; got {', '.join(columns)}")
        return columns, lines.position()


def parquet_batches(path: Path, start: Position, *, rows: int) -> Iterator[Batch]:
    """Yield batches of rows by column name, read in slices."""
    import polars as pl

    try:
        scan = pl.scan_parquet(path)
        columns = scan.collect_schema().names()
        offset = start.offset
        while True:
            frame = scan.slice(offset, max(rows, _PARQUET_ROWS)).collect()
            if frame.is_empty():
                return
            for first in range(0, frame.height, rows):
                part = frame.slice(first, rows)
                batch = [
                    Item(offset + number, _parquet_row(columns, values, offset + number, path.name), b"")
                    for number, values in enumerate(part.iter_rows(), start=1)
                ]
                offset += part.height
                yield batch, Position(offset, offset)
    except pl.exceptions.PolarsError as exc:
        raise FileRefused(f"{path}: want a Parquet file: {type(exc).__name__}") from exc


def _parquet_row(columns: Sequence[str], values: Sequence[Any], number: int, name: str) -> dict[str, Any]:
    row = {column: plain(value) for column, value in zip(columns, values, strict=True)}
    row[LINE], row[FILE] = number, name
    return row


def _quoted_record(lines: _Lines, first: tuple[int, bytes, int]) -> bytes:
    """Join the lines of a record whose quotes run over line ends; an unclosed quote leaves the first line alone."""
    before = (first[0], first[2])
    text = first[1]
    more: list[tuple[int, bytes, int]] = []
    while text.count(b'"') % 2:
        found = lines.next() if len(more) < _QUOTED_LINES_MAX and len(text) <= EVENT_BYTES_MAX else None
        if found is None:
            lines.put_back(more, before)
            return first[1]
        more.append(found)
        text += b"\n" + found[1]
    return text


def _row_maker(columns: tuple[str, ...], form: CsvForm, name: str) -> Callable[[int, bytes], Any]:
    width = len(columns)
    wrong_width = f"want {width} columns, as the header has"

    def to_row(number: int, line: bytes) -> Any:
        if len(line) > EVENT_BYTES_MAX:
            return rejected(Reason.TOO_LARGE, f"want at most {EVENT_BYTES_MAX} bytes a row")
        cells = _cells(line, form)
        if isinstance(cells, Rejection):
            return cells
        if len(cells) != width:
            return rejected(Reason.MALFORMED_ROW, f"{wrong_width}; got {len(cells)}")
        row: dict[str, Any] = dict(zip(columns, cells, strict=True))
        row[LINE], row[FILE] = number, name
        return row

    return to_row


def _cells(line: bytes, form: CsvForm) -> list[str] | Rejection:
    try:
        text = line.decode(form.encoding)
    except UnicodeDecodeError:
        return rejected(Reason.NOT_UTF8, f"want text in {form.encoding}")
    if '"' not in text:
        return text.split(form.delimiter)
    try:
        return next(csv.reader([text], delimiter=form.delimiter, strict=True))
    except (csv.Error, StopIteration):
        return rejected(Reason.MALFORMED_ROW, "want quotes that open and close around whole cells")
