"""`kairos ingest`: serve the HTTP and gRPC doors; `file` loads a file; `mapping check` checks a mapping file."""

import asyncio
from typing import Annotated

import typer

from schemas.events import KINDS
from services.clock import ClockRefused, clock_from_environment
from services.ingest.file_commands import load_file, mapping_app
from services.ingest.settings import IngestSettings
from services.settings import SettingsRefused, read_settings
from services.telemetry import logs

app = typer.Typer(help="Take events in: HTTP and gRPC servers, and file loads. 事件接入。", no_args_is_help=False)

KindsOption = Annotated[
    list[str] | None,
    typer.Option("--kind", help="Take only this kind; may be repeated. Default: all eleven.", show_default=False),
]


@app.callback(invoke_without_command=True)
def serve(context: typer.Context, kind: KindsOption = None) -> None:
    """Serve the HTTP and gRPC doors until SIGTERM (settings: KAIROS_INGEST_*, KAIROS_KAFKA_BOOTSTRAP).

    启动 HTTP 与 gRPC 接入服务，收到 SIGTERM 后完成已接收的事件再退出。
    """
    if context.invoked_subcommand is not None:
        return
    kinds = _known_kinds(kind)
    logs.configure("ingest")
    try:
        settings = read_settings(IngestSettings, "INGEST")
        clock = clock_from_environment()
    except (SettingsRefused, ClockRefused) as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(2) from None
    from services.ingest.app import serve as serve_doors

    raise typer.Exit(asyncio.run(serve_doors(settings, kinds=kinds, clock=clock)))


def _known_kinds(kinds: list[str] | None) -> tuple[str, ...]:
    unknown = [name for name in kinds or () if name not in KINDS]
    if unknown:
        typer.echo(f"unknown kind {', '.join(unknown)}; want one of {', '.join(KINDS)}", err=True)
        raise typer.Exit(2)
    return tuple(kinds or KINDS)


app.command("file")(load_file)
app.add_typer(mapping_app, name="mapping")
