"""`kairos detector`: serve, and what operators do with it."""

import asyncio
import json
from typing import Annotated

import typer

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
        allowed = asyncio.run(allow_poison(bootstrap, partition or []))
    except TransportError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from exc
    if as_json:
        typer.echo(json.dumps({"allowed_to": {str(number): at for number, at in sorted(allowed.items())}}))
    else:
        for number, at in sorted(allowed.items()):
            typer.echo(f"partition {number}: undecodable records before {at} may pass / 分区 {number} 已允许继续")


def parse_partitions(text: str) -> list[int]:
    """Numbers of a comma list; raises ValueError."""
    try:
        numbers = sorted({int(part) for part in text.split(",") if part.strip()})
    except ValueError:
        raise ValueError(f"--partitions wants numbers such as 0,1; got {text!r}") from None
    if numbers and numbers[0] < 0:
        raise ValueError("--partitions wants numbers from 0")
    return numbers
