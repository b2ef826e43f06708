"""`kairos risk fit`: a labelled table to a versioned scorecard and a report of how good it is."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from services.risk.cards import PLAIN_SUM, WEIGHTED, Companion, card_text, read_companion
from services.risk.errors import BadOptions, RiskFitError
from services.risk.files import read_cells
from services.risk.fit import FitOptions, Fitted, fit
from services.risk.notes import Note
from services.risk.report import report_html
from services.risk.scorecard import FitRules
from services.risk.scorecard import Progress as Step

app = typer.Typer(no_args_is_help=True, help="The risk score: fit a scorecard on labelled history. 离网风险评分卡。")
# Share of customers at the cap from which the plain sum is said to be blunt.
_BLUNT_RATIO = 0.1


@app.callback()
def risk() -> None:
    """A card says how likely a customer is to leave, from 0 to 100, as a sum of named terms."""


@app.command(name="fit")
def fit_command(
    data: Annotated[Path, typer.Option("--data", help="A table: CSV (any separator, also .gz) or Parquet.")],
    label: Annotated[str, typer.Option("--label", help="The column that tells who left.")],
    out: Annotated[Path, typer.Option("--out", help="Where the card goes (YAML, as risk.yaml).")] = Path("card.yaml"),
    report: Annotated[Path, typer.Option("--report", help="Where the report goes (HTML).")] = Path("report.html"),
    positive: Annotated[str | None, typer.Option("--positive", help="The label's value of those who left.")] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="A column that shall not speak.")] = None,
    keep: Annotated[list[str] | None, typer.Option("--keep", help="A column to take although it looks wrong.")] = None,
    form: Annotated[
        str, typer.Option("--form", help="Which form the card scores by: weighted or plain_sum.")
    ] = WEIGHTED,
    companion: Annotated[Path | None, typer.Option("--with", help="Bindings and terms set by hand (YAML).")] = None,
    terms: Annotated[int, typer.Option("--terms", min=1, max=40, help="How many terms at most.")] = 15,
    folds: Annotated[int, typer.Option("--folds", min=2, max=20, help="Folds of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Of the folds.")] = 0,
    version: Annotated[str | None, typer.Option("--version", help="Name of the card; a hash of it by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit a scorecard on a labelled table and judge it by cross-validation. 由带标签的表生成评分卡。"""
    options = FitOptions(
        label=label, positive=positive, exclude=tuple(exclude or ()), keep=tuple(keep or ()), folds=folds, seed=seed,
        rules=replace(FitRules(), terms_max=terms),
    )  # fmt: skip
    try:
        _refuse_overwriting({"--out": out, "--report": report}, {"--data": data, "--with": companion})
        if form not in (WEIGHTED, PLAIN_SUM):
            raise BadOptions(f"--form is {WEIGHTED} or {PLAIN_SUM}, not {form!r}")
        beside = Companion() if companion is None else read_companion(companion)
        cells, decimal_comma = read_cells(data)
        with _progress(len(cells) * (folds + 1)) as step:
            fitted = fit(cells, options, decimal_comma=decimal_comma, progress=step)
        text = card_text(fitted, title=data.stem, form=form, companion=beside, version=version)
    except RiskFitError as wrong:
        _fail(as_json, str(wrong))
    warnings = warnings_of(fitted)
    name = json.loads(text.split("\n", 1)[0].removeprefix("version: "))
    _write(out, text, as_json)
    _write(report, report_html(fitted, title=data.name, version=name, warnings=warnings), as_json)
    notes = [*fitted.table.notes, *warnings]
    if as_json:
        made = {"version": name, "card": str(out), "report": str(report), "warnings": [str(note) for note in notes]}
        print(json.dumps(figures(fitted) | made, ensure_ascii=False))
    else:
        _tell(fitted, name, notes, out, report)


def warnings_of(fitted: Fitted) -> list[Note]:
    """What someone who uses the card should know."""
    found = []
    plain = fitted.validation.plain_scores
    at_cap = float((plain >= 100).mean())
    if at_cap > _BLUNT_RATIO:
        found.append(
            Note(
                f"the plain sum is at its cap of 100 for {100 * at_cap:.0f} % of the customers and cannot rank these; "
                "the weighted form can",
                f"{100 * at_cap:.0f}% 的客户简单相加后已封顶 100 分，无法再排序；请用加权形式",
            )
        )
    if len(fitted.card.terms) < 3:
        terms = "1 term" if len(fitted.card.terms) == 1 else f"{len(fitted.card.terms)} terms"
        found.append(Note(f"the card has only {terms}", "评分卡项数过少"))
    if not 0.5 < fitted.validation.slope < 1.5:
        found.append(
            Note(
                f"the weights were too bold or too timid for unseen customers (slope {fitted.validation.slope:.2f}); "
                "the card has been corrected for it",
                f"权重对未见客户偏激或偏保守（斜率 {fitted.validation.slope:.2f}），已校正",
            )
        )
    return found


def figures(fitted: Fitted) -> dict[str, Any]:
    """What a program wants to know of a fit."""
    v = fitted.validation
    return {
        "rows": fitted.table.rows,
        "churned": int(fitted.table.label.sum()),
        "label": fitted.table.label_name,
        "left_value": fitted.table.left_value,
        "auc": round(v.auc, 4),
        "auc_weighted": round(v.auc, 4),
        "auc_plain_sum": round(v.auc_plain, 4),
        "auc_plain_sum_uncapped": round(v.auc_plain_uncapped, 4),
        "auc_of_folds": [round(each.auc_weighted, 4) for each in v.folds],
        "brier": round(v.brier, 5),
        "calibration_error": round(v.calibration_error, 3),
        "ks": round(v.ks, 4),
        "terms": [term.binned.name for term in fitted.card.terms],
        "left_out": {each.name: str(each.why) for each in fitted.table.left_out},
    }


def _tell(fitted: Fitted, name: str, notes: list[Note], out: Path, report: Path) -> None:
    v, console = fitted.validation, Console()
    table = fitted.table
    console.print(
        f"{table.rows:,} customers, {100 * table.base_rate:.1f} % left 离网 ({table.label_name} = "
        f"{table.left_value!r}); {len(v.folds)} folds",
        highlight=False, markup=False,
    )  # fmt: skip
    console.print(f"  weighted scorecard  AUC {v.auc:.4f}   Brier {v.brier:.4f}   KS {v.ks:.3f}", highlight=False)
    console.print(
        f"  plain sum           AUC {v.auc_plain:.4f}   before the cap {v.auc_plain_uncapped:.4f}", highlight=False
    )
    for term in fitted.card.terms:
        binned = term.binned
        line = f"  {binned.name[:32]:<32} IV {binned.iv:.3f}  weight {term.weight:.3f}  {len(binned.bins)} bins"
        console.print(line, highlight=False, markup=False)
    for note in notes:
        console.print(f"! {note.english}", highlight=False, markup=False, style="yellow")
    console.print(f"{name}: {out}, {report}", highlight=False, markup=False)


@contextmanager
def _progress(steps: int) -> Iterator[Step]:
    """A bar on stderr, where that is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("binning 分箱", total=steps)
        yield lambda name: bar.update(task, advance=1, description=f"{name[:24]:<24}")


def _refuse_overwriting(outputs: Mapping[str, Path], inputs: Mapping[str, Path | None]) -> None:
    """Raise BadOptions when the card or the report would replace what is read, or one another."""
    places = [(option, path) for option, path in inputs.items() if path is not None]
    for option, path in outputs.items():
        for other, known in places:
            if path.resolve() == known.resolve() or _are_one(path, known):
                raise BadOptions(
                    f"{option} and {other} are one file, {path}; name another / "
                    f"{option} 与 {other} 指向同一文件，请另选文件名"
                )
        places.append((option, path))


def _are_one(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _write(path: Path, text: str, as_json: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        _fail(as_json, f"{path} cannot be written: {exc.strerror or exc}")


def _fail(as_json: bool, message: str) -> NoReturn:
    if as_json:
        print(json.dumps({"ok": False, "message": message}, ensure_ascii=False))
    print(f"kairos risk fit: {message}", file=sys.stderr)
    raise typer.Exit(1)
