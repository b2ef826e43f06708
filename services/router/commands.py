"""`kairos router`: the service, and the questions people ask it."""

import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Decide whether, how and by whom customers are contacted; without a subcommand: run the service.",
    invoke_without_command=True,
    no_args_is_help=False,
    add_completion=False,
)

_HOME = timezone(timedelta(hours=8))
Language = Annotated[str, typer.Option("--language", "-l", help="zh or en.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Dsn = Annotated[str, typer.Option("--dsn", help="PostgreSQL; default KAIROS_POSTGRES_DSN, then var/endpoints.json.")]


@app.callback()
def serve(context: typer.Context) -> None:
    """Run the router until SIGTERM. Settings: KAIROS_POSTGRES_DSN, KAIROS_KAFKA_BOOTSTRAP, KAIROS_ROUTER_*."""
    if context.invoked_subcommand is not None:
        return
    from services.clock import ClockRefused
    from services.router.app import serve as run
    from services.router.settings import RouterSettings
    from services.settings import SettingsRefused, read_settings
    from services.telemetry import logs
    from services.transport.tokens import KeyRefused

    logs.configure("router")
    try:
        code = run(read_settings(RouterSettings, "ROUTER"))
    except (SettingsRefused, ClockRefused, KeyRefused) as exc:
        sys.stderr.write(f"kairos router: {exc}\n")
        raise typer.Exit(2) from exc
    raise typer.Exit(code)


@app.command()
def why(
    subject: Annotated[str, typer.Argument(help="A customer id, or the id of a moment.")],
    language: Language = "zh",
    limit: Annotated[int, typer.Option(help="At most so many moments of a customer.")] = 50,
    as_json: Json = False,
    dsn: Dsn = "",
) -> None:
    """Why was this customer (not) called? Every moment has one row that says so."""
    from services.router.store import queries

    with _database(dsn) as db:
        if subject.isdigit():
            rows = queries.why_customer(db, int(subject), limit)
        else:
            rows = queries.why_moment(db, subject)
    if not rows:
        typer.echo("没有该客户或时刻的记录" if language == "zh" else "nothing is known of this customer or moment")
        raise typer.Exit(1)
    for row in rows:
        typer.echo(json.dumps(_plain(row), ensure_ascii=False) if as_json else _sentence(row, language))


@app.command()
def backlog(
    city: Annotated[str, typer.Option(help="City code; empty = all.")] = "",
    language: Language = "zh",
    as_json: Json = False,
    dsn: Dsn = "",
) -> None:
    """What waits, and for what, by city."""
    from services.router.reasons import Reason, sentence
    from services.router.store import queries

    with _database(dsn) as db:
        rows = queries.backlog_by_reason(db, city or None)
    for row in rows:
        if as_json:
            typer.echo(json.dumps(_plain(row), ensure_ascii=False))
        else:
            text = sentence(Reason(row["reason"]), language)
            typer.echo(f"{row['city'] or '-':4} {row['row_state']:8} {row['moments']:>9}  {text} ({row['reason']})")
    if not rows and not as_json:
        typer.echo("没有待处理的时刻" if language == "zh" else "nothing waits")


def _database(dsn: str) -> Any:
    from services.router.store.database import connect
    from services.transport.errors import TransportUnavailable

    found = dsn or os.environ.get("KAIROS_POSTGRES_DSN", "") or _endpoint("postgres_dsn")
    if not found:
        sys.stderr.write("kairos router: no database: set KAIROS_POSTGRES_DSN or start the stack\n")
        raise typer.Exit(2)
    try:
        return connect(found, "question")
    except TransportUnavailable as exc:
        sys.stderr.write("kairos router: the database does not answer\n")
        raise typer.Exit(1) from exc


def _endpoint(name: str) -> str:
    """An address of the local stack, when one is running here."""
    path = os.path.join(os.environ.get("KAIROS_VAR_DIR", "var"), "endpoints.json")
    try:
        with open(path, encoding="utf-8") as file:
            return str(json.load(file).get(name, ""))
    except (OSError, ValueError):
        return ""


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    from services.router.reasons import Reason, sentence

    reason = Reason(row["reason"])
    return {**row, "reason_zh": sentence(reason, "zh"), "reason_en": sentence(reason, "en")}


def _sentence(row: Mapping[str, Any], language: str) -> str:
    from services.router.reasons import Reason, sentence

    zh = language == "zh"
    parts = [f"{_local(row['detected_at'])} {row['rule_id']} P{row['priority']} {row['row_state']}"]
    parts.append(sentence(Reason(row["reason"]), language))
    if row["waited_for"]:
        parts.append(("此前：" if zh else "before: ") + sentence(Reason(row["waited_for"]), language))
    if row["waits_until"] and row["row_state"] == "PENDING":
        parts.append(("最早 " if zh else "not before ") + _local(row["waits_until"]))
    if row["detail"]:
        parts.append(str(row["detail"]))
    if row["manager_id"]:
        parts.append(f"{'经理' if zh else 'manager'} {row['manager_id']} ({row['task_state']}, v{row['task_version']})")
    parts.append(f"{'时刻' if zh else 'moment'} {row['moment_id']}")
    return " · ".join(parts)


def _local(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=_HOME).strftime("%Y-%m-%d %H:%M:%S")
