"""`kairos rules backtest`: options in, files and a table out."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.json_form.checks import date_of, instant_ms
from services.detector.authoring.rules_files import SHIPPED, laid_over, read_documents
from services.detector.engine.errors import RuleError

_LOCAL_MIDNIGHT = "T00:00:00+08:00"
EXIT_NOTHING, EXIT_REFUSED, EXIT_UNAVAILABLE = 1, 2, 3

RULES = typer.Option("--rules", help="Drafts: laid over what ships, by file name and rule id.", show_default=False)
ONLY = typer.Option("--only", help="The files of --rules alone, without the shipped ones.")
BOOTSTRAP = typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Kafka brokers.")
FROM_START = typer.Option("--from-start", help="A draft holds from the log's first tick, announced there or not.")


def backtest(
    events: Annotated[
        list[Path] | None,
        typer.Option("--events", help="An archive's folder, or files of events. More files may follow."),
    ] = None,
    more: Annotated[
        list[Path] | None, typer.Argument(help="Further files, after --events.", show_default=False)
    ] = None,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="The event log of the brokers; behind an archive, what it does not have.")
    ] = False,
    customers: Annotated[
        list[Path] | None,
        typer.Option("--customers", help="Customer records that were known at the beginning."),
    ] = None,
    history: Annotated[
        list[Path] | None,
        typer.Option("--history", help="Events of the past, files or a folder; they fill state only."),
    ] = None,
    rules: Annotated[Path | None, RULES] = None,
    only: Annotated[bool, ONLY] = False,
    from_start: Annotated[bool, FROM_START] = False,
    from_: Annotated[
        str, typer.Option("--from", help="Tell moments found from then on; what was before only fills state.")
    ] = "",
    until: Annotated[
        str, typer.Option("--until", help="Let the clock run to then. A date is its local midnight.")
    ] = "",
    out: Annotated[Path, typer.Option("--out", help="One NDJSON line per revision of a moment.")] = Path(
        "moments.ndjson"
    ),
    rejects: Annotated[
        Path | None, typer.Option("--rejects", help="Where refused lines go. Default: OUT with .rejects.ndjson.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Partitions of a log to run at a time.")] = 1,
    managers: Annotated[int, typer.Option(help="Phone managers of the province.")] = 1_250,
    contacts: Annotated[int, typer.Option("--contacts-per-manager", help="Contacts of one manager in a day.")] = 60,
    bootstrap: Annotated[str, BOOTSTRAP] = "127.0.0.1:9092",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run the live engine over stored events, the clock included, and write every moment it finds.

    Files hold events as upstream systems send them: NDJSON, Parquet or CSV, with a `kind` or named for it, and if need
    be `ingested_at`. There the clock ticks each minute; in a log as it did when it was live, and then on to --until.
    Without --rules a log is run with the rule sets that it announces, files with those that ship.

    用线上引擎回放已存事件（含时钟），输出每个时刻的每个版本。
    """
    from services.detector.stored.backtest import Span
    from services.detector.stored.capacity import Capacity
    from services.detector.stored.jobs import EventFiles, NothingToRun, run_lines, run_log
    from services.detector.stored.outputs import refuse_overwriting
    from services.detector.stored.progress import Teller
    from services.detector.stored.telling import show_result
    from services.transport.errors import TransportError

    started = time.monotonic()
    rejected = rejects or out.with_name(f"{out.stem}.rejects.ndjson")
    paths = [*(events or []), *(more or [])]
    try:
        span = Span(parse_instant(from_, "--from"), parse_instant(until, "--until"))
        capacity = Capacity(managers, contacts)
        source = log_source(paths, kafka=kafka, bootstrap=bootstrap)
        refuse_overwriting(
            {"--out": out, "--rejects": rejected},
            {"--events": paths, "--customers": customers or [], "--history": history or [],
             "--rules": [rules] if rules else []},
        )  # fmt: skip
        if rejects is None:
            rejected.unlink(missing_ok=True)  # of an earlier run
        with Teller(quiet=as_json) as teller:
            if source is None:
                compiled = draft_spec(rules, only=only, from_start=from_start).compiled()
                files = EventFiles(paths, customers or [], history or [])
                result = run_lines(files, compiled, span=span, out=out, rejects=rejected, tell=teller.tell)
            elif customers or history:
                raise ValueError("--customers and --history go with files of events; a log holds its own")
            else:
                spec = log_spec(source, rules, only=only, from_start=from_start)
                result = run_log(source, spec, span=span, out=out, jobs=jobs, tell=teller.tell)
    except TransportError as away:
        refuse(str(away), as_json=as_json, code=EXIT_UNAVAILABLE)
    except NothingToRun as nothing:
        refuse(str(nothing), as_json=as_json, code=EXIT_NOTHING)
    except _refusals() as fault:
        refuse(str(fault), as_json=as_json)
    show_result(
        result, capacity, seconds=time.monotonic() - started, out=out, rejects=rejected if result.refused else None,
        as_json=as_json,
    )  # fmt: skip


def log_source(paths: Sequence[Path], *, kafka: bool, bootstrap: str) -> Any:
    """Return the log that is meant, None for lines; raises ValueError."""
    from services.detector.stored.archive_layout import Archive
    from services.detector.stored.sources import LogSource

    folders = [path for path in paths if Archive(path).is_there]
    if not paths and not kafka:
        raise ValueError("want --events PATH, an archive's folder or files of lines, or --kafka")
    if len(folders) > 1 or (folders and len(paths) > 1) or (kafka and len(folders) != len(paths)):
        raise ValueError("want one archive, or --kafka, or both, or files of lines")
    if not folders and not kafka:
        return None
    return LogSource(archive=folders[0] if folders else None, bootstrap=bootstrap if kafka else "")


def draft_spec(directory: Path | None, *, only: bool, from_start: bool) -> Any:
    """Return the rules to run with: what ships, with a draft laid over it; raises RuleError."""
    from services.detector.stored.jobs import RulesSpec

    if directory is None:
        return RulesSpec(draft=read_documents(SHIPPED), version="shipped@0", from_start=from_start)
    return RulesSpec(draft=draft_documents(directory, only=only), version="draft@0", from_start=from_start)


def log_spec(source: Any, directory: Path | None, *, only: bool, from_start: bool) -> Any:
    """Return the rules for a log: a draft, else what it announces, else what ships; raises RuleError."""
    from services.detector.stored.jobs import RulesSpec

    announced = source.rule_sets() if directory is None else {}
    if announced:
        return RulesSpec(announced=announced)
    return draft_spec(directory, only=only, from_start=from_start)


def draft_documents(directory: Path, *, only: bool) -> Mapping[str, str]:
    """Return the documents of a draft, laid over what ships; raises RuleError."""
    draft = read_documents(directory)
    return draft if only else laid_over(draft, read_documents(SHIPPED))


def parse_instant(text: str, option: str) -> int | None:
    """Return UTC milliseconds of RFC 3339, a local date, or milliseconds; None for nothing; raises ValueError."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    found = instant_ms(text if date_of(text) is None else text + _LOCAL_MIDNIGHT)
    if found is None:
        raise ValueError(f"{option} wants 2026-09-07T09:50:00+08:00, 2026-09-07 or UTC milliseconds; got {text!r}")
    return found


def refuse(why: str, *, as_json: bool, code: int = EXIT_REFUSED) -> Any:
    """Say why nothing is done, and end."""
    if as_json:
        typer.echo(json.dumps({"ok": False, "error": why}, ensure_ascii=False))
    else:
        typer.echo(why, err=True)
    raise typer.Exit(code)


def _refusals() -> tuple[type[Exception], ...]:
    from services.detector.engine.errors import RulesNotLoaded
    from services.detector.errors import DetectorError
    from services.detector.stored.archive_layout import ArchiveBroken
    from services.detector.stored.sources import SourceTorn

    return (RuleError, ValueError, OSError, RulesNotLoaded, DetectorError, ArchiveBroken, SourceTorn)
