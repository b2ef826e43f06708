"""One step of intake: poll, decode, park what cannot be used, store and decide, move on."""

import logging
from collections.abc import Callable
from typing import Any, Protocol

from services.clock import Clock
from services.router import metrics
from services.router.decode import CONTACTS, CUSTOMERS, MOMENTS, MOMENTS_BULK, TASK_EVENTS, Unusable, decode_record
from services.router.errors import OwnershipLost, RecordsRejected
from services.router.store.database import Db
from services.router.store.decisions import Outcome
from services.router.store.intake import Batch, Position, take_in

log = logging.getLogger(__name__)

Key = tuple[str, int]


class Source(Protocol):
    """What intake needs of Kafka; see kafka_intake."""

    @property
    def positions(self) -> dict[Key, Position]: ...

    @property
    def is_current(self) -> bool: ...

    def poll(self, timeout_ms: int, max_records: int) -> dict[Key, list[Any]]: ...

    def advance(self, after: dict[Key, int]) -> None: ...

    def rewind(self) -> None: ...

    def lose(self, topic: str, partition: int, position: Position) -> None: ...

    def hold_bulk(self, hold: bool) -> None: ...


class Parking(Protocol):
    """Where unusable records go; see kafka_intake.DeadLetters."""

    def park(self, letters: list[tuple[Any, str]]) -> None: ...


class Intake:
    """Steps of one instance. crash_point: called around the transaction, for tests that kill it there."""

    def __init__(
        self,
        source: Source,
        parking: Parking,
        clock: Clock,
        *,
        batch_records: int,
        crash_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._parking = parking
        self._clock = clock
        self._batch_records = batch_records
        self._crash_point = crash_point

    def step(self, db: Db, timeout_ms: int) -> Outcome | None:
        """Take one batch in; None when nothing came. What was not stored is read again.

        Before the partitions have caught up, records are stored and nothing is decided.
        """
        found = self._source.poll(timeout_ms, self._batch_records)
        self._source.hold_bulk(any(topic == MOMENTS for topic, _ in found))
        positions = self._source.positions
        found = {key: records for key, records in found.items() if key in positions}
        if not found:
            return None
        try:
            return self._store(db, found, positions)
        except RecordsRejected as exc:
            log.warning("router.batch.rejected", extra={"why": exc.reason})
            return self._store_one_by_one(db, found)

    def _store(
        self, db: Db, found: dict[Key, list[Any]], positions: dict[Key, Position], *, parked: str | None = None
    ) -> Outcome | None:
        """Store these records and move on; None when a partition is lost. parked: park them for this reason instead."""
        batch, letters = build_batch(found, positions, parked=parked)
        self._park(letters)
        self._crash_point("decoded")
        try:
            with metrics.INTAKE_SECONDS.time():
                outcome = take_in(db, batch, self._clock.now_ms(), may_decide=self._source.is_current)
        except OwnershipLost as exc:
            log.warning("router.intake.ownership_lost", extra={"topic": exc.topic, "partition": exc.partition})
            self._source.lose(exc.topic, exc.partition, batch.before[exc.topic, exc.partition])
            self._source.rewind()
            return None
        self._crash_point("stored")
        self._source.advance(batch.after)
        for (topic, _), records in found.items():
            metrics.RECORDS.labels(topic).inc(len(records))
        metrics.count_outcome(outcome)
        return outcome

    def _store_one_by_one(self, db: Db, found: dict[Key, list[Any]]) -> Outcome | None:
        """Store what can be stored and park the rest; records of a partition stay in order."""
        total = Outcome()
        for key, records in sorted(found.items()):
            for record in records:
                positions = self._source.positions
                if key not in positions:
                    return total  # lost or assigned anew meanwhile: the next poll brings what is left
                try:
                    outcome = self._store(db, {key: [record]}, positions)
                except RecordsRejected:
                    outcome = self._store(db, {key: [record]}, positions, parked="refused_by_database")
                if outcome is None:
                    return total
                total.add(outcome)
        return total

    def _park(self, letters: list[tuple[Any, str]]) -> None:
        if not letters:
            return
        self._parking.park(letters)
        for record, reason in letters:
            metrics.DEAD_LETTERS.labels(reason).inc()
            where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("router.record.parked", extra={**where, "why": reason})


def build_batch(
    found: dict[Key, list[Any]], positions: dict[Key, Position], *, parked: str | None = None
) -> tuple[Batch, list[tuple[Any, str]]]:
    """The batch of these records, and those that cannot be used with why. parked: none can, for this reason."""
    batch = Batch()
    kinds = {
        MOMENTS: batch.moments,
        MOMENTS_BULK: batch.moments,
        CUSTOMERS: batch.customers,
        CONTACTS: batch.contacts,
        TASK_EVENTS: batch.task_events,
    }
    letters: list[tuple[Any, str]] = []
    for key, records in sorted(found.items()):
        for record in records:
            if parked is not None:
                letters.append((record, parked))
                continue
            try:
                kinds[key[0]].append(decode_record(key[0], record.value, record.headers, key=record.key))
            except Unusable as exc:
                letters.append((record, exc.reason))
        batch.before[key] = positions[key]
        batch.after[key] = records[-1].offset + 1
    return batch, letters
