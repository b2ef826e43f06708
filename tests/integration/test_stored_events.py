"""The archive under kill -9, and backtests over it, over Kafka and over lines: exactly the moments of the live run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import decode, encode
from schemas.events import KIND_OF_RECORD, FieldType
from services.detector.stored.archive_layout import Archive
from services.detector.stored.archive_writer import faults_of
from services.detector.stored.moment_lines import moment_fields
from services.stack.kafka_server import KafkaServer
from services.transport.kafka_producer import OutRecord
from tests.integration.detector_rig import (
    EVENTS,
    FAST_CLOCK,
    MOMENTS,
    MOMENTS_BULK,
    PARTITIONS,
    REPOSITORY,
    RULES,
    LifeFeed,
    business_ms,
    log_ends,
    publish,
    read_topic,
    running,
    shipped_rules,
    wait_until,
    wait_until_applied,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def lived(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> KafkaServer:
    """A log with a few days of life, undecodable records in it, and the moments that a live detector found."""
    feed = LifeFeed(seed=21, customers=50)
    publish(kafka.bootstrap, RULES, [shipped_rules()])
    with running(kafka.bootstrap, tmp_path_factory.mktemp("log"), CLOCK=FAST_CLOCK, DETECTOR_ENGINE="") as detector:
        detector.wait_until_ready(120)
        ends = business_ms() + 30 * 3_600_000  # past midnight, and past the morning's rules
        while business_ms() < ends:
            publish(kafka.bootstrap, EVENTS, feed.batch(100))
        publish(kafka.bootstrap, EVENTS, [OutRecord(b"7", b"nonsense")], partition=1)
        wait_until_applied(kafka.bootstrap)
        assert detector.stop() == 0, detector.tail()
    return kafka


@pytest.fixture(scope="module")
def wanted(lived: KafkaServer) -> set[str]:
    """The moments of the live run, as lines have them."""
    topics = (read_topic(lived.bootstrap, MOMENTS), read_topic(lived.bootstrap, MOMENTS_BULK))
    moments = [decode(record.value).record for topic in topics for each in topic.values() for record in each]
    assert {"AN1", "AN4", "NS2"} <= {moment["rule_id"] for moment in moments}
    return {_canonical(moment_fields(moment)) for moment in moments}


@pytest.fixture(scope="module")
def archive(lived: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log in Parquet, by processes that were killed at random until one came to the end."""
    folder, rng = tmp_path_factory.mktemp("archive"), random.Random(8)
    for _ in range(4):
        process = _archive(lived.bootstrap, folder)
        try:
            _wait_for_one_more(process, folder)
            time.sleep(rng.uniform(0, 0.2))  # somewhere in its work
        finally:
            process.send_signal(signal.SIGKILL)
            _, err = process.communicate(timeout=10)
        assert process.returncode in (0, -signal.SIGKILL), err
    last = _archive(lived.bootstrap, folder)
    out, err = last.communicate(timeout=120)
    assert last.returncode == 0, err
    assert json.loads(out)["ok"] is True
    return folder


def test_every_offset_is_archived_once(lived: KafkaServer, archive: Path) -> None:
    kept = Archive(archive)
    ends = log_ends(lived.bootstrap)
    assert kept.partitions() == list(range(PARTITIONS))
    for number, end in ends.items():
        stretches = kept.stretches(number)
        assert (stretches[0].first_offset, stretches[-1].next_offset) == (0, end)
        assert faults_of(kept, number) == []
    assert len(kept.rule_sets()) == 1
    assert sum(stretch.counts.get("poison", 0) for n in ends for stretch in kept.stretches(n)) == 1


def test_a_backtest_of_the_archive_finds_the_moments_of_the_live_run(
    archive: Path, wanted: set[str], tmp_path: Path
) -> None:
    assert _backtest(tmp_path, "--events", str(archive)) == wanted
    assert _backtest(tmp_path, "--events", str(archive), "--jobs", "2") == wanted


def test_a_backtest_of_the_log_finds_the_moments_of_the_live_run(
    lived: KafkaServer, archive: Path, wanted: set[str], tmp_path: Path
) -> None:
    assert _backtest(tmp_path, "--kafka", "--bootstrap", lived.bootstrap) == wanted
    both = _backtest(tmp_path, "--events", str(archive), "--kafka", "--bootstrap", lived.bootstrap)
    assert both == wanted


def test_a_backtest_of_lines_finds_the_moments_of_the_live_run(
    lived: KafkaServer, wanted: set[str], tmp_path: Path
) -> None:
    found: set[str] = set()
    for number, records in read_topic(lived.bootstrap, EVENTS).items():
        path = tmp_path / f"{number}.ndjson"
        path.write_text("\n".join(_lines(records)), encoding="utf-8")
        found |= _backtest(tmp_path, "--events", str(path))
    assert {line.replace("shipped@0", "province@1") for line in found} == wanted


def test_a_shadow_tells_what_a_draft_would_have_done_otherwise(lived: KafkaServer, tmp_path: Path) -> None:
    """The last test of this module: it appends to the log, where no live detector is any more."""
    draft = tmp_path / "draft"
    draft.mkdir()
    text = (REPOSITORY / "services/detector/rules/an4.yaml").read_text(encoding="utf-8")
    (draft / "an4.yaml").write_text(text.replace("value: 1000,", "value: 5,"), encoding="utf-8")
    publish(lived.bootstrap, EVENTS, list(_poor_and_cross(range(9_001, 9_021))))
    out, topics = tmp_path / "differences.ndjson", log_ends(lived.bootstrap, MOMENTS)
    done = _kairos("rules", "shadow", "--rules", str(draft), "--until-end", "--bootstrap", lived.bootstrap,
                   "--out", str(out), "--json")  # fmt: skip
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {(each["rule_id"], each["what"]) for each in found} == {("AN4", "only_live")}
    assert [each["customer_id"] for each in found] == sorted(each["customer_id"] for each in found)
    assert done["differences"] == len(found) == done["rules"]["AN4"]["only_live"]
    assert {each["customer_id"] for each in found} >= set(range(9_001, 9_021))  # others may have come after the turn
    assert done["rules"]["AN1"]["same"] >= 20
    assert log_ends(lived.bootstrap, MOMENTS) == topics, "a shadow writes nothing"


def _poor_and_cross(customers: Iterable[int]) -> Iterator[OutRecord]:
    """Customers whom nobody knew before: each has little money left, and complains."""
    for customer in customers:
        common = {"customer_id": customer, "occurred_at": business_ms(), "ingested_at": business_ms(), "source": "test"}
        for name, fields in (
            ("CustomerEvent", {"city": "NJ"}),
            ("BalanceEvent", {"balance_fen": 500}),
            ("ComplaintEvent", {"complaint_id": f"c{customer}", "state": "OPENED", "topic": "BILLING"}),
        ):
            value = encode(f"kairos.events.v1.{name}", {**common, "event_id": f"{name}-{customer}", **fields})
            yield OutRecord(b"%d" % customer, value)


def _lines(records: list[Any]) -> Iterator[str]:
    """The records of a partition as lines, control records among them."""
    for record in records:
        if record.value == b"nonsense":
            continue
        found = decode(record.value)
        if found.name.endswith("Tick"):
            yield json.dumps({"kind": "tick", "now": found.record["now"], "rules_offset": found.record["rules_offset"]})
            continue
        kind = KIND_OF_RECORD[found.name]
        fields = {key: value for key, value in found.record.items() if value not in (None, [], {}, "UNKNOWN")}
        for each in kind.fields:
            if each.type is FieldType.DATE and each.name in fields:
                fields[each.name] = (date(1970, 1, 1) + timedelta(fields[each.name])).isoformat()
        yield json.dumps({"kind": kind.name, **fields})


def _wait_for_one_more(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Wait until one more stretch is committed, or the process is at its end."""
    before = len(list(folder.glob("committed/*/*.json")))
    wait_until(lambda: process.poll() is not None or len(list(folder.glob("committed/*/*.json"))) > before, 120)


def _archive(bootstrap: str, folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "services.cli.main", "archive", "--until-end", "--json"],
        cwd=REPOSITORY,
        env={
            **{key: value for key, value in os.environ.items() if key[:7] != "KAIROS_" or key == "KAIROS_CACHE_DIR"},
            "KAIROS_KAFKA_BOOTSTRAP": bootstrap,
            "KAIROS_ARCHIVE_DIR": str(folder),
            "KAIROS_ARCHIVE_BATCH_RECORDS": "200",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _backtest(folder: Path, *arguments: str) -> set[str]:
    out = folder / "moments.ndjson"
    done = _kairos("rules", "backtest", *arguments, "--out", str(out), "--json")
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert (done["revisions"], done["refused"]) == (len(lines), 0)
    return {_canonical(moment) for moment in lines}


def _kairos(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments], cwd=REPOSITORY, capture_output=True, timeout=300
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _canonical(moment: dict[str, Any]) -> str:
    return json.dumps(moment, sort_keys=True)
