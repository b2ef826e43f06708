"""The router's only gRPC: dispatching, withdrawing and watching capacity at the workbench.

Owns deadlines, retries of single calls, the mapping of status codes and of outcomes to the router's words.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
from kairos.workbench.v1 import dispatch_pb2, dispatch_pb2_grpc, task_pb2

from services.router.capacity import ManagerCapacity
from services.router.errors import WorkbenchRefused, WorkbenchUnavailable
from services.router.reasons import Reason
from services.transport.grpc_channel import bearer, fault_of, sync_channel

CALL_SECONDS: Final = 5.0
TRIES: Final = 3
BACKOFF_SECONDS: Final = 0.1
BATCH_TASKS: Final = 500
BATCH_BYTES: Final = 3 * 1024 * 1024  # of the 4 MiB that a message may have
WATCH_IDLE_SECONDS: Final = 45.0  # a snapshot comes every 30 s at least: silence beyond this is a broken stream

_RETRYABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.CANCELLED,
    }
)
_Outcome = dispatch_pb2.DispatchResult
_Rescind = dispatch_pb2.RescindTasksResponse.Result
_REASONS: Final[dict[int, Reason | None]] = {
    _Outcome.OUTCOME_STORED: None,
    _Outcome.OUTCOME_ALREADY_THERE: None,
    _Outcome.OUTCOME_NO_CAPACITY: Reason.NO_CAPACITY,
    _Outcome.OUTCOME_MANAGER_AWAY: Reason.MANAGER_AWAY,
    _Outcome.OUTCOME_RESCINDED: Reason.UNDECIDED,
    _Outcome.OUTCOME_CUSTOMER_HAS_CARD: Reason.CARD_AT_WORKBENCH,
    _Outcome.OUTCOME_INVALID: Reason.INVALID_TASK,
}
_GONE = frozenset({_Rescind.OUTCOME_RESCINDED, _Rescind.OUTCOME_TOMBSTONE})
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DispatchAnswer:
    """What became of one task. reason: None = the workbench has it, in `version`; else why it has to wait."""

    task_id: str
    version: int
    outcome: str
    reason: Reason | None
    message: str


class WorkbenchClient:
    """One channel to the workbench. token() gives a fresh bearer token. Safe for several threads."""

    def __init__(self, target: str, token: Callable[[], str]) -> None:
        self._token = token
        self._channel = sync_channel(target)
        self._stub = dispatch_pb2_grpc.DispatchServiceStub(self._channel)
        self._closed = threading.Event()
        self._watch: Any = None

    def close(self) -> None:
        """End all calls, the watch among them."""
        self._closed.set()
        if self._watch is not None:
            self._watch.cancel()
        self._channel.close()

    def dispatch(self, messages: Sequence[bytes]) -> list[DispatchAnswer]:
        """Send tasks, at most 500; one answer per task that the workbench answered for, in its order.

        Raises WorkbenchUnavailable after three tries: then any of them may have been stored.
        """
        request = dispatch_pb2.DispatchTasksRequest(tasks=[task_pb2.Task.FromString(message) for message in messages])
        response = self._call("DispatchTasks", lambda **options: self._stub.DispatchTasks(request, **options))
        return [_dispatch_answer(result) for result in response.results]

    def rescind(self, items: Sequence[tuple[str, int, str]]) -> dict[str, tuple[str, bool]]:
        """Withdraw tasks (id, version, reason); task id → outcome, and whether it is gone for good now."""
        request = dispatch_pb2.RescindTasksRequest(
            items=[
                dispatch_pb2.RescindTasksRequest.Item(task_id=task_id, version=version, reason=reason)
                for task_id, version, reason in items
            ]
        )
        response = self._call("RescindTasks", lambda **options: self._stub.RescindTasks(request, **options))
        return {
            result.task_id: (
                _Rescind.Outcome.Name(result.outcome).removeprefix("OUTCOME_").lower(),
                result.outcome in _GONE,
            )
            for result in response.results
        }

    def watch(self) -> Iterator[tuple[bool, list[ManagerCapacity]]]:
        """(is a snapshot, managers) as the workbench tells them, until the stream ends.

        Raises WorkbenchUnavailable when it breaks or is silent for too long.
        """
        call = self._stub.WatchCapacity(
            dispatch_pb2.WatchCapacityRequest(), metadata=(bearer(self._token()),), wait_for_ready=False
        )
        self._watch = call
        silence = _Silence(call)
        try:
            for response in call:
                silence.heard()
                yield response.snapshot, [_manager(manager) for manager in response.managers]
        except grpc.RpcError as exc:
            raise WorkbenchUnavailable("WatchCapacity", fault_of(exc).code.name) from exc
        finally:
            silence.end()
            call.cancel()

    def _call(self, name: str, call: Callable[..., T]) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                return call(timeout=CALL_SECONDS, metadata=(bearer(self._token()),), wait_for_ready=attempt > 1)
            except grpc.RpcError as exc:
                fault = fault_of(exc)
                if fault.code not in _RETRYABLE:
                    raise WorkbenchRefused(name, f"{fault.code.name} {fault.reason}".strip()) from exc
                if attempt == TRIES or self._closed.wait(_pause(attempt, fault.retry_seconds)):
                    raise WorkbenchUnavailable(name, fault.code.name) from exc
        raise AssertionError("the loop returns or raises")


class _Silence:
    """Cancels a stream that has not been heard of for too long: a timer thread, since reading it blocks."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._last = time.monotonic()
        self._ended = threading.Event()
        threading.Thread(target=self._guard, name="capacity-silence", daemon=True).start()

    def heard(self) -> None:
        self._last = time.monotonic()

    def end(self) -> None:
        self._ended.set()

    def _guard(self) -> None:
        while not self._ended.wait(1.0):
            if time.monotonic() - self._last > WATCH_IDLE_SECONDS:
                self._call.cancel()
                return


def batches(messages: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Bounds (first, end) that split messages so that each part fits into one call."""
    first, size = 0, 0
    for number, message in enumerate(messages):
        if number > first and (number - first >= BATCH_TASKS or size + len(message) > BATCH_BYTES):
            yield first, number
            first, size = number, 0
        size += len(message)
    if first < len(messages):
        yield first, len(messages)


def _pause(attempt: int, retry_seconds: float | None) -> float:
    jitter = random.uniform(0.5, 1.5)  # noqa: S311  # spreads retries, guards nothing
    return min(retry_seconds or BACKOFF_SECONDS * 2 ** (attempt - 1) * jitter, 2.0)


def _dispatch_answer(result: dispatch_pb2.DispatchResult) -> DispatchAnswer:
    name = _Outcome.Outcome.Name(result.outcome).removeprefix("OUTCOME_").lower()
    reason = _REASONS.get(result.outcome, Reason.UNDECIDED)
    return DispatchAnswer(result.task_id, result.version, name, reason, result.message)


def _manager(manager: dispatch_pb2.ManagerCapacity) -> ManagerCapacity:
    return ManagerCapacity(
        manager_id=manager.manager_id,
        city=manager.city,
        team=manager.team,
        presence=task_pb2.Presence.Name(manager.presence).removeprefix("PRESENCE_"),
        load_units=manager.load_units,
        capacity_units=manager.capacity_units,
        budget_left=manager.daily_budget_left,
    )
