"""What a partition brings forth, on its way to the broker: in order, acknowledged, bounded.

One lane per partition: a batch goes out when the one before it is acknowledged, so that a restart that replays from
an acknowledged point repeats outputs but never misses one. A ticket numbers what was put so far; `until(ticket)`
returns once all of that is acknowledged. What nobody acts upon at once may be put to go along later with more of it:
a request costs the same whatever is in it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from services.transport.kafka_frames import FramedRecords
from services.transport.kafka_producer import OutRecord

Lane = tuple[str, int]
"""Topic and partition."""
Outputs = list[OutRecord] | FramedRecords
APPEND_RECORDS_MAX = 4_096
"""Records of one append, and so of one deadline: all moments of a Monday in one would miss it, at every restart."""
APPEND_BYTES_MAX = 16 << 20
"""Likewise bytes: a flood of dead letters may bring a megabyte each."""
_RECORD_BYTES = 64  # headers and the rest
WAITING_BYTES_MAX = 64 << 20
"""Bytes that wait for the broker; more stop the input."""
LINGER_SECONDS = 0.25
"""How long outputs wait for company that may; or until somebody waits for them."""


class Appender(Protocol):
    """The one thing an outbox needs of a producer."""

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int: ...


class Outbox:
    """Outputs of one partition. A failed append is fatal to the process, by the `on_failure` that is given."""

    def __init__(self, producer: Appender, *, records_max: int, on_failure: Callable[[BaseException], object]) -> None:
        self._producer = producer
        self._records_max = records_max
        self._on_failure = on_failure
        self._waiting: dict[Lane, Any] = {}  # lane → outputs of one kind
        self._lingering: dict[Lane, Any] = {}  # likewise
        self._lingers_from = 0  # ticket of the first of them
        self._is_due = False  # what lingers
        self._timer: asyncio.TimerHandle | None = None
        self._records = 0  # put and not yet acknowledged
        self._bytes = 0  # likewise
        self._put = 0
        self._acknowledged = 0
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def ticket(self) -> int:
        """Number of what was put so far."""
        return self._put

    @property
    def acknowledged(self) -> int:
        """The ticket up to which everything is acknowledged."""
        return self._acknowledged

    @property
    def records(self) -> int:
        """Records that are not acknowledged yet."""
        return self._records

    def put(self, topic: str, partition: int, records: Outputs, *, may_linger: bool = False) -> None:
        """Hand over records, those of a lane always framed or never, and always lingering or never; never waits, see
        `room`."""
        if not records:
            return
        self._put += 1
        self._records += len(records)
        self._bytes += _sizes(records)[0]
        if may_linger and not self._lingering:
            self._lingers_from = self._put
        held = self._lingering if may_linger else self._waiting
        held.setdefault((topic, partition), type(records)()).extend(records)
        if not may_linger:
            self._start()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._end_lingering)

    async def room(self) -> None:
        """Return when less than the bounds is waiting."""
        await self._wait(lambda: self._records < self._records_max and self._bytes < WAITING_BYTES_MAX)

    async def until(self, ticket: int) -> None:
        """Return when everything up to this ticket is acknowledged."""
        await self._wait(lambda: self._acknowledged >= ticket)

    async def _wait(self, done: Callable[[], bool]) -> None:
        while not done():
            self._end_lingering()
            self._moved.clear()
            await self._moved.wait()

    def _end_lingering(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_due = bool(self._lingering)
        self._start()

    def _start(self) -> None:
        if self._task is None and (self._waiting or self._is_due):
            self._task = asyncio.ensure_future(self._send())
            self._task.add_done_callback(self._sent)

    async def _send(self) -> None:
        while self._waiting or self._is_due:
            batch, self._waiting = self._waiting, {}
            if self._is_due:
                for lane, records in self._lingering.items():
                    batch.setdefault(lane, type(records)()).extend(records)
                self._lingering, self._is_due = {}, False
            put = self._put
            largest = max(_sizes(records)[1] for records in batch.values())
            step = min(APPEND_RECORDS_MAX, max(APPEND_BYTES_MAX // largest, 1))
            for first in range(0, max(map(len, batch.values())), step):
                await self._append({lane: records[first : first + step] for lane, records in batch.items()})
            self._acknowledged = min(put, self._lingers_from - 1) if self._lingering else put
            self._moved.set()

    async def _append(self, batch: dict[Lane, Any]) -> None:
        parts = {lane: records for lane, records in batch.items() if records}
        sends: list[Awaitable[int]] = [
            self._producer.append(topic, partition, records) for (topic, partition), records in parts.items()
        ]
        await asyncio.gather(*sends)
        self._records -= sum(map(len, parts.values()))
        self._bytes -= sum(_sizes(records)[0] for records in parts.values())
        self._moved.set()

    def _sent(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if task.cancelled():
            self._on_failure(asyncio.CancelledError("an append of outputs was cancelled"))
        elif (failure := task.exception()) is not None:
            self._on_failure(failure)
        else:
            self._start()  # what was put between the last look and now


def _sizes(records: Outputs) -> tuple[int, int]:
    """Bytes of all of them, about, and of the largest; there is one at least."""
    if isinstance(records, FramedRecords):
        return records.sizes()
    sizes = [_RECORD_BYTES + len(record.key or b"") + len(record.value or b"") for record in records]
    return sum(sizes), max(sizes)
