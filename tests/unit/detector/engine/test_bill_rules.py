"""FT6, AN2 at bills, AN6, AN9 at bills, AN10: fires, just does not, order, corrections, cycles, layers."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.reference.records import local
from tests.unit.detector.engine.judged import moments_of
from tests.unit.detector.engine.lives import DAY_ONE, Life, evidence, found, found_by, overridden


def three_bills(total: int = 10_000, **profile: Any) -> Life:
    """Bills of February to April, known when March began or later."""
    life = Life(**profile)
    for cycle in ("2026-02", "2026-03", "2026-04"):
        life.bill(cycle, total)
    return life


@pytest.mark.parametrize(
    ("total", "fires"), [(15_000, True), (14_999, False), (200_000, True)], ids=["on_bound", "below", "far"]
)
def test_an2_rises_from_half_as_much_again(total: int, fires: bool) -> None:
    life = three_bills()
    life.bill("2026-05", total)
    assert found(life, "AN2") == ([("2026-05", "RAISED")] if fires else [])


@pytest.mark.parametrize(("total", "fires"), [(7_000, True), (6_999, False)], ids=["on_bound", "below"])
def test_an2_wants_fifty_yuan_more(total: int, fires: bool) -> None:
    life = three_bills(2_000)
    life.bill("2026-05", total)
    assert bool(found(life, "AN2")) is fires


@pytest.mark.parametrize(("rule", "total"), [("AN2", 90_000), ("AN6", 10)])
def test_two_bills_are_a_cold_baseline(rule: str, total: int) -> None:
    life = Life()
    life.bill("2026-03", 10_000)
    life.bill("2026-04", 10_000)
    life.bill("2026-05", total)
    assert found(life, rule) == []


@pytest.mark.parametrize(("rule", "total"), [("AN2", 90_000), ("AN6", 10)])
def test_a_hole_in_the_cycles_is_a_cold_baseline(rule: str, total: int) -> None:
    life = Life()
    for cycle in ("2026-01", "2026-02", "2026-04"):
        life.bill(cycle, 10_000)
    life.bill("2026-05", total)
    assert found(life, rule) == []


def test_an2_is_ended_by_the_next_bill_which_may_raise_again() -> None:
    life = three_bills()
    life.bill("2026-05", 20_000)
    life.bill("2026-06", 40_000)
    life.bill("2026-07", 10_000)
    assert found(life, "AN2") == [
        ("2026-05", "RAISED"), ("2026-05", "next_bill"), ("2026-06", "RAISED"), ("2026-06", "next_bill"),
    ]  # fmt: skip


def test_a_correction_takes_the_ground_away_and_the_cycle_stays_told() -> None:
    life = three_bills()
    life.bill("2026-05", 20_000)
    life.bill("2026-05", 10_000, on=date(2026, 6, 5))
    life.bill("2026-05", 20_000, on=date(2026, 6, 6))
    assert found(life, "AN2") == [("2026-05", "RAISED"), ("2026-05", "corrected")]


def test_a_correction_may_bring_it_up() -> None:
    life = three_bills()
    life.bill("2026-05", 10_000)
    life.bill("2026-05", 20_000, on=date(2026, 6, 5))
    assert found(life, "AN2") == [("2026-05", "RAISED")]


def test_a_bill_that_comes_twice_counts_once() -> None:
    life = three_bills()
    life.bill("2026-05", 20_000)
    life.entries.append(life.entries[-1])
    assert found(life, "AN2") == [("2026-05", "RAISED")]


def test_a_bill_of_an_earlier_cycle_is_kept_and_not_judged() -> None:
    """April's bill comes after May's: May was cold, April says nothing of its own, June is warm."""
    life = Life()
    for cycle in ("2026-02", "2026-03", "2026-05"):
        life.bill(cycle, 10_000)
    life.event("bill", local(date(2026, 5, 3)), arrives=local(date(2026, 6, 5)), cycle="2026-04", total_fen=90_000)
    life.bill("2026-06", 90_000)
    assert found(life, "AN2") == [("2026-06", "RAISED")]
    assert evidence(moments_of(life), "AN2", "month_charge_fen")["baseline"] == pytest.approx(110_000 / 3)


@pytest.mark.parametrize("is_history", [False, True])
@pytest.mark.parametrize("cycle", ["2062-07", "2026-07"])
def test_a_bill_for_a_cycle_far_ahead_is_not_taken(cycle: str, is_history: bool) -> None:
    """It would be the newest cycle for ever, and make all other bills old."""
    life = three_bills()
    life.bill(cycle, 10, on=date(2026, 5, 20), history=is_history)
    life.bill("2026-05", 90_000)
    assert found(life, "AN2") == [("2026-05", "RAISED")]


def test_a_bill_for_the_next_month_is_kept_and_not_judged() -> None:
    life = three_bills()
    life.bill("2026-05", 90_000, on=date(2026, 4, 20))
    assert found(life, "AN2") == []
    life.bill("2026-06", 90_000)
    assert found(life, "AN2") == [("2026-06", "RAISED")]


@pytest.mark.parametrize(("days", "cycles"), [(400, ["2026-03", "2027-04"]), (401, ["2026-03"])])
def test_a_plan_said_to_begin_far_ahead_is_not_taken(days: int, cycles: list[str]) -> None:
    life = Life()
    for n, ahead in enumerate((0, days)):
        begins = (DAY_ONE + timedelta(1 + ahead) - date(1970, 1, 1)).days
        order: dict[str, Any] = {
            "order_id": f"o{n}",
            "action": "CHANGE",
            "category": "VOICE_PLAN",
            "effective_on": begins,
        }
        life.event("service-order", local(DAY_ONE + timedelta(1), 9 + n), **order)
    life.bill("2026-03", 10_000)
    life.bill("2027-04", 10_000)
    assert found(life, "FT6") == [(cycle, "RAISED") for cycle in cycles]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_ft6_knows_both_plans_that_begin_in_neighbouring_cycles(is_reversed: bool) -> None:
    """The second one is ordered before the bill of the first; the orders may come in any order."""
    life = Life()
    told, order = local(date(2026, 4, 1), 10), dict[str, Any](action="CHANGE", category="VOICE_PLAN")
    for day in (date(2026, 3, 10), date(2026, 4, 1))[:: -1 if is_reversed else 1]:
        life.event("service-order", local(day, 9), arrives=told, order_id=str(day), **order)
    for cycle in ("2026-02", "2026-03", "2026-04", "2026-05"):
        life.bill(cycle, 10_000, on=date(2026, 4, 2) if cycle == "2026-02" else None)
    assert found(life, "FT6") == [("2026-03", "RAISED"), ("2026-04", "RAISED")]


def test_a_bill_about_long_ago_is_not_judged() -> None:
    life = three_bills()
    life.bill("2026-05", 90_000, on=date(2026, 8, 1))
    assert found(life, "AN2") == []


def test_a_bill_that_comes_after_its_moment_would_have_expired_is_not_raised() -> None:
    life = three_bills()
    life.event("bill", local(date(2026, 6, 3)), arrives=local(date(2026, 7, 20)), cycle="2026-05", total_fen=90_000)
    assert found(life, "AN2") == []


def test_bills_of_the_past_fill_the_baseline_and_raise_nothing() -> None:
    life = Life()
    for cycle, total in (("2026-02", 10_000), ("2026-03", 10_000), ("2026-04", 10_000), ("2026-05", 90_000)):
        life.event("bill", local(date(2026, int(cycle[-2:]) + 1, 3)), history=True, cycle=cycle, total_fen=total)
    assert found(life, "AN2") == []
    life.bill("2026-06", 100_000)
    assert found(life, "AN2") == [("2026-06", "RAISED")]


def test_without_a_customer_record_nothing_is_found() -> None:
    life = three_bills()
    life.entries.pop(1)
    life.bill("2026-05", 90_000)
    assert found(life, "AN2") == []


@pytest.mark.parametrize(
    ("city", "segment", "fires"),
    [("NJ", "GO", True), ("SZ", "GO", False), ("SZ", "BRAND", True)],
    ids=["province", "city", "city_and_segment"],
)
def test_cities_and_segments_have_bounds_of_their_own(city: str, segment: str, fires: bool) -> None:
    rules = overridden(
        "AN2", "rise_percent", "value: 150", "city: {SZ: 300}, city_and_segment: {SZ/BRAND: 150}, value: 150"
    )
    life = three_bills(city=city, segment=segment)
    life.bill("2026-05", 20_000)
    assert bool(found_by(rules, life, "AN2")) is fires


@pytest.mark.parametrize(("total", "fires"), [(7_000, True), (7_001, False)], ids=["on_bound", "above"])
def test_an6_declines_to_seventy_percent(total: int, fires: bool) -> None:
    life = three_bills()
    life.bill("2026-05", total)
    assert found(life, "AN6") == ([("2026-05", "RAISED")] if fires else [])


def test_an6_recovers_or_is_told_of_the_next_cycle() -> None:
    life = three_bills()
    life.bill("2026-05", 5_000)
    life.bill("2026-06", 1_000)
    life.bill("2026-07", 20_000)
    assert found(life, "AN6") == [
        ("2026-05", "RAISED"), ("2026-05", "next_bill"), ("2026-06", "RAISED"), ("2026-06", "recovered"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make_up", "before", "fires"),
    [(2_000, 0, True), (1_999, 0, False), (1, 1, True), (0, 1_999, False)],
    ids=["large", "not_large", "twice", "over"],
)
def test_an10_is_large_or_in_two_cycles_running(make_up: int, before: int, fires: bool) -> None:
    life = Life()
    life.bill("2026-03", 10_000, make_up_fen=before)
    life.bill("2026-04", 10_000, make_up_fen=make_up)
    assert [each for each in found(life, "AN10") if each[0] == "2026-04"] == ([("2026-04", "RAISED")] if fires else [])


def test_an10_ends_when_another_plan_is_ordered() -> None:
    life = Life()
    life.bill("2026-03", 10_000, make_up_fen=2_000)
    life.event("service-order", local(date(2026, 4, 5)), order_id="o1", action="CHANGE", category="DATA_PACK")
    life.event("service-order", local(date(2026, 4, 6)), order_id="o2", action="CHANGE", category="VOICE_PLAN")
    assert found(life, "AN10") == [("2026-03", "RAISED"), ("2026-03", "plan_changed")]
    assert [m["occurred_at"] for m in moments_of(life)][-1] == local(date(2026, 4, 6))


@pytest.mark.parametrize(("rule", "episode"), [("AN10", "2026-03"), ("AN9", "2026-03/bill")])
@pytest.mark.parametrize(("later", "ends"), [(-1, False), (0, False), (1, True), (59_999, True)])
@pytest.mark.parametrize("is_order_first", [False, True])
def test_a_plan_ordered_just_after_a_bill_ends_it_or_keeps_it_from_being_raised(
    rule: str, episode: str, later: int, ends: bool, is_order_first: bool
) -> None:
    life, run = Life(), local(date(2026, 4, 3), 8)
    for is_order in (is_order_first, not is_order_first):
        if is_order:
            life.event("service-order", run + later, arrives=run + 60_000, order_id="o1", action="CHANGE",
                       category="VOICE_PLAN")  # fmt: skip
        else:
            life.event("bill", run, arrives=run + 60_000, cycle="2026-03", total_fen=10_000, make_up_fen=2_000,
                       out_of_bundle_fen=3_000)  # fmt: skip
    whole = [(episode, "RAISED"), *([(episode, "plan_changed")] if ends else [])]
    assert found(life, rule) == ([] if ends and is_order_first else whole)


@pytest.mark.parametrize(
    ("extra", "fee", "fires"),
    [(3_000, 0, True), (2_999, 0, False), (1_500, 5_000, True), (1_499, 5_000, False), (0, 0, False)],
    ids=["thirty_yuan", "below", "thirty_percent", "below_percent", "none"],
)
def test_an9_at_the_bill(extra: int, fee: int, fires: bool) -> None:
    life = Life()
    life.bill("2026-03", 10_000, out_of_bundle_fen=extra, plan_fee_fen=fee)
    assert found(life, "AN9") == ([("2026-03/bill", "RAISED")] if fires else [])


def test_an9_calls_when_two_cycles_running_were_over() -> None:
    life = Life()
    life.bill("2026-03", 10_000, out_of_bundle_fen=4_000)
    life.bill("2026-04", 10_000, out_of_bundle_fen=4_000)
    moments = [m for m in moments_of(life) if m["rule_id"] == "AN9" and m["state"] == "RAISED"]
    assert [m["channel"] for m in moments] == ["SMS", "CALL"]


@pytest.mark.parametrize(
    ("joined", "cycle", "fires"),
    [(date(2026, 3, 31), "2026-03", True), (date(2026, 3, 31), "2026-04", False), (date(2015, 1, 1), "2026-03", False)],
    ids=["month_of_joining", "second", "merely_first_seen"],
)
def test_ft6_is_the_bill_of_the_month_of_joining(joined: date, cycle: str, fires: bool) -> None:
    life = Life(joined_on=(joined - date(1970, 1, 1)).days)
    life.bill(cycle, 10_000)
    assert found(life, "FT6") == ([(cycle, "RAISED")] if fires else [])


@pytest.mark.parametrize(
    ("total", "channel"), [(12_000, "CALL"), (8_000, "CALL"), (11_999, "SMS"), (8_001, "SMS")]
)  # fmt: skip
def test_ft6_is_the_first_bill_under_a_new_plan_and_calls_when_it_deviates(total: int, channel: str) -> None:
    life = Life(plan_fee_fen=5_000)
    begins = (date(2026, 4, 1) - date(1970, 1, 1)).days
    life.event("service-order", local(date(2026, 3, 20)), order_id="o1", action="CHANGE", category="VOICE_PLAN",
               effective_on=begins)  # fmt: skip
    life.bill("2026-03", total, plan_fee_fen=10_000)
    life.bill("2026-04", total, plan_fee_fen=10_000)
    assert found(life, "FT6") == [("2026-04", "RAISED")]
    assert next(m for m in moments_of(life) if m["rule_id"] == "FT6")["channel"] == channel
