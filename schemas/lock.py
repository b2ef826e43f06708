"""Planning of the append-only lock file: which ids new schema files get, and what contradicts what was released.

Pure: files come in as bytes, faults go out as sentences. Reading and writing is the matter of `schemas.generate`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from schemas.registry import LockEntry, Schema, canonical_text, full_name, sha256_of

_FILE_NAME = re.compile(r"avro/(?P<stem>[a-z][a-z0-9_]*)\.v(?P<version>[1-9][0-9]*)\.avsc")


@dataclass(frozen=True)
class LockPlan:
    """The lock as it should be, and the faults because of which it must not be written."""

    entries: Mapping[int, LockEntry]
    faults: tuple[str, ...]


def plan_lock(locked: Mapping[int, LockEntry], files: Mapping[str, bytes]) -> LockPlan:
    """Return the lock with new files appended in the order of their names; released files must be there unchanged.

    files: contents by path beside the lock, such as avro/usage_event.v1.avsc.
    """
    faults = [fault for entry in locked.values() for fault in _released_faults(entry, files)]
    entries = dict(locked)
    locked_files = {entry.file for entry in locked.values()}
    for path in sorted(set(files) - locked_files, key=_by_stem_and_version):
        new_faults, subject = _new_file_faults(path, files[path], entries)
        faults += new_faults
        if not new_faults:
            schema_id = max(entries, default=0) + 1
            entries[schema_id] = LockEntry(schema_id, subject, path, sha256_of(files[path]))
    return LockPlan(entries, tuple(faults))


def append_only_faults(before: Mapping[int, LockEntry], after: Mapping[int, LockEntry]) -> list[str]:
    """Return what of an earlier lock is changed or missing in a later one."""
    return [
        f"id {schema_id} of {entry.subject} was {'changed' if schema_id in after else 'removed'}"
        for schema_id, entry in before.items()
        if after.get(schema_id) != entry
    ]


def lock_text(entries: Mapping[int, LockEntry]) -> str:
    """Return the text of a lock file: by id, each with subject, file and SHA-256 of the file."""
    document = {}
    for schema_id in sorted(entries):
        document[str(schema_id)] = asdict(entries[schema_id])
        del document[str(schema_id)]["schema_id"]
    return json.dumps(document, indent=2) + "\n"


def file_stem(name: str) -> str:
    """Return the file name of a record without version: kairos.events.v1.UsageEvent → usage_event."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name.rsplit(".", 1)[-1]).lower()


def _released_faults(entry: LockEntry, files: Mapping[str, bytes]) -> list[str]:
    if entry.file not in files:
        return [f"{entry.file}: released with id {entry.schema_id}, but it is not there"]
    if sha256_of(files[entry.file]) != entry.sha256:
        return [
            f"{entry.file}: released with id {entry.schema_id}, but it was changed; "
            "undo that and put the change into a file of the next version"
        ]
    return []


def _new_file_faults(path: str, content: bytes, entries: Mapping[int, LockEntry]) -> tuple[list[str], str]:
    match = _FILE_NAME.fullmatch(path)
    if match is None:
        return [f"{path}: the name is not avro/<record_in_snake_case>.v<version>.avsc"], ""
    try:
        schema: Schema = json.loads(content)
        name = full_name(schema)
    except (ValueError, KeyError, TypeError) as fault:
        return [f"{path}: not an Avro record schema ({fault!r})"], ""
    faults = []
    if content != canonical_text(schema).encode():
        faults.append(f"{path}: not in canonical layout (JSON with two spaces and a newline at the end)")
    if file_stem(name) != match["stem"]:
        faults.append(f"{path}: holds {name}, so its name has to begin with {file_stem(name)}")
    expected = 1 + sum(entry.subject == name for entry in entries.values())
    if int(match["version"]) != expected:
        faults.append(f"{path}: the next version of {name} is {expected}")
    return faults, name


def _by_stem_and_version(path: str) -> tuple[str, int]:
    match = _FILE_NAME.fullmatch(path)
    return (match["stem"], int(match["version"])) if match else (path, 0)
