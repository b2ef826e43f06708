"""Shards of revoked partitions: they come back as they were, for a while."""

from services.clock import ManualClock
from services.detector.kept import KeptShards
from services.detector.outbox import Outbox
from services.detector.records.poison import PoisonMeter, PoisonPolicy
from services.detector.shard import Shard
from tests.doubles.counting_engine import CountingPartition


class Nowhere:
    """Nothing is appended here."""

    async def append(self, topic: str, partition: int, records: object) -> int:
        raise AssertionError


def shard(number: int) -> Shard:
    outbox = Outbox(Nowhere(), records_max=1, on_failure=lambda exc: None)
    meter = PoisonMeter(PoisonPolicy(run_max=1, window=1, share_max=1.0))
    return Shard(number, CountingPartition(number), outbox, meter, last_turn=None)


def test_a_partition_that_comes_back_goes_on_with_its_own_state() -> None:
    clock = ManualClock(0)
    kept = KeptShards(60, monotonic=clock.monotonic)
    shards = {number: shard(number) for number in range(3)}
    kept.put(shards)
    clock.advance(30_000)
    assert kept.take([1, 7]) == {1: shards[1]}
    assert kept.take([1]) == {}
    clock.advance(29_000)
    assert kept.take([0]) == {0: shards[0]}


def test_what_is_kept_too_long_is_let_go() -> None:
    clock = ManualClock(0)
    kept = KeptShards(60, monotonic=clock.monotonic)
    kept.put({0: shard(0)})
    clock.advance(40_000)
    kept.put({1: shard(1)})
    clock.advance(20_000)
    kept.forget_old()
    assert len(kept) == 1
    assert kept.take([0]) == {}
