"""Every schema example: the valid ones are accepted and survive the wire, the invalid ones are refused as they say."""

import base64
import datetime
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import pytest

from schemas import codec
from schemas.errors import Unencodable
from schemas.events import KIND_OF_RECORD
from schemas.json_form.faults import Rejection
from schemas.json_form.validation import VALIDATORS, DoorRules
from schemas.lock import file_stem
from schemas.reasons import Reason
from schemas.registry import REGISTRY

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
LOCK_FILE = EXAMPLES.parent / "registry.lock.json"
NOW_MS = 1_788_746_400_000  # 2026-09-07T10:00:00+08:00
RULES = DoorRules(phone_key=bytes(32))
STEMS = {file_stem(name): name for name in REGISTRY.names}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def files(pattern: str, *, of_events: bool) -> list[Any]:
    found = []
    for path in sorted(EXAMPLES.glob(f"*/v1/{pattern}")):
        name = STEMS[path.parts[-3]]
        if (name in KIND_OF_RECORD) == of_events:
            found.append(pytest.param(name, path, id=f"{path.parts[-3]}-{path.stem}"))
    return found


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"), object_hook=_bytes)


def _bytes(document: dict[str, Any]) -> Any:
    return base64.b64decode(document["base64"]) if set(document) == {"base64"} else document


def test_every_record_has_examples() -> None:
    for stem in STEMS:
        folder = EXAMPLES / stem / "v1"
        assert len(list(folder.glob("valid_*.json"))) >= 2, stem
        assert len(list(folder.glob("invalid_*.json"))) >= 2, stem
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == set(STEMS)


@pytest.mark.parametrize(("name", "path"), files("valid_*.json", of_events=True))
def test_valid_event_is_accepted_and_read_back(name: str, path: Path) -> None:
    record = VALIDATORS[KIND_OF_RECORD[name].name].validate(read(path), now_ms=NOW_MS, rules=RULES)
    assert not isinstance(record, Rejection)

    decoded = codec.decode(codec.encode(name, record)).record

    assert {field: decoded[field] for field in record} == record


@pytest.mark.parametrize(("name", "path"), files("invalid_*.json", of_events=True))
def test_invalid_event_is_refused_for_its_one_reason(name: str, path: Path) -> None:
    example = read(path)

    verdict = VALIDATORS[KIND_OF_RECORD[name].name].validate(example["event"], now_ms=NOW_MS, rules=RULES)

    assert isinstance(verdict, Rejection)
    assert [(fault.field, fault.reason) for fault in verdict.faults] == [(example["field"], Reason(example["reason"]))]


@pytest.mark.parametrize(("name", "path"), files("valid_*.json", of_events=False))
def test_valid_record_is_encoded_and_read_back(name: str, path: Path) -> None:
    record = read(path)

    decoded = codec.decode(codec.encode(name, record)).record

    assert {field: decoded[field] for field in record} == record


@pytest.mark.parametrize(("name", "path"), files("invalid_*.json", of_events=False))
def test_invalid_record_is_not_encoded(name: str, path: Path) -> None:
    example = read(path)
    assert Reason(example["reason"])

    with pytest.raises(Unencodable):
        codec.encode(name, example["record"])


@pytest.mark.parametrize(("name", "path"), files("valid_full.json", of_events=False))
def test_foreign_client_decodes_by_the_lock_file_alone(name: str, path: Path) -> None:
    """Apache's reader, with nothing of ours but the lock file and the schema file that it names."""
    record = read(path)
    framed = codec.encode(name, record)

    entry = json.loads(LOCK_FILE.read_text())[str(int.from_bytes(framed[1:5], "big"))]
    schema = avro.schema.parse((LOCK_FILE.parent / entry["file"]).read_text())
    foreign = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(BytesIO(framed[5:])))

    assert entry["subject"] == name
    assert isinstance(foreign, dict)
    assert {field: as_number(foreign[field]) for field in record} == record


def as_number(value: Any) -> Any:
    """Return what our records hold for a value that a reader with logical types gives."""
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(milliseconds=1)
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    return value
