"""`kairos detector rebuild`: state anew from archive and log."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

EXIT_REFUSED, EXIT_UNAVAILABLE = 2, 3


def rebuild(
    archive: Annotated[
        Path | None, typer.Option("--archive", help="The archive's folder; without it, the whole log must be there.")
    ] = None,
    partition: Annotated[list[int] | None, typer.Option(help="Only these; all by default. / 只重建这些分区")] = None,
    bootstrap: Annotated[str, typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Kafka brokers.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Make the state anew from archive and log, and write it as a complete turn, from which a worker goes on.

    Refused while a detector is in the group. What was there before stays until the new turn is complete, so this may be
    interrupted and started again. 用归档与日志重建状态并写出完整一轮，检测进程据此继续；检测进程运行时拒绝执行。
    """
    from services.detector.engine.errors import RulesNotLoaded
    from services.detector.errors import DetectorError
    from services.detector.stored.archive_layout import ArchiveBroken
    from services.detector.stored.progress import Teller
    from services.detector.stored.sources import LogSource, SourceTorn
    from services.transport.errors import TransportError

    if not bootstrap:
        _refuse("KAIROS_KAFKA_BOOTSTRAP or --bootstrap is required", as_json, EXIT_REFUSED)
    source = LogSource(archive=archive, bootstrap=bootstrap)
    try:
        with Teller(quiet=as_json) as teller:
            done = _run(source, bootstrap, partition or [], teller)
    except TransportError as away:
        _refuse(str(away), as_json, EXIT_UNAVAILABLE)
    except RulesNotLoaded as missing:
        _refuse(f"the rule set at offset {missing.offset} was announced, but cannot be read or compiled", as_json, 2)
    except (DetectorError, SourceTorn, ArchiveBroken, OSError) as refused:
        _refuse(str(refused), as_json, EXIT_REFUSED)
    if as_json:
        typer.echo(json.dumps({"ok": True, "partitions": [asdict(each) for each in done]}))
        return
    for each in done:
        typer.echo(
            f"partition {each.partition}: {each.customers:,} customers, {each.pages:,} pages; a worker goes on at log "
            f"offset {each.next_log_offset:,} / 分区 {each.partition} 已重建"
        )
        if each.hand_overs:
            typer.echo(
                "  the log has hand-overs between engines: this state is what the present engine makes of all of it"
            )


def _run(source: Any, bootstrap: str, numbers: list[int], teller: Any) -> list[Any]:
    from services.detector.engine_binding import released_engine
    from services.detector.stored.jobs import RulesSpec
    from services.detector.stored.rebuild import Rebuild, plans, refuse_while_owned

    found = plans(source, numbers, refuse_while_owned(bootstrap))
    announced = source.rule_sets()
    rules = RulesSpec(announced=announced).compiled() if announced else {}

    async def run() -> list[Any]:
        async with Rebuild(bootstrap, released_engine(), source, rules) as each:
            return [await each.run(plan, tell=teller.tell) for plan in found]

    return asyncio.run(run())


def _refuse(why: str, as_json: bool, code: int) -> Any:
    typer.echo(json.dumps({"ok": False, "error": why}, ensure_ascii=False) if as_json else why, err=not as_json)
    raise typer.Exit(code)
