"""The producer against a real broker: order, offsets, limits, deadlines, and life after a broker's death."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable

import pytest

from services.stack.kafka_server import KafkaServer
from services.transport.errors import RecordTooLarge, TransportUnavailable, UnknownTopic
from services.transport.kafka_producer import KafkaProducer, OutRecord
from services.transport.murmur2 import partition_of
from tests.doubles.framed import framed
from tests.integration.ingest_rig import EVENTS, Found, records_of

pytestmark = pytest.mark.integration


@pytest.fixture
async def producer(kafka: KafkaServer) -> AsyncIterator[KafkaProducer]:
    made = KafkaProducer(kafka.bootstrap, client_id="test", batch_bytes=20_000)
    await made.open()
    yield made
    await made.close()
    assert made.in_flight_bytes == 0


def numbered(count: int, prefix: str = "n") -> list[OutRecord]:
    return [OutRecord(b"%d" % number, f"{prefix}{number}".encode()) for number in range(count)]


async def values(kafka: KafkaServer, topic: str, partition: int, prefix: str) -> list[bytes]:
    found: list[Found] = await asyncio.to_thread(records_of, kafka.bootstrap, topic)
    return [
        record.value or b""
        for record in found
        if record.partition == partition and (record.value or b"").startswith(prefix.encode())
    ]


async def test_append_keeps_the_order_over_many_batches_and_tells_the_next_offset(
    producer: KafkaProducer, kafka: KafkaServer
) -> None:
    records = numbered(5_000, "order-")
    before = await producer.append(EVENTS, 1, [OutRecord(None, b"first")])

    after = await producer.append(EVENTS, 1, records)

    assert after == before + len(records)
    assert await values(kafka, EVENTS, 1, "order-") == [record.value for record in records]


async def test_calls_for_one_partition_keep_their_order(producer: KafkaProducer, kafka: KafkaServer) -> None:
    calls = [[OutRecord(b"k", b"call-%03d-%d" % (number, part)) for part in range(3)] for number in range(200)]

    offsets = await asyncio.gather(*(producer.append(EVENTS, 2, call) for call in calls))

    assert offsets == sorted(offsets)
    assert await values(kafka, EVENTS, 2, "call-") == [record.value for call in calls for record in call]


async def test_framed_records_keep_their_place_among_others(producer: KafkaProducer, kafka: KafkaServer) -> None:
    """They have batches of their own, and calls larger than one."""
    calls = [[OutRecord(b"k", b"mixed-%03d-%d" % (number, part) * 30, [("h", b"1")]) for part in range(number % 90 + 1)]
             for number in range(200)]  # fmt: skip

    offsets = await asyncio.gather(
        *(producer.append(EVENTS, 2, framed(call) if number % 3 else call) for number, call in enumerate(calls))
    )

    assert offsets == sorted(offsets)
    assert offsets[-1] - offsets[0] == sum(map(len, calls[1:]))
    assert await values(kafka, EVENTS, 2, "mixed-") == [record.value for call in calls for record in call]


async def test_framed_record_that_no_broker_takes_is_told(producer: KafkaProducer) -> None:
    await producer.append(EVENTS, 0, framed([OutRecord(b"k", os.urandom(990_000)), OutRecord(b"k", b"after")]))
    with pytest.raises(RecordTooLarge):
        await producer.append(EVENTS, 0, framed([OutRecord(b"k", b"x" * 1_100_000)]))


async def test_publish_goes_to_the_partition_of_the_key(producer: KafkaProducer, kafka: KafkaServer) -> None:
    await producer.publish(EVENTS, numbered(100, "key-"))

    for partition in range(4):
        for value in await values(kafka, EVENTS, partition, "key-"):
            assert partition_of(value.removeprefix(b"key-"), 4) == partition


async def test_headers_nulls_and_keys_arrive(producer: KafkaProducer, kafka: KafkaServer) -> None:
    offset = await producer.append(EVENTS, 3, [OutRecord(None, b"plain"), OutRecord(b"k", None, [("h", b"1")])])

    found = [record for record in await asyncio.to_thread(records_of, kafka.bootstrap, EVENTS) if record.partition == 3]
    last = {record.offset: record for record in found}
    assert (last[offset - 2].key, last[offset - 2].value) == (None, b"plain")
    assert (last[offset - 1].key, last[offset - 1].value, last[offset - 1].headers) == (b"k", None, {"h": b"1"})


async def test_record_larger_than_a_batch_goes_and_one_larger_than_the_brokers_take_is_told(
    producer: KafkaProducer,
) -> None:
    await producer.append(EVENTS, 0, [OutRecord(b"k", os.urandom(990_000)), OutRecord(b"k", b"after")])

    with pytest.raises(RecordTooLarge) as told:
        await producer.append(EVENTS, 0, [OutRecord(b"k", b"x" * 1_100_000)])
    assert told.value.size_bytes > told.value.limit_bytes
    assert await producer.append(EVENTS, 0, [OutRecord(b"k", b"goes on")]) > 0


async def test_unknown_partition_and_topic_are_told(producer: KafkaProducer) -> None:
    with pytest.raises(UnknownTopic):
        await producer.append(EVENTS, 99, numbered(1))
    with pytest.raises((UnknownTopic, TransportUnavailable)):
        await producer.publish("no.such.topic", numbered(1), deadline_seconds=1)
    assert await producer.append(EVENTS, 0, numbered(1)) > 0


async def test_empty_append_is_nothing(producer: KafkaProducer) -> None:
    assert await producer.append(EVENTS, 0, []) == -1


async def test_frozen_broker_is_unavailable_at_the_deadline_and_what_was_sent_counts_once(
    producer: KafkaProducer, kafka: KafkaServer
) -> None:
    await producer.append(EVENTS, 0, numbered(1, "warm-"))
    assert kafka.process is not None
    pid = kafka.process.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TransportUnavailable):
            await producer.append(EVENTS, 0, [OutRecord(b"k", b"frozen-1")], deadline_seconds=0.5)
        assert producer.in_flight_bytes > 0, "bytes whose fate is unknown still count"
    finally:
        os.kill(pid, signal.SIGCONT)

    await producer.append(EVENTS, 0, [OutRecord(b"k", b"frozen-2")], deadline_seconds=20)

    assert await values(kafka, EVENTS, 0, "frozen-") in ([b"frozen-1", b"frozen-2"], [b"frozen-2"])
    assert producer.in_flight_bytes == 0


async def test_bound_on_what_is_in_flight_makes_callers_wait(kafka: KafkaServer) -> None:
    producer = KafkaProducer(kafka.bootstrap, client_id="small", in_flight_bytes_max=10_000)
    await producer.open()
    most = 0

    async def append(number: int) -> None:
        nonlocal most
        await producer.append(EVENTS, number % 4, [OutRecord(b"k", b"x" * 4_000)])
        most = max(most, producer.in_flight_bytes)

    await asyncio.gather(*(append(number) for number in range(50)))
    assert most <= 10_000
    await producer.close()


async def test_killed_broker_that_comes_back_gets_everything_once_and_in_order(
    producer: KafkaProducer, kafka: KafkaServer
) -> None:
    stop = asyncio.Event()
    acknowledged: list[bytes] = []

    async def stream() -> None:
        number = 0
        while not stop.is_set():
            value = b"alive-%06d" % number
            await producer.append(EVENTS, 1, [OutRecord(b"k", value)], deadline_seconds=60)
            acknowledged.append(value)
            number += 1

    task = asyncio.create_task(stream())
    await until(lambda: len(acknowledged) >= 50)
    assert kafka.process is not None
    assert kafka.process.pid
    os.kill(kafka.process.pid, signal.SIGKILL)
    await asyncio.to_thread(_restart, kafka)
    reached = len(acknowledged)
    await until(lambda: len(acknowledged) >= reached + 50)
    stop.set()
    await task

    assert await values(kafka, EVENTS, 1, "alive-") == acknowledged


async def test_brokers_that_are_not_there_are_unavailable_at_the_deadline() -> None:
    producer = KafkaProducer("127.0.0.1:1", client_id="nobody")
    with pytest.raises(TransportUnavailable):
        await producer.open(deadline_seconds=0.5)


async def test_closed_producer_takes_nothing(kafka: KafkaServer) -> None:
    producer = KafkaProducer(kafka.bootstrap, client_id="closed")
    await producer.open()
    await producer.close()
    with pytest.raises(TransportUnavailable):
        await producer.append(EVENTS, 0, numbered(1))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the condition is a count, which has no event
            await asyncio.sleep(0.01)


def _restart(kafka: KafkaServer) -> None:
    kafka.stop()
    kafka.start()
    kafka.wait_until_ready()
