"""How the cost of an event grows: with customers, with rules, with the number of events, with a second worker.

    python -m benchmarks.detector_growth [--quick] [--parts customers,rules,workers]

All shipped rules over usage events, with the profile gate of every rule open (`profile: none`), so that millions of
customers need no record each. Each customer has an event before the measured ones, so the state is as large as it gets.
A hundred rules are the shipped ones again under other names. The last line is one JSON object: point → figures.
"""

import argparse
import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detector_peers import KAIROS_GROUPS, KAIROS_TOPICS, has_done
from benchmarks.detector_process import RULES, Detector, ended, publish_rules
from benchmarks.figures import Sample, steady
from benchmarks.load import BATCH, START_MS, UsagePattern, customer_ids, keys_of, tick
from benchmarks.local_broker import (
    EVENTS,
    Broker,
    delete_groups,
    empty_topics,
    publish,
    publish_to_all,
    running_broker,
    say,
)
from services.transport.kafka_producer import OutRecord

Figures = dict[str, Any]
CUSTOMERS = (10_000, 1_000_000, 4_000_000)
RULE_COUNTS = (1, 0, 100)
"""How many rules; 0 = as many as are shipped."""
SETTINGS = ("lateness.yaml", "risk.yaml")
FIRST_RULE = "AN4"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; the figures as JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a twentieth of customers and events: figures are rough")
    parser.add_argument("--events", type=int, default=0, help="measured ones; default 3,000,000; quick: 600,000")
    parser.add_argument("--parts", default="customers,rules,workers")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="always so; for kairos bench")
    options = parser.parse_args(argv)
    events = options.events or (600_000 if options.quick else 3_000_000)
    counts = [n // 20 if options.quick and n > 10_000 else n for n in CUSTOMERS]
    parts = options.parts.split(",")
    with running_broker(options.partitions) as broker:
        figures = measure(broker, counts, events, parts)
    print(json.dumps(figures))
    return 0


def measure(broker: Broker, counts: Sequence[int], events: int, parts: Sequence[str]) -> dict[str, Figures]:
    """Every point in turn; what has the same log shares it."""
    figures: dict[str, Figures] = {}
    rss: dict[int, int] = {}
    shipped = len(rule_files(RULES))
    for customers in counts if "customers" in parts else counts[1:2]:
        fill_log(broker, customers, events)
        found = one_worker(broker, customers, events, shipped)
        rss[customers] = found.pop("rss_bytes")
        if "customers" in parts:
            figures[f"{customers:,} customers"] = {"grows": "customers", **found}
        if customers != counts[1]:
            continue
        figures |= {f"{n:,} events": {"grows": "events", **each} for n, each in by_events(found.pop("samples"), events)}
        if "rules" in parts:
            for count in (n or shipped for n in RULE_COUNTS):
                point = found if count == shipped else one_worker(broker, customers, events, count)
                figures[f"{count} rules"] = {"grows": "rules", **without(point, "samples", "rss_bytes")}
        if "workers" in parts:
            figures["two workers"] = two_workers(broker, customers, events, found["cpu_us_per_event_steady"])
    for name, each in figures.items():
        figures[name] = without(each, "samples")
    if "customers" in parts:
        few, many = counts[1:]
        figures[f"{few:,} to {many:,} customers"] = {
            "rss_bytes_per_customer": round((rss[many] - rss[few]) / (many - few))
        }
    return figures


def without(figures: Figures, *names: str) -> Figures:
    """The figures but these."""
    return {name: value for name, value in figures.items() if name not in names}


def fill_log(broker: Broker, customers: int, events: int) -> None:
    """A fresh log: a tick, an event of every customer, then the measured ones."""
    say(f"{customers:,} customers, {events:,} events")
    empty_topics(broker, [EVENTS])
    asyncio.run(publish_to_all(broker, tick(START_MS, rules_offset=0)))
    asyncio.run(publish(broker, usage_records(customers, events)))


def usage_records(customers: int, events: int) -> Iterator[list[OutRecord]]:
    """One event of each customer in order, then events of random ones."""
    usage, rng = UsagePattern(), np.random.default_rng(1)
    for first in range(0, customers + events, BATCH):
        numbers = np.arange(first, min(first + BATCH, customers + events))
        chosen = np.where(numbers < customers, numbers, rng.integers(0, customers, len(numbers)))
        ids = customer_ids(chosen)
        values = usage.usage(ids, START_MS + numbers * 10, numbers, rng)
        yield [OutRecord(key, value) for key, value in zip(keys_of(ids), values, strict=True)]


def one_worker(broker: Broker, customers: int, events: int, rules: int) -> Figures:
    """One worker over the whole log from nothing."""
    begin(broker, rules)
    with ended(Detector(broker)) as detector:
        detector.start()
        samples = detector.watch(partial(has_done, detector, customers + events), 600)
        detector.end()
    found = steady(samples, customers, customers + events)
    assert found is not None, "a worker is watched until it has done all"
    figures = {
        "customers": customers,
        "rules": rules,
        "events": events,
        **vars(found),
        "rss_bytes": samples[-1].rss_bytes,
    }
    figures = {("cpu_us_per_event_steady" if name == "cpu_us_per_event" else name): v for name, v in figures.items()}
    say(json.dumps(figures))
    return {**figures, "samples": [sample._replace(events=sample.events - customers) for sample in samples]}


def by_events(samples: Sequence[Sample], events: int) -> list[tuple[int, Figures]]:
    """The cost of the first third, of two, and of all."""
    found = []
    for last in (events // 3, events * 2 // 3, events):
        each = steady(samples, 0, last)
        if each is not None:
            found.append((last, {"events": last, "events_per_second": each.events_per_second,
                                 "cpu_us_per_event_steady": each.cpu_us_per_event}))  # fmt: skip
    return found


def two_workers(broker: Broker, customers: int, events: int, alone: float) -> Figures:
    """Two workers, each with half of the partitions from the start; CPU of both per event, against that of one.

    A worker's own customers come first in its log: its measured events begin after as many events as it has customers.
    """
    begin(broker, len(rule_files(RULES)))
    half = broker.partitions // 2
    one = Detector(broker, instance="one", partitions=range(half))
    other = Detector(broker, instance="other", core=0, partitions=range(half, broker.partitions))
    with ended(one), ended(other):
        one.start()
        other.start()
        looks: tuple[list[Sample], list[Sample]] = [], []

        def both(found: dict[str, float], look: Sample) -> bool:
            second = other.samples()
            if not second:
                return False
            looks[0].append(look)
            looks[1].append(other.sample(second))
            done = looks[0][-1].events + looks[1][-1].events >= customers + events
            return done and one.is_idle(found) and other.is_idle(second)

        one.watch(both, 600)
        one.end()
        other.end()
    halves = [steady(each, each[-1].customers, each[-1].events) for each in looks]
    counts = [each[-1].events - each[-1].customers for each in looks]
    cpu_us = sum(found.cpu_us_per_event * n for found, n in zip(halves, counts, strict=True) if found) / sum(counts)
    return {
        "events_per_second": sum(found.events_per_second for found in halves if found),
        "cpu_us_per_event_steady": round(cpu_us, 3),
        "ratio_to_one_worker": round(cpu_us / alone, 3),
    }


def begin(broker: Broker, rules: int) -> None:
    """Let Kairos know nothing but the log, and so many rules."""
    empty_topics(broker, KAIROS_TOPICS)
    delete_groups(broker, KAIROS_GROUPS)
    folder = broker.home / f"rules-{rules}"
    if not folder.exists():
        folder.mkdir()
        for name, text in some_rules(rules).items():
            (folder / name).write_text(text, encoding="utf-8")
    assert publish_rules(broker, folder) == 0, "the first tick of the log announces the first rule set"


def some_rules(count: int) -> dict[str, str]:
    """So many of the shipped rules, gates open; more than there are: the same again under other names."""
    files = rule_files(RULES)
    names = sorted(files, key=lambda name: (not name.startswith(FIRST_RULE.lower()), name))
    found = {name: (RULES / name).read_text(encoding="utf-8") for name in SETTINGS}
    for i in range(count):
        name = names[i % len(names)]
        text = files[name].replace("profile: required", "profile: none")
        if i >= len(names):
            text = re.sub(r"(?m)^id: .*$", f"id: X{i:03d}", text)
            name = f"x{i:03d}.yaml"
        found[name] = text
    return found


def rule_files(folder: Path) -> dict[str, str]:
    """The rules of a folder without its settings, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml") if path.name not in SETTINGS}


if __name__ == "__main__":
    raise SystemExit(main())
