"""Mapping files: how a row of a foreign file becomes an event of one kind. Pure once the file is read.

The language is described in docs/decisions/0033 and by `kairos ingest mapping check`; its faults by mapping_check.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

from schemas.json_form.faults import Fault, Rejection
from schemas.json_form.phones import keyed_id
from schemas.reasons import Reason
from services.ingest.files.plain import Reader
from services.ingest.files.units import converted

Row = Mapping[str, Any]
LINE, FILE = "$line", "$file"
"""Columns that every row has beside its own: its number in the file, and the file's name."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT_ID_HEX_DIGITS = 32
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class CsvForm:
    """How a CSV file is written. columns: the names when the file has no header line."""

    delimiter: str = ","
    encoding: str = "utf-8"
    has_header: bool = True
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """Where one field comes from: the first case whose `when` holds for the row.

    when: column → words one of which it must have. One of column, constant, template, derive is set.
    """

    when: Mapping[str, frozenset[str]] = field(default_factory=dict)
    column: str = ""
    constant: Any = None
    template: str = ""
    derive: tuple[str, ...] = ()
    values: Mapping[str, Any] | None = None
    otherwise: Any = None  # what a value that `values` does not name becomes; None = it is refused
    unit: Decimal | None = None
    time_format: str = ""
    zone: str = ""
    is_hashed: bool = False
    default: Any = None  # when the column is empty


@dataclass(frozen=True)
class FileMapping:
    """A checked mapping file."""

    kind: str
    rules: Mapping[str, tuple[Rule, ...]]
    file_format: str = ""  # csv, ndjson, parquet; empty = by the file's ending
    csv: CsvForm = field(default_factory=CsvForm)
    digest: str = ""  # of the file's text: part of the identity of a load

    @property
    def needs_key(self) -> bool:
        """True when ids are hashed or derived: then the secret customer_hash_key is needed."""
        return any(rule.is_hashed or rule.derive for rules in self.rules.values() for rule in rules)


def row_mapper(
    mapping: FileMapping, *, readers: Mapping[str, Reader], key: bytes | None
) -> Callable[[Row], dict[str, Any] | Rejection]:
    """Return the function that maps rows. readers: of the kind's fields, for text. key: the customer hash key."""
    assert key is not None or not mapping.needs_key, "the caller checks the key first"
    fields = [
        (name, [(rule.when, _source(name, rule, readers, key or b"")) for rule in rules])
        for name, rules in mapping.rules.items()
    ]

    def map_row(row: Row) -> dict[str, Any] | Rejection:
        raw: dict[str, Any] = {}
        faults: list[Fault] = []
        for name, cases in fields:
            for when, source in cases:
                if when and not all(str(row.get(column)) in words for column, words in when.items()):
                    continue
                value = source(row)
                if value.__class__ is Fault:
                    faults.append(value)
                elif value is not None:
                    raw[name] = value
                break
        return Rejection(tuple(faults)) if faults else raw

    return map_row


def _source(name: str, rule: Rule, readers: Mapping[str, Reader], key: bytes) -> Callable[[Row], Any]:
    """Return the function that takes one field out of a row: a value, None when absent, or a Fault."""
    if rule.derive:
        return lambda row: _derived_id(row, rule.derive, key)
    if rule.template:
        parts = [column for _, column, _, _ in Formatter().parse(rule.template) if column]
        return lambda row: rule.template.format_map({column: _text(row.get(column)) for column in parts})
    if rule.column:
        convert = _converter(name, rule, readers.get(name), key)
        default = rule.default

        def take(row: Row) -> Any:
            value = row.get(rule.column)
            if value is None or value == "":
                return default
            return convert(value)

        return take
    return lambda _: rule.constant


def _converter(name: str, rule: Rule, reader: Reader | None, key: bytes) -> Callable[[Any], Any]:
    if rule.is_hashed:
        return lambda value: keyed_id(_text(value).strip(), key=key)
    if rule.values is not None:
        return _value_table(name, rule.values, rule.otherwise)
    if rule.unit is not None:
        return _unit(name, rule.unit)
    if rule.time_format:
        return _instant(name, rule.time_format, rule.zone)
    return reader or (lambda value: value)


def _value_table(name: str, values: Mapping[str, Any], otherwise: Any) -> Callable[[Any], Any]:
    fault = Fault(name, Reason.UNMAPPED, f"want one of {', '.join(list(values)[:20])}")
    return lambda value: values.get(_text(value), fault if otherwise is None else otherwise)


def _unit(name: str, factor: Decimal) -> Callable[[Any], Any]:
    fault = Fault(name, Reason.BAD_FORMAT, "want a number, with a point before the fraction")

    def convert(value: Any) -> Any:
        found = converted(value, factor)
        return fault if found is None else found

    return convert


def _instant(name: str, time_format: str, zone: str) -> Callable[[Any], Any]:
    if time_format in ("unix_seconds", "unix_milliseconds"):
        return _unit(name, Decimal(1000) if time_format == "unix_seconds" else Decimal(1))
    fault = Fault(name, Reason.BAD_FORMAT, f"want the time form {time_format}")
    local = ZoneInfo(zone) if zone else None

    def convert(value: Any) -> Any:
        try:
            found = datetime.strptime(_text(value), time_format)  # noqa: DTZ007 - the zone is the next line's matter
        except ValueError:
            return fault
        if found.tzinfo is None:
            found = found.replace(tzinfo=local)
        return int((found - _EPOCH).total_seconds() * 1000)

    def convert_iso(value: Any) -> Any:
        """The common form, without strptime: fifteen times faster."""
        try:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except (ValueError, TypeError):
            return fault
        if found.tzinfo is None:
            if local is None:
                return fault
            found = found.replace(tzinfo=local)
        return int((found - _EPOCH).total_seconds() * 1000)

    return convert_iso if time_format == "iso" else convert


def _derived_id(row: Row, columns: tuple[str, ...], key: bytes) -> str:
    """The same row gives the same event_id; keyed, since the columns may be phone numbers."""
    text = _SEPARATOR.join(_text(row.get(column)) for column in columns)
    return hmac.new(key, text.encode("utf-8"), hashlib.sha256).hexdigest()[:_EVENT_ID_HEX_DIGITS]


def _text(value: Any) -> str:
    return value if value.__class__ is str else "" if value is None else str(value)
