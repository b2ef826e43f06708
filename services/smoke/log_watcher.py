"""Tails every topic from its beginning while the run goes on, and knows the newest tick of each partition.

Keeps raw records; decoding waits until the end, so that watching does not disturb what is measured.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import kafka
from kafka import TopicPartition
from kafka.errors import KafkaError

from services.smoke.lock_file import LockFileReader

EVENTS = "kairos.events.v1"
CONTACTS = "kairos.contacts.v1"
CUSTOMERS = "kairos.customers.v1"
MOMENTS = "kairos.moments.v1"
MOMENTS_BULK = "kairos.moments-bulk.v1"
TASK_EVENTS = "kairos.task-events.v1"
DEAD_LETTERS = ("kairos.dead-letters.ingest.v1", "kairos.dead-letters.detector.v1", "kairos.dead-letters.router.v1")
TOPICS = (EVENTS, CONTACTS, CUSTOMERS, MOMENTS, MOMENTS_BULK, TASK_EVENTS, *DEAD_LETTERS)
TICK = "kairos.control.v1.Tick"
POLL_MS = 200


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as the broker gave it; `timestamp_ms` is the producer's real clock."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class LogWatcher:
    """A thread with a consumer of its own, outside every group."""

    def __init__(self, bootstrap: str, reader: LockFileReader) -> None:
        self._bootstrap = bootstrap
        self._reader = reader
        self._tick_frame = b"\x00" + reader.id_of(TICK).to_bytes(4, "big")
        self._records: list[RawRecord] = []
        self._ticks: dict[int, int] = {}
        self._control = 0
        self._positions: dict[tuple[str, int], int] = {}
        self._partitions: tuple[TopicPartition, ...] = ()
        self._ends: dict[tuple[str, int], int] = {}
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="log-watcher", daemon=True)

    def open(self, *, seconds_max: float = 30.0) -> None:
        """Start watching; returns once the partitions are known."""
        self._thread.start()
        if not self._ready.wait(seconds_max):
            raise TimeoutError("the log watcher found no topics in time")

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join(timeout=10.0)

    def records(self) -> list[RawRecord]:
        """What has been seen so far, in order of arrival."""
        with self._lock:
            return list(self._records)

    def total(self) -> int:
        """How many records have been seen, control records apart: those come by the clock alone."""
        with self._lock:
            return len(self._records) - self._control

    def tick_ms(self) -> int:
        """The oldest of the partitions' newest ticks: every partition has been told at least this time; 0 = none."""
        with self._lock:
            partitions = [tp.partition for tp in self._partitions if tp.topic == EVENTS]
            return min((self._ticks.get(partition, 0) for partition in partitions), default=0)

    def wait_until_caught_up(self, *, seconds_max: float) -> bool:
        """Wait until all that is in the topics at the time of the call has been seen."""
        consumer = self._consumer()
        try:
            ends = consumer.end_offsets(list(self._partitions))
        finally:
            consumer.close()
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            with self._lock:
                if all(self._positions.get((tp.topic, tp.partition), 0) >= end for tp, end in ends.items()):
                    return True
            time.sleep(0.1)
        return False

    def _run(self) -> None:
        consumer = None
        while consumer is None and not self._stop.is_set():
            try:
                consumer = self._consumer()
                self._partitions = find_partitions(consumer)
            except KafkaError:
                time.sleep(0.5)
        if consumer is None:
            return
        consumer.assign(list(self._partitions))
        consumer.seek_to_beginning(*self._partitions)
        self._ready.set()
        while not self._stop.is_set():
            try:
                found = consumer.poll(timeout_ms=POLL_MS, max_records=5_000)
            except KafkaError:
                time.sleep(0.2)
                continue
            self._keep(found)
        consumer.close()

    def _keep(self, found: dict[TopicPartition, list[kafka.consumer.fetcher.ConsumerRecord]]) -> None:
        with self._lock:
            for partition, records in found.items():
                for record in records:
                    self._records.append(
                        RawRecord(
                            partition.topic,
                            partition.partition,
                            record.offset,
                            record.timestamp,
                            record.key,
                            record.value,
                            tuple(record.headers),
                        )
                    )
                    self._note_tick(partition, record.value)
                    self._positions[partition.topic, partition.partition] = record.offset + 1

    def _note_tick(self, partition: TopicPartition, value: bytes | None) -> None:
        if partition.topic == EVENTS and value is not None and value.startswith(self._tick_frame):
            self._control += 1
            now_ms = int(self._reader.decode(value).record["now"])
            self._ticks[partition.partition] = max(now_ms, self._ticks.get(partition.partition, 0))

    def _consumer(self) -> kafka.KafkaConsumer:
        return kafka.KafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            client_id="kairos-smoke",
        )


def find_partitions(consumer: kafka.KafkaConsumer) -> tuple[TopicPartition, ...]:
    """The partitions of all watched topics. Raises KafkaError while some are missing."""
    found: list[TopicPartition] = []
    for topic in TOPICS:
        partitions = consumer.partitions_for_topic(topic)
        if not partitions:
            raise KafkaError(f"topic {topic} is not there")
        found.extend(TopicPartition(topic, partition) for partition in sorted(partitions))
    return tuple(found)
