"""AN4, low balance: fires, just does not fire, and each trap."""

from datetime import timedelta
from typing import Any

import pytest

from tests.reference.local_time import DAY
from tests.reference.logs import MONDAY, Log, local, run_engine
from tests.unit.detector.engine.judged import moments_of, states
from tests.unit.detector.engine.lives import overridden

AT = local(MONDAY, 10)


def started(**profile: Any) -> Log:
    log = Log()
    log.profile(AT - 1000, **profile)
    log.tick(AT)
    return log


def spending(log: Log, fen_a_day: int, days: int) -> None:
    for back in range(days, 0, -1):
        log.event("usage", local(MONDAY - timedelta(back), 12), history=True, service="DATA", quantity=1,
                  charge_fen=fen_a_day)  # fmt: skip


@pytest.mark.parametrize(("fen", "found"), [(999, ["RAISED"]), (1000, []), (-1, ["RAISED"])])
def test_floor_of_ten_yuan(fen: int, found: list[str]) -> None:
    log = started()
    log.event("balance", AT + 1, balance_fen=fen)
    assert states(log, "AN4") == found


@pytest.mark.parametrize(("days", "fen", "found"), [(28, 3999, ["RAISED"]), (28, 4000, []), (27, 3999, [])])
def test_two_days_spend_counts_once_28_days_were_observed(days: int, fen: int, found: list[str]) -> None:
    log = Log()
    spending(log, 2000, days)
    log.profile(AT - 1000)
    log.tick(AT)
    log.event("balance", AT + 1, balance_fen=fen)
    assert states(log, "AN4") == found


def test_fall_and_top_up_in_one_chunk_fired_and_resolved() -> None:
    log = started()
    log.event("balance", AT + 1, balance_fen=500)
    log.event("balance", AT + 2, balance_fen=1000, reason="TOP_UP")
    moments = moments_of(log)
    assert [(m["state"], m["resolution"], m["revision"]) for m in moments] == [
        ("RAISED", None, 1),
        ("RESOLVED", "topped_up", 2),
    ]
    assert moments[0]["moment_id"] == moments[1]["moment_id"]


def test_a_charge_between_limit_and_twice_the_limit_does_not_end_it() -> None:
    log = started()
    log.event("balance", AT + 1, balance_fen=500)
    log.event("balance", AT + 2, balance_fen=2000, reason="ADJUSTMENT")
    assert states(log, "AN4") == ["RAISED"]


def test_it_re_arms_only_above_twice_the_limit() -> None:
    log = started()
    log.event("balance", AT + 1, balance_fen=500)
    log.event("balance", AT + 2, balance_fen=2000, reason="TOP_UP")
    log.event("balance", AT + 4 * DAY, balance_fen=500)
    assert states(log, "AN4") == ["RAISED", "RESOLVED"]
    log.event("balance", AT + 5 * DAY, balance_fen=2001, reason="TOP_UP")
    log.event("balance", AT + 6 * DAY, balance_fen=500)
    assert states(log, "AN4") == ["RAISED", "RESOLVED", "RAISED"]


def test_cool_down_ends_with_the_third_local_day_after_and_what_still_holds_fires_then() -> None:
    log = started()
    log.event("balance", AT + 1, balance_fen=500)
    log.event("balance", AT + 2, balance_fen=5000, reason="TOP_UP")
    log.event("balance", local(MONDAY + timedelta(2), 23, 59), balance_fen=500)
    assert states(log, "AN4") == ["RAISED", "RESOLVED"]
    log.event("balance", local(MONDAY + timedelta(3), 0, 0), balance_fen=499)
    assert states(log, "AN4") == ["RAISED", "RESOLVED", "RAISED"]


def test_auto_pay_is_left_alone() -> None:
    log = started(auto_pay=True)
    log.event("balance", AT + 1, balance_fen=1)
    assert states(log, "AN4") == []


def test_without_a_profile_it_stays_silent() -> None:
    log = Log()
    log.tick(AT)
    log.event("balance", AT + 1, balance_fen=1)
    assert states(log, "AN4") == []


def test_an_older_balance_never_replaces_a_newer_one() -> None:
    log = started()
    log.event("balance", AT + 10, balance_fen=9000)
    log.event("balance", AT + 5, arrives=AT + 11, balance_fen=1)
    assert states(log, "AN4") == []


def test_of_one_instant_the_greater_event_id_counts() -> None:
    log = started()
    log.event("balance", AT + 5, event_id="b2", balance_fen=9000)
    log.event("balance", AT + 5, event_id="b1", balance_fen=1)
    assert states(log, "AN4") == []
    log.event("balance", AT + 5, event_id="b3", balance_fen=1)
    assert states(log, "AN4") == ["RAISED"]


def test_told_late_it_is_still_raised_unless_it_would_have_ended() -> None:
    log = started()
    log.event("balance", AT + 5, arrives=AT + DAY, balance_fen=1)
    assert states(log, "AN4") == ["RAISED"]
    too_late = started()
    too_late.event("balance", AT + 5, arrives=AT + 4 * DAY, balance_fen=1)
    assert states(too_late, "AN4") == []


def test_history_raises_nothing() -> None:
    log = started()
    log.event("balance", AT + 5, history=True, balance_fen=1)
    log.tick(AT + DAY)
    log.tick(AT + 2 * DAY)
    assert states(log, "AN4") == []


def test_nothing_is_raised_before_rules_are_announced() -> None:
    log = Log()
    log.profile(AT - 1000)
    log.event("balance", AT - 500, balance_fen=1)
    log.tick(AT)
    assert states(log, "AN4") == []
    log.event("balance", AT + 5, balance_fen=1)
    assert states(log, "AN4") == ["RAISED"]


@pytest.mark.parametrize(("arpu", "channel"), [(50_001, "CALL"), (50_000, "SMS"), (None, "SMS")])
def test_high_revenue_is_called(arpu: int | None, channel: str) -> None:
    log = started(arpu_fen=arpu)
    log.event("balance", AT + 1, balance_fen=1)
    assert [m["channel"] for m in moments_of(log)] == [channel]


@pytest.mark.parametrize(("fen_a_day", "layer"), [(500, "SEGMENT"), (501, "PROVINCE")])
def test_it_tells_the_layer_of_the_greater_bound(fen_a_day: int, layer: str) -> None:
    log = Log()
    spending(log, fen_a_day, 28)
    log.profile(AT - 1000, segment="GO")
    log.tick(AT)
    log.event("balance", AT + 1, balance_fen=1)
    rules = overridden("AN4", "floor", "value: 1000", "segment: {GO: 1000}, value: 900")
    assert [m["evidence"][0]["layer"] for m in run_engine(log.entries, rules=rules)[0]] == [layer]


def test_what_it_tells() -> None:
    log = Log()
    spending(log, 2000, 28)
    log.profile(AT - 1000, owner_manager_id="m-NJ-01", deputy_manager_id="m-NJ-02", brand="全球通", arpu_fen=60_000)
    log.tick(AT)
    log.event("balance", AT + 1, arrives=AT + 900, balance_fen=3999)
    (moment,) = moments_of(log)
    assert moment["evidence"][0] == {
        "name": "balance_fen", "observed": 3999.0, "observed_text": None, "baseline": 2000.0, "threshold": 4000.0,
        "unit": "fen", "layer": "PROVINCE",
    }  # fmt: skip
    assert moment["parameters"] == {"balance": "39.99", "limit": "40.00", "mean_daily_charge": "20.00"}
    assert (moment["owner_manager_id"], moment["deputy_manager_id"]) == ("m-NJ-01", "m-NJ-02")
    assert (moment["brand"], moment["arpu_band"]) == ("全球通", "ABOVE_500_YUAN")
    assert (moment["occurred_at"], moment["detected_at"]) == (AT + 1, AT + 900)
    assert moment["risk_score"] == round(sum(term["points"] for term in moment["risk_terms"]), 2)
