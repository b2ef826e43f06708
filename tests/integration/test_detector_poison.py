"""Undecodable records: passed one by one, a flood stops its partition only, operators let it go on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.codec import decode
from services.stack.kafka_server import KafkaServer
from services.transport.kafka_producer import OutRecord
from tests.integration import detector_rig as rig

pytestmark = pytest.mark.integration

UNKNOWN_ID = b"\x00\x00\x0f\xff\xff" + b"x" * 10
POISON = [OutRecord(b"1001", b"junk"), OutRecord(b"1002", UNKNOWN_ID), OutRecord(b"1003", None)]


def paused(detector: rig.Detector, partition: int) -> float:
    return detector.metrics().get(f'kairos_detector_paused_partitions{{partition="{partition}",why="poison"}}', 0.0)


def test_poison_between_good_records_is_parked_and_passed(kafka: KafkaServer, tmp_path: Path) -> None:
    feed = rig.Feed(seed=30)
    with rig.running(kafka.bootstrap, tmp_path) as detector:
        detector.wait_until_ready()
        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(100))
        first = rig.log_ends(kafka.bootstrap)[2]
        rig.publish(kafka.bootstrap, rig.EVENTS, POISON, partition=2)
        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(300))
        rig.wait_until_applied(kafka.bootstrap, why=detector.tail)
        assert paused(detector, 2) == 0.0
        assert sum(n for name, n in detector.metrics().items() if "dead_letters_total" in name) == 3
        assert detector.stop() == 0
    parked = rig.read_topic(kafka.bootstrap, rig.DEAD_LETTERS)[0]
    assert [record.value for record in parked] == [record.value for record in POISON]
    assert [record.key for record in parked] == [f"kairos.events.v1/2/{first + n}".encode() for n in range(3)]
    assert all(dict(record.headers)["reason"] for record in parked)
    found, _ = rig.moments(kafka.bootstrap)
    assert found == rig.expected_moments(kafka.bootstrap)


def test_a_flood_pauses_its_partition_until_an_operator_resumes_it(kafka: KafkaServer, tmp_path: Path) -> None:
    feed = rig.Feed(seed=31)
    with rig.running(kafka.bootstrap, tmp_path, DETECTOR_POISON_RUN_MAX="50", DETECTOR_INSTANCE_ID="p0") as detector:
        detector.wait_until_ready()
        rig.publish(kafka.bootstrap, rig.EVENTS, POISON[:1] * 400, partition=1)
        rig.wait_until(lambda: paused(detector, 1) == 1.0, 15, detector.tail)
        rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(400))
        ends = rig.log_ends(kafka.bootstrap)

        def others_applied() -> bool:
            applied = rig.group_offsets(kafka.bootstrap, "kairos-detector-applied")
            return all(applied[number] >= end for number, end in ends.items() if number != 1)

        rig.wait_until(others_applied, 15, detector.tail)
        assert paused(detector, 1) == 1.0
        assert detector.metrics()['kairos_detector_lag_records{partition="1"}'] >= 400
        detector.kill()
        detector.start()
        rig.wait_until(lambda: paused(detector, 1) == 1.0, 20, detector.tail)

        answer = resume(kafka.bootstrap)
        assert answer["allowed_to"]["1"] >= 400
        rig.wait_until_applied(kafka.bootstrap, 15, detector.tail)
        assert paused(detector, 1) == 0.0
        assert detector.stop() == 0
    letters = {record.key for record in rig.read_topic(kafka.bootstrap, rig.DEAD_LETTERS)[0]}
    assert sum(key.startswith(b"kairos.events.v1/1/") for key in letters) == 400
    found, _ = rig.moments(kafka.bootstrap)
    assert found == rig.expected_moments(kafka.bootstrap)


def resume(bootstrap: str) -> dict[str, dict[str, int]]:
    """`kairos detector resume --json`."""
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "detector", "resume", "--partition", "1", "--json"],
        env={"KAIROS_KAFKA_BOOTSTRAP": bootstrap, "PATH": "/usr/bin:/bin"},
        cwd=rig.REPOSITORY,
        capture_output=True,
        timeout=30,
        check=True,
    )
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


def test_customer_records_are_copied_in_log_order_with_their_offset(kafka: KafkaServer) -> None:
    """After the tests above, with all their repeats."""
    for number, records in rig.read_topic(kafka.bootstrap, rig.CUSTOMERS).items():
        log = {record.offset: record for record in rig.read_topic(kafka.bootstrap, rig.EVENTS)[number]}
        customers = {at for at, record in log.items() if is_customer(record.value)}
        copied = [int(dict(record.headers)["log_offset"]) for record in records]
        assert set(copied) == customers
        assert all(log[at].value == record.value for at, record in zip(copied, records, strict=True))
        assert all(log[at].key == record.key for at, record in zip(copied, records, strict=True))


def is_customer(value: bytes | None) -> bool:
    return bool(value) and value[:1] == b"\0" and value != UNKNOWN_ID and "Customer" in decode(value).name  # type: ignore[index,arg-type]  # bool(value) says so
