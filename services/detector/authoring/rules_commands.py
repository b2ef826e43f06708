"""`kairos rules`: check rule files, publish them as an immutable version, and try them on stored events."""

import asyncio
import hashlib
import json
import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from services.detector.authoring.catalogue import catalogue
from services.detector.authoring.catalogue_pages import html, markdown
from services.detector.authoring.rules_diff import difference
from services.detector.authoring.rules_diff_commands import diff
from services.detector.authoring.rules_files import SHIPPED, laid_over, read_documents, read_folder, shown
from services.detector.engine.errors import RuleError
from services.detector.stored.backtest_commands import backtest
from services.detector.stored.shadow_commands import shadow

RULES_TOPIC = "kairos.rules.v1"
RULE_SET = "kairos.rules.v1.RuleSet"
EXIT_UNAVAILABLE = 3
_DEADLINE_S = 30.0
WHOLE = typer.Option("--whole", help="The files are all there is, laid over nothing. / 这些文件即全部规则，不叠加")
RULE_SET_NAME = typer.Option(help="Name of the rule set. / 规则集名称")
AS_JSON = typer.Option("--json", help="Print one JSON object. / 输出一个 JSON 对象")

app = typer.Typer(
    no_args_is_help=True,
    help="Check rule files and publish them as an immutable version / 检查规则文件并发布为不可变版本",
)


@dataclass(frozen=True)
class Published:
    """A rule set on the topic: where, which version, and what it says."""

    offset: int
    version: int
    sha256: str
    documents: Mapping[str, str]


app.command()(backtest)
app.command()(diff)
app.command()(shadow)


@app.callback()
def rules() -> None:
    """Rules are YAML files; a set of them is checked, compiled and published as a whole.

    规则是 YAML 文件；一套规则整体检查、编译和发布。
    """


@app.command()
def check(
    draft: Annotated[
        Path | None, typer.Argument(help="A folder of drafts, or one file. / 草稿文件夹或单个文件")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--rules", help="The same; without it what ships is checked. / 同上")
    ] = None,
    whole: Annotated[bool, WHOLE] = False,
    bootstrap: Annotated[
        str, typer.Option(help="Lay the drafts over the newest version published there. / 以该处最新发布版本为底")
    ] = "",
    rule_set: Annotated[str, RULE_SET_NAME] = "province",
    compile_kernels: Annotated[
        bool, typer.Option("--compile", help="Also compile, so that workers start warm. / 同时编译")
    ] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Type-check every rule; says file, line, column and what would be right, of every file that is wrong.

    Drafts are laid over what ships, by file name and rule id.
    检查规则文件，逐文件指出行、列和正确写法；草稿叠加在随附规则之上。
    """
    from services.detector.engine.language.dependencies import unknown_moments
    from services.detector.engine.rule_set import compile_rule_set, read_contents

    if draft is not None and directory is not None:
        _refuse(as_json, "want the drafts once: as an argument or with --rules / 只需给出一次", code=2)
    given = draft or directory or SHIPPED
    documents, faults = read_folder(given)
    base, under = ("shipped", {}) if whole or given == SHIPPED else _base(bootstrap, rule_set, as_json=as_json)
    documents = laid_over(documents, under)
    contents = read_contents(documents)
    faults = [*faults, *contents.faults] or unknown_moments(contents.documents)
    if not faults:
        try:
            compile_rule_set(documents, "check@0")
        except RuleError as fault:
            faults = [fault]
    if faults:
        faults = [shown(each, given, base) for each in faults]
        _say(as_json, {"ok": False, "errors": [vars(each) for each in faults]}, "\n".join(map(str, faults)))
        raise typer.Exit(1)
    if compile_kernels:
        from services.detector.engine_binding import released_engine

        released_engine().compile_rule_set(documents, "check@0", 0)
    ids, gates = [rule.id for rule in contents.rules], [gate.id for gate in contents.gates]
    told = f"{len(ids)} rules{_gates(gates)} are right: {', '.join(ids)}"
    _say(as_json, {"ok": True, "rules": ids, "gates": gates}, told)


@app.command()
def docs(
    directory: Annotated[Path, typer.Option("--rules", help="Folder of the rule files. / 规则文件夹")] = SHIPPED,
    out: Annotated[
        Path | None, typer.Option("--out", help="A file .md or .html; else Markdown to stdout. / 输出文件")
    ] = None,
) -> None:
    """Render the catalogue as a page, Chinese and English: every rule with its thresholds, evidence and sentences.

    生成中英文目录页：每条规则的阈值、证据和话术。
    """
    from services.detector.engine.rule_set import compile_rule_set

    try:
        documents = read_documents(directory)
        compile_rule_set(documents, "docs@0")
    except RuleError as wrong:
        print(shown(wrong, directory, "shipped"), file=sys.stderr)
        raise typer.Exit(1) from None
    page = catalogue(documents)
    if out is None:
        print(markdown(page), end="")
        return
    out.write_text(html(page) if out.suffix in (".html", ".htm") else markdown(page), encoding="utf-8")
    print(f"{out}: {len(documents)} files")


@app.command()
def publish(
    author: Annotated[str, typer.Option(help="Who wrote the rules. / 编写人")],
    publisher: Annotated[str, typer.Option(help="Who publishes them; not the author. / 发布人，不能是编写人")],
    directory: Annotated[
        Path, typer.Option("--rules", help="Drafts, a folder or one file; else what ships. / 草稿文件夹或单个文件")
    ] = SHIPPED,
    whole: Annotated[bool, WHOLE] = False,
    rule_set: Annotated[str, RULE_SET_NAME] = "province",
    version: Annotated[int, typer.Option(help="Version; 0 = one more than the newest. / 版本号，0 为最新加一")] = 0,
    effective_from_ms: Annotated[
        int, typer.Option(help="Event time from which it holds, UTC milliseconds. / 生效的事件时间，UTC 毫秒")
    ] = 0,
    bootstrap: Annotated[
        str, typer.Option(envvar="KAIROS_KAFKA_BOOTSTRAP", help="Kafka brokers. / Kafka 地址")
    ] = "127.0.0.1:9092",
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Validate and write a new version; tells what it adds, changes and removes.

    The files are laid over the newest published version (over what ships when there is none), by file name and rule id;
    what they lack stays as it is. Does nothing when that version already says the same. Exit code 3: Kafka is away.
    校验并发布新版本：草稿叠加在最新发布版本之上，未提及的规则保持不变；发布前列出新增、修改、删除的规则。
    """
    from services.detector.engine.language.dependencies import unknown_moments
    from services.detector.engine.rule_set import compile_rule_set, read_contents

    if not _are_two(author, publisher):
        _refuse(as_json, "author and publisher must be two people / 编写人与发布人必须是两个人")
    draft, faults = read_folder(directory)
    if faults := [*faults, *read_contents(draft).faults]:
        _refuse(as_json, "\n".join(str(shown(each, directory, "shipped")) for each in faults))
    with _kafka(as_json):
        known = list(read_published(bootstrap, rule_set))
    newest = known[-1] if known else None
    base, under = _under(newest, rule_set)
    documents = draft if whole else laid_over(draft, under)
    contents = read_contents(documents)
    if faults := contents.faults or unknown_moments(contents.documents):
        _refuse(as_json, "\n".join(str(shown(each, directory, base)) for each in faults))
    try:
        compiled = compile_rule_set(documents, f"{rule_set}@{version}")
        changes = difference(newest.documents if newest else {}, documents)
    except RuleError as wrong:
        _refuse(as_json, str(shown(wrong, directory, base)))
    if changes.removed and not whole:
        _refuse(as_json, f"{', '.join(changes.removed)} would be removed; --whole takes the files as all there is / "
                "将删除上述规则；确需删除请加 --whole")  # fmt: skip
    digest = digest_of(documents, effective_from_ms)
    if newest is not None and newest.sha256 == digest and version in (0, newest.version):
        _say(as_json, {"published": False, "key": f"{rule_set}@{newest.version}", "offset": newest.offset},
             f"{rule_set}@{newest.version} says the same already; nothing published / 内容相同，未发布")  # fmt: skip
        return
    number = version or (newest.version + 1 if newest else 1)
    if any(each.version == number for each in known):
        _refuse(as_json, f"{rule_set}@{number} exists with other contents; versions are immutable / 版本不可更改")
    told = {"added": list(changes.added), "changed": list(changes.changed), "removed": list(changes.removed)}
    if not as_json:
        print("\n".join([f"over {base}:" if not whole else f"in the place of {base}:", *_told(told)]), flush=True)
    record = rule_set_record(compiled, documents, rule_set, number, effective_from_ms, author, publisher)
    with _kafka(as_json):
        offset = _write(bootstrap, f"{rule_set}@{number}", record)
    _say(as_json, {"published": True, "key": f"{rule_set}@{number}", "offset": offset, **told},
         f"published {rule_set}@{number} at offset {offset}: {len(compiled.rules)} rules / 已发布")  # fmt: skip


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
    """Yield the versions of a rule set on the topic, oldest first; of a key the first record counts.

    Raises TransportUnavailable.
    """
    from services.detector.stored.archive_rules import read_rule_sets

    seen: set[int] = set()
    for offset, held in sorted(asyncio.run(read_rule_sets(bootstrap))[0].items()):
        if held["rule_set"] == rule_set and held["version"] not in seen:
            seen.add(held["version"])
            documents = {each["path"]: each["text"] for each in held["documents"]}
            yield Published(offset, held["version"], digest_of(documents, held["effective_from"]), documents)


def _write(bootstrap: str, key: str, record: dict[str, Any]) -> int:
    from kafka import KafkaProducer

    from schemas.codec import encode

    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type=None)
    try:
        sent = producer.send(RULES_TOPIC, key=key.encode(), value=encode(RULE_SET, record), partition=0)
        return int(sent.get(timeout=_DEADLINE_S).offset)
    finally:
        producer.close(timeout=_DEADLINE_S)


def _base(bootstrap: str, rule_set: str, *, as_json: bool) -> tuple[str, Mapping[str, str]]:
    """Return what drafts are laid over, and its name: the newest version at a broker, else what ships."""
    if not bootstrap:
        return _under(None, rule_set)
    with _kafka(as_json):
        known = list(read_published(bootstrap, rule_set))
    return _under(known[-1] if known else None, rule_set)


def _under(newest: Published | None, rule_set: str) -> tuple[str, Mapping[str, str]]:
    if newest is None:
        return "shipped", read_documents(SHIPPED)
    return f"{rule_set}@{newest.version}", newest.documents


def _are_two(author: str, publisher: str) -> bool:
    """False when one of them is nobody, or both are the same however they are spelt."""
    first, second = (unicodedata.normalize("NFKC", name).casefold().split() for name in (author, publisher))
    return bool(first and second and first != second)


def _gates(gates: Sequence[str]) -> str:
    return f" and {len(gates)} gate{'s' * (len(gates) > 1)} ({', '.join(gates)})" if gates else ""


def _told(changes: Mapping[str, Sequence[str]]) -> list[str]:
    words = {"added": "新增", "changed": "修改", "removed": "删除"}
    return [f"  {what} {words[what]}: {', '.join(ids) or '-'}" for what, ids in changes.items()]


@contextmanager
def _kafka(as_json: bool) -> Iterator[None]:
    """End with one line and exit code 3 when Kafka is away."""
    from kafka.errors import KafkaError

    from services.transport.errors import TransportError

    try:
        yield
    except (KafkaError, TransportError, OSError) as fault:
        _refuse(
            as_json,
            f"Kafka does not answer / 无法连接 Kafka: {str(fault) or type(fault).__name__}",
            code=EXIT_UNAVAILABLE,
        )


def _refuse(as_json: bool, why: str, *, code: int = 1) -> NoReturn:
    if as_json:
        print(json.dumps({"published": False, "error": why}, ensure_ascii=False))
    else:
        print(why, file=sys.stderr)
    raise typer.Exit(code)


def _say(as_json: bool, fields: dict[str, Any], text: str) -> None:
    print(json.dumps(fields, ensure_ascii=False) if as_json else text)
