"""What ends a worker at once: a turn that breaks off, unless it stops anyway; rules in force that it refused."""

import asyncio
from typing import Any, ClassVar, cast

import pytest

from services.clock import SystemClock
from services.detector import worker as module
from services.detector.outbox import Outbox
from services.detector.settings import DetectorSettings
from services.detector.shard import Pause, Shard
from services.detector.worker import Worker
from services.transport.kafka_producer import OutRecord


class ReaderIsGone:
    """A writer of turns whose commit finds the reader's loop closed."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    async def run(self) -> None:
        raise RuntimeError("Event loop is closed")


class Ended(Exception):
    """The process would end now."""


def end(why: BaseException) -> None:
    raise Ended(why)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(module, "TurnWriter", ReaderIsGone)
    monkeypatch.setattr(module, "die", end)
    worker = Worker(DetectorSettings(kafka_bootstrap="none:1"), cast(Any, None), SystemClock(), owner="test")
    worker.attach(cast(Any, ReaderLike()))
    worker._producer = worker._admin = cast(Any, None)
    return worker


class ReaderLike:
    """What a worker asks of its reader here."""

    async def commit(self) -> None:
        pass


async def test_a_turn_that_fails_ends_the_process(broken: Worker) -> None:
    with pytest.raises(Ended):
        await broken._write_turns(cast(Shard, ShardLike()))


async def test_a_turn_that_fails_while_it_stops_is_let_go(broken: Worker) -> None:
    broken.is_stopping = True
    await broken._write_turns(cast(Shard, ShardLike()))


async def test_rules_in_force_that_were_refused_here_end_the_process(broken: Worker) -> None:
    """Others may be able to use them; a partition of this worker would stand still for ever."""
    broken.rules = cast(Any, RulesLike())
    broken._shards = {3: cast(Shard, ShardLike())}
    with pytest.raises(Ended, match="province@7: line 3"):
        await asyncio.wait_for(broken._follow_rules(), 5)


class ShardLike:
    """What is told of a partition."""

    number = 3
    pause = Pause.RULES
    awaited_rules = 7
    outbox: Outbox


class RulesLike:
    """A feed that refused what it read."""

    refused: ClassVar[dict[int, str]] = {7: "province@7: line 3"}

    def has(self, offset: int) -> bool:
        return offset not in self.refused


async def test_a_stop_waits_for_the_outputs_of_partitions_that_were_revoked(broken: Worker) -> None:
    """Dead letters may linger; after the stop their producer is closed."""
    appended: list[str] = []

    class Told:
        async def append(self, topic: str, partition: int, records: Any) -> int:
            appended.append(topic)
            return len(records)

    outbox = Outbox(Told(), records_max=9, on_failure=end)
    outbox.put("letters", 0, [OutRecord(None, b"x")], may_linger=True)
    shard = ShardLike()
    shard.outbox = outbox
    broken._shards = {3: cast(Shard, shard)}
    broken._lag = cast(Any, LagLike())
    await broken.release()
    await asyncio.wait_for(broken.finish(), 5)
    assert appended == ["letters"]


class LagLike:
    """Tells nobody."""

    async def look(self, positions: dict[int, int]) -> None:
        assert positions == {}
