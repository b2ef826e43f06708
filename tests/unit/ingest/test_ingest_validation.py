"""Validation of single events: what is kept, what is refused, and that no value leaks into an answer."""

from typing import Any

import pytest

from schemas.json_form.faults import Fault, Rejection
from schemas.json_form.validation import VALIDATORS, DoorRules
from schemas.reasons import Reason

NOW_MS = 1_788_746_400_000  # 2026-09-07T10:00:00+08:00
KEY = b"k" * 32
COMMON: dict[str, Any] = {"event_id": "e-1", "customer_id": 7, "occurred_at": NOW_MS - 60_000, "source": "crm"}
USAGE = COMMON | {"service": "VOICE", "quantity": 61}
CUSTOMER = COMMON | {"city": "NJ"}


def validate(kind: str, event: Any, **rules: Any) -> Any:
    return VALIDATORS[kind].validate(event, now_ms=NOW_MS, rules=DoorRules(**{"phone_key": KEY} | rules))


def faults(kind: str, event: Any, **rules: Any) -> list[tuple[str, Reason]]:
    found = validate(kind, event, **rules)
    assert isinstance(found, Rejection), f"accepted: {found}"
    return [(fault.field, fault.reason) for fault in found.faults]


def test_live_event_carries_the_clock_of_ingest() -> None:
    record = validate("usage", USAGE)

    assert record == USAGE | {"ingested_at": NOW_MS, "history": False}


def test_history_is_ingested_when_it_happened() -> None:
    record = validate("usage", USAGE, is_history=True)

    assert record["ingested_at"] == USAGE["occurred_at"]
    assert record["history"] is True


@pytest.mark.parametrize("written", [9_223_372_036_854_775_807, "9223372036854775807"])
def test_customer_id_may_be_a_number_or_decimal_text(written: object) -> None:
    assert validate("usage", USAGE | {"customer_id": written})["customer_id"] == 2**63 - 1


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (0, Reason.OUT_OF_RANGE),
        (-1, Reason.OUT_OF_RANGE),
        (2**63, Reason.OUT_OF_RANGE),
        (10**40, Reason.OUT_OF_RANGE),
        ("9223372036854775808", Reason.OUT_OF_RANGE),
        ("007", Reason.BAD_FORMAT),
        ("+7", Reason.BAD_FORMAT),
        ("7.0", Reason.BAD_FORMAT),
        ("٧", Reason.BAD_FORMAT),
        ("", Reason.BAD_FORMAT),
        (7.0, Reason.WRONG_TYPE),
        (True, Reason.WRONG_TYPE),
        ([7], Reason.WRONG_TYPE),
        (None, Reason.MISSING),
    ],
)
def test_customer_id_that_is_no_positive_63_bit_number_is_refused(written: object, reason: Reason) -> None:
    assert faults("usage", USAGE | {"customer_id": written}) == [("customer_id", reason)]


@pytest.mark.parametrize(
    ("written", "millis"),
    [
        ("2026-09-07T09:50:00+08:00", 1_788_745_800_000),
        ("2026-09-07T01:50:00Z", 1_788_745_800_000),
        ("2026-09-07t01:50:00.123456789z", 1_788_745_800_123),
        ("2026-09-06 20:50:00.5-05:00", 1_788_745_800_500),
        ("2000-01-01T00:00:00Z", 946_684_800_000),
    ],
)
def test_instants_are_rfc_3339_with_an_offset(written: str, millis: int) -> None:
    assert validate("usage", USAGE | {"occurred_at": written})["occurred_at"] == millis


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("2026-09-07T09:50:00", Reason.BAD_FORMAT),
        ("2026-09-07", Reason.BAD_FORMAT),
        ("2026-W37-1T09:50:00Z", Reason.BAD_FORMAT),
        ("20260907T095000Z", Reason.BAD_FORMAT),
        ("2026-02-30T09:50:00Z", Reason.BAD_FORMAT),
        ("2026-09-07T24:50:00Z", Reason.BAD_FORMAT),
        ("2026-09-07T09:50:60Z", Reason.BAD_FORMAT),
        ("1999-12-31T23:59:59Z", Reason.TOO_OLD),
        (1_788_746_400, Reason.TOO_OLD),  # seconds
        (1_788_746_400_000_000, Reason.OUT_OF_RANGE),  # microseconds
        (1.5e12, Reason.WRONG_TYPE),
    ],
)
def test_other_instants_are_refused(written: object, reason: Reason) -> None:
    assert ("occurred_at", reason) in faults("usage", USAGE | {"occurred_at": written})


def test_event_is_accepted_five_minutes_ahead_of_now_and_no_further() -> None:
    assert not isinstance(validate("usage", USAGE | {"occurred_at": NOW_MS + 300_000}), Rejection)
    assert faults("usage", USAGE | {"occurred_at": NOW_MS + 300_001}) == [("occurred_at", Reason.IN_THE_FUTURE)]


def test_all_faults_of_an_event_are_told_at_once() -> None:
    event = {"event_id": "", "customer_id": 0, "service": "FAX", "y_own": 1, "x_own": 2, "succeeded": "yes"}

    assert set(faults("usage", event)) == {
        ("event_id", Reason.EMPTY),
        ("customer_id", Reason.OUT_OF_RANGE),
        ("service", Reason.UNKNOWN_VALUE),
        ("y_own", Reason.UNKNOWN_FIELD),
        ("succeeded", Reason.WRONG_TYPE),
        ("occurred_at", Reason.MISSING),
        ("source", Reason.MISSING),
        ("quantity", Reason.MISSING),
    }


def test_faults_of_one_event_are_bounded() -> None:
    assert len(faults("usage", {f"u{number}": 1 for number in range(10_000)})) <= 32


def test_own_fields_are_accepted_and_dropped() -> None:
    assert "x_trace" not in validate("usage", USAGE | {"x_trace": {"deep": [1, 2]}})


def test_null_of_an_optional_field_is_its_absence() -> None:
    assert "area" not in validate("usage", USAGE | {"area": None})


def test_fields_that_ingest_sets_cannot_be_sent() -> None:
    for name in ("ingested_at", "history"):
        assert faults("usage", USAGE | {name: 1}) == [(name, Reason.UNKNOWN_FIELD)]
    for name in ("phone_token", "phone_masked"):
        assert faults("customer", CUSTOMER | {name: "x"}) == [(name, Reason.UNKNOWN_FIELD)]


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "\x1b[31m", "\u2028", "\ud800"])
def test_control_characters_and_half_surrogates_are_refused(text: str) -> None:
    assert faults("usage", USAGE | {"area": text}) == [("area", Reason.BAD_FORMAT)]


def test_chinese_text_with_wide_spaces_is_kept() -> None:
    assert validate("usage", USAGE | {"area": "南京\u3000玄武"})["area"] == "南京\u3000玄武"


@pytest.mark.parametrize(
    "written",
    ["13800138000", "+8613800138000", "8613800138000", "0086 138 0013 8000", "138-0013-8000", " (+86) 138 0013 8000 "],
)
def test_phone_number_becomes_a_keyed_token_and_a_mask(written: str) -> None:
    record = validate("customer", CUSTOMER | {"phone": written})

    assert record["phone_masked"] == "138****8000"
    assert record["phone_token"] == validate("customer", CUSTOMER | {"phone": "13800138000"})["phone_token"]
    assert "phone" not in record
    assert "13800138000" not in repr(record)


def test_token_depends_on_the_key() -> None:
    one = validate("customer", CUSTOMER | {"phone": "13800138000"})
    other = validate("customer", CUSTOMER | {"phone": "13800138000"}, phone_key=b"o" * 32)

    assert one["phone_token"] != other["phone_token"]


@pytest.mark.parametrize(
    "written", ["1380013800", "23800138000", "+113800138000", "138001380001", "１３８００１３８０００", ""]
)
def test_number_that_is_no_chinese_mobile_number_is_refused_without_being_told(written: str) -> None:
    found = validate("customer", CUSTOMER | {"phone": written})

    assert [(fault.field, fault.reason) for fault in found.faults] == [("phone", Reason.BAD_FORMAT)]
    assert not written or written not in repr(found)


def test_door_without_a_key_takes_no_phone_numbers() -> None:
    assert faults("customer", CUSTOMER | {"phone": "13800138000"}, phone_key=None) == [
        ("phone", Reason.NOT_ALLOWED_HERE)
    ]


def test_field_name_that_looks_like_a_number_is_not_repeated() -> None:
    found = validate("usage", USAGE | {"13800138000": 1})

    assert "13800138000" not in repr(found)


def test_values_are_never_repeated_in_answers() -> None:
    secret = "secret-value"
    for name in USAGE:
        found = validate("usage", USAGE | {name: [secret]})
        assert isinstance(found, Rejection)
        assert secret not in repr(found)


def test_lunar_birthday_has_thirty_days_and_solar_one_must_exist() -> None:
    lunar = CUSTOMER | {"birthday_calendar": "LUNAR"}
    assert validate("customer", lunar | {"birthday": "02-30"})["birthday"] == "02-30"
    assert validate("customer", CUSTOMER | {"birthday": "02-29"})["birthday"] == "02-29"
    assert faults("customer", CUSTOMER | {"birthday": "1999-02-29"}) == [("birthday", Reason.BAD_FORMAT)]
    assert faults("customer", lunar | {"birthday": "02-31"}) == [("birthday", Reason.BAD_FORMAT)]


def test_bill_is_about_the_local_month_after_its_run_at_most() -> None:
    bill = COMMON | {"occurred_at": "2026-08-31T16:30:00Z", "total_fen": 1}

    assert validate("bill", bill | {"cycle": "2026-10"})["cycle"] == "2026-10"
    for cycle in ("2026-11", "2062-07"):
        assert faults("bill", bill | {"cycle": cycle}) == [("cycle", Reason.INCONSISTENT)]


def test_order_cannot_end_before_it_begins() -> None:
    order = COMMON | {"order_id": "o", "action": "SUBSCRIBE", "category": "TV"}

    dates = {"effective_on": "2026-09-08", "ends_on": "2026-09-07"}
    assert faults("service-order", order | dates) == [("ends_on", Reason.INCONSISTENT)]


@pytest.mark.parametrize(("zone", "is_good"), [("Asia/Tokyo", True), ("Tokyo", False), ("../../etc/passwd", False)])
def test_time_zone_is_one_of_iana(zone: str, is_good: bool) -> None:
    event = COMMON | {"country": "JP", "state": "LANDED", "time_zone": zone}

    if is_good:
        assert validate("roaming", event)["time_zone"] == zone
    else:
        assert faults("roaming", event) == [("time_zone", Reason.UNKNOWN_VALUE)]


def test_list_names_the_item_at_fault() -> None:
    event = CUSTOMER | {"agreed_channels": ["CALL", "FAX"]}

    assert faults("customer", event) == [("agreed_channels[1]", Reason.UNKNOWN_VALUE)]


@pytest.mark.parametrize("event", [None, 7, "text", [], [COMMON], True])
def test_what_is_no_object_is_refused(event: object) -> None:
    assert faults("usage", event) == [("", Reason.NOT_AN_OBJECT)]


def test_fault_messages_say_what_is_right() -> None:
    found = validate("usage", USAGE | {"quantity": -1})

    assert found.faults == (Fault("quantity", Reason.OUT_OF_RANGE, "want a whole number from 0 to 1000000000000"),)
