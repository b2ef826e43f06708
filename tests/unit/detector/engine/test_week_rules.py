"""AN3, AN8, AN13: a closed week against the four before; shields, recovery, memory of weeks, cool-down."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.reference.logs import run_engine
from tests.reference.records import local
from tests.unit.detector.engine.judged import moments_of
from tests.unit.detector.engine.lives import DAY_ONE, Life, found, found_by, overridden

WEEK = timedelta(7)
JUDGED = DAY_ONE + 5 * WEEK
"""The Monday after five weeks of use."""


def weeks(service: str, *amounts: int, what: str = "quantity", **profile: Any) -> Life:
    """So much of something on the Wednesday of each week from the first on, and a first sign on its Monday."""
    life = Life(**profile)
    life.use(DAY_ONE, "SMS", hour=1)
    for n, amount in enumerate(amounts):
        life.use(DAY_ONE + n * WEEK + timedelta(2), service, **{what: amount})
    return life


def charges(*amounts: int, **profile: Any) -> Life:
    return weeks("SMS", *amounts, what="charge_fen", **profile)


def judged(life: Life, *mondays: date) -> Life:
    for monday in mondays or (JUDGED,):
        life.tick(local(monday, 6, 1))
    return life


@pytest.mark.parametrize(
    ("before", "last", "fires"),
    [(4_000, 2_000, True), (4_000, 2_001, False), (2_000, 1_000, True), (1_998, 999, False)],
    ids=["on_bound", "above", "ten_yuan_less", "not_ten_yuan"],
)
def test_an3_falls_to_half(before: int, last: int, fires: bool) -> None:
    life = judged(charges(before, before, before, before, last))
    assert found(life, "AN3") == ([(JUDGED.isoformat(), "RAISED")] if fires else [])


def test_an3_is_cold_before_35_observed_days() -> None:
    life = charges(4_000, 4_000, 4_000, 4_000, 0)
    life.entries = [e for e in life.entries if e[0] == "tick" or e[1] != "usage" or e[2]["charge_fen"]]
    assert found(judged(life), "AN3") == []


@pytest.mark.parametrize(("rule", "service"), [("AN3", "SMS"), ("AN7", "VOICE"), ("AN13", "DATA")])
@pytest.mark.parametrize("used_first", [False, True])
def test_only_usage_warms_a_rule_about_usage(rule: str, service: str, used_first: bool) -> None:
    """Bills, orders and balances of the past are loaded; usage begins later."""
    life = Life()
    life.bill("2026-01", 5_000, on=DAY_ONE, history=True)
    life.event("balance", local(DAY_ONE, 9), balance_fen=9_000, history=True)
    life.event("service-order", local(DAY_ONE, 9), order_id="o1", action="RENEW", category="TV", history=True)
    if used_first:
        life.use(DAY_ONE, "SMS", hour=1)
    life.use(JUDGED - 2 * WEEK, service, quantity=4 * 512_000, charge_fen=20_000)
    assert bool(found(judged(life), rule)) is used_first


SHIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plan": ("service-order", {"order_id": "o1", "action": "CHANGE", "category": "VOICE_PLAN"}),
    "suspension": ("line-status", {"status": "SUSPENDED_VOLUNTARY"}),
    "journey": ("roaming", {"country": "JP", "state": "LEFT"}),
    "roaming_use": ("usage", {"service": "SMS", "quantity": 1, "roaming": True}),
}


@pytest.mark.parametrize("shield", SHIELDS)
@pytest.mark.parametrize(("days_before", "fires"), [(35, False), (36, True)])
def test_an3_is_shielded_by_what_explains_the_fall(shield: str, days_before: int, fires: bool) -> None:
    kind, fields = SHIELDS[shield]
    life = charges(4_000, 4_000, 4_000, 4_000, 4_000, 0)
    monday = JUDGED + WEEK
    life.event(kind, local(monday - timedelta(days_before), 9), **fields)
    if kind == "line-status":  # resumed the same day
        life.event(kind, local(monday - timedelta(days_before), 10), status="ACTIVE")
    assert bool(found(judged(life, monday), "AN3")) is fires


@pytest.mark.parametrize(("began", "fires"), [(35, False), (36, True)])
@pytest.mark.parametrize("begins", [1, 30])
def test_an3_is_not_shielded_by_a_plan_that_is_yet_to_begin(began: int, begins: int, fires: bool) -> None:
    """Nor does it hide the plan before it."""
    life = charges(4_000, 4_000, 4_000, 4_000, 4_000, 0)
    monday = JUDGED + WEEK
    for days in (-began, begins):
        begins_on = (monday + timedelta(days) - date(1970, 1, 1)).days
        life.event("service-order", local(monday - timedelta(37), 9), order_id=str(days), action="CHANGE",
                   category="VOICE_PLAN", effective_on=begins_on)  # fmt: skip
    assert bool(found(judged(life, monday), "AN3")) is fires


@pytest.mark.parametrize(
    ("country", "back", "fires"), [("JP", None, False), ("JP", 36, True), ("JP", 35, False), ("CN", None, True)]
)
def test_an3_is_shielded_while_abroad(country: str, back: int | None, fires: bool) -> None:
    life = charges(4_000, 4_000, 4_000, 4_000, 4_000, 0)
    monday = JUDGED + WEEK
    life.event("roaming", local(monday - timedelta(41), 9), country=country, state="LANDED")
    if back is not None:
        life.event("roaming", local(monday - timedelta(back), 9), country=country, state="LEFT")
    assert bool(found(judged(life, monday), "AN3")) is fires


@pytest.mark.parametrize(("days_before", "fires"), [(35, False), (36, True)])
@pytest.mark.parametrize("is_late", [False, True])
def test_an3_is_shielded_by_a_resumption(days_before: int, fires: bool, is_late: bool) -> None:
    """The suspension may become known after it."""
    life = charges(4_000, 4_000, 4_000, 4_000, 4_000, 0)
    monday = JUDGED + WEEK
    suspended, resumed = local(DAY_ONE, 9), local(monday - timedelta(days_before), 9)
    for at, status in ((resumed, "ACTIVE"), (suspended, "SUSPENDED_LOST"))[:: 1 if is_late else -1]:
        life.event("line-status", at, status=status, arrives=max(at, resumed))
    assert bool(found(judged(life, monday), "AN3")) is fires


def test_an3_is_not_shielded_by_a_status_told_again_nor_by_a_forecast_withdrawn() -> None:
    life = charges(4_000, 4_000, 4_000, 4_000, 4_000, 0)
    monday = JUDGED + WEEK
    life.event("line-status", local(DAY_ONE, 8), status="SUSPENDED_LOST")
    for days in range(40):
        life.event("line-status", local(DAY_ONE + timedelta(days), 9), status="ACTIVE")
    life.event("line-status", local(monday - timedelta(2), 9), status="ACTIVE", suspension_expected_at=local(monday, 9))
    life.event("line-status", local(monday - timedelta(1), 9), status="ACTIVE")
    assert bool(found(judged(life, monday), "AN3"))


@pytest.mark.parametrize(("charge", "ends"), [(3_200, True), (3_199, False)])
def test_an3_recovers_at_eighty_percent(charge: int, ends: bool) -> None:
    life = judged(charges(4_000, 4_000, 4_000, 4_000, 0))
    life.use(JUDGED + timedelta(2), "SMS", charge_fen=charge)
    day = JUDGED.isoformat()
    assert found(life, "AN3") == [(day, "RAISED"), *([(day, "recovered")] if ends else [])]


def test_an3_late_use_of_the_closed_week_changes_nothing() -> None:
    life = judged(charges(4_000, 4_000, 4_000, 4_000, 0))
    late = local(JUDGED - timedelta(1))
    life.event("usage", late, arrives=local(JUDGED, 9), service="SMS", quantity=1, charge_fen=9_000)
    assert found(life, "AN3") == [(JUDGED.isoformat(), "RAISED")]


def test_an3_cools_down_for_thirty_days() -> None:
    life = charges(40_000, 40_000, 40_000, 40_000, 0)
    judged(life)
    life.use(JUDGED + timedelta(1), "SMS", charge_fen=40_000)
    life.use(JUDGED + WEEK + timedelta(1), "SMS", charge_fen=40_000)
    judged(life, JUDGED + 3 * WEEK, JUDGED + 4 * WEEK, JUDGED + 5 * WEEK)
    raised = [day for day, state in found(life, "AN3") if state == "RAISED"]
    assert raised == [JUDGED.isoformat(), (JUDGED + 5 * WEEK).isoformat()]


MEAN = 512_000


@pytest.mark.parametrize(
    ("mean", "last", "fires"),
    [
        (MEAN, MEAN * 40 // 100, True), (MEAN, MEAN * 40 // 100 + 1, False),
        (MEAN, MEAN * 250 // 100, True), (MEAN, MEAN * 250 // 100 - 1, False), (MEAN - 1, 0, False),
    ],
    ids=["fall", "no_fall", "jump", "no_jump", "small"],
)  # fmt: skip
def test_an13_out_of_band(mean: int, last: int, fires: bool) -> None:
    life = judged(weeks("DATA", mean, mean, mean, mean, last))
    assert bool(found(life, "AN13")) is fires


def test_an13_a_fall_ends_while_the_week_runs() -> None:
    life = judged(weeks("DATA", MEAN, MEAN, MEAN, MEAN, 0))
    life.use(JUDGED + timedelta(1), "DATA", quantity=MEAN * 40 // 100)
    assert found(life, "AN13") == [(JUDGED.isoformat(), "RAISED")]
    life.use(JUDGED + timedelta(2), "DATA", quantity=1)
    assert found(life, "AN13")[-1] == (JUDGED.isoformat(), "back_in_band")


def test_an13_a_jump_ends_at_the_monday_after_a_week_in_band() -> None:
    life = judged(weeks("DATA", MEAN, MEAN, MEAN, MEAN, 4 * MEAN))
    life.use(JUDGED + timedelta(1), "DATA", quantity=3 * MEAN)
    life.use(JUDGED + WEEK + timedelta(1), "DATA", quantity=MEAN)
    day = JUDGED.isoformat()
    assert found(judged(life, JUDGED + WEEK), "AN13") == [(day, "RAISED")]
    assert found(judged(life, JUDGED + 2 * WEEK), "AN13") == [(day, "RAISED"), (day, "back_in_band")]


def test_an13_expires_without_a_word() -> None:
    life = judged(weeks("DATA", MEAN, MEAN, MEAN, MEAN, 0))
    life.use(JUDGED + timedelta(28), "DATA", quantity=9 * MEAN)
    assert [state for _, state in found(life, "AN13")] == ["RAISED"]


def test_segments_have_bands_of_their_own() -> None:
    rules = overridden("AN13", "fall_percent", "value: 40", "segment: {BRAND: 10}, value: 40")
    for segment, wanted in (("GO", 1), ("BRAND", 0)):
        life = judged(weeks("DATA", MEAN, MEAN, MEAN, MEAN, MEAN // 5, segment=segment))
        assert len(found_by(rules, life, "AN13")) == wanted


@pytest.mark.parametrize(("last", "layer"), [(4 * MEAN, "SEGMENT"), (0, "PROVINCE")], ids=["jump", "fall"])
def test_an13_tells_the_layer_of_the_bound_that_was_passed(last: int, layer: str) -> None:
    rules = overridden("AN13", "jump_percent", "value: 250", "segment: {BRAND: 200}, value: 250")
    life = judged(weeks("DATA", MEAN, MEAN, MEAN, MEAN, last, segment="BRAND"))
    life.use(JUDGED + WEEK + timedelta(1), "DATA", quantity=MEAN)
    judged(life, JUDGED + WEEK, JUDGED + 2 * WEEK)
    moments = [m for m in run_engine(life.entries, rules=rules)[0] if m["rule_id"] == "AN13"]
    assert [(m["state"], m["evidence"][0]["layer"]) for m in moments] == [("RAISED", layer), ("RESOLVED", layer)]


@pytest.mark.parametrize(
    ("rule", "service", "mean", "back"),
    [("AN3", "SMS", 4_000, 3_200), ("AN7", "VOICE", 9_000, 7_200), ("AN13", "DATA", MEAN, MEAN * 40 // 100 + 1)],
)
@pytest.mark.parametrize("less", [0, 1])
def test_a_fall_that_is_over_when_a_missed_monday_is_caught_up_is_not_raised(
    rule: str, service: str, mean: int, back: int, less: int
) -> None:
    what = "charge_fen" if rule == "AN3" else "quantity"
    life = weeks(service, mean, mean, mean, mean, 0, what=what)
    life.use(JUDGED + timedelta(1), service, **{what: back - less})
    life.tick(local(JUDGED + timedelta(2), 6))
    assert bool(found(life, rule)) is bool(less)


BILLS = (("2026-02", 10_000), ("2026-03", 10_000), ("2026-04", 10_000))


def declining(*voice: int, bill: int = 7_000, run: date = date(2026, 6, 3)) -> Life:
    """Weeks of calls from the first Monday on, and May's bill after three of 100 yuan."""
    life = Life()
    life.use(DAY_ONE, "SMS", hour=1)
    bills = [(date(2026, int(c[-2:]) + 1, 3), c, total) for c, total in BILLS] + [(run, "2026-05", bill)]
    events = [(DAY_ONE + n * WEEK + timedelta(2), None, seconds) for n, seconds in enumerate(voice)]
    for day, cycle, amount in sorted([*bills, *events], key=lambda each: each[0]):
        for monday in range((day - DAY_ONE).days // 7 + 1):
            life.entries.append(("tick", local(DAY_ONE + monday * WEEK, 6, 1)))
        if cycle is None:
            life.use(day, "VOICE", quantity=amount)
        else:
            life.bill(cycle, amount, on=day)
    return life


LAST = DAY_ONE + 15 * WEEK
"""The Monday after fifteen weeks, 15 June."""


@pytest.mark.parametrize(
    ("voice", "bill", "fires"),
    [
        ((9_000,) * 13 + (100, 100), 7_000, True), ((9_000,) * 14 + (100,), 7_000, False),
        ((9_000,) * 13 + (100, 100), 7_001, False), ((9_000,) * 11 + (100, 9_000, 9_000, 100), 7_000, True),
        ((9_000,) * 10 + (100, 9_000, 9_000, 9_000, 100), 7_000, False),
    ],
    ids=["both", "one_week", "bill_too_high", "two_of_four", "two_of_five"],
)  # fmt: skip
def test_an8_wants_a_low_bill_and_two_weeks_of_four(voice: tuple[int, ...], bill: int, fires: bool) -> None:
    life = judged(declining(*voice, bill=bill), LAST)
    assert found(life, "AN8") == ([(LAST.isoformat(), "RAISED")] if fires else [])


def test_an8_takes_the_place_of_both() -> None:
    life = judged(declining(*((9_000,) * 13), 100, 100), LAST)
    moment = next(m for m in moments_of(life) if m["rule_id"] == "AN8")
    assert moment["supersedes"] == ["AN6", "AN7"]
    assert (moment["priority"], moment["channel"]) == (2, "CALL")


def test_an8_does_not_look_at_an_old_bill() -> None:
    voice = (9_000,) * 17 + (100, 100)
    monday = DAY_ONE + 19 * WEEK  # 13 July
    on_bound, too_old = monday - timedelta(35), monday - timedelta(36)
    assert found(judged(declining(*voice, run=on_bound), monday), "AN8") != []
    assert found(judged(declining(*voice, run=too_old), monday), "AN8") == []


def test_an8_ends_when_calls_recover() -> None:
    life = judged(declining(*((9_000,) * 13), 100, 100), LAST)
    life.use(LAST + timedelta(1), "VOICE", quantity=9_000)
    assert found(life, "AN8")[-1] == (LAST.isoformat(), "minutes_recovered")


def test_an8_ends_when_a_bill_recovers() -> None:
    life = judged(declining(*((9_000,) * 13), 100, 100), LAST)
    life.bill("2026-06", 9_000, on=LAST + timedelta(3))
    assert found(life, "AN8")[-1] == (LAST.isoformat(), "bill_recovered")


def test_a_week_of_an7_that_was_over_before_it_was_judged_counts_for_an8() -> None:
    """The condition held, raised or not: the tick of a Monday was missed, and meanwhile calls were back."""
    life, missed = declining(*((9_000,) * 13), 100, 7_200, 100), ("tick", local(LAST - WEEK, 6, 1))
    life.entries = [each for each in life.entries if each != missed]
    monday = (LAST + WEEK).isoformat()
    assert found(judged(life, LAST + WEEK), "AN7") == [(monday, "RAISED")]
    assert found(life, "AN8") == [(monday, "RAISED")]
