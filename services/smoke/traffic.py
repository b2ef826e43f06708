"""Sends what a session has to send, through all three doors: good, bad, duplicate, late, and poison past every door."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import kafka

from services.simulator.doors import Door, GrpcDoor, HttpDoor, load_file
from services.simulator.events import Event
from services.simulator.files import write_ndjson
from services.simulator.plan import Plan, SessionPlan
from services.smoke.bad_input import FAULTS, JSON_FAULTS, POISON, BadEvent, bad_events
from services.smoke.evidence import Identity
from services.smoke.ledger_of_sending import SendingBooks
from services.smoke.log_watcher import EVENTS

CALL_GAP_SECONDS = 0.06
FILE_SESSIONS = frozenset({(0, "pm"), (2, "am")})
BAD_SESSIONS = frozenset({(0, "am"), (3, "am")})
POISON_SESSION = (1, "am")
DUPLICATES_PER_SESSION = 25
# Made-up numbers of a range that is not in use; no log may ever show them.
PHONES = tuple(f"1390000{number:04d}" for number in range(20))


class Traffic:
    """The upstream systems of the run."""

    def __init__(
        self, plan: Plan, http: HttpDoor, grpc: GrpcDoor, *, books: SendingBooks, folder: Path, env: dict[str, str]
    ) -> None:
        self._plan = plan
        self._http = http
        self._grpc = grpc
        self._books = books
        self._folder = folder
        self._env = env
        self.poisoned = False

    async def background(self, parts: SessionPlan, *, midway: Callable[[], None] = lambda: None) -> None:
        """The harmless events: half through each live door, in some sessions a part as a file; some sent twice.

        midway: called when a part has been sent and the rest has not.
        """
        where = (parts.session.day, parts.session.part)
        in_kinds = sorted(parts.background, key=lambda event: event.kind)  # few, long requests; order does not matter
        events = [with_phone(event, number) for number, event in enumerate(in_kinds)]
        as_file: list[Event] = []
        if where in FILE_SESSIONS:
            as_file, events = events[: len(events) // 2], events[len(events) // 2 :]
        third = len(events) // 3
        await self._send(self._grpc, events[:third])
        midway()
        events = events[third:]
        half = len(events) // 2
        duplicates = events[half : half + DUPLICATES_PER_SESSION]
        await asyncio.gather(
            self._send(self._grpc, [*events[:half], *duplicates]),
            self._send(self._http, events[half:]),
            self._send_file(as_file, parts),
            self._send_bad(parts) if where in BAD_SESSIONS else asyncio.sleep(0),
        )

    async def planted(self, parts: SessionPlan, *, midway: Callable[[], None] = lambda: None) -> None:
        """The stories: each customer always through the same door, so that the order of a story is kept."""
        through_http = [event for event in parts.planted if int(str(event.body["customer_id"])) % 2]
        through_grpc = [event for event in parts.planted if not int(str(event.body["customer_id"])) % 2]
        await self._send(self._http, through_http)
        midway()
        await self._send(self._grpc, through_grpc)

    async def calls(self, parts: SessionPlan) -> None:
        """The moments on which latency is measured, one at a time."""
        for event in parts.calls:
            await self._send(self._grpc, [event])
            await asyncio.sleep(CALL_GAP_SECONDS)

    async def _send(self, door: Door, events: Sequence[Event]) -> None:
        if events:
            self._books.note(await door.send(events))

    async def _send_bad(self, parts: SessionPlan) -> None:
        """Bad events among good ones, so that it shows whether the good rest gets through."""
        customer_id = self._plan.ordinary[0].customer_id
        at_ms, prefix = parts.session.at_ms, f"bad{parts.session.day}"
        through_http = list(bad_events(customer_id, at_ms, prefix=f"{prefix}h", faults=FAULTS + JSON_FAULTS))
        through_grpc = list(bad_events(customer_id, at_ms, prefix=f"{prefix}g", faults=FAULTS))
        self._expect(through_http + through_grpc)
        good = [event for event in parts.background if event.kind == "usage"][:10]
        await self._send(self._http, [bad.event for bad in through_http] + good)
        await self._send(self._grpc, [bad.event for bad in through_grpc] + good)

    def _expect(self, bad: Sequence[BadEvent]) -> None:
        for each in bad:
            self._books.expect_refusal(each.event.identity, each.reason)

    async def _send_file(self, events: Sequence[Event], parts: SessionPlan) -> None:
        """Live files, one per kind, with bad rows in the first of them."""
        if not events:
            return
        by_kind: dict[str, list[Event]] = {}
        for event in events:
            by_kind.setdefault(event.kind, []).append(event)
        chosen = sorted(by_kind, key=lambda kind: -len(by_kind[kind]))[:2]
        rest = [event for kind, found in by_kind.items() if kind not in chosen for event in found]
        prefix = f"badf{parts.session.day}{parts.session.part}"
        bad = list(bad_events(self._plan.ordinary[0].customer_id, parts.session.at_ms, prefix=prefix, faults=FAULTS))
        loads = [self._load(kind, by_kind[kind], [b for b in bad if b.event.kind == kind], prefix) for kind in chosen]
        await asyncio.gather(self._send(self._grpc, rest), *loads)

    async def _load(self, kind: str, good: Sequence[Event], bad: Sequence[BadEvent], name: str) -> None:
        path = self._folder / f"{name}-{kind}.ndjson"
        write_ndjson(path, [without_phone(event).body for event in [*good, *(each.event for each in bad)]])
        self._expect(bad)
        load = await load_file(path, kind=kind, env=self._env)
        assert load.exit_code == 0, load.output
        refused = read_rejects(load.summary.get("rejects_file"))
        for identity, reasons in refused.items():
            self._books.note_refusal(identity, "file", reasons)
        sent = {event.identity for event in [*good, *(each.event for each in bad)]}
        self._books.note_file(sorted(sent - refused.keys()))

    def poison(self, bootstrap: str) -> None:
        """Write undecodable records straight to the event log, keyed as a real customer's."""
        producer = kafka.KafkaProducer(bootstrap_servers=bootstrap, acks="all", client_id="kairos-smoke-poison")
        key = str(self._plan.ordinary[1].customer_id).encode()
        for value in POISON:
            producer.send(EVENTS, key=key, value=value, timestamp_ms=time.time_ns() // 1_000_000).get(timeout=20)
        producer.close(timeout=10)
        self.poisoned = True


def read_rejects(path: str | None) -> dict[Identity, tuple[str, ...]]:
    """The refused rows of a rejects file by identity, with their reasons; none when there is no such file."""
    refused = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines() if path else ():
        row = json.loads(line)
        body = json.loads(row["raw"])
        refused[str(body["source"]), str(body["event_id"])] = tuple(fault["reason"] for fault in row["faults"])
    return refused


def with_phone(event: Event, number: int) -> Event:
    """Customer records of live doors carry a number now and then."""
    if event.kind != "customer":
        return event
    body = {**event.body, "phone": PHONES[number % len(PHONES)]}
    return Event(kind=event.kind, body=body, due_ms=event.due_ms, story=event.story)


def without_phone(event: Event) -> Event:
    """Files may not carry numbers."""
    body = {name: value for name, value in event.body.items() if name != "phone"}
    return Event(kind=event.kind, body=body, due_ms=event.due_ms, story=event.story)
