"""Readings and bins are called as people call them, in both languages, for every rule and risk term that ships."""

from pathlib import Path

import pytest
import yaml

from services.manager.readings import bin_name, reading_name

RULES = Path(__file__).parents[3] / "services" / "detector" / "rules"
DOCUMENTS = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yaml"))}
READINGS = [
    each["name"]
    for document in DOCUMENTS.values()
    for each in (*document.get("evidence", ()), *document.get("resolved_evidence", ()))
]
TERMS = DOCUMENTS["risk.yaml"]["terms"]
BINS = {each["name"] for term in TERMS for each in [*term["bins"], term["missing"]]}


@pytest.mark.parametrize("name", sorted({*READINGS, *(term["name"] for term in TERMS)}))
def test_every_shipped_reading_has_a_chinese_name(name: str) -> None:
    assert not reading_name(name, "zh").isascii()


@pytest.mark.parametrize("name", sorted(BINS))
def test_every_shipped_bin_has_a_chinese_name(name: str) -> None:
    assert not bin_name(name, "zh").isascii()


def test_ranges_of_numbers_are_called_as_such() -> None:
    assert bin_name("below_118.3", "zh") == "低于 118.3"
    assert bin_name("6_to_19", "en") == "6 to 19"
    assert bin_name("-5_to_0", "en") == "-5 to 0"
    assert bin_name("from_72", "zh") == "72 起"


def test_a_reading_of_a_later_rule_shows_as_its_words() -> None:
    assert reading_name("roaming_charge_fen", "zh") == "roaming charge"
    assert bin_name("far_away", "en") == "far away"
