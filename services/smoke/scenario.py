"""The run itself: start from nothing, load the past, live through a week in sessions, come to rest, gather, judge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.simulator import local_time
from services.simulator.auto_managers import AutoManager, Diary, WorkStyle
from services.simulator.doors import GrpcDoor, HttpDoor, file_door_environment
from services.simulator.endpoints import Endpoints
from services.simulator.loading import load_history
from services.simulator.plan import Plan, SessionPlan, build_plan
from services.simulator.replay import replay_call_records
from services.simulator.roster import upsert_managers
from services.simulator.span import Session, Span
from services.simulator.truth import write_truth
from services.smoke.clockwork import Clockwork, NeverIdle
from services.smoke.ledger_of_sending import SendingBooks
from services.smoke.lock_file import LockFileReader
from services.smoke.log_watcher import LogWatcher
from services.smoke.probes import Probes
from services.smoke.stack_process import StackProcess
from services.smoke.traffic import POISON_SESSION, Traffic
from services.transport.tokens import read_key

Tell = Callable[[str], None]

NIGHT_SPEED = 30_000.0
# The night is run through fast; what lies before and after it is jumped over.
NIGHT_FROM, NIGHT_UNTIL = (20, 40), (8, 40)
CALLS_SECONDS = 8.0
# Killed among the background events; the others among the planted ones, when moments and tasks are under way.
KILLED_EARLY = frozenset({"ingest", "detector", "kafka"})


@dataclass(frozen=True, kw_only=True)
class SmokeOptions:
    """What is asked for. kills: processes to kill -9 in mid-stream, one per session in turn."""

    var_dir: Path
    jars_dir: Path
    seed: int = 1
    customers: int = 1_500
    calls_per_session: int = 8
    kills: tuple[str, ...] = ()
    keep: bool = False


@dataclass
class RunRecord:
    """What the run leaves for the judges."""

    plan: Plan
    books: SendingBooks
    diary: Diary
    endpoints: Endpoints
    watcher: LogWatcher
    history_events: int = 0
    replayed: dict[str, int] = field(default_factory=dict)
    # Things that went wrong without ending the run; each is a failed check.
    troubles: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)


def plan_for(options: SmokeOptions) -> Plan:
    """The plan of this run."""
    return build_plan(
        seed=options.seed,
        customers=options.customers,
        span=Span(),
        managers_per_city=2,
        calls_per_session=options.calls_per_session,
    )


class Scenario:
    """One run against one stack."""

    def __init__(self, options: SmokeOptions, stack: StackProcess, plan: Plan, tell: Tell) -> None:
        self._options = options
        self._stack = stack
        self._plan = plan
        self._tell = tell
        self._kills = list(options.kills)

    async def run(self, endpoints: Endpoints) -> RunRecord:
        """Do everything up to the rest at the end; the stack stays up."""
        reader = LockFileReader()
        watcher = LogWatcher(endpoints.kafka, reader)
        await asyncio.to_thread(watcher.open)
        record = RunRecord(self._plan, SendingBooks(), Diary(), endpoints, watcher)
        folder = self._options.var_dir / "smoke"
        folder.mkdir(parents=True, exist_ok=True)
        write_truth(folder / "truth.ndjson", self._plan.truth)
        env = file_door_environment(endpoints, self._options.var_dir) | {"KAIROS_ENVIRONMENT": "test"}
        async with AsyncExitStack() as exits:
            probes = Probes(endpoints)
            exits.push_async_callback(probes.close)
            clock = Clockwork(Path(endpoints.clock.removeprefix("@")), probes, watcher)
            http = await exits.enter_async_context(HttpDoor(endpoints.ingest_http, patience_seconds=90.0))
            grpc = await exits.enter_async_context(GrpcDoor(endpoints.ingest_grpc, patience_seconds=90.0))
            traffic = Traffic(self._plan, http, grpc, books=record.books, folder=folder, env=env)
            await upsert_managers(endpoints, self._plan.province.managers)
            await self._load_history(record, folder, env, clock)
            await self._live(record, traffic, clock)
            await self._finish(record, clock)
        return record

    async def _load_history(self, record: RunRecord, folder: Path, env: dict[str, str], clock: Clockwork) -> None:
        history = list(self._plan.history())
        loaded = await load_history(self._plan, folder / "history", env=env)
        record.books.note_file(event.identity for event in history)
        record.history_events = loaded.total
        record.replayed = await replay_call_records(env)
        record.books.answers["file", "accepted"] += sum(record.replayed.values())
        self._tell(f"history: {loaded.total:,} events in {loaded.seconds:.1f} s")
        await clock.wait_until_idle(seconds_max=60.0)

    async def _live(self, record: RunRecord, traffic: Traffic, clock: Clockwork) -> None:
        """All sessions with managers at work."""
        stop = asyncio.Event()
        key = read_key(record.endpoints.secrets_dir)
        managers = [
            AutoManager(
                manager.manager_id,
                target=record.endpoints.workbench_grpc,
                key=key,
                diary=record.diary,
                style=WorkStyle(),
            )
            for manager in self._plan.province.managers
        ]
        async with asyncio.TaskGroup() as group:
            for manager in managers:
                group.create_task(manager.work(stop))
            try:
                for session in self._plan.span.sessions():
                    await self._live_through(session, record, traffic, clock)
            except NeverIdle as exc:
                record.troubles.append(f"the week broke off: {exc}")
                self._tell(f"the week broke off: {exc}")
            finally:
                stop.set()

    async def _live_through(self, session: Session, record: RunRecord, traffic: Traffic, clock: Clockwork) -> None:
        began = time.monotonic()
        await self._go_to(session, clock)
        there = time.monotonic()
        await self._session(self._plan.session(session), record, traffic, clock)
        when = local_time.local_datetime(session.at_ms)
        took = f"{there - began:.1f} s to get there, {time.monotonic() - there:.1f} s to live through"
        self._tell(f"{when:%a %d %b %H:%M}: {took}")

    async def _go_to(self, session: Session, clock: Clockwork) -> None:
        """Move the clock to a session: jump to the evening, run through the night, jump to the morning."""
        today = local_time.local_date(clock.now_ms())
        day = local_time.local_date(session.at_ms)
        if day > today:
            evening = local_time.at(today, *NIGHT_FROM)
            if evening > clock.now_ms():
                await clock.jump(evening)
            await clock.fast_forward(local_time.at(day, *NIGHT_UNTIL), speed=NIGHT_SPEED)
        await clock.jump(session.at_ms)

    async def _session(self, parts: SessionPlan, record: RunRecord, traffic: Traffic, clock: Clockwork) -> None:
        kill = partial(self._kill_next, record)
        early = bool(self._kills) and self._kills[0] in KILLED_EARLY
        if (parts.session.day, parts.session.part) == POISON_SESSION:
            await asyncio.to_thread(traffic.poison, record.endpoints.kafka)
        await traffic.background(parts, midway=kill if early else nothing)
        await traffic.planted(parts, midway=nothing if early else kill)
        await self._rest(record, clock, f"session {parts.session.day} {parts.session.part}")
        await traffic.calls(parts)
        await self._wait_for_calls(parts, record)
        await self._rest(record, clock, f"calls of session {parts.session.day} {parts.session.part}")

    def _kill_next(self, record: RunRecord) -> None:
        """kill -9 the next process while events are on their way."""
        if self._kills:
            name = self._kills.pop(0)
            pid = self._stack.kill(name)
            record.killed.append(name)
            self._tell(f"kill -9 {name} (pid {pid})")

    async def _wait_for_calls(self, parts: SessionPlan, record: RunRecord) -> None:
        wanted = {int(str(event.body["customer_id"])) for event in parts.calls}
        deadline = time.monotonic() + CALLS_SECONDS
        while time.monotonic() < deadline:
            if wanted <= {offer.customer_id for offer in record.diary.offers}:
                return
            await asyncio.sleep(0.05)

    async def _rest(self, record: RunRecord, clock: Clockwork, where: str) -> None:
        try:
            await clock.wait_until_idle(seconds_max=90.0 if self._options.kills else 45.0)
        except NeverIdle as exc:
            record.troubles.append(f"{where}: {exc}")
            self._tell(f"{where}: {exc}")

    async def _finish(self, record: RunRecord, clock: Clockwork) -> None:
        """Come to rest once more after the managers have left, then see all that is in the topics."""
        await self._rest(record, clock, "the end")
        if not await asyncio.to_thread(record.watcher.wait_until_caught_up, seconds_max=20.0):
            record.troubles.append("the log watcher did not reach the end of the topics")


def nothing() -> None:
    """Nobody is killed at this point."""


def kill_names(names: Sequence[str]) -> tuple[str, ...]:
    """Processes to kill, `all` = every one in turn. Raises ValueError for an unknown name."""
    known = ("ingest", "detector", "router", "workbench", "kafka", "postgres")
    unknown = [name for name in names if name not in (*known, "all")]
    if unknown:
        raise ValueError(f"unknown process {', '.join(unknown)}; want all or some of {', '.join(known)}")
    return known if "all" in names else tuple(names)
