"""Reading files: any row can be bad, none takes others with it, and a position leads back to the same rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from schemas.json_form.faults import Rejection
from schemas.reasons import Reason
from services.ingest.errors import FileRefused
from services.ingest.files.checkpoint import Progress, load_identity, read_progress, write_progress
from services.ingest.files.mapping import CsvForm
from services.ingest.files.plan import FileOptions, open_file
from services.ingest.files.sources import Batch, Item, Position, csv_batches, ndjson_batches, parquet_batches

FORM = CsvForm()


def items(batches: Iterator[Batch]) -> list[Item]:
    return [item for batch, _ in batches for item in batch]


def csv_items(tmp_path: Path, data: bytes, *, form: CsvForm = FORM, rows: int = 2) -> list[Item]:
    path = tmp_path / "f.csv"
    path.write_bytes(data)
    return items(csv_batches(path, form, Position(), rows=rows))


def cells(item: Item) -> Any:
    if isinstance(item.row, Rejection):
        return item.row.faults[0].reason
    return {name: value for name, value in item.row.items() if not name.startswith("$")}


def test_csv_rows_carry_their_line_numbers_and_bytes(tmp_path: Path) -> None:
    found = csv_items(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4")

    assert [(item.number, cells(item), item.raw) for item in found] == [
        (2, {"a": "1", "b": "2"}, b"1,2"),
        (4, {"a": "3", "b": "4"}, b"3,4"),
    ]
    assert found[0].row["$line"] == 2
    assert found[0].row["$file"] == "f.csv"


def test_quoted_cells_may_hold_separators_quotes_and_line_ends(tmp_path: Path) -> None:
    found = csv_items(tmp_path, b'a,b\n"x,1","say ""hi"""\n"two\nlines",2\n3,4\n')

    assert [cells(item) for item in found] == [
        {"a": "x,1", "b": 'say "hi"'},
        {"a": "two\nlines", "b": "2"},
        {"a": "3", "b": "4"},
    ]
    assert [item.number for item in found] == [2, 3, 5]


def test_unclosed_quote_harms_its_own_row_only(tmp_path: Path) -> None:
    data = b'a,b\n"open,1\n' + b"".join(b"%d,2\n" % number for number in range(500))

    found = csv_items(tmp_path, data)

    assert cells(found[0]) == Reason.MALFORMED_ROW
    assert [cells(item)["a"] for item in found[1:]] == [str(number) for number in range(500)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1", Reason.MALFORMED_ROW),
        (b"1,2,3", Reason.MALFORMED_ROW),
        (b"1,\xff", Reason.NOT_UTF8),
        (b'"1"x,2', Reason.MALFORMED_ROW),
        (b"1," + b"x" * 300_000, Reason.TOO_LARGE),
    ],
)
def test_bad_row_is_refused_and_the_next_one_read(tmp_path: Path, line: bytes, reason: Reason) -> None:
    found = csv_items(tmp_path, b"a,b\n" + line + b"\n5,6\n")

    assert cells(found[0]) == reason
    assert cells(found[1]) == {"a": "5", "b": "6"}
    assert [item.number for item in found] == [2, 3]


def test_csv_without_header_in_gb18030(tmp_path: Path) -> None:
    form = CsvForm(delimiter=";", encoding="gb18030", has_header=False, columns=("n", "city"))

    found = csv_items(tmp_path, "1;南京\n2;苏州\n".encode("gb18030"), form=form)

    assert [cells(item)["city"] for item in found] == ["南京", "苏州"]


@pytest.mark.parametrize("header", [b"a,a\n", b"a,\n", b"\xff,b\n"])
def test_csv_with_an_unusable_header_is_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(FileRefused):
        csv_items(tmp_path, header + b"1,2\n")


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_reading_on_from_a_position_gives_the_rest(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b'a,b\n1,2\n"x\ny",3\n\n4,5\n"open,6\n7,8\n' + b"9,10")
    whole = items(csv_batches(path, FORM, Position(), rows=rows))

    for number, (batch, position) in enumerate(csv_batches(path, FORM, Position(), rows=rows), start=1):
        rest = items(csv_batches(path, FORM, position, rows=rows))
        assert whole[: number * rows][-len(batch) :] == batch
        assert whole[number * rows :] == rest


def test_ndjson_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson"
    path.write_bytes(b'{"a":1}\n\nnot json\n' + b'{"x":"' + b"y" * 600_000 + b'"}\n' + b'{"a":2}')

    found = items(ndjson_batches(path, Position(), rows=2))

    assert [item.number for item in found] == [1, 3, 4, 5]
    assert found[0].row == {"a": 1}
    assert found[3].row == {"a": 2}
    assert [each.row.faults[0].reason for each in found[1:3]] == [Reason.MALFORMED_JSON, Reason.TOO_LARGE]


def test_parquet_rows_have_plain_values(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    at = pl.Series("at", [1_788_745_800_000], dtype=pl.Datetime("ms", "UTC"))
    pl.DataFrame([at, pl.Series("n", [7]), pl.Series("tags", [["a", "b"]]), pl.Series("none", [None])]).write_parquet(
        path
    )

    (found,) = items(parquet_batches(path, Position(), rows=10))

    assert cells(found) == {"at": 1_788_745_800_000, "n": 7, "tags": ["a", "b"], "none": None}
    assert found.number == 1
    assert items(parquet_batches(path, Position(1, 1), rows=10)) == []


def test_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(FileRefused):
        items(parquet_batches(path, Position(), rows=10))


def test_checkpoint_survives_and_damage_to_it_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    progress = Progress().with_batch(
        Position(100, 5), accepted=3, reasons={"missing": 2}, duplicates=1, rejects_bytes=77
    )
    write_progress(path, progress)
    assert read_progress(path) == progress

    for damage in (b"", b"{", b"[]", b'{"position":{"offset":1,"line":1},"other":1}'):
        path.write_bytes(damage)
        assert read_progress(path) is None


def test_identity_changes_with_contents_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a\n1\n")
    first = load_identity(path, settings={"kind": "usage"})

    assert load_identity(path, settings={"kind": "usage"}) == first
    assert load_identity(path, settings={"kind": "bill"}) != first
    path.write_bytes(b"a\n2\n")
    assert load_identity(path, settings={"kind": "usage"}) != first


def options(path: Path, **more: Any) -> FileOptions:
    given: dict[str, Any] = {"kind": "balance", "mapping": None, "source": None, "is_history": False}
    return FileOptions(path=path, state_dir=path.parent, **(given | more))


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("f.xlsx", b"PK", "want the ending"),
        (
            "f.csv",
            b"event_id,customer_id\n1,2\n",
            "required columns that are not there: occurred_at, source, balance_fen",
        ),
        ("f.csv", b"event_id,customer_id,occurred_at,source,balance_fen,colour\n", "unknown columns: colour"),
        ("f.parquet", b"nothing", "want a Parquet file"),
    ],
)
def test_file_that_cannot_work_is_refused_before_it_is_loaded(
    tmp_path: Path, name: str, data: bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FileRefused, match=told):
        open_file(options(path))


def test_cells_are_read_by_the_type_of_their_field(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(
        "event_id,customer_id,occurred_at,city,auto_pay,agreed_channels,attributes,plan_fee_fen\n"
        'e1,7,2026-09-07T09:50:00+08:00,NJ,yes,CALL|SMS,"{""a"":""b""}",\n'
    )
    opened = open_file(options(path, kind="customer", source="crm"))
    ((batch, _),) = opened.batches(Progress())

    assert opened.plan.map_row(batch[0].row) == {
        "event_id": "e1",
        "customer_id": 7,
        "occurred_at": "2026-09-07T09:50:00+08:00",
        "city": "NJ",
        "auto_pay": True,
        "agreed_channels": ["CALL", "SMS"],
        "attributes": {"a": "b"},
        "source": "crm",
    }
