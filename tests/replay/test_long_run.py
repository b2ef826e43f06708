"""The long run against the slow evaluator: all of it in `make soak`, a seeded slice of it always."""

import json
import os
import subprocess
import sys

import pytest

from tests.replay.long_run import run


@pytest.mark.timeout(600)
def test_a_slice_of_the_long_run_finds_no_difference() -> None:
    summary = run(events=50_000, seed=4, processes=1)
    assert summary["first_differences"] == []
    assert summary["differences"] == 0
    assert summary["revisions"] > 1000


@pytest.mark.soak
def test_a_million_events_find_no_difference_and_every_rule_fires() -> None:
    summary = run(events=1_000_000, seed=1)
    print(summary)
    assert summary["first_differences"] == []
    assert summary["differences"] == 0
    assert summary["never_raised"] == []
    assert summary["events"] >= 1_000_000


@pytest.mark.soak
def test_a_long_run_reads_and_writes_within_its_tables() -> None:
    """Kernels trust the room that was reserved for them; here each of their accesses is checked."""
    command = [sys.executable, "-m", "tests.replay.long_run", "--events", "150000", "--seed", "5"]
    checked = {**os.environ, "NUMBA_BOUNDSCHECK": "1"}
    done = subprocess.run(command, env=checked, capture_output=True, text=True, timeout=3_600, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert json.loads(done.stdout.splitlines()[-1])["differences"] == 0
