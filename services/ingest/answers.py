"""What the HTTP door answers, as JSON: one result per event in the order of the request, or one refusal."""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.json_form.faults import Rejection
from schemas.reasons import Reason

_ACCEPTED = b'{"outcome":"accepted"}'
_encode = msgspec.json.Encoder().encode


def results_body(results: Sequence[Rejection | None]) -> bytes:
    """Return the body for a batch: counts, then per event `accepted`, or `rejected` with its faults.

    The first fault stands beside `outcome`, all of them in `faults`.
    """
    refused = sum(result is not None for result in results)
    parts = [_ACCEPTED if result is None else _encode(_rejected_result(result)) for result in results]
    head = b'{"accepted":%d,"rejected":%d,"results":[' % (len(results) - refused, refused)
    return b"".join((head, b",".join(parts), b"]}\n"))


def refusal_body(reason: Reason, message: str, **more: Any) -> bytes:
    """Return the body for a request that was refused as a whole."""
    return _encode({"reason": reason.value, "message": message, **more}) + b"\n"


def _rejected_result(rejection: Rejection) -> dict[str, Any]:
    faults = [
        {"field": fault.field, "reason": fault.reason.value, "message": fault.message} for fault in rejection.faults
    ]
    return {"outcome": "rejected", **faults[0], "faults": faults}
