"""One detector process, whatever feeds it: the partitions it owns, and the tasks that live as long as it does.

Owns the life of a partition here: load → replay → live → released. Reading the log is the reader's (`app.py`: a Faust
group; `solo.py`: fixed partitions); deciding is the engine's. Any task that fails ends the process.
"""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from services.clock import Clock, SystemClock
from services.detector import metrics
from services.detector.broker_admin import BrokerAdmin
from services.detector.chaos import Chaos
from services.detector.durability.loading import Loaded, StateLoader
from services.detector.durability.turns import TurnWriter
from services.detector.errors import StateUnusable
from services.detector.fatal import EXIT_STATE_UNUSABLE, die
from services.detector.kept import KeptShards
from services.detector.lag import LagBook
from services.detector.outbox import Outbox
from services.detector.ports import Engine, RawRecord
from services.detector.records.poison import PoisonMeter
from services.detector.rules_feed import RulesFeed
from services.detector.settings import DetectorSettings
from services.detector.shard import Pause, Shard
from services.detector.ticks import Ticker, counted_ms
from services.detector.time_guard import TimeGuard
from services.transport.errors import TransportError, TransportUnavailable
from services.transport.kafka_producer import KafkaProducer

_RULES_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 0.5
_SWEEP_SECONDS: Final = 0.003  # of a slice: what the stream may have to wait for it
_SWEEP_CUSTOMERS: Final = (16, 4_096)  # least and most of a slice
_IDLE_SECONDS: Final = 0.02
_RESUME_LOOK_SECONDS: Final = 1.0
_GC_THRESHOLDS: Final = (100_000, 50, 1_000)  # records are tracked objects; the stock thresholds cost a tenth of all

log = logging.getLogger(__name__)


class Reader(Protocol):
    """What feeds the worker: it can be told to leave a partition alone, and where to read on."""

    def pause(self, number: int) -> None: ...
    async def resume(self, number: int, offset: int) -> None: ...
    async def commit(self) -> None: ...


class Worker:
    """See the module. `attach` a reader, `open`, then `acquire` and `release` partitions as the reader says."""

    def __init__(self, settings: DetectorSettings, engine: Engine, clock: Clock, *, owner: str) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._chaos = Chaos(settings.chaos_plan)
        self._shards: dict[int, Shard] = {}
        self._kept = KeptShards(settings.keep_seconds)
        self._turns: dict[int, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._reader: Reader | None = None
        self._owner = owner
        self.is_assigned = False
        self.is_stopping = False
        self.is_finished = False  # outputs acknowledged and offsets committed, after a stop was asked for
        self.rules_or_none: RulesFeed | None = None
        self.kafka_seen_at = time.monotonic()
        self.progress_at = time.monotonic()  # of the newest thing finished, for the watchdog

    # ---- life ----------------------------------------------------------------------------------------------------

    def attach(self, reader: Reader) -> None:
        """Say what feeds this worker, before it is opened."""
        self._reader = reader

    async def open(self) -> None:
        """Connect everything but the reader, read the rules, start the tasks. Raises TransportUnavailable."""
        gc.set_threshold(*_GC_THRESHOLDS)
        settings = self._settings
        self._producer = KafkaProducer(settings.kafka_bootstrap, client_id="kairos-detector")
        await self._producer.open(deadline_seconds=settings.kafka_away_seconds)
        self._admin = BrokerAdmin(settings.kafka_bootstrap)
        self._lag = LagBook(settings.kafka_bootstrap)
        self.partitions: int = await self._retried(self._admin.partitions)
        await self._lag.open(self.partitions)
        self.rules_or_none = self.rules = RulesFeed(settings.kafka_bootstrap, self._engine, on_failure=die)
        await self.rules.open(deadline_seconds=_RULES_SECONDS)
        self._ticker = Ticker(
            clock=self._clock,
            producer=self._producer,
            owned=lambda: list(self._shards.values()),
            newest_rules=lambda: self.rules.newest,
            owner=self._owner,
            chaos=self._chaos,
            guard=await self._time_guard(),
        )
        for run in (self._ticker.run, self._follow_lag, self._sweep_idle, self._follow_rules, self._follow_operators):
            self._start(run())

    async def _time_guard(self) -> TimeGuard | None:
        """The guard of a clock that nobody may move: it begins with the brokers' time, and not without."""
        if type(self._clock) is not SystemClock:
            return None
        return TimeGuard(await self._retried(self._admin.broker_ms), counted_ms())

    async def close(self) -> None:
        """Stop the tasks, wait for outputs on their way, disconnect."""
        self.is_stopping = True
        for task in [*self._tasks, *self._turns.values()]:
            task.cancel()
        if self._tasks or self._turns:
            await asyncio.wait([*self._tasks, *self._turns.values()], timeout=2.0)
        if self.rules_or_none is None:  # it was never open: what there is of it ends with the process
            return
        await self.finish()
        await self.rules.close()
        await self._lag.close()
        await self._admin.close()
        await self._producer.close(deadline_seconds=2.0)

    async def finish(self) -> None:
        """Wait until all outputs so far are acknowledged, and tell the lag group."""
        owed = [shard.outbox for shard in [*self._shards.values(), *self._kept.shards()]]
        await asyncio.gather(*(outbox.until(outbox.ticket) for outbox in owed))
        await self._lag.look(dict(self.positions()))
        self.is_finished = self.is_stopping

    # ---- what the reader calls -------------------------------------------------------------------------------------

    def positions(self) -> Mapping[int, int]:
        """Partition → offset to read next."""
        return {number: shard.next_offset for number, shard in self._shards.items()}

    def committable(self) -> Mapping[int, int]:
        """Partition → offset from which a restart replays; only partitions with a complete turn."""
        turns = {number: shard.last_turn for number, shard in self._shards.items()}
        return {number: turn.next_log_offset for number, turn in turns.items() if turn is not None}

    async def apply(self, number: int, records: Sequence[RawRecord]) -> None:
        """Apply records of a partition; returns when there is room for the outputs of the next ones."""
        shard = self._shards.get(number)
        if shard is None or shard.pause is not None or not records:
            return
        started, before = time.monotonic(), shard.next_offset
        pause = shard.apply(records, self._engine, self.rules.compiled)
        finished = time.monotonic()
        metrics.APPLY_SECONDS.inc(finished - started)
        if shard.next_offset != before:  # records that were passed over are no progress
            self.progress_at = finished
        if pause is not None:
            self._pause(shard, pause)
            return
        self._chaos.after("applied")
        await shard.outbox.room()

    async def release(self) -> None:
        """The partitions were revoked. Their state is kept for a while: they may come back."""
        for task in self._turns.values():
            task.cancel()
        self._turns.clear()
        for number in self._shards:
            metrics.forget_partition(number)
        self._kept.put(self._shards)
        self._shards = {}

    async def acquire(self, numbers: Sequence[int], is_current: Callable[[], bool]) -> bool:
        """Bring the state of these partitions into place; False when the assignment changed meanwhile."""
        metrics.REBALANCES_TOTAL.inc()
        shards = self._kept.take(numbers)
        if missing := [number for number in numbers if number not in shards]:
            shards |= await self._load(missing)
        if not is_current():
            self._kept.put(shards)
            return False
        for number, shard in sorted(shards.items()):
            shard.seeks()
            if shard.pause is not None:
                self._unpaused(shard)
            self._shards[number] = shard
            if shard.is_handed_over:
                self._note_pause(shard, Pause.HAND_OVER)
            self._turns[number] = asyncio.create_task(self._write_turns(shard))
        self.is_assigned = True
        self.progress_at = time.monotonic()
        return True

    # ---- loading ---------------------------------------------------------------------------------------------------

    async def _load(self, numbers: Sequence[int]) -> dict[int, Shard]:
        started = time.monotonic()
        shards: dict[int, Shard] = {}
        try:
            async with StateLoader(self._settings.kafka_bootstrap, self._engine) as loader:
                for number in numbers:
                    loaded = await loader.load(number)
                    await self._admin.trim(number, loaded.trim_before)
                    shards[number] = self._new_shard(number, loaded)
                    self.progress_at = time.monotonic()
        except StateUnusable as refusal:
            die(refusal, code=EXIT_STATE_UNUSABLE)
        gc.collect()
        gc.freeze()  # the loaded state is never scanned again
        seconds = time.monotonic() - started
        metrics.RECOVERY_SECONDS.set(seconds)
        log.info(
            "detector.state.loaded",
            extra={
                "partitions": list(numbers),
                "seconds": round(seconds, 3),
                "customers": sum(shard.partition.customers for shard in shards.values()),
                "next_offsets": {number: shard.next_offset for number, shard in shards.items()},
            },
        )
        self._chaos.after("loaded")
        return shards

    def _new_shard(self, number: int, loaded: Loaded) -> Shard:
        outbox = Outbox(self._producer, records_max=self._settings.outbox_records_max, on_failure=die)
        meter = PoisonMeter(self._settings.poison_policy)
        return Shard(number, loaded.partition, outbox, meter, last_turn=loaded.last_turn)

    async def _write_turns(self, shard: Shard) -> None:
        writer = TurnWriter(
            shard,
            engine=self._engine,
            producer=self._producer,
            trimmer=self._admin,
            commit=self._reader_of().commit,
            turn_seconds=self._settings.turn_seconds,
            chaos=self._chaos,
        )
        try:
            await writer.run()
        except asyncio.CancelledError:
            raise
        except Exception as exc:  # noqa: BLE001  # outermost: a state that cannot be written ends the process
            if not self.is_stopping:  # then the reader may be gone already; a restart goes on from the turn before
                die(exc)
            log.warning("detector.turn.left", extra={"partition": shard.number, "reason": repr(exc)})

    # ---- standing still --------------------------------------------------------------------------------------------

    def _pause(self, shard: Shard, why: Pause) -> None:
        self._note_pause(shard, why)
        self._reader_of().pause(shard.number)

    def _note_pause(self, shard: Shard, why: Pause) -> None:
        shard.pause = why
        metrics.PAUSED_PARTITIONS.labels(partition=str(shard.number), why=why.value).set(1)
        level = logging.ERROR if why is Pause.POISON else logging.WARNING
        log.log(
            level,
            "detector.partition.paused",
            extra={"partition": shard.number, "why": why.value, "offset": shard.next_offset},
        )

    def _unpaused(self, shard: Shard) -> None:
        assert shard.pause is not None
        metrics.PAUSED_PARTITIONS.labels(partition=str(shard.number), why=shard.pause.value).set(0)
        shard.pause = None

    async def _resume(self, shard: Shard) -> None:
        if self._shards.get(shard.number) is not shard or shard.pause is None:
            return
        self._unpaused(shard)
        shard.seeks()
        log.info("detector.partition.resumed", extra={"partition": shard.number, "offset": shard.next_offset})
        await self._reader_of().resume(shard.number, shard.next_offset)

    def paused(self, why: Pause) -> list[Shard]:
        """Owned partitions that stand still for this reason."""
        return [shard for shard in list(self._shards.values()) if shard.pause is why]

    async def _follow_rules(self) -> None:
        """Let partitions go on that met a rule set before it was loaded; one that is refused here will never be."""
        while True:
            for shard in self.paused(Pause.RULES):
                if shard.awaited_rules in self.rules.refused:
                    die(f"a rule set in force is refused by this release: {self.rules.refused[shard.awaited_rules]}")
                if shard.awaited_rules < 0 or self.rules.has(shard.awaited_rules):
                    await self._resume(shard)
            await asyncio.sleep(_IDLE_SECONDS * 5)

    async def _follow_operators(self) -> None:
        """Let partitions go on whose poison an operator allowed; believe a clock that an operator confirmed."""
        while True:
            if self._ticker.guard is not None and self._ticker.guard.doubt_ms:
                with contextlib.suppress(TransportError):
                    self._ticker.confirm(await self._admin.confirmed_ms())
            paused = self.paused(Pause.POISON)
            if paused:
                try:
                    allowed = await self._admin.poison_allowed()
                except TransportError:
                    allowed = {}
                for shard in paused:
                    if allowed.get(shard.number, 0) > shard.next_offset:
                        shard.poison_allowed_to = allowed[shard.number]
                        await self._resume(shard)
            await asyncio.sleep(_RESUME_LOOK_SECONDS)

    # ---- tasks -----------------------------------------------------------------------------------------------------

    async def _sweep_idle(self) -> None:
        """Visit customers that a passed tick still has to, in slices, beside the stream: at most half of the time."""
        customers = _SWEEP_CUSTOMERS[0]
        while True:
            waiting = [shard for shard in self._shards.values() if shard.partition.sweep_pending]
            for shard in waiting:
                started = time.monotonic()
                shard.sweep(customers)
                self.progress_at = time.monotonic()
                seconds = self.progress_at - started
                customers = next_slice(customers, seconds)
                await asyncio.sleep(seconds)
                await shard.outbox.room()
            if not waiting:
                await asyncio.sleep(_IDLE_SECONDS)

    async def _follow_lag(self) -> None:
        """Learn the log ends, commit what is applied, and set the gauges; ends the process without Kafka."""
        while True:
            try:
                await self._lag.look(dict(self.positions()))
                self.kafka_seen_at = time.monotonic()
            except TransportUnavailable as exc:
                log.warning("detector.kafka.away", extra={"reason": exc.reason})
                if time.monotonic() - self.kafka_seen_at > self._settings.kafka_away_seconds:
                    die(exc)
            self._set_gauges()
            self._kept.forget_old()
            await asyncio.sleep(self._settings.commit_seconds)

    def _set_gauges(self) -> None:
        now_ms, delays = time.time_ns() // 1_000_000, [0]
        for number, shard in self._shards.items():
            lag = self._lag.lag(number, shard.next_offset)
            if lag is not None:
                metrics.LAG_RECORDS.labels(partition=str(number)).set(lag)
            if lag and shard.newest_timestamp_ms:
                delays.append(now_ms - shard.newest_timestamp_ms)
            metrics.CUSTOMERS.labels(partition=str(number)).set(shard.partition.customers)
            turn = shard.last_turn
            metrics.TURN_AGE_RECORDS.labels(partition=str(number)).set(
                shard.next_offset - (0 if turn is None else turn.next_log_offset)
            )
        metrics.EVENT_TIME_DELAY_SECONDS.set(max(delays) / 1000)
        metrics.SWEEP_CUSTOMERS.set(sum(shard.partition.sweep_pending for shard in self._shards.values()))
        metrics.LOG_AHEAD_SECONDS.set(self._ticker.ahead_ms() / 1000)
        metrics.OUTBOX_RECORDS.set(sum(shard.outbox.records for shard in self._shards.values()))

    def lags(self) -> dict[int, int | None]:
        """Lag by owned partition; None where it is not known yet."""
        return {number: self._lag.lag(number, shard.next_offset) for number, shard in list(self._shards.items())}

    def announced(self) -> dict[int, int]:
        """Newest announced rule set by owned partition."""
        return {number: shard.partition.rules_offset for number, shard in self._shards.items()}

    def _start(self, run: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(run)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            die(failure)

    def _reader_of(self) -> Reader:
        assert self._reader is not None, "attach a reader first"
        return self._reader

    async def _retried(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask until Kafka answers or was away for too long."""
        ends = time.monotonic() + self._settings.kafka_away_seconds
        while True:
            try:
                return await ask()
            except TransportUnavailable:
                if time.monotonic() > ends:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)


def next_slice(customers: int, seconds: float) -> int:
    """How many customers the next slice of a sweep should have, when one of so many took so long; pure."""
    least, most = _SWEEP_CUSTOMERS
    wished = most if seconds <= 0 else int(customers * _SWEEP_SECONDS / seconds)
    return max(least, min(most, wished, 2 * customers))
