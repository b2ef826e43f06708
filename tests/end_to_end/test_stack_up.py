"""`kairos up` with the real services, as a person uses it: detached start, first event, kills, status, stop."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
JARS = Path(os.environ.get("KAIROS_VAR_DIR", ROOT / "var")).resolve()
SERVICES = ("ingest", "detector", "workbench", "router")


class Running:
    """A detached stack, what it printed, and its addresses."""

    def __init__(self, var: Path, printed: str) -> None:
        self.var = var
        self.printed = printed

    def endpoints(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.var / "endpoints.json").read_text())
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(kairos("status", "--json", var=self.var).stdout)
        return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    var = tmp_path_factory.mktemp("up") / "var"
    var.mkdir()
    for jars in JARS.glob("kafka-*"):
        (var / jars.name).symlink_to(jars)
    up = kairos("up", "--detach", "--free-ports", var=var)
    assert up.returncode == 0, up.stdout + up.stderr
    yield Running(var, up.stdout + up.stderr)
    kairos("down", var=var)


def test_everything_is_well_after_up(stack: Running) -> None:
    wait_until(lambda: stack.status()["is_well"], seconds=30)
    doctor = kairos("doctor", var=stack.var)
    assert doctor.returncode == 0, doctor.stderr


def test_the_printed_command_sends_the_first_event(stack: Running) -> None:
    command = next(line for line in stack.printed.splitlines() if line.strip().startswith("curl "))
    answer = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=30)
    assert '"accepted"' in answer.stdout, answer.stdout + answer.stderr
    wait_until(lambda: stack.status()["events_accepted"] == 1, seconds=20)
    wait_until(lambda: stack.status()["detector_lag_records"] == 0, seconds=30)


@pytest.mark.parametrize("name", SERVICES)
def test_promtool_finds_nothing_wrong_with_the_metrics(stack: Running, name: str) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "make test-tools fetches promtool"
    with urllib.request.urlopen(stack.endpoints()["metrics"][name], timeout=10) as answer:
        page = answer.read()
    assert f"kairos_{name}_".encode() in page
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, timeout=30, check=False)
    own = [line for line in (checked.stdout + checked.stderr).decode().splitlines() if line.startswith("kairos_")]
    assert own == []


@pytest.mark.parametrize("name", SERVICES)
def test_killed_service_is_back_and_ready(stack: Running, name: str) -> None:
    before = stack.endpoints()["processes"][name]
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: stack.endpoints()["processes"][name]["restarts"] > before["restarts"], seconds=30)
    wait_until(lambda: stack.status()["is_well"], seconds=60)


@pytest.mark.parametrize("name", ["kafka", "postgres"])
def test_killed_server_is_back_and_so_is_everything_that_needs_it(stack: Running, name: str) -> None:
    before = stack.endpoints()["processes"][name]
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: stack.endpoints()["processes"][name]["restarts"] > before["restarts"], seconds=30)
    wait_until(lambda: stack.status()["is_well"], seconds=90)


def test_no_log_has_a_traceback_or_a_secret(stack: Running) -> None:
    secrets = [path.read_text().strip() for path in (stack.var / "secrets").iterdir()]
    secrets += [*stack.endpoints()["tokens"].values(), (stack.var / "postgres" / "password").read_text().strip()]
    for log in (stack.var / "log").glob("*.log"):
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], log.name
        if log.stem in SERVICES:
            assert not re.search(r"^Traceback", text, re.MULTILINE), log.name


def test_down_stops_everything_within_seconds(stack: Running) -> None:
    """The last test of this module."""
    pids = stack.endpoints()["pids"].values()
    begun = time.monotonic()
    assert kairos("down", var=stack.var).returncode == 0
    assert time.monotonic() - begun < 30
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert "had to be killed" not in (stack.var / "log" / "supervisor.log").read_text()


def kairos(*words: str, var: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "services.cli.main", *words, "--var", str(var)]
    environment = {**os.environ, "KAIROS_VAR_DIR": str(var), "PYTHONPATH": f"{ROOT}:{ROOT / 'schemas' / 'rpc'}"}
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)


def wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
