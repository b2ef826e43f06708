"""The engine alone, in process, on one core: bytes of the log to moments, with the shipped rules.

Measures CPU per event of decoding and applying, a sweep at 06:00 on a Monday, and pages out. Usage with a few of the
other kinds, customers in random order, each with a profile and five weeks of usage before the clock starts.
"""

import argparse
import gc
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.codec import encode
from services.detector.decode import decode_chunk
from services.detector.engine.partition import Partition
from services.detector.engine.rule_set import compile_rule_set

RULES = Path(__file__).parents[1] / "services" / "detector" / "rules"
SUNDAY_NOON_MS = 1_788_667_200_000
DAY_MS = 86_400_000
_KINDS = ("usage", "balance", "complaint", "line-status", "handset-change")


@dataclass(frozen=True, slots=True)
class Raw:
    """A record of the log."""

    offset: int
    key: bytes | None
    value: bytes
    timestamp: int = 0


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run, print a table and a last line of JSON; return the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--chunk", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    figures = measure(given.events, given.customers, given.chunk, given.seed)
    for name, value in figures.items():
        print(f"{name:32s} {value:14,.3f}")
    print(json.dumps(figures))
    return figures


def measure(events: int, customers: int, chunk: int, seed: int) -> dict[str, float]:
    """Return the figures: microseconds of CPU per event, events per second of CPU, seconds for sweep and pages."""
    rules = compile_rule_set({path.name: path.read_text(encoding="utf-8") for path in RULES.glob("*.yaml")}, "bench@1")
    rng = random.Random(seed)
    partition = Partition(0)
    offset = run(partition, rules, profiles(customers), 0, chunk)[3]
    offset = run(partition, rules, past(rng, customers), offset, chunk)[3]
    offset = run(partition, rules, [tick(SUNDAY_NOON_MS), *live(rng, 2 * chunk, customers)], offset, chunk)[3]
    log = live(rng, events, customers)
    gc.collect()
    gc.freeze()
    decode_s, apply_s, moments, offset = run(partition, rules, log, offset, chunk)
    started = time.process_time()
    swept = run(partition, rules, [tick(SUNDAY_NOON_MS + DAY_MS)], offset, chunk)
    sweep_s = time.process_time() - started
    started = time.process_time()
    size = sum(len(partition.dump_page(n).payload) for n in range(partition.pages()))
    dump_s = time.process_time() - started
    return {
        "events": events,
        "customers": partition.customers,
        "decode_us_per_event": decode_s / events * 1e6,
        "apply_us_per_event": apply_s / events * 1e6,
        "events_per_second": events / (decode_s + apply_s),
        "moments": moments,
        "sweep_seconds": sweep_s,
        "sweep_moments": swept[2],
        "dump_seconds": dump_s,
        "page_bytes_per_customer": size / partition.customers,
    }


def run(
    partition: Partition, rules: Any, records: list[tuple[bytes | None, bytes]], offset: int, chunk: int
) -> tuple[float, float, int, int]:
    """Apply records in chunks; return CPU seconds of decoding and applying, moments, next offset."""
    decode_s = apply_s = 0.0
    moments = 0
    raws = [Raw(offset + i, key, value) for i, (key, value) in enumerate(records)]
    for first in range(0, len(raws), chunk):
        part = raws[first : first + chunk]
        started = time.process_time()
        decoded = decode_chunk(0, part)
        between = time.process_time()
        moments += len(partition.apply(decoded, {0: rules}).moments)
        while partition.sweep_pending:
            moments += len(partition.sweep(4096).moments)
        apply_s += time.process_time() - between
        decode_s += between - started
    return decode_s, apply_s, moments, offset + len(raws)


def tick(now_ms: int) -> tuple[None, bytes]:
    """A tick that announces the rules."""
    return None, encode("kairos.control.v1.Tick", {"now": now_ms, "rules_offset": 0})


def profiles(customers: int) -> list[tuple[bytes | None, bytes]]:
    """A record per customer."""
    at = SUNDAY_NOON_MS - 40 * DAY_MS
    return [
        event("CustomerEvent", customer, at, f"p{customer}", history=True, city=("NJ", "SZ")[customer % 2], tier="MID",
              birthday=f"{customer % 12 + 1:02d}-{customer % 28 + 1:02d}", owner_manager_id=f"m-{customer % 97}",
              joined_on=18_000)
        for customer in range(1, customers + 1)
    ]  # fmt: skip


def past(rng: random.Random, customers: int) -> list[tuple[bytes | None, bytes]]:
    """One call per customer and week, the last one on the Saturday before the clock starts."""
    return [
        event("UsageEvent", customer, SUNDAY_NOON_MS - DAY_MS - back * 7 * DAY_MS, f"h{customer}-{back}", history=True,
              service="VOICE", quantity=rng.randrange(3000, 3900), charge_fen=rng.randrange(500))
        for back in (5, 4, 3, 2, 1, 0)
        for customer in range(1, customers + 1)
    ]  # fmt: skip


def live(rng: random.Random, count: int, customers: int) -> list[tuple[bytes | None, bytes]]:
    """Events of an hour: 90 % usage, 8 % balances, the rest of other kinds."""
    found = []
    for number in range(count):
        customer, at = rng.randrange(1, customers + 1), SUNDAY_NOON_MS + number * 3_600_000 // count
        name = f"{rng.getrandbits(48):012x}"
        kind = rng.choices(_KINDS, (900, 80, 5, 5, 10))[0]
        if kind == "usage":
            record = event("UsageEvent", customer, at, name, service=rng.choice(("VOICE", "DATA", "SMS")),
                           quantity=rng.randrange(2000), charge_fen=rng.randrange(50), area="NJ-017",
                           counterpart_network="ON_NET", counterpart_key=rng.getrandbits(60))  # fmt: skip
        elif kind == "balance":
            record = event("BalanceEvent", customer, at, name, balance_fen=rng.randrange(900, 60_000))
        elif kind == "complaint":
            record = event("ComplaintEvent", customer, at, name, complaint_id=name, state="OPENED", topic="BILLING")
        elif kind == "line-status":
            record = event("LineStatusEvent", customer, at, name, status="ACTIVE")
        else:
            record = event("HandsetChangeEvent", customer, at, name, device_model=f"model {rng.randrange(300)}")
        found.append(record)
    return found


def event(record: str, customer: int, at: int, event_id: str, **fields: Any) -> tuple[bytes | None, bytes]:
    """A framed event."""
    common = {"customer_id": customer, "occurred_at": at, "ingested_at": at, "event_id": event_id, "source": "boss"}
    return b"%d" % customer, encode(f"kairos.events.v1.{record}", {**common, **fields})


if __name__ == "__main__":
    main()
