"""The business clock of the stack: where it starts, where it goes on, and that it never goes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.clock import ClockLine, parse_clock_line, write_clock_file
from services.stack import clock_keeper
from services.stack.clock_keeper import ClockKeeper

MONDAY_MS = 1_788_745_800_000  # 2026-09-07 09:50 +08:00
T0 = 1_800_000_000_000


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The real clock; change its one element."""
    now = [T0]
    monkeypatch.setattr(clock_keeper, "_real_ms", lambda: now[0])
    return now


def line(var: Path) -> ClockLine:
    return parse_clock_line((var / "clock").read_text())


def test_demo_starts_on_the_monday(tmp_path: Path, at: list[int]) -> None:
    ClockKeeper(tmp_path).open(None, is_demo=True)
    assert line(tmp_path).at(T0) == MONDAY_MS


def test_without_demo_it_is_real_time_also_after_a_pause(tmp_path: Path, at: list[int]) -> None:
    keeper = ClockKeeper(tmp_path)
    keeper.open(None, is_demo=False)
    keeper.close()
    at[0] += 3_600_000
    ClockKeeper(tmp_path).open(None, is_demo=False)
    assert line(tmp_path).at(at[0]) == at[0]


def test_moved_clock_stands_while_nothing_runs(tmp_path: Path, at: list[int]) -> None:
    keeper = ClockKeeper(tmp_path)
    keeper.open("2026-09-07T09:50:00+08:00,60", is_demo=False)
    at[0] += 10_000
    keeper.close()
    stood_ms = MONDAY_MS + 600_000
    assert line(tmp_path).at(at[0]) == stood_ms

    at[0] += 7_200_000
    ClockKeeper(tmp_path).open(None, is_demo=True)
    assert line(tmp_path).at(at[0]) == stood_ms
    assert line(tmp_path).speed == 60


def test_after_a_kill_it_is_not_behind_what_services_may_have_seen(tmp_path: Path, at: list[int]) -> None:
    keeper = ClockKeeper(tmp_path)
    keeper.open("2026-09-07T09:50:00+08:00,10", is_demo=False)
    at[0] += 5_000
    keeper.mark()  # the last sign of life
    at[0] += 100_000_000

    ClockKeeper(tmp_path).open(None, is_demo=True)

    assert line(tmp_path).at(at[0]) == MONDAY_MS + (5_000 + clock_keeper.UNSEEN_MS) * 10


def test_after_a_kill_and_a_quick_start_it_does_not_jump_ahead(tmp_path: Path, at: list[int]) -> None:
    ClockKeeper(tmp_path).open("2026-09-07T09:50:00+08:00,10", is_demo=False)
    at[0] += 2_000
    ClockKeeper(tmp_path).open(None, is_demo=True)
    assert line(tmp_path).at(at[0]) == MONDAY_MS + 20_000


def test_it_refuses_to_go_back(tmp_path: Path, at: list[int]) -> None:
    keeper = ClockKeeper(tmp_path)
    keeper.open("2026-09-07T09:50:00+08:00,1", is_demo=False)
    keeper.close()
    with pytest.raises(ValueError, match="does not go back; use --fresh"):
        ClockKeeper(tmp_path).open("2026-09-01T00:00:00+08:00,1", is_demo=False)


def test_a_line_replaced_by_somebody_else_is_continued(tmp_path: Path, at: list[int]) -> None:
    keeper = ClockKeeper(tmp_path)
    keeper.open(None, is_demo=True)
    moved = ClockLine(start_ms=MONDAY_MS + 86_400_000, speed=1000.0, anchor_ms=T0 + 1000)
    write_clock_file(tmp_path / "clock", moved)
    at[0] += 2_000
    keeper.close()
    assert line(tmp_path).at(at[0]) == MONDAY_MS + 86_400_000 + 1_000_000
