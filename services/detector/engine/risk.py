"""The risk card: named terms that add up to a score from 0 to 100, in one of two forms of the same file.

`plain_sum` adds the churn rates × 100 of its terms' bins and stops at 100. `weighted` adds log odds; the score is the
probability × 100, and every term's points are its share of the way there from the average customer's score.

Terms ask for facts of the state, or for attributes of the customer record. Of these the state keeps the bins: their
places under the card that was in force when the record came, in mixed radix, marked with that card's attributes.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import exp, inf, isfinite, isnan
from typing import Any

from services.detector.engine.customer.layout import ATTRIBUTE_BITS
from services.detector.engine.language.expressions import Typed

SCORE_MAX = 100.0
WEIGHTED, PLAIN_SUM = "weighted", "plain_sum"
BASE = "base"
"""The term of the weighted form that holds the average customer's score; its bin is `average`."""
_DIGITS = 2
_SCORED_KEPT = 20_000


@dataclass(frozen=True)
class Bin:
    """A bin and what it gives. Numbers: values below `below` that no earlier bin took; texts: the `words`, and with
    `others` every text that no bin lists."""

    name: str
    below: float = inf
    words: frozenset[str] = frozenset()
    others: bool = False
    points: float = 0.0
    log_odds: float = 0.0


@dataclass(frozen=True)
class Term:
    """One named part of the score. known: whether the value is there; if not, the missing bin counts.

    plain: counts in the plain sum. attribute: the name of an attribute whose bin's place is the value; 0 = missing.
    """

    name: str
    value: Typed
    known: Typed
    bins: tuple[Bin, ...]
    missing: Bin
    plain: bool = True
    attribute: str | None = None

    def place_of(self, text: str | None) -> int:
        """Return the place of an attribute's bin: 0 = missing, 1 = the first."""
        if text is None:
            return 0
        text = text.strip()
        if self._is_number:
            number = number_of(text)
            return 0 if number is None else bisect_right(self.bounds, number) + 1
        others = 0
        for place, bin_ in enumerate(self.bins, 1):
            if text in bin_.words or plain_number(text) in bin_.words:
                return place
            others = place if bin_.others else others
        return others if text else 0

    @cached_property
    def bounds(self) -> list[float]:
        """The upper bounds of all bins but the last."""
        return [bin_.below for bin_ in self.bins[:-1]]

    @cached_property
    def _is_number(self) -> bool:
        return not any(bin_.words or bin_.others for bin_ in self.bins)


@dataclass(frozen=True)
class RiskCard:
    """A version of the card. locals: the features that the terms use, as name and expression in order.

    tag: what marks places in the state as those of these attributes; 0 = there are none.
    """

    version: str
    terms: tuple[Term, ...]
    locals: tuple[tuple[str, Typed], ...] = ()
    form: str = PLAIN_SUM
    base_log_odds: float = 0.0
    tag: int = 0
    of_attributes: tuple[Term, ...] = field(default=())

    def score(self, inputs: list[float]) -> tuple[float, list[dict[str, Any]]]:
        """Return the score and the terms of moment.v1.avsc for one customer's inputs (NaN = not known)."""
        bins = []
        for value, (bounds, of, missing, is_place) in zip(inputs, self._tables, strict=True):
            if isnan(value) or (is_place and not value):
                bins.append(missing)
            else:
                bins.append(of[int(value) - 1 if is_place else bisect_right(bounds, value)])
        key = tuple(map(id, bins))
        found = self._scored.get(key)
        if found is None:
            told = self._weighted(bins) if self.form == WEIGHTED else self._plain(bins)
            total = round(sum(each["points"] for each in told), _DIGITS)
            found = min(max(total, 0.0), SCORE_MAX), told
            if len(self._scored) >= _SCORED_KEPT:
                self._scored.clear()
            self._scored[key] = found
        return found[0], list(found[1])

    @cached_property
    def _tables(self) -> tuple[tuple[list[float], tuple[Bin, ...], Bin, bool], ...]:
        """What finds the bin of a value: bounds, or the value itself where it is the bin's place (0 = missing)."""
        return tuple((term.bounds, term.bins, term.missing, term.attribute is not None) for term in self.terms)

    @cached_property
    def _scored(self) -> dict[tuple[int, ...], tuple[float, list[dict[str, Any]]]]:
        """Scores by the identities of their bins: the same combinations come again and again."""
        return {}

    def places(self, attributes: Mapping[str, str]) -> int:
        """Return what the state keeps of a customer record's attributes: the bins' places, marked with the tag."""
        packed, factor = 0, 1
        for term in self.of_attributes:
            packed += factor * term.place_of(attributes.get(str(term.attribute)))
            factor *= len(term.bins) + 1
        return self.tag << ATTRIBUTE_BITS | packed

    def _plain(self, bins: list[Bin]) -> list[dict[str, Any]]:
        return [
            {"name": term.name, "bin": bin_.name, "points": bin_.points}
            for term, bin_ in zip(self.terms, bins, strict=True)
            if term.plain
        ]

    def _weighted(self, bins: list[Bin]) -> list[dict[str, Any]]:
        """Shares of the way from the base to the score: log odds × the mean slope between both."""
        total = sum(bin_.log_odds for bin_ in bins)
        base = probability(self.base_log_odds)
        if abs(total) < 1e-6:
            slope = base * (1 - base)
        else:
            slope = (probability(self.base_log_odds + total) - base) / total
        terms = [
            {"name": term.name, "bin": bin_.name, "points": round(SCORE_MAX * slope * bin_.log_odds, _DIGITS)}
            for term, bin_ in zip(self.terms, bins, strict=True)
        ]
        return [{"name": BASE, "bin": "average", "points": round(SCORE_MAX * base, _DIGITS)}, *terms]


NO_CARD = RiskCard("", ())


def probability(log_odds: float) -> float:
    """Return the probability of log odds."""
    return 1 / (1 + exp(-log_odds))


def number_of(text: str) -> float | None:
    """Return a number as upstreams write it (1,234.5), or None."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if isfinite(value) else None


def plain_number(text: str) -> str:
    """Return a number's shortest text (`1.0` → `1`), or the text itself."""
    number = number_of(text)
    return text if number is None else f"{number:.12g}"
