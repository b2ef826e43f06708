"""Odd values in the place of any value of a shipped rule file: they are taken, or refused with a place."""

import copy
import random
from collections.abc import Iterator
from math import nan
from typing import Any

import yaml

from services.detector.engine.codegen.generate import rule_text
from services.detector.engine.language.dependencies import unknown_moments
from services.detector.engine.rule_set import read_contents
from tests.reference.logs import shipped_documents

ODD: tuple[Any, ...] = ("", None, [], {}, -1, 1e9, "x", nan, ["x"], {"x": 1}, True, "9" * 400)
TRIALS = 120
SEED = 20_261_123


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document, the root left out."""
    if at:
        yield at
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(each, (*at, key))


def replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    changed = copy.deepcopy(value)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = odd
    return changed


def test_an_odd_value_is_taken_or_refused_with_a_place() -> None:
    documents = {name: yaml.safe_load(text) for name, text in shipped_documents().items()}
    choice = random.Random(SEED)
    places = [(name, path) for name, value in documents.items() for path in paths(value)]
    for _ in range(TRIALS):
        (name, path), odd = choice.choice(places), choice.choice(ODD)
        text = yaml.safe_dump(replaced(documents[name], path, odd), allow_unicode=True)
        contents = read_contents({name: text})  # raises nothing: what is wrong is among its faults
        for rule in contents.rules:
            compile(rule_text(rule), name, "exec")
        for fault in contents.faults or unknown_moments(contents.documents):
            assert fault.line >= 1 and fault.column >= 1, (name, path, odd)  # noqa: PT018  # one claim: a place
