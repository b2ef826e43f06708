"""The stack under test as a process of its own: `kairos up` over an own folder, on free ports, with a movable clock."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from services.simulator.endpoints import Endpoints, StackNotRunning, read_endpoints
from services.stack.kafka_server import fetch_jars

START_SECONDS = 150.0
STOP_SECONDS = 60.0
PAUSE_SECONDS = 0.1


class StackFailed(RuntimeError):
    """`kairos up` ended or was not ready in time; the message ends with what it printed last."""


class StackProcess:
    """One `kairos up`, from an empty folder; leaves nothing running."""

    def __init__(self, var_dir: Path, *, start: str, jars_dir: Path) -> None:
        """start: RFC 3339 instant at which the business clock begins; jars_dir: where Kafka's jars are kept."""
        self.var_dir = var_dir.resolve()
        self._start = start
        self._jars_dir = jars_dir.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    async def open(self, tell: Callable[[str], None]) -> Endpoints:
        """Start it and wait until every process is ready."""
        await asyncio.to_thread(self._prepare)
        process = self._process = self._launch()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise StackFailed(f"`kairos up` ended with {process.returncode}:\n{self.last_lines()}")
            endpoints = self.endpoints()
            if endpoints is not None and endpoints.is_ready:
                tell(f"stack is ready, {len(endpoints.pids)} processes")
                return endpoints
            await asyncio.sleep(PAUSE_SECONDS)
        raise StackFailed(f"not ready after {START_SECONDS:.0f} s:\n{self.last_lines()}")

    def _launch(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services.cli.main", "up", "--free-ports", "--environment", "test"]
        command += ["--var", str(self.var_dir), "--clock", f"{self._start},1"]
        return subprocess.Popen(
            command,
            env={**os.environ, "KAIROS_VAR_DIR": str(self.var_dir)},
            stdin=subprocess.DEVNULL,
            stdout=self.output.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def close(self) -> None:
        """Stop everything, in order; by force when that takes too long (guards then end what is left)."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        self._process = None

    def kill(self, name: str) -> int:
        """kill -9 one process of the stack; returns its pid."""
        endpoints = self.endpoints()
        assert endpoints is not None, "the stack is not running"
        pid = endpoints.pids[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def endpoints(self) -> Endpoints | None:
        """The addresses as they are now; None before they are known."""
        try:
            return read_endpoints(self.var_dir)
        except StackNotRunning:
            return None

    @property
    def output(self) -> Path:
        """What `kairos up` prints."""
        return self.var_dir.parent / f"{self.var_dir.name}.out"

    def last_lines(self, count: int = 25) -> str:
        """The end of what `kairos up` printed."""
        return "\n".join(self.output.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])

    def _prepare(self) -> None:
        """An empty folder, but for Kafka's jars, which are fetched once and shared."""
        if self.var_dir.exists():
            shutil.rmtree(self.var_dir)
        self.var_dir.mkdir(parents=True)
        libs = fetch_jars(self._jars_dir)
        version_dir = next(parent for parent in (libs, *libs.parents) if parent.parent == self._jars_dir)
        (self.var_dir / version_dir.name).symlink_to(version_dir)
