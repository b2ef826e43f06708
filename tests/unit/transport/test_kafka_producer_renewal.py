"""How the producer replaces a client whose idempotence was broken, against clients of values."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from services.transport import kafka_producer
from services.transport.errors import TransportUnavailable
from services.transport.kafka_producer import KafkaProducer, OutRecord


class Batch:
    """Takes everything."""

    def append(self, **_: Any) -> object:
        return self

    def close(self) -> None:
        pass


class Client:
    """Keeps the deliveries for the test to settle; `stop` says that it was called."""

    def __init__(self) -> None:
        self.deliveries: list[asyncio.Future[Any]] = []
        self.sent = asyncio.Event()
        self.stopped = asyncio.Event()

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, _: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        del topic, partition
        self.deliveries.append(asyncio.get_running_loop().create_future())
        self.sent.set()
        return self.deliveries[-1]

    async def stop(self) -> None:
        self.stopped.set()


async def test_what_the_new_client_sends_outlives_the_end_of_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to the caller as lost, it would be sent again, and the new client would count as broken in its turn."""
    clients = [Client(), Client(), Client()]
    waiting = iter(clients)

    async def connected(*_: object) -> Client:
        return next(waiting)

    monkeypatch.setattr(kafka_producer, "_connected_client", connected)
    producer = KafkaProducer("nowhere:1", client_id="test", deadline_seconds=5.0)
    await producer.open()
    first = asyncio.ensure_future(producer.append("t", 0, [OutRecord(b"k", b"1")]))
    await clients[0].sent.wait()
    clients[0].deliveries[0].set_exception(KafkaTimeoutError())
    with pytest.raises(TransportUnavailable):
        await first

    second = asyncio.ensure_future(producer.append("t", 0, [OutRecord(b"k", b"2")]))
    await clients[1].sent.wait()
    await clients[0].stopped.wait()
    await asyncio.sleep(0)
    assert not clients[1].deliveries[0].cancelled()
    clients[1].deliveries[0].set_result(SimpleNamespace(offset=7))

    assert await second == 8
    await producer.close(deadline_seconds=1.0)
    assert clients[1].stopped.is_set(), "the second client was good to the end"
