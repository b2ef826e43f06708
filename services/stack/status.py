"""`kairos status`: the stack at a glance, from var/endpoints.json and the metrics of every process."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from services.stack.endpoints import Endpoints

PROBE_SECONDS = 2.0
PLAIN_WIDTH = 200  # where nobody can widen the window
ANSWER_BYTES = 8 * 1024 * 1024
CUSTOMER_ZONE = ZoneInfo("Asia/Shanghai")  # quiet hours and rules follow the customers' calendar

Samples = Mapping[str, list[tuple[Mapping[str, str], float]]]


@dataclass(frozen=True)
class ProcessStatus:
    """One process: state as the supervisor sees it, fault in one line when it is not ready."""

    name: str
    state: str
    pid: int | None
    restarts: int
    last_exit: int | None
    fault: str
    log: str


@dataclass(frozen=True, kw_only=True)
class Status:
    """The whole stack. None = not known, because the process that would say so does not answer."""

    is_well: bool
    ready: bool
    clock: str | None
    processes: list[ProcessStatus]
    events_accepted: int | None
    events_rejected: int | None
    detector_lag_records: int | None
    detector_delay_seconds: float | None
    detector_sweep_customers: int | None
    moments: int | None
    router_lag_records: int | None
    backlog_tasks: dict[str, int] | None
    open_offers: int | None
    tasks: dict[str, int] | None
    managers: dict[str, int] | None
    outbox_rows: int | None
    dead_letters: dict[str, int]


def collect(endpoints: Endpoints, *, is_supervised: bool) -> Status:
    """Ask every process at once; at most PROBE_SECONDS each. is_supervised: the supervisor is alive."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        pages = dict(zip(endpoints.metrics, pool.map(_metrics, endpoints.metrics.values()), strict=True))
        readiness = dict(zip(endpoints.metrics, pool.map(_readiness, endpoints.metrics.values()), strict=True))
    processes = [_process(name, described, readiness.get(name)) for name, described in endpoints.processes.items()]
    return summarise(
        pages,
        processes=processes,
        ready=endpoints.ready and is_supervised,
        now_ms=next((found["now_ms"] for found in readiness.values() if found and "now_ms" in found), None),
    )


def summarise(
    pages: Mapping[str, Samples | None], *, processes: list[ProcessStatus], ready: bool, now_ms: int | None
) -> Status:
    """The status from the samples of each service; pure."""
    ingest, detector, router, workbench = (pages.get(name) for name in ("ingest", "detector", "router", "workbench"))
    well = ready and all(each.state in ("up", "finished") and not each.fault for each in processes)
    return Status(
        is_well=well,
        ready=ready,
        clock=None if now_ms is None else _local_time(now_ms),
        processes=processes,
        events_accepted=_whole(_sum(ingest, "kairos_ingest_events_total", outcome="accepted")),
        events_rejected=_whole(_sum(ingest, "kairos_ingest_events_total", outcome="rejected")),
        detector_lag_records=_whole(_sum(detector, "kairos_detector_lag_records")),
        detector_delay_seconds=_most(detector, "kairos_detector_event_time_delay_seconds"),
        detector_sweep_customers=_whole(_sum(detector, "kairos_detector_sweep_customers")),
        moments=_whole(_sum(detector, "kairos_detector_moments_total")),
        router_lag_records=_whole(_sum(router, "kairos_router_lag_records")),
        backlog_tasks=_by(router, "kairos_router_backlog_tasks", "city"),
        open_offers=_whole(_sum(workbench, "kairos_workbench_open_offers")),
        tasks=_by(workbench, "kairos_workbench_tasks", "state"),
        managers=_by(workbench, "kairos_workbench_managers", "presence"),
        outbox_rows=_whole(_sum(workbench, "kairos_workbench_outbox_rows")),
        dead_letters={
            name: count
            for name, page in pages.items()
            if (count := _whole(_sum(page, f"kairos_{name}_dead_letters_total"))) is not None
        },
    )


def render(status: Status, *, clear: bool = False) -> None:
    """Print it for a person; clear: on a screen wiped first."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    if clear:
        console.clear()
    table = Table(box=None, pad_edge=False)
    for heading in ("process", "state", "pid", "restarts", "says"):
        table.add_column(heading, justify="right" if heading in ("pid", "restarts") else "left")
    for each in status.processes:
        colour = "red" if each.fault or each.state in ("waiting", "starting") else "green"
        says = each.fault or (f"last ended with {each.last_exit}" if each.restarts else "")
        table.add_row(each.name, f"[{colour}]{each.state}[/]", str(each.pid or "-"), str(each.restarts), says)
    console.print(table)
    console.print()
    for heading, text in _lines(status):
        console.print(f"{heading:<16}{text}")
    if any(status.dead_letters.values()):
        console.print(f"[yellow]dead letters    {_listed(status.dead_letters)}[/]")
    if not status.ready:
        console.print("[red]not ready: starting, stopping, or the supervisor is gone; see `kairos doctor`[/]")


def _lines(status: Status) -> Iterable[tuple[str, str]]:
    delay = "?" if status.detector_delay_seconds is None else f"{status.detector_delay_seconds:.1f} s"
    yield "business clock", status.clock or "not known"
    yield "events", f"{_shown(status.events_accepted)} accepted, {_shown(status.events_rejected)} rejected"
    yield "detector", f"lag {_shown(status.detector_lag_records)}, event-time delay {delay}"
    yield "moments", _shown(status.moments)
    yield "router", f"lag {_shown(status.router_lag_records)}, backlog {_listed(status.backlog_tasks)}"
    yield "workbench", f"open offers {_shown(status.open_offers)}, outbox {_shown(status.outbox_rows)}"
    yield "tasks", _listed(status.tasks)
    yield "managers", _listed(status.managers)


def _process(name: str, described: Mapping[str, Any], readiness: Mapping[str, Any] | None) -> ProcessStatus:
    fault = ""
    if readiness is not None and described["state"] != "finished":
        fault = "; ".join(f"{check}: {reason}" for check, reason in readiness.get("faults", {}).items())
    return ProcessStatus(
        name,
        described["state"],
        described["pid"],
        described["restarts"],
        described["last_exit"],
        fault,
        described["log"],
    )


def _metrics(url: str) -> Samples | None:
    body = _get(url)
    if body is None:
        return None
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(body.decode("utf-8")):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def _readiness(url: str) -> Mapping[str, Any]:
    body = _get(url.removesuffix("/metrics") + "/readyz")
    if body is None:
        return {"faults": {"readyz": "does not answer"}}
    try:
        found: Mapping[str, Any] = json.loads(body)
    except ValueError:
        return {"faults": {"readyz": "answers with something else"}}
    return found


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as answer:  # noqa: S310  # our own http addresses
            body: bytes = answer.read(ANSWER_BYTES)
            return body
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.read(ANSWER_BYTES)
    except OSError:
        return None


def _matching(samples: Samples, name: str, labels: Mapping[str, str]) -> Iterable[float]:
    for found, value in samples.get(name, []):
        if all(found.get(key) == wanted for key, wanted in labels.items()):
            yield value


def _sum(samples: Samples | None, name: str, **labels: str) -> float | None:
    return None if samples is None else sum(_matching(samples, name, labels))


def _most(samples: Samples | None, name: str) -> float | None:
    return None if samples is None else max(_matching(samples, name, {}), default=None)


def _by(samples: Samples | None, name: str, label: str) -> dict[str, int] | None:
    if samples is None:
        return None
    return {labels.get(label, ""): int(value) for labels, value in samples.get(name, []) if value}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _local_time(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, CUSTOMER_ZONE).isoformat(sep=" ", timespec="seconds")


def _shown(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _listed(counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return "?"
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "0"
