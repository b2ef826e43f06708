"""A turn: nothing is told before what it rests on is acknowledged."""

import asyncio
from collections.abc import Sequence

from schemas.codec import decode, encode
from services.detector.chaos import Chaos
from services.detector.durability.state_records import STATE_TOPIC
from services.detector.durability.turns import TurnWriter
from services.detector.outbox import Outbox
from services.detector.records.poison import PoisonMeter, PoisonPolicy
from services.detector.shard import EVENTS_TOPIC, MOMENTS_TOPIC, LastTurn, Shard
from services.transport.kafka_frames import FramedRecords
from services.transport.kafka_producer import OutRecord
from tests.doubles.counting_engine import ENGINE, CountingPartition
from tests.doubles.framed import single_records

LAST = LastTurn(manifest_offset=90, first_state_offset=80, next_log_offset=0)


class Record:
    timestamp = 1

    def __init__(self, offset: int, customer: int) -> None:
        common = {"event_id": str(offset), "occurred_at": 1, "ingested_at": 1, "source": "s", "balance_fen": 1}
        self.offset, self.key = offset, b"%d" % customer
        self.value = encode("kairos.events.v1.BalanceEvent", {**common, "customer_id": customer})


class World:
    """Broker, group and trimmer in one: acknowledges where a gate is open, and notes the order of what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.gates = {name: asyncio.Event() for name in (MOMENTS_TOPIC, "StatePage", "StateManifest", "commit")}
        self._state = 100
        self.writer, self.shard = self._make()

    def _make(self) -> tuple[TurnWriter, Shard]:
        outbox = Outbox(self, records_max=100, on_failure=_fail)
        meter = PoisonMeter(PoisonPolicy(run_max=10, window=100, share_max=0.5))
        shard = Shard(1, CountingPartition(1), outbox, meter, last_turn=LAST)
        shard.apply([Record(n, n % 5 + 1) for n in range(15)], ENGINE, {})  # five moments, two pages
        writer = TurnWriter(
            shard, engine=ENGINE, producer=self, trimmer=self, commit=self.commit, turn_seconds=1, chaos=Chaos({})
        )
        return writer, shard

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int:
        assert topic != EVENTS_TOPIC
        value = single_records(records)[0].value
        assert value is not None
        what = topic if topic != STATE_TOPIC else decode(value).name.rsplit(".", 1)[-1]
        self.done.append(f"{what} sent")
        await self.gates[what].wait()
        self.done.append(f"{what} acknowledged")
        self._state += topic == STATE_TOPIC
        return self._state

    async def commit(self) -> None:
        self.done.append(f"commit {self.shard.last_turn.next_log_offset if self.shard.last_turn else None}")
        await self.gates["commit"].wait()

    async def trim(self, partition: int, before_offset: int) -> None:
        self.done.append(f"trim before {before_offset}")


def _fail(exc: BaseException) -> None:
    raise exc


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_each_step_waits_until_the_one_before_is_acknowledged() -> None:
    world = World()
    turn = asyncio.ensure_future(world.writer.write(spread_seconds=0))
    expected = [f"{MOMENTS_TOPIC} sent"]
    await settled()
    assert world.done == expected
    for gate, news in (
        (MOMENTS_TOPIC, [f"{MOMENTS_TOPIC} acknowledged", "StatePage sent"]),
        ("StatePage", ["StatePage acknowledged", "StatePage sent", "StatePage acknowledged", "StateManifest sent"]),
        ("StateManifest", ["StateManifest acknowledged", "commit 15"]),
        ("commit", ["trim before 80"]),
    ):
        assert world.shard.last_turn == LAST or gate == "commit"
        world.gates[gate].set()
        await settled()
        expected += news
        assert world.done == expected
    await asyncio.wait_for(turn, 1)
    assert world.shard.last_turn == LastTurn(manifest_offset=102, first_state_offset=100, next_log_offset=15)


async def test_what_came_after_the_first_page_is_acknowledged_before_the_page_that_holds_it() -> None:
    world = World()
    world.gates["StateManifest"].set()
    world.gates["commit"].set()
    world.gates[MOMENTS_TOPIC].set()
    turn = asyncio.ensure_future(world.writer.write(spread_seconds=0))
    await settled()
    assert world.done[-1] == "StatePage sent"  # the first, not acknowledged yet
    world.gates[MOMENTS_TOPIC].clear()
    world.shard.apply([Record(n, n % 5 + 1) for n in range(15, 30)], ENGINE, {})
    world.gates["StatePage"].set()
    await settled()
    assert world.done.count("StatePage sent") == 1, "the second page holds what is not acknowledged"
    world.gates[MOMENTS_TOPIC].set()
    await asyncio.wait_for(turn, 1)
    assert world.shard.last_turn is not None
    assert world.shard.last_turn.next_log_offset == 15, "of the first page, the one with the least of the log"
