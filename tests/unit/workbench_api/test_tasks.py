"""Every decision about a task, with values alone."""

from dataclasses import replace
from typing import Any

import pytest

from services.workbench_api import tasks
from services.workbench_api.leases import Lease, LeasePolicy, Refusal
from services.workbench_api.states import FOLLOWERS, OPEN, Cause, State, TransitionRefused, check_transition, may_become
from services.workbench_api.tasks import Change, Instant, Refused, Task, Unchanged
from services.workbench_api.windows import NEVER_MS, Window

POLICY = LeasePolicy()
HOUR = 3_600_000
TEN = 1_788_746_400_000  # Monday 2026-09-07 10:00 +08:00
NOW = Instant(TEN, 5_000_000)
TASK_ID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


def task(state: State = State.QUEUED, **changes: Any) -> Task:
    lease = Lease(3, NOW.real_ms - 1_000, NOW.real_ms + 10_000) if state in (State.OFFERED, State.ACCEPTED) else None
    fields: dict[str, Any] = {
        "task_id": TASK_ID,
        "version": 1,
        "state": state,
        "customer_id": 1,
        "manager_id": "m",
        "city": "NJ",
        "units": 20,
        "priority": 2,
        "score": 1.0,
        "expires_at_ms": TEN + 30 * HOUR,
        "windows": (Window(TEN - HOUR, TEN + 2 * HOUR), Window(TEN + 4 * HOUR, TEN + 10 * HOUR)),
        "moment_ids": ("a",),
        "rule_id": "AN4",
        "dimension": "SERVICE",
        "body": b"",
        "created_at_ms": TEN,
        "ready_at_ms": 0,
        "epoch": 3,
        "lease": lease,
        "sequence": 5,
    }
    return Task(**(fields | changes))


def changed(decision: object) -> Change:
    assert isinstance(decision, Change)
    return decision


def test_only_listed_transitions_pass() -> None:
    for before in State:
        for after in State:
            if after in FOLLOWERS[before]:
                check_transition(before, after)
            else:
                assert not may_become(before, after)
                with pytest.raises(TransitionRefused):
                    check_transition(before, after)


def test_done_has_no_follower_and_every_open_state_can_end() -> None:
    assert not FOLLOWERS[State.DONE]
    for state in OPEN:
        assert FOLLOWERS[state] - OPEN, state


def test_an_offer_counts_the_epoch_and_the_sequence_up() -> None:
    change = changed(tasks.decide_offer(task(), "r", NOW, policy=POLICY))
    assert (change.task.state, change.task.epoch, change.task.sequence) == (State.OFFERED, 4, 6)
    assert change.task.lease == Lease(4, NOW.real_ms, NOW.real_ms + 20_000)


def test_outside_its_window_a_task_is_put_off_to_the_next_one() -> None:
    noon = Instant(TEN + 2 * HOUR, 0)
    found = tasks.decide_offer(task(), "r", noon, policy=POLICY)
    assert isinstance(found, Task)
    assert found.ready_at_ms == TEN + 4 * HOUR
    night = tasks.decide_offer(task(), "r", Instant(TEN + 11 * HOUR, 0), policy=POLICY)
    assert isinstance(night, Task)
    assert night.ready_at_ms == NEVER_MS


def test_a_task_beyond_its_use_expires_instead_of_being_offered_or_accepted() -> None:
    late = Instant(TEN + 30 * HOUR, NOW.real_ms)
    assert changed(tasks.decide_offer(task(), "r", late, policy=POLICY)).cause is Cause.EXPIRED
    refused = tasks.decide_accept(task(State.OFFERED), "m", 3, late, policy=POLICY)
    assert isinstance(refused, Refused)
    assert (refused.refusal, refused.state) == (Refusal.WRONG_STATE, State.EXPIRED)
    assert changed(refused.change).task.state is State.EXPIRED


def test_accepting_needs_the_right_person_epoch_and_time() -> None:
    offered = task(State.OFFERED)
    cases = [
        (("other", 3, NOW), Refusal.TASK_NOT_FOUND),
        (("m", 2, NOW), Refusal.LEASE_EPOCH_OLD),
        (("m", 3, Instant(TEN, NOW.real_ms + 10_000)), Refusal.LEASE_EXPIRED),
    ]
    for (manager_id, epoch, at), expected in cases:
        refused = tasks.decide_accept(offered, manager_id, epoch, at, policy=POLICY)
        assert isinstance(refused, Refused)
        assert refused.refusal is expected
        assert refused.change is None
    assert changed(tasks.decide_accept(offered, "m", 3, NOW, policy=POLICY)).task.state is State.ACCEPTED
    assert isinstance(tasks.decide_accept(task(State.ACCEPTED), "m", 3, NOW, policy=POLICY), Unchanged)


def test_accepting_outside_the_window_puts_the_task_back() -> None:
    refused = tasks.decide_accept(task(State.OFFERED), "m", 3, Instant(TEN + 2 * HOUR, NOW.real_ms), policy=POLICY)
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.OUTSIDE_CONTACT_WINDOW
    back = changed(refused.change).task
    assert (back.state, back.ready_at_ms, back.lease) == (State.QUEUED, TEN + 4 * HOUR, None)


@pytest.mark.parametrize("state", [State.QUEUED, State.DONE, State.DECLINED, State.RESCINDED, State.DEFERRED])
def test_what_nobody_holds_cannot_be_accepted_or_completed(state: State) -> None:
    for decision in (
        tasks.decide_accept(task(state), "m", 3, NOW, policy=POLICY),
        tasks.decide_complete(task(state), "m", 3, "OTHER", NOW),
    ):
        assert isinstance(decision, Refused)
        assert (decision.refusal, decision.state) == (Refusal.WRONG_STATE, state)


def test_an_offer_is_neither_completed_nor_kept_alive() -> None:
    refused = tasks.decide_complete(task(State.OFFERED), "m", 3, "OTHER", NOW)
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.WRONG_STATE
    assert tasks.decide_heartbeat(task(State.OFFERED), "m", 3, NOW, policy=POLICY) is Refusal.WRONG_STATE


def test_nobody_answered_waits_an_hour_and_for_another_half_day_in_a_window() -> None:
    change = changed(tasks.decide_complete(task(State.ACCEPTED), "m", 3, "NO_ANSWER", NOW))
    assert (change.task.state, change.task.attempts) == (State.DEFERRED, 1)
    assert change.task.ready_at_ms == TEN + 4 * HOUR  # noon is another half-day, two o'clock the window
    close_to_noon = Instant(TEN + 2 * HOUR - 60_000, NOW.real_ms)
    change = changed(tasks.decide_complete(task(State.ACCEPTED, windows=ALL_DAY), "m", 3, "NO_ANSWER", close_to_noon))
    assert change.task.ready_at_ms == close_to_noon.now_ms + HOUR


ALL_DAY = (Window(TEN - HOUR, TEN + 100 * HOUR),)


def test_the_third_time_nobody_answers_the_task_is_done() -> None:
    change = changed(tasks.decide_complete(task(State.ACCEPTED, attempts=2, windows=ALL_DAY), "m", 3, "NO_ANSWER", NOW))
    assert (change.task.state, change.task.attempts, change.disposition) == (State.DONE, 3, "NO_ANSWER")


def test_without_another_window_before_it_expires_the_task_is_done() -> None:
    short = task(State.ACCEPTED, expires_at_ms=TEN + 4 * HOUR)
    assert changed(tasks.decide_complete(short, "m", 3, "NO_ANSWER", NOW)).task.state is State.DONE


def test_a_rescinded_task_in_work_is_done_when_completed_and_rescinded_when_given_back() -> None:
    marked = tasks.rescind(task(State.ACCEPTED), "topped_up")
    assert isinstance(marked, Task)
    assert marked.state is State.ACCEPTED
    done = changed(tasks.decide_complete(marked, "m", 3, "NO_ANSWER", NOW))
    assert (done.task.state, done.reason) == (State.DONE, "rescinded:topped_up")
    back = changed(tasks.decide_decline(marked, "m", 3, "BUSY", NOW))
    assert (back.task.state, back.cause, back.reason) == (State.RESCINDED, Cause.RESCINDED, "topped_up")
    run_out = tasks.expire_lease(marked, Instant(TEN, NOW.real_ms + 10_000))
    assert changed(run_out).task.state is State.RESCINDED


def test_a_lease_that_ran_out_is_released_with_its_cause() -> None:
    later = Instant(TEN, NOW.real_ms + 10_000)
    assert tasks.expire_lease(task(State.OFFERED), NOW) is None
    assert changed(tasks.expire_lease(task(State.OFFERED), later)).cause is Cause.OFFER_MISSED
    assert changed(tasks.expire_lease(task(State.ACCEPTED), later)).cause is Cause.LEASE_EXPIRED


def test_an_offer_is_withdrawn_only_while_nobody_else_got_it() -> None:
    offered = task(State.OFFERED, deliveries=1)
    assert changed(tasks.withdraw_offer(offered, 3)).task.state is State.QUEUED
    assert tasks.withdraw_offer(offered, 2) is None
    assert tasks.withdraw_offer(replace(offered, deliveries=2), 3) is None
    assert tasks.withdraw_offer(task(State.ACCEPTED), 3) is None


def test_only_what_is_open_takes_capacity_and_a_deferred_task_less() -> None:
    units = {state: tasks.units_held(task(state)) for state in State}
    assert {state for state, held in units.items() if held} == OPEN
    assert units[State.DEFERRED] == 5
    assert units[State.QUEUED] == units[State.OFFERED] == units[State.ACCEPTED] == 20
