"""State out and in, step by step, against a real broker: trimming, interruptions, damage, refusals.

The loader and the writer run in this process; each test has a partition, or a topic position, of its own.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from schemas.codec import decode, encode
from services.detector.broker_admin import BrokerAdmin
from services.detector.chaos import Chaos
from services.detector.durability.loading import Loaded, StateLoader
from services.detector.durability.state_records import MANIFEST, PAGE
from services.detector.durability.turns import TurnWriter
from services.detector.engine_binding import released_engine
from services.detector.errors import StateUnusable
from services.detector.outbox import Outbox
from services.detector.records.poison import PoisonMeter, PoisonPolicy
from services.detector.shard import Shard
from services.stack.kafka_server import KafkaServer
from services.transport.kafka_admin import KafkaAdmin
from services.transport.kafka_frames import FramedRecords
from services.transport.kafka_producer import KafkaProducer, OutRecord
from tests.doubles.counting_engine import ENGINE, CountingPartition
from tests.integration import detector_rig as rig
from tests.reference.logs import Log, raw_records
from tests.servers import running_kafka

pytestmark = pytest.mark.integration
START_MS = rig.START_MS


class Cut(Exception):
    """Stands for a kill at a step."""


class CutAt(Chaos):
    """Raises instead of killing, at the n-th time of a step."""

    def __init__(self, step: str = "", times: int = 1) -> None:
        super().__init__({})
        self.step, self.times = step, times

    def after(self, step: str) -> None:
        if step == self.step:
            self.times -= 1
            if self.times == 0:
                raise Cut(step)


class Bench:
    """One partition on one broker: feed it, write turns, load it again."""

    def __init__(self, bootstrap: str, producer: KafkaProducer, admin: BrokerAdmin, number: int) -> None:
        self.bootstrap, self.producer, self.admin, self.number = bootstrap, producer, admin, number
        self.feed = rig.Feed(seed=number, customers=30)
        self.shard = self._shard(CountingPartition(number), None)
        self.commits = 0

    def _shard(self, partition: Any, last_turn: Any) -> Shard:
        meter = PoisonMeter(PoisonPolicy(run_max=10, window=100, share_max=0.5))
        outbox = Outbox(self.producer, records_max=1_000, on_failure=lambda exc: None)
        return Shard(self.number, partition, outbox, meter, last_turn=last_turn)

    async def grow(self, events: int) -> None:
        """Append events to the log and apply them."""
        records = self.feed.batch(events)
        end = await self.producer.append(rig.EVENTS, self.number, records)
        self.shard.apply([_Raw(end - events + at, *record[:2]) for at, record in enumerate(records)], ENGINE, {})

    async def turn(self, chaos: Chaos | None = None, shard: Shard | None = None, engine: Any = ENGINE) -> None:
        async def commit() -> None:
            self.commits += 1

        writer = TurnWriter(
            shard or self.shard,
            engine=engine,
            producer=self.producer,
            trimmer=self.admin,
            commit=commit,
            turn_seconds=1,
            chaos=chaos or CutAt(),
        )
        await writer.write(spread_seconds=0)

    async def load(self, engine: Any = ENGINE) -> Loaded:
        async with StateLoader(self.bootstrap, engine) as loader:
            return await loader.load(self.number)

    async def loaded_rows(self) -> tuple[int, Any]:
        """Where the loaded state continues, and its rows once the rest of the log is applied."""
        loaded = await self.load()
        start, partition = loaded.partition.next_offset, loaded.partition
        rest = (await asyncio.to_thread(rig.read_topic, self.bootstrap, rig.EVENTS))[self.number]
        records = [record for record in rest if record.offset >= start]
        if records:
            partition.apply(ENGINE.decode_chunk(self.number, records), {})
        return start, partition._rows  # type: ignore[attr-defined]  # of the stand-in

    @property
    def rows(self) -> Any:
        return self.shard.partition._rows  # type: ignore[attr-defined]  # of the stand-in

    async def state(self) -> list[Any]:
        return (await asyncio.to_thread(rig.read_topic, self.bootstrap, rig.STATE))[self.number]

    async def append_state(self, records: Sequence[OutRecord]) -> None:
        await self.producer.append(rig.STATE, self.number, records)


class _Raw:
    timestamp = 1

    def __init__(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        self.offset, self.key, self.value = offset, key, value


@pytest.fixture(scope="module")
def numbers() -> list[int]:
    return list(range(19))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A broker with a partition for every test of this module."""
    with running_kafka(tmp_path_factory.mktemp("kafka"), partitions=19) as server:
        yield server


@pytest.fixture
async def bench(broker: KafkaServer, numbers: list[int]) -> AsyncIterator[Bench]:
    producer, admin = KafkaProducer(broker.bootstrap, client_id="test"), BrokerAdmin(broker.bootstrap)
    await producer.open()
    yield Bench(broker.bootstrap, producer, admin, numbers.pop())
    await producer.close()
    await admin.close()


async def test_an_empty_log_starts_from_nothing(bench: Bench) -> None:
    loaded = await bench.load()
    assert (loaded.partition.next_offset, loaded.partition.customers, loaded.last_turn) == (0, 0, None)


async def test_a_turn_of_an_empty_partition_keeps_the_offset_and_the_tick(bench: Bench) -> None:
    tick = OutRecord(None, encode("kairos.control.v1.Tick", {"now": 60_000, "rules_offset": -1}))
    await bench.producer.append(rig.EVENTS, bench.number, [tick])
    bench.shard.apply([_Raw(0, None, tick.value)], ENGINE, {})
    await bench.turn()
    loaded = await bench.load()
    assert (loaded.partition.next_offset, loaded.partition.tick_now_ms) == (1, 60_000)


async def test_state_comes_back_as_it_was(bench: Bench) -> None:
    await bench.grow(200)
    await bench.turn()
    await bench.grow(50)
    start, rows = await bench.loaded_rows()
    assert (start, rows) == (200, bench.rows)
    assert bench.commits == 1


@pytest.mark.parametrize("step", ["outputs", "page", "pages", "manifest", "committed"])
async def test_a_turn_that_is_cut_off_leaves_a_state_that_can_be_loaded(bench: Bench, step: str) -> None:
    await bench.grow(200)
    await bench.turn()
    await bench.grow(100)
    with pytest.raises(Cut):
        await bench.turn(CutAt(step, times=2 if step in ("outputs", "page") else 1))
    await bench.grow(10)
    start, rows = await bench.loaded_rows()
    assert start == (300 if step in ("manifest", "committed") else 200)
    assert rows == bench.rows


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
async def test_a_page_of_hostile_cases_goes_out_in_parts(bench: Bench, cut: bool) -> None:
    """Every customer of a page with all the complaints and handset changes that are kept, long texts, no repetition."""
    engine, log = released_engine(), Log()
    texts = random.Random(5)
    for number in range(16):
        for customer in range(1, 513):
            text = texts.randbytes(400).hex()
            if number % 2:
                log.event("handset-change", START_MS + number, customer_id=customer, device_model=text)
            else:
                log.event("complaint", START_MS + number, customer_id=customer, complaint_id=text[:64], topic="BILLING",
                          state="OPENED")  # fmt: skip
    records = raw_records(log.entries)
    await bench.producer.append(rig.EVENTS, bench.number, [OutRecord(None, b"")] * len(records))
    partition = engine.new_partition(bench.number, 0)
    partition.apply(engine.decode_chunk(bench.number, records), {})
    assert len(partition.dump_page(0).payload) > 1_048_576, "else this test proves nothing"
    shard = bench._shard(partition, None)
    await bench.turn(shard=shard, engine=engine)
    if cut:
        with pytest.raises(Cut):
            await bench.turn(CutAt("part"), shard=shard, engine=engine)
    loaded = await bench.load(engine)
    assert loaded.partition.next_offset == len(records)
    assert loaded.partition.dump_page(0) == partition.dump_page(0)


async def test_a_first_turn_that_is_cut_off_is_as_none(bench: Bench) -> None:
    await bench.grow(100)
    with pytest.raises(Cut):
        await bench.turn(CutAt("page", times=3))
    start, rows = await bench.loaded_rows()
    assert (start, rows) == (0, bench.rows)


async def test_only_the_last_two_complete_turns_are_kept(bench: Bench) -> None:
    for _ in range(4):
        await bench.grow(100)
        await bench.turn()
    names = [decode(record.value) for record in await bench.state()]
    assert [each.name for each in names].count(MANIFEST) == 2
    assert names[0].name == PAGE
    assert names[0].record["page"] == 0
    assert (await bench.loaded_rows())[0] == 400


async def test_pages_that_were_written_while_the_log_went_on_are_replayed_once(bench: Bench) -> None:
    """A page skips what it contains; the manifest's offset is that of the oldest page."""
    await bench.grow(100)

    class Growing(CutAt):
        def __init__(self) -> None:
            super().__init__()
            self.records = 0

        def after(self, step: str) -> None:
            if step == "page":
                records = bench.feed.batch(7)
                growing.append(records)
                at = bench.shard.next_offset
                bench.shard.apply([_Raw(at + n, *record[:2]) for n, record in enumerate(records)], ENGINE, {})

    growing: list[list[OutRecord]] = []
    await bench.turn(Growing())
    for records in growing:
        await bench.producer.append(rig.EVENTS, bench.number, records)
    start, rows = await bench.loaded_rows()
    assert start == 100
    assert rows == bench.rows


async def test_of_two_interleaved_writers_the_newest_copy_of_each_page_counts(bench: Bench) -> None:
    """A zombie's turn closes last, over older pages; the state is still that of the log."""
    await bench.grow(100)
    await bench.turn()
    zombie = bench._shard(CountingPartition(bench.number), bench.shard.last_turn)
    records = (await asyncio.to_thread(rig.read_topic, bench.bootstrap, rig.EVENTS))[bench.number]
    zombie.apply(records, ENGINE, {})

    await bench.grow(100)
    interleaved = asyncio.Event()

    class Slow:
        """The zombie's producer: stands still after two pages, until the owner's turn is complete."""

        appends = 0

        async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int:
            self.appends += 1
            if self.appends == 3:
                await interleaved.wait()
            return await bench.producer.append(topic, partition, records)

    async def commit() -> None: ...

    writer = TurnWriter(
        zombie, engine=ENGINE, producer=Slow(), trimmer=bench.admin, commit=commit, turn_seconds=1, chaos=CutAt()
    )
    sleeping = asyncio.ensure_future(writer.write(spread_seconds=0))
    await asyncio.sleep(0.1)
    await bench.turn()
    interleaved.set()
    await sleeping
    start, rows = await bench.loaded_rows()
    assert start == 100, "the zombie's manifest is the last"
    assert rows == bench.rows


async def test_an_older_page_that_a_frozen_writer_puts_into_a_turn_counts_for_nothing(bench: Bench) -> None:
    await bench.grow(100)
    await bench.turn()
    older = [OutRecord(None, each.value) for each in await bench.state() if decode(each.value).name == PAGE]
    await bench.grow(100)

    class Joined:
        """The owner's producer; after its second page the older ones come in between."""

        appends = 0

        async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int:
            self.appends += 1
            if self.appends == 3:
                await bench.append_state(older)
            return await bench.producer.append(topic, partition, records)

    async def commit() -> None: ...

    writer = TurnWriter(
        bench.shard, engine=ENGINE, producer=Joined(), trimmer=bench.admin, commit=commit, turn_seconds=1, chaos=CutAt()
    )
    await writer.write(spread_seconds=0)
    start, rows = await bench.loaded_rows()
    assert len(older) > 2
    assert start == 200
    assert rows == bench.rows


async def test_a_page_with_a_broken_checksum_falls_back_to_the_turn_before(bench: Bench) -> None:
    await bench.grow(200)
    await bench.turn()
    await bench.grow(100)
    await bench.turn()
    kept = await bench.state()
    broken = []
    first = next(at for at, record in enumerate(kept) if decode(record.value).name == MANIFEST) + 1
    for record in kept[first:]:
        found = decode(record.value)
        fields = dict(found.record)
        if found.name == PAGE and fields["page"] == 1:
            fields["payload"] = b"?" + fields["payload"][1:]
        fields["turn_id"] = "damaged"
        if found.name == MANIFEST:
            fields["first_state_offset"] = kept[-1].offset + 1
            fields["next_log_offset"] += 1  # so that no copy of another turn can stand in
        else:
            fields["next_offset"] += 1
        broken.append(OutRecord(None, encode(found.name, fields)))
    await bench.append_state(broken)
    await bench.grow(20)
    start, rows = await bench.loaded_rows()
    assert (start, rows) == (300, bench.rows)


async def test_undecodable_state_records_are_passed_over(bench: Bench) -> None:
    await bench.grow(100)
    await bench.turn()
    await bench.append_state([OutRecord(None, b"junk"), OutRecord(None, None)])
    start, rows = await bench.loaded_rows()
    assert (start, rows) == (100, bench.rows)


async def test_a_log_that_begins_after_the_state_is_refused(bench: Bench) -> None:
    await bench.grow(200)
    await bench.turn()
    await bench.grow(100)
    with KafkaAdmin(bench.bootstrap) as admin:
        admin.trim({(rig.EVENTS, bench.number): 250})
    with pytest.raises(StateUnusable, match=r"continues at log offset 200, and the event log begins at 250"):
        await bench.load()


async def test_a_trimmed_log_without_any_state_is_refused(bench: Bench) -> None:
    await bench.grow(20)
    with KafkaAdmin(bench.bootstrap) as admin:
        admin.trim({(rig.EVENTS, bench.number): 10})
    with pytest.raises(StateUnusable, match="no complete turn was found"):
        await bench.load()
