"""Migrations on a real PostgreSQL: once each, whole or not at all, and by one process at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from services.transport.postgres import MigrationRefused, migrate, pending_migrations
from tests.servers import Database

pytestmark = pytest.mark.integration


def test_each_file_is_applied_once_in_its_schema(postgres: Database, tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE kept (a int); INSERT INTO kept VALUES (1);")
    assert pending_migrations(postgres.dsn, "once", tmp_path) == ["0001_first.sql"]
    assert migrate(postgres.dsn, "once", tmp_path) == ["0001_first.sql"]
    (tmp_path / "0002_second.sql").write_text("INSERT INTO kept VALUES (2);")
    assert migrate(postgres.dsn, "once", tmp_path) == ["0002_second.sql"]
    assert migrate(postgres.dsn, "once", tmp_path) == []
    assert pending_migrations(postgres.dsn, "once", tmp_path) == []
    with psycopg.connect(postgres.dsn) as connection:
        assert connection.execute("SELECT a FROM once.kept ORDER BY a").fetchall() == [(1,), (2,)]


def test_failing_file_leaves_nothing_and_names_its_line(postgres: Database, tmp_path: Path) -> None:
    (tmp_path / "0001_bad.sql").write_text("CREATE TABLE half (a int);\n\nSELECT nonsense;\n")
    with pytest.raises(
        MigrationRefused, match=r"schema broken, 0001_bad\.sql: line 3: column \"nonsense\" does not exist"
    ):
        migrate(postgres.dsn, "broken", tmp_path)
    with psycopg.connect(postgres.dsn) as connection:
        assert connection.execute("SELECT to_regclass('broken.half')").fetchone() == (None,)


def test_processes_that_start_together_apply_once(postgres: Database, tmp_path: Path) -> None:
    (tmp_path / "0001_slow.sql").write_text("CREATE TABLE t (a int); SELECT pg_sleep(0.3);")
    with ThreadPoolExecutor(6) as pool:
        applied = list(pool.map(lambda _: migrate(postgres.dsn, "together", tmp_path), range(6)))
    assert sorted(applied) == [[], [], [], [], [], ["0001_slow.sql"]]


def test_server_that_is_away_is_an_operational_error(tmp_path: Path) -> None:
    with pytest.raises(psycopg.OperationalError):
        migrate("postgresql://kairos@127.0.0.1:1/none", "s", tmp_path)
