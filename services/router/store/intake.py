"""Takes records in: what they say, what follows from it, and how far was read, in one transaction.

Idempotent by position: every record lies at or beyond its partition's stored offset, and the owner's epoch is checked,
so a record counts once whatever crashes and whoever believes to own the partition.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from services.router.errors import OwnershipLost, RecordsRejected
from services.router.model import COMPLAINT_RULE, SUSPENSION_RULE
from services.router.reasons import CONTACTED
from services.router.store import tasks
from services.router.store.database import Db, mapped_errors, rows_json
from services.router.store.decisions import Outcome, decide_customers
from services.router.store.facts import lock_customers

_GATE_RULES = (SUSPENSION_RULE, COMPLAINT_RULE)
_UNSEEN = 2**62  # the end of a partition that its new owner has not looked at yet
_FINAL = tuple(reason.value for reason in CONTACTED)

_CLAIM = """
INSERT INTO intake_positions (topic, partition, next_offset, epoch, owner, catch_up_to) VALUES (%s, %s, 0, 1, %s, %s)
ON CONFLICT (topic, partition) DO UPDATE SET epoch = intake_positions.epoch + 1, owner = excluded.owner,
    catch_up_to = excluded.catch_up_to
RETURNING next_offset, epoch
"""
_DEFER = """
UPDATE moments SET due_at = least(due_at, %s)
WHERE customer_id = ANY(%s) AND row_state <> 'LEDGER' AND reason <> 'worked'
"""
_MOMENTS = """
INSERT INTO moments AS m (moment_id, revision, customer_id, rule_id, moment_group, dimension, state, priority, channel,
    occurred_at, detected_at, earliest_contact_at, expires_at, history, risk_score, supersedes, city, content,
    row_state, reason, due_at, received_at, changed_at)
SELECT r.moment_id, r.revision, r.customer_id, r.rule_id, r."group", r.dimension, r.state, r.priority, r.channel,
    r.occurred_at, r.detected_at, r.earliest_contact_at, r.expires_at, r.history, r.risk_score, r.supersedes, r.city,
    r.content, 'PENDING', 'undecided', %(now)s, %(now)s, %(now)s
FROM json_to_recordset(%(rows)s::json) AS r(moment_id text, revision integer, customer_id bigint, rule_id text,
    "group" text, dimension text, state text, priority integer, channel text, occurred_at bigint, detected_at bigint,
    earliest_contact_at bigint, expires_at bigint, history boolean, risk_score double precision, supersedes text[],
    city text, content json)
ON CONFLICT (moment_id) DO UPDATE SET revision = excluded.revision, moment_group = excluded.moment_group,
    dimension = excluded.dimension, state = excluded.state, priority = excluded.priority, channel = excluded.channel,
    occurred_at = excluded.occurred_at, detected_at = excluded.detected_at,
    earliest_contact_at = excluded.earliest_contact_at, expires_at = excluded.expires_at, history = excluded.history,
    risk_score = excluded.risk_score, supersedes = excluded.supersedes, content = excluded.content,
    row_state = CASE WHEN m.row_state = 'LEDGER' AND m.reason <> ALL(%(final)s) THEN 'PENDING' ELSE m.row_state END,
    reason = CASE WHEN m.row_state = 'LEDGER' AND m.reason <> ALL(%(final)s) THEN 'undecided' ELSE m.reason END
WHERE excluded.revision > m.revision
"""
_GATES = """
INSERT INTO gates AS g (moment_id, customer_id, rule_id, revision, is_open, changed_at)
SELECT r.moment_id, r.customer_id, r.rule_id, r.revision, r.state <> 'RESOLVED', r.detected_at
FROM json_to_recordset(%(rows)s::json) AS r(moment_id text, customer_id bigint, rule_id text, revision integer,
    state text, detected_at bigint)
ON CONFLICT (moment_id) DO UPDATE SET revision = excluded.revision, is_open = excluded.is_open,
    changed_at = excluded.changed_at
WHERE excluded.revision > g.revision
"""
_CUSTOMERS = """
INSERT INTO customers AS c (customer_id, log_offset, city, segment, tier, brand, arpu_fen, language, owner_manager_id,
    deputy_manager_id, agreed_channels, quiet_windows, refused_groups, bereavement_until, phone_masked, visited_zone)
SELECT r.customer_id, r.log_offset, r.city, coalesce(r.segment, ''), r.tier, coalesce(r.brand, ''), r.arpu_fen,
    r.language, r.owner_manager_id, r.deputy_manager_id, r.agreed_channels, r.quiet_windows, r.refused_groups,
    r.bereavement_until, coalesce(r.phone_masked, ''), r.visited_zone
FROM json_to_recordset(%(rows)s::json) AS r(customer_id bigint, log_offset bigint, city text, segment text, tier text,
    brand text, arpu_fen bigint, language text, owner_manager_id text, deputy_manager_id text, agreed_channels text[],
    quiet_windows text[], refused_groups text[], bereavement_until integer, phone_masked text, visited_zone text)
ON CONFLICT (customer_id) DO UPDATE SET log_offset = excluded.log_offset, city = excluded.city,
    segment = excluded.segment, tier = excluded.tier, brand = excluded.brand, arpu_fen = excluded.arpu_fen,
    language = excluded.language, owner_manager_id = excluded.owner_manager_id,
    deputy_manager_id = excluded.deputy_manager_id, agreed_channels = excluded.agreed_channels,
    quiet_windows = excluded.quiet_windows, refused_groups = excluded.refused_groups,
    bereavement_until = excluded.bereavement_until, phone_masked = excluded.phone_masked,
    visited_zone = excluded.visited_zone
WHERE excluded.log_offset > c.log_offset
"""
_FORGET = """
DELETE FROM customers c
USING json_to_recordset(%(rows)s::json) AS r(customer_id bigint, log_offset bigint)
WHERE c.customer_id = r.customer_id AND c.log_offset < coalesce(r.log_offset, c.log_offset + 1)
"""
_CONTACTS = """
INSERT INTO contacts (source, event_id, customer_id, channel, direction, outcome, dimension, occurred_at)
SELECT r.source, r.event_id, r.customer_id, r.channel, r.direction, r.outcome, r.dimension, r.occurred_at
FROM json_to_recordset(%(rows)s::json) AS r(source text, event_id text, customer_id bigint, channel text,
    direction text, outcome text, dimension text, occurred_at bigint)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands for the instance that owns it by this epoch."""

    next_offset: int
    epoch: int


@dataclass
class Batch:
    """Decoded records of one poll, and for each partition where it stood before and where it stands after."""

    moments: list[dict[str, Any]] = field(default_factory=list)
    customers: list[dict[str, Any]] = field(default_factory=list)  # with log_offset, visited_zone or is_forgotten
    contacts: list[dict[str, Any]] = field(default_factory=list)
    task_events: list[dict[str, Any]] = field(default_factory=list)
    before: dict[tuple[str, int], Position] = field(default_factory=dict)
    after: dict[tuple[str, int], int] = field(default_factory=dict)

    def customer_ids(self) -> set[int]:
        """Every customer that a record of the batch is about."""
        kinds = (self.moments, self.customers, self.contacts, self.task_events)
        return {record["customer_id"] for records in kinds for record in records}


def claim(db: Db, partitions: Iterable[tuple[str, int]], owner: str) -> dict[tuple[str, int], Position]:
    """Take these partitions over: earlier owners cannot store anything of them any more.

    Until aim() they count as behind.
    """
    claimed = {}
    with mapped_errors(), db.transaction():
        for topic, partition in sorted(partitions):
            row = db.execute(_CLAIM, [topic, partition, owner, _UNSEEN]).fetchone()
            assert row is not None, "the claim returns its row"
            claimed[topic, partition] = Position(next_offset=row[0], epoch=row[1])
    return claimed


def aim(db: Db, ends: Mapping[tuple[str, int], tuple[Position, int]]) -> None:
    """Note the ends that the owner saw: its partitions are behind until they got there."""
    with mapped_errors(), db.transaction():
        for (topic, partition), (position, end) in sorted(ends.items()):
            db.execute(
                "UPDATE intake_positions SET catch_up_to = %s WHERE topic = %s AND partition = %s AND epoch = %s",
                [end, topic, partition, position.epoch],
            )


def partitions_behind(db: Db) -> int:
    """How many partitions, of any instance, have not come to the end seen when they were taken over."""
    with mapped_errors():
        row = db.execute("SELECT count(*) FROM intake_positions WHERE next_offset < catch_up_to").fetchone()
    return int(row[0]) if row is not None else 0


def taken_away(db: Db, positions: Mapping[tuple[str, int], Position]) -> list[tuple[str, int]]:
    """Which of these partitions another instance has claimed since."""
    with mapped_errors():
        epochs = {
            (row[0], row[1]): row[2] for row in db.execute("SELECT topic, partition, epoch FROM intake_positions")
        }
    return [key for key, position in sorted(positions.items()) if epochs.get(key) != position.epoch]


def take_in(db: Db, batch: Batch, now_ms: int, *, may_decide: bool = True) -> Outcome:
    """Store a batch, decide about all customers it touches and move the offsets, all or nothing.

    may_decide: False while facts about these customers may still be unread; they fall due instead, for decide_due().
    Raises OwnershipLost when another instance has taken one of the partitions over, RecordsRejected when a value of a
    record is none that PostgreSQL takes.
    """
    outcome = Outcome()
    try:
        with mapped_errors(), db.transaction():
            _check_ownership(db, batch.before)
            touched = lock_customers(db, batch.customer_ids())
            _store_records(db, batch, now_ms)
            tasks.apply_events(db, batch.task_events, now_ms)
            if may_decide:
                _, outcome = decide_customers(db, touched, now_ms)
            elif touched:
                db.execute(_DEFER, [now_ms, touched])
            _move_offsets(db, batch.after)
    except psycopg.DataError as exc:
        raise RecordsRejected(type(exc).__name__) from exc
    return outcome


def newest_revisions(moments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The highest revision of each moment, as rows; what only the card shows goes into `content`."""
    newest: dict[str, Mapping[str, Any]] = {}
    for record in moments:
        before = newest.get(record["moment_id"])
        if before is None or record["revision"] > before["revision"]:
            newest[record["moment_id"]] = record
    return [_moment_row(record) for record in newest.values()]


def newest_customers(records: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Of records in their order: what each customer is now, and whom to forget first.

    The highest log offset counts; one to forget without an offset ends all before it.
    """
    newest: dict[int, dict[str, Any]] = {}
    forgotten: dict[int, dict[str, Any]] = {}
    for record in records:
        customer_id, offset = record["customer_id"], record["log_offset"]
        known = max(seen.get(customer_id, {}).get("log_offset") or -1 for seen in (newest, forgotten))
        if offset is not None and offset <= known:
            continue
        if record.get("is_forgotten"):
            newest.pop(customer_id, None)
            forgotten[customer_id] = record
        else:
            newest[customer_id] = record
    return list(newest.values()), list(forgotten.values())


_COLUMNS = (
    "moment_id", "revision", "customer_id", "rule_id", "group", "dimension", "state", "priority", "channel",
    "occurred_at", "detected_at", "earliest_contact_at", "expires_at", "history", "risk_score", "supersedes", "city",
)  # fmt: skip
_CONTENT = (
    "rule_version", "moment_class", "segment", "tier", "brand", "arpu_band", "risk_terms", "evidence", "parameters",
    "message_key", "episode", "nominal_date", "resolution",
)  # fmt: skip


def _moment_row(record: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: record[name] for name in _COLUMNS}
    row["content"] = {name: record[name] for name in _CONTENT}
    return row


def _store_records(db: Db, batch: Batch, now_ms: int) -> None:
    if batch.moments:
        rows = newest_revisions(batch.moments)
        db.execute(_MOMENTS, {"rows": rows_json(rows), "now": now_ms, "final": list(_FINAL)})
        gates = [row for row in rows if row["rule_id"] in _GATE_RULES]
        if gates:
            db.execute(_GATES, {"rows": rows_json(gates)})
    if batch.customers:
        newest, forgotten = newest_customers(batch.customers)
        if forgotten:
            db.execute(_FORGET, {"rows": rows_json(forgotten)})
        db.execute(_CUSTOMERS, {"rows": rows_json(newest)})
    if batch.contacts:
        db.execute(_CONTACTS, {"rows": rows_json(batch.contacts)})


def _check_ownership(db: Db, before: Mapping[tuple[str, int], Position]) -> None:
    for (topic, partition), position in sorted(before.items()):
        row = db.execute(
            "SELECT next_offset, epoch FROM intake_positions WHERE topic = %s AND partition = %s FOR UPDATE",
            [topic, partition],
        ).fetchone()
        if row is None or Position(next_offset=row[0], epoch=row[1]) != position:
            raise OwnershipLost(topic, partition)


def _move_offsets(db: Db, after: Mapping[tuple[str, int], int]) -> None:
    for (topic, partition), next_offset in sorted(after.items()):
        db.execute(
            "UPDATE intake_positions SET next_offset = %s WHERE topic = %s AND partition = %s",
            [next_offset, topic, partition],
        )
