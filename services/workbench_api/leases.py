"""Leases: who has the exclusive right to a task, and until when. Pure; all instants are of the real clock.

A task has at most one lease, named by an epoch that only grows: whoever holds an older epoch is refused.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Refusal(StrEnum):
    """Machine-readable reasons; ErrorInfo.reason and HeartbeatResponse.Result.refusal carry them."""

    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    LEASE_EPOCH_OLD = "LEASE_EPOCH_OLD"
    LEASE_EXPIRED = "LEASE_EXPIRED"
    LEASE_TOO_LONG = "LEASE_TOO_LONG"
    WRONG_STATE = "WRONG_STATE"
    OUTSIDE_CONTACT_WINDOW = "OUTSIDE_CONTACT_WINDOW"


@dataclass(frozen=True, kw_only=True)
class LeasePolicy:
    """How long an offer stands, how long work lasts without a heartbeat, and at most in all."""

    offer_ms: int = 20_000
    work_ms: int = 900_000
    work_ms_max: int = 7_200_000

    def __post_init__(self) -> None:
        if not self.offer_ms > 0:
            raise ValueError("offer_ms wants more than 0")
        if not 0 < self.work_ms <= self.work_ms_max:
            raise ValueError("work_ms wants more than 0 and at most work_ms_max")


@dataclass(frozen=True)
class Lease:
    """One right: `started_at_ms` is when the offer was made or, after acceptance, when the work began."""

    epoch: int
    started_at_ms: int
    expires_at_ms: int


def offer(epoch_before: int, now_ms: int, *, policy: LeasePolicy) -> Lease:
    """A new lease with the next epoch."""
    return Lease(epoch_before + 1, now_ms, now_ms + policy.offer_ms)


def begin_work(lease: Lease, now_ms: int, *, policy: LeasePolicy) -> Lease:
    """The work lease of an accepted offer; the epoch stays, so that a repeated accept is harmless."""
    return replace(lease, started_at_ms=now_ms, expires_at_ms=now_ms + policy.work_ms)


def extend(lease: Lease, now_ms: int, *, policy: LeasePolicy) -> Lease | Refusal:
    """The lease extended from now, never beyond its longest; never shortened."""
    ends_at_ms = lease.started_at_ms + policy.work_ms_max
    if now_ms >= ends_at_ms or lease.expires_at_ms >= ends_at_ms:
        return Refusal.LEASE_TOO_LONG
    return replace(lease, expires_at_ms=max(lease.expires_at_ms, min(now_ms + policy.work_ms, ends_at_ms)))


def refusal_of(lease: Lease | None, epoch: int, now_ms: int) -> Refusal | None:
    """Why a caller who names this epoch has no right, or None when they have it."""
    if lease is None or epoch != lease.epoch:
        return Refusal.LEASE_EPOCH_OLD
    if now_ms >= lease.expires_at_ms:
        return Refusal.LEASE_EXPIRED
    return None
