"""What people and metrics ask: the backlog, and why a customer was not called."""

from typing import Any

from psycopg.rows import dict_row

from services.router.store.database import Db, mapped_errors

_WHY = """
SELECT m.moment_id, m.customer_id, m.rule_id, m.state, m.revision, m.priority, m.city, m.row_state, m.reason,
    m.waited_for, m.detail, m.waits_until, m.occurred_at, m.detected_at, m.expires_at, m.changed_at, m.task_id,
    c.state AS task_state, c.version AS task_version, c.manager_id, c.step, c.score, m.declined_by, m.missed_by
FROM moments m LEFT JOIN cards c ON c.task_id = m.task_id
"""


def backlog(db: Db) -> dict[str, int]:
    """City → moments that wait only for a person."""
    with mapped_errors():
        rows = db.execute("SELECT city, count(*) FROM moments WHERE ready_at IS NOT NULL GROUP BY city")
        return {row[0]: row[1] for row in rows}


def open_effects(db: Db) -> tuple[int, int]:
    """Messages not written out, and withdrawals not answered."""
    with mapped_errors():
        row = db.execute(
            "SELECT (SELECT count(*) FROM contact_outbox WHERE sent_at_real IS NULL),"
            " (SELECT count(*) FROM rescinds WHERE NOT is_answered)"
        ).fetchone()
    assert row is not None, "a query without FROM has one row"
    return row[0], row[1]


def backlog_by_reason(db: Db, city: str | None) -> list[dict[str, Any]]:
    """City, row state, reason, count, oldest change; rows that are not in the ledger."""
    query = (
        "SELECT city, row_state, reason, count(*) AS moments, min(changed_at) AS oldest_change FROM moments"
        " WHERE row_state <> 'LEDGER' AND reason <> 'worked' AND (%(city)s::text IS NULL OR city = %(city)s)"
        " GROUP BY city, row_state, reason ORDER BY city, row_state, count(*) DESC, reason"
    )
    with mapped_errors(), db.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, {"city": city}).fetchall()


def why_customer(db: Db, customer_id: int, limit: int) -> list[dict[str, Any]]:
    """The rows of a customer's moments, newest first."""
    with mapped_errors(), db.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            _WHY + " WHERE m.customer_id = %s ORDER BY m.detected_at DESC, m.moment_id LIMIT %s", [customer_id, limit]
        ).fetchall()


def why_moment(db: Db, moment_id: str) -> list[dict[str, Any]]:
    """The row of one moment, if there is one."""
    with mapped_errors(), db.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_WHY + " WHERE m.moment_id = %s", [moment_id]).fetchall()
