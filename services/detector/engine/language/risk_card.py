"""A card document → a checked risk card. What `kairos risk fit` writes, and what an operator may write by hand."""

import json
import zlib
from dataclasses import replace
from math import inf, prod
from typing import Any

from services.detector.engine.customer.layout import ATTRIBUTE_BITS, ATTRIBUTE_TAGS
from services.detector.engine.language.expressions import Typed, compile_expression
from services.detector.engine.language.fact_forms import ANY, BadFeature
from services.detector.engine.language.facts import FACTS, feature
from services.detector.engine.language.located import Document, Path, checked_keys, checked_number, checked_text
from services.detector.engine.language.rules import rule_code
from services.detector.engine.risk import PLAIN_SUM, SCORE_MAX, WEIGHTED, Bin, RiskCard, Term

_TERMS_MAX = 24
_CARD = {"version": True, "description": False, "form": False, "base_log_odds": False, "fit": False, "features": False,
         "terms": True}  # fmt: skip
_TERM = {"name": True, "about": False, "value": False, "known": False, "attribute": False, "plain": False, "bins": True,
         "missing": True}  # fmt: skip
_GIVES = {"name": True, "points": False, "rate": False, "log_odds": False, "rows": False}
_BIN = _GIVES | {"below": False, "is": False, "others": False}
_FAR = 1e15
_NOT_YET = Typed("0.0", "number")
_ALWAYS = Typed("True", "boolean")


def read_card(document: Document) -> RiskCard:
    """Check a card document; raises RuleError."""
    given = document.value
    checked_keys(document, (), given, _CARD)
    form = given.get("form", PLAIN_SUM)
    if form not in (WEIGHTED, PLAIN_SUM):
        raise document.error(("form",), f"want {WEIGHTED} or {PLAIN_SUM}")
    names = {name: fact.typed for name, fact in FACTS.items() if fact.where == ANY}
    features: list[tuple[str, Typed]] = []
    for name, each in _mapping(document, given.get("features") or {}, ("features",)).items():
        typed = _feature(document, ("features", name), each, names)
        features.append((f"f_{name}", typed))
        names[name] = Typed(f"f_{name}", typed.type, typed.unit, typed.words)
    if not isinstance(given["terms"], list) or not given["terms"]:
        raise document.error(("terms",), "want a list of terms")
    if len(given["terms"]) > _TERMS_MAX:
        raise document.error(("terms",), f"more than {_TERMS_MAX} terms")
    reader = _Reader(document, names, form, all_plain="form" not in given)
    terms = [reader.term(("terms", i), each) for i, each in enumerate(given["terms"])]
    known_names = [term.name for term in terms]
    if len(set(known_names)) < len(known_names):
        raise document.error(("terms",), "two terms have the same name")
    return _placed(document, RiskCard(
        version=checked_text(document, ("version",), given["version"]),
        terms=tuple(terms),
        locals=tuple(features),
        form=form,
        base_log_odds=reader.number((), given, "base_log_odds", 0.0),
    ))  # fmt: skip


def _placed(document: Document, card: RiskCard) -> RiskCard:
    """Return the card with the code that reads the places of its attributes' bins."""
    of_attributes = [term for term in card.terms if term.attribute is not None]
    if prod(len(term.bins) + 1 for term in of_attributes) > 1 << ATTRIBUTE_BITS:
        raise document.error(("terms",), "the terms of attributes have more bins than a customer's record has room for")
    told = [(t.attribute, [(b.below, sorted(b.words), b.others) for b in t.bins]) for t in of_attributes]
    tag = zlib.crc32(json.dumps(told).encode()) % (ATTRIBUTE_TAGS - 1) + 1 if of_attributes else 0
    terms, placed, factor = [], [], 1
    for term in card.terms:
        if term.attribute is not None:
            radix = len(term.bins) + 1
            code = f"np.float64(attribute_place(st, s, np.int64({tag}), np.int64({factor}), np.int64({radix})))"
            term = replace(term, value=Typed(code, "number"))
            placed.append(term)
            factor *= radix
        terms.append(term)
    return replace(card, terms=tuple(terms), tag=tag, of_attributes=tuple(placed))


def _feature(document: Document, path: Path, given: Any, names: dict[str, Typed]) -> Typed:
    if isinstance(given, str):
        return compile_expression(given, names, error=lambda message, at: document.error(path, message, at))
    try:
        return feature(_mapping(document, given, path), rule_code)
    except BadFeature as bad:
        raise document.error((*path, bad.key) if bad.key else path, bad.message) from None


def _mapping(document: Document, given: Any, path: Path) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise document.error(path, "want a mapping")
    return given


class _Reader:
    """Reads terms and bins of one document."""

    def __init__(self, document: Document, names: dict[str, Typed], form: str, *, all_plain: bool) -> None:
        self._document = document
        self._names = names
        self._form = form
        self._all_plain = all_plain

    def term(self, path: Path, given: Any) -> Term:
        """Return a checked term."""
        checked_keys(self._document, path, given, _TERM)
        if ("value" in given) == ("attribute" in given):
            raise self._document.error(path, "want either a value (an expression) or an attribute (its name)")
        plain = given.get("plain", self._all_plain)
        if not isinstance(plain, bool):
            raise self._document.error((*path, "plain"), "want true or false")
        missing = self._bin((*path, "missing"), given["missing"], _GIVES, plain=plain)
        bins = self._bins(path, given, plain=plain)
        if len({bin_.name for bin_ in (*bins, missing)}) <= len(bins):
            raise self._document.error((*path, "bins"), "two bins have the same name")
        name, attribute = checked_text(self._document, (*path, "name"), given["name"]), given.get("attribute")
        if "attribute" in given:
            checked_text(self._document, (*path, "attribute"), attribute)
            return Term(name, _NOT_YET, _ALWAYS, bins, missing, plain, attribute)
        value = self._expression(path, given, "value")
        known = self._expression(path, given, "known") if "known" in given else _ALWAYS
        if known.type != "boolean":
            raise self._document.error((*path, "known"), "want a condition")
        if any(bin_.words or bin_.others for bin_ in bins):
            raise self._document.error((*path, "bins"), "bins of a value are numbers: give them `below`, not `is`")
        return Term(name, value, known, bins, missing, plain)

    def number(
        self, path: Path, given: Any, key: str, default: float, *, least: float = -_FAR, most: float = _FAR
    ) -> float:
        """Return a number of a document; a default where it is not given."""
        return checked_number(self._document, (*path, key), given[key], least, most) if key in given else default

    def _expression(self, path: Path, given: Any, key: str) -> Typed:
        def error(message: str, at: int) -> Any:
            return self._document.error((*path, key), message, at)

        return compile_expression(str(given[key]), self._names, error=error)

    def _bins(self, path: Path, given: Any, *, plain: bool) -> tuple[Bin, ...]:
        bins: list[Bin] = []
        if not isinstance(given["bins"], list):
            raise self._document.error((*path, "bins"), "want a list of bins")
        for i, each in enumerate(given["bins"]):
            place: Path = (*path, "bins", i)
            bin_ = self._bin(place, each, _BIN, plain=plain)
            is_text = bool(bin_.words or bin_.others)
            if bins and is_text != bool(bins[-1].words or bins[-1].others):
                raise self._document.error(place, "bins of one term have either all `below` or all `is`")
            if bins and not is_text and bin_.below <= bins[-1].below:
                raise self._document.error(place, "bounds of bins must rise, and only the last bin has none")
            if any(bin_.words & other.words or (bin_.others and other.others) for other in bins):
                raise self._document.error(place, "a word is in two bins")
            bins.append(bin_)
        is_open = bool(bins) and (bins[-1].below == inf or bool(bins[-1].words or bins[-1].others))
        if not is_open:
            raise self._document.error((*path, "bins"), "the last bin must have no bound")
        return tuple(bins)

    def _bin(self, path: Path, given: Any, keys: dict[str, bool], *, plain: bool) -> Bin:
        checked_keys(self._document, path, given, keys)
        if plain and "points" not in given and "rate" not in given:
            raise self._document.error(
                path, "a term of the plain sum wants the rate (0 to 1) or the points of its bins"
            )
        if self._form == WEIGHTED and "log_odds" not in given:
            raise self._document.error(path, "a weighted card wants the log odds of every bin")
        points = SCORE_MAX * self.number(path, given, "rate", 0.0, least=0.0, most=1.0)
        words = given.get("is", [])
        if not isinstance(words, list) or not all(isinstance(each, str | int | float) for each in words):
            raise self._document.error((*path, "is"), "want a list of words")
        return Bin(
            name=checked_text(self._document, (*path, "name"), given["name"]),
            below=self.number(path, given, "below", inf),
            words=frozenset(map(str, words)),
            others=bool(given.get("others", False)),
            points=round(self.number(path, given, "points", points), 4),
            log_odds=self.number(path, given, "log_odds", 0.0),
        )
