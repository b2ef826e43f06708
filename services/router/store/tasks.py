"""The projection of tasks: what their events did to cards, moments and contacts, within the caller's transaction."""

from collections.abc import Sequence
from typing import Any

from services.router.reasons import Reason
from services.router.store.database import Db
from services.router.task_events import Effect, Ending, contact_of, effect_of, is_news

WORKBENCH_SOURCE = "kairos-workbench"

_CONTACT = """
INSERT INTO contacts AS c (source, event_id, customer_id, channel, direction, outcome, dimension, occurred_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (source, event_id) DO UPDATE SET outcome = excluded.outcome, occurred_at = excluded.occurred_at,
    dimension = excluded.dimension
WHERE excluded.occurred_at >= c.occurred_at
"""
_ON_CARD = """
UPDATE moments SET row_state = 'CARD', reason = 'on_card', waits_until = NULL, ready_at = NULL, changed_at = %(now)s
WHERE task_id = %(task)s AND reason = 'dispatching'
"""
_WORKED = """
UPDATE moments SET row_state = 'CARD', reason = 'worked', waits_until = NULL, ready_at = NULL, changed_at = %(now)s
WHERE task_id = %(task)s AND moment_id = ANY(%(moments)s)
"""
_RELEASED = """
UPDATE moments SET row_state = 'PENDING', reason = %(reason)s, waits_until = %(until)s, changed_at = %(now)s
WHERE task_id = %(task)s AND reason IN ('dispatching', 'on_card')
"""
_WITHDRAWN = """
UPDATE moments SET row_state = 'LEDGER', waited_for = reason, reason = 'withdrawn', due_at = %(never)s,
    changed_at = %(now)s
WHERE task_id = %(task)s AND reason IN ('dispatching', 'on_card')
"""


def apply_events(db: Db, events: Sequence[dict[str, Any]], now_ms: int) -> None:
    """Apply task events of locked customers; one that is known, or of a version left behind, changes nothing."""
    for event in events:
        _record_contact(db, event)
        _pass_over(db, event)
        card = db.execute(
            "SELECT version, sequence, moment_ids FROM cards WHERE task_id = %s", [event["task_id"]]
        ).fetchone()
        if card is not None and is_news(event, version=card[0], sequence=card[1]):
            _apply(db, event, moment_ids=card[2], now_ms=now_ms)


def close_card(
    db: Db, task_id: str, state: str, reason: Reason, now_ms: int, *, waits_until_ms: int | None = None
) -> None:
    """End an open card; its moments that are still on it wait again, with this reason."""
    db.execute("UPDATE cards SET is_open = false, state = %s WHERE task_id = %s", [state, task_id])
    db.execute("DELETE FROM rescinds WHERE task_id = %s", [task_id])
    db.execute(_RELEASED, {"task": task_id, "reason": reason.value, "until": waits_until_ms, "now": now_ms})


def put_on_card(db: Db, task_id: str, state: str, now_ms: int) -> None:
    """The workbench has the task."""
    db.execute("UPDATE cards SET state = %s WHERE task_id = %s", [state, task_id])
    db.execute(_ON_CARD, {"task": task_id, "now": now_ms})


def _apply(db: Db, event: dict[str, Any], *, moment_ids: list[str], now_ms: int) -> None:
    task_id, state = event["task_id"], event["to_state"]
    asked = db.execute("SELECT 1 FROM rescinds WHERE task_id = %s", [task_id]).fetchone()
    effect = effect_of(event, was_rescinded=asked is not None)
    db.execute(
        "UPDATE cards SET sequence = %s, manager_id = coalesce(%s, manager_id) WHERE task_id = %s",
        [event["sequence"], event["manager_id"], task_id],
    )
    if effect.ending is Ending.STAYS:
        put_on_card(db, task_id, state, now_ms)
        return
    if effect.ending is Ending.WORKED:
        db.execute(_WORKED, {"task": task_id, "moments": moment_ids, "now": now_ms})
    if effect.ending is Ending.WITHDRAWN:
        db.execute(_WITHDRAWN, {"task": task_id, "never": 2**62, "now": now_ms})
    close_card(db, task_id, state, effect.reason or Reason.UNDECIDED, now_ms)


def _pass_over(db: Db, event: dict[str, Any]) -> None:
    """Remember who declined or missed it, whatever order events come in."""
    effect: Effect = effect_of(event, was_rescinded=True)
    for column, manager_id in (("declined_by", effect.declined_by), ("missed_by", effect.missed_by)):
        if manager_id is not None:
            db.execute(
                f"UPDATE moments SET {column} = array_append({column}, %(manager)s)"  # noqa: S608  # one of two columns
                f" WHERE moment_id = ANY(%(moments)s) AND NOT %(manager)s = ANY({column})",
                {"manager": manager_id, "moments": event["moment_ids"]},
            )


def _record_contact(db: Db, event: dict[str, Any]) -> None:
    contact = contact_of(event)
    if contact is None:
        return
    db.execute(
        _CONTACT,
        [
            WORKBENCH_SOURCE,
            event["task_id"],
            event["customer_id"],
            contact.channel,
            contact.direction,
            contact.outcome,
            contact.dimension,
            contact.occurred_at_ms,
        ],
    )
