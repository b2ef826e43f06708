"""Differences of rule sets are told in words of rules; spelling makes none."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.detector.authoring.rules_commands import app
from services.detector.authoring.rules_diff import MESSAGE, OTHER, PARAMETER, PREDICATE, Change, difference
from services.detector.authoring.rules_files import SHIPPED, laid_over, read_documents

AN4 = (SHIPPED / "an4.yaml").read_text(encoding="utf-8")


def _changed(text: str) -> list[tuple[str, str, str]]:
    found = difference({"rules/an4.yaml": AN4}, {"rules/an4.yaml": text}).changes
    return [(change.what, change.where, change.layer) for change in found]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("value: 1000,", "value: 1500,", (PARAMETER, "floor", "province")),
        ("{value: 2, unit: days,", "{value: 2, unit: days, city: {NJ: 3},", (PARAMETER, "spend_days", "city NJ")),
        ("balance_fen < limit AND", "balance_fen <= limit AND", (PREDICATE, "fire", "")),
        ("GREATEST(floor,", "LEAST(floor,", (PREDICATE, "features.limit", "")),
        ("when: balance_fen >= limit", "when: balance_fen > limit", (PREDICATE, "resolve.topped_up.when", "")),
        ("title: Low balance", "title: Balance is low", (MESSAGE, "messages.en.title", "")),
        ("cool_down_days: 3", "cool_down_days: 4", (OTHER, "cool_down_days", "")),
    ],
    ids=["value", "layer", "predicate", "feature", "resolution", "message", "field"],
)
def test_a_change_is_told_by_what_it_is(old: str, new: str, wanted: tuple[str, str, str]) -> None:
    assert old in AN4
    assert _changed(AN4.replace(old, new)) == [wanted]


def test_spelling_makes_no_difference() -> None:
    other = AN4.replace("balance_fen < limit AND NOT auto_pay", "balance_fen<limit  and not auto_pay")
    other = other.replace("value: 1000,", "value: 1000.0,").replace("class: CHANGE\n", "") + "class: CHANGE\n# end\n"
    assert other != AN4
    assert _changed(other) == []


def test_rules_come_and_go_by_id() -> None:
    found = difference({"a.yaml": AN4}, {"renamed.yaml": AN4, "b.yaml": AN4.replace("id: AN4", "id: XX9")})
    assert (found.added, found.removed, found.changes) == (("XX9",), (), ())
    assert difference({"a.yaml": AN4}, {}).removed == ("AN4",)


def test_values_before_and_after_are_told() -> None:
    found = difference({"a.yaml": AN4}, {"a.yaml": AN4.replace("priority: 2", "priority: 1")})
    assert found.changes == (Change("AN4", OTHER, "priority", 2, 1),)


def test_a_draft_replaces_by_id_and_by_file_name() -> None:
    base = {"rules/an4.yaml": AN4, "rules/risk.yaml": "version: a"}
    draft = {"rules/mine.yaml": AN4 + "#", "rules/x/risk.yaml": "version: b"}
    assert laid_over(draft, base) == draft
    assert laid_over({"rules/new.yaml": "id: XX9"}, base).keys() == {*base, "rules/new.yaml"}


def test_the_command_compares_a_draft_folder_with_what_ships(tmp_path: Path) -> None:
    (tmp_path / "an4.yaml").write_text(AN4.replace("value: 1000,", "value: 900,"), encoding="utf-8")
    done = CliRunner().invoke(app, ["diff", "shipped", str(tmp_path), "--json"])
    assert done.exit_code == 1, done.output
    found = json.loads(done.stdout)
    assert (found["same"], found["added"], found["removed"]) == (False, [], [])
    assert found["changed"]["AN4"][0] == {
        "what": "parameter", "where": "floor", "before": 1000, "after": 900, "layer": "province",
    }  # fmt: skip
    text = CliRunner().invoke(app, ["diff", "shipped", str(tmp_path), "--whole"])
    assert "- AN1 removed" in text.stdout
    same = CliRunner().invoke(app, ["diff", "shipped", "shipped"])
    assert same.exit_code == 0


def test_what_cannot_be_compared_says_why() -> None:
    done = CliRunner().invoke(app, ["diff", "shipped", "nothing", "--json"])
    assert done.exit_code == 2
    assert "province@3" in json.loads(done.stdout)["error"]


def test_all_that_ships_can_be_compared() -> None:
    documents = read_documents(SHIPPED)
    assert difference(documents, dict(reversed(documents.items()))).is_empty
