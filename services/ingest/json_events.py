"""Bytes of JSON → raw events, or what is wrong with the bytes: UTF-8, no field twice, bounded size and nesting."""

import json
from typing import Any

import msgspec

from schemas.limits import BATCH_EVENTS_MAX, EVENT_BYTES_MAX, NESTING_MAX
from schemas.reasons import Reason
from services.ingest.errors import RequestRefused
from services.ingest.faults import Rejection, rejected, shown_name

_SPACE_AFTER_QUOTE = (b'" ', b'"\t', b'"\n', b'"\r')
_BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.Decoder().decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


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
        return _why_malformed(data)
    if data.count(b"{") + data.count(b"[") > NESTING_MAX and _depth(value) > NESTING_MAX:
        return _too_deep()
    # As many `":` as fields, and no space before a colon, means that no field came twice; otherwise look closer.
    if value.__class__ is dict and (
        data.count(b'":') != len(value) or any(mark in data for mark in _SPACE_AFTER_QUOTE)
    ):
        return _first_duplicate(data) or value
    return value


def json_lines(body: bytes) -> list[Any]:
    """Return one raw event or Rejection per line that is not blank; raises RequestRefused for too many or none."""
    lines = [line for line in body.removeprefix(_BOM).split(b"\n") if line and not line.isspace()]
    _check_count(len(lines))
    return [json_event(line) for line in lines]


def json_body(body: bytes) -> list[Any]:
    """Return the raw events of a JSON object (one) or a JSON list; raises RequestRefused when it is neither."""
    body = body.removeprefix(_BOM).strip()
    if not body:
        raise RequestRefused(Reason.EMPTY_BATCH, "want a JSON object, or a list of them; the body is empty")
    if not body.startswith(b"["):
        event = json_event(body)
        if event.__class__ is Rejection and event.faults[0].reason in _UNREADABLE:
            raise RequestRefused(event.faults[0].reason, event.faults[0].message)
        return [event]
    # A list opens at most as many items as it has commas; an honest event has several.
    if body.count(b",") > BATCH_EVENTS_MAX * 100:
        raise RequestRefused(Reason.BATCH_TOO_LARGE, f"want at most {BATCH_EVENTS_MAX} events a request")
    try:
        items = _decode_items(body)
    except UnicodeDecodeError as exc:
        raise RequestRefused(Reason.NOT_UTF8, "want JSON in UTF-8") from exc
    except RecursionError as exc:
        raise RequestRefused(Reason.TOO_DEEP, f"want at most {NESTING_MAX} levels of nesting") from exc
    except (msgspec.DecodeError, ValueError) as exc:
        fault = _why_malformed(body).faults[0]
        raise RequestRefused(fault.reason, fault.message) from exc
    _check_count(len(items))
    return [json_event(bytes(item)) for item in items]


_UNREADABLE = frozenset({Reason.NOT_UTF8, Reason.MALFORMED_JSON, Reason.TOO_DEEP})


def _check_count(count: int) -> None:
    if count == 0:
        raise RequestRefused(Reason.EMPTY_BATCH, "want at least one event")
    if count > BATCH_EVENTS_MAX:
        raise RequestRefused(Reason.BATCH_TOO_LARGE, f"want at most {BATCH_EVENTS_MAX} events a request; got {count}")


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


def _why_malformed(data: bytes) -> Rejection:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return _not_utf8()
    return rejected(Reason.MALFORMED_JSON, "want JSON (RFC 8259)")
