"""The event log of the brokers → chunks, read without a group: nothing that is live notices."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.events import EVENTS_TOPIC
from services.detector.chunks import install_raw_batches, joined_batches
from services.detector.errors import LogTorn
from services.detector.records.decode import DecodedChunk, decode_chunk
from services.detector.records.log_records import LogRecords
from services.transport.errors import TransportUnavailable
from services.transport.kafka_admin import ASKED_SECONDS, KafkaAdmin

_POLL_MS: Final = 500
_AWAY_SECONDS: Final = 30.0
_FETCH_BYTES: Final = 8 * 1024 * 1024
_CHUNK_RECORDS: Final = 65_536


def log_bounds(bootstrap: str) -> dict[int, tuple[int, int]]:
    """Return partition → first offset that is kept, and the end. Raises TransportError."""
    with KafkaAdmin(bootstrap, connect_seconds=ASKED_SECONDS) as admin:
        begins, ends = admin.first_offsets([EVENTS_TOPIC]), admin.end_offsets([EVENTS_TOPIC])
    return {number: (begins[topic, number], end) for (topic, number), end in ends.items()}


def read_log(bootstrap: str, partition: int, first_offset: int, end: int) -> Iterator[DecodedChunk]:
    """Yield the chunks of a partition up to an offset. Raises LogTorn, TransportUnavailable."""
    install_raw_batches(EVENTS_TOPIC)
    loop = asyncio.new_event_loop()
    try:
        reading = _Reading(bootstrap, partition, first_offset, end)
        loop.run_until_complete(reading.open())
        try:
            while reading.next_offset < end:
                for records in loop.run_until_complete(reading.fetch()):
                    yield decode_chunk(partition, records)
        finally:
            loop.run_until_complete(reading.close())
    finally:
        loop.close()


class _Reading:
    """One client and how far it has read."""

    def __init__(self, bootstrap: str, partition: int, first_offset: int, end: int) -> None:
        self.next_offset = first_offset
        self._bootstrap = bootstrap
        self._tp = TopicPartition(EVENTS_TOPIC, partition)
        self._end = end
        self._client: Any = None

    async def open(self) -> None:
        """Connect; raises TransportUnavailable."""
        self._client = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_POLL_MS,
        )
        try:
            await self._client.start()
        except (KafkaError, OSError) as exc:
            await self._client.stop()
            raise TransportUnavailable("kafka", type(exc).__name__) from exc
        self._client.assign([self._tp])
        self._client.seek(self._tp, self.next_offset)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.stop()

    async def fetch(self) -> list[LogRecords]:
        """Return the next records, none from the end on."""
        deadline = asyncio.get_running_loop().time() + _AWAY_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            try:
                found = (await self._client.getmany(self._tp, timeout_ms=_POLL_MS)).get(self._tp, [])
            except (KafkaError, OSError) as exc:
                raise TransportUnavailable("kafka", f"event log: {type(exc).__name__}") from exc
            if found:
                return [self._taken(LogRecords.of_batches(joined)) for joined in joined_batches(found, _CHUNK_RECORDS)]
        raise TransportUnavailable("kafka", f"no record of {self._tp} for {_AWAY_SECONDS:g} s")

    def _taken(self, records: LogRecords) -> LogRecords:
        kept = records[: max(0, self._end - self.next_offset)]
        if len(kept) and int(kept.offsets[0]) != self.next_offset:
            raise LogTorn(self._tp.partition, self.next_offset, int(kept.offsets[0]))
        self.next_offset += len(kept)
        return kept
