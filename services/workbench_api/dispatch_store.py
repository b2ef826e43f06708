"""Takes tasks from the router and takes them back, each batch in one transaction.

All dispatches and rescinds run one after another under an advisory lock: what the plan read stays true until it is
written, and a rescind and a late dispatch of the same task cannot pass each other unseen (docs/decisions/0070).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.clock import Clock
from services.workbench_api.database import Connection, Database, News
from services.workbench_api.dispatching import (
    DispatchResult,
    Ground,
    Invalid,
    RescindOutcome,
    plan_dispatch,
    plan_rescind,
)
from services.workbench_api.roster import lock_rooms, read_instant
from services.workbench_api.rows import read_tasks, write_changes, write_tasks
from services.workbench_api.tasks import Change, Task

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('kairos.workbench.dispatch'))"
_OPEN_OF_CUSTOMERS: Final = (
    "SELECT customer_id, task_id FROM tasks WHERE customer_id = ANY(%s)"
    " AND state IN ('HELD', 'QUEUED', 'OFFERED', 'ACCEPTED', 'WRAPPING', 'DEFERRED')"
)


@dataclass(frozen=True)
class Withdrawal:
    """Versions of a task up to this one are withdrawn."""

    task_id: str
    version: int
    reason: str


class DispatchStore:
    """The router's side of the tasks."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def dispatch(self, items: Sequence[Task | Invalid]) -> list[DispatchResult]:
        """Store what may be stored; one result per item, in order. Repeating it changes nothing."""

        async def work(connection: Connection, news: News) -> list[DispatchResult]:
            await connection.execute(_LOCK)
            at = read_instant(self._clock)
            ground = await _read_ground(connection, [item for item in items if isinstance(item, Task)], at.now_ms)
            results, changes = plan_dispatch(items, ground, at)
            await write_changes(connection, changes, at, news)
            return results

        return await self._database.transact(work)

    async def rescind(self, items: Sequence[Withdrawal]) -> list[RescindOutcome]:
        """Withdraw tasks and leave tombstones; one outcome per item, in order."""

        async def work(connection: Connection, news: News) -> list[RescindOutcome]:
            await connection.execute(_LOCK)
            at = read_instant(self._clock)
            stored = await _read_by_id(connection, [item.task_id for item in items])
            outcomes, changes, marked = [], [], []
            for item in items:
                outcome, found = plan_rescind(stored.get(item.task_id), item.version, item.reason)
                outcomes.append(outcome)
                if isinstance(found, Change):
                    changes.append(found)
                    stored[item.task_id] = found.task
                elif found is not None:
                    marked.append(found)
                    stored[item.task_id] = found
            await _bury(connection, items, at.real_ms)
            await write_changes(connection, changes, at, news)
            await write_tasks(connection, marked, at)
            return outcomes

        return await self._database.transact(work)


async def _read_ground(connection: Connection, items: Sequence[Task], now_ms: int) -> Ground:
    """All that the plan depends on. Order of locks everywhere: managers, then tasks by id."""
    rooms = await lock_rooms(connection, sorted({item.manager_id for item in items}), now_ms)
    task_ids = [item.task_id for item in items]
    tasks = await _read_by_id(connection, task_ids)
    cursor = await connection.execute(
        "SELECT task_id, version FROM tombstones WHERE task_id = ANY(%s::uuid[])", [task_ids]
    )
    tombstones = {str(row[0]): row[1] for row in await cursor.fetchall()}
    cursor = await connection.execute(_OPEN_OF_CUSTOMERS, [[item.customer_id for item in items]])
    open_customers = {row[0]: str(row[1]) for row in await cursor.fetchall()}
    return Ground(tasks, tombstones, rooms, open_customers)


async def _read_by_id(connection: Connection, task_ids: Sequence[str]) -> dict[str, Task]:
    found = await read_tasks(connection, "task_id = ANY(%s::uuid[]) ORDER BY task_id FOR UPDATE", [list(task_ids)])
    return {task.task_id: task for task in found}


async def _bury(connection: Connection, items: Sequence[Withdrawal], real_ms: int) -> None:
    newest: dict[str, Withdrawal] = {}
    for item in items:
        if item.task_id not in newest or newest[item.task_id].version < item.version:
            newest[item.task_id] = item
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO tombstones (task_id, version, reason, real_at_ms) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (task_id) DO UPDATE SET version = excluded.version, reason = excluded.reason,"
            " real_at_ms = excluded.real_at_ms WHERE tombstones.version < excluded.version",
            [(item.task_id, item.version, item.reason, real_ms) for item in newest.values()],
        )
