"""Phone managers who work by themselves: poll, accept, sometimes decline, complete. For demos and the smoke run.

What they do with a task follows from its id, so that equal runs decide alike. Everything they see is recorded with the
real time at which it reached them.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc
from kairos.workbench.v1 import manager_pb2, manager_pb2_grpc, task_pb2

from services.transport.grpc_channel import aio_channel, bearer
from services.transport.tokens import mint

CALL_SECONDS = 5.0
POLL_WAIT_SECONDS = 8.0
POLL_SECONDS = 15.0
PAUSE_SECONDS = 0.3
TRIES = 12
DISPOSITIONS = (
    *(manager_pb2.DISPOSITION_REACHED_RESOLVED,) * 6,
    *(manager_pb2.DISPOSITION_REACHED_PROMISED,) * 3,
    manager_pb2.DISPOSITION_OTHER,
)
# Codes after which the same call is made again: the server restarts, or answered too late.
RETRY_CODES = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An offer in a manager's hands; `polled_at_ms` is the real clock."""

    task_id: str
    version: int
    epoch: int
    customer_id: int
    manager_id: str
    rule_ids: tuple[str, ...]
    moment_ids: tuple[str, ...]
    polled_at_ms: int


@dataclass
class Diary:
    """What all automatic managers saw and did."""

    offers: list[Offer] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    completed: set[str] = field(default_factory=set)
    declined: set[tuple[str, int]] = field(default_factory=set)
    # Refused calls by code and reason; expected ones are those of a lease lost or a closed contact window.
    refusals: dict[str, int] = field(default_factory=dict)

    def note_refusal(self, call: str, error: grpc.aio.AioRpcError) -> None:
        """Count a refused call."""
        name = f"{call}:{error.code().name}"
        self.refusals[name] = self.refusals.get(name, 0) + 1


@dataclass(frozen=True, kw_only=True)
class WorkStyle:
    """How automatic managers work: share of offers declined (of 100), seconds on a card."""

    declines_of_100: int = 6
    seconds_per_card: float = 0.05


class AutoManager:
    """One manager with a connection of their own."""

    def __init__(self, manager_id: str, *, target: str, key: bytes, diary: Diary, style: WorkStyle) -> None:
        self.manager_id = manager_id
        self._target = target
        self._key = key
        self._diary = diary
        self._style = style

    async def work(self, stop: asyncio.Event) -> None:
        """Come on shift, work until told to stop, go off shift."""
        async with aio_channel(self._target) as channel:
            stub = manager_pb2_grpc.ManagerServiceStub(channel)
            await self._set_presence(stub, task_pb2.PRESENCE_AVAILABLE)
            while not stop.is_set():
                for task in await self._poll(stub, stop):
                    await self._decide(stub, task)
            await self._set_presence(stub, task_pb2.PRESENCE_OFFLINE)

    async def _poll(
        self, stub: manager_pb2_grpc.ManagerServiceAsyncStub, stop: asyncio.Event
    ) -> Sequence[task_pb2.Task]:
        request = manager_pb2.PollTasksRequest(request_id=uuid.uuid4().hex, wait_seconds=POLL_WAIT_SECONDS, max_tasks=1)
        call = stub.PollTasks(request, timeout=POLL_SECONDS, metadata=self._metadata())
        stopped = asyncio.create_task(stop.wait())
        answered = asyncio.ensure_future(call)
        try:
            await asyncio.wait({stopped, answered}, return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                call.cancel()
                await asyncio.wait({answered})
                return ()
            response = answered.result()
        except grpc.aio.AioRpcError as exc:
            self._diary.note_refusal("PollTasks", exc)
            await asyncio.sleep(PAUSE_SECONDS)
            return ()
        finally:
            stopped.cancel()
        polled_at_ms = time.time_ns() // 1_000_000
        self._diary.offers.extend(offer_of(task, self.manager_id, polled_at_ms) for task in response.tasks)
        if response.presence != task_pb2.PRESENCE_AVAILABLE:
            await self._set_presence(stub, task_pb2.PRESENCE_AVAILABLE)
        return response.tasks

    async def _decide(self, stub: manager_pb2_grpc.ManagerServiceAsyncStub, task: task_pb2.Task) -> None:
        draw = draw_of(f"{task.task_id}/{task.version}")
        if draw < self._style.declines_of_100:
            await self._decline(stub, task)
        elif await self._accept(stub, task):
            await asyncio.sleep(self._style.seconds_per_card)
            await self._complete(stub, task, DISPOSITIONS[draw % len(DISPOSITIONS)])

    async def _accept(self, stub: manager_pb2_grpc.ManagerServiceAsyncStub, task: task_pb2.Task) -> bool:
        request = manager_pb2.AcceptTaskRequest(task_id=task.task_id, lease_epoch=task.lease.epoch)
        for _ in range(TRIES):
            try:
                await stub.AcceptTask(request, timeout=CALL_SECONDS, metadata=self._metadata())
            except grpc.aio.AioRpcError as exc:
                if await self._is_worth_another_try("AcceptTask", exc):
                    continue
                return False
            self._diary.accepted.add(task.task_id)
            return True
        return False

    async def _complete(
        self,
        stub: manager_pb2_grpc.ManagerServiceAsyncStub,
        task: task_pb2.Task,
        disposition: manager_pb2.Disposition.ValueType,
    ) -> None:
        request = manager_pb2.CompleteTaskRequest(
            task_id=task.task_id,
            lease_epoch=task.lease.epoch,
            request_id=uuid.uuid4().hex,
            disposition=disposition,
            note="worked by an automatic manager",
        )
        for _ in range(TRIES):
            try:
                await stub.CompleteTask(request, timeout=CALL_SECONDS, metadata=self._metadata())
            except grpc.aio.AioRpcError as exc:
                if await self._is_worth_another_try("CompleteTask", exc):
                    continue
                return
            self._diary.completed.add(task.task_id)
            return

    async def _decline(self, stub: manager_pb2_grpc.ManagerServiceAsyncStub, task: task_pb2.Task) -> None:
        request = manager_pb2.DeclineTaskRequest(
            task_id=task.task_id, lease_epoch=task.lease.epoch, reason=manager_pb2.DECLINE_REASON_BUSY
        )
        for _ in range(TRIES):
            try:
                await stub.DeclineTask(request, timeout=CALL_SECONDS, metadata=self._metadata())
            except grpc.aio.AioRpcError as exc:
                if await self._is_worth_another_try("DeclineTask", exc):
                    continue
                return
            self._diary.declined.add((task.task_id, task.version))
            return

    async def _set_presence(
        self, stub: manager_pb2_grpc.ManagerServiceAsyncStub, presence: task_pb2.Presence.ValueType
    ) -> None:
        request = manager_pb2.SetPresenceRequest(presence=presence)
        for _ in range(TRIES):
            try:
                await stub.SetPresence(request, timeout=CALL_SECONDS, metadata=self._metadata())
            except grpc.aio.AioRpcError as exc:
                if await self._is_worth_another_try("SetPresence", exc):
                    continue
            return

    async def _is_worth_another_try(self, call: str, error: grpc.aio.AioRpcError) -> bool:
        if error.code() in RETRY_CODES:
            await asyncio.sleep(PAUSE_SECONDS)
            return True
        self._diary.note_refusal(call, error)
        return False

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (bearer(mint(self._key, subject=self.manager_id, role="manager", hours=1.0)),)


def offer_of(task: task_pb2.Task, manager_id: str, polled_at_ms: int) -> Offer:
    """The record of one offer."""
    return Offer(
        task_id=task.task_id,
        version=task.version,
        epoch=task.lease.epoch,
        customer_id=task.customer.customer_id,
        manager_id=manager_id,
        rule_ids=tuple(moment.rule_id for moment in task.moments),
        moment_ids=tuple(moment.moment_id for moment in task.moments),
        polled_at_ms=polled_at_ms,
    )


def draw_of(text: str) -> int:
    """A number 0..99 that depends on the text alone."""
    return hashlib.sha256(text.encode()).digest()[0] % 100
