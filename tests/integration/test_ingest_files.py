"""The file door against a real broker: formats, samples, resuming after kill -9, pacing by the detector's lag."""

import json
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from schemas.codec import decode
from services.stack.kafka_server import KafkaServer
from tests.integration.ingest_rig import (
    DEAD_LETTERS,
    EVENTS,
    NOW_MS,
    REPOSITORY,
    Ingest,
    records_of,
    wait_until,
)

pytestmark = pytest.mark.integration
SAMPLES = REPOSITORY / "services" / "ingest" / "samples"
ROWS = 40_000


@pytest.fixture
def ingest(kafka: KafkaServer, tmp_path: Path) -> Ingest:
    """The file door needs no server, only its settings."""
    return Ingest(kafka.bootstrap, tmp_path)


def events(kafka: KafkaServer) -> list[dict[str, Any]]:
    return [decode(found.value or b"").record for found in records_of(kafka.bootstrap, EVENTS)]


def of_source(kafka: KafkaServer, source: str) -> list[dict[str, Any]]:
    return [event for event in events(kafka) if event["source"] == source]


@pytest.mark.parametrize(
    ("name", "source", "rows", "customers"),
    [("ego", "bandicoot-ego", 314, 1), ("u_test", "bandicoot-switch", 500, 1)],
)
def test_sample_of_another_shape_loads_as_history(
    ingest: Ingest, kafka: KafkaServer, name: str, source: str, rows: int, customers: int
) -> None:
    path = SAMPLES / f"call_records_bandicoot_{name}.csv"

    summary = ingest.load(path, "--history", "--mapping", str(SAMPLES / f"bandicoot_{name}.yaml"))

    assert (summary["accepted"], summary["rejected"], summary["is_done"]) == (rows, 0, True)
    found = of_source(kafka, source)
    assert len({event["event_id"] for event in found}) == rows
    assert len({event["customer_id"] for event in found}) == customers
    assert {event["service"] for event in found} == {"VOICE", "SMS"}
    assert {event["direction"] for event in found} == {"IN", "OUT"}
    assert all(event["history"] and event["ingested_at"] == event["occurred_at"] for event in found)
    assert all(event["quantity"] == 1 for event in found if event["service"] == "SMS")
    assert sum(event["quantity"] for event in found if event["service"] == "VOICE") > 1_000
    assert not any("770000" in str(value) for event in found for value in (event["customer_id"], event["area"]))


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
def test_same_events_load_from_every_format(ingest: Ingest, kafka: KafkaServer, tmp_path: Path, suffix: str) -> None:
    rows = [
        {
            "event_id": f"{suffix}-{number}",
            "customer_id": number + 1,
            "occurred_at": NOW_MS - number,
            "balance_fen": -number,
        }
        for number in range(1_000)
    ]
    path = tmp_path / f"balances.{suffix}"
    if suffix == "ndjson":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif suffix == "csv":
        pl.DataFrame(rows).write_csv(path)
    else:
        pl.DataFrame(rows).write_parquet(path)

    summary = ingest.load(path, "--kind", "balance", "--source", f"from-{suffix}")

    assert (summary["accepted"], summary["rejected"]) == (1_000, 0)
    found = {event["event_id"]: event for event in of_source(kafka, f"from-{suffix}")}
    assert len(found) == 1_000
    for row in rows:
        assert {name: found[str(row["event_id"])][name] for name in row} == row


def test_load_that_is_done_is_not_repeated_unless_asked(ingest: Ingest, kafka: KafkaServer, tmp_path: Path) -> None:
    path = tmp_path / "once.ndjson"
    path.write_text(json.dumps(_balance("once")))

    for arguments, copies in (((), 1), ((), 1), (("--restart",), 2)):
        assert ingest.load(path, "--kind", "balance", *arguments)["accepted"] == 1
        assert len(of_source(kafka, "once")) == copies


def test_killed_load_goes_on_and_repeats_at_most_one_batch(ingest: Ingest, kafka: KafkaServer, tmp_path: Path) -> None:
    path = _big_file(tmp_path, "killed")
    checkpoint = tmp_path / "var" / "ingest"
    kills = 0
    for _ in range(3):
        kills += _kill_after_a_batch(ingest, path, checkpoint)

    summary = ingest.load(path, "--kind", "usage", "--no-pacing")

    assert kills >= 1
    assert summary["resumed_at_line"] > 0
    assert (summary["accepted"], summary["rejected"]) == (ROWS - ROWS // 100, ROWS // 100)
    ids = [event["event_id"] for event in of_source(kafka, "killed")]
    assert len(set(ids)) == ROWS - ROWS // 100
    assert len(ids) - len(set(ids)) <= kills * 5_000
    lines = [json.loads(line)["line"] for line in Path(summary["rejects_file"]).read_text().splitlines()]
    assert lines == [number + 2 for number in range(0, ROWS, 100)]


def test_sigterm_ends_a_load_behind_a_batch_and_the_same_command_goes_on(
    ingest: Ingest, kafka: KafkaServer, tmp_path: Path
) -> None:
    path = _big_file(tmp_path, "sigterm")
    running = _launch(ingest, path)
    wait_until(lambda: _lines_done(tmp_path / "var" / "ingest") > 0, 60)
    running.terminate()
    output, _ = running.communicate(timeout=30)

    stopped = json.loads(output.splitlines()[-1])
    rest = ingest.load(path, "--kind", "usage", "--no-pacing")

    assert stopped["exit_code"] in (0, 130)
    assert rest["accepted"] == ROWS - ROWS // 100
    ids = [event["event_id"] for event in of_source(kafka, "sigterm")]
    assert len(ids) == len(set(ids)) == ROWS - ROWS // 100


def test_load_waits_while_the_detector_is_behind(ingest: Ingest, kafka: KafkaServer, tmp_path: Path) -> None:
    path = _big_file(tmp_path, "paced")
    with _Detector(lag=10_000_000) as detector:
        ingest.env["KAIROS_INGEST_LAG_METRICS_URL"] = detector.url
        running = _launch(ingest, path, pacing=True)
        wait_until(lambda: detector.asked > 3, 30)
        assert _lines_done(tmp_path / "var" / "ingest") == 0
        detector.lag = 0
        output, _ = running.communicate(timeout=60)

    assert json.loads(output.splitlines()[-1])["accepted"] == ROWS - ROWS // 100


def test_load_without_a_detector_keeps_to_a_safe_rate_and_says_so(
    ingest: Ingest, kafka: KafkaServer, tmp_path: Path
) -> None:
    path = tmp_path / "slow.ndjson"
    path.write_text("\n".join(json.dumps(_balance(f"slow-{number}", source="slow")) for number in range(10_000)))
    ingest.env["KAIROS_INGEST_UNPACED_EVENTS_PER_SECOND"] = "5000"

    started = time.monotonic()
    done = subprocess.run(
        [word for word in ingest.file_command(path, "--kind", "balance") if word != "--json"],
        cwd=REPOSITORY, env=ingest.env, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert time.monotonic() - started >= 1.5
    assert "no detector can be asked for its lag" in done.stdout


def test_load_survives_a_broker_restart(ingest: Ingest, kafka: KafkaServer, tmp_path: Path) -> None:
    path = _big_file(tmp_path, "restart")
    running = _launch(ingest, path)
    wait_until(lambda: _lines_done(tmp_path / "var" / "ingest") > 0 or running.poll() is not None, 60)
    assert kafka.process is not None
    kafka.process.kill()
    kafka.stop()
    kafka.start()
    kafka.wait_until_ready()
    output, _ = running.communicate(timeout=90)

    assert json.loads(output.splitlines()[-1])["is_done"]
    assert len({event["event_id"] for event in of_source(kafka, "restart")}) == ROWS - ROWS // 100


def test_dead_letters_of_hashed_numbers_are_without_their_bytes(
    ingest: Ingest, kafka: KafkaServer, tmp_path: Path
) -> None:
    mapping = tmp_path / "map.yaml"
    mapping.write_text(
        "kind: balance\n"
        "fields: { source: { constant: hashed }, customer_id: { column: msisdn, hash: true },\n"
        "  event_id: { column: id }, occurred_at: { column: at }, balance_fen: { column: yuan, unit: yuan } }\n"
    )
    path = tmp_path / "numbers.csv"
    path.write_text(f"id,msisdn,at,yuan\n1,13900139000,{NOW_MS},8.50\n2,13900139001,{NOW_MS},free\n")

    summary = ingest.load(path, "--mapping", str(mapping))

    assert (summary["accepted"], summary["rejected"], summary["reasons"]) == (1, 1, {"bad_format": 1})
    (event,) = of_source(kafka, "hashed")
    assert event["balance_fen"] == 850
    letters = [
        letter for letter in records_of(kafka.bootstrap, DEAD_LETTERS) if letter.headers["file"] == b"numbers.csv"
    ]
    assert [(letter.value, letter.headers["withheld"]) for letter in letters] == [(b"", b"personal_data")]
    assert "13900139001" in Path(summary["rejects_file"]).read_text()
    assert Path(summary["rejects_file"]).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "want --kind"),
        (("--kind", "weather"), "want one of balance"),
        (("--mapping", "none.yaml"), "No such file"),
        (("--kind", "balance", "--mapping", str(SAMPLES / "bandicoot_ego.yaml")), "the mapping file makes usage"),
        (("--mapping", str(SAMPLES / "bandicoot_ego.yaml")), "columns that are not there"),
    ],
)
def test_wrong_arguments_are_told_without_a_traceback(
    ingest: Ingest, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    path = tmp_path / "f.csv"
    path.write_text("a,b\n1,2\n")

    done = subprocess.run(
        ingest.file_command(path, *arguments), cwd=REPOSITORY, env=ingest.env, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_broken_parquet_is_refused(ingest: Ingest, tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    path.write_bytes(b"PAR1" + b"\x00" * 100 + b"PAR1")

    done = subprocess.run(
        ingest.file_command(path, "--kind", "usage"), cwd=REPOSITORY, env=ingest.env, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "want a Parquet file" in done.stderr
    assert "Traceback" not in done.stderr


def _kill_after_a_batch(ingest: Ingest, path: Path, checkpoint: Path) -> int:
    """Start the load and kill it behind its next checkpoint; returns 1 unless it was finished first."""
    before = _lines_done(checkpoint)
    running = _launch(ingest, path)
    wait_until(lambda: _lines_done(checkpoint) > before or running.poll() is not None, 60)
    was_running = running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=10)
    return int(was_running)


def _balance(event_id: str, source: str = "once") -> dict[str, Any]:
    return {"event_id": event_id, "customer_id": 3, "occurred_at": NOW_MS, "source": source, "balance_fen": 1}


def _big_file(folder: Path, source: str) -> Path:
    """A file of many batches; every hundredth row is bad."""
    path = folder / f"{source}.csv"
    with path.open("w") as file:
        file.write("event_id,customer_id,occurred_at,source,service,quantity\n")
        for number in range(ROWS):
            quantity = "many" if number % 100 == 0 else number
            file.write(f"{source}-{number},{number % 997 + 1},{NOW_MS - number},{source},VOICE,{quantity}\n")
    return path


def _launch(ingest: Ingest, path: Path, *, pacing: bool = False) -> "subprocess.Popen[str]":
    arguments = ("--kind", "usage") if pacing else ("--kind", "usage", "--no-pacing")
    return subprocess.Popen(
        ingest.file_command(path, *arguments), cwd=REPOSITORY, env=ingest.env, stdout=subprocess.PIPE, text=True
    )


def _lines_done(folder: Path) -> int:
    for path in folder.glob("*.checkpoint.json"):
        return int(json.loads(path.read_text())["position"]["line"])
    return 0


class _Detector:
    """The metrics page of a detector, with a lag that the test sets."""

    def __init__(self, *, lag: int) -> None:
        self.lag = lag
        self.asked = 0
        rig = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                rig.asked += 1
                page = f'kairos_detector_lag_records{{partition="0"}} {rig.lag}.0\n'.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name given by the base class
                """Not of interest."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> "_Detector":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
