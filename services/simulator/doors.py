"""The three doors of ingest as an upstream system uses them: every event gets an answer, overload is waited out.

An answer that never came (connection lost, 503) is asked for again with the same event ids: that is harmless and the
only way to know. Bounded by a deadline.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import grpc
import httpx
from kairos.ingest.v1 import ingest_pb2, ingest_pb2_grpc

from services.simulator.endpoints import Endpoints
from services.simulator.events import Event
from services.simulator.grpc_events import to_message
from services.transport.grpc_channel import aio_channel

BATCH_EVENTS = 1_000
REQUEST_SECONDS = 15.0
PAUSE_SECONDS = 0.3
RETRY_STATUS = frozenset({429, 502, 503, 504})
RETRY_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)


class DoorStuck(RuntimeError):
    """A door gave no answer within the deadline, or one that retrying cannot mend."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a door said about one event; `reasons` is empty when it was accepted."""

    source: str
    event_id: str
    door: str
    reasons: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """True when the brokers have it."""
        return not self.reasons


class Door(Protocol):
    """A live door."""

    async def send(self, events: Sequence[Event]) -> list[Answer]:
        """Send events in order and return their answers in the same order."""


class HttpDoor:
    """POST /v1/events/{kind} with NDJSON; one request per run of events of one kind, so that order is kept."""

    def __init__(self, url: str, *, patience_seconds: float = 60.0) -> None:
        self._url = url
        self._patience_seconds = patience_seconds
        self._client = httpx.AsyncClient(timeout=REQUEST_SECONDS, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def send(self, events: Sequence[Event]) -> list[Answer]:
        """Send events in order and return their answers in the same order."""
        answers: list[Answer] = []
        for batch in runs_of_one_kind(events):
            answers.extend(await self._send_batch(batch))
        return answers

    async def _send_batch(self, batch: Sequence[Event]) -> list[Answer]:
        body = "".join(json.dumps(event.body, ensure_ascii=False) + "\n" for event in batch).encode()
        url = f"{self._url}/v1/events/{batch[0].kind}"
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                response = await self._client.post(url, content=body, headers={"content-type": "application/x-ndjson"})
            except httpx.TransportError as exc:
                await pause_or_stop(deadline, exc)
                continue
            if response.status_code in RETRY_STATUS:
                await pause_or_stop(deadline, DoorStuck(f"{url}: {response.status_code}"))
                continue
            return answers_of_http(batch, response.status_code, response.json())


class GrpcDoor:
    """IngestService/PublishEvents in batches."""

    def __init__(self, target: str, *, patience_seconds: float = 60.0) -> None:
        self._patience_seconds = patience_seconds
        self._channel = aio_channel(target)
        self._stub = ingest_pb2_grpc.IngestServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def send(self, events: Sequence[Event]) -> list[Answer]:
        """Send events in order and return their answers in the same order."""
        answers: list[Answer] = []
        for start in range(0, len(events), BATCH_EVENTS):
            answers.extend(await self._send_batch(events[start : start + BATCH_EVENTS]))
        return answers

    async def _send_batch(self, batch: Sequence[Event]) -> list[Answer]:
        request = ingest_pb2.PublishEventsRequest(events=[to_message(event) for event in batch])
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                response = await self._stub.PublishEvents(request, timeout=REQUEST_SECONDS)
            except grpc.aio.AioRpcError as exc:
                if exc.code() not in RETRY_CODES:
                    raise DoorStuck(f"PublishEvents: {exc.code().name} {exc.details()}") from exc
                await pause_or_stop(deadline, exc)
                continue
            return answers_of_grpc(batch, response)


def runs_of_one_kind(events: Sequence[Event]) -> list[list[Event]]:
    """Consecutive events of one kind together, in order, no run longer than a batch."""
    runs: list[list[Event]] = []
    for event in events:
        if not runs or runs[-1][0].kind != event.kind or len(runs[-1]) >= BATCH_EVENTS:
            runs.append([])
        runs[-1].append(event)
    return runs


def answers_of_http(batch: Sequence[Event], status: int, body: Any) -> list[Answer]:
    """Answers of one request; a request refused as a whole gives its reason to every event."""
    results = body.get("results") if isinstance(body, dict) else None
    if results is None or len(results) != len(batch):
        raise DoorStuck(f"HTTP {status}: {json.dumps(body)[:300]}")
    return [answer_of(event, "http", result.get("faults", [])) for event, result in zip(batch, results, strict=True)]


def answers_of_grpc(batch: Sequence[Event], response: ingest_pb2.PublishEventsResponse) -> list[Answer]:
    """Answers of one call."""
    pairs = zip(batch, response.results, strict=True)
    return [answer_of(event, "grpc", [{"reason": fault.reason} for fault in result.faults]) for event, result in pairs]


def answer_of(event: Event, door: str, faults: Sequence[dict[str, Any]]) -> Answer:
    """The answer about one event."""
    source, event_id = event.identity
    return Answer(source=source, event_id=event_id, door=door, reasons=tuple(str(f["reason"]) for f in faults))


async def pause_or_stop(deadline: float, cause: Exception) -> None:
    """Wait a moment before asking again; give up when the deadline is over."""
    if time.monotonic() >= deadline:
        raise DoorStuck(f"no answer in time: {cause}") from cause
    await asyncio.sleep(PAUSE_SECONDS)


@dataclass(frozen=True, kw_only=True)
class FileLoad:
    """What `kairos ingest file` said at its end."""

    exit_code: int
    summary: dict[str, Any]
    output: str


async def load_file(
    path: Path,
    *,
    kind: str,
    env: dict[str, str],
    history: bool = False,
    mapping: Path | None = None,
    seconds_max: float = 120.0,
) -> FileLoad:
    """Run the file door on one file and wait for its end; the last line of its output is its summary."""
    command = [sys.executable, "-m", "services.cli.main", "ingest", "file", "--kind", kind, "--json"]
    command += ["--history"] if history else []
    command += ["--mapping", str(mapping)] if mapping else []
    process = await asyncio.create_subprocess_exec(
        *command, str(path), env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds_max)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise DoorStuck(f"the file door took more than {seconds_max:g} s for {path.name}") from None
    lines = out.decode(errors="replace").strip().splitlines()
    try:
        summary = json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:
        summary = {}
    return FileLoad(exit_code=process.returncode or 0, summary=summary, output=err.decode(errors="replace")[-4_000:])


def file_door_environment(endpoints: Endpoints, var_dir: Path) -> dict[str, str]:
    """The environment in which the file door finds this stack, on its clock."""
    clock = {"KAIROS_CLOCK": endpoints.clock, "KAIROS_ENVIRONMENT": "demo"} if endpoints.clock else {}
    return {
        **os.environ,
        "KAIROS_VAR_DIR": str(var_dir),
        "KAIROS_KAFKA_BOOTSTRAP": endpoints.kafka,
        "KAIROS_SECRETS_DIR": str(endpoints.secrets_dir),
        **clock,
    }
