"""Hypothesis strategies for records of any Avro schema, and registries made for a test."""

from typing import Any

from hypothesis import strategies as st

from schemas.lock import file_stem
from schemas.registry import LockedSchema, LockEntry, Registry, Schema, full_name

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
LONGS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(-200, 200), st.sampled_from([2**63 - 1, -(2**63), 2**62])
)
INTS = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-200, 200), st.sampled_from([2**31 - 1, -(2**31)]))
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "long": LONGS,
    "int": INTS,
    "double": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "string": TEXTS,
    "bytes": st.binary(max_size=40),
    "null": st.none(),
}


def records_of(schema: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for complete records of a schema, logical types taken as their numbers."""
    if isinstance(schema, list):
        return st.one_of([records_of(branch) for branch in schema])
    if isinstance(schema, str):
        return PLAIN[schema]
    match schema["type"]:
        case "record":
            return st.fixed_dictionaries({field["name"]: records_of(field["type"]) for field in schema["fields"]})
        case "enum":
            return st.sampled_from(schema["symbols"])
        case "array":
            return st.lists(records_of(schema["items"]), max_size=4)
        case "map":
            return st.dictionaries(TEXTS, records_of(schema["values"]), max_size=4)
        case underlying:
            return records_of(underlying)


def registry_of(*schemas: Schema) -> Registry:
    """Return a registry with these schemas under the ids 1, 2, ...; versions of a name count up."""
    locked: list[LockedSchema] = []
    for schema_id, schema in enumerate(schemas, start=1):
        name = full_name(schema)
        version = 1 + sum(each.name == name for each in locked)
        entry = LockEntry(schema_id, name, f"avro/{file_stem(name)}.v{version}.avsc", "")
        locked.append(LockedSchema(entry, version, schema))
    return Registry(locked)
