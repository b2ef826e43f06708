"""The supervisor from outside, with real servers and dummy services: deaths, restarts, leftovers, stops."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.stack.addresses import SERVICES, USUAL_PORTS, choose_addresses
from services.transport.kafka_admin import KafkaAdmin
from tests.servers import VAR, make_kafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[3]
DUMMY_STACK = Path(__file__).with_name("dummy_stack.py")
NAMES = {"kafka", "postgres", "ingest", "detector", "workbench", "router"}


class Stack:
    """One supervisor process over one folder."""

    def __init__(self, var: Path, *words: str) -> None:
        self.var = var
        self.output = var.parent / f"{var.name}.out"
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(DUMMY_STACK), str(var), *words],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
            )

    def wait_until_ready(self) -> dict[str, Any]:
        wait_until(lambda: self.is_ready() or self.process.poll() is not None, seconds=90)
        assert self.process.poll() is None, self.output.read_text()
        return self.endpoints()

    def is_ready(self) -> bool:
        endpoints = self.endpoints()
        return endpoints.get("supervisor_pid") == self.process.pid and bool(endpoints["ready"])

    def endpoints(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.var / "endpoints.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def processes(self) -> list[psutil.Process]:
        """Supervisor, guards, and all below them."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def var(tmp_path: Path) -> Path:
    return make_var(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for the tests that leave it running."""
    with stack_on(make_var(tmp_path_factory.mktemp("shared"))) as stack:
        stack.wait_until_ready()
        yield stack


def make_var(base: Path) -> Path:
    """An empty folder with the jars that were fetched before."""
    make_kafka(base / "probe")  # fetches the jars, or skips
    folder = base / "var"
    folder.mkdir()
    for jars in VAR.resolve().glob("kafka-*"):
        (folder / jars.name).symlink_to(jars)
    return folder


@contextlib.contextmanager
def stack_on(var: Path, *words: str) -> Iterator[Stack]:
    stack = Stack(var, *words)
    try:
        yield stack
    finally:
        everything = stack.processes() if stack.process.poll() is None else []
        if stack.process.poll() is None:
            stack.stop()
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.mark.parametrize("name", ["detector", "kafka", "postgres"])
def test_killed_process_is_started_again(shared: Stack, name: str) -> None:
    before = shared.endpoints()["pids"][name]

    os.kill(before, signal.SIGKILL)

    wait_until(lambda: shared.endpoints()["processes"][name]["restarts"] == 1, seconds=20)
    wait_until(lambda: shared.endpoints()["processes"][name]["state"] == "up", seconds=60)
    assert shared.endpoints()["pids"][name] != before
    assert shared.endpoints()["processes"][name]["last_exit"] == -signal.SIGKILL


def test_killed_guard_takes_its_process_along(shared: Stack) -> None:
    pid = shared.endpoints()["pids"]["router"]
    guard = psutil.Process(pid).parent()
    assert guard is not None

    guard.kill()

    wait_until(lambda: not psutil.pid_exists(pid), seconds=10)
    wait_until(lambda: shared.endpoints()["processes"]["router"]["restarts"] == 1, seconds=20)


def test_second_start_refuses_and_names_the_first(shared: Stack) -> None:
    second = run([sys.executable, str(DUMMY_STACK), str(shared.var)])
    assert second.returncode == 1
    assert f"running already, supervisor pid {shared.process.pid}" in second.stderr
    assert shared.process.poll() is None
    assert shared.endpoints()["ready"]


def test_status_shows_every_process(shared: Stack) -> None:
    wait_until(lambda: kairos("status", "--json", "--var", str(shared.var)).returncode == 0, seconds=30)
    found = json.loads(kairos("status", "--json", "--var", str(shared.var)).stdout)
    assert {each["name"] for each in found["processes"]} == NAMES
    assert found["is_well"]
    table = kairos("status", "--var", str(shared.var)).stdout
    assert all(name in table for name in NAMES)


def test_doctor_looks_at_the_machine_and_at_the_stack(shared: Stack) -> None:
    found = json.loads(kairos("doctor", "--json", "--var", str(shared.var)).stdout)
    good = {each["what"]: each["is_good"] for each in found}
    for what in ("python", "java", "kafka jars", "stack", "topics", *SERVICES):
        assert good[what], found
    assert not good["router schema"], "the dummies migrate nothing, and the doctor says so"
    assert all(each["advice"] for each in found if not each["is_good"])


def test_topics_are_listed_and_differences_fail(shared: Stack) -> None:
    listed = kairos("topics", "--json", "--var", str(shared.var))
    assert listed.returncode == 0
    assert {"kairos.events.v1", "kairos.moments.v1"} <= {row["topic"] for row in json.loads(listed.stdout)["topics"]}

    with KafkaAdmin(shared.endpoints()["kafka"]) as admin:
        admin.delete_topics(["kairos.moments-bulk.v1"])
    differing = kairos("topics", "--var", str(shared.var))
    assert differing.returncode == 1
    assert "differs: kairos.moments-bulk.v1: topic is missing" in differing.stderr
    assert kairos("topics", "--create", "--var", str(shared.var)).returncode == 0


def test_down_stops_everything_and_then_finds_nothing(shared: Stack) -> None:
    """The last test that uses the shared stack."""
    everything = shared.processes()
    assert kairos("down", "--var", str(shared.var)).returncode == 0
    assert shared.process.wait(5) == 0
    assert not running(everything)
    assert "nothing is running here" in kairos("down", "--var", str(shared.var)).stderr
    assert kairos("status", "--var", str(shared.var)).returncode == 1


def test_up_is_ready_with_every_process_and_ctrl_c_leaves_nothing(var: Path) -> None:
    with stack_on(var) as stack:
        endpoints = stack.wait_until_ready()
        everything = stack.processes()
        assert set(endpoints["pids"]) == NAMES
        assert all(psutil.pid_exists(pid) for pid in endpoints["pids"].values())
        assert (var / "endpoints.json").stat().st_mode & 0o077 == 0
        assert (var / "secrets" / "token_signing_key").stat().st_mode & 0o077 == 0

        assert stack.stop() == 0

        assert not running(everything)
        assert not (var / "endpoints.json").exists()
        assert "all is ready" in stack.output.read_text()


def test_killed_supervisor_leaves_no_orphan_and_the_next_start_is_fine(var: Path) -> None:
    with stack_on(var, "deaf") as stack:  # the services ignore SIGTERM: their guards must insist
        stack.wait_until_ready()
        everything = stack.processes()

        os.kill(stack.process.pid, signal.SIGKILL)
        stack.process.wait(5)

        with stack_on(var) as again:
            again.wait_until_ready()
            assert not running(everything)
            assert again.stop() == 0
            assert "waited for what an earlier stack had left" in again.output.read_text()


def test_everything_killed_at_once_starts_again(var: Path) -> None:
    with stack_on(var) as stack:
        stack.wait_until_ready()
        for process in stack.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        stack.process.wait(5)

    with stack_on(var) as again:
        again.wait_until_ready()
        assert again.stop() == 0


def test_service_that_never_starts_ends_the_stack_and_shows_its_log(var: Path) -> None:
    with stack_on(var, "broken") as stack:
        assert stack.process.wait(90) == 1
        output = stack.output.read_text()
        assert "ended 3 times, last with 3" in output
        assert "this service is broken on purpose" in output


def test_taken_usual_port_is_replaced_by_a_free_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        with contextlib.suppress(OSError):  # somebody else has it: as good
            taken.bind(("127.0.0.1", USUAL_PORTS["ingest_http"]))
            taken.listen()
        chosen = choose_addresses()
    assert "ingest_http" in chosen.moved
    assert len(set(chosen.ports.values())) == len(chosen.ports)


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def kairos(*words: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "services.cli.main", *words])


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
