"""What the router makes of raw records, above all of those it cannot use."""

from typing import Any

import pytest

from schemas.codec import encode
from services.router import decode
from services.router.decode import LAST_INSTANT_MS, Unusable, decode_record
from tests.doubles.router_records import contact, customer, moment, task_event

NAMES = {
    decode.MOMENTS: "kairos.moments.v1.Moment",
    decode.CONTACTS: "kairos.events.v1.ContactEvent",
    decode.TASK_EVENTS: "kairos.tasks.v1.TaskEvent",
}


@pytest.mark.parametrize("digits", [b"9223372036854775808", b"9" * 5_000, b"", b"-1"])
def test_a_log_offset_that_is_no_bigint_is_unusable(digits: bytes) -> None:
    value = encode("kairos.events.v1.CustomerEvent", customer())
    with pytest.raises(Unusable, match="log_offset"):
        decode_record(decode.CUSTOMERS, value, [("log_offset", digits)])
    assert decode_record(decode.CUSTOMERS, value, [("log_offset", b"9223372036854775807")])["log_offset"] == 2**63 - 1


@pytest.mark.parametrize(
    ("topic", "record"),
    [
        (decode.MOMENTS, moment(expires_at=LAST_INSTANT_MS + 1)),
        (decode.MOMENTS, moment(earliest_contact_at=2**62)),
        (decode.MOMENTS, moment(occurred_at=-1)),
        (decode.CONTACTS, contact(occurred_at=2**62)),
        (decode.TASK_EVENTS, task_event("t", 1, "DONE", sequence=1, occurred_at=-(2**62))),
    ],
)
def test_an_instant_that_no_calendar_holds_is_unusable(topic: str, record: dict[str, Any]) -> None:
    with pytest.raises(Unusable, match="instant_out_of_range"):
        decode_record(topic, encode(NAMES[topic], record), [])


def test_a_customer_without_a_value_is_one_to_forget() -> None:
    row = decode_record(decode.CUSTOMERS, None, [], key=b"7")
    assert row == {"customer_id": 7, "log_offset": None, "is_forgotten": True}
    assert decode_record(decode.CUSTOMERS, None, [("log_offset", b"9")], key=b"7")["log_offset"] == 9


@pytest.mark.parametrize("key", [None, b"", b"seven", b"0", b"-7", b"9" * 30])
def test_nobody_is_forgotten_by_a_key_that_is_no_customer(key: bytes | None) -> None:
    with pytest.raises(Unusable, match="customer_id_invalid"):
        decode_record(decode.CUSTOMERS, None, [], key=key)


def test_a_moment_without_a_value_is_unusable() -> None:
    with pytest.raises(Unusable, match="no_value"):
        decode_record(decode.MOMENTS, None, [], key=b"7")


def test_the_last_instant_is_usable() -> None:
    record = moment(expires_at=LAST_INSTANT_MS)
    assert decode_record(decode.MOMENTS, encode(NAMES[decode.MOMENTS], record), [])["expires_at"] == LAST_INSTANT_MS
