"""The detector under a live stream: latency of a moment, also during a daily sweep; CPU of a sweep; recovery.

    python -m benchmarks.detector_live [--quick] [--customers 1000000] [--rate 20000]

Customers with a record and five weeks behind them, all shipped rules. The bench moves time itself, by ticks in the log
(a second writer of ticks does no harm), so that it knows the instant. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.detector_process import NEVER_SECONDS, Detector, cpu_seconds, ended, publish_rules
from benchmarks.figures import percentile
from benchmarks.live_feed import Feed, Trigger, between, watch_moments
from benchmarks.load import BATCH, DAY_MS, START_MS, RingsLog, UsagePattern, customer_ids, keys_of, tick
from benchmarks.local_broker import Broker, publish, publish_to_all, running_broker, say
from services.transport.kafka_producer import OutRecord

Figures = dict[str, Any]
SUNDAY_MS = START_MS - DAY_MS  # 10:00 +08:00
SIX_MS = 20 * 3_600_000  # from 10:00 to 06:00 of the next day
IDLE_SECONDS = 4.0
SWEEP_LOOK_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; the figures as JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50,000 customers and shorter: figures are rough")
    parser.add_argument("--customers", type=int, default=0)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=0, help="of the quiet part")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="always so; for kairos bench")
    options = parser.parse_args(argv)
    customers = options.customers or (50_000 if options.quick else 1_000_000)
    seconds = options.seconds or (10 if options.quick else 40)
    with running_broker(options.partitions) as broker:
        prepare(broker, customers)
        figures = {"sweep_alone": sweep_alone(broker)}
        with ended(Detector(broker, clock_ms=SUNDAY_MS)) as detector:
            detector.start()
            detector.wait(detector.is_idle, 120)
            figures |= asyncio.run(live(broker, detector, customers, options.rate, seconds))
    print(json.dumps(figures))
    return 0


def prepare(broker: Broker, customers: int) -> None:
    """Customers and five weeks of a little usage, taken into the state and written in a turn."""
    say(f"{customers:,} customers with five weeks behind them")
    publish_rules(broker)
    asyncio.run(publish_to_all(broker, tick(SUNDAY_MS, rules_offset=0)))
    with ended(Detector(broker, clock_ms=SUNDAY_MS)) as detector:
        detector.start()
        asyncio.run(publish(broker, past(customers)))
        asyncio.run(publish(broker, RingsLog(customers=customers, events=0, start_ms=SUNDAY_MS).customer_records()))
        detector.watch(lambda found, look: look.customers >= customers and detector.is_idle(found), 600)
        detector.wait(lambda: detector.sum("kairos_detector_replay_records") < 1_000, 120)
        detector.end()


def past(customers: int) -> Iterator[list[OutRecord]]:
    """A call of each customer 40 days ago, and one a day ago."""
    usage, rng = UsagePattern(), np.random.default_rng(3)
    for number, days in enumerate((40, 1)):
        for first in range(0, customers, BATCH):
            chosen = np.arange(first, min(first + BATCH, customers))
            ids, at = customer_ids(chosen), chosen * 0 + SUNDAY_MS - days * DAY_MS
            values = usage.usage(ids, at, 400_000_000 + number * customers + chosen, rng)
            yield [OutRecord(key, value) for key, value in zip(keys_of(ids), values, strict=True)]


def sweep_alone(broker: Broker) -> Figures:
    """CPU of all calendar rules of a Monday over all customers, nothing else going on, no turn meanwhile."""
    with ended(Detector(broker, clock_ms=SUNDAY_MS, turn_seconds=NEVER_SECONDS)) as detector:
        detector.start()
        detector.wait(detector.is_idle, 120)
        time.sleep(2.0)
        pid = detector.running.pid
        before, began = cpu_seconds(pid), time.monotonic()
        time.sleep(IDLE_SECONDS)
        idle = (cpu_seconds(pid) - before) / (time.monotonic() - began)
        told = detector.sum("kairos_detector_moments_total")
        before, began = cpu_seconds(pid), time.monotonic()
        asyncio.run(publish_to_all(broker, tick(SUNDAY_MS + SIX_MS, rules_offset=0)))
        time.sleep(1.2)  # the tick is applied, and the lag looked at, by then
        detector.wait(lambda: is_swept(detector), 300)
        seconds = time.monotonic() - began
        cpu = cpu_seconds(pid) - before - idle * seconds
        found = {
            "customers": int(detector.sum("kairos_detector_customers")),
            "cpu_seconds": round(cpu, 2),
            "seconds": round(seconds, 2),
            "moments": int(detector.sum("kairos_detector_moments_total") - told),
        }
        detector.end()
    say(json.dumps(found))
    return found


def is_swept(detector: Detector) -> bool:
    """True when no customer is owed a visit and everything is acknowledged."""
    found = detector.samples()
    return found.get("kairos_detector_sweep_customers", 1.0) == 0 and detector.is_idle(found)


async def live(broker: Broker, detector: Detector, customers: int, rate: int, seconds: int) -> Figures:
    """The stream, a sweep in it, and a kill."""
    feed = Feed(broker, customers, rate, now_ms=SUNDAY_MS + SIX_MS + 3_600_000)
    stop = asyncio.Event()
    watching = asyncio.create_task(watch_moments(broker, feed, stop))
    feeding = asyncio.create_task(feed.run())
    await asyncio.sleep(5.0)  # the stream settles
    begun = time.monotonic()
    await asyncio.sleep(seconds)
    say("a day passes: the daily sweep")
    swept_from = time.monotonic()
    feed.now_ms = SUNDAY_MS + SIX_MS + DAY_MS
    await publish_to_all(broker, tick(feed.now_ms, rules_offset=0))
    await asyncio.sleep(SWEEP_LOOK_SECONDS)
    swept_to = time.monotonic()
    while not await asyncio.to_thread(is_swept_under_load, detector):
        await asyncio.sleep(0.2)
        swept_to = time.monotonic()
    await asyncio.sleep(3.0)
    found = {
        "quiet": figures_of(between(feed.triggers.values(), begun, swept_from), rate),
        "sweep": figures_of(between(feed.triggers.values(), swept_from, swept_to), rate),
    }
    say(json.dumps(found))
    found["recovery"] = await recovery(detector, feed)
    feed.stop()
    await feeding
    stop.set()
    await watching
    return found


def is_swept_under_load(detector: Detector) -> bool:
    """True when no customer is owed a visit."""
    return detector.samples().get("kairos_detector_sweep_customers", 1.0) == 0


async def recovery(detector: Detector, feed: Feed) -> Figures:
    """kill -9, start again at once; seconds until a moment of a later event is there, and until nothing is behind."""
    say("kill -9")
    await asyncio.to_thread(detector.kill)
    killed = time.monotonic()
    detector.start()
    while not any(trigger.arrived for trigger in between(feed.triggers.values(), killed, time.monotonic())):
        await asyncio.sleep(0.02)
        if time.monotonic() - killed > 120:
            raise SystemExit(f"no moment within 120 s; see {detector.log}")
    first = time.monotonic() - killed
    async with asyncio.timeout(120):
        while any(not each.arrived for each in between(feed.triggers.values(), killed, time.monotonic() - 0.2)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # what is awaited is a process, not a task
    found = {
        "recovery_seconds": round(first, 2),
        "caught_up_seconds": round(time.monotonic() - killed, 2),
        "state_load_seconds": round(await asyncio.to_thread(detector.sum, "kairos_detector_recovery_seconds"), 2),
    }
    say(json.dumps(found))
    return found


def figures_of(triggers: Sequence[Trigger], rate: int) -> Figures:
    """Percentiles of the triggers whose moment came, and how many did not."""
    done = [trigger for trigger in triggers if trigger.is_complete]
    values = [trigger.milliseconds for trigger in done]
    whole = [trigger.milliseconds_since_sent for trigger in done]

    def tenths(each: Sequence[float], share: float) -> float | None:
        found = percentile(each, share)
        return None if found is None else round(found, 1)

    return {
        "p50_ms": tenths(values, 0.5),
        "p99_ms": tenths(values, 0.99),
        "max_ms": tenths(values, 1.0),
        "p99_ms_since_sent": tenths(whole, 0.99),
        "moments": len(done),
        "missing": len(triggers) - len(done),
        "events_per_second": rate,
    }


if __name__ == "__main__":
    raise SystemExit(main())
