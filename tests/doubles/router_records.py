"""Records as the router reads them from its topics: defaults for all but what a test is about."""

import uuid
from typing import Any

NOW_MS = 1_788_745_800_000  # Monday 2026-09-07 09:50 in Shanghai
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def moment(customer_id: int = 1, rule_id: str = "AN17", *, episode: str = "e1", **fields: Any) -> dict[str, Any]:
    """A moment of the service group, for a call, found just now, of use for three days."""
    at = fields.get("detected_at", NOW_MS)
    return {
        "moment_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{customer_id}/{rule_id}/{episode}")),
        "revision": 1,
        "customer_id": customer_id,
        "rule_id": rule_id,
        "rule_version": "province@1",
        "moment_class": "CHANGE",
        "dimension": "SERVICE",
        "group": "SERVICE",
        "state": "RAISED",
        "resolution": None,
        "priority": 2,
        "channel": "CALL",
        "episode": episode,
        "nominal_date": None,
        "occurred_at": at,
        "detected_at": at,
        "earliest_contact_at": None,
        "expires_at": at + 3 * DAY_MS,
        "history": False,
        "city": "NJ",
        "segment": "GO",
        "tier": "HIGH",
        "brand": "",
        "arpu_band": "FROM_50_TO_500_YUAN",
        "owner_manager_id": None,
        "deputy_manager_id": None,
        "risk_score": 40.0,
        "risk_version": "",
        "risk_terms": [{"name": "tariff", "bin": "low", "points": 40.0}],
        "evidence": [
            {
                "name": "balance_fen",
                "observed": 500.0,
                "observed_text": None,
                "baseline": None,
                "threshold": 1000.0,
                "unit": "fen",
                "layer": "PROVINCE",
            }
        ],
        "parameters": {"balance": "5.00"},
        "message_key": "an17.why",
        "supersedes": [],
        "observation_days": 7,
        **fields,
    }


def customer(customer_id: int = 1, **fields: Any) -> dict[str, Any]:
    """A customer of Nanjing without wishes."""
    return {
        "customer_id": customer_id,
        "occurred_at": NOW_MS - DAY_MS,
        "ingested_at": NOW_MS - DAY_MS,
        "event_id": f"c{customer_id}",
        "source": "crm",
        "city": "NJ",
        "segment": "GO",
        "tier": "HIGH",
        "arpu_fen": 20_000,
        **fields,
    }


def contact(customer_id: int = 1, *, event_id: str = "k1", **fields: Any) -> dict[str, Any]:
    """An outgoing call that reached the customer just now."""
    return {
        "customer_id": customer_id,
        "occurred_at": NOW_MS,
        "ingested_at": NOW_MS,
        "event_id": event_id,
        "source": "callcentre",
        "channel": "CALL",
        "direction": "OUT",
        "outcome": "REACHED",
        "dimension": "SERVICE",
        **fields,
    }


def task_event(
    task_id: str, customer_id: int, to_state: str, *, sequence: int, version: int = 1, **fields: Any
) -> dict[str, Any]:
    """A transition of a task, by the workbench."""
    at = fields.get("occurred_at", NOW_MS)
    return {
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{task_id}/{sequence}")),
        "task_id": task_id,
        "task_version": version,
        "sequence": sequence,
        "customer_id": customer_id,
        "moment_ids": [],
        "from_state": "",
        "to_state": to_state,
        "cause": "dispatched",
        "reason": "",
        "actor": "workbench",
        "manager_id": "m-NJ-01",
        "city": "NJ",
        "disposition": None,
        "dimension": "SERVICE",
        "lease_epoch": 0,
        "attempt": 0,
        "units": 20,
        "occurred_at": at,
        "recorded_at": at,
        **fields,
    }
