"""Keeps a set of processes up: starts them in order, waits for readiness, restarts the dead, stops in reverse order.

Knows processes only by the few methods of `Managed`; what they are is the caller's. One thread; nothing here sleeps
longer than TICK_SECONDS at a time, so that a signal is answered at once.
"""

from __future__ import annotations

import enum
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from services.stack.process import GuardedProcess, ProcessFailed

TICK_SECONDS = 0.2
START_TRIES = 3  # a process that ends so often before it was ever ready fails the whole start
STABLE_SECONDS = 60.0  # after so long a life the next restart is quick again


class Managed(Protocol):
    """Something that runs as one process and can be started again."""

    @property
    def name(self) -> str: ...

    @property
    def log(self) -> Path: ...

    @property
    def ready_seconds(self) -> float:
        """How long the first start may take until ready."""

    def start(self, *, inherit: Sequence[int] = ()) -> GuardedProcess: ...

    def not_ready(self) -> str | None:
        """None when it can do its work, else why not."""

    @property
    def may_finish(self) -> bool:
        """True for a job: exit code 0 ends it for good."""


class State(enum.StrEnum):
    """Where a process stands."""

    STARTING = "starting"
    UP = "up"
    WAITING = "waiting"  # dead, to be started again at restart_at
    FINISHED = "finished"
    STOPPED = "stopped"


@dataclass(frozen=True)
class BackoffPolicy:
    """How long to wait before the n-th restart in a row: doubled each time, spread by jitter, bounded."""

    first_seconds: float = 0.5
    most_seconds: float = 20.0
    jitter: float = 0.3

    def __post_init__(self) -> None:
        assert 0 < self.first_seconds <= self.most_seconds
        assert 0 <= self.jitter < 1

    def seconds(self, failures: int, chance: float) -> float:
        """Wait after `failures` ≥ 1 failures in a row; chance in [0, 1) picks the place within the jitter."""
        wait = min(self.most_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))
        return wait * (1 - self.jitter + 2 * self.jitter * chance)


@dataclass
class Child:
    """One managed process and its history."""

    managed: Managed
    process: GuardedProcess | None = None
    state: State = State.STARTING
    restarts: int = 0
    failures: int = 0  # in a row, without a stable life between
    last_exit: int | None = None
    restart_at: float = 0.0
    since: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int | None:
        return None if self.process is None or self.state not in (State.STARTING, State.UP) else self.process.pid


class Supervisor:
    """The processes of one stack, in the order in which they were brought up."""

    def __init__(
        self,
        *,
        inherit: Sequence[int] = (),
        backoff: BackoffPolicy | None = None,
        on_change: Callable[[Child], None] = lambda child: None,
    ) -> None:
        """inherit: descriptors every guard holds, such as the stack's lock. on_change: told of every new state."""
        self._inherit = tuple(inherit)
        self._backoff = backoff or BackoffPolicy()
        self._on_change = on_change
        self._random = random.Random()  # noqa: S311  # spreads restarts, nothing secret
        self.children: list[Child] = []

    def bring_up(self, managed: Managed, *, on_wait: Callable[[str], None] = lambda reason: None) -> Child:
        """Start it and return once it is ready; the ones before it are looked after meanwhile.

        on_wait: told again and again why it is not ready yet.
        Raises ProcessFailed when it ends START_TRIES times or is not ready in time.
        """
        child = Child(managed)
        self.children.append(child)
        self._start(child)
        deadline = time.monotonic() + managed.ready_seconds
        while child.state is not State.FINISHED:
            reason = self._readiness(child)
            if reason is None:
                self._move(child, State.UP)
                break
            if child.failures >= START_TRIES:
                raise ProcessFailed(
                    managed.name, f"ended {START_TRIES} times, last with {child.last_exit}", managed.log
                )
            if time.monotonic() >= deadline:
                raise ProcessFailed(
                    managed.name, f"not ready after {managed.ready_seconds:.0f} s: {reason}", managed.log
                )
            on_wait(reason)
            time.sleep(TICK_SECONDS / 2)
            self.tick()
        return child

    def tick(self) -> None:
        """Note who died, and start again whose time has come."""
        now = time.monotonic()
        for child in self.children:
            if child.state is State.WAITING and now >= child.restart_at:
                self._restart(child)
            elif child.state in (State.STARTING, State.UP) and child.process is not None:
                code = child.process.poll()
                if code is not None:
                    self._bury(child, code)
                elif child.state is State.STARTING and child.restarts and child.managed.not_ready() is None:
                    self._move(child, State.UP)

    def stop(self, groups: Sequence[Sequence[str]]) -> None:
        """Stop all: group by group in the given order, all of a group at once; who is in no group comes first."""
        named = {name for group in groups for name in group}
        rest = [child.managed.name for child in self.children if child.managed.name not in named]
        for group in (rest, *groups):
            members = [child for child in self.children if child.managed.name in group]
            for child in members:
                if child.process is not None:
                    child.process.ask_to_stop()
            for child in members:
                if child.process is not None:
                    child.last_exit = child.process.stop()
                self._move(child, State.STOPPED)

    def _readiness(self, child: Child) -> str | None:
        if child.state is State.WAITING:
            return f"ended with {child.last_exit}"
        return child.managed.not_ready()

    def _start(self, child: Child) -> None:
        child.process = child.managed.start(inherit=self._inherit)
        self._move(child, State.STARTING)

    def _restart(self, child: Child) -> None:
        child.restarts += 1
        try:
            self._start(child)
        except ProcessFailed:
            self._wait_for_restart(child)

    def _bury(self, child: Child, code: int) -> None:
        child.last_exit = code
        assert child.process is not None
        if code == 0 and child.managed.may_finish:
            self._move(child, State.FINISHED)
            return
        if time.monotonic() - child.process.started_at >= STABLE_SECONDS:
            child.failures = 0
        self._wait_for_restart(child)

    def _wait_for_restart(self, child: Child) -> None:
        child.failures += 1
        child.restart_at = time.monotonic() + self._backoff.seconds(child.failures, self._random.random())
        self._move(child, State.WAITING)

    def _move(self, child: Child, state: State) -> None:
        child.state = state
        child.since = time.monotonic()
        self._on_change(child)
