"""Poison and floods: what each costs the events around it, and what the detector says about it.

    python -m benchmarks.detector_floods [--quick] [--faults poison_1_percent,one_busy_customer]

An event of each customer, then the measured usage events, these with and without a fault; all shipped rules with the
gate of the customer record open. Every log is run several times in turn, and each figure is the median. `slowdown`
compares the CPU per good event, up to where nothing is owed any more, with that of the same events without the fault;
`noise` is how far the runs are apart, as a share of their median. No turn is written meanwhile: a longer log would have
more of one. A jump of a day owes the sweeps of that day, so it is compared with the same day passing hour by hour. The
last line is one JSON object: fault → figures.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.detector_growth import begin, rule_files, usage_records
from benchmarks.detector_process import NEVER_SECONDS, RULES, Detector, ended
from benchmarks.figures import Sample, at_events, steady
from benchmarks.load import BATCH, DAY_MS, START_MS, UsagePattern, customer_ids, keys_of, tick
from benchmarks.local_broker import EVENTS, Broker, empty_topics, publish_to_all, running_broker, say
from services.transport.kafka_producer import KafkaProducer, OutRecord
from services.transport.murmur2 import partitions_of

Figures = dict[str, Any]
Groups = dict[int, list[OutRecord]]
UNKNOWN_ID = (99_999).to_bytes(4)
HOURS = 24
NONE, DAY = "none", "day_by_the_hour"
COUNTED = (
    "kairos_detector_dead_letters_total",
    "kairos_detector_engine_total",
    "kairos_detector_late_total",
    "kairos_detector_duplicates_total",
    "kairos_detector_paused_partitions",
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with a log. spoil: records of a batch → what is put in their place.

    against: the log that it is compared with, empty where there is no fault. pauses: a partition stops. is_usage: what
    is added are events too, and applied as such.
    """

    name: str
    spoil: Callable[["Load", int, Groups], Groups]
    against: str = NONE
    pauses: bool = False
    is_usage: bool = False


@dataclass(frozen=True)
class Load:
    """How much is sent: an event of each customer, then the measured ones."""

    customers: int
    events: int
    partitions: int

    @property
    def batches(self) -> int:
        """Batches in all."""
        return -(-(self.customers + self.events) // BATCH)

    @property
    def warm_batches(self) -> int:
        """Batches before the measured events."""
        return self.customers // BATCH

    @property
    def middle(self) -> int:
        """The batch in the middle of the measured events."""
        return (self.customers + self.events // 2) // BATCH


def untouched(_: Load, __: int, groups: Groups) -> Groups:
    """The log without a fault."""
    return groups


def mixed(make: Callable[[OutRecord], OutRecord], every: int) -> Callable[[Load, int, Groups], Groups]:
    """A spoilt record behind every so many good ones."""

    def spoil(_: Load, __: int, groups: Groups) -> Groups:
        return {
            number: [each for i, record in enumerate(records) for each in
                     ((record, make(record)) if i % every == 0 else (record,))]
            for number, records in groups.items()
        }  # fmt: skip

    return spoil


def undecodable(record: OutRecord) -> OutRecord:
    """A frame with a known schema id, and a body that ends too early."""
    assert record.value is not None
    return OutRecord(record.key, record.value[:12])


def of_unknown_schema(record: OutRecord) -> OutRecord:
    """A schema id that nobody knows."""
    assert record.value is not None
    return OutRecord(record.key, record.value[:1] + UNKNOWN_ID + record.value[5:])


def all_poison_in_one(_: Load, __: int, groups: Groups) -> Groups:
    """Partition 0 holds nothing but poison."""
    return {**groups, 0: [undecodable(record) for record in groups.get(0, [])]}


def one_busy_customer(load: Load, number: int, groups: Groups) -> Groups:
    """A customer of partition 0 with half as many events as are measured of all others together, up to a million."""
    extra = min(1_000_000, load.events // 2) // (load.batches - load.warm_batches)
    numbers = np.arange(700_000_000 + number * extra, 700_000_000 + (number + 1) * extra)
    at = np.full(extra, START_MS + number * BATCH * 10)
    busy = busy_customer(load)
    values = UsagePattern().usage(np.full(extra, busy), at, numbers, np.random.default_rng(number))
    return {**groups, 0: [*groups.get(0, []), *(OutRecord(b"%d" % busy, value) for value in values)]}


def busy_customer(load: Load) -> int:
    """The first customer of partition 0."""
    ids = customer_ids(np.arange(1_000))
    return int(ids[partitions_of(keys_of(ids), load.partitions).index(0)])


def clock_jump(load: Load, number: int, groups: Groups) -> Groups:
    """In the middle of the measured events, time jumps by a day."""
    return with_ticks(groups, [START_MS + DAY_MS] if number == load.middle else [])


def day_by_the_hour(load: Load, number: int, groups: Groups) -> Groups:
    """From the middle of the measured events on, a day passes as it does."""
    batches, passed = load.batches - load.middle, number - load.middle
    hours = range(HOURS * passed // batches, HOURS * (passed + 1) // batches) if passed >= 0 else ()
    return with_ticks(groups, [START_MS + (hour + 1) * DAY_MS // HOURS for hour in hours])


def with_ticks(groups: Groups, times_ms: Sequence[int]) -> Groups:
    """Ticks before the records of each partition."""
    ticks = [tick(now_ms, rules_offset=0) for now_ms in times_ms]
    return {each: [*ticks, *records] for each, records in groups.items()}


def from_the_future(record: OutRecord) -> OutRecord:
    """The same event as if it had occurred ten days later than it was accepted."""
    assert record.value is not None
    ids = np.array([int(record.key or b"0")])
    row = UsagePattern().rows(
        ids, np.array([START_MS + 10 * DAY_MS]), np.array([int(record.value[25:34]) + 800_000_000])
    )
    row[0, 17:23] = np.frombuffer(record.value[17:23], np.uint8)  # ingested_at as it was
    return OutRecord(record.key, row.tobytes())


FAULTS = (
    Fault(name=NONE, spoil=untouched, against=""),
    Fault(name="poison_1_percent", spoil=mixed(undecodable, 100)),
    Fault(name="partition_of_poison", spoil=all_poison_in_one, pauses=True),
    Fault(name="one_busy_customer", spoil=one_busy_customer, is_usage=True),
    Fault(name=DAY, spoil=day_by_the_hour, against=""),
    Fault(name="clock_jump_of_a_day", spoil=clock_jump, against=DAY),
    Fault(name="future_events_1_percent", spoil=mixed(from_the_future, 100), is_usage=True),
    Fault(name="unknown_schema_id_1_percent", spoil=mixed(of_unknown_schema, 100)),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; the figures as JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short run of each: figures are rough")
    parser.add_argument("--faults", default=",".join(fault.name for fault in FAULTS))
    parser.add_argument("--events", type=int, default=0, help="measured ones; default 4,000,000; quick: 400,000")
    parser.add_argument("--customers", type=int, default=0, help="default 1,000,000; quick: 100,000")
    parser.add_argument("--runs", type=int, default=0, help="of each log; default 3; quick: 1")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="always so; for kairos bench")
    options = parser.parse_args(argv)
    events = options.events or (400_000 if options.quick else 4_000_000)
    customers = options.customers or (100_000 if options.quick else 1_000_000)
    load = Load(customers, events, options.partitions)
    named = set(options.faults.split(","))
    named |= {NONE, *(fault.against for fault in FAULTS if fault.name in named)}
    faults = [fault for fault in FAULTS if fault.name in named]
    runs: dict[str, list[Figures]] = {fault.name: [] for fault in faults}
    with running_broker(options.partitions) as broker:
        for _ in range(options.runs or (1 if options.quick else 3)):
            for fault in faults:
                runs[fault.name].append(measure(broker, load, fault))
    print(json.dumps(compared(faults, runs)))
    return 0


def compared(faults: Sequence[Fault], runs: Mapping[str, Sequence[Figures]]) -> Figures:
    """Fault → the medians of its runs, and how they stand to those of the log it is compared with."""
    cost = {name: statistics.median(each["cpu_us_per_good_event"] for each in found) for name, found in runs.items()}
    figures = {}
    for fault in faults:
        found = runs[fault.name]
        costs = [each["cpu_us_per_good_event"] for each in found]
        figures[fault.name] = {
            "events_per_second": round(statistics.median(each["events_per_second"] for each in found)),
            "cpu_us_per_good_event": round(cost[fault.name], 3),
            "noise": round((max(costs) - min(costs)) / cost[fault.name], 3),
            "events": found[-1]["events"],
            "counted": found[-1]["counted"],
            "against": fault.against,
            "slowdown": round(cost[fault.name] / cost[fault.against or NONE], 3),
        }
    return figures


def measure(broker: Broker, load: Load, fault: Fault) -> Figures:
    """One log, one worker, from nothing until all is done that can be done."""
    say(fault.name)
    empty_topics(broker, [EVENTS])
    asyncio.run(publish_to_all(broker, tick(START_MS, rules_offset=0)))
    sent = asyncio.run(fill(broker, load, fault))
    begin(broker, len(rule_files(RULES)))
    with ended(Detector(broker, turn_seconds=NEVER_SECONDS)) as detector:
        detector.start()
        samples = detector.watch(partial(is_done, detector, sent, fault), 600)
        counted = what_is_counted(detector.samples())
        detector.end()
    found = steady(samples, load.customers, samples[-1].events)
    assert found is not None
    good = samples[-1].events - load.customers
    cpu = samples[-1].cpu_seconds - at_events(samples, load.customers).cpu_seconds  # with what is owed at the end
    figures: Figures = {
        "events_per_second": found.events_per_second,
        "cpu_us_per_good_event": round(cpu / good * 1e6, 3),
        "events": good,
        "counted": ", ".join(f"{name} {value:,.0f}" for name, value in counted.items()),
    }
    say(json.dumps(figures, ensure_ascii=False))
    return figures


async def fill(broker: Broker, load: Load, fault: Fault) -> dict[int, int]:
    """Put the log into the broker; returns the good usage events of each partition."""
    producer = KafkaProducer(broker.bootstrap, client_id="bench")
    await producer.open()
    sent = dict.fromkeys(range(load.partitions), 0)
    for number, batch in enumerate(usage_records(load.customers, load.events)):
        groups: Groups = {}
        for record, partition in zip(batch, partitions_of([r.key or b"" for r in batch], load.partitions), strict=True):
            groups.setdefault(partition, []).append(record)
        spoilt = fault.spoil(load, number, groups) if number >= load.warm_batches else groups
        await producer.append_groups(EVENTS, spoilt, deadline_seconds=60)
        for partition, records in (spoilt if fault.is_usage else groups).items():
            sent[partition] += 0 if fault.pauses and partition == 0 else len(records)
    await producer.close(deadline_seconds=30)
    return sent


def is_done(detector: Detector, sent: dict[int, int], fault: Fault, found: dict[str, float], look: Sample) -> bool:
    """True when everything good is applied, no visit is owed, and nothing waits but a paused partition."""
    if look.events < sum(sent.values()) or found.get("kairos_detector_sweep_customers", 1.0):
        return False
    paused = {key.split('partition="')[1].split('"')[0] for key, value in found.items()
              if key.startswith("kairos_detector_paused_partitions{") and value}  # fmt: skip
    lags = {key.split('partition="')[1].split('"')[0]: value for key, value in found.items()
            if key.startswith("kairos_detector_lag_records{")}  # fmt: skip
    others = [lag for partition, lag in lags.items() if partition not in paused]
    return bool(paused) == fault.pauses and not any(others) and found.get("kairos_detector_outbox_records", 1.0) == 0


def what_is_counted(found: dict[str, float]) -> dict[str, float]:
    """The metrics that tell of what is wrong, without their common prefix."""
    return {
        key.removeprefix("kairos_detector_"): value
        for key, value in sorted(found.items())
        if key.partition("{")[0] in COUNTED and value
    }


if __name__ == "__main__":
    raise SystemExit(main())
