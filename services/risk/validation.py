"""How good a card is on customers that it has not seen: stratified folds with everything fitted inside of each,
binning included; discrimination, calibration, deciles."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import StratifiedKFold

from services.risk.errors import NothingToFit
from services.risk.scorecard import SCORE_MAX, FitRules, fit_scorecard
from services.risk.table import Floats, Table

Progress = Callable[[str], None]
_SLOPE_MIN, _SLOPE_MAX = 0.2, 3.0
CALIBRATION_GROUPS = 10


@dataclass(frozen=True)
class Fold:
    """One fold's customers and how well each form ranks them."""

    rows: int
    churned: int
    auc_weighted: float
    auc_plain: float
    # The plain sum before it is capped at 100.
    auc_plain_uncapped: float


@dataclass(frozen=True)
class Group:
    """Customers of similar score: how many, mean score, how many left. low, high: the scores among them."""

    rows: int
    churned: int
    mean_score: float
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Share who left."""
        return self.churned / self.rows


@dataclass(frozen=True)
class Validation:
    """Everything was computed on folds' customers that the fold's card had not seen. scores: 0..100, calibrated."""

    folds: tuple[Fold, ...]
    scores: Floats
    plain_scores: Floats
    label: npt.NDArray[np.bool_]
    slope: float
    intercept: float

    @property
    def auc(self) -> float:
        """Mean of the folds, weighted scorecard."""
        return float(np.mean([fold.auc_weighted for fold in self.folds]))

    @property
    def auc_plain(self) -> float:
        """Mean of the folds, plain sum capped at 100."""
        return float(np.mean([fold.auc_plain for fold in self.folds]))

    @property
    def auc_plain_uncapped(self) -> float:
        """Mean of the folds, plain sum before the cap."""
        return float(np.mean([fold.auc_plain_uncapped for fold in self.folds]))

    @property
    def brier(self) -> float:
        """Mean squared error of the probabilities."""
        return float(np.mean((self.scores / SCORE_MAX - self.label) ** 2))

    @property
    def brier_of_average(self) -> float:
        """What the Brier score of the average rate for everybody would be."""
        base = float(self.label.mean())
        return base * (1 - base)

    @property
    def calibration_error(self) -> float:
        """Mean distance of score and rate over the groups of the curve, percentage points."""
        groups = self.groups(CALIBRATION_GROUPS)
        return sum(abs(g.mean_score - SCORE_MAX * g.rate) * g.rows for g in groups) / self.label.size

    @property
    def ks(self) -> float:
        """Kolmogorov-Smirnov: the greatest distance of both distributions."""
        false, true, _ = roc_curve(self.label, self.scores)
        return float(np.max(true - false))

    def groups(self, count: int) -> list[Group]:
        """Customers by score in so many parts of equal size, highest first."""
        order = np.argsort(-self.scores, kind="stable")
        parts = [part for part in np.array_split(order, count) if part.size]
        return [
            Group(
                rows=int(part.size),
                churned=int(self.label[part].sum()),
                mean_score=float(self.scores[part].mean()),
                low=float(self.scores[part].min()),
                high=float(self.scores[part].max()),
            )
            for part in parts
        ]

    def roc(self) -> tuple[Floats, Floats]:
        """False and true positive rates, weighted."""
        false, true, _ = roc_curve(self.label, self.scores)
        return false, true

    def roc_plain(self) -> tuple[Floats, Floats]:
        """False and true positive rates, plain sum capped."""
        false, true, _ = roc_curve(self.label, np.minimum(self.plain_scores, SCORE_MAX))
        return false, true


def cross_validate(
    table: Table, rules: FitRules, *, folds: int, seed: int, progress: Progress = lambda _: None
) -> Validation:
    """Judge what `fit_scorecard` makes of this table."""
    folds = max(2, min(folds, int(min(table.label.sum(), (~table.label).sum()))))
    splitter = StratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    log_odds, plain = np.zeros(table.rows), np.zeros(table.rows)
    of_fold = np.zeros(table.rows, np.intp)
    for number, (learn, judge) in enumerate(splitter.split(np.zeros(table.rows), table.label)):
        of_fold[judge] = number
        try:
            card = fit_scorecard(table.take(learn), rules, progress)
        except NothingToFit:
            continue  # this fold's customers keep the average; it counts as no discrimination
        log_odds[judge], plain[judge] = card.log_odds(table.take(judge)), card.plain_sum(table.take(judge))
    found = tuple(_fold(table.label[of_fold == k], log_odds[of_fold == k], plain[of_fold == k]) for k in range(folds))
    slope, intercept = calibration(log_odds, table.label)
    return Validation(found, _calibrated(log_odds, table.label, of_fold), plain, table.label, slope, intercept)


def calibration(log_odds: Floats, label: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept that make log odds of unseen customers fit how many left (Platt)."""
    if float(np.ptp(log_odds)) == 0.0:
        return 1.0, 0.0
    model = LogisticRegression(C=1e6, solver="lbfgs", tol=1e-8, max_iter=1_000)
    model.fit(log_odds[:, None], label)
    slope = float(np.clip(model.coef_[0, 0], _SLOPE_MIN, _SLOPE_MAX))
    return slope, float(model.intercept_[0])


def _calibrated(log_odds: Floats, label: npt.NDArray[np.bool_], of_fold: npt.NDArray[np.intp]) -> Floats:
    """Scores of every fold, calibrated on the other folds."""
    scores = np.zeros(label.size)
    for k in range(int(of_fold.max()) + 1):
        here = of_fold == k
        slope, intercept = calibration(log_odds[~here], label[~here])
        scores[here] = SCORE_MAX / (1 + np.exp(-(slope * log_odds[here] + intercept)))
    return scores


def _fold(label: npt.NDArray[np.bool_], log_odds: Floats, plain: Floats) -> Fold:
    return Fold(
        rows=int(label.size),
        churned=int(label.sum()),
        auc_weighted=float(roc_auc_score(label, log_odds)),
        auc_plain=float(roc_auc_score(label, np.minimum(plain, SCORE_MAX))),
        auc_plain_uncapped=float(roc_auc_score(label, plain)),
    )
