"""`kairos up --detach`: the same supervisor in a session of its own, and a wait until it is ready."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from services.stack.console import Progress
from services.stack.endpoints import read_endpoints
from services.stack.process import last_lines

READY_SECONDS = 600.0  # the first start fetches Kafka


def start_detached(var: Path, argv: Sequence[str]) -> int:
    """Start `argv` in the background and return 0 once its stack is ready, or its exit code when it ends before."""
    progress = Progress()
    log = var / "log" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        started_bytes = output.tell()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        code = process.poll()
        if code is not None:
            progress.text("\n".join(last_lines(log)))
            return code or 1
        endpoints = read_endpoints(var)
        if endpoints is not None and endpoints.ready and endpoints.supervisor_pid == process.pid:
            with open(log, "rb") as written:
                written.seek(started_bytes)
                progress.text(written.read().decode("utf-8", errors="replace"))
            return 0
        time.sleep(0.2)
    progress.bad("stack", f"not ready after {READY_SECONDS:.0f} s; see {log}")
    return 1
