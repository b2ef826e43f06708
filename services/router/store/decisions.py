"""Decides about locked customers and writes the outcome, within the caller's transaction.

The decision itself is `decide.py`; this module only carries facts in and rows out.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.router.decide import decide
from services.router.model import CustomerFacts, Decision, Rescind
from services.router.ranking import base_rank
from services.router.reasons import RowState
from services.router.store.database import Db, rows_json
from services.router.store.facts import load_facts

MESSAGE_SOURCE = "kairos-router"

_UPDATE = """
UPDATE moments m SET row_state = r.row_state, reason = r.reason, waits_until = r.waits_until, due_at = r.due_at,
    ready_at = r.ready_at, rank_base = r.rank_base, waited_for = r.waited_for, city = coalesce(r.city, m.city),
    owner_manager_id = r.owner, changed_at = %(now)s,
    ready_since = CASE WHEN r.reason IN ('dispatching', 'on_card') THEN m.ready_since END
FROM json_to_recordset(%(rows)s::json) AS r(moment_id text, row_state text, reason text, waits_until bigint,
    due_at bigint, ready_at bigint, rank_base double precision, waited_for text, city text, owner text)
WHERE m.moment_id = r.moment_id
"""
_OUTBOX = """
INSERT INTO contact_outbox (moment_id, customer_id, channel, content, queued_at)
SELECT r.moment_id, r.customer_id, r.channel,
       json_build_object('rule_id', m.rule_id, 'content', m.content), %(now)s
FROM json_to_recordset(%(rows)s::json) AS r(moment_id text, customer_id bigint, channel text)
JOIN moments m USING (moment_id)
ON CONFLICT DO NOTHING
"""
_MESSAGE_CONTACTS = """
INSERT INTO contacts (source, event_id, customer_id, channel, direction, outcome, dimension, occurred_at)
SELECT %(source)s, r.moment_id, r.customer_id, CASE r.channel WHEN 'SMS' THEN 'SMS' ELSE 'APP' END, 'OUT', 'DELIVERED',
       r.dimension, %(now)s
FROM json_to_recordset(%(rows)s::json) AS r(moment_id text, customer_id bigint, channel text, dimension text)
ON CONFLICT DO NOTHING
"""
_RESCINDS = """
INSERT INTO rescinds (task_id, version, customer_id, reason, asked_at)
SELECT r.task_id, r.version, r.customer_id, r.reason, %(now)s
FROM json_to_recordset(%(rows)s::json) AS r(task_id text, version integer, customer_id bigint, reason text)
ON CONFLICT (task_id) DO UPDATE SET version = greatest(rescinds.version, excluded.version), reason = excluded.reason
"""


@dataclass
class Outcome:
    """What a batch of decisions came to, for wake-ups and metrics. `rows`: (row state, reason) → rows changed to it."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    ready_cities: set[str] = field(default_factory=set)
    rescinds: int = 0
    messages: int = 0

    def add(self, other: "Outcome") -> None:
        self.rows.update(other.rows)
        self.ready_cities |= other.ready_cities
        self.rescinds += other.rescinds
        self.messages += other.messages


def decide_customers(
    db: Db, customer_ids: Sequence[int], now_ms: int
) -> tuple[list[tuple[CustomerFacts, Decision]], Outcome]:
    """Decide about these customers, whom the caller has locked; returns what a round needs to go on."""
    decided = [(facts, decide(facts, now_ms)) for facts in load_facts(db, customer_ids, now_ms)]
    return decided, write_decisions(db, decided, now_ms)


def write_decisions(db: Db, decided: Sequence[tuple[CustomerFacts, Decision]], now_ms: int) -> Outcome:
    """Write rows, messages and withdrawals of these decisions."""
    outcome = Outcome()
    rows = [row for facts, decision in decided for row in _rows(facts, decision, outcome)]
    messages = [
        {"moment_id": m.moment_id, "customer_id": m.customer_id, "channel": m.channel, "dimension": m.dimension}
        for _, decision in decided
        for m in decision.messages
    ]
    rescinds = [
        _rescind_row(decision.customer_id, decision.rescind) for _, decision in decided if decision.rescind is not None
    ]
    if rows:
        db.execute(_UPDATE, {"rows": rows_json(rows), "now": now_ms})
    if messages:
        parameters = {"rows": rows_json(messages), "now": now_ms, "source": MESSAGE_SOURCE}
        db.execute(_OUTBOX, parameters)
        db.execute(_MESSAGE_CONTACTS, parameters)
    if rescinds:
        db.execute(_RESCINDS, {"rows": rows_json(rescinds), "now": now_ms})
    outcome.messages, outcome.rescinds = len(messages), len(rescinds)
    return outcome


def _rows(facts: CustomerFacts, decision: Decision, outcome: Outcome) -> list[dict[str, Any]]:
    by_id = {moment.moment_id: moment for moment in facts.moments}
    view = facts.view
    rows = []
    for change in decision.changes:
        moment, verdict = by_id[change.moment_id], change.verdict
        is_pending = verdict.row_state is RowState.PENDING
        if change.ready_at_ms is not None and view is not None:
            outcome.ready_cities.add(view.city)
        if (verdict.row_state, verdict.reason) != (moment.row_state, moment.reason):
            outcome.rows[verdict.row_state.value, verdict.reason.value] += 1
        rows.append(
            {
                "moment_id": change.moment_id,
                "row_state": verdict.row_state.value,
                "reason": verdict.reason.value,
                "waits_until": verdict.waits_until_ms,
                "due_at": change.due_at_ms,
                "ready_at": change.ready_at_ms,
                "rank_base": base_rank(moment, change.ready_at_ms) if change.ready_at_ms is not None else None,
                "waited_for": change.waited_for.value if change.waited_for is not None else None,
                "city": view.city if view is not None else None,
                "owner": view.owner_manager_id if view is not None and is_pending else None,
            }
        )
    return rows


def _rescind_row(customer_id: int, rescind: Rescind) -> dict[str, Any]:
    return {
        "task_id": rescind.task_id,
        "version": rescind.version,
        "customer_id": customer_id,
        "reason": rescind.reason.value,
    }
