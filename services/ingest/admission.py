"""Back-pressure: how many requests and how many of their bytes may be in flight, so that memory stays bounded."""

from types import TracebackType

from services.ingest import metrics
from services.ingest.errors import Draining, Overloaded

RETRY_SECONDS = 1.0  # a batch takes milliseconds: after a second there is room, or the brokers are away


class Admission:
    """Counts what is in flight; refuses what is over the bounds. One per process, shared by the doors."""

    def __init__(self, *, bytes_max: int, requests_max: int) -> None:
        self._bytes_max = bytes_max
        self._requests_max = requests_max
        self._bytes = 0
        self._requests = 0
        self._is_draining = False

    @property
    def requests(self) -> int:
        """Requests admitted and not yet finished."""
        return self._requests

    def drain(self) -> None:
        """Refuse whatever is new; what was admitted goes on."""
        self._is_draining = True

    def admit(self, size_bytes: int = 0) -> "Admitted":
        """Take a request in; raises Overloaded or Draining. Use as a context manager."""
        if self._is_draining:
            raise Draining("the server is stopping")
        if self._requests >= self._requests_max or self._bytes + size_bytes > self._bytes_max:
            raise Overloaded(RETRY_SECONDS)
        self._requests += 1
        admitted = Admitted(self)
        admitted.grow(size_bytes)
        return admitted

    def _add(self, size_bytes: int) -> None:
        self._bytes += size_bytes
        metrics.IN_FLIGHT_BYTES.set(self._bytes)
        metrics.IN_FLIGHT_REQUESTS.set(self._requests)

    def _has_room(self, size_bytes: int) -> bool:
        return self._bytes + size_bytes <= self._bytes_max

    def _leave(self, size_bytes: int) -> None:
        self._requests -= 1
        self._add(-size_bytes)


class Admitted:
    """One request that was taken in; `grow` as its body arrives, leave once."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._bytes = 0

    def grow(self, size_bytes: int) -> None:
        """Count further bytes; raises Overloaded when they do not fit."""
        if not self._admission._has_room(size_bytes):
            raise Overloaded(RETRY_SECONDS)
        self._bytes += size_bytes
        self._admission._add(size_bytes)

    def __enter__(self) -> "Admitted":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._admission._leave(self._bytes)
