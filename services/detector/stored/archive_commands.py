"""`kairos archive`: the event log as Parquet, and a look at whether all of it is there."""

import asyncio
import json
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from services.settings import read_settings

EXIT_REFUSED, EXIT_UNAVAILABLE = 2, 3

app = typer.Typer(
    help="Keep the event log as Parquet by kind and day, each offset once. 事件归档。", invoke_without_command=True
)
_PARTITIONS = typer.Option("--partitions", help="Only these, e.g. 0,1; all by default.")
_JSON = typer.Option("--json", help="Print one JSON object at the end.")


@app.callback(invoke_without_command=True)
def archive(
    context: typer.Context,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop where the log ends now, instead of following it.")
    ] = False,
    partitions: Annotated[str, _PARTITIONS] = "",
    accept_gap: Annotated[
        bool, typer.Option("--accept-gap", help="Go on although records were trimmed before they were archived.")
    ] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Archive the event log and its control records until SIGTERM. It may be killed at any time.

    将事件日志按类型与本地日期归档为 Parquet，每个位移恰好一次；可随时中断，重启后自动续写。
    """
    if context.invoked_subcommand is not None:
        return
    from services.clock import clock_from_environment
    from services.detector.commands import parse_partitions
    from services.detector.errors import DetectorError
    from services.detector.stored.archive_layout import ArchiveBroken, ArchiveLocked
    from services.detector.stored.archive_settings import ArchiveSettings
    from services.detector.stored.archiver import Archiver, LogGone
    from services.detector.stored.progress import Teller
    from services.telemetry.health import Health, HealthServer
    from services.telemetry.logs import configure
    from services.transport.errors import TransportError

    configure("archive", level="WARNING" if until_end else "INFO")
    settings = read_settings(ArchiveSettings, "ARCHIVE")
    started = time.monotonic()
    health = Health("archive", clock_from_environment())
    try:
        numbers = parse_partitions(partitions)
        with (
            Teller(quiet=as_json or not until_end) as teller,
            HealthServer(health, host=settings.bind_host, port=0 if until_end else settings.metrics_port),
        ):
            archiver = Archiver(settings, numbers, accept_gap=accept_gap, tell=teller.tell)
            health.add_ready("log", lambda: None if archiver.is_reading else "the log is not read yet")
            summary = asyncio.run(_run(archiver, until_end=until_end))
    except (ArchiveBroken, ArchiveLocked, LogGone, DetectorError, ValueError) as fault:
        _end(as_json, {"ok": False, "error": str(fault)}, str(fault), EXIT_REFUSED)
    except TransportError as fault:
        _end(
            as_json,
            {"ok": False, "error": str(fault)},
            f"{fault}; the same command goes on from here",
            EXIT_UNAVAILABLE,
        )
    seconds = time.monotonic() - started
    fields = {
        "ok": True,
        "folder": str(settings.folder),
        "records": summary.records,
        "kinds": dict(sorted(summary.counts.items())),
        "stretches": summary.stretches,
        "files": summary.files,
        "bytes": summary.bytes,
        "leftovers_removed": summary.leftovers,
        "next_offsets": {str(number): at for number, at in sorted(summary.next_offsets.items())},
        "seconds": round(seconds, 3),
        "records_per_second": round(summary.records / max(seconds, 1e-9)),
    }
    text = (
        f"{summary.records:,} records archived in {seconds:.1f} s ({fields['records_per_second']:,}/s): "
        f"{summary.files:,} files, {summary.bytes:,} bytes in {settings.folder}"
    )
    _end(as_json, fields, text, 0)


@app.command()
def verify(
    folder: Annotated[Path | None, typer.Argument(help="The archive; var/archive by default.")] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Check that every offset is there once, and that every file is what was written.

    检查归档是否完整：每个位移恰好一次，文件未被改动。
    """
    from services.detector.stored.archive_layout import Archive, ArchiveBroken
    from services.detector.stored.archive_settings import ArchiveSettings
    from services.detector.stored.archive_writer import faults_of

    found = Archive(folder or read_settings(ArchiveSettings, "ARCHIVE", {"KAIROS_KAFKA_BOOTSTRAP": "-"}).folder)
    faults: list[str] = [] if found.is_there else [f"{found.root} holds no archive"]
    ends: dict[str, list[int]] = {}
    for number in found.partitions():
        try:
            faults += faults_of(found, number)
            stretches = found.stretches(number)
            ends[str(number)] = [stretches[0].first_offset, stretches[-1].next_offset]
        except ArchiveBroken as broken:
            faults.append(str(broken))
    body = {"ok": not faults, "folder": str(found.root), "offsets": ends, "faults": faults}
    lines = [f"partition {number}: offsets {first} to {end - 1}" for number, (first, end) in ends.items()]
    _end(as_json, body, "\n".join([*lines, *(faults or ["all is there"])]), 1 if faults else 0)


async def _run(archiver: Any, *, until_end: bool) -> Any:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, archiver.stop)
    return await archiver.run(until_end=until_end)


def _end(as_json: bool, fields: dict[str, Any], text: str, code: int) -> Any:
    typer.echo(json.dumps(fields, ensure_ascii=False) if as_json else text, err=code != 0 and not as_json)
    raise typer.Exit(code)
