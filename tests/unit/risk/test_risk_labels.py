"""Who left: every usual way to write it, and clear words where it cannot be told."""

import pytest

from services.risk.errors import BadLabel
from services.risk.labels import read_label

USUAL = [("Yes", "No"), ("true", "false"), ("True.", "False."), ("1", "0"), ("1.0", "0.0"), ("1", "-1"), ("Y", "N"),
         ("Churned", "Stayed"), ("Attrited Customer", "Existing Customer"), ("离网", "在网"), ("是", "否"),
         ("gone away", "No")]  # fmt: skip


@pytest.mark.parametrize(("left", "stayed"), USUAL, ids=[f"{left}-{stayed}" for left, stayed in USUAL])
def test_usual_words_are_understood(left: str, stayed: str) -> None:
    label = read_label({"x": [left] * 20 + [stayed] * 30}, "x")

    assert label.churned.sum() == 20
    assert label.rows.size == 50


def test_rows_without_a_label_are_left_out_and_told() -> None:
    label = read_label({"x": ["yes", "no", "", "NA"] * 100}, "x")

    assert label.rows.size == 200
    assert "200 rows without a label" in label.notes[0].english


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["yes", "no", "maybe"] * 20, "3 values"),
        (["yes"] * 60, "every row"),
        ([""] * 60, "no value"),
        (["red", "blue"] * 30, "--positive"),
        (["1", "2"] * 30, "--positive"),
        (["yes"] * 9 + ["no"] * 90, "only 9 of 99"),
    ],
    ids=["three", "one", "none", "strange", "ambiguous", "too-few"],
)
def test_a_label_that_cannot_be_is_refused_with_what_is_wrong(words: list[str], said: str) -> None:
    with pytest.raises(BadLabel, match=said):
        read_label({"x": words}, "x")


def test_positive_makes_any_label_work() -> None:
    label = read_label({"x": ["red", "blue", "green"] * 30}, "x", positive="Red")

    assert label.churned.sum() == 30
    assert label.left == "red"


def test_the_value_of_those_who_left_is_told_as_the_file_has_it() -> None:
    assert read_label({"x": [" True.", "TRUE", "True."] * 10 + ["False."] * 30}, "x").left == "True."


def test_positive_that_no_row_has_is_refused() -> None:
    with pytest.raises(BadLabel, match="no row has x = 'pink'"):
        read_label({"x": ["red", "blue"] * 30}, "x", positive="pink")


def test_a_column_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadLabel, match="Did you mean Churn"):
        read_label({"Churn": ["yes"], "tenure": ["1"]}, "churned")
    with pytest.raises(BadLabel, match="The columns are Churn, tenure"):
        read_label({"Churn": ["yes"], "tenure": ["1"]}, "zzz")
