"""Writes a plan as files: history for the file door in three formats, live events, customers, roster, truth."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from services.simulator import local_time
from services.simulator.events import Event
from services.simulator.plan import Plan
from services.simulator.truth import write_truth

ACCEPTED_AFTER_MS = 5_000
"""How long after the begin of its session an event is accepted: what is late in the plan is late in the files."""
# The format in which each kind of history is written; the file door reads all three.
FORMATS = {"usage": "parquet", "balance": "csv", "bill": "csv", "service-order": "csv"}


def write_history(folder: Path, events: Iterable[Event]) -> dict[str, tuple[Path, int]]:
    """Write one file per kind; returns kind → (path, number of events)."""
    folder.mkdir(parents=True, exist_ok=True)
    by_kind: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_kind[event.kind].append(event)
    return {kind: (write_kind(folder, kind, found), len(found)) for kind, found in sorted(by_kind.items())}


def write_kind(folder: Path, kind: str, events: Sequence[Event]) -> Path:
    """Write the events of one kind in the format of that kind, oldest first."""
    ordered = sorted(events, key=lambda event: (event.occurred_at_ms, event.identity))
    extension = FORMATS.get(kind, "ndjson")
    path = folder / f"{kind}.{extension}"
    if extension == "ndjson":
        write_ndjson(path, (event.body for event in ordered))
        return path
    frame = pl.DataFrame([event.body for event in ordered], infer_schema_length=None)
    if extension == "parquet":
        frame.write_parquet(path)
    else:
        texts = pl.Series("occurred_at", [local_time.rfc3339(event.occurred_at_ms) for event in ordered])
        frame.with_columns(texts).write_csv(path)
    return path


def write_ndjson(path: Path, rows: Iterable[object]) -> None:
    """One JSON value per line."""
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_plan(folder: Path, plan: Plan) -> dict[str, int]:
    """Write everything: for backtests, for looking at, for loading elsewhere; returns counts by name."""
    folder.mkdir(parents=True, exist_ok=True)
    history = write_history(folder / "history", plan.history())
    live = [
        {"kind": event.kind, "ingested_at": session.at_ms + ACCEPTED_AFTER_MS, **event.body}
        for session in plan.span.sessions()
        for event in ordered_live(plan, session.at_ms)
    ]
    write_ndjson(folder / "live.ndjson", live)
    write_ndjson(folder / "managers.ndjson", (asdict(manager) for manager in plan.province.managers))
    return {
        "history": sum(count for _, count in history.values()),
        "live": len(live),
        "customers": len(plan.people),
        "managers": len(plan.province.managers),
        "truth": write_truth(folder / "truth.ndjson", plan.truth),
    }


def ordered_live(plan: Plan, at_ms: int) -> list[Event]:
    """The events of one session in the order in which a run sends them."""
    session = next(session for session in plan.span.sessions() if session.at_ms == at_ms)
    parts = plan.session(session)
    return [*parts.background, *parts.planted, *parts.calls]
