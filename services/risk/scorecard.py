"""The scorecard of a table: which columns become terms, with which weights; and the operator's plain sum beside it.

A weighted score is a logistic regression on weights of evidence. As these point towards churn, every weight must be
positive; a term whose weight is not says the opposite of its own bins and is taken out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import log

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from services.risk.binning import Binned, BinningRules, bin_column, is_beyond_chance
from services.risk.errors import NothingToFit
from services.risk.notes import Note
from services.risk.table import Column, Floats, Table

SCORE_MAX = 100.0
Progress = Callable[[str], None]


@dataclass(frozen=True)
class FitRules:
    """What a card may be. terms_max: with eight bins each, what a customer's record has room for.

    strength: inverse of the regression's regularisation.
    """

    binning: BinningRules = field(default_factory=BinningRules)
    terms_max: int = 15
    information_least: float = 0.01
    correlation_most: float = 0.95
    strength: float = 1.0


@dataclass(frozen=True)
class Term:
    """A column's bins and the weight of their evidence; in_plain_sum: counts in the operator's sum."""

    binned: Binned
    weight: float
    in_plain_sum: bool


@dataclass(frozen=True)
class Scorecard:
    """Terms by information value, greatest first. log odds = base + sum of weight × weight of evidence."""

    base_log_odds: float
    base_rate: float
    terms: tuple[Term, ...]
    # Candidates that are no terms, with the reason.
    rejected: tuple[tuple[Binned, Note], ...] = ()

    def log_odds(self, table: Table) -> Floats:
        """The weighted sum for every row."""
        columns = {column.name: column for column in table.columns}
        total = np.full(table.rows, self.base_log_odds)
        for term in self.terms:
            total += term.weight * term.binned.woes[term.binned.places(columns[term.binned.name])]
        return total

    def plain_sum(self, table: Table) -> Floats:
        """The operator's sum of churn rates × 100, not yet capped."""
        columns = {column.name: column for column in table.columns}
        total = np.zeros(table.rows)
        for term in self.terms:
            if term.in_plain_sum:
                total += SCORE_MAX * term.binned.rates[term.binned.places(columns[term.binned.name])]
        return total

    def calibrated(self, slope: float, intercept: float) -> "Scorecard":
        """The card whose log odds are slope × these + intercept."""
        terms = tuple(replace(term, weight=slope * term.weight) for term in self.terms)
        return replace(self, base_log_odds=slope * self.base_log_odds + intercept, terms=terms)


def fit_scorecard(table: Table, rules: FitRules, progress: Progress = lambda _: None) -> Scorecard:
    """Return the card of a table; raises NothingToFit when no column tells anything."""
    binned = []
    for column in table.columns:
        binned.append(bin_column(column, table.label, rules.binning))
        progress(column.name)
    binned.sort(key=lambda each: (-each.iv, each.name))
    informed = [each for each in binned if each.iv >= rules.information_least and is_beyond_chance(each, table.label)]
    rejected = [(each, Note("tells too little", "信息量过低")) for each in binned if each not in informed]
    if not informed:
        raise NothingToFit(
            f"no column tells anything about {table.label_name} beyond chance; "
            f"{int(table.label.sum())} of {table.rows} customers left"
        )
    evidence, kept, alike = _unlike(table, informed, rules)
    rejected += alike
    weights, intercept, wrong = _weights(evidence, table.label, kept, rules)
    rejected += wrong
    named = _plain_terms([each for each in kept if each.name in weights], table)
    terms = tuple(Term(each, weights[each.name], each.name in named) for each in kept if each.name in weights)
    return Scorecard(intercept, table.base_rate, terms, tuple(rejected))


def _unlike(
    table: Table, informed: list[Binned], rules: FitRules
) -> tuple[dict[str, Floats], list[Binned], list[tuple[Binned, Note]]]:
    """The weights of evidence of the strongest columns that do not say the same as a stronger one."""
    columns: dict[str, Column] = {column.name: column for column in table.columns}
    evidence: dict[str, Floats] = {}
    kept: list[Binned] = []
    rejected: list[tuple[Binned, Note]] = []
    for each in informed:
        if len(kept) >= rules.terms_max:
            rejected.append((each, Note(f"{rules.terms_max} stronger columns are terms", "更强的列已占满项数")))
            continue
        woes = each.woes[each.places(columns[each.name])]
        twin = next((k for k in kept if _correlation(woes, evidence[k.name]) > rules.correlation_most), None)
        if twin is not None:
            rejected.append((each, Note(f"says the same as {twin.name}", f"与 {twin.name} 重复")))
            continue
        evidence[each.name] = woes
        kept.append(each)
    return evidence, kept, rejected


def _plain_terms(terms: list[Binned], table: Table) -> set[str]:
    """The terms whose churn rates the plain sum adds up: the strongest, as many as rank best in spite of the cap."""
    columns: dict[str, Column] = {column.name: column for column in table.columns}
    total = np.zeros(table.rows)
    best, count = 0.0, 0
    for number, term in enumerate(terms, 1):
        total += SCORE_MAX * term.rates[term.places(columns[term.name])]
        auc = float(roc_auc_score(table.label, np.minimum(total, SCORE_MAX)))
        if auc > best:
            best, count = auc, number
    return {term.name for term in terms[:count]}


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return abs(float(a @ b)) / scale if scale > 0 else 0.0


def _weights(
    evidence: dict[str, Floats], label: npt.NDArray[np.bool_], kept: list[Binned], rules: FitRules
) -> tuple[dict[str, float], float, list[tuple[Binned, Note]]]:
    """Weights by name; terms with the wrong sign are taken out, the worst first, until there is none."""
    wrong: list[tuple[Binned, Note]] = []
    names = [each.name for each in kept]
    by_name = {each.name: each for each in kept}
    while names:
        matrix = np.column_stack([evidence[name] for name in names])
        model = LogisticRegression(C=rules.strength, solver="lbfgs", tol=1e-8, max_iter=1_000)
        model.fit(matrix, label)
        found = model.coef_[0]
        worst = int(np.argmin(found))
        if found[worst] > 0:
            return dict(zip(names, map(float, found), strict=True)), float(model.intercept_[0]), wrong
        note = Note("its weight would have the wrong sign beside the others", "与其他项并列时权重方向相反")
        wrong.append((by_name[names.pop(worst)], note))
    base = float(label.mean())
    return {}, log(base / (1 - base)), wrong
