"""`kairos detector verify` beside and after a detector: sound, damaged, and not what the log gives."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import decode, encode
from services.detector.durability.state_records import MANIFEST, PAGE, checksum_of
from services.stack.kafka_server import KafkaServer
from services.transport.kafka_producer import OutRecord
from tests.doubles.counting_engine import CountingPartition
from tests.integration import detector_rig as rig

pytestmark = pytest.mark.integration


def run(bootstrap: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """`kairos detector` with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", "detector", *arguments],
        env={
            "KAIROS_KAFKA_BOOTSTRAP": bootstrap,
            "PATH": "/usr/bin:/bin",
            "KAIROS_ENVIRONMENT": "test",
            "KAIROS_DETECTOR_ENGINE": "tests.doubles.counting_engine:ENGINE",
        },
        cwd=rig.REPOSITORY,
        capture_output=True,
        timeout=60,
        check=False,
    )


def verify(bootstrap: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON object."""
    done = run(bootstrap, "verify", "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


@pytest.mark.parametrize("command", ["verify", "confirm-time"])
def test_brokers_that_are_not_there_are_told_within_seconds(command: str) -> None:
    started = time.monotonic()
    done = run("127.0.0.1:1", command)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"127.0.0.1:1 is unavailable" in done.stderr
    assert time.monotonic() - started < 14, "brokers are given five seconds, no longer fifteen"


def test_verify_tells_a_sound_state_from_a_damaged_and_a_false_one(kafka: KafkaServer, tmp_path: Path) -> None:
    feed = rig.Feed(seed=80)
    with rig.running(kafka.bootstrap, tmp_path) as detector:
        detector.wait_until_ready()
        for turns in (4, 8, 12):
            rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(400))
            wait_for_turns(detector, turns)
        code, _ = verify(kafka.bootstrap)  # beside the detector, which writes and trims
        assert code == 0
        assert detector.stop() == 0, detector.tail()

    code, found = verify(kafka.bootstrap, "--replay")
    assert (code, found["is_sound"]) == (0, True), found
    assert found["customers"] == feed.customers
    assert all(each["replayed_pages"] > 0 and each["complete_turns"] >= 2 for each in found["partitions"])

    damaged = OutRecord(None, encode(PAGE, {**newest(kafka.bootstrap, 0, PAGE), "checksum": 1}))
    rig.publish(kafka.bootstrap, rig.STATE, [damaged], partition=0)
    code, found = verify(kafka.bootstrap, "--partition", "0", "--partition", "1")
    assert code == 1
    assert [bool(each["faults"]) for each in found["partitions"]] == [True, False]

    rig.publish(kafka.bootstrap, rig.STATE, false_turn(kafka.bootstrap, 2), partition=2)
    assert verify(kafka.bootstrap, "--partition", "2")[0] == 0, "its form is as it should be"
    code, found = verify(kafka.bootstrap, "--partition", "2", "--replay")
    assert code == 1
    assert "pages [0] of the newest turn are not what the log gives" in found["partitions"][0]["faults"]


def wait_for_turns(detector: rig.Detector, turns: int) -> None:
    rig.wait_until(
        lambda: detector.metrics().get("kairos_detector_turns_total", 0) >= turns, 30, detector.tail
    )  # fmt: skip


def newest(bootstrap: str, partition: int, name: str) -> dict[str, Any]:
    """The newest record of this name."""
    records = [decode(record.value) for record in rig.read_topic(bootstrap, rig.STATE)[partition]]
    return next(each.record for each in reversed(records) if each.name == name)


def false_turn(bootstrap: str, partition: int) -> list[OutRecord]:
    """A complete turn of one page of which one customer has other counts."""
    manifest = newest(bootstrap, partition, MANIFEST)
    end = rig.log_ends(bootstrap, rig.STATE)[partition]
    false = CountingPartition(partition)
    false._rows = [(1, 1)]
    payload = false.dump_page(0).payload
    from aiokafka.record.util import calc_crc32c

    page = {**newest(bootstrap, partition, PAGE), "turn_id": "false", "page": 0, "pages": 1, "payload": payload}
    page |= {"checksum": int(calc_crc32c(payload)), "next_offset": manifest["next_log_offset"]}
    manifest |= {"turn_id": "false", "pages": 1, "first_state_offset": end}
    manifest["checksum"] = checksum_of([page["checksum"]])
    return [OutRecord(None, encode(PAGE, page)), OutRecord(None, encode(MANIFEST, manifest))]
