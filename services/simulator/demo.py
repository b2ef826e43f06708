"""The simulated city at work: roster, history once, then live events until it is told to stop.

Restart-safe: what has been done is in a state file under var/, event ids never repeat, history is loaded once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from services.clock import Clock
from services.simulator import local_time
from services.simulator.auto_managers import AutoManager, Diary, WorkStyle
from services.simulator.doors import DoorStuck, GrpcDoor, HttpDoor, file_door_environment
from services.simulator.endpoints import Endpoints
from services.simulator.live import HOME_CITY, LiveStream, Planted
from services.simulator.loading import load_history
from services.simulator.plan import Plan, build_plan
from services.simulator.roster import upsert_managers
from services.simulator.span import Span
from services.simulator.truth import append_truth
from services.transport.tokens import read_key

BEAT_SECONDS = 1.0
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What the operator chose."""

    seed: int = 7
    customers: int = 2_000
    events_per_second: int = 5
    planted_every_seconds: float = 15.0
    auto_managers: int = 0
    managers_per_city: int = 2


@dataclass(frozen=True, kw_only=True)
class DemoState:
    """What has been done before, in earlier runs too."""

    seed: int
    first_day: str
    is_history_loaded: bool = False
    runs: int = 0


async def run_demo(options: DemoOptions, endpoints: Endpoints, var_dir: Path, stop: asyncio.Event, tell: Tell) -> None:
    """Run until `stop` is set."""
    clock = endpoints.business_clock()
    folder = var_dir / "simulator"
    folder.mkdir(parents=True, exist_ok=True)
    state = read_state(folder, options, clock)
    plan = plan_of(options, state)
    created, changed = await upsert_managers(endpoints, plan.province.managers)
    tell(f"roster: {len(plan.province.managers)} managers in 13 cities ({created} new, {changed} changed)")
    if not state.is_history_loaded:
        tell(f"history: nine weeks of {len(plan.people)} customers through the file door ...")
        env = file_door_environment(endpoints, var_dir)
        loaded = await load_history(plan, folder / "history", env=env, tell=tell)
        tell(f"history: {loaded.total:,} events in {loaded.seconds:.0f} s")
    state = replace(state, is_history_loaded=True, runs=state.runs + 1)
    write_state(folder, state)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream(LiveStream(plan, state.runs), options, endpoints, clock, folder, stop, tell))
        for manager in automatic(options, endpoints, plan):
            group.create_task(manager.work(stop))


def automatic(options: DemoOptions, endpoints: Endpoints, plan: Plan) -> list[AutoManager]:
    """Automatic managers, none of the home city: its work is for the person at the terminal."""
    roster = [manager for manager in plan.province.managers if manager.city != HOME_CITY]
    key = read_key(endpoints.secrets_dir)
    style = WorkStyle(declines_of_100=8, seconds_per_card=8.0)
    return [
        AutoManager(manager.manager_id, target=endpoints.workbench_grpc, key=key, diary=Diary(), style=style)
        for manager in roster[: options.auto_managers]
    ]


async def stream(
    live: LiveStream,
    options: DemoOptions,
    endpoints: Endpoints,
    clock: Clock,
    folder: Path,
    stop: asyncio.Event,
    tell: Tell,
) -> None:
    """Send live events at the chosen rate until told to stop; outages of the stack are waited out."""
    next_planted = 0.0
    async with GrpcDoor(endpoints.ingest_grpc) as grpc_door, HttpDoor(endpoints.ingest_http) as http_door:
        while not stop.is_set():
            began = time.monotonic()
            try:
                await grpc_door.send(live.harmless(options.events_per_second, now_ms=clock.now_ms()))
                if began >= next_planted:
                    planted = live.next_planted(now_ms=clock.now_ms())
                    await http_door.send(planted.events)
                    note_planted(folder, planted, clock.now_ms(), tell)
                    next_planted = began + options.planted_every_seconds
            except DoorStuck as exc:
                tell(f"ingest does not answer; trying on ({str(exc)[:120]})")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.01, BEAT_SECONDS - (time.monotonic() - began)))


def note_planted(folder: Path, planted: Planted, now_ms: int, tell: Tell) -> None:
    """Write down what must be found, and say it."""
    append_truth(folder / "truth.ndjson", [planted.truth])
    tell(f"{local_time.local_datetime(now_ms):%a %H:%M:%S}  {planted.sentence}")


def plan_of(options: DemoOptions, state: DemoState) -> Plan:
    """The province of this demo; the same after every restart."""
    return build_plan(
        seed=state.seed,
        customers=options.customers,
        span=Span(first_day=date.fromisoformat(state.first_day)),
        managers_per_city=options.managers_per_city,
    )


def read_state(folder: Path, options: DemoOptions, clock: Clock) -> DemoState:
    """The state of earlier runs, or a new one whose live days begin on the Monday of now."""
    try:
        return DemoState(**json.loads((folder / "state.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        monday = local_time.monday_of(local_time.local_date(clock.now_ms()))
        return DemoState(seed=options.seed, first_day=monday.isoformat())


def write_state(folder: Path, state: DemoState) -> None:
    """Replace the state file at once."""
    fresh = folder / "state.json.new"
    fresh.write_text(json.dumps(asdict(state)), encoding="utf-8")
    fresh.replace(folder / "state.json")
