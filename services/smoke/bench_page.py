"""Renders docs/benchmarks.md from the results of the benchmarks; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.smoke.bench_promises import promises_of

HEAD = """# Benchmarks

Figures with the command that measures each, and the revision that it measured; each command renders this page anew,
and `make bench` runs those that are done in minutes.
Generators, brokers, database and services share one machine, so rates are a floor, and CPU per event tells more than
events per second. Results as JSON: `var/bench/`.

基准测试：以下数字均由所列命令在同一台机器上测得；发送端、Kafka、PostgreSQL 与各服务共用处理器。
"""


def render_page(results: Mapping[str, Mapping[str, Any]], *, plots: Mapping[str, Sequence[str]] | None = None) -> str:
    """The whole page; benchmarks without a result are left out. plots: per benchmark, their places beside the page."""
    drawn = plots or {}
    return "\n".join(
        [
            HEAD,
            *promised(results),
            *(section(result, drawn.get(result["name"], ())) for result in results.values()),
        ]
    )


def section(result: Mapping[str, Any], plots: Sequence[str] = ()) -> str:
    """One benchmark: its command, machine, figures, and its plots where there are any."""
    machine = result["machine"]
    lines = [
        f"## {result['name']}: {result['about']}",
        "",
        f"`{result['command']}`, {result['measured_at'][:10]}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" {machine['processor']}, Python {machine['python']}" + revision(machine),
        "",
        *([result["notes"]] if result.get("notes") else []),
        *table(result["figures"]),
        "",
    ]
    for plot in plots:
        lines += [f"![{result['name']}]({plot})", ""]
    return "\n".join(lines)


def promised(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A table: promised, measured, kept or not; what was not measured says so."""
    lines = ["## Promised and measured", "", "| | promised | measured | |", "|---|---|---|---|"]
    for promise, figure in promises_of(results):
        told = "not measured | |"
        if figure is not None:
            told = f"{shown(figure)} | {'kept' if promise.is_kept(figure) else '**not kept**'} |"
        lines.append(f"| {promise.about} | {'≥' if promise.is_least else '≤'} {shown(promise.bound)} | {told}")
    return [*lines, ""]


def revision(machine: Mapping[str, Any]) -> str:
    """Which code was measured, where that is known."""
    return f", at {machine['revision']}" if machine.get("revision") else ""


def table(figures: Mapping[str, Any]) -> list[str]:
    """A table: a row per named group of figures, or one row per figure where they are plain."""
    groups = {name: value for name, value in figures.items() if isinstance(value, Mapping)}
    lines: list[str] = []
    if groups:
        columns = list(dict.fromkeys(name for group in groups.values() for name in group))
        lines += [
            "| | " + " | ".join(column.replace("_", " ") for column in columns) + " |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for name, group in groups.items():
            lines.append(f"| {name} | " + " | ".join(shown(group.get(column)) for column in columns) + " |")
    plain = {name: value for name, value in figures.items() if name not in groups}
    if plain:
        lines += [""] if lines else []
        lines += ["| figure | value |", "|---|---|"]
        lines += [f"| {name.replace('_', ' ')} | {shown(value)} |" for name, value in plain.items()]
    return lines


def shown(value: Any) -> str:
    """A figure as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
