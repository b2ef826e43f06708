"""Connections to the schema `router`, and the one mapping of foreign errors.

One connection per thread, opened again by the thread's own loop after a fault; every statement has a time limit.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from services.transport.errors import TransportUnavailable

SCHEMA = "router"
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30

Db = Connection[TupleRow]


def connect(dsn: str, name: str) -> Db:
    """A connection whose statements see the schema first; `name` shows in pg_stat_activity."""
    with mapped_errors():
        return psycopg.connect(
            dsn,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name=f"kairos-router-{name}",
            options=f"-c search_path={SCHEMA},public -c statement_timeout={STATEMENT_SECONDS}s",
        )


@contextmanager
def mapped_errors() -> Iterator[None]:
    """A server that is away, restarts or gives a deadlock is unavailable; anything else is a mistake of ours."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
        raise TransportUnavailable("postgresql", str(exc).strip()) from exc


def rows_json(rows: list[dict[str, Any]]) -> str:
    """Rows for json_to_recordset: one parameter for a whole batch. NUL, which PostgreSQL lacks, becomes U+FFFD."""
    return json.dumps(rows, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("\\u0000", "\\ufffd")
