"""The records of the state topic: pages, in parts where they are larger than a record, and manifests that close turns.

Pure. Owns their form alone; in which order they are written is the matter of `turns`, which of them count of `loading`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.record.util import calc_crc32c

from services.detector.ports import Page

STATE_TOPIC: Final = "kairos.detector-state.v1"
PAGE: Final = "kairos.state.v1.StatePage"
MANIFEST: Final = "kairos.state.v1.StateManifest"
PART_BYTES_MAX: Final = 900_000
"""Of a payload; the rest of a record is small, and brokers take 1 MiB."""


@dataclass(frozen=True)
class Manifest:
    """A manifest with its place in the state topic."""

    offset: int
    turn_id: str
    pages: int
    first_state_offset: int
    next_log_offset: int
    tick_now_ms: int
    rules_offset: int
    customers: int
    engine_version: int
    state_version: int
    checksum: int
    is_final: bool

    @classmethod
    def of(cls, offset: int, fields: Mapping[str, Any]) -> "Manifest":
        """The manifest in a record's fields."""
        return cls(
            offset=offset,
            turn_id=fields["turn_id"],
            pages=fields["pages"],
            first_state_offset=fields["first_state_offset"],
            next_log_offset=fields["next_log_offset"],
            tick_now_ms=fields["tick_now"],
            rules_offset=fields["rules_offset"],
            customers=fields["customers"],
            engine_version=fields["engine_version"],
            state_version=fields["state_version"],
            checksum=fields["checksum"],
            is_final=fields["is_final"],
        )


@dataclass(frozen=True)
class PageCopy:
    """One copy of a page, its checksum proven. offset: of its last part in the state topic."""

    offset: int
    turn_id: str
    number: int
    next_offset: int
    rows: int
    payload: bytes
    checksum: int
    engine_version: int
    state_version: int


class PageParts:
    """Joins the parts of pages; whatever is not complete is left out, as a turn that was cut off leaves it."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int, int], dict[int, bytes]] = {}

    def add(self, offset: int, fields: dict[str, Any]) -> PageCopy | None:
        """Take one record of a page; return the page when it is complete. Raises ValueError for a broken record."""
        if calc_crc32c(fields["payload"]) != fields["checksum"]:
            raise ValueError("its checksum is another")
        payload, checksum = fields["payload"], fields["checksum"]
        if fields["parts"] != 1:
            key = (fields["turn_id"], fields["page"], fields["parts"])
            parts = self._parts.setdefault(key, {})
            parts[fields["part"]] = payload
            if any(number not in parts for number in range(fields["parts"])):
                return None
            payload = b"".join([parts[number] for number in range(fields["parts"])])
            checksum = int(calc_crc32c(payload))
            del self._parts[key]
        return PageCopy(
            offset=offset,
            turn_id=fields["turn_id"],
            number=fields["page"],
            next_offset=fields["next_offset"],
            rows=fields["rows"],
            payload=payload,
            checksum=checksum,
            engine_version=fields["engine_version"],
            state_version=fields["state_version"],
        )


def page_records(
    page: Page, *, turn_id: str, partition: int, number: int, pages: int, previous_manifest_offset: int,
    engine_version: int, state_version: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """The records of one page, in the order in which they are written: one, or as many as its size takes."""
    payload = bytes(page.payload)
    pieces = [payload[at : at + PART_BYTES_MAX] for at in range(0, max(1, len(payload)), PART_BYTES_MAX)]
    return [
        {
            "turn_id": turn_id,
            "partition": partition,
            "page": number,
            "pages": pages,
            "next_offset": page.next_offset,
            "rows": page.rows,
            "previous_manifest_offset": previous_manifest_offset,
            "engine_version": engine_version,
            "state_version": state_version,
            "checksum": int(calc_crc32c(piece)),
            "payload": piece,
            "part": part,
            "parts": len(pieces),
        }
        for part, piece in enumerate(pieces)
    ]


def checksum_of(checksums: Sequence[int]) -> int:
    """CRC-32C over the pages' checksums in page order, four bytes each, big-endian."""
    checksum: int = calc_crc32c(b"".join(each.to_bytes(4, "big") for each in checksums))
    return checksum
