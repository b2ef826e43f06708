"""Ways to be rough with detectors that run the released engine, and what must hold afterwards."""

import asyncio
import random
import signal
import time
from dataclasses import dataclass
from functools import cache

from schemas.codec import decode
from services.detector.durability.verify import verify
from services.detector.engine_binding import released_engine
from services.detector.ports import Engine
from services.stack.kafka_server import KafkaServer
from tests.integration import detector_rig as rig

SESSION = {
    "DETECTOR_SESSION_SECONDS": "6",
    "DETECTOR_HEARTBEAT_SECONDS": "2",
    "DETECTOR_ENGINE": "",  # the released one, with the shipped rules; an hour passes in a second
    "CLOCK": rig.FAST_CLOCK,
}
STEPS = "applied=0.002,outputs=0.004,page=0.004,pages=0.08,manifest=0.08,committed=0.08,trimmed=0.08"


@cache
def engine() -> Engine:
    """The released one, made when it is first asked for: that may take its kernels' compilation."""
    return released_engine()


def publish_rules(kafka: KafkaServer) -> None:
    """The shipped rules; fills the cache of kernels, so that workers start quickly."""
    rig.publish(kafka.bootstrap, rig.RULES, [rig.shipped_rules()])
    rig.compiled_rules(kafka.bootstrap, engine())


@dataclass(frozen=True)
class Compared:
    """How much was compared."""

    events: int
    moments: int
    repeats: int


def compare(kafka: KafkaServer) -> Compared:
    """Moments of what was applied ⊆ moments found ⊆ moments of the whole log.

    Ticks are written until the end, and the last of them may not be applied by anybody: what is applied must be there,
    and what is there must be in the log.
    """
    applied = rig.group_offsets(kafka.bootstrap, "kairos-detector-applied")
    found, repeats = rig.moments(kafka.bootstrap)
    rules = rig.compiled_rules(kafka.bootstrap, engine())
    must = rig.expected_moments(kafka.bootstrap, engine(), rules, applied)
    may = rig.expected_moments(kafka.bootstrap, engine(), rules)
    for wrong, what in ((must - found, "missing"), (found - may, "unexpected")):
        assert not wrong, f"{len(wrong)} {what}, such as {decode(next(iter(wrong))[2]).record}"
    assert len(must) > 100
    return Compared(sum(applied.values()), len(found), repeats)


def made_again(kafka: KafkaServer) -> int:
    """Every page of each newest turn is what the turn before it and the log give; returns how many pages that were.

    Of two that write and trim at once there may be only one complete turn.
    """
    looking = verify(kafka.bootstrap, engine(), partitions=[], replay=True, records_per_second=50_000, say=str)
    reports = asyncio.run(looking)
    assert [report.faults for report in reports] == [[]] * len(reports)
    return sum(report.replayed_pages or 0 for report in reports)


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
        detector.settings(DETECTOR_CHAOS=STEPS)
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
