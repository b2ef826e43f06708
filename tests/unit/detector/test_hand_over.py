"""Waiting for last turns while their owners write and trim."""

from types import SimpleNamespace
from typing import Any, cast

from services.detector import hand_over
from services.detector.durability.state_log import StateLog
from services.detector.errors import StateTrimmed


class Trimmed:
    """A state topic: partition 0 is trimmed while it is read the first time; the last turns of all are there."""

    def __init__(self) -> None:
        self.reads: list[int] = []

    async def bounds(self, topic: str, number: int) -> tuple[int, int]:
        return 0, 9

    async def manifests(self, number: int, begin: int, end: int, *, whole_log: bool) -> list[Any]:
        self.reads.append(number)
        if self.reads == [0]:
            raise StateTrimmed("partition 0")
        return [SimpleNamespace(is_final=True, engine_version=3)]


async def test_a_turn_that_is_trimmed_while_it_is_read_is_looked_at_again() -> None:
    log = Trimmed()
    assert await hand_over._finals(cast(StateLog, log), range(2), 3) == {1}
    assert await hand_over._finals(cast(StateLog, log), {0}, 3) == {0}
