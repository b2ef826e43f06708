"""The detector as a process under measurement: pinned to a core, looked at from outside."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Sample
from benchmarks.load import START_MS
from benchmarks.local_broker import REPOSITORY, Broker, engine_core
from services.stack.ports import free_ports

RULES = REPOSITORY / "services" / "detector" / "rules"
TURN_SECONDS = 10
NEVER_SECONDS = 3_600
_LOOK_SECONDS = 0.2


class Detector:
    """One process of the detector, and its metrics."""

    def __init__(
        self,
        broker: Broker,
        *,
        clock_ms: int = START_MS,
        instance: str = "bench",
        core: int | None = None,
        partitions: Sequence[int] = (),
        turn_seconds: int = TURN_SECONDS,
    ) -> None:
        """clock_ms: what the business clock shows at the first start. partitions: these alone, without a group."""
        self._port = free_ports(1)[0]
        self.log = broker.home / f"detector-{instance}.log"
        self._core = engine_core() if core is None else core
        self._arguments = ["--partitions", ",".join(map(str, partitions))] if partitions else []
        self._env = {
            **os.environ,
            "KAIROS_ENVIRONMENT": "test",
            "KAIROS_KAFKA_BOOTSTRAP": broker.bootstrap,
            "KAIROS_CLOCK": f"{clock_ms},1,{time.time_ns() // 1_000_000}",
            "KAIROS_DETECTOR_METRICS_PORT": str(self._port),
            "KAIROS_DETECTOR_INSTANCE_ID": instance,
            "KAIROS_DETECTOR_TURN_SECONDS": str(turn_seconds),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        command = [sys.executable, "-m", "services.cli.main", "detector", *self._arguments]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(self._core), *command], cwd=REPOSITORY, env=self._env, stdout=out, stderr=out
            )

    @property
    def running(self) -> "subprocess.Popen[bytes]":
        """The process."""
        assert self.process is not None, "start() comes first"
        return self.process

    def kill(self) -> None:
        """Kill -9."""
        self.running.kill()
        self.running.wait(10)

    def end(self) -> None:
        """Stop it as an operator would."""
        self.running.terminate()
        self.running.wait(20)

    def samples(self) -> dict[str, float]:
        """All metrics; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except (urllib.error.URLError, OSError):
            return {}
        return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def sum(self, name: str, found: dict[str, float] | None = None) -> float:
        """Sum over all labels."""
        found = self.samples() if found is None else found
        return sum(value for key, value in found.items() if key.partition("{")[0] == name)

    def is_idle(self, found: dict[str, float] | None = None) -> bool:
        """All applied, all acknowledged."""
        found = self.samples() if found is None else found
        lags = [value for key, value in found.items() if key.startswith("kairos_detector_lag_records{")]
        return bool(lags) and not any(lags) and found.get("kairos_detector_outbox_records", 1.0) == 0

    def sample(self, found: dict[str, float] | None = None) -> Sample:
        """A look at it; events: usage alone, as the peers count."""
        found = self.samples() if found is None else found
        usage = sum(v for k, v in found.items() if k.startswith("kairos_detector_events_total{") and '"usage"' in k)
        customers = int(self.sum("kairos_detector_customers", found))
        pid = self.running.pid
        return Sample(time.monotonic(), cpu_seconds(pid), int(usage), customers, rss_bytes(pid))

    def watch(self, until: Callable[[dict[str, float], Sample], bool], seconds: float) -> list[Sample]:
        """Look at it a few times a second until something holds."""
        ends, looks = time.monotonic() + seconds, []
        while True:
            found = self.samples()
            if found:
                looks.append(self.sample(found))
                if until(found, looks[-1]):
                    return looks
            self._check(ends)
            time.sleep(_LOOK_SECONDS)

    def wait(self, is_done: Callable[[], bool], seconds: float, every: float = 0.1) -> None:
        """Wait until something holds."""
        ends = time.monotonic() + seconds
        while not is_done():
            self._check(ends)
            time.sleep(every)

    def _check(self, ends: float) -> None:
        if time.monotonic() > ends or self.running.poll() is not None:
            raise SystemExit(f"detector: not done; its log ends with\n{self.log.read_text()[-3000:]}")


@contextmanager
def ended(detector: Detector) -> Iterator[Detector]:
    """The detector, which does not outlive the block."""
    try:
        yield detector
    finally:
        if detector.process is not None and detector.process.poll() is None:
            detector.kill()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """What a process holds in memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def publish_rules(broker: Broker, folder: Path | None = None) -> int:
    """Compile and publish the shipped rules, or those of a folder and no others; returns their offset."""
    where = ["--rules", str(folder), "--whole"] if folder else []
    check = [sys.executable, "-m", "services.cli.main", "rules", "check", "--compile", *where]
    subprocess.run(check, cwd=REPOSITORY, check=True, stdout=sys.stderr, timeout=900)
    command = [sys.executable, "-m", "services.cli.main", "rules", "publish", "--json"]
    command += ["--author", "bench", "--publisher", "bench2", *where]
    env = {**os.environ, "KAIROS_KAFKA_BOOTSTRAP": broker.bootstrap}
    done = subprocess.run(command, cwd=REPOSITORY, env=env, check=True, stdout=subprocess.PIPE, timeout=300)
    return int(json.loads(done.stdout.splitlines()[-1])["offset"])
