"""`kairos rules shadow`: a draft beside live, and what it would have done otherwise."""

import json
import re
import signal
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from services.detector.engine.errors import RuleError
from services.detector.stored.backtest_commands import BOOTSTRAP, EXIT_UNAVAILABLE, ONLY, draft_spec, refuse

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def shadow(
    rules: Annotated[Path, typer.Option("--rules", help="Drafts: laid over what ships, by file name and rule id.")],
    only: Annotated[bool, ONLY] = False,
    duration: Annotated[str, typer.Option("--for", help="How long, such as 90s, 30m, 2h, 1d; else until Ctrl-C.")] = "",
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop where the log ends now, instead of following it.")
    ] = False,
    partition: Annotated[list[int] | None, typer.Option(help="Only these; all by default. / 只比较这些分区")] = None,
    out: Annotated[Path, typer.Option("--out", help="One NDJSON line per moment that differs.")] = Path(
        "differences.ndjson"
    ),
    bootstrap: Annotated[str, BOOTSTRAP] = "127.0.0.1:9092",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a draft beside live from the newest written state on, and tell what differs, customer by customer.

    Reads only: no consumer group, no moments written. Both sides begin with the live state, open episodes included, as
    they would if the draft were published then. 草稿规则与线上并行试运行，逐客户报告差异；只读，不写任何时刻。
    """
    from services.detector.engine.errors import RulesNotLoaded
    from services.detector.engine_binding import released_engine
    from services.detector.errors import DetectorError
    from services.detector.stored.comparing import Comparison
    from services.detector.stored.outputs import refuse_overwriting
    from services.detector.stored.progress import Teller
    from services.detector.stored.shadow import Shadow
    from services.transport.errors import TransportError

    comparison = Comparison()
    started = time.monotonic()
    try:
        seconds = parse_duration(duration)
        refuse_overwriting({"--out": out}, {"--rules": [rules]})
        run = Shadow(
            bootstrap, released_engine(), draft_spec(rules, only=only, from_start=False).compiled(), comparison
        )
        customers = run.open(partition or [])
        stopped: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda got, _: stopped.append(got))
        ends = started + seconds if seconds else None
        with Teller(quiet=as_json) as teller:
            run.follow(
                until=lambda: bool(stopped) or (ends is not None and time.monotonic() > ends),
                until_end=until_end,
                tell=teller.tell,
            )
        counts = _write(comparison, out)
    except TransportError as away:
        refuse(str(away), as_json=as_json, code=EXIT_UNAVAILABLE)
    except (RuleError, DetectorError, RulesNotLoaded, ValueError, OSError) as fault:
        refuse(str(fault), as_json=as_json)
    _show(comparison, counts, run.records, customers, out, as_json=as_json)


def parse_duration(text: str) -> float:
    """Return seconds of `90s`, `30m`, `2h` or `1d`; 0 for nothing; raises ValueError."""
    if not text:
        return 0.0
    found = re.fullmatch(r"([0-9]+)([smhd])", text)
    if found is None or int(found[1]) == 0:
        raise ValueError(f"--for wants a time such as 90s, 30m, 2h or 1d; got {text!r}")
    return float(int(found[1]) * _UNITS[found[2]])


def _write(comparison: Any, out: Path) -> Counter[tuple[str, str]]:
    """Write the differences; return how many there are by rule and kind."""
    from services.detector.stored.moment_lines import moment_fields

    counts: Counter[tuple[str, str]] = Counter()
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    with part.open("w", encoding="utf-8") as file:
        for each in comparison.differences():
            counts[each.rule_id, each.what] += 1
            body = asdict(each)
            for side in ("live", "draft"):
                body[side] = moment_fields(body[side]) if body[side] else None
            file.write(json.dumps(body, ensure_ascii=False) + "\n")
    part.replace(out)
    return counts


def _show(
    comparison: Any, counts: Counter[tuple[str, str]], records: int, customers: int, out: Path, *, as_json: bool
) -> None:
    from rich.console import Console
    from rich.table import Table

    from services.detector.stored.comparing import CHANGED, ONLY_DRAFT, ONLY_LIVE

    kinds = (ONLY_LIVE, ONLY_DRAFT, CHANGED)
    ids = sorted({*comparison.same, *(rule for rule, _ in counts)})
    rows = {rule: {"same": comparison.same[rule], **{kind: counts[rule, kind] for kind in kinds}} for rule in ids}
    if as_json:
        body = {"ok": True, "records": records, "customers": customers, "differences": counts.total(), "rules": rows}
        typer.echo(json.dumps({**body, "out": str(out)}))
        return
    table = Table(title="Draft beside live / 草稿与线上", title_justify="left")
    table.add_column("rule")
    for heading in ("same revisions", "only live", "only draft", "otherwise"):
        table.add_column(heading, justify="right")
    for rule, row in rows.items():
        table.add_row(rule, *(f"{number:,}" for number in row.values()))
    console = Console()
    console.print(table)
    console.print(
        f"{records:,} records, {customers:,} customers; {counts.total():,} moments differ, see {out}",
        highlight=False,
        soft_wrap=True,
    )
