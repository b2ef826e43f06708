"""Which records the router leaves alone until it has read what they depend on."""

from collections.abc import Iterable, Mapping
from typing import Any

from kafka import TopicPartition

from services.router.decode import ALL_TOPICS, CONTACTS, MOMENTS, MOMENTS_BULK
from services.router.kafka_intake import KafkaIntake, Key
from services.router.store.intake import Position


class Consumer:
    """A client with one partition of each topic; polls bring nothing."""

    def __init__(self, ends: dict[str, int], begins: dict[str, int]) -> None:
        self.ends, self.begins = ends, begins
        self.stopped: set[Any] = set()
        self.tps = [TopicPartition(topic, 0) for topic in ALL_TOPICS]

    def assignment(self) -> set[Any]:
        return set(self.tps)

    def paused(self) -> set[Any]:
        return set(self.stopped)

    def pause(self, *tps: Any) -> None:
        self.stopped |= set(tps)

    def resume(self, *tps: Any) -> None:
        self.stopped -= set(tps)

    def seek(self, tp: Any, offset: int) -> None: ...

    def poll(self, **_: Any) -> dict[Any, Any]:
        return {}

    def end_offsets(self, tps: Iterable[Any], timeout_ms: int) -> dict[Any, int]:
        return {tp: self.ends.get(tp.topic, 0) for tp in tps}

    def beginning_offsets(self, tps: Iterable[Any], timeout_ms: int) -> dict[Any, int]:
        return {tp: self.begins.get(tp.topic, 0) for tp in tps}


class World:
    """An intake that was just assigned all partitions, with nothing stored."""

    def __init__(self, ends: dict[str, int], begins: dict[str, int] | None = None) -> None:
        self.aimed: dict[Key, int] = {}
        self.epoch = 0
        self.consumer = Consumer(ends, begins or {})
        self.intake = KafkaIntake("", group="g", instance="i", claim=self.claim, aim=self.aim)
        self.intake._consumer = self.consumer
        self.intake.on_assigned(self.consumer.tps)

    def claim(self, keys: Iterable[Key]) -> dict[Key, Position]:
        self.epoch += 1
        return {key: Position(next_offset=0, epoch=self.epoch) for key in keys}

    def aim(self, ends: Mapping[Key, tuple[Position, int]]) -> None:
        self.aimed = {key: end for key, (_, end) in ends.items()}

    def decides(self) -> bool:
        return self.intake.is_current

    def is_member(self) -> bool:
        return self.intake.is_member

    def read(self) -> set[str]:
        """Poll; returns the topics that are read."""
        self.intake.poll(0, 10)
        return set(ALL_TOPICS) - {tp.topic for tp in self.consumer.stopped}


FACTS = set(ALL_TOPICS) - {MOMENTS, MOMENTS_BULK}


def test_facts_come_first_then_moments_then_the_bulk_and_decisions() -> None:
    world = World({CONTACTS: 10, MOMENTS: 5, MOMENTS_BULK: 9})
    assert {tp.topic for tp in world.consumer.stopped} == {MOMENTS, MOMENTS_BULK}, "from the assignment on"
    assert world.read() == FACTS
    assert (world.aimed[CONTACTS, 0], world.aimed[MOMENTS_BULK, 0]) == (10, 0)
    world.intake.advance({(CONTACTS, 0): 9})
    assert world.read() == FACTS
    world.consumer.ends[CONTACTS] = 100  # what came since does not count: the wait has an end
    world.intake.advance({(CONTACTS, 0): 10})
    assert world.read() == FACTS | {MOMENTS}
    assert not world.decides()
    world.intake.advance({(MOMENTS, 0): 5})
    assert world.decides()
    assert world.read() == set(ALL_TOPICS)
    world.intake.hold_bulk(True)
    assert world.read() == FACTS | {MOMENTS}


def test_a_log_that_was_emptied_by_age_is_not_waited_for() -> None:
    world = World({CONTACTS: 10}, {CONTACTS: 10})
    assert world.read() == set(ALL_TOPICS)
    assert world.decides()


def test_a_partition_that_was_taken_away_stops_decisions_until_it_is_known_again() -> None:
    world = World({CONTACTS: 10})
    world.read()
    world.intake.advance({(CONTACTS, 0): 10})
    assert world.decides()
    world.intake.lose(CONTACTS, 0, world.intake.positions[CONTACTS, 0])
    assert not world.decides()
    assert world.read() == FACTS


def test_without_an_assignment_nothing_is_decided() -> None:
    world = World({})
    world.read()
    assert world.decides()
    world.intake.on_revoked()
    assert not world.decides()
    assert not world.is_member()
    world.intake.on_assigned([])
    assert world.is_member()
    assert not world.decides()
