"""A log judged by the engine, and by the slow evaluator, which must agree; what was found, in few words."""

from typing import Any

from tests.reference.logs import Log, compared, in_order, reference, run_engine


def moments_of(log: Log) -> list[dict[str, Any]]:
    """The engine's moments, in log order; the slow evaluator has found the same."""
    moments, _ = run_engine(log.entries)
    assert compared(moments) == in_order(reference(log.entries))
    return moments


def told(log: Log, rule_id: str) -> list[tuple[str, int]]:
    """State and priority of each revision of a rule's moments."""
    return [(m["state"], m["priority"]) for m in moments_of(log) if m["rule_id"] == rule_id]


def states(log: Log, rule_id: str) -> list[str]:
    """The states of a rule's revisions."""
    return [state for state, _ in told(log, rule_id)]


def ends(log: Log, rule_id: str) -> list[str | None]:
    """Per revision of a rule's moments: None while it is open, else how it ended."""
    return [m["resolution"] for m in moments_of(log) if m["rule_id"] == rule_id]


def observed(moment: dict[str, Any]) -> dict[str, Any]:
    """What each condition of the evidence observed."""
    return {
        each["name"]: each["observed"] if each["observed_text"] is None else each["observed_text"]
        for each in moment["evidence"]
    }


def only(log: Log, rule_id: str) -> dict[str, Any]:
    """The only revision of a rule."""
    (moment,) = [m for m in moments_of(log) if m["rule_id"] == rule_id]
    return moment
