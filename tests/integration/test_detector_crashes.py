"""Whatever is killed, frozen, joined or doubled: the moments are those of one clean pass, repeats are identical.

One broker and one growing log for the whole module: each test leaves more history for the next.
"""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.stack.kafka_server import KafkaServer
from tests.integration import detector_rig as rig
from tests.integration.detector_chaos import (
    SESSION,
    chaos_round,
    compare,
    feed_while,
    made_again,
    publish_rules,
    revive,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.fixture(scope="module", autouse=True)
def rules(kafka: KafkaServer) -> None:
    publish_rules(kafka)


def check(kafka: KafkaServer, *detectors: rig.Detector, is_doubled: bool = False) -> int:
    """All moments are there, none else, and the state is what the log gives; returns how many were repeated."""
    rig.wait_until_applied(kafka.bootstrap, 90, lambda: "\n".join(each.tail() for each in detectors))
    for detector in detectors:
        detector.wait_until_ready(120)  # before that it may not have taken over its signals yet
        assert detector.stop() == 0, detector.tail()
    assert made_again(kafka) > 0 or is_doubled
    return compare(kafka).repeats


@pytest.fixture
def group(kafka: KafkaServer, tmp_path: Path) -> Iterator[list[rig.Detector]]:
    """Two static members."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                rig.running(kafka.bootstrap, tmp_path, name=f"d{n}", DETECTOR_INSTANCE_ID=f"d{n}", **SESSION)
            )
            for n in range(2)
        ]


def test_kill_9_at_random_and_between_the_steps_of_a_turn(kafka: KafkaServer, group: list[rig.Detector]) -> None:
    group[0].wait_until_ready()
    group[1].wait_until_ready()
    deaths = chaos_round(kafka, group, seed=20, kills=6)
    repeats = check(kafka, *group)
    assert deaths >= 6
    assert repeats > 0, "nothing was replayed: this test proved nothing"


def test_a_frozen_worker_that_wakes_up_does_no_harm(kafka: KafkaServer, group: list[rig.Detector]) -> None:
    feed = rig.LifeFeed(seed=21)
    for detector in group:
        detector.wait_until_ready()
    feed_while(kafka, feed, 1.5)
    group[0].process.send_signal(signal.SIGSTOP)
    feed_while(kafka, feed, 8.5, each=0.4)
    group[0].process.send_signal(signal.SIGCONT)
    feed_while(kafka, feed, 2)
    revive(group)
    check(kafka, *group)


def test_two_workers_forced_on_the_same_partitions_write_the_same(kafka: KafkaServer, tmp_path: Path) -> None:
    feed = rig.LifeFeed(seed=22)
    with (
        rig.running(kafka.bootstrap, tmp_path, "--partitions", "0,1,2,3", name="s0", **SESSION) as one,
        rig.running(kafka.bootstrap, tmp_path, "--partitions", "0,1,2,3", name="s1", **SESSION) as other,
    ):
        one.wait_until_ready()
        other.wait_until_ready()
        feed_while(kafka, feed, 4)
        other.kill()
        other.start()
        other.wait_until_ready()
        feed_while(kafka, feed, 3)
        assert check(kafka, one, other, is_doubled=True) > 0


def test_workers_that_join_and_leave(kafka: KafkaServer, tmp_path: Path) -> None:
    feed = rig.LifeFeed(seed=23)
    with ExitStack() as stack:
        first = stack.enter_context(rig.running(kafka.bootstrap, tmp_path, name="j0", **SESSION))
        first.wait_until_ready()
        feed_while(kafka, feed, 1)
        second = stack.enter_context(rig.running(kafka.bootstrap, tmp_path, name="j1", **SESSION))
        feed_while(kafka, feed, 3)
        rig.wait_until(lambda: len(owned(second)) == 2, 60, second.tail)
        assert len(owned(first)) == 2
        feed_while(kafka, feed, 1)
        assert first.stop() == 0, first.tail()
        feed_while(kafka, feed, 1)
        rig.wait_until(lambda: len(owned(second)) == 4, 60, second.tail)
        check(kafka, second)


def owned(detector: rig.Detector) -> set[str]:
    """Partitions of which the detector tells the lag."""
    return {name for name in detector.metrics() if name.startswith("kairos_detector_lag_records{")}
