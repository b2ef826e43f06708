"""`kairos risk fit` from outside: files made, figures as JSON, clear refusals."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.risk.commands import app
from tests.unit.risk.test_risk_fit import invented

RUNNER = CliRunner()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    given = invented(400)
    path = tmp_path / "people.csv"
    lines = [",".join(given), *(",".join(row) for row in zip(*given.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(table: Path, *options: str) -> tuple[int, str, str]:
    out = ["--out", str(table.with_name("card.yaml")), "--report", str(table.with_name("report.html"))]
    done = RUNNER.invoke(app, ["fit", "--data", str(table), *out, *options])
    return done.exit_code, done.stdout, done.stderr


def test_a_fit_leaves_a_card_and_a_report(table: Path) -> None:
    code, said, _ = run(table, "--label", "left")

    card, page = (table.with_name(name).read_text(encoding="utf-8") for name in ("card.yaml", "report.html"))
    assert code == 0
    assert "AUC" in said
    assert "(left = 'yes')" in said
    assert card.startswith("version: ")
    assert '  left: "yes"\n' in card
    assert "</html>" in page
    assert "left = yes" in page


def test_json_is_one_object_with_the_figures(table: Path) -> None:
    code, said, _ = run(table, "--label", "left", "--json", "--folds", "3")
    line = json.loads(said)

    assert code == 0
    assert line["rows"] == 400
    assert len(line["auc_of_folds"]) == 3
    assert line["auc"] > 0.7
    assert "age" in line["terms"]
    assert (line["label"], line["left_value"]) == ("left", "yes")


@pytest.mark.parametrize(
    "options",
    [["--out", "people.csv"], ["--report", "people.csv"], ["--out", "link.yaml"], ["--report", "card.yaml"],
     ["--with", "with.yaml", "--report", "with.yaml"]],
    ids=["card", "report", "link", "one-file", "companion"],
)  # fmt: skip
def test_a_fit_never_overwrites_what_it_reads(table: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    monkeypatch.chdir(table.parent)
    before = table.read_text(encoding="utf-8")
    Path("link.yaml").symlink_to(table)
    Path("with.yaml").write_text("terms: []", encoding="utf-8")
    done = RUNNER.invoke(app, ["fit", "--data", "people.csv", "--label", "left", *options])

    assert done.exit_code == 1
    assert "请另选文件名" in done.stderr
    assert table.read_text(encoding="utf-8") == before
    assert Path("with.yaml").read_text(encoding="utf-8") == "terms: []"
    assert not Path("card.yaml").exists()


def test_one_term_is_one_term(table: Path) -> None:
    _, said, _ = run(table, "--label", "left", "--json", "--terms", "1")

    assert "the card has only 1 term" in json.loads(said)["warnings"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--label", "lefft"], "Did you mean left"),
        (["--label", "age"], "values"),
        (["--label", "left", "--exclude", "nobody"], "no column 'nobody'"),
        (["--label", "left", "--form", "round"], "--form is"),
        (["--label", "left", "--with", "/nowhere.yaml"], "nowhere"),
    ],
    ids=["no-column", "many-values", "exclude", "form", "with"],
)
def test_what_is_wrong_is_said_and_nothing_is_written(table: Path, options: list[str], said: str) -> None:
    code, _, error = run(table, *options)

    assert code == 1
    assert said in error
    assert not table.with_name("card.yaml").exists()
