"""Every override of Faust and aiokafka: records in chunks, offsets from the state, faults that end the process.

Checked with the versions in PINNED; `OVERRIDDEN` lists each upstream function whose behaviour is replaced or relied on,
and tests/unit/detector/test_chunks.py fails when the source of one of them changes.
A stock agent costs four asyncio tasks per record; here the agent sees one chunk per partition and fetch, made of whole
record batches: there is no Python object per event at all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import faust
import mode
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from faust.assignor import PartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from services.detector.fatal import die
from services.detector.records.batches import RawBatch, read_batches
from services.detector.records.log_records import LogRecords

PINNED: Final = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}

OVERRIDDEN: Final = (
    "faust.transport.utils:DefaultSchedulingStrategy.iterate",
    "faust.serializers.schemas:Schema.loads_key",
    "faust.serializers.schemas:Schema.loads_value",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._create_worker_consumer",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._seek_wait",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._fetch_records",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._commit",
    "faust.transport.drivers.aiokafka:Consumer._new_consumer_thread",
    "faust.transport.drivers.aiokafka:Consumer._to_message",
    "faust.transport.consumer:Consumer.ack",
    "faust.transport.consumer:Consumer._add_gap",
    "faust.transport.consumer:Consumer._drain_messages",
    "faust.transport.consumer:Consumer.getmany",
    "faust.transport.consumer:Consumer._commit_tps",
    "faust.transport.consumer:Consumer._filter_committable_offsets",
    "faust.transport.consumer:Consumer._filter_tps_with_pending_acks",
    "faust.transport.consumer:Consumer._handle_attached",
    "faust.transport.consumer:Consumer._new_offset",
    "faust.transport.consumer:Consumer._should_commit",
    "faust.transport.consumer:Consumer.on_buffer_full",
    "faust.transport.consumer:Consumer.perform_seek",
    "faust.transport.consumer:Consumer.verify_all_partitions_active",
    "faust.tables.recovery:Recovery._resume_streams",
    "faust.app.base:App._new_transport",
    "faust.app.base:App._new_producer_transport",
    "faust.app.base:App._create_directories",
    "faust.app.base:App._on_partitions_revoked",
    "faust.app.base:App._on_partitions_assigned",
    "faust.app.base:App.on_stop",
    "faust.assignor.partition_assignor:PartitionAssignor.__init__",
    "faust.worker:Worker._on_sigterm",
    "faust.worker:Worker._on_sigint",
    "mode.worker:Worker.execute_from_commandline",
    "mode.services:Service.crash",
    "mode.services:Service._crash",
    "aiokafka.consumer.fetcher:PartitionRecords.__init__",
    "aiokafka.consumer.fetcher:PartitionRecords._unpack_records",
    "aiokafka.consumer.fetcher:FetchResult.getall",
    "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request",
    "aiokafka.consumer.fetcher:Fetcher.fetched_records",
    "aiokafka.consumer.fetcher:Fetcher.seek_to",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.start",
)


class Offsets(Protocol):
    """Where the consumer stands: the state knows, Faust's acknowledgements do not."""

    def positions(self) -> Mapping[int, int]:
        """Partition → offset to read next, of the partitions whose state is loaded."""

    def committable(self) -> Mapping[int, int]:
        """Partition → offset from which a restart would replay; only where one is known."""


class Chunk:
    """Records of one partition, dressed as one record for Faust; its own `value`."""

    timestamp_type = 0
    headers = ()
    key = None
    checksum = None
    serialized_key_size = 0
    serialized_value_size = 0

    __slots__ = ("__weakref__", "offset", "partition", "records", "timestamp", "topic")

    def __init__(self, tp: Any, batches: Sequence[RawBatch]) -> None:
        self.topic = tp.topic
        self.partition: int = tp.partition
        self.records = LogRecords.of_batches(batches)
        self.offset = batches[-1].offset
        self.timestamp = self.records.timestamp

    @property
    def value(self) -> "Chunk":
        return self


class ChunkSchema(faust.Schema):  # type: ignore[misc]  # Faust is untyped
    """Passes the chunk through: the engine decodes, so that one bad record cannot fail a chunk."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value


def chunk_scheduler(records_max: int) -> type:
    """The scheduling class that joins each partition's batches into chunks; the last place where Faust has lists."""

    class ChunkScheduler(DefaultSchedulingStrategy):  # type: ignore[misc]  # Faust is untyped
        def iterate(self, records: Mapping[Any, list[RawBatch]]) -> Iterator[tuple[Any, Chunk]]:
            for tp, found in records.items():
                for batches in joined_batches(found, records_max):
                    yield tp, Chunk(tp, batches)

    return ChunkScheduler


def joined_batches(batches: Sequence[RawBatch], records_max: int) -> Iterator[Sequence[RawBatch]]:
    """Neighbouring batches together, of about so many records; a batch is never cut."""
    first = records = 0
    for at, batch in enumerate(batches):
        if at > first and records + batch.records > records_max:
            yield batches[first:at]
            first, records = at, 0
        records += batch.records
    if first < len(batches):
        yield batches[first:]


class ChunkThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    """The thread that owns the Kafka client."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust hard-codes 1500; the value is read in consumer.start(), which comes later.
        consumer._fetch_max_wait_ms = self.app.fetch_wait_ms
        return consumer


class ChunkConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped
    """Offsets come from the state; acknowledging a chunk would look like a gap to Faust."""

    def _new_consumer_thread(self) -> ChunkThread:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    def ack(self, message: Any) -> bool:
        """Forget the message; the stock bookkeeping would grow for ever."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """A chunk spans many offsets; that is no gap."""

    def on_buffer_full(self, tp: Any) -> None:
        """The full queue blocks by itself; the stock answer sleeps a second when all partitions are full."""

    async def verify_all_partitions_active(self) -> None:
        """Our watchdog looks at lag and progress; the stock one takes quiet partitions for stalled ones."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> list[Any]:
        return [TP(self.app.log_topic, number) for number in self.app.offsets.committable()]

    def _new_offset(self, tp: Any) -> int | None:
        offset: int | None = self.app.offsets.committable().get(tp.partition)
        return offset

    async def _handle_attached(self, commit_offsets: Any) -> None:
        """Nothing to wait for: `committable` names only manifests that are acknowledged."""

    async def perform_seek(self) -> None:
        """Seek to what the state has applied. Inside a rebalance nothing is owned; Faust seeks again after it."""
        await self.seek_to(self.app.offsets.positions())

    async def seek_to(self, positions: Mapping[int, int]) -> None:
        """Read on at these offsets; partitions that were revoked meanwhile are left out."""
        assigned = self.assignment()
        wanted = {TP(self.app.log_topic, number): at for number, at in positions.items()}
        wanted = {tp: at for tp, at in wanted.items() if tp in assigned}
        if wanted:
            await self._thread.seek_wait(wanted)


class ChunkTransport(driver.Transport):  # type: ignore[misc]  # Faust is untyped
    Consumer = ChunkConsumer


class EvenAssignor(PartitionAssignor):  # type: ignore[misc]  # Faust is untyped
    """Faust's sticky assignor without replicas: with them, a member that joins may get nothing."""

    def __init__(self, app: Any, replicas: int = 0) -> None:
        super().__init__(app, replicas=0)


class ChunkApp(faust.App):  # type: ignore[misc]  # Faust is untyped
    """A Faust application on the chunk transport. Any crash of any of its services ends the process."""

    offsets: Offsets
    log_topic: str
    fetch_wait_ms: int

    def pause(self, number: int) -> None:
        """Leave a partition alone; chunks of it that are under way still come."""
        self.consumer.pause_partitions({TP(self.log_topic, number)})

    async def resume(self, number: int, offset: int) -> None:
        """Read a partition again from here; chunks that were under way before may still come first."""
        await self.consumer.seek_to({number: offset})
        self.consumer.resume_partitions({TP(self.log_topic, number)})

    def _new_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_producer, self)

    def _create_directories(self) -> None:
        """No tables, so no directories."""

    def _crash(self, reason: BaseException) -> None:
        die(reason)


class ChunkWorker(faust.Worker):  # type: ignore[misc]  # Faust is untyped
    """Runs the application until a signal; tells of the signal, so that a stop that hangs can be ended."""

    on_signal: Callable[[], None]

    def _on_sigint(self) -> None:
        self.on_signal()
        super()._on_sigint()

    def _on_sigterm(self) -> None:
        self.on_signal()
        super()._on_sigterm()


class Companion(mode.Service):  # type: ignore[misc]  # mode is untyped
    """A service that starts before the application and stops after it."""

    def __init__(
        self, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]], **kwargs: Any
    ) -> None:
        self._start_it, self._stop_it = start, stop
        super().__init__(**kwargs)

    async def on_start(self) -> None:
        await self._start_it()

    async def on_stop(self) -> None:
        await self._stop_it()


def run_worker(app: ChunkApp, companion: Companion, *, on_signal: Callable[[], None]) -> None:
    """Run until SIGTERM or SIGINT; raises SystemExit. Logging stays as it is configured."""
    logging.getLogger(__name__).setLevel(logging.WARNING)  # Faust's services log under the names of these classes
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = ChunkWorker(
        app, companion, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False, loglevel="WARN"
    )
    worker.spinner = None
    worker.on_signal = on_signal
    worker.execute_from_commandline()


class KeptRecords(MemoryRecords):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka's records of a fetch, with the bytes they came from."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched


_STOCK_UNPACK: Final = fetcher.PartitionRecords._unpack_records


def install_raw_batches(topic: str) -> None:
    """Let aiokafka hand out whole record batches of this topic instead of records; for the whole process.

    Other topics are read as ever. Read with `getmany`, whose bound then counts batches.
    """

    def unpack(self: Any) -> Iterator[Any]:
        if self._tp.topic != topic:
            yield from _STOCK_UNPACK(self)
            return
        for batch, following in read_batches(self._records.fetched, self.next_fetch_offset, check_crc=self._check_crcs):
            self.next_fetch_offset = following
            if batch is not None:
                yield batch

    fetcher.MemoryRecords = KeptRecords
    fetcher.PartitionRecords._unpack_records = unpack


def build_app(
    offsets: Offsets,
    *,
    group: str,
    topic: str,
    bootstrap: str,
    instance_id: str,
    member_url: str,
    chunk_records: int,
    fetch_bytes: int,
    fetch_wait_ms: int,
    session_seconds: float,
    heartbeat_seconds: float,
    commit_seconds: float,
) -> ChunkApp:
    """A Faust application that reads one topic in chunks. `member_url` must differ between the group's members."""
    install_raw_batches(topic)
    app = ChunkApp(
        group,
        broker=";".join(f"kafka://{server}" for server in bootstrap.split(",")),
        store="memory://",
        web_enabled=False,
        canonical_url=member_url,
        consumer_group_instance_id=instance_id or None,
        ConsumerScheduler=chunk_scheduler(chunk_records),
        PartitionAssignor=EvenAssignor,
        table_standby_replicas=1,  # 0 without tables makes Faust take aiokafka's round robin, which is not sticky
        processing_guarantee="at_least_once",
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="none",  # a log that was trimmed under us is an error, not a new beginning
        consumer_max_fetch_size=fetch_bytes,
        broker_session_timeout=session_seconds,
        broker_heartbeat_interval=heartbeat_seconds,
        broker_commit_interval=commit_seconds,
        broker_commit_every=1 << 60,
        producer_request_timeout=session_seconds - 2,
        stream_wait_empty=False,  # offsets do not depend on acknowledgements
        stream_buffer_maxsize=4,  # chunks, over all partitions
    )
    app.offsets = offsets
    app.log_topic = topic
    app.fetch_wait_ms = fetch_wait_ms
    return app


def log_topic_of(app: ChunkApp) -> Any:
    """The topic as Faust wants it for an agent."""
    return app.topic(app.log_topic, schema=ChunkSchema(key_serializer="raw", value_serializer="raw"))


async def commit_twice(app: ChunkApp) -> None:
    """Commit what is committable now: if a commit is under way, the first call only waits for it."""
    for _ in range(2):
        await app.consumer.commit()


def client_tasks(app: ChunkApp) -> list["asyncio.Task[Any]"]:
    """aiokafka's background tasks, which can end without anybody noticing; empty before start and after stop."""
    try:
        client = app._consumer._thread._consumer  # not `app.consumer`, which would make one, here, in another thread
        tasks = [client._coordinator._coordination_task, client._fetcher._fetch_task]
    except AttributeError:
        return []
    return [task for task in tasks if task is not None]
