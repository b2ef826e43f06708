"""Kafka to acknowledged moments in one detector process on one core, and how long it is blind after kill -9.

    python -m benchmarks.detector_first --events 2000000 --customers 200000

A broker of its own is started in a temporary folder. Customers are loaded first; then the events are put into the topic
while no detector runs; then one detector on one core works through them, with turns, ticks and commits going on.
For the recovery it is killed while it works live, and started again at once. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import decode, encode, encode_body, frame_header
from services.stack.kafka_server import KafkaServer, fetch_jars
from services.stack.ports import free_ports
from services.stack.topics import topic_plans
from services.transport.kafka_admin import KafkaAdmin
from services.transport.kafka_producer import KafkaProducer, OutRecord

REPOSITORY = Path(__file__).parents[1]
EVENTS, MOMENTS = "kairos.events.v1", "kairos.moments.v1"
USAGE, BALANCE, CUSTOMER = (f"kairos.events.v1.{name}Event" for name in ("Usage", "Balance", "Customer"))
START_MS = 1_788_746_400_000  # Monday 2026-09-07 10:00 +08:00
BATCH = 20_000
LOW_BALANCES = 0.0005  # share of events that bring a customer under the threshold: what a busy day has
Figures = dict[str, float | int]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print what happens to stderr and the figures as JSON to stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="always so; for kairos bench")
    options = parser.parse_args(argv)
    home = Path(tempfile.mkdtemp(prefix="kairos-bench-"))
    try:
        with _broker(home, options.partitions) as bootstrap:
            figures = _measure(bootstrap, home, options)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(json.dumps({"detector_first": figures}))
    return 0


def _measure(bootstrap: str, home: Path, options: argparse.Namespace) -> Figures:
    events = EventMaker(options.customers, options.seed)
    _say("publishing the shipped rules")
    subprocess.run(
        [sys.executable, "-m", "services.cli.main", "rules", "publish", "--author", "bench", "--publisher", "bench2"],
        cwd=REPOSITORY,
        env={**os.environ, "KAIROS_KAFKA_BOOTSTRAP": bootstrap},
        check=True,
        stdout=sys.stderr,
        timeout=120,
    )
    _say(f"{options.customers:,} customers")
    asyncio.run(_publish(bootstrap, events.customers()))
    with _detector(bootstrap, home) as detector:
        detector.wait(lambda: detector.is_idle(), 600)
        detector.wait(lambda: detector.sum("kairos_detector_replay_records") < 1_000, 120)
        detector.end()
        _say(f"{options.events:,} events")
        asyncio.run(_publish(bootstrap, events.events(options.events)))
        figures = _throughput(detector, options.events)
        figures |= {"customers": int(detector.sum("kairos_detector_customers")), "events": options.events}
        figures |= _recovery(bootstrap, detector, events)
    return figures


def _throughput(detector: "Detector", events: int) -> Figures:
    """Start, let it work through what waits, and take the time from the first applied event to all acknowledged."""
    detector.start()
    detector.wait(lambda: 0 < detector.lag() < events, 60, every=0.01)
    started, left, cpu = time.monotonic(), detector.lag(), detector.cpu_seconds()
    _say(f"{left:,.0f} to go")
    detector.wait(detector.is_idle, 600, every=0.02)
    seconds, cpu = time.monotonic() - started, detector.cpu_seconds() - cpu
    found: Figures = {
        "events_per_second": round(left / seconds),
        "cpu_us_per_event": round(cpu / left * 1e6, 3),
        "moments": int(detector.sum("kairos_detector_moments_total")),
        "rss_mib": detector.rss_mib(),
    }
    _say(f"{found}")
    return found


def _recovery(bootstrap: str, detector: "Detector", events: "EventMaker") -> Figures:
    """Live events at a steady rate; kill -9, start again at once; time until a moment of a later event is there."""
    found = asyncio.run(_watch_recovery(bootstrap, detector, events))
    _say(f"kill -9 → first new moment: {found:.2f} s")
    return {
        "recovery_seconds": round(found, 2),
        "state_load_seconds": round(detector.sum("kairos_detector_recovery_seconds"), 2),
    }


async def _watch_recovery(bootstrap: str, detector: "Detector", events: "EventMaker") -> float:
    producer = KafkaProducer(bootstrap, client_id="bench")
    await producer.open()
    stop = asyncio.Event()

    async def feed() -> None:
        while not stop.is_set():
            batch = next(events.events(1_000)) + [events.low_balance() for _ in range(20)]
            await producer.publish(EVENTS, batch)
            await asyncio.sleep(0.05)

    feeding = asyncio.ensure_future(feed())
    await asyncio.sleep(5)
    marker, killed = events.now_ms + 60_000, time.monotonic()
    detector.kill()
    events.now_ms = marker
    detector.start()
    await _first_moment_after(bootstrap, marker)
    seconds = time.monotonic() - killed
    stop.set()
    await feeding
    await producer.close()
    return seconds


async def _first_moment_after(bootstrap: str, marker_ms: int) -> None:
    with KafkaAdmin(bootstrap) as admin:
        ends = admin.end_offsets([MOMENTS])
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=10
    ) as reader:
        reader.assign([TopicPartition(*at) for at in ends])
        for at, offset in ends.items():
            reader.seek(TopicPartition(*at), offset)
        async with asyncio.timeout(120):
            while True:
                for records in (await reader.getmany(timeout_ms=100)).values():
                    if any(decode(record.value).record["occurred_at"] >= marker_ms for record in records):
                        return


class EventMaker:
    """Seeded events, encoded from prepared pieces: half usage, half balance; a few balances are low."""

    def __init__(self, customers: int, seed: int) -> None:
        self.now_ms = START_MS
        self._random = random.Random(seed)
        self._ids = [320_000_000_000 + 7 * n for n in range(customers)]
        self._keys = [b"%d" % each for each in self._ids]
        self._coded = [_varint(each) for each in self._ids]
        self._count = 0
        self._low = 0
        self._usage = [self._tail(USAGE, {"service": "DATA", "quantity": 10 * n, "charge_fen": n}) for n in range(200)]
        self._balance = [self._tail(BALANCE, {"balance_fen": 20_000 + 10 * n}) for n in range(200)]
        self._low_balance = self._tail(BALANCE, {"balance_fen": 500})
        self._heads = {name: frame_header(name) for name in (USAGE, BALANCE)}

    def _tail(self, name: str, fields: dict[str, Any]) -> bytes:
        """What follows `source` in a body."""
        common = {"customer_id": 1, "occurred_at": 0, "ingested_at": 0, "event_id": "", "source": "b"}
        body = encode_body(name, common | fields)
        prefix = _varint(1) + _varint(0) + _varint(0) + b"\0" + b"\0" + b"\x02b"
        assert body.startswith(prefix), "the schema's first six fields are written here by hand"
        return body[len(prefix) :]

    def customers(self) -> Iterator[list[OutRecord]]:
        """A record of each customer, all long in the network."""
        day = START_MS - 86_400_000
        for first in range(0, len(self._ids), BATCH):
            batch = []
            for n in range(first, min(first + BATCH, len(self._ids))):
                fields = {
                    "customer_id": self._ids[n],
                    "occurred_at": day,
                    "ingested_at": day,
                    "event_id": f"c{n}",
                    "source": "b",
                    "city": "NJ",
                    "segment": "GO",
                    "tier": "HIGH",
                    "arpu_fen": 8_000,
                }
                batch.append(OutRecord(self._keys[n], encode(CUSTOMER, fields)))
            yield batch

    def events(self, count: int) -> Iterator[list[OutRecord]]:
        """Events of random customers, one after the other in time."""
        draw, customers = self._random.random, len(self._ids)
        for first in range(0, count, BATCH):
            batch = []
            at = self._moment_coded()
            for _ in range(min(BATCH, count - first)):
                value = draw()
                customer = int(value * customers)
                if value < LOW_BALANCES:
                    customer = int(draw() * customers)
                    batch.append(self._record(BALANCE, customer, at, self._low_balance))
                elif self._count & 1:
                    batch.append(self._record(USAGE, customer, at, self._usage[customer % 200]))
                else:
                    batch.append(self._record(BALANCE, customer, at, self._balance[customer % 200]))
            yield batch

    def low_balance(self) -> OutRecord:
        """A low balance of a customer who had none of these before."""
        self._low += 1
        return self._record(BALANCE, self._low % len(self._ids), self._moment_coded(), self._low_balance)

    def _moment_coded(self) -> bytes:
        self.now_ms += 100
        coded = _varint(self.now_ms)
        return coded + coded + b"\0"

    def _record(self, name: str, customer: int, at: bytes, tail: bytes) -> OutRecord:
        self._count += 1
        event_id = b"%09x" % self._count
        value = b"".join((self._heads[name], self._coded[customer], at, b"\x12", event_id, b"\x02b", tail))
        return OutRecord(self._keys[customer], value)


class Detector:
    """The process under measurement, pinned to one core."""

    def __init__(self, bootstrap: str, log: Path) -> None:
        self._port = free_ports(1)[0]
        self._log = log
        self._env = {
            **os.environ,
            "KAIROS_ENVIRONMENT": "test",
            "KAIROS_KAFKA_BOOTSTRAP": bootstrap,
            "KAIROS_CLOCK": f"{START_MS},1,{time.time_ns() // 1_000_000}",
            "KAIROS_DETECTOR_METRICS_PORT": str(self._port),
            "KAIROS_DETECTOR_INSTANCE_ID": "bench",
            "KAIROS_DETECTOR_TURN_SECONDS": "10",
        }
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        core = max(os.sched_getaffinity(0))
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), sys.executable, "-m", "services.cli.main", "detector"],
                cwd=REPOSITORY,
                env=self._env,
                stdout=out,
                stderr=out,
            )
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(15)

    def samples(self) -> dict[str, float]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except (urllib.error.URLError, OSError):
            return {}
        return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def sum(self, name: str) -> float:
        """Sum over all labels."""
        return sum(value for key, value in self.samples().items() if key.partition("{")[0] == name)

    def lag(self) -> float:
        return self.sum("kairos_detector_lag_records")

    def is_idle(self) -> bool:
        """All applied, all acknowledged."""
        found = self.samples()
        lags = [value for key, value in found.items() if key.startswith("kairos_detector_lag_records{")]
        return bool(lags) and not any(lags) and found["kairos_detector_outbox_records"] == 0

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20

    def wait(self, done: Callable[[], bool], seconds: float, every: float = 0.1) -> None:
        ends = time.monotonic() + seconds
        while not done():
            if time.monotonic() > ends or self.process.poll() is not None:
                raise SystemExit(f"detector: not done; its log ends with\n{self._log.read_text()[-3000:]}")
            time.sleep(every)


@contextmanager
def _detector(bootstrap: str, home: Path) -> Iterator[Detector]:
    detector = Detector(bootstrap, home / "detector.log")
    try:
        yield detector
    finally:
        if detector.process.poll() is None:
            detector.kill()


@contextmanager
def _broker(home: Path, partitions: int) -> Iterator[str]:
    libs = fetch_jars(Path(os.environ.get("KAIROS_VAR_DIR", REPOSITORY / "var")))
    port, controller_port = free_ports(2)
    server = KafkaServer(home / "kafka", libs=libs, port=port, controller_port=controller_port, log=home / "kafka.log")
    server.start()
    try:
        server.wait_until_ready()
        with KafkaAdmin(server.bootstrap) as admin:
            admin.create_topics(topic_plans(partitions))
        yield server.bootstrap
    finally:
        server.stop()


async def _publish(bootstrap: str, batches: Iterator[list[OutRecord]]) -> None:
    producer = KafkaProducer(bootstrap, client_id="bench")
    await producer.open()
    for batch in batches:
        await producer.publish(EVENTS, batch)
    await producer.close(deadline_seconds=30)


def _varint(value: int) -> bytes:
    """Zigzag varint of a value ≥ 0, as Avro writes a long."""
    rest, found = value << 1, bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
