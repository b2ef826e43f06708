"""Whether a server that this process cannot work without answers, and since when not."""

import time
from collections.abc import Callable


class Dependency:
    """Written by those who call the server, read by health checks and by the end of the process."""

    def __init__(self, name: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._monotonic = monotonic
        self._lost_since: float | None = None

    def answered(self) -> None:
        self._lost_since = None

    def lost(self) -> None:
        """Note a failure; the first one counts."""
        if self._lost_since is None:
            self._lost_since = self._monotonic()

    def lost_seconds(self) -> float:
        """For how long it has not answered; 0 when it does."""
        since = self._lost_since
        return 0.0 if since is None else self._monotonic() - since

    def fault(self) -> str | None:
        """The reason for not being ready, if any."""
        return None if self._lost_since is None else f"{self.name} does not answer since {self.lost_seconds():.0f} s"
