"""The parent of one process: a program of the standard library alone, started as `python -I -S guard.py SPEC`.

Owns the life of its child: whatever happens to the supervisor (also kill -9), the child is asked to stop, waited for
and in the end killed, together with what it started. Writes the child's output to a log that cannot outgrow its bound.
When to start what, and what an exit means, is the supervisor's.

SPEC is JSON: argv, cwd, log, log_bytes, log_keep, stop_signal, stop_seconds, linger_seconds (how long to go on when the
supervisor is gone, so that servers outlive their clients), control (descriptor of a socket). Over that socket the guard
says {"pid": n}, {"error": text} or {"exit": code}, one JSON text a line, and obeys the lines `stop` and `kill`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOOK_SECONDS = 1.0  # the supervisor's death shows as end of file; its pid is looked at as well, at this pace
LEFTOVER_SECONDS = 5.0  # how long descendants may outlive the child before they are killed
CHUNK_BYTES = 65536


class BoundedLog:
    """A log file of at most `limit_bytes`, with `keep` older ones beside it: name.log.1 is the newest of them."""

    def __init__(self, path: Path, *, limit_bytes: int, keep: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._keep = keep
        self._file = self._open()

    def write(self, chunk: bytes) -> None:
        """Append; a full disk loses log lines, never the process."""
        with contextlib.suppress(OSError):
            if self._file.tell() + len(chunk) > self._limit_bytes:
                self._rotate()
            self._file.write(chunk)

    def _open(self) -> IO[bytes]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return open(self._path, "ab", buffering=0)  # closed with the process

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            if newer.exists():
                newer.replace(older)
        self._file = self._open()


class Guard:
    """One child from start to the end of its last descendant."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._control: socket.socket | None = socket.socket(fileno=spec["control"])
        self._control.setblocking(False)
        self._parent = os.getppid()
        self._log = BoundedLog(Path(spec["log"]), limit_bytes=spec["log_bytes"], keep=spec["log_keep"])
        self._selector = selectors.DefaultSelector()
        self._stop_at: float | None = None
        self._kill_at: float | None = None
        self._received = b""

    def run(self) -> int:
        """Start the child, stay until it and its descendants are gone; the guard's own exit code is 0 when it could."""
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._ask_to_stop(after_seconds=0.0))
        try:
            child = self._spawn()
        except OSError as exc:
            self._say({"error": f"{self._spec['argv'][0]}: {exc.strerror}"})
            return 1
        self._say({"pid": child.pid})
        assert child.stdout is not None
        output = child.stdout
        os.set_blocking(output.fileno(), False)
        self._selector.register(output, selectors.EVENT_READ, "output")
        self._selector.register(wake_read, selectors.EVENT_READ, "signal")
        if self._control is not None:
            self._selector.register(self._control, selectors.EVENT_READ, "control")
        code = self._attend(child, output, wake_read)
        self._end_descendants(output)
        self._say({"exit": code})
        return 0

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._spec["argv"],
            cwd=self._spec["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_the_guard,  # the guard has one thread
            bufsize=0,
        )

    def _attend(self, child: subprocess.Popen[bytes], output: IO[bytes], wake: int) -> int:
        while True:
            code = child.poll()
            if code is not None:
                return code
            for key, _ in self._selector.select(self._patience()):
                if key.data == "output":
                    self._copy(output)
                elif key.data == "signal":
                    os.read(wake, CHUNK_BYTES)
                else:
                    self._obey(child)
            if self._control is not None and os.getppid() != self._parent:
                self._lose_supervisor()
            self._press(child)

    def _patience(self) -> float:
        waits = [at - time.monotonic() for at in (self._stop_at, self._kill_at) if at is not None]
        return max(0.0, min([LOOK_SECONDS, *waits]))

    def _copy(self, output: IO[bytes]) -> None:
        chunk = output.read(CHUNK_BYTES)
        if chunk:
            self._log.write(chunk)
        elif chunk == b"":
            self._selector.unregister(output)

    def _obey(self, child: subprocess.Popen[bytes]) -> None:
        assert self._control is not None
        try:
            received = self._control.recv(1024)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._lose_supervisor()
            return
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            if line == b"stop":
                self._ask_to_stop(after_seconds=0.0)
            elif line == b"kill":
                child.kill()

    def _lose_supervisor(self) -> None:
        assert self._control is not None
        self._selector.unregister(self._control)
        self._control.close()
        self._control = None
        self._ask_to_stop(after_seconds=self._spec["linger_seconds"])

    def _ask_to_stop(self, *, after_seconds: float) -> None:
        if self._kill_at is None:
            at = time.monotonic() + after_seconds
            self._stop_at = at if self._stop_at is None else min(at, self._stop_at)

    def _press(self, child: subprocess.Popen[bytes]) -> None:
        """Send the signals that are due: first the polite one, later SIGKILL."""
        now = time.monotonic()
        if self._stop_at is not None and now >= self._stop_at:
            child.send_signal(self._spec["stop_signal"])
            self._stop_at = None
            self._kill_at = now + self._spec["stop_seconds"]
        if self._kill_at is not None and now >= self._kill_at:
            child.kill()
            self._kill_at = now + LOOK_SECONDS

    def _end_descendants(self, output: IO[bytes]) -> None:
        """What the child started is the guard's now; give it time to notice, then kill it."""
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while True:
            with contextlib.suppress(OSError, ValueError):
                while chunk := output.read(CHUNK_BYTES):
                    self._log.write(chunk)
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                if time.monotonic() >= deadline:
                    _kill_children()
                time.sleep(0.01)

    def _say(self, message: dict[str, Any]) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.sendall(json.dumps(message).encode() + b"\n")


def _die_with_the_guard() -> None:
    """In the child: SIGKILL when the guard itself is killed, which leaves nobody to ask politely."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _kill_children() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    for pid in children.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(Guard(json.loads(sys.argv[1])).run())
