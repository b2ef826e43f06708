"""The workbench from outside, on a real PostgreSQL and a real Kafka, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import functools
import itertools
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from kairos.workbench.v1 import admin_pb2, manager_pb2, task_pb2
from prometheus_client import REGISTRY

from services.clock import ManualClock
from services.workbench_api.work_store import Offers
from tests.workbench_rig import (
    HOUR_MS,
    MONDAY_10_MS,
    Client,
    Rig,
    again,
    empty,
    refused,
    running,
    settings_for,
    until,
    wire_task,
)

if TYPE_CHECKING:
    from services.stack.kafka_server import KafkaServer
    from tests.servers import Database

pytestmark = pytest.mark.integration


@pytest.fixture
async def rig(postgres: Database, kafka: KafkaServer, tmp_path: Path) -> AsyncIterator[Rig]:
    empty(postgres.dsn)
    async with running(settings_for(postgres.dsn, kafka.bootstrap, tmp_path)) as rig:
        yield rig


def _advance(rig: Rig, ms: int) -> None:
    assert isinstance(rig.clock, ManualClock)
    rig.clock.advance(ms)


async def _state(rig: Rig, task_id: str) -> str:
    return str((await rig.rows("SELECT state FROM tasks WHERE task_id = %s", task_id))[0][0])


async def test_a_dispatched_task_is_polled_accepted_and_completed(rig: Rig) -> None:
    manager = await rig.manager()
    task = wire_task()
    assert await rig.router.dispatch(task) == ["STORED"]

    offered = (await manager.poll()).tasks[0]
    assert offered.task_id == task.task_id
    assert offered.state == task_pb2.TASK_STATE_OFFERED
    assert offered.lease.expires_at_ms == rig.clock.real_ms() + 20_000
    accepted = await manager.accept(offered)
    assert accepted.lease.expires_at_ms == rig.clock.real_ms() + 900_000
    done = await manager.complete(accepted, note="fine")
    assert done.state == task_pb2.TASK_STATE_DONE

    events = await rig.rows(
        "SELECT from_state, to_state, cause, actor FROM task_events WHERE task_id = %s ORDER BY sequence", task.task_id
    )
    assert [tuple(row) for row in events] == [
        ("", "QUEUED", "dispatched", "router"),
        ("QUEUED", "OFFERED", "delivered", "workbench"),
        ("OFFERED", "ACCEPTED", "accepted", "manager:m-NJ-01"),
        ("ACCEPTED", "DONE", "completed", "manager:m-NJ-01"),
    ]


async def test_a_waiting_poll_gets_a_task_at_once(rig: Rig) -> None:
    manager = await rig.manager()
    router = rig.router
    await router.dispatch(wire_task("m-NJ-02"))  # opens the channel
    waiting = asyncio.ensure_future(manager.poll(20))
    await until(lambda: _true(len(rig.workbench.waiters) == 1))
    started = asyncio.get_running_loop().time()
    await router.dispatch(wire_task())
    assert len((await waiting).tasks) == 1
    assert asyncio.get_running_loop().time() - started < 1.0


async def _true(value: bool) -> bool:
    return value


async def test_an_offer_is_returned_again_until_it_is_accepted(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.router.dispatch(wire_task())
    first = (await manager.poll(request_id="one")).tasks
    again_ = (await manager.poll(request_id="one")).tasks
    other = (await manager.poll(request_id="two")).tasks
    assert [t.lease.epoch for t in first] == [t.lease.epoch for t in again_] == [t.lease.epoch for t in other] == [1]
    await manager.accept(first[0])
    assert not (await manager.poll(request_id="three")).tasks


async def test_a_retried_poll_gets_the_same_offers_not_more(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.router.dispatch(wire_task(), wire_task())
    first = (await manager.poll(request_id="one")).tasks
    assert [t.task_id for t in (await manager.poll(request_id="one", max_tasks=5)).tasks] == [first[0].task_id]
    assert len((await manager.poll(request_id="two", max_tasks=5)).tasks) == 2


async def test_the_most_urgent_task_is_offered_first(rig: Rig) -> None:
    manager = await rig.manager()
    low, high, risky = wire_task(priority=4), wire_task(priority=1), wire_task(priority=4, score=99)
    await rig.router.dispatch(low, high, risky)
    offered = (await manager.poll(max_tasks=10)).tasks
    assert [t.task_id for t in offered] == [high.task_id, risky.task_id, low.task_id]


async def test_a_missed_offer_goes_back_to_the_router_and_two_stop_the_offers(rig: Rig) -> None:
    manager = await rig.manager()
    first, second, third = wire_task(), wire_task(), wire_task()
    await rig.router.dispatch(first, second, third)
    offered = (await manager.poll()).tasks[0]
    _advance(rig, 20_000)
    await until(lambda: _has_state(rig, offered.task_id, "EXPIRED"))
    assert (await manager.poll()).tasks
    _advance(rig, 20_000)
    await until(lambda: _is_presence(rig, "NOT_RESPONDING"))
    rows = await rig.rows("SELECT state, count(*) FROM tasks GROUP BY state")
    assert [tuple(row) for row in rows] == [("EXPIRED", 3)]
    causes = await rig.rows("SELECT cause, count(*) FROM task_events WHERE to_state = 'EXPIRED' GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in causes] == [("manager_away", 1), ("offer_missed", 2)]
    assert await rig.router.dispatch(again(first)) == ["MANAGER_AWAY"]
    await manager.presence()
    assert await rig.router.dispatch(again(first)) == ["STORED"]
    assert (await manager.poll()).tasks[0].version == 2


async def _has_state(rig: Rig, task_id: str, state: str) -> bool:
    return await _state(rig, task_id) == state


async def _is_presence(rig: Rig, presence: str, manager_id: str = "m-NJ-01") -> bool:
    rows = await rig.rows("SELECT presence FROM managers WHERE manager_id = %s", manager_id)
    return bool(rows[0][0] == presence)


async def test_a_waiting_poll_tells_at_once_that_presence_has_changed(rig: Rig) -> None:
    """A person whom the server has stopped sending work to must not read "waiting for work" for another 25 s."""
    manager = await rig.manager()
    waiting = asyncio.ensure_future(manager.poll(20))
    wanted = itertools.cycle((task_pb2.PRESENCE_BREAK, task_pb2.PRESENCE_AVAILABLE))

    async def has_returned() -> bool:
        await manager.presence(next(wanted))
        return waiting.done()

    async with asyncio.timeout(10.0):
        await until(has_returned)
    assert not waiting.result().tasks


async def test_who_accepts_too_late_is_told_so_and_counts_as_there(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.router.dispatch(wire_task(), wire_task())
    for _ in range(2):
        offered = (await manager.poll()).tasks[0]
        _advance(rig, 20_000)
        await until(functools.partial(_has_state, rig, offered.task_id, "EXPIRED"))
        with refused() as faults:
            await manager.accept(offered)
        assert (faults[0].code, faults[0].reason) == (grpc.StatusCode.ABORTED, "LEASE_EXPIRED")
    assert await _is_presence(rig, "AVAILABLE")


async def test_a_heartbeat_extends_from_now_and_not_beyond_two_hours(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.router.dispatch(wire_task())
    task = await manager.accept((await manager.poll()).tasks[0])
    started = rig.clock.real_ms()
    for _ in range(11):
        _advance(rig, 600_000)
        results = await manager.heartbeat(task)
        assert results[0].lease.expires_at_ms == min(rig.clock.real_ms() + 900_000, started + 7_200_000)
    _advance(rig, 300_000)
    assert (await manager.heartbeat(task))[0].refusal == "LEASE_TOO_LONG"
    _advance(rig, 300_000)
    await until(lambda: _has_state(rig, task.task_id, "EXPIRED"))
    assert (await manager.heartbeat(task))[0].refusal == "WRONG_STATE"


async def test_work_without_heartbeat_is_released(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.router.dispatch(wire_task())
    task = await manager.accept((await manager.poll()).tasks[0])
    _advance(rig, 900_000)
    await until(lambda: _has_state(rig, task.task_id, "EXPIRED"))
    with refused() as faults:
        await manager.complete(task)
    assert faults[0].reason == "LEASE_EXPIRED"
    rows = await rig.rows("SELECT cause FROM task_events WHERE to_state = 'EXPIRED'")
    assert rows[0][0] == "lease_expired"
    assert await rig.client("m-NJ-01").poll()


async def test_completing_twice_with_one_request_gives_one_answer(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.router.dispatch(wire_task(), wire_task())
    one, two = (await manager.poll(max_tasks=2)).tasks
    one, two = await manager.accept(one), await manager.accept(two)
    first = await manager.complete(one, request_id="r1")
    assert first == await manager.complete(one, request_id="r1")
    with refused() as faults:
        await manager.complete(one, request_id="r2")
    assert (faults[0].code, faults[0].reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    assert faults[0].metadata["state"] == "DONE"
    with refused() as faults:
        await manager.complete(two, request_id="r1")
    assert (faults[0].code, faults[0].metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, "request_id")
    assert (await rig.rows("SELECT count(*) FROM completions"))[0][0] == 1


async def test_accepting_and_declining_twice_is_harmless(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.router.dispatch(wire_task())
    offered = (await manager.poll()).tasks[0]
    assert await manager.accept(offered) == await manager.accept(offered)
    assert await manager.decline(offered) == await manager.decline(offered)
    rows = await rig.rows("SELECT to_state FROM task_events ORDER BY sequence")
    assert [row[0] for row in rows] == ["QUEUED", "OFFERED", "ACCEPTED", "DECLINED"]


async def test_a_declined_task_is_dispatched_again_to_another_manager(rig: Rig) -> None:
    first, second = await rig.manager("m-NJ-01"), await rig.manager("m-NJ-02")
    task = wire_task("m-NJ-01")
    await rig.router.dispatch(task)
    await first.decline((await first.poll()).tasks[0])
    assert await rig.router.dispatch(task) == ["ALREADY_THERE"]
    assert await rig.router.dispatch(again(task, manager_id="m-NJ-02")) == ["STORED"]
    offered = (await second.poll()).tasks[0]
    assert (offered.version, offered.lease.epoch) == (2, 2)
    with refused() as faults:
        await first.accept(offered)
    assert faults[0].reason == "TASK_NOT_FOUND"


async def test_capacity_and_open_cards_are_checked_item_by_item(rig: Rig) -> None:
    await rig.manager("m-NJ-01", capacity_units=40)
    await rig.manager("m-NJ-02", daily_budget=1)
    one, two, three = wire_task(), wire_task(), wire_task()
    same_customer = wire_task("m-NJ-02", customer_id=one.customer.customer_id)
    outcomes = await rig.router.dispatch(
        one,
        two,
        three,
        same_customer,
        wire_task("m-nobody"),
        wire_task(units=0),
        wire_task("m-NJ-02"),
        wire_task("m-NJ-02"),
        one,
    )
    assert outcomes == [
        "STORED",
        "STORED",
        "NO_CAPACITY",
        "CUSTOMER_HAS_CARD",
        "MANAGER_AWAY",
        "INVALID",
        "STORED",
        "NO_CAPACITY",
        "ALREADY_THERE",
    ]


async def test_the_same_batch_twice_changes_nothing(rig: Rig) -> None:
    await rig.manager()
    tasks = [wire_task() for _ in range(5)]
    assert await rig.router.dispatch(*tasks) == ["STORED"] * 5
    assert await rig.router.dispatch(*tasks) == ["ALREADY_THERE"] * 5
    assert (await rig.rows("SELECT count(*) FROM task_events"))[0][0] == 5


async def test_a_rescind_reaches_waiting_offered_unknown_and_worked_tasks(rig: Rig) -> None:
    manager = await rig.manager()
    work, offered, waiting, unknown = wire_task(priority=1), wire_task(priority=2), wire_task(priority=3), wire_task()
    await rig.router.dispatch(work, offered, waiting)
    accepted = await manager.accept((await manager.poll()).tasks[0])
    held = (await manager.poll()).tasks[0]
    outcomes = await rig.router.rescind(*[(task.task_id, 1) for task in (work, offered, waiting, unknown)])
    assert outcomes == ["IN_WORK", "RESCINDED", "RESCINDED", "TOMBSTONE"]
    with refused() as faults:
        await manager.accept(held)
    assert (faults[0].reason, faults[0].metadata["state"]) == ("WRONG_STATE", "RESCINDED")
    assert await rig.router.dispatch(unknown, waiting) == ["RESCINDED", "RESCINDED"]
    assert await rig.router.dispatch(again(unknown)) == ["STORED"]
    assert (await manager.complete(accepted)).state == task_pb2.TASK_STATE_DONE
    assert await rig.router.rescind((work.task_id, 1)) == ["ALREADY_ENDED"]


async def test_a_rescinded_task_in_work_ends_when_it_is_given_back(rig: Rig) -> None:
    manager = await rig.manager()
    task = wire_task()
    await rig.router.dispatch(task)
    accepted = await manager.accept((await manager.poll()).tasks[0])
    await rig.router.rescind((task.task_id, 1))
    assert (await manager.decline(accepted)).state == task_pb2.TASK_STATE_RESCINDED


async def test_outside_its_windows_a_task_is_not_offered_and_not_accepted(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.router.dispatch(wire_task())
    _advance(rig, 2 * HOUR_MS - 5_000)  # 11:59:55
    await manager.presence()
    offered = (await manager.poll()).tasks[0]
    _advance(rig, 6_000)  # 12:00:01
    with refused() as faults:
        await manager.accept(offered)
    assert faults[0].reason == "OUTSIDE_CONTACT_WINDOW"
    assert not (await manager.poll()).tasks
    waiting = asyncio.ensure_future(manager.poll(20))
    await until(lambda: _true(len(rig.workbench.waiters) == 1))
    _advance(rig, 2 * HOUR_MS)  # 14:00:01: the sweeper wakes the poll
    assert (await waiting).tasks[0].task_id == offered.task_id


async def test_a_task_beyond_its_use_expires(rig: Rig) -> None:
    await rig.manager()
    task = wire_task(expires_at_ms=MONDAY_10_MS + 30_000)
    await rig.router.dispatch(task)
    _advance(rig, 30_000)
    await until(lambda: _has_state(rig, task.task_id, "EXPIRED"))
    rows = await rig.rows("SELECT cause FROM task_events WHERE to_state = 'EXPIRED'")
    assert rows[0][0] == "expired"


async def test_nobody_answered_is_tried_again_in_another_half_day_three_times(rig: Rig) -> None:
    manager = await rig.manager()
    days = [
        (MONDAY_10_MS + 24 * HOUR_MS * n - HOUR_MS, MONDAY_10_MS + 24 * HOUR_MS * n + 10 * HOUR_MS) for n in (0, 1, 2)
    ]
    await rig.router.dispatch(wire_task(windows=days, expires_at_ms=MONDAY_10_MS + 60 * HOUR_MS))
    ready = []
    for expected in (task_pb2.TASK_STATE_DEFERRED, task_pb2.TASK_STATE_DEFERRED, task_pb2.TASK_STATE_DONE):
        task = await manager.accept((await manager.poll()).tasks[0])
        ended = await manager.complete(task, disposition=manager_pb2.DISPOSITION_NO_ANSWER)
        assert ended.state == expected
        if ended.state == task_pb2.TASK_STATE_DEFERRED:
            assert not (await manager.poll()).tasks
            ready_at_ms = (await rig.rows("SELECT ready_at_ms FROM tasks"))[0][0]
            ready.append((ready_at_ms - MONDAY_10_MS) / HOUR_MS)
            _advance(rig, ready_at_ms - rig.clock.now_ms())
            await manager.presence()
    assert ready == [2, 23]  # noon of the day, then nine o'clock of the next
    assert ended.attempts == 3


async def test_leaving_gives_waiting_tasks_back_and_keeps_work(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.router.dispatch(wire_task(), wire_task(), wire_task())
    accepted = await manager.accept((await manager.poll()).tasks[0])
    await manager.poll()
    await manager.presence(task_pb2.PRESENCE_BREAK)
    rows = await rig.rows("SELECT state, count(*) FROM tasks GROUP BY state ORDER BY state")
    assert [tuple(row) for row in rows] == [("ACCEPTED", 1), ("EXPIRED", 2)]
    response = await manager.poll()
    assert not response.tasks
    assert response.presence == task_pb2.PRESENCE_BREAK
    assert (await manager.complete(accepted)).state == task_pb2.TASK_STATE_DONE


async def test_a_silent_manager_is_taken_off(postgres: Database, kafka: KafkaServer, tmp_path: Path) -> None:
    empty(postgres.dsn)
    settings = settings_for(postgres.dsn, kafka.bootstrap, tmp_path, silence_seconds=60.0)
    async with running(settings) as rig:
        await rig.manager()
        await rig.router.dispatch(wire_task())
        _advance(rig, 61_000)
        await until(lambda: _is_presence(rig, "NOT_RESPONDING"))
        assert (await rig.rows("SELECT state FROM tasks"))[0][0] == "EXPIRED"


async def test_a_cancelled_poll_is_never_assigned_work(rig: Rig) -> None:
    """What the server saw cancelled leaves the task waiting; what it had answered before stands and comes again."""
    manager = await rig.manager()
    for attempt in range(20):
        task = wire_task()
        before = _poll_outcomes()
        waiting = asyncio.ensure_future(manager.poll(20))
        await until(lambda: _true(len(rig.workbench.waiters) == 1))
        dispatching = asyncio.ensure_future(rig.router.dispatch(task))
        await asyncio.sleep(0.002 * (attempt % 5))
        waiting.cancel()
        await asyncio.wait([waiting, dispatching])
        assert dispatching.result() == ["STORED"]
        await until(functools.partial(_has_one_more_poll, before))
        was_cancelled = _poll_outcomes()[1] > before[1]
        await until(functools.partial(_has_state, rig, task.task_id, "QUEUED" if was_cancelled else "OFFERED"))
        offered = (await manager.poll()).tasks[0]
        assert offered.task_id == task.task_id
        await manager.complete(await manager.accept(offered))


async def test_an_offer_made_while_its_poll_is_cancelled_is_taken_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = await rig.manager()
    made, may_return = asyncio.Event(), asyncio.Event()
    poll = rig.workbench.store.poll

    async def slow_poll(manager_id: str, request_id: str, tasks_max: int) -> Offers:
        offers = await poll(manager_id, request_id, tasks_max)
        made.set()
        await may_return.wait()
        return offers

    monkeypatch.setattr(rig.workbench.store, "poll", slow_poll)
    task = wire_task()
    await rig.router.dispatch(task)
    before = _poll_outcomes()
    waiting = asyncio.ensure_future(manager.poll(20))
    await made.wait()
    assert await _state(rig, task.task_id) == "OFFERED"
    waiting.cancel()
    await asyncio.wait([waiting])
    await until(functools.partial(_has_one_more_poll, before))
    assert _poll_outcomes()[1] == before[1] + 1
    may_return.set()
    await until(functools.partial(_has_state, rig, task.task_id, "QUEUED"))
    rows = await rig.rows("SELECT cause FROM task_events ORDER BY sequence")
    assert [row[0] for row in rows] == ["dispatched", "delivered", "undelivered"]


def _poll_outcomes() -> tuple[float, float]:
    """Polls that the server answered, and that it saw cancelled."""
    values = [
        REGISTRY.get_sample_value("kairos_workbench_rpc_calls_total", {"method": "PollTasks", "outcome": outcome})
        for outcome in ("OK", "CANCELLED")
    ]
    return values[0] or 0.0, values[1] or 0.0


async def _has_one_more_poll(before: tuple[float, float]) -> bool:
    return sum(_poll_outcomes()) > sum(before)


async def test_polls_of_one_manager_never_share_a_task(rig: Rig) -> None:
    manager = await rig.manager(capacity_units=1000, daily_budget=1000)
    polls = [asyncio.ensure_future(manager.poll(15)) for _ in range(3)]
    await until(lambda: _true(len(rig.workbench.waiters) == 3))
    await rig.router.dispatch(*[wire_task() for _ in range(30)])
    await asyncio.gather(*polls)
    done: set[str] = set()
    while len(done) < 30:
        for task in (await manager.poll(max_tasks=10)).tasks:
            assert task.task_id not in done
            await manager.complete(await manager.accept(task))
            done.add(task.task_id)


async def test_too_many_polls_of_one_manager_are_refused_with_a_delay(rig: Rig) -> None:
    manager = await rig.manager()
    polls = [asyncio.ensure_future(manager.poll(20)) for _ in range(4)]
    await until(lambda: _true(len(rig.workbench.waiters) == 4))
    with refused() as faults:
        await manager.poll(20)
    assert (faults[0].code, faults[0].reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    assert faults[0].retry_seconds
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    await until(lambda: _true(len(rig.workbench.waiters) == 0))


async def test_a_due_second_attempt_waits_until_it_fits(rig: Rig) -> None:
    manager = await rig.manager(capacity_units=30)
    first, second = wire_task(priority=1), wire_task(priority=2)
    await rig.router.dispatch(first)
    task = await manager.accept((await manager.poll()).tasks[0])
    await manager.complete(task, disposition=manager_pb2.DISPOSITION_NO_ANSWER)
    assert await rig.router.dispatch(second) == ["STORED"]  # a follow-up of 5 and a card of 20
    _advance(rig, 4 * HOUR_MS)
    assert await rig.router.dispatch(wire_task()) == ["NO_CAPACITY"]
    offered = (await manager.poll(max_tasks=5)).tasks
    assert [task.task_id for task in offered] == [second.task_id]
    await manager.complete(await manager.accept(offered[0]))
    again_ = (await manager.poll(max_tasks=5)).tasks
    assert [(task.task_id, task.attempts) for task in again_] == [(first.task_id, 1)]


async def test_a_crowd_of_polls_at_once_is_served(rig: Rig) -> None:
    admin = rig.client("admin", "admin")
    names = [f"m-{number}" for number in range(1250)]
    await admin.upsert(*[admin_pb2.Manager(manager_id=name, city="NJ", active=True) for name in names])
    clients = [Client(rig.target, name, clock=rig.clock) for name in names]
    for client in clients:
        await client.channel.close()
        client.channel = admin.channel
    responses = await asyncio.gather(*[client.poll() for client in clients])
    assert all(response.presence == task_pb2.PRESENCE_OFFLINE for response in responses)


async def test_capacity_is_watched_as_a_snapshot_and_changes(rig: Rig) -> None:
    manager = await rig.manager()
    await rig.manager("m-NJ-02")
    stream = rig.router.watch("NJ")
    first = await stream.read()
    assert first.snapshot
    assert {m.manager_id: m.presence for m in first.managers} == {
        "m-NJ-01": task_pb2.PRESENCE_AVAILABLE,
        "m-NJ-02": task_pb2.PRESENCE_AVAILABLE,
    }
    await rig.router.dispatch(wire_task())
    change = await stream.read()
    assert not change.snapshot
    assert [(m.manager_id, m.load_units, m.daily_budget_left) for m in change.managers] == [("m-NJ-01", 20, 59)]
    await manager.presence(task_pb2.PRESENCE_OFFLINE)
    change = await stream.read()
    assert [(m.load_units, m.presence) for m in change.managers] == [(0, task_pb2.PRESENCE_OFFLINE)]
    stream.cancel()


async def test_the_card_shows_numbers_history_and_only_ones_own_customers(rig: Rig) -> None:
    manager, other = await rig.manager(), await rig.manager("m-NJ-02")
    first = wire_task()
    await rig.router.dispatch(first)
    await manager.complete(await manager.accept((await manager.poll()).tasks[0]))
    second = wire_task(customer_id=first.customer.customer_id)
    await rig.router.dispatch(second)
    card = await manager.card(second.task_id)
    assert card.task.customer.phone_masked == "138****0001"
    assert card.task.why_now == ["balance_fen 850 fen, threshold 1000 fen"]
    assert [(p.rule_id, p.disposition) for p in card.past_contacts] == [("AN4", "REACHED_RESOLVED")]
    with refused() as faults:
        await other.card(second.task_id)
    assert faults[0].reason == "TASK_NOT_FOUND"


async def test_tasks_are_listed_in_pages(rig: Rig) -> None:
    manager = await rig.manager(capacity_units=1000)
    tasks = [wire_task(created_at_ms=MONDAY_10_MS + n) for n in range(7)]
    await rig.router.dispatch(*tasks)
    listed: list[str] = []
    token = ""
    while True:
        page = await manager.list_tasks(page_size=3, page_token=token)
        listed += [task.task_id for task in page.tasks]
        token = page.next_page_token
        if not token:
            break
    assert listed == [task.task_id for task in reversed(tasks)]
    assert len((await manager.list_tasks(states=[task_pb2.TASK_STATE_DONE])).tasks) == 0
    with refused() as faults:
        await manager.list_tasks(page_token="nonsense")
    assert faults[0].metadata["field"] == "page_token"


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda m: m.poll(request_id="x" * 65), "request_id"),
        (lambda m: m.poll(max_tasks=11), "max_tasks"),
        (lambda m: m.list_tasks(page_size=201), "page_size"),
        (lambda m: m.list_tasks(states=[99]), "states"),
        (lambda m: m.card("not-a-uuid"), "task_id"),
        (lambda m: m.presence(task_pb2.PRESENCE_NOT_RESPONDING), "presence"),
        (lambda m: m.heartbeat(), "tasks"),
        (lambda m: m.complete(wire_task(), disposition=0), "disposition"),
        (lambda m: m.complete(wire_task(), disposition=77), "disposition"),
        (lambda m: m.complete(wire_task(), note="x" * 2001), "note"),
        (lambda m: m.complete(wire_task(), note="a\0b"), "note"),
        (lambda m: m.complete(wire_task(), next_contact_on="2026-02-30"), "next_contact_on"),
        (lambda m: m.complete(wire_task(), answers={str(n): "a" for n in range(51)}), "answers"),
    ],
)
async def test_a_wrong_field_is_named(rig: Rig, call: Any, field: str) -> None:
    manager = await rig.manager()
    with refused() as faults:
        await call(manager)
    assert (faults[0].code, faults[0].reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert faults[0].metadata["field"] == field


async def test_two_instances_wake_each_others_polls(
    rig: Rig, postgres: Database, kafka: KafkaServer, tmp_path: Path
) -> None:
    async with running(settings_for(postgres.dsn, kafka.bootstrap, tmp_path), rig.clock) as second:
        await rig.manager()
        elsewhere = second.client("m-NJ-01")
        waiting = asyncio.ensure_future(elsewhere.poll(20))
        await until(lambda: _true(len(second.workbench.waiters) == 1))
        await rig.router.dispatch(wire_task())
        async with asyncio.timeout(3.0):
            assert len((await waiting).tasks) == 1


async def test_draining_ends_polls_with_an_empty_answer(
    rig: Rig, postgres: Database, kafka: KafkaServer, tmp_path: Path
) -> None:
    await rig.manager()
    async with running(settings_for(postgres.dsn, kafka.bootstrap, tmp_path), rig.clock) as second:
        waiting = asyncio.ensure_future(second.client("m-NJ-01").poll(20))
        await until(lambda: _true(len(second.workbench.waiters) == 1))
        async with asyncio.timeout(5.0):
            closing = asyncio.ensure_future(second.workbench.server.close(3.0))
            assert not (await waiting).tasks
            await closing


async def test_the_database_refuses_a_second_open_card_of_a_customer(rig: Rig) -> None:
    await rig.manager()
    task = wire_task()
    await rig.router.dispatch(task)
    import psycopg

    with pytest.raises(psycopg.errors.UniqueViolation):
        await rig.rows(
            "INSERT INTO tasks SELECT (jsonb_populate_record(t, jsonb_build_object('task_id', %s::text))).*"
            " FROM tasks t RETURNING task_id",
            str(uuid.uuid4()),
        )
