"""What differs between two sets of rule documents, in words of rules: parameters, layers, predicates, messages. Pure.

Order of fields, comments, line breaks and the spelling of a number or a SQL expression make no difference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlglot
from sqlglot.errors import SqlglotError

from services.detector.engine.language.located import read_document

PARAMETER, PREDICATE, MESSAGE, OTHER = "parameter", "predicate", "message", "other"
_EXPRESSIONS = frozenset(
    {
        "fire", "rearm", "when", "priority", "channel", "earliest_contact", "recheck_at", "occurred", "keep", "known",
        "remembers", "value", "observed", "baseline", "threshold",
    }
)  # fmt: skip
_PREDICATES = frozenset({"fire", "rearm", "remembers", "resolve", "features", "recheck_at", "wait", "resolve_on"})
_LAYERS = ("city", "segment", "city_and_segment")
_NAMES = ("name", "as", "id")
"""Fields by which items of a list are the same item."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One difference. what: a kind of change; where: the path in the document; before, after: None = not there.

    layer: of a parameter's value, such as `city NJ`; province when it is the value for all.
    """

    rule: str
    what: str
    where: str
    before: Any
    after: Any
    layer: str = ""


@dataclass(frozen=True)
class Diff:
    """All that differs. Rules by id; documents that are no rules (risk card, lateness) by file name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """True when both say the same."""
        return not (self.added or self.removed or self.changes)

    @property
    def changed(self) -> tuple[str, ...]:
        """Rules and other documents that both have and that differ."""
        return tuple(dict.fromkeys(change.rule for change in self.changes))

    def as_json(self) -> dict[str, Any]:
        """The diff as one JSON object, changes by rule."""
        rules: dict[str, list[dict[str, Any]]] = {}
        for change in self.changes:
            rules.setdefault(change.rule, []).append(
                {name: value for name, value in asdict(change).items() if name != "rule"}
            )
        return {"same": self.is_empty, "added": self.added, "removed": self.removed, "changed": rules}


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> Diff:
    """Return what changed from one set of documents (path → text) to another; raises RuleError for bad YAML."""
    old, new = _by_name(before), _by_name(after)
    changes = [
        change
        for name in sorted(old.keys() & new.keys())
        for change in _changes(name, _plain(old[name], ()), _plain(new[name], ()))
    ]
    return Diff(tuple(sorted(new.keys() - old.keys())), tuple(sorted(old.keys() - new.keys())), tuple(changes))


def _by_name(documents: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for path, text in documents.items():
        value = read_document(path, text).value
        found[str(value.get("id") or path.rsplit("/", 1)[-1])] = value
    return found


def _plain(value: Any, path: Path) -> Any:
    """Return a value whose spelling makes no difference: lists of named items as mappings, expressions in one form."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each, (*path, str(key))) for key, each in value.items()}
    if isinstance(value, list):
        named = [_name_of(each) for each in value]
        if all(named) and len(set(named)) == len(named):
            return {name: _plain(each, (*path, name)) for name, each in zip(named, value, strict=True)}
        return [_plain(each, path) for each in value]
    if isinstance(value, str):
        return _expression(value) if _is_expression(path) else " ".join(value.split())
    return value


def _name_of(item: Any) -> str:
    return next((str(item[key]) for key in _NAMES if key in item), "") if isinstance(item, Mapping) else ""


def _is_expression(path: Path) -> bool:
    if not path or path[0] in ("messages", "description"):
        return False
    return path[-1] in _EXPRESSIONS or (path[0] == "features" and len(path) == 2)


def _expression(text: str) -> str:
    try:
        return sqlglot.parse_one(text).sql()
    except SqlglotError:
        return " ".join(text.split())


def _changes(rule: str, before: Any, after: Any, path: Path = ()) -> Iterator[Change]:
    if isinstance(before or after, dict) and isinstance(before or {}, dict) and isinstance(after or {}, dict):
        before, after = before or {}, after or {}
        for key in sorted(before.keys() | after.keys()):
            yield from _changes(rule, before.get(key), after.get(key), (*path, key))
    elif before != after:
        what, where, layer = _described(path)
        yield Change(rule, what, where, before, after, layer)


def _described(path: Path) -> tuple[str, str, str]:
    """Return the kind of change, where it is, and of a parameter's value which layer it is of."""
    if path[0] == "parameters" and len(path) > 2:
        if path[2] == "value":
            return PARAMETER, path[1], "province"
        if path[2] in _LAYERS:
            return PARAMETER, path[1], " ".join((path[2].replace("_", " "), *path[3:]))
        return (PARAMETER if path[2] == "unit" else OTHER), ".".join(path[1:]), ""
    if path[0] == "parameters":
        return PARAMETER, ".".join(path[1:]), ""
    what = PREDICATE if path[0] in _PREDICATES else MESSAGE if path[0] == "messages" else OTHER
    return what, ".".join(path), ""
