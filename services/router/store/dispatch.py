"""What a round reads and writes: backlog, planned cards, results, withdrawals, messages.

Two phases: a card is written as DISPATCHING, with its message, before it is sent; the answer is written afterwards. A
crash in between leaves a card that the next round sends again, unchanged.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.router import policy
from services.router.reasons import Reason
from services.router.store.database import Db, mapped_errors, rows_json
from services.router.store.decisions import Outcome, decide_customers
from services.router.store.facts import lock_customers
from services.router.store.tasks import close_card, put_on_card
from services.router.task_events import DISPATCHING

EXPIRY_MARGIN_MS = 600_000  # a task refused so shortly before its end was refused because of it: clocks differ a little

_BACKLOG = """
(SELECT customer_id FROM moments WHERE city = %(city)s AND ready_at IS NOT NULL
    AND (waits_until IS NULL OR waits_until <= %(now)s OR owner_manager_id = ANY(%(free)s))
 ORDER BY rank_base DESC LIMIT %(limit)s)
UNION
(SELECT customer_id FROM moments WHERE city = %(city)s AND ready_at IS NOT NULL
    AND (waits_until IS NULL OR waits_until <= %(now)s OR owner_manager_id = ANY(%(free)s))
 ORDER BY expires_at LIMIT %(urgent)s)
"""
_CARDS = """
INSERT INTO cards AS c (task_id, version, customer_id, city, state, manager_id, units, score, factors, step, moment_ids,
    expires_at, message, planned_at, is_open)
SELECT r.task_id, r.version, r.customer_id, r.city, 'DISPATCHING', r.manager_id, r.units, r.score, r.factors, r.step,
    r.moment_ids, r.expires_at, decode(r.message, 'hex'), %(now)s, true
FROM json_to_recordset(%(rows)s::json) AS r(task_id text, version integer, customer_id bigint, city text,
    manager_id text, units integer, score double precision, factors json, step text, moment_ids text[],
    expires_at bigint, message text)
ON CONFLICT (task_id) DO UPDATE SET version = excluded.version, city = excluded.city, state = excluded.state,
    manager_id = excluded.manager_id, units = excluded.units, score = excluded.score, factors = excluded.factors,
    step = excluded.step, moment_ids = excluded.moment_ids, expires_at = excluded.expires_at,
    message = excluded.message, planned_at = excluded.planned_at, is_open = true
WHERE NOT c.is_open AND excluded.version > c.version
"""
_TAKE_MOMENTS = """
UPDATE moments m SET reason = 'dispatching', task_id = r.task_id, ready_since = m.ready_at, ready_at = NULL,
    rank_base = NULL, waits_until = NULL, due_at = m.expires_at, detail = '', changed_at = %(now)s
FROM (SELECT c.task_id, unnest(c.moment_ids) AS moment_id
      FROM json_to_recordset(%(rows)s::json) AS c(task_id text, moment_ids text[])) AS r
WHERE m.moment_id = r.moment_id
"""
_LEAVE_MOMENTS = """
UPDATE moments m SET reason = r.reason, waits_until = r.waits_until, detail = r.detail, changed_at = %(now)s
FROM (SELECT c.reason, c.waits_until, c.detail, unnest(c.moment_ids) AS moment_id
      FROM json_to_recordset(%(rows)s::json) AS c(reason text, waits_until bigint, detail text, moment_ids text[])) AS r
WHERE m.moment_id = r.moment_id AND m.ready_at IS NOT NULL
    AND (m.reason, m.waits_until, m.detail) IS DISTINCT FROM (r.reason, r.waits_until, r.detail)
"""
_INVALID = """
UPDATE moments SET row_state = 'LEDGER', waited_for = reason, reason = 'invalid_task', detail = %(detail)s,
    changed_at = %(now)s
WHERE task_id = %(task)s AND reason = 'dispatching'
"""
_DUE = """
SELECT DISTINCT customer_id FROM (
    SELECT customer_id FROM moments WHERE row_state <> 'LEDGER' AND reason <> 'worked' AND due_at <= %s
    ORDER BY due_at LIMIT %s) AS due
"""

_UNSENT = """
SELECT o.moment_id, o.customer_id, o.channel, o.content, o.queued_at, m.rule_id, c.quiet_windows, c.visited_zone
FROM contact_outbox o JOIN moments m USING (moment_id) LEFT JOIN customers c ON c.customer_id = o.customer_id
WHERE o.sent_at_real IS NULL ORDER BY o.queued_at, o.moment_id LIMIT %s FOR UPDATE OF o SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class SentCard:
    """A card as planned, ready to be sent."""

    task_id: str
    version: int
    customer_id: int
    manager_id: str
    units: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a sent card. version: the one the workbench has. reason: None = it has it, else why it waits."""

    card: SentCard
    version: int
    reason: Reason | None = None
    detail: str = ""
    waits_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AskedRescind:
    """A withdrawal that the workbench has not answered yet."""

    task_id: str
    version: int
    customer_id: int
    reason: str


def lock_city(db: Db, city: str) -> bool:
    """Own the assignment of one city until unlocked or the connection ends; False when another instance does."""
    with mapped_errors():
        row = db.execute("SELECT pg_try_advisory_lock(hashtext('router.city'), hashtext(%s))", [city]).fetchone()
    return row is not None and bool(row[0])


def unlock_city(db: Db, city: str) -> None:
    with mapped_errors():
        db.execute("SELECT pg_advisory_unlock(hashtext('router.city'), hashtext(%s))", [city])


def backlog_customers(db: Db, city: str, now_ms: int, *, free: Collection[str], limit: int) -> list[int]:
    """Customers at the head of a city's backlog, by rank and by urgency. free: managers with room again."""
    parameters = {"city": city, "now": now_ms, "free": list(free), "limit": limit, "urgent": max(limit // 4, 1)}
    with mapped_errors():
        return sorted(row[0] for row in db.execute(_BACKLOG, parameters))


def backlog_cities(db: Db, cities: Collection[str], now_ms: int) -> set[str]:
    """Which of these cities have a customer who may be assigned now."""
    with mapped_errors():
        found = db.execute(
            "SELECT w.city FROM unnest(%s::text[]) AS w(city) WHERE EXISTS (SELECT 1 FROM moments m"
            " WHERE m.city = w.city AND m.ready_at IS NOT NULL AND (m.waits_until IS NULL OR m.waits_until <= %s))",
            [sorted(cities), now_ms],
        )
        return {row[0] for row in found}


def mark_waiting(db: Db, city: str, customer_ids: Sequence[int], reason: Reason, now_ms: int) -> None:
    """Say why the ready moments of these customers still wait."""
    with mapped_errors():
        db.execute(
            "UPDATE moments SET reason = %s, changed_at = %s WHERE city = %s AND customer_id = ANY(%s)"
            " AND ready_at IS NOT NULL AND reason <> %s",
            [reason.value, now_ms, city, list(customer_ids), reason.value],
        )


def card_versions(db: Db, task_ids: Sequence[str]) -> dict[str, int]:
    """The newest version of each task that was ever planned."""
    found = db.execute("SELECT task_id, version FROM cards WHERE task_id = ANY(%s)", [list(task_ids)])
    return {row[0]: row[1] for row in found}


def moment_contents(db: Db, moment_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the card shows of each moment."""
    found = db.execute(
        "SELECT moment_id, content, occurred_at FROM moments WHERE moment_id = ANY(%s)", [list(moment_ids)]
    )
    return {moment_id: {**content, "occurred_at": occurred_at} for moment_id, content, occurred_at in found}


def write_plan(db: Db, cards: Sequence[dict[str, Any]], left: Sequence[dict[str, Any]], now_ms: int) -> None:
    """Write planned cards with their moments, and why the others stay. The caller has locked the customers."""
    if cards:
        written = db.execute(_CARDS, {"rows": rows_json(list(cards)), "now": now_ms})
        assert written.rowcount == len(cards), "a card was planned for a customer who has one"
        slim = [{"task_id": card["task_id"], "moment_ids": card["moment_ids"]} for card in cards]
        db.execute(_TAKE_MOMENTS, {"rows": rows_json(slim), "now": now_ms})
    if left:
        db.execute(_LEAVE_MOMENTS, {"rows": rows_json(list(left)), "now": now_ms})


def unsent_cards(db: Db, city: str, limit: int) -> list[SentCard]:
    """Cards of a city that were planned and not answered, oldest first; those to be withdrawn are left out."""
    with mapped_errors():
        rows = db.execute(
            "SELECT c.task_id, c.version, c.customer_id, c.manager_id, c.units, c.message FROM cards c"
            " WHERE c.city = %s AND c.state = %s AND NOT EXISTS (SELECT 1 FROM rescinds r WHERE r.task_id = c.task_id)"
            " ORDER BY c.planned_at, c.task_id LIMIT %s",
            [city, DISPATCHING, limit],
        ).fetchall()
    return [SentCard(row[0], row[1], row[2], row[3], row[4], bytes(row[5])) for row in rows]


def unsent_cities(db: Db) -> list[str]:
    """Cities that have cards planned and not answered."""
    with mapped_errors():
        return [row[0] for row in db.execute("SELECT DISTINCT city FROM cards WHERE state = %s", [DISPATCHING])]


def store_results(db: Db, answers: Sequence[Answer], now_ms: int) -> Outcome:
    """Write what the workbench answered; an event or a withdrawal that was quicker stands."""
    with mapped_errors(), db.transaction():
        touched = lock_customers(db, [answer.card.customer_id for answer in answers])
        for answer in sorted(answers, key=lambda item: item.card.task_id):
            card = answer.card
            row = db.execute("SELECT version, state FROM cards WHERE task_id = %s", [card.task_id]).fetchone()
            if row is not None and (row[0], row[1]) == (card.version, DISPATCHING):
                _store_answer(db, answer, now_ms)
        _, outcome = decide_customers(db, touched, now_ms)
    return outcome


def _store_answer(db: Db, answer: Answer, now_ms: int) -> None:
    task_id = answer.card.task_id
    if answer.reason is None:
        db.execute("UPDATE cards SET version = %s WHERE task_id = %s", [answer.version, task_id])
        put_on_card(db, task_id, "QUEUED", now_ms)
        return
    reason, waits_until_ms = answer.reason, answer.waits_until_ms
    if reason is Reason.INVALID_TASK:
        row = db.execute("SELECT expires_at FROM cards WHERE task_id = %s", [task_id]).fetchone()
        if row is not None and row[0] <= now_ms + EXPIRY_MARGIN_MS:
            reason, waits_until_ms = Reason.AWAITING_ASSIGNMENT, row[0]  # it ended on its way there
        else:
            db.execute(_INVALID, {"task": task_id, "detail": answer.detail, "now": now_ms})
    close_card(db, task_id, "REFUSED", reason, now_ms, waits_until_ms=waits_until_ms)


def asked_rescinds(db: Db, limit: int) -> list[AskedRescind]:
    """Withdrawals not answered yet, oldest first."""
    with mapped_errors():
        rows = db.execute(
            "SELECT task_id, version, customer_id, reason FROM rescinds WHERE NOT is_answered"
            " ORDER BY asked_at, task_id LIMIT %s",
            [limit],
        ).fetchall()
    return [AskedRescind(*row) for row in rows]


def store_rescinds(db: Db, answered: Mapping[str, tuple[AskedRescind, bool]], now_ms: int) -> Outcome:
    """Write what the workbench answered. Per task: what was asked, and whether the task is gone for good now."""
    with mapped_errors(), db.transaction():
        touched = lock_customers(db, [asked.customer_id for asked, _ in answered.values()])
        for task_id, (asked, is_gone) in sorted(answered.items()):
            if is_gone:
                row = db.execute(
                    "SELECT 1 FROM cards WHERE task_id = %s AND version <= %s AND is_open", [task_id, asked.version]
                ).fetchone()
                if row is not None:
                    close_card(db, task_id, "RESCINDED", Reason.UNDECIDED, now_ms)
            db.execute(
                "UPDATE rescinds SET is_answered = true WHERE task_id = %s AND version = %s", [task_id, asked.version]
            )
        _, outcome = decide_customers(db, touched, now_ms)
    return outcome


def decide_due(db: Db, now_ms: int, *, limit: int) -> tuple[Outcome, int]:
    """Decide about customers whose wait, window or moment has ended; returns how many there were, at most `limit`."""
    with mapped_errors(), db.transaction():
        due = lock_customers(db, [row[0] for row in db.execute(_DUE, [now_ms, limit])])
        _, outcome = decide_customers(db, due, now_ms)
    return outcome, len(due)


def unsent_messages(db: Db, now_ms: int, limit: int) -> list[dict[str, Any]]:
    """Messages that may go out now, oldest first; held until the transaction ends.

    The hours are asked again: what was decided just before they closed may be written out much later, after a crash.
    """
    with mapped_errors():
        rows = db.execute(_UNSENT, [limit]).fetchall()
    names = ("moment_id", "customer_id", "channel", "content", "queued_at")
    return [
        dict(zip(names, row[:5], strict=True))
        for row in rows
        if row[6] is not None and policy.is_open_for_message(row[5], row[6], row[7], now_ms)
    ]


def mark_sent(db: Db, moment_ids: Sequence[str], real_ms: int) -> None:
    with mapped_errors():
        db.execute("UPDATE contact_outbox SET sent_at_real = %s WHERE moment_id = ANY(%s)", [real_ms, list(moment_ids)])
