"""Runs `kairos rules backtest` over the topics of the run, as somebody from outside would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BACKTEST_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Backtested:
    """The lines that it wrote; or why there are none."""

    moments: list[dict[str, Any]]
    fault: str = ""


def run_backtest(bootstrap: str, *, folder: Path, var_dir: Path) -> Backtested:
    """Run the announced rules over the whole event log; `folder` takes the lines."""
    out = folder / "backtest.ndjson"
    command = [sys.executable, "-m", "services.cli.main", "rules", "backtest", "--kafka", "--bootstrap", bootstrap]
    command += ["--out", str(out), "--json"]
    environ = {**os.environ, "KAIROS_VAR_DIR": str(var_dir), "KAIROS_ENVIRONMENT": "test"}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=BACKTEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Backtested(moments=[], fault=f"not done after {BACKTEST_SECONDS:.0f} s")
    if done.returncode != 0:
        return Backtested(moments=[], fault=f"exit code {done.returncode}: {(done.stdout + done.stderr)[-600:]}")
    with out.open(encoding="utf-8") as lines:
        return Backtested(moments=[json.loads(line) for line in lines])
