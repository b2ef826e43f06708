"""DispatchService: the router's side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

import grpc
from kairos.workbench.v1 import dispatch_pb2, dispatch_pb2_grpc

from services.clock import Clock
from services.workbench_api import metrics, wire
from services.workbench_api.database import ALL
from services.workbench_api.dispatch_store import DispatchStore, Withdrawal
from services.workbench_api.errors import FieldInvalid
from services.workbench_api.roster import Roster, Standing
from services.workbench_api.rpc.guard import Context
from services.workbench_api.waiters import CapacityFeed

BATCH_MAX: Final = 500
SNAPSHOT_SECONDS: Final = 30.0
WATCH_SECONDS: Final = 3600.0
MERGE_SECONDS: Final = 0.02  # changes within this go together
_PAGE: Final = 5_000
_Outcome = dispatch_pb2.DispatchResult.Outcome
_Rescinded = dispatch_pb2.RescindTasksResponse.Result


class DispatchRpc(dispatch_pb2_grpc.DispatchServiceServicer):
    """Takes tasks, takes them back, tells who has room."""

    def __init__(self, *, clock: Clock, store: DispatchStore, roster: Roster, feed: CapacityFeed) -> None:
        self._clock = clock
        self._store = store
        self._roster = roster
        self._feed = feed

    async def DispatchTasks(  # noqa: N802
        self, request: dispatch_pb2.DispatchTasksRequest, _: Context
    ) -> dispatch_pb2.DispatchTasksResponse:
        _check_batch(len(request.tasks), "tasks")
        now_ms = self._clock.now_ms()
        results = await self._store.dispatch([wire.task_from_wire(message, now_ms) for message in request.tasks])
        for result in results:
            metrics.DISPATCHED.labels(outcome=result.outcome.value).inc()
        return dispatch_pb2.DispatchTasksResponse(
            results=[
                dispatch_pb2.DispatchResult(
                    task_id=result.task_id,
                    version=result.version,
                    outcome=_Outcome.Value(f"OUTCOME_{result.outcome.value}"),
                    message=result.message,
                )
                for result in results
            ]
        )

    async def RescindTasks(  # noqa: N802
        self, request: dispatch_pb2.RescindTasksRequest, _: Context
    ) -> dispatch_pb2.RescindTasksResponse:
        _check_batch(len(request.items), "items")
        items = [_withdrawal(item, index) for index, item in enumerate(request.items)]
        outcomes = await self._store.rescind(items)
        return dispatch_pb2.RescindTasksResponse(
            results=[
                _Rescinded(task_id=item.task_id, outcome=_Rescinded.Outcome.Value(f"OUTCOME_{outcome.value}"))
                for item, outcome in zip(items, outcomes, strict=True)
            ]
        )

    async def WatchCapacity(  # noqa: N802
        self, request: dispatch_pb2.WatchCapacityRequest, _: Context
    ) -> AsyncIterator[dispatch_pb2.WatchCapacityResponse]:
        cities = [wire.checked_id(city, "cities") for city in request.cities]
        ends = time.monotonic() + WATCH_SECONDS
        with self._feed.watch() as watcher:
            next_snapshot = 0.0
            while not self._feed.is_draining and time.monotonic() < ends:
                changed = watcher.take()
                if ALL in changed or time.monotonic() >= next_snapshot:
                    next_snapshot = time.monotonic() + SNAPSHOT_SECONDS
                    for message in _messages(await self._roster.standings(cities=cities), snapshot=True):
                        yield message
                elif changed:
                    standings = await self._roster.standings(only=sorted(changed), cities=cities)
                    for message in _messages(standings, snapshot=False):
                        yield message
                await watcher.wait(next_snapshot - time.monotonic())
                await asyncio.sleep(MERGE_SECONDS)


def add_to(server: grpc.aio.Server, servicer: DispatchRpc) -> None:
    """Register the service."""
    dispatch_pb2_grpc.add_DispatchServiceServicer_to_server(servicer, server)


def _messages(standings: Sequence[Standing], *, snapshot: bool) -> list[dispatch_pb2.WatchCapacityResponse]:
    """One message, or several of bounded size: only the first of a snapshot is marked as one. Nothing for no change."""
    pages = [standings[start : start + _PAGE] for start in range(0, len(standings), _PAGE)]
    if not pages:
        pages = [standings] if snapshot else []
    return [
        dispatch_pb2.WatchCapacityResponse(
            snapshot=snapshot and index == 0, managers=[wire.capacity_to_wire(each) for each in page]
        )
        for index, page in enumerate(pages)
    ]


def _withdrawal(item: dispatch_pb2.RescindTasksRequest.Item, index: int) -> Withdrawal:
    where = f"items[{index}]"
    if item.version < 1:
        raise FieldInvalid(f"{where}.version", "want 1 or more")
    return Withdrawal(
        wire.checked_task_id(item.task_id, f"{where}.task_id"),
        item.version,
        wire.checked_text(item.reason, f"{where}.reason", wire.REASON_LENGTH_MAX, length_min=1),
    )


def _check_batch(count: int, field: str) -> None:
    if not 1 <= count <= BATCH_MAX:
        raise FieldInvalid(field, f"want 1..{BATCH_MAX}")
