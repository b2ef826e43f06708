"""Pages larger than a record: cut and joined again, whatever comes between their parts."""

import random
from typing import Any

import pytest

from schemas.codec import decode, encode
from services.detector.durability.state_records import PAGE, PART_BYTES_MAX, PageParts, page_records
from tests.doubles.counting_engine import CountingPage


def records_of(payload: bytes, turn_id: str = "t", number: int = 0) -> list[dict[str, Any]]:
    """As they come back from the topic."""
    made = page_records(
        CountingPage(7, 3, payload),
        turn_id=turn_id,
        partition=2,
        number=number,
        pages=2,
        previous_manifest_offset=-1,
        engine_version=1,
        state_version=1,
    )
    return [decode(encode(PAGE, each)).record for each in made]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES_MAX, PART_BYTES_MAX + 1, 3 * PART_BYTES_MAX, 4_000_001])
def test_a_page_of_any_size_comes_back_whole(size: int) -> None:
    payload = random.Random(size).randbytes(size)
    parts = PageParts()
    found = [parts.add(at, record) for at, record in enumerate(records_of(payload))]
    assert found[:-1] == [None] * (max(1, -(-size // PART_BYTES_MAX)) - 1)
    assert found[-1] is not None
    assert (found[-1].payload, found[-1].next_offset, found[-1].rows) == (payload, 7, 3)


def test_parts_of_other_turns_and_pages_are_not_mixed_in() -> None:
    mine, other = bytes(2_000_000), random.Random(1).randbytes(2_000_000)
    parts = PageParts()
    streams = [records_of(mine), records_of(other, turn_id="u"), records_of(other, number=1)]
    found = [parts.add(0, record) for together in zip(*streams, strict=True) for record in together]
    assert [each.payload for each in found if each is not None] == [mine, other, other]


def test_a_page_with_a_part_missing_is_none_and_a_broken_part_is_told() -> None:
    first, second, third = records_of(random.Random(2).randbytes(2_000_000))
    parts = PageParts()
    assert parts.add(0, first) is None
    assert parts.add(1, third) is None
    with pytest.raises(ValueError, match="checksum"):
        parts.add(2, {**second, "payload": second["payload"][:-1] + b"\0"})
    assert parts.add(3, second) is not None
