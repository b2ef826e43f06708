"""The archive as a service: follows the log, shows how far it is, and refuses what it must not go on from."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from services.detector.stored.archive_layout import Archive
from services.detector.stored.archive_writer import faults_of
from services.stack.kafka_server import KafkaServer
from services.stack.ports import free_ports
from services.transport.kafka_admin import KafkaAdmin
from tests.integration.detector_rig import EVENTS, PARTITIONS, REPOSITORY, Feed, log_ends, publish, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def _environ(bootstrap: str, folder: Path, **settings: str) -> dict[str, str]:
    return {
        **{key: value for key, value in os.environ.items() if key[:7] != "KAIROS_" or key == "KAIROS_CACHE_DIR"},
        "KAIROS_KAFKA_BOOTSTRAP": bootstrap,
        "KAIROS_ARCHIVE_DIR": str(folder),
        **settings,
    }


def _once(bootstrap: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", "archive", "--until-end", "--json", *arguments],
        cwd=REPOSITORY,
        env=_environ(bootstrap, folder),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_follows_the_log_and_refuses_what_it_must_not_go_on_from(kafka: KafkaServer, tmp_path: Path) -> None:
    folder, port, feed = tmp_path / "archive", free_ports(1)[0], Feed(seed=3)
    log_file = (tmp_path / "archive.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli.main", "archive"],
        cwd=REPOSITORY,
        env=_environ(kafka.bootstrap, folder, KAIROS_ARCHIVE_METRICS_PORT=str(port), KAIROS_ARCHIVE_BATCH_SECONDS="1"),
        stdout=log_file,
        stderr=log_file,
    )
    try:
        publish(kafka.bootstrap, EVENTS, feed.batch(400))
        wait_until(lambda: _archived(folder) == 400, 90, lambda: str(_archived(folder)))
        publish(kafka.bootstrap, EVENTS, feed.batch(300))
        wait_until(lambda: _archived(folder) == 700, 60, lambda: str(_archived(folder)))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            metrics = page.read().decode()
        assert 'kairos_detector_archive_records_total{kind="usage"}' in metrics
        publish(kafka.bootstrap, EVENTS, feed.batch(50))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        log_file.close()

    # What was not archived when it was stopped is archived by the next one, and all of it once.
    done = _once(kafka.bootstrap, folder)
    assert done.returncode == 0, done.stdout
    assert _archived(folder) == sum(log_ends(kafka.bootstrap).values()) == 750
    assert [faults_of(Archive(folder), number) for number in range(PARTITIONS)] == [[]] * PARTITIONS

    # Another log under the same name.
    commit = sorted((folder / "committed" / "0000").glob("*.json"))[-1]
    kept = commit.read_text(encoding="utf-8")
    commit.write_text(json.dumps({**json.loads(kept), "last_crc32": 1}), encoding="utf-8")
    refused = _once(kafka.bootstrap, folder)
    assert refused.returncode == 2
    assert "not the log that was archived" in json.loads(refused.stdout)["error"]
    commit.write_text(kept, encoding="utf-8")

    # Records that were trimmed before they were archived.
    publish(kafka.bootstrap, EVENTS, feed.batch(200))
    with KafkaAdmin(kafka.bootstrap) as admin:
        admin.trim({at: end - 1 for at, end in admin.end_offsets([EVENTS]).items()})
    refused = _once(kafka.bootstrap, folder)
    assert refused.returncode == 2
    assert "--accept-gap" in json.loads(refused.stdout)["error"]
    accepted = _once(kafka.bootstrap, folder, "--accept-gap")
    assert accepted.returncode == 0, accepted.stdout
    assert json.loads(accepted.stdout)["records"] == PARTITIONS
    stretches = Archive(folder).stretches(0)
    assert stretches[-1].gap_before > 0


def _archived(folder: Path) -> int:
    archive = Archive(folder)
    return sum(sum(stretch.counts.values()) for n in archive.partitions() for stretch in archive.stretches(n))
