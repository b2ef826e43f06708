"""One process under a guard: start it, know its pid, stop it within bounds, read the end of its log.

The guard (guard.py) is its parent and outlives this program long enough to clean up. Order, readiness and restarts are
the supervisor's.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GUARD = Path(__file__).with_name("guard.py")
START_SECONDS = 15.0  # for the guard to report the pid of its child
LOG_BYTES = 10 * 1024 * 1024
LOG_KEEP = 3


class ProcessFailed(Exception):
    """A process could not be started or ended too early. `log` says where to read why."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        super().__init__(f"{name}: {reason}; see {log}")
        self.name = name
        self.reason = reason
        self.log = log


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """What to run and how to end it. env replaces the whole environment; secrets belong there, never in argv."""

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    cwd: Path = Path("/")
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 12.0  # a service drains within 10 s; then SIGKILL
    linger_seconds: float = 0.0  # how long it goes on when the supervisor was killed
    log_bytes: int = LOG_BYTES
    log_keep: int = LOG_KEEP


class GuardedProcess:
    """A started process. Not restarted here: make a new one."""

    def __init__(self, spec: ProcessSpec, *, inherit: Sequence[int] = ()) -> None:
        """Start it and return when it has a pid. inherit: descriptors the guard holds open as long as it lives."""
        self.spec = spec
        self.started_at = time.monotonic()
        self._exit: int | None = None
        self._received = b""
        self._control, theirs = socket.socketpair()
        with theirs:
            message = {
                "argv": list(spec.argv),
                "cwd": str(spec.cwd),
                "log": str(spec.log),
                "log_bytes": spec.log_bytes,
                "log_keep": spec.log_keep,
                "stop_signal": int(spec.stop_signal),
                "stop_seconds": spec.stop_seconds,
                "linger_seconds": spec.linger_seconds,
                "control": theirs.fileno(),
            }
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), json.dumps(message)],
                env=dict(spec.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *inherit],
                start_new_session=True,
            )
        self.pid = self._read_pid()

    @property
    def name(self) -> str:
        return self.spec.name

    def poll(self) -> int | None:
        """The exit code when it has ended (negative: the signal), else None."""
        if self._exit is None:
            self._receive(timeout=0.0)
        if self._guard.poll() is None:
            return None  # the guard still ends descendants; the process counts as gone only after that
        if self._exit is None:
            self._receive(timeout=0.0)
            self._exit = -signal.SIGKILL if self._exit is None else self._exit
        self._control.close()
        return self._exit

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None when it has not ended in time."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)
        return code

    def ask_to_stop(self) -> None:
        """Send the stop signal and return at once; the guard kills it after stop_seconds."""
        self._tell(b"stop\n")

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._tell(b"kill\n")

    def stop(self) -> int:
        """Stop it and wait; at most stop_seconds and a little."""
        self.ask_to_stop()
        code = self.wait(self.spec.stop_seconds + 8.0)
        if code is None:  # the guard itself hangs
            self._guard.kill()
            self._guard.wait(5.0)
            code = -signal.SIGKILL
        return code

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of its log."""
        return last_lines(self.spec.log, count)

    def _tell(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # it has ended; poll() says how
            self._control.send(line)

    def _read_pid(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._guard.poll() is None:
            message = self._receive(timeout=0.2)
            if "pid" in message:
                return int(message["pid"])
            if "error" in message:
                self._guard.wait(5.0)
                self._control.close()
                raise ProcessFailed(self.name, str(message["error"]), self.spec.log)
        message = self._receive(timeout=0.0)
        self._guard.kill()
        self._guard.wait(5.0)
        self._control.close()
        raise ProcessFailed(self.name, str(message.get("error", "its guard did not start")), self.spec.log)

    def _receive(self, *, timeout: float) -> dict[str, Any]:
        """The next message, or {}; an exit is kept."""
        if b"\n" not in self._received:
            try:
                self._control.settimeout(timeout)
                self._received += self._control.recv(65536)
            except OSError:  # nothing yet, or closed
                return {}
        line, found, rest = self._received.partition(b"\n")
        if not found:
            return {}
        self._received = rest
        message: dict[str, Any] = json.loads(line)
        self._exit = message.get("exit", self._exit)
        return message


def last_lines(log: Path, count: int = 15) -> list[str]:
    """The last lines of a log file, or none when there is no file."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 65536))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-count:]
