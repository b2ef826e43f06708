"""What the planted stories must raise, and the file that says so. Computed from the plan; knows no rule."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One moment that must be found: exactly one for each row, and none without a row."""

    customer_id: int
    rule_id: str
    # Local date, YYYY-MM-DD.
    nominal_date: str
    why: str
    # State and priority of the newest revision at the end of the run; None = not said.
    final_state: str | None = None
    final_priority: int | None = None
    # The event whose arrival raises it, for latency; None for calendar rules.
    trigger: tuple[str, str] | None = None

    @property
    def key(self) -> tuple[int, str, str]:
        """What a moment is compared by."""
        return self.customer_id, self.rule_id, self.nominal_date


def expected(
    customer_id: int,
    rule_id: str,
    day: date,
    why: str,
    *,
    final_state: str | None = None,
    final_priority: int | None = None,
    trigger: tuple[str, str] | None = None,
) -> Truth:
    """A row of the truth."""
    return Truth(
        customer_id=customer_id,
        rule_id=rule_id,
        nominal_date=day.isoformat(),
        why=why,
        final_state=final_state,
        final_priority=final_priority,
        trigger=trigger,
    )


def write_truth(path: Path, rows: Iterable[Truth]) -> int:
    """Write NDJSON, one row per line, in order of date, rule and customer; returns how many."""
    ordered = sorted(rows, key=lambda row: (row.nominal_date, row.rule_id, row.customer_id))
    with path.open("w", encoding="utf-8") as out:
        for row in ordered:
            fields = {name: value for name, value in asdict(row).items() if value is not None}
            out.write(json.dumps(fields, ensure_ascii=False) + "\n")
    return len(ordered)


def append_truth(path: Path, rows: Iterable[Truth]) -> None:
    """Add rows to a truth file of a run that has no end."""
    with path.open("a", encoding="utf-8") as out:
        for row in rows:
            fields = {name: value for name, value in asdict(row).items() if value is not None}
            out.write(json.dumps(fields, ensure_ascii=False) + "\n")
