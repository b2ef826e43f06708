"""AN16, SP2, SP3: days before a contract ends, before festivals, and anniversaries; catch-up, leap days."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.detector.engine.customer.festivals import FESTIVALS, festivals_after, festivals_of
from tests.reference.records import Log, local
from tests.unit.detector.engine.judged import moments_of
from tests.unit.detector.engine.lives import found, found_by, overridden

EPOCH = date(1970, 1, 1)


def known(today: date, **profile: Any) -> Log:
    """A customer who is known on the day before, and then the nominal minute of today."""
    log = Log()
    log.tick(local(today - timedelta(1), 11))
    log.profile(local(today - timedelta(1), 12), **profile)
    return log


def at_midnight(log: Log, day: date) -> Log:
    log.tick(local(day, 0, 6))
    return log


def number(day: date) -> int:
    return (day - EPOCH).days


TODAY = date(2026, 5, 12)


@pytest.mark.parametrize(
    ("days", "channel"), [(61, None), (60, "SMS"), (59, None), (30, "CALL"), (7, "CALL"), (6, None), (0, None)]
)
def test_an16_on_three_days_exactly(days: int, channel: str | None) -> None:
    log = at_midnight(known(TODAY, contract_ends_on=number(TODAY + timedelta(days))), TODAY)
    moments = [m for m in moments_of(log) if m["rule_id"] == "AN16"]
    assert [(m["episode"], m["channel"]) for m in moments] == (
        [(f"{(TODAY + timedelta(days)).isoformat()}/{days}", channel)] if channel else []
    )


def test_an16_each_step_by_itself_and_a_missed_one_is_not_made_up() -> None:
    ends = TODAY + timedelta(30)
    log = at_midnight(known(TODAY, contract_ends_on=number(ends)), TODAY)
    for n in range(1, 25):
        at_midnight(log, TODAY + timedelta(n))
    assert found(log, "AN16") == [(f"{ends}/30", "RAISED"), (f"{ends}/7", "RAISED")]


@pytest.mark.parametrize(("days_before_end", "fires"), [(90, False), (91, True)])
def test_an16_not_after_a_renewal(days_before_end: int, fires: bool) -> None:
    ends = TODAY + timedelta(60)
    log = Log()
    log.tick(local(TODAY - timedelta(40)))
    log.profile(local(TODAY - timedelta(40)), contract_ends_on=number(ends))
    log.event("service-order", local(ends - timedelta(days_before_end), 9), order_id="o1", action="RENEW",
              category="VOICE_PLAN")  # fmt: skip
    assert bool(found(at_midnight(log, TODAY), "AN16")) is fires


@pytest.mark.parametrize(
    ("kind", "fields", "end"),
    [
        ("customer", {"contract_ends_on": number(TODAY + timedelta(400))}, "renewed"),
        ("customer", {"contract_ends_on": number(TODAY + timedelta(3))}, "contract_changed"),
        ("customer", {"contract_ends_on": None}, "contract_changed"),
        ("service-order", {"order_id": "o1", "action": "RENEW", "category": "BROADBAND"}, "renewed"),
        ("service-order", {"order_id": "o1", "action": "RENEW", "category": "MUSIC", "addon": True}, None),
    ],
    ids=["later", "earlier", "none", "order", "add_on"],
)
def test_an16_ends_with_a_renewal(kind: str, fields: dict[str, Any], end: str | None) -> None:
    ends = TODAY + timedelta(30)
    log = at_midnight(known(TODAY, contract_ends_on=number(ends)), TODAY)
    if kind == "customer":
        fields = {"city": "NJ", "segment": "GO", "tier": "MID", **fields}
    log.event(kind, local(TODAY, 12), **fields)
    assert found(log, "AN16") == [(f"{ends}/30", "RAISED"), *([(f"{ends}/30", end)] if end else [])]


@pytest.mark.parametrize("at", [local(TODAY, 0, 5), local(TODAY, 0, 5, 30), local(TODAY, 0, 4), local(TODAY) - 60_000])
def test_an16_ends_with_a_renewal_that_becomes_known_later(at: int) -> None:
    """It was ordered within the minute of the raise, or before."""
    ends = TODAY + timedelta(30)
    log = at_midnight(known(TODAY, contract_ends_on=number(ends)), TODAY)
    log.event("service-order", at, arrives=local(TODAY, 12), order_id="o1", action="RENEW", category="BROADBAND")
    assert found(log, "AN16") == [(f"{ends}/30", "RAISED"), (f"{ends}/30", "renewed")]


def test_an16_is_caught_up_for_its_nominal_day() -> None:
    ends = TODAY + timedelta(30)
    log = known(TODAY, contract_ends_on=number(ends))
    log.tick(local(TODAY + timedelta(3), 15))
    (moment,) = [m for m in moments_of(log) if m["rule_id"] == "AN16"]
    assert EPOCH + timedelta(moment["nominal_date"]) == TODAY
    assert moment["expires_at"] == local(TODAY + timedelta(8))


@pytest.mark.parametrize(
    ("today", "names"),
    [
        (date(2026, 2, 14), ["spring-festival-2026"]),  # a Saturday that is worked
        (date(2026, 2, 13), []),
        (date(2026, 9, 24), ["mid-autumn-2026"]),
        (date(2025, 9, 30), ["national-day-2025", "mid-autumn-2025"]),
        (date(2026, 12, 31), ["new-year-2027"]),  # beyond what is announced: Monday to Friday
        (date(2026, 12, 30), []),
    ],
    ids=["make_up_day", "day_before", "mid_autumn", "two_at_once", "next_year", "ordinary"],
)
def test_sp2_on_the_last_working_day_before_a_festival(today: date, names: list[str]) -> None:
    log = at_midnight(known(today), today)
    assert found(log, "SP2") == [(name, "RAISED") for name in names]
    for moment in moments_of(log):
        if moment["rule_id"] == "SP2":
            assert (moment["channel"], moment["priority"]) == ("SMS", 5)


def test_sp2_is_good_until_the_festival_is_over_and_said_once() -> None:
    today = date(2026, 2, 14)
    log = known(today)
    for n in range(5):
        at_midnight(log, today + timedelta(n))
    (moment,) = [m for m in moments_of(log) if m["rule_id"] == "SP2"]
    assert moment["expires_at"] == local(date(2026, 2, 18))
    assert moment["earliest_contact_at"] == local(today, 9, 30)


def test_every_festival_of_every_year_has_one_working_day_before() -> None:
    for year in range(2015, 2036):
        found_: list[int] = []
        for n in range(number(date(year - 1, 12, 20)), number(date(year, 12, 20))):
            found_ += [festival for festival in festivals_after(n)[::2] if festival]
        assert sorted(found_) == list(range(1, len(FESTIVALS)))
        assert len(festivals_of(year)) == len(FESTIVALS) - 1


@pytest.mark.parametrize(
    ("year", "day"), [(2004, 4), (2008, 4), (2012, 4), (2015, 5), (2016, 4), (2024, 4), (2025, 4), (2026, 5), (2027, 5)]
)
def test_qingming_is_on_the_day_of_the_almanac(year: int, day: int) -> None:
    assert (date(year, 4, day), 3) in festivals_of(year)


@pytest.mark.parametrize(
    ("joined", "today", "priority"),
    [
        (date(2021, 5, 12), TODAY, 4), (date(2016, 5, 12), TODAY, 4), (date(2011, 5, 12), TODAY, 4),
        (date(2006, 5, 12), TODAY, 5), (date(2025, 5, 12), TODAY, 5), (TODAY, TODAY, None),
        (date(2021, 5, 11), TODAY, None), (date(2020, 2, 29), date(2026, 2, 28), 5),
        (date(2020, 2, 29), date(2028, 2, 28), None), (date(2020, 2, 29), date(2028, 2, 29), 5),
    ],
    ids=["5", "10", "15", "20", "1", "day_itself", "day_after", "leap_day", "leap_year", "leap_day_in_leap_year"],
)  # fmt: skip
def test_sp3_on_the_day_of_joining(joined: date, today: date, priority: int | None) -> None:
    log = at_midnight(known(today, joined_on=number(joined)), today)
    moments = [m for m in moments_of(log) if m["rule_id"] == "SP3"]
    assert [(m["priority"], m["channel"]) for m in moments] == (
        [(priority, "CALL" if priority == 4 else "SMS")] if priority else []
    )


def test_sp3_of_each_year_and_for_customers_without_events() -> None:
    log = known(TODAY, joined_on=number(date(2022, 5, 12)))
    at_midnight(log, TODAY)
    for n in range(1, 7):
        at_midnight(log, TODAY + timedelta(60 * n))
    at_midnight(log, TODAY + timedelta(365))
    assert [day for day, _ in found(log, "SP3")] == ["2026-05-12", "2027-05-12"]


def test_sp3_cities_have_milestones_of_their_own() -> None:
    rules = overridden("SP3", "first_milestone", "value: 5", "city: {SZ: 3}, value: 5")
    log = at_midnight(known(TODAY, joined_on=number(date(2023, 5, 12)), city="SZ"), TODAY)
    assert found_by(rules, log, "SP3") == [("2026-05-12", "RAISED")]


def test_without_a_customer_record_no_date_is_kept() -> None:
    log = Log()
    log.tick(local(TODAY - timedelta(2)))
    log.event("balance", local(TODAY - timedelta(1)), balance_fen=1)
    assert moments_of(at_midnight(log, TODAY)) == []
