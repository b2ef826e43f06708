"""The reader of `kairos detector --partitions 0,1`: fixed partitions, no group. For tests and repairs."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.detector.chunks import joined_batches
from services.detector.records.log_records import LogRecords
from services.detector.settings import DetectorSettings
from services.detector.shard import EVENTS_TOPIC
from services.detector.worker import Worker
from services.transport.errors import TransportUnavailable

_POLL_MS: Final = 200


class SoloReader:
    """Reads the partitions it was given, from where their state ends."""

    def __init__(self, settings: DetectorSettings, worker: Worker, partitions: Sequence[int]) -> None:
        self._settings = settings
        self._worker = worker
        self._tps = {number: TopicPartition(EVENTS_TOPIC, number) for number in partitions}
        self._stop = asyncio.Event()
        self._client = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=settings.fetch_bytes,
            fetch_max_wait_ms=settings.fetch_wait_ms,
        )

    def pause(self, number: int) -> None:
        self._client.pause(self._tps[number])

    async def resume(self, number: int, offset: int) -> None:
        self._client.seek(self._tps[number], offset)
        self._client.resume(self._tps[number])

    async def commit(self) -> None:
        """There is no group to commit to: the group's own members do that."""

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stop.set()

    async def run(self) -> None:
        """Load, then read and apply until stopped. Raises TransportUnavailable."""
        await self._worker.acquire(sorted(self._tps), lambda: True)
        try:
            await self._client.start()
        except (KafkaError, OSError) as exc:
            raise TransportUnavailable("kafka", type(exc).__name__) from exc
        self._client.assign(list(self._tps.values()))
        for number, offset in self._worker.positions().items():
            self._client.seek(self._tps[number], offset)
        try:
            while not self._stop.is_set():
                await self._step()
            await self._worker.finish()
        finally:
            await self._client.stop()

    async def _step(self) -> None:
        found = await self._client.getmany(timeout_ms=_POLL_MS)
        for tp, batches in found.items():
            for joined in joined_batches(batches, self._settings.chunk_records):
                await self._worker.apply(tp.partition, LogRecords.of_batches(joined))

    def client_tasks(self) -> list[Any]:
        """The client's background tasks, for the watchdog."""
        fetcher = self._client._fetcher
        return [] if fetcher is None or self._stop.is_set() else [fetcher._fetch_task]


async def run_solo(
    settings: DetectorSettings,
    worker: Worker,
    partitions: Sequence[int],
    *,
    on_signal: Callable[[], None],
    on_reader: Callable[[SoloReader], None],
) -> None:
    """Run until SIGTERM or SIGINT."""
    reader = SoloReader(settings, worker, partitions)
    worker.attach(reader)
    on_reader(reader)

    def stop() -> None:
        on_signal()
        reader.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await worker.open()
    try:
        await reader.run()
    finally:
        await worker.close()
