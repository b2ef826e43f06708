"""`make soak`: kill -9 by the hundred, and frozen workers, broker restarts, new rules in between; all of it by a seed.

KAIROS_SOAK_SEED repeats a run, KAIROS_SOAK_KILLS shortens it. Each round ends with a comparison of everything so far.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
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

pytestmark = [pytest.mark.integration, pytest.mark.soak, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("KAIROS_SOAK_KILLS", "200"))
SEED = int(os.environ.get("KAIROS_SOAK_SEED", "20261122"))
ROUND = 20


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Progress, past what collects a test's output."""

    def tell(line: str) -> None:
        with capfd.disabled():
            print(line, flush=True)

    return tell


def test_hundreds_of_kills(kafka: KafkaServer, tmp_path: Path, say: Callable[[str], None]) -> None:
    publish_rules(kafka)
    rng, started, counts = random.Random(SEED), time.monotonic(), Counter[str]()
    say(f"\nsoak: {KILLS} kills of 3 workers, seed {SEED} (KAIROS_SOAK_SEED, KAIROS_SOAK_KILLS)")
    with ExitStack() as stack:
        group = [
            stack.enter_context(
                rig.running(kafka.bootstrap, tmp_path, name=f"k{n}", DETECTOR_INSTANCE_ID=f"k{n}", **SESSION)
            )
            for n in range(3)
        ]
        for detector in group:
            detector.wait_until_ready(120)
        while counts["kills"] < KILLS:
            seed = rng.randrange(1 << 30)
            counts["kills"] += chaos_round(kafka, group, seed=seed, kills=min(ROUND, KILLS - counts["kills"]))
            disturb(kafka, group, rng, counts)
            rig.wait_until_applied(kafka.bootstrap, 180, lambda: "\n".join(each.tail() for each in group))
            compared = compare(kafka)
            say(
                f"soak: {counts['kills']} of {KILLS} kills, {compared.events} records, {compared.moments} moments, "
                f"{compared.repeats} repeats, {time.monotonic() - started:.0f} s, seed of the round {seed}"
            )
        for detector in group:
            detector.wait_until_ready(120)  # before that it may not have taken over its signals yet
            assert detector.stop() == 0, detector.tail()
    pages = made_again(kafka)
    compared = compare(kafka)
    summary = dict(counts) | {"seed": SEED, "seconds": round(time.monotonic() - started), "pages_made_again": pages}
    say("soak: " + json.dumps(summary | {"events": compared.events, "moments": compared.moments}))
    assert compared.repeats > 0, "nothing was replayed: this proved nothing"


def disturb(kafka: KafkaServer, group: list[rig.Detector], rng: random.Random, counts: Counter[str]) -> None:
    """Between two rounds: one of the other things that happen."""
    what = rng.choice(("frozen", "broker", "rules", "stop"))
    counts[what] += 1
    feed = rig.LifeFeed(seed=rng.randrange(1 << 30))
    victim = rng.choice(group)
    if what == "frozen" and victim.process.poll() is None:
        victim.process.send_signal(signal.SIGSTOP)
        feed_while(kafka, feed, 8.0, each=0.4)
        victim.process.send_signal(signal.SIGCONT)
    elif what == "broker":
        kafka.stop()
        kafka.start()
        kafka.wait_until_ready()
    elif what == "rules":
        rig.publish(kafka.bootstrap, rig.RULES, [rig.shipped_rules(counts["rules"] + 1)])
    elif victim.process.poll() is None:
        victim.wait_until_ready(120)
        assert victim.stop() == 0, victim.tail()
        victim.start()
    feed_while(kafka, feed, 1.0)
    revive(group)
