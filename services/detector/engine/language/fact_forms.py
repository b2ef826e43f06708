"""What a fact and an aggregate are made of: their types, where they exist, and the checks that their tables share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.detector.engine.language.expressions import Typed

ANY, CASE_COMPLAINT, CASE_HANDSET, CALENDAR = "any", "complaint", "handset", "calendar"
"""Where a fact exists: everywhere; in rules with one episode per complaint, or per handset change; at nominal hours."""
CASE_ORDER, CASE_INQUIRY, CASE_COUNTRY, OF_USAGE = "order", "inquiry", "country", "usage"
"""In rules that listen to service orders, inquiries or roaming: of the event. In those that usage can end: of that."""

CYCLE, CONTRACT, FESTIVAL = "cycle", "contract", "festival"
"""In rules with such an episode."""


@dataclass(frozen=True)
class Fact:
    """A name, its type, where it exists, and what it means."""

    typed: Typed
    about: str
    where: str = ANY


class BadFeature(Exception):
    """A feature that cannot be; `key` is the field at fault."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message


Aggregate = Callable[[Mapping[str, Any], Callable[[str], int]], Typed]
"""Makes the typed form of a declared aggregate, from its fields and the code of a rule; raises BadFeature."""


def number(code: str, unit: str, about: str, where: str = ANY) -> Fact:
    """Return a fact that is a number."""
    return Fact(Typed(f"np.float64({code})", "number", unit), about, where)


def truth(code: str, about: str, where: str = ANY) -> Fact:
    """Return a fact that holds or does not."""
    return Fact(Typed(f"({code})", "boolean"), about, where)


def enum(code: str, words: tuple[str, ...], about: str, where: str = ANY) -> Fact:
    """Return a fact that is one of some words."""
    return Fact(Typed(f"np.int64({code})", "enum", words=words), about, where)


def text(code: str, about: str, where: str = ANY) -> Fact:
    """Return a fact that is a text, known by its key."""
    return Fact(Typed(code, "text"), about, where)


def integer(given: Mapping[str, Any], key: str, default: int | None, most: int) -> int:
    """Return a whole number of an aggregate's fields; raises BadFeature."""
    value = given.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise BadFeature(key, f"{key} wants an integer from 0 to {most}")
    return value


def word(given: Mapping[str, Any], key: str, words: tuple[str, ...]) -> int:
    """Return the number of a word of an enum among an aggregate's fields; raises BadFeature."""
    value = given.get(key)
    if value not in words:
        told = f"{key} is missing" if value is None else f"{value} is no such word"
        raise BadFeature(key, f"{told}; known: {', '.join(words)}")
    return words.index(value)


def only(given: Mapping[str, Any], *keys: str) -> None:
    """Refuse fields that an aggregate does not have; raises BadFeature."""
    for key in given:
        if key not in keys:
            raise BadFeature(key, f"unknown field {key}; known here: {', '.join(keys)}")
