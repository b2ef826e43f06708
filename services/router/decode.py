"""Raw records to rows of a batch; what cannot be used says why. Pure.

Beyond the codec's own strictness: states and keys that the router cannot act on, and numbers that JSON lacks.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from schemas.codec import Undecodable, decode
from schemas.topics import TOPICS

MOMENTS: Final = "kairos.moments.v1"
MOMENTS_BULK: Final = "kairos.moments-bulk.v1"
CUSTOMERS: Final = "kairos.customers.v1"
CONTACTS: Final = "kairos.contacts.v1"
TASK_EVENTS: Final = "kairos.task-events.v1"
ALL_TOPICS: Final = (MOMENTS, MOMENTS_BULK, CUSTOMERS, CONTACTS, TASK_EVENTS)
LAST_INSTANT_MS: Final = 253_402_214_400_000  # the last day of the year 9999: what calendars can reckon with
LAST_BIGINT: Final = 2**63 - 1
_MOMENT_INSTANTS: Final = ("occurred_at", "detected_at", "earliest_contact_at", "expires_at")
VISITED_ZONE_ATTRIBUTE: Final = "visited_time_zone"


class Unusable(Exception):
    """A record that cannot succeed: goes to the dead letters with this reason, never retried."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode_record(
    topic: str, value: bytes | None, headers: Sequence[tuple[str, bytes]], *, key: bytes | None = None
) -> dict[str, Any]:
    """The row that a record stands for, as the store takes it. Raises Unusable.

    A customer without a value is one to forget: the row says only who, and since which log offset if that is known.
    """
    if value is None and topic == CUSTOMERS:
        return _forgotten(key or b"", headers)
    if value is None:
        raise Unusable("no_value")
    try:
        record = decode(value, allowed=TOPICS[topic].schemas).record
    except Undecodable as exc:
        raise Unusable(str(exc.reason)) from exc
    if record["customer_id"] <= 0:
        raise Unusable("customer_id_invalid")
    for name in _MOMENT_INSTANTS if topic in (MOMENTS, MOMENTS_BULK) else ("occurred_at",):
        if record[name] is not None and not 0 <= record[name] <= LAST_INSTANT_MS:
            raise Unusable("instant_out_of_range")
    if topic in (MOMENTS, MOMENTS_BULK):
        return _moment(record)
    if topic == CUSTOMERS:
        return _customer(record, headers)
    if topic == TASK_EVENTS and record["to_state"] == "UNKNOWN":
        raise Unusable("state_unknown")
    return record


def _moment(record: dict[str, Any]) -> dict[str, Any]:
    if record["state"] == "UNKNOWN":
        raise Unusable("state_unknown")
    if not record["moment_id"] or record["revision"] < 1:
        raise Unusable("moment_id_or_revision_invalid")
    if not math.isfinite(record["risk_score"]):
        record["risk_score"] = 0.0
    for item in record["evidence"]:
        for name in ("observed", "baseline", "threshold"):
            if item[name] is not None and not math.isfinite(item[name]):
                item[name] = None
    record["risk_terms"] = [term for term in record["risk_terms"] if math.isfinite(term["points"])]
    return record


def _customer(record: dict[str, Any], headers: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
    offset = dict(headers).get("log_offset", b"")
    if not offset.isdigit():
        raise Unusable("log_offset_missing")
    record["log_offset"] = _bigint(offset, "log_offset_out_of_range")
    record["visited_zone"] = record["attributes"].get(VISITED_ZONE_ATTRIBUTE) or None
    record["refused_groups"] = [group.lower() for group in record["refused_groups"]]
    return record


def _forgotten(key: bytes, headers: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
    if not key.isdigit() or int(key[:20]) == 0:
        raise Unusable("customer_id_invalid")
    offset = dict(headers).get("log_offset", b"")
    return {
        "customer_id": _bigint(key, "customer_id_invalid"),
        "log_offset": _bigint(offset, "log_offset_out_of_range") if offset.isdigit() else None,
        "is_forgotten": True,
    }


def _bigint(digits: bytes, fault: str) -> int:
    """A number that PostgreSQL can hold; digits without end are not even read."""
    number = int(digits) if len(digits) <= 19 else LAST_BIGINT + 1
    if number > LAST_BIGINT:
        raise Unusable(fault)
    return number
