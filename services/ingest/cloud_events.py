"""CloudEvents 1.0 over HTTP → raw events: structured, batched and binary mode.

The fields of the kind are the event's `data`; what `data` leaves out is taken from the envelope: `event_id` from id,
`source` from source, `occurred_at` from time, `customer_id` from subject. The kind is that of the address.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from schemas.json_form.faults import Fault, Rejection, rejected, type_word
from schemas.reasons import Reason

SPEC_VERSION = "1.0"
HEADER_PREFIX = "ce-"
_REQUIRED = ("specversion", "id", "source", "type")
_FILLS = {"event_id": "id", "source": "source", "occurred_at": "time", "customer_id": "subject"}


def raw_of_structured(envelope: Any) -> Any:
    """Return the raw event in a structured-mode envelope (any decoded JSON value), or a Rejection."""
    if isinstance(envelope, Rejection):
        return envelope
    if not isinstance(envelope, dict):
        return rejected(Reason.NOT_AN_OBJECT, f"want a CloudEvent as an object; got {type_word(envelope)}")
    content_type = envelope.get("datacontenttype") or "application/json"
    if not isinstance(content_type, str) or not is_json_type(content_type):
        return rejected(Reason.UNSUPPORTED_MEDIA_TYPE, "want data in JSON", field="datacontenttype")
    if "data_base64" in envelope:
        return rejected(Reason.UNSUPPORTED_ENCODING, "want data as JSON, not as base64", field="data_base64")
    return _raw_event(envelope, envelope.get("data"))


def raw_of_binary(headers: Mapping[str, str], data: Any) -> Any:
    """Return the raw event of a binary-mode request: attributes from the ce- headers, data from the body."""
    if isinstance(data, Rejection):
        return data
    attributes = {
        name[len(HEADER_PREFIX) :]: unquote(value) for name, value in headers.items() if name.startswith(HEADER_PREFIX)
    }
    return _raw_event(attributes, data)


def is_json_type(content_type: str) -> bool:
    """True for JSON media types, whatever their parameters."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _raw_event(attributes: Mapping[str, Any], data: Any) -> Any:
    faults = [
        Fault(name, Reason.MISSING, f"a CloudEvent needs {name}") for name in _REQUIRED if not attributes.get(name)
    ]
    if attributes.get("specversion") and attributes["specversion"] != SPEC_VERSION:
        faults.append(Fault("specversion", Reason.UNKNOWN_VALUE, f"want {SPEC_VERSION}"))
    if not isinstance(data, dict):
        faults.append(Fault("data", Reason.NOT_AN_OBJECT, f"want the event's fields as data; got {type_word(data)}"))
    if faults:
        return Rejection(tuple(faults))
    raw = dict(data)
    for name, attribute in _FILLS.items():
        if raw.get(name) is None and attributes.get(attribute) is not None:
            raw[name] = attributes[attribute]
    return raw
