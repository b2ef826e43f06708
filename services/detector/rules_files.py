"""Folders of rule files: what ships, what a folder holds, and a draft laid over what ships."""

from collections.abc import Mapping
from pathlib import Path

from services.detector.engine.errors import RuleError

SHIPPED = Path(__file__).resolve().parent / "rules"


def read_documents(directory: Path) -> dict[str, str]:
    """Return the rule documents of a folder: relative path → text; raises RuleError when there are none."""
    found = {
        f"rules/{path.relative_to(directory).as_posix()}": path.read_text(encoding="utf-8")
        for path in sorted(directory.rglob("*.yaml"))
    }
    if not found:
        raise RuleError(str(directory), 1, 1, "no *.yaml files here")
    return found


def laid_over(draft: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    """Return the documents of a draft, and those of the base whose file name and rule id it does not have."""
    names = {_name(path) for path in draft}
    ids = {rule_id(path, text) for path, text in draft.items()} - {""}
    kept = {
        path: text
        for path, text in base.items()
        if _name(path) not in names and (not ids or rule_id(path, text) not in ids)
    }
    return {**kept, **draft}


def rule_id(path: str, text: str) -> str:
    """Return the id that a document says, "" when it says none; raises RuleError when it is no YAML."""
    from services.detector.engine.located import read_document

    value = read_document(path, text).value
    found = value.get("id", "") if isinstance(value, Mapping) else ""
    return found if isinstance(found, str) else ""


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
