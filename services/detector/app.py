"""Composition root of a detector process: settings → worker, reader, health, watchdog."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

from services.clock import Clock
from services.detector.chunks import install_raw_batches
from services.detector.engine_binding import engine_of
from services.detector.errors import DetectorError
from services.detector.fatal import die
from services.detector.group import build_group, run_group, tasks_of
from services.detector.settings import DetectorSettings
from services.detector.shard import EVENTS_TOPIC
from services.detector.solo import SoloReader, run_solo
from services.detector.watchdog import Watchdog
from services.detector.worker import Worker
from services.telemetry.health import Health, HealthServer
from services.transport.errors import TransportError

_LOOK_SECONDS: Final = 0.05  # what a start may lose by it, at most
_STOP_SECONDS: Final = 9.0  # after a signal; past it the process ends as it is, which loses nothing

log = logging.getLogger(__name__)


def serve(settings: DetectorSettings, clock: Clock, *, partitions: Sequence[int] = ()) -> None:
    """Run a detector until a signal: in the group, or on fixed partitions. Returns or raises SystemExit."""
    health = Health("detector", clock)
    preparing = ["the engine is being prepared; compiling its kernels for the first time takes a while"]
    health.add_ready("engine", lambda: preparing[0] if preparing else None)
    with HealthServer(health, host=settings.bind_host, port=settings.metrics_port) as server:
        log.info("detector.starting", extra={"metrics_port": server.port, "partitions": list(partitions) or "group"})
        owner = settings.instance_id or f"{socket.gethostname()}-{os.getpid()}"
        with _leaving_at_once():
            engine = engine_of(settings)
        worker = Worker(settings, engine, clock, owner=owner)
        add_checks(health, worker)
        preparing.clear()
        try:
            if partitions:
                _serve_fixed(settings, worker, partitions)
            else:
                _serve_group(settings, worker)
        except (DetectorError, TransportError) as exc:
            die(exc)
    log.info("detector.stopped")


@contextlib.contextmanager
def _leaving_at_once() -> Iterator[None]:
    """Within, a stop signal ends the process: nothing was begun, so nothing is to finish.

    Waited for in a thread: the compiler keeps the main thread for many seconds, and loses what a handler raises in it.
    """
    stops, is_over = (signal.SIGTERM, signal.SIGINT), threading.Event()
    for number in stops:  # from the end of this until the event loop takes over
        signal.signal(number, _leave)
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)

    def wait() -> None:
        while not is_over.is_set():
            if signal.sigtimedwait(stops, _LOOK_SECONDS) is not None:
                _leave()

    thread = threading.Thread(target=wait, name="stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)


def _leave(*_: object) -> NoReturn:
    log.info("detector.stopped")
    logging.shutdown()
    os._exit(0)


def add_checks(health: Health, worker: Worker) -> None:
    """Ready means: assigned, loaded, the newest rules announced (or none published), lag known."""
    health.add_ready("assignment", lambda: None if worker.is_assigned else "no partitions were assigned yet")
    health.add_ready("rules", lambda: rules_fault(worker))
    health.add_ready("lag", lambda: lag_fault(worker))


def rules_fault(worker: Worker) -> str | None:
    """What keeps rules from being in force. A refused set does no harm while an older one holds: see the metrics."""
    feed = worker.rules_or_none
    if feed is None or not feed.is_caught_up:
        return "the rules topic was not read to its end yet"
    if feed.refused and feed.newest < 0:
        return f"every published rule set was refused: {list(feed.refused.values())[-1]}"
    if feed.newest >= 0 and any(offset < 0 for offset in worker.announced().values()):
        return "rules are published, but not announced in every owned partition yet"
    return None


def lag_fault(worker: Worker) -> str | None:
    """Which partitions' lag is not known."""
    unknown = sorted(number for number, lag in worker.lags().items() if lag is None)
    return f"lag is not known yet for partitions {unknown}" if unknown else None


def _serve_group(settings: DetectorSettings, worker: Worker) -> None:
    app = build_group(settings, worker)
    Watchdog(worker, stall_seconds=settings.stall_seconds, client_tasks=tasks_of(app)).start()
    run_group(app, worker, on_signal=lambda: _end_late(worker))


def _serve_fixed(settings: DetectorSettings, worker: Worker, partitions: Sequence[int]) -> None:
    install_raw_batches(EVENTS_TOPIC)

    def watch(reader: SoloReader) -> None:
        Watchdog(worker, stall_seconds=settings.stall_seconds, client_tasks=reader.client_tasks).start()

    asyncio.run(
        run_solo(settings, worker, partitions, on_signal=lambda: _end_late(worker), on_reader=watch),
    )


def _end_late(worker: Worker) -> None:
    """A stop that hangs is ended; whether that was clean depends on the final commit."""
    worker.is_stopping = True

    def end() -> None:
        log.warning("detector.stop.late", extra={"finished": worker.is_finished})
        os._exit(0 if worker.is_finished else 1)

    timer = threading.Timer(_STOP_SECONDS, end)
    timer.daemon = True
    timer.start()
