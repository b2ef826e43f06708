"""The whole stack on one machine, from an empty folder to ready and back: what `kairos up` runs in the foreground.

Owns the order: lock, clock, keys, jars, Kafka, PostgreSQL, topics, rules, services. Restarts are the supervisor's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.stack.addresses import SERVICES, Addresses, choose_addresses
from services.stack.clock_keeper import ClockKeeper
from services.stack.console import Progress
from services.stack.endpoints import FILE as ENDPOINTS_FILE
from services.stack.endpoints import Endpoints, write_endpoints
from services.stack.kafka_server import KafkaMissing, KafkaServer, fetch_jars, has_jars, kafka_version
from services.stack.key_files import ensure_keys
from services.stack.lock import StackLock
from services.stack.postgres_server import PostgresServer
from services.stack.process import ProcessFailed, last_lines
from services.stack.service import Service, kairos_argv, service_environment
from services.stack.stop_signals import StopRequested, StopSignals
from services.stack.supervisor import TICK_SECONDS, Child, Managed, State, Supervisor
from services.stack.topics import topic_plans
from services.transport.errors import TransportError
from services.transport.kafka_admin import KafkaAdmin, differences
from services.transport.tokens import ROLES, mint, read_key

DATABASE = "kairos"
DEMO_MANAGER = "m-NJ-01"
EVENT_LOG = "kairos.events.v1"
RULES = "kairos.rules.v1"
RULES_SECONDS = 240.0
READY_SECONDS = 90.0
COMPILE_SECONDS = 240.0  # the first start of a new version compiles kernels: half a minute of CPU
PATIENCE_SECONDS = 15.0  # a start that takes longer says why
MARK_SECONDS = 1.0
TOKEN_HOURS = 12.0
RENEW_SECONDS = 4 * 3600.0
SERVER_LINGER_SECONDS = 4.0  # Kafka and PostgreSQL outlive a killed supervisor by so much: services finish first
KEPT_WHEN_FRESH = ("lock", "bench")


class TopicsDiffer(Exception):
    """The topics on the brokers are not as schemas/topics.toml says; each line of the message names one difference."""


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """What a run is asked for. clock: `START,SPEED` or None; partitions: of a new event log."""

    var: Path
    environment: str = "demo"
    is_demo: bool = False
    is_fresh: bool = False
    clock: str | None = None
    partitions: int = 4
    usual_ports: bool = True


ServicePlans = Callable[[Addresses, Mapping[str, str], StackOptions], Sequence[Service]]


class LocalStack:
    """One run of the stack."""

    def __init__(self, options: StackOptions, progress: Progress, *, plan_services: ServicePlans | None = None) -> None:
        """plan_services: other services than the product's, for tests of the stack itself."""
        self._options = options
        self._progress = progress
        self._plan_services = plan_services or product_services
        self._publishes_rules = plan_services is None
        self.var = options.var.resolve()
        self._lock = StackLock(self.var)
        self._clock = ClockKeeper(self.var)
        self._addresses = Addresses({})
        self._supervisor = Supervisor()
        self._postgres: PostgresServer | None = None
        self._is_ready = False
        self._tokens: dict[str, str] = {}
        self._tokens_at = 0.0

    def run(self, when_ready: Callable[[Endpoints], None]) -> int:
        """Start everything, tell `when_ready`, look after it until a signal comes, stop everything; the exit code.

        Raises AlreadyRunning or LeftoversRemain before it has touched anything.
        """
        if self._lock.acquire():
            self._progress.note("stack", "waited for what an earlier stack had left to end")
        (self.var / ENDPOINTS_FILE).unlink(missing_ok=True)  # of a supervisor that was killed
        code = 0
        with StopSignals() as signals:
            try:
                self._start()
                when_ready(self._endpoints())
                self._write_endpoints()  # after what is told: a detached start copies that once this says ready
                self._watch()
            except StopRequested:
                pass
            except ProcessFailed as exc:
                self._report(exc)
                code = 1
            except (TopicsDiffer, TransportError, KafkaMissing) as exc:
                self._progress.bad("kafka", str(exc))
                code = 1
            finally:
                signals.ignore()
                self._stop()
        return code

    def _start(self) -> None:
        options = self._options
        if options.is_fresh:
            clear(self.var)
        try:
            self._clock.open(options.clock, is_demo=options.is_demo)
        except ValueError as exc:
            raise ProcessFailed("clock", str(exc), self._clock.path) from exc
        ensure_keys(self._secrets)
        self._addresses = choose_addresses(usual=options.usual_ports)
        if options.usual_ports and self._addresses.moved:
            moved = ", ".join(f"{use} on {port}" for use, port in self._addresses.moved.items())
            self._progress.note("ports", f"usual ports are taken; {moved}")
        self._supervisor = Supervisor(inherit=[self._lock.descriptor], on_change=self._tell)
        self._start_servers()
        env = service_environment(self._environment())
        self._ensure_topics()
        if self._publishes_rules:
            self._ensure_rules(env)
        for service in self._plan_services(self._addresses, env, options):
            self._bring_up(service, "ready")
        self._is_ready = True

    def _start_servers(self) -> None:
        ports = self._addresses.ports
        if not has_jars(self.var):
            with self._progress.step("kafka", f"fetching Apache Kafka {kafka_version()} with Maven, once"):
                fetch_jars(self.var)
            self._progress.good("kafka", f"fetched Apache Kafka {kafka_version()}")
        kafka = KafkaServer(
            self.var / "kafka",
            libs=fetch_jars(self.var),
            port=ports["kafka"],
            controller_port=ports["kafka_controller"],
            log=self.log("kafka"),
            linger_seconds=SERVER_LINGER_SECONDS,
        )
        self._bring_up(kafka, self._addresses.kafka)
        postgres = PostgresServer(
            self.var / "postgres",
            port=ports["postgres"],
            log=self.log("postgres"),
            linger_seconds=SERVER_LINGER_SECONDS,
        )
        self._bring_up(postgres, self._addresses.at("postgres"))
        postgres.create_database(DATABASE)
        self._postgres = postgres

    def _bring_up(self, managed: Managed, outcome: str) -> None:
        begun = time.monotonic()
        with self._progress.step(managed.name, "starting"):
            self._supervisor.bring_up(managed, on_wait=PatientNotes(self._progress, managed.name))
        self._progress.good(managed.name, f"{outcome}, {time.monotonic() - begun:.1f} s")

    def _ensure_topics(self) -> None:
        """Create what is missing. P of an event log that exists is what it is."""
        with KafkaAdmin(self._addresses.kafka) as admin:
            exists = EVENT_LOG in admin.topic_names()
            partitions = admin.partition_count(EVENT_LOG) if exists else self._options.partitions
            plans = topic_plans(partitions)
            created = admin.create_topics(plans)
            admin.committed_offsets("kairos.warm-up")  # makes the brokers' offsets topic before the first group joins
            found = differences(plans, admin.describe_topics([plan.name for plan in plans]))
        if found:
            raise TopicsDiffer("\n".join(str(difference) for difference in found))
        self._progress.good(
            "topics", f"{len(plans)} as in schemas/topics.toml, {len(created)} created, P = {partitions}"
        )

    def _ensure_rules(self, env: Mapping[str, str]) -> None:
        with KafkaAdmin(self._addresses.kafka) as admin:
            published = sum(admin.end_offsets([RULES]).values())
        if published:
            self._progress.good("rules", f"{published} published before")
            return
        log = self.log("rules-publish")
        log.parent.mkdir(parents=True, exist_ok=True)
        with self._progress.step("rules", "publishing the shipped set"), open(log, "wb") as output:
            argv = kairos_argv("rules", "publish", "--author", "shipped", "--publisher", "kairos-up")
            try:
                done = subprocess.run(argv, env=env, stdout=output, stderr=output, timeout=RULES_SECONDS, check=False)
            except subprocess.TimeoutExpired as exc:
                raise ProcessFailed("rules", f"not published after {RULES_SECONDS:.0f} s", log) from exc
        if done.returncode != 0:
            raise ProcessFailed("rules", f"`kairos rules publish` ended with {done.returncode}", log)
        self._progress.good("rules", "the shipped set is published")

    def _watch(self) -> None:
        marked = 0.0
        while True:
            self._supervisor.tick()
            now = time.monotonic()
            if now - marked >= MARK_SECONDS:
                self._clock.mark()
                marked = now
            if now - self._tokens_at >= RENEW_SECONDS:
                self._write_endpoints()
            time.sleep(TICK_SECONDS)

    def _stop(self) -> None:
        if self._supervisor.children:
            with self._progress.step("stack", "stopping"):
                self._supervisor.stop([SERVICES, ("kafka", "postgres")])
            for child in self._supervisor.children:
                if child.last_exit == -signal.SIGKILL:
                    self._progress.note(child.managed.name, f"had to be killed; {_short(child.managed.log)}")
            self._progress.good("stack", "stopped; the data stays under " + _short(self.var))
        self._clock.close()
        (self.var / ENDPOINTS_FILE).unlink(missing_ok=True)
        self._lock.release()

    def _tell(self, child: Child) -> None:
        """Say what a person should know of a change, and write it down for everybody else."""
        name = child.managed.name
        if child.state is State.WAITING:
            wait = max(0.0, child.restart_at - time.monotonic())
            self._progress.bad(
                name, f"ended with {child.last_exit}; again in {wait:.1f} s; {_short(child.managed.log)}"
            )
        elif child.state is State.UP and child.restarts:
            self._progress.good(name, f"up again after restart {child.restarts}")
        elif child.state is State.FINISHED:
            self._progress.good(name, "finished")
        if child.state is not State.STOPPED:
            self._write_endpoints()

    def _report(self, failed: ProcessFailed) -> None:
        self._progress.bad(failed.name, failed.reason)
        lines = [] if failed.name == "clock" else last_lines(failed.log)
        if lines:
            self._progress.text(f"  the last lines of {_short(failed.log)}:")
            for line in lines:
                self._progress.text(f"    {line}")

    def _write_endpoints(self) -> None:
        if self._postgres is not None:
            write_endpoints(self.var, self._endpoints())

    def _endpoints(self) -> Endpoints:
        assert self._postgres is not None
        children = self._supervisor.children
        return Endpoints(
            environment=self._options.environment,
            supervisor_pid=os.getpid(),
            ready=self._is_ready,
            kafka=self._addresses.kafka,
            postgres_dsn=self._postgres.dsn(DATABASE),
            ingest_http=f"http://{self._addresses.at('ingest_http')}",
            ingest_grpc=self._addresses.at("ingest_grpc"),
            workbench_grpc=self._addresses.at("workbench_grpc"),
            metrics=self._addresses.metrics,
            tokens=self._fresh_tokens(),
            clock=f"@{self._clock.path}",
            secrets_dir=str(self._secrets),
            var_dir=str(self.var),
            pids={child.managed.name: child.pid for child in children if child.pid is not None},
            processes={child.managed.name: _describe(child) for child in children},
        )

    def _fresh_tokens(self) -> dict[str, str]:
        if not self._tokens or time.monotonic() - self._tokens_at >= RENEW_SECONDS:
            key = read_key(self._secrets)
            subjects = {role: DEMO_MANAGER if role == "manager" else f"local-{role}" for role in ROLES}
            self._tokens = {role: mint(key, subject=subjects[role], role=role, hours=TOKEN_HOURS) for role in ROLES}
            self._tokens_at = time.monotonic()
        return self._tokens

    def _environment(self) -> dict[str, str]:
        assert self._postgres is not None
        own = self._addresses.environment(
            postgres_dsn=self._postgres.dsn(DATABASE), secrets_dir=self._secrets, var=self.var
        )
        return own | {"KAIROS_ENVIRONMENT": self._options.environment, "KAIROS_CLOCK": f"@{self._clock.path}"}

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self.var / "log" / f"{name}.log"

    @property
    def _secrets(self) -> Path:
        return self.var / "secrets"


class PatientNotes:
    """Says why a start takes long: once after PATIENCE_SECONDS, and again when the reason changes."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._begun = time.monotonic()
        self._said = ""

    def __call__(self, reason: str) -> None:
        if time.monotonic() - self._begun >= PATIENCE_SECONDS and reason != self._said:
            self._said = reason
            self._progress.note(self._name, f"still starting: {reason}")


def product_services(addresses: Addresses, env: Mapping[str, str], options: StackOptions) -> list[Service]:
    """The services of the product in the order of their start; in a demo a simulated city on top."""
    log, cwd = options.var.resolve() / "log", Path.cwd()
    own = {"detector": {"KAIROS_DETECTOR_INSTANCE_ID": "detector-1"}}  # static member: back without a rebalance
    services = [
        Service(
            name=name,
            argv=kairos_argv(name),
            log=log / f"{name}.log",
            env={**env, **own.get(name, {})},
            cwd=cwd,
            metrics_port=addresses.ports[f"{name}_metrics"],
            ready_seconds=COMPILE_SECONDS if name == "detector" else READY_SECONDS,
        )
        for name in SERVICES
    ]
    if options.is_demo:
        argv = kairos_argv("simulate", "--demo")
        services.append(
            Service(name="simulate", argv=argv, log=log / "simulate.log", env=env, cwd=cwd, may_finish=True)
        )
    return services


def clear(var: Path) -> None:
    """Remove the data of earlier runs; jars and benchmark results stay, and so does a folder no stack has used."""
    if not (var / "log").exists():
        return
    for path in var.iterdir():
        if path.name in KEPT_WHEN_FRESH or path.name.startswith("kafka-"):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _describe(child: Child) -> dict[str, Any]:
    return {
        "state": str(child.state),
        "pid": child.pid,
        "restarts": child.restarts,
        "last_exit": child.last_exit,
        "log": str(child.managed.log),
    }


def _short(path: Path) -> str:
    """The path as seen from here, where it lies below."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
