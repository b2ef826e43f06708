"""Which time ticks may announce, when clocks jump, stop, drift, or disagree with the brokers'."""

from collections.abc import Sequence

import pytest

from schemas.codec import decode
from services.clock import ManualClock
from services.detector import ticks
from services.detector.chaos import Chaos
from services.detector.ticks import Ticker
from services.detector.time_guard import TimeGuard
from services.transport.kafka_frames import FramedRecords
from services.transport.kafka_producer import OutRecord
from tests.doubles.framed import single_records

MINUTE, DAY = 60_000, 86_400_000
NOW = 1_788_746_400_000


def test_a_clock_that_goes_as_it_should_is_believed_whatever_it_drifts() -> None:
    guard = TimeGuard(NOW, 0)
    drifting = [NOW + step * MINUTE + step * 500 for step in range(1, 2_000)]
    assert [guard.reading(at, (n + 1) * MINUTE) for n, at in enumerate(drifting)] == drifting
    assert guard.doubt_ms == 0


@pytest.mark.parametrize("jump", [DAY, -DAY, 6 * MINUTE, -6 * MINUTE])
def test_a_clock_that_jumps_is_not_believed_and_time_goes_on(jump: int) -> None:
    guard = TimeGuard(NOW, 0)
    assert guard.reading(NOW + MINUTE, MINUTE) == NOW + MINUTE
    assert guard.reading(NOW + 2 * MINUTE + jump, 2 * MINUTE) == NOW + 2 * MINUTE
    assert guard.doubt_ms == jump
    assert guard.reading(NOW + 30 * MINUTE + jump, 30 * MINUTE) == NOW + 30 * MINUTE


def test_a_clock_that_comes_back_is_believed_again() -> None:
    guard = TimeGuard(NOW, 0)
    guard.reading(NOW + DAY, MINUTE)
    assert guard.reading(NOW + 5 * MINUTE, 5 * MINUTE) == NOW + 5 * MINUTE
    assert guard.doubt_ms == 0


def test_small_steps_are_taken() -> None:
    guard = TimeGuard(NOW, 0)
    assert guard.reading(NOW + 4 * MINUTE, 0) == NOW + 4 * MINUTE


@pytest.mark.parametrize("step", [4 * MINUTE, -4 * MINUTE])
def test_steps_that_follow_each_other_add_up_to_a_jump(step: int) -> None:
    guard = TimeGuard(NOW, 0)
    assert guard.reading(NOW + step, 0) == NOW + step
    assert guard.reading(NOW + 2 * step, 100) == NOW + step + 100
    assert guard.doubt_ms == step - 100
    hours = 8 * 60 * MINUTE  # later the first one is forgiven
    assert guard.reading(NOW + 2 * step + hours, hours) == NOW + 2 * step + hours


def test_a_machine_that_slept_is_believed() -> None:
    """The second clock counts on while a machine sleeps."""
    guard = TimeGuard(NOW, 0)
    assert guard.reading(NOW + 8 * 60 * MINUTE, 8 * 60 * MINUTE) == NOW + 8 * 60 * MINUTE


@pytest.mark.parametrize(
    ("confirmed", "is_taken"), [(0, True), (-14, True), (-16, False), (4, True), (6, False), (DAY // MINUTE, False)]
)
def test_a_confirmed_time_is_taken_for_a_while_by_a_clock_that_agrees(confirmed: int, is_taken: bool) -> None:
    guard = TimeGuard(NOW, 0)
    guard.reading(NOW + DAY, 0)
    assert guard.confirm(NOW + DAY + confirmed * MINUTE, NOW + DAY, 0) is is_taken
    assert guard.reading(NOW + DAY, 0) == (NOW + DAY if is_taken else NOW)


class Log:
    """Takes ticks."""

    def __init__(self) -> None:
        self.ticks: list[int] = []

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord] | FramedRecords) -> int:
        self.ticks += [decode(record.value or b"").record["now"] for record in single_records(records)]
        return len(self.ticks)


class Owned:
    """A shard, as far as ticks look at it."""

    number = 0

    class partition:  # noqa: N801  # stands for the attribute
        tick_now_ms = 0
        rules_offset = -1


async def test_ticks_go_on_through_a_jump_until_the_time_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    log, clock, counted = Log(), ManualClock(NOW), ManualClock(0)
    monkeypatch.setattr(ticks, "counted_ms", counted.now_ms)
    ticker = Ticker(
        clock=clock,
        producer=log,
        owned=lambda: [Owned],  # type: ignore[list-item]
        newest_rules=lambda: -1,
        owner="d",
        chaos=Chaos({}),
        guard=TimeGuard(NOW, 0),
    )

    async def pass_minutes(minutes: int) -> None:
        for _ in range(minutes):
            clock.advance(MINUTE)
            counted.advance(MINUTE)
            await ticker.tick()

    await pass_minutes(2)
    clock.advance(DAY)
    await pass_minutes(2)
    assert log.ticks == [NOW + n * MINUTE for n in range(1, 5)]
    ticker.confirm(NOW)  # another time
    await pass_minutes(1)
    ticker.confirm(clock.now_ms())
    await pass_minutes(1)
    assert log.ticks[4:] == [NOW + 5 * MINUTE, NOW + DAY + 6 * MINUTE]


async def test_a_tick_of_another_writer_that_is_ahead_is_never_undercut() -> None:
    log, clock = Log(), ManualClock(NOW)

    class Ahead(Owned):
        class partition:  # noqa: N801
            tick_now_ms = NOW + DAY
            rules_offset = -1

    rules = -1
    ticker = Ticker(
        clock=clock,
        producer=log,
        owned=lambda: [Ahead],  # type: ignore[list-item]
        newest_rules=lambda: rules,
        owner="d",
        chaos=Chaos({}),
    )
    clock.advance(MINUTE)
    await ticker.tick()
    assert log.ticks == []
    assert ticker.ahead_ms() == DAY - MINUTE
    rules = 3
    await ticker.tick()
    assert log.ticks == [NOW + DAY], "rules are announced all the same, at the time that the log has"
    clock.advance(DAY)
    await ticker.tick()
    assert log.ticks == [NOW + DAY, NOW + DAY + MINUTE]
