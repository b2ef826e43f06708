"""A process under its guard: pid, output, exit, stop, kill, descendants. Real processes, no network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from services.stack.process import GuardedProcess, ProcessFailed, ProcessSpec

ROOT = Path(__file__).parents[3]
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


def spec(tmp_path: Path, program: str, **more: object) -> ProcessSpec:
    return ProcessSpec(name="it", argv=[sys.executable, "-c", program], log=tmp_path / "it.log", **more)  # type: ignore[arg-type]  # any field


def wait_until(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_output_and_exit_code_are_kept(tmp_path: Path) -> None:
    process = GuardedProcess(spec(tmp_path, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"))
    assert process.wait(10) == 7
    assert sorted(process.last_lines()) == ["err", "out"]


def test_missing_program_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="no-such-program: No such file"):
        GuardedProcess(ProcessSpec(name="it", argv=["no-such-program"], log=tmp_path / "it.log"))


def test_stop_is_polite_first(tmp_path: Path) -> None:
    polite = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); "
        "print('up', flush=True); time.sleep(60)"
    )
    process = GuardedProcess(spec(tmp_path, polite))
    wait_until(lambda: process.last_lines() == ["up"])
    assert process.stop() == 5


def test_deaf_process_is_killed_after_its_time(tmp_path: Path) -> None:
    process = GuardedProcess(spec(tmp_path, DEAF, stop_seconds=0.3))
    wait_until(lambda: process.last_lines() == ["deaf"])
    assert process.stop() == -signal.SIGKILL


def test_kill_from_outside_shows_as_its_signal(tmp_path: Path) -> None:
    process = GuardedProcess(spec(tmp_path, "import time; time.sleep(60)"))
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def test_descendants_go_with_the_process(tmp_path: Path) -> None:
    """A child that left its session is still a descendant, and the guard its reaper."""
    program = (
        "import subprocess, sys; "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); "
        "print(p.pid, flush=True)"
    )
    process = GuardedProcess(spec(tmp_path, program))
    wait_until(lambda: process.last_lines() != [])
    child = int(process.last_lines()[0])
    assert process.wait(15) == 0
    assert not psutil.pid_exists(child)


def test_log_is_bounded_and_older_ones_are_kept(tmp_path: Path) -> None:
    program = "import sys\nfor n in range(3000): print(f'{n:060d}', flush=True)"
    process = GuardedProcess(spec(tmp_path, program, log_bytes=20_000, log_keep=2))
    assert process.wait(30) == 0
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["it.log", "it.log.1", "it.log.2"]
    assert all(path.stat().st_size <= 20_000 + 65_536 for path in tmp_path.iterdir())
    assert process.last_lines(1) == [f"{2999:060d}"]


def test_killed_parent_takes_the_process_along(tmp_path: Path) -> None:
    """The parent of the guard is killed: end of file on its socket is all the guard gets."""
    program = (
        "import sys, time; from pathlib import Path; from services.stack.process import GuardedProcess, ProcessSpec; "
        f"spec = ProcessSpec(name='it', argv=[sys.executable, '-c', {DEAF!r}], stop_seconds=0.5,"
        f" log=Path({str(tmp_path / 'it.log')!r})); "
        "process = GuardedProcess(spec); print(process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_until(lambda: (tmp_path / "it.log").exists() and (tmp_path / "it.log").read_text() == "deaf\n")
        parent.kill()
    wait_until(lambda: not psutil.pid_exists(pid))
