"""Which dispatched tasks are stored: one pure plan over a batch, in the order of the batch.

The caller holds the lock that makes what it read stay true until the plan is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from services.workbench_api.presence import Presence
from services.workbench_api.states import OPEN, Cause, State
from services.workbench_api.tasks import ROUTER, Change, Instant, Task, move, rescind, units_held
from services.workbench_api.windows import next_open_ms

WAITING = frozenset({State.HELD, State.QUEUED})


class Outcome(StrEnum):
    """Names as in DispatchResult.Outcome, without the prefix."""

    STORED = "STORED"
    ALREADY_THERE = "ALREADY_THERE"
    NO_CAPACITY = "NO_CAPACITY"
    MANAGER_AWAY = "MANAGER_AWAY"
    RESCINDED = "RESCINDED"
    CUSTOMER_HAS_CARD = "CUSTOMER_HAS_CARD"
    INVALID = "INVALID"


class RescindOutcome(StrEnum):
    """Names as in RescindTasksResponse.Result.Outcome, without the prefix."""

    RESCINDED = "RESCINDED"
    TOMBSTONE = "TOMBSTONE"
    IN_WORK = "IN_WORK"
    ALREADY_ENDED = "ALREADY_ENDED"


@dataclass
class Room:
    """What a manager may still take; shrinks while a batch is planned. reserved_units: for due second attempts."""

    presence: Presence
    capacity_units: int
    load_units: int
    reserved_units: int
    budget_left: int

    def fits(self, units: int) -> bool:
        return self.load_units + self.reserved_units + units <= self.capacity_units and self.budget_left > 0

    def add(self, units: int, *, tasks: int) -> None:
        self.load_units += units
        self.budget_left -= tasks


@dataclass(frozen=True)
class Invalid:
    """An item of the batch whose fields are wrong; fault names field and reason."""

    task_id: str
    version: int
    fault: str


@dataclass(frozen=True)
class DispatchResult:
    """The answer for one item; version: the one stored now."""

    task_id: str
    version: int
    outcome: Outcome
    message: str = ""


@dataclass
class Ground:
    """What is stored now, as far as the batch touches it; `plan_dispatch` keeps it up to date as it goes."""

    tasks: dict[str, Task]
    tombstones: dict[str, int]
    rooms: dict[str, Room]
    open_customers: dict[int, str] = field(default_factory=dict)


def plan_dispatch(
    items: Sequence[Task | Invalid], ground: Ground, at: Instant
) -> tuple[list[DispatchResult], list[Change]]:
    """One result per item, in order, and what to store. Items are tasks in state CREATED."""
    results: list[DispatchResult] = []
    changes: list[Change] = []
    for item in items:
        if isinstance(item, Invalid):
            results.append(DispatchResult(item.task_id, item.version, Outcome.INVALID, item.fault))
            continue
        outcome, message = _outcome(item, ground, at)
        if outcome is Outcome.STORED:
            changes.append(_store(item, ground, at))
        stored = ground.tasks.get(item.task_id)
        version = stored.version if stored is not None else item.version
        results.append(DispatchResult(item.task_id, version, outcome, message))
    return results, changes


def plan_rescind(task: Task | None, version: int, reason: str) -> tuple[RescindOutcome, Change | Task | None]:
    """What becomes of one task whose versions up to `version` are withdrawn, and what to store (a tombstone apart)."""
    if task is None:
        return RescindOutcome.TOMBSTONE, None
    if task.version > version or task.state not in OPEN:
        return RescindOutcome.ALREADY_ENDED, None
    found = rescind(task, reason)
    return (RescindOutcome.RESCINDED if isinstance(found, Change) else RescindOutcome.IN_WORK), found


def _outcome(item: Task, ground: Ground, at: Instant) -> tuple[Outcome, str]:
    if ground.tombstones.get(item.task_id, -1) >= item.version:
        return Outcome.RESCINDED, ""
    stored = ground.tasks.get(item.task_id)
    if stored is not None and not _makes_way(stored, item):
        return Outcome.ALREADY_THERE, ""
    if item.expires_at_ms <= at.now_ms:
        return Outcome.INVALID, "expires_at_ms: has passed"
    if stored is not None and stored.customer_id != item.customer_id:
        return Outcome.INVALID, "customer: is not the one of the stored version"
    if ground.open_customers.get(item.customer_id, item.task_id) != item.task_id:
        return Outcome.CUSTOMER_HAS_CARD, ""
    room = ground.rooms.get(item.manager_id)
    if room is None or room.presence is not Presence.AVAILABLE:
        return Outcome.MANAGER_AWAY, ""
    held, counted = _held_of(stored, item.manager_id)
    if not replace(room, load_units=room.load_units - held, budget_left=room.budget_left + counted).fits(item.units):
        return Outcome.NO_CAPACITY, ""
    return Outcome.STORED, ""


def _makes_way(stored: Task, item: Task) -> bool:
    """True when a higher version may replace what is stored: it waits, or it was released or withdrawn."""
    if item.version <= stored.version or stored.state is State.DONE:
        return False
    return stored.state in WAITING or stored.state not in OPEN


def _held_of(stored: Task | None, manager_id: str) -> tuple[int, int]:
    """Units and tasks that the stored version, about to be replaced, takes from this manager."""
    if stored is None or stored.manager_id != manager_id or stored.state not in WAITING:
        return 0, 0
    return units_held(stored), 1


def _store(item: Task, ground: Ground, at: Instant) -> Change:
    stored = ground.tasks.get(item.task_id)
    if stored is not None and stored.state in WAITING and stored.manager_id in ground.rooms:
        ground.rooms[stored.manager_id].add(-units_held(stored), tasks=-1)
    fresh = item
    if stored is not None:
        fresh = replace(
            item,
            state=stored.state,
            epoch=stored.epoch,
            sequence=stored.sequence,
            attempts=stored.attempts,
            created_at_ms=stored.created_at_ms,
        )
    change = move(
        fresh,
        State.QUEUED,
        Cause.DISPATCHED,
        actor=ROUTER,
        ready_at_ms=max(item.ready_at_ms, next_open_ms(item.windows, at.now_ms)),
        rescind_reason="",
    )
    ground.tasks[item.task_id] = change.task
    ground.open_customers[item.customer_id] = item.task_id
    ground.rooms[item.manager_id].add(item.units, tasks=1)
    return change
