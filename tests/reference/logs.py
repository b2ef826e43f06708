"""Logs through the engine and through the reference, and the form in which their findings are compared."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from services.detector.engine.log_format import scan
from services.detector.engine.partition import Partition
from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set
from services.detector.records.decode import decode_chunk
from tests.reference.evaluator import Reference
from tests.reference.findings import Condition, Finding
from tests.reference.limits import RuleSet
from tests.reference.random_logs import random_log
from tests.reference.records import MONDAY, TICK, Entry, Log, Raw, full, local, raw_records
from tests.reference.rules.catalogue import BY_ID

__all__ = [
    "MONDAY", "TICK", "Entry", "Log", "Raw", "apply_in_chunks", "as_finding", "by_customer", "compared", "full",
    "in_order", "local",
    "random_log", "raw_records", "reference", "run_engine", "shipped", "shipped_documents", "shipped_ids", "swept",
]  # fmt: skip

RULES = Path(__file__).parents[2] / "services" / "detector" / "rules"


def shipped_documents() -> dict[str, str]:
    """The shipped rule files."""
    return {f"rules/{path.name}": path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.yaml"))}


@cache
def shipped() -> CompiledRuleSet:
    """The shipped rules, compiled once."""
    return compile_rule_set(shipped_documents(), "province@1")


def shipped_ids() -> frozenset[str]:
    """The rules that the engine judges."""
    return frozenset(rule.id for rule in shipped().rules)


def run_engine(
    entries: Iterable[Entry],
    splits: Sequence[int] = (),
    rules: CompiledRuleSet | Mapping[int, CompiledRuleSet] | None = None,
) -> tuple[list[dict[str, Any]], Partition]:
    """Apply a log in chunks that end at these positions; return the moments and the partition."""
    records = raw_records(entries)
    partition = Partition(0)
    moments = apply_in_chunks(partition, records, splits, rules)
    return moments, partition


def apply_in_chunks(
    partition: Partition,
    records: list[Raw],
    splits: Sequence[int] = (),
    rules: CompiledRuleSet | Mapping[int, CompiledRuleSet] | None = None,
) -> list[dict[str, Any]]:
    """Apply records in chunks, then sweep; return the moments, by customer and then in log order."""
    sets = rules if isinstance(rules, Mapping) else {0: rules or shipped()}
    moments: list[dict[str, Any]] = []
    edges = sorted({0, len(records), *(split for split in splits if 0 < split < len(records))})
    for first, last in itertools.pairwise(edges):
        applied = partition.apply(decode_chunk(0, records[first:last]), sets)
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


def reference(entries: Iterable[Entry], rule_sets: Sequence[RuleSet] = (RuleSet(),)) -> list[Finding]:
    """What the slow evaluator finds, of the rules that are shipped."""
    return Reference(_name_of, shipped_ids(), rule_sets).run(entries)


def _name_of(source: str, name: str) -> str:
    return f"{scan.source_text_key(source, name) & (2**64 - 1):016x}"


def compared(moments: Iterable[dict[str, Any]]) -> list[Finding]:
    """Moments as they are compared: of the rules that have a reference, in order."""
    return in_order(as_finding(each) for each in moments if each["rule_id"] in BY_ID)


def as_finding(moment: dict[str, Any]) -> Finding:
    """The compared part of a moment."""
    return Finding(
        **{
            key: moment[key]
            for key in (
                "customer_id", "rule_id", "episode", "revision", "state", "resolution", "priority", "channel",
                "occurred_at", "detected_at", "earliest_contact_at", "expires_at", "history", "city", "segment",
            )
        },
        risk=moment["risk_score"],
        risk_terms=tuple((term["name"], term["bin"], term["points"]) for term in moment["risk_terms"]),
        nominal_date=date(1970, 1, 1) + timedelta(moment["nominal_date"]),
        evidence=tuple(
            Condition(
                e["name"], e["unit"], e["observed"] if e["observed_text"] is None else e["observed_text"],
                e["baseline"], e["threshold"], e["layer"],
            )
            for e in moment["evidence"]
        ),
    )  # fmt: skip


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in an order that does not depend on which customer is looked at first."""
    return sorted(findings, key=lambda f: (f.customer_id, f.rule_id, f.episode, f.revision, f.detected_at, repr(f)))
