"""The reader of normal operation: a Faust application in a consumer group feeds the worker."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from services.detector.chunks import (
    ChunkApp,
    Companion,
    build_app,
    client_tasks,
    commit_twice,
    log_topic_of,
    run_worker,
)
from services.detector.fatal import die
from services.detector.settings import GROUP, DetectorSettings
from services.detector.shard import EVENTS_TOPIC
from services.detector.worker import Worker

_MOMENT_SECONDS = 0.02

log = logging.getLogger(__name__)


class GroupReader:
    """Tells Faust's consumer what the worker wants."""

    def __init__(self, app: ChunkApp) -> None:
        self._app = app

    def pause(self, number: int) -> None:
        self._app.pause(number)

    async def resume(self, number: int, offset: int) -> None:
        await self._app.resume(number, offset)

    async def commit(self) -> None:
        await commit_twice(self._app)


class Assignment:
    """Which partitions are assigned now. The protocol is eager: all are revoked, then all are assigned anew."""

    def __init__(self, app: ChunkApp, worker: Worker) -> None:
        self._app = app
        self._worker = worker
        self._token: object | None = None  # of the present assignment; None within a rebalance

    async def take(self, *_: Any, **__: Any) -> None:
        """The partitions are assigned; they are not read before `recover` returns."""
        self._token = object()

    async def drop(self, *_: Any, **__: Any) -> None:
        """The partitions are revoked: commit what is done; what is under way may still be acknowledged."""
        self._token = None
        await commit_twice(self._app)
        await self._worker.release()

    async def recover(self, *_: Any, **__: Any) -> None:
        """Awaited by Faust before it reads on. Returns with the state of the present assignment in place, or when the
        generation has moved on: then Faust does not read, and calls again."""
        generation = self._app.consumer_generation_id
        while self._app.consumer_generation_id == generation:
            token = self._token
            if token is not None and await self._acquired(token, generation):
                return
            await asyncio.sleep(_MOMENT_SECONDS)

    async def _acquired(self, token: object, generation: int) -> bool:
        numbers = sorted(tp.partition for tp in self._app.consumer.assignment() if tp.topic == EVENTS_TOPIC)
        log.info("detector.assigned", extra={"partitions": numbers, "generation": generation})
        try:
            return await self._worker.acquire(numbers, lambda: token is self._token)
        except Exception as exc:  # noqa: BLE001  # outermost: Faust would log it and read on without state
            die(exc)


def member_url(instance_id: str) -> str:
    """Name of this member within assignments. A static member is given its old assignment back after a restart, and
    Faust checks that it carries the member's name: so that name must outlive the process."""
    return f"http://127.0.0.1:6066/{instance_id or f'{socket.gethostname()}/{os.getpid()}'}"


def build_group(settings: DetectorSettings, worker: Worker) -> ChunkApp:
    """The Faust application of the detector, bound to this worker."""
    app = build_app(
        worker,
        group=GROUP,
        topic=EVENTS_TOPIC,
        bootstrap=settings.kafka_bootstrap,
        instance_id=settings.instance_id,
        member_url=member_url(settings.instance_id),
        chunk_records=settings.chunk_records,
        fetch_bytes=settings.fetch_bytes,
        fetch_wait_ms=settings.fetch_wait_ms,
        session_seconds=settings.session_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        commit_seconds=settings.commit_seconds,
    )
    worker.attach(GroupReader(app))

    async def detect(chunks: Any) -> None:
        """Apply every chunk; Faust would acknowledge one that failed and go on."""
        async for chunk in chunks:
            try:
                await worker.apply(chunk.partition, chunk.records)
            except Exception as exc:  # noqa: BLE001  # outermost: nothing may be skipped
                die(exc)

    async def leave(*_: Any, **__: Any) -> None:
        """A stop: all outputs acknowledged, both groups committed."""
        worker.is_stopping = True
        await worker.finish()
        await commit_twice(app)

    assignment = Assignment(app, worker)
    app.agent(log_topic_of(app), name="detector")(detect)
    app.on_partitions_revoked.connect(assignment.drop, weak=False)
    app.on_partitions_assigned.connect(assignment.take, weak=False)
    app.on_rebalance_complete.connect(assignment.recover, weak=False)
    app.on_before_shutdown.connect(leave, weak=False)
    return app


def run_group(app: ChunkApp, worker: Worker, *, on_signal: Callable[[], None]) -> None:
    """Run until a signal; raises SystemExit."""
    run_worker(app, Companion(worker.open, worker.close), on_signal=on_signal)


def tasks_of(app: ChunkApp) -> Callable[[], list[Any]]:
    """The client's background tasks, for the watchdog."""
    return lambda: client_tasks(app)
