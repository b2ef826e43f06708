"""Rows ⇄ tasks, and the one way a transition is written: the task, its event and its outbox row, in one transaction."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

from schemas.codec import encode
from services.workbench_api import metrics
from services.workbench_api.database import Connection, News
from services.workbench_api.leases import Lease
from services.workbench_api.states import State
from services.workbench_api.tasks import Change, Instant, Task
from services.workbench_api.windows import Window

TASK_EVENT: Final = "kairos.tasks.v1.TaskEvent"
COLUMNS: Final = (
    "task_id, version, state, customer_id, manager_id, city, units, priority, score, expires_at_ms, windows,"
    " moment_ids, rule_id, dimension, body, created_at_ms, ready_at_ms, attempts, epoch,"
    " lease_started_at_ms, lease_expires_at_ms, offer_request_id, deliveries, rescind_reason, sequence"
)
_FIELDS: Final = tuple(name.strip() for name in COLUMNS.split(","))
_UPSERT: Final = (
    f"INSERT INTO tasks ({COLUMNS}, changed_at_ms) VALUES ({', '.join(['%s'] * len(_FIELDS))}, %s)"  # noqa: S608
    " ON CONFLICT (task_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_FIELDS[1:], "changed_at_ms"))
)
_EVENT: Final = (
    "INSERT INTO task_events (task_id, sequence, version, from_state, to_state, cause, reason, actor, manager_id,"
    " epoch, at_ms, real_at_ms) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_OUTBOX: Final = "INSERT INTO outbox (event_id, customer_id, real_at_ms, body) VALUES (%s, %s, %s, %s)"


async def read_tasks(connection: Connection, condition: str, parameters: Sequence[Any]) -> list[Task]:
    """Tasks that meet a SQL condition; it may end with ORDER BY, LIMIT and FOR UPDATE. Conditions are constants."""
    cursor = await connection.execute(f"SELECT {COLUMNS} FROM tasks WHERE {condition}", parameters)  # noqa: S608
    return [task_of(row) for row in await cursor.fetchall()]


async def read_task(connection: Connection, task_id: str) -> Task | None:
    """One task, locked until the transaction ends."""
    found = await read_tasks(connection, "task_id = %s FOR UPDATE", [task_id])
    return found[0] if found else None


async def write_changes(connection: Connection, changes: Sequence[Change], at: Instant, news: News) -> None:
    """Store transitions with their events and outbox rows; what they mean to others goes into `news`."""
    if not changes:
        return
    async with connection.pipeline(), connection.cursor() as cursor:  # three statements, one round trip
        await cursor.executemany(_UPSERT, [(*_values(change.task), at.now_ms) for change in changes])
        await cursor.executemany(_EVENT, [_event_values(change, at) for change in changes])
        await cursor.executemany(_OUTBOX, [_outbox_values(task_event(change, at)) for change in changes])
    news.outbox = True
    for change in changes:
        metrics.TRANSITIONS.labels(to=change.task.state.value, cause=change.cause.value).inc()
        if change.task.state is State.QUEUED:
            news.work.add(change.task.manager_id)
        if change.task.state is not State.OFFERED:
            news.capacity.add(change.task.manager_id)


async def write_tasks(connection: Connection, tasks: Iterable[Task], at: Instant) -> None:
    """Store tasks whose state did not change: no event."""
    tasks = list(tasks)
    if not tasks:
        return
    async with connection.cursor() as cursor:
        await cursor.executemany(_UPSERT, [(*_values(task), at.now_ms) for task in tasks])


def task_event(change: Change, at: Instant) -> dict[str, Any]:
    """The Avro fields of a transition. The id follows from task and sequence, so that a repeat is recognised."""
    task = change.task
    return {
        "event_id": str(uuid.uuid5(uuid.UUID(task.task_id), str(task.sequence))),
        "task_id": task.task_id,
        "task_version": task.version,
        "sequence": task.sequence,
        "customer_id": task.customer_id,
        "moment_ids": list(task.moment_ids),
        "from_state": "" if change.before is State.CREATED else change.before.value,
        "to_state": task.state.value,
        "cause": change.cause.value,
        "reason": change.reason,
        "actor": change.actor,
        "manager_id": task.manager_id,
        "city": task.city,
        "disposition": change.disposition,
        "dimension": task.dimension or None,
        "lease_epoch": task.epoch if task.lease is not None else 0,
        "attempt": task.attempts,
        "units": task.units,
        "occurred_at": at.now_ms,
        "recorded_at": at.real_ms,
    }


def task_of(row: Sequence[Any]) -> Task:
    """A row in the order of COLUMNS as a task."""
    values = dict(zip(_FIELDS, row, strict=True))
    started, expires = values.pop("lease_started_at_ms"), values.pop("lease_expires_at_ms")
    flat = values["windows"]
    values |= {
        "task_id": str(values["task_id"]),
        "state": State(values["state"]),
        "windows": tuple(Window(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)),
        "moment_ids": tuple(values["moment_ids"]),
        "body": bytes(values["body"]),
        "lease": None if expires is None else Lease(values["epoch"], started, expires),
    }
    return Task(**values)


def _values(task: Task) -> tuple[Any, ...]:
    return (
        task.task_id,
        task.version,
        task.state.value,
        task.customer_id,
        task.manager_id,
        task.city,
        task.units,
        task.priority,
        task.score,
        task.expires_at_ms,
        [instant for window in task.windows for instant in window],
        list(task.moment_ids),
        task.rule_id,
        task.dimension,
        task.body,
        task.created_at_ms,
        task.ready_at_ms,
        task.attempts,
        task.epoch,
        None if task.lease is None else task.lease.started_at_ms,
        None if task.lease is None else task.lease.expires_at_ms,
        task.offer_request_id,
        task.deliveries,
        task.rescind_reason,
        task.sequence,
    )


def _outbox_values(event: dict[str, Any]) -> tuple[Any, ...]:
    return (event["event_id"], event["customer_id"], event["recorded_at"], encode(TASK_EVENT, event))


def _event_values(change: Change, at: Instant) -> tuple[Any, ...]:
    task = change.task
    return (
        task.task_id,
        task.sequence,
        task.version,
        "" if change.before is State.CREATED else change.before.value,
        task.state.value,
        change.cause.value,
        change.reason,
        change.actor,
        task.manager_id,
        task.epoch,
        at.now_ms,
        at.real_ms,
    )
