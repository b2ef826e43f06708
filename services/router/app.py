"""Composition root of the router: builds the parts, runs the threads, drains on SIGTERM."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from schemas.cities import CITIES
from services.clock import Clock, clock_from_environment
from services.router.capacity_watch import SharedCapacity
from services.router.contact_channel import FileChannel
from services.router.instances import InstanceName
from services.router.intake import Intake
from services.router.kafka_intake import DeadLetters, KafkaIntake, Key
from services.router.loops import Fate, IntakeLoop, TurnLoop, Wake
from services.router.settings import RouterSettings
from services.router.store.database import SCHEMA, connect, mapped_errors
from services.router.store.intake import Position, aim, claim
from services.router.workbench_client import WorkbenchClient
from services.telemetry.health import Health, HealthServer
from services.transport.errors import TransportUnavailable
from services.transport.postgres import migrate
from services.transport.tokens import TokenSource, read_key

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
START_PAUSE_SECONDS = 0.5


def serve(settings: RouterSettings, *, clock: Clock | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code: 0 = asked to stop, 1 = broken, start me again."""
    clock = clock or clock_from_environment()
    fate = Fate(away_seconds=settings.away_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: fate.stopping.set())
    health = Health("router", clock)
    health.add_live("process", lambda: fate.fault)
    starting = {"fault": "starting"}
    health.add_ready("start", lambda: starting.get("fault"))
    with HealthServer(health, host=settings.bind_host, port=settings.metrics_port) as server:
        log.info("router.started", extra={"metrics_port": server.port})
        if _migrated(settings, fate):
            with InstanceName(settings.postgres_dsn) as instance:
                _run(settings, clock, fate, health, instance.name, started=starting.clear)
    log.info("router.stopped", extra={"fault": fate.fault})
    return 0 if fate.fault is None else 1


def _run(
    settings: RouterSettings, clock: Clock, fate: Fate, health: Health, instance: str, *, started: Callable[[], None]
) -> None:
    dsn, wake = settings.postgres_dsn, Wake()
    key = read_key(settings.secrets_dir)
    workbench = WorkbenchClient(settings.workbench_grpc_target, TokenSource(key, subject=instance, role="router"))
    capacity = SharedCapacity(wake.tell)
    crash_point = crash_point_of(settings)
    dead_letters = DeadLetters(settings.kafka_bootstrap)

    def take_over(keys: Iterable[Key]) -> dict[Key, Position]:
        with connect(dsn, "claim") as db:
            return claim(db, keys, instance)

    def note_ends(ends: Mapping[Key, tuple[Position, int]]) -> None:
        with connect(dsn, "claim") as db:
            aim(db, ends)

    source = KafkaIntake(
        settings.kafka_bootstrap, group=settings.group, instance=instance, claim=take_over, aim=note_ends
    )
    intake = Intake(source, dead_letters, clock, batch_records=settings.batch_records, crash_point=crash_point)
    intake_loop = IntakeLoop(dsn, source, intake, wake, fate)
    file = settings.message_file
    turn_loop = TurnLoop(
        dsn,
        workbench,
        capacity,
        FileChannel(file) if file is not None else None,
        wake,
        fate,
        clock,
        cities=CITIES,
        waits=lambda: intake_loop.fault or (None if source.is_current else source.catching_up or "nothing is assigned"),
        crash_point=crash_point,
    )
    health.add_ready("intake", lambda: intake_loop.fault)
    health.add_ready("turns", lambda: turn_loop.fault)
    health.add_ready("capacity", lambda: None if capacity.is_known() else "the workbench does not tell its capacity")
    started()
    threads = [
        fate.guard("intake", intake_loop.run),
        fate.guard("turns", turn_loop.run),
        fate.guard("capacity", lambda: capacity.follow(workbench, fate.stopping)),
    ]
    fate.stopping.wait()
    deadline = time.monotonic() + settings.drain_seconds
    for thread in threads[:2]:
        thread.join(max(0.0, deadline - time.monotonic()))
    workbench.close()
    dead_letters.close()


def _migrated(settings: RouterSettings, fate: Fate) -> bool:
    """Bring the schema up to date, waiting for PostgreSQL as long as the settings allow; False when asked to stop."""
    since = time.monotonic()
    while not fate.stopping.is_set():
        try:
            with mapped_errors():
                migrate(settings.postgres_dsn, SCHEMA, MIGRATIONS)
            return True
        except TransportUnavailable as exc:
            fate.outlast("start", since, exc, START_PAUSE_SECONDS)
    return False


def crash_point_of(settings: RouterSettings) -> Callable[[str], None]:
    """What is called between phases: nothing, or for tests a kill -9 of this process at the phase they name."""
    wanted, _, count = settings.crash_at.partition(":")
    if not wanted:
        return lambda _: None
    left = {wanted: int(count or 1)}

    def crash(phase: str) -> None:
        if phase in left:
            left[phase] -= 1
            if left[phase] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return crash
