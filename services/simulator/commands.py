"""`kairos simulate`: a simulated city against a running stack, or written as files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from datetime import date
from pathlib import Path

import typer

from services.simulator.demo import DemoOptions, run_demo
from services.simulator.doors import file_door_environment
from services.simulator.endpoints import StackNotRunning, read_endpoints
from services.simulator.files import write_plan
from services.simulator.plan import build_plan
from services.simulator.replay import replay_call_records
from services.simulator.span import DEFAULT_FIRST_DAY, Span

app = typer.Typer(help="A simulated city: customers, history, live events, planted moments, a truth file. 模拟城市。")
SEED = typer.Option(7, help="Same seed, same city.")
CUSTOMERS = typer.Option(2_000, min=300, help="How many customers.")


def default_var_dir() -> Path:
    """Where the stack keeps its data."""
    return Path(os.environ.get("KAIROS_VAR_DIR", "var"))


@app.callback(invoke_without_command=True)
def simulate(
    context: typer.Context,
    demo: bool = typer.Option(False, "--demo", help="As started by `kairos up --demo`; the same as no option."),
    seed: int = SEED,
    customers: int = CUSTOMERS,
    rate: int = typer.Option(5, min=0, max=5_000, help="Harmless live events per second."),
    plant_every: float = typer.Option(15.0, min=1.0, help="Seconds between planted moments."),
    auto_managers: int = typer.Option(0, min=0, max=24, help="So many managers work by themselves; none of Nanjing."),
    var_dir: Path = typer.Option(None, help="The stack's data folder; var by default."),
) -> None:
    """Load roster and nine weeks of history into the running stack once, then send live events until Ctrl-C.

    电话经理名册与九周历史只载入一次，随后持续发送事件，Ctrl-C 结束。
    """
    if context.invoked_subcommand is not None:
        return
    del demo
    folder = var_dir or default_var_dir()
    try:
        endpoints = read_endpoints(folder)
    except StackNotRunning as exc:
        typer.echo(f"kairos simulate: {exc}", err=True)
        raise typer.Exit(1) from None
    options = DemoOptions(
        seed=seed,
        customers=customers,
        events_per_second=rate,
        planted_every_seconds=plant_every,
        auto_managers=auto_managers,
    )

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        work = asyncio.create_task(run_demo(options, endpoints, folder, stop, tell))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait({work}, timeout=5.0)
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=2.0)
        stopped.cancel()
        if work.done() and not work.cancelled():
            work.result()

    asyncio.run(run())


def tell(line: str) -> None:
    """One line for whoever watches."""
    print(f"simulate: {line}", flush=True)


@app.command("files")
def files(
    out: Path = typer.Option(..., help="Folder to write to."),
    seed: int = SEED,
    customers: int = CUSTOMERS,
    first_day: str = typer.Option(DEFAULT_FIRST_DAY.isoformat(), help="First live day, a Monday (YYYY-MM-DD)."),
    days: int = typer.Option(8, min=5, max=14, help="Live days."),
) -> None:
    """Write a whole city as files, without a stack: history/, live.ndjson (with `kind`), managers, truth."""
    day = date.fromisoformat(first_day)
    if day.weekday() != 0:
        raise typer.BadParameter(f"{first_day} is no Monday", param_hint="--first-day")
    plan = build_plan(seed=seed, customers=customers, span=Span(first_day=day, days=days))
    counts = write_plan(out, plan)
    typer.echo(json.dumps({"folder": str(out), **counts}))


@app.command("replay")
def replay(var_dir: Path = typer.Option(None, help="The stack's data folder; var by default.")) -> None:
    """Load the two sample files of real call records through their mapping files into the running stack."""
    folder = var_dir or default_var_dir()
    try:
        endpoints = read_endpoints(folder)
    except StackNotRunning as exc:
        typer.echo(f"kairos simulate: {exc}", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps(asyncio.run(replay_call_records(file_door_environment(endpoints, folder)))))
