"""Gathers the evidence at the end: topics through a foreign decoder, tables by plain SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from services.smoke.evidence import DeadLetter, LoggedEvent, ManagerLimit, Message, MomentRow
from services.smoke.lock_file import CannotDecode, LockFileReader
from services.smoke.log_watcher import (
    CONTACTS,
    DEAD_LETTERS,
    EVENTS,
    MOMENTS,
    MOMENTS_BULK,
    TASK_EVENTS,
    TICK,
    RawRecord,
)

CONNECT_SECONDS = 10


@dataclass
class TopicContents:
    """What the topics hold, decoded."""

    events: list[LoggedEvent] = field(default_factory=list)
    moments: list[dict[str, Any]] = field(default_factory=list)
    task_events: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    # Clock readings in the log, by place.
    ticks: list[int] = field(default_factory=list)
    undecodable: list[RawRecord] = field(default_factory=list)


def decode_topics(records: Iterable[RawRecord], reader: LockFileReader) -> TopicContents:
    """Decode everything the watcher saw."""
    found = TopicContents()
    for record in records:
        if record.topic in DEAD_LETTERS:
            found.dead_letters.append(dead_letter(record))
        elif record.value is not None:
            try:
                decoded = reader.decode(record.value)
            except CannotDecode:
                found.undecodable.append(record)
                continue
            if record.topic in (MOMENTS, MOMENTS_BULK):
                found.moments.append(decoded.record)
            elif record.topic == TASK_EVENTS:
                found.task_events.append(decoded.record)
            elif decoded.subject == TICK:
                found.ticks.append(decoded.record["now"])
            elif record.topic in {EVENTS, CONTACTS}:
                found.events.append(logged_event(record, decoded.subject, decoded.record))
    return found


def logged_event(record: RawRecord, subject: str, fields: dict[str, Any]) -> LoggedEvent:
    """An event with its place on the topic."""
    return LoggedEvent(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        subject=subject,
        record=fields,
    )


def dead_letter(record: RawRecord) -> DeadLetter:
    """A dead letter with its reason."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    service = record.topic.removeprefix("kairos.dead-letters.").removesuffix(".v1")
    return DeadLetter(
        service=service, reason=headers.get("reason", ""), key=record.key, value=record.value, headers=headers
    )


@dataclass(frozen=True, kw_only=True)
class TableContents:
    """What the tables say."""

    moment_rows: list[MomentRow]
    messages: list[Message]
    managers: list[ManagerLimit]


def read_tables(dsn: str) -> TableContents:
    """Read the router's and the workbench's tables in one transaction that writes nothing."""
    with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS) as connection:
        connection.read_only = True
        rows = connection.execute("SELECT moment_id, rule_id, row_state, reason FROM router.moments").fetchall()
        sent = connection.execute("SELECT moment_id, customer_id, queued_at FROM router.contact_outbox").fetchall()
        roster = connection.execute("SELECT manager_id, capacity_units FROM workbench.managers").fetchall()
    return TableContents(
        moment_rows=[MomentRow(moment_id=m, rule_id=rule, row_state=s, reason=why) for m, rule, s, why in rows],
        messages=[Message(moment_id=m, customer_id=c, queued_at_ms=at) for m, c, at in sent],
        managers=[ManagerLimit(manager_id=name, capacity_units=units) for name, units in roster],
    )
