"""Reads a file as cells: CSV in whatever separator and encoding, or Parquet. Everything becomes text."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from services.risk.errors import BadTable

_SEPARATORS = (",", ";", "\t", "|")
_ENCODINGS = ("utf-8-sig", "gb18030", "latin-1")
_HEAD_LINES = 20


def read_cells(path: Path) -> tuple[dict[str, list[str]], bool]:
    """Return column → texts ("" = missing), and whether numbers have a decimal comma; raises BadTable."""
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise BadTable(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if raw[:4] == b"PAR1":
        frame = _parquet(path)
        return _cells(frame, frame.columns), False
    if raw[:2] in (b"PK", b"\xd0\xcf"):
        raise BadTable(f"{path} looks like a spreadsheet; save it as CSV (UTF-8) first")
    if raw[:2] == b"\x1f\x8b":
        import gzip

        raw = gzip.decompress(raw)
    text = _decoded(raw)
    separator = _separator(text)
    frame = _csv(path, text, separator)
    return _cells(frame, [name.replace('""', '"') for name in frame.columns]), separator == ";"


def _parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise BadTable(f"{path} cannot be read as Parquet: {_first_line(exc)}") from exc


def _csv(path: Path, text: str, separator: str) -> pl.DataFrame:
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as exc:
        raise BadTable(f"{path} cannot be read as CSV: {_fault_of(text, separator) or _first_line(exc)}") from exc
    if frame.width < 2:
        raise BadTable(f"{path} has only the column {frame.columns}; a header and two columns are wanted")
    return frame


def _fault_of(text: str, separator: str) -> str:
    """Say which line is the first that is no row, "" when none is found."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    width, line = 0, 1
    try:
        for row in rows:
            width = width or len(row)
            if len(row) > width:
                return (
                    f"line {line} has {len(row)} fields, the header {width}; a text with {separator!r} in it wants "
                    f"quotes / 第 {line} 行有 {len(row)} 个字段，表头为 {width} 个"
                )
            line = rows.line_num + 1
    except csv.Error as fault:
        return f"line {line}: {fault} / 第 {line} 行的引号未正确闭合"
    return ""


def _decoded(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    for encoding in _ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadTable("the file is no text")  # latin-1 reads everything; not reached


def _separator(text: str) -> str:
    """The separator that the header has most of, where the next lines agree."""
    lines = [line for line in text[:200_000].split("\n")[:_HEAD_LINES] if line.strip()]
    if not lines:
        raise BadTable("the file is empty")
    counts = Counter({separator: lines[0].count(separator) for separator in _SEPARATORS})
    return max(_SEPARATORS, key=lambda each: (counts[each], -_SEPARATORS.index(each)))


def _cells(frame: pl.DataFrame, names: Sequence[str]) -> dict[str, list[str]]:
    if frame.height == 0:
        raise BadTable("the file has a header and no rows")
    cells: dict[str, list[str]] = {}
    for number, (given, series) in enumerate(zip(names, frame.get_columns(), strict=True), 1):
        name = given.strip() or f"column {number}"
        if series.dtype.is_nested() or series.dtype == pl.Binary or series.dtype == pl.Object:
            continue
        texts = series.cast(pl.String, strict=False).fill_null("")
        cells[name if name not in cells else f"{name} ({number})"] = texts.to_list()
    return cells


def _first_line(exc: BaseException) -> str:
    return str(exc).strip().split("\n")[0][:300]
