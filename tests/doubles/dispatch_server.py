"""A workbench in memory behind a real gRPC server: it answers as dispatch.proto says, tells of each task."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from kairos.workbench.v1 import dispatch_pb2, dispatch_pb2_grpc, task_pb2

from services.transport.grpc_channel import token_of
from services.transport.tokens import verify
from tests.doubles.router_records import task_event

Outcome = dispatch_pb2.DispatchResult
Rescinded = dispatch_pb2.RescindTasksResponse.Result
OPEN = frozenset({"QUEUED", "OFFERED", "ACCEPTED", "DEFERRED"})


class DispatchServer(dispatch_pb2_grpc.DispatchServiceServicer):
    """Managers by id with load and capacity; tasks by id. `published` gets every task event in order."""

    def __init__(self, key: bytes, *, published: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._key = key
        self._lock = threading.RLock()
        self._published = published or (lambda _: None)
        self._watchers: list[queue.Queue[str]] = []
        self.managers: dict[str, dispatch_pb2.ManagerCapacity] = {}
        self.tasks: dict[str, task_pb2.Task] = {}
        self.states: dict[str, str] = {}
        self.sequences: dict[str, int] = {}
        self.tombstones: dict[str, int] = {}
        self.received: list[tuple[float, str, int]] = []  # (monotonic, task, version) in order, repetitions included
        self.history: list[tuple[str, str]] = []  # (task, state) in order
        self.fail_next: list[grpc.StatusCode] = []
        self.most_load: dict[str, int] = {}
        self.double_cards = 0
        self._server: grpc.Server | None = None
        self.port = 0

    def start(self, port: int = 0) -> str:
        """Listen; returns host:port."""
        self._server = grpc.server(ThreadPoolExecutor(16))
        dispatch_pb2_grpc.add_DispatchServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self._server is not None:
            with self._lock:
                for watcher in self._watchers:
                    watcher.put("stop")
            self._server.stop(0.2).wait()
            self._server = None

    def add_manager(self, manager_id: str, city: str = "NJ", *, units: int = 100, budget: int = 1000) -> None:
        self._set(
            dispatch_pb2.ManagerCapacity(
                manager_id=manager_id,
                city=city,
                team="t1",
                presence=task_pb2.PRESENCE_AVAILABLE,
                capacity_units=units,
                daily_budget_left=budget,
            )
        )

    def set_presence(self, manager_id: str, presence: int) -> None:
        with self._lock:
            self.managers[manager_id].presence = presence  # type: ignore[assignment]  # an enum is an int
            self._set(self.managers[manager_id])

    def move(self, task_id: str, to_state: str, cause: str, **fields: Any) -> None:
        """What a manager or the workbench itself does: the task goes to another state and says so."""
        with self._lock:
            before = self.states[task_id]
            self.states[task_id] = to_state
            self.history.append((task_id, to_state))
            task = self.tasks[task_id]
            if before in OPEN and to_state not in OPEN:
                self._load(task.manager_id, -task.units)
            self._publish(task_id, to_state, cause, before, fields)

    def wait_for_task(self, count: int = 1, *, seconds: float = 10.0) -> list[task_pb2.Task]:
        """Open tasks once there are so many. Fails after the deadline."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._lock:
                tasks = [self.tasks[task] for task, state in self.states.items() if state in OPEN]
            if len(tasks) >= count:
                return tasks
            time.sleep(0.002)
        raise AssertionError(f"no {count} tasks within {seconds} s: {self.states}")

    def wait_for_version(self, task_id: str, version: int, *, seconds: float = 10.0) -> task_pb2.Task:
        """The task once it was dispatched in this version. Fails after the deadline."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._lock:
                if self.tasks[task_id].version == version:
                    return self.tasks[task_id]
            time.sleep(0.002)
        raise AssertionError(f"version {version} did not come within {seconds} s")

    def DispatchTasks(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  # named by the contract
        self._admit(context)
        assert 1 <= len(request.tasks) <= 500
        with self._lock:
            return dispatch_pb2.DispatchTasksResponse(results=[self._dispatch(task) for task in request.tasks])

    def RescindTasks(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  # named by the contract
        self._admit(context)
        with self._lock:
            return dispatch_pb2.RescindTasksResponse(results=[self._rescind(item) for item in request.items])

    def WatchCapacity(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802  # as above
        self._admit(context)
        watcher: queue.Queue[str] = queue.Queue()
        with self._lock:
            self._watchers.append(watcher)
            first = dispatch_pb2.WatchCapacityResponse(snapshot=True, managers=list(self.managers.values()))
        yield first
        while context.is_active():
            try:
                changed = watcher.get(timeout=0.2)
            except queue.Empty:
                continue
            if changed == "stop":
                return
            with self._lock:
                yield dispatch_pb2.WatchCapacityResponse(managers=[self.managers[changed]])

    def _admit(self, context: grpc.ServicerContext) -> None:
        principal = verify(self._key, token_of(context.invocation_metadata()))
        assert principal.role == "router", principal
        if self.fail_next:
            context.abort(self.fail_next.pop(0), "as the test wants")

    def _dispatch(self, task: task_pb2.Task) -> dispatch_pb2.DispatchResult:
        self.received.append((time.monotonic(), task.task_id, task.version))
        stored = self.tasks.get(task.task_id)
        outcome = self._outcome(task, stored)
        if outcome == Outcome.OUTCOME_STORED:
            before = self.states.get(task.task_id, "")
            fresh = task_pb2.Task()
            fresh.CopyFrom(task)
            self.tasks[task.task_id] = fresh
            self.states[task.task_id] = "QUEUED"
            self.history.append((task.task_id, "QUEUED"))
            self._load(task.manager_id, task.units)
            self._publish(task.task_id, "QUEUED", "dispatched", before, {})
        version = self.tasks[task.task_id].version if task.task_id in self.tasks else task.version
        return dispatch_pb2.DispatchResult(task_id=task.task_id, version=version, outcome=outcome)

    def _outcome(self, task: task_pb2.Task, stored: task_pb2.Task | None) -> Any:
        if self.tombstones.get(task.task_id, -1) >= task.version:
            return Outcome.OUTCOME_RESCINDED
        if stored is not None and (stored.version >= task.version or self.states[task.task_id] in {*OPEN, "DONE"}):
            return Outcome.OUTCOME_ALREADY_THERE
        if not task.contact_windows:
            return Outcome.OUTCOME_INVALID
        cards = [self.tasks[i] for i, state in self.states.items() if state in OPEN and i != task.task_id]
        if any(card.customer.customer_id == task.customer.customer_id for card in cards):
            self.double_cards += 1
            return Outcome.OUTCOME_CUSTOMER_HAS_CARD
        manager = self.managers.get(task.manager_id)
        if manager is None or manager.presence != task_pb2.PRESENCE_AVAILABLE:
            return Outcome.OUTCOME_MANAGER_AWAY
        if manager.load_units + task.units > manager.capacity_units or manager.daily_budget_left < 1:
            return Outcome.OUTCOME_NO_CAPACITY
        return Outcome.OUTCOME_STORED

    def _rescind(self, item: Any) -> Any:
        self.tombstones[item.task_id] = max(item.version, self.tombstones.get(item.task_id, -1))
        state = self.states.get(item.task_id)
        if state is None:
            outcome = Rescinded.OUTCOME_TOMBSTONE
        elif state not in OPEN or self.tasks[item.task_id].version > item.version:
            outcome = Rescinded.OUTCOME_ALREADY_ENDED
        elif state == "ACCEPTED":
            outcome = Rescinded.OUTCOME_IN_WORK
        else:
            outcome = Rescinded.OUTCOME_RESCINDED
            self.move(item.task_id, "RESCINDED", "rescinded", reason=item.reason, actor="router")
        return Rescinded(task_id=item.task_id, outcome=outcome)

    def _publish(self, task_id: str, to_state: str, cause: str, before: str, fields: dict[str, Any]) -> None:
        task = self.tasks[task_id]
        self.sequences[task_id] = self.sequences.get(task_id, 0) + 1
        event = task_event(
            task_id,
            task.customer.customer_id,
            to_state,
            sequence=self.sequences[task_id],
            version=task.version,
            from_state=before,
            cause=cause,
            manager_id=task.manager_id,
            moment_ids=[moment.moment_id for moment in task.moments],
            **fields,
        )
        self._published(event)

    def _load(self, manager_id: str, units: int) -> None:
        manager = self.managers[manager_id]
        manager.load_units += units
        manager.daily_budget_left -= 1 if units > 0 else 0
        self.most_load[manager_id] = max(self.most_load.get(manager_id, 0), manager.load_units)
        self._set(manager)

    def _set(self, manager: dispatch_pb2.ManagerCapacity) -> None:
        with self._lock:
            self.managers[manager.manager_id] = manager
            for watcher in self._watchers:
                watcher.put(manager.manager_id)
