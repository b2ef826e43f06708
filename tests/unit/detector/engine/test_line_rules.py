"""AN5, AN11: a service that does not work, and a line that is about to be suspended."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.reference.local_time import DAY, HOUR, MINUTE
from tests.reference.logs import MONDAY, Log, local
from tests.unit.detector.engine.judged import ends, moments_of, observed, only, states

AT = local(MONDAY, 10)


def started(**profile: Any) -> Log:
    log = Log()
    log.profile(AT - 3 * DAY, **profile)
    log.tick(AT - HOUR)
    return log


# --- AN5: a fault is told of ---------------------------------------------------------------------------------------


def fault(log: Log, at: int, name: str = "one", **fields: Any) -> None:
    fields = {"topic": "FAULT", "state": "OPENED", **fields}
    log.event("inquiry", at, inquiry_id=name, **fields)


def use(log: Log, at: int, succeeded: bool = True, **fields: Any) -> None:
    log.event("usage", at, service="SMS", quantity=1, succeeded=succeeded, **fields)


@pytest.mark.parametrize(
    ("fields", "found"),
    [({}, ["RAISED"]), ({"topic": "COVERAGE"}, []), ({"state": "COMPLETED"}, []), ({"history": True}, [])],
)
def test_an5_a_fault_inquiry_raises_at_once(fields: dict[str, Any], found: list[str]) -> None:
    log = started()
    fault(log, AT, **fields)
    assert states(log, "AN5") == found


def test_an5_ends_with_the_third_successful_use_after_it() -> None:
    log = started()
    fault(log, AT, service="DATA", area="A1")
    use(log, AT - 1, arrives=AT + 1)
    use(log, AT + 2, succeeded=False)
    use(log, AT + 3)
    use(log, AT + 4)
    assert ends(log, "AN5") == [None]
    use(log, AT + 5)
    use(log, AT + 6)
    raised, ended = (m for m in moments_of(log) if m["rule_id"] == "AN5")
    assert (raised["priority"], raised["channel"], raised["parameters"]["area"]) == (1, "CALL", "A1")
    assert (ended["resolution"], observed(ended), ended["occurred_at"]) == (
        "in_use_again", {"successful_uses": 3}, AT + 5,
    )  # fmt: skip


@pytest.mark.parametrize(("at", "found"), [(local(MONDAY, 23, 59, 59), 2), (local(MONDAY + timedelta(1)), 3)])
def test_an5_is_free_again_at_the_next_midnight(at: int, found: int) -> None:
    log = started()
    fault(log, AT)
    for n in range(3):
        use(log, AT + 1 + n)
    fault(log, at, "two")
    assert len(states(log, "AN5")) == found


def test_an5_counts_anew_for_the_next_moment() -> None:
    log = started()
    fault(log, AT)
    for n in range(3):
        use(log, AT + 1 + n)
    fault(log, AT + DAY, "two")
    use(log, AT + DAY + 1)
    assert ends(log, "AN5") == [None, "in_use_again", None]


# --- AN5: silence --------------------------------------------------------------------------------------------------


def silent(a_day: int = 5, first_day: int = 28, last_at: int = AT - 24 * HOUR, **line: Any) -> Log:
    """So many uses a day for 14 closed days; the last success; a tick at 10:00."""
    log = Log()
    log.profile(AT - 40 * DAY)
    use(log, local(MONDAY - timedelta(first_day), 12), history=True)
    for back in range(14, 0, -1):
        for n in range(a_day - (back == 1)):
            use(log, local(MONDAY - timedelta(back), 1, n), history=True)
    use(log, last_at, history=True)
    if line:
        log.event("line-status", AT - 2 * DAY, history=True, **line)
    log.tick(AT - MINUTE)
    log.tick(AT)
    return log


@pytest.mark.parametrize(("last_at", "found"), [(AT - 24 * HOUR, ["RAISED"]), (AT - 24 * HOUR + 1, [])])
def test_an5_no_success_for_1440_minutes(last_at: int, found: list[str]) -> None:
    assert states(silent(last_at=last_at), "AN5") == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"a_day": 4}, []),
        ({"first_day": 27}, []),
        ({"status": "ACTIVE"}, ["RAISED"]),
        ({"status": "SUSPENDED_LOST"}, []),
        ({"status": "TERMINATED"}, []),
    ],
)
def test_an5_silence_of_a_busy_active_warm_line(given: dict[str, Any], found: list[str]) -> None:
    assert states(silent(**given), "AN5") == found


def test_an5_silence_is_named_by_its_date_and_ended_by_three_uses() -> None:
    log = silent()
    for n in range(3):
        use(log, AT + 1 + n)
    raised, ended = (m for m in moments_of(log) if m["rule_id"] == "AN5")
    assert (raised["episode"], raised["occurred_at"]) == (MONDAY.isoformat(), AT)
    assert raised["nominal_date"] == ended["nominal_date"] == (MONDAY - date(1970, 1, 1)).days
    assert observed(raised) == {"fault_inquiries": 0, "silent_minutes": 1440, "mean_daily_successes": 5}
    assert ended["resolution"] == "in_use_again"


def test_an5_hours_missed_for_more_than_a_day_are_no_news() -> None:
    log = silent(last_at=AT - 24 * HOUR + MINUTE)
    log.tick(AT + 26 * HOUR)
    assert only(log, "AN5")["occurred_at"] == AT + 2 * HOUR


def test_an5_while_silent_is_raised_once_until_it_expires() -> None:
    log = silent()
    for hour in range(1, 30):
        log.tick(AT + hour * HOUR)
    assert states(log, "AN5") == ["RAISED"]


def test_an5_a_customer_who_was_never_seen_is_not_silent() -> None:
    log = started()
    log.tick(AT)
    assert states(log, "AN5") == []


# --- AN11 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fen", "found"), [(-1, ["RAISED"]), (0, [])])
def test_an11_below_zero_is_arrears(fen: int, found: list[str]) -> None:
    log = started()
    log.event("balance", AT, balance_fen=fen)
    assert states(log, "AN11") == found


@pytest.mark.parametrize(("hours", "found"), [(72, ["RAISED"]), (72.001, []), (0, []), (-1, [])])
def test_an11_a_suspension_forecast_within_72_hours(hours: float, found: list[str]) -> None:
    log = started()
    log.event("line-status", AT, status="ACTIVE", suspension_expected_at=AT + int(hours * HOUR))
    assert states(log, "AN11") == found


@pytest.mark.parametrize(("tier", "channel"), [("TOP", "CALL"), ("MID", "CALL"), ("LOW", "SMS")])
def test_an11_calls_the_mid_and_high_end(tier: str, channel: str) -> None:
    log = started(tier=tier)
    log.event("balance", AT, balance_fen=-5)
    moment = only(log, "AN11")
    assert (moment["channel"], moment["priority"]) == (channel, 1)
    assert observed(moment) == {"balance_fen": -5, "suspension_in_ms": -1}


def test_an11_a_forecast_comes_near_without_an_event() -> None:
    log = started()
    log.event("line-status", AT, status="ACTIVE", suspension_expected_at=local(MONDAY + timedelta(4), 9, 30))
    log.tick(local(MONDAY + timedelta(1), 9, 29))
    assert states(log, "AN11") == []
    log.tick(local(MONDAY + timedelta(1), 9, 30))
    moment = only(log, "AN11")
    assert (moment["episode"], moment["occurred_at"]) == (
        (MONDAY + timedelta(1)).isoformat(), local(MONDAY + timedelta(1), 9, 30),
    )  # fmt: skip
    assert observed(moment)["suspension_in_ms"] == 72 * HOUR


@pytest.mark.parametrize(
    ("event", "end"),
    [
        ({"balance_fen": 0, "reason": "TOP_UP"}, "paid"),
        ({"balance_fen": -1, "reason": "TOP_UP"}, None),
        ({"balance_fen": 5, "reason": "ADJUSTMENT"}, "cleared"),
    ],
)
def test_an11_is_one_moment_until_paid(event: dict[str, Any], end: str | None) -> None:
    log = started()
    log.event("balance", AT, balance_fen=-700)
    log.tick(AT + 10 * DAY)
    log.event("balance", AT + 10 * DAY + 1, **event)
    assert ends(log, "AN11") == [None, *([end] if end else [])]


def test_an11_suspension_is_no_payment_and_leaving_ends_it() -> None:
    log = started()
    log.event("line-status", AT, status="ACTIVE", suspension_expected_at=AT + HOUR)
    log.event("line-status", AT + HOUR, status="SUSPENDED_ARREARS")
    assert ends(log, "AN11") == [None]
    log.event("line-status", AT + 2 * HOUR, status="TERMINATED")
    assert ends(log, "AN11") == [None, "left"]


def test_an11_a_top_up_voids_the_forecast_before_it() -> None:
    log = started()
    log.event("line-status", AT, status="ACTIVE", suspension_expected_at=AT + 60 * HOUR)
    log.event("balance", AT + 1, balance_fen=5000, reason="TOP_UP")
    log.tick(AT + DAY)
    assert ends(log, "AN11") == [None, "paid"]


@pytest.mark.parametrize(("fen", "found"), [(4900, [None, "paid"]), (-100, [None, "paid", None])])
def test_an11_a_charge_after_the_top_up_does_not_bring_the_forecast_back(fen: int, found: list[str | None]) -> None:
    log = started()
    log.event("line-status", AT, status="ACTIVE", suspension_expected_at=AT + 60 * HOUR)
    log.event("balance", AT + 1, balance_fen=5000, reason="TOP_UP")
    log.event("balance", AT + HOUR, balance_fen=fen, reason="CHARGE")
    log.tick(AT + DAY)
    assert ends(log, "AN11") == found


def test_an11_a_top_up_that_arrives_late_voids_the_forecast_all_the_same() -> None:
    log = started()
    log.event("line-status", AT, status="ACTIVE", suspension_expected_at=AT + 60 * HOUR)
    log.event("balance", AT + 2, balance_fen=4900, reason="CHARGE")
    log.event("balance", AT + 1, arrives=AT + 3, balance_fen=5000, reason="TOP_UP")
    log.tick(AT + DAY)
    assert ends(log, "AN11") == [None, "paid"]


@pytest.mark.parametrize(("minutes", "told"), [(29, "1"), (61, "2"), (120, "2")])
def test_an11_tells_hours_rounded_up_and_no_balance_that_is_not_known(minutes: int, told: str) -> None:
    log = started()
    log.event("line-status", AT, status="ACTIVE", suspension_expected_at=AT + minutes * MINUTE)
    moment = only(log, "AN11")
    assert moment["parameters"] == {"balance": "?", "suspension_in": told}
    assert observed(moment)["balance_fen"] is None


def test_an11_a_forecast_that_passed_is_cleared_at_half_past_nine() -> None:
    log = started()
    log.event("line-status", AT, status="ACTIVE", suspension_expected_at=AT + HOUR)
    log.tick(AT + DAY)
    assert ends(log, "AN11") == [None, "cleared"]


@pytest.mark.parametrize(("days", "found"), [(0, 2), (1, 3)])
def test_an11_is_free_again_the_next_day(days: int, found: int) -> None:
    log = started()
    log.event("balance", AT, balance_fen=-1)
    log.event("balance", AT + 1, balance_fen=9000, reason="TOP_UP")
    log.event("balance", AT + 2 + days * DAY, balance_fen=-1)
    assert len(states(log, "AN11")) == found


def test_an11_arrears_of_the_past_are_found_in_the_morning() -> None:
    log = started()
    log.tick(AT)
    log.event("balance", AT, history=True, balance_fen=-1)
    log.tick(AT + HOUR)
    assert states(log, "AN11") == []
    log.tick(AT + DAY)
    assert only(log, "AN11")["history"] is False


def test_an11_an_older_balance_that_arrives_later_changes_nothing() -> None:
    log = started()
    log.event("balance", AT, balance_fen=100)
    log.event("balance", AT - 1, arrives=AT + 1, balance_fen=-100)
    assert states(log, "AN11") == []


def test_an11_keeps_the_birthday_quiet() -> None:
    log = started(birthday="09-08")
    log.event("balance", AT, balance_fen=-1)
    log.tick(local(MONDAY + timedelta(1), 1))
    assert states(log, "SP1") == []
