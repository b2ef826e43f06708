"""AN2 and AN9 at usage, FT7, AN12: the running month, its borders, allowances, contacts."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.reference.logs import run_engine
from tests.reference.records import local
from tests.unit.detector.engine.judged import moments_of
from tests.unit.detector.engine.lives import DAY_ONE, Life, evidence, found, found_by, overridden

MAY = date(2026, 5, 4)


@pytest.mark.parametrize(("charge", "fires"), [(500, True), (499, False)], ids=["on_bound", "below"])
def test_ft7_from_five_yuan_in_a_month(charge: int, fires: bool) -> None:
    life = Life()
    life.use(MAY, charge_fen=charge, out_of_bundle_fen=charge)
    assert found(life, "FT7") == ([("2026-05", "RAISED")] if fires else [])


def test_ft7_adds_up_within_the_month_only_and_waits_for_the_full_hour() -> None:
    life = Life()
    life.use(date(2026, 4, 30), hour=23, charge_fen=300, out_of_bundle_fen=300)
    life.use(date(2026, 5, 1), hour=0, charge_fen=300, out_of_bundle_fen=300)
    assert found(life, "FT7") == []
    life = Life()
    life.event("usage", local(MAY, 10, 20), service="DATA", quantity=1, charge_fen=300, out_of_bundle_fen=300)
    life.event("usage", local(MAY, 10, 40), service="DATA", quantity=1, charge_fen=300, out_of_bundle_fen=300)
    moment = next(m for m in moments_of(life) if m["rule_id"] == "FT7")
    assert moment["earliest_contact_at"] == local(MAY, 11)
    assert moment["expires_at"] == local(date(2026, 6, 1))


@pytest.mark.parametrize(
    ("before", "fires"), [(date(2026, 2, 10), False), (date(2026, 1, 31), True)], ids=["third_month", "fourth_month"]
)
def test_ft7_wants_three_months_without(before: date, fires: bool) -> None:
    life = Life()
    life.use(before, charge_fen=1, out_of_bundle_fen=1)
    life.use(MAY, charge_fen=900, out_of_bundle_fen=900)
    assert bool(found(life, "FT7")) is fires


def test_ft7_knows_earlier_charges_from_bills() -> None:
    life = Life()
    life.bill("2026-03", 10_000, out_of_bundle_fen=1)
    life.use(MAY, charge_fen=900, out_of_bundle_fen=900)
    assert found(life, "FT7") == []


@pytest.mark.parametrize(
    ("action", "category", "end"),
    [("SUBSCRIBE", "DATA_PACK", "pack_bought"), ("SUBSCRIBE", "MUSIC", None), ("CANCEL", "DATA_PACK", None)],
)
def test_ft7_ends_with_a_pack(action: str, category: str, end: str | None) -> None:
    life = Life()
    life.use(MAY, charge_fen=900, out_of_bundle_fen=900)
    life.event("service-order", local(MAY, 12), order_id="o1", action=action, category=category, addon=True)
    assert found(life, "FT7") == [("2026-05", "RAISED"), *([("2026-05", end)] if end else [])]


@pytest.mark.parametrize(("minutes_later", "fires"), [(-1, True), (0, True), (1, False)])
def test_ft7_is_not_raised_for_use_that_is_told_after_a_later_pack(minutes_later: int, fires: bool) -> None:
    life, used = Life(), local(MAY, 10)
    told, use = used + 600_000, dict[str, Any](charge_fen=900, out_of_bundle_fen=900)
    life.event("service-order", used + minutes_later * 60_000, arrives=told, order_id="o1", action="SUBSCRIBE",
               category="DATA_PACK", addon=True)  # fmt: skip
    life.event("usage", used, arrives=told, service="DATA", quantity=1, **use)
    assert bool(found(life, "FT7")) is fires
    life.event("usage", told, arrives=told, service="DATA", quantity=1)
    life.event("usage", told + 1, arrives=told + 1, service="DATA", quantity=1, **use)
    assert found(life, "FT7") == [("2026-05", "RAISED")] * fires


@pytest.mark.parametrize(
    ("used", "steps"),
    [(799, []), (800, ["80"]), (999, ["80"]), (1_000, ["100"])],
    ids=["below", "near", "nearly_full", "full"],
)
def test_an9_at_shares_of_an_allowance(used: int, steps: list[str]) -> None:
    life = Life(plan_data_kib=1_000)
    life.use(MAY, quantity=used)
    assert found(life, "AN9") == [(f"2026-05/{step}", "RAISED") for step in steps]


def test_an9_goes_from_step_to_step_and_begins_anew_with_the_month() -> None:
    life = Life(plan_data_kib=1_000)
    for day, used in ((1, 800), (2, 100), (3, 100), (4, 500)):
        life.use(date(2026, 5, day), quantity=used)
    life.use(date(2026, 6, 1), hour=0, quantity=900)
    assert found(life, "AN9") == [
        ("2026-05/80", "RAISED"), ("2026-05/80", "next_step"), ("2026-05/100", "RAISED"), ("2026-06/80", "RAISED"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"service": "VOICE", "quantity": 900, "direction": "IN"},
        {"service": "SMS", "quantity": 90, "direction": "IN"},
        {"service": "DATA", "quantity": 900, "roaming": True},
    ],
    ids=["incoming_call", "incoming_message", "roaming"],
)
def test_an9_leaves_out_what_no_allowance_is_for(fields: dict[str, Any]) -> None:
    life = Life(plan_data_kib=1_000, plan_voice_seconds=1_000, plan_sms=100)
    life.event("usage", local(MAY), **fields)
    assert found(life, "AN9") == []


def test_an9_late_records_of_a_past_month_add_nothing() -> None:
    life = Life(plan_data_kib=1_000)
    life.use(date(2026, 5, 31), quantity=700)
    life.use(date(2026, 6, 1), quantity=1)
    life.event("usage", local(date(2026, 5, 31), 23), arrives=local(date(2026, 6, 1), 11), service="DATA", quantity=200)
    assert found(life, "AN9") == []


def test_an9_ends_with_another_plan() -> None:
    life = Life(plan_data_kib=1_000)
    life.use(MAY, quantity=900)
    life.event("service-order", local(MAY, 12), order_id="o1", action="CHANGE", category="VOICE_PLAN", addon=True)
    life.event("service-order", local(MAY, 13), order_id="o2", action="CHANGE", category="VOICE_PLAN")
    assert found(life, "AN9") == [("2026-05/80", "RAISED"), ("2026-05/80", "plan_changed")]


def month_of_small_days(charge: int = 100) -> Life:
    life = Life()
    life.days(DAY_ONE, DAY_ONE + timedelta(29), "DATA", charge_fen=charge)
    return life


@pytest.mark.parametrize(("charge", "fires"), [(3_000, True), (2_999, False)], ids=["on_bound", "below"])
def test_an2_one_dear_day(charge: int, fires: bool) -> None:
    life = month_of_small_days()
    life.use(DAY_ONE + timedelta(30), hour=11, charge_fen=charge)
    assert bool(found(life, "AN2")) is fires


def test_an2_a_dear_day_wants_thirty_observed_days() -> None:
    life = Life()
    life.days(DAY_ONE + timedelta(1), DAY_ONE + timedelta(29), "DATA", charge_fen=1)
    life.use(DAY_ONE + timedelta(30), charge_fen=9_000)
    assert found(life, "AN2") == []


@pytest.mark.parametrize(
    ("known", "mean", "told"), [(0, None, "?"), (1, 10_000, "100.00"), (2, 9_000, "90.00"), (3, 8_000, "80.00")]
)
def test_an2_compares_with_the_mean_of_the_bills_that_are_known(known: int, mean: int | None, told: str) -> None:
    life = month_of_small_days()
    for n in range(known):
        life.bill(f"2026-0{3 - n}", 10_000 - n * 2_000, on=date(2026, 4, 1 + n))
    life.use(DAY_ONE + timedelta(35), hour=11, charge_fen=30_000)
    moment = next(m for m in moments_of(life) if m["rule_id"] == "AN2")
    assert moment["evidence"][0]["baseline"] == mean
    assert (moment["parameters"]["known"], moment["parameters"]["mean_bill"]) == (str(known), told)


def test_an2_counts_the_last_24_clock_hours() -> None:
    life = month_of_small_days(1)
    day = DAY_ONE + timedelta(30)
    life.use(day, hour=10, charge_fen=1_500)
    life.use(day + timedelta(1), hour=10, charge_fen=1_500)
    assert found(life, "AN2") == []
    life.use(day + timedelta(2), hour=9, charge_fen=1_500)
    assert found(life, "AN2") == [("2026-04", "RAISED")]


def test_an2_of_a_running_month_is_ended_by_its_bill_and_told_once() -> None:
    life = Life(plan_fee_fen=5_000)
    for cycle in ("2026-02", "2026-03", "2026-04"):
        life.bill(cycle, 10_000)
    for day in (10, 12, 14, 16):
        life.use(date(2026, 5, day), charge_fen=2_499)
    assert found(life, "AN2") == []
    life.use(date(2026, 5, 18), charge_fen=4)
    life.bill("2026-05", 90_000)
    assert found(life, "AN2") == [("2026-05", "RAISED"), ("2026-05", "next_bill")]


def test_an2_of_july_is_not_ended_by_the_bill_of_june() -> None:
    life = Life()
    for cycle in ("2026-03", "2026-04", "2026-05", "2026-06"):
        life.bill(cycle, 10_000, on=date(2026, 7, 20) if cycle == "2026-06" else None)
    life.entries.pop()
    life.days(date(2026, 6, 1), date(2026, 6, 30), "DATA", charge_fen=10)
    life.use(date(2026, 7, 1), charge_fen=4_000)
    life.bill("2026-06", 90_000)
    assert found(life, "AN2") == [("2026-07", "RAISED")]


def four_months(on: int, off: int) -> Life:
    """Calls of February to May: on net and off net seconds a month; the customer is known from January on."""
    life = Life()
    life.use(date(2026, 1, 20), "DATA")
    for month in (2, 3, 4):
        life.use(date(2026, month, 10), "VOICE", quantity=on, counterpart_network="ON_NET")
        life.use(date(2026, month, 11), "VOICE", quantity=off, counterpart_network="OFF_NET")
    return life


@pytest.mark.parametrize(("off", "fires"), [(1_200, True), (1_199, False)], ids=["twenty_points", "below"])
def test_an12_share_of_other_networks(off: int, fires: bool) -> None:
    life = four_months(1_600, 400)
    life.use(date(2026, 5, 5), "VOICE", quantity=3_000 - off, counterpart_network="ON_NET")
    life.use(date(2026, 5, 6), "VOICE", quantity=off, counterpart_network="OFF_NET")
    life.tick(local(date(2026, 6, 1), 5, 59))
    assert found(life, "AN12") == []
    life.tick(local(date(2026, 6, 1), 6, 1))
    assert found(life, "AN12") == ([("2026-06-01", "RAISED")] if fires else [])


@pytest.mark.parametrize(("off", "fires"), [(651, True), (650, False)])
def test_an12_is_exact_on_a_bound_that_has_no_binary_fraction(off: int, fires: bool) -> None:
    life, on = four_months(503, 97), 1_800 - off
    life.use(date(2026, 5, 5), "VOICE", quantity=on, counterpart_network="ON_NET")
    life.use(date(2026, 5, 6), "VOICE", quantity=off, counterpart_network="OFF_NET")
    life.tick(local(date(2026, 6, 1), 6, 1))
    assert bool(found(life, "AN12")) is fires


@pytest.mark.parametrize("seconds", [1_799, 1_800])
def test_an12_wants_thirty_minutes(seconds: int) -> None:
    life = four_months(1_600, 400)
    life.use(date(2026, 5, 6), "VOICE", quantity=seconds, counterpart_network="OFF_NET")
    life.tick(local(date(2026, 6, 1), 7))
    assert bool(found(life, "AN12")) is (seconds >= 1_800)


def test_an12_is_cold_until_four_whole_months_were_observed() -> None:
    life = four_months(1_600, 400)
    life.entries = [e for e in life.entries if e[0] == "tick" or e[2]["occurred_at"] >= local(date(2026, 2, 10))]
    life.use(date(2026, 5, 6), "VOICE", quantity=3_000, counterpart_network="OFF_NET")
    life.tick(local(date(2026, 6, 1), 7))
    assert found(life, "AN12") == []


@pytest.mark.parametrize(("moved", "back", "fires"), [(3, 0, True), (2, 0, False), (3, 1, False)])
def test_an12_three_contacts_that_moved(moved: int, back: int, fires: bool) -> None:
    life = Life()
    life.use(date(2026, 1, 20), "DATA")
    for who in range(moved):
        call: dict[str, Any] = {"counterpart_key": 1_000 + who, "quantity": 60}
        life.use(date(2026, 4, 10), "VOICE", hour=10, counterpart_network="ON_NET", **call)
        life.use(date(2026, 5, 10), "VOICE", hour=11 + who, counterpart_network="OFF_NET", **call)
    for who in range(back):
        life.use(date(2026, 5, 20), "VOICE", counterpart_network="ON_NET", counterpart_key=1_000 + who, quantity=60)
    life.tick(local(date(2026, 6, 1), 7))
    assert bool(found(life, "AN12")) is fires


def test_an12_forgets_moves_of_long_ago() -> None:
    life = Life()
    life.use(date(2026, 1, 20), "DATA")
    for who in range(3):
        call: dict[str, Any] = {"counterpart_key": 1_000 + who, "quantity": 6_000}
        life.use(date(2026, 3, 2), "VOICE", hour=10 + who, counterpart_network="ON_NET", **call)
        life.use(date(2026, 4, 1), "VOICE", hour=10 + who, counterpart_network="OFF_NET", **call)
    life.tick(local(date(2026, 6, 1), 7))
    assert found(life, "AN12") == []  # 61 days


def test_cities_have_shares_of_their_own() -> None:
    rules = overridden("AN9", "near_percent", "value: 80", "city: {SZ: 50}, value: 80")
    for city, wanted in (("SZ", [("2026-05/80", "RAISED")]), ("NJ", [])):
        life = Life(city=city, plan_data_kib=1_000)
        life.use(MAY, quantity=500)
        assert found_by(rules, life, "AN9") == wanted


@pytest.mark.parametrize(("used", "layer"), [(900, "CITY"), (1_000, "PROVINCE")])
def test_an9_tells_the_layer_of_the_step_that_was_passed(used: int, layer: str) -> None:
    rules = overridden("AN9", "near_percent", "value: 80", "city: {SZ: 50}, value: 80")
    life = Life(city="SZ", plan_data_kib=1_000)
    life.use(MAY, quantity=used)
    assert evidence(run_engine(life.entries, rules=rules)[0], "AN9", "used_data_kib")["layer"] == layer


def test_evidence_tells_what_was_used_of_what() -> None:
    life = Life(plan_data_kib=1_000)
    life.use(MAY, quantity=850)
    told = evidence(moments_of(life), "AN9", "used_data_kib")
    assert (told["observed"], told["baseline"], told["threshold"], told["layer"]) == (850, 1_000, 800, "PROVINCE")
