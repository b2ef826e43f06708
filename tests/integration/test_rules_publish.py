"""`kairos rules publish` on a real broker: versions are immutable, author and publisher are two people."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.codec import decode
from services.detector.authoring.rules_commands import app, read_published
from services.detector.authoring.rules_files import SHIPPED
from services.detector.engine.rule_set import compile_rule_set
from services.stack.kafka_server import KafkaServer
from tests.integration import detector_rig as rig

pytestmark = pytest.mark.integration


def publish(
    kafka: KafkaServer, *more: str, author: str = "li", publisher: str = "wang"
) -> tuple[int, dict[str, object]]:
    arguments = [
        "publish",
        "--author",
        author,
        "--publisher",
        publisher,
        "--bootstrap",
        kafka.bootstrap,
        "--json",
        *more,
    ]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return result.exit_code, json.loads(result.output.strip().splitlines()[-1])


def changed_rules(folder: Path) -> Path:
    """The shipped rules with another floor for AN4."""
    for path in SHIPPED.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        (folder / path.name).write_text(re.sub(r"floor: \{value: 1000", "floor: {value: 1200", text), encoding="utf-8")
    return folder


def test_publishing_a_version_the_same_again_and_another(kafka: KafkaServer, tmp_path: Path) -> None:
    code, said = publish(kafka)
    assert (code, said["published"], said["key"], said["offset"]) == (0, True, "province@1", 0)
    assert (len(list(said["added"])), said["changed"], said["removed"]) == (31, [], [])  # type: ignore[call-overload]  # JSON
    assert publish(kafka) == (0, {"published": False, "key": "province@1", "offset": 0})
    other = changed_rules(tmp_path)
    code, refused = publish(kafka, "--rules", str(other), "--version", "1")
    assert code == 1
    assert "immutable" in str(refused["error"])
    told = {"added": [], "changed": ["AN4"], "removed": []}
    assert publish(kafka, "--rules", str(other)) == (0, {"published": True, "key": "province@2", "offset": 1, **told})
    assert [each.version for each in read_published(kafka.bootstrap, "province")] == [1, 2]

    (records,) = rig.read_topic(kafka.bootstrap, rig.RULES).values()
    held = decode(records[1].value).record
    assert (records[1].key, held["author"], held["publisher"]) == (b"province@2", "li", "wang")
    documents = {each["path"]: each["text"] for each in held["documents"]}
    rules = {rule.id: rule for rule in compile_rule_set(documents, "province@2").rules}
    assert rules["AN4"].parameters["floor"].values[0] == 1200
    titles = {(each["key"], each["language"]): each["title"] for each in held["messages"]}
    assert titles["AN4", "zh"] == "手机余额不足"
    assert titles.keys() == {(rule, language) for rule in rules for language in ("zh", "en")}


def test_refused_before_anything_is_written(kafka: KafkaServer, tmp_path: Path) -> None:
    known = list(read_published(kafka.bootstrap, "province"))
    code, said = publish(kafka, author="li", publisher=" li ")
    assert (code, said["published"]) == (1, False)
    (tmp_path / "an4.yaml").write_text("id: AN4", encoding="utf-8")
    code, said = publish(kafka, "--rules", str(tmp_path))
    assert (code, f"{tmp_path}/an4.yaml:1:1: description is missing" in str(said["error"])) == (1, True)
    assert list(read_published(kafka.bootstrap, "province")) == known


def test_drafts_are_laid_over_the_newest_version_and_nothing_else_goes(kafka: KafkaServer, tmp_path: Path) -> None:
    text = (SHIPPED / "an4.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace("{value: 1000, unit", "{value: 1300, unit"), encoding="utf-8")
    before = list(read_published(kafka.bootstrap, "province"))[-1]

    code, said = publish(kafka, "--rules", str(tmp_path / "mine.yaml"))
    assert (code, said["added"], said["changed"], said["removed"]) == (0, [], ["AN4"], [])
    after = list(read_published(kafka.bootstrap, "province"))[-1]
    assert len(after.documents) == len(before.documents)
    assert "{value: 1300, unit" in after.documents["rules/mine.yaml"]
    assert "rules/an4.yaml" not in after.documents

    (tmp_path / "mine.yaml").write_text(text.replace("id: AN4", "id: XX4"), encoding="utf-8")
    code, said = publish(kafka, "--rules", str(tmp_path))
    assert code == 1
    assert "AN4 would be removed" in str(said["error"])
    code, said = publish(kafka, "--rules", str(tmp_path), "--whole")
    assert (code, said["added"]) == (0, ["XX4"])
    assert "AN4" in list(said["removed"])  # type: ignore[call-overload]  # JSON


def test_kafka_away_is_one_line_and_exit_code_3() -> None:
    arguments = ["publish", "--author", "li", "--publisher", "wang", "--bootstrap", "127.0.0.1:1"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 3
    assert result.output.count("\n") == 1
    assert "Kafka" in result.output
