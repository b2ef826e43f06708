"""Follows two topics from their beginning, without a group: rule sets into memory, customers into the database."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import Undecodable, decode
from services.workbench_api import metrics
from services.workbench_api.database import Connection, Database, News
from services.workbench_api.sentences import Sentence, Sentences

log = logging.getLogger(__name__)

RULES: Final = "kairos.rules.v1"
RULE_SET: Final = "kairos.rules.v1.RuleSet"
CUSTOMERS: Final = "kairos.customers.v1"
_BATCH: Final = 2_000
_FETCH_MS: Final = 1_000
_START_SECONDS: Final = 10.0
_PAUSE_SECONDS_LAST: Final = 5.0


class TopicUnknown(Exception):
    """The topic is not there (yet): asked for again after a pause."""


async def follow_rules(bootstrap: str, sentences: Sentences) -> None:
    """Take the sentences of every rule set for ever; a version that cannot be read is left out and counted."""

    async def take(records: Mapping[TopicPartition, Sequence[Any]]) -> None:
        for batch in records.values():
            for record in batch:
                _take_rule_set(record.value, sentences)

    await _follow(bootstrap, RULES, take, next_offsets=None)


class CustomerFollower:
    """Copies the customer view into the table `customers`, with the next offsets in the same transaction."""

    def __init__(self, database: Database, bootstrap: str) -> None:
        self._database = database
        self._bootstrap = bootstrap

    async def run(self) -> None:
        """Follow for ever, from where the database says."""
        await _follow(self._bootstrap, CUSTOMERS, self._take, next_offsets=self._next_offsets)

    async def _next_offsets(self) -> dict[int, int]:
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT partition, next_offset FROM offsets WHERE topic = %s", [CUSTOMERS]
            )
            return {row[0]: row[1] for row in await cursor.fetchall()}

    async def _take(self, records: Mapping[TopicPartition, Sequence[Any]]) -> None:
        newest, forgotten = newest_of([record for batch in records.values() for record in batch])
        ends = [(CUSTOMERS, tp.partition, batch[-1].offset + 1) for tp, batch in records.items() if batch]

        async def work(connection: Connection, _: News) -> None:
            async with connection.cursor() as cursor:
                await cursor.executemany(
                    "INSERT INTO customers (customer_id, log_offset, body) VALUES (%s, %s, %s)"
                    " ON CONFLICT (customer_id) DO UPDATE SET log_offset = excluded.log_offset, body = excluded.body"
                    " WHERE customers.log_offset < excluded.log_offset",
                    [(customer_id, offset, body) for customer_id, (offset, body) in sorted(newest.items())],
                )
                await cursor.executemany(
                    "INSERT INTO offsets (topic, partition, next_offset) VALUES (%s, %s, %s)"
                    " ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
                    ends,
                )
            await connection.execute("DELETE FROM customers WHERE customer_id = ANY(%s)", [sorted(forgotten)])

        await self._database.transact(work)
        metrics.CUSTOMERS.labels(outcome="stored").inc(len(newest))


def newest_of(records: Sequence[Any]) -> tuple[dict[int, tuple[int, bytes]], set[int]]:
    """Of each customer the record with the highest log offset; and who is to be forgotten (no value)."""
    newest: dict[int, tuple[int, bytes]] = {}
    forgotten: set[int] = set()
    for record in records:
        customer_id, offset = _identity(record)
        if customer_id is None:
            metrics.CUSTOMERS.labels(outcome="unreadable").inc()
        elif record.value is None:
            newest.pop(customer_id, None)
            forgotten.add(customer_id)
        elif customer_id not in newest or newest[customer_id][0] < offset:
            newest[customer_id] = (offset, bytes(record.value))
            forgotten.discard(customer_id)
    return newest, forgotten


def _identity(record: Any) -> tuple[int | None, int]:
    headers = dict(record.headers or ())
    with contextlib.suppress(ValueError, TypeError):
        return int(record.key), int(headers.get("log_offset", record.offset))
    return None, 0


def _take_rule_set(value: bytes | None, sentences: Sentences) -> None:
    try:
        record: Mapping[str, Any] = decode(value or b"", allowed=[RULE_SET]).record
    except Undecodable as exc:
        log.warning("workbench.rules.unreadable", extra={"reason": str(exc)})
        return
    found = {
        (message["key"], message["language"]): Sentence(message["title"], message["why_now"], message["what_to_say"])
        for message in record["messages"]
    }
    sentences.add(f"{record['rule_set']}@{record['version']}", found)
    metrics.RULE_SETS.set(sentences.count)


async def _follow(bootstrap: str, topic: str, take: Any, *, next_offsets: Any) -> None:
    """Read all partitions of a topic for ever, reconnecting with back-off; a batch is taken before the next is read."""
    pause = 0.2
    while True:
        consumer = AIOKafkaConsumer(
            topic,  # without a group this assigns all its partitions
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=500,
            client_id=f"kairos-workbench-{topic}",
        )
        try:
            await _start(consumer)
            if not consumer.assignment():
                raise TopicUnknown(topic)
            for number, offset in (await next_offsets() if next_offsets is not None else {}).items():
                if TopicPartition(topic, number) in consumer.assignment():
                    consumer.seek(TopicPartition(topic, number), offset)
            while True:
                records = await consumer.getmany(timeout_ms=_FETCH_MS, max_records=_BATCH)
                if records:
                    await take(records)
                    pause = 0.2
        except (KafkaError, TopicUnknown, OSError, TimeoutError) as exc:
            log.warning("workbench.follow.interrupted", extra={"topic": topic, "reason": repr(exc)})
        finally:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(2.0):
                    await consumer.stop()
        await asyncio.sleep(pause)
        pause = min(pause * 2, _PAUSE_SECONDS_LAST)


async def _start(consumer: Any) -> None:
    """Connect within a bound. Never broken off half way: the client would leave its first connection open."""
    starting = asyncio.ensure_future(consumer.start())
    try:
        async with asyncio.timeout(_START_SECONDS):
            await asyncio.shield(starting)
    finally:
        if not starting.done():
            await asyncio.wait([starting], timeout=_START_SECONDS)
