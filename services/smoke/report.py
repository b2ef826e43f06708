"""From a finished run to the verdict: gathers the evidence, runs the checks, makes the one JSON line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from services.simulator.files import write_ndjson
from services.simulator.plan import CALL_STORY
from services.smoke.backtested import run_backtest
from services.smoke.bad_input import POISON
from services.smoke.checks import CHECKS, newest_revisions
from services.smoke.evidence import Evidence, Expected, Identity
from services.smoke.gather import TableContents, TopicContents, decode_topics, read_tables
from services.smoke.latency import event_to_poll_ms, percentile
from services.smoke.lock_file import LockFileReader
from services.smoke.scenario import RunRecord
from services.smoke.traffic import PHONES

EVENTS_LEAST = 50_000
GRACE_SECONDS = 10.0
GRACE_SECONDS_WITH_KILLS = 60.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The JSON line and, by check, what was found wrong."""

    line: dict[str, Any]
    violations: dict[str, list[str]]

    @property
    def holds(self) -> bool:
        """True when every check holds."""
        return all(self.line["checks"].values())


def judge(record: RunRecord, *, log_dir: Path, seconds: float, events_least: int = EVENTS_LEAST) -> Verdict:
    """Look at everything and decide."""
    topics = decode_topics(record.watcher.records(), LockFileReader())
    tables = read_tables(record.endpoints.postgres_dsn)
    evidence = evidence_of(record, topics, tables, log_dir)
    keep_evidence(log_dir.parent / "smoke", topics)
    (log_dir.parent / "smoke").mkdir(parents=True, exist_ok=True)
    again = run_backtest(record.endpoints.kafka, folder=log_dir.parent / "smoke", var_dir=log_dir.parent)
    evidence = replace(evidence, backtested=again.moments, backtest_fault=again.fault)
    violations = {name: list(check(evidence)) for name, check in CHECKS.items()}
    violations["came_to_rest"] = list(record.troubles)
    violations["enough_events"] = too_few(record.books.sent_count, events_least)
    line = {
        "accepted": sum(n for (_, outcome), n in record.books.answers.items() if outcome == "accepted"),
        "rejected": record.books.rejected_by_reason(),
        "dead_lettered": len(topics.dead_letters),
        "moments": dict(sorted(Counter(m["rule_id"] for m in newest_revisions(evidence).values()).items())),
        "cards": len({event["task_id"] for event in topics.task_events}),
        "ledger": dict(sorted(Counter(r.reason for r in tables.moment_rows if r.row_state == "LEDGER").items())),
        "offers": len({(offer.task_id, offer.epoch) for offer in record.diary.offers}),
        "completions": len(record.diary.completed),
        "event_to_poll_ms": latencies(record, topics),
        "checks": {name: not found for name, found in violations.items()},
        "seconds": round(seconds, 1),
    }
    return Verdict(line=line, violations={name: found for name, found in violations.items() if found})


def keep_evidence(folder: Path, topics: TopicContents) -> None:
    """Leave what was decoded beside the truth file, for whoever looks into a violation."""
    write_ndjson(folder / "moments.ndjson", topics.moments)
    write_ndjson(folder / "task_events.ndjson", topics.task_events)
    letters = ({"service": each.service, "reason": each.reason, **each.headers} for each in topics.dead_letters)
    write_ndjson(folder / "dead_letters.ndjson", letters)


def evidence_of(record: RunRecord, topics: TopicContents, tables: TableContents, log_dir: Path) -> Evidence:
    """All that the checks look at."""
    books, plan = record.books, record.plan
    return Evidence(
        accepted=frozenset(books.accepted),
        refused=books.refused,
        must_be_refused=frozenset(books.expected_reasons),
        events=topics.events,
        moments=topics.moments,
        task_events=topics.task_events,
        dead_letters=topics.dead_letters,
        poison=POISON,
        truth=[
            Expected(
                customer_id=row.customer_id,
                rule_id=row.rule_id,
                nominal_date=row.nominal_date,
                why=row.why,
                final_state=row.final_state,
                final_priority=row.final_priority,
            )
            for row in plan.truth
        ],
        covers=plan.covers,
        seen_until_ms=seen_until(topics),
        moment_rows=tables.moment_rows,
        messages=tables.messages,
        managers=tables.managers,
        completed=frozenset(record.diary.completed),
        quiet_windows={person.customer_id: person.quiet_windows for person in plan.people if person.quiet_windows},
        logs=sorted(log_dir.glob("*.log")),
        private_texts=private_texts(record),
        replayed=record.replayed,
        grace_seconds=GRACE_SECONDS_WITH_KILLS if record.killed else GRACE_SECONDS,
    )


def seen_until(topics: TopicContents) -> int:
    """The clock reading before the newest one: of the newest some moments may still be on their way."""
    readings = sorted(set(topics.ticks))
    return readings[-2] if len(readings) > 1 else 0


def private_texts(record: RunRecord) -> frozenset[str]:
    """What no log may hold: numbers, tokens, and the customers' ids."""
    tokens = {token for token in record.endpoints.tokens.values() if token}
    ids = {str(person.customer_id) for person in record.plan.people}
    return frozenset({*PHONES, *tokens, *ids})


def latencies(record: RunRecord, topics: TopicContents) -> dict[str, float | None]:
    """Event to poll, over the calls planted for it."""
    triggers: dict[int, Identity] = {
        story.customer.customer_id: story.live[0].identity for story in record.plan.stories if story.name == CALL_STORY
    }
    values = event_to_poll_ms(triggers, topics.events, record.diary.offers, rule_id="AN4")
    return {"p50": percentile(values, 0.50), "p99": percentile(values, 0.99)}


def too_few(sent: int, least: int) -> list[str]:
    """A run that sent too little proves too little."""
    return [] if sent >= least else [f"only {sent} events were sent, {least} are wanted"]
