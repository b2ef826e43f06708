"""YAML with places: plain values, and for each the line and column where it was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import yaml

from services.detector.engine.errors import RuleError

Path = tuple[str | int, ...]
Place = tuple[int, int]
_DEPTH_MAX = 12
_VALUES_MAX = 20_000


@dataclass
class Document:
    """A YAML mapping and the places of its values and keys, by path; lines and columns count from 1."""

    file: str
    value: dict[str, Any]
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    sources: dict[Path, str] = field(default_factory=dict)  # of texts: how they were written, from their place on

    def error(self, path: Path, message: str, offset: int = 0) -> RuleError:
        """Return the error to raise about the value at a path, or the nearest thing around it.

        offset: how far into a text, as it reads; it is told where that was written.
        """
        source = self.sources.get(path, "")
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        before = source[: _written_at(source, self._at(path), offset)]
        if "\n" in before:
            return RuleError(self.file, line + before.count("\n"), len(before) - before.rfind("\n"), message)
        return RuleError(self.file, line, column + len(before), message)

    def key_error(self, path: Path, message: str) -> RuleError:
        """Return the error to raise about a key."""
        return RuleError(self.file, *self.keys.get(path, self.places.get(path, (1, 1))), message)

    def _at(self, path: Path) -> str:
        value: Any = self.value
        for step in path:
            value = value[step]
        return str(value)


def _written_at(source: str, text: str, offset: int) -> int:
    """Return where in its source a letter of a text is: line breaks and indentation of the source count as nothing."""
    at = -1
    for letter in text[: offset + 1]:
        if not letter.isspace():
            found = source.find(letter, at + 1)
            if found < 0:
                break
            at = found
    return max(at, 0)


def read_document(file: str, text: str) -> Document:
    """Parse a document; raises RuleError. Only plain data: no tags, no key twice."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise RuleError(file, line, column, f"not valid YAML: {fault.problem}") from None
    except yaml.YAMLError as fault:
        raise RuleError(file, 1, 1, f"not valid YAML: {' '.join(str(fault).split())}") from None
    except RecursionError:
        raise RuleError(file, 1, 1, "nested too deeply") from None
    if not isinstance(node, yaml.MappingNode):
        raise RuleError(file, 1, 1, "want a mapping of fields to values")
    document = Document(file, {})
    document.value = _Plain(document, text).value(node, ())
    return document


class _Plain:
    """Makes plain values of the nodes of one document, and notes where they are."""

    def __init__(self, document: Document, text: str) -> None:
        self._document = document
        self._text = text
        self._count = 0  # aliases of aliases multiply

    def value(self, node: yaml.Node, path: Path) -> Any:
        """Return a value and note the places in it; raises RuleError."""
        is_quoted = isinstance(node, yaml.ScalarNode) and node.style in ("'", '"')
        self._document.places[path] = (node.start_mark.line + 1, node.start_mark.column + 1 + is_quoted)
        if len(path) > _DEPTH_MAX:
            raise self._error(path, "nested too deeply")
        self._count += 1
        if self._count > _VALUES_MAX:
            raise self._error(path, f"more than {_VALUES_MAX} values")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, (*path, i)) for i, each in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path, is_quoted=is_quoted)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            key = str(key_node.value)
            if not isinstance(key_node, yaml.ScalarNode):
                raise RuleError(self._document.file, *place, "want a name here")
            if key in found:
                raise RuleError(self._document.file, *place, f"{key} is given twice")
            self._document.keys[(*path, key)] = place
            found[key] = self.value(value_node, (*path, key))
        return found

    def _scalar(self, node: yaml.ScalarNode, path: Path, *, is_quoted: bool) -> Any:
        begin = node.start_mark.index + is_quoted
        source = self._text[begin : node.end_mark.index]
        if node.style in ("|", ">"):  # what is written begins behind the line of the indicator
            source = " " * source.find("\n") + source[source.find("\n") :]
        if node.tag == "tag:yaml.org,2002:str":
            self._document.sources[path] = source
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            raise self._error(path, f"{node.value} is no value: put it in quotes if it is a text") from None

    def _error(self, path: Path, message: str) -> RuleError:
        return RuleError(self._document.file, *self._document.places[path], message)


def checked_keys(document: Document, path: Path, given: Any, allowed: Mapping[str, bool]) -> dict[str, Any]:
    """Return a mapping; refuse what is none, unknown fields, and missing ones that `allowed` marks as required."""
    if not isinstance(given, dict):
        raise document.error(path, f"want a mapping with {', '.join(allowed)}")
    for key in given:
        if key not in allowed:
            raise document.key_error((*path, key), f"unknown field {key}; known here: {', '.join(sorted(allowed))}")
    for key, is_required in allowed.items():
        if is_required and key not in given:
            raise document.error(path, f"{key} is missing")
    return given


def checked_text(document: Document, path: Path, value: Any, *, must_have: str = "") -> str:
    """Return a text that says something. must_have: zh = at least one Chinese character."""
    if not isinstance(value, str) or not value.strip():
        raise document.error(path, "want a text that is not empty")
    if must_have == "zh" and not any("\u3400" <= letter <= "\u9fff" for letter in value):
        raise document.error(path, "want Chinese here: not one Chinese character is in it")
    return value


def checked_message(document: Document, language: str, given: Any) -> dict[str, str]:
    """Return the sentences of a language: title, why_now, what_to_say."""
    path: Path = ("messages", language)
    checked_keys(document, path, given, {"title": True, "why_now": True, "what_to_say": True})
    return {key: checked_text(document, (*path, key), text, must_have=language) for key, text in given.items()}


def checked_number(document: Document, path: Path, value: Any, least: float, most: float) -> float:
    """Return a number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (least <= value <= most):
        bounds = f" from {least:g} to {most:g}" if isfinite(least) and isfinite(most) else ""
        raise document.error(path, f"want a number{bounds}")
    return float(value)
