"""The whole of a fit: leaks out, judged on unseen customers, fitted on all, calibrated."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sklearn.metrics import roc_auc_score

from services.risk.binning import Binned, BinningRules, bin_column
from services.risk.notes import Note
from services.risk.scorecard import FitRules, Progress, Scorecard, fit_scorecard
from services.risk.table import Table, make_table
from services.risk.validation import Validation, cross_validate

# A column that alone tells who left nearly always was written after they left.
LEAK_AUC = 0.985
SUSPICIOUS_AUC = 0.90
# So is one that is named after the label and tells much.
NAMESAKE_AUC = 0.70


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What the caller says about a fit."""

    label: str
    positive: str | None = None
    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    folds: int = 5
    seed: int = 0
    rules: FitRules = field(default_factory=FitRules)


@dataclass(frozen=True)
class Fitted:
    """A calibrated card, how well it does on unseen customers, and the table that it came from."""

    table: Table
    card: Scorecard
    validation: Validation


def fit(
    cells: dict[str, list[str]],
    options: FitOptions,
    *,
    decimal_comma: bool = False,
    progress: Progress = lambda _: None,
) -> Fitted:
    """Return the card of a file's cells; raises RiskFitError."""
    table = make_table(
        cells,
        options.label,
        positive=options.positive,
        exclude=options.exclude,
        keep=options.keep,
        decimal_comma=decimal_comma,
    )
    table = without_leaks(table, options.keep, options.rules.binning)
    card = fit_scorecard(table, options.rules, progress)
    validation = cross_validate(table, options.rules, folds=options.folds, seed=options.seed, progress=progress)
    return Fitted(table, card.calibrated(validation.slope, validation.intercept), validation)


def without_leaks(table: Table, keep: Sequence[str], rules: BinningRules) -> Table:
    """The table without the columns that can only have been known afterwards; the doubtful ones are noted."""
    leaks, notes = [], []
    for column in table.columns:
        binned = bin_column(column, table.label, rules)
        auc = alone(table, binned)
        is_leak = auc >= LEAK_AUC or (auc >= NAMESAKE_AUC and _is_namesake(column.name, table.label_name))
        if is_leak and column.name not in keep:
            leaks.append(column.name)
            notes.append(
                Note(
                    f"{column.name} was left out: alone it tells who left (AUC {auc:.3f}), so it was probably "
                    f"written afterwards; --keep {column.name!r} takes it nevertheless",
                    f"已略去 {column.name}：单凭它即可判断离网（AUC {auc:.3f}），疑为事后信息；可用 --keep 保留",
                )
            )
        elif auc >= SUSPICIOUS_AUC:
            notes.append(
                Note(
                    f"{column.name} tells very much (AUC {auc:.3f}, information value {binned.iv:.2f}): "
                    "is it known before a customer leaves?",
                    f"{column.name} 区分力异常高（AUC {auc:.3f}），请确认其在离网之前即已知",
                )
            )
    why = Note("tells who left by itself: probably written afterwards", "疑为事后信息（泄漏）")
    return replace(table.without(leaks, why), notes=(*table.notes, *notes))


def alone(table: Table, binned: Binned) -> float:
    """The AUC of one column's bins."""
    column = next(column for column in table.columns if column.name == binned.name)
    return float(roc_auc_score(table.label, binned.woes[binned.places(column)]))


def _is_namesake(name: str, label_name: str) -> bool:
    words = [word for word in re.findall(r"[a-z]+|[\u4e00-\u9fff]+", label_name.lower()) if len(word) >= 2]
    stem = max(words, key=len, default="")
    return (len(stem) >= 4 and stem in name.lower()) or (not stem.isascii() and stem != "" and stem in name)
