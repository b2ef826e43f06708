"""Ends the process when it looks alive and does nothing. A thread of its own: it must see a loop that hangs."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from services.detector.fatal import die
from services.detector.shard import Pause
from services.detector.worker import Worker

_LOOK_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class Watchdog:
    """Looks every second at the client's background tasks and at progress while there is lag."""

    def __init__(self, worker: Worker, *, stall_seconds: float, client_tasks: Callable[[], list[Any]]) -> None:
        self._worker = worker
        self._stall_seconds = stall_seconds
        self._client_tasks = client_tasks
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """The process is ending as it should."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            if self._worker.is_stopping:
                return
            ended = [task for task in self._client_tasks() if task.done()]
            if ended and not self._worker.is_stopping:
                die(f"a background task of the Kafka client ended: {ended}")
            fault = self.fault(time.monotonic())
            if fault is not None:
                die(fault)

    def fault(self, now: float) -> str | None:
        """Why the process should end; None while all is well."""
        if not self._worker.is_assigned or now - self._worker.progress_at < self._stall_seconds:
            return None
        still = {shard.number for why in Pause for shard in self._worker.paused(why)}
        waiting = {number: lag for number, lag in self._worker.lags().items() if lag and number not in still}
        if not waiting:
            return None
        return f"nothing was applied for {now - self._worker.progress_at:.0f} s with lag {waiting}"
