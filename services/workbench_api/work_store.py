"""A manager's side of the tasks: offers, work, and how it ends. Each call is one transaction.

Order of locks everywhere: the manager, then tasks by id.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from services.clock import Clock
from services.workbench_api import tasks
from services.workbench_api.database import Connection, Database, News
from services.workbench_api.errors import FieldInvalid, ManagerUnknown
from services.workbench_api.leases import Lease, LeasePolicy, Refusal
from services.workbench_api.presence import Presence
from services.workbench_api.roster import Manager, Roster, lock_manager, note_act, read_instant, read_loads
from services.workbench_api.rows import read_task, read_tasks, write_changes, write_tasks
from services.workbench_api.states import State
from services.workbench_api.tasks import Change, Decision, Instant, Refused, Task, units_held

_OFFERABLE = (
    "manager_id = %s AND (state = 'OFFERED' OR (state IN ('QUEUED', 'DEFERRED') AND ready_at_ms <= %s))"
    " ORDER BY task_id FOR UPDATE"
)
_GLANCE = (
    "SELECT presence, active, EXISTS (SELECT 1 FROM tasks WHERE manager_id = %(manager)s AND (state = 'OFFERED'"
    " OR (state IN ('QUEUED', 'DEFERRED') AND ready_at_ms <= %(now)s))) FROM managers WHERE manager_id = %(manager)s"
)

Answer = Callable[[Task], bytes]  # the response to a completed task, made by those who know the wire format


@dataclass(frozen=True)
class Offers:
    """What a poll brings: offers with their leases, and which of them were made by this very call."""

    presence: Presence
    tasks: Sequence[Task] = ()
    fresh: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What the person says at the end of the work."""

    request_id: str
    disposition: str
    note: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    promise: str = ""
    next_contact_on: str = ""


@dataclass(frozen=True)
class Replayed:
    """The stored answer to a request that was answered before."""

    response: bytes


class WorkStore:
    """Offers tasks to managers and takes their answers."""

    def __init__(self, database: Database, clock: Clock, roster: Roster, *, policy: LeasePolicy) -> None:
        self._database = database
        self._clock = clock
        self._roster = roster
        self._policy = policy

    async def glance(self, manager_id: str) -> tuple[Presence, bool]:
        """Presence, and whether a poll may find something: one cheap statement. Raises ManagerUnknown."""
        async with self._database.connection() as connection:
            parameters = {"manager": manager_id, "now": self._clock.now_ms()}
            row = await (await connection.execute(_GLANCE, parameters)).fetchone()
        if row is None or not row[1]:
            raise ManagerUnknown(manager_id)
        return Presence(row[0]), bool(row[2])

    async def poll(self, manager_id: str, request_id: str, tasks_max: int) -> Offers:
        """Standing offers again, and new ones up to `tasks_max`; a retry of the same request gets the same."""

        async def work(connection: Connection, news: News) -> Offers:
            manager = await lock_manager(connection, manager_id)
            at = read_instant(self._clock)
            found = await read_tasks(connection, _OFFERABLE, [manager_id, at.now_ms])
            standing = [task for task in found if _stands(task, at)]
            same = [task for task in standing if task.offer_request_id == request_id]
            again = [replace(task, deliveries=task.deliveries + 1) for task in same or standing]
            await write_tasks(connection, again, at)
            if same or manager.presence is not Presence.AVAILABLE:
                return Offers(manager.presence, again)
            room = tasks_max - len(standing)
            fresh = await self._offer(connection, manager, found, request_id, room, at, news) if room > 0 else []
            offered = [*again, *(change.task for change in fresh)]
            return Offers(manager.presence, offered, [(change.task.task_id, change.task.epoch) for change in fresh])

        return await self._database.transact(work)

    async def withdraw(self, fresh: Sequence[tuple[str, int]]) -> None:
        """Take back offers that a cancelled call was about to deliver."""

        async def work(connection: Connection, news: News) -> None:
            at = read_instant(self._clock)
            for task_id, epoch in sorted(fresh):
                task = await read_task(connection, task_id)
                change = None if task is None else tasks.withdraw_offer(task, epoch)
                await write_changes(connection, [] if change is None else [change], at, news)

        await self._database.transact(work)

    async def accept(self, manager_id: str, task_id: str, epoch: int) -> Decision:
        """Turn an offer into work."""

        async def work(connection: Connection, news: News) -> Decision:
            manager, task, at = await self._claim(connection, manager_id, task_id)
            if task is None:
                return Refused(Refusal.TASK_NOT_FOUND)
            decision = tasks.decide_accept(task, manager_id, epoch, at, policy=self._policy)
            await write_changes(connection, _changes_of(decision), at, news)
            await note_act(connection, manager, at, news, accepted=isinstance(decision, Change))
            return decision

        return await self._database.transact(work)

    async def heartbeat(self, manager_id: str, held: Sequence[tuple[str, int]]) -> list[Lease | Refusal]:
        """Extend the leases of accepted tasks; one result per task, in order."""

        async def work(connection: Connection, news: News) -> list[Lease | Refusal]:
            at = read_instant(self._clock)
            ids = [task_id for task_id, _ in held]
            condition = "task_id = ANY(%s::uuid[]) ORDER BY task_id FOR UPDATE"
            found = {task.task_id: task for task in await read_tasks(connection, condition, [ids])}
            results: list[Lease | Refusal] = []
            for task_id, epoch in held:
                task = found.get(task_id)
                outcome: Task | Refusal = Refusal.TASK_NOT_FOUND
                if task is not None:
                    outcome = tasks.decide_heartbeat(task, manager_id, epoch, at, policy=self._policy)
                if isinstance(outcome, Refusal):
                    results.append(outcome)
                    continue
                assert outcome.lease is not None
                found[task_id] = outcome
                results.append(outcome.lease)
                await write_tasks(connection, [outcome], at)
            return results

        return await self._database.transact(work)

    async def complete(
        self, manager_id: str, task_id: str, epoch: int, completion: Completion, *, answer: Answer
    ) -> Decision | Replayed:
        """End the work; `answer` makes the response that is stored with it, for repeats of the request."""

        async def work(connection: Connection, news: News) -> Decision | Replayed:
            manager, task, at = await self._claim(connection, manager_id, task_id)
            replayed = await _replay(connection, manager_id, completion.request_id, task_id)
            if replayed is not None:
                return replayed
            if task is None:
                return Refused(Refusal.TASK_NOT_FOUND)
            decision = tasks.decide_complete(task, manager_id, epoch, completion.disposition, at)
            await write_changes(connection, _changes_of(decision), at, news)
            if isinstance(decision, Change):
                await note_act(connection, manager, at, news, accepted=False)
                await _write_completion(connection, decision.task, completion, at, answer(decision.task))
            return decision

        return await self._database.transact(work)

    async def decline(self, manager_id: str, task_id: str, epoch: int, reason: str) -> Decision:
        """Give a task back to the router."""

        async def work(connection: Connection, news: News) -> Decision:
            manager, task, at = await self._claim(connection, manager_id, task_id)
            if task is None:
                return Refused(Refusal.TASK_NOT_FOUND)
            decision = tasks.decide_decline(task, manager_id, epoch, reason, at)
            await write_changes(connection, _changes_of(decision), at, news)
            await note_act(connection, manager, at, news, accepted=False)
            return decision

        return await self._database.transact(work)

    async def expire_leases(self, manager_id: str) -> int:
        """Release what this manager holds beyond its lease, and count missed offers against presence."""

        async def work(connection: Connection, news: News) -> int:
            manager = await lock_manager(connection, manager_id)
            at = read_instant(self._clock)
            condition = "manager_id = %s AND lease_expires_at_ms <= %s ORDER BY task_id FOR UPDATE"
            found = await read_tasks(connection, condition, [manager_id, at.real_ms])
            changes = [change for task in found if (change := tasks.expire_lease(task, at)) is not None]
            await write_changes(connection, changes, at, news)
            missed = sum(change.before is State.OFFERED for change in changes)
            if missed:
                await self._roster.miss(connection, manager, missed, at, news)
            return len(changes)

        return await self._database.transact(work)

    async def _offer(
        self,
        connection: Connection,
        manager: Manager,
        found: Sequence[Task],
        request_id: str,
        tasks_max: int,
        at: Instant,
        news: News,
    ) -> list[Change]:
        """Offer the most urgent waiting tasks that fit; store what is found out about the others on the way."""
        changes: list[Change] = []
        later: list[Task] = []
        offered: list[Change] = []
        loads = await read_loads(connection, [manager.manager_id], at.now_ms)
        load_units = loads.get(manager.manager_id, (0, 0, 0))[0]
        waiting = [task for task in found if task.state is not State.OFFERED]
        for task in sorted(waiting, key=lambda each: (each.priority, -each.score, each.created_at_ms, each.task_id)):
            if len(offered) == tasks_max:
                break
            grown = load_units - units_held(task) + task.units
            if grown > max(manager.capacity_units, load_units):
                continue
            decided = tasks.decide_offer(task, request_id, at, policy=self._policy)
            if not isinstance(decided, Change):
                later.append(decided)
                continue
            changes.append(decided)
            if decided.task.state is State.OFFERED:
                load_units = grown
                offered.append(decided)
        await write_tasks(connection, later, at)
        await write_changes(connection, changes, at, news)
        return offered

    async def _claim(
        self, connection: Connection, manager_id: str, task_id: str
    ) -> tuple[Manager, Task | None, Instant]:
        manager = await lock_manager(connection, manager_id)
        task = await read_task(connection, task_id)
        return manager, task, read_instant(self._clock)


def _stands(task: Task, at: Instant) -> bool:
    return task.state is State.OFFERED and task.lease is not None and at.real_ms < task.lease.expires_at_ms


def _changes_of(decision: Decision) -> list[Change]:
    if isinstance(decision, Change):
        return [decision]
    if isinstance(decision, Refused) and decision.change is not None:
        return [decision.change]
    return []


async def _replay(connection: Connection, manager_id: str, request_id: str, task_id: str) -> Replayed | None:
    cursor = await connection.execute(
        "SELECT task_id, response FROM completions WHERE manager_id = %s AND request_id = %s", [manager_id, request_id]
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    if str(row[0]) != task_id:
        raise FieldInvalid("request_id", "was used for another task")
    return Replayed(bytes(row[1]))


async def _write_completion(
    connection: Connection, task: Task, completion: Completion, at: Instant, response: bytes
) -> None:
    values: list[Any] = [
        task.manager_id,
        completion.request_id,
        task.task_id,
        task.customer_id,
        task.rule_id,
        completion.disposition,
        completion.note,
        json.dumps(dict(completion.answers), ensure_ascii=False),
        completion.promise,
        completion.next_contact_on or None,
        at.now_ms,
        response,
    ]
    await connection.execute(
        "INSERT INTO completions (manager_id, request_id, task_id, customer_id, rule_id, disposition, note, answers,"
        " promise, next_contact_on, at_ms, response) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        values,
    )
