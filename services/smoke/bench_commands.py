"""`kairos bench`: runs the programs of benchmarks/, keeps their JSON in var/bench/, renders docs/benchmarks.md."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from services.smoke.bench_page import render_page
from services.smoke.stack_process import StackFailed, StackProcess

app = typer.Typer(help="Measure the figures of docs/benchmarks.md. 性能测量。", add_completion=False)

BENCH_SECONDS = 1_500.0
CLOCK_START = "2026-09-07T09:50:00+08:00"
PAGE = Path("docs/benchmarks.md")
PICTURES = Path("docs/pictures")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One program. needs_stack: a fresh stack is started for it, and stopped after it. in_all: runs with all."""

    name: str
    module: str
    about: str
    needs_stack: bool
    args: tuple[str, ...] = ("--json",)
    knows_quick: bool = False
    in_all: bool = True
    notes: str = ""


PEERS_NOTES = """One core per engine, one engine at a time, the same topic. `kairos` runs all shipped rules; all
others run the same two over 35 daily buckets, and must find the same (`findings that differ`). Steady: from a third of
the events to the last; `events` are those in between. `kafka_streams_rocksdb` and `faust_table` are given fewer: at
their rates all of them would take hours. The two rules of `kairos_rings` sum 35 days at every event, which the shipped
ones do on Mondays: they cost more than all of those. What is compared and how it is tuned:
`docs/decisions/0083-peers-in-the-benchmark.md`.
"""

ENGINE_NOTES = """Bytes of a fetch to moments, on one core. `a day`: 92 % usage, 8 % balances, more complaints than a
province has; `crisis`: 25 times as many, one event in 200 makes a moment.
"""
GROWTH_NOTES = """All shipped rules with the gate of the customer record open, so that millions of customers need none;
usage events alone. `100 rules` are the shipped ones again under other names. Memory is the slope of the resident set.
`two workers`: each has half of the partitions from the start, so no rebalance is in the figure; broker and bench share
a core with the second.
"""
LIVE_NOTES = """Latency: from the broker's acknowledgement of a low balance to the arrival of its moment at a reader,
among 20,000 usage events/s, all shipped rules, turns every ten seconds. `sweep`: all daily rules fall due for every
customer at once, while the stream goes on; `sweep_alone`: those of a Monday, and nothing else. Recovery: kill -9 to the
first new moment.
"""
BACKTEST_NOTES = """Stored events to moments on disk: a city's hours from a Monday's midnight on, all shipped rules.
Rates are per second of CPU. `steady`: from a third of the records to the last, as in an archive that is long; the whole
has the compiling of the rules and a record of every customer in it. Lines are checked as ingest checks them.
"""
FLOODS_NOTES = """An event of each customer, then the measured ones, without and with each fault; every log is run
several times in turn, figures are medians. `slowdown`: CPU per good event against the same events without the fault;
`noise`: how far the runs are apart, as a share of the median. No turn is written meanwhile: a longer log would have
more of one. A jump of a day owes that day's sweeps of all customers at once, as any day does (`detector-live` has their
cost), so it is compared with the same day passing by the hour. `counted` is what the detector's metrics say about it.
"""

BENCHES = {
    bench.name: bench
    for bench in (
        Bench(
            name="engine",
            module="benchmarks.engine_alone",
            about="the engine in process",
            needs_stack=False,
            args=(),
            notes=ENGINE_NOTES,
        ),
        Bench(
            name="detector",
            module="benchmarks.detector_peers",
            about="Kafka to acknowledged moments, beside its peers",
            needs_stack=False,
            knows_quick=True,
            notes=PEERS_NOTES,
        ),
        Bench(
            name="detector-growth",
            module="benchmarks.detector_growth",
            about="the detector with more customers, rules, events and workers",
            needs_stack=False,
            knows_quick=True,
            in_all=False,
            notes=GROWTH_NOTES,
        ),
        Bench(
            name="detector-live",
            module="benchmarks.detector_live",
            about="latency, daily sweep and recovery under 20,000 events/s",
            needs_stack=False,
            knows_quick=True,
            in_all=False,
            notes=LIVE_NOTES,
        ),
        Bench(
            name="detector-floods",
            module="benchmarks.detector_floods",
            about="the detector under poison and floods",
            needs_stack=False,
            knows_quick=True,
            in_all=False,
            notes=FLOODS_NOTES,
        ),
        Bench(
            name="backtest",
            module="benchmarks.backtest_stored",
            about="stored events to moments",
            needs_stack=False,
            args=(),
            knows_quick=True,
            notes=BACKTEST_NOTES,
        ),
        Bench(name="ingest", module="benchmarks.ingest_doors", about="each door of ingest", needs_stack=True),
        Bench(name="latency", module="benchmarks.event_to_poll", about="event to waiting poll", needs_stack=True),
    )
}


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(BENCHES)}; all by default.")] = "all",
    page: Annotated[bool, typer.Option(help="Render docs/benchmarks.md from the results.")] = True,
    quick: Annotated[bool, typer.Option(help="Fewer events where the program can: rough figures, not kept.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Only the JSON line on stdout.")] = False,
) -> None:
    """Run one or all benchmarks; the last line is one JSON object: the figures, by benchmark when all are run.

    Other options go to the program, as in `kairos bench detector --engines kairos,flink`; what it measures then
    replaces only its own rows of the kept result.

    逐项测量，结果写入 var/bench/，并更新 docs/benchmarks.md。其余选项原样交给测量程序。
    """
    if name != "all" and name not in BENCHES:
        raise typer.BadParameter(f"want all or one of {', '.join(BENCHES)}")
    home = Path(os.environ.get("KAIROS_VAR_DIR", "var"))
    chosen = [each for each in BENCHES.values() if each.in_all] if name == "all" else [BENCHES[name]]
    measured: dict[str, Any] = {}
    for each in chosen:
        print(f"bench {each.name}: {each.about} ...", file=sys.stderr, flush=True)
        shown, figures = asyncio.run(run_bench(each, home, extra=extra_of(each, context.args, quick=quick))) or (
            "",
            None,
        )
        measured[each.name] = figures
        if figures is None:
            continue
        if not quick:
            keep_result(home / "bench", each, figures, is_part=bool(context.args))
        if not as_json:
            print(shown or f"{each.name}: {json.dumps(figures)}")
    if page and not quick and PAGE.parent.is_dir():
        subprocess.run([sys.executable, "-m", "benchmarks.plots", str(home / "bench"), str(PICTURES)], check=False)
        PAGE.write_text(render_page(read_results(home / "bench"), plots=plots_of(PICTURES)), encoding="utf-8")
    print(json.dumps(measured if name == "all" else measured[name]))
    raise typer.Exit(1 if None in measured.values() else 0)


def extra_of(each: Bench, given: Sequence[str], *, quick: bool) -> list[str]:
    """What the program is told beside its own arguments."""
    return [*(["--quick"] if quick and each.knows_quick else []), *given]


async def run_bench(each: Bench, home: Path, *, extra: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """Run one program, with a stack of its own when it needs one; None when it failed."""
    if not each.needs_stack:
        return await asyncio.to_thread(run_program, each, home, extra=extra)
    stack = StackProcess(home / "bench-run", start=CLOCK_START, jars_dir=home)
    try:
        await stack.open(lambda line: print(f"bench: {line}", file=sys.stderr))
        return await asyncio.to_thread(run_program, each, stack.var_dir, extra=extra)
    except StackFailed as exc:
        print(f"kairos bench: {exc}", file=sys.stderr)
        return None
    finally:
        await asyncio.to_thread(stack.close)


def run_program(each: Bench, var_dir: Path, *, extra: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """Run the program; returns what it printed, and the figures of its last line."""
    env = {**os.environ, "KAIROS_VAR_DIR": str(var_dir)}
    command = [sys.executable, "-m", each.module, *each.args, *extra]
    try:
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=BENCH_SECONDS, check=False)
        *shown, last = done.stdout.strip().splitlines()
        figures: dict[str, Any] = json.loads(last)
    except (subprocess.TimeoutExpired, ValueError) as exc:
        print(f"kairos bench: {each.name}: {type(exc).__name__}", file=sys.stderr)
        return None
    return ("\n".join(shown), figures) if done.returncode == 0 else None


def keep_result(folder: Path, each: Bench, figures: dict[str, Any], *, is_part: bool = False) -> None:
    """Write one result beside what it was measured on. is_part: the other rows of the last result stay."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_part and (folder / f"{each.name}.json").exists():
        before = json.loads((folder / f"{each.name}.json").read_text(encoding="utf-8"))["figures"]
        figures = {**before, **figures}
    result = {
        "name": each.name,
        "about": each.about,
        "command": f"kairos bench {each.name}",
        "measured_at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "notes": each.notes,
        "figures": figures,
    }
    (folder / f"{each.name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """The newest result of every benchmark that has one."""
    found = {}
    for name in BENCHES:
        path = folder / f"{name}.json"
        if path.exists():
            found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def plots_of(folder: Path) -> dict[str, list[str]]:
    """The plots of each benchmark, as the page names them: benchmarks.plots writes bench_<name>.svg."""
    names = {name: folder / f"bench_{name.replace('-', '_')}.svg" for name in BENCHES}
    return {name: [f"{folder.name}/{path.name}"] for name, path in names.items() if path.exists()}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": processor_name(),
        "python": platform.python_version(),
        "revision": revision(),
    }


def revision() -> str:
    """The commit of this checkout, with + when it was changed since; empty outside of one."""
    try:
        command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def processor_name() -> str:
    """The processor by its own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
