"""What a manager reads: their tasks, and all about the customer of one of them. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.workbench_api.database import Database
from services.workbench_api.rows import COLUMNS, read_tasks, task_of
from services.workbench_api.states import OPEN, State
from services.workbench_api.tasks import Task

PAST_CONTACTS_MAX = 20


@dataclass(frozen=True)
class PastContact:
    """How a task of this customer ended before."""

    at_ms: int
    rule_id: str
    disposition: str
    manager_id: str


@dataclass(frozen=True)
class Card:
    """A task with what is known of its customer; customer_body: the record of kairos.customers.v1, if there is one."""

    task: Task
    past_contacts: Sequence[PastContact]
    customer_body: bytes | None


@dataclass(frozen=True)
class Place:
    """Where a page of tasks ended."""

    created_at_ms: int
    task_id: str


class CardStore:
    """Answers the reading calls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def card(self, manager_id: str, task_id: str) -> Card | None:
        """The card of a task that this manager has or ended; None when it is not theirs."""
        async with self._database.connection() as connection:
            found = await read_tasks(connection, "task_id = %s AND manager_id = %s", [task_id, manager_id])
            if not found or not _may_see(found[0]):
                return None
            customer_id = found[0].customer_id
            cursor = await connection.execute(
                "SELECT at_ms, rule_id, disposition, manager_id FROM completions WHERE customer_id = %s"
                " ORDER BY at_ms DESC LIMIT %s",
                [customer_id, PAST_CONTACTS_MAX],
            )
            past = [PastContact(*row) for row in await cursor.fetchall()]
            cursor = await connection.execute("SELECT body FROM customers WHERE customer_id = %s", [customer_id])
            row = await cursor.fetchone()
        return Card(found[0], past, None if row is None else bytes(row[0]))

    async def page(
        self, manager_id: str, states: Sequence[State], size: int, after: Place | None
    ) -> tuple[list[Task], Place | None]:
        """One page of this manager's tasks, newest first, and where the next begins."""
        wanted = [state.value for state in states]
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                f"SELECT {COLUMNS} FROM tasks WHERE manager_id = %s"  # noqa: S608
                " AND (%s::text[] IS NULL OR state = ANY(%s))"
                " AND (%s::bigint IS NULL OR (created_at_ms, task_id) < (%s::bigint, %s::uuid))"
                " ORDER BY created_at_ms DESC, task_id DESC LIMIT %s",
                [
                    manager_id,
                    *[wanted or None] * 2,
                    *[None if after is None else after.created_at_ms] * 2,
                    None if after is None else after.task_id,
                    size + 1,
                ],
            )
            tasks = [task_of(row) for row in await cursor.fetchall()]
        if len(tasks) <= size:
            return tasks, None
        last = tasks[size - 1]
        return tasks[:size], Place(last.created_at_ms, last.task_id)


def _may_see(task: Task) -> bool:
    """Somebody sees a customer while the task is theirs, and after they ended it; not what was taken from them."""
    return task.state in OPEN or task.state is State.DONE
