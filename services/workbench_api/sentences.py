"""The sentences of the rules, and how a moment's numbers get into them. Pure.

A sentence is found by rule version, message key and language; an unknown key gives a plain text with the evidence.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Language = Literal["zh", "en"]
_PLACE: Final = re.compile(r"\{([A-Za-z0-9_]+)\}")
_VERSIONS_MAX: Final = 50  # a moment lives some weeks; older versions than these are rendered with the newest
_ABSENT: Final = "—"


@dataclass(frozen=True)
class Sentence:
    """Name of the moment, why now, opening words; with {parameters}."""

    title: str
    why_now: str
    what_to_say: str


@dataclass(frozen=True)
class Reading:
    """One condition of a moment as its evidence states it."""

    name: str
    observed: str
    baseline: str
    threshold: str


class Sentences:
    """All sentences known so far, by rule version (`rule_set@version`)."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[tuple[str, str], Sentence]] = {}

    @property
    def count(self) -> int:
        """How many versions are known."""
        return len(self._versions)

    def add(self, version: str, sentences: Mapping[tuple[str, str], Sentence]) -> None:
        """Take the sentences of a version, (key, language) → sentence; the first record of a version wins."""
        if version in self._versions:
            return
        self._versions[version] = dict(sentences)
        while len(self._versions) > _VERSIONS_MAX:
            del self._versions[next(iter(self._versions))]

    def find(self, version: str, key: str, language: Language) -> Sentence | None:
        """The sentence of that version, else of the newest; in the other language rather than not at all."""
        newest_first = [version, *reversed(self._versions)]
        for wanted in (language, "en" if language == "zh" else "zh"):
            for name in newest_first:
                found = self._versions.get(name, {}).get((key, wanted))
                if found is not None:
                    return found
        return None


def fill(text: str, parameters: Mapping[str, str]) -> str:
    """Put parameters into a sentence; one that is missing shows as a dash, so that the sentence can still be read."""
    return _PLACE.sub(lambda match: parameters.get(match.group(1), _ABSENT), text)


def fallback(rule_id: str, readings: Sequence[Reading], language: Language) -> Sentence:
    """A plain sentence from the rule id and the evidence alone."""
    if language == "zh":
        lines = "；".join(_reading_zh(reading) for reading in readings)
        return Sentence(f"关键时刻 {rule_id}", lines or f"规则 {rule_id} 成立", "")
    lines = "; ".join(_reading_en(reading) for reading in readings)
    return Sentence(f"Moment {rule_id}", lines or f"rule {rule_id} holds", "")


def language_of(accept_language: str | None) -> Language:
    """The language a client asks for with accept-language; zh unless the first known tag is English."""
    for part in (accept_language or "").lower().split(","):
        tag = part.partition(";")[0].strip()
        if tag.startswith("en"):
            return "en"
        if tag.startswith("zh"):
            return "zh"
    return "zh"


def _reading_zh(reading: Reading) -> str:
    parts = [f"{reading.name} {reading.observed}"]
    parts += [f"基线 {reading.baseline}"] if reading.baseline else []
    parts += [f"阈值 {reading.threshold}"] if reading.threshold else []
    return "，".join(parts)


def _reading_en(reading: Reading) -> str:
    parts = [f"{reading.name} {reading.observed}"]
    parts += [f"baseline {reading.baseline}"] if reading.baseline else []
    parts += [f"threshold {reading.threshold}"] if reading.threshold else []
    return ", ".join(parts)
