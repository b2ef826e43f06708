"""The card as a document: what the engine reads as risk.yaml, one line per bin.

A fitted card's terms ask for attributes of the customer view, named after the columns. A file given with the fit may
bind columns to facts of the engine instead, and bring terms of its own with rates that somebody set.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, log
from pathlib import Path
from typing import Any

import yaml

from services.risk.binning import Bin, Binned, Group
from services.risk.errors import BadOptions
from services.risk.fit import Fitted

WEIGHTED, PLAIN_SUM = "weighted", "plain_sum"
_NAME_MAX = 48
_DIGITS = 4
_WORDS_OF_YAML = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})


@dataclass(frozen=True)
class Companion:
    """What a file beside the fit says. bind: column → value and known; terms: with rates set by hand."""

    description: str = ""
    bind: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    terms: tuple[Mapping[str, Any], ...] = ()
    average_rate: float = 0.0


def read_companion(path: Path) -> Companion:
    """Return the file of bindings and default terms; raises BadOptions."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as exc:
        raise BadOptions(f"{path}: {exc}") from exc
    known = {"description", "bind", "features", "terms", "average_rate"}
    if not isinstance(given, dict) or set(given) - known:
        raise BadOptions(f"{path}: want {', '.join(sorted(known))}")
    return Companion(
        description=str(given.get("description", "")),
        bind=given.get("bind", {}),
        features=given.get("features", {}),
        terms=tuple(given.get("terms", ())),
        average_rate=float(given.get("average_rate", 0.5)),
    )


def card_text(fitted: Fitted, *, title: str, form: str, companion: Companion, version: str | None = None) -> str:
    """Return the YAML of a card. Its version ends in a hash of what it says, unless one is given."""
    body = "\n".join(_body(fitted, form, companion)) + "\n"
    if version is None:
        version = f"{slug(title)}-{hashlib.sha256(body.encode()).hexdigest()[:8]}"
    return f"version: {json.dumps(version, ensure_ascii=False)}\n{body}"


def slug(text: str) -> str:
    """A name for terms, attributes and bins: `MonthlyCharges` → monthly_charges, `One year` → one_year."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text.strip())
    return re.sub(r"[^\w]+", "_", spaced).strip("_").lower()[:_NAME_MAX].strip("_") or "column"


def attribute_names(columns: list[str]) -> dict[str, str]:
    """Column → attribute; two columns never share one."""
    found: dict[str, str] = {}
    for column in columns:
        name = slug(column)
        while name in found.values():
            name += "_"
        found[column] = name
    return found


def bin_names(binned: Binned) -> list[str]:
    """Short names for the bins of a column, each once."""
    names: list[str] = []
    low = -inf
    for bin_ in binned.bins:
        name = _range_name(low, bin_.below) if binned.is_number else _levels_name(bin_)
        low = bin_.below
        while name in names or name == "missing":
            name += "_"
        names.append(name)
    return names


def _range_name(low: float, below: float) -> str:
    if low == -inf:
        return "all" if below == inf else f"below_{below:g}"
    return f"from_{low:g}" if below == inf else f"{low:g}_to_{below:g}"


def _levels_name(bin_: Bin) -> str:
    if (bin_.others and len(bin_.levels) > 3) or not bin_.levels:
        return "others"
    words = [slug(level) for level in bin_.levels]
    name = "_or_".join(words)
    return name if len(name) <= _NAME_MAX else f"{words[0][: _NAME_MAX - 12].strip('_')}_or_{len(words) - 1}_more"


def _body(fitted: Fitted, form: str, companion: Companion) -> list[str]:
    validation, card = fitted.validation, fitted.card
    unknown = set(companion.bind) - {column.name for column in fitted.table.columns}
    if unknown:
        raise BadOptions(f"bound columns are not in the table: {', '.join(sorted(unknown))}")
    lines = [
        f"form: {form}",
        *_folded("description", companion.description or "Fitted by `kairos risk fit`."),
        f"base_log_odds: {_figure(card.base_log_odds)}",
        "fit:",
        f"  label: {_text(fitted.table.label_name)}",
        f"  left: {json.dumps(fitted.table.left_value, ensure_ascii=False)}",
        f"  rows: {fitted.table.rows}",
        f"  churned: {int(fitted.table.label.sum())}",
        f"  folds: {len(validation.folds)}",
        f"  auc_weighted: {_figure(validation.auc)}",
        f"  auc_plain_sum: {_figure(validation.auc_plain)}",
        f"  brier: {_figure(validation.brier)}",
    ]
    if companion.features:
        lines.append("features:")
        lines += [f"  {name}: {json.dumps(each, ensure_ascii=False)}" for name, each in companion.features.items()]
    lines.append("terms:")
    has_own_plain = any(term.get("plain", False) for term in companion.terms)
    names = attribute_names([term.binned.name for term in card.terms])
    for term in card.terms:
        plain = term.in_plain_sum and not has_own_plain
        lines += _fitted_term(term.binned, term.weight, names[term.binned.name], companion, plain=plain)
    for own in companion.terms:
        lines += _own_term(own, companion)
    return lines


def _fitted_term(binned: Binned, weight: float, name: str, companion: Companion, *, plain: bool) -> list[str]:
    about = f"column {binned.name}; information value {binned.iv:.3f}, weight {weight:.3f}"
    bound = companion.bind.get(binned.name)
    source = [f"    attribute: {_text(name)}"]
    if bound is not None:
        source = [f"    {key}: {_text(bound[key])}" for key in ("value", "known") if key in bound]
    lines = [f"  - name: {_text(name)}", f"    about: {_text(about)}", *source]
    lines += ["    plain: true"] if plain else []
    lines.append("    bins:")
    for label, bin_ in zip(bin_names(binned), binned.bins, strict=True):
        limits = _limits(bin_) if not binned.is_number else ([f"below: {bin_.below:.12g}"] if bin_.below < inf else [])
        lines.append(f"      - {_bin([f'name: {_text(label)}', *limits], bin_.group, weight)}")
    lines.append(f"    missing: {_bin(['name: missing'], binned.missing, weight)}")
    return lines


def _limits(bin_: Bin) -> list[str]:
    listed = [f"is: {json.dumps(list(bin_.levels), ensure_ascii=False)}"]
    return [*listed, "others: true"] if bin_.others else listed


def _bin(fields: list[str], group: Group, weight: float) -> str:
    figures = [f"rate: {_figure(group.rate)}", f"log_odds: {_figure(weight * group.woe)}", f"rows: {group.rows}"]
    return "{" + ", ".join([*fields, *figures]) + "}"


def _own_term(given: Mapping[str, Any], companion: Companion) -> list[str]:
    keys = ("name", "about", "attribute", "value", "known")
    lines = [f"    {key}: {_text(given[key])}" for key in keys if key in given]
    lines[0] = "  - " + lines[0].lstrip()
    lines += ["    plain: true"] if given.get("plain", False) else []
    lines.append("    bins:")
    weight = float(given.get("weight", 1.0))
    lines += [f"      - {_own_bin(each, weight, companion)}" for each in given["bins"]]
    lines.append(f"    missing: {_own_bin(given['missing'], weight, companion)}")
    return lines


def _own_bin(given: Mapping[str, Any], weight: float, companion: Companion) -> str:
    fields = [f"name: {_text(given['name'])}"]
    fields += [
        f"{key}: {json.dumps(given[key], ensure_ascii=False)}" for key in ("below", "is", "others") if key in given
    ]
    rate, average = float(given["rate"]), companion.average_rate
    woe = log(rate / (1 - rate)) - log(average / (1 - average))
    return "{" + ", ".join([*fields, f"rate: {_figure(rate)}", f"log_odds: {_figure(weight * woe)}"]) + "}"


def _folded(key: str, text: str) -> list[str]:
    lines = [f"  {line.strip()}" for line in text.strip().splitlines()]
    return [f"{key}: >", *lines]


def _text(text: Any) -> str:
    plain = str(text)
    is_plain = re.fullmatch(r"[a-z][a-z0-9_]*", plain) and plain not in _WORDS_OF_YAML
    return plain if is_plain else json.dumps(plain, ensure_ascii=False)


def _figure(value: float) -> str:
    return f"{round(value, _DIGITS) + 0.0:.{_DIGITS}f}"
