"""The engine alone, in process, on one core: bytes of a Kafka fetch to moments ready to be sent.

Measures CPU per event of decoding and of applying, per moment of making and of encoding it, a day's sweep, and pages
out. `--rules 0` runs the shipped rules; a greater number adds copies of them under other ids. `--grid` runs a grid of
customers and rules.
"""

import argparse
import gc
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.engine_load import DAY_MS, MIXES, SUNDAY_NOON_MS, batches_of, documents, fetched, live, past, ticked
from services.detector.engine.partition import Applied, Partition
from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set
from services.detector.records.decode import decode_chunk
from services.detector.records.log_records import LogRecords
from services.detector.shard import moment_record

_GRID_CUSTOMERS = (10_000, 100_000, 1_000_000)
_GRID_RULES = (1, 0, 100)


class Timed(Partition):
    """A partition that knows how long it took to make moments."""

    make_s = 0.0

    def _tell(self, rule_set: CompiledRuleSet, found: int, applied: Applied) -> None:
        started = time.process_time()
        super()._tell(rule_set, found, applied)
        self.make_s += time.process_time() - started


class Clock:
    """CPU seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run, print a table and a last line of JSON; return the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rules", type=int, default=0)
    parser.add_argument("--chunk", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grid", action="store_true")
    given = parser.parse_args(argv)
    runs = [(given.customers, given.rules)]
    if given.grid:
        runs = [(c, r) for c in _GRID_CUSTOMERS for r in _GRID_RULES]
    all_figures: dict[str, Any] = {}
    for customers, rules in runs:
        figures = measure(given.events, customers, given.chunk, given.seed, rules)
        for name, value in figures.items():
            print(name, json.dumps(value), flush=True)
        suffix = f", {customers:,} customers, {rules or 'all'} rules" if given.grid else ""
        all_figures |= {name + suffix: value for name, value in figures.items()}
    print(json.dumps(all_figures))
    return all_figures


def measure(events: int, customers: int, chunk: int, seed: int, rule_count: int) -> dict[str, Any]:
    """Return the figures: microseconds of CPU per event and moment, events per second of CPU, seconds for the rest."""
    clock = Clock()
    with clock("compile"):
        rules = compile_rule_set(documents(rule_count), "bench@1")
    partition, offset = _with_past(customers, rules)
    rng = random.Random(seed)
    figures: dict[str, Any] = {"rules": len(rules.rules), "customers": partition.customers}
    for mix in MIXES:
        fetches = []
        for _ in range(0, events, chunk):
            fetches.append(fetched(live(rng, chunk, customers, SUNDAY_NOON_MS, mix=mix), offset))
            offset += chunk
        figures[mix] = _measured(partition, rules, fetches, chunk)
    with clock("sweep"):
        swept = partition.apply(ticked(offset, SUNDAY_NOON_MS + DAY_MS), {0: rules})
        found = len(swept.moments)
        while partition.sweep_pending:
            found += len(partition.sweep(1_000).moments)
    with clock("dump"):
        size = sum(len(partition.dump_page(n).payload) for n in range(partition.pages()))
    return {
        **figures,
        "sweep_us_per_customer": clock.seconds["sweep"] / customers * 1e6,
        "sweep_moments": found,
        "dump_us_per_customer": clock.seconds["dump"] / customers * 1e6,
        "page_bytes_per_customer": size / customers,
        "compile_seconds": clock.seconds["compile"],
    }


def _measured(partition: Timed, rules: CompiledRuleSet, fetches: list[bytes], chunk: int) -> dict[str, float]:
    """The figures of one log; its first quarter warms up."""
    gc.collect()
    gc.freeze()
    _run(partition, rules, fetches[: len(fetches) // 4], Clock())
    partition.make_s, clock = 0.0, Clock()
    fetches = fetches[len(fetches) // 4 :]
    told = _run(partition, rules, fetches, clock)
    events, seconds, moments = len(fetches) * chunk, clock.seconds, max(told, 1)
    return {
        "events_per_second": events / (seconds["decode"] + seconds["apply"]),
        "decode_us_per_event": seconds["decode"] / events * 1e6,
        "apply_us_per_event": seconds["apply"] / events * 1e6,
        "events": events,
        "events_per_moment": events / moments,
        "make_us_per_moment": partition.make_s / moments * 1e6,
        "encode_us_per_moment": seconds["encode"] / moments * 1e6,
    }


def _with_past(customers: int, rules: CompiledRuleSet) -> tuple[Timed, int]:
    partition = Timed(0)
    offset = 0
    for chunk in past(customers):
        partition.apply(chunk, {0: rules})
        offset = chunk.next_offset
    partition.apply(ticked(offset, SUNDAY_NOON_MS), {0: rules})
    return partition, offset + 1


def _run(partition: Partition, rules: Any, fetches: list[bytes], clock: Clock) -> int:
    """Apply fetches and encode what they bring forth; times each. Returns how many moments there were."""
    told = 0
    for data in fetches:
        with clock("decode"):
            decoded = decode_chunk(0, LogRecords.of_batches(batches_of(data)))
        with clock("apply"):
            applied = partition.apply(decoded, {0: rules})
        with clock("encode"):
            for moment in applied.moments:
                moment_record(moment)
        told += len(applied.moments)
    return told


if __name__ == "__main__":
    main()
