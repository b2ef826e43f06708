"""How far behind the log the state is: log ends, lag, and the second group that lag tools read."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.detector.settings import APPLIED_GROUP
from services.detector.shard import EVENTS_TOPIC
from services.transport.errors import TransportUnavailable

_CALL_SECONDS: Final = 5.0


class LagBook:
    """Asks for log ends and commits applied offsets; a client that fetches nothing and joins no group."""

    def __init__(self, bootstrap: str) -> None:
        self.ends: dict[int, int] = {}
        self._client = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=APPLIED_GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self._partitions: dict[int, TopicPartition] = {}
        self._committed: dict[int, int] = {}

    async def open(self, partitions: int) -> None:
        """Connect. Raises TransportUnavailable."""
        self._partitions = {number: TopicPartition(EVENTS_TOPIC, number) for number in range(partitions)}
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._client.start()
        except (KafkaError, OSError, TimeoutError) as exc:
            raise TransportUnavailable("kafka", f"log ends: {type(exc).__name__}") from exc
        self._client.assign(list(self._partitions.values()))
        self._client.pause(*self._partitions.values())

    async def look(self, applied: Mapping[int, int]) -> None:
        """Read the ends of these partitions and commit what is applied. Raises TransportUnavailable."""
        if not applied:
            self.ends.clear()
            return
        tps = {number: self._partitions[number] for number in applied}
        news = {tps[number]: at for number, at in applied.items() if self._committed.get(number) != at}
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                found = await self._client.end_offsets(list(tps.values()))
                self.ends = {number: found[tp] for number, tp in tps.items()}
                if news:
                    await self._client.commit(news)
        except (KafkaError, OSError, TimeoutError) as exc:
            raise TransportUnavailable("kafka", f"log ends: {type(exc).__name__}") from exc
        self._committed = dict(applied)

    def lag(self, number: int, applied: int) -> int | None:
        """Records between what is applied and the log end; None when the end is not known yet."""
        end = self.ends.get(number)
        return None if end is None else max(0, end - applied)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.stop()
