"""Keeps the shared view of capacity by the workbench's stream; while the stream is broken nothing is known."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from services.router import metrics
from services.router.capacity import CapacityView, ManagerCapacity
from services.router.errors import WorkbenchUnavailable

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


class Stream(Protocol):
    """What this module needs of the workbench; see workbench_client."""

    def watch(self) -> Iterator[tuple[bool, list[ManagerCapacity]]]: ...


class SharedCapacity:
    """A CapacityView for several threads; `changed` is told the cities in which something changed."""

    def __init__(self, changed: Callable[[Iterable[str]], None]) -> None:
        self._view = CapacityView()
        self._lock = threading.Lock()
        self._changed = changed

    def follow(self, stream: Stream, stopping: threading.Event) -> None:
        """Watch until stopped, connecting again with back-off."""
        pause = FIRST_PAUSE_SECONDS
        while not stopping.is_set():
            try:
                for is_snapshot, managers in stream.watch():
                    self._learn(is_snapshot, managers)
                    pause = FIRST_PAUSE_SECONDS
            except WorkbenchUnavailable as exc:
                log.info("router.capacity.unknown", extra={"why": exc.reason})
            self._forget()
            stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def is_known(self) -> bool:
        with self._lock:
            return self._view.is_known

    def of_city(self, city: str) -> tuple[ManagerCapacity, ...]:
        with self._lock:
            return self._view.of_city(city)

    def cities_with_room(self) -> frozenset[str]:
        with self._lock:
            return self._view.cities_with_room()

    def heard(self) -> int:
        with self._lock:
            return self._view.heard

    def add_load(self, manager_id: str, units: int, *, since: int) -> None:
        with self._lock:
            self._view.add_load(manager_id, units, since=since)

    def distrust(self, manager_id: str) -> None:
        with self._lock:
            self._view.distrust(manager_id)

    def _learn(self, is_snapshot: bool, managers: list[ManagerCapacity]) -> None:
        with self._lock:
            was_known = self._view.is_known
            cities = self._view.replace_all(managers) if is_snapshot else self._view.update(managers)
            totals = self._view.totals()
        metrics.CAPACITY_KNOWN.set(1)
        for city, (load, capacity) in totals.items():
            metrics.LOAD_UNITS.labels(city).set(load)
            metrics.CAPACITY_UNITS.labels(city).set(capacity)
        if cities or not was_known:
            self._changed(cities)

    def _forget(self) -> None:
        with self._lock:
            self._view.forget()
        metrics.CAPACITY_KNOWN.set(0)
