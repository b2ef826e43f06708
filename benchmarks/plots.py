"""Results of the benchmarks → plots for docs/benchmarks.md.

    python -m benchmarks.plots var/bench docs/pictures

Draws what has a result; the rest stays as it is.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]
_OURS, _OTHERS = "#1f6f5c", "#9aa5a0"


def main(argv: Sequence[str] | None = None) -> int:
    """Draw; the arguments are the folders of results and of pictures."""
    results, pictures = (Path(each) for each in (argv if argv is not None else sys.argv[1:]))
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        print("no plots: matplotlib is not installed", file=sys.stderr)
        return 0
    mpl.use("svg")
    mpl.rcParams.update(
        {"svg.hashsalt": "kairos", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    )
    for name, draw in DRAWN.items():
        path = results / f"{name}.json"
        if path.exists() and pictures.is_dir():
            figure = draw(json.loads(path.read_text(encoding="utf-8"))["figures"])
            to = pictures / f"bench_{name.replace('-', '_')}.svg"
            figure.savefig(to, metadata={"Date": None}, bbox_inches="tight")
    return 0


def draw_peers(figures: Figures) -> Any:
    """CPU per event of each engine, on a logarithmic scale."""
    figure, axes = _axes(1)
    names = sorted(figures, key=lambda name: not name.startswith("kairos"))
    values = [figures[name]["cpu_us_per_event_steady"] for name in names]
    colours = [_OURS if name.startswith("kairos") else _OTHERS for name in names]
    bars = axes[0].barh([name.replace("_", " ") for name in names], values, color=colours)
    axes[0].bar_label(bars, labels=[f"{value:.3g} µs" for value in values], padding=3)
    axes[0].set_xscale("log")
    axes[0].invert_yaxis()
    axes[0].set_xlabel("CPU per event, µs (steady, one core)")
    return figure


def draw_growth(figures: Figures) -> Any:
    """CPU per event against customers, rules and events."""
    axis_names = ("customers", "rules", "events")
    figure, axes = _axes(len(axis_names))
    for axis, name in zip(axes, axis_names, strict=True):
        points = sorted(
            (row[name], row["cpu_us_per_event_steady"]) for row in figures.values() if row.get("grows") == name
        )
        axis.plot([x for x, _ in points], [y for _, y in points], "o-", color=_OURS)
        axis.set_ylim(0, 1.25 * max((y for _, y in points), default=1.0))
        axis.set_xlabel(name)
        axis.set_xticks([x for x, _ in points], [short(x) for x, _ in points])
    axes[0].set_ylabel("CPU per event, µs")
    return figure


def short(number: int) -> str:
    """A number for the tick of an axis."""
    for size, letter in ((1_000_000, " M"), (1_000, " k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return str(number)


def _axes(count: int) -> tuple[Any, list[Any]]:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, figsize=(max(7, 3.5 * count), 3.2), squeeze=False)
    return figure, list(axes[0])


DRAWN: Mapping[str, Callable[[Figures], Any]] = {"detector": draw_peers, "detector-growth": draw_growth}


if __name__ == "__main__":
    raise SystemExit(main())
