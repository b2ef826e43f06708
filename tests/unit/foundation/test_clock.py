"""The injected clock: what a line means, what is refused, and that time never goes back."""

import os
from pathlib import Path

import pytest

from services.clock import (
    ClockFile,
    ClockLine,
    ClockRefused,
    MovedClock,
    SystemClock,
    clock_from_environment,
    parse_clock_line,
    write_clock_file,
)

MONDAY = "2026-09-07T09:50:00+08:00"
MONDAY_MS = 1_788_745_800_000


def test_a_line_moves_and_speeds_up_time() -> None:
    line = parse_clock_line(f"{MONDAY},60,1000")
    assert line == ClockLine(start_ms=MONDAY_MS, speed=60.0, anchor_ms=1000)
    assert line.at(2000) == MONDAY_MS + 60_000


def test_a_line_survives_being_written() -> None:
    line = ClockLine(start_ms=MONDAY_MS, speed=2.5, anchor_ms=17)
    assert parse_clock_line(line.text()) == line


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "<start>,<speed>"),
        ("2026-09-07T09:50:00,1,0", "offset"),
        (f"{MONDAY},fast,0", "speed"),
        (f"{MONDAY},0,0", "0 < speed"),
        (f"{MONDAY},-1,0", "0 < speed"),
        ("yesterday,1,0", "start"),
        (f"{MONDAY},1,now", "real anchor"),
    ],
)
def test_a_bad_line_is_refused_with_what_would_be_right(text: str, hint: str) -> None:
    with pytest.raises(ClockRefused, match=hint):
        parse_clock_line(text)


@pytest.mark.parametrize("environment", ["production", ""])
def test_time_is_not_moved_in_production(environment: str) -> None:
    environ = {"KAIROS_CLOCK": f"{MONDAY},1,0"} | ({"KAIROS_ENVIRONMENT": environment} if environment else {})
    with pytest.raises(ClockRefused, match="demo or test"):
        clock_from_environment(environ)


def test_without_a_setting_business_time_is_real_time() -> None:
    assert type(clock_from_environment({})) is SystemClock


def test_a_moved_clock_starts_where_it_is_told() -> None:
    real_ms = SystemClock().real_ms()
    clock = clock_from_environment({"KAIROS_ENVIRONMENT": "test", "KAIROS_CLOCK": f"{MONDAY},1,{real_ms}"})
    assert isinstance(clock, MovedClock)
    assert 0 <= clock.now_ms() - MONDAY_MS < 60_000


def test_a_replaced_file_moves_the_clock_but_never_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.clock._RECHECK_SECONDS", 0.0)
    path = tmp_path / "clock"
    real_ms = SystemClock().real_ms()
    write_clock_file(path, ClockLine(start_ms=MONDAY_MS, speed=1.0, anchor_ms=real_ms))
    clock = ClockFile(path)
    before_ms = clock.now_ms()
    write_clock_file(path, ClockLine(start_ms=MONDAY_MS + 86_400_000, speed=1.0, anchor_ms=real_ms))
    moved_ms = clock.now_ms()
    assert moved_ms - before_ms >= 86_400_000 - 60_000
    write_clock_file(path, ClockLine(start_ms=MONDAY_MS, speed=1.0, anchor_ms=real_ms))
    assert clock.now_ms() == moved_ms
    assert os.listdir(tmp_path) == ["clock"]
