"""The router's Kafka: one consumer of a group, positioned by PostgreSQL, and the producer of dead letters.

Owns assignment, seeking, lag and the mapping of Kafka's errors. What records mean is `decode.py`'s; what they change is
the store's. Offsets are also committed to the group now and then, for lag tools only.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from services.router.decode import ALL_TOPICS, CONTACTS, CUSTOMERS, MOMENTS, MOMENTS_BULK, TASK_EVENTS
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
Aim = Callable[[Mapping[Key, tuple[Position, int]]], None]
FACTS: Final = frozenset({CUSTOMERS, CONTACTS, TASK_EVENTS})  # read before any moment is


class KafkaIntake:
    """One member of the group. claim(): takes partitions over in PostgreSQL; aim(): notes there where they end.

    Used by one thread, but for the flags. The rebalance callback runs on the client's own thread: it claims, seeks and
    pauses there, before anything is fetched. After it, moments are left alone until the facts have come to the ends
    that were seen first; `is_current` once the moments have come to theirs as well.
    """

    def __init__(self, bootstrap: str, *, group: str, instance: str, claim: Claim, aim: Aim) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._instance = instance
        self._claim = claim
        self._aim = aim
        self._consumer: Any = None
        self._positions: dict[Key, Position] = {}
        self._lost: dict[Key, float] = {}
        self._lock = threading.Lock()
        self._ends: dict[Key, int] | None = None  # None = not seen since the last claim
        self._claims = 0
        self._is_member = False
        self._holds_bulk = False

    def open(self) -> None:
        """Connect and join. Raises TransportUnavailable, also while a topic is missing.

        The topics are looked up before the group is joined: a leader who does not know them yet shares out nothing, and
        the client takes that for final.
        """
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
        self.on_revoked()
        self._consumer.subscribe(list(ALL_TOPICS), listener=_Rebalance(self))
        try:
            missing = [topic for topic in ALL_TOPICS if not self._consumer.partitions_for_topic(topic)]
        except KafkaError as exc:
            raise TransportUnavailable("kafka", repr(exc)) from exc
        if missing:
            raise TransportUnavailable("kafka", f"no such topic: {', '.join(missing)}")

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

    @property
    def is_member(self) -> bool:
        """True once the group has assigned what this instance is to read, be it nothing."""
        return self._is_member

    @property
    def is_current(self) -> bool:
        """True when all that was there at the assignment is stored; never without an assignment."""
        with self._lock:
            return bool(self._positions) and not self._is_blind() and not self._behind(FACTS | {MOMENTS})

    @property
    def records_behind(self) -> int:
        """How many of the records that were there at the assignment are still to be stored."""
        with self._lock:
            return self._behind(FACTS | {MOMENTS})

    @property
    def catching_up(self) -> str | None:
        """What keeps an assigned instance from deciding, in words."""
        with self._lock:
            if not self._positions:
                return None
            if self._is_blind():
                return "the ends of the partitions are not known yet, or another instance has taken some"
        behind = self.records_behind
        return f"catching up: {behind} records before the first decision" if behind else None

    def poll(self, timeout_ms: int, max_records: int) -> dict[Key, list[Any]]:
        """Records at or beyond the stored positions, in order; returns with the first ones that come."""
        self._reclaim()
        try:
            self._look_at_ends()
            self._pause_what_waits()
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
        """Leave the bulk topic alone while urgent moments come, or read it again, from the next poll on."""
        self._holds_bulk = hold

    def _is_blind(self) -> bool:
        """True while it is not known what there is to read; the caller holds the lock."""
        return self._ends is None or bool(self._lost)

    def _behind(self, topics: Collection[str]) -> int:
        """Records between the stored positions and the ends seen; the caller holds the lock."""
        ends = self._ends or {}
        return sum(
            max(ends.get(key, 0) - position.next_offset, 0)
            for key, position in self._positions.items()
            if key[0] in topics
        )

    def _look_at_ends(self) -> None:
        """See once after every claim where the partitions end; an empty log asks for nothing, wherever it ends."""
        with self._lock:
            positions, claims = dict(self._positions), self._claims
            if self._ends is not None or not positions:
                return
        tps = [TopicPartition(*key) for key in positions]
        ends = self._consumer.end_offsets(tps, timeout_ms=LAG_MS)
        begins = self._consumer.beginning_offsets(tps, timeout_ms=LAG_MS)
        seen = {(tp.topic, tp.partition): ends[tp] if ends[tp] > begins[tp] else 0 for tp in tps}
        self._aim({key: (positions[key], 0 if key[0] == MOMENTS_BULK else end) for key, end in seen.items()})
        with self._lock:
            if self._claims != claims:
                return  # assigned anew meanwhile: look again
            self._ends = seen
            behind = self._behind(FACTS | {MOMENTS})
        log.info("router.intake.catching_up", extra={"records": behind, "partitions": len(seen)})

    def _pause_what_waits(self) -> None:
        """Moments wait for facts; the bulk topic waits for the moments of the start, and for urgent ones later."""
        with self._lock:
            waits = set()
            is_blind = self._is_blind()
            if is_blind or self._behind(FACTS):
                waits.add(MOMENTS)
            if is_blind or self._holds_bulk or self._behind(FACTS | {MOMENTS}):
                waits.add(MOMENTS_BULK)
        moments = {tp for tp in self._consumer.assignment() if tp.topic in (MOMENTS, MOMENTS_BULK)}
        paused = self._consumer.paused()
        for change, tps in (
            (self._consumer.pause, {tp for tp in moments - paused if tp.topic in waits}),
            (self._consumer.resume, {tp for tp in moments & paused if tp.topic not in waits}),
        ):
            if tps:
                change(*tps)

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
            self._ask()
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

    def _ask(self) -> None:
        """Ask Kafka for anything: an instance without partitions would not notice that it is away."""
        try:
            self._consumer.end_offsets([TopicPartition(MOMENTS, 0)], timeout_ms=LAG_MS)
        except KafkaError as exc:
            raise TransportUnavailable("kafka", repr(exc)) from exc

    def on_revoked(self) -> None:
        with self._lock:
            self._positions.clear()
            self._lost.clear()
            self._ends, self._is_member = None, False

    def on_assigned(self, assigned: Iterable[Any]) -> None:
        """Take over and seek; runs on the client's thread."""
        keys = [(tp.topic, tp.partition) for tp in assigned]
        claimed = self._claim(keys)
        for key, position in claimed.items():
            self._consumer.seek(TopicPartition(*key), position.next_offset)
        with self._lock:
            self._positions = claimed
            self._lost.clear()
            self._ends, self._is_member = None, True
            self._claims += 1
        waiting = [tp for tp in assigned if tp.topic in (MOMENTS, MOMENTS_BULK)]
        if waiting:
            self._consumer.pause(*waiting)
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
                    self._ends = None
                    self._claims += 1


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
