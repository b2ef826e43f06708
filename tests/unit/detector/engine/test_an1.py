"""AN1, complaint: one moment each, urgency, closing, confirming, history."""

from datetime import timedelta
from typing import Any

import pytest

from tests.reference.local_time import DAY, HOUR
from tests.reference.logs import MONDAY, Log, local
from tests.unit.detector.engine.judged import moments_of, states, told

AT = local(MONDAY, 10)


def started(**profile: Any) -> Log:
    log = Log()
    log.profile(AT - 1000, **profile)
    log.tick(AT)
    return log


def complaint(log: Log, at: int, state: str, name: str = "k1", topic: str = "BILLING", **fields: Any) -> None:
    log.event("complaint", at, complaint_id=name, state=state, topic=topic, **fields)


def test_opened_then_closed_then_confirmed() -> None:
    log = started()
    complaint(log, AT + 1, "OPENED")
    complaint(log, AT + HOUR, "UPDATED")
    complaint(log, AT + 2 * HOUR, "CLOSED")
    complaint(log, AT + 3 * HOUR, "CONFIRMED")
    moments = moments_of(log)
    assert [(m["state"], m["revision"], m["earliest_contact_at"]) for m in moments] == [
        ("RAISED", 1, AT + 1 + DAY),
        ("UPDATED", 2, AT + 2 * HOUR),
        ("RESOLVED", 3, AT + 1 + DAY),
    ]
    assert len({m["moment_id"] for m in moments}) == 1


def test_urgent_at_the_first_tick_after_48_hours() -> None:
    log = started()
    complaint(log, AT, "OPENED")
    log.tick(AT + 48 * HOUR)
    assert told(log, "AN1") == [("RAISED", 2)]
    log.tick(AT + 48 * HOUR + 60_000)
    assert told(log, "AN1") == [("RAISED", 2), ("UPDATED", 1)]
    complaint(log, AT + 50 * HOUR, "CLOSED")
    assert told(log, "AN1") == [("RAISED", 2), ("UPDATED", 1), ("UPDATED", 1)]


def test_closed_in_time_it_never_becomes_urgent() -> None:
    log = started()
    complaint(log, AT + 1, "OPENED")
    complaint(log, AT + 47 * HOUR, "CLOSED")
    log.tick(AT + 60 * HOUR)
    assert told(log, "AN1") == [("RAISED", 2), ("UPDATED", 2)]


@pytest.mark.parametrize(("days", "topic", "priority"), [(30, "BILLING", 1), (31, "BILLING", 2), (3, "NETWORK", 2)])
def test_same_topic_within_30_days_is_urgent(days: int, topic: str, priority: int) -> None:
    log = started()
    before = AT - days * DAY
    complaint(log, before, "OPENED", "k0", topic, history=True)
    complaint(log, before + HOUR, "CONFIRMED", "k0", topic, history=True)
    complaint(log, AT + 1, "OPENED")
    assert told(log, "AN1") == [("RAISED", priority)]


def test_updates_of_one_complaint_are_no_repetition() -> None:
    log = started()
    complaint(log, AT + 1, "OPENED")
    complaint(log, AT + HOUR, "UPDATED")
    assert told(log, "AN1") == [("RAISED", 2)]


def test_two_sources_may_use_the_same_complaint_id() -> None:
    log = started()
    complaint(log, AT + 1, "OPENED", topic="NETWORK")
    complaint(log, AT + 2, "OPENED", topic="SPAM", source="web")
    assert len({m["moment_id"] for m in moments_of(log)}) == 2


def test_confirmation_that_overtakes_the_opening_leaves_nothing_to_raise() -> None:
    log = started()
    complaint(log, AT + HOUR, "CONFIRMED")
    complaint(log, AT + 1, "OPENED", arrives=AT + 2 * HOUR)
    assert states(log, "AN1") == []


def test_reopened_it_counts_its_revisions_on() -> None:
    log = started()
    for hours, state in enumerate(("OPENED", "CONFIRMED", "OPENED")):
        complaint(log, AT + hours * HOUR, state)
    assert [(m["state"], m["revision"]) for m in moments_of(log)] == [("RAISED", 1), ("RESOLVED", 2), ("RAISED", 3)]


def test_history_tells_only_what_is_open_after_loading() -> None:
    log = started()
    complaint(log, AT - 3 * DAY, "OPENED", "open", history=True)
    complaint(log, AT - 3 * DAY, "OPENED", "over", topic="SPAM", history=True)
    complaint(log, AT - 2 * DAY, "CONFIRMED", "over", topic="SPAM", history=True)
    log.tick(AT + 60_000)
    assert states(log, "AN1") == []  # history has just come: loading may go on
    log.tick(AT + 120_000)
    (moment,) = moments_of(log)
    assert (moment["state"], moment["history"], moment["priority"]) == ("RAISED", True, 1)
    assert moment["occurred_at"] == AT - 3 * DAY
    assert moment["parameters"]["complaint_id"] == "open"


def test_history_is_told_before_the_customers_next_live_event() -> None:
    log = started()
    complaint(log, AT - DAY, "OPENED", history=True)
    log.event("balance", AT + 5, balance_fen=1)
    assert [m["rule_id"] for m in moments_of(log)] == ["AN1", "AN4"]


def test_what_was_told_before_there_were_rules_is_told_after() -> None:
    log = Log()
    log.profile(AT - 5000)
    complaint(log, AT - 4000, "OPENED")
    log.tick(AT)
    assert states(log, "AN1") == ["RAISED"]


def test_without_a_profile_it_stays_silent() -> None:
    log = Log()
    log.tick(AT)
    complaint(log, AT + 1, "OPENED")
    assert states(log, "AN1") == []


def test_complaint_id_and_topic_are_still_told_after_saving_and_loading() -> None:
    log = started()
    complaint(log, AT, "OPENED", "投诉-2026-0907", topic="NETWORK")
    log.tick(local(MONDAY + timedelta(3)))
    assert [m["parameters"]["complaint_id"] for m in moments_of(log)] == ["投诉-2026-0907"] * 2
    assert {m["parameters"]["topic_zh"] for m in moments_of(log)} == {"网络"}


def test_more_complaints_than_are_kept() -> None:
    log = started()
    for number in range(12):
        complaint(log, AT + number, "OPENED", f"k{number}", ("NETWORK", "SPAM")[number % 2])
    complaint(log, AT + 100, "CONFIRMED", "k11", "SPAM")
    complaint(log, AT + 101, "CONFIRMED", "k0")
    assert states(log, "AN1").count("RESOLVED") == 1
