"""The simulated province through the engine: its truth file, written without knowing a rule, is what is found."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from schemas.events import KINDS
from schemas.json_form.validation import DoorRules, KindValidator
from services.simulator.events import Event
from services.simulator.plan import Plan, build_plan
from services.simulator.span import Span
from tests.reference.logs import Entry, compared, full, in_order, reference, run_engine

MINUTE = 60_000
_VALIDATORS = {name: KindValidator(kind) for name, kind in KINDS.items()}


def log_of(plan: Plan) -> Iterator[Entry]:
    """The event log of a run: rules, history, then sessions with ticks every hour and a half between them."""
    now = plan.span.start_ms
    yield "tick", now
    yield from (accepted(event, now, is_history=True) for event in plan.history() if event.kind != "contact")
    for _ in range(2):
        now += MINUTE
        yield "tick", now
    for session in plan.span.sessions():
        while now < session.at_ms:
            now = min(now + 97 * MINUTE, session.at_ms)
            yield "tick", now - now % MINUTE
        due = plan.session(session)
        for event in (*due.background, *due.planted, *due.calls):
            if event.kind != "contact":
                yield accepted(event, session.at_ms + 5_000, is_history=False)


def accepted(event: Event, now_ms: int, *, is_history: bool) -> Entry:
    """The event as ingest puts it on the log."""
    record: Any = _VALIDATORS[event.kind].validate(
        dict(event.body), now_ms=now_ms, rules=DoorRules(is_history=is_history)
    )
    assert isinstance(record, dict), record
    ingested_at = record["occurred_at"] if is_history else now_ms
    return "event", event.kind, full(event.kind, {**record, "ingested_at": ingested_at, "history": is_history})


def test_every_planted_moment_is_found_and_nothing_else() -> None:
    plan = build_plan(seed=11, customers=400, span=Span())
    log = list(log_of(plan))
    everything, _ = run_engine(log, splits=range(0, len(log), 5_000))
    moments = [moment for moment in everything if moment["rule_id"] in plan.covers]
    found = Counter(key(moment) for moment in moments if moment["revision"] == 1)
    assert found == Counter(row.key for row in plan.truth)
    newest = {moment["moment_id"]: moment for moment in moments}
    by_key = {key(moment): newest[moment["moment_id"]] for moment in moments if moment["revision"] == 1}
    for row in plan.truth:
        assert row.final_state in (None, by_key[row.key]["state"]), row
        assert row.final_priority in (None, by_key[row.key]["priority"]), row
    assert compared(moments) == in_order(f for f in reference(log) if f.rule_id in plan.covers)


def key(moment: dict[str, Any]) -> tuple[int, str, str]:
    """What a truth row is compared by."""
    day = date(1970, 1, 1) + timedelta(moment["nominal_date"])
    return moment["customer_id"], moment["rule_id"], day.isoformat()
