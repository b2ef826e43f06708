"""Finds what time has changed: leases that ran out, tasks beyond use, managers gone silent, second attempts now due.

Effects are single transactions that check again, so that two sweepers at once do no harm. One instance runs it.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from services.clock import Clock
from services.workbench_api import tasks
from services.workbench_api.database import Connection, Database, News
from services.workbench_api.errors import ManagerUnknown
from services.workbench_api.roster import Roster, read_instant
from services.workbench_api.rows import read_tasks, write_changes
from services.workbench_api.states import Cause, State
from services.workbench_api.work_store import WorkStore

log = logging.getLogger(__name__)

_BATCH: Final = 200
_DAY_MS: Final = 86_400_000
_KEEP_TOMBSTONES_MS: Final = 60 * _DAY_MS
_CLEAN_SECONDS: Final = 600.0
_GLANCE: Final = """
    SELECT
        EXISTS (SELECT 1 FROM tasks WHERE lease_expires_at_ms <= %(real)s),
        EXISTS (SELECT 1 FROM tasks WHERE expires_at_ms <= %(now)s
            AND state IN ('HELD', 'QUEUED', 'OFFERED', 'DEFERRED')),
        EXISTS (SELECT 1 FROM managers LEFT JOIN seen USING (manager_id)
            WHERE presence = 'AVAILABLE' AND active AND coalesce(real_at_ms, 0) <= %(silent)s),
        EXISTS (SELECT 1 FROM tasks WHERE state IN ('QUEUED', 'DEFERRED') AND ready_at_ms <= %(now)s
            AND (ready_at_ms > %(from)s OR state = 'DEFERRED'))
"""


@dataclass(frozen=True)
class Glance:
    """Whether there is anything to do: leases that ran out, tasks beyond use, silent managers, tasks now ready."""

    now_ms: int
    leases: bool
    tasks: bool
    silence: bool
    ready: bool


class Sweeper:
    """`run()` sweeps for ever; `sweep()` is one round, for tests."""

    def __init__(
        self, database: Database, clock: Clock, store: WorkStore, roster: Roster, *, interval_seconds: float
    ) -> None:
        self._database = database
        self._clock = clock
        self._store = store
        self._roster = roster
        self._interval_seconds = interval_seconds
        self._ready_until_ms = 0
        self._next_clean = 0.0

    async def run(self, *, silence_from: float = 0.0) -> None:
        """Sweep at the interval; silence counts only after `silence_from` (monotonic): by then all could be heard."""
        while True:
            await self.sweep(count_silence=self._clock.monotonic() >= silence_from)
            await asyncio.sleep(self._interval_seconds)

    async def sweep(self, *, count_silence: bool = True) -> None:
        """One round; what is left over is found by the next. When time has changed nothing it costs one statement."""
        glance = await self._glance()
        if glance.leases:
            await self._expire_leases()
        if glance.tasks:
            await self._expire_tasks()
        if glance.silence and count_silence:
            for manager_id in await self._roster.silent():
                if await self._roster.silence(manager_id):
                    log.info("workbench.manager.silent")
        if glance.ready:
            await self._wake_ready(glance)
        self._ready_until_ms = glance.now_ms
        await self._clean()

    async def _glance(self) -> "Glance":
        now_ms, real_ms = self._clock.now_ms(), self._clock.real_ms()
        silent_ms = real_ms - self._roster.silence_ms
        async with self._database.connection() as connection:
            parameters = {"now": now_ms, "real": real_ms, "silent": silent_ms, "from": self._ready_until_ms}
            row = await (await connection.execute(_GLANCE, parameters)).fetchone()
        assert row is not None
        return Glance(now_ms, *row)

    async def _expire_leases(self) -> None:
        for manager_id in await self._with_expired_leases():
            try:
                await self._store.expire_leases(manager_id)
            except ManagerUnknown:
                await self._expire_orphans(manager_id)

    async def _with_expired_leases(self) -> list[str]:
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT DISTINCT manager_id FROM tasks WHERE lease_expires_at_ms <= %s ORDER BY manager_id LIMIT %s",
                [self._clock.real_ms(), _BATCH],
            )
            return [row[0] for row in await cursor.fetchall()]

    async def _expire_orphans(self, manager_id: str) -> None:
        """Leases of somebody who is not active any more."""

        async def work(connection: Connection, news: News) -> None:
            at = read_instant(self._clock)
            condition = "manager_id = %s AND lease_expires_at_ms <= %s ORDER BY task_id FOR UPDATE"
            found = await read_tasks(connection, condition, [manager_id, at.real_ms])
            changes = [change for task in found if (change := tasks.expire_lease(task, at)) is not None]
            await write_changes(connection, changes, at, news)

        await self._database.transact(work)

    async def _expire_tasks(self) -> None:
        async def work(connection: Connection, news: News) -> None:
            at = read_instant(self._clock)
            found = await read_tasks(
                connection,
                "task_id IN (SELECT task_id FROM tasks WHERE expires_at_ms <= %s AND state IN"
                " ('HELD', 'QUEUED', 'OFFERED', 'DEFERRED') ORDER BY expires_at_ms LIMIT %s)"
                " ORDER BY task_id FOR UPDATE SKIP LOCKED",
                [at.now_ms, _BATCH],
            )
            late = [task for task in found if task.expires_at_ms <= at.now_ms and tasks.is_waiting(task)]
            await write_changes(connection, [tasks.expire(task) for task in late], at, news)

        await self._database.transact(work)

    async def _wake_ready(self, glance: "Glance") -> None:
        """Tell polls about tasks now ready; a due second attempt whose manager is away goes back to the router."""
        from_ms, now_ms = self._ready_until_ms, glance.now_ms

        async def work(connection: Connection, news: News) -> None:
            cursor = await connection.execute(
                "SELECT DISTINCT manager_id FROM tasks WHERE state IN ('QUEUED', 'DEFERRED')"
                " AND ready_at_ms > %s AND ready_at_ms <= %s",
                [from_ms, now_ms],
            )
            ready = {row[0] for row in await cursor.fetchall()}
            news.work |= ready
            news.capacity |= ready  # a due second attempt takes room
            at = read_instant(self._clock)
            due = await read_tasks(
                connection,
                "task_id IN (SELECT task_id FROM tasks JOIN managers USING (manager_id) WHERE state = 'DEFERRED'"
                " AND ready_at_ms <= %s AND (presence <> 'AVAILABLE' OR NOT active) ORDER BY ready_at_ms LIMIT %s)"
                " ORDER BY task_id FOR UPDATE SKIP LOCKED",
                [now_ms, _BATCH],
            )
            waiting = [task for task in due if task.state is State.DEFERRED]
            changes = [tasks.release(task, State.EXPIRED, Cause.MANAGER_AWAY) for task in waiting]
            await write_changes(connection, changes, at, news)

        await self._database.transact(work)

    async def _clean(self) -> None:
        """Forget tombstones that no dispatch can be late enough for."""
        if self._clock.monotonic() < self._next_clean:
            return
        self._next_clean = self._clock.monotonic() + _CLEAN_SECONDS
        async with self._database.connection() as connection:
            await connection.execute(
                "DELETE FROM tombstones WHERE task_id IN"
                " (SELECT task_id FROM tombstones WHERE real_at_ms < %s LIMIT 5000)",
                [self._clock.real_ms() - _KEEP_TOMBSTONES_MS],
            )
