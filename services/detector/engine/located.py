"""YAML with places: plain values, and for each the line and column where it was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from services.detector.engine.errors import RuleError

Path = tuple[str | int, ...]
_DEPTH_MAX = 12


@dataclass
class Document:
    """A YAML mapping and the places of its values, by path; lines and columns count from 1."""

    file: str
    value: dict[str, Any]
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def error(self, path: Path, message: str, column_offset: int = 0) -> RuleError:
        """Return the error to raise about the value at a path, or the nearest thing around it."""
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        return RuleError(self.file, line, column + column_offset, message)


def read_document(file: str, text: str) -> Document:
    """Parse a document; raises RuleError. Only plain data: no tags, no anchors, no key twice."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise RuleError(file, line, column, f"not valid YAML: {fault.problem}") from None
    except yaml.YAMLError as fault:
        raise RuleError(file, 1, 1, f"not valid YAML: {fault}") from None
    document = Document(file, {})
    value = _plain(document, node, ()) if node is not None else None
    if not isinstance(value, dict):
        raise RuleError(file, 1, 1, "want a mapping of fields to values")
    document.value = value
    return document


def _plain(document: Document, node: yaml.Node, path: Path) -> Any:
    quote = 1 if isinstance(node, yaml.ScalarNode) and node.style in ("'", '"') else 0
    document.places[path] = (node.start_mark.line + 1, node.start_mark.column + 1 + quote)
    if len(path) > _DEPTH_MAX:
        raise document.error(path, "nested too deeply")
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in found:
                line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
                raise RuleError(document.file, line, column, f"{key} is given twice")
            found[key] = _plain(document, value_node, (*path, key))
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(document, each, (*path, i)) for i, each in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return yaml.SafeLoader("").construct_object(node) if node.tag != "tag:yaml.org,2002:timestamp" else node.value


def checked_keys(document: Document, path: Path, given: Mapping[str, Any], allowed: Mapping[str, bool]) -> None:
    """Refuse unknown fields, and missing ones that `allowed` marks as required."""
    for key in given:
        if key not in allowed:
            raise document.error((*path, key), f"unknown field {key}; known here: {', '.join(sorted(allowed))}")
    for key, is_required in allowed.items():
        if is_required and key not in given:
            raise document.error(path, f"{key} is missing")
