"""Whatever is killed, frozen, joined or doubled: the moments are those of one clean pass, repeats are identical.

One broker and one growing log for the whole module: each test leaves more history for the next.
"""

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from schemas.codec import decode
from services.detector.engine_binding import released_engine
from services.detector.verify import verify
from services.stack.kafka_server import KafkaServer
from tests.integration import detector_rig as rig

pytestmark = pytest.mark.integration

ENGINE = released_engine()

SESSION = {
    "DETECTOR_SESSION_SECONDS": "6",
    "DETECTOR_HEARTBEAT_SECONDS": "2",
    "DETECTOR_ENGINE": "",  # the released one, with the shipped rules; an hour passes in a second
    "CLOCK": rig.FAST_CLOCK,
}


@pytest.fixture(scope="module", autouse=True)
def rules(kafka: KafkaServer) -> None:
    rig.publish(kafka.bootstrap, rig.RULES, [rig.shipped_rules()])
    rig.compiled_rules(kafka.bootstrap, ENGINE)  # fills the cache of kernels, so that workers start quickly


def check(kafka: KafkaServer, *detectors: rig.Detector, is_doubled: bool = False) -> int:
    """All moments are there, none else; returns how many were repeated.

    Ticks are written until the end, and the last of them may not be applied by anybody: what is applied must be there,
    and what is there must be in the log.
    """
    rig.wait_until_applied(kafka.bootstrap, 90, lambda: "\n".join(each.tail() for each in detectors))
    for detector in detectors:
        assert detector.stop() == 0, detector.tail()
    applied = rig.group_offsets(kafka.bootstrap, "kairos-detector-applied")
    assert made_again(kafka) > 0 or is_doubled
    return compare(kafka, applied)


def made_again(kafka: KafkaServer) -> int:
    """Every page of each newest turn is what the turn before it and the log give; returns how many pages that were.

    Of two that write and trim at once there may be only one complete turn.
    """
    looking = verify(kafka.bootstrap, ENGINE, partitions=[], replay=True, records_per_second=50_000, say=str)
    reports = asyncio.run(looking)
    assert [report.faults for report in reports] == [[]] * len(reports)
    return sum(report.replayed_pages or 0 for report in reports)


def compare(kafka: KafkaServer, applied: dict[int, int]) -> int:
    """Moments of what was applied ⊆ moments found ⊆ moments of the whole log; returns the repeats."""
    found, repeats = rig.moments(kafka.bootstrap)
    rules = rig.compiled_rules(kafka.bootstrap, ENGINE)
    must = rig.expected_moments(kafka.bootstrap, ENGINE, rules, applied)
    may = rig.expected_moments(kafka.bootstrap, ENGINE, rules)
    for wrong, what in ((must - found, "missing"), (found - may, "unexpected")):
        assert not wrong, f"{len(wrong)} {what}, such as {decode(next(iter(wrong))[2]).record}"
    assert len(must) > 100
    return repeats


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


def feed_while(kafka: KafkaServer, feed: rig.Feed, seconds: float, each: float = 0.1, events: int = 60) -> None:
    """Publish at a steady rate."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(events))
        time.sleep(each)


def revive(group: list[rig.Detector]) -> int:
    """Start again whatever has died; returns how many did."""
    dead = [detector for detector in group if detector.process.poll() is not None]
    for detector in dead:
        assert detector.process.returncode in (-signal.SIGKILL, 70), detector.tail()
        detector.start()
    return len(dead)


def chaos_round(kafka: KafkaServer, group: list[rig.Detector], *, seed: int, kills: int) -> int:
    """Kill at random from outside while the processes kill themselves between the steps of turns."""
    rng, feed, deaths = random.Random(seed), rig.LifeFeed(seed=seed), 0
    for detector in group:
        detector.settings(
            DETECTOR_CHAOS="applied=0.002,outputs=0.004,page=0.004,pages=0.08,manifest=0.08,committed=0.08,trimmed=0.08"
        )
    while deaths < kills:
        feed_while(kafka, feed, rng.uniform(0.3, 2.0))
        victim = rng.choice(group)
        if victim.process.poll() is None:
            victim.kill()
        deaths += revive(group)
    for detector in group:
        detector.settings(DETECTOR_CHAOS="")
        detector.kill()
        detector.start()
    return deaths


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


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_long_chaos(kafka: KafkaServer, group: list[rig.Detector]) -> None:
    """As the first test, by the hundred, with another seed each time."""
    seed = int(time.time())
    for detector in group:
        detector.wait_until_ready()
    for number in range(20):
        deaths = chaos_round(kafka, group, seed=seed + number, kills=10)
        rig.wait_until_applied(kafka.bootstrap, 60)
        assert compare(kafka, rig.group_offsets(kafka.bootstrap, "kairos-detector-applied")) >= 0, (seed, deaths)
