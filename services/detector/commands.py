"""`kairos detector`: serve, and what operators do with it."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

import typer

from services.detector.stored.rebuild_commands import rebuild
from services.settings import read_settings

app = typer.Typer(help="Find moments in the event log / 从事件日志发现关键时刻", invoke_without_command=True)


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    partitions: Annotated[
        str, typer.Option(help="Run without a group on these partitions, e.g. 0,1: for tests and repairs.")
    ] = "",
) -> None:
    """Run the detector until SIGTERM. Settings come from KAIROS_* variables."""
    if context.invoked_subcommand is not None:
        return
    from services.clock import clock_from_environment
    from services.detector.app import serve as run
    from services.detector.settings import DetectorSettings
    from services.telemetry.logs import configure

    configure("detector")
    settings = read_settings(DetectorSettings, "DETECTOR")
    clock = clock_from_environment()
    try:
        numbers = parse_partitions(partitions)
    except ValueError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(2) from exc
    run(settings, clock, partitions=numbers)


app.command()(rebuild)


@app.command()
def resume(
    partition: Annotated[list[int] | None, typer.Option(help="Only these; all by default. / 只恢复这些分区")] = None,
    bootstrap: Annotated[str, typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Kafka brokers.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Let partitions that were paused for undecodable records go on.

    All records that are in the log now may go to the dead-letter topic, however many; later ones are judged as before.
    """
    from services.detector.broker_admin import allow_poison
    from services.transport.errors import TransportError

    if not bootstrap:
        typer.echo("KAIROS_KAFKA_BOOTSTRAP or --bootstrap is required", err=True)
        raise typer.Exit(2)
    try:
        allowed = allow_poison(bootstrap, partition or [])
    except TransportError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from exc
    if as_json:
        typer.echo(json.dumps({"allowed_to": {str(number): at for number, at in sorted(allowed.items())}}))
    else:
        for number, at in sorted(allowed.items()):
            typer.echo(f"partition {number}: undecodable records before {at} may pass / 分区 {number} 已允许继续")


@app.command()
def verify(
    partition: Annotated[list[int] | None, typer.Option(help="Only these; all by default. / 只检查这些分区")] = None,
    replay: Annotated[
        bool, typer.Option(help="Make the newest turn again from the one before and the log. / 由日志重放并比较")
    ] = False,
    rate: Annotated[
        float, typer.Option(help="Records per second that a restart replays. / 每秒重放记录数")
    ] = 500_000.0,
    bootstrap: Annotated[str, typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Kafka brokers.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check the state that detectors have written: whole turns, checksums, versions, place in the log, replay budget.

    Reads only; may run beside detectors. Exit code 0: a restart would go on exactly and in time; 1: it would not.
    """
    from services.detector.durability.verify import verify as run_verify
    from services.detector.durability.verify_report import as_table, as_value
    from services.detector.engine_binding import engine_of
    from services.detector.settings import DetectorSettings
    from services.transport.errors import TransportError

    if not bootstrap or rate <= 0:
        typer.echo("KAIROS_KAFKA_BOOTSTRAP or --bootstrap is required, and --rate must be positive", err=True)
        raise typer.Exit(2)
    environment = {**os.environ, "KAIROS_KAFKA_BOOTSTRAP": bootstrap}
    engine = engine_of(read_settings(DetectorSettings, "DETECTOR", environment))
    say = (lambda line: None) if as_json else (lambda line: typer.echo(line, err=True))
    try:
        reports = asyncio.run(
            run_verify(bootstrap, engine, partitions=partition or [], replay=replay, records_per_second=rate, say=say)
        )
    except TransportError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from exc
    typer.echo(json.dumps(as_value(reports), ensure_ascii=False) if as_json else as_table(reports))
    raise typer.Exit(1 if any(report.faults for report in reports) else 0)


@app.command("hand-over")
def hand_over(
    bootstrap: Annotated[str, typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Kafka brokers.")] = "",
    seconds: Annotated[float, typer.Option(help="Wait so long for the last turns. / 最长等待秒数")] = 600.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Before a release with a newer engine: let this one finish, at one place of the log, for good.

    To be run with the release that is running. Every partition stops behind a mark in the event log and its state is
    written once more; then the new release may be started. There is no way back but kairos detector rebuild.
    """
    from services.detector.hand_over import run as run_hand_over
    from services.transport.errors import TransportError

    if not bootstrap:
        typer.echo("KAIROS_KAFKA_BOOTSTRAP or --bootstrap is required", err=True)
        raise typer.Exit(2)
    try:
        marks, waiting = asyncio.run(
            run_hand_over(bootstrap, seconds=seconds, say=lambda line: typer.echo(line, err=True))
        )
    except TransportError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from exc
    if as_json:
        typer.echo(json.dumps({"marks": {str(n): at for n, at in sorted(marks.items())}, "waiting": sorted(waiting)}))
    elif waiting:
        typer.echo(
            f"partitions {sorted(waiting)} have not written their last turn: is a detector running? / 分区未完成"
        )
    else:
        typer.echo("done: stop this release and start the new one / 已完成：可停止旧版本并启动新版本")
    raise typer.Exit(1 if waiting else 0)


@app.command("confirm-time")
def confirm_time(
    at: Annotated[str, typer.Option(help="The time, RFC 3339 with offset; now by default. / 时间，默认为现在")] = "",
    bootstrap: Annotated[str, typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Kafka brokers.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Let detectors tick by a clock that they did not believe, because it had jumped or differed from the brokers'.

    Announced time cannot be taken back: look at a clock on the wall first. Holds for 15 minutes; workers whose clock
    says something else go on as before.
    """
    from services.detector.broker_admin import confirm_time as confirm
    from services.transport.errors import TransportError

    if not bootstrap:
        typer.echo("KAIROS_KAFKA_BOOTSTRAP or --bootstrap is required", err=True)
        raise typer.Exit(2)
    try:
        confirmed = datetime.fromisoformat(at) if at else datetime.now(UTC)
    except ValueError as exc:
        typer.echo(f"--at: {exc}", err=True)
        raise typer.Exit(2) from exc
    if confirmed.tzinfo is None:
        typer.echo("--at wants an offset, such as 2026-09-07T09:00:00+08:00", err=True)
        raise typer.Exit(2)
    try:
        confirm(bootstrap, round(confirmed.timestamp() * 1000))
    except TransportError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from exc
    local = confirmed.astimezone(timezone(timedelta(hours=8))).isoformat(timespec="seconds")
    if as_json:
        typer.echo(json.dumps({"confirmed": local}))
    else:
        typer.echo(f"it is {local}: detectors whose clock agrees tick by it again / 已确认时间，时钟一致的进程恢复计时")


def parse_partitions(text: str) -> list[int]:
    """Numbers of a comma list; raises ValueError."""
    try:
        numbers = sorted({int(part) for part in text.split(",") if part.strip()})
    except ValueError:
        raise ValueError(f"--partitions wants numbers such as 0,1; got {text!r}") from None
    if numbers and numbers[0] < 0:
        raise ValueError("--partitions wants numbers from 0")
    return numbers
