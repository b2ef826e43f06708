"""Who takes which task: owner first for a set time, then deputy, then the city's pool by lowest load ratio.

Filters say yes or no with a reason and change nothing; what is left is taken in the order of score. Pure: the same
tasks and managers give the same plan whatever their order. Carrying it out is dispatch's business.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.router.capacity import CALL_UNITS, ManagerCapacity, has_headroom
from services.router.model import HOUR_MS, MINUTE_MS
from services.router.reasons import Reason

ALL_DECLINED_WAIT_MS = HOUR_MS


class Step(StrEnum):
    """Which rule found the manager."""

    OWNER = "owner"
    DEPUTY = "deputy"
    CITY = "city"


class Refusal(StrEnum):
    """Why one manager did not get one task."""

    OFF_SHIFT = "off_shift"
    NOT_TAKING = "not_taking"
    NO_ROOM = "no_room"
    BUDGET_SPENT = "budget_spent"
    HAS_DECLINED = "has_declined"
    MISSED_OFFER = "missed_offer"


@dataclass(frozen=True, slots=True)
class AssignmentPolicy:
    """How long a task waits for the owner, then for the deputy, by its class; milliseconds since it was ready."""

    owner_wait_ms: Mapping[int, int] = field(
        default_factory=lambda: {1: 0, 2: 5 * MINUTE_MS, 3: 30 * MINUTE_MS, 4: HOUR_MS, 5: HOUR_MS}
    )
    deputy_wait_ms: int = 5 * MINUTE_MS


POLICY = AssignmentPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A task that may go out now."""

    task_id: str
    city: str
    priority: int
    score: float
    ready_at_ms: int
    units: int = CALL_UNITS
    owner: str | None = None
    deputy: str | None = None
    declined_by: frozenset[str] = frozenset()
    missed_by: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task for a manager."""

    task_id: str
    manager_id: str
    step: Step


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A task for nobody yet, with why, until when at least, and how many managers were refused for what."""

    task_id: str
    reason: Reason
    waits_until_ms: int | None = None
    refusals: tuple[tuple[Refusal, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a round does, in the order of score."""

    assignments: tuple[Assignment, ...]
    unassigned: tuple[Unassigned, ...]


def plan(
    candidates: Iterable[Candidate],
    managers: Iterable[ManagerCapacity],
    now_ms: int,
    *,
    policy: AssignmentPolicy = POLICY,
) -> Plan:
    """Assign as many tasks as capacity allows; no manager gets more units or tasks than they have left."""
    candidates = sorted(candidates, key=lambda c: (-c.score, c.task_id))
    pool = _Pool(managers, least_units=min((c.units for c in candidates), default=0))
    assignments: list[Assignment] = []
    unassigned: list[Unassigned] = []
    for candidate in candidates:
        found = _place(candidate, pool, now_ms, policy)
        if isinstance(found, Assignment):
            pool.take(found.manager_id, candidate.units)
            assignments.append(found)
        else:
            unassigned.append(found)
    return Plan(tuple(assignments), tuple(unassigned))


def refusal(manager: ManagerCapacity, candidate: Candidate, *, missed_counts: bool = True) -> Refusal | None:
    """Why this manager may not take this task now, or None."""
    if manager.manager_id in candidate.declined_by:
        return Refusal.HAS_DECLINED
    if missed_counts and manager.manager_id in candidate.missed_by:
        return Refusal.MISSED_OFFER
    if not manager.on_shift:
        return Refusal.OFF_SHIFT
    if not manager.taking:
        return Refusal.NOT_TAKING
    if manager.budget_left < 1:
        return Refusal.BUDGET_SPENT
    return None if has_headroom(manager, candidate.units) else Refusal.NO_ROOM


class _Pool:
    """The managers of one plan, with what the plan has taken from them so far, cheapest by load ratio."""

    def __init__(self, managers: Iterable[ManagerCapacity], *, least_units: int) -> None:
        self._least_units = least_units
        self._managers = {manager.manager_id: manager for manager in managers}
        self._heaps: dict[str, list[tuple[float, int, str]]] = {}
        for manager in self._managers.values():
            if manager.taking and manager.budget_left > 0:
                heapq.heappush(self._heaps.setdefault(manager.city, []), manager.rank)

    def find(self, manager_id: str | None) -> ManagerCapacity | None:
        return self._managers.get(manager_id) if manager_id else None

    def of_city(self, city: str) -> list[ManagerCapacity]:
        return [manager for manager in self._managers.values() if manager.city == city]

    def take(self, manager_id: str, units: int) -> None:
        manager = self._managers[manager_id].with_task(units)
        self._managers[manager_id] = manager
        heapq.heappush(self._heaps.setdefault(manager.city, []), manager.rank)

    def cheapest(self, candidate: Candidate, *, missed_counts: bool) -> ManagerCapacity | None:
        """The manager of the city with the lowest load ratio who may take it."""
        heap = self._heaps.get(candidate.city, [])
        aside: list[tuple[float, int, str]] = []
        found = None
        while heap and found is None:
            entry = heapq.heappop(heap)
            manager = self._managers[entry[2]]
            if manager.rank != entry:
                continue  # taken from since: a newer entry is in the heap
            if manager.budget_left < 1 or not has_headroom(manager, self._least_units):
                continue  # room for none of the tasks of this plan: need not be looked at again
            aside.append(entry)
            if refusal(manager, candidate, missed_counts=missed_counts) is None:
                found = manager
        for entry in aside:
            heapq.heappush(heap, entry)
        return found


def _place(candidate: Candidate, pool: _Pool, now_ms: int, policy: AssignmentPolicy) -> Assignment | Unassigned:
    waited_ms = now_ms - candidate.ready_at_ms
    was_returned = bool(candidate.declined_by or candidate.missed_by)  # then it is offered on at once
    patience_ms = 0 if was_returned else policy.owner_wait_ms.get(candidate.priority, 0)
    for step, manager_id in ((Step.OWNER, candidate.owner), (Step.DEPUTY, candidate.deputy)):
        manager = pool.find(manager_id)
        if manager is None:
            continue
        why_not = refusal(manager, candidate)
        if why_not is None:
            return Assignment(candidate.task_id, manager.manager_id, step)
        if why_not in (Refusal.NO_ROOM, Refusal.NOT_TAKING) and waited_ms < patience_ms:
            return Unassigned(candidate.task_id, Reason.OWNER_FIRST, candidate.ready_at_ms + patience_ms)
        patience_ms += policy.deputy_wait_ms if patience_ms else 0
    manager = pool.cheapest(candidate, missed_counts=True) or pool.cheapest(candidate, missed_counts=False)
    if manager is not None:
        return Assignment(candidate.task_id, manager.manager_id, Step.CITY)
    return _nobody(candidate, pool, now_ms)


def _nobody(candidate: Candidate, pool: _Pool, now_ms: int) -> Unassigned:
    refused = [refusal(manager, candidate, missed_counts=False) for manager in pool.of_city(candidate.city)]
    counted = Counter(why for why in refused if why is not None)
    refusals = tuple(sorted(counted.items()))
    if not counted or set(counted) == {Refusal.OFF_SHIFT}:
        return Unassigned(candidate.task_id, Reason.NO_MANAGER_ON_SHIFT, None, refusals)
    if set(counted) <= {Refusal.HAS_DECLINED, Refusal.OFF_SHIFT}:
        until = now_ms + ALL_DECLINED_WAIT_MS
        return Unassigned(candidate.task_id, Reason.ALL_DECLINED, until, refusals)
    return Unassigned(candidate.task_id, Reason.NO_CAPACITY, None, refusals)
