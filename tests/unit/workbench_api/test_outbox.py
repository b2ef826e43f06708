"""The outbox tells whether Kafka is there, also when it has nothing to publish."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from services.workbench_api.dependency import Dependency
from services.workbench_api.outbox import OutboxPublisher


class EmptyOutbox:
    """A database whose outbox is empty, until told otherwise; counts the looks."""

    def __init__(self) -> None:
        self.looks = 0

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        yield self

    async def execute(self, query: str, parameters: object) -> Any:
        self.looks += 1
        return SimpleNamespace(fetchall=self.rows)

    async def rows(self) -> list[Any]:
        return []


class Kafka:
    """A producer that is asked whether it reaches a broker."""

    def __init__(self, *, is_there: bool) -> None:
        self.is_there = is_there
        self.asked = 0

    async def publish(self, topic: str, records: list[Any]) -> None:
        raise AssertionError("there is nothing to publish")

    async def is_reachable(self) -> bool:
        self.asked += 1
        return self.is_there


async def looks(kafka: Kafka, dependency: Dependency, count: int) -> None:
    """Run the publisher for so many looks at its outbox."""
    database = EmptyOutbox()
    publisher = OutboxPublisher(database, kafka, dependency)  # type: ignore[arg-type]  # the part it uses
    task = asyncio.ensure_future(publisher.run())
    async with asyncio.timeout(10):
        while database.looks < count:
            publisher.hear(SimpleNamespace(outbox=True))  # type: ignore[arg-type]  # the part it uses
            await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_an_empty_outbox_does_not_hide_that_kafka_is_away() -> None:
    kafka, dependency = Kafka(is_there=False), Dependency("Kafka")
    await looks(kafka, dependency, 20)
    assert dependency.fault() is not None
    assert kafka.asked == 1, "asked now and then, not at every look"


async def test_an_answer_of_kafka_ends_its_absence() -> None:
    kafka, dependency = Kafka(is_there=True), Dependency("Kafka")
    dependency.lost()
    await looks(kafka, dependency, 2)
    assert dependency.fault() is None
