"""A steady stream into the event log with a few events that must raise a moment, and who waits for these moments."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.load import BALANCE, Pattern, UsagePattern, customer_ids, cut, keys_of
from benchmarks.local_broker import EVENTS, MOMENTS, Broker
from schemas.codec import decode
from services.transport.kafka_producer import KafkaProducer, OutRecord

_BEAT_SECONDS = 0.01
_TRIGGER_SHARE = 0.005
TRIGGERED_RULE = "AN4"


@dataclass
class Trigger:
    """A low balance on its way. Monotonic seconds; arrived: its moment is there."""

    sent: float
    acknowledged: float = 0.0
    arrived: float = 0.0

    @property
    def is_complete(self) -> bool:
        """True when the moment came."""
        return self.arrived > 0 and self.acknowledged > 0

    @property
    def milliseconds(self) -> float:
        """From the broker's acknowledgement to the arrival at a reader."""
        return max(0.0, self.arrived - self.acknowledged) * 1_000

    @property
    def milliseconds_since_sent(self) -> float:
        """The same, the way of the event to the broker included."""
        return (self.arrived - self.sent) * 1_000


@dataclass
class Feed:
    """now_ms: business time of the next events; may be moved on while it runs."""

    broker: Broker
    customers: int
    rate: int
    now_ms: int
    triggers: dict[int, Trigger] = field(default_factory=dict)
    sent: int = 0
    _numbers: Any = field(default_factory=lambda: count(1))
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Let it end."""
        self._stop.set()

    async def run(self) -> None:
        """Send until stopped, catching up when a beat was late."""
        producer = KafkaProducer(self.broker.bootstrap, client_id="bench-feed")
        await producer.open()
        usage, low = UsagePattern(), Pattern(BALANCE, {"balance_fen": 500})
        rng, began, event = np.random.default_rng(7), time.monotonic(), 500_000_000
        while not self._stop.is_set():
            due = min(self.rate, round((time.monotonic() - began) * self.rate) - self.sent)
            if due > 0:
                numbers = np.arange(event, event + due)
                at = np.full(due, self.now_ms) + np.arange(due) // 1_000
                ids = customer_ids(rng.integers(0, self.customers, due))
                values = usage.usage(ids, at, numbers, rng)
                batch = [OutRecord(key, value) for key, value in zip(keys_of(ids), values, strict=True)]
                few = np.array(
                    [next(self._numbers) % self.customers for _ in range(max(1, round(due * _TRIGGER_SHARE)))]
                )
                lows = cut(low.rows(customer_ids(few), at[: len(few)], numbers[: len(few)]))
                calls = [OutRecord(key, value) for key, value in zip(keys_of(customer_ids(few)), lows, strict=True)]
                await asyncio.gather(
                    producer.publish(EVENTS, batch), self._call(producer, customer_ids(few).tolist(), calls)
                )
                event, self.sent = event + due, self.sent + due
                self.now_ms += round(due / self.rate * 1_000)
            await asyncio.sleep(_BEAT_SECONDS)
        await producer.close()

    async def _call(self, producer: KafkaProducer, ids: list[int], records: list[OutRecord]) -> None:
        sent = time.monotonic()
        for customer in ids:
            self.triggers[customer] = Trigger(sent)
        await producer.publish(EVENTS, records)
        acknowledged = time.monotonic()
        for customer in ids:
            self.triggers[customer].acknowledged = acknowledged


async def watch_moments(broker: Broker, feed: Feed, stop: asyncio.Event) -> int:
    """Note the arrival of the moments of triggers until told to stop; returns how many moments came in all."""
    moments = 0
    async with AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=10
    ) as reader:
        partitions = [TopicPartition(MOMENTS, number) for number in range(broker.partitions)]
        reader.assign(partitions)
        await reader.seek_to_end(*partitions)
        while not stop.is_set():
            for records in (await reader.getmany(timeout_ms=100)).values():
                arrived = time.monotonic()
                moments += len(records)
                for record in records:
                    _note(feed, record.key, record.value, arrived)
    return moments


def _note(feed: Feed, key: bytes, value: bytes, arrived: float) -> None:
    trigger = feed.triggers.get(int(key))
    if trigger is None or trigger.arrived:
        return
    found = decode(value).record
    if found["rule_id"] == TRIGGERED_RULE and found["state"] == "RAISED":
        trigger.arrived = arrived


def between(triggers: Iterable[Trigger], begin: float, end: float) -> list[Trigger]:
    """The triggers that were sent in this time."""
    return [trigger for trigger in triggers if begin <= trigger.sent < end]
