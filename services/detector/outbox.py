"""What a partition brings forth, on its way to the broker: in order, acknowledged, bounded.

One lane per partition: a batch goes out when the one before it is acknowledged, so that a restart that replays from
an acknowledged point repeats outputs but never misses one. A ticket numbers what was put so far; `until(ticket)`
returns once all of that is acknowledged.
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
        self._records = 0  # put and not yet acknowledged
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

    def put(self, topic: str, partition: int, records: Outputs) -> None:
        """Hand over records, those of a lane always framed or never; never waits, see `room`."""
        if not records:
            return
        self._waiting.setdefault((topic, partition), type(records)()).extend(records)
        self._records += len(records)
        self._put += 1
        if self._task is None:
            self._task = asyncio.ensure_future(self._send())
            self._task.add_done_callback(self._sent)

    async def room(self) -> None:
        """Return when less than the bound is waiting."""
        await self._wait(lambda: self._records < self._records_max)

    async def until(self, ticket: int) -> None:
        """Return when everything up to this ticket is acknowledged."""
        await self._wait(lambda: self._acknowledged >= ticket)

    async def _wait(self, done: Callable[[], bool]) -> None:
        while not done():
            self._moved.clear()
            await self._moved.wait()

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            put = self._put
            for first in range(0, max(map(len, batch.values())), APPEND_RECORDS_MAX):
                await self._append(
                    {lane: records[first : first + APPEND_RECORDS_MAX] for lane, records in batch.items()}
                )
            self._acknowledged = put
            self._moved.set()

    async def _append(self, batch: dict[Lane, Any]) -> None:
        sends: list[Awaitable[int]] = [
            self._producer.append(topic, partition, records) for (topic, partition), records in batch.items() if records
        ]
        await asyncio.gather(*sends)
        self._records -= sum(map(len, batch.values()))
        self._moved.set()

    def _sent(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if task.cancelled():
            self._on_failure(asyncio.CancelledError("an append of outputs was cancelled"))
        elif (failure := task.exception()) is not None:
            self._on_failure(failure)
        elif self._waiting:  # put between the last look and now
            self._task = asyncio.ensure_future(self._send())
            self._task.add_done_callback(self._sent)
