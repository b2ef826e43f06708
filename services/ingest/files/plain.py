"""Values as files hold them → values of the JSON form, by the type of the field. Text is read, nothing is guessed."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from schemas.events import EventKind, Field, FieldType
from schemas.json_form.faults import Fault
from schemas.reasons import Reason

LIST_SEPARATOR = "|"
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Reader = Callable[[Any], Any]
"""Takes a value that is neither None nor empty; returns a value of the JSON form, or a Fault."""


def readers_of(kind: EventKind) -> Mapping[str, Reader]:
    """Return a reader per field of the kind."""
    return {field.name: _reader(field) for field in kind.fields}


def plain(value: Any) -> Any:
    """Return a value of a Parquet column as JSON would have it; instants need a zone to become milliseconds."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat()
        return int((value - _EPOCH).total_seconds() * 1000)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    return value


def _reader(field: Field) -> Reader:
    name = field.name
    if field.type in (FieldType.INTEGER, FieldType.INSTANT):
        return _read_number
    if field.type is FieldType.BOOLEAN:
        return lambda value: _read_boolean(name, value)
    if field.type is FieldType.TEXTS:
        return lambda value: _read_list(name, value)
    if field.type is FieldType.TEXT_MAP:
        return lambda value: _read_map(name, value)
    return _read_text


def _read_number(value: Any) -> Any:
    """Decimal text to a number; what is no number stays text, for the check to judge (it may be RFC 3339)."""
    if value.__class__ is str:
        digits = value[1:] if value[:1] in ("-", "+") else value
        return int(value) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else value
    return plain(value)


def _read_text(value: Any) -> Any:
    return value if value.__class__ is str else plain(value)


def _read_boolean(name: str, value: Any) -> Any:
    if value.__class__ is not str:
        return value
    word = value.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    return Fault(name, Reason.BAD_FORMAT, "want true or false (1, 0, yes, no are read too)")


def _read_list(name: str, value: Any) -> Any:
    if value.__class__ is not str:
        return list(value) if hasattr(value, "__iter__") else value
    if not value.startswith("["):
        return [item.strip() for item in value.split(LIST_SEPARATOR)]
    return _read_json(name, value)


def _read_map(name: str, value: Any) -> Any:
    if value.__class__ is str:
        return _read_json(name, value)
    if isinstance(value, list):  # a Parquet map column
        return {
            str(item["key"]): item["value"]
            for item in value
            if isinstance(item, dict) and {"key", "value"} <= item.keys()
        }
    return value


def _read_json(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return Fault(name, Reason.MALFORMED_JSON, "want JSON in this column")
