"""AN7, FT2, SP1 at their hours, and NS2."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.detector.engine.customer.calendars import birthdays_of
from tests.reference.local_time import DAY, HOUR
from tests.reference.logs import MONDAY, Log, local
from tests.unit.detector.engine.judged import moments_of, states, told

START = local(MONDAY - timedelta(1), 12)
SIX = local(MONDAY, 6)


def calls(log: Log, weeks: tuple[int, ...], first_day: int = 35) -> None:
    """Seconds of the four weeks before and of the last week, in halves out and in; the first call `first_day` days
    ago."""
    log.event("usage", local(MONDAY - timedelta(first_day), 0, 0), history=True, service="SMS", quantity=1)
    for back, seconds in zip((5, 4, 3, 2, 1), weeks, strict=True):
        monday = MONDAY - timedelta(7 * back)
        log.event("usage", local(monday, 0, 0), history=True, service="VOICE", quantity=seconds - seconds // 2)
        log.event("usage", local(monday + timedelta(6), 23, 59), history=True, service="VOICE", direction="IN",
                  quantity=seconds // 2)  # fmt: skip


def week_log(weeks: tuple[int, ...], first_day: int = 35) -> Log:
    log = Log()
    log.profile(START - 1000)
    calls(log, weeks, first_day)
    log.tick(START)
    log.tick(SIX)
    return log


@pytest.mark.parametrize(
    ("weeks", "found"),
    [
        ((1800, 1800, 1800, 1800, 1080), [("RAISED", 3)]),
        ((1800, 1800, 1800, 1800, 1081), []),
        ((1800, 1800, 1800, 1796, 0), []),
        ((7200, 0, 0, 0, 0), [("RAISED", 2)]),
    ],
)
def test_an7_at_sixty_percent_of_a_mean_of_thirty_minutes(weeks: tuple[int, ...], found: list[tuple[str, int]]) -> None:
    assert told(week_log(weeks), "AN7") == found


@pytest.mark.parametrize(("first_day", "found"), [(35, ["RAISED"]), (34, [])])
def test_an7_needs_the_whole_baseline_observed(first_day: int, found: list[str]) -> None:
    log = Log()
    log.profile(START - 1000)
    log.event("usage", local(MONDAY - timedelta(first_day), 1), history=True, service="VOICE", quantity=9000)
    log.tick(START)
    log.tick(SIX)
    assert states(log, "AN7") == found


def test_an7_ends_when_the_running_week_is_back_to_eighty_percent() -> None:
    log = week_log((3600, 3600, 3600, 3600, 600))
    log.event("usage", SIX + HOUR, service="VOICE", quantity=2879)
    assert states(log, "AN7") == ["RAISED"]
    log.event("usage", SIX + 2 * HOUR, service="VOICE", quantity=1)
    assert states(log, "AN7") == ["RAISED", "RESOLVED"]


def test_an7_is_not_ended_by_calls_of_the_week_that_was_judged() -> None:
    log = week_log((3600, 3600, 3600, 3600, 600))
    log.event("usage", SIX - 7 * HOUR, arrives=SIX + HOUR, service="VOICE", quantity=9000)
    assert states(log, "AN7") == ["RAISED"]


def test_an7_open_is_not_raised_again_next_week() -> None:
    log = week_log((3600, 3600, 3600, 3600, 600))
    log.tick(SIX + 7 * DAY)
    assert states(log, "AN7") == ["RAISED"]


def test_an7_caught_up_on_wednesday_judges_the_monday() -> None:
    log = Log()
    log.profile(START - 1000)
    calls(log, (3600, 3600, 3600, 3600, 600))
    log.tick(START)
    log.event("usage", SIX + DAY, service="VOICE", quantity=100)
    log.tick(SIX + 2 * DAY)
    (moment,) = moments_of(log)
    assert moment["nominal_date"] == (MONDAY - date(1970, 1, 1)).days
    assert moment["evidence"][0]["observed"] == 600


def test_an7_no_hour_before_the_first_tick_is_judged() -> None:
    log = Log()
    log.profile(START - 1000)
    calls(log, (3600, 3600, 3600, 3600, 600))
    log.tick(SIX + 1)
    assert states(log, "AN7") == []


def handset(log: Log, at: int, model: str = "Ginkgo 12", previous: str | None = None, **fields: Any) -> None:
    log.event("handset-change", at, device_model=model, previous_device_model=previous, **fields)


def daily(log: Log, days: int) -> None:
    for day in range(days):
        log.tick(local(MONDAY + timedelta(day), 6))


@pytest.mark.parametrize(("second", "day"), [(0, 1), (1, 2)])
def test_ft2_is_found_at_the_first_six_o_clock_after_24_hours(second: int, day: int) -> None:
    log = Log()
    log.profile(START, tier="TOP", plan_capabilities=["4G"])
    log.tick(START)
    handset(log, local(MONDAY, 6, 0, second), capabilities=["4G", "5G", "ESIM"])
    daily(log, 12)
    (moment,) = moments_of(log)
    assert moment["nominal_date"] == (MONDAY - date(1970, 1, 1)).days + day
    assert (moment["channel"], moment["parameters"]["model"]) == ("CALL", "Ginkgo 12")
    assert moment["parameters"]["beyond_plan"] == "2"


@pytest.mark.parametrize(("swaps", "found"), [(2, ["RAISED"]), (3, [])])
def test_ft2_three_changes_in_seven_days_are_a_testers(swaps: int, found: list[str]) -> None:
    log = Log()
    log.profile(START)
    log.tick(START)
    for number in range(swaps):
        handset(log, START + number * HOUR, f"Test {number}")
    daily(log, 5)
    assert states(log, "FT2") == found


@pytest.mark.parametrize(("first", "found"), [(0, []), (1, ["RAISED"])])
def test_ft2_a_tester_is_one_on_the_days_after_the_last_change_too(first: int, found: list[str]) -> None:
    log = Log()
    log.profile(START)
    log.tick(START)
    for number, day in enumerate((0, 1, 6 + first)):
        handset(log, START + day * DAY, f"Test {number}", history=number < 2)
    daily(log, 16)
    assert states(log, "FT2") == found


@pytest.mark.parametrize(("days", "found"), [(180, []), (181, ["RAISED"])])
def test_ft2_a_model_in_use_within_180_days_is_not_new(days: int, found: list[str]) -> None:
    log = Log()
    log.profile(START)
    handset(log, START - 400 * DAY, "Iris 7", history=True)
    handset(log, START - days * DAY, "Jade 2", "Iris 7", history=True)
    log.tick(START)
    handset(log, START + 1, "Iris 7", "Jade 2")
    daily(log, 5)
    assert states(log, "FT2") == found


def test_ft2_the_model_that_an_event_names_as_previous_was_in_use() -> None:
    log = Log()
    log.profile(START)
    handset(log, START - 20 * DAY, "Jade 2", "Iris 7", history=True)
    log.tick(START)
    handset(log, START + 1, "Iris 7", "Jade 2")
    daily(log, 5)
    assert states(log, "FT2") == []


def test_ft2_neither_history_nor_duplicates_nor_a_later_swap() -> None:
    past = Log()
    past.profile(START)
    past.tick(START - 60_000)
    handset(past, START - DAY, history=True)
    daily(past, 5)
    assert states(past, "FT2") == []
    log = Log()
    log.profile(START)
    log.tick(START)
    first = log.event("handset-change", START + 1, device_model="A")
    log.again("handset-change", first)
    log.again("handset-change", first)
    handset(log, START + 20 * HOUR, "B", "A")
    daily(log, 5)
    assert [m["parameters"]["model"] for m in moments_of(log)] == ["B"]


def birthday_log(birthday: str, calendar: str, day: date, **profile: Any) -> Log:
    log = Log()
    log.profile(local(day) - DAY, birthday=birthday, birthday_calendar=calendar, **profile)
    log.tick(local(day) - HOUR)
    log.tick(local(day, 0, 5))
    return log


@pytest.mark.parametrize(
    ("birthday", "calendar", "day", "found"),
    [
        ("1980-09-07", "SOLAR", date(2026, 9, 7), ["RAISED"]),
        ("09-07", "SOLAR", date(2026, 9, 8), []),
        ("02-29", "SOLAR", date(2026, 2, 28), ["RAISED"]),
        ("02-29", "SOLAR", date(2028, 2, 28), []),
        ("02-29", "SOLAR", date(2028, 2, 29), ["RAISED"]),
        ("08-15", "LUNAR", date(2026, 9, 25), ["RAISED"]),  # mid-autumn
        ("01-01", "LUNAR", date(2026, 2, 17), ["RAISED"]),  # spring festival
        ("06-15", "LUNAR", date(2025, 8, 8), []),  # the leap sixth month
    ],
)
def test_sp1_on_the_day(birthday: str, calendar: str, day: date, found: list[str]) -> None:
    assert states(birthday_log(birthday, calendar, day), "SP1") == found


def test_sp1_a_lunar_thirtieth_that_the_month_lacks_is_kept_on_its_last_day() -> None:
    days = [birthdays_of(day) for day in range(20_454, 20_454 + 365)]
    assert all(one[3] == 0 or (one[3] % 100 == 30 and one[2] % 100 == 29) for one in days)
    assert 4 <= sum(one[3] != 0 for one in days) <= 8


def test_sp1_when_to_contact_and_when_it_expires() -> None:
    (moment,) = moments_of(birthday_log("09-07", "SOLAR", MONDAY, tier="TOP"))
    assert moment["earliest_contact_at"] == local(MONDAY, 9, 30)
    assert moment["expires_at"] == local(MONDAY + timedelta(1))
    assert (moment["episode"], moment["channel"]) == ("2026-09-07", "CALL")


def test_sp1_is_silent_while_a_complaint_is_open() -> None:
    log = Log()
    log.profile(START, birthday="09-07")
    log.tick(START)
    log.event("complaint", START + 1, complaint_id="k", state="OPENED", topic="SPAM")
    log.tick(local(MONDAY, 0, 5))
    assert states(log, "SP1") == []


def test_sp1_caught_up_after_its_day_is_raised_and_has_expired() -> None:
    log = Log()
    log.profile(START, birthday="09-07")
    log.tick(START)
    log.tick(START + 4 * DAY)
    (moment,) = moments_of(log)
    assert moment["expires_at"] < moment["detected_at"]


@pytest.mark.parametrize("status", ["SUSPENDED_VOLUNTARY", "SUSPENDED_ARREARS", "SUSPENDED_LOST", "TERMINATED"])
def test_ns2_needs_no_profile_and_ends_when_active(status: str) -> None:
    log = Log()
    log.tick(START)
    log.event("line-status", START + 1, status=status)
    log.event("line-status", START + 2, status="ACTIVE")
    assert states(log, "NS2") == ["RAISED", "RESOLVED"]


def test_ns2_tells_again_when_one_suspension_becomes_another() -> None:
    log = Log()
    log.tick(START)
    for number, status in enumerate(("SUSPENDED_LOST", "SUSPENDED_LOST", "TERMINATED")):
        log.event("line-status", START + number, status=status)
    assert states(log, "NS2") == ["RAISED", "UPDATED"]


def test_ns2_a_forecast_is_no_suspension_and_an_older_status_no_news() -> None:
    log = Log()
    log.tick(START)
    log.event("line-status", START + 5, status="ACTIVE", suspension_expected_at=START + DAY)
    log.event("line-status", START + 1, arrives=START + 6, status="SUSPENDED_LOST")
    assert states(log, "NS2") == []


def test_ns2_from_history_when_still_true() -> None:
    log = Log()
    log.tick(START)
    log.event("line-status", START - DAY, history=True, status="SUSPENDED_LOST")
    log.tick(START + 60_000)
    log.tick(START + 120_000)
    assert [(m["state"], m["history"], m["occurred_at"]) for m in moments_of(log)] == [("RAISED", True, START - DAY)]
