"""The composition root: builds the parts, runs them, ends when told to or when a server has been away for too long."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import psycopg

from services.clock import Clock
from services.telemetry.health import Health, HealthServer
from services.transport.errors import TransportUnavailable
from services.transport.kafka_producer import KafkaProducer
from services.transport.postgres import MigrationRefused, migrate
from services.transport.tokens import read_key
from services.workbench_api import gauges
from services.workbench_api.card_store import CardStore
from services.workbench_api.database import Database
from services.workbench_api.dependency import Dependency
from services.workbench_api.dispatch_store import DispatchStore
from services.workbench_api.errors import StoreUnavailable
from services.workbench_api.followers import CustomerFollower, follow_rules
from services.workbench_api.leader import lead
from services.workbench_api.outbox import OutboxPublisher
from services.workbench_api.roster import Roster
from services.workbench_api.rpc.admin import AdminRpc
from services.workbench_api.rpc.dispatch import DispatchRpc
from services.workbench_api.rpc.manager import ManagerRpc
from services.workbench_api.rpc.server import RpcServer, Servicers
from services.workbench_api.sentences import Sentences
from services.workbench_api.settings import WorkbenchSettings
from services.workbench_api.sweeper import Sweeper
from services.workbench_api.waiters import CapacityFeed, SeenBook, Waiters
from services.workbench_api.work_store import WorkStore

log = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).parent / "migrations"
SCHEMA: Final = "workbench"
_SEEN_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.5
_EXIT_LOST = 1


class Workbench:
    """One instance: `open()` to `close()`. `run_parts()` runs everything that goes on beside the calls."""

    def __init__(self, settings: WorkbenchSettings, clock: Clock, *, key: bytes) -> None:
        self._settings = settings
        self._clock = clock
        self.postgres = Dependency("PostgreSQL")
        self.kafka = Dependency("Kafka")
        self.database = Database(settings.postgres_dsn, connections_max=settings.connections)
        self.producer = KafkaProducer(settings.kafka_bootstrap, client_id="kairos-workbench")
        self.waiters = Waiters(waiters_max=settings.waiting_polls_max, per_manager_max=settings.polls_per_manager_max)
        self.seen = SeenBook(self.waiters)
        self.feed = CapacityFeed()
        self.sentences = Sentences()
        self.roster = Roster(self.database, clock, policy=settings.presence_policy)
        self.store = WorkStore(self.database, clock, self.roster, policy=settings.lease_policy)
        self.publisher = OutboxPublisher(self.database, self.producer, self.kafka)
        self.sweeper = Sweeper(self.database, clock, self.store, self.roster, interval_seconds=settings.sweep_seconds)
        for listener in (self.waiters.hear, self.feed.hear, self.publisher.hear):
            self.database.listen(listener)
        self.server = RpcServer(
            self._servicers(),
            key=key,
            waiters=self.waiters,
            feed=self.feed,
            calls_per_caller_max=settings.calls_per_caller_max,
            real_ms=clock.real_ms,
            with_reflection=settings.reflection,
        )

    async def open(self) -> None:
        """Connect, migrate, listen. Raises StoreUnavailable, TransportUnavailable, MigrationRefused."""
        settings = self._settings
        await migrate_when_there(settings.postgres_dsn, settings.lost_seconds)
        await self.database.open(deadline_seconds=settings.lost_seconds)
        await self.producer.open(deadline_seconds=settings.lost_seconds)
        await self.server.open(f"{settings.bind_host}:{settings.grpc_port}")

    async def close(self) -> None:
        """Drain: polls return empty, calls finish, the outbox goes out as far as the time allows."""
        await self.server.close(self._settings.drain_seconds / 2)
        try:
            await self.publisher.drain(self._settings.drain_seconds / 4)
        except StoreUnavailable:
            log.warning("workbench.outbox.left")
        await self.producer.close(deadline_seconds=1.0)
        await self.database.close()

    async def run_parts(self) -> None:
        """Everything beside the calls, for ever. Raises what no retry can mend."""
        follower = CustomerFollower(self.database, self._settings.kafka_bootstrap)
        silence_from = self._clock.monotonic() + self._settings.silence_seconds
        chores = [
            lambda: self._steadily(lambda: self.sweeper.run(silence_from=silence_from)),
            lambda: self._steadily(self.publisher.run),
            lambda: self._steadily(follower.run),
        ]
        parts: list[Awaitable[None]] = [
            lead(self._settings.postgres_dsn, chores),
            self.database.follow(),
            follow_rules(self._settings.kafka_bootstrap, self.sentences),
            self._steadily(self._note_seen),
            self._steadily(lambda: gauges.refresh(self.database, self.waiters, self.postgres)),
        ]
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _steadily(self, part: Callable[[], Awaitable[None]]) -> None:
        """Run a part for ever; while the database is away, start it again and again."""
        while True:
            try:
                await part()
            except StoreUnavailable as exc:
                self.postgres.lost()
                log.warning("workbench.database.away", extra={"reason": str(exc)})
            await asyncio.sleep(_RETRY_SECONDS)

    async def _note_seen(self) -> None:
        while True:
            heard = self.seen.take()
            if heard:
                await self.roster.saw(heard)
            await asyncio.sleep(min(_SEEN_SECONDS, self._settings.silence_seconds / 4))

    def _servicers(self) -> Servicers:
        return Servicers(
            managers=ManagerRpc(
                clock=self._clock,
                store=self.store,
                roster=self.roster,
                cards=CardStore(self.database),
                waiters=self.waiters,
                seen=self.seen,
                sentences=self.sentences,
                looks_max=max(1, self._settings.connections * 2 // 3),
            ),
            dispatches=DispatchRpc(
                clock=self._clock, store=DispatchStore(self.database, self._clock), roster=self.roster, feed=self.feed
            ),
            admins=AdminRpc(roster=self.roster),
        )


async def serve(settings: WorkbenchSettings, clock: Clock) -> int:
    """Run until SIGTERM or SIGINT, or until a server has been away for too long; returns the exit code."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    workbench = Workbench(settings, clock, key=read_key(settings.secrets_dir))
    opened = asyncio.Event()
    health = Health("workbench", clock)
    health.add_ready("starting", lambda: None if opened.is_set() else "the process is starting")
    health.add_ready("draining", lambda: "the process is stopping" if stopping.is_set() else None)
    for dependency in (workbench.postgres, workbench.kafka):
        health.add_ready(dependency.name.lower(), dependency.fault)
    with HealthServer(health, host=settings.bind_host, port=settings.metrics_port) as health_server:
        try:
            await workbench.open()
        except (StoreUnavailable, TransportUnavailable, MigrationRefused, RuntimeError) as exc:
            log.error("workbench.start.failed", extra={"reason": str(exc)})
            return _EXIT_LOST
        opened.set()
        log.info("workbench.started", extra={"grpc_port": workbench.server.port, "metrics_port": health_server.port})
        code = await _run_until_stopped(workbench, stopping, settings.lost_seconds)
        stopping.set()
        await workbench.close()
    log.info("workbench.stopped", extra={"exit_code": code})
    return code


async def _run_until_stopped(workbench: Workbench, stopping: asyncio.Event, lost_seconds: float) -> int:
    parts = asyncio.ensure_future(workbench.run_parts())
    lost = asyncio.ensure_future(_until_lost((workbench.postgres, workbench.kafka), lost_seconds))
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([parts, lost, stopped], return_when=asyncio.FIRST_COMPLETED)
    failure = parts.exception() if parts.done() and not parts.cancelled() else None
    if failure is not None:
        log.error("workbench.part.failed", exc_info=failure)
    for task in (parts, lost, stopped):
        task.cancel()
    await asyncio.gather(parts, lost, stopped, return_exceptions=True)
    return 0 if stopping.is_set() and failure is None else _EXIT_LOST


async def _until_lost(dependencies: tuple[Dependency, ...], seconds: float) -> None:
    while all(each.lost_seconds() < seconds for each in dependencies):  # noqa: ASYNC110  # time passes, nothing happens
        await asyncio.sleep(min(1.0, seconds / 4))
    log.error("workbench.dependency.lost", extra={"faults": [each.fault() for each in dependencies if each.fault()]})


async def migrate_when_there(dsn: str, seconds: float) -> None:
    """Bring the schema up to date, waiting for the server. Raises StoreUnavailable, MigrationRefused."""
    ends = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            applied = await asyncio.to_thread(migrate, dsn, SCHEMA, MIGRATIONS)
        except psycopg.OperationalError as exc:
            if asyncio.get_running_loop().time() >= ends:
                raise StoreUnavailable("the database cannot be reached") from exc
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            if applied:
                log.info("workbench.migrated", extra={"files": applied})
            return
