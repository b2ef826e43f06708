"""Publishes the outbox to kairos.task-events.v1: in the order of a customer's transitions, at least once.

A row is deleted after the brokers acknowledged it; a crash in between repeats it, which readers recognise by event id
and sequence. Rows of one customer are committed in the order of their ids: the transitions of a task are made under
its row lock and a customer's next card is stored after the last one ended.
"""

import asyncio
import contextlib
import logging
import time
from typing import Final, Protocol

from services.transport.errors import TransportUnavailable
from services.transport.kafka_producer import OutRecord
from services.workbench_api import metrics
from services.workbench_api.database import Database, News
from services.workbench_api.dependency import Dependency

log = logging.getLogger(__name__)

TOPIC: Final = "kairos.task-events.v1"
BATCH: Final = 500
_LOOK_SECONDS: Final = 0.25  # what other instances wrote is found within this
_PROBE_SECONDS: Final = 3.0  # with nothing to publish Kafka is asked this often whether it is there
_RETRY_SECONDS_FIRST: Final = 0.2
_RETRY_SECONDS_LAST: Final = 2.0


class Producer(Protocol):
    """The part of the Kafka producer that the outbox needs."""

    async def publish(self, topic: str, records: list[OutRecord]) -> None: ...

    async def is_reachable(self) -> bool: ...


class OutboxPublisher:
    """`run()` publishes for ever; one instance runs it, two do no harm."""

    def __init__(self, database: Database, producer: Producer, kafka: Dependency) -> None:
        self._database = database
        self._producer = producer
        self._kafka = kafka
        self._news = asyncio.Event()
        self._probe_at = 0.0  # monotonic

    def hear(self, news: News) -> None:
        """Look at once when something was written."""
        if news.outbox:
            self._news.set()

    async def run(self) -> None:
        """Publish what there is, then wait for more; broker trouble is retried with back-off."""
        pause = _RETRY_SECONDS_FIRST
        while True:
            self._news.clear()
            try:
                published = await self.publish_some()
            except TransportUnavailable as exc:
                metrics.PUBLISH_FAILURES.inc()
                self._kafka.lost()
                log.warning("workbench.outbox.delayed", extra={"reason": str(exc)})
                await asyncio.sleep(pause)
                pause = min(pause * 2, _RETRY_SECONDS_LAST)
                continue
            await self._note_whether_kafka_answers(published)
            pause = _RETRY_SECONDS_FIRST
            if published < BATCH:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._news.wait()

    async def _note_whether_kafka_answers(self, published: int) -> None:
        """What was published is an answer; an empty outbox says nothing, so Kafka is asked now and then."""
        if published:
            self._kafka.answered()
        elif time.monotonic() < self._probe_at:
            return
        elif await self._producer.is_reachable():
            self._kafka.answered()
        else:
            self._kafka.lost()
        self._probe_at = time.monotonic() + _PROBE_SECONDS

    async def publish_some(self) -> int:
        """Publish the oldest rows and delete them; returns how many. Raises TransportUnavailable, StoreUnavailable."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT id, event_id, customer_id, real_at_ms, body FROM outbox ORDER BY id LIMIT %s", [BATCH]
            )
            rows = await cursor.fetchall()
        if not rows:
            return 0
        await self._producer.publish(TOPIC, [_record(str(row[1]), row[2], row[3], bytes(row[4])) for row in rows])
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM outbox WHERE id = ANY(%s)", [[row[0] for row in rows]])
        metrics.PUBLISHED.inc(len(rows))
        return len(rows)

    async def drain(self, seconds: float) -> None:
        """Publish what is left, as far as the time goes; the rest waits for the next start."""
        with contextlib.suppress(TimeoutError, TransportUnavailable):
            async with asyncio.timeout(seconds):
                while await self.publish_some():
                    pass


def _record(event_id: str, customer_id: int, real_ms: int, body: bytes) -> OutRecord:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(real_ms / 1000)) + f".{real_ms % 1000:03d}Z"
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", b"/kairos/workbench"),
        ("ce_type", b"kairos.tasks.v1.TaskEvent"),
        ("ce_time", moment.encode()),
    ]
    return OutRecord(str(customer_id).encode(), body, headers)
