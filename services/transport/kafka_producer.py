"""The one way records get to Kafka: acks=all, idempotent, in batches, acknowledged before the caller goes on.

Callers hand over record lists; what several callers hand over for one partition while a batch is on its way travels
together in the next one, so small requests stay cheap without waiting. Within a call the order is kept. A call that
misses its deadline promises nothing: its records may still arrive, so effects must be idempotent.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from services.transport.errors import TransportUnavailable, UnknownTopic
from services.transport.kafka_frames import FramedBatch, FramedRecords
from services.transport.kafka_lanes import RECORD_BYTES_MAX, Call, Lane, Slice, checked_size
from services.transport.kafka_lanes import OutRecord as OutRecord
from services.transport.murmur2 import partitions_of

_RETRY_SECONDS_FIRST: Final = 0.1
_RETRY_SECONDS_LAST: Final = 2.0
_BATCHES_PER_PARTITION: Final = 2  # one on its way, one behind it


class KafkaProducer:
    """An idempotent producer, bounded in what is in flight. `open()` connects; `close()` finishes what was appended."""

    def __init__(
        self,
        bootstrap: str,
        *,
        client_id: str,
        compression: str | None = "lz4",
        batch_bytes: int = 512 * 1024,
        in_flight_bytes_max: int = 64 * 1024 * 1024,
        deadline_seconds: float = 10.0,
    ) -> None:
        assert batch_bytes <= RECORD_BYTES_MAX
        self._plan = _ClientPlan(bootstrap, client_id=client_id, compression=compression, batch_bytes=batch_bytes)
        self._batch_bytes = batch_bytes
        self._in_flight_bytes_max = in_flight_bytes_max
        self._deadline_seconds = deadline_seconds
        self._client: AIOKafkaProducer | None = None
        self._is_broken = False
        self._is_closed = False
        self._renewing = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._partitions: dict[str, int] = {}
        self._in_flight_bytes = 0
        self._room = asyncio.Event()
        self._deliveries: dict[asyncio.Future[Any], AIOKafkaProducer] = {}

    @property
    def in_flight_bytes(self) -> int:
        """Bytes handed over whose fate is not known yet, also those of callers that gave up."""
        return self._in_flight_bytes

    async def open(self, *, deadline_seconds: float = 30.0) -> None:
        """Connect, with retries until the deadline; then raises TransportUnavailable."""
        assert self._client is None, "open twice"
        self._client = await _connected_client(self._plan, deadline_seconds)

    async def close(self, *, deadline_seconds: float = 8.0) -> None:
        """Wait for what was appended, then disconnect; gives up on it at the deadline."""
        self._is_closed = True
        pumps = [lane.pump for lane in self._lanes.values() if lane.pump is not None]
        started = time.monotonic()
        if pumps:
            await asyncio.wait(pumps, timeout=deadline_seconds)
        left = max(0.5, deadline_seconds - (time.monotonic() - started))
        for pump in pumps:
            pump.cancel()
        if self._client is not None:
            await self._retire(self._client, left)
            self._client = None
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=1.0)

    async def append(
        self,
        topic: str,
        partition: int,
        records: Sequence[OutRecord] | FramedRecords,
        *,
        deadline_seconds: float | None = None,
    ) -> int:
        """Append the records in their order and return the offset after the last one, once all are acknowledged.

        Raises TransportUnavailable when the brokers do not acknowledge in time, RecordTooLarge, UnknownTopic.
        Calls for one partition are sent in the order in which they were made. An empty list returns -1.
        """
        if not records:
            return -1
        size = checked_size(topic, records)
        deadline = self._deadline_seconds if deadline_seconds is None else deadline_seconds
        call = Call(records, asyncio.get_running_loop().create_future(), size)
        try:
            async with asyncio.timeout(deadline):
                await self._reserve(size)
                self._enqueue(topic, partition, call)
                return await call.future
        except TimeoutError:
            raise TransportUnavailable("kafka", f"not acknowledged within {deadline:g} s") from None
        finally:
            if not call.future.done() or call.future.cancelled():
                call.is_abandoned = True

    async def publish(self, topic: str, records: Sequence[OutRecord], *, deadline_seconds: float | None = None) -> None:
        """Append every record to the partition of its key (murmur2); returns when all are acknowledged.

        A record without a key goes to partition 0. Raises as `append`; part of the records may then have arrived.
        """
        deadline = self._deadline_seconds if deadline_seconds is None else deadline_seconds
        partitions = await self.partition_count(topic, deadline_seconds=deadline)
        groups: dict[int, list[OutRecord]] = {}
        numbers = partitions_of([record.key or b"" for record in records], partitions)
        for record, number in zip(records, numbers, strict=True):
            groups.setdefault(0 if record.key is None else number, []).append(record)
        await self.append_groups(topic, groups, deadline_seconds=deadline)

    async def append_groups(
        self, topic: str, groups: dict[int, list[OutRecord]], *, deadline_seconds: float | None = None
    ) -> None:
        """Append records to several partitions at once; returns when all are acknowledged, raises the first failure."""
        tasks = [
            asyncio.ensure_future(self.append(topic, number, records, deadline_seconds=deadline_seconds))
            for number, records in groups.items()
        ]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def partition_count(self, topic: str, *, deadline_seconds: float | None = None) -> int:
        """How many partitions the topic has, asked once. Raises UnknownTopic or TransportUnavailable."""
        known = self._partitions.get(topic)
        if known is not None:
            return known
        client = await self._ready_client()
        try:
            async with asyncio.timeout(self._deadline_seconds if deadline_seconds is None else deadline_seconds):
                partitions = await client.partitions_for(topic)
        except UnknownTopicOrPartitionError as exc:
            raise UnknownTopic(topic) from exc
        except (KafkaError, OSError, TimeoutError) as exc:
            raise TransportUnavailable("kafka", f"no metadata of {topic}: {type(exc).__name__}") from exc
        self._partitions[topic] = len(partitions)
        return self._partitions[topic]

    async def is_reachable(self, *, deadline_seconds: float = 2.0) -> bool:
        """True when a broker answers a question about the cluster within the deadline."""
        if self._client is None:
            return False
        try:
            async with asyncio.timeout(deadline_seconds):
                return bool(await self._client.client.force_metadata_update())
        except (KafkaError, OSError, TimeoutError):
            return False

    def _enqueue(self, topic: str, partition: int, call: Call) -> None:
        if self._is_closed or self._client is None:
            self._release(call.bytes_left)
            raise TransportUnavailable("kafka", "the producer is closed")
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[(topic, partition)] = Lane(topic, partition)
        lane.waiting.append(call)
        if lane.pump is None or lane.pump.done():
            lane.pump = asyncio.ensure_future(self._send_waiting(lane))

    async def _reserve(self, size: int) -> None:
        """Wait for room; a call larger than the whole bound goes alone."""
        while self._in_flight_bytes and self._in_flight_bytes + size > self._in_flight_bytes_max:
            self._room.clear()
            await self._room.wait()
        self._in_flight_bytes += size

    def _release(self, size: int) -> None:
        self._in_flight_bytes -= size
        self._room.set()

    async def _send_waiting(self, lane: Lane) -> None:
        while lane.waiting:
            while lane.batches_open >= _BATCHES_PER_PARTITION:
                lane.may_send.clear()
                await lane.may_send.wait()
            slices: list[Slice] = []
            try:
                client = await self._ready_client()
                batch, slices = self._filled(client, lane)
                if not slices:
                    continue
                batch.close()
                lane.batches_open += 1
                delivery = await client.send_batch(batch, lane.topic, partition=lane.partition)
            except (KafkaError, OSError, AssertionError, TransportUnavailable) as exc:
                self._settle_unsent(lane, slices, exc)
                continue
            self._deliveries[delivery] = client
            delivery.add_done_callback(
                lambda done, lane=lane, slices=slices, client=client: self._settle(lane, slices, client, done)
            )

    def _filled(self, client: AIOKafkaProducer, lane: Lane) -> tuple[Any, list[Slice]]:
        """A batch of waiting records, until it is full; calls whose waiter left are dropped. Framed records and others
        have batches of their own."""
        batch: Any = None
        slices: list[Slice] = []
        count = 0
        while lane.waiting:
            call = lane.waiting[0]
            if call.is_abandoned or call.future.done():
                lane.waiting.popleft()
                self._release(call.bytes_left)
                continue
            if batch is None:
                batch = self._batch_for(client, call)
            elif isinstance(batch, FramedBatch) is not isinstance(call.records, FramedRecords):
                break
            before, call.next_index = call.next_index, _put(batch, call)
            count += call.next_index - before
            is_last = call.next_index == len(call.records)
            if call.next_index > before:
                size = call.bytes_left if is_last else min(call.bytes_left, self._batch_bytes)
                call.bytes_left -= size
                slices.append(Slice(call, size, count, is_last))
            if not is_last:
                break
            lane.waiting.popleft()
        return batch, slices

    def _batch_for(self, client: AIOKafkaProducer, call: Call) -> Any:
        if isinstance(call.records, FramedRecords):
            return FramedBatch(self._batch_bytes, self._plan.compression)
        return client.create_batch()

    def _settle(
        self, lane: Lane, slices: list[Slice], client: AIOKafkaProducer, delivery: "asyncio.Future[Any]"
    ) -> None:
        """Tell the callers what became of a batch that the client had taken."""
        self._deliveries.pop(delivery, None)
        self._batch_is_done(lane)
        failure = _failure_of(delivery)
        if failure is not None:
            # Sequence numbers were used up, so the client can never send to this partition again: a new one must.
            self._is_broken = self._is_broken or client is self._client
            self._fail(slices, failure, lane)
            return
        base_offset = delivery.result().offset
        for part in slices:
            self._release(part.size_bytes)
            if part.is_last and not part.call.future.done():
                part.call.future.set_result(base_offset + part.end_in_batch if base_offset >= 0 else -1)

    def _settle_unsent(self, lane: Lane, slices: list[Slice], exc: BaseException) -> None:
        """The client did not take the batch; with nothing taken from the lane, fail its first call to make progress."""
        if slices:
            self._batch_is_done(lane)
            self._fail(slices, exc, lane)
        elif lane.waiting:
            call = lane.waiting.popleft()
            self._release(call.bytes_left)
            if not call.future.done():
                call.future.set_exception(_own_error(exc, lane))

    def _batch_is_done(self, lane: Lane) -> None:
        lane.batches_open -= 1
        lane.may_send.set()

    def _fail(self, slices: list[Slice], exc: BaseException, lane: Lane) -> None:
        for part in slices:
            self._release(part.size_bytes)
            if not part.call.future.done():
                part.call.future.set_exception(_own_error(exc, lane))

    async def _ready_client(self) -> AIOKafkaProducer:
        """The client, replaced first when its idempotence was broken by a failed batch."""
        if self._client is None:
            raise TransportUnavailable("kafka", "the producer is not open")
        if not self._is_broken:
            return self._client
        async with self._renewing:
            if self._is_broken:
                old, self._client = self._client, await _connected_client(self._plan, self._deadline_seconds)
                self._is_broken = False
                task = asyncio.ensure_future(self._retire(old, 5.0))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)
        return self._client

    async def _retire(self, client: AIOKafkaProducer, deadline_seconds: float) -> None:
        """Stop a client; who still waits for it, not for its successor, then learns that nothing is promised."""
        await _stop_client(client, deadline_seconds)
        for delivery in [each for each, sender in self._deliveries.items() if sender is client]:
            delivery.cancel()


def _put(batch: Any, call: Call) -> int:
    """Put records of a call into a batch that is for their kind, as many as fit; return the index of the next."""
    records, index = call.records, call.next_index
    if isinstance(records, FramedRecords):
        taken: int = batch.put(records, index)
        return taken
    now_ms, append = time.time_ns() // 1_000_000, batch.append
    while index < len(records):
        key, value, headers = records[index]
        told = headers if type(headers) is list else list(headers)  # the client takes nothing else
        if append(timestamp=now_ms, key=key, value=value, headers=told) is None:
            break
        index += 1
    return index


def _failure_of(delivery: "asyncio.Future[Any]") -> BaseException | None:
    if delivery.cancelled():
        return TransportUnavailable("kafka", "the producer was stopped")
    return delivery.exception()


def _own_error(exc: BaseException, lane: Lane) -> Exception:
    """Map what the client raises to one of ours."""
    if isinstance(exc, TransportUnavailable):
        return exc
    if isinstance(exc, AssertionError):  # the client asserts that the partition exists
        return UnknownTopic(lane.topic, lane.partition)
    if isinstance(exc, UnknownTopicOrPartitionError):
        return UnknownTopic(lane.topic)
    own = TransportUnavailable("kafka", f"{lane.topic}: {type(exc).__name__}")
    own.__cause__ = exc
    return own


@dataclass(frozen=True)
class _ClientPlan:
    """How to set up a client."""

    bootstrap: str
    client_id: str
    compression: str | None
    batch_bytes: int


async def _connected_client(plan: _ClientPlan, deadline_seconds: float) -> AIOKafkaProducer:
    """Return a started client; retries until the deadline, then raises TransportUnavailable."""
    pause = _RETRY_SECONDS_FIRST
    last = "no answer"
    ends = time.monotonic() + deadline_seconds
    while time.monotonic() < ends:
        client = _new_client(plan)
        try:
            async with asyncio.timeout(max(0.1, ends - time.monotonic())):
                await client.start()
        except (KafkaError, OSError, TimeoutError) as exc:
            last = type(exc).__name__
            await _stop_client(client, 1.0)
        except BaseException:
            await _stop_client(client, 1.0)
            raise
        else:
            return client
        await asyncio.sleep(min(pause, max(0.0, ends - time.monotonic())) * random.uniform(0.5, 1.0))  # noqa: S311
        pause = min(pause * 2, _RETRY_SECONDS_LAST)
    raise TransportUnavailable("kafka", f"{plan.bootstrap} cannot be reached within {deadline_seconds:g} s: {last}")


async def _stop_client(client: AIOKafkaProducer, deadline_seconds: float) -> None:
    """Stop a client, also one that can no longer flush."""
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(deadline_seconds):
            await client.stop()


def _new_client(plan: _ClientPlan) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=plan.bootstrap,
        client_id=plan.client_id,
        acks="all",
        enable_idempotence=True,
        compression_type=plan.compression,
        max_batch_size=plan.batch_bytes,
        max_request_size=RECORD_BYTES_MAX * 2,
        linger_ms=0,
        request_timeout_ms=10_000,
        retry_backoff_ms=100,
        metadata_max_age_ms=60_000,
    )
