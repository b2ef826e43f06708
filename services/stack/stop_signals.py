"""SIGINT, SIGTERM and SIGHUP as one exception, raised once; while the stack stops, further signals change nothing."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """A signal asked to stop; not an Exception, so that nothing on the way swallows it."""


class StopSignals:
    """A context, in the main thread: the first signal raises StopRequested there."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._stop) for number in STOPPING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ignore(self) -> None:
        """From now on signals do nothing: what runs now must run to its end, which is bounded."""
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.ignore()
        raise StopRequested
