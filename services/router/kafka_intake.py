"""The router's Kafka: one consumer of a group, positioned by PostgreSQL, and the producer of dead letters.

Owns assignment, seeking, lag and the mapping of Kafka's errors. What records mean is `decode.py`'s; what they change is
the store's. Offsets are also committed to the group now and then, for lag tools only.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from services.router.decode import ALL_TOPICS, MOMENTS_BULK
from services.router.errors import LogTooShort
from services.router.store.intake import Position
from services.transport.errors import TransportUnavailable

log = logging.getLogger(__name__)

FETCH_WAIT_MS: Final = 100  # a fetch returns with the first byte; this only bounds how late a resumed partition is seen
SESSION_MS: Final = 10_000
HEARTBEAT_MS: Final = 3_000
REQUEST_MS: Final = 15_000
BOOTSTRAP_MS: Final = 10_000
METADATA_MS: Final = 3_000  # a member that joined before it knew the topics gets nothing until the next look at them
LAG_MS: Final = 2_000
CLOSE_MS: Final = 2_000
DEAD_LETTER_SECONDS: Final = 10.0
RECLAIM_SECONDS: Final = 3.0  # a partition that another instance took without a rebalance is asked for again after this

Key = tuple[str, int]
Claim = Callable[[Iterable[Key]], dict[Key, Position]]


class KafkaIntake:
    """One member of the group. claim(): takes partitions over in PostgreSQL. Used by one thread.

    The rebalance callback runs on the client's own thread: it claims and seeks there, before anything is fetched.
    """

    def __init__(self, bootstrap: str, *, group: str, instance: str, claim: Claim) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._instance = instance
        self._claim = claim
        self._consumer: Any = None
        self._positions: dict[Key, Position] = {}
        self._lost: dict[Key, float] = {}
        self._lock = threading.Lock()
        self._bulk_paused: bool | None = None

    def open(self) -> None:
        """Connect and join. Raises TransportUnavailable."""
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=self._bootstrap,
                client_id=self._instance,
                group_id=self._group,
                group_instance_id=self._instance,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                fetch_max_wait_ms=FETCH_WAIT_MS,
                max_partition_fetch_bytes=4 * 1024 * 1024,
                session_timeout_ms=SESSION_MS,
                heartbeat_interval_ms=HEARTBEAT_MS,
                request_timeout_ms=REQUEST_MS,
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                reconnect_backoff_max_ms=1_000,
                metadata_max_age_ms=METADATA_MS,
            )
        except KafkaError as exc:
            raise TransportUnavailable("kafka", repr(exc)) from exc
        self._consumer.subscribe(list(ALL_TOPICS), listener=_Rebalance(self))

    def close(self) -> None:
        """Leave; never raises for a broker that is away."""
        if self._consumer is None:
            return
        try:
            self._consumer.close(autocommit=False, timeout_ms=CLOSE_MS)
        except KafkaError:
            log.warning("router.kafka.close_failed")
        self._consumer = None

    @property
    def positions(self) -> dict[Key, Position]:
        """Where each owned partition stands."""
        with self._lock:
            return dict(self._positions)

    def poll(self, timeout_ms: int, max_records: int) -> dict[Key, list[Any]]:
        """Records at or beyond the stored positions, in order; returns with the first ones that come."""
        self._reclaim()
        try:
            polled: Mapping[Any, list[Any]] = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        except KafkaError as exc:
            raise TransportUnavailable("kafka", repr(exc)) from exc
        found: dict[Key, list[Any]] = {}
        positions = self.positions
        for tp, records in polled.items():
            key = (tp.topic, tp.partition)
            if key in positions:
                fresh = [record for record in records if record.offset >= positions[key].next_offset]
                if fresh:
                    found[key] = fresh
        return found

    def hold_bulk(self, hold: bool) -> None:
        """Leave the bulk topic alone while urgent moments come, or read it again."""
        if hold == self._bulk_paused:
            return
        bulk = [tp for tp in self._consumer.assignment() if tp.topic == MOMENTS_BULK]
        if bulk:
            (self._consumer.pause if hold else self._consumer.resume)(*bulk)
            self._bulk_paused = hold

    def advance(self, after: Mapping[Key, int]) -> None:
        """The store has moved on to these offsets."""
        with self._lock:
            for key, next_offset in after.items():
                if key in self._positions:
                    self._positions[key] = Position(next_offset=next_offset, epoch=self._positions[key].epoch)

    def rewind(self) -> None:
        """Nothing of the last poll was stored: read it again."""
        for key, position in self.positions.items():
            tp = TopicPartition(*key)
            if tp in self._consumer.assignment():
                self._consumer.seek(tp, position.next_offset)

    def lose(self, topic: str, partition: int, position: Position) -> None:
        """Another instance has taken this partition over: read it no more until it is assigned or claimed anew.

        Unless it was assigned anew since: then only what was read before is void.
        """
        with self._lock:
            if self._positions.get((topic, partition)) == position:
                del self._positions[topic, partition]
                self._lost[topic, partition] = time.monotonic()

    def lag(self) -> dict[str, int]:
        """Records not stored yet, by topic, over the owned partitions; commits the positions for lag tools.

        Raises LogTooShort when a partition ends before what was stored of it.
        """
        positions = self.positions
        if not positions:
            return {}
        tps = {TopicPartition(*key): position for key, position in positions.items()}
        try:
            ends = self._consumer.end_offsets(list(tps), timeout_ms=LAG_MS)
            self._consumer.commit_async({tp: OffsetAndMetadata(p.next_offset, "", -1) for tp, p in tps.items()})
        except KafkaError as exc:
            raise TransportUnavailable("kafka", repr(exc)) from exc
        lags = dict.fromkeys(ALL_TOPICS, 0)
        for tp, position in tps.items():
            if ends[tp] < position.next_offset:
                raise LogTooShort(tp.topic, tp.partition, end=ends[tp], stored=position.next_offset)
            lags[tp.topic] += max(ends[tp] - position.next_offset, 0)
        return lags

    def on_revoked(self) -> None:
        with self._lock:
            self._positions.clear()
            self._lost.clear()

    def on_assigned(self, assigned: Iterable[Any]) -> None:
        """Take over and seek; runs on the client's thread."""
        keys = [(tp.topic, tp.partition) for tp in assigned]
        claimed = self._claim(keys)
        for key, position in claimed.items():
            self._consumer.seek(TopicPartition(*key), position.next_offset)
        with self._lock:
            self._positions = claimed
            self._lost.clear()
            self._bulk_paused = None
        log.info("router.intake.assigned", extra={"partitions": len(claimed)})

    def _reclaim(self) -> None:
        now = time.monotonic()
        assigned = {(tp.topic, tp.partition) for tp in self._consumer.assignment()}
        due = [key for key, since in self._lost.items() if now - since >= RECLAIM_SECONDS and key in assigned]
        if due:
            claimed = self._claim(due)
            for key, position in claimed.items():
                self._consumer.seek(TopicPartition(*key), position.next_offset)
                with self._lock:
                    self._positions[key] = position
                    self._lost.pop(key, None)


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    def __init__(self, intake: KafkaIntake) -> None:
        self._intake = intake

    def on_partitions_revoked(self, revoked: set[Any]) -> None:
        self._intake.on_revoked()

    def on_partitions_assigned(self, assigned: set[Any]) -> None:
        self._intake.on_assigned(assigned)


class DeadLetters:
    """Parks records that cannot be used: raw bytes unchanged, the reason in headers, acknowledged before returning."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: Any = None

    def park(self, letters: Iterable[tuple[Any, str]]) -> None:
        """Write (record, reason) pairs. Raises TransportUnavailable; parking one twice does no harm."""
        try:
            if self._producer is None:
                self._producer = KafkaProducer(
                    bootstrap_servers=self._bootstrap,
                    acks="all",
                    allow_auto_create_topics=False,
                    bootstrap_timeout_ms=BOOTSTRAP_MS,
                    delivery_timeout_ms=int(DEAD_LETTER_SECONDS * 1000),
                    request_timeout_ms=5_000,
                    max_block_ms=5_000,
                )
            futures = [self._send(record, reason) for record, reason in letters]
            for future in futures:
                future.get(timeout=DEAD_LETTER_SECONDS)
        except KafkaError as exc:
            raise TransportUnavailable("kafka", repr(exc)) from exc

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=1)

    def _send(self, record: Any, reason: str) -> Any:
        position = f"{record.topic}/{record.partition}/{record.offset}"
        headers = [
            ("reason", reason.encode()),
            ("topic", record.topic.encode()),
            ("partition", str(record.partition).encode()),
            ("offset", str(record.offset).encode()),
        ]
        dead = "kairos.dead-letters.router.v1"
        return self._producer.send(dead, key=position.encode(), value=record.value, headers=headers, partition=0)
