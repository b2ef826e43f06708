"""NS1 as a table: when a customer may be contacted."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from services.router.calendar_cn import is_rest_day, last_known_year
from services.router.model import DAY_MS, HOUR_MS
from services.router.quiet_hours import ContactHours, contact_windows, current_span, next_span, release_at_ms

HOME = ZoneInfo("Asia/Shanghai")
PLAIN = ContactHours()


def at(text: str, zone: ZoneInfo = HOME) -> int:
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def local(at_ms: int, zone: ZoneInfo = HOME) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, tz=zone).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-09-07 08:59:59.999", False),  # a Monday
        ("2026-09-07 09:00", True),
        ("2026-09-07 11:59:59.999", True),
        ("2026-09-07 12:00", False),
        ("2026-09-07 13:59:59.999", False),
        ("2026-09-07 14:00", True),
        ("2026-09-07 20:29:59.999", True),
        ("2026-09-07 20:30", False),
        ("2026-09-12 09:30", False),  # a Saturday
        ("2026-09-12 10:00", True),
        ("2026-09-20 09:30", True),  # a Sunday that is a working day, before National Day
        ("2026-10-01 09:30", False),  # a Thursday that is a holiday
        ("2026-10-01 10:30", True),
        ("2026-09-07 03:00", False),
    ],
)
def test_contact_is_open_by_the_table(when: str, is_open: bool) -> None:
    assert (current_span(at(when), PLAIN) is not None) == is_open


def test_a_year_without_data_counts_as_rest_days() -> None:
    year = last_known_year() + 1
    monday = next(day for day in range(1, 8) if dt.date(year, 6, day).weekday() == 0)
    assert is_rest_day((dt.date(year, 6, monday) - dt.date(1970, 1, 1)).days) is None
    assert current_span(at(f"{year}-06-0{monday} 09:30"), PLAIN) is None
    assert current_span(at(f"{year}-06-0{monday} 10:30"), PLAIN) is not None


@pytest.mark.parametrize(
    ("windows", "when", "is_open"),
    [
        (("18:00-21:00",), "2026-09-07 18:30", False),
        (("18:00-21:00",), "2026-09-07 17:59", True),
        (("22:00-10:30",), "2026-09-07 10:00", False),  # over midnight
        (("22:00-10:30",), "2026-09-07 10:30", True),
        (("12:30-13:00",), "2026-09-07 12:10", False),  # their own does not open what is closed
        (("00:00-00:00",), "2026-09-07 10:00", False),
        (("rubbish",), "2026-09-07 10:00", False),  # not understood: closed
    ],
)
def test_own_windows_close_more_and_never_less(windows: tuple[str, ...], when: str, is_open: bool) -> None:
    assert (current_span(at(when), ContactHours(quiet_windows=windows)) is not None) == is_open


def test_abroad_the_visited_time_counts_with_home_holidays() -> None:
    paris = ContactHours(zone="Europe/Paris")
    zone = ZoneInfo("Europe/Paris")
    assert current_span(at("2026-09-07 10:00"), paris) is None  # 04:00 there
    assert current_span(at("2026-09-07 09:00", zone), paris) is not None
    assert current_span(at("2026-10-01 09:30", zone), paris) is None  # National Day


def test_a_zone_that_nobody_knows_is_closed() -> None:
    nowhere = ContactHours(zone="Mars/Olympus")
    assert next_span(at("2026-09-07 10:00"), nowhere) is None
    assert release_at_ms(at("2026-09-07 10:00"), 0, "k", nowhere) is None


def test_only_urgent_messages_pass_until_half_past_nine_in_the_evening() -> None:
    urgent = ContactHours(urgent_sms=True)
    assert current_span(at("2026-09-07 21:29"), urgent) is not None
    assert current_span(at("2026-09-07 21:30"), urgent) is None
    assert current_span(at("2026-09-07 13:00"), urgent) is None


def test_what_was_held_is_released_over_the_first_hour_and_always_at_the_same_time() -> None:
    evening, opens = at("2026-09-07 21:00"), at("2026-09-08 09:00")
    releases = [release_at_ms(evening, evening, f"m{i}", PLAIN) for i in range(500)]
    assert releases == [release_at_ms(evening, evening, f"m{i}", PLAIN) for i in range(500)]
    times = sorted(release - opens for release in releases if release is not None)
    assert len(times) == 500
    assert 0 <= times[0] < 5 * 60_000
    assert 55 * 60_000 < times[-1] < HOUR_MS


def test_what_becomes_ready_in_an_open_window_goes_at_once() -> None:
    now = at("2026-09-07 09:10")
    assert release_at_ms(now, now - 60_000, "m1", PLAIN) == now


def test_windows_reach_seven_days_ahead_or_to_the_end_of_the_moment() -> None:
    now = at("2026-09-07 10:00")
    spans = contact_windows(now, now + 30 * DAY_MS, PLAIN)
    assert [local(spans[0][0]), local(spans[0][1])] == ["2026-09-07 09:00", "2026-09-07 12:00"]
    assert local(spans[-1][1]) == "2026-09-14 10:00"
    assert len(spans) == 15
    short = contact_windows(now, now + HOUR_MS, PLAIN)
    assert [(local(opens), local(closes)) for opens, closes in short] == [("2026-09-07 09:00", "2026-09-07 11:00")]
