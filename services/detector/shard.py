"""One owned partition: its state, its outputs on the way, how far it is applied, saved, and why it stands still.

`apply` is synchronous, so state, offset and outbox always agree with each other. What is decided here depends on the
log alone; reading, waiting and writing is the worker's.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas.writers import writer_of
from services.detector import metrics
from services.detector.errors import LogTorn, StateUnusable
from services.detector.outbox import Outbox
from services.detector.ports import Applied, DecodedChunk, Engine, Moment, Partition, RawRecord
from services.detector.records.dead_letters import DEAD_LETTERS_TOPIC, dead_letters
from services.detector.records.poison import PoisonMeter
from services.detector.records.poison_records import PoisonRecords
from services.transport.kafka_producer import OutRecord

EVENTS_TOPIC = "kairos.events.v1"
MOMENTS_TOPIC = "kairos.moments.v1"
MOMENTS_BULK_TOPIC = "kairos.moments-bulk.v1"
CUSTOMERS_TOPIC = "kairos.customers.v1"
MOMENT = "kairos.moments.v1.Moment"
WARNING_SECONDS = 1.0

log = logging.getLogger(__name__)


class Pause(StrEnum):
    """Why a partition stands still."""

    POISON = "poison"
    RULES = "rules"
    HAND_OVER = "hand_over"


@dataclass(frozen=True)
class LastTurn:
    """The newest complete turn that this process knows of."""

    manifest_offset: int
    first_state_offset: int
    next_log_offset: int
    is_final: bool = False  # nothing may be applied after it by this engine


class Shard:
    """See the module. `pause` is None while the partition moves."""

    def __init__(
        self, number: int, partition: Partition, outbox: Outbox, meter: PoisonMeter, *, last_turn: LastTurn | None
    ) -> None:
        self.number = number
        self.partition = partition
        self.outbox = outbox
        self.pause: Pause | None = None
        self.last_turn = last_turn
        self.poison_allowed_to = 0
        self.newest_timestamp_ms = 0  # of the newest applied record, by the producer's real clock
        self.awaited_rules = -1
        self.is_handed_over = last_turn is not None and last_turn.is_final  # to a newer engine: this one is done
        self.is_from_log_alone = last_turn is None and partition.next_offset == 0
        self._meter = meter
        self._unwarned = 0  # dead letters
        self._warns_from = 0.0
        self._is_seeking = True  # chunks that were fetched before the latest seek are passed over

    @property
    def next_offset(self) -> int:
        """Offset to read next."""
        return self.partition.next_offset

    def seeks(self) -> None:
        """The reader was sent to `next_offset`: whatever comes before that arrives is old."""
        self._is_seeking = True

    def apply(self, records: Sequence[RawRecord], engine: Engine, rules: Mapping[int, Any]) -> Pause | None:
        """Apply what is new in these records and put the outputs; or tell why the partition must stand still.

        Raises LogTorn when records are missing before them.
        """
        fresh = self._fresh(records)
        while fresh:
            pause = self._apply(fresh, engine, rules)
            if pause is not None:
                return pause
            fresh = fresh[self.next_offset - fresh[0].offset :]
        return None

    def _apply(self, fresh: Sequence[RawRecord], engine: Engine, rules: Mapping[int, Any]) -> Pause | None:
        """Apply as many of these records as this engine may at once."""
        chunk = self._permitted(engine.decode_chunk(self.number, fresh), fresh, engine)
        if chunk is None:
            return Pause.POISON
        try:
            applied = self.partition.apply(chunk, rules)
        except engine.rules_not_loaded as missing:
            self.awaited_rules = int(missing.args[0]) if missing.args and str(missing.args[0]).isdigit() else -1
            return Pause.RULES
        assert self.next_offset == chunk.next_offset, "the engine applies a chunk as a whole"
        self.newest_timestamp_ms = fresh[-1].timestamp
        for kind, events in engine.kinds_of(chunk).items():
            metrics.EVENTS_TOTAL.labels(kind=kind).inc(events)
        self._put_chunk(chunk)
        self._put_applied(applied)
        self._note_hand_overs(chunk, engine)
        return Pause.HAND_OVER if self.is_handed_over else None

    def _note_hand_overs(self, chunk: DecodedChunk, engine: Engine) -> None:
        for each in chunk.hand_overs:
            if each.engine_version >= engine.engine_version:
                self.is_handed_over = True
            elif self.is_from_log_alone:
                raise StateUnusable(
                    self.number,
                    f"the log before offset {each.offset} was judged by engine {each.engine_version}; this is engine "
                    f"{engine.engine_version}, and no state of that hand-over is left",
                )

    def _permitted(self, chunk: DecodedChunk, fresh: Sequence[RawRecord], engine: Engine) -> DecodedChunk | None:
        """The chunk as far as this engine may apply it: up to a hand-over, up to the end of allowed poison, or not."""
        for each in chunk.hand_overs:
            if each.engine_version >= engine.engine_version and each.offset + 1 < chunk.next_offset:
                chunk = engine.decode_chunk(self.number, fresh[: each.offset + 1 - chunk.first_offset])
                break
        if not self._is_flood(chunk):
            return chunk
        if not chunk.first_offset < self.poison_allowed_to < chunk.next_offset:
            return None
        chunk = engine.decode_chunk(self.number, fresh[: self.poison_allowed_to - chunk.first_offset])
        assert not self._is_flood(chunk), "all of it is allowed"
        return chunk

    def _is_flood(self, chunk: DecodedChunk) -> bool:
        poison = PoisonRecords.of(chunk.poison).records.offsets.tolist() if chunk.poison else []
        return self._meter.is_flood(
            chunk.first_offset, chunk.next_offset, poison, allowed_to=self.poison_allowed_to
        )  # fmt: skip

    def sweep(self, customers_at_most: int) -> None:
        """Visit some of the customers that a tick still has to."""
        self._put_applied(self.partition.sweep(customers_at_most))

    def sweep_page(self, page: int, customers_at_most: int) -> None:
        """Visit some of those of one page."""
        self._put_applied(self.partition.sweep_page(page, customers_at_most))

    def _fresh(self, records: Sequence[RawRecord]) -> Sequence[RawRecord]:
        wanted, first, last = self.next_offset, records[0].offset, records[-1].offset
        if last < wanted:
            return ()
        if first > wanted:
            if self._is_seeking:
                return ()
            raise LogTorn(self.number, wanted, first)
        self._is_seeking = False
        if last - first + 1 != len(records):
            raise LogTorn(self.number, _first_hole(records), last)
        return records[wanted - first :]

    def _put_chunk(self, chunk: DecodedChunk) -> None:
        """Copies of customer records and dead letters of a chunk."""
        if chunk.customers:
            copies = [OutRecord(key, value, [("log_offset", b"%d" % offset)]) for key, value, offset in chunk.customers]
            self.outbox.put(CUSTOMERS_TOPIC, self.number, copies)
            metrics.CUSTOMER_COPIES_TOTAL.inc(len(copies))
        if chunk.poison:
            poison = PoisonRecords.of(chunk.poison)
            self.outbox.put(DEAD_LETTERS_TOPIC, 0, dead_letters(self.number, poison), may_linger=True)
            for reason, records in poison.counted().items():
                metrics.DEAD_LETTERS_TOTAL.labels(reason=reason).inc(records)
            self._warn(chunk)

    def _warn(self, chunk: DecodedChunk) -> None:
        """One line a second is enough: what is left out here stands in the next, and in the metrics at once."""
        self._unwarned += len(chunk.poison)
        if time.monotonic() >= self._warns_from:
            log.warning(
                "detector.dead_letters",
                extra={"partition": self.number, "records": self._unwarned, "newest_offset": chunk.poison[-1].offset},
            )
            self._unwarned, self._warns_from = 0, time.monotonic() + WARNING_SECONDS

    def _put_applied(self, applied: Applied) -> None:
        for topic, is_bulk in ((MOMENTS_TOPIC, False), (MOMENTS_BULK_TOPIC, True)):
            moments = [each for each in applied.moments if (each["rule_id"] in applied.bulk) is is_bulk]
            if moments:
                self.outbox.put(topic, self.number, [moment_record(each) for each in moments])
            for (rule, state), number in Counter((each["rule_id"], each["state"]) for each in moments).items():
                metrics.MOMENTS_TOTAL.labels(rule=rule, state=state).inc(number)
        for what, number in applied.counts.items():
            metrics.count_engine(what, number)


def moment_record(moment: Moment) -> OutRecord:
    """The record of a moment, keyed by customer."""
    return OutRecord(b"%d" % moment["customer_id"], writer_of(MOMENT)(dict(moment)))


def _first_hole(records: Sequence[RawRecord]) -> int:
    expected = records[0].offset
    for record in records:
        if record.offset != expected:
            break
        expected += 1
    return expected
