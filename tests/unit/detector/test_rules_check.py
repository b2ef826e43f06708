"""`kairos rules check`: drafts laid over what ships, every faulty file told, folders that are none."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.detector.authoring.rules_commands import app
from services.detector.authoring.rules_files import SHIPPED, read_documents


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return result.exit_code, result.output


def draft(folder: Path, name: str, before: str, after: str) -> Path:
    text = (SHIPPED / name).read_text(encoding="utf-8")
    assert before in text
    (folder / name).write_text(text.replace(before, after), encoding="utf-8")
    return folder / name


def test_the_first_error_of_every_faulty_file_is_told_with_the_path_given(tmp_path: Path) -> None:
    first = draft(tmp_path, "an4.yaml", "balance_fen < limit", "balance_fn < limit")
    second = draft(tmp_path, "an7.yaml", "priority:", "priorities:")
    third = tmp_path / "an9.yaml"
    third.write_bytes("id: AN9\ndescription: 套餐".encode("gbk"))
    code, said = run("check", str(tmp_path))
    assert code == 1
    assert [line.split(": ")[0] for line in sorted(said.splitlines())] == [
        f"{first}:21:7", f"{second}:31:1", f"{third}:2:14"]  # fmt: skip
    assert "save the file as UTF-8" in said
    code, said = run("check", "--rules", str(tmp_path), "--json")
    assert (code, len(json.loads(said)["errors"])) == (1, 3)


def test_one_file_is_laid_over_what_ships(tmp_path: Path) -> None:
    code, said = run("check", str(draft(tmp_path, "an4.yaml", "value: 1000", "value: 1200")))
    assert code == 0
    assert "28 rules and 1 gate (NS1) are right" in said


@pytest.mark.parametrize(
    ("file", "says"), [("", "no such file or folder"), ("x.yml", "only files named *.yml"), ("x.txt", "no *.yaml")]
)
def test_folders_without_rules(tmp_path: Path, file: str, says: str) -> None:
    folder = tmp_path / "drafts"
    if file:
        folder.mkdir()
        (folder / file).touch()
    code, said = run("check", str(folder))
    assert (code, says in said, str(folder) in said) == (1, True, True)


@pytest.mark.parametrize(("author", "publisher"), [("li", " LI "), ("ann", "ＡＮＮ"), ("a  b", "a b"), ("", "li")])
def test_one_person_under_two_spellings_is_refused(author: str, publisher: str) -> None:
    code, said = run("publish", "--author", author, "--publisher", publisher)
    assert (code, "two people" in said) == (1, True)


def test_a_file_is_read_alone() -> None:
    assert list(read_documents(SHIPPED / "an4.yaml")) == ["rules/an4.yaml"]
