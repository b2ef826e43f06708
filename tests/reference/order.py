"""Which of two events of a kind counts as the later."""

from functools import lru_cache
from typing import Any

Record = dict[str, Any]
Order = tuple[int, tuple[int, ...], tuple[int, ...], int]


def letter(character: str) -> int:
    """How a character counts in the order of event ids: coarser than text, never against it."""
    for limit, value in (("0", 1), (":", ord(character) - 46), ("A", 12), ("[", ord(character) - 53), ("a", 38)):
        if character < limit:
            return value
    return min(ord(character) - 58, 63)


@lru_cache(maxsize=100_000)
def letters(text: str) -> tuple[int, ...]:
    """How a text counts."""
    return tuple(letter(character) for character in text)


def order(record: Record) -> Order:
    """What makes one event of a kind newer than another: its instant, then source and event id, then its place in the
    log."""
    return (
        record["occurred_at"],
        letters(record["source"][:2]),
        letters(record["event_id"][:18]),
        record["place"],
    )


def identity(record: Record) -> tuple[str, str]:
    """What makes an event itself."""
    return record["source"], record["event_id"]


def newest(records: list[Record]) -> Record:
    """The newest; of equals the one that came last."""
    best = records[0]
    for each in records[1:]:
        if order(each) >= order(best):
            best = each
    return best
