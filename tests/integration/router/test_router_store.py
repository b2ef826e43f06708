"""The router's store on a real PostgreSQL, driven as intake and turns drive it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from schemas.codec import encode
from services.clock import ManualClock
from services.router import decode
from services.router.capacity import ManagerCapacity
from services.router.decode import decode_record
from services.router.dispatch import Dispatcher
from services.router.errors import OwnershipLost, WorkbenchUnavailable
from services.router.instances import InstanceName, others_run
from services.router.intake import Intake
from services.router.reasons import Reason
from services.router.store.database import Db, connect
from services.router.store.dispatch import backlog_cities, unsent_messages
from services.router.store.intake import Batch, Position, aim, claim, partitions_behind, take_in, taken_away
from services.router.task_message import task_id_of
from services.router.workbench_client import DispatchAnswer
from services.transport.postgres import migrate
from tests.doubles.router_records import DAY_MS, HOUR_MS, NOW_MS, contact, customer, moment, task_event

if TYPE_CHECKING:
    from tests.servers import Database

pytestmark = pytest.mark.integration
ROUTER = Path(__file__).parents[3] / "services" / "router"
TABLES = "intake_positions, decision_locks, customers, moments, gates, contacts, cards, rescinds, contact_outbox"


@pytest.fixture(scope="module")
def dsn(postgres: Database) -> str:
    migrate(postgres.dsn, "router", ROUTER / "migrations")
    return postgres.dsn


@pytest.fixture
def db(dsn: str) -> Iterator[Db]:
    with connect(dsn, "test") as connection:
        connection.execute(f"TRUNCATE {TABLES}")
        yield connection


class Managers:
    """Capacity as a test sets it."""

    def __init__(self, *managers: ManagerCapacity) -> None:
        self.managers = {manager.manager_id: manager for manager in managers}
        self.known = True

    def is_known(self) -> bool:
        return self.known

    def of_city(self, city: str) -> tuple[ManagerCapacity, ...]:
        return tuple(m for m in self.managers.values() if m.city == city and self.known)

    def heard(self) -> int:
        return 0

    def add_load(self, manager_id: str, units: int, *, since: int) -> None:
        self.managers[manager_id] = self.managers[manager_id].with_task(units)

    def distrust(self, manager_id: str) -> None:
        manager = self.managers[manager_id]
        self.managers[manager_id] = manager.with_task(manager.capacity_units - manager.load_units)


class Workbench:
    """Answers as told, `stored` by default; remembers what came."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.rescinded: list[tuple[str, int, str]] = []
        self.answers: dict[str, tuple[str, Reason | None]] = {}
        self.rescind_answer = ("rescinded", True)
        self.unavailable = False

    def dispatch(self, messages: Any) -> list[DispatchAnswer]:
        from kairos.workbench.v1 import task_pb2

        tasks = [task_pb2.Task.FromString(message) for message in messages]
        self.sent += [(task.task_id, task.version) for task in tasks]
        if self.unavailable:
            raise WorkbenchUnavailable("DispatchTasks", "UNAVAILABLE")
        result = []
        for task in tasks:
            outcome, reason = self.answers.get(task.task_id, ("stored", None))
            result.append(DispatchAnswer(task.task_id, task.version, outcome, reason, ""))
        return result

    def rescind(self, items: Any) -> dict[str, tuple[str, bool]]:
        self.rescinded += items
        return {task_id: self.rescind_answer for task_id, _, _ in items}


class World:
    """One router over one database, without Kafka: records go in by `read`, time moves by `clock`."""

    def __init__(self, db: Db) -> None:
        self.db = db
        self.clock = ManualClock(NOW_MS)
        self.workbench = Workbench()
        self.capacity = Managers(ManagerCapacity(manager_id="m1", city="NJ"))
        self.dispatcher = Dispatcher(db, self.workbench, self.capacity, self.clock)

    def read(self, **records: list[dict[str, Any]]) -> None:
        batch = Batch()
        for kind, found in records.items():
            getattr(batch, kind).extend(found)
        take_in(self.db, batch, self.clock.now_ms())

    def customer(self, customer_id: int = 1, *, log_offset: int = 1, **fields: Any) -> None:
        value = encode("kairos.events.v1.CustomerEvent", customer(customer_id, **fields))
        row = decode_record(decode.CUSTOMERS, value, [("log_offset", str(log_offset).encode())])
        self.read(customers=[row])

    def turn(self) -> None:
        self.dispatcher.decide_due()
        self.dispatcher.turn({"NJ"})

    def row(self, moment_id: str) -> tuple[str, str]:
        found = self.db.execute("SELECT row_state, reason FROM moments WHERE moment_id = %s", [moment_id]).fetchone()
        assert found is not None, "every moment has a row"
        return found[0], found[1]

    def card(self) -> tuple[str, int, str]:
        found = self.db.execute("SELECT task_id, version, state FROM cards").fetchone()
        assert found is not None
        return found[0], found[1], found[2]


@pytest.fixture
def world(db: Db) -> World:
    return World(db)


def test_a_moment_waits_for_its_customer_then_becomes_a_card(world: World) -> None:
    m = moment()
    world.read(moments=[m])
    assert world.row(m["moment_id"]) == ("PENDING", "customer_unknown")
    world.customer()
    assert world.row(m["moment_id"]) == ("PENDING", "awaiting_assignment")
    world.turn()
    assert world.row(m["moment_id"]) == ("CARD", "on_card")
    assert world.card()[1:] == (1, "QUEUED")


def test_an_older_customer_record_does_not_replace_a_newer_one(world: World) -> None:
    world.customer(log_offset=7, refused_groups=["service"])
    world.customer(log_offset=3)
    m = moment()
    world.read(moments=[m])
    assert world.row(m["moment_id"]) == ("LEDGER", "refused_group")


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (3, 1, 2)])
def test_the_highest_revision_wins_in_any_order(world: World, order: tuple[int, ...]) -> None:
    world.customer()
    revisions = {
        1: moment(revision=1),
        2: moment(revision=2, state="UPDATED", priority=1),
        3: moment(revision=3, state="RESOLVED", resolution="topped_up"),
    }
    for number in order:
        world.read(moments=[revisions[number]])
    assert world.row(revisions[1]["moment_id"]) == ("LEDGER", "resolved")
    assert world.db.execute("SELECT count(*) FROM moments").fetchone() == (1,)


def test_a_resolved_moment_is_rescinded_until_the_workbench_has_answered(world: World) -> None:
    world.customer()
    m = moment()
    world.read(moments=[m])
    world.turn()
    task_id, version, _ = world.card()
    world.read(moments=[moment(revision=2, state="RESOLVED")])
    assert world.row(m["moment_id"]) == ("LEDGER", "resolved")
    world.turn()
    assert world.workbench.rescinded == [(task_id, version, "resolved")]
    world.turn()
    assert len(world.workbench.rescinded) == 1, "answered: not asked again"
    assert world.card()[2] == "RESCINDED"


def test_suspension_rescinds_all_but_the_complaint_and_lets_go_a_day_after_resumption(world: World) -> None:
    world.customer(1)
    world.customer(2)
    offer, complaint = moment(1), moment(2, "AN1")
    world.read(moments=[offer, complaint])
    world.turn()
    gates = [
        moment(i, "NS2", group="NONE", moment_class="DO_NOT_SERVE", channel="NONE", dimension="NONE") for i in (1, 2)
    ]
    world.read(moments=gates)
    assert world.row(gates[0]["moment_id"]) == ("LEDGER", "gate")
    assert world.row(offer["moment_id"]) == ("PENDING", "line_suspended")
    assert world.row(complaint["moment_id"]) == ("CARD", "on_card")
    world.turn()
    assert [item[2] for item in world.workbench.rescinded] == ["line_suspended"]
    world.read(moments=[{**gates[0], "revision": 2, "state": "RESOLVED", "detected_at": NOW_MS + HOUR_MS}])
    assert world.row(offer["moment_id"]) == ("PENDING", "resumption_wait")
    world.clock.advance(25 * HOUR_MS - 1)
    world.turn()
    assert world.row(offer["moment_id"]) == ("PENDING", "resumption_wait")
    world.clock.advance(2_000)
    world.turn()
    assert world.row(offer["moment_id"]) == ("CARD", "on_card")
    assert world.db.execute("SELECT version FROM cards WHERE customer_id = 1").fetchone() == (2,)


def test_a_second_moment_waits_for_the_open_card_and_joins_the_next(world: World) -> None:
    world.customer()
    first, second = moment(), moment(rule_id="AN4")
    world.customer(arpu_fen=60_000, log_offset=2)
    world.read(moments=[first])
    world.turn()
    world.read(moments=[second])
    assert world.row(second["moment_id"]) == ("PENDING", "customer_has_card")
    task_id, _, _ = world.card()
    declined = task_event(
        task_id, 1, "DECLINED", sequence=2, cause="declined", manager_id="m1", moment_ids=[first["moment_id"]]
    )
    world.capacity.managers["m2"] = ManagerCapacity(manager_id="m2", city="NJ")
    world.read(task_events=[declined])
    assert world.row(first["moment_id"]) == ("PENDING", "declined")
    world.turn()
    assert world.row(first["moment_id"]) == ("CARD", "on_card")
    assert world.row(second["moment_id"]) == ("CARD", "on_card")
    card = world.db.execute("SELECT version, manager_id, cardinality(moment_ids) FROM cards WHERE is_open").fetchone()
    assert card == (2, "m2", 2), "the same task again, with another manager than the one who declined"


def test_a_completed_task_settles_the_cap_and_the_next_moment_waits(world: World) -> None:
    world.customer()
    first, second = moment(), moment(episode="e2", expires_at=NOW_MS + 30 * DAY_MS)
    world.read(moments=[first])
    world.turn()
    task_id, _, _ = world.card()
    done = task_event(
        task_id, 1, "DONE", sequence=4, cause="completed", disposition="REACHED_RESOLVED", occurred_at=NOW_MS
    )
    world.read(task_events=[done, done])
    assert world.row(first["moment_id"]) == ("CARD", "worked")
    assert world.db.execute("SELECT count(*) FROM contacts").fetchone() == (1,)
    world.read(moments=[second])
    assert world.row(second["moment_id"]) == ("PENDING", "recent_contact")
    world.clock.advance(25 * HOUR_MS)
    world.turn()
    assert world.row(second["moment_id"]) == ("PENDING", "call_cap")
    world.clock.advance(7 * DAY_MS)
    world.turn()
    assert world.row(second["moment_id"]) == ("CARD", "on_card")


def test_an_sms_goes_to_the_outbox_once_and_counts(world: World) -> None:
    world.customer()
    m = moment(rule_id="FT3", channel="SMS")
    world.read(moments=[m])
    assert world.row(m["moment_id"]) == ("LEDGER", "sent_by_sms")
    world.read(moments=[{**m, "revision": 2, "state": "UPDATED"}])
    assert world.row(m["moment_id"]) == ("LEDGER", "sent_by_sms")
    assert world.db.execute("SELECT count(*) FROM contact_outbox").fetchone() == (1,)
    more = [moment(rule_id="FT3", channel="SMS", episode=f"e{i}") for i in (2, 3)]
    world.read(moments=more)
    assert sorted(world.row(item["moment_id"])[1] for item in more) == ["sent_by_sms", "sms_cap"]


def test_a_message_left_over_by_a_crash_does_not_leave_in_quiet_hours(world: World) -> None:
    """Decided at 09:50, written out by the process that comes after: at 12:30 it waits, at 14:00 it goes."""
    world.customer()
    m = moment(rule_id="FT3", channel="SMS")
    world.read(moments=[m])
    assert unsent_messages(world.db, NOW_MS + 160 * 60_000, 10) == []
    (message,) = unsent_messages(world.db, NOW_MS + 250 * 60_000, 10)
    assert message["moment_id"] == m["moment_id"]


def test_an_expired_moment_goes_to_the_ledger_with_what_it_waited_for(world: World) -> None:
    m = moment()
    world.read(moments=[m])
    world.clock.advance(3 * DAY_MS + 1)
    world.turn()
    found = world.db.execute("SELECT row_state, reason, waited_for FROM moments").fetchone()
    assert found == ("LEDGER", "expired", "customer_unknown")


def test_contacts_by_others_hold_a_moment_back(world: World) -> None:
    world.customer()
    m = moment()
    world.read(contacts=[contact(), contact()], moments=[m])
    assert world.row(m["moment_id"]) == ("PENDING", "recent_contact")


def test_nothing_is_dispatched_while_capacity_is_unknown(world: World) -> None:
    world.customer()
    m = moment()
    world.capacity.known = False
    world.read(moments=[m])
    world.turn()
    assert world.workbench.sent == []
    assert world.row(m["moment_id"]) == ("PENDING", "capacity_unknown")
    world.capacity.known = True
    world.turn()
    assert world.row(m["moment_id"]) == ("CARD", "on_card")


def test_only_cities_with_a_backlog_are_looked_at(world: World) -> None:
    world.customer()
    world.read(moments=[moment()])
    assert backlog_cities(world.db, {"NJ", "SZ"}, NOW_MS) == {"NJ"}


def test_an_unanswered_dispatch_is_sent_again_unchanged(world: World) -> None:
    world.customer()
    m = moment()
    world.read(moments=[m])
    world.workbench.unavailable = True
    with pytest.raises(WorkbenchUnavailable):
        world.turn()
    assert world.row(m["moment_id"]) == ("PENDING", "dispatching")
    world.workbench.unavailable = False
    world.turn()
    assert world.row(m["moment_id"]) == ("CARD", "on_card")
    assert world.workbench.sent == [world.workbench.sent[0]] * 2


def test_a_card_without_an_answer_is_sent_once_a_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workbench that leaves one out must not keep the turn, and with it every city, for ever."""
    world.customer()
    world.read(moments=[moment()])
    sent: list[int] = []

    def leave_out(messages: Any) -> list[DispatchAnswer]:
        sent.append(len(messages))
        assert len(sent) <= 2, "sent again and again in one turn"
        return []

    monkeypatch.setattr(world.workbench, "dispatch", leave_out)
    world.turn()
    assert sent == [1]
    world.turn()
    assert sent == [1, 1]
    monkeypatch.undo()
    world.turn()
    assert world.card()[1:] == (1, "QUEUED")


def test_a_task_event_tells_what_a_lost_answer_did_not(world: World) -> None:
    world.customer()
    m = moment()
    world.read(moments=[m])
    world.workbench.unavailable = True
    with pytest.raises(WorkbenchUnavailable):
        world.turn()
    task_id, _, _ = world.card()
    world.read(task_events=[task_event(task_id, 1, "ACCEPTED", sequence=3, cause="accepted")])
    assert world.row(m["moment_id"]) == ("CARD", "on_card")
    assert world.card()[2] == "ACCEPTED"


def test_a_suspension_between_plan_and_answer_leaves_a_tombstone_and_no_resend(world: World) -> None:
    world.customer()
    m = moment()
    world.read(moments=[m])
    world.workbench.unavailable = True
    with pytest.raises(WorkbenchUnavailable):
        world.turn()
    world.read(moments=[moment(1, "NS2", group="NONE", channel="NONE")])
    world.workbench.unavailable = False
    world.workbench.rescind_answer = ("tombstone", True)
    world.turn()
    assert [len(world.workbench.sent), len(world.workbench.rescinded)] == [1, 1]
    assert world.row(m["moment_id"]) == ("PENDING", "line_suspended")
    assert world.card()[2] == "RESCINDED"


@pytest.mark.parametrize(
    ("outcome", "reason", "row"),
    [
        ("no_capacity", Reason.NO_CAPACITY, ("PENDING", "no_capacity")),
        ("manager_away", Reason.MANAGER_AWAY, ("PENDING", "manager_away")),
        ("customer_has_card", Reason.CARD_AT_WORKBENCH, ("PENDING", "card_at_workbench")),
        ("invalid", Reason.INVALID_TASK, ("LEDGER", "invalid_task")),
    ],
)
def test_refusals_of_the_workbench_end_in_a_row_with_a_reason(
    world: World, outcome: str, reason: Reason, row: tuple[str, str]
) -> None:
    world.customer()
    m = moment()
    world.read(moments=[m])
    world.workbench.answers[task_id_of(m["moment_id"])] = (outcome, reason)
    world.turn()
    assert world.row(m["moment_id"]) == row
    assert len(world.workbench.sent) == 1, "not in a circle"


def test_a_task_refused_at_the_end_of_its_life_ends_as_expired(world: World) -> None:
    world.customer()
    m = moment(expires_at=NOW_MS + 5_000)
    world.read(moments=[m])
    world.workbench.answers[task_id_of(m["moment_id"])] = ("invalid", Reason.INVALID_TASK)
    world.turn()
    assert world.row(m["moment_id"]) == ("PENDING", "awaiting_assignment")
    world.turn()
    assert len(world.workbench.sent) == 1
    world.clock.advance(6_000)
    world.turn()
    assert world.row(m["moment_id"]) == ("LEDGER", "expired")


def test_work_in_progress_outlives_expiry_and_ends_worked(world: World) -> None:
    world.customer()
    m = moment(expires_at=NOW_MS + HOUR_MS)
    world.read(moments=[m])
    world.turn()
    task_id, _, _ = world.card()
    world.read(task_events=[task_event(task_id, 1, "ACCEPTED", sequence=3, cause="accepted")])
    world.clock.advance(2 * HOUR_MS)
    world.turn()
    assert world.row(m["moment_id"]) == ("CARD", "on_card")
    world.read(moments=[{**m, "revision": 2, "state": "RESOLVED"}])
    world.workbench.rescind_answer = ("in_work", False)
    world.turn()
    world.turn()
    assert len(world.workbench.rescinded) == 1
    world.read(
        task_events=[task_event(task_id, 1, "DONE", sequence=4, cause="completed", disposition="REACHED_RESOLVED")]
    )
    assert world.row(m["moment_id"]) == ("CARD", "worked")


def test_a_withdrawal_at_the_workbench_is_final(world: World) -> None:
    world.customer()
    m = moment()
    world.read(moments=[m])
    world.turn()
    task_id, _, _ = world.card()
    world.read(task_events=[task_event(task_id, 1, "RESCINDED", sequence=2, cause="rescinded")])
    assert world.row(m["moment_id"]) == ("LEDGER", "withdrawn")


def test_history_closes_gates_and_makes_no_card(world: World) -> None:
    world.customer()
    complaint = moment(rule_id="AN1", history=True)
    care = moment(rule_id="SP1", group="CARE", channel="SMS")
    world.read(moments=[complaint, care])
    assert world.row(complaint["moment_id"]) == ("LEDGER", "history")
    assert world.row(care["moment_id"]) == ("PENDING", "open_complaint")
    world.read(moments=[{**complaint, "revision": 2, "state": "RESOLVED"}])
    assert world.row(care["moment_id"]) == ("LEDGER", "sent_by_sms")


def test_a_superseded_moment_goes_to_the_ledger_whichever_comes_first(world: World) -> None:
    for number, order in enumerate(((0, 1), (1, 0)), start=1):
        world.customer(number)
        pair = [moment(number, "AN6"), moment(number, "AN8", supersedes=["AN6", "AN7"])]
        for index in order:
            world.read(moments=[pair[index]])
        assert world.row(pair[0]["moment_id"]) == ("LEDGER", "superseded")
        assert world.row(pair[1]["moment_id"]) == ("PENDING", "awaiting_assignment")


def test_a_stale_owner_stores_nothing(db: Db) -> None:
    key = ("kairos.moments.v1", 0)
    mine = claim(db, [key], "router-0")
    claim(db, [key], "router-1")
    batch = Batch(moments=[moment()], before=mine, after={key: 1})
    with pytest.raises(OwnershipLost):
        take_in(db, batch, NOW_MS)
    assert db.execute("SELECT count(*) FROM moments").fetchone() == (0,)


def test_a_batch_counts_once_however_often_it_is_read(db: Db) -> None:
    key = ("kairos.contacts.v1", 0)
    mine = claim(db, [key], "router-0")
    batch = Batch(contacts=[contact()], before=mine, after={key: 5})
    take_in(db, batch, NOW_MS)
    with pytest.raises(OwnershipLost):
        take_in(db, batch, NOW_MS)
    assert claim(db, [key], "router-0")[key] == Position(next_offset=5, epoch=2)


def test_while_facts_may_be_unread_records_are_stored_and_decided_later(world: World) -> None:
    """The message of a moment must not go by facts of which half are still to be read."""
    world.customer()
    m = moment(rule_id="FT3", channel="SMS")
    take_in(world.db, Batch(moments=[m]), NOW_MS, may_decide=False)
    assert world.row(m["moment_id"]) == ("PENDING", "undecided")
    contacts = [contact(event_id=f"k{i}", channel="SMS", outcome="DELIVERED") for i in (1, 2)]
    take_in(world.db, Batch(contacts=contacts), NOW_MS, may_decide=False)
    world.dispatcher.decide_due()
    assert world.row(m["moment_id"]) == ("PENDING", "sms_cap")


def test_a_new_fact_makes_its_customer_fall_due(world: World) -> None:
    m = moment()
    world.read(moments=[m])
    assert world.row(m["moment_id"]) == ("PENDING", "customer_unknown")
    value = encode("kairos.events.v1.CustomerEvent", customer(1))
    record = decode_record(decode.CUSTOMERS, value, [("log_offset", b"1")])
    take_in(world.db, Batch(customers=[record]), NOW_MS, may_decide=False)
    assert world.row(m["moment_id"]) == ("PENDING", "customer_unknown")
    world.turn()
    assert world.row(m["moment_id"]) == ("CARD", "on_card")


def test_a_claimed_partition_is_behind_until_the_end_its_owner_saw(db: Db) -> None:
    key = ("kairos.contacts.v1", 0)
    claim(db, [key], "router-0")
    mine = claim(db, [key], "router-1")
    assert partitions_behind(db) == 1
    aim(db, {key: (Position(next_offset=0, epoch=1), 0)})
    assert partitions_behind(db) == 1, "an earlier owner has nothing to say"
    aim(db, {key: (mine[key], 5)})
    take_in(db, Batch(before=mine, after={key: 4}), NOW_MS)
    assert partitions_behind(db) == 1
    now = {key: Position(next_offset=4, epoch=mine[key].epoch)}
    take_in(db, Batch(before=now, after={key: 5}), NOW_MS)
    assert partitions_behind(db) == 0
    assert taken_away(db, now) == []
    claim(db, [key], "router-0")
    assert taken_away(db, now) == [key]


@pytest.mark.parametrize("reason", [Reason.NO_CAPACITY, Reason.MANAGER_AWAY])
def test_a_card_that_was_refused_goes_on_ageing(world: World, reason: Reason) -> None:
    """What waited must not lose its place, nor its owner new patience, because a manager was full."""
    world.customer()
    m = moment()
    world.read(moments=[m])
    world.workbench.answers[task_id_of(m["moment_id"])] = ("refused", reason)
    for _ in range(2):
        world.clock.advance(HOUR_MS // 2)
        world.capacity.managers["m1"] = ManagerCapacity(manager_id="m1", city="NJ")
        world.turn()
        assert world.row(m["moment_id"]) == ("PENDING", reason.value)
        assert world.db.execute("SELECT ready_at FROM moments").fetchone() == (NOW_MS,)


def test_a_forgotten_customer_is_contacted_no_more(world: World) -> None:
    world.customer(1, log_offset=5)
    world.customer(2, log_offset=5)
    called, texted = moment(1), moment(2, "FT3", channel="SMS")
    world.read(moments=[called])
    world.turn()
    assert world.row(called["moment_id"]) == ("CARD", "on_card")
    world.read(customers=[decode_record(decode.CUSTOMERS, None, [], key=key) for key in (b"1", b"2")])
    world.turn()
    assert [item[2] for item in world.workbench.rescinded] == ["customer_unknown"]
    world.read(moments=[texted])
    assert world.row(texted["moment_id"]) == ("PENDING", "customer_unknown")
    world.customer(2, log_offset=6)
    assert world.row(texted["moment_id"]) == ("LEDGER", "sent_by_sms")


def test_forgetting_goes_by_the_log_offset_where_it_is_told(world: World) -> None:
    world.customer(1, log_offset=5)
    world.read(customers=[decode_record(decode.CUSTOMERS, None, [("log_offset", b"4")], key=b"1")])
    assert world.db.execute("SELECT customer_id FROM customers").fetchall() == [(1,)]
    value = encode("kairos.events.v1.CustomerEvent", customer(1))
    older, newer = (decode_record(decode.CUSTOMERS, value, [("log_offset", offset)]) for offset in (b"6", b"8"))
    gone = decode_record(decode.CUSTOMERS, None, [("log_offset", b"7")], key=b"1")
    world.read(customers=[gone, older])
    assert world.db.execute("SELECT customer_id FROM customers").fetchall() == []
    world.read(customers=[newer, gone])
    assert world.db.execute("SELECT log_offset FROM customers").fetchall() == [(8,)]


def test_an_instance_knows_whether_it_is_alone(dsn: str, db: Db) -> None:
    """Only beside others is it in order that the group has nothing for it to read."""
    with InstanceName(dsn):
        assert not others_run(db)
        with InstanceName(dsn):
            assert others_run(db)
        ends = time.monotonic() + 10  # the server lets go a little after the client
        while others_run(db):
            assert time.monotonic() < ends
            time.sleep(0.01)


class Log:
    """One poll of records, all of one topic's partition 0."""

    def __init__(self, db: Db, topic: str, records: list[tuple[bytes, list[tuple[str, bytes]]]]) -> None:
        self.key = (topic, 0)
        self.positions = claim(db, [self.key], "router-0")
        self.is_current = True
        self.parked: list[tuple[int, str]] = []
        self.records = [
            SimpleNamespace(topic=topic, partition=0, offset=offset, key=b"", value=value, headers=headers)
            for offset, (value, headers) in enumerate(records)
        ]

    def poll(self, timeout_ms: int, max_records: int) -> dict[tuple[str, int], list[Any]]:
        return {self.key: self.records}

    def advance(self, after: dict[tuple[str, int], int]) -> None:
        self.positions = {key: Position(end, self.positions[key].epoch) for key, end in after.items()}

    def rewind(self) -> None: ...

    def lose(self, topic: str, partition: int, position: Position) -> None:
        raise AssertionError("nobody else is here")

    def hold_bulk(self, hold: bool) -> None: ...

    def park(self, letters: list[tuple[Any, str]]) -> None:
        self.parked += [(record.offset, reason) for record, reason in letters]


def test_a_value_that_the_database_refuses_is_parked_and_its_neighbours_go_on(
    db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding bounds what it knows of; what slips through must not keep the router for ever."""
    monkeypatch.setattr(decode, "LAST_BIGINT", 2**70)
    name = "kairos.events.v1.CustomerEvent"
    offsets = {1: b"1", 2: b"9223372036854775808", 3: b"3"}
    records = [(encode(name, customer(i)), [("log_offset", offset)]) for i, offset in offsets.items()]
    log = Log(db, decode.CUSTOMERS, records)
    Intake(log, log, ManualClock(NOW_MS), batch_records=10).step(db, 0)
    assert log.parked == [(1, "refused_by_database")]
    assert log.positions[log.key].next_offset == 3
    assert db.execute("SELECT customer_id FROM customers ORDER BY 1").fetchall() == [(1,), (3,)]
    assert db.execute("SELECT next_offset FROM intake_positions").fetchone() == (3,)


def test_the_order_of_task_events_and_moments_does_not_matter(db: Db) -> None:
    """The same facts in any order of arrival end in the same rows (contacts and gates apart, all at one instant)."""
    results = set()
    for seed in range(6):
        db.execute(f"TRUNCATE {TABLES}")
        world = World(db)
        world.customer()
        first = moment()
        world.read(moments=[first])
        world.turn()
        task_id, _, _ = world.card()
        ids = [first["moment_id"]]
        events = [
            task_event(task_id, 1, "OFFERED", sequence=2, cause="delivered", moment_ids=ids),
            task_event(task_id, 1, "ACCEPTED", sequence=3, cause="accepted", moment_ids=ids),
            task_event(
                task_id, 1, "DONE", sequence=4, cause="completed", disposition="REACHED_REFUSED", moment_ids=ids
            ),
        ]
        random.Random(seed).shuffle(events)
        for event in events:
            world.read(task_events=[event])
        cards = db.execute("SELECT state, sequence, is_open FROM cards").fetchall()
        rows = db.execute("SELECT row_state, reason FROM moments").fetchall()
        contacts = db.execute("SELECT channel, outcome FROM contacts").fetchall()
        results.add((tuple(cards), tuple(rows), tuple(contacts)))
    assert results == {((("DONE", 4, False),), (("CARD", "worked"),), (("CALL", "REFUSED"),))}
