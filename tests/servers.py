"""Real servers for tests, made by the code of the local stack: a fresh broker, a PostgreSQL, each on free ports."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.stack.kafka_server import KafkaMissing, KafkaServer, fetch_jars
from services.stack.ports import free_ports
from services.stack.postgres_server import PostgresServer
from services.stack.process import ProcessFailed, last_lines
from services.stack.topics import topic_plans
from services.transport.kafka_admin import KafkaAdmin

VAR = Path(os.environ.get("KAIROS_VAR_DIR", Path(__file__).parents[1] / "var"))
PARTITIONS = 4
PORT_TAKEN = "Address already in use"
DURABILITY_OFF = {"fsync": "off", "full_page_writes": "off"}  # a killed server keeps its data; a lost machine need not


@dataclass(frozen=True)
class Database:
    """A database of its own on the session's server."""

    dsn: str
    name: str
    server: PostgresServer


def require_servers(reason: str) -> None:
    """Without the programs a test is skipped on a laptop and fails where servers are required (make test)."""
    if os.environ.get("KAIROS_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def make_kafka(home: Path) -> KafkaServer:
    """A broker that is not started yet, with all its files under `home`."""
    try:
        libs = fetch_jars(VAR)
    except KafkaMissing as exc:
        require_servers(str(exc))
        raise
    port, controller_port = free_ports(2)
    return KafkaServer(home, libs=libs, port=port, controller_port=controller_port, log=home / "kafka.log")


def _wait_until_ready(server: KafkaServer | PostgresServer) -> None:
    """Its folder is removed when it does not start, so the end of its log goes into the failure."""
    try:
        server.wait_until_ready()
    except ProcessFailed as failed:
        for line in last_lines(failed.log, 40):
            failed.add_note(line)
        raise


@contextlib.contextmanager
def running_kafka(home: Path, *, partitions: int = PARTITIONS) -> Iterator[KafkaServer]:
    """A fresh broker with all topics of schemas/topics.toml; its folder is removed afterwards."""
    server = _started_kafka(home)
    try:
        with KafkaAdmin(server.bootstrap) as admin:
            admin.create_topics(topic_plans(partitions))
            admin.committed_offsets("warm-up")  # makes the brokers' offsets topic, so that no test waits for it
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _started_kafka(home: Path) -> KafkaServer:
    """A broker that answers. Another test may take a free port before the broker does: once more then, on others."""
    try:
        return _start(make_kafka(home))
    except ProcessFailed as failed:
        if not any(PORT_TAKEN in line for line in last_lines(failed.log, 400)):
            raise
    return _start(make_kafka(home))


def _start(server: KafkaServer) -> KafkaServer:
    server.start()
    try:
        _wait_until_ready(server)
    except ProcessFailed:
        server.stop()
        raise
    return server


@contextlib.contextmanager
def running_postgres(home: Path) -> Iterator[PostgresServer]:
    """A fresh server; its folder is removed afterwards."""
    server = PostgresServer(home, port=free_ports(1)[0], log=home / "postgres.log", settings=DURABILITY_OFF)
    try:
        server.start()
        _wait_until_ready(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
