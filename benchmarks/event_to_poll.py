"""Milliseconds from the append of an event to the task in a waiting manager's hands, with other events in between.

    python -m benchmarks.event_to_poll --calls 200 --rate 2000 --json

Needs a running stack (var/endpoints.json, or KAIROS_VAR_DIR) in its contact hours whose province is not in use. Both
ends are read from real clocks of one machine: the record's timestamp on the log and the arrival of the poll's answer.
The last line is one JSON object.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.clock import Clock
from services.simulator import local_time
from services.simulator.auto_managers import AutoManager, Diary, WorkStyle
from services.simulator.doors import GrpcDoor
from services.simulator.endpoints import Endpoints, read_endpoints
from services.simulator.events import Event, Pen
from services.simulator.province import Customer, Province, build_province
from services.simulator.roster import upsert_managers
from services.smoke.evidence import Identity
from services.smoke.gather import decode_topics
from services.smoke.latency import event_to_poll_ms, percentile
from services.smoke.lock_file import LockFileReader
from services.smoke.log_watcher import LogWatcher
from services.transport.tokens import read_key

SEED = 900
ARPU_FEN = 80_000
WAIT_SECONDS = 15.0
BEAT_SECONDS = 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="moments to measure")
    parser.add_argument("--gap", type=float, default=0.1, help="seconds between two of them")
    parser.add_argument("--rate", type=int, default=2_000, help="harmless events per second meanwhile")
    parser.add_argument("--json", action="store_true", help="only the JSON line on stdout")
    options = parser.parse_args(argv)
    endpoints = read_endpoints(Path(os.environ.get("KAIROS_VAR_DIR", "var")))
    figures = asyncio.run(measure(options, endpoints))
    print(
        f"event to poll: p50 {figures['p50_ms']} ms, p99 {figures['p99_ms']} ms over {figures['calls']} calls at "
        f"{figures['background_events_per_second']:,} other events/s",
        file=sys.stderr,
    )
    print(json.dumps({"event_to_poll": figures}))
    return 0 if figures["calls"] == options.calls else 1


async def measure(options: argparse.Namespace, endpoints: Endpoints) -> dict[str, Any]:
    """Let managers wait, load the customers, run the calls and the background, compare the clocks."""
    clock = endpoints.business_clock()
    today = local_time.local_date(clock.now_ms())
    province = build_province(
        seed=SEED + os.getpid() % 90, customers=options.calls * 20, safe_from=today, safe_until=today
    )
    callers = [person for person in province.customers if not person.auto_pay][: options.calls]
    others = [person for person in province.customers if person not in callers]
    watcher = LogWatcher(endpoints.kafka, LockFileReader())
    await asyncio.to_thread(watcher.open)
    diary, stop = Diary(), asyncio.Event()
    await upsert_managers(endpoints, province.managers)
    async with GrpcDoor(endpoints.ingest_grpc) as door, asyncio.TaskGroup() as group:
        await door.send([profile(person, clock) for person in callers])
        for manager in managers(endpoints, province, diary):
            group.create_task(manager.work(stop))
        await asyncio.sleep(2.0)
        background = group.create_task(send_background(door, others, options.rate, clock, stop))
        triggers = await send_calls(door, callers, options.gap, clock)
        await wait_for(triggers, diary)
        stop.set()
        sent, seconds = await background
    await asyncio.to_thread(watcher.wait_until_caught_up, seconds_max=30.0)
    watcher.close()
    topics = decode_topics((r for r in watcher.records() if r.topic == "kairos.events.v1"), LockFileReader())
    values = event_to_poll_ms(triggers, topics.events, diary.offers, rule_id="AN4")
    return {
        "p50_ms": percentile(values, 0.50),
        "p99_ms": percentile(values, 0.99),
        "max_ms": max(values, default=None),
        "calls": len(values),
        "background_events_per_second": round(sent / seconds) if seconds else 0,
    }


def managers(endpoints: Endpoints, province: Province, diary: Diary) -> list[AutoManager]:
    """Managers who wait in a poll and finish at once."""
    key = read_key(endpoints.secrets_dir)
    style = WorkStyle(declines_of_100=0, seconds_per_card=0.0)
    return [
        AutoManager(manager.manager_id, target=endpoints.workbench_grpc, key=key, diary=diary, style=style)
        for manager in province.managers
    ]


def profile(person: Customer, clock: Clock) -> Event:
    """A customer record of high revenue."""
    return Pen(person, prefix="bench-c").profile(clock.now_ms(), arpu_fen=ARPU_FEN, tier="TOP", auto_pay=False)


async def send_calls(door: GrpcDoor, callers: list[Customer], gap: float, clock: Clock) -> dict[int, Identity]:
    """One low balance after the other; customer → event."""
    triggers: dict[int, Identity] = {}
    for person in callers:
        event = Pen(person, prefix="bench-l").balance(clock.now_ms(), 500)
        await door.send([event])
        triggers[person.customer_id] = event.identity
        await asyncio.sleep(gap)
    return triggers


async def send_background(
    door: GrpcDoor, people: list[Customer], rate: int, clock: Clock, stop: asyncio.Event
) -> tuple[int, float]:
    """Usage events at a rate until told to stop; returns how many and in how many seconds."""
    pens = [Pen(person, prefix="bench-b") for person in people]
    began, sent = time.monotonic(), 0
    while not stop.is_set():
        due = round((time.monotonic() - began) * rate) - sent
        if due > 0:
            chosen = (pens[(sent + number) % len(pens)] for number in range(min(due, rate)))
            events = [pen.usage(clock.now_ms(), "DATA", 1_000, charge_fen=1) for pen in chosen]
            await door.send(events)
            sent += len(events)
        await asyncio.sleep(BEAT_SECONDS)
    return sent, time.monotonic() - began


async def wait_for(triggers: dict[int, Identity], diary: Diary) -> None:
    """Wait until every call has reached somebody, or the deadline."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if triggers.keys() <= {offer.customer_id for offer in diary.offers}:
            return
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    raise SystemExit(main())
