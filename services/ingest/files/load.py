"""The file door's use case: batches of rows in, events out to Kafka, refused rows to the rejects file and dead letters.

A batch counts once the brokers have acknowledged its events and dead letters and the rejects are written; then the
checkpoint moves. Batches go one after the other, so the file's order is the log's order for every customer.
"""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from schemas.json_form.faults import Rejection
from schemas.json_form.validation import DoorRules
from services.ingest import metrics
from services.ingest.errors import BrokersUnavailable
from services.ingest.files.checkpoint import Progress, write_progress
from services.ingest.files.pacing import Pacer
from services.ingest.files.sources import Batch, Item
from services.ingest.publish import EventPublisher, Prepared, RawEvent
from services.transport.errors import TransportUnavailable
from services.transport.kafka_producer import KafkaProducer, OutRecord

log = logging.getLogger(__name__)

DOOR = "file"
DEAD_LETTERS_TOPIC = "kairos.dead-letters.ingest.v1"
_ACKNOWLEDGE_SECONDS: Final = 20.0
_RETRY_SECONDS_FIRST, _RETRY_SECONDS_LAST = 0.5, 5.0
_DEAD_LETTER_BYTES_MAX: Final = 512 * 1024  # longer rows are cut, and say so in a header
_RAW_CHARACTERS_MAX: Final = 8_192  # of a row in the rejects file


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What to load and how. map_row turns a row into the fields of the kind, or says what is wrong with it."""

    kind: str
    file_name: str
    map_row: Callable[[Any], Any]
    rules: DoorRules
    withholds_raw: bool  # the rows hold phone numbers or the like: dead letters then go without the bytes
    checkpoint_path: Path
    rejects_path: Path
    brokers_seconds_max: float = 300.0


class FileLoad:
    """One run over the batches of a file."""

    def __init__(self, plan: LoadPlan, producer: KafkaProducer, publisher: EventPublisher, pacer: Pacer) -> None:
        self._plan = plan
        self._producer = producer
        self._publisher = publisher
        self._pacer = pacer
        self._is_stopping = False
        self.progress = Progress()
        self.is_waiting = ""

    def stop(self) -> None:
        """End after the batch that is on its way, or at once while waiting; the same command goes on from there."""
        self._is_stopping = True

    async def run(
        self, batches: Iterator[Batch], start: Progress, *, tell: Callable[[Progress, str], None]
    ) -> Progress:
        """Load all batches; `tell` hears of the progress and of what is being waited for.

        Raises BrokersUnavailable when the brokers stay away for too long; the checkpoint tells how far it came.
        """
        self.progress = start
        with _open_rejects(self._plan.rejects_path, start.rejects_bytes) as rejects:
            for items, position in batches:
                await self._pacer.wait(
                    len(items),
                    is_stopping=lambda: self._is_stopping,
                    tell=lambda: tell(self.progress, "waits for the detector"),
                )
                if self._is_stopping:
                    return self.progress
                prepared = self._publisher.prepare(self._raw_events(items), rules=self._plan.rules)
                refused = [(item, result) for item, result in zip(items, prepared.results, strict=True) if result]
                await self._publish(prepared, [self._dead_letter(item, why) for item, why in refused], tell)
                for item, why in refused:
                    rejects.write(self._reject_line(item, why))
                rejects.flush()
                self.progress = self.progress.with_batch(
                    position,
                    accepted=len(items) - len(refused),
                    reasons=Counter(why.faults[0].reason.value for _, why in refused),
                    duplicates=prepared.duplicates,
                    rejects_bytes=rejects.tell(),
                )
                write_progress(self._plan.checkpoint_path, self.progress)
                tell(self.progress, "")
        self.progress = replace(self.progress, is_done=True)
        write_progress(self._plan.checkpoint_path, self.progress)
        return self.progress

    def _raw_events(self, items: list[Item]) -> Iterator[RawEvent]:
        kind, map_row = self._plan.kind, self._plan.map_row
        for _, row, _ in items:
            yield RawEvent(kind, row if row.__class__ is Rejection else map_row(row))

    async def _publish(
        self, prepared: Prepared, dead_letters: list[OutRecord], tell: Callable[[Progress, str], None]
    ) -> None:
        """Publish with retries while the brokers are away: the ids make what arrives twice harmless."""
        pause, waited = _RETRY_SECONDS_FIRST, 0.0
        while True:
            try:
                await self._publisher.publish(prepared, door=DOOR, deadline_seconds=_ACKNOWLEDGE_SECONDS)
                if dead_letters:
                    await self._producer.publish(
                        DEAD_LETTERS_TOPIC, dead_letters, deadline_seconds=_ACKNOWLEDGE_SECONDS
                    )
                    metrics.DEAD_LETTERS.labels(DOOR).inc(len(dead_letters))
            except (BrokersUnavailable, TransportUnavailable) as exc:
                waited += pause + _ACKNOWLEDGE_SECONDS
                if waited > self._plan.brokers_seconds_max or self._is_stopping:
                    raise BrokersUnavailable(str(exc)) from exc
                tell(self.progress, "waits for Kafka")
                log.warning("ingest.file.brokers_away", extra={"pause_seconds": pause})
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
                pause = min(pause * 2, _RETRY_SECONDS_LAST)
            else:
                return

    def _dead_letter(self, item: Item, why: Rejection) -> OutRecord:
        first = why.faults[0]
        is_withheld = self._plan.withholds_raw or _has_phone(item)
        raw = b"" if is_withheld else item.raw or _row_bytes(item.row)
        headers = [
            ("reason", first.reason.value.encode()),
            ("field", first.field.encode()),
            ("message", first.message.encode()),
            ("kind", self._plan.kind.encode()),
            ("door", DOOR.encode()),
            ("file", self._plan.file_name.encode()),
            ("line", str(item.number).encode()),
        ]
        if is_withheld:
            headers.append(("withheld", b"personal_data"))
        elif len(raw) > _DEAD_LETTER_BYTES_MAX:
            headers.append(("cut_from_bytes", str(len(raw)).encode()))
        return OutRecord(f"{self._plan.file_name}:{item.number}".encode(), raw[:_DEAD_LETTER_BYTES_MAX], headers)

    def _reject_line(self, item: Item, why: Rejection) -> bytes:
        raw = (item.raw or _row_bytes(item.row)).decode("utf-8", "replace")
        first = why.faults[0]
        document = {
            "line": item.number,
            "field": first.field,
            "reason": first.reason.value,
            "message": first.message,
            "faults": [{"field": fault.field, "reason": fault.reason.value} for fault in why.faults],
            "raw": raw[:_RAW_CHARACTERS_MAX],
        }
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _has_phone(item: Item) -> bool:
    """True for rows with a phone field, read or not."""
    return "phone" in item.row if isinstance(item.row, dict) else b"phone" in item.raw


def _row_bytes(row: Any) -> bytes:
    """The row of a file that is not text, as JSON."""
    if isinstance(row, dict):
        row = {name: value for name, value in row.items() if not name.startswith("$")}
    return json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _open_rejects(path: Path, size_bytes: int) -> BinaryIO:
    """Open the rejects file behind what the checkpoint knows of; what was written after it comes again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # rows may hold personal data
    file = path.open("r+b")
    file.truncate(size_bytes)
    file.seek(size_bytes)
    return file
