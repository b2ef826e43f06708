"""Folders of rule files: what ships, what a folder holds, and a draft laid over what ships."""

from collections.abc import Mapping
from pathlib import Path

from services.detector.engine.errors import RuleError

SHIPPED = Path(__file__).resolve().parents[1] / "rules"
_FOLDER = "rules/"


def read_documents(given: Path) -> dict[str, str]:
    """Return the rule documents of a folder, or of one file: relative path → text; raises RuleError."""
    found, faults = read_folder(given)
    if faults:
        raise faults[0]
    return found


def read_folder(given: Path) -> tuple[dict[str, str], list[RuleError]]:
    """Return the documents that can be read, and what is wrong with the others, or with the folder."""
    if not given.exists():
        return {}, [RuleError(str(given), 1, 1, "no such file or folder / 没有这个文件或文件夹")]
    is_file = given.is_file()
    paths = [given] if is_file else sorted(given.rglob("*.yaml"))
    if not paths:
        others = sorted(path.name for path in given.rglob("*.yml"))
        told = f"only files named *.yml here ({', '.join(others[:3])}): name them *.yaml / 请改名为 *.yaml"
        return {}, [RuleError(str(given), 1, 1, told if others else "no *.yaml files here / 此处没有 *.yaml 文件")]
    found: dict[str, str] = {}
    faults = []
    for path in paths:
        name = path.name if is_file else path.relative_to(given).as_posix()
        try:
            found[_FOLDER + name] = _text(path)
        except RuleError as fault:
            faults.append(fault)
    return found, faults


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise RuleError(str(path), 1, 1, f"cannot be read: {fault.strerror}") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as fault:
        before = content[: fault.start]
        line, column = before.count(b"\n") + 1, fault.start - before.rfind(b"\n")
        why = f"not UTF-8 (byte {fault.start + 1} of the file is 0x{content[fault.start]:02X}); save the file as UTF-8"
        raise RuleError(str(path), line, column, f"{why} / 请把文件另存为 UTF-8") from None


def shown(fault: RuleError, given: Path, base: str) -> RuleError:
    """Return the fault with the path of its file as the user gave it; base: what the other documents are of."""
    if not fault.file.startswith(_FOLDER):
        return fault
    path = given if given.is_file() else given / fault.file.removeprefix(_FOLDER)
    is_of_draft = path.exists() and (path != given or path.name == fault.file.removeprefix(_FOLDER))
    file = str(path) if is_of_draft else f"{base}:{fault.file}"
    return RuleError(file, fault.line, fault.column, fault.message)


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
    """Return the id that a document says, "" when it says none or is no YAML: whoever compiles it will tell."""
    from services.detector.engine.language.located import read_document

    try:
        value = read_document(path, text).value
    except RuleError:
        return ""
    found = value.get("id", "")
    return found if isinstance(found, str) else ""


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
