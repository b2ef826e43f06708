"""The detector's administrative calls: trimming its state, and what operators allow. Blocking calls in one thread."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.detector.settings import RESUME_GROUP
from services.detector.shard import EVENTS_TOPIC
from services.detector.state_records import STATE_TOPIC
from services.transport.errors import TransportError
from services.transport.kafka_admin import KafkaAdmin

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


async def allow_poison(bootstrap: str, partitions: list[int]) -> Mapping[int, int]:
    """Let partitions pass all poison that is in the log now; return up to where. All partitions when none is named."""
    with KafkaAdmin(bootstrap) as admin:
        ends = {number: at for (_, number), at in admin.end_offsets([EVENTS_TOPIC]).items()}
    wanted = {number: at for number, at in ends.items() if number in partitions or not partitions}
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=RESUME_GROUP, enable_auto_commit=False, auto_offset_reset="none"
    ) as consumer:
        tps = {number: TopicPartition(EVENTS_TOPIC, number) for number in wanted}
        consumer.assign(list(tps.values()))
        consumer.pause(*tps.values())
        await consumer.commit({tps[number]: at for number, at in wanted.items()})
    return wanted
