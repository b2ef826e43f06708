"""What is wrong with an event, as values: a field, a code of the closed list, a sentence. Never the value itself."""

import re
from typing import NamedTuple

from schemas.reasons import Reason

_FIELD_CHARACTERS_MAX = 64
_LONG_NUMBER = re.compile(r"[0-9]{7,}")
_UNPRINTABLE = re.compile(r"[^\w .\-\[\]/]", re.ASCII)


class Fault(NamedTuple):
    """One fault. `field` is empty when the event as a whole is at fault; `message` says what would be right."""

    field: str
    reason: Reason
    message: str


class Rejection(NamedTuple):
    """Why an event was refused: at least one fault, all that were found."""

    faults: tuple[Fault, ...]


def rejected(reason: Reason, message: str, *, field: str = "") -> Rejection:
    """Return the rejection with this one fault."""
    return Rejection((Fault(field, reason, message),))


def shown_name(name: object) -> str:
    """Return a foreign field name fit for answers and logs: short, printable, long numbers (phones?) starred."""
    text = _UNPRINTABLE.sub("?", str(name)[:_FIELD_CHARACTERS_MAX])
    return _LONG_NUMBER.sub("*", text)


def type_word(value: object) -> str:
    """Return what a value is, in the words of JSON, without telling it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number with a fraction"
    if isinstance(value, str):
        return "a text" if value else "an empty text"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else "another type"
