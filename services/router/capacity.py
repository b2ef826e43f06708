"""What managers hold and may hold, in units of 100 per manager, and the view of it that a round plans with.

The workbench is the truth; this view may only be older. Without a complete one nothing is dispatched.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

CALL_UNITS = 20
FOLLOW_UP_UNITS = 5

AVAILABLE, BREAK, OFFLINE, NOT_RESPONDING = "AVAILABLE", "BREAK", "OFFLINE", "NOT_RESPONDING"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerCapacity:
    """One manager as the workbench tells."""

    manager_id: str
    city: str
    team: str = ""
    presence: str = AVAILABLE
    load_units: int = 0
    capacity_units: int = 100
    budget_left: int = 60

    @property
    def on_shift(self) -> bool:
        return self.presence in (AVAILABLE, BREAK)

    @property
    def taking(self) -> bool:
        return self.presence == AVAILABLE

    @property
    def rank(self) -> tuple[float, int, str]:
        """Lowest load ratio first, then the larger budget, then a fixed order."""
        return (self.load_units / max(self.capacity_units, 1), -self.budget_left, self.manager_id)

    def with_task(self, units: int) -> "ManagerCapacity":
        """The same manager with one more task."""
        return replace(self, load_units=self.load_units + units, budget_left=self.budget_left - 1)


def has_headroom(manager: ManagerCapacity, units: int) -> bool:
    """True when a task of so many units still fits."""
    return manager.load_units + units <= manager.capacity_units


def has_room(manager: ManagerCapacity) -> bool:
    """True when the manager takes tasks and a call card still fits."""
    return manager.taking and manager.budget_left > 0 and has_headroom(manager, CALL_UNITS)


def slots(managers: Iterable[ManagerCapacity]) -> int:
    """How many more call cards these managers can take."""
    return sum(
        min((manager.capacity_units - manager.load_units) // CALL_UNITS, manager.budget_left)
        for manager in managers
        if has_room(manager)
    )


class CapacityView:
    """All managers as last told; unknown until the first snapshot and after the stream broke. Not thread safe."""

    def __init__(self) -> None:
        self._managers: dict[str, ManagerCapacity] | None = None
        self._told_at: dict[str, int] = {}
        self.heard = 0  # counts what was told, so that an answer can be put before or after it

    @property
    def is_known(self) -> bool:
        return self._managers is not None

    def replace_all(self, managers: Iterable[ManagerCapacity]) -> frozenset[str]:
        """Take a snapshot; returns the cities in which anything changed."""
        before = self._managers or {}
        self._managers = {manager.manager_id: manager for manager in managers}
        self.heard += 1
        self._told_at = dict.fromkeys(self._managers, self.heard)
        changed = before.items() ^ self._managers.items()
        return frozenset(manager.city for _, manager in changed)

    def update(self, managers: Iterable[ManagerCapacity]) -> frozenset[str]:
        """Take changes; ignored before the first snapshot. Returns the cities in which anything changed."""
        if self._managers is None:
            return frozenset()
        cities: set[str] = set()
        self.heard += 1
        for manager in managers:
            self._told_at[manager.manager_id] = self.heard
            before = self._managers.get(manager.manager_id)
            if before != manager:
                cities |= {manager.city} | ({before.city} if before else set())
                self._managers[manager.manager_id] = manager
        return frozenset(cities)

    def forget(self) -> None:
        """The stream broke: nothing is known any more."""
        self._managers = None

    def add_load(self, manager_id: str, units: int, *, since: int) -> None:
        """Count a task that was just stored, until the workbench tells the new load itself.

        since: `heard` when the task was sent; what was told later counts the task already.
        """
        if self._managers is not None and manager_id in self._managers and self._told_at[manager_id] <= since:
            self._managers[manager_id] = self._managers[manager_id].with_task(units)

    def distrust(self, manager_id: str) -> None:
        """The workbench found no room where this view saw some: plan nothing for them until it tells anew."""
        if self._managers is not None and manager_id in self._managers:
            manager = self._managers[manager_id]
            self._managers[manager_id] = replace(manager, load_units=max(manager.load_units, manager.capacity_units))

    def of_city(self, city: str) -> tuple[ManagerCapacity, ...]:
        """The managers of one city in a fixed order; empty while unknown."""
        return tuple(sorted((m for m in self._all() if m.city == city), key=lambda m: m.manager_id))

    def totals(self) -> dict[str, tuple[int, int]]:
        """City → (load units, capacity units) of the managers on shift."""
        sums: dict[str, tuple[int, int]] = {}
        for manager in self._all():
            load, capacity = sums.get(manager.city, (0, 0))
            if manager.on_shift:
                load, capacity = load + manager.load_units, capacity + manager.capacity_units
            sums[manager.city] = (load, capacity)
        return sums

    def cities_with_room(self) -> frozenset[str]:
        """Cities in which somebody can take a call card now."""
        return frozenset(manager.city for manager in self._all() if has_room(manager))

    def _all(self) -> Iterable[ManagerCapacity]:
        return () if self._managers is None else self._managers.values()
