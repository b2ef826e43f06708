"""CloudEvents: the envelope fills what the data leaves out, and is refused where it is not one."""

from typing import Any

import pytest

from schemas.json_form.faults import Rejection
from schemas.reasons import Reason
from services.ingest.cloud_events import is_json_type, raw_of_binary, raw_of_structured

ENVELOPE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "ce-1",
    "source": "crm",
    "type": "kairos.balance",
    "time": "2026-09-07T09:50:00+08:00",
    "subject": "7",
    "data": {"balance_fen": 5},
}


def test_envelope_fills_the_common_fields() -> None:
    assert raw_of_structured(ENVELOPE) == {
        "event_id": "ce-1",
        "source": "crm",
        "occurred_at": "2026-09-07T09:50:00+08:00",
        "customer_id": "7",
        "balance_fen": 5,
    }


def test_data_wins_over_the_envelope() -> None:
    event = raw_of_structured(ENVELOPE | {"data": {"event_id": "own", "source": "boss", "balance_fen": 5}})

    assert (event["event_id"], event["source"]) == ("own", "boss")


def test_binary_mode_takes_attributes_from_headers() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "a%20b", "ce-source": "crm", "ce-type": "t", "host": "x"}

    assert raw_of_binary(headers, {"balance_fen": 5}) == {"event_id": "a b", "source": "crm", "balance_fen": 5}


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"specversion": "0.3"}, "specversion", Reason.UNKNOWN_VALUE),
        ({"specversion": None}, "specversion", Reason.MISSING),
        ({"id": ""}, "id", Reason.MISSING),
        ({"type": None}, "type", Reason.MISSING),
        ({"data": "text"}, "data", Reason.NOT_AN_OBJECT),
        ({"data": None}, "data", Reason.NOT_AN_OBJECT),
        ({"datacontenttype": "text/xml"}, "datacontenttype", Reason.UNSUPPORTED_MEDIA_TYPE),
        ({"data_base64": "e30="}, "data_base64", Reason.UNSUPPORTED_ENCODING),
    ],
)
def test_envelope_that_is_none_is_refused(change: dict[str, Any], field: str, reason: Reason) -> None:
    found = raw_of_structured(ENVELOPE | change)

    assert isinstance(found, Rejection)
    assert (found.faults[0].field, found.faults[0].reason) == (field, reason)


def test_json_media_types_are_known_with_their_parameters() -> None:
    assert is_json_type("application/json; charset=utf-8")
    assert is_json_type("application/vnd.crm+json")
    assert not is_json_type("text/json-ish")
