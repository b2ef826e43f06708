"""`kairos rules diff`: two folders, or published versions, in words of rules."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from services.detector.authoring.rules_files import SHIPPED, laid_over, read_documents
from services.detector.engine.errors import RuleError

SHIPS = "shipped"
_WORDS = {
    "parameter": "parameter 参数",
    "predicate": "predicate 条件",
    "message": "message 话术",
    "other": "field 字段",
}


def diff(
    before: Annotated[str, typer.Argument(help="A folder, `shipped`, or a published version such as province@3.")],
    after: Annotated[str, typer.Argument(help="The same, to compare with.")],
    whole: Annotated[
        bool, typer.Option("--whole", help="A folder is a whole set; else what it lacks is as in the other.")
    ] = False,
    bootstrap: Annotated[
        str, typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Kafka brokers, for published versions.")
    ] = "127.0.0.1:9092",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell what differs between two rule sets: rules, parameters and their layers, predicates, messages.

    Exit code 1 when something differs. 比较两套规则的差异；有差异时退出码为 1。
    """
    from services.detector.authoring.rules_diff import difference
    from services.transport.errors import TransportError

    try:
        old, new = _documents(before, bootstrap), _documents(after, bootstrap)
        if not whole and _is_folder(after) and not _is_folder(before):
            new = laid_over(new, old)
        found = difference(old, new)
    except (RuleError, ValueError, OSError, TransportError) as fault:
        typer.echo(json.dumps({"ok": False, "error": str(fault)}) if as_json else str(fault), err=not as_json)
        raise typer.Exit(2) from None
    typer.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else "\n".join(_lines(found)))
    raise typer.Exit(0 if found.is_empty else 1)


def _documents(name: str, bootstrap: str) -> dict[str, str]:
    if name == SHIPS:
        return read_documents(SHIPPED)
    if _is_folder(name):
        return read_documents(Path(name))
    rule_set, at, version = name.rpartition("@")
    if not at or not version.isdigit():
        raise ValueError(f"{name}: want a folder, `{SHIPS}`, or a published version such as province@3")
    import asyncio

    from services.detector.stored.archive_rules import read_rule_sets

    for fields in asyncio.run(read_rule_sets(bootstrap))[0].values():
        if fields["rule_set"] == rule_set and fields["version"] == int(version):
            return {each["path"]: each["text"] for each in fields["documents"]}
    raise ValueError(f"{name} is not published")


def _is_folder(name: str) -> bool:
    return name != SHIPS and Path(name).is_dir()


def _lines(found: Any) -> list[str]:
    if found.is_empty:
        return ["both say the same / 两者相同"]
    lines = [f"+ {rule} added / 新增" for rule in found.added] + [f"- {rule} removed / 删除" for rule in found.removed]
    rule = ""
    for change in found.changes:
        if change.rule != rule:
            rule = change.rule
            lines.append(rule)
        layer = f" ({change.layer})" if change.layer else ""
        lines.append(f"  {_WORDS[change.what]} {change.where}{layer}: {_shown(change.before)} → {_shown(change.after)}")
    return lines


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
