"""Poison and floods: what each costs the events around it, and what the detector says about it.

    python -m benchmarks.detector_floods [--quick] [--faults poison_1_percent,one_busy_customer]

The same usage events with and without a fault, all shipped rules with the gate of the customer record open. `slowdown`
compares the CPU per good event with that of the log without a fault, the mean of a first and a last run: how far these
two are apart is the noise. The last line is one JSON object: fault → figures.
"""

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.detector_growth import begin, rule_files
from benchmarks.detector_process import RULES, Detector, ended
from benchmarks.figures import Sample, steady
from benchmarks.load import BATCH, DAY_MS, START_MS, UsagePattern, customer_ids, keys_of, tick
from benchmarks.local_broker import EVENTS, Broker, empty_topics, publish_to_all, running_broker, say
from services.transport.kafka_producer import KafkaProducer, OutRecord
from services.transport.murmur2 import partitions_of

Figures = dict[str, Any]
Groups = dict[int, list[OutRecord]]
UNKNOWN_ID = (99_999).to_bytes(4)
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

    pauses: a partition stops. is_usage: what is added are events too, and applied as such.
    """

    name: str
    spoil: Callable[["Load", int, Groups], Groups]
    pauses: bool = False
    is_usage: bool = False


@dataclass(frozen=True)
class Load:
    """How much is sent."""

    customers: int
    events: int
    partitions: int

    @property
    def batches(self) -> int:
        """Batches in all."""
        return -(-self.events // BATCH)


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


def all_poison_in_one(_: Load, number: int, groups: Groups) -> Groups:
    """Partition 0 holds nothing but poison from the second batch on."""
    return groups if number == 0 else {**groups, 0: [undecodable(record) for record in groups.get(0, [])]}


def one_busy_customer(load: Load, number: int, groups: Groups) -> Groups:
    """A customer of partition 0 with as many events as all others together have in half of the log, up to a million."""
    extra = min(1_000_000, load.events // 2) // load.batches
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
    """In the middle of the log, time jumps by a day."""
    if number != load.batches // 2:
        return groups
    return {each: [tick(START_MS + DAY_MS, rules_offset=0), *records] for each, records in groups.items()}


def from_the_future(record: OutRecord) -> OutRecord:
    """The same event as if it had occurred ten days later than it was accepted."""
    assert record.value is not None
    ids = np.array([int(record.key or b"0")])
    row = UsagePattern().rows(
        ids, np.array([START_MS + 10 * DAY_MS]), np.array([int(record.value[25:34]) + 800_000_000])
    )
    row[0, 17:23] = np.frombuffer(record.value[17:23], np.uint8)  # ingested_at as it was
    return OutRecord(record.key, row.tobytes())


BASES = ("none", "none_again")
FAULTS = (
    Fault(name="none", spoil=untouched),
    Fault(name="poison_1_percent", spoil=mixed(undecodable, 100)),
    Fault(name="partition_of_poison", spoil=all_poison_in_one, pauses=True),
    Fault(name="one_busy_customer", spoil=one_busy_customer, is_usage=True),
    Fault(name="clock_jump_of_a_day", spoil=clock_jump),
    Fault(name="future_events_1_percent", spoil=mixed(from_the_future, 100), is_usage=True),
    Fault(name="unknown_schema_id_1_percent", spoil=mixed(of_unknown_schema, 100)),
    Fault(name="none_again", spoil=untouched),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; the figures as JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the events: figures are rough")
    parser.add_argument("--faults", default=",".join(fault.name for fault in FAULTS))
    parser.add_argument("--events", type=int, default=0, help="default 4,000,000; quick: 500,000")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="always so; for kairos bench")
    options = parser.parse_args(argv)
    load = Load(options.customers, options.events or (500_000 if options.quick else 4_000_000), options.partitions)
    wanted = {*BASES, *options.faults.split(",")}
    with running_broker(options.partitions) as broker:
        figures = {fault.name: measure(broker, load, fault) for fault in FAULTS if fault.name in wanted}
    base = sum(figures[name]["cpu_us_per_good_event"] for name in BASES) / len(BASES)
    for found in figures.values():
        found["slowdown"] = round(found["cpu_us_per_good_event"] / base, 3)
    print(json.dumps(figures))
    return 0


def measure(broker: Broker, load: Load, fault: Fault) -> Figures:
    """One log, one worker, from nothing until all is done that can be done."""
    say(fault.name)
    empty_topics(broker, [EVENTS])
    asyncio.run(publish_to_all(broker, tick(START_MS, rules_offset=0)))
    sent = asyncio.run(fill(broker, load, fault))
    begin(broker, len(rule_files(RULES)))
    with ended(Detector(broker)) as detector:
        detector.start()
        samples = detector.watch(partial(is_done, detector, sent, fault), 600)
        counted = what_is_counted(detector.samples())
        detector.end()
    first = load.events // 4
    found = steady(samples, first, samples[-1].events)
    assert found is not None
    good = samples[-1].events - first
    figures: Figures = {
        "events_per_second": found.events_per_second,
        "cpu_us_per_good_event": found.cpu_us_per_event,
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
    for number, batch in enumerate(batches(load)):
        groups: Groups = {}
        for record, partition in zip(batch, partitions_of([r.key or b"" for r in batch], load.partitions), strict=True):
            groups.setdefault(partition, []).append(record)
        spoilt = fault.spoil(load, number, groups)
        await producer.append_groups(EVENTS, spoilt, deadline_seconds=60)
        for partition, records in (spoilt if fault.is_usage else groups).items():
            sent[partition] += 0 if fault.pauses and partition == 0 else len(records)
    await producer.close(deadline_seconds=30)
    return sent


def batches(load: Load) -> Iterator[list[OutRecord]]:
    """Usage events of random customers."""
    usage, rng = UsagePattern(), np.random.default_rng(5)
    for first in range(0, load.events, BATCH):
        numbers = np.arange(first, min(first + BATCH, load.events))
        ids = customer_ids(rng.integers(0, load.customers, len(numbers)))
        values = usage.usage(ids, START_MS + numbers * 10, numbers, rng)
        yield [OutRecord(key, value) for key, value in zip(keys_of(ids), values, strict=True)]


def is_done(detector: Detector, sent: dict[int, int], fault: Fault, found: dict[str, float], look: Sample) -> bool:
    """True when everything good is applied, and nothing waits but a paused partition."""
    if look.events < sum(sent.values()):
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
