"""Foreign tables: what is a number, what is missing, which columns may not speak, and files of many shapes."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from services.risk.errors import BadOptions, BadTable
from services.risk.files import read_cells
from services.risk.table import LeftOut, Numbers, Texts, make_table, parse_number, read_column

ROWS = 200


def column(texts: list[str], name: str = "x", **options: bool) -> Numbers | Texts | LeftOut:
    return read_column(name, texts, **options)[0]


def test_numbers_as_text_with_blanks_are_numbers_with_missing_ones() -> None:
    found = column([" ", "29.85", "1889.5", "N/A", "none", "7", "8", "9"] * 40)

    assert isinstance(found, Numbers)
    assert found.missing_count == 120


def test_few_stray_texts_count_as_missing_and_are_told() -> None:
    found, note = read_column("x", [str(i % 90) for i in range(ROWS)] + ["oops"])

    assert isinstance(found, Numbers)
    assert note is not None
    assert "'oops'" in note.english


def test_many_other_texts_make_a_column_of_kinds() -> None:
    assert isinstance(column(["1", "2", "3", "4", "5", "6", "many"] * 40), Texts)


def test_numbers_of_few_values_are_kinds() -> None:
    found = column(["0", "1.0", "2", ""] * 50)

    assert isinstance(found, Texts)
    assert found.levels == ("0", "1", "2")
    assert found.missing_count == 50


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,234.5", 1234.5), ("12 %", 12.0), ("$3", 3.0), ("-4", -4.0), ("1e3", 1000.0), ("1,5", None), ("1_0", None),
     ("inf", None), ("nan", None), ("", None)],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, number: float | None) -> None:
    assert parse_number(text) == number


def test_a_decimal_comma_is_read_where_the_separator_is_a_semicolon(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1,5;yes\n1.234,5;no\n", encoding="utf-8")
    cells, decimal_comma = read_cells(path)

    assert decimal_comma
    assert [parse_number(text, decimal_comma=True) for text in cells["a"]] == [1.5, 1234.5]


@pytest.mark.parametrize(
    ("name", "texts", "why"),
    [
        ("x", ["same"] * ROWS, "same value"),
        ("x", ["3"] * ROWS, "same value"),
        ("x", ["", " ", "NA", "null"] * 50, "empty"),
        ("x", [f"c-{i}" for i in range(ROWS)], "an id"),
        ("CustomerId", [str(15_600_000 + 37 * i) for i in range(ROWS)], "an id"),
        ("x", [str(i) for i in range(ROWS)], "an id"),
        ("joined", [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(ROWS)], "dates"),
        ("joined", [f"{1 + i % 28:02d}/{1 + i % 12:02d}/2024" for i in range(ROWS)], "dates"),
    ],
    ids=["constant-text", "constant-number", "empty", "near-unique", "id-by-name", "running", "iso-dates", "dates"],
)
def test_columns_that_may_not_speak(name: str, texts: list[str], why: str) -> None:
    found = column(texts, name)

    assert isinstance(found, LeftOut)
    assert why in found.why.english


def test_decimal_commas_that_are_not_read_are_named_and_are_no_id() -> None:
    texts = [f"{i},{i % 7}5" for i in range(ROWS)]
    found, note = read_column("fee", texts)

    assert isinstance(found, LeftOut)
    assert "decimal comma are not read" in found.why.english
    assert note is not None
    assert "fee was left out ('0,05')" in note.english
    assert isinstance(column(texts, "fee", decimal_comma=True), Numbers)


def test_a_constant_with_gaps_may_speak() -> None:
    """What is missing for some may be the very thing."""
    assert isinstance(column(["x", ""] * 100), Texts)


def test_money_with_other_values_in_every_row_is_no_id() -> None:
    assert isinstance(column([f"{i * 1.37:.2f}" for i in range(ROWS)], "TotalCharges"), Numbers)


def test_keep_takes_a_column_that_looks_like_an_id() -> None:
    assert isinstance(column([str(i) for i in range(ROWS)], "row id", keep=True), Numbers)


def cells(rows: int = ROWS) -> dict[str, list[str]]:
    return {"left": ["yes", "no"] * (rows // 2), "a": [str(i % 17) for i in range(rows)], "b": ["u", "v"] * (rows // 2)}


def test_the_order_of_rows_and_columns_makes_no_difference() -> None:
    given = cells()
    turned = np.random.default_rng(3).permutation(ROWS).tolist()
    other = {name: [given[name][i] for i in turned] for name in reversed(list(given))}
    first, second = make_table(given, "left"), make_table(other, "left")

    assert [c.name for c in first.columns] == [c.name for c in second.columns]
    assert (first.label == second.label).all()
    for one, two in zip(first.columns, second.columns, strict=True):
        values = [c.values if isinstance(c, Numbers) else c.codes for c in (one, two)]
        assert (values[0] == values[1]).all()


def test_options_that_name_no_column_are_refused() -> None:
    with pytest.raises(BadOptions, match="no column 'c'"):
        make_table(cells(), "left", exclude=["c"])


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(BadTable, match="only 40 rows"):
        make_table(cells(40), "left")


def write(path: Path, kind: str) -> None:
    frame = pl.DataFrame({"a": [1, None, 3], "语": ["x", "y", None], "left": [True, False, True]})
    text = "a,语,left\n1,x,true\n,y,false\n3,,true\n"
    if kind == "parquet":
        frame.write_parquet(path)
    elif kind == "gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "tab":
        path.write_text(text.replace(",", "\t"), encoding="utf-8")
    else:
        path.write_text(text, encoding=kind)


@pytest.mark.parametrize("kind", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "gz", "tab", "parquet"])
def test_files_of_many_shapes_have_the_same_cells(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t"
    write(path, kind)

    assert read_cells(path)[0] == {"a": ["1", "", "3"], "语": ["x", "y", ""], "left": ["true", "false", "true"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"a,b\n", "no rows"), (b"only\n1\n", "only the column"), (b"PK\x03\x04", "spreadsheet"),
     (b"PAR1x", "Parquet")],
    ids=["empty", "header", "narrow", "xlsx", "broken-parquet"],
)  # fmt: skip
def test_files_that_are_no_table_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    with pytest.raises(BadTable, match=said):
        read_cells(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [("a,b\n1,2\n3,4,5\n6,7,8\n", "line 3 has 3 fields, the header 2"),
     ('a,"b\nb"\n"x\ny",2\n\n3,4,5\n', "line 6 has 3 fields, the header 2"),
     ('a,b\n1,2\n"3,4\n5,6\n', "line 3: unexpected end of data")],
    ids=["long-row", "many-lines", "open-quote"],
)  # fmt: skip
def test_a_row_that_is_none_is_named_with_file_and_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadTable, match=said) as wrong:
        read_cells(path)

    assert str(path) in str(wrong.value)
    assert "ragged" not in str(wrong.value)


def test_doubled_quotes_in_a_header_are_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('"the ""new"" plan",left\n"a ""b""",yes\n', encoding="utf-8")

    assert read_cells(path)[0] == {'the "new" plan': ['a "b"'], "left": ["yes"]}


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="cannot be read"):
        read_cells(tmp_path / "none.csv")
