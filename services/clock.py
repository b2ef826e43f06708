"""The clocks: one injected business clock for all processes, and the real one.

Business time decides what is late, due, quiet or expired. Real time measures leases, deadlines, tokens and latencies.
In demo and tests `KAIROS_CLOCK` moves and speeds up business time for every process together; elsewhere it is refused.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

MOVABLE_IN = frozenset({"demo", "test"})
_RECHECK_SECONDS = 0.02  # how often a clock file is looked at; bounds the skew between processes after a move


class ClockRefused(ValueError):
    """KAIROS_CLOCK is malformed, or set where time must not be moved; the process must not start."""


class Clock(Protocol):
    """What every adapter holds; pure code takes `now_ms` as an argument instead."""

    def now_ms(self) -> int:
        """Business clock, UTC milliseconds."""

    def real_ms(self) -> int:
        """Real clock, UTC milliseconds."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back, for durations."""


@dataclass(frozen=True)
class ClockLine:
    """One setting of a moved clock: business = start + (real - anchor) * speed."""

    start_ms: int
    speed: float
    anchor_ms: int

    def at(self, real_ms: int) -> int:
        """Business time at a real instant; both UTC milliseconds."""
        return self.start_ms + int((real_ms - self.anchor_ms) * self.speed)

    def text(self) -> str:
        """The line as KAIROS_CLOCK and clock files hold it; instants as UTC milliseconds."""
        return f"{self.start_ms},{self.speed:g},{self.anchor_ms}"


class SystemClock:
    """Business time is real time."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def real_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class MovedClock(SystemClock):
    """Business time moved and sped up by a fixed line."""

    def __init__(self, line: ClockLine) -> None:
        self._line = line
        self._newest_ms = 0

    def now_ms(self) -> int:
        self._newest_ms = max(self._newest_ms, self._line.at(self.real_ms()))  # never back, whatever NTP does
        return self._newest_ms


class ClockFile(SystemClock):
    """Business time by a line in a file, read again when the file is replaced. Replace it by rename, never in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._next_look = 0.0
        self._newest_ms = 0
        self._line = self._read()

    def now_ms(self) -> int:
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _RECHECK_SECONDS
            found = os.stat(self._path)
            if (found.st_mtime_ns, found.st_ino) != self._stamp:
                self._line = self._read()
        self._newest_ms = max(self._newest_ms, self._line.at(self.real_ms()))
        return self._newest_ms

    def _read(self) -> ClockLine:
        found = os.stat(self._path)
        line = parse_clock_line(self._path.read_text(encoding="ascii"))
        self._stamp = (found.st_mtime_ns, found.st_ino)
        return line


class ManualClock:
    """A clock that stands until it is moved, for tests."""

    def __init__(self, now_ms: int, *, real_ms: int | None = None) -> None:
        self._now_ms = now_ms
        self._real_ms = now_ms if real_ms is None else real_ms

    def now_ms(self) -> int:
        return self._now_ms

    def real_ms(self) -> int:
        return self._real_ms

    def monotonic(self) -> float:
        return self._real_ms / 1000.0

    def advance(self, ms: int) -> None:
        """Move business and real time forward together."""
        assert ms >= 0, "time does not go back"
        self._now_ms += ms
        self._real_ms += ms


def parse_clock_line(text: str) -> ClockLine:
    """Read `<start>,<speed>,<real anchor>`; instants RFC 3339 with offset or UTC milliseconds. Raises ClockRefused."""
    parts = [part.strip() for part in text.strip().split(",")]
    if len(parts) != 3:
        raise ClockRefused(f"KAIROS_CLOCK wants <start>,<speed>,<real anchor>; got {text.strip()!r}")
    start_ms, anchor_ms = _instant_ms(parts[0], "start"), _instant_ms(parts[2], "real anchor")
    try:
        speed = float(parts[1])
    except ValueError:
        raise ClockRefused(f"KAIROS_CLOCK speed wants a number, got {parts[1]!r}") from None
    if not 0.0 < speed <= 1_000_000.0:
        raise ClockRefused(f"KAIROS_CLOCK speed wants 0 < speed <= 1000000, got {parts[1]}")
    return ClockLine(start_ms=start_ms, speed=speed, anchor_ms=anchor_ms)


def write_clock_file(path: Path, line: ClockLine) -> None:
    """Replace a clock file at once, so that a reader sees the old line or the new one, never a half."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_text(line.text() + "\n", encoding="ascii")
    os.replace(fresh, path)


def clock_from_environment(environ: Mapping[str, str] | None = None) -> Clock:
    """The clock that KAIROS_CLOCK and KAIROS_ENVIRONMENT ask for. Raises ClockRefused."""
    env = os.environ if environ is None else environ
    setting = env.get("KAIROS_CLOCK", "").strip()
    if not setting:
        return SystemClock()
    if env.get("KAIROS_ENVIRONMENT", "production") not in MOVABLE_IN:
        raise ClockRefused("KAIROS_CLOCK moves time: it is refused unless KAIROS_ENVIRONMENT is demo or test")
    if setting.startswith("@"):
        return ClockFile(Path(setting[1:]))
    return MovedClock(parse_clock_line(setting))


def _instant_ms(text: str, name: str) -> int:
    if text.lstrip("-").isdigit():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ClockRefused(f"KAIROS_CLOCK {name} wants RFC 3339 or UTC milliseconds, got {text!r}") from None
    if found.tzinfo is None:
        raise ClockRefused(f"KAIROS_CLOCK {name} wants an offset such as +08:00, got {text!r}")
    return round(found.timestamp() * 1000)
