"""The states of a task and which may follow which. Everything that is not listed is refused.

Owns the table. When a transition happens and what it does to a lease is `tasks.py`.
"""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Names as on kairos.task-events.v1 and, with the prefix TASK_STATE_, in the RPC contract."""

    CREATED = "CREATED"
    HELD = "HELD"
    QUEUED = "QUEUED"
    OFFERED = "OFFERED"
    ACCEPTED = "ACCEPTED"
    WRAPPING = "WRAPPING"
    DONE = "DONE"
    DECLINED = "DECLINED"
    DEFERRED = "DEFERRED"
    RESCINDED = "RESCINDED"
    EXPIRED = "EXPIRED"
    ESCALATED = "ESCALATED"


class Cause(StrEnum):
    """Why a transition happened; see docs/decisions/0070."""

    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    OUTSIDE_CONTACT_WINDOW = "outside_contact_window"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    OFFER_MISSED = "offer_missed"
    LEASE_EXPIRED = "lease_expired"
    MANAGER_AWAY = "manager_away"
    EXPIRED = "expired"
    RESCINDED = "rescinded"


class TransitionRefused(Exception):
    """The table does not have this transition: a mistake of the programmer; nothing is stored."""

    def __init__(self, before: State, after: State) -> None:
        super().__init__(f"{before} does not become {after}")
        self.before = before
        self.after = after


_S = State
FOLLOWERS: Final[dict[State, frozenset[State]]] = {
    _S.CREATED: frozenset({_S.HELD, _S.QUEUED}),
    _S.HELD: frozenset({_S.QUEUED, _S.RESCINDED, _S.EXPIRED}),
    _S.QUEUED: frozenset({_S.QUEUED, _S.OFFERED, _S.RESCINDED, _S.EXPIRED, _S.ESCALATED}),
    _S.OFFERED: frozenset({_S.ACCEPTED, _S.QUEUED, _S.DECLINED, _S.RESCINDED, _S.EXPIRED}),
    _S.ACCEPTED: frozenset({_S.WRAPPING, _S.DONE, _S.DECLINED, _S.DEFERRED, _S.RESCINDED, _S.EXPIRED, _S.ESCALATED}),
    _S.WRAPPING: frozenset({_S.DONE, _S.RESCINDED, _S.EXPIRED}),
    _S.DEFERRED: frozenset({_S.OFFERED, _S.RESCINDED, _S.EXPIRED, _S.ESCALATED}),
    _S.DECLINED: frozenset({_S.QUEUED}),  # by a dispatch of a higher version only, as the three below
    _S.RESCINDED: frozenset({_S.QUEUED}),
    _S.EXPIRED: frozenset({_S.QUEUED}),
    _S.ESCALATED: frozenset({_S.QUEUED}),
    _S.DONE: frozenset(),
}
OPEN: Final = frozenset({_S.HELD, _S.QUEUED, _S.OFFERED, _S.ACCEPTED, _S.WRAPPING, _S.DEFERRED})
LEASED: Final = frozenset({_S.OFFERED, _S.ACCEPTED, _S.WRAPPING})
IN_WORK: Final = frozenset({_S.ACCEPTED, _S.WRAPPING})


def may_become(before: State, after: State) -> bool:
    """True when the table allows the transition."""
    return after in FOLLOWERS[before]


def check_transition(before: State, after: State) -> None:
    """Raises TransitionRefused when the table does not have it."""
    if not may_become(before, after):
        raise TransitionRefused(before, after)
