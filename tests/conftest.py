"""Fixtures for every tier: real servers, started when a test first asks for them.

The servers' code is imported by the fixtures, not by this file: unit tests neither wait for it nor need its libraries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # see above
    from services.stack.kafka_server import KafkaServer
    from services.stack.postgres_server import PostgresServer
    from tests.servers import Database

LIBRARY_WARNINGS = (
    r"ignore:(read_text|open_text) is deprecated\. Use files\(\) instead:DeprecationWarning",  # kafka-python, at import
)


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, but for those of libraries about themselves."""
    for line in LIBRARY_WARNINGS:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A fresh broker for this module with all topics, P = 4.

    Use `.bootstrap`; to be rough `.process.pid`, `.start()`, `.wait_until_ready()`.
    """
    from tests.servers import running_kafka

    with running_kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for the session."""
    from tests.servers import running_postgres

    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh, empty database for this module. Use `.dsn`."""
    from tests.servers import Database

    name = re.sub(r"[^a-z0-9]+", "_", request.node.nodeid.lower().removesuffix(".py"))[-50:].strip("_")
    yield Database(dsn=postgres_server.create_database(name), name=name, server=postgres_server)
    postgres_server.drop_database(name)
