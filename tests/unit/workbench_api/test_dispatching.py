"""Which dispatched tasks are stored, and why the others are not."""

from dataclasses import replace

import pytest

from services.workbench_api.dispatching import (
    Ground,
    Invalid,
    Outcome,
    RescindOutcome,
    Room,
    plan_dispatch,
    plan_rescind,
)
from services.workbench_api.presence import Presence
from services.workbench_api.states import State
from services.workbench_api.tasks import Instant, Task
from services.workbench_api.windows import Window

TEN = 1_788_746_400_000
AT = Instant(TEN, 1)


def item(number: int = 1, **changes: object) -> Task:
    fields: dict[str, object] = {
        "task_id": f"t{number}",
        "version": 1,
        "state": State.CREATED,
        "customer_id": number,
        "manager_id": "m",
        "city": "NJ",
        "units": 20,
        "priority": 2,
        "score": 1.0,
        "expires_at_ms": TEN + 1000,
        "windows": (Window(TEN - 1, TEN + 1000),),
        "moment_ids": (),
        "rule_id": "AN4",
        "dimension": "",
        "body": b"",
        "created_at_ms": TEN,
        "ready_at_ms": 0,
    }
    return Task(**(fields | changes))  # type: ignore[arg-type]


def room(**changes: object) -> Room:
    fields: dict[str, object] = {
        "presence": Presence.AVAILABLE,
        "capacity_units": 100,
        "load_units": 0,
        "reserved_units": 0,
        "budget_left": 60,
    }
    return Room(**(fields | changes))  # type: ignore[arg-type]


def outcomes(items: list[Task | Invalid], ground: Ground) -> list[Outcome]:
    return [result.outcome for result in plan_dispatch(items, ground, AT)[0]]


def test_a_batch_fills_a_manager_and_no_more() -> None:
    found = outcomes([item(n) for n in range(7)], Ground({}, {}, {"m": room()}))
    assert found == [Outcome.STORED] * 5 + [Outcome.NO_CAPACITY] * 2


def test_room_kept_for_second_attempts_is_not_given_away() -> None:
    assert outcomes([item()], Ground({}, {}, {"m": room(load_units=70, reserved_units=15)})) == [Outcome.NO_CAPACITY]


def test_the_daily_budget_counts() -> None:
    found = outcomes([item(1), item(2)], Ground({}, {}, {"m": room(budget_left=1)}))
    assert found == [Outcome.STORED, Outcome.NO_CAPACITY]


@pytest.mark.parametrize("presence", [Presence.BREAK, Presence.OFFLINE, Presence.NOT_RESPONDING])
def test_nobody_who_is_away_gets_a_task(presence: Presence) -> None:
    assert outcomes([item()], Ground({}, {}, {"m": room(presence=presence)})) == [Outcome.MANAGER_AWAY]
    assert outcomes([item(manager_id="nobody")], Ground({}, {}, {})) == [Outcome.MANAGER_AWAY]


def test_a_customer_has_one_card_also_within_a_batch() -> None:
    found = outcomes([item(1), item(2, customer_id=1)], Ground({}, {}, {"m": room()}))
    assert found == [Outcome.STORED, Outcome.CUSTOMER_HAS_CARD]


def test_a_repeated_item_is_stored_once() -> None:
    assert outcomes([item(), item()], Ground({}, {}, {"m": room()})) == [Outcome.STORED, Outcome.ALREADY_THERE]


def test_a_tombstone_holds_back_its_version_and_older_ones() -> None:
    ground = Ground({}, {"t1": 2}, {"m": room()})
    found = outcomes([item(version=1), item(version=2), item(version=3)], ground)
    assert found == [Outcome.RESCINDED, Outcome.RESCINDED, Outcome.STORED]


@pytest.mark.parametrize("state", [State.OFFERED, State.ACCEPTED, State.DEFERRED, State.DONE])
def test_what_is_in_hand_or_done_does_not_make_way(state: State) -> None:
    ground = Ground({"t1": item(state=state, version=3)}, {}, {"m": room()}, {1: "t1"})
    results, changes = plan_dispatch([item(version=9)], ground, AT)
    assert (results[0].outcome, results[0].version, changes) == (Outcome.ALREADY_THERE, 3, [])


def test_a_released_task_comes_back_with_its_history() -> None:
    stored = item(state=State.DECLINED, epoch=4, sequence=9, attempts=1, manager_id="old")
    _, changes = plan_dispatch([item(version=2)], Ground({"t1": stored}, {}, {"m": room()}), AT)
    after = changes[0].task
    assert (changes[0].before, after.state) == (State.DECLINED, State.QUEUED)
    assert (after.epoch, after.sequence, after.attempts, after.manager_id) == (4, 10, 1, "m")


def test_moving_a_waiting_task_frees_its_old_place() -> None:
    stored = item(state=State.QUEUED)
    rooms = {"m": room(load_units=20, budget_left=5), "n": room()}
    results, _ = plan_dispatch([item(version=2, manager_id="n")], Ground({"t1": stored}, {}, rooms, {1: "t1"}), AT)
    assert results[0].outcome is Outcome.STORED
    assert (rooms["m"].load_units, rooms["n"].load_units) == (0, 20)


def test_a_new_version_for_the_same_full_manager_fits_in_its_own_place() -> None:
    ground = Ground({"t1": item(state=State.QUEUED)}, {}, {"m": room(load_units=100, budget_left=0)}, {1: "t1"})
    assert outcomes([item(version=2)], ground) == [Outcome.STORED]
    assert ground.rooms["m"].load_units == 100


def test_wrong_fields_are_told_item_by_item() -> None:
    results, changes = plan_dispatch(
        [Invalid("x", 1, "units: want 1..100"), item(expires_at_ms=TEN)], Ground({}, {}, {"m": room()}), AT
    )
    assert [result.outcome for result in results] == [Outcome.INVALID, Outcome.INVALID]
    assert [result.message for result in results] == ["units: want 1..100", "expires_at_ms: has passed"]
    assert not changes


def test_a_task_never_changes_its_customer() -> None:
    ground = Ground({"t1": item(state=State.DECLINED)}, {}, {"m": room()})
    assert outcomes([item(version=2, customer_id=77)], ground) == [Outcome.INVALID]


def test_rescinding_tells_what_became_of_the_task() -> None:
    assert plan_rescind(None, 1, "r") == (RescindOutcome.TOMBSTONE, None)
    assert plan_rescind(item(state=State.DONE), 1, "r") == (RescindOutcome.ALREADY_ENDED, None)
    assert plan_rescind(item(state=State.QUEUED, version=2), 1, "r") == (RescindOutcome.ALREADY_ENDED, None)
    assert plan_rescind(item(state=State.QUEUED), 1, "r")[0] is RescindOutcome.RESCINDED
    worked = replace(item(state=State.CREATED), state=State.ACCEPTED)
    assert plan_rescind(worked, 1, "r")[0] is RescindOutcome.IN_WORK
