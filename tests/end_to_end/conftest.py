"""A whole stack for tests that look at it from outside, started by its own command. Imports nothing of services/."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
CLOCK = "2026-09-07T09:50:00+08:00,1"


@dataclass(frozen=True)
class RunningStack:
    """A stack that is ready; `addresses` is its var/endpoints.json."""

    var: Path
    addresses: dict[str, Any]


def kairos(*words: str) -> list[str]:
    """The command line of `kairos`, by this very interpreter."""
    return [sys.executable, "-m", "services.cli.main", *words]


def home() -> Path:
    """Where Kafka's jars are kept between runs."""
    return Path(os.environ.get("KAIROS_VAR_DIR", ROOT / "var"))


def link_jars(var: Path) -> None:
    """Use the jars that an earlier stack fetched; without any, the stack fetches its own."""
    for folder in home().glob("kafka-*"):
        (var / folder.name).symlink_to(folder.resolve())


def wait_for(condition: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """The first true value of a condition. Fails the test when none comes in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {seconds:.0f} s")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """`kairos up` on free ports in an empty folder; stopped by SIGTERM."""
    if shutil.which("java") is None:
        if os.environ.get("KAIROS_REQUIRE_SERVERS"):
            pytest.fail("Java is missing, so that Kafka cannot run")
        pytest.skip("Java is missing")
    var = tmp_path_factory.mktemp("stack") / "var"
    var.mkdir()
    link_jars(var)
    command = kairos("up", "--free-ports", "--environment", "test", "--clock", CLOCK, "--var", str(var))
    output = var.parent / "up.out"
    with output.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def ready() -> dict[str, Any] | None:
        assert process.poll() is None, output.read_text(encoding="utf-8")[-4_000:]
        path = var / "endpoints.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found if found.get("ready") else None

    try:
        yield RunningStack(var, wait_for(ready, seconds=START_SECONDS, what="the stack is ready"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
