"""The smoke run as a test, with every process killed in mid-stream. Imports nothing of services/."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, home, kairos

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(420)]

SMOKE_SECONDS = 400
KEYS = {
    "accepted",
    "rejected",
    "dead_lettered",
    "moments",
    "cards",
    "ledger",
    "offers",
    "completions",
    "event_to_poll_ms",
    "checks",
    "seconds",
}
CHECKS = {
    "accepted_in_log",
    "planted_found",
    "nothing_else_found",
    "every_moment_has_one_row",
    "capacity_respected",
    "suspended_untouched",
    "quiet_hours_respected",
    "rejects_explained",
}
SERVERS = ("ingest", "detector", "router", "workbench", "kafka", "postgres")


def smoke(folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run `kairos smoke --json --scale small`; exit code, JSON line, everything it said."""
    if shutil.which("java") is None and not os.environ.get("KAIROS_REQUIRE_SERVERS"):
        pytest.skip("Java is missing")
    command = kairos("smoke", "--json", "--scale", "small", "--var", str(folder / "var"), *options)
    env = {**os.environ, "KAIROS_VAR_DIR": str(home())}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SMOKE_SECONDS, check=False
    )
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, f"stdout has {len(lines)} lines\n{done.stderr[-4_000:]}"
    line: dict[str, Any] = json.loads(lines[0])
    return done.returncode, line, done.stderr


def test_all_checks_hold_although_every_process_is_killed_in_mid_stream(tmp_path: Path) -> None:
    """The run without kills is `make smoke`; this one has everything that it has, and the kills."""
    code, line, said = smoke(tmp_path, "--seed", "2", "--kill", "all")

    assert [name for name in SERVERS if f"kill -9 {name} " not in said] == []
    assert set(line) == KEYS
    assert line["checks"].keys() >= CHECKS
    assert {name for name, holds in line["checks"].items() if not holds} == set(), said[-4_000:]
    assert code == 0
    assert line["moments"].keys() >= {"AN1", "AN4", "AN7", "FT2", "NS2", "SP1"}
    assert line["completions"] > 0
    assert line["event_to_poll_ms"]["p50"] is not None
