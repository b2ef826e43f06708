"""Lines of events: what is read, what is refused and why, and in which order the rest is applied."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from services.detector.stored.ndjson import Refused, Tables, read_lines

AT = 1_788_746_400_000


def test_a_bad_line_is_refused_with_field_value_and_reason_and_the_rest_goes_through(tmp_path: Path) -> None:
    tables, refused = _read(tmp_path, _usage("1"), _usage("2", quantity=-5), b"{", b'["no"]', _usage("3"))
    assert tables.read == {"usage": 2}
    assert tables.refused == 3
    first, second, third = (json.loads(each.as_json()) for each in refused)
    assert (first["line"], first["field"], first["value"], first["reason"]) == (2, "quantity", -5, "out_of_range")
    assert (second["line"], second["reason"], second["text"]) == (3, "malformed_json", "{")
    assert (third["line"], third["reason"]) == (4, "not_an_object")


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"kind": "gossip"}, "kind", "unknown_kind"),
        ({"kind": None}, "kind", "missing"),
        ({"kind": ["usage"]}, "kind", "unknown_kind"),
        ({"ingested_at": "yesterday"}, "ingested_at", "bad_format"),
        ({"history": "yes"}, "history", "wrong_type"),
        ({"occurred_at": 4_102_444_800_000}, "occurred_at", "out_of_range"),
        ({"colour": "red"}, "colour", "unknown_field"),
        ({"quantity": 1.0}, "quantity", "wrong_type"),
        ({"source": None}, "source", "missing"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_is_wrong_is_named(tmp_path: Path, fields: dict[str, Any], field: str, reason: str) -> None:
    _, refused = _read(tmp_path, _usage("1", **fields))
    assert [(fault.field, str(fault.reason)) for fault in refused[0].faults] == [(field, reason)]


def test_a_number_in_clear_goes_no_further(tmp_path: Path) -> None:
    customer = {"kind": "customer", "event_id": "c", "customer_id": 7, "occurred_at": AT, "source": "crm", "city": "NJ"}
    tables, refused = _read(tmp_path, _line(customer, phone="13812345678"), _line(customer, phone="138", city="XX"))
    assert tables.read == {"customer": 1}
    assert "138" not in refused[0].as_json().replace(str(AT), "")


def test_contacts_are_no_part_of_the_event_log(tmp_path: Path) -> None:
    contact = {"kind": "contact", "event_id": "c", "customer_id": 7, "occurred_at": AT, "source": "crm"}
    tables, refused = _read(tmp_path, _line(contact, channel="CALL"))
    assert (_frames(tables), refused, tables.read) == ({}, [], {"contact": 1})


def test_order_is_history_then_ingest_then_file(tmp_path: Path) -> None:
    tables, _ = _read(
        tmp_path,
        _usage("late", ingested_at=AT + 9),
        _usage("b", ingested_at="2026-09-07T10:00:00.005+08:00"),
        _usage("c", ingested_at=AT + 5),
        _usage("past", occurred_at=AT + 99, history=True),
        _usage("a"),
    )
    frame = _frames(tables)["usage"]
    assert frame.get_column("event_id").to_list() == ["past", "a", "b", "c", "late"]
    assert frame.get_column("offset").to_list() == [0, 1, 2, 3, 4]
    assert frame.get_column("ingested_at").to_physical().to_list() == [AT + 99, AT, AT + 5, AT + 5, AT + 9]


def test_customers_come_first_and_need_no_kind(tmp_path: Path) -> None:
    path = tmp_path / "customers.ndjson"
    fields = {"event_id": "c", "customer_id": 7, "occurred_at": AT + 50, "source": "crm", "city": "NJ"}
    path.write_bytes(json.dumps(fields).encode())
    events = tmp_path / "events.ndjson"
    events.write_bytes(_usage("1"))
    tables = read_lines([events], customers=[path], on_refused=lambda each: pytest.fail(each.as_json()))
    assert _frames(tables)["customer"].get_column("offset").to_list() == [0]
    assert _frames(tables)["customer"].get_column("history").to_list() == [True]


def test_customers_may_be_a_plain_list(tmp_path: Path) -> None:
    path = tmp_path / "list.ndjson"
    path.write_text('{"customer_id": 7, "city": "NJ", "history": false}\n{"customer_id": 8, "city": "SZ"}\n')
    frame = _frames(read_lines([], customers=[path], on_refused=print))["customer"]
    assert frame.get_column("city").to_list() == ["NJ", "SZ"]
    assert frame.get_column("history").all()
    assert frame.get_column("event_id").n_unique() == 2


def test_lines_with_control_records_stay_in_file_order(tmp_path: Path) -> None:
    tick = json.dumps({"kind": "tick", "now": AT, "rules_offset": 4}).encode()
    tables, _ = _read(tmp_path, _usage("b", ingested_at=AT + 5), tick, _usage("a"))
    assert tables.ticks is not None
    assert tables.ticks.rows() == [(2, AT, 4)]
    assert _frames(tables)["usage"].get_column("offset").to_list() == [1, 3]


def test_tables_are_read_like_lines_and_may_be_named_for_their_kind(tmp_path: Path) -> None:
    rows = {"event_id": ["a", "b"], "customer_id": [7, 8], "occurred_at": [AT, AT + 1], "source": ["boss", "boss"],
            "balance_fen": [5, -5], "change_fen": [None, 3]}  # fmt: skip
    pl.DataFrame(rows).write_parquet(tmp_path / "balance.parquet")
    (tmp_path / "complaint.csv").write_text(
        "event_id,customer_id,occurred_at,source,complaint_id,state,topic\n"
        "c,7,2026-09-07T10:00:00+08:00,crm,9,OPENED,NETWORK\nd,7,soon,crm,9,OPENED,NETWORK\n"
    )
    (tmp_path / "line-status.ndjson").write_bytes(
        b'{"event_id": "e", "customer_id": 7, "occurred_at": 1788746400000, "source": "crm", "status": "ACTIVE"}'
    )
    refused: list[Refused] = []
    tables = read_lines([], history=[tmp_path], on_refused=refused.append)
    assert tables.read == {"balance": 2, "complaint": 1, "line-status": 1}
    assert [(each.line, each.faults[0].field, each.values[0]) for each in refused] == [(2, "occurred_at", "soon")]
    assert _frames(tables)["balance"].get_column("change_fen").to_list() == [None, 3]
    assert all(frame.get_column("history").all() for frame in _frames(tables).values())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_lines([tmp_path / "nowhere.ndjson"], on_refused=print)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("is_log", [False, True], ids=["by ingest", "by line"])
def test_more_rows_than_memory_may_hold_come_in_the_same_order(tmp_path: Path, seed: int, is_log: bool) -> None:
    rng, paths = random.Random(seed), []
    for number in range(12):
        paths.append(tmp_path / f"{number:02d}.ndjson")
        lines = [_any_event(rng, f"{number}-{i}") for i in range(rng.randrange(9))]
        tick = json.dumps({"kind": "tick", "now": AT, "rules_offset": 4}).encode()
        paths[-1].write_bytes(b"\n".join([*lines, tick] if is_log and number % 3 else lines))
    spilled = tmp_path / "spilled"
    spilled.mkdir()
    whole = read_lines(paths, on_refused=print)
    cut = read_lines(paths, on_refused=print, folder=spilled, held_rows=5)
    assert len(list(spilled.iterdir())) > 3
    stretches = list(cut.stretches())
    assert len(stretches) > 3
    assert [each.next_offset for each in stretches[:-1]] == [each.first_offset for each in stretches[1:]]
    for kind, frame in _frames(whole).items():
        parts = [each.frames[kind] for each in stretches if kind in each.frames]
        assert pl.concat(parts).equals(frame)
        assert pl.concat(parts).schema == frame.schema
    assert (cut.rows.live_span, cut.rows.rows) == (whole.rows.live_span, whole.rows.rows)


def _any_event(rng: random.Random, event_id: str) -> bytes:
    """An event at one of a few instants, so that many are at the same; some are of the past."""
    fields = {"ingested_at": AT + rng.randrange(6), "history": rng.random() < 0.2}
    if rng.random() < 0.5:
        return _usage(event_id, **fields)
    body = {"kind": "balance", "event_id": event_id, "customer_id": 7, "occurred_at": AT, "source": "boss"}
    return _line({**body, "balance_fen": 5}, **fields)


def _frames(tables: Tables) -> Mapping[str, pl.DataFrame]:
    """The tables of files that are held as a whole."""
    (stretch,) = tables.stretches()
    return stretch.frames


def _usage(event_id: str, **fields: Any) -> bytes:
    body = {"kind": "usage", "event_id": event_id, "customer_id": "7", "occurred_at": AT, "source": "boss"}
    return _line({**body, "service": "SMS", "quantity": 1}, **fields)


def _line(body: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({**body, **fields}).encode()


def _read(folder: Path, *lines: bytes) -> tuple[Tables, list[Refused]]:
    path = folder / "events.ndjson"
    path.write_bytes(b"\n".join(lines) + b"\n\n")
    refused: list[Refused] = []
    return read_lines([path], on_refused=refused.append), refused
