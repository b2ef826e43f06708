"""Decodes records of the topics by schemas/registry.lock.json alone, with Apache's own avro package.

On purpose none of the product's codec: the smoke run stands for a foreign reader.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import avro.io
import avro.schema

FRAME_BYTES = 5
SCHEMAS_DIR = Path(__file__).resolve().parents[2] / "schemas"


class CannotDecode(ValueError):
    """The bytes are no record of a schema in the lock file."""


@dataclass(frozen=True)
class Decoded:
    """A record and the name of its schema; instants and dates stay integers."""

    subject: str
    record: dict[str, Any]


class LockFileReader:
    """Reads framed records; schemas are parsed once."""

    def __init__(self, folder: Path = SCHEMAS_DIR) -> None:
        self._folder = folder
        self._entries: dict[int, dict[str, str]] = {
            int(number): entry
            for number, entry in json.loads((folder / "registry.lock.json").read_text(encoding="utf-8")).items()
        }
        self._readers: dict[int, avro.io.DatumReader] = {}

    def id_of(self, subject: str) -> int:
        """The newest id of a schema by its full name."""
        return max(number for number, entry in self._entries.items() if entry["subject"] == subject)

    def decode(self, value: bytes) -> Decoded:
        """Decode one record value. Raises CannotDecode."""
        if len(value) < FRAME_BYTES or value[0] != 0:
            raise CannotDecode("no frame")
        number = int.from_bytes(value[1:FRAME_BYTES], "big")
        if number not in self._entries:
            raise CannotDecode(f"unknown schema id {number}")
        body = io.BytesIO(value[FRAME_BYTES:])
        try:
            record: Any = self._reader(number).read(avro.io.BinaryDecoder(body))
        except Exception as exc:  # whatever a foreign decoder raises on foreign bytes
            raise CannotDecode(f"{type(exc).__name__}: {exc}") from exc
        if body.read(1):
            raise CannotDecode("bytes follow after the record")
        return Decoded(self._entries[number]["subject"], record)

    def _reader(self, number: int) -> avro.io.DatumReader:
        if number not in self._readers:
            entry = self._entries[number]
            text = (self._folder / entry["file"]).read_bytes()
            if hashlib.sha256(text).hexdigest() != entry["sha256"]:
                raise CannotDecode(f"{entry['file']} is not what the lock file says")
            schema = avro.schema.parse(json.dumps(without_logical_types(json.loads(text))))
            self._readers[number] = avro.io.DatumReader(schema)
        return self._readers[number]


def without_logical_types(schema: Any) -> Any:
    """The schema with plain integers where Avro would make datetimes."""
    if isinstance(schema, dict):
        return {name: without_logical_types(value) for name, value in schema.items() if name != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(item) for item in schema]
    return schema
