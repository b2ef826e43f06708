"""The catalogue as a page: current in the repository, complete, in both languages, and safe whatever a rule says."""

from pathlib import Path

import yaml
from typer.testing import CliRunner

from services.detector.authoring.catalogue import catalogue, natural
from services.detector.authoring.catalogue_pages import Block, Code, Heading, Paragraph, Table, html, markdown
from services.detector.authoring.rules_commands import app
from tests.reference.logs import shipped_documents

PAGE = Path(__file__).parents[3] / "docs" / "moments.md"
RULES = {
    document["id"]: document
    for document in (yaml.safe_load(text) for text in shipped_documents().values())
    if "id" in document
}


def test_the_page_in_the_repository_is_current() -> None:
    """To be renewed by `kairos rules docs --out docs/moments.md`."""
    assert PAGE.read_text(encoding="utf-8") == markdown(catalogue(shipped_documents()))


def test_every_rule_is_there_with_thresholds_evidence_and_sentences() -> None:
    page = markdown(catalogue(shipped_documents()))

    for rule_id, rule in RULES.items():
        assert f'<a id="{rule_id.lower()}"></a>' in page
        for name, parameter in rule.get("parameters", {}).items():
            assert f"| `{name}` | {parameter.get('about', '')} | {parameter['unit']} | {parameter['value']} |" in page
        for each in rule.get("evidence", ()):
            assert f"| `{each['name']}` |" in page
        for message in rule.get("messages", {}).values():
            assert message["what_to_say"].replace("|", "\\|") in page


def test_layers_are_shown() -> None:
    path = next(path for path in shipped_documents() if path.endswith("an7.yaml"))
    rule = yaml.safe_load(shipped_documents()[path])
    rule["parameters"]["decline_percent"] |= {"city": {"NJ": 55}, "segment": {"GO": 50}}
    page = markdown(catalogue({path: yaml.safe_dump(rule, allow_unicode=True)}))

    assert "| percent | 60 | NJ: 55 | GO: 50 | — |" in page


def test_rules_are_in_the_order_of_their_numbers() -> None:
    assert sorted(["AN10", "AN2", "FT1"], key=natural) == ["AN2", "AN10", "FT1"]


def test_what_a_rule_says_is_escaped() -> None:
    blocks: list[Block] = [
        Heading(1, "<b>"),
        Paragraph("`a<b` <i>"),
        Code("</pre><script>"),
        Table(("x",), (("a|b <u>",), ("[AN7]",))),
    ]
    page = html(blocks)

    assert "<script>" not in page
    assert "<code>a&lt;b</code> &lt;i&gt;" in page
    assert '<a href="#an7">AN7</a>' in page
    assert "a\\|b" in markdown(blocks)
    assert "http" not in page


def test_the_command_writes_both_forms(tmp_path: Path) -> None:
    for name, begins in (("m.md", "# 关键时刻目录"), ("m.html", "<!doctype html>")):
        done = CliRunner().invoke(app, ["docs", "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("id: 7\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["docs", "--rules", str(tmp_path)])

    assert done.exit_code == 1
    assert "x.yaml" in done.stderr
