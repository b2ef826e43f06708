"""How often a customer may be contacted, as tables in local days."""

import pytest

from services.router.caps import call_cap_frees_at, dimension_paused_until, recent_contact_until, sms_cap_frees_at
from services.router.model import DAY_MS, HOUR_MS, Contact, home_day, home_midnight_ms
from tests.doubles.router_records import NOW_MS

TODAY = home_day(NOW_MS)


def call(days_ago: int, **fields: str) -> Contact:
    values = {"channel": "CALL", "direction": "OUT", **fields}
    return Contact(occurred_at_ms=NOW_MS - days_ago * DAY_MS, **values)


@pytest.mark.parametrize(
    ("days_ago", "frees_in_days"),
    [
        ([], None),
        ([0], 7),
        ([6], 1),
        ([7], None),
        ([8, 20], 10),
        ([8, 29], 1),
        ([8, 30], None),
        ([2, 8], 22),  # both caps hold: the later one counts
        ([3, 3, 25], 27),
    ],
)
def test_one_call_in_seven_days_and_two_in_thirty(days_ago: list[int], frees_in_days: int | None) -> None:
    expected = None if frees_in_days is None else home_midnight_ms(TODAY + frees_in_days)
    assert call_cap_frees_at([call(ago) for ago in days_ago], NOW_MS) == expected


def test_calls_by_the_customer_do_not_use_the_cap_up() -> None:
    assert call_cap_frees_at([call(0, direction="IN")], NOW_MS) is None


@pytest.mark.parametrize(
    ("days_ago", "sent_now", "is_free"),
    [([], 0, True), ([1], 0, True), ([1, 1], 0, False), ([1], 1, False), ([8], 1, True)],
)
def test_two_messages_in_seven_days(days_ago: list[int], sent_now: int, is_free: bool) -> None:
    contacts = [call(ago, channel="SMS") for ago in days_ago]
    assert (sms_cap_frees_at(contacts, NOW_MS, sent_now=sent_now) is None) == is_free


@pytest.mark.parametrize(
    ("days_ago", "pause_days"),
    [([0], None), ([0, 29], 60), ([0, 30], None), ([5, 10], 55), ([61, 70], None), ([59, 80], 1)],
)
def test_two_refusals_in_thirty_days_pause_the_dimension_for_sixty(days_ago: list[int], pause_days: int | None) -> None:
    contacts = [call(ago, outcome="REFUSED", dimension="TARIFF") for ago in days_ago]
    expected = None if pause_days is None else home_midnight_ms(TODAY + pause_days)
    assert dimension_paused_until(contacts, "TARIFF", NOW_MS) == expected
    assert dimension_paused_until(contacts, "SERVICE", NOW_MS) is None


@pytest.mark.parametrize(
    ("channel", "direction", "holds"),
    [("CALL", "OUT", True), ("HOTLINE", "IN", True), ("SHOP", "IN", True), ("SMS", "OUT", False), ("APP", "IN", False)],
)
def test_who_was_spoken_with_is_left_alone_for_a_day(channel: str, direction: str, holds: bool) -> None:
    contact = Contact(channel=channel, direction=direction, occurred_at_ms=NOW_MS - HOUR_MS)
    assert recent_contact_until([contact], NOW_MS) == (NOW_MS + 23 * HOUR_MS if holds else None)
    assert recent_contact_until([contact], NOW_MS + 23 * HOUR_MS) is None
