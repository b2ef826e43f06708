"""The use case of every door: raw events in, one result per event out, acknowledged by the brokers before the answer.

Pure part: `prepare` validates, encodes and groups. Effect: `EventPublisher.publish`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from schemas.codec import encode
from schemas.json_form.faults import Rejection, rejected
from schemas.json_form.validation import VALIDATORS, DoorRules
from schemas.reasons import Reason
from services.clock import Clock
from services.ingest import metrics
from services.ingest.errors import BrokersUnavailable
from services.transport.errors import TransportUnavailable
from services.transport.kafka_producer import OutRecord
from services.transport.murmur2 import partitions_of


class RawEvent(NamedTuple):
    """An event as a door read it: a kind, and a mapping or what the door found wrong with it already."""

    kind: str
    raw: Any


class Producer(Protocol):
    """What publishing needs of the transport."""

    async def partition_count(self, topic: str, *, deadline_seconds: float | None = None) -> int: ...

    async def append_groups(
        self, topic: str, groups: dict[int, list[OutRecord]], *, deadline_seconds: float | None = None
    ) -> None: ...


@dataclass(eq=False)
class Prepared:
    """A batch ready to go. results: per event, in order, None (will be accepted) or why not. records: by topic."""

    results: list[Rejection | None] = field(default_factory=list)
    records: dict[str, list[OutRecord]] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    duplicates: int = 0

    @property
    def rejected_count(self) -> int:
        """How many events are refused."""
        return sum(result is not None for result in self.results)


_DUPLICATE = rejected(
    Reason.DUPLICATE_IN_BATCH, "want one event for each source and event_id; the first of the request was taken"
)


def prepare(events: Iterable[RawEvent], *, now_ms: int, rules: DoorRules) -> Prepared:
    """Validate and encode a batch; the order of the events stays, also within each partition.

    The same (source, event_id) again in the batch: with the same contents it is accepted and published once, with
    others it is refused.
    """
    batch = Prepared()
    seen: dict[tuple[str, str], bytes] = {}
    for kind, raw in events:
        outcome = _prepare_one(batch, seen, kind, raw, now_ms, rules)
        batch.results.append(outcome)
        counts = batch.counts.get(kind)
        if counts is None:
            counts = batch.counts[kind] = [0, 0]
        counts[outcome is not None] += 1
    return batch


def _prepare_one(
    batch: Prepared, seen: dict[tuple[str, str], bytes], kind: str, raw: Any, now_ms: int, rules: DoorRules
) -> Rejection | None:
    if isinstance(raw, Rejection):
        return raw
    validator = VALIDATORS[kind]
    record = validator.validate(raw, now_ms=now_ms, rules=rules)
    if isinstance(record, Rejection):
        return record
    value = encode(validator.kind.record, record)
    identity = (record["source"], record["event_id"])
    earlier = seen.setdefault(identity, value)
    if earlier is not value:
        if earlier != value:
            return _DUPLICATE
        batch.duplicates += 1
        return None
    key = b"%d" % record["customer_id"]
    records = batch.records.get(validator.kind.topic)
    if records is None:
        records = batch.records[validator.kind.topic] = []
    records.append(OutRecord(key, value))
    return None


class EventPublisher:
    """Publishes prepared batches and counts what became of them."""

    def __init__(self, producer: Producer, *, clock: Clock) -> None:
        self._producer = producer
        self._clock = clock

    def prepare(self, events: Iterable[RawEvent], *, rules: DoorRules) -> Prepared:
        """Prepare a batch at the present business time."""
        return prepare(events, now_ms=self._clock.now_ms(), rules=rules)

    async def publish(self, batch: Prepared, *, door: str, deadline_seconds: float) -> None:
        """Append all records of the batch; returns when the brokers have acknowledged them.

        Raises BrokersUnavailable when they do not within the deadline; part of the batch may have arrived.
        """
        try:
            for topic, records in batch.records.items():
                groups = await self._by_partition(topic, records, deadline_seconds)
                await self._producer.append_groups(topic, groups, deadline_seconds=deadline_seconds)
        except TransportUnavailable as exc:
            raise BrokersUnavailable(str(exc)) from exc
        count_batch(batch, door)

    async def _by_partition(
        self, topic: str, records: list[OutRecord], deadline_seconds: float
    ) -> dict[int, list[OutRecord]]:
        partitions = await self._producer.partition_count(topic, deadline_seconds=deadline_seconds)
        numbers = partitions_of([record.key or b"" for record in records], partitions)
        groups: dict[int, list[OutRecord]] = {}
        for number, record in zip(numbers, records, strict=True):
            group = groups.get(number)
            if group is None:
                group = groups[number] = []
            group.append(record)
        return groups


def count_batch(batch: Prepared, door: str) -> None:
    """Count the outcomes of a batch that was published."""
    for kind, (accepted, refused) in batch.counts.items():
        metrics.count_outcomes(door, kind, accepted=accepted, rejected=refused)
    if batch.duplicates:
        metrics.DUPLICATES.labels(door).inc(batch.duplicates)
    for result in batch.results:
        if result is not None:
            for fault in result.faults:
                metrics.FAULTS.labels(door, fault.reason.value).inc()
