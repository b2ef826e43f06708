"""Workers come and go, brokers restart, a start is broken off: the moments are those of one clean pass."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from services.stack.kafka_server import KafkaServer
from tests.integration import detector_rig as rig
from tests.integration.detector_chaos import SESSION, compare, publish_rules

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.fixture(scope="module", autouse=True)
def rules(kafka: KafkaServer) -> None:
    publish_rules(kafka)


@contextmanager
def flowing(kafka: KafkaServer, seed: int) -> Iterator[None]:
    """Events come in all the while."""
    feed, stop = rig.LifeFeed(seed=seed), threading.Event()

    def run() -> None:
        while not stop.wait(0.1):
            rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(40))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def owned(detector: rig.Detector) -> int:
    """How many partitions the detector tells the lag of."""
    return sum(name.startswith("kairos_detector_lag_records{") for name in detector.metrics())


def wait_until_shared(detectors: list[rig.Detector]) -> None:
    """Wait until each has its share of the four partitions."""
    shares = rig.PARTITIONS // len(detectors)
    rig.wait_until(
        lambda: all(owned(each) == shares for each in detectors),
        90,
        lambda: "\n".join(f"{each.log.name}: {owned(each)}\n{each.tail()}" for each in detectors),
    )


def test_from_one_worker_to_four_and_back_while_events_flow(kafka: KafkaServer, tmp_path: Path) -> None:
    with ExitStack() as stack:

        def started(name: str) -> rig.Detector:
            settings = {"DETECTOR_INSTANCE_ID": name, **SESSION}
            return stack.enter_context(rig.running(kafka.bootstrap, tmp_path, name=name, **settings))

        with flowing(kafka, seed=60):
            workers = [started("w0")]
            wait_until_shared(workers)
            workers.append(started("w1"))
            wait_until_shared(workers)
            workers += [started("w2"), started("w3")]
            wait_until_shared(workers)
            workers.pop(0).kill()  # a static member: its place is kept for the length of a session
            leaving = workers.pop(0)
            assert leaving.stop() == 0, leaving.tail()
            wait_until_shared(workers)
            leaving = workers.pop()
            assert leaving.stop() == 0, leaving.tail()
            wait_until_shared(workers)
        rig.wait_until_applied(kafka.bootstrap, 60, workers[0].tail)
        assert workers[0].stop() == 0, workers[0].tail()
    compare(kafka)


def test_brokers_that_restart_are_outlived(kafka: KafkaServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                rig.running(kafka.bootstrap, tmp_path, name=name, **{"DETECTOR_INSTANCE_ID": name, **SESSION})
            )
            for name in ("b0", "b1")
        ]
        wait_until_shared(workers)
        feed = rig.LifeFeed(seed=61)
        for kill in (False, True):
            rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(300))
            if kill:
                assert kafka.process is not None
                os.kill(kafka.process.pid, 9)
            kafka.stop()
            time.sleep(3)  # real servers take their time; what is lost meanwhile must not be noticed
            kafka.start()
            kafka.wait_until_ready()
            rig.publish(kafka.bootstrap, rig.EVENTS, feed.batch(300))
            for worker in workers:
                if worker.process.poll() is not None:
                    worker.start()
            rig.wait_until_applied(kafka.bootstrap, 90, lambda: "\n".join(each.tail() for each in workers))
        for worker in workers:
            worker.wait_until_ready(120)  # before that it may not have taken over its signals yet
            assert worker.stop() == 0, worker.tail()
    compare(kafka)


@pytest.mark.parametrize("after_seconds", [2.0, 6.0])
def test_a_stop_while_kernels_are_compiled_is_clean_and_quick(
    kafka: KafkaServer, tmp_path: Path, after_seconds: float
) -> None:
    cold = {**SESSION, "CACHE_DIR": str(tmp_path / "cold")}
    with rig.running(kafka.bootstrap, tmp_path, name="cold", **cold) as detector:
        rig.wait_until(lambda: bool(rig.log_lines(detector, "detector.starting")), 30, detector.tail)
        time.sleep(after_seconds)
        assert not detector.is_ready(), "it was compiled already: this test proves nothing"
        assert detector.stop(12) == 0, detector.tail()
