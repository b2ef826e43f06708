"""The local servers: ready after start, back with their data after kill -9, gone after stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest

from services.stack.kafka_server import KafkaServer
from services.stack.postgres_server import PostgresServer
from services.stack.topics import topic_plans
from services.transport.kafka_admin import KafkaAdmin, TopicPlan, differences
from tests.servers import Database, running_postgres

pytestmark = pytest.mark.integration


def test_topics_of_the_file_are_there_as_the_file_says(kafka: KafkaServer) -> None:
    plans = topic_plans(4)
    with KafkaAdmin(kafka.bootstrap) as admin:
        found = admin.describe_topics([plan.name for plan in plans])
        assert differences(plans, found) == []
        assert admin.create_topics(plans) == []
        assert admin.topic_names() == sorted(plan.name for plan in plans)


def test_differences_name_the_topic_and_both_values(kafka: KafkaServer) -> None:
    wrong = [
        TopicPlan(name="kairos.rules.v1", partitions=3, cleanup="compact", retention_ms=-1),
        TopicPlan(name="kairos.nowhere.v1", partitions=1, cleanup="delete", retention_ms=1000),
    ]
    with KafkaAdmin(kafka.bootstrap) as admin:
        found = differences(wrong, admin.describe_topics([plan.name for plan in wrong]))
    assert [str(difference) for difference in found] == [
        "kairos.rules.v1: partitions is 1, expected 3",
        "kairos.rules.v1: cleanup.policy is delete, expected compact",
        "kairos.nowhere.v1: topic is missing, expected present",
    ]


def test_broker_killed_in_the_act_comes_back_with_its_topics(kafka: KafkaServer) -> None:
    assert kafka.process is not None
    os.kill(kafka.process.pid, signal.SIGKILL)
    assert kafka.process.wait(10) == -signal.SIGKILL
    assert not kafka.is_ready()

    kafka.start()
    kafka.wait_until_ready()

    with KafkaAdmin(kafka.bootstrap) as admin:
        assert admin.partition_count("kairos.events.v1") == 4


def test_database_is_empty_and_takes_a_table(postgres: Database) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("CREATE TABLE here (a int)")
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (1,)


def test_killed_postgres_comes_back_with_what_was_committed(tmp_path: Path) -> None:
    with running_postgres(tmp_path / "home") as server:
        dsn = server.create_database("kept")
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE t AS SELECT 7 AS a")
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGKILL)
        assert server.process.wait(10) == -signal.SIGKILL
        assert (server.data / "postmaster.pid").exists(), "what a killed server leaves"

        server.start()
        server.wait_until_ready()

        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT a FROM t").fetchone() == (7,)


def test_stale_lock_file_with_somebody_elses_pid_does_not_stop_a_start(tmp_path: Path) -> None:
    with running_postgres(tmp_path / "home") as server:
        server.stop()
        (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n0\n1\n\n\n", encoding="ascii")
        server.start()
        server.wait_until_ready()


def test_password_is_needed_and_kept_private(postgres_server: PostgresServer) -> None:
    assert (postgres_server.home / "password").stat().st_mode & 0o077 == 0
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://kairos:wrong@127.0.0.1:{postgres_server.port}/postgres")
