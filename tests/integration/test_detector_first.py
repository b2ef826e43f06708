"""The thin path: events in, moments out, both groups committed, turns written, a clean stop."""

from pathlib import Path

import pytest

from services.stack.kafka_server import KafkaServer
from tests.integration import detector_rig as rig

pytestmark = pytest.mark.integration


def test_moments_of_a_stream_equal_one_clean_pass(kafka: KafkaServer, tmp_path: Path) -> None:
    feed = rig.Feed(seed=1)
    with rig.running(kafka.bootstrap, tmp_path) as detector:
        detector.wait_until_ready()
        for _ in range(4):
            rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(500))
        rig.wait_until_applied(kafka.bootstrap, why=detector.tail)
        rig.wait_until(lambda: detector.metrics().get("kairos_detector_turns_total", 0) >= 4, 10, detector.tail)
        assert detector.stop() == 0, detector.tail()
    found, _ = rig.moments(kafka.bootstrap)
    assert found == rig.expected_moments(kafka.bootstrap)
    assert len(found) > 300
