"""The business clock of a local stack: a file all processes read, continued where it stood when the stack stops.

A clock that ran with real time goes on with real time. A moved one stands while nothing runs, and never goes back.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from services.clock import ClockLine, parse_clock_line, write_clock_file

DEMO_START = "2026-09-07T09:50:00+08:00"  # a Monday: weekly rules fired at 06:00, managers are at work
UNSEEN_MS = 30_000  # services may have gone on for so long after the last mark of a killed supervisor


class ClockKeeper:
    """Writes the clock file at start and marks how far it is known to have run."""

    def __init__(self, var: Path) -> None:
        self.path = var / "clock"
        self._mark = var / "clock.seen"

    def open(self, wanted: str | None, *, is_demo: bool) -> ClockLine:
        """Set the clock for this run: the wanted `START,SPEED`, else continued, else the demo's Monday or real time."""
        now_ms = _real_ms()
        before = self._continued(now_ms)
        if wanted is not None:
            line = parse_clock_line(f"{wanted},{now_ms}" if wanted.count(",") == 1 else wanted)
            if before is not None and line.at(now_ms) < before.at(now_ms):
                stood = datetime.fromtimestamp(before.at(now_ms) / 1000).astimezone().isoformat(timespec="seconds")
                raise ValueError(f"the clock stood at {stood} already and does not go back; use --fresh to start over")
        elif before is not None:
            line = before
        elif is_demo:
            line = parse_clock_line(f"{DEMO_START},1,{now_ms}")
        else:
            line = ClockLine(start_ms=now_ms, speed=1.0, anchor_ms=now_ms)
        write_clock_file(self.path, line)
        self.mark()
        return line

    def mark(self) -> None:
        """Note that the stack was alive now."""
        self._mark.write_text(f"{_real_ms()}\n", encoding="ascii")

    def close(self) -> None:
        """Let a moved clock stand at this instant, to the millisecond."""
        line = self._read()
        if line is not None and not _is_real_time(line):
            write_clock_file(self.path, _standing_from(line, _real_ms()))
        self._mark.unlink(missing_ok=True)

    def _continued(self, now_ms: int) -> ClockLine | None:
        line = self._read()
        if line is None or _is_real_time(line):
            return line
        try:
            seen_ms = int(self._mark.read_text(encoding="ascii")) + UNSEEN_MS  # the supervisor was killed
        except (FileNotFoundError, ValueError):
            seen_ms = line.anchor_ms  # close() left it standing at its anchor
        stood_ms = line.at(min(now_ms, max(seen_ms, line.anchor_ms)))
        return ClockLine(start_ms=stood_ms, speed=line.speed, anchor_ms=now_ms)

    def _read(self) -> ClockLine | None:
        try:
            return parse_clock_line(self.path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return None


def _standing_from(line: ClockLine, now_ms: int) -> ClockLine:
    return ClockLine(start_ms=line.at(now_ms), speed=line.speed, anchor_ms=now_ms)


def _is_real_time(line: ClockLine) -> bool:
    return line.speed == 1.0 and line.start_ms == line.anchor_ms


def _real_ms() -> int:
    return time.time_ns() // 1_000_000
