"""`kairos smoke`: the whole path once, from nothing; the last line is one JSON object; exit 0 only when all holds."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from services.smoke.report import EVENTS_LEAST, Verdict, judge
from services.smoke.scenario import Scenario, SmokeOptions, kill_names, plan_for
from services.smoke.stack_process import StackFailed, StackProcess

app = typer.Typer(
    help="Prove the whole path, from nothing. 全链路验证。", add_completion=False, pretty_exceptions_enable=False
)

SCALES = {"small": 450, "full": 1_700}
CALLS = {"small": 3, "full": 10}
SHOWN_VIOLATIONS = 12


@app.callback(invoke_without_command=True)
def smoke(
    as_json: Annotated[bool, typer.Option("--json", help="Only the JSON line on stdout; progress on stderr.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up and its data in place.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same events.")] = 1,
    scale: Annotated[str, typer.Option(help="full (at least 50,000 events) or small.")] = "full",
    kill: Annotated[
        list[str] | None, typer.Option(help="kill -9 this process in mid-stream; repeatable, or all.")
    ] = None,
    var: Annotated[Path | None, typer.Option(help="Own folder of the run; default var/smoke-run.")] = None,
) -> None:
    """Start a stack, send events through all doors for a simulated week, let managers work, check, stop.

    启动整套环境，经三个入口发送一周的事件，坐席处理任务，逐项核对，然后停止。
    """
    if scale not in SCALES:
        raise typer.BadParameter(f"want one of {', '.join(SCALES)}", param_hint="--scale")
    try:
        kills = kill_names(kill or [])
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--kill") from None
    home = Path(os.environ.get("KAIROS_VAR_DIR", "var"))
    options = SmokeOptions(
        var_dir=(var or home / "smoke-run").resolve(),
        jars_dir=home,
        seed=seed,
        customers=SCALES[scale],
        calls_per_session=CALLS[scale],
        kills=kills,
        keep=keep,
    )
    verdict = asyncio.run(run_smoke(options, events_least=EVENTS_LEAST if scale == "full" else 0))
    if verdict is None:
        raise typer.Exit(2)
    show(verdict, as_json=as_json)
    raise typer.Exit(0 if verdict.holds else 1)


async def run_smoke(options: SmokeOptions, *, events_least: int) -> Verdict | None:
    """Run everything; None when the stack did not even start."""
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"smoke {time.monotonic() - began:6.1f} s  {line}", file=sys.stderr, flush=True)

    plan = plan_for(options)
    start = f"{plan.span.first_day.isoformat()}T09:50:00+08:00"
    stack = StackProcess(options.var_dir, start=start, jars_dir=options.jars_dir)
    try:
        endpoints = await stack.open(tell)
        record = await Scenario(options, stack, plan, tell).run(endpoints)
        tell("gathering evidence")
        verdict = await asyncio.to_thread(
            judge,
            record,
            log_dir=options.var_dir / "log",
            seconds=time.monotonic() - began,
            events_least=events_least,
        )
        record.watcher.close()
        return verdict
    except StackFailed as exc:
        print(f"kairos smoke: {exc}", file=sys.stderr)
        return None
    finally:
        if options.keep:
            tell(f"the stack stays up: kairos status --var {options.var_dir}; kairos down --var {options.var_dir}")
        else:
            await asyncio.to_thread(stack.close)


def show(verdict: Verdict, *, as_json: bool) -> None:
    """Print what was violated, and the JSON line last."""
    out = sys.stderr if as_json else sys.stdout
    for name, found in verdict.violations.items():
        print(f"violated: {name} ({len(found)})", file=out)
        for violation in found[:SHOWN_VIOLATIONS]:
            print(f"    {violation}", file=out)
    print(json.dumps(verdict.line, ensure_ascii=False), flush=True)
