"""`kairos rules backtest`: options in, files and a table out."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.json_form.checks import date_of, instant_ms
from services.detector.engine.errors import RuleError
from services.detector.rule_files import SHIPPED, laid_over, read_documents

_LOCAL_MIDNIGHT = "T00:00:00+08:00"


def backtest(
    events: Annotated[
        list[Path], typer.Option("--events", help="NDJSON lines of events. More files may follow.", show_default=False)
    ],
    more: Annotated[
        list[Path] | None, typer.Argument(help="Further files, after --events.", show_default=False)
    ] = None,
    customers: Annotated[
        list[Path] | None,
        typer.Option("--customers", help="NDJSON of customer records that were known at the beginning."),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules", help="Drafts: laid over the shipped rules, by file name and rule id.", show_default=False
        ),
    ] = None,
    only: Annotated[bool, typer.Option("--only", help="The files of --rules alone, without the shipped ones.")] = False,
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
    managers: Annotated[int, typer.Option(help="Phone managers of the province.")] = 1_250,
    contacts: Annotated[int, typer.Option("--contacts-per-manager", help="Contacts of one manager in a day.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run the live engine over stored events, the clock included, and write every moment it finds.

    用线上引擎回放已存事件（含时钟），输出每个时刻的每个版本。
    """
    from services.detector.stored.backtest import Span
    from services.detector.stored.capacity import Capacity
    from services.detector.stored.jobs import NothingToRun, draft_rules, run_lines
    from services.detector.stored.telling import Teller, show_result

    started = time.monotonic()
    rejects = rejects or out.with_name(f"{out.stem}.rejects.ndjson")
    try:
        span = Span(parse_instant(from_, "--from"), parse_instant(until, "--until"))
        capacity = Capacity(managers, contacts)
        compiled = draft_rules(draft_documents(rules, only=only), "draft@0" if rules else "shipped@0")
        with Teller(quiet=as_json) as teller:
            result = run_lines(
                [*events, *(more or [])], customers or [], compiled, span=span, out=out, rejects=rejects,
                tell=teller.tell,
            )  # fmt: skip
    except (RuleError, NothingToRun, ValueError, OSError) as fault:
        refuse(str(fault), as_json=as_json)
    show_result(
        result, capacity, seconds=time.monotonic() - started, out=out, rejects=rejects if result.refused else None,
        as_json=as_json,
    )  # fmt: skip


def draft_documents(directory: Path | None, *, only: bool) -> Mapping[str, str]:
    """Return the documents to run with: what ships, with a draft laid over it; raises RuleError."""
    if directory is None:
        return read_documents(SHIPPED)
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


def refuse(why: str, *, as_json: bool) -> Any:
    """Say why nothing is done, and end."""
    if as_json:
        print(json.dumps({"ok": False, "error": why}, ensure_ascii=False))
    else:
        typer.echo(why, err=True)
    raise typer.Exit(2)
