"""What a backtest found, for people: tables; for programs: one JSON object."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table

from services.detector.stored.capacity import Capacity, Fit, fit
from services.detector.stored.jobs import Result, counted

_DAYS_SHOWN: Final = 31


def show_result(
    result: Result, capacity: Capacity, *, seconds: float, out: Path, rejects: Path | None, as_json: bool
) -> None:
    """Print what a backtest found."""
    fitted = fit(result.tally, capacity)
    if as_json:
        typer.echo(json.dumps(summary(result, capacity, fitted, seconds=seconds, out=out, rejects=rejects)))
        return
    console = Console()
    for title, name, counts in (
        ("Moments per rule / 按规则", "rule", result.tally.rules),
        ("Moments per city / 按地市", "city", result.tally.cities),
        ("Moments per day / 按日期", "day", _newest(result.tally.days)),
    ):
        console.print(_table(title, name, counts, fitted))
    events = result.applied.total()
    lines = [
        f"{events:,} events of {result.customers:,} customers in {seconds:.1f} s "
        f"({events / max(seconds, 1e-9):,.0f}/s); {result.tally.rules.total():,} moments, "
        f"{result.tally.revisions:,} revisions in {out}",
        f"capacity: {capacity.managers:,} managers × {capacity.contacts_per_manager} = {capacity.contacts_a_day:,} "
        f"contacts a day, {capacity.contacts_a_city:,} a city; {_share(fitted)}",
    ]
    if rejects is not None:
        lines.append(f"{result.refused:,} lines refused ({counted(result.reasons)}); see {rejects}")
    if result.poison:
        lines.append(f"{result.poison:,} records are undecodable")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    for warning in warnings_of(result):
        console.print(f"! {warning}", highlight=False, markup=False, soft_wrap=True, style="yellow")


def warnings_of(result: Result) -> list[str]:
    """What was left out, for those who look at the figures."""
    found = []
    if not result.applied.total():
        found.append("no event was applied; only the clock ran / 未应用任何事件，仅时钟运行")
    if result.nothing_in:
        found.append(f"no event found in {', '.join(map(str, result.nothing_in))} / 其中未找到任何事件")
    for what, count in result.after_until.items():
        found.append(f"{count:,} {what} came after --until and were left out / --until 之后的 {count:,} 条未计入")
    if result.not_read:
        kinds = counted(result.not_read)
        found.append(f"lines of kinds that the detector does not read were left out: {kinds} / 检测不读取，已略去")
    return found


def summary(
    result: Result, capacity: Capacity, fitted: Fit, *, seconds: float, out: Path, rejects: Path | None
) -> dict[str, Any]:
    """The result as one JSON object."""
    tally, events = result.tally, result.applied.total()
    return {
        "ok": True,
        "events": events,
        "kinds": dict(result.applied),
        "customers": result.customers,
        "refused": result.refused,
        "refused_reasons": dict(result.reasons),
        "rejects_file": str(rejects) if rejects else None,
        "undecodable": result.poison,
        "after_until": dict(result.after_until),
        "not_read": result.not_read,
        "warnings": warnings_of(result),
        "moments": tally.rules.total(),
        "revisions": tally.revisions,
        "per_rule": _sorted(tally.rules),
        "per_city": _sorted(tally.cities),
        "per_day": _sorted(tally.days),
        "per_channel": _sorted(tally.channels),
        "cells": [
            {"rule_id": rule, "city": city, "day": day, "moments": count}
            for (rule, city, day), count in sorted(tally.cells.items())
        ],
        "capacity": {
            "managers": capacity.managers,
            "contacts_per_manager": capacity.contacts_per_manager,
            "contacts_a_day": capacity.contacts_a_day,
            "contacts_a_city": capacity.contacts_a_city,
            "calls_asked": fitted.asked["rule"].total(),
            "calls_fitted": fitted.fitted["rule"].total(),
            "fitted_per_rule": _sorted(fitted.fitted["rule"]),
            "fitted_per_city": _sorted(fitted.fitted["city"]),
            "fitted_per_day": _sorted(fitted.fitted["day"]),
        },
        "engine": dict(result.counts),
        "clock_ms": result.clock_ms,
        "seconds": round(seconds, 3),
        "apply_seconds": round(result.apply_seconds, 3),
        "events_per_second": round(events / max(seconds, 1e-9)),
        "out": str(out),
    }


def _table(title: str, name: str, counts: Mapping[str, int], fitted: Fit) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(name)
    for heading in ("moments", "calls", "fit"):
        table.add_column(heading, justify="right")
    for key in sorted(counts):
        table.add_row(key, f"{counts[key]:,}", f"{fitted.asked[name][key]:,}", f"{fitted.fitted[name][key]:,}")
    return table


def _share(fitted: Fit) -> str:
    if not fitted.asked["rule"].total():
        return "no call was asked for / 无需外呼"
    return f"{fitted.share:.1%} of the calls would have fitted"


def _newest(days: Mapping[str, int]) -> Mapping[str, int]:
    return {day: days[day] for day in sorted(days)[-_DAYS_SHOWN:]}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {key: counts[key] for key in sorted(counts)}
