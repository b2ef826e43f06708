"""The risk card: named terms whose points add up, capped to 0..100. Inputs are expressions; bins and points are
data."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import Any

from services.detector.engine.expressions import Typed, compile_expression
from services.detector.engine.fact_forms import ANY, BadFeature
from services.detector.engine.facts import FACTS, feature
from services.detector.engine.located import Document, Path, checked_keys
from services.detector.engine.rules import rule_code

SCORE_MAX = 100.0
_TERMS_MAX = 24


@dataclass(frozen=True)
class Bin:
    """Values below `below` (and not in an earlier bin) give these points; the last bin has no bound."""

    name: str
    below: float
    points: float


@dataclass(frozen=True)
class Term:
    """One named part of the score. known: whether the value is there; if not, the missing bin counts."""

    name: str
    value: Typed
    known: Typed
    bins: tuple[Bin, ...]
    missing: Bin

    def told(self, value: float) -> dict[str, Any]:
        """Return the bin of a value as a term of moment.v1.avsc."""
        bin_ = self.missing if isnan(value) else self.bins[bisect_right(self.bounds, value)]
        return {"name": self.name, "bin": bin_.name, "points": bin_.points}

    @cached_property
    def bounds(self) -> list[float]:
        """The upper bounds of all bins but the last."""
        return [bin_.below for bin_ in self.bins[:-1]]


@dataclass(frozen=True)
class RiskCard:
    """A version of the card. locals: the features that the terms use, as name and expression in order."""

    version: str
    terms: tuple[Term, ...]
    locals: tuple[tuple[str, Typed], ...] = ()

    def score(self, inputs: list[float]) -> tuple[float, list[dict[str, Any]]]:
        """Return the score and the terms of moment.v1.avsc for one customer's inputs (NaN = not known)."""
        told = [term.told(value) for term, value in zip(self.terms, inputs, strict=True)]
        return min(max(sum(each["points"] for each in told), 0.0), SCORE_MAX), told


NO_CARD = RiskCard("", ())


def read_card(document: Document) -> RiskCard:
    """Check a card document; raises RuleError."""
    given = document.value
    checked_keys(document, (), given, {"version": True, "description": False, "features": False, "terms": True})
    names = {name: fact.typed for name, fact in FACTS.items() if fact.where == ANY}
    features: list[tuple[str, Typed]] = []
    for name, each in given.get("features", {}).items():
        typed = _feature(document, ("features", name), each, names)
        features.append((f"f_{name}", typed))
        names[name] = Typed(f"f_{name}", typed.type, typed.unit, typed.words)
    if len(given["terms"]) > _TERMS_MAX:
        raise document.error(("terms",), f"more than {_TERMS_MAX} terms")
    terms = tuple(_term(document, ("terms", i), each, names) for i, each in enumerate(given["terms"]))
    return RiskCard(str(given["version"]), terms, tuple(features))


def _feature(document: Document, path: Path, given: Any, names: dict[str, Typed]) -> Typed:
    if isinstance(given, str):
        return compile_expression(given, names, error=lambda message, at: document.error(path, message, at))
    try:
        return feature(given, rule_code)
    except BadFeature as bad:
        raise document.error((*path, bad.key) if bad.key else path, bad.message) from None


def _term(document: Document, path: Path, given: Any, names: dict[str, Typed]) -> Term:
    keys = {"name": True, "about": False, "value": True, "known": False, "bins": True, "missing": True}
    checked_keys(document, path, given, keys)

    def compiled(key: str, text: Any) -> Typed:
        def error(message: str, at: int) -> Exception:
            return document.error((*path, key), message, at)

        return compile_expression(str(text), names, error=error)  # type: ignore[arg-type]  # RuleError is what it returns

    value, known = compiled("value", given["value"]), compiled("known", given.get("known", "TRUE"))
    if known.type != "boolean":
        raise document.error((*path, "known"), "want a condition")
    bins: list[Bin] = []
    for i, each in enumerate(given["bins"]):
        place: Path = (*path, "bins", i)
        checked_keys(document, place, each, {"name": True, "below": False, "points": True})
        below = float(each.get("below", "inf"))
        if bins and below <= bins[-1].below:
            raise document.error(place, "bounds of bins must rise, and only the last bin has none")
        bins.append(Bin(str(each["name"]), below, float(each["points"])))
    if not bins or bins[-1].below != float("inf"):
        raise document.error((*path, "bins"), "the last bin must have no bound")
    checked_keys(document, (*path, "missing"), given["missing"], {"name": True, "points": True})
    missing = Bin(str(given["missing"]["name"]), 0.0, float(given["missing"]["points"]))
    return Term(str(given["name"]), value, known, tuple(bins), missing)
