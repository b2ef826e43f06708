"""An ingest process under test: started as its users start it, and what it wrote to the topics."""

import asyncio
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
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import decode
from services.stack.ports import free_ports
from services.transport.kafka_admin import KafkaAdmin

EVENTS, CONTACTS = "kairos.events.v1", "kairos.contacts.v1"
DEAD_LETTERS = "kairos.dead-letters.ingest.v1"
NOW_MS = 1_788_746_400_000  # 2026-09-07 10:00 +08:00
REPOSITORY = Path(__file__).parents[2]


class Found(NamedTuple):
    """A record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


class Ingest:
    """`kairos ingest` on free ports, its clock standing near NOW_MS, and the folder of its secrets and state."""

    def __init__(self, bootstrap: str, folder: Path, *arguments: str, **settings: str) -> None:
        self.folder = folder
        self.log = folder / "ingest.log"
        self.http_port, self.grpc_port, self.metrics_port = free_ports(3)
        self._arguments = arguments
        secrets = folder / "secrets"
        secrets.mkdir(exist_ok=True)
        for name in ("phone_hash_key", "customer_hash_key"):
            (secrets / name).write_text("ab" * 32)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("KAIROS_")}
        self.env = {
            **clean,
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'schemas' / 'rpc'}",
            "KAIROS_ENVIRONMENT": "test",
            "KAIROS_KAFKA_BOOTSTRAP": bootstrap,
            "KAIROS_CLOCK": f"{NOW_MS},1,{int(time.time() * 1000)}",
            "KAIROS_SECRETS_DIR": str(secrets),
            "KAIROS_VAR_DIR": str(folder / "var"),
            "KAIROS_INGEST_HTTP_PORT": str(self.http_port),
            "KAIROS_INGEST_GRPC_PORT": str(self.grpc_port),
            "KAIROS_INGEST_METRICS_PORT": str(self.metrics_port),
            **{f"KAIROS_INGEST_{key.upper()}": value for key, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        wait_until(self.is_ready, 30, lambda: self.log.read_text()[-2000:])

    def launch(self) -> None:
        command = [sys.executable, "-m", "services.ingest", *self._arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, env=self.env, stderr=log, stdout=log)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(15)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def metrics(self) -> str:
        page: bytes = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5).read()
        return page.decode()

    def resident_mebibytes(self) -> float:
        """Memory of the process now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def file_command(self, path: Path, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "services.ingest", "file", "--json", *arguments, str(path)]

    def load(self, path: Path, *arguments: str) -> dict[str, Any]:
        """Load a file and return the summary."""
        done = subprocess.run(
            self.file_command(path, *arguments),
            cwd=REPOSITORY, env=self.env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout, f"exit {done.returncode}: {done.stderr[-2000:]}"
        summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert done.returncode == summary["exit_code"], done.stderr[-2000:]
        return summary


@contextmanager
def running_ingest(bootstrap: str, folder: Path, *arguments: str, **settings: str) -> Iterator[Ingest]:
    """A started process that is gone afterwards."""
    ingest = Ingest(bootstrap, folder, *arguments, **settings)
    try:
        ingest.start()
        yield ingest
    finally:
        if ingest.process is not None and ingest.process.poll() is None:
            ingest.process.kill()
            ingest.process.wait(10)


def wait_until(condition: Callable[[], bool], seconds: float, tell: Callable[[], str] = lambda: "") -> None:
    """Wait for a condition, fail at the deadline."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"not within {seconds} s: {tell()}"
        time.sleep(0.05)


def records_of(bootstrap: str, topic: str) -> list[Found]:
    """All records of a topic, by partition and offset."""
    with KafkaAdmin(bootstrap) as admin:
        count = admin.partition_count(topic)
    return asyncio.run(_read(bootstrap, topic, count))


def event_ids(found: Sequence[Found]) -> list[str]:
    """The event ids in records, in their order."""
    return [decode(record.value or b"").record["event_id"] for record in found]


async def _read(bootstrap: str, topic: str, count: int) -> list[Found]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(count)]
        consumer.assign(partitions)
        found: list[Found] = []
        for partition, end in (await consumer.end_offsets(partitions)).items():
            if end == 0:
                continue
            consumer.seek(partition, 0)
            while await consumer.position(partition) < end:
                batches = await consumer.getmany(partition, timeout_ms=1000)
                found += [
                    Found(record.partition, record.offset, record.key, record.value, dict(record.headers))
                    for record in batches.get(partition, [])
                ]
        return found
    finally:
        await consumer.stop()
