"""State anew from archive and log: a worker goes on from it as if nothing had been lost."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.detector.engine_binding import released_engine
from services.stack.kafka_server import KafkaServer
from services.transport.kafka_admin import KafkaAdmin
from tests.integration import detector_rig as rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
CUT = 300
"""Records of each partition that only the archive still has."""


def test_a_worker_goes_on_from_rebuilt_state(kafka: KafkaServer, tmp_path: Path) -> None:
    feed = rig.LifeFeed(seed=5, customers=40)
    rig.publish(kafka.bootstrap, rig.RULES, [rig.shipped_rules()])
    with rig.running(kafka.bootstrap, tmp_path, CLOCK=rig.FAST_CLOCK, DETECTOR_ENGINE="") as detector:
        detector.wait_until_ready(300)
        for _ in range(12):
            rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(200))
        rig.wait_until_applied(kafka.bootstrap)
        rig.wait_until(lambda: detector.metrics().get("kairos_detector_turns_total", 0) >= 8, 60, detector.tail)
        refused = _kairos(kafka.bootstrap, tmp_path, "detector", "rebuild", "--json")
        assert refused.returncode == 2
        assert "stop every detector first" in json.loads(refused.stdout)["error"]
        assert detector.stop() == 0, detector.tail()
    wanted = rig.expected_moments(kafka.bootstrap, released_engine(), _rules(kafka.bootstrap))
    archived = _kairos(kafka.bootstrap, tmp_path, "archive", "--until-end", "--json")
    assert archived.returncode == 0, archived.stderr
    _lose_the_state_and_the_beginning_of_the_log(kafka.bootstrap)

    without = _kairos(kafka.bootstrap, tmp_path, "detector", "rebuild", "--json")
    assert "begins at offset" in json.loads(without.stdout)["error"]
    done = _kairos(kafka.bootstrap, tmp_path, "detector", "rebuild", "--archive", str(tmp_path / "archive"), "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    made = json.loads(done.stdout)["partitions"]
    assert [each["partition"] for each in made] == list(range(rig.PARTITIONS))
    assert sum(each["customers"] for each in made) == 40

    ends = rig.log_ends(kafka.bootstrap)
    with rig.running(kafka.bootstrap, tmp_path, name="d1", CLOCK=rig.FAST_CLOCK, DETECTOR_ENGINE="") as detector:
        detector.wait_until_ready(300)
        rig.wait_until_applied(kafka.bootstrap)
        assert detector.stop() == 0, detector.tail()
    loaded = rig.log_lines(detector, "detector.state.loaded")
    assert sum(line["customers"] for line in loaded[:1]) == 40
    found, _ = rig.moments(kafka.bootstrap)
    assert {each for each in found if each in wanted} == wanted, "nothing that was found is missing"
    assert ends.keys() == rig.log_ends(kafka.bootstrap).keys()
    verified = _kairos(kafka.bootstrap, tmp_path, "detector", "verify", "--json")
    assert verified.returncode == 0, verified.stdout


def _lose_the_state_and_the_beginning_of_the_log(bootstrap: str) -> None:
    with KafkaAdmin(bootstrap) as admin:
        admin.trim(admin.end_offsets([rig.STATE]))
        admin.trim(dict.fromkeys(admin.end_offsets([rig.EVENTS]), CUT))


def _rules(bootstrap: str) -> dict[int, Any]:
    return rig.compiled_rules(bootstrap, released_engine())


def _kairos(bootstrap: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        cwd=rig.REPOSITORY,
        env={
            **{key: value for key, value in os.environ.items() if key[:7] != "KAIROS_" or key == "KAIROS_CACHE_DIR"},
            "KAIROS_KAFKA_BOOTSTRAP": bootstrap,
            "KAIROS_ARCHIVE_DIR": str(folder / "archive"),
            "KAIROS_ENVIRONMENT": "test",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
