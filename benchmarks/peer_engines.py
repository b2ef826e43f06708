"""Runs a peer: builds it, starts it on the measured core, and looks at it where it stops for that."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.detector_process import cpu_seconds, rss_bytes
from benchmarks.figures import Finding, Sample
from benchmarks.local_broker import (
    EVENTS,
    REPOSITORY,
    Broker,
    commit_offsets,
    engine_core,
    new_topic,
    read_values,
    say,
    var_dir,
)
from schemas.codec import frame_header
from services.stack.kafka_server import java

SOURCES = Path(__file__).with_name("peers")
SCHEMA = REPOSITORY / "schemas" / "avro" / "usage_event.v1.avsc"
USAGE = "kairos.events.v1.UsageEvent"
INTERVAL_MS = 10_000
"""Between two checkpoints or commits of a peer: the same as between two turns of Kairos here."""
HEAP = ("-Xms4g", "-Xmx4g", "-XX:+AlwaysPreTouch")
"""Room enough that no peer lacks memory, and all of it resident from the start: so what is free can be taken off."""
_OPENS = ("java.base/java.util", "java.base/java.lang", "java.base/java.time", "java.base/java.nio")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """An engine beside Kairos. share: of the events of the log that it is given."""

    name: str
    about: str
    share: float = 1.0
    main: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    gc: str = "-XX:+UseParallelGC"


PEERS = (
    Peer(name="flink", about="Flink 2.0.1, heap state, object reuse, checkpoints to files", main="flink:FlinkRings"),
    Peer(
        name="kafka_streams_memory",
        about="Kafka Streams 4.3.1, store in memory, no changelog",
        main="kafka_streams:KafkaStreamsRings",
        options={"store": "memory", "changelog": "off"},
    ),
    Peer(
        name="kafka_streams_rocksdb",
        about="Kafka Streams 4.3.1, RocksDB with 100 MiB of cache, changelog",
        share=0.5,
        main="kafka_streams:KafkaStreamsRings",
        options={"store": "rocksdb", "changelog": "on"},
    ),
    Peer(name="faust_table", about="faust-streaming 0.15.3, a stock table in memory"),
)


@dataclass
class Run:
    """What a peer showed: a sample per mark, the same after a collection, what it told, how far it read."""

    samples: list[Sample] = field(default_factory=list)
    collected: list[Sample] = field(default_factory=list)
    findings: set[Finding] = field(default_factory=set)
    horizons: dict[int, int] | None = None


def build() -> Path:
    """Build the Java programs with Maven, unless they are built from these very sources; returns where they are."""
    home = var_dir() / "peers"
    sources = sorted(p for p in SOURCES.rglob("*") if p.suffix in {".java", ".xml", ".avsc"})
    newest = max(path.stat().st_mtime for path in sources)
    marker = home / "built"
    if not marker.exists() or marker.stat().st_mtime < newest:
        say("building the peers with Maven")
        command = ["mvn", "-q", "-B", "package", f"-Dpeers.build={home}"]
        subprocess.run(command, cwd=SOURCES, check=True, stdout=sys.stderr, timeout=900)
        marker.touch()
    return home


def run_peer(peer: Peer, broker: Broker, *, start: Mapping[int, int], marks: Sequence[int], seconds: float) -> Run:
    """Let a peer work from these offsets to the last mark."""
    group, findings = f"bench-{peer.name}", f"bench.findings.{peer.name}"
    new_topic(broker, findings)
    commit_offsets(broker, group, start)
    folder = broker.home / peer.name
    folder.mkdir()
    given = {
        "bootstrap": broker.bootstrap,
        "topic": EVENTS,
        "findings": findings,
        "group": group,
        "schema": str(SCHEMA),
        "schema-id": str(int.from_bytes(frame_header(USAGE)[1:5])),
        "dir": str(folder),
        "interval-ms": str(INTERVAL_MS),
        "marks": ",".join([f"{marks[0]}gc", *map(str, marks[1:-1]), f"{marks[-1]}gc"]),
        "partitions": str(broker.partitions),
        **peer.options,
    }
    command = _java_command(peer, given) if peer.main else _faust_command()
    env = {**os.environ, **{f"PEER_{name.upper().replace('-', '_')}": value for name, value in given.items()}}
    log = broker.home / f"{peer.name}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            ["taskset", "-c", str(engine_core()), *command],
            cwd=REPOSITORY,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    try:
        run = _follow(process)
    except (OSError, EOFError) as exc:
        raise SystemExit(f"{peer.name}: {exc}; its log ends with\n{log.read_text(errors='replace')[-3000:]}") from exc
    finally:
        watchdog.cancel()
        process.kill()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
    run.findings = {parsed(value) for value in read_values(broker, findings)}
    return run


def _follow(process: "subprocess.Popen[str]") -> Run:
    """Look at the process whenever it says that it has come to a mark."""
    assert process.stdin is not None
    assert process.stdout is not None
    run = Run()
    for line in process.stdout:
        word, *rest = line.split()
        if word == "done":
            run.horizons = {int(p): int(at) for p, at in (each.split(":") for each in rest)} or None
            return run
        if word not in {"mark", "collected"}:
            continue
        events, customers, free = int(rest[0]), int(rest[1]), int(rest[2]) if len(rest) > 2 else 0
        sample = Sample(time.monotonic(), cpu_seconds(process.pid), events, customers, rss_bytes(process.pid) - free)
        (run.samples if word == "mark" else run.collected).append(sample)
        process.stdin.write("\n")
        process.stdin.flush()
    raise EOFError("ended before it was done, or took too long")


def parsed(value: bytes) -> Finding:
    """A finding as the peers write it: customer, rule, state, event time."""
    customer, rule, state, occurred_at = value.decode().split(",")
    return Finding(int(customer), rule, state, int(occurred_at))


def _java_command(peer: Peer, given: Mapping[str, str]) -> list[str]:
    module, name = peer.main.split(":")
    home = build() / module
    opens = [f"--add-opens={each}=ALL-UNNAMED" for each in _OPENS]
    options = [f"{name}={value}" for name, value in given.items()]
    return [
        java(),
        peer.gc,
        *HEAP,
        *opens,
        "-cp",
        f"{home}/{module}-1.jar:{home}/libs/*",
        f"kairos.peers.{name}",
        *options,
    ]


def _faust_command() -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.faust_table", "worker", "--without-web", "-l", "warn"]
