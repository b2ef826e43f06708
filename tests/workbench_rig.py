"""A workbench in this process for tests: tasks with defaults, a running server, a client per role."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psycopg
from kairos.workbench.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    dispatch_pb2,
    dispatch_pb2_grpc,
    manager_pb2,
    manager_pb2_grpc,
)
from kairos.workbench.v1 import task_pb2 as task_messages

from services.clock import Clock, ManualClock
from services.settings import Secret
from services.transport import tokens
from services.transport.grpc_channel import RpcFault, aio_channel, bearer, fault_of
from services.workbench_api.app import Workbench
from services.workbench_api.settings import WorkbenchSettings

KEY = bytes(range(32))
HOUR_MS = 3_600_000
MONDAY_10_MS = 1_788_746_400_000  # 2026-09-07 10:00 +08:00
MORNING = (MONDAY_10_MS - HOUR_MS, MONDAY_10_MS + 2 * HOUR_MS)  # 09:00 to 12:00
AFTERNOON = (MONDAY_10_MS + 4 * HOUR_MS, MONDAY_10_MS + int(10.5 * HOUR_MS))  # 14:00 to 20:30
TABLES = "managers, seen, tasks, tombstones, task_events, outbox, completions, customers, offsets"
_numbers = itertools.count(1)


def wire_task(manager_id: str = "m-NJ-01", **changes: Any) -> task_messages.Task:
    """A dispatchable call card for a fresh customer; open 09:00 to 12:00 and 14:00 to 20:30 of the Monday."""
    number = next(_numbers)
    windows = changes.pop("windows", (MORNING, AFTERNOON))
    customer_id = changes.pop("customer_id", 1_000_000 + number)
    moment_fields: dict[str, Any] = {
        "moment_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"moment-{number}")),
        "revision": 1,
        "rule_id": "AN4",
        "rule_version": "province@1",
        "moment_class": "CHANGE",
        "dimension": "SERVICE",
        "group": "SERVICE",
        "occurred_at_ms": MONDAY_10_MS - 1000,
        "expires_at_ms": MONDAY_10_MS + 30 * HOUR_MS,
        "priority": 2,
        "message_key": "an4",
        "parameters": {"balance_yuan": "8.50", "threshold_yuan": "10.00"},
        "risk_score": 61.5,
    }
    moment = task_messages.CardMoment(**(moment_fields | changes.pop("moment", {})))
    moment.evidence.add(name="balance_fen", observed=850, threshold=1000, unit="fen", layer="CITY")
    task_fields: dict[str, Any] = {
        "task_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"task-{number}")),
        "version": 1,
        "customer": task_messages.CustomerBasics(
            customer_id=customer_id, city="NJ", segment="GO", tier="TOP", phone_masked="138****0001", language="zh"
        ),
        "moments": [moment],
        "priority": 2,
        "score": 50.0,
        "expires_at_ms": MONDAY_10_MS + 30 * HOUR_MS,
        "units": 20,
        "contact_windows": [
            task_messages.ContactWindow(opens_at_ms=opens, closes_at_ms=closes) for opens, closes in windows
        ],
        "manager_id": manager_id,
        "created_at_ms": MONDAY_10_MS,
    }
    return task_messages.Task(**(task_fields | changes))


def again(task: task_messages.Task, **changes: Any) -> task_messages.Task:
    """The same task with its version counted up, as the router dispatches it again."""
    copy = task_messages.Task()
    copy.CopyFrom(task)
    copy.version += 1
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


@dataclass
class Client:
    """Calls of one subject in one role; `token` replaces the minted one, None sends none."""

    target: str
    subject: str = "m-NJ-01"
    role: tokens.Role = "manager"
    language: str = "en"
    token: str | None = ""
    clock: Clock | None = None  # tokens are minted by it
    channel: grpc.aio.Channel = field(init=False)

    def __post_init__(self) -> None:
        self.channel = aio_channel(self.target)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        entries = [("accept-language", self.language)]
        if self.token is None:
            return tuple(entries)
        now_ms = None if self.clock is None else self.clock.real_ms()
        return (*entries, bearer(self.token or tokens.mint(KEY, subject=self.subject, role=self.role, now_ms=now_ms)))

    async def call(self, service: Any, method: str, request: Any, *, seconds: float = 10.0) -> Any:
        return await getattr(service(self.channel), method)(request, metadata=self.metadata, timeout=seconds)

    async def poll(self, wait: float = -1, *, request_id: str = "", max_tasks: int = 1) -> Any:
        request = manager_pb2.PollTasksRequest(
            request_id=request_id or uuid.uuid4().hex, wait_seconds=wait, max_tasks=max_tasks
        )
        return await self.call(manager_pb2_grpc.ManagerServiceStub, "PollTasks", request, seconds=30.0)

    async def accept(self, task: Any) -> Any:
        request = manager_pb2.AcceptTaskRequest(task_id=task.task_id, lease_epoch=task.lease.epoch)
        return (await self.call(manager_pb2_grpc.ManagerServiceStub, "AcceptTask", request)).task

    async def complete(self, task: Any, *, request_id: str = "", **fields: Any) -> Any:
        fields.setdefault("disposition", manager_pb2.DISPOSITION_REACHED_RESOLVED)
        request = manager_pb2.CompleteTaskRequest(
            task_id=task.task_id, lease_epoch=task.lease.epoch, request_id=request_id or uuid.uuid4().hex, **fields
        )
        return (await self.call(manager_pb2_grpc.ManagerServiceStub, "CompleteTask", request)).task

    async def decline(self, task: Any) -> Any:
        request = manager_pb2.DeclineTaskRequest(
            task_id=task.task_id, lease_epoch=task.lease.epoch, reason=manager_pb2.DECLINE_REASON_BUSY
        )
        return (await self.call(manager_pb2_grpc.ManagerServiceStub, "DeclineTask", request)).task

    async def heartbeat(self, *tasks: Any) -> Any:
        held = [manager_pb2.HeartbeatRequest.Held(task_id=t.task_id, lease_epoch=t.lease.epoch) for t in tasks]
        request = manager_pb2.HeartbeatRequest(tasks=held)
        return (await self.call(manager_pb2_grpc.ManagerServiceStub, "Heartbeat", request)).results

    async def presence(self, presence: Any = task_messages.PRESENCE_AVAILABLE) -> None:
        request = manager_pb2.SetPresenceRequest(presence=presence)
        await self.call(manager_pb2_grpc.ManagerServiceStub, "SetPresence", request)

    async def card(self, task_id: str) -> Any:
        request = manager_pb2.GetCustomerCardRequest(task_id=task_id)
        return await self.call(manager_pb2_grpc.ManagerServiceStub, "GetCustomerCard", request)

    async def list_tasks(self, **fields: Any) -> Any:
        request = manager_pb2.ListTasksRequest(**fields)
        return await self.call(manager_pb2_grpc.ManagerServiceStub, "ListTasks", request)

    async def dispatch(self, *tasks: task_messages.Task) -> list[str]:
        """The outcomes by name, without the prefix."""
        request = dispatch_pb2.DispatchTasksRequest(tasks=tasks)
        response = await self.call(dispatch_pb2_grpc.DispatchServiceStub, "DispatchTasks", request)
        outcome = dispatch_pb2.DispatchResult.Outcome
        return [outcome.Name(result.outcome).removeprefix("OUTCOME_") for result in response.results]

    async def rescind(self, *items: tuple[str, int], reason: str = "topped_up") -> list[str]:
        wire = [
            dispatch_pb2.RescindTasksRequest.Item(task_id=task_id, version=version, reason=reason)
            for task_id, version in items
        ]
        request = dispatch_pb2.RescindTasksRequest(items=wire)
        response = await self.call(dispatch_pb2_grpc.DispatchServiceStub, "RescindTasks", request)
        outcome = dispatch_pb2.RescindTasksResponse.Result.Outcome
        return [outcome.Name(result.outcome).removeprefix("OUTCOME_") for result in response.results]

    def watch(self, *cities: str) -> Any:
        stub = dispatch_pb2_grpc.DispatchServiceStub(self.channel)
        return stub.WatchCapacity(dispatch_pb2.WatchCapacityRequest(cities=cities), metadata=self.metadata, timeout=60)

    async def upsert(self, *managers: admin_pb2.Manager) -> Any:
        request = admin_pb2.UpsertManagersRequest(managers=managers)
        return await self.call(admin_pb2_grpc.AdminServiceStub, "UpsertManagers", request)


@dataclass
class Rig:
    """A running workbench and clients of it."""

    workbench: Workbench
    clock: Clock
    target: str
    clients: list[Client] = field(default_factory=list)

    def client(self, subject: str = "m-NJ-01", role: tokens.Role = "manager", **fields: Any) -> Client:
        client = Client(self.target, subject, role, clock=self.clock, **fields)
        self.clients.append(client)
        return client

    @property
    def router(self) -> Client:
        return self.client("router", "router")

    async def manager(self, manager_id: str = "m-NJ-01", **fields: Any) -> Client:
        """A manager on the roster who is available."""
        await self.client("admin", "admin").upsert(
            admin_pb2.Manager(manager_id=manager_id, city="NJ", active=True, **fields)
        )
        client = self.client(manager_id)
        await client.presence()
        return client

    async def rows(self, query: str, *parameters: Any) -> list[Any]:
        async with self.workbench.database.connection() as connection:
            return await (await connection.execute(query, parameters)).fetchall()


def settings_for(dsn: str, bootstrap: str, secrets_dir: Path, **changes: Any) -> WorkbenchSettings:
    """Settings on free ports with quick sweeps."""
    (secrets_dir / tokens.KEY_FILE).write_text(KEY.hex())
    fields: dict[str, Any] = {
        "postgres_dsn": Secret(dsn),
        "secrets_dir": secrets_dir,
        "kafka_bootstrap": bootstrap,
        "grpc_port": 0,
        "sweep_seconds": 0.05,
        "lost_seconds": 10.0,
        "silence_seconds": 10_000_000.0,  # tests move the clock by hours; those about silence set it
    }
    return WorkbenchSettings(**(fields | changes))


@contextlib.asynccontextmanager
async def running(settings: WorkbenchSettings, clock: Clock | None = None) -> AsyncIterator[Rig]:
    """A workbench that serves for the time of the block."""
    clock = clock or ManualClock(MONDAY_10_MS, real_ms=_real_now_ms())
    workbench = Workbench(settings, clock, key=KEY)
    await workbench.open()
    parts = asyncio.ensure_future(workbench.run_parts())
    rig = Rig(workbench, clock, f"127.0.0.1:{workbench.server.port}")
    try:
        yield rig
        if parts.done():
            parts.result()
    finally:
        for client in rig.clients:
            await client.channel.close()
        parts.cancel()
        await asyncio.gather(parts, return_exceptions=True)
        await workbench.close()


@contextlib.contextmanager
def refused() -> Iterator[list[RpcFault]]:
    """The fault that the one call of the block ends with."""
    faults: list[RpcFault] = []
    try:
        yield faults
    except grpc.aio.AioRpcError as error:
        faults.append(fault_of(error))
        return
    raise AssertionError("the call was not refused")


async def until(condition: Callable[[], Awaitable[Any]], *, seconds: float = 10.0) -> Any:
    """Wait until the condition gives something true, and return that."""
    ends = asyncio.get_running_loop().time() + seconds
    while True:
        found = await condition()
        if found:
            return found
        assert asyncio.get_running_loop().time() < ends, f"not within {seconds} s"
        await asyncio.sleep(0.01)


def empty(dsn: str) -> None:
    """Remove all rows, if the schema is there."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("SELECT to_regclass('workbench.tasks')").fetchone()
        if row is not None and row[0] is not None:
            connection.execute("SET search_path TO workbench")
            connection.execute(f"TRUNCATE {TABLES}")


def _real_now_ms() -> int:
    import time

    return time.time_ns() // 1_000_000
