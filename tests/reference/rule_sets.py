"""Rule sets for the engine and the same for the reference: the shipped one, with layers, with fewer rules."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from services.detector.engine.rule_set import CompiledRuleSet, compile_rule_set
from tests.reference.findings import Number
from tests.reference.limits import SHIPPED, RuleSet
from tests.reference.logs import shipped, shipped_documents, shipped_ids
from tests.reference.random_logs import random_log
from tests.reference.records import Entry

PLACES = (("NJ", ""), ("SZ", ""), ("", "GO"), ("", "EASY"), ("NJ", "GO"))
"""Cities, segments, and one pair, for which layers say something."""


@dataclass(frozen=True)
class Published:
    """The same rule set in both forms."""

    compiled: CompiledRuleSet
    stated: RuleSet


def as_shipped() -> Published:
    """The province's rules."""
    return Published(shipped(), RuleSet())


@cache
def layered(seed: int, effective_from: int = 0) -> Published:
    """Rules of which some numbers are others in some cities and segments. They compile to what is compiled already."""
    rng, layers = random.Random(seed), {}
    documents = {path: yaml.safe_load(text) for path, text in shipped_documents().items()}
    for document in documents.values():
        for name, parameter in document.get("parameters", {}).items():
            if document.get("id") not in shipped_ids() or rng.random() < 0.3:
                continue
            for city, segment in rng.sample(PLACES, 3):
                value = max(round(rng.choice((0.5, 0.8, 1, 1.5, 2)) * parameter["value"]), 1)
                layers[document["id"], name, city, segment] = value
                _put(parameter, city, segment, value)
    texts = {
        path: yaml.safe_dump(document, allow_unicode=True, sort_keys=False) for path, document in documents.items()
    }
    return Published(
        compile_rule_set(texts, f"layers-{seed}", effective_from), RuleSet(effective_from, shipped_ids(), layers)
    )


@cache
def without(rules: frozenset[str], effective_from: int = 0) -> Published:
    """The province's rules but some."""
    texts = {
        path: text for path, text in shipped_documents().items() if yaml.safe_load(text).get("id") not in rules
    }  # fmt: skip
    name = "without-" + "-".join(sorted(rules))
    return Published(compile_rule_set(texts, name, effective_from), RuleSet(effective_from, shipped_ids() - rules))


def _put(parameter: dict[str, Any], city: str, segment: str, value: Number) -> None:
    if city and segment:
        parameter.setdefault("city_and_segment", {})[f"{city}/{segment}"] = value
    elif city:
        parameter.setdefault("city", {})[city] = value
    else:
        parameter.setdefault("segment", {})[segment] = value


def log_with_rule_sets(seed: int, sets: int, **log: Any) -> list[Entry]:
    """A random log whose ticks announce so many rule sets, one after the other; the first ones announce none."""
    rng = random.Random(seed)
    entries = random_log(seed, **log)
    ticks = [place for place, entry in enumerate(entries) if entry[0] == "tick"]
    starts = sorted(rng.sample(range(len(ticks)), min(sets, len(ticks))))
    announced = -1
    for number, place in enumerate(ticks):
        while announced + 1 < len(starts) and number >= starts[announced + 1]:
            announced += 1
        entries[place] = ("tick", entries[place][1], announced if rng.random() < 0.9 else max(announced - 1, -1))
    return entries


def both(published: Sequence[Published]) -> tuple[Mapping[int, CompiledRuleSet], list[RuleSet]]:
    """What the engine and the reference take."""
    return {number: each.compiled for number, each in enumerate(published)}, [each.stated for each in published]


def stated_numbers(rules: Iterable[str]) -> dict[str, dict[str, Number]]:
    """The numbers that the reference states, of these rules."""
    return {rule: dict(SHIPPED.get(rule, {})) for rule in sorted(rules)}


def filed_numbers(rules: Iterable[str]) -> dict[str, dict[str, Number]]:
    """The numbers that the rule files state."""
    found = {}
    for text in shipped_documents().values():
        document = yaml.safe_load(text)
        if document.get("id") in rules:
            found[document["id"]] = {name: each["value"] for name, each in document.get("parameters", {}).items()}
    return {rule: found[rule] for rule in sorted(found)}
