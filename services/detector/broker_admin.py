"""The detector's administrative calls: trimming its state, and what operators allow. Blocking calls in one thread."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from services.detector.durability.state_records import STATE_TOPIC
from services.detector.settings import CLOCK_GROUP, RESUME_GROUP, TIME_GROUP
from services.detector.shard import EVENTS_TOPIC
from services.transport.errors import TransportError
from services.transport.kafka_admin import ASKED_SECONDS, KafkaAdmin

T = TypeVar("T")
_CLOSE_SECONDS: Final = 2.0


class BrokerAdmin:
    """One connection, made at the first call and again after a failed one. Raises TransportError."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-admin")
        self._open = contextlib.ExitStack()
        self._admin: KafkaAdmin | None = None

    async def trim(self, partition: int, before_offset: int) -> None:
        """Remove the state records of a partition before this offset."""
        if before_offset > 0:
            await self._call(lambda admin: admin.trim({(STATE_TOPIC, partition): before_offset}))

    async def poison_allowed(self) -> Mapping[int, int]:
        """Partition → offset up to which an operator allowed any amount of poison."""
        found = await self._call(lambda admin: admin.committed_offsets(RESUME_GROUP))
        return {number: at for (topic, number), at in found.items() if topic == EVENTS_TOPIC}

    async def broker_ms(self) -> int:
        """The brokers' clock, UTC milliseconds."""
        return await self._call(lambda admin: admin.broker_ms(CLOCK_GROUP, (EVENTS_TOPIC, 0)))

    async def confirmed_ms(self) -> int:
        """The time that an operator confirmed last; 0 = never."""
        found = await self._call(lambda admin: admin.committed_offsets(TIME_GROUP))
        return found.get((EVENTS_TOPIC, 0), 0)

    async def partitions(self) -> int:
        """How many partitions the event log has."""
        return await self._call(lambda admin: admin.partition_count(EVENTS_TOPIC))

    async def close(self) -> None:
        """Disconnect; a call on its way is given a moment to end."""
        with contextlib.suppress(TransportError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._open.close)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _call(self, ask: Callable[[KafkaAdmin], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, ask)

    def _ask(self, ask: Callable[[KafkaAdmin], T]) -> T:
        try:
            if self._admin is None:
                self._admin = self._open.enter_context(KafkaAdmin(self._bootstrap))
            return ask(self._admin)
        except TransportError:
            self._admin = None
            with contextlib.suppress(TransportError):
                self._open.close()
            raise


def allow_poison(bootstrap: str, partitions: list[int]) -> Mapping[int, int]:
    """Let partitions pass all poison that is in the log now; return up to where. All partitions when none is named."""
    with KafkaAdmin(bootstrap, connect_seconds=ASKED_SECONDS) as admin:
        ends = admin.end_offsets([EVENTS_TOPIC])
        wanted = {at: offset for at, offset in ends.items() if at[1] in partitions or not partitions}
        admin.commit_offsets(RESUME_GROUP, wanted)
    return {number: offset for (_, number), offset in wanted.items()}


def confirm_time(bootstrap: str, confirmed_ms: int) -> None:
    """Say that it is so late: detectors whose clock agrees, and was not believed, go on by it."""
    with KafkaAdmin(bootstrap, connect_seconds=ASKED_SECONDS) as admin:
        admin.commit_offsets(TIME_GROUP, {(EVENTS_TOPIC, 0): confirmed_ms})
