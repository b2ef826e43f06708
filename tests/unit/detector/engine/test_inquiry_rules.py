"""FT5, AN14, AN17: where customers land, and what they ask more than once."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from tests.reference.local_time import DAY, HOUR
from tests.reference.logs import MONDAY, Log, local
from tests.unit.detector.engine.judged import ends, moments_of, observed, only, states

AT = local(MONDAY, 10)
_NUMBERS = count(1)


def started(**profile: Any) -> Log:
    log = Log()
    log.profile(AT - 3 * DAY, **profile)
    log.tick(AT - HOUR)
    return log


def inquiry(log: Log, at: int, topic: str = "TARIFF", state: str = "OPENED", **fields: Any) -> dict[str, Any]:
    fields = {"inquiry_id": f"q{next(_NUMBERS)}", **fields}
    return log.event("inquiry", at, topic=topic, state=state, **fields)


def roaming(log: Log, at: int, country: str, state: str = "LANDED", **fields: Any) -> None:
    log.event("roaming", at, country=country, state=state, **fields)


# --- AN14 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "found"), [(23, ["RAISED"]), (24, [])])
def test_an14_two_open_inquiries_on_a_topic_within_24_hours(hours: int, found: list[str]) -> None:
    log = started()
    inquiry(log, AT)
    inquiry(log, AT + hours * HOUR)
    assert states(log, "AN14") == found


@pytest.mark.parametrize(("days", "found"), [(7, ["RAISED"]), (8, [])])
def test_an14_three_open_inquiries_on_a_topic_in_seven_days(days: int, found: list[str]) -> None:
    log = started()
    inquiry(log, local(MONDAY, 0))
    inquiry(log, AT + 3 * DAY)
    inquiry(log, local(MONDAY + timedelta(days), 23, 59))
    assert states(log, "AN14") == found


@pytest.mark.parametrize(("hours", "found"), [(23, ["RAISED"]), (24, [])])
def test_an14_the_earlier_one_may_be_told_later(hours: int, found: list[str]) -> None:
    log = started()
    inquiry(log, AT + hours * HOUR)
    inquiry(log, AT, arrives=AT + hours * HOUR + 1)
    assert states(log, "AN14") == found


@pytest.mark.parametrize("order", [(0, 3, 7), (7, 3, 0), (3, 7, 0), (7, 0, 3)])
@pytest.mark.parametrize(("more", "found"), [(0, ["RAISED"]), (1, [])])
def test_an14_in_whatever_order_the_three_of_a_week_are_told(order: list[int], more: int, found: list[str]) -> None:
    log = started()
    for n, day in enumerate(order):
        inquiry(log, AT + (day - more * (day == 0)) * DAY, arrives=AT + 7 * DAY + n)
    assert states(log, "AN14") == found


@pytest.mark.parametrize(
    "second",
    [{"topic": "FEE"}, {"state": "COMPLETED"}, {"state": "WITHDRAWN"}, {"inquiry_id": "one"}, {"history": True}],
)
def test_an14_counts_open_inquiries_on_one_topic(second: dict[str, Any]) -> None:
    log = started()
    inquiry(log, AT, inquiry_id="one")
    inquiry(log, AT + HOUR, **second)
    assert states(log, "AN14") == []


def test_an14_what_was_completed_before_does_not_count() -> None:
    log = started()
    inquiry(log, AT, inquiry_id="one")
    inquiry(log, AT + 1, state="COMPLETED", inquiry_id="one")
    inquiry(log, AT + 2)
    assert states(log, "AN14") == []


def test_an14_unknown_topics_never_count() -> None:
    log = started()
    inquiry(log, AT, "UNKNOWN")
    inquiry(log, AT + 1, "UNKNOWN")
    assert states(log, "AN14") == []


def test_an14_ends_when_the_topic_is_completed() -> None:
    log = started()
    inquiry(log, AT)
    inquiry(log, AT + 1, inquiry_id="two")
    inquiry(log, AT + 2, "FEE", "COMPLETED")
    inquiry(log, AT + 3, state="COMPLETED", inquiry_id="two")
    assert ends(log, "AN14") == [None, "completed"]
    raised, ended = (m for m in moments_of(log) if m["rule_id"] == "AN14")
    assert observed(raised) == {"topic": "TARIFF", "open_in_7_days": 2, "open_in_24_hours": 2}
    assert observed(ended) == {"topic": "TARIFF", "inquiry_state": "COMPLETED"}


def test_an14_an_event_older_than_the_newest_of_its_inquiry_does_not_end_it() -> None:
    log = started()
    inquiry(log, AT)
    inquiry(log, AT + 2, inquiry_id="two")
    inquiry(log, AT + 1, state="COMPLETED", inquiry_id="two", arrives=AT + 3)
    assert ends(log, "AN14") == [None]


@pytest.mark.parametrize(("days", "found"), [(29, 1), (30, 2)])
def test_an14_cools_down_for_thirty_days(days: int, found: int) -> None:
    log = started()
    for at in (AT, AT + days * DAY):
        inquiry(log, at)
        inquiry(log, at + 1)
    assert len(states(log, "AN14")) == found


def test_an14_is_silent_without_a_customer_record() -> None:
    log = Log()
    log.tick(AT - HOUR)
    inquiry(log, AT)
    inquiry(log, AT + 1)
    assert states(log, "AN14") == []


# --- AN17 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "state", "found"),
    [
        ("PORTING", "OPENED", ["RAISED"]),
        ("TERMINATION", "OPENED", ["RAISED"]),
        ("PORTING", "WITHDRAWN", []),
        ("PORTING", "COMPLETED", []),
        ("TARIFF", "OPENED", []),
    ],
)
def test_an17_asks_for_porting_or_termination(topic: str, state: str, found: list[str]) -> None:
    log = started()
    inquiry(log, AT, topic, state)
    assert states(log, "AN17") == found


def test_an17_ends_when_withdrawn() -> None:
    log = started()
    inquiry(log, AT, "PORTING", inquiry_id="one")
    inquiry(log, AT + 1, "TARIFF", "WITHDRAWN")
    inquiry(log, AT + 2, "PORTING", "WITHDRAWN", inquiry_id="one")
    raised, ended = (m for m in moments_of(log) if m["rule_id"] == "AN17")
    assert (raised["priority"], raised["channel"]) == (1, "CALL")
    assert (ended["resolution"], ended["revision"], ended["moment_id"]) == ("withdrawn", 2, raised["moment_id"])


@pytest.mark.parametrize(
    ("status", "found"), [("TERMINATED", [None, "left"]), ("SUSPENDED_VOLUNTARY", [None]), ("ACTIVE", [None])]
)  # fmt: skip
def test_an17_ends_when_the_line_is_terminated(status: str, found: list[str | None]) -> None:
    log = started()
    inquiry(log, AT, "PORTING")
    log.event("line-status", AT + 1, status=status)
    assert ends(log, "AN17") == found


def test_an17_of_a_terminated_line_is_not_raised() -> None:
    log = started()
    log.event("line-status", AT, status="TERMINATED")
    inquiry(log, AT + 1, "PORTING")
    assert states(log, "AN17") == []


def test_an17_past_and_duplicates_raise_nothing() -> None:
    log = started()
    inquiry(log, AT, "PORTING", history=True)
    assert states(log, "AN17") == []
    log.again("inquiry", inquiry(log, AT + 1, "PORTING"))
    assert states(log, "AN17") == ["RAISED"]


# --- FT5 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "found"), [(None, ["RAISED"]), (366, ["RAISED"]), (365, []), (0, [])])
def test_ft5_lands_where_not_seen_for_a_year(days: int | None, found: list[str]) -> None:
    log = started()
    if days is not None:
        roaming(log, AT - days * DAY, "JP", "LEFT", history=True)
    roaming(log, AT, "JP")
    assert states(log, "FT5") == found


@pytest.mark.parametrize(("country", "found"), [("CN", []), ("HK", ["RAISED"])])
def test_ft5_hong_kong_is_roaming_and_home_is_not(country: str, found: list[str]) -> None:
    log = started()
    roaming(log, AT, country)
    assert states(log, "FT5") == found


@pytest.mark.parametrize(("country", "state"), [("JP", "LEFT"), ("CN", "LANDED")])
def test_ft5_ends_at_home(country: str, state: str) -> None:
    log = started()
    roaming(log, AT, "JP", time_zone="Asia/Tokyo")
    roaming(log, AT + 1, country, state)
    raised, ended = (m for m in moments_of(log) if m["rule_id"] == "FT5")
    assert observed(raised) == {"country": "JP", "country_unseen_days": 100_000}
    assert raised["parameters"]["time_zone"] == "Asia/Tokyo"
    assert (ended["resolution"], observed(ended)) == ("returned", {"country": country})


def test_ft5_a_second_country_waits_for_the_end_and_the_cool_down() -> None:
    log = started()
    roaming(log, AT, "JP")
    roaming(log, AT + DAY, "KR")
    assert ends(log, "FT5") == [None]
    roaming(log, AT + 2 * DAY, "KR", "LEFT")
    roaming(log, AT + 30 * DAY, "TH")
    assert ends(log, "FT5") == [None, "returned", None]


def test_ft5_a_landing_that_arrives_after_the_return_is_no_news() -> None:
    log = started()
    roaming(log, AT + 1, "JP", "LEFT")
    roaming(log, AT, "JP", arrives=AT + 2)
    assert states(log, "FT5") == []


def test_ft5_the_country_is_remembered_from_events_out_of_order() -> None:
    log = started()
    roaming(log, AT, "KR", "LEFT")
    roaming(log, AT - DAY, "JP", arrives=AT + 1)
    roaming(log, AT + DAY, "JP")
    assert observed_unseen(log) == []


def observed_unseen(log: Log) -> list[Any]:
    return [observed(m)["country_unseen_days"] for m in moments_of(log) if m["rule_id"] == "FT5"]


def test_twelve_countries_are_remembered() -> None:
    log = started()
    roaming(log, AT - 40 * DAY, "JP", history=True)
    for n in range(12):
        roaming(log, AT - 30 * DAY + n, f"A{chr(65 + n)}", "LEFT", history=True)
    roaming(log, AT, "JP")
    assert observed(only(log, "FT5"))["country_unseen_days"] == 100_000


def test_twelve_inquiries_are_remembered_and_forgotten_after_61_days() -> None:
    log = started()
    inquiry(log, AT)
    for n in range(12):
        inquiry(log, AT + 1 + n, "OTHER", "COMPLETED")
    inquiry(log, AT + 100)
    assert states(log, "AN14") == []
    log = started()
    inquiry(log, AT, inquiry_id="one")
    log.tick(local(MONDAY + timedelta(62), 1))
    inquiry(log, local(MONDAY + timedelta(62), 2), inquiry_id="one")  # seen anew: opened now
    inquiry(log, local(MONDAY + timedelta(62), 3))
    assert observed(only(log, "AN14"))["open_in_24_hours"] == 2


# --- FT4 -----------------------------------------------------------------------------------------------------------

SIX = local(MONDAY + timedelta(1), 6)


@pytest.mark.parametrize(("days", "found"), [(None, ["RAISED"]), (61, ["RAISED"]), (60, [])])
def test_ft4_first_fee_inquiry_in_two_months(days: int | None, found: list[str]) -> None:
    log = started()
    if days is not None:
        inquiry(log, local(MONDAY - timedelta(days), 23, 59), "FEE", history=True)
    inquiry(log, AT, "FEE")
    log.tick(SIX)
    assert states(log, "FT4") == found


@pytest.mark.parametrize(
    ("at", "fields", "found"),
    [
        (local(MONDAY), {}, ["RAISED"]),
        (local(MONDAY, 23, 59, 59), {}, ["RAISED"]),
        (local(MONDAY + timedelta(1)), {}, []),
        (AT, {"history": True}, []),
        (AT, {"topic": "TARIFF"}, []),
        (AT, {"state": "COMPLETED"}, ["RAISED"]),
    ],
)
def test_ft4_is_about_the_closed_day(at: int, fields: dict[str, Any], found: list[str]) -> None:
    log = Log()
    log.profile(AT - DAY)
    log.tick(local(MONDAY - timedelta(1), 12))
    inquiry(log, at, **{"topic": "FEE", **fields})
    log.tick(SIX)
    assert states(log, "FT4") == found


@pytest.mark.parametrize(
    ("before", "last", "priority", "channel"),
    [
        (None, 9000, 4, "SMS"),
        (5000, 5999, 4, "SMS"),
        (5000, 6000, 2, "SMS"),
        (5000, 6499, 2, "SMS"),
        (5000, 6500, 2, "CALL"),
        (0, 6500, 4, "SMS"),
    ],
)
def test_ft4_is_urgent_after_a_higher_bill(before: int | None, last: int, priority: int, channel: str) -> None:
    log = started()
    if before is not None:
        log.event("bill", AT - 40 * DAY, cycle="2026-07", total_fen=before, history=True)
    log.event("bill", AT - 5 * DAY, cycle="2026-08", total_fen=last, history=True)
    inquiry(log, AT + HOUR, "FEE")
    inquiry(log, AT, "FEE", arrives=AT + 2 * HOUR)
    log.tick(SIX)
    moment = only(log, "FT4")
    assert (moment["priority"], moment["channel"], moment["occurred_at"]) == (priority, channel, AT)
    assert (moment["episode"], moment["expires_at"]) == (
        (MONDAY + timedelta(1)).isoformat(), local(MONDAY + timedelta(5)),
    )  # fmt: skip
    assert observed(moment) == {"days_since_fee_inquiry": 100_000, "last_bill_fen": last}
    assert moment["evidence"][1]["baseline"] == before
    assert moment["parameters"]["bill_before"] == ("?" if before is None else f"{before / 100:.2f}")


def test_ft4_cools_down_and_late_inquiries_of_a_judged_day_are_seen_only() -> None:
    log = started()
    log.tick(SIX)
    inquiry(log, AT, "FEE", arrives=SIX + 1)
    log.tick(SIX + DAY)
    assert states(log, "FT4") == []
    inquiry(log, SIX + DAY, "FEE")
    log.tick(SIX + 2 * DAY)
    assert states(log, "FT4") == []
