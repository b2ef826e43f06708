"""`kairos workbench`: serve, or print a token."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Offer tasks to managers: the gRPC API of the workbench. Without a subcommand it serves.",
    no_args_is_help=False,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def run(context: typer.Context) -> None:
    """Serve until SIGTERM. Needs KAIROS_POSTGRES_DSN, KAIROS_KAFKA_BOOTSTRAP, KAIROS_SECRETS_DIR."""
    if context.invoked_subcommand is None:
        raise typer.Exit(_serve())


@app.command()
def token(
    role: Annotated[str, typer.Option(help="manager, router, admin, sre or ingest.")],
    subject: Annotated[str, typer.Option(help="Whom it names; for role manager the manager's id, such as m-NJ-01.")],
    hours: Annotated[float, typer.Option(help="Until it ends, at most 12.")] = 8.0,
    secrets_dir: Annotated[
        Path | None, typer.Option(help="Folder with token_signing_key; default KAIROS_SECRETS_DIR, else var/secrets.")
    ] = None,
) -> None:
    """Print a signed token. Whoever holds it is that person: do not keep it in files or shell history."""
    from typing import cast

    from services.transport.tokens import KeyRefused, Role, mint, read_key

    folder = secrets_dir or Path(os.environ.get("KAIROS_SECRETS_DIR") or _var_dir() / "secrets")
    try:
        print(mint(read_key(folder), subject=subject, role=cast("Role", role), hours=hours))
    except (KeyRefused, ValueError) as exc:
        print(f"kairos workbench token: {exc}", file=sys.stderr)
        raise typer.Exit(2) from None


def _serve() -> int:
    from services.clock import clock_from_environment
    from services.settings import read_settings
    from services.telemetry import logs
    from services.transport.tokens import KeyRefused
    from services.workbench_api.app import serve
    from services.workbench_api.settings import WorkbenchSettings

    settings = read_settings(WorkbenchSettings, "WORKBENCH")
    clock = clock_from_environment()
    logs.configure("workbench")
    try:
        return asyncio.run(serve(settings, clock))
    except KeyRefused as exc:
        print(f"kairos workbench: {exc}", file=sys.stderr)
        return 78  # EX_CONFIG: starting again will not help


def _var_dir() -> Path:
    return Path(os.environ.get("KAIROS_VAR_DIR") or "var")
