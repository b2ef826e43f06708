"""The rule file of a continuous gate (NS1): hours of contact. Checked with the others; nothing is judged by it."""

import re
from dataclasses import dataclass
from typing import Any

from services.detector.engine.language.located import Document, Path, checked_keys, checked_message, checked_text
from services.detector.engine.language.rule_forms import CLASSES, CLOCK, DIMENSIONS, GROUPS, LANGUAGES, RULE_ID

CONTINUOUS = "continuous"
"""The cadence that makes a file a gate."""
_WINDOW = re.compile(r"(\S+)-(\S+)")
_FIELDS = {
    "id": True, "description": True, "class": True, "dimension": True, "group": True, "cadence": True, "windows": True,
    "urgent_sms": False, "messages": True,
}  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """Open windows in minutes of the local day, half-open; rules that may pass as SMS, and until when."""

    id: str
    working_day: tuple[tuple[int, int], ...]
    rest_day: tuple[tuple[int, int], ...]
    urgent_rules: tuple[str, ...]
    urgent_until: int


def is_gate(document: Document) -> bool:
    """True for files that are not judged but gate continuously."""
    return bool(document.value.get("cadence") == CONTINUOUS)


def read_gate(document: Document) -> Gate:
    """Check a gate; raises RuleError at the first thing that is wrong."""
    given = document.value
    checked_keys(document, (), given, _FIELDS)
    if not RULE_ID.fullmatch(str(given["id"])):
        raise document.error(("id",), "want 2 to 6 capital letters and digits, such as NS1")
    checked_text(document, ("description",), given["description"])
    for key, words in (("class", CLASSES), ("dimension", DIMENSIONS), ("group", GROUPS)):
        if given[key] not in words:
            raise document.error((key,), f"want one of {', '.join(words)}")
    checked_keys(document, ("windows",), given["windows"], {"working_day": True, "rest_day": True})
    urgent = given.get("urgent_sms", {"rules": [], "until": "00:00"})
    checked_keys(document, ("urgent_sms",), urgent, {"rules": True, "until": True})
    messages = checked_keys(document, ("messages",), given["messages"], dict.fromkeys(LANGUAGES, True))
    for language, sentences in messages.items():
        checked_message(document, language, sentences)
    return Gate(
        id=str(given["id"]),
        working_day=_windows(document, "working_day"),
        rest_day=_windows(document, "rest_day"),
        urgent_rules=_rules(document, urgent["rules"]),
        urgent_until=_minute(document, ("urgent_sms", "until"), urgent["until"]),
    )


def _windows(document: Document, key: str) -> tuple[tuple[int, int], ...]:
    """Return the windows of one kind of day, which must be in order and apart."""
    found: list[tuple[int, int]] = []
    given = document.value["windows"][key]
    if not isinstance(given, list) or not given:
        raise document.error(("windows", key), 'want a list of windows such as "09:00-12:00"')
    for i, text in enumerate(given):
        path: Path = ("windows", key, i)
        parts = _WINDOW.fullmatch(str(text))
        if parts is None:
            raise document.error(path, 'want a window such as "09:00-12:00"')
        opens, closes = _minute(document, path, parts[1]), _minute(document, path, parts[2])
        if closes <= opens or (found and opens < found[-1][1]):
            raise document.error(path, "windows close after they open, and follow each other")
        found.append((opens, closes))
    return tuple(found)


def _rules(document: Document, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(RULE_ID.fullmatch(str(each)) for each in given):
        raise document.error(("urgent_sms", "rules"), "want a list of rule ids")
    return tuple(str(each) for each in given)


def _minute(document: Document, path: Path, text: Any) -> int:
    clock = CLOCK.fullmatch(str(text))
    if clock is None:
        raise document.error(path, 'want a local time such as "09:00"')
    return int(clock[1]) * 60 + int(clock[2])
