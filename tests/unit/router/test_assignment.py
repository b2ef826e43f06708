"""Who gets which task, as tables."""

from typing import Any

import pytest

from services.router.assignment import Assignment, Candidate, Refusal, Step, Unassigned, plan
from services.router.capacity import BREAK, NOT_RESPONDING, OFFLINE, CapacityView, ManagerCapacity
from services.router.model import MINUTE_MS
from services.router.ranking import score
from services.router.reasons import Reason
from tests.doubles.router_facts import a_moment
from tests.doubles.router_records import HOUR_MS, NOW_MS


def task(task_id: str = "t1", **fields: Any) -> Candidate:
    values: dict[str, Any] = {"city": "NJ", "priority": 2, "score": 1000.0, "ready_at_ms": NOW_MS, **fields}
    return Candidate(task_id=task_id, **values)


def manager(manager_id: str, **fields: Any) -> ManagerCapacity:
    return ManagerCapacity(manager_id=manager_id, **{"city": "NJ", **fields})


FULL: dict[str, Any] = {"load_units": 81}


@pytest.mark.parametrize(
    ("candidate", "managers", "chosen"),
    [
        (task(owner="a"), [manager("a", load_units=60), manager("b")], ("a", Step.OWNER)),
        (task(owner="a", deputy="b"), [manager("a", presence=OFFLINE), manager("b"), manager("c")], ("b", Step.DEPUTY)),
        (task(owner="a"), [manager("a", presence=NOT_RESPONDING), manager("b")], ("b", Step.CITY)),
        (task(owner="gone"), [manager("b")], ("b", Step.CITY)),
        (task(), [manager("a", load_units=40), manager("b", load_units=20)], ("b", Step.CITY)),
        (task(), [manager("a", load_units=20), manager("b", load_units=30, capacity_units=200)], ("b", Step.CITY)),
        (task(), [manager("a", city="SZ"), manager("b")], ("b", Step.CITY)),
        (task(owner="a", declined_by=frozenset("a")), [manager("a"), manager("b", load_units=80)], ("b", Step.CITY)),
        (task(missed_by=frozenset("a")), [manager("a"), manager("b", load_units=80)], ("b", Step.CITY)),
        (task(missed_by=frozenset("a")), [manager("a")], ("a", Step.CITY)),
        (task(owner="a", priority=1), [manager("a", **FULL), manager("b")], ("b", Step.CITY)),
        (task(owner="a", ready_at_ms=NOW_MS - 5 * MINUTE_MS), [manager("a", **FULL), manager("b")], ("b", Step.CITY)),
        (task(owner="a"), [manager("a", budget_left=0), manager("b")], ("b", Step.CITY)),
        # What came back is offered on at once: the owner's time is not counted a second time.
        (task(owner="a", missed_by=frozenset("c")), [manager("a", **FULL), manager("b")], ("b", Step.CITY)),
        (
            task(owner="a", priority=4, declined_by=frozenset("c")),
            [manager("a", presence=BREAK), manager("b")],
            ("b", Step.CITY),
        ),
        (task(), [manager("a", capacity_units=30, load_units=12), manager("b", load_units=50)], ("b", Step.CITY)),
    ],
)
def test_the_right_manager_is_chosen(candidate: Candidate, managers: list[ManagerCapacity], chosen: Any) -> None:
    (assignment,) = plan([candidate], managers, NOW_MS).assignments
    assert (assignment.manager_id, assignment.step) == chosen


@pytest.mark.parametrize(
    ("candidate", "managers", "reason"),
    [
        (task(), [], Reason.NO_MANAGER_ON_SHIFT),
        (task(), [manager("a", presence=OFFLINE)], Reason.NO_MANAGER_ON_SHIFT),
        (task(), [manager("a", **FULL)], Reason.NO_CAPACITY),
        (task(), [manager("a", presence=BREAK)], Reason.NO_CAPACITY),
        (task(), [manager("a", budget_left=0)], Reason.NO_CAPACITY),
        (task(declined_by=frozenset("a")), [manager("a")], Reason.ALL_DECLINED),
        (task(owner="a"), [manager("a", **FULL), manager("b")], Reason.OWNER_FIRST),
        (task(owner="a"), [manager("a", presence=BREAK), manager("b")], Reason.OWNER_FIRST),
    ],
)
def test_what_cannot_be_assigned_says_why(
    candidate: Candidate, managers: list[ManagerCapacity], reason: Reason
) -> None:
    (left,) = plan([candidate], managers, NOW_MS).unassigned
    assert left.reason is reason


def test_refused_managers_are_counted_by_reason() -> None:
    managers = [manager("a", presence=OFFLINE), manager("b", **FULL), manager("c", **FULL)]
    (left,) = plan([task()], managers, NOW_MS).unassigned
    assert left == Unassigned("t1", Reason.NO_CAPACITY, None, ((Refusal.NO_ROOM, 2), (Refusal.OFF_SHIFT, 1)))


def test_the_higher_score_takes_the_last_place() -> None:
    planned = plan([task("low", score=1.0), task("high", score=2.0)], [manager("a", load_units=80)], NOW_MS)
    assert planned.assignments == (Assignment("high", "a", Step.CITY),)
    assert [left.task_id for left in planned.unassigned] == ["low"]


def test_an_unknown_capacity_has_no_managers_and_changes_need_a_snapshot_first() -> None:
    view = CapacityView()
    view.update([manager("a")])
    assert not view.is_known
    view.replace_all([manager("a")])
    assert view.update([manager("a", load_units=20)]) == {"NJ"}
    view.forget()
    assert view.of_city("NJ") == ()


def test_class_outranks_risk_and_nothing_outranks_the_first_class() -> None:
    first = score(a_moment(priority=1, risk_score=0.0), NOW_MS)
    old = a_moment(priority=2, risk_score=100.0, ready_at_ms=NOW_MS - 500 * HOUR_MS, expires_at_ms=NOW_MS + 1)
    assert score(a_moment(priority=2, risk_score=100.0), NOW_MS).total < score(a_moment(priority=1), NOW_MS).total
    assert score(old, NOW_MS, tier="TOP").total < first.total


def test_waiting_lifts_over_a_class_and_urgency_counts() -> None:
    waiting = a_moment(priority=4, ready_at_ms=NOW_MS - 48 * HOUR_MS)
    assert score(waiting, NOW_MS).total > score(a_moment(priority=3), NOW_MS).total
    soon = a_moment(expires_at_ms=NOW_MS + HOUR_MS)
    assert score(soon, NOW_MS).total > score(a_moment(), NOW_MS).total
