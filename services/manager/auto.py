"""A manager who works alone, for demonstrations and the smoke run: one NDJSON line per step, seeded decisions."""

import json
import random
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final, TextIO

from kairos.workbench.v1 import task_pb2

from services.manager.api import HEARTBEAT_SECONDS, GivenUp, Heartbeats, ManagerApi, Refused, Unreachable, until_reached
from services.manager.texts import REASONS

_DISPOSITIONS: Final = (
    ("REACHED_RESOLVED", 60),
    ("REACHED_PROMISED", 15),
    ("REACHED_REFUSED", 10),
    ("OTHER", 5),
    ("WRONG_PERSON", 3),
    ("NO_ANSWER", 7),
)
_LOOK_SECONDS: Final = 0.02
_GOODBYE_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class AutoPlan:
    """How the automatic manager behaves. idle_seconds: leave after so long without an offer; 0 = never."""

    decline_ratio: float = 0.0
    handle_seconds: float = 0.0
    once: bool = False
    seed: int = 0
    idle_seconds: float = 0.0
    disposition: str = ""  # always this one, if given


class Lines:
    """NDJSON on a stream, one whole line at a time, also from several threads."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, **fields: Any) -> None:
        line = json.dumps({"at_ms": time.time_ns() // 1_000_000, **fields}, ensure_ascii=False)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


class AutoManager:
    """Works until told to stop; `run()` returns the exit code."""

    def __init__(
        self, api: ManagerApi, manager_id: str, plan: AutoPlan, lines: Lines, stopping: threading.Event
    ) -> None:
        self._api = api
        self._manager_id = manager_id
        self._plan = plan
        self._lines = lines
        self._stopping = stopping
        self._rng = random.Random(f"{plan.seed}:{manager_id}")  # noqa: S311  # decisions of a simulation
        self._is_away = False
        self._idle_since = time.monotonic()

    def run(self) -> int:
        """Go on shift, work, go off shift."""
        try:
            self._presence("AVAILABLE")
            for task in self._reach(self._api.in_work):
                self._finish(task)
            self._work()
            self._presence("OFFLINE", deadline=time.monotonic() + _GOODBYE_SECONDS)
        except Refused as exc:
            self._write("refused", reason=exc.fault.reason or exc.fault.code.name)
            return 3
        except GivenUp:
            self._write("given_up")
        return 0

    def _work(self) -> None:
        self._idle_since = time.monotonic()
        while not self._stopping.is_set():
            task = self._poll()
            if task is not None:
                self._take(task)
                self._idle_since = time.monotonic()
                if self._plan.once:
                    return
            elif self._plan.idle_seconds and time.monotonic() - self._idle_since >= self._plan.idle_seconds:
                self._write("idle")
                return

    def _poll(self) -> task_pb2.Task | None:
        """One poll; sets presence again when the server thinks nobody is there."""
        wait = min(25.0, self._plan.idle_seconds or 25.0)
        poll = self._api.start_poll(wait_seconds=wait)
        while not poll.done():
            if self._stopping.wait(_LOOK_SECONDS):
                poll.cancel()
                return None
        try:
            response = self._api.end_poll(poll)
        except Unreachable as exc:
            self._tell(exc)
            self._stopping.wait(exc.pause_seconds)
            return None
        self._is_back()
        if response.tasks:
            self._write_task("offered", response.tasks[0], occurred_at_ms=_occurred_at_ms(response.tasks[0]))
            return response.tasks[0]
        if response.presence != task_pb2.PRESENCE_AVAILABLE:
            self._presence("AVAILABLE")
        return None

    def _take(self, task: task_pb2.Task) -> None:
        declines = self._rng.random() < self._plan.decline_ratio
        try:
            if declines:
                reason = self._rng.choice(REASONS)
                self._reach(lambda: self._api.decline(task, reason=reason))
                self._write_task("declined", task, reason=reason)
                return
            accepted = self._reach(lambda: self._api.accept(task))
        except Refused as exc:
            self._write_task("refused", task, reason=exc.fault.reason, state=exc.fault.metadata.get("state", ""))
            _raise_if_hopeless(exc)
            return
        self._write_task("accepted", accepted)
        self._finish(accepted)

    def _finish(self, task: task_pb2.Task) -> None:
        """Handle an accepted task for its time, then complete it."""
        if self._plan.handle_seconds:
            interval = max(1.0, min(HEARTBEAT_SECONDS, self._plan.handle_seconds / 3))
            with Heartbeats(self._api, task, interval_seconds=interval):
                self._stopping.wait(self._plan.handle_seconds)
        names, weights = zip(*_DISPOSITIONS, strict=True)
        disposition = self._plan.disposition or self._rng.choices(names, weights)[0]
        request_id = uuid.uuid4().hex
        try:
            ended = self._reach(lambda: self._api.complete(task, request_id=request_id, disposition=disposition))
        except Refused as exc:
            self._write_task("refused", task, reason=exc.fault.reason, state=exc.fault.metadata.get("state", ""))
            _raise_if_hopeless(exc)
            return
        state = task_pb2.TaskState.Name(ended.state).removeprefix("TASK_STATE_")
        self._write_task("completed", ended, disposition=disposition, state=state)

    def _presence(self, presence: str, *, deadline: float | None = None) -> None:
        self._reach(lambda: self._api.set_presence(presence), deadline=deadline)
        self._write("presence", presence=presence)

    def _reach(self, call: Any, *, deadline: float | None = None) -> Any:
        """Repeat a call until the server answers. Raises Refused, GivenUp."""

        def is_over() -> bool:
            return self._stopping.is_set() if deadline is None else time.monotonic() > deadline

        result = until_reached(call, told=self._tell, stopping=is_over)
        self._is_back()
        return result

    def _tell(self, exc: Unreachable) -> None:
        if not self._is_away:
            self._write("reconnecting", reason=exc.fault.code.name)
        self._is_away = True
        self._idle_since = time.monotonic()  # a server that is away has not said that there is no work

    def _is_back(self) -> None:
        if self._is_away:
            self._idle_since = time.monotonic()
            self._write("reconnected")
        self._is_away = False

    def _write(self, step: str, **fields: Any) -> None:
        self._lines.write(step=step, manager_id=self._manager_id, **fields)

    def _write_task(self, step: str, task: task_pb2.Task, **fields: Any) -> None:
        rules = [moment.rule_id for moment in task.moments]
        self._write(
            step,
            task_id=task.task_id,
            version=task.version,
            lease_epoch=task.lease.epoch,
            customer_id=task.customer.customer_id,
            rules=rules,
            **fields,
        )


def work_together(managers: list[AutoManager]) -> int:
    """Run several automatic managers, each in a thread of its own; the worst exit code."""
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: codes.append(each.run()), name="manager", daemon=True)
        for each in managers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(codes, default=1) if len(codes) == len(managers) else 1


def _occurred_at_ms(task: task_pb2.Task) -> int:
    return task.moments[0].occurred_at_ms if task.moments else 0


def _raise_if_hopeless(refused: Refused) -> None:
    """A refusal of the person, not of the task, ends the work."""
    if refused.fault.reason.startswith(("TOKEN_", "ROLE_", "MANAGER_")):
        raise refused
