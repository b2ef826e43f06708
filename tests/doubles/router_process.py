"""A router process beside a workbench in memory, with Kafka and PostgreSQL real; for tests and measurements."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from schemas.codec import encode
from services.clock import ClockLine, write_clock_file
from services.router import decode
from services.stack.ports import free_ports
from services.transport.kafka_admin import KafkaAdmin
from services.transport.murmur2 import partition_of
from tests.doubles.dispatch_server import DispatchServer
from tests.doubles.router_records import NOW_MS

REPOSITORY = Path(__file__).parents[2]
NAMES = {
    decode.MOMENTS: "kairos.moments.v1.Moment",
    decode.MOMENTS_BULK: "kairos.moments.v1.Moment",
    decode.CUSTOMERS: "kairos.events.v1.CustomerEvent",
    decode.CONTACTS: "kairos.events.v1.ContactEvent",
    decode.TASK_EVENTS: "kairos.tasks.v1.TaskEvent",
}


class RouterRig:
    """Servers' addresses, the workbench, a producer, and router processes by name."""

    def __init__(self, home: Path, *, bootstrap: str, dsn: str, partitions: int = 4, speed: float = 1.0) -> None:
        self.home = home
        self.dsn = dsn
        self.bootstrap = bootstrap
        self.partitions = partitions
        key = secrets.token_bytes(32)
        (home / "secrets").mkdir(parents=True, exist_ok=True)
        (home / "secrets" / "token_signing_key").write_text(key.hex(), encoding="ascii")
        self.clock_file = home / "clock"
        self.set_clock(NOW_MS, speed=speed)
        self.producer: Any = None
        self.open_producer()
        self.workbench = DispatchServer(key, published=lambda event: self.publish(decode.TASK_EVENTS, [event]))
        self.target = self.workbench.start()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self._log_offset = 0

    def open_producer(self) -> None:
        """Connect anew; close the producer first when the broker is about to go, for it leaks what fails to connect."""
        self.producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=0)

    def set_clock(self, now_ms: int, *, speed: float = 1.0) -> None:
        """Move business time of all processes."""
        write_clock_file(self.clock_file, ClockLine(start_ms=now_ms, speed=speed, anchor_ms=int(time.time() * 1000)))

    def start(self, name: str = "one", **environment: str) -> None:
        """Start a router and return without waiting for it."""
        self.ports[name] = free_ports(1)[0]
        settings = {
            "KAIROS_ENVIRONMENT": "test",
            "KAIROS_CLOCK": f"@{self.clock_file}",
            "KAIROS_KAFKA_BOOTSTRAP": self.bootstrap,
            "KAIROS_POSTGRES_DSN": self.dsn,
            "KAIROS_SECRETS_DIR": str(self.home / "secrets"),
            "KAIROS_WORKBENCH_GRPC_TARGET": self.target,
            "KAIROS_ROUTER_METRICS_PORT": str(self.ports[name]),
            "KAIROS_VAR_DIR": str(self.home),
            "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'schemas' / 'rpc'}",
        }
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "services.router"],
                cwd=REPOSITORY,
                env={**os.environ, **settings, **environment},
                stderr=log,
                stdout=log,
            )

    def command(self, *arguments: str) -> str:
        """What `kairos router ...` prints; fails unless it succeeds."""
        environment = {
            **os.environ,
            "KAIROS_POSTGRES_DSN": self.dsn,
            "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'schemas' / 'rpc'}",
        }
        command = [sys.executable, "-m", "services.router", *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, timeout=30, check=True)
        return done.stdout.decode()

    def kill(self, name: str = "one") -> None:
        """kill -9."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes.pop(name).wait(10)

    def stop(self, name: str = "one") -> int:
        """SIGTERM; the exit code."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(15)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(10)
        self.workbench.stop()
        self.producer.close(timeout=2)

    def wait_until_ready(self, name: str = "one", *, seconds: float = 30.0) -> None:
        self.wait(lambda: self.get("/readyz", name) is not None, seconds=seconds, what=f"{name} to be ready")

    def wait(self, condition: Callable[[], bool], *, seconds: float = 20.0, what: str = "the condition") -> None:
        """Until the condition holds; fails after the deadline."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.005)
        logs = "\n".join(path.read_text(encoding="utf-8")[-3000:] for path in self.home.glob("*.log"))
        raise AssertionError(f"waited {seconds} s in vain for {what}\n{logs}")

    def get(self, path: str, name: str = "one") -> str | None:
        """Body of a 200 answer of the health server, else None."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=2) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return None

    def metric(self, line: str, name: str = "one") -> float | None:
        """Value of one metric line, such as kairos_router_lag_records{topic="..."}."""
        for found in (self.get("/metrics", name) or "").splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        return None

    def publish(self, topic: str, records: Iterable[dict[str, Any]], *, wait: bool = False) -> None:
        """Write records as their producers do: keyed by customer, customers with their log offset."""
        futures = []
        for record in records:
            key = str(record["customer_id"]).encode()
            headers = []
            if topic == decode.CUSTOMERS:
                self._log_offset += 1
                headers = [("log_offset", str(self._log_offset).encode())]
            value = encode(NAMES[topic], record)
            partition = partition_of(key, self.partitions)
            futures.append(self.producer.send(topic, key=key, value=value, headers=headers, partition=partition))
        if wait:
            for future in futures:
                future.get(timeout=20)
        self.producer.flush()

    def committed_lag(self) -> int:
        """Records on the router's topics beyond the offsets in PostgreSQL."""
        import psycopg

        with psycopg.connect(self.dsn) as db:
            rows = db.execute("SELECT topic, partition, next_offset FROM router.intake_positions").fetchall()
        stored = {(topic, partition): offset for topic, partition, offset in rows}
        with KafkaAdmin(self.bootstrap) as admin:
            ends = admin.end_offsets(decode.ALL_TOPICS)
        return sum(end - stored.get(key, 0) for key, end in ends.items())

    def forget(self) -> None:
        """Empty the router's tables, its positions apart: what earlier tests left."""
        import psycopg

        with psycopg.connect(self.dsn, options="-c search_path=router") as db:
            if db.execute("SELECT to_regclass('router.moments')").fetchone() != (None,):
                tables = "decision_locks, customers, moments, gates, contacts, cards, rescinds, contact_outbox"
                db.execute(f"TRUNCATE {tables}".encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.dsn, options="-c search_path=router") as db:
            return db.execute(query.encode()).fetchall()

    def messages(self) -> list[dict[str, Any]]:
        """What was written out by SMS."""
        path = self.home / "contacts.ndjson"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
