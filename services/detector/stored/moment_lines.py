"""A moment as one line of NDJSON: the Avro fields by name; instants are UTC milliseconds, the nominal date is ISO."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import msgspec

from schemas.registry import REGISTRY

_FIELDS = {
    field["name"]: field.get("default") for field in REGISTRY.newest("kairos.moments.v1.Moment").schema["fields"]
}
_EPOCH = date(1970, 1, 1)
_encode = msgspec.json.Encoder().encode


def moment_fields(moment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a moment in the order of the schema, fit for JSON."""
    fields = {name: moment.get(name, default) for name, default in _FIELDS.items()}
    fields["nominal_date"] = (_EPOCH + timedelta(days=moment["nominal_date"])).isoformat()
    return fields


def moment_line(moment: Mapping[str, Any]) -> bytes:
    """Return the line, its end included."""
    return _encode(moment_fields(moment)) + b"\n"
