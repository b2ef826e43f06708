"""`kairos doctor`: looks at everything the local stack needs and says, for each, what was found and what to do next."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import psycopg

from services.stack.addresses import USUAL_PORTS
from services.stack.endpoints import Endpoints, read_endpoints
from services.stack.kafka_server import KafkaMissing, has_jars, java, kafka_version
from services.stack.lock import is_held, running_supervisor
from services.stack.ports import is_free
from services.stack.service import not_ready
from services.stack.topics import topic_plans
from services.transport.errors import TransportError
from services.transport.kafka_admin import KafkaAdmin, differences
from services.transport.postgres import MigrationRefused, pending_migrations

GIB = 1024**3
DISK_BYTES = 3 * GIB
MEMORY_BYTES = 3 * GIB
VERSION_SECONDS = 20.0
MIGRATIONS = {"router": "router", "workbench": "workbench_api"}  # schema → service with the folder `migrations`
SERVICES_FOLDER = Path(__file__).parents[1]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. advice: what to do next, empty when all is well."""

    what: str
    is_good: bool
    found: str
    advice: str = ""


def examine(var: Path) -> list[Finding]:
    """All findings, of the machine first, then of the running stack."""
    return list(_findings(var))


def _findings(var: Path) -> Iterator[Finding]:
    yield _python()
    yield _java()
    yield _maven(var)
    yield _disk(var)
    yield _memory()
    endpoints = read_endpoints(var)
    if running_supervisor(var) is None:
        yield from _leftovers(var)
        yield _ports()
        yield Finding("stack", True, "not running here", "start it with `kairos up`")
    elif endpoints is None or not endpoints.ready:
        yield Finding("stack", False, "starting", "look again in a moment, or read var/log/")
    else:
        yield Finding("stack", True, f"running, supervisor pid {endpoints.supervisor_pid}")
        yield from _running(endpoints)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info[:2] == (3, 11)
    return Finding("python", good, found, "" if good else "use Python 3.11")


def _java() -> Finding:
    try:
        program = java()
        done = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        )
    except (KafkaMissing, OSError, subprocess.TimeoutExpired) as exc:
        return Finding("java", False, "missing", str(exc))
    first = (done.stderr or done.stdout).splitlines()[0]
    major = first.partition('"')[2].partition(".")[0]
    good = major.isdigit() and int(major) >= 17
    return Finding("java", good, first, "" if good else "Kafka needs Java 17: apt-get install openjdk-17-jre-headless")


def _maven(var: Path) -> Finding:
    if has_jars(var):
        return Finding("kafka jars", True, f"Kafka {kafka_version()} is fetched")
    found = shutil.which("mvn")
    if found is None:
        return Finding("maven", False, "missing, and Kafka is not fetched yet", "apt-get install maven")
    return Finding("maven", True, f"{found}; fetches Kafka {kafka_version()} at the first start")


def _disk(var: Path) -> Finding:
    existing = next(folder for folder in [var.resolve(), *var.resolve().parents] if folder.exists())
    free = shutil.disk_usage(existing).free
    good = free >= DISK_BYTES
    return Finding(
        "disk", good, f"{free / GIB:.1f} GiB free", "" if good else f"free {DISK_BYTES // GIB} GiB for {var}"
    )


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    good = free >= MEMORY_BYTES
    return Finding("memory", good, f"{free / GIB:.1f} GiB available", "" if good else "the stack wants 3 GiB")


def _leftovers(var: Path) -> Iterator[Finding]:
    if not is_held(var):
        return
    folder = str(var.resolve())
    pids = [each.pid for each in psutil.process_iter(["cmdline"]) if folder in " ".join(each.info["cmdline"] or [])]
    found = ", ".join(map(str, pids)) or "none found by name"
    yield Finding(
        "leftovers", False, f"processes of an earlier stack: {found}", "wait half a minute, then `kairos down`"
    )


def _ports() -> Finding:
    taken = [f"{use} {port}" for use, port in USUAL_PORTS.items() if not is_free(port)]
    return Finding(
        "ports", True, f"taken: {', '.join(taken)}; free ones will be used" if taken else "the usual ones are free"
    )


def _running(endpoints: Endpoints) -> Iterator[Finding]:
    for name, url in endpoints.metrics.items():
        reason = not_ready(int(url.rsplit(":", 1)[1].split("/")[0]))
        log = endpoints.processes.get(name, {}).get("log", "var/log")
        yield Finding(name, reason is None, reason or "ready", "" if reason is None else f"read {log}")
    yield _guarded("topics", partial(_topics, endpoints))
    for schema, service in MIGRATIONS.items():
        folder = SERVICES_FOLDER / service / "migrations"
        yield _guarded(f"{schema} schema", partial(_migrations, endpoints, schema, folder))


def _topics(endpoints: Endpoints) -> Finding:
    with KafkaAdmin(endpoints.kafka) as admin:
        plans = topic_plans(admin.partition_count("kairos.events.v1"))
        found = differences(plans, admin.describe_topics([plan.name for plan in plans]))
    if found:
        return Finding("topics", False, "; ".join(map(str, found)), "`kairos topics --create` makes missing ones")
    return Finding("topics", True, f"{len(plans)} as in schemas/topics.toml")


def _migrations(endpoints: Endpoints, schema: str, folder: Path) -> Finding:
    pending = pending_migrations(endpoints.postgres_dsn, schema, folder)
    if pending:
        return Finding(
            f"{schema} schema", False, f"not applied: {', '.join(pending)}", f"restart {schema}; it applies them"
        )
    return Finding(f"{schema} schema", True, "up to date")


def _guarded(what: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except (TransportError, MigrationRefused, psycopg.Error) as exc:
        return Finding(what, False, f"{type(exc).__name__}: {exc}", "see `kairos status` and the logs of the servers")
