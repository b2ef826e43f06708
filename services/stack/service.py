"""A service of ours as a managed process: `kairos <name>` with its environment, ready when /readyz says so."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.stack.process import GuardedProcess, ProcessSpec

PROBE_SECONDS = 2.0
ANSWER_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service or job. argv is the whole command; metrics_port None = ready as soon as it runs."""

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    metrics_port: int | None = None
    ready_seconds: float = 90.0
    stop_seconds: float = 12.0
    may_finish: bool = False

    def start(self, *, inherit: Sequence[int] = ()) -> GuardedProcess:
        """Start it once more."""
        spec = ProcessSpec(
            name=self.name,
            argv=self.argv,
            log=self.log,
            env=self.env,
            cwd=self.cwd,
            stop_seconds=self.stop_seconds,
        )
        return GuardedProcess(spec, inherit=inherit)

    def not_ready(self) -> str | None:
        """None when /readyz answers 200, else the reasons it gives."""
        return None if self.metrics_port is None else not_ready(self.metrics_port)


def kairos_argv(*words: str) -> list[str]:
    """The command line of one of our own commands, by this very interpreter."""
    return [sys.executable, "-m", "services.cli.main", *words]


def not_ready(port: int, host: str = "127.0.0.1") -> str | None:
    """None when the process behind this metrics port is ready, else why not, in one line."""
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        if answer.status == http.HTTPStatus.OK:
            return None
        return _faults(answer.read(ANSWER_BYTES)) or f"/readyz answers {answer.status}"
    except (OSError, http.client.HTTPException) as exc:
        return f"/readyz does not answer ({type(exc).__name__})"
    finally:
        connection.close()


def service_environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: ours, with `own` above it, and logs that are written at once."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **own}


def _faults(body: bytes) -> str:
    try:
        faults = json.loads(body).get("faults", {})
        return "; ".join(f"{name}: {fault}" for name, fault in faults.items())
    except (ValueError, AttributeError):
        return ""
