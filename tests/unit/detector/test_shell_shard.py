"""A shard: each record once, in order, outputs put, and standing still without losing anything."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from schemas.codec import encode
from services.detector.errors import LogTorn, StateUnusable
from services.detector.outbox import APPEND_RECORDS_MAX, Outbox
from services.detector.records.dead_letters import DEAD_LETTERS_TOPIC
from services.detector.records.poison import PoisonMeter, PoisonPolicy
from services.detector.shard import MOMENTS_BULK_TOPIC, MOMENTS_TOPIC, Pause, Shard
from services.transport.kafka_frames import FramedRecords
from services.transport.kafka_lanes import checked_size
from services.transport.kafka_producer import OutRecord
from tests.doubles.counting_engine import ENGINE, NEXT_ENGINE, CountingApplied, CountingChunk, CountingPartition
from tests.doubles.framed import framed, single_records


@dataclass
class Record:
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 1


@dataclass
class Broker:
    """Keeps what is appended; appends wait while `is_open` is not set."""

    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    appended: list[tuple[str, int, OutRecord]] = field(default_factory=list)

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int:
        await self.is_open.wait()
        self.appended += [(topic, partition, record) for record in single_records(records)]
        return len(self.appended)


def fail(exc: BaseException) -> None:
    raise exc


def make(broker: Broker, *, run_max: int = 100, records_max: int = 100) -> Shard:
    meter = PoisonMeter(PoisonPolicy(run_max=run_max, window=10_000, share_max=1.0))
    outbox = Outbox(broker, records_max=records_max, on_failure=fail)
    return Shard(2, CountingPartition(2), outbox, meter, last_turn=None)


def balance(offset: int, customer: int = 1) -> Record:
    event = {
        "event_id": str(offset),
        "customer_id": customer,
        "occurred_at": offset,
        "ingested_at": offset,
        "source": "s",
        "balance_fen": 1,
    }
    return Record(offset, b"%d" % customer, encode("kairos.events.v1.BalanceEvent", event))


def log_of(count: int, first: int = 0) -> list[Record]:
    return [balance(offset) for offset in range(first, first + count)]


async def test_records_that_come_twice_count_once() -> None:
    broker = Broker()
    broker.is_open.set()
    shard = make(broker)
    shard.apply(log_of(6), ENGINE, {})
    shard.apply(log_of(6, first=3), ENGINE, {})
    shard.apply(log_of(3, first=1), ENGINE, {})
    await shard.outbox.until(shard.outbox.ticket)
    assert shard.next_offset == 9
    assert [topic for topic, _, _ in broker.appended] == [MOMENTS_TOPIC] * 3


class GreetingPartition(CountingPartition):
    """Its moments reach everybody at once."""

    def apply(self, chunk: CountingChunk, rules: Mapping[int, Any]) -> CountingApplied:
        applied = super().apply(chunk, rules)
        applied.bulk = frozenset({"AN4"})
        return applied


async def test_moments_of_bulk_rules_go_their_own_way() -> None:
    broker = Broker()
    broker.is_open.set()
    shard = make(broker)
    shard.partition = GreetingPartition(2)
    shard.apply(log_of(6), ENGINE, {})
    await shard.outbox.until(shard.outbox.ticket)
    assert [topic for topic, _, _ in broker.appended] == [MOMENTS_BULK_TOPIC] * 2


async def test_missing_records_before_a_chunk_are_not_passed_over() -> None:
    shard = make(Broker())
    shard.apply(log_of(2), ENGINE, {})
    with pytest.raises(LogTorn, match="expected offset 2, got 4"):
        shard.apply(log_of(2, first=4), ENGINE, {})


async def test_missing_records_within_a_chunk_are_not_passed_over() -> None:
    with pytest.raises(LogTorn):
        make(Broker()).apply([*log_of(2), *log_of(2, first=3)], ENGINE, {})


async def test_chunks_fetched_before_a_seek_are_passed_over() -> None:
    shard = make(Broker())
    shard.apply(log_of(2), ENGINE, {})
    shard.seeks()
    shard.apply(log_of(2, first=7), ENGINE, {})
    assert shard.next_offset == 2
    shard.apply(log_of(2, first=2), ENGINE, {})
    assert shard.next_offset == 4


async def test_a_flood_of_poison_stops_before_it() -> None:
    shard = make(Broker(), run_max=2)
    bad = [Record(offset, b"1", b"?") for offset in range(3)]
    assert shard.apply(bad, ENGINE, {}) is Pause.POISON
    assert shard.next_offset == 0
    shard.poison_allowed_to = 3
    assert shard.apply(bad, ENGINE, {}) is None
    assert shard.next_offset == 3


async def test_permission_for_the_first_half_of_a_chunk_lets_that_half_pass_once() -> None:
    """Else the partition would be resumed, fail at the same place, and be resumed again, for ever."""
    shard = make(Broker(), run_max=2)
    bad = [Record(offset, b"1", b"?") for offset in range(10)]
    shard.poison_allowed_to = 6
    assert shard.apply(bad, ENGINE, {}) is Pause.POISON
    assert shard.next_offset == 6
    assert shard.apply(bad, ENGINE, {}) is Pause.POISON
    assert shard.next_offset == 6


def mark(offset: int, engine_version: int = 1) -> Record:
    return Record(offset, None, encode("kairos.control.v1.HandOver", {"engine_version": engine_version}))


async def test_an_engine_applies_nothing_behind_its_hand_over() -> None:
    shard = make(Broker())
    assert shard.apply([*log_of(2), mark(2), *log_of(3, first=3)], ENGINE, {}) is Pause.HAND_OVER
    assert (shard.next_offset, shard.is_handed_over) == (3, True)


async def test_the_next_engine_passes_the_hand_over_of_the_one_before() -> None:
    shard = make(Broker())
    shard.apply(log_of(1), NEXT_ENGINE, {})
    shard.is_from_log_alone = False
    assert shard.apply([*log_of(2), mark(2), *log_of(3, first=3)], NEXT_ENGINE, {}) is None
    assert (shard.next_offset, shard.is_handed_over) == (6, False)


async def test_a_log_that_another_engine_has_judged_is_not_judged_again_from_its_beginning() -> None:
    with pytest.raises(StateUnusable, match="before offset 2 was judged by engine 1"):
        make(Broker()).apply([*log_of(2), mark(2)], NEXT_ENGINE, {})


async def test_poison_keeps_its_bytes_and_tells_where_it_was() -> None:
    broker = Broker()
    broker.is_open.set()
    shard = make(broker)
    shard.apply([balance(0), Record(1, b"key", b"\x01junk"), balance(2)], ENGINE, {})
    await shard.outbox.until(shard.outbox.ticket)
    ((topic, partition, record),) = [each for each in broker.appended if each[0] == DEAD_LETTERS_TOPIC]
    headers = dict(record.headers)
    assert (topic, partition, record.key, record.value) == (
        DEAD_LETTERS_TOPIC, 0, b"kairos.events.v1/2/1", b"\x01junk",
    )  # fmt: skip
    assert headers["offset"] == b"1"
    assert headers["partition"] == b"2"
    assert headers["topic"] == b"kairos.events.v1"
    assert headers["key"] == b"key"
    assert headers["reason"]


async def test_poison_as_large_as_a_broker_takes_is_cut_and_passed() -> None:
    broker = Broker()
    broker.is_open.set()
    shard = make(broker)
    assert shard.apply([Record(0, b"k" * 30_000, b"\x01" * 1_010_000)], ENGINE, {}) is None
    await shard.outbox.until(shard.outbox.ticket)
    ((_, _, record),) = broker.appended
    checked_size(DEAD_LETTERS_TOPIC, [record])
    assert dict(record.headers)["cut_from_bytes"] == b"1010000"


@pytest.mark.parametrize("laid_out", [list, framed])
async def test_very_many_outputs_go_in_appends_of_bounded_size(
    laid_out: Callable[[list[OutRecord]], list[OutRecord] | FramedRecords],
) -> None:
    """Each append has one deadline; all moments of a Monday in one would miss it, and again after the restart."""
    sizes: list[int] = []
    appended: list[OutRecord] = []

    class Counting:
        async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int:
            sizes.append(len(records))
            appended.extend(single_records(records))
            await asyncio.sleep(0)
            return len(records)

    outbox = Outbox(Counting(), records_max=5, on_failure=fail)
    many = [OutRecord(None, b"%d" % n, []) for n in range(2 * APPEND_RECORDS_MAX + 1)]
    outbox.put("t", 0, laid_out(many[:7]))
    outbox.put("t", 0, laid_out(many[7:]))
    await outbox.until(outbox.ticket)
    assert sizes == [APPEND_RECORDS_MAX, APPEND_RECORDS_MAX, 1]
    assert appended == many
    assert outbox.records == 0


@pytest.mark.parametrize("laid_out", [list, framed])
async def test_large_outputs_are_bounded_by_their_bytes(
    laid_out: Callable[[list[OutRecord]], list[OutRecord] | FramedRecords],
) -> None:
    """Dead letters of a megabyte each: neither an append nor what waits grows with their number alone."""
    counts: list[int] = []
    is_open = asyncio.Event()

    class Slow:
        async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int:
            await is_open.wait()
            counts.append(len(records))
            return len(records)

    outbox = Outbox(Slow(), records_max=50_000, on_failure=fail)
    letter = OutRecord(None, bytes(1 << 20), [])
    outbox.put("t", 0, laid_out([letter] * 70))
    room = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    assert not room.done()
    is_open.set()
    await asyncio.wait_for(room, 5)
    await outbox.until(outbox.ticket)
    assert counts == [15] * 4 + [10]
    outbox.put("t", 0, laid_out([letter]))
    await asyncio.wait_for(outbox.room(), 5)


async def test_rules_that_are_not_loaded_stop_before_the_tick() -> None:
    shard = make(Broker())
    tick = Record(0, None, encode("kairos.control.v1.Tick", {"now": 60_000, "rules_offset": 5}))
    assert shard.apply([tick], ENGINE, {}) is Pause.RULES
    assert (shard.next_offset, shard.awaited_rules) == (0, 5)
    assert shard.apply([tick], ENGINE, {5: object()}) is None
    assert shard.partition.tick_now_ms == 60_000


async def test_a_ticket_is_kept_until_all_before_it_is_acknowledged() -> None:
    broker = Broker()
    shard = make(broker)
    shard.apply(log_of(3), ENGINE, {})
    waiting = asyncio.ensure_future(shard.outbox.until(shard.outbox.ticket))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    broker.is_open.set()
    await asyncio.wait_for(waiting, 1)
    assert len(broker.appended) == 1


async def test_a_full_outbox_holds_the_reader() -> None:
    broker = Broker()
    shard = make(broker, records_max=2)
    shard.apply(log_of(6), ENGINE, {})
    room = asyncio.ensure_future(shard.outbox.room())
    await asyncio.sleep(0.01)
    assert not room.done()
    broker.is_open.set()
    await asyncio.wait_for(room, 1)


async def test_outputs_put_while_others_are_on_their_way_keep_their_order() -> None:
    broker = Broker()
    shard = make(broker)
    for first in range(0, 30, 3):
        shard.apply(log_of(3, first=first), ENGINE, {})
        await asyncio.sleep(0)
    broker.is_open.set()
    await shard.outbox.until(shard.outbox.ticket)
    keys = [record.value for topic, _, record in broker.appended if topic == MOMENTS_TOPIC]
    assert len(keys) == len(set(keys)) == 10


async def test_a_failed_append_is_told() -> None:
    told: list[BaseException] = []

    class Away:
        async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int:
            raise RuntimeError("away")

    outbox = Outbox(Away(), records_max=5, on_failure=told.append)
    outbox.put("t", 0, [OutRecord(None, b"x")])
    for _ in range(5):
        await asyncio.sleep(0)
    assert [str(each) for each in told] == ["away"]
    assert outbox.acknowledged == 0


async def test_dead_letters_wait_for_company_and_moments_do_not() -> None:
    broker = Broker()
    broker.is_open.set()
    outbox = Outbox(broker, records_max=100, on_failure=fail)
    outbox.put("letters", 0, framed([OutRecord(None, b"first", [])]), may_linger=True)
    outbox.put("moments", 0, [OutRecord(None, b"moment")])
    for _ in range(5):
        await asyncio.sleep(0)
    assert [record.value for _, _, record in broker.appended] == [b"moment"]
    assert outbox.acknowledged == 0, "a turn must not go beyond a letter that is not written"
    outbox.put("letters", 0, framed([OutRecord(None, b"second", [])]), may_linger=True)
    await asyncio.wait_for(outbox.until(1), 5)
    assert [record.value for _, _, record in broker.appended] == [b"moment", b"first", b"second"]
    assert (outbox.acknowledged, outbox.records) == (outbox.ticket, 0)


async def test_what_lingers_goes_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.detector.outbox.LINGER_SECONDS", 0.0)
    broker, is_there = Broker(), asyncio.Event()
    broker.is_open.set()

    class Told(Broker):
        async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int:
            is_there.set()
            return await broker.append(topic, partition, records)

    outbox = Outbox(Told(), records_max=100, on_failure=fail)
    outbox.put("letters", 0, [OutRecord(None, b"alone")], may_linger=True)
    await asyncio.wait_for(is_there.wait(), 5)
    assert [record.value for _, _, record in broker.appended] == [b"alone"]


async def test_a_full_outbox_does_not_wait_for_what_lingers() -> None:
    broker = Broker()
    broker.is_open.set()
    outbox = Outbox(broker, records_max=1, on_failure=fail)
    outbox.put("letters", 0, [OutRecord(None, b"a")], may_linger=True)
    await asyncio.wait_for(outbox.room(), 5)
    assert outbox.records == 0
