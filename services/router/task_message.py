"""A card as the workbench's Task message: built once, stored with the plan, sent unchanged however often."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from kairos.workbench.v1 import task_pb2

from services.router.channel import HIGH_ARPU_FEN, LOW_ARPU_FEN
from services.router.model import CustomerView, Moment
from services.router.quiet_hours import Span

TASK_NAMESPACE = uuid.UUID("6b0f5c0e-6f7d-5a43-9a52-7c3d0e2b91aa")  # fixed for ever: ids of tasks follow from it


def task_id_of(lead_moment_id: str) -> str:
    """The id of the task that a leading moment makes, the same for every version."""
    return str(uuid.uuid5(TASK_NAMESPACE, lead_moment_id))


def build_task(
    *,
    task_id: str,
    version: int,
    view: CustomerView,
    moments: Sequence[Moment],
    contents: Mapping[str, Mapping[str, Any]],
    score: float,
    units: int,
    windows: Sequence[Span],
    manager_id: str,
    now_ms: int,
) -> task_pb2.Task:
    """The task for a manager; moments in the order of the card, the leading one first."""
    return task_pb2.Task(
        task_id=task_id,
        version=version,
        state=task_pb2.TASK_STATE_CREATED,
        customer=_customer(view),
        moments=[_card_moment(moment, contents[moment.moment_id]) for moment in moments],
        priority=min(moment.priority for moment in moments),
        score=score,
        expires_at_ms=moments[0].expires_at_ms,
        units=units,
        contact_windows=[task_pb2.ContactWindow(opens_at_ms=opens, closes_at_ms=closes) for opens, closes in windows],
        manager_id=manager_id,
        created_at_ms=now_ms,
    )


def arpu_band(arpu_fen: int | None) -> str:
    """The band by its name in the contract."""
    if arpu_fen is None:
        return "UNKNOWN"
    if arpu_fen < LOW_ARPU_FEN:
        return "BELOW_50_YUAN"
    return "ABOVE_500_YUAN" if arpu_fen > HIGH_ARPU_FEN else "FROM_50_TO_500_YUAN"


def _customer(view: CustomerView) -> task_pb2.CustomerBasics:
    return task_pb2.CustomerBasics(
        customer_id=view.customer_id,
        city=view.city,
        segment=view.segment,
        tier=view.tier,
        brand=view.brand,
        arpu_band=arpu_band(view.arpu_fen),
        phone_masked=view.phone_masked,
        language="en" if view.language == "EN" else "zh",
        owner_manager_id=view.owner_manager_id,
    )


def _card_moment(moment: Moment, content: Mapping[str, Any]) -> task_pb2.CardMoment:
    return task_pb2.CardMoment(
        moment_id=moment.moment_id,
        revision=moment.revision,
        rule_id=moment.rule_id,
        rule_version=content["rule_version"],
        moment_class=content["moment_class"],
        dimension=moment.dimension,
        group=moment.group,
        occurred_at_ms=content["occurred_at"],
        expires_at_ms=moment.expires_at_ms,
        priority=moment.priority,
        message_key=content["message_key"],
        parameters=content["parameters"],
        evidence=[task_pb2.Evidence(**item) for item in content["evidence"]],
        risk_score=moment.risk_score,
        risk_terms=[task_pb2.RiskTerm(**item) for item in content["risk_terms"]],
    )
