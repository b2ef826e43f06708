"""The lock of a var folder: one stack at a time, and a new one only after the last process of the old one is gone.

Every guard inherits the descriptor, so the kernel holds the lock until the last of them has ended its process, even
when the supervisor was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

LEFTOVER_SECONDS = 45.0  # what a killed supervisor left ends by itself within this
LOOK_SECONDS = 0.2


class AlreadyRunning(Exception):
    """Another supervisor holds the lock."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"the stack is running already, supervisor pid {pid}")
        self.pid = pid


class LeftoversRemain(Exception):
    """The supervisor is gone, but processes of it still hold the lock."""


@dataclass(frozen=True)
class Holder:
    """Who took the lock: pid and when that process was created (seconds), since pids are used again."""

    pid: int
    created: float

    def is_alive(self) -> bool:
        try:
            return abs(psutil.Process(self.pid).create_time() - self.created) < 1.0
        except psutil.NoSuchProcess:
            return False


class StackLock:
    """Take it once; it is let go when this process and all heirs of `descriptor` have ended."""

    def __init__(self, var: Path) -> None:
        self._path = var / "lock"
        self.descriptor = -1

    def acquire(self, seconds: float = LEFTOVER_SECONDS) -> bool:
        """Take the lock; True when leftovers had to be waited for.

        Raises AlreadyRunning when a supervisor lives, LeftoversRemain when its processes outlive the wait.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + seconds
        waited = False
        while not self._try():
            holder = read_holder(self._path)
            if holder is not None and holder.is_alive():
                self._close()
                raise AlreadyRunning(holder.pid)
            if time.monotonic() >= deadline:
                self._close()
                raise LeftoversRemain(f"processes of an earlier stack still hold {self._path}")
            waited = True
            time.sleep(LOOK_SECONDS)
        me = psutil.Process()
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, json.dumps({"pid": me.pid, "created": me.create_time()}).encode(), 0)
        return waited

    def release(self) -> None:
        """Let go of it, and of the name in the file."""
        os.ftruncate(self.descriptor, 0)
        self._close()

    def _try(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _close(self) -> None:
        os.close(self.descriptor)
        self.descriptor = -1


def read_holder(path: Path) -> Holder | None:
    """Who last took the lock, or None."""
    try:
        found = json.loads(path.read_text(encoding="ascii"))
        return Holder(int(found["pid"]), float(found["created"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running_supervisor(var: Path) -> int | None:
    """The pid of the supervisor that runs on this folder, or None."""
    holder = read_holder(var / "lock")
    return holder.pid if holder is not None and holder.is_alive() and is_held(var) else None


def is_held(var: Path) -> bool:
    """True when a stack, or what is left of one, holds the lock."""
    try:
        descriptor = os.open(var / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
