"""A backtest finds what the live engine finds: with own ticks, with the log's, however the events are cut."""

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from services.detector.authoring.rules_commands import app
from services.detector.records.decode import Tick
from services.detector.stored.backtest import Backtest, Span
from services.detector.stored.capacity import Capacity, Tally, fit
from services.detector.stored.columns import chunk_of
from services.detector.stored.frames import LOG_KINDS, frame_of
from services.detector.stored.moment_lines import moment_fields
from services.detector.stored.ticking import MINUTE_MS, OwnClock, cut_at, hours_of
from tests.reference.logs import MONDAY, Entry, Log, local, run_engine, shipped

START = local(MONDAY, 5, 50)


def a_log() -> Log:
    """Two days with a birthday, a low balance that is topped up, and a handset change that a sweep finds."""
    log = Log()
    log.profile(START, birthday=f"{MONDAY + timedelta(1):%m-%d}", tier="TOP")
    log.event("usage", START + 1_000, service="VOICE", quantity=60)
    log.event("balance", local(MONDAY, 9, 30), balance_fen=500, reason="CHARGE")
    log.event("handset-change", local(MONDAY, 10), device_model="Aster 9")
    log.event("balance", local(MONDAY, 11, 0, 30), balance_fen=90_000, reason="TOP_UP")
    log.event("usage", local(MONDAY + timedelta(1), 20), service="SMS", quantity=1)
    return log


def ticked(entries: Iterable[Entry], until: int) -> list[Entry]:
    """The log with a tick each minute, from a minute before its first event."""
    now = START - START % MINUTE_MS - 2 * MINUTE_MS
    found: list[Entry] = []

    def go_to(at: int) -> None:
        nonlocal now
        while now + MINUTE_MS <= at:
            now += MINUTE_MS
            found.append(("tick", now))

    for entry in entries:
        go_to(entry[2]["ingested_at"])
        found.append(entry)
    go_to(until)
    return found


def lines_of(entries: Iterable[Entry]) -> str:
    """The entries as lines of events.md."""
    found = []
    for _, kind, record in entries:
        body = {name: value for name, value in record.items() if value not in (None, [], {}, "UNKNOWN")}
        if kind == "customer":
            body = {name: body[name] for name in ("customer_id", "occurred_at", "ingested_at", "event_id", "source",
                                                  "city", "segment", "tier", "birthday")}  # fmt: skip
        found.append(json.dumps({"kind": kind, **body}))
    return "\n".join(found)


@pytest.fixture(scope="module")
def wanted() -> list[dict[str, Any]]:
    """What the engine finds in the log with a tick each minute, three days long."""
    moments, _ = run_engine(ticked(a_log().entries, local(MONDAY + timedelta(3))))
    assert {"AN4", "FT2", "SP1"} <= {moment["rule_id"] for moment in moments}
    return moments


def test_a_backtest_of_lines_finds_what_the_engine_finds(tmp_path: Path, wanted: list[dict[str, Any]]) -> None:
    events, out = tmp_path / "events.ndjson", tmp_path / "moments.ndjson"
    events.write_text(lines_of(a_log().entries), encoding="utf-8")
    until = (MONDAY + timedelta(3)).isoformat()
    done = CliRunner().invoke(app, ["backtest", "--events", str(events), "--until", until, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [_but_version(each) for each in found] == [_but_version(_as_json(each)) for each in wanted]
    summary = json.loads(done.stdout)
    assert summary["events"] == 6
    assert summary["revisions"] == len(wanted)
    assert summary["per_city"] == {"NJ": summary["moments"]}


def test_moments_before_from_fill_state_only(tmp_path: Path, wanted: list[dict[str, Any]]) -> None:
    events, out = tmp_path / "events.ndjson", tmp_path / "moments.ndjson"
    events.write_text(lines_of(a_log().entries), encoding="utf-8")
    noon, end = local(MONDAY, 12), (MONDAY + timedelta(3)).isoformat()
    done = CliRunner().invoke(
        app, ["backtest", "--events", str(events), "--until", end, "--from", str(noon), "--out", str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    found = [json.loads(line)["moment_id"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert found == [moment["moment_id"] for moment in wanted if moment["detected_at"] >= noon]
    assert 0 < len(found) < len(wanted)


def test_a_draft_lies_over_what_ships(tmp_path: Path) -> None:
    from services.detector.authoring.rules_files import SHIPPED

    events, out, draft = tmp_path / "events.ndjson", tmp_path / "moments.ndjson", tmp_path / "draft"
    events.write_text(lines_of(a_log().entries), encoding="utf-8")
    draft.mkdir()
    text = (SHIPPED / "an4.yaml").read_text(encoding="utf-8").replace("1000", "400")
    (draft / "my-an4.yaml").write_text(text, encoding="utf-8")
    arguments = ["backtest", "--events", str(events), "--rules", str(draft), "--out", str(out), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "AN4" not in json.loads(done.stdout)["per_rule"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--events", "nowhere.ndjson"],
        ["--events", __file__, "--from", "soon"],
        ["--events", __file__, "--rules", "/nowhere"],
        ["--events", __file__, "--from", "2026-09-08", "--until", "2026-09-07"],
    ],
    ids=["no file", "no instant", "no rules", "from after until"],
)
def test_what_cannot_run_says_why(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["backtest", *arguments, "--json"])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["ok"] is False


def run_in(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a backtest that writes into a folder; return its exit code and its JSON object."""
    done = CliRunner().invoke(app, ["backtest", "--out", str(folder / "moments.ndjson"), "--json", *arguments])
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--events", "ev.ndjson", "--out", "ev.ndjson"],
        ["--events", "ev.ndjson", "--out", "folder/../ev.ndjson"],
        ["--events", "ev.ndjson", "--out", "link.ndjson"],
        ["--events", "folder", "--out", "folder/usage.ndjson"],
        ["--events", "ev.ndjson", "--customers", "customer.csv", "--out", "customer.csv"],
        ["--events", "ev.ndjson", "--history", "folder", "--rejects", "folder/usage.ndjson"],
        ["--events", "ev.ndjson", "--rules", "draft", "--out", "draft/an4.yaml"],
        ["--events", "ev.rejects.ndjson", "--out", "ev.ndjson"],
        ["--events", "archive", "--out", "archive/events/part.parquet"],
        ["--events", "ev.ndjson", "--out", "new.ndjson", "--rejects", "new.ndjson"],
        ["--events", "ev.ndjson", "--out", "folder"],
    ],
    ids=["events", "by another way", "link", "in a folder", "customers", "rejects", "rules", "default rejects",
         "archive", "one file", "folder"],
)  # fmt: skip
def test_a_backtest_never_overwrites_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    names = ["ev.ndjson", "ev.rejects.ndjson", "folder/usage.ndjson", "customer.csv", "draft/an4.yaml",
             "archive/events/part.parquet", "archive/committed/0000/x.json"]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "link.ndjson").symlink_to(tmp_path / "ev.ndjson")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["backtest", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "请另选文件名" in done.stderr or "指向同一文件" in done.stderr or "不是普通文件" in done.stderr
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in names] == names


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no event found in"),
        ("nonsense\n", "1 lines were refused"),
        ('{"kind": "contact", "event_id": "c", "customer_id": 7, "occurred_at": 1, "source": "x"}', "contact 1"),
    ],
    ids=["empty", "refused", "not read"],
)
def test_where_there_is_no_event_a_backtest_says_so(tmp_path: Path, text: str, why: str) -> None:
    events = tmp_path / "events.ndjson"
    events.write_text(text, encoding="utf-8")
    code, said = run_in(tmp_path, "--events", str(events))
    assert (code, said["ok"]) == (1, False)
    assert f"no event found in {events}" in said["error"]
    assert why in said["error"]
    assert not (tmp_path / "moments.ndjson").exists()


def test_a_folder_that_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "archiv").mkdir()
    code, said = run_in(tmp_path, "--events", str(tmp_path / "archiv"))
    assert code == 1
    assert "neither an archive nor a folder with" in said["error"]


def test_what_was_left_out_is_told(tmp_path: Path) -> None:
    events, empty = tmp_path / "events.ndjson", tmp_path / "empty.ndjson"
    contact = '{"kind": "contact", "event_id": "c", "customer_id": 7, "occurred_at": 1, "source": "x"}'
    events.write_text(f"{lines_of(a_log().entries)}\n{contact}\n", encoding="utf-8")
    empty.write_text("", encoding="utf-8")
    code, said = run_in(tmp_path, "--events", str(events), str(empty), "--until", str(local(MONDAY, 9)))
    assert (code, said["events"], said["after_until"], said["not_read"]) == (0, 2, {"events": 4}, {"contact": 1})
    assert [text.split(" / ")[0] for text in said["warnings"]] == [
        f"no event found in {empty}",
        "4 events came after --until and were left out",
        "lines of kinds that the detector does not read were left out: contact 1",
    ]


def test_an_end_before_all_events_is_told_and_no_share_of_no_calls(tmp_path: Path) -> None:
    events, out = tmp_path / "events.ndjson", tmp_path / "moments.ndjson"
    events.write_text(lines_of(a_log().entries), encoding="utf-8")
    done = CliRunner().invoke(
        app, ["backtest", "--events", str(events), "--until", "2020-01-01", "--out", str(out)], env={"COLUMNS": "200"}
    )
    assert done.exit_code == 0
    assert "no event was applied" in done.stdout
    assert "6 events came after --until" in done.stdout
    assert "no call was asked for" in done.stdout
    assert "%" not in done.stdout


def test_refused_lines_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    events, rejects = tmp_path / "events.ndjson", tmp_path / "moments.rejects.ndjson"
    for bad in ("nonsense\n", ""):
        events.write_text(bad + lines_of(a_log().entries), encoding="utf-8")
        code, said = run_in(tmp_path, "--events", str(events))
        assert (code, said["refused"], rejects.exists()) == (0, len(bad[:1]), bool(bad))


def test_a_clock_passes_a_long_silence_in_steps() -> None:
    clock = OwnClock(START, until_ms=START + 400 * 86_400_000)
    chunks = list(clock.advance(START + 400 * 86_400_000, chunk_of(0, 5, 5, {})))
    ticks = [tick.now_ms for chunk in chunks for tick in chunk.ticks]
    assert max(len(chunk.ticks) for chunk in chunks) <= 10_000
    assert np.diff(ticks).tolist() == [MINUTE_MS] * (len(ticks) - 1)
    assert (ticks[0], ticks[-1]) == (START + MINUTE_MS, START + 400 * 86_400_000)


def test_a_log_is_cut_where_its_clock_passes_the_end() -> None:
    run = Backtest(0, 0, {0: shipped()}, span=Span(until_ms=START), take=lambda _: None)
    chunk = chunk_of(0, 0, 9, {})
    chunk.ticks = list(
        next(OwnClock(START - 2 * MINUTE_MS, until_ms=START + 9 * MINUTE_MS).advance(START * 2, chunk)).ticks
    )
    kept, is_cut = cut_at(chunk, START)
    assert is_cut
    assert [tick.now_ms for tick in kept.ticks] == [START - MINUTE_MS, START]
    run.run_log([chunk], is_draft=True, from_start=False, on_chunk=lambda _: None)
    assert run.partition.tick_now_ms == START


def test_a_chunk_falls_into_hours_and_nothing_is_lost() -> None:
    ticks = [Tick(100 + at, row, local(MONDAY, 8) + minute * MINUTE_MS, 0) for at, (row, minute) in enumerate(
        ((0, 58), (2, 59), (2, 60), (4, 61), (5, 125), (5, 126))
    )]  # fmt: skip
    chunk = chunk_of(0, 100, 105, {"balance": _balances(100, 5)})
    chunk.ticks = ticks

    parts = list(hours_of(chunk))

    assert [part.offset.tolist() for part in parts] == [[100, 101], [102, 103, 104], []]
    assert [(part.first_offset, part.next_offset) for part in parts] == [(100, 102), (102, 105), (105, 105)]
    assert [[(tick.row, tick.now_ms) for tick in part.ticks] for part in parts] == [
        [(0, ticks[0].now_ms), (2, ticks[1].now_ms), (2, ticks[2].now_ms)],
        [(2, ticks[3].now_ms), (3, ticks[4].now_ms)],
        [(0, ticks[5].now_ms)],
    ]


def _balances(first: int, count: int) -> pl.DataFrame:
    rows = [
        {"customer_id": 1, "occurred_at": START, "ingested_at": START, "event_id": f"e{n}", "source": "boss",
         "balance_fen": n, "offset": first + n} for n in range(count)
    ]  # fmt: skip
    return frame_of(LOG_KINDS["balance"], rows, {"offset": pl.Int64})


def test_what_fits_is_the_most_urgent_of_a_city_and_day() -> None:
    tally = Tally()
    for risk, priority, rule in ((10, 3, "AN7"), (90, 3, "AN7"), (5, 1, "AN1"), (50, 2, "AN2")):
        tally.add({"revision": 1, "nominal_date": 20_000, "city": "NJ", "rule_id": rule, "channel": "CALL",
                   "priority": priority, "risk_score": risk})  # fmt: skip
    tally.add({"revision": 2, "nominal_date": 20_000, "city": "NJ", "rule_id": "AN1", "channel": "CALL",
               "priority": 1, "risk_score": 0})  # fmt: skip
    found = fit(tally, Capacity(managers=1, contacts_per_manager=3, cities=1))
    assert (found.asked["rule"].total(), found.fitted["rule"].total()) == (4, 3)
    assert found.fitted["rule"] == {"AN1": 1, "AN2": 1, "AN7": 1}
    assert found.share == pytest.approx(0.75)
    assert (tally.rules.total(), tally.revisions) == (4, 5)


def _as_json(moment: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(moment_fields(moment)))  # type: ignore[no-any-return]


def _but_version(moment: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in moment.items() if name != "rule_version"}
