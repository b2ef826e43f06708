"""Files of events → numbered lines or rows, block by block: NDJSON, Parquet, CSV. The name may tell the kind."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from schemas.events import KINDS, FieldType

BLOCK: Final = 50_000
LINES, PARQUET, CSV = (".ndjson", ".jsonl"), (".parquet",), (".csv",)
_BOM: Final = b"\xef\xbb\xbf"
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}

Row = bytes | dict[str, Any]


def kind_of(path: Path) -> str:
    """Return the kind that a file is named for, "" when it is named for none."""
    return path.stem if path.stem in KINDS else ""


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Return the files that are meant: a folder means the files of events in it, by name. Raises FileNotFoundError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += [each for each in sorted(path.iterdir()) if each.suffix in (*LINES, *PARQUET, *CSV)]
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"there is no file {path}")
    return found


def blocks_of(path: Path) -> Iterator[list[tuple[int, Row]]]:
    """Yield blocks of numbered rows; blank lines are passed over. Raises OSError, and ValueError for a bad file."""
    if path.suffix in PARQUET:
        return _rows(_table(path), is_text=False)
    if path.suffix in CSV:
        return _rows(_table(path), is_text=True)
    return _lines(path)


def _lines(path: Path) -> Iterator[list[tuple[int, Row]]]:
    block: list[tuple[int, Row]] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            raw = (line.removeprefix(_BOM) if number == 1 else line).strip()
            if raw:
                block.append((number, raw))
            if len(block) >= BLOCK:
                yield block
                block = []
    yield block


def _table(path: Path) -> pl.DataFrame:
    try:
        if path.suffix in PARQUET:
            return pl.read_parquet(path, hive_partitioning=False)
        return pl.read_csv(path, infer_schema=False)
    except pl.exceptions.PolarsError as fault:
        raise ValueError(f"{path} cannot be read: {type(fault).__name__}") from fault


def _rows(table: pl.DataFrame, *, is_text: bool) -> Iterator[list[tuple[int, Row]]]:
    """Yield the rows of a table as objects, without what is empty."""
    for first in range(0, max(table.height, 1), BLOCK):
        rows = table.slice(first, BLOCK).to_dicts()
        yield [
            (first + at, {n: _read(n, v) if is_text else _plain(v) for n, v in row.items() if v is not None})
            for at, row in enumerate(rows, 1)
        ]


def _plain(value: Any) -> Any:
    """Return a cell of Parquet as JSON has it: times as RFC 3339, dates as text."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _read(name: str, text: str) -> Any:
    """Return a cell of CSV as JSON would have it: whole numbers and booleans, where the field is one."""
    if name in _WHOLE_FIELDS and _WHOLE.fullmatch(text):
        return int(text)
    return _BOOLEANS.get(text.lower(), text) if name in _BOOLEAN_FIELDS else text


def _named(*types: FieldType) -> frozenset[str]:
    return frozenset(field.name for kind in KINDS.values() for field in kind.fields if field.type in types)


_WHOLE_FIELDS = _named(FieldType.INTEGER, FieldType.INSTANT) | {"ingested_at"}
_BOOLEAN_FIELDS = _named(FieldType.BOOLEAN) | {"history"}
