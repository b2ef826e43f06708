"""Rules that name other rules: `supersedes`, `{open: …}`, `{held: …}`, and the urgent rules of a gate. Pure.

Checked over a whole set, where it is checked and published. A set that is on the topic already is not refused by it: a
name that nothing has is false there, and harms nobody.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from services.detector.engine.errors import RuleError
from services.detector.engine.language.gate import is_gate
from services.detector.engine.language.located import Document, Path

_OPEN, _HELD = "open", "held"


def unknown_moments(documents: Iterable[Document]) -> list[RuleError]:
    """Return the first fault of each document that names a rule that is not there, or does not remember."""
    documents = list(documents)
    rules = {str(each.value["id"]): each for each in documents if "id" in each.value and not is_gate(each)}
    remembering = {rule_id for rule_id, each in rules.items() if "remembers" in each.value}
    return [fault for each in documents if (fault := _fault(each, set(rules), remembering)) is not None]


def _fault(document: Document, ids: set[str], remembering: set[str]) -> RuleError | None:
    for path, rule_id in _named(document):
        if rule_id not in ids:
            return document.error(path, f"no rule has the id {rule_id}{_nearest(rule_id, ids)}")
        if path[-1] == _HELD and rule_id not in remembering:
            told = f"{rule_id} does not remember when its condition held; rules with `remembers`"
            return document.error(path, f"{told}: {', '.join(sorted(remembering)) or 'none'}")
    return None


def _named(document: Document) -> Iterator[tuple[Path, str]]:
    """Yield where a document names rules."""
    for i, rule_id in enumerate(document.value.get("supersedes", ())):
        yield ("supersedes", i), str(rule_id)
    for name, each in (document.value.get("features") or {}).items():
        for word in (_OPEN, _HELD):
            if isinstance(each, dict) and word in each:
                yield ("features", name, word), str(each[word])
    for i, rule_id in enumerate((document.value.get("urgent_sms") or {}).get("rules", ())):
        yield ("urgent_sms", "rules", i), str(rule_id)


def _nearest(rule_id: str, ids: set[str]) -> str:
    near = get_close_matches(rule_id.upper(), sorted(ids), n=3, cutoff=0.3)
    return f"; nearest known: {', '.join(near)}" if near else f"; known: {', '.join(sorted(ids))}"
