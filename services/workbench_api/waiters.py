"""Polls that wait for work, and who wakes them. Bounded; in memory only; one event loop.

A poll registers before it looks for work, so news that arrives while it looks is kept and makes it look again.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

from services.workbench_api.database import ALL, News
from services.workbench_api.errors import TooManyCalls

RETRY_SECONDS: Final = 2.0


class Waiter:
    """One waiting poll."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    def look(self) -> None:
        """Called before each look: news from here on wakes the next wait."""
        self._news.clear()

    async def wait(self, seconds: float) -> None:
        """Until there is news or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._news.wait()


class Waiters:
    """All waiting polls of this process, by manager."""

    def __init__(self, *, waiters_max: int, per_manager_max: int) -> None:
        self._waiters_max = waiters_max
        self._per_manager_max = per_manager_max
        self._by_manager: dict[str, list[Waiter]] = {}
        self._count = 0
        self.is_draining = False

    def __len__(self) -> int:
        return self._count

    @contextlib.contextmanager
    def register(self, manager_id: str) -> Iterator[Waiter]:
        """A waiter for the time of the block. Raises TooManyCalls."""
        waiters = self._by_manager.setdefault(manager_id, [])
        if self._count >= self._waiters_max or len(waiters) >= self._per_manager_max:
            raise TooManyCalls(RETRY_SECONDS)
        waiter = Waiter()
        waiters.append(waiter)
        self._count += 1
        try:
            yield waiter
        finally:
            waiters.remove(waiter)
            self._count -= 1
            if not waiters and self._by_manager.get(manager_id) is waiters:
                del self._by_manager[manager_id]

    def managers(self) -> list[str]:
        """Who waits here now."""
        return [manager_id for manager_id, waiters in self._by_manager.items() if waiters]

    def hear(self, news: News) -> None:
        """Wake whom the news concerns; freed capacity too may let a second attempt be offered."""
        self.wake(news.work | news.capacity)

    def wake(self, manager_ids: Iterable[str]) -> None:
        wanted = set(manager_ids)
        for manager_id in self._by_manager if ALL in wanted else wanted & self._by_manager.keys():
            for waiter in self._by_manager[manager_id]:
                waiter.wake()

    def drain(self) -> None:
        """End all waits: polls return what they have."""
        self.is_draining = True
        self.wake({ALL})


class SeenBook:
    """Who was heard of since the last note; collected in memory so that polls cost no write each."""

    def __init__(self, waiters: Waiters) -> None:
        self._waiters = waiters
        self._heard: set[str] = set()

    def note(self, manager_id: str) -> None:
        self._heard.add(manager_id)

    def take(self) -> list[str]:
        """Who was heard of, those who wait included; forgets them."""
        heard, self._heard = self._heard, set()
        return sorted(heard.union(self._waiters.managers()))


class CapacityFeed:
    """Tells watchers which managers' capacity changed; what a slow watcher has not taken is merged, never queued."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self.is_draining = False

    def hear(self, news: News) -> None:
        if news.capacity:
            for watcher in self._watchers:
                watcher.add(news.capacity)

    @contextlib.contextmanager
    def watch(self) -> Iterator["Watcher"]:
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def drain(self) -> None:
        self.is_draining = True
        for watcher in self._watchers:
            watcher.add({ALL})


class Watcher:
    """One stream's view of what changed since it last took it."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._news = asyncio.Event()

    def add(self, manager_ids: set[str]) -> None:
        self._changed |= manager_ids
        self._news.set()

    async def wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._news.wait()

    def take(self) -> set[str]:
        self._news.clear()
        changed, self._changed = self._changed, set()
        return changed
