"""State anew: the engine over archive and log, then one complete turn, from which a worker goes on.

What a turn contains must be acknowledged before it is written (see `turns`). Moments up to the group's offset are: the
group's offset is committed only after that. So the turn ends there; where the log no longer reaches back so far, it
ends where the log begins, and what was found between goes out once more with the ids that it had.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from schemas.events import EVENTS_TOPIC
from services.detector.broker_admin import BrokerAdmin
from services.detector.chaos import Chaos, parse_chaos
from services.detector.durability.state_log import StateLog
from services.detector.durability.state_records import STATE_TOPIC
from services.detector.durability.turns import TurnWriter
from services.detector.errors import DetectorError
from services.detector.fatal import die
from services.detector.outbox import Outbox
from services.detector.ports import Applied, Engine
from services.detector.records.decode import DecodedChunk
from services.detector.records.poison import PoisonMeter, PoisonPolicy
from services.detector.settings import GROUP
from services.detector.shard import CUSTOMERS_TOPIC, MOMENTS_BULK_TOPIC, MOMENTS_TOPIC, LastTurn, Shard, moment_record
from services.detector.stored.sources import LogSource, Part, SourceTorn
from services.transport.kafka_admin import ASKED_SECONDS, KafkaAdmin
from services.transport.kafka_producer import KafkaProducer, OutRecord

_SWEEP_SLICE: Final = 65_536
_OUTBOX_RECORDS: Final = 50_000
Progress = Callable[[str, int, int], object]


class RebuildRefused(DetectorError):
    """State must not be written now, or cannot be made of what there is. A person decides."""


@dataclass(frozen=True)
class Rebuilt:
    """What was made of one partition."""

    partition: int
    customers: int
    pages: int
    next_log_offset: int
    manifest_offset: int
    published: int
    hand_overs: int


@dataclass(frozen=True)
class Plan:
    """What is to be applied. quiet_until: moments found before are acknowledged already; the turn ends at `end`."""

    part: Part
    quiet_until: int
    end: int


def plans(source: LogSource, numbers: Sequence[int], committed: Mapping[int, int]) -> list[Plan]:
    """Return what to apply of each partition; raises RebuildRefused, SourceTorn, ArchiveBroken, TransportError."""
    found = {part.number: part for part in source.parts()}
    unknown = sorted(set(numbers) - found.keys())
    if unknown:
        raise RebuildRefused(f"there are no partitions {unknown}")
    return [_plan(source, found[number], committed.get(number)) for number in sorted(numbers or found)]


def _plan(source: LogSource, part: Part, committed: int | None) -> Plan:
    if part.first_offset > 0:
        raise RebuildRefused(
            f"partition {part.number}: what there is begins at offset {part.first_offset}; state can only be made from "
            f"the beginning. Name the archive that has the rest"
        )
    if gaps := source.gaps(part):
        raise RebuildRefused(f"partition {part.number}: the archive has gaps: {gaps}")
    quiet_until = committed or 0
    end = max(quiet_until, part.log_first)
    if end > part.next_offset:
        raise RebuildRefused(
            f"partition {part.number}: the group is at offset {end}, what there is ends at {part.next_offset}"
        )
    return Plan(part, quiet_until, end)


def refuse_while_owned(bootstrap: str) -> Mapping[int, int]:
    """Return the group's offsets by partition; raises RebuildRefused when a worker is a member of the group."""
    with KafkaAdmin(bootstrap, connect_seconds=ASKED_SECONDS) as admin:
        members = admin.group_members(GROUP)
        committed = admin.committed_offsets(GROUP)
    if members:
        raise RebuildRefused(
            f"{members} worker{'s are' if members > 1 else ' is'} in the group {GROUP}: stop every detector first; one "
            f"that was killed is forgotten after its session, 10 seconds"
        )
    return {number: offset for (topic, number), offset in committed.items() if topic == EVENTS_TOPIC}


class Rebuild:
    """Writes turns to one installation. `open` first, `close` last."""

    def __init__(self, bootstrap: str, engine: Engine, source: LogSource, rules: Mapping[int, Any]) -> None:
        self._bootstrap = bootstrap
        self._engine = engine
        self._source = source
        self._rules = rules
        self._producer = KafkaProducer(bootstrap, client_id="kairos-detector-rebuild")
        self._admin = BrokerAdmin(bootstrap)

    async def __aenter__(self) -> "Rebuild":
        await self._producer.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
        await self._producer.close()

    async def run(self, plan: Plan, *, tell: Progress) -> Rebuilt:
        """Apply, write one turn, commit. Until the manifest is written the state topic says what it said before."""
        number = plan.part.number
        shard = self._shard(number)
        hand_overs = 0
        copies = plan.quiet_until < plan.end
        async for chunk in _in_thread(self._source.chunks(plan.part, end=plan.end, copies=copies)):
            hand_overs += len(chunk.hand_overs)
            self._apply(shard, chunk, is_quiet=chunk.next_offset <= plan.quiet_until)
            tell(f"partition {number}", chunk.next_offset, plan.end)
            await shard.outbox.room()
        if shard.next_offset != plan.end:
            raise SourceTorn(f"partition {number}: the log ended at {shard.next_offset}, not at {plan.end}")
        await shard.outbox.until(shard.outbox.ticket)
        published = self._published
        shard.last_turn = await self._last_turn(number)
        writer = TurnWriter(
            shard,
            engine=self._engine,
            producer=self._producer,
            trimmer=self._admin,
            commit=lambda: self._commit(number, plan.end),
            turn_seconds=60.0,
            chaos=Chaos(parse_chaos("")),
        )
        await writer.write(spread_seconds=0.0)
        turn = shard.last_turn
        assert turn is not None
        partition = shard.partition
        return Rebuilt(
            number, partition.customers, partition.pages(), turn.next_log_offset, turn.manifest_offset, published,
            hand_overs,
        )  # fmt: skip

    def _shard(self, number: int) -> Shard:
        self._published = 0
        outbox = Outbox(self._producer, records_max=_OUTBOX_RECORDS, on_failure=die)
        meter = PoisonMeter(PoisonPolicy(run_max=1, window=1, share_max=1.0))
        return Shard(number, self._engine.new_partition(number, 0), outbox, meter, last_turn=None)

    def _apply(self, shard: Shard, chunk: DecodedChunk, *, is_quiet: bool) -> None:
        partition = shard.partition
        found = [partition.apply(chunk, self._rules)]
        while partition.sweep_pending:
            found.append(partition.sweep(_SWEEP_SLICE))
        if not is_quiet:
            for applied in found:
                self._publish(shard, applied)
            copies = [OutRecord(key, value, [("log_offset", b"%d" % offset)]) for key, value, offset in chunk.customers]
            shard.outbox.put(CUSTOMERS_TOPIC, shard.number, copies)

    def _publish(self, shard: Shard, applied: Applied) -> None:
        for moment in applied.moments:
            topic = MOMENTS_BULK_TOPIC if moment["rule_id"] in applied.bulk else MOMENTS_TOPIC
            shard.outbox.put(topic, shard.number, [moment_record(moment)])
        self._published += len(applied.moments)

    async def _last_turn(self, number: int) -> LastTurn | None:
        """Return where the state topic is, so that the new turn comes after all that is there."""
        state = StateLog(self._bootstrap)
        await state.open()
        try:
            begin, end = await state.bounds(STATE_TOPIC, number)
        finally:
            await state.close()
        return LastTurn(end - 1, end, 0) if end > begin else None

    async def _commit(self, number: int, offset: int) -> None:
        await asyncio.to_thread(commit_offset, self._bootstrap, number, offset)


async def _in_thread(chunks: Iterator[DecodedChunk]) -> AsyncIterator[DecodedChunk]:
    """Read in one thread of its own: the reader of the log has an event loop too."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="stored-events") as thread:
        while (chunk := await loop.run_in_executor(thread, next, chunks, None)) is not None:
            yield chunk


def commit_offset(bootstrap: str, number: int, offset: int) -> None:
    """Let the group be where the new turn ends; the brokers refuse it when the group has members."""
    with KafkaAdmin(bootstrap) as admin:
        admin.commit_offsets(GROUP, {(EVENTS_TOPIC, number): offset})
