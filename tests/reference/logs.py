"""Logs for the engine and the reference: records made from a few words, random logs from a seed, and the way to run
them."""

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from schemas.codec import decode_body, encode
from schemas.events import KINDS
from schemas.registry import REGISTRY
from services.detector.decode import decode_chunk
from services.detector.engine import wire
from services.detector.engine.partition import Partition
from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set
from tests.reference.evaluator import DAY, HOUR, Finding, Reference, midnight

RULES = Path(__file__).parents[2] / "services" / "detector" / "rules"
MONDAY = date(2026, 9, 7)
TICK = "kairos.control.v1.Tick"
Entry = tuple[Any, ...]
_MODELS = tuple(f"Aster {n}" for n in range(14))


@dataclass(frozen=True)
class Raw:
    """A record of the log."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 0


def shipped_documents() -> dict[str, str]:
    """The shipped rule files."""
    return {f"rules/{path.name}": path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.yaml"))}


@cache
def shipped() -> CompiledRuleSet:
    """The shipped rules, compiled once."""
    return compile_rule_set(shipped_documents(), "province@1")


class Log:
    """Builds a log: `log.event("balance", at, balance_fen=5)`, `log.tick(at)`."""

    def __init__(self, customer_id: int = 7) -> None:
        self.entries: list[Entry] = []
        self._customer_id = customer_id
        self._numbers = itertools.count(1)

    def event(
        self, kind: str, at: int, *, arrives: int | None = None, history: bool = False, **fields: Any
    ) -> dict[str, Any]:
        """Append an event; defaults for all that is not given. Returns its record."""
        record = {
            "customer_id": self._customer_id,
            "occurred_at": at,
            "ingested_at": at if arrives is None else arrives,
            "history": history,
            "event_id": f"e{next(self._numbers):06d}",
            "source": "crm",
            **fields,
        }
        self.entries.append(("event", kind, full(kind, record)))
        return record

    def profile(self, at: int, **fields: Any) -> dict[str, Any]:
        """Append a customer record."""
        return self.event("customer", at, **{"city": "NJ", "segment": "GO", "tier": "MID", **fields})

    def again(self, kind: str, record: dict[str, Any]) -> None:
        """Append the same event once more."""
        self.entries.append(("event", kind, full(kind, record)))

    def tick(self, at: int) -> None:
        """Append a tick that announces the rules."""
        self.entries.append(("tick", at))


def full(kind: str, record: dict[str, Any]) -> dict[str, Any]:
    """The record with every field, as the log has it."""
    name = KINDS[kind].record
    return decode_body(REGISTRY.id_of(name), encode(name, record)[5:])


def local(day: date, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """An instant by local date and time."""
    return midnight(day) + hour * HOUR + minute * 60_000 + second * 1000


def raw_records(entries: Iterable[Entry], first_offset: int = 0) -> list[Raw]:
    """The log as bytes."""
    found = []
    for offset, entry in enumerate(entries, first_offset):
        if entry[0] == "tick":
            found.append(Raw(offset, None, encode(TICK, {"now": entry[1], "rules_offset": 0})))
        else:
            _, kind, record = entry
            found.append(Raw(offset, b"%d" % record["customer_id"], encode(KINDS[kind].record, record)))
    return found


def run_engine(
    entries: Iterable[Entry], splits: Sequence[int] = (), rules: CompiledRuleSet | None = None
) -> tuple[list[dict[str, Any]], Partition]:
    """Apply a log in chunks that end at these positions; return the moments and the partition."""
    records = raw_records(entries)
    partition = Partition(0)
    moments = apply_in_chunks(partition, records, splits, rules)
    return moments, partition


def apply_in_chunks(
    partition: Partition, records: list[Raw], splits: Sequence[int] = (), rules: CompiledRuleSet | None = None
) -> list[dict[str, Any]]:
    """Apply records in chunks, then sweep; return the moments, by customer and then in log order."""
    moments: list[dict[str, Any]] = []
    edges = sorted({0, len(records), *(split for split in splits if 0 < split < len(records))})
    for first, last in itertools.pairwise(edges):
        applied = partition.apply(decode_chunk(0, records[first:last]), {0: rules or shipped()})
        moments += applied.moments
    return by_customer(moments + swept(partition))


def swept(partition: Partition, customers_at_once: int = 100) -> list[dict[str, Any]]:
    """The moments of all visits that are still owed to passed ticks."""
    moments: list[dict[str, Any]] = []
    while partition.sweep_pending:
        moments += partition.sweep(customers_at_once).moments
    return moments


def by_customer(moments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Moments by customer; those of one customer stay in their order, which is that of the log."""
    return sorted(moments, key=lambda moment: int(moment["customer_id"]))


def reference(entries: Iterable[Entry]) -> list[Finding]:
    """What the slow evaluator finds."""
    return Reference(lambda source, name: f"{wire.source_text_key(source, name) & (2**64 - 1):016x}").run(entries)


def as_finding(moment: dict[str, Any]) -> Finding:
    """The compared part of a moment."""
    return Finding(
        **{
            key: moment[key]
            for key in (
                "customer_id", "rule_id", "episode", "revision", "state", "resolution", "priority", "channel",
                "occurred_at", "detected_at", "earliest_contact_at", "expires_at", "history", "city",
            )
        },
        risk=moment["risk_score"],
        nominal_date=date(1970, 1, 1) + timedelta(moment["nominal_date"]),
        evidence=tuple(
            (e["name"], e["observed"] if e["observed_text"] is None else e["observed_text"], e["baseline"],
            e["threshold"])
            for e in moment["evidence"]
        ),
    )  # fmt: skip


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in an order that does not depend on which customer is looked at first."""
    return sorted(findings, key=lambda f: (f.customer_id, f.rule_id, f.episode, f.revision, f.detected_at, repr(f)))


def random_log(seed: int, events: int, customers: int = 6, weeks: int = 8) -> list[Entry]:
    """A log with everything that makes trouble: history, late and early arrivals, duplicates, missed ticks, ties."""
    rng = random.Random(seed)
    start = midnight(MONDAY) - 9 * 7 * DAY
    entries: list[Entry] = []
    people = [100 + i for i in range(customers)]
    sent: list[tuple[str, dict[str, Any]]] = []
    span = (9 + weeks) * 7 * DAY
    live_from = start + 9 * 7 * DAY
    at, next_tick, number = start, live_from, 0
    for _ in range(events):
        at += int(rng.expovariate(events / span)) + rng.randrange(2)
        at -= at % rng.choice((1, 1, 1000, 60_000))
        while at >= next_tick:
            entries.append(("tick", next_tick))
            next_tick += 60_000 * rng.choice((1, 60, 360, 360, 720, 1440, 1440, 4320))
            next_tick = max(next_tick, at - 3 * DAY)
            next_tick -= next_tick % 60_000
        if sent and rng.random() < 0.05:
            entries.append(("event", *rng.choice(sent[-20:])))
            continue
        number += 1
        kind = rng.choices(
            ("usage", "balance", "complaint", "handset-change", "line-status", "customer", "bill", "inquiry"),
            (50, 18, 12, 4, 4, 4, 2, 2),
        )[0]
        occurred = at - rng.choice((0, 0, 0, 0, 1, 60_000, HOUR, 30 * HOUR, 12 * DAY, 60 * DAY)) * (rng.random() < 0.3)
        if rng.random() < 0.02:
            occurred = at + rng.choice((1000, 299_999, 10 * HOUR))
        is_history = at < live_from or rng.random() < 0.01
        customer_id = rng.choice(people)
        if kind == "complaint" and customer_id % 3:
            kind = "usage"
        record = full(kind, {
            "customer_id": customer_id,
            "occurred_at": occurred,
            "ingested_at": occurred if is_history else at,
            "history": is_history,
            "event_id": rng.choice(("", "a-very-long-event-id-")) + f"{number:x}",
            "source": rng.choice(("crm", "boss")),
            **_fields(rng, kind, customer_id),
        })  # fmt: skip
        sent.append((kind, record))
        entries.append(("event", kind, record))
    return entries


def _fields(rng: random.Random, kind: str, customer_id: int) -> dict[str, Any]:
    if kind == "usage":
        service = rng.choice(("VOICE", "VOICE", "DATA", "SMS"))
        return {"service": service, "direction": rng.choice(("OUT", "IN")), "quantity": rng.choice((0, 60, 900, 4000)),
                "charge_fen": rng.choice((0, 0, 300, 3000)), "succeeded": rng.random() < 0.9}  # fmt: skip
    if kind == "balance":
        return {"balance_fen": rng.choice((-500, 300, 999, 1000, 1500, 2000, 2001, 4000, 30_000)),
                "reason": rng.choice(("TOP_UP", "CHARGE", "SNAPSHOT"))}  # fmt: skip
    if kind == "complaint":
        return {"complaint_id": f"k{rng.randrange(12)}", "topic": rng.choice(("NETWORK", "BILLING")),
                "state": rng.choice(("OPENED", "OPENED", "UPDATED", "CLOSED", "CONFIRMED", "CONFIRMED"))}  # fmt: skip
    if kind == "handset-change":
        return {"device_model": rng.choice(_MODELS), "previous_device_model": rng.choice((None, None, *_MODELS)),
                "capabilities": rng.sample(["4G", "5G", "VOLTE", "ESIM", "7G"], 2)}  # fmt: skip
    if kind == "line-status":
        return {"status": rng.choice(("ACTIVE", "ACTIVE", "SUSPENDED_ARREARS", "SUSPENDED_LOST", "TERMINATED"))}
    if kind == "customer":
        month, day = ((9, 10), (9, 30), (10, 5), (10, 20), (2, 29), (8, 15), (8, 30))[customer_id % 7]
        return {
            "city": rng.choice(("NJ", "SZ")),
            "tier": rng.choice(("TOP", "LOW")),
            "birthday": f"{month:02d}-{day:02d}",
            "birthday_calendar": ("SOLAR", "LUNAR")[customer_id % 2],
            "auto_pay": rng.random() < 0.2,
            "arpu_fen": rng.choice((None, 4000, 60_000)),
            "joined_on": rng.choice((None, 18_000, 20_100, 20_650)),
            "plan_capabilities": ["4G"],
        }
    if kind == "bill":
        return {"cycle": "2026-08", "total_fen": 5000}
    return {"inquiry_id": f"q{rng.randrange(5)}", "topic": "FEE"}
