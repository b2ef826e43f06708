"""The serving process: HTTP and gRPC doors over one publisher, health and metrics; stops by draining."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass

from schemas.json_form.validation import DoorRules
from services.clock import Clock
from services.ingest.admission import Admission
from services.ingest.bounded_http import http_server, listening_socket
from services.ingest.grpc_door import GrpcDoor
from services.ingest.http_door import HttpDoor
from services.ingest.publish import EventPublisher
from services.ingest.settings import IngestSettings, read_secret
from services.telemetry.health import Health, HealthServer
from services.transport.errors import TransportError
from services.transport.kafka_producer import KafkaProducer

log = logging.getLogger(__name__)

_PROBE_SECONDS = 1.0
_PROBE_DEADLINE_SECONDS = 2.0


@dataclass
class BrokerWatch:
    """Whether Kafka answers, and since when not. Written by the probe, read by the health thread."""

    lost_since: float | None = None

    def fault(self) -> str | None:
        """The reason for not being ready, if any."""
        since = self.lost_since
        return None if since is None else f"Kafka does not answer since {time.monotonic() - since:.0f} s"


async def serve(settings: IngestSettings, *, kinds: Collection[str], clock: Clock) -> int:
    """Run until SIGTERM or SIGINT, or until Kafka was away for too long; returns the exit code."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    phone_key = read_secret(settings.secrets_dir, "phone_hash_key")
    if phone_key is None:
        log.warning("ingest.phone_key.absent", extra={"effect": "customer events with a phone number are refused"})
    watch = BrokerWatch(lost_since=time.monotonic())
    health = Health("ingest", clock)
    health.add_ready("kafka", watch.fault)
    health.add_ready("draining", lambda: "the process is stopping" if stopping.is_set() else None)
    producer = KafkaProducer(
        settings.kafka_bootstrap, client_id="kairos-ingest", deadline_seconds=settings.acknowledge_seconds
    )
    with HealthServer(health, host=settings.bind_host, port=settings.metrics_port) as health_server:
        try:
            await producer.open(deadline_seconds=settings.brokers_lost_seconds)
        except TransportError as exc:
            log.error("ingest.kafka.unreachable", extra={"reason": str(exc)})
            return 1
        doors = _Doors(settings, producer, clock=clock, kinds=kinds, rules=DoorRules(phone_key=phone_key))
        await doors.open()
        log.info(
            "ingest.started",
            extra={"http_port": doors.http_port, "grpc_port": doors.grpc.port, "metrics_port": health_server.port},
        )
        lost = asyncio.create_task(_watch_brokers(producer, watch, doors.grpc, settings.brokers_lost_seconds))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({lost, stopped, doors.http_task}, return_when=asyncio.FIRST_COMPLETED)
        is_stopped = stopping.is_set()
        stopping.set()
        for task in (lost, stopped):
            task.cancel()
        await doors.close()
        await producer.close(deadline_seconds=2.0)
    log.info("ingest.stopped", extra={"reason": "signal" if is_stopped else "kafka was away for too long"})
    return 0 if is_stopped else 1


class _Doors:
    """Both doors with what they share."""

    def __init__(
        self,
        settings: IngestSettings,
        producer: KafkaProducer,
        *,
        clock: Clock,
        kinds: Collection[str],
        rules: DoorRules,
    ) -> None:
        self._settings = settings
        self._admission = Admission(
            bytes_max=settings.in_flight_bytes_max, requests_max=settings.in_flight_requests_max
        )
        publisher = EventPublisher(producer, clock=clock)
        self.grpc = GrpcDoor(
            publisher, self._admission, rules=rules, kinds=kinds, acknowledge_seconds=settings.acknowledge_seconds
        )
        self._http = HttpDoor(
            publisher,
            self._admission,
            rules=rules,
            kinds=kinds,
            body_bytes_max=settings.body_bytes_max,
            body_seconds=settings.body_seconds,
            acknowledge_seconds=settings.acknowledge_seconds,
        )
        self._server = http_server(
            self._http.application(), connections_max=settings.connections_max, drain_seconds=settings.drain_seconds
        )
        self.http_port = 0
        self.http_task: asyncio.Task[None]

    async def open(self) -> None:
        """Bind both ports and serve."""
        listener = listening_socket(self._settings.bind_host, self._settings.http_port)
        self.http_port = listener.getsockname()[1]
        await self.grpc.open(self._settings.bind_host, self._settings.grpc_port)
        self.http_task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def close(self) -> None:
        """Take nothing new, finish what was accepted, within the time for draining."""
        self._admission.drain()
        self._server.should_exit = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds + 1.0):
                await asyncio.gather(self.http_task, self.grpc.close(self._settings.drain_seconds))


async def _watch_brokers(producer: KafkaProducer, watch: BrokerWatch, door: GrpcDoor, lost_seconds_max: float) -> None:
    """Probe the brokers every second; returns when they were away for too long."""
    while True:
        if await producer.is_reachable(deadline_seconds=_PROBE_DEADLINE_SECONDS):
            if watch.lost_since is not None:
                log.info("ingest.kafka.reachable")
            watch.lost_since = None
        elif watch.lost_since is None:
            watch.lost_since = time.monotonic()
            log.warning("ingest.kafka.lost")
        elif time.monotonic() - watch.lost_since > lost_seconds_max:
            return
        await door.tell_health(is_serving=watch.lost_since is None)
        await asyncio.sleep(_PROBE_SECONDS)
