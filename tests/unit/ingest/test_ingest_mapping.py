"""Mapping files: what they make of rows, and how their own faults are told."""

from pathlib import Path
from typing import Any

import pytest

from schemas.events import KINDS
from schemas.json_form.faults import Rejection
from schemas.json_form.validation import VALIDATORS, DoorRules
from schemas.reasons import Reason
from services.ingest.errors import MappingFault
from services.ingest.files.mapping import row_mapper
from services.ingest.files.mapping_check import load_mapping
from services.ingest.files.plain import readers_of

SAMPLES = Path(__file__).parents[3] / "services" / "ingest" / "samples"
KEY = b"k" * 32
GOOD = """
kind: usage
fields:
  source: { constant: cdr }
  customer_id: { column: msisdn, hash: true }
  event_id: { derive: [msisdn, at, $line] }
  occurred_at: { column: at, time: "%d.%m.%Y %H:%M", zone: Asia/Shanghai }
  service: { column: type, values: { call: VOICE, web: DATA }, otherwise: SMS }
  quantity:
    - { when: { type: call }, column: amount, unit: minutes }
    - { when: { type: [web, net] }, column: amount, unit: mb }
    - { constant: 1 }
  charge_fen: { column: yuan, unit: yuan, default: 0 }
  area: { template: "{cell}-{site}" }
"""


def mapping_of(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "map.yaml"
    path.write_text(text, encoding="utf-8")
    return load_mapping(path)


def mapped(tmp_path: Path, text: str, row: dict[str, Any]) -> Any:
    mapping = mapping_of(tmp_path, text)
    return row_mapper(mapping, readers=readers_of(KINDS[mapping.kind]), key=KEY)(row)


ROW = {
    "msisdn": "13800138000",
    "at": "07.09.2026 09:50",
    "type": "call",
    "amount": "2.5",
    "yuan": "0.155",
    "cell": "NJ",
    "site": "4",
    "$line": 12,
}


def test_row_becomes_the_fields_of_the_kind(tmp_path: Path) -> None:
    raw = mapped(tmp_path, GOOD, ROW)

    assert raw | {"customer_id": 0, "event_id": ""} == {
        "source": "cdr",
        "customer_id": 0,
        "event_id": "",
        "occurred_at": 1_788_745_800_000,
        "service": "VOICE",
        "quantity": 150,
        "charge_fen": 16,
        "area": "NJ-4",
    }
    assert not isinstance(VALIDATORS["usage"].validate(raw, now_ms=raw["occurred_at"], rules=DoorRules()), Rejection)


def test_hashed_id_is_a_positive_63_bit_number_that_hides_the_original(tmp_path: Path) -> None:
    raw = mapped(tmp_path, GOOD, ROW)

    assert 1 <= raw["customer_id"] < 2**63
    assert raw["customer_id"] == mapped(tmp_path, GOOD, ROW | {"amount": "1"})["customer_id"]
    assert raw["customer_id"] != mapped(tmp_path, GOOD, ROW | {"msisdn": "13800138001"})["customer_id"]
    assert "13800138000" not in repr(raw)


def test_derived_event_id_is_the_same_for_the_same_columns_only(tmp_path: Path) -> None:
    first = mapped(tmp_path, GOOD, ROW)["event_id"]

    assert first == mapped(tmp_path, GOOD, ROW | {"amount": "9"})["event_id"]
    assert first != mapped(tmp_path, GOOD, ROW | {"$line": 13})["event_id"]
    assert len(first) <= 64


@pytest.mark.parametrize(
    ("change", "quantity"),
    [
        ({"type": "web", "amount": "1.5"}, 1536),
        ({"type": "net", "amount": "0.0004"}, 0),
        ({"type": "sms", "amount": ""}, 1),
        ({"type": "call", "amount": "0.0083333"}, 0),
        ({"type": "call", "amount": "0.0084"}, 1),
    ],
)
def test_units_depend_on_the_case_and_round_halves_up(tmp_path: Path, change: dict[str, Any], quantity: int) -> None:
    assert mapped(tmp_path, GOOD, ROW | change)["quantity"] == quantity


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"amount": "2,5"}, "quantity", Reason.BAD_FORMAT),
        ({"amount": "NaN"}, "quantity", Reason.BAD_FORMAT),
        ({"amount": "1e999999"}, "quantity", Reason.BAD_FORMAT),
        ({"amount": "9" * 40}, "quantity", Reason.BAD_FORMAT),
        ({"at": "2026-09-07 09:50"}, "occurred_at", Reason.BAD_FORMAT),
        ({"yuan": "free"}, "charge_fen", Reason.BAD_FORMAT),
    ],
)
def test_cell_that_cannot_be_read_is_a_fault_of_its_field(
    tmp_path: Path, change: dict[str, Any], field: str, reason: Reason
) -> None:
    found = mapped(tmp_path, GOOD, ROW | change)

    assert isinstance(found, Rejection)
    assert [(fault.field, fault.reason) for fault in found.faults] == [(field, reason)]


def test_value_outside_the_table_is_unmapped(tmp_path: Path) -> None:
    found = mapped(tmp_path, GOOD.replace(", otherwise: SMS", ""), ROW | {"type": "fax"})

    assert isinstance(found, Rejection)
    assert found.faults[0].reason == Reason.UNMAPPED


def test_empty_cell_takes_the_default_or_leaves_the_field_out(tmp_path: Path) -> None:
    assert mapped(tmp_path, GOOD, ROW | {"yuan": ""})["charge_fen"] == 0
    assert "occurred_at" not in mapped(tmp_path, GOOD, ROW | {"at": ""})


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("kind: usage", "kind: calls", "kind: want one of balance"),
        ("kind: usage", "kind: usage\nextra: 1", "extra: unknown key"),
        ("kind: usage", "kind: usage\nformat: xls", "format: want one of csv"),
        ("kind: usage", "kind: usage\ncsv: { delimiter: ';;' }", "csv.delimiter: want one character"),
        ("kind: usage", "kind: usage\ncsv: { header: false }", "csv.columns: want the names"),
        ("kind: usage", "kind: usage\ncsv: { encoding: ebcdic }", "csv.encoding: want one of utf-8"),
        ("kind: usage", "kind: usage\ncsv: { columns: [a, a] }", "csv.columns: want a list of different names"),
        (
            "kind: usage",
            "kind: usage\ncsv: { columns: [msisdn] }",
            "fields.occurred_at: csv.columns has no column 'at'",
        ),
        ("source: { constant: cdr }", "x: { constant: cdr }", "fields.x: usage has no such field"),
        ("source: { constant: cdr }", "", "fields.source: usage requires it"),
        ("{ constant: cdr }", "cdr", "fields.source: want a mapping with one of column"),
        ("{ constant: cdr }", "{}", "fields.source: want exactly one of column"),
        ("{ constant: cdr }", "{ constant: a, column: b }", "fields.source: want exactly one of column"),
        ("{ constant: cdr }", "{ constant: a, colour: b }", "fields.source.colour: unknown key"),
        ("unit: minutes", "unit: fortnights", "fields.quantity[0].unit: want one of fen"),
        ("{ constant: cdr }", "{ column: s, unit: yuan }", "fields.source.unit: source is no number"),
        ("zone: Asia/Shanghai", "zone: Beijing", "fields.occurred_at.zone: want an IANA time zone"),
        (", zone: Asia/Shanghai", "", "fields.occurred_at.zone: want the time zone of the file"),
        ("%d.%m.%Y %H:%M", "%d.%m.%Q", "fields.occurred_at.time: '%d.%m.%Q' is no form of strptime"),
        ("{ constant: cdr }", "{ column: s, hash: true }", "fields.source.hash: only counterpart_key and customer_id"),
        ("hash: true", "hash: sha256", "fields.customer_id.hash: want true or false"),
        ("{ constant: cdr }", "{ derive: [a] }", "fields.source.derive: only event_id is derived"),
        ("derive: [msisdn, at, $line]", "derive: msisdn", "fields.event_id.derive: want a list of columns"),
        ("{cell}-{site}", "{cell!r}", "fields.area.template: want column names in braces"),
        ("{cell}-{site}", "{cell.__class__}", "fields.area.template: want column names in braces"),
        ("{cell}-{site}", "{cell", "fields.area.template:"),
        ("area: {", "phone: { column: msisdn } \n  area: {", "fields.phone: usage has no such field"),
    ],
)
def test_fault_of_a_mapping_file_names_the_key_and_what_is_right(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(MappingFault) as fault:
        mapping_of(tmp_path, GOOD.replace(old, new, 1))
    assert any(told in each for each in fault.value.faults), fault.value.faults
    assert str(tmp_path / "map.yaml") in str(fault.value)


def test_all_faults_of_a_mapping_file_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(MappingFault) as fault:
        mapping_of(tmp_path, "kind: usage\nfields: { service: { constant: VOICE, unit: ells }, oops: 1 }")
    assert len(fault.value.faults) >= 7


def test_files_carry_no_phone_numbers(tmp_path: Path) -> None:
    with pytest.raises(MappingFault, match="files carry no phone numbers"):
        mapping_of(tmp_path, "kind: customer\nfields: { phone: { column: p } }")


@pytest.mark.parametrize("text", ["", "- a", "a: [", "kind: usage", "\x00", "kind: usage\nfields: []"])
def test_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(MappingFault):
        mapping_of(tmp_path, text)


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingFault, match="No such file"):
        load_mapping(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["bandicoot_ego", "bandicoot_u_test"])
def test_shipped_mappings_are_good(name: str) -> None:
    assert load_mapping(SAMPLES / f"{name}.yaml").kind == "usage"
