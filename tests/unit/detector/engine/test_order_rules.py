"""FT1, FT3, AN15: what customers order and cancel."""

from datetime import date, timedelta
from itertools import count
from typing import Any

import pytest

from services.detector.engine.customer.layout import CASES, EPISODE, NEXT, ORDER_CASE, TYPE
from services.detector.engine.rule_set import compile_rule_set
from tests.reference.limits import RuleSet
from tests.reference.local_time import DAY, HOUR, local_date
from tests.reference.logs import (
    MONDAY,
    Log,
    as_finding,
    in_order,
    local,
    reference,
    run_engine,
    shipped_documents,
)
from tests.unit.detector.engine.judged import ends, moments_of, observed, only, states

AT = local(MONDAY, 10)
_NUMBERS = count(1)


def started(joined: date = MONDAY - timedelta(900), **profile: Any) -> Log:
    log = Log()
    log.profile(AT - 3 * DAY, joined_on=(joined - date(1970, 1, 1)).days, **profile)
    log.tick(AT - HOUR)
    return log


def order(log: Log, at: int, action: str, category: str = "TV", **fields: Any) -> dict[str, Any]:
    fields = {"order_id": f"o{next(_NUMBERS)}", **fields}
    return log.event("service-order", at, action=action, category=category, **fields)


def activated(days_before: int | None, **fields: Any) -> Log:
    """TV, off for so many days (None = never had), ordered at AT; a tick 24 hours later."""
    log = started()
    if days_before is not None:
        order(log, AT - days_before * DAY, "CANCEL", history=True)
    order(log, AT, "SUBSCRIBE", **fields)
    log.tick(AT + 24 * HOUR)
    return log


# --- FT1 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "found"), [(None, ["RAISED"]), (366, ["RAISED"]), (365, []), (1, [])])
def test_ft1_after_a_year_without_the_category(days: int | None, found: list[str]) -> None:
    assert states(activated(days), "FT1") == found


def test_ft1_is_raised_24_hours_after_the_order_and_not_before() -> None:
    log = started()
    order(log, AT, "SUBSCRIBE")
    log.tick(AT + 24 * HOUR - 60_000)
    assert states(log, "FT1") == []
    log.tick(AT + 24 * HOUR)
    moment = only(log, "FT1")
    assert (moment["priority"], moment["channel"], moment["occurred_at"]) == (4, "SMS", AT)
    assert moment["nominal_date"] == (MONDAY - date(1970, 1, 1)).days
    assert moment["expires_at"] == local(MONDAY + timedelta(9))
    assert observed(moment) == {"category": "TV", "category_unseen_days": 100_000, "active_for_ms": 24 * HOUR}


def test_ft1_waits_to_the_millisecond() -> None:
    log = started()
    order(log, AT + 1, "SUBSCRIBE")
    log.tick(AT + 24 * HOUR)
    assert states(log, "FT1") == []
    log.tick(AT + 24 * HOUR + 60_000)
    assert states(log, "FT1") == ["RAISED"]


def test_ft1_is_not_raised_for_what_was_cancelled_within_the_day() -> None:
    log = started()
    order(log, AT, "SUBSCRIBE")
    order(log, AT + HOUR, "CANCEL")
    log.tick(AT + 2 * DAY)
    assert states(log, "FT1") == []


@pytest.mark.parametrize(("days", "found"), [(0, []), (3, []), (4, ["RAISED"]), (-1, ["RAISED"])])
def test_ft1_bundles_of_the_first_days_are_no_news(days: int, found: list[str]) -> None:
    log = started(joined=MONDAY - timedelta(days))
    order(log, AT, "SUBSCRIBE", bundled=True)
    log.tick(AT + DAY)
    assert states(log, "FT1") == found


@pytest.mark.parametrize("fields", [{"action": "CHANGE"}, {"action": "RENEW"}, {"history": True}])
def test_ft1_is_about_live_subscriptions(fields: dict[str, Any]) -> None:
    log = started()
    order(log, AT, **{"action": "SUBSCRIBE", **fields})
    log.tick(AT + DAY)
    assert states(log, "FT1") == []


def test_ft1_knows_what_the_customer_record_names() -> None:
    log = started(active_categories=["TV", "SECURITY"])
    order(log, AT, "SUBSCRIBE")
    order(log, AT + 1, "SUBSCRIBE", "MUSIC")
    log.tick(AT + 2 * DAY)
    assert observed(only(log, "FT1"))["category"] == "MUSIC"


def test_ft1_a_category_that_a_newer_record_does_not_name_was_active_until_then() -> None:
    log = started(active_categories=["TV", "SECURITY"])
    log.profile(AT - DAY, active_categories=["SECURITY"])
    order(log, AT, "SUBSCRIBE")
    log.tick(AT + 2 * DAY)
    assert states(log, "FT1") == []


@pytest.mark.parametrize("rule", ["FT1", "FT3"])
@pytest.mark.parametrize("later", [-DAY - 10 * HOUR, -HOUR, 0, 3 * DAY])
@pytest.mark.parametrize("is_record_first", [True, False])
def test_a_record_that_names_what_is_ordered_is_about_the_order(rule: str, later: int, is_record_first: bool) -> None:
    """The record is of the day before the order, of the same day, or later; either may be told first."""
    log = started(active_categories=["SECURITY"])
    told = max(AT, AT + later) + 1
    for is_record in (is_record_first, not is_record_first):
        if is_record:
            log.profile(AT + later, active_categories=["SECURITY", "ROAMING"], arrives=told)
        else:
            order(log, AT, "SUBSCRIBE", "ROAMING", arrives=told)
    log.tick(told + DAY)
    assert states(log, rule) == ["RAISED"]


@pytest.mark.parametrize("rule", ["FT1", "FT3"])
def test_what_a_record_named_two_days_before_is_active(rule: str) -> None:
    log = started(active_categories=["SECURITY"])
    log.profile(AT - DAY - 10 * HOUR - 1, active_categories=["SECURITY", "ROAMING"])
    order(log, AT, "SUBSCRIBE", "ROAMING")
    log.tick(AT + DAY)
    assert states(log, rule) == []


def test_a_record_that_names_a_category_is_about_one_order_of_it() -> None:
    log = started(active_categories=["SECURITY"])
    log.profile(AT, active_categories=["SECURITY", "ROAMING"])
    for n in range(3):
        order(log, AT + n, "SUBSCRIBE", "ROAMING", arrives=AT + 1 + n)
        log.profile(AT + 2 * n, active_categories=["SECURITY", "ROAMING"])
    order(log, AT + 3 * DAY, "SUBSCRIBE", "ROAMING")
    orders = [m for m in moments_of(log) if m["rule_id"] == "FT3"]
    assert [m["occurred_at"] for m in orders] == [AT]


def test_ft3_a_record_that_names_roaming_anew_leaves_its_days_off() -> None:
    log = started(active_categories=["ROAMING"])
    log.profile(AT - 2 * DAY, active_categories=[])
    log.profile(AT, active_categories=["ROAMING"])
    order(log, AT, "SUBSCRIBE", "ROAMING", arrives=AT + 1)
    assert states(log, "FT3") == []


@pytest.mark.parametrize(("days", "found"), [(0, ["RAISED"]), (1, ["RAISED"]), (2, []), (-1, ["RAISED"]), (-2, [])])
def test_the_first_record_of_who_has_just_joined_is_news(days: int, found: list[str]) -> None:
    """Of the others it is none, whatever its date: a first load may give one date to all records."""
    log = Log()
    log.tick(AT - HOUR)
    joined = (MONDAY - timedelta(days) - date(1970, 1, 1)).days
    log.profile(AT, joined_on=joined, active_categories=["TV"])
    order(log, AT, "SUBSCRIBE", arrives=AT + 1)
    log.tick(AT + DAY)
    assert states(log, "FT1") == found


def test_ft1_ends_with_the_cancellation_of_its_category() -> None:
    log = activated(None)
    order(log, AT + 2 * DAY, "CANCEL", "MUSIC")
    order(log, AT + 2 * DAY + 1, "CANCEL")
    assert ends(log, "FT1") == [None, "cancelled"]
    first, last = (m for m in moments_of(log) if m["rule_id"] == "FT1")
    assert first["moment_id"] == last["moment_id"]
    assert last["nominal_date"] == first["nominal_date"]
    assert observed(last) == {"category": "TV", "category_is_active": 0}


def test_ft1_raises_one_of_two_orders_the_earlier_one() -> None:
    log = started()
    order(log, AT + 1, "SUBSCRIBE", "MUSIC")
    order(log, AT, "SUBSCRIBE", arrives=AT + 2)
    log.tick(AT + 25 * HOUR)
    assert observed(only(log, "FT1"))["category"] == "TV"


@pytest.mark.parametrize(("days", "found"), [(28, 1), (29, 2)])
def test_ft1_cools_down_for_thirty_days_from_its_raise(days: int, found: int) -> None:
    log = activated(None)
    order(log, AT + (days + 1) * DAY, "SUBSCRIBE", "MUSIC")
    log.tick(AT + (days + 2) * DAY)
    assert len(states(log, "FT1")) == found


def test_ft1_is_not_raised_when_it_would_have_expired() -> None:
    log = started()
    order(log, AT, "SUBSCRIBE")
    log.tick(local(MONDAY + timedelta(9)))
    assert states(log, "FT1") == []


def test_ft1_does_not_wait_twice_for_a_duplicate() -> None:
    log = started()
    record = order(log, AT, "SUBSCRIBE")
    for fen in range(7):  # beyond the memory of ids: the row knows it
        log.event("balance", AT + 1 + fen, balance_fen=10_000 + fen)
    log.again("service-order", record)
    log.tick(AT + DAY)
    assert states(log, "FT1") == ["RAISED"]


def test_ft1_needs_a_customer_record_when_the_wait_is_over() -> None:
    log = Log()
    log.tick(AT - HOUR)
    order(log, AT, "SUBSCRIBE")
    order(log, AT + HOUR, "SUBSCRIBE", "MUSIC")
    log.tick(AT + DAY)
    log.profile(AT + DAY + 1)
    log.tick(AT + DAY + HOUR)
    assert observed(only(log, "FT1"))["category"] == "MUSIC"


# --- FT3 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "found"), [(None, ["RAISED"]), (180, ["RAISED"]), (179, [])])
def test_ft3_after_half_a_year_without_roaming(days: int | None, found: list[str]) -> None:
    log = started()
    if days is not None:
        order(log, AT - days * DAY, "CANCEL", "ROAMING", history=True)
    order(log, AT, "SUBSCRIBE", "ROAMING")
    assert states(log, "FT3") == found


def test_ft3_calls_at_once_and_ends_when_roaming_is_off() -> None:
    log = started()
    order(log, AT, "SUBSCRIBE", "ROAMING")
    order(log, AT + 1, "CANCEL", "TV")
    order(log, AT + 2, "CANCEL", "ROAMING")
    raised, ended = (m for m in moments_of(log) if m["rule_id"] == "FT3")
    assert (raised["priority"], raised["channel"], raised["detected_at"]) == (2, "CALL", AT)
    assert (ended["resolution"], ended["revision"]) == ("roaming_off", 2)


def test_ft3_an_older_order_that_arrives_later_does_not_switch_roaming_off() -> None:
    log = started()
    order(log, AT, "SUBSCRIBE", "ROAMING")
    order(log, AT - 1, "CANCEL", "ROAMING", arrives=AT + 1)
    assert states(log, "FT3") == ["RAISED"]


def test_ft3_segment_override_is_told_with_its_layer() -> None:
    documents = shipped_documents()
    name = "rules/ft3.yaml"
    changed = documents[name].replace("{value: 180,", "{value: 180, segment: {GO: 10}, city: {NJ: 300},")
    rules = compile_rule_set({**documents, name: changed}, "province@2")
    log = started()
    order(log, AT - 10 * DAY, "CANCEL", "ROAMING", history=True)
    order(log, AT, "SUBSCRIBE", "ROAMING")
    moments, _ = run_engine(log.entries, rules=rules)
    layers = {("FT3", "unseen_days", "", "GO"): 10, ("FT3", "unseen_days", "NJ", ""): 300}
    assert in_order(map(as_finding, moments)) == in_order(reference(log.entries, (RuleSet(layers=layers),)))
    assert [(e["threshold"], e["layer"]) for m in moments for e in m["evidence"]] == [(10, "SEGMENT")]


# --- AN15 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "found"), [(30, ["RAISED"]), (31, [])])
def test_an15_two_addons_in_thirty_days(days: int, found: list[str]) -> None:
    log = started()
    order(log, AT - days * DAY, "CANCEL", addon=True, history=True)
    order(log, AT, "CANCEL", "MUSIC", addon=True)
    assert states(log, "AN15") == found


def test_an15_the_earlier_one_may_be_told_later() -> None:
    log = started()
    order(log, AT + DAY, "CANCEL", "MUSIC", addon=True)
    order(log, AT, "CANCEL", addon=True, arrives=AT + DAY + 1)
    assert states(log, "AN15") == ["RAISED"]


@pytest.mark.parametrize(
    ("fields", "found"),
    [({"core": True}, ["RAISED"]), ({"addon": True}, []), ({}, []), ({"core": True, "history": True}, [])],
)
def test_an15_one_core_addon_is_enough(fields: dict[str, Any], found: list[str]) -> None:
    log = started()
    order(log, AT, "CANCEL", **fields)
    assert states(log, "AN15") == found


def test_an15_counts_an_order_once() -> None:
    log = started()
    order(log, AT, "CANCEL", addon=True, order_id="one")
    order(log, AT + 1, "CANCEL", addon=True, order_id="one")
    assert states(log, "AN15") == []
    order(log, AT + 2, "CANCEL", addon=True, order_id="one", source="boss")
    assert observed(only(log, "AN15")) == {"cancelled_in_30_days": 2, "core_cancelled": 0}


def test_an15_ends_when_a_lost_category_comes_back() -> None:
    log = started()
    order(log, AT, "CANCEL", core=True)
    order(log, AT + 1, "SUBSCRIBE", "MUSIC")
    order(log, AT + 2, "SUBSCRIBE")
    assert ends(log, "AN15") == [None, "resubscribed"]


@pytest.mark.parametrize(
    ("action", "category", "days", "found"),
    [("SUBSCRIBE", "TV", 1, []), ("RENEW", "TV", 5, []), ("SUBSCRIBE", "TV", -1, ["RAISED"]),
     ("SUBSCRIBE", "MUSIC", 1, ["RAISED"]), ("CHANGE", "TV", 1, ["RAISED"])],
)  # fmt: skip
def test_an15_is_not_raised_when_what_was_lost_is_known_to_be_back(
    action: str, category: str, days: int, found: list[str]
) -> None:
    log = started()
    order(log, AT + days * DAY, action, category, arrives=AT + 5 * DAY)
    order(log, AT, "CANCEL", core=True, arrives=AT + 5 * DAY + 1)
    assert states(log, "AN15") == found


@pytest.mark.parametrize(("days", "found"), [(29, 1), (30, 2)])
def test_an15_cools_down_for_thirty_days(days: int, found: int) -> None:
    log = started()
    order(log, AT, "CANCEL", core=True)
    order(log, AT + days * DAY, "CANCEL", core=True)
    assert len(states(log, "AN15")) == found


def test_an15_expires_after_fourteen_days() -> None:
    log = started()
    order(log, AT, "CANCEL", core=True)
    order(log, local(MONDAY + timedelta(15)), "SUBSCRIBE")
    moment = only(log, "AN15")
    assert local_date(moment["expires_at"]) == MONDAY + timedelta(15)


# --- what is remembered --------------------------------------------------------------------------------------------


def test_twelve_orders_are_remembered() -> None:
    log = started()
    order(log, AT, "CANCEL", addon=True)
    for n in range(12):
        order(log, AT + 1 + n, "CHANGE", "OTHER")
    order(log, AT + 100, "CANCEL", addon=True)
    assert states(log, "AN15") == []


def test_orders_are_forgotten_after_61_days_and_a_moment_that_is_over_after_40() -> None:
    log = started()
    order(log, AT, "CANCEL", core=True)
    log.tick(AT + HOUR)
    _, partition = run_engine(log.entries)
    assert types(partition) == ["EPISODE", "ORDER"]
    log.tick(local(MONDAY + timedelta(41), 0, 5))
    _, partition = run_engine(log.entries)
    assert types(partition) == ["ORDER"]
    log.tick(local(MONDAY + timedelta(62), 0, 5))
    _, partition = run_engine(log.entries)
    assert types(partition) == []


def types(partition: Any) -> list[str]:
    """The types of the rows of the only customer."""
    store, found = partition._store, []
    row = int(store.records[0, CASES])
    while row:
        found.append({EPISODE: "EPISODE", ORDER_CASE: "ORDER"}[int(store.pool[row, TYPE])])
        row = int(store.pool[row, NEXT])
    return sorted(found)
