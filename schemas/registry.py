"""Schema ids ⇄ Avro schemas, by the append-only lock file; no registry server is needed.

Owns: reading `registry.lock.json` and the files it names. Bytes are the matter of `schemas.codec`,
writing the lock that of `schemas.generate`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
LOCK_FILE = ROOT / "registry.lock.json"

Schema = dict[str, Any]
"""A parsed Avro record schema, as JSON."""


class RegistryFault(Exception):
    """The lock file and the schema files contradict each other: the installation is broken, the process stops."""


class UnknownSchema(LookupError):
    """No schema of that name or id is locked; the caller decides (a dead letter, or a mistake of the programmer)."""


@dataclass(frozen=True)
class LockEntry:
    """One released schema version: its id, its subject (full record name), its file beside the lock, its SHA-256."""

    schema_id: int
    subject: str
    file: str
    sha256: str


@dataclass(frozen=True)
class LockedSchema:
    """A lock entry with its schema; `version` is its place among the versions of the subject, from 1."""

    entry: LockEntry
    version: int
    schema: Schema

    @property
    def schema_id(self) -> int:
        """Return the id that frames carry."""
        return self.entry.schema_id

    @property
    def name(self) -> str:
        """Return the full record name, such as kairos.events.v1.UsageEvent."""
        return self.entry.subject


class Registry:
    """All locked schemas, by id and by name; immutable after construction."""

    def __init__(self, schemas: Iterable[LockedSchema]) -> None:
        """Index the schemas; of a name, the greatest version is the newest."""
        self._by_id = {schema.schema_id: schema for schema in schemas}
        newest: dict[str, LockedSchema] = {}
        for schema in sorted(self._by_id.values(), key=lambda each: each.version):
            newest[schema.name] = schema
        self._newest: Mapping[str, LockedSchema] = newest

    def id_of(self, name: str) -> int:
        """Return the id of the newest version of a record name; raises UnknownSchema."""
        return self.newest(name).schema_id

    def newest(self, name: str) -> LockedSchema:
        """Return the newest version of a record name; raises UnknownSchema."""
        try:
            return self._newest[name]
        except KeyError:
            raise UnknownSchema(name) from None

    def by_id(self, schema_id: int) -> LockedSchema:
        """Return the schema with this id; raises UnknownSchema."""
        try:
            return self._by_id[schema_id]
        except KeyError:
            raise UnknownSchema(schema_id) from None

    def versions(self, name: str) -> list[LockedSchema]:
        """Return all versions of a record name, oldest first; empty when unknown."""
        found = [schema for schema in self._by_id.values() if schema.name == name]
        return sorted(found, key=lambda each: each.version)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return all record names, in the order of their newest ids."""
        return tuple(sorted(self._newest, key=lambda name: self._newest[name].schema_id))

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """Return all ids, ascending."""
        return tuple(sorted(self._by_id))


def read_lock(path: Path) -> dict[int, LockEntry]:
    """Return the entries of a lock file by id; raises RegistryFault where it is malformed."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {
            int(key): LockEntry(int(key), str(value["subject"]), str(value["file"]), str(value["sha256"]))
            for key, value in document.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise RegistryFault(f"{path}: {fault!r}") from fault


def load_registry(lock_file: Path = LOCK_FILE) -> Registry:
    """Return the registry of a lock file; every file must have the locked SHA-256 and record name."""
    versions: dict[str, int] = {}
    schemas = []
    for _, entry in sorted(read_lock(lock_file).items()):
        versions[entry.subject] = versions.get(entry.subject, 0) + 1
        schemas.append(LockedSchema(entry, versions[entry.subject], _read_schema(lock_file.parent, entry)))
    return Registry(schemas)


def full_name(schema: Schema) -> str:
    """Return namespace and name of a record schema."""
    return f"{schema['namespace']}.{schema['name']}"


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of a schema file's bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def canonical_text(schema: Schema) -> str:
    """Return the one text form in which schema files are kept: two spaces, keys in given order, newline at the end."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _read_schema(root: Path, entry: LockEntry) -> Schema:
    try:
        content = (root / entry.file).read_bytes()
        schema: Schema = json.loads(content)
        name = full_name(schema)
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise RegistryFault(f"{entry.file}: {fault!r}") from fault
    if sha256_of(content) != entry.sha256:
        raise RegistryFault(f"{entry.file}: the released schema with id {entry.schema_id} was changed")
    if name != entry.subject:
        raise RegistryFault(f"{entry.file}: holds {name}, locked is {entry.subject}")
    return schema


REGISTRY = load_registry()
"""The schemas of this release."""
