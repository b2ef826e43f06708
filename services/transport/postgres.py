"""Applies numbered SQL files to one PostgreSQL schema, once each and in order.

Owns the lock, the record of what was applied and the check that it has not changed since. What the files say, and every
query of a service, is the service's own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

LOCK_SECONDS = 60  # another instance is migrating: longer than any migration of a healthy start
CONNECT_SECONDS = 10
FILE_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


class MigrationRefused(Exception):
    """The database or the folder is not what was expected. Nothing of the named file was kept; a person must decide."""

    def __init__(self, schema: str, file: str, reason: str) -> None:
        super().__init__(f"schema {schema}, {file}: {reason}")
        self.schema = schema
        self.file = file
        self.reason = reason


@dataclass(frozen=True)
class Migration:
    """One file: its number orders it, its checksum (SHA-256 of the text) holds it still after it was applied."""

    number: int
    name: str
    text: str
    sha256: str


def migrate(dsn: str, schema: str, folder: Path) -> list[str]:
    """Bring `schema` up to the newest file of `folder` and return the names applied now, oldest first.

    Each file runs in a transaction of its own, with `schema` first on the search path. Instances that start together
    wait for one another. Numbers beyond the folder's newest are left alone: a newer version has run here.
    Raises MigrationRefused for a changed, missing or failing file; psycopg.OperationalError when the server is away.
    """
    migrations = read_migrations(schema, folder)
    with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        _lock(connection, schema)
        applied = _applied(connection, schema)
        waiting = plan_migrations(schema, migrations, applied)
        for migration in waiting:
            _apply(connection, schema, migration)
    return [migration.name for migration in waiting]


def read_migrations(schema: str, folder: Path) -> list[Migration]:
    """The files of a folder in order; refused when a name has no number or the numbers have a gap."""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        match = FILE_NAME.match(path.name)
        if match is None:
            raise MigrationRefused(schema, path.name, "the name is not NNNN_words_in_lower_case.sql")
        text = path.read_text(encoding="utf-8")
        migrations.append(
            Migration(int(match.group(1)), path.name, text, hashlib.sha256(text.encode("utf-8")).hexdigest())
        )
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise MigrationRefused(schema, migration.name, f"expected number {expected:04d} here")
    return migrations


def plan_migrations(
    schema: str, migrations: Sequence[Migration], applied: Mapping[int, tuple[str, str]]
) -> list[Migration]:
    """The migrations still to apply; refused when an applied one has changed. applied: number → (name, sha256)."""
    for migration in migrations:
        before = applied.get(migration.number)
        if before is not None and before[1] != migration.sha256:
            raise MigrationRefused(
                schema, migration.name, f"was applied as {before[0]} with other text; add a new file instead"
            )
    return [migration for migration in migrations if migration.number not in applied]


def pending_migrations(dsn: str, schema: str, folder: Path) -> list[str]:
    """Names of files not yet applied; reads only, takes no lock."""
    migrations = read_migrations(schema, folder)
    with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        found = connection.execute("SELECT to_regclass(%s)", [f"{schema}.schema_migrations"]).fetchone()
        applied = {} if found is None or found[0] is None else _read_applied(connection, schema)
    return [migration.name for migration in plan_migrations(schema, migrations, applied)]


def _lock(connection: psycopg.Connection, schema: str) -> None:
    """Take the lock of this schema for the session; the server lets go of it when the connection ends."""
    connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(f"{LOCK_SECONDS}s")))
    try:
        connection.execute("SELECT pg_advisory_lock(hashtext('migrate'), hashtext(%s))", [schema])
    except psycopg.errors.LockNotAvailable as exc:
        reason = f"another process has been migrating for more than {LOCK_SECONDS} s"
        raise MigrationRefused(schema, "lock", reason) from exc


def _applied(connection: psycopg.Connection, schema: str) -> dict[int, tuple[str, str]]:
    name = sql.Identifier(schema)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {}.schema_migrations (number integer PRIMARY KEY, name text NOT NULL,"
            " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        ).format(name)
    )
    return _read_applied(connection, schema)


def _read_applied(connection: psycopg.Connection, schema: str) -> dict[int, tuple[str, str]]:
    query = sql.SQL("SELECT number, name, sha256 FROM {}.schema_migrations").format(sql.Identifier(schema))
    return {number: (name, sha256) for number, name, sha256 in connection.execute(query)}


def _apply(connection: psycopg.Connection, schema: str, migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL search_path TO {}, public").format(sql.Identifier(schema)))
            connection.execute(migration.text.encode("utf-8"))
            connection.execute(
                sql.SQL("INSERT INTO {}.schema_migrations (number, name, sha256) VALUES (%s, %s, %s)").format(
                    sql.Identifier(schema)
                ),
                [migration.number, migration.name, migration.sha256],
            )
    except psycopg.errors.OperationalError:
        raise
    except psycopg.Error as exc:
        raise MigrationRefused(schema, migration.name, _explain(exc, migration.text)) from exc


def _explain(exc: psycopg.Error, text: str) -> str:
    """The server's words and the line of the file it points at."""
    message = exc.diag.message_primary or str(exc)
    position = exc.diag.statement_position
    if position is None:
        return message
    return f"line {text.count(chr(10), 0, int(position) - 1) + 1}: {message}"
