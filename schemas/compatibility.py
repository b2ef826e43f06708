"""FULL_TRANSITIVE compatibility of all versions of a subject, judged by Apache's own checker; and the house rules.

For checks and tests only: the package `avro` is no dependency of a service.
"""

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from schemas.registry import Registry, Schema, full_name

UNKNOWN = "UNKNOWN"


def registry_faults(registry: Registry) -> list[str]:
    """Return every breach of compatibility and of the house rules in a registry."""
    faults = []
    for name in registry.names:
        versions = [locked.schema for locked in registry.versions(name)]
        faults += incompatibilities(versions)
        for schema in versions:
            faults += enum_faults(schema)
    return faults


def incompatibilities(versions: Sequence[Schema]) -> list[str]:
    """Return why some version of a subject cannot read what another wrote; each against every other, both ways."""
    return [fault for reader, writer in permutations(versions, 2) for fault in _why_unreadable(reader, writer)]


def enum_faults(schema: Any) -> list[str]:
    """Return the enums whose first symbol and default is not UNKNOWN: readers could not be older than their writers."""
    if isinstance(schema, list):
        return [fault for branch in schema for fault in enum_faults(branch)]
    if not isinstance(schema, dict):
        return []
    if schema.get("type") == "enum":
        is_open = schema["symbols"][0] == UNKNOWN and schema.get("default") == UNKNOWN
        return [] if is_open else [f"enum {schema['name']}: first symbol and default have to be {UNKNOWN}"]
    return [fault for key in ("fields", "type", "items", "values") for fault in enum_faults(schema.get(key))]


def _why_unreadable(reader: Schema, writer: Schema) -> list[str]:
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # avro's constructor has no types
    result = checker.get_compatibility(avro.schema.parse(json.dumps(reader)), avro.schema.parse(json.dumps(writer)))
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    places = ", ".join(sorted(result.locations))
    details = ", ".join(sorted(result.messages))
    return [f"{full_name(reader)}: a version cannot read another at {places}: {details}"]
