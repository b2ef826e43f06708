"""Kairos and its peers, one after the other on one core, on the same topic: events/s, CPU and memory of each.

    python -m benchmarks.detector_peers [--quick] [--engines kairos,flink]

A broker of its own holds the log: customers, then usage events (benchmarks/load.py). Every peer and `kairos_rings`
judge the same two rules at every event, and must tell the same; `kairos` runs all shipped rules. Steady figures are
taken between a third of the events and the last, so that neither start-up nor the compilation of hot code counts. Turns
of Kairos, checkpoints and commits of the peers: every ten seconds. The last line is one JSON object: engine → figures.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.detector_process import Detector, ended, publish_rules
from benchmarks.figures import Finding, Sample, bytes_per_customer, differing, steady, within
from benchmarks.load import BATCH, START_MS, RingsLog, customer_ids, keys_of, tick
from benchmarks.local_broker import (
    EVENTS,
    MOMENTS,
    Broker,
    delete_groups,
    empty_topics,
    end_offsets,
    publish,
    publish_to_all,
    read_values,
    running_broker,
    say,
)
from benchmarks.peer_engines import PEERS, SOURCES, Peer, Run, build, run_peer
from schemas.codec import decode
from services.transport.murmur2 import partitions_of

Figures = dict[str, Any]
KAIROS, RINGS = "kairos", "kairos_rings"
ENGINES = (KAIROS, *(peer.name for peer in PEERS), RINGS)
ABOUT = {
    KAIROS: "Kairos, all shipped rules",
    RINGS: "Kairos, the two rules of the peers",
    **{peer.name: peer.about for peer in PEERS},
}
KAIROS_TOPICS = (
    "kairos.rules.v1",
    "kairos.detector-state.v1",
    "kairos.customers.v1",
    MOMENTS,
    "kairos.moments-bulk.v1",
    "kairos.dead-letters.detector.v1",
)
KAIROS_GROUPS = ("kairos-detector", "kairos-detector-applied", "kairos-detector-resume")
FAUST_EVENTS = 40_000


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, tell what happens on stderr, print the table and the figures as JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a fraction of the events and customers: figures are rough"
    )
    parser.add_argument("--events", type=int, default=0, help="default 6,000,000; quick: 2,000,000")
    parser.add_argument("--customers", type=int, default=0, help="default 1,000,000; quick: 200,000")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--engines", default=",".join(ENGINES), help="some of them, in this order")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="always so; for kairos bench")
    options = parser.parse_args(argv)
    chosen = options.engines.split(",")
    if unknown := set(chosen) - set(ENGINES):
        parser.error(f"no such engine: {', '.join(sorted(unknown))}; known are {', '.join(ENGINES)}")
    log = RingsLog(
        customers=options.customers or (200_000 if options.quick else 1_000_000),
        events=options.events or (2_000_000 if options.quick else 6_000_000),
        seed=options.seed,
    )
    build()
    with running_broker(options.partitions) as broker:
        figures = measure(broker, log, chosen, share=0.4 if options.quick else 1.0)
    print("\n".join(table(figures)))
    print(json.dumps(figures))
    return 0


def measure(broker: Broker, log: RingsLog, chosen: Sequence[str], *, share: float) -> dict[str, Figures]:
    """Load the log, then let every engine work through it. share: of the events, for the peers."""
    say(f"{log.customers:,} customers, while Kairos runs: its memory, and its state for later")
    memory = load_customers(broker, log)
    start = end_offsets(broker, EVENTS)
    say(f"{log.events:,} events")
    asyncio.run(publish(broker, log.usage_records()))
    figures: dict[str, Figures] = {}
    found: dict[str, Run] = {}
    for name in sorted(chosen, key=ENGINES.index):
        say(f"{name}: {ABOUT[name]}")
        first, last = log.events // 3, log.events
        if name == KAIROS:
            found[name] = run_kairos(broker, log)
        elif name == RINGS:
            forget(broker)
            found[name] = run_kairos(broker, log)
            found[name].findings = set(moments(broker))
        else:
            peer = next(peer for peer in PEERS if peer.name == name)
            marks = marks_of(peer, log, share)
            found[name] = run_peer(peer, broker, start=start, marks=marks, seconds=600)
            first, last = marks[-2], marks[-1]
        if name in {KAIROS, RINGS}:
            found[name].collected = memory
        figures[name] = figures_of(found[name], first, last)
        say(json.dumps({name: figures[name]}))
    partitions = partition_by_customer(log.customers, broker.partitions)
    for name, differences in compared(found, partitions).items():
        figures[name] |= {"findings": len(found[name].findings), "findings_that_differ": differences}
    return figures


def load_customers(broker: Broker, log: RingsLog) -> list[Sample]:
    """Publish the customers while a detector with all rules takes them; returns how it was with some and with all."""
    publish_rules(broker)
    asyncio.run(publish_to_all(broker, tick(START_MS, rules_offset=0)))
    batches, looks = iter(log.customer_records()), []
    with ended(Detector(broker, instance="bench")) as detector:
        detector.start()
        for share in (0.2, 1.0):
            count = max(1, round(log.customers / BATCH * share)) if share < 1 else None
            wanted = min(log.customers, BATCH * count) if count else log.customers
            asyncio.run(publish(broker, islice(batches, count)))
            looks.append(detector.watch(partial(has_loaded, detector, wanted), 300)[-1])
        detector.wait(lambda: detector.sum("kairos_detector_replay_records") < 1_000, 120)
        detector.end()
    return looks


def forget(broker: Broker) -> None:
    """Let Kairos know nothing but the log, and the rules of the peers."""
    empty_topics(broker, KAIROS_TOPICS)
    delete_groups(broker, KAIROS_GROUPS)
    assert publish_rules(broker, SOURCES / "rules_rings") == 0, "the ticks of the log announce the first rule set"


def has_loaded(detector: Detector, customers: int, found: dict[str, float], look: Sample) -> bool:
    """True when it knows so many customers and has nothing left to do."""
    return look.customers >= customers and detector.is_idle(found)


def marks_of(peer: Peer, log: RingsLog, share: float) -> list[int]:
    """Events after which a peer is looked at: early for its memory, then where the steady part begins and ends."""
    if peer.name == "faust_table":
        last = min(FAUST_EVENTS, log.events)
        return [last // 4, last // 2, last]
    last = round(log.events * peer.share * share)
    return [log.events // 30, last // 3, last]


def figures_of(run: Run, first: int, last: int) -> Figures:
    """The figures of one engine."""
    found = steady(run.samples, first, last)
    assert found is not None, "an engine is watched until it has done all"
    return {
        "events_per_second": found.events_per_second,
        "cpu_us_per_event_steady": found.cpu_us_per_event,
        "rss_bytes_per_customer": bytes_per_customer(run.collected),
        "events": last - first,
    }


def run_kairos(broker: Broker, log: RingsLog) -> Run:
    """Kairos over what is in the log and not yet in its state, until all is acknowledged."""
    run = Run()
    with ended(Detector(broker)) as detector:
        detector.start()
        run.samples = detector.watch(partial(has_done, detector, log.events), 600)
        detector.end()
    return run


def has_done(detector: Detector, events: int, found: dict[str, float], look: Sample) -> bool:
    """True when it has applied so many events and everything it told is acknowledged."""
    return look.events >= events and detector.is_idle(found)


def moments(broker: Broker) -> list[Finding]:
    """What Kairos told, as the peers would say it."""
    found = []
    for value in read_values(broker, MOMENTS):
        record = decode(value).record
        found.append(Finding(record["customer_id"], record["rule_id"], record["state"], record["occurred_at"]))
    return found


def partition_by_customer(customers: int, partitions: int) -> Mapping[int, int]:
    """Where the events of each customer are."""
    ids = customer_ids(np.arange(customers))
    return dict(zip(ids.tolist(), partitions_of(keys_of(ids), partitions), strict=True))


def compared(found: Mapping[str, Run], partition_of: Mapping[int, int]) -> dict[str, int]:
    """Per engine of the rings: how many findings differ from those of Kairos, as far as it read."""
    if RINGS not in found:
        return {}
    ours = found[RINGS].findings
    return {
        name: differing(within(ours, run.horizons, partition_of), within(run.findings, run.horizons, partition_of))
        for name, run in found.items()
        if name != KAIROS
    }


def table(figures: Mapping[str, Figures]) -> list[str]:
    """The figures for people."""
    lines = [f"{'':22} {'events/s':>11} {'CPU µs/event':>13} {'RSS B/customer':>15} {'events':>10}  differing findings"]
    for name, found in figures.items():
        memory = found["rss_bytes_per_customer"]
        lines.append(
            f"{name:22} {found['events_per_second']:>11,} {found['cpu_us_per_event_steady']:>13.3f}"
            f" {'' if memory is None else format(memory, ','):>15} {found['events']:>10,}"
            f"  {found.get('findings_that_differ', '')} of {found.get('findings', '')}"
        )
    if "kairos" in figures and "flink" in figures:
        ratio = figures["kairos"]["cpu_us_per_event_steady"] / figures["flink"]["cpu_us_per_event_steady"]
        lines.append(f"kairos, all rules, at {ratio:.3f} × the CPU of flink with two")
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
