"""The engine against the slow evaluator over a long random log: `python -m tests.replay.long_run --events 1000000`.

A log is a number of partitions, each with customers of its own and a seed. Every partition goes through the engine in
chunks of random length, is swept in random slices, written as pages and loaded again now and then, and gets rule sets
published in mid-stream; the slow evaluator takes the same log entry by entry. Both must find the same.
"""

import argparse
import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from services.detector.engine.partition import Partition
from services.detector.engine.rule_set import CompiledRuleSet
from services.detector.records.decode import decode_chunk
from tests.reference.findings import Finding
from tests.reference.logs import compared, in_order, reference, shipped_ids
from tests.reference.records import raw_records
from tests.reference.rule_sets import Published, as_shipped, both, layered, log_with_rule_sets

EVENTS_OF_PARTITION = 25_000
SHOWN = 5
"""Differences of a partition that are written out."""


@dataclass
class Outcome:
    """What became of one partition."""

    number: int
    events: int = 0
    ticks: int = 0
    customers: int = 0
    reloads: int = 0
    seconds: float = 0.0
    moments: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def published() -> list[Published]:
    """The rule sets of every log: as shipped, then with layers, then with others, then as shipped again."""
    return [as_shipped(), layered(1), layered(2), as_shipped()]


def judge_partition(job: tuple[int, int, int]) -> Outcome:
    """Run one partition (seed, number, events) through both."""
    seed, number, events = job
    began = time.process_time()
    rng = random.Random(f"{seed}/{number}")
    log = log_with_rule_sets(
        rng.randrange(2**32), 4, events=events, customers=rng.choice((12, 25, 50)), weeks=rng.choice((20, 40, 70)),
        theme="everything" if number % 2 == 0 else None,
    )  # fmt: skip
    compiled, stated = both(published())
    outcome = Outcome(number, ticks=sum(entry[0] == "tick" for entry in log))
    outcome.events = len(log) - outcome.ticks
    outcome.customers = len({entry[2]["customer_id"] for entry in log if entry[0] == "event"})
    found = compared(engine_moments(log, compiled, rng, outcome))
    wanted = in_order(reference(log, stated))
    outcome.moments = Counter((finding.rule_id, finding.state) for finding in wanted)
    outcome.differences = list(differences(found, wanted))
    outcome.seconds = time.process_time() - began
    return outcome


def engine_moments(
    log: list[Any], compiled: Mapping[int, CompiledRuleSet], rng: random.Random, outcome: Outcome
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """What the engine finds, however it is fed, swept, saved and loaded."""
    records = raw_records(log)
    partition = Partition(0)
    first = 0
    while first < len(records):
        last = first + rng.choice((1, 10, 300, 5000))
        yield from partition.apply(decode_chunk(0, records[first:last]), compiled).moments
        if rng.random() < 0.5:
            yield from partition.sweep(rng.choice((1, 7, 100))).moments
        if rng.random() < 0.03:
            yield from swept(partition)
            partition = reloaded(partition)
            outcome.reloads += 1
        first = last
    yield from swept(partition)


def swept(partition: Partition) -> Iterator[dict[str, Any]]:
    """All that is still owed."""
    while partition.sweep_pending:
        yield from partition.sweep(100).moments


def reloaded(partition: Partition) -> Partition:
    """The partition as another worker would load it."""
    loaded = Partition(0)
    for number in range(partition.pages()):
        loaded.load_page(number, partition.dump_page(number))
    loaded.finish_loading(partition.tick_now_ms, partition.rules_offset, partition.next_offset)
    return loaded


def differences(found: list[Finding], wanted: list[Finding]) -> Iterator[str]:
    """What only one of them found, or both in different words."""
    left, right = _by_name(found), _by_name(wanted)
    for name in sorted(left.keys() | right.keys(), key=lambda each: each[4]):
        one, other = left.get(name), right.get(name)
        if one is None or other is None:
            yield f"{'engine' if other is None else 'reference'} alone: {one or other}"
        elif one != other:
            parts = [
                f"{each.name}: engine {getattr(one, each.name)}, reference {getattr(other, each.name)}"
                for each in fields(Finding)
                if getattr(one, each.name) != getattr(other, each.name)
            ]
            yield f"{name}: {'; '.join(parts)}"
    if len(found) != len(left) or len(wanted) != len(right):
        yield f"told twice: engine {len(found) - len(left)}, reference {len(wanted) - len(right)}"


def _by_name(findings: list[Finding]) -> dict[tuple[int, str, str, int, int], Finding]:
    return {(f.customer_id, f.rule_id, f.episode, f.revision, f.detected_at): f for f in findings}


def run(*, events: int, seed: int, processes: int = 2, shows: bool = True) -> dict[str, Any]:
    """Judge so many events; return the summary, which is also printed as it grows."""
    count = max(1, round(events / EVENTS_OF_PARTITION))
    jobs = [(seed, number, -(-events // count)) for number in range(count)]
    published()  # compiled once, before there are processes
    began, outcomes = time.monotonic(), []
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for outcome in pool.imap_unordered(judge_partition, jobs):
            outcomes.append(outcome)
            if shows:
                _show(outcome, len(outcomes), count)
    moments: Counter[tuple[str, str]] = sum((each.moments for each in outcomes), Counter())
    raised = {rule: moments[rule, "RAISED"] for rule in sorted(shipped_ids())}
    return {
        "events": sum(each.events for each in outcomes),
        "ticks": sum(each.ticks for each in outcomes),
        "customers": sum(each.customers for each in outcomes),
        "reloads": sum(each.reloads for each in outcomes),
        "seed": seed,
        "rules": len(raised),
        "revisions": sum(moments.values()),
        "raised": raised,
        "updated": {rule: moments[rule, "UPDATED"] for rule in raised if moments[rule, "UPDATED"]},
        "resolved": {rule: moments[rule, "RESOLVED"] for rule in raised if moments[rule, "RESOLVED"]},
        "never_raised": [rule for rule, times in raised.items() if not times],
        "differences": sum(len(each.differences) for each in outcomes),
        "first_differences": [text[:2000] for each in outcomes for text in each.differences[:SHOWN]][:SHOWN],
        "cpu_seconds": round(sum(each.seconds for each in outcomes), 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def _show(outcome: Outcome, done: int, count: int) -> None:
    told = sum(outcome.moments.values())
    print(
        f"{done}/{count}  partition {outcome.number}: {outcome.events} events, {outcome.customers} customers, "
        f"{told} revisions, {len(outcome.differences)} differences, {outcome.seconds:.0f} s",
        flush=True,
    )
    for text in outcome.differences[:SHOWN]:
        print("   ", text, flush=True)


def main() -> int:
    """Run from the command line; 1 when anything differs or a rule was never seen to fire."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    summary = run(events=given.events, seed=given.seed, processes=given.processes)
    print(json.dumps(summary))
    return 1 if summary["differences"] or summary["never_raised"] else 0


if __name__ == "__main__":
    sys.exit(main())
