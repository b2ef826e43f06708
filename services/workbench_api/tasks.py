"""A task and every decision about it: offer, accept, extend, complete, decline, release, expire, rescind. Pure.

Each decision takes the task and the instant and returns what to store, or why not. No database, no wire.
Business time decides expiry, contact windows and attempts; real time decides leases.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from services.workbench_api import leases
from services.workbench_api.leases import Lease, LeasePolicy, Refusal
from services.workbench_api.states import IN_WORK, LEASED, Cause, State, check_transition
from services.workbench_api.windows import NEVER_MS, Window, is_open, next_half_day_ms, next_open_ms

ATTEMPTS_MAX: Final = 3
ATTEMPT_PAUSE_MS: Final = 3_600_000
FOLLOW_UP_UNITS: Final = 5  # what a deferred task counts while it waits
NO_ANSWER: Final = "NO_ANSWER"
ROUTER: Final = "router"
WORKBENCH: Final = "workbench"


@dataclass(frozen=True)
class Instant:
    """One reading of both clocks, UTC milliseconds."""

    now_ms: int
    real_ms: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row. `body` is the message as dispatched; what changes during the task's life stands in the other fields."""

    task_id: str
    version: int
    state: State
    customer_id: int
    manager_id: str
    city: str
    units: int
    priority: int
    score: float
    expires_at_ms: int  # business clock
    windows: tuple[Window, ...]
    moment_ids: tuple[str, ...]
    rule_id: str
    dimension: str
    body: bytes
    created_at_ms: int  # business clock
    ready_at_ms: int  # business clock: not offered before
    attempts: int = 0
    epoch: int = 0  # of the newest lease, live or not
    lease: Lease | None = None
    offer_request_id: str = ""
    deliveries: int = 0  # how many polls got this offer
    rescind_reason: str = ""  # set while somebody works on a task that was rescinded
    sequence: int = 0


@dataclass(frozen=True)
class Change:
    """A transition to store: the task after it, and what the event says."""

    before: State
    task: Task
    cause: Cause
    actor: str
    reason: str = ""
    disposition: str | None = None


@dataclass(frozen=True)
class Unchanged:
    """The call repeats what is already true; answer as then."""

    task: Task


@dataclass(frozen=True)
class Refused:
    """The call has no right or the state does not allow it; `change`, if any, is stored all the same."""

    refusal: Refusal
    state: State | None = None
    change: Change | None = None


Decision = Change | Unchanged | Refused


def manager_actor(manager_id: str) -> str:
    """The actor of a transition that a person made."""
    return f"manager:{manager_id}"


def units_held(task: Task) -> int:
    """Capacity units that the task takes from its manager now."""
    if task.state is State.DEFERRED:
        return min(FOLLOW_UP_UNITS, task.units)
    return task.units if task.state in LEASED or task.state in (State.QUEUED, State.HELD) else 0


def is_waiting(task: Task) -> bool:
    """True while nobody works on the open task."""
    return task.state in (State.HELD, State.QUEUED, State.OFFERED, State.DEFERRED)


def move(
    task: Task,
    after: State,
    cause: Cause,
    *,
    actor: str,
    reason: str = "",
    disposition: str | None = None,
    **fields: Any,
) -> Change:
    """The change to another state, checked against the table; the lease ends unless the new state has one."""
    check_transition(task.state, after)
    if after not in LEASED:
        fields |= {"lease": None, "offer_request_id": "", "deliveries": 0}
    moved = replace(task, state=after, sequence=task.sequence + 1, **fields)
    assert (moved.lease is not None) == (after in LEASED), "a lease exactly in the states that have one"
    return Change(task.state, moved, cause, actor, reason, disposition)


def decide_offer(task: Task, request_id: str, at: Instant, *, policy: LeasePolicy) -> Change | Task:
    """Offer a waiting task, or expire it, or the task itself with the time at which it can be offered."""
    if at.now_ms >= task.expires_at_ms:
        return expire(task)
    if at.now_ms < task.ready_at_ms:
        return task
    if not is_open(task.windows, at.now_ms):
        return replace(task, ready_at_ms=next_open_ms(task.windows, at.now_ms))
    lease = leases.offer(task.epoch, at.real_ms, policy=policy)
    return move(
        task,
        State.OFFERED,
        Cause.DELIVERED,
        actor=WORKBENCH,
        epoch=lease.epoch,
        lease=lease,
        offer_request_id=request_id,
        deliveries=1,
    )


def decide_accept(task: Task, manager_id: str, epoch: int, at: Instant, *, policy: LeasePolicy) -> Decision:
    """Turn an offer into work; repeating it with the same epoch is harmless."""
    if task.manager_id != manager_id:
        return Refused(Refusal.TASK_NOT_FOUND)
    if task.state not in LEASED:
        return _not_leased(task, epoch)
    refusal = leases.refusal_of(task.lease, epoch, at.real_ms)
    if refusal is not None:
        return Refused(refusal, task.state)
    if task.state in IN_WORK:
        return Unchanged(task)
    if at.now_ms >= task.expires_at_ms:
        return Refused(Refusal.WRONG_STATE, State.EXPIRED, expire(task))
    if not is_open(task.windows, at.now_ms):
        back = move(
            task,
            State.QUEUED,
            Cause.OUTSIDE_CONTACT_WINDOW,
            actor=WORKBENCH,
            ready_at_ms=next_open_ms(task.windows, at.now_ms),
        )
        return Refused(Refusal.OUTSIDE_CONTACT_WINDOW, State.QUEUED, back)
    assert task.lease is not None
    return move(
        task,
        State.ACCEPTED,
        Cause.ACCEPTED,
        actor=manager_actor(manager_id),
        lease=leases.begin_work(task.lease, at.real_ms, policy=policy),
    )


def decide_heartbeat(task: Task, manager_id: str, epoch: int, at: Instant, *, policy: LeasePolicy) -> Task | Refusal:
    """The task with its work lease extended from now, or why not. An offer is not extended: accept it."""
    if task.manager_id != manager_id:
        return Refusal.TASK_NOT_FOUND
    if task.state not in IN_WORK:
        return Refusal.LEASE_EPOCH_OLD if epoch < task.epoch else Refusal.WRONG_STATE
    refusal = leases.refusal_of(task.lease, epoch, at.real_ms)
    if refusal is not None:
        return refusal
    assert task.lease is not None
    lease = leases.extend(task.lease, at.real_ms, policy=policy)
    return lease if isinstance(lease, Refusal) else replace(task, lease=lease)


def decide_complete(task: Task, manager_id: str, epoch: int, disposition: str, at: Instant) -> Decision:
    """End the work with a disposition; nobody answered counts as an attempt and may lead to another."""
    refused = _refuse_unless_in_work(task, manager_id, epoch, at)
    if refused is not None:
        return refused
    actor = manager_actor(manager_id)
    attempts = task.attempts + 1 if disposition == NO_ANSWER else task.attempts
    ready_at_ms = next_attempt_ms(task, attempts, at) if disposition == NO_ANSWER else NEVER_MS
    if ready_at_ms < task.expires_at_ms and not task.rescind_reason:
        return move(
            task,
            State.DEFERRED,
            Cause.NO_ANSWER,
            actor=actor,
            disposition=disposition,
            attempts=attempts,
            ready_at_ms=ready_at_ms,
        )
    reason = f"rescinded:{task.rescind_reason}" if task.rescind_reason else ""
    return move(
        task,
        State.DONE,
        Cause.COMPLETED,
        actor=actor,
        reason=reason,
        disposition=disposition,
        attempts=attempts,
        rescind_reason="",
    )


def next_attempt_ms(task: Task, attempts: int, at: Instant) -> int:
    """When to try again: an hour later, in another half-day, in a window; NEVER_MS = not again."""
    if attempts >= ATTEMPTS_MAX:
        return NEVER_MS
    return next_open_ms(task.windows, max(at.now_ms + ATTEMPT_PAUSE_MS, next_half_day_ms(at.now_ms)))


def decide_decline(task: Task, manager_id: str, epoch: int, reason: str, at: Instant) -> Decision:
    """Give an offered or accepted task back; repeating it with the same epoch is harmless."""
    if task.manager_id != manager_id:
        return Refused(Refusal.TASK_NOT_FOUND)
    if task.state is State.DECLINED and epoch == task.epoch:
        return Unchanged(task)
    if task.state not in LEASED:
        return _not_leased(task, epoch)
    refusal = leases.refusal_of(task.lease, epoch, at.real_ms)
    if refusal is not None:
        return Refused(refusal, task.state)
    return release(task, State.DECLINED, Cause.DECLINED, actor=manager_actor(manager_id), reason=reason)


def release(task: Task, after: State, cause: Cause, *, actor: str = WORKBENCH, reason: str = "") -> Change:
    """Give the task back to the router, or end it when it was rescinded in the meantime."""
    if task.rescind_reason:
        return move(task, State.RESCINDED, Cause.RESCINDED, actor=ROUTER, reason=task.rescind_reason, rescind_reason="")
    return move(task, after, cause, actor=actor, reason=reason)


def expire_lease(task: Task, at: Instant) -> Change | None:
    """Release the task when its lease has run out; None while it stands."""
    if task.lease is None or at.real_ms < task.lease.expires_at_ms:
        return None
    cause = Cause.OFFER_MISSED if task.state is State.OFFERED else Cause.LEASE_EXPIRED
    return release(task, State.EXPIRED, cause)


def expire(task: Task) -> Change:
    """The task is no use any more: it ends without a person having ended it."""
    return move(task, State.EXPIRED, Cause.EXPIRED, actor=WORKBENCH)


def withdraw_offer(task: Task, epoch: int) -> Change | None:
    """Take back an offer that never reached its manager; None when another poll got it since, or it is over."""
    if task.state is not State.OFFERED or task.epoch != epoch or task.deliveries > 1:
        return None
    return move(task, State.QUEUED, Cause.UNDELIVERED, actor=WORKBENCH)


def rescind(task: Task, reason: str) -> Change | Task:
    """End an open task, or mark the one that somebody works on."""
    if task.state in IN_WORK:
        return replace(task, rescind_reason=reason)
    return move(task, State.RESCINDED, Cause.RESCINDED, actor=ROUTER, reason=reason)


def _refuse_unless_in_work(task: Task, manager_id: str, epoch: int, at: Instant) -> Refused | None:
    if task.manager_id != manager_id:
        return Refused(Refusal.TASK_NOT_FOUND)
    if task.state not in LEASED:
        return _not_leased(task, epoch)
    refusal = leases.refusal_of(task.lease, epoch, at.real_ms)
    if refusal is None and task.state not in IN_WORK:
        refusal = Refusal.WRONG_STATE
    return None if refusal is None else Refused(refusal, task.state)


def _not_leased(task: Task, epoch: int) -> Refused:
    """Nobody holds it: an epoch that was real once ran out or was taken over; otherwise the state is the reason."""
    if task.state is State.EXPIRED and epoch == task.epoch:
        return Refused(Refusal.LEASE_EXPIRED, task.state)
    return Refused(Refusal.LEASE_EPOCH_OLD if epoch < task.epoch else Refusal.WRONG_STATE, task.state)
