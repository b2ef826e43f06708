"""A release with another engine: it goes on where the one before stopped for good, and judges none of its records."""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.clock import SystemClock
from services.detector.broker_admin import BrokerAdmin, confirm_time
from services.detector.hand_over import run as hand_over
from services.stack.kafka_server import KafkaServer
from tests.doubles.counting_engine import ENGINE, NEXT_ENGINE
from tests.integration import detector_rig as rig

pytestmark = pytest.mark.integration

NEXT = {"DETECTOR_ENGINE": "tests.doubles.counting_engine:NEXT_ENGINE"}


def expected(bootstrap: str, marks: dict[int, int]) -> rig.Moments:
    """One clean pass: the first engine up to its mark, its state taken over by the next one."""
    found: rig.Moments = set()
    for number, records in rig.read_topic(bootstrap, rig.EVENTS).items():
        before = [record for record in records if record.offset <= marks[number]]
        after = [record for record in records if record.offset > marks[number]]
        first = ENGINE.new_partition(number, 0)
        rig._collect(found, first.apply(ENGINE.decode_chunk(number, before), {}))
        second = NEXT_ENGINE.new_partition(number, marks[number] + 1)
        for page in range(first.pages()):
            second.load_page(page, first.dump_page(page))
        second.finish_loading(first.tick_now_ms, first.rules_offset, first.next_offset)
        if after:
            rig._collect(found, second.apply(NEXT_ENGINE.decode_chunk(number, after), {}))
    return found


def refused(bootstrap: str, folder: Path, name: str, **settings: str) -> str:
    """The log of a detector that must end by itself with the code of a refusal."""
    with rig.running(bootstrap, folder, name=name, **settings) as detector:
        assert detector.process.wait(60) == 78, detector.tail()
        return detector.tail()


def let_turns_be_written(bootstrap: str, detector: rig.Detector, feed: rig.Feed) -> None:
    """Wait for two more turns of each partition; none is written while nothing is applied, so more is sent."""

    def turns() -> float:
        return detector.metrics().get("kairos_detector_turns_total", 0)

    for _ in range(2):
        wanted = turns() + rig.PARTITIONS
        rig.publish(bootstrap, rig.EVENTS, feed.batch(200))
        rig.wait_until(functools.partial(_reached, turns, wanted), 60, detector.tail)


def _reached(number: Callable[[], float], wanted: float) -> bool:
    return number() >= wanted


def test_a_newer_engine_goes_on_where_the_older_one_handed_over(kafka: KafkaServer, tmp_path: Path) -> None:
    feed = rig.Feed(seed=70)
    with rig.running(kafka.bootstrap, tmp_path, name="old") as old:
        old.wait_until_ready()
        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(500))
        rig.wait_until_applied(kafka.bootstrap, why=old.tail)
        let_turns_be_written(kafka.bootstrap, old, feed)
        said = refused(kafka.bootstrap, tmp_path, "early", **NEXT)
        assert "hand-over" in said
        assert "kairos detector rebuild" in said

        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(300))
        lines: list[str] = []
        marks, waiting = asyncio.run(hand_over(kafka.bootstrap, seconds=30, say=lines.append, engine_version=1))
        assert (waiting, len(lines)) == (set(), rig.PARTITIONS)
        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(500))
        paused = {f'kairos_detector_paused_partitions{{partition="{n}",why="hand_over"}}' for n in range(4)}
        rig.wait_until(lambda: all(old.metrics().get(each) == 1 for each in paused), 10, old.tail)
        old.kill()
        old.start()
        old.wait_until_ready()
        rig.wait_until(lambda: all(old.metrics().get(each) == 1 for each in paused), 10, old.tail)
        before, _ = rig.moments(kafka.bootstrap)
        assert old.stop() == 0, old.tail()

    with rig.running(kafka.bootstrap, tmp_path, name="new", **NEXT) as new:
        new.wait_until_ready()
        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(200))
        rig.wait_until_applied(kafka.bootstrap, why=new.tail)
        let_turns_be_written(kafka.bootstrap, new, feed)
        new.kill()
        new.start()
        new.wait_until_ready()
        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(100))
        rig.wait_until_applied(kafka.bootstrap, why=new.tail)
        assert new.stop() == 0, new.tail()
    found, _ = rig.moments(kafka.bootstrap)
    assert before < found
    assert found == expected(kafka.bootstrap, marks)

    said = refused(kafka.bootstrap, tmp_path, "back")
    assert "written by engine 2, and this release has engine 1" in said


async def test_the_clock_of_the_brokers_is_read_and_a_time_is_confirmed(kafka: KafkaServer) -> None:
    admin: Any = BrokerAdmin(kafka.bootstrap)
    try:
        before = SystemClock().real_ms()
        told = await admin.broker_ms()
        assert before - 5 <= told <= SystemClock().real_ms() + 5
        again = await admin.broker_ms()
        assert told <= again <= SystemClock().real_ms() + 5
        await asyncio.to_thread(confirm_time, kafka.bootstrap, rig.START_MS)
        assert await admin.confirmed_ms() == rig.START_MS
    finally:
        await admin.close()
