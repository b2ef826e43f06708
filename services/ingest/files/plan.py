"""What a file and its options mean: format, mapping, identity, and the refusal of files that cannot work at all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.events import KINDS, OWN_FIELD_PREFIX, EventKind
from schemas.json_form.faults import Fault, Rejection, shown_name
from schemas.json_form.validation import DoorRules
from services.ingest.errors import FileRefused
from services.ingest.files.checkpoint import Progress, load_identity
from services.ingest.files.load import LoadPlan
from services.ingest.files.mapping import FILE, LINE, CsvForm, FileMapping, row_mapper
from services.ingest.files.mapping_check import columns_used
from services.ingest.files.plain import readers_of
from services.ingest.files.sources import Batch, csv_batches, csv_columns, ndjson_batches, parquet_batches

ROWS_PER_BATCH = 5_000
_FORMATS = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".parquet": "parquet",
}


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """The arguments of `kairos ingest file`. state_dir: where checkpoints and rejects go."""

    path: Path
    kind: str
    mapping: FileMapping | None
    source: str | None
    is_history: bool
    state_dir: Path
    rejects_path: Path | None = None
    customer_key: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file ready to load. total: bytes, or rows of a Parquet file, for the progress bar."""

    plan: LoadPlan
    total: int
    batches: Callable[[Progress], Iterator[Batch]]


def open_file(options: FileOptions) -> Opened:
    """Look at the file and plan its load; raises FileRefused when it cannot be loaded at all."""
    path, mapping = options.path, options.mapping
    if not path.is_file():
        raise FileRefused(f"{path}: want a file")
    file_format = (mapping.file_format if mapping else "") or _FORMATS.get(path.suffix.lower(), "")
    if not file_format:
        raise FileRefused(f"{path}: want the ending {', '.join(_FORMATS)}, or format in the mapping file")
    if mapping is not None and mapping.needs_key and options.customer_key is None:
        raise FileRefused("the mapping hashes ids: want KAIROS_SECRETS_DIR with the file customer_hash_key")
    csv_form = mapping.csv if mapping else CsvForm(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    _check_columns(options, file_format, csv_form)
    settings = {
        "kind": options.kind,
        "source": options.source,
        "history": options.is_history,
        "mapping": mapping.digest if mapping else "",
    }
    identity = load_identity(path, settings=settings)
    name = f"{path.name}.{identity}"
    plan = LoadPlan(
        kind=options.kind,
        file_name=shown_name(path.name),
        map_row=_row_mapper(options, file_format),
        rules=DoorRules(phone_key=None, is_history=options.is_history),
        withholds_raw=mapping is not None and any(rule.is_hashed for cases in mapping.rules.values() for rule in cases),
        checkpoint_path=options.state_dir / f"{name}.checkpoint.json",
        rejects_path=options.rejects_path or options.state_dir / f"{name}.rejects.ndjson",
    )
    return Opened(
        plan=plan, total=_total(path, file_format), batches=lambda start: _batches(path, file_format, csv_form, start)
    )


def _batches(path: Path, file_format: str, form: CsvForm, start: Progress) -> Iterator[Batch]:
    if file_format == "csv":
        return csv_batches(path, form, start.position, rows=ROWS_PER_BATCH)
    if file_format == "ndjson":
        return ndjson_batches(path, start.position, rows=ROWS_PER_BATCH)
    return parquet_batches(path, start.position, rows=ROWS_PER_BATCH)


def _columns(path: Path, file_format: str, form: CsvForm) -> tuple[str, ...] | None:
    """The file's columns, None for formats where every line has its own."""
    if file_format == "csv":
        return csv_columns(path, form)[0]
    if file_format == "ndjson":
        return None
    import polars as pl

    try:
        return tuple(pl.scan_parquet(path).collect_schema().names())
    except pl.exceptions.PolarsError as exc:
        raise FileRefused(f"{path}: want a Parquet file: {type(exc).__name__}") from exc


def _total(path: Path, file_format: str) -> int:
    if file_format != "parquet":
        return path.stat().st_size
    import polars as pl

    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def _check_columns(options: FileOptions, file_format: str, form: CsvForm) -> None:
    """Refuse a file whose columns cannot make the kind: every row would be refused for the same reason."""
    columns = _columns(options.path, file_format, form)
    if not columns:
        return  # an empty file loads to nothing; NDJSON is judged line by line
    if options.mapping is not None:
        absent = columns_used(options.mapping) - set(columns)
        if absent:
            raise FileRefused(
                f"{options.path}: the mapping reads columns that are not there: {', '.join(sorted(absent))}"
            )
        return
    kind = KINDS[options.kind]
    known = {field.name for field in kind.fields}
    unknown = [name for name in columns if name not in known and not name.startswith(OWN_FIELD_PREFIX)]
    given = {*columns, "source"} if options.source else set(columns)
    absent_fields = [field.name for field in kind.fields if field.is_required and field.name not in given]
    if unknown or absent_fields:
        parts = [f"unknown columns: {', '.join(map(shown_name, unknown))}"] if unknown else []
        parts += [f"required columns that are not there: {', '.join(absent_fields)}"] if absent_fields else []
        raise FileRefused(f"{options.path}: {'; '.join(parts)}; {kind.name} has {', '.join(known)} (or use --mapping)")


def _row_mapper(options: FileOptions, file_format: str) -> Callable[[Any], Any]:
    kind = KINDS[options.kind]
    if options.mapping is not None:
        mapped = row_mapper(options.mapping, readers=readers_of(kind), key=options.customer_key)
        from_mapping = lambda row: mapped(row) if isinstance(row, dict) else row  # noqa: E731 - one of three forms
        return _with_source(from_mapping, options.source)
    if file_format == "ndjson":
        return _with_source(lambda row: row, options.source)
    return _with_source(_field_reader(kind), options.source)


def _field_reader(kind: EventKind) -> Callable[[Any], Any]:
    """Read the columns of a file whose names are those of the fields; an empty cell is an absent field."""
    readers = readers_of(kind)

    def read(row: dict[str, Any]) -> dict[str, Any] | Rejection:
        raw: dict[str, Any] = {}
        faults: list[Fault] = []
        for name, cell in row.items():
            if cell is None or cell == "" or name in (LINE, FILE):
                continue
            reader = readers.get(name)
            value = cell if reader is None else reader(cell)
            if value.__class__ is Fault:
                faults.append(value)
            else:
                raw[name] = value
        return Rejection(tuple(faults)) if faults else raw

    return read


def _with_source(read: Callable[[Any], Any], source: str | None) -> Callable[[Any], Any]:
    if source is None:
        return read

    def with_source(row: Any) -> Any:
        raw = read(row)
        if raw.__class__ is dict and raw.get("source") is None:
            return {**raw, "source": source}
        return raw

    return with_source
