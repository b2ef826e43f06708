"""Ingest agrees with every example of the contract: valid ones become records, invalid ones fail as they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import decode, encode
from schemas.events import KINDS
from schemas.json_form.checks import instant_ms
from schemas.json_form.faults import Rejection
from schemas.json_form.validation import VALIDATORS, DoorRules

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
NOW_MS = instant_ms("2026-09-07T10:00:00+08:00") or 0
RULES = DoorRules(phone_key=b"k" * 32)
FOLDERS = {kind.name: EXAMPLES / f"{kind.proto_body}_event" / "v1" for kind in KINDS.values()}
VALID = [(kind, path) for kind, folder in FOLDERS.items() for path in sorted(folder.glob("valid_*.json"))]
INVALID = [(kind, path) for kind, folder in FOLDERS.items() for path in sorted(folder.glob("invalid_*.json"))]


def _name(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value)


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("kind", "path"), VALID, ids=_name)
def test_valid_example_becomes_a_record_of_its_schema(kind: str, path: Path) -> None:
    record = VALIDATORS[kind].validate(_load(path), now_ms=NOW_MS, rules=RULES)

    assert not isinstance(record, Rejection), record
    decoded = decode(encode(KINDS[kind].record, record)).record
    assert {name: decoded[name] for name in record} == record


@pytest.mark.parametrize(("kind", "path"), INVALID, ids=_name)
def test_invalid_example_is_refused_for_the_reason_it_names(kind: str, path: Path) -> None:
    example = _load(path)

    found = VALIDATORS[kind].validate(example["event"], now_ms=NOW_MS, rules=RULES)

    assert isinstance(found, Rejection)
    assert [(fault.field, fault.reason.value) for fault in found.faults] == [(example["field"], example["reason"])]
