"""The store against a small, obvious model: a task never has two live leases nor gets lost, and load ≤ capacity.

Hypothesis drives both through random histories; after every step the rows must be what the model says.
"""

from __future__ import annotations

import asyncio
import datetime
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.clock import ManualClock
from services.transport.postgres import migrate
from services.workbench_api import wire
from services.workbench_api.database import Database as Pool
from services.workbench_api.dispatch_store import DispatchStore, Withdrawal
from services.workbench_api.leases import LeasePolicy
from services.workbench_api.presence import Presence, PresencePolicy
from services.workbench_api.roster import Manager, Roster
from services.workbench_api.sweeper import Sweeper
from services.workbench_api.tasks import Change, Refused, Task, Unchanged
from services.workbench_api.work_store import Completion, WorkStore
from tests.workbench_rig import HOUR_MS, MONDAY_10_MS, empty, wire_task

if TYPE_CHECKING:
    from tests.servers import Database

pytestmark = pytest.mark.integration

MIGRATIONS = Path(__file__).parents[3] / "services" / "workbench_api" / "migrations"
MANAGERS = ("m-1", "m-2")
CAPACITY = 30  # one card and two follow-ups
TASKS = 4
CUSTOMERS = 3
OPEN = {"QUEUED", "OFFERED", "ACCEPTED", "DEFERRED"}
EVER = ((MONDAY_10_MS - HOUR_MS, MONDAY_10_MS + 10_000 * HOUR_MS),)


@dataclass
class Known:
    """What the model knows of a task."""

    state: str
    version: int
    manager: str
    customer: int
    epoch: int = 0
    lease_ends_ms: int = 0
    work_began_ms: int = 0
    attempts: int = 0
    ready_ms: int = 0
    doomed: bool = False


class Machine(RuleBasedStateMachine):
    """Every rule does one thing to the store and the same to the model."""

    dsn = ""

    def __init__(self) -> None:
        super().__init__()
        empty(self.dsn)
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock(MONDAY_10_MS)
        self.pool = Pool(self.dsn, connections_max=2)
        self.run(self.pool.open())
        self.roster = Roster(self.pool, self.clock, policy=PresencePolicy(silence_ms=10**12))
        self.store = WorkStore(self.pool, self.clock, self.roster, policy=LeasePolicy())
        self.dispatches = DispatchStore(self.pool, self.clock)
        self.sweeper = Sweeper(self.pool, self.clock, self.store, self.roster, interval_seconds=1)
        self.known: dict[str, Known] = {}
        self.buried: dict[str, int] = {}
        self.presence = dict.fromkeys(MANAGERS, "AVAILABLE")
        self.missed = dict.fromkeys(MANAGERS, 0)
        self.events = 0
        self.run(
            self.roster.upsert(
                [Manager(manager_id=each, city="NJ", capacity_units=CAPACITY, daily_budget=10_000) for each in MANAGERS]
            )
        )
        for each in MANAGERS:
            self.run(self.roster.set_presence(each, Presence.AVAILABLE))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.pool.close())
        self.loop.close()

    # What happens

    @rule(
        number=st.integers(0, TASKS - 1), manager=st.sampled_from(MANAGERS), newer=st.sampled_from([True, True, False])
    )
    def dispatch(self, number: int, manager: str, newer: bool) -> None:
        task_id = _id(number)
        known = self.known.get(task_id)
        version = max(1, (known.version if known else 0) + newer, self.buried.get(task_id, 0) * newer + newer)
        message = wire_task(
            manager,
            task_id=task_id,
            version=version,
            customer_id=1 + number % CUSTOMERS,
            windows=EVER,
            expires_at_ms=MONDAY_10_MS + 9_000 * HOUR_MS,
        )
        item = wire.task_from_wire(message, self.clock.now_ms())
        assert isinstance(item, Task)
        outcome = self.run(self.dispatches.dispatch([item]))[0].outcome.value
        assert outcome == self._expected(task_id, version, manager, 1 + number % CUSTOMERS)
        if outcome == "STORED":
            fresh = Known("QUEUED", version, manager, 1 + number % CUSTOMERS)
            if known is not None:
                fresh.epoch, fresh.attempts = known.epoch, known.attempts
            self.known[task_id] = fresh
            self.events += 1

    def _expected(self, task_id: str, version: int, manager: str, customer: int) -> str:
        known = self.known.get(task_id)
        if self.buried.get(task_id, 0) >= version:
            return "RESCINDED"
        if known is not None and (
            version <= known.version or known.state in {"OFFERED", "ACCEPTED", "DEFERRED", "DONE"}
        ):
            return "ALREADY_THERE"
        if any(k.customer == customer and k.state in OPEN for i, k in self.known.items() if i != task_id):
            return "CUSTOMER_HAS_CARD"
        if self.presence[manager] != "AVAILABLE":
            return "MANAGER_AWAY"
        moved = known is not None and known.state == "QUEUED" and known.manager == manager
        taken = sum(self._units(k, reserving=True) for k in self.known.values() if k.manager == manager)
        return "STORED" if taken - 20 * moved + 20 <= CAPACITY else "NO_CAPACITY"

    def _units(self, known: Known, *, reserving: bool) -> int:
        if known.state == "DEFERRED":
            return 20 if reserving and known.ready_ms <= self.clock.now_ms() else 5
        return 20 if known.state in OPEN else 0

    @rule(manager=st.sampled_from(MANAGERS), count=st.integers(1, 3))
    def poll(self, manager: str, count: int) -> None:
        offers = self.run(self.store.poll(manager, uuid.uuid4().hex, count))
        now = self.clock.real_ms()
        standing = {
            i for i, k in self.known.items() if k.manager == manager and k.state == "OFFERED" and now < k.lease_ends_ms
        }
        fresh = {task_id for task_id, _ in offers.fresh}
        assert {task.task_id for task in offers.tasks} == standing | fresh
        if self.presence[manager] != "AVAILABLE":
            assert not fresh
        for task in offers.tasks:
            known = self.known[task.task_id]
            if task.task_id in fresh:
                assert known.state in ("QUEUED", "DEFERRED")
                assert known.manager == manager
                assert known.ready_ms <= self.clock.now_ms()
                known.state, known.epoch, known.lease_ends_ms = "OFFERED", known.epoch + 1, now + 20_000
                self.events += 1
            assert task.lease is not None
            assert (task.lease.epoch, task.lease.expires_at_ms) == (known.epoch, known.lease_ends_ms)
        ready = [k for k in self.known.values() if k.manager == manager and k.state == "QUEUED"]
        if self.presence[manager] == "AVAILABLE" and len(standing) + len(fresh) < count:
            assert not ready, "a waiting task was held back although there was room in the answer"

    @rule(
        number=st.integers(0, TASKS - 1),
        manager=st.sampled_from(MANAGERS),
        old=st.sampled_from([False, False, False, True]),
    )
    def accept(self, number: int, manager: str, old: bool) -> None:
        known = self.known.get(_id(number))
        epoch = (known.epoch if known else 1) - old
        decision = self.run(self.store.accept(manager, _id(number), epoch))
        held = self._holds(known, manager, epoch)
        if held and known is not None and known.state == "OFFERED":
            assert isinstance(decision, Change)
            known.state = "ACCEPTED"
            known.work_began_ms = self.clock.real_ms()
            known.lease_ends_ms = known.work_began_ms + 900_000
            self.events += 1
        elif held:
            assert isinstance(decision, Unchanged)
        else:
            assert isinstance(decision, Refused)
        if known is not None:
            self._acted(manager)

    @rule(number=st.integers(0, TASKS - 1), manager=st.sampled_from(MANAGERS))
    def heartbeat(self, number: int, manager: str) -> None:
        known = self.known.get(_id(number))
        if known is None:
            return
        self.run(self.store.heartbeat(manager, [(_id(number), known.epoch)]))
        if known.state == "ACCEPTED" and self._holds(known, manager, known.epoch):
            ends = known.work_began_ms + 7_200_000
            known.lease_ends_ms = max(known.lease_ends_ms, min(self.clock.real_ms() + 900_000, ends))

    @rule(
        number=st.integers(0, TASKS - 1),
        manager=st.sampled_from(MANAGERS),
        disposition=st.sampled_from(["REACHED_RESOLVED", "NO_ANSWER"]),
        old=st.sampled_from([False, False, False, True]),
    )
    def complete(self, number: int, manager: str, disposition: str, old: bool) -> None:
        known = self.known.get(_id(number))
        epoch = (known.epoch if known else 1) - old
        completion = Completion(request_id=uuid.uuid4().hex, disposition=disposition)
        decision = self.run(self.store.complete(manager, _id(number), epoch, completion, answer=lambda _: b""))
        if known is None or known.state != "ACCEPTED" or not self._holds(known, manager, epoch):
            assert isinstance(decision, Refused)
            return
        assert isinstance(decision, Change)
        self.events += 1
        known.attempts += disposition == "NO_ANSWER"
        known.state = "DONE"
        if disposition == "NO_ANSWER" and known.attempts < 3 and not known.doomed:
            known.state = "DEFERRED"
            known.ready_ms = _other_half_day(self.clock.now_ms())
        self._acted(manager)

    @rule(number=st.integers(0, TASKS - 1), manager=st.sampled_from(MANAGERS))
    def decline(self, number: int, manager: str) -> None:
        known = self.known.get(_id(number))
        epoch = known.epoch if known else 1
        decision = self.run(self.store.decline(manager, _id(number), epoch, "BUSY"))
        if self._holds(known, manager, epoch):
            assert isinstance(decision, Change)
            assert known is not None
            known.state = "RESCINDED" if known.doomed else "DECLINED"
            self.events += 1
        else:
            assert isinstance(decision, (Refused, Unchanged))
        if known is not None:
            self._acted(manager)

    @rule(manager=st.sampled_from(MANAGERS))
    def dispatch_all(self, manager: str) -> None:
        for number in range(TASKS):
            self.dispatch(number, manager, newer=True)

    @rule(manager=st.sampled_from(MANAGERS), disposition=st.sampled_from(["REACHED_RESOLVED", "NO_ANSWER"]))
    def work_through(self, manager: str, disposition: str) -> None:
        self.poll(manager, 3)
        for number in range(TASKS):
            self.accept(number, manager, old=False)
            self.complete(number, manager, disposition, old=False)

    @rule(number=st.integers(0, TASKS - 1))
    def rescind(self, number: int) -> None:
        task_id = _id(number)
        known = self.known.get(task_id)
        version = known.version if known else 1
        outcome = self.run(self.dispatches.rescind([Withdrawal(task_id, version, "topped_up")]))[0].value
        self.buried[task_id] = max(version, self.buried.get(task_id, 0))
        if known is None:
            assert outcome == "TOMBSTONE"
        elif known.state == "ACCEPTED":
            assert outcome == "IN_WORK"
            known.doomed = True
        elif known.state in OPEN:
            assert outcome == "RESCINDED"
            known.state = "RESCINDED"
            self.events += 1
        else:
            assert outcome == "ALREADY_ENDED"

    @rule(manager=st.sampled_from(MANAGERS), presence=st.sampled_from([Presence.AVAILABLE] * 3 + [Presence.BREAK]))
    def set_presence(self, manager: str, presence: Presence) -> None:
        self.run(self.roster.set_presence(manager, presence))
        self.presence[manager], self.missed[manager] = presence.value, 0
        if presence is not Presence.AVAILABLE:
            self._left(manager)

    @rule(seconds=st.sampled_from([1, 1, 19, 20, 900, 54_000]))
    def pass_time(self, seconds: int) -> None:
        """Time goes by and the sweeper looks, manager by manager in the order of their ids."""
        self.clock.advance(seconds * 1000)
        self.run(self.sweeper.sweep())
        now = self.clock.real_ms()
        for manager in MANAGERS:
            missed = 0
            for known in self.known.values():
                is_leased = known.state in ("OFFERED", "ACCEPTED")
                if known.manager == manager and is_leased and known.lease_ends_ms <= now:
                    missed += known.state == "OFFERED"
                    known.state = "RESCINDED" if known.doomed else "EXPIRED"
                    self.events += 1
            self.missed[manager] += missed
            if missed and self.missed[manager] >= 2 and self.presence[manager] == "AVAILABLE":
                self.presence[manager] = "NOT_RESPONDING"
                self._left(manager)
        for known in self.known.values():
            is_due = known.state == "DEFERRED" and known.ready_ms <= self.clock.now_ms()
            if is_due and self.presence[known.manager] != "AVAILABLE":
                known.state = "EXPIRED"
                self.events += 1

    def _holds(self, known: Known | None, manager: str, epoch: int) -> bool:
        return (
            known is not None
            and known.state in ("OFFERED", "ACCEPTED")
            and known.manager == manager
            and known.epoch == epoch
            and self.clock.real_ms() < known.lease_ends_ms
        )

    def _acted(self, manager: str) -> None:
        self.missed[manager] = 0
        if self.presence[manager] == "NOT_RESPONDING":
            self.presence[manager] = "AVAILABLE"

    def _left(self, manager: str) -> None:
        for known in self.known.values():
            if known.manager == manager and known.state in ("QUEUED", "OFFERED"):
                known.state = "EXPIRED"
                self.events += 1

    # What must always be true

    @invariant()
    def rows_are_what_the_model_says(self) -> None:
        rows = self._rows("SELECT task_id::text, state, version, manager_id, epoch, attempts FROM tasks")
        found = {row[0]: tuple(row[1:]) for row in rows}
        assert found == {
            task_id: (known.state, known.version, known.manager, known.epoch, known.attempts)
            for task_id, known in self.known.items()
        }

    @invariant()
    def nobody_holds_more_than_their_capacity(self) -> None:
        for manager in MANAGERS:
            load = sum(self._units(k, reserving=False) for k in self.known.values() if k.manager == manager)
            assert load <= CAPACITY

    @invariant()
    def a_customer_has_one_open_card(self) -> None:
        customers = [known.customer for known in self.known.values() if known.state in OPEN]
        assert len(customers) == len(set(customers))

    @invariant()
    def every_transition_is_told_once_and_in_order(self) -> None:
        rows = self._rows("SELECT task_id, array_agg(sequence ORDER BY sequence) FROM task_events GROUP BY task_id")
        assert sum(len(row[1]) for row in rows) == self.events
        for row in rows:
            assert row[1] == list(range(1, len(row[1]) + 1))
        assert self._rows("SELECT count(*), count(DISTINCT event_id) FROM outbox")[0] == (self.events, self.events)

    @invariant()
    def presence_is_what_the_model_says(self) -> None:
        rows = self._rows("SELECT manager_id, presence, missed_offers FROM managers")
        assert {row[0]: row[1] for row in rows} == self.presence

    def _rows(self, query: str) -> list[Any]:
        async def read() -> list[Any]:
            async with self.pool.connection() as connection:
                return await (await connection.execute(query)).fetchall()

        found: list[Any] = self.run(read())
        return found


def _id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"model-{number}"))


def _other_half_day(now_ms: int) -> int:
    """An hour later at least, and after the next noon or midnight in Shanghai."""
    now = datetime.datetime.fromtimestamp(now_ms / 1000, ZoneInfo("Asia/Shanghai"))
    border = now.replace(hour=0, minute=0, second=0, microsecond=0)
    while border <= now:
        border += datetime.timedelta(hours=12)
    return max(now_ms + HOUR_MS, int(border.timestamp() * 1000))


def test_the_store_does_what_the_model_says(postgres: Database) -> None:
    migrate(postgres.dsn, "workbench", MIGRATIONS)
    Machine.dsn = postgres.dsn
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=80,
            deadline=None,
            derandomize=True,
            phases=(Phase.generate,),  # shrinking would take minutes against a real database
            suppress_health_check=list(HealthCheck),
        ),
    )
