"""What a task event changes: the card's state, its moments, the contact it stands for. Pure.

The meaning of each (to_state, cause) is the workbench's: docs/decisions/0070-tasks-leases-and-release.md.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.router.model import Contact
from services.router.reasons import Reason

DISPATCHING = "DISPATCHING"  # the card's own state before the workbench has answered
IN_WORK = frozenset({"ACCEPTED", "WRAPPING"})
_OUTCOMES = {
    "REACHED_RESOLVED": "REACHED",
    "REACHED_PROMISED": "REACHED",
    "REACHED_REFUSED": "REFUSED",
    "NO_ANSWER": "NO_ANSWER",
    "WRONG_PERSON": "NO_ANSWER",
}
_MISSED = {
    "offer_missed": Reason.OFFER_MISSED,
    "lease_expired": Reason.MANAGER_AWAY,
    "manager_away": Reason.MANAGER_AWAY,
}


class Ending(StrEnum):
    """What becomes of the card and of its moments."""

    STAYS = "stays"  # open; its moments are on it
    WORKED = "worked"  # closed; its moments are worked
    RETURNED = "returned"  # closed; its moments wait for another manager
    ENDED = "ended"  # closed; its moments are decided anew
    WITHDRAWN = "withdrawn"  # closed by somebody else than this router


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one event does. reason: of the returned moments; declined_by, missed_by: managers to pass over."""

    ending: Ending
    reason: Reason | None = None
    declined_by: str | None = None
    missed_by: str | None = None


def is_news(event: dict[str, Any], *, version: int, sequence: int) -> bool:
    """True when the event is newer than what the card has: sequences count up per task, over all its versions."""
    return bool(event["task_version"] >= version and event["sequence"] > sequence)


def effect_of(event: dict[str, Any], *, was_rescinded: bool) -> Effect:
    """What the event does to its card. was_rescinded: this router has asked for it."""
    state, cause, manager = event["to_state"], event["cause"], event["manager_id"]
    if state == "DONE":
        return Effect(ending=Ending.WORKED)
    if state == "DECLINED":
        return Effect(ending=Ending.RETURNED, reason=Reason.DECLINED, declined_by=manager)
    if state == "EXPIRED" and cause in _MISSED:
        return Effect(ending=Ending.RETURNED, reason=_MISSED[cause], missed_by=manager)
    if state == "EXPIRED":
        return Effect(ending=Ending.ENDED)
    if state == "RESCINDED":
        return Effect(ending=Ending.ENDED if was_rescinded else Ending.WITHDRAWN)
    return Effect(ending=Ending.STAYS)


def contact_of(event: dict[str, Any]) -> Contact | None:
    """The contact that a completed task or an unanswered try stands for, or None."""
    if event["to_state"] != "DONE" and event["cause"] != "no_answer":
        return None
    return Contact(
        channel="CALL",
        direction="OUT",
        occurred_at_ms=event["occurred_at"],
        outcome=_OUTCOMES.get(event["disposition"] or "", "UNKNOWN"),
        dimension=event["dimension"] or "UNKNOWN",
        task_id=event["task_id"],
    )
