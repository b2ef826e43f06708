"""Locks customers and reads all that a decision about them may depend on, in a handful of queries per batch."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from services.router.caps import MEMORY_DAYS
from services.router.model import DAY_MS, Contact, CustomerFacts, CustomerView, Gate, Moment, OpenCard
from services.router.reasons import Reason, RowState
from services.router.store.database import Db
from services.router.task_events import IN_WORK

_MOMENTS = """
SELECT moment_id, revision, customer_id, rule_id, moment_group, dimension, state, priority, channel, detected_at,
       expires_at, earliest_contact_at, history, risk_score, supersedes, row_state, reason, waits_until, ready_at,
       task_id, declined_by, missed_by, due_at, ready_since
FROM moments WHERE customer_id = ANY(%s) AND row_state <> 'LEDGER' AND reason <> 'worked'
"""
_CUSTOMERS = """
SELECT customer_id, city, segment, tier, brand, arpu_fen, language, owner_manager_id, deputy_manager_id,
       agreed_channels, quiet_windows, refused_groups, bereavement_until, phone_masked, visited_zone
FROM customers WHERE customer_id = ANY(%s)
"""
_CONTACTS = """
SELECT customer_id, channel, direction, occurred_at, outcome, dimension,
       CASE WHEN source = 'kairos-workbench' THEN event_id END
FROM contacts WHERE customer_id = ANY(%s) AND occurred_at > %s
"""
_CARDS = """
SELECT c.customer_id, c.task_id, c.version, c.moment_ids[1], c.state,
       EXISTS (SELECT 1 FROM rescinds r WHERE r.task_id = c.task_id AND r.version >= c.version)
FROM cards c WHERE c.customer_id = ANY(%s) AND c.is_open
"""


def lock_customers(db: Db, customer_ids: Iterable[int]) -> list[int]:
    """Hold these customers until the transaction ends, in the order of their ids so that nobody waits in a circle."""
    wanted = sorted(set(customer_ids))
    if wanted:
        db.execute("INSERT INTO decision_locks SELECT unnest(%s::bigint[]) ON CONFLICT DO NOTHING", [wanted])
        db.execute("SELECT 1 FROM decision_locks WHERE customer_id = ANY(%s) ORDER BY customer_id FOR UPDATE", [wanted])
    return wanted


def load_facts(db: Db, customer_ids: Sequence[int], now_ms: int) -> list[CustomerFacts]:
    """The facts of these customers in the order given; moments that are settled are left out."""
    ids = list(customer_ids)
    moments: dict[int, list[Moment]] = defaultdict(list)
    for row in db.execute(_MOMENTS, [ids]):
        moments[row[2]].append(_moment(row))
    if not moments:
        return []
    waiting = list(moments)
    views = {row[0]: _view(row) for row in db.execute(_CUSTOMERS, [waiting])}
    contacts: dict[int, list[Contact]] = defaultdict(list)
    for row in db.execute(_CONTACTS, [waiting, now_ms - MEMORY_DAYS * DAY_MS]):
        contacts[row[0]].append(_contact(row))
    gates: dict[int, list[Gate]] = defaultdict(list)
    for customer_id, rule_id, is_open, changed_at in db.execute(
        "SELECT customer_id, rule_id, is_open, changed_at FROM gates WHERE customer_id = ANY(%s)", [waiting]
    ):
        gates[customer_id].append(Gate(rule_id=rule_id, is_open=is_open, changed_at_ms=changed_at))
    cards = {row[0]: _card(row) for row in db.execute(_CARDS, [waiting])}
    return [
        CustomerFacts(
            customer_id=customer_id,
            view=views.get(customer_id),
            moments=tuple(moments[customer_id]),
            gates=tuple(gates.get(customer_id, ())),
            contacts=tuple(contacts.get(customer_id, ())),
            card=cards.get(customer_id),
        )
        for customer_id in ids
        if customer_id in moments
    ]


def _moment(row: tuple[Any, ...]) -> Moment:
    return Moment(
        moment_id=row[0],
        revision=row[1],
        customer_id=row[2],
        rule_id=row[3],
        group=row[4],
        dimension=row[5],
        state=row[6],
        priority=row[7],
        channel=row[8],
        detected_at_ms=row[9],
        expires_at_ms=row[10],
        earliest_contact_at_ms=row[11],
        history=row[12],
        risk_score=row[13],
        supersedes=tuple(row[14]),
        row_state=RowState(row[15]),
        reason=Reason(row[16]),
        waits_until_ms=row[17],
        ready_at_ms=row[18],
        task_id=row[19],
        declined_by=tuple(row[20]),
        missed_by=tuple(row[21]),
        due_at_ms=row[22],
        ready_since_ms=row[23],
    )


def _view(row: tuple[Any, ...]) -> CustomerView:
    return CustomerView(
        customer_id=row[0],
        city=row[1],
        segment=row[2],
        tier=row[3],
        brand=row[4],
        arpu_fen=row[5],
        language=row[6],
        owner_manager_id=row[7],
        deputy_manager_id=row[8],
        agreed_channels=tuple(row[9]),
        quiet_windows=tuple(row[10]),
        refused_groups=tuple(row[11]),
        bereavement_until=row[12],
        phone_masked=row[13],
        visited_zone=row[14],
    )


def _contact(row: tuple[Any, ...]) -> Contact:
    return Contact(
        channel=row[1], direction=row[2], occurred_at_ms=row[3], outcome=row[4], dimension=row[5], task_id=row[6]
    )


def _card(row: tuple[Any, ...]) -> OpenCard:
    return OpenCard(
        task_id=row[1], version=row[2], lead_moment_id=row[3], in_work=row[4] in IN_WORK, is_rescinding=row[5]
    )
