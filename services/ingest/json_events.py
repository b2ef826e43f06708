"""Bodies of JSON → raw events: lines, one object, or a list. One event alone is the matter of `schemas.json_form`."""

from typing import Any

import msgspec

from schemas.json_form.faults import Rejection
from schemas.json_form.lines import json_event, why_malformed
from schemas.limits import BATCH_EVENTS_MAX, NESTING_MAX
from schemas.reasons import Reason
from services.ingest.errors import RequestRefused

_BOM = b"\xef\xbb\xbf"
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


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
        fault = why_malformed(body).faults[0]
        raise RequestRefused(fault.reason, fault.message) from exc
    _check_count(len(items))
    return [json_event(bytes(item)) for item in items]


_UNREADABLE = frozenset({Reason.NOT_UTF8, Reason.MALFORMED_JSON, Reason.TOO_DEEP})


def _check_count(count: int) -> None:
    if count == 0:
        raise RequestRefused(Reason.EMPTY_BATCH, "want at least one event")
    if count > BATCH_EVENTS_MAX:
        raise RequestRefused(Reason.BATCH_TOO_LARGE, f"want at most {BATCH_EVENTS_MAX} events a request; got {count}")
