"""A detector under test: its process from outside, the log it reads, and what it wrote.

What must hold is computed here anew from the log alone: one pass over one `Partition` per partition, in this process.
"""

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import decode, encode
from services.stack.ports import free_ports
from services.transport.kafka_admin import KafkaAdmin
from services.transport.kafka_producer import KafkaProducer, OutRecord
from tests.doubles.counting_engine import ENGINE

EVENTS = "kairos.events.v1"
MOMENTS = "kairos.moments.v1"
MOMENTS_BULK = "kairos.moments-bulk.v1"
CUSTOMERS = "kairos.customers.v1"
STATE = "kairos.detector-state.v1"
RULES = "kairos.rules.v1"
DEAD_LETTERS = "kairos.dead-letters.detector.v1"
PARTITIONS = 4
START_MS = 1_788_746_400_000  # 2026-09-07 09:20 +08:00
ANCHOR_MS = time.time_ns() // 1_000_000
FAST_CLOCK = f"{START_MS},3600,{ANCHOR_MS}"
REPOSITORY = Path(__file__).parents[2]


class Detector:
    """One detector process and its log."""

    def __init__(self, bootstrap: str, log: Path, *arguments: str, name: str = "d0", **settings: str) -> None:
        self.port = free_ports(1)[0]
        self.log = log / f"{name}.log"
        self._arguments = arguments
        self._env = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith("KAIROS_") or key == "KAIROS_CACHE_DIR"
            },
            "KAIROS_ENVIRONMENT": "test",
            "KAIROS_KAFKA_BOOTSTRAP": bootstrap,
            "KAIROS_CLOCK": f"{START_MS},1,{ANCHOR_MS}",
            "KAIROS_DETECTOR_METRICS_PORT": str(self.port),
            "KAIROS_DETECTOR_ENGINE": "tests.doubles.counting_engine:ENGINE",
            "KAIROS_DETECTOR_TURN_SECONDS": "1",
            **{f"KAIROS_{key}": value for key, value in settings.items()},
        }
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.cli.main", "detector", *self._arguments],
                cwd=REPOSITORY,
                env=self._env,
                stdout=out,
                stderr=out,
            )
        return self.process

    def settings(self, **settings: str) -> None:
        """Change settings for the next start; an empty value takes one away."""
        self._env.update({f"KAIROS_{key}": value for key, value in settings.items()})

    def metrics(self) -> dict[str, float]:
        """Samples by name with labels, such as `kairos_detector_lag_records{partition="0"}`; empty when not there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except (urllib.error.URLError, OSError):
            return {}
        return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return int(answer.status) == 200
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_ready(self, seconds: float = 60) -> None:
        wait_until(self.is_ready, seconds, lambda: f"not ready: {self.tail()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self, seconds: float = 10) -> int:
        """SIGTERM and wait; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()


@contextmanager
def running(bootstrap: str, log: Path, *arguments: str, **settings: str) -> Iterator[Detector]:
    """A detector that is killed at the end if it still runs."""
    detector = Detector(bootstrap, log, *arguments, **settings)
    try:
        yield detector
    finally:
        detector.end()


def wait_until(done: Callable[[], bool], seconds: float, why: Callable[[], str] = lambda: "") -> None:
    """Poll until it holds; fails at the deadline."""
    ends = time.monotonic() + seconds
    while not done():
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds} s. {why()}")
        time.sleep(0.05)


@dataclass
class Feed:
    """A seeded stream of events; the same seed gives the same events."""

    seed: int
    customers: int = 60
    first_event: int = 0
    _random: random.Random = field(init=False)
    _count: int = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._count = self.first_event

    def batch(self, events: int) -> list[OutRecord]:
        return [self._event() for _ in range(events)]

    def _common(self, at: int) -> dict[str, Any]:
        self._count += 1
        return {
            "event_id": f"e{self.seed}-{self._count}",
            "customer_id": 1_000 + self._random.randrange(self.customers),
            "occurred_at": at,
            "ingested_at": at,
            "source": "test",
        }

    def _event(self) -> OutRecord:
        common = self._common(START_MS + self._count)
        if self._random.random() < 0.05:
            value = encode("kairos.events.v1.CustomerEvent", common | {"city": "NJ"})
        elif self._random.random() < 0.5:
            value = encode("kairos.events.v1.BalanceEvent", common | {"balance_fen": self._random.randrange(5_000)})
        else:
            value = encode("kairos.events.v1.UsageEvent", common | {"service": "DATA", "quantity": 100})
        return OutRecord(b"%d" % common["customer_id"], value)


class LifeFeed(Feed):
    """Events that the shipped rules answer to, at business time, some late, some twice."""

    handsets = ("A1", "B2", "C3")
    _last: OutRecord | None = None

    def _event(self) -> OutRecord:
        draw = self._random.random()
        if draw < 0.02 and self._last is not None:
            return self._last
        at = business_ms() - (self._random.randrange(86_400_000) if draw > 0.97 else 0)
        common = self._common(at)
        common["ingested_at"] = business_ms()
        name, fields = self._random.choice(self._kinds())
        self._last = OutRecord(b"%d" % common["customer_id"], encode(f"kairos.events.v1.{name}", {**common, **fields}))
        return self._last

    def _kinds(self) -> list[tuple[str, dict[str, Any]]]:
        pick, number = self._random.choice, self._random.randrange
        birthday = time.strftime("%m-%d", time.gmtime(business_ms() / 1000 + number(3) * 86_400))
        case = {"complaint_id": f"c{number(40)}", "state": pick(("OPENED", "CLOSED", "CONFIRMED")), "topic": "NETWORK"}
        return [
            ("BalanceEvent", {"balance_fen": pick((100, 500, 9_000, 50_000)), "reason": pick(("CHARGE", "TOP_UP"))}),
            ("BalanceEvent", {"balance_fen": pick((300, 90_000))}),
            ("UsageEvent", {"service": "VOICE", "quantity": number(4_000), "charge_fen": number(50)}),
            ("UsageEvent", {"service": "DATA", "quantity": number(9_000)}),
            ("CustomerEvent", {"city": "NJ", "tier": pick(("TOP", "HIGH")), "birthday": birthday} | self._contract()),
            ("HandsetChangeEvent", {"device_model": pick(self.handsets)}),
            ("ComplaintEvent", case),
            ("LineStatusEvent", {"status": pick(("ACTIVE", "ACTIVE", "SUSPENDED_LOST"))}),
            *self._rarer_kinds(),
        ]

    def _contract(self) -> dict[str, Any]:
        ends = business_ms() // 86_400_000 + self._random.randrange(70)
        return {
            "arpu_fen": self._random.choice((3_000, 60_000)),
            "contract_ends_on": ends,
            "plan_fee_fen": 5_800,
            "plan_voice_seconds": 6_000,
            "plan_data_kib": 20_000,
        }

    def _rarer_kinds(self) -> list[tuple[str, dict[str, Any]]]:
        pick, number = self._random.choice, self._random.randrange
        months = 12 * 2026 + 8 - number(4)  # of the last bills
        order = {"order_id": f"o{number(30)}", "action": pick(("SUBSCRIBE", "CANCEL", "CHANGE", "RENEW"))}
        order |= {"category": pick(("VOICE_PLAN", "DATA_PACK", "BROADBAND", "ROAMING", "TV")), "product": pick("abcd")}
        return [
            ("UsageEvent", {"service": "VOICE", "quantity": number(900), "counterpart_key": number(9) + 1,
                            "counterpart_network": pick(("ON_NET", "OFF_NET")), "charge_fen": 900,
                            "out_of_bundle_fen": number(900)}),
            ("BillEvent", {"cycle": f"{months // 12}-{months % 12 + 1:02d}", "total_fen": number(30_000),
                           "plan_fee_fen": 5_800, "out_of_bundle_fen": number(9_000), "make_up_fen": number(300)}),
            ("ServiceOrderEvent", order | {"addon": pick((True, False)), "core": pick((True, False))}),
            ("InquiryEvent", {"inquiry_id": f"q{number(40)}", "topic": pick(("FEE", "FAULT", "PORTING", "COVERAGE")),
                              "area": "NJ-017", "state": pick(("OPENED", "COMPLETED", "WITHDRAWN"))}),
            ("RoamingEvent", {"country": pick(("HK", "JP", "FR")), "state": pick(("LANDED", "LEFT"))}),
        ]  # fmt: skip


def business_ms() -> int:
    """The clock of `FAST_CLOCK`: an hour a second."""
    return START_MS + (time.time_ns() // 1_000_000 - ANCHOR_MS) * 3_600


def publish(bootstrap: str, topic: str, records: Sequence[OutRecord], *, partition: int | None = None) -> None:
    """Publish by key, or to one partition; returns when acknowledged."""

    async def run() -> None:
        producer = KafkaProducer(bootstrap, client_id="test")
        await producer.open()
        try:
            if partition is None:
                await producer.publish(topic, records)
            else:
                await producer.append(topic, partition, records)
        finally:
            await producer.close()

    asyncio.run(run())


def read_topic(bootstrap: str, topic: str) -> dict[int, list[Any]]:
    """Everything that is in the topic now, by partition, in log order."""

    async def run() -> dict[int, list[Any]]:
        with KafkaAdmin(bootstrap) as admin:
            ends = {number: at for (_, number), at in admin.end_offsets([topic]).items()}
            begins = {number: at for (_, number), at in admin.first_offsets([topic]).items()}
        found: dict[int, list[Any]] = {number: [] for number in ends}
        if begins == ends:  # aiokafka raises when a client without a group is stopped before it was awaited once
            return found
        async with AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="none"
        ) as client:
            tps = {number: TopicPartition(topic, number) for number in ends}
            client.assign(list(tps.values()))
            for number, tp in tps.items():
                client.seek(tp, begins[number])
            while any(begins[n] < ends[n] and (not found[n] or found[n][-1].offset < ends[n] - 1) for n in ends):
                for tp, records in (await client.getmany(timeout_ms=500)).items():
                    found[tp.partition] += [record for record in records if record.offset < ends[tp.partition]]
        return found

    return asyncio.run(run())


def log_ends(bootstrap: str, topic: str = EVENTS) -> dict[int, int]:
    with KafkaAdmin(bootstrap) as admin:
        return {number: at for (_, number), at in admin.end_offsets([topic]).items()}


def group_offsets(bootstrap: str, group: str) -> dict[int, int]:
    with KafkaAdmin(bootstrap) as admin:
        return {number: at for (topic, number), at in admin.committed_offsets(group).items() if topic == EVENTS}


def wait_until_applied(bootstrap: str, seconds: float = 30, why: Callable[[], str] = lambda: "") -> None:
    """Wait until everything that is in the log now was applied, as the second group tells."""
    ends = log_ends(bootstrap)

    def done() -> bool:
        applied = group_offsets(bootstrap, "kairos-detector-applied")
        return all(applied.get(number, 0) >= end for number, end in ends.items())

    wait_until(done, seconds, why)


Moments = set[tuple[str, int, bytes]]
"""Id, revision, content: whatever is repeated with other content is one more."""


def moments(bootstrap: str) -> tuple[Moments, int]:
    """What is in the moments topic, and how many records were repeats."""
    found: Moments = set()
    topics = [read_topic(bootstrap, topic) for topic in (MOMENTS, MOMENTS_BULK)]
    records = [record for topic in topics for each in topic.values() for record in each]
    for record in records:
        moment = decode(record.value).record
        assert record.key == b"%d" % moment["customer_id"]
        found.add((moment["moment_id"], moment["revision"], record.value))
    return found, len(records) - len(found)


def shipped_rules(version: int = 1) -> OutRecord:
    """The rule set of this release, as one record."""
    folder = REPOSITORY / "services/detector/rules"
    documents = [
        {
            "path": f"rules/{path.name}",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "text": path.read_text(),
        }
        for path in sorted(folder.glob("*.yaml"))
    ]
    return rule_set(version, documents=documents)


def compiled_rules(bootstrap: str, engine: Any) -> dict[int, Any]:
    """Every published rule set by offset."""
    found = {}
    for record in read_topic(bootstrap, RULES)[0]:
        fields = decode(record.value).record
        documents = {document["path"]: document["text"] for document in fields["documents"]}
        version = f"{fields['rule_set']}@{fields['version']}"
        found[record.offset] = engine.compile_rule_set(documents, version, fields["effective_from"])
    return found


def expected_moments(
    bootstrap: str, engine: Any = ENGINE, rules: Any = None, ends: dict[int, int] | None = None
) -> Moments:
    """What one clean pass over the log gives, up to these offsets."""
    found: Moments = set()
    for number, whole in read_topic(bootstrap, EVENTS).items():
        records = [record for record in whole if ends is None or record.offset < ends[number]]
        partition = engine.new_partition(number, 0)
        for at in range(0, len(records), 1_000):
            chunk = engine.decode_chunk(number, records[at : at + 1_000])
            _collect(found, partition.apply(chunk, rules or {}))
            while partition.sweep_pending:
                _collect(found, partition.sweep(1_000))
    return found


def _collect(found: Moments, applied: Any) -> None:
    for moment in applied.moments:
        found.add((moment["moment_id"], moment["revision"], encode("kairos.moments.v1.Moment", dict(moment))))


def rule_set(version: int, text: str = "id: AN4", documents: list[dict[str, str]] | None = None) -> OutRecord:
    """A rule set as `kairos rules publish` writes it."""
    value = {
        "rule_set": "province",
        "version": version,
        "effective_from": 0,
        "published_at": START_MS,
        "author": "a",
        "publisher": "b",
        "documents": documents or [{"path": "rules/an4.yaml", "sha256": "", "text": text}],
    }
    return OutRecord(f"province@{version}".encode(), encode("kairos.rules.v1.RuleSet", value))


def log_lines(detector: Detector, event: str) -> list[dict[str, Any]]:
    """Log lines with this event name."""
    lines = [line for line in detector.log.read_text(errors="replace").splitlines() if line.startswith("{")]
    return [found for found in map(json.loads, lines) if found.get("event") == event]
