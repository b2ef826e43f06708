"""`kairos up`, `down`, `status`, `topics`, `doctor`: the words around the local stack."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from services.stack.console import Progress
from services.stack.detach import start_detached
from services.stack.doctor import examine
from services.stack.endpoints import Endpoints, read_endpoints
from services.stack.local_stack import LocalStack, StackOptions
from services.stack.lock import AlreadyRunning, LeftoversRemain, is_held, running_supervisor
from services.stack.service import kairos_argv
from services.stack.status import collect, render
from services.stack.topics import topic_plans
from services.stack.welcome import welcome_text
from services.transport.errors import TransportError, UnknownTopic
from services.transport.kafka_admin import KafkaAdmin, differences

DOWN_SECONDS = 60.0
CLOCK_WORDS = re.compile(r"^[^,]+,[0-9.]+$")

up_app = typer.Typer(add_completion=False)
down_app = typer.Typer(add_completion=False)
status_app = typer.Typer(add_completion=False)
topics_app = typer.Typer(add_completion=False)
doctor_app = typer.Typer(add_completion=False)

VarOption = Annotated[Path, typer.Option("--var", envvar="KAIROS_VAR_DIR", help="Folder of data, logs and addresses.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
DEFAULT_VAR = Path("var")


@up_app.command()
def up(
    demo: Annotated[bool, typer.Option("--demo", help="Also simulate a city; the clock starts on a Monday.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove the data of earlier runs first.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when all is ready; stop with `kairos down`.")
    ] = False,
    clock: Annotated[
        str | None, typer.Option("--clock", help="Business clock as START,SPEED, e.g. 2026-09-07T09:50:00+08:00,60.")
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, max=64, help="Partitions of a new event log.")] = 4,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Take free ports, not the usual ones.")] = False,
    environment: Annotated[str, typer.Option(envvar="KAIROS_ENVIRONMENT", help="demo or test.")] = "demo",
    var: VarOption = DEFAULT_VAR,
) -> None:
    """Start Kafka, PostgreSQL and every service on this machine, loopback only; Ctrl-C stops them all.

    Data, logs and addresses are kept under var/; ports that are taken are replaced by free ones.
    """
    if environment not in ("demo", "test"):
        raise typer.BadParameter("the local stack is for demo and test", param_hint="--environment")
    if clock is not None and not CLOCK_WORDS.match(clock):
        raise typer.BadParameter("want START,SPEED", param_hint="--clock")
    if detach:
        raise typer.Exit(start_detached(var, kairos_argv("up", *(word for word in sys.argv[2:] if word != "--detach"))))
    options = StackOptions(
        var=var,
        environment=environment,
        is_demo=demo,
        is_fresh=fresh,
        clock=clock,
        partitions=partitions,
        usual_ports=not free_ports,
    )
    progress = Progress()
    try:
        code = LocalStack(options, progress).run(lambda endpoints: progress.text(welcome_text(endpoints, is_demo=demo)))
    except AlreadyRunning as exc:
        progress.bad("stack", f"{exc}; see `kairos status`, or stop it with `kairos down`")
        code = 1
    except LeftoversRemain as exc:
        progress.bad("stack", f"{exc}; `kairos down` ends them")
        code = 1
    raise typer.Exit(code)


@down_app.command()
def down(var: VarOption = DEFAULT_VAR) -> None:
    """Stop the stack that runs on this folder, services first, Kafka and PostgreSQL last."""
    progress = Progress()
    pid = running_supervisor(var)
    if pid is None and not is_held(var):
        progress.note("stack", "nothing is running here")
        return
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
    with progress.step("stack", "stopping"):
        deadline = time.monotonic() + DOWN_SECONDS
        while is_held(var) and time.monotonic() < deadline:
            time.sleep(0.1)
    if is_held(var) and pid is not None and running_supervisor(var) == pid:
        os.kill(pid, signal.SIGKILL)  # its guards end what it leaves
        while is_held(var) and time.monotonic() < deadline + DOWN_SECONDS:
            time.sleep(0.1)
    if is_held(var):
        progress.bad("stack", "processes remain; `kairos doctor` names them")
        raise typer.Exit(1)
    progress.good("stack", "stopped")


@status_app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show anew every two seconds until Ctrl-C.")] = False,
    as_json: JsonOption = False,
    var: VarOption = DEFAULT_VAR,
) -> None:
    """Show per process whether it is up, restarts, lag, backlog, offers, event-time delay and the clock."""
    while True:
        endpoints = _endpoints_or_exit(var, as_json=as_json)
        found = collect(endpoints, is_supervised=running_supervisor(var) is not None)
        if as_json:
            print(json.dumps(asdict(found), ensure_ascii=False))
        else:
            render(found, clear=watch and sys.stdout.isatty())
        if not watch:
            raise typer.Exit(0 if found.is_well else 1)
        try:
            time.sleep(2.0)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


@topics_app.command()
def topics(
    create: Annotated[bool, typer.Option("--create", help="Create the topics that are missing.")] = False,
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of a new event log; default 12.")] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, help="Replicas of new topics; default: as brokers say.")
    ] = None,
    kafka: Annotated[
        str, typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Default: as var/endpoints.json says.")
    ] = "",
    as_json: JsonOption = False,
    var: VarOption = DEFAULT_VAR,
) -> None:
    """List the topics with their records, and check them against schemas/topics.toml; exit 1 when they differ."""
    bootstrap = kafka or _endpoints_or_exit(var, as_json=as_json).kafka
    try:
        with KafkaAdmin(bootstrap) as admin:
            plans = topic_plans(_log_partitions(admin, partitions), replication=replication)
            created = admin.create_topics(plans) if create else []
            found = admin.describe_topics([plan.name for plan in plans])
            differ = differences(plans, found)
            ends, firsts = admin.end_offsets(sorted(found)), admin.first_offsets(sorted(found))
    except TransportError as exc:
        Progress().bad("kafka", str(exc))
        raise typer.Exit(1) from exc
    rows = [
        {
            "topic": name,
            "partitions": found[name].partitions,
            "cleanup": found[name].configs["cleanup.policy"],
            "retention_ms": int(found[name].configs["retention.ms"]),
            "records": sum(end - firsts[at] for at, end in ends.items() if at[0] == name),
        }
        for name in sorted(found)
    ]
    if as_json:
        print(json.dumps({"topics": rows, "created": created, "differences": [asdict(each) for each in differ]}))
    else:
        for row in rows:
            size = f"{row['partitions']:>3} partitions  {row['records']:>12,} records"
            print(f"{row['topic']:<34} {row['cleanup']:<8} {size}")
        for each in differ:
            print(f"differs: {each}", file=sys.stderr)
    raise typer.Exit(1 if differ else 0)


@doctor_app.command()
def doctor(as_json: JsonOption = False, var: VarOption = DEFAULT_VAR) -> None:
    """Check programs, disk, ports, and of a running stack readiness, topics and migrations; say what to do next."""
    findings = examine(var)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        progress = Progress()
        for finding in findings:
            (progress.good if finding.is_good else progress.bad)(finding.what, finding.found)
            if finding.advice:
                progress.text(f"             → {finding.advice}")
    raise typer.Exit(0 if all(finding.is_good for finding in findings) else 1)


def _log_partitions(admin: KafkaAdmin, wanted: int | None) -> int:
    """P: as the event log has it, else as wanted, else 12."""
    try:
        return admin.partition_count("kairos.events.v1")
    except UnknownTopic:
        return wanted or 12


def _endpoints_or_exit(var: Path, *, as_json: bool) -> Endpoints:
    endpoints = read_endpoints(var)
    if endpoints is None:
        if as_json:
            print(json.dumps({"running": False}))
        else:
            Progress().note("stack", f"not running here ({var}); start it with `kairos up`")
        raise typer.Exit(1)
    return endpoints
