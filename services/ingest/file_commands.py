"""`kairos ingest file` and `kairos ingest mapping check`: arguments, progress and summary; the load is in files/."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from schemas.events import KINDS
from schemas.reasons import EXPLANATIONS, Reason
from services.clock import ClockRefused, clock_from_environment
from services.ingest.errors import BrokersUnavailable, FileRefused, MappingFault
from services.ingest.files.checkpoint import Progress, read_progress
from services.ingest.files.load import FileLoad
from services.ingest.files.mapping_check import columns_used, load_mapping
from services.ingest.files.pacing import NoPacer, Pacer, read_endpoints
from services.ingest.files.plan import FileOptions, Opened, open_file
from services.ingest.publish import EventPublisher
from services.ingest.settings import FileSettings, read_secret
from services.settings import SettingsRefused, read_settings
from services.telemetry import logs
from services.transport.errors import TransportError
from services.transport.kafka_producer import KafkaProducer

EXIT_REFUSED, EXIT_UNAVAILABLE, EXIT_STOPPED = 2, 3, 130
_PLAIN_LINE_SECONDS = 5.0

mapping_app = typer.Typer(help="Mapping files: how foreign files become events. 映射文件。", no_args_is_help=True)


def load_file(
    path: Annotated[Path, typer.Argument(help="CSV (.csv, .tsv), NDJSON (.ndjson, .jsonl) or Parquet (.parquet).")],
    kind: Annotated[
        str | None, typer.Option(help=f"Kind of the events: {', '.join(KINDS)}.", show_default=False)
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="Mapping file (YAML) for columns that are not ours.")] = None,
    source: Annotated[str | None, typer.Option(help="Source of events that name none.")] = None,
    history: Annotated[
        bool, typer.Option("--history", help="The past: fills state, raises only what still blocks.")
    ] = False,
    rejects: Annotated[Path | None, typer.Option(help="Where refused rows go. Default: under var/ingest/.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew although a checkpoint exists.")] = False,
    no_pacing: Annotated[bool, typer.Option("--no-pacing", help="Do not wait for the detector.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as one JSON line on stdout.")] = False,
) -> None:
    """Load a file: validated, published, resumable. The same command after an interruption goes on where it was.

    导入文件：校验、发布、可断点续传；中断后重复同一命令即可继续。
    """
    logs.configure("ingest", level="WARNING")
    try:
        settings = read_settings(FileSettings, "INGEST")
        clock = clock_from_environment()
        file_mapping = load_mapping(mapping) if mapping else None
        options = FileOptions(
            path=path,
            kind=_kind(kind, file_mapping.kind if file_mapping else None),
            mapping=file_mapping,
            source=source,
            is_history=history,
            state_dir=settings.var_dir / "ingest",
            rejects_path=rejects,
            customer_key=read_secret(_secrets_dir(settings), "customer_hash_key"),
        )
        opened = open_file(options)
    except (SettingsRefused, ClockRefused, MappingFault, FileRefused, ValueError) as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(EXIT_REFUSED) from None
    options.state_dir.mkdir(parents=True, exist_ok=True)
    start = (None if restart else read_progress(opened.plan.checkpoint_path)) or Progress()
    started = time.monotonic()
    bootstrap = settings.kafka_bootstrap or str(read_endpoints(settings.var_dir).get("kafka", "127.0.0.1:9092"))
    producer = KafkaProducer(bootstrap, client_id="kairos-ingest-file", deadline_seconds=20.0)
    pacer: Pacer = NoPacer(settings) if no_pacing else Pacer(settings)
    load = FileLoad(opened.plan, producer, EventPublisher(producer, clock=clock), pacer)
    code = 0
    if not start.is_done:
        with _Teller(path.name, opened.total, quiet=as_json) as teller:
            code = asyncio.run(_run(load, producer, opened, start, teller.tell))
            start_progress, progress = start, load.progress
    else:
        start_progress = progress = start
    _summarise(opened, start_progress, progress, pacer, time.monotonic() - started, as_json=as_json, code=code)
    raise typer.Exit(code)


@mapping_app.command("check")
def check_mapping(path: Annotated[Path, typer.Argument(help="The mapping file.")]) -> None:
    """Check a mapping file; every fault names the key and what would be right. Exit code 2 when there are some.

    检查映射文件，逐条指出错误所在的键及正确写法。
    """
    try:
        mapping = load_mapping(path)
    except MappingFault as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(EXIT_REFUSED) from None
    typer.echo(f"{path}: good; makes {mapping.kind} events from the columns {', '.join(sorted(columns_used(mapping)))}")
    if mapping.needs_key:
        typer.echo("it hashes ids: KAIROS_SECRETS_DIR must hold customer_hash_key when it is used")


async def _run(
    load: FileLoad, producer: KafkaProducer, opened: Opened, start: Progress, tell: Callable[[Progress, str], None]
) -> int:
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        load.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    load.progress = start
    try:
        await producer.open()
        await load.run(opened.batches(start), start, tell=tell)
    except (BrokersUnavailable, TransportError) as exc:
        typer.echo(f"Kafka is away: {exc}; the same command goes on from here", err=True)
        return EXIT_UNAVAILABLE
    except FileRefused as exc:
        typer.echo(str(exc), err=True)
        return EXIT_REFUSED
    finally:
        await producer.close()
    return 0 if load.progress.is_done else EXIT_STOPPED


class _Teller:
    """A progress bar on a terminal, a line every few seconds elsewhere, always on stderr."""

    def __init__(self, name: str, total: int, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn(name),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._is_plain = not quiet and not console.is_terminal
        self._task = self._bar.add_task(name, total=total, counts="")
        self._said_at = time.monotonic()
        self._name, self._total = name, total

    def tell(self, progress: Progress, waiting: str) -> None:
        """Show how far the load is, and what it waits for."""
        counts = f"{progress.accepted:,} accepted, {progress.rejected:,} rejected" + (
            f" · {waiting}" if waiting else ""
        )
        self._bar.update(self._task, completed=progress.position.offset, counts=counts)
        if self._is_plain and time.monotonic() - self._said_at > _PLAIN_LINE_SECONDS:
            self._said_at = time.monotonic()
            share = 100 * progress.position.offset // max(1, self._total)
            print(f"{self._name}: {share} %, {counts}", file=sys.stderr, flush=True)

    def __enter__(self) -> "_Teller":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _kind(given: str | None, mapped: str | None) -> str:
    if given is not None and given not in KINDS:
        raise FileRefused(f"--kind {given}: want one of {', '.join(KINDS)}")
    if given is None and mapped is None:
        raise FileRefused(f"want --kind, one of {', '.join(KINDS)}, or a mapping file, which names it")
    if given is not None and mapped is not None and given != mapped:
        raise FileRefused(f"--kind {given} but the mapping file makes {mapped}")
    return given or mapped or ""


def _secrets_dir(settings: FileSettings) -> Path | None:
    if settings.secrets_dir is not None:
        return settings.secrets_dir
    known = read_endpoints(settings.var_dir).get("secrets_dir")
    return Path(known) if isinstance(known, str) else None


def _summarise(
    opened: Opened, start: Progress, end: Progress, pacer: Pacer, seconds: float, *, as_json: bool, code: int
) -> None:
    events = end.accepted + end.rejected - start.accepted - start.rejected
    summary: dict[str, Any] = {
        "file": opened.plan.file_name,
        "kind": opened.plan.kind,
        "accepted": end.accepted,
        "rejected": end.rejected,
        "reasons": dict(end.reasons),
        "duplicates": end.duplicates,
        "is_done": end.is_done,
        "resumed_at_line": start.position.line,
        "seconds": round(seconds, 3),
        "events_per_second": round(events / seconds) if seconds > 0 else 0,
        "rejects_file": str(opened.plan.rejects_path) if end.rejected else None,
        "checkpoint": asdict(end.position),
        "exit_code": code,
    }
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return
    console = Console()
    state = "loaded" if end.is_done else "stopped; the same command goes on from here"
    if start.is_done:
        state = "was loaded before (--restart loads it again)"
    console.print(f"{opened.plan.file_name}: {state}", highlight=False, soft_wrap=True)
    console.print(
        f"  {end.accepted:,} accepted, {end.rejected:,} rejected, {end.duplicates:,} duplicates in "
        f"{seconds:.1f} s ({summary['events_per_second']:,} events/s)",
        highlight=False,
        soft_wrap=True,
    )
    for reason, count in sorted(end.reasons.items(), key=lambda each: -each[1]):
        console.print(f"  {count:>9,}  {reason}: {EXPLANATIONS[Reason(reason)].en}", highlight=False, soft_wrap=True)
    if end.rejected:
        console.print(f"  refused rows: {opened.plan.rejects_path}", highlight=False, soft_wrap=True)
    if pacer.warning:
        console.print(f"  note: {pacer.warning}", highlight=False, soft_wrap=True)
