"""Bytes of JSON → a raw event, or what is wrong with the bytes: UTF-8, no field twice, bounded size and nesting."""

import json
from typing import Any

import msgspec

from schemas.json_form.faults import Rejection, rejected, shown_name
from schemas.limits import EVENT_BYTES_MAX, NESTING_MAX
from schemas.reasons import Reason

_SPACE_AFTER_QUOTE = (b'" ', b'"\t', b'"\n', b'"\r')
_decode = msgspec.json.Decoder().decode


def json_event(data: bytes) -> Any:
    """Return the decoded value of one event (any JSON value: validation wants an object), or a Rejection."""
    if len(data) > EVENT_BYTES_MAX:
        return rejected(Reason.TOO_LARGE, f"want at most {EVENT_BYTES_MAX} bytes an event; got {len(data)}")
    try:
        value = _decode(data)
    except UnicodeDecodeError:
        return _not_utf8()
    except RecursionError:
        return _too_deep()
    except (msgspec.DecodeError, ValueError):
        return why_malformed(data)
    if data.count(b"{") + data.count(b"[") > NESTING_MAX and _depth(value) > NESTING_MAX:
        return _too_deep()
    # As many `":` as fields, and no space before a colon, means that no field came twice; otherwise look closer.
    if value.__class__ is dict and (
        data.count(b'":') != len(value) or any(mark in data for mark in _SPACE_AFTER_QUOTE)
    ):
        return _first_duplicate(data) or value
    return value


def _depth(value: Any) -> int:
    """How many objects and lists are inside one another, counted no further than one past the limit."""
    depth, level = 0, [value]
    while level and depth <= NESTING_MAX:
        level = [child for node in level for child in _children(node)]
        depth += 1
    return depth


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return [child for child in node.values() if isinstance(child, dict | list)]
    return [child for child in node if isinstance(child, dict | list)] if isinstance(node, list) else []


def _first_duplicate(data: bytes) -> Rejection | None:
    names: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(found)
        if len(fields) != len(found):
            seen: set[str] = set()
            names.extend(name for name, _ in found if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        return fields

    json.loads(data, object_pairs_hook=pairs)
    if not names:
        return None
    return rejected(Reason.DUPLICATE_FIELD, "want each field once", field=shown_name(names[0]))


def _not_utf8() -> Rejection:
    return rejected(Reason.NOT_UTF8, "want JSON in UTF-8")


def _too_deep() -> Rejection:
    return rejected(Reason.TOO_DEEP, f"want at most {NESTING_MAX} levels of nesting")


def why_malformed(data: bytes) -> Rejection:
    """Return what is wrong with bytes that are no JSON."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return _not_utf8()
    return rejected(Reason.MALFORMED_JSON, "want JSON (RFC 8259)")
