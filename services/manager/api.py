"""The workbench's ManagerService as a manager's client uses it: deadlines, idempotent retries, plain errors.

Every call may be repeated: accepting and declining by their epoch, completing by its request id.
"""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
from kairos.workbench.v1 import manager_pb2, manager_pb2_grpc, task_pb2

from services.transport.grpc_channel import RpcFault, bearer, fault_of, sync_channel

T = TypeVar("T")

CALL_SECONDS: Final = 5.0
POLL_WAIT_SECONDS: Final = 25.0
POLL_SECONDS: Final = 30.0
HEARTBEAT_SECONDS: Final = 20.0  # the only sign of life while a person calls: often enough that one may get lost
_PAUSE_SECONDS_FIRST: Final = 0.2
_PAUSE_SECONDS_LAST: Final = 3.0
_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,  # by the server's side: what this client cancels it does not ask about
        grpc.StatusCode.INTERNAL,  # a connection torn in the middle of an answer looks like one of these two
        grpc.StatusCode.UNKNOWN,
    }
)


class Refused(Exception):
    """The server understood and said no; `fault.reason` says why. Repeating the call does not help."""

    def __init__(self, fault: RpcFault) -> None:
        super().__init__(fault.reason or fault.code.name)
        self.fault = fault


class Unreachable(Exception):
    """The server cannot be reached or is busy; wait `pause_seconds` and try again."""

    def __init__(self, fault: RpcFault, pause_seconds: float) -> None:
        super().__init__(fault.code.name)
        self.fault = fault
        self.pause_seconds = pause_seconds


class GivenUp(Exception):
    """The caller was told to stop while the server could not be reached."""


@dataclass
class Backoff:
    """Growing pauses with jitter, from the first failure until something succeeds."""

    rng: random.Random
    pause_seconds: float = 0.0

    def next(self) -> float:
        self.pause_seconds = min(max(self.pause_seconds * 2, _PAUSE_SECONDS_FIRST), _PAUSE_SECONDS_LAST)
        return self.pause_seconds * self.rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        self.pause_seconds = 0.0


class ManagerApi:
    """One manager's calls over one channel. Safe to use from two threads (work and heartbeats)."""

    def __init__(self, target: str, token: Callable[[], str], *, language: str, seed: str = "") -> None:
        self._channel = sync_channel(target)
        self._stub = manager_pb2_grpc.ManagerServiceStub(self._channel)
        self._token = token
        self._language = language
        self._backoff = Backoff(random.Random(seed or None))  # noqa: S311  # spreads retries, guards nothing

    def close(self) -> None:
        self._channel.close()

    def start_poll(self, *, wait_seconds: float = POLL_WAIT_SECONDS, request_id: str = "") -> Any:
        """A poll under way: a future with done(), cancel(); give it to `end_poll` when it is done."""
        request = manager_pb2.PollTasksRequest(
            request_id=request_id or uuid.uuid4().hex, wait_seconds=wait_seconds, max_tasks=1
        )
        poll: Any = self._stub.PollTasks
        return poll.future(request, timeout=POLL_SECONDS, metadata=self._metadata())

    def end_poll(self, future: Any) -> manager_pb2.PollTasksResponse:
        """What a poll that is done brought. Raises Refused, Unreachable."""
        response: manager_pb2.PollTasksResponse = self._checked(future.result)
        return response

    def accept(self, task: task_pb2.Task) -> task_pb2.Task:
        request = manager_pb2.AcceptTaskRequest(task_id=task.task_id, lease_epoch=task.lease.epoch)
        return self._call(self._stub.AcceptTask, request).task

    def heartbeat(self, task: task_pb2.Task) -> manager_pb2.HeartbeatResponse.Result:
        held = manager_pb2.HeartbeatRequest.Held(task_id=task.task_id, lease_epoch=task.lease.epoch)
        return self._call(self._stub.Heartbeat, manager_pb2.HeartbeatRequest(tasks=[held])).results[0]

    def complete(self, task: task_pb2.Task, *, request_id: str, disposition: str, note: str = "") -> task_pb2.Task:
        request = manager_pb2.CompleteTaskRequest(
            task_id=task.task_id,
            lease_epoch=task.lease.epoch,
            request_id=request_id,
            disposition=manager_pb2.Disposition.Value(f"DISPOSITION_{disposition}"),
            note=note,
        )
        return self._call(self._stub.CompleteTask, request).task

    def decline(self, task: task_pb2.Task, *, reason: str, note: str = "") -> task_pb2.Task:
        request = manager_pb2.DeclineTaskRequest(
            task_id=task.task_id,
            lease_epoch=task.lease.epoch,
            reason=manager_pb2.DeclineReason.Value(f"DECLINE_REASON_{reason}"),
            note=note,
        )
        return self._call(self._stub.DeclineTask, request).task

    def card(self, task_id: str) -> manager_pb2.GetCustomerCardResponse:
        return self._call(self._stub.GetCustomerCard, manager_pb2.GetCustomerCardRequest(task_id=task_id))

    def set_presence(self, presence: str) -> None:
        value = task_pb2.Presence.Value(f"PRESENCE_{presence}")
        self._call(self._stub.SetPresence, manager_pb2.SetPresenceRequest(presence=value))

    def in_work(self) -> list[task_pb2.Task]:
        """Tasks accepted earlier and not ended yet, for instance before the client was closed."""
        request = manager_pb2.ListTasksRequest(states=[task_pb2.TASK_STATE_ACCEPTED], page_size=20)
        return list(self._call(self._stub.ListTasks, request).tasks)

    def _call(self, method: Callable[..., T], request: Any) -> T:
        return self._checked(lambda: method(request, timeout=CALL_SECONDS, metadata=self._metadata()))

    def _checked(self, call: Callable[[], T]) -> T:
        try:
            result = call()
        except grpc.RpcError as error:
            fault = fault_of(error)
            if fault.code in _RETRYABLE:
                raise Unreachable(fault, max(self._backoff.next(), fault.retry_seconds or 0.0)) from error
            raise Refused(fault) from error
        self._backoff.reset()
        return result

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (bearer(self._token()), ("accept-language", self._language))


def until_reached(
    call: Callable[[], T], *, told: Callable[[Unreachable], None], stopping: Callable[[], bool] = lambda: False
) -> T:
    """Repeat a call until the server answers, telling about each failure. Raises Refused; GivenUp when stopping."""
    while True:
        try:
            return call()
        except Unreachable as exc:
            if stopping():
                raise GivenUp from exc
            told(exc)
            time.sleep(exc.pause_seconds)


class Heartbeats:
    """A thread that keeps the lease of one accepted task alive; `lost` says why it could not."""

    def __init__(self, api: ManagerApi, task: task_pb2.Task, *, interval_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._api = api
        self._task = task
        self._interval_seconds = interval_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self.lost = ""
        self.expires_at_ms = task.lease.expires_at_ms

    def __enter__(self) -> "Heartbeats":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=CALL_SECONDS + 1)

    def _beat(self) -> None:
        wait = self._interval_seconds
        while not self._over.wait(wait):
            wait = self._interval_seconds
            try:
                result = self._api.heartbeat(self._task)
            except Unreachable as exc:
                wait = exc.pause_seconds
                continue
            except Refused as exc:
                self.lost = exc.fault.reason
                return
            if result.refusal == "LEASE_TOO_LONG":
                continue  # it stands until its end, only no longer
            if result.refusal:
                self.lost = result.refusal
                return
            self.expires_at_ms = result.lease.expires_at_ms
