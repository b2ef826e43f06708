"""Short lives of a customer for tests of rules about usage, bills and dates; what was found, in few words."""

from datetime import date, timedelta
from typing import Any

from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set
from tests.reference.logs import run_engine, shipped_documents
from tests.reference.records import Log, local
from tests.unit.detector.engine.judged import moments_of

DAY_ONE = date(2026, 3, 2)
"""A Monday, from which on rules are in force."""


class Life(Log):
    """A log that begins with rules and a customer record."""

    def __init__(self, **profile: Any) -> None:
        super().__init__()
        self.tick(local(DAY_ONE))
        self.profile(local(DAY_ONE, 0, 1), **profile)

    def bill(self, cycle: str, total: int, *, on: date | None = None, **fields: Any) -> None:
        """A bill; its run is on the third of the next month."""
        year, month = (int(part) for part in cycle.split("-"))
        run = on or date(year + month // 12, month % 12 + 1, 3)
        self.event("bill", local(run, 8), cycle=cycle, total_fen=total, **fields)

    def use(self, day: date, service: str = "DATA", hour: int = 10, **fields: Any) -> None:
        """A usage record."""
        self.event("usage", local(day, hour), service=service, **{"quantity": 1, **fields})

    def days(self, first: date, last: date, service: str, **fields: Any) -> None:
        """The same usage on every day from first to last."""
        for n in range((last - first).days + 1):
            self.use(first + timedelta(n), service, **fields)


def found(log: Log, rule: str) -> list[tuple[str, str]]:
    """Episode and state, or how it ended, of every revision of a rule; the slow evaluator has found the same."""
    return short(moments_of(log), rule)


def short(moments: list[dict[str, Any]], rule: str) -> list[tuple[str, str]]:
    """The same of moments."""
    return [(m["episode"], m["resolution"] or m["state"]) for m in moments if m["rule_id"] == rule]


def overridden(rule: str, parameter: str, was: str, becomes: str) -> CompiledRuleSet:
    """The shipped rules with another text for a parameter: numbers are data, so nothing is compiled."""
    documents = shipped_documents()
    name = f"rules/{rule.lower()}.yaml"
    assert f"{parameter}: {{{was}" in documents[name]
    documents[name] = documents[name].replace(f"{parameter}: {{{was}", f"{parameter}: {{{becomes}")
    return compile_rule_set(documents, "test@1")


def found_by(rules: CompiledRuleSet, log: Log, rule: str) -> list[tuple[str, str]]:
    """What another rule set finds."""
    return short(run_engine(log.entries, rules=rules)[0], rule)


def evidence(moments: list[dict[str, Any]], rule: str, name: str) -> dict[str, Any]:
    """A condition of the first moment of a rule."""
    first = next(m for m in moments if m["rule_id"] == rule)
    return next(e for e in first["evidence"] if e["name"] == name)
