"""`kairos rules`: check rule files, publish them as an immutable version, and try them on stored events."""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from services.detector.catalogue import catalogue
from services.detector.catalogue_pages import html, markdown
from services.detector.engine.errors import RuleError
from services.detector.rules_diff_commands import diff
from services.detector.rules_files import SHIPPED, read_documents
from services.detector.stored.backtest_commands import backtest
from services.detector.stored.shadow_commands import shadow

RULES_TOPIC = "kairos.rules.v1"
RULE_SET = "kairos.rules.v1.RuleSet"
_DEADLINE_S = 30.0

app = typer.Typer(no_args_is_help=True, help="Check rule files and publish them as an immutable version.")


@dataclass(frozen=True)
class Published:
    """A rule set on the topic: where, which version, and what it says."""

    offset: int
    version: int
    sha256: str


app.command()(backtest)
app.command()(diff)
app.command()(shadow)


@app.callback()
def rules() -> None:
    """Rules are YAML files; a set of them is checked, compiled and published as a whole."""


@app.command()
def check(
    directory: Annotated[Path, typer.Option("--rules", help="Folder of the rule files.")] = SHIPPED,
    compile_kernels: Annotated[
        bool, typer.Option("--compile", help="Also compile, so that workers start warm.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Type-check every rule; says file, line, column and what would be right."""
    try:
        compiled = _compiled(read_documents(directory), "check@0")
    except RuleError as wrong:
        _say(as_json, {"ok": False, "file": wrong.file, "line": wrong.line, "column": wrong.column,
                       "message": wrong.message}, str(wrong))  # fmt: skip
        raise typer.Exit(1) from None
    if compile_kernels:
        from services.detector.engine_binding import released_engine

        released_engine().compile_rule_set(read_documents(directory), "check@0", 0)
    ids = [rule.id for rule in compiled.rules]
    _say(as_json, {"ok": True, "rules": ids}, f"{len(ids)} rules are right: {', '.join(ids)}")


@app.command()
def docs(
    directory: Annotated[Path, typer.Option("--rules", help="Folder of the rule files.")] = SHIPPED,
    out: Annotated[
        Path | None, typer.Option("--out", help="A file .md or .html; without it Markdown goes to stdout.")
    ] = None,
) -> None:
    """Render the catalogue as a page, Chinese and English: every rule with its thresholds, evidence and sentences."""
    try:
        documents = read_documents(directory)
        _compiled(documents, "docs@0")
    except RuleError as wrong:
        print(str(wrong), file=sys.stderr)
        raise typer.Exit(1) from None
    page = catalogue(documents)
    if out is None:
        print(markdown(page), end="")
        return
    out.write_text(html(page) if out.suffix in (".html", ".htm") else markdown(page), encoding="utf-8")
    print(f"{out}: {len(documents)} files")


@app.command()
def publish(
    author: Annotated[str, typer.Option(help="Who wrote the rules.")],
    publisher: Annotated[str, typer.Option(help="Who publishes them; not the author.")],
    directory: Annotated[Path, typer.Option("--rules", help="Folder of the rule files.")] = SHIPPED,
    rule_set: Annotated[str, typer.Option(help="Name of the rule set.")] = "province",
    version: Annotated[int, typer.Option(help="Version; 0 = one more than the newest.")] = 0,
    effective_from_ms: Annotated[int, typer.Option(help="Event time from which it holds, UTC milliseconds.")] = 0,
    bootstrap: Annotated[
        str, typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Kafka bootstrap servers.")
    ] = "127.0.0.1:9092",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Validate and write a new version; does nothing when the newest version already says the same."""
    if author.strip() == publisher.strip() or not author.strip() or not publisher.strip():
        _refuse(as_json, "author and publisher must be two people")
    try:
        documents = read_documents(directory)
        compiled = _compiled(documents, f"{rule_set}@{version}")
    except RuleError as wrong:
        _refuse(as_json, str(wrong))
    digest = digest_of(documents, effective_from_ms)
    known = list(read_published(bootstrap, rule_set))
    newest = known[-1] if known else None
    if newest is not None and newest.sha256 == digest and version in (0, newest.version):
        _say(as_json, {"published": False, "key": f"{rule_set}@{newest.version}", "offset": newest.offset},
             f"{rule_set}@{newest.version} says the same already; nothing published")  # fmt: skip
        return
    number = version or (newest.version + 1 if newest else 1)
    if any(each.version == number for each in known):
        _refuse(as_json, f"{rule_set}@{number} exists with other contents; versions are immutable")
    record = rule_set_record(compiled, documents, rule_set, number, effective_from_ms, author, publisher)
    offset = _write(bootstrap, f"{rule_set}@{number}", record)
    _say(as_json, {"published": True, "key": f"{rule_set}@{number}", "offset": offset},
         f"published {rule_set}@{number} at offset {offset}: {len(compiled.rules)} rules")  # fmt: skip


def digest_of(documents: dict[str, str], effective_from_ms: int) -> str:
    """Return a hash of everything that a version says."""
    return hashlib.sha256(json.dumps([effective_from_ms, sorted(documents.items())]).encode()).hexdigest()


def rule_set_record(
    compiled: Any, documents: dict[str, str], rule_set: str, version: int, effective_from_ms: int, author: str,
    publisher: str,
) -> dict[str, Any]:  # fmt: skip
    """Return the record of rule_set.v1.avsc, sentences included."""
    return {
        "rule_set": rule_set,
        "version": version,
        "effective_from": effective_from_ms,
        "published_at": time.time_ns() // 1_000_000,
        "author": author,
        "publisher": publisher,
        "documents": [
            {"path": path, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
            for path, text in sorted(documents.items())
        ],
        "messages": [
            {"key": rule.id, "language": language, **vars(message)}
            for rule in compiled.rules
            for language, message in rule.messages.items()
        ],
    }


def read_published(bootstrap: str, rule_set: str) -> Iterator[Published]:
    """Yield the versions of a rule set on the topic, oldest first; of a key the first record counts."""
    from kafka import KafkaConsumer, TopicPartition

    from schemas.codec import decode

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        partition = TopicPartition(RULES_TOPIC, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        seen: set[int] = set()
        deadline = time.monotonic() + _DEADLINE_S
        while consumer.position(partition) < end:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{RULES_TOPIC} could not be read within {_DEADLINE_S:.0f} s")
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    held = decode(record.value, allowed=[RULE_SET]).record
                    if held["rule_set"] == rule_set and held["version"] not in seen:
                        seen.add(held["version"])
                        documents = {each["path"]: each["text"] for each in held["documents"]}
                        digest = digest_of(documents, held["effective_from"])
                        yield Published(record.offset, held["version"], digest)
    finally:
        consumer.close()


def _write(bootstrap: str, key: str, record: dict[str, Any]) -> int:
    from kafka import KafkaProducer

    from schemas.codec import encode

    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type=None)
    try:
        sent = producer.send(RULES_TOPIC, key=key.encode(), value=encode(RULE_SET, record), partition=0)
        return int(sent.get(timeout=_DEADLINE_S).offset)
    finally:
        producer.close(timeout=_DEADLINE_S)


def _compiled(documents: dict[str, str], version: str) -> Any:
    from services.detector.engine.rule_set import compile_rule_set

    return compile_rule_set(documents, version)


def _refuse(as_json: bool, why: str) -> None:
    _say(as_json, {"published": False, "error": why}, why)
    raise typer.Exit(1)


def _say(as_json: bool, fields: dict[str, Any], text: str) -> None:
    print(json.dumps(fields, ensure_ascii=False) if as_json else text)
