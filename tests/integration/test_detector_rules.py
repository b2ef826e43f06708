"""Rules and time reach the engine through the log only."""

import time
from pathlib import Path

import pytest

from schemas.codec import decode, encode
from services.clock import ClockLine, write_clock_file
from services.stack.kafka_server import KafkaServer
from services.transport.kafka_producer import OutRecord
from tests.integration import detector_rig as rig

pytestmark = pytest.mark.integration

MINUTE_MS = 60_000
TICK = "kairos.control.v1.Tick"


def ticks(kafka: KafkaServer) -> dict[int, list[dict[str, int]]]:
    """Ticks of each partition, in log order."""
    found = {}
    for number, records in rig.read_topic(kafka.bootstrap, rig.EVENTS).items():
        decoded = [decode(record.value) for record in records if record.key is None]
        found[number] = [each.record for each in decoded if each.name == TICK]
    return found


def test_good_rules_are_announced_and_bad_ones_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    rig.publish(kafka.bootstrap, rig.RULES, [rig.rule_set(1), rig.rule_set(2, "broken: ["), rig.rule_set(1, "other")])
    with rig.running(kafka.bootstrap, tmp_path) as detector:
        detector.wait_until_ready()
        rig.wait_until_applied(kafka.bootstrap, why=detector.tail)
        assert {number: each[-1]["rules_offset"] for number, each in ticks(kafka).items()} == dict.fromkeys(range(4), 0)
        assert detector.metrics()["kairos_detector_rule_errors_total"] == 1.0
        (refused,) = rig.log_lines(detector, "detector.rules.refused")
        assert (refused["offset"], "1:1: broken" in refused["reason"]) == (1, True)

        rig.publish(kafka.bootstrap, rig.RULES, [rig.rule_set(3)])
        rig.wait_until(lambda: all(each[-1]["rules_offset"] == 3 for each in ticks(kafka).values()), 10, detector.tail)
        rig.wait_until(detector.is_ready, 5)
        assert detector.stop() == 0


def test_a_refused_rule_set_leaves_the_one_in_force_and_shows(kafka: KafkaServer, tmp_path: Path) -> None:
    with rig.running(kafka.bootstrap, tmp_path) as detector:
        detector.wait_until_ready()
        rig.publish(kafka.bootstrap, rig.RULES, [rig.rule_set(4, "broken")])
        rig.wait_until(lambda: detector.metrics()["kairos_detector_refused_rule_sets"] == 1.0, 10, detector.tail)
        assert detector.is_ready()
        rig.publish(kafka.bootstrap, rig.RULES, [rig.rule_set(5)])
        rig.wait_until(lambda: detector.metrics()["kairos_detector_refused_rule_sets"] == 0.0, 10, detector.tail)
        assert detector.stop() == 0


def test_a_tick_with_unknown_rules_holds_its_partition_until_they_come(kafka: KafkaServer, tmp_path: Path) -> None:
    feed = rig.Feed(seed=40)
    with rig.running(kafka.bootstrap, tmp_path) as detector:
        detector.wait_until_ready()
        rig.wait_until_applied(kafka.bootstrap, why=detector.tail)
        newest = rig.log_ends(kafka.bootstrap, rig.RULES)[0] - 1
        tick = OutRecord(None, encode(TICK, {"now": rig.START_MS, "rules_offset": newest + 1}))
        rig.publish(kafka.bootstrap, rig.EVENTS, [tick], partition=0)
        name = 'kairos_detector_paused_partitions{partition="0",why="rules"}'
        rig.wait_until(lambda: detector.metrics().get(name) == 1.0, 10, detector.tail)
        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(200))
        rig.publish(kafka.bootstrap, rig.RULES, [rig.rule_set(6)])
        rig.wait_until_applied(kafka.bootstrap, 15, detector.tail)
        assert detector.metrics()[name] == 0.0
        assert detector.stop() == 0
    found, _ = rig.moments(kafka.bootstrap)
    compiled = dict.fromkeys(range(20), object())
    assert found == rig.expected_moments(kafka.bootstrap, rules=compiled)


def test_ticks_follow_the_moved_clock_by_full_minutes_and_skip_when_it_runs(kafka: KafkaServer, tmp_path: Path) -> None:
    before = {number: len(each) for number, each in ticks(kafka).items()}
    clock = tmp_path / "clock"
    start = rig.START_MS + 86_400_000
    write_clock_file(clock, ClockLine(start_ms=start, speed=1.0, anchor_ms=_real_ms()))
    with rig.running(kafka.bootstrap, tmp_path, CLOCK=f"@{clock}") as detector:
        detector.wait_until_ready()
        rig.wait_until(lambda: all(each[-1]["now"] >= start - MINUTE_MS for each in ticks(kafka).values()), 10)
        write_clock_file(clock, ClockLine(start_ms=start + 600_000, speed=3_600.0, anchor_ms=_real_ms()))
        end = start + 3_600_000 * 2
        rig.wait_until(lambda: all(each[-1]["now"] >= end for each in ticks(kafka).values()), 10, detector.tail)
        assert detector.stop() == 0
    for number, each in ticks(kafka).items():
        fresh = [tick["now"] for tick in each[before[number] :]]
        assert fresh == sorted(fresh)
        assert all(now % MINUTE_MS == 0 for now in fresh)
        assert len(fresh) < (fresh[-1] - fresh[0]) / MINUTE_MS, "no minute was skipped"


def _real_ms() -> int:
    return time.time_ns() // 1_000_000
