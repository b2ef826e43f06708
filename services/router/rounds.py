"""One planning round of a city: which waiting customers get a card, with which manager, and what the card says. Pure.

Policy has been asked again just before; this module groups the ready moments of a customer into one card, scores it,
has it assigned and builds what is stored and sent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from services.router.assignment import Assignment, Candidate, Unassigned, plan
from services.router.capacity import CALL_UNITS, ManagerCapacity
from services.router.channel import Channel
from services.router.model import CustomerFacts, CustomerView, Decision, Moment
from services.router.policy import contact_hours
from services.router.quiet_hours import contact_windows
from services.router.ranking import Score, order_key, score
from services.router.task_message import build_task, task_id_of

MOMENTS_PER_CARD = 10


@dataclass(frozen=True, slots=True)
class Draft:
    """A card before it has a manager; moments in its order, the leading one first."""

    task_id: str
    view: CustomerView
    moments: tuple[Moment, ...]
    score: Score
    ready_at_ms: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What to write: cards with their message, and why the other drafts stay. taken: manager and units per card."""

    cards: tuple[dict[str, Any], ...]
    left: tuple[dict[str, Any], ...]
    taken: tuple[tuple[str, int], ...]


def draft(facts: CustomerFacts, decision: Decision, now_ms: int) -> Draft | None:
    """The card that this customer could get now, or None."""
    if not decision.ready or facts.view is None or facts.card is not None:
        return None
    moments = tuple(sorted(decision.ready, key=_lead_key)[:MOMENTS_PER_CARD])
    tier = facts.view.tier
    return Draft(
        task_id=task_id_of(moments[0].moment_id),
        view=facts.view,
        moments=moments,
        score=max((score(moment, now_ms, tier=tier) for moment in moments), key=lambda found: found.total),
        ready_at_ms=min(moment.ready_at_ms or now_ms for moment in moments),
    )


def _lead_key(moment: Moment) -> tuple[int, bool, tuple[int, float, int, str]]:
    """The order of a card: class first; a moment that led a task before leads it again, so that its tries go on."""
    return (moment.priority, moment.task_id != task_id_of(moment.moment_id), order_key(moment))


def plan_round(
    drafts: Sequence[Draft],
    managers: Sequence[ManagerCapacity],
    now_ms: int,
    *,
    most: int,
    versions: Callable[[Sequence[str]], Mapping[str, int]],
    contents: Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]],
) -> Planned:
    """Assign the drafts and build at most `most` cards. versions, contents: look-ups for those that are assigned."""
    by_id = {item.task_id: item for item in drafts}
    planned = plan([_candidate(item) for item in drafts], managers, now_ms)
    chosen = planned.assignments[:most]
    known = versions([assignment.task_id for assignment in chosen]) if chosen else {}
    shown = [moment.moment_id for assignment in chosen for moment in by_id[assignment.task_id].moments]
    content = contents(shown) if shown else {}
    return Planned(
        cards=tuple(_card(by_id[a.task_id], a, known.get(a.task_id, 0) + 1, content, now_ms) for a in chosen),
        left=tuple(_left(by_id[item.task_id], item) for item in planned.unassigned),
        taken=tuple((assignment.manager_id, CALL_UNITS) for assignment in chosen),
    )


def _candidate(item: Draft) -> Candidate:
    lead = item.moments[0]
    return Candidate(
        task_id=item.task_id,
        city=item.view.city,
        priority=lead.priority,
        score=item.score.total,
        ready_at_ms=item.ready_at_ms,
        owner=item.view.owner_manager_id,
        deputy=item.view.deputy_manager_id,
        declined_by=frozenset(manager for moment in item.moments for manager in moment.declined_by),
        missed_by=frozenset(manager for moment in item.moments for manager in moment.missed_by),
    )


def _card(
    item: Draft, assignment: Assignment, version: int, contents: Mapping[str, Mapping[str, Any]], now_ms: int
) -> dict[str, Any]:
    lead = item.moments[0]
    windows = contact_windows(now_ms, lead.expires_at_ms, contact_hours(item.view, lead, Channel.CALL))
    message = build_task(
        task_id=item.task_id,
        version=version,
        view=item.view,
        moments=item.moments,
        contents=contents,
        score=item.score.total,
        units=CALL_UNITS,
        windows=windows,
        manager_id=assignment.manager_id,
        now_ms=now_ms,
    )
    return {
        "task_id": item.task_id,
        "version": version,
        "customer_id": item.view.customer_id,
        "city": item.view.city,
        "manager_id": assignment.manager_id,
        "units": CALL_UNITS,
        "score": item.score.total,
        "factors": asdict(item.score),
        "step": assignment.step.value,
        "moment_ids": [moment.moment_id for moment in item.moments],
        "expires_at": lead.expires_at_ms,
        "message": message.SerializeToString(deterministic=True).hex(),
    }


def _left(item: Draft, unassigned: Unassigned) -> dict[str, Any]:
    return {
        "reason": unassigned.reason.value,
        "waits_until": unassigned.waits_until_ms,
        "detail": ",".join(f"{why.value}:{count}" for why, count in unassigned.refusals),
        "moment_ids": [moment.moment_id for moment in item.moments],
    }
