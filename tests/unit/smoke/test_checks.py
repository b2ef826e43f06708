"""Every check of the smoke run can fail: each is shown evidence that holds, and evidence that does not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.smoke import checks
from services.smoke.evidence import (
    DeadLetter,
    Evidence,
    Expected,
    LoggedEvent,
    ManagerLimit,
    Message,
    MomentRow,
    Refused,
)

MONDAY_DAYS = 20_703
CUSTOMER = 8_100_000_000_000_001


def at(text: str) -> int:
    """Local time of Monday 2026-09-07 (or another day as `8 10:00`) as UTC milliseconds."""
    day, _, clock = text.rpartition(" ")
    local = datetime.fromisoformat(f"2026-09-{int(day or 7):02d}T{clock}:00+08:00")
    return int(local.timestamp() * 1000)


def moment(**changes: Any) -> dict[str, Any]:
    base = {
        "moment_id": "m1",
        "revision": 1,
        "detected_at": at("10:00"),
        "customer_id": CUSTOMER,
        "rule_id": "AN4",
        "nominal_date": MONDAY_DAYS,
        "state": "RAISED",
        "priority": 2,
    }
    return base | changes


def task_event(to_state: str, sequence: int = 1, **changes: Any) -> dict[str, Any]:
    base = {
        "task_id": "t1",
        "sequence": sequence,
        "customer_id": CUSTOMER,
        "moment_ids": ["m1"],
        "to_state": to_state,
        "manager_id": "m-NJ-01",
        "units": 20,
        "occurred_at": at("10:05"),
        "recorded_at": 1_000_000 + sequence * 10,
    }
    return base | changes


def logged(event_id: str, subject: str = "kairos.events.v1.BalanceEvent", **record: Any) -> LoggedEvent:
    fields = {"source": "billing", "event_id": event_id, "customer_id": CUSTOMER} | record
    return LoggedEvent(topic="t", partition=0, offset=0, timestamp_ms=0, subject=subject, record=fields)


def line(status: str, occurred_at: int, event_id: str) -> LoggedEvent:
    return logged(
        event_id, "kairos.events.v1.LineStatusEvent", occurred_at=occurred_at, ingested_at=occurred_at, status=status
    )


HOLDS = Evidence(
    accepted=frozenset({("billing", "e1")}),
    refused=[Refused(identity=("billing", "bad"), door="http", reasons=("missing",), expected="missing")],
    must_be_refused=frozenset({("billing", "bad")}),
    events=[logged("e1")],
    moments=[moment()],
    task_events=[
        task_event("QUEUED", 1),
        task_event("OFFERED", 2),
        task_event("ACCEPTED", 3),
        task_event("DONE", 4),
    ],
    dead_letters=[DeadLetter(service="detector", reason="unknown_schema_id", key=b"1", value=b"xx", headers={})],
    poison=[b"xx"],
    truth=[
        Expected(customer_id=CUSTOMER, rule_id="AN4", nominal_date="2026-09-07", final_state="RAISED", final_priority=2)
    ],
    covers=frozenset({"AN4", "FT2"}),
    backtested=[moment(nominal_date="2026-09-07")],
    moment_rows=[MomentRow(moment_id="m1", rule_id="AN4", row_state="CARD", reason="worked")],
    managers=[ManagerLimit(manager_id="m-NJ-01", capacity_units=100)],
    completed=frozenset({"t1"}),
    replayed={"billing": 1},
)


def test_all_checks_hold_on_a_clean_run() -> None:
    assert {name: list(check(HOLDS)) for name, check in checks.CHECKS.items()} == {name: [] for name in checks.CHECKS}


def test_the_eight_checks_of_the_contract_are_there() -> None:
    assert {
        "accepted_in_log",
        "planted_found",
        "nothing_else_found",
        "every_moment_has_one_row",
        "capacity_respected",
        "suspended_untouched",
        "quiet_hours_respected",
        "rejects_explained",
    } <= checks.CHECKS.keys()


VIOLATIONS: list[tuple[str, Evidence]] = [
    ("accepted_in_log", replace(HOLDS, accepted=frozenset({("billing", "e1"), ("billing", "lost")}))),
    ("accepted_in_log", replace(HOLDS, events=[*HOLDS.events, logged("bad")])),
    ("planted_found", replace(HOLDS, moments=[])),
    ("planted_found", replace(HOLDS, moments=[moment(nominal_date=MONDAY_DAYS + 1)])),
    ("nothing_else_found", replace(HOLDS, truth=[])),
    ("nothing_else_found", replace(HOLDS, moments=[moment(), moment(moment_id="m2")])),
    ("nothing_else_found", replace(HOLDS, moments=[moment(), moment(moment_id="m2", rule_id="FT2")])),
    ("backtest_finds_the_same", replace(HOLDS, backtested=[])),
    ("backtest_finds_the_same", replace(HOLDS, moments=[])),
    ("backtest_finds_the_same", replace(HOLDS, backtest_fault="exit code 1")),
    ("backtest_finds_the_same", replace(HOLDS, backtested=[moment(nominal_date="2026-09-07", priority=3)])),
    ("every_moment_has_one_row", replace(HOLDS, moment_rows=[])),
    ("every_moment_has_one_row", replace(HOLDS, moment_rows=[*HOLDS.moment_rows, *HOLDS.moment_rows])),
    ("every_moment_has_one_row", replace(HOLDS, moments=[])),
    (
        "every_moment_has_one_row",
        replace(HOLDS, moment_rows=[MomentRow(moment_id="m1", rule_id="AN4", row_state="LEDGER", reason="")]),
    ),
    (
        "capacity_respected",
        replace(HOLDS, task_events=[task_event("QUEUED", n, task_id=f"t{n}", customer_id=n) for n in range(1, 7)]),
    ),
    ("capacity_respected", replace(HOLDS, task_events=[task_event("QUEUED", manager_id="m-XX-99")])),
    (
        "suspended_untouched",
        replace(HOLDS, events=[*HOLDS.events, line("SUSPENDED_LOST", at("10:01"), "s")]),
    ),
    (
        "suspended_untouched",
        replace(
            HOLDS,
            events=[line("SUSPENDED_LOST", at("8 10:01"), "s"), line("ACTIVE", at("9 10:00"), "a")],
            messages=[Message(moment_id="m1", customer_id=CUSTOMER, queued_at_ms=at("10 09:30"))],
        ),
    ),
    ("quiet_hours_respected", replace(HOLDS, task_events=[task_event("OFFERED", occurred_at=at("12:30"))])),
    ("quiet_hours_respected", replace(HOLDS, task_events=[task_event("ACCEPTED", occurred_at=at("8 08:59"))])),
    ("quiet_hours_respected", replace(HOLDS, task_events=[task_event("OFFERED", occurred_at=at("12 09:30"))])),
    ("quiet_hours_respected", replace(HOLDS, quiet_windows={CUSTOMER: ("10:00-11:00",)})),
    (
        "quiet_hours_respected",
        replace(HOLDS, messages=[Message(moment_id="m1", customer_id=CUSTOMER, queued_at_ms=at("21:00"))]),
    ),
    (
        "rejects_explained",
        replace(HOLDS, refused=[replace(HOLDS.refused[0], reasons=("wrong_type",))]),
    ),
    ("rejects_explained", replace(HOLDS, refused=[replace(HOLDS.refused[0], expected=None)])),
    ("rejects_explained", replace(HOLDS, refused=[])),
    ("final_states_as_planned", replace(HOLDS, moments=[moment(), moment(revision=2, state="RESOLVED")])),
    ("final_states_as_planned", replace(HOLDS, moments=[moment(priority=3)])),
    (
        "one_open_card_per_customer",
        replace(HOLDS, task_events=[task_event("QUEUED"), task_event("QUEUED", task_id="t2")]),
    ),
    ("poison_dead_lettered", replace(HOLDS, dead_letters=[])),
    ("poison_dead_lettered", replace(HOLDS, dead_letters=[replace(HOLDS.dead_letters[0], reason="")])),
    ("poison_dead_lettered", replace(HOLDS, poison=[])),
    ("call_records_replayed", replace(HOLDS, replayed={"billing": 2})),
    ("call_records_replayed", replace(HOLDS, replayed={"bandicoot-ego": 0})),
    ("completions_recorded_once", replace(HOLDS, task_events=HOLDS.task_events[:3])),
    ("completions_recorded_once", replace(HOLDS, task_events=[*HOLDS.task_events, task_event("DONE", 5)])),
]


@pytest.mark.parametrize(("name", "evidence"), VIOLATIONS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(VIOLATIONS)])
def test_check_fails_on_a_violation(name: str, evidence: Evidence) -> None:
    assert list(checks.CHECKS[name](evidence))


def test_moments_of_a_clock_reading_that_was_not_yet_seen_whole_are_no_difference() -> None:
    later = moment(moment_id="m9", detected_at=at("10:01"), nominal_date="2026-09-07")
    more = replace(HOLDS, backtested=[*HOLDS.backtested, later])

    assert list(checks.backtest_finds_the_same(more))
    assert not list(checks.backtest_finds_the_same(replace(more, seen_until_ms=at("10:00"))))


def test_a_moment_of_a_rule_that_the_truth_does_not_cover_is_left_alone() -> None:
    more = replace(HOLDS, moments=[moment(), moment(moment_id="m2", rule_id="AN13")])

    assert not list(checks.nothing_else_found(more))
    assert list(checks.nothing_else_found(replace(more, covers=more.covers | {"AN13"})))


def test_logs_with_a_phone_number_fail(tmp_path: Path) -> None:
    clean, dirty = tmp_path / "router.log", tmp_path / "ingest.log"
    clean.write_text('{"event": "router.started"}\n', encoding="utf-8")
    dirty.write_text('{"phone": "13951800001"}\n', encoding="utf-8")
    check: Callable[[Evidence], Iterator[str]] = checks.logs_hold_no_personal_data

    assert not list(check(Evidence(logs=[clean], private_texts=frozenset({"13951800001"}))))
    assert list(check(Evidence(logs=[clean, dirty], private_texts=frozenset({"13951800001"}))))


def test_every_check_has_a_violation_here() -> None:
    shown = {name for name, _ in VIOLATIONS} | {"logs_hold_no_personal_data"}

    assert shown == checks.CHECKS.keys()


def test_a_release_makes_room_for_the_next_dispatch() -> None:
    """Five cards fill a manager; the sixth comes after one is done, recorded a little before it."""
    full = [task_event("QUEUED", 1, task_id=f"t{n}", customer_id=n, recorded_at=1_000 + n) for n in range(5)]
    done = task_event("DONE", 2, task_id="t0", customer_id=0, recorded_at=5_000)
    sixth = task_event("QUEUED", 1, task_id="t9", customer_id=9, recorded_at=4_990)

    assert not list(checks.capacity_respected(replace(HOLDS, task_events=[*full, done, sixth])))


def test_a_task_that_was_done_quickly_is_not_held_any_more() -> None:
    """Accepted and done within the tolerance for releases: the done still comes last."""
    quick = [
        task_event(state, sequence, task_id=f"t{n}", customer_id=n, recorded_at=10_000 * n + 50 * sequence)
        for n in range(8)
        for sequence, state in enumerate(("QUEUED", "OFFERED", "ACCEPTED", "DONE"), start=1)
    ]

    assert not list(checks.capacity_respected(replace(HOLDS, task_events=quick)))


def test_a_complaint_is_worked_although_the_line_is_suspended() -> None:
    suspended = replace(
        HOLDS, events=[line("SUSPENDED_LOST", at("10:01"), "s")], moments=[moment(rule_id="AN1")], accepted=frozenset()
    )

    assert not list(checks.suspended_untouched(suspended))


def test_dates_are_local() -> None:
    assert checks.moment_key(moment())[2] == "2026-09-07"
    assert datetime.fromtimestamp(at("00:30") / 1000, tz=UTC).day == 6
